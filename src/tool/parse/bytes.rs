//! Bytes of a terminal's lines: which are letters, where a character ends, numbers of sequences.

/// Whether a byte is no letter. Tabs are: they tell columns apart.
pub(super) fn is_control(b: u8) -> bool {
    (b < 0x20 && b != b'\t') || b == 0x7f
}

/// Length of a character at the end that lacks bytes.
pub(super) fn unfinished(line: &[u8]) -> usize {
    let lead = line.iter().rposition(|b| b & 0xc0 != 0x80).unwrap_or(0);
    let whole = match line.get(lead) {
        Some(0xc0..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        Some(0xf0..) => 4,
        _ => 0,
    };
    let there = line.len() - lead;
    if there < whole { there } else { 0 }
}

/// Takes the last character away.
pub(super) fn drop_last(line: &mut Vec<u8>) {
    while let Some(b) = line.pop() {
        if b & 0xc0 != 0x80 {
            break;
        }
    }
}

/// The numbers of an `ESC [` sequence; one left out is 0.
pub(super) fn numbers(text: &[u8]) -> Vec<u16> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|b| matches!(b, b';' | b':'))
        .map(|digits| {
            digits
                .iter()
                .filter(|b| b.is_ascii_digit())
                .fold(0u16, |n, b| n.saturating_mul(10).saturating_add(u16::from(b - b'0')))
        })
        .collect()
}
