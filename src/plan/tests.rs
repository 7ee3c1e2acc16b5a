//! What is accepted and what is refused (SEMANTICS 2.1), and what plans look like.

use std::collections::BTreeMap;

use super::{Catalog, Fields, Plan, plan};
use crate::config::{parse_pipeline, parse_type};

const TABLES: [(&str, &str); 6] = [
    (
        "orders",
        "id string, user_id string, amount double, n int, tags list<string>, at timestamp, addr struct<city: string>",
    ),
    ("users", "user_id string, name string, boss_id string, Level int, active boolean"),
    ("shops", "shop_id bigint, owner_id string, n int"),
    ("clicks", "user_id string"),
    ("payments", "order_id string, user_id string, amount double, n bigint, status string, at timestamp"),
    ("shipments", "order_id string, payment_id string, user_id string, weight double"),
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
    planned_with(sql, "{type: immediate}")
}

fn planned_with(sql: &str, emission: &str) -> Result<Plan, Vec<String>> {
    let query = sql.replace('\n', "\n  ");
    let rest = format!("output: {{topic: out}}\nstate: {{dimensions: [users, shops]}}\nemission: {emission}\n");
    let yaml = format!("name: p\nquery: |\n  {query}\n{rest}");
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
        "SELECT s.n FROM orders o JOIN shops s ON o.id = CAST(s.shop_id AS VARCHAR) WHERE o.n = '1'",
        "WITH orders AS (SELECT * FROM orders WHERE n > 1) SELECT id FROM orders",
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
        ("SELECT name FROM users", "must be an event table"),
        ("SELECT count(*) FROM orders", "aggregate"),
        ("SELECT sum(amount) OVER (PARTITION BY id) FROM orders", "OVER"),
        ("SELECT nope FROM orders", "no column `nope`"),
        ("SELECT x.id FROM orders", "no table or column `x`"),
        ("SELECT user_id FROM orders o JOIN users u ON o.user_id = u.user_id", "could be any of"),
        ("SELECT uper(id) FROM orders", "no function `uper`"),
        ("SELECT id FROM orders WHERE at < now()", "gives another value each time"),
        ("SELECT id FROM orders WHERE random() > 0.5", "gives another value each time"),
        ("SELECT (SELECT max(n) FROM shops) AS m FROM orders", "stand for a value"),
        ("SELECT id, id FROM orders", "two output columns"),
        ("SELECT id + 1 AS x FROM orders WHERE amount", "a condition is true or false"),
        ("SELECT id FROM orders o JOIN users o ON o.user_id = o.user_id", "already a table `o`"),
        ("SELECT id FROM orders o JOIN (users u JOIN shops s ON u.Level = s.n) ON o.n = s.n", "parentheses"),
        ("SELECT id FROM generate_series(1, 2)", "only a topic"),
        ("SELECT id FROM orders WHERE unnest(tags) = 'a'", "UNNEST can't stand in WHERE"),
        ("SELECT unnest(id) AS x FROM orders", "unnest() takes a list"),
        ("SELECT id - tags AS x FROM orders", "can't be computed"),
        ("SELECT id FROM orders o JOIN shops s ON s.shop_id = o.id", "`bigint = string`: values of these types"),
        ("SELECT id FROM orders o JOIN shops s USING (n) JOIN payments USING (id)", "no column `id`"),
        ("SELECT o.id FROM orders o JOIN (SELECT Level AS id FROM users) u USING (id)", "`string = int`: values of"),
        ("SELECT id FROM orders WHERE n IN (SELECT name FROM users)", "`int = string`: values of these types"),
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

#[test]
fn event_tables_come_first_and_are_indexed_on_both_sides() {
    let plan = accepted(
        "SELECT o.id, u.name, s.weight FROM orders o JOIN users u ON o.user_id = u.user_id \
         JOIN payments p ON upper(o.id) = upper(p.order_id) AND p.status = 'ok' AND p.amount >= o.amount \
         LEFT JOIN shops h ON h.shop_id = p.n LEFT JOIN shipments s ON s.order_id = o.id AND s.user_id = p.user_id",
    );
    let names: Vec<_> = plan.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["orders", "payments", "shipments", "users", "shops"]);
    assert!(plan.tables.iter().enumerate().all(|(place, table)| table.id.index() == place));
    assert_eq!(plan.lookups.iter().map(|lookup| lookup.table.as_str()).collect::<Vec<_>>(), ["users", "shops"]);
    let [orders, payments, shipments] = &plan.events[..] else { panic!("{plan}") };
    assert_eq!((orders.indexes.len(), orders.computed.len()), (2, 1), "{plan}");
    assert_eq!((payments.indexes.len(), payments.computed.len()), (1, 1), "{plan}");
    let condition = payments.condition.as_ref().map(|condition| condition.text());
    assert_eq!(condition, Some("payments.status = 'ok'"));
    let join = payments.join.as_ref().expect("a join");
    assert_eq!(
        join.residual.as_ref().map(|it| it.text()),
        Some("payments.status = 'ok' AND payments.amount >= orders.amount")
    );
    let join = shipments.join.as_ref().expect("a join");
    assert_eq!((join.parent, join.left, join.parent_index, join.index), (0, true, 1, 0));
    assert_eq!(join.residual.as_ref().map(|it| it.text()), Some("payments.user_id = shipments.user_id"));
    assert!(join.keys[0].as_column().is_some() && join.parent_keys[0].as_column().is_some());
}

