//! The thread that reads what is kept: seeks and a row's past, off the path of the keys.

mod bar;
mod earlier;
mod marks;
mod news;
mod search;
pub mod side;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::UnboundedSender;

use crate::app::stack::{Kind, MOST_ROWS};
use crate::app::{Msg, Question, Series, Subject, Trail, Want};
use crate::session::{Chain, Point, Reader};
use crate::source::{Moment, Replay, Seek, Source};
use crate::table::{Frame, Nature, Schema, Table, clean};

/// How far back the header's figures and the events go, ns.
const TRAIL: i64 = 240_000_000_000;

/// What the thread is told.
pub enum Ask {
    /// Read this from now on.
    Open(Reader),
    /// Answer this.
    Of(Question),
}

impl From<Question> for Ask {
    fn from(question: Question) -> Ask {
        Ask::Of(question)
    }
}

/// Starts the thread that answers; answers go to `out`. What is opened is gone back from into what
/// was recorded in the places `before`.
///
/// # Errors
/// When no thread can be started.
pub fn start(asked: Receiver<Ask>, out: UnboundedSender<Msg>, before: Vec<PathBuf>) -> Result<()> {
    thread::Builder::new()
        .name("past".to_owned())
        .spawn(move || serve(&asked, &out, &before))
        .context("cannot start a thread")?;
    Ok(())
}

fn serve(asked: &Receiver<Ask>, out: &UnboundedSender<Msg>, before: &[PathBuf]) {
    let mut past = Past { apart: true, ..Past::default() };
    // What is asked while a search goes on waits, unless it ends the search.
    let mut waiting: Vec<Ask> = Vec::new();
    loop {
        if waiting.is_empty() {
            let Ok(ask) = asked.recv() else { return };
            waiting.push(ask);
        }
        waiting.extend(asked.try_iter());
        for ask in newest(std::mem::take(&mut waiting)) {
            let question = match ask {
                Ask::Open(reader) => {
                    past.open(reader);
                    if !before.is_empty() {
                        past.reach_back(before).into_iter().for_each(|msg| drop(out.send(msg)));
                    }
                    past.news().into_iter().for_each(|msg| drop(out.send(msg)));
                    continue;
                }
                Ask::Of(question) => question,
            };
            if let (Question::Bar, Some((reader, _))) = (&question, &past.at) {
                draw_bar(reader.clone(), past.news.clone(), out.clone());
                continue;
            }
            let mut told = Instant::now();
            let mut go_on = |done: f64| {
                waiting.extend(asked.try_iter());
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    let _ = out.send(Msg::Hunting(done));
                }
                !waiting.iter().any(Ask::ends_search)
            };
            if let Some(msg) = past.answer_until(question, &mut go_on)
                && out.send(msg).is_err()
            {
                return;
            }
            // Where one goes on at once nobody looks at what led to here.
            waiting.extend(asked.try_iter());
            if let Some(msg) = past.led(waiting.iter().any(Ask::moves)) {
                let _ = out.send(msg);
            }
            past.news().into_iter().for_each(|msg| drop(out.send(msg)));
        }
    }
}

/// All of a long recording is looked through for it: beside the seeks, which must not wait.
fn draw_bar(reader: Chain, news: news::News, out: UnboundedSender<Msg>) {
    let draw = move || {
        // Without it the screen is as good; what is damaged is noted by the reader.
        if let Ok(bar) = bar::bar(&reader) {
            let _ = out.send(Msg::Bar(bar));
        }
        news.tell(&reader).into_iter().for_each(|msg| drop(out.send(msg)));
    };
    let _ = thread::Builder::new().name("bar".to_owned()).spawn(draw);
}

/// Time between two words about how far a search is.
const TELL: Duration = Duration::from_millis(200);

impl Ask {
    /// Whether another moment is shown after it.
    fn moves(&self) -> bool {
        matches!(self, Ask::Open(_) | Ask::Of(Question::Seek(_)))
    }

    /// Whether who asks this no longer waits for what is searched for.
    fn ends_search(&self) -> bool {
        use Question::{Hunt, Seek, StopHunt};
        matches!(self, Ask::Open(_) | Ask::Of(Seek(_) | Hunt(_) | StopHunt))
    }
}

