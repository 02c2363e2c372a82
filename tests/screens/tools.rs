//! Tables found in tools' outputs on the screen: panes, sparklines, graphs, versions, hostile text.

use jiff::tz::TimeZone;
use lmptop::app::{Effect, Mode, Msg, Overlay, State};
use lmptop::command::past::Past;
use lmptop::session::{Reader, Writer};
use lmptop::table::{Order, Sample, Table};
use lmptop::tool::parse::{Cell, Heading, Mode as Rowing, Sink, Title};
use lmptop::tool::rows::{Line, Rows, Why};
use lmptop::tool::spec::Spec;
use lmptop::tool::status::{self, Fate};
use lmptop::view::theme::{Glyphs, Palette, Theme};
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr;

use super::scene::*;

macro_rules! shot {
    ($name:expr, $stage:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $stage.text());
        })
    };
}

/// Rows of a tool's output as the typing code makes tables of them.
struct Output {
    rows: Rows,
    mode: Rowing,
    key: Vec<usize>,
    time: Option<usize>,
    table: usize,
}

impl Output {
    fn new(tool: &str, mode: Rowing) -> Output {
        let rows = Rows::new(&Spec::typed(tool.to_owned(), Vec::new()), TimeZone::UTC);
        Output { rows, mode, key: Vec::new(), time: None, table: 0 }
    }

    fn key(mut self, key: &[usize]) -> Output {
        self.key = key.to_vec();
        self
    }

    fn time(mut self, time: usize) -> Output {
        self.time = Some(time);
        self
    }

    fn head(&mut self, titles: &[&str]) {
        let title = |t: &&str| Title { text: (*t).to_owned(), ..Title::default() };
        self.rows.heading(&Heading {
            table: self.table,
            label: String::new(),
            titles: titles.iter().map(title).collect(),
            mode: self.mode,
            key: self.key.clone(),
            time: self.time,
            how: "columns",
            sure: 0.97,
        });
    }

    /// The table of these lines, printed `age` seconds into the scene.
    fn lines(&mut self, age: u64, lines: &[String]) -> Table {
        self.rows.at(WALL + (age * S) as i64 - 100_000_000);
        for line in lines {
            let cells: Vec<Cell<'_>> = line.split('|').map(|c| Cell::Raw(c.trim())).collect();
            self.rows.row(self.table, &cells);
        }
        self.rows.end(self.table);
        self.rows.commit().unwrap().pop().expect("a table").table
    }
}

fn fate(tool: &str) -> Fate {
    Fate {
        tool: tool.to_owned(),
        state: "running",
        pid: Some(4242),
        rows: 12,
        lines: 14,
        how: "columns",
        sure: Some(97.0),
        ..Fate::default()
    }
}

fn said(age: u64, tool: &str, why: Why, text: &str) -> (String, Line) {
    let wall_ns = WALL + (age * S) as i64 - 500_000_000;
    (tool.to_owned(), Line { wall_ns, why, text: text.to_owned() })
}

/// A sample of tools alone.
fn tools(age: u64, tables: Vec<Table>, fates: &[Fate], text: Vec<(String, Line)>) -> Sample {
    let mut tables = tables;
    tables.push(status::fates(fates).unwrap());
    tables.push(status::texts(text).unwrap());
    Sample { mono_ns: MONO + age * S, wall_ns: WALL + (age * S) as i64, tables }
}

/// The same beside the machine's own tables.
fn beside(mut tools: Sample, age: u64) -> Sample {
    let mut all = sample(age).tables;
    all.append(&mut tools.tables);
    Sample { tables: all, ..tools }
}

const VMSTAT: [&str; 17] = [
    "r", "b", "swpd", "free", "buff", "cache", "si", "so", "bi", "bo", "in", "cs", "us", "sy",
    "id", "wa", "st",
];

fn vmstat(n: u64) -> Vec<Sample> {
    let mut out = Output::new("vmstat", Rowing::Append);
    out.head(&VMSTAT);
    (0..n)
        .map(|age| {
            let busy = age * 7 % 13;
            let line = format!(
                "{}|0|0|{}|203212|{}|0|0|{}|{}|{}|{}|{}|{}|{}|0|0",
                1 + age % 3,
                5_013_248 - age * 1_024,
                2_601_536 + age * 96,
                age % 2 * 48,
                busy * 12,
                1_204 + busy * 40,
                2_310 + busy * 77,
                3 + busy,
                1 + age % 2,
                96 - busy - age % 2,
            );
            tools(age, vec![out.lines(age, &[line])], &[fate("vmstat")], Vec::new())
        })
        .collect()
}

const IOSTAT: [&str; 14] = [
    "Device", "r/s", "rkB/s", "rrqm/s", "%rrqm", "r_await", "rareq-sz", "w/s", "wkB/s", "wrqm/s",
    "%wrqm", "w_await", "aqu-sz", "%util",
];

