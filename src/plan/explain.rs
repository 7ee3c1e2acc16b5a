//! A plan for a person: tables, the join graph, and what runs above it.

use std::fmt::{Display, Formatter, Result, Write};

use super::query::{Dimension, IdentityRule, LookupKind, Plan};
use super::table::{Role, Table};
use crate::config::type_name;
use crate::expression::Expression;

impl Display for Plan {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        writeln!(out, "tables")?;
        for table in &self.tables {
            self.table(out, table)?;
        }
        writeln!(out, "\njoins")?;
        writeln!(out, "  {} drives", self.tables[0].name)?;
        if let Some(condition) = &self.events[0].condition {
            writeln!(out, "    kept before the joins if {}", condition.text())?;
        }
        for lookup in &self.lookups {
            let dimension = &self.dimensions[lookup.dimension];
            let stored = &dimension.indexes[lookup.index];
            let kind = if lookup.kind == LookupKind::Left { "LEFT" } else { "INNER" };
            write!(out, "  {kind} {} on ", lookup.table)?;
            for (number, (key, &column)) in lookup.keys.iter().zip(stored).enumerate() {
                let and = if number == 0 { "" } else { " and " };
                write!(out, "{and}{} = {}", key.text(), self.stored_name(dimension, column))?;
            }
            writeln!(out)?;
            if let Some(residual) = &lookup.residual {
                writeln!(out, "    matches if {}", residual.text())?;
            }
        }
        writeln!(out, "\nabove the joins")?;
        if let Some(condition) = &self.condition {
            writeln!(out, "  kept if {}", condition.text())?;
        }
        for (number, output) in self.outputs.iter().enumerate() {
            let key = if self.key == Some(number) { "  (record key)" } else { "" };
            let expression = &output.expression;
            let data_type = type_name(&output.data_type);
            let text =
                if expression.text() == output.name { String::new() } else { format!(" = {}", expression.text()) };
            writeln!(out, "  {}: {data_type}{text}{key}", output.name)?;
        }
        Ok(())
    }
}

impl Plan {
    fn table(&self, out: &mut Formatter<'_>, table: &Table) -> Result {
        let role = match table.role {
            Role::Event => "event table, driving",
            Role::Dimension => "dimension",
        };
        writeln!(out, "  {} ({role}), topic {}", table.name, table.topic)?;
        let mut columns = String::new();
        for column in &table.columns {
            let comma = if columns.is_empty() { "" } else { ", " };
            write!(columns, "{comma}{} {}", column.name(), type_name(&column.data_type()))?;
        }
        writeln!(out, "    columns used: {}", if columns.is_empty() { "none" } else { &columns })?;
        if let Some(time) = &table.event_time {
            writeln!(out, "    time: {}", time.name())?;
        } else if table.role == Role::Event {
            writeln!(out, "    time: the record's timestamp")?;
        }
        match (table.role, self.dimensions.iter().find(|dimension| dimension.table == table.id)) {
            (_, Some(dimension)) => self.dimension(out, dimension),
            (_, None) => {
                let ttl = humantime::format_duration(std::time::Duration::from_millis(
                    table.ttl_ms.unwrap_or_default().unsigned_abs(),
                ));
                writeln!(out, "    ttl: {ttl}")?;
                writeln!(out, "    state kept: none (it is joined with dimensions only)")
            }
        }
    }

    fn dimension(&self, out: &mut Formatter<'_>, dimension: &Dimension) -> Result {
        let names = |columns: &[usize]| {
            columns.iter().map(|&column| self.stored_name(dimension, column)).collect::<Vec<_>>().join(", ")
        };
        let identity = match &dimension.identity {
            IdentityRule::Declared(columns) => names(columns),
            IdentityRule::RecordKeyOr(Some(columns)) => {
                format!("the record's key; of records without keys: {}", names(columns))
            }
            IdentityRule::RecordKeyOr(None) => "the record's key".to_string(),
        };
        writeln!(out, "    identity: {identity}")?;
        for index in &dimension.indexes {
            writeln!(out, "    index: {}", names(index))?;
        }
        writeln!(out, "    state kept: the current row of each identity; never expires")
    }

    fn stored_name(&self, dimension: &Dimension, column: usize) -> String {
        let table = &self.tables[dimension.table.index()];
        match table.columns.get(column) {
            Some(plain) => plain.name().to_string(),
            None => computed_name(&dimension.computed[column - table.columns.len()], table),
        }
    }
}

/// The text of a stored expression reads columns by their places.
fn computed_name(expression: &Expression, table: &Table) -> String {
    let mut text = expression.text().to_string();
    for &place in expression.inputs().iter().rev() {
        text = text.replace(&format!("stored#{place}"), table.columns[place].name());
    }
    text
}
