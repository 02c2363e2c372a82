//! The functions of a symbol table in the order of their addresses, packed: what stands beside each
//! other differs by little, so that a function takes six or seven bytes instead of twelve.

/// Functions in one block, which is read from its beginning.
const BLOCK: usize = 32;
/// Set in the size of a function that only its own file knows.
pub const LOCAL: u32 = 1 << 31;

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where it begins.
    pub at: u32,
    /// How long it is, and whether it is [`LOCAL`].
    pub size: u32,
    /// Where its name lies.
    pub name: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub struct List {
    /// Where the first of each block begins, and where the block lies in `packed`.
    heads: Vec<(u32, u32)>,
    packed: Vec<u8>,
}

impl List {
    /// Packs what is sorted.
    pub fn of(entries: &[Entry]) -> List {
        let mut list = List::default();
        list.heads.reserve_exact(entries.len().div_ceil(BLOCK));
        for block in entries.chunks(BLOCK) {
            let (mut at, mut name) = (block[0].at, 0u32);
            list.heads.push((at, list.packed.len() as u32));
            for e in block {
                list.put(u64::from(e.at - at));
                list.put(u64::from(e.size & !LOCAL) << 1 | u64::from(e.size >> 31));
                let step = i64::from(e.name) - i64::from(name);
                list.put((step << 1 ^ step >> 63).cast_unsigned());
                (at, name) = (e.at, e.name);
            }
        }
        list.packed.shrink_to_fit();
        list
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.packed.len() + size_of_val(&*self.heads)
    }

    /// The last functions that begin at or before an address, in order: `count` of them, if there
    /// are so many.
    pub fn before(&self, at: u32, count: usize) -> Vec<Entry> {
        let behind = self.heads.partition_point(|head| head.0 <= at);
        // The last block has one of them at least.
        let from = behind.saturating_sub(1 + count.div_ceil(BLOCK));
        let mut found: Vec<Entry> =
            (from..behind).flat_map(|b| self.block(b)).take_while(|e| e.at <= at).collect();
        found.drain(..found.len().saturating_sub(count));
        found
    }

    /// The functions that begin at an address.
    pub fn at(&self, at: u32) -> impl Iterator<Item = Entry> {
        let from = self.heads.partition_point(|head| head.0 < at).saturating_sub(1);
        let all = (from..self.heads.len()).flat_map(|b| self.block(b));
        all.skip_while(move |e| e.at < at).take_while(move |e| e.at == at)
    }

    fn block(&self, block: usize) -> impl Iterator<Item = Entry> {
        let (mut at, place) = self.heads.get(block).copied().unwrap_or_default();
        let end = self.heads.get(block + 1).map_or(self.packed.len(), |next| next.1 as usize);
        let mut rest = self.packed.get(place as usize..end).unwrap_or_default();
        let mut name = 0i64;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            at = at.wrapping_add(take(&mut rest) as u32);
            let size = take(&mut rest);
            let step = take(&mut rest);
            name += (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
            let size = (size >> 1) as u32 | if size & 1 == 1 { LOCAL } else { 0 };
            Some(Entry { at, size, name: name as u32 })
        })
    }

    fn put(&mut self, number: u64) {
        let mut left = number;
        while left >= 0x80 {
            self.packed.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.packed.push(left as u8);
    }
}

/// Takes the number at the front away.
fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (shift & 63);
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many, some of them at the same address, with sizes and names of every length.
    fn many() -> Vec<Entry> {
        let one = |n: u32| Entry {
            at: n / 5 * (n % 11 + 1),
            size: 1u32.wrapping_shl(n % 31) | if n.is_multiple_of(3) { LOCAL } else { 0 },
            name: n.wrapping_mul(2_654_435_761),
        };
        let mut all: Vec<Entry> = (0..5_000).map(one).collect();
        all.extend((0..100).map(|name| Entry { at: 777, size: LOCAL - 1, name }));
        all.push(Entry { at: u32::MAX, size: u32::MAX, name: u32::MAX });
        all.sort_unstable();
        all
    }

    #[test]
    fn what_is_packed_is_found_as_it_was() {
        let all = many();
        let list = List::of(&all);
        for at in (0..all.len()).step_by(7).map(|n| all[n].at).chain([0, 1, 776, 778, u32::MAX]) {
            let behind = all.partition_point(|e| e.at <= at);
            for count in [1, 31, 32, 33, 64, 200] {
                assert_eq!(list.before(at, count), all[behind.saturating_sub(count)..behind]);
            }
            let same = all.iter().filter(|e| e.at == at);
            assert!(list.at(at).eq(same.copied()), "{at}");
        }
        assert!(list.bytes() < all.len() * size_of::<Entry>());
    }

    #[test]
    fn of_none_there_is_none() {
        let list = List::of(&[]);
        assert!(list.before(5, 64).is_empty() && list.at(5).next().is_none());
        let one = Entry { at: 9, size: 1, name: 2 };
        let list = List::of(&[one]);
        assert!(list.before(8, 64).is_empty() && list.at(8).next().is_none());
        assert_eq!((list.before(9, 64), list.at(9).next()), (vec![one], Some(one)));
    }
}
