//! A cell: one run of waitgate against one fault, and what must hold of it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process, test_kill_process_group};

use super::bound::{Bound, MARGIN};
use super::path;
use super::row::{Row, Source};
use super::world::World;
use crate::support::fault::{Fault, Script};
use crate::support::run::{Ended, Running};
use crate::support::signals::handles_signals;
use crate::support::{Fake, Run};

/// Of the memory that is waitgate's own, so much may be resident.
const ANONYMOUS_KB: usize = 8 * 1024;

/// A DNS question over two families, which is joined by another every 250 ms, and one connection.
const SOCKETS: usize = 12;

/// How long it is from one look at a run to the next.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Cell<'a> {
    row: &'a Row,
    pub(super) fault: Fault,
    bound: Bound,
}

/// What a run has shown: the code of its reason, and what is wrong with it.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) code: String,
    pub(super) wrong: Option<String>,
}

/// Where the fault of a cell is, and what makes it, until this is dropped.
struct Place {
    /// The host and port, or for a name the name alone.
    addr: String,
    path: PathBuf,
    _server: Option<Fake>,
    _sockets: Vec<OwnedFd>,
}

/// What a run used at most, as far as it was seen.
#[derive(Default)]
struct Used {
    anonymous_kb: usize,
    /// If more descriptors were seen than a run may have sockets.
    sockets: usize,
}

impl<'a> Cell<'a> {
    pub(super) fn of(row: &'a Row) -> impl Iterator<Item = Self> {
        let cell = move |fault| Bound::ALL.map(|bound| Self { row, fault, bound });
        // A control is ready before any bound.
        row.faults
            .iter()
            .flat_map(move |fault| cell(*fault))
            .filter(|cell| cell.fault != Fault::None || cell.bound == Bound::Deadline)
    }

    pub(super) fn key(&self) -> (usize, Fault, Bound) {
        (self.row.number, self.fault, self.bound)
    }

    /// Whether a server says much.
    fn is_large(&self) -> bool {
        let large = matches!(self.fault, Fault::Endless | Fault::Memory | Fault::Oversized);
        large && matches!(self.row.source, Source::Tcp(_) | Source::Unix(_))
    }

    /// The same fault with the other bounds.
    pub(super) fn siblings(&self) -> [(usize, Fault, Bound); 3] {
        Bound::ALL.map(|bound| (self.row.number, self.fault, bound))
    }

    pub(super) fn run(&self, world: &World) -> Outcome {
        let place = self.place(world);
        let target = place.fill(&self.row.target);
        let (data, files) = match self.fault {
            Fault::Memory => (8 << 20, 64),
            Fault::Descriptors => (16 << 20, world.descriptors),
            _ => (16 << 20, 64),
        };
        // Root is forbidden nothing, unless it has not these capabilities.
        let (binary, drops) = match (&self.row.source, self.fault) {
            (Source::File(_) | Source::Socket | Source::Read(..), Fault::Forbidden) => {
                (world.binary.as_path(), Some("setpriv --bounding-set=-dac_override,-dac_read_search --"))
            }
            _ => (Path::new(env!("CARGO_BIN_EXE_waitgate")), None),
        };
        let limits = format!("prlimit --data={data} --nofile={files} --");
        let limits = drops.into_iter().flat_map(str::split_whitespace).chain(limits.split_whitespace());
        // A control has the time that a busy machine takes.
        let long = vec!["--timeout=10s".to_owned()];
        let options = if self.fault == Fault::None { long } else { self.bound.options(self.is_large()) };
        let run = Run::program(binary, options).arg("--log-format=json").arg("--termination-log=").arg(&target);
        let run = self.row.options.iter().fold(run, Run::arg);
        let run = match self.row.api {
            Some(url) => run.env("KUBECONFIG", self.kubeconfig(world, &place.fill(url))),
            None => run,
        };
        let (ended, used, late) = self.follow(run.inside(&world.pod).through(limits).start());
        let code = text(&ended, "code").to_owned();
        let wrong =
            self.complaint(&ended, &used, late, &code).map(|why| format!("{}: {why}{ended}", self.name(&target)));
        Outcome { code, wrong }
    }

    fn name(&self, target: &str) -> String {
        format!("{} {} × {} × {:?}: {target}", self.row.kind, self.row.column, self.fault.words(), self.bound)
    }

    /// A path that no other cell has, in a folder of its own, which has the name that PostgreSQL gives to its socket.
    fn own_path(&self, world: &World) -> PathBuf {
        let folder = world.folder.path().join(format!("{}-{:?}-{:?}", self.row.number, self.fault, self.bound));
        // There may have been a try before.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder.join(".s.PGSQL.5432")
    }

