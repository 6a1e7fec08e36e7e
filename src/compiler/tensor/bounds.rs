//! Parts of tensors: what bounds say, and reading them.

use std::sync::Arc;

use super::axes::position;
use super::build;
use super::call::{Action, reply};
use crate::compiler::collection::condition::{Written, range_of};
use crate::compiler::collection::schema::{items, show, whole_number};
use crate::error::{Error, Result};
use crate::value::tensor::{AxisBound, Node, Shape, TensorSchema};
use crate::value::{State, Tensor};

/// A GET of a tensor, with bounds as its key.
///
/// # Errors
/// As [`bounds`].
pub(super) fn read(of: &Arc<Tensor>, key: Option<&State>) -> Result<Action> {
    let bounds = bounds(of.shape(), key)?;
    let Some(shape) = shape(&bounds)? else {
        let coord: Vec<u64> = bounds.iter().map(|bound| if let AxisBound::At(at) = bound { *at } else { 0 }).collect();
        return Ok(Action::Element { offset: of.shape().offset(&coord), of: Arc::clone(of) });
    };
    if bounds.iter().zip(of.shape().dims()).all(|(bound, dim)| *bound == AxisBound::Range(0, *dim)) {
        return Ok(reply(Arc::clone(of)));
    }
    let schema = TensorSchema { shape, ..of.schema.clone() };
    Ok(reply(build::tensor(schema, Node::Slice { of: Arc::clone(of), bounds: bounds.into() })))
}

/// A bound for each axis: those of a list, or one for the first axis. Axes that are not listed are taken whole.
///
/// # Errors
/// `BadRequest` if there are more bounds than axes, or one of them makes no sense or lies outside; if two axes have lists
/// of positions.
pub(super) fn bounds(shape: &Shape, key: Option<&State>) -> Result<Vec<AxisBound>> {
    let listed: &[State] = match key {
        None => &[],
        Some(key) => items(key).unwrap_or_else(|| std::slice::from_ref(key)),
    };
    if listed.len() > shape.ndim() {
        let (found, axes) = (listed.len(), shape.ndim());
        return Err(Error::bad_request(format!("{found} bounds do not fit a tensor of {axes} axes")));
    }
    let mut bounds = Vec::with_capacity(shape.ndim());
    for (axis, dim) in shape.dims().iter().enumerate() {
        bounds.push(match listed.get(axis) {
            None => AxisBound::Range(0, *dim),
            Some(state) => bound(Axis { axis, dim: *dim }, state)?,
        });
    }
    let lists = bounds.iter().filter(|bound| matches!(bound, AxisBound::Positions(_))).count();
    if lists > 1 {
        return Err(Error::bad_request(format!("at most one axis may have a list of positions, not {lists}")));
    }
    Ok(bounds)
}

/// The shape of what lies within the bounds; nothing if that is one element.
///
/// # Errors
/// As [`Shape::try_new`].
pub(super) fn shape(bounds: &[AxisBound]) -> Result<Option<Shape>> {
    let dims = bounds.iter().filter_map(|bound| match bound {
        AxisBound::At(_) => None,
        AxisBound::Range(from, to) => Some(to - from),
        AxisBound::Positions(positions) => Some(positions.len() as u64),
    });
    let dims: Vec<u64> = dims.collect();
    if dims.is_empty() { Ok(None) } else { Shape::try_new(dims).map(Some) }
}

/// An axis that a bound is for.
#[derive(Clone, Copy)]
struct Axis {
    axis: usize,
    dim: u64,
}

fn bound(axis: Axis, state: &State) -> Result<AxisBound> {
    if *state == State::NONE {
        return Ok(AxisBound::Range(0, axis.dim));
    }
    if let Some((from, to)) = range_of(state) {
        return range(axis, from, to);
    }
    if let Some(listed) = items(state) {
        if listed.is_empty() {
            return Err(Error::bad_request(format!("the list of positions on axis {} is empty", axis.axis)));
        }
        let positions = listed.iter().map(|state| at(axis, state)).collect::<Result<Vec<u64>>>()?;
        return Ok(AxisBound::Positions(positions.into()));
    }
    at(axis, state).map(AxisBound::At)
}

/// The positions from one bound to another. A negative one counts from the end.
fn range(axis: Axis, from: Written<'_>, to: Written<'_>) -> Result<AxisBound> {
    let from = match from {
        None => 0,
        Some((is_included, state)) => at(axis, state)? + u64::from(!is_included),
    };
    let to = match to {
        None => axis.dim,
        // The first position that is not meant may be the one after the last.
        Some((false, state)) if whole_number(state) == Some(i128::from(axis.dim)) => axis.dim,
        Some((is_included, state)) => at(axis, state)? + u64::from(is_included),
    };
    if from >= to {
        let Axis { axis, dim } = axis;
        let message = format!("the range from {from} to {to} on axis {axis} of dimension {dim} is empty");
        return Err(Error::bad_request(message));
    }
    Ok(AxisBound::Range(from, to))
}

