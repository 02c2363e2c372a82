//! Compares what lmptop printed in the guest with what the guest's kernel and load said.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use crate::load::{DEAF, WAITING};

/// Signals of `net` that BPF must give wherever the sweep works.
const CORE: &[&str] = &[
    "sockets",
    "orphans",
    "state changes",
    "retransmits",
    "resets sent",
    "resets received",
    "drops",
];

/// Signals of `proc` that BPF must give on every kernel here.
const LIFE: &[&str] = &["births", "execs", "renames", "ends", "senders", "oom kills"];

/// Faults of one kind that are told one by one; the rest is counted.
const TOLD: usize = 3;

/// The number of facts that held, or what did not.
pub fn judge(answers: &[Value]) -> Result<usize, String> {
    let mut court = Court::default();
    let by_name: BTreeMap<&str, &Value> =
        answers.iter().filter_map(|a| Some((a["what"].as_str()?, &a["value"]))).collect();
    let case = Case { answers: by_name };
    if court.holds(case.answers.contains_key("end"), "guest", "it did not run to its end") {
        let rows = case.rows("net", &mut court);
        let swept = case.swept();
        net(&case, &rows, swept, &mut court);
        lists(&case, &rows, &mut court);
        if swept {
            flow(&case, &mut court);
        }
        life(&case, &mut court);
        crate::sched::judge(&case, &mut court);
        tasks(&case, &mut court);
        crate::stacks::judge(&case, &mut court);
        doctor(&case, swept, &mut court);
        host(&case, &mut court);
        nobody(&case, &mut court);
    }
    court.sentence()
}

pub struct Case<'a> {
    answers: BTreeMap<&'a str, &'a Value>,
}

impl Case<'_> {
    pub fn answer(&self, what: &str) -> &Value {
        self.answers.get(what).copied().unwrap_or(&Value::Null)
    }

    /// The rows that a run of lmptop printed; an unsuccessful run is a fault.
    pub fn rows(&self, what: &str, court: &mut Court) -> Vec<Value> {
        let run = self.answer(what);
        court.holds(
            run["status"] == 0,
            what,
            format_args!("status {}, {}", run["status"], run["stderr"]),
        );
        println!("  {what}: {} ms", run["ms"]);
        let lines = run["stdout"].as_str().unwrap_or_default().lines();
        let rows = lines.map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let rows = rows.unwrap_or_else(|e| {
            court.holds(false, what, format_args!("a line is no JSON: {e}"));
            Vec::new()
        });
        court.holds(!rows.is_empty(), what, "no rows");
        rows
    }

    /// Whether BPF sweeps the sockets (kernel 5.12 and later): else those of other network
    /// namespaces and connections shorter than a refresh are not to be had.
    fn swept(&self) -> bool {
        let text = self.answer("doctor")["stdout"].as_str().unwrap_or_default();
        let mut rows = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let swept = rows.any(|r| r["signal"] == "sockets" && r["way"] == "iter/task_file");
        let kernel = self.answer("kernel").as_str().unwrap_or_default();
        swept || !kernel.starts_with("Linux version 5.10.")
    }

    /// The sockets of one role, or of all, that did not change while lmptop looked.
    fn sockets(&self, when: &str, roles: &[&str]) -> Vec<&Value> {
        let all = self.answer(when);
        roles.iter().flat_map(|r| all[*r].as_array().into_iter().flatten()).collect()
    }
}

/// Counts what holds; what does not is gathered by what it is about, so that a field which is
/// wrong everywhere is told once.
#[derive(Default)]
pub struct Court {
    held: usize,
    faults: BTreeMap<String, Vec<String>>,
}

impl Court {
    pub fn holds(&mut self, fact: bool, about: &str, otherwise: impl Display) -> bool {
        if fact {
            self.held += 1;
        } else {
            self.faults.entry(about.to_owned()).or_default().push(otherwise.to_string());
        }
        fact
    }

    pub fn equal(&mut self, name: &str, id: &str, got: &Value, wanted: &Value) {
        self.holds(got == wanted, id, format_args!("{name}: {got} instead of {wanted}"));
    }

    pub fn once(&mut self, about: &str, name: &str, rows: usize) -> bool {
        self.holds(rows == 1, about, format_args!("{name}: {rows} rows"))
    }

