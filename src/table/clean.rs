//! Text from outside, made harmless. The only door by which foreign bytes enter a table.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Text that holds no control character, no escape sequence and no bidirectional control.
///
/// Process names, arguments, addresses resolved by others, a tool's output and recordings are
/// untrusted: what could act on a terminal is written out visibly (`\x1b`, `\u{202e}`). A clone is
/// the same text in memory: the name of a thread goes into every sample of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Clean(Arc<str>);

impl Clean {
    /// Neutralises bytes from outside; invalid UTF-8 becomes U+FFFD.
    pub fn new(bytes: &[u8]) -> Clean {
        match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(s) => Clean(clean(s).into()),
            Cow::Owned(s) => Clean(clean(&s).into()),
        }
    }

    /// A NUL-terminated kernel string such as `task_struct.comm`.
    pub fn from_c(bytes: &[u8]) -> Clean {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        Clean::new(&bytes[..end])
    }

    /// The harmless text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Clean {
    fn from(s: &str) -> Clean {
        Clean(clean(s).into())
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that move the cursor, start a sequence, reorder or hide text.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{00ad}' | '\u{180e}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Whether `s` can go to a terminal as it is. Fast for plain ASCII.
pub fn is_clean(s: &str) -> bool {
    // All bytes are looked at, without an early end: many at a time.
    if s.bytes().fold(true, |all, b| all & (0x20..0x7f).contains(&b)) {
        return true;
    }
    !s.chars().any(harmful)
}

/// Writes out what is harmful as visible escapes; returns `s` itself when nothing is.
pub fn clean(s: &str) -> Cow<'_, str> {
    if is_clean(s) {
        return Cow::Borrowed(s);
    }
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if harmful(c) && (c as u32) < 0x100 => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c if harmful(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible_text() {
        let c = Clean::new(b"evil\x1b]52;c;AAAA\x07\x1b[2Jx");
        assert_eq!(c.as_str(), "evil\\x1b]52;c;AAAA\\x07\\x1b[2Jx");
        assert!(is_clean(c.as_str()));
    }

    #[test]
    fn bidi_and_invisible_controls_become_visible() {
        assert_eq!(clean("a\u{202e}b\u{200b}\u{9b}c"), "a\\u{202e}b\\u{200b}\\x9bc");
    }

    #[test]
    fn plain_and_foreign_letters_stay_as_they_are() {
        for s in ["nginx: worker", "日本語", "naïve µs", ""] {
            assert!(matches!(clean(s), Cow::Borrowed(t) if t == s));
        }
    }

    #[test]
    fn invalid_utf8_and_the_nul_end_are_handled() {
        assert_eq!(Clean::from_c(b"ab\xffc\0junk").as_str(), "ab\u{fffd}c");
        assert_eq!(Clean::from_c(b"full").as_str(), "full");
    }
}
