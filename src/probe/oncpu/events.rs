//! The clock of each CPU as a perf event.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use libbpf_rs::{Link, ProgramMut, libbpf_sys};

/// `PERF_TYPE_SOFTWARE`.
const SOFTWARE: u32 = 1;
/// `PERF_COUNT_SW_CPU_CLOCK`.
const CPU_CLOCK: u64 = 0;

/// Opens the event on each CPU that is online and attaches the program to it.
///
/// # Errors
/// When no CPU has one; the kernel's words.
pub(super) fn attach(program: &ProgramMut<'_>, hz: u32) -> Result<Vec<Link>> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").context("no list of CPUs")?;
    let mut links = Vec::new();
    for cpu in cpus(&online) {
        let event = open(cpu, hz)?;
        links.push(program.attach_perf_event(event.as_raw_fd())?);
        // The link closes it.
        std::mem::forget(event);
    }
    if links.is_empty() {
        bail!("no CPU is online");
    }
    Ok(links)
}

fn open(cpu: i32, hz: u32) -> Result<OwnedFd> {
    let mut attr = libbpf_sys::perf_event_attr {
        type_: SOFTWARE,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: CPU_CLOCK,
        ..Default::default()
    };
    // A fixed period: a frequency would be aimed at and missed.
    attr.__bindgen_anon_1.sample_period = 1_000_000_000 / u64::from(hz.max(1));
    // SAFETY: `attr` is a whole perf_event_attr that outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, -1, cpu, -1, 8) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).context("perf_event_open");
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}

/// `0-3,8` as numbers.
fn cpus(list: &str) -> Vec<i32> {
    let mut all = Vec::new();
    for part in list.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<i32>(), to.parse::<i32>()) {
            all.extend(from..=to);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_list_of_cpus_is_read() {
        assert_eq!(super::cpus("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(super::cpus("0"), [0]);
        assert!(super::cpus("").is_empty());
    }
}
