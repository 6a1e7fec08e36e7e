//! Rows to batches.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    FixedSizeListArray, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, NullBufferBuilder,
    PrimitiveArray, RecordBatch, RecordBatchOptions, StringViewBuilder, TimestampMicrosecondBuilder, UInt8Builder,
    UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float32Type, Float64Type, SchemaRef};
use arrow::error::ArrowError;

use super::{PARTS, arrow_schema, data_type};
use crate::error::{Error, Result};
use crate::storage::codec::cell::{Cell, mismatch};
use crate::storage::codec::key;
use crate::storage::codec::row::{Payload, Place, place};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::tensor::columns::part_field;
use crate::value::{Class, Number, NumberClass, State};

/// Collects rows into a batch of some of the columns of a schema.
///
/// After an error it has collected a part of a row, and is of no more use.
#[derive(Debug)]
pub struct RowBuilder {
    schema: Arc<Schema>,
    output: SchemaRef,
    /// The columns of the batch, by their positions in the schema.
    projection: Vec<usize>,
    builders: Vec<CellBuilder>,
    /// For each cell of the key, up to the last that is wanted, the columns of the batch that it goes to.
    from_key: Vec<Vec<usize>>,
    /// The slots of the payload that are wanted, each with the column of the batch that it goes to.
    from_slots: Vec<(usize, usize)>,
    rows: usize,
}

impl RowBuilder {
    /// A builder of batches of the columns at the positions in `projection`, with space for `capacity` rows.
    pub fn new(schema: &Arc<Schema>, projection: &[usize], capacity: usize) -> Self {
        // A position that does not exist is an error of the first row that is appended, which lacks it.
        let columns = projection.iter().filter_map(|position| schema.columns.get(*position));
        let builders = columns.map(|column| CellBuilder::new(column, capacity)).collect();
        let (mut from_key, mut from_slots): (Vec<Vec<usize>>, _) = (vec![], vec![]);
        for (target, position) in projection.iter().enumerate().filter(|(_, at)| **at < schema.columns.len()) {
            match place(schema, *position) {
                Place::Slot(slot) => from_slots.push((slot, target)),
                Place::Key(position) => {
                    from_key.resize(from_key.len().max(position + 1), vec![]);
                    from_key[position].push(target);
                }
            }
        }
        let output = arrow_schema(schema);
        let output = output.project(projection).map_or(output, Arc::new);
        let (schema, projection) = (Arc::clone(schema), projection.to_vec());
        Self { schema, output, projection, builders, from_key, from_slots, rows: 0 }
    }

