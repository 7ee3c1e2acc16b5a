//! Pipelines of benchmarks: from YAML to a plan as `kaflowsql run` gets there.

use std::sync::Arc;

use kaflowsql::config::{Pipeline, parse_pipeline};
use kaflowsql::plan::{Catalog, Plan, plan};

/// The fields of an event: five of ten are named, and so decoded.
const EVENT: &str = "{ user_id: string, merchant_id: string, amount: double, quantity: bigint, created_at: timestamp }";
/// The fields of a user.
const USER: &str = "{ user_id: string, name: string, email: string, city: string, level: bigint, since: bigint, \
                    score: double, balance: double }";

/// The pipeline of `query` over some of `events`, `users` (a dimension), `orders` and `payments` (events both); the output
/// has a column `user_id`. `more` are further settings.
pub fn planned(query: &str, more: &str) -> (Arc<Plan>, Pipeline) {
    let mut yaml = format!("name: bench\nquery: >\n  {}\n", query.replace('\n', " "));
    yaml += "output: { topic: out, key: user_id }\nsources:\n";
    for (table, fields) in [("events", EVENT), ("users", USER), ("orders", EVENT), ("payments", EVENT)] {
        // A table that the query does not read may not be declared.
        if query.contains(table) {
            yaml += &format!("  {table}: {{ schema: {fields} }}\n");
        }
    }
    yaml += more;
    let pipeline = parse_pipeline("bench.yaml", yaml, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let schemas = pipeline.sources.iter();
    let fields = schemas.map(|(name, source)| (name.clone(), source.schema.clone().expect("each table declares one")));
    match plan(&pipeline, &fields.collect(), 3_600_000, &Catalog::new()) {
        Ok(plan) => (Arc::new(plan), pipeline),
        Err(mistakes) => panic!("{}", mistakes.into_iter().map(|mistake| mistake.message).collect::<String>()),
    }
}
