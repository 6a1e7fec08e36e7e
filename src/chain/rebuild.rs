//! Repairs the subject of a chain: it becomes what the records make of it. So does what is noted of whose its rows are,
//! where no column says that.
//!
//! Nobody wrote what is written here, so it is not recorded: the records say already what the subject should be. It is
//! compared with them first, and they must be what they were when their blocks were closed.

use super::block::Blocks;
use super::compare::{Derived, Difference, Differences};
use super::owners::Unrecorded;
use super::rows::{self, Rows, Turns};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::value::State;

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
    /// Rows that are noted as those of others than the records name, where no column says whose they are.
    pub owner: Tally,
    /// Why it could not be compared to the end.
    pub unreadable: Option<Error>,
}

/// What the records make of a subject.
pub struct Rebuilt<'a> {
    blocks: &'a Blocks<'a>,
    subject: Derived,
    holders: Option<Derived>,
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
        let tallies = [&self.missing, &self.changed, &self.extra, &self.owner];
        self.unreadable.is_none() && tallies.iter().all(|tally| tally.count == 0)
    }

    async fn compare(&mut self, blocks: &Blocks<'_>, subject: &Derived, holders: Option<&Derived>) -> Result<()> {
        let key_len = blocks.schema().key_len;
        let mut differences = Differences::open(blocks, subject).await?;
        while let Some(difference) = differences.next().await? {
            match difference {
                Difference::Missing(row) => self.missing.add(row, key_len),
                Difference::Changed(row) => self.changed.add(row, key_len),
                Difference::Extra(row) => self.extra.add(row, key_len),
            }
        }
        let Some(holders) = holders else { return Ok(()) };
        let mut differences = Differences::open(blocks, holders).await?;
        while let Some(difference) = differences.next().await? {
            let (Difference::Missing(row) | Difference::Changed(row) | Difference::Extra(row)) = difference;
            self.owner.add(row, key_len);
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
        let (subject, holders) = (Derived::subject(self).await?, Derived::holders(self).await?);
        let mut report = Report::default();
        report.unreadable = Box::pin(report.compare(self, &subject, holders.as_ref())).await.err();
        Ok(Rebuilt { blocks: self, subject, holders, report })
    }
}

impl Rebuilt<'_> {
    /// Replaces the rows of the subject, and what is noted of whose they are. Returns how many rows there are then.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn write(&self) -> Result<u64> {
        let txn = self.blocks.txn;
        // Which rows stay depends on whose they are, so nothing is replaced before that is known.
        if let Some(unrecorded) = Unrecorded::of(self.blocks).await? {
            for derived in std::iter::once(&self.subject).chain(&self.holders) {
                Box::pin(derived.keep(txn, &unrecorded)).await?;
            }
        }
        if let Some(holders) = &self.holders {
            holders.replace(txn).await?;
        }
        self.subject.replace(txn).await
    }
}

impl Derived {
    /// Adds the rows of users who were purged, and whose rows stay though no record makes them any more.
    async fn keep(&self, txn: &Transaction, unrecorded: &Unrecorded<'_>) -> Result<()> {
        let (mut rows, mut turns) = (Rows::new(txn, &self.table, KeyRange::all()), Turns::default());
        while let Some(row) = rows.next().await? {
            let key = &row[..self.table.schema.key_len];
            if !txn.contains(&self.made, key).await? && unrecorded.has(&row).await? {
                txn.put(&self.made, &row).await?;
            }
            turns.end().await;
        }
        Ok(())
    }

    /// Replaces what is there by what the records make. Returns how many rows that has.
    async fn replace(&self, txn: &Transaction) -> Result<u64> {
        txn.clear(&self.table).await?;
        rows::copy(txn, &self.made, &self.table).await
    }
}
