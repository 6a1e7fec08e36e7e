//! Methods of numbers. Operands follow the promotion rules of [`crate::value::number`].

use super::{Body, Method, Param, Params, ResultClass, param};
use crate::error::Result;
use crate::value::number::{Number, arith, compare, math};
use crate::value::{Class, NumberClass, State, Value, cast, equal};

const R: Param = param("r", "Number");
const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
const NUMBER: ResultClass = ResultClass::Exactly(Class::Number);

/// The number that a state is, or reads as.
fn number(state: &State) -> Result<Number> {
    match state {
        State::Value(Value::Number(number)) => Ok(*number),
        other => cast::to_number(other),
    }
}

macro_rules! binary {
    ($name:literal, $result:expr, $body:expr, $doc:literal, $example:expr) => {
        Method {
            name: $name,
            aliases: &[],
            params: Params::One(R),
            result: $result,
            doc: $doc,
            example: $example,
            body: Body::Binary(|l, r| Ok($body(number(l)?, number(r)?)?.into())),
        }
    };
}

macro_rules! unary {
    ($name:literal, $result:expr, $body:expr, $doc:literal, $example:expr) => {
        Method {
            name: $name,
            aliases: &[],
            params: Params::None,
            result: $result,
            doc: $doc,
            example: $example,
            body: Body::Unary(|n| Ok($body(number(n)?)?.into())),
        }
    };
}

macro_rules! comparison {
    ($name:literal, $aliases:expr, $test:expr, $doc:literal, $example:expr) => {
        Method {
            name: $name,
            aliases: $aliases,
            params: Params::One(R),
            result: BOOL,
            doc: $doc,
            example: $example,
            body: Body::Binary(|l, r| {
                let ordering = compare::partial_compare(number(l)?, number(r)?);
                Ok(ordering.is_some_and($test).into())
            }),
        }
    };
}

macro_rules! logical {
    ($name:literal, $test:expr, $doc:literal, $example:expr) => {
        Method {
            name: $name,
            aliases: &[],
            params: Params::One(R),
            result: BOOL,
            doc: $doc,
            example: $example,
            body: Body::Binary(|l, r| {
                let test: fn(bool, bool) -> bool = $test;
                Ok(test(compare::is_truthy(number(l)?), compare::is_truthy(number(r)?)).into())
            }),
        }
    };
}