/// A position on an axis.
fn at(Axis { axis, dim }: Axis, state: &State) -> Result<u64> {
    let number = whole_number(state).ok_or_else(|| {
        let expected = "null, a position, a list of positions or a range";
        Error::bad_request(format!("the bound of axis {axis} is {expected}, not {}", show(state)))
    })?;
    position(number, dim).ok_or_else(|| {
        Error::bad_request(format!("position {number} is out of bounds for axis {axis} of dimension {dim}"))
    })
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, S, check, refuse};

    fn of(fixture: &str, key: &str) -> String {
        format!("a = {fixture}; r = $a [{key}]")
    }

    #[test]
    fn parts_of_a_tensor() {
        for (key, expected) in [
            ("null", "D(I32,[2,3])[1,2,3,4,5,6]"),
            ("[]", "D(I32,[2,3])[1,2,3,4,5,6]"),
            ("[null,null]", "D(I32,[2,3])[1,2,3,4,5,6]"),
            ("[0]", "D(I32,[3])[1,2,3]"),
            ("1", "D(I32,[3])[4,5,6]"),
            ("[-1]", "D(I32,[3])[4,5,6]"),
            ("[null,1]", "D(I32,[2])[2,5]"),
            ("[1,2]", "6"),
            ("[-1,-1]", "6"),
            (r#"[[["in",0],["ex",1]]]"#, "D(I32,[1,3])[1,2,3]"),
            (r#"[null,[["in",1],null]]"#, "D(I32,[2,2])[2,3,5,6]"),
            (r#"[null,[null,["ex",-1]]]"#, "D(I32,[2,2])[1,2,4,5]"),
            (r#"[null,[["in",0],["in",1]]]"#, "D(I32,[2,2])[1,2,4,5]"),
            (r#"[null,[["ex",0],["ex",3]]]"#, "D(I32,[2,2])[2,3,5,6]"),
            (r#"[null,[["in",-2],null]]"#, "D(I32,[2,2])[2,3,5,6]"),
            (r#"[1,[["in",0],["ex",2]]]"#, "D(I32,[2])[4,5]"),
            (r#"[[null,null],[["in",null],["ex",null]]]"#, "D(I32,[2,3])[1,2,3,4,5,6]"),
            ("[null,[0,2]]", "D(I32,[2,2])[1,3,4,6]"),
            ("[null,[2,0,0]]", "D(I32,[2,3])[3,1,1,6,4,4]"),
            ("[1,[0,-1]]", "D(I32,[2])[4,6]"),
        ] {
            check(&of(A, key), expected);
        }
        check("a = D(Bool,[2])[true,true]; r = $a [[0]]", "true");
    }

    #[test]
    fn parts_of_a_sparse_tensor() {
        check(&of(S, "[0]"), "S(I32,[3])[[[1],5]]");
        check(&of(S, r#"[null,[["in",1],null]]"#), "S(I32,[2,2])[[[0,0],5],[[1,1],-7]]");
        check(&of(S, "[0,0]"), "0");
    }

    #[test]
    fn parts_of_parts() {
        let slice = r#"v = $a [[null,[["in",1],null]]]; r = $v [[1,[["in",0],["ex",1]]]]"#;
        check(&format!("a = {A}; {slice}"), "D(I32,[1])[5]");
        check(&format!("a = {A}; v = $a/transpose [null]; r = $v [[1]]"), "D(I32,[2])[2,5]");
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let outside = |number: &str, axis: u8, dim: u8| {
            format!("position {number} is out of bounds for axis {axis} of dimension {dim}")
        };
        refuse(&of(A, "[2]"), &outside("2", 0, 2));
        refuse(&of(A, "[-3]"), &outside("-3", 0, 2));
        refuse(&of(A, "[0,3]"), &outside("3", 1, 3));
        refuse(&of(A, r#"[null,[["in",0],["ex",10]]]"#), &outside("10", 1, 3));
        refuse(&of(A, r#"[null,[["in",0],["in",3]]]"#), &outside("3", 1, 3));
        refuse(&of(A, r#"[null,[["in",3],null]]"#), &outside("3", 1, 3));
        refuse(&of(A, "[null,[0,3]]"), &outside("3", 1, 3));
        let empty = |from: u8, to: u8| format!("the range from {from} to {to} on axis 1 of dimension 3 is empty");
        refuse(&of(A, r#"[null,[["in",2],["ex",2]]]"#), &empty(2, 2));
        refuse(&of(A, r#"[null,[["in",2],["ex",1]]]"#), &empty(2, 1));
        refuse(&of(A, r#"[null,[["ex",2],null]]"#), &empty(3, 3));
        refuse(&of(A, "[0,0,0]"), "3 bounds do not fit a tensor of 2 axes");
        refuse(&of(A, "[[0,1],[0,2]]"), "at most one axis may have a list of positions, not 2");
        refuse(&of(A, "[[]]"), "the list of positions on axis 0 is empty");
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        let expected = "null, a position, a list of positions or a range";
        let no_bound = |text: &str| format!("the bound of axis 0 is {expected}, not {text}");
        refuse(&of(A, r#"["x"]"#), &no_bound(r#""x""#));
        refuse(&of(A, "[1.5]"), &no_bound("1.5"));
        refuse(&of(A, "[true]"), &no_bound("true"));
        refuse(&of(A, r#""x""#), &no_bound(r#""x""#));
        refuse(&of(A, r#"[["in",0]]"#), &no_bound(r#""in""#));
        refuse(&of(A, r#"[[["in","x"],null]]"#), &no_bound(r#""x""#));
    }
}
