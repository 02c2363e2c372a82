//! The terminal: taken over once, restored always - after an error, a signal or a panic.
//!
//! Bytes leave through a thread of their own: a slow line delays the next picture, never the
//! keys, and pictures that could not be sent are skipped, not queued.

mod encode;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEventKind, KeyModifiers,
    MouseButton, MouseEventKind,
};
use crossterm::{cursor, queue, terminal};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::Notify;

use crate::app::{Key, Mouse, MouseKind, Msg};

/// Whether the terminal is taken over, by anyone in this process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Presses, drags and the wheel, in coordinates of any size (SGR). Not mere motion: that would send
/// bytes up the line for nothing.
const MOUSE_ON: &[u8] = b"\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1002l";

/// The terminal while lmptop has it. Dropping it gives it back.
pub struct Terminal {
    shown: Buffer,
    whole: bool,
    outbox: Sender<Vec<u8>>,
    state: Arc<OutboxState>,
}

#[derive(Default)]
struct OutboxState {
    busy: AtomicBool,
    broken: AtomicBool,
    drained: Notify,
}

impl Terminal {
    /// Takes the terminal over: raw mode, alternate screen, mouse, bracketed paste.
    ///
    /// # Errors
    /// When standard output is not a terminal.
    pub fn take() -> Result<Terminal> {
        let (width, height) = terminal::size().context(
            "standard output is not a terminal; `lmptop print` and `lmptop record` need none",
        )?;
        terminal::enable_raw_mode().context("cannot switch the terminal to raw mode")?;
        TAKEN.store(true, Ordering::SeqCst);
        let (outbox, inbox) = channel();
        let state = Arc::new(OutboxState::default());
        let of_thread = state.clone();
        thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || drain(&inbox, &of_thread))
            .inspect_err(|_| restore())
            .context("cannot start a thread")?;
        let mut start = Vec::new();
        queue!(start, terminal::EnterAlternateScreen, cursor::Hide, EnableBracketedPaste)?;
        start.extend_from_slice(MOUSE_ON);
        let shown = Buffer::empty(Rect::new(0, 0, width, height));
        let terminal = Terminal { shown, whole: true, outbox, state };
        terminal.send(start);
        Ok(terminal)
    }

    /// Cells across and down.
    pub fn size(&self) -> (u16, u16) {
        (self.shown.area.width, self.shown.area.height)
    }

    /// The terminal has another size now: everything is drawn again.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.shown = Buffer::empty(Rect::new(0, 0, width, height));
        self.whole = true;
    }

    /// Draw everything again next time.
    pub fn forget(&mut self) {
        let (width, height) = self.size();
        self.resize(width, height);
    }

    /// Whether the picture before has left; drawing earlier would only queue up.
    pub fn ready(&self) -> bool {
        !self.state.busy.load(Ordering::Acquire)
    }

    /// Whether the terminal is gone.
    pub fn broken(&self) -> bool {
        self.state.broken.load(Ordering::Acquire)
    }

    /// Waits until the picture before has left.
    pub async fn drained(&self) {
        while !self.ready() {
            self.state.drained.notified().await;
        }
    }

    /// Shows a picture: only what differs from the one before is sent.
    pub fn show(&mut self, draw: impl FnOnce(&mut Buffer)) {
        let mut next = Buffer::empty(self.shown.area);
        draw(&mut next);
        let mut bytes = Vec::new();
        if self.whole {
            bytes.extend_from_slice(b"\x1b[m\x1b[2J");
            self.whole = false;
        }
        bytes.extend_from_slice(encode::encode(&self.shown, &next).as_bytes());
        self.shown = next;
        if !bytes.is_empty() {
            self.send(bytes);
        }
    }

    /// Sends bytes as they are (mouse on or off, clipboard).
    pub fn send(&self, bytes: Vec<u8>) {
        self.state.busy.store(true, Ordering::Release);
        if self.outbox.send(bytes).is_err() {
            self.state.broken.store(true, Ordering::Release);
            self.state.busy.store(false, Ordering::Release);
        }
    }

    /// Mouse reporting on or off.
    pub fn mouse(&self, on: bool) {
        self.send(if on { MOUSE_ON.to_vec() } else { MOUSE_OFF.to_vec() });
    }

    /// Rings the bell (BEL).
    pub fn bell(&self) {
        self.send(b"\x07".to_vec());
    }

    /// Puts text on the user's clipboard, also over SSH (OSC 52). Clean text only.
    pub fn copy(&self, text: &str) {
        self.send(format!("\x1b]52;c;{}\x07", base64(text.as_bytes())).into_bytes());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A line that takes nothing any more must not keep the process.
        let until = Instant::now() + Duration::from_secs(1);
        while !self.ready() && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        restore();
    }
}

