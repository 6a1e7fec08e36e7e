//! Selectors: the keys by which rows of a table are read, written and deleted.

use super::condition::parse_condition;
use super::schema::show;
use crate::error::{Error, Result};
use crate::value::cell::cast_cell;
use crate::value::collection::Condition;
use crate::value::schema::{ColumnType, Schema};
use crate::value::{Map, State, Value, cast};

/// Which rows a key means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selector {
    /// All of them.
    All,
    /// Those that meet all conditions, by the positions of their columns; all, if there is none.
    Where(Vec<(usize, Condition)>),
    /// The one with this key.
    Key(Vec<State>),
}

/// The rows of a table of `schema` that `key` means: all for null or an empty list, those that meet conditions for a list
/// of pairs `[column, condition]`, one for a list of as many values as the key has columns.
///
/// # Errors
/// `BadRequest` for anything else, for a column that does not exist or has two conditions, and for what cannot be cast to
/// the class of its column.
pub fn selector(schema: &Schema, key: &State) -> Result<Selector> {
    let items = match key {
        State::Value(Value::None) => return Ok(Selector::All),
        State::Tuple(tuple) => tuple.items(),
        other => return Err(malformed(schema, other)),
    };
    if items.is_empty() {
        return Ok(Selector::All);
    }
    if let Some(pairs) = pairs(items)
        && (pairs.iter().all(|(name, _)| schema.position(name).is_some()) || !is_key_of_any(schema, items))
    {
        return conditions(schema, pairs).map(Selector::Where);
    }
    if items.len() != schema.key_len {
        return Err(malformed(schema, key));
    }
    let cells = schema.key().iter().zip(items).map(|(column, cell)| cast_cell(column, cell));
    cells.collect::<Result<_>>().map(Selector::Key)
}

/// The conditions that are given by name, by the positions of their columns in `schema`. Those that admit every cell are
/// left out.
///
/// # Errors
/// `BadRequest` if a column does not exist, has two conditions, or cannot have this one.
pub fn conditions<'a>(
    schema: &Schema,
    named: impl IntoIterator<Item = (&'a str, &'a State)>,
) -> Result<Vec<(usize, Condition)>> {
    let mut found: Vec<(usize, Option<Condition>)> = Vec::new();
    for (name, condition) in named {
        let position = position(schema, name)?;
        if found.iter().any(|(other, _)| *other == position) {
            return Err(Error::bad_request(format!("column {name} has two conditions")));
        }
        found.push((position, parse_condition(&schema.columns[position], condition)?));
    }
    Ok(found.into_iter().filter_map(|(position, condition)| Some((position, condition?))).collect())
}

/// The position of the column `name`.
///
/// # Errors
/// `BadRequest` if there is none.
pub(super) fn position(schema: &Schema, name: &str) -> Result<usize> {
    schema.position(name).ok_or_else(|| Error::bad_request(format!("there is no column {name}")))
}

/// The positions of the columns that `state` lists by name; `purpose` says what for.
///
/// # Errors
/// `BadRequest` if it is no list of names, if a column does not exist, or is listed twice.
pub(super) fn positions(schema: &Schema, state: &State, purpose: &str) -> Result<Vec<usize>> {
    let State::Tuple(names) = state else {
        return Err(Error::bad_request(format!("expected a list of columns to {purpose}, not {}", show(state))));
    };
    let mut found = Vec::with_capacity(names.items().len().min(schema.columns.len()));
    for name in names.items() {
        let name = cast::to_id(name)?;
        let position = position(schema, name.as_str())?;
        if found.contains(&position) {
            return Err(Error::bad_request(format!("column {name} is listed twice")));
        }
        found.push(position);
    }
    Ok(found)
}

/// The named states that `state` is: a map, or an Id, which reads like the map of that name to an empty list.
pub(super) fn entries(state: &State) -> Option<Map> {
    match state {
        State::Map(map) => Some(map.clone()),
        State::Value(Value::Id(_)) => cast::to_map(state),
        _ => None,
    }
}

/// The pairs that `items` are, if each is a pair of a name and something else.
fn pairs(items: &[State]) -> Option<Vec<(&str, &State)>> {
    items.iter().map(pair).collect()
}

fn pair(item: &State) -> Option<(&str, &State)> {
    let State::Tuple(pair) = item else { return None };
    match pair.items() {
        [State::Value(Value::String(name)), condition] => Some((&**name, condition)),
        [State::Value(Value::Id(name)), condition] => Some((name.as_str(), condition)),
        _ => None,
    }
}

