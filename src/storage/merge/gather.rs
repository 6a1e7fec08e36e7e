//! The rows that a merge has chosen, on their way into a batch.
//!
//! Rows are remembered as pieces of runs and copied once, column by column, when the batch is complete. A batch that is one
//! piece of a block is a slice of it, and nothing is copied.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;

use super::EntryBatch;
use super::run::{BlockRun, Row, Run};
use crate::error::{Error, Result};
use crate::storage::codec::{KeyColumn, RowBuilder, arrow_schema, decode_key};
use crate::value::State;
use crate::value::schema::{Column, Schema};

/// Bytes of rows and of used blocks that a batch may keep in memory before it is complete, so that wide rows make no huge
/// batches. Beside these there is one block of each input.
const BYTES_MAX: usize = 16 << 20;

/// What batches look like.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Arc<Schema>,
    /// The columns of batches, by their positions in the schema.
    columns: Vec<usize>,
    fields: SchemaRef,
    /// Whether the rows of a run are taken last first.
    reverse: bool,
    keeps_tombstones: bool,
    /// The schema and fields of rows of which some are tombstones, which have nothing in their value columns.
    relaxed: Arc<Schema>,
    relaxed_fields: SchemaRef,
}

impl Shape {
    /// Batches of some columns.
    ///
    /// # Errors
    /// `Internal` if the schema has fewer columns.
    pub fn try_new(schema: &Arc<Schema>, columns: Vec<usize>, reverse: bool, keeps_tombstones: bool) -> Result<Self> {
        let fields = arrow_schema(schema).project(&columns).map_err(not_merged)?;
        let is_value = |at: &usize| *at >= schema.key_len;
        let relax = |(at, field): (&usize, &Arc<Field>)| {
            let field = field.as_ref().clone();
            if is_value(at) { field.with_nullable(true) } else { field }
        };
        let relaxed_fields: Vec<Field> = columns.iter().zip(fields.fields()).map(relax).collect();
        let relax = |(at, column): (usize, &Column)| {
            let nullable = column.nullable || is_value(&at);
            Column { nullable, ..column.clone() }
        };
        let relaxed =
            Schema { columns: schema.columns.iter().enumerate().map(relax).collect(), ..Schema::clone(schema) };
        Ok(Self {
            schema: Arc::clone(schema),
            columns,
            fields: Arc::new(fields),
            reverse,
            keeps_tombstones,
            relaxed: Arc::new(relaxed),
            relaxed_fields: Arc::new(ArrowSchema::new(relaxed_fields)),
        })
    }

    fn batch(&self, has_tombstones: bool, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let fields = if has_tombstones { &self.relaxed_fields } else { &self.fields };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(fields), arrays, &options).map_err(not_merged)
    }

    /// Rows of memory as arrays.
    fn build(&self, rows: &[Row], has_tombstones: bool) -> Result<Vec<ArrayRef>> {
        let schema = if has_tombstones { &self.relaxed } else { &self.schema };
        let mut builder = RowBuilder::new(schema, &self.columns, rows.len());
        for row in rows {
            match &row.payload {
                Some(payload) => builder.append_encoded(&row.key, payload)?,
                None => {
                    let mut cells = decode_key(schema.key(), &row.key)?;
                    cells.resize(schema.columns.len(), State::NONE);
                    builder.append_row(&cells)?;
                }
            }
        }
        Ok(builder.finish()?.columns().to_vec())
    }
}

/// Collects the rows of a batch.
#[derive(Debug)]
pub(super) struct Gather {
    shape: Shape,
    picked: Picked,
    /// What the batch keeps in memory beside the runs that are in use anyway.
    bytes: usize,
}

/// The rows of a batch, in order.
#[derive(Debug, Default)]
struct Picked {
    pieces: Vec<Piece>,
    /// The blocks of which there are pieces.
    runs: Vec<Arc<Run>>,
    /// The rows of memory, in the order of the batch.
    rows: Vec<Row>,
    len: usize,
}

/// Rows that follow each other.
#[derive(Debug)]
struct Piece {
    /// The block that they are in, by its place in [`Picked::runs`]; nothing for rows of memory.
    run: Option<usize>,
    start: usize,
    len: usize,
}

