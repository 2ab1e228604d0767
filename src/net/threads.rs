//! Threads for work that may be busy for long: the deadline and the signals do not wait for it.

#[cfg(feature = "http")]
use std::cell::OnceCell;
#[cfg(feature = "http")]
use std::future::pending;
use std::io;
#[cfg(feature = "http")]
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::sync::mpsc;
use std::thread;

use rustix::process::setpriority_process;
#[cfg(feature = "http")]
use rustix::process::{Resource, getrlimit};
#[cfg(feature = "http")]
use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, oneshot};
#[cfg(feature = "http")]
use tokio::task::AbortHandle;

/// At most this many threads compute at the same time in the whole run, so that neither memory nor time grows with the
/// number of targets.
const COMPUTING_MAX: usize = 2;

/// The stack of a thread that computes, in bytes.
const COMPUTING_STACK: usize = 128 * 1024;

/// The lowest priority: the deadline and the signals come first.
const NICE: i32 = 19;

/// The stack of the thread that runs futures, in bytes.
#[cfg(feature = "http")]
const RUNNING_STACK: usize = 256 * 1024;

/// That thread takes three descriptors. If the limit is lower than this, the attempts need them more.
#[cfg(feature = "http")]
const DESCRIPTORS_MIN: u64 = 32;

/// The threads of a run.
pub(crate) struct Threads {
    computing: Arc<Semaphore>,
    /// The runtime of the thread that runs futures. `None` inside: there is no thread.
    #[cfg(feature = "http")]
    runtime: OnceCell<Option<Handle>>,
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            computing: Arc::new(Semaphore::new(COMPUTING_MAX)),
            #[cfg(feature = "http")]
            runtime: OnceCell::new(),
        }
    }
}

impl Threads {
    /// The outcome of `work`, which nothing can interrupt. It runs in a thread of its own, perhaps after others. If the
    /// returned future is dropped, the thread goes on. It ends with the process.
    ///
    /// An error says that the system allows no thread.
    pub(crate) async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let slot = Arc::clone(&self.computing).acquire_owned().await.map_err(io::Error::other)?;
        let (tell, told) = oneshot::channel();
        let work = move || {
            // On Linux this concerns only the calling thread (setpriority(2), "C library/kernel differences").
            let _ = setpriority_process(None, NICE);
            let outcome = work();
            drop(slot);
            let _ = tell.send(outcome);
        };
        thread::Builder::new().stack_size(COMPUTING_STACK).spawn(work)?;
        told.await.map_err(io::Error::other)
    }

    /// Starts `future` in a thread that all such futures share, with all that it spawns. Dropping the returned future
    /// ends it. Without a thread or descriptors for it, waitgate's own thread does the work.
    #[cfg(feature = "http")]
    pub(crate) fn start<T: Send + 'static>(&self, future: Running<T>) -> Running<T> {
        let Some(runtime) = self.runtime.get_or_init(runtime) else { return future };
        let (tell, told) = oneshot::channel();
        let work = async move {
            let _ = tell.send(future.await);
        };
        let ends = EndOnDrop(runtime.spawn(work).abort_handle());
        Box::pin(async move {
            let _ends = ends;
            match told.await {
                Ok(outcome) => outcome,
                // The thread is gone, which happens only at the end of the process.
                Err(_) => pending().await,
            }
        })
    }
}

/// What runs in the thread for futures.
#[cfg(feature = "http")]
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Starts the thread for futures.
#[cfg(feature = "http")]
fn runtime() -> Option<Handle> {
    if getrlimit(Resource::Nofile).current.is_some_and(|limit| limit < DESCRIPTORS_MIN) {
        return None;
    }
    let (tell, told) = mpsc::channel();
    // The runtime is made in the thread: one that is dropped in an attempt would panic. The thread ends with the process.
    // Each attempt drops its own tasks.
    let work = move || {
        if let Ok(runtime) = runtime::Builder::new_current_thread().enable_io().enable_time().build()
            && tell.send(runtime.handle().clone()).is_ok()
        {
            runtime.block_on(pending::<()>());
        }
    };
    thread::Builder::new().stack_size(RUNNING_STACK).spawn(work).ok()?;
    told.recv().ok()
}

/// Ends a task when it is dropped.
#[cfg(feature = "http")]
struct EndOnDrop(AbortHandle);

#[cfg(feature = "http")]
impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
