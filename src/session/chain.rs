//! Recordings of one place as one history: what a screen records itself, and before its beginning
//! what others recorded, a recorder above all that still writes. No instant is shown twice: each
//! belongs to one recording, and where there is none is a gap.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::list::list;
use super::reader::{Position, Reader};
use super::search::{Candidate, Search, Wanted};
use crate::table::{Sample, Schema, Table};

/// Recordings opened at most, the newest.
const MOST: usize = 64;

/// A place in the history: one sample of one recording. Ordered by when samples were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    link: usize,
    at: Position,
}

/// How a search through the history ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Here.
    Found(Point),
    /// There is no such sample.
    Nowhere,
    /// Told to stop.
    Stopped,
}

/// What of one recording lies in a range of time.
pub struct Part<'a> {
    /// The recording.
    pub reader: &'a Reader,
    /// First Unix time in ns.
    pub from: i64,
    /// Last Unix time in ns.
    pub to: i64,
    link: usize,
}

impl Part<'_> {
    /// Whether a point is of the same stretch of the same recording.
    pub fn goes_on_from(&self, point: Point) -> bool {
        self.link == point.link
    }
}

/// One recording and the stretch of time it is looked at for.
struct Link {
    reader: Reader,
    /// First Unix time in ns.
    from: i64,
    /// The Unix time in ns before which it ends; the greatest where it is still written.
    until: i64,
    /// Whether it has samples before and after, which others have, too.
    cut: (bool, bool),
}

/// Several recordings, one after the other. Cheap to clone; clones share what is open.
#[derive(Clone)]
pub struct Chain {
    earlier: Arc<Vec<Link>>,
    newest: Reader,
}

impl From<Reader> for Chain {
    fn from(newest: Reader) -> Chain {
        Chain { earlier: Arc::default(), newest }
    }
}

impl Chain {
    /// What was recorded in `place` before `newest` began, and `newest`; also what could not be
    /// opened, one sentence each.
    pub fn of_place(newest: Reader, place: &Path) -> (Chain, Vec<String>) {
        Chain::of_places(newest, &[place])
    }

    /// The same of several places.
    pub fn of_places(newest: Reader, places: &[impl AsRef<Path>]) -> (Chain, Vec<String>) {
        let (mut opened, mut wrong) = (Vec::new(), Vec::new());
        let mut sessions = Vec::new();
        for place in places {
            match list(place.as_ref()) {
                Ok(some) => sessions.extend(some),
                Err(e) => wrong.push(format!("{e:#}")),
            }
        }
        sessions.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
        let own = newest.path().and_then(|p| p.canonicalize().ok());
        let mut broken = 0;
        for session in sessions.into_iter().rev() {
            let same = own.is_some() && session.path.canonicalize().ok() == own;
            if same || opened.len() >= MOST {
                continue;
            }
            match Reader::open(&session.path) {
                Ok(reader) => opened.push(reader),
                Err(e) if session.recording => wrong.push(format!("{e:#}")),
                Err(_) => broken += 1,
            }
        }
        if broken > 0 {
            let noun = if broken == 1 { "recording" } else { "recordings" };
            wrong.push(format!(
                "{broken} older {noun} cannot be read; lmptop sessions --check says why"
            ));
        }
        (Chain::joined(newest, opened), wrong)
    }

    /// `newest`, and before it what the others have: those still written first, then the longest.
    pub fn joined(newest: Reader, others: Vec<Reader>) -> Chain {
        let span = |reader: Reader| {
            let (from, to) = reader.span()?;
            let until = if reader.grows() { i64::MAX } else { to.saturating_add(1) };
            Some(Link { reader, from, until, cut: (false, false) })
        };
        let mut all: Vec<Link> = others.into_iter().filter_map(span).collect();
        all.sort_by_key(|l| (l.until != i64::MAX, l.from.saturating_sub(l.until)));
        let mut links: Vec<Link> = Vec::new();
        for new in all {
            // What is left of it beside those that come first.
            let mut left = vec![(new.from, new.until)];
            for taken in &links {
                let beside = |(a, b): (i64, i64)| {
                    [(a, b.min(taken.from)), (a.max(taken.until), b)]
                        .into_iter()
                        .filter(|(a, b)| a < b)
                };
                left = left.into_iter().flat_map(beside).collect();
            }
            let piece = |(from, until)| {
                let cut = (from != new.from, until != new.until);
                Link { reader: new.reader.clone(), from, until, cut }
            };
            links.extend(left.into_iter().map(piece));
        }
        links.sort_by_key(|l| l.from);
        Chain { earlier: Arc::new(links), newest }
    }

    /// The recording at the end.
    pub fn newest(&self) -> &Reader {
        &self.newest
    }

    /// The recording of a point before the one at the end began.
    pub fn earlier(&self, point: Point) -> Option<&Reader> {
        self.earlier.get(point.link).map(|l| &l.reader)
    }

