use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::value::Id;
use crate::value::sample::{bytes, email, float, id, int, link, map, string, tuple, version};
use crate::value::schema;

fn column(class: Class, ty: ColumnType) -> Column {
    Column { name: Id::from("c"), class, ty, max_len: None, nullable: false, slot: 0, ordinal: 0, default: State::NONE }
}

fn of_class(class: Class) -> Column {
    column(class, Column::type_of(class).unwrap())
}

#[track_caller]
fn check(column: &Column, cell: State, expected: impl Into<State>) {
    assert_eq!(cast_cell(column, &cell).unwrap(), expected.into());
}

#[track_caller]
fn refused(column: &Column, cell: State) -> String {
    let error = cast_cell(column, &cell).unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest);
    assert!(error.message().contains("column c"), "{error}");
    error.message().to_owned()
}

#[test]
fn numbers_take_the_class_of_the_column() {
    check(&of_class(Class::Int), string("7"), Number::I32(7));
    check(&of_class(Class::Int), float(7.9), Number::I32(7));
    check(&of_class(Class::Int), float(-7.9), Number::I32(-7));
    check(&of_class(Class::Exactly(NumberClass::U8)), int(300), Number::U8(44));
    check(&of_class(Class::Float), string("0.5"), Number::F32(0.5));
    check(&of_class(Class::Exactly(NumberClass::Bool)), string("true"), true);
    check(&of_class(Class::Exactly(NumberClass::F64)), float(-0.0), float(0.0));
    refused(&of_class(Class::Int), string("x"));
    refused(&of_class(Class::Int), tuple([int(1), int(2)]));
    refused(&of_class(Class::Int), map([("a", int(1))]));
}

#[test]
fn complex_numbers_have_three_forms() {
    let expected = Number::C32(Complex32::new(1.0, 2.0));
    let column = of_class(Class::Complex);
    check(&column, tuple([float(1.0), float(2.0)]), expected);
    check(&column, tuple([tuple([float(1.0), float(2.0)])]), expected);
    check(&column, Number::C64(Complex64::new(1.0, 2.0)).into(), expected);
    check(&column, int(1), Number::C32(Complex32::new(1.0, 0.0)));
}

#[test]
fn texts_print_numbers_and_count_bytes() {
    let mut column = of_class(Class::String);
    check(&column, float(7.5), "7.5");
    check(&column, int(7), "7");
    check(&column, id("a"), "a");
    column.max_len = Some(4);
    check(&column, string("éé"), "éé");
    assert!(refused(&column, string("ééa")).contains("5 bytes"));
}

#[test]
fn other_classes_read_their_text() {
    check(&of_class(Class::Bytes), string("AQL/"), bytes(&[1, 2, 255]));
    check(&of_class(Class::Id), string("a"), id("a"));
    check(&of_class(Class::Link), string("/a/b"), link("/a/b"));
    check(&of_class(Class::Email), string("a@b.co"), email("a@b.co"));
    check(&of_class(Class::Version), string("1.2.3"), version("1.2.3"));
    refused(&of_class(Class::Id), string("a b"));
    refused(&of_class(Class::Version), string("1"));
}

#[test]
fn a_column_of_any_value_keeps_classes() {
    let mut column = of_class(Class::Value);
    for cell in [int(1), Number::U8(1).into(), string("1"), tuple([int(1), string("a")])] {
        check(&column, cell.clone(), cell);
    }
    refused(&column, map([("a", int(1))]));
    column.max_len = Some(4);
    refused(&column, tuple([string("abc"), string("de")]));
    check(&of_class(Class::Number), string("5"), int(5));
}

#[test]
fn only_nullable_columns_take_none() {
    for class in [Class::Int, Class::String, Class::Value] {
        let mut column = of_class(class);
        refused(&column, State::NONE);
        column.nullable = true;
        check(&column, State::NONE, State::NONE);
    }
}

#[test]
fn types_of_sql_have_canonical_texts() {
    let decimal = column(Class::String, ColumnType::Decimal { precision: 5, scale: 2 });
    check(&decimal, string("1.5"), "1.50");
    check(&decimal, int(-3), "-3.00");
    check(&decimal, float(0.125), "0.13");
    check(&decimal, true.into(), "1.00");
    refused(&decimal, int(1000));
    refused(&decimal, float(f64::NAN));
    let date = column(Class::String, ColumnType::Date);
    check(&date, string("2001-02-03"), "2001-02-03");
    check(&date, string("2001-02-03T23:59"), "2001-02-03");
    check(&date, int(-1), "1969-12-31");
    refused(&date, string("2001-02-30"));
    refused(&date, int(i64::MAX));
    let timestamp = column(Class::String, ColumnType::Timestamp);
    check(&timestamp, string("2001-02-03 04:05"), "2001-02-03T04:05:00");
    check(&timestamp, int(1), "1970-01-01T00:00:00.000001");
    refused(&timestamp, string("soon"));
}

#[test]
fn a_row_has_one_cell_for_each_column() {
    let columns = vec![of_class(Class::Int), of_class(Class::String)];
    let schema = Schema { kind: schema::Kind::BTree, columns, key_len: 2, indexes: vec![] };
    assert_eq!(cast_row(&schema, &[string("5"), float(7.5)]).unwrap(), [Number::I32(5).into(), string("7.5")]);
    let error = cast_row(&schema, &[int(1)]).unwrap_err();
    assert_eq!(error.message(), "expected a row of 2 cells, not 1");
}

#[test]
fn magnitudes_of_extremes() {
    assert_eq!(magnitude(3.0, -4.0), 5.0);
    assert_eq!(magnitude(0.0, -0.0), 0.0);
    assert_eq!(magnitude(-2.0, 0.0), 2.0);
    assert_eq!(magnitude(f64::NAN, f64::INFINITY), f64::INFINITY);
    assert!(magnitude(0.0, f64::NAN).is_nan());
    assert!(magnitude(f64::NAN, 0.0).is_nan());
    assert_eq!(magnitude(f64::MAX, f64::MAX), f64::INFINITY);
    assert_eq!(magnitude(3e-320, 4e-320), 5e-320);
    let huge = 2f64.powi(1000);
    assert_eq!(magnitude(3.0 * huge, 4.0 * huge), 5.0 * huge);
}

proptest! {
    #[test]
    fn a_magnitude_is_nearly_that_of_hypot(re: f64, im: f64) {
        let (ours, other) = (magnitude(re, im), re.hypot(im));
        let error_max = 1e-15 * other.abs() + f64::from_bits(1);
        prop_assert!(ours == other || (ours - other).abs() <= error_max || ours.is_nan() && other.is_nan());
    }

    #[test]
    fn a_cast_changes_nothing_the_second_time(n: f64, class in prop::sample::select(NumberClass::ALL.to_vec())) {
        let column = of_class(class.into());
        let once = cast_cell(&column, &n.into()).unwrap();
        prop_assert_eq!(cast_cell(&column, &once).unwrap(), once);
    }
}
