//! The marks of what is looked at: kept beside it where that may be written, else for this run.

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::app;
use crate::session::{self, Chain, Mark};
use crate::table::{clean, clock};

/// Marks of triggers that are listed at most.
const MOST_FIRED: usize = 2_000;

/// Marks of this run that could be kept nowhere.
#[derive(Default)]
pub struct Marks {
    unkept: Vec<Mark>,
}

impl Marks {
    /// Keeps a mark; says what became of it.
    pub fn add(&mut self, chain: &Chain, at: i64, note: String) -> Result<String, String> {
        let when = clock::clock(at, &TimeZone::system());
        let mark = Mark { at, note };
        let kept = match chain.reader_at(at).path() {
            Some(dir) => session::add_mark(dir, &mark).map_err(|e| format!("{e:#}")),
            None => Err("nothing is recorded on disk".to_owned()),
        };
        match kept {
            Ok(()) => Ok(format!("Marked {when}.")),
            Err(why) => {
                self.unkept.push(mark);
                Err(format!("Marked {when} for this run only: {why}."))
            }
        }
    }

    /// Takes a mark back; says what became of it.
    pub fn remove(&mut self, chain: &Chain, at: i64, note: String) -> Result<String, String> {
        let mark = Mark { at, note };
        let clock = clock::clock(at, &TimeZone::system());
        let said = || format!("Mark of {clock} removed; u brings it back.");
        if let Some(n) = self.unkept.iter().rposition(|m| *m == mark) {
            self.unkept.remove(n);
            return Ok(said());
        }
        let dir =
            chain.reader_at(at).path().ok_or_else(|| "Nothing is recorded on disk.".to_owned())?;
        let removed = session::remove_mark(dir, &mark);
        removed.map(|()| said()).map_err(|e| format!("Not removed: {e:#}."))
    }

    /// All marks, oldest instant first, those of triggers among them; and what is wrong with them.
    pub fn all(&self, chain: &Chain) -> (Vec<app::Mark>, Option<String>) {
        let mut wrong = None;
        let (mut kept, mut damaged) = (Vec::new(), 0);
        for reader in chain.readers() {
            match reader.marks() {
                Ok((marks, bad)) => {
                    // Of each recording those of its own stretch of time.
                    let own = |m: &Mark| std::ptr::eq(chain.reader_at(m.at), reader);
                    kept.extend(marks.into_iter().filter(own));
                    damaged += bad;
                }
                Err(e) => wrong = Some(format!("{e:#}")),
            }
        }
        if damaged > 0 {
            wrong = Some(format!("{} and not shown.", session::damaged_marks(damaged)));
        }
        let own = kept.iter().chain(&self.unkept);
        let mut all: Vec<app::Mark> =
            own.map(|m| app::Mark { at: m.at, note: m.note.clone(), fired: false }).collect();
        if let Err(e) = fired(chain, &mut all) {
            wrong.get_or_insert_with(|| format!("{e:#}"));
        }
        all.sort_by_key(|m| m.at);
        (all, wrong)
    }
}

/// Adds what triggers noticed.
fn fired(chain: &Chain, all: &mut Vec<app::Mark>) -> Result<()> {
    if !chain.schemas().iter().any(|s| s.table() == "trigger") {
        return Ok(());
    }
    let most = all.len() + MOST_FIRED;
    chain.range("trigger", i64::MIN, i64::MAX, &mut |at, _, table| {
        for row in 0..table.len() {
            if let Some(cause) = table.get(row, "cause").as_str() {
                all.push(app::Mark { at, note: clean(cause).into_owned(), fired: true });
            }
        }
        Ok(all.len() < most)
    })
}
