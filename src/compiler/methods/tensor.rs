//! Methods of tensors. The executor performs them, by the plan of [`crate::compiler::tensor`].

use super::{Body, Method, Param, Params, ResultClass, param};
use crate::value::{Class, NumberClass};

const R: Param = param("r", "Tensor or Number");
const AXES: Param = param("axes", "Tuple");
const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
const U64: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::U64));
const TUPLE: ResultClass = ResultClass::Exactly(Class::Tuple);
/// Dense or sparse, or a number.
const ANY: ResultClass = ResultClass::Exactly(Class::State);

/// A dense tensor of numbers of a class.
macro_rules! dense {
    ($dtype:literal, $shape:literal, $elements:literal) => {
        concat!(
            r#"{"/state/collection/tensor/dense":[["/state/scalar/value/number/"#,
            $dtype,
            r#"","#,
            $shape,
            "],",
            $elements,
            "]}"
        )
    };
}

/// A step `r` after a tensor `a` of Int32s.
macro_rules! program {
    ($shape:literal, $elements:literal, $step:expr) => {
        concat!(r#"[["a","#, dense!("int/32", $shape, $elements), r#"],["r","#, $step, "]]")
    };
    ($step:literal) => {
        program!("[2,3]", "[1,2,3,4,5,6]", $step)
    };
}

macro_rules! binary {
    ($name:literal, $aliases:expr, $doc:literal, $step:literal, $reply:expr) => {
        Method {
            name: $name,
            aliases: $aliases,
            params: Params::One(R),
            result: ANY,
            doc: $doc,
            example: (program!("[4]", "[1,0,-1,2]", $step), $reply),
            body: Body::Data,
        }
    };
}

macro_rules! unary {
    ($name:literal, $doc:literal, $element:literal, $reply:literal) => {
        Method {
            name: $name,
            aliases: &[],
            params: Params::None,
            result: ResultClass::Receiver,
            doc: $doc,
            example: (
                program!("[1]", $element, concat!(r#"{"$a/"#, $name, r#"":[null]}"#)),
                dense!("float/32", "[1]", $reply),
            ),
            body: Body::Data,
        }
    };
}

macro_rules! reduction {
    ($name:literal, $doc:literal, $step:literal, $reply:expr) => {
        Method {
            name: $name,
            aliases: &[],
            params: Params::OptionalKey(AXES),
            result: ANY,
            doc: $doc,
            example: (program!($step), $reply),
            body: Body::Data,
        }
    };
}

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "abs",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "The absolute values, of the same dtype; of complex elements the magnitudes, which are real.",
        example: (program!("[4]", "[1,0,-1,2]", r#"{"$a/abs":[null]}"#), dense!("int/32", "[4]", "[1,0,1,2]")),
        body: Body::Data,
    },
    unary!(
        "acos",
        "The inverses of the cosine, as floats; NaN outside of its domain. Not of a sparse tensor, whose zeros would not stay.",
        "[1]",
        "[0.0]"
    ),
    unary!("acosh", "The inverses of the hyperbolic cosine, as floats. Not of a sparse tensor.", "[1]", "[0.0]"),
    binary!(
        "add",
        &[],
        "The sums with another tensor, which broadcasts as in numpy, or with a number. The dtype is the larger of both in the \
         order of the classes of numbers; a number becomes as the tensor, unless its kind is higher. Integers wrap around; of \
         Bool, whether one is true. Sparse with sparse is sparse.",
        r#"{"$a/add":{"r":2}}"#,
        dense!("int/32", "[4]", "[3,2,1,4]")
    ),
    reduction!(
        "all",
        "Whether all elements are not zero: as Bool, or along axes as a tensor, as for `sum`.",
        r#"{"$a/all":[null]}"#,
        "true"
    ),
    binary!(
        "and",
        &[],
        "Where both are not zero, as Bool. A GET with null is `not`, as the client sends it.",
        r#"{"$a/and":{"r":true}}"#,
        dense!("bool", "[4]", "[true,false,true,true]")
    ),
    reduction!(
        "any",
        "Whether one element is not zero: as Bool, or along axes as a tensor, as for `sum`.",
        r#"{"$a/any":[null]}"#,
        "true"
    ),
    Method {
        name: "argsort",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Dense),
        doc: "The positions that sort along the last axis, as Int64. Equal elements keep their order.",
        example: (program!("[4]", "[1,0,-1,2]", r#"{"$a/argsort":[null]}"#), dense!("int/64", "[4]", "[2,1,0,3]")),
        body: Body::Data,
    },
    unary!("asin", "The inverses of the sine, as floats; NaN outside of its domain.", "[0]", "[0.0]"),
    unary!("asinh", "The inverses of the hyperbolic sine, as floats.", "[0]", "[0.0]"),
    unary!("atan", "The inverses of the tangent, as floats.", "[0]", "[0.0]"),
    unary!("atanh", "The inverses of the hyperbolic tangent, as floats.", "[0]", "[0.0]"),
    Method {
        name: "broadcast",
        aliases: &[],
        params: Params::Key(param("shape", "Tuple")),
        result: ResultClass::Receiver,
        doc: "The elements repeated in another shape: along new axes in front, and along those of dimension 1.",
        example: (program!("[2]", "[1,2]", r#"{"$a/broadcast":[[2,2]]}"#), dense!("int/32", "[2,2]", "[1,2,1,2]")),
        body: Body::Data,
    },
    Method {
        name: "cast",
        aliases: &[],
        params: Params::Key(param("class", "Link")),
        result: ResultClass::Receiver,
        doc: "The elements as numbers of another class. Integers wrap around, floats lose their fraction, complex numbers \
              their imaginary part; what is not zero is true.",
        example: (
            program!("[2]", "[-2,300]", r#"{"$a/cast":["/state/scalar/value/number/uint/8"]}"#),
            dense!("uint/8", "[2]", "[254,44]"),
        ),
        body: Body::Data,
    },
    Method {
        name: "class",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Link),
        doc: "The class of dense or of sparse tensors, as a link. The key is ignored.",
        example: (program!(r#"{"$a/class":[null]}"#), r#"{"/state/collection/tensor/dense":[]}"#),
        body: Body::Data,
    },
    Method {
        name: "cond",
        aliases: &[],
        params: Params::Named(&[param("then", "Tensor or Number"), param("or_else", "Tensor or Number")]),
        result: ANY,
        doc: "Where an element is not zero that of `then`, elsewhere that of `or_else`. All three broadcast; the dtype is that \
              of both choices.",
        example: (
            program!("[4]", "[1,0,-1,2]", r#"{"$a/cond":{"then":{"$a":[]},"or_else":7}}"#),
            dense!("int/32", "[4]", "[1,7,-1,2]"),
        ),
        body: Body::Data,
    },
    unary!(
        "cos",
        "The cosines of radians, as floats. Not of a sparse tensor, whose zeros would not stay.",
        "[0]",
        "[1.0]"
    ),
    unary!("cosh", "The hyperbolic cosines, as floats. Not of a sparse tensor.", "[0]", "[1.0]"),
    Method {
        name: "dense",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Dense),
        doc: "The same elements as a dense tensor.",
        example: (
            concat!(
                r#"[["a",{"/state/collection/tensor/sparse":[["/state/scalar/value/number/int/32",[3]],[[[1],5]]]}],"#,
                r#"["r",{"$a/dense":[null]}]]"#
            ),
            dense!("int/32", "[3]", "[0,5,0]"),
        ),
        body: Body::Data,
    },
    Method {
        name: "diagonal",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "The diagonals of the square matrices in the last two axes.",
        example: (program!("[2,2]", "[1,2,3,4]", r#"{"$a/diagonal":[null]}"#), dense!("int/32", "[2]", "[1,4]")),
        body: Body::Data,
    },
    binary!(
        "div",
        &[],
        "The quotients; operands as for `add`. Of integers truncated, and 0 where the divisor is 0; of floats by 0 infinite or \
         NaN. The number 0 is no divisor, nor is a sparse tensor.",
        r#"{"$a/div":{"r":2}}"#,
        dense!("int/32", "[4]", "[0,0,0,1]")
    ),
    Method {
        name: "dtype",
        aliases: &[],
        params: Params::None,
        result: ANY,
        doc: "The class of the elements.",
        example: (
            program!(r#"{"$a/dtype":[null]}"#),
            r#"{"/state/object/class":{"/state/scalar/value/number/int/32":{}}}"#,
        ),
        body: Body::Data,
    },
    binary!(
        "eq",
        &[],
        "Where both are equal, as Bool; operands as for `add`. Sparse with sparse is refused, because where both are zero they \
         are equal.",
        r#"{"$a/eq":{"r":0}}"#,
        dense!("bool", "[4]", "[false,true,false,false]")
    ),
    unary!("exp", "e to the power of each element, as floats. Not of a sparse tensor.", "[0]", "[1.0]"),
    Method {
        name: "expand_dims",
        aliases: &[],
        params: Params::OptionalKey(param("axis", "Number or Tuple")),
        result: ResultClass::Receiver,
        doc: "With new axes of dimension 1 before the given ones, by their positions in the shape that there is; a negative one \
              counts from the last. Without an argument, with a last axis.",
        example: (program!("[2]", "[1,2]", r#"{"$a/expand_dims":[0]}"#), dense!("int/32", "[1,2]", "[1,2]")),
        body: Body::Data,
    },
    binary!(
        "ge",
        &["gte"],
        "Where the left is not less than the right, as Bool; operands as for `add`. Complex numbers have no order.",
        r#"{"$a/ge":{"r":0}}"#,
        dense!("bool", "[4]", "[true,true,false,true]")
    ),
    binary!(
        "gt",
        &[],
        "Where the left is greater than the right, as Bool; as `ge`.",
        r#"{"$a/gt":{"r":0}}"#,
        dense!("bool", "[4]", "[true,false,false,true]")
    ),
    Method {
        name: "hash",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Id),
        doc: "A SHA-256 of class, schema and elements as an Id of 64 hexadecimal digits.",
        example: (
            concat!(
                r#"[["a",{"/state/collection/tensor/dense/constant":[[[3],0]]}],"#,
                r#"["b",{"/state/collection/tensor/dense/range":[[[3],0,0]]}],"#,
                r#"["x",{"$a/hash":[null]}],["y",{"$b/hash":[null]}],["r",{"$x/eq":[{"$y":[]}]}]]"#
            ),
            "true",
        ),
        body: Body::Data,
    },
    Method {
        name: "is_none",
        aliases: &[],
        params: Params::OptionalKey(param("key", "None")),
        result: BOOL,
        doc: "False: a tensor is something, also if all its elements are zero.",
        example: (program!(r#"{"$a/is_none":[null]}"#), "false"),
        body: Body::Data,
    },
    binary!(
        "le",
        &["lte"],
        "Where the left is not greater than the right, as Bool; as `ge`.",
        r#"{"$a/le":{"r":0}}"#,
        dense!("bool", "[4]", "[false,true,true,false]")
    ),
    Method {
        name: "log",
        aliases: &[],
        params: Params::Optional(R),
        result: ANY,
        doc: "The natural logarithms, or those to a base, as floats: -Infinity for 0, and NaN for what is negative. Not of a \
              sparse tensor.",
        example: (program!("[1]", "[1]", r#"{"$a/log":[null]}"#), dense!("float/32", "[1]", "[0.0]")),
        body: Body::Data,
    },
    binary!(
        "lt",
        &[],
        "Where the left is less than the right, as Bool; as `ge`.",
        r#"{"$a/lt":{"r":0}}"#,
        dense!("bool", "[4]", "[false,false,true,false]")
    ),
    Method {
        name: "matmul",
        aliases: &[],
        params: Params::One(param("r", "Tensor")),
        result: ANY,
        doc: "The matrix products of the last two axes; the axes before are batches, which broadcast. A tensor of one axis is a \
              row on the left and a column on the right. With a sparse operand the result is sparse; of Bool, whether a pair \
              of both is true.",
        example: (
            program!("[2,2]", "[1,2,3,4]", r#"{"$a/matmul":{"r":{"$a":[]}}}"#),
            dense!("int/32", "[2,2]", "[7,10,15,22]"),
        ),
        body: Body::Data,
    },
    reduction!(
        "max",
        "The largest element as a number, or those along axes as a tensor, as for `sum`. Complex numbers have no order.",
        r#"{"$a/max":[null]}"#,
        "6"
    ),
    reduction!(
        "min",
        "The smallest element as a number, or those along axes as a tensor, as for `sum`. Complex numbers have no order.",
        r#"{"$a/min":[[1]]}"#,
        dense!("int/32", "[2]", "[1,4]")
    ),
    binary!(
        "mod",
        &[],
        "The remainders, with the sign of the divisor; operands as for `add`. Of integers 0 where the divisor is 0. The number \
         0 is no divisor, nor is a sparse tensor.",
        r#"{"$a/mod":[2]}"#,
        dense!("int/32", "[4]", "[1,0,1,0]")
    ),
    binary!(
        "mul",
        &[],
        "The products; operands as for `add`. Of Bool, whether both are true. With a sparse operand the result is sparse.",
        r#"{"$a/mul":{"r":2}}"#,
        dense!("int/32", "[4]", "[2,0,-2,4]")
    ),
    Method {
        name: "ndim",
        aliases: &[],
        params: Params::None,
        result: U64,
        doc: "The number of axes, as UInt64.",
        example: (program!(r#"{"$a/ndim":[null]}"#), "2"),
        body: Body::Data,
    },
    binary!(
        "ne",
        &[],
        "Where both differ, as Bool; operands as for `add`.",
        r#"{"$a/ne":{"r":0}}"#,
        dense!("bool", "[4]", "[true,false,true,true]")
    ),
    Method {
        name: "norm",
        aliases: &[],
        params: Params::OptionalKey(param("axis", "Number or Tuple")),
        result: ANY,
        doc: "The square root of the sum of the squares of all magnitudes, as a float: as a number of a tensor of one or two \
              axes, of each matrix of one that has more, or along the given axes. A POST has the parameters `axis` and \
              `keepdims`, which keeps these axes with dimension 1.",
        example: (program!("[2]", "[3,4]", r#"{"$a/norm":{}}"#), "5.0"),
        body: Body::Data,
    },
    Method {
        name: "not",
        aliases: &["logical_not"],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "Where the element is zero, as Bool. Not of a sparse tensor.",
        example: (
            program!("[4]", "[1,0,-1,2]", r#"{"$a/not":[null]}"#),
            dense!("bool", "[4]", "[false,true,false,false]"),
        ),
        body: Body::Data,
    },
    binary!(
        "or",
        &[],
        "Where one of both is not zero, as Bool.",
        r#"{"$a/or":{"r":false}}"#,
        dense!("bool", "[4]", "[true,false,true,true]")
    ),
    binary!(
        "pow",
        &[],
        "To the power of the right; operands as for `add`. Of integers by a negative exponent truncated, and 0 for 0. A number \
         as the exponent of a sparse tensor has to be positive.",
        r#"{"$a/pow":{"r":2}}"#,
        dense!("int/32", "[4]", "[1,0,1,4]")
    ),
    reduction!(
        "product",
        "The product of all elements as a number, or those along axes as a tensor, as for `sum`.",
        r#"{"$a/product":[null]}"#,
        "720"
    ),
    Method {
        name: "reshape",
        aliases: &[],
        params: Params::Key(param("shape", "Tuple")),
        result: ResultClass::Receiver,
        doc: "The same elements in the same order in another shape, of which one dimension may be null.",
        example: (program!(r#"{"$a/reshape":[[null,2]]}"#), dense!("int/32", "[3,2]", "[1,2,3,4,5,6]")),
        body: Body::Data,
    },
    Method {
        name: "round",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "The nearest whole numbers, of the same dtype. Halves go away from zero.",
        example: (
            concat!(
                r#"[["a",{"/state/collection/tensor/dense":[["/state/scalar/value/number/float/64",[2]],[0.5,2.4]]}],"#,
                r#"["r",{"$a/round":[null]}]]"#
            ),
            dense!("float/64", "[2]", "[1.0,2.0]"),
        ),
        body: Body::Data,
    },
    Method {
        name: "schema",
        aliases: &[],
        params: Params::None,
        result: TUPLE,
        doc: "The class of the elements as a link, and the shape.",
        example: (program!(r#"{"$a/schema":[null]}"#), r#"[{"/state/scalar/value/number/int/32":[]},[2,3]]"#),
        body: Body::Data,
    },
    Method {
        name: "shape",
        aliases: &[],
        params: Params::None,
        result: TUPLE,
        doc: "The dimensions, as UInt64s.",
        example: (program!(r#"{"$a/shape":[null]}"#), "[2,3]"),
        body: Body::Data,
    },
    unary!("sin", "The sines of radians, as floats.", "[0]", "[0.0]"),
    unary!("sinh", "The hyperbolic sines, as floats.", "[0]", "[0.0]"),
    Method {
        name: "size",
        aliases: &[],
        params: Params::None,
        result: U64,
        doc: "The number of elements, zeros of a sparse tensor included, as UInt64.",
        example: (program!(r#"{"$a/size":[null]}"#), "6"),
        body: Body::Data,
    },
    Method {
        name: "sparse",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Sparse),
        doc: "The same elements as a sparse tensor.",
        example: (
            program!("[3]", "[0,5,0]", r#"{"$a/sparse":[null]}"#),
            r#"{"/state/collection/tensor/sparse":[["/state/scalar/value/number/int/32",[3]],[[[1],5]]]}"#,
        ),
        body: Body::Data,
    },
    binary!(
        "sub",
        &[],
        "The differences; operands as for `add`. Of Bool, where the left is true and the right is not.",
        r#"{"$a/sub":{"r":1}}"#,
        dense!("int/32", "[4]", "[0,-1,-2,1]")
    ),
    reduction!(
        "sum",
        "The sum of all elements as a number, for which integers have 64 bits; or those along the given axes as a tensor, whose \
         integers wrap around. Bool counts. A negative axis counts from the last. A POST has the parameters `axes` and \
         `keepdims`, which keeps these axes with dimension 1.",
        r#"{"$a/sum":{"axes":[0]}}"#,
        dense!("int/32", "[3]", "[5,7,9]")
    ),
    unary!("tan", "The tangents of radians, as floats.", "[0]", "[0.0]"),
    unary!("tanh", "The hyperbolic tangents, as floats.", "[0]", "[0.0]"),
    Method {
        name: "transpose",
        aliases: &[],
        params: Params::OptionalKey(param("permutation", "Tuple")),
        result: ResultClass::Receiver,
        doc: "With the axes in another order; without an argument, from the last to the first.",
        example: (program!(r#"{"$a/transpose":[null]}"#), dense!("int/32", "[3,2]", "[1,4,2,5,3,6]")),
        body: Body::Data,
    },
    binary!(
        "xor",
        &[],
        "Where exactly one of both is not zero, as Bool.",
        r#"{"$a/xor":{"r":true}}"#,
        dense!("bool", "[4]", "[false,true,false,false]")
    ),
];
