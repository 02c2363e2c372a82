//! When a tool is started, started again, and given up; a state machine that is told the time.

use std::fmt;
use std::time::{Duration, Instant};

use super::child::End;
use super::find::Refused;
use crate::table::Clean;
use crate::tool::spec::{Restart, Spec, Start};

/// The longest wait before a tool is started again.
const LONGEST: Duration = Duration::from_secs(60);

/// What is kept of a line on standard error, in bytes.
const LINE: usize = 1024;

/// What a tool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not started.
    Off,
    /// It is to be started at the next look.
    Due,
    /// Until the process it is for appears.
    Waiting,
    /// Since this moment.
    Running(Instant),
    /// It was told to end.
    Stopping,
    /// It ended well and runs again at this moment.
    Idle(Instant),
    /// It ended badly and runs again at this moment.
    Backoff(Instant),
    /// It ended well.
    Ended,
    /// It ended badly and is not started again before its count begins anew.
    Failed(Option<Instant>),
}

impl State {
    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Off => "off",
            State::Due => "starting",
            State::Waiting => "waiting",
            State::Running(_) => "running",
            State::Stopping => "stopping",
            State::Idle(_) => "idle",
            State::Backoff(_) => "backoff",
            State::Ended => "ended",
            State::Failed(_) => "failed",
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start it; then say [`Watch::refused`] if that failed, [`Watch::ended`] when it is over.
    Start,
    /// End it; then say [`Watch::ended`].
    Stop,
}

/// How a run of a tool came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// It ran and ended.
    End(End),
    /// It was not started.
    Refused(Refused),
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Last::End(end) => end.fmt(f),
            Last::Refused(refused) => refused.fmt(f),
        }
    }
}

/// Watches over one tool.
#[derive(Debug)]
pub struct Watch {
    start: Start,
    restart: Restart,
    interval: Option<Duration>,
    state: State,
    /// What follows once it has ended, where it was told to.
    after: State,
    /// How often it was started again, and when it last ended badly.
    again: u32,
    failed_at: Option<Instant>,
    last: Option<Last>,
    /// The last line on standard error, of the last bad end and of this run.
    failure: Option<Clean>,
    errors: Lines,
    /// The user wants it whether or not what it waits for is there.
    forced: bool,
    /// The last end was ordered, so a signal says nothing of the tool.
    ordered: bool,
}

