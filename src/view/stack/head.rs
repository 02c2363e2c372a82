//! Above the graph: the modes, how stacks are taken and which, the totals over time, and how the
//! view is narrowed.

use ratatui::buffer::Buffer;

use crate::app::State;
use crate::app::stack::{Beat, Kind, Metric, Range, View, is_on, pinned, scope_words};
use crate::table::{Norm, Unit, Value, clock, quantity};

use super::{Pane, number};
use crate::view::paint::{Pen, cells, cut};
use crate::view::sparkline::sparkline;
use crate::view::theme::Role;

/// Draws them.
pub(super) fn draw(pane: &Pane<'_>, buf: &mut Buffer) {
    modes(pane, buf);
    if let Some(y) = pane.area.facts {
        line(pane, y, facts(pane), buf);
    }
    if let Some(y) = pane.area.spark {
        course(pane, y, buf);
    }
    if let Some(y) = pane.area.crumbs {
        line(pane, y, crumbs(pane), buf);
    }
}

type Bits = Vec<(String, Role)>;

/// As many as fit.
fn line(pane: &Pane<'_>, y: u16, bits: Bits, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, pane.look, 0, y, pane.width);
    let dot = pane.look.pick(" · ", " | ");
    for (i, (text, role)) in bits.iter().enumerate() {
        let gap = if i == 0 { "" } else { dot };
        let room = usize::from(pen.room()).saturating_sub(cells(gap));
        if room < 4 {
            return;
        }
        pen.put(gap, Role::Dim).put(&cut(text, room, pane.look.pick("…", "~")), *role);
    }
}

/// The modes, those that are taken with a light, and the whole of the one shown.
fn modes(pane: &Pane<'_>, buf: &mut Buffer) {
    let (page, state) = (pane.page, pane.state);
    let mut pen = Pen::new(buf, pane.look, 0, pane.area.modes, pane.width);
    for kind in Kind::ALL {
        let role = if kind == page.kind { Role::Select } else { Role::Dim };
        let light = match is_on(&state.focus, kind) {
            true => pane.look.glyphs.light(),
            false => ' ',
        };
        pen.put(&format!(" {}{light} ", kind.title()), role);
    }
    let mut text = number::whole(page, 0);
    if page.diff && page.mark.is_some() {
        let then = number::whole(page, 1);
        text = format!("{text}, A {then}");
    }
    if page.book().slices.is_empty() {
        return;
    }
    let room = usize::from(pen.room()).saturating_sub(1);
    if room < cells(&text) {
        text = text.split_whitespace().next().unwrap_or("").to_owned();
    }
    if room >= cells(&text) {
        let x = pane.width - cells(&text) as u16;
        Pen::new(buf, pane.look, x, pane.area.modes, pane.width).put(&text, Role::Accent);
    }
}

/// How stacks are taken, which time, and whose.
fn facts(pane: &Pane<'_>) -> Bits {
    let (page, state) = (pane.page, pane.state);
    let mut out: Bits = trouble(pane);
    out.extend(ignored(state).map(|text| (text, Role::Warn)));
    if page.book().slices.is_empty() {
        return out;
    }
    let sum = page.shown.total[0];
    if is_on(&state.focus, page.kind) && page.kind == Kind::OnCpu {
        out.push((format!("{} Hz", page.hz), Role::Text));
    }
    if page.kind.metrics().len() > 1 {
        out.push((page.metric().word().to_owned(), Role::Accent));
    }
    out.push((time(pane), Role::Text));
    if sum.samples > 0 {
        out.push((format!("{} samples", number::count(sum.samples)), Role::Text));
    }
    if sum.count != sum.samples && sum.count > 0 {
        let word = page.metric().events();
        out.push((format!("{} {word}", number::count(sum.count)), Role::Dim));
    }
    out.push((sampled(pane).to_owned(), Role::Dim));
    if number::late(page, 0) {
        let text = "some of it ran before this time: its names came late";
        out.push((text.to_owned(), Role::Warn));
    }
    if let Some(pin) = state.pin.as_ref().filter(|_| pinned(state).is_some()) {
        out.push((format!("pin {pin}"), Role::Accent));
    } else if state.mode == crate::app::Mode::Live {
        out.push((scope_words(&state.focus), Role::Text));
    }
    if page.shown.idle.value > 0 {
        let text =
            format!("{} waits for work hidden (e)", number::amount(page, page.shown.idle.value));
        out.push((text, Role::Dim));
    }
    let pid = pinned(state);
    let apart = page.diff && page.mark.as_ref().is_some_and(|m| m.pid != pid || m.of.is_some());
    if page.view == View::Graph && !apart {
        out.push((page.root.word().to_owned(), Role::Dim));
        if page.invert {
            out.push(("innermost first".to_owned(), Role::Dim));
        }
    }
    if page.diff {
        let word = if page.norm == Norm::Time { "by the second" } else { "by share" };
        let side = if page.swap { "widths of A" } else { "widths of now" };
        out.push((format!("{word}, {side}"), Role::Accent));
    }
    if page.book().forgot {
        out.push(("the oldest are left out".to_owned(), Role::Warn));
    }
    out
}

