//! Compiled scalar expressions: planned once, evaluated on whole columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

/// A scalar expression over some columns.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The columns that it reads, by the caller's numbers.
    inputs: Vec<usize>,
    schema: SchemaRef,
    physical: Arc<dyn PhysicalExpr>,
    /// Where the expression is one of its inputs as it is.
    is_column: bool,
    data_type: DataType,
    text: String,
}

impl Expression {
    /// Compiles `expr`, which reads the columns `(number, name in expr, type)`.
    ///
    /// # Errors
    /// When DataFusion has no physical form for it; the text says why.
    pub fn compile(expr: &Expr, columns: &[(usize, String, DataType)], text: String) -> Result<Self, String> {
        let fields: Vec<_> =
            columns.iter().map(|(_, name, data_type)| Field::new(name, data_type.clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let df_schema = DFSchema::try_from(Arc::clone(&schema)).map_err(|error| error.strip_backtrace())?;
        let context = PhysicalPlanningContext::default();
        let physical = create_physical_expr(expr, &df_schema, &ExecutionProps::new(), &context)
            .map_err(|error| error.strip_backtrace())?;
        let data_type = physical.data_type(&schema).map_err(|error| error.strip_backtrace())?;
        let is_column = physical.downcast_ref::<Column>().is_some();
        Ok(Self {
            inputs: columns.iter().map(|(number, ..)| *number).collect(),
            schema,
            physical,
            is_column,
            data_type,
            text,
        })
    }

    /// The numbers of the columns that it reads.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The number of the column that this expression is, if it is nothing but one.
    pub fn as_column(&self) -> Option<usize> {
        self.is_column.then(|| self.inputs[0])
    }

    /// The Arrow type of what it gives.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The expression for a person.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates on `rows` rows; `columns` are those of `inputs`, in that order.
    ///
    /// # Errors
    /// When it fails for any row; the text says why, not for which.
    pub fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef, String> {
        if self.is_column {
            return Ok(Arc::clone(&columns[0]));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| format!("BUG: columns of an expression disagree: {error}"))?;
        let value = self.physical.evaluate(&batch).map_err(|error| error.strip_backtrace())?;
        value.into_array(rows).map_err(|error| error.strip_backtrace())
    }

    /// Evaluates a condition: NULL is false.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn evaluate_condition(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray, String> {
        let array = self.evaluate(columns, rows)?;
        let Some(mask) = array.as_any().downcast_ref::<BooleanArray>() else {
            // The literal NULL has no type.
            return Ok(BooleanArray::from(vec![false; rows]));
        };
        Ok(if mask.null_count() == 0 { mask.clone() } else { prep_null_mask_filter(mask) })
    }
}