impl Watch {
    /// Over a tool that has not been started.
    pub fn new(spec: &Spec) -> Watch {
        let state = match spec.start {
            Start::On => State::Due,
            Start::Off => State::Off,
            Start::Match(_) => State::Waiting,
        };
        Watch {
            start: spec.start.clone(),
            restart: spec.restart,
            interval: spec.interval,
            state,
            after: State::Off,
            again: 0,
            failed_at: None,
            last: None,
            failure: None,
            errors: Lines::default(),
            forced: false,
            ordered: false,
        }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// How its last run came to an end.
    pub fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// How its last run went wrong by itself: not when it was told to end.
    pub fn failure(&self) -> Option<&Last> {
        let bad = |last: &&Last| !matches!(last, Last::End(end) if end.is_success());
        self.last().filter(bad).filter(|_| !self.ordered)
    }

    /// Whether its last run ended because it was told to.
    pub fn was_ordered(&self) -> bool {
        self.ordered
    }

    /// How often it was started again since the count began.
    pub fn restarts(&self) -> u32 {
        self.again
    }

    /// The last line it printed to standard error, in this run or before it last ended badly.
    pub fn last_error(&self) -> Option<&Clean> {
        self.errors.last.as_ref().or(self.failure.as_ref())
    }

    /// Whether the processes of the machine have to be looked at for it.
    pub fn wants_matches(&self) -> bool {
        matches!(self.start, Start::Match(_)) && self.state != State::Off
    }

    /// Looks at the time. `present`: whether a process it is for is there; only asked for where
    /// [`Watch::wants_matches`].
    pub fn look(&mut self, now: Instant, present: bool) -> Option<Order> {
        let absent = matches!(self.start, Start::Match(_)) && !(present || self.forced);
        match self.state {
            State::Waiting if !absent => self.run(now),
            State::Running(_) if absent => self.stop(State::Waiting),
            State::Idle(_) | State::Backoff(_) | State::Ended | State::Failed(None) if absent => {
                self.state = State::Waiting;
                None
            }
            State::Due => self.run(now),
            State::Idle(at) | State::Backoff(at) if now >= at => self.run(now),
            State::Failed(Some(at)) if now >= at => {
                self.again = 0;
                if absent {
                    self.state = State::Waiting;
                    return None;
                }
                self.run(now)
            }
            _ => None,
        }
    }

    /// When the next look is due; `None`: only when something happens, or at the next look at the
    /// machine's processes.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Due => Some(now),
            State::Idle(at) | State::Backoff(at) | State::Failed(Some(at)) => Some(at),
            _ => None,
        }
    }

    /// The user wants it now, whatever has happened before.
    pub fn wanted(&mut self) {
        (self.again, self.forced) = (0, true);
        match self.state {
            State::Running(_) | State::Due => {}
            State::Stopping => self.after = State::Due,
            _ => self.state = State::Due,
        }
    }

    /// It is told to end because everything does.
    pub fn end(&mut self) {
        if let State::Running(_) | State::Stopping = self.state {
            (self.state, self.after) = (State::Stopping, State::Ended);
        }
    }

    /// The user does not want it any more.
    pub fn unwanted(&mut self) -> Option<Order> {
        self.forced = false;
        match self.state {
            State::Running(_) => self.stop(State::Off),
            State::Stopping => {
                self.after = State::Off;
                None
            }
            _ => {
                self.state = State::Off;
                None
            }
        }
    }

    /// It could not be started. What is not there or must not be run is not tried again before the
    /// count begins anew.
    pub fn refused(&mut self, now: Instant, why: Refused) {
        let for_good = why.status != 1;
        self.last = Some(Last::Refused(why));
        (self.failure, self.ordered) = (None, false);
        if self.stopped() {
            return;
        }
        if for_good {
            self.again = self.again.max(self.restart.max);
        }
        self.fail(now);
    }

    /// It has ended.
    pub fn ended(&mut self, now: Instant, end: End) {
        self.last = Some(Last::End(end));
        self.failure = self.errors.last.take().filter(|_| !end.is_success());
        self.ordered = self.stopped();
        if self.ordered {
            return;
        }
        match self.interval {
            _ if !end.is_success() => self.fail(now),
            Some(interval) => self.state = State::Idle(now + interval),
            None => self.state = State::Ended,
        }
    }

    /// Takes what it prints to standard error, in any pieces.
    pub fn error_output(&mut self, bytes: &[u8]) {
        self.errors.take(bytes);
    }

    fn run(&mut self, now: Instant) -> Option<Order> {
        self.state = State::Running(now);
        self.errors = Lines::default();
        Some(Order::Start)
    }

    fn stop(&mut self, after: State) -> Option<Order> {
        (self.state, self.after) = (State::Stopping, after);
        Some(Order::Stop)
    }

    /// Whether it ended because it was told to.
    fn stopped(&mut self) -> bool {
        let stopped = self.state == State::Stopping;
        if stopped {
            self.state = self.after;
        } else {
            self.forced = false;
        }
        stopped
    }

    fn fail(&mut self, now: Instant) {
        let Restart { max, backoff, reset } = self.restart;
        let before = self.failed_at.replace(now);
        if before.is_some_and(|then| now.saturating_duration_since(then) >= reset) {
            self.again = 0;
        }
        if self.again >= max {
            self.state = State::Failed((max > 0).then(|| now + reset));
            return;
        }
        let factor = 2u32.saturating_pow(self.again);
        self.state = State::Backoff(now + backoff.saturating_mul(factor).min(LONGEST));
        self.again += 1;
    }

    /// What is to be said of it, on one line.
    pub fn line(&self, now: Instant) -> String {
        let mut out = self.state.word().to_owned();
        if let State::Idle(at) | State::Backoff(at) = self.state {
            let wait = at.saturating_duration_since(now).as_secs_f64().ceil();
            out += &format!(", again in {wait} s");
        }
        if matches!(self.state, State::Backoff(_)) {
            out += &format!(" ({} of {})", self.again, self.restart.max);
        }
        let tell = !matches!(self.state, State::Running(_) | State::Due | State::Idle(_));
        if let Some(last) = self.last.as_ref().filter(|_| tell || self.again > 0) {
            out += &format!(": {last}");
        }
        if let Some(error) = self.failure.as_ref().filter(|_| tell) {
            out += &format!(": {error}");
        }
        crate::table::clean(&out).into_owned()
    }
}

