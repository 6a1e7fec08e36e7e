//! Keys: cells as bytes that compare like the cells.
//!
//! A key is its cells one after the other. No cell is a prefix of another cell of its column, so the bytes of the first
//! cells of a key are a prefix of it, and of no key with other first cells. A nullable column has a byte before each
//! cell, which is 0 for None, so that None comes first; then there are no further bytes.
//!
//! | type | bytes |
//! |---|---|
//! | Bool, unsigned | big-endian |
//! | signed, Date, Timestamp | big-endian, sign bit turned |
//! | Float | big-endian; negative: all bits turned, else the sign bit |
//! | Complex | absolute value as Float64, real and imaginary part |
//! | Decimal | units of the scale as a signed integer, of 64 bits up to precision 18, else of 128 |
//! | String, Bytes, Id, Email | see `order`: escaped, with a zero byte at the end |
//! | Version, Link, Any | see `value_key` |

use std::sync::Arc;

use super::cell::{Cell, mismatch};
use super::order::{self, read_text, skip, skip_text, take, take_byte, write_text};
use super::{json, value_key};
use crate::error::{Error, Result};
use crate::value::cell::magnitude;
use crate::value::number::{Complex32, Complex64};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Number, NumberClass, State, Value};

pub use super::range::{KeyRange, range, successor};

/// What stands before the cells of a nullable column.
pub(super) const ABSENT: u8 = 0;
pub(super) const PRESENT: u8 = 1;

/// What stands in the key of a row whose commit has no number yet: see [`stamp`].
pub const UNSTAMPED: u64 = u64::MAX;

/// The bytes of the last two cells of a key that is stamped: a commit and a position.
const STAMP_BYTES: usize = 2 * size_of::<u64>();

/// Puts the number of a commit in place of the last cell but one of a key, if that is [`UNSTAMPED`]. The last two cells
/// must be of columns of U64 that are not nullable.
pub fn stamp(key: &mut Arc<[u8]>, number: u64) {
    let Some(at) = key.len().checked_sub(STAMP_BYTES) else { return };
    let is_unstamped = key[at..].first_chunk() == Some(&UNSTAMPED.to_be_bytes());
    // Whoever else has the key keeps it as it was.
    if is_unstamped && let Some(commit) = Arc::make_mut(key)[at..].first_chunk_mut() {
        *commit = number.to_be_bytes();
    }
}

/// Whether a cell can be read from its key bytes as it was written. Other key cells are kept in the payload too.
pub fn is_reversible(ty: ColumnType) -> bool {
    ty != ColumnType::Any
}

/// Appends the key bytes of `cell`, which was cast to the column.
///
/// # Errors
/// `Internal` if the cell does not belong in the column; `out` is then of no more use.
pub fn encode_cell(column: &Column, cell: &State, out: &mut Vec<u8>) -> Result<()> {
    let is_direct = matches!(column.ty, ColumnType::Any | ColumnType::Link | ColumnType::Version);
    if !is_direct || matches!(cell, State::Value(Value::None)) {
        return write_cell(column, &Cell::of_state(column, cell)?, out);
    }
    // By way of their text, these would be written and read again.
    if column.nullable {
        out.push(PRESENT);
    }
    match (column.ty, cell) {
        (ColumnType::Any, value) => value_key::write_value(value, out)?,
        (ColumnType::Link, State::Value(Value::Link(link))) => value_key::write_link(link, out),
        (ColumnType::Version, State::Value(Value::Version(version))) => value_key::write_version(*version, out),
        _ => return Err(mismatch(column, cell.class())),
    }
    Ok(())
}