    fn sentence(self) -> Result<usize, String> {
        let failed: usize = self.faults.values().map(Vec::len).sum();
        if failed == 0 {
            return Ok(self.held);
        }
        let mut said = format!("{failed} of {} facts do not hold:", self.held + failed);
        for (about, faults) in &self.faults {
            said.push_str(&format!("\n  {about}: {} times", faults.len()));
            faults.iter().take(TOLD).for_each(|f| said.push_str(&format!("\n    {f}")));
        }
        Err(said)
    }
}

/// Every socket of the load, each once, each field as `TCP_INFO` and its kin have it.
fn net(case: &Case, rows: &[Value], swept: bool, court: &mut Court) {
    let mut by_inode: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        by_inode.entry(row["ino"].as_u64().unwrap_or(0)).or_default().push(row);
    }
    let roles = if swept { &["server", "client", "island"][..] } else { &["server", "client"] };
    let (before, after) = (case.sockets("before", roles), case.sockets("after", roles));
    let mut compared = 0;
    for truth in &before {
        let name =
            format!("{} {}:{} pid {}", truth["kind"], truth["saddr"], truth["sport"], truth["pid"]);
        let found =
            by_inode.get(&truth["ino"].as_u64().unwrap_or(0)).map_or(&[][..], Vec::as_slice);
        if !court.once("net", &name, found.len()) {
            continue;
        }
        let later = after.iter().find(|a| a["ino"] == truth["ino"] && a["pid"] == truth["pid"]);
        for (id, value) in truth.as_object().into_iter().flatten() {
            let still = later.is_some_and(|l| l[id] == *value);
            if still && !value.is_null() && !["kind", "fd"].contains(&id.as_str()) {
                court.equal(&name, id, &found[0][id], value);
                compared += 1;
            }
        }
    }
    println!("  net: {} rows, {} sockets, {compared} fields compared", rows.len(), before.len());
    court.holds(compared > 3000, "net", format_args!("only {compared} fields compared"));
    for (role, word) in [("client", "client"), ("server", "server")] {
        for truth in case.sockets("before", &[role]).iter().filter(|t| t["kind"] == "tcp") {
            if let Some(found) = by_inode.get(&truth["ino"].as_u64().unwrap_or(0)) {
                let name = format!("port {}", truth["sport"]);
                court.equal(&name, "role", &found[0]["role"], &word.into());
            }
        }
    }
    if swept {
        namespaces(case, &by_inode, court);
    }
}

/// The island's sockets are in another network namespace than all others.
fn namespaces(case: &Case, by_inode: &BTreeMap<u64, Vec<&Value>>, court: &mut Court) {
    let netns = |roles: &[&str]| {
        let inodes = case.sockets("before", roles).into_iter().filter_map(|t| t["ino"].as_u64());
        let rows = inodes.filter_map(|i| by_inode.get(&i)).flatten();
        let mut all: Vec<u64> = rows.filter_map(|r| r["netns"].as_u64()).collect();
        all.dedup();
        all
    };
    let (main, island) = (netns(&["server", "client"]), netns(&["island"]));
    let apart = main.len() == 1 && island.len() == 1 && main != island;
    court.holds(apart, "netns", format_args!("{main:?} and {island:?}"));
}

/// Every line of the kernel's own lists has its row, with queues, drops and the backlog.
fn lists(case: &Case, rows: &[Value], court: &mut Court) {
    let island: Vec<&Value> = case.sockets("before", &["island"]);
    let rows: Vec<&Value> =
        rows.iter().filter(|r| !island.iter().any(|i| i["ino"] == r["ino"])).collect();
    for (list, proto) in [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")] {
        let text = case.answer(&format!("/proc/net/{list}")).as_str().unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(entry) = Entry::read(&words) else {
                court.holds(false, "lists", format_args!("{list}: {line}"));
                continue;
            };
            let of_it = |r: &&&Value| {
                r["proto"] == proto && r["sport"] == entry.sport && port(r) == entry.dport
            };
            let found: Vec<&&Value> = rows.iter().filter(of_it).collect();
            let name = format!("{list} {}-{}", entry.sport, entry.dport);
            if !court.once("lists", &name, found.len()) {
                continue;
            }
            let row = found[0];
            court.equal(&name, "state", &row["state"], &entry.state(proto).into());
            if entry.state == LISTEN {
                court.equal(&name, "backlog", &row["backlog"], &entry.recvq.into());
            } else {
                court.equal(&name, "recvq", &row["recvq"], &entry.recvq.into());
                court.equal(&name, "sendq", &row["sendq"], &entry.sendq.into());
            }
            if let Some(drops) = words.get(12).filter(|_| proto == "udp") {
                let drops: u64 = drops.parse().unwrap_or(0);
                court.equal(&name, "drops", &row["drops"], &drops.into());
            }
        }
    }
    let deaf: u64 = DEAF.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    let listener = rows.iter().find(|r| r["sport"] == deaf && r["state"] == "LISTEN");
    let backlog = listener.map_or(&Value::Null, |l| &l["backlog"]);
    court.equal("the listener that accepts nobody", "backlog", backlog, &WAITING.into());
}

