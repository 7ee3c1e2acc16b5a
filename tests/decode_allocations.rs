//! Decoding allocates per batch, never per record or per field.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use arrow::datatypes::{DataType, Field, TimeUnit};
use kaflowsql::batch::{RawBatch, SlicesBuilder, TableId};
use kaflowsql::decode::TableDecoder;
use kaflowsql::plan::{Column, Role, Table};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // Gone only while the thread ends.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn field(name: &str, data_type: DataType) -> Column {
    Column::Field { name: name.into(), data_type }
}

fn table() -> Table {
    let list = |data_type| DataType::List(Field::new("item", data_type, true).into());
    let device = [Field::new("os", DataType::Utf8View, true), Field::new("version", list(DataType::Int32), true)];
    Table {
        id: TableId(0),
        name: "events".into(),
        topic: "events".into(),
        role: Role::Event,
        columns: vec![
            field("id", DataType::Int64),
            field("small", DataType::UInt8),
            field("name", DataType::Utf8View),
            field("note", DataType::Utf8View),
            field("price", DataType::Decimal128(12, 2)),
            field("ratio", DataType::Float64),
            field("day", DataType::Date32),
            field("flag", DataType::Boolean),
            field("bytes", DataType::BinaryView),
            field("device", DataType::Struct(device.into_iter().collect())),
            field("tags", list(DataType::Utf8View)),
            Column::Key,
            Column::Topic,
            Column::Offset,
            Column::Timestamp,
        ],
        event_time: Some(field("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())))),
        max_future_ms: 1 << 50,
        max_record_bytes: 1 << 20,
        identity: None,
        ttl_ms: Some(1),
    }
}

/// Records with all that can happen in good ones: escapes, NULLs, missing fields, other orders, tombstones.
fn records(count: usize) -> RawBatch {
    let (mut values, mut keys) = (SlicesBuilder::default(), SlicesBuilder::default());
    for number in 0..count {
        let common = format!(
            r#""at":"2013-01-01T05:15:00Z","id":{number},"note":"a note with \"quotes\" of number \u00e9 {number}","price":"1{number}.5e-1","bytes":"SGVs\/G8gd29ybGQsIGhlbGxv""#
        );
        let rare = r#""small":1e1,"name":"nobody","ratio":0.1234567890123456789,"day":"2013-01-01","flag":true,"device":{"os":"l\tinux, more than twelve","version":[1,2,3],"x":[{}]},"tags":["a",null,"b\\"]"#;
        let record = match number % 4 {
            0 => format!("{{{common},{rare}}}"),
            1 => format!("{{{rare},\"unknown\":[[1]],{common}}}"),
            2 => format!("{{{common},\"ratio\":null,\"tags\":[]}}"),
            _ => format!("{{{common},\"device\":null,\"unknown\\u0020\":\"\\n\"}}"),
        };
        values.push((number % 16 != 15).then_some(record.as_bytes()));
        keys.push((number % 3 != 0).then_some("ключ, longer than twelve".as_bytes()));
    }
    RawBatch {
        table: TableId(0),
        values: values.finish(),
        keys: keys.finish(),
        partitions: vec![0; count],
        offsets: vec![0; count],
        timestamps: vec![0; count],
        headers: Vec::new(),
    }
}

#[test]
fn allocations_do_not_grow_with_the_records() {
    let mut decoder = TableDecoder::new(&table());
    let mut allocations = |count: usize| {
        let raw = records(count);
        decoder.decode(&raw);
        let before = ALLOCATIONS.get();
        let batch = decoder.decode(&raw);
        let after = ALLOCATIONS.get();
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
        after - before
    };
    let (few, many) = (allocations(64), allocations(64 * 256));
    // A buffer that doubles eight times; there are not twenty that grow (NULLs, lists, escapes).
    let growth = 8 * 20;
    assert!(many <= few + growth, "{few} allocations for 64 records, {many} for {}", 64 * 256);
    assert!(few < 150, "{few} allocations for 64 records");
}
