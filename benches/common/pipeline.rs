//! Pipelines of benchmarks: from YAML to a plan as `kaflowsql run` gets there.

use std::sync::Arc;

use kaflowsql::config::{Pipeline, parse_pipeline};
use kaflowsql::plan::{Catalog, Plan, plan};

/// What both tables look like; five of an event's ten fields are named, and so decoded.
const TABLES: &str = "
sources:
  events:
    schema: { user_id: string, merchant_id: string, amount: double, quantity: bigint, created_at: timestamp }
  users:
    schema: { user_id: string, name: string, email: string, city: string, level: bigint, since: bigint,
              score: double, balance: double }
output: { topic: out, key: user_id }
";

/// The pipeline of `query` over `events` and, if it reads them, `users`.
pub fn planned(query: &str) -> (Arc<Plan>, Pipeline) {
    let users = query.contains("users");
    let dimensions = if users { "state: { dimensions: [{ table: users, key: [user_id] }] }\n" } else { "" };
    let tables = if users { TABLES.to_string() } else { without_users() };
    let yaml = format!("name: bench\nquery: >\n  {}\n{tables}{dimensions}", query.replace('\n', " "));
    let pipeline = parse_pipeline("bench.yaml", yaml, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let schemas = pipeline.sources.iter();
    let fields = schemas.map(|(name, source)| (name.clone(), source.schema.clone().expect("each table declares one")));
    match plan(&pipeline, &fields.collect(), 3_600_000, &Catalog::new()) {
        Ok(plan) => (Arc::new(plan), pipeline),
        Err(mistakes) => panic!("{}", mistakes.into_iter().map(|mistake| mistake.message).collect::<String>()),
    }
}

/// A table that the query does not read may not be declared.
fn without_users() -> String {
    let (before, after) = TABLES.split_once("  users:").expect("TABLES declares users");
    let (_, output) = after.split_once("output:").expect("TABLES declares an output");
    format!("{before}output:{output}")
}
