//! BackupChains: blocks that are old are deleted, and a copy of the subject takes their place (`base.rs`).

use super::block::Blocks;
use super::policy::{Backup, ago};
use crate::error::{Error, Result};
use crate::txn::TxnId;

/// What a compaction has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Compacted {
    /// How many blocks were deleted.
    pub deleted: u64,
    /// The last transaction that has no record any more, if there is one.
    pub cutoff: Option<TxnId>,
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

impl Blocks<'_> {
    /// Closes the open block if it is old enough to be, and deletes the first blocks as far as all of their
    /// transactions are older than the chain keeps them, or than `before`. Their records go to the base. `now` is in
    /// nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// `BadRequest` if `before` is younger than that; `Internal` if one of these blocks does not follow the one before it;
    /// as [`Transaction::scan`](crate::storage::Transaction::scan).
    pub async fn compact(&self, backup: &Backup, now: u64, before: Option<TxnId>) -> Result<Compacted> {
        let limit = backup.limit(now, before)?;
        self.close(backup.opened_before(now)).await?;
        let (mut deleted, mut end, mut start) = (0, None, self.start());
        while let Some((block, txn)) = self.first_before(limit).await? {
            // What is wrong is kept as it is.
            start = block.after(start)?;
            self.fold(&block).await?;
            deleted += 1;
            end = Some((block, txn));
        }
        let Some((block, txn)) = end else { return Ok(Compacted { deleted, cutoff: self.base()?.last() }) };
        self.cut_off(&block, txn).await?;
        Ok(Compacted { deleted, cutoff: Some(txn) })
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
}
