//! The loops that waitgate replaces, and how each of them fails: the README's reasons, shown.

use rustix::process::Signal;

use crate::support::{
    Fake, Pod, Run,
    dns::{Answer, NXDOMAIN, Names},
    run::Ended,
    tool,
};

const CLUSTER: &str = "search default.svc.cluster.test svc.cluster.test cluster.test\n\
                       nameserver 127.0.0.1\noptions ndots:5\n";

/// A Pod in whose namespace a Service called db exists, and a nameserver that knows it.
fn with_db() -> (Pod, Names) {
    let pod = Pod::new();
    pod.etc("resolv.conf", CLUSTER);
    let names = Names::start(&pod, |asked| {
        if asked.name == "db.default.svc.cluster.test" {
            Answer::Addresses(vec![[10, 0, 0, 7].into()])
        } else {
            Answer::Code(NXDOMAIN)
        }
    });
    (pod, names)
}

fn run(pod: &Pod, program: &str, args: &[&str]) -> Ended {
    Run::program(tool(program), args).inside(pod).end()
}

/// `until nslookup db`: with a search list it finds the name, and fails for the names it did not find.
#[test]
fn nslookup_fails_on_a_name_that_it_found() {
    let (pod, _names) = with_db();
    let ended = run(&pod, "busybox", &["nslookup", "db"]);
    ended.failure().stdout_has("10.0.0.7");
    #[cfg(feature = "dns")]
    Run::new(["--once", "dns:db"]).inside(&pod).end().success();
}

/// `if dig db; then exit 0`: it says NXDOMAIN, and succeeds.
#[test]
fn dig_succeeds_without_an_answer() {
    let (pod, _names) = with_db();
    run(&pod, "dig", &["+search", "nowhere"]).success().stdout_has("NXDOMAIN");
    #[cfg(feature = "dns")]
    Run::new(["--once", "dns:nowhere"]).inside(&pod).end().failure().stderr_has("NXDOMAIN");
}

/// `until curl 192.168.10.254:3306`: MySQL is up, and curl waits for HTTP without an end.
#[test]
fn curl_fails_on_a_server_that_is_no_http_server() {
    let greeting =
        b"\x4a\x00\x00\x00\x0a8.0.36\x00\x0b\x00\x00\x00aaaaaaaa\x00\xff\xff\xff\x02\x00\xff\xdf\x15".to_vec();
    let mysql = Fake::greeting(greeting);
    let pod_less = Run::program(tool("curl"), ["--silent", "--show-error", &mysql.addr.to_string()]).end();
    pod_less.failure().stderr_has("HTTP/0.9 when not allowed");
    Run::new(["--once", &format!("tcp:{}", mysql.addr)]).end().success();
    #[cfg(feature = "http")]
    Run::new(["--once", &format!("http://{}/", mysql.addr)]).end().failure().stderr_has("MySQL").stderr_has("mysql:");
}

/// `until pg_isready`: under a UID without a passwd entry it makes no attempt, and exits 3 each time.
#[cfg(feature = "postgres")]
#[test]
fn pg_isready_makes_no_attempt_without_a_passwd_entry() {
    let pg = crate::support::pg::Pg::started();
    let (ip, port) = (pg.addr.ip().to_string(), pg.addr.port().to_string());
    let someone = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let isready = crate::support::pg::binaries().join("pg_isready");
    let ended = Run::program(isready, ["-h", &ip, "-p", &port]).through(someone).end();
    ended.code(3).stdout_has("no attempt");
    Run::new(["--once", &format!("postgres:{}", pg.addr)]).end().success();
}

/// A shell as PID 1 has no default action for SIGTERM: the Pod's end waits for the whole grace period.
#[test]
fn a_shell_loop_as_pid_1_ignores_sigterm() {
    let script = "echo looping >&2; until false; do sleep 0.1; done";
    let as_pid_1 = ["unshare", "--pid", "--fork", "--kill-child"];
    let running = Run::program(tool("busybox"), ["sh", "-c", script]).through(as_pid_1).start();
    running.line("looping");
    let shell = running.child_pid();
    rustix::process::kill_process(shell, Signal::TERM).expect("it is there");
    // It has had ten rounds to notice; then, as the kubelet does, the signal that no process can ignore.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(rustix::process::test_kill_process(shell).is_ok(), "it ended");
    rustix::process::kill_process(shell, Signal::KILL).expect("it is still there");
    running.end().failure();
}
