//! IN and EXISTS over a dimension, and their negations: look-ups that keep or drop a row (SEMANTICS 2.1).

use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::{Expr as SqlExpr, Query, Select, Spanned, UnaryOperator};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::base::{Instance, equality};
use super::bind::{Binder, BoundJoin, Ctes, JoinKind, is_failed};
use super::join_clause::all_of;
use super::mistake::{Mistake, Place};
use super::parse::plain_select;
use super::resolve::Clause;
use super::scope::Scope;
use super::star::{self, Item};
use super::wording::explained;

/// `x [NOT] IN (SELECT …)` or `[NOT] EXISTS (SELECT …)`.
pub struct Membership<'q> {
    whole: &'q SqlExpr,
    /// What IN looks for; nothing of EXISTS.
    given: Vec<&'q SqlExpr>,
    query: &'q Query,
    negated: bool,
    is_in: bool,
}

impl<'q> Membership<'q> {
    /// The condition, if it is one of these.
    pub fn of(whole: &'q SqlExpr) -> Option<Self> {
        let (mut inner, mut turned) = (whole, false);
        loop {
            match inner {
                SqlExpr::Nested(nested) => inner = nested,
                SqlExpr::UnaryOp { op: UnaryOperator::Not, expr } => (inner, turned) = (expr, !turned),
                SqlExpr::InSubquery { expr, subquery, negated } => {
                    let given = match expr.as_ref() {
                        SqlExpr::Tuple(parts) => parts.iter().collect(),
                        one => vec![one],
                    };
                    return Some(Self { whole, given, query: subquery, negated: *negated != turned, is_in: true });
                }
                SqlExpr::Exists { subquery, negated } => {
                    let given = Vec::new();
                    return Some(Self { whole, given, query: subquery, negated: *negated != turned, is_in: false });
                }
                _ => return None,
            }
        }
    }

    fn name(&self) -> &'static str {
        match (self.is_in, self.negated) {
            (true, false) => "IN",
            (true, true) => "NOT IN",
            (false, false) => "EXISTS",
            (false, true) => "NOT EXISTS",
        }
    }
}

