//! The columns that expressions are made of, once names and sub-selects are out of the way.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column as DfColumn, DFSchema};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Cast, Expr, ExprSchemable, Operator, binary_expr, cast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{Expr as SqlExpr, Spanned};

use super::catalog::Catalog;
use super::mistake::{Mistake, Place};
use super::resolve::{Clause, resolve};
use super::scope::Scope;
use super::table::Column;
use super::tokens::Tokens;
use super::wording::explained;

/// The batch's time: what `now()` stands for.
pub const NOW: &str = "now#";

/// One occurrence of a table in the query: 0 is the driving table, `n` the n-th join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub usize);

/// What a base column holds.
#[derive(Clone, Debug)]
pub enum BaseSource {
    /// A column of a table's occurrence.
    Table(Instance, Column),
    /// An expression of a joined sub-select over its table's columns: NULL where the join finds nothing.
    Computed(Instance, Expr),
    /// The elements of a list, one a row.
    Unnest(Expr),
}

/// A base column.
#[derive(Clone, Debug)]
pub struct BaseColumn {
    /// What it holds.
    pub source: BaseSource,
    /// Its Arrow type.
    pub data_type: DataType,
}

/// All base columns; in expressions column `index` is called `name_of(index)`.
#[derive(Debug, Default)]
pub struct Base {
    /// The columns.
    pub columns: Vec<BaseColumn>,
}

impl Base {
    /// The name of base column `index` in expressions.
    pub fn name_of(index: usize) -> String {
        format!("base#{index}")
    }

    /// The base column that `name` names.
    pub fn index_of(name: &str) -> Option<usize> {
        name.strip_prefix("base#")?.parse().ok()
    }

    /// Adds a column, and returns the expression that reads it.
    pub fn add(&mut self, source: BaseSource, data_type: DataType) -> Expr {
        self.columns.push(BaseColumn { source, data_type });
        Self::column(self.columns.len() - 1)
    }

    /// The expression that reads base column `index`.
    pub fn column(index: usize) -> Expr {
        Expr::Column(DfColumn::new_unqualified(Self::name_of(index)))
    }

    /// All columns, and `NOW`, as DataFusion wants them.
    pub fn df_schema(&self) -> DFSchema {
        let mut fields: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Field::new(Self::name_of(index), column.data_type.clone(), true))
            .collect();
        fields.push(Field::new(NOW, now_type(), false));
        DFSchema::try_from(Schema::new(fields)).expect("BUG: names of base columns are unique")
    }

    /// The base columns that `expr` reads, ascending.
    pub fn read_by(expr: &Expr) -> Vec<usize> {
        let mut read: Vec<_> = expr.column_refs().iter().filter_map(|column| Self::index_of(&column.name)).collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// The occurrences of tables that `expr` depends on, ascending.
    pub fn instances_of(&self, expr: &Expr) -> Vec<Instance> {
        let mut instances = Vec::new();
        for index in Self::read_by(expr) {
            match &self.columns[index].source {
                BaseSource::Table(instance, _) | BaseSource::Computed(instance, _) => instances.push(*instance),
                BaseSource::Unnest(list) => instances.extend(self.instances_of(list)),
            }
        }
        instances.sort_unstable();
        instances.dedup();
        instances
    }
}

/// The type of `now()`.
pub fn now_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

/// Plans an expression of the query: names resolved, types coerced, constants folded; over base columns.
///
/// # Errors
/// With all mistakes in it, each at its place.
pub fn plan_expr(
    ast: &SqlExpr,
    scope: &Scope,
    clause: Clause,
    base: &mut Base,
    catalog: &Catalog,
    tokens: &Tokens,
) -> Result<Expr, Vec<Mistake>> {
    let resolved = resolve(ast, scope, clause, catalog, tokens)?;
    let options = ParserOptions {
        enable_ident_normalization: false,
        map_string_types_to_utf8view: true,
        ..ParserOptions::default()
    };
    let planner = SqlToRel::new_with_options(catalog, options);
    let planned = planner
        .sql_to_expr(resolved, &scope.df_schema(), &mut PlannerContext::new())
        .and_then(|expr| rebase(expr, scope, base))
        .and_then(|expr| {
            let is_condition = matches!(clause, Clause::On | Clause::Where);
            if let Expr::BinaryExpr(binary) = &expr
                && binary.op == Operator::Eq
                && is_condition
            {
                refuse_text_as_number(&binary.left, &binary.right, base)?;
            }
            coerce(expr, base)
        });
    planned.map_err(|error| {
        let place = Place::Query(tokens.whole(ast.span()));
        vec![Mistake { place, ..explained(&scope.humanize(&error.strip_backtrace())) }]
    })
}

