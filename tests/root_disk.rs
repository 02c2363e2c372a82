//! A file system filled to the last byte while a recorder writes to it, then freed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use lmptop::session::{Info, Limits, Reader, Status, Writer};
use lmptop::table::{Column, Kind, Nature, Sample, TableDef};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

type C = Column<(u64, u64)>;
const COLUMNS: &[C] =
    &[C::u64("id", "ID", Kind::Key, |r| Some(r.0)), C::u64("n", "N", Kind::Counter, |r| Some(r.1))];

/// A small file system that only this thread and those it starts see; gone with them.
fn small_disk(at: &Path) -> io::Result<()> {
    let path = CString::new(at.as_os_str().as_bytes())?;
    // SAFETY: takes a flag and touches no memory of ours.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let none = std::ptr::null();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: all pointers are NUL-terminated strings that outlive the calls, or null.
    let done = unsafe {
        libc::mount(none, c"/".as_ptr(), none, private, none.cast()) == 0
            && libc::mount(
                c"lmptop".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                c"size=16m".as_ptr().cast(),
            ) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [65_536, 1] {
        let block = vec![0x55; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn sample(i: u64) -> Sample {
    let def = TableDef::new("t", Nature::State, COLUMNS);
    // Numbers that do not compress well: a sample takes some 20 KB.
    let n = |id: u64| (id * 7919 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let rows: Vec<(u64, u64)> = (0..2000).map(|id| (id, n(id))).collect();
    let (mono_ns, wall_ns) = (i * S as u64, START + i as i64 * S);
    Sample { mono_ns, wall_ns, tables: vec![def.table(&rows).unwrap()] }
}

#[test]
fn a_disk_that_was_full_for_a_while_leaves_a_hole_and_nothing_else() {
    let mount = tempfile::tempdir().unwrap();
    if let Err(e) = small_disk(mount.path()) {
        let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
        assert!(!required, "cannot mount a tmpfs: {e}");
        eprintln!("skipped: cannot mount a tmpfs: {e}");
        return;
    }
    let place = mount.path().join("place");
    let filler = mount.path().join("filler");
    let info = Info { start_wall_ns: START, interval_ms: 1000, ..Info::default() };
    // Nothing stays free, so that every write meets the end of the disk.
    let limits = Limits { floor_bytes: 0, flush: Duration::ZERO, ..Limits::default() };
    let mut w = Writer::create_with(&place, info, limits).unwrap();
    let path = w.path().to_path_buf();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for i in 0..150 {
        match i {
            30 | 90 => fill(&filler),
            60 | 110 => fs::remove_file(&filler).unwrap(),
            _ => {}
        }
        w.append(&sample(i)).unwrap();
        match w.status() {
            Status::Recording => kept.push(i),
            Status::Stopped { reason } => {
                let full = (30..60).contains(&i) || (90..110).contains(&i);
                assert!(full && reason.starts_with("the disk is full"), "{i}: {reason}");
                refused += 1;
            }
        }
        // The past is there meanwhile.
        assert!(w.reader().at(START + 10 * S).unwrap().is_some(), "{i}");
    }
    assert!(refused > 20, "{refused} samples refused");
    assert_eq!(w.status(), Status::Recording);
    w.finish().unwrap();

    let reader = Reader::open(&path).unwrap();
    let times = reader.times(i64::MIN, i64::MAX).unwrap();
    for i in kept {
        let s = reader.at(START + i as i64 * S).unwrap().unwrap();
        assert_eq!(s.mono_ns, i * S as u64, "sample {i}: {:?}", reader.notes());
        assert!(s.tables[0].batch() == sample(i).tables[0].batch(), "sample {i}");
    }
    let holes = times.windows(2).filter(|w| w[1].0 - w[0].0 > 2 * S).count();
    assert_eq!(holes, 2, "{times:?}");
}
