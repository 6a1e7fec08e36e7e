//! The rows of a tensor as they were at one time.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{Core, Transaction};
use crate::error::Result;
use crate::storage::codec::{KeyRange, range};
use crate::storage::index::Access;
use crate::storage::tree::{Source, TreeScan};
use crate::value::collection::Bound;
use crate::value::schema::{Kind, Table};
use crate::value::tensor::{Content, Layout};

/// Rows of a dense tensor that are read at once: they are large.
const BLOCKS_MAX: usize = 64;

/// The rows of a table as they were when this was made, whatever is written meanwhile. What is read of them counts as read
/// by the transaction. Keeps the snapshot open.
struct Frozen {
    core: Arc<Core>,
    access: Arc<Access>,
    rows: Source,
}

impl Transaction {
    /// What was written to a tensor, as the transaction sees it now. The table has rows of a tensor: see [`Content`].
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn freeze(&self, table: &Table) -> Result<Arc<dyn Content>> {
        let mut work = self.core.work.lock();
        let access = self.core.access(&mut work, table)?;
        let rows = self.core.source(&work, table.rows);
        Ok(Arc::new(Frozen { core: Arc::clone(&self.core), access, rows }))
    }
}

impl Frozen {
    /// Whether the rows are the blocks of a dense tensor.
    fn has_blocks(&self) -> bool {
        matches!(&self.access.table.schema.kind, Kind::Tensor(schema) if schema.layout == Layout::Dense)
    }

    fn range(&self, keys: &Range<u64>) -> Result<KeyRange> {
        let columns: Vec<_> = self.access.table.schema.key().iter().collect();
        let (start, end) = (Bound::Inclusive(keys.start.into()), Bound::Exclusive(keys.end.into()));
        range(&columns, &[], Some((&start, &end)))
    }
}

impl Content for Frozen {
    fn read(&self, keys: Range<u64>) -> BoxStream<'static, Result<RecordBatch>> {
        let range = match self.range(&keys) {
            Ok(range) => range,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        self.core.work.lock().note_range(&self.access, self.access.table.rows, &range);
        let mut scan = TreeScan::new(range, vec![0, 1]);
        if self.has_blocks() {
            scan.batch_rows = BLOCKS_MAX;
        }
        self.rows.scan(&self.access.table.schema, scan)
    }

    fn is_empty(&self) -> bool {
        // Of what others may write, even that there is nothing would have to be noted as read.
        !self.access.is_durable() && self.rows.overlay.writes.is_empty() && self.rows.overlay.segments.is_empty()
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("table", &self.access.table.rows).finish_non_exhaustive()
    }
}
