//! What strace sees of the lines on stderr.

use std::fs::{self, File};

use crate::support::{Run, free_port};

/// Two runs that write to one file do not mix their lines.
#[test]
fn a_line_is_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stderr");
    let trace = folder.path().join("trace").to_string_lossy().into_owned();
    let stderr = File::create(&path).unwrap();
    Run::new(["-v", "-t", "1s", &format!("tcp:{}", free_port())])
        .through(["strace", "-f", "-qq", "-e", "trace=write,writev", "-o", &trace])
        .stderr_to(stderr)
        .end()
        .failure();
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    let trace = fs::read_to_string(trace).unwrap();
    let writes = trace.lines().filter(|line| line.contains("write(2,") || line.contains("writev(2,")).count();
    assert!(lines > 2);
    assert_eq!(writes, lines, "{trace}");
}
