//! Reads the items of streams: a batch at a time, or all of them reduced to one.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use futures::future::{BoxFuture, try_join_all};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;

use super::read::{Rows, Way};
use super::{Notes, Session, Worker};
use crate::error::Result;
use crate::exec::vector::Program;
use crate::exec::vector::reduce::{Reduced, Reduction, reduce};
use crate::storage::{Scan, codec};
use crate::value::schema::Column;
use crate::value::{Collection, Schema, State, Tuple};

/// Rows from which on it is worth to have another thread reduce a part of them.
const PART_ROWS_MIN: u64 = 32_768;

/// What was read last.
pub(in crate::exec) enum Received {
    /// Items, which still have to go through the stages from this one on.
    Items(Vec<State>, usize),
    /// All items, reduced.
    Reduced(State),
    /// The items cannot be reduced on columns: something fails, or there are few.
    Unreduced,
    /// There are no more items.
    End,
}

/// Reads one stream.
pub(in crate::exec) struct Reader {
    session: Arc<Session>,
    source: Collection,
    /// The columns of it that are read, at least one. In rows, the others are None.
    columns: Vec<usize>,
    /// What does the first stages on columns.
    program: Option<Arc<Program>>,
    notes: Option<Arc<Notes>>,
    /// The rows, once the first of them was asked for.
    rows: tokio::sync::Mutex<Option<Rows>>,
    received: Mutex<Received>,
}

impl Reader {
    /// A reader of these columns of a view, with which `program` does the first stages.
    pub(in crate::exec) fn new(
        session: &Arc<Session>,
        source: &Collection,
        mut columns: Vec<usize>,
        program: Option<Program>,
        notes: Option<Arc<Notes>>,
    ) -> Arc<Self> {
        if columns.is_empty() {
            // Rows without cells cannot be counted.
            columns.push(0);
        }
        Arc::new(Self {
            session: Arc::clone(session),
            source: source.clone(),
            columns,
            program: program.map(Arc::new),
            notes,
            rows: tokio::sync::Mutex::default(),
            received: Mutex::new(Received::End),
        })
    }

    /// What was read last.
    pub(in crate::exec) fn take(&self) -> Received {
        std::mem::replace(&mut *self.received.lock(), Received::End)
    }

