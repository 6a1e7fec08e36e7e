//! Whose data a CompliantChain has, and what is purged of it.
//!
//! An index of the records has their users. So a purge reads only what there is of the user, and conflicts with nobody
//! but whoever writes for the same user meanwhile. Which rows are the user's the records say too: each row whose last
//! record of the user is a put.
//!
//! A table beside the subject says which purges there were: the user by a hash with a secret of the chain. Another has
//! the secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::block::{Blocks, Hash, Records};
use super::compliant::{by_owner, is_same, log_path, position, state_key, state_path, user};
use super::declaration::Kind;
use super::holders::Holders;
use super::record::{CHANGES_BYTES_MAX, OWN};
use super::rows::{self, Rows, Turns};
use crate::error::{Error, Result};
use crate::storage::RowChange;
use crate::storage::codec::{KeyRange, decode_key, encode_key};
use crate::value::cast::cast;
use crate::value::cell::cast_cell;
use crate::value::hash::hash;
use crate::value::{Class, Schema, State, Table, Value};

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
    /// records: see [`Author::purged`](super::compliant::Author::purged).
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

/// Tells rows that no record makes: those of users who were purged, and whose rows stayed.
pub(super) struct Unrecorded<'a> {
    of: Owners<'a>,
    /// Hashed.
    owners: BTreeSet<Hash>,
}

impl<'a> Unrecorded<'a> {
    /// Those of a chain; nothing if there are none.
    ///
    /// # Errors
    /// As [`Owners::open`].
    pub(super) async fn of(blocks: &'a Blocks<'a>) -> Result<Option<Self>> {
        let Some(of) = Owners::open(blocks).await?.filter(|owners| !owners.purges_subject) else { return Ok(None) };
        let (mut owners, mut found) = (BTreeSet::new(), Rows::new(blocks.txn, &of.log, KeyRange::all()));
        while let Some(row) = found.next().await? {
            owners.insert(rows::hash(&row, 4)?);
        }
        Ok((!owners.is_empty()).then_some(Self { of, owners }))
    }

    /// Whether a row may be there without a record: a row of the subject, or what is noted of whose it is.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub(super) async fn has(&self, row: &[State]) -> Result<bool> {
        let owner = self.of.owner_of(row).await?;
        Ok(self.owners.contains(&self.of.hash(&owner)?))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::rows::{numbers, table, texts};
    use crate::value::{Link, Tuple};

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
}
