//! Schemas of tensors as they are written, and as they are replied.

use crate::compiler::collection::schema::{class_of, items, list, show, whole_number};
use crate::error::{Error, Result};
use crate::value::tensor::{Layout, Shape, TensorSchema};
use crate::value::{Class, Map, NumberClass, Object, State, Value};

/// The class of classes.
const CLASS: &str = "/state/object/class";

/// The schema that `state` declares: `[dtype, shape]` in either order, a list of one such, or that of a tensor of this
/// layout, since clients name the class twice.
///
/// # Errors
/// `BadRequest` if it is malformed, if the dtype is no class of numbers, or if there is no such shape.
pub fn schema(layout: Layout, state: &State) -> Result<TensorSchema> {
    if let State::Tensor(tensor) = state
        && tensor.schema.layout == layout
    {
        return Ok(tensor.schema.clone());
    }
    let pair = match items(state) {
        Some([only]) => items(only),
        pair => pair,
    };
    let Some([l, r]) = pair else { return Err(malformed(state)) };
    let (dtype, shape) = match (class(l), class(r)) {
        (Some(_), _) => (l, r),
        (None, Some(_)) => (r, l),
        (None, None) => return Err(malformed(state)),
    };
    Ok(TensorSchema { layout, dtype: self::dtype(dtype)?, shape: self::shape(shape)? })
}

/// A schema, or only a shape.
///
/// # Errors
/// As [`schema`].
pub(super) fn schema_or_shape(state: &State) -> Result<(Option<NumberClass>, Shape)> {
    let is_number = |state: &State| matches!(state, State::Value(Value::Number(_)));
    if items(state).is_some_and(|dims| dims.iter().all(is_number)) {
        return Ok((None, shape(state)?));
    }
    let TensorSchema { dtype, shape, .. } = schema(Layout::Dense, state)?;
    Ok((Some(dtype), shape))
}

/// The class of the elements of a tensor that is declared with a class of numbers. One that is not exact stands for the
/// narrower of those that most machines compute with.
///
/// # Errors
/// `BadRequest` if it is no class of numbers.
pub(super) fn dtype(state: &State) -> Result<NumberClass> {
    let exact = class(state).and_then(|class| match class {
        Class::Exactly(class) => Some(class),
        Class::Number | Class::Float => Some(NumberClass::F32),
        Class::Int => Some(NumberClass::I32),
        Class::UInt => Some(NumberClass::U32),
        Class::Complex => Some(NumberClass::C32),
        _ => None,
    });
    exact.ok_or_else(|| Error::bad_request(format!("a dtype is a class of numbers, not {}", show(state))))
}

/// The shape that a list of dimensions is.
///
/// # Errors
/// `BadRequest` if it is none.
pub(super) fn shape(state: &State) -> Result<Shape> {
    let dims = items(state)
        .ok_or_else(|| Error::bad_request(format!("a shape is a list of dimensions, not {}", show(state))))?;
    Shape::try_new(dims.iter().map(dimension).collect::<Result<Vec<u64>>>()?)
}

/// A dimension; whether it is in range is known to [`Shape`].
///
/// # Errors
/// `BadRequest` if it is no whole number that is not negative.
pub(super) fn dimension(state: &State) -> Result<u64> {
    whole_number(state).and_then(|dim| u64::try_from(dim).ok()).ok_or_else(|| {
        let max = Shape::DIMENSION_MAX;
        Error::bad_request(format!("{} is no dimension of a tensor: expected 1 to {max}", show(state)))
    })
}

/// A schema as the method `schema` replies it: `[{class: []}, shape]`.
///
/// # Errors
/// As [`crate::value::Tuple::try_new`].
pub fn schema_state(schema: &TensorSchema) -> Result<State> {
    list([State::from(Class::from(schema.dtype).link()), shape_state(&schema.shape)?])
}

/// A shape as it is replied: a list of its dimensions.
pub(super) fn shape_state(shape: &Shape) -> Result<State> {
    list(shape.dims().iter().map(|dim| State::from(*dim)).collect::<Vec<_>>())
}

