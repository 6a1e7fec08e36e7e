//! What many elements are reduced to.

use std::sync::Arc;

use super::args::Args;
use super::axes::axes;
use super::call::{Action, reply};
use super::{build, einsum, promote};
use crate::compiler::collection::view::truth;
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::value::tensor::{Reduction, Unary};
use crate::value::{Number, Tensor};

/// The reduction that a method computes.
pub(super) fn named(method: &str) -> Option<Reduction> {
    Some(match method {
        "sum" => Reduction::Sum,
        "product" => Reduction::Product,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        "all" => Reduction::All,
        "any" => Reduction::Any,
        _ => return None,
    })
}

/// A call with the axes as the key, or with the parameters `axes` and `keepdims`. Without axes, all elements are meant.
pub(super) fn call(op: Reduction, of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let over = Over::read(of, args, "axes")?;
    if matches!(op, Reduction::Max | Reduction::Min) && promote::is_complex(of.dtype()) {
        return Err(Error::bad_request(format!("complex numbers have no order: {} is not defined", args.name)));
    }
    let axes = over.axes.unwrap_or_else(|| (0..of.shape().ndim()).collect());
    if axes.len() == of.shape().ndim() && !over.keeps_axes {
        return Ok(Action::Fold { op, of: Arc::clone(of) });
    }
    if op == Reduction::Sum
        && !over.keeps_axes
        && let Some(product) = einsum::contraction(of, &axes)?
    {
        return Ok(reply(product));
    }
    build::reduce(op, of, &axes, over.keeps_axes).map(reply)
}

/// A call of `norm`, with axes as for [`call`], but the parameter is `axis`. Without axes, the norms of all matrices are
/// meant.
pub(super) fn norm(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let over = Over::read(of, args, "axis")?;
    let ndim = of.shape().ndim();
    let axes = over.axes.unwrap_or_else(|| (ndim.saturating_sub(2)..ndim).collect());
    let dtype = promote::real(promote::float(of.dtype()));
    if axes.len() == ndim && !over.keeps_axes {
        return Ok(Action::Norm { of: Arc::clone(of), dtype });
    }
    let magnitudes = match promote::is_complex(of.dtype()) {
        true => build::unary(Unary::Abs, of, dtype),
        false => build::cast(of, dtype),
    };
    let squares = build::power(&magnitudes, Number::F64(2.0));
    let sums = build::reduce(Reduction::Sum, &squares, &axes, over.keeps_axes)?;
    Ok(reply(build::power(&sums, Number::F64(0.5))))
}

/// What a reduction is over.
struct Over {
    /// The axes in ascending order, unless it is not said which.
    axes: Option<Vec<usize>>,
    /// Whether they stay, with one position each.
    keeps_axes: bool,
}

