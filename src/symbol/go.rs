//! The function table that every Go program carries, also where its symbols were cut off: the
//! runtime itself walks stacks by it (`.gopclntab`).

use std::fs::File;
use std::ops::Range;

use super::elf::{Sections, long, piece, word};
use super::functions::{pieces, text};

/// Where functions and their names lie in the file.
#[derive(Debug)]
pub(super) struct Go {
    /// What a function's place is relative to.
    functions: u64,
    /// Bytes of a function's record before the place of its name.
    before_name: u64,
    names: Range<u64>,
}

/// How the table is laid out.
struct Layout {
    count: u64,
    /// What addresses are relative to.
    text: u64,
    names: u64,
    functions: u64,
    /// Where the list of functions lies, which may be where they lie.
    list: u64,
    /// Bytes of a number in the list.
    width: usize,
}

impl Go {
    /// Gives each function's address and place, in order, and at last where the last one ends.
    pub fn read(
        file: &File,
        sections: &Sections,
        mut take: impl FnMut(u64, Option<u32>),
    ) -> Option<Go> {
        let table = sections
            .find(".gopclntab")
            .or_else(|| sections.find(".data.rel.ro.gopclntab"))
            .filter(|table| table.size >= 72)?;
        let layout = Layout::read(&piece(file, table.offset, 72)?, sections)?;
        let width = layout.width as u64;
        let end = table.offset.checked_add(table.size)?;
        let within = |at: u64| table.offset.checked_add(at).filter(|at| *at < end);
        let (list, names) = (within(layout.list)?, within(layout.names)?);
        let size = layout.count.checked_mul(2 * width)?.checked_add(width)?;
        let last = list.checked_add(size).filter(|last| *last <= end)? - width;
        pieces(file, &(list..last), 2 * layout.width, |record| {
            let (entry, place) = match layout.width {
                4 => (u64::from(word(record, 0)), u64::from(word(record, 4))),
                _ => (long(record, 0), long(record, 8)),
            };
            take(layout.text.wrapping_add(entry), u32::try_from(place).ok());
            true
        })?;
        let stop = piece(file, last, width)?;
        let stop = if layout.width == 4 { u64::from(word(&stop, 0)) } else { long(&stop, 0) };
        take(layout.text.wrapping_add(stop), None);
        Some(Go { functions: within(layout.functions)?, before_name: width, names: names..end })
    }

    /// The name of the function whose record is at this place.
    pub fn name(&self, file: &File, place: u32) -> Option<String> {
        let at = self.functions.checked_add(u64::from(place))?.checked_add(self.before_name)?;
        text(file, &self.names, word(&piece(file, at, 4)?, 0))
    }
}

impl Layout {
    fn read(head: &[u8], sections: &Sections) -> Option<Layout> {
        // Little-endian with numbers of eight bytes, as this machine's programs have them.
        if head.get(7) != Some(&8) {
            return None;
        }
        let number = |n: usize| long(head, 8 + 8 * n);
        let count = number(0);
        match word(head, 0) {
            // From Go 1.2, 1.16, 1.18 and 1.20 on.
            0xffff_fffb => {
                Some(Layout { count, text: 0, names: 0, functions: 0, list: 16, width: 8 })
            }
            0xffff_fffa => {
                let (names, functions) = (number(2), number(6));
                Some(Layout { count, text: 0, names, functions, list: functions, width: 8 })
            }
            0xffff_fff0 | 0xffff_fff1 => {
                let (names, functions) = (number(3), number(7));
                // A program that can be loaded anywhere learns it when it is loaded.
                let text = match number(2) {
                    0 => sections.find(".text")?.address,
                    text => text,
                };
                Some(Layout { count, text, names, functions, list: functions, width: 4 })
            }
            _ => None,
        }
    }
}
