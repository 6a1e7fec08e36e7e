//! How what follows from the records of a chain differs from what they make of it: the subject, and where no column says
//! it, whose its rows are.

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::Blocks;
use super::declaration::Kind;
use super::holders::Holders;
use super::owners::Unrecorded;
use super::policy::{Compliant, Owner};
use super::replay::replay;
use super::rows::{Rows, Turns};
use crate::error::Result;
use crate::storage::Transaction;
use crate::storage::codec::{KeyRange, encode_key};
use crate::value::{Schema, State, Table};

/// A table that follows from the records, and what they make of it: a table of the transaction that asks.
#[derive(Debug)]
pub(super) struct Derived {
    pub table: Arc<Table>,
    pub made: Arc<Table>,
}

/// A row that is not as it should be.
#[derive(Debug)]
pub(super) enum Difference {
    /// The table does not have this row.
    Missing(Vec<State>),
    /// The table has this row with other cells.
    Changed(Vec<State>),
    /// The table has this row, and no record makes it.
    Extra(Vec<State>),
}

/// The differences between a table and what the records make of it, in the order of their keys.
pub(super) struct Differences<'a> {
    schema: Arc<Schema>,
    table: Side,
    made: Side,
    unrecorded: Option<Unrecorded<'a>>,
    turns: Turns,
}

impl Derived {
    /// The subject.
    ///
    /// # Errors
    /// As [`replay`].
    pub async fn subject(blocks: &Blocks<'_>) -> Result<Self> {
        Ok(Self { table: Arc::clone(&blocks.subject), made: replay(blocks, None).await? })
    }

    /// Whose the rows of the subject are; nothing where the rows say it, or where it does not matter.
    ///
    /// # Errors
    /// As [`Holders::open`] and [`Holders::replay`].
    pub async fn holders(blocks: &Blocks<'_>) -> Result<Option<Self>> {
        let Kind::Compliant(Compliant { owner: Owner::Token, .. }) = &blocks.chain.kind else { return Ok(None) };
        let holders = Holders::open(blocks.txn, &blocks.subject).await?;
        let made = holders.replay(blocks).await?;
        Ok(Some(Self { table: Arc::clone(holders.table().0), made }))
    }
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

impl<'a> Differences<'a> {
    /// Those of what follows from the records of `blocks`, as it is now, whatever is written meanwhile.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn open(blocks: &'a Blocks<'a>, Derived { table, made }: &Derived) -> Result<Self> {
        Ok(Self {
            schema: Arc::clone(&table.schema),
            table: Side::open(blocks.txn, table).await?,
            made: Side::open(blocks.txn, made).await?,
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
            let order = match (&self.table.next, &self.made.next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Some(Ordering::Less),
                (None, Some(_)) => Some(Ordering::Greater),
                (Some(row), Some(made)) if row == made => None,
                (Some(row), Some(made)) => Some(self.key(row)?.cmp(&self.key(made)?)),
            };
            let row = if order == Some(Ordering::Greater) { None } else { self.table.take().await? };
            let made = if order == Some(Ordering::Less) { None } else { self.made.take().await? };
            let difference = match order {
                None => None,
                Some(Ordering::Less) => match row {
                    Some(row) => self.extra(row).await?,
                    None => None,
                },
                Some(Ordering::Equal) => made.map(Difference::Changed),
                Some(Ordering::Greater) => made.map(Difference::Missing),
            };
            if difference.is_some() {
                return Ok(difference);
            }
        }
    }

    /// The difference that a row makes which is there, unless it may be there without a record.
    async fn extra(&mut self, row: Vec<State>) -> Result<Option<Difference>> {
        let may_be_there = match &self.unrecorded {
            // This is rare, and takes more memory than anything else here.
            Some(unrecorded) => Box::pin(unrecorded.has(&row)).await?,
            None => false,
        };
        Ok((!may_be_there).then_some(Difference::Extra(row)))
    }

    /// What orders a row.
    fn key(&self, row: &[State]) -> Result<Vec<u8>> {
        encode_key(self.schema.key(), &row[..self.schema.key_len])
    }
}
