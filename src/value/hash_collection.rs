//! The hash of a collection: SHA-256 over its class, its schema and its rows.
//!
//! As in [`super::hash`], parts are hashed first and the hash of the whole is that of the hashes: those of the path of
//! the class, of the text of the schema, and of each row as a tuple, in the order in which the rows are seen. So the rows
//! can come one by one, and no more than one needs to be there.

use sha2::{Digest, Sha256};

use super::encode::Json;
use super::encode_collection::encode_schema;
use super::hash::hash;
use super::{Collection, Id, Schema, State};

/// Hashes a collection whose rows come one by one.
#[derive(Clone, Debug)]
pub struct CollectionHasher {
    parts: Sha256,
}

impl CollectionHasher {
    /// The hasher of a collection with this schema, which has seen no row yet. For a view, this is the schema of what is
    /// seen: [`Collection::schema`].
    pub fn new(schema: &Schema) -> Self {
        let mut json = Json::default();
        encode_schema(schema, &mut json);
        let mut parts = Sha256::new();
        parts.update(Sha256::digest(schema.kind.class().path()));
        parts.update(Sha256::digest(json.into_bytes()));
        Self { parts }
    }

    /// Adds the next row: a cell for each column.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a State>) {
        let mut row = Sha256::new();
        for cell in cells {
            row.update(hash(cell));
        }
        self.parts.update(row.finalize());
    }

    /// The hash of everything that was added.
    pub fn finish(self) -> [u8; 32] {
        self.parts.finalize().into()
    }

    /// The hash of everything that was added, as a name of 64 hexadecimal digits.
    pub fn finish_id(self) -> Id {
        hex::encode(self.finish()).parse().expect("hexadecimal digits are a valid name")
    }
}

/// The hash of a collection that has these rows, as a name of 64 hexadecimal digits.
pub fn hash_collection(collection: &Collection, rows: &[Vec<State>]) -> Id {
    let mut hasher = CollectionHasher::new(&collection.schema());
    rows.iter().for_each(|row| hasher.row(row));
    hasher.finish_id()
}

/// The hash of a collection with the rows that were read for a reply, as if it had no other.
pub(super) fn hash_read(collection: &Collection) -> [u8; 32] {
    let mut hasher = CollectionHasher::new(&collection.schema());
    collection.rows.iter().flat_map(|rows| rows.iter()).for_each(|row| hasher.row(row.items()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::schema::{Column, Kind};
    use crate::value::{Class, Number, Table, TreeId, Tuple};

    fn schema(name: &'static str) -> Schema {
        let column = |name: &'static str, class: Class, max_len, slot| {
            let ty = Column::type_of(class).unwrap();
            Column { name: name.into(), class, ty, max_len, nullable: false, slot, ordinal: 0, default: State::NONE }
        };
        let columns = vec![column(name, Class::Int, None, 0), column("label", Class::String, Some(40), 1)];
        Schema { kind: Kind::BTree, columns, key_len: 2, indexes: vec![] }
    }

    fn row(sku: i32, label: &str) -> Vec<State> {
        vec![Number::I32(sku).into(), label.into()]
    }

    fn collection(schema: Schema) -> Collection {
        Collection::new(Arc::new(Table {
            name: "t".into(),
            schema: Arc::new(schema),
            rows: TreeId(7),
            indexes: vec![],
        }))
    }

    fn of(schema: Schema, rows: &[Vec<State>]) -> String {
        hash_collection(&collection(schema), rows).to_string()
    }

    #[test]
    fn the_hash_is_that_of_class_schema_and_rows() {
        let rows = [row(3, "bolt"), row(5, "nut")];
        let expected = "8b87e6e5f771a8ca4d35935d12fd83b4e0235e4ac7953b802be8d869f78eb092";
        assert_eq!(of(schema("sku"), &rows), expected);
        assert_ne!(of(schema("id"), &rows), expected);
        assert_ne!(of(schema("sku"), &rows[..1]), expected);
        let table = Schema { kind: Kind::Table, ..schema("sku") };
        assert_ne!(of(table, &rows), expected);
    }

    #[test]
    fn rows_that_were_read_count_as_all() {
        let rows = [row(3, "bolt"), row(5, "nut")];
        let read: Vec<Tuple> = rows.iter().map(|row| Tuple::try_new(row.clone()).unwrap()).collect();
        let collection = Collection { rows: Some(read.into()), ..collection(schema("sku")) };
        assert_eq!(hex::encode(hash_read(&collection)), of(schema("sku"), &rows));
    }
}
