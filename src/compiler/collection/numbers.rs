//! Columns of numbers: which tensor they are read as, and which tensors fit them.

use std::sync::Arc;

use super::call::Action;
use super::schema::show;
use super::selector::{position, positions};
use super::view::{stored_position, unread};
use super::write::refuse_key;
use crate::error::{Error, Result};
use crate::value::number::promote::result_class;
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::tensor::Shape;
use crate::value::{Collection, NumberClass, State, Tensor, Value, cast};

/// Columns of a view, all of them of numbers, that are read or written as a tensor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberColumns {
    /// The rows.
    pub view: Collection,
    /// The positions of the columns in the schema of the table, and the classes of their cells.
    pub columns: Vec<(usize, NumberClass)>,
    /// Whether one column is meant by its name alone: its tensor has no axis for columns.
    pub is_vector: bool,
}

impl NumberColumns {
    /// The dtype of the tensor that the columns are read as.
    pub fn dtype(&self) -> NumberClass {
        // Two at a time, the order of the columns would count: an integer may get wider before it becomes a float.
        let classes = || self.columns.iter().map(|(_, class)| *class);
        let highest = classes().max_by_key(|class| class.kind()).unwrap_or(NumberClass::Bool);
        classes().map(|class| result_class(class, highest)).max().unwrap_or(highest)
    }
}

/// The columns of a view that `key` means: those of a list, one by its name alone, or all that are of numbers if there is no
/// key.
///
/// # Errors
/// `BadRequest` if a column does not exist, is listed twice, or is not of numbers of one class, and if there is none.
pub(super) fn number_columns(collection: &Collection, key: &State) -> Result<NumberColumns> {
    let schema = collection.schema();
    let (listed, is_vector) = match key {
        State::Value(Value::None) => {
            let all = schema.columns.iter().enumerate().filter(|(_, column)| class_of(column).is_ok());
            (all.map(|(at, _)| at).collect(), false)
        }
        State::Tuple(_) => (positions(&schema, key, "make a tensor of")?, false),
        name => (vec![position(&schema, cast::to_id(name)?.as_str())?], true),
    };
    if listed.is_empty() {
        return Err(Error::bad_request("a tensor is made of at least one column of numbers"));
    }
    let columns = listed.into_iter().map(|at| {
        let class = class_of(&schema.columns[at])?;
        Ok((stored_position(&collection.view, at), class))
    });
    Ok(NumberColumns { columns: columns.collect::<Result<_>>()?, view: unread(collection), is_vector })
}

/// A PUT of a tensor to the columns of a view that `key` means.
///
/// # Errors
/// As [`number_columns`]; `BadRequest` if no column is named or one belongs to the key, and if `value` is not a tensor with
/// one element for each of them in a row.
pub(super) fn put_numbers(collection: &Collection, key: &State, value: &State) -> Result<Action> {
    if key.is_none() {
        return Err(Error::bad_request("a tensor is written to columns that are named, found null"));
    }
    let columns = number_columns(collection, key)?;
    for (at, _) in &columns.columns {
        refuse_key(&collection.table.schema, *at)?;
    }
    let State::Tensor(value) = value else {
        return Err(Error::bad_request(format!("expected a tensor to write to columns, found {}", show(value))));
    };
    check_shape(value.shape(), columns.columns.len())?;
    Ok(Action::PutNumbers { columns, value: Arc::clone(value) })
}

/// Checks that a tensor has rows of a collection of `schema`.
///
/// # Errors
/// `BadRequest` if a column is not of numbers of one class, and if rows of the tensor do not have one element for each.
pub(super) fn check_contents(schema: &Schema, tensor: &Tensor) -> Result<()> {
    for column in &schema.columns {
        class_of(column)?;
    }
    check_shape(tensor.shape(), schema.columns.len())
}

/// Checks that a tensor has rows of so many elements. Where it is one, the rows need no axis of their own.
fn check_shape(shape: &Shape, columns: usize) -> Result<()> {
    let fits = match shape.dims() {
        [_] => columns == 1,
        [_, width] => *width == columns as u64,
        _ => false,
    };
    match (fits, columns) {
        (true, _) => Ok(()),
        (false, 1) => {
            Err(Error::bad_request(format!("expected a tensor of shape [rows] or [rows, 1], not of shape {shape}")))
        }
        (false, columns) => {
            Err(Error::bad_request(format!("expected a tensor of shape [rows, {columns}], not of shape {shape}")))
        }
    }
}