#[test]
fn the_parent_is_the_event_table_with_the_most_equalities() {
    let parent = |sql: &str| {
        let plan = accepted(sql);
        let join = plan.events[2].join.as_ref().expect("a join");
        (join.parent, join.keys.len(), join.residual.is_some())
    };
    let from = "SELECT o.id FROM orders o JOIN payments p ON p.order_id = o.id JOIN shipments s ON";
    let more = format!("{from} s.order_id = o.id AND s.order_id = p.order_id AND p.user_id = s.user_id");
    assert_eq!(parent(&more), (1, 2, true));
    assert_eq!(parent(&format!("{from} s.user_id = p.user_id AND s.order_id = o.id")), (1, 1, true));
    assert_eq!(parent(&format!("{from} s.order_id = o.id AND s.user_id = p.user_id")), (0, 1, true));
    assert_eq!(parent(&format!("{from} s.order_id = concat(o.id, p.user_id) AND s.user_id = p.user_id")), (1, 1, true));
}

#[test]
fn a_joined_event_table_may_be_a_sub_select() {
    let plan = accepted(
        "SELECT o.id, x.label, x.k FROM orders o LEFT JOIN (SELECT order_id, _key AS k, coalesce(status, '?') AS label \
         FROM payments WHERE amount > 0) x ON x.order_id = o.id AND x.label <> 'no' AND o.amount > 1",
    );
    let computed = plan
        .columns
        .iter()
        .any(|column| matches!(column, super::ColumnSource::Computed { part: super::Part::Event(1), .. }));
    assert!(computed, "{plan}");
    let condition = plan.events[1].condition.as_ref().map(|condition| condition.text());
    let label = "CASE WHEN payments.status IS NOT NULL THEN payments.status ELSE '?' END";
    assert_eq!(condition, Some(format!("payments.amount > 0 AND {label} != 'no'").as_str()));
    assert!(plan.condition.is_none() && plan.events[0].condition.is_none(), "a LEFT join's ON drops no driving row");
}

#[test]
fn both_sides_of_event_keys_have_one_type() {
    let plan = accepted("SELECT o.id FROM orders o JOIN payments p ON o.n = p.n AND o.id = p.order_id");
    let join = plan.events[1].join.as_ref().expect("a join");
    for (own, parent) in join.keys.iter().zip(&join.parent_keys) {
        assert_eq!(own.data_type(), parent.data_type());
    }
    assert_eq!((plan.events[0].computed.len(), plan.events[1].computed.len()), (1, 0), "{plan}");
}

