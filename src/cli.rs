//! The command line: what may be said to lmptop, and how a mistake in it is answered.
//!
//! Scripts depend on names, defaults and exit codes here: 0 done, 1 failure, 2 usage.

mod keeping;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::export::Format;
use crate::import::Each;
use crate::source::{Focus, Scope, Stacks};
use crate::trigger::Rule;
use crate::view::theme::Glyphs;

pub use keeping::Keeping;

/// A terminal monitor for Linux: connections, processes and call stacks, live, recorded, replayed.
///
/// Without a command it opens the live screen and records while it runs. Root (or CAP_BPF,
/// CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_PTRACE) shows everything; without it lmptop shows what
/// /proc and sock_diag give and `lmptop doctor` says what is missing.
#[derive(Debug, Parser)]
#[command(
    name = "lmptop",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "TIME is 12:03:07, 2026-11-21T12:03:07, -5m (before the end) or +30s (after the \
                  start). EXPR is what / takes on screen: words AND-ed, key:value, key>value with \
                  units (rtt>50ms, tx>1MB/s), !word, /regex/, 10.0.0.0/8."
)]
pub struct Cli {
    /// What to do; the live screen when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the live screen.
    #[command(flatten)]
    pub live: Live,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record without a screen, until --for has passed or SIGINT, SIGTERM or SIGHUP
    Record(Record),
    /// Show a recording in the same screen; needs no root
    Replay(Replay),
    /// Make a recording of profiles that others saved: folded text and pprof
    Import(Import),
    /// Write a recording as one file to send, without names if asked, or as Parquet files
    Export(Export),
    /// List what is recorded
    Sessions(Sessions),
    /// Print rows to standard output, live or from a recording
    Print(Print),
    /// Write a recording as one HTML page: pictures over time, tables, flame graphs
    Report(Report),
    /// Run any tool that prints a table: a panel on a terminal, rows to a pipe, always recorded
    Run(Run),
    /// Explain the columns of every table, or of one
    Columns(Columns),
    /// Say what works on this machine, by which way, and why the rest does not
    Doctor(Doctor),
    /// Check, list and begin panels: tools shown and recorded as tables
    Panel(Panel),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page (roff)
    Man,
}

/// The live screen.
#[derive(Args, Clone, Debug)]
pub struct Live {
    /// Pin this process: every pane shows only what is its own
    #[arg(short, long, value_parser = pid)]
    pub pid: Option<u32>,
    /// Time between samples: 1s, 500ms, or seconds; at least 100ms
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Keep nothing on disk
    #[arg(long)]
    pub no_record: bool,
    /// Record into a new session inside this directory
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
    /// Run the panels of this configuration, instead of $XDG_CONFIG_HOME/lmptop/config.toml or
    /// /etc/lmptop/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How much of the past is kept.
    #[command(flatten)]
    pub keeping: Keeping,
    /// Which characters are drawn.
    #[command(flatten)]
    pub characters: Characters,
    /// What is looked at more closely.
    #[command(flatten)]
    pub look: Look,
    /// What shall be noticed.
    #[command(flatten)]
    pub noticing: Noticing,
}

/// What shall be noticed while nobody looks.
#[derive(Args, Clone, Debug, Default)]
pub struct Noticing {
    /// Fire when this begins to hold: 'load1>8 for 10s', 'psi.memory.some>20% for 1s',
    /// 'proc.cpu>90% where comm=cc1 for 5s', 'life: kind=exit signal=SIGSEGV'
    #[arg(long, value_name = "RULE", value_parser = Rule::parse)]
    pub trigger: Vec<Rule>,
    /// A snapshot holds this much from before a trigger fired; 30s by default
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub before: Option<Duration>,
    /// And this much from after
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub after: Option<Duration>,
}

/// Which characters are drawn, where the environment does not say it right.
#[derive(Args, Clone, Debug, Default)]
pub struct Characters {
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Draw bars and strips with braille, which is one cell wide also where blocks are two (CJK)
    #[arg(long, conflicts_with = "ascii")]
    pub braille: bool,
}

