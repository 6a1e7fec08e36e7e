//! Makes the subject of a chain again from its records.

use std::sync::Arc;

use super::base::Base;
use super::block::Blocks;
use super::declaration::Subject;
use super::record::{subject_schema, value_row};
use super::rows::Turns;
use crate::error::{Error, Result};
use crate::txn::TxnId;
use crate::value::Table;

/// The subject as it was after a transaction, or as it is if none is named: a table of the transaction that asks for
/// it. What was purged is not in it. A transaction that has committed more than once, under one id, is over with its
/// last commit.
///
/// # Errors
/// `BadRequest` if no record is of the transaction, which may be older than what is kept.
pub async fn replay(blocks: &Blocks<'_>, until: Option<TxnId>) -> Result<Arc<Table>> {
    // Before anything is made: whoever asks for a transaction that is not there learns that soon.
    let last = match until {
        Some(txn) => end_of(blocks, txn).await?,
        None => Some(u64::MAX),
    };
    let table = begin(blocks).await?;
    let Some(last) = last else { return Ok(table) };
    let (mut records, mut turns) = (blocks.read(blocks.start().first, last)?, Turns::default());
    while let Some(record) = records.next().await? {
        record.entry.apply(blocks.txn, &table).await?;
        turns.end().await;
    }
    Ok(table)
}

/// The last commit of a transaction; nothing if that made the base.
async fn end_of(blocks: &Blocks<'_>, txn: TxnId) -> Result<Option<u64>> {
    if let Some(commit) = blocks.last_commit_of(txn).await? {
        return Ok(Some(commit));
    }
    match blocks.base.as_ref().and_then(Base::last) {
        Some(kept) if txn == kept => Ok(None),
        Some(kept) if txn < kept => Err(Error::bad_request(format!(
            "the transaction {txn} is older than what the chain keeps, which begins with {kept}"
        ))),
        _ => Err(Error::bad_request(format!("the chain has no record of a transaction {txn}"))),
    }
}

/// The subject as it was before the first record that is kept.
async fn begin(blocks: &Blocks<'_>) -> Result<Arc<Table>> {
    let table = blocks.txn.create(subject_schema(&blocks.chain.subject));
    match (&blocks.base, &blocks.chain.subject) {
        (Some(base), _) => base.copy_to(blocks.txn, &table).await?,
        (None, Subject::Value(initial)) => blocks.txn.put(&table, &value_row(initial.clone())).await?,
        (None, Subject::Collection(_)) => {}
    }
    Ok(table)
}
