//! FROM, JOIN, WHERE and SELECT to a flat chain of look-ups: CTEs, sub-selects and aliases are gone after this.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, ObjectName, Query, Select, SelectItem, Spanned, TableAlias, TableFactor,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::base::{Base, BaseSource, Instance, plan_expr};
use super::catalog::Catalog;
use super::membership::Membership;
use super::mistake::{Mistake, Place};
use super::parse::{conjuncts, plain_select, table_name};
use super::resolve::Clause;
use super::scope::{Scope, ScopeColumn};
use super::star::{self, Item};
use super::table::Column;
use super::tokens::Tokens;
use super::wording::explained;
use crate::config::type_name;

/// A table's fields: names and Arrow types.
pub type Fields = Vec<(String, DataType)>;

/// A query without names: what is left when all is bound.
#[derive(Debug, Default)]
pub struct Bound {
    /// All columns that expressions read.
    pub base: Base,
    /// The table of each occurrence, by `Instance`.
    pub instances: Vec<String>,
    /// The joins, in order; each brings an instance.
    pub joins: Vec<BoundJoin>,
    /// All conditions of WHERE, to be combined by AND.
    pub conditions: Vec<Expr>,
    /// The result's columns.
    pub outputs: Vec<Output>,
}

/// A join with a table.
#[derive(Debug)]
pub struct BoundJoin {
    /// The occurrence of the table.
    pub instance: Instance,
    /// What becomes of rows with and without matches.
    pub kind: JoinKind,
    /// Of an event table: the earlier event table that its keys are paired with.
    pub parent: Option<Instance>,
    /// Equal pairs: (over tables before it, over the new table).
    pub keys: Vec<(Expr, Expr)>,
    /// All further conditions, to be combined by AND.
    pub residual: Vec<Expr>,
}

/// What a join does with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// A row a match.
    Inner,
    /// Likewise, or a row with NULL.
    Left,
    /// IN and EXISTS.
    Semi,
    /// NOT EXISTS, and NOT IN with a sub-select that looks at the row.
    Anti,
    /// NOT IN with another sub-select; its residual is the sub-select's WHERE.
    NotIn,
}

impl Bound {
    /// The joins with event tables.
    pub fn event_joins(&self) -> impl Iterator<Item = &BoundJoin> {
        self.joins.iter().filter(|join| join.parent.is_some())
    }

    /// The joins with dimensions; IN and EXISTS behind the others.
    pub fn lookups(&self) -> impl Iterator<Item = &BoundJoin> {
        let is_join = |join: &BoundJoin| matches!(join.kind, JoinKind::Inner | JoinKind::Left);
        let of_dimensions = || self.joins.iter().filter(|join| join.parent.is_none());
        of_dimensions().filter(move |join| is_join(join)).chain(of_dimensions().filter(move |join| !is_join(join)))
    }
}

/// A column of a SELECT list.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is, over base columns.
    pub expr: Expr,
    /// Where it stands in the query.
    pub span: Span,
}

/// What stands for an expression that is a mistake.
const FAILED: Expr = Expr::Literal(ScalarValue::Null, None);

/// Whether an expression may be one that stands for a mistake.
pub fn is_failed(expr: &Expr) -> bool {
    *expr == FAILED
}

/// What binding must know.
pub struct Binder<'a> {
    /// The functions.
    pub catalog: &'a Catalog,
    /// The fields of each table.
    pub fields: &'a BTreeMap<String, Fields>,
    /// The words of the query.
    pub tokens: &'a Tokens,
    /// Which tables are dimensions.
    pub dimensions: &'a BTreeSet<String>,
    /// What is bound so far.
    pub bound: Bound,
    /// Whether some column of a SELECT list is not known at all.
    pub lacks_outputs: bool,
    /// What is wrong so far.
    pub mistakes: Vec<Mistake>,
}

/// The CTEs in sight: a later one hides an earlier one of its name.
pub(super) type Ctes<'q> = Vec<(String, &'q Query)>;

