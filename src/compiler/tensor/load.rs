//! Elements as they are written: all of them, or some with their coordinates.

use std::sync::Arc;

use super::call::Action;
use super::schema::schema_or_shape;
use super::transform::broadcast_to;
use super::{build, promote};
use crate::compiler::collection::schema::{items, show, whole_number};
use crate::error::{Error, Result};
use crate::value::number::Complex64;
use crate::value::number::cast::{cast, to_f64};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{Elements, Entries, Initial, Layout, Shape, TensorSchema};
use crate::value::{Number, NumberClass, State, Tensor, Value};

/// The tensor that a schema and elements are written as. The schema may be a shape alone: then the dtype is that of the
/// elements. Without a layout, elements with coordinates make a sparse tensor, all others a dense one.
///
/// # Errors
/// `BadRequest` if the schema makes no sense, if the elements are no numbers or do not fit it, or if all elements of a sparse
/// tensor are given.
pub(super) fn load(layout: Option<Layout>, schema: &State, elements: &State) -> Result<Action> {
    let (dtype, shape) = schema_or_shape(schema)?;
    let (numbers, layout, offsets) = match read(dtype, &shape, elements)? {
        Contents::Copy(source) => {
            let layout = layout.unwrap_or(source.schema.layout);
            let schema = TensorSchema { layout, dtype: dtype.unwrap_or_else(|| source.dtype()), shape };
            return copy(schema, source);
        }
        Contents::All(numbers) => (numbers, layout.unwrap_or(Layout::Dense), None),
        Contents::Entries(offsets, numbers) => (numbers, layout.unwrap_or(Layout::Sparse), Some(offsets)),
    };
    let promoted = || numbers.iter().map(Number::class).reduce(promote::tensors);
    let dtype = dtype
        .or_else(promoted)
        .ok_or_else(|| Error::bad_request(format!("a tensor of shape {shape} without elements needs a dtype")))?;
    let schema = TensorSchema { layout, dtype, shape };
    let initial = match offsets {
        Some(offsets) => Initial::Entries(entries(dtype, offsets, numbers)),
        None if numbers.is_empty() => Initial::Fill(schema.zero()),
        None if layout == Layout::Sparse => {
            let expected = "[[coordinate, number], …]";
            return Err(Error::bad_request(format!("a sparse tensor is made of {expected}, not of all its elements")));
        }
        None => Initial::Elements(all(&schema, numbers)?),
    };
    Ok(Action::Make { schema, initial })
}

/// A copy of a tensor that is broadcast and cast to `schema`.
///
/// # Errors
/// `BadRequest` if the shape does not broadcast to that of `schema`.
pub(super) fn copy(schema: TensorSchema, source: &Arc<Tensor>) -> Result<Action> {
    let source = build::cast(&broadcast_to(source, &schema.shape)?, schema.dtype);
    Ok(Action::Make { initial: Initial::Copy(build::relayout(&source, schema.layout)), schema })
}

/// What elements are written as.
enum Contents<'a> {
    All(Vec<Number>),
    /// The numbers of elements, and these elements. Of those with one number, the last counts.
    Entries(Vec<u64>, Vec<Number>),
    Copy(&'a Arc<Tensor>),
}

fn read<'a>(dtype: Option<NumberClass>, shape: &Shape, elements: &'a State) -> Result<Contents<'a>> {
    let listed: &[State] = match elements {
        State::Value(Value::None) => &[],
        State::Tuple(elements) => elements.items(),
        State::Tensor(source) => return Ok(Contents::Copy(source)),
        other => return Err(Error::bad_request(format!("expected a list of elements, found {}", show(other)))),
    };
    let takes_pairs = dtype.is_some_and(promote::is_complex);
    if listed.first().is_some_and(|first| entry(first).is_some()) {
        let read = listed.iter().map(|state| {
            let (coord, element) = entry(state).ok_or_else(|| {
                Error::bad_request(format!("expected a pair [coordinate, number], found {}", show(state)))
            })?;
            Ok((offset(shape, coord)?, number(takes_pairs, element)?))
        });
        let (offsets, numbers) = read.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        return Ok(Contents::Entries(offsets, numbers));
    }
    listed.iter().map(|state| number(takes_pairs, state)).collect::<Result<_>>().map(Contents::All)
}

/// A coordinate and an element, if that is what `state` is.
fn entry(state: &State) -> Option<(&[State], &State)> {
    match items(state) {
        Some([coord, element]) => Some((items(coord)?, element)),
        _ => None,
    }
}

