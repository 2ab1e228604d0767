//! A real RabbitMQ in a temporary folder, on a loopback address of its own, with an epmd of its own.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::{Pod, free_port, tool};

/// A start takes eight seconds on a quiet machine.
const STARTS: Duration = Duration::from_secs(120);

pub(crate) struct RabbitMq {
    /// Where it listens for AMQP, plain.
    pub(crate) addr: SocketAddr,
    /// Where it listens for AMQP over TLS, if it does.
    pub(crate) tls: SocketAddr,
    /// The address of epmd and of the Erlang distribution.
    epmd: SocketAddr,
    distribution: SocketAddr,
    folder: TempDir,
    /// The words that put a program into a Pod's network, if it is not the host's.
    network: Vec<String>,
    running: Vec<Child>,
}

impl RabbitMq {
    /// A server with these lines in its configuration, which has said that it has started.
    #[track_caller]
    pub(crate) fn started(settings: &[&str]) -> Self {
        let mut server = Self::new();
        server.start(settings);
        server.is_up();
        server
    }

    /// A server that is not running yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("must be able to make a temporary folder");
        let [addr, tls, epmd, distribution] = [(); 4].map(|()| free_port());
        Self { addr, tls, epmd, distribution, folder, network: Vec::new(), running: Vec::new() }
    }

    /// The same in a Pod. It runs, and does not listen at `addr` yet.
    #[track_caller]
    pub(crate) fn inside(pod: &Pod, addr: SocketAddr) -> Self {
        let mut server = Self::new();
        server.network = pod.enter_network();
        server.start(&[]);
        server.is_up();
        server.addr = addr;
        server
    }

    /// Listens at its address.
    #[track_caller]
    pub(crate) fn listen(&self) {
        let (ip, port) = (self.addr.ip(), self.addr.port());
        self.eval(&format!("rabbit_networking:start_tcp_listener({{\"{ip}\", {port}}}, 1)."));
    }

    /// Listens at one more address, over TLS, for clients that have a certificate. It is their login: there is no other.
    #[track_caller]
    pub(crate) fn listen_for_members(&self) -> SocketAddr {
        let addr = free_port();
        self.eval(&format!(
            "{{ok, Given}} = application:get_env(rabbit, ssl_options),
             Options = [Option || {{Name, _}} = Option <- Given, Name =/= verify, Name =/= fail_if_no_peer_cert],
             ok = application:set_env(rabbit, auth_mechanisms, ['EXTERNAL']),
             Members = [{{verify, verify_peer}}, {{fail_if_no_peer_cert, true}} | Options],
             ok = application:set_env(rabbit, ssl_options, Members),
             rabbit_networking:start_ssl_listener({{\"{}\", {}}}, Members, 1).",
            addr.ip(),
            addr.port()
        ));
        addr
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a configuration for a listener with this certificate and key.
    pub(crate) fn with_tls(&self, certificate: &str, key: &str, ca: &Path) -> Vec<String> {
        fs::write(self.path("server.crt"), certificate).expect("the folder is ours");
        fs::write(self.path("server.key"), key).expect("the folder is ours");
        vec![
            format!("listeners.ssl.1 = {}", self.tls),
            format!("ssl_options.cacertfile = {}", ca.display()),
            format!("ssl_options.certfile = {}", self.path("server.crt").display()),
            format!("ssl_options.keyfile = {}", self.path("server.key").display()),
        ]
    }

    /// Starts the server, and does not wait for it.
    #[track_caller]
    pub(crate) fn start(&mut self, settings: &[&str]) {
        self.stop();
        let ours = [
            format!("listeners.tcp.1 = {}", self.addr),
            "log.file.level = info".to_owned(),
            "log.console = false".to_owned(),
            // Without this, an alarm needs a disk that is nearly full to be quiet.
            "disk_free_limit.absolute = 1MB".to_owned(),
        ];
        let lines: Vec<&str> = ours.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        fs::write(self.path("rabbitmq.conf"), lines.join("\n") + "\n").expect("the folder is ours");
        let mut epmd = self.within(&tool("epmd"));
        epmd.args(["-address", &self.epmd.ip().to_string(), "-port", &self.epmd.port().to_string()]);
        self.running
            .push(epmd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("must be able to start epmd"));
        let log = fs::File::create(self.path("console")).expect("the folder is ours");
        let errors = log.try_clone().expect("a file can be cloned");
        let mut server = self.command("rabbitmq-server");
        // It then becomes the virtual machine and waits for no console.
        server.env("RUNNING_UNDER_SYSTEMD", "true").stdin(Stdio::null()).stdout(log).stderr(errors);
        // Of its group: the helpers of the virtual machine go with it.
        self.running.push(server.process_group(0).spawn().expect("must be able to start rabbitmq-server"));
    }

    /// Waits until the server says that it has started.
    #[track_caller]
    pub(crate) fn is_up(&self) {
        self.logged_after(0, "Server startup complete");
    }

    #[track_caller]
    pub(crate) fn logged_after(&self, before: usize, words: &str) {
        let limit = Instant::now() + STARTS;
        while !self.log().get(before..).unwrap_or_default().contains(words) {
            let console = || fs::read_to_string(self.path("console")).unwrap_or_default();
            assert!(Instant::now() < limit, "the log has no {words:?}: {}{}", self.log(), console());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log/rabbit.log")).unwrap_or_default()
    }

    /// The lines of the log after `before` bytes that are worse than `info`.
    pub(crate) fn worse_than_info(&self, before: usize) -> Vec<String> {
        let log = self.log();
        let lines = log.get(before..).unwrap_or_default().lines();
        lines
            .filter(|line| !["[info]", "[debug]", "[notice]"].iter().any(|it| line.contains(it)))
            .map(str::to_owned)
            .collect()
    }

    fn within(&self, program: &Path) -> Command {
        match self.network.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// One of Debian's scripts, without the wrapper that would become the user `rabbitmq`.
    fn command(&self, program: &str) -> Command {
        let program = Path::new("/usr/lib/rabbitmq/bin").join(program);
        assert!(program.is_file(), "this test needs RabbitMQ: apt-get install rabbitmq-server (tests/run does it)");
        let folder = self.folder.path().display().to_string();
        let at = |name: &str| format!("{folder}/{name}");
        let mut command = self.within(&program);
        command.env("HOME", &folder);
        command.env("ERL_EPMD_ADDRESS", self.epmd.ip().to_string());
        command.env("ERL_EPMD_PORT", self.epmd.port().to_string());
        command.env("ERL_EPMD_RELAXED_COMMAND_CHECK", "1");
        command.env("RABBITMQ_NODENAME", format!("waitgate{}@{}", self.epmd.port(), self.epmd.ip()));
        command.env("RABBITMQ_USE_LONGNAME", "true");
        command.env("RABBITMQ_DIST_PORT", self.distribution.port().to_string());
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none");
        for (name, file) in [
            ("CONF_ENV_FILE", "none"),
            ("CONFIG_FILE", "rabbitmq.conf"),
            ("ENABLED_PLUGINS_FILE", "plugins"),
            ("FEATURE_FLAGS_FILE", "flags"),
            ("GENERATED_CONFIG_DIR", "generated"),
            ("LOG_BASE", "log"),
            ("LOGS", "log/rabbit.log"),
            ("MNESIA_BASE", "db"),
            ("PID_FILE", "pid"),
        ] {
            command.env(format!("RABBITMQ_{name}"), at(file));
        }
        command
    }

    /// What this Erlang code comes to in the server. It is what `rabbitmqctl` would call, which takes half a second of a
    /// processor for each call.
    #[track_caller]
    pub(crate) fn eval(&self, code: &str) -> String {
        let cookie = fs::read_to_string(self.path(".erlang.cookie")).expect("the server has written it");
        let mut call = self.within(&tool("erl_call"));
        call.args(["-c", cookie.trim(), "-address", &self.distribution.to_string(), "-e"]);
        let mut call = call
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("must be able to start erl_call");
        let written = call.stdin.take().expect("stdin is a pipe").write_all(format!("{code}\n").as_bytes());
        let out = call.wait_with_output().expect("erl_call is our child");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let done =
            written.is_ok() && out.status.success() && said.starts_with("{ok, ") && !said.starts_with("{ok, {error");
        assert!(done, "{code}: {out:?}");
        said
    }

    #[track_caller]
    pub(crate) fn add_user(&self, name: &str, password: &str) {
        let [name, password] = [name, password].map(binary);
        self.eval(&format!("rabbit_auth_backend_internal:add_user({name}, {password}, <<\"test\">>)."));
    }

    #[track_caller]
    pub(crate) fn add_vhost(&self, name: &str) {
        self.eval(&format!("rabbit_vhost:add({}, <<\"test\">>).", binary(name)));
    }

    /// Patterns of what the user may configure, write to and read from.
    #[track_caller]
    pub(crate) fn permit(&self, user: &str, vhost: &str, patterns: [&str; 3]) {
        let [user, vhost] = [user, vhost].map(binary);
        let patterns = patterns.map(binary).join(", ");
        self.eval(&format!("rabbit_auth_backend_internal:set_permissions({user}, {vhost}, {patterns}, <<\"test\">>)."));
    }

    /// Stops the virtual machine where it is, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let server = self.running.last().expect("the server runs");
        kill_process(Pid::from_child(server), signal).expect("it is ours");
    }

    pub(crate) fn stop(&mut self) {
        for mut child in self.running.drain(..).rev() {
            // epmd is in the group of the tests and has no helpers.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The text as a binary of Erlang.
fn binary(text: &str) -> String {
    format!("<<\"{}\">>", text.replace('\\', "\\\\").replace('"', "\\\""))
}