/// Of the questions that wait, those whose answer would still be looked at: a held key asks faster
/// than a long recording is read.
fn newest(waiting: Vec<Ask>) -> Vec<Ask> {
    use Question::{Hunt, Series, Side};
    let mut out: Vec<Ask> = Vec::new();
    // A side is of its own time, wherever one is: it comes last, and only the newest of each.
    let mut sides: [Option<Ask>; 2] = [None, None];
    for ask in waiting {
        if let Ask::Of(Side { b, .. }) = ask {
            sides[usize::from(b)] = Some(ask);
            continue;
        }
        if ask.ends_search() {
            out.retain(|a| !matches!(a, Ask::Of(Hunt(_))));
        }
        // Both answer with another past: that of the row at the place left.
        if matches!(ask, Ask::Of(Question::Seek(_) | Series { .. }))
            && matches!(out.last(), Some(Ask::Of(Series { .. })))
        {
            out.pop();
        }
        if let (Ask::Of(Question::Seek(to)), Some(Ask::Of(Question::Seek(last)))) =
            (&ask, out.last_mut())
        {
            match (to, last) {
                (Seek::Step(n), Seek::Step(sum)) => {
                    *sum = sum.saturating_add(*n);
                    continue;
                }
                (Seek::By(ns), Seek::By(sum)) => {
                    *sum = sum.saturating_add(*ns);
                    continue;
                }
                // Where a step starts from still matters; where one was before a jump does not.
                (Seek::Step(_) | Seek::By(_), _) => {}
                _ => drop(out.pop()),
            }
        }
        out.push(ask);
    }
    out.extend(sides.into_iter().flatten());
    out
}

/// What is kept, and a position in it.
#[derive(Default)]
pub struct Past {
    at: Option<(Chain, Replay)>,
    earlier: earlier::Earlier,
    marks: marks::Marks,
    news: news::News,
    /// Whether jumps are answered before what led to their moment is read, which takes as long
    /// again; and the moment of which it is still to be read.
    apart: bool,
    owed: Option<i64>,
}

impl Past {
    /// Reads this from now on.
    pub fn open(&mut self, reader: Reader) {
        self.news = news::News::of(&reader);
        let chain = Chain::from(reader);
        self.at = Some((chain.clone(), Replay::new(chain)));
    }

    /// What is to be said beside the answers, and has not been: what turned out to be lost, and that
    /// a recorder has gone.
    pub fn news(&self) -> Vec<Msg> {
        self.at.as_ref().map_or_else(Vec::new, |(chain, _)| self.news.tell(chain))
    }

    /// The answer to a question; the end of a search has none.
    pub fn answer(&mut self, question: Question) -> Option<Msg> {
        self.answer_until(question, &mut |_| true)
    }

    /// Goes on, before the beginning of what is open, in what was recorded in these places; says
    /// how far back that reaches, and what cannot be shown. What is recorded there later is found
    /// when one goes back.
    pub fn reach_back(&mut self, places: &[impl AsRef<Path>]) -> Vec<Msg> {
        let Some((chain, _)) = &self.at else { return Vec::new() };
        self.earlier.places = places.iter().map(|p| p.as_ref().to_owned()).collect();
        self.earlier.look(chain);
        let (chain, wrong) = Chain::of_places(chain.newest().clone(), places);
        self.news.know(&chain);
        let told = wrong.into_iter().map(|why| Msg::Failed(format!("History is missing: {why}.")));
        let mut out: Vec<Msg> = told.collect();
        if let Some((from, _)) = chain.span().filter(|_| chain.readers().count() > 1) {
            out.push(Msg::Earlier { from });
        }
        self.at = Some((chain.clone(), Replay::new(chain)));
        out
    }

    /// How long what is recorded meanwhile is not looked for again.
    pub fn look_again_after(&mut self, time: Duration) {
        self.earlier.again = time;
    }

    /// Before one goes back: takes in what others began to record meanwhile. It matters where they
    /// keep what was dropped here. What cannot be opened was told at the start.
    fn look_again(&mut self, question: &Question) {
        let Some((chain, replay)) = &self.at else { return };
        let back = match question {
            Question::Seek(Seek::First) => true,
            Question::Seek(Seek::At(to)) => chain.newest().span().is_none_or(|s| *to < s.0),
            Question::Seek(Seek::Step(n) | Seek::By(n)) => *n < 0,
            Question::Hunt(hunt) => !hunt.forward,
            _ => false,
        };
        if !back || !self.earlier.is_due() || !self.earlier.look(chain) {
            return;
        }
        let at = replay.position().and_then(|p| chain.sample(p).ok()).map(|s| s.wall_ns);
        let (chain, _) = Chain::of_places(chain.newest().clone(), &self.earlier.places);
        self.news.know(&chain);
        let mut replay = Replay::new(chain.clone());
        // What cannot be read there is told by the seek that follows.
        let _ = at.map(|at| replay.seek(Seek::At(at)));
        self.at = Some((chain, replay));
    }

