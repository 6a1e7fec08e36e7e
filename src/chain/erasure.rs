//! Erasure: what a chain has deleted for good is to be gone from all files, too.
//!
//! A transaction that deletes something leaves it in files: in the log, and in segments until these are merged. A table
//! beside the subject says in its last column whether the files are rid of what a row is about. So what is yet to be
//! done is known also after the host has stopped, and can be tried again.

use std::sync::Arc;

use super::declaration::{ChainDef, Kind};
use super::record;
use super::rows::{self, Rows};
use super::{base, block, compliant, holders, reduce};
use crate::error::Result;
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::value::{State, Table, TreeId};

/// What is yet to be erased from files.
#[derive(Debug)]
pub struct Erasure {
    ledger: Arc<Table>,
    /// Of the ledger.
    rows: Vec<Vec<State>>,
    trees: Vec<TreeId>,
}

impl Erasure {
    /// What a chain has deleted, and files may still have; nothing if there is no such thing.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn pending(txn: &Transaction, subject: &Arc<Table>, chain: &ChainDef) -> Result<Option<Self>> {
        let name = &*subject.name;
        let (ledger, others) = match &chain.kind {
            Kind::Backup(_) | Kind::Reduce(_) => (base::state_path(name), vec![block::path(name), base::path(name)]),
            Kind::Compliant(_) => (compliant::log_path(name), vec![holders::path(name)]),
            Kind::Sync | Kind::Block => return Ok(None),
        };
        let levels = matches!(chain.kind, Kind::Reduce(_)).then(|| reduce::paths(name));
        let others = others.into_iter().chain([record::path(name)]).chain(levels.into_iter().flatten());
        // What was dropped with its service has none.
        if txn.table(name).await?.as_ref() != Some(subject) {
            return Ok(None);
        }
        let Some(ledger) = txn.table(&ledger).await? else { return Ok(None) };
        let (mut found, mut pending) = (Rows::new(txn, &ledger, KeyRange::all()), vec![]);
        while let Some(row) = found.next().await? {
            if !rows::flag(&row, row.len() - 1)? {
                pending.push(row);
            }
        }
        if pending.is_empty() {
            return Ok(None);
        }
        // The subject has older versions of the rows that were recorded.
        let mut trees = trees_of(subject);
        for path in others {
            trees.extend(txn.table(&path).await?.iter().flat_map(|table| trees_of(table)));
        }
        Ok(Some(Self { ledger, rows: pending, trees }))
    }

    /// What is to be scrubbed.
    pub fn trees(&self) -> &[TreeId] {
        &self.trees
    }

    /// Notes that this has been done, in a transaction of its own.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn done(self, txn: &Transaction) -> Result<()> {
        for mut row in self.rows {
            let key = &row[..self.ledger.schema.key_len];
            // One that says something else by now is about what was deleted later.
            if txn.get(&self.ledger, key).await?.as_ref() == Some(&row) {
                row.pop();
                row.push(true.into());
                txn.put(&self.ledger, &row).await?;
            }
        }
        Ok(())
    }
}

fn trees_of(table: &Table) -> Vec<TreeId> {
    std::iter::once(table.rows).chain(table.indexes.iter().copied()).collect()
}
