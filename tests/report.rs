//! A report is one page that holds what was recorded and nothing that was recorded can act in it:
//! read strictly here, and opened in a real browser where there is one.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use lmptop::session::{Info, Mark, Writer, add_mark};
use lmptop::table::{Column, Kind, Nature, Sample, Table, TableDef, Unit};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;
const HOSTILE: [&str; 6] = [
    "</script><script>document.documentElement.dataset.owned=1</script>",
    "\"><img src=x onerror=document.documentElement.dataset.owned=2>",
    "'--><!--<script>\u{202e}\u{2028}\u{2066}abc\u{7}",
    "]]>&lt;b&gt;&#60;i&#62;</td></table></body>",
    "javascript:document.documentElement.dataset.owned=3",
    "${document.documentElement.dataset.owned=4}`",
];

struct Row {
    n: u64,
    text: String,
    number: Option<u64>,
    level: Option<u64>,
}

type C = Column<Row>;
const PROC: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |r| Some(r.n)).unit(Unit::Id),
    C::text("comm", "COMM", Kind::Text, |r| Some(&r.text)),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.number).unit(Unit::Ns),
    C::u64("rss_bytes", "RSS", Kind::Gauge, |r| r.level).unit(Unit::Bytes),
    C::text("argv", "COMMAND", Kind::Text, |r| Some(&r.text)),
];
const HOST: &[C] = &[
    C::text("hostname", "HOST", Kind::Key, |_| Some("h")),
    C::u64("rx_bytes", "RX", Kind::Counter, |r| r.number).unit(Unit::Bytes),
    // More of it than there was time: what is added at once may have come about before.
    C::u64("cpu_some_stall_ns", "CPUSSTAL", Kind::Counter, |r| Some(r.number? * 1_000_000))
        .unit(Unit::Ns),
    C::u64("procs_running", "RUN", Kind::Gauge, |r| r.level),
];
const LIFE: &[C] = &[
    C::u64("time_ns", "TIME", Kind::Gauge, |r| Some(r.n)).unit(Unit::Instant),
    C::text("kind", "KIND", Kind::Text, |r| Some(&r.text)),
];
const STACKS: &[C] = &[
    C::text("comm", "COMM", Kind::Text, |_| Some("sh")),
    C::u64("value_ns", "TIME", Kind::Duration, |r| r.number).unit(Unit::Ns),
    C::text("stack", "STACK", Kind::Stack, |r| Some(&r.text)),
];
const PROBE: &[C] = &[
    C::u64("probe", "PROBE", Kind::Key, |r| Some(r.n)).unit(Unit::Id),
    C::text("state", "STATE", Kind::State, |r| Some(&r.text)),
    C::u64("lost", "LOST", Kind::Counter, |r| r.number),
];

fn table(name: &str, nature: Nature, columns: &'static [C], rows: &[Row]) -> Table {
    TableDef::new(name, nature, columns).table(rows).unwrap()
}

fn row(n: u64, text: &str, number: u64, level: u64) -> Row {
    Row { n, text: text.to_owned(), number: Some(number), level: Some(level) }
}

/// Six samples, a hole of a minute, six samples.
fn session(place: &Path) -> PathBuf {
    let info = Info {
        host: HOSTILE[0].to_owned(),
        kernel: HOSTILE[1].to_owned(),
        lmptop: HOSTILE[2].to_owned(),
        interval_ms: 1000,
        ..Info::default()
    };
    let mut writer = Writer::create(place, info).unwrap();
    for i in (0..6).chain(66..72u64) {
        let mono_ns = (100 + i) * S as u64;
        let procs: Vec<Row> = (0..HOSTILE.len() as u64)
            .map(|n| row(n + 1, HOSTILE[n as usize], i * n * 100_000_000, 1 << (20 + (n + 3) % 6)))
            .collect();
        let missing = Row { n: 99, text: "plain".to_owned(), number: None, level: None };
        let stacks: Vec<Row> = HOSTILE
            .iter()
            .map(|h| row(0, &format!("main;{};read", h.replace(';', "")), 10_000_000, 0))
            .chain([row(0, "main;gzip", 70_000_000, 0)])
            .collect();
        let tables = vec![
            table("host", Nature::State, HOST, &[row(0, "", i * i * 1000, i % 7)]),
            table(
                "proc",
                Nature::State,
                PROC,
                &procs.into_iter().chain([missing]).collect::<Vec<_>>(),
            ),
            table(
                "life",
                Nature::Event,
                LIFE,
                &[row(mono_ns - 5, HOSTILE[(i % 6) as usize], 0, 0)],
            ),
            table("oncpu", Nature::Event, STACKS, &stacks),
            table("probe", Nature::State, PROBE, &[row(1, "ok", 0, 0), row(2, "degraded", 3, 0)]),
        ];
        writer.append(&Sample { mono_ns, wall_ns: START + i as i64 * S, tables }).unwrap();
    }
    let path = writer.path().to_owned();
    writer.finish().unwrap();
    path
}

