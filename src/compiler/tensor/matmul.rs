//! Matrices: their products and diagonals. A tensor of more than two axes is a batch of them.

use std::sync::Arc;

use super::args::Args;
use super::call::{Action, reply};
use super::{build, promote};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::{Layout, Node, Shape, TensorSchema};

/// A call of `matmul`. A tensor of one axis is a row on the left, and a column on the right; the axis that it lacks is not in
/// the result.
///
/// # Errors
/// As [`product`]; `BadRequest` if the operand is no tensor.
pub(super) fn call(l: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let r = args.tensor("r", args.one("r")?)?;
    let (is_row, is_column) = (l.shape().ndim() == 1, r.shape().ndim() == 1);
    if !is_row && !is_column {
        return product(l, r).map(reply);
    }
    let row = if is_row { build::reshape(l, Shape::try_new([1, l.size()])?) } else { Arc::clone(l) };
    let column = if is_column { build::reshape(r, Shape::try_new([r.size(), 1])?) } else { Arc::clone(r) };
    // The shapes of an error there are not those that the program knows.
    let product =
        product(&row, &column).map_err(|_| cannot_multiply(l, r, "the vector and the other differ in length"))?;
    let mut dims = product.shape().dims().to_vec();
    if is_column {
        dims.pop();
    }
    if is_row {
        dims.remove(dims.len() - if is_column { 1 } else { 2 });
    }
    match dims.is_empty() {
        true => Ok(Action::Element { of: product, offset: 0 }),
        false => Ok(reply(build::reshape(&product, Shape::try_new(dims)?))),
    }
}

/// The products of matrices, whose batches broadcast.
///
/// # Shapes
/// `l [.., m, k]`, `r [.., k, n]` → `[.., m, n]`
///
/// # Errors
/// `BadRequest` if `k` differs, or the batches do not broadcast.
pub(super) fn product(l: &Arc<Tensor>, r: &Arc<Tensor>) -> Result<Arc<Tensor>> {
    let (Some((l_batch, [m, k])), Some((r_batch, [r_k, n]))) =
        (l.shape().dims().split_last_chunk::<2>(), r.shape().dims().split_last_chunk::<2>())
    else {
        return Err(cannot_multiply(l, r, "matrices have two axes"));
    };
    if k != r_k {
        return Err(cannot_multiply(l, r, &format!("inner dimensions {k} and {r_k} differ")));
    }
    let mut dims = match (l_batch, r_batch) {
        ([], batch) | (batch, []) => batch.to_vec(),
        (l_batch, r_batch) => Shape::try_new(l_batch)?.broadcast(&Shape::try_new(r_batch)?)?.dims().to_vec(),
    };
    dims.extend([*m, *n]);
    let layout = if l.is_sparse() || r.is_sparse() { Layout::Sparse } else { Layout::Dense };
    let dtype = promote::tensors(l.dtype(), r.dtype());
    let schema = TensorSchema { layout, dtype, shape: Shape::try_new(dims)? };
    Ok(build::tensor(schema, Node::MatMul { l: build::cast(l, dtype), r: build::cast(r, dtype) }))
}

/// A call of `diagonal`.
///
/// # Shapes
/// `[.., n, n]` → `[.., n]`
///
/// # Errors
/// `BadRequest` if the last two dimensions differ, or there is only one.
pub(super) fn diagonal(of: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    args.none()?;
    let dims = of.shape().dims();
    match dims {
        [.., rows, columns] if rows == columns => {
            let schema = TensorSchema { shape: Shape::try_new(&dims[..dims.len() - 1])?, ..of.schema.clone() };
            Ok(reply(build::tensor(schema, Node::Diagonal { of: Arc::clone(of) })))
        }
        _ => Err(Error::bad_request(format!("a tensor of shape {} is no square matrix", of.shape()))),
    }
}

