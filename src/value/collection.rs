//! Collections as states: a table or B-tree, and which of its rows are meant, in which order.
//!
//! A collection state is a reference. Its rows are read when something asks for them, so that they show what the
//! transaction has written by then. Only [`Collection::rows`], which the executor fills in for a reply, holds any.

use std::sync::Arc;

use super::schema::{Schema, Table};
use super::{Class, State, Tuple};

/// A bound of a range.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Bound {
    Open,
    Inclusive(State),
    Exclusive(State),
}

/// What a cell must be. Values were cast to the class of the column.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Condition {
    Equal(State),
    Range(Bound, Bound),
}

/// Which rows of a table are meant, and in which order.
///
/// The parts apply in this order: filter, order, limit, columns.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct View {
    /// Conditions that all hold, by the positions of their columns, in the order in which they were given. A column has at
    /// most one.
    pub filter: Vec<(usize, Condition)>,
    /// The columns to order by; nothing for the order of the index that serves the filter. Ties come in the order of the
    /// rest of the index that serves both, or of the key if none does.
    pub order: Option<Vec<usize>>,
    /// Whether the order is descending.
    pub reverse: bool,
    /// How many rows there are at most.
    pub limit: Option<u64>,
    /// The columns that remain, in this order; nothing for all.
    pub columns: Option<Vec<usize>>,
}

impl View {
    /// Whether this is the whole collection, which can be written to.
    pub fn is_base(&self) -> bool {
        *self == Self::default()
    }
}

/// A collection, or a view of one.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Collection {
    pub table: Arc<Table>,
    pub view: View,
    /// The rows, where they were read for a reply. Each has the columns of [`Collection::schema`].
    pub rows: Option<Arc<[Tuple]>>,
}

impl Collection {
    /// The collection that `table` stores.
    pub fn new(table: Arc<Table>) -> Self {
        Self { table, view: View::default(), rows: None }
    }

    /// The class of this collection.
    pub fn class(&self) -> Class {
        self.table.schema.kind.class()
    }

    /// How many bytes this stands for, roughly: those of the rows that were read.
    pub fn weight(&self) -> u64 {
        let rows = self.rows.iter().flat_map(|rows| rows.iter());
        size_of::<Self>() as u64 + rows.map(|row| State::Tuple(row.clone()).weight()).sum::<u64>()
    }

    /// The schema of what is seen: that of the table, or of the columns that are left of it, which are no key then.
    pub fn schema(&self) -> Arc<Schema> {
        let schema = &self.table.schema;
        match &self.view.columns {
            None => Arc::clone(schema),
            Some(columns) => Arc::new(Schema {
                kind: schema.kind.clone(),
                columns: columns.iter().map(|column| schema.columns[*column].clone()).collect(),
                key_len: 0,
                indexes: vec![],
            }),
        }
    }
}
