//! Schemas of collections: columns, keys and indexes.

use std::fmt;
use std::sync::Arc;

use super::tensor::TensorSchema;
use super::{Class, Id, NumberClass, State};

/// Which collection a schema describes.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Kind {
    /// A set of rows; every column belongs to the key.
    BTree,
    /// Rows that are identified by a key.
    Table,
    /// What is written to a tensor, as rows: see [`super::tensor::Content`].
    Tensor(TensorSchema),
}

impl Kind {
    /// The class of collections of this kind.
    pub fn class(&self) -> Class {
        match self {
            Kind::BTree => Class::BTree,
            Kind::Table => Class::Table,
            Kind::Tensor(schema) => schema.layout.class(),
        }
    }
}

/// How the cells of a column are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum ColumnType {
    Number(NumberClass),
    String,
    Bytes,
    Id,
    Link,
    Email,
    Version,
    /// Any value, also a tuple of values; cells keep their own class.
    Any,
    /// SQL only. Cells are Strings such as `12.50`.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// SQL only. Cells are Strings such as `2001-02-03`.
    Date,
    /// SQL only; microseconds without a time zone. Cells are Strings such as `2001-02-03T04:05:06.789`.
    Timestamp,
}

/// A column.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Column {
    pub name: Id,
    /// The class as it was declared, which may be abstract, e.g. Int. That of an SQL-only type is String.
    pub class: Class,
    pub ty: ColumnType,
    /// Bytes of a cell, for classes other than numbers.
    pub max_len: Option<u32>,
    /// Whether a cell may be None. Only SQL declares such columns.
    pub nullable: bool,
    /// The place of this column in the stored form of a row: among the key columns for a key column, else among all value
    /// columns that the table has ever had. So a column can be dropped or added without rewriting rows.
    pub slot: u32,
    /// The place of this column among those of its table in the order in which SQL shows them. Here, rows have their key
    /// first; who declared the table may have put it elsewhere.
    pub ordinal: u32,
    /// What the cell is in rows that were written before the column was added.
    pub default: State,
}

impl Column {
    /// The type in which cells of a declared class are stored, or nothing if the class is not one of values.
    pub fn type_of(class: Class) -> Option<ColumnType> {
        Some(match class {
            Class::Exactly(number) => ColumnType::Number(number),
            Class::Int => ColumnType::Number(NumberClass::I32),
            Class::UInt => ColumnType::Number(NumberClass::U32),
            Class::Float => ColumnType::Number(NumberClass::F32),
            Class::Complex => ColumnType::Number(NumberClass::C32),
            Class::String => ColumnType::String,
            Class::Bytes => ColumnType::Bytes,
            Class::Id => ColumnType::Id,
            Class::Link => ColumnType::Link,
            Class::Email => ColumnType::Email,
            Class::Version => ColumnType::Version,
            Class::Value | Class::Number | Class::ValueTuple => ColumnType::Any,
            _ => return None,
        })
    }
}

/// An index: another order of the rows.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Index {
    pub name: Id,
    /// The columns as declared, by their positions in [`Schema::columns`].
    pub columns: Vec<usize>,
    /// Whether two rows may not agree in the declared columns. Only SQL declares such indexes.
    pub unique: bool,
}

/// The schema of a B-tree or a table.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Schema {
    pub kind: Kind,
    /// Key columns first.
    pub columns: Vec<Column>,
    /// How many columns belong to the key; in a B-tree, all.
    pub key_len: usize,
    pub indexes: Vec<Index>,
}

impl Schema {
    /// The key columns.
    pub fn key(&self) -> &[Column] {
        &self.columns[..self.key_len]
    }

    /// The columns that are not part of the key.
    pub fn values(&self) -> &[Column] {
        &self.columns[self.key_len..]
    }

    /// The position of the column `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.as_str() == name)
    }

    /// The columns of an index in full: those declared, then the key columns that are missing.
    pub fn index_columns(&self, index: &Index) -> Vec<usize> {
        let missing = (0..self.key_len).filter(|column| !index.columns.contains(column));
        index.columns.iter().copied().chain(missing).collect()
    }

    /// The columns of the primary order in full: the key, then the values.
    pub fn primary_columns(&self) -> Vec<usize> {
        (0..self.columns.len()).collect()
    }
}

/// Identifies a sorted tree of a store: the rows of a collection, or one of its indexes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct TreeId(pub u64);

impl TreeId {
    /// Ids from here on belong to collections that live as long as one transaction.
    pub const EPHEMERAL: u64 = 1 << 63;

    /// Whether this tree belongs to one transaction.
    pub fn is_ephemeral(self) -> bool {
        self.0 >= Self::EPHEMERAL
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a collection is stored, and what is in it.
#[derive(Debug, Eq, PartialEq, Hash)]
pub struct Table {
    /// Its name in messages and plans, e.g. a path; empty for a collection of one transaction.
    pub name: Arc<str>,
    pub schema: Arc<Schema>,
    /// The tree of the rows.
    pub rows: TreeId,
    /// The trees of the indexes, in the order of [`Schema::indexes`].
    pub indexes: Vec<TreeId>,
}