/// The class of the cells of a column.
fn class_of(column: &Column) -> Result<NumberClass> {
    match column.ty {
        ColumnType::Number(class) => Ok(class),
        _ => {
            let Column { name, class, .. } = column;
            let message = format!("column {name} has cells of class {class}, which are no elements of a tensor");
            Err(Error::bad_request(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use NumberClass::*;

    use super::*;
    use crate::compiler::collection::sample::{self, BS, TS, state};
    use crate::compiler::collection::view::{limit, select};
    use crate::value::schema::Kind;
    use crate::value::tensor::{Initial, Layout, Node, TensorSchema};

    fn table() -> Collection {
        sample::collection(Kind::Table, TS)
    }

    fn read(collection: &Collection, key: &str) -> Result<(Vec<(usize, NumberClass)>, bool), String> {
        let columns = number_columns(collection, &state(key)).map_err(|error| error.message().to_string())?;
        Ok((columns.columns, columns.is_vector))
    }

    fn tensor(dims: &[u64]) -> State {
        let schema = TensorSchema { layout: Layout::Dense, dtype: F64, shape: Shape::try_new(dims).unwrap() };
        let zeros = Node::Initial(Initial::Fill(schema.zero()).into());
        Tensor::new(schema, zeros).into()
    }

    /// The columns that a tensor of a shape is written to.
    fn put(collection: &Collection, key: &str, dims: &[u64]) -> Result<Vec<(usize, NumberClass)>, String> {
        match put_numbers(collection, &state(key), &tensor(dims)) {
            Ok(Action::PutNumbers { columns, .. }) => Ok(columns.columns),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.message().to_string()),
        }
    }

    fn of(classes: &[NumberClass]) -> NumberClass {
        let columns = (0..).zip(classes.iter().copied()).collect();
        NumberColumns { view: table(), columns, is_vector: false }.dtype()
    }

    #[test]
    fn columns_are_named_or_all_of_numbers() {
        let both = Ok((vec![(1, U32), (2, I32)], false));
        assert_eq!(read(&table(), "null"), both);
        assert_eq!(read(&table(), r#"["zone","since"]"#), both);
        assert_eq!(read(&table(), r#"["since"]"#), Ok((vec![(2, I32)], false)));
        assert_eq!(read(&table(), r#""since""#), Ok((vec![(2, I32)], true)));
        assert_eq!(read(&sample::collection(Kind::BTree, BS), "null"), Ok((vec![(0, I32)], false)));
        let selected = select(&table(), &state(r#"["since","city"]"#)).unwrap();
        assert_eq!(read(&selected, "null"), Ok((vec![(2, I32)], false)));
    }

    #[test]
    fn other_columns_are_refused() {
        let expected = "column city has cells of class string, which are no elements of a tensor";
        assert_eq!(read(&table(), r#"["zone","city"]"#), Err(expected.into()));
        assert_eq!(read(&table(), r#""city""#), Err(expected.into()));
        assert_eq!(read(&table(), r#""girth""#), Err("there is no column girth".into()));
        assert_eq!(read(&table(), r#"["zone","zone"]"#), Err("column zone is listed twice".into()));
        let none = Err("a tensor is made of at least one column of numbers".into());
        assert_eq!(read(&table(), "[]"), none);
        let selected = select(&table(), &state(r#"["city"]"#)).unwrap();
        assert_eq!(read(&selected, "null"), none);
        assert_eq!(read(&selected, r#""zone""#), Err("there is no column zone".into()));
    }

    #[test]
    fn the_order_of_columns_does_not_count_for_the_dtype() {
        for (classes, expected) in [
            (&[U32, F32, I16][..], F32),
            (&[U32, I16, F32], F32),
            (&[I64, F32], F64),
            (&[U32, I32], I64),
            (&[Bool, Bool], Bool),
            (&[Bool, U8], U8),
            (&[F64, C32], C64),
        ] {
            assert_eq!(of(classes), expected, "{classes:?}");
        }
    }

    #[test]
    fn tensors_are_written_to_columns_that_they_fit() {
        let since = Ok(vec![(2, I32)]);
        for (key, dims) in [(r#""since""#, &[4][..]), (r#""since""#, &[4, 1]), (r#"["since"]"#, &[4])] {
            assert_eq!(put(&table(), key, dims), since, "{key}");
        }
        assert_eq!(put(&table(), r#"["since","zone"]"#, &[4, 2]), Ok(vec![(2, I32), (1, U32)]));
        let first = limit(&table(), &state("2")).unwrap();
        assert_eq!(put(&first, r#""since""#, &[2]), since);
        let shape =
            |expected: &str, found: &str| Err(format!("expected a tensor of shape {expected}, not of shape {found}"));
        assert_eq!(put(&table(), r#""since""#, &[1, 4]), shape("[rows] or [rows, 1]", "[1, 4]"));
        assert_eq!(put(&table(), r#"["since","zone"]"#, &[4]), shape("[rows, 2]", "[4]"));
        assert_eq!(put(&table(), r#"["since","zone"]"#, &[4, 2, 1]), shape("[rows, 2]", "[4, 2, 1]"));
        let unnamed = "a tensor is written to columns that are named, found null";
        assert_eq!(put(&table(), "null", &[4, 2]), Err(unnamed.into()));
        let tree = sample::collection(Kind::BTree, BS);
        let key = "column sku belongs to the key, which cannot be updated";
        assert_eq!(put(&tree, r#""sku""#, &[4]), Err(key.into()));
        let error = put_numbers(&table(), &state(r#""zone""#), &state("[1,2]")).unwrap_err();
        assert_eq!(error.message(), "expected a tensor to write to columns, found [1,2]");
    }
}
