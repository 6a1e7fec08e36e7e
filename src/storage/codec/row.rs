//! Payloads: the cells of a row that its key does not say.
//!
//! A payload has a slot for each key cell that cannot be read from the key ([`is_reversible`]), then one for each value
//! column that the table has ever had. Slots of columns that were dropped stay empty; slots of columns that were added
//! later are missing at the end, and read as the default of the column. A row without any such cells has no payload.
//!
//! | field | width | |
//! |---|---|---|
//! | flags | 1 | bits 0 and 1: the width of an end, 1, 2 or 4 bytes as 0, 1 or 2; bit 2: there are nulls |
//! | slots | 2 | how many slots there are; little-endian, as all that follows |
//! | ends | slots × width | where the bytes of each slot end, counted from the first byte of cells |
//! | nulls | slots / 8, rounded up | a bit for each slot, from the lowest of the first byte; only if there are nulls |
//! | cells | | the bytes of the cells |
//!
//! Numbers, dates and timestamps have the width of their type, complex numbers their parts, decimals 8 bytes up to
//! precision 18 and 16 beyond. Everything else is text, or the bytes themselves.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::cell::Cell;
use super::key::{self, check_end, decimal_width, is_reversible, narrow};
use crate::error::{Error, Result};
use crate::value::number::{Complex32, Complex64};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::{Number, NumberClass, State};

/// The bits of the flags that say how wide an end is.
const WIDTH: u8 = 0b11;
/// The bit of the flags that says that there are nulls.
const NULLS: u8 = 0b100;
/// The bytes before the ends.
const HEAD: usize = 3;

/// Where a cell of a row is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In the key, as the cell of this column of it.
    Key(usize),
    /// In this slot of the payload.
    Slot(usize),
}

/// Where the cells of the column at `position` are stored.
pub(super) fn place(schema: &Schema, position: usize) -> Place {
    let is_kept = |column: &&Column| !is_reversible(column.ty);
    if position >= schema.key_len {
        let slot = schema.columns[position].slot as usize;
        return Place::Slot(schema.key().iter().filter(is_kept).count() + slot);
    }
    if is_reversible(schema.columns[position].ty) {
        return Place::Key(position);
    }
    Place::Slot(schema.key()[..position].iter().filter(is_kept).count())
}

/// The payload of a row whose cells, in the order of `schema.columns`, were cast to their columns.
///
/// # Errors
/// `Internal` if a cell does not belong in its column; `TooLarge` if the row is.
pub fn encode_payload(schema: &Schema, row: &[State]) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    let mut writer = PayloadWriter::new(schema);
    writer.write(
        |position| {
            let cell = row.get(position).ok_or_else(|| Error::internal("a row has fewer cells than columns"))?;
            Cell::of_state(&schema.columns[position], cell)
        },
        &mut payload,
    )?;
    Ok(payload)
}

/// The cells of a row, in the order of `schema.columns`.
///
/// # Errors
/// `Internal` if the bytes are not those of such a row.
pub fn decode_row(schema: &Schema, mut key: &[u8], payload: &[u8]) -> Result<Vec<State>> {
    let payload = Payload::parse(payload)?;
    let mut row = Vec::with_capacity(schema.columns.len());
    let mut kept = 0;
    for column in schema.key() {
        if is_reversible(column.ty) {
            row.push(key::decode_cell(column, &mut key)?);
        } else {
            key::skip_cell(column, &mut key)?;
            row.push(payload.state(column, kept)?);
            kept += 1;
        }
    }
    check_end(key)?;
    for column in schema.values() {
        row.push(payload.state(column, kept + column.slot as usize)?);
    }
    Ok(row)
}

/// The cell of a row in the column at `position` of `schema.columns`, without a look at those after it.
///
/// # Errors
/// `Internal` if there is no such column, or if the bytes are not those of such a row.
pub fn decode_column(schema: &Schema, position: usize, mut key: &[u8], payload: &[u8]) -> Result<State> {
    let column = schema.columns.get(position).ok_or_else(|| Error::internal("a row has fewer cells than columns"))?;
    match place(schema, position) {
        Place::Slot(slot) => Payload::parse(payload)?.state(column, slot),
        Place::Key(position) => {
            for before in &schema.columns[..position] {
                key::skip_cell(before, &mut key)?;
            }
            key::decode_cell(column, &mut key)
        }
    }
}

/// Writes the payloads of the rows of one schema.
#[derive(Debug)]
pub(super) struct PayloadWriter<'a> {
    schema: &'a Schema,
    /// For each slot the position of its column, or nothing if that was dropped.
    positions: SmallVec<[Option<usize>; 32]>,
    ends: SmallVec<[u32; 32]>,
    nulls: SmallVec<[u8; 4]>,
    cells: Vec<u8>,
}

