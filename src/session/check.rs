//! Goes through everything a session has stored and says, in plain words, what is not as it should
//! be. It reads the files themselves and never opens a database, because opening one writes; what
//! it finds readable is therefore what anybody can read, also from a read-only copy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use serde::Serialize;

use super::carve::Carved;
use super::cursor::Cursor;
use super::meta::{Last, Meta, Summary, packed_dir, recorded_now, segment_dir};
use super::portable;
use super::segment::{Open, Stamp};
use super::store::Store;
use super::stray::{numbers, strays};
use crate::table::{Schema, clean};

/// Findings kept of one session; what is beyond is only counted.
const MOST: usize = 200;
/// Different complaints kept of one segment.
const MOST_KINDS: usize = 32;
/// Samples between two calls of the progress callback.
const STRIDE: u64 = 64;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Nothing is lost.
    Remark,
    /// The recording ended before its time; something at its end may be missing.
    Cut,
    /// Something that had been recorded cannot be read.
    Damage,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// The segment it is in; `None`: the session as a whole.
    pub segment: Option<u32>,
    /// What it is, in words.
    pub text: String,
}

/// What a session is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was recorded can be read.
    Sound,
    /// Its recorder was killed or lost power; all up to the last flush can be read.
    CutOff,
    /// Something in it cannot be read.
    Damaged,
    /// Nothing can be read: it is of a newer format, or its `meta` is gone.
    Unreadable,
}

/// The outcome for one session.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The name of its directory.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// What it is worth.
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Some process records into it now: its newest segment was left out.
    pub recording: bool,
    /// Segments that were gone through.
    pub segments: u32,
    /// Samples that were found.
    pub samples: u64,
    /// Of these, samples of which every table can be read.
    pub whole: u64,
    /// Samples that had been flushed and are missing at the end, as far as `last` tells.
    pub lost_end: u64,
    /// Samples that are missing anywhere else.
    pub lost: u64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub more: u64,
}

/// How far a check got.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The segment being gone through, counted from 1.
    pub segment: u32,
    /// Segments of the session.
    pub segments: u32,
    /// Samples gone through so far.
    pub samples: u64,
}

impl Checked {
    /// Of which nothing is known yet.
    pub(super) fn begun(path: &Path) -> Checked {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Checked {
            id: clean(&name).into_owned(),
            path: path.to_path_buf(),
            verdict: Verdict::Sound,
            sentence: String::new(),
            recording: false,
            segments: 0,
            samples: 0,
            whole: 0,
            lost_end: 0,
            lost: 0,
            findings: Vec::new(),
            more: 0,
        }
    }
}

