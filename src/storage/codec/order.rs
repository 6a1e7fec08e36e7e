//! Bytes in the order of what they stand for: numbers of fixed width, and text of any length.
//!
//! Numbers are big-endian with the sign turned, so that negative ones come first. Text ends with a zero byte, so that a
//! prefix comes first whatever follows in the key; the bytes 0 and 1 of the text are escaped with a 1.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::value::cell::{normal_f32, normal_f64};

/// Ends a text or a sequence. Nothing else that can stand in its place begins with it.
pub(super) const END: u8 = 0;
/// Before a byte of a text that is 0 or 1, which is written as one more than it is.
const ESCAPE: u8 = 1;

pub(super) fn of_i16(n: i16) -> [u8; 2] {
    (n ^ i16::MIN).to_be_bytes()
}

pub(super) fn of_i32(n: i32) -> [u8; 4] {
    (n ^ i32::MIN).to_be_bytes()
}

pub(super) fn of_i64(n: i64) -> [u8; 8] {
    (n ^ i64::MIN).to_be_bytes()
}

pub(super) fn of_i128(n: i128) -> [u8; 16] {
    (n ^ i128::MIN).to_be_bytes()
}

/// -0 is written as 0, and every NaN as the same, after all other numbers.
pub(super) fn of_f32(n: f32) -> [u8; 4] {
    let bits = normal_f32(n).to_bits();
    let is_negative = bits >> 31 == 1;
    (if is_negative { !bits } else { bits | 1 << 31 }).to_be_bytes()
}

/// -0 is written as 0, and every NaN as the same, after all other numbers.
pub(super) fn of_f64(n: f64) -> [u8; 8] {
    let bits = normal_f64(n).to_bits();
    let is_negative = bits >> 63 == 1;
    (if is_negative { !bits } else { bits | 1 << 63 }).to_be_bytes()
}

pub(super) fn to_i16(bytes: [u8; 2]) -> i16 {
    i16::from_be_bytes(bytes) ^ i16::MIN
}

pub(super) fn to_i32(bytes: [u8; 4]) -> i32 {
    i32::from_be_bytes(bytes) ^ i32::MIN
}

pub(super) fn to_i64(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

pub(super) fn to_i128(bytes: [u8; 16]) -> i128 {
    i128::from_be_bytes(bytes) ^ i128::MIN
}

pub(super) fn to_f32(bytes: [u8; 4]) -> f32 {
    let bits = u32::from_be_bytes(bytes);
    let is_negative = bits >> 31 == 0;
    f32::from_bits(if is_negative { !bits } else { bits & !(1 << 31) })
}

pub(super) fn to_f64(bytes: [u8; 8]) -> f64 {
    let bits = u64::from_be_bytes(bytes);
    let is_negative = bits >> 63 == 0;
    f64::from_bits(if is_negative { !bits } else { bits & !(1 << 63) })
}

/// How many bytes of a text are escaped.
pub(super) fn escapes(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(*byte <= ESCAPE)).sum()
}

/// Writes a text and its end to the beginning of `out`, which has space for both, and gives how many bytes that took.
pub(super) fn put_text(text: &[u8], out: &mut [u8]) -> usize {
    let mut len = 0;
    if escapes(text) == 0 {
        out[..text.len()].copy_from_slice(text);
        len = text.len();
    } else {
        for byte in text {
            if *byte <= ESCAPE {
                out[len] = ESCAPE;
                len += 1;
            }
            out[len] = if *byte <= ESCAPE { byte + 1 } else { *byte };
            len += 1;
        }
    }
    out[len] = END;
    len + 1
}

/// Appends a text and its end.
pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    if escapes(text) == 0 {
        out.extend_from_slice(text);
    } else {
        for byte in text {
            if *byte <= ESCAPE {
                out.extend_from_slice(&[ESCAPE, byte + 1]);
            } else {
                out.push(*byte);
            }
        }
    }
    out.push(END);
}

/// Reads a text and its end.
pub(super) fn read_text<'a>(bytes: &mut &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let text = skip_text(bytes)?;
    if !text.contains(&ESCAPE) {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != ESCAPE {
            plain.push(*byte);
            continue;
        }
        match rest.next() {
            Some(escaped @ 1..=2) => plain.push(escaped - 1),
            _ => return Err(Error::internal("a text in a key is not escaped correctly")),
        }
    }
    Ok(Cow::Owned(plain))
}

