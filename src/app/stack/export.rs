//! What is shown as folded text: a stack a line, outermost first, and its number.

use super::names::FrameId;
use super::profile::Tree;
use super::{Page, View, Which};

impl Page {
    /// The frames of a path as one folded stack.
    fn line(&self, path: &[FrameId]) -> String {
        let texts: Vec<&str> = path.iter().map(|f| &*self.names.name(*f).text).collect();
        texts.join(";").replace('\n', " ")
    }

    /// The folded line of what is selected.
    pub fn selected_line(&self) -> Option<String> {
        if self.view == View::Table {
            let row = self.shown.rows.get(self.line)?;
            return Some(format!("{} {}", self.names.name(row.frame).text, row.total[0].value));
        }
        let (which, tile) = self.chosen()?;
        let tree = self.tree(which);
        let mut path = tree.path(tile.node);
        if which == Which::Callers {
            path.reverse();
        }
        if which != Which::Tree {
            let at = if which == Which::Callers { path.len() } else { 0 };
            path.insert(at, tree.node(0).frame);
        }
        let name = if path.is_empty() { "all".to_owned() } else { self.line(&path) };
        Some(format!("{name} {}", tree.total(tile.node)[self.side()].value))
    }
}

/// The tree below what is zoomed, folded; both sides where two are compared, as differential flame
/// graphs take them: the marked side first.
pub fn folded(page: &Page) -> String {
    let tree: &Tree = &page.shown.tree;
    let mut out = String::new();
    for at in tree.below(page.shown.top.unwrap_or(0)) {
        let [now, then] = tree.own(at);
        if now.value == 0 && then.value == 0 {
            continue;
        }
        let path = tree.path(at);
        let name = if path.is_empty() { "all".to_owned() } else { page.line(&path) };
        if page.diff && page.mark.is_some() {
            out.push_str(&format!("{name} {} {}\n", then.value, now.value));
        } else {
            out.push_str(&format!("{name} {}\n", now.value));
        }
    }
    out
}
