//! What a call on a collection asks for.
//!
//! [`plan`] checks the call and does what needs no rows, such as making a view of a view. What is left is an [`Action`],
//! which the executor performs in its transaction.

use std::sync::Arc;

use super::access::access;
use super::condition::meets;
use super::literal::{Literal, Source, copy};
use super::numbers::{NumberColumns, number_columns, put_numbers};
use super::schema::{names_state, schema_state, show};
use super::selector::{Selector, conditions, entries, selector};
use super::view::{btree_slice, limit, order, refuse_after_limit, reverse, select, table_where, truth, unread};
use super::write;
use crate::compiler::methods::{self, Method, Params, Receiver, Shape};
use crate::error::{Error, Result};
use crate::value::collection::Condition;
use crate::value::schema::{Kind, Schema};
use crate::value::{Collection, Id, Map, State, Stream, Tensor};

/// What the executor has to do for a call.
///
/// Cells of keys, rows and values are as their columns store them. Columns are numbered as in the schema of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing more: this is the result.
    Done(State),
    /// Reply the row with this key as a list of cells: None if there is none, or if it does not meet the view's filter.
    Row { view: Collection, key: Vec<State> },
    /// Reply whether there is a row with this key that meets the view's filter.
    ContainsKey { view: Collection, key: Vec<State> },
    /// Reply how many rows have this key and meet the view's filter: 0 or 1, as UInt64.
    CountKey { view: Collection, key: Vec<State> },
    /// Reply whether the view has rows.
    Contains(Collection),
    /// Reply whether the view has no rows.
    IsEmpty(Collection),
    /// Reply how many rows the view has, as UInt64.
    Count(Collection),
    /// Reply what [`first_reply`] makes of the first row of the view.
    First(Collection),
    /// Reply the hash of the view's class, schema and rows.
    Hash(Collection),
    /// Reply the cells of columns as a dense tensor: a row of it for each row of the view.
    Numbers(NumberColumns),
    /// Make a collection that lives as long as the transaction, and reply it.
    Copy(Literal),
    /// Add a row to the B-tree, unless it is there. The reply is None, as it is of everything below.
    InsertRow(Vec<State>),
    /// Add the rows of another collection to the B-tree, with their cells cast to its columns.
    InsertAll(Collection),
    /// Write a row of the table in place of the one with its key, if there is one.
    Upsert(Vec<State>),
    /// Set these value columns in all rows of the view. The rows are found before the first of them is written.
    Update { view: Collection, values: Vec<(usize, State)> },
    /// Set these value columns in the row with this key, if there is one.
    UpdateRow { key: Vec<State>, values: Vec<(usize, State)> },
    /// Set these value columns to the elements of a tensor, which are cast to them: a row of it in each row of the view, in its
    /// order. There must be as many. The rows are found before the first of them is written.
    PutNumbers { columns: NumberColumns, value: Arc<Tensor> },
    /// Remove the row with this key, if there is one.
    DeleteRow(Vec<State>),
    /// Remove all rows of the view. The rows are found before the first of them is removed.
    DeleteWhere(Collection),
    /// Remove all rows.
    Clear,
}

impl Action {
    /// Whether this may change rows of a collection that is there.
    pub fn is_write(&self) -> bool {
        use Action::*;
        match self {
            Done(_) | Row { .. } | ContainsKey { .. } | CountKey { .. } => false,
            Contains(_) | IsEmpty(_) | Count(_) | First(_) | Hash(_) | Numbers(_) | Copy(_) => false,
            InsertRow(_) | InsertAll(_) | Upsert(_) | Update { .. } | UpdateRow { .. } | PutNumbers { .. } => true,
            DeleteRow(_) | DeleteWhere(_) | Clear => true,
        }
    }

    /// The view whose rows have to be found, if there is one.
    pub fn view(&self) -> Option<&Collection> {
        use Action::*;
        match self {
            Contains(view) | IsEmpty(view) | Count(view) | First(view) | Hash(view) | DeleteWhere(view) => Some(view),
            Update { view, .. } | InsertAll(view) => Some(view),
            Row { view, .. } | ContainsKey { view, .. } | CountKey { view, .. } => Some(view),
            Numbers(columns) | PutNumbers { columns, .. } => Some(&columns.view),
            Copy(Literal { source: Source::Collection(view), .. }) => Some(view),
            Copy(_) | Done(_) | InsertRow(_) | Upsert(_) | UpdateRow { .. } | DeleteRow(_) | Clear => None,
        }
    }

    /// Whether the rows have to be read one by one, because no index serves the view that this is about.
    pub fn is_scan(&self) -> bool {
        self.view().is_some_and(|view| !access(&view.table.schema, &view.view).is_served)
    }
}