/// Sends what arrives until everybody has left.
fn drain(inbox: &Receiver<Vec<u8>>, state: &OutboxState) {
    while let Ok(mut bytes) = inbox.recv() {
        while let Ok(more) = inbox.try_recv() {
            bytes.extend(more);
        }
        let mut out = io::stdout().lock();
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            state.broken.store(true, Ordering::Release);
        }
        state.busy.store(false, Ordering::Release);
        state.drained.notify_waiters();
        state.drained.notify_one();
    }
}

/// Gives the terminal back as it was. Does nothing the second time.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut end = MOUSE_OFF.to_vec();
    let _ = queue!(end, DisableBracketedPaste, cursor::Show, terminal::LeaveAlternateScreen);
    let mut bytes = b"\x1b[m".to_vec();
    bytes.extend(end);
    // Not longer than a second: a line that takes nothing any more must not keep the process.
    let (done, written) = channel();
    let writer = thread::Builder::new().name("restore".to_owned()).spawn(move || {
        write_out(&bytes);
        let _ = done.send(());
    });
    if writer.is_ok() {
        let _ = written.recv_timeout(Duration::from_secs(1));
    }
    // What was typed and not read must not reach the shell, nor act on us as a signal.
    // SAFETY: tcflush takes two integers.
    unsafe { libc::tcflush(0, libc::TCIFLUSH) };
    let _ = terminal::disable_raw_mode();
}

/// Straight to the descriptor: a panic may hold the lock of standard output.
fn write_out(mut rest: &[u8]) {
    while !rest.is_empty() {
        // SAFETY: writes `rest.len()` bytes from a live slice to file descriptor 1.
        let n = unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(n) {
            Ok(n) if n > 0 => rest = &rest[n..],
            _ => return,
        }
    }
}

/// After a panic anywhere: the terminal first, then one line, then the end with status 1.
/// Panics that are expected and caught (a damaged recording) pass by.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        if crate::session::caught() {
            return;
        }
        restore();
        let payload = info.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown");
        let place = info.location().map_or_else(String::new, |l| format!(" at {l}"));
        eprintln!("lmptop: internal error: {}{place}; please report it", crate::table::clean(what));
        std::process::exit(1);
    }));
}

/// Cells across and down as they are now.
pub fn size() -> Option<(u16, u16)> {
    terminal::size().ok()
}

/// What a terminal event means to the screen.
pub fn messages(event: Event) -> Vec<Msg> {
    if let Event::Key(k) = &event
        && k.kind != KeyEventKind::Release
        && k.modifiers.contains(KeyModifiers::ALT)
    {
        // Escape and a key in one packet look like one key with Alt. Nothing here is bound to Alt,
        // and an Escape that is lost leaves a question open.
        let plain = key(k.code, k.modifiers - KeyModifiers::ALT).filter(|k| *k != Key::Esc);
        return [Some(Key::Esc), plain].into_iter().flatten().map(Msg::Key).collect();
    }
    message(event).into_iter().collect()
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(k) if k.kind != KeyEventKind::Release => key(k.code, k.modifiers).map(Msg::Key),
        Event::Mouse(m) => {
            let kind = match m.kind {
                MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
                MouseEventKind::Drag(MouseButton::Left) => MouseKind::Drag,
                MouseEventKind::ScrollUp => MouseKind::WheelUp,
                MouseEventKind::ScrollDown => MouseKind::WheelDown,
                _ => return None,
            };
            Some(Msg::Mouse(Mouse { kind, x: m.column, y: m.row }))
        }
        Event::Paste(text) => Some(Msg::Paste(text)),
        // The size comes with SIGWINCH: this event is lost when a key comes with it.
        _ => None,
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    Some(match code {
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Ctrl(c.to_ascii_lowercase())
        }
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Delete => Key::Delete,
        KeyCode::F(n) => Key::F(n),
        _ => return None,
    })
}

/// Standard base64 with padding (RFC 4648), which OSC 52 wants.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, &b| (n << 8) | u32::from(b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(LETTERS[(n >> (18 - 6 * i)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }
}
