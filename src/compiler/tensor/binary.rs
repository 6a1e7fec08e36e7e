//! Functions of two elements: arithmetic, comparison and logic.

use std::cmp::Ordering;
use std::sync::Arc;

use super::args::Args;
use super::call::{Action, reply};
use super::{build, promote, sparse, unary};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::number::cast::{cast, to_integer};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{Binary, Operand, TensorSchema, Unary};
use crate::value::{Number, NumberClass, Tensor};

/// The function that a method computes.
pub(super) fn named(method: &str) -> Option<Binary> {
    Some(match method {
        "add" => Binary::Add,
        "sub" => Binary::Sub,
        "mul" => Binary::Mul,
        "div" => Binary::Div,
        "pow" => Binary::Pow,
        "mod" => Binary::Mod,
        "eq" => Binary::Eq,
        "ne" => Binary::Ne,
        "gt" => Binary::Gt,
        "ge" => Binary::Ge,
        "lt" => Binary::Lt,
        "le" => Binary::Le,
        "and" => Binary::And,
        "or" => Binary::Or,
        "xor" => Binary::Xor,
        _ => return None,
    })
}

/// A call with the right operand as the key or as the parameter `r`.
pub(super) fn call(op: Binary, l: &Arc<Tensor>, args: &Args<'_>) -> Result<Action> {
    let r = args.one("r")?;
    // The client asks for "not" with an "and" of nothing.
    if op == Binary::And && *args.shape() == Shape::Get && r.is_none() {
        return unary::apply("not", Unary::Not, l).map(reply);
    }
    apply(args.name, op, l, &args.operand("r", r)?).map(reply)
}

/// The function of two operands that broadcast. `name` is what is done, for messages.
///
/// # Errors
/// `BadRequest` if the shapes do not match, if the elements have no such function, if a number is divided by that is zero,
/// or if the result should be sparse but would not be.
pub(super) fn apply(name: &str, op: Binary, l: &Arc<Tensor>, r: &Operand) -> Result<Arc<Tensor>> {
    let dtype = promote::operand(l, r);
    check_complex(name, op, dtype)?;
    match r {
        Operand::Tensor(r) => tensors(name, op, (l, r), dtype),
        Operand::Number(r) => number(name, op, (l, *r), dtype),
    }
}

fn tensors(name: &str, op: Binary, (l, r): (&Arc<Tensor>, &Arc<Tensor>), dtype: NumberClass) -> Result<Arc<Tensor>> {
    let shape = l.shape().broadcast(r.shape())?;
    let layout = sparse::of_tensors(name, op, l.schema.layout, r.schema.layout)?;
    let side = |of: &Arc<Tensor>| build::operand_of(layout, &operand(op, Operand::Tensor(Arc::clone(of)), dtype));
    let schema = TensorSchema { layout, dtype: result(op, dtype), shape };
    Ok(build::binary(op, side(l), side(r), schema))
}

fn number(name: &str, op: Binary, (l, r): (&Arc<Tensor>, Number), dtype: NumberClass) -> Result<Arc<Tensor>> {
    if matches!(op, Binary::Div | Binary::Mod) && !is_truthy(r) {
        return Err(Error::bad_request(format!("{name} of a tensor by 0 is undefined")));
    }
    if let Some(beyond) = beyond(dtype, r)
        && let Some(truth) = whatever_the_element(op, beyond)
    {
        let layout = sparse::of_number(name, op, l.schema.layout, r)?;
        let schema = TensorSchema { layout, dtype: NumberClass::Bool, shape: l.shape().clone() };
        return Ok(build::fill(schema, Number::Bool(truth)));
    }
    let r = operand(op, Operand::Number(r), dtype);
    let layout = match r {
        Operand::Number(r) => sparse::of_number(name, op, l.schema.layout, r)?,
        Operand::Tensor(_) => l.schema.layout,
    };
    let schema = TensorSchema { layout, dtype: result(op, dtype), shape: l.shape().clone() };
    Ok(build::binary(op, operand(op, Operand::Tensor(Arc::clone(l)), dtype), r, schema))
}

/// An operand as the function takes it: a logical one takes any.
fn operand(op: Binary, of: Operand, dtype: NumberClass) -> Operand {
    if matches!(op, Binary::And | Binary::Or | Binary::Xor) { of } else { build::cast_operand(&of, dtype) }
}

/// The dtype of the result of operands of `dtype`.
fn result(op: Binary, dtype: NumberClass) -> NumberClass {
    if op.is_predicate() { NumberClass::Bool } else { dtype }
}

/// Refuses what complex numbers do not have.
fn check_complex(name: &str, op: Binary, dtype: NumberClass) -> Result<()> {
    use Binary::*;
    match op {
        Gt | Ge | Lt | Le if promote::is_complex(dtype) => {
            Err(Error::bad_request(format!("complex numbers have no order: {name} is not defined")))
        }
        Mod if promote::is_complex(dtype) => {
            Err(Error::bad_request(format!("{name} of complex numbers is not defined")))
        }
        _ => Ok(()),
    }
}