/// The number of the element at a coordinate.
fn offset(shape: &Shape, coord: &[State]) -> Result<u64> {
    let outside = || {
        let coord: Vec<String> = coord.iter().map(show).collect();
        Error::bad_request(format!("a tensor of shape {shape} has no element at [{}]", coord.join(", ")))
    };
    let within = |(state, dim): (&State, &u64)| u64::try_from(whole_number(state)?).ok().filter(|at| at < dim);
    let found: Option<Vec<u64>> = coord.iter().zip(shape.dims()).map(within).collect();
    match found {
        Some(found) if coord.len() == shape.ndim() => Ok(shape.offset(&found)),
        _ => Err(outside()),
    }
}

/// An element: a number, or the two parts of a complex one.
fn number(takes_pairs: bool, state: &State) -> Result<Number> {
    let part = |state: &State| match state {
        State::Value(Value::Number(part)) if !promote::is_complex(part.class()) => Some(to_f64(*part)),
        _ => None,
    };
    let found = match state {
        State::Value(Value::Number(number)) => Some(*number),
        State::Tuple(pair) if takes_pairs => match pair.items() {
            [re, im] => part(re).zip(part(im)).map(|(re, im)| Number::C64(Complex64::new(re, im))),
            _ => None,
        },
        _ => None,
    };
    found.ok_or_else(|| Error::bad_request(format!("the elements of a tensor are numbers, not {}", show(state))))
}

/// All elements in their order. Complex ones may also be written as two real numbers each.
fn all(schema: &TensorSchema, numbers: Vec<Number>) -> Result<Elements> {
    let (dtype, shape) = (schema.dtype, &schema.shape);
    let (size, found) = (shape.size(), numbers.len());
    if found as u64 == size {
        return Ok(Elements::from_numbers(dtype, numbers));
    }
    let are_parts = promote::is_complex(dtype) && numbers.iter().all(|part| !promote::is_complex(part.class()));
    if are_parts && found % 2 == 0 && found as u64 / 2 == size {
        let pairs = numbers.chunks_exact(2).map(|pair| Number::C64(Complex64::new(to_f64(pair[0]), to_f64(pair[1]))));
        return Ok(Elements::from_numbers(dtype, pairs));
    }
    Err(Error::bad_request(format!("a tensor of shape {shape} has {size} elements, not {found}")))
}

