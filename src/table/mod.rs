//! The one noun of the house: a named table with typed columns and rows at one instant.
//!
//! Probes, external tools and recordings all produce a [`Table`]; the screen, the session and
//! every export take one. Nothing here reads a clock, a file or a terminal.

mod batch;
mod change;
mod clean;
pub mod clock;
mod column;
mod conform;
mod contrast;
mod doing;
mod filter;
mod frame;
mod nearest;
pub mod quantity;
mod renew;
mod schema;
mod side;
mod sort;
pub mod stack;
mod value;

pub(crate) use batch::clean_array;
pub use batch::{Sample, Table, TableDef};
pub use change::{Change, Measured, Norm, Scale};
pub use clean::{Clean, clean, is_clean};
#[cfg(test)]
pub(crate) use column::check;
pub use column::{Column, Get, Kind, Type, Unit};
pub use contrast::{Contrast, Joint, Part, times};
pub use doing::{DOINGS, Doing};
pub use filter::{Bound, Filter, FilterError};
pub use frame::{Frame, Join, row_keys};
pub use nearest::meant;
pub use renew::NEW;
pub use schema::{Field, From, Nature, Schema, alias_of, names, numbered};
pub use side::{Kept, Side, Stretch, is_amount, told_apart};
pub use sort::{Order, sort_rows};
pub use value::Value;
