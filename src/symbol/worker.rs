//! The thread that names stacks: captures go in by a bounded queue, stacks come back by a channel
//! of each probe's own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::lines::Asked;
use super::{Capture, Kernel, Resolved, Status};
use crate::memory;
use crate::table::stack::{Lines, Spot};
use crate::urgency;

/// Captures that may wait, 2 to 32 KB each.
const WAITING: usize = 4096;
/// Bytes of user stacks that may wait.
const WAITING_BYTES: usize = 12 << 20;
/// How often freed memory is given back while stacks are named: texts of all lengths come and go.
const TRIM: Duration = Duration::from_secs(10);
/// How often it is looked after what the kernel tells of processes that end, while somebody takes
/// stacks.
const LOOK: Duration = Duration::from_millis(100);

/// How long a refresh waits for names; what has none by then comes with the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes, up to 10 s: somebody waits for the whole answer.
    #[default]
    Whole,
    /// 20 ms for each probe: the pace is kept, and the queues of other probes are emptied in time.
    Brief,
}

impl Patience {
    /// At most this long.
    pub fn time(self) -> Duration {
        match self {
            Patience::Whole => Duration::from_secs(10),
            Patience::Brief => Duration::from_millis(20),
        }
    }
}

/// One piece of work for the thread.
type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// The thread, started with the first capture.
#[derive(Clone, Default)]
pub struct Symbols(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    engine: Option<Engine>,
    kernel: Kernel,
    jobs: Option<SyncSender<Job>>,
    /// Bytes of user stacks that wait.
    queued: Arc<AtomicUsize>,
    /// Held here, by the thread and by each client: whether anybody takes stacks.
    asked: Arc<()>,
    patience: Patience,
    status: Arc<Mutex<Option<Status>>>,
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Symbols")
    }
}

impl Symbols {
    /// Opens what needs more rights than are kept. Reads nothing and starts nothing yet.
    pub fn open() -> Symbols {
        let kernel = Kernel::open();
        let engine = Some(Engine::open(kernel.clone()));
        Symbols(Arc::new(Mutex::new(Shared { engine, kernel, ..Shared::default() })))
    }

    /// Stacks are going to be taken: what has to be loaded for them is loaded now, while there are
    /// the rights to. Where it is not called it is done with the first stack.
    pub fn expect(&self) {
        if let Ok(mut shared) = self.0.lock()
            && let Some(engine) = &mut shared.engine
        {
            engine.watch(true);
            let status = engine.status();
            if let Ok(mut told) = shared.status.lock() {
                *told = status;
            }
        }
    }

    /// How it goes with the stacks of processes that have ended; `None` where nobody asks for any.
    pub fn status(&self) -> Option<Status> {
        let told = self.0.lock().ok()?.status.clone();
        let told = told.lock().ok()?;
        told.clone()
    }

    /// How long refreshes wait for names from now on.
    pub fn wait(&self, patience: Patience) {
        if let Ok(mut shared) = self.0.lock() {
            shared.patience = patience;
        }
    }

    /// The names of the kernel's functions, for whoever has an address and no stack.
    pub fn kernel(&self) -> Kernel {
        self.0.lock().map_or_else(|e| e.into_inner().kernel.clone(), |s| s.kernel.clone())
    }

    /// Looks up the lines of a function that samples met; the answer comes on another thread.
    pub fn lines(&self, spot: Spot, reply: impl FnOnce(Lines) + Send + 'static) {
        let asked = Asked::new(spot, reply);
        let Some(jobs) = self.jobs() else {
            return asked.refuse("no thread can be started to read them");
        };
        // Where the queue is full the question is dropped, and answers so.
        let _ = jobs.try_send(Box::new(move |engine| engine.lines(asked)));
    }

    /// Whether what has to be loaded is, before the thread runs.
    fn is_ready(&self) -> bool {
        let ready = |s: &Shared| s.engine.as_ref().is_some_and(Engine::watches);
        self.0.lock().is_ok_and(|shared| ready(&shared))
    }

