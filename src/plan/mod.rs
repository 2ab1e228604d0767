//! Makes the plan from argv and the environment: twins, `$(NAME)`, targets and their bounds. Pure: it opens no file and
//! looks up no name.

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

/// The kubelet resets its restart backoff for a container that ran for more than 10 minutes (kubernetes:
/// pkg/kubelet/kubelet.go, crashLoopBackOff). So after 15 minutes the container restarts without a long backoff, and
/// `kubectl describe pod` shows the reason as the last state.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// This is short because of a SYN that was dropped before a Service had endpoints: its socket never gets an answer, and
/// a new socket does (kubernetes/kubernetes#48719).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest target or option value, in bytes. An argument may have 128 KiB, but a target never needs that.
const ARGUMENT_MAX: usize = 16 * 1024;

/// What a run will do.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct Plan {
    /// The targets in declared order. There is at least one.
    pub(crate) targets: Vec<Planned>,
    /// Give up on all targets after this long, counted from the process's start. `None` means no limit.
    pub(crate) timeout: Option<Duration>,
    /// Sleep before the first attempt.
    pub(crate) initial_delay: Duration,
    /// After all targets are ready, sleep a random part of this.
    pub(crate) settle: Duration,
    /// Probe all targets at once.
    pub(crate) parallel: bool,
    /// Make one attempt for each target.
    pub(crate) once: bool,
    /// Print this plan and probe nothing.
    pub(crate) dry_run: bool,
    /// The file with more trusted roots: the flag or twin that gave it, and its path.
    pub(crate) ca_file: Option<(String, PathBuf)>,
    /// Do not verify certificates.
    pub(crate) insecure: bool,
    /// Where to write the reason if the run does not end ready.
    pub(crate) termination_log: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) verbosity: Verbosity,
    pub(crate) color: Color,
    /// The command to run after all targets are ready: the program and its arguments, or nothing.
    pub(crate) command: Vec<OsString>,
    /// Sentences about something odd that is not an error.
    pub(crate) warnings: Vec<String>,
}

/// One target with its bounds.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) target: Target,
    /// The target as the log shows it.
    pub(crate) shown: String,
    pub(crate) bounds: Bounds,
    /// Give up after this long, counted from its first attempt.
    pub(crate) timeout: Option<Duration>,
    /// The longest pause for every reason.
    pub(crate) max_pause: Option<Duration>,
    /// How many ready answers in a row the target needs.
    pub(crate) successes: u32,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for a person.
    #[default]
    Text,
    /// One JSON object on each line, for a machine.
    Json,
}

/// How much to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Only the verdict of a failed run.
    Quiet,
    /// Changes and heartbeats.
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
    /// Makes the plan. An error says what is wrong with the input. Neither shows a secret.
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
        let attempt = duration("attempt-timeout", &cli.attempt_timeout, Zero::Invalid)?;
        let connect = duration("connect-timeout", &cli.connect_timeout, Zero::Invalid)?.unwrap_or(CONNECT_TIMEOUT);
        let max_pause = duration("max-pause", &cli.max_pause, Zero::Invalid)?;
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
            bail!("no target is given: give at least one target (expected {}; see waitgate --help)", forms());
        }
        let mut warnings = unknown_twins(env);
        let mut targets = Vec::with_capacity(cli.targets.len());
        for (at, raw) in cli.targets.iter().enumerate() {
            let position = || format!("target {}", at + 1);
            let text = raw.to_str().ok_or_else(|| anyhow!("target {} is not valid UTF-8", at + 1))?;
            if text.len() > ARGUMENT_MAX {
                bail!("target {}: expected at most {ARGUMENT_MAX} bytes", at + 1);
            }
            let (target, own) = Target::parse(text, given).with_context(position)?;
            warnings.extend(target.warnings().into_iter().map(|warning| format!("{}: {warning}", position())));
            // A target's own wish only lengthens the default.
            let wished = || target.attempt_timeout().unwrap_or_default().max(ATTEMPT_TIMEOUT);
            let attempt = own.attempt_timeout.or(attempt).unwrap_or_else(wished);
            targets.push(Planned {
                shown: target.to_string(),
                target,
                bounds: Bounds { attempt, connect: own.connect_timeout.unwrap_or(connect) },
                timeout: own.timeout,
                max_pause: own.max_pause.or(max_pause),
                successes: own.successes.unwrap_or(successes),
            });
        }

        let quiet = options.switch("quiet", cli.quiet)?;
        let verbose = options.switch("verbose", cli.verbose)?;
        let verbosity = match (cli.quiet, cli.verbose) {
            // argv wins over the twins. Of -q and -v in argv, clap keeps the last one.
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
            // The command's arguments may hold secrets, so they are only counted.
            let program = crate::text::printable(&program.to_string_lossy());
            let _ = writeln!(out, "then run {program} with {}", count(arguments.len(), "argument"));
        }
        out
    }
}

#[cfg(test)]
mod tests;
