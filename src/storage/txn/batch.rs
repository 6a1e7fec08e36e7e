//! Writes of batches that stay in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use arrow::array::RecordBatch;

use super::write::Write;
use super::{Core, Mode, Transaction};
use crate::error::{Error, Result};
use crate::storage::codec::{KeyColumn, KeyRange, encode_batch_payloads};
use crate::storage::cursor::{Cursor, Probe};
use crate::storage::index::{Access, Index, batch_keys, duplicate};
use crate::storage::load::{Loader, is_large};
use crate::storage::memtable::{Key, Payload};
use crate::storage::tree::Source;
use crate::value::State;
use crate::value::schema::Table;

/// Entries of an index: payloads by their keys, nothing where an entry goes away.
type Staged = BTreeMap<Key, Option<Payload>>;

impl Transaction {
    /// Writes the rows of a batch that has the columns of the table, in their types and order; all of them or none.
    /// Returns how many rows it has. Of rows with one key the last one is put.
    ///
    /// A large batch goes to segments: see [`Loader`].
    ///
    /// # Errors
    /// `BadRequest` if the mode is [`Mode::Insert`] and there is a row with one of the keys already, or two in the batch;
    /// otherwise as [`Transaction::put`].
    pub async fn put_batch(&self, table: &Table, batch: &RecordBatch, mode: Mode) -> Result<u64> {
        if is_large(table, batch) {
            let mut loader = Loader::new(self, table, mode).await?;
            loader.push(batch.clone()).await?;
            return loader.finish().await;
        }
        let core = &self.core;
        let _writing = core.writer().await;
        let access = core.access(&mut core.work.lock(), table)?;
        core.write_batch(&access, batch, mode).await?;
        core.make_room().await?;
        Ok(batch.num_rows() as u64)
    }
}

/// A batch on its way into memory.
struct Batch<'a> {
    access: &'a Access,
    batch: &'a RecordBatch,
    keys: KeyColumn,
    /// The rows that are written, in the order of their keys.
    order: Vec<usize>,
    /// The rows that are there with the same keys, in that order.
    old: Vec<Option<Vec<State>>>,
}

impl Core {
    /// Writes a batch. The caller holds the [`Core::writer`].
    pub(in crate::storage) async fn write_batch(&self, access: &Access, batch: &RecordBatch, mode: Mode) -> Result<()> {
        let (tree, schema) = (access.table.rows, &access.table.schema);
        if batch.num_columns() != schema.columns.len() {
            let (expected, found) = (schema.columns.len(), batch.num_columns());
            return Err(Error::internal(format!("expected a batch of {expected} columns, not {found}")));
        }
        let (keys, payloads) = (batch_keys(schema, batch)?, encode_batch_payloads(schema, batch)?);
        let write = |row: usize, keys: &KeyColumn| {
            let (key, payload) = (keys.get(row).into(), payloads.get(row).into());
            Write { tree, schema, key, payload: Some(payload) }
        };
        if mode == Mode::Upsert && access.indexes.is_empty() {
            self.apply((0..keys.len()).map(|row| write(row, &keys)));
            return Ok(());
        }
        let batch = self.look_up(access, batch, keys, mode).await?;
        let mut entries = Vec::with_capacity(access.indexes.len());
        for index in &access.indexes {
            entries.push(self.stage(&batch, index).await?);
        }
        let rows = batch.order.iter().map(|row| write(*row, &batch.keys));
        let entries = access.indexes.iter().zip(entries).flat_map(|(index, staged)| {
            let (tree, schema) = (index.tree, &index.schema);
            staged.into_iter().map(move |(key, payload)| Write { tree, schema, key, payload })
        });
        self.apply(rows.chain(entries));
        Ok(())
    }

