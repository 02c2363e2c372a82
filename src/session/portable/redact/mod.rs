//! Names, addresses and arguments of a recording become pseudonyms: the same thing is called the
//! same wherever it stands, so that what belongs together is still seen to, and nobody learns what
//! it was.
//!
//! Two passes. The first learns what is somebody's: words of command lines, addresses, host and
//! user names. The second replaces cells by their column's [`rule`], and wherever a text is kept,
//! the words learned are replaced in it. What stays: numbers, times, ports, process ids, names of
//! processes and functions, paths below `/usr` and its like, units of systemd.

mod all;
mod key;
mod own;
mod rule;
mod text;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};

use self::key::Key;
use self::rule::{Rule, rule};
use super::Redact;
use crate::session::meta::Info;
use crate::table::{Field, Sample, Schema, Table, Value};

/// Most words learned; a recording of a month has fewer.
const MOST_WORDS: usize = 1 << 20;
/// Texts whose pseudonyms are kept at hand.
const MOST_KEPT: usize = 1 << 16;
/// Words of command lines from this length on are replaced wherever they stand: shorter ones stand
/// everywhere.
const SHORTEST: usize = 5;
/// ... and names of users and hosts from this.
const SHORTEST_NAME: usize = 3;
/// Bytes of a process's name (TASK_COMM_LEN, include/linux/sched.h, less the end).
const COMM: usize = 15;
/// Words of `lmptop` itself that say how a recording came to be.
const COMMANDS: &[&str] = &["record", "run", "import"];
/// Names at the root of control groups that are alike on all machines.
const GROUPS: &[&str] = &[
    "docker",
    "lxc",
    "libpod",
    "kubepods",
    "besteffort",
    "burstable",
    "guaranteed",
    "podruntime",
    "system",
    "user",
    "init",
    "machine",
    "buildkit",
    "containerd",
    "crio",
    "unified",
];
/// Endings of units of systemd.
const UNITS: &[&str] = &[".slice", ".service", ".scope", ".socket", ".mount", ".swap"];

/// Replaces what is somebody's.
pub(super) struct Redactor {
    key: Key,
    /// Names of processes, programs, units and functions go, too.
    all: bool,
    /// Words that are replaced wherever they stand.
    words: HashSet<String>,
    /// Of these, names of users and hosts: also as a part of a longer name.
    names: HashSet<String>,
    /// Names of programs and of processes.
    programs: HashSet<String>,
    comms: HashSet<String>,
    /// Names of processes that are their programs' or the kernel's.
    own: HashSet<String>,
    /// Functions of the kernel and of common libraries.
    public: HashSet<String>,
    originals: HashSet<IpAddr>,
    addresses: HashMap<IpAddr, IpAddr>,
    taken: HashSet<IpAddr>,
    schemas: Vec<(Arc<Schema>, Arc<Schema>, Vec<Rule>)>,
    kept: HashMap<(Rule, String), String>,
}

impl Redactor {
    /// With a new key.
    pub(super) fn new(info: &Info, how: Redact) -> Redactor {
        let mut redactor = Redactor {
            key: Key::new(),
            all: how == Redact::All,
            words: HashSet::new(),
            names: HashSet::new(),
            programs: HashSet::new(),
            comms: HashSet::new(),
            own: HashSet::new(),
            public: HashSet::new(),
            originals: HashSet::new(),
            addresses: HashMap::new(),
            taken: HashSet::new(),
            schemas: Vec::new(),
            kept: HashMap::new(),
        };
        redactor.host(&info.host);
        for word in info.argv.iter().skip(1).filter(|w| !COMMANDS.contains(&w.as_str())) {
            redactor.argument(word);
        }
        // People of this machine; those of another one are known by their homes.
        let people = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        for person in people.lines() {
            let mut fields = person.split(':');
            let (name, uid) = (fields.next().unwrap_or_default(), fields.nth(1));
            let uid = uid.and_then(|u| u.parse::<u64>().ok()).unwrap_or(0);
            if uid >= 1000 && uid != 65_534 {
                redactor.name(name);
            }
        }
        redactor
    }

