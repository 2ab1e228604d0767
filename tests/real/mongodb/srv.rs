//! `mongodb+srv:` with the names of a cluster: hosts by SRV records, options by a TXT record, TLS.

use std::net::SocketAddr;

use crate::support::dns::Knot;
use crate::support::mongodb::{BOTH, Mongod, User, state};
use crate::support::{Pod, Run, run::Ended, web::Authority};

const RECORDS: &str = "mongo-0.mongo.shop.svc A 127.0.9.1\nmongo-1.mongo.shop.svc A 127.0.9.2\n\
    _mongodb._tcp.mongo.shop.svc SRV 0 50 27017 mongo-0.mongo.shop.svc\n\
    _mongodb._tcp.mongo.shop.svc SRV 0 50 27018 mongo-1.mongo.shop.svc\n\
    mongo.shop.svc TXT \"authSource=users&replicaSet=rs0\"\n\
    _mongodb._tcp.plain.shop.svc SRV 0 50 27018 mongo-1.mongo.shop.svc\n\
    _custom._tcp.plain.shop.svc SRV 0 50 27018 mongo-1.mongo.shop.svc\n\
    _mongodb._tcp.astray.shop.svc SRV 0 50 27017 mongo.other.svc\n\
    _mongodb._tcp.two.shop.svc SRV 0 50 27018 mongo-1.mongo.shop.svc\n\
    two.shop.svc TXT \"replicaSet=rs0\"\ntwo.shop.svc TXT \"authSource=users\"\n\
    _mongodb._tcp.odd.shop.svc SRV 0 50 27018 mongo-1.mongo.shop.svc\n\
    odd.shop.svc TXT \"tls=false\"\n\
    _mongodb._tcp.empty.shop.svc A 127.0.9.1";

fn end(pod: &Pod, target: &str, ca: &str) -> Ended {
    let target = target.replace("SVC", "svc.cluster.test");
    Run::new(["--once", "--attempt-timeout=3s", &format!("--ca-file={ca}"), &target]).inside(pod).end()
}

#[test]
fn hosts_and_options_are_in_the_dns() {
    let pod = Pod::new();
    pod.etc("resolv.conf", "search shop.svc.cluster.test svc.cluster.test\nnameserver 127.0.0.1\noptions ndots:5\n");
    let _knot = Knot::start(&pod, RECORDS);
    let authority = Authority::new();
    let ca = authority.file().display().to_string();
    let users = [User("users", "app", "hunter2", BOTH)];
    let secondary: SocketAddr = ([127, 0, 9, 1], 27017).into();
    let primary: SocketAddr = ([127, 0, 9, 2], 27018).into();
    let names = ["mongo-0.mongo.shop.svc.cluster.test", "mongo-1.mongo.shop.svc.cluster.test"];
    let servers = [(secondary, "secondary"), (primary, "primary")].map(|(addr, role)| {
        pod.within(|| Mongod::on_with_tls(addr, state(role, "mongo:1"), &users, authority.server(&names)))
    });
    // The names of the TXT record: the database with the user, and the set.
    end(&pod, "mongodb+srv://app:hunter2@mongo.shop.SVC/#role=primary", &ca)
        .success()
        .stderr_has("logged in at 127.0.9.2:27018, a primary")
        .nowhere("hunter2");
    // What the URL says counts.
    end(&pod, "mongodb+srv://app:hunter2@mongo.shop.SVC/?authSource=admin", &ca).failure().stderr_has("(18)");
    end(&pod, "mongodb+srv://mongo.shop.SVC/?replicaSet=rs1", &ca).failure().stderr_has("not of \"rs1\"");
    // Without a TXT record, and with a service of another name.
    end(&pod, "mongodb+srv://plain.shop.SVC", &ca).success().stderr_has("hello from 127.0.9.2:27018");
    end(&pod, "mongodb+srv://plain.shop.SVC/?srvServiceName=custom", &ca).success();
    let asked: usize = servers.iter().map(|server| server.asked().len()).sum();
    for (target, says) in [
        (
            "mongodb+srv://app:hunter2@astray.shop.SVC",
            "name a host outside its domain, which drivers refuse: mongo.other.svc",
        ),
        ("mongodb+srv://two.shop.SVC", "several TXT records"),
        ("mongodb+srv://odd.shop.SVC", "other options than authSource, replicaSet and loadBalanced"),
        ("mongodb+srv://nothing.shop.SVC", "_mongodb._tcp.nothing.shop.svc.cluster.test"),
        ("mongodb+srv://empty.shop.SVC", "_mongodb._tcp.empty.shop.svc.cluster.test"),
        // The name is taken as it is: no search list adds to it.
        ("mongodb+srv://mongo", "_mongodb._tcp.mongo"),
        // TLS is the default, so a plain connection is not.
        ("mongodb+srv://plain.shop.SVC/?tls=false", "wants TLS on this port"),
    ] {
        end(&pod, target, &ca).failure().stderr_has(says).nowhere("hunter2");
    }
    assert_eq!(servers.iter().map(|server| server.asked().len()).sum::<usize>(), asked);
    let gone = Run::new(["-t", "20s", "mongodb+srv://nothing.shop.svc.cluster.test#gone"]).inside(&pod).end();
    gone.success().stderr_has("has no SRV records");
    end(&pod, "mongodb+srv://plain.shop.SVC#gone", &ca).failure().stderr_has("still there");
}
