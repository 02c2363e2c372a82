//! The threads behind the live screen: one samples, one records.
//!
//! A sample is taken at absolute times, so intervals do not drift; what the kernel queues is taken
//! in between, as often as the probes wish. The recorder has a thread of its own because a write may take a while.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::UnboundedSender;

use super::alarm::Alarm;
use super::flight::{Flight, Kept};
use super::past::Ask;
use super::record::info;
use crate::app::Msg;
use crate::memory;
use crate::privilege;
use crate::probe::SELDOM;
use crate::session::{Limits, Status, Writer, memory_writer, prune};
use crate::source::{Focus, Live, LiveOptions, Moment, Ticker, Tools, clocks};
use crate::symbol::Patience;
use crate::table::Sample;
use crate::table::stack::Spot;
use crate::tool::spec::Spec;
use crate::trigger::Triggers;
use crate::urgency;

/// Samples that may wait for the recorder before they are dropped, and said to be.
const WAITING: usize = 8;
/// After this long without an end the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of history kept in memory when nothing is recorded on disk.
const MEMORY: usize = 16 << 20;

/// What shall be sampled, how often, and where it is kept.
pub struct Plan {
    /// Time between samples.
    pub interval: Duration,
    /// What is looked at more closely from the start.
    pub focus: Focus,
    /// Where sessions are; `None` keeps the last minutes in memory only.
    pub place: Option<PathBuf>,
    /// What that is limited to.
    pub limits: Limits,
    /// Tools that run beside the probes.
    pub tools: Vec<Spec>,
    /// What shall be noticed.
    pub triggers: Triggers,
    /// Where snapshots go when `place` is none.
    pub snapshots: PathBuf,
}

/// What the sampler is told while it runs.
enum Order {
    /// Look more closely at these things, and no more at what is not named.
    Focus(Focus),
    /// Look up the source lines of a function and send them there.
    Lines(Spot, UnboundedSender<Msg>),
    /// End.
    Stop,
}

/// The running threads.
pub struct Sampler {
    orders: Sender<Order>,
    thread: JoinHandle<i32>,
}

/// Tells the sampler what to look at more closely.
pub struct Aim(Sender<Order>);

impl Aim {
    /// From now on these, and nothing else.
    pub fn at(&self, on: Focus) {
        // A sampler that has ended looks at nothing.
        let _ = self.0.send(Order::Focus(on));
    }

    /// The source lines of a function, please; they arrive as a message.
    pub fn lines(&self, spot: Spot, out: UnboundedSender<Msg>) {
        let _ = self.0.send(Order::Lines(spot, out));
    }
}

impl Sampler {
    /// What tells it what to look at.
    pub fn aim(&self) -> Aim {
        Aim(self.orders.clone())
    }

    /// Ends the tools and sampling, and finishes the recording; returns the tools' exit status.
    pub fn stop(self) -> i32 {
        let _ = self.orders.send(Order::Stop);
        let until = Instant::now() + PATIENCE;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        if !self.thread.is_finished() {
            eprintln!("lmptop: finishing the recording; Ctrl-C leaves it cut off");
        }
        // A panic there has ended the process already; nothing is left to report.
        self.thread.join().unwrap_or(1)
    }
}

/// Starts sampling: moments and notes go to `out`, the session's reader to `past`.
///
/// # Errors
/// When no thread can be started.
pub fn start(plan: Plan, out: UnboundedSender<Msg>, past: Sender<Ask>) -> Result<Sampler> {
    let (orders, ordered) = channel();
    let thread = thread::Builder::new()
        .name("sampler".to_owned())
        .spawn(move || {
            sample(plan, &out, &past, &ordered).unwrap_or_else(|e| {
                let _ = out.send(Msg::Ended(format!("{e:#}")));
                1
            })
        })
        .context("cannot start a thread")?;
    Ok(Sampler { orders, thread })
}

fn sample(
    mut plan: Plan,
    out: &UnboundedSender<Msg>,
    past: &Sender<Ask>,
    ordered: &Receiver<Order>,
) -> Result<i32> {
    // Tools are started with what the user has, so before anything is given up.
    let tools = Tools::prepare(std::mem::take(&mut plan.tools))?;
    let mut live = Live::open(&LiveOptions {
        focus: plan.focus.clone(),
        later: true,
        patience: Patience::Brief,
        ..LiveOptions::default()
    })?;
    // While the capability is there, and after the threads that can wait were started.
    urgency::urgent();
    let mut triggers = std::mem::take(&mut plan.triggers);
    let snapshots = (!triggers.is_empty()).then_some(plan.snapshots.as_path());
    privilege::drop_after_start(&live.needs(), plan.place.as_deref().or(snapshots))?;
    live.add(tools.start()?);
    let (record, samples) = sync_channel::<Arc<Sample>>(WAITING);
    let flight = snapshots.filter(|_| plan.place.is_none()).map(|place| {
        let (before, after) = triggers.around();
        Flight::new(place, plan.interval, before, after)
    });
    let recorder = recorder(&plan, flight, samples, out.clone(), past.clone())?;
    let mut alarm = Alarm::default();
    let mut before: Option<Arc<Sample>> = None;
    let mut ticker = Ticker::new(Instant::now(), plan.interval);
    memory::forget_start();
    loop {
        let mut now = live.sample()?;
        notice(&mut triggers, &mut alarm, &mut now, out)?;
        let now = Arc::new(now);
        keep(&record, &now, &mut live, out);
        let moment = Moment { now: now.clone(), before: before.replace(now) };
        if out.send(Msg::Live(moment)).is_err() {
            break;
        }
        if !wait(&mut live, &mut triggers, ticker.next(Instant::now()), ordered) {
            break;
        }
    }
    // What the tools print at their end is recorded, too.
    let status = live.end_tools();
    if let Ok(last) = live.sample() {
        let _ = record.send(Arc::new(last));
    }
    drop(record);
    let _ = recorder.join();
    Ok(status)
}

