//! The word for a form of output, as `--parse` and a panel's `parse` take it.
//!
//! `table csv tsv json prometheus hist kv text`, `columns:A,B,C` for a tool without a header, and
//! `gala:FILE` for the `|table|v1|v2|` lines of a gala extend probe with its meta file.

use std::path::Path;

use super::parse::{Format, GalaTable};
use crate::table::{clean, meant};

/// Every word that can be said, as help shows it.
pub const WORDS: [&str; 10] = [
    "table",
    "csv",
    "tsv",
    "json",
    "prometheus",
    "hist",
    "kv",
    "text",
    "gala:FILE",
    "columns:A,B,C",
];

/// Most columns that `columns:` may name.
const MAX_COLUMNS: usize = 1000;

/// The form that `word` stands for; `meta` reads the file of `gala:FILE`.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn format(
    word: &str,
    meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
) -> Result<Format, String> {
    Ok(match word {
        "table" => Format::Table,
        "csv" => Format::Csv,
        "tsv" => Format::Tsv,
        "json" => Format::Json,
        "prometheus" => Format::Prometheus,
        "hist" => Format::Hist,
        "kv" => Format::Kv,
        "text" => Format::Text,
        "gala" => return Err("gala needs its meta file: gala:FILE.meta".to_owned()),
        "columns" => return Err("columns needs their names: columns:A,B,C".to_owned()),
        _ => {
            if let Some(file) = word.strip_prefix("gala:") {
                return gala(file, meta);
            }
            return match word.strip_prefix("columns:") {
                Some(names) => columns(names),
                None => Err(unknown(word)),
            };
        }
    })
}

/// The form that `--parse WORD` stands for.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn typed(word: &str) -> Result<Format, String> {
    format(word, &super::meta::read)
}

fn gala(
    file: &str,
    meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
) -> Result<Format, String> {
    if file.is_empty() {
        return Err("gala needs its meta file: gala:FILE.meta".to_owned());
    }
    let tables = meta(Path::new(file))?;
    if tables.is_empty() {
        return Err(format!("{} describes no table", clean(file)));
    }
    Ok(Format::Gala(tables))
}

fn columns(names: &str) -> Result<Format, String> {
    let names: Vec<String> = names.split(',').map(|n| n.trim().to_owned()).collect();
    if names.len() > MAX_COLUMNS {
        return Err(format!("{} columns are too many; {MAX_COLUMNS} can be named", names.len()));
    }
    if names.iter().any(String::is_empty) {
        return Err("a column without a name; write columns:A,B,C".to_owned());
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    if let Some(pair) = sorted.windows(2).find(|p| p[0] == p[1]) {
        return Err(format!(
            "two columns are named {}; each needs a name of its own",
            quoted(pair[0])
        ));
    }
    Ok(Format::Columns(names))
}

fn unknown(word: &str) -> String {
    let known: Vec<&str> = WORDS.iter().map(|w| w.split(':').next().unwrap_or(w)).collect();
    let near = if word.len() <= 64 { meant(word, &known) } else { String::new() };
    format!("no form is called {}{near}; there are {}", quoted(word), WORDS.join(" "))
}

/// Text from outside between quotes, harmless and not longer than a line bears.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('\u{2026}');
    }
    format!("\"{}\"", clean(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(word: &str) -> Result<Format, String> {
        format(word, &|path| match path.to_str() {
            Some("empty.meta") => Ok(Vec::new()),
            Some("a:b.meta") => Ok(vec![GalaTable::default()]),
            _ => Err("cannot read it".to_owned()),
        })
    }

    #[test]
    fn every_word_is_understood() {
        for word in WORDS {
            let word = word.replace("FILE", "a:b.meta");
            assert!(read(&word).is_ok(), "{word}");
        }
        let names = ["PID", "COMM", "the rest"].map(str::to_owned).to_vec();
        assert_eq!(read("columns:PID, COMM ,the rest"), Ok(Format::Columns(names)));
    }

    #[test]
    fn mistakes_say_what_is_meant() {
        for (word, want) in [
            ("tabel", "no form is called \"tabel\" (did you mean table?); there are table csv"),
            ("", "no form is called \"\"; there are"),
            ("\x1b[2J", "no form is called \"\\x1b[2J\""),
            ("gala", "gala needs its meta file"),
            ("gala:", "gala needs its meta file"),
            ("gala:empty.meta", "empty.meta describes no table"),
            ("gala:other", "cannot read it"),
            ("columns", "columns needs their names"),
            ("columns:", "a column without a name"),
            ("columns:A,,B", "a column without a name"),
            ("columns:A,B,A", "two columns are named \"A\""),
        ] {
            let said = read(word).unwrap_err();
            assert!(said.starts_with(want), "{word:?}: {said}");
        }
        let long = "x".repeat(1 << 20);
        assert!(read(&long).unwrap_err().len() < 300);
        assert!(read(&format!("columns:{}", "a,".repeat(5000))).is_err());
    }
}
