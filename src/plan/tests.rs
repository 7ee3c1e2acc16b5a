//! What is accepted and what is refused (SEMANTICS 2.1), and what plans look like.

use std::collections::BTreeMap;

use super::{Catalog, Fields, Plan, plan};
use crate::config::{parse_pipeline, parse_type};

const TABLES: [(&str, &str); 4] = [
    (
        "orders",
        "id string, user_id string, amount double, n int, tags list<string>, at timestamp, addr struct<city: string>",
    ),
    ("users", "user_id string, name string, boss_id string, Level int, active boolean"),
    ("shops", "shop_id bigint, owner_id string, n int"),
    ("clicks", "user_id string"),
];

fn fields() -> BTreeMap<String, Fields> {
    let columns = |text: &str| {
        let mut fields = Fields::new();
        for column in text.split(", ") {
            let (name, data_type) = column.split_once(' ').expect("name and type");
            fields.push((name.to_string(), parse_type(data_type).expect("a type")));
        }
        fields
    };
    TABLES.iter().map(|(name, text)| (name.to_string(), columns(text))).collect()
}

fn planned(sql: &str) -> Result<Plan, Vec<String>> {
    let query = sql.replace('\n', "\n  ");
    let yaml = format!("name: p\nquery: |\n  {query}\noutput: {{topic: out}}\nstate: {{dimensions: [users, shops]}}\n");
    let pipeline = parse_pipeline("p.yaml", yaml, &|_| None).map_err(|mistakes| vec![mistakes.to_string()])?;
    let mut pipeline = pipeline;
    let read = super::parse(&pipeline.query).map(|query| super::tables_of(&query)).unwrap_or_default();
    pipeline.dimensions.retain(|dimension| read.contains(&dimension.table));
    plan(&pipeline, &fields(), 3_600_000, &Catalog::new())
        .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.message).collect())
}

#[track_caller]
fn accepted(sql: &str) -> Plan {
    planned(sql).unwrap_or_else(|mistakes| panic!("{sql}\n{}", mistakes.join("\n")))
}

#[track_caller]
fn refused(sql: &str, words: &str) {
    match planned(sql) {
        Ok(plan) => panic!("accepted: {sql}\n{plan}"),
        Err(mistakes) => assert!(mistakes.iter().any(|it| it.contains(words)), "{sql}\n{}", mistakes.join("\n")),
    }
}

#[test]
fn accepted_queries() {
    for sql in [
        "SELECT * FROM orders",
        "SELECT o.*, u.name FROM orders o LEFT JOIN users u ON o.user_id = u.user_id WHERE amount > 0 AND u.active",
        "SELECT name FROM orders JOIN users USING (user_id)",
        "SELECT a.name AS a, b.name AS b FROM orders o JOIN users a ON o.user_id = a.user_id LEFT JOIN users b ON a.boss_id = b.user_id",
        "SELECT 1 AS one FROM orders o JOIN users u ON upper(o.user_id) = upper(u.user_id) AND o.n = u.Level",
        "SELECT s.n FROM orders o JOIN shops s ON o.n = s.shop_id",
        "WITH big AS (SELECT * FROM orders WHERE amount > 9) SELECT b.id, u.name FROM big b JOIN users u ON b.user_id = u.user_id",
        "SELECT x.label FROM orders o LEFT JOIN (SELECT user_id, coalesce(name, '?') AS label FROM users WHERE active) x ON x.user_id = o.user_id",
        "SELECT o.who, s.n FROM (SELECT t.*, u.name AS who FROM orders t LEFT JOIN users u ON t.user_id = u.user_id) o JOIN shops s ON s.owner_id = o.who",
        "SELECT id, unnest(tags) AS tag FROM orders",
        "SELECT now() AS seen, current_date AS day, random() AS chance FROM orders",
        "SELECT CASE WHEN amount > 5 THEN 'big' ELSE 'small' END AS size, 'a' = ANY(tags) AS has FROM orders",
        "SELECT o.addr.city AS city, addr['city'] AS again, o.tags[1] AS first, _offset, o._timestamp FROM orders o",
        "SELECT ORDERS.ID, u.LEVEL FROM orders JOIN users u ON orders.user_id = u.user_id",
        "SELECT regexp_like(id, '^a') AS a, date_trunc('hour', at) AS hour, md5(id) AS m, at + interval '1 day' AS later FROM orders",
        "SELECT * EXCLUDE (amount, n) FROM orders",
    ] {
        accepted(sql);
    }
}

