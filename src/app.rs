//! From argv to a verdict: start the runtime, race the gate against the deadline and the signals, report, exec.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::FutureExt as _;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{self, Runtime};
use tokio::time::{self, Instant};

use crate::cli::{Cli, Usage};
use crate::gate::{Board, Gate};
use crate::net::Net;
use crate::net::conf::SystemFiles;
use crate::plan::{self, Color, Format, Plan, Planned, Verbosity};
use crate::report::json::Json;
use crate::report::lines::Lines;
use crate::report::text::Text;
use crate::report::{Event, Form, Report, explain, termination};
use crate::signal::Signals;
use crate::trail::{Trail, short};
use crate::vars::Env;
use crate::verdict::{Standing, Verdict};

/// Attempts under way at once, at most; a quarter of the file descriptors is the other bound.
const IN_FLIGHT: usize = 256;

/// The largest CA file that is read: the Mozilla bundle has 0.2 MB.
const LONGEST_CA_FILE: u64 = 1024 * 1024;

/// Where programs are looked for without a PATH, as execvp has it in musl.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// Runs waitgate with these arguments (the program's name first) and this environment. With a command, and
/// all being well, it does not return.
pub fn run(args: impl IntoIterator<Item = OsString>, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Verdict {
    let start = Instant::now();
    let env: Env = vars.into_iter().collect();
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::from_args(args.iter().cloned()) {
        Ok(cli) => cli,
        Err(Usage::Asked(text)) => {
            print(&text);
            return Verdict::Ready;
        }
        Err(Usage::Wrong(why)) => {
            return refuse(start, &Cli::unread(&args), &env, &anyhow!(why));
        }
    };
    if let Some(code) = &cli.explain {
        return match explain::named(&code.to_string_lossy()) {
            Ok(code) => {
                print(&explain::explain(code));
                Verdict::Ready
            }
            Err(why) => refuse(start, &cli, &env, &anyhow!(why)),
        };
    }
    let mut plan = match Plan::new(&cli, &env) {
        Ok(plan) => plan,
        Err(error) => return refuse(start, &cli, &env, &error),
    };
    if plan.dry_run {
        print(&plan.describe());
        let form = Form::Text(Text::new(start, false));
        let report = Report::new(form);
        let warn = || plan.warnings.iter().for_each(|warning| report.tell(&Event::Warning(warning)));
        tracing::subscriber::with_default(Lines::new(plan.verbosity, form), warn);
        return Verdict::Ready;
    }
    let mut prepare = || {
        // First of all: a signal that comes while files are read is kept, where PID 1 would lose it.
        let (runtime, signals) = runtime()?;
        Ok((runtime, signals, command(&plan.command, &env)?, net(&mut plan, &env)?))
    };
    let (runtime, signals, command, net) = match prepare() {
        Ok(all) => all,
        Err(error) => return refuse(start, &cli, &env, &error),
    };
    let form = form(plan.format, plan.color, &env, start);
    let report = Report::new(form);
    let live = is_live(&plan, &env);
    let wait = Wait { plan: &plan, net: &net, report: &report, start, live };
    let lines = Lines::new(plan.verbosity, form);
    let verdict = tracing::subscriber::with_default(lines, || wait.run(runtime, signals));
    match (&verdict, command) {
        (Verdict::Ready, Some(mut command)) => {
            // Same pid, the arguments and the environment as found. std puts an ignored SIGPIPE back to its
            // default, execve does so for the signals that we handle.
            let error = command.exec();
            let why = anyhow!("cannot run the command: {}", unrunnable(&error));
            refuse(start, &cli, &env, &why)
        }
        _ => verdict,
    }
}

/// The runtime, with the signals already caught.
fn runtime() -> Result<(Runtime, Signals)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow!("cannot start: {}", words(&error)))?;
    let entered = runtime.enter();
    let signals = Signals::install().map_err(|error| anyhow!("cannot handle signals: {}", words(&error)))?;
    drop(entered);
    Ok((runtime, signals))
}

/// All that waiting needs.
struct Wait<'a> {
    plan: &'a Plan,
    net: &'a Net,
    report: &'a Report,
    start: Instant,
    /// Whether a live view takes the heartbeats' place.
    live: bool,
}

