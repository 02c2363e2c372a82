//! Where in a text something begins and ends that may have to be replaced. Knows no key: what is
//! found is handed to a closure, which answers what stands there instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Folders that are alike on all machines: what is below them tells which program, not whose.
const SYSTEM: &[&str] = &[
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "proc", "sys", "dev", "boot", "nix",
    "snap",
];
/// Folders at the root that may be named, but nothing below them.
const ROOTS: &[&str] = &["home", "root", "tmp", "var", "srv", "opt", "etc", "run", "mnt", "media"];

/// Replaces the runs of characters that `of` takes, where `with` has something for them.
pub(super) fn runs(
    text: &str,
    of: impl Fn(char) -> bool,
    mut with: impl FnMut(&str, Option<char>) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before) = (text, None);
    while let Some(start) = rest.find(&of) {
        out.push_str(&rest[..start]);
        before = rest[..start].chars().next_back().or(before);
        let len = rest[start..].find(|c| !of(c)).unwrap_or(rest.len() - start);
        let run = &rest[start..start + len];
        match with(run, before) {
            Some(new) => out.push_str(&new),
            None => out.push_str(run),
        }
        before = run.chars().next_back();
        rest = &rest[start + len..];
    }
    out.push_str(rest);
    out
}

/// Replaces every address in a text, also beside a port, a prefix length or a scheme.
pub(super) fn addresses(text: &str, mut with: impl FnMut(IpAddr) -> IpAddr) -> String {
    let digit = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    if !text.contains(['.', ':']) {
        return text.to_owned();
    }
    runs(text, digit, |run, before| {
        let word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let v6 = (!word).then(|| v6(run)).flatten();
        if let Some((start, end, v6)) = v6 {
            return Some(format!("{}{}{}", &run[..start], with(IpAddr::V6(v6)), &run[end..]));
        }
        let parts = run.split(':').map(|part| {
            let bare = part.trim_matches('.');
            match bare.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse::<Ipv4Addr>() {
                Ok(v4) => part.replacen(&v4.to_string(), &with(IpAddr::V4(v4)).to_string(), 1),
                Err(_) => part.to_owned(),
            }
        });
        Some(parts.collect::<Vec<_>>().join(":"))
    })
}

/// An IPv6 address in a run of its characters: all of it, or without what stands beside it.
fn v6(run: &str) -> Option<(usize, usize, Ipv6Addr)> {
    if run.matches(':').count() < 2 {
        return None;
    }
    let cut = |start: usize, end: usize| {
        run.get(start..end)?.parse::<Ipv6Addr>().ok().map(|a| (start, end, a))
    };
    let trimmed = run.trim_end_matches(['.', ':']).len();
    let (first, last) = (run.find(':')? + 1, run.rfind(':')?);
    cut(0, run.len())
        .or_else(|| cut(0, trimmed))
        .or_else(|| cut(0, last))
        .or_else(|| cut(first, run.len()))
        .or_else(|| cut(first, last))
}

/// Whether a path is below a folder that is alike on all machines.
pub(super) fn system(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|p| p.split('/').next());
    first.is_some_and(|f| SYSTEM.contains(&f))
}

/// Whether a folder is at the root of every machine.
pub(super) fn is_root(folder: &str) -> bool {
    SYSTEM.contains(&folder) || ROOTS.contains(&folder)
}

/// Endings of the files that interpreted functions are named with.
const SOURCES: &[&str] = &[
    "py", "pyc", "js", "mjs", "cjs", "jsx", "ts", "tsx", "rb", "pl", "pm", "php", "lua", "java",
    "jar", "scala", "kt", "groovy", "ex", "exs", "erl", "sh",
];

/// Replaces names of source files, as stacks have them, that stand without their folder.
pub(super) fn sources(text: &str, with: impl Fn(&str) -> String) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    let part = |c: char| c.is_alphanumeric() || "_-.@+".contains(c);
    runs(text, part, |run, before| {
        let (stem, ending) = run.rsplit_once('.')?;
        // Below a folder it has been looked at: what is left is alike on all machines.
        let bare = before != Some('/') && !stem.is_empty();
        (bare && SOURCES.contains(&ending)).then(|| with(run))
    })
}

/// A path whose own names are replaced.
pub(super) fn path(path: &str, with: impl Fn(&str) -> String) -> String {
    if system(path) {
        return path.to_owned();
    }
    let mut depth = 0;
    let parts = path.split('/').map(|part| {
        if part.is_empty() || part == "." || part == ".." {
            return part.to_owned();
        }
        depth += 1;
        if depth == 1 && ROOTS.contains(&part) { part.to_owned() } else { with(part) }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Characters that end a path in a text.
pub(super) const ENDS: &str = ";,()<>\"'|=:?*&`";

/// Whether a word is a pseudonym as this export makes them.
pub(super) fn is_pseudonym(word: &str) -> bool {
    let digits = word.strip_prefix("r-");
    digits.is_some_and(|d| d.len() == 10 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Replaces every absolute path in a text.
pub(super) fn paths(text: &str, with: impl Fn(&str) -> String) -> String {
    if !text.contains('/') {
        return text.to_owned();
    }
    let part = |c: char| !(c.is_whitespace() || ENDS.contains(c));
    runs(text, part, |run, _| {
        // Not at the start: `a/b` is a fraction or a relative path.
        let start = run.find('/').filter(|&s| s == 0 || run[..s].ends_with(['@', '~', '[']))?;
        Some(format!("{}{}", &run[..start], path(&run[start..], &with)))
    })
}

/// Whether this is a container's id, a build's or a boot's: long and hexadecimal.
pub(super) fn long_hex(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_hexdigit).count();
    let dashes = word.chars().filter(|&c| c == '-' || c == '_').count();
    let mixed = word.contains(|c: char| c.is_ascii_digit())
        && word.contains(|c: char| c.is_ascii_alphabetic());
    digits + dashes == word.len() && dashes <= 4 && digits >= 12 && mixed
}

/// Whether a word is a number, a time or a size: nothing that names somebody.
pub(super) fn numeric(word: &str) -> bool {
    let start = word.find(|c: char| c.is_ascii_digit());
    let number = |c: char| c.is_ascii_digit() || ".,:%+-/".contains(c);
    let rest = word.trim_start_matches(number);
    let unit =
        rest.len() <= 3 && rest.chars().all(|c| c.is_ascii_alphabetic() || "%/µ".contains(c));
    word.chars().all(|c| !c.is_alphanumeric())
        || (start.is_some() && unit && rest.len() < word.len())
}