/// Reads past a text and its end, and gives the text with its escapes.
pub(super) fn skip_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let input: &'a [u8] = bytes;
    let end = input.iter().position(|byte| *byte == END).ok_or_else(truncated)?;
    *bytes = &input[end + 1..];
    Ok(&input[..end])
}

/// Reads the next `N` bytes.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk().ok_or_else(truncated)?;
    *bytes = rest;
    Ok(*first)
}

/// Reads the next byte.
pub(super) fn take_byte(bytes: &mut &[u8]) -> Result<u8> {
    let [byte] = take(bytes)?;
    Ok(byte)
}

/// Reads past `len` bytes.
pub(super) fn skip(bytes: &mut &[u8], len: usize) -> Result<()> {
    *bytes = bytes.get(len..).ok_or_else(truncated)?;
    Ok(())
}

fn truncated() -> Error {
    Error::internal("a key ends within a cell")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_text(bytes, &mut out);
        out
    }

    #[test]
    fn special_floats_are_in_order() {
        let sorted = [f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY, f64::NAN];
        for pair in sorted.windows(2) {
            assert!(of_f64(pair[0]) < of_f64(pair[1]), "{pair:?}");
            assert!(of_f32(pair[0] as f32) <= of_f32(pair[1] as f32), "{pair:?}");
        }
        assert_eq!(of_f64(-0.0), of_f64(0.0));
        assert_eq!(of_f64(-f64::NAN), of_f64(f64::NAN));
        assert_eq!(of_f32(-0.0), of_f32(0.0));
        assert!(to_f64(of_f64(f64::NAN)).is_nan());
    }

    #[test]
    fn texts_end_before_they_go_on() {
        let sorted: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\0a", b"\x01", b"\x02", b"a", b"a\0", b"aa"];
        for pair in sorted.windows(2) {
            assert!(text(pair[0]) < text(pair[1]), "{pair:?}");
            assert!([text(pair[0]), vec![255]].concat() < [text(pair[1]), vec![0]].concat(), "{pair:?}");
        }
    }

    #[test]
    fn a_text_that_does_not_end_is_an_error() {
        let faulty: [&[u8]; 3] = [b"", b"abc", b"a\x01\0"];
        for mut bytes in faulty {
            assert!(read_text(&mut bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn integers_keep_their_order(l: i64, r: i64) {
            prop_assert_eq!(of_i64(l).cmp(&of_i64(r)), l.cmp(&r));
            prop_assert_eq!(of_i32(l as i32).cmp(&of_i32(r as i32)), (l as i32).cmp(&(r as i32)));
            prop_assert_eq!(of_i16(l as i16).cmp(&of_i16(r as i16)), (l as i16).cmp(&(r as i16)));
            prop_assert_eq!(to_i64(of_i64(l)), l);
            prop_assert_eq!(to_i32(of_i32(l as i32)), l as i32);
            prop_assert_eq!(to_i16(of_i16(l as i16)), l as i16);
            let (l, r) = (i128::from(l) << 40, i128::from(r) << 40);
            prop_assert_eq!(of_i128(l).cmp(&of_i128(r)), l.cmp(&r));
            prop_assert_eq!(to_i128(of_i128(l)), l);
        }

        #[test]
        fn floats_keep_their_order(l: f64, r: f64) {
            prop_assert_eq!(Some(of_f64(l).cmp(&of_f64(r))), l.partial_cmp(&r));
            prop_assert_eq!(to_f64(of_f64(l)), l);
            let (l, r) = (l as f32, r as f32);
            prop_assert_eq!(Some(of_f32(l).cmp(&of_f32(r))), l.partial_cmp(&r));
            prop_assert_eq!(to_f32(of_f32(l)), l);
        }

        #[test]
        fn texts_keep_their_order(
            l in prop::collection::vec(0u8..4, 0..6),
            r in prop::collection::vec(0u8..4, 0..6),
            after in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            prop_assert_eq!(text(&l).cmp(&text(&r)), l.cmp(&r));
            prop_assert_eq!(text(&l).len(), l.len() + escapes(&l) + 1);
            let mut space = vec![9; text(&l).len() + 1];
            prop_assert_eq!(put_text(&l, &mut space), text(&l).len());
            prop_assert_eq!(space, [text(&l), vec![9]].concat());
            let bytes = [text(&l), after.clone()].concat();
            let mut rest = &bytes[..];
            prop_assert_eq!(read_text(&mut rest).unwrap().into_owned(), l);
            prop_assert_eq!(rest, &after[..]);
        }
    }
}