#[test]
fn refused_event_joins() {
    let from = "SELECT o.id FROM orders o";
    for (sql, words) in [
        ("JOIN orders p ON o.id = p.id", "can't be joined with itself"),
        ("JOIN payments p ON p.order_id = o.id JOIN payments q ON q.order_id = o.id", "can't be joined with itself"),
        ("JOIN payments p ON p.status = 'x'", "no equality with one event table before it"),
        ("JOIN payments p ON p.amount > o.amount", "no equality with one event table before it"),
        (
            "JOIN payments p ON p.order_id = o.id JOIN shipments s ON s.order_id = concat(o.id, p.user_id)",
            "no equality with one event table before it",
        ),
        ("JOIN users u ON u.user_id = o.user_id JOIN payments p ON p.user_id = u.boss_id", "the dimension `users`"),
        (
            "JOIN users u ON u.user_id = o.user_id JOIN payments p ON p.order_id = o.id AND p.status = u.name",
            "the dimension `users`",
        ),
        ("LEFT JOIN (payments p JOIN users u ON p.user_id = u.user_id) ON p.order_id = o.id", "parentheses"),
        (
            "LEFT JOIN (SELECT p.order_id FROM payments p JOIN users u ON p.user_id = u.user_id) x ON x.order_id = o.id",
            "a join inside the right side",
        ),
        ("JOIN payments p ON p.order_id = o.id AND p.at < now()", "gives another value each time"),
        (
            "LEFT JOIN payments p ON p.order_id = o.id JOIN shipments s ON s.user_id = coalesce(p.user_id, '?')",
            "has a value where the LEFT join",
        ),
    ] {
        refused(&format!("{from} {sql}"), words);
    }
    accepted(&format!(
        "{from} LEFT JOIN payments p ON p.order_id = o.id JOIN shipments s ON s.user_id = upper(p.user_id)"
    ));
}

#[test]
fn a_required_column_depends_on_all_that_finds_it() {
    let sql = "SELECT o.id, u.name AS buyer, b.name AS boss, h.n, x.label, o.amount + coalesce(p.amount, 0) AS sum \
               FROM orders o LEFT JOIN payments p ON p.order_id = o.id \
               LEFT JOIN shipments t ON t.payment_id = p.user_id AND t.weight > o.amount \
               LEFT JOIN users u ON u.user_id = o.user_id LEFT JOIN users b ON b.user_id = u.boss_id \
               LEFT JOIN shops h ON h.shop_id = o.n AND h.n > t.weight \
               LEFT JOIN (SELECT user_id, upper(name) AS label FROM users) x ON x.user_id = o.user_id AND b.active";
    let all = "{type: smart, require: [boss, id, n, label, sum], max_wait: 10m, on_expire: emit}";
    let plan = planned_with(sql, all).unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    let super::Emission::Smart(smart) = &plan.emission else { panic!("{plan}") };
    let required: Vec<_> = smart.require.iter().map(|it| (it.output, it.lookups.clone(), it.events.clone())).collect();
    let expected = [
        (2, vec![0, 1], vec![0]),
        (0, vec![], vec![0]),
        (3, vec![2], vec![0, 1, 2]),
        (4, vec![0, 1, 3], vec![0]),
        (5, vec![], vec![0, 1]),
    ];
    assert_eq!(required, expected, "{plan}");
    assert_eq!((smart.max_wait_ms, smart.on_expire), (600_000, crate::config::OnExpire::Emit));
    let Ok(plan) = planned_with(sql, "{type: smart, require: [id]}") else { panic!() };
    let super::Emission::Smart(smart) = &plan.emission else { panic!("{plan}") };
    assert_eq!((smart.max_wait_ms, smart.on_expire), (3_600_000, crate::config::OnExpire::Drop));
}

