//! Names in an expression's syntax tree to columns of the scope, and the refusals inside expressions.

use std::ops::ControlFlow;

use datafusion_expr::Volatility;
use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Function, Ident, Spanned, Subscript, Value, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::catalog::Catalog;
use super::mistake::{Mistake, did_you_mean};
use super::scope::Scope;
use super::tokens::Tokens;

/// Where an expression stands: what is allowed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// The outermost SELECT list: everything.
    Select,
    /// The SELECT list of a sub-select: no UNNEST, no functions of time or chance.
    SubSelect,
    /// ON: as a sub-select's.
    On,
    /// WHERE: as a sub-select's.
    Where,
}

impl Clause {
    fn name(self) -> &'static str {
        match self {
            Clause::Select => "SELECT",
            Clause::SubSelect => "a sub-select",
            Clause::On => "ON",
            Clause::Where => "WHERE",
        }
    }
}

/// Rewrites the names in `expr` to those that the scope's schema has.
///
/// # Errors
/// With all mistakes in the expression, each at its place.
pub fn resolve(
    expr: &Expr,
    scope: &Scope,
    clause: Clause,
    catalog: &Catalog,
    tokens: &Tokens,
) -> Result<Expr, Vec<Mistake>> {
    let mut resolver = Resolver { scope, clause, catalog, tokens, whole: expr.span(), mistakes: Vec::new() };
    let mut resolved = expr.clone();
    let _ = resolved.visit(&mut resolver);
    if resolver.mistakes.is_empty() { Ok(resolved) } else { Err(resolver.mistakes) }
}

struct Resolver<'a> {
    scope: &'a Scope,
    clause: Clause,
    catalog: &'a Catalog,
    tokens: &'a Tokens,
    whole: Span,
    mistakes: Vec<Mistake>,
}

impl VisitorMut for Resolver<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => {
                if let Some(resolved) = self.column(None, name) {
                    *expr = Expr::Identifier(resolved);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let mut resolved = self.compound(parts);
                *expr = match resolved.len() {
                    1 => Expr::Identifier(resolved.remove(0)),
                    _ => Expr::CompoundIdentifier(resolved),
                };
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.field_access(root, access_chain),
            Expr::Function(function) => self.function(function),
            Expr::InSubquery { .. } | Expr::Exists { .. } => {
                let place = self.tokens.whole(expr.span());
                let message = "IN and EXISTS over a sub-select can only be conditions of WHERE, combined by AND";
                let help = "LEFT JOIN the table, and ask whether a column of it IS NULL";
                self.refuse(place, message, help);
                return ControlFlow::Break(());
            }
            Expr::Subquery(query) => {
                let place = self.tokens.parenthesized(query.span());
                self.refuse(place, "a sub-select can't stand for a value", "join its table, and name the column here");
                return ControlFlow::Break(());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Resolver<'_> {
    fn refuse(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let span = if span == Span::empty() { self.whole } else { span };
        self.mistakes.push(Mistake::in_query(span, message).help(help));
    }

    fn column(&mut self, relation: Option<&str>, name: &Ident) -> Option<Ident> {
        match self.scope.resolve(relation, &name.value, name.quote_style.is_some()) {
            Ok(place) => Some(Ident { value: Scope::name_of(place), quote_style: Some('"'), span: name.span }),
            Err(unresolved) => {
                self.refuse(name.span, unresolved.message, unresolved.help);
                None
            }
        }
    }

    /// `table.column.field…`, or `column.field…`.
    fn compound(&mut self, parts: &[Ident]) -> Vec<Ident> {
        let (relation, column, fields) = match parts {
            [first, second, rest @ ..] if self.scope.has_relation(&first.value) => (Some(first), second, rest),
            [first, rest @ ..] if self.scope.resolve(None, &first.value, first.quote_style.is_some()).is_ok() => {
                (None, first, rest)
            }
            [first, ..] => {
                let help = match self.scope.alias_of(&first.value) {
                    Some(alias) => format!("here it is called `{alias}`"),
                    None => did_you_mean(&first.value, self.scope.relations()),
                };
                self.refuse(first.span, format!("there is no table or column `{}` here", first.value), help);
                return parts.to_vec();
            }
            [] => return Vec::new(),
        };
        let resolved = self.column(relation.map(|ident| ident.value.as_str()), column);
        resolved.into_iter().chain(fields.iter().cloned()).collect()
    }

    /// `table.column[1].field`: the planner wants the column as root, and fields as subscripts.
    fn field_access(&mut self, root: &mut Expr, chain: &mut Vec<AccessExpr>) {
        if let (Expr::Identifier(table), Some(AccessExpr::Dot(Expr::Identifier(column)))) = (&*root, chain.first())
            && self.scope.has_relation(&table.value)
        {
            *root = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
            chain.remove(0);
        }
        for access in chain {
            if let AccessExpr::Dot(Expr::Identifier(field)) = access {
                let name = Value::SingleQuotedString(field.value.clone()).with_span(field.span);
                *access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name) });
            }
        }
    }

    fn function(&mut self, function: &Function) {
        let name = function.name.to_string().to_lowercase();
        let span = function.name.span();
        if function.over.is_some() {
            let message = format!("{name}() OVER … would give what happens to be in a batch, not the whole");
            self.refuse(span, message, "a pipeline enriches row by row; window what comes out of it");
        } else if self.catalog.is_aggregate(&name) {
            let message =
                format!("{name}() is an aggregate: it would give what happens to be in a batch, not the whole");
            self.refuse(span, message, "a pipeline enriches row by row; aggregate what comes out of it");
        } else if !self.catalog.is_function(&name) {
            let help = match super::mistake::nearest(&name, self.catalog.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "there are DataFusion's scalar functions, and those in docs/reference.md".into(),
            };
            self.refuse(span, format!("there is no function `{name}`"), help);
        } else if name == "unnest" {
            if self.clause != Clause::Select {
                let message = format!("UNNEST can't stand in {}", self.clause.name());
                self.refuse(span, message, "UNNEST stands in the outermost SELECT list");
            }
        } else if self.clause != Clause::Select
            && let Some(scalar) = self.catalog.scalar(&name)
            && scalar.signature().volatility != Volatility::Immutable
        {
            let message =
                format!("{name}() gives another value each time, so it can't stand in {}", self.clause.name());
            self.refuse(span, message, "it may stand in the outermost SELECT list; in conditions compare columns");
        }
    }
}
