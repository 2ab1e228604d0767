//! The command line: what it prints when asked, and how the environment fills it.

use std::fs;

use crate::support::{Fake, Run, free_port};

/// A plan of this target with these options and this environment, as `--dry-run` prints it.
#[track_caller]
fn plan(args: &[&str], env: &[(&str, &str)]) -> crate::support::run::Ended {
    let run = env.iter().fold(Run::new(args).arg("--dry-run"), |run, (name, value)| run.env(name, value));
    let ended = run.end();
    ended.success();
    ended
}

#[test]
fn help_is_on_stdout() {
    for flag in ["--help", "-h"] {
        let ended = Run::new([flag]).end();
        ended.success().stdout_has("waitgate [OPTIONS] <TARGET>").stdout_has("--attempt-timeout");
        ended.expect("nothing on stderr", ended.stderr.is_empty());
    }
}

/// `-h` fits on a screen of 80 columns.
#[test]
fn the_short_help_is_short() {
    let ended = Run::new(["-h"]).end();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    ended.expect("at most 40 lines of 80 columns", lines.len() <= 40 && lines.iter().all(|line| line.len() <= 80));
    ended.stdout_has("waitgate --help").nowhere("#banner=");
    Run::new(["--help"]).end().stdout_has("#banner=TEXT").stdout_has("Any target:");
}

#[test]
fn version_is_on_stdout() {
    for flag in ["--version", "-V"] {
        let ended = Run::new([flag]).end();
        ended.success().stdout_has(env!("CARGO_PKG_VERSION"));
        ended.expect("one line", ended.stdout.lines().count() == 1);
        ended.expect("nothing on stderr", ended.stderr.is_empty());
    }
}

/// Every option of the contract is in the help, and what is not there yet is not.
#[test]
fn help_names_every_option() {
    let help = Run::new(["--help"]).end();
    for option in [
        "--timeout",
        "--attempt-timeout",
        "--connect-timeout",
        "--max-pause",
        "--successes",
        "--initial-delay",
        "--settle",
        "--parallel",
        "--once",
        "--dry-run",
        "--ca-file",
        "--insecure",
        "--termination-log",
        "--quiet",
        "--verbose",
        "--help",
        "--version",
    ] {
        help.stdout_has(option);
    }
}

#[test]
fn options_stand_before_or_after_targets() {
    plan(&["--timeout=7m", "tcp:h:1"], &[]).stdout_has("7m");
    plan(&["tcp:h:1", "--timeout", "7m"], &[]).stdout_has("7m");
    plan(&["tcp:h:1", "-t", "7m", "tcp:i:2"], &[]).stdout_has("7m").stdout_has("tcp:i:2");
}

#[test]
fn later_flags_override_earlier_ones() {
    let ended = plan(&["-t", "7m", "tcp:h:1", "-t", "11m"], &[]);
    ended.stdout_has("11m").nowhere("7m");
}

#[test]
fn default_timeout_is_15m() {
    plan(&["tcp:h:1"], &[]).stdout_has("15m");
}

#[test]
fn twins_set_what_flags_leave_open() {
    let twin = [("WAITGATE_TIMEOUT", "7m")];
    plan(&["tcp:h:1"], &twin).stdout_has("7m");
    plan(&["tcp:h:1", "--timeout=11m"], &twin).stdout_has("11m").nowhere("7m");
}

/// `env: [{name: WAITGATE_TIMEOUT, value: ""}]` is how a chart says "the default".
#[test]
fn empty_twin_is_unset() {
    let ended = plan(&["tcp:h:1"], &[("WAITGATE_TIMEOUT", ""), ("WAITGATE_PARALLEL", "")]);
    ended.stdout_has("15m");
    ended.expect("no warning", ended.stderr.is_empty());
}

#[test]
fn boolean_twins_are_spelt_four_ways() {
    let closed = format!("tcp:{}", free_port());
    let fake = Fake::silent();
    let open = format!("tcp:{}", fake.addr);
    // With --parallel, --once tries the second target too.
    for (value, hits) in [("true", 1), ("1", 2), ("false", 2), ("0", 2)] {
        Run::new(["--once", &closed, &open]).env("WAITGATE_PARALLEL", value).end().failure();
        assert_eq!(fake.hits(), hits, "WAITGATE_PARALLEL={value}");
    }
}