/// The last look-up: what it does, its keys, and its residual.
fn last_lookup(plan: &Plan) -> (super::LookupKind, String, String) {
    let lookup = plan.lookups.last().expect("a look-up");
    let keys: Vec<_> = lookup.keys.iter().map(|key| key.text()).collect();
    (
        lookup.kind.clone(),
        keys.join(", "),
        lookup.residual.as_ref().map_or_else(String::new, |it| it.text().to_string()),
    )
}

#[test]
fn in_and_exists_are_look_ups_behind_the_joins() {
    use super::LookupKind::{Anti, NotIn, Semi};
    let from = "SELECT o.id FROM orders o JOIN shops s ON s.shop_id = o.n WHERE";
    for (condition, kind, keys, residual) in [
        ("user_id IN (SELECT user_id FROM users)", Semi, "orders.user_id", ""),
        ("(user_id IN (SELECT user_id FROM users WHERE active))", Semi, "orders.user_id", "users.active"),
        ("NOT user_id NOT IN (SELECT user_id FROM users)", Semi, "orders.user_id", ""),
        ("(s.owner_id, o.n) IN (SELECT u.name, u.Level FROM users u)", Semi, "shops.owner_id, orders.n", ""),
        (
            "EXISTS (SELECT 1 FROM users u WHERE u.user_id = o.user_id AND u.Level > o.n)",
            Semi,
            "orders.user_id",
            "orders.n < users.Level",
        ),
        ("NOT EXISTS (SELECT * FROM users WHERE user_id = o.user_id)", Anti, "orders.user_id", ""),
        ("NOT (EXISTS (SELECT * FROM users WHERE user_id = o.user_id))", Anti, "orders.user_id", ""),
        ("NOT NOT EXISTS (SELECT * FROM users WHERE user_id = o.user_id)", Semi, "orders.user_id", ""),
        (
            "EXISTS (SELECT * FROM (SELECT upper(name) AS who FROM users WHERE active) x WHERE x.who = o.id)",
            Semi,
            "orders.id",
            "users.active",
        ),
        ("user_id NOT IN (SELECT user_id FROM users)", NotIn { given: 1, null: 2 }, "orders.user_id", ""),
        (
            "NOT user_id IN (SELECT user_id FROM users WHERE active)",
            NotIn { given: 1, null: 2 },
            "orders.user_id",
            "users.active",
        ),
        (
            "o.n NOT IN (SELECT Level FROM users u WHERE u.user_id = o.user_id)",
            Anti,
            "orders.user_id",
            "orders.n = users.Level OR users.Level IS NULL OR orders.n IS NULL",
        ),
    ] {
        let plan = accepted(&format!("{from} {condition} AND o.amount > 1"));
        assert_eq!(last_lookup(&plan), (kind, keys.to_string(), residual.to_string()), "{condition}");
        assert_eq!(plan.lookups[0].table, "shops", "{condition}");
        assert_eq!(plan.events[0].condition.as_ref().map(|it| it.text()), Some("orders.amount > 1"), "{condition}");
        assert!(plan.condition.is_none(), "{condition}");
    }
}

#[test]
fn not_in_stores_which_rows_are_given_and_which_are_null() {
    let plan = accepted("SELECT id FROM orders WHERE n NOT IN (SELECT Level FROM users WHERE active)");
    let users = &plan.dimensions[0];
    assert_eq!(users.indexes, [vec![0], vec![2], vec![3]], "{plan}");
    let texts: Vec<_> = users.computed.iter().map(|computed| computed.text()).collect();
    let given = "CASE WHEN stored#1 THEN true END";
    assert_eq!(texts, [given, "CASE WHEN stored#1 AND stored#0 IS NULL THEN true END"]);
    assert_eq!(users.identity, super::IdentityRule::RecordKeyOr(Some(vec![0])), "joined on one column");
    let plan = accepted("SELECT id FROM orders WHERE n NOT IN (SELECT Level FROM users)");
    let given = &plan.dimensions[0].computed[0];
    let rows = given.evaluate(Vec::new(), 3).expect("a literal");
    assert_eq!((rows.len(), rows.null_count()), (3, 0), "{plan}");
}

