//! Sums at every zoom against the plainest way to count.

use super::*;

/// A generator of numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

const MS: i64 = 1_000_000;
const BASE: i64 = 1_795_262_587_000_000_000;

/// Stretches of all lengths, some of them with nothing known between.
fn random(seed: u64, n: usize) -> Vec<Stretch> {
    let mut dice = Dice(seed);
    let mut at = BASE + dice.roll(50_000_000) as i64;
    let mut out = Vec::new();
    for _ in 0..n {
        if dice.roll(5) == 0 {
            at += dice.roll(400_000_000) as i64;
        }
        let scale = [3_000, 2_000_000, 30_000_000, 1_500_000_000][dice.roll(4) as usize];
        let ns = 1 + dice.roll(scale) as i64;
        // Every tenth ends exactly on the edge of a bin.
        let to = if dice.roll(10) == 0 { ((at + ns) / (10 * MS) + 1) * 10 * MS } else { at + ns };
        let class = Doing::of(dice.roll(DOINGS as u64) as u8);
        out.push(Stretch::plain(at, to, class, Kind::EXACT));
        at = to;
    }
    out
}

fn track(stretches: &[Stretch]) -> Track {
    let mut track = Track::default();
    stretches.iter().for_each(|s| track.push(*s));
    track
}

fn brute(stretches: &[Stretch], from: i64, to: i64) -> [i64; DOINGS] {
    let mut out = [0; DOINGS];
    for s in stretches {
        out[s.class.index()] += (s.to.min(to) - s.from.max(from)).max(0);
    }
    out
}

#[test]
fn sums_are_exact_at_every_zoom() {
    for seed in 0..20 {
        let all = random(seed, 400);
        let track = track(&all);
        for step in super::super::window::STEPS {
            for back in [0, 7, 33] {
                let from = (BASE / step - back) * step;
                let span = Span { from, cell: step, cells: 90 };
                let mut cells = vec![Cell::default(); span.cells];
                track.cells(span, &mut cells);
                for (i, cell) in cells.iter().enumerate() {
                    let want = brute(&all, span.edge(i), span.edge(i + 1));
                    let got: Vec<i64> = Doing::ALL.into_iter().map(|c| cell.ns(c)).collect();
                    assert_eq!(got, want, "seed {seed} step {step} cell {i}");
                }
            }
        }
    }
}

/// Adds a cell that comes next.
fn after(sum: &mut Cell, next: &Cell, at: i64) {
    if !next.begun {
        return;
    }
    let changed = sum.begun && sum.last != next.first;
    sum.first = if sum.begun { sum.first } else { next.first };
    if changed {
        (sum.changes, sum.change_at) = (sum.changes + 1, at);
    }
    if next.changes > 0 {
        (sum.changes, sum.change_at) = (sum.changes + next.changes, next.change_at);
    }
    (sum.begun, sum.last) = (true, next.last);
    sum.sum(next);
}

#[test]
fn changes_are_counted_alike_from_bins_and_from_stretches() {
    let all = random(3, 500);
    let track = track(&all);
    // Ten cells of 1 ms are one of 10 ms.
    let fine = Span { from: BASE, cell: MS, cells: 4_000 };
    let coarse = Span { from: BASE, cell: 10 * MS, cells: 400 };
    let (mut a, mut b) = (vec![Cell::default(); 4_000], vec![Cell::default(); 400]);
    track.cells(fine, &mut a);
    track.cells(coarse, &mut b);
    for (i, cell) in b.iter().enumerate() {
        let mut sum = Cell::default();
        for (j, part) in a[i * 10..(i + 1) * 10].iter().enumerate() {
            after(&mut sum, part, fine.edge(i * 10 + j));
        }
        assert_eq!(sum.changes, cell.changes, "cell {i}");
        assert_eq!(sum.known(), cell.known(), "cell {i}");
        if cell.known() == coarse.cell {
            assert_eq!(sum.ends(), cell.ends(), "cell {i}");
            assert_eq!(sum.change_at, cell.change_at, "cell {i}");
        }
    }
}

#[test]
fn a_scroll_changes_no_old_cell() {
    let track = track(&random(5, 300));
    let span = |from| Span { from, cell: 50 * MS, cells: 60 };
    let (mut a, mut b) = (vec![Cell::default(); 60], vec![Cell::default(); 60]);
    let from = BASE / (50 * MS) * (50 * MS);
    track.cells(span(from), &mut a);
    track.cells(span(from + 50 * MS), &mut b);
    assert_eq!(a[1..], b[..59]);
}

