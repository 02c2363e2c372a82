//! A flame graph as an SVG picture that a browser opens: frames are found, zoomed and told with
//! their numbers inside it.
//!
//! It is drawn by inferno, a library under the CDDL-1.0 that is used unmodified. Colours tell the
//! class of the code, as on screen; a picture of the same rows is always the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use inferno::flamegraph::color::{BackgroundColor, Color, Palette, PaletteMap};
use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};
use jiff::tz::TimeZone;

use super::folded::{frame, whole};
use super::tally::{Span, Stack, Tally};
use super::{Export, Layout, Sheet};
use crate::table::stack::{Class, calls};
use crate::table::{Schema, Unit, clock};

/// Frames narrower than this share of the picture are left out, per cent.
const NARROWEST: f64 = 0.05;

/// Draws the picture when all samples are there.
pub struct Svg<W> {
    out: W,
    tally: Tally,
    title: String,
    unit: Unit,
    counted: String,
    zone: TimeZone,
}

impl<W: Write> Svg<W> {
    /// Takes the same columns as folded text.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(out: W, schema: &Schema, fields: &[usize], layout: Layout) -> Result<Svg<W>> {
        let tally = Tally::new(schema, fields, "a flame graph")?;
        let value = tally.value().map(|f| &schema.fields()[f]);
        Ok(Svg {
            out,
            title: title(schema.table()),
            unit: value.map_or(Unit::None, |f| f.unit),
            counted: value.map_or_else(|| "rows".to_owned(), |f| f.title.to_lowercase()),
            zone: layout.zone.unwrap_or(TimeZone::UTC),
            tally,
        })
    }
}

impl<W: Write> Export for Svg<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        self.tally.add(sheet);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        let mut palette = PaletteMap::default();
        for (stack, sum) in self.tally.sorted() {
            let all = lines.entry(line(stack, &mut palette)).or_default();
            *all = all.saturating_add(sum);
        }
        let total = lines.values().fold(0u64, |all, n| all.saturating_add(*n));
        let lines: Vec<String> = lines.into_iter().map(|(l, n)| format!("{l} {n}")).collect();
        let scale = Scale::of(self.unit, total, &self.counted);
        let mut options = options(self.title.clone(), &mut palette, &scale);
        options.subtitle = Some(when(&self.tally.span, &self.zone));
        draw(&mut options, &lines, &mut self.out)
    }
}

/// What a table's stacks show.
pub(super) fn title(table: &str) -> String {
    match table {
        "oncpu" => "On-CPU time".to_owned(),
        "offcpu" => "Off-CPU time".to_owned(),
        "heap" => "Memory allocated".to_owned(),
        "io" => "Input and output".to_owned(),
        other => legible(other).into_owned(),
    }
}

/// From when to when, and how long where that is known.
fn when(span: &Span, zone: &TimeZone) -> String {
    let Some((_, last)) = span.ends else { return "nothing was measured".to_owned() };
    let end = clock::date_and_clock(last, zone);
    match span.whole {
        true => format!("{} s until {end}", span.covered_ns.div_ceil(100_000_000) as f64 / 10.0),
        false => format!("until {end}"),
    }
}

/// How numbers are written: inferno writes whole ones only.
pub(super) struct Scale {
    pub factor: f64,
    pub name: String,
}

impl Scale {
    /// Fine enough for small frames, short enough to be read.
    pub fn of(unit: Unit, total: u64, counted: &str) -> Scale {
        let (factor, name) = match (unit, total) {
            (Unit::Ns, 0..10_000_000) => (1.0, "ns"),
            (Unit::Ns, 10_000_000..10_000_000_000) => (1e-3, "us"),
            (Unit::Ns, _) => (1e-6, "ms"),
            (Unit::Bytes, 0..10_485_760) => (1.0, "bytes"),
            (Unit::Bytes, 10_485_760..10_737_418_240) => (1.0 / 1024.0, "KiB"),
            (Unit::Bytes, _) => (1.0 / 1_048_576.0, "MiB"),
            (Unit::Us, _) => (1.0, "us"),
            (Unit::Ms, _) => (1.0, "ms"),
            (Unit::Seconds, _) => (1.0, "s"),
            _ => (1.0, counted),
        };
        Scale { factor, name: legible(name).into_owned() }
    }
}

/// The picture's settings that are always the same.
pub(super) fn options<'a>(
    title: String,
    palette: &'a mut PaletteMap,
    scale: &Scale,
) -> Options<'a> {
    let mut options = Options::default();
    options.title = title;
    options.count_name = scale.name.clone();
    options.factor = scale.factor;
    options.min_width = NARROWEST;
    options.palette_map = Some(palette);
    options.deterministic = true;
    options.colors = Palette::default();
    options.bgcolors = Some(BackgroundColor::Grey);
    options.text_truncate_direction = TextTruncateDirection::Right;
    options
}

/// Draws the lines, or a picture that says there are none.
pub(super) fn draw<W: Write>(
    options: &mut Options<'_>,
    lines: &[String],
    out: &mut W,
) -> Result<()> {
    let lines = lines.iter().map(String::as_str);
    let mut picture = Vec::new();
    match from_lines(options, lines, &mut picture) {
        // It says so in the picture, too.
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData && !picture.is_empty() => {}
        told => told.context("cannot draw the flame graph")?,
    }
    out.write_all(&picture)?;
    Ok(out.flush()?)
}

