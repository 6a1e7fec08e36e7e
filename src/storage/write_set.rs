//! What a transaction has written: an overlay over each tree that it touched.
//!
//! Few rows stay in memory, sorted. Many are in segments, which the transaction wrote beforehand and which only a commit
//! makes part of the store. A write set does no I/O; it says what should be spilled, and its owner does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::CATALOG;
use super::memtable::{Key, Payload};
use super::segment::Segment;
use super::tree::Overlay;
use crate::value::schema::{Schema, TreeId};

/// Bytes of an entry of an overlay beside its key and payload: two shared allocations with their counters, and the place
/// in the map.
const ENTRY_BYTES: u64 = 96;

/// The writes of one transaction, tree by tree.
#[derive(Debug, Default)]
pub(super) struct WriteSet {
    trees: BTreeMap<TreeId, TreeWrites>,
    /// Of all overlays in memory.
    bytes: u64,
    /// Segments whose rows were cleared. They are kept to the end, because a scan that began before may read them.
    cleared: Vec<Arc<Segment>>,
}

/// The writes in one tree.
#[derive(Debug)]
struct TreeWrites {
    schema: Arc<Schema>,
    overlay: Overlay,
    /// Of the overlay in memory.
    bytes: u64,
    base: Base,
    /// How many rows were appended, if any were: see [`WriteSet::append_rows`].
    appended: Option<u64>,
}

/// What becomes of the rows that are in a tree beside those of the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Base {
    /// They are seen.
    Seen,
    /// They go away.
    Cleared,
    /// There are none: the tree belongs to the transaction, or is created by it.
    None,
}

/// The durable part of a write set, as a commit wants it.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub cleared: Vec<TreeId>,
    pub ingests: Vec<Arc<Segment>>,
    pub writes: Vec<(TreeId, Key, Option<Payload>)>,
    pub stamped: Vec<TreeId>,
}

impl WriteSet {
    /// The writes in `tree`, and whether they are all that there is in it.
    pub(super) fn overlay(&self, tree: TreeId) -> (Overlay, bool) {
        match self.trees.get(&tree) {
            Some(writes) => (writes.overlay.clone(), writes.base != Base::Seen),
            None => (Overlay::default(), tree.is_ephemeral()),
        }
    }

    /// The schema of `tree`, if anything was written to it.
    pub(super) fn schema(&self, tree: TreeId) -> Option<&Arc<Schema>> {
        self.trees.get(&tree).map(|writes| &writes.schema)
    }

    /// The bytes of all overlays in memory, roughly.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether anything was written that outlives the transaction.
    pub(super) fn is_durable(&self) -> bool {
        self.trees.iter().any(|(tree, writes)| !tree.is_ephemeral() && !writes.is_empty())
    }

    /// Whether something was written to `tree`, or its rows were cleared.
    pub(super) fn changes(&self, tree: TreeId) -> bool {
        self.trees.get(&tree).is_some_and(|writes| !writes.is_empty())
    }

    /// Puts a payload, or deletes the key if there is none.
    pub(super) fn write(&mut self, tree: TreeId, schema: &Arc<Schema>, key: Key, payload: Option<Payload>) {
        let writes = self.tree(tree, schema);
        let before = writes.bytes;
        writes.write(key, payload);
        let after = writes.bytes;
        self.bytes = self.bytes - before + after;
    }

    /// How many rows were appended to `tree`.
    pub(super) fn appended(&self, tree: TreeId) -> u64 {
        self.trees.get(&tree).and_then(|writes| writes.appended).unwrap_or_default()
    }

    /// Whether rows were appended to `tree`. What is written there stays in memory, since keys change with the commit.
    pub(super) fn is_stamped(&self, tree: TreeId) -> bool {
        self.trees.get(&tree).is_some_and(|writes| writes.appended.is_some())
    }

