//! The rows of the process tables and their columns, a file a table.

mod call;
mod life;
mod lock;
mod spent;
mod state;
mod task;
mod wake;

pub use call::{CALL, CallRow};
pub use life::{LIFE, LifeRow};
pub use lock::{LOCK, LockRow};
pub use state::{STATE, StateRow};
pub use task::{PROC, THREAD, TaskRow};
pub use wake::{WAKE, WakeRow};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::check;

    #[test]
    fn ids_are_unique_titles_short_and_help_names_its_source() {
        check(PROC);
        check(THREAD);
        check(WAKE);
        check(STATE);
        check(LIFE);
        check(LOCK);
        check(CALL);
    }
}
