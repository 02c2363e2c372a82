//! A line being typed at the bottom of the screen.

use super::key::Key;

/// A TCP connection: cookie, local and remote end.
pub type Socket = (u64, (String, u16), (String, u16));

/// What the line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// The filter, live while typing; holds the text to go back to.
    Filter {
        /// What it was before.
        before: String,
    },
    /// What is searched for in stacks, live while typing; holds the text to go back to.
    Search {
        /// What it was before.
        before: String,
    },
    /// The process whose heap is watched.
    Heap,
    /// A pid, host or address to pin.
    Pin,
    /// A time to jump to.
    Time,
    /// What to compare with.
    Compare,
    /// What is searched for through time.
    Find {
        /// Towards later samples.
        forward: bool,
    },
    /// A note for a mark.
    Note {
        /// The instant, Unix ns.
        at: i64,
        /// The same as it is read.
        clock: String,
    },
    /// A command.
    Palette,
    /// A question about closing a connection or its process; the target is fixed when asked.
    Kill {
        /// Process.
        pid: Option<u64>,
        /// Its name.
        comm: String,
        /// `CLOCK_MONOTONIC` ns of the moment it was asked about.
        seen_ns: u64,
        /// The connection, when it is a TCP one: cookie, local, remote.
        socket: Option<Socket>,
    },
    /// A question about the nice value of a process; the target is fixed when asked.
    Renice {
        /// Process.
        pid: u64,
        /// Its name.
        comm: String,
        /// `CLOCK_MONOTONIC` ns of the moment it was asked about.
        seen_ns: u64,
        /// What it has.
        from: i64,
        /// What it gets.
        to: i8,
    },
    /// A question about what slows down others; the target is fixed when asked.
    Dear {
        /// What is asked for.
        dear: Dear,
        /// Process.
        pid: u64,
        /// Its name.
        comm: String,
    },
}

impl PromptKind {
    /// Whether one key answers it.
    pub fn question(&self) -> bool {
        matches!(
            self,
            PromptKind::Kill { .. } | PromptKind::Renice { .. } | PromptKind::Dear { .. }
        )
    }
}

/// What is too dear to be collected without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dear {
    /// Counting the system calls of a process.
    Calls,
    /// Timing every acquire of a process's locks.
    Locks,
    /// Taking every allocation of a process.
    Exact,
}

impl Dear {
    /// What it costs, as measured on a virtual machine with Linux 6.18.
    pub fn price(self) -> &'static str {
        match self {
            Dear::Calls => "counting doubles the cost of every system call of every process",
            Dear::Exact => "every malloc and free is taken, some microseconds each",
            Dear::Locks => "timing costs some 20 us a lock, 1400 times; stops after 30 s",
        }
    }

    /// The same in few words.
    pub fn short(self) -> &'static str {
        match self {
            Dear::Calls => "all system calls cost 2x",
            Dear::Locks => "20 us a lock for 30 s",
            Dear::Exact => "some us for each malloc and free",
        }
    }

    /// Said when it begins.
    pub fn begun(self, comm: &str, pid: u64) -> String {
        match self {
            Dear::Calls => format!("Counting for {comm} ({pid}): see Syscalls; S ends it."),
            Dear::Exact => format!("Every allocation of {comm} ({pid}) is taken; L ends it."),
            Dear::Locks => format!("Timing {comm} ({pid}) for 30 s: see Locks; L ends it."),
        }
    }

    /// Said when it ends.
    pub fn ended(self) -> &'static str {
        match self {
            Dear::Calls => "System calls are no longer counted.",
            Dear::Locks => "Locks are no longer timed.",
            Dear::Exact => "Allocations are sampled again.",
        }
    }
}

/// The line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What for.
    pub kind: PromptKind,
    /// What is typed.
    pub text: String,
    /// Cursor, in characters from the left.
    pub cursor: usize,
    /// What is wrong with it, while typing.
    pub wrong: Option<String>,
}

/// Longest line kept, in characters: a paste cannot grow it without bound.
const LONGEST: usize = 1024;

impl Prompt {
    /// A line that starts as `text`.
    pub fn new(kind: PromptKind, text: &str) -> Prompt {
        Prompt { kind, text: text.to_owned(), cursor: text.chars().count(), wrong: None }
    }