/// Checks the session in `dir`, or the exported file; memory stays below that of one segment's index and one block a
/// table. Damage is no error: the outcome tells it.
pub fn check(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Checked {
    if dir.is_file() {
        return portable::check(dir, progress);
    }
    let out = Checked { recording: recorded_now(dir), ..Checked::begun(dir) };
    let (schemas, last, of, next) = (Vec::new(), None, 0, None);
    let mut work = Work { dir: dir.to_path_buf(), schemas, last, of, next, out };
    match work.session(progress) {
        Ok(()) => work.judge(),
        Err(e) => {
            work.out.verdict = Verdict::Unreadable;
            work.out.sentence = format!("unreadable: {}", clean(&format!("{e:#}")));
        }
    }
    work.out
}

/// A check under way.
struct Work {
    dir: PathBuf,
    schemas: Vec<Arc<Schema>>,
    last: Option<Last>,
    of: u32,
    /// Number the next segment begins at if nothing is missing, and the segment before it.
    next: Option<(u32, u64)>,
    out: Checked,
}

impl Work {
    fn found(&mut self, weight: Weight, segment: Option<u32>, text: impl AsRef<str>) {
        // Damage is never crowded out by remarks.
        let most = if weight == Weight::Damage { 2 * MOST } else { MOST };
        if self.out.findings.len() >= most {
            self.out.more += 1;
        } else {
            let text = clean(text.as_ref()).into_owned();
            self.out.findings.push(Finding { weight, segment, text });
        }
    }

    fn session(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let (_, schemas, fault) = Meta::read(&self.dir)?;
        self.schemas = schemas;
        if let Some(text) = fault {
            self.found(Weight::Damage, None, text);
        }
        self.last = Last::read(&self.dir);
        if self.last.is_none() {
            let text = "`last` is missing or damaged: how far the recording got is not known";
            self.found(Weight::Damage, None, text);
        }
        for text in strays(&self.dir, self.out.recording) {
            self.found(Weight::Remark, None, text);
        }
        let all = numbers(&self.dir)?;
        self.of = all.len() as u32;
        for (i, &number) in all.iter().enumerate() {
            let at =
                Progress { segment: i as u32 + 1, segments: self.of, samples: self.out.samples };
            progress(at);
            let newest = i + 1 == all.len();
            self.segment(number, newest, &mut |samples| progress(Progress { samples, ..at }));
        }
        self.end();
        Ok(())
    }

    fn segment(&mut self, number: u32, newest: bool, progress: &mut dyn FnMut(u64)) {
        let some = Some(number);
        let summary = match Summary::read(&self.dir, number) {
            Ok(summary) => summary,
            Err(_) => {
                self.found(Weight::Damage, some, "its summary is damaged and was not used");
                None
            }
        };
        if self.out.recording && summary.is_none() {
            let text = "it is being recorded or finished now and was not checked";
            self.found(Weight::Remark, some, text);
            self.next = None;
            return;
        }
        let plain = segment_dir(&self.dir, number);
        let packed = packed_dir(&self.dir, number);
        let from = match &summary {
            Some(s) if s.packed => packed,
            None if !plain.exists() => packed,
            _ => plain,
        };
        if let Some(s) = summary.as_ref().filter(|s| !s.cut.is_empty()) {
            self.found(Weight::Remark, some, format!("recording stopped after it: {}", s.cut));
        }
        match self.contents(number, &from, summary.as_ref(), newest, progress) {
            Ok(()) => {}
            Err(_)
                if !from.exists()
                    && Summary::read(&self.dir, number).ok() != Some(summary.clone()) =>
            {
                let text = "it was removed or written anew while it was checked: check once more";
                self.found(Weight::Remark, some, text);
                self.next = None;
            }
            Err(e) => {
                let samples = summary.as_ref().map_or(0, |s| s.samples);
                self.out.lost += samples;
                let text = format!("none of its {samples} samples can be read: {e:#}");
                self.found(Weight::Damage, some, text);
                self.next = summary.map(|s| (number, s.next()));
            }
        }
    }

    /// Everything in one segment.
    fn contents(
        &mut self,
        number: u32,
        from: &Path,
        summary: Option<&Summary>,
        newest: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let store = Store::Carved(Carved::scan(from)?);
        let open = Open::new(store, None);
        if !open.load()? {
            self.found(Weight::Damage, Some(number), "some entries of its index are damaged");
        }
        let stamps = open.with(<[Stamp]>::to_vec);
        self.out.segments += 1;
        self.order(number, &stamps, summary);
        let mut losses = Losses::default();
        let mut walk = Walk { tables: BTreeMap::new() };
        for stamp in &stamps {
            if self.out.samples.is_multiple_of(STRIDE) {
                progress(self.out.samples);
            }
            self.out.samples += 1;
            if walk.sample(&open, &self.schemas, stamp, &mut losses) {
                self.out.whole += 1;
                losses.settle();
            }
        }
        // What a killed recorder had not flushed is incomplete at the very end, and only there.
        let cut = newest && summary.is_none() && self.last.is_some_and(|l| !l.clean);
        let end = if cut { Weight::Cut } else { Weight::Damage };
        let (settled, pending) = (losses.settled, losses.pending);
        if cut {
            self.out.lost_end += losses.run;
        }
        for (weight, kinds) in [(Weight::Damage, settled), (end, pending)] {
            for ((table, why), r) in kinds {
                let text = format!("{table}: {} cannot be read: {why}", r.words());
                self.found(weight, Some(number), text);
            }
        }
        Ok(())
    }

    /// Whether all samples are there, and the summary tells the truth.
    fn order(&mut self, number: u32, stamps: &[Stamp], summary: Option<&Summary>) {
        let mut real = Summary::default();
        stamps.iter().for_each(|s| real.add(s.seq, s.wall_ns));
        let end = stamps.last().map(|s| s.seq + 1);
        let first = stamps.first().map_or(0, |s| s.seq);
        let some = Some(number);
        match summary {
            Some(said) => {
                let lost = said.samples.saturating_sub(real.samples);
                let times =
                    |s: &Summary| [s.start_wall_ns, s.end_wall_ns, s.min_wall_ns, s.max_wall_ns];
                let same = (real.first, real.samples) == (said.first, said.samples)
                    && times(&real) == times(said);
                if lost > 0 {
                    self.out.lost += lost;
                    let text = format!("{lost} of its {} samples are lost", said.samples);
                    self.found(Weight::Damage, some, text);
                } else if !same {
                    let text = format!(
                        "its summary says {} samples from number {}, there are {} from number {first}",
                        said.samples,
                        said.first,
                        stamps.len()
                    );
                    self.found(Weight::Damage, some, text);
                }
            }
            None => {
                let span = end.unwrap_or(first) - first;
                let lost = span.saturating_sub(stamps.len() as u64);
                if lost > 0 {
                    self.out.lost += lost;
                    let text = format!("{lost} samples in the middle of it are lost");
                    self.found(Weight::Damage, some, text);
                }
            }
        }
        if let (Some((before, next)), false) = (self.next, stamps.is_empty()) {
            let lost = first.saturating_sub(next);
            if lost > 0 {
                self.out.lost += lost;
                let text = format!("{lost} samples between segment {before} and it are lost");
                self.found(Weight::Damage, some, text);
            }
        }
        // A segment that lost its own end has been counted above.
        let told = summary.map(Summary::next);
        if let Some(end) = end.max(told) {
            self.next = Some((number, end));
        }
    }

    /// What is missing after the newest segment.
    fn end(&mut self) {
        let Some(last) = self.last.filter(|_| !self.out.recording) else { return };
        let lost = last.next.saturating_sub(self.next.map_or(0, |n| n.1));
        if last.clean {
            if lost > 0 {
                self.out.lost += lost;
                let text = format!("the last {lost} samples are lost");
                self.found(Weight::Damage, None, text);
            }
            return;
        }
        self.out.lost_end += lost;
        let text = if lost > 0 {
            format!("the recording was cut off: its last {lost} samples are lost")
        } else {
            "the recording was cut off: up to one second at its end is missing".to_owned()
        };
        self.found(Weight::Cut, None, text);
    }

    fn judge(&mut self) {
        let out = &mut self.out;
        let has = |w: Weight| out.findings.iter().any(|f| f.weight == w);
        out.verdict = match (has(Weight::Damage), has(Weight::Cut)) {
            (true, _) => Verdict::Damaged,
            (false, true) => Verdict::CutOff,
            (false, false) => Verdict::Sound,
        };
        let counted = |n: u64, of: &str| format!("{n} {of}{}", if n == 1 { "" } else { "s" });
        let held = format!(
            "{} in {}",
            counted(out.samples, "sample"),
            counted(u64::from(out.segments), "segment")
        );
        out.sentence = match out.verdict {
            Verdict::Sound if out.recording => {
                format!("sound as far as it is finished: {held}; it is being recorded")
            }
            Verdict::Sound => format!("sound: {held}"),
            Verdict::CutOff => {
                let n = counted(out.lost_end, "sample");
                format!("cut off: {n} lost at the end; {held} can be read")
            }
            _ => {
                let gone = out.lost + out.lost_end;
                let part = out.samples - out.whole;
                format!(
                    "damaged: {} of {} can be read whole, {part} in part, {gone} not at all",
                    out.whole,
                    counted(out.samples + gone, "sample"),
                )
            }
        };
    }
}

/// The tables of a segment, one sample after the other.
struct Walk {
    /// Where each table was read last, the entry it was read at, and what came of it.
    tables: BTreeMap<u16, (Cursor, u64, Option<String>)>,
}

impl Walk {
    /// Whether every table of the sample can be read.
    fn sample(
        &mut self,
        open: &Open,
        schemas: &[Arc<Schema>],
        stamp: &Stamp,
        losses: &mut Losses,
    ) -> bool {
        let entry = match open.entry(stamp.seq) {
            Ok(entry) => entry,
            Err(e) => {
                losses.add("the index", &root(&e), stamp.wall_ns);
                losses.run += 1;
                return false;
            }
        };
        let mut whole = true;
        for (number, held) in entry.tables {
            let Some(schema) = schemas.get(usize::from(number)) else {
                let why = anyhow!("table {number} is not described in `meta`");
                losses.add("a table", &root(&why), stamp.wall_ns);
                whole = false;
                continue;
            };
            let Some(held) = held else { continue };
            let state = self
                .tables
                .entry(number)
                .or_insert_with(|| (Cursor::new(number, Arc::clone(schema)), u64::MAX, None));
            // Most tables are as they were: what was found out about that entry still holds.
            if state.1 != held {
                state.2 = state.0.check(open, held).err().map(|e| root(&e));
                state.1 = held;
            }
            if let Some(why) = &state.2 {
                losses.add(&format!("table {}", schema.table()), why, stamp.wall_ns);
                whole = false;
            }
        }
        losses.run += u64::from(!whole);
        whole
    }
}

fn root(e: &anyhow::Error) -> String {
    e.root_cause().to_string()
}

/// What could not be read, by table and reason.
#[derive(Default)]
struct Losses {
    settled: BTreeMap<(String, String), Run>,
    /// Since the last sample that was whole: the end, or not, as the next ones tell.
    pending: BTreeMap<(String, String), Run>,
    /// Samples in `pending`.
    run: u64,
}

/// Samples with one complaint.
#[derive(Clone, Copy)]
struct Run {
    count: u64,
    first: i64,
    last: i64,
}

impl Run {
    fn words(&self) -> String {
        let time = |ns: i64| {
            jiff::Timestamp::from_nanosecond(i128::from(ns))
                .map_or_else(|_| ns.to_string(), |t| format!("{t:.0}"))
        };
        match self.count {
            1 => format!("the sample of {}", time(self.first)),
            n => format!("{n} samples from {} to {}", time(self.first), time(self.last)),
        }
    }
}

impl Losses {
    fn add(&mut self, what: &str, why: &str, wall_ns: i64) {
        let key = (what.to_owned(), why.to_owned());
        if self.pending.len() >= MOST_KINDS && !self.pending.contains_key(&key) {
            return;
        }
        let run = self.pending.entry(key).or_insert(Run { count: 0, first: wall_ns, last: 0 });
        run.count += 1;
        run.last = wall_ns;
    }

    fn settle(&mut self) {
        self.run = 0;
        for (key, new) in std::mem::take(&mut self.pending) {
            let room = self.settled.len() < MOST_KINDS;
            match self.settled.get_mut(&key) {
                Some(old) => {
                    old.count += new.count;
                    old.last = new.last;
                }
                None if room => drop(self.settled.insert(key, new)),
                None => {}
            }
        }
    }
}