#[test]
fn in_may_stand_in_a_driving_sub_select_and_share_a_joined_table() {
    let plan = accepted(
        "WITH known AS (SELECT user_id FROM users WHERE active) \
         SELECT o.id, u.name FROM (SELECT * FROM orders WHERE user_id IN (SELECT user_id FROM known)) o \
         LEFT JOIN users u ON u.user_id = o.user_id",
    );
    let kinds: Vec<_> = plan.lookups.iter().map(|lookup| lookup.kind.clone()).collect();
    assert_eq!(kinds, [super::LookupKind::Left, super::LookupKind::Semi]);
    assert_eq!((plan.dimensions.len(), plan.dimensions[0].indexes.len()), (1, 1));
    let is_of = |column: &&super::ColumnSource| {
        matches!(column, super::ColumnSource::Stored { part: super::Part::Lookup(0), .. })
    };
    assert_eq!(plan.columns.iter().filter(is_of).count(), 2, "{plan}");
}

#[test]
fn refused_in_and_exists() {
    for (condition, words) in [
        ("o.n > 1 OR user_id IN (SELECT user_id FROM users)", "combined by AND"),
        ("CASE WHEN user_id IN (SELECT user_id FROM users) THEN true END", "combined by AND"),
        ("NOT (o.n > 1 AND user_id IN (SELECT user_id FROM users))", "combined by AND"),
        ("user_id IN (SELECT user_id FROM clicks)", "looks into dimensions only"),
        ("EXISTS (SELECT 1 FROM orders p WHERE p.id = o.id)", "looks into dimensions only"),
        ("EXISTS (SELECT 1 FROM users)", "EXISTS has no equality"),
        ("EXISTS (SELECT 1 FROM users WHERE Level > o.n)", "EXISTS has no equality"),
        ("EXISTS (SELECT 1 FROM users WHERE user_id = user_id)", "EXISTS has no equality"),
        ("'a' IN (SELECT user_id FROM users)", "IN has no equality"),
        ("(user_id, n) NOT IN (SELECT user_id, Level FROM users)", "NOT IN has no equality"),
        ("n NOT IN (SELECT Level FROM users WHERE Level > o.n)", "NOT IN has no equality"),
        ("user_id IN (SELECT user_id, name FROM users)", "1 column with a sub-select of 2 columns"),
        ("user_id IN (SELECT max(user_id) FROM users)", "aggregate"),
        ("user_id IN (SELECT DISTINCT user_id FROM users)", "DISTINCT"),
        ("user_id IN (SELECT u.user_id FROM users u JOIN shops s ON s.owner_id = u.user_id)", "a join inside of IN"),
        ("user_id IN (SELECT user_id FROM users WHERE Level IN (SELECT n FROM shops))", "inside of another sub-select"),
        ("tags IN (SELECT active FROM users)", "can't be compared"),
        ("user_id IN (SELECT nope FROM users)", "no column `nope`"),
        ("o.n > (SELECT max(n) FROM shops)", "stand for a value"),
        ("EXISTS (SELECT 1 FROM users u WHERE u.user_id = o.user_id AND u.id = 'x')", "no column `id` in `u`"),
    ] {
        refused(&format!("SELECT o.id FROM orders o WHERE {condition}"), words);
    }
    let both = "n IN (SELECT name FROM users) AND EXISTS (SELECT 1 FROM users) AND EXISTS (SELECT 1 FROM clicks)";
    let mistakes = planned(&format!("SELECT id FROM orders WHERE {both}")).expect_err("three mistakes");
    assert_eq!(mistakes.len(), 3, "{}", mistakes.join("\n"));
    refused("SELECT user_id IN (SELECT user_id FROM users) AS known FROM orders", "combined by AND");
    let on = "u.user_id = o.user_id AND o.n IN (SELECT n FROM shops)";
    refused(&format!("SELECT o.id FROM orders o JOIN users u ON {on}"), "combined by AND");
}
