//! Conditions on the cells of a column: how they are written, what meets them, and which is within which.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::value::cell::{cast_cell, parse_date, parse_decimal, parse_timestamp};
use crate::value::collection::{Bound, Condition};
use crate::value::number::NumberKind;
use crate::value::number::cast::{cast as cast_number, to_f64, to_integer};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::{Number, State, Value, cast, collate};

/// A bound as it is written, with whether it includes its value; nothing for an open one.
pub(crate) type Written<'a> = Option<(bool, &'a State)>;

/// An end of a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    From,
    To,
}

/// The condition on cells of `column` that `state` is: a value, or a range `[bound, bound]` of bounds `["in", value]`,
/// `["ex", value]` or null. Nothing if it admits every cell: null, or a range that is open on both sides.
///
/// # Errors
/// `BadRequest` if a value cannot be cast to the class of the column.
pub fn parse_condition(column: &Column, state: &State) -> Result<Option<Condition>> {
    if *state == State::NONE {
        return Ok(None);
    }
    let Some((from, to)) = range_of(state) else {
        return Ok(Some(Condition::Equal(cast_operand(column, state)?)));
    };
    Ok(match (parse_bound(column, from, End::From)?, parse_bound(column, to, End::To)?) {
        (Bound::Open, Bound::Open) => None,
        (Bound::Inclusive(from), Bound::Inclusive(to)) if compare(column.ty, &from, &to).is_eq() => {
            Some(Condition::Equal(from))
        }
        (from, to) => Some(Condition::Range(from, to)),
    })
}

/// The conditions of a range tuple: values of the first columns, then at most one range, and what is open after it.
///
/// # Errors
/// `BadRequest` if it is no list, has more items than there are columns, or constrains a column after a range; as
/// [`parse_condition`].
pub fn parse_range(schema: &Schema, range: &State) -> Result<Vec<(usize, Condition)>> {
    let items = match range {
        State::Value(Value::None) => return Ok(vec![]),
        State::Tuple(tuple) => tuple.items(),
        other => {
            let expected = "null or a list of column values, of which the last may be a range";
            return Err(Error::bad_request(format!("a range of rows is {expected}, not a {}", other.class())));
        }
    };
    if items.len() > schema.columns.len() {
        let (found, columns) = (items.len(), schema.columns.len());
        return Err(Error::bad_request(format!("a range of {found} columns does not fit rows of {columns}")));
    }
    let mut conditions = Vec::with_capacity(items.len());
    let mut ranged: Option<&Column> = None;
    for (position, (column, item)) in schema.columns.iter().zip(items).enumerate() {
        let condition = parse_condition(column, item)?;
        if let (Some(ranged), Some(_)) = (ranged, &condition) {
            let (ranged, name) = (&ranged.name, &column.name);
            return Err(Error::bad_request(format!("column {name} cannot be constrained after a range of {ranged}")));
        }
        if !matches!(condition, Some(Condition::Equal(_))) {
            ranged = ranged.or(Some(column));
        }
        conditions.extend(condition.map(|condition| (position, condition)));
    }
    Ok(conditions)
}

/// Whether a cell of `column` meets `condition`.
pub fn meets(column: &Column, condition: &Condition, cell: &State) -> bool {
    let order = |value: &State| compare(column.ty, cell, value);
    match condition {
        Condition::Equal(value) => order(value).is_eq(),
        Condition::Range(from, to) => {
            let is_from = match from {
                Bound::Open => true,
                Bound::Inclusive(value) => order(value).is_ge(),
                Bound::Exclusive(value) => order(value).is_gt(),
            };
            is_from
                && match to {
                    Bound::Open => true,
                    Bound::Inclusive(value) => order(value).is_le(),
                    Bound::Exclusive(value) => order(value).is_lt(),
                }
        }
    }
}

/// Whether a row of `schema`, which has a cell for each column, meets all conditions of `filter`.
pub fn meets_all(schema: &Schema, filter: &[(usize, Condition)], row: &[State]) -> bool {
    filter.iter().all(|(position, condition)| meets(&schema.columns[*position], condition, &row[*position]))
}

/// Whether every cell that meets `inner` meets `outer` too.
pub(super) fn is_within(column: &Column, inner: &Condition, outer: &Condition) -> bool {
    match (inner, outer) {
        (Condition::Equal(value), outer) => meets(column, outer, value),
        (Condition::Range(from, to), _) if is_empty(column, from, to) => true,
        (Condition::Range(..), Condition::Equal(_)) => false,
        (Condition::Range(from, to), Condition::Range(outer_from, outer_to)) => {
            compare_from(column.ty, from, outer_from).is_ge() && compare_to(column.ty, to, outer_to).is_le()
        }
    }
}