impl Gather {
    /// Nothing yet.
    pub fn new(shape: Shape) -> Self {
        Self { shape, picked: Picked::default(), bytes: 0 }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.picked.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.picked.len == 0
    }

    /// Whether the batch should be completed, however few rows there are.
    pub fn is_heavy(&self) -> bool {
        self.bytes > BYTES_MAX && !self.is_empty()
    }

    /// Whether a stretch of this run can be a batch without being copied.
    pub fn passes(&self, run: &Run) -> bool {
        matches!(run, Run::Block(_)) && !self.shape.reverse
    }

    /// Notes that nothing but this batch uses a run any more.
    pub fn charge(&mut self, run: &Run) {
        if !self.is_empty() {
            self.bytes = self.bytes.saturating_add(run.bytes());
        }
    }

    /// Adds rows of a run, without tombstones unless they are kept.
    pub fn push(&mut self, run: &Arc<Run>, range: Range<usize>) {
        match &**run {
            Run::Rows(rows) if self.shape.reverse => rows[range].iter().rev().for_each(|row| self.push_row(row)),
            Run::Rows(rows) => rows[range].iter().for_each(|row| self.push_row(row)),
            Run::Block(block) => match block.block.deleted.as_ref().filter(|_| !self.shape.keeps_tombstones) {
                None => self.push_piece(run, range),
                Some(deleted) => {
                    let live = !deleted.slice(range.start, range.len()).values();
                    let stretches = live.set_slices().map(|(start, end)| range.start + start..range.start + end);
                    if self.shape.reverse {
                        let stretches: Vec<Range<usize>> = stretches.collect();
                        stretches.into_iter().rev().for_each(|rows| self.push_piece(run, rows));
                    } else {
                        stretches.for_each(|rows| self.push_piece(run, rows));
                    }
                }
            },
        }
    }

    fn push_row(&mut self, row: &Row) {
        if row.payload.is_none() && !self.shape.keeps_tombstones {
            return;
        }
        let picked = &mut self.picked;
        match picked.pieces.last_mut() {
            Some(Piece { run: None, len, .. }) => *len += 1,
            _ => picked.pieces.push(Piece { run: None, start: picked.rows.len(), len: 1 }),
        }
        self.bytes = self.bytes.saturating_add(row.bytes());
        picked.rows.push(row.clone());
        picked.len += 1;
    }

    fn push_piece(&mut self, run: &Arc<Run>, rows: Range<usize>) {
        let picked = &mut self.picked;
        let known = picked.runs.iter().rposition(|other| Arc::ptr_eq(other, run));
        let at = known.unwrap_or_else(|| {
            picked.runs.push(Arc::clone(run));
            picked.runs.len() - 1
        });
        picked.len += rows.len();
        if let Some(last) = picked.pieces.last_mut().filter(|last| last.run == Some(at)) {
            if self.shape.reverse && rows.end == last.start {
                last.start = rows.start;
                last.len += rows.len();
                return;
            }
            if !self.shape.reverse && rows.start == last.start + last.len {
                last.len += rows.len();
                return;
            }
        }
        picked.pieces.push(Piece { run: Some(at), start: rows.start, len: rows.len() });
    }

    /// The batch. Nothing is left here.
    ///
    /// # Errors
    /// `Internal` if a row of memory cannot be decoded.
    pub fn take_rows(&mut self) -> Result<RecordBatch> {
        let picked = self.take();
        let shape = &self.shape;
        let arrays = picked.arrays(
            shape.reverse,
            |rows| shape.build(rows, false),
            |run| Ok(run.block.batch.columns().to_vec()),
        )?;
        shape.batch(false, arrays, picked.len)
    }

