//! Which process holds which socket, from the links in /proc/PID/fd, without reading them all
//! again: only where a socket without a known holder can be.
//!
//! A holder once found stays right as long as the socket lives and nobody closes that descriptor;
//! a slow round re-reads known ones for that case. Descriptors of other users' processes cannot
//! be read without CAP_SYS_PTRACE: sockets without a holder are counted, not guessed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use ahash::RandomState;

type Set = HashSet<u64, RandomState>;

/// A descriptor that refers to a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Descriptor in it.
    pub fd: u32,
}

/// What is known about all processes.
#[derive(Default)]
pub struct Holders {
    procs: BTreeMap<u32, Proc>,
    by_inode: HashMap<u64, Vec<Holder>, RandomState>,
    /// Sought everywhere and not found: held by a process that cannot be read, or by none.
    hidden: Set,
    /// A round over everything: what it is for, and the process it has come to.
    round: Option<(Set, u32)>,
    verified: Holder,
    begun: bool,
    /// The sockets of the refresh before: the same ones need no search.
    inodes: Vec<u64>,
    /// The same, as of the last search.
    alive: Set,
    /// Whether each of them has its holder, or is known to have none that can be found.
    settled: bool,
}

#[derive(Default)]
struct Proc {
    comm: [u8; 16],
    /// Socket inode by descriptor; 0 for what is not a socket.
    fds: BTreeMap<u32, u64>,
    netns: Option<u64>,
    looked: bool,
    denied: bool,
}

/// Descriptors read in every search that finds work, about half a millisecond.
const GRANTED: usize = 512;
/// Known descriptors looked at again a refresh, round robin.
const VERIFY: usize = 64;

impl Holders {
    /// Brings the knowledge up to date for the sockets that exist now, in about `budget`; the
    /// first time takes as long as it takes, so that the first sample is complete.
    pub fn refresh(&mut self, inodes: impl Iterator<Item = u64>, budget: Duration) {
        let before = std::mem::take(&mut self.inodes);
        self.inodes.reserve(before.len());
        self.inodes.extend(inodes.filter(|&i| i != 0));
        let mut limit =
            Limit { until: self.begun.then(|| Instant::now() + budget), granted: GRANTED };
        self.begun = true;
        if !self.settled || self.inodes != before || self.procs.values().any(|p| !p.looked) {
            self.search(&mut limit);
        }
        self.verify();
        self.read_comms();
    }

    fn search(&mut self, limit: &mut Limit) {
        let alive: Set = self.inodes.iter().copied().collect();
        self.forget_dead(&alive);
        let mut wanted: Set = alive
            .iter()
            .filter(|i| !self.by_inode.contains_key(i) && !self.hidden.contains(i))
            .copied()
            .collect();
        if self.quick(&mut wanted, limit) {
            self.thorough(wanted, &alive, limit);
        }
        self.alive = alive;
        self.settled =
            (self.inodes.iter()).all(|i| self.by_inode.contains_key(i) || self.hidden.contains(i));
    }

