//! The queries that engine and DuckDB both answer. DuckDB's has more: each table is narrowed to one history, and each
//! event table to the time that SEMANTICS 2.3 names. Marks in the text say where.

use super::histories::{Kind, LATENESS_MS};

/// How long rows live, ms.
const TTLS_MS: [(&str, i64); 3] = [("d", 12_000), ("s", 20_000), ("t", 7_000)];

/// A query with marks: `{h}` at the start of SELECT; `{s}` where a condition narrows table `s`.
pub struct Question {
    pub kind: Kind,
    marked: &'static str,
    /// What DuckDB is asked where this is not the same with marks, or where it means something else by the same words.
    judged: Option<&'static str>,
    /// Columns that are required.
    require: Option<&'static str>,
}

fn loaded(marked: &'static str) -> Question {
    Question { kind: Kind::Loaded, marked, judged: None, require: None }
}

fn one_batch(marked: &'static str) -> Question {
    Question { kind: Kind::OneBatch, ..loaded(marked) }
}

fn late(marked: &'static str, require: &'static str, judged: &'static str) -> Question {
    Question { kind: Kind::Late, judged: Some(judged), require: Some(require), ..loaded(marked) }
}

impl Question {
    /// The query as the engine is asked.
    pub fn sql(&self) -> String {
        without_marks(self.marked)
    }

