//! How one version becomes the next.
//!
//! Commits, flushes and merges run side by side, and each publishes versions. None of them builds a version beforehand:
//! each says what it changes, and that is applied to whichever version is the newest then. So what a flush or a merge
//! has made may find that its tree was emptied or dropped meanwhile; then it is not installed.

use std::cmp::Reverse;
use std::sync::Arc;

use super::memtable::Memtable;
use super::segment::{Segment, SegmentMeta};
use super::version::{TreeVersion, Version};
use crate::value::{Schema, TreeId};

/// A change of one tree. Edits of trees that do not exist do nothing.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// A new tree, whose rows are put into `active`.
    Create { tree: TreeId, schema: Arc<Schema>, active: Arc<Memtable> },
    /// The columns change, the rows stay.
    Alter { tree: TreeId, schema: Arc<Schema> },
    /// The tree is gone.
    Drop { tree: TreeId },
    /// All rows are gone, and new ones are put into `active`.
    Clear { tree: TreeId, active: Arc<Memtable> },
    /// A segment is part of its tree.
    Ingest { segment: Arc<Segment> },
    /// Memtables take no more rows, and new ones are put into `active`.
    Freeze { tree: TreeId, active: Arc<Memtable> },
    /// The rows of frozen memtables are in segments. All of these memtables are in the tree, or none.
    Flush { tree: TreeId, memtables: Vec<Arc<Memtable>>, segments: Vec<Arc<Segment>> },
    /// The rows of some segments are in others.
    Merge { tree: TreeId, inputs: Vec<Arc<Segment>>, outputs: Vec<Arc<Segment>> },
}

impl Edit {
    /// The tree that is changed.
    pub(super) fn tree(&self) -> TreeId {
        match self {
            Edit::Create { tree, .. }
            | Edit::Alter { tree, .. }
            | Edit::Drop { tree }
            | Edit::Clear { tree, .. }
            | Edit::Freeze { tree, .. }
            | Edit::Flush { tree, .. }
            | Edit::Merge { tree, .. } => *tree,
            Edit::Ingest { segment } => segment.meta().tree,
        }
    }
}

impl Version {
    /// Applies edits in order, and adds the segments that are in no version from now on to `retired`: those that were
    /// replaced, and those that were to be installed and could not.
    pub(super) fn edit(&self, edits: impl IntoIterator<Item = Edit>, retired: &mut Vec<Arc<Segment>>) -> Version {
        let mut version = self.clone();
        for edit in edits {
            version.apply(edit, retired);
        }
        version
    }

    fn apply(&mut self, edit: Edit, retired: &mut Vec<Arc<Segment>>) {
        match edit {
            Edit::Create { tree, schema, active } => {
                let created = TreeVersion { active, ..TreeVersion::new(tree, schema) };
                self.trees.insert(tree, Arc::new(created));
            }
            Edit::Alter { tree, schema } => self.change(tree, |version| version.schema = schema),
            Edit::Drop { tree } => {
                let dropped = self.trees.remove(&tree);
                retired.extend(dropped.iter().flat_map(|tree| tree.segments.iter().cloned()));
            }
            Edit::Clear { tree, active } => self.change(tree, |version| {
                retired.append(&mut version.segments);
                version.frozen.clear();
                version.active = active;
            }),
            Edit::Ingest { segment } => {
                let tree = segment.meta().tree;
                match self.trees.get_mut(&tree) {
                    Some(version) => insert(&mut Arc::make_mut(version).segments, [segment]),
                    None => retired.push(segment),
                }
            }
            Edit::Freeze { tree, active } => self.change(tree, |version| {
                let frozen = std::mem::replace(&mut version.active, active);
                version.frozen.insert(0, frozen);
            }),
            Edit::Flush { tree, memtables, segments } => self.flush(tree, &memtables, segments, retired),
            Edit::Merge { tree, inputs, outputs } => self.merge(tree, &inputs, outputs, retired),
        }
    }

    fn change(&mut self, tree: TreeId, change: impl FnOnce(&mut TreeVersion)) {
        if let Some(version) = self.trees.get_mut(&tree) {
            change(Arc::make_mut(version));
        }
    }

    fn flush(
        &mut self,
        tree: TreeId,
        memtables: &[Arc<Memtable>],
        segments: Vec<Arc<Segment>>,
        retired: &mut Vec<Arc<Segment>>,
    ) {
        let is_flushed = |frozen: &Arc<Memtable>| memtables.iter().any(|memtable| Arc::ptr_eq(memtable, frozen));
        match self.trees.get_mut(&tree).filter(|version| version.frozen.iter().any(is_flushed)) {
            Some(version) => {
                let version = Arc::make_mut(version);
                version.frozen.retain(|frozen| !is_flushed(frozen));
                insert(&mut version.segments, segments);
            }
            // The rows are gone.
            None => retired.extend(segments),
        }
    }

    fn merge(
        &mut self,
        tree: TreeId,
        inputs: &[Arc<Segment>],
        outputs: Vec<Arc<Segment>>,
        retired: &mut Vec<Arc<Segment>>,
    ) {
        let is_input = |segment: &Arc<Segment>| inputs.iter().any(|input| input.meta().id == segment.meta().id);
        match self.trees.get_mut(&tree).filter(|version| version.segments.iter().any(is_input)) {
            Some(version) => {
                let version = Arc::make_mut(version);
                retired.extend(version.segments.extract_if(.., |segment| is_input(segment)));
                insert(&mut version.segments, outputs);
            }
            None => retired.extend(outputs),
        }
    }
}