    /// Reads some more items, which [`Reader::take`] then has. The state means nothing.
    pub(in crate::exec) fn fetch(self: &Arc<Self>) -> BoxFuture<'static, Result<State>> {
        let reader = Arc::clone(self);
        async move {
            let received = reader.next().await?;
            *reader.received.lock() = received;
            Ok(State::NONE)
        }
        .boxed()
    }

    /// Reduces all items, if that can be done on columns. [`Reader::take`] then has the result.
    pub(in crate::exec) fn reduce(self: &Arc<Self>, by: Reduction) -> BoxFuture<'static, Result<State>> {
        let reader = Arc::clone(self);
        async move {
            let reduced = reader.reduced(by).await?;
            *reader.received.lock() = reduced.map_or(Received::Unreduced, Received::Reduced);
            Ok(State::NONE)
        }
        .boxed()
    }

    fn worker(&self) -> Worker<'_> {
        Worker { notes: self.notes.as_deref(), ..Worker::of(&self.session) }
    }

    fn schema(&self) -> Arc<Schema> {
        self.source.schema()
    }

    /// Whether all columns are read, in their order.
    fn reads_all(&self) -> bool {
        self.columns.iter().copied().eq(0..self.schema().columns.len())
    }

    /// The source with only the columns that are read.
    fn narrow(&self) -> Collection {
        let mut narrow = self.source.clone();
        if !self.reads_all() {
            let stored = |at: &usize| narrow.view.columns.as_ref().map_or(*at, |columns| columns[*at]);
            narrow.view.columns = Some(self.columns.iter().map(stored).collect());
        }
        narrow
    }

    async fn next(&self) -> Result<Received> {
        let mut rows = self.rows.lock().await;
        let rows = match &mut *rows {
            Some(rows) => rows,
            rows => {
                self.note_program();
                rows.insert(self.worker().rows(&self.narrow()).await?)
            }
        };
        match rows {
            Rows::Few(few) if few.is_empty() => Ok(Received::End),
            Rows::Few(few) => {
                let few = std::mem::take(few);
                Ok(Received::Items(few.into_iter().map(|row| self.row(row)).collect::<Result<_>>()?, 0))
            }
            Rows::Batches(batches) => match batches.next().await.transpose()? {
                None => Ok(Received::End),
                Some(batch) => self.items(&batch),
            },
        }
    }

    fn note_program(&self) {
        if let Some(program) = &self.program {
            let (stages, kernels) = (program.stages, program.len());
            self.worker().note(|| format!("does {stages} of its stages on whole columns, by {kernels} kernels"));
        }
    }

    /// A row of the narrowed source as an item.
    fn row(&self, cells: Vec<State>) -> Result<State> {
        let schema = self.schema();
        if self.reads_all() {
            return Ok(Tuple::try_new(cells)?.into());
        }
        let mut row = vec![State::NONE; schema.columns.len()];
        self.columns.iter().zip(cells).for_each(|(position, cell)| row[*position] = cell);
        Ok(Tuple::try_new(row)?.into())
    }

    fn items(&self, batch: &RecordBatch) -> Result<Received> {
        if let Some(program) = &self.program
            && let Some(items) = program.items(batch)?
        {
            return Ok(Received::Items(items, program.stages));
        }
        let schema = self.schema();
        let columns: Vec<&Column> = self.columns.iter().map(|position| &schema.columns[*position]).collect();
        let rows = codec::rows(&columns, batch)?.into_iter().map(|cells| self.row(cells));
        Ok(Received::Items(rows.collect::<Result<_>>()?, 0))
    }

    async fn reduced(&self, by: Reduction) -> Result<Option<State>> {
        let Some(program) = &self.program else {
            // There is nothing to compute.
            let count = by == Reduction::Count;
            return if count { Ok(Some(self.worker().count(&self.source).await?.into())) } else { Ok(None) };
        };
        self.note_program();
        let narrow = self.narrow();
        let Some((parts, rows_max)) = self.parts(&narrow).await? else { return Ok(None) };
        self.worker().note(|| format!("reduces {} parts of at most {rows_max} rows together", parts.len()));
        let part = |batches| reduce(Arc::clone(program), batches, by);
        let reduced = match rows_max < PART_ROWS_MIN {
            true => try_join_all(parts.into_iter().map(part)).await?,
            false => try_join_all(parts.into_iter().map(|batches| self.session.engine.apart(part(batches)))).await?,
        };
        let mut total = Reduced::new(by);
        for reduced in reduced {
            match reduced {
                Some(reduced) => total.merge(&reduced)?,
                None => return Ok(None),
            }
        }
        total.finish().map(Some)
    }

    /// Parts of the rows in any order, each of which can be read by itself, and how many rows there are; none if there are
    /// so few that they are not read as batches.
    async fn parts(&self, narrow: &Collection) -> Result<Option<(Vec<BoxStream<'static, Result<RecordBatch>>>, u64)>> {
        let worker = self.worker();
        let (way, access, range, estimate) = worker.way(narrow)?;
        let threads = self.session.engine.threads() as u64;
        let count = (estimate.rows_max / PART_ROWS_MIN).min(threads) as usize;
        let is_forward = access.index.is_none() && !access.reverse;
        let is_whole = way == Way::Range && is_forward && narrow.view.limit.is_none();
        if is_whole && count > 1 {
            let (txn, table) = (worker.txn(), &narrow.table);
            let columns = narrow.view.columns.clone().unwrap_or_else(|| narrow.table.schema.primary_columns());
            let scan =
                |range| Scan { index: None, range, columns: columns.clone(), reverse: false, limit: None, prune: None };
            let parts = txn.split(table, &range, count).into_iter().map(|range| txn.scan(table, scan(range)));
            return Ok(Some((parts.collect(), estimate.rows_max)));
        }
        Ok(match worker.rows(narrow).await? {
            Rows::Batches(batches) => Some((vec![batches], estimate.rows_max)),
            Rows::Few(_) => None,
        })
    }
}
