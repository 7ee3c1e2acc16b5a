//! `mask_email(text)`: an e-mail address of which only the first letter and the domain can be read.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion_common::cast::as_string_view_array;
use datafusion_common::types::logical_string;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::scalar_doc_sections::DOC_SECTION_STRING;
use datafusion_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignatureClass,
    Volatility,
};

/// Stands for what is hidden; always as long, or it would tell the length.
const MASK: &str = "***";

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    Documentation::builder(
        DOC_SECTION_STRING,
        "Hides an e-mail address but for its first letter and its domain; text that is no address is hidden whole.",
        "mask_email(text)",
    )
    .with_sql_example("mask_email('jane@example.com') is 'j***@example.com'")
    .with_argument("text", "The address.")
    .build()
});

/// `mask_email(text)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MaskEmail {
    signature: Signature,
}

impl MaskEmail {
    /// The function, to be registered.
    pub fn new() -> Self {
        // Exact: any string type, and nothing that would have to be made one.
        let text = Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
        Self { signature: Signature::coercible(vec![text], Volatility::Immutable) }
    }
}

impl Default for MaskEmail {
    fn default() -> Self {
        Self::new()
    }
}

impl ScalarUDFImpl for MaskEmail {
    fn name(&self) -> &str {
        "mask_email"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _argument_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = take_function_args(self.name(), arguments.args)?;
        match text.cast_to(&DataType::Utf8View, None)? {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(Arc::new(masked(as_string_view_array(&array)?)))),
            ColumnarValue::Scalar(scalar) => {
                let column = masked(as_string_view_array(&scalar.to_array()?)?);
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn masked(addresses: &StringViewArray) -> StringViewArray {
    let mut column = StringViewBuilder::with_capacity(addresses.len());
    let mut text = String::new();
    for address in addresses {
        column.append_option(address.map(|address| {
            text.clear();
            mask(address, &mut text);
            &text
        }));
    }
    column.finish()
}

/// Appends the masked form of `address` to `text`. The last `@` counts: a quoted name may hold others.
fn mask(address: &str, text: &mut String) {
    match address.rsplit_once('@') {
        Some((name, domain)) if !name.is_empty() && !domain.is_empty() => {
            text.extend(name.chars().next());
            text.push_str(MASK);
            text.push('@');
            text.push_str(domain);
        }
        _ => text.push_str(MASK),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::datatypes::Field;
    use datafusion_common::config::ConfigOptions;
    use datafusion_expr::ScalarUDF;
    use datafusion_expr::type_coercion::functions::fields_with_udf;

    use super::*;

    fn call(argument: ColumnarValue, number_rows: usize) -> ColumnarValue {
        let field = |data_type| Arc::new(Field::new("text", data_type, true));
        MaskEmail::new()
            .invoke_with_args(ScalarFunctionArgs {
                arg_fields: vec![field(argument.data_type())],
                args: vec![argument],
                number_rows,
                return_field: field(DataType::Utf8View),
                config_options: Arc::new(ConfigOptions::default()),
            })
            .expect("a valid call")
    }

    #[test]
    fn keeps_first_letter_and_domain() {
        let cases = [
            ("jane@example.com", "j***@example.com"),
            ("j@example.com", "j***@example.com"),
            ("änne@bücher.example", "ä***@bücher.example"),
            ("\"a@b\"@example.com", "\"***@example.com"),
            ("no address", "***"),
            ("@example.com", "***"),
            ("jane@", "***"),
            ("", "***"),
        ];
        let addresses: ArrayRef = Arc::new(StringViewArray::from_iter_values(cases.map(|(address, _)| address)));
        let result = call(ColumnarValue::Array(addresses), cases.len()).to_array(cases.len()).expect("a column");
        let expected = StringViewArray::from_iter_values(cases.map(|(_, masked)| masked));
        assert_eq!(as_string_view_array(&result).expect("Utf8View"), &expected);
    }

    #[test]
    fn null_gives_null() {
        let addresses: ArrayRef = Arc::new(StringViewArray::from(vec![None, Some("jane@example.com"), None]));
        let result = call(ColumnarValue::Array(addresses), 3).to_array(3).expect("a column");
        let result = as_string_view_array(&result).expect("Utf8View");
        assert_eq!(result.iter().collect::<Vec<_>>(), [None, Some("j***@example.com"), None]);

        let scalar = call(ColumnarValue::Scalar(ScalarValue::Utf8View(None)), 5);
        assert!(matches!(scalar, ColumnarValue::Scalar(ScalarValue::Utf8View(None))), "{scalar:?}");
    }

    #[test]
    fn a_constant_stays_a_constant() {
        let scalar = call(ColumnarValue::Scalar(ScalarValue::Utf8View(Some("jane@example.com".into()))), 5);
        let ColumnarValue::Scalar(ScalarValue::Utf8View(Some(text))) = scalar else {
            panic!("not a constant: {scalar:?}");
        };
        assert_eq!(text, "j***@example.com");
    }

    #[test]
    fn an_empty_column_gives_an_empty_column() {
        let none: ArrayRef = Arc::new(StringViewArray::from_iter_values(Vec::<&str>::new()));
        assert_eq!(call(ColumnarValue::Array(none), 0).to_array(0).expect("a column").len(), 0);
    }

    #[test]
    fn a_slice_is_read_from_its_own_start() {
        let addresses = StringViewArray::from_iter_values(["a@one.example", "b@two.example"]).slice(1, 1);
        let result = call(ColumnarValue::Array(Arc::new(addresses)), 1).to_array(1).expect("a column");
        assert_eq!(as_string_view_array(&result).expect("Utf8View").value(0), "b***@two.example");
    }

    #[test]
    fn every_string_type_is_taken_and_all_else_refused() {
        let address = Some("jane@example.com".to_owned());
        for text in [ScalarValue::Utf8(address.clone()), ScalarValue::LargeUtf8(address)] {
            let taken = planned(&text.data_type()).expect("a string type");
            let text = text.cast_to(&taken).expect("what the planner casts it to");
            let column = text.to_array_of_size(2).expect("a column");
            let result = call(ColumnarValue::Array(column), 2).to_array(2).expect("a column");
            assert_eq!(as_string_view_array(&result).expect("Utf8View").value(1), "j***@example.com");
        }
        for other in [DataType::Boolean, DataType::Int64] {
            let refused = planned(&other).expect_err("no text");
            assert!(refused.to_string().contains("mask_email"), "{refused}");
        }
    }

    /// The type to which the planner casts an argument of `data_type`.
    fn planned(data_type: &DataType) -> Result<DataType> {
        let argument = Arc::new(Field::new("text", data_type.clone(), true));
        let fields = fields_with_udf(&[argument], &ScalarUDF::new_from_impl(MaskEmail::new()))?;
        Ok(fields[0].data_type().clone())
    }
}
