//! Key bytes of values whose parts must be compared in turn: links, versions, and values of any class.
//!
//! A value of any class begins with the rank of its class, as in [`crate::value::collate`]. Numbers of all classes
//! share one form, in which numerically equal ones have equal bytes, so their class is lost: what is read back collates
//! like what was written, but may be of another class.
//!
//! A number is `1 magnitude` if it is real and not negative, `0 number` if it is real and negative, where both are a
//! Float64 and the 16-bit integer that is missing to the exact value. A complex number is `1 magnitude place re im`,
//! with a place of 0 or 2 for before or after the real number of that magnitude, which itself has the place 1 and ends
//! there.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::order::{END, of_f64, read_text, skip, take, take_byte, to_f64, write_text};
use crate::error::{Error, Result};
use crate::value::cell::magnitude;
use crate::value::number::Complex64;
use crate::value::number::cast::{to_f64 as real_of, to_integer};
use crate::value::{Email, Id, Link, Number, State, Tuple, Value, Version};

const NONE: u8 = 1;
const VERSION: u8 = 2;
const NUMBER: u8 = 3;
const BYTES: u8 = 4;
const ID: u8 = 5;
const EMAIL: u8 = 6;
const STRING: u8 = 7;
const LINK: u8 = 8;
const TUPLE: u8 = 9;

const NEGATIVE: u8 = 0;
const NOT_NEGATIVE: u8 = 1;

const BEFORE_REAL: u8 = 0;
const REAL: u8 = 1;
const AFTER_REAL: u8 = 2;

const ABSOLUTE: u8 = 0;
const LOCAL: u8 = 1;

/// Appends the key bytes of a value of any class.
pub(super) fn write_value(state: &State, out: &mut Vec<u8>) -> Result<()> {
    let value = match state {
        State::Value(value) => value,
        State::Tuple(tuple) => {
            out.push(TUPLE);
            for item in tuple.items() {
                write_value(item, out)?;
            }
            out.push(END);
            return Ok(());
        }
        _ => return Err(Error::internal(format!("a {} cannot be in a key", state.class()))),
    };
    match value {
        Value::None => out.push(NONE),
        Value::Version(version) => {
            out.push(VERSION);
            write_version(*version, out);
        }
        Value::Number(number) => {
            out.push(NUMBER);
            write_number(*number, out);
        }
        Value::Bytes(bytes) => write_tagged(BYTES, bytes, out),
        Value::Id(id) => write_tagged(ID, id.as_str().as_bytes(), out),
        Value::Email(email) => write_tagged(EMAIL, email.as_str().as_bytes(), out),
        Value::String(text) => write_tagged(STRING, text.as_bytes(), out),
        Value::Link(link) => {
            out.push(LINK);
            write_link(link, out);
        }
    }
    Ok(())
}

/// Reads a value that collates like the one that was written.
pub(super) fn read_value(bytes: &mut &[u8]) -> Result<State> {
    Ok(match take_byte(bytes)? {
        NONE => State::NONE,
        VERSION => Value::Version(read_version(bytes)?).into(),
        NUMBER => read_number(bytes)?.into(),
        BYTES => Value::Bytes(read_text(bytes)?.into_owned().into()).into(),
        ID => read_str(bytes)?.parse::<Id>()?.into(),
        EMAIL => Value::Email(read_str(bytes)?.parse::<Email>()?).into(),
        STRING => read_str(bytes)?.into(),
        LINK => read_link(bytes)?.into(),
        TUPLE => {
            let mut items = Vec::new();
            while bytes.first() != Some(&END) {
                items.push(read_value(bytes)?);
            }
            take_byte(bytes)?;
            Tuple::try_new(items)?.into()
        }
        rank => return Err(Error::internal(format!("no class of values has the rank {rank}"))),
    })
}

/// Appends the parts of a version.
pub(super) fn write_version(version: Version, out: &mut Vec<u8>) {
    for part in [version.major, version.minor, version.patch] {
        out.extend_from_slice(&part.to_be_bytes());
    }
}

/// Reads the parts of a version.
pub(super) fn read_version(bytes: &mut &[u8]) -> Result<Version> {
    let mut part = || take(bytes).map(u32::from_be_bytes);
    Ok(Version { major: part()?, minor: part()?, patch: part()? })
}

