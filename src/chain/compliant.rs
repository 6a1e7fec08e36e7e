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
//! An index of the records has their users. So a purge reads only what there is of the user, and conflicts with nobody
//! but whoever writes for the same user meanwhile. Which rows are the user's the records say too: each row whose last
//! record of the user is a put.
//!
//! A table beside the subject says which purges there were: the user by a hash with a secret of the chain. Another has
//! the secret. That all files are rid of the data takes longer than the transaction: see [`super::erasure`].

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::block::{Blocks, Hash, Records};
use super::declaration::{ChainDef, Kind};
use super::holders::{self, Holders};
use super::policy::{Compliant, Owner};
use super::record::{self, CHANGES_BYTES_MAX, Entry, OWN, beside};
use super::rows::{self, Rows, Turns, column, flags, numbers, table, texts};
use crate::env::secret;
use crate::error::{Error, Result};
use crate::storage::codec::{KeyRange, decode_key, encode_key};
use crate::storage::{RowChange, Transaction};
use crate::value::cast::cast;
use crate::value::cell::cast_cell;
use crate::value::collate::collate;
use crate::value::encode::to_json;
use crate::value::hash::hash;
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

/// The index of the records by their users, whose column is at `at`.
pub(super) fn index(at: usize) -> Index {
    Index { name: INDEX.into(), columns: vec![at], unique: false }
}

/// Which of the indexes of records that is.
fn by_owner(records: &Table) -> Option<usize> {
    records.schema.indexes.iter().position(|index| index.name.as_str() == INDEX)
}

/// How a user is named whose tokens have this issuer and this actor. Actors of different issuers may have the same id.
///
/// # Errors
/// `BadRequest` if that is too large for a state.
pub fn user(issuer: &Link, actor: &State) -> Result<State> {
    Ok(Tuple::try_new(vec![issuer.clone().into(), actor.clone()])?.into())
}

