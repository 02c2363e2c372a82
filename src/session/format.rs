//! The bytes of format version 1: keys, the frame around every stored value, and its bounds.
//!
//! A frame repeats its key, so that values can be found again in a file whose index is lost.
//! The first magic byte never occurs in UTF-8: no recorded text can look like a frame.

use std::io::Write;

use anyhow::{Context, Result, bail, ensure};

/// Largest decompressed value, in bytes: about ten times the rows of a 100,000-socket machine.
pub(super) const MAX_RAW: usize = 512 << 20;
/// How many times larger than its packed bytes a value may become. Rows have keys of their own:
/// a hundred times is much; zstd can pack nothing but zeros 20,000 times.
const MAX_RATIO: usize = 1000;
/// Bytes that any value may become.
const MAX_FREE: usize = 64 << 20;
/// Most rows in a table that a recording can hold.
pub(super) const MAX_ROWS: usize = 8 << 20;
/// First bytes of each frame.
pub(super) const MAGIC: [u8; 4] = [0xF7, 0x4C, 0x6D, 0x01];
/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 28;
/// Largest payload of one frame, in bytes.
pub(super) const MAX_PART: usize = 1 << 20;

/// The three trees of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tree {
    /// One entry a sample: when, and which entry holds each table.
    Index,
    /// Rows as they arrived, as changes.
    Tail,
    /// Rows of many samples as Parquet.
    Block,
}

impl Tree {
    pub(super) const ALL: [Tree; 3] = [Tree::Index, Tree::Tail, Tree::Block];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tree::Index => "index",
            Tree::Tail => "tail",
            Tree::Block => "block",
        }
    }
}

/// What a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Index = 1,
    /// All rows of a table.
    Full = 2,
    /// What changed since the entry before.
    Delta = 3,
    /// A Parquet block.
    Block = 4,
}

impl Kind {
    fn of(byte: u8) -> Result<Kind> {
        Ok(match byte {
            1 => Kind::Index,
            2 => Kind::Full,
            3 => Kind::Delta,
            4 => Kind::Block,
            other => bail!("unknown kind of value {other}"),
        })
    }

    pub(super) fn tree(self) -> Tree {
        match self {
            Kind::Index => Tree::Index,
            Kind::Full | Kind::Delta => Tree::Tail,
            Kind::Block => Tree::Block,
        }
    }
}

/// One stored value's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    /// 0 plain, 1 zstd.
    pub codec: u8,
    pub table: u16,
    pub seq: u64,
    pub part: u16,
    pub parts: u16,
}

impl Head {
    /// The key this value is stored under.
    pub(super) fn key(&self) -> Vec<u8> {
        match self.kind {
            Kind::Index => index_key(self.seq),
            _ => part_key(self.table, self.seq, self.part),
        }
    }