    /// How many rows were appended since the last batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was appended since the last batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The schema of the batches.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Appends a row in its stored form. Cells that are not wanted are not decoded.
    ///
    /// # Errors
    /// `Internal` if the bytes are not those of such a row.
    pub fn append_encoded(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let mut rest = key;
        for (position, targets) in self.from_key.iter().enumerate() {
            let column = &self.schema.columns[position];
            if targets.is_empty() {
                key::skip_cell(column, &mut rest)?;
                continue;
            }
            let cell = key::read_cell(column, &mut rest)?;
            for target in targets {
                self.builders[*target].push(column, &cell)?;
            }
        }
        if !self.from_slots.is_empty() {
            let payload = Payload::parse(payload)?;
            for (slot, target) in &self.from_slots {
                let column = &self.schema.columns[self.projection[*target]];
                self.builders[*target].push(column, &payload.cell(column, *slot)?)?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Appends a row whose cells, in the order of the columns of the schema, were cast to them.
    ///
    /// # Errors
    /// `Internal` if a cell does not belong in its column, or is missing.
    pub fn append_row(&mut self, row: &[State]) -> Result<()> {
        for (position, builder) in self.projection.iter().zip(&mut self.builders) {
            let (Some(column), Some(cell)) = (self.schema.columns.get(*position), row.get(*position)) else {
                return Err(Error::internal(format!("a row has no cell {position}")));
            };
            builder.push(column, &Cell::of_state(column, cell)?)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The batch of the rows that were appended. The builder is empty then.
    ///
    /// # Errors
    /// `Internal` if a cell is None, but its column is not nullable, or if a column does not exist.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.builders.iter_mut().map(CellBuilder::finish).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        RecordBatch::try_new_with_options(Arc::clone(&self.output), arrays, &options).map_err(not_built)
    }
}

/// Collects the cells of a column.
#[derive(Debug)]
pub(super) enum CellBuilder {
    Bool(BooleanBuilder),
    U8(UInt8Builder),
    U16(UInt16Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    I16(Int16Builder),
    I32(Int32Builder),
    I64(Int64Builder),
    F32(Float32Builder),
    F64(Float64Builder),
    C32(PartsBuilder<Float32Type>),
    C64(PartsBuilder<Float64Type>),
    Text(StringViewBuilder),
    Bytes(BinaryViewBuilder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl CellBuilder {
    /// A builder for the cells of `column`, with space for `capacity` cells.
    pub(super) fn new(column: &Column, capacity: usize) -> Self {
        use NumberClass::*;
        match column.ty {
            ColumnType::Number(Bool) => CellBuilder::Bool(BooleanBuilder::with_capacity(capacity)),
            ColumnType::Number(U8) => CellBuilder::U8(UInt8Builder::with_capacity(capacity)),
            ColumnType::Number(U16) => CellBuilder::U16(UInt16Builder::with_capacity(capacity)),
            ColumnType::Number(U32) => CellBuilder::U32(UInt32Builder::with_capacity(capacity)),
            ColumnType::Number(U64) => CellBuilder::U64(UInt64Builder::with_capacity(capacity)),
            ColumnType::Number(I16) => CellBuilder::I16(Int16Builder::with_capacity(capacity)),
            ColumnType::Number(I32) => CellBuilder::I32(Int32Builder::with_capacity(capacity)),
            ColumnType::Number(I64) => CellBuilder::I64(Int64Builder::with_capacity(capacity)),
            ColumnType::Number(F32) => CellBuilder::F32(Float32Builder::with_capacity(capacity)),
            ColumnType::Number(F64) => CellBuilder::F64(Float64Builder::with_capacity(capacity)),
            ColumnType::Number(C32) => CellBuilder::C32(PartsBuilder::with_capacity(capacity)),
            ColumnType::Number(C64) => CellBuilder::C64(PartsBuilder::with_capacity(capacity)),
            ColumnType::Bytes => CellBuilder::Bytes(BinaryViewBuilder::with_capacity(capacity)),
            ColumnType::Decimal { .. } => {
                CellBuilder::Decimal(Decimal128Builder::with_capacity(capacity).with_data_type(data_type(column)))
            }
            ColumnType::Date => CellBuilder::Date(Date32Builder::with_capacity(capacity)),
            ColumnType::Timestamp => CellBuilder::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity)),
            ColumnType::String
            | ColumnType::Id
            | ColumnType::Link
            | ColumnType::Email
            | ColumnType::Version
            | ColumnType::Any => CellBuilder::Text(StringViewBuilder::with_capacity(capacity)),
        }
    }

    /// Appends a cell of the column.
    pub(super) fn push(&mut self, column: &Column, cell: &Cell<'_>) -> Result<()> {
        match (self, cell) {
            (builder, Cell::None) => builder.push_none(),
            (CellBuilder::Text(builder), Cell::Text(text)) => builder.try_append_value(text).map_err(not_built)?,
            (CellBuilder::Bytes(builder), Cell::Bytes(bytes)) => builder.try_append_value(bytes).map_err(not_built)?,
            (CellBuilder::Decimal(builder), Cell::Decimal(units)) => builder.append_value(*units),
            (CellBuilder::Date(builder), Cell::Date(days)) => builder.append_value(*days),
            (CellBuilder::Timestamp(builder), Cell::Timestamp(micros)) => builder.append_value(*micros),
            (builder, Cell::Number(number)) => builder.push_number(column, *number)?,
            (_, Cell::Text(_)) => return Err(mismatch(column, Class::String)),
            (_, Cell::Bytes(_)) => return Err(mismatch(column, Class::Bytes)),
            (_, Cell::Decimal(_) | Cell::Date(_) | Cell::Timestamp(_)) => return Err(mismatch(column, Class::Number)),
        }
        Ok(())
    }

    fn push_none(&mut self) {
        match self {
            CellBuilder::Bool(builder) => builder.append_null(),
            CellBuilder::U8(builder) => builder.append_null(),
            CellBuilder::U16(builder) => builder.append_null(),
            CellBuilder::U32(builder) => builder.append_null(),
            CellBuilder::U64(builder) => builder.append_null(),
            CellBuilder::I16(builder) => builder.append_null(),
            CellBuilder::I32(builder) => builder.append_null(),
            CellBuilder::I64(builder) => builder.append_null(),
            CellBuilder::F32(builder) => builder.append_null(),
            CellBuilder::F64(builder) => builder.append_null(),
            CellBuilder::C32(builder) => builder.append_null(),
            CellBuilder::C64(builder) => builder.append_null(),
            CellBuilder::Text(builder) => builder.append_null(),
            CellBuilder::Bytes(builder) => builder.append_null(),
            CellBuilder::Decimal(builder) => builder.append_null(),
            CellBuilder::Date(builder) => builder.append_null(),
            CellBuilder::Timestamp(builder) => builder.append_null(),
        }
    }

    fn push_number(&mut self, column: &Column, number: Number) -> Result<()> {
        match (self, number) {
            (CellBuilder::Bool(builder), Number::Bool(n)) => builder.append_value(n),
            (CellBuilder::U8(builder), Number::U8(n)) => builder.append_value(n),
            (CellBuilder::U16(builder), Number::U16(n)) => builder.append_value(n),
            (CellBuilder::U32(builder), Number::U32(n)) => builder.append_value(n),
            (CellBuilder::U64(builder), Number::U64(n)) => builder.append_value(n),
            (CellBuilder::I16(builder), Number::I16(n)) => builder.append_value(n),
            (CellBuilder::I32(builder), Number::I32(n)) => builder.append_value(n),
            (CellBuilder::I64(builder), Number::I64(n)) => builder.append_value(n),
            (CellBuilder::F32(builder), Number::F32(n)) => builder.append_value(n),
            (CellBuilder::F64(builder), Number::F64(n)) => builder.append_value(n),
            (CellBuilder::C32(builder), Number::C32(n)) => builder.append_value(n.re, n.im),
            (CellBuilder::C64(builder), Number::C64(n)) => builder.append_value(n.re, n.im),
            _ => return Err(mismatch(column, number.class().into())),
        }
        Ok(())
    }

    /// The array of the cells that were appended. The builder is empty then.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        match self {
            CellBuilder::C32(builder) => builder.finish(),
            CellBuilder::C64(builder) => builder.finish(),
            CellBuilder::Bool(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::U8(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::U16(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::U32(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::U64(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::I16(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::I32(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::I64(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::F32(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::F64(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::Text(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::Bytes(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::Decimal(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::Date(builder) => Ok(Arc::new(builder.finish())),
            CellBuilder::Timestamp(builder) => Ok(Arc::new(builder.finish())),
        }
    }
}

/// Collects complex numbers.
#[derive(Debug)]
pub(super) struct PartsBuilder<T: ArrowPrimitiveType> {
    parts: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> PartsBuilder<T> {
    fn with_capacity(capacity: usize) -> Self {
        Self { parts: Vec::with_capacity(capacity * PARTS as usize), nulls: NullBufferBuilder::new(capacity) }
    }

    fn append_value(&mut self, re: T::Native, im: T::Native) {
        self.parts.extend([re, im]);
        self.nulls.append_non_null();
    }

    fn append_null(&mut self) {
        self.parts.extend([T::Native::default(), T::Native::default()]);
        self.nulls.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        complex_array::<T>(std::mem::take(&mut self.parts), self.nulls.finish())
    }
}

/// An array of complex numbers, given their parts in turn.
pub(super) fn complex_array<T: ArrowPrimitiveType>(
    parts: Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let parts = PrimitiveArray::<T>::new(parts.into(), None);
    let array = FixedSizeListArray::try_new(part_field(T::DATA_TYPE), PARTS, Arc::new(parts), nulls);
    Ok(Arc::new(array.map_err(not_built)?))
}

fn not_built(error: ArrowError) -> Error {
    Error::internal(format!("cannot build a batch: {error}"))
}
