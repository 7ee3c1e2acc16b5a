//! Any text as a query over tables of every kind: it is refused with its reason, or the plan explains itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kaflowsql::config::{Pipeline, parse_pipeline, parse_type};
use kaflowsql::plan::{Fields, parse, tables_of};

use super::yaml::plan_or_tell;

/// Columns of each table: some that all have, one of each kind of type.
const TABLES: [(&str, &str); 5] = [
    ("e", "id int, k string, n bigint, x double, at timestamp, tags list<string>"),
    ("s", "id int, k string, n bigint, amount decimal(10,2), d date"),
    ("t", "id int, k string, n bigint, o struct<a: int, b: list<int>>"),
    ("u", "id int, k string, n bigint, boss string, active boolean, name string"),
    ("m", "id int, k string, n bigint, f float, y tinyint, b uint64"),
];

const DIMENSIONS: [&str; 2] = ["u", "m"];

/// The columns of all tables.
fn fields() -> &'static BTreeMap<String, Fields> {
    static FIELDS: LazyLock<BTreeMap<String, Fields>> = LazyLock::new(|| {
        let column = |column: &str| {
            let (name, of) = column.split_once(' ').expect("a name and a type");
            (name.to_string(), parse_type(of).unwrap_or_else(|_| panic!("a type: {of}")))
        };
        // Types have commas of their own, but no comma with a space outside of a struct but these.
        let columns = |columns: &str| columns.replace(", b: ", ",b:").split(", ").map(column).collect();
        TABLES.iter().map(|(table, of)| (table.to_string(), columns(of))).collect()
    });
    &FIELDS
}

/// The pipeline of a query, in a file in which it is not where it is in the text.
fn pipeline(query: &str) -> Option<Pipeline> {
    let yaml = format!(
        "name: p\noutput: {{topic: out}}\nquery: {}\nstate: {{dimensions: [{}]}}\n",
        serde_json::Value::from(query),
        DIMENSIONS.join(", ")
    );
    let mut pipeline = parse_pipeline("pipeline.yaml", yaml, &|_| None).ok()?;
    // To list a table that the query does not read is a mistake of its own.
    let read = parse(&pipeline.query).map(|query| tables_of(&query)).unwrap_or_default();
    pipeline.dimensions.retain(|dimension| read.contains(&dimension.table));
    Some(pipeline)
}

/// Plans `bytes` as a query.
pub fn check(bytes: &[u8]) {
    let query = String::from_utf8_lossy(bytes);
    // What is folded while it is planned may be as large as its author likes.
    let grows = ["repeat", "pad", "range", "series", "array_resize", "space"];
    let lower = query.to_lowercase();
    if grows.iter().any(|name| lower.contains(name)) {
        return;
    }
    if let Some(pipeline) = pipeline(&query) {
        plan_or_tell(&pipeline, fields());
    }
}