/// The user that a program names by `[<issuer>, <actor>]`.
fn user_named(name: &State) -> Result<State> {
    let expected = || {
        Error::bad_request(
            "expected the id of a user: the link of the issuer of a token, and the id of its actor, in a list",
        )
    };
    let State::Tuple(pair) = name else { return Err(expected()) };
    let [issuer, actor] = pair.items() else { return Err(expected()) };
    match cast(issuer, Class::Link) {
        Ok(State::Value(Value::Link(issuer))) if !actor.is_none() => user(&issuer, actor),
        _ => Err(expected()),
    }
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
    fn purged(self) -> Self {
        let seal = self.seal.map(|seal| Seal { opening: None, ..seal });
        Self { is_put: self.is_put, cells: vec![], seal }
    }

    /// The key of the row that was put or deleted.
    fn key(&self, subject: &Schema) -> &[State] {
        &self.cells[..subject.key_len.min(self.cells.len())]
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

/// Where it is said whose the rows of a subject are.
enum Said {
    /// In a column of it.
    Column(usize),
    Beside(Holders),
}

/// Whose data a CompliantChain has, and what was purged.
pub struct Owners<'a> {
    blocks: &'a Blocks<'a>,
    said: Said,
    /// Which of the indexes of the records has their users.
    by_owner: usize,
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
        let lost = || Error::internal(format!("what {} keeps of users is lost", subject.name));
        let by_owner = by_owner(&blocks.records).ok_or_else(lost)?;
        let log = txn.table(&log_path(&subject.name)).await?.ok_or_else(lost)?;
        let state = txn.table(&state_path(&subject.name)).await?.ok_or_else(lost)?;
        let row = txn.get(&state, &[state_key()]).await?.ok_or_else(lost)?;
        let said = match position(subject, policy)? {
            Some(at) => Said::Column(at),
            None => Said::Beside(Holders::open(txn, subject).await?),
        };
        let purges_subject = policy.purge_subject;
        Ok(Some(Self { blocks, said, by_owner, purges_subject, log, secret: rows::hash(&row, 1)? }))
    }

    /// A user as records name it.
    ///
    /// # Errors
    /// `BadRequest` if there can be no such user.
    pub fn named(&self, owner: &State) -> Result<State> {
        if owner.is_none() || !owner.is_value() {
            return Err(Error::bad_request(format!("expected the id of a user, not a {}", owner.class())));
        }
        match self.said {
            Said::Column(at) => cast_cell(&self.blocks.schema().columns[at], owner),
            Said::Beside(_) => user_named(owner),
        }
    }

    /// How much there is of a user.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn held(&self, owner: &State) -> Result<Held> {
        let (mut held, mut records) = (Held::default(), self.records(owner)?);
        while records.next().await?.is_some() {
            held.records += 1;
        }
        let (table, at) = match &self.said {
            Said::Column(at) => (&self.blocks.subject, *at),
            Said::Beside(holders) => holders.table(),
        };
        let mut rows = Rows::new(self.blocks.txn, table, KeyRange::all());
        while let Some(row) = rows.next().await? {
            held.rows += u64::from(is_same(&row[at], owner));
        }
        Ok(held)
    }

    /// Removes what there is of a user: all that records say, and the rows of the subject unless the chain keeps them.
    /// Returns how much that was. `author` makes the transaction, which has to be told of these rows when it appends
    /// records: see [`Author::purged`].
    ///
    /// # Errors
    /// As [`Transaction::scan`]; `TooLarge` if the keys of the rows take more than a transaction can keep in memory.
    pub async fn purge(&self, owner: &State, author: Option<&State>) -> Result<Held> {
        let (txn, schema) = (self.blocks.txn, self.blocks.schema());
        let (mut held, mut keys, mut turns) = (Held::default(), Keys::default(), Turns::default());
        let mut records = self.records(owner)?;
        while let Some(mut record) = records.next().await? {
            if self.purges_subject {
                keys.note(schema, record.entry.key(schema), record.entry.is_put)?;
            }
            record.entry = record.entry.purged();
            txn.put(self.blocks.records(), &record.into_row(schema.columns.len())).await?;
            held.records += 1;
            turns.end().await;
        }
        if self.purges_subject {
            self.note_unrecorded(&mut keys, owner, author).await?;
            held.rows = self.delete_rows(keys).await?;
        }
        if held != Held::default() {
            let (id, owner) = (txn.id().to_string(), hex::encode(self.hash(owner)?));
            txn.append(&self.log, &[vec![id.into(), held.records.into(), owner.into(), false.into()]]).await?;
        }
        Ok(held)
    }

    /// The records of a user, in the order of their commits.
    fn records(&self, owner: &State) -> Result<Records> {
        self.blocks.read_by_index(self.by_owner, owner)
    }

    /// Notes which rows are a user's of those that the transaction itself has written, which no record says yet.
    async fn note_unrecorded(&self, keys: &mut Keys, owner: &State, author: Option<&State>) -> Result<()> {
        let blocks = self.blocks;
        for RowChange { key, row } in blocks.txn.changes(&blocks.subject, CHANGES_BYTES_MAX).await?.rows {
            let of = match &self.said {
                Said::Column(at) => row.as_ref().map(|row| &row[*at]),
                Said::Beside(_) => author.filter(|_| row.is_some()),
            };
            keys.note(blocks.schema(), &key, of.is_some_and(|of| is_same(of, owner)))?;
        }
        Ok(())
    }

    /// Deletes rows from the subject. Returns how many there were.
    async fn delete_rows(&self, keys: Keys) -> Result<u64> {
        let (mut count, mut turns) = (0, Turns::default());
        let (txn, subject) = (self.blocks.txn, &self.blocks.subject);
        for key in keys.keys {
            let key = decode_key(subject.schema.key(), &key)?;
            count += u64::from(txn.delete(subject, &key).await?);
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

    /// The users who were purged and whose rows stayed, which no record makes any more.
    pub(super) async fn unrecorded(&self) -> Result<Unrecorded<'_>> {
        let mut owners = BTreeSet::new();
        if !self.purges_subject {
            let mut found = Rows::new(self.blocks.txn, &self.log, KeyRange::all());
            while let Some(row) = found.next().await? {
                owners.insert(rows::hash(&row, 4)?);
            }
        }
        Ok(Unrecorded { of: self, owners })
    }

    /// Whose a row of the subject is; None if it is nobody's.
    async fn owner_of(&self, row: &[State]) -> Result<State> {
        let blocks = self.blocks;
        match &self.said {
            Said::Column(at) => Ok(row[*at].clone()),
            Said::Beside(holders) => holders.of(blocks.txn, &row[..blocks.schema().key_len]).await,
        }
    }

    /// A user as the log of purges names it. As in keys, numbers are the same whatever their class.
    fn hash(&self, owner: &State) -> Result<Hash> {
        let column = &self.blocks.records.schema.columns[OWN];
        let key = encode_key([column], std::slice::from_ref(owner))?;
        let owner = decode_key([column], &key)?;
        let mut hasher = Sha256::new();
        hasher.update(self.secret);
        hasher.update(owner.first().map(hash).unwrap_or_default());
        Ok(hasher.finalize().into())
    }
}

