//! `make screenshots`: plays a small web server in network namespaces of its own, records it for
//! a few seconds as `lmptop record` does, and draws the recording into `screenshots/*.svg`.
//!
//! Only rows of those namespaces are kept: what else this machine does is nobody's business. All
//! figures are real. Needs root, `ip` and a few seconds.

mod cast;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{BooleanArray, RecordBatch, new_null_array};
use arrow_select::filter::filter_record_batch;
use jiff::tz::TimeZone;
use lmptop::app::{Effect, Mode, Msg, Question, State, keys, update};
use lmptop::command::past::Past;
use lmptop::command::record::info;
use lmptop::session::{Reader, Writer};
use lmptop::source::{Focus, Live, LiveOptions, Moment, Replay, Seek, Source, Stacks, Ticker};
use lmptop::table::{Sample, Table, Value};
use lmptop::view::theme::Theme;
use lmptop::view::{draw, most_scroll, svg};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Samples recorded, one a second.
const SAMPLES: usize = 14;
/// The terminal drawn.
const SIZE: (u16, u16) = (120, 36);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, play, role] = args.as_slice()
        && play == "play"
    {
        return cast::play(role);
    }
    let out = args.get(1).map_or_else(|| PathBuf::from("screenshots"), PathBuf::from);
    let place = std::env::temp_dir().join(format!("lmptop-screenshots-{}", std::process::id()));
    let done = record(&place).and_then(|recorded| pictures(&recorded, &out));
    // What is left there is of no use.
    let _ = fs::remove_dir_all(&place);
    done
}

/// Plays and records.
fn record(place: &Path) -> Result<Recorded> {
    // SAFETY: unshare(2) takes flags; no other thread is running yet.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWUTS) } != 0 {
        bail!("cannot make namespaces: {}; run this as root", io::Error::last_os_error());
    }
    let name = "web1";
    // SAFETY: the pointer and the length are of a live string.
    ensure!(
        unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) } == 0,
        "cannot name the host"
    );
    let netns = netns()?;
    let cast = cast::Cast::start()?;
    let stacks = Stacks { oncpu: Some(199), offcpu: true, ..Stacks::default() };
    let focus = Focus { states: true, watch: cast.watched(), stacks, ..Focus::default() };
    let mut live = Live::open(&LiveOptions { focus, ..LiveOptions::default() })?;
    let mut writer = Writer::create(place, info(Duration::from_secs(1)))?;
    let mut ticker = Ticker::new(Instant::now(), Duration::from_secs(1));
    for _ in 0..SAMPLES {
        writer.append(&only(&live.sample()?, netns, &cast.pids())?)?;
        let next = ticker.next(Instant::now());
        while Instant::now() < next {
            thread::sleep(Duration::from_millis(50));
            live.drain();
        }
    }
    let (path, bytes) = (writer.path().to_path_buf(), writer.bytes());
    writer.finish()?;
    Ok(Recorded { reader: Reader::open(&path)?, bytes })
}

/// A recording, and how long it was on disk at its end.
struct Recorded {
    reader: Reader,
    bytes: u64,
}

/// The inode number of this process's network namespace, as the tables name it.
fn netns() -> Result<u64> {
    let link = fs::read_link("/proc/self/ns/net").context("cannot read /proc/self/ns/net")?;
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().context("no network namespace")
}

/// The sample without the rows of other network namespaces, and of other processes than the cast.
fn only(sample: &Sample, netns: u64, pids: &[u32]) -> Result<Sample> {
    let ours = |table: &Table, row: usize| match table.schema().find("netns") {
        Some(field) => table.value(row, field) == Value::U64(netns),
        None => pids.iter().any(|pid| table.get(row, "pid") == Value::U64(u64::from(*pid))),
    };
    let mut tables = Vec::new();
    for table in &sample.tables {
        // What is about no process is about the machine.
        if ["netns", "pid"].iter().all(|id| table.schema().find(id).is_none()) {
            tables.push(table.clone());
            continue;
        }
        let keep: BooleanArray = (0..table.len()).map(|row| Some(ours(table, row))).collect();
        let batch = filter_record_batch(table.batch(), &keep)?;
        tables.push(Table::new(table.schema().clone(), homeless(table, batch)?)?);
    }
    Ok(Sample { mono_ns: sample.mono_ns, wall_ns: sample.wall_ns, tables })
}

