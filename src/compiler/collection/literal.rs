//! What makes a collection: its schema, and what it holds from the beginning.

use std::sync::Arc;

use super::numbers::check_contents;
use super::schema::{parse_schema, show};
use super::view::unread;
use crate::error::{Error, Result};
use crate::value::cell::cast_row;
use crate::value::schema::{Kind, Schema};
use crate::value::{Collection, Id, State, Tensor};

/// A collection that is to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Literal {
    pub schema: Schema,
    /// What it holds. Of rows with one key, the last is kept.
    pub source: Source,
}

/// What a new collection holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Rows with a cell for each column, as the columns store them, in the order in which they were given.
    Rows(Vec<Vec<State>>),
    /// The rows of another collection, which has as many columns. Their cells have to be cast.
    Collection(Collection),
    /// The rows of a tensor, which have one element for each column. All columns are of numbers, which these have to be cast
    /// to.
    Tensor(Arc<Tensor>),
}

/// The empty collection that a GET of the path of its class makes, with the schema as its key.
///
/// # Errors
/// As [`parse_schema`].
pub fn create(kind: Kind, schema: &State) -> Result<Literal> {
    Ok(Literal { schema: parse_schema(kind, schema)?, source: Source::Rows(vec![]) })
}

/// The collection that a literal `[schema, contents]` stands for. The contents are a list of rows, a collection, or a tensor.
///
/// # Errors
/// As [`parse_schema`]; `BadRequest` if the contents are something else, or if a row does not fit the schema.
pub fn load(kind: Kind, schema: &State, contents: &State) -> Result<Literal> {
    let schema = parse_schema(kind, schema)?;
    let source = source(&schema, contents)?;
    Ok(Literal { schema, source })
}

/// The collection that a POST of `copy_from` below the path of its class makes, with the parameters `schema` and `source`.
///
/// # Errors
/// `NotFound` if a parameter is missing, `BadRequest` if there is another; else as [`load`].
pub fn copy_from(kind: Kind, names: &[Id], args: &[State]) -> Result<Literal> {
    let param = |wanted: &str| {
        let found = names.iter().zip(args).find(|(name, _)| name.as_str() == wanted);
        found.map(|(_, arg)| arg).ok_or_else(|| Error::not_found(format!("parameter {wanted} of copy_from")))
    };
    let (schema, source) = (param("schema")?, param("source")?);
    match names.iter().find(|name| !matches!(name.as_str(), "schema" | "source")) {
        Some(name) => Err(Error::bad_request(format!("copy_from has no parameter {name}, only schema, source"))),
        None => load(kind, schema, source),
    }
}

/// The collection that the method `copy` makes of a view: with its schema and its rows, and open for writes.
///
/// # Errors
/// `BadRequest` if the view has selected columns, so that no key is left.
pub fn copy(view: &Collection) -> Result<Literal> {
    let mut schema = Schema::clone(&view.schema());
    if schema.key_len == 0 {
        return Err(Error::bad_request("what selects columns of a table has no key to copy it by: say copy_from"));
    }
    let (key, values) = schema.columns.split_at_mut(schema.key_len);
    for columns in [key, values] {
        for (slot, column) in (0u32..).zip(columns) {
            column.slot = slot;
        }
    }
    Ok(Literal { schema, source: Source::Collection(unread(view)) })
}

/// The rows that are read from `state` into a collection of `schema`.
fn source(schema: &Schema, state: &State) -> Result<Source> {
    match state {
        State::Collection(collection) => {
            check_width(schema, collection)?;
            Ok(Source::Collection(unread(collection)))
        }
        State::Stream(stream) => {
            let source = stream.rows()?;
            check_width(schema, source)?;
            Ok(Source::Collection(unread(source)))
        }
        State::Tensor(tensor) => {
            check_contents(schema, tensor)?;
            Ok(Source::Tensor(Arc::clone(tensor)))
        }
        State::Tuple(rows) => {
            let rows = rows.items().iter().map(|row| match row {
                State::Tuple(cells) => cast_row(schema, cells.items()),
                other => Err(Error::bad_request(format!("a row is a list of cells, not {}", show(other)))),
            });
            rows.collect::<Result<_>>().map(Source::Rows)
        }
        other if other.is_none() => Ok(Source::Rows(vec![])),
        other => Err(Error::bad_request(format!("expected a list of rows or a collection, found {}", show(other)))),
    }
}

