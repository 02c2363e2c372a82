//! Tables of one name whose columns changed: one schema for all of them, and each table in it.
//!
//! A tool's columns are found at run time, so a later row may widen a type or bring a column. What
//! was kept before is then shown, printed and drawn under the newest columns; nothing is lost, as
//! every value can be written as text.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt64Array,
    new_null_array,
};

use super::batch::Table;
use super::column::Type;
use super::schema::{Field, Schema};
use super::value::Value;

impl Schema {
    /// One schema that holds rows of all `versions`, oldest first: the newest's columns in its
    /// order, then those that only older ones have; types wide enough for each. `None` for none.
    pub fn merged<'a>(versions: impl IntoIterator<Item = &'a Arc<Schema>>) -> Option<Arc<Schema>> {
        let versions: Vec<&Arc<Schema>> = versions.into_iter().collect();
        let (newest, older) = versions.split_last()?;
        if older.iter().all(|s| s == newest) {
            return Some(Arc::clone(newest));
        }
        let mut fields: Vec<Field> = newest.stored().to_vec();
        for field in older.iter().rev().flat_map(|s| s.stored()) {
            match fields.iter_mut().find(|f| f.id == field.id) {
                Some(f) => f.ty = wide(f.ty, field.ty),
                None => fields.push(field.clone()),
            }
        }
        Some(Arc::new(newest.with_fields(newest.table(), fields)))
    }
}

/// The narrowest type that holds both.
fn wide(a: Type, b: Type) -> Type {
    match (a, b) {
        _ if a == b => a,
        (Type::Text, _) | (_, Type::Text) => Type::Text,
        (Type::U64, Type::I64) | (Type::I64, Type::U64) => Type::Text,
        _ => Type::F64,
    }
}

impl Table {
    /// The same rows under another version's columns: found by id, widened, missing where this
    /// table does not have them. What does not fit the narrower type is missing, too.
    pub fn conform(&self, to: &Arc<Schema>) -> Table {
        if Arc::ptr_eq(self.schema(), to) || self.schema() == to {
            return self.clone();
        }
        let columns: Vec<ArrayRef> = to
            .stored()
            .iter()
            .zip(to.arrow().fields())
            .map(|(field, arrow)| {
                let own = self.schema().stored().iter().position(|f| f.id == field.id);
                match own {
                    Some(i) => cast(self, i, field.ty),
                    None => new_null_array(arrow.data_type(), self.len()),
                }
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        match RecordBatch::try_new_with_options(to.arrow(), columns, &options) {
            Ok(batch) => Table::trusted(Arc::clone(to), batch),
            // Cannot be: every array was made of the type asked for.
            Err(_) => Table::empty(Arc::clone(to)),
        }
    }
}

fn cast(table: &Table, column: usize, ty: Type) -> ArrayRef {
    let own = table.schema().stored()[column].ty;
    if own == ty {
        return Arc::clone(table.batch().column(column));
    }
    let cells = (0..table.len()).map(|row| table.value(row, column));
    match ty {
        Type::U64 => Arc::new(cells.map(|v| v.as_u64()).collect::<UInt64Array>()),
        Type::I64 => Arc::new(cells.map(signed).collect::<Int64Array>()),
        Type::F64 => Arc::new(cells.map(Value::as_f64).collect::<Float64Array>()),
        Type::Text => Arc::new(cells.map(written).collect::<StringArray>()),
    }
}

fn signed(v: Value<'_>) -> Option<i64> {
    match v {
        Value::I64(n) => Some(n),
        Value::U64(n) => i64::try_from(n).ok(),
        _ => None,
    }
}

fn written(v: Value<'_>) -> Option<String> {
    match v {
        Value::None => None,
        Value::U64(n) => Some(n.to_string()),
        Value::I64(n) => Some(n.to_string()),
        Value::F64(n) => Some(n.to_string()),
        Value::Text(s) => Some(s.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Nature, Unit};
    use super::*;

    fn schema(fields: &[(&str, Type)]) -> Arc<Schema> {
        let fields = fields.iter().map(|(id, ty)| Field::new(id, *ty)).collect();
        Arc::new(Schema::new_found("t", Nature::Event, fields))
    }

    fn table(schema: &Arc<Schema>, columns: Vec<ArrayRef>) -> Table {
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        Table::new(Arc::clone(schema), batch).unwrap()
    }

    #[test]
    fn one_schema_holds_all_versions_and_every_value() {
        let old = schema(&[("a", Type::I64), ("gone", Type::Text), ("b", Type::F64)]);
        let new = schema(&[("b", Type::Text), ("a", Type::F64), ("more", Type::I64)]);
        let all = Schema::merged([&old, &new]).unwrap();
        let ids: Vec<(&str, Type)> = all.stored().iter().map(|f| (f.id.as_str(), f.ty)).collect();
        let want = [("b", Type::Text), ("a", Type::F64), ("more", Type::I64), ("gone", Type::Text)];
        assert_eq!(ids, want);
        assert!(all.found());
        let rows = table(
            &old,
            vec![
                Arc::new(Int64Array::from(vec![Some(-3), None])),
                Arc::new(StringArray::from(vec!["x", "y"])),
                Arc::new(Float64Array::from(vec![0.5, 2.0])),
            ],
        );
        let moved = rows.conform(&all);
        let cells = |row| ["b", "a", "more", "gone"].map(|id| moved.get(row, id));
        assert_eq!(cells(0), [Value::Text("0.5"), Value::F64(-3.0), Value::None, Value::Text("x")]);
        assert_eq!(cells(1), [Value::Text("2"), Value::None, Value::None, Value::Text("y")]);
    }

    #[test]
    fn the_newest_keeps_its_kinds_and_units() {
        let old = schema(&[("a", Type::I64)]);
        let field = Field { kind: Kind::Key, unit: Unit::Ms, ..Field::new("a", Type::I64) };
        let new = Arc::new(Schema::new_found("t", Nature::Event, vec![field]));
        let all = Schema::merged([&old, &new]).unwrap();
        assert_eq!((all.stored()[0].kind, all.stored()[0].unit), (Kind::Key, Unit::Ms));
        assert!(Schema::merged([]).is_none());
    }
}