    /// The descriptors that refer to this socket, lowest process first.
    pub fn of(&self, inode: u64) -> &[Holder] {
        self.by_inode.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// Name of a process that holds a socket, as the kernel keeps it: untrusted bytes.
    pub fn comm(&self, pid: u32) -> [u8; 16] {
        self.procs.get(&pid).map_or([0; 16], |p| p.comm)
    }

    /// Each network namespace seen, by inode number, with one process in it.
    pub fn namespaces(&self) -> BTreeMap<u64, u32> {
        self.procs.iter().rev().filter_map(|(&pid, p)| Some((p.netns?, pid))).collect()
    }

    /// How many processes do not let themselves be read.
    pub fn denied(&self) -> usize {
        self.procs.values().filter(|p| p.denied).count()
    }

    /// Forgets the descriptors of sockets that were there and are not now. Sockets of families
    /// that are not asked about were never there: what refers to them stays known.
    fn forget_dead(&mut self, alive: &Set) {
        let was = std::mem::take(&mut self.alive);
        for inode in was.difference(alive) {
            for h in self.by_inode.remove(inode).unwrap_or_default() {
                if let Some(p) = self.procs.get_mut(&h.pid) {
                    p.fds.remove(&h.fd);
                }
            }
        }
        self.hidden.retain(|i| alive.contains(i));
    }

    /// Notices processes that came and went; to be called before [`Holders::refresh`].
    pub fn list_processes(&mut self) {
        let Ok(dir) = fs::read_dir("/proc") else { return };
        let mut now: Vec<u32> =
            dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        now.sort_unstable();
        let ended: Vec<u32> =
            self.procs.keys().filter(|p| now.binary_search(p).is_err()).copied().collect();
        for pid in ended {
            self.drop_process(pid);
        }
        for pid in now {
            self.procs.entry(pid).or_insert_with(|| Proc { netns: netns(pid), ..Proc::default() });
        }
    }

    fn drop_process(&mut self, pid: u32) {
        let Some(p) = self.procs.remove(&pid) else { return };
        for (fd, inode) in p.fds {
            unlink(&mut self.by_inode, inode, Holder { pid, fd });
        }
    }

    /// Reads descriptors that are new, in every process where there can be one; whether that came
    /// to an end.
    fn quick(&mut self, wanted: &mut Set, limit: &mut Limit) -> bool {
        let pids: Vec<u32> = self.procs.keys().copied().collect();
        pids.into_iter().all(|pid| {
            let fresh = self.procs.get(&pid).is_some_and(|p| !p.looked);
            // A process not yet seen may hold a known socket too (fork).
            (wanted.is_empty() && !fresh) || self.look(pid, wanted, limit)
        })
    }

    /// Reads again what was something else before, process by process, for sockets that the quick
    /// way cannot find: a descriptor closed and opened again.
    fn thorough(&mut self, wanted: Set, alive: &Set, limit: &mut Limit) {
        if wanted.is_empty() {
            self.round = None;
            return;
        }
        let resumed = self.round.take();
        let begun = resumed.as_ref().map(|(_, pid)| *pid);
        let (sought, from) = resumed.unwrap_or_else(|| (wanted.clone(), 0));
        let mut still = wanted;
        let pids: Vec<u32> = self.procs.range(from..).map(|(&pid, _)| pid).collect();
        for pid in pids {
            // Where the round stopped in the middle, it goes on and does not begin again.
            if begun != Some(pid)
                && let Some(p) = self.procs.get_mut(&pid)
            {
                forget_others(&mut self.by_inode, pid, p, alive);
            }
            if !self.look(pid, &mut still, limit) {
                self.round = Some((sought, pid));
                return;
            }
        }
        self.hidden.extend(sought.iter().filter(|i| still.contains(i)));
    }

    /// Reads the descriptors of one process that are not known yet; whether that came to an end.
    fn look(&mut self, pid: u32, wanted: &mut Set, limit: &mut Limit) -> bool {
        let Some(p) = self.procs.get_mut(&pid) else { return true };
        p.looked = true;
        let path = format!("/proc/{pid}/fd");
        let dir = match File::open(&path) {
            Ok(dir) => dir,
            Err(e) => {
                p.denied = e.kind() == io::ErrorKind::PermissionDenied;
                return true;
            }
        };
        p.denied = false;
        // Since 6.2 the size is the number of descriptors; before it is 0.
        let open = dir.metadata().map_or(0, |m| m.len());
        if open != 0 && open == p.fds.len() as u64 {
            return true;
        }
        let Ok(entries) = fs::read_dir(&path) else { return true };
        let now: Vec<u32> =
            entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        let listed: HashSet<u32, RandomState> = now.iter().copied().collect();
        p.fds.retain(|fd, inode| {
            let there = listed.contains(fd);
            if !there {
                unlink(&mut self.by_inode, *inode, Holder { pid, fd: *fd });
            }
            there
        });
        for fd in now {
            if p.fds.contains_key(&fd) {
                continue;
            }
            if limit.over() {
                return false;
            }
            limit.granted = limit.granted.saturating_sub(1);
            let Some(inode) = socket_inode(&dir, fd) else { continue };
            p.fds.insert(fd, inode);
            if inode != 0 {
                link(&mut self.by_inode, inode, Holder { pid, fd });
                wanted.remove(&inode);
            }
        }
        true
    }

    /// Looks at some known descriptors again: a socket may live on in another process after its
    /// holder closed it.
    fn verify(&mut self) {
        let mut next: Vec<(Holder, u64)> = Vec::with_capacity(VERIFY);
        let from = self.verified;
        for (&pid, p) in self.procs.range(from.pid..) {
            let start = if pid == from.pid { from.fd + 1 } else { 0 };
            let room = VERIFY - next.len();
            next.extend(p.fds.range(start..).take(room).map(|(&fd, &i)| (Holder { pid, fd }, i)));
            if next.len() == VERIFY {
                break;
            }
        }
        self.verified = if next.len() < VERIFY { Holder::default() } else { next[VERIFY - 1].0 };
        let mut dir: Option<(u32, Option<File>)> = None;
        for (holder, before) in next {
            if dir.as_ref().is_none_or(|(pid, _)| *pid != holder.pid) {
                dir = Some((holder.pid, File::open(format!("/proc/{}/fd", holder.pid)).ok()));
                if let Some(p) = self.procs.get_mut(&holder.pid) {
                    p.netns = netns(holder.pid);
                }
            }
            let Some((_, Some(dir))) = &dir else { continue };
            let now = socket_inode(dir, holder.fd);
            let Some(p) = self.procs.get_mut(&holder.pid) else { continue };
            if now == Some(before) {
                continue;
            }
            unlink(&mut self.by_inode, before, holder);
            match now {
                Some(inode) => {
                    p.fds.insert(holder.fd, inode);
                    if inode != 0 {
                        link(&mut self.by_inode, inode, holder);
                        self.hidden.remove(&inode);
                    }
                }
                None => {
                    p.fds.remove(&holder.fd);
                }
            }
        }
    }

    /// Names change (exec, prctl): those of holders are read each time.
    fn read_comms(&mut self) {
        let holders: HashSet<u32, RandomState> =
            self.by_inode.values().flatten().map(|h| h.pid).collect();
        for pid in holders {
            if let Some(p) = self.procs.get_mut(&pid)
                && let Ok(comm) = fs::read(format!("/proc/{pid}/comm"))
            {
                p.comm = [0; 16];
                for (to, from) in p.comm.iter_mut().zip(comm.strip_suffix(b"\n").unwrap_or(&comm)) {
                    *to = *from;
                }
            }
        }
    }
}

/// Forgets the descriptors of a process that are none of the sockets asked about.
fn forget_others(
    by_inode: &mut HashMap<u64, Vec<Holder>, RandomState>,
    pid: u32,
    p: &mut Proc,
    alive: &Set,
) {
    p.fds.retain(|&fd, inode| {
        let keep = alive.contains(inode);
        if !keep {
            unlink(by_inode, *inode, Holder { pid, fd });
        }
        keep
    });
}

/// How long a search may take.
struct Limit {
    /// Missing: as long as it takes.
    until: Option<Instant>,
    /// Descriptors still to be read whatever the time: a process with very many takes longer to
    /// list than there is time, and would never be read at all.
    granted: usize,
}

impl Limit {
    fn over(&self) -> bool {
        self.granted == 0 && self.until.is_some_and(|until| Instant::now() >= until)
    }
}

fn link(by_inode: &mut HashMap<u64, Vec<Holder>, RandomState>, inode: u64, holder: Holder) {
    let holders = by_inode.entry(inode).or_default();
    if let Err(at) = holders.binary_search(&holder) {
        holders.insert(at, holder);
    }
}

fn unlink(by_inode: &mut HashMap<u64, Vec<Holder>, RandomState>, inode: u64, holder: Holder) {
    if let Some(holders) = by_inode.get_mut(&inode) {
        holders.retain(|h| *h != holder);
        if holders.is_empty() {
            by_inode.remove(&inode);
        }
    }
}

/// Inode number of a process's network namespace, if it may be read.
fn netns(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|m| m.ino())
}

