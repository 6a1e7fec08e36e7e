//! States: everything a program can compute.

use std::sync::Arc;

use super::{Class, Closure, Collection, Id, Link, Number, Object, OpDef, Stream, Table, Tensor, Value};
use crate::error::{Error, Result};

/// How deep tuples and maps may nest. Walks over states recurse, so this bounds the stack.
pub const DEPTH_MAX: u16 = 1024;

/// How many bytes a state may stand for, counted as if nothing in it were shared. Bounds every walk over a state: a
/// program can build `[x, x]` from `x` sixty times, which is small in memory but astronomically large when written.
pub const WEIGHT_MAX: u64 = 256 << 20;

/// A value, states together, something that can be called, or a reference to stored rows.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum State {
    Value(Value),
    Tuple(Tuple),
    Map(Map),
    Op(Arc<OpDef>),
    Closure(Arc<Closure>),
    Collection(Arc<Collection>),
    Tensor(Arc<Tensor>),
    Stream(Arc<Stream>),
    Object(Arc<Object>),
}

impl State {
    /// The state that stands for nothing.
    pub const NONE: State = State::Value(Value::None);

    /// The most specific class of this state.
    pub fn class(&self) -> Class {
        match self {
            State::Value(value) => value.class(),
            State::Tuple(_) => Class::Tuple,
            State::Map(_) => Class::Map,
            State::Op(op) => Class::Op(op.kind.verb()),
            State::Closure(_) => Class::Closure,
            State::Collection(collection) => collection.class(),
            State::Tensor(tensor) => tensor.class(),
            State::Stream(_) => Class::Stream,
            State::Object(object) => object.class(),
        }
    }

    /// The collection that `table` stores: a tensor, a table or a B-tree.
    pub fn stored(table: &Arc<Table>) -> Self {
        match Tensor::stored(table) {
            Some(tensor) => tensor.into(),
            None => Collection::new(Arc::clone(table)).into(),
        }
    }

    /// Whether this counts as nothing: None, an empty tuple or map, or the link `/`.
    pub fn is_none(&self) -> bool {
        match self {
            State::Value(Value::None) => true,
            State::Value(Value::Link(link)) => link.is_root(),
            State::Tuple(tuple) => tuple.items().is_empty(),
            State::Map(map) => map.keys().is_empty(),
            _ => false,
        }
    }

    /// Whether this can be a key: a value, or a tuple of values.
    pub fn is_value(&self) -> bool {
        match self {
            State::Value(_) => true,
            State::Tuple(tuple) => tuple.items().iter().all(State::is_value),
            _ => false,
        }
    }

    /// See [`OpDef::set_home`]; for all ops in this state.
    pub fn set_home(&self, home: &Link) {
        match self {
            State::Op(op) => op.set_home(home),
            State::Closure(closure) => closure.op.set_home(home),
            State::Tuple(tuple) => tuple.items().iter().for_each(|item| item.set_home(home)),
            State::Map(map) => map.values().iter().for_each(|value| value.set_home(home)),
            State::Value(_) | State::Collection(_) | State::Tensor(_) | State::Stream(_) | State::Object(_) => {}
        }
    }

    /// How many bytes this state stands for, roughly.
    pub fn weight(&self) -> u64 {
        const SELF: u64 = size_of::<State>() as u64;
        match self {
            State::Value(Value::String(text)) => SELF + text.len() as u64,
            State::Value(Value::Bytes(bytes)) => SELF + bytes.len() as u64,
            State::Value(_) => SELF,
            State::Tuple(tuple) => tuple.0.weight,
            State::Map(map) => map.0.weight,
            State::Op(op) => op.weight,
            State::Closure(closure) => SELF + closure.context.0.weight + closure.op.weight,
            State::Collection(collection) => SELF + collection.weight(),
            State::Tensor(tensor) => SELF + tensor.weight(),
            State::Stream(stream) => SELF + stream.weight(),
            State::Object(object) => SELF + object.weight(),
        }
    }

    fn depth(&self) -> u16 {
        match self {
            State::Value(_) | State::Op(_) => 0,
            State::Tuple(tuple) => tuple.0.depth,
            State::Map(map) => map.0.depth,
            State::Closure(closure) => closure.context.0.depth + 1,
            // Its rows, and the schema around them.
            State::Collection(_) | State::Tensor(_) => 4,
            // The collection, and what is around it.
            State::Stream(_) => 6,
            State::Object(object) => match object.as_ref() {
                Object::Instance(instance) => instance.members.0.depth.max(instance.value.depth()) + 1,
                // Documents are as deep as requests may be, which is less.
                Object::Definition(_) | Object::Class(_) => DEPTH_MAX / 2,
                Object::Typed(_, state) => state.depth() + 1,
                Object::Cluster(_) => 0,
            },
        }
    }
}

/// Weight and depth of a container of `items`, or an error if it is too large.
fn measure<'a>(items: impl Iterator<Item = &'a State>) -> Result<(u64, u16)> {
    let (mut weight, mut depth) = (size_of::<State>() as u64, 0);
    for item in items {
        weight = weight.saturating_add(item.weight());
        depth = depth.max(item.depth());
    }
    if weight > WEIGHT_MAX {
        return Err(Error::bad_request(format!("the state is larger than {} MiB", WEIGHT_MAX >> 20)));
    }
    if depth >= DEPTH_MAX {
        return Err(Error::bad_request(format!("the state nests deeper than {DEPTH_MAX} levels")));
    }
    Ok((weight, depth + 1))
}

/// An immutable sequence of states. Cloning is cheap.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Tuple(Arc<TupleInner>);

#[derive(Debug, Eq, PartialEq, Hash)]
struct TupleInner {
    weight: u64,
    depth: u16,
    items: Box<[State]>,
}

