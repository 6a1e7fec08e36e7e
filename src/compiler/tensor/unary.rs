//! Functions of one element.

use std::sync::Arc;

use super::args::Args;
use super::binary;
use super::call::{Action, reply};
use super::{build, promote, sparse};
use crate::error::{Error, Result};
use crate::value::number::compare::equal;
use crate::value::number::math;
use crate::value::tensor::{Binary, Operand, TensorSchema, Unary};
use crate::value::{Number, NumberClass, Tensor};

/// The function that a method computes.
pub(super) fn named(method: &str) -> Option<Unary> {
    Some(match method {
        "abs" => Unary::Abs,
        "exp" => Unary::Exp,
        "log" => Unary::Log,
        "round" => Unary::Round,
        "sin" => Unary::Sin,
        "cos" => Unary::Cos,
        "tan" => Unary::Tan,
        "asin" => Unary::Asin,
        "acos" => Unary::Acos,
        "atan" => Unary::Atan,
        "sinh" => Unary::Sinh,
        "cosh" => Unary::Cosh,
        "tanh" => Unary::Tanh,
        "asinh" => Unary::Asinh,
        "acosh" => Unary::Acosh,
        "atanh" => Unary::Atanh,
        "not" => Unary::Not,
        _ => return None,
    })
}

/// A call without arguments, or of a logarithm with its base.
pub(super) fn call(op: Unary, of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    if op != Unary::Log {
        args.none()?;
    } else if let base @ Some(_) = args.one("r")? {
        return logarithm(of, &args.operand("r", base)?).map(reply);
    }
    apply(args.name, op, of).map(reply)
}

/// The function of every element. `name` is what is done, for messages.
///
/// # Errors
/// `BadRequest` if the tensor is sparse and the result would not be.
pub(super) fn apply(name: &str, op: Unary, of: &Arc<Tensor>) -> Result<Arc<Tensor>> {
    sparse::check_unary(name, op, of)?;
    let dtype = of.dtype();
    Ok(match op {
        Unary::Abs if dtype < NumberClass::I16 => Arc::clone(of),
        Unary::Round if promote::is_whole(dtype) => Arc::clone(of),
        Unary::Abs => build::unary(op, of, promote::real(dtype)),
        Unary::Round => build::unary(op, of, dtype),
        Unary::Not => build::unary(op, of, NumberClass::Bool),
        _ => {
            let of = build::cast(of, promote::float(dtype));
            build::unary(op, &of, of.dtype())
        }
    })
}

/// The logarithm to a base.
fn logarithm(of: &Arc<Tensor>, base: &Operand) -> Result<Arc<Tensor>> {
    if of.is_sparse() || base.tensor().is_some_and(|base| base.is_sparse()) {
        return Err(sparse::refused("log of a sparse tensor"));
    }
    if let Operand::Number(base) = base
        && equal(*base, Number::I64(1))
    {
        return Err(Error::bad_request("the logarithm to base 1 is undefined"));
    }
    let dtype = promote::float(promote::operand(of, base));
    let (of, base) = (build::cast(of, dtype), build::cast_operand(base, dtype));
    if promote::is_complex(dtype) {
        let scale = match base {
            Operand::Tensor(base) => Operand::Tensor(build::unary(Unary::Log, &base, dtype)),
            Operand::Number(base) => Operand::Number(math::ln(base)?),
        };
        return binary::apply("log", Binary::Div, &build::unary(Unary::Log, &of, dtype), &scale);
    }
    let shape = match &base {
        Operand::Tensor(base) => of.shape().broadcast(base.shape())?,
        Operand::Number(_) => of.shape().clone(),
    };
    let schema = TensorSchema { layout: of.schema.layout, dtype, shape };
    Ok(build::binary(Binary::LogBase, Operand::Tensor(of), base, schema))
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, C, F, S, V, VI, check, check_schema, refuse};

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; r = $a/{request}")
    }

    #[test]
    fn elements_become_what_the_function_says() {
        check(&of(VI, "abs [null]"), "D(I32,[4])[1,0,1,2]");
        check(&of(VI, "abs {}"), "D(I32,[4])[1,0,1,2]");
        check(&of("D(U8,[2])[1,200]", "abs [null]"), "D(U8,[2])[1,200]");
        check(&of(C, "abs [null]"), "D(F64,[2])[2.23606797749979,3.1622776601683795]");
        check(&of("D(F64,[6])[0.5,1.5,2.5,-0.5,-1.5,2.4]", "round [null]"), "D(F64,[6])[1,2,3,-1,-2,2]");
        check(&of(VI, "round [null]"), "D(I32,[4])[1,0,-1,2]");
        check(&of(VI, "not [null]"), "D(Bool,[4])[false,true,false,false]");
        check(&of(VI, "logical_not [null]"), "D(Bool,[4])[false,true,false,false]");
        check(&of(S, "abs [null]"), "S(I32,[2,3])[[[0,1],5],[[1,2],7]]");
    }

    #[test]
    fn results_that_are_not_whole_are_floats() {
        for (fixture, dtype) in [
            ("D(Bool,[1])[true]", "F32"),
            ("D(U8,[1])[1]", "F32"),
            ("D(I32,[1])[1]", "F32"),
            ("D(U64,[1])[1]", "F64"),
            ("D(I64,[1])[1]", "F64"),
            ("D(F32,[1])[1]", "F32"),
            ("D(F64,[1])[1]", "F64"),
            ("D(C32,[1])[1,0]", "C32"),
        ] {
            for function in ["exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan"] {
                check_schema(&of(fixture, &format!("{function} [null]")), &format!("D({dtype},[1])"));
            }
            for function in ["asinh", "acosh", "atanh"] {
                check_schema(&of(fixture, &format!("{function} [null]")), &format!("D({dtype},[1])"));
            }
        }
    }

    #[test]
    fn logarithms_may_have_a_base() {
        check(&of("D(F64,[2])[1,4]", "log [2]"), "D(F64,[2])[0,2]");
        check(&of("D(F64,[2])[1,4]", r#"log {"r":2}"#), "D(F64,[2])[0,2]");
        check_schema(&of(A, "log [2]"), "D(F32,[2,3])");
        check_schema(&of(A, "log [2.5]"), "D(F64,[2,3])");
        check_schema(&of(C, "log [2]"), "D(C64,[2])");
        check_schema(&format!("a = {F}; b = D(I64,[3])[2,3,4]; r = $a/log [\"$b\"]"), "D(F64,[2,3])");
        refuse(&of(V, "log [1]"), "the logarithm to base 1 is undefined");
        refuse(&of(V, r#"log ["e"]"#), r#"expected a tensor or a number as r of log, found "e""#);
    }

    #[test]
    fn sparse_tensors_keep_their_zeros() {
        for function in ["round", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh"] {
            let dtype = if function == "round" { "I32" } else { "F32" };
            check_schema(&of(S, &format!("{function} [null]")), &format!("S({dtype},[2,3])"));
        }
        for function in ["cos", "cosh", "acos", "acosh", "exp", "log", "not"] {
            let message = format!("{function} of a sparse tensor would not be sparse: make it dense first");
            refuse(&of(S, &format!("{function} [null]")), &message);
        }
        refuse(&of(S, "log [2]"), "log of a sparse tensor would not be sparse: make it dense first");
    }
}