#[test]
fn unknown_twin_warns_and_names_the_nearest() {
    let ended = plan(&["tcp:h:1"], &[("WAITGATE_TIMEOT", "hunter2")]);
    ended.stderr_has("WAITGATE_TIMEOT").stderr_has("WAITGATE_TIMEOUT").nowhere("hunter2");
}

/// A Service called `waitgate` puts these into every Pod of its namespace.
#[test]
fn service_links_do_not_warn() {
    let links = [
        ("WAITGATE_PORT", "tcp://10.0.0.1:80"),
        ("WAITGATE_SERVICE_HOST", "10.0.0.1"),
        ("WAITGATE_SERVICE_PORT", "80"),
        ("WAITGATE_SERVICE_PORT_HTTP", "80"),
        ("WAITGATE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("WAITGATE_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    let ended = plan(&["tcp:h:1"], &links);
    ended.expect("no warning", ended.stderr.is_empty());
}

#[test]
fn rust_log_is_not_read() {
    let fake = Fake::silent();
    let target = format!("tcp:{}", fake.addr);
    let plain = Run::new([&target]).end();
    let loud = Run::new([&target]).env("RUST_LOG", "trace").end();
    assert_eq!(plain.stderr.lines().count(), loud.stderr.lines().count(), "{plain}{loud}");
}

#[test]
fn names_are_filled_from_the_environment() {
    let fake = Fake::silent();
    Run::new(["--once", "tcp:$(DB_HOST):$(DB_PORT)"])
        .env("DB_HOST", fake.ip().to_string())
        .env("DB_PORT", fake.port().to_string())
        .end()
        .success();
    assert_eq!(fake.hits(), 1);
    plan(&["--timeout=$(WAIT)", "tcp:h:1"], &[("WAIT", "7m")]).stdout_has("7m");
}

#[test]
fn env_target_takes_the_whole_value() {
    let fake = Fake::silent();
    let value = format!("tcp:{}", fake.addr);
    Run::new(["--once", "env:UPSTREAM"]).env("UPSTREAM", &value).end().success();
    Run::new(["--once", "env:UPSTREAM#hold=10ms"]).env("UPSTREAM", value).end().success();
    assert_eq!(fake.hits(), 2);
}

/// A password in a Secret's `DATABASE_URL` may hold a raw `#`: the value is never split there.
#[cfg(feature = "postgres")]
#[test]
fn env_target_is_not_split_at_a_hash() {
    let url = "postgres://app:hun#timeout=ter2@db/app";
    let ended = Run::new(["--dry-run", "env:DATABASE_URL"]).env("DATABASE_URL", url).end();
    ended.success().stdout_has("db").nowhere("hun").nowhere("ter2");
}

#[test]
fn dry_run_prints_the_plan_and_probes_nothing() {
    let fake = Fake::silent();
    let target = format!("tcp:{}#hold=123ms", fake.addr);
    let ended = Run::new(["--dry-run", "--max-pause=777ms", &target]).end();
    ended.success().stdout_has(&fake.addr.to_string()).stdout_has("123ms").stdout_has("777ms");
    assert_eq!(fake.hits(), 0);
}

/// The plan of a wrong line is an error, like the run would be.
#[test]
fn dry_run_refuses_what_a_run_refuses() {
    Run::new(["--dry-run", "tcp:h"]).end().failure().silent_stdout().stderr_has("tcp:HOST:PORT");
}

#[cfg(all(feature = "http", feature = "postgres"))]
#[test]
fn dry_run_hides_secrets() {
    let ended = Run::new([
        "--dry-run",
        "postgres://app:hunter2@db/app",
        "postgres://app:$(DB_PASSWORD)@db/app",
        "http://user:hunter2@api/x?token=hunter2",
        "http://api/#header=Authorization:Bearer hunter2",
        "http://api/#method=POST#data=hunter2",
        "env:DATABASE_URL",
    ])
    .env("DB_PASSWORD", "hunter2")
    .env("DATABASE_URL", "postgres://app:hunter2@db/app?password=hunter2")
    .end();
    ended.success().stdout_has("db").stdout_has("api").nowhere("hunter2");
}

#[test]
fn an_option_says_that_it_is_unknown_without_its_value() {
    let ended = Run::new(["tcp:h:1", "--password=hunter2"]).end();
    ended.failure().silent_stdout().stderr_has("--password").nowhere("hunter2");
}

#[test]
fn an_option_with_few_values_names_them() {
    for (option, known) in [("--log-format=hunter2", "text or json"), ("--color=hunter2", "auto, always or never")] {
        let ended = Run::new([option, "tcp:h:1"]).end();
        ended.failure().stderr_has(&format!("found an unknown value (expected {known})")).nowhere("hunter2");
    }
}

/// The plan says how each target is understood.
#[cfg(feature = "postgres")]
#[test]
fn dry_run_says_when_each_target_is_ready() {
    let targets = [
        "tcp:h:1",
        "unix:/s#gone",
        "tcp:h:2#hold=1s#timeout=9s",
        "file:/f",
        "postgres:h:3",
        "postgres://u:p@h/d",
        "postgres://a,b/d?target_session_attrs=read-write",
    ];
    let ended = plan(&targets, &[]);
    #[cfg(feature = "dns")]
    plan(&["dns:db?type=SRV", "dns:db"], &[])
        .stdout_has("ready when the name has a record of type SRV\n")
        .stdout_has("ready when the name has an address\n");
    for line in [
        "ready when a connection is accepted and stays open\n",
        "ready when it is gone\n",
        "stays open, as changed by #hold\n",
        "ready when the file exists\n",
        "ready when the server accepts connections\n",
        "ready when the login works\n",
        "ready when the login works, and the server takes writes\n",
    ] {
        ended.stdout_has(line);
    }
}

#[test]
fn dry_run_warns_in_the_format_of_the_log() {
    let ended = plan(&["--log-format=json", "tcp:h:1"], &[("WAITGATE_TIMEOT", "1m")]);
    let warning: serde_json::Value = serde_json::from_str(ended.stderr.trim()).unwrap();
    assert_eq!(warning["event"], "warning");
}

#[test]
fn text_that_cannot_be_written_is_an_error() {
    let full = Run::new(["--help"]).shell(r#"exec "$@" >/dev/full"#).end();
    full.failure().stderr_has("cannot write to stdout: no space left on device");
}

/// What came out of a variable is not printed, not even in the words of a server or for a file that cannot be read.
#[test]
fn a_secret_that_comes_back_is_hidden() {
    let fake = Fake::greeting("no such token: hunter2\r\n");
    for format in ["text", "json"] {
        let run = Run::new(["--once", "-v", "--log-format", format, &format!("tcp:{}#banner=ok $(TOKEN)", fake.addr)]);
        let ended = run.env("TOKEN", "hunter2").end();
        ended.failure().stderr_has("no such token: ***").nowhere("hunter2");
    }
    let missing = Run::new(["--once", "unix:/nowhere/$(TOKEN)"]).env("TOKEN", "hunter2").end();
    missing.failure().stderr_has("/nowhere/$(TOKEN)").nowhere("hunter2");
    #[cfg(feature = "tls")]
    {
        let file = Run::new(["--ca-file=/nowhere/$(TOKEN)", "tcp:h:1"]).env("TOKEN", "hunter2").end();
        file.failure().stderr_has("--ca-file /nowhere/$(TOKEN)").nowhere("hunter2");
    }
}

/// Characters that change the direction of a text, that have no width, or that are tags.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
const UNSEEN: &str = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\
    \u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{feff}\u{e0000}\u{e0001}\u{e0041}\u{e007f}\u{61c}\u{180e}";

/// In what a server says, in the content and the name of a file, in a target, in a name of the environment, in wrong
/// input: whatever is printed, and in each format.
#[cfg(all(feature = "dns", feature = "http", feature = "postgres", feature = "tls"))]
#[test]
fn text_that_cannot_be_seen_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("f{UNSEEN}")).display().to_string();
    fs::write(&file, format!("{{\"a\":\"x{UNSEEN}\"}}")).unwrap();
    let log = folder.path().join("log");
    let banner = Fake::greeting(format!("a{UNSEEN}\r\n"));
    let web = Fake::answering(format!("HTTP/1.1 404 a{UNSEEN}\r\nContent-Length: 0\r\n\r\n"));
    let away = Fake::answering(format!("HTTP/1.1 302 x\r\nLocation: http://a{UNSEEN}/\r\nContent-Length: 0\r\n\r\n"));
    let database = Fake::postgres_error("XX000", &format!("a{UNSEEN}"));
    // Each with whether the characters are in what it prints, so that the test cannot pass by silence.
    for (target, shown) in [
        (format!("tcp:{}#banner=x", banner.addr), true),
        (format!("tcp:{}#banner=x{UNSEEN}", banner.addr), true),
        (format!("http://{}/", web.addr), false),
        (format!("http://{}/{UNSEEN}", web.addr), true),
        (format!("http://{}/#body=x{UNSEEN}", web.addr), true),
        (format!("http://{}/#header=x:@{file}", web.addr), false),
        (format!("http://{}/#follow", away.addr), false),
        (format!("postgres://a@{}/d{UNSEEN}?sslmode=disable#login", database.addr), true),
        (format!("unix:/nowhere{UNSEEN}"), true),
        (format!("file:{file}#json=/a=b"), true),
        (format!("file:{file}#json=/{UNSEEN}=b"), true),
        (format!("dns:{UNSEEN}"), false),
        (format!("env:{UNSEEN}"), false),
        (format!("{UNSEEN}:a"), false),
        (format!("tcp:a:1#{UNSEEN}=1"), false),
    ] {
        for options in ["-v", "-q", "--log-format=json -v", "--dry-run", "--dry-run --log-format=json"] {
            fs::write(&log, "").unwrap();
            let run = Run::new(["--once", &target]).env(format!("WAITGATE_{UNSEEN}"), "1");
            let run = options.split(' ').fold(run, Run::arg).arg("--termination-log").arg(&log);
            let ended = run.end();
            let message = fs::read_to_string(&log).unwrap();
            for hidden in UNSEEN.chars() {
                ended.nowhere(&hidden.to_string());
                assert!(!message.contains(hidden), "{message}");
            }
            if shown && !options.contains("json") && !options.contains("dry") {
                ended.stderr_has("\\u{202a}\\u{202b}\\u{202c}");
            }
            if shown && options == "-v" {
                ended.stderr_has("WAITGATE_\\u{202a}");
            }
        }
    }
}

#[test]
fn a_single_attempt_is_announced_as_one() {
    for (options, targets, starts) in [
        ("", 1, "try 1 target once, within 15m:\n"),
        ("", 2, "try 2 targets once each, in this order, up to the first that is not ready, within 15m:\n"),
        ("--parallel", 2, "try 2 targets once each, all at once, within 15m:\n"),
    ] {
        let targets = vec!["tcp:127.0.0.1:1"; targets];
        let run = || Run::new(targets.iter().copied().chain(options.split_whitespace())).arg("--once");
        run().arg("--dry-run").end().success().stdout_has(starts);
    }
    let start = |targets: &[&str]| Run::new(targets).arg("--once").arg("-v").end().stderr;
    let one = concat!("waitgate ", env!("CARGO_PKG_VERSION"), ": trying 1 target once, within 15m\n");
    assert!(start(&["tcp:127.0.0.1:1"]).starts_with(one));
    let two =
        concat!("waitgate ", env!("CARGO_PKG_VERSION"), ": trying 2 targets once each, in order, without a timeout\n");
    assert!(start(&["-t0", "tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]).starts_with(two));
}

/// An application's URL of a server that waitgate has no kind for: its host and port are still of use.
#[test]
fn urls_of_other_servers() {
    let env = |value: &str| Run::new(["env:URL"]).env("URL", value).end();
    for url in ["nats://app:hunter2@nats:4222", "stan://b:4222", "MQTT+SSL://u:hunter2@broker:8883/x?hunter2#hunter2"] {
        let ended = env(url);
        ended.failure().stderr_has("env:URL: its value is a URL of a kind that waitgate does not have");
        ended.stderr_has("write tcp:$(URL) to wait for its host and port").nowhere("hunter2").nowhere("broker");
    }
    env("foodb+srv://u:hunter2@x.test/").failure().stderr_has("dns:").stderr_has("type=SRV").nowhere("hunter2");
    let ended = env("httpx://u:hunter2@x/");
    ended.failure().nowhere("hunter2");
    if cfg!(feature = "http") {
        ended.stderr_has("did you mean http:?");
    }
    env("udp://x:53").failure().stderr_has("no probe can tell");
    let ended = Run::new(["nats://app:hunter2@nats:4222"]).end();
    ended.failure().stderr_has("write tcp: before the whole URL").nowhere("hunter2");
    Run::new(["--dry-run", "tcp:nats://app:hunter2@nats:4222"]).end().success().nowhere("hunter2");
    if cfg!(feature = "postgres") {
        Run::new(["--dry-run", "psql://app@db/shop"]).end().success();
    }
}
