//! The `columns` of a panel: what is said of single columns of its table.

use std::collections::HashSet;

use super::page::{Page, Value};
use crate::table::{Kind, Unit, meant};
use crate::tool::format::quoted;
use crate::tool::spec::ColumnSpec;

const KEYS: [&str; 6] = ["name", "rename", "unit", "kind", "keep", "drop"];

const KINDS: [(&str, Kind); 6] = [
    ("key", Kind::Key),
    ("text", Kind::Text),
    ("gauge", Kind::Gauge),
    ("counter", Kind::Counter),
    ("duration", Kind::Duration),
    ("state", Kind::State),
];

/// As `lmptop columns` writes them.
const UNITS: [(&str, Unit); 10] = [
    ("none", Unit::None),
    ("bytes", Unit::Bytes),
    ("bytes_per_sec", Unit::BytesPerSec),
    ("per_sec", Unit::PerSec),
    ("ns", Unit::Ns),
    ("us", Unit::Us),
    ("ms", Unit::Ms),
    ("seconds", Unit::Seconds),
    ("percent", Unit::Percent),
    ("id", Unit::Id),
];

/// Most columns that something is said of.
const MAX_COLUMNS: usize = 1000;
const LIKE: &str =
    "columns is an array of tables, like columns = [{ name = \"COMM\", kind = \"key\" }]";

/// Reads the list; mistakes are noted on the page.
pub(super) fn read(page: &mut Page, value: &Value<'_>) -> Vec<ColumnSpec> {
    let Some(list) = page.array(value, LIKE) else { return Vec::new() };
    if list.len() > MAX_COLUMNS {
        page.wrong(value.span(), format!("{} columns; at most {MAX_COLUMNS}", list.len()));
        return Vec::new();
    }
    let mut columns = Vec::with_capacity(list.len());
    let (mut names, mut shown) = (HashSet::new(), HashSet::new());
    for value in list {
        let Some(column) = column(page, value) else { continue };
        if !names.insert(column.name.clone()) {
            page.wrong(value.span(), format!("column {} stands here twice", quoted(&column.name)));
        }
        let title = column.rename.as_ref().unwrap_or(&column.name).clone();
        if !column.drop && !shown.insert(title.clone()) {
            page.wrong(value.span(), format!("two columns would be called {}", quoted(&title)));
        }
        columns.push(column);
    }
    columns
}

fn column(page: &mut Page, value: &Value<'_>) -> Option<ColumnSpec> {
    let table = page.table(value, LIKE)?;
    page.only("columns", table, &KEYS);
    let Some(name) = table.get("name") else {
        page.wrong(value.span(), "which column? write name = and its header");
        return None;
    };
    let name = page.text(name, "name is the header of a column, like name = \"COMM\"")?.to_owned();
    let rename = table.get("rename").and_then(|v| {
        page.text(v, "rename is another name, like rename = \"command\"").map(str::to_owned)
    });
    let kind = table
        .get("kind")
        .and_then(|v| word(page, v, "kind", &KINDS.map(|(name, _)| name)).map(|i| KINDS[i].1));
    let unit = table
        .get("unit")
        .and_then(|v| word(page, v, "unit", &UNITS.map(|(name, _)| name)).map(|i| UNITS[i].1));
    let mut truth = |key| {
        let value = table.get(key)?;
        page.truth(value, &format!("{key} is true or false"))
    };
    let (keep, drop) = (truth("keep"), truth("drop"));
    if let (Some(keep), Some(drop)) = (keep, drop)
        && keep == drop
    {
        page.wrong(value.span(), "keep and drop contradict each other; one is enough");
    }
    let drop = drop == Some(true) || keep == Some(false);
    Some(ColumnSpec { name, rename, kind, unit, drop, keep: keep == Some(true) })
}

/// Which of `words` the value says.
pub(super) fn word(page: &mut Page, value: &Value<'_>, key: &str, words: &[&str]) -> Option<usize> {
    let all = words.join(", ");
    let said = page.text(value, &format!("{key} is one of {all}"))?;
    let found = words.iter().position(|w| *w == said);
    if found.is_none() {
        let near = if said.len() <= 64 { meant(said, words) } else { String::new() };
        page.wrong(value.span(), format!("{} is no {key}{near}; it is one of {all}", quoted(said)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_column_reference() {
        for (word, kind) in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
        }
        for (word, unit) in UNITS {
            assert_eq!(serde_json::to_value(unit).unwrap(), word);
        }
    }
}
