//! Names that were probably meant: what a mistyped table or column is answered with.

/// ` (did you mean x, y?)` after a name that is none of `names`; empty when none is near.
pub fn meant(name: &str, names: &[&str]) -> String {
    let near = nearest(name, names);
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

/// Up to three of `names` that `name` was probably meant to be, nearest first.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let limit = 1 + name.chars().count() / 3;
    let mut scored: Vec<(usize, &str)> = names
        .iter()
        .map(|n| {
            let whole_word = !name.is_empty() && n.split('_').any(|part| part == name);
            (if whole_word { 0 } else { distance(name, n) }, *n)
        })
        .filter(|(d, _)| *d <= limit)
        .collect();
    scored.sort_by_key(|(d, _)| *d);
    scored.into_iter().take(3).map(|(_, n)| n).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements of characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let replace = last[j] + usize::from(ca != *cb);
            next.push(replace.min(last[j + 1] + 1).min(next[j] + 1));
        }
        last = next;
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = ["srtt_us", "rttvar_us", "min_rtt_us", "bytes_acked", "sport"];
        assert_eq!(nearest("rtt", &names), ["min_rtt_us"]);
        assert_eq!(nearest("bytes_acke", &names), ["bytes_acked"]);
        assert_eq!(nearest("zzzz", &names), [""; 0]);
    }
}
