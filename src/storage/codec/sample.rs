//! Columns, cells and schemas, for tests.

use proptest::prelude::*;
use proptest::sample::select;

use crate::value::cell::{cast_cell, format_date, format_decimal, format_timestamp};
use crate::value::number::{Complex32, Complex64};
use crate::value::schema::{Column, ColumnType, Index, Kind};
use crate::value::{Class, Email, Id, Link, Number, NumberClass, Schema, State, Tuple, Value, Version};

/// A column named `name`, which is not nullable.
pub(crate) fn column(name: &'static str, ty: ColumnType) -> Column {
    let class = match ty {
        ColumnType::Number(class) => class.into(),
        ColumnType::Bytes => Class::Bytes,
        ColumnType::Id => Class::Id,
        ColumnType::Link => Class::Link,
        ColumnType::Email => Class::Email,
        ColumnType::Version => Class::Version,
        ColumnType::Any => Class::Value,
        _ => Class::String,
    };
    Column {
        name: Id::from(name),
        class,
        ty,
        max_len: None,
        nullable: false,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    }
}

/// A column that may hold None.
pub(crate) fn nullable(name: &'static str, ty: ColumnType) -> Column {
    Column { nullable: true, ..column(name, ty) }
}

/// A table without indexes. Columns get their slots in order.
pub(crate) fn schema(key: Vec<Column>, values: Vec<Column>) -> Schema {
    let key_len = key.len();
    let mut columns: Vec<Column> = key.into_iter().chain(values).collect();
    for (position, column) in columns.iter_mut().enumerate() {
        let slot = if position < key_len { position } else { position - key_len };
        column.slot = slot as u32;
    }
    Schema { kind: Kind::Table, columns, key_len, indexes: Vec::<Index>::new() }
}

/// One type of each kind.
pub(crate) fn types() -> Vec<ColumnType> {
    let others = [
        ColumnType::String,
        ColumnType::Bytes,
        ColumnType::Id,
        ColumnType::Link,
        ColumnType::Email,
        ColumnType::Version,
        ColumnType::Any,
        ColumnType::Decimal { precision: 9, scale: 2 },
        ColumnType::Decimal { precision: 38, scale: 0 },
        ColumnType::Date,
        ColumnType::Timestamp,
    ];
    NumberClass::ALL.map(ColumnType::Number).into_iter().chain(others).collect()
}

/// Any column of any type.
pub(crate) fn any_column() -> impl Strategy<Value = Column> {
    (select(types()), any::<bool>()).prop_map(|(ty, is_nullable)| Column { nullable: is_nullable, ..column("c", ty) })
}

/// Cells of a column.
pub(crate) fn cell_of(column: &Column) -> BoxedStrategy<State> {
    let present = present(column);
    if column.nullable { prop_oneof![1 => Just(State::NONE), 4 => present].boxed() } else { present }
}

/// Rows of a schema.
pub(crate) fn row_of(schema: &Schema) -> Vec<BoxedStrategy<State>> {
    schema.columns.iter().map(cell_of).collect()
}

/// A value of any class, also a tuple.
pub(crate) fn any_value() -> BoxedStrategy<State> {
    let atom = prop_oneof![
        1 => Just(State::NONE),
        4 => number().prop_map(State::from),
        2 => text().prop_map(State::from),
        1 => id().prop_map(State::from),
        1 => link().prop_map(State::from),
        1 => email().prop_map(|email| State::Value(Value::Email(email))),
        1 => version().prop_map(|version| State::Value(Value::Version(version))),
        1 => bytes().prop_map(|bytes| State::Value(Value::Bytes(bytes.into()))),
    ];
    atom.prop_recursive(3, 8, 4, |item| prop::collection::vec(item, 0..4).prop_map(tuple_of)).boxed()
}

fn tuple_of(items: Vec<State>) -> State {
    Tuple::try_new(items).unwrap().into()
}

