//! The command line: raw text, flags and the help. Pure. Values are not checked here: clap would print a wrong one, and
//! it may be a secret.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory, Parser};

use crate::kind;

use crate::text::nearest;

/// The raw command line.
// No Debug: a target may hold a password.
#[derive(Default, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
#[command(
    name = "waitgate",
    version,
    long_about = None,
    help_template = "{about}\n\nUsage: {usage}\n\n{options}{after-help}",
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "waitgate [OPTIONS] <TARGET>... [-- <COMMAND> [ARG]...]",
    after_help = AFTER
)]
pub(crate) struct Cli {
    /// What to wait for
    #[arg(value_name = "TARGET", hide = true)]
    pub(crate) targets: Vec<OsString>,

    /// Run instead of waitgate when all is ready
    #[arg(value_name = "COMMAND", last = true, hide = true)]
    pub(crate) command: Vec<OsString>,

    /// Give up after this long; 0: never [15m]
    #[arg(
        long_help = "Give up on all targets after this long; 0: no limit [default: 15m]",
        short,
        long,
        value_name = "DURATION",
        allow_hyphen_values = true
    )]
    pub(crate) timeout: Option<OsString>,

    /// Limit for one attempt [3s]
    #[arg(
        long_help = "Time limit for one attempt, including DNS and connecting [default: 3s]",
        long,
        value_name = "DURATION",
        allow_hyphen_values = true
    )]
    pub(crate) attempt_timeout: Option<OsString>,

    /// Limit for connecting, and for DNS [1.2s]
    #[arg(
        long_help = "Time limit for each DNS question, and for connecting to one address [default: 1.2s]",
        long,
        value_name = "DURATION",
        allow_hyphen_values = true
    )]
    pub(crate) connect_timeout: Option<OsString>,

    /// Longest pause between attempts
    #[arg(
        long_help = "Longest pause between two attempts [default: 250ms to 10s, depending on the reason]",
        long,
        value_name = "DURATION",
        allow_hyphen_values = true
    )]
    pub(crate) max_pause: Option<OsString>,

    /// Ready answers in a row that count [1]
    #[arg(
        long_help = "Ready answers in a row before a target counts as ready [default: 1]",
        long,
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub(crate) successes: Option<OsString>,

    /// Sleep before the first attempt
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(crate) initial_delay: Option<OsString>,

    /// Sleep a random time up to this at the end
    #[arg(
        long_help = "After success, sleep a random time up to this, so that many Pods do not start at once",
        long,
        value_name = "DURATION",
        allow_hyphen_values = true
    )]
    pub(crate) settle: Option<OsString>,

    /// Probe all targets at once
    #[arg(long)]
    pub(crate) parallel: bool,

    /// One attempt for each target
    #[arg(
        long_help = "One attempt for each target, in order, up to the first that is not ready (--parallel: all)",
        long
    )]
    pub(crate) once: bool,

    /// Print the plan and probe nothing
    #[arg(long_help = "Print the plan, secrets hidden, and probe nothing", long)]
    pub(crate) dry_run: bool,

    /// More trusted roots for TLS
    #[arg(long_help = "More trusted roots for TLS; the Mozilla roots are built in", long, value_name = "PEM")]
    pub(crate) ca_file: Option<OsString>,

    /// Do not verify certificates
    #[arg(long)]
    pub(crate) insecure: bool,

    /// File for the reason when not ready
    #[arg(
        long_help = "File for the reason when not ready; an empty value turns it off [default: /dev/termination-log]",
        long,
        value_name = "PATH"
    )]
    pub(crate) termination_log: Option<OsString>,

    /// text or json [text]
    #[arg(
        long_help = "text or json (one object on each line) [default: text]",
        long,
        value_name = "FORMAT",
        allow_hyphen_values = true
    )]
    pub(crate) log_format: Option<OsString>,

    /// Print only the verdict of a failed run
    #[arg(short, long, overrides_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print a line for each attempt
    #[arg(short, long, overrides_with = "quiet")]
    pub(crate) verbose: bool,

    /// auto, always or never [auto]
    #[arg(long_help = "auto, always or never [default: auto]", long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(crate) color: Option<OsString>,

    /// What a reason's code means
    #[arg(
        long_help = "Print what a reason's code means and what to look at",
        long,
        value_name = "CODE",
        allow_hyphen_values = true
    )]
    pub(crate) explain: Option<OsString>,

    /// Print this help
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// The sentence of the short help.
const SHORT: &str = "Wait until every target is ready, then exit with status 0 or run COMMAND.";

const EXAMPLES: &str = "\
Examples:
  waitgate tcp:mail:25 http://api/ready
  waitgate -t 5m 'postgres://app:$(DB_PASSWORD)@db/shop' -- ./server
  waitgate --once --attempt-timeout=800ms unix:/run/app.sock

waitgate --help explains the targets and lists every expectation.";

/// The beginning of the help. The kinds come after it.
const ABOUT: &str = "\
Wait until every target is ready, then exit with status 0 or run COMMAND.

