//! Named arguments: the parameters of a call, and what objects within them say.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::compiler::collection::schema::{items, show, whole_number};
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::number::cast::to_f64;
use crate::value::{Id, Map, Number, State, Tensor, Value};

/// Named arguments. One that is null counts as missing.
pub(super) struct Fields<'a> {
    /// Whose arguments these are, for messages.
    what: String,
    names: &'a [Id],
    values: &'a [State],
}

impl<'a> Fields<'a> {
    /// The arguments `values` by their `names`, all of which must be `known`.
    ///
    /// # Errors
    /// `BadRequest` if there is another one.
    pub fn new(what: &str, names: &'a [Id], values: &'a [State], known: &[&str]) -> Result<Self> {
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Self { what: what.to_string(), names, values }),
            Some(name) if known.is_empty() => Err(Error::bad_request(format!("{what} has no options, found {name}"))),
            Some(name) => Err(Error::bad_request(format!("{what} has no {name}, only {}", known.join(", ")))),
        }
    }

    /// What an object says, or nothing, if there is none.
    ///
    /// # Errors
    /// As [`Fields::new`]; `BadRequest` if it is something else.
    pub fn of(what: &str, options: Option<&'a State>, known: &[&str]) -> Result<Self> {
        match options {
            Some(State::Map(map)) => Self::new(what, map.keys(), map.values(), known),
            Some(other) if !other.is_none() => {
                Err(Error::bad_request(format!("the options of {what} are an object, not {}", show(other))))
            }
            _ => Self::new(what, &[], &[], known),
        }
    }

    /// An argument.
    pub fn get(&self, name: &str) -> Option<&'a State> {
        let index = self.names.iter().position(|known| known.as_str() == name)?;
        self.values.get(index).filter(|value| **value != State::NONE)
    }

    /// An argument that has to be there.
    ///
    /// # Errors
    /// `BadRequest` if it is not.
    pub fn required(&self, name: &str) -> Result<&'a State> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    /// The error that an argument is missing.
    pub fn missing(&self, name: &str) -> Error {
        Error::bad_request(format!("{} needs {name}", self.what))
    }

    /// The error that an argument is not what was expected.
    pub fn unexpected(&self, name: &str, expected: &str, found: &State) -> Error {
        Error::bad_request(format!("{name} of {} must be {expected}, not {}", self.what, show(found)))
    }

    /// A real number that `is_valid`, which `expected` says in words.
    ///
    /// # Errors
    /// `BadRequest` if it is something else.
    pub fn number(&self, name: &str, expected: &str, is_valid: fn(f64) -> bool) -> Result<Option<f64>> {
        let Some(state) = self.get(name) else { return Ok(None) };
        match real(state) {
            Some(number) if is_valid(number) => Ok(Some(number)),
            _ => Err(self.unexpected(name, expected, state)),
        }
    }

    /// A whole number in a range.
    ///
    /// # Errors
    /// `BadRequest` if it is something else.
    pub fn whole(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(state) = self.get(name) else { return Ok(None) };
        match whole_in(state, &range) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unexpected(name, &format!("a whole number {}", in_words(&range)), state)),
        }
    }

    /// Two whole numbers in a range, or one for both.
    ///
    /// # Errors
    /// `BadRequest` if it is something else.
    pub fn pair(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<[u64; 2]>> {
        let Some(state) = self.get(name) else { return Ok(None) };
        let found = match items(state) {
            Some([first, second]) => whole_in(first, &range).zip(whole_in(second, &range)).map(<[u64; 2]>::from),
            _ => whole_in(state, &range).map(|both| [both; 2]),
        };
        found
            .map(Some)
            .ok_or_else(|| self.unexpected(name, &format!("one or two whole numbers {}", in_words(&range)), state))
    }

    /// True or false.
    ///
    /// # Errors
    /// `BadRequest` if it is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(State::Value(Value::Number(Number::Bool(flag)))) => Ok(Some(*flag)),
            Some(other) => Err(self.unexpected(name, "true or false", other)),
        }
    }

    /// A tensor, which has to be there.
    ///
    /// # Errors
    /// `BadRequest` if it is missing or something else.
    pub fn tensor(&self, name: &str) -> Result<&'a Arc<Tensor>> {
        match self.required(name)? {
            State::Tensor(tensor) => Ok(tensor),
            other => Err(self.unexpected(name, "a tensor", other)),
        }
    }

    /// A map, which has to be there.
    ///
    /// # Errors
    /// `BadRequest` if it is missing or something else.
    pub fn map(&self, name: &str, expected: &str) -> Result<&'a Map> {
        match self.required(name)? {
            State::Map(map) => Ok(map),
            other => Err(self.unexpected(name, expected, other)),
        }
    }
}