#[test]
fn refused_queries() {
    for (sql, words) in [
        ("SELECT * FROM orders RIGHT JOIN users u ON orders.user_id = u.user_id", "RIGHT JOIN"),
        ("SELECT * FROM orders FULL JOIN users u ON orders.user_id = u.user_id", "FULL JOIN"),
        ("SELECT * FROM orders CROSS JOIN users", "CROSS JOIN"),
        ("SELECT * FROM orders, users", "CROSS JOIN"),
        ("SELECT * FROM orders NATURAL JOIN users", "NATURAL"),
        ("SELECT * FROM orders o JOIN users u ON o.amount > u.Level", "no equality"),
        ("SELECT * FROM orders o JOIN users u ON u.user_id = 'x'", "no equality"),
        ("SELECT id FROM orders o JOIN clicks c ON o.user_id = c.user_id", "event table"),
        ("SELECT name FROM users", "must be an event table"),
        ("SELECT count(*) FROM orders", "aggregate"),
        ("SELECT sum(amount) OVER (PARTITION BY id) FROM orders", "OVER"),
        ("SELECT nope FROM orders", "no column `nope`"),
        ("SELECT x.id FROM orders", "no table or column `x`"),
        ("SELECT user_id FROM orders o JOIN users u ON o.user_id = u.user_id", "could be any of"),
        ("SELECT uper(id) FROM orders", "no function `uper`"),
        ("SELECT id FROM orders WHERE at < now()", "gives another value each time"),
        ("SELECT id FROM orders WHERE random() > 0.5", "gives another value each time"),
        ("SELECT id FROM orders WHERE id IN (SELECT user_id FROM users)", "later version"),
        ("SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM users)", "later version"),
        ("SELECT (SELECT max(n) FROM shops) AS m FROM orders", "stand for a value"),
        ("SELECT id, id FROM orders", "two output columns"),
        ("SELECT id + 1 AS x FROM orders WHERE amount", "a condition is true or false"),
        ("SELECT id FROM orders o JOIN users o ON o.user_id = o.user_id", "already a table `o`"),
        ("SELECT id FROM orders o JOIN (users u JOIN shops s ON u.Level = s.n) ON o.n = s.n", "parentheses"),
        ("SELECT id FROM generate_series(1, 2)", "only a topic"),
        ("SELECT id FROM orders WHERE unnest(tags) = 'a'", "UNNEST can't stand in WHERE"),
        ("SELECT unnest(id) AS x FROM orders", "unnest() takes a list"),
        ("SELECT id - tags AS x FROM orders", "can't be computed"),
    ] {
        refused(sql, words);
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let mistakes = planned("SELECT nope, uper(id), count(*) FROM orders WHERE zip = 1 ORDER BY id").expect_err("wrong");
    assert_eq!(mistakes.len(), 5, "{}", mistakes.join("\n"));
}

#[test]
fn only_used_columns_are_kept() {
    let plan = accepted("SELECT o.id FROM orders o JOIN users u ON o.user_id = u.user_id AND u.active WHERE o.n > 1");
    let kept = |table: usize| plan.tables[table].columns.iter().map(|column| column.name()).collect::<Vec<_>>();
    assert_eq!(kept(0), ["id", "user_id", "n"]);
    assert_eq!(kept(1), ["user_id", "active"]);
    assert!(plan.events[0].condition.is_some() && plan.condition.is_none());
}

#[test]
fn one_index_serves_equal_keys() {
    let plan = accepted(
        "SELECT a.name AS a, b.name AS b, c.name AS c FROM orders o JOIN users a ON o.user_id = a.user_id \
         JOIN users b ON a.boss_id = b.user_id JOIN users c ON upper(o.id) = upper(c.name)",
    );
    assert_eq!(plan.dimensions.len(), 1);
    assert_eq!(plan.dimensions[0].indexes.len(), 2);
    assert_eq!(plan.dimensions[0].computed.len(), 1);
    assert_eq!(plan.lookups.iter().map(|lookup| lookup.index).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn star_shows_no_hidden_column_and_using_columns_once() {
    let plan = accepted("SELECT * FROM clicks LEFT JOIN users USING (user_id)");
    let names: Vec<_> = plan.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["user_id", "name", "boss_id", "Level", "active"]);
    assert_eq!(plan.outputs[0].expression.text(), "clicks.user_id", "of a LEFT join's USING the left side counts");
}

#[test]
fn a_plan_for_a_person() {
    let plan = accepted(
        "SELECT o.id, coalesce(u.name, '?') AS who, s.n FROM orders o LEFT JOIN users u ON o.user_id = u.user_id AND u.active \
         JOIN shops s ON o.n + 1 = s.shop_id WHERE o.amount > 0 AND s.n > u.Level",
    );
    let expected = include_str!("../../testdata/config/plan.txt");
    assert_eq!(plan.to_string(), expected);
}
