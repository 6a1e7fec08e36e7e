//! Repairs the subject of a chain: it becomes what the records make of it.
//!
//! Nobody wrote what is written here, so it is not recorded: the records say already what the subject should be. It is
//! compared with them first, and they must be what they were when their blocks were closed.

use std::sync::Arc;

use super::block::Blocks;
use super::compare::{Difference, Differences};
use super::compliant::Unrecorded;
use super::replay::replay;
use super::rows::{self, Rows, Turns};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::value::{State, Table};

/// Keys of each kind of difference that are told.
const KEYS_MAX: usize = 5;

/// Rows that differ in one way.
#[derive(Debug, Default)]
pub struct Tally {
    pub count: u64,
    /// The keys of the first of them.
    pub keys: Vec<Vec<State>>,
}

/// How a subject differs from what its records make of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows that the subject does not have.
    pub missing: Tally,
    /// Rows that have other cells.
    pub changed: Tally,
    /// Rows that no record makes.
    pub extra: Tally,
    /// Why it could not be compared to the end.
    pub unreadable: Option<Error>,
}

/// What the records make of a subject.
pub struct Rebuilt<'a> {
    blocks: &'a Blocks<'a>,
    /// Of the transaction that asks.
    made: Arc<Table>,
    /// How the subject differs.
    pub report: Report,
}

impl Tally {
    fn add(&mut self, mut row: Vec<State>, key_len: usize) {
        self.count += 1;
        if self.keys.len() < KEYS_MAX {
            row.truncate(key_len);
            self.keys.push(row);
        }
    }
}

impl Report {
    /// Whether the subject is as it should be.
    pub fn is_clean(&self) -> bool {
        let tallies = [&self.missing, &self.changed, &self.extra];
        self.unreadable.is_none() && tallies.iter().all(|tally| tally.count == 0)
    }

    async fn compare(&mut self, blocks: &Blocks<'_>, made: &Arc<Table>) -> Result<()> {
        let key_len = blocks.schema().key_len;
        let mut differences = Differences::open(blocks, made).await?;
        while let Some(difference) = differences.next().await? {
            match difference {
                Difference::Missing(row) => self.missing.add(row, key_len),
                Difference::Changed(row) => self.changed.add(row, key_len),
                Difference::Extra(row) => self.extra.add(row, key_len),
            }
        }
        Ok(())
    }
}

impl Blocks<'_> {
    /// Makes the subject again from the records, in a table of its own, and compares.
    ///
    /// # Errors
    /// `Internal` that names what is wrong with the history. What is wrong with the subject is no error.
    pub async fn rebuild(&self) -> Result<Rebuilt<'_>> {
        self.verify_history().await?;
        let (made, mut report) = (replay(self, None).await?, Report::default());
        report.unreadable = report.compare(self, &made).await.err();
        Ok(Rebuilt { blocks: self, made, report })
    }
}

impl Rebuilt<'_> {
    /// Replaces the rows of the subject. Returns how many there are then.
    ///
    /// # Errors
    /// As [`Transaction::put`](crate::storage::Transaction::put).
    pub async fn write(&self) -> Result<u64> {
        let (txn, subject) = (self.blocks.txn, &self.blocks.subject);
        self.keep_unrecorded().await?;
        txn.clear(subject).await?;
        rows::copy(txn, &self.made, subject).await
    }

    /// Adds the rows of users who were purged, and whose rows stay though no record makes them any more.
    async fn keep_unrecorded(&self) -> Result<()> {
        let (txn, subject) = (self.blocks.txn, &self.blocks.subject);
        let Some(unrecorded) = Unrecorded::of(self.blocks).await? else { return Ok(()) };
        let (mut rows, mut turns) = (Rows::new(txn, subject, KeyRange::all()), Turns::default());
        while let Some(row) = rows.next().await? {
            if unrecorded.has(&row) && !txn.contains(&self.made, &row[..subject.schema.key_len]).await? {
                txn.put(&self.made, &row).await?;
            }
            turns.end().await;
        }
        Ok(())
    }
}