impl Binder<'_> {
    /// Binds the whole query; look into `mistakes` after it.
    pub fn bind(&mut self, query: &Query) {
        if let Some((_, outputs)) = self.query(query, &Vec::new(), true) {
            self.bound.outputs = outputs;
        }
    }

    pub(super) fn mistake(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::in_query(span, message).help(help));
    }

    pub(super) fn expr(&mut self, ast: &SqlExpr, scope: &Scope, clause: Clause) -> Option<Expr> {
        match plan_expr(ast, scope, clause, &mut self.bound.base, self.catalog, self.tokens) {
            Ok(expr) => Some(expr),
            Err(mistakes) => {
                self.mistakes.extend(mistakes);
                None
            }
        }
    }

    /// A query that is the driving table, with what is joined to it.
    fn query<'q>(&mut self, query: &'q Query, ctes: &Ctes<'q>, outermost: bool) -> Option<(Scope, Vec<Output>)> {
        let ctes = self.with(query, ctes);
        let select = plain_select(query, self.tokens, &mut self.mistakes)?;
        let from = self.only_from(select)?;
        let mut scope = self.driving(&from.relation, &ctes)?;
        for join in &from.joins {
            self.join(join, &mut scope, &ctes)?;
        }
        self.filter(select, &scope, &ctes);
        let clause = if outermost { Clause::Select } else { Clause::SubSelect };
        let outputs = self.select_list(select, &scope, clause)?;
        Some((scope, outputs))
    }

    pub(super) fn with<'q>(&mut self, query: &'q Query, ctes: &Ctes<'q>) -> Ctes<'q> {
        let mut ctes = ctes.clone();
        if let Some(with) = &query.with {
            if with.recursive {
                let place = self.tokens.word_from(with.span().start, "RECURSIVE");
                self.mistake(place, "a recursive CTE has no end on a stream", "remove RECURSIVE");
            }
            for cte in &with.cte_tables {
                if !cte.alias.columns.is_empty() {
                    let help = "name them in its SELECT list";
                    self.mistake(cte.alias.name.span, "column names behind a CTE's name are not supported", help);
                }
                ctes.push((cte.alias.name.value.clone(), &cte.query));
            }
        }
        ctes
    }

    pub(super) fn only_from<'q>(
        &mut self,
        select: &'q Select,
    ) -> Option<&'q datafusion_sql::sqlparser::ast::TableWithJoins> {
        match &select.from[..] {
            [from] => Some(from),
            [] => {
                let help = "write FROM and the event table that drives the query";
                self.mistake(select.span(), "the query reads no table", help);
                None
            }
            [_, second, ..] => {
                let message = "a comma in FROM is a CROSS JOIN, whose state and output have no bound";
                self.mistake(second.span(), message, "write JOIN … ON with an equality");
                None
            }
        }
    }

    /// The leftmost relation: the driving table, or a query over it.
    fn driving<'q>(&mut self, factor: &'q TableFactor, ctes: &Ctes<'q>) -> Option<Scope> {
        match self.relation(factor, ctes)? {
            Relation::Query(query, alias, ctes) => {
                let (_, outputs) = self.query(query, &ctes, false)?;
                let alias = alias.unwrap_or_default();
                Some(self.scope_of(&alias, outputs))
            }
            Relation::Table(name, alias, span) => {
                if self.dimensions.contains(&name) {
                    let message = format!(
                        "`{name}` is a dimension, and the table in FROM must be an event table: it drives the query"
                    );
                    let help = format!(
                        "put the event table into FROM and join `{name}` to it; state.dimensions lists the dimensions"
                    );
                    self.mistake(span, message, help);
                }
                Some(self.occurrence(&name, &alias))
            }
        }
    }

    fn join<'q>(
        &mut self,
        join: &'q datafusion_sql::sqlparser::ast::Join,
        scope: &mut Scope,
        ctes: &Ctes<'q>,
    ) -> Option<()> {
        let accepted = super::join_clause::accepted(join, self.tokens, &mut self.mistakes);
        let (right, residual) = self.joined(&join.relation, ctes)?;
        let instance = Instance(self.bound.instances.len() - 1);
        self.refuse_self_join(instance, join.relation.span());
        let alias = right.columns.first().map(|column| column.relation.clone()).unwrap_or_default();
        if scope.has_relation(&alias) {
            let message = format!("there is already a table `{alias}` in this query");
            self.mistake(join.relation.span(), message, "give one of them another name with AS");
            return None;
        }
        let Some((left, constraint)) = accepted else {
            // What else is wrong shows all the same.
            scope.columns.extend(right.columns);
            return Some(());
        };
        let kind = if left { JoinKind::Left } else { JoinKind::Inner };
        let mut bound = BoundJoin { instance, kind, parent: None, keys: Vec::new(), residual };
        match &constraint {
            super::join_clause::Constraint::On(condition) => {
                scope.columns.extend(right.columns);
                for conjunct in conjuncts(condition) {
                    if let Some(expr) = self.condition(conjunct, scope, Clause::On) {
                        self.join_condition(expr, self.tokens.whole(conjunct.span()), &mut bound);
                    }
                }
            }
            super::join_clause::Constraint::Using(names) => {
                super::join_clause::using(self, names, scope, right, &mut bound);
            }
        }
        let place = match &constraint {
            super::join_clause::Constraint::On(condition) => self.tokens.whole(condition.span()),
            super::join_clause::Constraint::Using(_) => join.span(),
        };
        if self.is_event(instance) {
            self.choose_parent(&mut bound, &alias, place);
        } else if bound.keys.is_empty() && self.mistakes.is_empty() {
            let message = format!("the join with `{alias}` has no equality between it and the tables before it");
            self.mistake(place, message, format!("write ON … = {alias}.…; further conditions may follow with AND"));
        }
        self.bound.joins.push(bound);
        Some(())
    }

    /// An equality between the new table and those before it is a key; all else is residual.
    pub fn join_condition(&mut self, expr: Expr, span: Span, join: &mut BoundJoin) {
        let new = join.instance;
        if self.is_event(new) {
            self.refuse_dimensions(&expr, new, span);
        }
        if let Expr::BinaryExpr(binary) = &expr
            && binary.op == datafusion_expr::Operator::Eq
        {
            let sides = [self.bound.base.instances_of(&binary.left), self.bound.base.instances_of(&binary.right)];
            let is_new = |side: &Vec<Instance>| side[..] == [new];
            let is_before = |side: &Vec<Instance>| !side.is_empty() && !side.contains(&new);
            if is_before(&sides[0]) && is_new(&sides[1]) {
                join.keys.push((*binary.left.clone(), *binary.right.clone()));
                return;
            }
            if is_new(&sides[0]) && is_before(&sides[1]) {
                join.keys.push((*binary.right.clone(), *binary.left.clone()));
                return;
            }
        }
        join.residual.push(expr);
    }

    /// The right side of a join: a table, or a sub-select over one. Its WHERE becomes residual (SEMANTICS 2.6).
    pub(super) fn joined<'q>(&mut self, factor: &'q TableFactor, ctes: &Ctes<'q>) -> Option<(Scope, Vec<Expr>)> {
        match self.relation(factor, ctes)? {
            Relation::Table(name, alias, _) => Some((self.occurrence(&name, &alias), Vec::new())),
            Relation::Query(query, alias, ctes) => {
                let ctes = self.with(query, &ctes);
                let select = plain_select(query, self.tokens, &mut self.mistakes)?;
                let from = self.only_from(select)?;
                if let Some(inner) = from.joins.first() {
                    let message = "a join inside the right side of a join is not supported";
                    self.mistake(inner.span(), message, "join the tables one after the other in the outer query");
                    return None;
                }
                let (scope, mut residual) = self.joined(&from.relation, &ctes)?;
                residual.extend(self.own_conditions(select, &scope));
                let mut outputs = self.select_list(select, &scope, Clause::SubSelect)?;
                self.compute(&mut outputs);
                Some((self.scope_of(&alias.unwrap_or_default(), outputs), residual))
            }
        }
    }

    /// Expressions of a joined sub-select become columns, so that they are NULL where the join finds nothing.
    fn compute(&mut self, outputs: &mut [Output]) {
        let instance = Instance(self.bound.instances.len() - 1);
        for output in outputs.iter_mut().filter(|output| !matches!(output.expr, Expr::Column(_))) {
            if let Ok(data_type) = output.expr.get_type(&self.bound.base.df_schema()) {
                let source = BaseSource::Computed(instance, output.expr.clone());
                output.expr = self.bound.base.add(source, data_type);
            }
        }
    }

    fn relation<'q>(&mut self, factor: &'q TableFactor, ctes: &Ctes<'q>) -> Option<Relation<'q>> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample: None, version: None, .. } => {
                let full = table_name(name);
                let alias = self.alias(alias.as_ref());
                if let Some(place) = ctes.iter().rposition(|(cte, _)| *cte == full) {
                    // A CTE sees only those before it.
                    let before = ctes[..place].to_vec();
                    return Some(Relation::Query(ctes[place].1, Some(alias.unwrap_or(full)), before));
                }
                let alias = alias.unwrap_or_else(|| last_part(name));
                if !self.fields.contains_key(&full) {
                    let help = match super::mistake::nearest(&full, self.fields.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("declare them under sources.{full}.schema; `kaflowsql infer` guesses them"),
                    };
                    self.mistake(name.span(), format!("the columns of `{full}` are not known"), help);
                    return None;
                }
                Some(Relation::Table(full, alias, name.span()))
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                Some(Relation::Query(subquery, self.alias(alias.as_ref()), ctes.clone()))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } if table_with_joins.joins.is_empty() => {
                self.relation(&table_with_joins.relation, ctes)
            }
            TableFactor::NestedJoin { .. } => {
                let message = "parentheses around a join are not supported";
                self.mistake(factor.span(), message, "join the tables one after the other, from left to right");
                None
            }
            other => {
                let message = "only a topic or a sub-select can stand in FROM";
                self.mistake(other.span(), message, "table functions, LATERAL and samples are not supported");
                None
            }
        }
    }

    fn alias(&mut self, alias: Option<&TableAlias>) -> Option<String> {
        let alias = alias?;
        if let Some(column) = alias.columns.first() {
            let help = "name the columns in the SELECT list of a sub-select";
            self.mistake(column.name.span, "column names behind an alias are not supported", help);
        }
        Some(alias.name.value.clone())
    }

    /// A new occurrence of a table, with all its columns.
    fn occurrence(&mut self, table: &str, alias: &str) -> Scope {
        let instance = Instance(self.bound.instances.len());
        self.bound.instances.push(table.to_string());
        let fields = self.fields.get(table).into_iter().flatten();
        let visible =
            fields.map(|(name, data_type)| Column::Field { name: name.clone(), data_type: data_type.clone() });
        let hidden = [Column::Key, Column::Topic, Column::Partition, Column::Offset, Column::Timestamp];
        let mut scope = Scope::default();
        for column in visible.chain(hidden) {
            let data_type = column.data_type();
            scope.columns.push(ScopeColumn {
                relation: alias.to_string(),
                name: column.name().to_string(),
                hidden: !matches!(column, Column::Field { .. }),
                merged: false,
                table: Some(table.to_string()),
                expr: self.bound.base.add(BaseSource::Table(instance, column), data_type.clone()),
                data_type,
            });
        }
        scope
    }

    fn scope_of(&self, alias: &str, outputs: Vec<Output>) -> Scope {
        let schema = self.bound.base.df_schema();
        let column = |output: Output| ScopeColumn {
            relation: alias.to_string(),
            data_type: output.expr.get_type(&schema).unwrap_or(DataType::Null),
            name: output.name,
            expr: output.expr,
            hidden: false,
            merged: false,
            table: None,
        };
        Scope { columns: outputs.into_iter().map(column).collect(), own: None }
    }

    fn filter<'q>(&mut self, select: &'q Select, scope: &Scope, ctes: &Ctes<'q>) {
        for conjunct in select.selection.iter().flat_map(conjuncts) {
            if let Some(membership) = Membership::of(conjunct) {
                self.membership(&membership, scope, ctes);
                continue;
            }
            let condition = self.condition(conjunct, scope, Clause::Where);
            self.bound.conditions.extend(condition);
        }
    }

    /// The conditions of a sub-select on one table.
    pub(super) fn own_conditions(&mut self, select: &Select, scope: &Scope) -> Vec<Expr> {
        let mut conditions = Vec::new();
        for conjunct in select.selection.iter().flat_map(conjuncts) {
            if Membership::of(conjunct).is_some() {
                let message =
                    "IN and EXISTS over a sub-select can't stand inside of another sub-select on a joined table";
                let help = "put it into the WHERE of the outer query; it may ask for columns of the joined table there";
                self.mistake(self.tokens.whole(conjunct.span()), message, help);
                continue;
            }
            conditions.extend(self.condition(conjunct, scope, Clause::Where));
        }
        conditions
    }

    /// An expression that is true or false.
    pub(super) fn condition(&mut self, ast: &SqlExpr, scope: &Scope, clause: Clause) -> Option<Expr> {
        let expr = self.expr(ast, scope, clause)?;
        let place = self.tokens.whole(ast.span());
        match expr.get_type(&self.bound.base.df_schema()) {
            Ok(DataType::Boolean | DataType::Null) => return Some(expr),
            Ok(other) => {
                let message = format!("a condition is true or false, and this is of type {}", type_name(&other));
                self.mistake(place, message, "compare it with something");
            }
            Err(error) => {
                self.mistakes.push(Mistake { place: Place::Query(place), ..explained(&error.strip_backtrace()) });
            }
        }
        None
    }

    fn select_list(&mut self, select: &Select, scope: &Scope, clause: Clause) -> Option<Vec<Output>> {
        if select.projection.is_empty() {
            self.mistake(select.span(), "the query selects nothing", "name columns behind SELECT, or write `*`");
        }
        let mut outputs = Vec::new();
        for item in &select.projection {
            match star::item(item, scope, &mut self.mistakes) {
                Some(Item::Columns(places)) => outputs.extend(places.into_iter().map(|place| Output {
                    name: scope.columns[place].name.clone(),
                    expr: scope.columns[place].expr.clone(),
                    span: item.span(),
                })),
                Some(Item::Expr(expr, name)) => {
                    // A mistake is told once: whatever reads the column meets a NULL.
                    let planned = self.expr(expr, scope, clause).unwrap_or(FAILED);
                    outputs.push(Output { name, expr: planned, span: span_of(item) });
                }
                None => self.lacks_outputs = true,
            }
        }
        let mut names = BTreeSet::new();
        for output in &outputs {
            if !names.insert(output.name.clone()) {
                let message = format!("two output columns are called `{}`", output.name);
                self.mistakes
                    .push(Mistake::in_query(output.span, message).help("give one of them another name with AS"));
            }
        }
        Some(outputs)
    }
}

enum Relation<'q> {
    /// Name, alias, place.
    Table(String, String, Span),
    /// A sub-select or CTE, its alias, and the CTEs that it sees.
    Query(&'q Query, Option<String>, Ctes<'q>),
}

fn last_part(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident: &Ident| ident.value.clone()).unwrap_or_default()
}

fn span_of(item: &SelectItem) -> Span {
    match item {
        SelectItem::UnnamedExpr(expr) => expr.span(),
        SelectItem::ExprWithAlias { expr, alias } => expr.span().union(&alias.span),
        other => other.span(),
    }
}
