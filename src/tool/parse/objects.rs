//! JSON values as rows: objects of one place in the documents are one table.

use std::collections::HashMap;

use super::tree::{self, Block};
use super::union::Union;
use super::value::{Broken, Json, mended};
use super::{Aside, Cell, Mode, Sink};

/// The tables found so far.
#[derive(Debug, Default)]
pub(super) struct Tables {
    unions: Vec<Union>,
    labels: HashMap<String, usize>,
    /// Where the main array stood in the document before.
    path: Option<Vec<String>>,
    /// What is read is a part of an array: no block ends with it.
    pub(super) parts: bool,
    /// Elements of an array come over time: they add up.
    pub(super) stream: bool,
    name: String,
    texts: Vec<String>,
}

impl Tables {
    /// Reads a text; false if it is no JSON or has no table.
    pub(super) fn document(&mut self, text: &str, one_line: bool, sink: &mut dyn Sink) -> bool {
        match Json::read(text) {
            Ok(root) => self.root(&root, one_line, sink),
            Err(Broken::Wrong) => match mended(text) {
                Some(text) => Json::read(&text).is_ok_and(|root| self.root(&root, one_line, sink)),
                None => false,
            },
            Err(Broken::Open) => false,
        }
    }

    fn root(&mut self, root: &Json<'_>, one_line: bool, sink: &mut dyn Sink) -> bool {
        if let Json::Array(items) = root {
            let objects: Vec<&Json<'_>> = items.iter().filter(|i| i.object().is_some()).collect();
            if objects.is_empty() {
                return items.is_empty();
            }
            let mode = if self.stream { Mode::Append } else { Mode::Snapshot };
            let table = self.table("", mode, if self.stream { "json lines" } else { "json" });
            for object in &objects {
                tree::each(object, &mut |row| self.learn(table, row));
            }
            for object in objects {
                tree::each(object, &mut |row| self.row(table, None, row, sink));
            }
            if !self.parts {
                self.close(sink);
            }
            return true;
        }
        if root.object().is_none_or(<[_]>::is_empty) {
            return false;
        }
        if let Some((kind, data)) = tree::bpftrace(root) {
            return self.bpftrace(kind, data, sink);
        }
        if one_line && !tree::is_wrapper(root) {
            let table = self.table("", Mode::Append, "json lines");
            self.row(table, None, root, sink);
            return true;
        }
        let (path, blocks) = tree::main(root, self.path.as_deref());
        let label = path.last().cloned().unwrap_or_default();
        self.path = Some(path);
        let table = self.table(&label, Mode::Snapshot, "json");
        for row in blocks.iter().flat_map(|block| &block.rows) {
            tree::each(row, &mut |row| self.learn(table, row));
        }
        for Block { clock, rows } in blocks {
            if let Some(clock) = clock {
                sink.clock(&clock);
            }
            for row in rows {
                tree::each(row, &mut |row| self.row(table, None, row, sink));
            }
            sink.end(table);
        }
        true
    }

    /// Looks at lines that will come, so that the first heading has their columns.
    pub(super) fn foresee(&mut self, lines: &[&str]) {
        for line in lines {
            let Ok(root) = Json::read(line.trim().trim_end_matches(',')) else { continue };
            if root.object().is_none() || tree::bpftrace(&root).is_some() || tree::is_wrapper(&root)
            {
                continue;
            }
            let table = self.table("", Mode::Append, "json lines");
            self.learn(table, &root);
        }
    }

    /// Makes the columns of an object.
    fn learn(&mut self, table: usize, object: &Json<'_>) {
        let Some(union) = self.unions.get_mut(table) else { return };
        let name = &mut self.name;
        object.flat(&mut |outer, inner, _| {
            union.column(full(name, outer, inner));
        });
    }

    /// The block of every table of snapshots is complete.
    pub(super) fn close(&mut self, sink: &mut dyn Sink) {
        for union in self.unions.iter().filter(|u| u.mode() == Mode::Snapshot) {
            sink.end(union.table());
        }
    }

