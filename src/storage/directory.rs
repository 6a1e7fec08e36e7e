//! Which tables there are at the newest commit, and which trees they own.
//!
//! The catalog's tree has the same for every snapshot; this is what the committer needs at hand: to make and drop the
//! trees of a commit that changes the catalog, to refuse rows for a table that is gone, and to name tables in messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::catalog::{self, CATALOG, Definition, catalog_schema};
use super::codec::key::{KeyRange, decode_key};
use super::memtable::{Key, Payload};
use super::sequencer::Conflict;
use crate::error::{Error, Result};
use crate::value::encode::to_json_within;
use crate::value::{Schema, TreeId, Tuple};

/// Bytes of a key in a message.
const KEY_TEXT_MAX: usize = 120;

/// The tables at the newest commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// By their keys in the catalog.
    tables: HashMap<Key, Arc<Definition>>,
    trees: HashMap<TreeId, Owner>,
    /// Above all trees that there ever were.
    next_tree: u64,
}

/// What a tree is for.
#[derive(Clone, Debug)]
struct Owner {
    /// The key of its table in the catalog.
    table: Key,
    name: Arc<str>,
    /// The name of the index; none for the rows.
    index: Option<Arc<str>>,
    schema: Arc<Schema>,
}

/// What a commit makes of the catalog: entries by their keys, none for a table that is dropped.
#[derive(Debug, Default)]
pub(super) struct CatalogWrites(Vec<(Key, Option<Arc<Definition>>)>);

/// What becomes of a tree when the catalog changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TreeChange {
    Create(TreeId, Arc<Schema>),
    /// The tree has another schema from now on, and the same rows.
    Alter(TreeId, Arc<Schema>),
    Drop(TreeId),
}

impl CatalogWrites {
    /// Those among the writes of a commit that concern the catalog.
    ///
    /// # Errors
    /// `Internal` if an entry cannot be read.
    pub(super) fn read<'a>(
        writes: impl IntoIterator<Item = (TreeId, &'a Key, Option<&'a Payload>)>,
    ) -> Result<CatalogWrites> {
        let mut found = Vec::new();
        for (_, key, payload) in writes.into_iter().filter(|(tree, _, _)| *tree == CATALOG) {
            let definition = payload.map(|payload| Definition::of_entry(key, payload)).transpose()?;
            found.push((Arc::clone(key), definition));
        }
        Ok(Self(found))
    }

    /// The trees of the tables that are defined.
    fn trees(&self) -> impl Iterator<Item = (&Key, TreeId)> {
        let defined = self.0.iter().filter_map(|(key, definition)| Some((key, definition.as_ref()?)));
        defined.flat_map(|(key, definition)| definition.trees().into_iter().map(move |(tree, _)| (key, tree)))
    }
}

impl Directory {
    /// The tables that a catalog defines.
    ///
    /// # Errors
    /// `Internal` if a path cannot be encoded.
    pub(super) fn try_new(definitions: Vec<Arc<Definition>>) -> Result<Self> {
        let entry =
            |definition: Arc<Definition>| Ok((Key::from(catalog::key(&definition.table.name)?), Some(definition)));
        let writes = definitions.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        let mut directory = Self::default();
        directory.apply(CatalogWrites(writes));
        Ok(directory)
    }

    /// The schema of a tree.
    pub(super) fn schema(&self, tree: TreeId) -> Option<&Arc<Schema>> {
        if tree == CATALOG {
            return Some(catalog_schema());
        }
        self.trees.get(&tree).map(|owner| &owner.schema)
    }

    /// All trees but that of the catalog, with their schemas.
    pub(super) fn trees(&self) -> impl Iterator<Item = (TreeId, &Arc<Schema>)> {
        self.trees.iter().map(|(tree, owner)| (*tree, &owner.schema))
    }

    /// The first id above those of all trees that there ever were.
    pub(super) fn next_tree(&self) -> u64 {
        self.next_tree.max(CATALOG.0 + 1)
    }

