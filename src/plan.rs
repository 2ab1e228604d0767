//! argv and environment → Plan: twins, `$(NAME)`, targets and their bounds. Pure: no file is opened, no name looked up.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cli::Cli;
use crate::target::expect::{self, Zero, distance};
use crate::target::{Given, KINDS, Target};
use crate::trail::{Bounds, short};
use crate::vars::{Env, Fill};

/// The kubelet forgets its restart backoff for a container that ran for over 10 minutes
/// (kubernetes: pkg/kubelet/kubelet.go, crashLoopBackOff), so giving up after 15 costs none, and
/// `kubectl describe pod` then shows why as the last state.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Short, because a SYN that was dropped before a Service had endpoints is never answered, while a
/// fresh socket's is (kubernetes/kubernetes#48719).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The longest argument that is looked at: an argv item may hold 128 KiB, a target never needs to.
const LONGEST_ARGUMENT: usize = 16 * 1024;

/// What a run will do.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct Plan {
    /// In declared order; never empty.
    pub targets: Vec<Planned>,
    /// Give up on everything after this long, counted from the process's start; `None`: never.
    pub timeout: Option<Duration>,
    /// Sleep before the first attempt.
    pub initial_delay: Duration,
    /// Once ready, sleep a random part of this.
    pub settle: Duration,
    /// Probe all at once.
    pub parallel: bool,
    /// One attempt each.
    pub once: bool,
    /// Print this plan and probe nothing.
    pub dry_run: bool,
    /// More roots: what named the file (the flag or its twin), and its path.
    pub ca_file: Option<(String, PathBuf)>,
    /// Do not verify certificates.
    pub insecure: bool,
    /// Where to leave the reason when not ready.
    pub termination_log: Option<PathBuf>,
    /// How to print.
    pub format: Format,
    /// How much to print.
    pub verbosity: Verbosity,
    /// Whether to colour it.
    pub color: Color,
    /// What to run once ready: program and arguments; empty: nothing.
    pub command: Vec<OsString>,
    /// What is odd and not wrong.
    pub warnings: Vec<String>,
}

/// One target with its bounds.
#[derive(Debug)]
pub struct Planned {
    /// The target.
    pub target: Target,
    /// The target as the log shows it.
    pub shown: String,
    /// The bounds of one attempt.
    pub bounds: Bounds,
    /// Give up after this long, counted from its first attempt.
    pub timeout: Option<Duration>,
    /// Longest pause, whatever the reason.
    pub max_pause: Option<Duration>,
    /// Ready answers in a row before it counts.
    pub successes: u32,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for a person.
    #[default]
    Text,
    /// An object a line, for a machine.
    Json,
}

/// How much to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// A failed run's verdict only.
    Quiet,
    /// What changes, and that it still waits.
    #[default]
    Normal,
    /// Every attempt too.
    Verbose,
}

/// Whether to colour the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Even in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// The environment twins.
const TWINS: &[&str] = &[
    "WAITGATE_TIMEOUT",
    "WAITGATE_ATTEMPT_TIMEOUT",
    "WAITGATE_CONNECT_TIMEOUT",
    "WAITGATE_MAX_PAUSE",
    "WAITGATE_SUCCESSES",
    "WAITGATE_INITIAL_DELAY",
    "WAITGATE_SETTLE",
    "WAITGATE_PARALLEL",
    "WAITGATE_CA_FILE",
    "WAITGATE_TERMINATION_LOG",
    "WAITGATE_LOG_FORMAT",
    "WAITGATE_QUIET",
    "WAITGATE_VERBOSE",
    "WAITGATE_COLOR",
];

/// One option: its raw text from argv or from its twin, filled.
struct Options<'a> {
    env: &'a Env,
}