    /// The table of this label.
    fn table(&mut self, label: &str, mode: Mode, how: &'static str) -> usize {
        if let Some(&table) = self.labels.get(label) {
            if let Some(union) = self.unions.get_mut(table) {
                union.set_mode(mode);
            }
            return table;
        }
        let table = self.unions.len();
        self.labels.insert(label.to_owned(), table);
        self.unions.push(Union::new(table, label.to_owned(), mode, how));
        table
    }

    /// An object as a row, with a key before its columns.
    fn row(&mut self, table: usize, key: Option<&str>, object: &Json<'_>, sink: &mut dyn Sink) {
        let Some(union) = self.unions.get_mut(table) else { return };
        let mut found: Vec<(usize, &Json<'_>)> = Vec::with_capacity(16);
        let key_column = key.and_then(|_| union.column("key"));
        let mut place = usize::from(key.is_some());
        let name = &mut self.name;
        object.flat(&mut |outer, inner, value| {
            let column = union.column_at(place, full(name, outer, inner));
            place += 1;
            match column {
                Some(column) => found.push((column, value)),
                None => union.lost(outer, sink),
            }
        });
        if found.is_empty() && key.is_none() {
            return sink.aside(Aside::Noise, &object.to_string());
        }
        self.texts.clear();
        for (_, value) in found.iter().filter(|(_, v)| v.cell().is_none()) {
            self.texts.push(value.to_string());
        }
        let mut texts = self.texts.iter();
        let cells = found.iter().map(|(column, value)| {
            let cell = value
                .cell()
                .unwrap_or_else(|| texts.next().map_or(Cell::Missing, |text| Cell::Text(text)));
            (*column, cell)
        });
        let key = key_column.zip(key.map(Cell::Text));
        union.row(key.into_iter().chain(cells), sink);
    }

    /// `{"type": ..., "data": ...}` of `bpftrace -f json`.
    fn bpftrace(&mut self, kind: &str, data: &Json<'_>, sink: &mut dyn Sink) -> bool {
        if kind == "time" {
            sink.clock(data.text().unwrap_or("").trim());
            return true;
        }
        let Some(maps) = data.object().filter(|_| !tree::is_notice(kind)) else {
            let text = data.text().map_or_else(|| data.to_string(), str::to_owned);
            let why = if tree::is_notice(kind) { Aside::Noise } else { Aside::Text };
            for line in text.lines() {
                sink.aside(why, line);
            }
            return true;
        };
        for (name, map) in maps {
            let table = self.table(name, Mode::Snapshot, "bpftrace json");
            match map {
                Json::Object(entries) if kind != "stats" || map.get("count").is_none() => {
                    for (key, value) in entries {
                        match value.objects() {
                            Some(rows) => {
                                rows.iter().for_each(|row| self.row(table, Some(key), row, sink))
                            }
                            None => self.value(table, Some(key), value, sink),
                        }
                    }
                }
                _ => match map.objects() {
                    Some(rows) => {
                        rows.iter().for_each(|row| self.row(table, None, row, sink));
                    }
                    None => self.value(table, None, map, sink),
                },
            }
            sink.end(table);
        }
        true
    }

    fn value(&mut self, table: usize, key: Option<&str>, value: &Json<'_>, sink: &mut dyn Sink) {
        if value.object().is_some() {
            return self.row(table, key, value, sink);
        }
        let entry = Json::Object(vec![("value".into(), value.clone())]);
        self.row(table, key, &entry, sink);
    }
}

/// The column of a key, or of a key in an object; `room` is where the latter is written.
fn full<'n>(room: &'n mut String, outer: &'n str, inner: Option<&str>) -> &'n str {
    let Some(inner) = inner else { return outer };
    room.clear();
    room.push_str(outer);
    room.push('.');
    room.push_str(inner);
    room
}
