//! A bound query to a plan: columns pruned and numbered, expressions compiled.

use std::collections::BTreeMap;

use arrow::compute::can_cast_types;
use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column as DfColumn, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable, cast};

use super::base::{Base, BaseSource, Instance, NOW, as_key, now_type};
use super::bind::{Bound, BoundJoin, Fields, JoinKind};
use super::index_keys::TableKeys;
use super::join_clause::all_of;
use super::mistake::{Mistake, did_you_mean, nearest};
use super::query::{ColumnSource, Dimension, Lookup, LookupKind, OutputColumn, Part, Plan};
use super::table::{Column, Role, Table};
use super::wording::cast_types;
use crate::batch::TableId;
use crate::config::{EmissionRules, Pipeline, type_name};
use crate::expression::Expression;

/// Makes the plan.
///
/// # Errors
/// With all mistakes that only show now.
pub fn compile(
    bound: Bound,
    pipeline: &Pipeline,
    fields: &BTreeMap<String, Fields>,
    process_ttl_ms: i64,
) -> Result<Plan, Vec<Mistake>> {
    let outputs = typed_outputs(&bound, pipeline)?;
    let is_key = |name: &String| pipeline.output.key.as_ref() == Some(name);
    let key = outputs.iter().position(|(name, _)| is_key(name));
    let mut compiler = Compiler::new(bound, pipeline, fields, process_ttl_ms)?;
    compiler.keep_columns(&outputs);
    compiler.number_columns(&outputs);
    let broken = |error: String| vec![Mistake::at(&["query"], error)];
    let emission = compiler.emission(&outputs);
    let (dimensions, lookups) = compiler.lookups().map_err(broken)?;
    let (driving, after) = compiler.conditions().map_err(broken)?;
    let events = compiler.events(driving).map_err(broken)?;
    let mut compiled = Vec::new();
    for (name, expr) in outputs {
        let expression = compiler.expression(&expr).map_err(broken)?;
        compiled.push(OutputColumn { name, data_type: expression.data_type().clone(), expression });
    }
    Ok(Plan {
        columns: compiler.sources().map_err(broken)?,
        names: compiler.names(),
        events,
        emission,
        tables: compiler.tables,
        dimensions,
        lookups,
        condition: after,
        outputs: compiled,
        key,
    })
}

/// Columns of the result that `output` or `emission.require` names and the query does not give; those that are near one of `told`, about which
/// there is a mistake already, left out.
pub fn missing_outputs(bound: &Bound, pipeline: &Pipeline, told: &[&str]) -> Vec<Mistake> {
    let names: Vec<_> = bound.outputs.iter().map(|output| output.name.as_str()).collect();
    let missing = |name: &str| {
        let message = format!("the result has no column `{name}`");
        let is_told = nearest(name, told.iter().copied()).is_some();
        (!names.contains(&name) && !is_told).then(|| (message, did_you_mean(name, names.iter().copied())))
    };
    let key = pipeline.output.key.iter().filter_map(|key| missing(key));
    let key = key.map(|(message, help)| Mistake::at(&["output", "key"], message).help(help));
    let declared = pipeline.output.schema.iter().flatten();
    let declared = declared.filter_map(|(name, _)| missing(name).map(|it| (name, it)));
    let declared =
        declared.map(|(name, (message, help))| Mistake::at_key(&["output", "schema", name], message).help(help));
    let required = match &pipeline.emission {
        EmissionRules::Smart { require, .. } => &require[..],
        EmissionRules::Immediate => &[],
    };
    let required = required.iter().enumerate().filter_map(|(place, name)| missing(name).map(|it| (place, it)));
    let required = required
        .map(|(place, (message, help))| Mistake::at(&["emission", "require", &place.to_string()], message).help(help));
    key.chain(declared).chain(required).collect()
}

/// The outputs, cast to the declared result schema.
fn typed_outputs(bound: &Bound, pipeline: &Pipeline) -> Result<Vec<(String, Expr)>, Vec<Mistake>> {
    let mut mistakes = missing_outputs(bound, pipeline, &[]);
    let outputs = bound.outputs.iter().map(|output| (output.name.clone(), output.expr.clone()));
    let Some(declared) = &pipeline.output.schema else {
        return if mistakes.is_empty() { Ok(outputs.collect()) } else { Err(mistakes) };
    };
    let schema = bound.base.df_schema();
    let mut typed = Vec::new();
    for output in &bound.outputs {
        let Some((_, wanted)) = declared.iter().find(|(name, _)| *name == output.name) else {
            let message = format!("`output.schema` lacks the column `{}`", output.name);
            mistakes.push(Mistake::in_query(output.span, message).help("add it there, or leave it out here"));
            continue;
        };
        let actual = output.expr.get_type(&schema).unwrap_or(DataType::Null);
        if actual == *wanted {
            typed.push((output.name.clone(), output.expr.clone()));
        } else if can_cast_types(&actual, wanted) {
            typed.push((output.name.clone(), cast(output.expr.clone(), wanted.clone())));
        } else {
            let (actual, wanted) = (type_name(&actual), type_name(wanted));
            let message = format!("`{}` is of type {actual}, which can't be cast to {wanted}", output.name);
            mistakes.push(
                Mistake::in_query(output.span, message)
                    .help("declare another type under output.schema, or give another value here"),
            );
        }
    }
    if mistakes.is_empty() { Ok(typed) } else { Err(mistakes) }
}

