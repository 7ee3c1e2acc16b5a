//! A join with an event table: which earlier event table it is joined with, and what it may not read (SEMANTICS 2.1, 2.5).

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::{Expr, Operator, binary_expr};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::base::{Base, Instance, coerce};
use super::bind::{Binder, BoundJoin, JoinKind};

impl Binder<'_> {
    /// Whether this is an occurrence of an event table. A driving table that is none is a mistake that is told once.
    pub(super) fn is_event(&self, instance: Instance) -> bool {
        instance == Instance(0) || !self.dimensions.contains(&self.bound.instances[instance.0])
    }

    /// The driving table and those joined to it are different ones.
    pub(super) fn refuse_self_join(&mut self, instance: Instance, span: Span) {
        let name = &self.bound.instances[instance.0];
        if self.is_event(instance) && self.bound.instances[..instance.0].contains(name) {
            let message = format!("the event table `{name}` can't be joined with itself");
            self.mistake(span, message, "copy it to a second topic, by a pipeline without joins, and join that");
        }
    }

    /// Dimensions are looked up after the event tables are joined: a condition of that join can't read them.
    pub(super) fn refuse_dimensions(&mut self, condition: &Expr, new: Instance, span: Span) {
        let read = self.bound.base.instances_of(condition);
        let Some(dimension) = read.into_iter().find(|&read| !self.is_event(read)) else { return };
        let [dimension, new] = [dimension, new].map(|of| self.bound.instances[of.0].clone());
        let message = format!(
            "the join with the event table `{new}` reads a column of the dimension `{dimension}`, which is looked up after it"
        );
        let help = "join event tables on their own columns; what dimensions say can be asked in WHERE";
        self.mistake(span, message, help);
    }

    /// The parent: the earlier event table with the most equal pairs, of several the one named first. All other
    /// equalities are residual.
    pub(super) fn choose_parent(&mut self, join: &mut BoundJoin, alias: &str, span: Span) {
        let parents: Vec<Option<Instance>> = join.keys.iter().map(|(before, _)| self.only_instance(before)).collect();
        let mut chosen: Option<(Instance, usize)> = None;
        for parent in parents.iter().flatten() {
            let pairs = parents.iter().filter(|other| **other == Some(*parent)).count();
            if chosen.is_none_or(|(_, most)| pairs > most) {
                chosen = Some((*parent, pairs));
            }
        }
        // Without any there is a mistake, and this plan is not used.
        join.parent = Some(chosen.map_or(Instance(0), |(parent, _)| parent));
        let Some((parent, _)) = chosen else {
            if self.mistakes.is_empty() {
                let message =
                    format!("the join with the event table `{alias}` has no equality with one event table before it");
                let help = format!(
                    "write ON … = {alias}.…, with columns of one event table on the other side; further conditions may \
                     follow with AND"
                );
                self.mistake(span, message, help);
            }
            return;
        };
        let pairs = std::mem::take(&mut join.keys).into_iter().zip(&parents);
        for ((before, new), of) in pairs {
            if *of == Some(parent) {
                join.keys.push((before, new));
            } else {
                join.residual.push(binary_expr(before, Operator::Eq, new));
            }
        }
        self.refuse_key_of_a_miss(join, parent, alias, span);
    }

    fn only_instance(&self, expr: &Expr) -> Option<Instance> {
        match self.bound.base.instances_of(expr)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Where a LEFT join finds no row there is nothing that a later row of the new table could be matched with by an index:
    /// the key must be NULL there.
    fn refuse_key_of_a_miss(&mut self, join: &BoundJoin, parent: Instance, alias: &str, span: Span) {
        let is_left = |of: &BoundJoin| of.instance == parent && of.kind == JoinKind::Left;
        if !self.bound.joins.iter().any(is_left) || join.keys.iter().any(|(before, _)| self.is_null_on_a_miss(before)) {
            return;
        }
        let parent = &self.bound.instances[parent.0];
        let message =
            format!("the key of the join with `{alias}` has a value where the LEFT join with `{parent}` finds no row");
        let help = format!("use columns of `{parent}` as they are, without coalesce() and the like");
        self.mistake(span, message, help);
    }

    fn is_null_on_a_miss(&self, key: &Expr) -> bool {
        let types = &self.bound.base.columns;
        let on_a_miss = key.clone().transform_up(|expr| {
            let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
            let Some(base) = Base::index_of(&column.name) else { return Ok(Transformed::no(expr)) };
            Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from(&types[base].data_type)?, None)))
        });
        let value = on_a_miss.and_then(|expr| coerce(expr.data, &self.bound.base));
        matches!(value, Ok(Expr::Literal(value, _)) if value.is_null())
    }
}
