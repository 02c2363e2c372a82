//! The thread that names stacks: captures go in by a bounded queue, stacks come back by a channel
//! of each probe's own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
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
/// Pieces of work that may wait: more than there can be captures, and a few questions for lines.
const JOBS: usize = WAITING + 64;
/// Captures that are handed over at once: each handing over may wake the thread.
const TOGETHER: usize = 64;
/// How long stacks are held back that have their names, while others of the same piece of work wait
/// for theirs.
const HELD: Duration = Duration::from_millis(5);
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
    queued: Arc<Queued>,
    /// Held here, by the thread and by each client: whether anybody takes stacks.
    asked: Arc<()>,
    patience: Patience,
    status: Arc<Mutex<Option<Status>>>,
}

/// What waits for its names.
#[derive(Default)]
struct Queued {
    captures: AtomicUsize,
    /// Of their user stacks.
    bytes: AtomicUsize,
}

impl Queued {
    /// Makes room for one more; false where there is none.
    fn add(&self, bytes: usize) -> bool {
        let captures = self.captures.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = captures < WAITING && before <= WAITING_BYTES;
        if !fits {
            self.sub(1, bytes);
        }
        fits
    }

    fn sub(&self, captures: usize, bytes: usize) {
        self.captures.fetch_sub(captures, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
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
            let (jobs, inbox) = sync_channel::<Job>(JOBS);
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
    queued: Arc<Queued>,
    back: Sender<Vec<(T, Resolved)>>,
    done: Receiver<Vec<(T, Resolved)>>,
    /// What is to be handed over next.
    next: Vec<(T, Capture)>,
    /// How many that were the last time.
    usual: usize,
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
        let (symbols, queued) = (symbols.clone(), queued.unwrap_or_default());
        let next = Vec::new();
        Client { symbols, jobs: None, queued, back, done, next, usual: 0, waiting: 0, _asks }
    }

    /// Takes a capture to hand over with the next [`Client::flush`]; false where the queue is full
    /// and it is gone.
    pub fn send(&mut self, capture: Capture, payload: T) -> bool {
        if self.jobs.is_none() {
            self.jobs = self.symbols.jobs();
        }
        if self.jobs.is_none() || !self.queued.add(capture.user.len()) {
            return false;
        }
        self.waiting += 1;
        if self.next.is_empty() {
            self.next.reserve(self.usual);
        }
        self.next.push((payload, capture));
        if self.next.len() >= TOGETHER {
            self.flush();
        }
        true
    }

    /// Hands over what was sent.
    pub fn flush(&mut self) {
        let Some(jobs) = self.jobs.as_ref().filter(|_| !self.next.is_empty()) else { return };
        let next = std::mem::take(&mut self.next);
        let many = next.len();
        self.usual = many;
        let (back, queued) = (self.back.clone(), self.queued.clone());
        let job: Job = Box::new(move |engine| {
            let (mut done, mut since) = (Vec::with_capacity(next.len()), Instant::now());
            for (payload, capture) in next {
                queued.sub(1, capture.user.len());
                done.push((payload, engine.resolve(&capture)));
                if since.elapsed() >= HELD {
                    // A probe that has gone wants no answer.
                    let _ = back.send(std::mem::take(&mut done));
                    since = Instant::now();
                }
            }
            if !done.is_empty() {
                let _ = back.send(done);
            }
        });
        // There is room for it, as long as there is the thread.
        if jobs.try_send(job).is_err() {
            self.waiting -= many;
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
        self.flush();
        let until = Instant::now() + patience;
        let mut out = Vec::new();
        while self.waiting > 0 {
            match self.done.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(more) => {
                    self.waiting = self.waiting.saturating_sub(more.len());
                    if out.is_empty() {
                        out = more;
                    } else {
                        out.extend(more);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        out
    }
}
