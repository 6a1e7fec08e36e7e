//! Tensors made of others, one after the other.

use std::sync::Arc;

use super::args::Args;
use super::axes::axis;
use super::call::{Action, reply};
use super::{build, promote, schema};
use crate::compiler::collection::schema::items;
use crate::error::{Error, Result};
use crate::value::tensor::{Layout, Node, Shape, TensorSchema};
use crate::value::{State, Tensor};

/// A POST of `concatenate`: `tensors` one after the other along `axis`, which is the first if it is not said.
///
/// # Errors
/// `BadRequest` if there are none, if their other dimensions differ, or if there is no such axis.
pub(super) fn concatenate(args: &Args<'_>) -> Result<Action> {
    let [tensors, along] = args.params(["tensors", "axis"])?;
    let tensors = list("tensors", args, tensors)?;
    let Some((first, rest)) = tensors.split_first() else {
        return Err(Error::bad_request("there are no tensors to concatenate"));
    };
    let axis = along.map_or(Ok(0), |along| axis(first.shape(), along))?;
    let is_beside = |other: &Tensor| {
        let (l, r) = (first.shape().dims(), other.shape().dims());
        l.len() == r.len() && l.iter().zip(r).enumerate().all(|(at, (l, r))| at == axis || l == r)
    };
    if let Some(other) = rest.iter().find(|other| !is_beside(other)) {
        let (l, r) = (first.shape(), other.shape());
        return Err(Error::bad_request(format!("cannot concatenate shapes {l} and {r} along axis {axis}")));
    }
    let dtype = rest.iter().fold(first.dtype(), |dtype, other| promote::tensors(dtype, other.dtype()));
    let mut dims = first.shape().dims().to_vec();
    dims[axis] = tensors.iter().map(|part| part.shape().dims()[axis]).sum();
    let schema = TensorSchema { layout: Layout::Dense, dtype, shape: Shape::try_new(dims)? };
    let parts = tensors.iter().map(|part| build::relayout(&build::cast(part, dtype), Layout::Dense)).collect();
    Ok(reply(build::tensor(schema, Node::Concatenate { axis, parts })))
}

/// A POST of `tile`: `tensor`, repeated along its last axes as often as `multiples` says. It gets new axes if there are
/// more multiples than axes.
///
/// # Errors
/// `BadRequest` if a multiple is no number of times from 1 on.
pub(super) fn tile(args: &Args<'_>) -> Result<Action> {
    let [tensor, multiples] = args.params(["tensor", "multiples"])?;
    let (tensor, multiples) = (args.tensor("tensor", tensor)?, args.required("multiples", multiples)?);
    let listed = items(multiples).unwrap_or_else(|| std::slice::from_ref(multiples));
    let listed = listed.iter().map(schema::dimension).collect::<Result<Vec<u64>>>()?;

    let ndim = listed.len().max(tensor.shape().ndim());
    let aligned = |last: &[u64]| [vec![1; ndim - last.len()].as_slice(), last].concat();
    let (dims, multiples) = (aligned(tensor.shape().dims()), aligned(&listed));
    let tiled = dims.iter().zip(&multiples).map(|(dim, times)| dim.saturating_mul(*times)).collect::<Vec<u64>>();
    let of = build::reshape(tensor, Shape::try_new(dims)?);
    let schema = TensorSchema { shape: Shape::try_new(tiled)?, ..of.schema.clone() };
    Ok(reply(build::tensor(schema, Node::Tile { of, multiples: multiples.into() })))
}

/// The tensors that a parameter lists.
///
/// # Errors
/// `BadRequest` if it is missing or no list, or something else is listed.
pub(super) fn list<'a>(param: &str, args: &Args<'a>, found: Option<&'a State>) -> Result<Vec<&'a Arc<Tensor>>> {
    let found = args.required(param, found)?;
    let listed = items(found).ok_or_else(|| args.unexpected(param, "a list of tensors", found))?;
    listed.iter().map(|item| args.tensor("an item of tensors", Some(item))).collect()
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, F, S, check, refuse};

    #[test]
    fn tensors_one_after_the_other() {
        let twice = |axis: &str| format!(r#"a = {F}; r = ~dense/concatenate {{"tensors":["$a","$a"]{axis}}}"#);
        check(&twice(""), "D(F64,[4,3])[1,2,3,4,5,6,1,2,3,4,5,6]");
        check(&twice(r#","axis":1"#), "D(F64,[2,6])[1,2,3,1,2,3,4,5,6,4,5,6]");
        check(&twice(r#","axis":-1"#), "D(F64,[2,6])[1,2,3,1,2,3,4,5,6,4,5,6]");
        refuse(&twice(r#","axis":2"#), "a tensor of shape [2, 3] has no axis 2");
        let sparse = format!(r#"a = {A}; s = {S}; r = ~dense/concatenate {{"tensors":["$a","$s"]}}"#);
        check(&sparse, "D(I32,[4,3])[1,2,3,4,5,6,0,5,0,0,0,-7]");
        let with =
            |b: &str| format!(r#"a = D(Bool,[1])[true]; b = {b}; r = ~dense/concatenate {{"tensors":["$a","$b"]}}"#);
        check(&with("D(Bool,[1])[false]"), "D(Bool,[2])[true,false]");
        check(&with("D(C64,[1])[1,2]"), "D(C64,[2])[1,0,1,2]");
        refuse(&with("D(Bool,[1,1])[]"), "cannot concatenate shapes [1] and [1, 1] along axis 0");
        let shapes = format!(r#"a = {F}; b = D(F64,[2,2])[]; r = ~dense/concatenate {{"tensors":["$a","$b"]}}"#);
        refuse(&shapes, "cannot concatenate shapes [2, 3] and [2, 2] along axis 0");
        refuse(r#"r = ~dense/concatenate {"tensors":[],"axis":0}"#, "there are no tensors to concatenate");
        refuse(
            r#"r = ~dense/concatenate {"tensors":[1]}"#,
            "expected a tensor as an item of tensors of concatenate, found 1",
        );
        refuse(
            r#"r = ~dense/concatenate {"tensors":1}"#,
            "expected a list of tensors as tensors of concatenate, found 1",
        );
    }

    #[test]
    fn tensors_repeat() {
        let times = |multiples: &str| format!(r#"a = {A}; r = ~tensor/tile {{"tensor":"$a","multiples":{multiples}}}"#);
        check(&times("[1,2]"), "D(I32,[2,6])[1,2,3,1,2,3,4,5,6,4,5,6]");
        check(&times("2"), "D(I32,[2,6])[1,2,3,1,2,3,4,5,6,4,5,6]");
        check(&times("[2,1]"), "D(I32,[4,3])[1,2,3,4,5,6,1,2,3,4,5,6]");
        check(&times("[2,1,1]"), "D(I32,[2,2,3])[1,2,3,4,5,6,1,2,3,4,5,6]");
        refuse(&times("[0,1]"), "0 is no dimension of a tensor: expected 1 to 4294967295");
        refuse(&times("null"), "tile needs multiples");
    }
}
