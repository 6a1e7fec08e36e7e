//! What statements do with the rows that they write.
//!
//! A [`Write`] is what remains of a statement once it is planned. It has no rows and no values of parameters in it, so it
//! can be done again with others.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::Script;
use super::constants::Constants;
use super::lookup::{LOOKUP_ROWS_MAX, Lookup};
use super::merge::Clause;
use super::read::KeyedRead;
use crate::error::{Error, Result};
use crate::exec::relation::error::internal;
use crate::storage::codec::{cast_batch, cell, rows};
use crate::storage::{Loader, Mode};
use crate::value::encode::to_json;
use crate::value::{State, Table, Tuple};

/// A statement that writes to a table, apart from where its rows come from.
pub(super) struct Write {
    pub(super) table: Arc<Table>,
    /// The columns that an INSERT gives values for, in the order in which it does.
    pub(super) listed: Vec<String>,
    /// Makes the rows that are written of those that come; nothing if these are written themselves.
    pub(super) lookup: Option<Lookup>,
    pub(super) action: Action,
}

/// What is done with rows. Places are those of the columns of the table among the columns of the rows.
pub(super) enum Action {
    Insert {
        places: Vec<usize>,
        mode: Mode,
    },
    /// Those are inserted whose keys are not there yet.
    InsertNew {
        places: Vec<usize>,
    },
    /// They take the place of the rows with the same keys or, if keys change, with the keys in the columns that follow.
    Update {
        places: Vec<usize>,
        changes_key: bool,
    },
    /// The rows with these keys are deleted.
    Delete,
    Merge(Vec<Clause>),
}

/// Where rows come from.
#[derive(Clone)]
pub(super) enum Source {
    Plan(Arc<dyn ExecutionPlan>),
    Constants(Arc<Constants>),
    /// The row of a table with one key; only for queries.
    Key(Arc<KeyedRead>),
}

