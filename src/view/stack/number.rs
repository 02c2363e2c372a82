//! Numbers of stacks as text: with their unit, as a share, as a difference.

use crate::app::stack::{Metric, Page, Sum};
use crate::table::{Change, Norm, Unit, quantity};

fn text(n: f64, unit: Unit) -> String {
    let mut out = String::new();
    quantity::number(&mut out, n, unit, quantity::Style::default());
    out
}

/// ns or bytes.
pub fn amount(page: &Page, value: u64) -> String {
    text(value as f64, page.metric().unit())
}

/// A share of a whole, per cent.
pub fn share(value: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let share = 100.0 * value as f64 / whole as f64;
    match value {
        0 => "0%".to_owned(),
        _ if share < 0.1 => "<0.1%".to_owned(),
        _ if share < 9.95 => format!("{share:.1}%"),
        _ => format!("{share:.0}%"),
    }
}

/// How many, in short.
pub fn count(n: u64) -> String {
    text(n as f64, Unit::None)
}

/// The whole, a second.
pub fn total(page: &Page, value: f64) -> String {
    let metric = page.metric();
    match metric {
        Metric::Running => format!("{:.2} CPUs", value / 1e9),
        Metric::Waiting => format!("{:.3} s/s waiting", value / 1e9).replace(".000 ", " "),
        Metric::Live => format!("{} live", text(value, Unit::Bytes)),
        _ => format!("{}/s {}", text(value, Unit::Bytes), metric.word()),
    }
}

/// The whole of one side.
pub fn whole(page: &Page, sum: Sum, seconds: f64) -> String {
    let level = page.metric().level();
    let by = if level || seconds <= 0.0 { 1.0 } else { seconds };
    match page.shown.cpus.filter(|_| metric_of_time(page)) {
        Some(_) if late(page, sum, seconds) => format!("{} of CPU time", amount(page, sum.value)),
        // A tick more or less.
        Some(cpus) => total(page, (sum.value as f64 / by).min(cpus * 1e9)),
        None => total(page, sum.value as f64 / by),
    }
}

fn metric_of_time(page: &Page) -> bool {
    page.metric() == Metric::Running
}

/// From how much above all CPUs on it is more than chance.
const CHANCE: f64 = 1.05;

/// Whether more ran than can have in this time: some of it ran before, and got its names late.
pub fn late(page: &Page, sum: Sum, seconds: f64) -> bool {
    let most = page.shown.cpus.filter(|_| metric_of_time(page)).map(|c| c * 1e9 * seconds);
    most.is_some_and(|most| sum.value as f64 > most * CHANCE)
}

/// A difference with its sign: what became more or less a second, or points of a share.
pub fn difference(page: &Page, change: Change) -> String {
    let by = change.signed() / page.shown.unit.max(f64::MIN_POSITIVE);
    let sign = match by {
        b if b > 0.0 => '+',
        b if b < 0.0 => '-',
        _ => return "=".to_owned(),
    };
    match page.norm {
        Norm::Share => format!("{sign}{:.1}%", 100.0 * by.abs()),
        Norm::Time => {
            let per = if page.metric().level() { "" } else { "/s" };
            format!("{sign}{}{per}", text(by.abs(), page.metric().unit()))
        }
    }
}