/// The order of two cells of a column, as the rows of an index on it are ordered.
pub fn compare(ty: ColumnType, l: &State, r: &State) -> Ordering {
    let of_sql = match (l, r) {
        (State::Value(Value::String(l)), State::Value(Value::String(r))) => compare_texts(ty, l, r),
        _ => None,
    };
    of_sql.unwrap_or_else(|| collate::collate(l, r))
}

/// The order of two cells of a type whose cells are texts but are not ordered like texts.
fn compare_texts(ty: ColumnType, l: &str, r: &str) -> Option<Ordering> {
    match ty {
        ColumnType::Decimal { precision, scale } => {
            Some(parse_decimal(l, precision, scale)?.cmp(&parse_decimal(r, precision, scale)?))
        }
        ColumnType::Date => Some(parse_date(l)?.cmp(&parse_date(r)?)),
        ColumnType::Timestamp => Some(parse_timestamp(l)?.cmp(&parse_timestamp(r)?)),
        _ => None,
    }
}

/// Whether no cell can lie between two bounds, by the bounds alone.
fn is_empty(column: &Column, from: &Bound, to: &Bound) -> bool {
    match (from, to) {
        (Bound::Open, _) | (_, Bound::Open) => false,
        (Bound::Inclusive(from), Bound::Inclusive(to)) => compare(column.ty, from, to).is_gt(),
        (Bound::Inclusive(from) | Bound::Exclusive(from), Bound::Inclusive(to) | Bound::Exclusive(to)) => {
            compare(column.ty, from, to).is_ge()
        }
    }
}

/// The order of two beginnings, that of the larger range first.
fn compare_from(ty: ColumnType, l: &Bound, r: &Bound) -> Ordering {
    let place = |bound: &Bound| matches!(bound, Bound::Exclusive(_));
    match (value_of(l), value_of(r)) {
        (Some(l_value), Some(r_value)) => compare(ty, l_value, r_value).then_with(|| place(l).cmp(&place(r))),
        (l, r) => l.is_some().cmp(&r.is_some()),
    }
}

/// The order of two ends, that of the larger range last.
fn compare_to(ty: ColumnType, l: &Bound, r: &Bound) -> Ordering {
    let place = |bound: &Bound| matches!(bound, Bound::Inclusive(_));
    match (value_of(l), value_of(r)) {
        (Some(l_value), Some(r_value)) => compare(ty, l_value, r_value).then_with(|| place(l).cmp(&place(r))),
        (l, r) => l.is_none().cmp(&r.is_none()),
    }
}

fn value_of(bound: &Bound) -> Option<&State> {
    match bound {
        Bound::Open => None,
        Bound::Inclusive(value) | Bound::Exclusive(value) => Some(value),
    }
}

/// The bounds of a range, or nothing if `state` is a value: a range is a list of two items that are each null or a bound.
pub(crate) fn range_of(state: &State) -> Option<(Written<'_>, Written<'_>)> {
    let State::Tuple(pair) = state else { return None };
    let [from, to] = pair.items() else { return None };
    Some((bound_of(from)?, bound_of(to)?))
}

fn bound_of(state: &State) -> Option<Written<'_>> {
    if *state == State::NONE {
        return Some(None);
    }
    let State::Tuple(pair) = state else { return None };
    let [kind, value] = pair.items() else { return None };
    let kind = match kind {
        State::Value(Value::String(kind)) => &**kind,
        State::Value(Value::Id(kind)) => kind.as_str(),
        _ => return None,
    };
    let includes = match kind {
        "in" => true,
        "ex" => false,
        _ => return None,
    };
    // A bound without a value is open: the clients of the first versions write it so.
    Some((*value != State::NONE).then_some((includes, value)))
}

/// A bound with its value cast to the class of the column.
fn parse_bound(column: &Column, written: Written<'_>, end: End) -> Result<Bound> {
    let Some((includes, value)) = written else { return Ok(Bound::Open) };
    let cell = cast_operand(column, value)?;
    Ok(match out_of_range(column, value) {
        Some((nearest, is_below)) if is_below == (end == End::From) => Bound::Exclusive(nearest),
        Some((nearest, _)) => Bound::Inclusive(nearest),
        None if includes => Bound::Inclusive(cell),
        None => Bound::Exclusive(cell),
    })
}

