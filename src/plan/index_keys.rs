//! Which columns of a table are indexed, and which expressions must be stored for that.

use std::collections::BTreeSet;

use datafusion_common::Column as DfColumn;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::{Expr, lit, when};

use super::base::{Base, BaseSource};
use super::compile::Compiler;
use super::join_clause::all_of;
use super::query::{Dimension, IdentityRule};
use super::table::{Column, Table};
use crate::expression::Expression;

/// The indexes of one table while the joins are gone through.
pub(super) struct TableKeys {
    table: usize,
    plain: usize,
    computed: Vec<(Expr, Expression)>,
    indexes: Vec<Vec<usize>>,
    /// The indexes that tell rows by a condition: they say nothing about what names a row.
    by_condition: BTreeSet<usize>,
}

impl TableKeys {
    pub(super) fn new(compiler: &Compiler<'_>, table: usize) -> Self {
        Self {
            table,
            plain: compiler.tables[table].columns.len(),
            computed: Vec::new(),
            indexes: Vec::new(),
            by_condition: BTreeSet::new(),
        }
    }

    /// The index on `keys` (over base columns of any occurrence of the table), made if there is none yet.
    pub(super) fn index_on(&mut self, compiler: &Compiler<'_>, keys: &[Expr]) -> Result<usize, String> {
        let stored = keys.iter().map(|key| self.stored(compiler, key)).collect::<Result<Vec<_>, _>>()?;
        let known = self.indexes.iter().position(|index| *index == stored);
        Ok(known.unwrap_or_else(|| {
            self.indexes.push(stored);
            self.indexes.len() - 1
        }))
    }

    /// The index on a column that is true for rows that fulfil all conditions, and NULL for others.
    pub(super) fn index_of_rows(&mut self, compiler: &Compiler<'_>, conditions: Vec<Expr>) -> Result<usize, String> {
        let fulfilled = match all_of(conditions) {
            Some(all) => when(all, lit(true)).end().map_err(|error| error.strip_backtrace())?,
            None => lit(true),
        };
        let index = self.index_on(compiler, &[fulfilled])?;
        self.by_condition.insert(index);
        Ok(index)
    }

    /// The stored column that holds `key`.
    fn stored(&mut self, compiler: &Compiler<'_>, key: &Expr) -> Result<usize, String> {
        let key = self.over_table(compiler, key)?;
        if let Expr::Column(column) = &key
            && let Some(place) = place_of(&column.name)
        {
            return Ok(place);
        }
        if let Some(place) = self.computed.iter().position(|(known, _)| *known == key) {
            return Ok(self.plain + place);
        }
        let columns = &compiler.tables[self.table].columns;
        let mut read: Vec<_> = key.column_refs().iter().filter_map(|column| place_of(&column.name)).collect();
        read.sort_unstable();
        read.dedup();
        let read: Vec<_> = read.into_iter().map(|place| (place, name_of(place), columns[place].data_type())).collect();
        let text = compiler.text(&key);
        self.computed.push((key.clone(), Expression::compile(&key, &read, text)?));
        Ok(self.plain + self.computed.len() - 1)
    }

    /// `key` over the columns of the table, whichever occurrence it was written for.
    fn over_table(&self, compiler: &Compiler<'_>, key: &Expr) -> Result<Expr, String> {
        let over_table = key.clone().transform_up(|expr| {
            let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
            let base = Base::index_of(&column.name).map(|base| &compiler.bound.base.columns[base].source);
            Ok(match base {
                Some(BaseSource::Table(_, column)) => {
                    let place = compiler.column_of(self.table, column);
                    Transformed::yes(Expr::Column(DfColumn::new_unqualified(name_of(place))))
                }
                Some(BaseSource::Computed(_, computed)) => {
                    let inner = self.over_table(compiler, computed);
                    Transformed::yes(inner.map_err(datafusion_common::DataFusionError::Plan)?)
                }
                _ => Transformed::no(expr),
            })
        });
        over_table.map(|transformed| transformed.data).map_err(|error| error.strip_backtrace())
    }

    /// What is stored behind the columns of an event table, and its indexes.
    pub(super) fn of_event(self) -> (Vec<Expression>, Vec<Vec<usize>>) {
        (self.computed.into_iter().map(|(_, expression)| expression).collect(), self.indexes)
    }

    /// What is remembered of a dimension whose key is declared, or is not.
    pub(super) fn of_dimension(self, table: &Table, declared: Option<Vec<String>>) -> Dimension {
        let identity = match declared {
            Some(names) => {
                let place = |name: &String| {
                    let is_named =
                        |column: &Column| matches!(column, Column::Field { name: field, .. } if field == name);
                    table.columns.iter().position(is_named).expect("BUG: a declared key is not kept")
                };
                IdentityRule::Declared(names.iter().map(place).collect())
            }
            None => {
                let by_key = self.indexes.iter().enumerate().filter(|(index, _)| !self.by_condition.contains(index));
                let one_set = match &by_key.map(|(_, index)| index).collect::<Vec<_>>()[..] {
                    [only] if only.iter().all(|&column| column < self.plain) => Some(only.to_vec()),
                    _ => None,
                };
                IdentityRule::RecordKeyOr(one_set)
            }
        };
        let computed = self.computed.into_iter().map(|(_, expression)| expression).collect();
        Dimension { table: table.id, computed, indexes: self.indexes, identity }
    }
}

fn name_of(place: usize) -> String {
    format!("stored#{place}")
}

fn place_of(name: &str) -> Option<usize> {
    name.strip_prefix("stored#")?.parse().ok()
}