/// Reads a cell from the beginning of `bytes`, and moves them past it.
///
/// A cell whose type is not reversible is read as one that collates like it.
///
/// # Errors
/// `Internal` if the bytes are not those of such a cell.
pub fn decode_cell(column: &Column, bytes: &mut &[u8]) -> Result<State> {
    if column.nullable && take_byte(bytes)? == ABSENT {
        return Ok(State::NONE);
    }
    match column.ty {
        ColumnType::Any => value_key::read_value(bytes),
        ColumnType::Link => value_key::read_link(bytes).map(State::from),
        ColumnType::Version => Ok(Value::Version(value_key::read_version(bytes)?).into()),
        _ => read_present(column, bytes)?.into_state(column),
    }
}

/// The key of the given cells, or of the first cells of a key, which is a prefix of it.
///
/// # Errors
/// `Internal` if a cell does not belong in its column, or if there are fewer columns than cells.
pub fn encode_key<'a>(columns: impl IntoIterator<Item = &'a Column>, cells: &[State]) -> Result<Vec<u8>> {
    let mut key = Vec::with_capacity(cells.len() * 12);
    let mut columns = columns.into_iter();
    for cell in cells {
        let column = columns.next().ok_or_else(|| Error::internal("a key has more cells than columns"))?;
        encode_cell(column, cell, &mut key)?;
    }
    Ok(key)
}

/// The cells of a key. Those whose type is not reversible are read as ones that collate like them.
///
/// # Errors
/// `Internal` if the bytes are not those of a whole key.
pub fn decode_key<'a>(columns: impl IntoIterator<Item = &'a Column>, mut key: &[u8]) -> Result<Vec<State>> {
    let cells = columns.into_iter().map(|column| decode_cell(column, &mut key)).collect::<Result<_>>()?;
    check_end(key)?;
    Ok(cells)
}

/// Checks that all of a key was read.
pub(super) fn check_end(rest: &[u8]) -> Result<()> {
    if rest.is_empty() { Ok(()) } else { Err(Error::internal(format!("a key has {} bytes too many", rest.len()))) }
}

/// How many bytes the key cells of a type have, where all have the same number; without the byte of a nullable column.
pub(super) fn fixed_width(ty: ColumnType) -> Option<usize> {
    use NumberClass::*;
    Some(match ty {
        ColumnType::Number(Bool | U8) => 1,
        ColumnType::Number(U16 | I16) => 2,
        ColumnType::Number(U32 | I32 | F32) | ColumnType::Date => 4,
        ColumnType::Number(U64 | I64 | F64) | ColumnType::Timestamp => 8,
        ColumnType::Number(C32) => 16,
        ColumnType::Number(C64) => 24,
        ColumnType::Decimal { precision, .. } => decimal_width(precision),
        ColumnType::Version => 12,
        _ => return None,
    })
}

/// How many bytes a decimal has, in keys and in payloads.
pub(super) fn decimal_width(precision: u8) -> usize {
    if precision <= 18 { 8 } else { 16 }
}

/// Appends the key bytes of a cell, also the byte of a nullable column.
pub(super) fn write_cell(column: &Column, cell: &Cell<'_>, out: &mut Vec<u8>) -> Result<()> {
    if matches!(cell, Cell::None) {
        if !column.nullable {
            return Err(Error::internal(format!("a cell of column {} is null", column.name)));
        }
        out.push(ABSENT);
        return Ok(());
    }
    if column.nullable {
        out.push(PRESENT);
    }
    match (cell, column.ty) {
        (Cell::Number(number), _) => write_number(*number, out),
        (Cell::Text(text), ColumnType::Any) => value_key::write_value(&json::decode(text)?, out)?,
        (Cell::Text(text), ColumnType::Link) => value_key::write_link(&text.parse()?, out),
        (Cell::Text(text), ColumnType::Version) => value_key::write_version(text.parse()?, out),
        (Cell::Text(text), _) => write_text(text.as_bytes(), out),
        (Cell::Bytes(bytes), _) => write_text(bytes, out),
        (Cell::Decimal(units), ColumnType::Decimal { precision, .. }) if decimal_width(precision) == 8 => {
            out.extend_from_slice(&order::of_i64(narrow(column, *units)?));
        }
        (Cell::Decimal(units), _) => out.extend_from_slice(&order::of_i128(*units)),
        (Cell::Date(days), _) => out.extend_from_slice(&order::of_i32(*days)),
        (Cell::Timestamp(micros), _) => out.extend_from_slice(&order::of_i64(*micros)),
        (Cell::None, _) => {}
    }
    Ok(())
}