/// Whether `items` may be a key although they look like pairs: where all its columns hold tuples too.
fn is_key_of_any(schema: &Schema, items: &[State]) -> bool {
    items.len() == schema.key_len && schema.key().iter().all(|column| column.ty == ColumnType::Any)
}

fn malformed(schema: &Schema, key: &State) -> Error {
    let keys = match schema.key_len {
        0 => "[[column, condition], …]".to_string(),
        1 => "[key] or [[column, condition], …]".to_string(),
        columns => format!("a key of {columns} values or [[column, condition], …]"),
    };
    Error::bad_request(format!("rows are selected by null, {keys}, not by {}", show(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::{TS, state};
    use crate::compiler::collection::schema::parse_schema;
    use crate::error::Kind as ErrorKind;
    use crate::value::Number;
    use crate::value::collection::Bound;
    use crate::value::schema::Kind;

    fn select(schema: &str, key: &str) -> Result<Selector> {
        selector(&parse_schema(Kind::Table, &state(schema)).unwrap(), &state(key))
    }

    #[track_caller]
    fn check(key: &str, expected: Selector) {
        assert_eq!(select(TS, key), Ok(expected));
    }

    #[track_caller]
    fn refuse(key: &str, message: &str) {
        let error = select(TS, key).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::BadRequest, message));
    }

    fn zone(n: u32) -> State {
        Number::U32(n).into()
    }

    #[test]
    fn nothing_selects_everything() {
        check("null", Selector::All);
        check("[]", Selector::All);
    }

    #[test]
    fn pairs_are_conditions() {
        check(r#"[["zone",3]]"#, Selector::Where(vec![(1, Condition::Equal(zone(3)))]));
        check(r#"[["zone","3"]]"#, Selector::Where(vec![(1, Condition::Equal(zone(3)))]));
        check(r#"[[{"zone":[]},3]]"#, Selector::Where(vec![(1, Condition::Equal(zone(3)))]));
        check(r#"[["zone",null]]"#, Selector::Where(vec![]));
        let range = Condition::Range(Bound::Inclusive(zone(2)), Bound::Exclusive(zone(6)));
        let since = Condition::Equal(Number::I32(2000).into());
        let expected = Selector::Where(vec![(2, since), (1, range)]);
        check(r#"[["since",2000],["zone",[["in",2],["ex",6]]]]"#, expected);
    }

    #[test]
    fn as_many_values_as_key_columns_are_a_key() {
        check(r#"["ash"]"#, Selector::Key(vec!["ash".into()]));
        check("[7]", Selector::Key(vec!["7".into()]));
        let i32 = "/state/scalar/value/number/int/32";
        let schema = format!(r#"[[[["a","{i32}"],["b","{i32}"]],[["v","{i32}"]]],[["by_v",["v"]]]]"#);
        let key = [1, 2].map(|n| State::from(Number::I32(n)));
        assert_eq!(select(&schema, "[1,2]"), Ok(Selector::Key(key.to_vec())));
    }

    #[test]
    fn a_key_of_any_value_may_look_like_conditions() {
        let schema = r#"[[[["k","/state/scalar/value/tuple",100]],[["v","/state/scalar/value/number/int"]]],[]]"#;
        assert_eq!(select(schema, r#"[["a",1]]"#), Ok(Selector::Key(vec![state(r#"["a",1]"#)])));
        let v = State::from(Number::I32(1));
        assert_eq!(select(schema, r#"[["v",1]]"#), Ok(Selector::Where(vec![(1, Condition::Equal(v))])));
    }

    #[test]
    fn anything_else_is_refused() {
        let expected = "rows are selected by null, [key] or [[column, condition], …], not by";
        refuse(r#""ash""#, &format!(r#"{expected} "ash""#));
        refuse(r#""""#, &format!(r#"{expected} """#));
        refuse("5", &format!("{expected} 5"));
        refuse(r#"["ash","x"]"#, &format!(r#"{expected} ["ash","x"]"#));
        refuse(r#"{"zone":3}"#, &format!(r#"{expected} {{"zone":3}}"#));
        refuse(r#"[["girth",1]]"#, "there is no column girth");
        refuse(r#"[["zone",1],["girth",1]]"#, "there is no column girth");
        refuse(r#"[["zone",1],["zone",2]]"#, "column zone has two conditions");
        assert_eq!(select(TS, r#"[["zone","x"]]"#).unwrap_err().kind(), ErrorKind::BadRequest);
    }
}