/// How an integer compares with every integer of `dtype`; nothing if it is one of them, or one of the two is no integer.
///
/// Arithmetic wraps around, and so does the operand. A comparison must not: no UInt8 is -1 or 300.
fn beyond(dtype: NumberClass, number: Number) -> Option<Ordering> {
    if !matches!(dtype.kind(), NumberKind::UInt | NumberKind::Int) {
        return None;
    }
    let value = to_integer(number)?;
    (to_integer(cast(number, dtype)) != Some(value)).then_some(value.cmp(&0))
}

/// What a comparison with a number beyond all elements is, if it is a comparison.
fn whatever_the_element(op: Binary, number: Ordering) -> Option<bool> {
    match op {
        Binary::Eq => Some(false),
        Binary::Ne => Some(true),
        Binary::Lt | Binary::Le => Some(number.is_gt()),
        Binary::Gt | Binary::Ge => Some(number.is_lt()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::compiler::tensor::sample::{A, C, F, SS, V, VI, check, refuse};

    fn of(fixture: &str, request: &str) -> String {
        format!("a = {fixture}; r = {request}")
    }

    #[test]
    fn a_tensor_and_a_number() {
        check(&of(A, r#"$a/mul {"r":2}"#), "D(I32,[2,3])[2,4,6,8,10,12]");
        check(&of(A, r#"$a/add {"r":2.5}"#), "D(F64,[2,3])[3.5,4.5,5.5,6.5,7.5,8.5]");
        check(&of(F, r#"$a/add {"r":2}"#), "D(F64,[2,3])[3,4,5,6,7,8]");
        check(&of("D(F32,[2])[1,2]", r#"$a/div {"r":2.5}"#), "D(F32,[2])[0.4,0.8]");
        check(&of("D(Bool,[2])[true,false]", r#"$a/add {"r":true}"#), "D(Bool,[2])[true,true]");
        check(&of("D(Bool,[2])[true,false]", r#"$a/add {"r":2}"#), "D(I64,[2])[3,2]");
        check(&of(A, "$a/add [1]"), "D(I32,[2,3])[2,3,4,5,6,7]");
        check(&of(A, "$a/mod [2]"), "D(I32,[2,3])[1,0,1,0,1,0]");
        check(&of(VI, r#"$a/mod {"r":3}"#), "D(I32,[4])[1,0,2,2]");
        check(&of(A, r#"$a/div {"r":2}"#), "D(I32,[2,3])[0,1,1,2,2,3]");
        check(&of(A, r#"$a/pow {"r":2}"#), "D(I32,[2,3])[1,4,9,16,25,36]");
        check(&of(V, r#"$a/pow {"r":2}"#), "D(F64,[4])[1,0,1,4]");
    }

    #[test]
    fn tensors_broadcast() {
        let add = |b: &str| format!(r#"a = {A}; b = {b}; r = $a/add {{"r":"$b"}}"#);
        check(&add("D(I32,[2,1])[10,20]"), "D(I32,[2,3])[11,12,13,24,25,26]");
        check(&add("D(I16,[3])[1,2,3]"), "D(I32,[2,3])[2,4,6,5,7,9]");
        check(&add("D(F32,[1])[0.5]"), "D(F32,[2,3])[1.5,2.5,3.5,4.5,5.5,6.5]");
        let both = format!(r#"a = {A}; b = D(I32,[2,1])[10,20]; v = $a [[0]]; r = $v/add {{"r":"$b"}}"#);
        check(&both, "D(I32,[2,3])[11,12,13,21,22,23]");
        refuse(&add("D(I32,[2])[10,20]"), "cannot broadcast shapes [2, 3] and [2]: 3 is not 2");
        let booleans = r#"a = D(Bool,[4])[0,0,1,1]; b = D(Bool,[4])[0,1,0,1]; r = $a/sub {"r":"$b"}"#;
        check(booleans, "D(Bool,[4])[false,false,true,false]");
    }

    #[test]
    fn comparisons_and_logic() {
        let with = |method: &str| format!(r#"a = {VI}; b = D(I32,[4])[0,0,2,-2]; r = $a/{method} {{"r":"$b"}}"#);
        check(&of(VI, r#"$a/ge {"r":0}"#), "D(Bool,[4])[true,true,false,true]");
        check(&of(VI, r#"$a/gte {"r":0}"#), "D(Bool,[4])[true,true,false,true]");
        check(&of(VI, r#"$a/lt {"r":0.5}"#), "D(Bool,[4])[false,true,true,false]");
        check(&with("eq"), "D(Bool,[4])[false,true,false,false]");
        check(&with("and"), "D(Bool,[4])[false,false,true,true]");
        check(&with("xor"), "D(Bool,[4])[true,false,false,false]");
        check(&of(VI, r#"$a/or {"r":true}"#), "D(Bool,[4])[true,true,true,true]");
        check(&of(VI, "$a/and [null]"), "D(Bool,[4])[false,true,false,false]");
        refuse(&of(VI, r#"$a/and {"r":null}"#), "and needs r");
    }

    #[test]
    fn comparisons_do_not_wrap_around() {
        let bytes = "D(U8,[2])[44,255]";
        check(&of(bytes, r#"$a/eq {"r":300}"#), "D(Bool,[2])[false,false]");
        check(&of(bytes, r#"$a/ne {"r":-1}"#), "D(Bool,[2])[true,true]");
        check(&of(bytes, r#"$a/gt {"r":-1}"#), "D(Bool,[2])[true,true]");
        check(&of(bytes, r#"$a/ge {"r":300}"#), "D(Bool,[2])[false,false]");
        check(&of(bytes, r#"$a/le {"r":300}"#), "D(Bool,[2])[true,true]");
        check(&of(bytes, r#"$a/eq {"r":44}"#), "D(Bool,[2])[true,false]");
        check(&of("S(U8,[2])[[[0],5]]", r#"$a/gt {"r":300}"#), "S(Bool,[2])[]");
        refuse(
            &of("S(U8,[2])[[[0],5]]", r#"$a/gt {"r":-1}"#),
            "gt of a sparse tensor and -1 would not be sparse: make it dense first",
        );
    }

    #[test]
    fn no_number_is_divided_by_zero() {
        for zero in ["0", "0.0", "false"] {
            refuse(&of(V, &format!(r#"$a/div {{"r":{zero}}}"#)), "div of a tensor by 0 is undefined");
        }
        refuse(&of(A, "$a/mod [0]"), "mod of a tensor by 0 is undefined");
    }

    #[test]
    fn complex_numbers_have_no_order() {
        check(&of(F, r#"$a/mul {"r":⟨1+2i⟩}"#), "D(C64,[2,3])[1,2,2,4,3,6,4,8,5,10,6,12]");
        check(&of(A, r#"$a/add {"r":⟨1+2i⟩}"#), "D(C64,[2,3])[2,2,3,2,4,2,5,2,6,2,7,2]");
        check(&of(C, r#"$a/add {"r":2}"#), "D(C64,[2])[3,2,5,-1]");
        let real_minus_complex = r#"a = D(F64,[1])[1]; b = D(C64,[1])[1,2]; r = $a/sub {"r":"$b"}"#;
        check(real_minus_complex, "D(C64,[1])[0,-2]");
        check(&of(C, r#"$a/eq {"r":⟨1+2i⟩}"#), "D(Bool,[2])[true,false]");
        let order = "complex numbers have no order: gt is not defined";
        refuse(&of(C, r#"$a/gt {"r":0}"#), order);
        refuse(&of(A, r#"$a/gt {"r":⟨1+2i⟩}"#), order);
        refuse(&of(C, "$a/mod [2]"), "mod of complex numbers is not defined");
    }

    #[test]
    fn sparse_operands() {
        let with = |request: &str| format!("{SS}; r = {request}");
        check(&with(r#"$s/add {"r":"$u"}"#), "S(I32,[4])[[[0],10],[[1],-5],[[2],1],[[3],4]]");
        check(&with(r#"$s/sub {"r":"$u"}"#), "S(I32,[4])[[[1],-9],[[2],1],[[3],-4]]");
        check(&with(r#"$s/sub {"r":"$a"}"#), "D(I32,[4])[0,-7,2,0]");
        check(&with(r#"$a/mul {"r":"$s"}"#), "S(I32,[4])[[[0],25],[[2],-1]]");
        check(&with(r#"$s/div {"r":"$a"}"#), "S(I32,[4])[[[0],1],[[2],-1]]");
        check(&with(r#"$s/mul {"r":-1}"#), "S(I32,[4])[[[0],-5],[[1],7],[[2],-1]]");
        check(&with(r#"$s/ne {"r":"$u"}"#), "S(Bool,[4])[[[1],true],[[2],true],[[3],true]]");
        check(&with(r#"$s/eq {"r":"$a"}"#), "D(Bool,[4])[true,false,false,true]");
        check(&with(r#"$a/eq {"r":"$s"}"#), "D(Bool,[4])[true,false,false,true]");
        check(&with(r#"$s/gt {"r":0}"#), "S(Bool,[4])[[[0],true],[[2],true]]");
        check(&with(r#"$s/and {"r":"$u"}"#), "S(Bool,[4])[[[0],true],[[1],true]]");
        check(&with(r#"$s/or {"r":"$a"}"#), "D(Bool,[4])[true,true,true,false]");
        let column = format!(r#"{SS}; b = S(I32,[2,1])[[[1,0],10]]; r = $s/mul {{"r":"$b"}}"#);
        check(&column, "S(I32,[2,4])[[[1,0],50],[[1,1],-70],[[1,2],10]]");

        let refused = |what: &str| format!("{what} would not be sparse: make it dense first");
        refuse(&with(r#"$a/div {"r":"$s"}"#), &refused("div of a dense and a sparse tensor"));
        refuse(&with(r#"$s/add {"r":1}"#), &refused("add of a sparse tensor and 1"));
        refuse(&with(r#"$s/eq {"r":"$u"}"#), &refused("eq of a sparse and a sparse tensor"));
        refuse(&with(r#"$s/gt {"r":-1}"#), &refused("gt of a sparse tensor and -1"));
        refuse(&with("$s/and [null]"), &refused("not of a sparse tensor"));
    }
}
