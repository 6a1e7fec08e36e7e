//! CompliantChains: everything is kept, but for the data of users who were purged.
//!
//! A record says whose it is, and a block is made of *commitments* in place of what was done: the hash of a random
//! number and of what was done. A purge removes both from the records of a user. The commitments stay, so the blocks
//! are still what they were, and what is gone cannot be found by trying either, because nobody knows the number any
//! more.
//!
//! A column says whose a row is, or whoever wrote it last holds it (`holders`): the actor of the oldest token of that
//! request, or nobody if it had none. A row that changes hands is recorded as deleted by the one and put by the other.
//! So what is left after a purge makes the same rows as before, but for those of the user: each of these ends in a
//! delete that was purged with it. The purge itself deletes them from the subject, and records that without saying
//! what.
//!
//! [`Owners`](super::owners::Owners) finds what there is of a user, and purges it. That all files are rid of it takes
//! longer than the transaction: see [`super::erasure`].

use std::cmp::Ordering;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::block::Hash;
use super::declaration::ChainDef;
use super::holders::{self, Holders};
use super::policy::{Compliant, Owner};
use super::record::{self, Entry, OWN, beside};
use super::rows::{self, Turns, column, flags, numbers, table, texts};
use crate::env::secret;
use crate::error::{Error, Result};
use crate::storage::{RowChange, Transaction};
use crate::value::collate::collate;
use crate::value::encode::to_json;
use crate::value::schema::{Column, ColumnType, Index};
use crate::value::{Class, Link, Schema, State, Table, Tuple, Value};

/// The index of the records by their users.
const INDEX: &str = "by_owner";

/// Who writes in a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The user who made the request, as [`user`] names it; nothing if nobody says who that is.
    pub actor: Option<&'a State>,
    /// The users whose rows the transaction itself has purged from this subject.
    pub purged: &'a [State],
}

/// What a record has beside what was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Seal {
    commitment: Hash,
    /// Nothing if it was purged.
    opening: Option<Opening>,
}

/// What the commitment was made with, and whose the record is: None if nobody's.
#[derive(Clone, Debug, PartialEq)]
struct Opening {
    owner: State,
    nonce: Hash,
}

/// The columns of a record that only these chains have.
pub(super) fn columns() -> [Column; 3] {
    let nullable = |column: Column| Column { nullable: true, ..column };
    let owner = column("_owner".into(), Class::Value, ColumnType::Any);
    [nullable(owner), nullable(texts("_nonce")), texts("_commitment")]
}

/// The path of the purges of the subject at `subject`.
pub(super) fn log_path(subject: &str) -> String {
    beside(subject, "purges")
}

pub(super) fn state_path(subject: &str) -> String {
    beside(subject, "state")
}

/// The key of the only row of the state.
pub(super) fn state_key() -> State {
    State::from(0u64)
}

/// The index of the records by their users, whose column is at `at`.
pub(super) fn index(at: usize) -> Index {
    Index { name: INDEX.into(), columns: vec![at], unique: false }
}

/// Which of the indexes of records that is.
pub(super) fn by_owner(records: &Table) -> Option<usize> {
    records.schema.indexes.iter().position(|index| index.name.as_str() == INDEX)
}

/// How a user is named whose tokens have this issuer and this actor. Actors of different issuers may have the same id.
///
/// # Errors
/// `BadRequest` if that is too large for a state.
pub fn user(issuer: &Link, actor: &State) -> Result<State> {
    Ok(Tuple::try_new(vec![issuer.clone().into(), actor.clone()])?.into())
}

pub(super) async fn create(txn: &Transaction, subject: &Table, policy: &Compliant) -> Result<()> {
    let name = &*subject.name;
    let state = txn.create_table(&state_path(name), table(vec![numbers("id"), texts("secret")], 1)).await?;
    txn.put(&state, &[state_key(), hex::encode(secret()).into()]).await?;
    let (key, values) = (["_commit", "_position"].map(numbers), [texts("txn"), numbers("records"), texts("owner")]);
    let columns = key.into_iter().chain(values).chain([flags("erased")]);
    txn.create_table(&log_path(name), table(columns.collect(), 2)).await?;
    match policy.owner {
        Owner::Token => holders::create(txn, subject).await,
        Owner::Column(_) => Ok(()),
    }
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    txn.drop_table(&state_path(subject)).await?;
    txn.drop_table(&holders::path(subject)).await?;
    txn.drop_table(&log_path(subject)).await.map(|_| ())
}

/// Whether a chain has all that it needs. One that was made before there were indexes of records may not.
///
/// # Errors
/// As [`Transaction::table`].
pub async fn is_complete(txn: &Transaction, subject: &Table, policy: &Compliant) -> Result<bool> {
    let is_indexed = match txn.table(&record::path(&subject.name)).await? {
        Some(records) => by_owner(&records).is_some(),
        None => true,
    };
    let has_holders = match policy.owner {
        Owner::Token => txn.table(&holders::path(&subject.name)).await?.is_some(),
        Owner::Column(_) => true,
    };
    Ok(is_indexed && has_holders)
}

