//! What a later look is compared with: the rows of a range, with how they were chosen.

use super::Page;
use super::book::Key;
use super::build::Look;
use super::kind::Metric;
use super::profile::Sum;

/// Rows that were marked.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What was measured.
    pub metric: Metric,
    /// Of which process, where one was pinned.
    pub pid: Option<u32>,
    /// How long, seconds.
    pub seconds: f64,
    /// The recording, where it is another one.
    pub of: Option<String>,
    /// From and to, Unix ns.
    pub span: (i64, i64),
    /// The rows.
    pub rows: Vec<(Key, Sum)>,
}

impl Mark {
    /// What is shown now; `None` of nothing.
    pub fn of(page: &Page, look: &Look) -> Option<Mark> {
        let rows = look.rows(page);
        let mut slices = page.range.slices(page.book(), look.to);
        let from = slices.next()?.from;
        Some(Mark {
            metric: page.metric(),
            pid: look.pid,
            seconds: page.range.seconds(page.book(), look.to),
            of: None,
            span: (from, look.to),
            rows,
        })
    }
}
