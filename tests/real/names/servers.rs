//! Knot and Unbound: every record type, and zones that change while waitgate waits.

use std::{
    fs,
    net::UdpSocket,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{PATIENCE, Pod, Run, dns::Knot, run::Ended};

/// Unbound at 127.0.0.1:53 of a Pod, with the authoritative zone `cluster.test`.
struct Unbound {
    server: Child,
    folder: TempDir,
    serial: u32,
}

impl Unbound {
    #[track_caller]
    fn start(pod: &Pod, records: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let conf = format!(
            "server:\n  interface: 127.0.0.1\n  username: \"\"\n  chroot: \"\"\n  directory: \"{path}\"\n  pidfile: \"\"\n  \
             use-syslog: no\n  do-daemonize: no\n  num-threads: 1\n  module-config: iterator\n  access-control: 127.0.0.0/8 allow\n  local-zone: test. nodefault\n\
             remote-control:\n  control-enable: no\n\
             auth-zone:\n  name: cluster.test\n  zonefile: \"{path}/zone\"\n  for-downstream: yes\n  for-upstream: yes\n  fallback-enabled: no\n"
        );
        fs::write(folder.path().join("conf"), conf).unwrap();
        write_zone(&folder, 1, records);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut unbound = pod.server("unbound");
        unbound.args(["-d", "-c"]).arg(folder.path().join("conf")).stdin(Stdio::null()).stderr(log);
        let mut unbound = Self { server: unbound.spawn().unwrap(), folder, serial: 1 };
        unbound.until(pod, 1);
        unbound
    }

    /// Replaces the zone's records: unbound reads everything anew on SIGHUP.
    #[track_caller]
    fn serve(&mut self, pod: &Pod, records: &str) {
        self.serial += 1;
        write_zone(&self.folder, self.serial, records);
        kill_process(Pid::from_child(&self.server), Signal::HUP).unwrap();
        self.until(pod, self.serial);
    }

    /// Waits until it serves the zone of that serial.
    #[track_caller]
    fn until(&mut self, pod: &Pod, serial: u32) {
        let limit = Instant::now() + PATIENCE;
        let socket = pod.within(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // SOA of cluster.test, as bytes.
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07cluster\x04test\0\0\x06\0\x01";
        let wanted = serial.to_be_bytes();
        loop {
            let _ = socket.send_to(question, "127.0.0.1:53");
            let mut packet = [0; 512];
            let answer = socket.recv(&mut packet).map(|length| packet[..length].to_vec()).unwrap_or_default();
            // The five numbers of the SOA, of which the serial is the first, are its end.
            if answer.windows(4).any(|bytes| bytes == wanted) && answer.get(7) == Some(&1) {
                return;
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let over = !matches!(self.server.try_wait(), Ok(None));
            assert!(!over && Instant::now() < limit, "unbound was expected to serve {serial}: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn write_zone(folder: &TempDir, serial: u32, records: &str) {
    let zone = format!(
        "$ORIGIN cluster.test.\n$TTL 5\n@ SOA ns root {serial} 60 60 600 7\n@ NS ns\nns A 127.0.0.1\n{records}\n"
    );
    fs::write(folder.path().join("zone"), zone).unwrap();
}

enum Server {
    Knot(Knot),
    Unbound(Unbound),
}

impl Server {
    fn serve(&mut self, pod: &Pod, records: &str) {
        match self {
            Self::Knot(knot) => knot.serve(records),
            Self::Unbound(unbound) => unbound.serve(pod, records),
        }
    }
}

/// Does the same with each server, in a Pod of its own.
fn with_each(records: &str, test: impl Fn(&Pod, &mut Server)) {
    for knot in [true, false] {
        let pod = Pod::new();
        let conf = "search ns.svc.cluster.test svc.cluster.test cluster.test\nnameserver 127.0.0.1\noptions ndots:5\n";
        pod.etc("resolv.conf", conf);
        let mut server = if knot {
            Server::Knot(Knot::start(&pod, records))
        } else {
            Server::Unbound(Unbound::start(&pod, records))
        };
        test(&pod, &mut server);
    }
}

fn once(pod: &Pod, target: &str) -> Ended {
    Run::new(["--once", target]).inside(pod).end()
}

const RECORDS: &str = "db A 10.0.0.1
db A 10.0.0.2
db AAAA fd00::1
one CNAME two
two CNAME three
three CNAME db
circle CNAME round
round CNAME circle
nowhere CNAME missing
_pg._tcp.db SRV 0 5 5432 db
mail MX 10 db
sub NS ns
note TXT \"v=1 \" \"two parts\"
rev PTR db
db CAA 0 issue \"ca.test\"
*.wild A 10.0.0.3
aliased CNAME mail
";

#[test]
fn every_record_type() {
    with_each(RECORDS, |pod, _| {
        for (target, says) in [
            ("dns:db", "10.0.0.1"),
            ("dns:db?type=a#min=2", "10.0.0.2"),
            ("dns:db?type=AAAA#has=fd00::1", "fd00::1"),
            ("dns:db#has=fd00::1", "db.cluster.test"),
            ("dns:one", "10.0.0.1"),
            ("dns:one?type=CNAME#has=two.cluster.test", "two.cluster.test"),
            ("dns:_pg._tcp.db?type=SRV#has=db.cluster.test", "db.cluster.test:5432"),
            ("dns:mail?type=MX#has=db.cluster.test", "10 db.cluster.test"),
            ("dns:aliased?type=mx", "10 db.cluster.test"),
            ("dns:cluster.test?type=NS#has=ns.cluster.test", "ns.cluster.test"),
            ("dns:note?type=TXT#has=v=1 two parts", "v=1 two parts"),
            ("dns:rev?type=PTR#has=db.cluster.test", "db.cluster.test"),
            ("dns:db?type=CAA#has=ca.test", "issue"),
            ("dns:cluster.test?type=SOA#has=ns.cluster.test", "serial 1"),
            ("dns:any.wild", "10.0.0.3"),
            ("dns:x.y.wild.cluster.test", "10.0.0.3"),
            ("dns://127.0.0.1/db.cluster.test", "10.0.0.1"),
            ("dns://127.0.0.1:53/db.cluster.test?type=TXT#gone", "no TXT record"),
        ] {
            once(pod, target).success().stderr_has(says);
        }
    });
}

#[test]
fn what_is_not_there() {
    with_each(RECORDS, |pod, _| {
        for (target, says) in [
            ("dns:missing.cluster.test.", "no such name"),
            ("dns:note", "note.cluster.test exists and has no address"),
            ("dns:db?type=MX", "db.cluster.test exists and has no MX record"),
            ("dns:mail?type=SRV", "mail.cluster.test exists and has no SRV record"),
            ("dns:db?type=A#min=3", "2 A records, and 3 are expected"),
            ("dns:db?type=A#has=10.0.0.9", "not there"),
            ("dns:circle", "circle"),
            ("dns:nowhere", "alias of missing.cluster.test, which does not exist"),
            ("dns:db#min=3", "2 addresses, and 3 of one family are expected: 10.0.0.1, 10.0.0.2, fd00::1"),
        ] {
            once(pod, target).failure().stderr_has(says);
        }
    });
}

/// A StatefulSet's life: its name appears, gains its third address, and vanishes.
#[test]
fn a_zone_that_changes_while_waitgate_waits() {
    // With the trailing dot: what lies outside of the zone is trouble to these servers, not a denial.
    const PG: &str = "pg.ns.svc.cluster.test.";
    with_each("", |pod, server| {
        let running = Run::new([
            format!("dns:{PG}"),
            format!("dns:{PG}#min=3"),
            format!("dns:{PG}#gone"),
            "--max-pause=200ms".into(),
        ])
        .inside(pod)
        .start();
        running.line("no such name");
        server.serve(pod, "pg.ns.svc A 10.0.0.1\npg.ns.svc A 10.0.0.2");
        running.line("2 addresses, and 3 of one family are expected: 10.0.0.");
        server.serve(pod, "pg.ns.svc A 10.0.0.1\npg.ns.svc A 10.0.0.2\npg.ns.svc A 10.0.0.3");
        running.line("still there: 10.0.0.");
        server.serve(pod, "");
        running.end().success();
    });
}