#[test]
fn what_is_forgotten_is_blank_and_the_rest_is_exact() {
    let all = random(9, 600);
    let mut track = track(&all);
    let before = track.bytes();
    let cut = all[400].from;
    track.forget(cut);
    assert!(track.bytes() < before);
    assert_eq!(track.span().unwrap().0, cut);
    for step in [2 * MS, 10 * MS, 200 * MS, 1_000 * MS] {
        let from = (cut / step + 1) * step;
        let span = Span { from, cell: step, cells: 50 };
        let mut cells = vec![Cell::default(); 50];
        track.cells(span, &mut cells);
        for (i, cell) in cells.iter().enumerate() {
            let want: i64 = brute(&all, span.edge(i), span.edge(i + 1)).iter().sum();
            assert_eq!(cell.known(), want, "step {step} cell {i}");
        }
        let old = Span { from: from - 60 * step, cell: step, cells: 50 };
        let mut cells = vec![Cell::default(); 50];
        track.cells(old, &mut cells);
        assert!(cells.iter().all(|c| c.known() == 0), "step {step}");
    }
    track.forget(i64::MAX);
    assert!(track.is_empty());
}

#[test]
fn what_overlaps_is_cut_and_sums_of_one_bin_lie_side_by_side() {
    let mut track = Track::default();
    track.push(Stretch::plain(BASE, BASE + 10 * MS, Doing::Running, Kind::EXACT));
    track.push(Stretch::plain(BASE + 4 * MS, BASE + 12 * MS, Doing::Runnable, Kind::EXACT));
    track.push(Stretch::plain(BASE + 5 * MS, BASE + 6 * MS, Doing::Stopped, Kind::EXACT));
    track.push(Stretch::plain(BASE + 20 * MS, BASE + 26 * MS, Doing::Running, Kind::BINNED));
    track.push(Stretch::plain(BASE + 20 * MS, BASE + 24 * MS, Doing::Runnable, Kind::BINNED));
    let mut cells = vec![Cell::default(); 3];
    track.cells(Span { from: BASE, cell: 10 * MS, cells: 3 }, &mut cells);
    let of = |i: usize| (cells[i].ns(Doing::Running) / MS, cells[i].ns(Doing::Runnable) / MS);
    assert_eq!([of(0), of(1), of(2)], [(10, 0), (0, 2), (6, 4)]);
    assert!(cells[2].kind.mixed() && !cells[1].kind.mixed());
    assert_eq!(track.stretches().len(), 4);
}

#[test]
fn sums_of_a_bin_are_spread_over_finer_cells() {
    let mut track = Track::default();
    track.push(Stretch::plain(BASE - MS, BASE, Doing::Stopped, Kind::EXACT));
    let mut at = BASE;
    for _ in 0..2 {
        for (class, ms) in [(Doing::Running, 6), (Doing::Runnable, 4)] {
            track.push(Stretch::plain(at, at + ms * MS, class, Kind::BINNED));
            at += ms * MS;
        }
    }
    let mut cells = vec![Cell::default(); 25];
    track.cells(Span { from: BASE, cell: MS, cells: 25 }, &mut cells);
    for cell in &cells[..20] {
        assert_eq!((cell.ns(Doing::Running), cell.ns(Doing::Runnable)), (600_000, 400_000));
        assert!(cell.kind.mixed());
    }
    assert!(cells[20..].iter().all(|c| c.known() == 0));
    // From the middle of one on too.
    let mut cells = vec![Cell::default(); 5];
    track.cells(Span { from: BASE + 8 * MS, cell: MS, cells: 5 }, &mut cells);
    assert!(cells.iter().all(|c| c.ns(Doing::Running) == 600_000 && c.known() == MS));
}

#[test]
fn odd_input_is_survived() {
    let mut track = Track::default();
    track.push(Stretch::plain(10, 5, Doing::Running, Kind::EXACT));
    assert!(track.is_empty());
    track.push(Stretch::plain(-5, 5, Doing::Running, Kind::EXACT));
    let mut cells = vec![Cell::default(); 2];
    track.cells(Span { from: 0, cell: 0, cells: 2 }, &mut cells);
    assert_eq!(cells[0].known(), 0);
    track.cells(Span { from: -10 * MS, cell: 10 * MS, cells: 2 }, &mut cells);
    assert_eq!((cells[0].known(), cells[1].known()), (5, 5));
    assert_eq!(track.at(0).unwrap().1.ns(), 10);
    assert!(track.at(5).is_none() && track.at(-6).is_none());
}
