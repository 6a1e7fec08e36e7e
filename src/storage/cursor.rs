//! Walks over the rows of a tree in the order of their keys, and looks up keys that come in that order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt as _;
use futures::stream::{BoxStream, Fuse};

use super::codec::{KeyColumn, KeyRange};
use super::index::{batch_keys, batch_row};
use super::tree::{Source, TreeScan};
use crate::error::Result;
use crate::value::State;
use crate::value::schema::Schema;

/// With this many rows between two keys that are looked up, on average, a look-up of each is cheaper than a walk.
pub(super) const SPARSE_ROWS: u64 = 16;

/// A place in the rows of a tree.
pub(super) struct Cursor {
    schema: Arc<Schema>,
    /// The columns that are read, by position: those of the key, then others.
    columns: Vec<usize>,
    batches: Fuse<BoxStream<'static, Result<RecordBatch>>>,
    batch: Option<RecordBatch>,
    /// Those of `batch`.
    keys: KeyColumn,
    /// In `batch`.
    row: usize,
}

impl Cursor {
    /// The first of the rows of `source` in `range`. Of the columns that are not in the key, those at `columns` are read.
    pub(super) fn new(
        source: &Source,
        schema: &Arc<Schema>,
        range: &KeyRange,
        columns: impl IntoIterator<Item = usize>,
    ) -> Self {
        let values = columns.into_iter().filter(|column| *column >= schema.key_len);
        let columns: Vec<usize> = (0..schema.key_len).chain(values).collect();
        let batches = source.scan(schema, TreeScan::new(range.clone(), columns.clone())).fuse();
        Self { schema: Arc::clone(schema), columns, batches, batch: None, keys: KeyColumn::default(), row: 0 }
    }

    /// The key of the current row; none after the last one.
    pub(super) async fn key(&mut self) -> Result<Option<&[u8]>> {
        while self.row >= self.keys.len() {
            let Some(batch) = self.batches.next().await.transpose()? else {
                return Ok(None);
            };
            self.keys = batch_keys(&self.schema, &batch)?;
            self.batch = Some(batch);
            self.row = 0;
        }
        Ok(Some(self.keys.get(self.row)))
    }

    /// Goes to the next row.
    pub(super) fn advance(&mut self) {
        self.row += 1;
    }

    /// Goes to the first row from here whose key is not below `key`. Returns whether it is `key`.
    pub(super) async fn seek(&mut self, key: &[u8]) -> Result<bool> {
        loop {
            let Some(current) = self.key().await? else {
                return Ok(false);
            };
            if current >= key {
                return Ok(current == key);
            }
            if self.keys.get(self.keys.len() - 1) < key {
                self.row = self.keys.len();
            } else {
                self.row += 1;
            }
        }
    }

    /// The current row, which there must be. Cells that were not read are None.
    pub(super) fn row(&self) -> Result<Vec<State>> {
        match &self.batch {
            Some(batch) => batch_row(&self.schema, &self.columns, batch, self.row),
            None => Ok(vec![State::NONE; self.schema.columns.len()]),
        }
    }
}

/// Looks up keys, each greater than the one before.
pub(super) struct Probe {
    source: Source,
    schema: Arc<Schema>,
    /// Where the last key would be, unless the keys are so few among the rows that each is looked up by itself.
    cursor: Option<Cursor>,
}

impl Probe {
    /// Prepares to look up `keys_len` keys in `range`; nothing if no row is there. What is found has its key and the cells
    /// of the columns at `columns`.
    pub(super) fn new(
        source: Source,
        schema: &Arc<Schema>,
        range: &KeyRange,
        columns: impl IntoIterator<Item = usize>,
        keys_len: u64,
    ) -> Option<Self> {
        let rows = source.estimate(range).rows_max;
        let is_sparse = rows / SPARSE_ROWS > keys_len;
        let cursor = (!is_sparse).then(|| Cursor::new(&source, schema, range, columns));
        (rows > 0).then(|| Self { source, schema: Arc::clone(schema), cursor })
    }

    /// Whether there is a row with this key.
    pub(super) async fn contains(&mut self, key: &[u8]) -> Result<bool> {
        match &mut self.cursor {
            Some(cursor) => cursor.seek(key).await,
            None => self.source.contains(key).await,
        }
    }

    /// The row with this key.
    pub(super) async fn find(&mut self, key: &[u8]) -> Result<Option<Vec<State>>> {
        match &mut self.cursor {
            Some(cursor) => {
                let is_there = cursor.seek(key).await?;
                is_there.then(|| cursor.row()).transpose()
            }
            None => self.source.get(&self.schema, key).await,
        }
    }
}