impl Characters {
    /// As the screen is told.
    pub fn glyphs(&self) -> Option<Glyphs> {
        match (self.ascii, self.braille) {
            (true, _) => Some(Glyphs::Ascii),
            (_, true) => Some(Glyphs::Braille),
            _ => None,
        }
    }
}

/// What is looked at more closely than everything else, because it is dear to collect.
#[derive(Args, Clone, Debug, Default)]
pub struct Look {
    /// Account what every thread does and who wakes it, from the start (scheduler tracepoints)
    #[arg(long)]
    pub states: bool,
    /// Keep every change of state of these processes' threads; turns --states on
    #[arg(long, value_name = "PID,..", value_delimiter = ',', value_parser = pid)]
    pub watch: Vec<u32>,
    /// Take call stacks from the start: oncpu, oncpu:HZ, offcpu, io, heap, heap:PID, heap:PID:exact
    #[arg(long, value_name = "MODE,..", value_delimiter = ',', value_parser = stacks)]
    pub stacks: Vec<String>,
    /// Whose call stacks: all, pid=N, tree=N or cgroup=PATH
    #[arg(long, value_name = "WHOSE", value_parser = Scope::parse)]
    pub scope: Option<Scope>,
}

impl Look {
    /// As the probes are told.
    pub fn focus(&self) -> Focus {
        let mut stacks =
            Stacks { scope: self.scope.clone().unwrap_or_default(), ..Stacks::default() };
        for mode in &self.stacks {
            // Each was read when the command line was.
            let _ = stacks.add(mode);
        }
        Focus {
            states: self.states || !self.watch.is_empty(),
            watch: self.watch.clone(),
            stacks,
            ..Focus::default()
        }
    }
}

/// Recording without a screen.
#[derive(Args, Clone, Debug)]
pub struct Record {
    /// Stop after this long: 60s, 10m, 2h, or seconds
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Option<Duration>,
    /// Time between samples: 1s, 500ms, or seconds; at least 100ms
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Record into a new session inside this directory
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
    /// Record only these: names of probes (all their tables) or of tables
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// How much of the past is kept.
    #[command(flatten)]
    pub keeping: Keeping,
    /// What is looked at more closely.
    #[command(flatten)]
    pub look: Look,
    /// What shall be noticed; with --trigger nothing is written before it fires.
    #[command(flatten)]
    pub noticing: Noticing,
    /// Run the panels of this configuration, instead of $XDG_CONFIG_HOME/lmptop/config.toml or
    /// /etc/lmptop/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A recording in the screen.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// A session's directory or id, a directory of sessions, or a file of lmptop export; the newest
    /// session by default
    pub session: Option<PathBuf>,
    /// Start at this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Pin this process: every pane shows only what is its own
    #[arg(short, long, value_parser = pid)]
    pub pid: Option<u32>,
    /// Compare the call stacks with all of this recording
    #[arg(long, value_name = "SESSION")]
    pub against: Option<PathBuf>,
    /// Of that recording this process alone
    #[arg(long, value_name = "PID", requires = "against", value_parser = pid)]
    pub against_pid: Option<u32>,
    /// Which characters are drawn.
    #[command(flatten)]
    pub characters: Characters,
}

/// Profiles that others saved.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// Folded text (comm;outer;inner number) or pprof (.pb, .pb.gz); each file is one sample
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The table: what the numbers are
    #[arg(long = "as", value_name = "TABLE", default_value = "oncpu",
          value_parser = PossibleValuesParser::new(["oncpu", "offcpu", "heap", "io"]))]
    pub table: String,
    /// What one of folded text's numbers stands for: 99hz for samples of perf, 1us for bcc's
    /// offcputime, bytes for heap and io
    #[arg(long, value_name = "AMOUNT", default_value = "1", value_parser = Each::parse)]
    pub each: Each,
    /// Make the new session inside this directory
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
}