    /// Whether a commit can be applied that writes `trees`, and `writes` to the catalog.
    ///
    /// # Errors
    /// `Conflict` if a table is gone, `Internal` if a definition claims a tree that is not its own.
    pub(super) fn check(&self, writes: &CatalogWrites, trees: &BTreeSet<TreeId>) -> Result<()> {
        let mut defined = BTreeSet::new();
        for (key, tree) in writes.trees() {
            let is_taken = self.trees.get(&tree).is_some_and(|owner| owner.table != *key);
            if tree == CATALOG || tree.is_ephemeral() || is_taken || !defined.insert(tree) {
                return Err(Error::internal(format!("tree {tree} cannot belong to {}", path_of(key))));
            }
        }
        match trees.iter().find(|tree| self.schema(**tree).is_none() && !defined.contains(*tree)) {
            None => Ok(()),
            Some(tree) if tree.is_ephemeral() => {
                Err(Error::internal(format!("tree {tree} belongs to a transaction and cannot be committed")))
            }
            // Whoever writes to a table has read its definition, so this is found before; it is checked all the same,
            // because the writes would vanish.
            Some(_) => Err(Error::conflict("another transaction dropped a table that this one wrote to: retry it")),
        }
    }

    /// Applies what a commit makes of the catalog, and returns what becomes of the trees, those that vanish first.
    pub(super) fn apply(&mut self, writes: CatalogWrites) -> Vec<TreeChange> {
        let mut changes = Vec::new();
        for (key, definition) in writes.0 {
            let before = match &definition {
                Some(definition) => self.tables.insert(Arc::clone(&key), Arc::clone(definition)),
                None => self.tables.remove(&key),
            };
            let mut before: BTreeMap<TreeId, Arc<Schema>> =
                before.iter().flat_map(|definition| definition.trees()).collect();
            let mut added = Vec::new();
            for (tree, owner) in definition.iter().flat_map(|definition| owners(&key, definition)) {
                let schema = Arc::clone(&owner.schema);
                match before.remove(&tree) {
                    None => added.push(TreeChange::Create(tree, schema)),
                    Some(old) if old != schema => added.push(TreeChange::Alter(tree, schema)),
                    Some(_) => {}
                }
                self.next_tree = self.next_tree.max(tree.0 + 1);
                self.trees.insert(tree, owner);
            }
            for tree in before.into_keys() {
                self.trees.remove(&tree);
                changes.push(TreeChange::Drop(tree));
            }
            changes.append(&mut added);
        }
        changes
    }

    /// The error of a transaction that was refused.
    pub(super) fn explain(&self, conflict: &Conflict) -> Error {
        Error::conflict(match conflict {
            Conflict::TooOld { .. } => {
                "the transaction ran for so long that what others wrote meanwhile is not known any more: retry it"
                    .to_owned()
            }
            Conflict::Key { tree, key, .. } if *tree == CATALOG => {
                format!(
                    "another transaction changed the definition of {} meanwhile: retry the transaction",
                    path_of(key)
                )
            }
            Conflict::Key { tree, key, .. } => {
                let (place, key) = (self.describe(*tree), self.key_text(*tree, key));
                format!("another transaction wrote the row with key {key} of {place} meanwhile: retry the transaction")
            }
            Conflict::Range { tree, range, .. } if *range == KeyRange::all() => {
                format!("another transaction emptied {} meanwhile: retry the transaction", self.describe(*tree))
            }
            Conflict::Range { tree, range, .. } => {
                let (place, range) = (self.describe(*tree), self.range_text(*tree, range));
                format!("another transaction wrote many rows {range} of {place} meanwhile: retry the transaction")
            }
        })
    }

    /// The name of a tree.
    fn describe(&self, tree: TreeId) -> String {
        match self.trees.get(&tree) {
            None => "a table that was dropped".to_owned(),
            Some(Owner { name, index: None, .. }) => format!("table {name}"),
            Some(Owner { name, index: Some(index), .. }) => format!("index {index} of table {name}"),
        }
    }

