//! Names of functions cut to what is most telling: without template arguments, then without the
//! path in front, then from the right.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The name in at most so many cells; `mark` ends what was cut.
pub fn short(name: &str, cells: usize, mark: char) -> String {
    if name.width() <= cells {
        return name.to_owned();
    }
    let plain = without_arguments(&of_type(name));
    if plain.width() <= cells {
        return plain;
    }
    // The last parts of a path that still fit, at least the last one.
    let mut starts = starts(&plain);
    starts.retain(|at| plain[*at..].width() <= cells);
    if let Some(at) = starts.first() {
        return plain[*at..].to_owned();
    }
    let last = self::starts(&plain).last().copied().unwrap_or(0);
    cut(&plain[last..], cells, mark)
}

/// `<A::B<C> as D>::f` is `A::B<C>::f`: whose it is, not by which trait.
fn of_type(name: &str) -> Cow<'_, str> {
    let Some(inside) = name.strip_prefix('<') else { return name.into() };
    let mut depth = 1;
    let end = inside.char_indices().find(|(at, c)| {
        match c {
            '<' => depth += 1,
            // `->` ends nothing.
            '>' if !inside[..*at].ends_with('-') => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some((end, _)) = end.filter(|e| inside[e.0 + 1..].starts_with("::")) else {
        return name.into();
    };
    let whose = inside[..end].split(" as ").next().unwrap_or("");
    format!("{whose}{}", &inside[end + 1..]).into()
}

/// Without what stands in `<>`, `()` and `{}` behind a name: arguments of templates and calls.
fn without_arguments(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut before = ' ';
    for c in name.chars() {
        match c {
            // `operator<`, `->` and a name that begins with a bracket are no arguments.
            '<' | '(' if depth > 0 || before.is_alphanumeric() || matches!(before, '_' | ':') => {
                depth += 1;
            }
            '>' | ')' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
        before = c;
    }
    // `Vec::<T>::push` leaves two pairs of colons.
    let out = out.replace("::::", "::");
    let out = out.trim_end_matches("::").to_owned();
    if out.is_empty() { name.to_owned() } else { out }
}

/// Where parts of a path begin, the whole first.
fn starts(name: &str) -> Vec<usize> {
    let mut out = vec![0];
    let bytes = name.as_bytes();
    for (at, c) in name.char_indices() {
        let next = at + c.len_utf8();
        let colons = c == ':' && at > 0 && bytes[at - 1] == b':';
        // A dot is a path in Go, Java and Python; in C it is a suffix: `f.cold`, `f.part.0`.
        let suffix = ["cold", "part", "isra", "constprop", "llvm", "lto_priv"];
        let dot =
            c == '.' && next < name.len() && !suffix.iter().any(|s| name[next..].starts_with(s));
        let dot = dot && !bytes[next].is_ascii_digit();
        if (colons || c == '/' || dot) && next < name.len() {
            out.push(next);
        }
    }
    out
}

fn cut(name: &str, cells: usize, mark: char) -> String {
    if name.width() <= cells {
        return name.to_owned();
    }
    let keep = cells.saturating_sub(1);
    let mut out = String::new();
    let mut used = 0;
    for c in name.chars() {
        used += c.width().unwrap_or(0);
        if used > keep {
            break;
        }
        out.push(c);
    }
    if cells > 0 {
        out.push(mark);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_most_telling_stays() {
        for (name, cells, want) in [
            ("tcp_sendmsg", 20, "tcp_sendmsg"),
            ("tcp_sendmsg", 5, "tcp_~"),
            ("std::vector<int, std::allocator<int>>::push_back", 30, "std::vector::push_back"),
            ("std::vector<int>::push_back", 18, "vector::push_back"),
            ("std::vector<int>::push_back", 10, "push_back"),
            ("std::vector<int>::push_back", 6, "push_~"),
            ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", 8, "drop"),
            ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", 9, "Vec::drop"),
            ("<rustc::ty::CtxtInterners>::intern_ty", 30, "ty::CtxtInterners::intern_ty"),
            ("codegen::mir::codegen_mir::<codegen::Builder>", 12, "codegen_mir"),
            ("<fn() -> u8>::call", 4, "call"),
            ("github.com/a/b.(*Server).Serve", 12, "Serve"),
            ("runtime.mallocgc", 10, "mallocgc"),
            ("reclaim.cold", 9, "reclaim.~"),
            ("f", 0, ""),
            ("日本語", 4, "日~"),
            ("operator<", 4, "ope~"),
        ] {
            let got = short(name, cells, '~');
            assert_eq!(got, want, "{name} in {cells}");
            assert!(got.width() <= cells);
        }
    }
}
