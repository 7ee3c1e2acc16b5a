//! One table of a pipeline: what to read, decode and remember. Decided at start-up.

use arrow::datatypes::DataType;

use crate::batch::TableId;

/// What a table is (SEMANTICS 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rows are appended and live for a ttl; the driving table is one.
    Event,
    /// The current row of each identity; never expires.
    Dimension,
}

/// A column that the plan keeps of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// A field of the record's value.
    Field {
        /// Its name, in the value and in SQL.
        name: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// `_key`: the record's key as text (`Utf8View`).
    Key,
    /// `_topic` (`Utf8View`).
    Topic,
    /// `_partition` (`Int32`).
    Partition,
    /// `_offset` (`Int64`).
    Offset,
    /// `_timestamp` (`Timestamp(Millisecond, UTC)`).
    Timestamp,
    /// The record's key as bytes (`BinaryView`): the identity of a dimension row that declares none.
    Identity,
}

impl Column {
    /// The column's name in SQL.
    pub fn name(&self) -> &str {
        match self {
            Column::Field { name, .. } => name,
            Column::Key => "_key",
            Column::Topic => "_topic",
            Column::Partition => "_partition",
            Column::Offset => "_offset",
            Column::Timestamp => "_timestamp",
            Column::Identity => "_identity",
        }
    }

    /// The column's Arrow type.
    pub fn data_type(&self) -> DataType {
        match self {
            Column::Field { data_type, .. } => data_type.clone(),
            Column::Key | Column::Topic => DataType::Utf8View,
            Column::Partition => DataType::Int32,
            Column::Offset => DataType::Int64,
            Column::Timestamp => DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into())),
            Column::Identity => DataType::BinaryView,
        }
    }
}

/// What names a dimension row (SEMANTICS 1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// These columns (places in `Table::columns`).
    Columns(Vec<usize>),
    /// The record's key: the `Column::Identity` at this place in `Table::columns`.
    RecordKey(usize),
}

/// One table of a pipeline.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its place in the plan.
    pub id: TableId,
    /// Its name in SQL.
    pub name: String,
    /// The topic that it is read from.
    pub topic: String,
    /// What it is.
    pub role: Role,
    /// The columns that the query uses, in the order in which they are decoded and kept.
    pub columns: Vec<Column>,
    /// The field that is a row's time (of type `Timestamp`, not always among `columns`), or the record's timestamp.
    pub event_time: Option<Column>,
    /// How far `event_time` may lie ahead of the record's timestamp, ms.
    pub max_future_ms: i64,
    /// The largest record that is decoded, bytes.
    pub max_record_bytes: usize,
    /// Of a dimension: what names its rows.
    pub identity: Option<Identity>,
    /// Of an event table: how long its rows live, ms.
    pub ttl_ms: Option<i64>,
}
