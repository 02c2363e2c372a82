//! `lmptop panel`: whether a configuration is right, which panels there are, and how to begin one.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail};
use serde::Serialize;

use super::{say, usage};
use crate::cli::{self, PanelCommand};
use crate::table::clean;
use crate::tool::config::{self, Config, Entry, Mistake};
use crate::tool::meta;
use crate::tool::parse::GalaTable;
use crate::tool::process::starter::could_start;
use crate::tool::ready::{self, READY, Ready};
use crate::tool::spec::{Spec, Start};

/// Does what is asked about panels.
///
/// # Errors
/// When a configuration is wrong or cannot be read.
pub fn run(args: &cli::Panel) -> Result<()> {
    match &args.what {
        PanelCommand::Check(args) => check(args.file.as_deref()),
        PanelCommand::List(args) => list(args),
        PanelCommand::Sample => say(config::SAMPLE),
        PanelCommand::Import(args) => import(args),
    }
}

/// The panel of this name: a configured one, whenever it is to be started, else a ready one.
///
/// # Errors
/// When there is none, it is not installed, or the configuration cannot be used.
pub fn named(name: &str, config: Option<&Path>) -> Result<Spec> {
    let mut configured = config::specs(config)?;
    if let Some(at) = configured.iter().position(|s| s.name == name) {
        return Ok(configured.swap_remove(at));
    }
    let ready = ready::find(name).map_err(|why| usage(Error::msg(why)))?;
    ready.spec().ok_or_else(|| Error::msg(ready.missing()))
}

/// Reads a configuration with everything that is wrong in it.
fn read(file: &Path) -> Result<Config> {
    let text = config::read(file)?;
    Ok(Config::parse(file, &text, &meta::read))
}

/// One line for each panel that is right, one for each mistake, in the order of the file.
fn check(given: Option<&Path>) -> Result<()> {
    let Some(file) = config::find(given) else {
        bail!("there is no configuration to check; lmptop panel sample prints one to begin with");
    };
    let config = read(&file)?;
    let mut lines: Vec<Mistake> = Vec::new();
    let mut right = 0;
    for panel in &config.panels {
        match runs(panel) {
            Ok(()) => {
                right += 1;
                lines.push(Mistake { line: panel.line, what: format!("{} ok", panel.name) });
            }
            Err(mistakes) => lines.extend(mistakes),
        }
    }
    lines.extend(config.mistakes.iter().cloned());
    lines.sort_by_key(|m| m.line);
    let wrong = lines.len() - right;
    let mut out = String::new();
    for line in &lines {
        out.push_str(&config::told(&file, line));
        out.push('\n');
    }
    say(&out)?;
    let shown = file.display();
    match (wrong, right) {
        (0, 0) => say(&format!("{} has no panels\n", clean(&shown.to_string()))),
        (0, _) => Ok(()),
        (1, _) => bail!("one mistake in {shown}"),
        (n, _) => bail!("{n} mistakes in {shown}"),
    }
}

/// Whether a panel is right and its program can be run by this user on this machine.
fn runs(panel: &Entry) -> Result<(), Vec<Mistake>> {
    match &panel.spec {
        Err(mistakes) => Err(mistakes.clone()),
        Ok(spec) => could_start(spec)
            .map_err(|why| vec![Mistake { line: panel.line, what: clean(&why.text).into_owned() }]),
    }
}

/// One panel of the list, as JSON gives it.
#[derive(Serialize)]
struct Line {
    name: String,
    /// `ready`, or the file it is configured in.
    from: String,
    line: Option<usize>,
    start: &'static str,
    /// Whether it can run here.
    runs: bool,
    why: Option<String>,
    command: Vec<String>,
    about: Option<&'static str>,
}

fn list(args: &cli::PanelList) -> Result<()> {
    let mut lines = offered();
    let file = config::find(args.config.as_deref());
    let config = file.as_deref().map(read).transpose()?;
    if let Some(config) = &config {
        if let Some(first) = config.mistakes.first() {
            return Err(Error::msg(config::told(&config.file, first)));
        }
        lines.extend(config.panels.iter().map(|p| configured(&config.file, p)));
    }
    super::list(args.format, &["NAME", "FROM", "START", "COMMAND", "WHAT"], &lines, cells)
}

/// The ready panels.
fn offered() -> Vec<Line> {
    // SAFETY: takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let line = |r: &'static Ready| {
        let why = match r.program() {
            None => Some(r.missing()),
            Some(_) if r.root && !root => Some("needs root".to_owned()),
            Some(_) => None,
        };
        Line {
            name: r.name.to_owned(),
            from: "ready".to_owned(),
            line: None,
            start: "asked",
            runs: why.is_none(),
            why,
            command: r.argv.iter().map(|a| (*a).to_owned()).collect(),
            about: Some(r.about),
        }
    };
    READY.iter().map(line).collect()
}

