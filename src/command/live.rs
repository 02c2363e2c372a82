//! `lmptop`: the live screen, recording while it runs.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::act;
use super::alarm;
use super::past::{self, Ask};
use super::sampler::{self, Aim, Plan};
use super::screen::{self, Outside};
use super::sessions::Places;
use crate::app::{Effect, Mode, Msg, State, Tone, pin_filter};
use crate::cli;
use crate::privilege;
use crate::session::{Limits, default_place, list};
use crate::source::Focus;
use crate::tool::config;
use crate::tool::spec::Spec;
use crate::trigger::Triggers;
use crate::view::theme::Glyphs;

/// What the live screen is opened with.
pub struct Screen {
    /// Time between samples.
    pub interval: Duration,
    /// The pinned process.
    pub pid: Option<u32>,
    /// What is looked at more closely from the start.
    pub focus: Focus,
    /// Where it records; `None` keeps nothing on disk.
    pub place: Option<PathBuf>,
    /// And what that is limited to.
    pub limits: Limits,
    /// The characters, where they are asked for.
    pub glyphs: Option<Glyphs>,
    /// Tools that run beside the probes.
    pub tools: Vec<Spec>,
    /// The tool whose pane is shown first.
    pub first: Option<String>,
    /// What the user has to know at the start.
    pub note: Option<String>,
    /// What shall be noticed.
    pub triggers: Triggers,
    /// Where snapshots go when nothing else is recorded, and whose recordings its history goes on
    /// in.
    pub snapshots: PathBuf,
}

/// Opens the live screen.
///
/// # Errors
/// When there is no terminal to draw on.
pub fn run(args: &cli::Live) -> Result<()> {
    let place = args.session.clone().unwrap_or_else(default_place);
    let (tools, note) = match config::specs(args.config.as_deref()) {
        Ok(tools) => (tools, None),
        Err(why) if args.config.is_some() => return Err(super::usage(why.into())),
        // A file that is always read must not keep anybody from looking at a sick machine.
        Err(why) => (Vec::new(), Some(format!("No panels: {why}"))),
    };
    let configured = match &note {
        None => config::triggers(args.config.as_deref()).unwrap_or_default(),
        Some(_) => Vec::new(),
    };
    let triggers = alarm::open(&args.noticing, configured, &tools)?;
    let mut focus = args.look.focus();
    alarm::focus(&triggers, &mut focus, &mut Vec::new());
    open(Screen {
        limits: args.keeping.limits(),
        interval: args.interval,
        pid: args.pid,
        focus,
        snapshots: place.clone(),
        triggers,
        place: (!args.no_record).then_some(place),
        glyphs: args.characters.glyphs(),
        tools,
        first: None,
        note,
    })?;
    Ok(())
}

/// Runs the live screen until the user leaves; returns the exit status of the tools.
///
/// # Errors
/// When there is no terminal to draw on.
pub fn open(with: Screen) -> Result<i32> {
    ensure!(
        std::io::stdout().is_terminal() && std::io::stdin().is_terminal(),
        "there is no terminal to draw on; lmptop print, run and record need none"
    );
    let (out, inbox) = unbounded_channel();
    // The sampler starts with every capability and drops by itself once probes are attached; all
    // other threads are started after this one has dropped, and inherit what is left.
    let (ask, asked) = std::sync::mpsc::channel();
    let plan = Plan {
        interval: with.interval,
        focus: with.focus.clone(),
        place: with.place,
        limits: with.limits,
        tools: with.tools,
        triggers: with.triggers,
        snapshots: with.snapshots,
    };
    let place = plan.snapshots.clone();
    let sampler = sampler::start(plan, out.clone(), ask.clone())?;
    let mut keep = privilege::ACTIONS.to_vec();
    // For the key that writes a view into the current directory.
    keep.extend(privilege::writing_needs(std::path::Path::new("."))?);
    privilege::drop_all_but(&keep)?;
    let before = history(place, &out);
    past::start(asked, out.clone(), before)?;
    let zone = jiff::tz::TimeZone::system();
    let mut state = State::new((0, 0), Mode::Live, zone, with.first.as_deref());
    if let Some(note) = with.note {
        state.say(Tone::Bad, note);
    }
    if let Some(pid) = with.pid {
        state.pin = pin_filter(&pid.to_string()).map_err(anyhow::Error::msg)?;
    }
    let look = screen::look(with.glyphs);
    state.focus = with.focus;
    let mut outside = LiveOutside { ask, out, aim: sampler.aim() };
    let runtime =
        Builder::new_current_thread().enable_all().build().context("cannot wait for keys")?;
    let done = runtime.block_on(screen::run(state, &look, with.interval, inbox, &mut outside));
    screen::default_signals();
    let status = sampler.stop();
    done.map(|()| status)
}

/// Where the screen's history goes on before its beginning: in its own place, and where that is the
/// usual one in that of the machine's recorder, too.
fn history(place: PathBuf, out: &UnboundedSender<Msg>) -> Vec<PathBuf> {
    if place != default_place() {
        return vec![place];
    }
    let places = Places::usual();
    if let Some(why) = &places.closed
        && list(&place).is_ok_and(|all| all.iter().all(|s| s.recording))
    {
        let _ = out.send(Msg::Note(format!("Nothing is known from before: {why}.")));
    }
    places.open()
}

struct LiveOutside {
    ask: Sender<Ask>,
    out: UnboundedSender<Msg>,
    aim: Aim,
}

impl Outside for LiveOutside {
    fn carry(&mut self, effect: Effect) {
        if let Effect::Past(question) = effect {
            let _ = self.ask.send(question.into());
            return;
        }
        let done = match effect {
            Effect::Export { name, ending, text } => act::export(&name, ending, &text),
            Effect::Focus(on) => {
                self.aim.at(on);
                return;
            }
            Effect::Lines(spot) => {
                self.aim.lines(spot, self.out.clone());
                return;
            }
            Effect::Renice { pid, comm, seen_ns, nice } => act::renice(pid, &comm, seen_ns, nice),
            Effect::Signal { signal, pid, comm, seen_ns } => {
                act::signal(signal, pid, &comm, seen_ns)
            }
            Effect::CloseSocket { cookie, saddr, sport, daddr, dport } => {
                act::close_socket(cookie, (&saddr, sport), (&daddr, dport))
            }
            _ => return,
        };
        let _ = self.out.send(match done {
            Ok(text) => Msg::Note(text),
            Err(e) => Msg::Failed(format!("{e:#}")),
        });
    }
}
