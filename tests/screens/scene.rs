//! Hand-built tables with the real schemas, a small host that has them, and a driver for keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt64Array,
};
use jiff::tz::TimeZone;
use lmptop::app::{Effect, Mode, Msg, Question, State, drawn, keys, update};
use lmptop::command::past::Past;
use lmptop::probe;
use lmptop::session::{Info, Reader, Writer, memory_writer};
use lmptop::source::{Moment, Seek};
use lmptop::table::{Field, Nature, Sample, Schema, Table, Type};
use lmptop::view::theme::Theme;
use lmptop::view::{draw, most_scroll};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::folk;

/// A second.
pub const S: u64 = 1_000_000_000;
/// 2026-11-21T12:03:07Z, and the monotonic clock then.
pub const WALL: i64 = 1_795_262_587_000_000_000;
pub const MONO: u64 = 864_000 * S;

/// A cell to set.
#[derive(Clone, Debug)]
pub enum V {
    N(u64),
    I(i64),
    F(f64),
    T(String),
}

impl From<u64> for V {
    fn from(n: u64) -> V {
        V::N(n)
    }
}

impl From<f64> for V {
    fn from(n: f64) -> V {
        V::F(n)
    }
}

impl From<&str> for V {
    fn from(s: &str) -> V {
        V::T(s.to_owned())
    }
}

