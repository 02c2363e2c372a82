//! A filter tied to the columns of one table: no look-up by name and no allocation per row.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use regex_lite::Regex;

use super::term::{Check, Literal, Op, Term, Test, address};
use crate::table::column::{Kind, Type, Unit};
use crate::table::frame::Frame;
use crate::table::quantity::Dimension;
use crate::table::schema::Schema;
use crate::table::sort::Order;
use crate::table::value::Value;

/// A [`super::Filter`] tied to one table's columns.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    fields: usize,
    terms: Vec<(bool, Rule)>,
    unknown: Vec<String>,
}

/// What a row must meet.
#[derive(Clone, Debug)]
enum Rule {
    /// One of these cells does.
    Any(Vec<(usize, Cell)>),
    /// All of these cells that are not missing do, and there is one.
    All(Vec<(usize, Cell)>),
    /// A pair of cells is this end of a connection.
    End(Vec<(Option<usize>, usize)>, Option<IpAddr>, u16),
}

/// What a cell must meet; a missing cell meets only `Missing`.
#[derive(Clone, Debug)]
enum Cell {
    Contains(Needle),
    Equals(Needle),
    Differs(Needle),
    Regex(Arc<Regex>),
    /// In this network; text that is no address must contain the needle, if there is one.
    In(IpNet, Option<Needle>),
    NotIn(IpNet),
    Number(Op, f64, Option<u64>),
    Missing,
    Present,
}

impl Bound {
    pub(super) fn new(schema: &Schema, terms: &[Term]) -> Bound {
        let mut bound = Bound { fields: schema.fields().len(), ..Bound::default() };
        for term in terms {
            match rule(schema, term) {
                Ok(rule) => bound.terms.push((term.not, rule)),
                Err(why) => bound.unknown.push(format!("{} ({why})", term.text)),
            }
        }
        // A number is compared faster than a text is searched, and mostly decides.
        bound.terms.sort_by_key(|(_, rule)| rule.texts());
        bound
    }

    /// Terms that this table cannot answer, each with the reason in parentheses, such as
    /// `rtt>5MB (srtt_us is a time)`. They do not take part; the screen shows them, a command
    /// refuses them.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The first of its terms that compares a number: the field, and what it is compared with.
    pub fn compared(&self) -> Option<(usize, f64)> {
        self.terms.iter().find_map(|(_, rule)| match rule {
            Rule::Any(cells) | Rule::All(cells) => {
                cells.iter().find_map(|(field, cell)| match cell {
                    Cell::Number(_, want, _) => Some((*field, *want)),
                    _ => None,
                })
            }
            Rule::End(..) => None,
        })
    }

    /// By which field, and which way first, a row meets it most: that of the first term that
    /// compares a number.
    pub fn most(&self) -> Option<(usize, Order)> {
        self.terms.iter().find_map(|(not, rule)| match rule {
            Rule::Any(cells) | Rule::All(cells) => {
                cells.iter().find_map(|(field, cell)| match cell {
                    Cell::Number(op, ..) => {
                        let less = matches!(op, Op::Lt | Op::Le) != *not;
                        Some((*field, if less { Order::Ascending } else { Order::Descending }))
                    }
                    _ => None,
                })
            }
            Rule::End(..) => None,
        })
    }

    /// The fields that its terms look at.
    pub fn looks_at(&self) -> impl Iterator<Item = usize> + '_ {
        self.terms.iter().flat_map(|(_, rule)| rule.fields())
    }

    /// The same without the terms that look at one of these fields: what it matches is at least
    /// what all terms match.
    #[must_use]
    pub fn without(&self, field: impl Fn(usize) -> bool) -> Bound {
        let mut out = self.clone();
        out.terms.retain(|(_, rule)| !rule.fields().iter().any(|f| field(*f)));
        out
    }

    /// Whether the row meets every term.
    pub fn matches(&self, frame: &Frame, row: usize) -> bool {
        if row >= frame.len() || frame.fields().len() != self.fields {
            return false;
        }
        self.terms.iter().all(|(not, rule)| rule.matches(frame, row) != *not)
    }
}

fn rule(schema: &Schema, term: &Term) -> Result<Rule, String> {
    match &term.test {
        Test::Word(word) => Ok(word_rule(schema, word)),
        Test::Regex(regex) => Ok(in_texts(schema, || Cell::Regex(regex.clone()))),
        Test::Net(net) => Ok(in_texts(schema, || Cell::In(*net, None))),
        Test::End(ip, port) => {
            let pairs: Vec<_> = [("saddr", "sport"), ("daddr", "dport")]
                .into_iter()
                .filter_map(|(addr, port)| Some((schema.find(addr), schema.find(port)?)))
                .filter(|(addr, _)| addr.is_some() || ip.is_none())
                .collect();
            match pairs.is_empty() {
                true => Ok(word_rule(schema, &term.text)),
                false => Ok(Rule::End(pairs, *ip, *port)),
            }
        }
        Test::Key(key, check) => {
            let columns = columns(schema, key);
            if columns.is_empty() {
                // `2001:db8` is the beginning of an address rather than a column.
                let hex = |b: u8| b.is_ascii_hexdigit() || b == b':';
                if key.bytes().any(|b| b.is_ascii_digit()) && term.text.bytes().all(hex) {
                    return Ok(word_rule(schema, &term.text));
                }
                return Err(format!("no column {key}"));
            }
            key_rule(schema, columns, check)
        }
    }
}

