//! The order of values that Arrow orders otherwise: versions, links, complex numbers, values of mixed classes.
//!
//! `sort_key(column)` yields the bytes that stand for a cell in a key, and bytes compare as the values do.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::error::external;
use crate::storage::codec::{encode_batch_keys, encode_cell};
use crate::value::State;
use crate::value::schema::Column;

/// The function of one column.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SortKey {
    column: Column,
    signature: Signature,
}

/// `sort_key` of an expression whose values are cells of `column`.
pub(super) fn sort_key(column: &Column, cells: Expr) -> Expr {
    let function = SortKey { column: column.clone(), signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(function).call(vec![cells])
}

/// The bytes that a cell stands for.
pub(super) fn sort_key_of(column: &Column, cell: &State) -> crate::error::Result<ScalarValue> {
    let mut bytes = Vec::new();
    encode_cell(column, cell, &mut bytes)?;
    Ok(ScalarValue::Binary(Some(bytes)))
}

impl ScalarUDFImpl for SortKey {
    fn name(&self) -> &str {
        "sort_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let keys = encode_batch_keys(&[&self.column], &arrays).map_err(external)?;
        let mut builder = BinaryBuilder::with_capacity(keys.len(), 0);
        (0..keys.len()).for_each(|row| builder.append_value(keys.get(row)));
        let keys: ArrayRef = Arc::new(builder.finish());
        Ok(ColumnarValue::Array(keys))
    }
}
