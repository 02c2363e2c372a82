//! What ss says of a socket, and where a row of `net` says otherwise.

use std::collections::HashMap;
use std::process::Command;

use lmptop::table::{Table, Value};

/// One line of `ss -…OH`.
pub struct Line {
    text: String,
    state: String,
    recvq: u64,
    sendq: u64,
    local: String,
    remote: String,
    /// `name:value` words.
    words: HashMap<String, String>,
    /// `name value` pairs: rates.
    rates: HashMap<String, f64>,
    flags: Vec<String>,
}

pub fn installed() -> bool {
    Command::new("ss").arg("-V").output().is_ok_and(|o| o.status.success())
}

/// The lines of ss with these arguments, in the network namespace of a process.
pub fn lines(args: &str, place: Option<u32>) -> Vec<Line> {
    let mut command = match place {
        None => Command::new("ss"),
        Some(pid) => {
            let mut c = Command::new("nsenter");
            c.args(["-t", &pid.to_string(), "-n", "ss"]);
            c
        }
    };
    let output = command.arg(args).output().unwrap();
    assert!(output.status.success(), "ss {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(Line::parse).collect()
}

impl Line {
    fn parse(text: &str) -> Line {
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next().unwrap().to_owned();
        let (state, recvq, sendq, local, remote) = (next(), next(), next(), next(), next());
        let mut line = Line {
            text: text.trim_end().to_owned(),
            state,
            recvq: recvq.parse().unwrap(),
            sendq: sendq.parse().unwrap(),
            local,
            remote,
            words: HashMap::new(),
            rates: HashMap::new(),
            flags: Vec::new(),
        };
        let mut rest = words.peekable();
        while let Some(word) = rest.next() {
            match word {
                "send" | "pacing_rate" | "delivery_rate" => {
                    let rate = rest.next().unwrap().split('/').next().unwrap();
                    let rate = rate.strip_suffix("bps").unwrap().parse().unwrap();
                    line.rates.insert(word.to_owned(), rate);
                }
                _ => match word.split_once(':') {
                    Some((name, value)) => {
                        line.words.insert(name.to_owned(), value.to_owned());
                    }
                    None => line.flags.push(word.to_owned()),
                },
            }
        }
        line
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn cookie(&self) -> u64 {
        u64::from_str_radix(&self.words["sk"], 16).unwrap()
    }

    pub fn pid(&self) -> Option<u32> {
        self.user("pid=")
    }

    pub fn local_port(&self) -> u16 {
        self.local.rsplit(':').next().unwrap().parse().unwrap_or(0)
    }

    fn user(&self, field: &str) -> Option<u32> {
        let rest = self.words.get("users")?.split(field).nth(1)?;
        rest.split([',', ')']).next()?.parse().ok()
    }

    /// Where the row differs, as one line; `None` if it is equal in every field that ss prints.
    pub fn differs(&self, t: &Table, row: usize) -> Option<String> {
        let mut wrong = Vec::new();
        let mut check = |what: &str, ss: String, ours: String| {
            if ss != ours {
                wrong.push(format!("{what}: ss {ss}, net {ours}"));
            }
        };
        let word = |id: &str| match t.get(row, id) {
            Value::Text(s) => s.to_owned(),
            Value::None => "none".to_owned(),
            v => v.as_f64().map_or("?".to_owned(), |n| n.to_string()),
        };
        let num = |id: &str| t.get(row, id).as_f64();
        check("state", self.state.clone(), word("state"));
        check("recvq", self.recvq.to_string(), word("recvq"));
        check("sendq", self.sendq.to_string(), word("sendq"));
        for (end, ip, port) in [(&self.local, "saddr", "sport"), (&self.remote, "daddr", "dport")] {
            let (ss_ip, ss_port) = end.rsplit_once(':').unwrap();
            let ss_ip = ss_ip.trim_matches(['[', ']']);
            let ss_ip = if ss_ip == "*" { "::" } else { ss_ip };
            check(ip, ss_ip.to_owned(), word(ip));
            check(port, ss_port.replace('*', "0"), word(port));
        }
        if let Some(pid) = self.pid() {
            check("pid", pid.to_string(), word("pid"));
            check("fd", self.user("fd=").unwrap().to_string(), word("fd"));
            let comm = self.words["users"].split('"').nth(1).unwrap().to_owned();
            check("comm", comm, word("comm"));
        }
        for (name, value) in &self.words {
            self.check_word(name, value, &word, &num, &mut check);
        }
        for (name, rate) in &self.rates {
            let id = if name == "send" { "send_rate" } else { name };
            // ss prints whole bits of a rate in bytes; our division drops a byte's fraction.
            let ours = num(id).unwrap_or(-1.0) * 8.0;
            if (rate - ours).abs() > 8.0 + rate * 1e-9 {
                check(name, rate.to_string(), ours.to_string());
            }
        }
        let opts: Vec<&str> = self
            .flags
            .iter()
            .map(String::as_str)
            .filter(|f| ["ts", "sack", "ecn", "ecnseen", "fastopen"].contains(f))
            .collect();
        if word("proto") == "tcp" && self.state != "LISTEN" {
            check("opts", opts.join(" "), word("opts"));
            let limited = self.flags.iter().any(|f| f == "app_limited");
            check("app_limited", u8::from(limited).to_string(), word("app_limited"));
            check("cc", "true".to_owned(), self.flags.contains(&word("cc")).to_string());
        }
        (!wrong.is_empty()).then(|| format!("{}\n  {}", wrong.join("\n  "), self.text))
    }

    fn check_word(
        &self,
        name: &str,
        value: &str,
        word: &dyn Fn(&str) -> String,
        num: &dyn Fn(&str) -> Option<f64>,
        check: &mut impl FnMut(&str, String, String),
    ) {
        let mut near = |id: &str, ss: &str, scale: f64| {
            // ss prints six digits.
            let ss: f64 = ss.parse::<f64>().unwrap() * scale;
            let ours = num(id).unwrap_or(f64::NAN);
            let off = (ss - ours).abs();
            if off.is_nan() || off > 0.5f64.max(ss * 1e-5) {
                check(id, ss.to_string(), ours.to_string());
            }
        };
        let first = value.split(['/', ',']).next().unwrap();
        let second = value.split(['/', ',']).nth(1);
        match name {
            "rtt" => {
                near("srtt_us", first, 1e3);
                near("rttvar_us", second.unwrap(), 1e3);
            }
            "rto" => near("rto_us", value, 1e3),
            "ato" => near("ato_us", value, 1e3),
            "minrtt" => near("min_rtt_us", value, 1e3),
            "rcv_rtt" => near("rcv_rtt_us", value, 1e3),
            "busy" => near("busy_us", value.trim_end_matches("ms"), 1e3),
            "wscale" => {
                near("snd_wscale", first, 1.0);
                near("rcv_wscale", second.unwrap(), 1.0);
            }
            "retrans" => {
                near("retrans_out", first, 1.0);
                near("retrans", second.unwrap(), 1.0);
            }
            "skmem" => {
                for part in value.trim_matches(['(', ')']).split(',') {
                    let at = part.find(|c: char| c.is_ascii_digit()).unwrap();
                    let id = match &part[..at] {
                        "r" => "rmem_alloc",
                        "rb" => "rcvbuf",
                        "t" => "wmem_alloc",
                        "tb" => "sndbuf",
                        "f" => "forward_alloc",
                        "w" => "wmem_queued",
                        "o" => "omem_alloc",
                        "bl" => "backlog_len",
                        "d" => "drops",
                        other => panic!("skmem {other}"),
                    };
                    near(id, &part[at..], 1.0);
                }
            }
            "ino" if value == "0" => check("ino", "none".to_owned(), word("ino")),
            "cgroup" => check("cgroup", value.to_owned(), word("cgroup")),
            "timer" => {
                let kind = value.trim_matches(['(', ')']).split(',').next().unwrap();
                check("timer", kind.to_owned(), word("timer"));
            }
            "ino" | "uid" | "unacked" | "sacked" | "lost" | "dsack_dups" | "reordering"
            | "reord_seen" | "rcv_space" | "rcv_ssthresh" | "notsent" | "rcv_ooopack"
            | "snd_wnd" | "rcv_wnd" | "rehash" | "bytes_sent" | "bytes_retrans" | "bytes_acked"
            | "bytes_received" | "segs_in" | "segs_out" | "data_segs_in" | "data_segs_out"
            | "delivered" | "delivered_ce" | "mss" | "pmtu" | "advmss" | "backoff" => {
                near(name, value, 1.0);
            }
            "rcvmss" => near("rcv_mss", value, 1.0),
            "cwnd" => near("snd_cwnd", value, 1.0),
            "ssthresh" => near("snd_ssthresh", value, 1.0),
            "sk" | "users" | "bbr" | "lastsnd" | "lastrcv" | "lastack" | "v6only" => {}
            other => check(other, value.to_owned(), "not compared".to_owned()),
        }
    }
}
