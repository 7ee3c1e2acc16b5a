//! Copies of arrays that hold on to nothing but their own rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray,
    new_empty_array,
};
use arrow::compute::concat;
use arrow::datatypes::DataType;

/// The rows of `arrays` (at least one, all of one type) in one array that shares no buffer with them and has no spare
/// capacity. A view array gets one data buffer of its own (per 2 GiB), or it would pin the arena of a whole batch.
pub(super) fn tight(arrays: &[&dyn Array]) -> ArrayRef {
    // `concat` of a single array does not copy it; of two it does.
    let nothing;
    let mut array = if let [single] = arrays {
        nothing = new_empty_array(single.data_type());
        concat(&[*single, nothing.as_ref()])
    } else {
        concat(arrays)
    }
    .expect("BUG: the pieces of a column have one type, and a chunk is sealed before offsets overflow");
    if has_views(array.data_type()) {
        array = without_foreign_buffers(&array);
    }
    array.shrink_to_fit();
    array
}

fn has_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_views(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_views(field.data_type())),
        _ => false,
    }
}

fn without_foreign_buffers(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::List(_) => list_without_foreign_buffers::<i32>(array),
        DataType::LargeList(_) => list_without_foreign_buffers::<i64>(array),
        DataType::FixedSizeList(field, size) => {
            let list = array.as_fixed_size_list();
            let values = without_foreign_buffers(list.values());
            Arc::new(FixedSizeListArray::new(field.clone(), *size, values, list.nulls().cloned()))
        }
        DataType::Struct(_) => Arc::new(struct_without_foreign_buffers(array.as_struct())),
        DataType::Map(field, ordered) => {
            let map = array.as_map();
            let entries = struct_without_foreign_buffers(map.entries());
            Arc::new(MapArray::new(field.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *ordered))
        }
        _ => array.clone(),
    }
}

fn list_without_foreign_buffers<O: OffsetSizeTrait>(array: &ArrayRef) -> ArrayRef {
    let (field, offsets, values, nulls) = array.as_list::<O>().clone().into_parts();
    Arc::new(GenericListArray::<O>::new(field, offsets, without_foreign_buffers(&values), nulls))
}

fn struct_without_foreign_buffers(array: &StructArray) -> StructArray {
    let columns = array.columns().iter().map(without_foreign_buffers).collect();
    StructArray::new(array.fields().clone(), columns, array.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListBuilder, StringViewArray, StringViewBuilder};
    use arrow::buffer::Buffer;
    use arrow::datatypes::Field;

    use super::*;

    const LONG: &str = "longer than the twelve bytes of a view";

    /// A view array over an arena of a megabyte, of which it needs the first bytes.
    fn pinning() -> StringViewArray {
        let mut arena = vec![b'.'; 1 << 20];
        arena[..LONG.len()].copy_from_slice(LONG.as_bytes());
        let mut builder = StringViewBuilder::new();
        let block = builder.append_block(Buffer::from_vec(arena));
        builder.try_append_view(block, 0, LONG.len() as u32).expect("it lies within the arena");
        builder.append_value("short");
        builder.append_null();
        builder.finish()
    }

    #[test]
    fn a_copy_pins_nothing() {
        let views = pinning();
        let copy = tight(&[&views]);
        assert_eq!(copy.as_ref(), &views as &dyn Array);
        assert!(copy.get_array_memory_size() < 1000, "{} bytes", copy.get_array_memory_size());
        assert_eq!(copy.as_string_view().data_buffers().len(), 1);

        let numbers = Int64Array::from_iter_values(0..100_000);
        let slice = numbers.slice(7, 3);
        let copy = tight(&[&slice]);
        assert_eq!(copy.as_ref(), &slice as &dyn Array);
        assert!(copy.get_array_memory_size() < 500);
    }

    #[test]
    fn short_texts_pin_nothing_either() {
        let views = StringViewArray::from_iter_values((0..100_000).map(|n| n.to_string())).slice(5, 2);
        let copy = tight(&[&views]);
        assert_eq!(copy.as_ref(), &views as &dyn Array);
        assert!(copy.get_array_memory_size() < 500);
    }

    #[test]
    fn nor_do_views_inside_nested_values() {
        let views: ArrayRef = Arc::new(pinning());
        let field = Arc::new(Field::new("text", DataType::Utf8View, true));
        let inner = StructArray::from(vec![(field, views)]);
        let copy = tight(&[&inner, &inner]);
        assert_eq!(copy.len(), 6);
        assert_eq!(&copy.slice(3, 3), &(Arc::new(inner) as ArrayRef));
        assert!(copy.get_array_memory_size() < 2000, "{} bytes", copy.get_array_memory_size());

        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for round in 0..50 {
            lists.values().append_value(format!("{LONG} {round}"));
            lists.values().append_null();
            lists.append(round % 7 != 0);
        }
        let lists = lists.finish();
        let middle = lists.slice(20, 2);
        let copy = tight(&[&middle]);
        assert_eq!(copy.as_ref(), &middle as &dyn Array);
        assert!(copy.get_array_memory_size() < 1500, "{} bytes", copy.get_array_memory_size());
    }
}
