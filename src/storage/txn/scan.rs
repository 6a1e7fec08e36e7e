//! Scans of tables, by their key or by an index.
//!
//! What a scan reads is recorded as the range that it was asked for, when it is opened. One with a limit mostly reads less:
//! there, each batch that is handed out adds the keys up to its last one. A scan by an index reads a range of the index,
//! and the row of each entry, unless the index has all columns that are wanted.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::{Core, Transaction, Work};
use crate::error::{Error, Result};
use crate::storage::codec::{KeyRange, RowBuilder, arrow_schema, encode_batch_keys};
use crate::storage::index::{Access, Index, batch_keys};
use crate::storage::segment::{Footer, Prune};
use crate::storage::tree::{BATCH_ROWS, Estimate, Source, TreeScan};
use crate::value::schema::{Column, Schema, Table, TreeId};

/// Rows that are looked up at once for the entries of an index.
const FETCH_ROWS: usize = 1024;

/// Which rows of a table to read, and what of them.
#[derive(Clone)]
pub struct Scan {
    /// The index whose order the rows come in, by its position in [`Schema::indexes`]; none for the order of the keys.
    pub index: Option<usize>,
    /// Keys of rows, or of entries of the index: see [`Schema::index_columns`].
    pub range: KeyRange,
    /// The columns of the table that are wanted, in this order.
    pub columns: Vec<usize>,
    /// Whether the order is descending.
    pub reverse: bool,
    /// How many rows there are at most.
    pub limit: Option<u64>,
    /// Says which parts of segments have no row that is wanted. Only scans without an index ask it.
    pub prune: Option<Prune>,
}

impl Transaction {
    /// The rows of a table, as they are when this is called, whatever is written meanwhile.
    ///
    /// # Errors
    /// The stream ends with an error: `Conflict` if the table was changed or dropped when the snapshot was taken;
    /// `BadRequest` if this transaction did that, or is over; `Internal` if rows cannot be read.
    pub fn scan(&self, table: &Arc<Table>, scan: Scan) -> BoxStream<'static, Result<RecordBatch>> {
        match self.core.scan(table, scan) {
            Ok(batches) => batches,
            Err(error) => stream::once(ready(Err(error))).boxed(),
        }
    }

    /// Cuts a range of the keys of a table into at most `parts` ranges with about equally many rows.
    pub fn split(&self, table: &Table, range: &KeyRange, parts: usize) -> Vec<KeyRange> {
        let source = self.core.source(&self.core.work.lock(), table.rows);
        source.split(range, parts)
    }

    /// The footers of all segments that have rows of a table. This is not recorded as read.
    ///
    /// # Errors
    /// `Internal` if one cannot be read.
    pub async fn footers(&self, table: &Table) -> Result<Vec<Arc<Footer>>> {
        let source = self.core.source(&self.core.work.lock(), table.rows);
        let committed = source.tree.iter().flat_map(|tree| &tree.segments);
        let mut footers = Vec::new();
        for segment in source.overlay.segments.iter().chain(committed) {
            footers.push(segment.footer().await?);
        }
        Ok(footers)
    }

    /// How many rows there are in a range of a table, or of one of its indexes. This is not recorded as read.
    pub fn estimate(&self, table: &Table, index: Option<usize>, range: &KeyRange) -> Estimate {
        let tree = index.and_then(|index| table.indexes.get(index)).unwrap_or(&table.rows);
        let source = self.core.source(&self.core.work.lock(), *tree);
        source.estimate(range)
    }
}

impl Core {
    fn scan(self: &Arc<Self>, table: &Table, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut work = self.work.lock();
        let access = self.access(&mut work, table)?;
        if scan.columns.iter().any(|column| *column >= table.schema.columns.len()) {
            return Err(Error::internal(format!("a scan wants a column that {} does not have", table.name)));
        }
        let Some(at) = scan.index else {
            let tree = (table.rows, &access.table.schema);
            return Ok(self.scan_tree(&mut work, &access, tree, scan, BATCH_ROWS));
        };
        let index = access.indexes.get(at).ok_or_else(|| Error::internal(format!("there is no index {at}")))?;
        match index.places(&scan.columns) {
            Some(places) => {
                let fields = Arc::new(arrow_schema(&access.table.schema).project(&scan.columns).map_err(unfit)?);
                let scan = Scan { columns: places, prune: None, ..scan };
                let tree = (index.tree, &index.schema);
                let batches = self.scan_tree(&mut work, &access, tree, scan, BATCH_ROWS);
                Ok(batches.map(move |batch| relabelled(&fields, &batch?)).boxed())
            }
            None => {
                let rows = self.source(&work, table.rows);
                let (core, columns) = (Arc::clone(self), scan.columns);
                let fetch = Arc::new(Fetch { core, access: Arc::clone(&access), rows, columns });
                let scan = Scan { columns: index.key_columns.clone(), prune: None, ..scan };
                let tree = (index.tree, &index.schema);
                let entries = self.scan_tree(&mut work, &access, tree, scan, FETCH_ROWS);
                let fetched = entries.and_then(move |batch| {
                    let fetch = Arc::clone(&fetch);
                    async move { fetch.rows(&batch).await }
                });
                Ok(fetched.boxed())
            }
        }
    }