/// Appends a link: where it leads to, then the segments of its path.
pub(super) fn write_link(link: &Link, out: &mut Vec<u8>) {
    match link.authority() {
        None => out.push(LOCAL),
        Some(authority) => {
            out.push(ABSOLUTE);
            match authority.ip() {
                Some(IpAddr::V4(ip)) => {
                    out.push(0);
                    out.extend_from_slice(&ip.octets());
                }
                Some(IpAddr::V6(ip)) => {
                    out.push(1);
                    out.extend_from_slice(&ip.octets());
                }
                None => out.push(2),
            }
            write_text(authority.host.as_bytes(), out);
            match authority.port {
                None => out.push(0),
                Some(port) => {
                    out.push(1);
                    out.extend_from_slice(&port.to_be_bytes());
                }
            }
            out.push(authority.secure.into());
        }
    }
    // A segment is never empty, so none begins with the end of the path.
    for segment in link.path() {
        write_text(segment.as_str().as_bytes(), out);
    }
    out.push(END);
}

/// Reads a link.
pub(super) fn read_link(bytes: &mut &[u8]) -> Result<Link> {
    let origin = match take_byte(bytes)? {
        LOCAL => None,
        _ => Some(read_origin(bytes)?),
    };
    let mut path = Vec::new();
    while bytes.first() != Some(&END) {
        path.push(read_str(bytes)?.parse::<Id>()?);
    }
    take_byte(bytes)?;
    let local = Link::local(path);
    match origin {
        None => Ok(local),
        Some(origin) if local.is_root() => origin.parse(),
        Some(origin) => format!("{origin}{local}").parse(),
    }
}

/// Reads the text of scheme, host and port.
fn read_origin(bytes: &mut &[u8]) -> Result<String> {
    match take_byte(bytes)? {
        0 => skip(bytes, 4)?,
        1 => skip(bytes, 16)?,
        _ => {}
    }
    let host = read_str(bytes)?;
    let port = match take_byte(bytes)? {
        0 => String::new(),
        _ => format!(":{}", u16::from_be_bytes(take(bytes)?)),
    };
    let scheme = if take_byte(bytes)? == 1 { "https" } else { "http" };
    Ok(if host.contains(':') { format!("{scheme}://[{host}]{port}") } else { format!("{scheme}://{host}{port}") })
}

fn write_tagged(rank: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(rank);
    write_text(text, out);
}

fn read_str(bytes: &mut &[u8]) -> Result<String> {
    let text = read_text(bytes)?.into_owned();
    String::from_utf8(text).map_err(|_| Error::internal("a text in a key is not UTF-8"))
}

fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::C32(n) => write_complex(n.re.into(), n.im.into(), out),
        Number::C64(n) => write_complex(n.re, n.im, out),
        _ => {
            let (near, missing) = split(number);
            let is_negative = near < 0.0;
            out.push(if is_negative { NEGATIVE } else { NOT_NEGATIVE });
            write_real(near, missing, out);
            if !is_negative {
                out.push(REAL);
            }
        }
    }
}

fn write_complex(re: f64, im: f64, out: &mut Vec<u8>) {
    let magnitude = magnitude(re, im);
    out.push(NOT_NEGATIVE);
    write_real(magnitude, 0, out);
    let (re, im) = (of_f64(re), of_f64(im));
    match (re, im).cmp(&(of_f64(magnitude), of_f64(0.0))) {
        Ordering::Equal => return out.push(REAL),
        Ordering::Less => out.push(BEFORE_REAL),
        Ordering::Greater => out.push(AFTER_REAL),
    }
    out.extend_from_slice(&re);
    out.extend_from_slice(&im);
}

fn write_real(near: f64, missing: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&of_f64(near));
    out.extend_from_slice(&missing.to_be_bytes());
}

/// A real number as the largest Float64 that is not greater, and what is missing to the number. That is less than 2^11,
/// since an integer has at most 64 bits.
fn split(number: Number) -> (f64, u16) {
    let Some(integer) = to_integer(number) else { return (real_of(number), 0) };
    let nearest = integer as f64;
    let near = if nearest as i128 > integer { nearest.next_down() } else { nearest };
    (near, (integer - near as i128) as u16)
}