    /// The pipeline.
    pub fn yaml(&self) -> String {
        let (sql, mut yaml) = (self.sql(), "name: duckdb\noutput: {topic: out}\nsources:\n".to_string());
        let reads = |table: &str| sql.split(|c: char| !c.is_alphanumeric()).any(|word| word == table);
        let read = |tables: &[&'static str]| tables.iter().copied().filter(|table| reads(table)).collect::<Vec<_>>();
        let (events, dimensions) = (read(&["d", "s", "t"]), read(&["users", "teams"]));
        events.iter().for_each(|table| yaml += &format!("  {table}: {{schema: {{id: int, a: int, b: int}}}}\n"));
        for table in &dimensions {
            yaml += &format!("  {table}: {{schema: {{id: int, key: int, level: int, team: int}}}}\n");
        }
        let ttls = TTLS_MS.iter().filter(|(table, _)| events.contains(table));
        let ttls: Vec<_> = ttls.map(|(table, ttl_ms)| format!("{table}: {ttl_ms}ms")).collect();
        yaml += &format!(
            "state: {{dimensions: [{}], events: {{overrides: {{{}}}, lateness: {LATENESS_MS}ms}}}}\n",
            dimensions.join(", "),
            ttls.join(", ")
        );
        if let Some(require) = self.require {
            yaml += &format!("emission: {{type: smart, require: [{require}], max_wait: 30d}}\n");
        }
        yaml + &format!("query: {}\n", serde_json::Value::from(sql))
    }

    /// The query as DuckDB is asked.
    pub fn judged(&self) -> String {
        let driving_ttl_ms = TTLS_MS[0].1;
        let mut sql = self.judged.unwrap_or(self.marked).replace("{h}", "d.h AS h, ");
        for (table, ttl_ms) in TTLS_MS {
            let alive = format!("{table}.time - d.time BETWEEN -{ttl_ms} AND {driving_ttl_ms}");
            sql = sql.replace(&format!("{{{table}}}"), &format!(" AND {table}.h = d.h AND {alive}"));
        }
        for dimension in ["u", "m", "users"] {
            sql = sql.replace(&format!("{{{dimension}}}"), &format!(" AND {dimension}.h = d.h"));
        }
        sql
    }
}

fn without_marks(marked: &str) -> String {
    let mut parts = marked.split('{');
    let first = parts.next().unwrap_or_default().to_string();
    first + &parts.map(|part| part.split_once('}').expect("a mark ends").1).collect::<String>()
}

/// All questions.
pub fn all() -> Vec<Question> {
    let mut all = event_joins();
    all.extend(memberships());
    all.extend(dimensions());
    all.extend(rows_that_wait());
    all
}

fn event_joins() -> Vec<Question> {
    vec![
        loaded("SELECT {h}d.id AS d, s.id AS s FROM d JOIN s ON d.a = s.a{s} WHERE d.b <> 2"),
        loaded("SELECT {h}d.id AS d, s.id AS s FROM d JOIN s ON d.a = s.a AND s.b <> d.b{s}"),
        loaded("SELECT {h}d.id AS d, s.id AS s FROM d JOIN s ON s.a + 1 = d.a AND s.b >= 1{s}"),
        loaded("SELECT {h}d.id AS d, s.id AS s FROM d JOIN s ON d.a = s.a AND coalesce(d.b, 9) = coalesce(s.b, 9){s}"),
        loaded("SELECT {h}d.id AS d, s.id AS s, t.id AS t FROM d JOIN s ON d.a = s.a{s} JOIN t ON d.b = t.b{t}"),
        loaded("SELECT {h}d.id AS d, s.id AS s, t.id AS t FROM d JOIN s ON d.a = s.a{s} JOIN t ON s.b = t.b{t}"),
        loaded(
            "SELECT {h}d.id AS d, s.id AS s, t.id AS t FROM d JOIN s ON d.a = s.a{s} JOIN t ON t.b = s.b AND t.a + s.a <> d.b{t} WHERE t.id > 3 OR s.b IS NOT NULL",
        ),
        one_batch("SELECT {h}d.id AS d, s.id AS s FROM d LEFT JOIN s ON d.a = s.a AND s.b <> d.b{s}"),
        one_batch(
            "SELECT {h}d.id AS d, s.id AS s, t.id AS t FROM d LEFT JOIN s ON d.a = s.a{s} LEFT JOIN t ON s.b = t.b{t}",
        ),
        one_batch(
            "SELECT {h}d.id AS d, s.id AS s, t.id AS t FROM d LEFT JOIN s ON d.a = s.a AND d.b > 0{s} JOIN t ON d.b = t.b{t} WHERE s.b IS NULL OR s.b < 3",
        ),
    ]
}

fn memberships() -> Vec<Question> {
    vec![
        loaded("SELECT {h}d.id AS d FROM d WHERE d.a IN (SELECT key FROM users WHERE level > 0{users})"),
        loaded("SELECT {h}d.id AS d FROM d WHERE d.a NOT IN (SELECT key FROM users WHERE level > 0{users})"),
        loaded("SELECT {h}d.id AS d FROM d WHERE d.a NOT IN (SELECT u.level FROM users u WHERE u.team = d.b{u})"),
        loaded(
            "SELECT {h}d.id AS d FROM d WHERE NOT (d.a + 0 IN (SELECT u.key FROM users u WHERE u.team = d.b AND u.level <> 1{u}))",
        ),
        loaded(
            "SELECT {h}d.id AS d FROM d WHERE EXISTS (SELECT 1 FROM users u WHERE u.key = d.a AND u.level <> d.b{u})",
        ),
        loaded(
            "SELECT {h}d.id AS d FROM d WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.key = d.a AND u.team > 0{u})",
        ),
        Question {
            judged: Some(
                // DuckDB compares rows as wholes: with NULL in one place they are not unknown but different.
                "SELECT d.h AS h, d.id AS d FROM d WHERE NOT EXISTS (FROM users u WHERE u.h = d.h AND u.team = d.b AND (d.a = u.key AND d.b = u.level) IS NOT FALSE)",
            ),
            ..loaded(
                "SELECT {h}d.id AS d FROM d WHERE (d.a, d.b) NOT IN (SELECT u.key, u.level FROM users u WHERE u.team = d.b)",
            )
        },
        loaded(
            "SELECT {h}d.id AS d, s.id AS s, m.id AS m FROM d JOIN s ON d.a = s.a{s} LEFT JOIN teams m ON m.key = s.b{m} WHERE s.b NOT IN (SELECT u.team FROM users u WHERE u.key = d.a{u}) AND (m.level IS NULL OR m.level > 0)",
        ),
    ]
}

fn dimensions() -> Vec<Question> {
    vec![
        loaded("SELECT {h}d.id AS d, u.id AS u FROM d LEFT JOIN users u ON d.a = u.key AND u.level <> d.b{u}"),
        loaded(
            "SELECT {h}d.id AS d, u.id AS u, m.id AS m FROM d LEFT JOIN users u ON d.a = u.key{u} LEFT JOIN teams m ON u.team = m.key AND m.level >= u.level{m} WHERE u.level IS DISTINCT FROM 1",
        ),
        loaded(
            "SELECT {h}d.id AS d, u.id AS u, m.id AS m FROM d JOIN users u ON d.a = u.key AND d.b = u.team{u} LEFT JOIN users m ON m.team = u.level{m}",
        ),
        loaded(
            "SELECT {h}d.id AS d, s.id AS s, u.id AS u, m.id AS m FROM d JOIN s ON d.a = s.a{s} LEFT JOIN users u ON s.b = u.key{u} JOIN teams m ON d.b = m.key{m}",
        ),
        one_batch(
            "SELECT {h}d.id AS d, s.id AS s, u.id AS u FROM d LEFT JOIN s ON d.a = s.a{s} LEFT JOIN users u ON coalesce(s.b, d.b) = u.key{u} WHERE u.level IS NULL OR u.level <> 1",
        ),
    ]
}

fn rows_that_wait() -> Vec<Question> {
    vec![
        late(
            "SELECT d.id AS d, u.level AS level FROM d LEFT JOIN users u ON d.a = u.key WHERE u.level <> d.b",
            "level",
            "SELECT {h}d.id AS d, u.level AS level FROM d JOIN users u ON d.a = u.key{u} WHERE u.level <> d.b",
        ),
        late(
            "SELECT d.id AS d, s.id AS s, u.level AS level FROM d JOIN s ON d.a = s.a JOIN users u ON s.b = u.key AND u.level <> d.b",
            "level",
            "SELECT {h}d.id AS d, s.id AS s, u.level AS level FROM d JOIN s ON d.a = s.a{s} JOIN users u ON s.b = u.key AND u.level <> d.b{u}",
        ),
        late(
            "SELECT d.id AS d, m.level AS level, u.level AS own FROM d LEFT JOIN users u ON d.a = u.key LEFT JOIN teams m ON u.team = m.key",
            "level, own",
            "SELECT {h}d.id AS d, m.level AS level, u.level AS own FROM d JOIN users u ON d.a = u.key{u} JOIN teams m ON u.team = m.key{m} WHERE m.level IS NOT NULL AND u.level IS NOT NULL",
        ),
        late(
            "SELECT d.id AS d, s.id AS s, u.level AS level FROM d LEFT JOIN s ON d.a = s.a LEFT JOIN users u ON s.b = u.key",
            "s, level",
            "SELECT {h}d.id AS d, s.id AS s, u.level AS level FROM d JOIN s ON d.a = s.a{s} JOIN users u ON s.b = u.key{u} WHERE u.level IS NOT NULL",
        ),
    ]
}
