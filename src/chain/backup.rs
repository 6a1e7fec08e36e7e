//! BackupChains: blocks that are old are deleted, and a copy of the subject takes their place.
//!
//! The copy, the *base*, is a table beside the subject, as it was exactly as of the last commit of the last block that
//! was deleted: it comes from the records of these blocks, never from the subject of today. Another table says which
//! block that was, its hash, after which the blocks that are left go on, and the hash of the base. All that changes in
//! one transaction.

use std::sync::Arc;

use super::block::{Block, Blocks, Hash, Start};
use super::declaration::Subject;
use super::policy::Backup;
use super::record::{beside, value_row};
use super::rows::{self, Rows, Turns, flags, numbers, table, texts};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::txn::TxnId;
use crate::value::hash_collection::CollectionHasher;
use crate::value::{Schema, State, Table};

const NANOS: f64 = 1e9;

/// The end of what was deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Cutoff {
    /// Of the last block that was deleted: its number, its last commit, the transaction of that, and its hash.
    ordinal: u64,
    commit: u64,
    txn: TxnId,
    block: Hash,
    /// The hash of the base.
    base: Hash,
}

/// What took the place of blocks that were deleted.
#[derive(Debug)]
pub(super) struct Base {
    /// The subject as it was then.
    table: Arc<Table>,
    state: Arc<Table>,
    /// Nothing if no block was deleted yet.
    cutoff: Option<Cutoff>,
}

/// What a compaction has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Compacted {
    /// How many blocks were deleted.
    pub deleted: u64,
    /// The last transaction that has no record any more, if there is one.
    pub cutoff: Option<TxnId>,
}

/// The path of the base of the subject at `subject`.
pub(super) fn base_path(subject: &str) -> String {
    beside(subject, "base")
}

/// The path of the table that says what was deleted.
pub(super) fn state_path(subject: &str) -> String {
    beside(subject, "state")
}

/// The key of the only row of that table.
fn state_key() -> State {
    State::from(0u64)
}

pub(super) async fn create(txn: &Transaction, subject: &Table, kind: &Subject) -> Result<()> {
    let schema = Schema { indexes: vec![], ..Schema::clone(&subject.schema) };
    let base = txn.create_table(&base_path(&subject.name), schema).await?;
    if let Subject::Value(initial) = kind {
        txn.put(&base, &value_row(initial.clone())).await?;
    }
    let (key, values) = (["id", "ordinal", "commit"].map(numbers), ["txn", "block", "base"].map(texts));
    let columns = key.into_iter().chain(values).chain([flags("erased")]);
    txn.create_table(&state_path(&subject.name), table(columns.collect(), 1)).await.map(|_| ())
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    txn.drop_table(&base_path(subject)).await?;
    txn.drop_table(&state_path(subject)).await.map(|_| ())
}

impl Backup {
    /// Blocks that were opened before this time are closed.
    pub fn opened_before(&self, now: u64) -> u64 {
        ago(now, self.block_age)
    }

    /// The transaction from which on all are kept: that one, if it is old enough.
    fn limit(&self, now: u64, before: Option<TxnId>) -> Result<TxnId> {
        let kept = TxnId { timestamp: ago(now, self.max_age), nonce: 0 };
        match before {
            None => Ok(kept),
            Some(before) if before <= kept => Ok(before),
            Some(before) => {
                let kept = self.max_age;
                Err(Error::bad_request(format!(
                    "{before} is younger than {kept} seconds, for which this chain is kept"
                )))
            }
        }
    }
}

/// So many seconds before `now`, in nanoseconds.
fn ago(now: u64, seconds: f64) -> u64 {
    now.saturating_sub((seconds * NANOS) as u64)
}

impl Cutoff {
    fn of_row(row: &[State]) -> Result<Self> {
        Ok(Self {
            ordinal: rows::number(row, 1)?,
            commit: rows::number(row, 2)?,
            txn: rows::text(row, 3)?.parse()?,
            block: rows::hash(row, 4)?,
            base: rows::hash(row, 5)?,
        })
    }

    /// Its row, of which the last cell says that files may still have what was deleted.
    fn row(&self) -> Vec<State> {
        let numbers = [self.ordinal, self.commit].map(State::from);
        let hashes = [self.block, self.base].map(|hash| State::from(hex::encode(hash)));
        let cells = [state_key()].into_iter().chain(numbers).chain([self.txn.to_string().into()]);
        cells.chain(hashes).chain([false.into()]).collect()
    }
}

impl Base {
    /// What took the place of the blocks that the chain of `subject` has deleted.
    ///
    /// # Errors
    /// `Internal` if it is lost or damaged.
    pub async fn open(txn: &Transaction, subject: &str) -> Result<Self> {
        let lost = || Error::internal(format!("what {subject} keeps of deleted blocks is lost"));
        let table = txn.table(&base_path(subject)).await?.ok_or_else(lost)?;
        let state = txn.table(&state_path(subject)).await?.ok_or_else(lost)?;
        let row = txn.get(&state, &[state_key()]).await?;
        Ok(Self { table, state, cutoff: row.map(|row| Cutoff::of_row(&row)).transpose()? })
    }

