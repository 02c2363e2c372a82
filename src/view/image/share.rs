//! Where the time went, to exactly 100 %, and how it ran.

use crate::app::Mode;
use crate::app::image::Breakdown;
use crate::table::{Doing, Unit};
use crate::view::paint::cells;
use crate::view::theme::{Glyphs, Role};

use super::{Line, NARROW, Page, number, time, time_or};
use super::{sign, style_of};

/// Cells of the longest word of a state.
const WORD: usize = 9;

/// The breakdown.
pub fn lines(page: &Page<'_>) -> Vec<Line> {
    let image = page.image;
    let Some(b) = &image.breakdown else { return Vec::new() };
    if b.parts.is_empty() {
        return without(page, b);
    }
    let whose = match (image.alone, image.tid) {
        (true, Some(tid)) => format!("thread {tid}"),
        _ => "all threads".to_owned(),
    };
    let note = if page.width < NARROW {
        whose
    } else {
        format!(
            "{whose}, {} over {} of wall clock",
            time(b.total_ns as f64),
            time(b.wall_ns as f64)
        )
    };
    let mut out = vec![page.heading("Time", &note)];
    let wide = page.width >= NARROW;
    let bar = bar_cells(page.width);
    if wide {
        let head = format!(
            "   {:<WORD$} {:>6} {:bar$} {:>7} {:>7} {:>7} {:>7}",
            "", "share", "", "time", "count", "mean", "max"
        );
        out.push(vec![(head, page.s(Role::Dim))]);
    }
    for part in &b.parts {
        let style = style_of(part.class, page.look);
        let mut line: Line = vec![
            (format!(" {} ", sign(part.class).letter), page.s(Role::Dim)),
            (format!("{:<WORD$}", part.class.word()), style),
            (format!(" {:>6}", share(part.share)), page.s(Role::Text)),
            (" ".to_owned(), page.s(Role::Text)),
        ];
        line.push((bar_of(part.share, bar, page.look.glyphs), style));
        let figures = if wide {
            let max = part.max_ns.or_else(|| longest(page, part.class));
            format!(
                " {:>7} {:>7} {:>7} {:>7}",
                time(part.ns as f64),
                number(part.count as f64, Unit::None),
                time_or(within(part.mean_ns(), max)),
                max.map_or("-".to_owned(), |m| time(m as f64)),
            )
        } else {
            format!(" {:>6} {:>5}", time(part.ns as f64), number(part.count as f64, Unit::None))
        };
        line.push((figures, page.s(Role::Text)));
        out.push(line);
    }
    out
}

/// Cells of the bar of a share.
fn bar_cells(width: u16) -> usize {
    match width {
        0..60 => 6,
        60..100 => 22,
        _ => usize::from(width / 3).min(60),
    }
}

/// Tenths of a per cent as one reads them.
pub fn share(tenths: u32) -> String {
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// A bar of exactly so many cells; what is there has a mark, however little.
fn bar_of(tenths: u32, width: usize, glyphs: Glyphs) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (tenths as usize * width * 8).div_ceil(1000);
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut out: String = std::iter::repeat_n(glyphs.full(), full).collect();
    if rest > 0 {
        out.push(match glyphs {
            Glyphs::Unicode => EIGHTHS[rest],
            _ if full == 0 => '.',
            _ => ' ',
        });
    }
    let blank = width.saturating_sub(out.chars().count());
    out.extend(std::iter::repeat_n(' ', blank));
    out.chars().take(width).collect()
}

/// A mean where it can be that of what the maximum is of. What began before the sample counts its
/// time or its slices into a sum of which only the rest, or nothing, was begun in this time: where
/// that makes much of it, the quotient is no mean of anything, and above every one there was.
fn within(mean: Option<f64>, max: Option<u64>) -> Option<f64> {
    mean.filter(|mean| max.is_none_or(|max| *mean <= max as f64))
}

/// The longest stretch of a class between the samples, where every one was told.
fn longest(page: &Page<'_>, class: Doing) -> Option<u64> {
    let image = page.image;
    let moment = page.state.moment.as_ref()?;
    let (from, to) = (moment.before.as_ref()?.wall_ns, moment.now.wall_ns);
    let lanes = image.lanes.lanes.iter();
    let lanes = lanes.filter(|(tid, _)| !image.alone || Some(**tid) == image.tid);
    lanes
        .flat_map(|(_, l)| {
            let list = l.exact.stretches();
            let first = list.partition_point(|s| s.to <= from);
            list.range(first..).take_while(move |s| s.from < to)
        })
        .filter(|s| s.class == class && !s.kind.mixed())
        .filter_map(|s| u64::try_from(s.ns()).ok())
        .max()
}

