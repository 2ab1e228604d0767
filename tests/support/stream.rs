//! What a process has printed so far, to be looked at while it runs.

use std::{
    io::Read,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// What has been read from a pipe so far, by a thread that ends when the pipe does.
#[derive(Clone, Default)]
pub(super) struct Stream(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    open: bool,
}

impl Stream {
    pub(super) fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        stream.lock().open = true;
        let shared = stream.clone();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                let count = pipe.read(&mut chunk).unwrap_or(0);
                let mut text = shared.lock();
                text.bytes.extend_from_slice(&chunk[..count]);
                text.open = count > 0;
                shared.0.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Text> {
        self.0.0.lock().expect("no thread panics with this lock")
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits for the end of the pipe. A grandchild may keep it open, so not for long.
    pub(super) fn settle(&self) {
        let _ = self.0.1.wait_timeout_while(self.lock(), Duration::from_secs(2), |text| text.open);
    }

    pub(super) fn line(&self, wanted: &str, patience: Duration) -> Option<String> {
        let find = |text: &Text| {
            let read = String::from_utf8_lossy(&text.bytes);
            let whole = &read[..=read.rfind('\n')?];
            whole.lines().find(|line| line.contains(wanted)).map(str::to_owned)
        };
        let (text, _) = self
            .0
            .1
            .wait_timeout_while(self.lock(), patience, |text| text.open && find(text).is_none())
            .expect("no thread panics with this lock");
        find(&text)
    }
}