fn iostat(n: u64) -> Vec<Sample> {
    let mut out = Output::new("iostat", Rowing::Snapshot).key(&[0]);
    out.head(&IOSTAT);
    (0..n)
        .map(|age| {
            let line = |name: &str, k: u64| {
                let w = (age * k) % 17;
                format!(
                    "{name}|{}.50|{}.00|0.00|0.00|0.{k}3|16.00|{w}.00|{}.25|0.10|1.0{k}|1.2{k}|0.0{k}|{}.{k}0",
                    k * 3,
                    k * 48,
                    w * 24,
                    w * 5
                )
            };
            let lines = [line("sda", 1), line("nvme0n1", 3), line("dm-0", 5)];
            tools(age, vec![out.lines(age, &lines)], &[fate("iostat")], Vec::new())
        })
        .collect()
}

fn vfsstat(n: u64) -> Vec<Sample> {
    let mut out = Output::new("vfsstat", Rowing::Append).time(0);
    out.head(&["TIME", "READ/s", "WRITE/s", "CREATE/s", "OPEN/s", "FSYNC/s"]);
    (0..n)
        .map(|age| {
            let line = format!("12:03:{:02}:|{}|{}|0|{}|0", 7 + age, 1_368 * (age + 1), 105, 61);
            beside(tools(age, vec![out.lines(age, &[line])], &[fate("vfsstat")], Vec::new()), age)
        })
        .collect()
}

/// A screen that a tool was started with.
fn stage(width: u16, height: u16, want: &str, samples: Vec<Sample>) -> Stage {
    let mut stage = Stage::new(width, height);
    stage.state = State::new((width, height), Mode::Live, TimeZone::UTC, Some(want));
    stage.live(samples);
    stage
}

/// A recording of these samples, opened.
fn recorded(samples: &[Sample]) -> (TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for sample in samples {
        writer.append(sample).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    (place, reader)
}

fn titles(stage: &Stage) -> Vec<String> {
    stage.state.panes.iter().map(|p| p.pane.title.clone()).collect()
}

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (120, 40)];

#[test]
fn a_log_a_snapshot_and_a_tool_with_its_own_time() {
    for (w, h) in SIZES {
        shot!(format!("tool_vmstat_{w}x{h}"), stage(w, h, "vmstat", vmstat(9)));
        let mut iostat = stage(w, h, "iostat", iostat(9));
        iostat.press("j");
        shot!(format!("tool_iostat_{w}x{h}"), iostat);
        shot!(format!("tool_vfsstat_{w}x{h}"), stage(w, h, "vfsstat", vfsstat(9)));
    }
}

#[test]
fn graphs() {
    for (w, h) in SIZES {
        let mut s = stage(w, h, "iostat", iostat(12));
        // Sorted by w/s.
        s.press("j>>>>>>>>v");
        let ascii = Theme { glyphs: Glyphs::Ascii, palette: Palette::Mono };
        assert!(text_of(&paint(&s.state, &ascii)).is_ascii());
        shot!(format!("tool_graph_{w}x{h}"), s);
    }
}

#[test]
fn rows_of_a_tool_sort_filter_group_copy_and_export_as_any() {
    let mut s = stage(120, 40, "iostat", iostat(6));
    assert_eq!(s.column("Device"), ["sda", "nvme0n1", "dm-0"], "in the tool's order at first");
    s.press(">>");
    assert_eq!(s.state.view().sort.as_ref().unwrap().ids(), "r/s");
    assert_eq!(s.column("Device"), ["dm-0", "nvme0n1", "sda"]);
    s.press("r");
    assert_eq!(s.column("r/s"), ["3.5", "9.5", "15.5"]);
    s.press("<Less><Less>");
    assert_eq!(s.state.view().sort, None, "the tool's own order is one of them");
    assert_eq!(s.state.note.clone().unwrap().text, "In the order of the tool.");
    // By header, by what can be typed of it, and by the text of a cell.
    for (filter, want) in [
        ("r/s>5", vec!["nvme0n1", "dm-0"]),
        ("r_s>5", vec!["nvme0n1", "dm-0"]),
        ("%util>30", vec!["nvme0n1", "dm-0"]),
        ("util>30 device:nvme", vec!["nvme0n1"]),
        ("dm", vec!["dm-0"]),
    ] {
        s.press(&format!("/<^U>{filter}<Enter>"));
        assert_eq!(s.column("Device"), want, "{filter}");
    }
    s.press("<Esc>");
    // What the table does not have is said and ignored.
    s.press("p812<Enter>");
    assert!(s.line(1).contains("ignored here: pid=812"), "{}", s.line(1));
    assert_eq!(s.column("Device").len(), 3);
    s.press("p");
    s.press("a");
    assert_eq!(s.state.note.clone().unwrap().text, "Grouped by Device.");
    s.press("+");
    assert_eq!(s.state.grid.lines.len(), 4);
    for _ in 1..s.state.view().pane.groups.len() {
        s.press("a");
    }
    assert_eq!(s.state.note.clone().unwrap().text, "Not grouped.");
    let [Effect::Copy(text)] = &s.press("gc")[..] else { panic!("no copy") };
    assert!(text.starts_with("Device=sda r/s=3.5 rkB/s=48"), "{text}");
    let [Effect::Export { name, text: csv, .. }] = &s.press("x")[..] else { panic!("no export") };
    assert_eq!(name, "lmptop-iostat");
    assert!(csv.starts_with("Device,r/s,rkB/s,rrqm/s,%rrqm,"), "{csv}");
    assert!(csv.contains("\r\nnvme0n1,9.5,144,0,0,0.33,16,"), "{csv}");
    // The row is followed as it moves.
    s.press("jF");
    assert!(s.selected().contains("nvme0n1"));
    s.press(">>r");
    assert!(s.selected().contains("nvme0n1"));
    s.press("e");
    assert_eq!(s.state.note.clone().unwrap().text, "This view has no ended rows.");
    s.press("K");
    assert!(s.state.prompt().is_none(), "no process, nothing to signal");
}