/// Units of a decimal that has at most 18 digits.
pub(super) fn narrow(column: &Column, units: i128) -> Result<i64> {
    let too_long = |_| Error::internal(format!("a decimal of column {} has too many digits", column.name));
    i64::try_from(units).map_err(too_long)
}

/// Reads a cell of a reversible type, also the byte of a nullable column.
pub(super) fn read_cell<'a>(column: &Column, bytes: &mut &'a [u8]) -> Result<Cell<'a>> {
    if column.nullable && take_byte(bytes)? == ABSENT {
        return Ok(Cell::None);
    }
    read_present(column, bytes)
}

/// Reads past a cell, also the byte of a nullable column.
pub(super) fn skip_cell(column: &Column, bytes: &mut &[u8]) -> Result<()> {
    if column.nullable && take_byte(bytes)? == ABSENT {
        return Ok(());
    }
    if let Some(width) = fixed_width(column.ty) {
        return skip(bytes, width);
    }
    match column.ty {
        ColumnType::Any => value_key::read_value(bytes).map(drop),
        ColumnType::Link => value_key::read_link(bytes).map(drop),
        _ => skip_text(bytes).map(drop),
    }
}

fn read_present<'a>(column: &Column, bytes: &mut &'a [u8]) -> Result<Cell<'a>> {
    Ok(match column.ty {
        ColumnType::Number(class) => Cell::Number(read_number(class, bytes)?),
        ColumnType::String | ColumnType::Id | ColumnType::Email => Cell::text(read_text(bytes)?)?,
        ColumnType::Bytes => Cell::Bytes(read_text(bytes)?),
        ColumnType::Link => Cell::Text(value_key::read_link(bytes)?.to_string().into()),
        ColumnType::Version => Cell::Text(value_key::read_version(bytes)?.to_string().into()),
        ColumnType::Decimal { precision, .. } if decimal_width(precision) == 8 => {
            Cell::Decimal(order::to_i64(take(bytes)?).into())
        }
        ColumnType::Decimal { .. } => Cell::Decimal(order::to_i128(take(bytes)?)),
        ColumnType::Date => Cell::Date(order::to_i32(take(bytes)?)),
        ColumnType::Timestamp => Cell::Timestamp(order::to_i64(take(bytes)?)),
        ColumnType::Any => return Err(Error::internal(format!("column {} is not kept in keys", column.name))),
    })
}

fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Bool(n) => out.push(n.into()),
        Number::U8(n) => out.push(n),
        Number::U16(n) => out.extend_from_slice(&n.to_be_bytes()),
        Number::U32(n) => out.extend_from_slice(&n.to_be_bytes()),
        Number::U64(n) => out.extend_from_slice(&n.to_be_bytes()),
        Number::I16(n) => out.extend_from_slice(&order::of_i16(n)),
        Number::I32(n) => out.extend_from_slice(&order::of_i32(n)),
        Number::I64(n) => out.extend_from_slice(&order::of_i64(n)),
        Number::F32(n) => out.extend_from_slice(&order::of_f32(n)),
        Number::F64(n) => out.extend_from_slice(&order::of_f64(n)),
        Number::C32(n) => out.extend_from_slice(&of_c32(n.re, n.im)),
        Number::C64(n) => out.extend_from_slice(&of_c64(n.re, n.im)),
    }
}

/// The key bytes of a Complex32.
pub(super) fn of_c32(re: f32, im: f32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&order::of_f64(magnitude(re.into(), im.into())));
    bytes[8..12].copy_from_slice(&order::of_f32(re));
    bytes[12..].copy_from_slice(&order::of_f32(im));
    bytes
}