    fn place(&self, world: &World) -> Place {
        let fault = self.fault;
        let at = |addr: String| Place { addr, path: PathBuf::new(), _server: None, _sockets: Vec::new() };
        let file = || Place { path: self.own_path(world), ..at(String::new()) };
        let server = |script: &Arc<Script>, fault| {
            let script = Arc::clone(script);
            let serve = move |stream| script.serve(stream, fault);
            let fake = world.pod.within(|| Fake::on(([127, 0, 0, 1], 0).into(), serve));
            let place = at(fake.addr.to_string());
            Place { _server: Some(fake), ..place }
        };
        match &self.row.source {
            Source::Name => at(format!("{}.test", fault.label())),
            Source::Port => at(World::port(fault).to_string()),
            Source::Tcp(script) => server(script, fault),
            Source::Unix(script) => {
                let place = file();
                let listener = UnixListener::bind(&place.path).unwrap();
                let script = Arc::clone(script);
                // It ends with the test.
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let script = Arc::clone(&script);
                        thread::spawn(move || script.serve_unix(stream, fault));
                    }
                });
                place
            }
            Source::File(right) => {
                let place = file();
                path::file(&place.path, fault, right);
                place
            }
            Source::Socket => {
                let place = file();
                Place { _sockets: path::socket(&place.path, fault), ..place }
            }
            Source::Read(right, script) => {
                let place = Place { path: self.own_path(world), ..server(script, Fault::None) };
                path::file(&place.path, fault, right);
                place
            }
        }
    }

    fn kubeconfig(&self, world: &World, url: &str) -> PathBuf {
        let path = world.folder.path().join(format!("{}-{:?}-{:?}.yaml", self.row.number, self.fault, self.bound));
        let ca = world.authority.file().display().to_string();
        let text = format!(
            "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n    namespace: shop\nclusters:\n- name: k\n  cluster:\n    server: {url}\n    certificate-authority: {ca}\nusers:\n- name: u\n  user:\n    token: hunter2\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Watches the run, sends the signals, and returns how long the run took from where its bound counts.
    fn follow(&self, running: Running) -> (Ended, Used, Duration) {
        let pid = running.pid();
        let mut used = Used::default();
        let mut counts = Instant::now();
        if self.fault == Fault::Signal {
            handles_signals(pid);
            let _ = kill_process(pid, Signal::STOP);
            thread::sleep(Duration::from_millis(50));
            let _ = kill_process(pid, Signal::CONT);
        }
        if self.bound == Bound::Terminate && self.fault != Fault::None {
            handles_signals(pid);
            let until = Instant::now() + self.bound.before_the_signal(self.is_large());
            while Instant::now() < until {
                used.look(&running);
                thread::sleep(LOOK);
            }
            counts = Instant::now();
            let _ = kill_process(pid, Signal::TERM);
        }
        while !running.has_ended() {
            used.look(&running);
            thread::sleep(LOOK);
        }
        let ended = running.end();
        let late = if self.bound == Bound::Terminate {
            (ended.started + ended.elapsed).saturating_duration_since(counts)
        } else {
            ended.elapsed
        };
        let left = test_kill_process_group(pid).is_ok();
        used.sockets += if left { 1000 } else { 0 };
        (ended, used, late)
    }

    fn complaint(&self, ended: &Ended, used: &Used, late: Duration, code: &str) -> Option<String> {
        let all = format!("{}{}", ended.stdout, ended.stderr);
        for word in ["hunter2", "PRIVATE KEY", "panicked", "internal error"] {
            if all.contains(word) {
                return Some(format!("{word:?} is in its output"));
            }
        }
        if used.sockets >= 1000 {
            return Some("a process is left".to_owned());
        }
        if used.anonymous_kb > ANONYMOUS_KB || used.sockets > SOCKETS {
            return Some(format!("{} kB and {} sockets", used.anonymous_kb, used.sockets));
        }
        if self.fault == Fault::None {
            return (!ended.status.success()).then(|| "a right answer must be ready".to_owned());
        }
        if ended.status.code() != Some(1) {
            return Some(format!("{}, expected status 1", ended.status));
        }
        if !ended.last_line().contains(&format!("\"verdict\":\"{}\"", self.bound.verdict())) {
            return Some(format!("expected the verdict {}", self.bound.verdict()));
        }
        if late > self.bound.latest(self.is_large())
            || (self.bound == Bound::Deadline && late + MARGIN < self.bound.latest(self.is_large()))
        {
            return Some(format!("{late:?}, expected {:?} at most", self.bound.latest(self.is_large())));
        }
        // Which file it is that cannot be read.
        let wants = matches!(self.row.source, Source::Read(..)).then_some(".s.PGSQL.5432");
        if let Some(path) = wants.filter(|path| !text(ended, "reason").contains(path)) {
            return Some(format!("expected {path} in the reason"));
        }
        self.row.complaint(self.fault, code)
    }
}

/// The text of this name in the verdict about the only target; empty if there is none.
fn text<'a>(ended: &'a Ended, name: &str) -> &'a str {
    let line = ended.stderr.lines().last().unwrap_or_default();
    let text = line.rsplit_once(&format!("\"{name}\":\"")).and_then(|(_, rest)| rest.split('"').next());
    text.unwrap_or_default()
}

impl Place {
    /// The target or URL with this place in it.
    fn fill(&self, target: &str) -> String {
        let path = self.path.display().to_string();
        let folder = self.path.parent().unwrap_or(&self.path).display().to_string();
        let encoded = path.replace('/', "%2F");
        let places = [("ADDR", &self.addr), ("%2FPATH", &encoded), ("PATH", &path), ("FOLDER", &folder)];
        places.iter().fold(target.to_owned(), |target, (word, place)| target.replace(word, place))
    }
}

impl Used {
    fn look(&mut self, running: &Running) {
        let at = format!("/proc/{}", running.pid().as_raw_nonzero());
        let status = fs::read_to_string(format!("{at}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let anonymous = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        self.anonymous_kb = self.anonymous_kb.max(anonymous);
        let links: Vec<_> = fs::read_dir(format!("{at}/fd")).into_iter().flatten().flatten().collect();
        if links.len() > SOCKETS {
            let to = links.iter().filter_map(|link| fs::read_link(link.path()).ok());
            let sockets = to.filter(|to| to.to_string_lossy().starts_with("socket:"));
            self.sockets = self.sockets.max(sockets.count());
        }
    }
}