fn read_number(bytes: &mut &[u8]) -> Result<Number> {
    let sign = take_byte(bytes)?;
    let near = to_f64(take(bytes)?);
    let missing = u16::from_be_bytes(take(bytes)?);
    if sign == NOT_NEGATIVE && take_byte(bytes)? != REAL {
        let (re, im) = (to_f64(take(bytes)?), to_f64(take(bytes)?));
        return Ok(Number::C64(Complex64::new(re, im)));
    }
    Ok(joined(near, missing))
}

/// The number that was split: an integer if it is whole and fits.
fn joined(near: f64, missing: u16) -> Number {
    if near.fract() != 0.0 || near.is_nan() || near.is_infinite() {
        return Number::F64(near);
    }
    let integer = (near as i128).saturating_add(missing.into());
    match (i64::try_from(integer), u64::try_from(integer)) {
        (Ok(n), _) => Number::I64(n),
        (_, Ok(n)) => Number::U64(n),
        _ => Number::F64(near),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::sample::any_value;
    use crate::value::collate::collate;
    use crate::value::sample::{float, int, link, string, tuple};

    fn bytes(state: &State) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(state, &mut out).unwrap();
        out
    }

    /// Checks that the bytes of all pairs are in the order of the list, which is that of `collate`.
    #[track_caller]
    fn check(sorted: &[State]) {
        for (i, l) in sorted.iter().enumerate() {
            for (j, r) in sorted.iter().enumerate() {
                assert_eq!(bytes(l).cmp(&bytes(r)), i.cmp(&j), "{l:?}, {r:?}");
                assert_eq!(collate(l, r), i.cmp(&j), "{l:?}, {r:?}");
            }
        }
    }

    #[test]
    fn numbers_of_all_classes_share_one_order() {
        let c64 = |re, im| State::from(Number::C64(Complex64::new(re, im)));
        check(&[
            float(f64::NEG_INFINITY),
            int(i64::MIN),
            int(i64::MIN + 1),
            float(-5.5),
            int(-5),
            int(0),
            c64(0.0, 0.5),
            float(0.5),
            c64(-1.0, 0.0),
            c64(0.0, -1.0),
            c64(0.0, 1.0),
            Number::U8(1).into(),
            float(1.5),
            c64(-3.0, 4.0),
            c64(3.0, -4.0),
            int(5),
            float(9_007_199_254_740_992.0),
            int((1 << 53) + 1),
            int(i64::MAX),
            float(9_223_372_036_854_775_808.0),
            Number::U64(u64::MAX).into(),
            float(18_446_744_073_709_551_616.0),
            float(f64::INFINITY),
            float(f64::NAN),
        ]);
    }

    #[test]
    fn equal_numbers_have_equal_bytes() {
        let complex = State::from(Number::C64(Complex64::new(1.0, -0.0)));
        for one in [State::from(true), float(1.0), Number::F32(1.0).into(), complex] {
            assert_eq!(bytes(&one), bytes(&int(1)), "{one:?}");
        }
        assert_eq!(bytes(&float(-0.0)), bytes(&int(0)));
    }

    #[test]
    fn links_are_compared_part_by_part() {
        check(
            &[
                "http://9.0.0.0/a",
                "http://10.0.0.0",
                "http://10.0.0.0:80",
                "https://10.0.0.0:80/a",
                "http://10.0.0.0:81",
                "http://[::1]:80",
                "http://a",
                "http://a.b",
                "/",
                "/a",
                "/a/b",
                "/ab",
                "/b",
            ]
            .map(link),
        );
    }

    #[test]
    fn a_prefix_of_a_tuple_comes_first() {
        check(&[
            tuple([]),
            tuple([State::NONE]),
            tuple([int(1)]),
            tuple([int(1), tuple([])]),
            tuple([int(2)]),
            tuple([string("")]),
            tuple([string("a")]),
            tuple([tuple([int(1)])]),
        ]);
    }

    proptest! {
        #[test]
        fn values_keep_their_order(l in any_value(), r in any_value()) {
            prop_assert_eq!(bytes(&l).cmp(&bytes(&r)), collate(&l, &r));
        }

        #[test]
        fn what_is_read_collates_like_what_was_written(value in any_value()) {
            let bytes = bytes(&value);
            let mut rest = &bytes[..];
            let read = read_value(&mut rest).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(collate(&read, &value), Ordering::Equal, "{:?} was read as {:?}", value, read);
        }
    }
}
