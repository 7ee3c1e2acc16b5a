//! Raw records to Arrow.