    /// A key as JSON, or its bytes if they make no sense.
    fn key_text(&self, tree: TreeId, key: &[u8]) -> String {
        let cells = self.schema(tree).and_then(|schema| decode_key(schema.key().iter(), key).ok());
        let text = match cells.map(Tuple::try_new) {
            Some(Ok(tuple)) => to_json_within(&tuple.into(), KEY_TEXT_MAX),
            _ => hex::encode(key),
        };
        match text.char_indices().nth(KEY_TEXT_MAX) {
            None => text,
            Some((end, _)) => format!("{}…", &text[..end]),
        }
    }

    fn range_text(&self, tree: TreeId, range: &KeyRange) -> String {
        match (&range.start, &range.end) {
            (Bound::Included(start), Bound::Included(end)) => {
                format!("from {} to {}", self.key_text(tree, start), self.key_text(tree, end))
            }
            _ => "in a range".to_owned(),
        }
    }
}

/// The trees of a table.
fn owners(key: &Key, definition: &Definition) -> Vec<(TreeId, Owner)> {
    let table = &definition.table;
    let indexes = table.schema.indexes.iter().map(|index| Some(Arc::clone(index.name.shared())));
    let names = std::iter::once(None).chain(indexes);
    let owner = |((tree, schema), index)| {
        (tree, Owner { table: Arc::clone(key), name: Arc::clone(&table.name), index, schema })
    };
    definition.trees().into_iter().zip(names).map(owner).collect()
}

