//! The JSON text of a value of any class, from which the same value can be read.
//!
//! Truths, Int64s, finite Float64s, Strings, None and tuples are plain JSON. Every other value is an object with the
//! path of its class as the only name, such as `{"/state/scalar/value/id":"a"}`; a complex number has its parts in a
//! list, and a float that is not finite is the text `"NaN"`, `"Infinity"` or `"-Infinity"`. This is what a column of
//! any value holds in payloads and in segments, and what SQL sees of it.

use jiter::{Jiter, JiterError, Peek};

use crate::error::{Error, Result};
use crate::value::cast::cast_literal;
use crate::value::encode::{Encoder, Json};
use crate::value::number::cast::to_f64;
use crate::value::number::{Complex32, Complex64};
use crate::value::state::DEPTH_MAX;
use crate::value::{Class, Number, NumberClass, State, Tuple, Value};

/// The text of a value.
///
/// # Errors
/// `Internal` for a state that is not a value.
pub(super) fn encode(state: &State) -> Result<String> {
    let mut out = Json::default();
    write(state, &mut out)?;
    Ok(out.into_string())
}

/// The value that a text stands for.
///
/// # Errors
/// `BadRequest` if it stands for none.
pub(super) fn decode(text: &str) -> Result<State> {
    let mut json = Jiter::new(text.as_bytes());
    read_all(&mut json).map_err(|fault| {
        /// Messages repeat a text up to this many characters.
        const CHARS_MAX: usize = 80;
        let shown: String = text.chars().take(CHARS_MAX).collect();
        let why = match fault {
            Fault::Syntax(error) => format!("{} at byte {}", error.error_type, error.index),
            Fault::Value(error) => error.message().to_owned(),
        };
        Error::bad_request(format!("{shown:?} is not the JSON text of a value: {why}"))
    })
}

fn write(state: &State, out: &mut Json) -> Result<()> {
    match state {
        State::Value(value) => write_value(value, out),
        State::Tuple(tuple) => {
            out.begin_list();
            for item in tuple.items() {
                out.item();
                write(item, out)?;
            }
            out.end_list();
        }
        _ => return Err(Error::internal(format!("a {} cannot be in a row", state.class()))),
    }
    Ok(())
}

fn write_value(value: &Value, out: &mut Json) {
    match value {
        Value::None => return out.null(),
        Value::String(text) => return out.string(text),
        Value::Number(Number::Bool(truth)) => return out.bool(*truth),
        Value::Number(Number::I64(n)) => return out.number(Number::I64(*n)),
        Value::Number(Number::F64(n)) if n.is_finite() => return out.number(Number::F64(*n)),
        _ => {}
    }
    out.begin_map();
    out.key(value.class().path());
    match value {
        Value::None => out.null(),
        Value::Number(Number::F32(n)) => write_float((*n).into(), out),
        Value::Number(Number::F64(n)) => write_float(*n, out),
        Value::Number(Number::C32(n)) => write_parts(n.re.into(), n.im.into(), out),
        Value::Number(Number::C64(n)) => write_parts(n.re, n.im, out),
        Value::Number(number) => out.number(*number),
        Value::String(text) => out.string(text),
        Value::Id(id) => out.string(id.as_str()),
        Value::Link(link) => out.string(&link.to_string()),
        Value::Bytes(bytes) => out.bytes(bytes),
        Value::Email(email) => out.string(email.as_str()),
        Value::Version(version) => out.string(&version.to_string()),
    }
    out.end_map();
}

/// Writes a float of either precision: widened, since every Float32 is a Float64.
fn write_float(n: f64, out: &mut Json) {
    if n.is_finite() {
        return out.number(Number::F64(n));
    }
    out.string(if n.is_nan() {
        "NaN"
    } else if n > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    });
}

fn write_parts(re: f64, im: f64, out: &mut Json) {
    out.begin_list();
    for part in [re, im] {
        out.item();
        write_float(part, out);
    }
    out.end_list();
}

/// What is wrong with a text.
enum Fault {
    Syntax(JiterError),
    Value(Error),
}

impl From<JiterError> for Fault {
    fn from(error: JiterError) -> Self {
        Fault::Syntax(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Value(error)
    }
}

fn read_all(json: &mut Jiter<'_>) -> Result<State, Fault> {
    let peek = json.peek()?;
    let state = read(json, peek, 0)?;
    json.finish()?;
    Ok(state)
}

/// Reads a value that begins with `peek`. Recurses as deep as a state may nest, since it is one.
fn read(json: &mut Jiter<'_>, peek: Peek, depth: u16) -> Result<State, Fault> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    Ok(match peek {
        Peek::Null => {
            json.known_null()?;
            State::NONE
        }
        Peek::True | Peek::False => json.known_bool(peek)?.into(),
        Peek::String => State::from(json.known_str()?),
        Peek::Array => {
            let mut items = Vec::new();
            let mut next = json.known_array()?;
            while let Some(peek) = next {
                items.push(read(json, peek, depth + 1)?);
                next = json.array_step()?;
            }
            Tuple::try_new(items)?.into()
        }
        Peek::Object => read_tagged(json, depth)?,
        _ => read_number(json, peek)?.into(),
    })
}

fn too_deep() -> Fault {
    Error::bad_request(format!("it nests deeper than {DEPTH_MAX} levels")).into()
}

