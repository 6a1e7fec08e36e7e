//! Records: what a transaction did to the subject of a chain.
//!
//! A record is a row of a table beside the subject, whose key is the number of the commit and the position within it.
//! It says which transaction it is of, whether a row was put or deleted, and the row. The table is one like any other:
//! it can be queried, and what it says is durable together with what was done.

use std::sync::Arc;

use super::block::Hash;
use super::compliant::{Author, Seal};
use super::declaration::{ChainDef, Kind as ChainKind, Subject};
use super::rows::{column, flags, numbers, table, texts};
use super::{base, block, compliant, reduce, rows};
use crate::error::{Error, Result};
use crate::storage::{RowChange, Transaction};
use crate::txn::TxnId;
use crate::value::cell::{cast_cell, cast_row};
use crate::value::schema::{Column, ColumnType, Kind};
use crate::value::{Class, Schema, State, Table, Tuple, Value, cast, hash};

/// The columns that the records of every chain have before those of the row.
pub(super) const OWN: usize = 4;
/// Those of them that say which commit of which transaction a record is of.
pub(super) const COMMIT_AND_TXN: [usize; 2] = [0, 2];
/// Bytes of the changes of one transaction to one subject.
pub(super) const CHANGES_BYTES_MAX: u64 = 256 << 20;

/// What the path of a table of a chain has, and that of no other table: a character that no name has.
const MARK: char = '~';

/// The path of the records of the subject at `subject`.
pub fn path(subject: &str) -> String {
    beside(subject, "records")
}

/// The path of a table that a chain keeps beside its subject.
pub(super) fn beside(subject: &str, name: &str) -> String {
    format!("{subject}{MARK}{name}")
}

/// Whether a table is that of a chain, which only the chain itself writes to.
pub fn is_path(table: &str) -> bool {
    table.contains(MARK)
}

/// What a chain calls the table at a path that it keeps; nothing for a subject.
pub fn name_of(table: &str) -> Option<&str> {
    table.split_once(MARK).map(|(_, name)| name)
}

/// The path of the subject that a table belongs to: itself, unless a chain keeps it.
pub fn subject_of(table: &str) -> &str {
    table.split_once(MARK).map_or(table, |(subject, _)| subject)
}

/// Makes the tables that a chain keeps beside its subject.
///
/// # Errors
/// `BadRequest` if a column of the subject has a name that records need.
pub async fn create(txn: &Transaction, subject: &Table, chain: &ChainDef) -> Result<()> {
    if !chain.kind.has_records() {
        return Ok(());
    }
    txn.create_table(&path(&subject.name), schema(&subject.schema, &chain.kind)?).await?;
    block::create(txn, &subject.name).await?;
    match &chain.kind {
        ChainKind::Backup(_) => base::create(txn, subject, &chain.subject).await,
        ChainKind::Compliant(policy) => compliant::create(txn, subject, policy).await,
        ChainKind::Reduce(_) => {
            base::create(txn, subject, &chain.subject).await?;
            reduce::create(txn, &subject.name).await
        }
        ChainKind::Sync | ChainKind::Block => Ok(()),
    }
}

/// Drops what [`create`] made.
///
/// # Errors
/// As [`Transaction::drop_table`].
pub async fn drop(txn: &Transaction, subject: &str, chain: &ChainDef) -> Result<()> {
    if !chain.kind.has_records() {
        return Ok(());
    }
    txn.drop_table(&path(subject)).await?;
    block::drop(txn, subject).await?;
    match &chain.kind {
        ChainKind::Backup(_) => base::drop(txn, subject).await,
        ChainKind::Compliant(_) => compliant::drop(txn, subject).await,
        ChainKind::Reduce(_) => {
            base::drop(txn, subject).await?;
            reduce::drop(txn, subject).await
        }
        ChainKind::Sync | ChainKind::Block => Ok(()),
    }
}

/// The schema of the records of a subject.
fn schema(subject: &Schema, chain: &ChainKind) -> Result<Schema> {
    let mut columns = vec![numbers("_commit"), numbers("_position"), texts("_txn"), flags("_put")];
    if let ChainKind::Compliant(_) = chain {
        columns.extend(compliant::columns());
    }
    let own = columns.len();
    for cell in &subject.columns {
        if columns[..own].iter().any(|own| own.name == cell.name) {
            return Err(Error::bad_request(format!(
                "the column {} has a name that the records of a chain need",
                cell.name
            )));
        }
        columns.push(Column { nullable: true, default: State::NONE, ..cell.clone() });
    }
    let indexes = match chain {
        ChainKind::Compliant(_) => vec![compliant::index(OWN)],
        _ => vec![],
    };
    Ok(Schema { indexes, ..table(columns, 2) })
}