#[test]
fn a_pid_of_a_tool_can_be_pinned() {
    let mut out = Output::new("ps", Rowing::Snapshot).key(&[0]);
    out.head(&["PID", "COMMAND", "RSS"]);
    let lines = ["1|systemd|12000", "812|nginx|40000", "813|nginx|41000"].map(str::to_owned);
    let samples = vec![beside(tools(0, vec![out.lines(0, &lines)], &[fate("ps")], vec![]), 0)];
    let mut s = stage(80, 24, "ps", samples);
    assert_eq!(s.state.view().pane.table, "ps");
    s.press("j");
    s.press("p");
    assert_eq!(s.state.prompt().unwrap().text, "812", "the row's pid is offered");
    s.press("<Enter>");
    assert_eq!(s.column("PID"), ["812"]);
    s.press("1");
    assert_eq!(s.column("COMM"), ["nginx", "nginx"], "and holds across panes");
}

/// Everything but the header and the footer.
fn body(stage: &Stage) -> Vec<String> {
    let text = stage.text();
    let lines: Vec<&str> = text.lines().collect();
    lines[1..lines.len() - 1].iter().map(|l| (*l).to_owned()).collect()
}

#[test]
fn a_recording_of_tools_shows_what_was_live() {
    for (tool, samples) in [("vmstat", vmstat(9)), ("iostat", iostat(9)), ("vfsstat", vfsstat(9))] {
        let (_place, reader) = recorded(&samples);
        for keys in [
            "",
            "j",
            "jj>>",
            "/r>1<Enter>",
            "<Enter>",
            "j<Enter>",
            "jv",
            "v>>[",
            "?",
            "aa+",
            "<F2>",
        ] {
            let mut live = stage(120, 40, tool, samples.clone());
            let mut past = Stage::replay(120, 40, reader.clone());
            past.press("<End>");
            let at = past.state.panes.iter().position(|p| p.pane.table == tool).unwrap();
            past.press(&(at + 1).to_string());
            past.press(keys);
            live.press(keys);
            assert_eq!(titles(&past), titles(&live), "{tool}");
            assert_eq!(body(&past), body(&live), "{tool} after {keys}");
        }
    }
}

#[test]
fn stepping_back_shows_what_was_known_then() {
    for (tool, samples) in [("vmstat", vmstat(9)), ("iostat", iostat(9))] {
        let mut s = stage(120, 40, tool, samples.clone());
        s.press("TTT");
        assert_eq!(s.state.mode, Mode::Frozen);
        let then = stage(120, 40, tool, samples[..6].to_vec());
        assert_eq!(body(&s), body(&then), "{tool}");
        s.press(" ");
        assert_eq!(body(&s), body(&stage(120, 40, tool, samples)), "{tool}");
    }
}

