//! Cells of a table by the names of their columns, looked up once for all rows.

use crate::table::{From, Table, Value};

/// A table and some of its columns.
pub struct Cols<'a, const N: usize> {
    table: &'a Table,
    at: [Option<usize>; N],
}

impl<'a, const N: usize> Cols<'a, N> {
    /// Looks these columns up; one that is not there is missing in every row.
    pub fn new(table: &'a Table, ids: [&str; N]) -> Cols<'a, N> {
        let schema = table.schema();
        let at = ids.map(|id| match schema.find(id).map(|i| schema.fields()[i].from) {
            Some(From::Stored(i)) => Some(i),
            _ => None,
        });
        Cols { table, at }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The cell of the column of this place in the list.
    pub fn get(&self, row: usize, column: usize) -> Value<'a> {
        match self.at.get(column).copied().flatten() {
            Some(i) if row < self.table.len() => self.table.value(row, i),
            _ => Value::None,
        }
    }

    /// The number in it.
    pub fn number(&self, row: usize, column: usize) -> Option<u64> {
        self.get(row, column).as_u64()
    }

    /// The number in it, if it is a small one.
    pub fn small(&self, row: usize, column: usize) -> Option<u32> {
        self.number(row, column).and_then(|n| u32::try_from(n).ok())
    }

    /// The text in it.
    pub fn text(&self, row: usize, column: usize) -> Option<&'a str> {
        self.get(row, column).as_str()
    }
}