    /// What stands before the line; shorter on a narrow screen.
    pub fn label(&self, narrow: bool) -> String {
        let (wide, short) = match &self.kind {
            PromptKind::Filter { .. } => ("filter: ", "filter: "),
            PromptKind::Search { .. } => ("search: ", "search: "),
            PromptKind::Heap => ("heap of which process (none: growth of all): ", "heap of pid: "),
            PromptKind::Pin => ("pin pid, host or address: ", "pin: "),
            PromptKind::Time => ("time (12:03:07, 3am yesterday, -2h, 50%): ", "time: "),
            PromptKind::Compare => (
                "compare with A (-5m, 12:00..12:05, A vs B, Enter: what is shown): ",
                "A (Enter: now): ",
            ),
            PromptKind::Find { forward: true } => {
                ("next time a row is (proc.cpu>90% nginx): ", "next: ")
            }
            PromptKind::Find { forward: false } => {
                ("last time a row was (proc.cpu>90% nginx): ", "before: ")
            }
            PromptKind::Note { clock, .. } if narrow => return format!("note {clock}: "),
            PromptKind::Note { clock, .. } => {
                return format!("note for the mark at {clock} (Enter: none): ");
            }
            PromptKind::Palette => (":", ":"),
            PromptKind::Kill { pid, socket, .. } => match (pid.is_some(), socket.is_some()) {
                (true, true) => (
                    "c closes the connection, t sends SIGTERM, Esc leaves it ",
                    "c close  t SIGTERM  Esc leave ",
                ),
                (true, false) => (
                    "send t TERM  k KILL  s STOP  g CONT  h HUP  i INT, Esc leaves it ",
                    "t TERM k KILL s STOP g CONT h HUP i INT",
                ),
                (false, _) => ("c closes the connection, Esc leaves it ", "c close  Esc leave "),
            },
            PromptKind::Renice { .. } => ("y sets it, Esc leaves it ", "y set it  Esc leave "),
            PromptKind::Dear { dear: Dear::Calls, .. } => {
                ("y counts them, Esc leaves it ", "y count  Esc leave ")
            }
            PromptKind::Dear { dear: Dear::Exact, .. } => {
                ("y takes them all, Esc leaves it ", "y take all  Esc leave ")
            }
            PromptKind::Dear { dear: Dear::Locks, .. } => {
                ("y times them, Esc leaves it ", "y time  Esc leave ")
            }
        };
        if narrow { short } else { wide }.to_owned()
    }

    /// What the question is about; on a narrow screen the price comes first and in short.
    pub fn about(&self, narrow: bool) -> Option<String> {
        let (pid, comm, socket) = match &self.kind {
            PromptKind::Kill { pid, comm, socket, .. } => (pid, comm, socket),
            PromptKind::Renice { pid, comm, from, to, .. } => {
                return Some(format!("{comm} ({pid}): nice {from} becomes {to}"));
            }
            PromptKind::Dear { dear, pid, comm } if narrow => {
                return Some(format!("{}: {comm} ({pid})", dear.short()));
            }
            PromptKind::Dear { dear, pid, comm } => {
                return Some(format!("{comm} ({pid}): {}", dear.price()));
            }
            _ => return None,
        };
        let mut out = match pid {
            Some(pid) => format!("{comm} ({pid})"),
            None => "no process".to_owned(),
        };
        if let Some((_, local, remote)) = socket {
            let end = |(address, port): &(String, u16)| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            };
            out = format!("{out} with {}, local {}", end(remote), end(local));
        }
        Some(out)
    }

    /// Puts text in at the cursor; what would act on a terminal is left out.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.chars().count() >= LONGEST {
                return;
            }
            self.text.insert(self.byte(self.cursor), c);
            self.cursor += 1;
        }
    }

    /// Edits the line; true when the key was an edit.
    pub fn edit(&mut self, key: Key) -> bool {
        let len = self.text.chars().count();
        match key {
            Key::Char(c) => {
                let mut buf = [0; 4];
                self.insert(c.encode_utf8(&mut buf));
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.byte(self.cursor));
            }
            Key::Backspace => {}
            Key::Delete if self.cursor < len => {
                self.text.remove(self.byte(self.cursor));
            }
            Key::Delete => {}
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(len),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = len,
            Key::Ctrl('u') => {
                self.text.clear();
                self.cursor = 0;
            }
            Key::Ctrl('w') => {
                let end = self.byte(self.cursor);
                let kept = self.text[..end].trim_end();
                let from = kept.rfind(' ').map_or(0, |i| i + 1);
                self.text.replace_range(from..end, "");
                self.cursor = self.text[..from].chars().count();
            }
            _ => return false,
        }
        true
    }

    fn byte(&self, chars: usize) -> usize {
        self.text.char_indices().nth(chars).map_or(self.text.len(), |(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_moves_by_characters_not_bytes() {
        let mut p = Prompt::new(PromptKind::Pin, "aé");
        p.edit(Key::Left);
        p.edit(Key::Backspace);
        p.edit(Key::Char('日'));
        assert_eq!((p.text.as_str(), p.cursor), ("日é", 1));
        p.edit(Key::End);
        p.edit(Key::Ctrl('w'));
        assert_eq!((p.text.as_str(), p.cursor), ("", 0));
    }

    #[test]
    fn a_paste_is_bounded_and_harmless() {
        let mut p = Prompt::new(PromptKind::Palette, "");
        p.insert(&"x\x1b[2J".repeat(5000));
        assert_eq!(p.text.chars().count(), LONGEST);
        assert!(!p.text.contains('\x1b'));
    }
}
