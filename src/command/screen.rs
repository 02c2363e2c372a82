//! The loop between keys, samples and pictures; live and replay differ only in what answers it.

use std::time::Duration;

use anyhow::Result;
use crossterm::event::EventStream;
use futures_util::StreamExt;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::app::{Effect, Mode, Msg, State, update};
use crate::term::{self, Terminal};
use crate::view::theme::{Env, Glyphs, Theme};
use crate::view::{draw, most_scroll};

/// Time between steps of a playing recording.
const BEAT: Duration = Duration::from_secs(1);
/// Samples that are later than three intervals, and than this, are said to be late.
const LATE: Duration = Duration::from_secs(3);

/// What carries out the effects that are not the terminal's own.
pub trait Outside {
    /// Starts one; answers arrive as messages.
    fn carry(&mut self, effect: Effect);
}

/// How the screen looks: from the environment, and what was asked for.
pub fn look(glyphs: Option<Glyphs>) -> Theme {
    let var = |name: &str| std::env::var(name).ok();
    let (no_color, term) = (var("NO_COLOR"), var("TERM"));
    let (lc_all, lc_ctype, lang) = (var("LC_ALL"), var("LC_CTYPE"), var("LANG"));
    let env = Env {
        no_color: no_color.as_deref(),
        term: term.as_deref(),
        lc_all: lc_all.as_deref(),
        lc_ctype: lc_ctype.as_deref(),
        lang: lang.as_deref(),
    };
    Theme::choose(&env, glyphs)
}

/// Takes the terminal and runs until the user quits, a signal ends it or the terminal is gone.
///
/// # Errors
/// When there is no terminal or signals cannot be received.
pub async fn run(
    mut state: State,
    look: &Theme,
    interval: Duration,
    mut inbox: UnboundedReceiver<Msg>,
    outside: &mut dyn Outside,
) -> Result<()> {
    // Before the terminal is taken: a signal in between would leave it as it must not be left.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // The key library drops a change of size that arrives together with a key.
    let mut window = signal(SignalKind::window_change())?;
    let mut terminal = Terminal::take()?;
    state.size = terminal.size();
    let mut keys = EventStream::new();
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let late_after = (interval * 3).max(LATE);
    let mut due = Instant::now() + late_after;
    let mut dirty = true;
    loop {
        if dirty && terminal.ready() {
            terminal.show(|buf| draw(&state, look, buf));
            dirty = false;
        }
        if terminal.broken() {
            return Ok(());
        }
        let playing = matches!(state.mode, Mode::Replay { playing: true });
        let waits = !state.late && !matches!(state.mode, Mode::Replay { .. });
        let msgs: Vec<Msg> = select! {
            biased;
            event = keys.next() => match event {
                Some(Ok(event)) => term::messages(event),
                // The terminal is gone.
                Some(Err(_)) | None => return Ok(()),
            },
            _ = window.recv() => term::size().map(|(w, h)| Msg::Resize(w, h)).into_iter().collect(),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = terminal.drained(), if dirty => Vec::new(),
            msg = inbox.recv() => match msg {
                Some(msg) => vec![msg],
                None => return Ok(()),
            },
            _ = beat.tick(), if playing => vec![Msg::Beat],
            () = sleep_until(due), if waits => vec![Msg::Late],
        };
        for msg in msgs {
            #[cfg(debug_assertions)]
            forced_panic(&msg);
            match msg {
                Msg::Resize(w, h) => terminal.resize(w, h),
                Msg::Live(_) => due = Instant::now() + late_after,
                _ => {}
            }
            dirty = true;
            for effect in update(&mut state, msg) {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Redraw => terminal.forget(),
                    Effect::Mouse(on) => terminal.mouse(on),
                    Effect::Copy(text) => terminal.copy(&text),
                    Effect::Bell => terminal.bell(),
                    other => outside.carry(other),
                }
            }
            state.limit_scroll(most_scroll(&state));
        }
        if !playing && matches!(state.mode, Mode::Replay { playing: true }) {
            // The first step comes a beat after the key, whatever time was spent paused.
            beat.reset();
        }
    }
}

/// A test's way to see that a panic leaves a clean terminal; not in release builds.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
fn forced_panic(msg: &Msg) {
    let asked = matches!(msg, Msg::Key(crate::app::Key::F(12)));
    if asked && std::env::var_os("LMPTOP_TEST_PANIC").is_some() {
        panic!("forced by LMPTOP_TEST_PANIC");
    }
}

/// From here on a signal ends the process at once: what is left to do must not be unstoppable.
pub fn default_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: SIG_DFL is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
