//! Who wakes it, who wakes those, and whom it wakes.

use crate::app::image::{Edge, End};
use crate::table::{Unit, clock};
use crate::view::paint::{cells, cut};
use crate::view::theme::Role;

use super::{Line, Page, number, time, time_or};

/// The section.
pub fn lines(page: &Page<'_>) -> Vec<Line> {
    let w = &page.image.wakes;
    let by_context = contexts(page);
    if w.tree.is_empty() && w.wakes.is_empty() && w.inside.is_empty() && by_context.is_empty() {
        return Vec::new();
    }
    let note = match w.seconds {
        Some(_) => "times a second, mean time until it ran",
        None => "times since states are accounted, mean time until it ran",
    };
    let mut out = vec![Vec::new(), page.heading("Wakes", note)];
    out.extend(chain(page));
    out.extend(last(page));
    out.extend(by_context);
    for hop in &w.tree {
        let end = match hop.end {
            End::Cycle => "  (seen already)",
            End::Far => "  (and so on)",
            End::More | End::Known => "",
        };
        let arrow = if hop.depth == 1 { "by " } else { page.look.pick("└ by ", "\\ by ") };
        let indent = 3 * hop.depth;
        out.push(edge(page, &hop.edge, &hop.edge.who(), arrow, indent, end));
    }
    for e in &w.inside {
        out.push(edge(page, e, "its own threads", "by ", 3, ""));
    }
    for e in &w.wakes {
        let who = format!("{} {}", e.comm, e.pid);
        out.push(edge(page, e, &who, "wakes ", 3, ""));
    }
    out
}

/// One edge as a line: who, from where, how often, how long it took.
fn edge(page: &Page<'_>, e: &Edge, who: &str, how: &str, indent: usize, end: &str) -> Line {
    let room = usize::from(page.width).saturating_sub(30).max(12);
    // An interrupt is called by its context already.
    let context = match e.waker {
        Some(_) if e.context != "task" => format!(" in {}", e.context),
        _ => String::new(),
    };
    let name =
        cut(&format!("{who}{context}{end}"), room.saturating_sub(indent + cells(how)), page.mark());
    let pad = room.saturating_sub(indent + cells(how) + cells(&name));
    vec![
        (format!("{}{how}", " ".repeat(indent)), page.s(Role::Dim)),
        (name, page.s(Role::Accent)),
        (" ".repeat(pad), page.s(Role::Text)),
        (format!(" {:>8}", rate(page, e)), page.s(Role::Text)),
        (format!(" {:>7}", time_or(e.mean_ns())), page.s(Role::Text)),
        (format!(" max {:<7}", time_or(e.max_ns.map(|n| n as f64))), page.s(Role::Dim)),
    ]
}

fn rate(page: &Page<'_>, e: &Edge) -> String {
    match page.image.wakes.seconds {
        Some(s) => format!("{}/s", number(e.count as f64 / s, Unit::PerSec)),
        None => number(e.count as f64, Unit::None),
    }
}

/// The strongest way to it in one line, broken where it is too long.
fn chain(page: &Page<'_>) -> Vec<Line> {
    let w = &page.image.wakes;
    if w.chain.len() < 2 {
        return Vec::new();
    }
    let arrow = page.look.glyphs.arrow();
    let mut words: Vec<Vec<(String, Role)>> = Vec::new();
    let lead = match w.begins {
        Some(End::Cycle | End::Far) => page.look.pick("… ", "~ "),
        _ => "",
    };
    for (i, e) in w.chain.iter().enumerate() {
        let lead = if i == 0 { lead } else { "" };
        words.push(vec![
            (format!("{lead}{}", e.who()), Role::Accent),
            (format!(" {} {} {arrow} ", rate(page, e), time_or(e.mean_ns())), Role::Dim),
        ]);
    }
    words.push(vec![(format!("{} {}", page.image.comm, page.image.pid), Role::Accent)]);
    flow(page, words)
}

/// Words in lines of the page's width, each word whole.
fn flow(page: &Page<'_>, words: Vec<Vec<(String, Role)>>) -> Vec<Line> {
    let room = usize::from(page.width).saturating_sub(4);
    let mut out: Vec<Line> = vec![vec![("   ".to_owned(), page.s(Role::Text))]];
    let mut used = 0;
    for word in words {
        let need: usize = word.iter().map(|w| cells(&w.0)).sum();
        if used > 0 && used + need > room {
            out.push(vec![("     ".to_owned(), page.s(Role::Text))]);
            used = 2;
        }
        used += need;
        if let Some(line) = out.last_mut() {
            line.extend(word.into_iter().map(|(t, r)| (t, page.s(r))));
        }
    }
    out
}

/// The wakes that led to the last one of the thread selected, as they were told.
fn last(page: &Page<'_>) -> Vec<Line> {
    let links = &page.image.wakes.last;
    let Some(end) = links.last() else { return Vec::new() };
    let arrow = page.look.glyphs.arrow();
    let at = clock::clock_ms(page.image.lanes.wall(end.at_ns), &page.state.zone);
    let mut words = vec![(format!("last, {at}: "), Role::Dim)];
    for l in links {
        words.push((l.who.clone(), Role::Accent));
        let delay = l.delay_ns.map_or(String::new(), |n| format!(" {}", time(n as f64)));
        words.push((format!("{delay} {arrow} "), Role::Dim));
    }
    let tid = page.image.tid.unwrap_or(page.image.pid);
    let comm = page.image.lane().map_or("", |l| l.comm.as_str());
    words.push((format!("{comm} {tid}"), Role::Accent));
    flow(page, words.into_iter().map(|w| vec![w]).collect())
}

/// Its wakes by where they came from, of its own counters and with vectors and names where the
/// edges tell them.
fn contexts(page: &Page<'_>) -> Vec<Line> {
    let Some(b) = &page.image.breakdown else { return Vec::new() };
    let names = ["task", "softirq", "hardirq", "?"];
    let seconds = b.wall_ns as f64 / 1e9;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, count) in names.into_iter().zip(b.wakes_by) {
        let Some(count) = count.filter(|c| *c > 0 && seconds > 0.0) else { continue };
        let mut text = format!("{}/s", number(count as f64 / seconds, Unit::PerSec));
        let parts: Vec<&str> = page
            .image
            .wakes
            .contexts
            .iter()
            .filter_map(|c| c.0.strip_prefix(name)?.strip_prefix(':'))
            .collect();
        if !parts.is_empty() {
            text = format!("{text} ({})", parts.join(", "));
        }
        pairs.push((name, text));
    }
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut lines = page.pairs(&pairs);
    for line in &mut lines {
        line.insert(0, ("  ".to_owned(), page.s(Role::Text)));
    }
    lines
}