impl Wait<'_> {
    /// Waits and reports, the termination message included.
    fn run(&self, runtime: Runtime, signals: Signals) -> Verdict {
        let insecure = self.plan.insecure.then_some("--insecure: certificates are not verified");
        let warnings: Vec<&str> = self.plan.warnings.iter().map(String::as_str).chain(insecure).collect();
        if !warnings.is_empty() {
            self.report.tell(&Event::Warning(&warnings.join("; ")));
        }
        let board = Board::new(self.plan);
        let verdict = runtime.block_on(self.race(&board, signals));
        // Attempts are dropped, not awaited.
        runtime.shutdown_background();
        let standings = board.standings(self.plan);
        self.report.tell(&Event::Verdict { verdict: &verdict, standings: &standings });
        leave(self.plan.termination_log.as_deref(), &verdict, &standings, self.start);
        verdict
    }

    /// Every way in which a run can end.
    async fn race(&self, board: &Board, mut signals: Signals) -> Verdict {
        let Self { plan, net, report, .. } = self;
        report.tell(&Event::Start(plan));
        let tell = |event: Event<'_>| report.tell(&event);
        let probe = async |planned: &Planned, trail: &Trail| {
            let outcome = match planned.target.probe(net, trail).await {
                Err(reason) => Err(net.second_look(reason, trail).await),
                ready => ready,
            };
            if let Some(warning) = net.warning() {
                report.tell(&Event::Warning(&warning));
            }
            outcome
        };
        let gate = Gate::new(plan, board, &tell, in_flight(), probe).live(self.live);
        let verdict = tokio::select! {
            biased;
            signal = signals.arrived() => Verdict::Interrupted(signal),
            timeout = deadline(self.start, plan.timeout) => Verdict::TimedOut(timeout, None),
            verdict = gate.run() => verdict,
        };
        if self.live {
            report.tell(&Event::Live(&[]));
        }
        if verdict != Verdict::Ready {
            return verdict;
        }
        // The deadline does not count any more; a signal still does, up to the last moment before exec.
        let settle = async {
            let pause = part(plan.settle);
            if !pause.is_zero() {
                report.tell(&Event::Settle(pause));
                time::sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            signal = signals.arrived() => Verdict::Interrupted(signal),
            () = settle => signals.arrived().now_or_never().map_or(Verdict::Ready, Verdict::Interrupted),
        }
    }
}

/// Ends with the timeout when that much time has passed since `start`; without one, never.
async fn deadline(start: Instant, timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            time::sleep_until(start + timeout).await;
            timeout
        }
        None => std::future::pending().await,
    }
}

/// A random part of `whole`.
fn part(whole: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn in_flight() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    descriptors.map_or(IN_FLIGHT, |limit| (limit / 4).clamp(1, IN_FLIGHT))
}

/// Says what was wrong with the input, on stderr and in the termination message.
fn refuse(start: Instant, cli: &Cli, env: &Env, error: &anyhow::Error) -> Verdict {
    let verdict = Verdict::Refused(format!("{error:#}"));
    let format = plan::log_format(cli, env).unwrap_or_default();
    let color = plan::color(cli, env).unwrap_or_default();
    let form = form(format, color, env, start);
    let report = Report::new(form);
    let event = Event::Verdict { verdict: &verdict, standings: &[] };
    tracing::subscriber::with_default(Lines::new(Verbosity::Normal, form), || report.tell(&event));
    let path = plan::termination_log(cli, env).unwrap_or_default();
    leave(path.as_deref(), &verdict, &[], start);
    verdict
}

fn leave(path: Option<&Path>, verdict: &Verdict, standings: &[Standing], start: Instant) {
    let message = termination::message(verdict, standings, &short(start.elapsed()));
    if let (Some(path), Some(message)) = (path, message) {
        termination::leave(path, &message);
    }
}

/// What was asked for goes to stdout; a reader that has left is no failure.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn form(format: Format, color: Color, env: &Env, start: Instant) -> Form {
    match format {
        Format::Text => Form::Text(Text::new(start, is_colored(color, env))),
        Format::Json => Form::Json(Json::new(start)),
    }
}

/// Colour as asked for; by default on a terminal, unless NO_COLOR is set to anything (no-color.org), and anywhere
/// with CLICOLOR_FORCE (bixense.com/clicolors).
fn is_colored(color: Color, env: &Env) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if env.get("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        Color::Auto if env.get("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") => true,
        Color::Auto => std::io::stderr().is_terminal(),
    }
}

