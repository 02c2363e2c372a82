//! A table on the page: heads that say what they mean, cells as the screen shows them, and beside
//! each number the number itself, so that sorting is by size and not by letters.

use std::fmt::Write;

use super::escape::{escaped, html, short};

/// A column's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub id: String,
    pub title: String,
    pub help: String,
    pub number: bool,
}

/// A cell: its text, and what it is sorted by if that is a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub text: String,
    pub number: Option<f64>,
}

/// A table to be shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    /// The table's name.
    pub id: String,
    pub title: String,
    /// What is shown, and what was left out.
    pub note: String,
    pub heads: Vec<Head>,
    pub rows: Vec<Vec<Cell>>,
    /// The column it is sorted by, largest first.
    pub sorted: Option<usize>,
}

impl Grid {
    /// Leaves out columns that say nothing in any row.
    pub fn dense(mut self) -> Grid {
        let said: Vec<bool> = (0..self.heads.len())
            .map(|c| self.rows.iter().any(|r| !matches!(r[c].text.as_str(), "" | "-")))
            .collect();
        let keep = |c: usize| said.get(c).copied().unwrap_or(false);
        self.sorted = self.sorted.filter(|c| keep(*c)).map(|s| (0..s).filter(|c| keep(*c)).count());
        let thin = |row: Vec<Cell>| {
            row.into_iter().enumerate().filter(|(c, _)| keep(*c)).map(|(_, cell)| cell).collect()
        };
        self.rows = self.rows.into_iter().map(thin).collect();
        let heads = self.heads.into_iter().enumerate();
        self.heads = heads.filter(|(c, _)| keep(*c)).map(|(_, h)| h).collect();
        self
    }

    pub fn draw(&self, out: &mut String) {
        let (id, title) = (escaped(&self.id), escaped(&self.title));
        let _ = write!(
            out,
            "<section id=\"t-{id}\" class=\"grid\" data-table=\"{id}\"><h2>{title}</h2>\n\
             <p class=\"note\">{}</p>\n<p class=\"tools\"><label>Filter <input type=\"search\" \
             placeholder=\"words, all must be in the row\"></label> <span class=\"count\">{} \
             rows</span></p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
             aria-label=\"{title}\"><table><thead><tr>",
            escaped(&self.note),
            self.rows.len()
        );
        for (c, head) in self.heads.iter().enumerate() {
            let sort = if self.sorted == Some(c) { "descending" } else { "none" };
            let class = if head.number { " class=\"n\"" } else { "" };
            let _ = write!(
                out,
                "<th{class} scope=\"col\" aria-sort=\"{sort}\" data-id=\"{}\"><button \
                 type=\"button\" title=\"{}\">{}</button></th>",
                escaped(&head.id),
                escaped(&head.help),
                escaped(&head.title)
            );
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (cell, head) in row.iter().zip(&self.heads) {
                out.push_str(if head.number { "<td class=\"n\"" } else { "<td" });
                if let Some(n) = cell.number.filter(|n| n.is_finite()) {
                    let _ = write!(out, " data-v=\"{n}\"");
                }
                out.push('>');
                html(out, &short(&cell.text));
                out.push_str("</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div></section>\n");
    }
}