    /// Looks what is somebody's in a sample.
    pub(super) fn learn(&mut self, sample: &Sample) {
        for table in &sample.tables {
            if self.all && table.schema().has_stacks() {
                self.learn_frames(table);
            }
            if !self.all {
                self.learn_own(table);
            }
            for (c, field) in table.schema().stored().iter().enumerate() {
                let Some(cells) = texts(table, c) else { continue };
                let rule = rule(table.schema(), field, self.all);
                for cell in cells.iter().flatten() {
                    self.learn_cell(rule, field, cell);
                }
            }
        }
    }

    fn learn_cell(&mut self, rule: Rule, field: &Field, cell: &str) {
        if self.all {
            self.learn_names(rule, cell);
        }
        match rule {
            Rule::Address => {
                if let Ok(address) = cell.parse() {
                    self.originals.insert(address);
                }
            }
            Rule::Argv => {
                for word in cell.split_ascii_whitespace().skip(1) {
                    if !self.words.contains(word) {
                        self.argument(word);
                    }
                }
            }
            Rule::Path => {
                self.home(cell);
                if text::system(cell) {
                    let name = cell.rsplit('/').next().unwrap_or_default();
                    if !self.programs.contains(name) {
                        self.programs.insert(name.to_owned());
                    }
                }
            }
            _ if field.id == "hostname" => self.host(cell),
            _ if field.id == "comm" && !self.comms.contains(cell) => {
                self.comms.insert(cell.to_owned());
            }
            _ => {}
        }
    }

    /// What was learned is complete.
    pub(super) fn ready(&mut self) {
        if self.all {
            return;
        }
        let programs = &self.programs;
        // `python3` runs as `python3.13`; a word of a command line may be another program's name.
        let program = |word: &str| {
            programs.contains(word)
                || programs.iter().any(|p| word.len() > 3 && p.starts_with(word))
        };
        let names = &self.names;
        self.words.retain(|word| names.contains(word) || !program(word));
        // Whoever it is called after is replaced there, too.
        self.own.retain(|comm| !names.iter().any(|name| comm.contains(name.as_str())));
    }

    fn host(&mut self, name: &str) {
        self.name(name);
        self.name(name.split('.').next().unwrap_or_default());
    }

    fn name(&mut self, name: &str) {
        if name.len() >= SHORTEST_NAME && name != "localhost" {
            self.word_learned(name);
            if self.names.len() < MOST_WORDS {
                self.names.insert(name.to_owned());
            }
        }
    }

    /// The owner of a home that a path leads through.
    fn home(&mut self, path: &str) {
        for place in ["home", "Users"] {
            let Some((_, below)) = path.split_once(&format!("/{place}/")) else { continue };
            let end = below.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
            self.name(&below[..end.unwrap_or(below.len())]);
        }
    }

    /// A word of a command line, and what it consists of.
    fn argument(&mut self, word: &str) {
        self.home(word);
        self.long_word(word);
        for part in word.split(['=', ',', ':', ';', '@', '"', '\'']) {
            if let Ok(address) = part.parse() {
                self.originals.insert(address);
            }
            if part.starts_with('-') && part.len() < word.len() {
                continue; // The name of an option, not what it is set to.
            }
            if text::system(part) {
                continue;
            }
            let name = part.rsplit('/').next().unwrap_or_default();
            self.long_word(part);
            self.long_word(name);
            // A script's name is its process's name, cut off.
            if let Some(cut) = name.get(..COMM) {
                self.long_word(cut);
            }
        }
    }