fn texts(schema: &Schema) -> impl Iterator<Item = usize> + '_ {
    schema.fields().iter().enumerate().filter(|(_, f)| f.ty == Type::Text).map(|(i, _)| i)
}

fn in_texts(schema: &Schema, cell: impl Fn() -> Cell) -> Rule {
    Rule::Any(texts(schema).map(|i| (i, cell())).collect())
}

fn word_rule(schema: &Schema, word: &str) -> Rule {
    let mut cells: Vec<(usize, Cell)> =
        texts(schema).map(|i| (i, Cell::Contains(Needle::new(word)))).collect();
    let hex = word.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let decimal = word.parse::<u64>().ok().filter(|n| n.to_string() == word);
    if let Some(n) = hex.or(decimal) {
        let ids = schema.stored().iter().enumerate().filter(|(_, f)| {
            f.ty != Type::Text
                && (matches!(f.unit, Unit::Id | Unit::Address) || f.kind == Kind::Key)
        });
        cells.extend(ids.map(|(i, _)| (i, Cell::Number(Op::Eq, n as f64, Some(n)))));
    }
    Rule::Any(cells)
}

/// The columns that a key means: its own, both ends of a connection or of a wake, or a header in
/// any case.
fn columns(schema: &Schema, key: &str) -> Vec<usize> {
    if let Some(i) = schema.find(key) {
        return vec![i];
    }
    let lower = key.to_ascii_lowercase();
    let pseudo: &[&str] = match lower.as_str() {
        "host" | "ip" => &["saddr", "daddr"],
        "port" => &["sport", "dport"],
        "src" => &["saddr"],
        "dst" => &["daddr"],
        "party" => &["waker_pid", "pid"],
        _ => &[],
    };
    let both: Vec<usize> = pseudo.iter().filter_map(|id| schema.find(id)).collect();
    if !both.is_empty() {
        return both;
    }
    let is = |s: &str| s.eq_ignore_ascii_case(key);
    let fields = || schema.fields().iter();
    fields()
        .position(|f| is(&f.id))
        .or_else(|| fields().position(|f| f.alias.iter().any(|a| is(a))))
        .or_else(|| fields().position(|f| is(&f.title)))
        .into_iter()
        .collect()
}

fn key_rule(schema: &Schema, columns: Vec<usize>, check: &Check) -> Result<Rule, String> {
    let mut cells = Vec::with_capacity(columns.len());
    for i in columns {
        cells.push(cell(schema, i, check)?);
    }
    Ok(match check {
        Check::Compare(Op::Ne, _) => Rule::All(cells),
        Check::Missing => Rule::All(cells),
        _ => Rule::Any(cells),
    })
}

fn cell(schema: &Schema, i: usize, check: &Check) -> Result<(usize, Cell), String> {
    let text = schema.fields()[i].ty == Type::Text;
    let id = &schema.fields()[i].id;
    let needle = |l: &Literal| Needle::new(&l.text);
    Ok(match check {
        Check::Missing => (i, Cell::Missing),
        Check::Present => (i, Cell::Present),
        Check::Regex(regex) if text => (i, Cell::Regex(regex.clone())),
        Check::Regex(_) => return Err(format!("{id} is a number")),
        Check::Has(value) if text => match value.net {
            Some(net) if value.text.contains('/') => (i, Cell::In(net, None)),
            Some(net) => (i, Cell::In(net, Some(needle(value)))),
            None => (i, Cell::Contains(needle(value))),
        },
        Check::Compare(op @ (Op::Eq | Op::Ne), value) if text => match (op, value.net) {
            (Op::Eq, Some(net)) => (i, Cell::In(net, None)),
            (_, Some(net)) => (i, Cell::NotIn(net)),
            (Op::Eq, None) => (i, Cell::Equals(needle(value))),
            (_, None) => (i, Cell::Differs(needle(value))),
        },
        Check::Compare(..) if text => return Err(format!("{id} is text")),
        Check::Has(value) => number(schema, i, Op::Eq, value)?,
        Check::Compare(op, value) => number(schema, i, *op, value)?,
    })
}