/// What a call of the method `name` of a collection asks for, or of the collection itself if there is no name. The
/// arguments are those of `shape`, in its order.
///
/// # Errors
/// `NotFound` for a method that collections of its class do not have, and naming it as `/name`; `MethodNotAllowed` for a
/// verb that the method does not have; `BadRequest` for arguments that make no sense, and for a write to a view.
pub fn plan(collection: &Collection, name: Option<&str>, shape: &Shape, args: &[State]) -> Result<Action> {
    let args = Args { shape, args };
    match (&collection.table.schema.kind, name) {
        (Kind::BTree, None) => btree(collection, &args),
        (Kind::Table, None) => table(collection, &args),
        (Kind::BTree, Some(name)) => {
            let (name, key) = args.of_method(Receiver::BTree, name)?;
            btree_method(collection, name, &key)
        }
        (Kind::Table, Some("rows")) => table_rows(collection, &args),
        (Kind::Table, Some("tensor")) if *shape == Shape::Put => put_numbers(collection, &args.at(0), &args.at(1)),
        (Kind::Table, Some(name)) => {
            let (name, key) = args.of_method(Receiver::Table, name)?;
            table_method(collection, name, &key)
        }
        (Kind::Tensor(_), _) => Err(Error::internal("a tensor is called as a table")),
    }
}

/// The reply of `first` for the first row of a B-tree: a map of column to cell.
///
/// # Errors
/// `NotFound` if there is no row.
pub fn first_reply(collection: &Collection, row: Option<&[State]>) -> Result<State> {
    let row = row.ok_or_else(|| Error::not_found("this BTree is empty"))?;
    let schema = collection.schema();
    let cells = schema.columns.iter().zip(row).map(|(column, cell)| (column.name.clone(), cell.clone()));
    Ok(Map::try_new(cells)?.into())
}

/// The arguments of a call.
struct Args<'a> {
    shape: &'a Shape,
    args: &'a [State],
}

impl Args<'_> {
    /// The argument at `index`; None if it is missing.
    fn at(&self, index: usize) -> State {
        self.args.get(index).cloned().unwrap_or(State::NONE)
    }

    /// The method `name` of `receiver`, by its first name, and its key.
    fn of_method(&self, receiver: Receiver, name: &str) -> Result<(&'static str, State)> {
        let method = methods::find(receiver, name).ok_or_else(|| Error::not_found(format!("/{name}")))?;
        let key = self.key_of(method)?;
        match method.params {
            Params::None if !key.is_none() => {
                Err(Error::bad_request(format!("{} takes no argument, found {}", method.name, show(&key))))
            }
            _ => Ok((method.name, key)),
        }
    }

    /// The key of a call of `method`; None if there is none.
    fn key_of(&self, method: &Method) -> Result<State> {
        match (self.shape, self.args) {
            (Shape::Get, _) => Ok(self.at(0)),
            (Shape::Post(names), _) if names.is_empty() && !matches!(method.params, Params::Key(_)) => Ok(State::NONE),
            // The parameters `{x: []}` read like the Id `x`.
            (Shape::Post(names), [State::Tuple(items)]) if items.items().is_empty() && names.len() == 1 => {
                Ok(names[0].clone().into())
            }
            (shape, _) => {
                let verb = shape.verb().http();
                Err(Error::method_not_allowed(format!("{} does not support {verb}", method.name)))
            }
        }
    }
}

/// A call of a B-tree itself.
fn btree(collection: &Collection, args: &Args<'_>) -> Result<Action> {
    match args.shape {
        Shape::Get => Ok(Action::Done(btree_slice(collection, &args.at(0), false)?.into())),
        Shape::Post(names) => {
            let (range, is_reverse) = range_params(names, args.args)?;
            Ok(Action::Done(btree_slice(collection, &range, is_reverse)?.into()))
        }
        Shape::Put => write::btree_put(collection, &args.at(0), &args.at(1)),
        Shape::Delete => write::btree_delete(collection, &args.at(0)),
    }
}

/// The parameters `range` and `reverse` of a slice.
fn range_params(names: &[Id], args: &[State]) -> Result<(State, bool)> {
    let (mut range, mut is_reverse) = (State::NONE, false);
    for (name, arg) in names.iter().zip(args) {
        match name.as_str() {
            "range" => range = arg.clone(),
            "reverse" => is_reverse = truth(arg)?,
            _ => return Err(Error::bad_request(format!("a slice has no parameter {name}, only range, reverse"))),
        }
    }
    Ok((range, is_reverse))
}

fn btree_method(collection: &Collection, name: &str, key: &State) -> Result<Action> {
    Ok(match name {
        "count" => Action::Count(btree_slice(collection, key, false)?),
        "first" => Action::First(unread(collection)),
        "reverse" => Action::Done(reverse(collection).into()),
        "rows" => Action::Done(Stream::new(btree_slice(collection, key, false)?).into()),
        "tensor" => Action::Numbers(number_columns(collection, key)?),
        name => return any_method(collection, name),
    })
}

