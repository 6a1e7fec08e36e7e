//! TBON to documents, and states to TBON.
//!
//! Numbers are big-endian; there is no whitespace and no separator:
//!
//! | item | bytes |
//! |---|---|
//! | None | `01` |
//! | bool | `02`, then `00` or `01` |
//! | f32, f64 | `03`, `04`, then 4 or 8 bytes |
//! | i8, i16, i32, i64 | `05` to `08`, then 1, 2, 4 or 8 bytes |
//! | u8, u16, u32, u64 | `09` to `0C`, then 1, 2, 4 or 8 bytes |
//! | string | `"`, UTF-8 with `\` before each `"` and `\`, `"` |
//! | list | `[`, items, `]` |
//! | map | `{`, then each key (a string) with its value, `}` |
//! | array | `=`, the type of its elements, the elements with `\` before each `=` and `\`, `=` |
//!
//! An array of u8 is a Bytes; one of other numbers is read as a list.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::value::doc::frame::Frame;
use crate::value::encode::{Encoder, encode};
use crate::value::{Doc, Number, State};

const NONE: u8 = 0x01;
const BOOL: u8 = 0x02;
const F32: u8 = 0x03;
const F64: u8 = 0x04;
const I8: u8 = 0x05;
const I16: u8 = 0x06;
const I32: u8 = 0x07;
const I64: u8 = 0x08;
const U8: u8 = 0x09;
const U16: u8 = 0x0a;
const U32: u8 = 0x0b;
const U64: u8 = 0x0c;
const ESCAPE: u8 = b'\\';
const STRING: u8 = b'"';
const ARRAY: u8 = b'=';

/// The document that a TBON text stands for. Of entries with one name, the last wins.
///
/// # Errors
/// `BadRequest` if the text is malformed or nests deeper than `depth_max` levels.
pub fn decode(bytes: &[u8], depth_max: usize) -> Result<Doc> {
    let mut reader = Reader { bytes, at: 0 };
    let mut open: Vec<Frame> = Vec::new();
    let doc = loop {
        let Some(doc) = reader.step(&mut open, depth_max)? else { continue };
        match open.last_mut() {
            Some(frame) => frame.push(doc),
            None => break doc,
        }
    };
    if reader.at < bytes.len() { Err(reader.fault("trailing bytes")) } else { Ok(doc) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// The index of the next byte.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads an atom, or the beginning or end of a container. Returns the value that is complete with it, if any.
    fn step(&mut self, open: &mut Vec<Frame>, depth_max: usize) -> Result<Option<Doc>> {
        if self.ends(open)? {
            return Ok(open.pop().map(|mut frame| frame.finish()));
        }
        let doc = match self.next()? {
            container @ (b'[' | b'{') => {
                if open.len() >= depth_max {
                    return Err(self.fault(format_args!("it nests deeper than {depth_max} levels")));
                }
                open.push(if container == b'[' { Frame::List(Vec::new()) } else { Frame::map(None) });
                return Ok(None);
            }
            STRING => Doc::String(self.string()?),
            ARRAY => self.array()?,
            NONE => Doc::Null,
            class => Doc::Number(self.number(class)?),
        };
        Ok(Some(doc))
    }

    /// Whether the innermost container ends here. If it is a map that does not, its next key is read.
    fn ends(&mut self, open: &mut [Frame]) -> Result<bool> {
        match open.last_mut() {
            None => Ok(false),
            Some(Frame::List(_)) => Ok(self.skip(b']')),
            Some(Frame::Map { key, .. }) => {
                if self.skip(b'}') {
                    return Ok(true);
                }
                if !self.skip(STRING) {
                    return Err(self.fault("expected a key or the end of the map"));
                }
                *key = Some(self.string()?);
                Ok(false)
            }
        }
    }

    /// The rest of a number of the given class.
    fn number(&mut self, class: u8) -> Result<Number> {
        let width = width(class).ok_or_else(|| self.fault(format_args!("no value begins with {class:#04x}")))?;
        let rest = &self.bytes[self.at..];
        if rest.len() < width {
            return Err(self.fault("the text ends within a number"));
        }
        let number = number(class, &rest[..width]).ok_or_else(|| self.fault("a boolean is 00 or 01"))?;
        self.at += width;
        Ok(number)
    }

    /// The rest of a string.
    fn string(&mut self) -> Result<Arc<str>> {
        let bytes = self.until(STRING)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Arc::from(text)),
            Err(_) => Err(self.fault("the string that ends here is not UTF-8")),
        }
    }

    /// The rest of an array.
    fn array(&mut self) -> Result<Doc> {
        let class = self.next()?;
        let width = width(class).ok_or_else(|| self.fault(format_args!("{class:#04x} is no type of elements")))?;
        let bytes = self.until(ARRAY)?;
        if class == U8 {
            return Ok(Doc::Bytes(Arc::from(&*bytes)));
        }
        let elements = bytes.chunks(width).map(|element| number(class, element).map(Doc::Number));
        let elements = elements.collect::<Option<Vec<_>>>();
        elements.map(Doc::List).ok_or_else(|| self.fault("the array that ends here has a malformed element"))
    }

    /// The bytes before `delimiter`, which is skipped, without their escapes.
    fn until(&mut self, delimiter: u8) -> Result<Cow<'a, [u8]>> {
        let rest: &'a [u8] = &self.bytes[self.at..];
        let plain = rest.iter().position(|b| *b == delimiter || *b == ESCAPE);
        match plain {
            Some(length) if rest[length] == delimiter => {
                self.at += length + 1;
                Ok(Cow::Borrowed(&rest[..length]))
            }
            Some(length) => {
                let mut bytes = rest[..length].to_vec();
                self.at += length;
                self.unescape(delimiter, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
            None => Err(self.fault(format_args!("there is no closing {}", char::from(delimiter)))),
        }
    }

    fn unescape(&mut self, delimiter: u8, bytes: &mut Vec<u8>) -> Result<()> {
        loop {
            match self.next()? {
                ESCAPE => bytes.push(self.next()?),
                end if end == delimiter => return Ok(()),
                byte => bytes.push(byte),
            }
        }
    }

    fn next(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.fault("the text ends too soon"))?;
        self.at += 1;
        Ok(byte)
    }

    /// Skips the next byte if it is `byte`.
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn fault(&self, why: impl fmt::Display) -> Error {
        Error::bad_request(format!("invalid TBON at byte {}: {why}", self.at))
    }
}