/// A recording for others.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// A session's directory or id, a directory of sessions, or a file of lmptop export; the newest
    /// session by default
    pub session: Option<PathBuf>,
    /// The file to write, for example incident.lmptop; lmptop replay and print --session open it
    #[arg(short, long, value_name = "FILE", conflicts_with = "parquet")]
    pub output: Option<PathBuf>,
    /// Write TABLE.parquet of each table into this directory instead, for DuckDB, pandas or Polars
    #[arg(long, value_name = "DIR")]
    pub parquet: Option<PathBuf>,
    /// From this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// To this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Only these tables
    #[arg(long, value_name = "TABLE,..", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// Replace addresses, command lines, users, hosts, container ids and paths by pseudonyms: the
    /// same ones throughout the file, others in each; with =all also names of programs
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true,
          default_missing_value = "personal")]
    pub redact: Option<Redact>,
    /// Replace what is there already
    #[arg(long)]
    pub force: bool,
}

/// The list of recordings.
#[derive(Args, Clone, Debug)]
pub struct Sessions {
    /// Where they are, or one session, or a file of lmptop export
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
    /// Go through everything that is stored, of one recording or of all, and say what is damaged
    #[arg(long, value_name = "SESSION", num_args = 0..=1)]
    pub check: Option<Option<PathBuf>>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Plain,
}

/// Rows to standard output.
#[derive(Args, Clone, Debug)]
pub struct Print {
    /// The table; `lmptop columns` lists them
    pub table: String,
    /// How to print: json is one object a line; folded, svg, pprof and speedscope are for call
    /// stacks, openmetrics is for Prometheus
    #[arg(long, value_name = "FORMAT", default_value = "table",
          value_parser = PossibleValuesParser::new(Format::ALL.map(|(name, _)| name)))]
    pub format: String,
    /// Number of samples, or of what --find finds; from the end of a recording; 0 means live until
    /// stopped, or all
    #[arg(short = 'n', long = "samples", value_name = "N")]
    pub samples: Option<u64>,
    /// Time between samples: 1s, 500ms, or seconds; at least 100ms
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Only rows of this process
    #[arg(short, long, value_parser = pid)]
    pub pid: Option<u32>,
    /// What is looked at more closely.
    #[command(flatten)]
    pub look: Look,
    /// Only rows that match, for example 'rtt>50ms !ssh'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// Tell when some row of a recording matched: a line for each stretch of samples without a
    /// break, with its begin, its end and its worst row: 'cpu>90% where comm=nginx for 5s'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, requires = "session",
          conflicts_with_all = ["at", "against", "against_at", "against_from", "against_to",
                                "against_pid"])]
    pub find: Option<String>,
    /// Only these columns, in this order; `all` adds rates and raw starts
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Sort by this column, smallest first; -COL or COL:desc puts the largest first
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Read a recording: a session's directory or id, or a directory of sessions (the newest)
    #[arg(long, value_name = "DIR")]
    pub session: Option<PathBuf>,
    /// The sample at this time of the recording (with -n: that many, the last at this time)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session",
          conflicts_with_all = ["from", "to"])]
    pub at: Option<String>,
    /// From this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session")]
    pub from: Option<String>,
    /// To this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session")]
    pub to: Option<String>,
    /// What it is compared with.
    #[command(flatten)]
    pub against: Against,
}

/// A recording as a page.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// A session's directory or id, or a directory of sessions; the newest by default
    pub session: Option<PathBuf>,
    /// From this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// To this time of the recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Write the page here; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
}

/// What call stacks are compared with: the same table then, there, or of another process.
#[derive(Args, Clone, Debug, Default)]
pub struct Against {
    /// Compare with this recording: call stacks, or any table as it was; the same one when only a
    /// time or process is given
    #[arg(long, value_name = "DIR", requires = "session")]
    pub against: Option<PathBuf>,
    /// With the sample at this time of that recording: rows side by side, most changed first
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session",
          conflicts_with_all = ["against_from", "against_to"])]
    pub against_at: Option<String>,
    /// From this time of that recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session")]
    pub against_from: Option<String>,
    /// To this time of that recording
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "session")]
    pub against_to: Option<String>,
    /// Call stacks of this process; else the one of -p, or all
    #[arg(long, value_name = "PID", requires = "session", value_parser = pid)]
    pub against_pid: Option<u32>,
    /// What makes the two comparable: a second of each, or the whole of each
    #[arg(long, value_enum, default_value = "time")]
    pub normalize: Normalize,
}

