//! Why a process, a thread or a connection does what it does: the pane, narrowed to that.

use crate::app::effect::Effect;
use crate::app::image::{Cols, Image};
use crate::app::input::open_pane;
use crate::app::state::{Overlay, State, Tone};
use crate::app::typed::pin_filter;
use crate::table::{Doing, Value};

use super::{Kind, Narrow, Range, Undo, View};

/// From this share of a CPU on a process runs more than it waits, per cent.
const RUNS: f64 = 50.0;

/// Who is asked about.
struct Who {
    pid: u32,
    tid: Option<u32>,
    comm: String,
    /// What it waits for, where that is known.
    state: Option<Doing>,
    /// In which system call, where that is known.
    syscall: Option<String>,
    runs: bool,
    net: bool,
}

/// Opens the pane on what is selected.
pub fn why(state: &mut State) -> Vec<Effect> {
    let Some(at) = state.panes.iter().position(|p| p.pane.stacks) else {
        state.say(Tone::Bad, "This recording holds no stacks.");
        return Vec::new();
    };
    let Some(who) = of_image(state).or_else(|| of_row(state)) else {
        state.say(Tone::Bad, "This row has no process.");
        return Vec::new();
    };
    state.overlays.retain(|o| matches!(o, Overlay::Prompt(_)));
    state.pin = pin_filter(&who.pid.to_string()).unwrap_or(None);
    open_pane(state, at);
    let page = &mut state.stacks;
    page.kind = if who.runs || who.net { Kind::OnCpu } else { Kind::OffCpu };
    page.view = View::Graph;
    page.range = Range::All;
    let before = std::mem::take(&mut page.narrow);
    page.zoom.clear();
    page.undo.clear();
    page.undo.push(Undo::Narrow(before));
    page.narrow = Narrow {
        tid: who.tid,
        state: who.state.filter(|_| !who.runs && !who.net).map(|d| d.word().to_owned()),
        syscall: None,
        net: who.net,
    };
    let call = who.syscall.filter(|_| page.narrow.state.is_some());
    if call.is_some() {
        // One step back is every call, another is as it was before.
        page.undo.push(Undo::Narrow(page.narrow.clone()));
        page.narrow.syscall.clone_from(&call);
    }
    page.stale = true;
    // What waits for work is asked about.
    page.idle |= !who.runs;
    let (comm, pid) = (who.comm, who.pid);
    let text = if who.net {
        format!(
            "{comm} ({pid}) in the kernel's network code, for all its connections: stacks do not tell which."
        )
    } else if who.runs {
        format!("Where {comm} ({pid}) runs.")
    } else {
        match (who.state, call) {
            (Some(d), Some(call)) => format!(
                "What {comm} ({pid}) waits for: {} in {call}; Backspace takes every call.",
                d.word()
            ),
            (Some(d), None) => format!("What {comm} ({pid}) waits for: {}.", d.word()),
            (None, _) => format!("What {comm} ({pid}) waits for."),
        }
    };
    let effects = super::past::follow(state);
    state.say(Tone::Plain, text);
    effects
}

/// Of the process image on top: the class chosen, else what the thread selected does.
fn of_image(state: &State) -> Option<Who> {
    let image: &Image = state.image()?;
    let word = image.row.as_ref().and_then(|(frame, row)| frame.get(*row, "state").as_str());
    let most = image.breakdown.as_ref().and_then(|b| b.parts.first()).map(|p| p.class);
    let class = image.of.or(most).or_else(|| word.and_then(Doing::named));
    let tid = image.tid.filter(|_| image.alone);
    Some(Who {
        pid: image.pid,
        tid,
        syscall: class.and_then(|c| call_of(state, image, tid, c)),
        comm: image.comm.clone(),
        state: class.filter(|c| *c != Doing::Running),
        runs: class.is_none_or(|c| c == Doing::Running),
        net: false,
    })
}

/// The system call in which the threads of the image are in this state: `None` where it is not
/// known of any now, or where they are in several.
fn call_of(state: &State, image: &Image, tid: Option<u32>, class: Doing) -> Option<String> {
    let moment = state.moment.as_ref()?;
    let mut found: Option<&str> = None;
    if let Some(table) = moment.now.table("thread") {
        let cols = Cols::new(table, ["pid", "tid", "state", "syscall"]);
        for row in 0..cols.len() {
            let mine = cols.small(row, 0) == Some(image.pid)
                && tid.is_none_or(|t| cols.small(row, 1) == Some(t))
                && cols.text(row, 2) == Some(class.word());
            if !mine {
                continue;
            }
            let call = cols.text(row, 3).filter(|c| !c.is_empty())?;
            if found.is_some_and(|f| f != call) {
                return None;
            }
            found = Some(call);
        }
        if found.is_some() || tid.is_some() {
            return found.map(str::to_owned);
        }
    }
    // A process that has one thread is told by its own row.
    let (frame, row) = image.row.as_ref()?;
    let alone = frame.get(*row, "threads").as_u64() == Some(1);
    let same = frame.get(*row, "state").as_str() == Some(class.word());
    let call = frame.get(*row, "syscall").as_str().filter(|c| !c.is_empty());
    call.filter(|_| alone && same).map(str::to_owned)
}

/// Of the row selected.
fn of_row(state: &State) -> Option<Who> {
    let (frame, row, _) = state.grid.row_of(state.view().at)?;
    let small = |id: &str| frame.get(row, id).as_u64().and_then(|n| u32::try_from(n).ok());
    let table = frame.table().name();
    let net = matches!(table, "net" | "flow" | "tcpevent");
    let class = frame.get(row, "state").as_str().and_then(Doing::named).filter(|_| !net);
    let share = frame.get(row, "cpu_ns_rate").as_f64();
    let comm = match frame.get(row, "comm") {
        Value::Text(s) => s.to_owned(),
        _ => String::new(),
    };
    // A process of many threads waits in some and runs in others: its CPU time tells.
    let runs = match table {
        "thread" => class == Some(Doing::Running),
        _ => share.is_none_or(|s| s >= RUNS),
    };
    Some(Who {
        pid: small("pid")?,
        tid: small("tid").filter(|_| table == "thread"),
        syscall: frame
            .get(row, "syscall")
            .as_str()
            .filter(|c| table == "thread" && !c.is_empty())
            .map(str::to_owned),
        comm,
        state: class.filter(|c| table == "thread" && *c != Doing::Running),
        runs,
        net,
    })
}
