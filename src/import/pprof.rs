//! pprof's `profile.proto`, compressed or not.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use prost::Message;

use super::{Each, Key, MOST_BYTES, Profile, Row, Rows, cells, is_time, name};
use crate::export::pprof::message;
use crate::table::Schema;
use crate::table::stack::{INLINED, KERNEL, UNKNOWN};

/// How a gzip file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How a profile begins that is not compressed: its first field is a message, `sample_type`.
const FIRST_FIELD: u8 = 0x0a;

/// Whether it can be one.
pub(super) fn likeness(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP)
        || bytes.first() == Some(&FIRST_FIELD) && bytes.contains(&0)
        || bytes.first() == Some(&FIRST_FIELD) && bytes.get(1).is_some_and(|n| *n < 16)
}

pub(super) fn read(bytes: &[u8], schema: &Schema, each: Each) -> Result<Profile> {
    let mut raw = Vec::new();
    let bytes = if bytes.starts_with(&GZIP) {
        let limit = MOST_BYTES as u64 + 1;
        let gzip = flate2::read::MultiGzDecoder::new(bytes);
        gzip.take(limit).read_to_end(&mut raw).context("it is damaged")?;
        ensure!(raw.len() <= MOST_BYTES, "it holds more than {} MiB", MOST_BYTES >> 20);
        raw.as_slice()
    } else {
        bytes
    };
    let profile =
        message::Profile::decode(bytes).context("it is neither folded text nor a pprof profile")?;
    let numbers = Numbers::of(&profile, schema, each)?;
    let places = Places::of(&profile);
    let mut rows = Rows::default();
    for (n, sample) in profile.sample.iter().enumerate() {
        if rows.full() {
            let left = profile.sample.len() - n;
            rows.skip(|| format!("the last {left} of its samples: there are more than are kept"));
            break;
        }
        let (count, value, live) = numbers.read(&sample.value);
        if count == 0 && value == 0 && live.is_none_or(|(n, bytes)| n == 0 && bytes == 0) {
            continue;
        }
        let mut key = labels(&profile, sample);
        (key.stack, key.modules) = places.stack(&sample.location_id);
        if key.comm.is_none() {
            key.comm = profile.mapping.first().map(|m| name(base(text(&profile, m.filename))));
            key.comm = key.comm.filter(|c| !c.is_empty());
        }
        rows.add(Row { key, count, value, live });
    }
    let positive = |n: i64| Some(n).filter(|n| *n > 0);
    Ok(Profile {
        rows: rows.rows,
        start_ns: positive(profile.time_nanos),
        span_ns: positive(profile.duration_nanos).and_then(|n| u64::try_from(n).ok()),
        skipped: rows.skipped,
    })
}

