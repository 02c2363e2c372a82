//! What the filter language finds, and what it refuses with which words.

use super::*;
use crate::table::{Column, Frame, Kind, Nature, TableDef, Unit};

#[derive(Clone, Default)]
struct Row {
    pid: Option<u64>,
    comm: Option<&'static str>,
    saddr: Option<&'static str>,
    sport: u64,
    daddr: Option<&'static str>,
    dport: u64,
    acked: u64,
    rtt: Option<u64>,
    sendq: Option<u64>,
    start: u64,
    cookie: u64,
}

type C = Column<Row>;
const COLUMNS: &[C] = &[
    C::u64("pid", "PID", Kind::Text, |r| r.pid).unit(Unit::Id),
    C::text("comm", "COMM", Kind::Text, |r| r.comm).alias(&["process"]),
    C::text("saddr", "LOCAL", Kind::Key, |r| r.saddr),
    C::u64("sport", "SPORT", Kind::Key, |r| Some(r.sport)).unit(Unit::Id),
    C::text("daddr", "REMOTE", Kind::Key, |r| r.daddr),
    C::u64("dport", "DPORT", Kind::Key, |r| Some(r.dport)).unit(Unit::Id),
    C::u64("bytes_acked", "TX", Kind::Counter, |r| Some(r.acked)).unit(Unit::Bytes).alias(&["tx"]),
    C::u64("srtt_us", "RTT", Kind::Duration, |r| r.rtt).unit(Unit::Us).alias(&["rtt"]),
    C::u64("sendq", "SENDQ", Kind::Gauge, |r| r.sendq).unit(Unit::Bytes),
    C::u64("start_ns", "START", Kind::Start, |r| Some(r.start)).unit(Unit::Ns),
    C::u64("cookie", "COOKIE", Kind::Key, |r| Some(r.cookie)),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| Some(r.acked * 100)).unit(Unit::Ns).alias(&["cpu"]),
];

const NOW: u64 = 100_000_000_000;

fn rows() -> Vec<Row> {
    vec![
        Row {
            pid: Some(22),
            comm: Some("sshd"),
            saddr: Some("10.1.2.3"),
            sport: 22,
            daddr: Some("192.168.0.9"),
            dport: 50_122,
            acked: 5_000_000,
            rtt: Some(60_000),
            sendq: Some(0),
            start: NOW - 2_000_000_000,
            cookie: u64::MAX,
        },
        Row {
            pid: Some(4122),
            comm: Some("Web Content"),
            saddr: Some("2001:db8::5"),
            sport: 40_000,
            daddr: Some("2001:db8:1::1"),
            dport: 443,
            acked: 1_000,
            rtt: Some(900),
            sendq: Some(70_000),
            start: NOW - 90_000_000_000,
            cookie: u64::MAX - 1,
        },
        Row {
            comm: Some("größe-日本"),
            saddr: Some("::ffff:10.9.9.9"),
            sport: 8080,
            daddr: Some("fe80::1%eth0"),
            dport: 22,
            start: NOW - 1,
            cookie: 3,
            ..Row::default()
        },
        Row { pid: Some(1), sport: 68, cookie: 4, ..Row::default() },
    ]
}

fn frame() -> Frame {
    let def = TableDef::new("net", Nature::State, COLUMNS);
    let mut before = rows();
    before[0].acked = 3_000_000;
    let before = def.table(&before).unwrap();
    Frame::new(NOW, def.table(&rows()).unwrap(), Some((NOW - 1_000_000_000, &before)))
}

/// The rows that match, with nothing unknown.
fn hits(text: &str) -> Vec<usize> {
    let frame = frame();
    let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let bound = filter.bind(frame.table().schema());
    assert!(bound.unknown().is_empty(), "{text}: {:?}", bound.unknown());
    (0..frame.len()).filter(|&r| bound.matches(&frame, r)).collect()
}

fn unknown(text: &str) -> Vec<String> {
    Filter::parse(text).unwrap().bind(frame().table().schema()).unknown().to_vec()
}

fn error(text: &str) -> FilterError {
    Filter::parse(text).expect_err(text)
}

#[test]
fn the_empty_filter_matches_everything() {
    assert_eq!(hits(""), [0, 1, 2, 3]);
    assert_eq!(hits("  \t"), [0, 1, 2, 3]);
    assert!(Filter::parse(" ").unwrap().is_empty());
}

#[test]
fn words_are_looked_for_in_every_text_in_any_case_and_are_and_ed() {
    assert_eq!(hits("SSH"), [0]);
    assert_eq!(hits("db8 web"), [1]);
    assert_eq!(hits("db8 ssh"), [] as [usize; 0]);
    assert_eq!(hits("\"web content\""), [1]);
    assert_eq!(hits("GRÖSSE"), [] as [usize; 0], "no folding of one letter into two");
    assert_eq!(hits("GRÖßE"), [2]);
    assert_eq!(hits("日本"), [2]);
}