fn report(session: &Path, page: &Path, more: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .arg("report")
        .arg(session)
        .arg("-o")
        .arg(page)
        .args(more)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    fs::read_to_string(page).unwrap()
}

/// A start tag: its name and attributes.
struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
}

const VOID: [&str; 3] = ["meta", "input", "br"];

/// Reads a page as strictly as no browser does: every element is closed in its order, every
/// attribute is quoted, nothing else looks like markup. Returns the tags and the text.
fn read(page: &str) -> (Vec<Tag>, String) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (mut open, mut tags, mut text) = (Vec::<String>::new(), Vec::new(), String::new());
    while let Some(at) = rest.find('<') {
        let between = &rest[..at];
        assert!(!between.contains('>'), "a loose > in {between:?}");
        for part in between.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|k| part.starts_with(k)), "a loose & before {part:?}");
        }
        text.push_str(between);
        rest = &rest[at + 1..];
        if let Some(name) = rest.strip_prefix('/') {
            let end = name.find('>').unwrap();
            assert_eq!(open.pop().as_deref(), Some(&name[..end]), "closed in another order");
            rest = &name[end + 1..];
            continue;
        }
        let (tag, closed, after) = start(rest);
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style") {
            let end = format!("</{}>", tag.name);
            let inside = &rest[..rest.find(&end).unwrap()];
            assert!(!inside.contains("<!--") && !inside.contains("<script"), "{inside}");
            rest = &rest[inside.len() + end.len()..];
        } else if !closed && !VOID.contains(&tag.name.as_str()) {
            open.push(tag.name.clone());
        }
        tags.push(tag);
    }
    assert!(open.is_empty(), "left open: {open:?}");
    (tags, text)
}

/// A start tag, whether it is closed at once, and what comes after it.
fn start(text: &str) -> (Tag, bool, &str) {
    let name_end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
    let mut tag = Tag { name: text[..name_end].to_owned(), attributes: BTreeMap::new() };
    assert!(!tag.name.is_empty(), "no name at {:?}", &text[..text.len().min(60)]);
    let mut rest = &text[name_end..];
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return (tag, true, after);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, false, after);
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap();
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let end = quoted.find('"').unwrap();
            quoted[..end].clone_into(&mut value);
            assert!(!value.contains('<'), "{value}");
            rest = &quoted[end + 1..];
        }
        assert!(tag.attributes.insert(name, value).is_none(), "an attribute twice");
    }
}

#[test]
fn what_was_recorded_stays_text() {
    let dir = tempfile::tempdir().unwrap();
    let page = report(&session(dir.path()), &dir.path().join("r.html"), &[]);
    let (tags, text) = read(&page);
    let known = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "p",
        "dl",
        "div",
        "dt",
        "dd",
        "ul",
        "li",
        "nav",
        "a",
        "main",
        "section",
        "figure",
        "figcaption",
        "b",
        "span",
        "i",
        "svg",
        "rect",
        "path",
        "output",
        "label",
        "input",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "button",
        "small",
        "noscript",
        "script",
    ];
    for tag in &tags {
        assert!(known.contains(&tag.name.as_str()) || tag.name == "title", "{}", tag.name);
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on") && name != "src" && name != "style", "{name}={value}");
            assert!(name != "href" || value.starts_with('#'), "{value}");
        }
    }
    assert_eq!(tags.iter().filter(|t| t.name == "script").count(), 2);
    let policy =
        tags.iter().find_map(|t| t.attributes.get("content").filter(|c| c.contains("default-src")));
    assert!(policy.unwrap().starts_with("default-src 'none';"));
    for no in ["http:", "https:", "url(", "@import", "\u{202e}", "\u{2028}", "\u{2066}", "\u{7}"] {
        assert!(!page.contains(no), "{no:?}");
    }
    for told in ["\\u{202e}", "&lt;img src=x", "degraded", "no samples for 1m01", "&amp;lt;b"] {
        assert!(text.contains(told), "{told}");
    }
}