impl Against {
    /// Whether two are to be compared.
    pub fn given(&self) -> bool {
        let times = [&self.against_at, &self.against_from, &self.against_to];
        let times = times.iter().any(|t| t.is_some());
        self.against.is_some() || times || self.against_pid.is_some()
    }
}

/// What makes two profiles comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Normalize {
    /// A second of each
    #[default]
    Time,
    /// The whole of each
    Share,
}

/// Any tool.
#[derive(Args, Clone, Debug, Default)]
pub struct Run {
    /// The tool and its arguments; more tools after ---
    #[arg(
        value_name = "TOOL [ARGS].. [--- TOOL [ARGS]..]",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "panel"
    )]
    pub argv: Vec<OsString>,
    /// Run this panel, configured or ready: lmptop panel list shows them
    #[arg(long, value_name = "NAME")]
    pub panel: Vec<String>,
    /// The configuration with those panels
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Call its table and its panel this, instead of by the tool
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What its output is: table csv tsv json prometheus hist kv text gala:FILE columns:A,B,C;
    /// found out when absent
    #[arg(long, value_name = "FORM")]
    pub parse: Option<String>,
    /// The columns that identify a row; found out when absent
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub key: Vec<String>,
    /// Each block of rows takes the place of the one before
    #[arg(long, conflicts_with = "append")]
    pub snapshot: bool,
    /// Rows add up
    #[arg(long)]
    pub append: bool,
    /// The column that holds the tool's own time
    #[arg(long, value_name = "COL")]
    pub time: Option<String>,
    /// Give it a pipe instead of a terminal to write to
    #[arg(long)]
    pub pipe: bool,
    /// Run it again this long after it ended, like watch: 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub every: Option<Duration>,
    /// Print rows even on a terminal, and how: table, csv, or json with one object a line
    #[arg(long, value_enum)]
    pub format: Option<Listed>,
    /// Record into a new session inside this directory
    #[arg(short, long = "session", value_name = "DIR", visible_alias = "output")]
    pub output: Option<PathBuf>,
    /// Keep nothing on disk
    #[arg(long)]
    pub no_record: bool,
    /// Time between samples of the screen: 1s, 500ms, or seconds; at least 100ms
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Which characters are drawn.
    #[command(flatten)]
    pub characters: Characters,
}

/// The column reference.
#[derive(Args, Clone, Debug)]
pub struct Columns {
    /// Only this table's
    pub table: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Listed,
}

/// What works here.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Plain,
}

/// Panels.
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = false)]
pub struct Panel {
    /// What to do.
    #[command(subcommand)]
    pub what: PanelCommand,
}

/// What can be done with panels.
#[derive(Clone, Debug, Subcommand)]
pub enum PanelCommand {
    /// Say of each panel of a configuration that it is right, or what is wrong and in which line
    Check(PanelCheck),
    /// List ready and configured panels, and why some cannot run here
    List(PanelList),
    /// Print a commented configuration to begin with
    Sample,
    /// Print a panel for a gala extend probe, made from its meta file
    Import(PanelImport),
}

/// A check of a configuration.
#[derive(Args, Clone, Debug)]
pub struct PanelCheck {
    /// The configuration; without it the one that lmptop would read
    pub file: Option<PathBuf>,
}

/// The list of panels.
#[derive(Args, Clone, Debug)]
pub struct PanelList {
    /// The configuration, instead of $XDG_CONFIG_HOME/lmptop/config.toml or
    /// /etc/lmptop/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Plain,
}

