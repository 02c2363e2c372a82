//! One `[[panel]]` of a configuration to what shall be run.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::page::{Page, Value};
use super::{amount, columns};
use crate::tool::format::{format, quoted};
use crate::tool::parse::{Format, GalaTable, Hint, Mode};
use crate::tool::spec::{Limits, Match, Panel, Restart, Spec, Start};

/// Everything a panel can say.
pub(super) const KEYS: [&str; 15] = [
    "name", "command", "pipe", "parse", "key", "mode", "time", "columns", "interval", "start",
    "match", "restart", "limits", "user", "env",
];
const MATCH: [&str; 4] = ["comm", "cmdline", "cgroup", "unit"];
const RESTART: [&str; 3] = ["max", "backoff", "reset"];
const LIMITS: [&str; 3] = ["cpu", "memory", "rows_per_s"];

/// What a configured panel may use when it does not say: enough for any tool of these that behaves.
pub const LIMITS_OF_PANELS: Limits =
    Limits { rows_per_s: Some(10_000), memory: Some(256 << 20), cpu: Some(50.0) };

/// Most arguments, names of environment variables and keys.
const MAX_ITEMS: usize = 256;
const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(86_400);
/// TASK_COMM_LEN (include/linux/sched.h) less the NUL.
const MAX_COMM: usize = 15;

/// Reads one panel: its name, empty when it has none, and what shall be run. When something is
/// wrong it is noted on the page, and what is given back must not be used.
pub(super) fn read(
    page: &mut Page,
    value: &Value<'_>,
    file: &Path,
    meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
) -> (String, Option<Spec>) {
    let Some(table) = page.table(value, "write [[panel]] above its keys") else {
        return (String::new(), None);
    };
    page.only("[[panel]]", table, &KEYS);
    let name = name(page, value, table);
    let argv = command(page, value, table);
    let hint = hint(page, table, meta);
    let columns = table.get("columns").map(|v| columns::read(page, v)).unwrap_or_default();
    let start = start(page, table);
    let interval = table.get("interval").and_then(|v| {
        let like = "interval is the time between two runs, like interval = \"5s\"";
        time(page, v, like, TENTH, DAY)
    });
    let spec = Spec {
        pipe: table
            .get("pipe")
            .and_then(|v| page.truth(v, "pipe is true or false"))
            .unwrap_or_default(),
        hint,
        columns,
        interval,
        start,
        restart: table.get("restart").map(|v| restart(page, v)).unwrap_or_default(),
        limits: table.get("limits").map_or(LIMITS_OF_PANELS, |v| limits(page, v)),
        panel: Some(Panel {
            file: file.to_owned(),
            user: table.get("user").and_then(|v| user(page, v)),
            env: table.get("env").map(|v| env(page, v)).unwrap_or_default(),
        }),
        ..Spec::typed(name.clone().unwrap_or_default(), argv.unwrap_or_default())
    };
    (name.unwrap_or_default(), Some(spec))
}

fn name(page: &mut Page, panel: &Value<'_>, table: &DeTable<'_>) -> Option<String> {
    let Some(value) = table.get("name") else {
        page.wrong(panel.span(), "this panel has no name; write name = \"mytool\"");
        return None;
    };
    let name = page.text(value, "name is a string, like name = \"mytool\"")?;
    if let Err(why) = amount::name(name) {
        page.wrong(value.span(), why);
    }
    Some(name.to_owned())
}

fn command(page: &mut Page, panel: &Value<'_>, table: &DeTable<'_>) -> Option<Vec<OsString>> {
    const LIKE: &str = "command is an array, like command = [\"/usr/bin/vmstat\", \"1\"]";
    let Some(value) = table.get("command") else {
        let what = "this panel has no command; write command = [\"/usr/bin/vmstat\", \"1\"]";
        page.wrong(panel.span(), what);
        return None;
    };
    if let DeValue::String(line) = value.get_ref() {
        let words: Vec<String> = line.split_whitespace().take(6).map(quoted).collect();
        let what = format!(
            "command is an array, because no shell is started; write command = [{}]",
            words.join(", ")
        );
        page.wrong(value.span(), what);
        return None;
    }
    let words = page.array(value, LIKE)?;
    if words.is_empty() || words.len() > MAX_ITEMS {
        page.wrong(value.span(), format!("{} words; {LIKE}", words.len()));
        return None;
    }
    let mut argv = Vec::with_capacity(words.len());
    for (i, word) in words.iter().enumerate() {
        // An argument may be empty, a program may not.
        let empty = matches!(word.get_ref(), DeValue::String(s) if s.is_empty());
        if i > 0 && empty {
            argv.push(OsString::new());
        } else if let Some(word) = page.text(word, LIKE) {
            argv.push(word.into());
        }
    }
    Some(argv)
}

