//! What is written to a collection: which rows a PUT or a DELETE is about, and what they become.

use super::call::Action;
use super::literal::check_width;
use super::schema::show;
use super::selector::{Selector, entries, position, selector};
use super::view::{btree_slice, table_where, unread};
use crate::error::{Error, Result};
use crate::value::cell::{cast_cell, cast_row};
use crate::value::schema::{ColumnType, Schema};
use crate::value::{Collection, Id, Map, NumberClass, State, Value};

/// A PUT on a B-tree: without a key, and with a row or a collection of rows to add.
///
/// # Errors
/// `BadRequest` on a view, with a key, if `value` is neither a row nor a collection, and if it does not fit the columns.
pub(super) fn btree_put(collection: &Collection, key: &State, value: &State) -> Result<Action> {
    refuse_view(collection)?;
    if !key.is_none() {
        return Err(Error::bad_request(format!("a row is added to a B-tree without a key, found {}", show(key))));
    }
    let schema = &collection.table.schema;
    match value {
        State::Tuple(row) => cast_row(schema, row.items()).map(Action::InsertRow),
        State::Collection(source) => {
            check_width(schema, source)?;
            Ok(Action::InsertAll(unread(source)))
        }
        State::Stream(stream) => {
            check_width(schema, stream.rows()?)?;
            Ok(Action::InsertAll(unread(stream.rows()?)))
        }
        other => Err(Error::bad_request(format!("expected a row or a collection to add, found {}", show(other)))),
    }
}

/// A DELETE on a B-tree: of all rows, or of those within a range tuple.
///
/// # Errors
/// `BadRequest` on a view, and if the range is malformed or cannot be cast to the columns.
pub(super) fn btree_delete(collection: &Collection, range: &State) -> Result<Action> {
    refuse_view(collection)?;
    btree_slice(collection, range, false).map(delete)
}

/// A PUT on a table: of a row by its key, or of some columns of a row or of all rows that a selector means.
///
/// # Errors
/// `BadRequest` on a view, if key and value are none of these, and if they do not fit the columns.
pub(super) fn table_put(collection: &Collection, key: &State, value: &State) -> Result<Action> {
    refuse_view(collection)?;
    let schema = &collection.table.schema;
    // To update all rows, the client sends the map as the key.
    if let (State::Value(Value::None), Some(map)) = (value, entries(key)) {
        return update(schema, unread(collection), &map);
    }
    let rows = match selector(schema, key)? {
        Selector::All => unread(collection),
        Selector::Where(conditions) => table_where(collection, conditions)?,
        Selector::Key(key) => return put_row(schema, key, value),
    };
    match entries(value) {
        Some(map) => update(schema, rows, &map),
        None => Err(Error::bad_request(format!("rows are updated with a map of column to value, not {}", show(value)))),
    }
}

/// A DELETE on a table: of all rows, of one, or of those that meet conditions.
///
/// # Errors
/// `BadRequest` on a view, and if `key` selects nothing.
pub(super) fn table_delete(collection: &Collection, key: &State) -> Result<Action> {
    refuse_view(collection)?;
    // To delete all rows, the client sends an empty string.
    if matches!(key, State::Value(Value::String(text)) if text.is_empty()) {
        return Ok(Action::Clear);
    }
    match selector(&collection.table.schema, key)? {
        Selector::All => Ok(Action::Clear),
        Selector::Where(conditions) => table_where(collection, conditions).map(delete),
        Selector::Key(key) => Ok(Action::DeleteRow(key)),
    }
}

/// Deletes the rows of a view.
fn delete(view: Collection) -> Action {
    if view.view.is_base() { Action::Clear } else { Action::DeleteWhere(view) }
}

fn refuse_view(collection: &Collection) -> Result<()> {
    if collection.view.is_base() {
        return Ok(());
    }
    Err(Error::bad_request(format!("a view of a {} cannot be written to", collection.class())))
}

/// Writes the row with the given key: a map sets some of its columns, anything else all of them.
fn put_row(schema: &Schema, key: Vec<State>, value: &State) -> Result<Action> {
    // An Id reads like a map, but where there is one value column it is the value.
    let is_cell = matches!(value, State::Value(_)) && schema.values().len() == 1;
    match entries(value) {
        Some(map) if !is_cell => Ok(Action::UpdateRow { key, values: assignments(schema, &map)? }),
        _ => {
            let mut row = key;
            row.extend(value_cells(schema, value)?);
            Ok(Action::Upsert(row))
        }
    }
}

/// The cells of all value columns: a list, or the cell itself if there is one column.
fn value_cells(schema: &Schema, value: &State) -> Result<Vec<State>> {
    let columns = schema.values();
    let cells: &[State] = match (value, columns) {
        (State::Tuple(cells), columns) if cells.items().len() == columns.len() => cells.items(),
        (State::Value(Value::None), []) => &[],
        (cell, [column]) if !matches!(cell, State::Tuple(_)) || takes_tuples(column.ty) => std::slice::from_ref(cell),
        (State::Tuple(cells), columns) => {
            let (expected, found) = (columns.len(), cells.items().len());
            return Err(Error::bad_request(format!("expected {expected} values beside the key, not {found}")));
        }
        (other, columns) => {
            let expected = columns.len();
            return Err(Error::bad_request(format!("expected a list of {expected} values, found {}", show(other))));
        }
    };
    columns.iter().zip(cells).map(|(column, cell)| cast_cell(column, cell)).collect()
}

/// Whether a cell of this type can be made of a list.
fn takes_tuples(ty: ColumnType) -> bool {
    match ty {
        ColumnType::Any | ColumnType::Bytes | ColumnType::Version => true,
        ColumnType::Number(class) => matches!(class, NumberClass::C32 | NumberClass::C64),
        _ => false,
    }
}

/// Sets some columns of the rows of a view.
fn update(schema: &Schema, view: Collection, map: &Map) -> Result<Action> {
    let values = assignments(schema, map)?;
    Ok(if values.is_empty() { Action::Done(State::NONE) } else { Action::Update { view, values } })
}

/// The value columns that `map` names, with their cells.
fn assignments(schema: &Schema, map: &Map) -> Result<Vec<(usize, State)>> {
    let assign = |(name, value): (&Id, &State)| {
        let position = position(schema, name.as_str())?;
        refuse_key(schema, position)?;
        Ok((position, cast_cell(&schema.columns[position], value)?))
    };
    map.iter().map(assign).collect()
}

/// Refuses to update a column that belongs to the key.
pub(super) fn refuse_key(schema: &Schema, position: usize) -> Result<()> {
    if position >= schema.key_len {
        return Ok(());
    }
    let name = &schema.columns[position].name;
    Err(Error::bad_request(format!("column {name} belongs to the key, which cannot be updated")))
}