/// A string of the profile's table; empty where there is none of that number.
fn text(profile: &message::Profile, id: i64) -> &str {
    let id = usize::try_from(id).unwrap_or(usize::MAX);
    profile.string_table.get(id).map_or("", String::as_str)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Which of a sample's numbers are read as what.
struct Numbers {
    count: Option<usize>,
    /// And how many ns or bytes one of it is.
    value: Option<(usize, f64)>,
    live: (Option<usize>, Option<usize>),
    each: Each,
}

impl Numbers {
    fn of(profile: &message::Profile, schema: &Schema, each: Each) -> Result<Numbers> {
        let types: Vec<(&str, &str)> = profile
            .sample_type
            .iter()
            .map(|t| (text(profile, t.r#type), text(profile, t.unit)))
            .collect();
        let scale = |unit: &str| match (is_time(schema), unit) {
            (true, "nanoseconds" | "ns") => Some(1.0),
            (true, "microseconds" | "us") => Some(1e3),
            (true, "milliseconds" | "ms") => Some(1e6),
            (true, "seconds" | "s") => Some(1e9),
            (false, "bytes" | "byte" | "B") => Some(1.0),
            (false, "kilobytes") => Some(1e3),
            (false, "megabytes") => Some(1e6),
            _ => None,
        };
        let find = |fits: &dyn Fn(&str, &str) -> bool| types.iter().position(|(n, u)| fits(n, u));
        let first = text(profile, profile.default_sample_type);
        let held = |n: &str| n.starts_with("inuse");
        let value = find(&|n, u| n == first && !held(n) && scale(u).is_some())
            .or_else(|| find(&|n, u| !held(n) && scale(u).is_some()));
        let count = find(&|n, u| u == "count" && !held(n));
        let live = match is_time(schema) {
            true => (None, None),
            false => {
                (find(&|n, u| held(n) && u == "count"), find(&|n, u| held(n) && scale(u).is_some()))
            }
        };
        if value.is_none() && live.1.is_none() && (count.is_none() || !is_time(schema)) {
            let told: Vec<String> =
                types.iter().take(8).map(|(n, u)| format!("{}/{}", name(n), name(u))).collect();
            bail!(
                "it has no {} for {}, only {}; choose another table with --as",
                if is_time(schema) { "time" } else { "bytes" },
                schema.table(),
                if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
            );
        }
        let each = match (profile.period_type, profile.period) {
            (Some(t), period) if period > 0 && scale(text(profile, t.unit)).is_some() => {
                let ns = period as f64 * scale(text(profile, t.unit)).unwrap_or(1.0);
                Each::Tick(1e9 / ns)
            }
            _ => each,
        };
        let value = value.map(|at| (at, scale(types[at].1).unwrap_or(1.0)));
        Ok(Numbers { count, value, live, each })
    }

    /// Events, their value, and what is still there.
    fn read(&self, values: &[i64]) -> (u64, u64, Option<(u64, u64)>) {
        let at = |n: usize| values.get(n).and_then(|v| u64::try_from(*v).ok());
        let count = self.count.and_then(at);
        let (count, value) = match self.value {
            Some((n, scale)) => {
                let value =
                    at(n).map_or(0, |v| if scale == 1.0 { v } else { (v as f64 * scale) as u64 });
                (count.unwrap_or(u64::from(value > 0)), value)
            }
            // Bytes are never made of counts.
            None if self.live.1.is_some() => (count.unwrap_or(0), 0),
            None => {
                let n = count.unwrap_or(0);
                let (_, value) = self.each.of(n as f64);
                (n, value)
            }
        };
        let live = self.live.1.and_then(at).map(|b| (self.live.0.and_then(at).unwrap_or(0), b));
        (count, value, live)
    }
}

fn labels(profile: &message::Profile, sample: &message::Sample) -> Key {
    let mut key = Key::default();
    for label in sample.label.iter().take(64) {
        let told = Some(text(profile, label.str)).filter(|t| !t.is_empty()).map(name);
        let number = u64::try_from(label.num).ok().filter(|n| *n > 0);
        match text(profile, label.key) {
            "pid" | "process_id" => key.pid = number,
            "tid" | "thread_id" => key.tid = number,
            "comm" | "thread_comm" | "thread" => key.comm = told,
            "state" => key.state = told,
            "syscall" => key.syscall = told,
            _ => {}
        }
    }
    key
}

/// Frames of each location, outermost first.
struct Places {
    /// By the location's own number.
    at: std::collections::HashMap<u64, Vec<(String, String)>>,
}

impl Places {
    fn of(profile: &message::Profile) -> Places {
        let functions: std::collections::HashMap<u64, &str> =
            profile.function.iter().map(|f| (f.id, text(profile, f.name))).collect();
        let files: std::collections::HashMap<u64, String> = profile
            .mapping
            .iter()
            .map(|m| {
                let file = base(text(profile, m.filename));
                let kernel = file.starts_with("[kernel") || file.starts_with("[guest.kernel");
                let file = if kernel { KERNEL } else { file };
                (m.id, if file.is_empty() { UNKNOWN.to_owned() } else { name(file) })
            })
            .collect();
        let at = profile.location.iter().map(|l| {
            let file = files.get(&l.mapping_id).map_or(UNKNOWN, String::as_str);
            let lines = l.line.iter().rev().take(super::MOST_FRAMES).enumerate();
            let mut frames: Vec<(String, String)> = lines
                .map(|(n, line)| {
                    let name = functions.get(&line.function_id).copied().unwrap_or_default();
                    let module = if n == 0 { file.to_owned() } else { format!("{INLINED}{file}") };
                    (super::name(name), module)
                })
                .collect();
            if frames.is_empty() {
                frames.push((format!("0x{:x}", l.address), file.to_owned()));
            }
            (l.id, frames)
        });
        Places { at: at.collect() }
    }

    fn stack(&self, ids: &[u64]) -> (String, String) {
        let inner: Vec<&Vec<(String, String)>> = ids
            .iter()
            .take(super::MOST_FRAMES + 1)
            .filter_map(|id| self.at.get(id))
            .filter(|f| !matches!(f.as_slice(), [(name, _)] if name == "[no stack]"))
            .collect();
        let frames = inner.into_iter().rev().flatten().map(|(n, m)| (n.as_str(), m.as_str()));
        cells(frames.collect::<Vec<_>>().into_iter())
    }
}
