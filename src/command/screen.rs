//! The loop between keys, samples and pictures; live and replay differ only in what answers it.

use std::time::Duration;

use anyhow::Result;
use crossterm::event::EventStream;
use futures_util::StreamExt;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, interval_at};

use crate::app::{Effect, Mode, Msg, State, update};
use crate::term::{self, Terminal};
use crate::view::theme::{Env, Theme};
use crate::view::{draw, most_scroll};

/// Time between steps of a playing recording.
const BEAT: Duration = Duration::from_secs(1);

/// What carries out the effects that are not the terminal's own.
pub trait Outside {
    /// Starts one; answers arrive as messages.
    fn carry(&mut self, effect: Effect);
}

/// How the screen looks, from the environment.
pub fn look(ascii: bool) -> Theme {
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
    Theme::choose(&env, ascii)
}

/// Takes the terminal and runs until the user quits, a signal ends it or the terminal is gone.
///
/// # Errors
/// When there is no terminal or signals cannot be received.
pub async fn run(
    mut state: State,
    look: &Theme,
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
        let msg = select! {
            biased;
            event = keys.next() => match event {
                Some(Ok(event)) => term::message(event),
                // The terminal is gone.
                Some(Err(_)) | None => return Ok(()),
            },
            _ = window.recv() => term::size().map(|(w, h)| Msg::Resize(w, h)),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = terminal.drained(), if dirty => None,
            msg = inbox.recv() => match msg {
                Some(msg) => Some(msg),
                None => return Ok(()),
            },
            _ = beat.tick(), if playing => Some(Msg::Beat),
        };
        let Some(msg) = msg else { continue };
        #[cfg(debug_assertions)]
        forced_panic(&msg);
        if let Msg::Resize(w, h) = msg {
            terminal.resize(w, h);
        }
        dirty = true;
        for effect in update(&mut state, msg) {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Redraw => terminal.forget(),
                Effect::Mouse(on) => terminal.mouse(on),
                Effect::Copy(text) => terminal.copy(&text),
                other => outside.carry(other),
            }
        }
        state.limit_scroll(most_scroll(&state));
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