/// The name and the options of what is written as `"name"` or as `{"name": options}`.
pub(super) fn choice(state: &State) -> Option<(&str, Option<&State>)> {
    match state {
        State::Value(Value::String(name)) => Some((&**name, None)),
        // `{"name": []}`
        State::Value(Value::Id(name)) => Some((name.as_str(), None)),
        State::Map(map) => match (map.keys(), map.values()) {
            ([name], [options]) => Some((name.as_str(), Some(options))),
            _ => None,
        },
        _ => None,
    }
}

/// A real number, as a float.
pub(super) fn real(state: &State) -> Option<f64> {
    match state {
        State::Value(Value::Number(number)) => match number.class().kind() {
            NumberKind::Bool | NumberKind::Complex => None,
            _ => Some(to_f64(*number)),
        },
        _ => None,
    }
}

fn whole_in(state: &State, range: &RangeInclusive<u64>) -> Option<u64> {
    let number = u64::try_from(whole_number(state)?).ok()?;
    range.contains(&number).then_some(number)
}

fn in_words(range: &RangeInclusive<u64>) -> String {
    match *range.end() {
        u64::MAX => format!("from {} on", range.start()),
        end => format!("from {} to {end}", range.start()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::state;

    const KNOWN: &[&str] = &["n", "p", "b"];

    fn of(text: &str, read: impl Fn(&Fields<'_>) -> Result<String>) -> String {
        let options = state(text);
        let read = Fields::of("it", Some(&options), KNOWN).and_then(|fields| read(&fields));
        read.unwrap_or_else(|error| error.message().to_string())
    }

    #[test]
    fn what_is_read_is_checked() {
        let whole = |fields: &Fields<'_>| fields.whole("n", 1..=9).map(|n| format!("{n:?}"));
        assert_eq!(of(r#"{"n":3}"#, whole), "Some(3)");
        assert_eq!(of(r#"{"n":null}"#, whole), "None");
        assert_eq!(of("[]", whole), "None");
        assert_eq!(of(r#"{"n":1.5}"#, whole), "n of it must be a whole number from 1 to 9, not 1.5");
        assert_eq!(of(r#"{"n":10}"#, whole), "n of it must be a whole number from 1 to 9, not 10");
        assert_eq!(of(r#"{"x":1}"#, whole), "it has no x, only n, p, b");
        assert_eq!(of("5", whole), "the options of it are an object, not 5");
        let pair = |fields: &Fields<'_>| fields.pair("p", 0..=u64::MAX).map(|n| format!("{n:?}"));
        assert_eq!(of(r#"{"p":3}"#, pair), "Some([3, 3])");
        assert_eq!(of(r#"{"p":[3,4]}"#, pair), "Some([3, 4])");
        assert_eq!(of(r#"{"p":[3]}"#, pair), "p of it must be one or two whole numbers from 0 on, not [3]");
        let flag = |fields: &Fields<'_>| fields.flag("b").map(|b| format!("{b:?}"));
        assert_eq!(of(r#"{"b":false}"#, flag), "Some(false)");
        assert_eq!(of(r#"{"b":1}"#, flag), "b of it must be true or false, not 1");
    }

    #[test]
    fn choices_have_several_forms() {
        let read = |text: &str| {
            let state = state(text);
            choice(&state).map(|(name, options)| (name.to_string(), options.is_some()))
        };
        for text in [r#""relu""#, r#"{"relu":[]}"#] {
            assert_eq!(read(text), Some(("relu".into(), false)));
        }
        assert_eq!(read(r#"{"relu":{}}"#), Some(("relu".into(), true)));
        assert_eq!(read(r#"{"dropout":0.5}"#), Some(("dropout".into(), true)));
        assert_eq!(read(r#"{"a":1,"b":2}"#), None);
        assert_eq!(read("5"), None);
    }
}
