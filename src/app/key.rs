//! A key as the program means it, whatever terminal library delivered it.

use std::fmt;

/// A logical key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A printable character, shift applied.
    Char(char),
    /// Control and a letter.
    Ctrl(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Delete.
    Delete,
    /// A function key.
    F(u8),
}

impl Key {
    /// Where it leads in a list whose last line is `last`; `None` where it is no such key.
    pub fn in_list(self, here: usize, last: usize) -> Option<usize> {
        Some(match self {
            Key::Up | Key::Char('k') => here.saturating_sub(1),
            Key::Down | Key::Char('j') => (here + 1).min(last),
            Key::PageUp => here.saturating_sub(10),
            Key::PageDown => (here + 10).min(last),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => return None,
        })
    }
}

/// Names of the keys that are not one character, as key scripts and the help spell them.
const NAMED: &[(&str, Key)] = &[
    ("Enter", Key::Enter),
    ("Esc", Key::Esc),
    ("Backspace", Key::Backspace),
    ("Tab", Key::Tab),
    ("BackTab", Key::BackTab),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("PgUp", Key::PageUp),
    ("PgDn", Key::PageDown),
    ("Home", Key::Home),
    ("End", Key::End),
    ("Del", Key::Delete),
    ("Space", Key::Char(' ')),
    ("Less", Key::Char('<')),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Char(' ') => f.write_str("Space"),
            Key::Char(c) => write!(f, "{c}"),
            Key::Ctrl(c) => write!(f, "^{}", c.to_ascii_uppercase()),
            Key::F(n) => write!(f, "F{n}"),
            other => {
                let name = NAMED.iter().find(|(_, k)| k == other).map_or("?", |(n, _)| n);
                f.write_str(name)
            }
        }
    }
}

/// Reads a key script such as `/ssh<Enter>j<Esc>`: one character is one key, `<Name>` a named one,
/// `<F2>` a function key, `<^C>` control, `<Less>` a literal `<`.
///
/// # Errors
/// One sentence about the first name that is not a key.
pub fn keys(script: &str) -> Result<Vec<Key>, String> {
    let mut out = Vec::new();
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        let Some(named) = rest.strip_prefix('<') else {
            out.push(Key::Char(c));
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (name, after) =
            named.split_once('>').ok_or_else(|| format!("no `>` after `<` in `{rest}`"))?;
        out.push(named_key(name).ok_or_else(|| format!("`<{name}>` is not a key"))?);
        rest = after;
    }
    Ok(out)
}

fn named_key(name: &str) -> Option<Key> {
    if let Some((_, key)) = NAMED.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        return Some(*key);
    }
    if let Some(c) = name.strip_prefix('^') {
        return c.chars().next().map(|c| Key::Ctrl(c.to_ascii_lowercase()));
    }
    name.strip_prefix('F').and_then(|n| n.parse().ok()).map(Key::F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_spell_every_kind_of_key() {
        assert_eq!(
            keys("/a<Enter><F2><^C><Less>").unwrap(),
            [Key::Char('/'), Key::Char('a'), Key::Enter, Key::F(2), Key::Ctrl('c'), Key::Char('<')]
        );
        assert!(keys("<Nope>").is_err());
        assert!(keys("<Enter").is_err());
    }

    #[test]
    fn names_read_back() {
        for (_, key) in NAMED {
            if *key != Key::Char('<') {
                assert_eq!(keys(&format!("<{key}>")).unwrap(), [*key]);
            }
        }
    }
}
