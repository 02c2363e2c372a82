//! How each state of a thread is drawn: its letter, its style, and which of several prevails.

use ratatui::style::{Modifier, Style};

use crate::app::image::Class;
use crate::view::theme::{Role, Theme};

/// Letter where there is no colour or no block characters.
pub fn letter(class: Class) -> char {
    match class.word() {
        "running" => 'R',
        "runnable" => 'w',
        "preempted" => 'p',
        "io" => 'I',
        "lock" => 'L',
        "poll" => 'P',
        "net" => 'N',
        "timer" => 'T',
        "child" => 'C',
        "fault" => 'F',
        "sleep" => 'S',
        "stopped" => 't',
        _ => '?',
    }
}

/// Its role.
pub fn role(class: Class) -> Role {
    match class.word() {
        "running" => Role::Run,
        "runnable" | "preempted" => Role::Wait,
        "io" => Role::Io,
        "lock" => Role::Lock,
        "fault" | "stopped" | "unknown" => Role::Stuck,
        _ => Role::Rest,
    }
}

/// The role of a word of `state`, also of those that are no class.
pub fn role_of(word: &str) -> Role {
    match Class::of(word) {
        Some(class) => role(class),
        None if word == "zombie" || word == "dead" => Role::Stuck,
        None => Role::Text,
    }
}

/// Its style: the two waits for a CPU differ by weight.
pub fn style(class: Class, look: &Theme) -> Style {
    let style = look.style(role(class));
    match class {
        Class::PREEMPTED => style.add_modifier(Modifier::BOLD),
        _ => style,
    }
}

/// The higher prevails in a cell that holds several.
pub fn rank(class: Class) -> u8 {
    match class.word() {
        "unknown" => 9,
        "stopped" => 8,
        "io" => 7,
        "preempted" => 6,
        "runnable" => 5,
        "fault" => 4,
        "lock" => 3,
        "running" => 2,
        _ => 1,
    }
}
