//! What a state is made of: looks for parts of a kind, such as streams, and puts others in their place.

use super::{Map, State, Tuple};
use crate::error::{Error, Result};

impl State {
    /// Whether this is such a state, or is made of one.
    pub fn contains(&self, is: fn(&State) -> bool) -> bool {
        is(self)
            || match self {
                State::Tuple(tuple) => tuple.items().iter().any(|item| item.contains(is)),
                State::Map(map) => map.values().iter().any(|value| value.contains(is)),
                State::Object(object) => object.parts().into_iter().any(|part| part.contains(is)),
                _ => false,
            }
    }

    /// All such states that this is, or is made of, in order; not those within others of them.
    pub fn find(&self, is: fn(&State) -> bool) -> Vec<&State> {
        let mut found = Vec::new();
        self.collect_into(&mut found, is);
        found
    }

    fn collect_into<'a>(&'a self, found: &mut Vec<&'a State>, is: fn(&State) -> bool) {
        match self {
            state if is(state) => found.push(state),
            State::Tuple(tuple) => tuple.items().iter().for_each(|item| item.collect_into(found, is)),
            State::Map(map) => map.values().iter().for_each(|value| value.collect_into(found, is)),
            State::Object(object) => object.parts().into_iter().for_each(|part| part.collect_into(found, is)),
            _ => {}
        }
    }

    /// This state with others in the place of those that [`State::find`] finds, in the same order.
    ///
    /// # Errors
    /// `BadRequest` if the state becomes too large; `Internal` if there are too few others.
    pub fn replace(&self, is: fn(&State) -> bool, others: &mut dyn Iterator<Item = State>) -> Result<State> {
        if !self.contains(is) {
            return Ok(self.clone());
        }
        let next = |part: &State| part.replace(is, &mut *others);
        Ok(match self {
            State::Tuple(tuple) if !is(self) => {
                Tuple::try_new(tuple.items().iter().map(next).collect::<Result<Vec<_>>>()?)?.into()
            }
            State::Map(map) if !is(self) => {
                let values = map.values().iter().map(next).collect::<Result<Vec<_>>>()?;
                Map::from_sorted(map.shared_keys(), values.into())?.into()
            }
            State::Object(object) if !is(self) => {
                object.with_parts(object.parts().into_iter().map(next).collect::<Result<Vec<_>>>()?)?.into()
            }
            _ => others.next().ok_or_else(|| Error::internal("a part of a state has nothing in its place"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Object, Value};

    fn tuple(items: impl Into<Box<[State]>>) -> State {
        Tuple::try_new(items).unwrap().into()
    }

    fn is_text(state: &State) -> bool {
        matches!(state, State::Value(Value::String(_)))
    }

    /// Texts in a tuple, a map and an object, and numbers between them.
    fn nested(texts: [&str; 3]) -> State {
        let [first, second, third] = texts.map(State::from);
        let map = Map::try_new([("a".into(), second), ("b".into(), 2_i64.into())]).unwrap();
        let object = Object::Typed("/state/chain/sync".parse().unwrap(), third);
        tuple([State::from(1_i64), tuple([first]), map.into(), object.into()])
    }

    #[test]
    fn parts_are_found_and_replaced_in_order() {
        let state = nested(["x", "y", "z"]);
        assert!(state.contains(is_text));
        assert_eq!(state.find(is_text), [&State::from("x"), &State::from("y"), &State::from("z")]);
        let mut others = ["u", "v", "w"].map(State::from).into_iter();
        assert_eq!(state.replace(is_text, &mut others).unwrap(), nested(["u", "v", "w"]));
        assert_eq!(State::from("x").replace(is_text, &mut [State::NONE].into_iter()).unwrap(), State::NONE);
    }

    #[test]
    fn what_has_no_such_part_stays() {
        let state = tuple([State::from(1_i64), tuple([State::from(2_i64)])]);
        assert!(!state.contains(is_text) && state.find(is_text).is_empty());
        assert_eq!(state.replace(is_text, &mut std::iter::empty()).unwrap(), state);
    }

    #[test]
    fn too_few_others_are_an_error() {
        let kind = nested(["x", "y", "z"]).replace(is_text, &mut std::iter::empty()).unwrap_err().kind();
        assert_eq!(kind, crate::error::Kind::Internal);
    }
}