Each TARGET is an address, followed by optional expectations: ADDRESS#name=value#...
";

/// The end of the help's description.
const ORDER: &str = "
Targets are probed in the order given, until all are ready: exit status 0. Anything else is 1.
A COMMAND after -- then replaces waitgate.";

const AFTER: &str = "\
waitgate replaces $(NAME) in a target or an option's value with that environment variable.
Each option with a value, and --parallel, --quiet and --verbose, can be set as WAITGATE_NAME
(WAITGATE_MAX_PAUSE=5s); the command line wins. Without a TARGET, each line of WAITGATE_TARGETS is one.";

impl Cli {
    /// Parses argv, the program's name first.
    pub(crate) fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let args: Vec<OsString> = args.into_iter().collect();
        let ours = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
        if let Some(why) = args[..ours].iter().skip(1).filter_map(|arg| arg.to_str()).find_map(misspelt) {
            return Err(Usage::Invalid(why));
        }
        if ours + 1 == args.len() {
            return Err(Usage::Invalid(
                "there is no command after -- (expected -- COMMAND, or no --; a variable in its place may be empty)"
                    .into(),
            ));
        }
        let is_long = args[..ours].iter().any(|arg| arg == "--help");
        Self::try_parse_from(args).map_err(|error| match error.kind() {
            // The sections about the kinds are made only for the help.
            ErrorKind::DisplayHelp if is_long => Usage::Asked(Self::long_help().render_help().to_string()),
            ErrorKind::DisplayHelp => Usage::Asked(Self::short_help().render_help().to_string()),
            _ => Usage::from(&error),
        })
    }

    /// The description in the help, with the table of kinds.
    pub(crate) fn about() -> String {
        format!("{ABOUT}{}{ORDER}", kind::help::kinds())
    }

    /// `-h`: one screen of 80 columns.
    fn short_help() -> Command {
        let about = format!("{SHORT}\n\nTargets: ADDRESS#expectation=value#…\n{}", kind::help::forms().trim_end());
        Self::command().about(about).after_help(EXAMPLES)
    }

    /// `--help`: every option and every expectation.
    fn long_help() -> Command {
        let after = format!("{}\n{AFTER}", kind::help::expectations());
        Self::described().after_help(after)
    }

    /// The command line with the longer text of each option, for `--help`, the man page and the completions.
    pub(crate) fn described() -> Command {
        let long = |arg: Arg| match arg.get_long_help().map(ToString::to_string) {
            Some(help) => arg.help(help).long_help(None),
            None => arg,
        };
        Self::command().mut_args(long).about(Self::about())
    }

    /// The options that say where and how to report an error, from a command line that could not be parsed. This
    /// includes --once: in an exec probe the termination log belongs to the application, even if its options are wrong.
    pub(crate) fn unparsed(args: &[OsString]) -> Self {
        let mut cli = Self::default();
        let mut args = args.iter().skip(1).take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
        while let Some(arg) = args.next() {
            let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
            let known = match name {
                "--log-format" => &mut cli.log_format,
                "--termination-log" => &mut cli.termination_log,
                "--color" => &mut cli.color,
                _ => {
                    cli.once |= arg == "--once";
                    cli.dry_run |= arg == "--dry-run";
                    continue;
                }
            };
            *known = value.or_else(|| args.next()).map(OsString::from);
        }
        cli
    }
}

/// What to print instead of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Text that the user asked for, for stdout.
    Asked(String),
    /// What was wrong, for stderr.
    Invalid(String),
}

impl From<&clap::Error> for Usage {
    fn from(error: &clap::Error) -> Self {
        use clap::error::{ContextKind, ContextValue};
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
            _ => None,
        };
        // clap's own sentence would repeat what the user typed, which may hold a secret. This repeats only text that
        // looks like the name of an option.
        let option = context(ContextKind::InvalidArg).map(|arg| arg.split([' ', '=']).next().unwrap_or_default());
        let option = option.filter(|arg| {
            arg.starts_with('-') && arg.len() <= 24 && arg.bytes().all(|b| b == b'-' || b.is_ascii_lowercase())
        });
        Self::Invalid(match (error.kind(), option) {
            (ErrorKind::DisplayVersion, _) => return Self::Asked(error.to_string()),
            (ErrorKind::UnknownArgument, Some(option)) => {
                let meant = meant(option).map(|known| format!(": did you mean --{known}?")).unwrap_or_default();
                format!(
                    "there is no option {option}{meant} (waitgate --help lists the options; the command to run comes after --)"
                )
            }
            (ErrorKind::UnknownArgument, None) => {
                "an argument begins with '-' but is not an option: waitgate --help lists the options".into()
            }
            (ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues, Some(option)) => {
                format!("{option} needs a value: write {option}=VALUE")
            }
            (ErrorKind::TooManyValues, Some(option)) => format!("{option} takes no value: write {option} alone"),
            _ => "expected: waitgate [OPTIONS] <TARGET>... [-- <COMMAND> [ARG]...]; see waitgate --help".into(),
        })
    }
}

