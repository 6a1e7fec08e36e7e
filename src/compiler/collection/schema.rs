//! Schemas as they are written, and as they are replied.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::value::encode::to_json_within;
use crate::value::number::cast::{to_f64, to_integer};
use crate::value::schema::{Column, Index, Kind, Schema};
use crate::value::{Class, Id, Number, State, Tuple, Value, cast};

/// Columns of one collection. Every row is as wide, and so is every batch of rows in memory.
pub const COLUMNS_MAX: usize = 1024;
/// Indexes of one table. Each is written to whenever a row is.
pub const INDEXES_MAX: usize = 64;
/// How much of what was sent a message repeats, in bytes of JSON.
const SHOWN_BYTES_MAX: usize = 200;

/// The schema that `state` describes.
///
/// That of a B-tree is a list of columns; that of a table is `[[key columns, value columns], indexes]`. A column is
/// `[name, class]`, or `[name, class, bytes]` if cells have no length of their own; an index is `[name, [column name, …]]`.
///
/// # Errors
/// `BadRequest` if it is malformed or names something twice, if a class is not one of values, if a length is missing or
/// too many, if there is no key, or if an index names a column that does not exist.
pub fn parse_schema(kind: Kind, state: &State) -> Result<Schema> {
    match kind {
        Kind::BTree => parse_btree(state),
        Kind::Table => parse_table(state),
        Kind::Tensor(_) => Err(Error::internal("a tensor is not declared by columns")),
    }
}

/// A schema as the reply of `schema`: classes are links, and columns of indexes are Ids.
///
/// # Errors
/// As [`Tuple::try_new`].
pub fn schema_state(schema: &Schema) -> Result<State> {
    if schema.kind == Kind::BTree {
        return columns_state(&schema.columns);
    }
    let indexes = schema.indexes.iter().map(|index| index_state(schema, index)).collect::<Result<Vec<_>>>()?;
    list([list([columns_state(schema.key())?, columns_state(schema.values())?])?, list(indexes)?])
}

/// The names of columns, as a list of Ids.
///
/// # Errors
/// As [`Tuple::try_new`].
pub fn names_state(columns: &[Column]) -> Result<State> {
    list(columns.iter().map(|column| State::from(column.name.clone())).collect::<Vec<_>>())
}

/// A whole number of any class but Bool.
pub(crate) fn whole_number(state: &State) -> Option<i128> {
    match state {
        State::Value(Value::Number(Number::Bool(_))) => None,
        State::Value(Value::Number(number @ (Number::F32(_) | Number::F64(_)))) => {
            let number = to_f64(*number);
            (number.fract() == 0.0).then_some(number as i128)
        }
        State::Value(Value::Number(number)) => to_integer(*number),
        _ => None,
    }
}

/// The beginning of the text of a state, for a message.
pub(crate) fn show(state: &State) -> String {
    to_json_within(state, SHOWN_BYTES_MAX)
}

fn parse_btree(state: &State) -> Result<Schema> {
    let columns = parse_columns(state)?;
    if columns.is_empty() {
        return Err(Error::bad_request("a B-tree needs at least one column"));
    }
    check_columns(&columns)?;
    Ok(Schema { kind: Kind::BTree, key_len: columns.len(), columns, indexes: vec![] })
}

fn parse_table(state: &State) -> Result<Schema> {
    let malformed = || {
        let expected = "[[[key column, …], [value column, …]], [index, …]]";
        Error::bad_request(format!("the schema of a table is {expected}, not {}", show(state)))
    };
    let Some([header, indexes]) = items(state) else { return Err(malformed()) };
    let Some([key, values]) = items(header) else { return Err(malformed()) };
    let indexes = items(indexes).ok_or_else(malformed)?;

    let mut columns = parse_columns(key)?;
    let key_len = columns.len();
    if key_len == 0 {
        return Err(Error::bad_request("a table needs at least one key column"));
    }
    columns.extend(parse_columns(values)?);
    for (ordinal, column) in (0u32..).zip(&mut columns) {
        column.ordinal = ordinal;
    }
    check_columns(&columns)?;
    if indexes.len() > INDEXES_MAX {
        return Err(Error::bad_request(format!("a table has at most {INDEXES_MAX} indexes, not {}", indexes.len())));
    }
    let mut schema = Schema { kind: Kind::Table, columns, key_len, indexes: Vec::with_capacity(indexes.len()) };
    for index in indexes {
        let index = parse_index(&schema, index)?;
        if schema.indexes.iter().any(|other| other.name == index.name) {
            return Err(Error::bad_request(format!("two indexes are named {}", index.name)));
        }
        schema.indexes.push(index);
    }
    Ok(schema)
}

/// Checks what concerns all columns together.
fn check_columns(columns: &[Column]) -> Result<()> {
    if columns.len() > COLUMNS_MAX {
        return Err(Error::bad_request(format!(
            "a collection has at most {COLUMNS_MAX} columns, not {}",
            columns.len()
        )));
    }
    let mut names = HashSet::with_capacity(columns.len());
    match columns.iter().find(|column| !names.insert(column.name.as_str())) {
        Some(column) => Err(Error::bad_request(format!("two columns are named {}", column.name))),
        None => Ok(()),
    }
}