    /// The bytes in memory of all trees to which rows were appended, and the largest of these trees.
    pub(super) fn stamped(&self) -> (u64, Option<TreeId>) {
        let stamped = || self.trees.iter().filter(|(_, writes)| writes.appended.is_some());
        let largest = stamped().max_by_key(|(_, writes)| writes.bytes);
        (stamped().map(|(_, writes)| writes.bytes).sum(), largest.map(|(tree, _)| *tree))
    }

    /// Puts rows, or entries of an index, whose keys have [`super::codec::UNSTAMPED`] as the last cell but one, until the
    /// commit puts its number there.
    pub(super) fn append_rows(&mut self, tree: TreeId, schema: &Arc<Schema>, rows: Vec<(Key, Payload)>) {
        *self.tree(tree, schema).appended.get_or_insert(0) += rows.len() as u64;
        for (key, payload) in rows {
            self.write(tree, schema, key, Some(payload));
        }
    }

    /// Notes that `tree` is new, so that it has no other rows.
    pub(super) fn create(&mut self, tree: TreeId, schema: &Arc<Schema>) {
        self.tree(tree, schema).base = Base::None;
    }

    /// Notes that a tree has another schema from now on, and the same rows.
    pub(super) fn alter(&mut self, tree: TreeId, schema: &Arc<Schema>) {
        if let Some(writes) = self.trees.get_mut(&tree) {
            writes.schema = Arc::clone(schema);
        }
    }

    /// Deletes all rows of a tree.
    pub(super) fn clear(&mut self, tree: TreeId, schema: &Arc<Schema>) {
        let writes = self.tree(tree, schema);
        let (bytes, overlay) = (std::mem::take(&mut writes.bytes), std::mem::take(&mut writes.overlay));
        if writes.base == Base::Seen {
            writes.base = Base::Cleared;
        }
        writes.appended = None;
        self.bytes -= bytes;
        self.cleared.extend(overlay.segments);
    }

    /// Deletes a tree with all its rows.
    pub(super) fn drop_tree(&mut self, tree: TreeId, schema: &Arc<Schema>) {
        self.clear(tree, schema);
        // Of a tree that nobody else has seen nothing remains.
        if self.trees.get(&tree).is_some_and(|writes| writes.base == Base::None) {
            self.trees.remove(&tree);
        }
    }

    /// Adds segments with rows that are newer than all in `tree`, which has none in memory then: see
    /// [`WriteSet::replace`]. The last one is the newest.
    pub(super) fn append(
        &mut self,
        tree: TreeId,
        schema: &Arc<Schema>,
        segments: impl IntoIterator<Item = Arc<Segment>>,
    ) {
        let writes = self.tree(tree, schema);
        debug_assert!(writes.overlay.writes.is_empty(), "rows in memory would hide newer ones in segments");
        writes.overlay.segments.extend(segments);
    }

    /// Replaces the rows of `tree` in memory by a segment that has them. There is none if no row remained.
    pub(super) fn replace(&mut self, tree: TreeId, segment: Option<Arc<Segment>>) {
        if let Some(writes) = self.trees.get_mut(&tree) {
            writes.overlay.writes = Arc::default();
            writes.overlay.segments.extend(segment);
            self.bytes -= std::mem::take(&mut writes.bytes);
        }
    }

    /// The tree with the most bytes in memory that may go to segments, and how many these are. It is never the catalog,
    /// which the store wants to read in the commit itself, nor one to which rows were appended.
    pub(super) fn largest(&self) -> Option<(TreeId, u64)> {
        let trees = self.trees.iter().filter(|(tree, writes)| **tree != CATALOG && writes.appended.is_none());
        trees.map(|(tree, writes)| (*tree, writes.bytes)).max_by_key(|(_, bytes)| *bytes)
    }

    /// How many segments there are.
    pub(super) fn segments_len(&self) -> usize {
        self.trees.values().map(|writes| writes.overlay.segments.len()).sum::<usize>() + self.cleared.len()
    }

