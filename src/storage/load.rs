//! Bulk loads: many rows of a table, in whichever order they come, with bounded memory.
//!
//! Rows that come in the order of their keys go straight into one segment. Others are collected to [runs](runs) of some 64
//! MiB, each sorted and written to a segment of its own; where keys repeat, the later run is the newer one. Few rows stay
//! in memory, as if they had been written one by one.
//!
//! Everything else is done when all rows are there ([`bulk`]): keys that must be new are checked against the runs and the
//! rows that are there, and each index gets segments of its own, from the rows as they are merged from the runs. Nothing of
//! a load is seen before all of it is done, and nothing remains if it fails.

mod bulk;
mod drafts;
mod runs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;

pub(super) use bulk::backfill;
pub(super) use drafts::Drafts;

use self::runs::{Equal, Loaded, Runs};
use super::index::Access;
use super::txn::{Core, Mode, Transaction};
use crate::error::{Error, Result};
use crate::value::schema::{Table, TreeId};

/// Where rows go, by how many there are.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// More rows than this go to segments,
    few_rows: usize,
    /// and so do fewer with more bytes than this.
    few_bytes: u64,
    /// Bytes of rows that are sorted at once. Sorting takes about twice as much memory: the rows, and their keys.
    run_bytes: u64,
}

impl Limits {
    const DURABLE: Limits = Limits { few_rows: 50_000, few_bytes: 16 << 20, run_bytes: 64 << 20 };
    /// Rows of a transaction's own collections are not worth a file before they take much memory.
    const OWN: Limits = Limits { few_rows: usize::MAX, few_bytes: 32 << 20, run_bytes: 64 << 20 };

    /// The limits of what is written to `tree`.
    fn of(tree: TreeId) -> Self {
        if tree.is_ephemeral() { Self::OWN } else { Self::DURABLE }
    }

    /// Whether rows should stay in memory.
    fn are_few(&self, rows: usize, bytes: u64) -> bool {
        rows <= self.few_rows && bytes <= self.few_bytes
    }
}

/// Writes many rows to a table. They are there when [`Loader::finish`] is done.
pub struct Loader {
    core: Arc<Core>,
    access: Arc<Access>,
    mode: Mode,
    runs: Runs,
    rows: u64,
}

impl Loader {
    /// Begins to load rows into `table`.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn new(txn: &Transaction, table: &Table, mode: Mode) -> Result<Self> {
        let core = Arc::clone(txn.core());
        let access = core.access(&mut core.work.lock(), table)?;
        let equal = match mode {
            Mode::Upsert => Equal::LastWins,
            Mode::Insert => Equal::Refused,
        };
        let runs = Runs::new(&core.store, table.rows, &access.table.schema, equal, Limits::of(table.rows));
        Ok(Self { core, access, mode, runs, rows: 0 })
    }

    #[cfg(test)]
    fn with_limits(self, limits: Limits) -> Self {
        Self { runs: self.runs.with_limits(limits), ..self }
    }

    /// Adds the rows of a batch that has the columns of the table, in their types and order. Memory is bounded only if
    /// batches are: one of some thousand rows is good.
    ///
    /// # Errors
    /// `BadRequest` if the mode is [`Mode::Insert`] and two rows were found to have one key; `Internal` if the batch has
    /// other columns, or if rows cannot be written.
    pub async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let (expected, found) = (self.access.table.schema.columns.len(), batch.num_columns());
        if expected != found {
            return Err(Error::internal(format!("expected a batch of {expected} columns, not {found}")));
        }
        self.rows += batch.num_rows() as u64;
        self.runs.push(batch).await
    }

    /// Writes what was added to the table, and returns how many rows were added. Of rows with one key the last one is put.
    ///
    /// # Errors
    /// `BadRequest` if the mode is [`Mode::Insert`] and two rows have one key, or if there is a row with the key of one of
    /// them already; or if two rows would agree in a unique index. Otherwise as [`Transaction::put`].
    pub async fn finish(self) -> Result<u64> {
        let Self { core, access, mode, runs, rows } = self;
        let loaded = runs.finish().await?;
        let _writing = core.writer().await;
        // Again, because the table may have been changed meanwhile.
        let access = core.access(&mut core.work.lock(), &access.table)?;
        match loaded {
            Loaded::Few(None) => {}
            Loaded::Few(Some(batch)) => core.write_batch(&access, &batch, mode).await?,
            Loaded::Many(segments) => core.write_bulk(&access, segments, mode).await?,
        }
        core.make_room().await?;
        Ok(rows)
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Loader");
        debug.field("table", &self.access.table.name).field("mode", &self.mode).field("rows", &self.rows);
        debug.finish_non_exhaustive()
    }
}

/// A load that sorts a few rows at once, and writes however few to segments.
///
/// # Errors
/// As [`Loader::new`].
#[cfg(test)]
pub(super) async fn tiny_loader(txn: &Transaction, table: &Table, mode: Mode) -> Result<Loader> {
    let limits = Limits { few_rows: 0, few_bytes: 0, run_bytes: 1 };
    Ok(Loader::new(txn, table, mode).await?.with_limits(limits))
}

/// Whether a batch for `table` should go to segments.
pub(super) fn is_large(table: &Table, batch: &RecordBatch) -> bool {
    !Limits::of(table.rows).are_few(batch.num_rows(), batch_bytes(batch))
}

/// The bytes of the rows of a batch, roughly: for slices and views those that are seen, not those that are kept.
fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> u64 {
    let views = match column.data_type() {
        DataType::Utf8View => column.as_string_view().views(),
        DataType::BinaryView => column.as_binary_view().views(),
        _ => return column.to_data().get_slice_memory_size().unwrap_or_default() as u64,
    };
    // The first 32 bits of a view are a length.
    views.iter().map(|view| size_of::<u128>() as u64 + u64::from(*view as u32)).sum()
}
