//! The line that says which two times are compared, and what the numbers are.

use ratatui::buffer::Buffer;

use crate::app::{Layout, State, Taken};
use crate::table::clock;

use super::paint::{Pen, cells, cut};
use super::theme::{Role, Theme};

/// From so many ns between A and B on their day is told.
const DAY: i64 = 43_200_000_000_000;

/// Draws the line, while something is compared.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let Some(y) = layout.sides else { return };
    let width = buf.area.width;
    let table = &state.view().pane.table;
    let [a, b] = state.compare.taken(table);
    let mut pen = Pen::new(buf, look, 0, y, width);
    let wrong = |side: &Option<Result<Taken, &str>>| {
        side.as_ref().and_then(|s| s.as_ref().err()).map(|e| (*e).to_owned())
    };
    if let Some(why) = wrong(&a).or_else(|| wrong(&b)) {
        let text = cut(&format!("Not compared: {why}"), usize::from(width), look.pick("…", "~"));
        pen.put(&text, Role::Bad);
        return;
    }
    let known = |side: Option<Result<Taken, &str>>| side.and_then(Result::ok);
    let (a, b) = (known(a), known(b));
    let far = match (&a, &b) {
        (Some(a), Some(b)) => a.of.to.abs_diff(b.of.to) > DAY.unsigned_abs(),
        _ => false,
    };
    let sides = [("A ", a.as_ref()), ("B ", b.as_ref())];
    let ranges = sides.iter().any(|(_, s)| s.is_some_and(|s| !s.of.is_instant()));
    let written = |how: How| {
        sides.map(|(name, side)| {
            let text = side.map(|s| time(state, s, far, how));
            (name, text.unwrap_or_else(|| "reading ...".to_owned()))
        })
    };
    // What the numbers are must have room behind it.
    let room = |sides: &[(&str, String); 2]| {
        let cells = |(name, text): &(&str, String)| name.len() + cells(text) + 2;
        sides.iter().map(cells).sum::<usize>() + if ranges { "means".len() } else { 0 }
    };
    let fits = |texts: &[(&str, String); 2]| room(texts) <= usize::from(width);
    let forms = [How::Full, How::Ends, How::Length];
    let texts = forms.map(written).into_iter().find(fits);
    let texts = texts.unwrap_or_else(|| written(How::Length));
    for (name, text) in &texts {
        let role = if text.starts_with("nothing") { Role::Warn } else { Role::Accent };
        pen.put(name, Role::Key).put(text, role).skip(2);
    }
    let what = match (state.compare.reading(table), ranges) {
        (true, _) => "reading ...",
        (_, true) => "means: rates by the second, levels of the samples; +/- is B less A",
        _ => "one sample each; +/- is B less A",
    };
    let fits = |text: &str| cells(text) <= usize::from(pen.room());
    let short = if ranges { "means by the second; +/- is B less A" } else { "" };
    let least = if ranges { "means" } else { "" };
    if let Some(text) = [what, short, least].into_iter().find(|t| fits(t)) {
        pen.put(text, Role::Dim);
    }
}

/// How much is said of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Its ends, how long, how many samples.
    Full,
    /// Its ends.
    Ends,
    /// Its end and how long.
    Length,
}

/// The time of a side: what there is of what was asked for.
fn time(state: &State, side: &Taken, far: bool, how: How) -> String {
    let write = if far { clock::date_and_clock } else { clock::clock };
    let Some((from, to)) = side.span else {
        return format!("nothing at {}", write(side.of.to, &state.zone));
    };
    let end = write(to, &state.zone);
    if side.of.is_instant() {
        return end;
    }
    let seconds = (to.saturating_sub(from) + 500_000_000) / 1_000_000_000;
    let from = write(from, &state.zone);
    match how {
        How::Full => {
            let noun = if side.samples == 1 { "sample" } else { "samples" };
            format!("{from} to {end} ({seconds} s, {} {noun})", side.samples)
        }
        How::Ends => format!("{from} to {end}"),
        How::Length => format!("{end} -{seconds}s"),
    }
}
