//! SQL functions of KaflowSQL that DataFusion lacks.