    /// Header and payload as stored.
    pub(super) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + payload.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.push(self.kind as u8);
        out.push(self.codec);
        out.extend_from_slice(&self.table.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.part.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        out.extend_from_slice(payload);
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// Length of the frame that starts here, if its header is whole and its length possible.
pub(super) fn frame_len(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < HEAD || bytes[..4] != MAGIC {
        return None;
    }
    let len = u32::from_le_bytes(bytes[8..12].try_into().ok()?) as usize;
    (len <= MAX_PART).then_some(HEAD + len)
}

/// Checks a frame and splits it; bytes after it are ignored.
pub(super) fn unframe(bytes: &[u8]) -> Result<(Head, &[u8])> {
    let len = frame_len(bytes).context("not a stored value")?;
    ensure!(bytes.len() >= len, "a stored value is cut off");
    let bytes = &bytes[..len];
    let crc = u32::from_le_bytes(bytes[4..8].try_into()?);
    ensure!(crc32fast::hash(&bytes[8..]) == crc, "a stored value fails its checksum");
    let head = Head {
        kind: Kind::of(bytes[12])?,
        codec: bytes[13],
        table: u16::from_le_bytes(bytes[14..16].try_into()?),
        seq: u64::from_le_bytes(bytes[16..24].try_into()?),
        part: u16::from_le_bytes(bytes[24..26].try_into()?),
        parts: u16::from_le_bytes(bytes[26..28].try_into()?),
    };
    Ok((head, &bytes[HEAD..]))
}

/// Key of a sample's index entry.
pub(super) fn index_key(seq: u64) -> Vec<u8> {
    seq.to_be_bytes().to_vec()
}

/// Key of one part of a table's entry or block.
pub(super) fn part_key(table: u16, seq: u64, part: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.extend_from_slice(&table.to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// A value of any size: cut into parts when stored, joined when read.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub kind: Kind,
    pub table: u16,
    /// Sample number of the entry; of a block's first entry.
    pub seq: u64,
    /// The table's entry before this one; a block's last entry.
    pub link: u64,
    pub body: Vec<u8>,
}

/// Bytes before the body: its raw length and the link.
const LEAD: usize = 12;

/// Compresses and cuts values; keeps the compressor's memory between calls.
pub(super) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    part: usize,
}

/// Keys and values to store.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl Packer {
    pub(super) fn new(level: i32, part: usize) -> Result<Packer> {
        let zstd = zstd::bulk::Compressor::new(level).context("cannot start zstd")?;
        Ok(Packer { zstd, part: part.clamp(64, MAX_PART) })
    }

    /// The key-value pairs of a value to store.
    pub(super) fn pack(&mut self, v: &Value) -> Result<Pairs> {
        ensure!(v.body.len() <= MAX_RAW, "a table of {} bytes is too large", v.body.len());
        let packed = self.zstd.compress(&v.body).context("cannot compress")?;
        let codec = u8::from(packed.len() < v.body.len());
        let body = if codec == 1 { &packed } else { &v.body };
        let mut data = Vec::with_capacity(LEAD + body.len());
        data.extend_from_slice(&(v.body.len() as u32).to_le_bytes());
        data.extend_from_slice(&v.link.to_le_bytes());
        data.extend_from_slice(body);
        self.cut(v.kind, v.table, v.seq, codec, &data)
    }

    /// The key-value pairs of a large value whose body is written bit by bit; it links to nothing.
    pub(super) fn pack_large(
        &mut self,
        kind: Kind,
        table: u16,
        seq: u64,
        body: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Pairs> {
        let mut data = self.stream(body)?;
        ensure!(data.bytes <= MAX_RAW, "a table of {} bytes is too large", data.bytes);
        data.to[..4].copy_from_slice(&(data.bytes as u32).to_le_bytes());
        self.cut(kind, table, seq, 1, &data.to)
    }

    /// What is written, compressed, with room for what comes before it; and how much that was.
    fn stream(
        &mut self,
        body: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Counted<Vec<u8>>> {
        // The same memory for all of them: a new one is a MB that the kernel clears page by page.
        let context = self.zstd.context_mut();
        // What was broken off leaves its beginning there.
        context
            .reset(zstd::zstd_safe::ResetDirective::SessionOnly)
            .map_err(|_| anyhow::anyhow!("cannot start zstd anew"))?;
        let zstd = zstd::stream::write::Encoder::with_context(vec![0; LEAD], context);
        let mut counted = Counted { to: zstd, bytes: 0 };
        body(&mut counted)?;
        let Counted { to: zstd, bytes } = counted;
        Ok(Counted { to: zstd.finish().context("cannot compress")?, bytes })
    }

    fn cut(&self, kind: Kind, table: u16, seq: u64, codec: u8, data: &[u8]) -> Result<Pairs> {
        let parts = u16::try_from(data.len().div_ceil(self.part))
            .map_err(|_| anyhow::anyhow!("a table of {} packed bytes is too large", data.len()))?;
        let head = |part| Head { kind, codec, table, seq, part, parts };
        let chunks = data.chunks(self.part).zip(0u16..);
        Ok(chunks.map(|(chunk, part)| (head(part).key(), head(part).frame(chunk))).collect())
    }
}

struct Counted<W> {
    to: W,
    bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.bytes += n;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Joins the parts of a value that `get` finds by part number; `None` when there is no first part.
pub(super) fn unpack(
    mut get: impl FnMut(u16) -> Result<Option<(Head, Vec<u8>)>>,
) -> Result<Option<Value>> {
    let Some((head, mut data)) = get(0)? else { return Ok(None) };
    for part in 1..head.parts {
        let (other, more) = get(part)?.context("a part of a stored value is missing")?;
        ensure!(other.parts == head.parts && other.kind == head.kind, "parts do not fit together");
        data.extend_from_slice(&more);
        ensure!(data.len() <= MAX_RAW, "a stored value is too large");
    }
    ensure!(data.len() >= LEAD, "a stored value is too short");
    let raw = u32::from_le_bytes(data[..4].try_into()?) as usize;
    ensure!(raw <= MAX_RAW, "a stored value is too large");
    let link = u64::from_le_bytes(data[4..LEAD].try_into()?);
    let body = match head.codec {
        0 => data.split_off(LEAD),
        1 => inflate(&data[LEAD..], raw)?,
        other => bail!("unknown compression {other}"),
    };
    ensure!(body.len() == raw, "a stored value has the wrong length");
    Ok(Some(Value { kind: head.kind, table: head.table, seq: head.seq, link, body }))
}

/// Decompresses to exactly `raw` bytes: what says more than it can be, or becomes more than it
/// says, is refused before it takes memory.
fn inflate(packed: &[u8], raw: usize) -> Result<Vec<u8>> {
    let most = packed.len().saturating_mul(MAX_RATIO).saturating_add(MAX_FREE);
    ensure!(raw <= most, "a value of {} bytes says it becomes {raw}", packed.len());
    zstd::bulk::decompress(packed, raw).context("cannot decompress a value")
}

/// Appends `v` in seven-bit groups, low first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Reads plain numbers from a byte slice, never past its end.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).context("a stored value is cut off")?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn varint(&mut self) -> Result<u64> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.take(1)?[0];
            v |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(v);
            }
        }
        bail!("a number in a stored value is too long")
    }

