//! The recorder's side: lets others of the same user, and root, look at the session while it is
//! written. Only one process may have a sled database open, so they ask the one that has.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::contents::Shared;
use super::segment::{Open, Stamp};
use super::talk::{self, Ask, HELLO, Overview};

/// Viewers at a time.
const VIEWERS: usize = 16;
/// How long one may take over a message before it is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of stack of a viewer's thread: what is read is on the heap.
const STACK: usize = 256 << 10;

/// The socket, for as long as the session is written.
pub(super) struct Server {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Lets others in.
    pub(super) fn start(dir: &Path, shared: Arc<Shared>) -> Result<Server> {
        let path = dir.join(talk::NAME);
        let listener = reach(dir, UnixListener::bind)
            .with_context(|| format!("others cannot look at {}", dir.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = thread::Builder::new()
            .name("lmptop-viewers".to_owned())
            .stack_size(STACK)
            .spawn(move || listen(&listener, &shared, &end))?;
        Ok(Server { path, ends, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes it from waiting.
        let woken = self.path.parent().is_some_and(|dir| reach(dir, UnixStream::connect).is_ok());
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Does something with the socket by a short way to it: an address has 107 bytes at most
/// (`sockaddr_un`), and sessions may lie deep.
pub(super) fn reach<T>(
    dir: &Path,
    what: impl FnOnce(PathBuf) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let dir = fs::File::open(dir)?;
    what(PathBuf::from(format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), talk::NAME)))
}

fn listen(listener: &UnixListener, shared: &Arc<Shared>, ends: &Arc<AtomicBool>) {
    let viewers = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // Too many open files, most likely: not in a circle.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_friend(&stream) || viewers.load(Ordering::Relaxed) >= VIEWERS {
            continue;
        }
        viewers.fetch_add(1, Ordering::Relaxed);
        let (shared, ends, left) = (Arc::clone(shared), Arc::clone(ends), Arc::clone(&viewers));
        let thread = thread::Builder::new().name("lmptop-viewer".to_owned()).stack_size(STACK);
        let begun = thread.spawn(move || {
            // A viewer that says nonsense, or has gone, is its own loss.
            let _ = serve(stream, &shared, &ends);
            left.fetch_sub(1, Ordering::Relaxed);
        });
        if begun.is_err() {
            viewers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether it is the same user, or root, who asks (`SO_PEERCRED`).
fn is_friend(stream: &UnixStream) -> bool {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` is plain data of `len` bytes, the descriptor is open.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    // SAFETY: geteuid has no preconditions.
    failed == 0 && (peer.uid == 0 || peer.uid == unsafe { libc::geteuid() })
}

fn serve(mut stream: UnixStream, shared: &Shared, ends: &AtomicBool) -> Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&HELLO)?;
    while let Some(request) = talk::hear(&mut stream)? {
        ensure!(!ends.load(Ordering::Relaxed), "the recording has ended");
        // What cannot be read of a segment is no answer, and no reason to hang up.
        let mut answer = vec![1];
        match answer_to(&Ask::unpack(&request)?, shared) {
            Ok(Some(bytes)) => answer.extend(bytes),
            Ok(None) => answer = vec![0],
            Err(e) => {
                answer = vec![2];
                answer.extend(format!("{e:#}").bytes().take(1024));
            }
        }
        talk::send(&mut stream, &answer)?;
    }
    Ok(())
}

/// `None` where there is nothing of that kind.
fn answer_to(ask: &Ask, shared: &Shared) -> Result<Option<Vec<u8>>> {
    let open = |number: u32| -> Result<Arc<Open>> {
        let segments = shared.segments();
        let segment = segments.iter().find(|s| s.number == number);
        shared.open(segment.context("this part of the recording has been removed")?)
    };
    Ok(match ask {
        Ask::Overview => Some(serde_json::to_vec(&overview(shared))?),
        Ask::Schemas => {
            let all = shared.schemas.read().unwrap_or_else(PoisonError::into_inner);
            let all: Vec<_> = all.iter().map(|s| s.as_ref()).collect();
            Some(serde_json::to_vec(&all)?)
        }
        Ask::Stamps { segment, from } => {
            let from = usize::try_from(*from)?;
            Some(open(*segment)?.with(|all| talk::pack_stamps(all.get(from..).unwrap_or(&[]))))
        }
        Ask::Get { segment, tree, key } => {
            open(*segment)?.get(*tree, key)?.map(|(head, payload)| head.frame(&payload))
        }
        Ask::Before { segment, tree, key } => open(*segment)?.at_or_before(*tree, key)?,
    })
}

fn overview(shared: &Shared) -> Overview {
    let one = |segment: &Arc<super::segment::Segment>| {
        let summary = segment.summary();
        let samples = match &summary {
            Some(s) => s.samples,
            None => shared.open(segment).map_or(0, |o| o.with(<[Stamp]>::len) as u64),
        };
        (segment.number, samples, summary)
    };
    Overview {
        segments: shared.segments().iter().map(one).collect(),
        tables: shared.schemas.read().unwrap_or_else(PoisonError::into_inner).len(),
        notes: shared.notes(),
    }
}