/// A comparison in the unit of the column; `/s` on a counter means its rate, and so does `%` on one
/// of time.
fn number(schema: &Schema, i: usize, op: Op, value: &Literal) -> Result<(usize, Cell), String> {
    let quantity = value.number.as_ref().map_err(Clone::clone)?;
    let share = quantity.dimension == Dimension::Percent && schema.fields()[i].unit == Unit::Ns;
    let rate = schema.rate_of(i).filter(|_| quantity.per_second || share);
    let field = rate.unwrap_or(i);
    let want = quantity.to_field(&schema.fields()[field])?;
    Ok((field, Cell::Number(op, want, value.digits)))
}

impl Rule {
    /// How many of its cells are looked at as text.
    fn texts(&self) -> usize {
        match self {
            Rule::Any(cells) | Rule::All(cells) => {
                cells.iter().filter(|(_, cell)| !matches!(cell, Cell::Number(..))).count()
            }
            Rule::End(..) => 0,
        }
    }

    fn fields(&self) -> Vec<usize> {
        match self {
            Rule::Any(cells) | Rule::All(cells) => cells.iter().map(|c| c.0).collect(),
            Rule::End(pairs, ..) => {
                pairs.iter().flat_map(|(addr, port)| addr.iter().copied().chain([*port])).collect()
            }
        }
    }

    fn matches(&self, frame: &Frame, row: usize) -> bool {
        match self {
            Rule::Any(cells) => cells.iter().any(|(i, cell)| cell.matches(frame.value(row, *i))),
            Rule::All(cells) => {
                let mut met = false;
                for (i, cell) in cells {
                    let value = frame.value(row, *i);
                    if cell.matches(value) {
                        met = true;
                    } else if !value.is_none() {
                        return false;
                    }
                }
                met
            }
            Rule::End(pairs, ip, port) => pairs.iter().any(|(addr, at)| {
                frame.value(row, *at).as_u64() == Some(u64::from(*port))
                    && (ip.is_none()
                        || addr.and_then(|a| address(frame.value(row, a).as_str()?)) == *ip)
            }),
        }
    }
}

impl Cell {
    fn matches(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Cell::Missing, Value::None) => true,
            (Cell::Missing, Value::Text(s)) => s == "-" || s.eq_ignore_ascii_case("none"),
            (Cell::Missing, Value::F64(f)) => f.is_nan(),
            (_, Value::None) => false,
            (Cell::Present, v) => !Cell::Missing.matches(v),
            (Cell::Contains(n), Value::Text(s)) => n.within(s),
            (Cell::Equals(n), Value::Text(s)) => n.is(s),
            (Cell::Differs(n), Value::Text(s)) => !n.is(s),
            (Cell::Regex(regex), Value::Text(s)) => regex.is_match(s),
            (Cell::In(net, needle), Value::Text(s)) => match address(s) {
                Some(ip) => net.contains(&ip),
                None => needle.as_ref().is_some_and(|n| n.within(s)),
            },
            (Cell::NotIn(net), Value::Text(s)) => address(s).is_none_or(|ip| !net.contains(&ip)),
            (Cell::Number(op, want, digits), v) => {
                compare(v, *want, *digits).is_some_and(|o| op.holds(o))
            }
            _ => false,
        }
    }
}

fn compare(value: Value<'_>, want: f64, digits: Option<u64>) -> Option<Ordering> {
    match (value, digits) {
        (Value::U64(v), Some(d)) => Some(v.cmp(&d)),
        (Value::I64(v), Some(d)) => Some(i128::from(v).cmp(&i128::from(d))),
        (v, _) => v.as_f64()?.partial_cmp(&want),
    }
}

impl Op {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Op::Eq => order.is_eq(),
            Op::Ne => order.is_ne(),
            Op::Lt => order.is_lt(),
            Op::Le => order.is_le(),
            Op::Gt => order.is_gt(),
            Op::Ge => order.is_ge(),
        }
    }
}

/// Text to look for, in small letters.
#[derive(Clone, Debug)]
struct Needle {
    text: Box<str>,
    ascii: bool,
}

impl Needle {
    fn new(text: &str) -> Needle {
        let text: Box<str> = text.to_lowercase().into();
        Needle { ascii: text.is_ascii(), text }
    }

    fn is(&self, text: &str) -> bool {
        if self.ascii {
            return self.text.eq_ignore_ascii_case(text);
        }
        self.text.chars().eq(text.chars().flat_map(char::to_lowercase))
    }

    fn within(&self, text: &str) -> bool {
        let (needle, hay) = (self.text.as_bytes(), text.as_bytes());
        let Some(&first) = needle.first() else { return true };
        if !self.ascii {
            return text.char_indices().any(|(i, _)| self.begins(text.get(i..).unwrap_or("")));
        }
        hay.windows(needle.len())
            .any(|w| w[0].to_ascii_lowercase() == first && w.eq_ignore_ascii_case(needle))
    }

    fn begins(&self, text: &str) -> bool {
        let mut chars = text.chars().flat_map(char::to_lowercase);
        self.text.chars().all(|c| chars.next() == Some(c))
    }
}