/// The remote port; 0, as the kernel has it, where there is none.
fn port(row: &Value) -> u64 {
    row["dport"].as_u64().unwrap_or(0)
}

/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// A line of /proc/net/tcp or udp.
struct Entry {
    sport: u64,
    dport: u64,
    state: u8,
    sendq: u64,
    recvq: u64,
}

impl Entry {
    fn read(words: &[&str]) -> Option<Entry> {
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let port = |side: &str| hex(side.rsplit_once(':')?.1);
        let (sendq, recvq) = words.get(4)?.split_once(':')?;
        Some(Entry {
            sport: port(words.get(1)?)?,
            dport: port(words.get(2)?)?,
            state: hex(words.get(3)?)?.try_into().ok()?,
            sendq: hex(sendq)?,
            recvq: hex(recvq)?,
        })
    }

    /// The word ss has for it.
    fn state(&self, proto: &str) -> &'static str {
        match (self.state, proto) {
            (1, _) => "ESTAB",
            (7, "udp") => "UNCONN",
            (LISTEN, _) => "LISTEN",
            (6, _) => "TIME-WAIT",
            _ => "another",
        }
    }
}

/// Each short connection has a row for each of its ends, with its exact bytes and owner.
fn flow(case: &Case, court: &mut Court) {
    let (flow, followed) = (case.answer("flow"), case.answer("flow rows"));
    let rows = followed["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let truths = flow["truth"].as_array().map_or(&[][..], Vec::as_slice);
    println!("  flow: {} rows of {} connections, {} ms", rows.len(), truths.len(), flow["ms"]);
    let pid = |role: &str| {
        case.sockets("before", &[role]).first().map_or(Value::Null, |s| s["pid"].clone())
    };
    for truth in truths {
        let (client, server) = (&truth["sport"], &truth["dport"]);
        let sides = [
            ("client", client, server, &truth["sends"], &truth["gets"]),
            ("server", server, client, &truth["gets"], &truth["sends"]),
        ];
        for (role, sport, dport, sent, received) in sides {
            let name = format!("flow {sport}-{dport} ended by {}", truth["end"]);
            let ours = |r: &&Value| r["sport"] == *sport && r["dport"] == *dport;
            let found: Vec<&Value> = rows.iter().filter(ours).collect();
            if !court.once("flow", &name, found.len()) {
                continue;
            }
            let expected = [
                ("bytes_sent", sent),
                ("bytes_received", received),
                ("bytes_acked", sent),
                ("pid", &pid(role)),
            ];
            // A reset may overtake the last acknowledgement.
            let sure = |id: &str| id != "bytes_acked" || truth["end"] != "reset";
            for (id, value) in expected.into_iter().filter(|(id, _)| sure(id)) {
                court.equal(&name, id, &found[0][id], value);
            }
            court.equal(&name, "role", &found[0]["role"], &role.into());
        }
    }
    court.holds(
        !truths.is_empty(),
        "flow",
        format_args!("nothing was done; {}", followed["stderr"]),
    );
}

/// Processes of known fates are told on every kernel that has BPF rings.
fn life(case: &Case, court: &mut Court) {
    let followed = case.answer("life rows");
    let rows = followed["rows"].as_array().map_or(&[][..], Vec::as_slice);
    court.holds(!rows.is_empty(), "life", format_args!("no rows; {}", followed["stderr"]));
    crate::life::judge(case.answer("life"), rows, court);
}

/// Processes at rest are what /proc says of them, with rights and without.
fn tasks(case: &Case, court: &mut Court) {
    let [proc, thread, nobody] = ["proc", "thread", "nobody proc"].map(|t| case.rows(t, court));
    crate::tasks::judge(case.answer("tasks"), &proc, &thread, &nobody, court);
}

/// Root: what the ladder must reach on a kernel with the helpers (5.12 and later), and that a
/// signal which is not there says why.
fn doctor(case: &Case, swept: bool, court: &mut Court) {
    let rows = case.rows("doctor", court);
    for row in rows.iter().filter(|r| r["probe"] != "machine") {
        let name = format!("doctor {} {}", row["probe"], row["signal"]);
        println!("  {name}: {} by {} {}", row["state"], row["way"], row["refused"]);
        explained(&name, row, court);
    }
    for signal in CORE.iter().filter(|_| swept) {
        let found = rows.iter().find(|r| r["probe"] == "net" && r["signal"] == *signal);
        let way = found.is_some_and(|r| r["way"].is_string());
        court.holds(way, "doctor net", format_args!("{signal}: no way"));
    }
    let threads = rows.iter().find(|r| r["probe"] == "proc" && r["signal"] == "threads");
    let way = threads.and_then(|r| r["way"].as_str()).unwrap_or_default();
    court.holds(way.starts_with("iter/task"), "doctor proc threads", way);
    for signal in LIFE {
        let found = rows.iter().find(|r| r["probe"] == "proc" && r["signal"] == *signal);
        let state = found.map_or(&Value::Null, |r| &r["state"]);
        court.equal(&format!("doctor proc {signal}"), "state", state, &"ok".into());
    }
    for row in case.rows("probe", court) {
        let name = format!("probe {} {}", row["probe"], row["signal"]);
        court.equal(&name, "lost", &row["lost"], &0.into());
    }
}

/// A signal that is not all there says what is missing and how to get it, and why it is not there.
pub fn explained(name: &str, row: &Value, court: &mut Court) {
    if row["state"] == "ok" {
        return;
    }
    let said = |id: &str| row[id].as_str().is_some_and(|text| !text.is_empty());
    court.holds(said("missing"), name, "not said what is missing");
    court.holds(said("fix"), name, "not said how to get it");
    // A list of doctor's, words in the table.
    let why = said("refused") || row["refused"].as_array().is_some_and(|r| !r.is_empty());
    court.holds(why || row["way"].is_string(), name, "not said why");
}

fn host(case: &Case, court: &mut Court) {
    let rows = case.rows("host", court);
    court.once("host", "host", rows.len());
}

/// A user without rights sees every socket of its namespace, and is told what is missing.
fn nobody(case: &Case, court: &mut Court) {
    // Without sock_diag's modules there are the kernel's lists in /proc/net.
    for what in ["nobody net", "nobody bare"] {
        let rows = case.rows(what, court);
        for truth in case.sockets("before", &["server", "client"]) {
            let ours = |r: &&Value| {
                ["saddr", "sport"].iter().all(|id| r[*id] == truth[*id]) && port(r) == port(truth)
            };
            let found = rows.iter().filter(ours).count();
            let name = format!("{} {}:{}", truth["kind"], truth["saddr"], truth["sport"]);
            court.once(what, &name, found);
        }
    }
    let bare = case.rows("nobody bare doctor", court);
    let sockets = bare.iter().find(|r| r["probe"] == "net" && r["signal"] == "sockets");
    let fix = sockets.and_then(|r| r["fix"].as_str()).unwrap_or_default();
    let said = format_args!("tcp_diag is not named: {fix:?}");
    court.holds(fix.contains("modprobe") && fix.contains("tcp_diag"), "nobody bare doctor", said);

    let root = case.rows("doctor", court);
    let rows = case.rows("nobody doctor", court);
    let probes = rows.iter().filter(|r| r["probe"] != "machine");
    let lacking: Vec<&Value> = probes.filter(|r| r["state"] != "ok").collect();
    court.holds(!lacking.is_empty(), "nobody doctor", "it says that nothing is missing");
    for row in lacking {
        let name = format!("nobody doctor {} {}", row["probe"], row["signal"]);
        explained(&name, row, court);
        let same = |r: &&Value| r["probe"] == row["probe"] && r["signal"] == row["signal"];
        if root.iter().find(same).is_some_and(|r| r["state"] == "ok") {
            let fix = row["fix"].as_str().unwrap_or_default();
            let rights = fix.contains("root") || fix.contains("CAP_");
            court.holds(rights, &name, format_args!("root has it, but the fix is {fix:?}"));
        }
    }
}
