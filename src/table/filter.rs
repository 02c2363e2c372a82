//! The filter language, the same on the command line and behind `/` on screen.
//!
//! Words are AND-ed. `ssh` (any text, or exactly this pid or port), `comm:ssh` (contains; numbers
//! and addresses exactly), `comm=sshd` (the whole cell), `rtt>50ms`, `tx>1MB/s` and `cpu>20%` (`/s`,
//! and `%` of a time, mean the rate), `dst:10.0.0.0/8`, `port:22`, `host:` and `party:812` (either
//! end of a connection or a wake), `:443`, `10.0.0.1:443`, `/regex/`, `comm:/^ng/`, `"two words"`,
//! `"a column">5`, `pid:-` (missing), and `!` before any of them. Letter case never matters.
//! Reading a filter and binding it to a table are two steps, so that one filter serves every pane.

mod bound;
mod term;

use std::fmt;

pub use bound::Bound;
use term::{Reader, Term};

use super::schema::Schema;

/// A filter as the user wrote it, understood but not yet tied to a table.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

/// Why a filter cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Byte offset in the text of what is wrong.
    pub at: usize,
    /// One sentence.
    pub what: String,
    /// Whether more typing at the end can make it right: the screen keeps the last good filter.
    pub incomplete: bool,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Understands a filter; the empty one matches every row.
    ///
    /// # Errors
    /// Says what is wrong, where, and whether more typing can make it right.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let terms = Reader::new(text).terms()?;
        Ok(Filter { text: text.trim().to_owned(), terms })
    }

    /// Whether it matches every row of every table.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The table that it names, if it does, and the filter without the name: a first word that is a
    /// table (`tcpevent kind:retransmit`), or a column with its table before it (`proc.cpu>90%`).
    /// A word in quotes is never a table.
    ///
    /// # Errors
    /// When it names two tables.
    pub fn addressed(&self, tables: &[&str]) -> Result<(Option<String>, Filter), String> {
        let mut named: Option<String> = None;
        let mut terms = Vec::with_capacity(self.terms.len());
        for (n, term) in self.terms.iter().enumerate() {
            let (table, term) = term.addressed(tables, n == 0);
            if let Some(table) = table {
                if let Some(other) = named.as_ref().filter(|t| **t != table) {
                    return Err(format!(
                        "{other} and {table} are two tables; search in one of them"
                    ));
                }
                named = Some(table);
            }
            terms.extend(term);
        }
        let text: Vec<String> =
            terms.iter().map(|t| format!("{}{}", if t.not { "!" } else { "" }, t.text)).collect();
        Ok((named, Filter { text: text.join(" "), terms }))
    }

    /// Ties the filter to a table's columns. Terms that do not fit the table are left out of it
    /// and listed by [`Bound::unknown`].
    pub fn bind(&self, schema: &Schema) -> Bound {
        Bound::new(schema, &self.terms)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
