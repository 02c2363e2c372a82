//! Reading the text of a filter into terms. What a key means is decided later, by the table.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use regex_lite::{Regex, RegexBuilder};

use super::FilterError;
use crate::table::quantity::{Quantity, parse_quantity};

/// One condition; a row must meet all of them.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// Whether rows that meet `test` are left out instead.
    pub not: bool,
    /// The condition.
    pub test: Test,
    /// As written, without the `!`.
    pub text: String,
}

impl Term {
    /// The table that the term names, and what is left of it.
    pub(super) fn addressed(&self, tables: &[&str], first: bool) -> (Option<String>, Option<Term>) {
        match &self.test {
            Test::Word(word) if first && !self.not && self.text == *word => {
                match tables.iter().find(|t| t.eq_ignore_ascii_case(word)) {
                    Some(table) => (Some((*table).to_owned()), None),
                    None => (None, Some(self.clone())),
                }
            }
            Test::Key(key, check) => {
                let of = |t: &&&str| {
                    let rest = key.get(t.len()..).and_then(|rest| rest.strip_prefix('.'));
                    rest.is_some_and(|rest| !rest.is_empty())
                        && key.get(..t.len()).is_some_and(|k| k.eq_ignore_ascii_case(t))
                };
                let Some(table) = tables.iter().filter(of).max_by_key(|t| t.len()) else {
                    return (None, Some(self.clone()));
                };
                let cut = table.len() + 1;
                let text = match self.text.get(cut..) {
                    Some(rest) if self.text.starts_with(&key[..cut]) => rest,
                    _ => &self.text,
                };
                let term = Term {
                    test: Test::Key(key[cut..].to_owned(), check.clone()),
                    text: text.to_owned(),
                    ..*self
                };
                (Some((*table).to_owned()), Some(term))
            }
            _ => (None, Some(self.clone())),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    /// In any text, or exactly an id.
    Word(String),
    /// In any text.
    Regex(Arc<Regex>),
    /// In any address.
    Net(IpNet),
    /// One end of a connection.
    End(Option<IpAddr>, u16),
    /// On the columns of this name.
    Key(String, Check),
}

/// What is asked of a named column.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// `key:value`
    Has(Literal),
    /// `key=value`, `key!=value`, `key>value` ...
    Compare(Op, Literal),
    /// `key:/regex/`
    Regex(Arc<Regex>),
    /// `key:-`
    Missing,
    /// `key!=-`
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A value as written, and as a number and as an address where it can be one.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub text: String,
    pub number: Result<Quantity, String>,
    /// The number when it is written as nothing but digits: exact above 2^53 too.
    pub digits: Option<u64>,
    pub net: Option<IpNet>,
}

impl Literal {
    fn new(text: &str) -> Literal {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        Literal {
            text: text.to_owned(),
            number: parse_quantity(text).map_err(|e| e.what),
            digits: if plain { text.parse().ok() } else { None },
            net: network(text),
        }
    }
}

/// An address or a network; IPv4 in IPv6 clothes is IPv4.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let net = match text.contains('/') {
        true => text.parse::<IpNet>().ok()?,
        false => IpNet::from(address(text)?),
    };
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4),
            None => Some(net),
        },
        _ => Some(net),
    }
}

/// An address as tables write them: perhaps with a zone, in brackets or with a port.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let first = *text.as_bytes().first()?;
    if !first.is_ascii_hexdigit() && first != b':' && first != b'[' {
        return None;
    }
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.split_once('%') {
            Some((ip, _)) => ip.trim_start_matches('[').parse().ok()?,
            None => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(ip.to_canonical())
}