/// Cells of a column that are not None.
fn present(column: &Column) -> BoxedStrategy<State> {
    let cast = {
        let column = column.clone();
        move |cell: State| cast_cell(&column, &cell).unwrap()
    };
    match column.ty {
        ColumnType::Number(NumberClass::C32 | NumberClass::C64) => {
            complex().prop_map(State::from).prop_map(cast).boxed()
        }
        ColumnType::Number(_) => real().prop_map(State::from).prop_map(cast).boxed(),
        ColumnType::String => text().prop_map(State::from).boxed(),
        ColumnType::Bytes => bytes().prop_map(|bytes| State::Value(Value::Bytes(bytes.into()))).boxed(),
        ColumnType::Id => id().prop_map(State::from).boxed(),
        ColumnType::Link => link().prop_map(State::from).boxed(),
        ColumnType::Email => email().prop_map(|email| State::Value(Value::Email(email))).boxed(),
        ColumnType::Version => version().prop_map(|version| State::Value(Value::Version(version))).boxed(),
        ColumnType::Any => any_value().prop_filter("None", |value| *value != State::NONE).boxed(),
        ColumnType::Decimal { precision, scale } => {
            let limit = 10i128.pow(precision.into());
            (1 - limit..limit).prop_map(move |units| State::from(format_decimal(units, scale))).boxed()
        }
        ColumnType::Date => any::<i32>().prop_map(|days| State::from(format_date(days))).boxed(),
        ColumnType::Timestamp => any::<i64>().prop_map(|micros| State::from(format_timestamp(micros))).boxed(),
    }
}

fn number() -> BoxedStrategy<Number> {
    prop_oneof![3 => real(), 1 => complex()].boxed()
}

fn real() -> BoxedStrategy<Number> {
    prop_oneof![
        (-3i64..4).prop_map(Number::I64),
        (0u8..4).prop_map(Number::U8),
        any::<i64>().prop_map(Number::I64),
        any::<u64>().prop_map(Number::U64),
        any::<i32>().prop_map(Number::I32),
        any::<bool>().prop_map(Number::Bool),
        any::<f32>().prop_map(Number::F32),
        any::<f64>().prop_map(Number::F64),
        select(vec![-0.0, 0.5, 1.5, -1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]).prop_map(Number::F64),
    ]
    .boxed()
}

/// Complex numbers of few parts, so that absolute values are either equal or far apart.
fn complex() -> BoxedStrategy<Number> {
    let part = select(vec![-0.0, 0.0, 1.0, -1.0, 3.0, -3.0, 4.0, -4.0, f64::INFINITY, f64::NAN]);
    (part.clone(), part, any::<bool>())
        .prop_map(|(re, im, is_wide)| match is_wide {
            true => Number::C64(Complex64::new(re, im)),
            false => Number::C32(Complex32::new(re as f32, im as f32)),
        })
        .boxed()
}

/// Texts of few characters, among them those that keys escape.
fn text() -> impl Strategy<Value = String> {
    let character = select(vec!['\0', '\u{1}', '\u{2}', ' ', '"', 'a', 'b', 'é', '\u{ffff}', '\u{10000}']);
    prop::collection::vec(character, 0..16).prop_map(String::from_iter)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..16)
}

fn id() -> impl Strategy<Value = Id> {
    let character = select(vec!['a', 'b', 'é', '-', '1']);
    prop::collection::vec(character, 1..5).prop_map(|id| String::from_iter(id).parse().unwrap())
}

fn email() -> impl Strategy<Value = Email> {
    select(vec!["a@b.co", "aa@b.co", "a@b.com", "b@b.co"]).prop_map(|email| email.parse().unwrap())
}

fn version() -> impl Strategy<Value = Version> {
    let part = || prop_oneof![0u32..3, any::<u32>()];
    (part(), part(), part()).prop_map(|(major, minor, patch)| Version { major, minor, patch })
}

fn link() -> impl Strategy<Value = Link> {
    let origins = ["", "http://10.0.0.1", "http://9.0.0.1:80", "https://9.0.0.1:80", "http://[::1]:1", "http://a.b"];
    let path = prop::collection::vec(id(), 0..3);
    (select(origins.to_vec()), path).prop_map(|(origin, path)| {
        let local = Link::local(path);
        if origin.is_empty() { local } else { format!("{origin}{local}").parse().unwrap() }
    })
}