    /// The way to the thread, which is started if it does not run; `None` where it cannot be.
    fn jobs(&self) -> Option<SyncSender<Job>> {
        let mut shared = self.0.lock().ok()?;
        if shared.jobs.is_none() {
            let (jobs, inbox) = sync_channel::<Job>(WAITING);
            let engine =
                shared.engine.take().unwrap_or_else(|| Engine::open(shared.kernel.clone()));
            let (asked, status) = (shared.asked.clone(), shared.status.clone());
            let thread = thread::Builder::new().name("symbols".to_owned());
            thread.spawn(move || run(engine, &inbox, &asked, &status)).ok()?;
            shared.jobs = Some(jobs);
        }
        shared.jobs.clone()
    }
}

/// Works until nobody can ask any more.
fn run(mut engine: Engine, inbox: &Receiver<Job>, asked: &Arc<()>, status: &Mutex<Option<Status>>) {
    urgency::ordinary();
    let (mut looked, mut trimmed) = (Instant::now(), Instant::now());
    loop {
        let job = if engine.watches() {
            inbox.recv_timeout(LOOK)
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        // One here, one in what starts this.
        let wanted = Arc::strong_count(asked) > 2;
        match job {
            Ok(job) => {
                if wanted {
                    engine.watch(true);
                }
                job(&mut engine);
            }
            Err(RecvTimeoutError::Timeout) if !wanted => engine.watch(false),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if trimmed.elapsed() >= TRIM {
                trimmed = looked;
                memory::trim();
            }
            engine.drain();
            if let Ok(mut status) = status.lock() {
                *status = engine.status();
            }
        }
    }
}

/// A probe's end: what it sends comes back to it with its stack.
pub struct Client<T> {
    symbols: Symbols,
    jobs: Option<SyncSender<Job>>,
    queued: Arc<AtomicUsize>,
    back: Sender<(T, Resolved)>,
    done: Receiver<(T, Resolved)>,
    waiting: usize,
    /// While it lives, stacks are asked for.
    _asks: Option<Arc<()>>,
}

impl<T: Send + 'static> Client<T> {
    /// Where [`Symbols::expect`] was not called, this does it on the thread. Where it was, nothing is
    /// started before the first capture: a thread has the rights of who starts it, and those that
    /// are not needed are dropped before that.
    pub fn new(symbols: &Symbols) -> Client<T> {
        let (back, done) = channel();
        let shared = symbols.0.lock().ok().map(|s| (s.asked.clone(), s.queued.clone()));
        let (_asks, queued) = shared.unzip();
        if !symbols.is_ready()
            && let Some(jobs) = symbols.jobs()
        {
            // Any piece of work has it look whether stacks are asked for.
            let _ = jobs.try_send(Box::new(|_| {}));
        }
        let queued = queued.unwrap_or_default();
        Client { symbols: symbols.clone(), jobs: None, queued, back, done, waiting: 0, _asks }
    }

    /// Hands over a capture; false where the queue is full and it is gone.
    pub fn send(&mut self, capture: Capture, payload: T) -> bool {
        if self.jobs.is_none() {
            self.jobs = self.symbols.jobs();
        }
        let Some(jobs) = &self.jobs else { return false };
        let bytes = capture.user.len();
        if self.queued.fetch_add(bytes, Ordering::Relaxed) > WAITING_BYTES {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        let (back, queued) = (self.back.clone(), self.queued.clone());
        let job: Job = Box::new(move |engine| {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            // A probe that has gone wants no answer.
            let _ = back.send((payload, engine.resolve(&capture)));
        });
        match jobs.try_send(job) {
            Ok(()) => {
                self.waiting += 1;
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.queued.fetch_sub(bytes, Ordering::Relaxed);
                false
            }
        }
    }

    /// How long a refresh is to wait.
    pub fn patience(&self) -> Duration {
        self.symbols.0.lock().map_or(Patience::Brief, |shared| shared.patience).time()
    }

    /// How many are under way.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What has come back; waits for the rest of what was sent at most this long.
    pub fn done(&mut self, patience: Duration) -> Vec<(T, Resolved)> {
        let until = Instant::now() + patience;
        let mut out = Vec::with_capacity(self.waiting);
        while self.waiting > 0 {
            match self.done.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(one) => {
                    self.waiting -= 1;
                    out.push(one);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        out
    }
}
