//! JSON text to documents.
//!
//! Beyond the standard, the tokens `NaN`, `Infinity` and `-Infinity` are numbers, since clients emit them. Integers
//! keep their exact value: they become 64-bit integers, signed if they fit, or an error, but never floats.

use std::sync::Arc;

use jiter::{Jiter, JiterError, Peek};

use super::Doc;
use super::frame::Frame;
use crate::error::{Error, Result};
use crate::value::Number;

/// The document that a JSON text stands for. Of entries with one name, the last wins.
///
/// # Errors
/// `BadRequest` if the text is malformed, nests deeper than `depth_max` levels or has a number that is out of range.
pub fn decode(bytes: &[u8], depth_max: usize) -> Result<Doc> {
    let mut json = Jiter::new(bytes).with_allow_inf_nan();
    let outcome = read(&mut json, depth_max).and_then(|doc| json.finish().map(|()| doc).map_err(Fault::from));
    outcome.map_err(|fault| {
        let place = json.error_position(fault.index);
        let Fault { why, index } = fault;
        let (line, column) = (place.line, place.column);
        Error::bad_request(format!("invalid JSON at line {line} column {column} (byte {index}): {why}"))
    })
}

/// What is wrong, and at which byte.
struct Fault {
    why: String,
    index: usize,
}

impl From<JiterError> for Fault {
    fn from(error: JiterError) -> Self {
        Self { why: error.error_type.to_string(), index: error.index }
    }
}

/// What follows a part of the text.
enum Step {
    /// A value, which begins with this byte.
    Value(Peek),
    /// Nothing: this value is complete.
    Done(Doc),
}

fn read(json: &mut Jiter<'_>, depth_max: usize) -> Result<Doc, Fault> {
    let mut open: Vec<Frame> = Vec::new();
    let mut peek = json.peek()?;
    loop {
        let step = match begin(json, peek, &mut open, depth_max)? {
            Step::Done(doc) => end(json, doc, &mut open)?,
            step @ Step::Value(_) => step,
        };
        match step {
            Step::Value(next) => peek = next,
            Step::Done(doc) => return Ok(doc),
        }
    }
}

/// Reads an atom or an empty container as a whole; of another container, only its beginning.
fn begin(json: &mut Jiter<'_>, peek: Peek, open: &mut Vec<Frame>, depth_max: usize) -> Result<Step, Fault> {
    let doc = match peek {
        Peek::String => Doc::String(Arc::from(json.known_str()?)),
        Peek::Array => {
            check_depth(json, open, depth_max)?;
            match json.known_array()? {
                Some(next) => {
                    open.push(Frame::List(Vec::new()));
                    return Ok(Step::Value(next));
                }
                None => Doc::List(Vec::new()),
            }
        }
        Peek::Object => {
            check_depth(json, open, depth_max)?;
            let key: Option<Arc<str>> = json.known_object()?.map(Arc::from);
            if key.is_some() {
                open.push(Frame::map(key));
                return Ok(Step::Value(json.peek()?));
            }
            Doc::Map(Vec::new())
        }
        Peek::Null => {
            json.known_null()?;
            Doc::Null
        }
        Peek::True | Peek::False => Doc::Number(Number::Bool(json.known_bool(peek)?)),
        _ if peek.is_num() => Doc::Number(number(json, peek)?),
        _ => return Err(Fault { why: "expected a value".into(), index: json.current_index() }),
    };
    Ok(Step::Done(doc))
}

/// Adds a complete value to the container that it is in, and ends the containers that are complete with it.
fn end(json: &mut Jiter<'_>, mut doc: Doc, open: &mut Vec<Frame>) -> Result<Step, Fault> {
    while let Some(frame) = open.last_mut() {
        frame.push(doc);
        let next = match frame {
            Frame::List(_) => json.array_step()?,
            Frame::Map { key, .. } => {
                *key = json.next_key()?.map(Arc::from);
                if key.is_some() { Some(json.peek()?) } else { None }
            }
        };
        if let Some(next) = next {
            return Ok(Step::Value(next));
        }
        doc = frame.finish();
        open.pop();
    }
    Ok(Step::Done(doc))
}

fn check_depth(json: &Jiter<'_>, open: &[Frame], depth_max: usize) -> Result<(), Fault> {
    if open.len() < depth_max {
        return Ok(());
    }
    Err(Fault { why: format!("it nests deeper than {depth_max} levels"), index: json.current_index() })
}

fn number(json: &mut Jiter<'_>, peek: Peek) -> Result<Number, Fault> {
    let index = json.current_index();
    let text = json.known_number_bytes(peek)?;
    parse_number(text).ok_or_else(|| {
        let why = format!("the number {} is out of range", excerpt(text));
        Fault { why, index }
    })
}

