//! `lmptop replay`: the same screen on a recording.

use std::io::IsTerminal;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::act;
use super::past::{self, Ask};
use super::screen::{self, Outside};
use crate::app::stack::Kind;
use crate::app::{Effect, Mode, Msg, Question, State, pin_filter};
use crate::cli;
use crate::privilege;
use crate::session::Reader;
use crate::source::Seek;
use crate::table::clock;

/// Opens a recording in the screen.
///
/// # Errors
/// When there is no such recording, it cannot be read, or there is no terminal.
pub fn run(args: &cli::Replay) -> Result<()> {
    ensure!(
        std::io::stdout().is_terminal() && std::io::stdin().is_terminal(),
        "there is no terminal to draw on; lmptop print --session needs none"
    );
    privilege::drop_all_but(&privilege::FILES)?;
    let zone = jiff::tz::TimeZone::system();
    let found = super::sessions::find_at(args.session.as_deref(), args.at.as_deref(), &zone)?;
    let reader = Reader::open(&found.path)?;
    let first = first_seek(args, &reader, found.span, &zone)?;
    let other = args.against.as_deref().map(|named| super::sessions::find(Some(named)));
    let other = other.transpose()?.map(|path| Reader::open(&path)).transpose()?;
    let (out, inbox) = unbounded_channel();
    let (ask, asked) = std::sync::mpsc::channel();
    past::start(asked, out.clone(), Vec::new())?;
    let schemas = reader.schemas();
    // What was recorded to see a tool opens on it.
    let ran = reader.info().argv.get(1).is_some_and(|word| word == "run");
    let tool = schemas.iter().find(|s| ran && s.found()).map(|s| s.table());
    let mut state = State::new((0, 0), Mode::Replay { playing: false }, zone, tool);
    state.knows(&schemas);
    state.grows = reader.grows();
    state.replayed = Some(crate::table::clean(&reader.info().id).into_owned());
    if let Some(pid) = args.pid {
        state.pin = pin_filter(&pid.to_string()).map_err(anyhow::Error::msg)?;
    }
    if let Some(other) = &other {
        against(&mut state, other, args.against_pid)?;
    }
    let _ = ask.send(Ask::Open(reader));
    let _ = ask.send(Question::Seek(first).into());
    let look = screen::look(args.characters.glyphs());
    let mut outside = ReplayOutside { ask, out };
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot wait for keys")?;
    runtime.block_on(screen::run(state, &look, std::time::Duration::ZERO, inbox, &mut outside))
}

fn first_seek(
    args: &cli::Replay,
    reader: &Reader,
    span: Option<(i64, i64)>,
    zone: &jiff::tz::TimeZone,
) -> Result<Seek> {
    let own = reader.span().context("the recording holds no sample")?;
    let Some(text) = &args.at else {
        // All of one is compared with all of the other.
        return Ok(if args.against.is_some() { Seek::Last } else { Seek::First });
    };
    let anchor = super::sessions::anchor(text, span.unwrap_or(own));
    let at = clock::parse(text, &anchor, zone).map_err(anyhow::Error::msg)?;
    Ok(Seek::At(at))
}

/// Reads the stacks of another recording, to compare with them.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn against(state: &mut State, other: &Reader, pid: Option<u32>) -> Result<()> {
    let typical = i64::try_from(other.info().interval_ms.max(1).saturating_mul(1_000_000));
    let typical = typical.unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    for kind in Kind::ALL {
        let mut before = None;
        other.range(kind.table(), i64::MIN, i64::MAX, &mut |to, _, table| {
            // Over a gap nothing was collected.
            let length = before.map_or(typical, |b: i64| to.saturating_sub(b));
            let length = if length > 3 * typical { typical } else { length };
            before = Some(to);
            state.stacks.read_other(kind, to.saturating_sub(length), to, &table);
            Ok(true)
        })?;
    }
    let mut probes = None;
    other.range("probe", i64::MIN, i64::MAX, &mut |_, _, table| {
        probes = Some(table);
        Ok(true)
    })?;
    let id = crate::table::clean(&other.info().id).into_owned();
    ensure!(
        state.stacks.keep_other(&id, pid, probes.as_ref()),
        "recording {id} holds no stacks{}; record with --stacks oncpu,offcpu",
        pid.map_or_else(String::new, |p| format!(" of process {p}"))
    );
    state.stacks.diff = true;
    if let Some(at) = state.panes.iter().position(|p| p.pane.stacks) {
        state.pane = at;
    }
    Ok(())
}

struct ReplayOutside {
    ask: Sender<Ask>,
    out: UnboundedSender<Msg>,
}

impl Outside for ReplayOutside {
    fn carry(&mut self, effect: Effect) {
        if let Effect::Past(question) = effect {
            let _ = self.ask.send(question.into());
        } else if let Effect::Export { name, ending, text } = effect {
            let _ = self.out.send(match act::export(&name, ending, &text) {
                Ok(text) => Msg::Note(text),
                Err(e) => Msg::Failed(format!("{e:#}")),
            });
        }
    }
}
