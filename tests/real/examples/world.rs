//! The Pod of a case, and the servers that its steps bring.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Case, PASSWORD, POD_IP, POD_NAME};
use crate::support::{
    Fake, Pod,
    dns::Knot,
    fake::linger,
    grpc::Grpc,
    kafka,
    kube::{self, Answer, End, Kube},
    mariadb::MariaDb,
    mongodb::{self, Mongod},
    pg::Pg,
    rabbitmq::RabbitMq,
    redis::Redis,
    server::{self, Server},
    web::{self, Authority, Reply},
};

/// What comes.
pub(super) enum Step {
    /// Services are created: their names resolve.
    Names(&'static [(&'static str, &'static str)]),
    /// A server that accepts, says nothing and keeps the connection open.
    Tcp(&'static str, u16),
    /// A web server that knows one path, and the status that it has for it.
    Web(&'static str, u16, &'static str, u16),
    /// Takes requests and remembers them; the first gets a 503.
    Registry(&'static str, u16),
    /// A real cluster.
    Postgres(&'static str),
    /// A real server of MariaDB.
    MySql(&'static str),
    /// A database is created in the one or the other.
    Database(&'static str),
    /// A real Redis that loads its dataset for a long time.
    Loading(&'static str),
    /// It starts again, and loads at once.
    Loaded,
    /// A real RabbitMQ with the user `webapp`.
    Broker(&'static str),
    /// A queue is declared there.
    Queue(&'static str),
    /// Servers of a replica set that is not initiated.
    MongoDb(&'static [&'static str]),
    /// The last of them is the primary.
    Elected,
    /// A real server, in the place of one that only accepts.
    ZooKeeper(&'static str),
    /// A real server.
    Memcached(&'static str),
    /// A real server of gRPC, with this health of its one service, in the place of what was there.
    Health(&'static str, &'static str),
    /// A broker that does not know the topic yet.
    Kafka(&'static str),
    /// Now it does.
    Topic(&'static str),
    /// The API server of Kubernetes, with a Job that runs and then completes, and a rollout that goes on and then is done.
    Kubernetes(&'static str),
}
use Step::{
    Broker, Database, Elected, Health, Kafka, Kubernetes, Loaded, Loading, Memcached, MongoDb, MySql, Names, Postgres,
    Queue, Registry, Tcp, Topic, Web, ZooKeeper,
};

pub(super) struct World {
    pub(super) pod: Pod,
    knot: Knot,
    records: String,
    /// What is put after a Service's name in the zone.
    suffix: &'static str,
    cluster: Option<Pg>,
    redis: Option<Redis>,
    mariadb: Option<MariaDb>,
    broker: Option<RabbitMq>,
    grpc: Option<Grpc>,
    mongods: Vec<Mongod>,
    fakes: Vec<Fake>,
    webs: Vec<web::Web>,
    servers: Vec<Server>,
    authority: Authority,
    kube: Option<Kube>,
    topics: Arc<Mutex<Vec<String>>>,
    started: PathBuf,
}

impl World {
    /// The Pod's surroundings: resolv.conf, hosts and a DNS server that knows no name yet.
    #[track_caller]
    pub(super) fn new(case: &Case, tools: &std::path::Path) -> Self {
        let pod = Pod::new();
        add_address(&pod, case.nameserver);
        pod.etc("resolv.conf", &case.resolv_conf);
        pod.etc("hosts", &format!("127.0.0.1 localhost\n::1 localhost\n{POD_IP} {POD_NAME}\n"));
        let knot = Knot::start_zone(&pod, &format!("{}@53", case.nameserver), case.zone, "");
        let address =
            case.steps.iter().find_map(|step| if let Postgres(address) = step { Some(*address) } else { None });
        let authority = Authority::new();
        if case.steps.iter().any(|step| matches!(step, Kubernetes(_))) {
            pod.service_account(kube::TOKEN, &fs::read_to_string(authority.file()).unwrap());
        }
        Self {
            authority,
            kube: None,
            topics: Arc::default(),
            cluster: address.map(|address| cluster(&pod, address)),
            redis: None,
            mariadb: None,
            broker: None,
            grpc: None,
            mongods: Vec::new(),
            pod,
            knot,
            records: String::new(),
            suffix: if case.zone == "." { "" } else { ".default.svc" },
            fakes: Vec::new(),
            webs: Vec::new(),
            servers: Vec::new(),
            started: tools.join("started"),
        }
    }

    fn mongod(&self, address: &'static str) -> Mongod {
        let users = [mongodb::User("shop", "webapp", PASSWORD, mongodb::BOTH)];
        self.at(address, 27017, |addr| Mongod::on(addr, mongodb::state("uninitiated", ""), &users))
    }

    /// The last server becomes the primary.
    fn elect(&self) {
        let (primary, others) = self.mongods.split_last().expect("the case has servers");
        for server in others {
            server.becomes(mongodb::state("secondary", "mongodb-0.mongodb:27017"));
        }
        primary.becomes(mongodb::state("primary", "mongodb-1.mongodb:27017"));
    }

    #[track_caller]
    pub(super) fn take(&mut self, step: &Step) {
        match *step {
            Names(names) => {
                for (name, address) in names {
                    add_address(&self.pod, address);
                    let _ = writeln!(self.records, "{name}{} A {address}", self.suffix);
                }
                self.knot.serve(&self.records);
            }
            Tcp(address, port) => {
                let fake = self.at(address, port, |addr| Fake::on(addr, linger));
                self.fakes.push(fake);
            }
            Web(address, port, path, status) => {
                let web = self.at(address, port, |addr| {
                    web::Web::on(addr, None, move |seen, _| {
                        let asked = seen.path.split('?').next();
                        Reply::status(if asked == Some(path) { status } else { 404 })
                    })
                });
                self.webs.push(web);
            }
            Registry(address, port) => {
                let web = self.at(address, port, |addr| {
                    web::Web::on(addr, None, |_, before| Reply::status(if before == 0 { 503 } else { 201 }))
                });
                self.webs.push(web);
            }
            Postgres(address) => {
                add_address(&self.pod, address);
                self.pg().start();
            }
            Loading(address) => {
                add_address(&self.pod, address);
                let mut redis = Redis::inside(&self.pod, (address.parse::<std::net::IpAddr>().unwrap(), 6379).into());
                redis.start_loading(&["--key-load-delay", "100000", "--requirepass", PASSWORD]);
                self.redis = Some(redis);
            }
            Loaded => self.redis.as_mut().expect("the case has a Redis").start(&["--requirepass", PASSWORD]),
            Broker(address) => self.broker = Some(broker(&self.pod, address)),
            Queue(name) => {
                let queue = format!("rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>)");
                let declare = format!("rabbit_amqqueue:declare({queue}, true, false, [], none, <<\"webapp\">>).");
                self.broker.as_ref().expect("the case has a broker").eval(&declare);
            }
            MongoDb(addresses) => self.mongods = addresses.iter().map(|address| self.mongod(address)).collect(),
            Elected => self.elect(),
            ZooKeeper(address) => {
                self.fakes.clear();
                let server = self.at(address, 2181, server::zookeeper);
                self.servers.push(server);
            }
            Memcached(address) => {
                let server = self.at(address, 11211, server::memcached);
                self.servers.push(server);
            }
            Health(address, health) => {
                self.fakes.clear();
                self.grpc = None;
                let health = format!("shop.v1.Cart={health}");
                self.grpc = Some(self.at(address, 50051, |addr| Grpc::started_at(addr, &[&health])));
            }
            Kafka(address) => {
                let topics = Arc::clone(&self.topics);
                let fake = self.at(address, 9092, |addr| kafka::with_topics(addr, topics));
                self.fakes.push(fake);
            }
            Topic(name) => self.topics.lock().unwrap().push(name.to_owned()),
            MySql(address) => {
                add_address(&self.pod, address);
                let mut db = MariaDb::inside(&self.pod, address);
                db.begins_with(&format!(
                    "CREATE USER webapp@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON orders.* TO webapp@'%';\n"
                ));
                db.start();
                self.mariadb = Some(db);
            }
            Database(name) if self.mariadb.is_some() => {
                let db = self.mariadb.as_ref().expect("it was asked for");
                db.accepting();
                db.sql(&format!("CREATE DATABASE {name}"));
            }
            Kubernetes(address) => {
                let kube = self.at(address, 443, |addr| Kube::on(addr, &self.authority, None, api));
                self.kube = Some(kube);
            }
            Database(name) => {
                self.pg().accepting();
                self.pg().sql(&format!("CREATE DATABASE {name}"));
            }
        }
    }

    /// The method, path and body of each request that a web server got.
    pub(super) fn requests(&self) -> Vec<(String, String, String)> {
        let seen = self.webs.iter().flat_map(web::Web::seen);
        seen.map(|seen| (seen.method, seen.path, seen.body)).collect()
    }

    /// What a stand-in was started as.
    pub(super) fn started(&self) -> String {
        fs::read_to_string(&self.started).unwrap()
    }

    fn pg(&mut self) -> &mut Pg {
        self.cluster.as_mut().expect("the case has a cluster")
    }

    #[track_caller]
    fn at<T: Send>(&self, address: &str, port: u16, make: impl FnOnce(std::net::SocketAddr) -> T + Send) -> T {
        add_address(&self.pod, address);
        let addr = (address.parse::<std::net::IpAddr>().unwrap(), port).into();
        self.pod.within(|| make(addr))
    }
}

/// What the API server says: not ready in a list, and ready in the watch.
fn api(path: &str, _: usize) -> Answer {
    let resource = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let (list, ready) = match resource {
        "jobs" => (kube::list_of(&["job-running"]), kube::recorded("job-complete")["body"].clone()),
        "deployments" => {
            (kube::list_of(&["deployment-progressing"]), kube::recorded("deployment-rolled-out")["body"].clone())
        }
        "endpointslices" => (kube::list(&[]), kube::recorded("endpointslices-ready")["body"]["items"][0].clone()),
        other => panic!("waitgate asked for {other}"),
    };
    assert!(path.contains("/namespaces/default/"), "{path}");
    if path.contains("watch=1") {
        Answer::Watch(vec![(Duration::from_millis(300), kube::event("MODIFIED", &ready))], End::Open)
    } else {
        list
    }
}

#[track_caller]
fn add_address(pod: &Pod, address: &str) {
    pod.sh(&format!("ip address replace {address}/32 dev lo"));
}

/// A cluster with the role `webapp`, which is not running yet.
#[track_caller]
fn cluster(pod: &Pod, address: &str) -> Pg {
    let mut pg = Pg::inside(pod, (address.parse::<std::net::IpAddr>().unwrap(), 5432).into());
    pg.hba("local all all trust\nhost all all all scram-sha-256\n");
    // The role is there before anything can connect from outside.
    pg.conf("listen_addresses = ''\n");
    pg.start();
    pg.accepting();
    pg.sql(&format!("CREATE ROLE webapp LOGIN PASSWORD '{PASSWORD}'"));
    pg.stop();
    pg.conf(&format!("listen_addresses = '{address}'\n"));
    pg
}

/// A RabbitMQ with the user `webapp`.
fn broker(pod: &Pod, address: &str) -> RabbitMq {
    add_address(pod, address);
    let broker = RabbitMq::inside(pod, (address.parse::<std::net::IpAddr>().unwrap(), 5672).into());
    broker.add_user("webapp", PASSWORD);
    broker.permit("webapp", "/", [".*", ".*", ".*"]);
    broker.listen();
    broker
}