fn hint(
    page: &mut Page,
    table: &DeTable<'_>,
    meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
) -> Hint {
    let form = table.get("parse").and_then(|v| parse(page, v, meta));
    let key = table.get("key").map(|v| keys(page, v)).unwrap_or_default();
    let mode = table.get("mode").and_then(|v| {
        let modes =
            [("append", Mode::Append), ("snapshot", Mode::Snapshot), ("replace", Mode::Replace)];
        choice(page, v, "mode", &modes)
    });
    let time = table
        .get("time")
        .and_then(|v| page.text(v, "time is the header of a column, like time = \"TIME\""))
        .map(str::to_owned);
    if let Some(Format::Columns(names)) = &form {
        let said = key.iter().map(|k| ("key", k)).chain(time.iter().map(|t| ("time", t)));
        for (what, name) in said.filter(|(_, name)| !names.contains(name)) {
            let at = table.get(what).map(Value::span).unwrap_or_default();
            page.wrong(at, format!("{} is none of the columns of parse", quoted(name)));
        }
    }
    Hint { format: form, key, mode, time }
}

fn parse(
    page: &mut Page,
    value: &Value<'_>,
    meta: &dyn Fn(&Path) -> Result<Vec<GalaTable>, String>,
) -> Option<Format> {
    let word = page.text(value, "parse is a string, like parse = \"csv\"")?;
    format(word, meta).map_err(|why| page.wrong(value.span(), why)).ok()
}

fn keys(page: &mut Page, value: &Value<'_>) -> Vec<String> {
    const LIKE: &str = "key is an array of headers, like key = [\"PID\"]";
    let Some(words) = page.array(value, LIKE) else { return Vec::new() };
    if words.len() > MAX_ITEMS {
        page.wrong(value.span(), format!("{} columns are no key; {LIKE}", words.len()));
        return Vec::new();
    }
    words.iter().filter_map(|w| page.text(w, LIKE).map(str::to_owned)).collect()
}

fn start(page: &mut Page, table: &DeTable<'_>) -> Start {
    #[derive(Clone, Copy)]
    enum When {
        On,
        Off,
        Match,
    }
    let words = [("on", When::On), ("off", When::Off), ("match", When::Match)];
    let when = table.get("start").map(|v| (v, choice(page, v, "start", &words)));
    let process = table.get("match").map(|v| (v, process(page, v)));
    match (when, process) {
        (Some((_, Some(When::Match))), Some((_, process))) => Start::Match(process),
        (Some((at, Some(When::Match))), None) => {
            let what = "which process? add match = { comm = \"nginx\" }";
            page.wrong(at.span(), what);
            Start::Off
        }
        (Some((_, None)), _) => Start::Off,
        (_, Some((at, _))) => {
            page.wrong(at.span(), "match works with start = \"match\" only; write that too");
            Start::Off
        }
        (Some((_, Some(When::Off))), None) => Start::Off,
        (Some((_, Some(When::On))) | None, None) => Start::On,
    }
}

fn process(page: &mut Page, value: &Value<'_>) -> Match {
    const LIKE: &str = "match is a table, like match = { comm = \"nginx\" }";
    let Some(table) = page.table(value, LIKE) else { return Match::default() };
    page.only("match", table, &MATCH);
    if table.is_empty() {
        page.wrong(value.span(), format!("nothing to match; {LIKE}"));
    }
    let mut text = |key: &str| {
        let value = table.get(key)?;
        let text = page.text(value, &format!("{key} is a string"))?;
        let why = match key {
            "comm" if text.len() > MAX_COMM => {
                Some("no process has it: the kernel cuts names to 15 bytes; use cmdline")
            }
            "cgroup" if !text.starts_with('/') => Some("a cgroup's path begins with /"),
            "unit" if !text.ends_with(".service") && !text.ends_with(".scope") => {
                Some("a unit's name ends with .service or .scope")
            }
            _ => None,
        };
        if let Some(why) = why {
            page.wrong(value.span(), format!("{}: {why}", quoted(text)));
        }
        Some(text.to_owned())
    };
    Match {
        comm: text("comm"),
        cmdline: text("cmdline"),
        cgroup: text("cgroup"),
        unit: text("unit"),
    }
}