/// Inode of the socket behind a descriptor, 0 if it is something else, `None` if it is closed.
fn socket_inode(dir: &File, fd: u32) -> Option<u64> {
    let name = std::ffi::CString::new(fd.to_string()).ok()?;
    let mut link = [0u8; 32];
    // SAFETY: `name` is NUL-terminated and `link` is as long as is said; both outlive the call.
    let n = unsafe {
        libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), link.as_mut_ptr().cast(), link.len())
    };
    let link = link.get(..usize::try_from(n).ok()?)?;
    Some(parse_link(link).unwrap_or(0))
}

/// The number in `socket:[123]`.
fn parse_link(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    const LONG: Duration = Duration::from_secs(5);

    fn inode(socket: &impl AsRawFd) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        parse_link(link.to_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn links_that_are_not_sockets_are_none() {
        assert_eq!(parse_link(b"socket:[4242]"), Some(4242));
        for link in [&b"pipe:[1]"[..], b"socket:[", b"socket:[]", b"socket:[x]", b"/a", b""] {
            assert_eq!(parse_link(link), None);
        }
    }

    #[test]
    fn new_reused_and_closed_descriptors_are_followed() {
        let mut h = Holders::default();
        let me = std::process::id();
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let held = |h: &Holders, s: &UdpSocket| h.of(inode(s)).to_vec();
        h.list_processes();
        h.refresh([inode(&a)].into_iter(), LONG);
        assert_eq!(held(&h, &a), [Holder { pid: me, fd: a.as_raw_fd() as u32 }]);
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(h.comm(me).starts_with(comm.trim_end().as_bytes()));

        // The same descriptor number, another socket.
        let old = inode(&a);
        drop(a);
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        h.list_processes();
        h.refresh([inode(&b)].into_iter(), LONG);
        assert_eq!(held(&h, &b), [Holder { pid: me, fd: b.as_raw_fd() as u32 }]);
        assert!(h.of(old).is_empty());
    }

    #[test]
    fn a_socket_shared_with_a_child_has_both_holders_until_one_ends() {
        let mut h = Holders::default();
        let s = UdpSocket::bind("127.0.0.1:0").unwrap();
        h.list_processes();
        h.refresh([inode(&s)].into_iter(), LONG);
        let shared: OwnedFd = s.try_clone().unwrap().into();
        // Reads its standard input, which never says anything.
        let mut child = Command::new("cat").stdin(Stdio::from(shared)).spawn().unwrap();
        h.list_processes();
        h.refresh([inode(&s)].into_iter(), LONG);
        let pids: Vec<u32> = h.of(inode(&s)).iter().map(|h| h.pid).collect();
        assert!(pids.contains(&child.id()) && pids.contains(&std::process::id()), "{pids:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        h.list_processes();
        h.refresh([inode(&s)].into_iter(), LONG);
        assert!(h.of(inode(&s)).iter().all(|h| h.pid == std::process::id()));
    }

    #[test]
    fn an_inode_nobody_holds_is_sought_once_and_then_left() {
        let mut h = Holders::default();
        h.list_processes();
        h.refresh([u64::MAX].into_iter(), LONG);
        assert!(h.of(u64::MAX).is_empty());
        assert!(h.hidden.contains(&u64::MAX) && h.round.is_none());
        h.list_processes();
        h.refresh(std::iter::empty(), LONG);
        assert!(h.hidden.is_empty(), "forgotten with the socket");
    }

    #[test]
    fn without_time_the_search_goes_on_refresh_by_refresh() {
        let mut h = Holders::default();
        let open = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sockets = vec![open()];
        h.list_processes();
        h.refresh(sockets.iter().map(inode), Duration::ZERO);
        assert_eq!(h.of(inode(&sockets[0])).len(), 1, "the first time has no limit");
        sockets.extend((0..700).map(|_| open()));
        let mut known = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        while known.last() != Some(&701) {
            h.list_processes();
            h.refresh(sockets.iter().map(inode), Duration::ZERO);
            let found = sockets.iter().filter(|s| !h.of(inode(*s)).is_empty()).count();
            // Other processes with many new descriptors may come first.
            assert!(Instant::now() < deadline, "no progress: {known:?}");
            known.push(found);
        }
        assert!(known[0] <= 1 + GRANTED, "{known:?}");
    }
}
