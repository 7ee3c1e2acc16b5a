//! The queries that engine and naive join both answer.

use serde_json::{Value, json};

use super::naive::{Join, Query, at_most, equal};

/// The tables of all queries.
macro_rules! pipeline {
    ($query:literal, $dimensions:literal) => {
        concat!(
            "name: oracle\nquery: |\n  ",
            $query,
            "\nsources:\n",
            "  events: {schema: {id: int, a: string, b: string, n: int}}\n",
            $dimensions,
            "output: {topic: out}\n"
        )
    };
}

/// Declares which tables are read; a table that is not read may not be declared.
macro_rules! users {
    ($query:literal, declared) => {
        pipeline!($query, "  users: {schema: {uid: string, team: string, level: int, next: string, name: string}}\nstate: {dimensions: [{table: users, key: [uid]}]}\n")
    };
    ($query:literal, record_key) => {
        pipeline!($query, "  users: {schema: {uid: string, team: string, level: int, next: string, name: string}}\nstate: {dimensions: [users]}\n")
    };
}

macro_rules! both {
    ($query:literal) => {
        pipeline!($query, "  users: {schema: {uid: string, team: string, level: int, next: string, name: string}}\n  shops: {schema: {uid: string, team: string, level: int, next: string, name: string}}\nstate: {dimensions: [{table: users, key: [uid]}, {table: shops, key: [uid]}]}\n")
    };
}

fn any(_: &[Value]) -> bool {
    true
}

fn inner(table: &'static str, on: fn(&[Value], &Value) -> bool) -> Join {
    Join { table, left: false, on }
}

fn left(table: &'static str, on: fn(&[Value], &Value) -> bool) -> Join {
    Join { table, left: true, on }
}

/// All queries, by name.
pub fn all() -> Vec<(&'static str, Query)> {
    let mut queries = one_dimension();
    queries.extend(several_dimensions());
    queries
}

fn one_dimension() -> Vec<(&'static str, Query)> {
    vec![
        (
            "LEFT by identity",
            Query {
                yaml: users!("SELECT e.id, u.uid, u.name FROM events e LEFT JOIN users u ON e.a = u.uid", declared),
                declared: true,
                joins: vec![left("users", |rows, user| equal(&rows[0]["a"], &user["uid"]))],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "uid": rows[1]["uid"], "name": rows[1]["name"]}),
            },
        ),
        (
            "INNER, several matches, moving keys",
            Query {
                yaml: users!("SELECT e.id, u.name FROM events e JOIN users u ON e.b = u.team", record_key),
                declared: false,
                joins: vec![inner("users", |rows, user| equal(&rows[0]["b"], &user["team"]))],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "name": rows[1]["name"]}),
            },
        ),
        (
            "LEFT with a residual, several matches",
            Query {
                yaml: users!(
                    "SELECT e.id, u.name FROM events e LEFT JOIN users u ON e.b = u.team AND u.level <= e.n",
                    record_key
                ),
                declared: false,
                joins: vec![left("users", |rows, user| {
                    equal(&rows[0]["b"], &user["team"]) && at_most(&user["level"], &rows[0]["n"])
                })],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "name": rows[1]["name"]}),
            },
        ),
        (
            "composite key and conditions of WHERE",
            Query {
                yaml: users!(
                    "SELECT e.id, u.name FROM events e LEFT JOIN users u ON u.level = e.n AND e.b = u.team WHERE e.n <= 2 AND (u.level IS NULL OR u.level >= 1)",
                    declared
                ),
                declared: true,
                joins: vec![left("users", |rows, user| {
                    equal(&rows[0]["n"], &user["level"]) && equal(&rows[0]["b"], &user["team"])
                })],
                condition: |rows| {
                    at_most(&rows[0]["n"], &json!(2))
                        && (rows[1]["level"].is_null() || at_most(&json!(1), &rows[1]["level"]))
                },
                select: |rows| json!({"id": rows[0]["id"], "name": rows[1]["name"]}),
            },
        ),
        (
            "sub-select with a computed column and a condition",
            Query {
                yaml: users!(
                    "SELECT e.id, u.label FROM events e LEFT JOIN (SELECT team, coalesce(next, 'none') AS label FROM users WHERE level <= 2) u ON e.b = u.team",
                    record_key
                ),
                declared: false,
                joins: vec![left("users", |rows, user| {
                    equal(&rows[0]["b"], &user["team"]) && at_most(&user["level"], &json!(2))
                })],
                condition: any,
                select: |rows| {
                    let label = match &rows[1] {
                        Value::Null => Value::Null,
                        user if user["next"].is_null() => json!("none"),
                        user => user["next"].clone(),
                    };
                    json!({"id": rows[0]["id"], "label": label})
                },
            },
        ),
    ]
}

fn several_dimensions() -> Vec<(&'static str, Query)> {
    vec![
        (
            "two dimensions, LEFT and INNER",
            Query {
                yaml: both!(
                    "SELECT e.id, u.name AS u, s.name AS s FROM events e LEFT JOIN users u ON e.a = u.uid JOIN shops s ON s.team = e.b"
                ),
                declared: true,
                joins: vec![
                    left("users", |rows, user| equal(&rows[0]["a"], &user["uid"])),
                    inner("shops", |rows, shop| equal(&rows[0]["b"], &shop["team"])),
                ],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "u": rows[1]["name"], "s": rows[2]["name"]}),
            },
        ),
        (
            "chain with a residual over three tables",
            Query {
                yaml: both!(
                    "SELECT e.id, u.name AS u, s.name AS s FROM events e LEFT JOIN users u ON e.b = u.team LEFT JOIN shops s ON u.next = s.uid AND s.level <= u.level AND e.n <= s.level"
                ),
                declared: true,
                joins: vec![
                    left("users", |rows, user| equal(&rows[0]["b"], &user["team"])),
                    left("shops", |rows, shop| {
                        equal(&rows[1]["next"], &shop["uid"])
                            && at_most(&shop["level"], &rows[1]["level"])
                            && at_most(&rows[0]["n"], &shop["level"])
                    }),
                ],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "u": rows[1]["name"], "s": rows[2]["name"]}),
            },
        ),
        (
            "a dimension three times, on two keys",
            Query {
                yaml: users!(
                    "SELECT e.id, x.name AS x, y.name AS y, z.name AS z FROM events e LEFT JOIN users x ON e.a = x.uid LEFT JOIN users y ON x.next = y.uid JOIN users z ON z.team = e.b",
                    declared
                ),
                declared: true,
                joins: vec![
                    left("users", |rows, user| equal(&rows[0]["a"], &user["uid"])),
                    left("users", |rows, user| equal(&rows[1]["next"], &user["uid"])),
                    inner("users", |rows, user| equal(&rows[0]["b"], &user["team"])),
                ],
                condition: any,
                select: |rows| json!({"id": rows[0]["id"], "x": rows[1]["name"], "y": rows[2]["name"], "z": rows[3]["name"]}),
            },
        ),
    ]
}