/// The schema of the table that holds a value.
pub fn value_schema() -> Schema {
    table(vec![numbers("id"), Column { nullable: true, ..column("value".into(), Class::Value, ColumnType::Any) }], 1)
}

/// The key of the only row of the table that holds a value.
pub fn value_key() -> State {
    State::from(0u64)
}

/// The only row of the table that holds `value`.
pub fn value_row(value: State) -> Vec<State> {
    vec![value_key(), value]
}

/// `value` as a chain over a value keeps it: in the class that it had at first, which is any if it was none.
///
/// # Errors
/// `BadRequest` if it cannot be cast to that, or is no value.
pub fn cast_value(initial: &State, value: &State) -> Result<State> {
    let value = match initial {
        State::Value(Value::None) => value.clone(),
        initial => cast::cast(value, initial.class())?,
    };
    match value.is_value() {
        true => Ok(value),
        false => Err(Error::bad_request(format!("a chain over a value cannot keep a {}", value.class()))),
    }
}

/// The schema of the subject of a chain.
pub fn subject_schema(subject: &Subject) -> Schema {
    match subject {
        Subject::Collection(schema) => schema.clone(),
        Subject::Value(_) => value_schema(),
    }
}

/// Appends what `txn` has done to a subject to the records of its chain. Returns how many bytes that took, roughly.
///
/// # Errors
/// `TooLarge` if it is more than a transaction can keep in memory.
pub async fn append(txn: &Transaction, subject: &Arc<Table>, chain: &ChainDef, author: Author<'_>) -> Result<u64> {
    let changes = txn.changes(subject, CHANGES_BYTES_MAX).await?.rows;
    if changes.is_empty() {
        return Ok(0);
    }
    let lost = || Error::internal(format!("the records of {} are lost", subject.name));
    let records = txn.table(&path(&subject.name)).await?.ok_or_else(lost)?;
    let entries: Vec<Entry> = match &chain.kind {
        ChainKind::Compliant(policy) => compliant::entries(txn, subject, (chain, policy), changes, author).await?,
        _ => changes.into_iter().map(Entry::from).collect(),
    };
    let bytes = entries.iter().map(Entry::weight).sum();
    let width = subject.schema.columns.len();
    let rows: Vec<Vec<State>> = entries.into_iter().map(|entry| entry.into_cells(txn.id(), width)).collect();
    txn.append(&records, &rows).await?;
    Ok(bytes)
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    pub commit: u64,
    /// Within the commit.
    pub position: u64,
    pub txn: TxnId,
    pub entry: Entry,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub is_put: bool,
    /// The row that was put, or the key of the row that was deleted; nothing if that was purged.
    pub cells: Vec<State>,
    /// What a CompliantChain keeps beside that, and no other.
    pub seal: Option<Seal>,
}

impl Record {
    /// Reads a record of `subject`.
    ///
    /// # Errors
    /// `Internal` if it is damaged.
    pub(super) fn of_row(subject: &Schema, mut row: Vec<State>) -> Result<Self> {
        let (commit, position) = (rows::number(&row, 0)?, rows::number(&row, 1)?);
        let (txn, is_put) = (rows::text(&row, 2)?.parse()?, rows::flag(&row, 3)?);
        let own = row.len().saturating_sub(subject.columns.len());
        let seal = if own > OWN { Some(Seal::of_cells(&row[OWN..own])?) } else { None };
        let mut cells = row.split_off(own);
        match &seal {
            Some(seal) if seal.is_purged() => cells.clear(),
            _ if !is_put => cells.truncate(subject.key_len),
            _ => {}
        }
        Ok(Self { commit, position, txn, entry: Entry { is_put, cells, seal } })
    }

    /// The key of its row.
    pub(super) fn key(&self) -> [State; 2] {
        [self.commit.into(), self.position.into()]
    }

    /// Its row, where rows of the subject have `width` cells.
    pub(super) fn into_row(self, width: usize) -> Vec<State> {
        self.key().into_iter().chain(self.entry.into_cells(self.txn, width)).collect()
    }
}

impl From<RowChange> for Entry {
    fn from(RowChange { key, row }: RowChange) -> Self {
        Self { is_put: row.is_some(), cells: row.unwrap_or(key), seal: None }
    }
}

impl Entry {
    /// How many bytes it has, roughly.
    pub(super) fn weight(&self) -> u64 {
        self.cells.iter().map(State::weight).sum()
    }

    /// The cells of its row after the commit and the position.
    fn into_cells(mut self, txn: TxnId, width: usize) -> Vec<State> {
        self.cells.resize(width, State::NONE);
        let seal = self.seal.into_iter().flat_map(|seal| seal.cells());
        [State::from(txn.to_string()), self.is_put.into()].into_iter().chain(seal).chain(self.cells).collect()
    }

