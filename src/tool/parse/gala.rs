//! `|table|v1|v2|` lines of gala-gopher's probes, and the meta files that name their columns.

use super::{Aside, Cell, Form, GalaTable, Heading, Mode, Sink, Title};

/// Most tables of one output that no meta file names.
const TABLES: usize = 256;
/// Deepest nesting of a meta file.
const DEPTH: usize = 16;

/// How much these lines look like gala's.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let written: Vec<&&str> = lines.iter().filter(|l| !l.trim().is_empty()).collect();
    let fitting = written.iter().filter(|l| record(l).is_some()).count();
    if written.is_empty() { 0.0 } else { 0.9 * fitting as f32 / written.len() as f32 }
}

/// The table and the values of a line.
fn record(line: &str) -> Option<(&str, std::str::Split<'_, char>)> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let (name, values) = inner.split_once('|')?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(named);
    fits.then(|| (name, values.split('|')))
}

/// Reads `|table|v1|v2|` lines.
#[derive(Debug)]
pub(super) struct Gala {
    tables: Vec<GalaTable>,
    /// Whether the heading was given.
    headed: Vec<bool>,
    /// The tables are those of a meta file.
    meta: bool,
}

impl Gala {
    /// With the tables of a meta file, or none.
    pub(super) fn new(tables: &[GalaTable]) -> Gala {
        Gala {
            meta: !tables.is_empty(),
            headed: vec![false; tables.len()],
            tables: tables.to_vec(),
        }
    }

    /// The table of this name; without a meta file one of as many columns as there are values.
    fn table(&mut self, name: &str, values: usize) -> Option<usize> {
        let fits = |t: &GalaTable| t.name == name && (self.meta || t.titles.len() == values);
        if let Some(table) = self.tables.iter().position(fits) {
            return Some(table);
        }
        if self.meta || self.tables.len() >= TABLES {
            return None;
        }
        let title = |i| Title { text: format!("col{i}"), ..Title::default() };
        let titles = (1..=values).map(title).collect();
        self.tables.push(GalaTable { name: name.to_owned(), titles, key: Vec::new() });
        self.headed.push(false);
        Some(self.tables.len() - 1)
    }

    fn head(&mut self, table: usize, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.headed[table], true) {
            return;
        }
        let found = &self.tables[table];
        sink.heading(&Heading {
            table,
            label: found.name.clone(),
            titles: found.titles.clone(),
            mode: if found.key.is_empty() { Mode::Append } else { Mode::Replace },
            key: found.key.clone(),
            time: None,
            how: "gala",
            sure: if self.meta { 1.0 } else { 0.8 },
        });
    }
}

impl Form for Gala {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        let Some((name, values)) = record(line) else {
            if !line.trim().is_empty() {
                sink.aside(Aside::Noise, line);
            }
            return;
        };
        let cell = |v: &str| v.trim().len();
        let mut cells: Vec<Cell<'_>> = values
            .map(|v| if cell(v) == 0 { Cell::Missing } else { Cell::Raw(v.trim()) })
            .collect();
        let Some(table) = self.table(name, cells.len()) else {
            return sink.aside(Aside::Noise, line);
        };
        let width = self.tables[table].titles.len();
        if cells.len() > width {
            return sink.aside(Aside::Noise, line);
        }
        cells.resize(width, Cell::Missing);
        self.head(table, sink);
        sink.row(table, &cells);
    }

    fn quiet(&mut self, _: &mut dyn Sink) {}

    fn finish(&mut self, _: &mut dyn Sink) {}
}

/// Reads a meta file (libconfig's syntax): the tables of its `measurements`.
///
/// # Errors
/// One sentence with the line at which it is not understood.
pub fn parse_meta(text: &str) -> Result<Vec<GalaTable>, String> {
    let mut reader = Reader { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0 };
    let settings = reader.settings(None, 0)?;
    let Some(Setting::List(measurements)) = get(&settings, "measurements") else {
        return Err(
            "the meta file has no list \"measurements\"; write one table a group in it".to_owned()
        );
    };
    let tables: Vec<GalaTable> = measurements.iter().map(table).collect::<Result<_, _>>()?;
    if tables.is_empty() {
        return Err(
            "the meta file names no table; write at least one group in \"measurements\"".to_owned()
        );
    }
    Ok(tables)
}