/// Checks that rows of `source` have a cell for each column of `schema`.
///
/// # Errors
/// `BadRequest` if they have more or fewer.
pub(super) fn check_width(schema: &Schema, source: &Collection) -> Result<()> {
    let (expected, found) = (schema.columns.len(), source.schema().columns.len());
    if expected == found {
        return Ok(());
    }
    Err(Error::bad_request(format!("expected rows of {expected} cells, but those of the source have {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::{self, B, BS, T, TS, state};
    use crate::compiler::collection::view;
    use crate::error::Kind as ErrorKind;
    use crate::value::NumberClass;
    use crate::value::tensor::{Initial, Layout, Node, Shape, TensorSchema};

    fn rows(literal: Literal) -> String {
        match literal.source {
            Source::Rows(rows) => sample::text(&rows),
            other => panic!("{other:?} is not loaded"),
        }
    }

    #[track_caller]
    fn refuse(kind: Kind, schema: &str, contents: &str) {
        assert_eq!(
            load(kind, &state(schema), &state(contents)).unwrap_err().kind(),
            ErrorKind::BadRequest,
            "{contents}"
        );
    }

    #[test]
    fn a_schema_alone_makes_an_empty_collection() {
        assert_eq!(rows(create(Kind::BTree, &state(BS)).unwrap()), "[]");
        assert_eq!(rows(create(Kind::Table, &state(TS)).unwrap()), "[]");
        assert_eq!(create(Kind::BTree, &State::NONE).unwrap_err().kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn rows_are_cast() {
        let load = |kind, schema, contents| rows(load(kind, &state(schema), &state(contents)).unwrap());
        assert_eq!(load(Kind::BTree, BS, B), B);
        assert_eq!(load(Kind::BTree, BS, r#"[["3",4]]"#), r#"[[3,"4"]]"#);
        assert_eq!(load(Kind::BTree, BS, "null"), "[]");
        assert_eq!(load(Kind::Table, TS, r#"[["oak",5,1999],["ash","3",2000]]"#), r#"[["oak",5,1999],["ash",3,2000]]"#);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        refuse(Kind::BTree, BS, "[[3]]");
        refuse(Kind::BTree, BS, r#"[["x","bolt"]]"#);
        refuse(Kind::BTree, BS, r#"[[null,"bolt"]]"#);
        refuse(Kind::BTree, BS, r#"[[1,"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddX"]]"#);
        refuse(Kind::BTree, BS, "[3]");
        refuse(Kind::BTree, BS, "3");
        refuse(Kind::Table, TS, r#"[["ash",1]]"#);
    }

    #[test]
    fn a_collection_can_be_copied() {
        let copied = |kind, schema: &str, source: State| {
            copy_from(kind, &["schema".into(), "source".into()], &[state(schema), source])
        };
        assert_eq!(rows(copied(Kind::BTree, BS, state(B)).unwrap()), B);
        let tree = sample::collection(Kind::BTree, BS);
        let source = Source::Collection(tree.clone());
        assert_eq!(copied(Kind::BTree, BS, tree.clone().into()).unwrap().source, source);
        assert_eq!(copied(Kind::Table, TS, tree.into()).unwrap_err().kind(), ErrorKind::BadRequest);
        let table = sample::collection(Kind::Table, TS);
        let zones = view::select(&table, &state(r#"["zone","city"]"#)).unwrap();
        assert!(copied(Kind::BTree, BS, zones.into()).is_ok());
        assert_eq!(rows(copied(Kind::Table, TS, state(T)).unwrap()), T);
    }

    #[test]
    fn a_tensor_has_rows_of_numbers() {
        let load = |kind, schema: &str, dims: &[u64]| {
            let shape = Shape::try_new(dims).unwrap();
            let schema_of_tensor = TensorSchema { layout: Layout::Dense, dtype: NumberClass::F64, shape };
            let zeros = Node::Initial(Initial::Fill(schema_of_tensor.zero()).into());
            let tensor = Tensor::new(schema_of_tensor, zeros).into();
            load(kind, &state(schema), &tensor).map(|literal| matches!(literal.source, Source::Tensor(_)))
        };
        let (u64, f32) = ("/state/scalar/value/number/uint/64", "/state/scalar/value/number/float/32");
        let points = format!(r#"[[[["k","{u64}"]],[["x","{f32}"]]],[]]"#);
        assert_eq!(load(Kind::Table, &points, &[3, 2]), Ok(true));
        assert_eq!(load(Kind::BTree, &format!(r#"[["k","{u64}"]]"#), &[3]), Ok(true));
        let message = |kind, schema: &str, dims: &[u64]| load(kind, schema, dims).unwrap_err().message().to_string();
        let expected = "expected a tensor of shape [rows, 2], not of shape [3]";
        assert_eq!(message(Kind::Table, &points, &[3]), expected);
        let expected = "column label has cells of class string, which are no elements of a tensor";
        assert_eq!(message(Kind::BTree, BS, &[3, 2]), expected);
    }

    #[test]
    fn a_copy_has_the_schema_of_its_view() {
        let tree = sample::collection(Kind::BTree, BS);
        let slice = view::btree_slice(&tree, &state("[5]"), false).unwrap();
        let literal = copy(&slice).unwrap();
        assert_eq!((&literal.schema, literal.source), (tree.table.schema.as_ref(), Source::Collection(slice)));
        let table = sample::collection(Kind::Table, TS);
        assert_eq!(&copy(&table).unwrap().schema, table.table.schema.as_ref());
        let zones = view::select(&table, &state(r#"["zone"]"#)).unwrap();
        assert_eq!(copy(&zones).unwrap_err().kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn copies_need_their_parameters() {
        let kind = |names: &[&'static str]| {
            let names: Vec<Id> = names.iter().map(|name| Id::from(*name)).collect();
            let args: Vec<State> = names.iter().map(|_| state(BS)).collect();
            copy_from(Kind::BTree, &names, &args).map(|_| ()).map_err(|error| error.kind())
        };
        assert_eq!(kind(&["schema"]), Err(ErrorKind::NotFound));
        assert_eq!(kind(&["source"]), Err(ErrorKind::NotFound));
        assert_eq!(kind(&["schema", "source", "zone"]), Err(ErrorKind::BadRequest));
    }
}