/// Keys of rows, as bytes.
#[derive(Default)]
struct Keys {
    keys: BTreeSet<Vec<u8>>,
    /// Of all keys.
    bytes: u64,
}

impl Keys {
    /// Notes whether a key is one of these.
    fn note(&mut self, subject: &Schema, key: &[State], is_in: bool) -> Result<()> {
        let key = encode_key(subject.key(), key)?;
        let len = key.len() as u64;
        if is_in {
            self.bytes += if self.keys.insert(key) { len } else { 0 };
        } else if self.keys.remove(&key) {
            self.bytes -= len;
        }
        match self.bytes > CHANGES_BYTES_MAX {
            true => {
                let message = format!("a purge deletes rows whose keys take more than {CHANGES_BYTES_MAX} bytes");
                Err(Error::too_large(message))
            }
            false => Ok(()),
        }
    }
}

/// Tells rows that no record makes.
pub(super) struct Unrecorded<'a> {
    of: &'a Owners<'a>,
    owners: BTreeSet<Hash>,
}

impl Unrecorded<'_> {
    /// Whether a row of the subject may be there without a record.
    pub(super) async fn has(&self, row: &[State]) -> Result<bool> {
        if self.owners.is_empty() {
            return Ok(false);
        }
        let owner = self.of.owner_of(row).await?;
        Ok(self.owners.contains(&self.of.hash(&owner)?))
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
    fn a_user_of_a_token_is_named_by_its_issuer_and_its_actor() {
        let tuple = |items: &[State]| State::from(Tuple::try_new(items.to_vec()).unwrap());
        let link: Link = "/user/ann".parse().unwrap();
        let user = user(&link, &"key".into()).unwrap();
        assert_eq!(user_named(&tuple(&["/user/ann".into(), "key".into()])), Ok(user.clone()));
        assert_eq!(user_named(&user), Ok(user));
        let issuer = State::from("/user/ann");
        for name in [
            issuer.clone(),
            tuple(std::slice::from_ref(&issuer)),
            tuple(&["no link".into(), "key".into()]),
            tuple(&[issuer.clone(), State::NONE]),
            tuple(&[issuer, "key".into(), "more".into()]),
        ] {
            assert!(user_named(&name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_last_note_of_a_key_counts() {
        let schema = table(vec![numbers("id"), texts("user")], 1);
        let mut keys = Keys::default();
        let mut note = |id: u64, is_in| keys.note(&schema, &[id.into()], is_in).unwrap();
        for (id, is_in) in [(1, true), (2, true), (1, true), (3, false), (1, false)] {
            note(id, is_in);
        }
        assert_eq!((keys.keys.len(), keys.bytes), (1, 8));
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