/// Limits what a pattern typed by a user may cost, in bytes of program.
const REGEX_BYTES: usize = 256 * 1024;

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    pub fn terms(mut self) -> Result<Vec<Term>, FilterError> {
        let mut terms = Vec::new();
        loop {
            self.skip_space();
            if self.rest().is_empty() {
                return Ok(terms);
            }
            terms.push(self.term()?);
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Up to the next white space, not consumed.
    fn chunk(&self) -> &'a str {
        let rest = self.rest();
        rest.split(char::is_whitespace).next().unwrap_or(rest)
    }

    fn wrong<T>(&self, at: usize, what: impl Into<String>) -> Result<T, FilterError> {
        Err(FilterError { at, what: what.into(), incomplete: false })
    }

    /// Something is missing at `at`; only the end of the text can still be typed.
    fn lacking<T>(&self, at: usize, what: impl Into<String>) -> Result<T, FilterError> {
        let incomplete = self.rest().trim().is_empty();
        Err(FilterError { at, what: what.into(), incomplete })
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        let mut not = false;
        while self.rest().starts_with('!') {
            not = !not;
            self.at += 1;
            self.skip_space();
        }
        let start = self.at;
        let test = match self.rest().chars().next() {
            None => return self.lacking(start, "! needs a term after it"),
            Some('/') => self.whole_regex()?,
            Some('"') => {
                let word = self.quoted()?;
                // A column whose name holds blanks: `"Receive bytes">1M`.
                match operator_at(self.chunk()) {
                    Some(0) => self.key(&word)?,
                    _ => Test::Word(word),
                }
            }
            Some(_) => self.bare()?,
        };
        let text = self.text.get(start..self.at).unwrap_or("").trim().to_owned();
        Ok(Term { not, test, text })
    }

    fn bare(&mut self) -> Result<Test, FilterError> {
        let chunk = self.chunk();
        if let Some(test) = self.literal(chunk)? {
            self.at += chunk.len();
            return Ok(test);
        }
        let start = self.at;
        if let Some(end) = operator_at(chunk) {
            let key = chunk.get(..end).unwrap_or("");
            if key.is_empty() {
                self.at += chunk.len();
                let what = format!("\"{chunk}\" needs a column name before it");
                return if chunk == ":" {
                    self.lacking(start, what)
                } else {
                    self.wrong(start, what)
                };
            }
            self.at += end;
            return self.key(key);
        }
        self.at += chunk.len();
        // `rtt > 50ms` with spaces; `!=` too, but not the `!` of a next term.
        let after = self.rest().trim_start();
        if after.starts_with(['<', '>', '=']) || after.starts_with("!=") {
            self.skip_space();
            return self.key(chunk);
        }
        Ok(Test::Word(chunk.to_owned()))
    }

    /// Addresses hold colons and slashes of their own: `::1`, `10.0.0.0/8`, `10.0.0.1:443`, `:443`.
    fn literal(&self, chunk: &str) -> Result<Option<Test>, FilterError> {
        if chunk.parse::<IpAddr>().is_ok() {
            return Ok(Some(Test::Word(chunk.to_owned())));
        }
        if let Ok(end) = chunk.parse::<SocketAddr>() {
            return Ok(Some(Test::End(Some(end.ip().to_canonical()), end.port())));
        }
        if let Some(port) = chunk.strip_prefix(':').and_then(digits) {
            return Ok(Some(Test::End(None, port)));
        }
        self.cidr(self.at, chunk).map(|net| net.map(Test::Net))
    }

    /// A network if `text` starts as one; a wrong or half-typed prefix length is said.
    fn cidr(&self, at: usize, text: &str) -> Result<Option<IpNet>, FilterError> {
        let Some((ip, prefix)) = text.split_once('/') else { return Ok(None) };
        if ip.parse::<IpAddr>().is_err() {
            return Ok(None);
        }
        match network(text) {
            Some(net) => Ok(Some(net)),
            None => Err(FilterError {
                at: at + ip.len(),
                what: format!("\"{text}\" needs a prefix length such as /24"),
                incomplete: prefix.is_empty() && at + text.len() == self.text.len(),
            }),
        }
    }

    /// At the operator after `key`.
    fn key(&mut self, key: &str) -> Result<Test, FilterError> {
        let key_at = self.at.saturating_sub(key.len());
        let rest = self.rest();
        let (op, len) = [
            ("!=", Some(Op::Ne)),
            (">=", Some(Op::Ge)),
            ("<=", Some(Op::Le)),
            ("==", Some(Op::Eq)),
            (">", Some(Op::Gt)),
            ("<", Some(Op::Lt)),
            ("=", Some(Op::Eq)),
            (":", None),
        ]
        .into_iter()
        .find_map(|(s, op)| rest.starts_with(s).then_some((op, s.len())))
        .unwrap_or((None, 0));
        let sign = rest.get(..len).unwrap_or("");
        self.at += len;
        if op.is_some() {
            self.skip_space();
        }
        let (value_at, chunk) = (self.at, self.chunk());
        if chunk.is_empty() {
            return self.lacking(value_at, format!("{key}{sign} needs a value"));
        }
        let check = if chunk.starts_with('"') {
            let text = self.quoted()?;
            let literal = Literal { net: None, ..Literal::new(&text) };
            op.map_or(Check::Has(literal.clone()), |op| Check::Compare(op, literal))
        } else if let Some(body) = closed_regex(chunk).filter(|_| matches!(op, None | Some(Op::Eq)))
        {
            self.at += chunk.len();
            Check::Regex(self.regex(value_at, body)?)
        } else {
            self.at += chunk.len();
            self.cidr(value_at, chunk)?;
            plain_check(op, chunk)
        };
        if let Check::Compare(Op::Lt | Op::Le | Op::Gt | Op::Ge, value) = &check {
            self.must_be_number(key_at, value_at, &value.text)?;
        }
        Ok(Test::Key(key.to_owned(), check))
    }

    fn must_be_number(&self, key: usize, value: usize, text: &str) -> Result<(), FilterError> {
        let Err(e) = parse_quantity(text) else { return Ok(()) };
        let term = self.text.get(key..self.at).unwrap_or("");
        let what = format!("{} in {term}", e.what);
        let incomplete = e.incomplete && self.at == self.text.len();
        Err(FilterError { at: value, what, incomplete })
    }

    /// At a `"`; `\"` and `\\` stand for themselves.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => out.push(c),
                    Some((_, c)) => out.extend(['\\', c]),
                    None => out.push('\\'),
                },
                c => out.push(c),
            }
        }
        self.at = self.text.len();
        self.lacking(start, "a quote is not closed: add \"")
    }

    /// At a `/` that begins a term: ends at a `/` before white space or the end.
    fn whole_regex(&mut self) -> Result<Test, FilterError> {
        let (start, rest) = (self.at, self.rest());
        let mut ends = rest.match_indices('/').map(|(i, _)| i).skip(1).filter(|&i| {
            let after = rest.get(i + 1..).unwrap_or("");
            (after.is_empty() || after.starts_with(char::is_whitespace)) && !escaped(rest, i)
        });
        let Some(end) = ends.next() else {
            self.at = self.text.len();
            return self.lacking(start, "a regex is not closed: add / (or put a path in quotes)");
        };
        self.at += end + 1;
        Ok(Test::Regex(self.regex(start, rest.get(1..end).unwrap_or(""))?))
    }

    fn regex(&self, at: usize, body: &str) -> Result<Arc<Regex>, FilterError> {
        let body = body.replace("\\/", "/");
        match RegexBuilder::new(&body).case_insensitive(true).size_limit(REGEX_BYTES).build() {
            Ok(regex) => Ok(Arc::new(regex)),
            Err(e) => self.wrong(at, format!("/{body}/ is not a regex: {e}")),
        }
    }
}

