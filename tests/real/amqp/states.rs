//! Logins, vhosts, queues and alarms of a real server, and what its log says of a probe.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client::pika;
#[cfg(feature = "tls")]
use super::tls;
use crate::support::{PATIENCE, Run, rabbitmq::RabbitMq, run::Ended, tool};

pub(super) fn once(target: &str) -> Ended {
    Run::new(["--once", target]).end()
}

/// One server for all of it: it takes ten seconds to start, and five of a processor.
#[test]
fn one_server() {
    #[cfg(feature = "tls")]
    let (server, authority) = tls::started();
    #[cfg(not(feature = "tls"))]
    let server = RabbitMq::started(&[]);
    server.add_vhost("shop");
    server.add_user("app", "s3cret");
    server.permit("app", "shop", [".*", ".*", ".*"]);
    a_probe_without_a_login(&server);
    logins(&server);
    vhosts(&server);
    queues(&server);
    hundreds_of_probes_leave_nothing(&server);
    alarms(&server);
    limits(&server);
    #[cfg(feature = "tls")]
    {
        tls::as_the_url_says(&server, &authority);
        tls::a_client_certificate_is_a_login(&server, &authority);
    }
}

/// The length of the log, to which all is written that is known.
pub(super) fn mark(server: &RabbitMq) -> usize {
    // A line comes a moment after the answer.
    thread::sleep(Duration::from_millis(500));
    server.log().len()
}

pub(super) fn lines(server: &RabbitMq, before: usize) -> Vec<String> {
    mark(server);
    server.worse_than_info(before)
}

/// RabbitMQ has no way to end a session before the login without a line. This is the least of its lines: a warning. (A
/// Connection.Close there is an error, and so is every other method.)
fn a_probe_without_a_login(server: &RabbitMq) {
    let before = mark(server);
    once(&format!("amqp:{}", server.addr)).success().stderr_has("RabbitMQ 3");
    let worse = lines(server, before);
    assert!(worse.iter().all(|line| line.contains("[warning]")), "{worse:?}");
    assert_eq!(
        worse.iter().filter(|line| line.contains("client unexpectedly closed TCP connection")).count(),
        1,
        "{worse:?}"
    );
}

fn logins(server: &RabbitMq) {
    let addr = server.addr;
    let before = mark(server);
    once(&format!("amqp://app:s3cret@{addr}/shop")).success().stderr_has("logged in").nowhere("s3cret");
    once(&format!("amqp://app:s3cret@{addr}/shop?auth_mechanism=amqplain")).success();
    once(&format!("amqp://{addr}#login")).success().stderr_has("logged in");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let target = format!("amqp://app@{addr}/shop#password=@{}", file.display());
    once(&target).failure().stderr_has("cannot be read");
    fs::write(&file, "s3cret\n").unwrap();
    once(&target).success().nowhere("s3cret");
    assert_eq!(lines(server, before), [""; 0], "a login leaves nothing worse than info");

    fs::write(&file, "hunter2\n").unwrap();
    once(&target).failure().stderr_has("ACCESS_REFUSED").stderr_has("protocol.password").nowhere("hunter2");
    let wrong = once(&format!("amqp://nobody:s3cret@{addr}/shop"));
    wrong.failure().stderr_has("it refuses the login").took(Duration::ZERO..Duration::from_secs(2)).nowhere("s3cret");
    once(&format!("amqp://app:s3cret@{addr}/shop?auth_mechanism=external")).failure().stderr_has("client certificate");
}

fn vhosts(server: &RabbitMq) {
    let addr = server.addr;
    once(&format!("amqp://app:s3cret@{addr}/other"))
        .failure()
        .stderr_has("vhost other not found")
        .stderr_has("no-database");
    once(&format!("amqp://app:s3cret@{addr}"))
        .failure()
        .stderr_has("may not use the vhost")
        .stderr_has("not-authorized");
    once(&format!("amqp://guest:guest@{addr}//")).success();
    once(&format!("amqp://guest:guest@{addr}/")).failure().stderr_has("an empty name").stderr_has("no-database");
    server.add_vhost("a/b c");
    server.permit("app", "a/b c", ["", "", ""]);
    let odd = format!("amqp://app:s3cret@{addr}/a%2fb%20c");
    once(&odd).success();
    once(&format!("{odd}#publish")).failure().stderr_has("may not publish").stderr_has("protocol.forbidden");
    // Its processes have died, as after a failure of the disk.
    server.eval("rabbit_vhost_sup_sup:delete_on_all_nodes(<<\"a/b c\">>).");
    once(&odd).failure().stderr_has("the vhost is down").stderr_has("not-accepting");
}

