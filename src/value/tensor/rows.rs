//! How what is written to a tensor is stored: as rows of two columns.

use std::sync::Arc;

use super::{Base, Initial, Layout, Node, Tensor, TensorSchema};
use crate::value::number::cast::cast;
use crate::value::schema::{Column, ColumnType, Kind, Schema, Table};
use crate::value::{Class, Id, Number, NumberClass, State};

impl TensorSchema {
    /// The schema of the rows that hold what is written: see [`super::Content`].
    pub fn rows(&self) -> Schema {
        let number = |name: &'static str, class: NumberClass| (name, class.into(), ColumnType::Number(class));
        let (key, value) = match self.layout {
            Layout::Dense => (number("block", NumberClass::U64), ("elements", Class::Bytes, ColumnType::Bytes)),
            Layout::Sparse => (number("element", NumberClass::U64), number("value", self.dtype)),
        };
        let columns = [(0, key), (1, value)].map(|(ordinal, (name, class, ty))| Column {
            name: Id::from(name),
            class,
            ty,
            max_len: None,
            nullable: false,
            slot: 0,
            ordinal,
            default: State::NONE,
        });
        Schema { kind: Kind::Tensor(self.clone()), columns: columns.into(), key_len: 1, indexes: vec![] }
    }

    /// Zero, as an element.
    pub fn zero(&self) -> Number {
        cast(Number::Bool(false), self.dtype)
    }
}

impl Tensor {
    /// The base that `table` stores: zeros, but for what was written. Nothing if the table stores no tensor.
    pub fn stored(table: &Arc<Table>) -> Option<Self> {
        match &table.schema.kind {
            Kind::Tensor(schema) => Some(Self::of(table, schema, Arc::new(Initial::Fill(schema.zero())))),
            Kind::BTree | Kind::Table => None,
        }
    }

    /// The base that is what `initial` says, but for what is written to `table`.
    pub fn of(table: &Arc<Table>, schema: &TensorSchema, initial: Arc<Initial>) -> Self {
        let base = Base { table: Arc::clone(table), initial };
        Self::new(schema.clone(), Node::Base(Arc::new(base)))
    }
}
