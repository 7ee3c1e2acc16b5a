//! The queries that engine and model both answer.

use serde_json::{Value, json};

use crate::model::{EventTable, Lookup, OnExpire, Required, Smart, Spec};

/// A query in SQL, and in plain Rust.
pub struct Query {
    pub yaml: &'static str,
    pub spec: Spec,
}

/// A pipeline with the tables that it reads, whose rows are all alike; and what it says besides.
macro_rules! pipeline {
    ($query:literal, [$($table:literal),*], $rest:literal) => {
        concat!(
            "name: oracle\nquery: ", $query, "\nsources:\n",
            $("  ", $table, ": {schema: {id: int, a: int, b: int, key: int, level: int, team: int}}\n",)*
            "output: {topic: out}\n", $rest
        )
    };
}

fn equal(left: &Value, right: &Value) -> bool {
    !left.is_null() && left == right
}

/// `left <> right` in SQL.
fn differ(left: &Value, right: &Value) -> bool {
    !left.is_null() && !right.is_null() && left != right
}

fn event(name: &'static str, left: bool, on: fn(&[Value], &Value) -> bool) -> EventTable {
    EventTable { name, left, on, ttl_ms: 20_000, lateness_ms: 5_000 }
}

/// A pipeline of `d`, whose rows live for twelve seconds, and other event tables.
fn spec(joined: Vec<EventTable>, select: fn(&[Value]) -> Value) -> Spec {
    let driving = EventTable { ttl_ms: 12_000, ..event("d", false, |_, _| true) };
    Spec {
        tables: std::iter::once(driving).chain(joined).collect(),
        lookups: Vec::new(),
        driving: |_| true,
        condition: |_| true,
        select,
        smart: None,
        idle_timeout_ms: 30_000,
        forgets: true,
    }
}

fn lookup(table: &'static str, left: bool, key: fn(&[Value]) -> Value) -> Lookup {
    Lookup { table, left, key, column: "key", residual: |_, _| true }
}

fn require(output: &'static str, lookups: &[usize], events: &[usize]) -> Required {
    Required { output, lookups: lookups.to_vec(), events: events.to_vec() }
}

/// All queries, by name.
pub fn all() -> Vec<(&'static str, Query)> {
    let mut queries = event_joins();
    queries.extend(with_dimensions());
    queries.extend(smart());
    queries
}

fn event_joins() -> Vec<(&'static str, Query)> {
    let by_a = |rows: &[Value], row: &Value| equal(&rows[0]["a"], &row["a"]);
    let three = |rows: &[Value]| json!({"d": rows[0]["id"], "s": rows[1]["id"], "t": rows[2]["id"]});
    let two = |rows: &[Value]| json!({"d": rows[0]["id"], "s": rows[1]["id"]});
    vec![
        (
            "INNER of two",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s FROM d JOIN s ON d.a = s.a WHERE d.b <> 2",
                    ["d", "s"],
                    "state: {events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: Spec { driving: |row| differ(&row["b"], &json!(2)), ..spec(vec![event("s", false, by_a)], two) },
            },
        ),
        (
            "LEFT of two with a residual",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s FROM d LEFT JOIN s ON d.a = s.a AND s.b <> d.b",
                    ["d", "s"],
                    "state: {events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: spec(
                    vec![event("s", true, |rows, row| {
                        equal(&rows[0]["a"], &row["a"]) && differ(&row["b"], &rows[0]["b"])
                    })],
                    two,
                ),
            },
        ),
        (
            "a star, INNER and LEFT",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s, t.id AS t FROM d JOIN s ON d.a = s.a LEFT JOIN t ON d.b = t.b",
                    ["d", "s", "t"],
                    "state: {events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: spec(
                    vec![event("s", false, by_a), event("t", true, |rows, row| equal(&rows[0]["b"], &row["b"]))],
                    three,
                ),
            },
        ),
        (
            "a chain, LEFT and LEFT",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s, t.id AS t FROM d LEFT JOIN s ON d.a = s.a LEFT JOIN t ON s.b = t.b",
                    ["d", "s", "t"],
                    "state: {events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: spec(
                    vec![event("s", true, by_a), event("t", true, |rows, row| equal(&rows[1]["b"], &row["b"]))],
                    three,
                ),
            },
        ),
        (
            "a chain with a residual over three",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s, t.id AS t FROM d LEFT JOIN s ON d.a = s.a JOIN t ON s.b = t.b AND t.a <> d.b",
                    ["d", "s", "t"],
                    "state: {events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: spec(
                    vec![
                        event("s", true, by_a),
                        event("t", false, |rows, row| {
                            equal(&rows[1]["b"], &row["b"]) && differ(&row["a"], &rows[0]["b"])
                        }),
                    ],
                    three,
                ),
            },
        ),
    ]
}