#[test]
fn numbers_are_numbers_and_a_gap_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let page = report(&session(dir.path()), &dir.path().join("r.html"), &[]);
    let begin = "<script type=\"application/json\" id=\"data\">";
    let data = page.split_once(begin).unwrap().1.split_once("</script>").unwrap().0;
    assert!(!data.contains(['<', '>', '&']));
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let flame = &data["flames"][0];
    assert_eq!((flame["id"].as_str(), flame["unit"].as_str()), (Some("oncpu"), Some("ns")));
    // sh and main: 12 samples of 6 * 10 + 70 ms.
    assert_eq!(flame["frames"][0], serde_json::json!([0, 0, 6, 1_560_000_000]));
    let names: Vec<&str> =
        flame["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert!(names.contains(&"gzip") && names.iter().any(|n| n.contains("</script>")), "{names:?}");
    assert_eq!(flame["total"], 1_560_000_000u64, "what all shares are of");
    // A share of the time ends at all of it, and so does its axis.
    let line = &data["charts"][0]["lines"][0];
    let most = |line: &serde_json::Value| {
        line.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).fold(0.0, f64::max)
    };
    assert_eq!((line[0].as_str(), most(&line[1]), most(&line[2])), (Some("for a CPU"), 100., 100.));
    let plot = page.split("<b>Some task waits</b>").nth(1).unwrap();
    let top = plot.split("<span class=\"top\">").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(top, "100%");
    // A counter is there as its rate, and nothing is made up where no sample was.
    let line = &data["charts"][1]["lines"][0];
    assert_eq!(line[0], "received");
    let rates = line[1].as_array().unwrap();
    assert!(rates.iter().filter(|r| r.is_null()).count() > 55, "{rates:?}");
    assert_eq!(rates[2], 3000.0);
    assert!(page.contains("class=\"gap\""));
    let path = page.split("<path class=\"l0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(path.matches('M').count(), 2, "one line before the gap and one after: {path}");
    // The largest is first; what is missing is no zero.
    let proc = page.split("id=\"t-proc\"").nth(1).unwrap();
    assert!(proc.contains("<td class=\"n\" data-v=\"6\">6</td>"));
    assert!(proc.contains("<td class=\"n\">-</td>"));
}

#[test]
fn a_range_holds_only_that_range_and_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path());
    let page = report(&session, &dir.path().join("r.html"), &["--from", "+66s"]);
    assert!(page.contains("<dt>Samples</dt><dd>6</dd>"), "{page}");
    assert!(!page.contains("class=\"gap\""));
    let out = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["report", session.to_str().unwrap(), "--from", "+10s", "--to", "+20s", "-o"])
        .arg(dir.path().join("no.html"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("nothing was recorded then"), "{said}");
}

#[test]
fn marks_of_the_range_are_listed_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path());
    let marks = [(3, "deploy"), (4, ""), (66, HOSTILE[0]), (71, HOSTILE[1])];
    for (at, note) in marks {
        add_mark(&session, &Mark { at: START + at * S, note: note.to_owned() }).unwrap();
    }
    let listed = |page: &str| -> Vec<String> {
        read(page);
        let Some((_, list)) = page.split_once("<div class=\"marks\">") else { return Vec::new() };
        let list = list.split_once("</div>").unwrap().0;
        list.split("<li>").skip(1).map(str::to_owned).collect()
    };
    let page = report(&session, &dir.path().join("r.html"), &[]);
    let list = listed(&page);
    assert_eq!(list.len(), 4);
    let time = clock_of(START + 3 * S);
    assert!(list[0].starts_with(&format!("<b>{time}</b> deploy<")), "{}", list[0]);
    let (charts, signs) =
        (page.matches("<figure class=\"chart\"").count(), page.matches("class=\"sign\"").count());
    assert!(charts > 0 && signs == 4 * charts, "{charts} {signs}");
    assert!(page.contains("<title>mark: deploy</title>") && page.contains("<title>mark</title>"));
    let page = report(&session, &dir.path().join("r.html"), &["--from", "+66s", "--to", "+70s"]);
    assert_eq!(listed(&page).len(), 1);
    // Marks that cannot be read are told, and the rest is there.
    let mut bytes = fs::read(session.join("marks")).unwrap();
    bytes[12] ^= 1;
    fs::write(session.join("marks"), bytes).unwrap();
    let page = report(&session, &dir.path().join("r.html"), &[]);
    assert_eq!(listed(&page).len(), 3);
    assert!(page.contains("<li>1 mark is damaged and not shown</li>"));
}