impl Options<'_> {
    /// The value of --`name` and where it came from, for messages. An empty twin is unset.
    fn text(&self, name: &str, flag: Option<&OsStr>) -> Result<Option<(String, String)>> {
        let (from, raw) = if let Some(value) = flag {
            let value = value.to_str().ok_or_else(|| anyhow!("--{name} is not valid UTF-8: give it UTF-8 text"))?;
            (format!("--{name}"), value)
        } else {
            let twin = twin(name);
            match self.env.text(&twin)? {
                Some(value) => (twin, value),
                None => return Ok(None),
            }
        };
        if raw.len() > LONGEST_ARGUMENT {
            bail!("{from}: expected at most {LONGEST_ARGUMENT} bytes");
        }
        let value = Fill::from_env(self.env).plain(raw).with_context(|| from.clone())?;
        Ok(Some((from, value)))
    }

    fn duration(&self, name: &str, flag: Option<&OsStr>, zero: Zero) -> Result<Option<Duration>> {
        let Some((from, value)) = self.text(name, flag)? else { return Ok(None) };
        expect::duration(&value, zero).map(Some).context(from)
    }

    fn switch(&self, name: &str, flag: bool) -> Result<bool> {
        if flag {
            return Ok(true);
        }
        match self.text(name, None)? {
            None => Ok(false),
            Some((from, value)) => match value.as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => bail!("{from}: expected true, false, 1 or 0"),
            },
        }
    }
}

fn twin(name: &str) -> String {
    format!("WAITGATE_{}", name.replace('-', "_").to_ascii_uppercase())
}

impl Plan {
    /// Makes the plan, or says what is wrong with the input; secrets are in neither.
    pub fn new(cli: &Cli, env: &Env) -> Result<Self> {
        let options = Options { env };
        let duration = |name, flag: &Option<OsString>, zero| options.duration(name, flag.as_deref(), zero);

        let timeout = duration("timeout", &cli.timeout, Zero::Allowed)?.unwrap_or(TIMEOUT);
        let initial_delay = duration("initial-delay", &cli.initial_delay, Zero::Allowed)?.unwrap_or_default();
        if !timeout.is_zero() && initial_delay >= timeout {
            bail!(
                "--initial-delay {} leaves no time within --timeout {}: the timeout starts with the process and includes the delay; give a longer --timeout",
                short(initial_delay),
                short(timeout)
            );
        }
        let attempt = duration("attempt-timeout", &cli.attempt_timeout, Zero::Refused)?.unwrap_or(ATTEMPT_TIMEOUT);
        let connect = duration("connect-timeout", &cli.connect_timeout, Zero::Refused)?.unwrap_or(CONNECT_TIMEOUT);
        let max_pause = duration("max-pause", &cli.max_pause, Zero::Refused)?;
        let successes = match options.text("successes", cli.successes.as_deref())? {
            None => 1,
            Some((from, value)) => expect::count(&value).context(from)?,
        };

        let ca_file = options.text("ca-file", cli.ca_file.as_deref())?;
        if ca_file.as_ref().is_some_and(|(_, path)| path.is_empty()) {
            bail!("--ca-file: expected the path of a PEM file, found nothing");
        }
        if !cfg!(feature = "tls") && (ca_file.is_some() || cli.insecure) {
            bail!("--ca-file and --insecure are of no use: this build has no TLS");
        }

        let given = Given { env, ca_file: ca_file.is_some() };
        if cli.targets.is_empty() {
            bail!("expected at least one target: {KINDS}; waitgate --help shows how");
        }
        let mut warnings = unknown_twins(env);
        let mut targets = Vec::with_capacity(cli.targets.len());
        for (at, raw) in cli.targets.iter().enumerate() {
            let position = || format!("target {}", at + 1);
            let text = raw.to_str().ok_or_else(|| anyhow!("target {} is not valid UTF-8", at + 1))?;
            if text.len() > LONGEST_ARGUMENT {
                bail!("target {}: expected at most {LONGEST_ARGUMENT} bytes", at + 1);
            }
            let (target, own) = Target::parse(text, given).with_context(position)?;
            warnings.extend(target.warnings().into_iter().map(|warning| format!("{}: {warning}", position())));
            targets.push(Planned {
                shown: target.to_string(),
                target,
                bounds: Bounds {
                    attempt: own.attempt_timeout.unwrap_or(attempt),
                    connect: own.connect_timeout.unwrap_or(connect),
                },
                timeout: own.timeout,
                max_pause: own.max_pause.or(max_pause),
                successes: own.successes.unwrap_or(successes),
            });
        }

        let quiet = options.switch("quiet", cli.quiet)?;
        let verbose = options.switch("verbose", cli.verbose)?;
        let verbosity = match (cli.quiet, cli.verbose) {
            // What argv says wins over the twins; there, the later of two has overridden the earlier.
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) if quiet && verbose => {
                bail!("WAITGATE_QUIET and WAITGATE_VERBOSE contradict each other: set one of them")
            }
            (false, false) if quiet => Verbosity::Quiet,
            (false, false) if verbose => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let color = match options.text("color", cli.color.as_deref())? {
            None => Color::Auto,
            Some((from, value)) => match value.as_str() {
                "auto" => Color::Auto,
                "always" => Color::Always,
                "never" => Color::Never,
                _ => bail!("{from}: expected auto, always or never"),
            },
        };

        Ok(Self {
            targets,
            timeout: (!timeout.is_zero()).then_some(timeout),
            initial_delay,
            settle: duration("settle", &cli.settle, Zero::Allowed)?.unwrap_or_default(),
            parallel: options.switch("parallel", cli.parallel)?,
            once: cli.once,
            dry_run: cli.dry_run,
            ca_file: ca_file.map(|(from, path)| (from, path.into())),
            insecure: cli.insecure,
            termination_log: termination_log(Some(cli), env)?,
            format: log_format(Some(cli), env)?,
            verbosity,
            color,
            command: cli.command.clone(),
            warnings,
        })
    }