#[test]
fn a_number_is_exactly_an_id_or_part_of_a_text() {
    assert_eq!(hits("4122"), [1], "not sport 50122, not part of a pid");
    assert_eq!(hits("22"), [0, 2], "pid, sport or dport");
    assert_eq!(hits("022"), [] as [usize; 0]);
    assert_eq!(hits("192"), [0], "part of an address");
    assert_eq!(hits("18446744073709551615"), [0], "an id that a double cannot hold");
    assert_eq!(hits("60000"), [] as [usize; 0], "a round trip is no id");
}

#[test]
fn keys_take_ids_aliases_and_headers_in_any_case() {
    for text in ["comm:ssh", "process:SSH", "COMM:ssh", "comm=sshd", "comm=SSHD", "comm:\"sshd\""] {
        assert_eq!(hits(text), [0], "{text}");
    }
    assert_eq!(hits("comm=ssh"), [] as [usize; 0]);
    assert_eq!(hits("comm!=sshd"), [1, 2], "a missing name is not unequal");
    assert_eq!(hits("comm:\"b c\""), [1]);
    assert_eq!(hits("REMOTE:192"), [0]);
    assert_eq!(hits("pid:22"), [0]);
    assert_eq!(hits("pid:412"), [] as [usize; 0]);
    assert_eq!(hits("cookie=18446744073709551614"), [1]);
}

#[test]
fn either_end_of_a_connection() {
    assert_eq!(hits("port:22"), [0, 2]);
    assert_eq!(hits(":22"), [0, 2]);
    assert_eq!(hits("port:443"), [1]);
    assert_eq!(hits("port!=22"), [1, 3]);
    assert_eq!(hits("!port:22"), [1, 3]);
    assert_eq!(hits("port>50000"), [0]);
    assert_eq!(hits("host:10.1.2.3"), [0]);
    assert_eq!(hits("ip:192.168"), [0]);
    assert_eq!(hits("10.1.2.3:22"), [0]);
    assert_eq!(hits("10.1.2.3:50122"), [] as [usize; 0], "the port of the other end");
    assert_eq!(hits("[2001:db8:1::1]:443"), [1]);
    assert_eq!(hits("10.9.9.9:8080"), [2]);
    assert_eq!(hits("src:2001:db8::5"), [1]);
}

#[test]
fn addresses_are_compared_as_addresses() {
    assert_eq!(hits("saddr:10.0.0.0/8"), [0, 2], "mapped IPv4 is IPv4");
    assert_eq!(hits("src:10.0.0.0/8"), [0, 2]);
    assert_eq!(hits("dst:10.0.0.0/8"), [] as [usize; 0]);
    assert_eq!(hits("dst:2001:db8::/32"), [1]);
    assert_eq!(hits("2001:db8:1::/48"), [1]);
    assert_eq!(hits("192.168.0.0/16"), [0]);
    assert_eq!(hits("host:fe80::/10"), [2], "with a zone");
    assert_eq!(hits("src:::ffff:10.0.0.0/104"), [0, 2]);
    assert_eq!(hits("src:::ffff:10.1.2.3"), [0]);
    assert_eq!(hits("saddr:10.1.2"), [0], "half an address is text");
    assert_eq!(hits("saddr:1.2.3.0/24"), [] as [usize; 0]);
    assert_eq!(hits("saddr!=10.0.0.0/8"), [1]);
    assert_eq!(hits("saddr=10.9.9.9"), [2]);
    assert_eq!(hits("dst:2001:0db8:0001::1"), [1], "however it is written");
    assert_eq!(hits("2001:db8"), [1], "the beginning of an address");
}

#[test]
fn comparisons_know_units() {
    assert_eq!(hits("rtt>50ms"), [0]);
    assert_eq!(hits("rtt > 50ms"), [0]);
    assert_eq!(hits("srtt_us>=60000"), [0]);
    assert_eq!(hits("rtt<1ms"), [1]);
    assert_eq!(hits("rtt<=900us rtt>=900us"), [1]);
    assert_eq!(hits("rtt=60ms"), [0]);
    assert_eq!(hits("rtt:60ms"), [0]);
    assert_eq!(hits("rtt!=60ms"), [1]);
    assert_eq!(hits("sendq>0"), [1]);
    assert_eq!(hits("sendq>64K"), [1]);
    assert_eq!(hits("age<5s"), [0, 2]);
    assert_eq!(hits("age>1m age<95s"), [1]);
    assert_eq!(hits("tx>1MB"), [0]);
    assert_eq!(hits("tx>1MB/s"), [0], "two million in a second");
    assert_eq!(hits("tx>2.1MB/s"), [] as [usize; 0]);
    assert_eq!(hits("tx/s>15Mbit/s"), [0]);
    assert_eq!(hits("bytes_acked_rate>1M"), [0]);
    assert_eq!(hits("cpu>100ms"), [0], "in all");
    assert_eq!(hits("cpu>19%"), [0], "200 ms in a second");
    assert_eq!(hits("cpu>21%"), [] as [usize; 0]);
}

