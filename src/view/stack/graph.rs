//! The boxes. Each begins with an edge, so that two of a colour beside each other are two.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use crate::app::stack::{Part, Tile, Which, short};

use super::Pane;
use crate::view::paint::{Pen, cells};
use crate::view::theme::Role;

/// Draws as many rows as there is room for.
pub(super) fn draw(pane: &Pane<'_>, buf: &mut Buffer) {
    let page = pane.page;
    let rows = page.shown.picture.rows.iter().enumerate().skip(page.scroll);
    for (y, (row, (which, tiles))) in (pane.area.body..).zip(rows.take(usize::from(pane.area.rows)))
    {
        for (column, tile) in tiles.iter().enumerate() {
            tile_at(pane, *which, *tile, y, page.at == (row, column), buf);
        }
    }
}

fn tile_at(pane: &Pane<'_>, which: Which, tile: Tile, y: u16, selected: bool, buf: &mut Buffer) {
    let width = usize::from(tile.width);
    let mut pen = Pen::new(buf, pane.look, tile.x, y, tile.end());
    if tile.rest > 0 {
        let style = pane.look.style(if selected { Role::Select } else { Role::Dim });
        let text = format!("+{}", tile.rest);
        let text = if cells(&text) > width { "+".repeat(width) } else { text };
        pen.put_style(&text, style);
        let left = " ".repeat(usize::from(pen.room()));
        pen.put_style(&left, if selected { style } else { Style::new() });
        return;
    }
    let page = pane.page;
    let node = page.tree(which).node(tile.node);
    let change = pane.change(&page.tree(which).total(tile.node));
    let hit = page.shown.hit(node.frame);
    let (style, edge) = look(pane, node.frame, change, hit, selected);
    let name = &page.names.name(node.frame);
    let filling = pane.filling(node.frame, change);
    let mut text = String::from(edge);
    // The last cell stays free where there is room: names do not touch.
    let room = if width > 8 { width - 2 } else { width.saturating_sub(1) };
    // Of a letter or two nothing can be told.
    let room = if room < 3 && cells(&name.text) > room { 0 } else { room };
    text.push_str(&match name.part {
        Part::Call(_) => short(&name.text, room, pane.look.glyphs.ellipsis()),
        _ => crate::view::paint::cut(&name.text, room, if pane.ascii() { "~" } else { "…" }),
    });
    let used = cells(&text);
    if used < width {
        text.push(' ');
        text.extend(std::iter::repeat_n(filling, width - used - 1));
    }
    pen.put_style(&text, style);
}

/// The look of a box and the character it begins with.
fn look(
    pane: &Pane<'_>,
    frame: u32,
    change: Option<crate::table::Change>,
    hit: bool,
    selected: bool,
) -> (Style, char) {
    let style = change.map_or_else(|| pane.style(frame), |c| pane.change_style(c));
    let edge = if pane.ascii() { '|' } else { '▏' };
    if selected {
        // Without its block among blocks; a block among plain text.
        let style = match pane.mono() {
            true => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            false => style.remove_modifier(Modifier::REVERSED | Modifier::DIM),
        };
        return (style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED), '>');
    }
    if hit {
        let found = match pane.mono() {
            true => style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            false => super::fill(Some(ratatui::style::Color::Red)).add_modifier(Modifier::BOLD),
        };
        return (found, '*');
    }
    // No difference is told by its colour alone.
    let sign = change.map(super::sign).filter(|s| *s != ' ');
    (style, sign.unwrap_or(edge))
}
