//! Cells as scalar values of DataFusion.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::error::internal;
use crate::error::Result;
use crate::storage::codec::RowBuilder;
use crate::value::State;
use crate::value::schema::{Column, Kind, Schema};

/// A cell of `column`, which may be None whatever the column says, as a value of the type of the column.
///
/// # Errors
/// `Internal` if the cell does not belong in the column.
pub(crate) fn scalar(column: &Column, cell: &State) -> Result<ScalarValue> {
    let column = Column { nullable: true, slot: 0, ..column.clone() };
    let alone = Arc::new(Schema { kind: Kind::Table, columns: vec![column], key_len: 0, indexes: vec![] });
    let mut builder = RowBuilder::new(&alone, &[0], 1);
    builder.append_row(std::slice::from_ref(cell))?;
    ScalarValue::try_from_array(builder.finish()?.column(0), 0).map_err(internal)
}
