//! Which cells hold what: by the column's id in tables of ours, by the cell in a tool's.

use crate::table::{Field, Schema, Type};

/// What is done with the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// Numbers, and words of the kernel's or of ours.
    Keep,
    /// A name or a sentence: what is known to be somebody's is replaced in it.
    Scan,
    /// A process's name: its program's and the kernel's stay, else as a text.
    Comm,
    /// A command line: the program stays.
    Argv,
    /// An address.
    Address,
    /// A path.
    Path,
    /// A control group's path.
    Cgroup,
    /// Free text: nothing of it stays.
    Whole,
    /// A tool's text: numbers and names of programs stay.
    Words,
    /// A user's number.
    User,
    /// Functions of a stack, whose files stand in the column `modules`.
    Frames,
    /// Functions of a stack whose files are not told.
    Bare,
    /// A process's name; where names go, too, as all that follow.
    Name,
    /// Processes that hold something: `pid/fd name`.
    Owners,
    /// The files of a stack's functions.
    Modules,
    /// What lies at an address.
    Place,
}

/// Text columns of tables of ours in which nobody but the kernel and lmptop writes.
const OURS: &[&str] = &[
    "proto",
    "family",
    "state",
    "role",
    "timer",
    "ca_state",
    "cc",
    "opts",
    "end",
    "kind",
    "old_state",
    "context",
    "policy",
    "syscall",
    "wchan",
    "code",
    "signal",
    "core",
    "source",
    "idle",
    "hist",
    "sizes",
    "stream",
];

/// Ids of columns with a process's name.
const COMMS: &[&str] = &["comm", "old_comm", "waker_comm", "sender_comm", "holder_comm"];

/// Ids of columns with a user's or a group's number.
const USERS: &[&str] = &["uid", "euid", "suid", "fsuid", "gid", "egid", "loginuid", "user_id"];

/// The rule of a column where names of programs go, too; what is not told here is as ever.
fn naming(table: &str, id: &str) -> Option<Rule> {
    Some(match (table, id) {
        (_, id) if COMMS.contains(&id) => Rule::Name,
        (_, "owners") => Rule::Owners,
        (_, "modules") => Rule::Modules,
        ("lock", "name") => Rule::Place,
        ("trigger", "cause") => Rule::Words,
        _ => return None,
    })
}

/// The rule of a column.
pub(super) fn rule(schema: &Schema, field: &Field, all: bool) -> Rule {
    let id = field.id.to_ascii_lowercase();
    if field.ty != Type::Text {
        return if USERS.contains(&id.as_str()) { Rule::User } else { Rule::Keep };
    }
    if schema.found() {
        return Rule::Words;
    }
    if let Some(rule) = naming(schema.table(), &id).filter(|_| all) {
        return rule;
    }
    match (schema.table(), id.as_str()) {
        (_, "stack") => Rule::Frames,
        (_, "waker_stack") => Rule::Bare,
        ("tool", "last_error" | "how" | "limit") => Rule::Words,
        ("trigger", "rule" | "name") | (_, "line" | "hostname") => Rule::Whole,
        (_, id) if COMMS.contains(&id) => Rule::Comm,
        (_, "argv") => Rule::Argv,
        (_, "saddr" | "daddr") => Rule::Address,
        (_, "exe") => Rule::Path,
        (_, "cgroup") => Rule::Cgroup,
        (_, id) if OURS.contains(&id) => Rule::Keep,
        _ => Rule::Scan,
    }
}
