//! Options and their environment twins: takes the raw text, and returns the filled text and where it came from.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::{ARGUMENT_MAX, Color, Format};
use crate::cli::Cli;
use crate::env::{Env, Fill};
use crate::kind::expect::{self, Zero};
use crate::text::nearest;

const TERMINATION_LOG: &str = "/dev/termination-log";

/// What the name of every twin begins with.
const PREFIX: &str = "WAITGATE_";

/// The environment twins.
pub(super) const TWINS: &[&str] = &[
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

/// The twin of the targets on the command line: one on each line.
pub(super) const TARGETS: &str = "WAITGATE_TARGETS";

/// Every twin, that of the targets first, for the man page.
pub(crate) fn twins() -> Vec<&'static str> {
    [TARGETS].into_iter().chain(TWINS.iter().copied()).collect()
}

/// Options that have no twin.
const FLAGS_ONLY: &[&str] = &["WAITGATE_ONCE", "WAITGATE_DRY_RUN", "WAITGATE_INSECURE", "WAITGATE_EXPLAIN"];

/// The text of an option.
pub(super) struct Given {
    /// The flag or twin that gave it, for messages.
    pub(super) from: String,
    /// Each `$(NAME)` in it is replaced.
    pub(super) value: String,
    /// The value as it was written, for messages: what came out of a variable may be a secret.
    pub(super) written: String,
}

/// Reads options from argv or from their twins.
pub(super) struct Options<'a> {
    pub(super) env: &'a Env,
}

impl Options<'_> {
    /// The text of the option `name`. An empty twin counts as unset.
    ///
    /// A blank before it is what `-t 5m` as one argument leaves. A line break after it is what a YAML block leaves.
    pub(super) fn text(&self, name: &str, flag: Option<&OsStr>) -> Result<Option<Given>> {
        let (from, raw) = if let Some(value) = flag {
            let value = value.to_str().ok_or_else(|| anyhow!("--{name} is not valid UTF-8: give it UTF-8 text"))?;
            (format!("--{name}"), value)
        } else {
            let Some(twin) = twin(name) else { return Ok(None) };
            match self.env.text(twin)? {
                Some(value) => (twin.to_owned(), value),
                None => return Ok(None),
            }
        };
        if raw.len() > ARGUMENT_MAX {
            bail!("{from}: expected at most {ARGUMENT_MAX} bytes");
        }
        let written = raw.trim_start_matches(' ').trim_end_matches(['\r', '\n']);
        let value = Fill::from_env(self.env).plain(written).with_context(|| from.clone())?;
        Ok(Some(Given { from, value, written: written.to_owned() }))
    }

    pub(super) fn duration(&self, name: &str, flag: Option<&OsStr>, zero: Zero) -> Result<Option<Duration>> {
        Ok(self.named_duration(name, flag, zero)?.map(|(_, duration)| duration))
    }

    /// A duration, and the flag or twin that gave it.
    pub(super) fn named_duration(
        &self,
        name: &str,
        flag: Option<&OsStr>,
        zero: Zero,
    ) -> Result<Option<(String, Duration)>> {
        let Some(Given { from, value, .. }) = self.text(name, flag)? else { return Ok(None) };
        let duration = expect::duration(&value, zero).with_context(|| from.clone())?;
        Ok(Some((from, duration)))
    }

    pub(super) fn switch(&self, name: &str, flag: bool) -> Result<bool> {
        if flag {
            return Ok(true);
        }
        match self.text(name, None)? {
            None => Ok(false),
            Some(Given { from, value, .. }) => match value.as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => bail!("{from}: found an unknown value (expected true, false, 1 or 0)"),
            },
        }
    }
}

/// The environment twin of the option `name`.
pub(super) fn twin(name: &str) -> Option<&'static str> {
    TWINS.iter().copied().find(|twin| {
        // `_` for `-`, in capitals. Each option is looked up at every start, so no text is made for it.
        let tail = twin.as_bytes().get(PREFIX.len()..).unwrap_or_default();
        let same = |(a, b): (&u8, u8)| a.to_ascii_lowercase() == if b == b'-' { b'_' } else { b };
        tail.len() == name.len() && tail.iter().zip(name.bytes()).all(same)
    })
}

/// The file for the termination message. It is known even if the rest of the command line is wrong.
///
/// An exec probe (--once) runs in the application's container, where that file belongs to the application. So --once
/// and --dry-run write it only if the flag asks for it.
pub(crate) fn termination_log(cli: &Cli, env: &Env) -> Result<Option<PathBuf>> {
    let flag = cli.termination_log.as_deref();
    if flag.is_none() && (cli.once || cli.dry_run) {
        return Ok(None);
    }
    let text = Options { env }.text("termination-log", flag)?;
    let path = text.map_or(TERMINATION_LOG.to_owned(), |given| given.value);
    Ok((!path.is_empty()).then(|| path.into()))
}

/// The log format. It is known even if the rest of the command line is wrong.
pub(crate) fn log_format(cli: &Cli, env: &Env) -> Result<Format> {
    let flag = cli.log_format.as_deref();
    match (Options { env }).text("log-format", flag)? {
        None => Ok(Format::Text),
        Some(Given { from, value, .. }) => match value.as_str() {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => bail!("{from}: found an unknown value (expected text or json)"),
        },
    }
}

/// Whether to colour the log. It is known even if the rest of the command line is wrong.
pub(crate) fn color(cli: &Cli, env: &Env) -> Result<Color> {
    let flag = cli.color.as_deref();
    match (Options { env }).text("color", flag)? {
        None => Ok(Color::Auto),
        Some(Given { from, value, .. }) => match value.as_str() {
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            "never" => Ok(Color::Never),
            _ => bail!("{from}: found an unknown value (expected auto, always or never)"),
        },
    }
}

/// A warning for each variable such as WAITGATE_TIMOUT, which would have no effect. For a Service with the name
/// waitgate the kubelet sets WAITGATE_PORT, WAITGATE_SERVICE_HOST and others: these are not mistakes.
pub(super) fn unknown_twins(env: &Env) -> Vec<String> {
    let ours = |name: &&str| name.starts_with(PREFIX) && *name != TARGETS && !TWINS.contains(name);
    let kubelets = |name: &&str| name.contains("_PORT") || name.contains("_SERVICE_");
    let unknown = env.names().filter(ours).filter(|name| !kubelets(name));
    unknown
        .map(|name| {
            if FLAGS_ONLY.contains(&name) {
                let flag = name[PREFIX.len()..].to_ascii_lowercase().replace('_', "-");
                return format!("{name} has no effect: --{flag} is a flag of the command line only");
            }
            let meant = match nearest(name, TWINS.iter().copied(), 2) {
                Some(twin) => format!(": did you mean {twin}?"),
                None => String::new(),
            };
            let name = crate::text::printable(name);
            format!("unknown environment variable {name}{meant}")
        })
        .collect()
}