pub(super) struct Compiler<'a> {
    pub(super) bound: Bound,
    pub(super) pipeline: &'a Pipeline,
    pub(super) tables: Vec<Table>,
    /// The table of each instance.
    pub(super) table_of: Vec<usize>,
    /// The row of each instance in a joined row.
    pub(super) parts: Vec<Part>,
    /// The number of each base column that is used.
    numbers: Vec<Option<usize>>,
    /// The base column of each number; `None` is `NOW`.
    numbered: Vec<Option<usize>>,
}

impl<'a> Compiler<'a> {
    fn new(
        bound: Bound,
        pipeline: &'a Pipeline,
        fields: &BTreeMap<String, Fields>,
        process_ttl_ms: i64,
    ) -> Result<Self, Vec<Mistake>> {
        let parts = parts_of(&bound);
        let mut tables: Vec<Table> = Vec::new();
        let mut table_of = vec![0; parts.len()];
        let mut mistakes = Vec::new();
        let mut in_order: Vec<usize> = (0..parts.len()).collect();
        in_order.sort_by_key(|&instance| parts[instance]);
        for instance in in_order {
            let name = &bound.instances[instance];
            let known = tables.iter().position(|table| table.name == *name);
            table_of[instance] = known.unwrap_or_else(|| {
                let role = if matches!(parts[instance], Part::Event(_)) { Role::Event } else { Role::Dimension };
                let id = TableId(tables.len() as u32);
                tables.push(table(id, name, role, pipeline, fields, process_ttl_ms, &mut mistakes));
                tables.len() - 1
            });
        }
        for (place, table) in tables.iter().enumerate() {
            if let Some(other) = tables[..place].iter().find(|other| other.topic == table.topic) {
                let message = format!("`{}` and `{}` read the same topic `{}`", other.name, table.name, table.topic);
                let help = format!("join `{}` twice, under two aliases", other.name);
                mistakes.push(Mistake::at(&["sources", &table.name, "topic"], message).help(help));
            }
        }
        for table in tables.iter().filter(|table| table.topic == pipeline.output.topic) {
            let message = format!("the result goes to the topic that `{}` is read from: an endless loop", table.name);
            mistakes.push(Mistake::at(&["output", "topic"], message).help("write to another topic"));
        }
        let numbers = vec![None; bound.base.columns.len()];
        if mistakes.is_empty() {
            Ok(Self { bound, pipeline, tables, table_of, parts, numbers, numbered: Vec::new() })
        } else {
            Err(mistakes)
        }
    }

    /// Gives each table the columns that any expression reads, and a dimension those of its declared key.
    fn keep_columns(&mut self, outputs: &[(String, Expr)]) {
        for base in self.used(outputs) {
            if let BaseSource::Table(instance, column) = &self.bound.base.columns[base].source {
                let table = &mut self.tables[self.table_of[instance.0]];
                if !table.columns.contains(column) {
                    table.columns.push(column.clone());
                }
            }
        }
        for declared in &self.pipeline.dimensions {
            let key = declared.key.iter().flatten();
            let Some(table) = self.tables.iter_mut().find(|table| table.name == declared.table) else { continue };
            for name in key {
                let column = self.bound.base.columns.iter().find_map(|column| match &column.source {
                    BaseSource::Table(instance, column)
                        if self.bound.instances[instance.0] == declared.table && column.name() == name =>
                    {
                        Some(column.clone())
                    }
                    _ => None,
                });
                table.columns.extend(column.filter(|column| !table.columns.contains(column)));
            }
        }
    }

    /// All base columns that the plan reads, in order.
    fn used(&self, outputs: &[(String, Expr)]) -> Vec<usize> {
        let joins = self.bound.joins.iter();
        let of_joins = joins.flat_map(|join| {
            let keys = join.keys.iter().flat_map(|(before, new)| [before, new]);
            keys.chain(&join.residual)
        });
        let all = outputs.iter().map(|(_, expr)| expr).chain(of_joins).chain(&self.bound.conditions);
        let mut used = vec![false; self.bound.base.columns.len()];
        let mut open: Vec<usize> = all.flat_map(Base::read_by).collect();
        while let Some(base) = open.pop() {
            if !std::mem::replace(&mut used[base], true)
                && let BaseSource::Computed(_, expr) | BaseSource::Unnest(expr) = &self.bound.base.columns[base].source
            {
                open.extend(Base::read_by(expr));
            }
        }
        (0..used.len()).filter(|&base| used[base]).collect()
    }