    /// What --dry-run prints.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let order = match (self.once, self.parallel) {
            (false, false) => "in this order",
            (false, true) => "all at once",
            (true, false) => "one attempt each, in this order, up to the first that is not ready",
            (true, true) => "one attempt each, all at once",
        };
        let until = self.timeout.map_or("for ever".to_owned(), |timeout| format!("for up to {}", short(timeout)));
        let _ = writeln!(out, "wait {until} for {}, {order}:", count(self.targets.len(), "target"));
        for (at, planned) in self.targets.iter().enumerate() {
            let Bounds { attempt, connect } = planned.bounds;
            let _ = writeln!(out, "{:3}  {}", at + 1, planned.shown);
            let _ = write!(out, "     attempt {}, connect {}", short(attempt), short(connect));
            if let Some(pause) = planned.max_pause {
                let _ = write!(out, ", pause at most {}", short(pause));
            }
            if planned.successes > 1 && !self.once {
                let _ = write!(out, ", {} ready answers in a row", planned.successes);
            }
            if let Some(timeout) = planned.timeout {
                let _ = write!(out, ", at most {} for this target", short(timeout));
            }
            out.push('\n');
        }
        if !self.initial_delay.is_zero() {
            let _ = writeln!(out, "before that, sleep {}", short(self.initial_delay));
        }
        if !self.settle.is_zero() {
            let _ = writeln!(out, "after that, sleep up to {}", short(self.settle));
        }
        if self.insecure {
            let _ = writeln!(out, "certificates are not verified");
        }
        if let Some((program, arguments)) = self.command.split_first() {
            // The arguments may hold secrets of the command's own.
            let program = crate::reason::printable(&program.to_string_lossy());
            let _ = writeln!(out, "then run {program} with {}", count(arguments.len(), "argument"));
        }
        out
    }
}

