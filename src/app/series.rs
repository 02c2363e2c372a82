//! The past of a row, or of a log: one figure over time for each column asked for. What the
//! details page, the graph and the sparklines above a tool's table draw, live and replayed.

use crate::table::{Frame, From, Kind, Nature, Schema, Type, Unit, Value};

use super::columns::Shown;
use super::state::{RowKey, cell_text};

/// Figures that are drawn over time, of a connection, a process or thread, a wake, a lock and a
/// system call: field id and title.
const KNOWN: &[(&str, &str)] = &[
    ("bytes_acked_rate", "sent /s"),
    ("bytes_received_rate", "received /s"),
    ("srtt_us", "round trip"),
    ("snd_cwnd", "window (cwnd)"),
    ("retrans_rate", "retransmits /s"),
    ("sendq", "send queue"),
    ("recvq", "receive queue"),
    ("cpu_ns_rate", "on a CPU"),
    ("runq_ns_rate", "waits for a CPU"),
    ("rss_bytes", "resident"),
    ("read_bytes_rate", "read /s"),
    ("write_bytes_rate", "written /s"),
    ("invol_switches_rate", "loses a CPU /s"),
    ("count_rate", "times /s"),
    ("delay_max_ns", "longest delay"),
    ("wait_ns_rate", "waited for"),
    ("waiters", "wait now"),
    ("waits_rate", "waits /s"),
    ("hold_ns_rate", "held"),
    ("total_ns_rate", "time in it"),
    ("mean_ns", "mean time"),
    ("errors_rate", "errors /s"),
];

/// Points kept at least: an hour at one a second.
const POINTS: usize = 3_600;
/// Figures kept in all: of a log with few columns more rows.
const FIGURES: usize = 100_000;

/// Whose past, and which figures of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The table.
    pub table: String,
    /// The texts of its key cells; empty in a log without keys, where every row counts.
    pub key: RowKey,
    /// The columns.
    pub figures: Vec<Shown>,
}

/// The past of a subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Whose.
    pub of: Subject,
    /// Oldest first: Unix ns and one figure for each of the subject's.
    pub points: Vec<(i64, Vec<Option<f64>>)>,
}

impl Subject {
    /// What this row of a table is part of: the row itself, over time; in a log the rows of its
    /// key.
    pub fn of(frame: &Frame, row: usize, figures: Vec<Shown>) -> Subject {
        let table = frame.table();
        let key = match table.schema().nature() {
            Nature::State => super::state::row_key(frame, row),
            Nature::Event => {
                table.schema().keys().iter().map(|&k| cell_text(table.value(row, k))).collect()
            }
        };
        Subject { table: table.name().to_owned(), key, figures }
    }

    /// Whether the row is part of it.
    pub fn has(&self, frame: &Frame, row: usize) -> bool {
        if frame.table().schema().nature() == Nature::State {
            return super::grid::has_key(frame, row, &self.key);
        }
        let keys = frame.table().schema().keys();
        keys.len() == self.key.len()
            && keys
                .iter()
                .zip(&self.key)
                .all(|(&k, w)| cell_text(frame.table().value(row, k)) == *w)
    }

    /// Its figures in a row.
    pub fn point(&self, frame: &Frame, row: usize) -> Vec<Option<f64>> {
        self.figures.iter().map(|f| figure(frame, row, f)).collect()
    }
}

impl Series {
    /// Of this subject, nothing known yet.
    pub fn new(of: Subject) -> Series {
        Series { of, points: Vec::new() }
    }

    /// Takes in the newest sample of the table, taken at this Unix time in ns.
    pub fn take(&mut self, frame: &Frame, wall_ns: i64) {
        let log = frame.table().schema().nature() == Nature::Event;
        for row in 0..frame.len() {
            if !self.of.has(frame, row) {
                continue;
            }
            let at = if log { time_of(frame, row, wall_ns) } else { wall_ns };
            self.points.push((at, self.of.point(frame, row)));
            if !log {
                break;
            }
        }
        let most = (FIGURES / self.of.figures.len().max(1)).max(POINTS);
        let over = self.points.len().saturating_sub(most);
        self.points.drain(..over);
    }

    /// Puts the past before what came meanwhile.
    pub fn fill(&mut self, past: Series) {
        let end = past.points.last().map_or(i64::MIN, |p| p.0);
        let newer = std::mem::replace(&mut self.points, past.points);
        self.points.extend(newer.into_iter().filter(|p| p.0 > end));
    }

    /// One figure over time.
    pub fn values(&self, figure: usize) -> impl Iterator<Item = (i64, Option<f64>)> + '_ {
        self.points.iter().map(move |p| (p.0, p.1.get(figure).copied().flatten()))
    }
}

/// When a row of a log happened: by its own clock, or with the sample, Unix ns.
pub fn time_of(frame: &Frame, row: usize, wall_ns: i64) -> i64 {
    let own = frame.table().schema().own_time().map(|i| frame.table().value(row, i));
    match own {
        Some(Value::I64(at)) => at,
        _ => wall_ns,
    }
}

/// A column's number in a row.
fn figure(frame: &Frame, row: usize, shown: &Shown) -> Option<f64> {
    match shown {
        Shown::Sum(a, b, _) | Shown::Mean(a, b, _) => {
            shown.together(frame.get(row, a), frame.get(row, b)).as_f64()
        }
        Shown::One(id) | Shown::Pair(id, ..) => frame.get(row, id).as_f64(),
    }
}

/// Whether a column can be drawn over time: a number that is neither a name nor an instant.
pub fn is_figure(shown: &Shown, schema: &Schema) -> bool {
    if matches!(shown, Shown::Pair(..)) {
        return false;
    }
    shown.field(schema).is_some_and(|f| {
        let number = !matches!(f.unit, Unit::Id | Unit::Address | Unit::Wall | Unit::Instant);
        number && f.ty != Type::Text && !matches!(f.kind, Kind::Key | Kind::Start)
    })
}

/// The figures of a table that say most over time: those known, or every number of a
/// table found at run time, counters by their rates.
pub fn figures(schema: &Schema) -> Vec<Shown> {
    if !schema.found() {
        let known = KNOWN.iter().filter(|(id, _)| schema.find(id).is_some());
        return known.map(|(id, _)| Shown::One((*id).to_owned())).collect();
    }
    let rate = |i: usize| schema.rate_of(i).unwrap_or(i);
    let all = (0..schema.stored().len()).map(|i| &schema.fields()[rate(i)]);
    all.map(|f| Shown::One(f.id.clone())).filter(|s| is_figure(s, schema)).collect()
}

/// What a figure is called beside its line.
pub fn figure_title<'a>(shown: &'a Shown, schema: &'a Schema) -> &'a str {
    let known = KNOWN.iter().find(|(id, _)| !schema.found() && *id == shown.first_id());
    match (shown, known) {
        (Shown::One(_), Some((_, title))) => title,
        _ => shown.title(schema),
    }
}

/// The rate a counter is drawn by: raw counts only ever rise.
pub fn over_time(shown: &Shown, schema: &Schema) -> Shown {
    let Shown::One(id) = shown else { return shown.clone() };
    let field = schema.find(id).filter(|&i| {
        let f = &schema.fields()[i];
        f.kind == Kind::Counter && matches!(f.from, From::Stored(_))
    });
    match field.and_then(|i| schema.rate_of(i)) {
        Some(rate) => Shown::One(schema.fields()[rate].id.clone()),
        None => shown.clone(),
    }
}
