//! lmptop: who talks to whom on this Linux machine and how well; live, recorded, replayed.
//!
//! # The house
//!
//! Everything is a [`table::Table`]: named, a schema, one batch of rows at one instant. Counters
//! are kept raw; what is derived from them (rates, ages) is derived when looked at, in one place
//! ([`table::Frame`]). A [`table::Sample`] is an instant and its tables.
//!
//! ```text
//!  probe/*  --rows-->  Sample  --+--> session (sled)
//!  tool/*                        |
//!                                +--> app::update(State, Msg) -> Vec<Effect> --> view(&State)
//!  session reader (replay) ------+
//!                                +--> export (csv, json, parquet, text)
//! ```
//!
//! Five floors; an arrow only ever points down, and `tests/house.rs` keeps it so:
//!
//! | floor | rooms |
//! |---|---|
//! | 5 | [`command`]: one file a subcommand, the only place where effects happen; [`cli`] |
//! | 4 | [`view`]: draws a `&State` (pure); [`term`]: the terminal, always restored |
//! | 3 | [`source`]: live or replay behind one trait; [`app`]: state, keys, update (pure); [`export`], [`import`]: one file a format (pure) |
//! | 2 | [`probe`]: one room a probe, all of one shape; [`tool`]: any other program's table; [`session`]: what is kept on disk |
//! | 1 | [`table`]: the noun (pure); [`trigger`]: rules on samples and on pressure, and what fires; [`symbol`]: addresses to names, on its own thread; [`bpf`]: load and attach with the kernel's reasons; [`privilege`]; [`memory`]: what the allocator keeps; [`urgency`]: how soon a thread is let in |
//!
//! # One change, one place
//!
//! * a column: one entry in its probe's `columns` (and the line of C that reads the field). Title,
//!   width, sort, filter, chooser, help, CSV, JSON, Parquet, the recording's schema, `lmptop
//!   columns` and the README's reference follow;
//! * a probe: one folder in `src/probe`, one `bpf/*.bpf.c`, one line in [`probe::all`];
//! * a key: one line of [`app::BINDINGS`]; footer, help and man page follow;
//! * a pane: one entry in `app/pane.rs`; a tool's table needs none;
//! * a form of tools' output: one file in [`tool::parse`]; a ready panel: one entry of
//!   [`tool::ready::READY`]; a tool: no code;
//! * an export format: one file in [`export`].
//!
//! # What is refused
//!
//! * A value that was not measured: missing is `None`, never 0; lost, sampled and degraded are rows
//!   of the table `probe` and reach the screen, the recording and `doctor`.
//! * Text from outside that was not neutralised: it enters a table by one door ([`table::Clean`]).
//! * Work per event in user space that the kernel can sum up, and a wake-up per event.
//! * Choosing by kernel version: what works is found by trying.

pub mod app;
pub mod bpf;
pub mod cli;
pub mod command;
pub mod export;
pub mod import;
pub mod memory;
pub mod privilege;
pub mod probe;
pub mod session;
pub mod source;
pub mod symbol;
pub mod table;
pub mod term;
pub mod tool;
pub mod trigger;
pub mod urgency;
pub mod view;