/// A panel for a gala extend probe.
#[derive(Args, Clone, Debug)]
pub struct PanelImport {
    /// The probe's meta file
    pub meta: PathBuf,
    /// The probe and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// A completion script.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// What an exported file holds pseudonyms of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Redact {
    /// Addresses, command lines, users, hosts, container ids and paths
    Personal,
    /// And names of processes, programs, units and functions
    All,
}

/// Text for people or lines for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plain {
    /// Aligned text
    Table,
    /// One object a line
    Json,
}

/// How lists and rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Aligned text
    Table,
    /// Comma-separated, with a header
    Csv,
    /// One object a line
    Json,
}

/// A mistake in what was asked for: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// clap's answer to a mistake, on one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"))
        .filter(|l| !l.is_empty())
        .collect();
    let said = said.join(" ").replace("tip:", "-").trim_start_matches("error: ").to_owned();
    format!("{}; see lmptop --help", said.trim_end_matches(['.', ':']))
}

fn stacks(text: &str) -> Result<String, String> {
    Stacks::default().add(text).map(|()| text.to_owned())
}

fn pid(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        // PID_MAX_LIMIT (include/linux/threads.h) on 64-bit machines.
        Ok(pid) if (1..=4_194_304).contains(&pid) => Ok(pid),
        _ => Err("a process id is a number from 1 to 4194304".to_owned()),
    }
}

/// A length of time: `1s`, `500ms`, `10m`, `2h`, or a bare number of seconds.
///
/// # Errors
/// What is wrong with it, in words.
pub fn length(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("a time is a number and ms, s, m, h or d, like 500ms".to_owned()),
    };
    let number: f64 =
        number.parse().map_err(|_| "a time starts with a number, like 1.5s".to_owned())?;
    match Duration::try_from_secs_f64(number * scale) {
        Ok(d) if d > Duration::ZERO && d <= Duration::from_secs(10 * 366 * 86_400) => Ok(d),
        _ => Err("a time is more than nothing and at most ten years".to_owned()),
    }
}

/// A [`length`] that can be kept between samples: 100 ms to a day.
///
/// # Errors
/// What is wrong with it, in words.
pub fn interval(text: &str) -> Result<Duration, String> {
    let d = length(text)?;
    if d < Duration::from_millis(100) {
        return Err("samples are at least 100ms apart".to_owned());
    }
    if d > Duration::from_secs(86_400) {
        return Err("samples are at most a day apart".to_owned());
    }
    Ok(d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for bad in ["", "s", "99ms", "0", "-1s", "1x", "1.2.3s", "1e3", "inf", "2d", "١s", "ms"] {
            assert!(interval(bad).is_err(), "{bad:?}");
        }
        assert!(length(&"9".repeat(400)).is_err());
    }

    #[test]
    fn a_usage_error_is_one_line_without_the_usage_block() {
        for args in [
            &["lmptop", "print"][..],
            &["lmptop", "print", "net", "--frmo", "x"],
            &["lmptop", "frobnicate"],
            &["lmptop", "-i", "1ms"],
            &["lmptop", "sessions", "--format", "xml"],
            &["lmptop", "--session", "x", "print", "net"],
            &["lmptop", "print", "net", "--at", "-5m"],
        ] {
            let error = Cli::try_parse_from(args).unwrap_err();
            let line = one_line(&error);
            assert!(!line.contains('\n') && !line.contains("Usage"), "{args:?}: {line}");
            assert!(line.ends_with("; see lmptop --help"), "{line}");
        }
    }

    #[test]
    fn times_before_the_end_are_values_not_options() {
        let cli = Cli::try_parse_from([
            "lmptop",
            "print",
            "net",
            "--session",
            "d",
            "--from",
            "-5m",
            "--to",
            "-1m",
            "--sort",
            "-pid",
        ]);
        let Ok(Cli { command: Some(Command::Print(p)), .. }) = cli else { panic!("{cli:?}") };
        assert_eq!((p.from.as_deref(), p.to.as_deref()), (Some("-5m"), Some("-1m")));
        assert_eq!(p.sort.as_deref(), Some("-pid"));
    }
}
