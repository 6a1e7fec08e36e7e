//! What takes the place of blocks that were deleted: a copy of the subject as it was then.
//!
//! The copy, the *base*, is a table beside the subject, as it was exactly as of the last commit of the last block that
//! was deleted: it comes from the records of these blocks, never from the subject of today. Another table says which
//! block that was, its hash, after which the blocks that are left go on, and the hash of the base. The first block that is
//! left names the hash of both ([`Replaced::link`]). All that changes in one transaction.

use std::sync::Arc;

use super::block::{Block, Blocks, Hash, Replaced, Start};
use super::declaration::Subject;
use super::record::{beside, value_row};
use super::rows::{self, Rows, Turns, flags, numbers, table, texts};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::txn::TxnId;
use crate::value::hash_collection::CollectionHasher;
use crate::value::{Schema, State, Table};

/// The end of what was deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Cutoff {
    /// Of the last block that was deleted: its number, its last commit, and the transaction of that.
    ordinal: u64,
    commit: u64,
    txn: TxnId,
    /// The hashes of that block and of the base.
    replaced: Replaced,
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

/// The path of the base of the subject at `subject`.
pub(super) fn path(subject: &str) -> String {
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
    let base = txn.create_table(&path(&subject.name), schema).await?;
    if let Subject::Value(initial) = kind {
        txn.put(&base, &value_row(initial.clone())).await?;
    }
    let (key, values) = (["id", "ordinal", "commit"].map(numbers), ["txn", "block", "base"].map(texts));
    let columns = key.into_iter().chain(values).chain([flags("erased")]);
    txn.create_table(&state_path(&subject.name), table(columns.collect(), 1)).await.map(|_| ())
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    txn.drop_table(&path(subject)).await?;
    txn.drop_table(&state_path(subject)).await.map(|_| ())
}

impl Cutoff {
    fn of_row(row: &[State]) -> Result<Self> {
        Ok(Self {
            ordinal: rows::number(row, 1)?,
            commit: rows::number(row, 2)?,
            txn: rows::text(row, 3)?.parse()?,
            replaced: Replaced { block: rows::hash(row, 4)?, base: rows::hash(row, 5)? },
        })
    }

    /// Its row, of which the last cell says that files may still have what was deleted.
    fn row(&self) -> Vec<State> {
        let numbers = [self.ordinal, self.commit].map(State::from);
        let hashes = [self.replaced.block, self.replaced.base].map(|hash| State::from(hex::encode(hash)));
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
        let table = txn.table(&path(subject)).await?.ok_or_else(lost)?;
        let state = txn.table(&state_path(subject)).await?.ok_or_else(lost)?;
        let row = txn.get(&state, &[state_key()]).await?;
        Ok(Self { table, state, cutoff: row.map(|row| Cutoff::of_row(&row)).transpose()? })
    }

    /// Where the first block begins that is left.
    pub fn end(&self) -> Start {
        let end = |Cutoff { ordinal, commit, replaced, .. }: &Cutoff| Start {
            ordinal: ordinal + 1,
            first: commit + 1,
            previous: replaced.block,
            link: replaced.link(),
        };
        self.cutoff.as_ref().map(end).unwrap_or_default()
    }

    /// What stands for the blocks that were deleted; nothing if none were.
    pub fn replaced(&self) -> Option<Replaced> {
        self.cutoff.as_ref().map(|cutoff| cutoff.replaced)
    }

    /// The last transaction that has no record any more.
    pub fn last(&self) -> Option<TxnId> {
        self.cutoff.as_ref().map(|cutoff| cutoff.txn)
    }

    /// The subject as it was then.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Writes the rows of the base to a table.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn copy_to(&self, txn: &Transaction, table: &Table) -> Result<()> {
        rows::copy(txn, &self.table, table).await.map(|_| ())
    }

    /// Checks that the base is what it was when it was made.
    ///
    /// # Errors
    /// `Internal` if it is not.
    pub async fn verify(&self, txn: &Transaction) -> Result<()> {
        match &self.cutoff {
            Some(cutoff) if self.hash(txn).await? != cutoff.replaced.base => {
                let last = cutoff.ordinal;
                Err(Error::internal(format!("the copy of block {last} and those before is not what it was")))
            }
            _ => Ok(()),
        }
    }

    /// Notes that files may have what was deleted, in the chain or in what is kept beside it.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn note_deleted(&self, txn: &Transaction) -> Result<()> {
        match &self.cutoff {
            Some(cutoff) => txn.put(&self.state, &cutoff.row()).await,
            None => Ok(()),
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
    /// What took the place of blocks that were deleted.
    ///
    /// # Errors
    /// `Internal` if the chain deletes none.
    pub(super) fn base(&self) -> Result<&Base> {
        self.base.as_ref().ok_or_else(|| Error::internal("this chain deletes no blocks"))
    }

    /// The first block and its last transaction, if it is closed and all of its transactions come before `limit`.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) async fn first_before(&self, limit: TxnId) -> Result<Option<(Block, TxnId)>> {
        let Some(block) = self.first().await? else { return Ok(None) };
        let (mut records, mut last) = (self.read(block.first, block.last)?, None);
        while let Some(record) = records.next().await? {
            if record.txn >= limit {
                return Ok(None);
            }
            last = Some(record.txn);
        }
        Ok(last.map(|last| (block, last)))
    }

    /// Moves the records of the first block to the base, and deletes the block.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub(super) async fn fold(&self, block: &Block) -> Result<()> {
        let base = self.base()?;
        let (mut records, mut turns) = (self.read(block.first, block.last)?, Turns::default());
        while let Some(record) = records.next().await? {
            record.entry.apply(self.txn, &base.table).await?;
            self.txn.delete(&self.records, &record.key()).await?;
            turns.end().await;
        }
        self.txn.delete(&self.blocks, &[block.ordinal.into()]).await.map(|_| ())
    }

    /// Notes the last block that was moved to the base, and its last transaction.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) async fn cut_off(&self, block: &Block, txn: TxnId) -> Result<()> {
        let replaced = Replaced { block: block.hash, base: self.base()?.hash(self.txn).await? };
        self.put_cutoff(&Cutoff { ordinal: block.ordinal, commit: block.last, txn, replaced }).await
    }

    /// Notes that the base was changed.
    ///
    /// # Errors
    /// As [`Transaction::scan`]; `Internal` if nothing was deleted yet.
    pub(super) async fn note_changed(&self) -> Result<()> {
        let base = self.base()?;
        let row = self.txn.get(&base.state, &[state_key()]).await?;
        let row = row.ok_or_else(|| Error::internal("the base was changed before any block was deleted"))?;
        let mut cutoff = Cutoff::of_row(&row)?;
        cutoff.replaced.base = base.hash(self.txn).await?;
        self.put_cutoff(&cutoff).await
    }

    async fn put_cutoff(&self, cutoff: &Cutoff) -> Result<()> {
        self.txn.put(&self.base()?.state, &cutoff.row()).await?;
        let Some(first) = self.first().await? else { return Ok(()) };
        let first = Block { previous: cutoff.replaced.link(), ..first };
        self.txn.put(&self.blocks, &first.row()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cutoff_reads_back() {
        let txn = TxnId { timestamp: 5, nonce: 7 };
        let cutoff = Cutoff { ordinal: 3, commit: 9, txn, replaced: Replaced { block: [1; 32], base: [2; 32] } };
        let row = cutoff.row();
        assert_eq!(Cutoff::of_row(&row), Ok(cutoff));
        assert_eq!(rows::flag(&row, 6), Ok(false));
    }
}