    fn long_word(&mut self, word: &str) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let numeric = text::numeric(word) || word.parse::<IpAddr>().is_ok();
        if bare.len() >= SHORTEST && !numeric && !text::system(word) {
            self.word_learned(word);
            self.word_learned(bare);
        }
    }

    fn word_learned(&mut self, word: &str) {
        if self.words.len() < MOST_WORDS && !self.words.contains(word) {
            self.words.insert(word.to_owned());
        }
    }

    /// A sample with pseudonyms.
    pub(super) fn sample(&mut self, sample: &Sample) -> Result<Sample> {
        let tables = sample.tables.iter().map(|t| self.table(t)).collect::<Result<_>>()?;
        Ok(Sample { tables, ..*sample })
    }

    fn table(&mut self, table: &Table) -> Result<Table> {
        let (schema, rules) = self.schema(table.schema());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(rules.len());
        for (c, rule) in rules.into_iter().enumerate() {
            let cells = table.batch().column(c);
            columns.push(match (rule, texts(table, c)) {
                (Rule::Keep, _) => cells.clone(),
                (Rule::User, _) => self.users(cells),
                (_, Some(texts)) => {
                    let mut new = Vec::with_capacity(texts.len());
                    for (row, cell) in texts.iter().enumerate() {
                        new.push(cell.map(|cell| self.cell(rule, table, row, cell)));
                    }
                    Arc::new(StringArray::from(new))
                }
                (_, None) => cells.clone(),
            });
        }
        Table::new(Arc::clone(&schema), RecordBatch::try_new(schema.arrow(), columns)?)
    }

    /// The schema with words of a tool's header replaced, and the rule of each stored column.
    fn schema(&mut self, schema: &Arc<Schema>) -> (Arc<Schema>, Vec<Rule>) {
        let known = |(s, ..): &&(Arc<Schema>, _, _)| Arc::ptr_eq(s, schema) || s == schema;
        if let Some((_, new, rules)) = self.schemas.iter().find(known) {
            return (Arc::clone(new), rules.clone());
        }
        let rules: Vec<Rule> = schema.stored().iter().map(|f| rule(schema, f, self.all)).collect();
        let new = if schema.found() {
            let mut fields = schema.stored().to_vec();
            for f in &mut fields {
                let id = self.scan(&f.id);
                if id != f.id {
                    // Made from the id, and made anew from the new one.
                    f.alias.clear();
                    f.help.clear();
                }
                f.id = id;
                for text in [&mut f.title, &mut f.help].into_iter().chain(&mut f.alias) {
                    *text = self.scan(text);
                }
            }
            Arc::new(Schema::new_found(&self.scan(schema.table()), schema.nature(), fields))
        } else {
            Arc::clone(schema)
        };
        self.schemas.push((Arc::clone(schema), Arc::clone(&new), rules.clone()));
        (new, rules)
    }

    fn users(&self, cells: &ArrayRef) -> ArrayRef {
        if let Some(cells) = cells.as_any().downcast_ref::<UInt64Array>() {
            return Arc::new(
                cells.iter().map(|u| u.map(|u| self.key.user(u))).collect::<UInt64Array>(),
            );
        }
        if let Some(cells) = cells.as_any().downcast_ref::<Int64Array>() {
            let user = |u: i64| u64::try_from(u).map_or(u, |u| self.key.user(u) as i64);
            return Arc::new(cells.iter().map(|u| u.map(user)).collect::<Int64Array>());
        }
        cells.clone()
    }

    /// A cell with pseudonyms.
    fn cell(&mut self, rule: Rule, table: &Table, row: usize, cell: &str) -> String {
        if rule == Rule::Argv {
            return self.argv(table, row, cell);
        }
        let modules = match table.get(row, "modules") {
            Value::Text(modules) if rule == Rule::Frames && self.all => Some(modules),
            _ => None,
        };
        let at = match modules {
            Some(modules) => (rule, format!("{cell}\n{modules}")),
            None => (rule, cell.to_owned()),
        };
        if let Some(known) = self.kept.get(&at) {
            return known.clone();
        }
        let new = match rule {
            Rule::Keep | Rule::User | Rule::Argv => cell.to_owned(),
            Rule::Scan => self.scan(cell),
            Rule::Comm => self.comm(cell),
            Rule::Address => match cell.parse::<IpAddr>() {
                Ok(address) => self.address(address).to_string(),
                Err(_) => self.scan(cell),
            },
            Rule::Frames | Rule::Bare if self.all => self.frames(cell, modules),
            Rule::Frames | Rule::Bare => {
                let text = self.scan(cell);
                text::sources(&text, |name| self.key.word(name))
            }
            Rule::Name => self.named(cell),
            Rule::Owners => self.owners(cell),
            Rule::Modules => self.modules(cell),
            Rule::Place => self.place(cell),
            Rule::Path => self.path(cell),
            Rule::Cgroup => self.cgroup(cell),
            Rule::Whole if cell.is_empty() => String::new(),
            Rule::Whole => self.key.word(cell),
            Rule::Words => self.tool(cell),
        };
        if self.kept.len() >= MOST_KEPT {
            self.kept.clear();
        }
        self.kept.insert(at, new.clone());
        new
    }

    fn path(&mut self, cell: &str) -> String {
        let bare = cell.strip_suffix(" (deleted)");
        if self.all {
            let new = self.program(bare.unwrap_or(cell));
            return if bare.is_some() { format!("{new} (deleted)") } else { new };
        }
        let new = text::path(bare.unwrap_or(cell), |part| self.key.word(part));
        let new = if text::system(cell) { self.scan(&new) } else { new };
        if bare.is_some() { format!("{new} (deleted)") } else { new }
    }

    /// The program's name as far as it may be known, and a pseudonym for every word after it.
    fn argv(&mut self, table: &Table, row: usize, cell: &str) -> String {
        let mut words = cell.split_ascii_whitespace();
        if words.next().is_none() {
            return String::new();
        }
        let name = match (table.get(row, "exe"), table.get(row, "comm")) {
            (Value::Text(exe), _) if text::system(exe) => exe.rsplit('/').next().map(str::to_owned),
            (_, Value::Text(comm)) => Some(comm.to_owned()),
            _ => None,
        };
        let mut out = match name {
            Some(name) if self.all => self.named(&name),
            Some(name) => self.comm(&name),
            None => self.key.word(cell),
        };
        for word in words {
            out.push(' ');
            out.push_str(&self.key.word(word));
        }
        out
    }

    fn cgroup(&mut self, cell: &str) -> String {
        let parts = cell.split('/').map(|part| {
            let unit = UNITS.iter().find_map(|u| part.strip_suffix(u).map(|stem| (stem, *u)));
            match unit {
                None if part.is_empty() || GROUPS.contains(&part) => part.to_owned(),
                None => self.key.word(part),
                // `user.slice` is on every machine, also where somebody is called `user`.
                Some((stem, _)) if GROUPS.contains(&stem) => part.to_owned(),
                Some((stem, ending)) => format!("{}{ending}", self.unit(stem)),
            }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// A unit's name: users' numbers, ids of containers and what was learned are replaced.
    fn unit(&self, stem: &str) -> String {
        for before in ["user-", "user@", "user-runtime-dir@"] {
            if let Some(uid) = stem.strip_prefix(before).and_then(|u| u.parse().ok()) {
                return format!("{before}{}", self.key.user(uid));
            }
        }
        if self.all { self.named(stem) } else { self.known(&self.hex(stem)) }
    }

    /// A tool's text.
    fn tool(&mut self, cell: &str) -> String {
        let text = text::paths(cell, |part| self.key.word(part));
        let text = self.replace_addresses(&text);
        let word = |c: char| !c.is_whitespace();
        text::runs(&text, word, |word, _| {
            let whole = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            if text::is_pseudonym(whole) {
                return None;
            }
            if word.contains("/r-") {
                return Some(self.beside_paths(word));
            }
            let known = self.comms.contains(word) || self.programs.contains(word);
            let address = |a: &str| a.parse::<IpAddr>().is_ok();
            let shown = word.trim_matches(|c: char| !c.is_alphanumeric());
            let keep = text::numeric(word) || address(word) || address(shown);
            match keep {
                true => None,
                false if known && !self.all && !self.words.contains(word) => None,
                false => Some(self.pseudonym(word)),
            }
        })
    }

    /// A word with a path whose own names have been replaced: what stands beside the path goes.
    fn beside_paths(&self, word: &str) -> String {
        let part = |c: char| !text::ENDS.contains(c);
        text::runs(word, part, |piece, _| {
            let done = text::is_pseudonym(piece) || text::numeric(piece);
            match piece.find('/') {
                Some(0) => None,
                Some(n) if piece[..n].ends_with(['@', '~', '[']) => {
                    Some(format!("{}{}", self.key.word(&piece[..n]), &piece[n..]))
                }
                _ if done || piece.parse::<IpAddr>().is_ok() => None,
                _ => Some(self.key.word(piece)),
            }
        })
    }

    /// A text in which everything is replaced that is known to be somebody's.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = text::paths(text, |part| self.key.word(part));
        out = text::addresses(&out, |a| {
            self.addresses.get(&a).copied().unwrap_or_else(|| self.key.address(a, 0))
        });
        self.known(&self.hex(&out))
    }

    fn scan(&mut self, text: &str) -> String {
        if self.words.contains(text) {
            return self.pseudonym(text);
        }
        let out = text::paths(text, |part| self.key.word(part));
        let out = self.replace_addresses(&out);
        self.known(&self.hex(&out))
    }

    fn replace_addresses(&mut self, text: &str) -> String {
        text::addresses(text, |address| self.address(address))
    }

    /// The pseudonym of an address: nobody else's, and none that was seen.
    fn address(&mut self, address: IpAddr) -> IpAddr {
        if let Some(known) = self.addresses.get(&address) {
            return *known;
        }
        let mut new = self.key.address(address, 0);
        for turn in 1..1000 {
            if new == address || !(self.taken.contains(&new) || self.seen_in(new)) {
                break;
            }
            new = self.key.address(address, turn);
        }
        self.taken.insert(new);
        self.addresses.insert(address, new);
        new
    }

    /// Whether an address that was seen stands in this one as text, as 10.1.1.1 in 10.1.1.12.
    fn seen_in(&self, new: IpAddr) -> bool {
        let text = new.to_string();
        let ends = (0..3).map(|cut| text.len().saturating_sub(cut));
        let pieces = ends.flat_map(|end| (0..3.min(end)).map(move |start| (start, end)));
        let seen = |piece: &str| piece.parse().is_ok_and(|a| self.originals.contains(&a));
        pieces.filter_map(|(start, end)| text.get(start..end)).any(seen)
    }

    fn hex(&self, text: &str) -> String {
        if text.len() < 12 {
            return text.to_owned();
        }
        let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        text::runs(text, word, |run, _| {
            if text::long_hex(run) {
                return Some(self.key.word(run));
            }
            let part = |c: char| c.is_alphanumeric();
            let new =
                text::runs(run, part, |part, _| text::long_hex(part).then(|| self.key.word(part)));
            (new != run).then_some(new)
        })
    }

    /// Replaces words that were learned: the longest first, then what they consist of.
    fn known(&self, text: &str) -> String {
        self.known_in(text, 0)
    }

    /// The pseudonym of a word, which may be a name: that is called the same everywhere.
    fn pseudonym(&self, word: &str) -> String {
        if self.all && self.comms.contains(all::cut(word)) {
            return self.named(word);
        }
        self.key.word(word)
    }

    fn known_in(&self, text: &str, level: usize) -> String {
        const JOINED: [&str; 4] = ["_-.@+%", "_-.", "_", ""];
        let Some(joined) = JOINED.get(level) else { return text.to_owned() };
        let words = if joined.is_empty() { &self.names } else { &self.words };
        let part = |c: char| c.is_alphanumeric() || joined.contains(c);
        text::runs(text, part, |run, _| {
            if words.contains(run) {
                return Some(self.pseudonym(run));
            }
            // A pseudonym already.
            if text::is_pseudonym(run) {
                return None;
            }
            let new = self.known_in(run, level + 1);
            (new != run).then_some(new)
        })
    }

    /// Who recorded what, with pseudonyms.
    pub(super) fn info(&self, info: Info) -> Info {
        let mut argv = info.argv.into_iter();
        let first = argv.next().map(|_| "lmptop".to_owned());
        let rest = argv.enumerate().map(|(n, word)| {
            let ours = n == 0 && COMMANDS.contains(&word.as_str());
            if ours { word } else { self.key.word(&word) }
        });
        Info {
            host: self.key.word(&info.host),
            boot_id: self.key.word(&info.boot_id),
            argv: first.into_iter().chain(rest).collect(),
            ..info
        }
    }
}

fn texts(table: &Table, column: usize) -> Option<&StringArray> {
    table.batch().column(column).as_any().downcast_ref()
}