/// Looks whether a trigger fires, and does what it asks for.
fn notice(
    triggers: &mut Triggers,
    alarm: &mut Alarm,
    sample: &mut Sample,
    out: &UnboundedSender<Msg>,
) -> Result<()> {
    let fired = triggers.look(sample)?;
    let mut told = triggers.notes();
    told.extend(alarm.look());
    for (trigger, fired) in fired {
        told.extend(alarm.sound(&trigger, &fired, sample.wall_ns));
        let _ = out.send(Msg::Fired {
            at: sample.wall_ns,
            cause: format!("{}: {}", fired.name, fired.cause),
            bell: trigger.bell,
        });
    }
    for problem in told {
        let _ = out.send(Msg::Failed(problem));
    }
    Ok(())
}

/// Waits for the next sample, draining meanwhile; false when asked to stop.
fn wait(
    live: &mut Live,
    triggers: &mut Triggers,
    next: Instant,
    ordered: &Receiver<Order>,
) -> bool {
    let mut wish = SELDOM;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        match ordered.recv_timeout(left.min(wish)) {
            Ok(Order::Focus(on)) => live.focus(&on),
            Ok(Order::Lines(spot, out)) => live.lines(spot, move |lines| {
                // A screen that is gone asks nothing.
                let _ = out.send(Msg::Lines(lines));
            }),
            Err(RecvTimeoutError::Timeout) if left > wish => {
                triggers.poll(clocks().0);
                wish = live.drain();
            }
            Err(RecvTimeoutError::Timeout) => return true,
            _ => return false,
        }
    }
}

fn keep(
    record: &SyncSender<Arc<Sample>>,
    now: &Arc<Sample>,
    live: &mut Live,
    out: &UnboundedSender<Msg>,
) {
    if let Err(TrySendError::Full(_)) = record.try_send(now.clone()) {
        live.unrecorded(now);
        let why = "the disk is too slow; a sample was not recorded".to_owned();
        let _ = out.send(Msg::Failed(why));
    }
}

fn recorder(
    plan: &Plan,
    mut flight: Option<Flight>,
    samples: Receiver<Arc<Sample>>,
    out: UnboundedSender<Msg>,
    past: Sender<Ask>,
) -> Result<JoinHandle<()>> {
    let place = plan.place.clone();
    let (interval, limits) = (plan.interval, plan.limits.clone());
    thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || {
            urgency::ordinary();
            let (mut writer, on_disk) = match open(place.as_deref(), interval, limits, &out) {
                Ok(opened) => opened,
                Err(e) => {
                    let _ = out.send(Msg::Recording(Err(format!("{e:#}"))));
                    return;
                }
            };
            let _ = past.send(Ask::Open(writer.reader()));
            while let Ok(sample) = samples.recv() {
                let done = writer.append(&sample);
                snapshot(flight.as_mut(), &sample, &out);
                if !on_disk {
                    continue;
                }
                let status = match (done, writer.status()) {
                    (Err(e), _) => Err(format!("{e:#}")),
                    (Ok(()), Status::Recording) => Ok(writer.bytes()),
                    (Ok(()), Status::Stopped { reason }) => Err(reason),
                };
                let _ = out.send(Msg::Recording(status));
            }
            if let Some(Err(e)) = flight.as_mut().map(Flight::finish) {
                eprintln!("lmptop: {}", crate::table::clean(&format!("{e:#}")));
            }
            // The terminal has been given back by now.
            if let Err(e) = writer.finish() {
                let why = crate::table::clean(&format!("{e:#}")).into_owned();
                eprintln!("lmptop: the recording counts as cut off: {why}");
            }
        })
        .context("cannot start a thread")
}

/// Where nothing else is recorded, what a trigger fired for is.
fn snapshot(flight: Option<&mut Flight>, sample: &Arc<Sample>, out: &UnboundedSender<Msg>) {
    let told = match flight.map(|flight| flight.take(sample)) {
        Some(Ok(Kept::Begun(path))) => {
            Msg::Note(format!("Recording a snapshot into {}.", path.display()))
        }
        Some(Ok(Kept::Ended(path))) => Msg::Note(format!("The snapshot is in {}.", path.display())),
        Some(Err(e)) => Msg::Failed(format!("No snapshot: {e:#}")),
        _ => return,
    };
    let _ = out.send(told);
}

/// The session on disk; in memory when there is none to be, or it cannot be made.
fn open(
    place: Option<&Path>,
    interval: Duration,
    limits: Limits,
    out: &UnboundedSender<Msg>,
) -> Result<(Writer, bool)> {
    if let Some(place) = place {
        // What cannot be removed is no reason not to record.
        let _ = prune(place, limits.keep, clocks().1);
        match Writer::create_with(place, info(interval), limits) {
            Ok(mut writer) => {
                // Without it the recording is the same, only nobody else sees it yet.
                let _ = writer.serve();
                return Ok((writer, true));
            }
            Err(e) => {
                let _ = out.send(Msg::Recording(Err(format!("{e:#}"))));
            }
        }
    }
    Ok((memory_writer(info(interval), MEMORY)?, false))
}
