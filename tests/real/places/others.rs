//! Files for docker compose and systemd, checked by docker-compose and systemd-analyze. Neither starts anything.

use std::fs;
use std::process::Command;

use super::{output, root};
use crate::support::tool;

#[test]
fn compose_accepts_the_files() {
    for (file, waits) in [
        ("compose.yaml", "waitgate:\n        condition: service_completed_successfully"),
        ("compose.yaml", "db:\n        condition: service_started"),
        ("compose-healthcheck.yaml", "web:\n        condition: service_healthy"),
    ] {
        let mut command = Command::new(tool("docker-compose"));
        command.arg("-f").arg(root().join("examples").join(file)).arg("config").env("DB_PASSWORD", "hunter2");
        let config = output(&mut command, "").unwrap_or_else(|why| panic!("{file}: {why}"));
        assert!(config.contains(waits), "{file}:\n{config}");
    }
}

/// The programs that it names are on no machine of the tests.
#[test]
fn systemd_accepts_the_unit() {
    let unit = fs::read_to_string(root().join("examples/shop.service")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let verify = |unit: &str| {
        let file = folder.path().join("shop.service");
        fs::write(
            &file,
            unit.replace("/usr/local/bin/waitgate", "/bin/true").replace("/usr/local/bin/shop", "/bin/true"),
        )
        .unwrap();
        // A warning does not change its exit status.
        let mut command = Command::new(tool("systemd-analyze"));
        let said = command.args(["verify", "--man=no"]).arg(&file).output().unwrap();
        (said.status.success(), String::from_utf8(said.stderr).unwrap())
    };
    let (accepted, said) = verify(&unit);
    assert!(accepted && !said.contains("shop.service"), "{said}");
    // It does look.
    let (_, said) = verify(&unit.replace("=6min", "=soon"));
    assert!(said.contains("shop.service"), "{said}");
}
