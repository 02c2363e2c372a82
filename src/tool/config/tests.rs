//! Mistakes and their lines, the sample, and files made to do harm.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::table::{Kind, Unit, is_clean};
use crate::tool::parse::{Format, Hint, Mode};
use crate::tool::spec::{ColumnSpec, Limits, Match, Panel, Restart, Start};

fn parse(text: &str) -> Config {
    Config::parse(Path::new("/etc/lmptop/config.toml"), text, &|path| match path.to_str() {
        Some("/etc/lmptop/good.meta") => Ok(vec![GalaTable::default()]),
        _ => Err(format!("cannot read {}", path.display())),
    })
}

/// Every mistake, as `lmptop panel check config.toml` shows it.
fn said(text: &str) -> Vec<String> {
    let config = parse(text);
    config.mistakes().into_iter().map(|m| told(Path::new("config.toml"), m)).collect()
}

/// A panel with a name, a command and `more`, which begins in line 4.
fn panel(more: &str) -> String {
    format!("[[panel]]\nname = \"a\"\ncommand = [\"/bin/a\"]\n{more}\n")
}

#[track_caller]
fn specs(text: &str) -> Vec<Spec> {
    parse(text).specs().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn defaults_of_a_panel() {
    let all = specs(&panel(""));
    let [spec] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(spec.name, "a");
    assert_eq!(spec.argv, ["/bin/a"]);
    assert!(!spec.pipe && spec.columns.is_empty() && spec.interval.is_none());
    assert_eq!(spec.hint, Hint::default());
    assert_eq!(spec.start, Start::On);
    assert_eq!(spec.restart, Restart::default());
    assert_eq!(spec.restart.max, 3);
    let limits = Limits { rows_per_s: Some(10_000), memory: Some(256 << 20), cpu: Some(50.0) };
    assert_eq!(spec.limits, limits);
    let panel = spec.panel.as_ref().unwrap();
    assert_eq!(panel.file, Path::new("/etc/lmptop/config.toml"));
    assert_eq!((&panel.user, panel.env.len()), (&None, 0));
}

/// The sample with all that is commented out said.
fn outspoken() -> String {
    let lines = SAMPLE.lines().filter(|l| *l != "start = \"off\"").map(|l| {
        let rest = l.strip_prefix('#').filter(|r| !r.starts_with(' ') || r.starts_with("    "));
        rest.unwrap_or(l)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_is_right_as_it_is_and_with_everything_said() {
    let plain = specs(SAMPLE);
    assert_eq!(plain.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["disks", "filesystems"]);
    assert_eq!(plain[1].start, Start::Off);
    assert_eq!(plain[1].restart, Restart::default());
    assert_eq!(plain[1].limits, LIMITS_OF_PANELS);
    let all = specs(&outspoken());
    let full = &all[1];
    assert_eq!(full.interval, Some(Duration::from_secs(60)));
    let text = |s: &str| Some(s.to_owned());
    let process = Match {
        comm: text("nginx"),
        cmdline: text("worker"),
        cgroup: text("/system.slice"),
        unit: text("nginx.service"),
    };
    assert_eq!(full.start, Start::Match(process));
    let hint = Hint {
        format: Some(Format::Table),
        key: vec!["Filesystem".to_owned()],
        mode: Some(Mode::Snapshot),
        time: text("TIME"),
    };
    assert_eq!(full.hint, hint);
    let column = |name: &str| ColumnSpec { name: name.to_owned(), ..ColumnSpec::default() };
    let columns = [
        ColumnSpec { rename: text("device"), kind: Some(Kind::Key), ..column("Filesystem") },
        ColumnSpec { kind: Some(Kind::Gauge), unit: Some(Unit::Percent), ..column("Use%") },
        ColumnSpec { drop: true, ..column("Type") },
    ];
    assert_eq!(full.columns, columns);
    assert_eq!(full.restart, Restart::default(), "the comments show the values that hold");
    assert_eq!(full.limits, LIMITS_OF_PANELS, "the comments show the values that hold");
    let Some(Panel { user, env, .. }) = &full.panel else { panic!("{full:?}") };
    assert_eq!((user.as_deref(), env.len()), (Some("nobody"), 1));
    for key in panel::KEYS {
        assert!(outspoken().lines().any(|l| l.starts_with(&format!("{key} = "))), "{key}");
    }
    assert!(parse(SAMPLE).noticed().unwrap().is_empty());
    let triggers = parse(&outspoken()).noticed().unwrap();
    let [only] = &triggers[..] else { panic!("{triggers:?}") };
    let shown = crate::trigger::Trigger::of(only.rule.clone());
    let said = (only.before, only.after, only.cooldown, only.bell);
    let held = (shown.before, shown.after, shown.cooldown, shown.bell);
    assert_eq!(said, held, "the comments show the values that hold");
    assert_eq!(only.run, ["/usr/bin/logger", "memory is short"]);
}

#[test]
fn values_are_read() {
    let one = |more: &str| specs(&panel(more)).remove(0);
    assert_eq!(one("interval = 2.5").interval, Some(Duration::from_millis(2500)));
    assert_eq!(one("interval = \"500ms\"").interval, Some(Duration::from_millis(500)));
    assert_eq!(one("limits = {memory = 0x100000}").limits.memory, Some(1 << 20));
    assert_eq!(one("limits = {memory = 5_000_000}").limits.memory, Some(5_000_000));
    assert_eq!(one("limits = {cpu = 150}").limits.cpu, Some(150.0));
    assert_eq!(one("[panel.limits]\ncpu = \"0.5%\"").limits.cpu, Some(0.5));
    let none = one("limits = {cpu = \"none\", memory = \"none\", rows_per_s = \"none\"}").limits;
    assert_eq!(none, Limits::default());
    assert_eq!(one("restart = {max = 0}").restart.max, 0);
    assert_eq!(
        one("parse = \"gala:good.meta\"").hint.format,
        Some(Format::Gala(vec![GalaTable::default()]))
    );
    let env = "[panel.env]\nA = \"\"\nB_2 = \"x\"";
    let two = vec![("A".to_owned(), String::new()), ("B_2".to_owned(), "x".to_owned())];
    assert_eq!(one(env).panel.unwrap().env, two);
    let argv =
        specs("[[panel]]\nname = \"a\"\ncommand = [\"/bin/a\", \"\", \"x y\"]")[0].argv.clone();
    assert_eq!(argv, ["/bin/a", "", "x y"]);
    assert!(
        specs("").is_empty() && specs("# nothing\n").is_empty() && specs("panel = []").is_empty()
    );
}

#[test]
fn some_columns_are_kept_or_left_out() {
    let drops = |more: &str, titles: &[&str]| {
        let specs = specs(&panel(more));
        let each = ColumnSpec::each(&specs[0].columns, titles);
        each.into_iter().map(|c| c.drop).collect::<Vec<_>>()
    };
    let keep = "columns = [{name = \"A\", keep = true}, {name = \"B\", unit = \"ms\"}]";
    assert_eq!(drops(keep, &["A", "B", "C"]), [false, true, true]);
    assert_eq!(drops(keep, &["B", "C"]), [false, false], "a table without what is kept");
    for drop in ["keep = false", "drop = true"] {
        let columns = format!("columns = [{{name = \"A\", {drop}}}]");
        assert_eq!(drops(&columns, &["A", "B"]), [true, false]);
    }
}

#[test]
fn each_mistake_has_its_line_and_what_is_meant() {
    let cases: &[(&str, &str)] = &[
        ("comand = 1", "unknown key \"comand\" in [[panel]] (did you mean command?)"),
        ("zzzz = 1", "unknown key \"zzzz\" in [[panel]]; there are name, command, pipe, parse"),
        ("pipe = \"yes\"", "a string cannot stand here; pipe is true or false"),
        ("parse = \"tabel\"", "no form is called \"tabel\" (did you mean table?); there are table"),
        ("parse = \"gala:none.meta\"", "cannot read /etc/lmptop/none.meta"),
        ("parse = [\"csv\"]", "an array cannot stand here; parse is a string, like"),
        (
            "key = \"PID\"",
            "a string cannot stand here; key is an array of headers, like key = [\"PID\"]",
        ),
        ("key = [1]", "a number cannot stand here; key is an array of headers"),
        ("mode = \"snap\"", "\"snap\" is no mode; it is one of append, snapshot, replace"),
        ("mode = \"snapshots\"", "\"snapshots\" is no mode (did you mean snapshot?); it is one of"),
        (
            "parse = \"columns:PID,COMM\"\nkey = [\"PID\", \"TID\"]",
            "\"TID\" is none of the columns of parse",
        ),
        ("time = \"\"", "an empty string; time is the header of a column"),
        ("interval = \"5\\u0000s\"", "a NUL character in \"5\\x00s\"; leave it out"),
        (
            "interval = \"soon\"",
            "\"soon\" is no length of time; write 1s, 500ms or 2h; interval is",
        ),
        (
            "interval = 0",
            "\"0\" is not from 100ms to 86400s; interval is the time between two runs",
        ),
        ("interval = -1", "\"-1\" is no length of time"),
        ("interval = 1e300", "\"1e300\" is no length of time"),
        ("interval = nan", "\"nan\" is no length of time"),
        ("interval = 2026-11-21", "a date cannot stand here; interval is"),
        ("start = \"auto\"", "\"auto\" is no start; it is one of on, off, match"),
        ("start = \"match\"", "which process? add match = { comm = \"nginx\" }"),
        ("match = {comm = \"a\"}", "match works with start = \"match\" only; write that too"),
        ("start = \"match\"\nmatch = {}", "nothing to match; match is a table, like"),
        ("start = \"match\"\nmatch = \"a\"", "a string cannot stand here; match is a table, like"),
        (
            "start = \"match\"\nmatch = {com = \"a\"}",
            "unknown key \"com\" in match (did you mean comm?)",
        ),
        (
            "start = \"match\"\nmatch = {comm = \"systemd-journald\"}",
            "\"systemd-journald\": no process has it: the kernel cuts names to 15 bytes; use cmdline",
        ),
        ("start = \"match\"\nmatch = {cgroup = \"a\"}", "\"a\": a cgroup's path begins with /"),
        ("start = \"match\"\nmatch = {unit = \"a\"}", "\"a\": a unit's name ends with .service or"),
        ("restart = 3", "a number cannot stand here; restart is a table, like restart = {"),
        ("restart = {max = -1}", "-1 is not from 0 to 1000; max is how often"),
        ("restart = {max = 99999999999999999999}", "99999999999999999999 is not from 0 to 1000"),
        ("restart = {max = 3.5}", "a number cannot stand here; max is how often"),
        ("restart = {backoff = \"2m\"}", "\"2m\" is not from 100ms to 60s; backoff is"),
        ("restart = {reset = \"1ms\"}", "\"1ms\" is not from 1s to"),
        ("limits = {cpu = \"10\u{202e}%\"}", "unknown unit"),
        (
            "limits = {cpu = \"64M\"}",
            "\"64M\" is not from 0.1% to 100000%; cpu is per cent of one CPU",
        ),
        ("limits = {cpu = 0}", "\"0\" is not from 0.1% to 100000%"),
        ("limits = {cpu = \"1s\"}", "cpu is per cent; cpu is per cent of one CPU, like"),
        ("limits = {memory = \"10%\"}", "memory is bytes; memory is a size, like"),
        (
            "limits = {memory = 64}",
            "\"64\" is not from 1048576 to 1125899906842624 bytes; memory is",
        ),
        ("limits = {mem = \"64M\"}", "unknown key \"mem\" in limits"),
        ("limits = {rows_per_s = 0}", "0 is not from 1 to 100000000; rows_per_s is how many"),
        ("user = \"no body\"", "\"no body\" is no user's name; user is the name of a user"),
        ("user = 0", "a number cannot stand here; user is the name of a user"),
        ("env = {\"A=B\" = \"x\"}", "\"A=B\" is no name of a variable; env is a table of strings"),
        ("env = {A = 1}", "a number cannot stand here; env is a table of strings"),
        ("env = [\"A=1\"]", "an array cannot stand here; env is a table of strings"),
        ("columns = [\"PID\"]", "a string cannot stand here; columns is an array of tables"),
        ("columns = [{}]", "which column? write name = and its header"),
        ("columns = [{name = \"A\", titel = \"b\"}]", "unknown key \"titel\" in columns"),
        (
            "columns = [{name = \"A\", kind = \"label\"}]",
            "\"label\" is no kind; it is one of key, text,",
        ),
        (
            "columns = [{name = \"A\", unit = \"byte\"}]",
            "\"byte\" is no unit (did you mean bytes?)",
        ),
        ("columns = [{name = \"A\"}, {name = \"A\"}]", "column \"A\" stands here twice"),
        (
            "columns = [{name = \"A\"}, {name = \"B\", rename = \"A\"}]",
            "two columns would be called \"A\"",
        ),
        (
            "columns = [{name = \"A\", keep = true, drop = true}]",
            "keep and drop contradict each other",
        ),
        ("name = \"b\"", "this is no TOML: duplicate key \"name\""),
        ("key = [", "this is no TOML: "),
        ("key = ", "this is no TOML: "),
    ];
    for (more, want) in cases {
        let said = said(&panel(more));
        let line = 4 + more.matches('\n').count();
        let want = format!("config.toml line {line}: {want}");
        assert!(said.first().is_some_and(|s| s.starts_with(&want)), "{more}\n{said:#?}\n{want}");
        assert!(said.iter().all(|s| is_clean(s)), "{said:?}");
    }
}

#[test]
fn names_commands_and_what_is_around_panels() {
    let cases: &[(&str, &[&str])] = &[
        (
            "\n\n[[panel]]\n",
            &[
                "line 3: this panel has no name; write name = \"mytool\"",
                "line 3: this panel has no command; write command = [\"/usr/bin/vmstat\", \"1\"]",
            ],
        ),
        (
            "[[panel]]\nname = \"net\"\ncommand = [\"/bin/a\"]",
            &["line 2: net is a table of lmptop's own; choose another name"],
        ),
        (
            "[[panel]]\nname = \"a b\"\ncommand = [\"/bin/a\"]",
            &["line 2: \"a b\" is no name for a panel; take up to 32 letters, digits, _ . or -"],
        ),
        (
            "[[panel]]\nname = 7\ncommand = [\"/bin/a\"]",
            &["line 2: a number cannot stand here; name is a string, like name = \"mytool\""],
        ),
        (
            "[[panel]]\nname = \"a\"\ncommand = \"/usr/bin/vmstat -w 1\"",
            &["line 3: command is an array, because no shell is started; \
             write command = [\"/usr/bin/vmstat\", \"-w\", \"1\"]"],
        ),
        (
            "[[panel]]\nname = \"a\"\ncommand = []",
            &["line 3: 0 words; command is an array, like command = [\"/usr/bin/vmstat\", \"1\"]"],
        ),
        (
            "[[panel]]\nname = \"a\"\ncommand = [\"\"]",
            &[
                "line 3: an empty string; command is an array, like command = [\"/usr/bin/vmstat\", \"1\"]",
            ],
        ),
        (
            "[[panel]]\nname = \"a\"\ncommand = [\n\"/bin/a\",\n1]",
            &["line 5: a number cannot stand here; command is an array, like \
             command = [\"/usr/bin/vmstat\", \"1\"]"],
        ),
        (
            "[[panel]]\nname=\"a\"\ncommand=[\"/b\"]\n[[panel]]\nname=\"a\"\ncommand=[\"/b\"]",
            &["line 5: the panel of line 1 is called a too"],
        ),
        ("[panel]\nname = \"a\"", &["line 1: write [[panel]] with two brackets on each side"]),
        ("x = 3", &["line 1: unknown key \"x\" in the file; there are panel, trigger"]),
        ("panel = 3", &["line 1: write [[panel]] with two brackets on each side"]),
        ("panel = [3]", &["line 1: a number cannot stand here; write [[panel]] above its keys"]),
        (
            "[[pannel]]\nname = \"a\"",
            &["line 1: unknown key \"pannel\" in the file (did you mean panel?)"],
        ),
        (
            "name = \"a\"\n[[panel]]\nname=\"a\"\ncommand=[\"/b\"]\nx=1",
            &[
                "line 1: name belongs below a [[panel]]",
                "line 5: unknown key \"x\" in [[panel]]; there are",
            ],
        ),
    ];
    for (text, want) in cases {
        let said = said(text);
        assert_eq!(said.len(), want.len(), "{text}\n{said:#?}");
        for (said, want) in said.iter().zip(*want) {
            assert!(said.starts_with(&format!("config.toml {want}")), "{said}\n{want}");
        }
    }
}

#[test]
fn one_wrong_panel_takes_the_others_not_along_but_the_file() {
    let text = format!("{}[[panel]]\nname = \"b\"\ncomand = []\n", panel(""));
    let config = parse(&text);
    assert!(config.panels[0].spec.is_ok());
    assert_eq!((config.panels[1].line, config.panels[1].name.as_str()), (5, "b"));
    assert_eq!(config.panels[1].spec.as_ref().unwrap_err().len(), 2);
    let refused = config.specs().unwrap_err().to_string();
    assert_eq!(
        refused,
        "/etc/lmptop/config.toml line 5: this panel has no command; write command = \
         [\"/usr/bin/vmstat\", \"1\"]; lmptop panel check /etc/lmptop/config.toml tells the rest"
    );
}

/// Reads a file made to do harm: harmless lines come of it, few and soon.
#[track_caller]
fn bears(text: &str) -> Vec<String> {
    let start = Instant::now();
    let said = said(text);
    assert!(said.len() <= 64 * 20 + 20, "{}", said.len());
    for line in &said {
        assert!(is_clean(line) && line.len() < 1000, "{line}");
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    said
}

#[test]
fn harmful_files_are_borne() {
    let many: String = (0..10_000)
        .map(|i| format!("[[panel]]\nname = \"p{i}\"\ncommand = [\"/bin/a\"]\nx = 1\n"))
        .collect();
    let said = bears(&many);
    assert_eq!(said.len(), 65);
    assert_eq!(said[64], "config.toml line 257: 10000 panels; a file can have 64");
    assert_eq!(
        bears(
            &panel("a = 1\n")
                .replace("a = 1", &(0..50_000).map(|i| format!("k{i} = 1\n")).collect::<String>())
        )
        .len(),
        20
    );
    let deep = bears(&panel(&format!("key = {}", "[".repeat(100_000))));
    assert!(deep[0].contains("recurs"), "{deep:?}");
    bears(&panel(&format!("key = {}{}", "[".repeat(70), "]".repeat(70))));
    bears(&panel(&format!("a{} = 1", ".a".repeat(100_000))));
    bears(&format!("[{}]", vec!["a"; 300_000].join(".")));
    bears(&panel(&"{".repeat(100_000)));
    bears(&panel(&format!("restart = {{max = {}}}", "9".repeat(500_000))));
    bears(&panel(&format!("interval = 1e{}", "9".repeat(500_000))));
    bears(&panel(&format!("interval = \"{}s\"", "9".repeat(500_000))));
    bears(&panel(&format!("limits = {{memory = \"{}\"}}", "9M".repeat(250_000))));
    bears(&panel(&format!("parse = \"columns:{}\"", ",".repeat(500_000))));
    bears(&panel(&format!("{} = 1", "k".repeat(1 << 19))));
    bears(&panel(&format!("user = \"{}\"", "\\u202E\\u0007".repeat(1000))));
    bears(&panel("\"\\u001b[2J\\u0000\" = 1"));
    for text in ["\0", "\x1b]52;c;AAAA\x07", "[[panel]]\nname = \"\0\"", "\u{feff}", "\r\r\n", "="]
    {
        bears(text);
    }
    let columns: String =
        (0..20_000).map(|i| format!("[[panel.columns]]\nname = \"c{i}\"\n")).collect();
    assert_eq!(bears(&panel(&columns)).len(), 1);
}

/// xorshift64: the same mutations at every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

#[test]
fn mutations_of_the_sample_are_borne() {
    const BITS: [&str; 20] = [
        "[[panel]]\n",
        "\"",
        "'''",
        "]",
        "[",
        "{",
        "}",
        "=",
        ",",
        "\n",
        "\0",
        "\u{202e}",
        "#",
        ".",
        "-9999999999999999999",
        "1e999",
        "0x",
        "inf",
        "2026-11-21T",
        "name",
    ];
    let texts = [SAMPLE.to_owned(), outspoken()];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut wrong = 0;
    for round in 0..2000 {
        let mut text: Vec<char> = texts[round % 2].chars().collect();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len());
            match dice.below(4) {
                0 => {
                    text.remove(at);
                }
                1 => {
                    let end = text.len().min(at + dice.below(80));
                    text.drain(at..end);
                }
                2 => text[at] = char::from(u8::try_from(dice.below(128)).unwrap()),
                _ => {
                    let bit: Vec<char> = BITS[dice.below(BITS.len())].chars().collect();
                    text.splice(at..at, bit);
                }
            }
        }
        wrong += usize::from(!bears(&text.into_iter().collect::<String>()).is_empty());
    }
    assert!((100..2000).contains(&wrong), "{wrong} of 2000 had mistakes");
}
