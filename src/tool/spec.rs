//! What shall be run: a tool typed by the user, or a configured panel.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::parse::Hint;

/// One tool and everything that was said about it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of its table and its pane.
    pub name: String,
    /// The program and its arguments; never given to a shell.
    pub argv: Vec<OsString>,
    /// Its standard output is a pipe instead of a pty.
    pub pipe: bool,
    /// How its output is to be read; what is not said is found out.
    pub hint: Hint,
    /// What is said of single columns.
    pub columns: Vec<ColumnSpec>,
    /// Run it again this long after it ended well; `None` runs it once.
    pub interval: Option<Duration>,
    /// When it is started.
    pub start: Start,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// What it may use.
    pub limits: Limits,
    /// `Some` for a configured panel, which is trusted less than what the user typed.
    pub panel: Option<Panel>,
}

/// What only a configured panel has.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The file it is configured in.
    pub file: PathBuf,
    /// Run as this user, where lmptop runs as root.
    pub user: Option<String>,
    /// The only environment variables it gets besides `PATH`, `LANG`, `TERM`.
    pub env: Vec<(String, String)>,
}

/// What is said of one column of a tool's table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnSpec {
    /// The tool's header text.
    pub name: String,
    /// Another name for it.
    pub rename: Option<String>,
    /// `key`, `text`, `gauge`, `counter`, `duration`, `state`, as in the column reference.
    pub kind: Option<crate::table::Kind>,
    /// What its numbers are measured in.
    pub unit: Option<crate::table::Unit>,
    /// Whether it is left out.
    pub drop: bool,
    /// Whether columns of the same table that do not say this are left out.
    pub keep: bool,
}

impl ColumnSpec {
    /// What is said of each column of a table with these header texts. Of several tables of a tool
    /// `keep` thins out only those that have one of the columns kept.
    pub fn each(specs: &[ColumnSpec], titles: &[&str]) -> Vec<ColumnSpec> {
        let keeps = specs.iter().any(|s| s.keep && titles.contains(&s.name.as_str()));
        let said = titles.iter().map(|title| {
            let spec = specs.iter().find(|s| s.name == *title).cloned().unwrap_or_default();
            ColumnSpec { drop: spec.drop || (keeps && !spec.keep), ..spec }
        });
        said.collect()
    }
}

/// When a tool is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At once.
    #[default]
    On,
    /// Never; it stands in the configuration only.
    Off,
    /// When a process appears of which all that is given here holds; ended when the last is gone.
    Match(Match),
}

/// Which process a panel waits for. At least one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Its name (`/proc/PID/comm`), exactly.
    pub comm: Option<String>,
    /// A part of its command line, arguments joined by blanks.
    pub cmdline: Option<String>,
    /// Its cgroup's path, or the beginning of it.
    pub cgroup: Option<String>,
    /// Its systemd unit: the last part of the cgroup path that ends with `.service` or `.scope`.
    pub unit: Option<String>,
}

/// What happens when a tool ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// How often it is started again.
    pub max: u32,
    /// The wait before the first time; doubled each time, at most 60 s.
    pub backoff: Duration,
    /// After running this long without an end the count begins anew.
    pub reset: Duration,
}

impl Restart {
    /// Never again: what the user typed runs once.
    pub const NEVER: Restart =
        Restart { max: 0, backoff: Duration::from_secs(1), reset: Duration::from_secs(86_400) };
}

impl Default for Restart {
    fn default() -> Restart {
        Restart { max: 3, ..Restart::NEVER }
    }
}

/// What a tool may use; what is `None` is not limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Rows a second; more are dropped and counted.
    pub rows_per_s: Option<u32>,
    /// Memory in bytes, of the tool and what it starts.
    pub memory: Option<u64>,
    /// CPU time, per cent of one CPU.
    pub cpu: Option<f64>,
}

impl Spec {
    /// A tool as the user typed it: run once, as it is.
    pub fn typed(name: String, argv: Vec<OsString>) -> Spec {
        Spec {
            name,
            argv,
            pipe: false,
            hint: Hint::default(),
            columns: Vec::new(),
            interval: None,
            start: Start::On,
            restart: Restart::NEVER,
            limits: Limits::default(),
            panel: None,
        }
    }
}
