//! Makes the plan from argv and the environment: twins, `$(NAME)`, targets and their bounds. Pure: it opens no file and
//! looks up no name.

mod options;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::attempt::Bounds;
use crate::cli::{self, Cli};
use crate::env::Env;
use crate::kind::expect::{self, Zero};
use crate::kind::path::takes_a_path;
use crate::kind::{Given, Target, forms};
use crate::secret::{Mask, Notes};
use crate::text::{self, count};
use options::{Options, TARGETS, unknown_twins};
pub(crate) use options::{color, log_format, termination_log, twins};

/// The kubelet resets its restart backoff for a container that ran for more than 10 minutes (kubernetes:
/// pkg/kubelet/kubelet.go, crashLoopBackOff). So after 15 minutes the container restarts without a long backoff, and
/// `kubectl describe pod` shows the reason as the last state.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// This is short because of a SYN that was dropped before a Service had endpoints: its socket never gets an answer, and
/// a new socket does (kubernetes/kubernetes#48719). It is longer than 1 s: then the kernel sends the SYN again, and an
/// ICMPv6 error often counts only as the answer to that one, because connect() holds the socket when the first arrives.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1200);

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
    /// The file with more trusted roots: how messages call it (the flag or twin, and the path as written), and its path.
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
    /// Hides the target's secrets in what a server says.
    pub(crate) mask: Mask,
    /// When it is ready, for --dry-run.
    ready_when: Box<str>,
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

        let named = |name: &str, flag: &Option<OsString>, default| {
            let given = options.named_duration(name, flag.as_deref(), Zero::Allowed)?;
            anyhow::Ok(given.unwrap_or_else(|| (format!("--{name}"), default)))
        };
        let (timeout_from, timeout) = named("timeout", &cli.timeout, TIMEOUT)?;
        let (delay_from, initial_delay) = named("initial-delay", &cli.initial_delay, Duration::ZERO)?;
        if !timeout.is_zero() && initial_delay >= timeout {
            bail!(
                "{delay_from} {} leaves no time within {timeout_from} {}: the timeout starts with the process and includes the delay; give a longer --timeout",
                text::duration(initial_delay),
                text::duration(timeout)
            );
        }
        let attempt = duration("attempt-timeout", &cli.attempt_timeout, Zero::Invalid)?;
        let connect = duration("connect-timeout", &cli.connect_timeout, Zero::Invalid)?.unwrap_or(CONNECT_TIMEOUT);
        let max_pause = duration("max-pause", &cli.max_pause, Zero::Invalid)?;
        let successes = match options.text("successes", cli.successes.as_deref())? {
            None => 1,
            Some(given) => expect::count(&given.value).context(given.from)?,
        };

        let ca_file = options.text("ca-file", cli.ca_file.as_deref())?;
        if let Some(given) = &ca_file {
            if given.value.is_empty() {
                bail!("{}: found nothing (expected the path of a PEM file)", given.from);
            }
            takes_a_path(&given.value).with_context(|| given.from.clone())?;
        }
        if !cfg!(feature = "tls") && (ca_file.is_some() || cli.insecure) {
            bail!("--ca-file and --insecure are of no use: this build has no TLS");
        }

        let given = Given { env, ca_file: ca_file.is_some() };
        let mut warnings = unknown_twins(env);
        let mut targets = Vec::with_capacity(cli.targets.len());
        for (position, text) in arguments(cli, env)? {
            let position = || position.clone();
            if text.len() > ARGUMENT_MAX {
                bail!("{}: expected at most {ARGUMENT_MAX} bytes", position());
            }
            let notes = Notes::default();
            let (target, own) = Target::parse_noting(text, given, &notes).with_context(position)?;
            // A target's own wish only lengthens the default.
            let wished = || target.attempt_timeout().unwrap_or_default().max(ATTEMPT_TIMEOUT);
            let bounds = Bounds {
                attempt: own.attempt_timeout.or(attempt).unwrap_or_else(wished),
                connect: own.connect_timeout.unwrap_or(connect),
            };
            if target.waits() >= bounds.attempt {
                bail!(
                    "{}: an attempt waits {} (#hold) and has at most {}, so it could never be ready (expected #attempt-timeout= above #hold=)",
                    position(),
                    text::duration(target.waits()),
                    text::duration(bounds.attempt)
                );
            }
            let ready_when = ready_when(&target, text);
            let shown = target.to_string();
            let mask = notes.mask(&shown);
            let odd = target.warnings().into_iter().map(|warning| format!("{}: {}", position(), mask.screen(&warning)));
            warnings.extend(odd);
            targets.push(Planned {
                shown,
                target,
                bounds,
                timeout: own.timeout,
                max_pause: own.max_pause.or(max_pause),
                successes: own.successes.unwrap_or(successes.max(own.successes_min)),
                mask,
                ready_when,
            });
        }

        Ok(Self {
            targets,
            timeout: (!timeout.is_zero()).then_some(timeout),
            initial_delay,
            settle: duration("settle", &cli.settle, Zero::Allowed)?.unwrap_or_default(),
            parallel: options.switch("parallel", cli.parallel)?,
            once: cli.once,
            dry_run: cli.dry_run,
            ca_file: ca_file.map(|given| (format!("{} {}", given.from, given.written), given.value.into())),
            insecure: cli.insecure,
            termination_log: termination_log(cli, env)?,
            format: log_format(cli, env)?,
            verbosity: verbosity(cli, &options)?,
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
            (_, true) => "all at once",
            (true, false) => "in this order, up to the first that is not ready",
        };
        let within = if self.once { "within" } else { "for up to" };
        let until = self
            .timeout
            .map_or("without a timeout".to_owned(), |timeout| format!("{within} {}", text::duration(timeout)));
        let targets = count(self.targets.len(), "target");
        let _ = match (self.once, self.targets.len()) {
            (false, 1) => writeln!(out, "wait {until} for {targets}:"),
            (false, _) => writeln!(out, "wait {until} for {targets}, {order}:"),
            (true, 1) => writeln!(out, "try {targets} once, {until}:"),
            (true, _) => writeln!(out, "try {targets} once each, {order}, {until}:"),
        };
        for (at, planned) in self.targets.iter().enumerate() {
            let Bounds { attempt, connect } = planned.bounds;
            let _ = writeln!(out, "{:3}  {}", at + 1, planned.shown);
            let _ = writeln!(out, "     ready when {}", planned.ready_when);
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

/// How much to print. argv wins over the twins: then not even their values matter. Of -q and -v in argv, clap keeps the
/// last one.
fn verbosity(cli: &Cli, options: &Options<'_>) -> Result<Verbosity> {
    if cli.quiet {
        return Ok(Verbosity::Quiet);
    }
    if cli.verbose {
        return Ok(Verbosity::Verbose);
    }
    match (options.switch("quiet", false)?, options.switch("verbose", false)?) {
        (true, true) => bail!("WAITGATE_QUIET and WAITGATE_VERBOSE contradict each other: set one of them"),
        (true, false) => Ok(Verbosity::Quiet),
        (false, true) => Ok(Verbosity::Verbose),
        (false, false) => Ok(Verbosity::Normal),
    }
}

/// When the target is ready. `text` is the valid target as it was written; a name in it is no secret.
fn ready_when(target: &Target, text: &str) -> Box<str> {
    let names = text.split('#').skip(1).map(|piece| piece.split('=').next().unwrap_or_default());
    let own: Vec<&str> = names.filter(|name| !expect::COMMON.iter().any(|spec| spec.name == *name)).collect();
    let ready = target.ready_when();
    let ready = match own.as_slice() {
        [] => ready,
        own if own.contains(&"gone") => "it is gone".to_owned(),
        own => format!("{ready}, as changed by #{}", own.join(", #")),
    };
    ready.into()
}

/// The targets on the command line, or else those of WAITGATE_TARGETS, each with its position for messages.
fn arguments<'a>(cli: &'a Cli, env: &'a Env) -> Result<Vec<(String, &'a str)>> {
    if !cli.targets.is_empty() {
        let numbered = cli.targets.iter().enumerate().map(|(at, raw)| {
            let position = format!("target {}", at + 1);
            let text = raw.to_str().ok_or_else(|| anyhow!("{position} is not valid UTF-8"))?;
            cli::misplaced(text).map_or(Ok(()), |why| Err(anyhow!("{position}: {why}")))?;
            Ok((position, text))
        });
        return numbered.collect();
    }
    let text = env.text(TARGETS)?.unwrap_or_default();
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let targets: Vec<_> = lines.map(|(at, line)| (format!("{TARGETS}, line {}", at + 1), line)).collect();
    if targets.is_empty() {
        bail!(
            "no target is given: give at least one target, or one on each line of {TARGETS} (expected {}; see waitgate --help)",
            forms()
        );
    }
    Ok(targets)
}

#[cfg(test)]
mod tests;
