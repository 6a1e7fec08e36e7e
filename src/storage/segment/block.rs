//! What is read of a segment at once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};

use super::layout::relaxed;
use crate::error::{Error, Result};
use crate::storage::codec::{KeyColumn, arrow_schema};
use crate::value::Schema;

/// What a reader wants of each block.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) schema: Arc<Schema>,
    pub(super) columns: Vec<usize>,
    /// The columns as Arrow has them, and the same where there are tombstones, whose values may be null.
    fields: SchemaRef,
    relaxed_fields: SchemaRef,
    pub(super) has_keys: bool,
    pub(super) has_seqs: bool,
}

impl Wanted {
    /// The given columns of `schema`, by position and in this order; there may be none.
    ///
    /// # Errors
    /// `Internal` if the schema has fewer columns.
    pub fn try_new(schema: &Arc<Schema>, columns: Vec<usize>) -> Result<Self> {
        let missing = |error| Error::internal(format!("cannot read columns {columns:?}: {error}"));
        let fields = arrow_schema(schema).project(&columns).map_err(missing)?;
        let of_field = |(column, field): (&usize, &Arc<Field>)| relaxed(schema, *column, field.as_ref().clone());
        let relaxed_fields: Vec<Field> = columns.iter().zip(fields.fields()).map(of_field).collect();
        Ok(Self {
            schema: Arc::clone(schema),
            relaxed_fields: Arc::new(ArrowSchema::new(relaxed_fields)),
            fields: Arc::new(fields),
            columns,
            has_keys: false,
            has_seqs: false,
        })
    }

    /// This, and the key of each row.
    #[must_use]
    pub fn with_keys(self) -> Self {
        Self { has_keys: true, ..self }
    }

    /// This, and the sequence number of each row.
    #[must_use]
    pub fn with_seqs(self) -> Self {
        Self { has_seqs: true, ..self }
    }

    /// The columns as Arrow has them, in blocks without tombstones.
    pub fn fields(&self) -> &SchemaRef {
        &self.fields
    }

    pub(super) fn fields_with(&self, has_tombstones: bool) -> &SchemaRef {
        if has_tombstones { &self.relaxed_fields } else { &self.fields }
    }
}

/// Rows of a segment, ascending by key: a block, or those of its rows that are within a range.
#[derive(Clone, Debug)]
pub struct Block {
    /// The number of the block in [`super::Footer::blocks`].
    pub number: usize,
    /// The columns that were wanted. If `deleted` is there, those that are not in the key are nullable.
    pub batch: RecordBatch,
    /// Which rows are tombstones. Nothing if none of the whole block is.
    pub deleted: Option<BooleanArray>,
    /// The sequence number of each row, if it was wanted. None is null.
    pub seqs: Option<UInt64Array>,
    /// The keys of the whole block.
    pub(super) keys: Option<Arc<KeyColumn>>,
    /// Which row of the block the first one is.
    pub(super) first: usize,
}

impl Block {
    /// How many rows there are, tombstones included.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The key of a row, if keys were wanted, or if the block was cut to a range.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        let keys = self.keys.as_ref().filter(|_| row < self.rows())?;
        Some(keys.get(self.first + row))
    }

    /// The first row whose key is not below `key`; the number of rows if there is none. Nothing if there are no keys.
    pub fn lower_bound(&self, key: &[u8]) -> Option<usize> {
        let keys = self.keys.as_ref()?;
        let range = self.first..self.first + self.rows();
        Some(partition(keys, range, |other| other < key) - self.first)
    }

    /// Some of the rows, without copying them. `rows` must be within those of this.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let (start, len) = (rows.start, rows.len());
        Self {
            number: self.number,
            batch: self.batch.slice(start, len),
            deleted: self.deleted.as_ref().map(|deleted| deleted.slice(start, len)),
            seqs: self.seqs.as_ref().map(|seqs| seqs.slice(start, len)),
            keys: self.keys.clone(),
            first: self.first + start,
        }
    }
}

/// The first row of `rows` whose key `is_before` does not hold for, as it does for all rows before and none after.
pub(super) fn partition(keys: &KeyColumn, rows: Range<usize>, is_before: impl Fn(&[u8]) -> bool) -> usize {
    let Range { mut start, mut end } = rows;
    while start < end {
        let middle = start + (end - start) / 2;
        if is_before(keys.get(middle)) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}