/// Makes what a chain needs and does not have. Where no column says whose rows are, those that are there are nobody's.
///
/// # Errors
/// As [`Transaction::alter_table`].
pub async fn complete(txn: &Transaction, subject: &Table, policy: &Compliant) -> Result<()> {
    let path = record::path(&subject.name);
    if let Some(records) = txn.table(&path).await?
        && by_owner(&records).is_none()
    {
        let indexed = Schema { indexes: vec![index(OWN)], ..Schema::clone(&records.schema) };
        txn.alter_table(&path, indexed).await?;
    }
    if policy.owner == Owner::Token && txn.table(&holders::path(&subject.name)).await?.is_none() {
        holders::create(txn, subject).await?;
    }
    Ok(())
}

impl Seal {
    fn new(owner: State, mutation: &State) -> Self {
        let nonce = secret();
        Self { commitment: commitment(&nonce, mutation), opening: Some(Opening { owner, nonce }) }
    }

    /// Reads the cells of [`columns`].
    ///
    /// # Errors
    /// `Internal` if they are damaged.
    pub(super) fn of_cells(cells: &[State]) -> Result<Self> {
        let opening = match cells.get(1) {
            None | Some(State::Value(Value::None)) => None,
            Some(_) => Some(Opening { owner: cells[0].clone(), nonce: rows::hash(cells, 1)? }),
        };
        Ok(Self { commitment: rows::hash(cells, 2)?, opening })
    }

    /// The cells of [`columns`].
    pub(super) fn cells(self) -> [State; 3] {
        let (owner, nonce) = match self.opening {
            Some(Opening { owner, nonce }) => (owner, hex::encode(nonce).into()),
            None => (State::NONE, State::NONE),
        };
        [owner, nonce, hex::encode(self.commitment).into()]
    }

    /// Whether nobody knows what was done any more.
    pub(super) fn is_purged(&self) -> bool {
        self.opening.is_none()
    }

    pub(super) fn commitment(&self) -> Hash {
        self.commitment
    }

    /// The commitment, if it is one to `mutation`.
    ///
    /// # Errors
    /// `Internal` if it is not.
    pub(super) fn check(&self, mutation: &State) -> Result<Hash> {
        match &self.opening {
            Some(opening) if commitment(&opening.nonce, mutation) != self.commitment => {
                Err(Error::internal("a record does not say what its commitment was made of"))
            }
            _ => Ok(self.commitment),
        }
    }
}

fn commitment(nonce: &Hash, mutation: &State) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(nonce);
    hasher.update(to_json(mutation));
    hasher.finalize().into()
}

impl Entry {
    /// What was done, with the commitment to it.
    fn sealed(is_put: bool, cells: Vec<State>, owner: State, (chain, subject): (&ChainDef, &Table)) -> Result<Self> {
        let entry = Self { is_put, cells, seal: None };
        let seal = Seal::new(owner, &entry.mutation(chain, &subject.schema)?);
        Ok(Self { seal: Some(seal), ..entry })
    }

    /// What is left of it when it is purged.
    pub(super) fn purged(self) -> Self {
        let seal = self.seal.map(|seal| Seal { opening: None, ..seal });
        Self { is_put: self.is_put, cells: vec![], seal }
    }

    /// Whose it is, None if nobody's; nothing if that was purged.
    pub(super) fn owner(&self) -> Option<&State> {
        self.seal.as_ref()?.opening.as_ref().map(|opening| &opening.owner)
    }
}

/// Whether two states name the same user: as keys, numbers are the same whatever their class.
pub(super) fn is_same(l: &State, r: &State) -> bool {
    collate(l, r) == Ordering::Equal
}

/// The records of what a transaction has done.
///
/// # Errors
/// As [`Transaction::get`].
pub(super) async fn entries(
    txn: &Transaction,
    subject: &Arc<Table>,
    (chain, policy): (&ChainDef, &Compliant),
    changes: Vec<RowChange>,
    author: Author<'_>,
) -> Result<Vec<Entry>> {
    let whose = Whose::new(txn, subject, policy, author).await?;
    let mut entries = Vec::with_capacity(changes.len());
    let mut turns = Turns::default();
    for change in changes {
        let (old, new) = whose.owners(&change).await?;
        let is_kept = matches!((&old, &new), (Some(old), Some(new)) if is_same(old, new));
        if !is_kept {
            whose.note(&change.key, new.as_ref()).await?;
        }
        if let Some(old) = old.filter(|_| !is_kept) {
            // Whoever asked for a purge does not want it to be recorded whose and which rows it deleted.
            let is_purged = author.purged.iter().any(|purged| is_same(purged, &old));
            let entry = Entry::sealed(false, change.key, old, (chain, subject))?;
            entries.push(if is_purged { entry.purged() } else { entry });
        }
        if let (Some(row), Some(new)) = (change.row, new) {
            entries.push(Entry::sealed(true, row, new, (chain, subject))?);
        }
        turns.end().await;
    }
    Ok(entries)
}

