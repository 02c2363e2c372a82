//! Flushes when the writer does not come to it: samples that are long in coming, or a recorder
//! that stands still, leave nothing unflushed for longer than [`super::Limits::flush`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::guard::guarded;
use super::segment::Open;

/// The thread and what it is to do.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    todo: Mutex<Todo>,
    changed: Condvar,
}

#[derive(Default)]
struct Todo {
    /// Until when what is to be flushed. Weak: whoever seals a segment waits until nobody has it.
    due: Option<(Instant, Weak<Open>)>,
    end: bool,
}

impl Shared {
    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flusher {
    pub(super) fn start() -> Result<Flusher> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("lmptop-flush".to_owned())
            .spawn(move || work(&own))
            .context("cannot start the recorder's thread")?;
        Ok(Flusher { shared, thread: Some(thread) })
    }

    /// Something was put into `open` that is to be flushed within `wait`; where something older
    /// waits already its time counts.
    pub(super) fn within(&self, wait: Duration, open: &Arc<Open>) {
        let mut todo = self.shared.todo();
        if todo.due.as_ref().is_none_or(|(_, old)| old.as_ptr() != Arc::as_ptr(open)) {
            todo.due = Some((Instant::now() + wait, Arc::downgrade(open)));
            self.shared.changed.notify_one();
        }
    }

    /// The writer has flushed everything itself.
    pub(super) fn done(&self) {
        self.shared.todo().due = None;
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.todo().end = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    let mut todo = shared.todo();
    while !todo.end {
        let now = Instant::now();
        todo = match &todo.due {
            None => shared.changed.wait(todo).unwrap_or_else(PoisonError::into_inner),
            Some((due, _)) if *due > now => {
                let wait = *due - now;
                let waited = shared.changed.wait_timeout(todo, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some((_, open)) => {
                let open = open.upgrade();
                todo.due = None;
                drop(todo);
                // What fails here fails for the writer, too, which says so and stops.
                let _ = open.map(|open| guarded("the database", || open.store.flush()));
                shared.todo()
            }
        };
    }
}