fn with_dimensions() -> Vec<(&'static str, Query)> {
    let by_a = |rows: &[Value], row: &Value| equal(&rows[0]["a"], &row["a"]);
    vec![(
        "events with events, then dimensions",
        Query {
            yaml: pipeline!(
                "SELECT d.id AS d, s.id AS s, u.id AS u, m.id AS m FROM d LEFT JOIN s ON d.a = s.a LEFT JOIN users u ON s.b = u.key JOIN teams m ON d.b = m.key WHERE u.level IS NULL OR u.level <> 1",
                ["d", "s", "users", "teams"],
                "state: {dimensions: [users, teams], events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
            ),
            spec: Spec {
                lookups: vec![
                    lookup("users", true, |rows| rows[1]["b"].clone()),
                    lookup("teams", false, |rows| rows[0]["b"].clone()),
                ],
                condition: |rows| rows[2]["level"] != json!(1),
                ..spec(
                    vec![event("s", true, by_a)],
                    |rows| json!({"d": rows[0]["id"], "s": rows[1]["id"], "u": rows[2]["id"], "m": rows[3]["id"]}),
                )
            },
        },
    )]
}

fn smart() -> Vec<(&'static str, Query)> {
    let by_a = |rows: &[Value], row: &Value| equal(&rows[0]["a"], &row["a"]);
    vec![
        (
            "smart over one event table",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, u.id AS u, u.level AS level FROM d JOIN users u ON d.a = u.key AND u.team <> d.b WHERE u.level <> 0 AND d.b <> 2",
                    ["d", "users"],
                    "emission: {type: smart, require: [level], max_wait: 25s}\nstate: {dimensions: [users], events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: Spec {
                    driving: |row| differ(&row["b"], &json!(2)),
                    lookups: vec![Lookup {
                        residual: |rows, row| differ(&row["team"], &rows[0]["b"]),
                        ..lookup("users", false, |rows| rows[0]["a"].clone())
                    }],
                    condition: |rows| differ(&rows[1]["level"], &json!(0)),
                    smart: Some(Smart {
                        require: vec![require("level", &[0], &[0])],
                        max_wait_ms: 25_000,
                        on_expire: OnExpire::Drop,
                    }),
                    ..spec(vec![], |rows| json!({"d": rows[0]["id"], "u": rows[1]["id"], "level": rows[1]["level"]}))
                },
            },
        ),
        (
            "smart over a chain of look-ups",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s, u.id AS u, m.level AS level FROM d LEFT JOIN s ON d.a = s.a LEFT JOIN users u ON d.a = u.key JOIN teams m ON u.team = m.key WHERE m.level <> 1",
                    ["d", "s", "users", "teams"],
                    "emission: {type: smart, require: [level], max_wait: 15s, on_expire: emit}\nstate: {dimensions: [users, teams], events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: Spec {
                    lookups: vec![
                        lookup("users", true, |rows| rows[0]["a"].clone()),
                        lookup("teams", false, |rows| rows[2]["team"].clone()),
                    ],
                    condition: |rows| differ(&rows[3]["level"], &json!(1)),
                    smart: Some(Smart {
                        require: vec![require("level", &[0, 1], &[0])],
                        max_wait_ms: 15_000,
                        on_expire: OnExpire::Emit,
                    }),
                    ..spec(
                        vec![event("s", true, by_a)],
                        |rows| json!({"d": rows[0]["id"], "s": rows[1]["id"], "u": rows[2]["id"], "level": rows[3]["level"]}),
                    )
                },
            },
        ),
        (
            "smart over an event and a dimension that hangs on it",
            Query {
                yaml: pipeline!(
                    "SELECT d.id AS d, s.id AS s, u.level AS level FROM d LEFT JOIN s ON d.a = s.a LEFT JOIN users u ON s.b = u.key",
                    ["d", "s", "users"],
                    "emission: {type: smart, require: [s, level], max_wait: 15s, on_expire: dead_letter}\nstate: {dimensions: [users], events: {default_ttl: 20s, overrides: {d: 12s}, lateness: 5s}}\n"
                ),
                spec: Spec {
                    lookups: vec![lookup("users", true, |rows| rows[1]["b"].clone())],
                    smart: Some(Smart {
                        require: vec![require("s", &[], &[1]), require("level", &[0], &[0, 1])],
                        max_wait_ms: 15_000,
                        on_expire: OnExpire::DeadLetter,
                    }),
                    ..spec(
                        vec![event("s", true, by_a)],
                        |rows| json!({"d": rows[0]["id"], "s": rows[1]["id"], "level": rows[2]["level"]}),
                    )
                },
            },
        ),
    ]
}
