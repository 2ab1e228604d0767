//! The signals that end the run, up to the last moment before COMMAND takes over.

use std::fmt;
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream as Pair;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal as Number;
use signal_hook::{flag, low_level::pipe};
use tokio::net::UnixStream;
use tokio::time;

/// A signal that asks waitgate to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The kubelet and `docker stop` send this first, and SIGKILL after a grace period.
    Terminate,
    /// Ctrl-C on a terminal.
    Interrupt,
    /// The images of nginx and php-fpm have `STOPSIGNAL SIGQUIT`. An image that adds waitgate to one of them gets this
    /// in the place of SIGTERM.
    Quit,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Terminate, Self::Interrupt, Self::Quit];

    fn number(self) -> i32 {
        let number = match self {
            Self::Terminate => Number::TERM,
            Self::Interrupt => Number::INT,
            Self::Quit => Number::QUIT,
        };
        number.as_raw()
    }

    /// Its bit in a set of signals.
    fn bit(self) -> u64 {
        1 << (self.number() - 1)
    }

    fn numbered(number: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| usize::try_from(signal.number()) == Ok(number))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
        })
    }
}

/// How often a signal that the parent has blocked is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// The handlers of the signals. The kernel gives PID 1 no default action for them. Without a handler, a container would
/// run until the end of its grace period.
///
/// A handler notes its signal in `came`, and wakes the run. So a signal is seen at once, even if no part of the runtime
/// has run since it came.
///
/// waitgate does not handle SIGHUP. If its terminal closes, the signal ends waitgate, and there is no reader for a last
/// line. Under nohup the signal is ignored, and PID 1 has no default action for it, so there the wait goes on.
pub(crate) struct Signals {
    /// The number of the last signal that came; 0 for none.
    came: Arc<AtomicUsize>,
    /// From now on a signal ends the process in its handler.
    leaving: Arc<AtomicBool>,
    woken: UnixStream,
    /// Those of the signals that the parent has blocked. No handler sees them. They wait in the kernel until a process with this
    /// pid unblocks them, so they are read from there, and the mask stays as it was found.
    blocked: u64,
}

impl Signals {
    /// Installs the handlers. It needs a tokio runtime with I/O. `status` is the exit status of a process that a signal
    /// ends.
    pub(crate) fn install(status: u8) -> io::Result<Self> {
        let (read, write) = Pair::pair()?;
        read.set_nonblocking(true)?;
        let woken = UnixStream::from_std(read)?;
        let (came, leaving) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        // The handlers write to it until the process ends, so it is never closed.
        let write = write.into_raw_fd();
        for number in Signal::ALL.map(Signal::number) {
            flag::register_usize(number, Arc::clone(&came), usize::try_from(number).unwrap_or_default())?;
            flag::register_conditional_shutdown(number, status.into(), Arc::clone(&leaving))?;
            pipe::register_raw(number, write)?;
        }
        let ours = Signal::ALL.iter().fold(0, |set, signal| set | signal.bit());
        Ok(Self { came, leaving, woken, blocked: ours & kernel_set(&["\nSigBlk:"]) })
    }

    /// The signal that has come, if one has.
    pub(crate) fn came(&self) -> Option<Signal> {
        let waiting = || {
            if self.blocked == 0 {
                return None;
            }
            // The thread's own signals and those of the process (proc(5)).
            let pending = self.blocked & kernel_set(&["\nSigPnd:", "\nShdPnd:"]);
            Signal::ALL.into_iter().find(|signal| pending & signal.bit() != 0)
        };
        Signal::numbered(self.came.load(Ordering::SeqCst)).or_else(waiting)
    }

    /// Waits for the first signal.
    pub(crate) async fn arrived(&self) -> Signal {
        loop {
            if let Some(signal) = self.came() {
                return signal;
            }
            let look = if self.blocked == 0 { None } else { Some(LOOK) };
            let woken = async {
                if self.woken.readable().await.is_err() {
                    time::sleep(LOOK).await;
                }
            };
            match look {
                None => woken.await,
                Some(look) => drop(time::timeout(look, woken).await),
            }
            let _ = self.woken.try_read(&mut [0; 64]);
        }
    }

    /// Runs `exec`, which replaces the process, if no signal has come. It returns the signal that came, or what `exec`
    /// returned.
    ///
    /// A signal that comes after this last look ends the process in its handler, so that the command does not start and
    /// never hear of it. execve then gives the signals their default actions.
    pub(crate) fn last_look<T>(&self, exec: impl FnOnce() -> T) -> Result<T, Signal> {
        self.leaving.store(true, Ordering::SeqCst);
        let outcome = match self.came() {
            Some(signal) => Err(signal),
            None => Ok(exec()),
        };
        self.leaving.store(false, Ordering::SeqCst);
        outcome
    }
}

/// The union of these sets of signals of this process, as the kernel shows them: bit 0 is signal 1.
fn kernel_set(lines: &[&str]) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = |line: &&str| u64::from_str_radix(status.split_once(line)?.1.lines().next()?.trim(), 16).ok();
    lines.iter().filter_map(set).fold(0, |all, set| all | set)
}