fn table(measurement: &Setting) -> Result<GalaTable, String> {
    let Setting::Group(settings) = measurement else {
        return Err(
            "an entry of \"measurements\" is no group; write { table_name: ..., fields: (...) }"
                .to_owned(),
        );
    };
    let Some(Setting::Text(name)) = get(settings, "table_name") else {
        return Err(
            "a group of \"measurements\" has no table_name; write table_name: \"...\"".to_owned()
        );
    };
    let Some(Setting::List(fields)) = get(settings, "fields") else {
        return Err(format!(
            "the table {name} has no fields; write fields: ({{ type: ..., name: ... }})"
        ));
    };
    let mut table = GalaTable { name: name.clone(), ..GalaTable::default() };
    for field in fields {
        let Setting::Group(field) = field else {
            return Err(format!(
                "a field of the table {name} is no group; write {{ type: ..., name: ... }}"
            ));
        };
        let Some(Setting::Text(column)) = get(field, "name") else {
            return Err(format!("a field of the table {name} has no name; write name: \"...\""));
        };
        let text = |key| match get(field, key) {
            Some(Setting::Text(text)) => text.as_str(),
            _ => "",
        };
        let kind = text("type");
        if matches!(kind, "key" | "label") {
            table.key.push(table.titles.len());
        }
        table.titles.push(Title {
            text: super::title::vacant(&table.titles, column.clone()),
            unit: unit(text("description")),
            kind: ["key", "label", "gauge", "counter"].into_iter().find(|k| *k == kind),
            text_only: matches!(kind, "histogram" | "summary"),
        });
    }
    Ok(table)
}

/// The unit at the end of a description: `Smoothed Round Trip Time(us).`
fn unit(description: &str) -> Option<String> {
    let inner = description.trim_end_matches(['.', ' ']).strip_suffix(')')?;
    let unit = inner.rsplit_once('(')?.1.trim();
    matches!(
        unit,
        "ns" | "us" | "ms" | "s" | "B" | "bytes" | "KB" | "kB" | "MB" | "GB" | "%" | "jiffies"
    )
    .then(|| unit.to_owned())
}

/// A value of libconfig; numbers and booleans are kept as text.
#[derive(Debug)]
enum Setting {
    Text(String),
    List(Vec<Setting>),
    Group(Vec<(String, Setting)>),
}

