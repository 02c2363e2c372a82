//! The line under the tabs that says how the tool of this pane fares: what was found and how sure
//! that is, what was dropped, how it ended, what it complained about.

use ratatui::buffer::Buffer;

use crate::app::{Fate, Layout, State, fate};
use crate::table::{Unit, quantity};

use super::paint::{Pen, cut};
use super::theme::{Role, Theme};

/// Below this many per cent the table may be another than the one read.
const SURE: f64 = 75.0;

/// Draws it where the layout has a row for it.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let (Some(y), Some(fate)) = (layout.tool, fate(state)) else { return };
    let mut pen = Pen::new(buf, look, 0, y, buf.area.width);
    pen.put(" ", Role::Dim);
    let dot = look.pick(" · ", " | ");
    for (i, (text, role)) in words(&fate).iter().enumerate() {
        if i > 0 {
            pen.put(dot, Role::Dim);
        }
        let room = usize::from(pen.room());
        pen.put(&cut(text, room, look.pick("…", "~")), *role);
    }
}

/// What is said, the most pressing first.
fn words(fate: &Fate<'_>) -> Vec<(String, Role)> {
    let mut out: Vec<(String, Role)> = Vec::new();
    let state = fate.text("state").unwrap_or("unknown");
    let exit = fate.number("exit");
    let failed = exit.is_some_and(|e| e != 0.0);
    let role = match state {
        "running" => Role::Good,
        "failed" => Role::Bad,
        "backoff" => Role::Warn,
        "ended" if failed => Role::Warn,
        _ => Role::Dim,
    };
    out.push((state.to_owned(), role));
    if let Some(exit) = exit {
        out.push((format!("exit {exit:.0}"), if failed { Role::Warn } else { Role::Dim }));
    }
    let counted = |id: &str, one: &str, many: &str| {
        fate.count(id).map(|n| format!("{} {}", count(n), if n == 1.0 { one } else { many }))
    };
    let bad = counted("dropped", "row dropped", "rows dropped");
    out.extend(bad.map(|text| (text, Role::Bad)));
    let skipped = counted("skipped", "block skipped", "blocks skipped");
    out.extend(skipped.map(|text| (text, Role::Warn)));
    let error = fate.text("last_error").map(|e| (e.to_owned(), complaint(state, failed)));
    // Why it does not run goes before how it was read; on a narrow screen little more fits.
    let (first, last) = if state == "running" { (None, error) } else { (error, None) };
    out.extend(first);
    let restarts = counted("restarts", "restart", "restarts");
    out.extend(restarts.map(|text| (text, Role::Warn)));
    if let Some(how) = fate.text("how") {
        let sure = fate.number("sure");
        let role = if sure.is_some_and(|s| s < SURE) { Role::Warn } else { Role::Dim };
        let sure = sure.map_or_else(String::new, |s| format!(", {s:.0} %"));
        out.push((format!("{how}{sure}"), role));
    }
    out.extend(counted("rows", "row", "rows").map(|text| (text, Role::Dim)));
    // Banners are no failure; what they were is in the pane Text.
    let noise = counted("noise", "line is no row", "lines are no rows");
    out.extend(noise.map(|text| (text, Role::Text)));
    out.extend(last);
    out
}

/// What a tool says on standard error while all is well is no failure.
fn complaint(state: &str, failed: bool) -> Role {
    if state == "failed" || failed { Role::Bad } else { Role::Warn }
}

fn count(n: f64) -> String {
    let mut out = String::new();
    quantity::number(&mut out, n, Unit::None, quantity::Style::default());
    out
}