/// How the owner of a row is found.
enum Whose<'a> {
    /// Whoever makes the request, and before that whoever held it.
    Actor(State, Holders, Before<'a>),
    /// In the key, so it never changes.
    Key(usize),
    /// In another column.
    Column(usize, Before<'a>),
}

impl<'a> Whose<'a> {
    async fn new(
        txn: &'a Transaction,
        subject: &'a Arc<Table>,
        policy: &Compliant,
        author: Author<'_>,
    ) -> Result<Self> {
        Ok(match position(subject, policy)? {
            None => Whose::Actor(
                author.actor.cloned().unwrap_or(State::NONE),
                Holders::open(txn, subject).await?,
                Before::new(txn, subject).await?,
            ),
            Some(at) if at < subject.schema.key_len => Whose::Key(at),
            Some(at) => Whose::Column(at, Before::new(txn, subject).await?),
        })
    }

    /// Whose a row was before, and whose it is. A row that comes and goes in one transaction may have no owner at all.
    async fn owners(&self, change: &RowChange) -> Result<(Option<State>, Option<State>)> {
        let own = |owner: &State| change.row.as_ref().map(|_| owner.clone());
        Ok(match self {
            Whose::Actor(actor, holders, before) => {
                let old = match before.row(&change.key).await? {
                    Some(_) => Some(holders.of(before.txn, &change.key).await?),
                    None => None,
                };
                (old, own(actor))
            }
            Whose::Key(at) => (Some(change.key[*at].clone()), own(&change.key[*at])),
            Whose::Column(at, before) => {
                let old = before.row(&change.key).await?;
                (old.map(|row| row[*at].clone()), change.row.as_ref().map(|row| row[*at].clone()))
            }
        })
    }

    /// Notes whose a row is from now on, where the row does not say it; nothing if it is gone.
    async fn note(&self, key: &[State], owner: Option<&State>) -> Result<()> {
        match self {
            Whose::Actor(_, holders, before) => holders.set(before.txn, key, owner.unwrap_or(&State::NONE)).await,
            Whose::Key(_) | Whose::Column(..) => Ok(()),
        }
    }
}

/// The column of a subject that says whose a row is; nothing if only records say that.
pub(super) fn position(subject: &Table, policy: &Compliant) -> Result<Option<usize>> {
    let Owner::Column(name) = &policy.owner else { return Ok(None) };
    let at = subject.schema.position(name.as_str());
    at.map(Some).ok_or_else(|| Error::internal(format!("{} has no column {name}", subject.name)))
}

/// The rows of a table as they were before a transaction.
struct Before<'a> {
    txn: &'a Transaction,
    subject: &'a Arc<Table>,
    /// What is committed; nothing if the transaction itself makes the table.
    committed: Option<Transaction>,
}

impl<'a> Before<'a> {
    async fn new(txn: &'a Transaction, subject: &'a Arc<Table>) -> Result<Self> {
        let committed = txn.successor();
        let is_there = committed.table(&subject.name).await?.as_ref() == Some(subject);
        Ok(Self { txn, subject, committed: is_there.then_some(committed) })
    }

    async fn row(&self, key: &[State]) -> Result<Option<Vec<State>>> {
        let Some(committed) = &self.committed else { return Ok(None) };
        // What is committed by now may be newer than what the transaction sees. Because it looks at the row too, it
        // conflicts then, and what is read here is never used.
        self.txn.contains(self.subject, key).await?;
        committed.get(self.subject, key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(text: &str) -> State {
        Tuple::try_new([State::NONE, text.into()]).unwrap().into()
    }

    #[test]
    fn a_commitment_is_to_one_mutation_and_outlives_it() {
        let seal = Seal::new("ann".into(), &mutation("a"));
        assert_eq!(seal.check(&mutation("a")), Ok(seal.commitment()));
        assert!(seal.check(&mutation("b")).is_err());
        // Whoever guesses what was done has nothing to compare it with.
        assert_ne!(Seal::new("ann".into(), &mutation("a")).commitment(), seal.commitment());

        let entry = Entry { is_put: true, cells: vec![1u64.into(), "a".into()], seal: Some(seal.clone()) };
        let purged = entry.purged();
        assert!(purged.cells.is_empty());
        assert_eq!(purged.seal, Some(Seal { opening: None, ..seal }));
    }

    #[test]
    fn seals_read_back() {
        let kept = Seal::new(7u64.into(), &mutation("a"));
        let unowned = Seal::new(State::NONE, &mutation("a"));
        let purged = Seal { opening: None, ..kept.clone() };
        for seal in [kept, unowned, purged] {
            assert_eq!(Seal::of_cells(&seal.clone().cells()), Ok(seal));
        }
        assert!(Seal::of_cells(&[State::NONE, State::NONE, State::NONE]).is_err());
    }
}
