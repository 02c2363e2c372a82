//! `config.toml`: tools as panels, read with every mistake told by its line.
//!
//! * `place`: which file is read, and whether it can be trusted;
//! * `page`: values with their lines; `panel` and `columns`: one `[[panel]]`; `amount`: times,
//!   sizes, names; `trigger`: one `[[trigger]]`.

mod amount;
mod columns;
mod page;
mod panel;
mod place;
#[cfg(test)]
mod tests;
mod trigger;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

pub use amount::{OWN_TABLES, name};
pub use page::Mistake;
pub use panel::LIMITS_OF_PANELS;
pub use place::{Refused, find, read};

use page::Page;

use super::format::quoted;
use super::parse::GalaTable;
use super::spec::Spec;
use crate::table::clean;
use crate::trigger::Trigger;

/// Longest file read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// What a file consists of.
const TOP: [&str; 2] = ["panel", "trigger"];

/// Most panels of one file.
pub const MAX_PANELS: usize = 64;

/// A commented configuration that passes its own check.
pub const SAMPLE: &str = include_str!("sample.toml");

/// A configuration as read: its panels in the order of the file, and what is wrong.
#[derive(Debug)]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// Each `[[panel]]`.
    pub panels: Vec<Entry>,
    /// Each `[[trigger]]` that is right.
    pub triggers: Vec<Trigger>,
    /// What is wrong outside of panels; the file cannot be used then.
    pub mistakes: Vec<Mistake>,
}

/// One `[[panel]]` of the file.
#[derive(Debug)]
pub struct Entry {
    /// The line of its heading.
    pub line: usize,
    /// Its name; empty when it has none.
    pub name: String,
    /// What shall be run, or what is wrong, by line.
    pub spec: Result<Spec, Vec<Mistake>>,
}

impl Config {
    /// Reads a configuration's text; `meta` reads the file of `parse = "gala:FILE"`, a relative
    /// one being taken from the configuration's directory.
    pub fn parse(
        file: &Path,
        text: &str,
        meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
    ) -> Config {
        let mut config = Config {
            file: file.to_owned(),
            panels: Vec::new(),
            triggers: Vec::new(),
            mistakes: Vec::new(),
        };
        let mut page = Page::new(text);
        let here = file.parent().unwrap_or(Path::new(""));
        let beside = |path: &Path| meta(&here.join(path));
        match DeTable::parse(text) {
            Ok(document) => {
                config.document(document.get_ref(), &mut page, &beside);
                config.triggers = trigger::read(document.get_ref(), &mut page);
            }
            Err(e) => {
                let at = e.span().unwrap_or_default();
                let here = text.get(at.clone()).unwrap_or_default();
                page.wrong(at, syntax(e.message(), here));
            }
        }
        config.mistakes = page.take();
        config
    }

    fn document(
        &mut self,
        document: &DeTable<'_>,
        page: &mut Page,
        meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
    ) {
        let Some(panels) = document.get("panel") else {
            top(document, page);
            return;
        };
        let DeValue::Array(panels) = panels.get_ref() else {
            page.wrong(panels.span(), "write [[panel]] with two brackets on each side");
            return;
        };
        let mut names: HashMap<String, usize> = HashMap::new();
        for value in panels.iter().take(MAX_PANELS) {
            let line = page.line(value.span().start);
            let (name, spec) = panel::read(page, value, &self.file, meta);
            if let Some(first) = names.get(&name).filter(|_| !name.is_empty()) {
                let what = format!("the panel of line {first} is called {} too", clean(&name));
                page.wrong(name_at(value), what);
            }
            names.entry(name.clone()).or_insert(line);
            let mistakes = page.take();
            let spec = match spec {
                Some(spec) if mistakes.is_empty() => Ok(spec),
                _ => Err(mistakes),
            };
            self.panels.push(Entry { line, name, spec });
        }
        top(document, page);
        if let Some(more) = panels.get(MAX_PANELS) {
            let what = format!("{} panels; a file can have {MAX_PANELS}", panels.len());
            page.wrong(more.span(), what);
        }
    }

    /// Every mistake, by line.
    pub fn mistakes(&self) -> Vec<&Mistake> {
        let inside = self.panels.iter().filter_map(|p| p.spec.as_ref().err()).flatten();
        let mut all: Vec<&Mistake> = inside.chain(&self.mistakes).collect();
        all.sort_by_key(|m| m.line);
        all
    }

    /// What shall be run, when nothing is wrong anywhere in the file.
    ///
    /// # Errors
    /// The first mistake with its file and line, and how many more there are.
    pub fn specs(self) -> Result<Vec<Spec>, Refused> {
        self.sound()?;
        Ok(self.panels.into_iter().filter_map(|p| p.spec.ok()).collect())
    }

    /// What shall be noticed, when nothing is wrong anywhere in the file.
    ///
    /// # Errors
    /// The same.
    pub fn noticed(self) -> Result<Vec<Trigger>, Refused> {
        self.sound()?;
        Ok(self.triggers)
    }

    fn sound(&self) -> Result<(), Refused> {
        if let Some(first) = self.mistakes().first() {
            let mut what = told(&self.file, first);
            if self.mistakes().len() > 1 {
                let file = clean(&self.file.to_string_lossy()).into_owned();
                what.push_str(&format!("; lmptop panel check {file} tells the rest"));
            }
            return Err(Refused(what));
        }
        Ok(())
    }
}

/// What is configured: in `given`, or where configurations are looked for. Nothing where there is
/// no configuration.
///
/// # Errors
/// Why the file cannot be used, in one line that begins with its name.
pub fn specs(given: Option<&Path>) -> Result<Vec<Spec>, Refused> {
    let Some(file) = find(given) else { return Ok(Vec::new()) };
    Config::parse(&file, &read(&file)?, &super::meta::read).specs()
}

/// The triggers that are configured, from the same file.
///
/// # Errors
/// Why the file cannot be used, in one line that begins with its name.
pub fn triggers(given: Option<&Path>) -> Result<Vec<Trigger>, Refused> {
    let Some(file) = find(given) else { return Ok(Vec::new()) };
    Config::parse(&file, &read(&file)?, &super::meta::read).noticed()
}

/// A mistake as it is shown: file, line, what.
pub fn told(file: &Path, mistake: &Mistake) -> String {
    format!("{} line {}: {}", clean(&file.to_string_lossy()), mistake.line, mistake.what)
}

/// Notes what stands beside the panels.
fn top(document: &DeTable<'_>, page: &mut Page) {
    for key in document.keys().filter(|k| !TOP.contains(&k.get_ref().as_ref())) {
        let name: &str = key.get_ref();
        if panel::KEYS.contains(&name) {
            page.wrong(key.span(), format!("{name} belongs below a [[panel]]"));
        } else {
            page.unknown(key.span(), name, "the file", &TOP);
        }
    }
}

/// Where a panel says its name.
fn name_at(panel: &page::Value<'_>) -> Range<usize> {
    match panel.get_ref() {
        DeValue::Table(table) => table.get("name").map_or(panel.span(), toml::Spanned::span),
        _ => panel.span(),
    }
}

/// What the reader of TOML says, as one line.
fn syntax(message: &str, here: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let short: String = words.join(" ").chars().take(200).collect();
    let key = if short == "duplicate key" { format!(" {}", quoted(here)) } else { String::new() };
    format!("this is no TOML: {short}{key}")
}
