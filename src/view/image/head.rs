//! Who it is: parent, program, user, since when; how it ended.

use crate::table::{Unit, clock};
use crate::view::paint::{cells, cut, wrap};
use crate::view::theme::Role;

use super::{Line, Page, number, time};

/// The section.
pub fn lines(page: &Page<'_>) -> Vec<Line> {
    let image = page.image;
    let mut out = Vec::new();
    let room = usize::from(page.width).saturating_sub(2);
    let argv = page.known("argv").or_else(|| image.life.argv.clone());
    let rows = if page.short() { 1 } else { 3 };
    if let Some(argv) = argv {
        let mut parts = wrap(&argv, room);
        if parts.len() > rows {
            let rest = parts.split_off(rows - 1).join(" ");
            parts.push(cut(&rest, room, page.mark()));
        }
        for part in parts {
            out.push(vec![(format!(" {}", cut(&part, room, page.mark())), page.s(Role::Accent))]);
        }
    }
    if let Some(line) = ended(page) {
        out.extend(line);
    }
    let pairs = page.pairs(&pairs(page));
    if page.short() {
        out.extend(pairs.into_iter().take(1));
    } else {
        out.extend(pairs);
    }
    out
}

/// What the head left out on a short page.
pub fn rest(page: &Page<'_>) -> Vec<Line> {
    let mut lines = page.pairs(&pairs(page));
    if !page.short() || lines.len() < 2 {
        return Vec::new();
    }
    for line in &mut lines {
        line.insert(0, ("  ".to_owned(), page.s(Role::Text)));
    }
    let mut out = vec![Vec::new(), page.heading("About", "")];
    out.extend(lines);
    out
}

fn pairs(page: &Page<'_>) -> Vec<(&'static str, String)> {
    let image = page.image;
    let mut out: Vec<(&str, String)> = Vec::new();
    let mut put = |name: &'static str, text: Option<String>| {
        if let Some(text) = text {
            out.push((name, text));
        }
    };
    let since = image.lanes.lanes.get(&image.pid).filter(|_| image.there).and_then(|l| l.open);
    let now = page.state.wall_ns().unwrap_or(0);
    if let Some((class, at)) = since {
        put("now", Some(format!("{} for {}", class.word(), time((now - at).max(0) as f64))));
    }
    put("parent", parent(page));
    put("age", age(page));
    put("threads", page.known("threads"));
    put("cpu", page.known("last_cpu"));
    put("uid", page.known("uid").or_else(|| image.life.uid.map(|u| u.to_string())));
    put("nice", page.known("nice"));
    put("prio", page.known("prio"));
    put("policy", page.known("policy"));
    put("in", page.known("syscall"));
    put("at", page.known("wchan"));
    put("ns pid", page.known("ns_pid"));
    put("exe", page.known("exe"));
    put("cgroup", page.known("cgroup").or_else(|| image.life.cgroup.clone()));
    out
}

/// When it began, and how long ago.
fn age(page: &Page<'_>) -> Option<String> {
    let image = page.image;
    let begun = image.lanes.wall(image.start_ns);
    let until = image.ended().map_or(page.state.wall_ns()?, |e| e.at);
    let age = until.checked_sub(begun).filter(|a| *a >= 0)?;
    let day = 86_400_000_000_000;
    let at = if age < day {
        clock::clock(begun, &page.state.zone)
    } else {
        clock::date_and_clock(begun, &page.state.zone)
    };
    Some(format!("{} since {at}", time(age as f64)))
}

/// Its parent by number and name.
fn parent(page: &Page<'_>) -> Option<String> {
    let ppid = match &page.image.row {
        Some((frame, row)) => frame.get(*row, "ppid").as_u64(),
        None => None,
    };
    let ppid = ppid.or(page.image.life.ppid.map(u64::from)).filter(|p| *p > 0)?;
    Some(match name_of(page, ppid) {
        Some(name) => format!("{name} {ppid}"),
        None => ppid.to_string(),
    })
}

/// The name of a process that is there.
pub fn name_of(page: &Page<'_>, pid: u64) -> Option<String> {
    let table = page.state.moment.as_ref()?.now.table("proc")?;
    let cols = crate::app::image::Cols::new(table, ["pid", "comm"]);
    let row = (0..cols.len()).find(|&r| cols.number(r, 0) == Some(pid))?;
    cols.text(row, 1).map(str::to_owned)
}

fn ended(page: &Page<'_>) -> Option<Vec<Line>> {
    let ended = page.image.ended()?;
    let at = clock::clock_ms(ended.at, &page.state.zone);
    let mut pairs = vec![("ended", format!("{at}: {}", ended.how))];
    let mut put = |name, text: Option<String>| {
        if let Some(text) = text {
            pairs.push((name, text));
        }
    };
    put("lived", ended.dur_ns.map(|n| time(n as f64)));
    put("CPU", ended.cpu_ns.map(|n| time(n as f64)));
    put("most memory", ended.maxrss_bytes.map(|n| number(n as f64, Unit::Bytes)));
    put("read", ended.moved.0.map(|n| number(n as f64, Unit::Bytes)));
    put("written", ended.moved.1.map(|n| number(n as f64, Unit::Bytes)));
    if let (Some(v), Some(i)) = ended.switches {
        put("switches", Some(format!("{v} voluntary {i} not")));
    }
    let mut lines = page.pairs(&pairs);
    // What ended it must be seen at once.
    if let Some(first) = lines.first_mut().and_then(|l| l.get_mut(2)) {
        first.1 = page.s(Role::Warn);
        debug_assert!(cells(&first.0) > 0);
    }
    Some(lines)
}
