//! Columns of tables as tensors, and tensors as columns of tables.
//!
//! Cells are read as they are stored, column by column, and copied once, to the rows of a matrix; a column by itself is not
//! copied if its cells are in one array. Few elements are kept in memory, and many go to the writes of the transaction as they
//! come. Back, rows get their new cells as they are read, and nothing is written before it is known that the tensor fits.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, RecordBatch};
use arrow::buffer::MutableBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Float32Type, Float64Type};
use arrow::error::ArrowError;
use futures::StreamExt as _;

use super::Worker;
use super::tensor::{MEMORY_BYTES, initial};
use crate::compiler::collection::NumberColumns;
use crate::error::{Error, Result};
use crate::exec::tensor::{Evaluation, Spill};
use crate::storage::codec::{arrow_schema, cast_batch};
use crate::storage::{Loader, Mode};
use crate::value::schema::{Column, Schema};
use crate::value::tensor::columns::{part_type, parts};
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Initial, Layout, Node, Shape, TensorSchema};
use crate::value::{Class, NumberClass, State, Table, Tensor};

/// Bytes of elements that are written together once there are many.
const PIECE_BYTES: u64 = 1 << 20;
/// Rows of a tensor that are written together.
const PIECE_ROWS: u64 = 8192;

impl Worker<'_> {
    /// The cells of columns as a tensor, with a row for each row of the view.
    ///
    /// # Errors
    /// `BadRequest` if there is no row, or more than a shape allows, and if a cell is null or does not fit the dtype.
    pub(super) async fn read_numbers(&self, columns: &NumberColumns) -> Result<State> {
        let mut view = columns.view.clone();
        view.view.columns = Some(columns.columns.iter().map(|(at, _)| *at).collect());
        let (schema, dtype) = (view.schema(), columns.dtype());
        let evaluation = self.evaluation();
        let mut matrix = Matrix::new(&evaluation, dtype, columns);
        let mut batches = self.batches(&view).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let cells = schema.columns.iter().zip(batch.columns());
            let cells = cells.map(|(column, array)| elements(column, array, dtype)).collect::<Result<Vec<_>>>()?;
            matrix.add(cells).await?;
        }
        self.note(|| format!("makes a tensor of {} rows", matrix.rows));
        matrix.finish().await.map(State::Tensor)
    }

    /// Sets columns in all rows of a view to the elements of a tensor.
    ///
    /// # Errors
    /// `BadRequest` if the tensor has more or fewer rows than the view, or an element that does not fit its column.
    pub(super) async fn write_numbers(&self, columns: &NumberColumns, value: &Arc<Tensor>) -> Result<()> {
        let table = &columns.view.table;
        let mut view = columns.view.clone();
        view.view.columns = Some(columns.columns.iter().map(|(at, _)| *at).collect());
        let target = view.schema();
        view.view.columns = None;
        let evaluation = self.evaluation();
        let source = Rows::new(&evaluation, &evaluation.frozen(value)?);
        let (schema, shape) = (arrow_schema(&table.schema), value.shape());
        let mut loader = Loader::new(self.txn(), table, Mode::Upsert).await?;
        let (mut at, len) = (0, source.len());
        let mut batches = self.batches(&view).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let end = at + batch.num_rows() as u64;
            if end > len {
                let message = format!("a tensor of shape {shape} has too few rows: there are more to write to");
                return Err(Error::bad_request(message));
            }
            let mut cells = batch.columns().to_vec();
            let changed = source.batch(&target, at..end).await?;
            for ((position, _), array) in columns.columns.iter().zip(changed.columns()) {
                cells[*position] = Arc::clone(array);
            }
            loader.push(RecordBatch::try_new(Arc::clone(&schema), cells).map_err(not_built)?).await?;
            at = end;
        }
        if at < len {
            let message = format!("a tensor of shape {shape} has too many rows: there are only {at} to write to");
            return Err(Error::bad_request(message));
        }
        self.note(|| format!("writes {len} rows together"));
        loader.finish().await.map(drop)
    }

    /// Writes the rows of a tensor, which have an element for each column, to a table.
    ///
    /// # Errors
    /// `BadRequest` if an element does not fit its column.
    pub(super) async fn load_numbers(&self, table: &Arc<Table>, value: &Arc<Tensor>) -> Result<()> {
        let evaluation = self.evaluation();
        let source = Rows::new(&evaluation, &evaluation.frozen(value)?);
        let mut loader = Loader::new(self.txn(), table, Mode::Upsert).await?;
        let (mut at, len) = (0, source.len());
        while at < len {
            let end = len.min(at + PIECE_ROWS);
            loader.push(source.batch(&table.schema, at..end).await?).await?;
            at = end;
        }
        loader.finish().await.map(drop)
    }
}

