//! What the cursor stands on, exactly; and what lies between the marks.

use crate::app::image::{Cell, Kind, Lane, Span, Stretch, shares};
use crate::table::{Doing, clock};
use crate::view::paint::cells as cells_of;
use crate::view::theme::Role;

use super::{Line, NARROW, Page, share, sign, time};

/// The lines below the strips.
pub fn lines(page: &Page<'_>, span: Span, now: i64) -> Vec<Line> {
    let mut out = Vec::new();
    let image = page.image;
    if let (Some(at), Some(lane)) = (image.window.cursor, image.lane()) {
        let mut words: Vec<(String, Role)> = Vec::new();
        let cell = span.index(at).map(|i| {
            let from = span.edge(i);
            lane.sums(from, from + span.cell, now)
        });
        if let Some(s) = lane.at(at, now) {
            stretch(page, lane, &s, now, &mut words);
        } else {
            words.push((format!("{}  nothing is known here", precise(page, at)), Role::Dim));
        }
        if let Some(cell) = cell.filter(|c| c.changes > 1) {
            words.push((format!("{} changes in this cell:", cell.changes), Role::Dim));
            words.extend(parts(&cell));
        }
        out.extend(flow(page, page.look.pick("▲", "^"), words));
    }
    if let Some((a, b)) = image.window.between()
        && let Some(lane) = image.lane()
    {
        let mut words = vec![
            (format!("A to B {}", exact(b - a)), Role::Match),
            (format!("thread {}:", image.tid.unwrap_or(0)), Role::Dim),
        ];
        words.extend(parts(&lane.sums(a, b, now)));
        if image.order.len() > 1 {
            let mut all = Cell::default();
            for lane in image.lanes.lanes.values() {
                all.sum(&lane.sums(a, b, now));
            }
            words.push(("all threads:".to_owned(), Role::Dim));
            words.extend(parts(&all));
        }
        out.extend(flow(page, page.look.pick("Δ", "d"), words));
    } else if let Some(a) = image.window.a {
        let words = vec![(format!("A at {}; d compares", precise(page, a)), Role::Match)];
        out.extend(flow(page, " ", words));
    }
    out
}

/// The shares of a cell's classes in words.
fn parts(cell: &Cell) -> Vec<(String, Role)> {
    let ns: Vec<u64> =
        Doing::ALL.into_iter().map(|c| u64::try_from(cell.ns(c)).unwrap_or(0)).collect();
    let shares = shares(&ns);
    let mut all: Vec<(Doing, u32)> =
        Doing::ALL.into_iter().zip(shares).filter(|p| cell.ns(p.0) > 0).collect();
    all.sort_by_key(|p| (std::cmp::Reverse(cell.ns(p.0)), p.0));
    all.iter()
        .map(|(c, tenths)| {
            let ns = time(cell.ns(*c) as f64);
            (format!("{} {} {ns}", c.word(), share::share(*tenths)), sign(*c).role)
        })
        .collect()
}

/// A stretch in words: when, how long, what, for what, who ended it, where, how late it ran.
fn stretch(page: &Page<'_>, lane: &Lane, s: &Stretch, now: i64, words: &mut Vec<(String, Role)>) {
    let all = &page.image.lanes.words;
    let open = s.to >= now;
    words.push((precise(page, s.from), Role::Text));
    words.push((s.class.word().to_owned(), sign(s.class).role));
    let how = match s.kind {
        Kind::BINNED => ", a sum of many",
        Kind::SUMMED => ", a sum between samples",
        Kind::SAMPLED => ", between samples",
        _ if open => " so far",
        _ => "",
    };
    words.push((format!("{}{how}", exact(s.ns())), Role::Text));
    if let Some(reason) = all.get(s.reason).filter(|r| *r != "binned") {
        let addr = match s.addr {
            Some(a) if a > 0xffff => format!(" 0x{a:x}"),
            Some(a) => format!(" {a}"),
            None => String::new(),
        };
        words.push((format!("in {reason}{addr}"), Role::Accent));
    }
    let wake = if s.class.sleeps() { Some(*s) } else { lane.wake(s.from) };
    if let Some(w) = wake.filter(|w| s.class.sleeps() || w.to == s.from || follows(lane, w, s)) {
        let context = all.get(w.context);
        let by = match (w.waker_tid, all.get(w.waker)) {
            (Some(tid), Some(comm)) => format!("{comm} {tid}"),
            (Some(tid), None) => tid.to_string(),
            (None, _) => String::new(),
        };
        let text = match (by.is_empty(), context) {
            (true, None) => None,
            (true, Some(c)) => Some(format!("woken by {c}")),
            (false, None | Some("task")) => Some(format!("woken by {by}")),
            (false, Some(c)) => Some(format!("woken by {by} in {c}")),
        };
        words.extend(text.map(|t| (t, Role::Accent)));
    }
    if let Some(delay) = delay(lane, s) {
        words.push((format!("ran {} after the wake", time(delay as f64)), Role::Wait));
    }
    if let Some(cpu) = s.cpu {
        words.push((format!("cpu {cpu}"), Role::Dim));
    }
}

/// Whether a stretch is the first after a wake: the wait for a CPU, or the run right behind it.
fn follows(lane: &Lane, wake: &Stretch, s: &Stretch) -> bool {
    let next = lane.exact.at(wake.to).map(|(_, n)| *n);
    next.is_some_and(|n| n.class == Doing::Runnable && (n.from == s.from || n.to == s.from))
}

/// From the wake that ended a sleep, or began this, until it ran, ns.
fn delay(lane: &Lane, s: &Stretch) -> Option<i64> {
    let list = lane.exact.stretches();
    let (i, _) = lane.exact.at(s.from)?;
    let wait = match s.class {
        c if c.sleeps() => list.get(i + 1),
        Doing::Running => list.get(i.checked_sub(1)?),
        _ => None,
    };
    wait.filter(|w| w.class == Doing::Runnable).map(|w| w.ns())
}

/// A duration in short and to the ns.
fn exact(ns: i64) -> String {
    let short = time(ns as f64);
    if ns.abs() < 1_000 { short } else { format!("{short} ({ns} ns)") }
}

/// An instant to the ns.
fn precise(page: &Page<'_>, at: i64) -> String {
    let seconds = clock::clock(at, &page.state.zone);
    if page.width < NARROW {
        return clock::clock_ms(at, &page.state.zone);
    }
    format!("{seconds}.{:09}", at.rem_euclid(1_000_000_000))
}

/// Words in lines of the page's width.
fn flow(page: &Page<'_>, sign: &str, words: Vec<(String, Role)>) -> Vec<Line> {
    let room = usize::from(page.width).saturating_sub(1);
    let mut out: Vec<Line> = vec![vec![(format!(" {sign} "), page.s(Role::Accent))]];
    let mut used = 3;
    for (text, role) in words {
        let need = cells_of(&text);
        if used > 3 && used + need > room {
            out.push(vec![("   ".to_owned(), page.s(Role::Text))]);
            used = 3;
        }
        used += need + 2;
        if let Some(line) = out.last_mut() {
            line.push((text, page.s(role)));
            line.push(("  ".to_owned(), page.s(Role::Text)));
        }
    }
    out
}
