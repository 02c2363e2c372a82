//! Which call stacks are taken, and whose.

/// Which call stacks are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// What runs, at so many ticks a second of each CPU ([`TICKS`]).
    pub oncpu: Option<u32>,
    /// What is waited for.
    pub offcpu: bool,
    /// Memory.
    pub heap: Option<Heap>,
    /// Bytes read and written: by system calls, in the page cache, at block devices.
    pub io: bool,
    /// Whose.
    pub scope: Scope,
}

impl Stacks {
    /// Takes in one word of the command line: `oncpu`, `oncpu:199`, `offcpu`, `io`, `heap`,
    /// `heap:PID`, `heap:PID:exact`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn add(&mut self, word: &str) -> Result<(), String> {
        let mut parts = word.trim().split(':');
        let mode = parts.next().unwrap_or_default();
        let detail: Vec<&str> = parts.collect();
        match (mode, detail.as_slice()) {
            ("oncpu", []) => self.oncpu = Some(TICKS[0]),
            ("oncpu", [hz]) => match hz.parse::<u32>() {
                Ok(hz @ 1..=10_000) => self.oncpu = Some(hz),
                _ => return Err(format!("{word}: ticks a second are a number from 1 to 10000")),
            },
            ("offcpu", []) => self.offcpu = true,
            ("io", []) => self.io = true,
            ("heap", []) => self.heap = Some(Heap::default()),
            ("heap", [pid] | [pid, "exact"]) => match pid.parse::<u32>() {
                Ok(pid @ 1..) => {
                    self.heap = Some(Heap { pid: Some(pid), exact: detail.len() == 2 });
                }
                _ => return Err(format!("{word}: after heap: comes a process id")),
            },
            _ => {
                return Err(format!(
                    "{word}: stacks are of oncpu, oncpu:HZ, offcpu, io, heap, heap:PID or heap:PID:exact"
                ));
            }
        }
        Ok(())
    }

    /// Takes what the table of this name holds, if it is one of stacks and not asked for yet; of
    /// this process, where one is named and nothing else was said.
    pub fn of_table(&mut self, table: &str, pid: Option<u32>) {
        match table {
            "oncpu" => self.oncpu = self.oncpu.or(Some(TICKS[0])),
            "offcpu" => self.offcpu = true,
            "io" => self.io = true,
            "heap" => self.heap = self.heap.or(Some(Heap { pid, exact: false })),
            _ => return,
        }
        if let (Scope::All, Some(pid)) = (&self.scope, pid) {
            self.scope = Scope::Process(pid);
        }
    }

    /// Whether any are taken.
    pub fn any(&self) -> bool {
        self.oncpu.is_some() || self.offcpu || self.heap.is_some() || self.io
    }
}

/// Ticks a second that a key goes through; the first is what it begins with. None divides the
/// machine's own clock: a sampler in step with it would see always the same.
pub const TICKS: [u32; 4] = [99, 49, 199, 999];

/// How memory is looked at. Growth (page faults) is always part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// The process whose allocator is watched, if one is.
    pub pid: Option<u32>,
    /// Every allocation of it, instead of one for each half a megabyte.
    pub exact: bool,
}

/// Whose stacks are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The whole machine's.
    #[default]
    All,
    /// A process's.
    Process(u32),
    /// A process's and of all that it starts, and of what it has started already.
    Tree(u32),
    /// Of what is in a control group of the version 2 hierarchy or below it: its path there.
    Cgroup(String),
}

impl Scope {
    /// Reads `all`, `pid=N`, `tree=N` or `cgroup=PATH`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Scope, String> {
        let number = |n: &str| match n.parse::<u32>() {
            Ok(pid @ 1..) => Ok(pid),
            _ => Err(format!("{text}: {n} is no process id")),
        };
        match text.split_once('=') {
            None if text == "all" => Ok(Scope::All),
            Some(("pid", n)) => number(n).map(Scope::Process),
            Some(("tree", n)) => number(n).map(Scope::Tree),
            Some(("cgroup", path)) if !path.is_empty() => Ok(Scope::Cgroup(path.to_owned())),
            _ => Err(format!("{text}: whose stacks is all, pid=N, tree=N or cgroup=PATH")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_wishes() {
        let mut all = Stacks::default();
        for word in ["oncpu:199", "offcpu", "io", "heap:12:exact"] {
            all.add(word).unwrap();
        }
        assert_eq!(all.oncpu, Some(199));
        assert!(all.offcpu && all.io && all.any());
        assert_eq!(all.heap, Some(Heap { pid: Some(12), exact: true }));
        for wrong in ["cpu", "oncpu:0", "heap:x", "heap:1:all", "io:3", ""] {
            assert!(Stacks::default().add(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes_are_read() {
        assert_eq!(Scope::parse("all"), Ok(Scope::All));
        assert_eq!(Scope::parse("tree=7"), Ok(Scope::Tree(7)));
        assert_eq!(Scope::parse("cgroup=/a/b"), Ok(Scope::Cgroup("/a/b".to_owned())));
        for wrong in ["", "pid=0", "pid=x", "cgroup=", "user=3"] {
            assert!(Scope::parse(wrong).is_err(), "{wrong}");
        }
    }
}
