#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "redis", feature = "tls"))]
mod grammar;
#[cfg(all(
    feature = "amqp",
    feature = "dns",
    feature = "http",
    feature = "kafka",
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "tls"
))]
mod redaction;

use super::options::{TWINS, twin};
use super::*;

fn plan_in(env: &[(&str, &str)], line: &[&str]) -> Result<Plan> {
    let args = std::iter::once("waitgate").chain(line.iter().copied()).map(OsString::from);
    let cli = Cli::from_args(args).map_err(|usage| anyhow!("{usage:?}"))?;
    Plan::new(&cli, &env.iter().copied().collect())
}

fn plan(line: &[&str]) -> Result<Plan> {
    plan_in(&[], line)
}

fn error(env: &[(&str, &str)], line: &[&str]) -> String {
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
fn argv_wins_over_the_twin_and_the_target_wins_over_both() {
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
fn an_error_names_the_option_or_target() {
    assert!(error(&[], &[]).contains("give at least one target"));
    assert!(error(&[], &["tcp:a:1", "htp://b"]).starts_with("target 2: the kind before"));
    #[cfg(feature = "http")]
    assert!(error(&[], &["htp://b"]).contains("did you mean http:?"));
    assert!(error(&[], &["--timeout=30", "tcp:a:1"]).starts_with("--timeout: found a number without a unit"));
    assert!(error(&[("WAITGATE_TIMEOUT", "x")], &["tcp:a:1"]).starts_with("WAITGATE_TIMEOUT: the units are"));
    assert!(error(&[("WAITGATE_PARALLEL", "yes")], &["tcp:a:1"]).contains("true, false, 1 or 0"));
    assert!(error(&[], &["--initial-delay=5s", "-t5s", "tcp:a:1"]).contains("leaves no time"));
    let both = [("WAITGATE_QUIET", "1"), ("WAITGATE_VERBOSE", "1")];
    assert!(error(&both, &["tcp:a:1"]).contains("contradict"));
    assert_eq!(plan_in(&both, &["tcp:a:1", "-q", "-v"]).unwrap().verbosity, Verbosity::Verbose);
    assert!(error(&[], &["--max-pause=0", "tcp:a:1"]).contains("zero"));
    assert!(error(&[], &["--timeout=$(T)", "tcp:a:1"]).contains("$(T) is not set"));
    assert!(error(&[], &["env:URL"]).contains("URL is not set"));
    assert!(error(&[], &["db:5432"]).contains("kind before the first colon"));
}

#[test]
fn an_env_target_is_one_whole_target() {
    let plan = plan_in(&[("ADDR", "tcp:db:5432\n")], &["env:ADDR#hold=0#successes=2"]).unwrap();
    assert_eq!(plan.targets[0].shown, "tcp:db:5432#hold=0#successes=2");
    let hold = error(&[("ADDR", "tcp:db:5432#hold=0")], &["env:ADDR"]);
    assert!(hold.contains("found #hold in its value") && hold.contains("env:ADDR#hold as the target"), "{hold}");
    let port = error(&[("ADDR", "tcp:db:5432#x")], &["env:ADDR"]);
    assert!(port.contains("not a number") && port.contains("written env:ADDR#name=value"), "{port}");
    assert!(error(&[("ADDR", "env:B"), ("B", "tcp:db:1")], &["env:ADDR"]).contains("is not followed"));
    assert!(error(&[("ADDR", "")], &["env:ADDR"]).contains("or it is empty"));
}

#[test]
fn once_and_dry_run_do_not_write_the_termination_log() {
    assert_eq!(plan(&["--once", "tcp:a:1"]).unwrap().termination_log, None);
    assert_eq!(plan(&["--once", "--termination-log=/x", "tcp:a:1"]).unwrap().termination_log, Some("/x".into()));
    assert_eq!(plan(&["--termination-log=", "tcp:a:1"]).unwrap().termination_log, None);
    let twin = [("WAITGATE_TERMINATION_LOG", "/y")];
    assert_eq!(plan_in(&twin, &["tcp:a:1"]).unwrap().termination_log, Some("/y".into()));
    assert_eq!(plan_in(&twin, &["--dry-run", "tcp:a:1"]).unwrap().termination_log, None);
}

#[test]
fn unknown_variables_give_a_warning_but_not_those_of_the_kubelet() {
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
    let mut twins: Vec<_> = options.map(twin).collect();
    twins.sort_unstable();
    let mut known: Vec<_> = TWINS.iter().copied().map(Some).collect();
    known.sort_unstable();
    assert_eq!(twins, known, "every option but those has its twin, and every twin its option");
    assert_eq!(twin("max-pause"), Some("WAITGATE_MAX_PAUSE"));
}

#[cfg(all(feature = "http", feature = "postgres"))]
#[test]
fn an_expectation_in_the_value_of_a_variable_is_an_error() {
    for (value, name) in [
        ("postgres://db/app#role=primary", "#role"),
        ("http://api/#status=500", "#status"),
        ("http://api/#header=X:a@b", "#header"),
        ("tcp:db:5432#timeout=1m", "#timeout"),
        ("HTTP://api/#follow", "#follow"),
    ] {
        let error = error(&[("URL", value)], &["env:URL"]);
        assert!(error.contains(&format!("found {name} in its value")), "{value}: {error}");
    }
    // In a password and in a fragment that is no expectation, a `#` means nothing to waitgate.
    for value in ["postgres://app:a#role=b@db/app", "http://api/#top"] {
        assert!(plan_in(&[("URL", value)], &["env:URL"]).is_ok(), "{value}");
    }
}

#[test]
fn an_attempt_has_time_for_what_it_waits_for() {
    for line in ["tcp:a:1#hold=5s", "tcp:a:1#hold=3s", "unix:/a#hold=24h", "tcp:a:1#hold=1s#attempt-timeout=1s"] {
        assert!(error(&[], &[line]).contains("it could never be ready"), "{line}");
    }
    assert!(error(&[], &["--attempt-timeout=50ms", "tcp:a:1"]).contains("waits 50ms (#hold) and has at most 50ms"));
    for line in ["tcp:a:1#hold=5s#attempt-timeout=6s", "tcp:a:1#hold=2s", "tcp:a:1#gone#attempt-timeout=20ms"] {
        assert!(plan(&[line]).is_ok(), "{line}");
    }
}

#[test]
fn gone_is_counted_three_times_or_more() {
    let successes = |line: &[&str]| plan(line).unwrap().targets[0].successes;
    assert_eq!(successes(&["tcp:a:1#gone"]), 3);
    assert_eq!(successes(&["tcp:a:1#gone", "--successes=5"]), 5);
    assert_eq!(successes(&["tcp:a:1#gone", "--successes=2"]), 3);
    assert_eq!(successes(&["tcp:a:1#gone#successes=1", "--successes=5"]), 1);
}

#[test]
fn targets_may_come_from_a_variable() {
    let list = [("WAITGATE_TARGETS", "\n# the database\ntcp:$(H):1\r\n\n  tcp:b:2#hold=0\n"), ("H", "db")];
    let plan = plan_in(&list, &[]).unwrap();
    let shown: Vec<_> = plan.targets.iter().map(|target| target.shown.as_str()).collect();
    assert_eq!(shown, ["tcp:db:1", "tcp:b:2#hold=0"]);
    assert!(plan.warnings.is_empty());
    assert_eq!(plan_in(&list, &["tcp:c:3"]).unwrap().targets.len(), 1, "argv wins");
    assert!(error(&[("WAITGATE_TARGETS", "tcp:a:1\n#\ntcp:b")], &[]).starts_with("WAITGATE_TARGETS, line 3: "));
    assert!(error(&[("WAITGATE_TARGETS", "# none\n")], &[]).contains("no target is given"));
}

#[test]
fn slips_are_named() {
    for (target, says) in [
        ("\u{feff}tcp:a:1", "byte order mark"),
        ("\"tcp:a:1\"", "quotation mark"),
        ("'tcp:a:1'", "quotation mark"),
        (" tcp:a:1", "blank at the start"),
        ("waitgate", "the image starts waitgate already"),
        ("/usr/local/bin/waitgate", "the image starts waitgate already"),
        ("localhost:5432", "write tcp:localhost:PORT"),
        ("db:5432#hold=0", "write tcp:HOST:PORT"),
        ("timeout=5m", "expected --timeout=VALUE"),
        ("tcp:$$(HOST):1", "only Kubernetes turns $$( into $("),
        ("tcp:a:1#hold=50", "did you mean 50s or 50ms?"),
        ("stan://a:1", "write tcp: before the whole URL"),
        ("tcp:${DB_HOST:-db}:5432", "without a default"),
        ("tcp:db:${PORT:-1}", "without a default"),
        ("tcp:db.$(cat /x/namespace).svc:1", "found by its short name"),
        ("unix:${RUN:-/run}/a.sock", "without a default"),
        ("tcp:a:1#successes=4294967296", "too large"),
    ] {
        let error = error(&[], &[target]);
        assert!(error.starts_with("target 1: ") && error.contains(says), "{target}: {error}");
    }
    assert!(error(&[("U", "\"tcp:a:1\"")], &["env:U"]).contains("env:U: its value: found a quotation mark"));
    assert!(error(&[("U", " tcp:a:1")], &["env:U"]).contains("found a blank"));
    for keywords in ["host=db port=5432 password=hunter2", "Server=db;Password=hunter2;Database=x"] {
        let message = error(&[("U", keywords)], &["env:U"]);
        assert!(message.contains("keywords such as host=") && !message.contains("hunter2"), "{message}");
    }
    assert!(error(&[], &["--timeout=$$(T)", "tcp:a:1"]).starts_with("--timeout: found $$(NAME)"));
}

#[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
#[test]
fn slips_in_addresses_of_other_kinds_are_named() {
    for (target, says) in [
        ("http://${HOST:-db}/", "without a default"),
        ("postgres:${HOST:-db}:5432", "without a default"),
        ("dns:db.$(cat /x/namespace).svc", "found by its short name"),
        ("http://db.$(cat /x/namespace).svc/", "found by its short name"),
        ("http://[::1:80/", "IPv6 address"),
        ("db+postgresql://app@db/shop", "leave out what comes before postgresql:"),
        ("r2dbc:pool:postgresql://db/shop", "leave out what comes before postgresql:"),
    ] {
        let error = error(&[], &[target]);
        assert!(error.starts_with("target 1: ") && error.contains(says), "{target}: {error}");
    }
    let address = [("ADDR", "cache:6379"), ("LOGIN", "app:hunter2")];
    for (target, says) in [
        ("http://$(ADDR)/", "a port in the host's variable"),
        ("postgres://$(ADDR)/x", "a port in the host's variable"),
        ("http://$(LOGIN)@db/", "one variable for each"),
    ] {
        let message = error(&address, &[target]);
        assert!(message.contains(says) && !message.contains("hunter2"), "{target}: {message}");
    }
    // In a password these characters are meant as they are.
    let message = error(&[("U", "postgres://app:$(a b)@db/shop")], &["env:U"]);
    assert!(message.contains("found a blank"), "{message}");
    for target in ["postgres://app:${x@db/shop", "http://app:${x@db/a/${b}"] {
        assert!(plan(&[target]).is_ok(), "{target}");
    }
}

#[test]
fn twins_take_a_line_break_and_matter_only_without_their_flag() {
    let broken = [
        ("WAITGATE_QUIET", "bad"),
        ("WAITGATE_VERBOSE", "bad"),
        ("WAITGATE_PARALLEL", "bad"),
        ("WAITGATE_TIMEOUT", "bad"),
    ];
    assert!(plan_in(&broken, &["-v", "--parallel", "-t", "5s", "tcp:a:1"]).is_ok());
    let lines = [
        ("WAITGATE_SUCCESSES", "2\n"),
        ("WAITGATE_PARALLEL", "true\n"),
        ("WAITGATE_LOG_FORMAT", "json\r\n"),
        ("WAITGATE_TIMEOUT", "5m\n"),
    ];
    let plan = plan_in(&lines, &["tcp:a:1"]).unwrap();
    assert!(plan.parallel && plan.format == Format::Json && plan.targets[0].successes == 2);
    assert_eq!(plan_in(&[], &["-t 5m", "tcp:a:1"]).unwrap().timeout, Some(Duration::from_secs(300)));
    let delay = error(&[("WAITGATE_INITIAL_DELAY", "20m")], &["tcp:a:1"]);
    assert!(delay.starts_with("WAITGATE_INITIAL_DELAY 20m leaves no time within --timeout 15m"), "{delay}");
    let flags = plan_in(&[("WAITGATE_ONCE", "true"), ("WAITGATE_DRY_RUN", "1")], &["tcp:a:1"]).unwrap();
    assert!(flags.warnings[0].contains("--dry-run is a flag of the command line only"), "{:?}", flags.warnings);
    assert!(flags.warnings[1].contains("--once is a flag"));
}

#[cfg(feature = "tls")]
#[test]
fn a_file_is_named_by_its_path_as_it_is_written() {
    let key = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let pem = error(&[("CA", key)], &["--ca-file=$(CA)", "tcp:a:1"]);
    assert!(pem.starts_with("--ca-file: found PEM text") && !pem.contains("MIIB"), "{pem}");
    assert!(error(&[("P", key)], &["unix:/$(P)"]).contains("found PEM text or a line break"));
    let plan = plan_in(&[("CA", "/x/ca.pem")], &["--ca-file=$(CA)", "tcp:a:1"]).unwrap();
    assert_eq!(plan.ca_file.unwrap().0, "--ca-file $(CA)");
}
