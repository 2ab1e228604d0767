//! The thread that reads and parses HTTP answers.
//!
//! hyper reads an answer in a task of its own. Some parts of one, such as the size of a chunk, have no bound in hyper: it
//! goes through them byte by byte, and a hostile server can keep the task busy for seconds. In waitgate's own thread the
//! deadline and the signals would have to wait for that.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::{self, Handle};

/// The stack of the thread, in bytes.
const STACK_SIZE: usize = 256 * 1024;

/// The handle of the thread's runtime. Without a thread or a descriptor for it, waitgate's own thread does the work.
fn handle() -> Option<&'static Handle> {
    static HANDLE: OnceLock<Option<Handle>> = OnceLock::new();
    let start = || {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().ok()?;
        let handle = runtime.handle().clone();
        // The thread ends with the process. Each attempt drops its own tasks.
        let work = move || runtime.block_on(pending::<()>());
        thread::Builder::new().stack_size(STACK_SIZE).spawn(work).ok().map(|_| handle)
    };
    HANDLE.get_or_init(start).as_ref()
}

/// Polls `future` here; what it spawns runs in the thread.
pub(super) fn poll<F: Future + ?Sized>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let _entered = handle().map(Handle::enter);
    future.poll(cx)
}

/// Awaits `future` in the same way.
pub(super) async fn run<F: Future + ?Sized>(mut future: Pin<&mut F>) -> F::Output {
    poll_fn(|cx| poll(future.as_mut(), cx)).await
}