fn restart(page: &mut Page, value: &Value<'_>) -> Restart {
    const LIKE: &str = "restart is a table, like restart = { max = 3, backoff = \"1s\" }";
    let usual = Restart::default();
    let Some(table) = page.table(value, LIKE) else { return usual };
    page.only("restart", table, &RESTART);
    let max = table.get("max").and_then(|v| {
        let n = page.whole(v, "max is how often it is started again", 0..=1000)?;
        u32::try_from(n).ok()
    });
    let backoff = table.get("backoff").and_then(|v| {
        let like = "backoff is the first wait, like backoff = \"1s\"";
        time(page, v, like, TENTH, 60 * SECOND)
    });
    let reset = table.get("reset").and_then(|v| {
        let like = "reset is how long it must run to count anew, like reset = \"24h\"";
        time(page, v, like, SECOND, 366 * DAY)
    });
    Restart {
        max: max.unwrap_or(usual.max),
        backoff: backoff.unwrap_or(usual.backoff),
        reset: reset.unwrap_or(usual.reset),
    }
}

fn limits(page: &mut Page, value: &Value<'_>) -> Limits {
    const LIKE: &str = "limits is a table, like limits = { cpu = \"10%\", memory = \"64M\" }";
    let mut limits = LIMITS_OF_PANELS;
    let Some(table) = page.table(value, LIKE) else { return limits };
    page.only("limits", table, &LIMITS);
    // "none" takes a limit away.
    let none = |v: &Value<'_>| matches!(v.get_ref(), DeValue::String(s) if s == "none");
    if let Some(v) = table.get("cpu") {
        limits.cpu =
            if none(v) { None } else { measured(page, v, CPU, |t| amount::percent(t, 1e5)) };
    }
    if let Some(v) = table.get("memory") {
        let bytes = |t: &str| amount::bytes(t, 1 << 20, 1 << 50);
        limits.memory = if none(v) { None } else { measured(page, v, MEMORY, bytes) };
    }
    if let Some(v) = table.get("rows_per_s") {
        let like = "rows_per_s is how many rows a second are taken, or \"none\"";
        let read = |page: &mut Page| u32::try_from(page.whole(v, like, 1..=100_000_000)?).ok();
        limits.rows_per_s = if none(v) { None } else { read(page) };
    }
    limits
}

const CPU: &str = "cpu is per cent of one CPU, like cpu = \"10%\", or \"none\"";
const MEMORY: &str = "memory is a size, like memory = \"64M\", or \"none\"";

fn measured<T>(
    page: &mut Page,
    value: &Value<'_>,
    like: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = page.amount(value, like)?;
    read(&text).map_err(|why| page.wrong(value.span(), format!("{why}; {like}"))).ok()
}

fn time(
    page: &mut Page,
    value: &Value<'_>,
    like: &str,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    measured(page, value, like, |text| amount::time(text, least, most))
}

fn user(page: &mut Page, value: &Value<'_>) -> Option<String> {
    const LIKE: &str = "user is the name of a user, like user = \"nobody\"";
    let name = page.text(value, LIKE)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() > 32 || !name.chars().all(fits) || name.starts_with('-') {
        page.wrong(value.span(), format!("{} is no user's name; {LIKE}", quoted(name)));
        return None;
    }
    Some(name.to_owned())
}

fn env(page: &mut Page, value: &Value<'_>) -> Vec<(String, String)> {
    const LIKE: &str = "env is a table of strings, like env = { S_TIME_FORMAT = \"ISO\" }";
    let Some(table) = page.table(value, LIKE) else { return Vec::new() };
    if table.len() > MAX_ITEMS {
        page.wrong(value.span(), format!("{} variables; at most {MAX_ITEMS}", table.len()));
        return Vec::new();
    }
    let mut env = Vec::with_capacity(table.len());
    for (key, value) in table {
        let name: &str = key.get_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(fits)
        {
            page.wrong(key.span(), format!("{} is no name of a variable; {LIKE}", quoted(name)));
            continue;
        }
        let empty = matches!(value.get_ref(), DeValue::String(s) if s.is_empty());
        let text = if empty { Some("") } else { page.text(value, LIKE) };
        env.extend(text.map(|t| (name.to_owned(), t.to_owned())));
    }
    env
}

/// The one of `words` that the value says.
fn choice<T: Copy>(
    page: &mut Page,
    value: &Value<'_>,
    key: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    columns::word(page, value, key, &names).map(|i| words[i].1)
}
