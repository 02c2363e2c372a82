//! The language of triggers.
//!
//! ```text
//! RULE      = CONDITION [ "where" FILTER ] [ "for" TIME ]
//! CONDITION = [ TABLE "." ] COLUMN OP VALUE      host when no table is named:  load1>8 for 10s
//!           | TABLE ":" FILTER                   any row that matches:         proc: cpu>90% !make
//!           | "psi." RESOURCE "." KIND ">" N "%"  cpu, memory, io; some, full:  psi.memory.some>20% for 1s
//! ```
//!
//! `OP`, `VALUE` and `FILTER` are those of the filter language; `COLUMN_share` is a column of time as
//! a share. `for`: the condition holds this long without a break for the same row; with `psi` it is
//! the window that the share is of, 1 s where none is named. `psi` takes `where cgroup=PATH`.

use std::fmt;
use std::time::Duration;

use crate::table::quantity::parse_duration;
use crate::table::{Filter, clean};

/// Longest rule, bytes.
const LONGEST: usize = 1000;
/// What PSI can watch (`WINDOW_MIN_US` and `WINDOW_MAX_US`, kernel/sched/psi.c).
const WINDOWS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A rule as written, understood but not yet tied to tables.
#[derive(Clone, Debug)]
pub struct Rule {
    text: String,
    what: What,
    lasting: Duration,
}

/// What a rule looks at.
#[derive(Clone, Debug)]
pub enum What {
    /// Rows of a table's samples.
    Rows {
        /// The table.
        table: String,
        /// The column it names first, if it names one by itself.
        column: Option<String>,
        /// The text of the filter without that column.
        rest: String,
    },
    /// The kernel's account of stalls.
    Pressure {
        /// Of what.
        resource: Resource,
        /// Of whom.
        kind: Kind,
        /// Share of the window, 0..1.
        share: f64,
        /// Over which time.
        window: Duration,
        /// Of which control group; of the machine when absent.
        cgroup: Option<String>,
    },
}

/// What tasks stall on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Waiting for a CPU.
    Cpu,
    /// Reclaim, swap and refaults.
    Memory,
    /// Waiting for a block device.
    Io,
}

impl Resource {
    /// Its word in the files' names.
    pub fn word(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::Io => "io",
        }
    }
}

/// Who stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At least one task.
    Some,
    /// All that could run.
    Full,
}

impl Kind {
    /// Its word in the files.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Some => "some",
            Kind::Full => "full",
        }
    }
}

impl Rule {
    /// Understands a rule.
    ///
    /// # Errors
    /// What is wrong and what would be right, in one sentence.
    pub fn parse(text: &str) -> Result<Rule, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("an empty rule; write one like load1>8 for 10s".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("a rule of {} bytes; {LONGEST} are enough", text.len()));
        }
        if let Some(word) = ["for", "where"].into_iter().find(|w| text.ends_with(&format!(" {w}")))
        {
            return Err(format!("{word} needs something after it; see load1>8 for 10s"));
        }
        let (head, lasting) = match split(text, " for ") {
            Some((head, time)) => (head.trim(), Some(length(time.trim())?)),
            None => (text, None),
        };
        let what = match head.strip_prefix("psi.") {
            Some(psi) => pressure(psi, lasting)?,
            None => rows(head)?,
        };
        let lasting = match what {
            What::Rows { .. } => lasting.unwrap_or_default(),
            // The window is in it.
            What::Pressure { .. } => Duration::ZERO,
        };
        Ok(Rule { text: clean(text).into_owned(), what, lasting })
    }

    /// What it looks at.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// How long it has to hold.
    pub fn lasting(&self) -> Duration {
        self.lasting
    }

    /// The table whose rows it looks at, if it does.
    pub fn table(&self) -> Option<&str> {
        match &self.what {
            What::Rows { table, .. } => Some(table),
            What::Pressure { .. } => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A condition on a table's rows in the words of a rule, as a filter: `TABLE: ` before it, `where`
/// in it and `for` behind it are understood, and none of them is needed. Also how long it has to
/// hold.
///
/// # Errors
/// What is wrong and what would be right, in one sentence.
pub fn condition(text: &str, table: &str) -> Result<(String, Duration), String> {
    let text = text.trim();
    let (head, lasting) = match split(text, " for ") {
        Some((head, time)) => (head.trim(), length(time.trim())?),
        None => (text, Duration::ZERO),
    };
    let named = head.strip_prefix(table).and_then(|rest| rest.strip_prefix(": "));
    let head = named.unwrap_or(head);
    let filter = match split(head, " where ") {
        Some((condition, filter)) => format!("{} {}", condition.trim(), filter.trim()),
        None => head.trim().to_owned(),
    };
    sound(&filter)?;
    if filter.is_empty() {
        return Err("an empty condition; write one like cpu>90% where comm=nginx".to_owned());
    }
    Ok((filter, lasting))
}

/// Splits at the last such word outside of quotes.
fn split<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut found = None;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted && text[at..].starts_with(word) => found = Some(at),
            _ => {}
        }
    }
    found.map(|at| (&text[..at], &text[at + word.len()..]))
}