    /// Scans a tree and records what is read of it. The columns of `scan` are those of the tree.
    fn scan_tree(
        self: &Arc<Self>,
        work: &mut Work,
        access: &Arc<Access>,
        (tree, schema): (TreeId, &Arc<Schema>),
        scan: Scan,
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let source = self.source(work, tree);
        let Scan { range, mut columns, reverse, limit, prune, .. } = scan;
        let width = columns.len();
        let limited = match limit {
            Some(limit) if access.is_durable() => {
                let keys = (0..schema.key_len).map(|key| place_or_push(&mut columns, key)).collect();
                let (access, schema, range) = (Arc::clone(access), Arc::clone(schema), range.clone());
                Some(Limited { access, tree, schema, range, reverse, left: limit, keys, width })
            }
            _ => {
                work.note_range(access, tree, &range);
                None
            }
        };
        let batch_rows =
            limit.and_then(|limit| usize::try_from(limit).ok()).map_or(batch_rows, |limit| batch_rows.min(limit));
        let scan = TreeScan { range, columns, reverse, limit, batch_rows: batch_rows.max(1), prune };
        let reading = Reading { batches: source.scan(schema, scan), core: Arc::clone(self), limited };
        let next = |mut reading: Reading| async move {
            let batch = reading.next().await?;
            Ok::<_, Error>(batch.map(|batch| (batch, reading)))
        };
        stream::try_unfold(reading, next).boxed()
    }
}

impl Index {
    /// Where the given columns of the table are in the tree, if all of them are there.
    fn places(&self, columns: &[usize]) -> Option<Vec<usize>> {
        columns.iter().map(|column| self.columns.iter().position(|other| other == column)).collect()
    }
}

/// Where `item` is among `items`, at the end if it has to be added.
fn place_or_push(items: &mut Vec<usize>, item: usize) -> usize {
    items.iter().position(|other| *other == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

/// A scan that is under way.
struct Reading {
    batches: BoxStream<'static, Result<RecordBatch>>,
    /// Keeps the snapshot open, and the segments of the transaction.
    core: Arc<Core>,
    limited: Option<Limited>,
}

/// A scan with a limit, which records what it reads.
struct Limited {
    access: Arc<Access>,
    tree: TreeId,
    schema: Arc<Schema>,
    range: KeyRange,
    reverse: bool,
    /// Rows that are still wanted.
    left: u64,
    /// Where the key columns of the tree are in the batches.
    keys: Vec<usize>,
    /// How many columns of the batches are wanted. The others are only there for the keys.
    width: usize,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.batches.next().await.transpose()?;
        let Some(limited) = &mut self.limited else {
            return Ok(batch);
        };
        match batch {
            Some(batch) => {
                limited.note(&self.core, &batch)?;
                batch.project(&(0..limited.width).collect::<Vec<_>>()).map(Some).map_err(unfit)
            }
            None => {
                limited.end(&self.core);
                Ok(None)
            }
        }
    }
}

impl Limited {
    /// Records everything up to the last row of a batch.
    fn note(&mut self, core: &Core, batch: &RecordBatch) -> Result<()> {
        let Some(last) = batch.num_rows().checked_sub(1) else {
            return Ok(());
        };
        let arrays: Vec<_> = self.keys.iter().map(|at| batch.column(*at).slice(last, 1)).collect();
        let keys = encode_batch_keys(&self.schema.key().iter().collect::<Vec<&Column>>(), &arrays)?;
        let key = Bound::Included(keys.get(0).to_vec());
        let KeyRange { start, end } = self.range.clone();
        let read = if self.reverse { KeyRange { start: key, end } } else { KeyRange { start, end: key } };
        core.work.lock().note_range(&self.access, self.tree, &read);
        self.left = self.left.saturating_sub(batch.num_rows() as u64);
        Ok(())
    }

    /// Records that there are no more rows, if that is why the scan ended.
    fn end(&self, core: &Core) {
        if self.left > 0 {
            core.work.lock().note_range(&self.access, self.tree, &self.range);
        }
    }
}

/// Reads the rows that entries of an index stand for.
struct Fetch {
    core: Arc<Core>,
    access: Arc<Access>,
    /// As they were when the scan was opened.
    rows: Source,
    /// Those that are wanted.
    columns: Vec<usize>,
}

impl Fetch {
    /// The rows whose keys are the columns of `batch`, in its order.
    async fn rows(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = &self.access.table.schema;
        let keys = batch_keys(schema, batch)?;
        {
            let mut work = self.core.work.lock();
            keys.iter().for_each(|key| work.note_point(&self.access, key));
        }
        // In the order of their keys, so that each block is looked at once.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| keys.get(*at));
        let mut found = vec![None; keys.len()];
        for at in order {
            found[at] = self.rows.get(schema, keys.get(at)).await?;
        }
        let mut builder = RowBuilder::new(schema, &self.columns, keys.len());
        for row in found {
            let name = &self.access.table.name;
            let row = row.ok_or_else(|| Error::internal(format!("an index of {name} has a row that is not there")))?;
            builder.append_row(&row)?;
        }
        builder.finish()
    }
}

/// The columns of a batch under other names.
fn relabelled(fields: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(fields), batch.columns().to_vec(), &options).map_err(unfit)
}

fn unfit(error: ArrowError) -> Error {
    Error::internal(format!("a batch does not have the columns that are wanted: {error}"))
}
