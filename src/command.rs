//! `-- COMMAND`: waitgate finds it before the first attempt, and runs it in its own place after every target is ready.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::fs::Access;
use rustix::io::Errno;

use crate::env::Env;
use crate::text::{os_error, printable};

/// Where programs are looked for if PATH is not set, as in musl's execvp.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// Runs the command in place of this process, with the same pid, arguments and environment.
///
/// It returns only if that failed, with the reason. std sets an ignored SIGPIPE back to its default action, and execve
/// does the same for the signals that waitgate handles.
pub(crate) fn replace_process(mut command: Command) -> String {
    let error = command.exec();
    if !Path::new(command.get_program()).exists() {
        return "the file is not there any more: it was there before the wait".into();
    }
    unrunnable(&error)
}

/// The command, if there is one. It is an error if it is not found or not executable.
pub(crate) fn find(argv: &[OsString], env: &Env) -> Result<Option<Command>> {
    let Some((name, arguments)) = argv.split_first() else { return Ok(None) };
    let path = locate(name, env.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH)))?;
    let mut command = Command::new(path);
    command.arg0(name).args(arguments);
    Ok(Some(command))
}

/// The file that execvp would run.
fn locate(name: &OsStr, path: &OsStr) -> Result<PathBuf> {
    let shown = printable(&name.to_string_lossy());
    if name.is_empty() {
        bail!("the command after -- is empty: name a program");
    }
    let is_path = name.as_encoded_bytes().contains(&b'/');
    let candidates: Vec<PathBuf> = if is_path {
        vec![name.into()]
    } else {
        // An empty entry is the working folder (POSIX, environment variables: PATH).
        std::env::split_paths(path)
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".").join(name) } else { folder.join(name) })
            .collect()
    };
    let mut found = false;
    for candidate in candidates {
        let Ok(about) = std::fs::metadata(&candidate) else { continue };
        found = true;
        if about.is_file() && rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
            runnable(&candidate).with_context(|| format!("the command {shown}"))?;
            return Ok(candidate);
        }
    }
    if found {
        bail!("the command {shown} is not executable: make it executable, or name another");
    }
    let place = if is_path { "there is no such file" } else { "it is in none of the folders of PATH" };
    bail!("the command {shown} is not found: {place}");
}

/// Whether the kernel can run the file.
///
/// If the kernel cannot run a file, execvp of some C libraries gives it to a shell, and others fail, but only after the
/// wait. If waitgate cannot read the file, the kernel decides.
fn runnable(path: &Path) -> Result<()> {
    use std::io::Read as _;
    let mut start = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return Ok(()) };
    if file.take(256).read_to_end(&mut start).is_err() || start.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let Some(line) = start.strip_prefix(b"#!") else {
        bail!("is not a program for this system and not a script that begins with #!");
    };
    let line = String::from_utf8_lossy(line);
    let interpreter = line.lines().next().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    if interpreter.is_empty() || !Path::new(interpreter).exists() {
        bail!("begins with #!{}, which is not in this image", printable(interpreter));
    }
    Ok(())
}

/// Why the kernel did not run a file that exists and is executable.
fn unrunnable(error: &std::io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => {
            "the file is there, and the interpreter that its #! line names, or its dynamic loader, is not in this image"
                .into()
        }
        Some(Errno::NOEXEC) => {
            "the file is not a program for this machine, or is a script without a #! line: no shell runs here".into()
        }
        _ => os_error(error),
    }
}
