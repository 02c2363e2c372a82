//! Text as HTML and numbers as JSON: whatever a table holds stays text on the page.
//!
//! Recorded text is already without control and bidirectional characters; what comes by another
//! way is neutralised here as well, so that the page needs no trust in its parts.

use anyhow::Result;
use serde::Serialize;

use crate::table::clean;

/// Longest text in a cell, characters: arguments can be megabytes.
const MOST: usize = 300;

/// Appends text as HTML: fit for between tags and for a quoted attribute.
pub(super) fn html(out: &mut String, text: &str) {
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No characters: HTML forbids them, and what reads it as XML fails.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// The same text on its own.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    html(&mut out, text);
    out
}

/// Text short enough for a cell.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Data that stands inside a `<script>` of JSON: no character of it can end the element, begin a
/// comment or break a line of a script.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn json(data: &impl Serialize) -> Result<String> {
    let plain = serde_json::to_string(data)?;
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A number with so many digits as a picture needs; missing where there is none.
pub(super) fn rounded(n: Option<f64>) -> Option<f64> {
    let n = n.filter(|n| n.is_finite())?;
    if n == 0.0 {
        return Some(0.0);
    }
    let scale = 10f64.powi(3 - n.abs().log10().floor() as i32);
    let near = (n * scale).round() / scale;
    Some(if near.is_finite() { near } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_where_it_stands() {
        let hostile = "</script><!--<b>&'\"\u{2028}\u{202e}\u{1b}[2J\u{ffff}";
        let text = escaped(hostile);
        assert_eq!(
            text,
            "&lt;/script&gt;&lt;!--&lt;b&gt;&amp;&#39;&quot;\\u{2028}\\u{202e}\\x1b[2J\u{fffd}"
        );
        let data = json(&[hostile]).unwrap();
        assert!(!data.contains(['<', '>', '&', '\'', '\u{2028}', '\u{1b}']), "{data}");
        let back: Vec<String> = serde_json::from_str(&data).unwrap();
        assert_eq!(back, [hostile]);
    }

    #[test]
    fn numbers_are_short_and_cells_too() {
        assert_eq!(rounded(Some(123_456.7)), Some(123_500.0));
        assert_eq!(rounded(Some(0.000_123_456)), Some(0.000_123_5));
        assert_eq!(rounded(Some(-0.0)), Some(0.0));
        assert_eq!(rounded(Some(f64::NAN)), None);
        assert_eq!(rounded(None), None);
        assert_eq!(short(&"é".repeat(MOST + 1)).chars().count(), MOST + 1);
        assert_eq!(short("a"), "a");
    }
}