    /// Where the first block begins that is left.
    pub fn end(&self) -> Start {
        let end =
            |cutoff: &Cutoff| Start { ordinal: cutoff.ordinal + 1, first: cutoff.commit + 1, previous: cutoff.block };
        self.cutoff.as_ref().map(end).unwrap_or_default()
    }

    /// The last transaction that has no record any more.
    pub fn last(&self) -> Option<TxnId> {
        self.cutoff.as_ref().map(|cutoff| cutoff.txn)
    }

    /// Writes the rows of the base to a table.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn copy_to(&self, txn: &Transaction, table: &Table) -> Result<()> {
        let (mut rows, mut turns) = (Rows::new(txn, &self.table, KeyRange::all()), Turns::default());
        while let Some(row) = rows.next().await? {
            txn.put(table, &row).await?;
            turns.end().await;
        }
        Ok(())
    }

    /// Checks that the base is what it was when it was made.
    ///
    /// # Errors
    /// `Internal` if it is not.
    pub async fn verify(&self, txn: &Transaction) -> Result<()> {
        match &self.cutoff {
            Some(cutoff) if self.hash(txn).await? != cutoff.base => {
                let last = cutoff.ordinal;
                Err(Error::internal(format!("the copy of block {last} and those before is not what it was")))
            }
            _ => Ok(()),
        }
    }

    async fn hash(&self, txn: &Transaction) -> Result<Hash> {
        let (mut rows, mut turns) = (Rows::new(txn, &self.table, KeyRange::all()), Turns::default());
        let mut hasher = CollectionHasher::new(&self.table.schema);
        while let Some(row) = rows.next().await? {
            hasher.row(&row);
            turns.end().await;
        }
        Ok(hasher.finish())
    }
}

impl Blocks<'_> {
    /// Closes the open block if it is old enough to be, and deletes the first blocks as far as all of their
    /// transactions are older than the chain keeps them, or than `before`. Their records go to the base. `now` is in
    /// nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// `BadRequest` if `before` is younger than that; as [`Transaction::scan`].
    pub async fn compact(&self, backup: &Backup, now: u64, before: Option<TxnId>) -> Result<Compacted> {
        let base = self.base.as_ref().ok_or_else(|| Error::internal("this chain deletes no blocks"))?;
        let limit = backup.limit(now, before)?;
        self.close(backup.opened_before(now)).await?;
        let (mut deleted, mut end) = (0, None);
        while let Some(block) = self.first().await? {
            let Some(txn) = self.last_before(&block, limit).await? else { break };
            self.fold(base, &block).await?;
            deleted += 1;
            end = Some((block, txn));
        }
        let Some((block, txn)) = end else { return Ok(Compacted { deleted, cutoff: base.last() }) };
        let hash = base.hash(self.txn).await?;
        let cutoff = Cutoff { ordinal: block.ordinal, commit: block.last, txn, block: block.hash, base: hash };
        self.txn.put(&base.state, &cutoff.row()).await?;
        Ok(Compacted { deleted, cutoff: Some(txn) })
    }

    /// The last transaction of a block, if all of them come before `limit`.
    async fn last_before(&self, block: &Block, limit: TxnId) -> Result<Option<TxnId>> {
        let (mut records, mut last) = (self.read(block.first, block.last)?, None);
        while let Some(record) = records.next().await? {
            if record.txn >= limit {
                return Ok(None);
            }
            last = Some(record.txn);
        }
        Ok(last)
    }

    /// Moves the records of the first block to the base, and deletes the block.
    async fn fold(&self, base: &Base, block: &Block) -> Result<()> {
        let (mut records, mut turns) = (self.read(block.first, block.last)?, Turns::default());
        while let Some(record) = records.next().await? {
            record.entry.apply(self.txn, &base.table).await?;
            self.txn.delete(&self.records, &record.key()).await?;
            turns.end().await;
        }
        self.txn.delete(&self.blocks, &[block.ordinal.into()]).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const NOW: u64 = 100_000_000_000;

    fn id(timestamp: u64) -> TxnId {
        TxnId { timestamp, nonce: 7 }
    }

    #[test]
    fn only_what_is_old_may_be_deleted() {
        let backup = Backup { max_age: 2.5, block_age: 0.5 };
        assert_eq!(backup.opened_before(NOW), 99_500_000_000);
        assert_eq!(backup.limit(NOW, None).unwrap().timestamp, 97_500_000_000);
        assert_eq!(backup.limit(NOW, Some(id(97_499_999_999))), Ok(id(97_499_999_999)));
        assert_eq!(backup.limit(NOW, Some(id(97_500_000_000))).unwrap_err().kind(), Kind::BadRequest);
        // Who keeps everything for longer than there is time keeps everything.
        let eternal = Backup { max_age: 1e300, block_age: 1e300 };
        assert_eq!(eternal.limit(NOW, None), Ok(TxnId { timestamp: 0, nonce: 0 }));
        assert_eq!(eternal.opened_before(NOW), 0);
    }

    #[test]
    fn a_cutoff_reads_back() {
        let cutoff = Cutoff { ordinal: 3, commit: 9, txn: id(5), block: [1; 32], base: [2; 32] };
        let row = cutoff.row();
        assert_eq!(Cutoff::of_row(&row), Ok(cutoff));
        assert_eq!(rows::flag(&row, 6), Ok(false));
    }
}