    /// All recordings, oldest first.
    pub fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.earlier.iter().map(|l| &l.reader).chain([&self.newest])
    }

    /// The recording that an instant is looked up in, Unix ns.
    pub fn reader_at(&self, wall_ns: i64) -> &Reader {
        let begun = self.begun();
        let holds = |l: &&Link| l.from <= wall_ns && wall_ns < l.until.min(begun);
        self.earlier.iter().find(holds).map_or(&self.newest, |l| &l.reader)
    }

    /// When the recording at the end began, as far as it is still kept.
    fn begun(&self) -> i64 {
        self.newest.span().map_or(i64::MAX, |s| s.0)
    }

    /// A recording, from which Unix time in ns on and before which it counts: the least and the
    /// greatest where it counts from its beginning, or to its end.
    fn link(&self, n: usize) -> (&Reader, i64, i64) {
        let Some(l) = self.earlier.get(n) else { return (&self.newest, i64::MIN, i64::MAX) };
        let begun = self.begun();
        let until = if l.cut.1 || begun < l.until { l.until.min(begun) } else { i64::MAX };
        (&l.reader, if l.cut.0 { l.from } else { i64::MIN }, until)
    }

    fn links(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.earlier.len()
    }

    /// The first and the last position of a recording's stretch. One of others that can no longer
    /// be read is as one without a sample.
    fn ends(&self, n: usize) -> Result<Option<(Position, Position)>> {
        let (reader, from, until) = self.link(n);
        let ends = || -> Result<Option<(Position, Position)>> {
            let first = match from {
                i64::MIN => reader.first()?,
                from => match reader.find(from.saturating_sub(1))? {
                    None => reader.first()?,
                    Some(p) => Some(reader.shift(p, 1)?).filter(|next| *next != p),
                },
            };
            let last = match until {
                i64::MAX => reader.last()?,
                until => reader.find(until.saturating_sub(1))?,
            };
            Ok(first.zip(last).filter(|(first, last)| first <= last))
        };
        if n < self.earlier.len() { Ok(ends().unwrap_or(None)) } else { ends() }
    }

    /// The first point.
    ///
    /// # Errors
    /// When the recording at the end cannot be read.
    pub fn first(&self) -> Result<Option<Point>> {
        for link in self.links() {
            if let Some((at, _)) = self.ends(link)? {
                return Ok(Some(Point { link, at }));
            }
        }
        Ok(None)
    }

    /// The newest point.
    ///
    /// # Errors
    /// When the recording at the end cannot be read.
    pub fn last(&self) -> Result<Option<Point>> {
        for link in self.links().rev() {
            if let Some((_, at)) = self.ends(link)? {
                return Ok(Some(Point { link, at }));
            }
        }
        Ok(None)
    }

    /// The point of the newest sample at or before a Unix time in ns.
    ///
    /// # Errors
    /// When a recording that may hold it cannot be read.
    pub fn find(&self, wall_ns: i64) -> Result<Option<Point>> {
        for link in self.links().rev() {
            let (reader, from, until) = self.link(link);
            if wall_ns < from {
                continue;
            }
            let found = reader.find(wall_ns.min(until.saturating_sub(1)));
            // One of others that can no longer be read is as one without a sample.
            let found = if link < self.earlier.len() { found.unwrap_or(None) } else { found? };
            let Some(at) = found else { continue };
            if from == i64::MIN || self.ends(link)?.is_some_and(|(first, _)| at >= first) {
                return Ok(Some(Point { link, at }));
            }
        }
        Ok(None)
    }

    /// `n` samples on (negative: back), over the borders of recordings, stopping at the ends.
    ///
    /// # Errors
    /// When a recording on the way cannot be read.
    pub fn shift(&self, from: Point, n: i64) -> Result<Point> {
        let (mut point, mut left) = (from, n);
        loop {
            let (reader, first, until) = self.link(point.link);
            // Mostly it stays in one recording, of which then no more is opened.
            if let Ok(at) = reader.shift(point.at, left)
                && reader.steps(point.at, at) == left
                && (left > 0 || first == i64::MIN)
                && (left < 0 || until == i64::MAX)
            {
                return Ok(Point { at, ..point });
            }
            let ends = self.ends(point.link)?;
            // Steps that are left in this one, in the direction.
            let mut room = 0;
            if let Some((first, last)) = ends {
                point.at = point.at.clamp(first, last);
                let edge = if left < 0 { first } else { last };
                room = reader.steps(point.at, edge);
                if left.abs() <= room.abs() {
                    return Ok(Point { at: reader.shift(point.at, left)?, ..point });
                }
                point.at = edge;
            }
            let Some(next) = self.beside(point.link, left < 0)? else {
                return Ok(if ends.is_some() { point } else { from });
            };
            left -= room + left.signum();
            point = next;
        }
    }

    /// Where the next recording with samples begins, or the one before it ends.
    fn beside(&self, link: usize, back: bool) -> Result<Option<Point>> {
        let mut n = link;
        loop {
            let next = if back { n.checked_sub(1) } else { n.checked_add(1) };
            let Some(next) = next.filter(|n| self.links().contains(n)) else { return Ok(None) };
            n = next;
            if let Some((first, last)) = self.ends(n)? {
                return Ok(Some(Point { link: n, at: if back { last } else { first } }));
            }
        }
    }

    /// Whether two points lie in one recording: figures of another are no beginning for rates.
    pub fn together(&self, a: Point, b: Point) -> bool {
        a.link == b.link
    }

    /// The sample at a point.
    ///
    /// # Errors
    /// When nothing of it can be read.
    pub fn sample(&self, point: Point) -> Result<Sample> {
        self.link(point.link).0.sample(point.at)
    }

    /// As [`Reader::misses`].
    pub fn misses(&self, wall_ns: i64, shown: Point) -> bool {
        self.link(shown.link).0.misses(wall_ns, shown.at)
    }

    /// Least and greatest Unix time in ns of all samples.
    pub fn span(&self) -> Option<(i64, i64)> {
        let clipped = |n: usize| {
            let (reader, from, until) = self.link(n);
            let (a, b) = reader.span()?;
            let (a, b) = (a.max(from), b.min(until.saturating_sub(1)));
            (a <= b).then_some((a, b))
        };
        self.links().filter_map(clipped).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The tables of all recordings.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        let mut all: Vec<Arc<Schema>> = Vec::new();
        for schema in self.readers().flat_map(Reader::schemas) {
            if !all.contains(&schema) {
                all.push(schema);
            }
        }
        all
    }

    /// What of each recording lies between two Unix times in ns, both included, oldest first.
    pub fn parts(&self, from: i64, to: i64) -> impl Iterator<Item = Part<'_>> {
        self.links().filter_map(move |link| {
            let (reader, first, until) = self.link(link);
            let (from, to) = (from.max(first), to.min(until.saturating_sub(1)));
            (from <= to).then_some(Part { reader, from, to, link })
        })
    }

    /// As [`Reader::range`].
    ///
    /// # Errors
    /// When a recording cannot be read, or from `each`.
    pub fn range(
        &self,
        table: &str,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(i64, u64, Table) -> Result<bool>,
    ) -> Result<()> {
        let mut on = true;
        for part in self.parts(from, to) {
            if on {
                part.reader.range(table, part.from, part.to, &mut |wall, mono, rows| {
                    on = each(wall, mono, rows)?;
                    Ok(on)
                })?;
            }
        }
        Ok(())
    }

    /// As [`Reader::candidates`]; what is before a sample is of its own recording.
    ///
    /// # Errors
    /// From `each`.
    pub fn candidates(
        &self,
        wanted: &Wanted,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(Candidate) -> Result<bool>,
    ) -> Result<()> {
        let mut on = true;
        for part in self.parts(from, to) {
            if on {
                part.reader.candidates(wanted, part.from, part.to, &mut |candidate| {
                    on = each(candidate)?;
                    Ok(on)
                })?;
            }
        }
        Ok(())
    }

    /// Wall and monotonic time in ns of every sample between two Unix times, both included.
    ///
    /// # Errors
    /// When a recording cannot be read.
    pub fn times(&self, from: i64, to: i64) -> Result<Vec<(i64, u64)>> {
        let mut out = Vec::new();
        for part in self.parts(from, to) {
            out.extend(part.reader.times(part.from, part.to)?);
        }
        Ok(out)
    }

    /// As [`Reader::search`], over the borders of recordings.
    ///
    /// # Errors
    /// When what may match cannot be read.
    pub fn search(
        &self,
        wanted: &Wanted,
        from: Point,
        forward: bool,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Sought> {
        let links: Vec<usize> = if forward {
            (from.link..=self.earlier.len()).collect()
        } else {
            (0..=from.link).rev().collect()
        };
        let all = links.len() as f64;
        for (done, &link) in links.iter().enumerate() {
            let Some((first, last)) = self.ends(link)? else { continue };
            let (reader, ..) = self.link(link);
            let start = if link == from.link {
                Some(from.at)
            } else {
                let (edge, step) = if forward { (first, -1) } else { (last, 1) };
                Some(reader.shift(edge, step)?).filter(|p| *p != edge)
            };
            let mut ask = |share: f64| go_on((done as f64 + share) / all);
            match reader.search(wanted, start, forward, &mut ask)? {
                Search::Found(at) if (first..=last).contains(&at) => {
                    return Ok(Sought::Found(Point { link, at }));
                }
                Search::Stopped => return Ok(Sought::Stopped),
                _ => {}
            }
        }
        Ok(Sought::Nowhere)
    }
}

impl Reader {
    /// Samples from one position to another, negative when the other lies before.
    fn steps(&self, from: Position, to: Position) -> i64 {
        if from > to {
            return -self.steps(to, from);
        }
        let between = |s: &u32| from.segment <= *s && *s < to.segment;
        let all = self.shared.segments();
        let whole =
            all.iter().filter(|s| between(&s.number)).map(|s| self.shared.len(s)).sum::<usize>();
        (whole + to.index) as i64 - from.index as i64
    }
}
