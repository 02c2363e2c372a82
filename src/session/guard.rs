//! Damaged files make storage libraries panic; here a panic becomes an error with a sentence.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use anyhow::{Result, anyhow};

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic on this thread is about to be caught: a panic hook must then stay silent and
/// leave the terminal as it is.
pub fn caught() -> bool {
    CATCHING.with(|c| c.get() > 0)
}

/// Runs `f`; a panic inside becomes an error naming `what`. Nothing is printed.
pub(super) fn guarded<T>(what: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !caught() {
                before(info);
            }
        }));
    });
    CATCHING.with(|c| c.set(c.get() + 1));
    let outcome = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.with(|c| c.set(c.get() - 1));
    outcome.unwrap_or_else(|_| Err(anyhow!("{what} is damaged beyond what its reader expects")))
}