/// A row: cells by column id, everything else missing.
#[derive(Clone, Debug, Default)]
pub struct Row(BTreeMap<&'static str, V>);

impl Row {
    pub fn set(mut self, id: &'static str, v: impl Into<V>) -> Row {
        self.0.insert(id, v.into());
        self
    }

    pub fn unset(mut self, id: &str) -> Row {
        self.0.remove(id);
        self
    }

    pub fn number(&self, id: &str) -> u64 {
        match self.0.get(id) {
            Some(V::N(n)) => *n,
            _ => 0,
        }
    }
}

fn wrong(id: &str, v: &V) -> ! {
    panic!("{id} does not hold {v:?}")
}

/// A table of this name with these rows.
pub fn table(name: &str, rows: &[Row]) -> Table {
    let mut schemas = probe::schemas();
    schemas.push(lmptop::trigger::schema());
    let known = schemas.iter().find(|s| s.table() == name).cloned();
    let schema = known.unwrap_or_else(|| lookalike(name, rows));
    for id in rows.iter().flat_map(|r| r.0.keys()) {
        assert!(schema.stored().iter().any(|f| f.id == **id), "{name} has no column {id}");
    }
    let arrays: Vec<ArrayRef> = schema
        .stored()
        .iter()
        .map(|f| {
            let cells = rows.iter().map(|r| r.0.get(f.id.as_str()));
            let array: ArrayRef = match f.ty {
                Type::U64 => Arc::new(UInt64Array::from_iter(cells.map(|v| match v {
                    Some(V::N(n)) => Some(*n),
                    Some(v) => wrong(&f.id, v),
                    None => None,
                }))),
                Type::F64 => Arc::new(Float64Array::from_iter(cells.map(|v| match v {
                    Some(V::F(n)) => Some(*n),
                    Some(v) => wrong(&f.id, v),
                    None => None,
                }))),
                Type::Text => Arc::new(StringArray::from_iter(cells.map(|v| match v {
                    Some(V::T(s)) => Some(s.clone()),
                    Some(v) => wrong(&f.id, v),
                    None => None,
                }))),
                Type::I64 => Arc::new(Int64Array::from_iter(cells.map(|v| match v {
                    Some(V::I(n)) => Some(*n),
                    Some(v) => wrong(&f.id, v),
                    None => None,
                }))),
            };
            array
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(schema.arrow(), arrays, &options).unwrap();
    Table::new(schema, batch).unwrap()
}

/// The columns of a table of events that this build does not have.
fn lookalike(name: &str, rows: &[Row]) -> Arc<Schema> {
    let mut fields: BTreeMap<&str, Type> = BTreeMap::new();
    for (id, v) in rows.iter().flat_map(|r| &r.0) {
        let ty = match v {
            V::N(_) => Type::U64,
            V::I(_) => Type::I64,
            V::F(_) => Type::F64,
            V::T(_) => Type::Text,
        };
        fields.insert(id, ty);
    }
    let fields = fields.into_iter().map(|(id, ty)| Field::new(id, ty)).collect();
    Arc::new(Schema::new(name, Nature::Event, fields))
}

/// A socket of the init network namespace.
pub fn socket(cookie: u64, proto: &str, state: &str, local: (&str, u64), peer: (&str, u64)) -> Row {
    Row::default()
        .set("cookie", cookie)
        .set("netns", 4_026_531_833)
        .set("proto", proto)
        .set("state", state)
        .set("saddr", local.0)
        .set("sport", local.1)
        .set("daddr", peer.0)
        .set("dport", peer.1)
        .set("drops", 0)
        .set("recvq", 0)
        .set("sendq", 0)
}

/// A TCP connection of a process with figures that look like one.
pub fn tcp(cookie: u64, who: (&str, u64), local: (&str, u64), peer: (&str, u64)) -> Row {
    socket(cookie, "tcp", "ESTAB", local, peer)
        .set("family", if local.0.contains(':') { "ipv6" } else { "ipv4" })
        .set("comm", who.0)
        .set("pid", who.1)
        .set("fd", 7 + cookie)
        .set("uid", 33)
        .set("ino", 70_000 + cookie)
        .set("role", "client")
        .set("bytes_sent", 0)
        .set("bytes_acked", 0)
        .set("bytes_received", 0)
        .set("retrans", 0)
        .set("lost", 0)
        .set("sacked", 0)
        .set("srtt_us", 840)
        .set("min_rtt_us", 120)
        .set("rto_us", 204_000)
        .set("snd_cwnd", 10)
        .set("mss", 1448)
        .set("cc", "cubic")
        .set("ca_state", "Open")
        .set("start_ns", MONO - 95 * S)
}

/// A listener.
pub fn listener(cookie: u64, who: (&str, u64), local: (&str, u64), waits: (u64, u64)) -> Row {
    let any = if local.0.contains(':') { "::" } else { "0.0.0.0" };
    socket(cookie, "tcp", "LISTEN", local, (any, 0))
        .set("comm", who.0)
        .set("pid", who.1)
        .set("role", "listen")
        .set("uid", 0)
        .set("backlog", waits.0)
        .set("backlog_max", waits.1)
        .set("recvq", waits.0)
        .set("sendq", waits.1)
}

const HOST: &str = "10.0.0.1";
const V6: &str = "2001:db8:10:20::a1";

/// What grows each second: cookie, bytes acked, bytes received.
const GROWTH: &[(u64, u64, u64)] = &[
    (1, 1_258_291, 12_288),
    (2, 34_816, 2_048),
    (3, 900, 73_400_320),
    (4, 120, 96),
    (6, 1_448, 0),
    (9, 700_000, 800_000),
    (10, 64, 512),
];

/// The sockets of a small web server, `age` seconds after it was first looked at.
pub fn sockets(age: u64) -> Vec<Row> {
    let mut rows = vec![
        listener(20, ("nginx", 811), ("0.0.0.0", 443), (0, 511)),
        listener(21, ("sshd", 702), ("::", 22), (0, 128)),
        listener(22, ("postgres", 640), ("127.0.0.1", 5432), (200, 200)).set("drops", 17),
        tcp(1, ("nginx", 812), (HOST, 443), ("203.0.113.9", 53122)).set("role", "server"),
        tcp(2, ("nginx", 812), (HOST, 443), ("198.51.100.77", 40112))
            .set("role", "server")
            .set("srtt_us", 187_400)
            .set("retrans", 31)
            .set("lost", 2)
            .set("ca_state", "Recovery")
            .set("snd_cwnd", 4)
            .set("sendq", 214_304),
        tcp(3, ("backup-agent", 3300), (HOST, 49210), ("10.0.3.17", 873))
            .set("srtt_us", 1_240)
            .set("snd_cwnd", 212)
            .set("recvq", 1_441_792),
        tcp(4, ("sshd", 2210), (V6, 22), ("2001:db8:ffff:1234:5678:9abc:def0:1", 61234))
            .set("role", "server")
            .set("uid", 0)
            .set("srtt_us", 31_000)
            .set("start_ns", MONO - 7_500 * S),
        tcp(5, ("java", 4410), (HOST, 41200), ("10.0.3.9", 9092))
            .set("state", "CLOSE-WAIT")
            .set("recvq", 1),
        tcp(6, ("curl", 30411), (HOST, 38822), ("192.0.2.44", 443))
            .set("state", "SYN-SENT")
            .unset("srtt_us")
            .unset("min_rtt_us")
            .set("start_ns", MONO + age * S - 3 * S),
        socket(7, "tcp", "TIME-WAIT", (HOST, 38820), ("192.0.2.44", 443)).set("role", "client"),
        tcp(9, ("日本語サービス名", 991), ("127.0.0.1", 46122), ("127.0.0.1", 5432)),
        tcp(10, ("postgres", 1003), ("127.0.0.1", 5432), ("127.0.0.1", 46122))
            .set("role", "server")
            .set("uid", 999),
        socket(11, "udp", "UNCONN", ("127.0.0.53", 53), ("0.0.0.0", 0))
            .set("comm", "systemd-resolve")
            .set("pid", 530)
            .set("uid", 101)
            .set("bytes_received", 48_000)
            .set("bytes_acked", 91_000)
            .set("drops", 4),
    ];
    for row in &mut rows {
        let cookie = row.number("cookie");
        if let Some((_, acked, received)) = GROWTH.iter().find(|g| g.0 == cookie) {
            let of = |each: u64| 500 * each + each * age;
            *row = row.clone().set("bytes_acked", of(*acked)).set("bytes_received", of(*received));
        }
    }
    rows
}

/// The machine after `age` seconds: busier every fourth one.
pub fn host(age: u64) -> Row {
    let burst = age / 4 + u64::from(age % 4 == 3);
    let busy = 300_000_000 * age + 900_000_000 * burst;
    Row::default()
        .set("hostname", "web1")
        .set("cpus", 2)
        .set("cpu_user_ns", 50 * S + busy)
        .set("cpu_nice_ns", 0)
        .set("cpu_system_ns", 20 * S + 100_000_000 * age)
        .set("cpu_irq_ns", 0)
        .set("cpu_softirq_ns", S)
        .set("cpu_steal_ns", 0)
        .set("cpu_iowait_ns", S)
        .set("cpu_idle_ns", (9_000 + 2 * age) * S - busy - 100_000_000 * age)
        .set("load1", 0.42)
        .set("mem_total_bytes", 8 << 30)
        .set("mem_available_bytes", (5 << 30) - age * 4_000_000)
        .set("cpu_some_stall_ns", 20_000_000 * age)
        .set("memory_some_stall_ns", 0)
        .set("io_some_stall_ns", 110_000_000 * burst)
        .set("rx_bytes", 500_000_000 + 73_000_000 * age)
        .set("tx_bytes", 80_000_000 + 1_300_000 * age + 900_000 * burst)
        .set("tcp_retrans_segs", 1_000 + burst)
        .set("self_cpu_ns", 900_000_000 + 4_000_000 * age)
        .set("self_rss_bytes", 23 << 20)
}

/// One entry of table `probe`.
pub fn signal(probe: &str, signal: &str, state: &str) -> Row {
    Row::default()
        .set("probe", probe)
        .set("signal", signal)
        .set("state", state)
        .set("full", if state == "ok" { "yes" } else { "no" })
        .set("lost", 0)
}

/// How the tables are obtained when all is well.
pub fn well() -> Vec<Row> {
    vec![
        signal("net", "sockets", "ok").set("way", "iter/task_file"),
        signal("net", "events", "ok").set("way", "tp_btf"),
        signal("host", "cpu", "ok").set("way", "/proc/stat"),
    ]
}

/// How they are when it is not.
pub fn unwell() -> Vec<Row> {
    vec![
        signal("net", "sockets", "degraded")
            .set("way", "sock_diag")
            .set("refused", "iter/task_file: Operation not permitted (os error 1)")
            .set("missing", "Owners of other users' sockets, other network namespaces.")
            .set("fix", "Run lmptop as root."),
        signal("net", "events", "off")
            .set("refused", "tp_btf: Operation not permitted (os error 1)")
            .set("missing", "Events and connections that ended.")
            .set("fix", "Run lmptop as root.")
            .set("lost", 1_204),
        signal("host", "cpu", "ok").set("way", "/proc/stat"),
    ]
}

fn event(cookie: u64, at: u64, kind: &str) -> Row {
    Row::default().set("time_ns", at).set("kind", kind).set("cookie", cookie).set("proto", "tcp")
}

/// What happened in the second up to `age`.
pub fn events(age: u64) -> Vec<Row> {
    let now = MONO + age * S;
    let ends = |r: Row, who: Option<(&str, u64)>, local: (&str, u64), peer: (&str, u64)| {
        let r = r.set("saddr", local.0).set("sport", local.1);
        let r = r.set("daddr", peer.0).set("dport", peer.1);
        match who {
            Some((comm, pid)) => r.set("comm", comm).set("pid", pid),
            None => r,
        }
    };
    let curl = (Some(("curl", 30411)), (HOST, 38822 + age), ("192.0.2.44", 443));
    let nginx = (Some(("nginx", 812)), (HOST, 443), ("198.51.100.77", 40112));
    let opened =
        event(6, now - 900_000_000, "state").set("old_state", "CLOSE").set("state", "SYN-SENT");
    let again = event(2, now - 700_000_000, "retransmit")
        .set("state", "ESTAB")
        .set("how", "fast")
        .set("seq", 1_829_304_112)
        .set("len", 1448);
    let reset = event(5, now - 400_000_000, "reset-received").set("state", "ESTAB");
    let drop = event(0, now - 200_000_000, "drop")
        .set("how", "NO_SOCKET")
        .set("location", "tcp_v4_rcv")
        .set("len", 52);
    let closed = event(7, now - 123_000_000, "state")
        .set("old_state", "ESTAB")
        .set("state", "FIN-WAIT-1")
        .set("dur_ns", 2_340_000_000);
    vec![
        ends(opened, curl.0, curl.1, curl.2),
        ends(again, nginx.0, nginx.1, nginx.2),
        ends(reset, Some(("java", 4410)), (HOST, 41200), ("10.0.3.9", 9092)),
        ends(drop.unset("cookie"), None, (HOST, 8125), ("10.0.0.77", 51000)),
        ends(
            closed,
            Some(("日本語サービス名", 991)),
            (V6, 443),
            ("2001:db8:ffff:1234:5678:9abc:def0:1", 61234),
        ),
    ]
}

/// Connections that ended in the second up to `age`.
pub fn flows(age: u64) -> Vec<Row> {
    vec![
        Row::default()
            .set("comm", "curl")
            .set("pid", 30_400 + age)
            .set("netns", 4_026_531_833)
            .set("cookie", 900 + age)
            .set("proto", "tcp")
            .set("role", "client")
            .set("saddr", HOST)
            .set("sport", 38_000 + age)
            .set("daddr", "192.0.2.44")
            .set("dport", 443)
            .set("end_ns", MONO + age * S - 500_000_000)
            .set("dur_ns", 340_000_000)
            .set("connect_ns", 1_200_000)
            .set("end", "reset-peer")
            .set("bytes_acked", 812)
            .set("bytes_received", 48_200)
            .set("retrans", 0)
            .set("srtt_us", 11_200)
            .set("cc", "cubic"),
    ]
}

/// The machine at `age` with all its tables.
pub fn sample(age: u64) -> Sample {
    sample_of(age, &sockets(age), &well())
}

/// The same with other sockets and another state of the probes.
pub fn sample_of(age: u64, sockets: &[Row], probes: &[Row]) -> Sample {
    Sample {
        mono_ns: MONO + age * S,
        wall_ns: WALL + (age * S) as i64,
        tables: vec![
            table("net", sockets),
            table("flow", &flows(age)),
            table("tcpevent", &events(age)),
            table("host", &[host(age)]),
            table("probe", probes),
            table("life", &folk::life(age)),
            table("oncpu", &[]),
            table("thread", &folk::threads(age, false)),
            table("proc", &folk::processes(age, false)),
        ],
    }
}

/// A screen that waits.
pub fn screen(width: u16, height: u16) -> State {
    State::new((width, height), Mode::Live, TimeZone::UTC, None)
}

/// A screen with what is kept behind it: effects that ask about the past are answered at once,
/// the others are collected.
pub struct Stage {
    pub state: State,
    pub past: Past,
    /// Whether the bar of time is computed; without it live and past look the same.
    bar: bool,
    /// Requests for rows of the past that are not answered yet, where they have to wait.
    pub waiting: Option<Vec<Question>>,
    writer: Option<Writer>,
}

impl Stage {
    /// A live screen that keeps its samples in memory.
    pub fn new(width: u16, height: u16) -> Stage {
        let writer = memory_writer(info(), 1 << 26).unwrap();
        let mut past = Past::default();
        past.open(writer.reader());
        Stage {
            state: screen(width, height),
            past,
            bar: false,
            waiting: None,
            writer: Some(writer),
        }
    }

    /// A live screen after `n` samples.
    pub fn running(width: u16, height: u16, n: u64) -> Stage {
        let mut stage = Stage::new(width, height);
        stage.live((0..n).map(sample));
        stage
    }

    /// A screen on a recording.
    pub fn replay(width: u16, height: u16, reader: Reader) -> Stage {
        let mode = Mode::Replay { playing: false };
        let mut state = State::new((width, height), mode, TimeZone::UTC, None);
        state.replayed = Some(reader.info().id.clone());
        state.grows = reader.grows();
        state.knows(&reader.schemas());
        let mut past = Past::default();
        past.open(reader);
        let mut stage = Stage { state, past, bar: false, waiting: None, writer: None };
        stage.news();
        stage.carry(vec![Question::Seek(Seek::First).into()]);
        stage
    }

    /// Live samples, one after the other; effects that are not about the past come back.
    pub fn live(&mut self, samples: impl IntoIterator<Item = Sample>) -> Vec<Effect> {
        let mut left = Vec::new();
        for sample in samples {
            self.writer.as_mut().expect("a live screen").append(&sample).unwrap();
            let newest = self.state.newest.as_ref().or(self.state.moment.as_ref());
            let before = newest.map(|m| m.now.clone());
            left.extend(self.send(Msg::Live(Moment { now: Arc::new(sample), before })));
        }
        left
    }

    /// Presses keys; effects that are not about the past come back.
    pub fn press(&mut self, script: &str) -> Vec<Effect> {
        let keys = keys(script).unwrap();
        keys.into_iter().flat_map(|k| self.send(Msg::Key(k))).collect()
    }

    /// One message; effects that are not about the past come back.
    pub fn send(&mut self, msg: Msg) -> Vec<Effect> {
        let effects = update(&mut self.state, msg);
        let left = self.carry(effects);
        self.state.limit_scroll(most_scroll(&self.state));
        left
    }

    /// Answers what has waited.
    pub fn answer(&mut self) {
        for question in self.waiting.take().unwrap_or_default() {
            let msg = self.past.answer(question).expect("an answer");
            self.send(msg);
        }
    }

    /// From now on with the bar of time.
    pub fn with_bar(&mut self) {
        self.bar = true;
        self.carry(vec![Question::Bar.into()]);
    }

    /// What is said beside the answers, as the thread that answers says it.
    fn news(&mut self) -> Vec<Effect> {
        self.past.news().into_iter().flat_map(|msg| self.send(msg)).collect()
    }

    fn carry(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut left = Vec::new();
        for effect in effects {
            if effect == Effect::Past(Question::Bar) && !self.bar {
                continue;
            }
            match effect {
                Effect::Past(question @ Question::Rows(_)) if self.waiting.is_some() => {
                    self.waiting.iter_mut().for_each(|w| w.push(question.clone()));
                }
                Effect::Past(question) => {
                    let msg = self.past.answer(question).expect("an answer");
                    left.extend(self.send(msg));
                    left.extend(self.news());
                }
                other => left.push(other),
            }
        }
        left
    }

    /// The text of the screen.
    pub fn text(&self) -> String {
        text_of(&paint(&self.state, &Theme::default()))
    }

    /// One line of the screen.
    pub fn line(&self, y: usize) -> String {
        self.text().lines().nth(y).unwrap_or_default().to_owned()
    }

    /// The cells of the column of this title, as drawn, downwards.
    pub fn column(&self, title: &str) -> Vec<String> {
        let buf = paint(&self.state, &Theme::default());
        let layout = self.state.layout();
        let schema = self.state.grid.parts[0].table().schema().clone();
        let mut x = 0;
        for (i, width) in drawn(&self.state) {
            if self.state.view().columns.shown[i].title(&schema) == title {
                let end = layout.body + layout.rows.min(self.state.grid.lines.len() as u16);
                let cells = (layout.body..end)
                    .map(|y| (x..x + width).map(|x| buf[(x, y)].symbol()).collect::<String>());
                return cells.map(|c| c.trim().to_owned()).collect();
            }
            x += width + 1;
        }
        panic!("{title} is not drawn:\n{}", self.text());
    }

    /// The line that is selected, as drawn.
    pub fn selected(&self) -> String {
        let view = self.state.view();
        let y = self.state.layout().body as usize + view.at - view.offset;
        self.line(y)
    }
}

/// About a recording of the scene.
pub fn info() -> Info {
    Info {
        version: 0,
        id: String::new(),
        host: "web1".into(),
        kernel: "6.12.0".into(),
        boot_id: "8e7a".into(),
        argv: vec!["lmptop".into(), "record".into()],
        lmptop: "0.1.0".into(),
        start_wall_ns: WALL,
        start_mono_ns: MONO,
        interval_ms: 1000,
    }
}

/// Draws.
pub fn paint(state: &State, look: &Theme) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    draw(state, look, &mut buf);
    buf
}

/// The text of a drawn screen; blanks at the ends of lines are left out.
pub fn text_of(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut line = String::new();
        let mut x = buf.area.left();
        while x < buf.area.right() {
            let symbol = buf[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character takes the cell behind it too.
            x += u16::try_from(symbol.width()).unwrap().max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How it looks: of each line the runs that are not plain, as `text[style]`.
pub fn styles_of(buf: &Buffer) -> String {
    use ratatui::style::Color;
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut runs: Vec<(String, String)> = Vec::new();
        let mut x = buf.area.left();
        while x < buf.area.right() {
            let cell = &buf[(x, y)];
            x += u16::try_from(cell.symbol().width()).unwrap().max(1);
            let mut style = String::new();
            for (name, color) in [("", cell.fg), ("on ", cell.bg)] {
                if color != Color::Reset {
                    style.push_str(&format!(" {name}{color}"));
                }
            }
            if !cell.modifier.is_empty() {
                style.push_str(&format!(" {:?}", cell.modifier).replace(" | ", "+").to_lowercase());
            }
            match runs.last_mut() {
                Some((text, s)) if *s == style => text.push_str(cell.symbol()),
                _ => runs.push((cell.symbol().to_owned(), style)),
            }
        }
        for (text, style) in runs {
            let plain = style.is_empty();
            let text = text.trim();
            if !text.is_empty() && !plain {
                out.push_str(&format!("{text}[{}] ", style.trim()));
            } else if !text.is_empty() {
                out.push_str(&format!("{text} "));
            }
        }
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
    out
}
