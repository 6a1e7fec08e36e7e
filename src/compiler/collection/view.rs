//! Views of collections, and views of those.
//!
//! A view is of one collection, whatever it was made from: what is asked of a view is added to what was asked before.
//! That cannot be said of everything, since a view filters first, then orders, then counts: after a limit there is no
//! other filter and no other order.

use std::sync::Arc;

use super::condition::{is_within, parse_range};
use super::schema::{show, whole_number};
use super::selector::positions;
use crate::error::{Error, Result};
use crate::value::collection::{Condition, View};
use crate::value::{Collection, Number, State, Value};

/// The rows of a B-tree within a range tuple, which must lie within those that are there; from the last to the first if
/// `is_reverse` and the order was not descending yet.
///
/// # Errors
/// `BadRequest` if the range is malformed, cannot be cast to the columns, or is wider than the view.
pub fn btree_slice(collection: &Collection, range: &State, is_reverse: bool) -> Result<Collection> {
    let conditions = parse_range(&collection.table.schema, range)?;
    let slice = table_where(collection, conditions)?;
    Ok(if is_reverse { reverse(&slice) } else { slice })
}

/// The rows that meet all `conditions` too, which are on columns of [`Collection::schema`].
///
/// # Errors
/// `BadRequest` after a limit, and if a condition admits what an earlier one on its column does not.
pub fn table_where(collection: &Collection, conditions: Vec<(usize, Condition)>) -> Result<Collection> {
    let mut view = collection.view.clone();
    if !conditions.is_empty() {
        refuse_after_limit(collection, "sliced")?;
    }
    for (position, condition) in conditions {
        let position = stored_position(&view, position);
        let column = &collection.table.schema.columns[position];
        match view.filter.iter_mut().find(|(other, _)| *other == position) {
            None => view.filter.push((position, condition)),
            Some((_, outer)) if is_within(column, &condition, outer) => *outer = condition,
            Some(_) => {
                let name = &column.name;
                return Err(Error::bad_request(format!("the range of {name} does not lie within that of the slice")));
            }
        }
    }
    Ok(with_view(collection, view))
}

/// The same rows in the order that `key` is: `[column, …]` or `[[column, …], is descending]`. Without columns, the order
/// is reversed or stays what it was.
///
/// # Errors
/// `BadRequest` after a limit, if `key` is malformed, and if a column does not exist or is listed twice.
pub fn order(collection: &Collection, key: &State) -> Result<Collection> {
    refuse_after_limit(collection, "ordered")?;
    let (columns, is_descending) = match key {
        State::Tuple(tuple) => match tuple.items() {
            [columns @ State::Tuple(_), descending] => (columns, truth(descending)?),
            [columns @ State::Tuple(_)] => (columns, false),
            _ => (key, false),
        },
        _ => (key, false),
    };
    let mut view = collection.view.clone();
    let columns = positions(&collection.schema(), columns, "order by")?;
    if columns.is_empty() {
        view.reverse ^= is_descending;
    } else {
        view.order = Some(columns.into_iter().map(|column| stored_position(&collection.view, column)).collect());
        view.reverse = is_descending;
    }
    Ok(with_view(collection, view))
}

/// The listed columns of the same rows.
///
/// # Errors
/// `BadRequest` if `key` is no list of names or empty, and if a column does not exist or is listed twice.
pub fn select(collection: &Collection, key: &State) -> Result<Collection> {
    let columns = positions(&collection.schema(), key, "select")?;
    if columns.is_empty() {
        return Err(Error::bad_request("expected at least one column to select"));
    }
    let mut view = collection.view.clone();
    view.columns = Some(columns.into_iter().map(|column| stored_position(&collection.view, column)).collect());
    Ok(with_view(collection, view))
}

/// The first rows, as many as `key` says.
///
/// # Errors
/// `BadRequest` unless `key` is a whole number that is not negative.
pub fn limit(collection: &Collection, key: &State) -> Result<Collection> {
    let rows = whole_number(key).and_then(|rows| u64::try_from(rows).ok());
    let rows = rows.ok_or_else(|| Error::bad_request(format!("a limit is a number of rows, not {}", show(key))))?;
    let mut view = collection.view.clone();
    view.limit = Some(view.limit.map_or(rows, |limit| limit.min(rows)));
    Ok(with_view(collection, view))
}

/// The same rows from the last to the first. The collection is a B-tree, which has no limit.
pub fn reverse(collection: &Collection) -> Collection {
    let mut view = collection.view.clone();
    view.reverse = !view.reverse;
    with_view(collection, view)
}

/// The same view without the rows that were read for a reply.
pub(super) fn unread(collection: &Collection) -> Collection {
    with_view(collection, collection.view.clone())
}

/// A flag, which may be missing.
///
/// # Errors
/// `BadRequest` unless `state` is a bool or null.
pub(crate) fn truth(state: &State) -> Result<bool> {
    match state {
        State::Value(Value::None) => Ok(false),
        State::Value(Value::Number(Number::Bool(truth))) => Ok(*truth),
        other => Err(Error::bad_request(format!("expected true or false, found {}", show(other)))),
    }
}

/// Refuses what must come before a limit.
pub(super) fn refuse_after_limit(collection: &Collection, participle: &str) -> Result<()> {
    match collection.view.limit {
        None => Ok(()),
        Some(rows) => Err(Error::bad_request(format!("the first {rows} rows of a table cannot be {participle}"))),
    }
}

/// The position among all columns of what is at `position` among those that the view selects.
pub(super) fn stored_position(view: &View, position: usize) -> usize {
    view.columns.as_ref().map_or(position, |columns| columns[position])
}

fn with_view(collection: &Collection, view: View) -> Collection {
    Collection { table: Arc::clone(&collection.table), view, rows: None }
}
