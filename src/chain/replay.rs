//! Makes the subject of a chain again from its records.

use std::sync::Arc;

use super::base::Base;
use super::block::Blocks;
use super::declaration::Subject;
use super::owners::Owners;
use super::record::{subject_schema, value_row};
use super::rows::{Rows, Turns};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::txn::TxnId;
use crate::value::Table;

/// The subject as it was after a transaction, or as it is if none is named: a table of the transaction that asks for
/// it. What was purged is not in it.
///
/// # Errors
/// `BadRequest` if no record is of the transaction, which may be older than what is kept.
pub async fn replay(blocks: &Blocks<'_>, until: Option<TxnId>) -> Result<Arc<Table>> {
    let table = begin(blocks).await?;
    if until.is_some() && until == blocks.base.as_ref().and_then(Base::last) {
        return Ok(table);
    }
    let mut records = blocks.read(blocks.start().first, u64::MAX)?;
    let (mut found, mut turns) = (None, Turns::default());
    while let Some(record) = records.next().await? {
        // Everything of one commit is of one transaction.
        if found.is_some_and(|commit| commit != record.commit) {
            break;
        }
        if until == Some(record.txn) {
            found = Some(record.commit);
        }
        record.entry.apply(blocks.txn, &table).await?;
        turns.end().await;
    }
    match until.filter(|_| found.is_none()) {
        Some(txn) => Err(Error::bad_request(format!("the chain has no record of the transaction {txn}"))),
        None => Ok(table),
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

/// Checks that the subject is what its records make of it.
pub(super) async fn check(blocks: &Blocks<'_>) -> Result<()> {
    let (table, owners) = (replay(blocks, None).await?, Owners::open(blocks).await?);
    let unrecorded = match &owners {
        Some(owners) => Some(owners.unrecorded().await?),
        None => None,
    };
    let keys = blocks.schema().key_len;
    let mut found = Rows::new(blocks.txn, &blocks.subject, KeyRange::all());
    let mut rows = Rows::new(blocks.txn, &table, KeyRange::all());
    let mut made = rows.next().await?;
    while let Some(row) = found.next().await? {
        if made.as_ref() == Some(&row) {
            made = rows.next().await?;
            continue;
        }
        let is_other = made.as_ref().is_some_and(|made| made[..keys] == row[..keys]);
        let may_be_extra = match &unrecorded {
            Some(unrecorded) => unrecorded.has(&row).await?,
            None => false,
        };
        if is_other || !may_be_extra {
            return Err(differs());
        }
    }
    made.map_or(Ok(()), |_| Err(differs()))
}

/// Which row it is, is not said: its key may be about somebody.
fn differs() -> Error {
    Error::internal("a row is not what the records make of it")
}