    /// The same; a search asks now and then whether to go on, with the share that is done.
    fn answer_until(
        &mut self,
        question: Question,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Option<Msg> {
        self.look_again(&question);
        let answer = match (question, &mut self.at) {
            (Question::StopHunt, _) => return None,
            (Question::Rows(want), None) => {
                Ok(Msg::Unread { want, why: "Nothing is kept yet.".to_owned() })
            }
            (_, None) => Err(anyhow::anyhow!("Nothing is kept yet.")),
            (Question::Seek(to), Some((reader, replay))) => {
                let apart = self.apart && !matches!(to, Seek::Step(_) | Seek::Last);
                let answer = seek(reader, replay, to, apart);
                self.owed = match &answer {
                    Ok(Msg::Sought { moment: Some(m), .. }) if apart => Some(m.now.wall_ns),
                    _ => None,
                };
                answer
            }
            (Question::Series { of, from, to }, Some((reader, _))) => {
                series(reader, of, from, to).map(Msg::Series)
            }
            (Question::Rows(want), Some((reader, _))) => {
                let unread = |e| Msg::Unread { want: want.clone(), why: format!("{e:#}") };
                Ok(rows(reader, want.clone()).unwrap_or_else(unread))
            }
            (Question::Side { table, of, b }, Some((reader, _))) => Ok(Msg::Side {
                side: side::side(reader, &table, of).map_err(|e| format!("{e:#}")),
                table,
                of,
                b,
            }),
            (Question::Hunt(hunt), Some((reader, replay))) => {
                Ok(search::search(reader, replay, hunt, go_on))
            }
            (Question::Bar, Some((reader, _))) => bar::bar(reader).map(Msg::Bar),
            (Question::Mark { at, note }, Some((reader, _))) => {
                let said = self.marks.add(reader, at, note);
                Ok(Msg::Marks { marks: self.marks.all(reader).0, said: Some(said) })
            }
            (Question::Unmark { at, note }, Some((reader, _))) => {
                let said = self.marks.remove(reader, at, note);
                Ok(Msg::Marks { marks: self.marks.all(reader).0, said: Some(said) })
            }
            (Question::Marks, Some((reader, _))) => {
                let (marks, wrong) = self.marks.all(reader);
                Ok(Msg::Marks { marks, said: wrong.map(Err) })
            }
        };
        Some(answer.unwrap_or_else(|e| Msg::Failed(format!("{e:#}"))))
    }

    /// What led to the moment of the last answer, where that is owed and not `dropped`.
    fn led(&mut self, dropped: bool) -> Option<Msg> {
        let at = self.owed.take().filter(|_| !dropped)?;
        let (reader, replay) = self.at.as_ref()?;
        Some(match trail(reader, at) {
            Ok(mut trail) => {
                trail.of = replay.position().and_then(|at| whose(reader, at));
                Msg::Led { at, trail }
            }
            Err(e) => Msg::Failed(format!("{e:#}")),
        })
    }
}

/// With `apart` what led to the moment is left out.
fn seek(reader: &Chain, replay: &mut Replay, to: Seek, apart: bool) -> Result<Msg> {
    let moment = replay.seek(to)?;
    let mut trail = match &moment {
        Some(m) if apart => begun(m),
        Some(m) => trail(reader, m.now.wall_ns)?,
        None => Trail::default(),
    };
    trail.of = replay.position().and_then(|at| whose(reader, at));
    let missed = match (to, replay.position()) {
        (Seek::At(wanted), Some(at)) if reader.misses(wanted, at) => Some(wanted),
        _ => None,
    };
    Ok(Msg::Sought { moment, trail, span: replay.span(), missed })
}

/// The name of the recording a point is in, where that is not the one at the end.
fn whose(chain: &Chain, at: Point) -> Option<String> {
    let reader = chain.earlier(at)?;
    let writes = if reader.grows() { "recorder's " } else { "" };
    Some(format!("{writes}{}", clean(&reader.info().id)))
}

/// What a moment itself tells of what led to it.
fn begun(moment: &Moment) -> Trail {
    let mut trail = Trail::default();
    trail.reading = true;
    moment.before.iter().for_each(|before| trail.push(before));
    trail.push(&moment.now);
    trail
}

/// The header's figures and what happened lately, up to `end`.
fn trail(reader: &Chain, end: i64) -> Result<Trail> {
    let mut trail = Trail::default();
    let schemas = reader.schemas();
    let told = |s: &Schema| s.nature() == Nature::Event && !s.has_stacks();
    let wanted = schemas.iter().filter(|s| told(s) || s.table() == "host");
    // A table whose columns changed is listed once for each version.
    let names: BTreeSet<&str> = wanted.map(|s| s.table()).collect();
    for name in names {
        reader.range(name, end - TRAIL, end, &mut |wall, mono, table| {
            trail.push_table(wall, mono, &table);
            Ok(true)
        })?;
    }
    Ok(trail)
}

fn series(reader: &Chain, of: Subject, from: i64, to: i64) -> Result<Series> {
    let table = of.table.clone();
    let mut series = Series::new(of);
    let mut before: Option<(u64, Table)> = None;
    reader.range(&table, from, to, &mut |wall, mono, rows| {
        let whole = Frame::new(mono, rows, None);
        if whole.table().schema().nature() == Nature::Event {
            series.take(&whole, wall);
            return Ok(true);
        }
        let Some(row) = (0..whole.len()).find(|&r| series.of.has(&whole, r)) else {
            before = None;
            return Ok(true);
        };
        // Only this row: a rate needs no join of thousands.
        let one = whole.table().row(row);
        let earlier = before.take().map(|(ns, t)| (ns, t.conform(one.schema())));
        let frame = Frame::new(mono, one.clone(), earlier.as_ref().map(|(ns, t)| (*ns, t)));
        series.take(&frame, wall);
        before = Some((mono, one));
        Ok(true)
    })?;
    Ok(series)
}

/// Rows at most: of events a busy minute of some watched threads; of samples, whose rows are wide,
/// ten minutes of some dozen threads.
const EVENTS: usize = 500_000;
const SAMPLED: usize = 30_000;

/// What is kept of a process in a range of time, sample by sample; the newest where it is too much.
fn rows(reader: &Chain, want: Want) -> Result<Msg> {
    let mut kept: VecDeque<(i64, Table)> = VecDeque::new();
    let mut rows = 0;
    reader.range(&want.table, want.from, want.to, &mut |wall, _, table| {
        let table = match want.pid {
            Some(pid) => table.only("pid", pid),
            None => table,
        };
        let most = match table.schema().nature() {
            _ if Kind::of_table(table.name()).is_some() => MOST_ROWS,
            Nature::Event => EVENTS,
            _ => SAMPLED,
        };
        rows += table.len();
        kept.push_back((wall, table));
        while rows > most && kept.len() > 1 {
            rows -= kept.pop_front().map_or(0, |(_, t)| t.len());
        }
        Ok(true)
    })?;
    Ok(Msg::Rows { want, samples: kept.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Info, memory_writer};
    use crate::table::{Column, Kind, Sample, TableDef};

    fn seeks(waiting: Vec<Ask>) -> Vec<Seek> {
        let left = newest(waiting).into_iter();
        left.filter_map(|a| if let Ask::Of(Question::Seek(to)) = a { Some(to) } else { None })
            .collect()
    }

    #[test]
    fn a_jump_is_answered_before_what_led_there() {
        const ID: &[Column<u64>] = &[Column::u64("id", "ID", Kind::Key, |r| Some(*r))];
        const S: u64 = 1_000_000_000;
        let mut kept = memory_writer(Info::default(), 1 << 20).unwrap();
        for n in 1..=50 {
            let tables = vec![TableDef::new("event", Nature::Event, ID).table(&[n]).unwrap()];
            kept.append(&Sample { mono_ns: n * S, wall_ns: (n * S) as i64, tables }).unwrap();
        }
        let (ask, asked) = std::sync::mpsc::channel();
        let (out, mut told) = tokio::sync::mpsc::unbounded_channel();
        start(asked, out, Vec::new()).unwrap();
        ask.send(Ask::Open(kept.reader())).unwrap();
        let mut go = |to| {
            ask.send(Question::Seek(to).into()).unwrap();
            let Some(Msg::Sought { moment: Some(moment), trail, .. }) = told.blocking_recv() else {
                panic!("no answer to {to:?}");
            };
            let led = trail.reading.then(|| told.blocking_recv());
            (moment.now.mono_ns / S, trail.events("event").map(|t| t.len()), led)
        };
        let (at, events, led) = go(Seek::At(30 * S as i64));
        assert_eq!((at, events), (30, Some(2)), "the moment and the one before it");
        let Some(Some(Msg::Led { at, trail })) = led else { panic!("{led:?}") };
        assert_eq!((at, trail.events("event").unwrap().len()), (30 * S as i64, 30));
        assert!(!trail.reading);
        // A step is answered whole: it must not flicker.
        let (at, events, led) = go(Seek::Step(1));
        assert_eq!((at, events), (31, Some(31)));
        assert!(led.is_none());
    }

    #[test]
    fn a_held_key_is_one_question() {
        let series = || Question::series(Subject::default(), 1, 1).into();
        let seek = |to| Ask::Of(Question::Seek(to));
        let step = |n| seek(Seek::Step(n));
        assert_eq!(
            seeks(vec![step(-1), series(), step(-1), step(-1), series()]),
            [Seek::Step(-3)],
            "steps add up over what was asked in between"
        );
        assert_eq!(
            seeks(vec![seek(Seek::At(5)), step(1), step(2)]),
            [Seek::At(5), Seek::Step(3)],
            "a step goes on from where it was asked"
        );
        assert_eq!(seeks(vec![step(4), seek(Seek::Last)]), [Seek::Last]);
    }
}
