//! A search in several segments at the same time: a day is many of them, and what each takes is time
//! on a CPU.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::guard::guarded;
use super::search::Search;

/// Threads at most: others want to work, too.
const MOST: usize = 4;
/// How often it is asked whether to go on.
const ASKED: Duration = Duration::from_millis(20);

/// How many are worth looking through at the same time here.
pub(super) fn at_once() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get()).min(MOST)
}

/// What `look` says of the first item, in their order, of which it says anything. Each has a thread
/// of its own, and is left as soon as one before it has an answer. `go_on` is told the share that is
/// done, 0 to 1.
///
/// # Errors
/// That of the first item that has one, when none before it has an answer.
pub(super) fn first<T: Sync>(
    items: &[T],
    look: impl Fn(&T, &mut dyn FnMut(f64) -> bool) -> Result<Search> + Sync,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Search> {
    if let [one] = items {
        return look(one, go_on);
    }
    // From this one on nothing is asked for any more.
    let end = AtomicUsize::new(items.len());
    let shares: Vec<AtomicU64> = items.iter().map(|_| AtomicU64::new(0)).collect();
    let one = |i: usize, item: &T| {
        let mut wanted = |share: f64| {
            shares[i].store(share.to_bits(), Ordering::Relaxed);
            i < end.load(Ordering::Relaxed)
        };
        guarded("a segment", || look(item, &mut wanted))
    };
    let mut answers: Vec<Option<Result<Search>>> = items.iter().map(|_| None).collect();
    let mut stopped = false;
    thread::scope(|scope| {
        let (tell, told) = channel();
        for (i, item) in items.iter().enumerate() {
            let (own, one) = (tell.clone(), &one);
            let work = move || drop(own.send((i, one(i, item))));
            let thread = thread::Builder::new().name("search".to_owned());
            if let Err(e) = thread.spawn_scoped(scope, work) {
                let _ = tell.send((i, Err(e.into())));
            }
        }
        drop(tell);
        loop {
            match told.recv_timeout(ASKED) {
                Ok((i, answer)) => {
                    if !matches!(answer, Ok(Search::Nowhere)) {
                        end.fetch_min(i, Ordering::Relaxed);
                    }
                    answers[i] = Some(answer);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let done = shares.iter().map(|s| f64::from_bits(s.load(Ordering::Relaxed)));
            if !stopped && !go_on(done.sum::<f64>() / items.len() as f64) {
                stopped = true;
                end.store(0, Ordering::Relaxed);
            }
        }
    });
    if stopped {
        return Ok(Search::Stopped);
    }
    let silent = |a: &Result<Search>| matches!(a, Ok(Search::Nowhere | Search::Stopped));
    answers.into_iter().flatten().find(|a| !silent(a)).unwrap_or(Ok(Search::Nowhere))
}

/// What `look` says of every item, in their order; each has a thread of its own.
pub(super) fn all<T: Sync, R: Send>(
    items: &[T],
    look: impl Fn(&T) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    let look = |item: &T| guarded("a segment", || look(item));
    if let [one] = items {
        return vec![look(one)];
    }
    thread::scope(|scope| {
        let look = &look;
        let begin = |item| {
            let thread = thread::Builder::new().name("search".to_owned());
            thread.spawn_scoped(scope, move || look(item))
        };
        let begun: Vec<_> = items.iter().map(begin).collect();
        let each = begun.into_iter().zip(items).map(|(thread, item)| match thread {
            // What panics inside is caught there: a thread always ends as it should.
            Ok(thread) => thread.join().unwrap_or_else(|_| look(item)),
            Err(_) => look(item),
        });
        each.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Position;

    fn found(segment: u32) -> Search {
        Search::Found(Position { segment, index: 0 })
    }

    #[test]
    fn the_first_in_order_answers_and_those_after_it_are_left() {
        // The second answers at once; the first later, and only then; the third never by itself.
        let look = |item: &u32, go_on: &mut dyn FnMut(f64) -> bool| {
            match item {
                0 => thread::sleep(Duration::from_millis(30)),
                1 => {}
                _ => {
                    while go_on(0.5) {
                        thread::yield_now();
                    }
                    return Ok(Search::Stopped);
                }
            }
            Ok(found(*item))
        };
        assert_eq!(first(&[0, 1, 2], look, &mut |_| true).unwrap(), found(0));
        assert_eq!(first(&[1, 2, 0], look, &mut |_| true).unwrap(), found(1));
        assert_eq!(first(&[2], look, &mut |_| false).unwrap(), Search::Stopped);
        assert_eq!(first(&[2, 2], look, &mut |_| false).unwrap(), Search::Stopped);
    }

    #[test]
    fn nothing_is_nowhere_and_a_mistake_is_told_where_nothing_came_before() {
        let look = |item: &i32, _: &mut dyn FnMut(f64) -> bool| match item {
            0 => Ok(Search::Nowhere),
            1 => Ok(found(1)),
            2 => anyhow::bail!("damaged"),
            _ => panic!("as sled does"),
        };
        assert_eq!(first(&[0, 0, 0], look, &mut |_| true).unwrap(), Search::Nowhere);
        assert_eq!(first(&[0, 1, 2], look, &mut |_| true).unwrap(), found(1));
        assert_eq!(first(&[0, 2, 1], look, &mut |_| true).unwrap_err().to_string(), "damaged");
        assert!(first(&[3, 0], look, &mut |_| true).is_err());
    }
}
