//! What else belongs to it: figures over time, locks, system calls, life, children, connections.

use crate::app::image::{Cols, Event, FIGURES, HINTS};
use crate::table::{Frame, Unit, Value, clock};
use crate::view::detail::{figure_text, over_time};
use crate::view::paint::{cells, cut};
use crate::view::rows::{address, cell_text};
use crate::view::sparkline::sparkline;
use crate::view::theme::Role;

use super::{Line, Page, number, role_of, time};

/// Lines of a list at most; how many there are stands in its heading.
const MOST: usize = 12;

/// Its figures over the time across the screen.
pub fn figures(page: &Page<'_>) -> Vec<Line> {
    let image = page.image;
    let (Some((frame, _)), Some(now)) = (&image.row, page.state.wall_ns()) else {
        return Vec::new();
    };
    let schema = frame.table().schema();
    let to = image.window.until.unwrap_or(now).min(now);
    let from = to - (now - image.span(now, page.state.size.0).from).max(60_000_000_000);
    let width = usize::from(page.width).saturating_sub(36).max(8);
    let mut out = Vec::new();
    for (i, (figure, (_, name))) in image.series.of.figures.iter().zip(FIGURES).enumerate() {
        let Some(field) = figure.field(schema) else { continue };
        let values: Vec<(i64, Option<f64>)> =
            image.series.values(i).filter(|(at, _)| *at > from && *at <= to).collect();
        let known = || values.iter().filter_map(|v| v.1);
        let Some(most) = known().reduce(f64::max) else { continue };
        // What never happened needs no line.
        if most == 0.0 {
            continue;
        }
        let newest = values.last().and_then(|v| v.1);
        let newest = newest.map_or("-".to_owned(), |v| figure_text(page.state, v, field));
        let line = sparkline(&over_time(&values, from, to, width), width, None, page.look.glyphs);
        out.push(vec![
            (format!("   {name:<15}"), page.s(Role::Dim)),
            (format!(" {newest:>6} "), page.s(Role::Text)),
            (format!("{:>7} ", figure_text(page.state, most, field)), page.s(Role::Dim)),
            (line, page.s(Role::Chart)),
        ]);
    }
    section(page, "Figures", "now, most, over time", out)
}

/// Puts a heading over what there is.
fn section(page: &Page<'_>, title: &str, note: &str, lines: Vec<Line>) -> Vec<Line> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Vec::new(), page.heading(title, note)];
    out.extend(lines);
    out
}

/// The rows of a table that belong to a process, with the sample before.
fn rows_of(page: &Page<'_>, table: &str, column: &str) -> Option<(Frame, Vec<usize>)> {
    let frame = page.state.frame(table)?;
    let cols = Cols::new(frame.table(), [column]);
    let pid = u64::from(page.image.pid);
    let rows: Vec<usize> = (0..cols.len()).filter(|&r| cols.number(r, 0) == Some(pid)).collect();
    (!rows.is_empty()).then_some((frame, rows))
}

