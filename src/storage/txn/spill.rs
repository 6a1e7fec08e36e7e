//! Where the memory of a transaction ends: rows that it has written go to segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt as _;

use super::{Core, Work};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::storage::memtable::{Key, Memtable, Payload};
use crate::storage::merge::entries;
use crate::storage::segment::Segment;
use crate::value::schema::{Schema, TreeId};

/// Bytes of one tree in memory. What is committed from memory goes to the log and is written a second time by the next
/// checkpoint, so beyond some size a segment is cheaper.
pub(in crate::storage) const TREE_BYTES_MAX: u64 = 32 << 20;
/// Segments of a transaction. Each is a file, and what is read is merged from all of them.
const SEGMENTS_MAX: usize = 4096;

impl Core {
    /// Writes rows to segments while they take more memory than they may. The caller holds the [`Core::writer`].
    ///
    /// # Errors
    /// `TooLarge` if there are too many segments, or too many bytes in tables to which rows were appended; `Internal`
    /// if a segment cannot be written.
    pub(in crate::storage) async fn make_room(&self) -> Result<()> {
        while let Some(tree) = self.crowded()? {
            self.spill(tree).await?;
            if self.work.lock().writes.segments_len() > SEGMENTS_MAX {
                let message = format!("the transaction writes more than its memory and {SEGMENTS_MAX} files can take");
                return Err(Error::too_large(message));
            }
        }
        Ok(())
    }

    /// A tree whose rows should not stay in memory.
    fn crowded(&self) -> Result<Option<TreeId>> {
        let work = self.work.lock();
        let is_full = work.writes.bytes() > self.write_bytes_max();
        let largest = work.writes.largest().filter(|(_, bytes)| *bytes > 0);
        match (largest, work.writes.stamped()) {
            (Some((tree, bytes)), _) => Ok((is_full || bytes > TREE_BYTES_MAX).then_some(tree)),
            (None, (1.., Some(tree))) if is_full => Err(self.no_room(&work, tree)),
            (None, _) => Ok(None),
        }
    }

    /// How many bytes of memory writes may take: half of it is for what is read.
    pub(super) fn write_bytes_max(&self) -> u64 {
        self.bytes_max / 2
    }

    /// The error of a table to which rows were appended, so that they must stay in memory, and cannot.
    pub(super) fn no_room(&self, work: &Work, tree: TreeId) -> Error {
        let access = work.used.values().find(|access| access.trees().any(|(id, _)| id == tree));
        let name = access.map(|access| Arc::clone(&access.table.name)).unwrap_or_default();
        let bytes = self.write_bytes_max();
        let message = format!("rows were appended to {name}, so all that is written there must fit in {bytes} bytes");
        Error::too_large(message)
    }

    /// Writes the rows of a tree that are in memory to a segment. The caller holds the [`Core::writer`].
    ///
    /// # Errors
    /// `TooLarge` if rows were appended to the tree, whose keys only the commit will know; `Internal` if the segment
    /// cannot be written. The rows stay in memory then.
    pub(in crate::storage) async fn spill(&self, tree: TreeId) -> Result<()> {
        let (overlay, schema) = {
            let work = self.work.lock();
            let Some(schema) = work.writes.schema(tree).cloned() else {
                return Ok(());
            };
            let overlay = work.writes.overlay(tree).0;
            if overlay.writes.is_empty() {
                return Ok(());
            }
            if work.writes.is_stamped(tree) {
                return Err(self.no_room(&work, tree));
            }
            (overlay, schema)
        };
        let segment = self.segment_of(tree, &schema, &overlay.writes).await?;
        self.work.lock().writes.replace(tree, segment);
        Ok(())
    }

    /// A segment with the given rows of a tree, or marks that they are deleted.
    ///
    /// # Errors
    /// `Internal` if it cannot be written.
    pub(in crate::storage) async fn segment_of(
        &self,
        tree: TreeId,
        schema: &Arc<Schema>,
        writes: &BTreeMap<Key, Option<Payload>>,
    ) -> Result<Option<Arc<Segment>>> {
        let (memtable, mut has_tombstones) = (Memtable::new(), false);
        for (key, payload) in writes {
            has_tombstones |= payload.is_none();
            memtable.put(Arc::clone(key), 0, payload.clone());
        }
        let mut writer = self.store.new_segment_writer(tree, schema, has_tombstones)?;
        let mut entries = entries(vec![Arc::new(memtable)], vec![], Arc::clone(schema), KeyRange::all(), false);
        while let Some(entries) = entries.try_next().await? {
            // The commit that wrote them is the one that will bring the segment, so they have no number of their own.
            writer.push(entries.batch, entries.deleted, None, &entries.keys).await?;
        }
        Ok(writer.finish().await?.map(|meta| self.store.open_segment(meta, schema)))
    }
}

/// A memtable with the given rows, as if they were of commit 0.
pub(in crate::storage) fn memtable(writes: &BTreeMap<Key, Option<Payload>>) -> Arc<Memtable> {
    let memtable = Memtable::new();
    for (key, payload) in writes {
        memtable.put(Arc::clone(key), 0, payload.clone());
    }
    Arc::new(memtable)
}