    fn number_columns(&mut self, outputs: &[(String, Expr)]) {
        for base in self.used(outputs) {
            self.numbers[base] = Some(self.numbered.len());
            self.numbered.push(Some(base));
        }
        self.numbered.push(None);
    }

    /// Compiles an expression over columns of the joined row.
    pub(super) fn expression(&self, expr: &Expr) -> Result<Expression, String> {
        let mut columns: Vec<_> = Base::read_by(expr)
            .into_iter()
            .map(|base| {
                let number = self.numbers[base].expect("BUG: an expression reads a column that is not numbered");
                (number, Base::name_of(base), self.bound.base.columns[base].data_type.clone())
            })
            .collect();
        if expr.column_refs().iter().any(|column| column.name == NOW) {
            columns.push((self.numbered.len() - 1, NOW.to_string(), now_type()));
        }
        Expression::compile(expr, &columns, self.text(expr))
    }

    /// An expression for a person.
    pub(super) fn text(&self, expr: &Expr) -> String {
        let named = expr.clone().transform_up(|expr| {
            Ok(match &expr {
                Expr::Column(column) => match Base::index_of(&column.name) {
                    Some(base) => Transformed::yes(Expr::Column(DfColumn::new_unqualified(self.name_of(base)))),
                    None if column.name == NOW => Transformed::yes(Expr::Column(DfColumn::new_unqualified("now()"))),
                    None => Transformed::no(expr),
                },
                Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
                    Transformed::yes(Expr::Column(DfColumn::new_unqualified(format!("'{text}'"))))
                }
                Expr::Literal(value, _) => Transformed::yes(Expr::Column(DfColumn::new_unqualified(value.to_string()))),
                _ => Transformed::no(expr),
            })
        });
        cast_types(&named.map_or_else(|_| expr.to_string(), |named| named.data.to_string()))
    }

    fn name_of(&self, base: usize) -> String {
        match &self.bound.base.columns[base].source {
            BaseSource::Table(instance, column) => {
                let table = &self.bound.instances[instance.0];
                let first = self.bound.instances.iter().position(|name| name == table) == Some(instance.0);
                let number = if first { String::new() } else { format!("#{}", instance.0) };
                format!("{table}{number}.{}", column.name())
            }
            BaseSource::Computed(_, expr) => self.text(expr),
            BaseSource::Unnest(expr) => format!("unnest({})", self.text(expr)),
        }
    }

    fn names(&self) -> Vec<String> {
        self.numbered.iter().map(|base| base.map_or_else(|| "now()".into(), |base| self.name_of(base))).collect()
    }

    fn sources(&self) -> Result<Vec<ColumnSource>, String> {
        let source = |base: &Option<usize>| {
            let Some(base) = *base else { return Ok(ColumnSource::Now) };
            Ok(match &self.bound.base.columns[base].source {
                BaseSource::Table(instance, column) => {
                    let column = self.column_of(self.table_of[instance.0], column);
                    ColumnSource::Stored { part: self.parts[instance.0], column }
                }
                BaseSource::Computed(instance, expr) => {
                    ColumnSource::Computed { part: self.parts[instance.0], expression: self.expression(expr)? }
                }
                BaseSource::Unnest(list) => ColumnSource::Unnest(self.expression(list)?),
            })
        };
        self.numbered.iter().map(source).collect()
    }

    pub(super) fn column_of(&self, table: usize, column: &Column) -> usize {
        let columns = &self.tables[table].columns;
        columns.iter().position(|kept| kept == column).expect("BUG: a column is read that is not kept")
    }

    /// WHERE: conditions on driving columns alone, and the others.
    fn conditions(&self) -> Result<(Option<Expression>, Option<Expression>), String> {
        let (driving, after): (Vec<_>, Vec<_>) = self
            .bound
            .conditions
            .iter()
            .cloned()
            .partition(|condition| self.bound.base.instances_of(condition).iter().all(|&of| of == Instance(0)));
        Ok((self.all_of(&driving)?, self.all_of(&after)?))
    }

    fn lookups(&self) -> Result<(Vec<Dimension>, Vec<Lookup>), String> {
        let first = self.parts.iter().filter(|part| matches!(part, Part::Event(_))).count();
        let tables = &self.tables[first..];
        let mut dimensions: Vec<_> = tables.iter().map(|table| TableKeys::new(self, table.id.index())).collect();
        let mut lookups = Vec::new();
        for join in self.bound.lookups() {
            let dimension = self.table_of[join.instance.0] - first;
            let (before, new) = self.keys(&join.keys)?;
            lookups.push(Lookup {
                dimension,
                table: tables[dimension].name.clone(),
                index: dimensions[dimension].index_on(self, &new)?,
                kind: self.kind(join, &mut dimensions[dimension])?,
                keys: before.iter().map(|key| self.expression(key)).collect::<Result<_, _>>()?,
                residual: self.all_of(&join.residual)?,
            });
        }
        let declared = |table: &Table| {
            self.pipeline.dimensions.iter().find(|declared| declared.table == table.name).and_then(|it| it.key.clone())
        };
        let dimensions = dimensions.into_iter().zip(tables);
        Ok((dimensions.map(|(keys, table)| keys.of_dimension(table, declared(table))).collect(), lookups))
    }

    /// What a look-up does with a row. The indexes of NOT IN are on columns that are true or NULL.
    fn kind(&self, join: &BoundJoin, keys: &mut TableKeys) -> Result<LookupKind, String> {
        Ok(match join.kind {
            JoinKind::Inner => LookupKind::Inner,
            JoinKind::Left => LookupKind::Left,
            JoinKind::Semi => LookupKind::Semi,
            JoinKind::Anti => LookupKind::Anti,
            JoinKind::NotIn => {
                let is_null = join.keys.iter().map(|(_, given)| given.clone().is_null());
                let null = join.residual.iter().cloned().chain(is_null).collect();
                LookupKind::NotIn {
                    given: keys.index_of_rows(self, join.residual.clone())?,
                    null: keys.index_of_rows(self, null)?,
                }
            }
        })
    }

    /// Both sides of equal pairs as keys: (over tables before it, over the new table).
    pub(super) fn keys(&self, pairs: &[(Expr, Expr)]) -> Result<(Vec<Expr>, Vec<Expr>), String> {
        let key = |expr: &Expr| as_key(expr.clone(), &self.bound.base).map_err(|error| error.strip_backtrace());
        pairs.iter().map(|(before, new)| Ok((key(before)?, key(new)?))).collect()
    }

    /// The conditions combined by AND, if there are any.
    pub(super) fn all_of(&self, conditions: &[Expr]) -> Result<Option<Expression>, String> {
        all_of(conditions.to_vec()).map(|all| self.expression(&all)).transpose()
    }
}