/// How many bytes a number of the given class has.
fn width(class: u8) -> Option<usize> {
    match class {
        BOOL | I8 | U8 => Some(1),
        I16 | U16 => Some(2),
        F32 | I32 | U32 => Some(4),
        F64 | I64 | U64 => Some(8),
        _ => None,
    }
}

/// The number of the given class with the given bytes. There is no 8-bit signed class, so such a number is widened.
fn number(class: u8, bytes: &[u8]) -> Option<Number> {
    Some(match class {
        BOOL if bytes == [0] => Number::Bool(false),
        BOOL if bytes == [1] => Number::Bool(true),
        F32 => Number::F32(f32::from_be_bytes(bytes.try_into().ok()?)),
        F64 => Number::F64(f64::from_be_bytes(bytes.try_into().ok()?)),
        I8 => Number::I16(i8::from_be_bytes(bytes.try_into().ok()?).into()),
        I16 => Number::I16(i16::from_be_bytes(bytes.try_into().ok()?)),
        I32 => Number::I32(i32::from_be_bytes(bytes.try_into().ok()?)),
        I64 => Number::I64(i64::from_be_bytes(bytes.try_into().ok()?)),
        U8 => Number::U8(u8::from_be_bytes(bytes.try_into().ok()?)),
        U16 => Number::U16(u16::from_be_bytes(bytes.try_into().ok()?)),
        U32 => Number::U32(u32::from_be_bytes(bytes.try_into().ok()?)),
        U64 => Number::U64(u64::from_be_bytes(bytes.try_into().ok()?)),
        _ => return None,
    })
}

/// Writes TBON.
#[derive(Debug, Default)]
pub struct TbonEncoder {
    out: Vec<u8>,
}

impl TbonEncoder {
    /// The bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn tagged(&mut self, class: u8, bytes: &[u8]) {
        self.out.push(class);
        self.out.extend_from_slice(bytes);
    }

    fn escaped(&mut self, delimiter: u8, bytes: &[u8]) {
        for byte in bytes {
            if *byte == delimiter || *byte == ESCAPE {
                self.out.push(ESCAPE);
            }
            self.out.push(*byte);
        }
        self.out.push(delimiter);
    }
}

impl Encoder for TbonEncoder {
    fn null(&mut self) {
        self.out.push(NONE);
    }

    fn bool(&mut self, value: bool) {
        self.tagged(BOOL, &[u8::from(value)]);
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::Bool(n) => self.bool(n),
            Number::U8(n) => self.tagged(U8, &n.to_be_bytes()),
            Number::U16(n) => self.tagged(U16, &n.to_be_bytes()),
            Number::U32(n) => self.tagged(U32, &n.to_be_bytes()),
            Number::U64(n) => self.tagged(U64, &n.to_be_bytes()),
            Number::I16(n) => self.tagged(I16, &n.to_be_bytes()),
            Number::I32(n) => self.tagged(I32, &n.to_be_bytes()),
            Number::I64(n) => self.tagged(I64, &n.to_be_bytes()),
            Number::F32(n) => self.tagged(F32, &n.to_be_bytes()),
            Number::F64(n) => self.tagged(F64, &n.to_be_bytes()),
            // This ends, because the walk over a state takes complex numbers apart.
            Number::C32(_) | Number::C64(_) => encode(&State::from(number), self),
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push(STRING);
        self.escaped(STRING, text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&[ARRAY, U8]);
        self.escaped(ARRAY, bytes);
    }

