//! What a transaction would change: its writes beside its snapshot.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::codec::KeyRange;
use super::cursor::Cursor;
use super::index::batch_row;
use super::merge::{EntryBatch, entries};
use super::tree::{Overlay, Source};
use super::txn::{Changed, Core, Transaction, memtable};
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::schema::{Schema, Table};

/// What becomes of a table itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TableChange {
    /// It stays as it is.
    Kept,
    Created,
    /// It has other columns or indexes, or was dropped and created again.
    Altered,
    Dropped,
}

/// What becomes of a table and its rows. Rows are in the order of their keys, and have the columns that the table has in
/// the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableDiff {
    /// The path of the table.
    pub name: Arc<str>,
    pub change: TableChange,
    pub inserted: Vec<Vec<State>>,
    /// Rows before and after.
    pub updated: Vec<(Vec<State>, Vec<State>)>,
    pub deleted: Vec<Vec<State>>,
    /// Whether there are more changes than were asked for.
    pub truncated: bool,
}

impl Transaction {
    /// What the transaction would change if it were committed now: of each durable table up to `rows_max` rows, in the
    /// order of paths. Tables of which nothing changes are left out.
    ///
    /// # Errors
    /// `Internal` if rows cannot be read.
    pub async fn diff(&self, rows_max: usize) -> Result<Vec<TableDiff>> {
        let core = self.core();
        let _writing = core.writer().await;
        let written = core.work.lock().written();
        let mut diffs = Vec::new();
        for (name, changed) in written {
            let diff = core.diff_table(name, changed, rows_max).await?;
            if !diff.is_empty() {
                diffs.push(diff);
            }
        }
        Ok(diffs)
    }
}

impl Core {
    async fn diff_table(
        &self,
        name: Arc<str>,
        Changed { before, after }: Changed,
        rows_max: usize,
    ) -> Result<TableDiff> {
        let change = match (&before, &after) {
            (None, None) => TableChange::Kept,
            (None, Some(_)) => TableChange::Created,
            (Some(_), None) => TableChange::Dropped,
            (Some(before), Some(after)) if before == after => TableChange::Kept,
            (Some(_), Some(_)) => TableChange::Altered,
        };
        let mut diff = TableDiff { name, change, inserted: vec![], updated: vec![], deleted: vec![], truncated: false };
        match (before, after) {
            (Some(before), Some(after)) if before.rows == after.rows => {
                self.diff_rows(&after, rows_max, &mut diff).await?;
            }
            (before, after) => {
                if let Some(table) = before {
                    let rows = self.before(&table);
                    fill(&rows, &table.schema, |row| diff.add(Some(row), None, rows_max)).await?;
                }
                if let Some(table) = after {
                    let rows = self.source(&self.work.lock(), table.rows);
                    fill(&rows, &table.schema, |row| diff.add(None, Some(row), rows_max)).await?;
                }
            }
        }
        Ok(diff)
    }

    /// Compares the rows of a table, where they may differ.
    async fn diff_rows(&self, table: &Table, rows_max: usize, diff: &mut TableDiff) -> Result<()> {
        let (schema, before) = (&table.schema, self.before(table));
        let after = self.source(&self.work.lock(), table.rows);
        let mut written = Written::new(&after.overlay, schema);
        // Of a table that was emptied, every row may be gone.
        let is_cleared = before.tree.is_some() && after.tree.is_none();
        let mut gone = is_cleared.then(|| Cursor::new(&before, schema, &KeyRange::all(), []));
        loop {
            let own = written.key().await?;
            let old = match &mut gone {
                Some(gone) => gone.key().await?,
                None => None,
            };
            let Some(key) = own.into_iter().chain(old).min() else {
                return Ok(());
            };
            let (is_own, is_old) = (own == Some(key), old == Some(key));
            let (old, new) = (before.get(schema, key).await?, after.get(schema, key).await?);
            if !diff.add(old, new, rows_max) {
                return Ok(());
            }
            if is_own {
                written.advance();
            }
            if let Some(gone) = gone.as_mut().filter(|_| is_old) {
                gone.advance();
            }
        }
    }

    /// The rows of a table without what the transaction wrote.
    pub(super) fn before(&self, table: &Table) -> Source {
        self.snapshot().source(table.rows, Overlay::default())
    }
}

impl TableDiff {
    fn is_empty(&self) -> bool {
        self.change == TableChange::Kept && self.len() == 0 && !self.truncated
    }

    fn len(&self) -> usize {
        self.inserted.len() + self.updated.len() + self.deleted.len()
    }

    /// Adds a row before and after. Returns whether there is room for more.
    fn add(&mut self, before: Option<Vec<State>>, after: Option<Vec<State>>, rows_max: usize) -> bool {
        if before == after {
            return true;
        }
        if self.len() >= rows_max {
            self.truncated = true;
            return false;
        }
        match (before, after) {
            (Some(before), Some(after)) => self.updated.push((before, after)),
            (None, Some(after)) => self.inserted.push(after),
            (Some(before), None) => self.deleted.push(before),
            (None, None) => {}
        }
        true
    }
}

/// Adds the rows of `source` one by one, until `add` returns that there is no room for more.
async fn fill(source: &Source, schema: &Arc<Schema>, mut add: impl FnMut(Vec<State>) -> bool) -> Result<()> {
    let mut rows = Cursor::new(source, schema, &KeyRange::all(), schema.primary_columns());
    while rows.key().await?.is_some() && add(rows.row()?) {
        rows.advance();
    }
    Ok(())
}

/// The rows that a transaction wrote or deleted in a tree, in the order of their keys.
pub(super) struct Written {
    batches: BoxStream<'static, Result<EntryBatch>>,
    /// All columns of the tree, by position: those of the key first.
    columns: Vec<usize>,
    batch: Option<EntryBatch>,
    /// In `batch`.
    row: usize,
    is_over: bool,
}

impl Written {
    pub(super) fn new(overlay: &Overlay, schema: &Arc<Schema>) -> Self {
        // Of two segments of one transaction the later one is newer.
        let segments = overlay.segments.iter().rev().cloned().collect();
        let batches = entries(vec![memtable(&overlay.writes)], segments, Arc::clone(schema), KeyRange::all(), false);
        Self { batches, columns: schema.primary_columns(), batch: None, row: 0, is_over: false }
    }

    /// The key of the current row; none after the last one.
    pub(super) async fn key(&mut self) -> Result<Option<&[u8]>> {
        while self.row >= self.batch.as_ref().map_or(0, |batch| batch.keys.len()) {
            if self.is_over {
                return Ok(None);
            }
            match self.batches.next().await.transpose()? {
                Some(batch) => (self.batch, self.row) = (Some(batch), 0),
                None => self.is_over = true,
            }
        }
        Ok(self.batch.as_ref().map(|batch| batch.keys.get(self.row)))
    }

    /// Goes to the next row.
    pub(super) fn advance(&mut self) {
        self.row += 1;
    }

    /// The cells of the key of the current row, which there must be, and the whole row unless it was deleted.
    pub(super) fn change(&self, schema: &Schema) -> Result<(Vec<State>, Option<Vec<State>>)> {
        let entries = self.batch.as_ref().ok_or_else(|| Error::internal("there is no row that was written"))?;
        let is_deleted = entries.deleted.as_ref().is_some_and(|deleted| deleted.value(self.row));
        let columns = if is_deleted { &self.columns[..schema.key_len] } else { &self.columns[..] };
        let row = batch_row(schema, columns, &entries.batch, self.row)?;
        Ok((row[..schema.key_len].to_vec(), (!is_deleted).then_some(row)))
    }
}