    /// What was done: the key, and the value if the row was put.
    ///
    /// # Errors
    /// `BadRequest` if it is too large for a state.
    pub(super) fn parts(&self, chain: &ChainDef, subject: &Schema) -> Result<(State, Option<State>)> {
        let tuple = |cells: &[State]| Tuple::try_new(cells.to_vec()).map(State::from);
        let (key, value) = self.cells.split_at(subject.key_len.min(self.cells.len()));
        Ok(match (&chain.subject, self.is_put) {
            (Subject::Value(_), false) => (State::NONE, None),
            (Subject::Value(_), true) => (State::NONE, Some(value.first().cloned().unwrap_or(State::NONE))),
            (Subject::Collection(_), false) => (tuple(key)?, None),
            (Subject::Collection(schema), true) if schema.kind == Kind::BTree => (State::NONE, Some(tuple(key)?)),
            (Subject::Collection(_), true) => (tuple(key)?, Some(tuple(value)?)),
        })
    }

    /// What has these [`parts`](Entry::parts), where the value of what was deleted is null. Its cells are cast to their
    /// columns.
    ///
    /// # Errors
    /// `BadRequest` if they are no key and no row of the subject.
    pub(super) fn of_parts(chain: &ChainDef, subject: &Schema, key: &State, value: &State) -> Result<Self> {
        let (is_put, cells) = match &chain.subject {
            Subject::Value(_) if !key.is_none() => return Err(Error::bad_request("a value has no keys")),
            Subject::Value(_) if value.is_none() => (false, vec![value_key()]),
            Subject::Value(initial) => (true, value_row(cast_value(initial, value)?)),
            Subject::Collection(schema) if schema.kind == Kind::BTree => match key.is_none() {
                true => (true, cast_row(subject, cells_of(value)?)?),
                false => (false, cast_row(subject, cells_of(key)?)?),
            },
            Subject::Collection(_) if value.is_none() => (false, cast_key(subject, key)?),
            Subject::Collection(_) => {
                let row = [cast_key(subject, key)?.as_slice(), cells_of(value)?].concat();
                (true, cast_row(subject, &row)?)
            }
        };
        Ok(Self { is_put, cells, seal: None })
    }

    /// The cells of the key; none if that was purged.
    pub(super) fn key(&self, subject: &Schema) -> &[State] {
        &self.cells[..subject.key_len.min(self.cells.len())]
    }

    /// What was done: `[<key>]` for a delete, `[<key>, <value>]` for a put.
    ///
    /// # Errors
    /// `BadRequest` if it is too large for a state.
    pub(super) fn mutation(&self, chain: &ChainDef, subject: &Schema) -> Result<State> {
        let (key, value) = self.parts(chain, subject)?;
        Ok(Tuple::try_new(std::iter::once(key).chain(value).collect::<Vec<_>>())?.into())
    }

    /// How it is written in a block: what was done, or the text of the commitment to that if it was purged.
    ///
    /// # Errors
    /// As [`Entry::mutation`].
    pub(super) fn form(&self, chain: &ChainDef, subject: &Schema) -> Result<State> {
        match &self.seal {
            Some(seal) if seal.is_purged() => Ok(hex::encode(seal.commitment()).into()),
            _ => self.mutation(chain, subject),
        }
    }

    /// What the hash of its block is made of: the hash of what was done, or the commitment to that.
    ///
    /// # Errors
    /// As [`Entry::mutation`]; `Internal` if what was done is not what is committed to.
    pub(super) fn digest(&self, chain: &ChainDef, subject: &Schema) -> Result<Hash> {
        match &self.seal {
            None => Ok(hash::hash(&self.mutation(chain, subject)?)),
            Some(seal) if seal.is_purged() => Ok(seal.commitment()),
            Some(seal) => seal.check(&self.mutation(chain, subject)?),
        }
    }

    /// Does what was done to another table, unless it was purged.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub(super) async fn apply(&self, txn: &Transaction, table: &Table) -> Result<()> {
        match (&self.seal, self.is_put) {
            (Some(seal), _) if seal.is_purged() => Ok(()),
            (_, true) => txn.put(table, &self.cells).await,
            (_, false) => txn.delete(table, &self.cells).await.map(|_| ()),
        }
    }
}

fn cells_of(state: &State) -> Result<&[State]> {
    match state {
        State::Tuple(cells) => Ok(cells.items()),
        other => Err(Error::bad_request(format!("expected a list of cells, not a {}", other.class()))),
    }
}

fn cast_key(subject: &Schema, key: &State) -> Result<Vec<State>> {
    let (cells, columns) = (cells_of(key)?, subject.key());
    if cells.len() != columns.len() {
        let (expected, found) = (columns.len(), cells.len());
        return Err(Error::bad_request(format!("expected a key of {expected} cells, not {found}")));
    }
    columns.iter().zip(cells).map(|(column, cell)| cast_cell(column, cell)).collect()
}