    /// The batch, with what is known of each entry beside its columns. Nothing is left here.
    ///
    /// # Errors
    /// As [`Gather::take_rows`].
    pub fn take_entries(&mut self) -> Result<EntryBatch> {
        let picked = self.take();
        let shape = &self.shape;
        let has_tombstones = shape.keeps_tombstones && picked.has_tombstones();
        let of_rows = |rows: &[Row]| -> Result<Vec<ArrayRef>> {
            let mut lanes = shape.build(rows, has_tombstones)?;
            lanes.push(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.seq))));
            let deleted: Vec<bool> = rows.iter().map(|row| row.payload.is_none()).collect();
            lanes.push(Arc::new(BooleanArray::from(deleted)));
            Ok(lanes)
        };
        let of_block = |run: &BlockRun| -> Result<Vec<ArrayRef>> {
            let block = &run.block;
            let mut lanes = block.batch.columns().to_vec();
            let seqs = block.seqs.clone().ok_or_else(|| Error::internal("a block was read without its commits"))?;
            lanes.push(Arc::new(seqs));
            let none = || BooleanArray::new(BooleanBuffer::new_unset(block.rows()), None);
            lanes.push(Arc::new(block.deleted.clone().unwrap_or_else(none)));
            Ok(lanes)
        };
        let mut arrays = picked.arrays(shape.reverse, of_rows, of_block)?;
        let (deleted, seqs) = (arrays.pop(), arrays.pop());
        let deleted = deleted.as_ref().and_then(|array| array.as_boolean_opt().cloned());
        let seqs = seqs.as_ref().and_then(|array| array.as_primitive_opt::<UInt64Type>().cloned());
        Ok(EntryBatch {
            batch: shape.batch(has_tombstones, arrays, picked.len)?,
            keys: picked.keys(shape.reverse),
            seqs: seqs.ok_or_else(|| Error::internal("entries have lost their commits"))?,
            deleted: deleted.filter(|deleted| deleted.true_count() > 0),
        })
    }

    fn take(&mut self) -> Picked {
        self.bytes = 0;
        std::mem::take(&mut self.picked)
    }
}

impl Picked {
    /// The arrays of the batch, of as many as there are of rows of memory and of blocks.
    fn arrays(
        &self,
        reverse: bool,
        of_rows: impl Fn(&[Row]) -> Result<Vec<ArrayRef>>,
        of_block: impl Fn(&BlockRun) -> Result<Vec<ArrayRef>>,
    ) -> Result<Vec<ArrayRef>> {
        if self.runs.is_empty() {
            return of_rows(&self.rows);
        }
        let blocks = self.runs.iter().filter_map(|run| match &**run {
            Run::Block(block) => Some(&**block),
            Run::Rows(_) => None,
        });
        let mut sources = blocks.map(of_block).collect::<Result<Vec<_>>>()?;
        if let ([source], [Piece { run: Some(_), start, len }]) = (sources.as_slice(), self.pieces.as_slice())
            && !reverse
        {
            return Ok(source.iter().map(|array| array.slice(*start, *len)).collect());
        }
        if !self.rows.is_empty() {
            sources.push(of_rows(&self.rows)?);
        }
        let indices = self.indices(reverse);
        let lanes = sources.first().map_or(0, Vec::len);
        let lane = |lane: usize| {
            let arrays: Vec<&dyn Array> = sources.iter().map(|source| source[lane].as_ref()).collect();
            interleave(&arrays, &indices).map_err(not_merged)
        };
        (0..lanes).map(lane).collect()
    }

    /// Where each row of the batch is: in which block, rows of memory being the last one, and where in it.
    fn indices(&self, reverse: bool) -> Vec<(usize, usize)> {
        let mut indices = Vec::with_capacity(self.len);
        for Piece { run, start, len } in &self.pieces {
            let rows = *start..start + len;
            match run {
                None => indices.extend(rows.map(|row| (self.runs.len(), row))),
                Some(run) if reverse => indices.extend(rows.rev().map(|row| (*run, row))),
                Some(run) => indices.extend(rows.map(|row| (*run, row))),
            }
        }
        indices
    }

    fn has_tombstones(&self) -> bool {
        let in_block = |run: &Arc<Run>| matches!(&**run, Run::Block(block) if block.block.deleted.is_some());
        self.rows.iter().any(|row| row.payload.is_none()) || self.runs.iter().any(in_block)
    }

    fn keys(&self, reverse: bool) -> KeyColumn {
        let indices = self.indices(reverse);
        let key = |(run, row): &(usize, usize)| match self.runs.get(*run) {
            Some(run) => run.key(*row),
            None => &*self.rows[*row].key,
        };
        let mut keys = KeyColumn::with_capacity(indices.len(), indices.iter().map(|at| key(at).len()).sum());
        indices.iter().for_each(|at| keys.push(key(at)));
        keys
    }
}

fn not_merged(error: ArrowError) -> Error {
    Error::internal(format!("cannot merge rows: {error}"))
}