fn length(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let text: String = text.chars().take(40).collect();
        format!("\"{}\" is no length of time; write for 5s, for 500ms or for 2m", clean(&text))
    };
    let ns = parse_duration(text).ok_or_else(wrong)?;
    let length = Duration::try_from_secs_f64(ns / 1e9).map_err(|_| wrong())?;
    if length > Duration::from_secs(86_400) {
        return Err("for at most a day; write for 5s".to_owned());
    }
    Ok(length)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(fits)
}

fn rows(head: &str) -> Result<What, String> {
    // `proc: cpu>90% comm=foo`
    if let Some((table, filter)) = head.split_once(": ")
        && is_name(table)
    {
        let filter = filter.trim();
        if filter.is_empty() {
            return Err(format!("{table}: needs a filter after it, like {table}: pid>1"));
        }
        sound(filter)?;
        return Ok(What::Rows { table: table.to_owned(), column: None, rest: filter.to_owned() });
    }
    let (condition, filter) = match split(head, " where ") {
        Some((condition, filter)) => (condition.trim(), filter.trim()),
        None => (head, ""),
    };
    let Some(at) = operator(condition) else {
        return Err(format!(
            "\"{}\" compares nothing; write a rule like load1>8 or proc.cpu>90%",
            clean(condition)
        ));
    };
    let (name, test) = (condition[..at].trim(), condition[at..].trim());
    let (table, column) = match name.split_once('.') {
        Some((table, column)) => (table, column),
        None => ("host", name),
    };
    if !is_name(table) || column.is_empty() {
        return Err(format!("\"{}\" is no TABLE.COLUMN", clean(name)));
    }
    let rest = format!("{test} {filter}").trim().to_owned();
    sound(&format!("{column}{rest}"))?;
    Ok(What::Rows { table: table.to_owned(), column: Some(column.to_owned()), rest })
}

/// Where the first comparison is, outside of quotes.
fn operator(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (!quoted && matches!(c, '<' | '>' | '=' | '!') && at > 0).then_some(at)
    })
}

fn sound(filter: &str) -> Result<(), String> {
    match Filter::parse(filter) {
        Ok(_) => Ok(()),
        Err(why) => Err(clean(&why.what).into_owned()),
    }
}