#[test]
fn a_recording_without_the_machine_has_only_the_tools_panes() {
    let (_place, reader) = recorded(&vmstat(3));
    let s = Stage::replay(80, 24, reader);
    assert_eq!(titles(&s), ["vmstat", "Tools"]);
    assert_eq!(s.state.view().pane.title, "vmstat");
    assert!(!s.text().contains("lost 0"), "nothing is said of what was not looked at");
    let (_place, reader) = recorded(&vfsstat(3));
    let mut s = Stage::replay(80, 24, reader);
    assert_eq!(s.state.view().pane.title, "Connections");
    assert_eq!(titles(&s)[8..], ["vfsstat", "Tools"]);
    // The tool began later: its pane is there, and the one shown stays shown.
    let mut late: Vec<Sample> = vec![sample(0), sample(1)];
    late.extend(vfsstat(5).into_iter().skip(2));
    let (_place, reader) = recorded(&late);
    let mut late = Stage::replay(80, 24, reader);
    late.press("9");
    assert!(late.text().contains("vfsstat has printed no row yet."), "{}", late.text());
    late.press("4tt");
    assert_eq!(titles(&late), titles(&s));
    assert_eq!(late.state.view().pane.title, "Events");
    // Live it comes with its table.
    let mut live = Stage::running(80, 24, 2);
    live.press("4");
    live.live(vfsstat(5).into_iter().skip(2));
    assert_eq!(titles(&live), titles(&s));
    assert_eq!(live.state.view().pane.title, "Events");
    s.press(":vfs<Enter>");
    assert_eq!(s.state.view().pane.title, "vfsstat", "called by its name");
    s.press(":listeners<Enter>");
    assert_eq!(s.state.view().pane.title, "Listeners");
}

#[test]
fn a_new_version_keeps_what_the_user_chose() {
    let mut out = Output::new("pods", Rowing::Snapshot).key(&[0]);
    out.head(&["NAME", "READY", "RESTARTS", "AGE"]);
    let line = |n: u64| format!("pod-{n}|1|{}|{}", n * 2, n * 10);
    let lines: Vec<String> = (0..6).map(line).collect();
    let first = tools(0, vec![out.lines(0, &lines)], &[fate("pods")], vec![]);
    let second = tools(1, vec![out.lines(1, &lines)], &[fate("pods")], vec![]);
    let mut s = stage(100, 24, "pods", vec![first.clone(), second.clone()]);
    // Hide READY, sort by RESTARTS, select pod-3, filter.
    s.press("<F2>j <Esc>/restarts>2<Enter>");
    s.press(">>");
    assert_eq!(s.column("NAME"), ["pod-5", "pod-4", "pod-3", "pod-2"]);
    s.press("jj");
    assert!(s.selected().contains("pod-3"));
    // A column more in the middle, one gone, one widened from whole numbers to fractions.
    out.head(&["NAME", "READY", "STATUS", "RESTARTS"]);
    let lines: Vec<String> = (0..6).map(|n| format!("pod-{n}|1|Running|{n}.5")).collect();
    let third = tools(2, vec![out.lines(2, &lines)], &[fate("pods")], vec![]);
    s.live([third.clone()]);
    let shown: Vec<String> = s.state.view().columns.shown.iter().map(|c| c.ids()).collect();
    assert_eq!(shown, ["NAME", "STATUS", "RESTARTS", "AGE"], "READY stays hidden");
    assert_eq!(s.column("NAME"), ["pod-5", "pod-4", "pod-3", "pod-2"]);
    assert_eq!(s.column("RESTARTS"), ["5.5", "4.5", "3.5", "2.5"]);
    assert!(s.selected().contains("pod-3"));
    assert!(!s.text().contains("AGE"), "a column that is gone is not drawn");
    assert_eq!(s.state.view().order, Order::Descending);
    // Back to where it still was.
    s.press("TT");
    assert!(s.text().contains("AGE"), "{}", s.text());
    // The past goes through both versions.
    s.press("<Esc><Esc>");
    s.live([tools(3, third.tables[..1].to_vec(), &[fate("pods")], vec![])]);
    s.press("v");
    let points = &s.state.detail().unwrap().series.points;
    let values = points.iter().map(|p| p.1[s.state.detail().unwrap().graph.unwrap()]);
    assert_eq!(values.flatten().collect::<Vec<_>>(), [6.0, 6.0, 3.5, 3.5]);
}

#[test]
fn rows_of_a_log_stay_when_its_columns_change() {
    let mut out = Output::new("opensnoop", Rowing::Append);
    out.head(&["PID", "COMM", "FD"]);
    let mut samples = Vec::new();
    for age in 0..3 {
        let t = out.lines(age, &[format!("{}|cat|{age}", 100 + age)]);
        samples.push(tools(age, vec![t], &[fate("opensnoop")], vec![]));
    }
    out.head(&["PID", "COMM", "FD", "PATH"]);
    for age in 3..5 {
        let t = out.lines(age, &[format!("{}|cat|x|/etc/passwd", 100 + age)]);
        samples.push(tools(age, vec![t], &[fate("opensnoop")], vec![]));
    }
    let mut s = stage(80, 24, "opensnoop", samples.clone());
    assert_eq!(s.column("PID"), ["104", "103", "102", "101", "100"], "newest first");
    assert_eq!(s.column("FD"), ["x", "x", "2", "1", "0"]);
    assert_eq!(s.column("PATH"), ["/etc/passwd", "/etc/passwd", "-", "-", "-"]);
    let (_place, reader) = recorded(&samples);
    let mut past = Stage::replay(80, 24, reader);
    past.press("<End>");
    assert_eq!(body(&past), body(&s));
    // Newer rows come on top; the selected one is still that one.
    s.press("jj");
    assert!(s.selected().contains("102"), "{}", s.text());
    s.live([tools(5, vec![out.lines(5, &["105|cat|3|/x".into()])], &[fate("opensnoop")], vec![])]);
    assert!(s.selected().contains("102"), "{}", s.text());
    s.press("<Enter>");
    assert!(!s.text().contains("gone"), "what happened has happened");
}