#[test]
fn a_missing_cell_meets_nothing_but_missing() {
    assert_eq!(hits("rtt>50ms"), [0]);
    assert_eq!(hits("!rtt>50ms"), [1, 2, 3]);
    assert_eq!(hits("rtt<1000s"), [0, 1]);
    assert_eq!(hits("rtt:-"), [2, 3]);
    assert_eq!(hits("rtt=none"), [2, 3]);
    assert_eq!(hits("rtt!=-"), [0, 1]);
    assert_eq!(hits("!rtt:-"), [0, 1]);
    assert_eq!(hits("host:-"), [3]);
    assert_eq!(hits("comm:\"-\""), [2], "quoted it is text");
}

#[test]
fn negation_and_regexes() {
    assert_eq!(hits("!ssh"), [1, 2, 3]);
    assert_eq!(hits("!!ssh"), [0]);
    assert_eq!(hits("! ssh !db8"), [2, 3]);
    assert_eq!(hits("/^ssh.$/"), [0]);
    assert_eq!(hits("/WEB con/"), [1]);
    assert_eq!(hits("!/^ssh/"), [1, 2, 3]);
    assert_eq!(hits("comm:/^(ssh|web)/"), [0, 1]);
    assert_eq!(hits("comm=/^ssh/"), [0]);
    assert_eq!(hits("saddr:/^10\\./ /d$/"), [0]);
    assert_eq!(hits("/(?-i)^Web/"), [1]);
    assert_eq!(hits("comm:/usr/bin"), [] as [usize; 0], "a path is text");
}

#[test]
fn what_a_table_lacks_is_left_out_and_said() {
    assert_eq!(unknown("foo:bar ssh"), ["foo:bar (no column foo)"]);
    assert_eq!(unknown("!foo>5"), ["foo>5 (no column foo)"]);
    assert_eq!(unknown("rtt>5MB"), ["rtt>5MB (srtt_us is a time)"]);
    assert_eq!(unknown("pid:abc"), ["pid:abc (\"abc\" is not a number)"]);
    assert_eq!(unknown("comm>5"), ["comm>5 (comm is text)"]);
    assert_eq!(unknown("pid:/1/"), ["pid:/1/ (pid is a number)"]);
    assert_eq!(unknown("sendq>1MB/s"), ["sendq>1MB/s (sendq is bytes)"]);
    let frame = frame();
    let bound = Filter::parse("foo:bar ssh").unwrap().bind(frame.table().schema());
    assert!(bound.matches(&frame, 0) && !bound.matches(&frame, 1));
    assert!(!bound.matches(&frame, 99));
}

#[test]
fn errors_say_what_and_where() {
    let e = error("ssh rtt>50mss");
    assert_eq!(e.to_string(), "unknown unit \"mss\" in rtt>50mss");
    assert_eq!((e.at, e.incomplete), (8, false));
    assert_eq!(error("rtt>abc").what, "\"abc\" is not a number in rtt>abc");
    assert_eq!(error(">5").what, "\">5\" needs a column name before it");
    assert_eq!(error("10.0.0.0/99").what, "\"10.0.0.0/99\" needs a prefix length such as /24");
    assert_eq!(error("dst:10.0.0.0/99").at, 12);
    assert!(error("/(/").what.starts_with("/(/ is not a regex"));
    assert!(error("comm: ssh").what.contains("comm: needs a value"));
    assert!(!error("comm: ssh").incomplete);
}

#[test]
fn half_typed_filters_are_incomplete() {
    for text in [
        "rtt>",
        "ssh rtt>=",
        "rtt >",
        "rtt > ",
        "comm:",
        "comm=",
        "!",
        "ssh !",
        "\"two wo",
        "comm:\"two",
        "/^ng",
        "/",
        ":",
        "dst:10.0.0.0/",
        "10.0.0.0/",
        "tx>1Mb",
        "tx>1MB/",
        "rtt>-",
    ] {
        assert!(error(text).incomplete, "{text}");
    }
}