/// A dtype as the method `dtype` replies it: `{"/state/object/class": {class: {}}}`.
pub(super) fn dtype_state(dtype: NumberClass) -> Result<State> {
    let dtype = Object::Typed(Class::from(dtype).link(), Map::try_new([])?.into());
    Ok(Object::Typed(CLASS.parse()?, dtype.into()).into())
}

/// The class that a state names.
fn class(state: &State) -> Option<Class> {
    let State::Object(object) = state else { return class_of(state) };
    match object.as_ref() {
        // What `dtype` replies.
        Object::Typed(link, inner) if link.path_text() == CLASS => class(inner),
        Object::Typed(link, _) => Class::of_link(link),
        _ => None,
    }
}

fn malformed(state: &State) -> Error {
    Error::bad_request(format!("the schema of a tensor is [dtype, shape], not {}", show(state)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::state;
    use crate::value::encode::to_json;

    const I16: &str = r#"{"/state/scalar/value/number/int/16":{}}"#;

    fn read(text: &str) -> Result<TensorSchema, String> {
        schema(Layout::Sparse, &state(text)).map_err(|error| error.message().to_string())
    }

    fn expected(dtype: NumberClass, dims: &[u64]) -> Result<TensorSchema, String> {
        Ok(TensorSchema { layout: Layout::Sparse, dtype, shape: Shape::try_new(dims).unwrap() })
    }

    #[test]
    fn dtype_and_shape_come_in_either_order() {
        let of_i16 = expected(NumberClass::I16, &[2, 3]);
        assert_eq!(read(&format!("[{I16},[2,3]]")), of_i16);
        assert_eq!(read(&format!("[[2,3],{I16}]")), of_i16);
        assert_eq!(read(&format!("[[{I16},[2,3]]]")), of_i16);
        assert_eq!(read(r#"["/state/scalar/value/number/int/16",[2,3.0]]"#), of_i16);
    }

    #[test]
    fn classes_become_exact() {
        for (path, dtype) in [
            ("", NumberClass::F32),
            ("/int", NumberClass::I32),
            ("/uint", NumberClass::U32),
            ("/float", NumberClass::F32),
            ("/complex", NumberClass::C32),
            ("/bool", NumberClass::Bool),
        ] {
            assert_eq!(read(&format!(r#"["/state/scalar/value/number{path}",[1]]"#)), expected(dtype, &[1]));
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let malformed = |text: &str| Err(format!("the schema of a tensor is [dtype, shape], not {text}"));
        assert_eq!(read("[[2],[3]]"), malformed("[[2],[3]]"));
        assert_eq!(read("null"), malformed("null"));
        assert_eq!(read("[2]"), malformed("[2]"));
        assert_eq!(
            read(r#"[{"/state/scalar/value/string":{}},[2]]"#),
            Err(r#"a dtype is a class of numbers, not {"/state/scalar/value/string":[]}"#.into())
        );
        assert_eq!(read(&format!("[{I16},[]]")), Err("a tensor has from 1 to 64 dimensions, not 0".into()));
        assert_eq!(read(&format!("[{I16},6]")), Err("a shape is a list of dimensions, not 6".into()));
        for dim in ["0", "-1", "4294967296", "1.5"] {
            let message = format!("{dim} is no dimension of a tensor: expected 1 to 4294967295");
            assert_eq!(read(&format!("[{I16},[{dim}]]")), Err(message));
        }
    }

    #[test]
    fn replies_read_back() {
        let of_i16 = read(&format!("[{I16},[2,3]]")).unwrap();
        let reply = schema_state(&of_i16).unwrap();
        assert_eq!(to_json(&reply), r#"[{"/state/scalar/value/number/int/16":[]},[2,3]]"#);
        assert_eq!(schema(Layout::Sparse, &reply), Ok(of_i16));
        let reply = dtype_state(NumberClass::I16).unwrap();
        assert_eq!(to_json(&reply), r#"{"/state/object/class":{"/state/scalar/value/number/int/16":{}}}"#);
        assert_eq!(dtype(&reply), Ok(NumberClass::I16));
    }
}
