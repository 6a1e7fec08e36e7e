//! The same elements in another shape, order, dtype or layout.

use std::sync::Arc;

use super::args::Args;
use super::axes::{axes, axis};
use super::call::{Action, reply};
use super::{build, promote, schema};
use crate::compiler::collection::schema::{items, show, whole_number};
use crate::error::{Error, Result};
use crate::value::tensor::{Layout, Node, Shape, TensorSchema};
use crate::value::{NumberClass, State, Tensor};

/// `transpose`: the axes in the order of the key, or from the last to the first.
pub(super) fn transpose(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let ndim = of.shape().ndim();
    let permutation = match args.key()? {
        None => (0..ndim).rev().collect(),
        Some(key) => axes(of.shape(), key)?,
    };
    if permutation.len() != ndim {
        let (found, shape) = (permutation.len(), of.shape());
        return Err(Error::bad_request(format!("{found} axes do not permute those of a tensor of shape {shape}")));
    }
    build::transpose(of, &permutation).map(reply)
}

/// `reshape`: to the shape that the key is, in which null may stand for the dimension that is missing.
pub(super) fn reshape(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let key = args.required("a shape", args.key()?)?;
    let dims = items(key).ok_or_else(|| args.unexpected("the key", "a shape", key))?;
    let unknown = dims.iter().filter(|dim| **dim == State::NONE).count();
    if unknown > 1 {
        return Err(Error::bad_request(format!("one dimension of a reshape may be null, not {unknown}")));
    }
    if dims.iter().any(|dim| whole_number(dim) == Some(-1)) {
        return Err(Error::bad_request("-1 is no dimension of a reshape: null stands for one that is unknown"));
    }
    let does_not_fit = || {
        let (shape, key) = (of.shape(), show(key));
        Error::bad_request(format!("cannot reshape a tensor of shape {shape} and size {} to {key}", of.size()))
    };
    let is_known = |dim: &&State| **dim != State::NONE;
    let known = dims.iter().filter(is_known).map(schema::dimension).collect::<Result<Vec<u64>>>()?;
    let size = known.iter().try_fold(1u64, |size, dim| size.checked_mul(*dim)).filter(|size| *size > 0);
    let missing = match (unknown, size) {
        (1, Some(size)) if of.size().is_multiple_of(size) => of.size() / size,
        (0, Some(size)) if of.size() == size => 1,
        // What is no dimension at all is the better complaint.
        _ => return Err(Shape::try_new(known).err().unwrap_or_else(does_not_fit)),
    };
    let mut known = known.into_iter();
    let dims = dims.iter().map(|dim| if *dim == State::NONE { missing } else { known.next().unwrap_or(missing) });
    Ok(reply(build::reshape(of, Shape::try_new(dims.collect::<Vec<u64>>())?)))
}

/// `expand_dims`: new axes of dimension 1 before those that the key names, by their positions in the shape that there is; the
/// position after the last appends one.
pub(super) fn expand_dims(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let dims = of.shape().dims();
    let new = match args.key()? {
        None => vec![dims.len()],
        Some(key) => match items(key) {
            Some([]) => return Err(Error::bad_request("expected at least one axis")),
            Some(places) => places.iter().map(|place| new_axis(of.shape(), place)).collect::<Result<_>>()?,
            None => vec![new_axis(of.shape(), key)?],
        },
    };
    let mut expanded: Vec<u64> = Vec::with_capacity(dims.len() + new.len());
    for place in 0..=dims.len() {
        match new.iter().filter(|new| **new == place).count() {
            0 => {}
            1 => expanded.push(1),
            _ => return Err(Error::bad_request(format!("axis {place} is listed twice"))),
        }
        expanded.extend(dims.get(place));
    }
    Ok(reply(build::reshape(of, Shape::try_new(expanded)?)))
}

/// Before which axis a new one is: one that is there, or the number of axes for the end.
fn new_axis(shape: &Shape, state: &State) -> Result<usize> {
    if whole_number(state) == Some(shape.ndim() as i128) { Ok(shape.ndim()) } else { axis(shape, state) }
}

/// `broadcast`: repeated in the shape that the key is.
pub(super) fn broadcast(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let shape = schema::shape(args.required("a shape", args.key()?)?)?;
    broadcast_to(of, &shape).map(reply)
}

