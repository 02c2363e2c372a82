//! Samples made by rule, the same in every run: tables of each kind a recording holds (a state, an
//! event, call stacks, a tool's table found at run time), and their text. What the recordings kept
//! for ever must read as hangs on this file: change nothing here, add beside it.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use lmptop::session::{Info, Limits};
use lmptop::table::{Column, Field, Kind, Nature, Sample, Schema, Table, TableDef, Type, Unit};

use crate::stage::dice::Dice;

pub const S: i64 = 1_000_000_000;
pub const START: i64 = 1_795_264_987 * S;

#[derive(Clone)]
struct Row {
    pid: u64,
    comm: String,
    cpu_ns: u64,
    nice: Option<i64>,
    share: Option<f64>,
    state: &'static str,
}

type C = Column<Row>;
const PROC: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |r| Some(r.pid)),
    C::text("comm", "COMM", Kind::Text, |r| Some(&r.comm)),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| Some(r.cpu_ns)).unit(Unit::Ns),
    C::i64("nice", "NICE", Kind::Gauge, |r| r.nice),
    C::f64("share", "SHARE", Kind::Gauge, |r| r.share),
    C::text("state", "STATE", Kind::State, |r| Some(r.state)),
];

struct Event {
    pid: u64,
    what: &'static str,
    at_ns: Option<u64>,
}

type E = Column<Event>;
const LIFE: &[E] = &[
    E::u64("pid", "PID", Kind::Key, |e| Some(e.pid)),
    E::text("what", "WHAT", Kind::Text, |e| Some(e.what)),
    E::u64("at_ns", "AT", Kind::Gauge, |e| e.at_ns).unit(Unit::Ns),
];

struct Stack {
    pid: u64,
    count: u64,
    stack: String,
    modules: String,
}

type K = Column<Stack>;
const ONCPU: &[K] = &[
    K::u64("pid", "PID", Kind::Key, |s| Some(s.pid)),
    K::u64("count", "COUNT", Kind::Gauge, |s| Some(s.count)),
    K::text("stack", "STACK", Kind::Text, |s| Some(&s.stack)),
    K::text("modules", "MODULES", Kind::Text, |s| Some(&s.modules)),
];

const NAMES: [&str; 5] = ["nginx: worker", "日本語 – µ", "a\"b,c\\n", "sh", "Ω≈ç√∫˜"];
const STATES: [&str; 3] = ["running", "sleeping", "disk"];

fn row(d: &mut Dice, pid: u64) -> Row {
    Row {
        pid,
        comm: NAMES[d.below(5) as usize].to_owned(),
        cpu_ns: d.below(1 << 40),
        nice: (d.below(3) != 0).then(|| d.below(40) as i64 - 20),
        share: (d.below(3) != 0).then(|| d.below(1000) as f64 / 7.0),
        state: STATES[d.below(3) as usize],
    }
}

fn events(d: &mut Dice) -> Vec<Event> {
    const WHAT: [&str; 3] = ["fork", "exec", "exit"];
    let one = |d: &mut Dice| Event {
        pid: d.below(5000),
        what: WHAT[d.below(3) as usize],
        at_ns: (d.below(5) != 0).then(|| d.below(1 << 50)),
    };
    (0..d.below(4)).map(|_| one(d)).collect()
}

fn stacks(d: &mut Dice) -> Vec<Stack> {
    let one = |d: &mut Dice| {
        let depth = 2 + d.below(5);
        let frames: Vec<String> = (0..depth).map(|i| format!("f{}", d.below(3) + i)).collect();
        let modules: Vec<&str> =
            (0..depth).map(|i| if i == 0 { "/usr/bin/x" } else { "" }).collect();
        Stack {
            pid: d.below(9),
            count: 1 + d.below(99),
            stack: format!("{};[cut]", frames.join(";")),
            modules: format!("{};[kernel]", modules.join(";")),
        }
    };
    (0..1 + d.below(3)).map(|_| one(d)).collect()
}

