//! A stand-in for a Pod: its own network, host name, `/etc` and `/dev/termination-log`.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use super::tool;

/// Lives until it is dropped. A process that only reads its stdin holds the namespaces, so that
/// they are gone even when the test was killed.
pub(crate) struct Pod {
    holder: Child,
    folder: TempDir,
}

/// Makes `/etc` hold nothing but the Pod's own files, and `/dev` only what a container runtime makes.
const SET_UP: &str = r#"
set -e
cd "$1"
for name in null urandom random; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mount --bind etc /etc
mount --rbind dev /dev
ip link set lo up
hostname pod
echo up
exec cat
"#;

impl Pod {
    /// A Pod whose only interface is loopback, with `127.0.0.1 localhost` in its hosts file and a
    /// nameserver at 127.0.0.1 with no server yet.
    #[track_caller]
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes a network namespace: run it as root (in a container with CAP_SYS_ADMIN will do)"
        );
        let folder = tempfile::tempdir().expect("must be able to make a temporary folder");
        for name in ["etc", "dev"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder is writable");
        }
        let holder = Command::new(tool("unshare"))
            .args(["--net", "--uts", "--mount", "--propagation", "private", "sh", "-c", SET_UP, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("must be able to start unshare");
        let mut pod = Self { holder, folder };
        pod.etc("hosts", "127.0.0.1 localhost\n::1 localhost\n");
        pod.etc("resolv.conf", "nameserver 127.0.0.1\n");
        let stdout = pod.holder.stdout.take().expect("stdout was piped");
        let mut said = String::new();
        let _ = BufReader::new(stdout).read_line(&mut said);
        assert_eq!(said, "up\n", "must be able to make namespaces and mounts: are we root with CAP_SYS_ADMIN?");
        pod
    }

    /// Writes a file of the Pod's `/etc`, in one step as the kubelet does.
    pub(crate) fn etc(&self, name: &str, text: &str) {
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("etc").join(name));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("the folder is ours");
    }

    pub(crate) fn remove_etc(&self, name: &str) {
        fs::remove_file(self.folder.path().join("etc").join(name)).expect("the file was there");
    }

    /// Gives it a host name.
    pub(crate) fn hostname(&self, name: &str) {
        let pid = self.holder.id().to_string();
        let status = Command::new(tool("nsenter")).args(["--target", &pid, "--uts", "--", "hostname", name]).status();
        assert!(status.is_ok_and(|status| status.success()), "must be able to set a host name");
    }

    /// The Pod's `/dev/termination-log`, seen from outside; it does not exist until a test writes it.
    pub(crate) fn termination_log(&self) -> PathBuf {
        self.folder.path().join("dev/termination-log")
    }

    /// The words before a command that put it into the network and the mounts.
    pub(crate) fn enter_all(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--target", &pid, "--net", "--uts", "--mount", "--"].map(str::to_owned).into()
    }

    /// The same for its network alone: servers keep the files of the host.
    pub(crate) fn enter_network(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--target", &pid, "--net", "--"].map(str::to_owned).into()
    }

    /// A program in the Pod's network, but with the files of the host: a server.
    pub(crate) fn server(&self, program: &str) -> Command {
        let words = self.enter_network();
        let mut command = Command::new(tool(&words[0]));
        command.args(&words[1..]).arg(tool(program));
        command
    }

    /// Runs a shell script in the Pod's network, with the files of the host.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) {
        let status = self.server("sh").args(["-ec", script]).status().expect("must be able to run sh");
        assert!(status.success(), "{status}: {script}");
    }

    /// Mounts a ServiceAccount, as the kubelet does, in place of whatever the host has in /run.
    #[track_caller]
    pub(crate) fn service_account(&self, token: &str, ca: &str) {
        let words = self.enter_all();
        let folder = "/run/secrets/kubernetes.io/serviceaccount";
        let script = format!(
            "mount -t tmpfs none /run\nmkdir -p {folder}\nprintf %s '{token}' >{folder}/token\nprintf %s default >{folder}/namespace\ncat >{folder}/ca.crt <<'END'\n{ca}\nEND\n"
        );
        let status = Command::new(tool(&words[0])).args(&words[1..]).args(["sh", "-ec", &script]).status();
        assert!(status.is_ok_and(|status| status.success()), "must be able to mount a ServiceAccount");
    }

    /// Calls `make` on a thread that is inside the Pod's network. A socket stays where it was made,
    /// so what it returns may be used from any thread, and threads that it starts stay inside.
    #[track_caller]
    pub(crate) fn within<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("the holder runs");
        let inside = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace");
            make()
        };
        let joined = thread::scope(|scope| scope.spawn(inside).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
