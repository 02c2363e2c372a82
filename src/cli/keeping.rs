//! How much of the past a recorder keeps, as it is said on the command line.

use std::time::Duration;

use clap::Args;

use super::length;
use crate::session::{Limits, Retention};

/// Least age that can be asked for: a recording goes piece by piece, and a piece is a quarter of it.
const LEAST_AGE: Duration = Duration::from_secs(600);
/// Pieces that the kept time is made of, at least: by so much of it, at most, it is exceeded.
const PIECES: u32 = 4;

/// How much of the past is kept.
#[derive(Args, Clone, Debug, Default)]
pub struct Keeping {
    /// Remove what is older than this, while recording, too: 12h, 7d; at least 10m; 7d by default
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub retain: Option<Duration>,
    /// Remove the oldest when all recordings there take more than this: 500M, 2G (powers of 1024);
    /// at least 64M; 2G by default
    #[arg(long, value_name = "SIZE", value_parser = room)]
    pub max_size: Option<u64>,
    /// Keep every sample for as long as it is kept, instead of one of ten seconds after a day and
    /// one of a minute after three
    #[arg(long)]
    pub no_thin: bool,
}

impl Keeping {
    /// What a recording is limited to.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        let Retention { age, bytes } = limits.keep;
        limits.keep =
            Retention { age: self.retain.unwrap_or(age), bytes: self.max_size.unwrap_or(bytes) };
        let piece = u64::try_from((limits.keep.age / PIECES).as_nanos()).unwrap_or(u64::MAX);
        limits.segment_ns = limits.segment_ns.min(piece);
        if self.no_thin {
            limits.thin.clear();
        }
        limits
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let age = length(text)?;
    if age < LEAST_AGE {
        return Err("at least 10m: what is old goes in pieces of some minutes".to_owned());
    }
    Ok(age)
}

fn room(text: &str) -> Result<u64, String> {
    let piece = Limits::default().segment_bytes;
    let bytes = size(text)?;
    if bytes < 2 * piece {
        let (least, piece) = ((2 * piece) >> 20, piece >> 20);
        return Err(format!(
            "at least {least}M: what is old goes in pieces of up to {piece} MB, and the one being written stays"
        ));
    }
    Ok(bytes)
}

/// A number of bytes: `500M`, `2G`, `1.5T`, powers of 1024 as `df -h` prints them.
///
/// # Errors
/// What is wrong with it, in words.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bits = match unit {
        "K" | "k" | "KB" | "KiB" => 10,
        "M" | "m" | "MB" | "MiB" => 20,
        "G" | "g" | "GB" | "GiB" => 30,
        "T" | "t" | "TB" | "TiB" => 40,
        _ => return Err("a size is a number and K, M, G or T, like 500M".to_owned()),
    };
    let number: f64 =
        number.parse().map_err(|_| "a size starts with a number, like 1.5G".to_owned())?;
    let bytes = number * (1u64 << bits) as f64;
    if !(1.0..=(1u64 << 50) as f64).contains(&bytes) {
        return Err("a size is more than nothing and at most 1024T".to_owned());
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn sizes_and_ages() {
        assert_eq!(size("500M"), Ok(500 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        for bad in ["", "G", "2", "2X", "-1G", "1.2.3G", "0G", "99999999T", "2 G", "١G", "infG"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(room("64M"), Ok(64 << 20));
        assert!(room("63M").unwrap_err().contains("64M"));
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(age("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(age("30m"), Ok(Duration::from_secs(1800)));
        assert!(age("9m").unwrap_err().contains("10m"));
    }

    #[test]
    fn the_unit_of_systemd_says_what_can_be_said() {
        let unit = include_str!("../../packaging/lmptop.service");
        let line = unit.lines().find_map(|l| l.strip_prefix("ExecStart=")).unwrap();
        let said = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
        let Some(crate::cli::Command::Record(record)) = said.command else { panic!("{line}") };
        assert_eq!(record.keeping.limits().keep, Retention::default());
        assert_eq!(record.session.unwrap(), std::path::Path::new("/var/lib/lmptop"));
    }

    #[test]
    fn a_short_time_is_kept_in_short_pieces() {
        let keeping = |retain: u64| Keeping {
            retain: Some(Duration::from_secs(retain)),
            ..Keeping::default()
        };
        assert_eq!(Keeping::default().limits().keep, Retention::default());
        assert_eq!(keeping(86_400).limits().segment_ns, Limits::default().segment_ns);
        assert_eq!(keeping(1800).limits().segment_ns, 450_000_000_000);
        assert!(!Keeping::default().limits().thin.is_empty());
        assert!(Keeping { no_thin: true, ..Keeping::default() }.limits().thin.is_empty());
    }
}