fn read_number(json: &mut Jiter<'_>, peek: Peek) -> Result<Number, Fault> {
    let text = String::from_utf8_lossy(json.known_number_bytes(peek)?).into_owned();
    let out_of_range = || Error::bad_request(format!("the number {text} is out of range"));
    if text.contains(['.', 'e', 'E']) {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        return Ok(Number::F64(number.ok_or_else(out_of_range)?));
    }
    let signed = text.parse().ok().map(Number::I64);
    Ok(signed.or_else(|| text.parse().ok().map(Number::U64)).ok_or_else(out_of_range)?)
}

/// Reads an object whose only name is the path of a class.
fn read_tagged(json: &mut Jiter<'_>, depth: u16) -> Result<State, Fault> {
    let path = json.known_object()?.unwrap_or_default().to_owned();
    let class = Class::at(&path).filter(|class| class.is_atom());
    let class = class.ok_or_else(|| Error::bad_request(format!("{path:?} is not a class of values")))?;
    let peek = json.peek()?;
    let inner = read(json, peek, depth + 1)?;
    if json.next_key()?.is_some() {
        return Err(Error::bad_request("an object has a class as its only name").into());
    }
    Ok(match (class, &inner) {
        (Class::Exactly(NumberClass::F32), _) => Number::F32(float(&inner)? as f32).into(),
        (Class::Exactly(NumberClass::F64), _) => float(&inner)?.into(),
        (Class::Exactly(NumberClass::C32), State::Tuple(parts)) => {
            let (re, im) = complex(parts)?;
            Number::C32(Complex32::new(re as f32, im as f32)).into()
        }
        (Class::Exactly(NumberClass::C64), State::Tuple(parts)) => {
            let (re, im) = complex(parts)?;
            Number::C64(Complex64::new(re, im)).into()
        }
        _ => cast_literal(&inner, class)?,
    })
}

fn complex(parts: &Tuple) -> Result<(f64, f64)> {
    match parts.items() {
        [re, im] => Ok((float(re)?, float(im)?)),
        _ => Err(Error::bad_request("a complex number has two parts")),
    }
}

fn float(state: &State) -> Result<f64> {
    match state {
        State::Value(Value::Number(number)) => Ok(to_f64(*number)),
        State::Value(Value::String(text)) => match &**text {
            "NaN" => Ok(f64::from_bits(0x7ff8 << 48)),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(Error::bad_request(format!("{text:?} is not a float"))),
        },
        _ => Err(Error::bad_request(format!("a {} is not a float", state.class()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Kind;
    use crate::storage::codec::sample::any_value;
    use crate::value::sample::{bytes, float as number, id, int, string, tuple};

    #[track_caller]
    fn check(value: State, expected: &str) {
        assert_eq!(encode(&value).unwrap(), expected);
        assert_eq!(decode(expected).unwrap(), value);
    }

    #[test]
    fn values_have_their_class_where_the_text_alone_has_another() {
        check(State::NONE, "null");
        check(true.into(), "true");
        check(int(-5), "-5");
        check(number(5.0), "5.0");
        check(number(-0.0), "-0.0");
        check(string("a\"\u{1}é"), r#""a\"\u0001é""#);
        check(tuple([int(1), tuple([])]), "[1,[]]");
        check(Number::U64(5).into(), r#"{"/state/scalar/value/number/uint/64":5}"#);
        check(Number::F32(0.5).into(), r#"{"/state/scalar/value/number/float/32":0.5}"#);
        check(number(f64::NEG_INFINITY), r#"{"/state/scalar/value/number/float/64":"-Infinity"}"#);
        check(
            Number::C32(Complex32::new(1.0, f32::INFINITY)).into(),
            r#"{"/state/scalar/value/number/complex/32":[1.0,"Infinity"]}"#,
        );
        check(id("a"), r#"{"/state/scalar/value/id":"a"}"#);
        check(bytes(&[1, 2, 255]), r#"{"/state/scalar/value/bytes":"AQL/"}"#);
    }

    #[test]
    fn what_stands_for_no_value_is_refused() {
        for text in [
            "",
            "a",
            "[1",
            "1 2",
            "{}",
            r#"{"a":1}"#,
            r#"{"/state/map":{}}"#,
            r#"{"/state/scalar/value/id":"a","b":1}"#,
            r#"{"/state/scalar/value/id":"a b"}"#,
            r#"{"/state/scalar/value/number/complex/64":[1]}"#,
            "18446744073709551616",
            "1e999",
            "NaN",
        ] {
            assert_eq!(decode(text).unwrap_err().kind(), Kind::BadRequest, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let text = "[".repeat(100_000);
        assert!(decode(&text).unwrap_err().message().contains("deeper"));
        let mut deepest = int(1);
        for _ in 0..DEPTH_MAX - 1 {
            deepest = tuple([deepest]);
        }
        assert_eq!(decode(&encode(&deepest).unwrap()).unwrap(), deepest);
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in any_value()) {
            // A NaN keeps its class, not its bits.
            let read = decode(&encode(&value).unwrap()).unwrap();
            prop_assert_eq!(encode(&read).unwrap(), encode(&value).unwrap());
            prop_assert_eq!(crate::value::collate::collate(&read, &value), std::cmp::Ordering::Equal);
        }
    }
}