/// A tensor repeated in another shape.
///
/// # Errors
/// `BadRequest` if its own does not broadcast to that.
pub(super) fn broadcast_to(of: &Arc<Tensor>, shape: &Shape) -> Result<Arc<Tensor>> {
    if !of.shape().broadcasts_to(shape) {
        return Err(Error::bad_request(format!("cannot broadcast a tensor of shape {} to {shape}", of.shape())));
    }
    Ok(build::broadcast(of, shape))
}

/// `cast`: to the class that the key is.
pub(super) fn cast(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let dtype = schema::dtype(args.required("a class", args.key()?)?)?;
    Ok(reply(build::cast(of, dtype)))
}

/// `dense` and `sparse`.
pub(super) fn relayout(of: &Arc<Tensor>, layout: Layout, args: &Args<'_>) -> Result<Action> {
    args.none()?;
    Ok(reply(build::relayout(of, layout)))
}

/// `argsort`: the positions that sort along the last axis.
pub(super) fn argsort(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    args.none()?;
    if promote::is_complex(of.dtype()) {
        return Err(Error::bad_request("complex numbers have no order: argsort is not defined"));
    }
    let schema = TensorSchema { layout: Layout::Dense, dtype: NumberClass::I64, shape: of.shape().clone() };
    Ok(reply(build::tensor(schema, Node::ArgSort { of: build::relayout(of, Layout::Dense) })))
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, C, F, S, check, check_schema, refuse};

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; r = $a/{request}")
    }

    #[test]
    fn transposes() {
        check(&of(A, "transpose [null]"), "D(I32,[3,2])[1,4,2,5,3,6]");
        check(&of(A, "transpose [[1,0]]"), "D(I32,[3,2])[1,4,2,5,3,6]");
        check(&of(A, "transpose [[-1,0]]"), "D(I32,[3,2])[1,4,2,5,3,6]");
        check(&of(A, "transpose [[0,1]]"), "D(I32,[2,3])[1,2,3,4,5,6]");
        check(&of(S, "transpose [null]"), "S(I32,[3,2])[[[1,0],5],[[2,1],-7]]");
        check_schema(&of("D(Bool,[2,3,4])[]", "transpose [[2,0,1]]"), "D(Bool,[4,2,3])");
        refuse(&of(A, "transpose [[0]]"), "1 axes do not permute those of a tensor of shape [2, 3]");
        refuse(&of(A, "transpose [[0,0]]"), "axis 0 is listed twice");
        refuse(&of(A, "transpose [[0,2]]"), "a tensor of shape [2, 3] has no axis 2");
    }

    #[test]
    fn reshapes() {
        check(&of(A, "reshape [[3,2]]"), "D(I32,[3,2])[1,2,3,4,5,6]");
        check(&of(A, "reshape [[null,2]]"), "D(I32,[3,2])[1,2,3,4,5,6]");
        check(&format!("a = {A}; v = $a/reshape [[3,2]]; r = $v [[2,0]]"), "5");
        check(&of(S, "reshape [[3,2]]"), "S(I32,[3,2])[[[0,1],5],[[2,1],-7]]");
        check(&of(S, "reshape [[null]]"), "S(I32,[6])[[[1],5],[[5],-7]]");
        refuse(&of(A, "reshape [[null,null]]"), "one dimension of a reshape may be null, not 2");
        refuse(&of(A, "reshape [[-1,2]]"), "-1 is no dimension of a reshape: null stands for one that is unknown");
        refuse(&of(A, "reshape [[4]]"), "cannot reshape a tensor of shape [2, 3] and size 6 to [4]");
        refuse(&of(A, "reshape [[null,4]]"), "cannot reshape a tensor of shape [2, 3] and size 6 to [null,4]");
        refuse(&of(A, "reshape [[null,0]]"), "0 is no dimension of a tensor: expected 1 to 4294967295");
        refuse(&of(A, "reshape [[]]"), "a tensor has from 1 to 64 dimensions, not 0");
        refuse(&of(A, "reshape [6]"), "expected a shape as the key of reshape, found 6");
        refuse(&of(A, "reshape [null]"), "reshape needs a shape");
    }

    #[test]
    fn new_axes() {
        for (key, dims) in [
            ("null", "[2,3,1]"),
            ("0", "[1,2,3]"),
            ("[1]", "[2,1,3]"),
            ("2", "[2,3,1]"),
            ("-1", "[2,1,3]"),
            ("[0,2]", "[1,2,3,1]"),
        ] {
            check(&of(A, &format!("expand_dims [{key}]")), &format!("D(I32,{dims})[1,2,3,4,5,6]"));
        }
        check(&of(S, "expand_dims [1]"), "S(I32,[2,1,3])[[[0,0,1],5],[[1,0,2],-7]]");
        refuse(&of(A, "expand_dims [3]"), "a tensor of shape [2, 3] has no axis 3");
        refuse(&of(A, "expand_dims [[1,1]]"), "axis 1 is listed twice");
        refuse(&of(A, "expand_dims [[]]"), "expected at least one axis");
    }

    #[test]
    fn broadcasts() {
        check(&of(A, "broadcast [[2,2,3]]"), "D(I32,[2,2,3])[1,2,3,4,5,6,1,2,3,4,5,6]");
        let s = "S(I32,[2,2,3])[[[0,0,1],5],[[0,1,2],-7],[[1,0,1],5],[[1,1,2],-7]]";
        check(&of(S, "broadcast [[2,2,3]]"), s);
        check(&of("D(I32,[1,3])[1,2,3]", "broadcast [[2,3]]"), "D(I32,[2,3])[1,2,3,1,2,3]");
        refuse(&of(A, "broadcast [[3]]"), "cannot broadcast a tensor of shape [2, 3] to [3]");
        refuse(&of(A, "broadcast [[3,3]]"), "cannot broadcast a tensor of shape [2, 3] to [3, 3]");
    }

    #[test]
    fn casts() {
        check(&of(A, "cast [⟨F64⟩]"), "D(F64,[2,3])[1,2,3,4,5,6]");
        check_schema(&of(A, r#"cast ["/state/scalar/value/number/float"]"#), "D(F32,[2,3])");
        check(&of(S, "cast [⟨F64⟩]"), "S(F64,[2,3])[[[0,1],5],[[1,2],-7]]");
        check(&of("D(F64,[3])[1.5,-1.5,300.7]", "cast [⟨I32⟩]"), "D(I32,[3])[1,-1,300]");
        check(&of("D(I32,[3])[0,-2,300]", "cast [⟨U8⟩]"), "D(U8,[3])[0,254,44]");
        check(&of("D(I32,[3])[0,-2,300]", "cast [⟨Bool⟩]"), "D(Bool,[3])[false,true,true]");
        check(&of(A, "cast [⟨C64⟩]"), "D(C64,[2,3])[1,0,2,0,3,0,4,0,5,0,6,0]");
        check(&of(C, "cast [⟨F64⟩]"), "D(F64,[2])[1,3]");
        check(&format!("a = {F}; b = {A}; d = $b/dtype [null]; r = $a/cast [\"$d\"]"), "D(I32,[2,3])[1,2,3,4,5,6]");
        let message = r#"a dtype is a class of numbers, not {"/state/scalar/value/string":[]}"#;
        refuse(&of(A, r#"cast [{"/state/scalar/value/string":{}}]"#), message);
    }

    #[test]
    fn layouts() {
        check(&of(S, "dense [null]"), "D(I32,[2,3])[0,5,0,0,0,-7]");
        check(&of("D(I32,[3])[0,2,3]", "sparse [null]"), "S(I32,[3])[[[1],2],[[2],3]]");
        check(&of(C, "sparse [null]"), "S(C64,[2])[[[0],[1,2]],[[1],[3,-1]]]");
        check(&of(S, "sparse [null]"), S);
    }

    #[test]
    fn positions_that_sort() {
        check(&of("D(I32,[2,3])[3,1,2,5,5,4]", "argsort [null]"), "D(I64,[2,3])[1,2,0,2,0,1]");
        check(&of("S(I32,[3])[[[1],-1]]", "argsort [null]"), "D(I64,[3])[1,0,2]");
        refuse(&of(C, "argsort [null]"), "complex numbers have no order: argsort is not defined");
    }
}
