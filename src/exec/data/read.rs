//! Reads the rows of views.
//!
//! A view that is a range of a tree, in the order of that tree, is read as it is. What is left of others, conditions that no
//! index serves and orders that no index has, is done here for a few rows, and by DataFusion for many.

use datafusion::arrow::array::RecordBatch;
use datafusion::physical_plan::displayable;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::Worker;
use crate::compiler::collection::{Access, access, compare, meets_all};
use crate::error::{Error, Result};
use crate::exec::relation::error::internal;
use crate::storage::codec::{self, KeyRange, rows};
use crate::storage::{Estimate, Scan};
use crate::value::schema::{Column, Schema};
use crate::value::{Collection, State, Tuple};

/// Rows that are filtered and sorted here; planning a query takes about as long as this.
const FEW_ROWS: u64 = 2048;

/// The rows of a view, as they are read.
pub(super) enum Rows {
    /// Those of these batches, whose columns are those of the view.
    Batches(BoxStream<'static, Result<RecordBatch>>),
    /// These.
    Few(Vec<Vec<State>>),
}

/// What runs a view; shown by EXPLAIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// A range of a tree.
    Range,
    /// A range of a tree, filtered or sorted here.
    Few,
    /// A plan of DataFusion.
    Relation,
}

/// The range of the tree that an access reads.
pub(super) fn range(schema: &Schema, access: &Access) -> Result<KeyRange> {
    let positions = match access.index {
        Some(index) => schema.index_columns(&schema.indexes[index]),
        None => (0..schema.key_len).collect(),
    };
    let columns: Vec<&Column> = positions.iter().map(|position| &schema.columns[*position]).collect();
    codec::range(&columns, &access.prefix, access.last.as_ref().map(|(from, to)| (from, to)))
}

impl Worker<'_> {
    /// The way to the rows of a view, the access and its range, and how many rows that range has.
    pub(super) fn way(&self, collection: &Collection) -> Result<(Way, Access, KeyRange, Estimate)> {
        let schema = &collection.table.schema;
        let access = access(schema, &collection.view);
        let range = range(schema, &access)?;
        let estimate = self.txn().estimate(&collection.table, access.index, &range);
        let way = match access.residual.is_empty() && access.sort.is_none() {
            true => Way::Range,
            false if estimate.rows_max <= FEW_ROWS => Way::Few,
            false => Way::Relation,
        };
        Ok((way, access, range, estimate))
    }

    /// The rows of a view, of which all columns are read, or only those at `columns` of its schema.
    pub(super) async fn rows(&self, collection: &Collection) -> Result<Rows> {
        let (way, access, range, estimate) = self.way(collection)?;
        self.note(|| describe(collection, way, &access, &range, &estimate));
        let (table, view) = (&collection.table, &collection.view);
        let all = || (0..table.schema.columns.len()).collect();
        let scan = |columns: Vec<usize>, limit: Option<u64>, reverse: bool| {
            let scan = Scan { index: access.index, range: range.clone(), columns, reverse, limit, prune: None };
            self.txn().scan(table, scan)
        };
        Ok(match way {
            Way::Range => Rows::Batches(scan(view.columns.clone().unwrap_or_else(all), view.limit, access.reverse)),
            Way::Few => {
                let stored = read_all(&table.schema, scan(all(), None, access.reverse), u64::MAX).await?;
                Rows::Few(few(collection, &access, stored))
            }
            Way::Relation => {
                let plan = self.session.engine.plan_view(self.txn(), collection, &access).await?;
                self.note(|| displayable(plan.as_ref()).indent(false).to_string());
                let stream = self.session.engine.run(self.txn(), plan)?;
                Rows::Batches(stream.map(|batch| batch.map_err(internal)).boxed())
            }
        })
    }

    /// All rows of a view, with their cells.
    ///
    /// # Errors
    /// `TooLarge` beyond `bytes_max`.
    pub(super) async fn read(&self, collection: &Collection, bytes_max: u64) -> Result<Vec<Vec<State>>> {
        match self.rows(collection).await? {
            Rows::Few(rows) => Ok(rows),
            Rows::Batches(batches) => read_all(&collection.schema(), batches, bytes_max).await,
        }
    }

    /// How many rows a view has.
    pub(super) async fn count(&self, collection: &Collection) -> Result<u64> {
        let (way, _, _, estimate) = self.way(collection)?;
        if way == Way::Range && estimate.is_exact {
            self.note(|| format!("counts {} rows without reading them", estimate.rows_max));
            self.txn().note_read(&collection.table);
            let limit = collection.view.limit.unwrap_or(u64::MAX);
            return Ok(estimate.rows_max.min(limit));
        }
        let mut narrow = collection.clone();
        narrow.view.columns = Some(vec![0]);
        match self.rows(&narrow).await? {
            Rows::Few(rows) => Ok(rows.len() as u64),
            Rows::Batches(mut batches) => {
                let mut count = 0;
                while let Some(batch) = batches.next().await {
                    count += batch?.num_rows() as u64;
                }
                Ok(count)
            }
        }
    }

    /// The first row of a view.
    pub(super) async fn first(&self, collection: &Collection) -> Result<Option<Vec<State>>> {
        let mut one = collection.clone();
        one.view.limit = Some(collection.view.limit.unwrap_or(1).min(1));
        Ok(self.read(&one, u64::MAX).await?.into_iter().next())
    }
}

