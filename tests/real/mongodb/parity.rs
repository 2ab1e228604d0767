//! The fake of the other tests is one that `PyMongo` takes for a server: it sees the same states, and its logins work and fail as
//! waitgate's do.

use std::process::Command;

use crate::support::mongodb::{BOTH, Mongod, STATES, User};
use crate::support::{Run, tool};

/// Prints what `PyMongo` says of a server: its type, and whether a command works (after the login, if the URL has one).
const SCRIPT: &str = "
import sys, pymongo
client = pymongo.MongoClient(sys.argv[1], directConnection=True, serverSelectionTimeoutMS=3000)
try:
    client.admin.command('ping')
    worked = 'works'
except pymongo.errors.OperationFailure as failure:
    worked = 'refused ' + str(failure.code)
kinds = [server.server_type_name for server in client._topology.description.server_descriptions().values()]
print(kinds[0], worked)
";

fn pymongo(url: &str) -> String {
    let python = tool("python3");
    let out = Command::new(python).args(["-c", SCRIPT, url]).output().expect("must be able to start python3");
    let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    assert!(out.status.success(), "{url}: {said} {}", String::from_utf8_lossy(&out.stderr));
    said
}

#[test]
fn the_states_are_those_that_a_driver_sees() {
    for state in STATES {
        let server = Mongod::in_state(state, &[]);
        let url = format!("mongodb://{}/", server.fake.addr);
        let (kind, says) = match state {
            "standalone" => ("Standalone", Ok("hello from")),
            "primary" => ("RSPrimary", Ok(", a primary")),
            "secondary" | "leaderless" => ("RSSecondary", Ok(", a secondary")),
            "hidden" => ("RSOther", Ok(", a hidden secondary")),
            "arbiter" => ("RSArbiter", Err("is an arbiter")),
            "recovering" => ("RSOther", Err("neither a primary nor a secondary")),
            "uninitiated" => ("RSGhost", Err("rs.initiate()")),
            _ => ("Mongos", Ok(", a router")),
        };
        assert_eq!(pymongo(&url), format!("{kind} works"), "{state}");
        let ended = Run::new(["--once", &url]).end();
        match says {
            Ok(says) => ended.success().stderr_has(says),
            Err(says) => ended.failure().stderr_has(says),
        };
    }
}

#[test]
fn a_login_works_if_it_works_for_a_driver() {
    let users = [
        User("admin", "both", "hunter2", BOTH),
        User("admin", "old", "p:w/@", &["SCRAM-SHA-1"]),
        User("admin", "new", "hunter2", &["SCRAM-SHA-256"]),
        User("shop", "a,b=c", "hunter2", BOTH),
        User("admin", "roman", "IX", &["SCRAM-SHA-256"]),
    ];
    let server = Mongod::in_state("primary", &users);
    for (login, path, works) in [
        ("both:hunter2", "", true),
        ("both:hunter2", "?authMechanism=SCRAM-SHA-1", true),
        ("both:hunter2", "?authMechanism=SCRAM-SHA-256", true),
        ("old:p%3Aw%2F%40", "", true),
        ("new:hunter2", "", true),
        ("a%2Cb%3Dc:hunter2", "shop", true),
        ("a%2Cb%3Dc:hunter2", "other?authSource=shop", true),
        ("roman:%E2%85%A8", "", true),
        ("both:wrong", "", false),
        ("old:wrong", "", false),
        ("old:p%3Aw%2F%40", "?authMechanism=SCRAM-SHA-256", false),
        ("a%2Cb%3Dc:hunter2", "", false),
        ("nobody:hunter2", "", false),
    ] {
        let url = format!("mongodb://{login}@{}/{path}", server.fake.addr);
        let expected = if works { "RSPrimary works" } else { "RSPrimary refused 18" };
        assert_eq!(pymongo(&url), expected, "{url}");
        let ended = Run::new(["--once", &url]).end();
        if works {
            ended.success().stderr_has("logged in at");
        } else {
            ended.failure().stderr_has("(18)").stderr_has("[protocol.password]");
        }
    }
}