    /// Moves out what outlives the transaction. The rows of its own collections stay.
    pub(super) fn take_durable(&mut self) -> Parts {
        let mut parts = Parts::default();
        let ephemeral = self.trees.split_off(&TreeId(TreeId::EPHEMERAL));
        for (tree, writes) in std::mem::replace(&mut self.trees, ephemeral) {
            self.bytes -= writes.bytes;
            if writes.base == Base::Cleared {
                parts.cleared.push(tree);
            }
            if writes.appended.is_some() {
                parts.stamped.push(tree);
            }
            parts.ingests.extend(writes.overlay.segments);
            let rows = Arc::unwrap_or_clone(writes.overlay.writes);
            parts.writes.extend(rows.into_iter().map(|(key, payload)| (tree, key, payload)));
        }
        parts
    }

    /// Moves out all segments, which nobody needs any more.
    pub(super) fn take_segments(&mut self) -> Vec<Arc<Segment>> {
        let mut segments = std::mem::take(&mut self.cleared);
        for writes in self.trees.values_mut() {
            segments.append(&mut writes.overlay.segments);
        }
        segments
    }

    fn tree(&mut self, tree: TreeId, schema: &Arc<Schema>) -> &mut TreeWrites {
        self.trees.entry(tree).or_insert_with(|| TreeWrites {
            schema: Arc::clone(schema),
            overlay: Overlay::default(),
            bytes: 0,
            base: if tree.is_ephemeral() { Base::None } else { Base::Seen },
            appended: None,
        })
    }
}

impl TreeWrites {
    fn is_empty(&self) -> bool {
        self.overlay.writes.is_empty() && self.overlay.segments.is_empty() && self.base != Base::Cleared
    }

    fn write(&mut self, key: Key, payload: Option<Payload>) {
        let rows = Arc::make_mut(&mut self.overlay.writes);
        let is_over_nothing = self.base != Base::Seen && self.overlay.segments.is_empty();
        let (added, replaced) = if payload.is_none() && is_over_nothing {
            // There is nothing that a mark could hide.
            (0, rows.remove_entry(&key).map_or(0, |(key, old)| entry_bytes(&key, old.as_ref())))
        } else {
            let key_len = key.len() as u64;
            let added = entry_bytes(&key, payload.as_ref());
            let replaced = rows
                .insert(key, payload)
                .map_or(0, |old| ENTRY_BYTES + key_len + old.map_or(0, |old| old.len() as u64));
            (added, replaced)
        };
        self.bytes = self.bytes + added - replaced;
    }
}