fn cannot_multiply(l: &Tensor, r: &Tensor, why: &str) -> Error {
    Error::bad_request(format!("cannot multiply {} by {}: {why}", l.shape(), r.shape()))
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, F, check, refuse};

    fn product(l: &str, r: &str) -> String {
        format!(r#"a = {l}; b = {r}; r = $a/matmul {{"r":"$b"}}"#)
    }

    #[test]
    fn products_of_matrices() {
        check(&product(F, "D(F64,[3,2])[1,2,3,4,5,6]"), "D(F64,[2,2])[22,28,49,64]");
        check(&product(A, "D(F64,[3,1])[1,0,0.5]"), "D(F64,[2,1])[2.5,7]");
        let booleans = "D(Bool,[2,2])[true,true,false,true]";
        check(&product(booleans, booleans), booleans);
        check(&product("D(C64,[1,2])[1,2,3,-1]", "D(C64,[2,1])[1,2,3,-1]"), "D(C64,[1,1])[5,-2]");
        refuse(&product(F, F), "cannot multiply [2, 3] by [2, 3]: inner dimensions 3 and 2 differ");
        let number = format!(r#"a = {F}; r = $a/matmul {{"r":2}}"#);
        refuse(&number, "expected a tensor as r of matmul, found 2");
    }

    #[test]
    fn products_of_batches() {
        let batch = "D(F64,[2,2,2])[1,2,3,4,5,6,7,8]";
        check(&product(batch, "D(F64,[2,2,2])[1,0,0,1,2,0,0,2]"), "D(F64,[2,2,2])[1,2,3,4,10,12,14,16]");
        check(&product(batch, "D(F64,[2,2])[1,0,0,1]"), batch);
        check(&product("D(F64,[2,2])[1,0,0,1]", batch), batch);
        let message = "cannot broadcast shapes [2] and [3]: 2 is not 3";
        refuse(&product(batch, "D(F64,[3,2,2])[]"), message);
    }

    #[test]
    fn products_with_vectors() {
        check(&product(F, "D(F64,[3])[1,0,2]"), "D(F64,[2])[7,16]");
        check(&product("D(F64,[2])[1,2]", F), "D(F64,[3])[9,12,15]");
        check(&product("D(F64,[2])[1,2]", "D(F64,[2])[3,4]"), "11");
        check(&product("D(I64,[2,2,2])[1,2,3,4,5,6,7,8]", "D(I64,[2])[1,1]"), "D(I64,[2,2])[3,7,11,15]");
        let message = "cannot multiply [2, 3] by [2]: the vector and the other differ in length";
        refuse(&product(F, "D(F64,[2])[]"), message);
    }

    #[test]
    fn products_with_sparse_matrices() {
        let (dense, sparse) = ("D(F64,[2,2])[1,2,3,4]", "S(F64,[2,2])[[[0,1],5]]");
        check(&product(dense, sparse), "S(F64,[2,2])[[[0,1],5],[[1,1],15]]");
        check(&product(sparse, dense), "S(F64,[2,2])[[[0,0],15],[[0,1],20]]");
        check(&product(sparse, "S(F64,[2,2])[[[1,0],2]]"), "S(F64,[2,2])[[[0,0],10]]");
    }

    #[test]
    fn diagonals() {
        let of = |fixture: &str| format!("a = {fixture}; r = $a/diagonal [null]");
        check(&of("D(I32,[2,2])[1,2,3,4]"), "D(I32,[2])[1,4]");
        check(&of("D(I64,[2,2,2])[1,2,3,4,5,6,7,8]"), "D(I64,[2,2])[1,4,5,8]");
        check("a = ~sparse/eye [2]; r = $a/diagonal [null]", "S(Bool,[2])[[[0],true],[[1],true]]");
        refuse(&of(A), "a tensor of shape [2, 3] is no square matrix");
        refuse(&of("D(I32,[4])[]"), "a tensor of shape [4] is no square matrix");
    }
}