/// Sorts segments by age. Those of a flush have greater ordinals than those that a transaction wrote, and so come later
/// when both are of one commit: what a transaction has in memory is newer than what it spilled.
pub(super) fn age(meta: &SegmentMeta) -> (u64, u32, u64) {
    (meta.seq, meta.ordinal, meta.id)
}

/// Adds segments to those of a tree.
fn insert(segments: &mut Vec<Arc<Segment>>, added: impl IntoIterator<Item = Arc<Segment>>) {
    segments.extend(added);
    sort(segments);
}

/// Sorts segments, newest first.
pub(super) fn sort(segments: &mut [Arc<Segment>]) {
    segments.sort_by_key(|segment| Reverse(age(segment.meta())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::sample::{define, unwritten};

    const TREE: TreeId = TreeId(7);

    fn memtable() -> Arc<Memtable> {
        let memtable = Memtable::new();
        memtable.put(Arc::from([1u8].as_slice()), 1, None);
        Arc::new(memtable)
    }

    fn segment(id: u64, seq: u64) -> Arc<Segment> {
        unwritten(TREE, id, seq, [1, 9])
    }

    fn schema() -> Arc<Schema> {
        Arc::clone(&define("/a", TREE).table.schema)
    }

    /// A version with one tree, to which rows were put that are frozen.
    fn frozen() -> (Version, Arc<Memtable>) {
        let active = memtable();
        let create = Edit::Create { tree: TREE, schema: schema(), active: Arc::clone(&active) };
        let freeze = Edit::Freeze { tree: TREE, active: Arc::default() };
        (Version::default().edit([create, freeze], &mut vec![]), active)
    }

    fn ids(segments: &[Arc<Segment>]) -> Vec<u64> {
        segments.iter().map(|segment| segment.meta().id).collect()
    }

    /// What is left of the tree, and which segments are in no version any more.
    #[track_caller]
    fn check(version: &Version, edits: Vec<Edit>, expected: Option<(usize, &[u64])>, retired: &[u64]) -> Version {
        let mut found = Vec::new();
        let next = version.edit(edits, &mut found);
        let tree = next.trees.get(&TREE);
        let left = tree.map(|tree| (tree.frozen.len(), ids(&tree.segments)));
        assert_eq!(left, expected.map(|(frozen, segments)| (frozen, segments.to_vec())));
        assert_eq!(ids(&found), retired);
        next
    }

    #[test]
    fn a_flush_takes_the_place_of_its_memtables() {
        let (version, memtable) = frozen();
        let flush = |segments| Edit::Flush { tree: TREE, memtables: vec![Arc::clone(&memtable)], segments };
        let next = check(&version, vec![flush(vec![segment(1, 1)])], Some((0, &[1])), &[]);
        // The version that others hold is as it was.
        check(&version, vec![], Some((1, &[])), &[]);
        check(&next, vec![flush(vec![segment(2, 1)])], Some((0, &[1])), &[2]);
    }

    #[test]
    fn what_was_written_for_a_tree_that_was_emptied_or_dropped_is_not_installed() {
        let (version, memtable) = frozen();
        let flush =
            || Edit::Flush { tree: TREE, memtables: vec![Arc::clone(&memtable)], segments: vec![segment(1, 1)] };
        let clear = Edit::Clear { tree: TREE, active: Arc::default() };
        check(&version, vec![clear.clone(), flush()], Some((0, &[])), &[1]);
        check(&version, vec![Edit::Drop { tree: TREE }, flush()], None, &[1]);

        let ingest = |id| Edit::Ingest { segment: segment(id, id) };
        let merge =
            || Edit::Merge { tree: TREE, inputs: vec![segment(3, 3), segment(2, 2)], outputs: vec![segment(5, 3)] };
        let next = check(&version, vec![ingest(2), ingest(3), ingest(4)], Some((1, &[4, 3, 2])), &[]);
        check(&next, vec![merge()], Some((1, &[4, 5])), &[3, 2]);
        check(&next, vec![clear, merge()], Some((0, &[])), &[4, 3, 2, 5]);
        check(&next, vec![Edit::Drop { tree: TREE }, merge(), ingest(6)], None, &[4, 3, 2, 5, 6]);
    }

    #[test]
    fn segments_are_sorted_by_age() {
        let (version, _) = frozen();
        let ingest = |segment: &Arc<Segment>, seq, ordinal| Edit::Ingest { segment: segment.committed(seq, ordinal) };
        let base = [segment(1, 0), segment(2, 0), segment(3, 0), segment(4, 0)];
        let edits =
            vec![ingest(&base[0], 5, u32::MAX), ingest(&base[1], 7, 0), ingest(&base[2], 5, 1), ingest(&base[3], 5, 0)];
        check(&version, edits, Some((1, &[2, 1, 3, 4])), &[]);
    }

    #[test]
    fn a_new_schema_keeps_the_rows() {
        let (version, _) = frozen();
        let other = Arc::new(Schema { indexes: vec![], ..Schema::clone(&schema()) });
        let next = check(&version, vec![Edit::Alter { tree: TREE, schema: Arc::clone(&other) }], Some((1, &[])), &[]);
        assert!(Arc::ptr_eq(&next.trees[&TREE].schema, &other));
    }
}