pub(super) static METHODS: &[Method] = &[
    unary!(
        "abs",
        NUMBER,
        math::abs,
        "The absolute value; of a complex number, a Float.",
        (r#"[["x",-2],["r",{"$x/abs":[null]}]]"#, "2")
    ),
    unary!(
        "acos",
        NUMBER,
        math::acos,
        "The inverse cosine, in radians.",
        (r#"[["x",1],["r",{"$x/acos":[null]}]]"#, "0.0")
    ),
    unary!(
        "acosh",
        NUMBER,
        math::acosh,
        "The inverse hyperbolic cosine.",
        (r#"[["x",1],["r",{"$x/acosh":[null]}]]"#, "0.0")
    ),
    binary!(
        "add",
        ResultClass::Promoted,
        arith::add,
        "The sum. Of two Bools, their `or`. Integer overflow is an error.",
        (r#"[["x",5],["r",{"$x/add":{"r":1}}]]"#, "6")
    ),
    logical!("and", |l, r| l && r, "Whether both are not zero.", (r#"[["x",5],["r",{"$x/and":[0]}]]"#, "false")),
    unary!(
        "asin",
        NUMBER,
        math::asin,
        "The inverse sine, in radians.",
        (r#"[["x",0],["r",{"$x/asin":[null]}]]"#, "0.0")
    ),
    unary!(
        "asinh",
        NUMBER,
        math::asinh,
        "The inverse hyperbolic sine.",
        (r#"[["x",0],["r",{"$x/asinh":[null]}]]"#, "0.0")
    ),
    unary!(
        "atan",
        NUMBER,
        math::atan,
        "The inverse tangent, in radians.",
        (r#"[["x",0],["r",{"$x/atan":[null]}]]"#, "0.0")
    ),
    unary!(
        "atanh",
        NUMBER,
        math::atanh,
        "The inverse hyperbolic tangent.",
        (r#"[["x",0],["r",{"$x/atanh":[null]}]]"#, "0.0")
    ),
    unary!("cos", NUMBER, math::cos, "The cosine of radians.", (r#"[["x",0],["r",{"$x/cos":[null]}]]"#, "1.0")),
    unary!("cosh", NUMBER, math::cosh, "The hyperbolic cosine.", (r#"[["x",0],["r",{"$x/cosh":[null]}]]"#, "1.0")),
    binary!(
        "div",
        ResultClass::Promoted,
        arith::div,
        "The quotient; of integers, truncated toward zero. Division by zero is an error.",
        (r#"[["x",5],["r",{"$x/div":{"r":2}}]]"#, "2")
    ),
    Method {
        name: "eq",
        aliases: &[],
        params: Params::One(R),
        result: BOOL,
        doc: "Whether both are numerically equal, exactly. A String counts as the number that it reads as.",
        example: (r#"[["x",1],["r",{"$x/eq":[1.0]}]]"#, "true"),
        body: Body::Binary(|l, r| Ok(equal::equal(l, r).into())),
    },
    unary!(
        "exp",
        NUMBER,
        math::exp,
        "The exponential, e to this power.",
        (r#"[["x",0],["r",{"$x/exp":[null]}]]"#, "1.0")
    ),
    comparison!(
        "ge",
        &["gte"],
        |o| o.is_ge(),
        "Whether this is greater or equal. False if either is complex or NaN.",
        (r#"[["x",5],["r",{"$x/ge":[5]}]]"#, "true")
    ),
    comparison!(
        "gt",
        &[],
        |o| o.is_gt(),
        "Whether this is greater. False if either is complex or NaN.",
        (r#"[["x",5],["r",{"$x/gt":[3]}]]"#, "true")
    ),
    unary!(
        "imag",
        NUMBER,
        math::imag,
        "The imaginary part; zero for a real number.",
        (r#"[["x",{"/state/scalar/value/number/complex":[1.0,2.0]}],["r",{"$x/imag":[null]}]]"#, "2.0")
    ),
    comparison!(
        "le",
        &["lte"],
        |o| o.is_le(),
        "Whether this is less or equal. False if either is complex or NaN.",
        (r#"[["x",5],["r",{"$x/le":[5]}]]"#, "true")
    ),
    unary!("ln", NUMBER, math::ln, "The natural logarithm.", (r#"[["x",1],["r",{"$x/ln":[null]}]]"#, "0.0")),
    Method {
        name: "log",
        aliases: &[],
        params: Params::Optional(R),
        result: NUMBER,
        doc: "The logarithm to a real base, or the natural one without a base. The logarithm of zero is an error.",
        example: (r#"[["x",8],["r",{"$x/log":[2]}]]"#, "3.0"),
        body: Body::Optional(|n, base| Ok(math::log(number(n)?, base.map(number).transpose()?)?.into())),
    },
    comparison!(
        "lt",
        &[],
        |o| o.is_lt(),
        "Whether this is less. False if either is complex or NaN.",
        (r#"[["x",5],["r",{"$x/lt":[3]}]]"#, "false")
    ),
    binary!(
        "mod",
        ResultClass::Promoted,
        arith::rem,
        "The remainder, with the sign of this number. A zero divisor is an error.",
        (r#"[["x",-7],["r",{"$x/mod":[3]}]]"#, "-1")
    ),
    binary!(
        "mul",
        ResultClass::Promoted,
        arith::mul,
        "The product. Of two Bools, their `and`. Integer overflow is an error.",
        (r#"[["x",5],["r",{"$x/mul":{"r":2}}]]"#, "10")
    ),
    Method {
        name: "ne",
        aliases: &[],
        params: Params::One(R),
        result: BOOL,
        doc: "Whether the two are not numerically equal.",
        example: (r#"[["x",1],["r",{"$x/ne":[2]}]]"#, "true"),
        body: Body::Binary(|l, r| Ok((!equal::equal(l, r)).into())),
    },
    Method {
        name: "not",
        aliases: &[],
        params: Params::None,
        result: BOOL,
        doc: "Whether this is zero.",
        example: (r#"[["x",0],["r",{"$x/not":[null]}]]"#, "true"),
        body: Body::Unary(|n| Ok((!compare::is_truthy(number(n)?)).into())),
    },
    logical!("or", |l, r| l || r, "Whether one of the two is not zero.", (r#"[["x",5],["r",{"$x/or":[0]}]]"#, "true")),
    binary!(
        "pow",
        NUMBER,
        arith::pow,
        "This to the power of the argument; a negative integer exponent gives a Float.",
        (r#"[["x",2],["r",{"$x/pow":{"r":3}}]]"#, "8")
    ),
    unary!(
        "real",
        NUMBER,
        math::real,
        "The real part; a real number itself.",
        (r#"[["x",{"/state/scalar/value/number/complex":[1.0,2.0]}],["r",{"$x/real":[null]}]]"#, "1.0")
    ),
    unary!(
        "round",
        ResultClass::Receiver,
        math::round,
        "The nearest whole number, halves away from zero, in the same class.",
        (r#"[["x",2.5],["r",{"$x/round":[null]}]]"#, "3.0")
    ),
    unary!("sin", NUMBER, math::sin, "The sine of radians.", (r#"[["x",0],["r",{"$x/sin":[null]}]]"#, "0.0")),
    unary!("sinh", NUMBER, math::sinh, "The hyperbolic sine.", (r#"[["x",0],["r",{"$x/sinh":[null]}]]"#, "0.0")),
    binary!(
        "sub",
        ResultClass::Promoted,
        arith::sub,
        "The difference. Of two Bools, their `xor`. Integer overflow is an error.",
        (r#"[["x",5],["r",{"$x/sub":{"r":1}}]]"#, "4")
    ),
    unary!("tan", NUMBER, math::tan, "The tangent of radians.", (r#"[["x",0],["r",{"$x/tan":[null]}]]"#, "0.0")),
    unary!("tanh", NUMBER, math::tanh, "The hyperbolic tangent.", (r#"[["x",0],["r",{"$x/tanh":[null]}]]"#, "0.0")),
    logical!(
        "xor",
        |l, r| l != r,
        "Whether exactly one of the two is not zero.",
        (r#"[["x",5],["r",{"$x/xor":[7]}]]"#, "false")
    ),
];
