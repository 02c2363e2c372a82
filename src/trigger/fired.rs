//! Table `trigger`: what fired, when and why. A row of events, so that a recording holds it.

use std::sync::{Arc, LazyLock};

use anyhow::Result;

use super::Trigger;
use super::pressure::Stalled;
use super::rule::What;
use super::watch::Hit;
use crate::table::quantity::{self, Style};
use crate::table::{
    Clean, Column, Frame, Kind, Nature, Sample, Schema, Table, TableDef, Unit, Value,
};

/// A trigger that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// `CLOCK_MONOTONIC` ns.
    pub time_ns: u64,
    /// The trigger's name.
    pub name: Clean,
    /// Its rule as written.
    pub rule: Clean,
    /// Why, in one line with the numbers.
    pub cause: Clean,
    /// The number that was compared, in the unit of its column; per cent of pressure.
    pub value: Option<f64>,
    /// What it was compared with.
    pub threshold: Option<f64>,
    /// The process of the row, if it has one.
    pub pid: Option<u64>,
    /// Its name.
    pub comm: Option<Clean>,
}

type C = Column<Fired>;

const COLUMNS: &[C] = &[
    C::u64("time_ns", "TIME", Kind::Gauge, |r| Some(r.time_ns))
        .unit(Unit::Instant)
        .hide(5)
        .help("When it fired (CLOCK_MONOTONIC at the sample, or when poll on pressure returned)."),
    C::text("name", "NAME", Kind::Key, |r| Some(r.name.as_str()))
        .width(20)
        .hide(0)
        .help("The trigger (its name in the configuration, or the rule of --trigger)."),
    C::text("cause", "CAUSE", Kind::Text, |r| Some(r.cause.as_str()))
        .width(48)
        .hide(1)
        .help("What held, with the numbers (the sample, or /proc/pressure)."),
    C::text("rule", "RULE", Kind::Text, |r| Some(r.rule.as_str()))
        .width(30)
        .hide(40)
        .help("The rule as it was written (--trigger, or when in the configuration)."),
    C::f64("value", "VALUE", Kind::Gauge, |r| r.value).hide(30).help(
        "The number that was compared, in its column's unit; per cent of pressure (the sample).",
    ),
    C::f64("threshold", "LIMIT", Kind::Gauge, |r| r.threshold)
        .hide(35)
        .help("What it was compared with, in the same unit (the rule)."),
    C::u64("pid", "PID", Kind::Text, |r| r.pid)
        .unit(Unit::Id)
        .hide(10)
        .help("The process of the row that fired, if it has one (the row's pid)."),
    C::text("comm", "COMM", Kind::Text, |r| r.comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(12)
        .help("Its name (the row's comm)."),
];

static DEF: LazyLock<TableDef<Fired>> =
    LazyLock::new(|| TableDef::new("trigger", Nature::Event, COLUMNS));

/// The schema of table `trigger`.
pub fn schema() -> Arc<Schema> {
    DEF.schema().clone()
}

/// The table of what fired in an interval.
pub(super) fn table(fired: &[Fired]) -> Result<Table> {
    DEF.table(fired)
}

/// How often a trigger fired in a sample.
pub fn rows(sample: &Sample) -> usize {
    sample.table(DEF.schema().table()).map_or(0, Table::len)
}

impl Fired {
    /// For a row.
    pub(super) fn of_row(trigger: &Trigger, frame: &Frame, hit: &Hit) -> Fired {
        let own = |id: &str| frame.get(hit.row, id);
        let pid = own("pid").as_u64();
        let comm = own("comm").as_str().map(Clean::from);
        let field = hit.compared.map(|(f, _)| &frame.fields()[f]);
        let value = hit.compared.map(|(f, _)| frame.value(hit.row, f));
        let told = |value: Value<'_>| {
            let mut text = String::new();
            if let Some(field) = field {
                quantity::format(&mut text, value, field, Style::default());
            }
            text
        };
        let table = frame.table().name();
        let mut cause = match (field, value, hit.compared) {
            (Some(field), Some(value), Some((_, limit))) => {
                format!(
                    "{table}.{} is {}, limit {}",
                    field.id,
                    told(value),
                    told(Value::F64(limit))
                )
            }
            _ => format!("a row of {table} matches"),
        };
        match (pid, &comm) {
            (Some(pid), Some(comm)) => cause.push_str(&format!(": {comm} ({pid})")),
            (Some(pid), None) => cause.push_str(&format!(": process {pid}")),
            _ => {}
        }
        Fired {
            time_ns: frame.mono_ns(),
            cause: Clean::from(cause.as_str()),
            value: value.and_then(|v| v.as_f64()),
            threshold: hit.compared.map(|(_, limit)| limit),
            pid,
            comm,
            ..Fired::begin(trigger)
        }
    }

    /// For pressure.
    pub(super) fn of_pressure(trigger: &Trigger, mono_ns: u64, stalled: Stalled) -> Fired {
        let What::Pressure { resource, kind, share: limit, cgroup, .. } = trigger.rule.what()
        else {
            return Fired::begin(trigger);
        };
        let of = cgroup.as_ref().map(|c| format!(" of {c}")).unwrap_or_default();
        let is = match stalled.share {
            Some(share) => format!("{:.1}%", share * 100.0),
            None => format!("{:.1}% or more", limit * 100.0),
        };
        let cause = format!(
            "psi.{}.{}{of} is {is} of {} s, limit {:.1}%",
            resource.word(),
            kind.word(),
            stalled.window.as_secs_f64(),
            limit * 100.0
        );
        Fired {
            time_ns: mono_ns,
            cause: Clean::from(cause.as_str()),
            value: stalled.share.map(|share| share * 100.0),
            threshold: Some(limit * 100.0),
            ..Fired::begin(trigger)
        }
    }

    fn begin(trigger: &Trigger) -> Fired {
        Fired {
            time_ns: 0,
            name: Clean::from(trigger.name.as_str()),
            rule: Clean::from(trigger.rule.to_string().as_str()),
            cause: Clean::default(),
            value: None,
            threshold: None,
            pid: None,
            comm: None,
        }
    }
}