fn get<'s>(settings: &'s [(String, Setting)], name: &str) -> Option<&'s Setting> {
    settings.iter().find(|(n, _)| n == name).map(|(_, s)| s)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, want: &str) -> String {
        let line = 1 + self.text[..self.at].matches('\n').count();
        let found = match self.rest().chars().next() {
            Some(c) => format!("\"{}\"", c.escape_default()),
            None => "the end".to_owned(),
        };
        format!("line {line} of the meta file: expected {want}, found {found}")
    }

    /// Goes over blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            let rest = &rest[blank..];
            let comment = if rest.starts_with('#') || rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                0
            };
            self.at += blank + comment;
            if comment == 0 {
                return;
            }
        }
    }

    /// Takes one of these characters, if it is next.
    fn take(&mut self, any: &[char]) -> Option<char> {
        self.skip();
        let c = self.rest().chars().next().filter(|c| any.contains(c))?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// `name = value` up to `end`, or to the end of the file.
    fn settings(
        &mut self,
        end: Option<char>,
        depth: usize,
    ) -> Result<Vec<(String, Setting)>, String> {
        let mut found = Vec::new();
        loop {
            while self.take(&[',', ';']).is_some() {}
            self.skip();
            match end {
                None if self.rest().is_empty() => return Ok(found),
                Some(c) if self.take(&[c]).is_some() => return Ok(found),
                _ => {}
            }
            let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*');
            let len = self.rest().find(|c: char| !name(c)).unwrap_or(self.rest().len());
            if len == 0 {
                return Err(self.wrong("a name"));
            }
            let key = self.rest()[..len].to_owned();
            self.at += len;
            if self.take(&[':', '=']).is_none() {
                return Err(self.wrong("\":\" or \"=\""));
            }
            found.push((key, self.value(depth)?));
        }
    }

    fn value(&mut self, depth: usize) -> Result<Setting, String> {
        if depth > DEPTH {
            return Err(self.wrong("less nesting"));
        }
        match self.take(&['"', '{', '(', '[']) {
            Some('"') => self.string(),
            Some('{') => Ok(Setting::Group(self.settings(Some('}'), depth + 1)?)),
            Some(open) => {
                let close = if open == '(' { ')' } else { ']' };
                let mut items = Vec::new();
                loop {
                    while self.take(&[',']).is_some() {}
                    if self.take(&[close]).is_some() {
                        return Ok(Setting::List(items));
                    }
                    items.push(self.value(depth + 1)?);
                }
            }
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
                let len = self.rest().find(|c: char| !word(c)).unwrap_or(self.rest().len());
                if len == 0 {
                    return Err(self.wrong("a value"));
                }
                let text = self.rest()[..len].to_owned();
                self.at += len;
                Ok(Setting::Text(text))
            }
        }
    }

    /// The string whose first quote was taken; strings beside each other are one.
    fn string(&mut self) -> Result<Setting, String> {
        let mut text = String::new();
        loop {
            let mut chars = self.text[self.at..].char_indices();
            loop {
                match chars.next() {
                    None => return Err(self.wrong("the end of this string")),
                    Some((i, '"')) => {
                        self.at += i + 1;
                        break;
                    }
                    Some((_, '\\')) => match chars.next() {
                        Some((_, 'n')) => text.push('\n'),
                        Some((_, 't')) => text.push('\t'),
                        Some((_, c)) => text.push(c),
                        None => return Err(self.wrong("the end of this string")),
                    },
                    Some((_, c)) => text.push(c),
                }
            }
            if self.take(&['"']).is_none() {
                return Ok(Setting::Text(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::trail;

    const META: &str = r#"
        version = "1.0.0"   # of the format
        measurements:
        (
            { table_name: "link", entity_name: "link",
              fields: (
                { description: "process", type: "key", name: "tgid", },
                { description: "address", type: "label", name: "ip", },
                { description: "time to answer(us).", type: "gauge", name: "rtt" },
                { description: "sent" " bytes", type: "counter", name: "tx" } ) },
            /* another */
            { table_name: "lat"; fields: ( { name: "h"; type: "histogram"; } ) }
        )
    "#;

    #[test]
    fn a_meta_file() {
        let tables = parse_meta(META).unwrap();
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].name, "link");
        assert_eq!(tables[0].key, [0, 1]);
        let rtt = &tables[0].titles[2];
        assert_eq!(
            (rtt.text.as_str(), rtt.unit.as_deref(), rtt.kind),
            ("rtt", Some("us"), Some("gauge"))
        );
        assert!(tables[1].titles[0].text_only);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, want) in [
            ("", "no list"),
            ("a = ", "line 1 of the meta file: expected a value, found the end"),
            ("\n\nmeasurements: ( { x } )", "line 3 of the meta file: expected \":\" or \"=\""),
            ("measurements: ()", "names no table"),
            ("measurements: ( { table_name: \"t\" } )", "the table t has no fields"),
            ("measurements: ( 5 )", "is no group"),
            (
                "measurements: ( { table_name: \"t\", fields: ( { type: \"key\" } ) } )",
                "has no name",
            ),
            ("a: \"open", "the end of this string"),
            ("?", "expected a name, found \"?\""),
        ] {
            let said = parse_meta(text).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
        assert!(parse_meta(&format!("a: {}", "(".repeat(100_000))).is_err());
    }

    #[test]
    fn lines_with_and_without_the_meta_file() {
        let text = "|link|12|10.0.0.1|5||\nstarting\n|lat|x|\n|link|13|10.0.0.2|6|7|\n|other|1|\n|link|1|2|3|4|5|\n";
        assert_eq!(
            trail(&mut Gala::new(&parse_meta(META).unwrap()), text),
            [
                "#0 link replace tgid|ip|rtt|tx",
                "0: 12|10.0.0.1|5|-",
                "Noise starting",
                "#1 lat append h",
                "1: x",
                "0: 13|10.0.0.2|6|7",
                "Noise |other|1|",
                "Noise |link|1|2|3|4|5|",
            ]
        );
        assert_eq!(
            trail(&mut Gala::new(&[]), "|a|1|2|\n|b|3|\n|a|4||\n"),
            ["#0 a append col1|col2", "0: 1|2", "#1 b append col1", "1: 3", "0: 4|-"]
        );
        assert!(likeness(&["|a|1|2|", "|b|3|"]) > 0.6);
        assert!(likeness(&["| a | b |", "|---|---|"]) < 0.5);
    }
}
