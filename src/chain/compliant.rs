//! CompliantChains: everything is kept, but for the data of users who were purged.
//!
//! A record says whose it is, and a block is made of *commitments* in place of what was done: the hash of a random
//! number and of what was done. A purge removes both from the records of a user. The commitments stay, so the blocks
//! are still what they were, and what is gone cannot be found by trying either, because nobody knows the number any
//! more.
//!
//! Where a column says whose a row is, a row that changes hands is recorded as deleted by the one and put by the other.
//! So what is left after a purge makes the same rows as before, but for those of the user: each of these ends in a
//! delete that was purged with it. The purge itself deletes them from the subject, and records that without saying
//! what.
//!
//! A table beside the subject says which purges there were: the user by a hash with a secret of the chain. Another has
//! the secret. That all files are rid of the data takes longer than the transaction: see [`super::erasure`].

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::block::{Blocks, Hash};
use super::declaration::{ChainDef, Kind};
use super::policy::{Compliant, Owner};
use super::record::{Entry, beside};
use super::rows::{self, Rows, Turns, column, flags, numbers, table, texts};
use crate::env::secret;
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::storage::{RowChange, Transaction};
use crate::value::cell::cast_cell;
use crate::value::collate::collate;
use crate::value::encode::to_json;
use crate::value::hash::hash;
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, State, Table, Value};

/// Who writes in a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The user who made the request, if that is known.
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

/// How much there is of a user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Held {
    pub records: u64,
    /// Of the subject.
    pub rows: u64,
}

/// A purge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Purge {
    /// The transaction.
    pub txn: String,
    /// How many records can be read no more.
    pub records: u64,
    /// Whether the files are rid of them too.
    pub is_erased: bool,
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

fn state_path(subject: &str) -> String {
    beside(subject, "state")
}

/// The key of the only row of the state.
fn state_key() -> State {
    State::from(0u64)
}

pub(super) async fn create(txn: &Transaction, subject: &str) -> Result<()> {
    let state = txn.create_table(&state_path(subject), table(vec![numbers("id"), texts("secret")], 1)).await?;
    txn.put(&state, &[state_key(), hex::encode(secret()).into()]).await?;
    let (key, values) = (["_commit", "_position"].map(numbers), [texts("txn"), numbers("records"), texts("owner")]);
    let columns = key.into_iter().chain(values).chain([flags("erased")]);
    txn.create_table(&log_path(subject), table(columns.collect(), 2)).await.map(|_| ())
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    txn.drop_table(&state_path(subject)).await?;
    txn.drop_table(&log_path(subject)).await.map(|_| ())
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
    fn purged(self) -> Self {
        let seal = self.seal.map(|seal| Seal { opening: None, ..seal });
        Self { is_put: self.is_put, cells: vec![], seal }
    }

    fn is_of(&self, owner: &State) -> bool {
        let opening = self.seal.as_ref().and_then(|seal| seal.opening.as_ref());
        opening.is_some_and(|opening| is_same(&opening.owner, owner))
    }
}

/// Whether two states name the same user: as keys, numbers are the same whatever their class.
fn is_same(l: &State, r: &State) -> bool {
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
        let is_kept = |old: &State| new.as_ref().is_some_and(|new| is_same(old, new));
        if let Some(old) = old.filter(|old| !is_kept(old)) {
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
    /// Whoever makes the request.
    Actor(State),
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
            None => Whose::Actor(author.actor.cloned().unwrap_or(State::NONE)),
            Some(at) if at < subject.schema.key_len => Whose::Key(at),
            Some(at) => Whose::Column(at, Before::new(txn, subject).await?),
        })
    }

    /// Whose a row was before, and whose it is. A row that comes and goes in one transaction may have no owner at all.
    async fn owners(&self, change: &RowChange) -> Result<(Option<State>, Option<State>)> {
        let one = |owner: &State| (Some(owner.clone()), change.row.as_ref().map(|_| owner.clone()));
        Ok(match self {
            Whose::Actor(actor) => one(actor),
            Whose::Key(at) => one(&change.key[*at]),
            Whose::Column(at, before) => {
                let old = before.row(&change.key).await?;
                (old.map(|row| row[*at].clone()), change.row.as_ref().map(|row| row[*at].clone()))
            }
        })
    }
}

/// The column of a subject that says whose a row is; nothing if only records say that.
fn position(subject: &Table, policy: &Compliant) -> Result<Option<usize>> {
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

/// Whose data a CompliantChain has, and what was purged.
pub struct Owners<'a> {
    blocks: &'a Blocks<'a>,
    /// The column of the subject that says whose a row is; nothing if only records say that.
    column: Option<usize>,
    purges_subject: bool,
    log: Arc<Table>,
    /// What users are hashed with.
    secret: Hash,
}

impl<'a> Owners<'a> {
    /// The owners of what a chain has; nothing if it is no CompliantChain.
    ///
    /// # Errors
    /// `Internal` if its tables are damaged.
    pub async fn open(blocks: &'a Blocks<'a>) -> Result<Option<Self>> {
        let Kind::Compliant(policy) = &blocks.chain.kind else { return Ok(None) };
        let (txn, subject) = (blocks.txn, &blocks.subject);
        let lost = || Error::internal(format!("what {} keeps of purges is lost", subject.name));
        let log = txn.table(&log_path(&subject.name)).await?.ok_or_else(lost)?;
        let state = txn.table(&state_path(&subject.name)).await?.ok_or_else(lost)?;
        let row = txn.get(&state, &[state_key()]).await?.ok_or_else(lost)?;
        let (column, purges_subject) = (position(subject, policy)?, policy.purge_subject);
        Ok(Some(Self { blocks, column, purges_subject, log, secret: rows::hash(&row, 1)? }))
    }