/// A tensor whose elements come as the cells of columns, in the order of the rows.
struct Matrix<'a> {
    evaluation: &'a Evaluation,
    dtype: NumberClass,
    /// How many columns there are; nothing if one has no axis of its own.
    width: Option<u64>,
    /// The rows that came.
    rows: u64,
    /// The cells of rows that came last, column by column.
    waiting: Vec<Vec<Elements>>,
    waiting_bytes: u64,
    /// What came before these, if there are too many rows for memory.
    spill: Option<Spill<'a>>,
}

impl<'a> Matrix<'a> {
    fn new(evaluation: &'a Evaluation, dtype: NumberClass, columns: &NumberColumns) -> Self {
        let width = (!columns.is_vector).then_some(columns.columns.len() as u64);
        Self { evaluation, dtype, width, rows: 0, waiting: vec![], waiting_bytes: 0, spill: None }
    }

    /// What the tensor looks like, of all rows that came.
    fn schema(&self) -> Result<TensorSchema> {
        if self.rows == 0 {
            return Err(Error::bad_request("there are no rows, and a tensor has at least one"));
        }
        let dims: Vec<u64> = [self.rows].into_iter().chain(self.width).collect();
        Ok(TensorSchema { layout: Layout::Dense, dtype: self.dtype, shape: Shape::try_new(dims)? })
    }

    /// Adds the cells of the next rows.
    async fn add(&mut self, cells: Vec<Elements>) -> Result<()> {
        let rows = cells.first().map_or(0, Elements::len);
        if rows == 0 {
            return Ok(());
        }
        self.rows += rows as u64;
        self.waiting_bytes += cells.iter().map(|cells| cells.bytes().len() as u64).sum::<u64>();
        self.waiting.push(cells);
        let bytes_max = if self.spill.is_some() { PIECE_BYTES } else { MEMORY_BYTES };
        if self.waiting_bytes > bytes_max { self.flush().await } else { Ok(()) }
    }

    /// Writes what is waiting.
    async fn flush(&mut self) -> Result<()> {
        let (evaluation, schema) = (self.evaluation, self.schema()?);
        let elements = interleaved(self.dtype, &std::mem::take(&mut self.waiting))?;
        self.waiting_bytes = 0;
        self.spill.get_or_insert_with(|| evaluation.spill(&schema)).add(elements).await
    }

    async fn finish(mut self) -> Result<Arc<Tensor>> {
        let schema = self.schema()?;
        if self.spill.is_some() && !self.waiting.is_empty() {
            self.flush().await?;
        }
        match self.spill {
            Some(spill) => spill.finish(schema).await,
            None => Ok(initial(&schema, Initial::Elements(interleaved(self.dtype, &self.waiting)?))),
        }
    }
}

/// The rows of a tensor, whose axes are rows and columns, or rows of one column.
struct Rows<'a> {
    evaluation: &'a Evaluation,
    tensor: Arc<Tensor>,
    width: u64,
}

impl<'a> Rows<'a> {
    /// The rows of a tensor that is no base.
    fn new(evaluation: &'a Evaluation, tensor: &Arc<Tensor>) -> Self {
        let width = tensor.shape().dims().get(1).copied().unwrap_or(1);
        let tensor = match tensor.is_sparse() {
            false => Arc::clone(tensor),
            true => {
                let schema = TensorSchema { layout: Layout::Dense, ..tensor.schema.clone() };
                Arc::new(Tensor::new(schema, Node::Relayout { of: Arc::clone(tensor) }))
            }
        };
        Self { evaluation, tensor, width }
    }

