//! Which columns and rows of a table, and in what order: the part that every format shares.

use anyhow::{Result, bail};

use crate::table::{Frame, From, Kind, Order, Schema, meant, sort_rows};

/// What of a table shall be written.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Fields, in order.
    pub fields: Vec<usize>,
    /// The order of the rows; as the table has them when absent.
    pub sort: Option<(usize, Order)>,
    /// Only rows of this process.
    pub pid: Option<Pid>,
}

/// How a row says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid {
    pid: u32,
    column: Option<usize>,
    owners: Option<usize>,
}

impl Selection {
    /// The fields that `columns` name: ids or short names, `all`, or nothing for the default, which
    /// is every stored field with each start replaced by its age.
    ///
    /// # Errors
    /// When a name is no column; says which are near.
    pub fn fields(schema: &Schema, columns: &[String]) -> Result<Vec<usize>> {
        let fields = schema.fields();
        if columns.is_empty() {
            return Ok((0..schema.stored().len())
                .map(|i| match fields[i].kind {
                    Kind::Start => fields.iter().position(|f| f.from == From::Age(i)).unwrap_or(i),
                    _ => i,
                })
                .collect());
        }
        let mut chosen = Vec::new();
        for name in columns.iter().map(|c| c.trim()).filter(|c| !c.is_empty()) {
            if name == "all" {
                chosen.extend(0..fields.len());
            } else {
                chosen.push(field(schema, name)?);
            }
        }
        let mut seen = vec![false; fields.len()];
        chosen.retain(|&f| !std::mem::replace(&mut seen[f], true));
        if chosen.is_empty() {
            bail!("--columns names no column; see lmptop columns {}", schema.table());
        }
        Ok(chosen)
    }

    /// The order that `--sort` names: `COL`, `-COL`, `COL:asc` or `COL:desc`.
    ///
    /// # Errors
    /// When the name is no column; says which are near.
    pub fn order(schema: &Schema, sort: &str) -> Result<(usize, Order)> {
        let sort = sort.trim();
        let (name, order) = if let Some(name) = sort.strip_prefix('-') {
            (name, Order::Descending)
        } else if let Some(name) = sort.strip_suffix(":desc") {
            (name, Order::Descending)
        } else {
            (sort.strip_suffix(":asc").unwrap_or(sort), Order::Ascending)
        };
        Ok((field(schema, name)?, order))
    }

    /// How rows of `schema` are matched against a process.
    ///
    /// # Errors
    /// When the table's rows belong to no process.
    pub fn process(schema: &Schema, pid: u32) -> Result<Pid> {
        let at = |id: &str| schema.stored().iter().position(|f| f.id == id);
        let (column, owners) = (at("pid"), at("owners"));
        if column.is_none() && owners.is_none() {
            bail!("rows of {} belong to no process; leave out -p", schema.table());
        }
        Ok(Pid { pid, column, owners })
    }

    /// The rows of `frame`, chosen and sorted.
    pub fn rows(&self, frame: &Frame, matches: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..frame.len())
            .filter(|&r| self.pid.is_none_or(|p| p.owns(frame, r)) && matches(r))
            .map(|r| r as u32)
            .collect();
        if let Some((field, order)) = self.sort {
            sort_rows(frame, field, order, &mut rows);
        }
        rows
    }
}

impl Pid {
    /// Whether the row belongs to the process, alone or with others.
    pub fn owns(self, frame: &Frame, row: usize) -> bool {
        let alone = self
            .column
            .is_some_and(|c| frame.table().value(row, c).as_u64() == Some(u64::from(self.pid)));
        alone
            || self.owners.and_then(|c| frame.table().value(row, c).as_str()).is_some_and(|all| {
                // `pid/fd comm`, several of them.
                all.split([' ', ','])
                    .filter_map(|word| word.split_once('/'))
                    .any(|(pid, _)| pid.parse::<u32>() == Ok(self.pid))
            })
    }
}

fn field(schema: &Schema, name: &str) -> Result<usize> {
    if let Some(f) = schema.find(name) {
        return Ok(f);
    }
    let names: Vec<&str> = schema.fields().iter().map(|f| f.id.as_str()).collect();
    bail!(
        "{} has no column {}{}; see lmptop columns {}",
        schema.table(),
        crate::table::clean(name),
        meant(name, &names),
        schema.table()
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::frame;
    use super::*;

    fn ids(columns: &[&str]) -> Result<Vec<String>> {
        let frame = frame();
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let fields = Selection::fields(frame.table().schema(), &columns)?;
        Ok(fields.into_iter().map(|f| frame.fields()[f].id.clone()).collect())
    }

    #[test]
    fn starts_give_way_to_ages_by_default() {
        assert_eq!(ids(&[]).unwrap(), ["id", "text", "bytes", "age_ns", "temperature", "share"]);
    }

    #[test]
    fn names_short_names_and_all() {
        assert_eq!(ids(&["share", "t", "text"]).unwrap(), ["share", "text"]);
        let all = ids(&["id", "all"]).unwrap();
        assert_eq!(all.len(), 8);
        assert!(all.contains(&"start_ns".to_owned()) && all.contains(&"bytes_rate".to_owned()));
        assert!(ids(&[""]).is_err());
    }

    #[test]
    fn an_unknown_column_names_its_neighbours() {
        let said = ids(&["byte"]).unwrap_err().to_string();
        assert!(said.contains("no column byte (did you mean bytes?)"), "{said}");
        let said = ids(&["\u{1b}[2J"]).unwrap_err().to_string();
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn orders() {
        let frame = frame();
        let schema = frame.table().schema();
        let order = |s: &str| Selection::order(schema, s).unwrap();
        assert_eq!(order("id"), (0, Order::Ascending));
        assert_eq!(order("-id"), (0, Order::Descending));
        assert_eq!(order("id:desc"), (0, Order::Descending));
        assert_eq!(order("id:asc"), (0, Order::Ascending));
        assert!(Selection::order(schema, "nope").is_err());
        let s = Selection { fields: vec![0], sort: Some(order("-id")), pid: None };
        assert_eq!(s.rows(&frame, |_| true), [1, 0]);
        assert_eq!(s.rows(&frame, |r| r == 0), [0]);
    }

    #[test]
    fn a_table_without_owners_takes_no_pid() {
        let frame = frame();
        assert!(Selection::process(frame.table().schema(), 1).is_err());
    }

    #[test]
    fn a_shared_socket_belongs_to_each_of_its_owners() {
        use crate::table::{Column, Nature, TableDef};
        type C = Column<(Option<u64>, Option<&'static str>)>;
        const COLUMNS: &[C] = &[
            C::u64("pid", "PID", Kind::Text, |r| r.0),
            C::text("owners", "OWNERS", Kind::Text, |r| r.1),
        ];
        let rows = [
            (Some(7), None),
            (Some(5), Some("5/3 a, 7/3 b")),
            (Some(5), Some("5/7 x7, 77/3 y")),
            (None, None),
        ];
        let def = TableDef::new("net", Nature::State, COLUMNS);
        let frame = Frame::new(1, def.table(&rows).unwrap(), None);
        let pid = Some(Selection::process(def.schema(), 7).unwrap());
        let s = Selection { fields: vec![0], sort: None, pid };
        assert_eq!(s.rows(&frame, |_| true), [0, 1]);
    }
}