    /// A user as records name it.
    ///
    /// # Errors
    /// `BadRequest` if there can be no such user.
    pub fn named(&self, owner: &State) -> Result<State> {
        if owner.is_none() || !owner.is_value() {
            return Err(Error::bad_request(format!("expected the id of a user, not a {}", owner.class())));
        }
        match self.column {
            Some(at) => cast_cell(&self.blocks.schema().columns[at], owner),
            None => Ok(owner.clone()),
        }
    }

    /// How much there is of a user.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn held(&self, owner: &State) -> Result<Held> {
        let (mut held, mut records) = (Held::default(), self.blocks.read(0, u64::MAX)?);
        while let Some(record) = records.next().await? {
            held.records += u64::from(record.entry.is_of(owner));
        }
        let mut rows = self.rows();
        while let Some(row) = rows.next().await? {
            held.rows += u64::from(self.owner_of(&row).is_some_and(|of| is_same(of, owner)));
        }
        Ok(held)
    }

    /// Removes what there is of a user: all that records say, and the rows of the subject unless the chain keeps them.
    /// Returns how much that was. The transaction has to be told of these rows when it appends records: see
    /// [`Author::purged`].
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn purge(&self, owner: &State) -> Result<Held> {
        let (blocks, txn) = (self.blocks, self.blocks.txn);
        let (mut held, mut turns) = (Held::default(), Turns::default());
        let width = blocks.schema().columns.len();
        // What is appended meanwhile belongs to a transaction that comes after this one.
        let mut records = blocks.read(0, txn.snapshot_seq())?;
        while let Some(mut record) = records.next().await? {
            if record.entry.is_of(owner) {
                record.entry = record.entry.purged();
                txn.put(blocks.records(), &record.into_row(width)).await?;
                held.records += 1;
            }
            turns.end().await;
        }
        if self.purges_subject {
            held.rows = self.delete_rows(owner).await?;
        }
        if held != Held::default() {
            let (id, owner) = (txn.id().to_string(), hex::encode(self.hash(owner)));
            txn.append(&self.log, &[vec![id.into(), held.records.into(), owner.into(), false.into()]]).await?;
        }
        Ok(held)
    }

    /// Deletes the rows of a user from the subject. Returns how many there were.
    async fn delete_rows(&self, owner: &State) -> Result<u64> {
        let (mut count, mut turns, mut rows) = (0, Turns::default(), self.rows());
        let subject = &self.blocks.subject;
        while let Some(row) = rows.next().await? {
            if self.owner_of(&row).is_some_and(|of| is_same(of, owner)) {
                self.blocks.txn.delete(subject, &row[..subject.schema.key_len]).await?;
                count += 1;
            }
            turns.end().await;
        }
        Ok(count)
    }

    /// All purges, oldest first.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn purges(&self) -> Result<Vec<Purge>> {
        let (mut purges, mut found) = (vec![], Rows::new(self.blocks.txn, &self.log, KeyRange::all()));
        while let Some(row) = found.next().await? {
            let txn = rows::text(&row, 2)?.to_string();
            purges.push(Purge { txn, records: rows::number(&row, 3)?, is_erased: rows::flag(&row, 5)? });
        }
        Ok(purges)
    }

    /// The rows of the subject.
    fn rows(&self) -> Rows {
        Rows::new(self.blocks.txn, &self.blocks.subject, KeyRange::all())
    }

    /// Whose a row of the subject is, if the row says it.
    fn owner_of<'r>(&self, row: &'r [State]) -> Option<&'r State> {
        row.get(self.column?)
    }

    fn hash(&self, owner: &State) -> Hash {
        hash_with(&self.secret, owner)
    }
}

fn hash_with(secret: &Hash, owner: &State) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(secret);
    hasher.update(hash(owner));
    hasher.finalize().into()
}

/// Tells rows that no record makes: those of users who were purged, and whose rows stayed.
pub(super) struct Unrecorded {
    /// The column of the subject that says whose a row is.
    column: usize,
    /// What users are hashed with.
    secret: Hash,
    /// Hashed.
    owners: BTreeSet<Hash>,
}

impl Unrecorded {
    /// Those of a chain; nothing if there are none.
    ///
    /// # Errors
    /// As [`Owners::open`].
    pub(super) async fn of(blocks: &Blocks<'_>) -> Result<Option<Self>> {
        let owners = Owners::open(blocks).await?;
        let Some(Owners { column: Some(column), purges_subject: false, log, secret, .. }) = owners else {
            return Ok(None);
        };
        let (mut owners, mut found) = (BTreeSet::new(), Rows::new(blocks.txn, &log, KeyRange::all()));
        while let Some(row) = found.next().await? {
            owners.insert(rows::hash(&row, 4)?);
        }
        Ok((!owners.is_empty()).then_some(Self { column, secret, owners }))
    }

    /// Whether a row of the subject may be there without a record.
    pub(super) fn has(&self, row: &[State]) -> bool {
        row.get(self.column).is_some_and(|owner| self.owners.contains(&hash_with(&self.secret, owner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Tuple;

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
        assert!(entry.is_of(&"ann".into()) && !entry.is_of(&"bob".into()));
        let purged = entry.purged();
        assert!(purged.cells.is_empty() && !purged.is_of(&"ann".into()) && !purged.is_of(&State::NONE));
        assert_eq!(purged.seal.map(|seal| seal.commitment()), Some(seal.commitment()));
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
