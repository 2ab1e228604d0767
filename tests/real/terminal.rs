//! The live view as a person sees it: tmux at several sizes.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

use regex_lite::Regex;

use crate::support::{Fake, tty::Tmux};

const NONE: &str = "unix:/run/none/app.sock";

/// A line above waitgate's.
const FILLER: &str = "filler";

/// A closed port whose address always has the same length.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.111.111.111:0").unwrap();
    listener.local_addr().unwrap()
}

/// The live view of a screen, its numbers replaced.
fn view(screen: &[String]) -> Vec<String> {
    let time = Regex::new("^waiting {1,6}[0-9ms. ]+s  ").unwrap();
    let attempts = Regex::new("[0-9]+ attempts?( +|$)").unwrap();
    let first = screen.iter().position(|row| row.starts_with("waiting ")).unwrap_or(screen.len());
    let plain = |row: &String| {
        let row = time.replace(row, "waiting TIME  ");
        attempts.replace(&row, "N attempts  ").trim_end().to_owned()
    };
    screen[first..].iter().map(plain).collect()
}

/// What the view of `addr` and [`NONE`] is at a width.
fn expected(addr: SocketAddr, columns: u16) -> Vec<String> {
    let mut rows = vec![format!("waiting TIME  tcp:{addr}  N attempts")];
    let reason = format!("    refused by {addr}: nothing listens on that port here yet");
    match columns {
        60 => rows.push(format!("{}…", &reason[..58])),
        _ => rows.push(reason),
    }
    // As wide as the other, if both are at most a third of the screen.
    let target = if columns > 60 { format!("{NONE:<25}") } else { NONE.to_owned() };
    if columns < 120 {
        rows.push(format!("waiting TIME  {target}  N attempts"));
        rows.push("    there is no /run/none/app.sock".into());
    } else {
        rows.push(format!("waiting TIME  {target}  N attempts  there is no /run/none/app.sock"));
    }
    rows
}

#[track_caller]
fn shows(tmux: &Tmux, addr: SocketAddr, columns: u16) {
    let rows = expected(addr, columns);
    tmux.wait(&format!("at {columns} columns:\n{}\nin", rows.join("\n")), |screen| view(screen) == rows);
}

/// Ends the wait, and checks that the lines alone are left of it: the start, a reason each, the verdict.
#[track_caller]
fn leaves_only_lines(tmux: &Tmux) {
    tmux.press("C-c");
    tmux.wait("an end", |screen| screen.iter().any(|row| row.starts_with("status ")));
    let mut history = tmux.history();
    history.retain(|line| line != FILLER);
    let starts = ["waitgate 0", "", "", "waitgate: interrupted by SIGINT", "status 1"];
    let reasons = Regex::new("^[0-9.ms]+  (tcp|unix):").unwrap();
    let as_wanted = history.len() == starts.len()
        && history.iter().zip(starts).all(|(line, start)| line.starts_with(start))
        && history[1..3].iter().all(|line| reasons.is_match(line));
    assert!(as_wanted, "{}", history.join("\n"));
}

#[test]
fn a_live_view_fits_its_terminal() {
    for columns in [60, 80, 120] {
        let addr = closed();
        let tmux = Tmux::run(columns, 24, ["--parallel", &format!("tcp:{addr}"), NONE]);
        shows(&tmux, addr, columns);
        // The next one takes its place.
        let before = tmux.screen();
        tmux.wait("a later view", |screen| screen != before && view(screen) == expected(addr, columns));
        let history = tmux.history();
        assert_eq!(history.iter().filter(|line| line.starts_with("waiting")).count(), 2, "{}", history.join("\n"));
        assert!(tmux.colours().contains("\x1b[33mwaiting\x1b[39m"), "{:?}", tmux.colours());
        leaves_only_lines(&tmux);
    }
}

