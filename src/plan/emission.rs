//! When result rows come out: what each required column depends on.

use datafusion_expr::Expr;

use super::base::{Base, BaseSource, Instance};
use super::compile::Compiler;
use super::query::{Emission, Part, Required, Smart};
use crate::config::EmissionRules;

impl Compiler<'_> {
    /// The emission rule over `outputs`, which have all columns that it requires.
    pub(super) fn emission(&self, outputs: &[(String, Expr)]) -> Emission {
        let EmissionRules::Smart { require, max_wait_ms, on_expire } = &self.pipeline.emission else {
            return Emission::Immediate;
        };
        let required = |name: &String| {
            let output = outputs.iter().position(|(output, _)| output == name);
            let output = output.expect("BUG: an output column is required that there is not");
            let parts = self.parts_behind(&outputs[output].1);
            let lookups =
                parts.iter().filter_map(|part| if let Part::Lookup(lookup) = part { Some(*lookup) } else { None });
            let events =
                parts.iter().filter_map(|part| if let Part::Event(event) = part { Some(*event) } else { None });
            Required { output, lookups: lookups.collect(), events: events.collect() }
        };
        let driving_ttl_ms = self.tables[0].ttl_ms.expect("BUG: the driving table is an event table");
        Emission::Smart(Smart {
            require: require.iter().map(required).collect(),
            max_wait_ms: max_wait_ms.unwrap_or(driving_ttl_ms),
            on_expire: *on_expire,
        })
    }

    /// The rows on which `expr` depends, by its columns, by what finds their rows, and so on; ascending.
    fn parts_behind(&self, expr: &Expr) -> Vec<Part> {
        let mut behind = vec![false; self.parts.len()];
        let mut open = Base::read_by(expr);
        let mut seen = vec![false; self.bound.base.columns.len()];
        while let Some(base) = open.pop() {
            if std::mem::replace(&mut seen[base], true) {
                continue;
            }
            let (instance, inner) = match &self.bound.base.columns[base].source {
                BaseSource::Table(instance, _) => (Some(*instance), None),
                BaseSource::Computed(instance, inner) => (Some(*instance), Some(inner)),
                BaseSource::Unnest(list) => (None, Some(list)),
            };
            open.extend(inner.into_iter().flat_map(Base::read_by));
            if let Some(Instance(instance)) = instance
                && !std::mem::replace(&mut behind[instance], true)
            {
                let finding = self.bound.joins.iter().filter(|join| join.instance == Instance(instance));
                let read = finding.flat_map(|join| join.keys.iter().map(|(before, _)| before).chain(&join.residual));
                open.extend(read.flat_map(Base::read_by));
            }
        }
        let mut parts: Vec<Part> = (0..behind.len()).filter(|&it| behind[it]).map(|it| self.parts[it]).collect();
        parts.sort_unstable();
        parts
    }
}
