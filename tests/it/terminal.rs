//! When a terminal gets the live view and colour, and a terminal that is not read or goes away.

use std::time::Duration;

use rustix::{
    fs::{OFlags, fcntl_getfl},
    process::Signal,
};

use crate::support::{Fake, Run, free_port, run::Running, tty::Tty};

const NONE: &str = "unix:/run/none/app.sock";

/// What takes the live view off the screen.
const ERASE: &str = "\x1b[J";

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A run of half a second on a terminal.
struct Written {
    tty: Tty,
    running: Running,
}

impl Written {
    fn new(options: &[&str], env: &[(&str, &str)]) -> Self {
        let tty = Tty::new();
        let run = Run::new(options).arg("-t").arg("500ms").arg(NONE).stderr_to(tty.open());
        let running = env.iter().fold(run, |run, (name, value)| run.env(name, value)).start();
        Self { tty, running }
    }

    /// All that it wrote.
    #[track_caller]
    fn text(self) -> String {
        self.running.end().failure();
        self.tty.read()
    }
}

#[test]
fn no_live_view_without_a_person_at_the_terminal() {
    let xterm = ("TERM", "xterm");
    let runs = [
        (vec![], vec![xterm, ("CI", "1")]),
        (vec![], vec![xterm, ("CI", "true")]),
        (vec![], vec![("TERM", "dumb")]),
        (vec![], vec![]),
        (vec!["-q"], vec![xterm]),
        (vec!["-v"], vec![xterm]),
        (vec!["--once"], vec![xterm]),
        (vec!["--log-format=json"], vec![xterm]),
    ]
    .map(|(options, env)| (Written::new(&options, &env), options, env));
    for (written, options, env) in runs {
        let text = written.text();
        assert!(text.contains("there is no /run/none/app.sock"), "{options:?} {env:?}: {text:?}");
        assert!(!text.contains(ERASE), "{options:?} {env:?}: {text:?}");
    }
    let runs = [vec![xterm], vec![xterm, ("CI", "")], vec![xterm, ("CI", "false")]];
    for (written, env) in runs.map(|env| (Written::new(&[], &env), env)) {
        let text = written.text();
        assert!(text.contains(ERASE) && text.contains("waiting"), "{env:?}: {text:?}");
    }
    let piped = Run::new(["-t", "500ms", NONE]).env("TERM", "xterm").env("CLICOLOR_FORCE", "1").end();
    piped.failure().nowhere(ERASE);
}

#[test]
fn colour_where_it_is_wanted() {
    let xterm = ("TERM", "xterm");
    let coloured = |text: &str| text.contains("\x1b[33m");
    let runs = [
        (vec![], vec![xterm], true),
        (vec![], vec![xterm, ("NO_COLOR", "")], true),
        (vec![], vec![xterm, ("NO_COLOR", "1")], false),
        (vec![], vec![xterm, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
        (vec!["--color=always"], vec![xterm, ("NO_COLOR", "1")], true),
        (vec!["--color=never"], vec![xterm], false),
    ]
    .map(|(options, env, wanted)| (Written::new(&options, &env), options, env, wanted));
    for (written, options, env, wanted) in runs {
        let text = written.text();
        assert!(text.contains("waiting "), "{text:?}");
        assert_eq!(coloured(&text), wanted, "{options:?} {env:?}: {text:?}");
    }
    assert!(!coloured(&Written::new(&[], &[("TERM", "dumb")]).text()));
    for (value, wanted) in [("1", true), ("0", false)] {
        let piped = Run::new(["-t", "500ms", NONE]).env("CLICOLOR_FORCE", value).end();
        assert_eq!(coloured(&piped.failure().stderr), wanted, "{piped}");
    }
}

/// A terminal that is writable for poll may have room for less than a line.
#[test]
fn a_terminal_that_is_not_read_holds_nothing_up() {
    let targets: Vec<String> = (0..20).map(|_| format!("tcp:{}", free_port())).collect();
    let runs = [vec!["-t", "5s"], vec!["-v", "-t", "5s"]].map(|options| {
        let (tty, many) = (Tty::new(), ["--parallel", "--max-pause=50ms"]);
        let args = options.iter().chain(&many).map(|option| (*option).to_owned()).chain(targets.clone());
        let file = tty.open();
        let watched = file.try_clone().unwrap();
        (Run::new(args).env("TERM", "xterm").stderr_to(file).start(), tty, watched)
    });
    for (running, tty, watched) in runs {
        running.end().failure().took(secs(5.0)..secs(8.0));
        assert!(!fcntl_getfl(&watched).unwrap().contains(OFlags::NONBLOCK));
        assert!(!tty.read().contains("timed out"), "it was to be full");
    }
    let tty = Tty::new();
    let args = ["-v", "--parallel", "--max-pause=50ms"].map(str::to_owned);
    let running = Run::new(args.into_iter().chain(targets)).stderr_to(tty.open()).start();
    std::thread::sleep(secs(1.0));
    running.signal(Signal::TERM);
    running.end().failure().took(secs(1.0)..secs(3.0));
}

#[test]
fn a_terminal_that_goes_away_changes_nothing() {
    let start = |args: &[&str]| {
        let tty = Tty::new();
        let running = Run::new(args).env("TERM", "xterm").stderr_to(tty.open()).start();
        tty.wait("waiting ");
        drop(tty);
        running
    };
    start(&["-t", "1s", NONE]).end().failure().took(secs(1.0)..secs(3.0));
    let addr = free_port();
    let target = format!("tcp:{addr}");
    let running = start(&[&target]);
    let late = Fake::on(addr, crate::support::fake::linger);
    running.end().success();
    drop(late);
    let addr = free_port();
    let running = start(&[&format!("tcp:{addr}"), "--", "/bin/echo", "ran"]);
    let _late = Fake::on(addr, crate::support::fake::linger);
    running.end().success().stdout_has("ran");
}

/// A session on its own controlling terminal, as in a window or over ssh; `before` is said by its shell.
fn session(tty: &Tty, before: &str, args: &[&str]) -> crate::support::run::Running {
    let script = format!(r#"{before} exec "$@" 2<>{}"#, tty.path());
    let running = Run::new(args).through(["setsid", "--wait", "sh", "-c", &script, "sh"]).env("TERM", "xterm").start();
    tty.wait("waiting ");
    running
}

#[test]
fn a_controlling_terminal_that_goes_away_ends_it() {
    let tty = Tty::new();
    let running = session(&tty, "", &["-t", "20s", NONE]);
    drop(tty);
    running.end().failure().took(secs(0.0)..secs(10.0)).stderr_has("did not exit normally");
}

/// As `nohup` has it.
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let tty = Tty::new();
    let running = session(&tty, "trap '' HUP;", &["-t", "1s", NONE]);
    drop(tty);
    let ended = running.end();
    ended.failure().took(secs(1.0)..secs(3.0)).expect("the verdict's own status", ended.stderr.is_empty());
}