impl Binder<'_> {
    /// Adds the look-up that a condition is; `scope` is that of the query whose WHERE it stands in.
    pub(super) fn membership<'q>(&mut self, of: &Membership<'q>, scope: &Scope, ctes: &Ctes<'q>) -> Option<()> {
        let told = self.mistakes.len();
        let given: Vec<_> = of.given.iter().filter_map(|given| self.expr(given, scope, Clause::Where)).collect();
        let ctes = self.with(of.query, ctes);
        let select = plain_select(of.query, self.tokens, &mut self.mistakes)?;
        let from = self.only_from(select)?;
        if let Some(inner) = from.joins.first() {
            let message = format!("a join inside of {} is not supported", of.name());
            self.mistake(inner.span(), message, "join the tables one after the other in the outer query");
            return None;
        }
        let (own, mut conditions) = self.joined(&from.relation, &ctes)?;
        let instance = Instance(self.bound.instances.len() - 1);
        if self.is_event(instance) {
            let table = &self.bound.instances[instance.0];
            let message = format!("`{table}` is an event table, and {} looks into dimensions only", of.name());
            let help =
                format!("join it; or list `{table}` under state.dimensions, if only its newest row of each key counts");
            self.mistake(from.relation.span(), message, help);
            return None;
        }
        let is_sound = !scope.columns.iter().any(|column| is_failed(&column.expr));
        let scope = own.within(scope);
        conditions.extend(self.own_conditions(select, &scope));
        let selected = self.selected(select, &scope);
        let place = self.tokens.whole(of.whole.span());
        if self.mistakes.len() > told || !is_sound {
            return None;
        }
        let pairs = self.pairs(of, given, selected, place)?;
        self.bind_membership(of, instance, pairs, conditions, place)
    }

    /// What the sub-select gives.
    fn selected(&mut self, select: &Select, scope: &Scope) -> Vec<Expr> {
        let mut selected = Vec::new();
        for item in &select.projection {
            match star::item(item, scope, &mut self.mistakes) {
                Some(Item::Columns(places)) => {
                    selected.extend(places.into_iter().map(|place| scope.columns[place].expr.clone()));
                }
                Some(Item::Expr(expr, _)) => selected.extend(self.expr(expr, scope, Clause::SubSelect)),
                None => {}
            }
        }
        selected
    }

    /// What IN looks for beside what the sub-select gives, both of one type.
    fn pairs(&mut self, of: &Membership<'_>, given: Vec<Expr>, selected: Vec<Expr>, place: Span) -> Option<Vec<Pair>> {
        if !of.is_in {
            return Some(Vec::new());
        }
        if given.len() != selected.len() {
            let columns = |count: usize| if count == 1 { "1 column".to_string() } else { format!("{count} columns") };
            let message = format!(
                "{} compares {} with a sub-select of {}",
                of.name(),
                columns(given.len()),
                columns(selected.len())
            );
            self.mistake(of.query.span(), message, "select as many columns as stand before IN");
            return None;
        }
        let pair = |(given, selected): (Expr, Expr)| {
            let equality = equality(given.clone(), selected.clone(), &self.bound.base)?;
            Ok(Pair { given, selected, equality })
        };
        let pairs: datafusion_common::Result<Vec<_>> = given.into_iter().zip(selected).map(pair).collect();
        match pairs {
            Ok(pairs) => Some(pairs),
            Err(error) => {
                let mistake = explained(&error.strip_backtrace());
                self.mistakes.push(Mistake { place: Place::Query(place), ..mistake });
                None
            }
        }
    }

    fn bind_membership(
        &mut self,
        of: &Membership<'_>,
        instance: Instance,
        pairs: Vec<Pair>,
        conditions: Vec<Expr>,
        place: Span,
    ) -> Option<()> {
        let kind = if of.negated { JoinKind::Anti } else { JoinKind::Semi };
        let mut join = BoundJoin { instance, kind, parent: None, keys: Vec::new(), residual: Vec::new() };
        let looks_out =
            |binder: &Self, expr: &Expr| binder.bound.base.instances_of(expr).iter().any(|&of| of != instance);
        let correlated = conditions.iter().any(|condition| looks_out(self, condition))
            || pairs.iter().any(|pair| looks_out(self, &pair.selected));
        for condition in conditions {
            self.join_condition(condition, place, &mut join);
        }
        match &pairs[..] {
            [pair] if of.negated && !correlated => {
                join.kind = JoinKind::NotIn;
                self.join_condition(pair.equality.clone(), place, &mut join);
            }
            // One row without a plain difference is enough for NOT IN not to be true.
            _ if of.negated => join.residual.extend(all_of(pairs.into_iter().map(Pair::may_be_equal).collect())),
            _ => pairs.into_iter().for_each(|pair| self.join_condition(pair.equality, place, &mut join)),
        }
        if join.keys.is_empty() {
            let message = format!("{} has no equality between the sub-select's table and the outer query", of.name());
            let help = match (of.is_in, of.negated) {
                (true, true) => "write NOT EXISTS (SELECT … WHERE …) with an equality of a column here and one there",
                (true, false) => "let it compare a column of the outer query with a column of the sub-select's table",
                _ => "write WHERE … = … behind the sub-select's FROM, with a column of the outer query on one side",
            };
            self.mistake(place, message, help);
            return None;
        }
        self.bound.joins.push(join);
        Some(())
    }
}

/// What IN looks for, and what the sub-select gives.
struct Pair {
    given: Expr,
    selected: Expr,
    equality: Expr,
}

impl Pair {
    /// Whether they are not known to differ.
    fn may_be_equal(self) -> Expr {
        self.equality.or(self.selected.is_null()).or(self.given.is_null())
    }
}
