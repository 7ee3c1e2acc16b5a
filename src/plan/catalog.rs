//! The SQL functions that a query may use, as DataFusion's planner asks for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

/// All functions by their names and aliases.
pub struct Catalog {
    scalars: HashMap<String, Arc<ScalarUDF>>,
    aggregates: BTreeSet<String>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl Catalog {
    /// DataFusion's functions and the project's own.
    pub fn new() -> Self {
        let mut scalars = HashMap::new();
        let builtin = datafusion_functions::all_default_functions();
        let nested = datafusion_functions_nested::all_default_nested_functions();
        for function in builtin.into_iter().chain(nested).chain(kaflowsql_udfs::all()) {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                scalars.insert(name.to_lowercase(), Arc::clone(&function));
            }
        }
        let aggregates = datafusion_functions_aggregate::all_default_aggregate_functions()
            .iter()
            .flat_map(|function| std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)))
            .map(str::to_lowercase)
            .collect();
        let planners: Vec<Arc<dyn ExprPlanner>> = vec![
            Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
            Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
            Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
            Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
            Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
        ];
        Self { scalars, aggregates, planners, options: ConfigOptions::default() }
    }

    /// Whether `name` (in lower case) is a function from many rows to one.
    pub fn is_aggregate(&self, name: &str) -> bool {
        self.aggregates.contains(name) && !self.scalars.contains_key(name)
    }

    /// The scalar function `name` (in lower case).
    pub fn scalar(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.scalars.get(name)
    }

    /// Whether a query may call `name` (in lower case).
    pub fn is_function(&self, name: &str) -> bool {
        // `unnest` is the planner's own.
        self.scalars.contains_key(name) || name == "unnest"
    }

    /// Every name that a query may call, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.scalars.keys().map(String::as_str).collect();
        names.push("unnest");
        names.sort_unstable();
        names
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("a table ({name}) can't be read inside an expression")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalars.get(&name.to_lowercase()).cloned()
    }

    // These take lambdas, for which the dialect has no syntax.
    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.scalars.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
