//! What is searched for: words or `/regex/`, small and capital letters alike.

use regex_lite::{Regex, RegexBuilder};

/// A regex whose machine is larger than this is refused.
const REGEX_BYTES: usize = 1 << 18;

/// A search; of nothing at first.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// As typed.
    pub text: String,
    regex: Option<Regex>,
}

impl Search {
    /// Reads what was typed.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Search, String> {
        let text = text.trim();
        let body =
            text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).filter(|b| !b.is_empty());
        let regex = match body {
            Some(body) => {
                let built = RegexBuilder::new(&body.replace("\\/", "/"))
                    .case_insensitive(true)
                    .size_limit(REGEX_BYTES)
                    .build();
                Some(built.map_err(|e| format!("{text} is not a regex: {e}"))?)
            }
            None => None,
        };
        Ok(Search { text: text.to_owned(), regex })
    }

    /// Whether nothing is searched for.
    pub fn is_none(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a function of this name and file is meant: every word is in one of them.
    pub fn finds(&self, name: &str, module: &str) -> bool {
        if let Some(regex) = &self.regex {
            return regex.is_match(name) || regex.is_match(module);
        }
        let (name, module) = (name.to_lowercase(), module.to_lowercase());
        let words = self.text.to_lowercase();
        !self.is_none() && words.split_whitespace().all(|w| name.contains(w) || module.contains(w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_regexes_find() {
        let finds = |text: &str, name: &str| Search::parse(text).unwrap().finds(name, "libc.so.6");
        assert!(
            finds("TCP", "tcp_sendmsg") && finds("libc", "x") && finds("tcp send", "tcp_sendmsg")
        );
        assert!(!finds("tcp recv", "tcp_sendmsg") && !finds("", "x"));
        assert!(finds("/^tcp_.*msg$/", "tcp_sendmsg") && !finds("/^send/", "tcp_sendmsg"));
        assert!(Search::parse("/(/").is_err());
        assert!(finds("/", "a/b"), "one slash is a text");
    }
}