/// Scope columns to what they stand for, `now()` to its column, UNNEST to a base column.
fn rebase(expr: Expr, scope: &Scope, base: &mut Base) -> datafusion_common::Result<Expr> {
    let transformed = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) => {
                let place = (0..scope.columns.len()).find(|&place| Scope::name_of(place) == column.name);
                Transformed::yes(place.map_or(Expr::Column(column), |place| scope.columns[place].expr.clone()))
            }
            Expr::ScalarFunction(call) => match call.func.name() {
                "now" => Transformed::yes(now()),
                "current_date" => Transformed::yes(cast(now(), DataType::Date32)),
                "current_time" => Transformed::yes(cast(now(), DataType::Time64(TimeUnit::Nanosecond))),
                _ => Transformed::no(Expr::ScalarFunction(call)),
            },
            Expr::Unnest(unnest) => {
                let list = coerce(*unnest.expr, base)?;
                let element = match list.get_type(&base.df_schema())? {
                    DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                        field.data_type().clone()
                    }
                    other => {
                        return datafusion_common::plan_err!("unnest() can only be applied to a list, not {other}");
                    }
                };
                Transformed::yes(base.add(BaseSource::Unnest(list), element))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(transformed.data)
}

fn now() -> Expr {
    Expr::Column(DfColumn::new_unqualified(NOW))
}

/// Makes operand types agree, and folds constants.
pub fn coerce(expr: Expr, base: &Base) -> datafusion_common::Result<Expr> {
    let schema = std::sync::Arc::new(base.df_schema());
    let context = SimplifyContext::builder().with_schema(std::sync::Arc::clone(&schema)).build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(expr, &schema)?;
    let simplified = simplifier.simplify(coerced)?;
    simplified.get_type(&schema)?;
    Ok(simplified)
}

/// `left = right`, for a join.
pub fn equality(left: Expr, right: Expr, base: &Base) -> datafusion_common::Result<Expr> {
    refuse_text_as_number(&left, &right, base)?;
    coerce(binary_expr(left, Operator::Eq, right), base)
}

/// A text equals a number where they are spelled alike, which is hardly ever what a join of columns means: `1` is not
/// `01`, nor `1.0`. What is to be compared must be said.
fn refuse_text_as_number(left: &Expr, right: &Expr, base: &Base) -> datafusion_common::Result<()> {
    if left.column_refs().is_empty() || right.column_refs().is_empty() {
        return Ok(());
    }
    let schema = base.df_schema();
    let (left, right) = (left.get_type(&schema)?, right.get_type(&schema)?);
    let is_number = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
    if left.is_string() && is_number(&right) || is_number(&left) && right.is_string() {
        // In DataFusion's words, which are explained with the others.
        return datafusion_common::plan_err!(
            "Cannot infer common argument type for comparison operation {left} = {right}"
        );
    }
    Ok(())
}

/// `expr` as a join key: strings as `Utf8View`, so that both sides hash alike.
pub fn as_key(expr: Expr, base: &Base) -> datafusion_common::Result<Expr> {
    Ok(match expr.get_type(&base.df_schema())? {
        DataType::Utf8 | DataType::LargeUtf8 => Expr::Cast(Cast::new(Box::new(expr), DataType::Utf8View)),
        DataType::Binary | DataType::LargeBinary => Expr::Cast(Cast::new(Box::new(expr), DataType::BinaryView)),
        _ => expr,
    })
}
