//! A range of a recording as one HTML page: pictures over time, tables and flame graphs, with all
//! that it needs inside it. It loads nothing, and says so to the browser.
//!
//! Pure: text out. Everything recorded is untrusted and stays text (see [`escape`]); what was lost,
//! left out or never seen is said where it is missed.

mod course;
mod escape;
mod flame;
mod grid;
mod log;
mod picks;
mod rows;
mod span;

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use self::course::{Courses, Numbers};
use self::escape::{escaped, json};
use self::flame::{Drawn, Flame};
use self::grid::Grid;
use self::log::Log;
use self::rows::Rows;
use super::Sheet;
use crate::table::clock::date_and_clock;
use crate::table::quantity::{Style, number};
use crate::table::{Nature, Schema, Unit};

pub use span::Span;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Gaps that are listed.
const GAPS: usize = 20;
/// Marks that are listed and drawn, the oldest.
const MARKS: usize = 200;

/// Whose recording it is and what is known about it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The session's name.
    pub session: String,
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// Version that recorded, and version that made the page.
    pub versions: [String; 2],
    /// What was lost or salvaged, one sentence each.
    pub notes: Vec<String>,
    /// Instants that somebody marked (Unix ns) and what they noted.
    pub marks: Vec<(i64, String)>,
}

/// A table on its way onto the page.
#[derive(Debug)]
pub struct Part {
    table: String,
    kind: Made,
}

#[derive(Debug)]
enum Made {
    Courses(Courses),
    Flames(Vec<Flame>),
    Rows(Rows),
    Log(Log),
}

impl Part {
    /// What becomes of this table.
    ///
    /// # Errors
    /// When a table of stacks has none.
    pub fn new(schema: &Arc<Schema>, span: &Span) -> Result<Part> {
        let kind = if schema.table() == "host" && !schema.found() {
            Made::Courses(Courses::new(span))
        } else if schema.has_stacks() {
            Made::Flames(Flame::of(schema)?)
        } else if schema.nature() == Nature::Event {
            Made::Log(Log::new(schema, span.zone()))
        } else {
            Made::Rows(Rows::new(schema))
        };
        Ok(Part { table: schema.table().to_owned(), kind })
    }

    /// Adds a sample, in the order they were taken.
    pub fn add(&mut self, sheet: &Sheet<'_>, span: &Span) {
        match &mut self.kind {
            Made::Courses(courses) => courses.add(sheet, span),
            Made::Flames(flames) => flames.iter_mut().for_each(|f| f.add(sheet)),
            Made::Rows(rows) => rows.add(sheet),
            Made::Log(log) => log.add(sheet),
        }
    }
}

/// What the script reads.
#[derive(Serialize)]
struct Data<'a> {
    from: f64,
    to: f64,
    /// Local time less UTC, ms.
    zone: i64,
    charts: Vec<Numbers>,
    flames: &'a [Drawn],
}

/// The page.
///
/// # Errors
/// When its data cannot be written as JSON.
pub fn page(about: &About, span: &Span, mut parts: Vec<Part>) -> Result<String> {
    parts.sort_by_key(|p| picks::rank(&p.table));
    let sign = |(at, note): &(i64, String)| {
        let words = ["mark", note.as_str()].into_iter().filter(|w| !w.is_empty());
        (*at, words.collect::<Vec<_>>().join(": "))
    };
    let mut signs: Vec<(i64, String)> = about.marks.iter().take(MARKS).map(sign).collect();
    let (mut grids, mut pictures, mut flames) = (Vec::new(), String::new(), Vec::new());
    for part in &parts {
        match &part.kind {
            Made::Log(log) => {
                if matches!(part.table.as_str(), "trigger" | "mark") {
                    signs.extend(log.signs());
                }
                grids.extend(log.grid());
            }
            Made::Rows(rows) => grids.extend(rows.grid()),
            Made::Flames(list) => flames.extend(list.iter().filter_map(|f| f.draw(&mut pictures))),
            Made::Courses(_) => {}
        }
    }
    let mut charts = (String::new(), Vec::new());
    for part in &parts {
        if let Made::Courses(courses) = &part.kind {
            charts.1.extend(courses.draw(&mut charts.0, span, &signs));
        }
    }
    let mut out = String::with_capacity(1 << 20);
    head(&mut out, about, span);
    contents(&mut out, &charts.0, &grids, &flames);
    out.push_str("<main>\n");
    if !charts.0.is_empty() {
        let _ = write!(
            out,
            "<section id=\"overview\"><h2>Overview</h2>\n<p class=\"note\">Lines are the mean of \
             each step, the pale ones the highest sample in it; grey is a time without samples.</p>\n\
             <div class=\"charts\">\n{}</div></section>\n",
            charts.0
        );
    }
    let (first, later): (Vec<&Grid>, Vec<&Grid>) =
        grids.iter().partition(|g| matches!(g.id.as_str(), "probe" | "mark" | "trigger"));
    first.iter().for_each(|g| g.draw(&mut out));
    out.push_str(&pictures);
    later.iter().for_each(|g| g.draw(&mut out));
    let zone = jiff::Timestamp::from_nanosecond(i128::from(span.from))
        .map_or(0, |t| i64::from(span.zone().to_offset(t).seconds()) * 1000);
    let data = Data {
        from: span.from as f64 / 1e6,
        to: span.to as f64 / 1e6,
        zone,
        charts: charts.1,
        flames: &flames,
    };
    let _ = write!(
        out,
        "</main>\n<noscript><p class=\"note\">Sorting, filters, values under the pointer and flame \
         graphs need scripts, which are off.</p></noscript>\n<script type=\"application/json\" \
         id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body></html>\n",
        json(&data)?
    );
    Ok(out)
}