#[test]
fn hostile_headers_and_cells_are_text() {
    let long = "x".repeat(500);
    let wide = "日本語サービス名".repeat(12);
    let heads = ["\u{1b}]0;pwned\u{7}", "a\u{202e}b", &long, &wide, "%", "", "a,b\"c"];
    let mut out = Output::new("evil\u{1b}[2J/../x", Rowing::Snapshot).key(&[0]);
    out.head(&heads);
    let line = format!("\u{1b}[31mred|{long}|7|{wide}|1e300|-0.0|18446744073709551615");
    let other = "b\u{200f}\u{7f}|-|9|日本|inf|nan|-9223372036854775808".to_owned();
    let samples: Vec<Sample> = (0..3)
        .map(|age| {
            let t = out.lines(age, &[line.clone(), other.clone()]);
            let fate = Fate {
                last_error: Some("\u{1b}[?1049h".repeat(40)),
                dropped: 7,
                ..fate("evil\u{1b}[2J/../x")
            };
            tools(age, vec![t], &[fate], vec![said(age, "evil", Why::Stderr, "\u{1b}]52;c;x\u{7}")])
        })
        .collect();
    for look in [(Glyphs::Unicode, Palette::Sixteen), (Glyphs::Ascii, Palette::Mono)] {
        let look = Theme { glyphs: look.0, palette: look.1 };
        for width in (1..60).step_by(4).chain([80, 120, 300, 700]) {
            for height in [1, 2, 5, 10, 24, 60] {
                let mut s = Stage::new(width, height);
                let want = Some("evil\u{1b}[2J/../x");
                s.state = State::new((width, height), Mode::Live, TimeZone::UTC, want);
                s.live(samples.clone());
                for keys in
                    ["", "j", "<Enter>", "v", ">", "<Esc><Esc>", "a", "?", "<Esc><F2>", "<Esc>2"]
                {
                    s.press(keys);
                    let text = text_of(&paint(&s.state, &look));
                    assert!(text.lines().all(|l| l.width() <= usize::from(width)), "{text}");
                    let bad = |c: char| {
                        c != '\n'
                            && (c.is_control()
                                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'))
                    };
                    assert!(!text.contains(bad), "{width}x{height} {keys}: {text:?}");
                    if keys.is_empty() && width >= 40 && height >= 10 {
                        assert!(text.contains("7 rows dropped"), "{text}");
                    }
                }
            }
        }
    }
    let mut s = stage(120, 24, "evil\u{1b}[2J/../x", samples);
    let [Effect::Export { name, .. }] = &s.press("x")[..] else { panic!("no export") };
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{name}");
}

#[test]
fn text_is_what_a_tool_without_a_table_opens_on() {
    let text = |age, line: &str| said(age, "make", Why::Text, line);
    let quiet = |age, said| tools(age, vec![], &[fate("make")], said);
    let mut s = stage(80, 24, "make", vec![]);
    assert!(s.text().contains("Waiting for the first rows of make ..."), "{}", s.text());
    s.live([quiet(0, vec![])]);
    assert!(s.text().contains("Waiting for the first rows of make ..."), "{}", s.text());
    s.live([quiet(1, vec![text(1, "cc -c a.c"), text(1, "cc -c b.c")])]);
    assert_eq!(s.state.view().pane.title, "Text");
    assert_eq!(s.column("LINE"), ["cc -c b.c", "cc -c a.c"]);
    s.live([quiet(2, vec![said(2, "make", Why::Stderr, "a.c:1: error: no")])]);
    s.press("/why=stderr<Enter>");
    assert_eq!(s.column("LINE"), ["a.c:1: error: no"]);
    s.press("<Esc>");
    shot!("tool_text_80x24", s);
    // Then it prints a table after all: that is what was asked for.
    let mut out = Output::new("make", Rowing::Append);
    out.head(&["TARGET", "ms"]);
    let rows = || vec![said(3, "make", Why::Noise, "-- done --")];
    s.live([tools(3, vec![out.lines(3, &["all|12".into()])], &[fate("make")], rows())]);
    assert_eq!(s.state.view().pane.title, "make");
    assert_eq!(s.column("TARGET"), ["all"]);
    assert_eq!(titles(&s)[..3], ["make", "Text", "Tools"]);
    // Whoever went elsewhere is left there.
    let mut s = stage(80, 24, "make", vec![quiet(0, vec![text(0, "hello")])]);
    s.press("1");
    s.live([quiet(1, vec![text(1, "again")])]);
    assert_ne!(s.state.view().pane.title, "Text");
}

#[test]
fn how_a_tool_fares_is_said() {
    let line = |fate: Fate| {
        let mut out = Output::new("vmstat", Rowing::Append);
        out.head(&["r", "b"]);
        let table = out.lines(0, &["1|2".into()]);
        let s = stage(100, 24, "vmstat", vec![tools(0, vec![table], &[fate], vec![])]);
        (s.line(2), styles_of(&paint(&s.state, &Theme::default())))
    };
    let (text, style) = line(fate("vmstat"));
    assert_eq!(text, " running · columns, 97 % · 12 rows");
    assert!(style.contains("running[Green]"), "{style}");
    let (text, style) = line(Fate {
        state: "failed",
        exit: Some(2),
        dropped: 12_345,
        noise: 3,
        skipped: 1,
        restarts: 3,
        sure: Some(55.0),
        last_error: Some("vmstat: cannot open".into()),
        ..fate("vmstat")
    });
    assert_eq!(
        text,
        " failed · exit 2 · 12345 rows dropped · 1 block skipped · vmstat: cannot open · 3 restarts · column…"
    );
    assert!(style.contains("failed[Red"), "{style}");
    let (text, _) = line(Fate { state: "ended", exit: Some(0), ..fate("vmstat") });
    assert_eq!(text, " ended · exit 0 · columns, 97 % · 12 rows");
    // Trouble takes a line on a short screen, too.
    let fate = Fate { dropped: 5, ..fate("vmstat") };
    let mut out = Output::new("vmstat", Rowing::Append);
    out.head(&["r", "b"]);
    let s = stage(
        40,
        10,
        "vmstat",
        vec![tools(0, vec![out.lines(0, &["1|2".into()])], &[fate], vec![])],
    );
    assert!(s.line(2).contains("5 rows dropped"), "{}", s.text());
}

/// A tool with so many tables.
fn many(tables: usize) -> Vec<Sample> {
    let one = |i: usize, age: u64| {
        let mut out = Output::new(&format!("tool-{i:02}"), Rowing::Append);
        out.head(&["n"]);
        out.lines(age, &[format!("{i}")])
    };
    let sample = |age| {
        let tables: Vec<Table> = (0..tables).map(|i| one(i, age)).collect();
        beside(tools(age, tables, &[fate("tool-00")], vec![]), age)
    };
    vec![sample(0), sample(1)]
}

#[test]
fn more_panes_than_fit_are_reached_and_the_one_shown_has_its_tab() {
    let mut s = stage(80, 24, "tool-00", many(12));
    assert_eq!(s.state.panes.len(), 21);
    assert_eq!(s.state.pane, 8);
    s.press("9<Tab>");
    assert_eq!(s.state.view().pane.title, "tool-01");
    for size in [(24, 10), (40, 10), (80, 24), (120, 30), (300, 30)] {
        s.send(Msg::Resize(size.0, size.1));
        for _ in 0..20 {
            s.press("<Tab>");
            let at = s.state.pane;
            let want = format!(" {} {} ", at + 1, s.state.view().pane.title);
            let tabs = s.state.layout().tabs as usize;
            assert!(s.line(tabs).contains(want.trim_end()), "{want}: {}", s.line(tabs));
            let tab = *lmptop::app::tabs(&s.state).iter().find(|t| t.pane == at).unwrap();
            let mouse = lmptop::app::Mouse {
                kind: lmptop::app::MouseKind::Press,
                x: tab.x + 1,
                y: tabs as u16,
            };
            s.send(Msg::Mouse(mouse));
            assert_eq!(s.state.pane, at);
        }
    }
    s.send(Msg::Resize(80, 24));
    s.press("9<Tab><Tab><Tab><Tab>");
    shot!("tool_tabs_80x24", s);
    s.press("<BackTab>");
    assert_eq!(s.state.view().pane.title, "tool-03");
}

#[test]
fn a_graph_of_any_number_live_and_replayed() {
    // The very same page draws a connection's.
    let mut s = Stage::running(80, 24, 6);
    s.press("v");
    assert!(s.line(2).contains("backup-agent 3300"), "{}", s.line(2));
    assert!(s.line(2).contains("RATE"), "{}", s.line(2));
    assert!(s.line(3).contains("last 70M  min 70M  max 70M"), "{}", s.line(3));
    shot!("graph_net_80x24", s);
    s.press(">");
    assert!(s.line(2).contains("sent /s"), "{}", s.line(2));
    s.press("<Less>");
    s.press("j");
    assert!(!s.line(2).contains("backup") && s.line(2).contains("RATE"), "{}", s.line(2));
    s.press("v");
    assert!(s.text().contains("received /s"), "the fields of the row: {}", s.text());
    s.press("v<Esc>");
    assert!(s.state.overlays.is_empty());
    s.press("2v");
    assert!(s.state.note.clone().unwrap().text.starts_with("This is a group"));
    s.press("/nothing<Enter>v");
    assert_eq!(s.state.note.clone().unwrap().text, "There is no row to draw.");
    // Sorted by text the first number that moves is drawn.
    let mut s = stage(80, 24, "iostat", iostat(6));
    s.press("j>v");
    assert!(matches!(s.state.overlays.last(), Some(Overlay::Detail(d)) if d.graph.is_some()));
    assert!(s.line(1).contains("r/s"), "{}", s.line(1));
    // New samples go on.
    let points = |s: &Stage| s.state.detail().unwrap().series.points.len();
    let before = points(&s);
    s.live(iostat(8).split_off(6));
    assert_eq!(points(&s), before + 2);
    // A log without a number.
    let mut out = Output::new("words", Rowing::Append);
    out.head(&["a", "b"]);
    let t = out.lines(0, &["x|y".into()]);
    let mut s = stage(80, 24, "words", vec![tools(0, vec![t], &[fate("words")], vec![])]);
    s.press("v");
    assert_eq!(
        s.state.note.clone().unwrap().text,
        "No column here holds numbers to draw over time."
    );
}

#[test]
fn the_sparklines_follow_the_selected_row() {
    let mut s = stage(80, 24, "iostat", iostat(9));
    let key = |s: &Stage| s.state.trend.as_ref().unwrap().series.of.key.clone();
    let points = |s: &Stage| s.state.trend.as_ref().unwrap().series.points.len();
    assert_eq!((key(&s), points(&s)), (vec!["sda".to_owned()], 9));
    s.press("j");
    assert_eq!((key(&s), points(&s)), (vec!["nvme0n1".to_owned()], 9), "with its past");
    s.live(iostat(11).split_off(9));
    assert_eq!(points(&s), 11);
    s.press("<Home>");
    assert_eq!(lmptop::app::points(&s.state, 100).points.len(), 1, "nothing of the future");
    s.press("<End>");
    assert_eq!(lmptop::app::points(&s.state, 100).points.len(), 11);
    // Without room there are none, and nothing is asked for.
    let mut past = Past::default();
    let (_place, reader) = recorded(&iostat(3));
    past.open(reader);
    let mut s = stage(40, 10, "iostat", iostat(3));
    s.press("jj");
    assert!(s.state.trend.is_none());
}

#[test]
fn what_a_tool_printed_is_explained_and_chosen_by_its_headers() {
    let mut s = stage(100, 30, "vfsstat", vfsstat(3));
    s.press("?read");
    assert!(s.text().contains("READ/s (read_s)"), "{}", s.text());
    assert!(s.text().contains("Column READ/s of vfsstat's output"), "{}", s.text());
    s.press("<Esc><F2>");
    assert!(s.text().contains("[x] READ/s"), "{}", s.text());
    assert!(s.text().contains("[ ] time"), "its own clock's column is shown instead");
    s.press("<Esc><Enter>");
    shot!("tool_detail_100x30", s);
}

#[test]
fn columns_of_a_tool_never_jump_back() {
    let mut out = Output::new("t", Rowing::Snapshot).key(&[0]);
    out.head(&["K", "N", "F"]);
    let mut sample = |age: u64, line: &str| {
        tools(age, vec![out.lines(age, &[line.to_owned()])], &[fate("t")], vec![])
    };
    let samples =
        [sample(0, "a|7|1"), sample(1, "a|1234567|0.25"), sample(2, "a|7|2"), sample(3, "a|8|3")];
    let mut s = stage(60, 12, "t", vec![]);
    let mut widths = Vec::new();
    for one in samples {
        s.live([one]);
        widths.push(lmptop::app::drawn(&s.state).iter().map(|d| d.1).collect::<Vec<_>>());
    }
    assert!(widths[1][1] > widths[0][1]);
    assert_eq!(widths[1], widths[3]);
    assert_eq!(s.column("N"), ["8"]);
    assert_eq!(s.column("F"), ["3.00"], "as many decimals as were seen");
}

#[test]
fn no_keys_in_no_order_break_the_screen() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % n
    };
    const KEYS: [&str; 40] = [
        "j",
        "k",
        "g",
        "G",
        "v",
        "v",
        "<Enter>",
        "<Esc>",
        "<Esc>",
        ">",
        "<Less>",
        "r",
        "a",
        "+",
        "-",
        "F",
        " ",
        "t",
        "T",
        "<Home>",
        "<End>",
        "<Tab>",
        "<BackTab>",
        "1",
        "5",
        "6",
        "7",
        "8",
        "/7<Enter>",
        "/<^U><Enter>",
        "p<Enter>",
        "e",
        "<F2>j <Esc>",
        "?x",
        "[",
        "]",
        "u",
        "c",
        "x",
        "<PgDn>",
    ];
    const HEADS: [&[&str]; 4] =
        [&["K", "a", "b"], &["K", "b", "c/s"], &["K"], &["a", "K", "b", "%d", "e f"]];
    let mut s = stage(80, 24, "log", vec![]);
    let mut log = Output::new("log", Rowing::Append).key(&[0]);
    let mut now = Output::new("now", Rowing::Snapshot).key(&[0]);
    let mut columns = 3;
    for step in 0..1_500u64 {
        match next(8) {
            0 => {
                if step == 0 || next(6) == 0 {
                    let heads = HEADS[next(4)];
                    columns = heads.len();
                    log.head(heads);
                    now.head(heads);
                } else if step < 20 {
                    log.head(HEADS[0]);
                    now.head(HEADS[0]);
                    columns = 3;
                }
                let mut lines = |n: usize| -> Vec<String> {
                    let cell =
                        |v: usize| ["7", "x", "0.25", "-", "9999999999", "12ms", "3%"][v % 7];
                    (0..n)
                        .map(|i| {
                            let cells = (0..columns).map(|c| cell(next(9) * (c + i + 1)));
                            cells.collect::<Vec<_>>().join("|")
                        })
                        .collect()
                };
                let (few, many) = (lines(2), lines(30));
                if step < 20 {
                    continue;
                }
                let tables = vec![log.lines(step, &few), now.lines(step, &many)];
                let all =
                    tools(step, tables, &[fate("log")], vec![said(step, "log", Why::Text, "x")]);
                s.live([if next(2) == 0 { beside(all, step % 60) } else { all }]);
            }
            1 if next(4) == 0 => {
                s.send(Msg::Resize(next(160) as u16, next(50) as u16));
            }
            _ => {
                s.press(KEYS[next(KEYS.len())]);
            }
        }
        assert!(s.state.pane < s.state.panes.len());
        let (width, _) = s.state.size;
        let text = s.text();
        assert!(text.lines().all(|l| l.width() <= usize::from(width)), "{text}");
        assert!(s.state.grid.lines.is_empty() || s.state.view().at < s.state.grid.lines.len());
    }
}