/// A call of a table itself.
fn table(collection: &Collection, args: &Args<'_>) -> Result<Action> {
    match args.shape {
        Shape::Get => Ok(match selected(collection, &args.at(0))? {
            Selected::View(view) => Action::Done(view.into()),
            Selected::Row(key) => Action::Row { view: unread(collection), key },
            Selected::Outside(key) => {
                let schema = &collection.table.schema;
                let names: Vec<&str> = schema.key().iter().map(|column| column.name.as_str()).collect();
                let (key, names) = (key.iter().map(show).collect::<Vec<_>>().join(", "), names.join(", "));
                return Err(Error::bad_request(format!("the key {names} = {key} does not lie within the slice")));
            }
        }),
        Shape::Post(names) => {
            let conditions = condition_params(&collection.schema(), names, args.args)?;
            Ok(Action::Done(table_where(collection, conditions)?.into()))
        }
        Shape::Put => write::table_put(collection, &args.at(0), &args.at(1)),
        Shape::Delete => write::table_delete(collection, &args.at(0)),
    }
}

/// The rows of a table as a stream: all, or those that a selector or the parameters of a POST mean.
fn table_rows(collection: &Collection, args: &Args<'_>) -> Result<Action> {
    let schema = collection.schema();
    let conditions = match args.shape {
        Shape::Post(names) if !names.is_empty() => condition_params(&schema, names, args.args)?,
        _ => match selector(&schema, &args.of_method(Receiver::Table, "rows")?.1)? {
            Selector::All => vec![],
            Selector::Where(conditions) => conditions,
            Selector::Key(key) => (0..).zip(key.into_iter().map(Condition::Equal)).collect(),
        },
    };
    Ok(Action::Done(Stream::new(table_where(collection, conditions)?).into()))
}

fn table_method(collection: &Collection, name: &str, key: &State) -> Result<Action> {
    let schema = collection.schema();
    Ok(match name {
        "columns" => Action::Done(names_state(&schema.columns)?),
        "contains" => match selected(collection, key)? {
            Selected::View(view) => Action::Contains(view),
            Selected::Row(key) => Action::ContainsKey { view: unread(collection), key },
            Selected::Outside(_) => Action::Done(false.into()),
        },
        "count" => match selected(collection, key)? {
            Selected::View(view) => Action::Count(view),
            Selected::Row(key) => Action::CountKey { view: unread(collection), key },
            Selected::Outside(_) => Action::Done(0u64.into()),
        },
        "is_empty" => Action::IsEmpty(unread(collection)),
        "key_columns" => Action::Done(names_state(schema.key())?),
        "limit" => Action::Done(limit(collection, key)?.into()),
        "order" => Action::Done(order(collection, key)?.into()),
        "select" => Action::Done(select(collection, key)?.into()),
        "tensor" => Action::Numbers(number_columns(collection, key)?),
        name => return any_method(collection, name),
    })
}

/// The methods that B-trees and tables share.
fn any_method(collection: &Collection, name: &str) -> Result<Action> {
    Ok(match name {
        "class" => Action::Done(collection.class().link().into()),
        "copy" => Action::Copy(copy(collection)?),
        "hash" => Action::Hash(unread(collection)),
        "is_none" => Action::Done(false.into()),
        "schema" => Action::Done(schema_state(&collection.schema())?),
        name => return Err(Error::internal(format!("nothing does what the method {name} declares"))),
    })
}

/// What a selector means for a view.
enum Selected {
    View(Collection),
    /// The row with this key, if it meets the conditions on columns other than those of the key.
    Row(Vec<State>),
    /// The key of a row that cannot be in the view.
    Outside(Vec<State>),
}

fn selected(collection: &Collection, key: &State) -> Result<Selected> {
    let conditions = match selector(&collection.schema(), key)? {
        Selector::All => return Ok(Selected::View(unread(collection))),
        Selector::Where(conditions) => conditions,
        Selector::Key(key) => {
            refuse_after_limit(collection, "read by key")?;
            let (schema, filter) = (&collection.table.schema, &collection.view.filter);
            let mut on_key = filter.iter().filter(|(position, _)| *position < schema.key_len);
            let is_met = |(position, condition): &(usize, Condition)| {
                meets(&schema.columns[*position], condition, &key[*position])
            };
            return Ok(if on_key.all(is_met) { Selected::Row(key) } else { Selected::Outside(key) });
        }
    };
    table_where(collection, conditions).map(Selected::View)
}

/// The conditions that are the parameters of a POST, or its only parameter `bounds`, unless there is such a column.
fn condition_params(schema: &Schema, names: &[Id], args: &[State]) -> Result<Vec<(usize, Condition)>> {
    if let ([name], [bounds]) = (names, args)
        && name.as_str() == "bounds"
        && schema.position("bounds").is_none()
    {
        return match entries(bounds) {
            Some(bounds) => conditions(schema, bounds.iter().map(|(name, bound)| (name.as_str(), bound))),
            None if bounds.is_none() => Ok(vec![]),
            None => Err(Error::bad_request(format!("bounds is a map of column to condition, not {}", show(bounds)))),
        };
    }
    conditions(schema, names.iter().map(Id::as_str).zip(args))
}

#[cfg(test)]
mod tests;