/// A table whose columns were found while it ran; from half-time on it has one more.
fn tool(i: u64, wider: bool) -> Table {
    let mut fields = vec![Field::new("disk", Type::Text), Field::new("reads", Type::U64)];
    let disks = ["vda", "vdb"];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(disks.to_vec())),
        Arc::new(UInt64Array::from(vec![Some(i * 3), (!i.is_multiple_of(5)).then_some(i / 4)])),
    ];
    if wider {
        fields.push(Field::new("writes", Type::U64));
        columns.push(Arc::new(UInt64Array::from(vec![i, 7])));
    }
    let schema = Arc::new(Schema::new_found("iostat", Nature::State, fields));
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    Table::new(schema, batch).unwrap()
}

/// Samples a second apart whose rows come, go, change and swap places.
pub struct Samples {
    dice: Dice,
    rows: Vec<Row>,
    next: u64,
    half: u64,
    defs: (TableDef<Row>, TableDef<Event>, TableDef<Stack>),
}

impl Samples {
    /// The tool's table gets its further column at sample `half`.
    pub fn new(seed: u64, half: u64) -> Samples {
        let mut dice = Dice(seed);
        let rows = (1..=12).map(|pid| row(&mut dice, pid)).collect();
        let defs = (
            TableDef::new("proc", Nature::State, PROC),
            TableDef::new("life", Nature::Event, LIFE),
            TableDef::new("oncpu", Nature::Event, ONCPU),
        );
        Samples { dice, rows, next: 0, half, defs }
    }
}

impl Iterator for Samples {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let (i, d) = (self.next, &mut self.dice);
        self.next += 1;
        match d.below(14) {
            0 => {}
            1 => self.rows.reverse(),
            2 if self.rows.len() > 3 => {
                let gone = d.below(self.rows.len() as u64) as usize;
                self.rows.remove(gone);
            }
            3 => {
                let at = d.below(self.rows.len() as u64 + 1) as usize;
                let pid = 100 + i;
                let new = row(d, pid);
                self.rows.insert(at, new);
            }
            _ => {
                for _ in 0..1 + d.below(3) {
                    let at = d.below(self.rows.len() as u64) as usize;
                    self.rows[at].cpu_ns += d.below(1_000_000_000);
                    self.rows[at].state = STATES[d.below(3) as usize];
                }
            }
        }
        let mut tables = vec![self.defs.0.table(&self.rows).unwrap()];
        let (life, oncpu) = (events(d), stacks(d));
        if d.below(6) != 0 {
            tables.push(self.defs.1.table(&life).unwrap());
        }
        tables.push(self.defs.2.table(&oncpu).unwrap());
        tables.push(tool(i, i >= self.half));
        Some(Sample { mono_ns: (5 + i) * S as u64, wall_ns: START + i as i64 * S, tables })
    }
}

pub fn info() -> Info {
    Info {
        host: "box".into(),
        kernel: "6.18".into(),
        boot_id: "b".into(),
        argv: vec!["lmptop".into(), "record".into()],
        lmptop: "0.1.0".into(),
        start_wall_ns: START,
        start_mono_ns: 5,
        interval_ms: 1000,
        ..Info::default()
    }
}

/// Small blocks and segments, so that a short recording has many.
pub fn small() -> Limits {
    Limits {
        segment_ns: 70 * S as u64,
        block_ns: 20 * S as u64,
        key_every: 7,
        part_bytes: 700,
        floor_bytes: 0,
        ..Limits::default()
    }
}

/// A table as text: its columns, then its rows.
pub fn table_text(out: &mut String, t: &Table) {
    let s = t.schema();
    let columns: Vec<String> = s
        .stored()
        .iter()
        .map(|f| format!("{}:{:?}:{:?}:{:?}", f.id, f.ty, f.kind, f.unit))
        .collect();
    let found = if s.found() { " found" } else { "" };
    writeln!(out, "  {} {:?}{found} [{}]", t.name(), s.nature(), columns.join(" ")).unwrap();
    for r in 0..t.len() {
        let cells: Vec<String> =
            (0..s.stored().len()).map(|c| format!("{:?}", t.value(r, c))).collect();
        writeln!(out, "    {}", cells.join(" ")).unwrap();
    }
}

/// A sample as text.
pub fn text(s: &Sample) -> String {
    let mut out = format!("@ {} {}\n", s.wall_ns, s.mono_ns);
    s.tables.iter().for_each(|t| table_text(&mut out, t));
    out
}