#[test]
fn two_times_of_a_tool_are_compared() {
    // A snapshot: rows by its own key, numbers as the tool printed them.
    let (_place, reader) = recorded(&iostat(12));
    let mut s = Stage::replay(160, 24, reader);
    s.press("b+2s<Enter>m<Enter>b+5s<Enter>d");
    assert_eq!(s.state.view().pane.table, "iostat");
    assert_eq!(s.state.wall_ns(), Some(WALL + 7 * S as i64));
    let cells = |s: &Stage, title: &str| {
        let pairs = s.column("Device").into_iter().zip(s.column(title));
        pairs.collect::<std::collections::BTreeMap<String, String>>()
    };
    s.press("/nvme<Enter>");
    assert_eq!(cells(&s, "ROW")["nvme0n1"], "");
    while s.state.view().sort.as_ref().unwrap().first_id() != "w/s_change" {
        s.press(">");
    }
    // (2 * 3) % 17 and (7 * 3) % 17.
    let of = |title: &str| cells(&s, title)["nvme0n1"].parse::<f64>().unwrap();
    assert_eq!((of("A:w/s"), of("B:w/s"), of("+/-w/s")), (6.0, 4.0, -2.0));
    s.press("<Esc>");
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        let name = s.state.replayed.clone().unwrap();
        insta::assert_snapshot!("compare_iostat_160x24", s.text().replace(&name, "SESSION"));
    });
    // A log without a name in it is one row: the mean of its lines.
    let (_place, reader) = recorded(&vmstat(12));
    let mut s = Stage::replay(160, 24, reader);
    s.press("D12:03:07..12:03:09 vs 12:03:14..12:03:16<Enter>");
    assert_eq!(s.column("A:TIMES/s"), ["1"], "{}", s.text());
    while s.state.view().sort.as_ref().unwrap().first_id() != "us_change" {
        s.press(">");
    }
    let busy = |ages: [u64; 2]| ages.iter().map(|a| a * 7 % 13).sum::<u64>() as f64 / 2.0;
    assert_eq!(s.column("A:us")[0].parse::<f64>().unwrap(), 3.0 + busy([1, 2]), "{}", s.text());
    assert_eq!(s.column("B:us")[0].parse::<f64>().unwrap(), 3.0 + busy([8, 9]), "{}", s.text());
}