/// `1 target`, `2 targets`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Where the termination message goes; known even where the rest of the command line is wrong (`cli` is `None`).
///
/// An exec probe (--once) runs in the application's container, where that file is the application's, so that
/// --once and --dry-run write it only where it is asked for by the flag.
pub fn termination_log(cli: Option<&Cli>, env: &Env) -> Result<Option<PathBuf>> {
    let flag = cli.and_then(|cli| cli.termination_log.as_deref());
    if flag.is_none() && cli.is_some_and(|cli| cli.once || cli.dry_run) {
        return Ok(None);
    }
    let text = Options { env }.text("termination-log", flag)?;
    let path = text.map_or(TERMINATION_LOG.to_owned(), |(_, path)| path);
    Ok((!path.is_empty()).then(|| path.into()))
}

/// How to print; known even where the rest of the command line is wrong (`cli` is `None`).
pub fn log_format(cli: Option<&Cli>, env: &Env) -> Result<Format> {
    let flag = cli.and_then(|cli| cli.log_format.as_deref());
    match (Options { env }).text("log-format", flag)? {
        None => Ok(Format::Text),
        Some((from, value)) => match value.as_str() {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => bail!("{from}: expected text or json"),
        },
    }
}

/// A name like WAITGATE_TIMOUT is a mistake that would otherwise go unseen. The kubelet sets names of its own
/// for a Service that is called waitgate (WAITGATE_PORT, WAITGATE_SERVICE_HOST, …): those are no mistake.
fn unknown_twins(env: &Env) -> Vec<String> {
    let ours = |name: &&str| name.starts_with("WAITGATE_") && !TWINS.contains(name);
    let kubelets = |name: &&str| name.contains("_PORT") || name.contains("_SERVICE_");
    let unknown = env.names().filter(ours).filter(|name| !kubelets(name));
    unknown
        .map(|name| {
            let nearest = TWINS.iter().map(|twin| (distance(name, twin), *twin)).min();
            let meant = match nearest {
                Some((far, twin)) if far <= 3 => format!(": did you mean {twin}?"),
                _ => String::new(),
            };
            let name = crate::reason::printable(name);
            format!("the environment variable {name} is none that waitgate knows{meant}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_in(env: &[(&str, &str)], line: &[&str]) -> Result<Plan> {
        let args = std::iter::once("waitgate").chain(line.iter().copied()).map(OsString::from);
        let cli = Cli::from_args(args).map_err(|usage| anyhow!("{usage:?}"))?;
        Plan::new(&cli, &env.iter().copied().collect())
    }

    fn plan(line: &[&str]) -> Result<Plan> {
        plan_in(&[], line)
    }

    fn refused(env: &[(&str, &str)], line: &[&str]) -> String {
        format!("{:#}", plan_in(env, line).unwrap_err())
    }

    #[test]
    fn defaults() {
        let plan = plan(&["tcp:db:5432"]).unwrap();
        assert_eq!(plan.timeout, Some(Duration::from_secs(900)));
        assert_eq!(plan.termination_log, Some("/dev/termination-log".into()));
        let target = &plan.targets[0];
        assert_eq!((target.bounds.attempt, target.bounds.connect), (ATTEMPT_TIMEOUT, CONNECT_TIMEOUT));
        assert_eq!((target.successes, target.max_pause, target.timeout), (1, None, None));
    }

    #[test]
    fn argv_wins_over_the_twin_and_a_target_over_both() {
        let env = [
            ("WAITGATE_TIMEOUT", "1m"),
            ("WAITGATE_MAX_PAUSE", "2s"),
            ("WAITGATE_PARALLEL", "true"),
            ("WAITGATE_SETTLE", ""),
        ];
        let plan = plan_in(&env, &["-t", "0", "tcp:a:1", "tcp:b:1#max-pause=3s#successes=4#timeout=9s"]).unwrap();
        assert_eq!(plan.timeout, None);
        assert!(plan.parallel && plan.settle.is_zero());
        assert_eq!(plan.targets[0].max_pause, Some(Duration::from_secs(2)));
        assert_eq!(plan.targets[1].max_pause, Some(Duration::from_secs(3)));
        assert_eq!((plan.targets[1].successes, plan.targets[1].timeout), (4, Some(Duration::from_secs(9))));
    }

    #[test]
    fn wrong_input_says_where() {
        assert!(refused(&[], &[]).contains("at least one target"));
        assert!(refused(&[], &["tcp:a:1", "htp://b"]).starts_with("target 2: expected"));
        assert!(refused(&[], &["htp://b"]).contains("did you mean http:?"));
        assert!(refused(&[], &["--timeout=30", "tcp:a:1"]).starts_with("--timeout: expected a duration"));
        assert!(
            refused(&[("WAITGATE_TIMEOUT", "x")], &["tcp:a:1"]).starts_with("WAITGATE_TIMEOUT: expected a duration")
        );
        assert!(refused(&[("WAITGATE_PARALLEL", "yes")], &["tcp:a:1"]).contains("true, false, 1 or 0"));
        assert!(refused(&[], &["--initial-delay=5s", "-t5s", "tcp:a:1"]).contains("leaves no time"));
        let both = [("WAITGATE_QUIET", "1"), ("WAITGATE_VERBOSE", "1")];
        assert!(refused(&both, &["tcp:a:1"]).contains("contradict"));
        assert_eq!(plan_in(&both, &["tcp:a:1", "-q", "-v"]).unwrap().verbosity, Verbosity::Verbose);
        assert!(refused(&[], &["--max-pause=0", "tcp:a:1"]).contains("zero"));
        assert!(refused(&[], &["--timeout=$(T)", "tcp:a:1"]).contains("$(T) is not set"));
        assert!(refused(&[], &["env:URL"]).contains("URL is not set"));
        assert!(refused(&[], &["db:5432"]).contains("kind before the first colon"));
    }

    #[test]
    fn env_targets_are_taken_whole() {
        let plan = plan_in(&[("ADDR", "tcp:db:5432\n")], &["env:ADDR#hold=0#successes=2"]).unwrap();
        assert_eq!(plan.targets[0].shown, "tcp:db:5432#hold=0#successes=2");
        assert!(refused(&[("ADDR", "tcp:db:5432#hold=0")], &["env:ADDR"]).contains("not a number"));
    }

    #[test]
    fn the_termination_log_is_left_alone_by_a_probe() {
        assert_eq!(plan(&["--once", "tcp:a:1"]).unwrap().termination_log, None);
        assert_eq!(plan(&["--once", "--termination-log=/x", "tcp:a:1"]).unwrap().termination_log, Some("/x".into()));
        assert_eq!(plan(&["--termination-log=", "tcp:a:1"]).unwrap().termination_log, None);
        let twin = [("WAITGATE_TERMINATION_LOG", "/y")];
        assert_eq!(plan_in(&twin, &["tcp:a:1"]).unwrap().termination_log, Some("/y".into()));
        assert_eq!(plan_in(&twin, &["--dry-run", "tcp:a:1"]).unwrap().termination_log, None);
    }

    #[test]
    fn unknown_twins_warn_and_the_kubelets_own_do_not() {
        let env = [
            ("WAITGATE_TIMOUT", "1"),
            ("WAITGATE_SERVICE_HOST", "1"),
            ("WAITGATE_PORT_80_TCP", "1"),
            ("WAITGATE_PORT", "1"),
        ];
        let warnings = plan_in(&env, &["tcp:a:1"]).unwrap().warnings;
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("WAITGATE_TIMOUT") && warnings[0].contains("did you mean WAITGATE_TIMEOUT?"));
    }

    #[test]
    fn every_twin_is_an_option() {
        use clap::CommandFactory;
        let without = ["once", "dry-run", "insecure", "explain", "help", "version"];
        let command = Cli::command();
        let options = command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| !without.contains(name));
        let mut twins: Vec<String> = options.map(twin).collect();
        twins.sort();
        let mut known: Vec<String> = TWINS.iter().map(|name| (*name).to_owned()).collect();
        known.sort();
        assert_eq!(twins, known);
    }
}