impl Script<'_> {
    /// Writes what a statement writes, and returns how many rows that were. Nothing is returned, and nothing was written, if
    /// the statement has to be planned in another way, perhaps only to learn what is wrong with it.
    ///
    /// # Errors
    /// What the statement is refused for.
    pub(super) async fn perform(&self, write: &Write, source: Source) -> Result<Option<u64>> {
        // Here, because what is kept of a statement comes here too.
        self.session.will_write(&write.table).await?;
        let rows = match (&write.lookup, source) {
            (None, Source::Plan(plan)) => {
                let rows = self.session.engine().run(self.txn(), plan)?;
                return self.apply_stream(write, rows).await.map(Some);
            }
            (_, Source::Key(_)) => None,
            (None, Source::Constants(constants)) => constants.batch(self.params).ok().map(|batch| vec![batch]),
            (Some(lookup), source) => match self.few(source).await? {
                Some(batches) => self.look_up(lookup, &batches).await?,
                None => None,
            },
        };
        match rows {
            Some(rows) => self.apply(write, &rows).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows of a source, if they are so few that others are looked up for them.
    async fn few(&self, source: Source) -> Result<Option<Vec<RecordBatch>>> {
        let plan = match source {
            Source::Constants(constants) if constants.len() > LOOKUP_ROWS_MAX => return Ok(None),
            Source::Constants(constants) => return Ok(constants.batch(self.params).ok().map(|batch| vec![batch])),
            Source::Key(_) => return Ok(None),
            Source::Plan(plan) => plan,
        };
        let mut stream = self.session.engine().run(self.txn(), plan)?;
        let (mut batches, mut count) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(internal)?;
            count += batch.num_rows();
            if count > LOOKUP_ROWS_MAX {
                return Ok(None);
            }
            batches.push(batch);
        }
        Ok(Some(batches))
    }

    /// What is written for the rows of a source.
    async fn look_up(&self, lookup: &Lookup, batches: &[RecordBatch]) -> Result<Option<Vec<RecordBatch>>> {
        let mut written = Vec::with_capacity(batches.len());
        for batch in batches {
            match lookup.rows(self.txn(), batch, self.params).await? {
                Some(rows) => written.push(rows),
                None => return Ok(None),
            }
        }
        Ok(Some(written))
    }

    /// Writes rows as they come if they are only inserted; otherwise all of them are found before the first is written.
    async fn apply_stream(&self, write: &Write, stream: SendableRecordBatchStream) -> Result<u64> {
        if let Action::Insert { places, mode } = &write.action {
            return self.load(&write.table, places, stream, *mode).await;
        }
        let rows: Vec<RecordBatch> = stream.try_collect().await.map_err(internal)?;
        self.apply(write, &rows).await
    }

    async fn apply(&self, write: &Write, rows: &[RecordBatch]) -> Result<u64> {
        let table = write.table.as_ref();
        match &write.action {
            Action::Insert { places, mode } => self.put_batches(table, places, rows, *mode).await,
            Action::InsertNew { places } => self.insert_new(table, places, rows).await,
            Action::Update { places, changes_key: false } => self.put_batches(table, places, rows, Mode::Upsert).await,
            Action::Update { places, changes_key: true } => {
                for batch in rows {
                    let old: Vec<usize> = (places.len()..batch.num_columns()).collect();
                    self.delete_keys(table, &projected(batch, &old)?).await?;
                }
                self.put_batches(table, places, rows, Mode::Insert).await
            }
            Action::Delete => {
                let mut deleted = 0;
                for keys in rows {
                    deleted += self.delete_keys(table, keys).await?;
                }
                Ok(deleted)
            }
            Action::Merge(clauses) => self.merge(table, clauses, rows).await,
        }
    }

    /// Writes the rows of a stream, however many they are.
    pub(super) async fn load(
        &self,
        table: &Table,
        places: &[usize],
        mut stream: SendableRecordBatchStream,
        mode: Mode,
    ) -> Result<u64> {
        let mut loader = Loader::new(self.txn(), table, mode).await?;
        while let Some(batch) = stream.next().await {
            loader.push(shaped(table, places, &batch.map_err(internal)?)?).await?;
        }
        loader.finish().await
    }

    /// Writes rows all at once.
    async fn put_batches(&self, table: &Table, places: &[usize], rows: &[RecordBatch], mode: Mode) -> Result<u64> {
        if let [batch] = rows
            && batch.num_rows() > 0
        {
            return self.txn().put_batch(table, &shaped(table, places, batch)?, mode).await;
        }
        let mut loader = Loader::new(self.txn(), table, mode).await?;
        for batch in rows {
            loader.push(shaped(table, places, batch)?).await?;
        }
        loader.finish().await
    }

    /// Inserts the rows whose keys are not there yet; returns how many.
    async fn insert_new(&self, table: &Table, places: &[usize], batches: &[RecordBatch]) -> Result<u64> {
        let mut inserted = 0;
        for batch in batches {
            let batch = shaped(table, places, batch)?;
            for row in rows(&table.schema.columns.iter().collect::<Vec<_>>(), &batch)? {
                inserted += u64::from(self.txn().insert(table, &row).await?);
            }
        }
        Ok(inserted)
    }

    /// Deletes the rows whose keys are the columns of a batch; returns how many there were.
    pub(super) async fn delete_keys(&self, table: &Table, keys: &RecordBatch) -> Result<u64> {
        let mut deleted = 0;
        for row in 0..keys.num_rows() {
            let key: Vec<State> = (table.schema.key().iter().enumerate())
                .map(|(at, column)| cell(column, keys.column(at).as_ref(), row))
                .collect::<Result<_>>()?;
            deleted += u64::from(self.txn().delete(table, &key).await?);
        }
        Ok(deleted)
    }

    /// Writes the rows of a batch that has the columns of the table.
    pub(super) async fn put_rows(&self, table: &Table, batch: &RecordBatch, mode: Mode) -> Result<u64> {
        let batch = cast_batch(&table.schema, batch)?;
        for row in rows(&table.schema.columns.iter().collect::<Vec<_>>(), &batch)? {
            match mode {
                Mode::Upsert => self.txn().put(table, &row).await?,
                Mode::Insert => {
                    if !self.txn().insert(table, &row).await? {
                        let key = Tuple::try_new(&row[..table.schema.key_len])?;
                        return Err(Error::bad_request(format!(
                            "there is already a row with the key {}",
                            to_json(&key.into())
                        )));
                    }
                }
            }
        }
        Ok(batch.num_rows() as u64)
    }
}

/// The rows of a batch as the table has them.
fn shaped(table: &Table, places: &[usize], batch: &RecordBatch) -> Result<RecordBatch> {
    cast_batch(&table.schema, &projected(batch, places)?)
}

fn projected(batch: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    batch.project(columns).map_err(|error| internal(error.into()))
}

/// The place of each column of the table among columns with the names in `order`.
pub(super) fn places(table: &Table, order: &[String]) -> Result<Vec<usize>> {
    let place = |name: &str| order.iter().position(|other| other == name);
    let missing = |name: &str| Error::internal(format!("a row without {name}"));
    let columns = table.schema.columns.iter();
    columns.map(|column| place(column.name.as_str()).ok_or_else(|| missing(column.name.as_str()))).collect()
}

/// An error about a list of VALUES, where columns are only numbered, with the name of the column.
pub(super) fn named_column(error: Error, listed: &[String]) -> Error {
    let number = error.message().split_once("Column 'column").and_then(|(_, rest)| {
        let (digits, rest) = rest.split_once('\'')?;
        rest.contains("non-nullable").then(|| digits.parse::<usize>().ok()).flatten()
    });
    match number.and_then(|number| listed.get(number.checked_sub(1)?)) {
        Some(name) => Error::bad_request(format!("the column {name} cannot be null")),
        None => error,
    }
}