    fn begin_list(&mut self) {
        self.out.push(b'[');
    }

    fn item(&mut self) {}

    fn end_list(&mut self) {
        self.out.push(b']');
    }

    fn begin_map(&mut self) {
        self.out.push(b'{');
    }

    fn key(&mut self, key: &str) {
        self.string(key);
    }

    fn end_map(&mut self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Id, Tuple, Value};

    fn encoded(state: impl Into<State>) -> Vec<u8> {
        let mut out = TbonEncoder::default();
        encode(&state.into(), &mut out);
        out.into_bytes()
    }

    fn bytes_of(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn the_samples_of_the_protocol_are_read_and_written() {
        let one = Number::I64(1);
        assert_eq!(encoded(State::NONE), bytes_of("01"));
        assert_eq!(encoded(true), bytes_of("02 01"));
        assert_eq!(encoded(one), bytes_of("08 0000000000000001"));
        assert_eq!(encoded(Number::U8(7)), bytes_of("09 07"));

        let list = bytes_of("5B 08 0000000000000001 22 78 22 01 5D");
        assert_eq!(encoded(Tuple::try_new([one.into(), "x".into(), State::NONE]).unwrap()), list);
        let items = vec![Doc::Number(one), Doc::String("x".into()), Doc::Null];
        assert_eq!(decode(&list, 8), Ok(Doc::List(items)));

        let array = bytes_of("3D 09 01 5C 3D 5C 5C 3D");
        let bytes: Arc<[u8]> = Arc::from([0x01, 0x3d, 0x5c]);
        assert_eq!(encoded(State::Value(Value::Bytes(Arc::clone(&bytes)))), array);
        assert_eq!(decode(&array, 8), Ok(Doc::Bytes(bytes)));

        let map = bytes_of("7B 22 6B 22 08 0000000000000001 7D");
        assert_eq!(decode(&map, 8), Ok(Doc::Map(vec![("k".into(), Doc::Number(one))])));
        assert_eq!(encoded(Id::from("foo")), b"{\"foo\"[]}");
    }

    #[test]
    fn a_program_of_the_protocol_is_read() {
        let doc = decode(b"{\"op\"[[\"a\"\x09\x05][\"c\"{\"$a/class\"[]}]]}", 8).unwrap();
        let text = |text: &str| Doc::String(text.into());
        let first = Doc::List(vec![text("a"), Doc::Number(Number::U8(5))]);
        let call = Doc::Map(vec![("$a/class".into(), Doc::List(vec![]))]);
        let second = Doc::List(vec![text("c"), call]);
        assert_eq!(doc, Doc::Map(vec![("op".into(), Doc::List(vec![first, second]))]));
    }

    #[test]
    fn numbers_keep_their_class() {
        let numbers = [
            Number::Bool(false),
            Number::U8(255),
            Number::U16(256),
            Number::U32(70_000),
            Number::U64(u64::MAX),
            Number::I16(-1),
            Number::I32(-70_000),
            Number::I64(i64::MIN),
            Number::F32(1.5),
            Number::F64(f64::NEG_INFINITY),
        ];
        for number in numbers {
            assert_eq!(decode(&encoded(number), 8), Ok(Doc::Number(number)));
        }
        assert_eq!(decode(&[I8, 0xff], 8), Ok(Doc::Number(Number::I16(-1))));
    }

    #[test]
    fn quotes_and_backslashes_survive() {
        for text in ["", "\"", "\\", "a\"b\\c", "é\n"] {
            assert_eq!(decode(&encoded(text), 8), Ok(Doc::String(text.into())), "{text:?}");
        }
    }

    #[test]
    fn arrays_of_other_numbers_are_lists() {
        let numbers = [1, 2].map(|n| Doc::Number(Number::U16(n))).to_vec();
        assert_eq!(decode(&bytes_of("3D 0A 0001 0002 3D"), 8), Ok(Doc::List(numbers)));
        assert!(decode(&bytes_of("3D 0A 0001 00 3D"), 8).is_err());
    }

    #[test]
    fn malformed_texts_are_refused() {
        let texts: [&[u8]; 17] = [
            b"",
            b"\x00",
            b"\x02",
            b"\x02\x02",
            b"\x08\x00",
            b"\"a",
            b"\"\\",
            b"\"\xff\"",
            b"[",
            b"]",
            b"[}",
            b"{",
            b"{\x01\x01}",
            b"{\"a\"}",
            b"\x01\x01",
            b"=\x01=",
            b"=\x09",
        ];
        for text in texts {
            assert!(decode(text, 8).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_refused_one_level_past_the_limit_and_not_before() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(decode(nested(8).as_bytes(), 8).is_ok());
        assert!(decode(nested(9).as_bytes(), 8).unwrap_err().message().contains("deeper than 8 levels"));
    }
}
