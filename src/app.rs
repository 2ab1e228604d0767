//! From argv to a verdict: starts the runtime, runs the gate until it ends or the deadline or a signal comes, writes
//! the report, and runs the command.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{self, Runtime};
use tokio::time::{self, Instant};

use crate::attempt::Attempt;
use crate::cli::{Cli, Usage};
use crate::command;
use crate::env::Env;
use crate::event::{Event, Standing};
use crate::file;
use crate::gate::{Board, Gate};
use crate::kind::Ready;
use crate::net::Net;
use crate::net::names::resolv_conf::SystemFiles;
use crate::plan::{self, Color, Format, Plan, Planned, Verbosity};
use crate::report::{Report, explain, termination};
use crate::signal::{Signal, Signals};
use crate::text::{self, os_error, printable};
use crate::verdict::Verdict;

/// The largest number of attempts at once. A quarter of the file descriptors is the other bound.
const IN_FLIGHT_MAX: usize = 64;

/// Runs waitgate with these arguments (the program's name first) and this environment. It does not return if there is a
/// command and every target is ready.
pub fn run(args: impl IntoIterator<Item = OsString>, vars: impl IntoIterator<Item = (OsString, OsString)>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    ExitCode::from(&verdict(&args, &vars.into_iter().collect()))
}

/// Reports a panic at `place`, in the format and to the files that the arguments and the environment name. A panic is a
/// defect of waitgate. Its own words are not printed: they may hold what a server sent, or a secret.
pub fn panicked(
    place: &str,
    args: impl IntoIterator<Item = OsString>,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = Cli::unparsed(&args);
    invalid(Instant::now(), &cli, &vars.into_iter().collect(), format!("internal error at {place}: please report it"));
}

fn verdict(args: &[OsString], env: &Env) -> Verdict {
    let start = Instant::now();
    let cli = match Cli::from_args(args.iter().cloned()) {
        Ok(cli) => cli,
        Err(Usage::Asked(text)) => {
            return asked(start, &Cli::unparsed(args), env, &text);
        }
        Err(Usage::Invalid(why)) => {
            return invalid(start, &Cli::unparsed(args), env, why);
        }
    };
    if let Some(code) = &cli.explain {
        return match explain::named(&code.to_string_lossy()) {
            Ok(code) => {
                // A pipe has no size.
                let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
                asked(start, &cli, env, &explain::explain(code, explain::columns(columns)))
            }
            Err(why) => invalid(start, &cli, env, why),
        };
    }
    // The handlers come first. Without them, PID 1 would lose a signal that comes while a long plan is made or files are
    // read.
    let (runtime, signals) = match runtime() {
        Ok(both) => both,
        Err(error) => return invalid(start, &cli, env, format!("{error:#}")),
    };
    let mut plan = match Plan::new(&cli, env) {
        Ok(plan) => plan,
        Err(error) => return invalid(start, &cli, env, format!("{error:#}")),
    };
    if plan.dry_run {
        let verdict = asked(start, &cli, env, &plan.describe());
        if !plan.warnings.is_empty() {
            let report = Report::new(plan.format, plan.verbosity, is_colored(plan.color, env), start);
            report.during(|| plan.warnings.iter().for_each(|warning| report.tell(&Event::Warning(warning))));
        }
        return verdict;
    }
    let mut prepare = || -> Result<_> {
        plan.targets.iter().try_for_each(|planned| planned.target.check().context(planned.shown.clone()))?;
        Ok((command::find(&plan.command, env)?, net(&mut plan, env)?))
    };
    let (command, net) = match prepare() {
        Ok(all) => all,
        Err(error) => return invalid(start, &cli, env, format!("{error:#}")),
    };
    let report = Report::new(plan.format, plan.verbosity, is_colored(plan.color, env), start);
    let live = is_live(&plan, env);
    let wait = Wait { plan: &plan, net: &net, report: &report, start, live };
    let board = Board::new(&plan);
    let verdict = report.during(|| wait.run(runtime, &signals, &board));
    match (&verdict, command) {
        (Verdict::Ready, Some(command)) => match signals.last_look(|| command::replace_process(command)) {
            Ok(why) => invalid(start, &cli, env, format!("cannot run the command: {why}")),
            Err(signal) => report.during(|| wait.end(Verdict::Interrupted(signal), &board)),
        },
        _ => verdict,
    }
}