/// The last line of a stream.
#[derive(Debug, Default)]
struct Lines {
    part: Vec<u8>,
    last: Option<Clean>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&b| b == b'\n' || b == b'\r') {
            self.grow(&rest[..end]);
            self.keep();
            self.part.clear();
            rest = &rest[end + 1..];
        }
        self.grow(rest);
        // A last word without an end of line counts as well.
        self.keep();
    }

    fn grow(&mut self, bytes: &[u8]) {
        let room = LINE.saturating_sub(self.part.len());
        self.part.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn keep(&mut self) {
        let line = self.part.trim_ascii();
        if !line.is_empty() {
            self.last = Some(Clean::new(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::tool::process::child::How;
    use crate::tool::spec::Match;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn end(status: i32) -> End {
        End { how: How::Exited(status), outlived: 0, left: 0, out_of_memory: 0 }
    }

    fn panel(start: Start) -> Spec {
        let spec = Spec::typed("x".into(), vec![OsString::from("x")]);
        Spec { start, restart: Restart::default(), ..spec }
    }

    fn matching() -> Start {
        Start::Match(Match { comm: Some("nginx".into()), ..Match::default() })
    }

    #[test]
    fn what_the_user_typed_runs_once() {
        let t = Instant::now();
        let mut watch = Watch::new(&Spec::typed("x".into(), Vec::new()));
        assert_eq!(watch.next(t), Some(t));
        assert_eq!(watch.look(t, false), Some(Order::Start));
        assert_eq!(watch.look(t + s(9), false), None);
        watch.error_output(b"bad th");
        watch.error_output(b"ing\n\n");
        watch.ended(t + s(9), end(3));
        assert_eq!(watch.state(), State::Failed(None));
        assert_eq!(watch.line(t), "failed: exit status 3: bad thing");
        assert_eq!(watch.look(t + s(1_000_000), false), None);
        assert_eq!(watch.next(t), None);
        watch.wanted();
        assert_eq!(watch.look(t, false), Some(Order::Start));
        assert_eq!(watch.last_error().map(Clean::as_str), Some("bad thing"));
        watch.ended(t, end(4));
        assert_eq!(watch.line(t), "failed: exit status 4", "an error of the run before is old");
    }

    #[test]
    fn a_good_end_is_an_end() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(Start::On));
        watch.look(t, false);
        watch.error_output(b"a note");
        watch.ended(t, end(0));
        assert_eq!((watch.state(), watch.line(t)), (State::Ended, "ended: exit status 0".into()));
    }

    #[test]
    fn waits_double_until_it_is_given_up() {
        let mut t = Instant::now();
        let mut spec = panel(Start::On);
        spec.restart.max = 8;
        let mut watch = Watch::new(&spec);
        let mut waits = Vec::new();
        assert_eq!(watch.look(t, false), Some(Order::Start));
        loop {
            watch.ended(t, end(1));
            let State::Backoff(at) = watch.state() else { break };
            waits.push((at - t).as_secs());
            assert_eq!(watch.look(at - s(1), false), None);
            assert_eq!(watch.next(t), Some(at));
            t = at;
            assert_eq!(watch.look(t, false), Some(Order::Start));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(watch.state(), State::Failed(Some(t + s(86_400))));
        assert_eq!(watch.look(t + s(86_399), false), None);
        assert_eq!(
            watch.look(t + s(86_400), false),
            Some(Order::Start),
            "a day later it may again"
        );
        watch.ended(t + s(86_401), end(1));
        assert_eq!(watch.restarts(), 1);
    }

    #[test]
    fn a_day_without_a_bad_end_is_forgotten() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(Start::On));
        watch.look(t, false);
        watch.ended(t, end(1));
        watch.look(t + s(1), false);
        watch.ended(t + s(3), end(1));
        assert_eq!(watch.restarts(), 2);
        assert_eq!(watch.line(t + s(3)), "backoff, again in 2 s (2 of 3): exit status 1");
        watch.look(t + s(5), false);
        watch.ended(t + s(86_403), end(1));
        assert_eq!(watch.restarts(), 1);
    }

    #[test]
    fn what_is_not_there_is_not_tried_at_once_again() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(Start::On));
        watch.look(t, false);
        watch.refused(t, Refused { status: 127, text: "x is not on PATH".into() });
        assert_eq!(watch.state(), State::Failed(Some(t + s(86_400))));
        assert_eq!(watch.line(t), "failed: x is not on PATH");
        let mut watch = Watch::new(&panel(Start::On));
        watch.look(t, false);
        watch.refused(t, Refused { status: 1, text: "no room".into() });
        assert_eq!(watch.state(), State::Backoff(t + s(1)), "the machine may have room later");
    }

    #[test]
    fn an_interval_runs_it_again_after_a_good_end() {
        let t = Instant::now();
        let mut watch = Watch::new(&Spec { interval: Some(s(5)), ..panel(Start::On) });
        watch.look(t, false);
        watch.ended(t + s(1), end(0));
        assert_eq!(watch.state(), State::Idle(t + s(6)));
        assert_eq!(watch.look(t + s(5), false), None);
        assert_eq!(watch.look(t + s(6), false), Some(Order::Start));
        watch.ended(t + s(7), end(1));
        assert_eq!(watch.state(), State::Backoff(t + s(8)));
    }

    #[test]
    fn a_match_starts_and_its_absence_ends() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(matching()));
        assert!(watch.wants_matches());
        assert_eq!((watch.look(t, false), watch.state()), (None, State::Waiting));
        assert_eq!(watch.look(t, true), Some(Order::Start));
        assert_eq!(watch.look(t, true), None);
        assert_eq!(watch.look(t + s(9), false), Some(Order::Stop));
        assert_eq!((watch.look(t + s(9), true), watch.state()), (None, State::Stopping));
        watch.ended(t + s(9), end(1));
        assert_eq!((watch.state(), watch.restarts()), (State::Waiting, 0));
        assert_eq!(watch.look(t + s(10), true), Some(Order::Start));
        watch.ended(t + s(10), end(1));
        assert_eq!(watch.look(t + s(10), false), None);
        assert_eq!(watch.state(), State::Waiting, "nothing to restart it for");
        watch.look(t + s(12), true);
        watch.ended(t + s(12), end(0));
        assert_eq!((watch.look(t + s(13), true), watch.state()), (None, State::Ended));
        watch.look(t + s(14), false);
        assert_eq!(watch.look(t + s(15), true), Some(Order::Start), "another one, another run");
    }

    #[test]
    fn giving_up_holds_though_the_process_comes_and_goes() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(matching()));
        watch.look(t, true);
        watch.refused(t, Refused { status: 127, text: "no".into() });
        for n in 1..10 {
            assert_eq!(watch.look(t + s(n), n % 2 == 0), None);
        }
        assert_eq!(watch.state().word(), "failed");
        assert_eq!(watch.look(t + s(90_000), false), None);
        assert_eq!(watch.look(t + s(90_001), true), Some(Order::Start));
    }

    #[test]
    fn the_user_need_not_wait_for_a_match() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(matching()));
        watch.wanted();
        assert_eq!(watch.look(t, false), Some(Order::Start));
        assert_eq!(watch.look(t, false), None);
        assert_eq!(watch.unwanted(), Some(Order::Stop));
    }

    #[test]
    fn the_user_has_the_last_word() {
        let t = Instant::now();
        let mut watch = Watch::new(&panel(Start::Off));
        assert_eq!((watch.look(t, true), watch.state().word()), (None, "off"));
        watch.wanted();
        assert_eq!(watch.look(t, false), Some(Order::Start));
        assert_eq!(watch.unwanted(), Some(Order::Stop));
        watch.wanted();
        watch.ended(t, end(0));
        assert_eq!(watch.look(t, false), Some(Order::Start));
        assert_eq!(watch.unwanted(), Some(Order::Stop));
        watch.ended(t, end(130));
        assert_eq!((watch.state(), watch.look(t + s(99), true)), (State::Off, None));
    }

    #[test]
    fn an_end_that_was_ordered_is_no_failure() {
        let t = Instant::now();
        let killed = End { how: How::Signalled(libc::SIGINT), ..end(0) };
        let mut watch = Watch::new(&Spec::typed("x".into(), Vec::new()));
        watch.look(t, false);
        watch.end();
        watch.ended(t, killed);
        assert_eq!((watch.state(), watch.failure()), (State::Ended, None));
        let mut watch = Watch::new(&Spec::typed("x".into(), Vec::new()));
        watch.look(t, false);
        watch.ended(t, killed);
        watch.end();
        assert_eq!(watch.state(), State::Failed(None), "it was over before");
        assert_eq!(watch.failure(), Some(&Last::End(killed)));
    }

    #[test]
    fn the_last_error_is_short_and_harmless() {
        let mut lines = Lines::default();
        lines.take(&vec![b'x'; 1 << 20]);
        assert_eq!(lines.last.as_ref().map(|l| l.as_str().len()), Some(LINE));
        lines.take(b"\r\nfirst\nsecond \x1b]52;c;x\x07\n  \n");
        assert_eq!(lines.last.unwrap().as_str(), "second \\x1b]52;c;x\\x07");
    }
}
