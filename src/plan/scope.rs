//! Which columns an expression can name, and what each stands for.

use std::ops::Range;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::DFSchema;
use datafusion_expr::Expr;

use super::mistake::did_you_mean;

/// The columns in sight, in the order of `SELECT *`.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The columns of all relations.
    pub columns: Vec<ScopeColumn>,
    /// Of a sub-select that may name columns of the query around it: how many are its own, which hide the others.
    pub own: Option<usize>,
}

/// A column in sight.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// The table or alias that it belongs to.
    pub relation: String,
    /// Its name there.
    pub name: String,
    /// What it stands for, in base columns.
    pub expr: Expr,
    /// Its Arrow type.
    pub data_type: DataType,
    /// The table that it is read from, where it is a table's own.
    pub table: Option<String>,
    /// `_key` and the like: not part of `*`.
    pub hidden: bool,
    /// The right side of a USING column: only in sight by its qualified name, and not part of `*`.
    pub merged: bool,
}

/// Why a name stands for no column.
#[derive(Debug, PartialEq)]
pub struct Unresolved {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Scope {
    /// The names that an expression over this scope is planned with: column `index` is called `name_of(index)`.
    pub fn name_of(index: usize) -> String {
        format!("column#{index}")
    }

    /// The scope as DataFusion's planner wants it, under the names of `name_of`.
    pub fn df_schema(&self) -> DFSchema {
        let fields: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Field::new(Self::name_of(index), column.data_type.clone(), true))
            .collect();
        DFSchema::try_from(Schema::new(fields)).expect("BUG: names of scope columns are unique")
    }

    /// Puts the names of the query back into a message of the planner's.
    pub fn humanize(&self, message: &str) -> String {
        let mut text = message.to_string();
        for (index, column) in self.columns.iter().enumerate().rev() {
            text = text.replace(&Self::name_of(index), &format!("{}.{}", column.relation, column.name));
        }
        text
    }

    /// This scope inside of `outer`, whose columns are in sight too.
    pub fn within(mut self, outer: &Scope) -> Self {
        self.own = Some(self.columns.len());
        self.columns.extend(outer.columns.iter().cloned());
        self
    }

    /// The places of the columns that are its own.
    pub fn own(&self) -> Range<usize> {
        0..self.own.unwrap_or(self.columns.len())
    }

    /// Whether a relation of this name is in sight.
    pub fn has_relation(&self, name: &str) -> bool {
        self.columns.iter().any(|column| same(&column.relation, name, false))
    }

    /// What the table `name` is called here, if it has another name.
    pub fn alias_of(&self, name: &str) -> Option<&str> {
        let is_of = |column: &&ScopeColumn| column.table.as_deref().is_some_and(|table| same(table, name, false));
        self.columns.iter().find(is_of).map(|column| column.relation.as_str())
    }

    /// The names of the relations in sight.
    pub fn relations(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for column in &self.columns {
            if names.last() != Some(&column.relation.as_str()) {
                names.push(&column.relation);
            }
        }
        names
    }

    /// The place of the column that `relation.name`, or `name` alone, stands for. `quoted`: letters' case counts.
    pub fn resolve(&self, relation: Option<&str>, name: &str, quoted: bool) -> Result<usize, Unresolved> {
        let own = &self.columns[self.own()];
        let is_known = |column: &ScopeColumn| match relation {
            Some(relation) => same(&column.relation, relation, false),
            None => same(&column.name, name, quoted) && !column.merged,
        };
        // What a sub-select has itself hides what is around it.
        let is_own = self.own.is_some() && own.iter().any(is_known);
        self.resolve_among(if is_own { self.own() } else { 0..self.columns.len() }, relation, name, quoted)
    }

    fn resolve_among(
        &self,
        among: Range<usize>,
        relation: Option<&str>,
        name: &str,
        quoted: bool,
    ) -> Result<usize, Unresolved> {
        let in_relation = |column: &&ScopeColumn| match relation {
            Some(relation) => same(&column.relation, relation, false),
            None => !column.merged,
        };
        let found = |exact: bool| -> Vec<usize> {
            among
                .clone()
                .filter(|&index| in_relation(&&self.columns[index]) && same(&self.columns[index].name, name, exact))
                .collect()
        };
        let mut places = found(true);
        if places.is_empty() && !quoted {
            places = found(false);
        }
        match places[..] {
            [place] => Ok(place),
            [] => {
                let known: Vec<_> =
                    self.columns.iter().filter(in_relation).filter(|c| !c.hidden).map(|c| c.name.as_str()).collect();
                let of = relation.map(|relation| format!(" in `{relation}`")).unwrap_or_default();
                let elsewhere = self.columns.iter().find(|column| same(&column.name, name, false) && !column.hidden);
                let help = match elsewhere.filter(|_| relation.is_some()) {
                    Some(column) => format!("did you mean `{}.{}`?", column.relation, column.name),
                    None => did_you_mean(name, known.iter().copied()),
                };
                Err(Unresolved { message: format!("there is no column `{name}`{of}"), help })
            }
            _ => {
                let spelled: Vec<_> = places
                    .iter()
                    .map(|&place| format!("`{}.{}`", self.columns[place].relation, self.columns[place].name))
                    .collect();
                let message = format!("`{name}` could be any of {}", spelled.join(", "));
                Err(Unresolved { message, help: "write the table's name before it".into() })
            }
        }
    }
}

fn same(left: &str, right: &str, exact: bool) -> bool {
    if exact { left == right } else { left.eq_ignore_ascii_case(right) }
}