impl Tuple {
    /// A tuple of `items`.
    ///
    /// # Errors
    /// `BadRequest` past [`WEIGHT_MAX`] or [`DEPTH_MAX`].
    pub fn try_new(items: impl Into<Box<[State]>>) -> Result<Self> {
        let items = items.into();
        let (weight, depth) = measure(items.iter())?;
        Ok(Self(Arc::new(TupleInner { weight, depth, items })))
    }

    /// The items in order.
    pub fn items(&self) -> &[State] {
        &self.0.items
    }
}

/// A set of named states, sorted by name. Cloning is cheap.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Map(Arc<MapInner>);

#[derive(Debug, Eq, PartialEq, Hash)]
struct MapInner {
    weight: u64,
    depth: u16,
    /// Sorted, without duplicates; shared between maps that are built in one place.
    keys: Arc<[Id]>,
    /// In the order of `keys`.
    values: Box<[State]>,
}

impl Map {
    /// A map of `entries`; of entries with one name the last wins.
    ///
    /// # Errors
    /// `BadRequest` past [`WEIGHT_MAX`] or [`DEPTH_MAX`].
    pub fn try_new(entries: impl IntoIterator<Item = (Id, State)>) -> Result<Self> {
        let sorted: std::collections::BTreeMap<Id, State> = entries.into_iter().collect();
        let (keys, values): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        Self::from_sorted(keys.into(), values.into())
    }

    /// A map of `keys`, which must be sorted and without duplicates, to `values` in the same order.
    ///
    /// # Errors
    /// As [`Map::try_new`].
    pub fn from_sorted(keys: Arc<[Id]>, values: Box<[State]>) -> Result<Self> {
        debug_assert_eq!(keys.len(), values.len());
        debug_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        let (mut weight, depth) = measure(values.iter())?;
        weight += keys.iter().map(|key| key.as_str().len() as u64 + 16).sum::<u64>();
        Ok(Self(Arc::new(MapInner { weight, depth, keys, values })))
    }

    /// The names, sorted.
    pub fn keys(&self) -> &[Id] {
        &self.0.keys
    }

    /// The names, sorted and shared.
    pub fn shared_keys(&self) -> Arc<[Id]> {
        Arc::clone(&self.0.keys)
    }

    /// The states, in the order of their names.
    pub fn values(&self) -> &[State] {
        &self.0.values
    }

    /// The state named `key`.
    pub fn get(&self, key: &str) -> Option<&State> {
        let index = self.0.keys.binary_search_by(|name| name.as_str().cmp(key)).ok()?;
        Some(&self.0.values[index])
    }

    /// The entries, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Id, &State)> {
        self.0.keys.iter().zip(self.0.values.iter())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.keys.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.keys.is_empty()
    }
}

impl From<Value> for State {
    fn from(value: Value) -> Self {
        State::Value(value)
    }
}

impl From<Number> for State {
    fn from(number: Number) -> Self {
        State::Value(Value::Number(number))
    }
}

impl From<bool> for State {
    fn from(value: bool) -> Self {
        Number::Bool(value).into()
    }
}

impl From<i64> for State {
    fn from(value: i64) -> Self {
        Number::I64(value).into()
    }
}

impl From<u64> for State {
    fn from(value: u64) -> Self {
        Number::U64(value).into()
    }
}

impl From<f64> for State {
    fn from(value: f64) -> Self {
        Number::F64(value).into()
    }
}

impl From<&str> for State {
    fn from(text: &str) -> Self {
        State::Value(Value::String(text.into()))
    }
}

impl From<String> for State {
    fn from(text: String) -> Self {
        State::Value(Value::String(text.into()))
    }
}

impl From<Id> for State {
    fn from(id: Id) -> Self {
        State::Value(Value::Id(id))
    }
}

impl From<Link> for State {
    fn from(link: Link) -> Self {
        State::Value(Value::Link(link))
    }
}

impl From<Tuple> for State {
    fn from(tuple: Tuple) -> Self {
        State::Tuple(tuple)
    }
}

impl From<Collection> for State {
    fn from(collection: Collection) -> Self {
        State::Collection(Arc::new(collection))
    }
}

impl From<Tensor> for State {
    fn from(tensor: Tensor) -> Self {
        State::Tensor(Arc::new(tensor))
    }
}

impl From<Arc<Tensor>> for State {
    fn from(tensor: Arc<Tensor>) -> Self {
        State::Tensor(tensor)
    }
}

impl From<Map> for State {
    fn from(map: Map) -> Self {
        State::Map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_a_tuple_ends_in_an_error_not_in_an_endless_walk() {
        let mut state = State::from(1i64);
        let mut error = None;
        for _ in 0..64 {
            match Tuple::try_new([state.clone(), state.clone()]) {
                Ok(tuple) => state = tuple.into(),
                Err(cause) => {
                    error = Some(cause);
                    break;
                }
            }
        }
        assert_eq!(error.unwrap().kind(), crate::error::Kind::BadRequest);
    }

    #[test]
    fn nesting_is_bounded() {
        let mut state = State::from(1i64);
        for _ in 0..DEPTH_MAX {
            state = Tuple::try_new([state]).unwrap().into();
        }
        assert!(Tuple::try_new([state]).is_err());
    }

    #[test]
    fn a_map_is_sorted_and_the_last_of_equal_names_wins() {
        let map =
            Map::try_new([("b".into(), 1i64.into()), ("a".into(), 2i64.into()), ("b".into(), 3i64.into())]).unwrap();
        assert_eq!(map.keys(), ["a".into(), "b".into()]);
        assert_eq!(map.get("b"), Some(&3i64.into()));
        assert_eq!(map.get("c"), None);
    }
}