/// The key bytes of a Complex64.
pub(super) fn of_c64(re: f64, im: f64) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&order::of_f64(magnitude(re, im)));
    bytes[8..16].copy_from_slice(&order::of_f64(re));
    bytes[16..].copy_from_slice(&order::of_f64(im));
    bytes
}

fn read_number(class: NumberClass, bytes: &mut &[u8]) -> Result<Number> {
    Ok(match class {
        NumberClass::Bool => Number::Bool(take_byte(bytes)? != 0),
        NumberClass::U8 => Number::U8(take_byte(bytes)?),
        NumberClass::U16 => Number::U16(u16::from_be_bytes(take(bytes)?)),
        NumberClass::U32 => Number::U32(u32::from_be_bytes(take(bytes)?)),
        NumberClass::U64 => Number::U64(u64::from_be_bytes(take(bytes)?)),
        NumberClass::I16 => Number::I16(order::to_i16(take(bytes)?)),
        NumberClass::I32 => Number::I32(order::to_i32(take(bytes)?)),
        NumberClass::I64 => Number::I64(order::to_i64(take(bytes)?)),
        NumberClass::F32 => Number::F32(order::to_f32(take(bytes)?)),
        NumberClass::F64 => Number::F64(order::to_f64(take(bytes)?)),
        NumberClass::C32 => {
            skip(bytes, 8)?;
            Number::C32(Complex32::new(order::to_f32(take(bytes)?), order::to_f32(take(bytes)?)))
        }
        NumberClass::C64 => {
            skip(bytes, 8)?;
            Number::C64(Complex64::new(order::to_f64(take(bytes)?), order::to_f64(take(bytes)?)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::sample::{any_column, cell_of, column, nullable};
    use crate::value::collate::collate;
    use crate::value::sample::{float, int, string};

    fn bytes(column: &Column, cell: &State) -> Vec<u8> {
        encode_key([column], std::slice::from_ref(cell)).unwrap()
    }

    #[test]
    fn keys_on_disk_stay_as_they_are() {
        let cases = [
            (column("c", ColumnType::Number(NumberClass::I32)), Number::I32(-1).into(), "7fffffff"),
            (column("c", ColumnType::Number(NumberClass::U16)), Number::U16(258).into(), "0102"),
            (column("c", ColumnType::Number(NumberClass::F64)), float(1.0), "bff0000000000000"),
            (column("c", ColumnType::Number(NumberClass::F64)), float(-1.0), "400fffffffffffff"),
            (column("c", ColumnType::String), string("a\0\u{1}"), "610101010200"),
            (nullable("c", ColumnType::String), State::NONE, "00"),
            (nullable("c", ColumnType::String), string("a"), "016100"),
            (column("c", ColumnType::Decimal { precision: 9, scale: 2 }), string("1.00"), "8000000000000064"),
            (column("c", ColumnType::Date), string("1970-01-02"), "80000001"),
            (column("c", ColumnType::Any), int(1), "0301bff0000000000000000001"),
        ];
        for (column, cell, expected) in cases {
            assert_eq!(hex::encode(bytes(&column, &cell)), expected, "{cell:?}");
        }
    }

    #[test]
    fn a_stamp_takes_the_place_of_the_last_cell_but_one() {
        let number = column("n", ColumnType::Number(NumberClass::U64));
        let columns = [nullable("c", ColumnType::String), number.clone(), number];
        let key = |first: State, commit: u64| -> Arc<[u8]> {
            encode_key(&columns, &[first, commit.into(), 7u64.into()]).unwrap().into()
        };
        for first in [State::NONE, string("x")] {
            let (mut stamped, kept) = (key(first.clone(), UNSTAMPED), key(first.clone(), 5));
            let before = Arc::clone(&stamped);
            stamp(&mut stamped, 5);
            assert_eq!((&stamped, &before), (&kept, &key(first, UNSTAMPED)));
            // What has a number keeps it.
            stamp(&mut stamped, 6);
            assert_eq!(stamped, kept);
        }
        let mut short: Arc<[u8]> = UNSTAMPED.to_be_bytes().as_slice().into();
        stamp(&mut short, 5);
        assert_eq!(*short, UNSTAMPED.to_be_bytes());
    }

    #[test]
    fn a_cell_that_was_not_cast_is_an_error() {
        assert!(encode_key([&column("c", ColumnType::String)], &[int(1)]).is_err());
        assert!(encode_key([&column("c", ColumnType::String)], &[State::NONE]).is_err());
        assert!(encode_key([&column("c", ColumnType::Any)], &[State::NONE]).is_err());
        assert!(encode_key([&column("c", ColumnType::Link)], &[string("/a")]).is_err());
        assert!(encode_key([&column("c", ColumnType::Number(NumberClass::I32))], &[int(1)]).is_err());
        assert!(encode_key([&column("c", ColumnType::String)], &[string("a"), string("b")]).is_err());
    }

    #[test]
    fn damaged_keys_are_errors() {
        let int = column("c", ColumnType::Number(NumberClass::I32));
        assert!(decode_key([&int], &[1, 2, 3]).is_err());
        assert!(decode_key([&int], &[1, 2, 3, 4, 5]).is_err());
        assert!(decode_key([&column("c", ColumnType::String)], b"a").is_err());
        assert!(decode_key([&column("c", ColumnType::String)], b"\xff\0").is_err());
        assert!(decode_key([&column("c", ColumnType::Any)], &[99]).is_err());
    }

    /// The order of cells: by the value of what a text stands for, where a type has its cells as text.
    fn compare(column: &Column, l: &State, r: &State) -> Ordering {
        if column.ty == ColumnType::Any {
            return collate(l, r);
        }
        match (Cell::of_state(column, l).unwrap(), Cell::of_state(column, r).unwrap()) {
            (Cell::Decimal(l), Cell::Decimal(r)) => l.cmp(&r),
            (Cell::Date(l), Cell::Date(r)) => l.cmp(&r),
            (Cell::Timestamp(l), Cell::Timestamp(r)) => l.cmp(&r),
            _ => collate(l, r),
        }
    }

    fn column_and_cells() -> impl Strategy<Value = (Column, State, State)> {
        any_column().prop_flat_map(|column| {
            let cells = (cell_of(&column), cell_of(&column));
            (Just(column), cells).prop_map(|(column, (l, r))| (column, l, r))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn keys_are_in_the_order_of_their_cells((column, l, r) in column_and_cells()) {
            let order = bytes(&column, &l).cmp(&bytes(&column, &r));
            prop_assert_eq!(order, compare(&column, &l, &r), "{:?}: {:?}, {:?}", column.ty, l, r);
        }

        #[test]
        fn no_cell_is_a_prefix_of_another((column, l, r) in column_and_cells()) {
            let (l, r) = (bytes(&column, &l), bytes(&column, &r));
            prop_assert!(l == r || !l.starts_with(&r));
        }

        #[test]
        fn cells_read_back((column, cell, after) in column_and_cells()) {
            let key = encode_key([&column, &column], &[cell.clone(), after.clone()]).unwrap();
            let read = decode_key([&column, &column], &key).unwrap();
            if is_reversible(column.ty) {
                prop_assert_eq!(&read, &[cell.clone(), after]);
            } else {
                prop_assert_eq!(collate(&read[0], &cell), Ordering::Equal);
            }
            let mut rest = &key[..];
            skip_cell(&column, &mut rest).unwrap();
            prop_assert_eq!(rest.len() + bytes(&column, &cell).len(), key.len());
            if let Some(width) = fixed_width(column.ty).filter(|_| !column.nullable) {
                prop_assert_eq!(key.len(), 2 * width);
            }
        }
    }
}
