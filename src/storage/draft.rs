//! Commits on their way into the newest version: rows go to memtables, everything else becomes edits.
//!
//! The same is done when commits are made and when the log is replayed, so that a store that was opened again is what
//! it was.

use std::collections::HashMap;
use std::sync::Arc;

use super::directory::TreeChange;
use super::edit::Edit;
use super::memtable::{Key, Memtable, Payload};
use super::segment::Segment;
use super::version::Version;
use crate::value::TreeId;

/// What one commit does, beside what it makes of the catalog's trees.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) seq: u64,
    /// What becomes of trees, first of all.
    pub(super) trees: Vec<TreeChange>,
    /// Then these lose their rows,
    pub(super) cleared: Vec<TreeId>,
    /// these are added, with the number of the commit,
    pub(super) ingests: Vec<Arc<Segment>>,
    /// and these rows are put or deleted.
    pub(super) writes: Vec<(TreeId, Key, Option<Payload>)>,
}

/// Some commits that follow each other, applied to a version.
///
/// Rows are in the memtables of the version at once, where nobody sees them before the number of their commit is
/// published. The edits are for whoever publishes it.
#[derive(Debug)]
pub(super) struct Draft {
    base: Arc<Version>,
    /// Where the rows of the trees go that were looked up, none for a tree that does not exist.
    actives: HashMap<TreeId, Option<Active>>,
    edits: Vec<Edit>,
    /// Bytes that all active memtables have more than before.
    grown: i64,
}

#[derive(Clone, Debug)]
struct Active {
    memtable: Arc<Memtable>,
    /// Its bytes before.
    bytes: u64,
}

impl Active {
    fn new(memtable: Arc<Memtable>) -> Self {
        Self { bytes: memtable.bytes(), memtable }
    }

    fn grown(&self) -> i64 {
        signed(self.memtable.bytes()) - signed(self.bytes)
    }
}

impl Draft {
    /// Nothing yet, on top of `base`. Nobody else may change its memtables, or freeze them, before this is published.
    pub(super) fn new(base: Arc<Version>) -> Self {
        Self { base, actives: HashMap::new(), edits: vec![], grown: 0 }
    }

    /// Applies the next commit.
    pub(super) fn apply(&mut self, change: Change) {
        for tree in change.trees {
            self.change_tree(tree);
        }
        for tree in change.cleared {
            if self.memtable(tree).is_some() {
                let active = self.replace(tree);
                self.edits.push(Edit::Clear { tree, active });
            }
        }
        self.edits.extend(change.ingests.into_iter().map(|segment| Edit::Ingest { segment }));
        for (tree, key, value) in change.writes {
            // A tree that this very commit has dropped takes no rows.
            if let Some(memtable) = self.memtable(tree) {
                memtable.put(key, change.seq, value);
            }
        }
    }

    /// The edits, in order, and by how many bytes all active memtables have grown.
    pub(super) fn finish(self) -> (Vec<Edit>, i64) {
        let grown = self.actives.values().flatten().map(Active::grown).sum::<i64>();
        (self.edits, self.grown + grown)
    }

    fn change_tree(&mut self, change: TreeChange) {
        match change {
            TreeChange::Create(tree, schema) => {
                let active = self.replace(tree);
                self.edits.push(Edit::Create { tree, schema, active });
            }
            TreeChange::Alter(tree, schema) => self.edits.push(Edit::Alter { tree, schema }),
            TreeChange::Drop(tree) => {
                self.discard(tree);
                self.actives.insert(tree, None);
                self.edits.push(Edit::Drop { tree });
            }
        }
    }

    /// Where rows of `tree` go, if it exists.
    fn memtable(&mut self, tree: TreeId) -> Option<&Memtable> {
        self.active(tree).as_ref().map(|active| &*active.memtable)
    }

    fn active(&mut self, tree: TreeId) -> &Option<Active> {
        let base = &self.base;
        let find = || base.trees.get(&tree).map(|version| Active::new(Arc::clone(&version.active)));
        self.actives.entry(tree).or_insert_with(find)
    }

    /// Gives `tree` an empty memtable.
    fn replace(&mut self, tree: TreeId) -> Arc<Memtable> {
        self.discard(tree);
        let memtable = Arc::new(Memtable::new());
        self.actives.insert(tree, Some(Active::new(Arc::clone(&memtable))));
        memtable
    }

    /// Forgets the rows of `tree` that are in its memtable.
    fn discard(&mut self, tree: TreeId) {
        let bytes = self.active(tree).as_ref().map_or(0, |active| active.bytes);
        self.grown -= signed(bytes);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::sample::define;
    use crate::storage::version::TreeVersion;

    const TREE: TreeId = TreeId(7);

    fn change(seq: u64, trees: Vec<TreeChange>, cleared: &[TreeId], keys: &[u8]) -> Change {
        let key = |byte: &u8| (TREE, Key::from([*byte].as_slice()), Some(Payload::from([0u8; 100].as_slice())));
        let writes = keys.iter().map(key).collect();
        Change { seq, trees, cleared: cleared.to_vec(), ingests: vec![], writes }
    }

    /// Bytes of all active memtables.
    fn bytes(version: &Version) -> i64 {
        version.trees.values().map(|tree| signed(tree.active.bytes())).sum()
    }

    #[track_caller]
    fn check(version: &Arc<Version>, changes: Vec<Change>, rows: Option<u64>) -> Arc<Version> {
        let before = bytes(version);
        let mut draft = Draft::new(Arc::clone(version));
        changes.into_iter().for_each(|change| draft.apply(change));
        let (edits, grown) = draft.finish();
        let next = version.edit(edits, &mut vec![]);
        assert_eq!(next.trees.get(&TREE).map(|tree| tree.active.len()), rows);
        assert_eq!(bytes(&next), before + grown);
        Arc::new(next)
    }

    #[test]
    fn rows_go_where_their_tree_is_then() {
        let schema = Arc::clone(&define("/a", TREE).table.schema);
        let create = || vec![TreeChange::Create(TREE, Arc::clone(&schema))];
        let none = Vec::new;
        let empty = Arc::new(Version::default());
        check(&empty, vec![change(1, none(), &[], &[1, 2])], None);
        let version = check(&empty, vec![change(1, create(), &[], &[1, 2]), change(2, none(), &[], &[3])], Some(3));
        // They are in the memtable of the version that there was.
        check(&version, vec![change(3, none(), &[], &[4, 5])], Some(5));
        assert_eq!(version.trees[&TREE].active.len(), 5);
        check(&version, vec![change(4, none(), &[], &[6]), change(5, none(), &[TREE], &[7, 8])], Some(2));
        let dropped = || vec![TreeChange::Drop(TREE)];
        check(&version, vec![change(6, dropped(), &[TREE], &[9])], None);
        check(&version, vec![change(7, dropped(), &[], &[]), change(8, create(), &[], &[1])], Some(1));
        let other: TreeId = TreeId(8);
        let tree = TreeVersion::new(other, schema);
        let with_other = Version { trees: [(other, Arc::new(tree))].into() };
        check(&Arc::new(with_other), vec![change(9, none(), &[TREE], &[1])], None);
    }
}