fn rank(frame: &Frame, rows: &mut [usize], ids: &[&str]) {
    let value = |r: usize, id: &str| frame.get(r, id).as_f64().unwrap_or(0.0);
    rows.sort_by(|a, b| {
        let order = ids.iter().map(|id| value(*b, id).total_cmp(&value(*a, id)));
        order.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
}

fn text(page: &Page<'_>, frame: &Frame, row: usize, id: &str) -> String {
    let schema = frame.table().schema();
    match schema.find(id).map(|i| &schema.fields()[i]) {
        Some(field) => cell_text(page.state, frame.get(row, id), field),
        None => "-".to_owned(),
    }
}

fn note(rows: usize) -> String {
    if rows > MOST { format!("{MOST} of {rows}, most first") } else { String::new() }
}

/// The locks its threads wait for.
pub fn locks(page: &Page<'_>) -> Vec<Line> {
    let Some((frame, mut rows)) = rows_of(page, "lock", "pid") else { return Vec::new() };
    rank(&frame, &mut rows, &["wait_ns_rate", "wait_ns"]);
    let mut out = Vec::new();
    for &r in rows.iter().take(MOST) {
        let get = |id: &str| text(page, &frame, r, id);
        let address = match frame.get(r, "addr").as_u64() {
            Some(a) => format!("0x{a:x}"),
            None => "-".to_owned(),
        };
        let mut line = vec![
            (format!("   {:<7}", get("kind")), page.s(Role::Dim)),
            (format!(" {address:<14} {:<10}", name_of(&frame, r)), page.s(Role::Accent)),
            (
                format!(
                    " {} wait now, {} of the time, longest {}",
                    get("waiters"),
                    get("wait_ns_rate"),
                    get("wait_max_ns")
                ),
                page.s(Role::Text),
            ),
        ];
        if let Some(holder) = frame.get(r, "holder_tid").as_u64() {
            let by = get("holder_by");
            line.push((
                format!("  held by {holder} {} ({by})", get("holder_comm")),
                page.s(Role::Lock),
            ));
        }
        if !frame.get(r, "hold_ns").is_none() {
            let held = format!("  held {} longest {}", get("hold_ns_rate"), get("hold_max_ns"));
            line.push((held, page.s(Role::Dim)));
        }
        out.push(line);
    }
    section(page, "Locks", &note(rows.len()), out)
}

/// What lies at a lock's address.
fn name_of(frame: &Frame, row: usize) -> String {
    frame.get(row, "name").as_str().unwrap_or("").to_owned()
}

/// Its system calls, while they are counted.
pub fn calls(page: &Page<'_>) -> Vec<Line> {
    let Some((frame, mut rows)) = rows_of(page, "syscall", "pid") else { return Vec::new() };
    rank(&frame, &mut rows, &["total_ns_rate", "count"]);
    let head = format!(
        "   {:<18} {:>8} {:>7} {:>7} {:>7} {:>8}",
        "", "calls/s", "time", "mean", "max", "errors"
    );
    let mut out = vec![vec![(head, page.s(Role::Dim))]];
    for &r in rows.iter().take(MOST) {
        let get = |id: &str| text(page, &frame, r, id);
        let mut line = vec![
            (format!("   {:<18}", get("syscall")), page.s(Role::Accent)),
            (
                format!(
                    " {:>8} {:>7} {:>7} {:>7} {:>8}",
                    get("count_rate"),
                    get("total_ns_rate"),
                    get("mean_ns"),
                    get("max_ns"),
                    get("errors")
                ),
                page.s(Role::Text),
            ),
        ];
        if let Value::Text(error) = frame.get(r, "last_error") {
            line.push((format!(" {error}"), page.s(Role::Warn)));
        }
        out.push(line);
    }
    section(page, "System calls", &note(rows.len()), out)
}

/// What happened to it and its children, newest first.
pub fn life(page: &Page<'_>) -> Vec<Line> {
    let events = &page.image.life.events;
    let threads = |e: &&Event| !e.kind.starts_with("thread");
    let all = events.iter().filter(threads).count();
    let room = usize::from(page.width).saturating_sub(1);
    let lines = events.iter().rev().filter(threads).take(MOST).map(|e| {
        let own = e.pid == page.image.pid;
        let who = if own { String::new() } else { format!("{} {} ", e.comm, e.pid) };
        let what = match e.kind.as_str() {
            "fork" if own => "began".to_owned(),
            "fork" => "forked".to_owned(),
            "exit" => {
                let lived =
                    e.dur_ns.map_or(String::new(), |n| format!(" after {}", time(n as f64)));
                format!("ended: {}{lived}", e.end.as_deref().unwrap_or("exit"))
            }
            "exec" => format!("exec {}", e.argv.as_deref().unwrap_or(&e.comm)),
            "rename" => format!("{} is now {}", e.old_comm.as_deref().unwrap_or("?"), e.comm),
            other => other.to_owned(),
        };
        let at = clock::clock_ms(e.at, &page.state.zone);
        let used = 4 + cells(&at) + 1 + cells(&who);
        vec![
            (format!("   {at} "), page.s(Role::Dim)),
            (who, page.s(Role::Accent)),
            (cut(&what, room.saturating_sub(used), page.mark()), page.s(Role::Text)),
        ]
    });
    let lines: Vec<Line> = lines.collect();
    let note = if all > MOST { format!("the newest {MOST} of {all}") } else { String::new() };
    section(page, "Life", &note, lines)
}

/// Its children that are there.
pub fn children(page: &Page<'_>) -> Vec<Line> {
    let Some((frame, mut rows)) = rows_of(page, "proc", "ppid") else { return Vec::new() };
    rank(&frame, &mut rows, &["cpu_ns_rate", "rss_bytes"]);
    let mut out = Vec::new();
    for &r in rows.iter().take(MOST) {
        let get = |id: &str| text(page, &frame, r, id);
        let state = get("state");
        let head = format!("   {:>7} ", get("pid"));
        let argv = frame.get(r, "argv").as_str().map_or_else(|| get("comm"), str::to_owned);
        let used = cells(&head) + 27;
        let room = usize::from(page.width).saturating_sub(used + 1);
        out.push(vec![
            (head, page.s(Role::Dim)),
            (format!("{state:<10}"), page.s(role_of(&state))),
            (format!("{:>7} {:>7}  ", get("cpu_ns_rate"), get("rss_bytes")), page.s(Role::Text)),
            (cut(&argv, room, page.mark()), page.s(Role::Accent)),
        ]);
    }
    let note =
        if rows.len() > MOST { note(rows.len()) } else { "pid, state, CPU, memory".to_owned() };
    section(page, "Children", &note, out)
}

/// Its connections: the rows of the net room.
pub fn connections(page: &Page<'_>) -> Vec<Line> {
    let Some((frame, mut rows)) = rows_of(page, "net", "pid") else { return Vec::new() };
    rank(&frame, &mut rows, &["bytes_acked_rate", "bytes_received_rate"]);
    let (mut sent, mut received) = (0.0, 0.0);
    for &r in &rows {
        sent += frame.get(r, "bytes_acked_rate").as_f64().unwrap_or(0.0);
        received += frame.get(r, "bytes_received_rate").as_f64().unwrap_or(0.0);
    }
    let mut out = Vec::new();
    for &r in rows.iter().take(MOST) {
        let get = |id: &str| text(page, &frame, r, id);
        let end = |a: &str, p: &str| address(frame.get(r, a), frame.get(r, p));
        let state = get("state");
        let rates = format!(
            " {:>6} {:>6} {:>6}",
            get("bytes_acked_rate"),
            get("bytes_received_rate"),
            get("srtt_us")
        );
        let room = usize::from(page.width).saturating_sub(18 + cells(&rates)).max(10);
        let ends = format!(
            "{} {} {}",
            end("saddr", "sport"),
            page.look.glyphs.arrow(),
            end("daddr", "dport")
        );
        let ends = cut(&ends, room, page.mark());
        out.push(vec![
            (format!("   {:<4}", get("proto")), page.s(Role::Dim)),
            (format!("{state:<10}"), page.s(crate::view::rows::state_role(&state))),
            (format!("{ends}{}", " ".repeat(room - cells(&ends))), page.s(Role::Accent)),
            (rates, page.s(Role::Text)),
        ]);
    }
    let bytes = |n: f64| number(n, Unit::BytesPerSec);
    let mut said = format!("sent {}/s received {}/s, round trip", bytes(sent), bytes(received));
    if rows.len() > MOST {
        said = format!("{MOST} of {}: {said}", rows.len());
    }
    section(page, "Connections", &said, out)
}

/// What the keys do here: the footer has room for some of them.
pub fn keys(page: &Page<'_>) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    let mut used = usize::MAX / 2;
    for (key, hint) in HINTS {
        let need = cells(key) + cells(hint) + 3;
        if used + need > usize::from(page.width) {
            out.push(vec![("   ".to_owned(), page.s(Role::Text))]);
            used = 3;
        }
        used += need;
        if let Some(line) = out.last_mut() {
            line.push(((*key).to_owned(), page.s(Role::Key)));
            line.push((format!(" {hint}  "), page.s(Role::Dim)));
        }
    }
    section(page, "Keys", "", out)
}