fn digits(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Where the operator begins; a `!` only counts before `=`.
fn operator_at(chunk: &str) -> Option<usize> {
    let first = chunk.find([':', '=', '<', '>'])?;
    match chunk.get(..first)?.ends_with('!') && chunk.get(first..)?.starts_with('=') {
        true => Some(first - 1),
        false => Some(first),
    }
}

/// The pattern, if `chunk` is all of `/pattern/`; a path without an end slash is plain text.
fn closed_regex(chunk: &str) -> Option<&str> {
    let body = chunk.strip_prefix('/')?.strip_suffix('/')?;
    (!body.is_empty() && !escaped(chunk, chunk.len() - 1)).then_some(body)
}

/// Whether the byte at `i` stands behind an odd number of backslashes.
fn escaped(text: &str, i: usize) -> bool {
    text.as_bytes().iter().take(i).rev().take_while(|&&b| b == b'\\').count() % 2 == 1
}

fn plain_check(op: Option<Op>, text: &str) -> Check {
    let none = text == "-" || text.eq_ignore_ascii_case("none");
    match op {
        None | Some(Op::Eq) if none => Check::Missing,
        Some(Op::Ne) if none => Check::Present,
        None => Check::Has(Literal::new(text)),
        Some(op) => Check::Compare(op, Literal::new(text)),
    }
}