    /// A count of things that take at least one byte each: bounded by what is left, and by `max`.
    pub(super) fn count(&mut self, max: usize) -> Result<usize> {
        let n = usize::try_from(self.varint()?)?;
        ensure!(n <= max && n <= self.0.len(), "a count in a stored value is impossible");
        Ok(n)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into()?))
    }
}

/// A sample's index entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub mono_ns: u64,
    pub wall_ns: i64,
    /// Per table in order: its number, and the sample whose entry holds its rows (`None`: no rows).
    pub tables: Vec<(u16, Option<u64>)>,
}

impl Entry {
    pub(super) fn pack(&self, seq: u64) -> (Vec<u8>, Vec<u8>) {
        let mut p = Vec::with_capacity(20 + 3 * self.tables.len());
        p.extend_from_slice(&self.mono_ns.to_le_bytes());
        p.extend_from_slice(&self.wall_ns.to_le_bytes());
        put_varint(&mut p, self.tables.len() as u64);
        for (table, held) in &self.tables {
            put_varint(&mut p, u64::from(*table));
            put_varint(&mut p, held.map_or(0, |h| seq - h + 1));
        }
        let head = Head { kind: Kind::Index, codec: 0, table: 0, seq, part: 0, parts: 1 };
        (head.key(), head.frame(&p))
    }

