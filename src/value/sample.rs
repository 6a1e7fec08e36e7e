//! Short ways to write states, for tests.

use super::{Id, Link, Map, State, Tuple, Value};

pub(crate) fn tuple(items: impl IntoIterator<Item = State>) -> State {
    Tuple::try_new(items.into_iter().collect::<Vec<State>>()).unwrap().into()
}

pub(crate) fn map(entries: impl IntoIterator<Item = (&'static str, State)>) -> State {
    Map::try_new(entries.into_iter().map(|(name, value)| (Id::from(name), value))).unwrap().into()
}

pub(crate) fn int(n: i64) -> State {
    n.into()
}

pub(crate) fn float(n: f64) -> State {
    n.into()
}

pub(crate) fn string(text: &str) -> State {
    text.into()
}

pub(crate) fn id(text: &'static str) -> State {
    Id::from(text).into()
}

pub(crate) fn link(text: &str) -> State {
    text.parse::<Link>().unwrap().into()
}

pub(crate) fn bytes(bytes: &[u8]) -> State {
    Value::Bytes(bytes.into()).into()
}

pub(crate) fn version(text: &str) -> State {
    Value::Version(text.parse().unwrap()).into()
}

pub(crate) fn email(text: &str) -> State {
    Value::Email(text.parse().unwrap()).into()
}