/// The runtime, with the signals already caught.
fn runtime() -> Result<(Runtime, Signals)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow!("cannot start: {}", os_error(&error)))?;
    let entered = runtime.enter();
    let status = Verdict::Interrupted(Signal::Terminate).status();
    let signals = Signals::install(status).map_err(|error| anyhow!("cannot handle signals: {}", os_error(&error)))?;
    drop(entered);
    Ok((runtime, signals))
}

/// What a wait needs.
struct Wait<'a> {
    plan: &'a Plan,
    net: &'a Net,
    report: &'a Report,
    start: Instant,
    /// Whether a live view replaces the heartbeats.
    live: bool,
}

impl Wait<'_> {
    /// Waits, writes the log, and writes the termination message.
    fn run(&self, runtime: Runtime, signals: &Signals, board: &Board) -> Verdict {
        let insecure = self.plan.insecure.then_some("--insecure: certificates are not verified");
        let warnings: Vec<&str> = self.plan.warnings.iter().map(String::as_str).chain(insecure).collect();
        if !warnings.is_empty() {
            self.report.tell(&Event::Warning(&warnings.join("; ")));
        }
        let verdict = runtime.block_on(self.race(board, signals));
        // Attempts are dropped, not awaited.
        runtime.shutdown_background();
        self.end(verdict, board)
    }

    /// Writes the last line and the termination message.
    fn end(&self, verdict: Verdict, board: &Board) -> Verdict {
        let standings = board.standings(self.plan);
        self.report.tell(&Event::Verdict { verdict: &verdict, standings: &standings });
        leave_message(self.plan.termination_log.as_deref(), &verdict, &standings, self.start);
        verdict
    }

    /// Waits until the gate ends, or the deadline or a signal ends the run. Then it sleeps a part of --settle.
    async fn race(&self, board: &Board, signals: &Signals) -> Verdict {
        let Self { plan, net, report, .. } = self;
        report.tell(&Event::Start(plan));
        let tell = |event: Event<'_>| report.tell(&event);
        let probe = async |planned: &Planned, attempt: &Attempt| {
            let outcome = match planned.target.probe(net, attempt).await {
                Err(reason) => {
                    let reason = net.recheck(reason, attempt).await;
                    Err(reason.with_text(attempt.with_full_name(reason.text())))
                }
                Ok(ready) => Ok(Ready { note: ready.note.map(|note| attempt.with_full_name(&note)) }),
            };
            if let Some(warning) = net.warning() {
                report.tell(&Event::Warning(&attempt.screen(&warning)));
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
        // The deadline does not end the run any more. A signal still does.
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
            () = settle => signals.came().map_or(Verdict::Ready, Verdict::Interrupted),
        }
    }
}

/// Waits until the timeout has passed since `start`, and returns it. Without a timeout it never ends.
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
    descriptors.map_or(IN_FLIGHT_MAX, |limit| (limit / 4).clamp(1, IN_FLIGHT_MAX))
}

/// Writes what was wrong with the input to stderr and to the termination message.
fn invalid(start: Instant, cli: &Cli, env: &Env, why: String) -> Verdict {
    let verdict = Verdict::Invalid(why);
    let format = plan::log_format(cli, env).unwrap_or_default();
    let color = plan::color(cli, env).unwrap_or_default();
    let report = Report::new(format, Verbosity::Normal, is_colored(color, env), start);
    report.during(|| report.tell(&Event::Verdict { verdict: &verdict, standings: &[] }));
    let path = plan::termination_log(cli, env).unwrap_or_default();
    leave_message(path.as_deref(), &verdict, &[], start);
    verdict
}

