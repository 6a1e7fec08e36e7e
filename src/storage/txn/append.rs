//! Rows whose keys begin with the number of the commit that brings them.
//!
//! That number is known only when the committer has admitted the transaction, so until then another one stands in its
//! place, [`UNSTAMPED`], and the committer replaces it before anybody else sees the key (as versionstamps in
//! FoundationDB). So a table that is only appended to has the order of commits, though transactions that append to it
//! read nothing of it and never conflict over it.
//!
//! Segments never change, so such rows cannot wait for their commit in one. Nor can entries of indexes be found again
//! among all others.

use super::Transaction;
use super::write::encoded;
use crate::error::{Error, Result};
use crate::storage::codec::UNSTAMPED;
use crate::storage::index::Access;
use crate::storage::memtable::{Key, Payload};
use crate::storage::write_set::entry_bytes;
use crate::value::schema::{Column, ColumnType, Schema, Table};
use crate::value::{NumberClass, State};

/// The columns at the beginning of the key that are not given: the commit, and the position in it.
const STAMP_LEN: usize = 2;

impl Transaction {
    /// Appends rows to a table whose key begins with two columns of U64: the number of the commit, which
    /// [`Transaction::commit`] returns, and the position of the row among those that this transaction appends to the
    /// table, from 0. The rows are given without these two cells; the others were cast to their columns. All of them
    /// are appended, or none.
    ///
    /// Until it commits, the transaction sees them last, under the commit [`UNSTAMPED`].
    ///
    /// # Errors
    /// `BadRequest` if the table has another key, or an index, or if it is the transaction's own; or if a row has more
    /// or fewer cells. `TooLarge` if the transaction has not enough memory for all that it writes to such tables.
    /// Otherwise as [`Transaction::scan`].
    pub async fn append(&self, table: &Table, rows: &[Vec<State>]) -> Result<()> {
        let core = &self.core;
        let _writing = core.writer().await;
        let first = {
            let mut work = core.work.lock();
            let access = core.access(&mut work, table)?;
            check_table(&access)?;
            work.writes.appended(table.rows)
        };
        if rows.is_empty() {
            return Ok(());
        }
        let rows = (first..).zip(rows).map(|(position, row)| stamped(&table.schema, position, row));
        let rows = rows.collect::<Result<Vec<(Key, Payload)>>>()?;
        let bytes: u64 = rows.iter().map(|(key, payload)| entry_bytes(key, Some(payload))).sum();
        {
            let mut work = core.work.lock();
            if work.writes.stamped().0.saturating_add(bytes) > core.write_bytes_max() {
                return Err(core.no_room(&work, table.rows));
            }
            work.writes.append_rows(table.rows, &table.schema, rows);
        }
        core.make_room().await
    }
}

/// Checks that rows can be appended to a table.
fn check_table(access: &Access) -> Result<()> {
    let (name, schema) = (&access.table.name, &access.table.schema);
    if !access.is_durable() {
        return Err(Error::bad_request("rows cannot be appended to a collection that is never committed"));
    }
    let is_number = |column: &Column| column.ty == ColumnType::Number(NumberClass::U64) && !column.nullable;
    if !schema.key().get(..STAMP_LEN).is_some_and(|columns| columns.iter().all(is_number)) {
        let message = format!("the key of {name} does not begin with two columns of U64, a commit and a position");
        return Err(Error::bad_request(message));
    }
    if !access.indexes.is_empty() {
        return Err(Error::bad_request(format!("rows cannot be appended to {name}, because it has indexes")));
    }
    Ok(())
}

/// The key and the payload of a row that is appended.
fn stamped(schema: &Schema, position: u64, row: &[State]) -> Result<(Key, Payload)> {
    let (expected, found) = (schema.columns.len() - STAMP_LEN, row.len());
    if expected != found {
        return Err(Error::bad_request(format!("expected a row of {expected} cells, not {found}")));
    }
    let mut cells = Vec::with_capacity(schema.columns.len());
    cells.extend([State::from(UNSTAMPED), State::from(position)]);
    cells.extend_from_slice(row);
    encoded(schema, &cells)
}
