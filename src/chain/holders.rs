//! Whose the rows of a subject are, where no column says it.
//!
//! A table beside the subject has the user who wrote a row last, by the key of the row. A row that is not in it is
//! nobody's. It changes together with the records, so it is as of the last commit while a transaction runs, and it can be
//! made of them again.

use std::sync::Arc;

use super::block::Blocks;
use super::record::beside;
use super::rows::{Turns, column, table};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, Schema, State, Table};

/// Whose the rows of one subject are.
#[derive(Clone, Debug)]
pub(super) struct Holders {
    table: Arc<Table>,
}

/// The path of the table of the subject at `subject`.
pub(super) fn path(subject: &str) -> String {
    beside(subject, "holders")
}

fn schema(subject: &Schema) -> Schema {
    let plain = |column: &Column| Column { default: State::NONE, ..column.clone() };
    let mut columns: Vec<Column> = subject.key().iter().map(plain).collect();
    columns.push(column("_owner".into(), Class::Value, ColumnType::Any));
    table(columns, subject.key_len)
}

pub(super) async fn create(txn: &Transaction, subject: &Table) -> Result<()> {
    txn.create_table(&path(&subject.name), schema(&subject.schema)).await.map(|_| ())
}

impl Holders {
    /// The holders of the rows of `subject`.
    ///
    /// # Errors
    /// `Internal` if the table is lost.
    pub async fn open(txn: &Transaction, subject: &Table) -> Result<Self> {
        let lost = || Error::internal(format!("whose the rows of {} are is lost", subject.name));
        Ok(Self { table: txn.table(&path(&subject.name)).await?.ok_or_else(lost)? })
    }

    /// The table, and the column that has the user.
    pub fn table(&self) -> (&Arc<Table>, usize) {
        (&self.table, self.table.schema.key_len)
    }

    /// Whose the row with a key is; None if it is nobody's.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn of(&self, txn: &Transaction, key: &[State]) -> Result<State> {
        let row = txn.get(&self.table, key).await?;
        Ok(row.and_then(|mut row| row.pop()).unwrap_or(State::NONE))
    }

    /// The same table as the records of the chain make it: a table of the transaction that asks. What was purged is not in
    /// it.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn replay(&self, blocks: &Blocks<'_>) -> Result<Arc<Table>> {
        let made = Self { table: blocks.txn.create(Schema::clone(&self.table.schema)) };
        let (mut records, mut turns) = (blocks.read(0, u64::MAX)?, Turns::default());
        while let Some(record) = records.next().await? {
            let entry = &record.entry;
            if let Some(owner) = entry.owner() {
                let key = entry.key(blocks.schema());
                match entry.is_put {
                    true => made.set(blocks.txn, key, owner).await?,
                    false => made.set(blocks.txn, key, &State::NONE).await?,
                }
            }
            turns.end().await;
        }
        Ok(made.table)
    }

    /// Notes whose the row with a key is now; None if it is nobody's, or gone.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn set(&self, txn: &Transaction, key: &[State], owner: &State) -> Result<()> {
        if owner.is_none() {
            return txn.delete(&self.table, key).await.map(|_| ());
        }
        let row: Vec<State> = key.iter().chain([owner]).cloned().collect();
        txn.put(&self.table, &row).await
    }
}