fn leave_message(path: Option<&Path>, verdict: &Verdict, standings: &[Standing], start: Instant) {
    let message = termination::message(verdict, standings, &text::duration(start.elapsed()));
    if let (Some(path), Some(message)) = (path, message) {
        termination::leave(path, &message);
    }
}

/// Prints text that the user asked for to stdout. It is not an error if the reader has closed the pipe.
fn asked(start: Instant, cli: &Cli, env: &Env, text: &str) -> Verdict {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            invalid(start, cli, env, format!("cannot write to stdout: {}", os_error(&error)))
        }
        _ => Verdict::Ready,
    }
}

/// Whether to use colour. By default it is used on a terminal, except if NO_COLOR has a value (no-color.org), and
/// everywhere with CLICOLOR_FORCE (bixense.com/clicolors). A terminal that calls itself dumb shows the codes as text.
fn is_colored(color: Color, env: &Env) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if env.get("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        Color::Auto if env.get("TERM").is_some_and(|term| term == "dumb") => false,
        Color::Auto if env.get("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") => true,
        Color::Auto => std::io::stderr().is_terminal(),
    }
}

/// Whether a live view replaces the heartbeats: on a terminal that can move its cursor, and not in CI.
fn is_live(plan: &Plan, env: &Env) -> bool {
    let ci = env.get("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let dumb = env.get("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let wanted = plan.format == Format::Text && plan.verbosity == Verbosity::Normal && !plan.once;
    wanted && !ci && !dumb && std::io::stderr().is_terminal()
}

/// The network. This reads and checks the CA file. If a root from the environment cannot be used, the plan gets a
/// warning.
#[cfg_attr(
    not(feature = "tls"),
    expect(clippy::needless_pass_by_ref_mut, reason = "only TLS has something to warn about")
)]
fn net(plan: &mut Plan, env: &Env) -> Result<Net> {
    // The kubelet sets this variable in every container of every Pod.
    let kubernetes = env.get("KUBERNETES_SERVICE_HOST").is_some();
    // And these for each Service that was there before the Pod.
    let hosts = env.names().filter(|name| name.ends_with("_SERVICE_HOST"));
    let services = hosts.filter_map(|name| env.text(name).ok()??.parse().ok()).collect();
    let named = || {
        let named = plan.ca_file.as_ref().map(|(from, _)| from.as_str());
        printable(named.unwrap_or_default())
    };
    let read = |path: &Path| file::read(path, file::PEM_MAX).map_err(|why| anyhow!("cannot be read: {why}"));
    let ca_file = plan.ca_file.as_ref().map(|(_, path)| read(path).with_context(named)).transpose()?;
    #[cfg(feature = "tls")]
    {
        let name = named();
        let ca_file = ca_file.as_deref().map(|pem| (name.as_str(), pem));
        let mut tls = crate::net::tls::Tls::new(ca_file, plan.insecure).with_context(named)?;
        if !plan.insecure && plan.targets.iter().any(|planned| planned.target.uses_tls()) {
            let (roots, warnings) = crate::net::tls::roots::inherited(env);
            plan.warnings.extend(warnings);
            tls = tls.and_roots(roots);
        }
        Ok(Net::new(SystemFiles::default(), kubernetes, tls).with_services(services))
    }
    #[cfg(not(feature = "tls"))]
    {
        drop(ca_file);
        Ok(Net::new(SystemFiles::default(), kubernetes).with_services(services))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_a_termination_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "").unwrap();
        let args = ["waitgate", "--log-format=json", "tcp:a:1"].map(OsString::from);
        let vars = [("WAITGATE_TERMINATION_LOG".into(), path.clone().into_os_string())];
        panicked("src/x.rs:1:2", args.clone(), vars.clone());
        let message = std::fs::read_to_string(&path).unwrap();
        assert_eq!(message, "waitgate: internal error at src/x.rs:1:2: please report it");
        // In an exec probe the file belongs to the application.
        std::fs::write(&path, "").unwrap();
        panicked("src/x.rs:1:2", args.into_iter().chain(["--once".into()]), vars);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
