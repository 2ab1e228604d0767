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
    assert!(hold.contains("not a number") && hold.contains("written env:ADDR#name=value"), "{hold}");
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
