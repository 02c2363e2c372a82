//! How soon the scheduler lets a thread run: who samples is let in before those it watches, or on
//! an overloaded machine the kernel's rings are full before anybody comes to empty them.

/// Nice of a thread that empties rings (`setpriority(2)`). With a dozen busy threads on two CPUs it
/// loses no stack where one of nice 0 loses one in ten, and takes no more time.
const URGENT: libc::c_int = -10;

/// The calling thread is let in first, where CAP_SYS_NICE allows that and nobody asked for
/// something else by nice(1). Threads that it starts are so, too.
pub fn urgent() {
    if nice() == 0 {
        set(URGENT);
    }
}

/// The calling thread is like most again, if it was made urgent.
pub fn ordinary() {
    if nice() == URGENT {
        set(0);
    }
}

fn nice() -> libc::c_int {
    // SAFETY: the call takes integers only. Of the own thread it does not fail.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

fn set(nice: libc::c_int) {
    // SAFETY: the call takes integers only. What is refused stays as it is.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_nobody_reniced_becomes_urgent_and_it_can_become_ordinary() {
        // On Linux each thread has a nice of its own.
        std::thread::spawn(|| {
            if nice() != 0 {
                return;
            }
            urgent();
            assert!([0, URGENT].contains(&nice()), "0 where CAP_SYS_NICE is missing");
            ordinary();
            assert_eq!(nice(), 0);
            set(5);
            urgent();
            assert_eq!(nice(), 5);
            ordinary();
            assert_eq!(nice(), 5);
        })
        .join()
        .unwrap();
    }
}
