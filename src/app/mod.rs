//! What the screen shows and how keys change it. Pure: no clock, no I/O, no terminal.
//!
//! [`update`] takes the [`State`] and a [`Msg`] and gives back [`Effect`]s, which the commands
//! carry out. Time, samples and keys arrive as messages.

mod bar;
mod choose;
mod columns;
mod compare;
mod detail;
mod effect;
mod ended;
mod focus;
mod found;
mod grid;
mod hunt;
pub mod image;
mod input;
mod key;
mod keymap;
mod layout;
mod marks;
mod mode;
mod mouse;
mod msg;
mod pane;
mod prompt;
mod seen;
mod series;
pub mod stack;
mod state;
mod target;
mod tool;
mod trail;
mod travel;
mod tree;
mod trend;
mod typed;
mod update;

pub use bar::{Bar, BarState, Bin, Figure, Track};
pub use choose::choices;
pub use columns::{Columns, FOLD, Shown};
pub use compare::{Compare, Taken, joint};
pub use detail::{Detail, Segment};
pub use effect::{Deed, Effect, Want};
pub use ended::Ended;
pub use focus::{Closer, LOCKS_NS};
pub use grid::{Cell, Grid, Line, has_key};
pub use hunt::{Hunt, Hunted, Sighting};
pub use input::drawn;
pub use key::{Key, keys};
pub use keymap::{Action, BINDINGS, Binding, Context, action};
pub use layout::{Layout, Tab, tabs};
pub use marks::Mark;
pub use mode::Mode;
pub use msg::{Mouse, MouseKind, Msg};
pub use pane::{Pane, first_look};
pub use prompt::{Dear, Prompt, PromptKind};
pub use seen::Seen;
pub use series::{Series, Subject, figure_title};
pub use state::{Note, Overlay, PaneState, RowKey, State, Tone, cell_text as text_of};
pub use tool::{Fate, fate};
pub use trail::{Pulse, Trail};
pub use tree::Node;
pub use trend::{Trend, across, chosen, points};
pub use typed::pin_filter;
pub use update::update;