/// As the page writes times, in UTC.
fn clock_of(at: i64) -> String {
    lmptop::table::clock::date_and_clock(at, &jiff::tz::TimeZone::UTC)
}

/// A browser, if there is one.
fn browser() -> Option<PathBuf> {
    let named = env::var_os("LMPTOP_CHROMIUM").map(PathBuf::from);
    let dirs: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        || names.iter().flat_map(|n| dirs.iter().map(move |d| d.join(n))).find(|p| p.is_file());
    named.or_else(found)
}

/// The page after its script ran, and what was said on the console. It has no network.
fn opened(browser: &Path, dir: &Path, page: &Path, link: &str) -> (String, String) {
    let (dom, log) = (dir.join("dom"), dir.join("log"));
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("file://{}{link}", page.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&dom).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end: {}", fs::read_to_string(&log).unwrap());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let log = fs::read(&log).unwrap();
    let log = String::from_utf8_lossy(&log);
    let said: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
    (fs::read_to_string(dom).unwrap(), said.join("\n"))
}

#[test]
fn a_browser_sorts_zooms_searches_and_complains_of_nothing() {
    let Some(browser) = browser() else {
        let required = env::var_os("LMPTOP_REQUIRE_WITNESS").is_some_and(|v| v == "1");
        assert!(!required, "no chromium here; run make deps-witness");
        println!("skipped: no chromium here; install it or name one in LMPTOP_CHROMIUM");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("r.html");
    let text = report(&session(dir.path()), &page, &[]);
    let link = "#sort=proc,rss_bytes&filter=life,script&zoom=oncpu,main&find=oncpu,gzip";
    let (dom, said) = opened(&browser, dir.path(), &page, link);
    assert_eq!(said, "", "the console");
    assert!(dom.contains("data-ready=\"yes\""), "the script ended early");
    assert!(!dom.contains("data-owned") && !dom.contains("<img"), "recorded text acted");
    assert!(dom.contains("data-zoom=\"main\""));
    assert!(dom.contains("1 frames, 840 ms, 53.8%"), "searched");
    let proc = dom.split("id=\"t-proc\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(proc.contains("aria-sort=\"ascending\" data-id=\"rss_bytes\""), "{proc}");
    let pids: Vec<&str> = proc
        .split("<tr><td>")
        .skip(1)
        .map(|r| r.split("data-v=\"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    // The levels were given out from the fourth on; the one without a level is the last.
    assert_eq!(pids, ["4", "5", "6", "1", "2", "3", "99"]);
    let life = dom.split("id=\"t-life\"").nth(1).unwrap();
    let hidden = life.split("</section>").next().unwrap().matches("<tr hidden=\"\">").count();
    assert_eq!(hidden, 6, "two of three kinds of text hold the word");
    // All frames are drawn without a link, and half a name is found by nobody.
    let (dom, said) = opened(&browser, dir.path(), &page, "#zoom=nothing,x&find=oncpu&sort=%E0,x");
    assert_eq!((said.as_str(), dom.contains("data-zoom=\"all\"")), ("", true));
    // Shares are of all there was, also of what is not drawn.
    let more = text.replace("\"total\":1560000000", "\"total\":3120000000");
    fs::write(&page, more).unwrap();
    let (dom, said) = opened(&browser, dir.path(), &page, "#find=oncpu,gzip");
    assert_eq!((said.as_str(), dom.contains("1 frames, 840 ms, 26.9%")), ("", true));
    // Whether an error would have been seen at all.
    let broken = text.replace("\"use strict\";", "\"use strict\"; throw new Error(\"seen\");");
    fs::write(&page, broken).unwrap();
    let (dom, said) = opened(&browser, dir.path(), &page, "");
    assert!(said.contains("seen") && !dom.contains("data-ready=\"yes\""), "{said}");
}
