//! `lmptop print TABLE --against`: the call stacks of two recordings, times or processes compared;
//! any other table at two times.

use std::io::{self, BufWriter};
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::print::{Rows, bounds, range, schema_in};
use super::sessions::find;
use super::usage;
use crate::cli::{self, Normalize};
use crate::export::{Compare, Format, Selection};
use crate::privilege;
use crate::session::Reader;
use crate::table::{Norm, Schema, clean};

/// Prints the comparison.
///
/// # Errors
/// When one of the two has no such stacks, or the format cannot show two.
pub fn run(args: &cli::Print, format: Format) -> Result<()> {
    let Some(session) = args.session.as_deref() else {
        return Err(usage(anyhow!("recordings are compared; name one with --session")));
    };
    privilege::drop_all_but(&privilege::FILES)?;
    let against = &args.against;
    let then = cli::Print {
        from: against.against_from.clone(),
        to: against.against_to.clone(),
        at: None,
        pid: against.against_pid.or(args.pid),
        ..args.clone()
    };
    let readers = [open(session)?, open(against.against.as_deref().unwrap_or(session))?];
    let mut schemas = Vec::new();
    for reader in &readers {
        schemas.push(schema_in(reader, &args.table).map_err(usage)?);
    }
    let Some(schema) = Schema::merged(schemas.iter()) else {
        bail!("{} is another table in the other recording", args.table)
    };
    if !schema.has_stacks() {
        return super::contrast::run(args, format, &readers);
    }
    if against.against_at.is_some() {
        return Err(usage(anyhow!(
            "--against-at is one sample, of which stacks say little; use --against-from and --against-to"
        )));
    }
    let fields = Selection::fields(&schema, &args.columns).map_err(usage)?;
    let compare = Compare::new(&schema, &fields).map_err(usage)?;
    for (side, (args, reader)) in [args, &then].into_iter().zip(&readers).enumerate() {
        let (from, to) = bounds(args, reader, None)?;
        let mut rows = Rows::into(args, compare.side(side), &schema)?;
        range(reader, &schema, from, to, &mut rows)?;
        for note in reader.notes() {
            eprintln!("lmptop: {}", clean(&note));
        }
    }
    let norm = match against.normalize {
        Normalize::Time => Norm::Time,
        Normalize::Share => Norm::Share,
    };
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
    compare.write(&mut out, format, norm)
}

fn open(named: &Path) -> Result<Reader> {
    Reader::open(&find(Some(named))?)
}
