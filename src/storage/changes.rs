//! What a transaction has written to one table so far, row by row, for whoever keeps a history of it.

use super::codec::KeyRange;
use super::cursor::Cursor;
use super::diff::Written;
use super::txn::Transaction;
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::schema::Table;

/// What becomes of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowChange {
    /// The cells of its key.
    pub key: Vec<State>,
    /// All its cells; nothing if it is deleted.
    pub row: Option<Vec<State>>,
}

/// What becomes of the rows of a table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Whether all rows that were there were deleted first.
    pub is_cleared: bool,
    /// In the order of keys, none of which is there twice. They are enough to make the table what it will be, also
    /// where it was cleared.
    pub rows: Vec<RowChange>,
}

impl Transaction {
    /// What the transaction has written to a table so far. A row may be the same as before; one that is deleted may
    /// have come from this transaction, unless the table was cleared: then deletions are of the rows that it had, as
    /// far as they were not written again. To say which these are is to read all of them, so the transaction conflicts
    /// with every other one that changes them meanwhile.
    ///
    /// # Errors
    /// `TooLarge` if the changes weigh more than `bytes_max` in memory; otherwise as [`Transaction::scan`].
    pub async fn changes(&self, table: &Table, bytes_max: u64) -> Result<Changes> {
        let core = self.core();
        let _writing = core.writer().await;
        let (before, after) = {
            let mut work = core.work.lock();
            let access = core.access(&mut work, table)?;
            let after = core.source(&work, table.rows);
            let is_alone = access.is_durable() && after.tree.is_none();
            let before = is_alone.then(|| core.before(table)).filter(|before| before.tree.is_some());
            if before.is_some() {
                work.note_range(&access, table.rows, &KeyRange::all());
            }
            (before, after)
        };
        let schema = &table.schema;
        let mut changes = Changes { is_cleared: before.is_some(), rows: vec![] };
        let mut left = bytes_max;
        let mut written = Written::new(&after.overlay, schema);
        let mut gone = before.map(|before| Cursor::new(&before, schema, &KeyRange::all(), []));
        loop {
            let own = written.key().await?;
            let old = match &mut gone {
                Some(gone) => gone.key().await?,
                None => None,
            };
            let Some(key) = own.into_iter().chain(old).min() else {
                return Ok(changes);
            };
            let (is_own, is_old) = (own == Some(key), old == Some(key));
            let (key, row) = match &gone {
                Some(gone) if !is_own => (key_of(gone.row()?, schema.key_len), None),
                _ => written.change(schema)?,
            };
            // Where the transaction is alone in the table, a mark that it has left for a row of its own hides nothing.
            if row.is_some() || is_old || after.tree.is_some() {
                changes.add(RowChange { key, row }, &mut left).ok_or_else(|| too_large(table, bytes_max))?;
            }
            if is_own {
                written.advance();
            }
            if let Some(gone) = gone.as_mut().filter(|_| is_old) {
                gone.advance();
            }
        }
    }
}

impl Changes {
    /// Adds a change, if it weighs no more than the bytes that are left.
    fn add(&mut self, change: RowChange, left: &mut u64) -> Option<()> {
        let cells = change.key.iter().chain(change.row.iter().flatten());
        *left = left.checked_sub(cells.map(State::weight).sum())?;
        self.rows.push(change);
        Some(())
    }
}

fn key_of(mut row: Vec<State>, key_len: usize) -> Vec<State> {
    row.truncate(key_len);
    row
}

fn too_large(table: &Table, bytes_max: u64) -> Error {
    Error::too_large(format!("the transaction changes more than {bytes_max} bytes of the rows of {}", table.name))
}