/// The row of each instance in a joined row: the event tables, and the look-ups, in the order of the query.
fn parts_of(bound: &Bound) -> Vec<Part> {
    let mut parts = vec![Part::Event(0); bound.instances.len()];
    for (event, join) in bound.event_joins().enumerate() {
        parts[join.instance.0] = Part::Event(event + 1);
    }
    for (lookup, join) in bound.lookups().enumerate() {
        parts[join.instance.0] = Part::Lookup(lookup);
    }
    parts
}

fn table(
    id: TableId,
    name: &str,
    role: Role,
    pipeline: &Pipeline,
    fields: &BTreeMap<String, Fields>,
    process_ttl_ms: i64,
    mistakes: &mut Vec<Mistake>,
) -> Table {
    let source = pipeline.sources.get(name);
    let known = || fields[name].iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>();
    let mut column = |field: &str, path: &[&str]| match fields[name].iter().find(|(known, _)| known == field) {
        Some((field, data_type)) => Some(Column::Field { name: field.clone(), data_type: data_type.clone() }),
        None => {
            let message = format!("`{name}` has no column `{field}`");
            mistakes.push(Mistake::at(path, message).help(did_you_mean(field, known())));
            None
        }
    };
    let event_time = source
        .and_then(|source| source.event_time.as_ref())
        .and_then(|field| column(field, &["sources", name, "event_time"]));
    let declared = pipeline.dimensions.iter().position(|dimension| dimension.table == name);
    if let Some(place) = declared {
        for (number, key) in pipeline.dimensions[place].key.iter().flatten().enumerate() {
            column(key, &["state", "dimensions", &place.to_string(), "key", &number.to_string()]);
        }
    }
    if let Some(Column::Field { name: field, data_type }) = &event_time
        && !matches!(data_type, DataType::Timestamp(..))
    {
        let message = format!("`{field}` is of type {}, but a row's time is a timestamp", type_name(data_type));
        let help = format!("declare it as `{field}: timestamp` under sources.{name}.schema");
        mistakes.push(Mistake::at(&["sources", name, "event_time"], message).help(help));
    }
    Table {
        id,
        name: name.to_string(),
        topic: source.and_then(|source| source.topic.clone()).unwrap_or_else(|| name.to_string()),
        role,
        columns: Vec::new(),
        event_time,
        max_future_ms: pipeline.events.max_future_ms,
        max_record_bytes: pipeline.max_record_bytes,
        identity: None,
        ttl_ms: (role == Role::Event).then(|| pipeline.events.ttl_ms(name, process_ttl_ms)),
    }
}
