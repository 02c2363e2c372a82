//! Another recording to compare with: its stacks as marks, one for each number that it has.

use crate::table::Table;

use super::book::{Book, Slice};
use super::build::Look;
use super::packed::Rows;
use super::{Kind, Mark, Page, Range};

impl Page {
    /// Takes in a sample of the other recording, with its time in Unix ns; before anything of the
    /// one that is shown.
    pub fn read_other(&mut self, kind: Kind, from: i64, to: i64, table: &Table) {
        self.push(kind, Slice { from, to, rows: Rows::default() }, table, None);
    }

    /// That was all of it: what was read becomes what is compared with, for the process alone where
    /// one is named. Whether it held stacks.
    /// `probes` is the last of its table of probes: what was lost is said beside it.
    pub fn keep_other(&mut self, name: &str, pid: Option<u32>, probes: Option<&Table>) -> bool {
        let (kind, metrics, range) = (self.kind, self.metrics, self.range);
        self.range = Range::All;
        self.others.clear();
        for of in Kind::ALL {
            self.kind = of;
            let Some((_, to)) = self.book().span() else { continue };
            let lost = probes.map_or(0, |table| lost(table, of));
            for at in 0..of.metrics().len() {
                self.metrics[of.index()] = at;
                let look = Look { to, pid, ..Look::default() };
                let mark = Mark::of(self, &look).filter(|m| !m.rows.is_empty());
                self.others.extend(mark.map(|m| Mark { of: Some(name.to_owned()), lost, ..m }));
            }
            self.books[of.index()] = Book::default();
        }
        (self.kind, self.metrics, self.range) = (kind, metrics, range);
        self.processes.clear();
        self.recall();
        !self.others.is_empty()
    }

    /// The mark of the other recording for what is measured now, unless the user marked something.
    pub(super) fn recall(&mut self) {
        let metric = self.metric();
        if self.mark.as_ref().is_some_and(|m| m.of.is_none() || m.metric == metric) {
            return;
        }
        if let Some(other) = self.others.iter().find(|m| m.metric == metric) {
            self.mark = Some(other.clone());
            self.stale = true;
        }
    }
}

/// Events that the probe of this kind lost.
fn lost(probes: &Table, of: Kind) -> u64 {
    let mine = |row: &usize| probes.get(*row, "probe").as_str() == Some(of.table());
    let rows = (0..probes.len()).filter(mine);
    rows.filter_map(|row| probes.get(row, "lost").as_u64()).sum()
}