/// The number that a text stands for, which is known to be well-formed, unless it is out of range.
fn parse_number(text: &[u8]) -> Option<Number> {
    match text {
        b"NaN" => return Some(Number::F64(f64::NAN)),
        b"Infinity" => return Some(Number::F64(f64::INFINITY)),
        b"-Infinity" => return Some(Number::F64(f64::NEG_INFINITY)),
        _ => {}
    }
    let is_float = text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
    let text = std::str::from_utf8(text).ok()?;
    if is_float {
        return text.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::F64);
    }
    let signed = text.parse().ok().map(Number::I64);
    signed.or_else(|| text.parse().ok().map(Number::U64))
}

/// The beginning of a number, for messages.
fn excerpt(text: &[u8]) -> String {
    const BYTES_MAX: usize = 40;
    let ellipsis = if text.len() > BYTES_MAX { "…" } else { "" };
    format!("{}{ellipsis}", String::from_utf8_lossy(&text[..text.len().min(BYTES_MAX)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(text: &str) -> Number {
        match decode(text.as_bytes(), 8) {
            Ok(Doc::Number(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        decode(text.as_bytes(), 8).unwrap_err().message().to_string()
    }

    #[test]
    fn integers_are_exact_or_refused() {
        assert_eq!(number_of("0"), Number::I64(0));
        assert_eq!(number_of("-9223372036854775808"), Number::I64(i64::MIN));
        assert_eq!(number_of("9223372036854775807"), Number::I64(i64::MAX));
        assert_eq!(number_of("9223372036854775808"), Number::U64(1 << 63));
        assert_eq!(number_of("18446744073709551615"), Number::U64(u64::MAX));
        for text in ["18446744073709551616", "-9223372036854775809", &"9".repeat(5000)] {
            assert!(refused(text).contains("out of range"), "{text}");
        }
    }

    #[test]
    fn floats_have_points_or_exponents() {
        assert_eq!(number_of("1.0"), Number::F64(1.0));
        assert_eq!(number_of("1e+16"), Number::F64(1e16));
        assert_eq!(number_of("1E16"), Number::F64(1e16));
        assert_eq!(number_of("-0.0"), Number::F64(-0.0));
        assert_eq!(number_of("1e-999"), Number::F64(0.0));
        assert_eq!(number_of("Infinity"), Number::F64(f64::INFINITY));
        assert_eq!(number_of("-Infinity"), Number::F64(f64::NEG_INFINITY));
        assert!(matches!(number_of("NaN"), Number::F64(n) if n.is_nan()));
        assert!(refused("1e999").contains("out of range"));
        assert!(refused("[-1e999]").contains("out of range"));
    }

    #[test]
    fn malformed_texts_are_refused() {
        let texts = [
            "",
            " ",
            "foo",
            "01",
            "+1",
            ".5",
            "1.",
            "[1,]",
            "[1 2]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\"}",
            "\"a",
            "'a'",
            "null x",
            "[] []",
            "nul",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "[",
            "{",
            "]",
            "}",
            "-",
            "--1",
            "-NaN",
            "1e",
            "tru",
            "/*c*/1",
            "[NaN",
            "Inf",
        ];
        for text in texts {
            assert!(decode(text.as_bytes(), 8).is_err(), "{text}");
        }
        assert!(decode(b"\"\xff\"", 8).is_err());
        assert!(decode(b"\xff", 8).is_err());
    }

    #[test]
    fn escapes_and_surrogate_pairs_are_read() {
        let text = r#""\u00e9\n\t\"\\\/\ud83d\ude00é""#;
        assert_eq!(decode(text.as_bytes(), 8), Ok(Doc::String("é\n\t\"\\/😀é".into())));
    }

    #[test]
    fn containers_keep_their_order_and_the_last_of_repeated_names_wins() {
        let one = || Doc::Number(Number::I64(1));
        let doc = decode(br#" {"b": [1, {}, []], "a": null, "b": {"c": 1}} "#, 8).unwrap();
        let inner = Doc::Map(vec![("c".into(), one())]);
        assert_eq!(doc, Doc::Map(vec![("b".into(), inner), ("a".into(), Doc::Null)]));
        let doc = decode(b"[[1,[]],{},1]", 8).unwrap();
        let first = Doc::List(vec![one(), Doc::List(vec![])]);
        assert_eq!(doc, Doc::List(vec![first, Doc::Map(vec![]), one()]));
    }

    #[test]
    fn nesting_is_refused_one_level_past_the_limit_and_not_before() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(decode(nested(8).as_bytes(), 8).is_ok());
        assert!(refused(&nested(9)).contains("(byte 8): it nests deeper than 8 levels"));
        let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert!(decode(objects(8).as_bytes(), 8).is_ok());
        assert!(refused(&objects(9)).contains("deeper"));
        assert!(decode(nested(1_000_000).as_bytes(), 512).is_err());
    }

    #[test]
    fn messages_name_the_place() {
        assert!(refused("[1,\n 2 3]").starts_with("invalid JSON at line 2 column 4"));
    }
}
