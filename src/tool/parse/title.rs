//! Names of columns: unique in their table, and what their words tell.

use super::Title;

/// Titles of these header texts, each once: a name that comes twice gets the word of its group
/// before it, else a number behind it; an empty one is `colN`.
pub(super) fn unique<S: AsRef<str>>(names: &[S], groups: &[String]) -> Vec<Title> {
    let mut titles: Vec<Title> = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let name = name.as_ref().trim();
        let plain = if name.is_empty() { format!("col{}", i + 1) } else { name.to_owned() };
        let twice = names.iter().filter(|n| n.as_ref().trim() == name).count() > 1;
        let group = groups.get(i).map_or("", |g| g.trim());
        let text = if twice && !name.is_empty() && !group.is_empty() {
            format!("{group} {plain}")
        } else {
            plain
        };
        titles.push(Title { text: vacant(&titles, text), ..Title::default() });
    }
    titles
}

/// `name`, or with the first free number behind it.
pub(super) fn vacant(titles: &[Title], name: String) -> String {
    let taken = |name: &str| titles.iter().any(|t| t.text == name);
    if !taken(&name) {
        return name;
    }
    (2..=titles.len() + 2).map(|n| format!("{name}_{n}")).find(|n| !taken(n)).unwrap_or(name)
}

/// Whether a column of this name holds the tool's own time.
pub(super) fn tells_time(name: &str) -> bool {
    let name = name.trim_start_matches(['@', '#', '_', ' ']).to_ascii_lowercase();
    matches!(
        name.as_str(),
        "time"
            | "timestamp"
            | "ts"
            | "date"
            | "datetime"
            | "date_time"
            | "timestamp_ms"
            | "timestamp_us"
            | "timestamp_ns"
            | "epoch"
            | "realtime_timestamp"
    )
}

/// Column names that identify a row, the surest first.
const IDENTITIES: [&str; 18] = [
    "pid",
    "tid",
    "tgid",
    "id",
    "name",
    "ifname",
    "iface",
    "interface",
    "dev",
    "device",
    "disk_device",
    "kname",
    "unit",
    "cpu",
    "node",
    "target",
    "mountpoint",
    "field",
];

/// The column that identifies a row by its name, if there is one.
pub(super) fn identity<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    IDENTITIES.iter().find_map(|id| names.clone().position(|name| name.eq_ignore_ascii_case(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(titles: &[Title]) -> Vec<&str> {
        titles.iter().map(|t| t.text.as_str()).collect()
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(
            texts(&unique(&["a", "b", "a", "", "a_2"], &[])),
            ["a", "b", "a_2", "col4", "a_2_2"]
        );
        let groups = ["Receive", "Receive", "Transmit", "Transmit"].map(String::from);
        assert_eq!(
            texts(&unique(&["bytes", "drop", "bytes", "colls"], &groups)),
            ["Receive bytes", "drop", "Transmit bytes", "colls"]
        );
    }

    #[test]
    fn what_names_tell() {
        assert!(tells_time("@timestamp") && tells_time("TIME") && !tells_time("TIME+"));
        assert_eq!(identity(["user", "%CPU", "PID"].into_iter()), Some(2));
        assert_eq!(identity(["a", "b"].into_iter()), None);
    }
}
