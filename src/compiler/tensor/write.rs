//! Writing to tensors.

use std::sync::Arc;

use super::args::Args;
use super::bounds::{bounds, shape};
use super::build;
use super::call::Action;
use crate::error::{Error, Result};
use crate::value::number::cast::cast;
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{AxisBound, Layout, Operand, Shape};
use crate::value::{Number, Tensor};

/// A PUT to a tensor, with bounds as its key and a number or a tensor as its value.
///
/// # Errors
/// `BadRequest` if the tensor is no base, if the bounds make no sense, if the value is neither number nor tensor or does
/// not fit within the bounds, and if a sparse tensor would not be sparse any more.
pub(super) fn put(tensor: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    if tensor.base().is_none() {
        return Err(Error::bad_request("a tensor that is computed from others cannot be written to: copy it first"));
    }
    let bounds = bounds(tensor.shape(), args.at(0))?;
    let within = shape(&bounds)?;
    let (bounds, value) = match args.operand("the value", args.at(1))? {
        Operand::Number(number) => {
            check_number(tensor, within.as_ref(), number)?;
            (bounds, Operand::Number(number))
        }
        Operand::Tensor(value) => {
            if tensor.is_sparse() && !value.is_sparse() {
                return Err(Error::bad_request(
                    "a dense tensor cannot be written to a sparse one: make it sparse first",
                ));
            }
            let (bounds, value) = fit(bounds, within, &value)?;
            (bounds, Operand::Tensor(build::relayout(&value, tensor.schema.layout)))
        }
    };
    Ok(Action::Write { tensor: Arc::clone(tensor), bounds: bounds.into(), value })
}

/// Refuses a number that would not leave a sparse tensor sparse.
fn check_number(tensor: &Tensor, within: Option<&Shape>, number: Number) -> Result<()> {
    let is_zero = !is_truthy(cast(number, tensor.dtype()));
    match within {
        Some(shape) if tensor.schema.layout == Layout::Sparse && !is_zero && shape.size() > 1 => {
            let message =
                format!("{number} cannot be written to a range of a sparse tensor, which would not be sparse");
            Err(Error::bad_request(message))
        }
        _ => Ok(()),
    }
}

/// Bounds, and a value that broadcasts into their shape. A tensor has an axis at least: where the bounds mean one element,
/// they become a range of it.
fn fit(
    mut bounds: Vec<AxisBound>,
    within: Option<Shape>,
    value: &Arc<Tensor>,
) -> Result<(Vec<AxisBound>, Arc<Tensor>)> {
    let does_not_fit = |within: &str| {
        let found = value.shape();
        Error::bad_request(format!("cannot write a tensor of shape {found} to {within}"))
    };
    match within {
        Some(within) if value.shape().broadcasts_to(&within) => Ok((bounds, Arc::clone(value))),
        Some(within) => Err(does_not_fit(&format!("a part of shape {within}"))),
        None if value.size() == 1 => {
            if let Some(AxisBound::At(at)) = bounds.last().cloned() {
                bounds.pop();
                bounds.push(AxisBound::Range(at, at + 1));
            }
            Ok((bounds, build::reshape(value, Shape::try_new([1u64])?)))
        }
        None => Err(does_not_fit("one element")),
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, S, check, refuse};

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; b = D(F64,[3])[7,8,9]; c = S(F32,[3])[[[0],8]]; r = $a {request}")
    }

    #[test]
    fn numbers_are_written_to_all_within_the_bounds() {
        check(&of(A, "[null,0]"), "write 0..2 0..3 ← 0");
        check(&of(A, "[[0],9]"), "write 0 0..3 ← 9");
        check(&of(A, "[[-1,-1],9.7]"), "write 1 2 ← 9.7");
        check(&of(A, r#"[[null,[["in",1],null]],9]"#), "write 0..2 1..3 ← 9");
        check(&of(A, "[[null,[0,2]],9]"), "write 0..2 [0, 2] ← 9");
    }

    #[test]
    fn tensors_broadcast_into_the_bounds() {
        check(&of(A, r#"[[0],"$b"]"#), "write 0 0..3 ← D(F64,[3])[7,8,9]");
        check(&of(A, r#"[null,"$b"]"#), "write 0..2 0..3 ← D(F64,[3])[7,8,9]");
        check(&of(A, r#"[[0],"$c"]"#), "write 0 0..3 ← D(F32,[3])[8,0,0]");
        check(&of(S, r#"[[0],"$c"]"#), "write 0 0..3 ← S(F32,[3])[[[0],8]]");
        refuse(&of(A, r#"[[null,0],"$b"]"#), "cannot write a tensor of shape [3] to a part of shape [2]");
        refuse(&of(A, r#"[[0,0],"$b"]"#), "cannot write a tensor of shape [3] to one element");
        let element = format!(r#"a = {A}; b = D(I32,[1,1])[5]; r = $a [[1,2],"$b"]"#);
        check(&element, "write 1 2..3 ← D(I32,[1])[5]");
    }

    #[test]
    fn sparse_tensors_stay_sparse() {
        check(&of(S, "[[0,0],9]"), "write 0 0 ← 9");
        check(&of(S, "[[0],0]"), "write 0 0..3 ← 0");
        check(&of(S, "[[0],0.5]"), "write 0 0..3 ← 0.5");
        let message = "9 cannot be written to a range of a sparse tensor, which would not be sparse";
        refuse(&of(S, "[[0],9]"), message);
        refuse(&of(S, r#"[[0],"$b"]"#), "a dense tensor cannot be written to a sparse one: make it sparse first");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let expected = "expected a tensor or a number as the value of a write, found";
        refuse(&of(A, r#"[[0,0],"x"]"#), &format!(r#"{expected} "x""#));
        refuse(&of(A, "[[0],[7,8,9]]"), &format!("{expected} [7,8,9]"));
        refuse(&of(A, "[[0,0],null]"), "a write needs the value");
        refuse(&of(A, "[[2,0],9]"), "position 2 is out of bounds for axis 0 of dimension 2");
    }

    #[test]
    fn only_bases_are_written_to() {
        let message = "a tensor that is computed from others cannot be written to: copy it first";
        refuse(&format!("a = {A}; v = $a [[0]]; r = $v [[0],9]"), message);
        refuse(&format!(r#"a = {A}; v = $a/add {{"r":1}}; r = $v [[0,0],9]"#), message);
    }
}
