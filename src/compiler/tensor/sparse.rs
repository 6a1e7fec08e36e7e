//! Which results are sparse, and which would not be and are refused.
//!
//! A result is sparse if it is zero wherever its sparse operands are. Where that does not follow from the operation, the
//! program has to say that it wants a dense result, because that may be larger than anything it began with.

use crate::error::{Error, Result};
use crate::value::number::cast::to_f64;
use crate::value::number::compare::{equal, partial_compare};
use crate::value::tensor::{Binary, Layout, Unary};
use crate::value::{Number, Tensor};

/// The layout of the result of two tensors. `name` is what is done, for messages.
///
/// # Errors
/// `BadRequest` if one is sparse and the result would be neither sparse nor asked for as dense.
pub(super) fn of_tensors(name: &str, op: Binary, l: Layout, r: Layout) -> Result<Layout> {
    use Binary::*;
    use Layout::{Dense, Sparse};
    let layout = match (op, l, r) {
        (_, Dense, Dense) => Some(Dense),
        (Mul | And, ..) => Some(Sparse),
        // What is left out of the divisor is zero, so there is no quotient.
        (Div | Mod, _, Sparse) | (LogBase, ..) => None,
        (Div | Mod, Sparse, Dense) => Some(Sparse),
        (Pow, l, _) => Some(l),
        (Eq | Ge | Le, Sparse, Sparse) => None,
        (Add | Sub | Or | Xor | Ne | Gt | Lt, Sparse, Sparse) => Some(Sparse),
        (Add | Sub | Or | Xor | Ne | Gt | Lt | Eq | Ge | Le, ..) => Some(Dense),
    };
    layout.ok_or_else(|| {
        let class = |layout: Layout| if layout == Sparse { "a sparse" } else { "a dense" };
        refused(&format!("{name} of {} and {} tensor", class(l), class(r)))
    })
}

/// The layout of the result of a tensor and a number of the dtype that both are cast to. The number is no divisor that is
/// zero.
///
/// # Errors
/// As [`of_tensors`].
pub(super) fn of_number(name: &str, op: Binary, l: Layout, r: Number) -> Result<Layout> {
    use Binary::*;
    let is_sparse = match op {
        _ if l == Layout::Dense => return Ok(Layout::Dense),
        Mul | And | Div | Mod => true,
        Pow => to_f64(r) > 0.0,
        // Also where the number is zero: whether a program works should not depend on that.
        Add | Sub | Or | Xor | LogBase => false,
        Eq | Ne | Gt | Ge | Lt | Le => !holds(op, Number::Bool(false), r),
    };
    if is_sparse { Ok(Layout::Sparse) } else { Err(refused(&format!("{name} of a sparse tensor and {r}"))) }
}

/// Checks that a function of one element of this tensor is zero where the tensor is.
///
/// # Errors
/// `BadRequest` if the tensor is sparse and the function is not.
pub(super) fn check_unary(name: &str, op: Unary, of: &Tensor) -> Result<()> {
    use Unary::*;
    match op {
        Cos | Cosh | Acos | Acosh | Exp | Log | Not if of.is_sparse() => {
            Err(refused(&format!("{name} of a sparse tensor")))
        }
        _ => Ok(()),
    }
}

/// The error for a result that would not be sparse.
pub(super) fn refused(what: &str) -> Error {
    Error::bad_request(format!("{what} would not be sparse: make it dense first"))
}

/// Whether a comparison holds. Nothing but "not equal" holds of NaN.
pub(super) fn holds(op: Binary, l: Number, r: Number) -> bool {
    let order = || partial_compare(l, r);
    match op {
        Binary::Eq => equal(l, r),
        Binary::Ne => !equal(l, r),
        Binary::Gt => order().is_some_and(|order| order.is_gt()),
        Binary::Ge => order().is_some_and(|order| order.is_ge()),
        Binary::Lt => order().is_some_and(|order| order.is_lt()),
        Binary::Le => order().is_some_and(|order| order.is_le()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S, D, or ! for what is refused.
    fn letter(layout: Result<Layout>) -> char {
        match layout {
            Ok(Layout::Sparse) => 'S',
            Ok(Layout::Dense) => 'D',
            Err(_) => '!',
        }
    }

    #[test]
    fn the_layouts_are_those_of_the_table() {
        use Binary::*;
        use Layout::{Dense, Sparse};
        // Sparse with sparse, sparse with dense, dense with sparse; then sparse with the numbers 1, 0, -1.
        for (op, expected) in [
            (Add, "SDD!!!"),
            (Sub, "SDD!!!"),
            (Mul, "SSSSSS"),
            (Pow, "SSDS!!"),
            (And, "SSSSSS"),
            (Or, "SDD!!!"),
            (Xor, "SDD!!!"),
            (Eq, "!DDS!S"),
            (Ne, "SDD!S!"),
            (Gt, "SDDSS!"),
            (Lt, "SDD!SS"),
            (Ge, "!DDS!!"),
            (Le, "!DD!!S"),
        ] {
            let pairs = [(Sparse, Sparse), (Sparse, Dense), (Dense, Sparse)];
            let tensors = pairs.map(|(l, r)| letter(of_tensors("it", op, l, r)));
            let numbers = [1, 0, -1].map(|n| letter(of_number("it", op, Sparse, Number::I32(n))));
            let found: String = tensors.into_iter().chain(numbers).collect();
            assert_eq!(found, expected, "{op:?}");
        }
        for op in [Div, Mod] {
            assert_eq!(letter(of_tensors("it", op, Sparse, Sparse)), '!');
            assert_eq!(letter(of_tensors("it", op, Sparse, Dense)), 'S');
            assert_eq!(letter(of_tensors("it", op, Dense, Sparse)), '!');
            assert_eq!(letter(of_number("it", op, Sparse, Number::I32(2))), 'S');
        }
    }
}
