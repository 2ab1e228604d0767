//! The man page: the command line's description, and the sections that it does not have.

use std::fmt::Write as _;

use clap::Command;
use clap_mangen::Man;

use crate::support::{Run, door};

/// Command lines for a shell, each with what it does.
const EXAMPLES: &[(&str, &str)] = &[
    ("waitgate tcp:mail:25 http://api/ready", "Wait for a port, then for a page that is answered with 200 to 399."),
    (
        "waitgate --timeout=5m 'postgres://app:$(DB_PASSWORD)@db/shop' -- ./server",
        "Wait for at most 5 minutes until the login works, then become ./server. waitgate replaces $(DB_PASSWORD) itself, \
         so the password is in no argument.",
    ),
    (
        "waitgate 'http://api/health#status=200#json=/database/state=up'",
        "Wait until the answer has status 200 and a JSON body that says so.",
    ),
    (
        "waitgate 'tcp:redis:6379#send=PING%0D%0A#banner=+PONG'",
        "Say PING to Redis and wait for its answer. A Redis that still loads its data answers otherwise.",
    ),
    ("waitgate 'dns:db-headless#min=3'", "Wait until the name has three addresses."),
    (
        "waitgate --parallel --log-format=json tcp:a:80 tcp:b:80",
        "Wait for both at the same time. Print one JSON object on each line.",
    ),
    (
        "waitgate --once --attempt-timeout=800ms unix:/run/app.sock",
        "Look once, for a health check or an exec probe that has one second.",
    ),
    ("waitgate --dry-run env:DATABASE_URL", "Show how a target is understood. Nothing is connected to."),
    ("waitgate --explain connect.refused", "Explain a code that the log shows in brackets."),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Every target is ready. Also after --help, --version, --dry-run and --explain."),
    (
        "1",
        "Anything else: the time was up, a signal ended the wait, a target is not ready (--once), or the command line is \
         wrong. The last line on standard error says which. With --log-format=json its field \"verdict\" does.",
    ),
    ("other", "After -- COMMAND has replaced waitgate, the status is that of COMMAND."),
];

/// The variables beside the options' twins and those of libpq.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "NAME",
        "Any variable that $(NAME) in a target or in an option's value names, or env:NAME. It is an error if it is not \
         set.",
    ),
    ("PATH", "Where COMMAND is looked up."),
    ("NO_COLOR", "If it is not empty, the log has no colors."),
    ("CLICOLOR_FORCE", "If it is neither empty nor 0, the log has colors, even if it does not go to a terminal."),
    ("TERM", "If it is dumb, the log has no colors. If it is dumb, empty or not set, there is no live view."),
    ("CI", "If it is neither empty nor false, there is no live view."),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "A file and folders with PEM certificates. They are trusted beside the Mozilla roots and those of --ca-file.",
    ),
    (
        "http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY, no_proxy, NO_PROXY",
        "The proxy of a target with the expectation #proxy, and the hosts that need none. Other targets do not use a proxy.",
    ),
    (
        "KUBERNETES_SERVICE_HOST, NAME_SERVICE_HOST",
        "The kubelet sets them. They are evidence for the hints about a cluster, and no address is taken from them.",
    ),
];

/// Text for a line of roff: hyphens that can be pasted, no macro at its beginning.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

fn entries(out: &mut String, entries: &[(&str, &str)]) {
    for (term, text) in entries {
        let _ = writeln!(out, ".TP\n\\fB{}\\fR\n{}", roff(term), roff(text));
    }
}

/// The options' variables, those of libpq, and the rest.
fn environment(out: &mut String) {
    // \% keeps a name in one piece.
    let bold = |names: Vec<&str>| names.iter().map(|name| format!("\\fB\\%{name}\\fR")).collect::<Vec<_>>().join(", ");
    let (targets, options): (Vec<_>, Vec<_>) = door::twins().into_iter().partition(|name| *name == "WAITGATE_TARGETS");
    let _ = writeln!(
        out,
        ".TP\n{}\nWithout a TARGET on the command line, each line of the value is one. A line that begins with # is a comment.",
        bold(targets)
    );
    let _ = writeln!(
        out,
        ".TP\n{}\nThe options of the same names. The command line wins, and an empty value is as none. \
         A flag is set by true or 1.",
        bold(options)
    );
    entries(out, ENVIRONMENT);
    let _ = writeln!(
        out,
        ".TP\n{}\nThe parameters of libpq that a postgres: target leaves out, as in libpq. docs/postgres.md says what \
         waitgate does with each.",
        bold(door::postgres_variables())
    );
}

pub(super) fn page(command: Command) -> String {
    let about = command.get_about().expect("an about").to_string();
    let (name, description) = about.split_once(".\n\n").expect("a sentence, then the rest");
    let command = command.about(name.replacen('W', "w", 1)).long_about(description.to_owned());
    let version = format!("waitgate {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title("WAITGATE").source(version).manual("User Commands");

    let mut bytes = Vec::new();
    let parts = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    for part in parts {
        part(&man, &mut bytes).expect("a part of the page");
    }
    let page = String::from_utf8(bytes).expect("text");
    // clap_mangen writes no quotes round an empty date, so each field after it would be in the place before its own.
    let page = page.replacen(".TH WAITGATE 1  ", ".TH WAITGATE 1 \"\" ", 1);
    // The table of kinds keeps its lines.
    let mut page =
        page.replace("Each TARGET", ".nf\nEach TARGET").replace("\nTargets are probed", "\n.fi\nTargets are probed");
    page.push_str(".SH EXPECTATIONS\n.nf\n");
    for line in door::expectation_list().lines() {
        let _ = writeln!(page, "{}", roff(line));
    }
    page.push_str(".fi\n.SH EXAMPLES\n");
    let examples =
        EXAMPLES.iter().map(|(line, text)| format!("{}\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", roff(text), roff(line)));
    page.push_str(&examples.collect::<Vec<_>>().join(".PP\n"));
    page.push_str(".SH \"EXIT STATUS\"\n");
    entries(&mut page, EXIT_STATUS);
    page.push_str(".SH ENVIRONMENT\n");
    environment(&mut page);
    page.push_str(".SH FILES\n");
    entries(
        &mut page,
        &[
            (
                "/dev/termination-log",
                "If it exists, the reason is written there when the targets are not ready; --termination-log names another \
                 file. The kubelet shows it in kubectl describe pod.",
            ),
            ("/etc/resolv.conf, /etc/hosts", "How names are looked up."),
        ],
    );
    page
}

/// Each command line of the page is accepted as it is written.
#[test]
fn the_examples_are_accepted() {
    for (line, _) in EXAMPLES {
        // The command of an example is not on this machine.
        let ours = line.split(" -- ").next().expect("the part before the command");
        let line = ours.replacen("waitgate", "\"$0\" --dry-run", 1);
        let run = Run::program("sh", ["-c", &line, env!("CARGO_BIN_EXE_waitgate")]);
        run.env("DB_PASSWORD", "x").env("DATABASE_URL", "postgres://app@db/shop").end().success();
    }
}