impl<'a> PayloadWriter<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        let mut positions: SmallVec<[Option<usize>; 32]> = SmallVec::new();
        for position in 0..schema.columns.len() {
            let Place::Slot(slot) = place(schema, position) else { continue };
            if slot >= positions.len() {
                positions.resize(slot + 1, None);
            }
            positions[slot] = Some(position);
        }
        Self { schema, positions, ends: smallvec![], nulls: smallvec![], cells: vec![] }
    }

    /// Whether the payload of every row is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Appends the payload of a row to `out`. `cell` gives the cell of the column at a position.
    pub(super) fn write<'c>(
        &mut self,
        mut cell: impl FnMut(usize) -> Result<Cell<'c>>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let too_large = |_| Error::too_large("a row is larger than its stored form allows");
        let slots = u16::try_from(self.positions.len()).map_err(too_large)?;
        self.ends.clear();
        self.cells.clear();
        self.nulls.clear();
        self.nulls.resize(self.positions.len().div_ceil(8), 0);
        let mut flags = 0;
        for (slot, position) in self.positions.iter().enumerate() {
            let is_present = match position {
                Some(position) => write_cell(&self.schema.columns[*position], &cell(*position)?, &mut self.cells)?,
                None => false,
            };
            if !is_present {
                flags |= NULLS;
                self.nulls[slot / 8] |= 1 << (slot % 8);
            }
            self.ends.push(u32::try_from(self.cells.len()).map_err(too_large)?);
        }
        flags |= width_flag(self.cells.len());
        out.push(flags);
        out.extend_from_slice(&slots.to_le_bytes());
        write_ends(&self.ends, flags & WIDTH, out);
        if flags & NULLS != 0 {
            out.extend_from_slice(&self.nulls);
        }
        out.extend_from_slice(&self.cells);
        Ok(())
    }
}

/// The flag for the width of ends up to `end`.
fn width_flag(end: usize) -> u8 {
    match end {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        _ => 2,
    }
}

fn write_ends(ends: &[u32], width_flag: u8, out: &mut Vec<u8>) {
    match width_flag {
        0 => out.extend(ends.iter().map(|end| *end as u8)),
        1 => out.extend(ends.iter().flat_map(|end| (*end as u16).to_le_bytes())),
        _ => out.extend(ends.iter().flat_map(|end| end.to_le_bytes())),
    }
}

/// Appends the bytes of a cell; false for None, which has none.
fn write_cell(column: &Column, cell: &Cell<'_>, out: &mut Vec<u8>) -> Result<bool> {
    match cell {
        Cell::None if column.nullable => return Ok(false),
        Cell::None => return Err(Error::internal(format!("a cell of column {} is null", column.name))),
        Cell::Number(number) => write_number(*number, out),
        Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Bytes(bytes) => out.extend_from_slice(bytes),
        Cell::Decimal(units) => match column.ty {
            ColumnType::Decimal { precision, .. } if decimal_width(precision) == 8 => {
                out.extend_from_slice(&narrow(column, *units)?.to_le_bytes());
            }
            _ => out.extend_from_slice(&units.to_le_bytes()),
        },
        Cell::Date(days) => out.extend_from_slice(&days.to_le_bytes()),
        Cell::Timestamp(micros) => out.extend_from_slice(&micros.to_le_bytes()),
    }
    Ok(true)
}

fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Bool(n) => out.push(n.into()),
        Number::U8(n) => out.push(n),
        Number::U16(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::U32(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::U64(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::I16(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::I32(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::I64(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::F32(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::F64(n) => out.extend_from_slice(&n.to_le_bytes()),
        Number::C32(n) => {
            out.extend_from_slice(&n.re.to_le_bytes());
            out.extend_from_slice(&n.im.to_le_bytes());
        }
        Number::C64(n) => {
            out.extend_from_slice(&n.re.to_le_bytes());
            out.extend_from_slice(&n.im.to_le_bytes());
        }
    }
}

/// What a slot of a payload says.
enum Slot<'a> {
    /// The row was written before there was such a column.
    Missing,
    Null,
    Bytes(&'a [u8]),
}

/// A payload, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    slots: usize,
    width: usize,
    ends: &'a [u8],
    nulls: &'a [u8],
    cells: &'a [u8],
}

impl<'a> Payload<'a> {
    /// The parts of a payload.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let Some((&[flags, low, high], rest)) = bytes.split_first_chunk::<HEAD>() else {
            let none = Self { slots: 0, width: 1, ends: &[], nulls: &[], cells: &[] };
            return if bytes.is_empty() { Ok(none) } else { Err(damaged()) };
        };
        let width = match flags & WIDTH {
            _ if flags & !(WIDTH | NULLS) != 0 => return Err(damaged()),
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return Err(damaged()),
        };
        let slots = usize::from(u16::from_le_bytes([low, high]));
        let (ends, rest) = rest.split_at_checked(slots * width).ok_or_else(damaged)?;
        let nulls_len = if flags & NULLS != 0 { slots.div_ceil(8) } else { 0 };
        let (nulls, cells) = rest.split_at_checked(nulls_len).ok_or_else(damaged)?;
        Ok(Self { slots, width, ends, nulls, cells })
    }

    /// The cell in a slot; the default of the column if the row was written before there was such a column.
    pub(super) fn cell<'c>(&self, column: &'c Column, slot: usize) -> Result<Cell<'c>>
    where
        'a: 'c,
    {
        match self.slot(slot)? {
            Slot::Missing => Cell::of_state(column, &column.default),
            Slot::Null => Ok(Cell::None),
            Slot::Bytes(bytes) => read_cell(column, bytes),
        }
    }

    fn state(&self, column: &Column, slot: usize) -> Result<State> {
        match self.slot(slot)? {
            Slot::Missing => Ok(column.default.clone()),
            Slot::Null => Ok(State::NONE),
            Slot::Bytes(bytes) => read_cell(column, bytes)?.into_state(column),
        }
    }

    fn slot(&self, slot: usize) -> Result<Slot<'a>> {
        if slot >= self.slots {
            return Ok(Slot::Missing);
        }
        if self.nulls.get(slot / 8).is_some_and(|bits| bits >> (slot % 8) & 1 == 1) {
            return Ok(Slot::Null);
        }
        let start = if slot == 0 { 0 } else { self.end(slot - 1) };
        self.cells.get(start..self.end(slot)).map(Slot::Bytes).ok_or_else(damaged)
    }

    /// Where the bytes of a slot end.
    fn end(&self, slot: usize) -> usize {
        let bytes = &self.ends[slot * self.width..][..self.width];
        bytes.iter().rev().fold(0, |end, byte| end << 8 | usize::from(*byte))
    }
}

fn read_cell<'a>(column: &Column, bytes: &'a [u8]) -> Result<Cell<'a>> {
    Ok(match column.ty {
        ColumnType::Number(class) => Cell::Number(read_number(class, bytes)?),
        ColumnType::Bytes => Cell::Bytes(Cow::Borrowed(bytes)),
        ColumnType::Decimal { precision, .. } if decimal_width(precision) == 8 => {
            Cell::Decimal(i64::from_le_bytes(exactly(bytes)?).into())
        }
        ColumnType::Decimal { .. } => Cell::Decimal(i128::from_le_bytes(exactly(bytes)?)),
        ColumnType::Date => Cell::Date(i32::from_le_bytes(exactly(bytes)?)),
        ColumnType::Timestamp => Cell::Timestamp(i64::from_le_bytes(exactly(bytes)?)),
        ColumnType::String
        | ColumnType::Id
        | ColumnType::Link
        | ColumnType::Email
        | ColumnType::Version
        | ColumnType::Any => Cell::text(Cow::Borrowed(bytes))?,
    })
}

