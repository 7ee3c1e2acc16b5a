//! JOIN … ON and JOIN … USING: which are accepted, and what USING means.

use datafusion_expr::{Expr, Operator, binary_expr};
use datafusion_sql::sqlparser::ast::{Expr as SqlExpr, Join, JoinConstraint, JoinOperator, ObjectName, Spanned};

use super::base::equality;
use super::bind::{Binder, BoundJoin};
use super::mistake::{Mistake, Place};
use super::parse::table_name;
use super::scope::Scope;
use super::tokens::Tokens;
use super::wording::explained;

/// How the two sides of a join belong together.
pub enum Constraint<'q> {
    /// ON a condition.
    On(&'q SqlExpr),
    /// USING these columns.
    Using(&'q [ObjectName]),
}

/// What JOIN is made of.
const JOIN_WORDS: [&str; 13] =
    ["JOIN", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "SEMI", "ANTI", "ASOF", "APPLY", "GLOBAL"];

/// Whether the join is LEFT, and its constraint; `None` after a mistake.
pub fn accepted<'q>(join: &'q Join, tokens: &Tokens, mistakes: &mut Vec<Mistake>) -> Option<(bool, Constraint<'q>)> {
    let place = tokens.words_before(join.relation.span(), &JOIN_WORDS);
    let (left, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (false, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (true, constraint),
        other => {
            let (what, help) = refused(other);
            mistakes.push(Mistake::in_query(place, what).help(help));
            return None;
        }
    };
    match constraint {
        JoinConstraint::On(condition) => Some((left, Constraint::On(condition))),
        JoinConstraint::Using(names) => Some((left, Constraint::Using(names))),
        JoinConstraint::Natural => {
            let message = "a NATURAL join changes its meaning when a table gets a column";
            mistakes.push(Mistake::in_query(place, message).help("write JOIN … USING (…), or JOIN … ON …"));
            None
        }
        JoinConstraint::None => {
            let message = "a join without a condition is a CROSS JOIN, whose output has no bound";
            mistakes.push(Mistake::in_query(place, message).help("write ON and an equality behind the table"));
            None
        }
    }
}

fn refused(operator: &JoinOperator) -> (&'static str, &'static str) {
    match operator {
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
            ("RIGHT JOIN is not supported", "put the other table into FROM, and write LEFT JOIN")
        }
        JoinOperator::FullOuter(_) => {
            ("FULL JOIN is not supported: which rows are never found shows only at the end", "write LEFT JOIN")
        }
        JoinOperator::CrossJoin(_) => {
            ("CROSS JOIN is not supported: its output has no bound", "write JOIN … ON with an equality")
        }
        JoinOperator::AsOf { .. } => ("ASOF JOIN is not supported", "write JOIN … ON with an equality"),
        _ => ("this kind of join is not supported", "write JOIN or LEFT JOIN"),
    }
}

/// `USING (a, b)`: a key a column; unqualified, and in `*`, the left side's column stands for both.
pub fn using(binder: &mut Binder<'_>, names: &[ObjectName], scope: &mut Scope, right: Scope, join: &mut BoundJoin) {
    let before = scope.columns.len();
    let mut merged = Vec::new();
    for name in names {
        let text = table_name(name);
        match (scope.resolve(None, &text, false), right.resolve(None, &text, false)) {
            (Ok(left), Ok(place)) => {
                let (left, right) = (scope.columns[left].expr.clone(), right.columns[place].expr.clone());
                match equality(left, right, &binder.bound.base) {
                    Ok(equality) => binder.join_condition(equality, name.span(), join),
                    Err(error) => {
                        let place = Place::Query(name.span());
                        binder.mistakes.push(Mistake { place, ..explained(&error.strip_backtrace()) });
                    }
                }
                merged.push(place);
            }
            (Err(unresolved), _) | (_, Err(unresolved)) => {
                let message = format!("USING ({text}): {}", unresolved.message);
                binder.mistakes.push(Mistake::in_query(name.span(), message).help(unresolved.help));
            }
        }
    }
    scope.columns.extend(right.columns);
    for place in merged {
        scope.columns[before + place].merged = true;
    }
}

/// The conditions combined by AND, if there are any.
pub fn all_of(conditions: Vec<Expr>) -> Option<Expr> {
    conditions.into_iter().reduce(|left, right| binary_expr(left, Operator::And, right))
}
