//! The text of values, as in a cast to a string and in a template.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{State, Value};

/// The text of a value; none for None, and for what is not a value without parts.
///
/// Bytes are written in base64 with padding, numbers without exponent and without a fraction that is zero.
pub fn text(state: &State) -> Option<String> {
    let State::Value(value) = state else { return None };
    Some(match value {
        Value::None => return None,
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.to_string(),
        Value::Id(id) => id.to_string(),
        Value::Link(link) => link.to_string(),
        Value::Bytes(bytes) => BASE64.encode(bytes),
        Value::Email(email) => email.as_str().to_owned(),
        Value::Version(version) => version.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::number::Complex64;
    use crate::value::{Id, Link, Map, Number, Tuple};

    #[track_caller]
    fn check(state: impl Into<State>, expected: &str) {
        assert_eq!(text(&state.into()).as_deref(), Some(expected));
    }

    #[test]
    fn every_value_without_parts_has_a_text() {
        check(true, "true");
        check(5i64, "5");
        check(5.0, "5");
        check(1e20, "100000000000000000000");
        check(Number::C64(Complex64::new(1.0, 2.0)), "1+2i");
        check("a b", "a b");
        check(Id::from("foo"), "foo");
        check("/a/b".parse::<Link>().unwrap(), "/a/b");
        check("http://127.0.0.1:8702/a".parse::<Link>().unwrap(), "http://127.0.0.1:8702/a");
        check(Value::Bytes([1u8, 2, 255].as_slice().into()), "AQL/");
        check(Value::Bytes([1u8].as_slice().into()), "AQ==");
        check(Value::Email("a@b.co".parse().unwrap()), "a@b.co");
        check(Value::Version("1.2.3".parse().unwrap()), "1.2.3");
    }

    #[test]
    fn nothing_and_containers_have_none() {
        assert_eq!(text(&State::NONE), None);
        assert_eq!(text(&Tuple::try_new([State::from("a")]).unwrap().into()), None);
        assert_eq!(text(&Map::try_new([(Id::from("a"), State::from("b"))]).unwrap().into()), None);
    }
}