fn read_number(class: NumberClass, bytes: &[u8]) -> Result<Number> {
    Ok(match class {
        NumberClass::Bool => Number::Bool(exactly::<1>(bytes)? != [0]),
        NumberClass::U8 => Number::U8(u8::from_le_bytes(exactly(bytes)?)),
        NumberClass::U16 => Number::U16(u16::from_le_bytes(exactly(bytes)?)),
        NumberClass::U32 => Number::U32(u32::from_le_bytes(exactly(bytes)?)),
        NumberClass::U64 => Number::U64(u64::from_le_bytes(exactly(bytes)?)),
        NumberClass::I16 => Number::I16(i16::from_le_bytes(exactly(bytes)?)),
        NumberClass::I32 => Number::I32(i32::from_le_bytes(exactly(bytes)?)),
        NumberClass::I64 => Number::I64(i64::from_le_bytes(exactly(bytes)?)),
        NumberClass::F32 => Number::F32(f32::from_le_bytes(exactly(bytes)?)),
        NumberClass::F64 => Number::F64(f64::from_le_bytes(exactly(bytes)?)),
        NumberClass::C32 => {
            let (re, im) = bytes.split_at(bytes.len() / 2);
            Number::C32(Complex32::new(f32::from_le_bytes(exactly(re)?), f32::from_le_bytes(exactly(im)?)))
        }
        NumberClass::C64 => {
            let (re, im) = bytes.split_at(bytes.len() / 2);
            Number::C64(Complex64::new(f64::from_le_bytes(exactly(re)?), f64::from_le_bytes(exactly(im)?)))
        }
    })
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::internal("the payload of a row is damaged")
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::key::encode_key;
    use crate::storage::codec::sample::{any_column, column, nullable, row_of, schema};
    use crate::value::sample::{int, string};

    const I64: ColumnType = ColumnType::Number(NumberClass::I64);

    fn key_of(schema: &Schema, row: &[State]) -> Vec<u8> {
        encode_key(schema.key(), &row[..schema.key_len]).unwrap()
    }

    #[test]
    fn payloads_on_disk_stay_as_they_are() {
        let schema = schema(
            vec![column("k", I64)],
            vec![
                column("a", ColumnType::Number(NumberClass::U16)),
                nullable("b", I64),
                column("c", ColumnType::String),
            ],
        );
        let row = [int(1), Number::U16(258).into(), State::NONE, string("ab")];
        assert_eq!(hex::encode(encode_payload(&schema, &row).unwrap()), "0403000202040202016162");
    }

    #[test]
    fn rows_that_are_all_key_have_no_payload() {
        let schema = schema(vec![column("a", I64), column("b", ColumnType::String)], vec![]);
        let row = [int(1), string("x")];
        assert!(encode_payload(&schema, &row).unwrap().is_empty());
        assert_eq!(decode_row(&schema, &key_of(&schema, &row), &[]).unwrap(), row);
    }

    #[test]
    fn columns_can_be_dropped_and_added() {
        let old = schema(
            vec![column("k", ColumnType::Any)],
            vec![column("a", I64), column("b", ColumnType::String), column("c", ColumnType::String)],
        );
        let row = [string("key"), int(1), string("dropped"), string("c")];
        let payload = encode_payload(&old, &row).unwrap();
        let key = key_of(&old, &row);
        let mut new = old.clone();
        new.columns.remove(2);
        let default = int(7);
        new.columns.push(Column { slot: 3, default: default.clone(), ..column("d", I64) });
        let expected = [string("key"), int(1), string("c"), default];
        assert_eq!(decode_row(&new, &key, &payload).unwrap(), expected);
        let payload = encode_payload(&new, &expected).unwrap();
        assert_eq!(decode_row(&new, &key, &payload).unwrap(), expected);
        assert_eq!(decode_column(&new, 2, &key, &payload).unwrap(), string("c"));
    }

    #[test]
    fn long_rows_have_wide_ends() {
        let schema = schema(vec![column("k", I64)], vec![column("a", ColumnType::String), column("b", I64)]);
        for len in [0, 255, 256, 65_535, 65_536, 100_000] {
            let row = [int(1), string(&"x".repeat(len)), int(2)];
            let payload = encode_payload(&schema, &row).unwrap();
            assert_eq!(decode_row(&schema, &key_of(&schema, &row), &payload).unwrap(), row, "{len}");
        }
    }

    #[test]
    fn damaged_payloads_are_errors() {
        let schema = schema(vec![column("k", I64)], vec![column("a", I64)]);
        let row = [int(1), int(2)];
        let (key, payload) = (key_of(&schema, &row), encode_payload(&schema, &row).unwrap());
        for len in 1..payload.len() {
            assert!(decode_row(&schema, &key, &payload[..len]).is_err(), "{len}");
        }
        assert!(decode_row(&schema, &key, &[[255].as_slice(), &payload[1..]].concat()).is_err());
        assert!(decode_row(&schema, &key[1..], &payload).is_err());
        assert!(decode_row(&schema, &[&key[..], &[0]].concat(), &payload).is_err());
        assert!(encode_payload(&schema, &[int(1), State::NONE]).is_err());
    }

    fn any_row() -> impl Strategy<Value = (Schema, Vec<State>)> {
        let columns = |len: Range<usize>| prop::collection::vec(any_column(), len);
        (columns(1..4), columns(0..12)).prop_flat_map(|(key, values)| {
            let schema = schema(key, values);
            let row = row_of(&schema);
            (Just(schema), row)
        })
    }

    proptest! {
        #[test]
        fn rows_read_back((schema, row) in any_row()) {
            let (key, payload) = (key_of(&schema, &row), encode_payload(&schema, &row).unwrap());
            prop_assert_eq!(&decode_row(&schema, &key, &payload).unwrap(), &row);
            for (position, cell) in row.iter().enumerate() {
                prop_assert_eq!(&decode_column(&schema, position, &key, &payload).unwrap(), cell);
            }
        }
    }
}
