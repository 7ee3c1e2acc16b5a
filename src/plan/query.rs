//! A planned pipeline: what the engine runs.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;

use super::bind::{Binder, Bound, Fields, is_failed};
use super::catalog::Catalog;
use super::compile::{compile, missing_outputs};
use super::mistake::{Mistake, Place, nearest};
use super::parse::{parse, plain_select, tables_of};
use super::table::Table;
use super::tokens::Tokens;
use crate::batch::TableId;
use crate::config::Pipeline;
use crate::expression::Expression;

/// A planned pipeline.
#[derive(Debug)]
pub struct Plan {
    /// The tables; the driving table is the first.
    pub tables: Vec<Table>,
    /// What is remembered of each dimension, in the order of `tables`.
    pub dimensions: Vec<Dimension>,
    /// The columns of a joined row, by number: what expressions read.
    pub columns: Vec<ColumnSource>,
    /// Their names for a person.
    pub names: Vec<String>,
    /// Conditions of WHERE on driving columns alone: asked before the joins.
    pub driving_condition: Option<Expression>,
    /// The joins, in order.
    pub lookups: Vec<Lookup>,
    /// The other conditions of WHERE: asked after the joins.
    pub condition: Option<Expression>,
    /// The result's columns.
    pub outputs: Vec<OutputColumn>,
    /// The output column that is the record key.
    pub key: Option<usize>,
}

/// What a column of a joined row is.
#[derive(Debug)]
pub enum ColumnSource {
    /// A decoded column of the driving table.
    Driving(usize),
    /// A column of the dimension row that a look-up found.
    Dimension {
        /// The look-up.
        lookup: usize,
        /// The stored column.
        column: usize,
    },
    /// An expression of a joined sub-select: NULL where its look-up finds nothing.
    Computed {
        /// The look-up.
        lookup: usize,
        /// Over columns of the joined row.
        expression: Expression,
    },
    /// The elements of a list, one a row.
    Unnest(Expression),
    /// The batch's time.
    Now,
}

/// What is remembered of a dimension.
#[derive(Debug)]
pub struct Dimension {
    /// The table.
    pub table: TableId,
    /// Expressions over the table's columns that are stored behind them, because an index needs them.
    pub computed: Vec<Expression>,
    /// The stored columns that each index is on.
    pub indexes: Vec<Vec<usize>>,
    /// What names its rows.
    pub identity: IdentityRule,
}

/// What names the rows of a dimension (SEMANTICS 1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRule {
    /// The declared key: these stored columns.
    Declared(Vec<usize>),
    /// The record's key; of records without keys the joined columns, if they are one set of plain columns.
    RecordKeyOr(Option<Vec<usize>>),
}

/// A join with a dimension.
#[derive(Debug)]
pub struct Lookup {
    /// The dimension: its place in `Plan::dimensions`.
    pub dimension: usize,
    /// The table's name.
    pub table: String,
    /// Which of its indexes is probed.
    pub index: usize,
    /// LEFT, or INNER.
    pub left: bool,
    /// What it is probed with, over columns of the joined row before it.
    pub keys: Vec<Expression>,
    /// What a match must fulfil besides, over columns of the joined row up to it.
    pub residual: Option<Expression>,
}

/// A column of the result.
#[derive(Debug)]
pub struct OutputColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    pub data_type: DataType,
    /// What it is, over columns of the joined row.
    pub expression: Expression,
}

/// Plans a pipeline; `fields` are the columns of its tables, declared or inferred.
///
/// # Errors
/// With all mistakes that were found.
pub fn plan(
    pipeline: &Pipeline,
    fields: &BTreeMap<String, Fields>,
    process_ttl_ms: i64,
    catalog: &Catalog,
) -> Result<Plan, Vec<Mistake>> {
    let query = parse(&pipeline.query).map_err(|mistake| vec![mistake])?;
    let dimensions: BTreeSet<_> = pipeline.dimensions.iter().map(|dimension| dimension.table.clone()).collect();
    let read = tables_of(&query);
    let tokens = Tokens::of(&pipeline.query);
    let mut binder = Binder {
        catalog,
        fields,
        tokens: &tokens,
        dimensions: &dimensions,
        bound: Bound::default(),
        lacks_outputs: false,
        mistakes: Vec::new(),
    };
    binder.mistakes.extend(unread_tables(pipeline, &read));
    binder.bind(&query);
    let Binder { bound, lacks_outputs, mut mistakes, .. } = binder;
    if !mistakes.is_empty() {
        if !lacks_outputs && !bound.outputs.is_empty() {
            let failed = bound.outputs.iter().filter(|output| is_failed(&output.expr));
            let failed: Vec<_> = failed.map(|output| output.name.as_str()).collect();
            mistakes.extend(missing_outputs(&bound, pipeline, &failed));
        }
        for mistake in &mut mistakes {
            if let Place::Query(span) = &mut mistake.place {
                *span = tokens.closed(*span);
            }
        }
        return Err(mistakes);
    }
    let compiled = compile(bound, pipeline, fields, process_ttl_ms);
    match compiled {
        Ok(plan) => Ok(plan),
        Err(more) => {
            mistakes.extend(more);
            Err(mistakes)
        }
    }
}

/// What is wrong whatever the columns of the tables are.
pub fn check_without_columns(pipeline: &Pipeline) -> Vec<Mistake> {
    let query = match parse(&pipeline.query) {
        Ok(query) => query,
        Err(mistake) => return vec![mistake],
    };
    let mut mistakes = unread_tables(pipeline, &tables_of(&query));
    plain_select(&query, &Tokens::of(&pipeline.query), &mut mistakes);
    mistakes
}

/// Settings for tables that the query does not read: most likely misspelled.
fn unread_tables(pipeline: &Pipeline, read: &BTreeSet<String>) -> Vec<Mistake> {
    if read.is_empty() {
        // Then that is the mistake.
        return Vec::new();
    }
    let names: Vec<&str> = read.iter().map(String::as_str).collect();
    let unread = |name: &str, mistake: &dyn Fn(String) -> Mistake| {
        let help = match nearest(name, names.iter().copied()) {
            Some(near) if pipeline.sources.contains_key(near) => format!("did you mean `{near}`?"),
            Some(near) => format!("the query reads `{near}`: one of them is misspelled"),
            None => format!("leave it out, or join it; the query reads {}", names.join(", ")),
        };
        (!read.contains(name)).then(|| mistake(format!("the query reads no table `{name}`")).help(help))
    };
    let mut mistakes = Vec::new();
    for (place, dimension) in pipeline.dimensions.iter().enumerate() {
        let place = place.to_string();
        let at = |message| Mistake::at(&["state", "dimensions", &place], message);
        mistakes.extend(unread(&dimension.table, &at));
    }
    for name in pipeline.sources.keys() {
        mistakes.extend(unread(name, &|message| Mistake::at_key(&["sources", name], message)));
    }
    for name in pipeline.events.overrides_ms.keys() {
        let at = |message| Mistake::at_key(&["state", "events", "overrides", name], message);
        mistakes.extend(unread(name, &at));
    }
    mistakes
}
