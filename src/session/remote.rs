//! The viewer's side: a session that another process writes is read by asking that process.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::format::{Head, Tree, unframe};
use super::meta::cleaned;
use super::segment::Stamp;
use super::serve::reach;
use super::talk::{self, Ask, HELLO, Overview};
use crate::table::{Schema, clean};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The soonest that it is asked again what there is.
const AGAIN: Duration = Duration::from_millis(100);

/// Nobody answers any more: nothing is lost by that, it can be read from the disk.
#[derive(Debug, thiserror::Error)]
#[error("the recorder does not answer")]
pub(super) struct Gone;

/// A connection to the recorder of a session.
pub(super) struct Remote {
    stream: Mutex<UnixStream>,
    asked: Mutex<Option<Instant>>,
    /// Nobody answers any more.
    gone: AtomicBool,
}

impl Remote {
    /// Connects to whoever records into this session.
    ///
    /// # Errors
    /// When nobody answers there, or somebody of another version does.
    pub(super) fn connect(dir: &Path) -> Result<Remote> {
        let mut stream = reach(dir, UnixStream::connect)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut hello = [0; HELLO.len()];
        stream.read_exact(&mut hello).context("it lets nobody look, or too many look already")?;
        ensure!(hello == HELLO, "it is another version of lmptop");
        let gone = AtomicBool::new(false);
        Ok(Remote { stream: Mutex::new(stream), asked: Mutex::default(), gone })
    }

    /// Whether nobody answers any more.
    pub(super) fn gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn ask(&self, ask: &Ask) -> Result<Option<Vec<u8>>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = talk::send(&mut *stream, &ask.pack())
            .and_then(|()| talk::answer(&mut *stream))
            .context(Gone);
        let mut answer = answer.inspect_err(|_| self.gone.store(true, Ordering::Relaxed))?;
        match answer.first() {
            Some(0) => Ok(None),
            Some(1) => Ok(Some(answer.split_off(1))),
            // What the recorder itself could not read: it goes on, and so does the connection.
            Some(2) => {
                let text = String::from_utf8_lossy(&answer[1..]).into_owned();
                bail!("{}", clean(&text))
            }
            _ => bail!("the recorder answers nonsense"),
        }
    }

    fn must(&self, ask: &Ask) -> Result<Vec<u8>> {
        self.ask(ask)?.context("the recorder has no answer")
    }

    /// What there is, unless that was asked a moment ago.
    pub(super) fn overview(&self) -> Result<Option<Overview>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(!self.gone(), "the recorder has ended");
        if asked.is_some_and(|at| at.elapsed() < AGAIN) {
            return Ok(None);
        }
        let overview = serde_json::from_slice(&self.must(&Ask::Overview)?)?;
        *asked = Some(Instant::now());
        Ok(Some(overview))
    }

    /// The tables' columns.
    pub(super) fn schemas(&self) -> Result<Vec<Arc<Schema>>> {
        let all: Vec<Schema> = serde_json::from_slice(&self.must(&Ask::Schemas)?)?;
        Ok(all.into_iter().map(|s| Arc::new(cleaned(s))).collect())
    }

    /// When the samples of a segment were taken, from this index on.
    pub(super) fn stamps(&self, segment: u32, from: u64) -> Result<Vec<Stamp>> {
        let mut out = Vec::new();
        loop {
            let ask = Ask::Stamps { segment, from: from + out.len() as u64 };
            let more = talk::unpack_stamps(&self.must(&ask)?)?;
            if more.is_empty() {
                return Ok(out);
            }
            out.extend(more);
        }
    }

    /// The checked value under `key`.
    pub(super) fn get(
        &self,
        segment: u32,
        tree: Tree,
        key: &[u8],
    ) -> Result<Option<(Head, Vec<u8>)>> {
        let found = self.ask(&Ask::Get { segment, tree, key: key.to_vec() })?;
        found.map(|v| unframe(&v).map(|(head, payload)| (head, payload.to_vec()))).transpose()
    }

    /// The greatest key at or before `key`.
    pub(super) fn before(&self, segment: u32, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.ask(&Ask::Before { segment, tree, key: key.to_vec() })
    }
}
