//! A JSON value with its keys in the order of the text.

use std::borrow::Cow;
use std::cell::Cell as Count;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Cell;

/// Most values of one document: what they take is bounded, whatever the text.
const VALUES: usize = 400_000;

/// One value; text is borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It ends too early.
    Open,
    /// It is not JSON, or too much of it.
    Wrong,
}

impl<'a> Json<'a> {
    /// Reads a whole text.
    pub(super) fn read(text: &'a str) -> Result<Json<'a>, Broken> {
        let broken = |e: serde_json::Error| if e.is_eof() { Broken::Open } else { Broken::Wrong };
        let left = Count::new(VALUES);
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Seed(&left).deserialize(&mut reader).map_err(broken)?;
        reader.end().map_err(broken)?;
        Ok(value)
    }

    /// A single value as a cell; `None` for an array or an object.
    pub(super) fn cell(&self) -> Option<Cell<'_>> {
        Some(match self {
            Json::Null => Cell::Missing,
            Json::Bool(b) => Cell::Text(if *b { "true" } else { "false" }),
            Json::I64(n) => Cell::I64(*n),
            Json::U64(n) => Cell::U64(*n),
            Json::F64(n) => Cell::F64(*n),
            Json::Text(text) => Cell::Text(text),
            Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// The value of a key, if this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.object()?.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The entries, if this is an object.
    pub(super) fn object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements, if this is an array of nothing but objects and at least one.
    pub(super) fn objects(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(items)
                if !items.is_empty() && items.iter().all(|i| i.object().is_some()) =>
            {
                Some(items)
            }
            _ => None,
        }
    }

    /// The string, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Calls `take` for every column of an object: its keys, and `key.inner` of objects in it.
    pub(super) fn flat<'s>(&'s self, take: &mut dyn FnMut(&'s str, Option<&'s str>, &'s Json<'a>)) {
        for (key, value) in self.object().unwrap_or_default() {
            match value {
                // An empty object says nothing.
                Json::Object(inner) => {
                    inner.iter().for_each(|(k, v)| take(key, Some(k), v));
                }
                _ => take(key, None, value),
            }
        }
    }

    /// How many columns of [`Json::flat`] hold a single value.
    pub(super) fn width(&self) -> usize {
        let mut n = 0;
        self.flat(&mut |_, _, v| n += usize::from(!matches!(v, Json::Array(_) | Json::Object(_))));
        n
    }
}

impl fmt::Display for Json<'_> {
    /// The compact text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::to_string(text).map_err(|_| fmt::Error);
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(b) => write!(f, "{b}"),
            Json::I64(n) => write!(f, "{n}"),
            Json::U64(n) => write!(f, "{n}"),
            Json::F64(n) => write!(f, "{n}"),
            Json::Text(text) => f.write_str(&quoted(text)?),
            Json::Array(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if i > 0 { "," } else { "" }, quoted(key)?)?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Reads a value while there is room for it.
struct Seed<'l>(&'l Count<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json<'de>, D::Error> {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => return Err(D::Error::custom("too many values")),
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json<'de>, E> {
        Ok(Json::I64(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json<'de>, E> {
        Ok(Json::U64(n))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Json<'de>, E> {
        Ok(Json::F64(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(Seed(self.0))? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = from.next_key_seed(Key)? {
            entries.push((key, from.next_value_seed(Seed(self.0))?));
        }
        Ok(Json::Object(entries))
    }
}

/// Reads a key.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
}

/// The text with the `NaN` and `Infinity` of other writers as `null`; `None` if there are none.
pub(super) fn mended(text: &str) -> Option<String> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let (mut inside, mut changed) = (false, false);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN", "-NaN"].iter().find(|w| rest.starts_with(**w));
        match (inside, c, word) {
            (false, _, Some(word)) => {
                out.push_str("null");
                rest = &rest[word.len()..];
                changed = true;
                continue;
            }
            (true, '\\', _) => {
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..len]);
                rest = &rest[len..];
                continue;
            }
            (_, '"', _) => inside = !inside,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    (changed && serde_json::from_str::<serde::de::IgnoredAny>(&out).is_ok()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_kind() {
        let text =
            r#"{"z":1,"a":-2,"f":1.5,"n":null,"t":true,"s":"x\ny","o":{"k":[1,{"q":"\""}]}}"#;
        let value = Json::read(text).unwrap();
        assert_eq!(value.to_string(), text);
        assert_eq!(value.width(), 6);
        assert_eq!(value.get("a"), Some(&Json::I64(-2)));
        assert_eq!(Json::read("{\"a\":"), Err(Broken::Open));
        assert_eq!(Json::read("{a}"), Err(Broken::Wrong));
        let many = format!("[{}0]", "0,".repeat(VALUES));
        assert_eq!(Json::read(&many), Err(Broken::Wrong));
        assert_eq!(Json::read(&"[".repeat(100_000)), Err(Broken::Wrong));
    }
}
