//! How the subject of a chain differs from what its records make of it.

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::Blocks;
use super::compliant::Unrecorded;
use super::rows::{Rows, Turns};
use crate::error::Result;
use crate::storage::Transaction;
use crate::storage::codec::{KeyRange, encode_key};
use crate::value::{Schema, State, Table};

/// A row that is not as it should be.
#[derive(Debug)]
pub(super) enum Difference {
    /// The subject does not have this row.
    Missing(Vec<State>),
    /// The subject has this row with other cells.
    Changed(Vec<State>),
    /// The subject has this row, and no record makes it.
    Extra(Vec<State>),
}

/// The differences between a subject and a table that was made of the records, in the order of their keys.
pub(super) struct Differences {
    schema: Arc<Schema>,
    subject: Side,
    made: Side,
    unrecorded: Option<Unrecorded>,
    turns: Turns,
}

/// The rows of a table, of which the next one is known.
struct Side {
    rows: Rows,
    next: Option<Vec<State>>,
}

impl Side {
    async fn open(txn: &Transaction, table: &Arc<Table>) -> Result<Self> {
        let mut rows = Rows::new(txn, table, KeyRange::all());
        let next = rows.next().await?;
        Ok(Self { rows, next })
    }

    async fn take(&mut self) -> Result<Option<Vec<State>>> {
        let following = self.rows.next().await?;
        Ok(std::mem::replace(&mut self.next, following))
    }
}

impl Differences {
    /// Those of the subject of `blocks` and `made`, as they are now, whatever is written meanwhile.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn open(blocks: &Blocks<'_>, made: &Arc<Table>) -> Result<Self> {
        let (txn, subject) = (blocks.txn, &blocks.subject);
        Ok(Self {
            schema: Arc::clone(&subject.schema),
            subject: Side::open(txn, subject).await?,
            made: Side::open(txn, made).await?,
            unrecorded: Unrecorded::of(blocks).await?,
            turns: Turns::default(),
        })
    }

    /// The next difference.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            self.turns.end().await;
            // Most rows are equal, and need no key.
            let order = match (&self.subject.next, &self.made.next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Some(Ordering::Less),
                (None, Some(_)) => Some(Ordering::Greater),
                (Some(row), Some(made)) if row == made => None,
                (Some(row), Some(made)) => Some(self.key(row)?.cmp(&self.key(made)?)),
            };
            let row = if order == Some(Ordering::Greater) { None } else { self.subject.take().await? };
            let made = if order == Some(Ordering::Less) { None } else { self.made.take().await? };
            let difference = match order {
                None => None,
                Some(Ordering::Less) => row.filter(|row| !self.may_be_extra(row)).map(Difference::Extra),
                Some(Ordering::Equal) => made.map(Difference::Changed),
                Some(Ordering::Greater) => made.map(Difference::Missing),
            };
            if difference.is_some() {
                return Ok(difference);
            }
        }
    }

    /// Whether a row may be there without a record.
    fn may_be_extra(&self, row: &[State]) -> bool {
        self.unrecorded.as_ref().is_some_and(|unrecorded| unrecorded.has(row))
    }

    /// What orders a row.
    fn key(&self, row: &[State]) -> Result<Vec<u8>> {
        encode_key(self.schema.key(), &row[..self.schema.key_len])
    }
}