/// What is read, in words.
fn describe(collection: &Collection, way: Way, access: &Access, range: &KeyRange, estimate: &Estimate) -> String {
    let (table, schema) = (&collection.table, &collection.table.schema);
    let tree = match access.index {
        Some(index) => format!("index {}", schema.indexes[index].name),
        None => "primary index".into(),
    };
    let name = if table.name.is_empty() { String::new() } else { format!(" of {}", table.name) };
    let part = if *range == KeyRange::all() { "all" } else { "a range" };
    let direction = if access.reverse { " backward" } else { "" };
    let served = if access.is_served { "" } else { "; no index serves the whole request" };
    let then = match way {
        Way::Range => "",
        Way::Few => ", then filters and sorts",
        Way::Relation => ", by the plan below",
    };
    let about = if estimate.is_exact { "" } else { "at most " };
    format!("reads {part} of the {tree}{name}{direction}, {about}{} rows{then}{served}", estimate.rows_max)
}

/// The rows of batches whose columns are those of `schema`.
async fn read_all(
    schema: &Schema,
    mut batches: BoxStream<'static, Result<RecordBatch>>,
    bytes_max: u64,
) -> Result<Vec<Vec<State>>> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.next().await {
        for row in rows(&schema.columns.iter().collect::<Vec<_>>(), &batch?)? {
            bytes += row.iter().map(State::weight).sum::<u64>();
            all.push(row);
        }
        if bytes > bytes_max {
            return Err(Error::too_large(format!("the rows of a collection take more than {bytes_max} bytes")));
        }
    }
    Ok(all)
}

/// Filters, sorts, limits and projects rows of the whole table.
fn few(collection: &Collection, access: &Access, mut stored: Vec<Vec<State>>) -> Vec<Vec<State>> {
    let view = &collection.view;
    let schema = &collection.table.schema;
    stored.retain(|row| meets_all(schema, &access.residual, row));
    if let Some(sort) = &access.sort {
        let in_order = |l: &Vec<State>, r: &Vec<State>| {
            let columns = sort.iter().map(|at| compare(schema.columns[*at].ty, &l[*at], &r[*at]));
            let order = columns.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
            if access.reverse { order.reverse() } else { order }
        };
        stored.sort_by(in_order);
    }
    stored.truncate(view.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    match &view.columns {
        None => stored,
        Some(columns) => {
            let project = |row: Vec<State>| columns.iter().map(|column| row[*column].clone()).collect();
            stored.into_iter().map(project).collect()
        }
    }
}

/// Rows as they stand in a state.
pub(super) fn tuples(rows: Vec<Vec<State>>) -> Result<std::sync::Arc<[Tuple]>> {
    rows.into_iter().map(Tuple::try_new).collect()
}