/// The bytes of an entry of an overlay in memory, roughly.
pub(super) fn entry_bytes(key: &[u8], payload: Option<&Payload>) -> u64 {
    ENTRY_BYTES + key.len() as u64 + payload.map_or(0, |payload| payload.len() as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::catalog::catalog_schema;

    const TREE: TreeId = TreeId(7);
    const OWN: TreeId = TreeId(TreeId::EPHEMERAL);

    fn key(n: u8) -> Key {
        Arc::from([n])
    }

    fn payload(len: usize) -> Option<Payload> {
        Some(vec![0; len].into())
    }

    fn put(set: &mut WriteSet, tree: TreeId, n: u8, value: Option<Payload>) {
        set.write(tree, catalog_schema(), key(n), value);
    }

    #[test]
    fn a_deletion_is_remembered_only_where_it_hides_something() {
        let mut set = WriteSet::default();
        put(&mut set, TREE, 1, None);
        put(&mut set, OWN, 1, payload(3));
        put(&mut set, OWN, 1, None);
        assert_eq!(set.overlay(TREE).0.writes.len(), 1);
        assert_eq!(set.overlay(OWN).0.writes.len(), 0);
        set.clear(TREE, catalog_schema());
        put(&mut set, TREE, 1, None);
        assert_eq!(set.overlay(TREE).0.writes.len(), 0);
        assert_eq!(set.bytes(), 0);
    }

    #[test]
    fn a_cleared_tree_is_a_change_and_a_new_one_is_not() {
        let mut set = WriteSet::default();
        set.create(TreeId(8), catalog_schema());
        assert!(!set.is_durable() && set.overlay(TreeId(8)).1);
        put(&mut set, OWN, 1, payload(1));
        assert!(!set.is_durable() && set.changes(OWN));
        set.clear(TREE, catalog_schema());
        assert!(set.is_durable() && set.changes(TREE) && set.overlay(TREE).1);
        let parts = set.take_durable();
        assert_eq!((parts.cleared, parts.writes.len()), (vec![TREE], 0));
        assert!(!set.is_durable() && set.changes(OWN));
    }

    #[test]
    fn nothing_remains_of_a_tree_that_was_created_and_dropped() {
        let mut set = WriteSet::default();
        set.create(TREE, catalog_schema());
        put(&mut set, TREE, 1, payload(10));
        set.drop_tree(TREE, catalog_schema());
        assert!(!set.changes(TREE) && set.bytes() == 0);
        set.drop_tree(TreeId(8), catalog_schema());
        assert_eq!(set.take_durable().cleared, [TreeId(8)]);
    }

    #[test]
    fn rows_that_are_appended_stay_in_memory() {
        let mut set = WriteSet::default();
        put(&mut set, TreeId(8), 1, payload(1));
        put(&mut set, TREE, 1, payload(50));
        assert_eq!((set.largest().map(|(tree, _)| tree), set.stamped()), (Some(TREE), (0, None)));
        set.append_rows(TREE, catalog_schema(), vec![(key(2), payload(5).unwrap()), (key(3), payload(5).unwrap())]);
        assert_eq!((set.appended(TREE), set.is_stamped(TREE), set.is_stamped(TreeId(8))), (2, true, false));
        assert_eq!(set.largest().map(|(tree, _)| tree), Some(TreeId(8)));
        assert_eq!(set.stamped(), (3 * (ENTRY_BYTES + 1) + 60, Some(TREE)));
        let mut cleared = WriteSet::default();
        cleared.append_rows(TREE, catalog_schema(), vec![(key(2), payload(5).unwrap())]);
        cleared.clear(TREE, catalog_schema());
        assert!(!cleared.is_stamped(TREE) && cleared.take_durable().stamped.is_empty());
        let parts = set.take_durable();
        assert_eq!((parts.stamped, parts.writes.len()), (vec![TREE], 4));
    }

    #[test]
    fn a_scan_keeps_what_it_saw() {
        let mut set = WriteSet::default();
        put(&mut set, TREE, 1, payload(1));
        let (seen, _) = set.overlay(TREE);
        put(&mut set, TREE, 2, payload(1));
        assert_eq!((seen.writes.len(), set.overlay(TREE).0.writes.len()), (1, 2));
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_entries(writes in prop::collection::vec((0u8..4, any::<bool>(), 0u8..3, 0usize..20), 0..40)) {
            let mut set = WriteSet::default();
            for (n, own, op, len) in writes {
                let tree = if own { OWN } else { TREE };
                match op {
                    0 => put(&mut set, tree, n, None),
                    1 if len == 0 => set.clear(tree, catalog_schema()),
                    _ => put(&mut set, tree, n, payload(len)),
                }
                let bytes = |tree: TreeId| -> u64 {
                    let (overlay, _) = set.overlay(tree);
                    overlay.writes.iter().map(|(key, payload)| entry_bytes(key, payload.as_ref())).sum()
                };
                prop_assert_eq!(set.bytes(), bytes(OWN) + bytes(TREE));
                let largest = set.largest().map_or(0, |(_, bytes)| bytes);
                prop_assert_eq!(largest, bytes(OWN).max(bytes(TREE)));
            }
        }
    }
}