fn queues(server: &RabbitMq) {
    let url = format!("amqp://app:s3cret@{}/shop", server.addr);
    let missing = once(&format!("{url}#queue=jobs"));
    missing.failure().stderr_has("no queue 'jobs' in vhost 'shop'").stderr_has("expect.missing");
    let declare = "c = connect(sys.argv[1]); ch = c.channel(); ch.queue_declare('jobs'); ch.basic_publish('', 'jobs', b'x')\n\
        c.close(); print('done')";
    assert_eq!(pika(declare, &url), "done");
    let before = mark(server);
    once(&format!("{url}#queue=jobs")).success().stderr_has("the queue has 1 message and 0 consumers");
    once(&format!("{url}#queue=jobs#publish")).success().stderr_has("which takes messages");
    assert_eq!(lines(server, before), [""; 0]);
    let messages = server.eval("rabbit_amqqueue:info_all(<<\"shop\">>, [name, messages]).");
    assert!(messages.contains("{messages, 1}"), "none was added: {messages}");

    // Another connection keeps a queue for itself.
    let hold = "import pika, sys\nc = pika.BlockingConnection(pika.URLParameters(sys.argv[1])); ch = c.channel()\n\
        ch.queue_declare('mine', exclusive=True); print('held', flush=True); sys.stdin.read()";
    let mut holder = Command::new(tool("python3"))
        .args(["-c", hold, &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let locked = once(&format!("{url}#queue=mine"));
    let _ = (holder.kill(), holder.wait());
    assert_eq!(line, "held\n");
    locked.failure().stderr_has("belongs to another connection alone").stderr_has("expect.state");

    // RabbitMQ 3 wants no permission for a passive declare.
    server.add_user("small", "s3cret");
    server.permit("small", "shop", ["^$", "^$", "^$"]);
    once(&format!("amqp://small:s3cret@{}/shop#queue=jobs", server.addr)).success();
}

fn hundreds_of_probes_leave_nothing(server: &RabbitMq) {
    let before = mark(server);
    let target = format!("amqp://app:s3cret@{}/shop#queue=jobs#publish", server.addr);
    for _ in 0..4 {
        let args: Vec<&str> = ["--once", "--parallel"].into_iter().chain(std::iter::repeat_n(&*target, 50)).collect();
        Run::new(args).end().success();
    }
    assert_eq!(lines(server, before), [""; 0]);
    no_connection(server);
}

fn no_connection(server: &RabbitMq) {
    let limit = Instant::now() + PATIENCE;
    loop {
        let left = server.eval("rabbit_networking:connections().");
        if left == "{ok, []}" {
            return;
        }
        assert!(Instant::now() < limit, "{left}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// An alarm blocks publishers: their connections, and not those of consumers.
fn alarms(server: &RabbitMq) {
    let url = format!("amqp://app:s3cret@{}/shop", server.addr);
    let before = mark(server);
    server.eval("vm_memory_monitor:set_vm_memory_high_watermark(0.00001).");
    server.logged_after(before, "memory resource limit alarm set");
    once(&format!("amqp:{}", server.addr)).success();
    once(&url).success();
    once(&format!("{url}#queue=jobs")).success();
    let blocked = once(&format!("{url}#publish"));
    blocked.failure().stderr_has("an alarm blocks publishers: low on memory").stderr_has("expect.state");
    // The session of the publisher does not stay.
    no_connection(server);
    let waiting = Run::new(["-t", "60s", "--max-pause=200ms", &format!("{url}#publish")]).start();
    waiting.line("low on memory");
    server.eval("vm_memory_monitor:set_vm_memory_high_watermark(0.4).");
    waiting.end().success().stderr_has("which takes messages");
}

fn limits(server: &RabbitMq) {
    let url = format!("amqp://app:s3cret@{}/shop", server.addr);
    let none = r#"<<"{\"max-connections\": 0}">>"#;
    server.eval(&format!("rabbit_vhost_limit:parse_set(<<\"shop\">>, {none}, <<\"test\">>)."));
    once(&url).failure().stderr_has("connection limit (0) is reached").stderr_has("protocol.too-many-clients");
    server.eval("rabbit_vhost_limit:clear(<<\"shop\">>, <<\"test\">>).");
    once(&url).success();
}
