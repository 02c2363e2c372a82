//! Expectations: what tables a careful reader sees in an output (format: `README.md` here).

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What one capture shall become.
pub struct Want {
    /// Any of these readings is right.
    pub variants: Vec<Vec<Table>>,
}

/// One expected table.
pub struct Table {
    /// Names; `*` is any, `{"any": [..]}` one of these.
    pub columns: Vec<Value>,
    /// `append`, `snapshot`, `replace`, if that is clear.
    pub mode: Option<Value>,
    /// How many blocks a snapshot table comes in.
    pub blocks: Option<u64>,
    pub rows: Vec<Row>,
}

/// One expected row.
pub struct Row {
    pub cells: Vec<Value>,
    /// Whether it may be left out (a closing row of averages).
    pub maybe: bool,
}

/// Reads a `.want` file.
pub fn read(path: &Path) -> Want {
    let text = fs::read_to_string(path).unwrap();
    let mut variants: Vec<Vec<Table>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{}:{}", path.display(), number + 1);
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{at}: {e}"));
        match value {
            Value::Object(o) if o.contains_key("source") || o.contains_key("or") => {}
            Value::Object(o) if o.contains_key("tables") => variants.push(Vec::new()),
            Value::Object(mut o) if o.contains_key("columns") => {
                let Some(Value::Array(columns)) = o.remove("columns") else {
                    panic!("{at}: columns is a list")
                };
                let blocks = o.get("blocks").and_then(Value::as_u64);
                let table = Table { columns, mode: o.remove("mode"), blocks, rows: Vec::new() };
                variants.last_mut().unwrap().push(table);
            }
            Value::Object(mut o) if o.contains_key("maybe") => {
                let Some(Value::Array(cells)) = o.remove("maybe") else {
                    panic!("{at}: maybe is a list")
                };
                push(&mut variants, cells, true, &at);
            }
            Value::Array(cells) => push(&mut variants, cells, false, &at),
            _ => panic!("{at}: not understood"),
        }
    }
    assert!(!variants.is_empty(), "{}: nothing wanted", path.display());
    Want { variants }
}

fn push(variants: &mut [Vec<Table>], cells: Vec<Value>, maybe: bool, at: &str) {
    let table = variants.last_mut().and_then(|v| v.last_mut()).unwrap();
    assert_eq!(cells.len(), table.columns.len(), "{at}: cells and columns");
    table.rows.push(Row { cells, maybe });
}
