//! Axes, as they are named by their positions.

use crate::compiler::collection::schema::{items, show, whole_number};
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::tensor::Shape;

/// The axis that `state` names. A negative one counts from the last.
///
/// # Errors
/// `BadRequest` if it is no whole number, or if there is no such axis.
pub(super) fn axis(shape: &Shape, state: &State) -> Result<usize> {
    let number = whole_number(state)
        .ok_or_else(|| Error::bad_request(format!("expected the number of an axis, found {}", show(state))))?;
    position(number, shape.ndim() as u64)
        .map(|axis| axis as usize)
        .ok_or_else(|| Error::bad_request(format!("a tensor of shape {shape} has no axis {number}")))
}

/// The axes that `state` lists, in its order; a number stands for a list of it.
///
/// # Errors
/// `BadRequest` if there are none, one is listed twice, or as [`axis`].
pub(super) fn axes(shape: &Shape, state: &State) -> Result<Vec<usize>> {
    let Some(listed) = items(state) else { return Ok(vec![axis(shape, state)?]) };
    if listed.is_empty() {
        return Err(Error::bad_request("expected at least one axis"));
    }
    let mut axes = Vec::with_capacity(listed.len().min(shape.ndim()));
    for state in listed {
        let axis = axis(shape, state)?;
        if axes.contains(&axis) {
            return Err(Error::bad_request(format!("axis {axis} is listed twice")));
        }
        axes.push(axis);
    }
    Ok(axes)
}

/// The position that `number` means along `len` of them, where a negative one counts from the end; nothing if it lies
/// outside.
pub(super) fn position(number: i128, len: u64) -> Option<u64> {
    let from_start = if number < 0 { number + i128::from(len) } else { number };
    u64::try_from(from_start).ok().filter(|position| *position < len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::collection::sample::state;

    fn read(text: &str) -> Result<Vec<usize>, String> {
        let shape = Shape::try_new(vec![2u64, 3, 4]).unwrap();
        axes(&shape, &state(text)).map_err(|error| error.message().to_string())
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(read("0"), Ok(vec![0]));
        assert_eq!(read("[-1,0]"), Ok(vec![2, 0]));
        assert_eq!(read("[-3]"), Ok(vec![0]));
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        let none = |axis: &str| Err(format!("a tensor of shape [2, 3, 4] has no axis {axis}"));
        assert_eq!(read("3"), none("3"));
        assert_eq!(read("[-4]"), none("-4"));
        assert_eq!(read("[0,-3]"), Err("axis 0 is listed twice".into()));
        assert_eq!(read("[]"), Err("expected at least one axis".into()));
        assert_eq!(read(r#""x""#), Err(r#"expected the number of an axis, found "x""#.into()));
        assert_eq!(read("[0.5]"), Err("expected the number of an axis, found 0.5".into()));
        assert_eq!(read("true"), Err("expected the number of an axis, found true".into()));
    }
}
