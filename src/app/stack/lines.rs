//! The source lines of the selected function: asked for by a key, told when they come.

use crate::app::effect::Effect;
use crate::app::mode::Mode;
use crate::app::state::{State, Tone};
use crate::table::stack::{Line, Lines, Spot};

use super::Page;
use super::names::{FrameId, Part};

/// Lines shown at most.
const MOST: usize = 8;

/// What was asked, and the answer once it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The function.
    pub frame: FrameId,
    /// What was asked.
    pub spot: Spot,
    /// The answer.
    pub answer: Option<Lines>,
}

/// Asks for the lines of the selected function; again takes them away.
pub fn ask(state: &mut State) -> Vec<Effect> {
    let page = &mut state.stacks;
    let frame = page.selected();
    if page.lines.as_ref().is_some_and(|l| Some(l.frame) == frame) {
        page.lines = None;
        return Vec::new();
    }
    let name = frame.map(|f| (f, page.names.name(f)));
    let Some((frame, name)) = name.filter(|n| matches!(n.1.part, Part::Call(_))) else {
        state.say(Tone::Bad, "Select a function first.");
        return Vec::new();
    };
    if matches!(state.mode, Mode::Replay { .. }) {
        let text = "A recording has names, not places in files: lines are told live only.";
        state.say(Tone::Bad, text);
        return Vec::new();
    }
    let module = name.module.trim_start_matches('~').to_owned();
    let spot = Spot { module, function: name.text.to_string() };
    page.lines = Some(Asked { frame, spot: spot.clone(), answer: None });
    vec![Effect::Lines(spot)]
}

/// The answer, if it is still what was asked.
pub fn told(state: &mut State, lines: Lines) {
    if let Some(asked) = state.stacks.lines.as_mut().filter(|a| a.spot == lines.spot) {
        asked.answer = Some(lines);
    }
}

impl Page {
    /// What was asked of the function that is selected.
    pub fn asked(&self) -> Option<&Asked> {
        self.lines.as_ref().filter(|a| self.selected() == Some(a.frame))
    }

    /// Rows that the lines of the function selected take.
    pub fn line_rows(&self) -> usize {
        let Some(asked) = self.asked() else { return 0 };
        let Some(told) = &asked.answer else { return 1 };
        told.lines.len().min(MOST) + usize::from(!told.missing.is_empty() || told.lines.is_empty())
    }
}

/// Where a line is, as compilers write it.
pub fn place(line: &Line) -> String {
    let file = line.file.as_ref().map_or("?", |f| f.as_str());
    match line.line {
        Some(n) => format!("{file}:{n}"),
        None => file.to_owned(),
    }
}