/// A stack as inferno reads it; each frame's colour is put into `palette`.
pub(super) fn line(stack: &Stack, palette: &mut PaletteMap) -> String {
    let mut line = String::new();
    if let Some(root) = &stack.root {
        let root = frame(&legible(root));
        palette.insert(&root, tint(ROOT, &root));
        line.push_str(&root);
    }
    for call in calls(&stack.names, &stack.modules) {
        if !line.is_empty() {
            line.push(';');
        }
        let class = call.class();
        let name = format!("{}{}", legible(call.name), mark(class));
        palette.insert(&name, tint(colour(class), call.name));
        line.push_str(&name);
    }
    whole(line)
}

/// Without the two characters that XML has no way to write.
fn legible(text: &str) -> Cow<'_, str> {
    match text.contains(['\u{fffe}', '\u{ffff}']) {
        true => text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}").into(),
        false => text.into(),
    }
}

/// The ending by which flame graph tools know a frame's class; inferno does not show it.
fn mark(class: Class) -> &'static str {
    match class {
        Class::Kernel => "_[k]",
        Class::Jit => "_[j]",
        Class::Inlined => "_[i]",
        Class::Library | Class::Application | Class::Unknown => "",
    }
}

/// Threads.
const ROOT: Color = Color { r: 190, g: 190, b: 196 };

fn colour(class: Class) -> Color {
    let (r, g, b) = match class {
        Class::Kernel => (235, 145, 65),
        Class::Library => (220, 190, 75),
        Class::Application => (225, 100, 90),
        Class::Jit => (105, 190, 100),
        Class::Inlined => (95, 185, 195),
        Class::Unknown => (200, 200, 200),
    };
    Color { r, g, b }
}

/// Neighbours of one class differ a little, the same name never.
fn tint(of: Color, name: &str) -> Color {
    // FNV-1a: a picture of the same rows is the same on every machine and day.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let by = u8::try_from((hash >> 32) % 20).unwrap_or_default();
    Color { r: of.r.saturating_add(by), g: of.g.saturating_add(by), b: of.b.saturating_add(by) }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{StackRow, stacks};
    use super::*;

    fn svg(rows: &[&[StackRow]]) -> String {
        String::from_utf8(stacks(Format::Svg, "oncpu", rows, &[])).unwrap()
    }

    #[test]
    fn a_picture_says_what_how_much_and_when() {
        let a = StackRow {
            modules: "a.out;[kernel]",
            ..StackRow::new("sh", "main;vfs_read", 30_000_000)
        };
        let b = StackRow { modules: "a.out", ..StackRow::new("sh", "main", 10_000_000) };
        let picture = svg(&[std::slice::from_ref(&a), std::slice::from_ref(&b)]);
        assert!(picture.starts_with("<?xml") && picture.trim_end().ends_with("</svg>"));
        for told in [
            "On-CPU time",
            "<title>vfs_read (30,000 us, 75.00%)</title>",
            "<title>main (40,000 us, 100.00%)</title>",
            "<title>all (40,000 us, 100%)</title>",
            "until 2026-11-21 12:00:01",
        ] {
            assert!(picture.contains(told), "{told}");
        }
        let colours = ["vfs_read_[k]", "main"].map(|name| {
            let class = if name == "main" { Class::Application } else { Class::Kernel };
            tint(colour(class), name.trim_end_matches("_[k]"))
        });
        for c in colours {
            assert!(picture.contains(&format!("rgb({},{},{})", c.r, c.g, c.b)), "{c}");
        }
        assert_eq!(picture, svg(&[&[a], &[b]]), "always the same");
    }

    #[test]
    fn hostile_names_stay_text() {
        let row = StackRow {
            modules: "\"><script>",
            ..StackRow::new(
                "</title><script>alert(1)</script>",
                "\"><img src=x onerror=alert(2)>;]]>&lt;\u{fffe};-->;;_[k] 7",
                5,
            )
        };
        let picture = svg(&[&[row]]);
        assert!(!picture.contains("<script>alert") && !picture.contains("<img"));
        assert!(picture.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(picture.contains("]]&gt;&amp;lt") && picture.contains('\u{fffd}'));
        assert!(!picture.contains('\u{fffe}'));
        let picture = svg(&[&[StackRow::new("a", "f 7 8", 5)]]);
        assert!(picture.contains("<title>f 7_8 (5 ns, 100.00%)</title>"), "{picture}");
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(svg(&[&[]]).contains("No valid input"));
        assert!(svg(&[]).trim_end().ends_with("</svg>"));
    }

    #[test]
    fn numbers_are_short_and_never_rounded_to_nothing() {
        let scale = |unit, total| Scale::of(unit, total, "count").name;
        assert_eq!(scale(Unit::Ns, 9_999_999), "ns");
        assert_eq!(scale(Unit::Ns, 9_999_999_999), "us");
        assert_eq!(scale(Unit::Ns, u64::MAX), "ms");
        assert_eq!(scale(Unit::Bytes, 10 << 20), "KiB");
        assert_eq!(scale(Unit::None, 5), "count");
    }
}
