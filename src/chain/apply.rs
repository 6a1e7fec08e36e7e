//! Reductions that change the subject too: what the op returns takes the place of the rows that it was given.
//!
//! The base has the rows of what is reduced by then (`base.rs`), so it changes first: the rows that the items of a window
//! are about are deleted, and those that the op has returned are put. What is recorded is newer than the base. So the
//! subject follows the base for every key that no record is about, and stays as it is for the others: it is still what
//! base and records make of it. None of that is recorded, because it is in the base already.

use std::collections::BTreeMap;

use super::block::Blocks;
use super::record::Entry;
use super::reduce::Summary;
use super::rows::Turns;
use crate::error::{Error, Result};
use crate::storage::codec::encode_key;
use crate::value::{Id, State};

/// Keys of the subject, by how they are stored.
type Keys = BTreeMap<Vec<u8>, Vec<State>>;

impl Blocks<'_> {
    /// Puts what `op` has reduced windows to in the place of what these were of, in the base and in the subject.
    ///
    /// # Errors
    /// `BadRequest` if what the op has returned are no rows of the subject; as
    /// [`Transaction::put`](crate::storage::Transaction::put).
    pub(super) async fn apply(&self, op: &Id, summaries: &[Summary]) -> Result<()> {
        let mut keys = Keys::new();
        for summary in summaries {
            self.apply_to_base(op, summary, &mut keys).await?;
        }
        self.drop_recorded(&mut keys).await?;
        let (base, mut turns) = (self.base()?, Turns::default());
        for key in keys.into_values() {
            let (new, old) = (self.txn.get(base.table(), &key).await?, self.txn.get(&self.subject, &key).await?);
            match new {
                Some(row) if old.as_ref() != Some(&row) => self.txn.put(&self.subject, &row).await?,
                None if old.is_some() => drop(self.txn.delete(&self.subject, &key).await?),
                _ => {}
            }
            turns.end().await;
        }
        self.note_changed().await
    }

    /// Replaces in the base what a window was of, and notes the keys of what was there and what is.
    async fn apply_to_base(&self, op: &Id, summary: &Summary, keys: &mut Keys) -> Result<()> {
        let (base, mut turns) = (self.base()?, Turns::default());
        for (key, value) in summary.items()? {
            let entry = Entry::of_parts(self.chain, self.schema(), key, value)?;
            let key = entry.key(self.schema()).to_vec();
            self.txn.delete(base.table(), &key).await?;
            keys.insert(encode_key(self.schema().key(), &key)?, key);
            turns.end().await;
        }
        for [key, value] in summary.rows() {
            let misfit = |error: Error| {
                let message = format!("what {op} returns is no row of {}: {}", self.subject.name, error.message());
                error.with_message(message)
            };
            let entry = Entry::of_parts(self.chain, self.schema(), key, value).map_err(misfit)?;
            let key = entry.key(self.schema()).to_vec();
            entry.apply(self.txn, base.table()).await?;
            keys.insert(encode_key(self.schema().key(), &key)?, key);
            turns.end().await;
        }
        Ok(())
    }

    /// Removes the keys that records are about.
    async fn drop_recorded(&self, keys: &mut Keys) -> Result<()> {
        // Of what is appended meanwhile, the rows of the subject tell, which are read.
        let (mut records, mut turns) = (self.read(0, self.txn.snapshot_seq())?, Turns::default());
        while !keys.is_empty()
            && let Some(record) = records.next().await?
        {
            keys.remove(&encode_key(self.schema().key(), record.entry.key(self.schema()))?);
            turns.end().await;
        }
        Ok(())
    }
}