fn parse_columns(state: &State) -> Result<Vec<Column>> {
    let columns =
        items(state).ok_or_else(|| Error::bad_request(format!("expected a list of columns, found {}", show(state))))?;
    (0u32..).zip(columns).map(|(slot, column)| parse_column(slot, column)).collect()
}

fn parse_column(slot: u32, state: &State) -> Result<Column> {
    let unlimited = State::NONE;
    let (name, class, max_len) = match items(state) {
        Some([name, class]) => (name, class, &unlimited),
        Some([name, class, max_len]) => (name, class, max_len),
        _ => {
            let expected = "[name, class] or [name, class, maximum length]";
            return Err(Error::bad_request(format!("a column is {expected}, not {}", show(state))));
        }
    };
    let name = cast::to_id(name)?;
    let unknown = || Error::bad_request(format!("column {name} needs a class of values, not {}", show(class)));
    let class = class_of(class).ok_or_else(unknown)?;
    let ty = Column::type_of(class).ok_or_else(unknown)?;
    let max_len = parse_max_len(&name, class, max_len)?;
    Ok(Column { name, class, ty, max_len, nullable: false, slot, ordinal: 0, default: State::NONE })
}

/// The class that a link or the text of its path names.
pub(crate) fn class_of(state: &State) -> Option<Class> {
    match state {
        State::Value(Value::Link(link)) => Class::of_link(link),
        State::Value(Value::String(path)) => Class::at(path),
        _ => None,
    }
}

/// The length in bytes of the longest cell: for all classes but numbers.
fn parse_max_len(name: &Id, class: Class, state: &State) -> Result<Option<u32>> {
    match (class.is_number(), *state == State::NONE) {
        (true, true) => Ok(None),
        (true, false) => Err(Error::bad_request(format!("column {name} of class {class} takes no maximum length"))),
        (false, true) => Err(Error::bad_request(format!("column {name} of class {class} needs a maximum length"))),
        (false, false) => match whole_number(state).and_then(|bytes| u32::try_from(bytes).ok()) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Error::bad_request(format!("column {name} cannot have the maximum length {}", show(state)))),
        },
    }
}

fn parse_index(schema: &Schema, state: &State) -> Result<Index> {
    let malformed = || Error::bad_request(format!("an index is [name, [column, …]], not {}", show(state)));
    let Some([name, columns]) = items(state) else { return Err(malformed()) };
    let (name, names) = (cast::to_id(name)?, items(columns).ok_or_else(malformed)?);
    if names.is_empty() {
        return Err(Error::bad_request(format!("index {name} needs at least one column")));
    }
    let mut columns = Vec::with_capacity(names.len().min(COLUMNS_MAX));
    for column in names {
        let column = cast::to_id(column)?;
        let Some(position) = schema.position(column.as_str()) else {
            return Err(Error::bad_request(format!("index {name} names the column {column}, which does not exist")));
        };
        if columns.contains(&position) {
            return Err(Error::bad_request(format!("index {name} names the column {column} twice")));
        }
        columns.push(position);
    }
    Ok(Index { name, columns, unique: false })
}

fn columns_state(columns: &[Column]) -> Result<State> {
    list(columns.iter().map(column_state).collect::<Result<Vec<_>>>()?)
}

fn column_state(column: &Column) -> Result<State> {
    let (name, class) = (text(&column.name), State::from(column.class.link()));
    match column.max_len {
        None => list([name, class]),
        Some(bytes) => list([name, class, u64::from(bytes).into()]),
    }
}

fn index_state(schema: &Schema, index: &Index) -> Result<State> {
    let columns = index.columns.iter().map(|column| State::from(schema.columns[*column].name.clone()));
    list([text(&index.name), list(columns.collect::<Vec<_>>())?])
}

/// A name as a String.
fn text(name: &Id) -> State {
    State::Value(Value::String(Arc::clone(name.shared())))
}

/// A list of `items`.
///
/// # Errors
/// As [`Tuple::try_new`].
pub(crate) fn list(items: impl Into<Box<[State]>>) -> Result<State> {
    Ok(Tuple::try_new(items)?.into())
}

