//! `lmptop panel` as users and scripts meet it: what is right, what is wrong and where, exit codes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory in which nobody but its owner can write, and the configurations in it.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// Runs lmptop with this place as the user's own.
    fn lmptop(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lmptop"));
        command.env("XDG_CONFIG_HOME", self.0.path()).stdin(Stdio::null());
        command.args(args).output().unwrap()
    }

    /// Standard output, standard error and exit status of `panel check`.
    fn check(&self, file: &Path) -> (Vec<String>, String, i32) {
        let out = self.lmptop(&["panel", "check", file.to_str().unwrap()]);
        let lines = text(&out.stdout).lines().map(str::to_owned).collect();
        (lines, text(&out.stderr).to_owned(), out.status.code().unwrap())
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_sample_passes_its_own_check() {
    let place = Place::new();
    let sample = place.lmptop(&["panel", "sample"]);
    assert!(sample.status.success());
    let file = place.write("sample.toml", text(&sample.stdout));
    let (lines, errors, code) = place.check(&file);
    assert_eq!((errors.as_str(), code), ("", 0), "{lines:?}");
    let file = file.display();
    let ends: Vec<bool> = lines.iter().map(|l| l.ends_with(" ok")).collect();
    assert_eq!(ends, [true, true]);
    assert!(lines[0].starts_with(&format!("{file} line ")), "{lines:?}");
}

#[test]
fn each_panel_has_its_line_and_mistakes_end_with_1() {
    let place = Place::new();
    let file = place.write(
        "config.toml",
        "[[panel]]\nname = \"good\"\ncommand = [\"/bin/true\"]\n\
         [[panel]]\nname = \"bad\"\ncomand = [\"/bin/true\"]\ninterval = \"soon\"\n\
         [[panel]]\nname = \"gone\"\ncommand = [\"/no/such/tool\"]\n",
    );
    let (lines, errors, code) = place.check(&file);
    let file = file.display();
    assert_eq!(code, 1);
    assert_eq!(errors, format!("lmptop: 4 mistakes in {file}\n"));
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(lines[0], format!("{file} line 1: good ok"));
    assert!(lines[1].starts_with(&format!("{file} line 4: this panel has no command; write")));
    assert_eq!(
        lines[2],
        format!("{file} line 6: unknown key \"comand\" in [[panel]] (did you mean command?)")
    );
    assert!(lines[3].starts_with(&format!("{file} line 7: \"soon\" is no length of time")));
    assert!(lines[4].starts_with(&format!("{file} line 8: ")), "{lines:#?}");
    assert!(lines[4].contains("gone") && lines[4].contains("/no/such/tool"), "{lines:#?}");
}

#[test]
fn files_that_cannot_be_used_are_one_line() {
    let place = Place::new();
    let long = "#".repeat((1 << 20) + 1);
    for (name, content, said) in [
        ("syntax", "[[panel]\n", "line 1: this is no TOML: "),
        ("bytes", "\u{0}", "line 1: this is no TOML: "),
        ("long", long.as_str(), "is longer than 1024 KiB"),
    ] {
        let file = place.write(name, content);
        let (lines, errors, code) = place.check(&file);
        assert_eq!(code, 1, "{name}");
        let all = lines.join("\n") + &errors;
        assert!(all.contains(&format!("{} {said}", file.display())), "{name}: {all}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let (_, errors, code) = place.check(Path::new("/no/such/config.toml"));
    assert!(errors.starts_with("lmptop: cannot read /no/such/config.toml: "), "{errors}");
    assert_eq!(code, 1);
    let (lines, _, code) = place.check(&place.write("empty.toml", "# nothing\n"));
    assert_eq!((lines[0].ends_with("empty.toml has no panels"), code), (true, 0));
}

#[test]
fn a_configuration_that_others_can_write_is_refused() {
    let place = Place::new();
    let file = place.write("config.toml", "");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    for args in [&["panel", "check"][..], &["panel", "list", "--config"]] {
        let args = [args, &[file.to_str().unwrap()]].concat();
        let out = place.lmptop(&args);
        assert_eq!(out.status.code(), Some(1));
        let said = text(&out.stderr);
        assert!(said.contains("can be written by others") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn programs_that_others_can_change_are_refused() {
    let place = Place::new();
    let tool = place.write("tool", "#!/bin/sh\n");
    fs::set_permissions(&tool, Permissions::from_mode(0o777)).unwrap();
    let loose = place.0.path().join("loose");
    fs::create_dir(&loose).unwrap();
    fs::set_permissions(&loose, Permissions::from_mode(0o777)).unwrap();
    let link = loose.join("link");
    std::os::unix::fs::symlink("/bin/true", &link).unwrap();
    for command in [tool.to_str().unwrap(), link.to_str().unwrap(), "true", "./true"] {
        let text = format!("[[panel]]\nname = \"a\"\ncommand = [\"{command}\"]\n");
        let file = place.write("config.toml", &text);
        let (lines, _, code) = place.check(&file);
        assert_eq!((lines.len(), code), (1, 1), "{command}: {lines:?}");
        let start = format!("{} line 1: panel a: ", file.display());
        assert!(lines[0].starts_with(&start), "{command}: {lines:?}");
    }
}

#[test]
fn hostile_text_is_shown_harmless() {
    let place = Place::new();
    let file = place.write(
        "config.toml",
        "\"\\u001b]52;c;AAAA\\u0007\" = \"\\u202e\"\n[[panel]]\nname = \"\\u001b[2J\"\n",
    );
    let out = place.lmptop(&["panel", "check", file.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    let all = [text(&out.stdout), text(&out.stderr)].concat();
    assert!(!all.contains(|c: char| c.is_control() && c != '\n'), "{all:?}");
    assert!(all.contains("\\x1b]52;c;AAAA\\x07") && all.contains("\\x1b[2J"), "{all}");
}

/// The list as JSON.
fn listed(place: &Place, args: &[&str]) -> Vec<Value> {
    let out = place.lmptop(&[&["panel", "list", "--format", "json"], args].concat());
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn the_list_has_ready_and_configured_panels_and_why_some_cannot_run() {
    let place = Place::new();
    let file = place.write(
        "lmptop/config.toml",
        "[[panel]]\nname = \"good\"\ncommand = [\"/bin/true\", \"x\"]\nstart = \"off\"\n\
         [[panel]]\nname = \"bad\"\ncommand = \"true\"\n",
    );
    let file = file.to_str().unwrap();
    for lines in [listed(&place, &[]), listed(&place, &["--config", file])] {
        let find = |name: &str| lines.iter().find(|l| l["name"] == name).unwrap();
        let df = find("df");
        assert_eq!((&df["from"], &df["runs"]), (&"ready".into(), &true.into()), "{df}");
        let good = find("good");
        assert_eq!(good["from"], file);
        assert_eq!(good["command"], serde_json::json!(["/bin/true", "x"]));
        assert_eq!((&good["start"], &good["runs"]), (&"off".into(), &true.into()));
        let bad = find("bad");
        assert_eq!((&bad["line"], &bad["runs"]), (&5.into(), &false.into()));
        assert!(bad["why"].as_str().unwrap().contains("line 7: command is an array"), "{bad}");
        for line in &lines {
            assert_eq!(line["runs"] == true, line["why"].is_null(), "{line}");
        }
    }
    let table = place.lmptop(&["panel", "list"]);
    let table = text(&table.stdout);
    assert!(table.starts_with("NAME ") && table.contains("\nvfsstat "), "{table}");
    let bad = table.lines().find(|l| l.starts_with("bad ")).unwrap();
    assert!(bad.contains("cannot run: "), "{bad}");
}

const META: &str = r#"version = "1.0.0";
measurements: (
    {
        table_name: "redis_sli",
        entity_name: "redis",
        fields: (
            { description: "process id", type: "key", name: "tgid", },
            { description: "round trip", type: "gauge", name: "max_rtt", }
        )
    }
);
"#;

#[test]
fn a_gala_probe_becomes_a_panel_that_passes_the_check() {
    let place = Place::new();
    let meta = place.write("redis_probe.meta", META);
    let meta = meta.canonicalize().unwrap();
    let meta = meta.to_str().unwrap();
    let out = place.lmptop(&["panel", "import", meta, "--", "/bin/true", "-d", "a\"b"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let want = format!(
        "# Table redis_sli: tgid, max_rtt\n[[panel]]\nname = \"redis_probe\"\n\
         command = [\"/bin/true\", \"-d\", \"a\\\"b\"]\nparse = \"gala:{meta}\"\n"
    );
    assert_eq!(text(&out.stdout), want);
    let (lines, _, code) = place.check(&place.write("config.toml", &want));
    assert_eq!((lines.len(), code), (1, 0), "{lines:?}");
    assert!(lines[0].ends_with(" line 2: redis_probe ok"), "{lines:?}");
    // Beside the configuration, without its directory.
    let near = want.replace(&format!("gala:{meta}"), "gala:redis_probe.meta");
    let (lines, _, code) = place.check(&place.write("config.toml", &near));
    assert_eq!(code, 0, "{lines:?}");
}

#[test]
fn a_meta_file_that_is_none_says_so() {
    let place = Place::new();
    let out = place.lmptop(&["panel", "import", place.write("a.meta", "no").to_str().unwrap()]);
    let errors = text(&out.stderr);
    assert_eq!((out.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    assert!(errors.contains("a.meta: "), "{errors}");
    let out = place.lmptop(&["panel", "import", "/no/such.meta"]);
    assert!(text(&out.stderr).contains("cannot read the meta file /no/such.meta"));
    // Without a command the place where gala-gopher keeps probes is a guess, and said to be.
    let out = place.lmptop(&["panel", "import", place.write("x.meta", META).to_str().unwrap()]);
    assert!(text(&out.stdout).contains("# Put the path of the probe into command.\n"));
}

#[test]
fn usage_is_one_line_and_ends_with_2() {
    let place = Place::new();
    for (args, said) in [
        (&["panel"][..], "check, list, sample, import"),
        (&["panel", "chekc"], "check"),
        (&["panel", "import"], "<META>"),
        (&["panel", "list", "--format", "csv"], "table, json"),
    ] {
        let out = place.lmptop(args);
        let errors = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {errors}");
        assert!(errors.contains(said) && errors.lines().count() == 1, "{args:?}: {errors}");
    }
}
