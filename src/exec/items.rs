//! Items of tuples and entries of maps.

use crate::error::{Error, Result};
use crate::value::{Map, State, Tuple, Value, cast};

/// The item or slice of a tuple that `key` selects; the tuple itself for None.
///
/// # Errors
/// `NotFound` past the end, `BadRequest` if the key selects nothing.
pub(super) fn item(tuple: &Tuple, key: &State) -> Result<State> {
    match key {
        State::Value(Value::None) => Ok(tuple.clone().into()),
        State::Value(Value::Number(_) | Value::String(_)) => {
            let index = cast::to_index(key)?;
            let length = tuple.items().len();
            let position = if index < 0 { index + length as i64 } else { index };
            let found = usize::try_from(position).ok().and_then(|position| tuple.items().get(position));
            found.cloned().ok_or_else(|| Error::not_found(format!("item {index} of a tuple of {length}")))
        }
        State::Tuple(bounds) => match bounds.items() {
            [start, stop] => slice(tuple, start, stop),
            _ => Err(Error::bad_request("a slice is a pair of bounds")),
        },
        other => Err(Error::bad_request(format!("a tuple has no item at a {}", other.class()))),
    }
}

fn slice(tuple: &Tuple, start: &State, stop: &State) -> Result<State> {
    let length = tuple.items().len() as i64;
    let start = bound(start, length, 0, |includes| i64::from(!includes))?;
    let stop = bound(stop, length, length, i64::from)?;
    if start > length || stop > length || start < 0 || stop < 0 || start > stop {
        return Err(Error::bad_request(format!("the slice {start}..{stop} is not within a tuple of {length}")));
    }
    Ok(Tuple::try_new(&tuple.items()[start as usize..stop as usize])?.into())
}

/// A bound `["in", n]`, `["ex", n]` or None as an offset; `shift` says how far its kind moves it.
fn bound(bound: &State, length: i64, default: i64, shift: impl Fn(bool) -> i64) -> Result<i64> {
    let malformed = || Error::bad_request("a bound is [\"in\", n], [\"ex\", n] or null");
    match bound {
        State::Value(Value::None) => Ok(default),
        State::Tuple(pair) => match pair.items() {
            [kind, index] => {
                let includes = match crate::value::text::text(kind).as_deref() {
                    Some("in") => true,
                    Some("ex") => false,
                    _ => return Err(malformed()),
                };
                let index = cast::to_index(index)?;
                let index = if index < 0 { index.saturating_add(length) } else { index };
                Ok(index.saturating_add(shift(includes)))
            }
            _ => Err(malformed()),
        },
        _ => Err(malformed()),
    }
}

/// The entry of a map that `key` names; the map itself for None.
///
/// # Errors
/// `NotFound` if there is none, `BadRequest` if the key is not a name.
pub(super) fn entry(map: &Map, key: &State) -> Result<State> {
    if *key == State::NONE {
        return Ok(map.clone().into());
    }
    let name = cast::to_id(key)?;
    map.get(name.as_str()).cloned().ok_or_else(|| Error::not_found(name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: State, expected: Option<&[i64]>) {
        let tuple = Tuple::try_new([1i64, 2, 3, 4].map(State::from)).unwrap();
        let expected = expected.map(|items| {
            State::from(Tuple::try_new(items.iter().map(|n| State::from(*n)).collect::<Vec<_>>()).unwrap())
        });
        assert_eq!(item(&tuple, &key).ok(), expected);
    }

    fn pair(l: State, r: State) -> State {
        Tuple::try_new([l, r]).unwrap().into()
    }

    #[test]
    fn slices() {
        let (inc, exc) = (|n: i64| pair("in".into(), n.into()), |n: i64| pair("ex".into(), n.into()));
        check(pair(inc(1), exc(3)), Some(&[2, 3]));
        check(pair(inc(1), State::NONE), Some(&[2, 3, 4]));
        check(pair(State::NONE, exc(-1)), Some(&[1, 2, 3]));
        check(pair(exc(0), inc(2)), Some(&[2, 3]));
        check(pair(inc(2), exc(2)), Some(&[]));
        check(pair(inc(1), exc(30)), None);
        check(pair(inc(4), State::NONE), Some(&[]));
        check(pair(inc(i64::MAX), inc(i64::MAX)), None);
    }
}
