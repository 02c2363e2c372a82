//! Which cells hold what: by the column's id in tables of ours, by the cell in a tool's.

use crate::table::{Field, Schema, Type};

/// What is done with the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// Numbers, and words of the kernel's or of ours.
    Keep,
    /// A name or a sentence: what is known to be somebody's is replaced in it.
    Scan,
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

/// Ids of columns with a user's or a group's number.
const USERS: &[&str] = &["uid", "euid", "suid", "fsuid", "gid", "egid", "loginuid", "user_id"];

/// The rule of a column.
pub(super) fn rule(schema: &Schema, field: &Field) -> Rule {
    let id = field.id.to_ascii_lowercase();
    if field.ty != Type::Text {
        return if USERS.contains(&id.as_str()) { Rule::User } else { Rule::Keep };
    }
    if schema.found() {
        return Rule::Words;
    }
    match (schema.table(), id.as_str()) {
        ("tool", "last_error" | "how" | "limit") => Rule::Words,
        ("trigger", "rule" | "name") | (_, "line" | "hostname") => Rule::Whole,
        (_, "argv") => Rule::Argv,
        (_, "saddr" | "daddr") => Rule::Address,
        (_, "exe") => Rule::Path,
        (_, "cgroup") => Rule::Cgroup,
        (_, id) if OURS.contains(&id) => Rule::Keep,
        _ => Rule::Scan,
    }
}