/// `memory.some>20%`, with what stands behind `where`.
fn pressure(text: &str, window: Option<Duration>) -> Result<What, String> {
    const LIKE: &str = "write it like psi.memory.some>20% for 1s";
    let (condition, filter) = match split(text, " where ") {
        Some((condition, filter)) => (condition, filter.trim()),
        None => (text, ""),
    };
    let (name, share) = condition.split_once('>').ok_or_else(|| format!("psi has no >; {LIKE}"))?;
    let (resource, kind) =
        name.trim().split_once('.').ok_or_else(|| format!("psi needs some or full; {LIKE}"))?;
    let resource = match resource {
        "cpu" => Resource::Cpu,
        "memory" | "mem" => Resource::Memory,
        "io" => Resource::Io,
        other => return Err(format!("psi of {}? there are cpu, memory, io; {LIKE}", clean(other))),
    };
    let kind = match kind {
        "some" => Kind::Some,
        "full" => Kind::Full,
        other => return Err(format!("{}? there are some and full; {LIKE}", clean(other))),
    };
    let percent = share.trim().trim_start_matches('=').trim();
    let percent = percent.strip_suffix('%').ok_or_else(|| format!("psi is in per cent; {LIKE}"))?;
    let share = percent.trim().parse::<f64>().ok().filter(|p| *p > 0.0 && *p < 100.0);
    let share = share.ok_or_else(|| format!("psi is more than 0% and less than 100%; {LIKE}"))?;
    let window = window.unwrap_or(Duration::from_secs(1));
    if window < WINDOWS.0 || window > WINDOWS.1 {
        return Err("the kernel watches psi over 500ms to 10s; write for 1s".to_owned());
    }
    let cgroup = match filter.strip_prefix("cgroup=") {
        Some(path) if !path.trim().is_empty() => Some(path.trim().trim_matches('"').to_owned()),
        _ if filter.is_empty() => None,
        _ => return Err("psi takes where cgroup=PATH only".to_owned()),
    };
    if cgroup.as_ref().is_some_and(|c| c.split('/').any(|part| part == "..") || c.contains('\0')) {
        return Err("a cgroup's path goes down only; leave .. out".to_owned());
    }
    Ok(What::Pressure { resource, kind, share: share / 100.0, window, cgroup })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(text: &str) -> (String, Option<String>, String, Duration) {
        let rule = Rule::parse(text).unwrap();
        let What::Rows { table, column, rest } = rule.what.clone() else { panic!("{rule:?}") };
        (table, column, rest, rule.lasting())
    }

    #[test]
    fn rows_are_named_with_and_without_a_table() {
        let s = |text: &str| text.to_owned();
        let secs = Duration::from_secs;
        assert_eq!(rows_of("load1>8 for 10s"), (s("host"), Some(s("load1")), s(">8"), secs(10)));
        assert_eq!(
            rows_of(" proc.runq_share > 30% where comm:\"a for b\" !pid:7  for 5s "),
            (s("proc"), Some(s("runq_share")), s("> 30% comm:\"a for b\" !pid:7"), secs(5))
        );
        assert_eq!(
            rows_of("proc: cpu>90% comm=foo for 500ms"),
            (s("proc"), None, s("cpu>90% comm=foo"), Duration::from_millis(500))
        );
        assert_eq!(
            rows_of("vfsstat.\"READ/s\">=5"),
            (s("vfsstat"), Some(s("\"READ/s\"")), s(">=5"), secs(0))
        );
        assert_eq!(rows_of("life.kind=exit"), (s("life"), Some(s("kind")), s("=exit"), secs(0)));
    }

    #[test]
    fn pressure_has_a_window_and_perhaps_a_cgroup() {
        let of = |text: &str| {
            let What::Pressure { resource, kind, share, window, cgroup } =
                Rule::parse(text).unwrap().what
            else {
                panic!("{text}")
            };
            (resource, kind, (share * 1000.0).round(), window.as_millis(), cgroup)
        };
        assert_eq!(
            of("psi.memory.some>20% for 1s"),
            (Resource::Memory, Kind::Some, 200.0, 1000, None)
        );
        assert_eq!(
            of("psi.io.full > 0.5 % where cgroup=/a b for 2s"),
            (Resource::Io, Kind::Full, 5.0, 2000, Some("/a b".to_owned()))
        );
        assert_eq!(of("psi.cpu.some>1%").3, 1000);
    }

    #[test]
    fn a_condition_is_a_filter_in_the_words_of_a_rule() {
        let of = |text: &str| condition(text, "proc").map(|(f, d)| (f, d.as_millis()));
        let fine = |filter: &str, ms| Ok((filter.to_owned(), ms));
        assert_eq!(of(" cpu>90% !make "), fine("cpu>90% !make", 0));
        assert_eq!(of("cpu>90% where comm=nginx for 5s"), fine("cpu>90% comm=nginx", 5000));
        assert_eq!(of("proc: cpu>90% for 500ms"), fine("cpu>90%", 500));
        assert_eq!(of("\"a where b\" for 2m"), fine("\"a where b\"", 120_000));
        for (text, told) in [
            ("cpu>90% for ever", "no length of time"),
            ("", "empty condition"),
            ("comm:/[/", ""),
            ("cpu>", ""),
        ] {
            let said = of(text).expect_err(text);
            assert!(said.contains(told), "{text}: {said}");
        }
    }

    #[test]
    fn mistakes_are_told_in_words() {
        for (text, told) in [
            ("", "empty rule"),
            ("load1", "compares nothing"),
            ("load1>8 for ever", "\"ever\" is no length of time"),
            ("load1>8 for", "for needs something"),
            ("a b.c>8", "is no TABLE.COLUMN"),
            ("proc.>8", "is no TABLE.COLUMN"),
            (">8", "compares nothing"),
            ("proc: ", "compares nothing"),
            ("psi.memory.some", "psi has no >"),
            ("psi.memory>5%", "some or full"),
            ("psi.disk.some>5%", "psi of disk"),
            ("psi.io.any>5%", "any? there are"),
            ("psi.io.some>5", "per cent"),
            ("psi.io.some>100%", "less than 100%"),
            ("psi.io.some>NaN%", "less than 100%"),
            ("psi.io.some>5% for 100ms", "500ms to 10s"),
            ("psi.io.some>5% where pid=1", "cgroup=PATH only"),
            ("psi.io.some>5% where cgroup=../../etc", "goes down only"),
            ("load1>8 for 2d", "at most a day"),
            ("proc: comm:/[/", ""),
        ] {
            let said = Rule::parse(text).map(|r| r.to_string()).expect_err(text);
            assert!(said.contains(told), "{text}: {said}");
            assert!(!said.contains('\n'));
        }
        assert!(Rule::parse(&"a".repeat(2000)).is_err());
        let said = Rule::parse("a\u{1b}[2J").unwrap_err();
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn nothing_written_makes_it_panic() {
        let parts =
            ["psi.", "memory", ".some", ">", "%", " for ", " where ", "\"", "1s", ": ", "é", "="];
        let mut n = 7usize;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                n = n
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(n >> 33) % parts.len()]);
            }
            let _ = Rule::parse(&text);
        }
    }
}
