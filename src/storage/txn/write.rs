//! Writes of single rows.

use std::sync::Arc;

use super::{Core, Mode, Transaction, key_bytes};
use crate::error::{Error, Result};
use crate::storage::codec::{KeyRange, RowBuilder, encode_key, encode_payload};
use crate::storage::cursor::Cursor;
use crate::storage::index::{Access, Index};
use crate::storage::memtable::{Key, Payload};
use crate::value::State;
use crate::value::schema::{Schema, Table, TreeId};

/// What becomes of a key of a tree: a payload, or nothing if it is deleted.
pub(super) struct Write<'a> {
    pub tree: TreeId,
    pub schema: &'a Arc<Schema>,
    pub key: Key,
    pub payload: Option<Payload>,
}

impl Transaction {
    /// Puts a row, whose cells were cast to the columns, in place of the one with the same key. Nothing is read if the
    /// table has no indexes.
    ///
    /// # Errors
    /// `BadRequest` if the row has more or fewer cells than the table has columns, or if another row has the same cells
    /// in a unique index; as [`Transaction::scan`].
    pub async fn put(&self, table: &Table, row: &[State]) -> Result<()> {
        self.core.write_row(table, row, Mode::Upsert).await.map(drop)
    }

    /// Puts a row if there is none with the same key. Returns whether it did.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn insert(&self, table: &Table, row: &[State]) -> Result<bool> {
        self.core.write_row(table, row, Mode::Insert).await
    }

    /// Puts rows in place of those with the same keys, all of them or none. Of rows with one key the last one is put.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub async fn put_rows(&self, table: &Table, rows: &[Vec<State>]) -> Result<()> {
        match rows {
            [] => return Ok(()),
            [row] => return self.put(table, row).await,
            _ => {}
        }
        let columns: Vec<usize> = (0..table.schema.columns.len()).collect();
        let mut builder = RowBuilder::new(&table.schema, &columns, rows.len());
        for row in rows {
            check_len(&table.schema, row)?;
            builder.append_row(row)?;
        }
        self.put_batch(table, &builder.finish()?, Mode::Upsert).await.map(drop)
    }

    /// Deletes the row with the key `key`, whose cells were cast to their columns. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn delete(&self, table: &Table, key: &[State]) -> Result<bool> {
        let core = &self.core;
        let key = key_bytes(&table.schema, key)?;
        let _writing = core.writer().await;
        let (access, source) = {
            let mut work = core.work.lock();
            let access = core.access(&mut work, table)?;
            work.note_point(&access, &key);
            (access, core.source(&work, table.rows))
        };
        let schema = &access.table.schema;
        let mut writes = Vec::with_capacity(1 + access.indexes.len());
        if access.indexes.is_empty() {
            if !source.contains(&key).await? {
                return Ok(false);
            }
        } else {
            let Some(old) = source.get(schema, &key).await? else {
                return Ok(false);
            };
            for index in &access.indexes {
                let Index { tree, schema, .. } = index;
                writes.push(Write { tree: *tree, schema, key: index.entry(&old)?.key, payload: None });
            }
        }
        writes.push(Write { tree: table.rows, schema, key: key.into(), payload: None });
        // What is written to while it is read has to be copied.
        drop(source);
        core.apply(writes);
        core.make_room().await?;
        Ok(true)
    }
}

impl Core {
    /// Writes a row. Returns whether it did.
    async fn write_row(&self, table: &Table, row: &[State], mode: Mode) -> Result<bool> {
        check_len(&table.schema, row)?;
        let _writing = self.writer().await;
        let (key, payload) = encoded(&table.schema, row)?;
        let (access, source) = {
            let mut work = self.work.lock();
            let access = self.access(&mut work, table)?;
            let is_blind = mode == Mode::Upsert && access.indexes.is_empty();
            if !is_blind {
                work.note_point(&access, &key);
            }
            let source = (!is_blind).then(|| self.source(&work, table.rows));
            (access, source)
        };
        let schema = &access.table.schema;
        let mut writes = vec![Write { tree: table.rows, schema, key: Arc::clone(&key), payload: Some(payload) }];
        if let Some(source) = source {
            if mode == Mode::Insert && source.contains(&key).await? {
                return Ok(false);
            }
            let old = match mode {
                Mode::Upsert => source.get(schema, &key).await?,
                Mode::Insert => None,
            };
            for index in &access.indexes {
                self.change_entry(&access, index, old.as_deref(), row, &mut writes).await?;
            }
        }
        self.apply(writes);
        self.make_room().await?;
        Ok(true)
    }

    /// Adds to `writes` what becomes of the entry of a row in an index.
    async fn change_entry<'a>(
        &self,
        access: &Access,
        index: &'a Index,
        old: Option<&[State]>,
        new: &[State],
        writes: &mut Vec<Write<'a>>,
    ) -> Result<()> {
        let old = old.map(|row| index.entry(row)).transpose()?;
        let new = index.entry(new)?;
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        let (tree, schema) = (index.tree, &index.schema);
        if old.as_ref().is_none_or(|old| old.key != new.key) {
            self.refuse_rival(access, index, &new.key).await?;
            writes.extend(old.map(|old| Write { tree, schema, key: old.key, payload: None }));
        }
        writes.push(Write { tree, schema, key: new.key, payload: Some(new.payload) });
        Ok(())
    }

    /// Checks that no row has an entry in a unique index that begins like the one with this key, which is not there yet.
    async fn refuse_rival(&self, access: &Access, index: &Index, key: &[u8]) -> Result<()> {
        let Some(prefix) = index.prefix(key)? else {
            return Ok(());
        };
        let range = KeyRange::prefix(prefix);
        let source = {
            let mut work = self.work.lock();
            work.note_range(access, index.tree, &range);
            self.source(&work, index.tree)
        };
        if source.estimate(&range).rows_max == 0 {
            return Ok(());
        }
        match Cursor::new(&source, &index.schema, &range, []).key().await? {
            Some(_) => Err(index.violation(key)),
            None => Ok(()),
        }
    }

    /// Makes writes visible to this transaction, all at once.
    pub(super) fn apply<'a>(&self, writes: impl IntoIterator<Item = Write<'a>>) {
        let mut work = self.work.lock();
        for Write { tree, schema, key, payload } in writes {
            work.writes.write(tree, schema, key, payload);
        }
    }
}

/// The key and the payload of a row.
pub(super) fn encoded(schema: &Schema, row: &[State]) -> Result<(Key, Payload)> {
    let key = encode_key(schema.key(), &row[..schema.key_len])?;
    Ok((key.into(), encode_payload(schema, row)?.into()))
}

fn check_len(schema: &Schema, row: &[State]) -> Result<()> {
    let (expected, found) = (schema.columns.len(), row.len());
    if expected == found {
        return Ok(());
    }
    Err(Error::bad_request(format!("expected a row of {expected} cells, not {found}")))
}
