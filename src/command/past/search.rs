//! Search through time for the screen: what it means in this recording, and where it leads.

use anyhow::{Result, anyhow, bail};

use crate::app::{Hunt, Hunted, Msg, Sighting};
use crate::session::{Chain, Sought, Wanted};
use crate::source::Replay;
use crate::table::{Filter, Schema, clean, meant};

/// Searches from where the replay is; `go_on` is asked now and then, with the share that is done.
pub fn search(
    reader: &Chain,
    replay: &mut Replay,
    hunt: Hunt,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Msg {
    let mut table = hunt.table.clone();
    let mut stopped = false;
    let end = find(reader, replay, &hunt, &mut table, &mut stopped, go_on);
    Msg::Hunted(Hunted { hunt, end: end.map_err(|e| format!("{e:#}")), table, stopped })
}

fn find(
    reader: &Chain,
    replay: &mut Replay,
    hunt: &Hunt,
    table: &mut String,
    stopped: &mut bool,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Sighting>> {
    let wanted = wanted(reader, hunt)?;
    table.clone_from(&wanted.table);
    let from = match replay.position() {
        Some(at) => at,
        None => match reader.first()? {
            Some(at) => at,
            None => return Ok(None),
        },
    };
    let at = match reader.search(&wanted, from, hunt.forward, go_on)? {
        Sought::Found(at) => at,
        Sought::Nowhere => return Ok(None),
        Sought::Stopped => {
            *stopped = true;
            return Ok(None);
        }
    };
    let moment = replay.go(at)?;
    let mut trail = super::trail(reader, moment.now.wall_ns)?;
    trail.of = super::whose(reader, at);
    Ok(Some(Sighting { moment, trail, span: reader.span() }))
}

/// The table that is meant, and what one of its rows must meet.
fn wanted(reader: &Chain, hunt: &Hunt) -> Result<Wanted> {
    let schemas = reader.schemas();
    let names: Vec<&str> = schemas.iter().map(|s| s.table()).collect();
    let typed = Filter::parse(&hunt.text).map_err(|e| anyhow!("{e}"))?;
    let (named, filter) = typed.addressed(&names).map_err(anyhow::Error::msg)?;
    let table = named.unwrap_or_else(|| hunt.table.clone());
    let Some(schema) = Schema::merged(schemas.iter().filter(|s| s.table() == table)) else {
        let meant = meant(&table, &names);
        bail!("No table {} was recorded{meant}.", clean(&table));
    };
    let bound = filter.bind(&schema);
    if !bound.unknown().is_empty() {
        bail!(
            "{table} cannot answer {}; write its table before it, as in proc.cpu>90%.",
            bound.unknown().join(" and ")
        );
    }
    let mut filters = vec![filter];
    if table == hunt.table {
        filters.extend(Filter::parse(&hunt.only).ok());
    }
    // Both ends of a wake are the pinned process, as on the screen.
    let pin = match hunt.pin.strip_prefix("pid=") {
        Some(pid) if table == "wake" => format!("party={pid}"),
        _ => hunt.pin.clone(),
    };
    filters.extend(Filter::parse(&pin).ok());
    // What a pane is about, and a pin, count where the table has the column.
    let known = |f: &Filter| f.bind(&schema).unknown().is_empty();
    let filters = filters.into_iter().filter(|f| !f.is_empty() && known(f)).collect();
    Ok(Wanted { table, filters })
}