/// The path of a table as its key in the catalog says it.
fn path_of(key: &[u8]) -> String {
    match decode_key(catalog_schema().key().iter(), key) {
        Ok(cells) => cells.first().and_then(crate::value::text::text).unwrap_or_default(),
        Err(_) => hex::encode(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind as ErrorKind;
    use crate::value::schema::{Column, ColumnType, Index, Kind, Table};
    use crate::value::{Class, NumberClass, State};

    fn column(name: &'static str, slot: u32) -> Column {
        let ty = ColumnType::Number(NumberClass::I64);
        let class = Class::Exactly(NumberClass::I64);
        Column { name: name.into(), class, ty, max_len: None, nullable: false, slot, ordinal: 0, default: State::NONE }
    }

    /// A table with the key `id` and the value `size`, and indexes on `size`.
    fn definition(path: &str, rows: u64, indexes: &[(&'static str, u64)]) -> Arc<Definition> {
        let schema = Schema {
            kind: Kind::Table,
            columns: vec![column("id", 0), column("size", 0)],
            key_len: 1,
            indexes: indexes
                .iter()
                .map(|(name, _)| Index { name: (*name).into(), columns: vec![1], unique: false })
                .collect(),
        };
        let indexes = indexes.iter().map(|(_, tree)| TreeId(*tree)).collect();
        let table = Table { name: path.into(), schema: Arc::new(schema), rows: TreeId(rows), indexes };
        Arc::new(Definition::new(Arc::new(table)))
    }

    fn write(definition: &Definition) -> (Key, Payload) {
        let (key, payload) = definition.entry().unwrap();
        (key.into(), payload.into())
    }

    fn put(directory: &mut Directory, definition: &Definition) -> Vec<TreeChange> {
        let (key, payload) = write(definition);
        let writes = CatalogWrites::read([(CATALOG, &key, Some(&payload))]).unwrap();
        directory.check(&writes, &BTreeSet::from([CATALOG])).unwrap();
        directory.apply(writes)
    }

    fn drop_table(directory: &mut Directory, definition: &Definition) -> Vec<TreeChange> {
        let (key, _) = write(definition);
        directory.apply(CatalogWrites::read([(CATALOG, &key, None)]).unwrap())
    }

    #[test]
    fn trees_come_and_go_with_their_table() {
        let mut directory = Directory::default();
        assert_eq!(directory.next_tree(), 1);
        let city = definition("/city", 1, &[("by_size", 2)]);
        let trees = city.trees();
        let created: Vec<TreeChange> = trees.iter().map(|(tree, s)| TreeChange::Create(*tree, Arc::clone(s))).collect();
        assert_eq!(put(&mut directory, &city), created);
        assert_eq!(directory.next_tree(), 3);
        assert_eq!(directory.schema(TreeId(2)), Some(&trees[1].1));
        assert_eq!(put(&mut directory, &city), vec![]);

        let altered = definition("/city", 1, &[("other", 3)]);
        let schemas = altered.trees();
        let expected = vec![
            TreeChange::Drop(TreeId(2)),
            TreeChange::Alter(TreeId(1), Arc::clone(&schemas[0].1)),
            TreeChange::Create(TreeId(3), Arc::clone(&schemas[1].1)),
        ];
        assert_eq!(put(&mut directory, &altered), expected);
        assert_eq!(directory.schema(TreeId(2)), None);
        assert_eq!(
            drop_table(&mut directory, &altered),
            vec![TreeChange::Drop(TreeId(1)), TreeChange::Drop(TreeId(3))]
        );
        assert_eq!(directory.trees().count(), 0);
        assert_eq!(drop_table(&mut directory, &altered), vec![]);
    }

    #[test]
    fn rows_of_unknown_trees_are_refused() {
        let mut directory = Directory::default();
        let city = definition("/city", 1, &[]);
        let (key, payload) = write(&city);
        let create = CatalogWrites::read([(CATALOG, &key, Some(&payload))]).unwrap();
        let trees = BTreeSet::from([CATALOG, TreeId(1)]);
        directory.check(&create, &trees).unwrap();
        let none = CatalogWrites::default();
        assert_eq!(directory.check(&none, &trees).unwrap_err().kind(), ErrorKind::Conflict);
        directory.apply(create);
        directory.check(&none, &trees).unwrap();
        let ephemeral = BTreeSet::from([TreeId(TreeId::EPHEMERAL)]);
        assert_eq!(directory.check(&none, &ephemeral).unwrap_err().kind(), ErrorKind::Internal);
    }

    #[test]
    fn two_tables_cannot_own_one_tree() {
        let mut directory = Directory::default();
        put(&mut directory, &definition("/city", 1, &[]));
        for other in [definition("/town", 1, &[]), definition("/town", 5, &[("i", 5)]), definition("/town", 0, &[])] {
            let (key, payload) = write(&other);
            let writes = CatalogWrites::read([(CATALOG, &key, Some(&payload))]).unwrap();
            let error = directory.check(&writes, &BTreeSet::new()).unwrap_err();
            assert!(error.message().contains("/town"), "{error}");
        }
    }

    #[test]
    fn conflicts_name_the_table_and_the_key() {
        let mut directory = Directory::default();
        let city = definition("/city", 1, &[("by_size", 2)]);
        put(&mut directory, &city);
        let bytes = crate::storage::codec::encode_key(city.table.schema.key().iter(), &[State::from(7i64)]).unwrap();
        let key: Key = bytes.clone().into();
        let text = |conflict| directory.explain(&conflict).message().to_owned();
        let row = text(Conflict::Key { tree: TreeId(1), key: Arc::clone(&key), seq: 3 });
        assert!(row.contains("/city") && row.contains('7'), "{row}");
        let range = KeyRange { start: Bound::Included(bytes.clone()), end: Bound::Included(bytes) };
        let many = text(Conflict::Range { tree: TreeId(1), range, seq: 3 });
        assert!(many.contains("/city") && many.contains("from"), "{many}");
        let all = text(Conflict::Range { tree: TreeId(2), range: KeyRange::all(), seq: 3 });
        assert!(all.contains("by_size") && all.contains("emptied"), "{all}");
        let (path, _) = write(&city);
        let defined = text(Conflict::Key { tree: CATALOG, key: path, seq: 3 });
        assert!(defined.contains("definition of /city"), "{defined}");
        assert!(text(Conflict::Key { tree: TreeId(9), key, seq: 3 }).contains("dropped"));
        assert_eq!(directory.explain(&Conflict::TooOld { snapshot: 1, floor: 2 }).kind(), ErrorKind::Conflict);
    }
}