    /// How many there are.
    fn len(&self) -> u64 {
        self.tensor.shape().dims()[0]
    }

    /// Some of them, as cells of the columns of `schema`.
    async fn batch(&self, schema: &Schema, rows: Range<u64>) -> Result<RecordBatch> {
        let range = rows.start * self.width..rows.end * self.width;
        let elements = self.evaluation.piece(&self.tensor, range).await?;
        let names = schema.columns.iter().map(|column| column.name.as_str());
        let cells = separated(&elements, schema.columns.len())?;
        let cells = cells.iter().map(Elements::to_column).collect::<Result<Vec<_>>>()?;
        cast_batch(schema, &RecordBatch::try_from_iter(names.zip(cells)).map_err(not_built)?)
    }
}

/// The cells of a column as elements of `dtype`, which the class of the column promotes to.
fn elements(column: &Column, array: &ArrayRef, dtype: NumberClass) -> Result<Elements> {
    let name = &column.name;
    if array.null_count() > 0 {
        return Err(Error::bad_request(format!("column {name} has a null, which is no element of a tensor")));
    }
    let pairs = array.as_fixed_size_list_opt();
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let numbers = pairs.map_or(array, |pairs| pairs.values());
    let cast = cast_with_options(numbers, &part_type(dtype), &options).map_err(|error| {
        Error::bad_request(format!("column {name} has a number that is no {}: {error}", Class::from(dtype)))
    })?;
    match pairs.is_none() && parts(dtype) > 1 {
        true => complex(dtype, &cast),
        false => Elements::from_parts(dtype, &cast),
    }
}

/// Real numbers as complex ones.
fn complex(dtype: NumberClass, reals: &ArrayRef) -> Result<Elements> {
    fn pairs<T: ArrowPrimitiveType>(reals: &ArrayRef) -> Option<Vec<T::Native>> {
        Some(reals.as_primitive_opt::<T>()?.values().iter().flat_map(|re| [*re, T::Native::default()]).collect())
    }
    let elements = match dtype {
        NumberClass::C32 => pairs::<Float32Type>(reals).map(|pairs| Elements::from_vec(dtype, pairs)),
        _ => pairs::<Float64Type>(reals).map(|pairs| Elements::from_vec(dtype, pairs)),
    };
    elements.ok_or_else(|| Error::internal(format!("numbers of type {} are no complex ones", reals.data_type())))
}

/// The elements of columns row by row. Of each batch, there is a list of its columns.
fn interleaved(dtype: NumberClass, batches: &[Vec<Elements>]) -> Result<Elements> {
    if let [columns] = batches
        && let [column] = columns.as_slice()
    {
        return Ok(column.clone());
    }
    let bytes = batches.iter().flatten().map(|column| column.bytes().len()).sum();
    let mut all = MutableBuffer::from_len_zeroed(bytes);
    let mut start = 0;
    for columns in batches {
        for (at, column) in columns.iter().enumerate() {
            let to = Places { first: start + at, step: columns.len() };
            copy(width(dtype), (column.bytes().as_slice(), Places::ALL), (all.as_slice_mut(), to));
        }
        start += columns.iter().map(Elements::len).sum::<usize>();
    }
    Elements::try_new(dtype, all.into())
}

/// The columns of elements in rows of `columns` elements each.
fn separated(rows: &Elements, columns: usize) -> Result<Vec<Elements>> {
    if columns == 1 {
        return Ok(vec![rows.clone()]);
    }
    let width = width(rows.dtype());
    let separate = |first| {
        let mut column = MutableBuffer::from_len_zeroed(rows.len() / columns * width);
        let from = Places { first, step: columns };
        copy(width, (rows.bytes().as_slice(), from), (column.as_slice_mut(), Places::ALL));
        Elements::try_new(rows.dtype(), column.into())
    };
    (0..columns).map(separate).collect()
}

/// Every so many elements, from one on.
#[derive(Clone, Copy)]
struct Places {
    first: usize,
    step: usize,
}