#[test]
fn every_beginning_of_a_good_filter_is_good_or_incomplete() {
    for text in [
        "rtt>50ms",
        "tx>1MB/s",
        "tx>10Mbit/s",
        "dst:10.0.0.0/8",
        "!comm=sshd age<5s",
        "host:2001:db8::/32",
        "10.0.0.1:443",
        "[2001:db8::1]:443",
        "/ng.*x/ comm:/^a/ \"two words\"",
        "sendq > 64KiB",
    ] {
        for end in (0..=text.len()).filter(|&e| text.is_char_boundary(e)) {
            let part = &text[..end];
            if let Err(e) = Filter::parse(part) {
                assert!(e.incomplete, "{part}: {e}");
            }
        }
    }
}

#[test]
fn it_prints_as_it_was_written() {
    for text in ["", "ssh  !port:22 /a b/", "rtt > 50ms"] {
        assert_eq!(Filter::parse(text).unwrap().to_string(), text);
    }
}

/// A small deterministic generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

#[test]
fn no_text_makes_it_panic() {
    const PIECES: &[&str] = &[
        "rtt",
        "comm",
        "host",
        "port",
        "pid",
        ">",
        "<",
        "=",
        "!",
        ":",
        "/",
        "\"",
        "\\",
        " ",
        "%",
        "-",
        ".",
        "1",
        "9999999999999999999999",
        "ms",
        "MB",
        "/s",
        "10.0.0.0/8",
        "::1",
        "[",
        "]",
        "(",
        ")",
        "*",
        "+",
        "{",
        "}",
        "日",
        "ß",
        "İ",
        "µ",
        "\u{0}",
        "\u{7f}",
        "\u{a0}",
        "none",
        "\t",
        "^",
        "$",
        "e",
        "/x/",
        "fe80::1%eth0",
        "0",
    ];
    let (frame, mut random) = (frame(), Random(0x9e37_79b9_7f4a_7c15));
    for _ in 0..20_000 {
        let text: String =
            (0..random.below(12)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        match Filter::parse(&text) {
            Ok(filter) => {
                let bound = filter.bind(frame.table().schema());
                assert!((0..=frame.len()).filter(|&r| bound.matches(&frame, r)).count() <= 4);
                let again = Filter::parse(&filter.to_string()).unwrap();
                assert_eq!(again.to_string(), filter.to_string());
            }
            Err(e) => assert!(e.at <= text.len() && !e.what.is_empty(), "{text:?}: {e:?}"),
        }
    }
}

#[test]
fn two_negations_cancel_for_any_text() {
    let (frame, mut random) = (frame(), Random(7));
    const WORDS: &[&str] = &["ssh", "port:22", "rtt>1ms", "comm:-", "10.0.0.0/8", "/s/", "age<9s"];
    for _ in 0..200 {
        let word = WORDS[random.below(WORDS.len())];
        let bind = |t: String| Filter::parse(&t).unwrap().bind(frame.table().schema());
        let (yes, no) = (bind(word.to_owned()), bind(format!("!{word}")));
        for row in 0..frame.len() {
            assert_ne!(yes.matches(&frame, row), no.matches(&frame, row), "{word} {row}");
        }
    }
}

#[test]
fn columns_found_in_a_tools_output_can_be_asked_for() {
    use crate::table::{Field, Schema, Table, Type};
    use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let ms = Field { unit: Unit::Ms, ..Field::new("LAT(ms)", Type::F64) };
    let seconds = Field { unit: Unit::Seconds, ..Field::new("Run time", Type::F64) };
    let fields = vec![ms, seconds, Field::new("READ/s", Type::F64), Field::new("COMM", Type::Text)];
    let schema = Arc::new(Schema::new_found("t", Nature::Event, fields));
    let numbers = |v: [f64; 2]| -> ArrayRef { Arc::new(Float64Array::from(v.to_vec())) };
    let columns = vec![
        numbers([12.5, 80.0]),
        numbers([3.0, 0.25]),
        numbers([1368.0, 7.0]),
        Arc::new(StringArray::from(vec!["dd", "cat"])),
    ];
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    let frame = Frame::new(1, Table::new(schema.clone(), batch).unwrap(), None);
    let hits = |text: &str| -> Vec<usize> {
        let bound = Filter::parse(text).unwrap().bind(&schema);
        assert!(bound.unknown().is_empty(), "{text}: {:?}", bound.unknown());
        (0..2).filter(|&r| bound.matches(&frame, r)).collect()
    };
    assert_eq!(hits("lat_ms>50ms"), [1]);
    assert_eq!(hits("LAT(ms)>50"), [1]);
    assert_eq!(hits("lat(MS)<0.05s"), [0]);
    assert_eq!(hits("run_time>1s"), [0]);
    assert_eq!(hits("\"run time\"<300ms"), [1]);
    assert_eq!(hits("\"Run time\" dd"), [] as [usize; 0], "without an operator it is a text");
    assert_eq!(hits("READ/s>1k comm:dd"), [0]);
    assert_eq!(hits("read_s=7"), [1]);
}