/// What is known without accounting states.
fn without(page: &Page<'_>, b: &Breakdown) -> Vec<Line> {
    if b.wall_ns == 0 {
        return Vec::new();
    }
    let whole = b.wall_ns as f64 * b.threads.filter(|_| !page.image.alone).unwrap_or(1) as f64;
    let of = |ns: Option<u64>| ns.map(|n| n as f64);
    let (cpu, wait) = (of(b.cpu_ns), of(b.runq_ns));
    let rest = cpu.zip(wait).map(|(c, w)| (whole - c - w).max(0.0));
    let all = [("on CPU", cpu, Role::Run), ("waits", wait, Role::Wait), ("rest", rest, Role::Rest)];
    let total: f64 = all.iter().filter_map(|a| a.1).sum();
    let mut out = vec![page.heading("Time", &format!("over {}", time(b.wall_ns as f64)))];
    let bar = bar_cells(page.width);
    for (name, ns, role) in all {
        let Some(ns) = ns.filter(|_| total > 0.0) else { continue };
        let tenths = (ns * 1000.0 / total).round() as u32;
        out.push(vec![
            (format!("   {name:<WORD$} {:>6} ", share(tenths)), page.s(Role::Text)),
            (bar_of(tenths, bar, page.look.glyphs), page.s(role)),
            (format!(" {:>7}", time(ns)), page.s(Role::Text)),
        ]);
    }
    if page.state.mode == Mode::Live {
        let hint = "s accounts every state: what the rest is, and why.";
        out.push(vec![(format!("   {hint}"), page.s(Role::Dim))]);
    }
    out
}

/// How it ran: slices, runs, waits and wakes, with the words that say what each is.
pub fn ran(page: &Page<'_>) -> Vec<Line> {
    let Some(b) = page.image.breakdown.as_ref().filter(|b| !b.parts.is_empty()) else {
        return Vec::new();
    };
    let mut out = vec![Vec::new(), page.heading("How it ran", "")];
    let run = b.part(Doing::Running);
    let wakes = b.wakes.unwrap_or(0);
    let per_wake = |n: Option<f64>, max: Option<u64>| {
        within(n.filter(|_| wakes > 0).map(|n| n / wakes as f64), max)
    };
    // No episode ended in this time: there is no longest one.
    let [slices_max, run_max] = [b.slices.1, b.run_ns.1].map(|max| max.filter(|n| *n > 0));
    let count = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let mut put = |name: &str, value: String, help: &str| {
        let mut line = vec![
            (format!("   {name:<17}"), page.s(Role::Accent)),
            (format!("{value:<39}"), page.s(Role::Text)),
        ];
        if usize::from(page.width) > 59 + cells(help) {
            line.push((help.to_owned(), page.s(Role::Dim)));
        }
        out.push(line);
    };
    put(
        "mean slice",
        time_or(run.and_then(|r| r.mean_ns())),
        "a run from getting a CPU to losing it",
    );
    let mean = per_wake(run.map(|r| r.count as f64), b.slices.1);
    let mean = mean.map_or("-".to_owned(), |n| format!("{n:.2}"));
    // Of a process there is no last one: its threads have one each.
    let last = b.slices.0.map_or(String::new(), |n| format!("last {n} "));
    let slices = format!("{last}mean {mean} max {}", count(slices_max));
    put("slices per wake", slices, "1: answers in one go");
    let runs = format!(
        "{}mean {} max {}",
        b.run_ns.0.map_or(String::new(), |n| format!("last {} ", time(n as f64))),
        time_or(per_wake(run.map(|r| r.ns as f64), b.run_ns.1)),
        time_or(run_max.map(|n| n as f64)),
    );
    put("run per wake", runs, "on a CPU from a wake to the next sleep");
    for (name, class, system, help) in [
        ("delay, woken", Doing::Runnable, b.system.0, "from a wake until it ran"),
        (
            "delay, preempted",
            Doing::Preempted,
            b.system.1,
            "from losing the CPU until it ran again",
        ),
    ] {
        let part = b.part(class);
        let text = format!(
            "mean {} max {}, system {}",
            time_or(part.and_then(|p| within(p.mean_ns(), p.max_ns))),
            part.and_then(|p| p.max_ns).map_or("-".to_owned(), |m| time(m as f64)),
            time_or(system),
        );
        put(name, text, help);
    }
    let sleeps = b.parts.iter().filter(|p| p.class.sleeps());
    let (n, ns) = sleeps.fold((0, 0), |(n, ns), p| (n + p.count, ns + p.ns));
    let mean = (n > 0).then(|| ns as f64 / n as f64);
    put("sleeps", format!("{n}, mean {}", time_or(mean)), "each class above has its own");
    if let (Some(v), Some(i)) = b.switches {
        put("switches", format!("{v} voluntary, {i} not"), "the kernel's own counts");
    }
    if let (Some(minor), Some(major)) = b.faults {
        put("faults", format!("{minor} minor, {major} major"), "major ones waited for a device");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mean_is_above_its_maximum() {
        // 401 slices and one wake, where the longest of the episodes that ended had 24.
        assert_eq!(within(Some(401.0), Some(24)), None);
        // None ended in this time.
        assert_eq!(within(Some(2.5), Some(0)), None);
        for (mean, max) in [(24.0, Some(24)), (1.3, Some(3)), (1.3, None)] {
            assert_eq!(within(Some(mean), max), Some(mean));
        }
        assert_eq!(within(None, Some(3)), None);
    }
}
