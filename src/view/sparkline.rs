//! A row of small bars, newest at the right, as plain text: one cell a value.
//!
//! Missing is a space, zero is the lowest mark, anything above zero is higher than that, so that
//! "no data", "nothing" and "a little" never look alike. Braille only where it is asked for.

use super::theme::Glyphs;

/// The mark of zero, then the levels above it.
const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BRAILLE: [char; 5] = ['⢀', '⣀', '⣤', '⣶', '⣿'];
const ASCII: [char; 9] = ['.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// Draws `values` (oldest first) into exactly `width` cells, right-aligned. `max` is the value of
/// a full bar; without it the highest value is. More values than cells are squeezed, whole buckets
/// counted from the newest, and a bucket shows its highest value, so that no peak is lost.
pub fn sparkline(values: &[Option<f64>], width: usize, max: Option<f64>, glyphs: Glyphs) -> String {
    if width == 0 {
        return String::new();
    }
    let bucket = values.len().div_ceil(width).max(1);
    let mut cells: Vec<Option<f64>> = values.rchunks(bucket).map(highest).collect();
    cells.reverse();
    let top = max.filter(|m| m.is_finite()).or_else(|| peak(&cells)).unwrap_or(0.0);
    let levels: &[char] = match glyphs {
        Glyphs::Unicode => &UNICODE,
        Glyphs::Braille => &BRAILLE,
        Glyphs::Ascii => &ASCII,
    };
    let empty = width.saturating_sub(cells.len());
    let marks = cells.iter().map(|v| v.map_or(' ', |v| mark(v, top, levels)));
    std::iter::repeat_n(' ', empty).chain(marks).collect()
}

/// The highest finite value: what a full bar means when nothing else is asked for.
pub fn peak(values: &[Option<f64>]) -> Option<f64> {
    values.iter().flatten().copied().filter(|v| v.is_finite()).reduce(f64::max)
}

fn highest(bucket: &[Option<f64>]) -> Option<f64> {
    bucket.iter().flatten().copied().filter(|v| !v.is_nan()).reduce(f64::max)
}

fn mark(value: f64, top: f64, levels: &[char]) -> char {
    let (Some(&zero), Some(steps)) = (levels.first(), levels.len().checked_sub(1)) else {
        return ' ';
    };
    if value <= 0.0 {
        return zero;
    }
    // Above zero is at least one step; infinite, or above a given maximum, is full.
    let share = if top > 0.0 { (value / top).min(1.0) } else { 1.0 };
    let step = (share * steps as f64).ceil() as usize;
    levels.get(step.clamp(1, steps)).copied().unwrap_or(zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64], width: usize) -> String {
        let values: Vec<Option<f64>> = values.iter().map(|&v| Some(v)).collect();
        sparkline(&values, width, None, Glyphs::Unicode)
    }

    #[test]
    fn newest_is_at_the_right_and_the_width_is_exact() {
        assert_eq!(line(&[0.0, 1.0, 7.0], 5), "  ▁▂█");
        assert_eq!(line(&[], 3), "   ");
        for width in 0..20 {
            for n in 0..50 {
                let values: Vec<f64> = (0..n).map(f64::from).collect();
                assert_eq!(line(&values, width).chars().count(), width, "{width} {n}");
            }
        }
    }

    #[test]
    fn missing_nothing_and_a_little_differ() {
        let values = [None, Some(0.0), Some(0.001), Some(100.0)];
        assert_eq!(sparkline(&values, 4, None, Glyphs::Unicode), " ▁▂█");
        assert_eq!(sparkline(&values, 4, None, Glyphs::Ascii), " .:@");
        assert_eq!(line(&[0.0, 0.0], 2), "▁▁");
    }

    #[test]
    fn a_given_maximum_holds_and_is_not_exceeded() {
        let values = [Some(50.0), Some(100.0), Some(500.0)];
        assert_eq!(sparkline(&values, 3, Some(100.0), Glyphs::Unicode), "▅██");
        assert_eq!(sparkline(&values, 3, Some(0.0), Glyphs::Unicode), "███");
        assert_eq!(sparkline(&values, 3, Some(f64::NAN), Glyphs::Unicode), "▂▃█");
    }

    #[test]
    fn squeezing_keeps_every_peak() {
        let mut values = vec![0.0; 100];
        values[37] = 9.0;
        for width in 1..100 {
            assert_eq!(line(&values, width).matches('█').count(), 1, "{width}");
        }
        let values = [Some(1.0), None, None, Some(8.0)];
        assert_eq!(sparkline(&values, 2, None, Glyphs::Unicode), "▂█");
    }

    #[test]
    fn what_is_no_number_is_missing_and_infinity_is_full() {
        let nan = Some(f64::NAN);
        let inf = Some(f64::INFINITY);
        let values = [nan, Some(1.0), inf, Some(f64::NEG_INFINITY), Some(-5.0), Some(2.0)];
        assert_eq!(sparkline(&values, 6, None, Glyphs::Unicode), " ▅█▁▁█");
        assert_eq!(sparkline(&[nan], 1, None, Glyphs::Unicode), " ");
        assert_eq!(sparkline(&[inf], 1, None, Glyphs::Unicode), "█");
        assert_eq!(sparkline(&[inf], 0, None, Glyphs::Unicode), "");
        assert_eq!(peak(&values), Some(2.0));
        assert_eq!(peak(&[nan, inf, None]), None);
    }
}
