//! `-- COMMAND`: the application takes over the process as if waitgate had never been there.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::{Command, Stdio},
};

use crate::support::{Fake, Run, free_port, tool};

const PATH: &str = "/usr/bin:/bin";

/// A run that is ready at once and then becomes `command`.
fn then<I>(fake: &Fake, command: I) -> Run
where
    I: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut args: Vec<OsString> = vec![format!("tcp:{}#hold=0", fake.addr).into(), "--".into()];
    args.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
    Run::new(args).env("PATH", PATH)
}

#[test]
fn keeps_the_pid() {
    let fake = Fake::silent();
    let running = then(&fake, ["sh", "-c", "echo $$"]).start();
    let pid = running.pid().as_raw_nonzero().to_string();
    let ended = running.end();
    ended.success().expect("its own pid", ended.stdout.trim() == pid);
}

#[test]
fn has_its_own_status() {
    let fake = Fake::silent();
    then(&fake, ["sh", "-c", "exit 7"]).end().code(7);
    let ended = then(&fake, ["sh", "-c", "kill -9 $$"]).end();
    ended.expect("death by SIGKILL", ended.status.signal() == Some(9));
}

/// No shell, no `$(NAME)`, no option of ours: the words are the command's.
#[test]
fn gets_its_arguments_verbatim() {
    let fake = Fake::silent();
    let words = ["sh", "-c", r#"printf '<%s>' "$@""#, "sh", "$(X)", "${X}", "--timeout", "-t", "", "a b", "--", "tcp:"];
    let ended = then(&fake, words).env("X", "filled").end();
    ended.success();
    assert_eq!(ended.stdout, "<$(X)><${X}><--timeout><-t><><a b><--><tcp:>", "{ended}");
}

#[test]
fn gets_bytes_that_are_no_text() {
    let fake = Fake::silent();
    let words = ["sh", "-c", r#"printf '%s' "$1" | od -An -tx1"#, "sh"].map(OsStr::new);
    let odd = OsStr::from_bytes(b"\xff\xfe");
    let ended = then(&fake, words.into_iter().chain([odd])).end();
    ended.success().stdout_has("ff fe");
}

/// Our own settings included: the application may be waitgate again.
#[test]
fn gets_the_environment_as_found() {
    let fake = Fake::silent();
    let ended = then(&fake, ["env"])
        .env("WAITGATE_TIMEOUT", "7m")
        .env("ODD", OsStr::from_bytes(b"\xff"))
        .env("EMPTY", "")
        .end();
    let mut lines: Vec<_> = ended.success().stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["EMPTY=", "ODD=\u{fffd}", "PATH=/usr/bin:/bin", "WAITGATE_TIMEOUT=7m"], "{ended}");
}

#[test]
fn inherits_no_file_of_ours() {
    let fake = Fake::silent();
    let files = |listed: &str| listed.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ended = then(&fake, ["ls", "/proc/self/fd"]).end();
    // Whoever started the tests may have left files open; those come through.
    let bare = bare("ls", "/proc/self/fd");
    assert_eq!(files(&ended.success().stdout), files(&bare), "{ended}");
}

/// The same command without waitgate before it.
fn bare(program: &str, arg: &str) -> String {
    let out = Command::new(tool(program)).arg(arg).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// One of the masks of `/proc/self/status`, which has a bit for each signal from 1 up.
#[track_caller]
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux shows its masks");
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a mask is a number")
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

const SIGINT: u32 = 2;
const SIGUSR1: u32 = 10;
const SIGPIPE: u32 = 13;
const SIGTERM: u32 = 15;
const SIGQUIT: u32 = 3;

#[test]
fn starts_with_default_signals() {
    let fake = Fake::silent();
    let ended = then(&fake, ["cat", "/proc/self/status"]).end();
    ended.success();
    // glibc's posix_spawn leaves two signals of its own ignored, so it is not plainly nothing.
    let bare = bare("cat", "/proc/self/status");
    for name in ["SigIgn", "SigBlk"] {
        assert_eq!(mask(&ended.stdout, name), mask(&bare, name), "{name}: {ended}");
    }
    assert_eq!(
        mask(&ended.stdout, "SigIgn") & (bit(SIGINT) | bit(SIGQUIT) | bit(SIGPIPE) | bit(SIGTERM)),
        0,
        "{ended}"
    );
}

/// A parent that ignores SIGPIPE (Python, Go, Rust) passes that on through execve.
#[test]
fn gets_defaults_even_from_a_parent_that_ignores() {
    let fake = Fake::silent();
    let run = then(&fake, ["cat", "/proc/self/status"]).shell(r#"trap '' PIPE TERM INT QUIT; exec "$@""#);
    let ended = run.end();
    let ignored = mask(&ended.success().stdout, "SigIgn");
    assert_eq!(ignored & (bit(SIGINT) | bit(SIGQUIT) | bit(SIGPIPE) | bit(SIGTERM)), 0, "{ended}");
}

#[test]
fn keeps_the_signal_mask() {
    let fake = Fake::silent();
    let ended = then(&fake, ["cat", "/proc/self/status"]).through(["env", "--block-signal=USR1"]).end();
    assert_eq!(mask(&ended.success().stdout, "SigBlk"), bit(SIGUSR1), "{ended}");
}

#[test]
fn is_found_on_the_path_or_by_its_own() {
    let fake = Fake::silent();
    then(&fake, ["true"]).end().success();
    then(&fake, ["/bin/true"]).end().success();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/true", folder.path().join("only-here")).unwrap();
    then(&fake, ["only-here"]).env("PATH", folder.path()).end().success();
    then(&fake, ["only-here"]).end().failure().stderr_has("only-here");
}

#[test]
fn is_looked_up_before_anything_is_probed() {
    let fake = Fake::silent();
    then(&fake, ["no-such-command"]).end().failure().stderr_has("no-such-command");
    then(&fake, ["/proc/version"]).end().failure().stderr_has("/proc/version");
    assert_eq!(fake.hits(), 0);
}

#[test]
fn does_not_run_when_not_ready() {
    let closed = format!("tcp:{}", free_port());
    for bound in [["--once"].as_slice(), &["--timeout", "300ms"]] {
        let ended = Run::new(bound).arg(&closed).arg("--").arg("echo").arg("ran").env("PATH", PATH).end();
        ended.failure().silent_stdout();
    }
}

#[test]
fn does_not_run_in_a_dry_run() {
    let fake = Fake::silent();
    let target = format!("tcp:{}", fake.addr);
    let ended = Run::new(["--dry-run", &target, "--", "sh", "-c", "echo r''an"]).env("PATH", PATH).end();
    ended.success().nowhere("ran\n");
}

/// A file with this text, executable.
fn program(folder: &std::path::Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("program");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_missing_interpreter_is_named_as_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "#!/nonexistent/interpreter\n");
    let fake = Fake::silent();
    let ended = then(&fake, [program.as_str()]).end();
    ended.failure().stderr_says("begins with #!/nonexistent/interpreter, which is not in this image");
}

#[test]
fn a_program_that_is_removed_during_the_wait_is_not_called_there() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "#!/bin/sh\n");
    let addr = free_port();
    let running = Run::new([&format!("tcp:{addr}"), "--", &program]).start();
    running.line("refused");
    std::fs::remove_file(&program).unwrap();
    let _fake = Fake::on(addr, crate::support::fake::linger);
    running.end().failure().stderr_has("cannot run the command: the file is not there any more");
}
