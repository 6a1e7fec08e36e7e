//! Batches to keys and payloads, column by column.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;

use super::read::{Reader, Values, readers};
use crate::error::{Error, Result};
use crate::storage::codec::key::{
    ABSENT, KeyRange, PRESENT, decimal_width, fixed_width, narrow, of_c32, of_c64, write_cell,
};
use crate::storage::codec::order;
use crate::storage::codec::row::PayloadWriter;
use crate::value::schema::{Column, ColumnType, Schema};

/// Keys or payloads, one after the other in one piece of memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyColumn {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where each of a number of byte strings ends in the bytes of all.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Ends {
    /// All have the same length.
    Fixed { width: usize, rows: usize },
    /// The beginning of the first, which is 0, then the end of each.
    Each(Vec<usize>),
}

impl Default for KeyColumn {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl KeyColumn {
    /// No keys, with space for `rows` of them that have `bytes` bytes together.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { bytes: Vec::with_capacity(bytes), ends: Ends::Each(ends) }
    }

    /// Appends a key.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.end();
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        match &self.ends {
            Ends::Fixed { rows, .. } => *rows,
            Ends::Each(ends) => ends.len() - 1,
        }
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of a row, which must exist.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        match &self.ends {
            Ends::Fixed { width, .. } => &self.bytes[row * width..(row + 1) * width],
            Ends::Each(ends) => &self.bytes[ends[row]..ends[row + 1]],
        }
    }

    /// The keys in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The rows whose keys are in `range`, given that keys are sorted.
    pub fn rows_within(&self, range: &KeyRange) -> Range<usize> {
        let first = self.partition_point(0, |key| range.is_after(key));
        first..self.partition_point(first, |key| !range.is_before(key))
    }

    /// How many bytes of memory this takes.
    pub fn memory(&self) -> usize {
        let ends = match &self.ends {
            Ends::Fixed { .. } => 0,
            Ends::Each(ends) => size_of_val(ends.as_slice()),
        };
        size_of::<Self>() + self.bytes.len() + ends
    }

    /// The first row from `start` whose key is not one of the first ones, those for which `is_first` holds.
    fn partition_point(&self, start: usize, is_first: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (start, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_first(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Ends a key that was appended to the bytes.
    fn end(&mut self) {
        if let Ends::Fixed { width, rows } = self.ends {
            self.ends = Ends::Each((0..=rows).map(|row| row * width).collect());
        }
        if let Ends::Each(ends) = &mut self.ends {
            ends.push(self.bytes.len());
        }
    }
}

/// The keys of rows whose key cells are in `arrays`, one for each of `columns`: for each row the same bytes as those of
/// `encode_key`. The columns may also be the first ones of a key.
///
/// Takes one pass over each array if all cells have a fixed width, and two if some are text. Links, versions and values
/// of any class are read row by row.
///
/// # Errors
/// `Internal` if an array is not of the type of its column, or has nulls though the column may not have any.
pub fn encode_batch_keys(columns: &[&Column], arrays: &[ArrayRef]) -> Result<KeyColumn> {
    let readers = readers(columns, arrays)?;
    let rows = arrays.first().map_or(0, |array| array.len());
    for (column, array) in columns.iter().zip(arrays) {
        if array.len() != rows {
            return Err(Error::internal(format!("column {} has {} cells, not {rows}", column.name, array.len())));
        }
        if !column.nullable && array.null_count() > 0 {
            return Err(Error::internal(format!("a cell of column {} is null", column.name)));
        }
    }
    let is_plain = |ty| !matches!(ty, ColumnType::Link | ColumnType::Version | ColumnType::Any);
    if !columns.iter().all(|column| is_plain(column.ty)) {
        return encode_rows(columns, &readers, rows);
    }
    let widths = columns.iter().map(|column| fixed_width(column.ty).filter(|_| !column.nullable));
    let mut out = match widths.sum::<Option<usize>>() {
        Some(width) if width > 0 => Scatter::fixed(width, rows),
        _ => Scatter::sized(columns, &readers, rows),
    };
    for (column, reader) in columns.iter().zip(&readers) {
        out.write(column, reader)?;
    }
    Ok(out.finish())
}

/// The payloads of the rows of a batch with all columns of `schema`: for each row the same bytes as those of
/// `encode_payload`.
///
/// # Errors
/// `Internal` if a column of the batch is not of its type, or has nulls though it may not have any; `TooLarge` if a row
/// is.
pub fn encode_batch_payloads(schema: &Schema, batch: &RecordBatch) -> Result<KeyColumn> {
    let mut writer = PayloadWriter::new(schema);
    let rows = batch.num_rows();
    if writer.is_empty() {
        return Ok(KeyColumn { bytes: vec![], ends: Ends::Fixed { width: 0, rows } });
    }
    let readers = readers(&schema.columns.iter().collect::<Vec<_>>(), batch.columns())?;
    let mut payloads = KeyColumn::with_capacity(rows, rows * 8 * schema.columns.len());
    for row in 0..rows {
        writer.write(|position| Ok(readers[position].cell(row)), &mut payloads.bytes)?;
        payloads.end();
    }
    Ok(payloads)
}

/// The keys of rows, one after the other.
fn encode_rows(columns: &[&Column], readers: &[Reader<'_>], rows: usize) -> Result<KeyColumn> {
    let mut keys = KeyColumn::with_capacity(rows, rows * 16);
    for row in 0..rows {
        for (column, reader) in columns.iter().zip(readers) {
            write_cell(column, &reader.cell(row), &mut keys.bytes)?;
        }
        keys.end();
    }
    Ok(keys)
}

/// Keys that are written column by column.
struct Scatter {
    bytes: Vec<u8>,
    cursors: Cursors,
}

/// Where the next cell of each key begins.
enum Cursors {
    /// At the same place in every key.
    Fixed { at: usize, width: usize, rows: usize },
    /// A 0, then the place for each row. When all cells are written, these are the ends of the rows.
    Each(Vec<usize>),
}

impl Scatter {
    /// Keys of `width` bytes.
    fn fixed(width: usize, rows: usize) -> Self {
        Self { bytes: vec![0; width * rows], cursors: Cursors::Fixed { at: 0, width, rows } }
    }

    /// Keys that are as long as their cells.
    fn sized(columns: &[&Column], readers: &[Reader<'_>], rows: usize) -> Self {
        let mut cursors = vec![0; rows + 1];
        for (column, reader) in columns.iter().zip(readers) {
            add_lengths(column, reader, &mut cursors[1..]);
        }
        let mut total = 0;
        for cursor in &mut cursors[1..] {
            let len = *cursor;
            *cursor = total;
            total += len;
        }
        Self { bytes: vec![0; total], cursors: Cursors::Each(cursors) }
    }

    fn finish(self) -> KeyColumn {
        let ends = match self.cursors {
            Cursors::Fixed { width, rows, .. } => Ends::Fixed { width, rows },
            Cursors::Each(ends) => Ends::Each(ends),
        };
        KeyColumn { bytes: self.bytes, ends }
    }

    /// Writes the cells of a column to all keys.
    fn write(&mut self, column: &Column, reader: &Reader<'_>) -> Result<()> {
        let nulls = Nulls { is_tagged: column.nullable, nulls: reader.nulls };
        match reader.values {
            Values::Bool(array) => self.put(nulls, array.values().iter().map(|n| [u8::from(n)])),
            Values::U8(array) => self.put(nulls, array.values().iter().map(|n| [*n])),
            Values::U16(array) => self.put(nulls, array.values().iter().map(|n| n.to_be_bytes())),
            Values::U32(array) => self.put(nulls, array.values().iter().map(|n| n.to_be_bytes())),
            Values::U64(array) => self.put(nulls, array.values().iter().map(|n| n.to_be_bytes())),
            Values::I16(array) => self.put(nulls, array.values().iter().map(|n| order::of_i16(*n))),
            Values::I32(array) => self.put(nulls, array.values().iter().map(|n| order::of_i32(*n))),
            Values::I64(array) => self.put(nulls, array.values().iter().map(|n| order::of_i64(*n))),
            Values::F32(array) => self.put(nulls, array.values().iter().map(|n| order::of_f32(*n))),
            Values::F64(array) => self.put(nulls, array.values().iter().map(|n| order::of_f64(*n))),
            Values::C32(parts) => self.put(nulls, parts.chunks_exact(2).map(|part| of_c32(part[0], part[1]))),
            Values::C64(parts) => self.put(nulls, parts.chunks_exact(2).map(|part| of_c64(part[0], part[1]))),
            Values::Text(array) => self.put_texts(nulls, (0..array.len()).map(|row| array.value(row).as_bytes())),
            Values::Bytes(array) => self.put_texts(nulls, (0..array.len()).map(|row| array.value(row))),
            Values::Decimal(array) if is_narrow(column) => {
                // What is under a null is not a number of the column.
                for (row, units) in array.values().iter().enumerate() {
                    if reader.nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                        narrow(column, *units)?;
                    }
                }
                self.put(nulls, array.values().iter().map(|n| order::of_i64(*n as i64)));
            }
            Values::Decimal(array) => self.put(nulls, array.values().iter().map(|n| order::of_i128(*n))),
            Values::Date(array) => self.put(nulls, array.values().iter().map(|n| order::of_i32(*n))),
            Values::Timestamp(array) => self.put(nulls, array.values().iter().map(|n| order::of_i64(*n))),
        }
        Ok(())
    }

    /// Writes cells of `N` bytes.
    fn put<const N: usize>(&mut self, nulls: Nulls<'_>, cells: impl Iterator<Item = [u8; N]>) {
        match &mut self.cursors {
            Cursors::Fixed { at, width, .. } => {
                for (key, cell) in self.bytes.chunks_exact_mut(*width).zip(cells) {
                    key[*at..*at + N].copy_from_slice(&cell);
                }
                *at += N;
            }
            Cursors::Each(cursors) => {
                for (row, (cursor, cell)) in cursors[1..].iter_mut().zip(cells).enumerate() {
                    if nulls.tag(row, cursor, &mut self.bytes) {
                        self.bytes[*cursor..*cursor + N].copy_from_slice(&cell);
                        *cursor += N;
                    }
                }
            }
        }
    }

    /// Writes texts and their ends. Keys with texts have no fixed width.
    fn put_texts<'t>(&mut self, nulls: Nulls<'_>, texts: impl Iterator<Item = &'t [u8]>) {
        let Cursors::Each(cursors) = &mut self.cursors else { return };
        for (row, (cursor, text)) in cursors[1..].iter_mut().zip(texts).enumerate() {
            if nulls.tag(row, cursor, &mut self.bytes) {
                *cursor += order::put_text(text, &mut self.bytes[*cursor..]);
            }
        }
    }
}

/// Which cells of a column are None, and whether there is a byte before each that says so.
#[derive(Clone, Copy)]
struct Nulls<'a> {
    is_tagged: bool,
    nulls: Option<&'a NullBuffer>,
}

impl Nulls<'_> {
    /// Writes the byte before a cell, if there is one. True if the cell itself follows.
    #[inline]
    fn tag(self, row: usize, cursor: &mut usize, out: &mut [u8]) -> bool {
        if !self.is_tagged {
            return true;
        }
        let is_present = self.nulls.is_none_or(|nulls| nulls.is_valid(row));
        out[*cursor] = if is_present { PRESENT } else { ABSENT };
        *cursor += 1;
        is_present
    }
}

fn is_narrow(column: &Column) -> bool {
    matches!(column.ty, ColumnType::Decimal { precision, .. } if decimal_width(precision) == 8)
}

/// Adds the length of each cell of a column to `lengths`, also the byte before it.
fn add_lengths(column: &Column, reader: &Reader<'_>, lengths: &mut [usize]) {
    let tag = usize::from(column.nullable);
    let is_present = |row| reader.nulls.is_none_or(|nulls| nulls.is_valid(row));
    let text_len = |text: &[u8]| text.len() + order::escapes(text) + 1;
    match (reader.values, fixed_width(column.ty)) {
        (Values::Text(array), _) => {
            for (row, len) in lengths.iter_mut().enumerate() {
                *len += tag + if is_present(row) { text_len(array.value(row).as_bytes()) } else { 0 };
            }
        }
        (Values::Bytes(array), _) => {
            for (row, len) in lengths.iter_mut().enumerate() {
                *len += tag + if is_present(row) { text_len(array.value(row)) } else { 0 };
            }
        }
        (_, width) => {
            let width = width.unwrap_or(0);
            for (row, len) in lengths.iter_mut().enumerate() {
                *len += tag + if is_present(row) { width } else { 0 };
            }
        }
    }
}
