//! The headers of a Parquet file's pages (parquet.thrift, Thrift's compact protocol), read before
//! the pages are: a page says how large it becomes, and a reader would believe it.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use parquet::basic::Type;
use parquet::file::metadata::ParquetMetaData;

/// Largest page, unpacked, in bytes: a page holds a MB, or the texts of a thousand rows.
const MAX_PAGE: u64 = 256 << 20;
/// Largest header: it may hold the least and the greatest text of its page.
const MAX_HEADER: u64 = 1 << 20;
/// Structs inside structs; a header has two.
const DEEPEST: u32 = 8;

/// What a header says that decides how large its page becomes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    dictionary: bool,
    raw: u64,
    packed: u64,
    values: u64,
    encoding: u64,
}

/// How large rows may become.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The largest dictionary's bytes: a row of one of its columns becomes no larger.
    pub largest: u64,
    /// The same of those columns of text that have cells outside of their dictionary, too.
    pub mixed: u64,
    /// The largest page in which texts repeat the beginnings of those before: a row becomes no
    /// larger than it, but all its rows together may become huge.
    pub repeating: u64,
}

/// Checks each page of a file of `whole` bytes, of which `bytes` reads so many from a place on.
pub(super) fn check(
    whole: u64,
    metadata: &ParquetMetaData,
    bytes: &dyn Fn(u64, u64) -> Result<Bytes>,
) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows())?;
        for column in group.columns() {
            let (at, len) = (column.data_page_offset(), column.compressed_size());
            let at = column.dictionary_page_offset().map_or(at, |d| d.min(at));
            let (mut at, end) = (u64::try_from(at)?, u64::try_from(len)?);
            let end = at.checked_add(end).filter(|&e| e <= whole);
            let end = end.context("a column lies outside of its file")?;
            let (mut values, mut dictionary, mut outside) = (0u64, 0, false);
            while at < end && values < rows {
                let (header, used) = header(&bytes(at, (end - at).min(MAX_HEADER))?)?;
                ensure!(header.raw <= MAX_PAGE, "a page of {} bytes is too large", header.raw);
                if header.dictionary {
                    dictionary = dictionary.max(header.raw);
                } else {
                    if header.encoding == 7 {
                        sizes.repeating = sizes.repeating.max(header.raw);
                    }
                    // 2 and 8 are places in the dictionary.
                    outside |= !matches!(header.encoding, 2 | 8);
                    values = values.saturating_add(header.values);
                }
                ensure!(header.packed <= whole, "a page is cut off");
                at += used as u64 + header.packed;
            }
            ensure!(values == rows, "a column has another number of cells than its table rows");
            sizes.largest = sizes.largest.max(dictionary);
            if outside && column.column_type() == Type::BYTE_ARRAY {
                sizes.mixed = sizes.mixed.max(dictionary);
            }
        }
    }
    Ok(sizes)
}

/// Reads a header; also how many bytes it takes.
fn header(bytes: &[u8]) -> Result<(Header, usize)> {
    let mut thrift = Thrift { bytes, at: 0 };
    let mut header = Header::default();
    thrift.fields(0, &mut |path, value| match path {
        [1] => header.dictionary = value == 2,
        [2] => header.raw = value,
        [3] => header.packed = value,
        [5, 1] | [8, 1] => header.values = value,
        [5, 2] | [8, 4] => header.encoding = value,
        _ => {}
    })?;
    Ok((header, thrift.at))
}

struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).context("a page's header is cut off")?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            v |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(v);
            }
        }
        anyhow::bail!("a number in a page's header is too long")
    }

    /// A signed number; below zero is as impossible as too large.
    fn number(&mut self) -> Result<u64> {
        let v = self.varint()?;
        Ok(if v & 1 == 1 { u64::MAX } else { v >> 1 })
    }

    fn skip(&mut self, n: u64) -> Result<()> {
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n));
        self.at = end.filter(|&e| e <= self.bytes.len()).context("a page's header is cut off")?;
        Ok(())
    }

    /// The fields of a struct: numbers are told with the ids on the way to them, two at most.
    fn fields(&mut self, parent: u64, tell: &mut dyn FnMut(&[u64], u64)) -> Result<()> {
        self.nested(parent, 0, tell)
    }

    fn nested(&mut self, parent: u64, deep: u32, tell: &mut dyn FnMut(&[u64], u64)) -> Result<()> {
        ensure!(deep <= DEEPEST, "a page's header is nested too deep");
        let mut id = 0u64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match u64::from(head >> 4) {
                0 => self.number()?,
                delta => id.saturating_add(delta),
            };
            match head & 0x0f {
                4..=6 => {
                    let value = self.number()?;
                    match deep {
                        0 => tell(&[id], value),
                        1 => tell(&[parent, id], value),
                        _ => {}
                    }
                }
                12 => self.nested(if deep == 0 { id } else { 0 }, deep + 1, tell)?,
                kind => self.pass(kind, deep)?,
            }
        }
    }

    /// Passes over a value that is no number and no struct of a struct.
    fn pass(&mut self, kind: u8, deep: u32) -> Result<()> {
        match kind {
            1 | 2 => Ok(()),
            3 => self.skip(1),
            7 => self.skip(8),
            8 => {
                let n = self.varint()?;
                self.skip(n)
            }
            9 | 10 => {
                let head = self.byte()?;
                let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                ensure!(n <= self.bytes.len() as u64, "a page's header is cut off");
                for _ in 0..n {
                    match head & 0x0f {
                        1 | 2 => self.skip(1)?,
                        4..=6 => drop(self.number()?),
                        12 => self.nested(0, deep + 2, &mut |_, _| {})?,
                        kind => {
                            ensure!(deep <= DEEPEST, "a page's header is nested too deep");
                            self.pass(kind, deep + 1)?;
                        }
                    }
                }
                Ok(())
            }
            _ => anyhow::bail!("a page's header cannot be read"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A data page of 300 cells: 5000 bytes, 400 packed, no statistics.
    const PAGE: &[u8] = &[
        0x15, 0x00, 0x15, 0x90, 0x4e, 0x15, 0xa0, 0x06, 0x2c, 0x15, 0xd8, 0x04, 0x15, 0x10, 0x15,
        0x06, 0x15, 0x06, 0x00, 0x00, 0xff,
    ];

    #[test]
    fn a_header_tells_sizes_and_where_it_ends() {
        let (read, used) = header(PAGE).unwrap();
        let want = Header { dictionary: false, raw: 5000, packed: 400, values: 300, encoding: 8 };
        assert_eq!((read, used), (want, PAGE.len() - 1));
        for cut in 0..PAGE.len() - 1 {
            assert!(header(&PAGE[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn nonsense_ends() {
        assert!(header(&[0x1c; 4096]).is_err(), "structs in structs");
        assert!(header(&[0x19; 4096]).is_err(), "lists in lists");
        assert!(header(&[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err(), "a long text");
        assert!(header(&[0xff; 64]).is_err());
        let mut d = 88172645463325252u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    d ^= d << 13;
                    d ^= d >> 7;
                    d ^= d << 17;
                    d as u8
                })
                .collect();
            let _ = header(&bytes);
        }
    }
}