/// The beginning: what it is about, and what is missing.
fn head(out: &mut String, about: &About, span: &Span) {
    let zone = span.zone();
    let [from, to] = [span.from, span.to].map(|t| date_and_clock(t, &zone));
    let host = escaped(&about.host);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action \
         'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{host} {from}: lmptop \
         report</title>\n<style>{STYLE}</style></head>\n<body><header><h1>{host}</h1>\n\
         <p class=\"when\">{from} to {to}</p>\n<dl>",
        host = if host.is_empty() { "unknown host" } else { &host },
        from = escaped(&from),
        to = escaped(&to)
    );
    let mut length = String::new();
    number(&mut length, span.to.saturating_sub(span.from) as f64, Unit::Ns, Style::default());
    let facts = [
        ("Length", length),
        ("Samples", span.samples.to_string()),
        ("Kernel", about.kernel.clone()),
        ("Session", about.session.clone()),
        ("Recorded by lmptop", about.versions[0].clone()),
        ("Page made by lmptop", about.versions[1].clone()),
    ];
    for (name, value) in facts.iter().filter(|(_, v)| !v.is_empty()) {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(value));
    }
    out.push_str("</dl>\n");
    let mut said: Vec<String> = about.notes.clone();
    for (a, b) in span.gaps.iter().take(GAPS) {
        let mut long = String::new();
        number(&mut long, b.saturating_sub(*a) as f64, Unit::Ns, Style::default());
        let at = date_and_clock(*a, &zone);
        said.push(format!("no samples for {long} after {at}"));
    }
    if span.gaps.len() > GAPS {
        said.push(format!("{} more gaps", span.gaps.len() - GAPS));
    }
    if !said.is_empty() {
        out.push_str("<div class=\"lost\"><h2>What is missing</h2><ul>");
        for line in &said {
            let _ = write!(out, "<li>{}</li>", escaped(line));
        }
        out.push_str("</ul></div>\n");
    }
    if !about.marks.is_empty() {
        out.push_str("<div class=\"marks\"><h2>Marks</h2><ul>");
        for (at, note) in about.marks.iter().take(MARKS) {
            let at = escaped(&date_and_clock(*at, &zone));
            let _ = write!(out, "<li><b>{at}</b> {}</li>", escaped(note));
        }
        if about.marks.len() > MARKS {
            let more = about.marks.len() - MARKS;
            let noun = if more == 1 { "mark" } else { "marks" };
            let _ = write!(out, "<li>{more} more {noun}</li>");
        }
        out.push_str("</ul></div>\n");
    }
    out.push_str("</header>\n");
}

/// Links to what is on the page.
fn contents(out: &mut String, charts: &str, grids: &[Grid], flames: &[Drawn]) {
    out.push_str("<nav>");
    if !charts.is_empty() {
        out.push_str("<a href=\"#overview\">Overview</a>");
    }
    let early = |g: &&Grid| matches!(g.id.as_str(), "probe" | "mark" | "trigger");
    let link = |out: &mut String, kind: &str, id: &str, title: &str| {
        let _ = write!(out, "<a href=\"#{kind}-{}\">{}</a>", escaped(id), escaped(title));
    };
    grids.iter().filter(early).for_each(|g| link(out, "t", &g.id, &g.title));
    flames.iter().for_each(|f| link(out, "f", &f.id, &f.title));
    grids.iter().filter(|g| !early(g)).for_each(|g| link(out, "t", &g.id, &g.title));
    out.push_str("</nav>\n");
}
