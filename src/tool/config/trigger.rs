//! `[[trigger]]`: what shall be noticed, and what is done then.

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::amount;
use super::page::{Page, Value};
use crate::tool::format::quoted;
use crate::trigger::{AROUND, COOLDOWN, MOST, Rule, Trigger};

/// Keys of a trigger.
const KEYS: [&str; 7] = ["name", "when", "before", "after", "cooldown", "bell", "run"];
/// Longest time around a trigger.
const LONGEST: Duration = Duration::from_secs(3600);
/// Most words of a command.
const WORDS: usize = 64;

/// Reads every `[[trigger]]`; what is wrong is noted.
pub(super) fn read(document: &DeTable<'_>, page: &mut Page) -> Vec<Trigger> {
    let Some(value) = document.get("trigger") else { return Vec::new() };
    let DeValue::Array(all) = value.get_ref() else {
        page.wrong(value.span(), "write [[trigger]] with two brackets on each side");
        return Vec::new();
    };
    if let Some(more) = all.get(MOST) {
        page.wrong(more.span(), format!("{} triggers; there can be {MOST}", all.len()));
    }
    let mut names = HashSet::new();
    let mut out = Vec::new();
    for value in all.iter().take(MOST) {
        let Some(trigger) = one(page, value) else { continue };
        if !names.insert(trigger.name.clone()) {
            let what = format!("another trigger is called {} too", quoted(&trigger.name));
            page.wrong(value.span(), what);
        }
        out.push(trigger);
    }
    out
}

fn one(page: &mut Page, value: &Value<'_>) -> Option<Trigger> {
    let table = page.table(value, "write [[trigger]] and its keys below")?;
    page.only("a [[trigger]]", table, &KEYS);
    let Some(when) = table.get("when") else {
        page.wrong(value.span(), "this trigger has no rule; write when = \"load1>8 for 10s\"");
        return None;
    };
    let text = page.text(when, "when is a string, like when = \"load1>8 for 10s\"")?;
    let rule = match Rule::parse(text) {
        Ok(rule) => rule,
        Err(why) => {
            page.wrong(when.span(), why);
            return None;
        }
    };
    let mut trigger = Trigger::of(rule);
    if let Some(name) = table.get("name") {
        let text = page.text(name, "name is a string, like name = \"busy\"")?;
        if text.chars().count() > 60 {
            page.wrong(name.span(), "a name has 60 characters at most");
        }
        trigger.name = crate::table::clean(text).into_owned();
    }
    let zero = Duration::ZERO;
    trigger.before = time(page, table, "before", zero).unwrap_or(AROUND);
    trigger.after = time(page, table, "after", zero).unwrap_or(AROUND);
    trigger.cooldown = time(page, table, "cooldown", Duration::from_secs(1)).unwrap_or(COOLDOWN);
    if let Some(bell) = table.get("bell") {
        trigger.bell = page.truth(bell, "bell is true or false").unwrap_or(false);
    }
    if let Some(run) = table.get("run") {
        trigger.run = command(page, run);
    }
    Some(trigger)
}

fn time(page: &mut Page, table: &DeTable<'_>, key: &str, least: Duration) -> Option<Duration> {
    let value = table.get(key)?;
    let text = page.text(value, &format!("{key} is a length of time, like {key} = \"30s\""))?;
    match amount::time(text, least, LONGEST) {
        Ok(time) => Some(time),
        Err(why) => {
            page.wrong(value.span(), why);
            None
        }
    }
}

fn command(page: &mut Page, value: &Value<'_>) -> Vec<OsString> {
    const LIKE: &str =
        "run is an array, because no shell is started, like run = [\"/usr/bin/logger\", \"busy\"]";
    let Some(words) = page.array(value, LIKE) else { return Vec::new() };
    if words.is_empty() || words.len() > WORDS {
        page.wrong(value.span(), format!("{} words; {LIKE}", words.len()));
        return Vec::new();
    }
    let word = |(i, word): (usize, &Spanned<DeValue<'_>>)| {
        let empty = matches!(word.get_ref(), DeValue::String(s) if s.is_empty());
        match i > 0 && empty {
            true => Some(OsString::new()),
            false => page.text(word, LIKE).map(OsString::from),
        }
    };
    let argv: Vec<OsString> = words.iter().enumerate().filter_map(word).collect();
    if argv.first().is_some_and(|p| !std::path::Path::new(p).is_absolute()) {
        page.wrong(value.span(), "a trigger's program is an absolute path, like /usr/bin/logger");
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("/x/config.toml"), text, &|_| Err("none".to_owned()))
    }

    #[test]
    fn a_trigger_is_read_with_all_it_says() {
        let text = "[[trigger]]\nname = \"busy\"\nwhen = \"load1>8 for 10s\"\nbefore = \"1m\"\n\
                    after = \"10s\"\ncooldown = \"5m\"\nbell = false\nrun = [\"/bin/true\", \"\"]\n\
                    [[trigger]]\nwhen = \"psi.io.full>10%\"\n";
        let all = parse(text).noticed().unwrap();
        let secs = Duration::from_secs;
        let t = &all[0];
        assert_eq!((t.name.as_str(), t.rule.to_string()), ("busy", "load1>8 for 10s".to_owned()));
        assert_eq!((t.before, t.after, t.cooldown, t.bell), (secs(60), secs(10), secs(300), false));
        assert_eq!(t.run, ["/bin/true", ""]);
        let t = &all[1];
        assert_eq!((t.name.as_str(), t.before, t.bell), ("psi.io.full>10%", AROUND, true));
        assert!(parse("").noticed().unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_told_by_their_line() {
        for (text, line, told) in [
            ("[trigger]\nwhen = \"load1>8\"", 1, "two brackets"),
            ("[[trigger]]\nname = \"a\"", 1, "no rule"),
            ("[[trigger]]\nwhen = \"load1\"", 2, "compares nothing"),
            ("[[trigger]]\nwhen = 7", 2, "when is a string"),
            ("[[trigger]]\nwhen = \"load1>8\"\nwen = 1", 3, "unknown key \"wen\""),
            ("[[trigger]]\nwhen = \"load1>8\"\nbefore = \"2d\"", 3, "is not from"),
            ("[[trigger]]\nwhen = \"load1>8\"\nrun = \"logger\"", 3, "no shell"),
            ("[[trigger]]\nwhen = \"load1>8\"\nrun = [\"logger\"]", 3, "absolute path"),
            ("[[trigger]]\nwhen = \"load1>8\"\nrun = []", 3, "0 words"),
            ("[[trigger]]\nwhen = \"load1>8\"\n[[trigger]]\nwhen = \"load1>8\"", 3, "too"),
        ] {
            let config = parse(text);
            let mistakes = config.mistakes();
            let first = mistakes.first().unwrap_or_else(|| panic!("{text}"));
            assert!(first.what.contains(told) && first.line == line, "{text}: {first:?}");
            assert!(config.noticed().is_err());
        }
    }
}
