//! The choice between two operands, element by element.

use std::sync::Arc;

use super::args::Args;
use super::call::{Action, reply};
use super::{build, promote, sparse};
use crate::error::Result;
use crate::value::Tensor;
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{Layout, Node, Operand, TensorSchema};

/// A call of `cond`: where the condition is not zero `then`, elsewhere `or_else`.
///
/// # Errors
/// `BadRequest` if one of the two is missing, or neither tensor nor number; if the shapes do not match; if nothing is dense
/// but the result would be.
pub(super) fn call(condition: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let [then, or_else] = args.params(["then", "or_else"])?;
    let (then, or_else) = (args.operand("then", then)?, args.operand("or_else", or_else)?);

    let mut shape = condition.shape().clone();
    for tensor in [&then, &or_else].into_iter().filter_map(|choice| choice.tensor()) {
        shape = shape.broadcast(tensor.shape())?;
    }
    let layout = layout(condition, &then, &or_else)?;
    let dtype = promote::choice(&then, &or_else);
    let choice = |of: &Operand| build::operand_of(layout, &build::cast_operand(of, dtype));
    let node = Node::Select {
        condition: match layout {
            Layout::Dense => build::relayout(condition, Layout::Dense),
            Layout::Sparse => Arc::clone(condition),
        },
        then: choice(&then),
        or_else: choice(&or_else),
    };
    Ok(reply(build::tensor(TensorSchema { layout, dtype, shape }, node)))
}

/// The layout of a choice: sparse, if the condition is, and so is what is chosen where the condition is zero.
fn layout(condition: &Tensor, then: &Operand, or_else: &Operand) -> Result<Layout> {
    let is_dense = |of: &Operand| of.tensor().is_some_and(|of| !of.is_sparse());
    let is_zero = match or_else {
        Operand::Tensor(or_else) => or_else.is_sparse(),
        Operand::Number(number) => !is_truthy(*number),
    };
    match condition.is_sparse() {
        true if is_zero => Ok(Layout::Sparse),
        true if !is_dense(then) && !is_dense(or_else) => {
            Err(sparse::refused("cond of a sparse tensor and this or_else"))
        }
        _ => Ok(Layout::Dense),
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{SS, VI, check, refuse};

    fn of(request: &str) -> String {
        format!("a = {VI}; b = D(I32,[4])[0,0,2,-2]; c = $a/gt {{\"r\":0}}; r = $c/cond {request}")
    }

    #[test]
    fn elements_are_chosen() {
        check(&of(r#"{"then":"$a","or_else":"$b"}"#), "D(I32,[4])[1,0,2,2]");
        check(&of(r#"{"then":"$a","or_else":0}"#), "D(I32,[4])[1,0,0,2]");
        check(&of(r#"{"then":1,"or_else":0.5}"#), "D(F64,[4])[1,0.5,0.5,1]");
        check(&of(r#"{"then":1,"or_else":0}"#), "D(I64,[4])[1,0,0,1]");
        let condition = format!(r#"a = {VI}; b = D(I32,[4])[0,0,2,-2]; r = $a/cond {{"then":"$a","or_else":"$b"}}"#);
        check(&condition, "D(I32,[4])[1,0,-1,2]");
        let dtypes = format!(
            r#"a = {VI}; c = $a/gt {{"r":0}}; d = D(F64,[4])[0,0,2,-2]; r = $c/cond {{"then":"$a","or_else":"$d"}}"#
        );
        check(&dtypes, "D(F64,[4])[1,0,2,2]");
        let broadcast = r#"c = D(Bool,[2,1])[1,0]; a = D(I32,[2])[1,2]; r = $c/cond {"then":"$a","or_else":-1}"#;
        check(broadcast, "D(I32,[2,2])[1,2,-1,-1]");
    }

    #[test]
    fn choices_are_checked() {
        refuse(&of(r#"{"then":"$a"}"#), "cond needs or_else");
        refuse(&of(r#"{"then":"$a","or_else":"x"}"#), r#"expected a tensor or a number as or_else of cond, found "x""#);
        let shapes = format!(r#"a = {VI}; d = D(I32,[3])[]; r = $a/cond {{"then":"$d","or_else":0}}"#);
        refuse(&shapes, "cannot broadcast shapes [4] and [3]: 4 is not 3");
    }

    #[test]
    fn layouts_of_choices() {
        let with = |request: &str| format!("{SS}; r = {request}");
        check(&with(r#"$s/cond {"then":"$a","or_else":"$a"}"#), "D(I32,[4])[5,0,-1,0]");
        check(&with(r#"$s/cond {"then":"$s","or_else":"$u"}"#), "S(I32,[4])[[[0],5],[[1],-7],[[2],1],[[3],4]]");
        check(&with(r#"$a/cond {"then":"$s","or_else":"$u"}"#), "D(I32,[4])[5,2,1,4]");
        check(&with(r#"$s/cond {"then":"$s","or_else":0}"#), "S(I32,[4])[[[0],5],[[1],-7],[[2],1]]");
        check(&with(r#"$s/cond {"then":"$a","or_else":1}"#), "D(I32,[4])[5,0,-1,1]");
        let message = "cond of a sparse tensor and this or_else would not be sparse: make it dense first";
        refuse(&with(r#"$s/cond {"then":"$s","or_else":1}"#), message);
    }
}
