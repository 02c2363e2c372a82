//! From what a linker calls a function to what its author called it.

use std::fmt::{self, Write};

/// Symbols that are longer are left as they are.
const LONGEST_RAW: usize = 8192;
/// A name is cut here: templates of templates go on for pages.
const LONGEST: usize = 1024;

/// The name in its language, without parameters, hashes and the marks of copies that a compiler
/// made of one function. What is in no known language stays as it is.
pub(super) fn demangled(raw: &str) -> String {
    // A version of a shared library's symbol: `memcpy@@GLIBC_2.14`.
    let raw = raw.split_once('@').map_or(raw, |(name, _)| name);
    let plain = without_copies(raw);
    let mut out = Bounded::default();
    let is_long = raw.len() > LONGEST_RAW;
    // What no longer fits is no error worth another name.
    if !is_long && let Ok(rust) = rustc_demangle::try_demangle(plain) {
        let _ = write!(out, "{rust:#}");
    } else if !is_long && plain.starts_with("_Z") && cpp(plain, &mut out).is_none() && !out.full {
        out = Bounded::default();
    }
    if out.text.is_empty() {
        let _ = out.write_str(plain);
    }
    out.text
}

/// A function of C++, without its parameters and what it returns.
fn cpp(raw: &str, out: &mut Bounded) -> Option<()> {
    let symbol = cpp_demangle::Symbol::new(raw.as_bytes()).ok()?;
    let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
    let mut write = Through(out);
    symbol.structured_demangle(&mut write, &options).ok()
}

/// Without what marks a compiler's copy of a function (`.cold`, `.isra.0`, `.constprop.0`). Of a
/// part that was moved out of a function (`.part.0`) the mark stays: the function calls it.
pub(super) fn without_copies(mut name: &str) -> &str {
    const MARKS: [&str; 5] = ["cold", "isra", "constprop", "llvm", "lto_priv"];
    while let Some((front, last)) = name.rsplit_once('.') {
        let cut = if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
            match front.rsplit_once('.') {
                Some((before, mark)) if MARKS.contains(&mark) => before,
                _ => break,
            }
        } else if last == "cold" {
            front
        } else {
            break;
        };
        if cut.is_empty() {
            break;
        }
        name = cut;
    }
    name
}

/// Text that stops growing.
#[derive(Default)]
struct Bounded {
    text: String,
    full: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        let room = LONGEST - self.text.len();
        if s.len() <= room {
            self.text.push_str(s);
            return Ok(());
        }
        let mut end = room;
        while !s.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&s[..end]);
        self.text.push('…');
        self.full = true;
        Err(fmt::Error)
    }
}

/// For the demangler of C++, which tells nodes apart besides their text.
struct Through<'a>(&'a mut Bounded);

impl cpp_demangle::DemangleWrite for Through<'_> {
    fn write_string(&mut self, s: &str) -> fmt::Result {
        self.0.write_str(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_their_authors_wrote() {
        for (raw, name) in [
            ("main", "main"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("burn.constprop.0", "burn"),
            ("burn.isra.0.cold", "burn"),
            ("burn.part.0", "burn.part.0"),
            ("main.(*T).Run", "main.(*T).Run"),
            ("main.main.func1.2", "main.main.func1.2"),
            ("runtime.cold", "runtime"),
            ("_ZN5space3fooEibc", "space::foo"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back",
            ),
            ("_ZN5space3fooEi.cold", "space::foo"),
            ("_Z4spinIiET_S0_", "spin<int>"),
            ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            ("_Z9x", "_Z9x"),
            ("", ""),
            (".cold", ".cold"),
            ("@", ""),
        ] {
            assert_eq!(demangled(raw), name, "{raw}");
        }
    }

    #[test]
    fn endless_names_end() {
        let deep = format!("_Z{}", "N".repeat(100_000));
        let doubling = format!("_Z1fI{}E", "St4pairIS_S_E".repeat(200));
        for raw in ["x".repeat(1 << 20), deep, doubling, format!("_Z1f{}", "P".repeat(4000))] {
            assert!(demangled(&raw).len() <= LONGEST + 3);
        }
    }
}
