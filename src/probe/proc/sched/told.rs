//! What is told of watched threads, made into rows of table `state`.

use super::context::Irqs;
use super::types;
use crate::probe::proc::class;
use crate::probe::proc::columns::StateRow;
use crate::table::Clean;
use crate::table::Doing;

/// No system call (`NO_CALL` in `bpf/proc_sched_row.h`).
const NO_CALL: u16 = u16::MAX;

/// A stretch.
pub(super) fn stretch(s: &types::stretch, irqs: &mut Irqs) -> StateRow {
    let doing = Doing::of(s.state);
    let woken = s.woken != 0;
    let by = woken && s.waker_tid != 0;
    StateRow {
        tid: s.tid,
        pid: s.tgid,
        comm: Clean::from_c(&s.comm),
        state: doing.word(),
        start_ns: s.start,
        dur_ns: s.dur,
        reason: reason(doing, s.call, s.sort).map(|r| Clean::from(r.as_str())),
        addr: (s.call != NO_CALL && s.addr != 0 || s.sort != 0).then_some(s.addr),
        waker_tid: by.then_some(s.waker_tid),
        waker_pid: by.then_some(s.waker_tgid),
        waker_comm: by.then(|| Clean::from_c(&s.waker_comm)),
        context: woken.then(|| irqs.word(u32::from(s.context), s.detail)),
        cpu: Some(s.cpu),
    }
}

/// What it slept in.
fn reason(doing: Doing, call: u16, sort: u8) -> Option<String> {
    if matches!(doing, Doing::Running | Doing::Runnable | Doing::Preempted | Doing::Unknown) {
        return None;
    }
    let name = match call {
        NO_CALL if doing == Doing::Fault => return Some("page fault".to_owned()),
        NO_CALL => return None,
        number => class::call_name(u32::from(number))?,
    };
    let name = match name {
        "clock_nanosleep" => "nanosleep",
        name => name,
    };
    let file = match u32::from(sort) {
        s if s == types::sort::SORT_PIPE.0 => " pipe",
        s if s == types::sort::SORT_SOCKET.0 => " socket",
        s if s == types::sort::SORT_TTY.0 => " tty",
        s if s == types::sort::SORT_FILE.0 => " file",
        s if s == types::sort::SORT_DEVICE.0 => " device",
        _ => "",
    };
    Some(format!("{name}{file}"))
}

/// The sums of many stretches, as rows one after another.
pub(super) fn bin(b: &types::bin, rows: &mut Vec<StateRow>) {
    let mut start = b.start;
    for (doing, &ns) in Doing::ALL.into_iter().zip(&b.ns).filter(|(_, ns)| **ns > 0) {
        rows.push(StateRow {
            tid: b.tid,
            pid: b.tgid,
            comm: Clean::from_c(&b.comm),
            state: doing.word(),
            start_ns: start,
            dur_ns: u64::from(ns),
            reason: Some(Clean::from("binned")),
            cpu: Some(b.cpu),
            ..StateRow::default()
        });
        start += u64::from(ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_has_the_name_of_its_call_and_file() {
        let number = |name| class::call_number(name).unwrap() as u16;
        for (doing, call, sort, want) in [
            (Doing::Sleep, number("read"), 1, Some("read pipe")),
            (Doing::Net, number("read"), 2, Some("read socket")),
            (Doing::Sleep, number("read"), 3, Some("read tty")),
            (Doing::Lock, number("futex"), 0, Some("futex")),
            (Doing::Timer, number("clock_nanosleep"), 0, Some("nanosleep")),
            (Doing::Fault, NO_CALL, 0, Some("page fault")),
            (Doing::Running, number("read"), 1, None),
            (Doing::Stopped, NO_CALL, 0, None),
        ] {
            assert_eq!(reason(doing, call, sort).as_deref(), want);
        }
    }

    #[test]
    fn a_bin_is_laid_out_without_gap() {
        let mut ns = [0; 13];
        ns[Doing::Running as usize] = 4_000;
        ns[Doing::Net as usize] = 6_000;
        let mut rows = Vec::new();
        bin(&types::bin { start: 100, ns, tid: 7, tgid: 5, ..Default::default() }, &mut rows);
        let got: Vec<_> = rows.iter().map(|r| (r.state, r.start_ns, r.dur_ns)).collect();
        assert_eq!(got, [("running", 100, 4_000), ("net", 4_100, 6_000)]);
        assert!(rows.iter().all(|r| r.reason.as_ref().unwrap().as_str() == "binned"));
    }
}