/// The items of a list.
pub(crate) fn items(state: &State) -> Option<&[State]> {
    match state {
        State::Tuple(tuple) => Some(tuple.items()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::{BS, TS, state};
    use crate::error::Kind as ErrorKind;
    use crate::value::NumberClass;
    use crate::value::encode::to_json;
    use crate::value::schema::ColumnType;

    /// Checks what the method `schema` replies of a schema.
    #[track_caller]
    fn check(kind: Kind, schema: &str, expected: &str) {
        let schema = parse_schema(kind, &state(schema)).unwrap();
        assert_eq!(to_json(&schema_state(&schema).unwrap()), expected);
    }

    #[track_caller]
    fn refuse(kind: Kind, schema: &str, message: &str) {
        let error = parse_schema(kind, &state(schema)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::BadRequest, message));
    }

    #[test]
    fn the_schema_of_a_btree() {
        let reply = r#"[["sku",{"/state/scalar/value/number/int":[]}],["label",{"/state/scalar/value/string":[]},40]]"#;
        check(Kind::BTree, BS, reply);
        check(Kind::BTree, reply, reply);
        check(
            Kind::BTree,
            r#"[["n","/state/scalar/value/number/int"]]"#,
            r#"[["n",{"/state/scalar/value/number/int":[]}]]"#,
        );
    }

    #[test]
    fn the_schema_of_a_table() {
        let reply = concat!(
            r#"[[[["city",{"/state/scalar/value/string":[]},60]],[["zone",{"/state/scalar/value/number/uint":[]}],"#,
            r#"["since",{"/state/scalar/value/number/int/32":[]}]]],"#,
            r#"[["by_zone",[{"zone":[]}]],["by_since",[{"since":[]},{"zone":[]}]]]]"#
        );
        check(Kind::Table, TS, reply);
        check(Kind::Table, reply, reply);
        let u64 = "/state/scalar/value/number/uint/64";
        check(Kind::Table, &format!(r#"[[[["k","{u64}"]],[]],[]]"#), &format!(r#"[[[["k",{{"{u64}":[]}}]],[]],[]]"#));
    }

    #[test]
    fn a_column_is_stored_by_its_place_among_its_kind() {
        let schema = parse_schema(Kind::Table, &state(TS)).unwrap();
        let places: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), c.slot, c.ordinal)).collect();
        assert_eq!(places, [("city", 0, 0), ("zone", 0, 1), ("since", 1, 2)]);
        assert_eq!(schema.key_len, 1);
        assert_eq!(schema.columns[0].max_len, Some(60));
        assert_eq!(schema.columns[1].ty, ColumnType::Number(NumberClass::U32));
        assert_eq!(schema.indexes[1].columns, [2, 1]);
        assert_eq!(schema.index_columns(&schema.indexes[1]), [2, 1, 0]);
    }

    #[test]
    fn an_index_may_name_key_columns() {
        let schema = r#"[[[["k","/state/scalar/value/number/uint/64"]],[["z","/state/scalar/value/number/uint"]]],[["i",["z","k"]]]]"#;
        let schema = parse_schema(Kind::Table, &state(schema)).unwrap();
        assert_eq!(schema.index_columns(&schema.indexes[0]), [1, 0]);
    }

    #[test]
    fn malformed_schemas_of_btrees_are_refused() {
        let refuse = |schema, message| refuse(Kind::BTree, schema, message);
        refuse("[]", "a B-tree needs at least one column");
        refuse("5", "expected a list of columns, found 5");
        refuse(r#"[["w"]]"#, r#"a column is [name, class] or [name, class, maximum length], not ["w"]"#);
        refuse(r#"[["w","/state/scalar/value/string"]]"#, "column w of class string needs a maximum length");
        refuse(r#"[["n","/state/scalar/value/number/int",8]]"#, "column n of class int takes no maximum length");
        refuse(r#"[["w","/state/scalar/value/string",-1]]"#, "column w cannot have the maximum length -1");
        refuse(r#"[["n",{"/state/map":{}}]]"#, r#"column n needs a class of values, not {"/state/map":[]}"#);
        refuse(r#"[["n","int"]]"#, r#"column n needs a class of values, not "int""#);
        refuse(
            r#"[["n","/state/scalar/value/number/int"],["n","/state/scalar/value/number/int"]]"#,
            "two columns are named n",
        );
    }

    #[test]
    fn malformed_schemas_of_tables_are_refused() {
        let key = r#"[["k","/state/scalar/value/number/uint/64"]]"#;
        let value = r#"[["z","/state/scalar/value/number/uint"]]"#;
        let refuse = |schema: String, message| refuse(Kind::Table, &schema, message);
        refuse("[[[],[]],[]]".into(), "a table needs at least one key column");
        refuse(format!("[[[],{value}],[]]"), "a table needs at least one key column");
        refuse(format!("[[{key},{key}],[]]"), "two columns are named k");
        refuse(
            format!("[[{key},[]]]").replace(key, "[]"),
            "the schema of a table is [[[key column, …], [value column, …]], [index, …]], not [[[],[]]]",
        );
        refuse(format!(r#"[[{key},[]],[["i",["z"]]]]"#), "index i names the column z, which does not exist");
        refuse(format!(r#"[[{key},{value}],[["i",[]]]]"#), "index i needs at least one column");
        refuse(format!(r#"[[{key},{value}],[["i",["z","z"]]]]"#), "index i names the column z twice");
        refuse(format!(r#"[[{key},{value}],[["i",["z"]],["i",["k"]]]]"#), "two indexes are named i");
    }
}
