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
use crate::config::{OnExpire, Pipeline};
use crate::expression::Expression;

/// A planned pipeline.
#[derive(Debug)]
pub struct Plan {
    /// The tables: the event tables in the order of `events`, then the dimensions in the order of `dimensions`.
    pub tables: Vec<Table>,
    /// The event tables: the driving table, then those joined to it in the order of the query.
    pub events: Vec<Event>,
    /// What is remembered of each dimension.
    pub dimensions: Vec<Dimension>,
    /// The columns of a joined row, by number: what expressions read.
    pub columns: Vec<ColumnSource>,
    /// Their names for a person.
    pub names: Vec<String>,
    /// The look-ups in dimensions, in the order of the query; those of IN and EXISTS behind the joins.
    pub lookups: Vec<Lookup>,
    /// The other conditions of WHERE: asked after the joins.
    pub condition: Option<Expression>,
    /// The result's columns.
    pub outputs: Vec<OutputColumn>,
    /// The output column that is the record key.
    pub key: Option<usize>,
    /// When result rows come out.
    pub emission: Emission,
}

/// One of the rows that a joined row consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The row of an event table: its place in `Plan::events`.
    Event(usize),
    /// The row that a look-up found: its place in `Plan::lookups`.
    Lookup(usize),
}

/// What a column of a joined row is.
#[derive(Debug)]
pub enum ColumnSource {
    /// A column of one of its rows: NULL where there is none.
    Stored {
        /// Which row.
        part: Part,
        /// The column's place in `Table::columns`.
        column: usize,
    },
    /// An expression of a joined sub-select: NULL where the join finds nothing.
    Computed {
        /// The row that the join finds.
        part: Part,
        /// Over columns of the joined row.
        expression: Expression,
    },
    /// The elements of a list, one a row.
    Unnest(Expression),
    /// The batch's time.
    Now,
}

/// An event table of the query.
#[derive(Debug)]
pub struct Event {
    /// The table.
    pub table: TableId,
    /// Conditions on this table's columns alone, over columns of the joined row: a row for which they are false is neither
    /// joined nor remembered. Of the driving table those in WHERE; of another one those in its ON clause.
    pub condition: Option<Expression>,
    /// Expressions over the table's columns that are stored behind them, because an index needs them.
    pub computed: Vec<Expression>,
    /// The stored columns that each index is on; none if the table's rows need not be remembered.
    pub indexes: Vec<Vec<usize>>,
    /// How long its rows live, ms.
    pub ttl_ms: i64,
    /// How far behind the table's stream time a row may be before it is late, ms.
    pub lateness_ms: i64,
    /// How it is joined; the driving table is not.
    pub join: Option<EventJoin>,
}

/// A join of an event table with one of the event tables before it, its parent (SEMANTICS 2.3).
#[derive(Debug)]
pub struct EventJoin {
    /// The parent's place in `Plan::events`.
    pub parent: usize,
    /// LEFT, or INNER.
    pub left: bool,
    /// What this table's index is probed with, over the parent's columns of the joined row.
    pub parent_keys: Vec<Expression>,
    /// Which index of this table that is.
    pub index: usize,
    /// What the parent's index is probed with, over this table's columns of the joined row.
    pub keys: Vec<Expression>,
    /// Which index of the parent that is.
    pub parent_index: usize,
    /// What a match must fulfil besides, over the event columns of the joined row up to this table.
    pub residual: Option<Expression>,
}

/// When result rows come out (SEMANTICS 3).
#[derive(Debug)]
pub enum Emission {
    /// When they are formed.
    Immediate,
    /// When nothing is missing that is required.
    Smart(Smart),
}

/// What `emission: {type: smart}` says.
#[derive(Debug)]
pub struct Smart {
    /// The output columns that may not be NULL.
    pub require: Vec<Required>,
    /// How long a combination waits for them, ms.
    pub max_wait_ms: i64,
    /// What becomes of it then.
    pub on_expire: OnExpire,
}

/// An output column that may not be NULL.
#[derive(Debug)]
pub struct Required {
    /// Its place in `Plan::outputs`.
    pub output: usize,
    /// The look-ups on which it depends, by its columns, by their keys and conditions, and so on; ascending.
    pub lookups: Vec<usize>,
    /// The event tables on which it depends likewise, places in `Plan::events`; ascending.
    pub events: Vec<usize>,
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

/// What a look-up does with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// INNER: it becomes one row a match.
    Inner,
    /// LEFT: likewise, or a row with NULL where there is no match.
    Left,
    /// IN and EXISTS: it stays if there is a match.
    Semi,
    /// NOT EXISTS and NOT IN: it stays if there is no match.
    Anti,
    /// NOT IN with a sub-select that does not look at the row: it stays if its key is not NULL, there is no match, and the
    /// sub-select gives no NULL; or if the sub-select gives nothing. Both are indexes on a stored column that is true for such rows, and NULL
    /// for others.
    NotIn {
        /// The index of rows that the sub-select gives.
        given: usize,
        /// The index of rows for which it gives NULL.
        null: usize,
    },
}

/// A look-up in a dimension.
#[derive(Debug)]
pub struct Lookup {
    /// The dimension: its place in `Plan::dimensions`.
    pub dimension: usize,
    /// The table's name.
    pub table: String,
    /// Which of its indexes is probed.
    pub index: usize,
    /// What it does with a row.
    pub kind: LookupKind,
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
