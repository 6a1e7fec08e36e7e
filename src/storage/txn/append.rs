//! Rows whose keys are the number of the commit that brings them, and the position in it.
//!
//! That number is known only when the committer has admitted the transaction, so until then another one stands in its
//! place, [`UNSTAMPED`], and the committer replaces it before anybody else sees the key (as versionstamps in
//! FoundationDB). So a table that is only appended to has the order of commits, though transactions that append to it
//! read nothing of it and never conflict over it. The same holds for the entries of its indexes, whose keys end with
//! that of the row.
//!
//! Segments never change, so what is appended cannot wait for its commit in one.

use std::sync::Arc;

use super::Transaction;
use super::write::encoded;
use crate::error::{Error, Result};
use crate::storage::codec::UNSTAMPED;
use crate::storage::index::{Access, Entry};
use crate::storage::memtable::{Key, Payload};
use crate::storage::write_set::entry_bytes;
use crate::value::schema::{Column, ColumnType, Index, Schema, Table, TreeId};
use crate::value::{NumberClass, State};

/// The columns of the key, which are not given: the commit, and the position in it.
const STAMP_LEN: usize = 2;

/// What is appended to a tree.
struct Appended<'a> {
    tree: TreeId,
    schema: &'a Arc<Schema>,
    rows: Vec<(Key, Payload)>,
}

impl Transaction {
    /// Appends rows to a table whose key is two columns of U64: the number of the commit, which
    /// [`Transaction::commit`] returns, and the position of the row among those that this transaction appends to the
    /// table, from 0. The rows are given without these two cells; the others were cast to their columns. All of them
    /// are appended, or none.
    ///
    /// Until it commits, the transaction sees them last, under the commit [`UNSTAMPED`].
    ///
    /// # Errors
    /// `BadRequest` if the table has another key, or an index that is unique or has a column of the key, or if it is the
    /// transaction's own; or if a row has more or fewer cells. `TooLarge` if the transaction has not enough memory for
    /// all that it writes to such tables. Otherwise as [`Transaction::scan`].
    pub async fn append(&self, table: &Table, rows: &[Vec<State>]) -> Result<()> {
        let core = &self.core;
        let _writing = core.writer().await;
        let (access, first) = {
            let mut work = core.work.lock();
            let access = core.access(&mut work, table)?;
            check_table(&access)?;
            (access, work.writes.appended(table.rows))
        };
        if rows.is_empty() {
            return Ok(());
        }
        let rows = (first..).zip(rows).map(|(position, row)| stamped(&table.schema, position, row));
        let trees = appended(&access, &rows.collect::<Result<Vec<_>>>()?)?;
        let entries = trees.iter().flat_map(|appended| &appended.rows);
        let bytes: u64 = entries.map(|(key, payload)| entry_bytes(key, Some(payload))).sum();
        {
            let mut work = core.work.lock();
            if work.writes.stamped().0.saturating_add(bytes) > core.write_bytes_max() {
                return Err(core.no_room(&work, table.rows));
            }
            for Appended { tree, schema, rows } in trees {
                work.writes.append_rows(tree, schema, rows);
            }
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
    if schema.key_len != STAMP_LEN || !schema.key().iter().all(is_number) {
        let message = format!("the key of {name} is not two columns of U64, a commit and a position");
        return Err(Error::bad_request(message));
    }
    // Nobody knows yet which rows would be rivals in a unique index, and the key has to come last in any.
    let is_unfit = |index: &&Index| index.unique || index.columns.iter().any(|at| *at < STAMP_LEN);
    match schema.indexes.iter().find(is_unfit) {
        Some(index) => Err(Error::bad_request(format!(
            "rows cannot be appended to {name}, because its index {} is unique or has a column of the key",
            index.name
        ))),
        None => Ok(()),
    }
}

/// What becomes of the trees of a table when whole rows are appended to it.
fn appended<'a>(access: &'a Access, rows: &[Vec<State>]) -> Result<Vec<Appended<'a>>> {
    let Table { rows: tree, schema, .. } = &*access.table;
    let own = rows.iter().map(|row| encoded(schema, row)).collect::<Result<Vec<_>>>()?;
    let mut trees = vec![Appended { tree: *tree, schema, rows: own }];
    for index in &access.indexes {
        let entries = rows.iter().map(|row| index.entry(row).map(|Entry { key, payload }| (key, payload)));
        trees.push(Appended { tree: index.tree, schema: &index.schema, rows: entries.collect::<Result<Vec<_>>>()? });
    }
    Ok(trees)
}

/// All cells of a row that is appended.
fn stamped(schema: &Schema, position: u64, row: &[State]) -> Result<Vec<State>> {
    let (expected, found) = (schema.columns.len() - STAMP_LEN, row.len());
    if expected != found {
        return Err(Error::bad_request(format!("expected a row of {expected} cells, not {found}")));
    }
    let mut cells = Vec::with_capacity(schema.columns.len());
    cells.extend([State::from(UNSTAMPED), State::from(position)]);
    cells.extend_from_slice(row);
    Ok(cells)
}