/// The rows without the place where this program was built.
fn homeless(table: &Table, batch: RecordBatch) -> Result<RecordBatch> {
    let Some(exe) = table.schema().find("exe") else { return Ok(batch) };
    let mut columns = batch.columns().to_vec();
    columns[exe] = new_null_array(columns[exe].data_type(), batch.num_rows());
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// A screen on the recording, as if it were live or as `lmptop replay` shows it.
struct Desk {
    state: State,
    past: Past,
}

impl Desk {
    fn new(reader: &Reader, mode: Mode) -> Desk {
        let mut past = Past::default();
        past.open(reader.clone());
        Desk { state: State::new(SIZE, mode, TimeZone::UTC, None), past }
    }

    /// Has seen the recording live, but for the last `left` samples.
    fn live(recorded: &Recorded, left: usize) -> Result<Desk> {
        let mut desk = Desk::new(&recorded.reader, Mode::Live);
        desk.send(Msg::Recording(Ok(recorded.bytes)));
        for moment in moments(&recorded.reader)?.into_iter().take(SAMPLES - left) {
            desk.send(Msg::Live(moment));
        }
        Ok(desk)
    }

    fn replay(reader: &Reader) -> Desk {
        let mut desk = Desk::new(reader, Mode::Replay { playing: false });
        desk.state.replayed = Some(reader.info().id.clone());
        if let Some(msg) = desk.past.answer(Question::Seek(Seek::First)) {
            desk.send(msg);
        }
        desk
    }

    fn send(&mut self, msg: Msg) {
        for effect in update(&mut self.state, msg) {
            if let Effect::Past(question) = effect
                && let Some(msg) = self.past.answer(question)
            {
                self.send(msg);
            }
        }
        self.state.limit_scroll(most_scroll(&self.state));
    }

    fn press(&mut self, script: &str) -> Result<()> {
        for key in keys(script).map_err(anyhow::Error::msg)? {
            self.send(Msg::Key(key));
        }
        // What was said about the last key would hide the footer.
        self.state.note = None;
        Ok(())
    }

    fn save(&self, out: &Path, name: &str, title: &str) -> Result<()> {
        let mut buf = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
        draw(&self.state, &Theme::default(), &mut buf);
        let path = out.join(format!("{name}.svg"));
        fs::write(&path, svg::svg(&buf, title))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
        Ok(())
    }
}

/// Every moment of the recording, each with the one before it.
fn moments(reader: &Reader) -> Result<Vec<Moment>> {
    let mut source = Replay::new(reader.clone());
    let mut out: Vec<Moment> = Vec::new();
    while let Some(moment) = source.seek(Seek::Step(1))? {
        if out.last().is_some_and(|m| m.now.wall_ns == moment.now.wall_ns) {
            break;
        }
        let before = out.last().map(|m| Arc::clone(&m.now));
        out.push(Moment { now: moment.now, before });
    }
    Ok(out)
}

fn pictures(recorded: &Recorded, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let shots = [
        ("connections", "jj", "lmptop: connections, busiest first"),
        ("by-process", "2<Enter>", "lmptop: connections by process"),
        ("listeners", "3", "lmptop: listeners and their queues"),
        ("events", "4", "lmptop: what happened to connections"),
        ("detail", "/comm=backup<Enter><Enter>]]", "lmptop: one connection in full"),
        ("ended", "e/port:443<Enter>G", "lmptop: connections that ended, with their totals"),
        ("processes", "5", "lmptop: processes and where their time goes"),
        ("image", "5/comm=index<Enter><Enter>+++", "lmptop: the image of a process"),
        ("stacks", "8", "lmptop: what runs, by call stack"),
        ("waits", "8<Tab>", "lmptop: what is waited for, by call stack"),
        ("columns", "<F2>jjjjjj", "lmptop: columns"),
        ("help", "?", "lmptop: keys"),
    ];
    for (name, keys, title) in shots {
        let mut desk = Desk::live(recorded, 0)?;
        desk.press(keys)?;
        desk.save(out, name, title)?;
    }
    let mut desk = Desk::live(recorded, 4)?;
    desk.press(" /tx>10KB/s<Enter>TT")?;
    for moment in moments(&recorded.reader)?.into_iter().skip(SAMPLES - 4) {
        desk.send(Msg::Live(moment));
    }
    desk.save(out, "frozen", "lmptop: frozen and filtered, while samples go on arriving")?;
    let mut desk = Desk::replay(&recorded.reader);
    desk.press("<End>TTT a")?;
    desk.save(out, "replay", "lmptop: a recording")
}