/// The long option, without its dashes, whose whole name `name` is. It has more than one letter.
fn long(name: &str) -> Option<String> {
    // The description of all options takes its time. Most targets do not look like one.
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return None;
    }
    let command = Cli::command();
    command.get_arguments().filter_map(clap::Arg::get_long).find(|long| *long == name).map(str::to_owned)
}

/// What is wrong with an argument that is one option to a person and another one to clap.
fn misspelt(arg: &str) -> Option<String> {
    if let Some(rest) = arg.strip_prefix("--") {
        // `- --timeout 5m` in YAML is one argument.
        let known = long(rest.split_once(' ')?.0)?;
        return Some(format!(
            "--{known} and its value are in one argument with a blank between them (expected --{known}=VALUE, or two arguments)"
        ));
    }
    // clap reads `-timeout=5m` as `-t imeout=5m`.
    let name = arg.strip_prefix('-')?.split(['=', ' ']).next().filter(|name| name.len() > 1)?;
    long(name).map(|known| format!("found one dash before an option's long name (expected --{known})"))
}

/// What is wrong with a target that is an option without its dashes: `timeout=5m`.
pub(crate) fn misplaced(target: &str) -> Option<String> {
    let (name, _) = target.split_once('=')?;
    long(name).map(|known| format!("found the name of an option without its dashes (expected --{known}=VALUE)"))
}

/// The long option that differs from `typed` in at most two letters.
fn meant(typed: &str) -> Option<String> {
    let command = Cli::command();
    let known = command.get_arguments().filter_map(clap::Arg::get_long);
    nearest(typed.trim_start_matches('-'), known, 2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, Usage> {
        Cli::from_args(std::iter::once("waitgate").chain(line.split_whitespace()).map(OsString::from))
    }

    fn invalid(line: &str) -> String {
        match parse(line).err().unwrap() {
            Usage::Invalid(text) => text,
            Usage::Asked(text) => panic!("asked: {text}"),
        }
    }

    #[test]
    fn clap_accepts_the_definition() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_be_anywhere_and_the_last_one_wins() {
        assert!(matches!(parse("-q tcp:a:1 -v"), Ok(Cli { quiet: false, verbose: true, .. })));
        let cli = parse("tcp:a:1 -t 5s dns:b --timeout=6s --parallel -- sh -c x --parallel -t").unwrap();
        assert_eq!(cli.timeout.unwrap(), "6s");
        assert_eq!(cli.targets, ["tcp:a:1", "dns:b"]);
        assert_eq!(cli.command, ["sh", "-c", "x", "--parallel", "-t"]);
        assert!(cli.parallel && !cli.once);
    }

    #[test]
    fn an_unparsed_command_line_still_says_where_and_how_to_report() {
        let unparsed = |line: &str| {
            let args: Vec<_> = std::iter::once("waitgate").chain(line.split_whitespace()).map(OsString::from).collect();
            Cli::unparsed(&args)
        };
        let cli =
            unparsed("--timeuot=3s --log-format=text tcp:a:1 --log-format json --termination-log=/x --color never");
        assert_eq!(cli.log_format.unwrap(), "json");
        assert_eq!((cli.termination_log.unwrap(), cli.color.unwrap()), ("/x".into(), "never".into()));
        assert!(unparsed("--wrong --once").once && unparsed("--dry-run --wrong").dry_run);
        let cli = unparsed("--wrong -- --once --log-format=json");
        assert!(!cli.once && cli.log_format.is_none() && cli.termination_log.is_none());
        assert!(unparsed("--wrong --log-format").log_format.is_none());
    }

    #[test]
    fn errors_name_the_option_and_never_repeat_a_value() {
        assert!(invalid("--timeuot=hunter2 tcp:a:1").contains("no option --timeuot: did you mean --timeout?"));
        assert!(!invalid("--timeuot=hunter2 tcp:a:1").contains("hunter2"));
        assert!(!invalid("--Hunter2 tcp:a:1").contains("unter2"));
        assert_eq!(invalid("--once=hunter2"), "--once takes no value: write --once alone");
        assert!(invalid("tcp:a:1 -timeout=hunter2").ends_with("(expected --timeout)"));
        assert!(invalid("tcp:a:1 --").starts_with("there is no command after --"));
        let one_argument = ["waitgate", "--timeout hunter2", "tcp:a:1"].map(OsString::from);
        let Err(Usage::Invalid(one)) = Cli::from_args(one_argument) else { panic!("it is invalid") };
        assert!(one.contains("expected --timeout=VALUE, or two arguments") && !one.contains("hunter2"), "{one}");
        assert_eq!(misplaced("timeout=hunter2").unwrap().rfind("hunter2"), None);
        assert_eq!(misplaced("http://h/?timeout=1"), None);
        assert_eq!(invalid("tcp:a:1 --timeout"), "--timeout needs a value: write --timeout=VALUE");
        assert!(matches!(parse("--help").err().unwrap(), Usage::Asked(text) if text.contains("--max-pause")));
        assert!(matches!(parse("-V").err().unwrap(), Usage::Asked(text) if text.starts_with("waitgate 0.")));
    }
}
