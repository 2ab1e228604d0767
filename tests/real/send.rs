//! `send=` against servers that people run: each is asked as its own manual says.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, chown},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    PATIENCE, Run, free_port,
    run::Ended,
    server::{self, Server},
    tool,
};

fn once(addr: SocketAddr, more: &str) -> Ended {
    Run::new(["--once", &format!("tcp:{addr}{more}")]).end()
}

/// Starts a server of one command. `HOST` and `PORT` in its arguments are those of `addr`.
fn start(name: &str, addr: SocketAddr, arguments: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool(name));
    command.current_dir(folder.path());
    for word in arguments.split(' ') {
        command.arg(word.replace("HOST", &addr.ip().to_string()).replace("PORT", &addr.port().to_string()));
    }
    Server::start(command, folder, &[addr])
}

#[test]
fn memcached() {
    let addr = free_port();
    let _server = server::memcached(addr);
    once(addr, "#send=version%0D%0A#banner=VERSION").success();
    once(addr, "#send=stats%0D%0A#banner=STAT pid#banner-match=END\\r\\n$").success();
    let ended = once(addr, "#send=nonsense%0D%0A#banner=VERSION");
    ended.failure().stderr_has("answers \"ERROR\"").stderr_has("[expect.banner]");
}

/// With a login, over the text protocol (memcached's doc/protocol.txt, "Authentication").
#[test]
fn memcached_with_a_login() {
    let addr = free_port();
    let users = tempfile::NamedTempFile::new().unwrap();
    fs::write(users.path(), "app:hunter2\n").unwrap();
    fs::set_permissions(users.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let path = users.path().display().to_string();
    let _server = start("memcached", addr, &format!("-u nobody -l HOST -p PORT -U 0 -Y {path}"));
    let at = |text: &str| {
        let target = format!("tcp:{addr}#send={text}#banner=STORED");
        Run::new(["--once", "-v", &target]).env("PW", "hunter2").end()
    };
    at("set x 0 0 11%0D%0Aapp $(PW)%0D%0A").success().nowhere("hunter2");
    at("set x 0 0 11%0D%0Aapp $(PW)!%0D%0A").failure().nowhere("hunter2");
    at("set x 0 0 11%0D%0Aapp%20 hunter2%0D%0A").failure().nowhere("hunter2");
}

/// Redis takes commands as plain lines, too (redis.io: "Inline commands").
#[test]
fn redis() {
    let addr = free_port();
    let options = "--bind HOST --port PORT --save  --appendonly no --protected-mode no";
    let _server = start("redis-server", addr, options);
    once(addr, "#send=PING%0D%0A#banner=+PONG").success();
    once(addr, "#send=ECHO hunter2%0D%0A#banner=+PONG").failure().nowhere("hunter2");
    let locked = free_port();
    let _server = start("redis-server", locked, &format!("{options} --requirepass hunter2"));
    once(locked, "#send=PING%0D%0A#banner=+PONG").failure().stderr_has("answers \"-NOAUTH");
    let target = format!("tcp:{locked}#send=AUTH $(PW)%0D%0APING%0D%0A#banner=+PONG");
    Run::new(["--once", "-v", &target]).env("PW", "hunter2").end().success().nowhere("hunter2");
    let wrong = Run::new(["--once", "-v", &target]).env("PW", "hunter3").end();
    wrong.failure().stderr_has("-WRONGPASS").nowhere("hunter3");
}

#[test]
fn beanstalkd() {
    let addr = free_port();
    let _server = start("beanstalkd", addr, "-l HOST -p PORT");
    once(addr, "#send=stats%0D%0A#banner-match=(?m)^OK \\d+").success();
    once(addr, "#send=stat%0D%0A#banner=OK").failure().stderr_has("answers \"UNKNOWN_COMMAND\"");
}

/// A binary protocol: CONNECT without a user, and its CONNACK (MQTT 3.1.1, sections 3.1 and 3.2).
#[test]
fn mosquitto() {
    const CONNECT: &str = "#send=%10%0C%00%04MQTT%04%02%00%3C%00%00";
    let (addr, folder) = (free_port(), tempfile::tempdir().unwrap());
    for (anonymous, ready) in [("true", true), ("false", false)] {
        let conf = format!("listener {} {}\nallow_anonymous {anonymous}\n", addr.port(), addr.ip());
        fs::write(folder.path().join("conf"), conf).unwrap();
        let _server = start("mosquitto", addr, &format!("-c {}/conf", folder.path().display()));
        let ended = once(addr, &format!("{CONNECT}#banner=%20%02%00%00"));
        if ready {
            ended.success()
        } else {
            ended.failure().stderr_has("[expect.banner]")
        };
        once(addr, &format!("{CONNECT}#banner=%20%02%00%05")).code(i32::from(ready));
    }
}

/// `ruok` is not in the list of words that a server answers by default; `srvr` is (ZooKeeper's administrator's guide,
/// "The Four Letter Words").
#[test]
fn zookeeper() {
    let addr = free_port();
    let target = format!("tcp:{addr}#send=srvr#banner=Mode: ");
    let running = Run::new([&target]).start();
    running.line("refused");
    let _server = server::zookeeper(addr);
    running.end().success();
    let ended = once(addr, "#send=ruok#banner=imok");
    ended.failure().stderr_has("is not executed because it is not in the whitelist");
}

/// Postfix greets first. It answers a client that does not wait for the greeting, and notes that in its log: the greeting
/// alone is the better proof.
#[test]
fn postfix() {
    let (addr, folder) = (free_port(), tempfile::tempdir().unwrap());
    let dir = folder.path().display().to_string();
    // Its processes run as the user postfix.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["conf", "queue", "data"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let id = Command::new(tool("id")).args(["-u", "postfix"]).output().unwrap();
    let id: u32 = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
    chown(folder.path().join("data"), Some(id), None).unwrap();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\nmail_owner = postfix\n\
         setgid_group = postdrop\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mail.test\nmydestination =\n\
         local_recipient_maps =\nalias_maps =\nmaillog_file = /dev/stdout\n"
    );
    fs::write(folder.path().join("conf/main.cf"), main).unwrap();
    let services = format!(
        "{addr} inet n - n - - smtpd\nanvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\n\
         rewrite unix - - n - - trivial-rewrite\npostlog unix-dgram n - n - 1 postlogd\n"
    );
    fs::write(folder.path().join("conf/master.cf"), services).unwrap();
    let mut command = Command::new(tool("postfix"));
    command.args(["-c", &format!("{dir}/conf"), "start-fg"]);
    let server = Server::start(command, folder, &[addr]);
    let _master = Master::of(&server);
    once(addr, "#banner=220 ").success();
    once(addr, "#send=EHLO waitgate%0D%0A#banner-match=(?m)^250 ").success();
    // Postfix notes it only if the line has come before its own greeting leaves: a race that it may win.
    let begun = Instant::now();
    while !server.log().contains("improper command pipelining after CONNECT") {
        assert!(begun.elapsed() < PATIENCE, "{}", server.log());
        once(addr, "#send=NONSENSE%0D%0A#banner=250").failure().stderr_has("[expect.banner]");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Postfix's master leaves the group of the process that started it.
struct Master(Option<Pid>);

impl Master {
    fn of(server: &Server) -> Self {
        let pid = fs::read_to_string(server.path().join("queue/pid/master.pid")).unwrap();
        Self(pid.trim().parse().ok().and_then(Pid::from_raw))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
