//! argv and environment → Plan: twins, `$(NAME)`, targets and their bounds. Pure: no file is opened, no name looked up.

mod options;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::attempt::Bounds;
use crate::cli::Cli;
use crate::env::Env;
use crate::kind::expect::{self, Zero};
use crate::kind::{Given, Target, forms};
use crate::text::{self, count};
use options::{Options, unknown_twins};
pub(crate) use options::{color, log_format, termination_log};

/// The kubelet forgets its restart backoff for a container that ran for over 10 minutes
/// (kubernetes: pkg/kubelet/kubelet.go, crashLoopBackOff), so giving up after 15 costs none, and
/// `kubectl describe pod` then shows why as the last state.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Short, because a SYN that was dropped before a Service had endpoints is never answered, while a
/// fresh socket's is (kubernetes/kubernetes#48719).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest argument that is looked at: an argv item may hold 128 KiB, a target never needs to.
const LONGEST_ARGUMENT: usize = 16 * 1024;

/// What a run will do.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct Plan {
    /// In declared order; never empty.
    pub(crate) targets: Vec<Planned>,
    /// Give up on everything after this long, counted from the process's start; `None`: never.
    pub(crate) timeout: Option<Duration>,
    /// Sleep before the first attempt.
    pub(crate) initial_delay: Duration,
    /// Once ready, sleep a random part of this.
    pub(crate) settle: Duration,
    /// Probe all at once.
    pub(crate) parallel: bool,
    /// One attempt each.
    pub(crate) once: bool,
    /// Print this plan and probe nothing.
    pub(crate) dry_run: bool,
    /// More roots: what named the file (the flag or its twin), and its path.
    pub(crate) ca_file: Option<(String, PathBuf)>,
    /// Do not verify certificates.
    pub(crate) insecure: bool,
    /// Where to leave the reason when not ready.
    pub(crate) termination_log: Option<PathBuf>,
    /// How to print.
    pub(crate) format: Format,
    /// How much to print.
    pub(crate) verbosity: Verbosity,
    /// Whether to colour it.
    pub(crate) color: Color,
    /// What to run once ready: program and arguments; empty: nothing.
    pub(crate) command: Vec<OsString>,
    /// What is odd and not wrong.
    pub(crate) warnings: Vec<String>,
}

/// One target with its bounds.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The target.
    pub(crate) target: Target,
    /// The target as the log shows it.
    pub(crate) shown: String,
    /// The bounds of one attempt.
    pub(crate) bounds: Bounds,
    /// Give up after this long, counted from its first attempt.
    pub(crate) timeout: Option<Duration>,
    /// Longest pause, whatever the reason.
    pub(crate) max_pause: Option<Duration>,
    /// Ready answers in a row before it counts.
    pub(crate) successes: u32,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for a person.
    #[default]
    Text,
    /// An object a line, for a machine.
    Json,
}

/// How much to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
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
pub(crate) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Even in a pipe.
    Always,
    /// Not at all.
    Never,
}

impl Plan {
    /// Makes the plan, or says what is wrong with the input; secrets are in neither.
    pub(crate) fn new(cli: &Cli, env: &Env) -> Result<Self> {
        let options = Options { env };
        let duration = |name, flag: &Option<OsString>, zero| options.duration(name, flag.as_deref(), zero);

        let timeout = duration("timeout", &cli.timeout, Zero::Allowed)?.unwrap_or(TIMEOUT);
        let initial_delay = duration("initial-delay", &cli.initial_delay, Zero::Allowed)?.unwrap_or_default();
        if !timeout.is_zero() && initial_delay >= timeout {
            bail!(
                "--initial-delay {} leaves no time within --timeout {}: the timeout starts with the process and includes the delay; give a longer --timeout",
                text::duration(initial_delay),
                text::duration(timeout)
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
            bail!("there is no target: give at least one, {}; see waitgate --help", forms());
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
            termination_log: termination_log(cli, env)?,
            format: log_format(cli, env)?,
            verbosity,
            color: color(cli, env)?,
            command: cli.command.clone(),
            warnings,
        })
    }

    /// What --dry-run prints.
    pub(crate) fn describe(&self) -> String {
        let mut out = String::new();
        let order = match (self.once, self.parallel) {
            (false, false) => "in this order",
            (false, true) => "all at once",
            (true, false) => "one attempt each, in this order, up to the first that is not ready",
            (true, true) => "one attempt each, all at once",
        };
        let until = self
            .timeout
            .map_or("without a timeout".to_owned(), |timeout| format!("for up to {}", text::duration(timeout)));
        let _ = writeln!(out, "wait {until} for {}, {order}:", count(self.targets.len(), "target"));
        for (at, planned) in self.targets.iter().enumerate() {
            let Bounds { attempt, connect } = planned.bounds;
            let _ = writeln!(out, "{:3}  {}", at + 1, planned.shown);
            let _ = write!(out, "     attempt {}, connect {}", text::duration(attempt), text::duration(connect));
            if let Some(pause) = planned.max_pause {
                let _ = write!(out, ", pause at most {}", text::duration(pause));
            }
            if planned.successes > 1 && !self.once {
                let _ = write!(out, ", {} ready answers in a row", planned.successes);
            }
            if let Some(timeout) = planned.timeout {
                let _ = write!(out, ", at most {} for this target", text::duration(timeout));
            }
            out.push('\n');
        }
        if !self.initial_delay.is_zero() {
            let _ = writeln!(out, "before that, sleep {}", text::duration(self.initial_delay));
        }
        if !self.settle.is_zero() {
            let _ = writeln!(out, "after that, sleep up to {}", text::duration(self.settle));
        }
        if self.insecure {
            let _ = writeln!(out, "certificates are not verified");
        }
        if let Some((program, arguments)) = self.command.split_first() {
            // The arguments may hold secrets of the command's own.
            let program = crate::text::printable(&program.to_string_lossy());
            let _ = writeln!(out, "then run {program} with {}", count(arguments.len(), "argument"));
        }
        out
    }
}

#[cfg(test)]
mod tests;
