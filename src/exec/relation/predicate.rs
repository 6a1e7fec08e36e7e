//! What the filters of a query say about keys.

use std::collections::HashMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::error::Result;
use crate::storage::codec::{self, KeyRange, cell, data_type};
use crate::value::collection::Bound;
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::{NumberClass, State, Value};

/// Whether the order of stored keys is the order that a query sees, so that bounds on values are bounds on keys.
pub(super) fn is_ordered_alike(ty: ColumnType) -> bool {
    match ty {
        ColumnType::Number(NumberClass::C32 | NumberClass::C64) => false,
        ColumnType::Version | ColumnType::Link | ColumnType::Any => false,
        ColumnType::Number(_)
        | ColumnType::String
        | ColumnType::Bytes
        | ColumnType::Id
        | ColumnType::Email
        | ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Timestamp => true,
    }
}

/// The conditions on single columns that all rows of a result meet.
pub(super) struct KeyPredicate<'a> {
    schema: &'a Schema,
    equal: HashMap<usize, State>,
    from: HashMap<usize, Bound>,
    to: HashMap<usize, Bound>,
}

/// A range of keys of some tree.
pub(super) struct Found {
    pub range: KeyRange,
    /// Whether this is less than the whole tree.
    pub is_constrained: bool,
}

impl<'a> KeyPredicate<'a> {
    /// What `filters`, all of which hold, say about the columns of `schema`.
    pub(super) fn new(schema: &'a Schema, filters: &[Expr]) -> Self {
        let mut predicate = Self { schema, equal: HashMap::new(), from: HashMap::new(), to: HashMap::new() };
        for (name, op, value) in comparisons(filters) {
            predicate.compare(name, op, value);
        }
        predicate
    }

    /// Notes a comparison, unless it is of a kind that says nothing about keys; then more is read than necessary.
    fn compare(&mut self, name: &str, op: Operator, value: &ScalarValue) {
        let Some(position) = self.schema.position(name) else { return };
        let column = &self.schema.columns[position];
        if !is_ordered_alike(column.ty) || value.is_null() || value.data_type() != data_type(column) {
            return;
        }
        let Some(cell) = cell_of(column, value) else { return };
        match op {
            Operator::Eq => drop(self.equal.insert(position, cell)),
            // Of two bounds on one side either will do.
            Operator::Gt => drop(self.from.insert(position, Bound::Exclusive(cell))),
            Operator::GtEq => drop(self.from.insert(position, Bound::Inclusive(cell))),
            Operator::Lt => drop(self.to.insert(position, Bound::Exclusive(cell))),
            Operator::LtEq => drop(self.to.insert(position, Bound::Inclusive(cell))),
            _ => {}
        }
    }

    /// The range of a tree whose key has the given columns.
    pub(super) fn range(&self, positions: &[usize]) -> Result<Found> {
        let columns: Vec<&Column> = positions.iter().map(|position| &self.schema.columns[*position]).collect();
        let prefix: Vec<State> = positions.iter().map_while(|position| self.equal.get(position).cloned()).collect();
        let next = positions.get(prefix.len());
        let bound = |bounds: &HashMap<usize, Bound>| {
            next.and_then(|position| bounds.get(position)).cloned().unwrap_or(Bound::Open)
        };
        let (from, to) = (bound(&self.from), bound(&self.to));
        let has_range = from != Bound::Open || to != Bound::Open;
        let range = codec::range(&columns, &prefix, has_range.then_some((&from, &to)))?;
        Ok(Found { range, is_constrained: has_range || !prefix.is_empty() })
    }
}

/// The comparisons of single columns with values that `filters`, all of which hold, consist of. Other filters are left out.
pub(super) fn comparisons(filters: &[Expr]) -> Vec<(&str, Operator, &ScalarValue)> {
    let mut found: Vec<(&str, Operator, &ScalarValue)> = Vec::new();
    for filter in filters.iter().flat_map(split_conjunction) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) => found.push((column.name.as_str(), *op, value)),
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    found.extend(op.swap().map(|op| (column.name.as_str(), op, value)));
                }
                _ => {}
            },
            Expr::Between(between) if !between.negated => {
                if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                    (between.expr.as_ref(), between.low.as_ref(), between.high.as_ref())
                {
                    found.push((column.name.as_str(), Operator::GtEq, low));
                    found.push((column.name.as_str(), Operator::LtEq, high));
                }
            }
            Expr::InList(list) if !list.negated && list.list.len() == 1 => {
                if let (Expr::Column(column), [Expr::Literal(value, _)]) = (list.expr.as_ref(), list.list.as_slice()) {
                    found.push((column.name.as_str(), Operator::Eq, value));
                }
            }
            _ => {}
        }
    }
    found
}

/// A value as a cell of a column of the same type. Negative zero is stored as zero, and a NaN equals nothing.
fn cell_of(column: &Column, value: &ScalarValue) -> Option<State> {
    let array = value.to_array().ok()?;
    match cell(column, array.as_ref(), 0).ok()? {
        State::Value(Value::Number(number)) if is_nan(number) => None,
        cell => Some(cell),
    }
}

fn is_nan(number: crate::value::Number) -> bool {
    crate::value::number::cast::to_f64(number).is_nan()
}
