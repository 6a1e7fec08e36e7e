//! What a call on a tensor asks for.
//!
//! [`plan`] checks the call and says which expression the result is. What is left is an [`Action`], which the executor
//! performs in its transaction.

use std::sync::Arc;

use super::args::Args;
use super::schema::{dtype_state, schema_state, shape_state};
use super::{binary, bounds, cond, matmul, reduce, transform, unary, write};
use crate::compiler::methods::{self, Receiver, Shape};
use crate::error::{Error, Result};
use crate::value::tensor::{AxisBound, Initial, Layout, Operand, Reduction, TensorSchema};
use crate::value::{NumberClass, State, Tensor};

/// What the executor has to do for a call.
#[derive(Debug)]
pub enum Action {
    /// Nothing more: this is the result.
    Done(State),
    /// Reply this expression.
    Tensor(Tensor),
    /// Reply one element, as a number.
    Element { of: Arc<Tensor>, offset: u64 },
    /// Reply what all elements are reduced to, as a number. Sums and products of integers are computed in 64 bits, and Bool
    /// counts.
    Fold { op: Reduction, of: Arc<Tensor> },
    /// Reply the square root of the sum of the squares of the magnitudes of all elements, as a number of class `dtype`.
    Norm { of: Arc<Tensor>, dtype: NumberClass },
    /// Reply the hash of class, schema and elements.
    Hash(Arc<Tensor>),
    /// Make a tensor that can be written to, and reply it. The seed of random elements has to be drawn.
    Make { schema: TensorSchema, initial: Initial },
    /// Write to a tensor, which is a base, and reply None. There is a bound for each axis. The value broadcasts into the shape
    /// of the bounds, has the layout of the tensor, and is cast to its dtype. It is read before anything is written.
    Write { tensor: Arc<Tensor>, bounds: Box<[AxisBound]>, value: Operand },
}

/// What a call of the method `name` of a tensor asks for, or of the tensor itself if there is no name. The arguments are
/// those of `shape`, in its order.
///
/// Bases among them, and the tensor unless it is written to, were replaced by what they are at this time.
///
/// # Errors
/// `NotFound` for a method that tensors do not have, and naming it as `/name`; `MethodNotAllowed` for a verb that the method
/// does not have; `BadRequest` for arguments that make no sense.
pub fn plan(tensor: &Arc<Tensor>, name: Option<&str>, shape: &Shape, args: &[State]) -> Result<Action> {
    let Some(name) = name else {
        return match shape {
            Shape::Get => bounds::read(tensor, Args::new("a tensor", shape, args).at(0)),
            Shape::Put => write::put(tensor, &Args::new("a write", shape, args)),
            Shape::Post(_) | Shape::Delete => Err(Args::new("a tensor", shape, args).not_allowed()),
        };
    };
    let method = methods::find(Receiver::Tensor, name).ok_or_else(|| Error::not_found(format!("/{name}")))?;
    let args = Args::new(method.name, shape, args);
    if let Some(op) = binary::named(args.name) {
        return binary::call(op, tensor, &args);
    }
    if let Some(op) = unary::named(args.name) {
        return unary::call(op, tensor, &args);
    }
    if let Some(op) = reduce::named(args.name) {
        return reduce::call(op, tensor, &args);
    }
    match args.name {
        "argsort" => transform::argsort(tensor, &args),
        "broadcast" => transform::broadcast(tensor, &args),
        "cast" => transform::cast(tensor, &args),
        "cond" => cond::call(tensor, &args),
        "dense" => transform::relayout(tensor, Layout::Dense, &args),
        "diagonal" => matmul::diagonal(tensor, &args),
        "expand_dims" => transform::expand_dims(tensor, &args),
        "matmul" => matmul::call(tensor, &args),
        "norm" => reduce::norm(tensor, &args),
        "reshape" => transform::reshape(tensor, &args),
        "sparse" => transform::relayout(tensor, Layout::Sparse, &args),
        "transpose" => transform::transpose(tensor, &args),
        _ => attribute(tensor, &args),
    }
}

/// What there is to know of a tensor.
fn attribute(tensor: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    // Whatever is given to these is ignored.
    match args.name {
        "class" => {
            args.key()?;
            return Ok(Action::Done(tensor.class().link().into()));
        }
        "is_none" => {
            args.key()?;
            return Ok(Action::Done(false.into()));
        }
        _ => args.none()?,
    }
    Ok(match args.name {
        "dtype" => Action::Done(dtype_state(tensor.dtype())?),
        "hash" => Action::Hash(Arc::clone(tensor)),
        "ndim" => Action::Done((tensor.shape().ndim() as u64).into()),
        "schema" => Action::Done(schema_state(&tensor.schema)?),
        "shape" => Action::Done(shape_state(tensor.shape())?),
        "size" => Action::Done(tensor.size().into()),
        name => return Err(Error::internal(format!("nothing does what the method {name} declares"))),
    })
}

/// The reply of an expression. One that was there before, because the call changes nothing, is replied as it is.
pub(super) fn reply(tensor: Arc<Tensor>) -> Action {
    match Arc::try_unwrap(tensor) {
        Ok(tensor) => Action::Tensor(tensor),
        Err(shared) => Action::Done(shared.into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::methods::{Receiver, lists};
    use crate::compiler::tensor::sample::{A, S, check, run};
    use crate::error::Kind;

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; r = $a/{request}")
    }

    #[test]
    fn attributes() {
        check(&of(A, "class [null]"), r#"{"/state/collection/tensor/dense":[]}"#);
        check(&of(S, "class [5]"), r#"{"/state/collection/tensor/sparse":[]}"#);
        check(&of(A, "is_none [null]"), "false");
        check(&of(A, "schema [null]"), r#"[{"/state/scalar/value/number/int/32":[]},[2,3]]"#);
        check(&of(S, "schema [null]"), r#"[{"/state/scalar/value/number/int/32":[]},[2,3]]"#);
        check(&of(A, "dtype [null]"), r#"{"/state/object/class":{"/state/scalar/value/number/int/32":{}}}"#);
        check(&of(A, "ndim [null]"), "2");
        check(&of(A, "shape [null]"), "[2,3]");
        check(&of(S, "size [null]"), "6");
        check(&of(A, "hash [null]"), "hash");
    }

    #[test]
    fn every_method_is_planned() {
        for method in lists(Receiver::Tensor).into_iter().flatten() {
            for request in ["[null]", "{}"] {
                let result = run(&of(A, &format!("{} {request}", method.name)));
                let is_lost = result.is_err_and(|error| matches!(error.kind(), Kind::Internal | Kind::NotFound));
                assert!(!is_lost, "{} {request}", method.name);
            }
        }
    }
}
