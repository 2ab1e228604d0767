//! The thread that reads and parses HTTP answers.
//!
//! hyper reads an answer in a task of its own. Some parts of one, such as the size of a chunk, have no bound in hyper: it
//! goes through them byte by byte, and a hostile server can keep the task busy for seconds. In waitgate's own thread the
//! deadline and the signals would have to wait for that.

use std::future::pending;
use std::pin::Pin;
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::{Resource, getrlimit};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The stack of the thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;

/// The thread takes three descriptors. If the limit is lower than this, the attempts need them more.
const DESCRIPTORS_MIN: u64 = 32;

/// The handle of the thread's runtime. Without a thread or a descriptor for it, waitgate's own thread does the work.
fn handle() -> Option<&'static Handle> {
    static HANDLE: OnceLock<Option<Handle>> = OnceLock::new();
    let start = || {
        if getrlimit(Resource::Nofile).current.is_some_and(|limit| limit < DESCRIPTORS_MIN) {
            return None;
        }
        let (tell, told) = mpsc::channel();
        // The runtime is made in the thread: one that is dropped in an attempt would panic. The thread ends with the
        // process. Each attempt drops its own tasks.
        let work = move || {
            if let Ok(runtime) = runtime::Builder::new_current_thread().enable_io().enable_time().build()
                && tell.send(runtime.handle().clone()).is_ok()
            {
                runtime.block_on(pending::<()>());
            }
        };
        thread::Builder::new().stack_size(STACK_SIZE).spawn(work).ok()?;
        told.recv().ok()
    };
    HANDLE.get_or_init(start).as_ref()
}

/// Starts `future` in the thread, with all that it spawns. Dropping the returned future ends it.
pub(super) fn start<T: Send + 'static>(future: Running<T>) -> Running<T> {
    let Some(handle) = handle() else { return future };
    let (tell, told) = oneshot::channel();
    let work = async move {
        let _ = tell.send(future.await);
    };
    let ends = EndOnDrop(handle.spawn(work).abort_handle());
    Box::pin(async move {
        let _ends = ends;
        match told.await {
            Ok(outcome) => outcome,
            // The thread is gone, which happens only at the end of the process.
            Err(_) => pending().await,
        }
    })
}

/// What runs in the thread.
pub(super) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Ends a task when it is dropped.
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