/// The elements that are not zero, in the order of their coordinates.
fn entries(dtype: NumberClass, offsets: Vec<u64>, numbers: Vec<Number>) -> Entries {
    let mut entries: Vec<(u64, Number)> = offsets.into_iter().zip(numbers).rev().collect();
    // Equal ones keep their order, in which the last is the first now.
    entries.sort_by_key(|(offset, _)| *offset);
    entries.dedup_by_key(|(offset, _)| *offset);
    entries.retain(|(_, number)| is_truthy(cast(*number, dtype)));
    let (offsets, numbers): (Vec<u64>, Vec<Number>) = entries.into_iter().unzip();
    Entries { offsets: offsets.into(), values: Elements::from_numbers(dtype, numbers) }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, S, check, refuse};

    fn dense(dtype: &str, shape: &str, elements: &str) -> String {
        format!("r = ~dense/load [[[⟨{dtype}⟩,{shape}],{elements}]]")
    }

    fn sparse(dtype: &str, shape: &str, elements: &str) -> String {
        format!("r = ~sparse/load [[[⟨{dtype}⟩,{shape}],{elements}]]")
    }

    #[test]
    fn elements_are_cast() {
        check(&dense("I32", "[2]", "[7,8]"), "D(I32,[2])[7,8]");
        check(&dense("I32", "[3]", "[1.9,-1.9,true]"), "D(I32,[3])[1,-1,1]");
        check(&dense("Bool", "[3]", "[0,2,-1]"), "D(Bool,[3])[false,true,true]");
        check(&dense("U8", "[2]", "[-1,300]"), "D(U8,[2])[255,44]");
        check(&dense("I16", "[2]", "[7,8]"), "D(I16,[2])[7,8]");
        check(&dense("F32", "[1]", "[⟨1+2i⟩]"), "D(F32,[1])[1]");
        check(&dense("I32", "[2]", "[]"), "D(I32,[2])[0,0]");
        check(&dense("I32", "[2]", "null"), "D(I32,[2])[0,0]");
    }

    #[test]
    fn complex_elements_have_several_forms() {
        check(&dense("C64", "[2]", "[⟨1+2i⟩,⟨3-1i⟩]"), "D(C64,[2])[1,2,3,-1]");
        check(&dense("C32", "[2]", "[[1,2],[3,-1]]"), "D(C32,[2])[1,2,3,-1]");
        check(&dense("C64", "[2]", "[1,2,3,-1]"), "D(C64,[2])[1,2,3,-1]");
        check(&dense("C64", "[2]", "[1,2]"), "D(C64,[2])[1,0,2,0]");
        check(&sparse("C64", "[3]", "[[[1],[1,2]]]"), "S(C64,[3])[[[1],[1,2]]]");
        check(&sparse("C64", "[3]", "[[[1],⟨0+1i⟩]]"), "S(C64,[3])[[[1],[0,1]]]");
    }

    #[test]
    fn a_shape_takes_the_dtype_of_the_elements() {
        check("r = ~dense/load [[[2],[1,2]]]", "D(I64,[2])[1,2]");
        check("r = ~dense/load [[[2],[1,2.5]]]", "D(F64,[2])[1,2.5]");
        check("r = ~sparse/load [[[2],[[[0],true]]]]", "S(Bool,[2])[[[0],true]]");
        refuse("r = ~dense/load [[[2],[]]]", "a tensor of shape [2] without elements needs a dtype");
    }

    #[test]
    fn entries_are_sorted_and_not_zero() {
        check(&sparse("I32", "[3]", "[[[2],1],[[0],2]]"), "S(I32,[3])[[[0],2],[[2],1]]");
        check(&sparse("I32", "[3]", "[[[0],0],[[1],2]]"), "S(I32,[3])[[[1],2]]");
        check(&sparse("I32", "[3]", "[[[0],0.5],[[1],2]]"), "S(I32,[3])[[[1],2]]");
        check(&sparse("I32", "[3]", "[[[1],1],[[1],2]]"), "S(I32,[3])[[[1],2]]");
        check(&sparse("I32", "[3]", "[[[1],1],[[1],0]]"), "S(I32,[3])[]");
        check(&sparse("I32", "[2,2]", "[]"), "S(I32,[2,2])[]");
        check(&dense("I32", "[2]", "[[[1],8]]"), "D(I32,[2])[0,8]");
    }

    #[test]
    fn the_form_says_which_layout_is_meant() {
        check("r = ~tensor/load [[[⟨I32⟩,[2]],[[[0],1]]]]", "S(I32,[2])[[[0],1]]");
        check("r = ~tensor/load [[[⟨I32⟩,[2]],[5,6]]]", "D(I32,[2])[5,6]");
        check("r = ~tensor/load [[[⟨I32⟩,[2]],[]]]", "D(I32,[2])[0,0]");
    }

    #[test]
    fn elements_that_do_not_fit_are_refused() {
        refuse(&dense("I32", "[2]", "[1,2,3]"), "a tensor of shape [2] has 2 elements, not 3");
        refuse(&dense("C64", "[3]", "[1,2,3,4]"), "a tensor of shape [3] has 3 elements, not 4");
        refuse(&dense("I32", "[2,2]", "[[1,2],[3,4]]"), "the elements of a tensor are numbers, not [1,2]");
        refuse(&dense("I32", "[2]", r#"["1","x"]"#), r#"the elements of a tensor are numbers, not "1""#);
        refuse(&dense("I32", "[2]", r#"[1,[[0],1]]"#), "the elements of a tensor are numbers, not [[0],1]");
        refuse(&dense("I32", "[2]", "7"), "expected a list of elements, found 7");
        refuse(&dense("I32", "[]", "[1]"), "a tensor has from 1 to 64 dimensions, not 0");
        refuse(&dense("I32", "[0]", "[]"), "0 is no dimension of a tensor: expected 1 to 4294967295");
        refuse(&dense("I32", "[-1]", "[1]"), "-1 is no dimension of a tensor: expected 1 to 4294967295");
        refuse(
            r#"r = ~dense/load [[["/state/scalar/value/string",[2]],[1,2]]]"#,
            r#"a dtype is a class of numbers, not "/state/scalar/value/string""#,
        );
        refuse(
            &sparse("I32", "[2]", "[1,2]"),
            "a sparse tensor is made of [[coordinate, number], …], not of all its elements",
        );
        refuse(&sparse("I32", "[3]", "[[[3],1]]"), "a tensor of shape [3] has no element at [3]");
        refuse(&sparse("I32", "[3]", "[[[-1],1]]"), "a tensor of shape [3] has no element at [-1]");
        refuse(&sparse("I32", "[3]", "[[[0,0],1]]"), "a tensor of shape [3] has no element at [0, 0]");
        refuse(&sparse("I32", "[3]", "[[1,5]]"), "the elements of a tensor are numbers, not [1,5]");
        refuse(&sparse("I32", "[3]", "[[[0],1],5]"), "expected a pair [coordinate, number], found 5");
    }

    #[test]
    fn tensors_are_copied() {
        check(&format!(r#"a = {A}; r = ~dense [[⟨F64⟩,[2,3]],"$a"]"#), "D(F64,[2,3])[1,2,3,4,5,6]");
        check(&format!(r#"a = {S}; r = ~dense [[⟨I32⟩,[2,3]],"$a"]"#), "D(I32,[2,3])[0,5,0,0,0,-7]");
        let message = "cannot broadcast a tensor of shape [2, 3] to [2]";
        refuse(&format!(r#"a = {A}; r = ~dense [[⟨F64⟩,[2]],"$a"]"#), message);
    }
}