/// For a column of integers and a number beyond its class: the integer of the class that is next to it, and whether that
/// is less.
///
/// A cell wraps around. As a bound, that would turn `-1 ≤ x` of unsigned integers into a range of nothing.
fn out_of_range(column: &Column, value: &State) -> Option<(State, bool)> {
    let ColumnType::Number(class) = column.ty else { return None };
    if !matches!(class.kind(), NumberKind::UInt | NumberKind::Int) {
        return None;
    }
    let number = cast::to_number(value).ok()?;
    let whole = to_integer(number).unwrap_or_else(|| to_f64(number) as i128);
    if to_integer(cast_number(number, class)) == Some(whole) {
        return None;
    }
    // A float saturates where an integer wraps around. Integers beyond the class stay beyond it when they are rounded.
    let nearest = cast_number(Number::F64(to_f64(number)), class);
    Some((nearest.into(), to_integer(nearest)? < whole))
}

/// A value to compare cells with. It may be longer than any cell: then it equals none, but nothing is wrong with asking.
fn cast_operand(column: &Column, value: &State) -> Result<State> {
    match column.max_len {
        None => cast_cell(column, value),
        Some(_) => cast_cell(&Column { max_len: None, ..column.clone() }, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::{BS, state};
    use crate::compiler::collection::schema::parse_schema;
    use crate::error::Kind as ErrorKind;
    use crate::value::schema::Kind;
    use crate::value::{Class, NumberClass};

    fn column(class: Class, max_len: Option<u32>) -> Column {
        let ty = Column::type_of(class).unwrap();
        Column { name: "c".into(), class, ty, max_len, nullable: false, slot: 0, ordinal: 0, default: State::NONE }
    }

    fn u8_column() -> Column {
        column(NumberClass::U8.into(), None)
    }

    fn parse(column: &Column, text: &str) -> Option<Condition> {
        parse_condition(column, &state(text)).unwrap()
    }

    fn byte(n: u8) -> State {
        Number::U8(n).into()
    }

    #[test]
    fn a_condition_is_a_value_or_a_range() {
        let column = u8_column();
        let check = |text, expected| assert_eq!(parse(&column, text), expected, "{text}");
        check("5", Some(Condition::Equal(byte(5))));
        check(r#""5""#, Some(Condition::Equal(byte(5))));
        let range = |from, to| Some(Condition::Range(from, to));
        check(r#"[["in",2],["ex",5]]"#, range(Bound::Inclusive(byte(2)), Bound::Exclusive(byte(5))));
        check(r#"[["ex",2],["in",5]]"#, range(Bound::Exclusive(byte(2)), Bound::Inclusive(byte(5))));
        check(r#"[null,["ex",5]]"#, range(Bound::Open, Bound::Exclusive(byte(5))));
        check(r#"[["in",5],null]"#, range(Bound::Inclusive(byte(5)), Bound::Open));
        check(r#"[["in",null],["ex",8]]"#, range(Bound::Open, Bound::Exclusive(byte(8))));
        check(r#"[[{"in":[]},5],null]"#, range(Bound::Inclusive(byte(5)), Bound::Open));
        check(r#"[["in",5],["in",5]]"#, Some(Condition::Equal(byte(5))));
        check("null", None);
        check("[null,null]", None);
        check(r#"[["in",null],["ex",null]]"#, None);
    }

    #[test]
    fn what_cannot_be_cast_is_refused() {
        for text in [r#""x""#, r#"["in",5]"#, r#"[["in",5],["to",6]]"#, r#"[["in","x"],null]"#] {
            let error = parse_condition(&u8_column(), &state(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest, "{text}");
        }
    }

    #[test]
    fn bounds_beyond_the_class_of_a_column_keep_their_meaning() {
        let column = u8_column();
        let admits = |text: &str| -> Vec<u8> {
            let condition = parse(&column, text);
            let is_met = |n: &u8| condition.as_ref().is_none_or(|condition| meets(&column, condition, &byte(*n)));
            [0u8, 1, 2, 3, 254, 255].into_iter().filter(is_met).collect()
        };
        assert_eq!(admits(r#"[["in",-1],["ex",2]]"#), [0, 1]);
        assert_eq!(admits(r#"[["ex",254],["in",300]]"#), [255]);
        assert!(admits(r#"[["in",300],null]"#).is_empty());
        assert!(admits(r#"[null,["ex",-1]]"#).is_empty());
        assert_eq!(admits(r#"[["in",-1.5],["ex",1e9]]"#), [0, 1, 2, 3, 254, 255]);
    }

    #[test]
    fn bounds_are_cast_like_cells() {
        let range = Condition::Range(Bound::Inclusive(byte(1)), Bound::Exclusive(byte(2)));
        assert_eq!(parse(&u8_column(), r#"[["in","1"],["ex",2.9]]"#), Some(range));
    }

    #[test]
    fn an_operand_may_be_longer_than_a_cell() {
        let column = column(Class::String, Some(2));
        assert_eq!(parse(&column, r#""abc""#), Some(Condition::Equal("abc".into())));
    }

    #[test]
    fn a_range_of_rows_is_a_prefix_and_a_range() {
        let schema = parse_schema(Kind::BTree, &state(BS)).unwrap();
        let sku = |n: i32| State::from(Number::I32(n));
        let check = |text, expected: &[(usize, Condition)]| {
            assert_eq!(parse_range(&schema, &state(text)).unwrap(), expected, "{text}");
        };
        check("null", &[]);
        check("[]", &[]);
        check("[null]", &[]);
        check("[null,null]", &[]);
        check("[5]", &[(0, Condition::Equal(sku(5)))]);
        check("[5,null]", &[(0, Condition::Equal(sku(5)))]);
        check(r#"[5,"nut"]"#, &[(0, Condition::Equal(sku(5))), (1, Condition::Equal("nut".into()))]);
        let labels = Condition::Range(Bound::Inclusive("a".into()), Bound::Open);
        check(r#"[5,[["in","a"],null]]"#, &[(0, Condition::Equal(sku(5))), (1, labels)]);
        let skus = Condition::Range(Bound::Inclusive(sku(5)), Bound::Exclusive(sku(13)));
        check(r#"[[["in",5],["ex",13]],null]"#, &[(0, skus)]);
        for text in ["5", r#"[5,"nut",1]"#, r#"["x"]"#, r#"[null,"nut"]"#, r#"[[["in",5],null],"nut"]"#] {
            let error = parse_range(&schema, &state(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadRequest, "{text}");
        }
    }

    #[test]
    fn a_range_lies_within_another() {
        let column = u8_column();
        let check = |inner: &str, outer: &str, expected: bool| {
            let (inner, outer) = (parse(&column, inner).unwrap(), parse(&column, outer).unwrap());
            assert_eq!(is_within(&column, &inner, &outer), expected, "{inner:?} in {outer:?}");
        };
        check("3", r#"[["in",3],["ex",9]]"#, true);
        check("9", r#"[["in",3],["ex",9]]"#, false);
        check("9", r#"[["in",3],["in",9]]"#, true);
        check("3", "3", true);
        check("4", "3", false);
        check(r#"[["in",2],["ex",4]]"#, r#"[["in",1],["ex",5]]"#, true);
        check(r#"[["in",1],["ex",5]]"#, r#"[["in",1],["ex",5]]"#, true);
        check(r#"[["in",1],["in",5]]"#, r#"[["in",1],["ex",5]]"#, false);
        check(r#"[["in",1],["ex",5]]"#, r#"[["ex",1],["ex",5]]"#, false);
        check(r#"[["ex",1],["ex",5]]"#, r#"[["in",1],["in",5]]"#, true);
        check(r#"[null,["ex",5]]"#, r#"[["in",0],["ex",5]]"#, false);
        check(r#"[null,["ex",5]]"#, r#"[null,["ex",5]]"#, true);
        check(r#"[["in",2],null]"#, r#"[["in",1],null]"#, true);
        check(r#"[["in",2],["ex",9]]"#, "2", false);
        check(r#"[["in",13],["ex",5]]"#, "2", true);
    }

    #[test]
    fn decimals_and_dates_are_compared_by_value() {
        let order = |ty, l: &str, r: &str| compare(ty, &l.into(), &r.into());
        let decimal = ColumnType::Decimal { precision: 10, scale: 2 };
        let sorted = ["-10.00", "-9.50", "-9.05", "0.00", "0.05", "0.50", "9.00", "12.50"];
        for (i, l) in sorted.iter().enumerate() {
            for (j, r) in sorted.iter().enumerate() {
                assert_eq!(order(decimal, l, r), i.cmp(&j), "{l}, {r}");
            }
        }
        assert_eq!(order(decimal, "-0.00", "0"), Ordering::Equal);
        assert_eq!(order(decimal, "1.5", "1.50"), Ordering::Equal);
        let sorted = ["-0002-01-01", "-0001-12-31", "0099-01-01", "2001-02-03", "2001-10-01", "+10000-01-01"];
        for (i, l) in sorted.iter().enumerate() {
            for (j, r) in sorted.iter().enumerate() {
                assert_eq!(order(ColumnType::Date, l, r), i.cmp(&j), "{l}, {r}");
            }
        }
        let time = |text: &str| format!("2001-02-03T04:05:{text}");
        assert_eq!(order(ColumnType::Timestamp, &time("06"), &time("06.700")), Ordering::Less);
    }
}