impl Over {
    fn read(of: &Tensor, args: &Args<'_>, param: &str) -> Result<Self> {
        let (listed, keeps_axes) = match args.shape() {
            Shape::Get => (args.at(0), None),
            _ => {
                let [listed, keeps_axes] = args.params([param, "keepdims"])?;
                (listed, keeps_axes)
            }
        };
        let keeps_axes = keeps_axes.map_or(Ok(false), truth)?;
        let mut axes = listed.map(|listed| axes(of.shape(), listed)).transpose()?;
        if let Some(axes) = &mut axes {
            axes.sort_unstable();
        }
        Ok(Self { axes, keeps_axes })
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, C, F, S, V, check, check_schema, refuse};

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; r = $a/{request}")
    }

    #[test]
    fn over_all_elements() {
        check(&of(F, "sum {}"), "21");
        check(&of(F, r#"sum {"axes":[0,1]}"#), "21");
        check(&of(F, r#"sum {"axes":null}"#), "21");
        check(&of(A, "max [null]"), "6");
        check(&of(A, "product [null]"), "720");
        check(&of("D(I32,[2])[1,2]", r#"sum {"axes":[0]}"#), "3");
        check(&of(V, "all [null]"), "false");
        check(&of(V, "any [null]"), "true");
        check(&of(C, "sum {}"), "4+1i");
        check(&of(S, "min [null]"), "-7");
    }

    #[test]
    fn along_axes() {
        check(&of(F, r#"sum {"axes":[0]}"#), "D(F64,[3])[5,7,9]");
        check(&of(F, r#"sum {"axes":[-1]}"#), "D(F64,[2])[6,15]");
        check(&of(F, r#"sum {"axes":0}"#), "D(F64,[3])[5,7,9]");
        check(&of(F, "sum [[0]]"), "D(F64,[3])[5,7,9]");
        check(&of(A, "max [[1]]"), "D(I32,[2])[3,6]");
        check(&of(A, "min [0]"), "D(I32,[3])[1,2,3]");
        check(&of(A, "product [[0]]"), "D(I32,[3])[4,10,18]");
        check(&of("D(I64,[2,2,2])[1,2,3,4,5,6,7,8]", r#"sum {"axes":[2,0]}"#), "D(I64,[2])[14,22]");
        check(&of("D(Bool,[2,2])[1,1,0,0]", r#"sum {"axes":[1]}"#), "D(I64,[2])[2,0]");
        check(&of(F, "all [[0]]"), "D(Bool,[3])[true,true,true]");
        check(&of(S, "max [[0]]"), "S(I32,[3])[[[1],5]]");
        check(&of(S, r#"sum {"axes":[0]}"#), "S(I32,[3])[[[1],5],[[2],-7]]");
    }

    #[test]
    fn axes_may_be_kept() {
        check(&of(F, r#"sum {"axes":[1],"keepdims":true}"#), "D(F64,[2,1])[6,15]");
        check(&of(F, r#"sum {"axes":[0,1],"keepdims":true}"#), "D(F64,[1,1])[21]");
        check(&of(F, r#"sum {"keepdims":true}"#), "D(F64,[1,1])[21]");
        check(&of(A, r#"max {"axes":[0],"keepdims":true}"#), "D(I32,[1,3])[4,5,6]");
        check(&of(S, r#"sum {"axes":[0],"keepdims":true}"#), "S(I32,[1,3])[[[0,1],5],[[0,2],-7]]");
        refuse(&of(F, r#"sum {"keepdims":1}"#), "expected true or false, found 1");
    }

    #[test]
    fn norms() {
        check(&of(F, "norm {}"), "norm F64");
        check(&of(F, r#"norm {"axis":null}"#), "norm F64");
        check(&of(A, "norm {}"), "norm F32");
        check(&of(C, "norm {}"), "norm F64");
        check(&of(V, r#"norm {"axis":0}"#), "norm F64");
        check(&of("D(F64,[2,2])[3,4,6,8]", r#"norm {"axis":-1}"#), "D(F64,[2])[5,10]");
        check(&of("D(F64,[2,2])[3,4,4,3]", r#"norm {"axis":0,"keepdims":true}"#), "D(F64,[1,2])[5,5]");
        check(&of("D(F64,[1,2])[3,4]", r#"norm {"keepdims":true}"#), "D(F64,[1,1])[5]");
        check(&of("D(F64,[2,1,2])[3,4,6,8]", "norm {}"), "D(F64,[2])[5,10]");
        check_schema(&of("D(I32,[2,1,2])[3,4,6,8]", "norm {}"), "D(F32,[2])");
        check(&of("D(C64,[2,1])[3,4,6,8]", "norm [1]"), "D(F64,[2])[5,10]");
        check_schema(&of(S, "norm [1]"), "S(F32,[2])");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        refuse(&of(F, r#"sum {"axes":[]}"#), "expected at least one axis");
        refuse(&of(F, r#"sum {"axes":[2]}"#), "a tensor of shape [2, 3] has no axis 2");
        refuse(&of(F, r#"sum {"axes":[0,0]}"#), "axis 0 is listed twice");
        refuse(&of(F, r#"sum {"axis":0}"#), "sum has no parameter axis, only axes, keepdims");
        refuse(&of(F, r#"norm {"axes":0}"#), "norm has no parameter axes, only axis, keepdims");
        refuse(&of(C, "max [null]"), "complex numbers have no order: max is not defined");
    }
}