/// What holds elsewhere and not here.
fn ignored(state: &State) -> Option<String> {
    let pin = state.pin.as_ref().filter(|_| pinned(state).is_none()).map(|p| format!("pin {p}"));
    let filter = (!state.filter.is_empty()).then(|| format!("filter {}", state.filter));
    let both: Vec<String> = pin.into_iter().chain(filter).collect();
    (!both.is_empty()).then(|| format!("not applied here: {}", both.join(", ")))
}

/// Whether what is shown was sampled.
fn sampled(pane: &Pane<'_>) -> &'static str {
    let exact = pane.state.focus.stacks.heap.is_some_and(|h| h.exact);
    match pane.page.metric() {
        Metric::Running => "sampled",
        Metric::Waiting => "time exact, stacks sampled",
        Metric::Live | Metric::Allocated | Metric::Freed if exact => "exact",
        Metric::Live | Metric::Allocated | Metric::Freed => "sampled by bytes",
        Metric::Growth | Metric::Calls | Metric::Misses | Metric::Dirtied | Metric::Device => {
            "bytes exact, stacks sampled"
        }
    }
}

/// Which time is shown.
fn time(pane: &Pane<'_>) -> String {
    let page = pane.page;
    let long = |s: f64| {
        let mut out = String::new();
        quantity::number(&mut out, s * 1e9, Unit::Ns, quantity::Style::default());
        out
    };
    let seconds = page.shown.seconds[0];
    match page.range {
        Range::All => format!("all {}", long(seconds)),
        Range::Back(ns) if (ns as f64 / 1e9 - seconds).abs() > 2.0 => {
            format!("last {} ({} known)", long(ns as f64 / 1e9), long(seconds))
        }
        Range::Back(ns) => format!("last {}", long(ns as f64 / 1e9)),
        Range::Sample => format!("one sample of {}", long(seconds)),
    }
}

/// What is lost or cannot be taken, from the table of the probes.
fn trouble(pane: &Pane<'_>) -> Bits {
    let mut out = Bits::new();
    let Some(table) = pane.state.moment.as_ref().and_then(|m| m.now.table("probe")) else {
        return out;
    };
    for row in
        (0..table.len()).filter(|r| table.get(*r, "probe") == Value::Text(pane.page.kind.table()))
    {
        let lost = table.get(row, "lost").as_u64().unwrap_or(0);
        if lost > 0 {
            out.push((format!("{} lost", number::count(lost)), Role::Bad));
        }
        let state = table.get(row, "state").as_str().unwrap_or("ok").to_owned();
        if state != "ok" {
            let missing = table.get(row, "missing").as_str().unwrap_or("").to_owned();
            let word = if missing.is_empty() { state } else { format!("{state}: {missing}") };
            out.push((word, Role::Warn));
        }
    }
    out
}

/// The totals over time; what is outside the range is dim.
fn course(pane: &Pane<'_>, y: u16, buf: &mut Buffer) {
    let beats = &pane.page.shown.course;
    if beats.is_empty() {
        return;
    }
    let peak = beats.iter().map(|b| b.value).fold(0.0, f64::max);
    let top = number::total(pane.page, peak);
    let fired = fired(pane.state);
    let hit = |b: &Beat| fired.iter().any(|at| *at > b.from && *at <= b.at);
    let legend = if beats.iter().any(hit) { ", ! a trigger" } else { "" };
    let label = format!(" top {top}{legend}");
    let width = usize::from(pane.width).saturating_sub(cells(&label));
    let beats = &beats[beats.len().saturating_sub(width)..];
    let values: Vec<Option<f64>> = beats.iter().map(|b| Some(b.value)).collect();
    let marks = sparkline(&values, width, Some(peak), pane.look.glyphs);
    let mut pen = Pen::new(buf, pane.look, 0, y, pane.width);
    let blank = width.saturating_sub(beats.len());
    for (i, mark) in marks.chars().enumerate() {
        let beat = i.checked_sub(blank).and_then(|i| beats.get(i));
        let inside = beat.is_some_and(|b| b.inside);
        let mut cell = [0; 4];
        if beat.is_some_and(hit) {
            pen.put("!", Role::Bad);
            continue;
        }
        pen.put(mark.encode_utf8(&mut cell), if inside { Role::Chart } else { Role::Dim });
    }
    pen.put(&label, Role::Dim);
}

/// When triggers fired, Unix ns.
fn fired(state: &State) -> Vec<i64> {
    let Some(moment) = &state.moment else { return Vec::new() };
    let Some(table) = state.trail.events("trigger") else { return Vec::new() };
    let wall = |mono: u64| {
        let ago = i128::from(moment.now.mono_ns) - i128::from(mono);
        i64::try_from(i128::from(moment.now.wall_ns) - ago).ok()
    };
    let at = |row| table.get(row, "time_ns").as_u64().and_then(wall);
    (0..table.len()).filter_map(at).collect()
}

/// What was zoomed, wanted, hidden, searched and marked.
fn crumbs(pane: &Pane<'_>) -> Bits {
    let (page, state) = (pane.page, pane.state);
    let mut out = Bits::new();
    let name = |f: &u32| page.names.name(*f).text.to_string();
    if !page.search.is_none() {
        let whole = page.shown.top.map_or(0, |t| page.shown.tree.total(t)[page.side()].value);
        let share = number::share(page.shown.matched.value, whole);
        out.push((format!("/{} {share} found", page.search.text.trim_matches('/')), Role::Match));
    }
    if let Some(m) = &page.mark {
        let at = |ns| clock::clock(ns, &state.zone);
        let pid = m.pid.map_or_else(String::new, |p| format!(" of {p}"));
        let text = match &m.of {
            Some(name) => format!("A {name}{pid}"),
            None => format!("A {} to {}{pid}", at(m.span.0), at(m.span.1)),
        };
        out.push((text, Role::Accent));
        if m.lost > 0 {
            out.push((format!("A lost {}", number::count(m.lost)), Role::Bad));
        }
    }
    let n = &page.narrow;
    out.extend(n.tid.map(|t| (format!("thread {t}"), Role::Accent)));
    out.extend(n.state.iter().map(|s| (format!("state {s}"), Role::Accent)));
    out.extend(n.syscall.iter().map(|s| (format!("call {s}"), Role::Accent)));
    if n.net {
        out.push(("through network code".to_owned(), Role::Accent));
    }
    out.extend(page.only.iter().map(|f| (format!("only {}", name(f)), Role::Accent)));
    out.extend(page.hidden.iter().map(|f| (format!("without {}", name(f)), Role::Accent)));
    if !page.zoom.is_empty() {
        let arrow = pane.look.pick(" › ", " > ");
        let mut way: Vec<String> = page.zoom.iter().map(name).collect();
        if way.len() > 4 {
            let last = way.split_off(way.len() - 3);
            way.truncate(1);
            way.push(pane.look.pick("…", "~").to_owned());
            way.extend(last);
        }
        out.push((way.join(arrow), Role::Text));
    }
    out
}