    /// Puts the rows of a batch in order, and reads those that are there with the same keys.
    async fn look_up<'a>(
        &self,
        access: &'a Access,
        batch: &'a RecordBatch,
        keys: KeyColumn,
        mode: Mode,
    ) -> Result<Batch<'a>> {
        let schema = &access.table.schema;
        let order = ordered(&keys, |key| match mode {
            Mode::Upsert => Ok(()),
            Mode::Insert => Err(duplicate(schema, key)),
        })?;
        let mut old = vec![None; order.len()];
        let Some((first, last)) = order.first().copied().zip(order.last().copied()) else {
            return Ok(Batch { access, batch, keys, order, old });
        };
        let range = KeyRange {
            start: Bound::Included(keys.get(first).to_vec()),
            end: Bound::Included(keys.get(last).to_vec()),
        };
        let source = {
            let mut work = self.work.lock();
            order.iter().for_each(|row| work.note_point(access, keys.get(*row)));
            self.source(&work, access.table.rows)
        };
        let len = order.len() as u64;
        if let Some(mut probe) = Probe::new(source, schema, &range, access.indexed_columns(), len) {
            for (row, old) in order.iter().zip(&mut old) {
                let key = keys.get(*row);
                if mode == Mode::Upsert {
                    *old = probe.find(key).await?;
                } else if probe.contains(key).await? {
                    return Err(duplicate(schema, key));
                }
            }
        }
        Ok(Batch { access, batch, keys, order, old })
    }

    /// What becomes of the entries of an index when the rows of a batch are written.
    async fn stage(&self, batch: &Batch<'_>, index: &Index) -> Result<Staged> {
        let columns = batch.batch.project(&index.columns);
        let columns =
            columns.map_err(|error| Error::internal(format!("a batch lacks columns of an index: {error}")))?;
        let entries = index.entries(&columns)?;
        let (mut staged, mut added) = (Staged::new(), Vec::new());
        for (row, old) in batch.order.iter().zip(&batch.old) {
            let (key, payload) = (entries.keys.get(*row), entries.payloads.get(*row));
            let old = old.as_ref().map(|old| index.entry(old)).transpose()?;
            match old {
                Some(old) if *old.key == *key && *old.payload == *payload => continue,
                Some(old) if *old.key == *key => {}
                old => {
                    staged.extend(old.map(|old| (old.key, None)));
                    added.push(key);
                }
            }
            staged.insert(key.into(), Some(payload.into()));
        }
        self.refuse_rivals(batch.access, index, &added, &staged).await?;
        Ok(staged)
    }

    /// Checks that after the staged changes of a unique index no two entries begin like one of those that were added.
    async fn refuse_rivals(&self, access: &Access, index: &Index, added: &[&[u8]], staged: &Staged) -> Result<()> {
        if !index.is_unique {
            return Ok(());
        }
        let source = self.source(&self.work.lock(), index.tree);
        for key in added {
            let Some(prefix) = index.prefix(key)? else {
                continue;
            };
            let range = KeyRange::prefix(prefix);
            self.work.lock().note_range(access, index.tree, &range);
            let from = staged.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
            let alike = from.take_while(|(key, _)| key.starts_with(prefix)).filter(|(_, payload)| payload.is_some());
            if alike.take(2).count() > 1 || has_other(&source, index, &range, staged).await? {
                return Err(index.violation(key));
            }
        }
        Ok(())
    }
}

/// Whether an index has an entry in a range that no staged change is about.
async fn has_other(source: &Source, index: &Index, range: &KeyRange, staged: &Staged) -> Result<bool> {
    if source.estimate(range).rows_max == 0 {
        return Ok(false);
    }
    let mut entries = Cursor::new(source, &index.schema, range, []);
    while let Some(key) = entries.key().await? {
        if !staged.contains_key(key) {
            return Ok(true);
        }
        entries.advance();
    }
    Ok(false)
}

/// The rows in the order of their keys; of those with one key the last one, if `repeated` allows that.
fn ordered(keys: &KeyColumn, repeated: impl Fn(&[u8]) -> Result<()>) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|row| keys.get(*row));
    let mut kept: Vec<usize> = Vec::with_capacity(order.len());
    for row in order {
        match kept.last_mut().filter(|last| keys.get(**last) == keys.get(row)) {
            Some(last) => {
                repeated(keys.get(row))?;
                *last = row;
            }
            None => kept.push(row),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_keys_and_the_last_of_equal_ones_counts() {
        let mut keys = KeyColumn::default();
        [b"b", b"a", b"c", b"a", b"b", b"a"].iter().for_each(|key| keys.push(*key));
        assert_eq!(ordered(&keys, |_| Ok(())).unwrap(), [5, 4, 2]);
        let error = ordered(&keys, |key| Err(Error::bad_request(String::from_utf8_lossy(key)))).unwrap_err();
        assert_eq!(error.message(), "a");
        assert_eq!(ordered(&KeyColumn::default(), |_| Ok(())).unwrap(), Vec::<usize>::new());
    }
}