    pub(super) fn unpack(head: &Head, payload: &[u8]) -> Result<Entry> {
        ensure!(head.kind == Kind::Index, "an index entry is of another kind");
        let mut b = Bytes(payload);
        let mono_ns = b.u64()?;
        let wall_ns = b.u64()? as i64;
        let n = b.count(usize::from(u16::MAX))?;
        let mut tables = Vec::with_capacity(n);
        for _ in 0..n {
            let table = u16::try_from(b.varint()?)?;
            let held = match b.varint()? {
                0 => None,
                back => Some(head.seq.checked_sub(back - 1).context("an index entry is wrong")?),
            };
            tables.push((table, held));
        }
        Ok(Entry { mono_ns, wall_ns, tables })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_large_value_that_is_broken_off_leaves_nothing_to_the_next() {
        let mut packer = Packer::new(1, 1 << 20).unwrap();
        let body: Vec<u8> = (0..900_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let read = |stored: Pairs| {
            let (head, data) = unframe(&stored[0].1).unwrap();
            unpack(|_| Ok(Some((head, data.to_vec())))).unwrap().unwrap().body
        };
        for _ in 0..2 {
            let broken = packer.pack_large(Kind::Full, 3, 9, |out| {
                out.write_all(b"something else")?;
                bail!("no more of it")
            });
            assert!(broken.is_err());
            let large = packer.pack_large(Kind::Full, 3, 9, |out| {
                for piece in body.chunks(1000) {
                    out.write_all(piece)?;
                }
                Ok(())
            });
            assert!(read(large.unwrap()) == body);
            let small = Value { kind: Kind::Delta, table: 3, seq: 9, link: 7, body: vec![1; 99] };
            assert_eq!(read(packer.pack(&small).unwrap()), small.body);
        }
    }

    #[test]
    fn values_are_cut_joined_and_checked() {
        let body: Vec<u8> =
            (0..100_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let v = Value { kind: Kind::Full, table: 3, seq: 9, link: 7, body };
        let mut stored = Packer::new(1, 4096).unwrap().pack(&v).unwrap();
        assert!(stored.len() > 10);
        let read = |stored: &[(Vec<u8>, Vec<u8>)]| {
            unpack(|part| {
                let key = part_key(3, 9, part);
                stored
                    .iter()
                    .find(|(k, _)| *k == key)
                    .map(|(_, v)| unframe(v).map(|(h, p)| (h, p.to_vec())))
                    .transpose()
            })
        };
        let back = read(&stored).unwrap().unwrap();
        assert_eq!((back.body, back.link, back.seq), (v.body, 7, 9));
        let flip = stored[5].1.len() / 2;
        stored[5].1[flip] ^= 1;
        assert!(read(&stored).is_err());
        stored.remove(5);
        assert!(read(&stored).is_err());
    }

    /// A value whose raw length and packed bytes are these.
    fn crafted(raw: u32, packed: &[u8]) -> Result<Option<Value>> {
        let mut data = raw.to_le_bytes().to_vec();
        data.extend_from_slice(&7u64.to_le_bytes());
        data.extend_from_slice(packed);
        let head = Head { kind: Kind::Block, codec: 1, table: 0, seq: 0, part: 0, parts: 1 };
        unpack(|_| Ok(Some((head, data.clone()))))
    }

    #[test]
    fn a_bomb_is_refused() {
        // One after another they are one value to zstd.
        let sixteen = zstd::bulk::compress(&vec![0; 16 << 20], 3).unwrap();
        let zeros = |mb: usize| sixteen.repeat(mb / 16);
        let (huge, most) = (zeros(640), MAX_RAW as u32);
        for raw in [0, 100, 1 << 20, 90 << 20, most - 1, most, most + 1, u32::MAX] {
            assert!(crafted(raw, &huge).is_err(), "{raw}");
        }
        // What it says is true, and far more than so few bytes can honestly become.
        let honest = zeros(400);
        assert!(honest.len() < 100_000, "{} bytes", honest.len());
        assert!(crafted(400 << 20, &honest).is_err());
        assert!(crafted(most, &zstd::bulk::compress(&[1; 9], 3).unwrap()).is_err());
        // Nothing is wrong with a table that packs well.
        assert_eq!(crafted(32 << 20, &zeros(32)).unwrap().unwrap().body.len(), 32 << 20);
    }

    #[test]
    fn index_entries_round_trip() {
        let e = Entry {
            mono_ns: u64::MAX,
            wall_ns: -5,
            tables: vec![(0, Some(100)), (300, None), (2, Some(1))],
        };
        let (_, frame) = e.pack(100);
        let (head, payload) = unframe(&frame).unwrap();
        assert_eq!(Entry::unpack(&head, payload).unwrap(), e);
    }
}
