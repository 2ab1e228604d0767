//! The termination message at its default path, in a Pod.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::support::{Pod, Run};

/// A file for a termination message, as the kubelet makes it: empty, and open to all users.
fn kubelets_file(path: &Path) {
    fs::write(path, "").expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("the file is ours");
}

/// The default path, in a Pod.
mod default_path {
    use super::*;

    fn pod() -> Pod {
        let pod = Pod::new();
        kubelets_file(&pod.termination_log());
        pod
    }

    fn message(pod: &Pod) -> String {
        fs::read_to_string(pod.termination_log()).expect("the Pod has one")
    }

    #[test]
    fn is_written_when_not_ready() {
        let pod = pod();
        Run::new(["-t", "300ms", "tcp:127.0.0.1:7000"]).inside(&pod).end().failure();
        assert!(message(&pod).contains("tcp:127.0.0.1:7000"), "{}", message(&pod));
    }

    /// A line that was refused is the most usual reason of all to look into `kubectl describe`.
    #[test]
    fn is_written_when_refused() {
        let pod = pod();
        Run::new(["tcp:db"]).inside(&pod).end().failure();
        assert!(message(&pod).contains("tcp:HOST:PORT"), "{}", message(&pod));
    }

    #[test]
    fn can_be_turned_off() {
        for run in [
            Run::new(["-t", "300ms", "tcp:127.0.0.1:7000", "--termination-log="]),
            Run::new(["-t", "300ms", "tcp:127.0.0.1:7000", "--termination-log", "/nowhere/log"]),
        ] {
            let pod = pod();
            run.inside(&pod).end().failure();
            assert_eq!(message(&pod), "");
        }
    }

    /// An exec probe runs in the application's container, where that file is the application's.
    #[test]
    fn is_left_alone_by_once_and_dry_run() {
        let pod = pod();
        Run::new(["--once", "tcp:127.0.0.1:7000"]).inside(&pod).end().failure();
        Run::new(["--dry-run", "tcp:127.0.0.1"]).inside(&pod).end().failure();
        Run::new(["--once", "--no-such-option", "tcp:127.0.0.1:7000"]).inside(&pod).end().failure();
        assert_eq!(message(&pod), "");
        // Unless it was asked for by name.
        let flag = "--termination-log=/dev/termination-log";
        Run::new(["--once", flag, "tcp:127.0.0.1:7000"]).inside(&pod).end().failure();
        assert!(message(&pod).contains("tcp:127.0.0.1:7000"), "{}", message(&pod));
    }

    #[test]
    fn holds_no_secrets() {
        let pod = pod();
        for target in [
            "postgres://app:hunter2@127.0.0.1:7000/app",
            "http://u:hunter2@127.0.0.1:7000/?token=hunter2#header=A:hunter2",
        ] {
            if cfg!(all(feature = "http", feature = "postgres")) {
                Run::new(["-t", "300ms", target]).inside(&pod).end().failure();
                assert!(message(&pod).contains("127.0.0.1"), "{}", message(&pod));
                assert!(!message(&pod).contains("hunter2"), "{}", message(&pod));
            }
        }
    }
}