fn configured(file: &Path, panel: &Entry) -> Line {
    let why = runs(panel).err().and_then(|m| m.into_iter().next());
    let spec = panel.spec.as_ref().ok();
    let start = spec.map_or("-", |s| match s.start {
        Start::On => "on",
        Start::Off => "off",
        Start::Match(_) => "match",
    });
    let argv = spec.map(|s| s.argv.as_slice()).unwrap_or_default();
    Line {
        name: panel.name.clone(),
        from: file.to_string_lossy().into_owned(),
        line: Some(panel.line),
        start,
        runs: why.is_none(),
        why: why.map(|m| config::told(file, &m)),
        command: argv.iter().map(|a| a.to_string_lossy().into_owned()).collect(),
        about: None,
    }
}

fn cells(line: &Line) -> Vec<String> {
    let from = match line.line {
        Some(n) => format!("{} line {n}", line.from),
        None => line.from.clone(),
    };
    let what = match &line.why {
        Some(why) => format!("cannot run: {why}"),
        None => line.about.unwrap_or_default().to_owned(),
    };
    let cells = [line.name.clone(), from, line.start.to_owned(), line.command.join(" "), what];
    cells.map(|c| clean(&c).into_owned()).to_vec()
}

/// Where gala-gopher's package puts extend probes.
const PROBES: &str = "/opt/gala-gopher/extend_probes";

fn import(args: &cli::PanelImport) -> Result<()> {
    let meta_file = args.meta.canonicalize().with_context(|| {
        format!("cannot read the meta file {}; is the path right?", args.meta.display())
    })?;
    let tables = meta::read(&meta_file).map_err(Error::msg)?;
    let stem = meta_file.file_stem().unwrap_or_default();
    let name = panel_name(stem);
    let words = match args.command.as_slice() {
        [] => vec![format!("{PROBES}/{name}")],
        command => command.iter().map(|w| utf8(w)).collect::<Result<_>>()?,
    };
    let mut out = String::new();
    for table in &tables {
        out.push_str(&comment(table));
    }
    if args.command.is_empty() {
        out.push_str("# Put the path of the probe into command.\n");
    }
    let words: Vec<String> = words.iter().map(|w| string(w)).collect();
    out.push_str(&format!(
        "[[panel]]\nname = {}\ncommand = [{}]\nparse = {}\n",
        string(&name),
        words.join(", "),
        string(&format!("gala:{}", utf8(meta_file.as_os_str())?)),
    ));
    say(&out)
}

/// A table of the meta file, for the reader of the configuration.
fn comment(table: &GalaTable) -> String {
    let titles: Vec<&str> = table.titles.iter().map(|t| t.text.as_str()).collect();
    format!("# Table {}: {}\n", clean(&table.name), clean(&titles.join(", ")))
}

/// The file's name as the name of a panel.
fn panel_name(stem: &OsStr) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let text = stem.to_string_lossy();
    let name: String = text.chars().map(|c| if fits(c) { c } else { '_' }).take(32).collect();
    if config::name(&name).is_ok() {
        return name;
    }
    format!("gala_{}", name.chars().take(27).collect::<String>())
}

fn utf8(text: &OsStr) -> Result<String> {
    let text = text.to_str().ok_or_else(|| {
        usage(anyhow!("{} is not UTF-8, which TOML needs", text.to_string_lossy()))
    })?;
    Ok(text.to_owned())
}

/// A TOML string; what could act on a terminal is escaped.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if crate::table::is_clean(c.encode_utf8(&mut [0; 4])) => out.push(c),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_lmptops_own_cannot_be_names_of_panels() {
        for schema in crate::probe::schemas() {
            assert!(config::OWN_TABLES.contains(&schema.table()), "{}", schema.table());
        }
    }

    #[test]
    fn a_configured_panel_goes_before_a_ready_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let text = "[[panel]]\nname = \"df\"\ncommand = [\"/bin/mine\"]\nstart = \"off\"\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(named("df", Some(&file)).unwrap().argv, ["/bin/mine"]);
        std::fs::write(&file, "").unwrap();
        assert_eq!(named("df", Some(&file)).unwrap().argv[1..], ["-hT"]);
        let said = named("dff", Some(&file)).unwrap_err();
        assert!(said.is::<crate::cli::Usage>() && said.to_string().contains("did you mean df"));
        std::fs::write(&file, "x = 1").unwrap();
        assert!(named("df", Some(&file)).unwrap_err().to_string().contains("line 1: unknown key"));
    }

    #[test]
    fn names_of_meta_files_become_names_of_panels() {
        for (stem, want) in [
            ("redis_probe", "redis_probe"),
            ("io", "gala_io"),
            (".hidden", "gala_.hidden"),
            ("a b\x1b", "a_b_"),
            ("", "gala_"),
        ] {
            let name = panel_name(OsStr::new(stem));
            assert_eq!(name, want);
            assert_eq!(config::name(&name), Ok(()));
        }
        assert_eq!(config::name(&panel_name(OsStr::new(&"-".repeat(99)))), Ok(()));
    }

    #[test]
    fn strings_survive_toml() {
        for text in ["", "a\"b\\c", "\x1b[2J\n\t", "\u{202e}日本\u{7f}", "'''"] {
            let line = format!("a = {}", string(text));
            let read: Result<toml::Spanned<toml::de::DeTable<'_>>, _> =
                toml::de::DeTable::parse(&line);
            let table = read.unwrap();
            let toml::de::DeValue::String(back) = table.get_ref()["a"].get_ref() else { panic!() };
            assert_eq!(back, text);
        }
    }
}