#[test]
fn a_resized_terminal_keeps_no_remnants() {
    let addr = closed();
    let target = format!("tcp:{addr}");
    let tmux = Tmux::run(120, 24, ["--parallel", &target, NONE]);
    for columns in [120, 60, 120, 80] {
        tmux.resize(columns, 24);
        shows(&tmux, addr, columns);
    }
    leaves_only_lines(&tmux);
    // More often only where there are lines above: each time tmux scrolls away as many as it wraps, blank rows at the
    // foot or not.
    let tmux = Tmux::after(&format!("yes {FILLER} | head -30;"), 120, 24, ["--parallel", &target, NONE]);
    for columns in [120, 60, 120, 80, 60, 80, 60] {
        tmux.resize(columns, 24);
        shows(&tmux, addr, columns);
    }
    leaves_only_lines(&tmux);
}

/// There is room for one row, of ten columns.
#[test]
fn a_tiny_terminal_keeps_no_remnants() {
    let tmux = Tmux::run(10, 3, [NONE]);
    tmux.wait("one row", |screen| screen.iter().any(|row| row == "waiting …"));
    tmux.resize(80, 24);
    tmux.wait("all rows", |screen| view(screen).len() == 2);
    tmux.press("C-c");
    tmux.wait("an end", |screen| screen.iter().any(|row| row.starts_with("status ")));
    let history = tmux.history();
    assert!(!history.iter().any(|line| line.starts_with("waiting")), "{}", history.join("\n"));
}

#[test]
fn a_line_goes_above_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let tmux = Tmux::run(80, 24, [&format!("unix:{}", path.display()), NONE]);
    let untried = format!("not tried yet    {NONE}");
    tmux.wait("what was not tried", |screen| view(screen).last() == Some(&untried));
    let _listener = UnixListener::bind(&path).unwrap();
    let screen =
        tmux.wait("the other target's turn", |screen| view(screen).first().is_some_and(|row| row.contains(NONE)));
    let above = &screen[..screen.len() - view(&screen).len()];
    assert!(above.iter().any(|row| row.contains("ready after")), "{}", screen.join("\n"));
    assert_eq!(view(&screen).len(), 2, "{}", screen.join("\n"));
}

/// Characters of two columns, of none, and those of which terminals think differently.
#[test]
fn a_servers_words_do_not_break_the_view() {
    let accents = "数据库".repeat(10) + &"e\u{301}\u{302}".repeat(40);
    for (words, part) in [(accents, "数据库"), ("\u{3164}".repeat(40), "says")] {
        let fake = Fake::greeting(format!("{words}\r\n"));
        let tmux = Tmux::run(60, 24, [&format!("tcp:{}#banner=ready", fake.addr)]);
        let shown = |screen: &[String]| view(screen).len() == 2 && view(screen)[1].contains(part);
        let before = tmux.wait("its words", shown);
        tmux.wait("a later view", |screen| screen != before && shown(screen));
        // The start, the reason, and two rows.
        let history = tmux.history();
        assert_eq!(history.len(), 4, "{}", history.join("\n"));
        assert!(history[2].starts_with("waiting"), "{}", history.join("\n"));
    }
}

/// A terminal that gets too small for the view scrolls a part of it into its history, and brings it back when it grows.
#[test]
fn a_terminal_that_was_too_small_for_the_view_keeps_no_remnants() {
    let targets: Vec<String> = (0..5).map(|_| format!("tcp:{}", closed())).collect();
    for sizes in [[(20, 24), (80, 24)].as_slice(), &[(40, 10), (20, 5), (80, 24)]] {
        let mut args = vec!["--parallel"];
        args.extend(targets.iter().map(String::as_str));
        let tmux = Tmux::run(80, 24, args);
        let whole = |screen: &[String]| targets.iter().all(|target| screen.iter().any(|row| row.contains(target)));
        let waiting = |screen: &[String]| screen.iter().filter(|row| row.starts_with("waiting")).count();
        tmux.wait("the view", |screen| waiting(screen) == 5 && whole(screen));
        for (columns, rows) in sizes {
            tmux.resize(*columns, *rows);
            // The live view is drawn five times a second.
            std::thread::sleep(std::time::Duration::from_millis(700));
        }
        tmux.wait("each target once", |screen| waiting(screen) == 5 && whole(screen));
    }
}