impl Places {
    const ALL: Places = Places { first: 0, step: 1 };
}

/// Copies elements of `width` bytes from some places to others, until there are no more on one side.
fn copy(width: usize, from: (&[u8], Places), to: (&mut [u8], Places)) {
    fn copy<const N: usize>((source, from): (&[u8], Places), (target, to): (&mut [u8], Places)) {
        let ((source, _), (target, _)) = (source.as_chunks::<N>(), target.as_chunks_mut::<N>());
        let source = source.iter().skip(from.first).step_by(from.step);
        target.iter_mut().skip(to.first).step_by(to.step).zip(source).for_each(|(to, from)| *to = *from);
    }
    match width {
        1 => copy::<1>(from, to),
        2 => copy::<2>(from, to),
        4 => copy::<4>(from, to),
        8 => copy::<8>(from, to),
        _ => copy::<16>(from, to),
    }
}

fn not_built(error: ArrowError) -> Error {
    Error::internal(format!("cannot build a batch: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int32Array, UInt64Array};

    use super::*;
    use crate::value::Number;
    use crate::value::schema::ColumnType;

    fn numbers(dtype: NumberClass, numbers: &[i64]) -> Elements {
        Elements::from_numbers(dtype, numbers.iter().map(|n| Number::I64(*n)))
    }

    fn column(class: NumberClass) -> Column {
        Column {
            name: "x".into(),
            class: class.into(),
            ty: ColumnType::Number(class),
            max_len: None,
            nullable: true,
            slot: 0,
            ordinal: 0,
            default: State::NONE,
        }
    }

    #[test]
    fn columns_become_rows_and_rows_columns() {
        for dtype in NumberClass::ALL {
            let of = |values: &[i64]| numbers(dtype, values);
            let batches = [vec![of(&[1, 0]), of(&[3, 4]), of(&[5, 6])], vec![of(&[7]), of(&[8]), of(&[0])]];
            let rows = of(&[1, 3, 5, 0, 4, 6, 7, 8, 0]);
            assert_eq!(interleaved(dtype, &batches).unwrap(), rows, "{dtype:?}");
            let columns = [of(&[1, 0, 7]), of(&[3, 4, 8]), of(&[5, 6, 0])];
            assert_eq!(separated(&rows, 3).unwrap(), columns, "{dtype:?}");
        }
    }

    #[test]
    fn one_array_is_not_copied() {
        let cells = numbers(NumberClass::F64, &[1, 2, 3]);
        let address = |elements: &Elements| elements.bytes().as_ptr();
        let rows = interleaved(NumberClass::F64, &[vec![cells.clone()]]).unwrap();
        assert_eq!(address(&rows), address(&cells));
        assert_eq!(address(&separated(&cells, 1).unwrap()[0]), address(&cells));
        let read = elements(&column(NumberClass::F64), &cells.to_column().unwrap(), NumberClass::F64).unwrap();
        assert_eq!(address(&read), address(&cells));
    }

    #[test]
    fn cells_are_promoted() {
        for class in NumberClass::ALL {
            let array = numbers(class, &[0, 1, 1]).to_column().unwrap();
            for dtype in NumberClass::ALL.into_iter().filter(|dtype| *dtype >= class) {
                let read = elements(&column(class), &array, dtype).unwrap();
                assert_eq!(read, numbers(dtype, &[0, 1, 1]), "{class:?} as {dtype:?}");
            }
        }
        let bits: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        let read = elements(&column(NumberClass::Bool), &bits, NumberClass::C64).unwrap();
        assert_eq!(read, numbers(NumberClass::C64, &[1, 0]));
    }

    #[test]
    fn what_is_no_element_is_refused() {
        let nulls: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let error = elements(&column(NumberClass::I32), &nulls, NumberClass::I32).unwrap_err();
        assert_eq!(error.message(), "column x has a null, which is no element of a tensor");
        let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let error = elements(&column(NumberClass::U64), &large, NumberClass::I64).unwrap_err();
        assert!(error.message().starts_with("column x has a number that is no int/64: "), "{error}");
    }
}
