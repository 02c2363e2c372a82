//! What a recorder and those who look at its session say to each other, over a socket in the
//! session's directory: requests and answers, each with its length before it.
//!
//! Neither side believes the other: every length has its bound, and stored values carry their own
//! checksums.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::format::{Bytes, HEAD, MAX_PART, Tree, put_varint};
use super::meta::Summary;
use super::segment::Stamp;

/// The socket's name in the session's directory.
pub(super) const NAME: &str = "viewers";
/// What the recorder says first: that it is one, and of which version.
pub(super) const HELLO: [u8; 8] = *b"lmptopV1";
/// Longest request, bytes.
const MAX_REQUEST: usize = 256;
/// Longest answer, bytes: one part of a value, or a list.
const MAX_ANSWER: usize = 32 << 20;
/// Times told at once: an hour at ten a second.
const STAMPS: usize = 36_000;

const _: () = assert!(HEAD + MAX_PART < MAX_ANSWER && STAMPS * 24 < MAX_ANSWER);

/// What a viewer may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Which segments there are, how many tables, what went wrong.
    Overview,
    /// The tables' columns.
    Schemas,
    /// When the samples of a segment were taken, from this index on.
    Stamps { segment: u32, from: u64 },
    /// A stored value.
    Get { segment: u32, tree: Tree, key: Vec<u8> },
    /// The greatest key at or before this one.
    Before { segment: u32, tree: Tree, key: Vec<u8> },
}

/// The answer to [`Ask::Overview`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Overview {
    /// Number, samples, and what it holds where it is finished.
    pub segments: Vec<(u32, u64, Option<Summary>)>,
    /// Tables known by now.
    pub tables: usize,
    /// What was lost.
    pub notes: Vec<String>,
}

impl Ask {
    pub(super) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let head = |out: &mut Vec<u8>, op: u8, segment: u32| {
            out.push(op);
            out.extend_from_slice(&segment.to_le_bytes());
        };
        match self {
            Ask::Overview => out.push(1),
            Ask::Schemas => out.push(2),
            Ask::Stamps { segment, from } => {
                head(&mut out, 3, *segment);
                put_varint(&mut out, *from);
            }
            Ask::Get { segment, tree, key } | Ask::Before { segment, tree, key } => {
                head(&mut out, if matches!(self, Ask::Get { .. }) { 4 } else { 5 }, *segment);
                out.push(*tree as u8);
                out.extend_from_slice(key);
            }
        }
        out
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Ask> {
        let mut rest = Bytes(bytes);
        let op = rest.take(1)?[0];
        match op {
            1 => return Ok(Ask::Overview),
            2 => return Ok(Ask::Schemas),
            3..=5 => {}
            other => bail!("unknown request {other}"),
        }
        let segment = u32::from_le_bytes(rest.take(4)?.try_into()?);
        if op == 3 {
            return Ok(Ask::Stamps { segment, from: rest.varint()? });
        }
        let tree = *Tree::ALL.get(usize::from(rest.take(1)?[0])).context("unknown tree")?;
        let key = rest.0.to_vec();
        Ok(match op {
            4 => Ask::Get { segment, tree, key },
            _ => Ask::Before { segment, tree, key },
        })
    }
}

/// Times as they are told.
pub(super) fn pack_stamps(stamps: &[Stamp]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stamps.len().min(STAMPS) * 24);
    for stamp in stamps.iter().take(STAMPS) {
        out.extend_from_slice(&stamp.seq.to_le_bytes());
        out.extend_from_slice(&stamp.mono_ns.to_le_bytes());
        out.extend_from_slice(&stamp.wall_ns.to_le_bytes());
    }
    out
}

/// Those times again.
pub(super) fn unpack_stamps(bytes: &[u8]) -> Result<Vec<Stamp>> {
    ensure!(bytes.len().is_multiple_of(24), "times are cut off");
    let long = |b: &[u8]| b.try_into().map(u64::from_le_bytes);
    let mut out = Vec::with_capacity(bytes.len() / 24);
    for b in bytes.chunks_exact(24) {
        let (seq, mono_ns, wall) = (long(&b[..8])?, long(&b[8..16])?, long(&b[16..])?);
        out.push(Stamp { seq, mono_ns, wall_ns: wall.cast_signed() });
    }
    Ok(out)
}

/// Sends a request or an answer.
pub(super) fn send(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    let mut whole = Vec::with_capacity(4 + bytes.len());
    whole.extend_from_slice(&u32::try_from(bytes.len())?.to_le_bytes());
    whole.extend_from_slice(bytes);
    to.write_all(&whole).context("the other side does not listen")
}

/// Receives a request; `None` when the viewer has gone.
pub(super) fn hear(from: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    receive(from, len, MAX_REQUEST).map(Some)
}

/// Receives an answer.
pub(super) fn answer(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    receive(from, len, MAX_ANSWER)
}

fn receive(from: &mut impl Read, len: [u8; 4], most: usize) -> Result<Vec<u8>> {
    let len = u32::from_le_bytes(len) as usize;
    ensure!(len <= most, "a message of {len} bytes is too long");
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_as_they_were_sent_and_nonsense_is_refused() {
        let key = vec![0, 3, 0xff];
        let all = [
            Ask::Overview,
            Ask::Schemas,
            Ask::Stamps { segment: 7, from: 1 << 40 },
            Ask::Get { segment: 1, tree: Tree::Block, key: key.clone() },
            Ask::Before { segment: u32::MAX, tree: Tree::Index, key },
        ];
        for ask in all {
            let bytes = ask.pack();
            assert_eq!(Ask::unpack(&bytes).unwrap(), ask);
            let mut wire = Vec::new();
            send(&mut wire, &bytes).unwrap();
            assert_eq!(hear(&mut wire.as_slice()).unwrap(), Some(bytes));
            assert!(hear(&mut &wire[..wire.len() - 1]).is_err(), "cut off");
        }
        for bad in [&[][..], &[9], &[3, 0], &[4, 0, 0, 0, 0, 9]] {
            assert!(Ask::unpack(bad).is_err(), "{bad:?}");
        }
        assert!(hear(&mut &u32::MAX.to_le_bytes()[..]).is_err(), "nobody asks that much");
        assert_eq!(hear(&mut &[][..]).unwrap(), None);
    }

    #[test]
    fn times_round_trip() {
        let stamps = [Stamp { seq: 5, mono_ns: u64::MAX, wall_ns: -9 }];
        assert_eq!(unpack_stamps(&pack_stamps(&stamps)).unwrap(), stamps);
        assert!(unpack_stamps(&[0; 25]).is_err());
    }
}
