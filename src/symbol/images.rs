//! What processes had mapped when they ended or became another program. Their stacks are looked at
//! later than that, and `/proc` has forgotten them by then. Told by kernel programs that are loaded
//! while somebody takes stacks.

use std::collections::VecDeque;

use ahash::AHashMap;
use anyhow::Result;

use super::Space;
use super::binary::Files;
use super::layout::{Content, Mapping};
use super::place::FileId;
use crate::bpf::{self, Attached, Refusal, Ring};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/symbol_images.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/symbol_images.skel.rs"));
}

use kernel::types::{image, image_file, image_kind, layout};
use kernel::{SymbolImagesSkel, SymbolImagesSkelBuilder};

/// Layouts that are kept until their stacks have come, which takes less than a second; some 500
/// bytes each.
const KEPT: usize = 2048;

/// The programs and what they told.
pub(super) struct Images {
    ring: Ring,
    /// The programs stay attached as long as these live.
    attached: Attached<SymbolImagesSkel<'static>>,
    told: Told,
}

impl Images {
    /// Loads and attaches the programs.
    ///
    /// # Errors
    /// The kernel's words.
    pub fn open() -> Result<Images, Refusal> {
        Images::attach().map_err(Refusal::from)
    }

    fn attach() -> Result<Images> {
        let attached = bpf::attach(SymbolImagesSkelBuilder::default)?;
        let ring = Ring::open(&attached.skel.maps.ring)?;
        Ok(Images { ring, attached, told: Told::default() })
    }

    /// Takes in what was told since the last call.
    pub fn drain(&mut self, files: &mut Files) {
        let Images { ring, told, .. } = self;
        ring.consume(|record| told.take(record, files));
    }

    /// The mappings of an address space that is no more.
    pub fn ended(&self, space: &Space) -> Option<Vec<Mapping>> {
        self.told.layouts.get(space).map(|mappings| mappings.to_vec())
    }

    /// Whether that address space is known to be no more.
    pub fn has_ended(&self, space: &Space) -> bool {
        self.told.layouts.contains_key(space)
    }

    /// Processes that were not told of.
    pub fn lost(&self) -> u64 {
        self.attached.skel.maps.bss_data.as_deref().map_or(0, |b| b.lost)
    }

    /// Programs that the kernel did not take, and its words.
    pub fn refused(&self) -> &std::collections::BTreeMap<String, String> {
        &self.attached.refused
    }
}

/// What was told.
#[derive(Default)]
struct Told {
    layouts: AHashMap<Space, Box<[Mapping]>>,
    order: VecDeque<Space>,
}

impl Told {
    fn take(&mut self, record: &[u8], files: &mut Files) {
        match u32_at(record, 0) {
            Some(kind) if kind == image_kind::IMAGE_LAYOUT.0 => {
                if let Some((space, mappings)) = read_layout(record) {
                    self.keep(space, mappings);
                }
            }
            Some(kind) if kind == image_kind::IMAGE_FILE.0 => {
                if let Some((id, path)) = read_file(record) {
                    files.note(id, &path);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, space: Space, mappings: Vec<Mapping>) {
        if self.layouts.insert(space, mappings.into()).is_none() {
            self.order.push_back(space);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.layouts.remove(&oldest);
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

fn read_layout(record: &[u8]) -> Option<(Space, Vec<Mapping>)> {
    use std::mem::offset_of;
    let space = Space {
        tgid: u32_at(record, offset_of!(layout, tgid))?,
        start_ns: u64_at(record, offset_of!(layout, start_ns))?,
        mm: u64_at(record, offset_of!(layout, mm))?,
    };
    let vdso = u64_at(record, offset_of!(layout, vdso))?;
    let count = u32_at(record, offset_of!(layout, count))? as usize;
    let images = record.get(offset_of!(layout, images)..)?;
    let mapping = |bytes: &[u8]| {
        let start = u64_at(bytes, offset_of!(image, start))?;
        let ino = u64_at(bytes, offset_of!(image, ino))?;
        let dev = u32_at(bytes, offset_of!(image, dev))?;
        let content = match u32_at(bytes, offset_of!(image, file))? {
            0 if vdso != 0 && start == vdso => Content::Vdso,
            0 => Content::Anonymous,
            _ => Content::File(FileId { dev, ino }),
        };
        // The kernel counts in pages even where there is no file.
        let offset = u64_at(bytes, offset_of!(image, offset))?;
        let offset = if content == Content::Vdso { 0 } else { offset };
        Some(Mapping { start, end: u64_at(bytes, offset_of!(image, end))?, offset, content })
    };
    let all = images.chunks_exact(size_of::<image>()).take(count);
    Some((space, all.filter_map(mapping).collect()))
}

/// A file and its path from the root.
fn read_file(record: &[u8]) -> Option<(FileId, Vec<u8>)> {
    use std::mem::offset_of;
    let id = FileId {
        dev: u32_at(record, offset_of!(image_file, dev))?,
        ino: u64_at(record, offset_of!(image_file, ino))?,
    };
    let len = u32_at(record, offset_of!(image_file, len))? as usize;
    let names = record.get(offset_of!(image_file, path)..)?.get(..len)?;
    let mut path = Vec::with_capacity(len);
    for name in names.split(|&b| b == 0).rev().filter(|name| !name.is_empty()) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    Some((id, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_together_from_its_end() {
        let mut record = vec![0; std::mem::offset_of!(image_file, path)];
        record[0] = 2;
        record[4] = 9;
        record[16] = 77;
        record.extend_from_slice(b"ls\0bin\0\0\0\0\0\0\0");
        record[4] = 7;
        let (id, path) = read_file(&record).unwrap();
        assert_eq!((id.ino, path.as_slice()), (77, &b"/bin/ls"[..]));
        assert!(read_file(&record[..30]).is_none());
        let mut files = Files::new();
        Told::default().take(&record[..3], &mut files);
    }

    #[test]
    fn layouts_are_bounded_and_cut_ones_are_read_as_far_as_they_go() {
        let mut record = vec![0; std::mem::offset_of!(layout, images) + 100];
        record[0] = 1;
        record[4] = 200;
        let (_, mappings) = read_layout(&record).unwrap();
        assert_eq!(mappings.len(), 100 / size_of::<image>());
        let mut told = Told::default();
        for tgid in 0..KEPT as u32 + 10 {
            told.keep(Space { tgid, start_ns: 1, mm: 1 }, Vec::new());
        }
        assert_eq!((told.layouts.len(), told.order.len()), (KEPT, KEPT));
        assert!(!told.layouts.contains_key(&Space { tgid: 0, start_ns: 1, mm: 1 }));
    }
}