/// Whether a live view takes the heartbeats' place: on a terminal that can move its cursor, with somebody before it.
fn is_live(plan: &Plan, env: &Env) -> bool {
    let ci = env.get("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let dumb = env.get("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let wanted = plan.format == Format::Text && plan.verbosity == Verbosity::Normal && !plan.once;
    wanted && !ci && !dumb && std::io::stderr().is_terminal()
}

/// The network, with the CA file read and checked where one is given; what cannot be used of the roots that
/// the environment names is a warning of the plan.
#[cfg_attr(
    not(feature = "tls"),
    expect(clippy::needless_pass_by_ref_mut, reason = "only TLS has something to warn about")
)]
fn net(plan: &mut Plan, env: &Env) -> Result<Net> {
    // The kubelet gives every container of every Pod this one.
    let kubernetes = env.get("KUBERNETES_SERVICE_HOST").is_some();
    let named = || {
        let named = plan.ca_file.as_ref().map(|(from, path)| format!("{from} {}", path.display()));
        crate::reason::printable(&named.unwrap_or_default())
    };
    let ca_file = plan.ca_file.as_ref().map(|(_, path)| read_ca_file(path).with_context(named)).transpose()?;
    #[cfg(feature = "tls")]
    {
        let mut tls = crate::net::tls::Tls::new(ca_file.as_deref(), plan.insecure).with_context(named)?;
        if !plan.insecure && plan.targets.iter().any(|planned| planned.target.uses_tls()) {
            let (roots, warnings) = crate::net::roots::inherited(env);
            plan.warnings.extend(warnings);
            tls = tls.and_roots(roots);
        }
        Ok(Net::new(SystemFiles::default(), tls).kubernetes(kubernetes))
    }
    #[cfg(not(feature = "tls"))]
    {
        drop(ca_file);
        Ok(Net::new(SystemFiles::default()).kubernetes(kubernetes))
    }
}

fn read_ca_file(path: &Path) -> Result<Vec<u8>> {
    let about = std::fs::metadata(path).map_err(|error| anyhow!("cannot be read: {}", words(&error)))?;
    if !about.is_file() {
        bail!("expected a regular file with certificates in PEM");
    }
    if about.len() > LONGEST_CA_FILE {
        bail!("expected at most 1 MiB of certificates in PEM");
    }
    std::fs::read(path).map_err(|error| anyhow!("cannot be read: {}", words(&error)))
}

/// The command, found and executable before anything is probed.
fn command(argv: &[OsString], env: &Env) -> Result<Option<Command>> {
    let Some((name, arguments)) = argv.split_first() else { return Ok(None) };
    let path = find(name, env.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH)))?;
    let mut command = Command::new(path);
    command.arg0(name).args(arguments);
    Ok(Some(command))
}

/// The file that execvp would run.
fn find(name: &OsStr, path: &OsStr) -> Result<PathBuf> {
    let shown = crate::reason::printable(&name.to_string_lossy());
    if name.is_empty() {
        bail!("the command behind -- is empty: name a program");
    }
    let is_path = name.as_encoded_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = if is_path {
        vec![name.into()]
    } else {
        // An empty entry is the working folder (POSIX, environment variables: PATH).
        std::env::split_paths(path)
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".").join(name) } else { folder.join(name) })
            .collect()
    };
    let mut found = false;
    for candidate in candidates {
        let Ok(about) = std::fs::metadata(&candidate) else { continue };
        found = true;
        if about.is_file() && rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
            runnable(&candidate).with_context(|| format!("the command {shown}"))?;
            return Ok(candidate);
        }
    }
    if found {
        bail!("the command {shown} is not executable: make it so, or name another");
    }
    let place = if is_path { "there is no such file" } else { "it is in none of the folders of PATH" };
    bail!("the command {shown} is not found: {place}");
}

/// Whether the kernel can run the file: execvp of some C libraries would feed it to a shell where it cannot, and the
/// rest would say so only after the wait. What cannot be read is left to the kernel.
fn runnable(path: &Path) -> Result<()> {
    use std::io::Read as _;
    let mut start = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return Ok(()) };
    if file.take(256).read_to_end(&mut start).is_err() || start.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let Some(line) = start.strip_prefix(b"#!") else {
        bail!("is neither a program for this system nor a script that begins with #!");
    };
    let line = String::from_utf8_lossy(line);
    let interpreter = line.lines().next().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    if interpreter.is_empty() || !Path::new(interpreter).exists() {
        bail!("begins with #!{}, which is not in this image", crate::reason::printable(interpreter));
    }
    Ok(())
}

/// Why the kernel did not run a file that is there and executable.
fn unrunnable(error: &std::io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => {
            "the file is there, and the interpreter that its #! line names, or its dynamic loader, is not in this image"
                .into()
        }
        Some(Errno::NOEXEC) => {
            "it is no program for this machine, or a script without a #! line: no shell runs here".into()
        }
        _ => words(error),
    }
}

/// An operating system's error in words, without the number that std appends.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
