"""Dense tensors: every method of the client's class, for every dtype, against numpy."""

import json
import math
import operator

import numpy as np
import pytest
import scipy.stats
import tinychain as tc
from tinychain.scalar.bound import Ex, In, Range

from sample_tensors import (
    COMPLEX,
    DTYPES,
    FLOATS,
    INTEGERS,
    NUMERIC,
    ORDER,
    REAL,
    UNSIGNED,
    Dense,
    Tensor,
    check,
    dense,
    div,
    expand,
    float_of,
    larger,
    literal,
    nonzero,
    number,
    of,
    read,
    real_of,
    round_half_away,
    sample,
    written,
)
from support import V, apply, program, same

A = sample("int32", (2, 3))
CUBE = np.arange(24, dtype="int32").reshape(2, 3, 4)
BY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
PAIRS = [(l, r) for l in DTYPES for r in DTYPES]


@pytest.fixture(autouse=True)
def quiet():
    """Numpy says when integers wrap around, and this is about that."""

    with np.errstate(all="ignore"):
        yield


# --- creation ---------------------------------------------------------------------------------------------------


@BY_DTYPE
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (2, 1, 3), (2, 2, 2, 2)], ids=str)
def test_load(host, dtype, shape):
    array = sample(dtype, shape)
    cxt = tc.Context()
    cxt.a = dense(array)
    check(host.hypothetical(cxt), array)


@BY_DTYPE
def test_create(host, dtype):
    cxt = tc.Context()
    cxt.a = Dense.create([2, 3], ORDER[dtype][1])
    check(host.hypothetical(cxt), np.zeros((2, 3), dtype))


@pytest.mark.parametrize("dtype,concrete", [(tc.Number, "float32"), (tc.Int, "int32"), (tc.UInt, "uint32"), (tc.Float, "float32"), (tc.Complex, "complex64")])
def test_abstract_dtypes(host, dtype, concrete):
    cxt = tc.Context()
    cxt.a = Dense.create([2], dtype)
    check(host.hypothetical(cxt), np.zeros(2, concrete))


# The client loses the dtype of a constant that is a real number.
CONSTANTS = {
    "ones": (lambda: Dense.ones([2, 3]), np.ones((2, 3))),
    "ones of integers": (lambda: Dense.ones([2, 3], tc.I32), np.ones((2, 3))),
    "zeros": (lambda: Dense.zeros([2, 3]), np.zeros((2, 3))),
    "an integer": (lambda: Dense.constant([2, 3], 7), np.full((2, 3), 7, "int64")),
    "a float": (lambda: Dense.constant([2, 3], 2.5), np.full((2, 3), 2.5)),
    "a bool": (lambda: Dense.constant([2], True), np.ones(2, bool)),
    "a complex number": (lambda: Dense.constant([2], 1 + 2j), np.full(2, 1 + 2j)),
    "half a complex number": (lambda: Dense.constant([2], tc.C32(1 + 2j)), np.full(2, 1 + 2j, "complex64")),
    "a range": (lambda: Dense.arange([2, 3], 0, 6), np.arange(6).reshape(2, 3)),
    "a range of fractions": (lambda: Dense.arange([2, 2], 0.0, 1.0), np.linspace(0, 1, 4, endpoint=False).reshape(2, 2)),
    "a range that is truncated": (lambda: Dense.arange([4], 0, 6), np.array([0, 1, 3, 4])),
}


@pytest.mark.parametrize("build,want", CONSTANTS.values(), ids=CONSTANTS)
def test_constants(host, build, want):
    cxt = tc.Context()
    cxt.a = build()
    check(host.hypothetical(cxt), want)


def test_ones_and_zeros_like(host):
    check(of(host, lambda a: Dense.ones_like(a), A), np.ones((2, 3)))
    check(of(host, lambda a: Dense.zeros_like(a), A), np.zeros((2, 3)))


@BY_DTYPE
def test_copy(host, dtype):
    array = sample(dtype)
    check(of(host, lambda a: a.copy(), array), array)


@BY_DTYPE
def test_attributes(host, dtype):
    array = sample(dtype, (2, 3, 4))
    same(of(host, lambda a: a.dtype, array), {"/state/object/class": {V + ORDER[dtype][0]: {}}})
    same(of(host, lambda a: a.size, array), 24)


def test_a_shape_that_only_the_host_knows(host):
    """The client asks for it where a tensor is the parameter of an op."""

    same(apply(host, lambda x: x.shape, (Tensor,), dense(CUBE)), [2, 3, 4])
    same(apply(host, lambda x: x.ndim, (Tensor,), dense(CUBE)), 3)
    same(apply(host, lambda x: x.shape[1], (Tensor,), dense(CUBE)), 3)
    same(apply(host, lambda x: x.shape[-1], (Tensor,), dense(CUBE)), 4)


# --- elements and slices ----------------------------------------------------------------------------------------


INDEXES = [
    *(0, 1, -1, (0, 1), (-1, -1), (1, 2, 3), (-1, -3, -4)),
    *(slice(None), slice(1, None), slice(None, 1), (slice(None), slice(1, 3)), (slice(None), slice(None), slice(-2, None))),
    *((slice(None), slice(None, -1)), (0, slice(1, None)), (slice(None), 1), (slice(None), slice(None), 2), (1, slice(None), -1)),
    *((slice(0, 1), slice(1, 2), slice(3, 4)), (slice(None), -1, slice(-3, -1)), (0, slice(0, 2), 3)),
]


@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_slices(host, index):
    check(of(host, lambda a: a[index], CUBE), CUBE[index])


@BY_DTYPE
@pytest.mark.parametrize("index", [1, (slice(None), slice(1, None)), (1, 2), (slice(None), -1)], ids=str)
def test_slices_by_dtype(host, dtype, index):
    array = sample(dtype)
    check(of(host, lambda a: a[index], array), array[index])


@pytest.mark.parametrize(
    "bounds,want",
    [
        (Range(In(0), In(1)), A[:, 0:2]),
        (Range(Ex(0), Ex(3)), A[:, 1:3]),
        (Range(Ex(0), None), A[:, 1:]),
        (Range(None, In(-2)), A[:, :2]),
        (Range(In(-1), In(-1)), A[:, 2:]),
    ],
    ids=str,
)
def test_ranges(host, bounds, want):
    check(of(host, lambda a: a[:, bounds], A), want)


@pytest.mark.parametrize("positions", [[0, 2], [2, 0, 0], [-1], [1, -3]], ids=str)
def test_lists_of_positions(host, positions):
    """The client sends one only for a tensor of which it does not know the shape."""

    check(apply(host, lambda x: x[:, positions], (Tensor,), dense(A)), A[:, positions])


def test_a_list_is_a_coordinate(host):
    check(of(host, lambda a: a[[1, 2]], A), A[1, 2])


def test_positions_that_only_the_host_knows(host):
    types = (Tensor, tc.UInt)
    check(apply(host, lambda x, i: x[i, 0], types, dense(CUBE), 1), CUBE[1, 0])
    check(apply(host, lambda x, i: x[:, i:], types, dense(CUBE), 1), CUBE[:, 1:])
    check(apply(host, lambda x, i: x[i, i + 1, i + 2], types, dense(CUBE), 1), CUBE[1, 2, 3])


@pytest.mark.parametrize("index", [2, -3, (0, 3), (0, -4), (slice(None), slice(0, 10)), (slice(None), slice(2, 2)), (slice(None), slice(2, 1)), (slice(None), 3), (0, 99)], ids=str)
def test_faulty_indexes(host, index):
    with pytest.raises(tc.error.BadRequest):
        of(host, lambda a: a[index], A)


def test_slices_of_slices(host):
    check(of(host, lambda a: a[:, 1:][1][:, 2], CUBE), CUBE[:, 1:][1][:, 2])
    check(of(host, lambda a: a.transpose()[1:, :, 0], CUBE), CUBE.T[1:, :, 0])
    check(of(host, lambda a: (a * 2)[:, 1], CUBE), (CUBE * 2)[:, 1])


# --- shapes -----------------------------------------------------------------------------------------------------


TRANSFORMS = {
    "transpose": (lambda a: a.transpose(), lambda a: a.T),
    "transpose, axes": (lambda a: a.transpose([1, 2, 0]), lambda a: a.transpose(1, 2, 0)),
    "transpose, the same": (lambda a: a.transpose([0, 1, 2]), lambda a: a),
    "reshape": (lambda a: a.reshape([4, 6]), lambda a: a.reshape(4, 6)),
    "reshape, a view": (lambda a: a.reshape([6, 2, 2], copy=False), lambda a: a.reshape(6, 2, 2)),
    "reshape, flat": (lambda a: a.reshape([24]), lambda a: a.ravel()),
    "expand_dims": (lambda a: a.expand_dims(), lambda a: a[..., None]),
    "expand_dims, first": (lambda a: a.expand_dims(0), lambda a: a[None]),
    "expand_dims, before the last": (lambda a: a.expand_dims(-1), lambda a: expand(a, -1)),
    "expand_dims, two": (lambda a: a.expand_dims([0, 2]), lambda a: expand(a, [0, 2])),
    "broadcast": (lambda a: a.broadcast([2, 2, 3, 4]), lambda a: np.broadcast_to(a, (2, 2, 3, 4))),
    "tile": (lambda a: tc.tensor.tile(a, 2), lambda a: np.tile(a, 2)),
    "tile, axes": (lambda a: tc.tensor.tile(a, [2, 1, 3]), lambda a: np.tile(a, [2, 1, 3])),
    "a chain": (lambda a: a.transpose().reshape([6, 4]).transpose()[1:], lambda a: a.T.reshape(6, 4).T[1:]),
}


@pytest.mark.parametrize("dtype", ["int32", "bool", "float32", "complex128"])
@pytest.mark.parametrize("fn,want", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms(host, fn, want, dtype):
    array = sample(dtype, (2, 3, 4))
    check(of(host, fn, array), np.ascontiguousarray(want(array)))


def test_a_dimension_that_is_to_be_found(host):
    check(apply(host, lambda x: x.reshape([None, 6]), (Tensor,), dense(CUBE)), CUBE.reshape(4, 6))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenate(host, axis):
    other = CUBE + 100
    check(of(host, lambda a, b: Dense.concatenate([a, b], axis), CUBE, other), np.concatenate([CUBE, other], axis))


@pytest.mark.parametrize("l,r", PAIRS, ids=lambda name: name)
def test_concatenate_dtypes(host, l, r):
    a, b = sample(l, (2,)), sample(r, (3,), seed=1)
    check(of(host, lambda a, b: Dense.concatenate([a, b]), a, b), np.concatenate([a, b]).astype(larger(a, b)))


def test_concatenate_what_does_not_fit(host):
    with pytest.raises(tc.error.BadRequest):
        of(host, lambda a, b: Dense.concatenate([a, b]), A, sample("int32", (2, 2)))


def test_split(host):
    """The client lets every part begin where the tensor does."""

    array = sample("int32", (6, 2))
    reply = of(host, lambda a: tc.tensor.split(a, 3), array)
    assert len(reply) == 3
    for part in reply:
        check(part, array[:2])
    reply = of(host, lambda a: tc.tensor.split(a, [2, 4]), array)
    check(reply[0], array[:2])
    check(reply[1], array[:4])


@pytest.mark.parametrize("dtype", REAL)
def test_argsort(host, dtype):
    array = np.random.default_rng(3).permutation(20).reshape(4, 5).astype(dtype)
    check(of(host, lambda a: a.argsort(), array), np.argsort(array, axis=-1).astype("int64"))


@BY_DTYPE
@pytest.mark.parametrize("to", DTYPES)
def test_cast(host, dtype, to):
    array = sample(dtype)
    want = array.real if array.dtype.kind == "c" and to not in COMPLEX + ["bool"] else array
    if want.dtype.kind == "f" and to in UNSIGNED:
        want = np.maximum(want, 0)
    check(of(host, lambda a: a.cast(ORDER[to][1]), array), want.astype(to))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_cast_to_a_narrower_integer_wraps(host, dtype):
    array = np.array([-(2**40) - 3, -1, 300, 70000, 2**33 + 5], "int64")
    check(of(host, lambda a: a.cast(ORDER[dtype][1]), array), array.astype(dtype))


# --- arithmetic -------------------------------------------------------------------------------------------------


ARITHMETIC = {
    "add": (operator.add, np.add),
    "sub": (operator.sub, np.subtract),
    "mul": (operator.mul, np.multiply),
    "div": (operator.truediv, div),
}


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("fn,want", ARITHMETIC.values(), ids=ARITHMETIC)
def test_arithmetic(host, fn, want, dtype):
    a, b = sample(dtype, (2, 1, 4)), nonzero(sample(dtype, (3, 1), seed=1))
    check(of(host, fn, a, b), want(a, b).astype(dtype))


@pytest.mark.parametrize("l,r", PAIRS, ids=lambda name: name)
def test_dtypes_of_a_sum(host, l, r):
    a, b = sample(l), sample(r, seed=1)
    dtype = larger(a, b)
    check(of(host, operator.add, a, b), np.add(a.astype(dtype), b.astype(dtype)))


@pytest.mark.parametrize("dtype", NUMERIC)
def test_powers(host, dtype):
    a = sample(dtype)
    # To the power of one the client does nothing.
    check(of(host, lambda a: a**2, a), np.power(a, np.array(2, dtype)), zeros=1e-4)
    check(of(host, lambda a, b: a**b, nonzero(a), np.full(3, 3, dtype)), np.power(nonzero(a), np.array(3, dtype)), zeros=1e-3)


@pytest.mark.parametrize("dtype", REAL)
def test_remainders(host, dtype):
    a, b = sample(dtype), nonzero(sample(dtype, seed=1))
    check(of(host, lambda a: a % 3, a), np.mod(a, np.array(3, dtype)))
    check(of(host, operator.mod, a, b), np.mod(a, b))


SCALARS = {
    "a + 2": (lambda a: a + 2, lambda a, two: a + two),
    "2 + a": (lambda a: 2 + a, lambda a, two: two + a),
    "a - 2": (lambda a: a - 2, lambda a, two: a - two),
    "2 - a": (lambda a: 2 - a, lambda a, two: two - a),
    "a * 2": (lambda a: a * 2, lambda a, two: a * two),
    "a / 2": (lambda a: a / 2, lambda a, two: div(a, two)),
    "-a": (lambda a: -a, lambda a, two: two - two - a),
    "abs(a)": (abs, lambda a, two: np.abs(a)),
}


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("fn,want", SCALARS.values(), ids=SCALARS)
def test_numbers(host, fn, want, dtype):
    a = sample(dtype)
    check(of(host, fn, a), np.asarray(want(a, np.array(2, dtype))))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_number_by_a_tensor(host, dtype):
    a = nonzero(sample(dtype))
    check(of(host, lambda a: 2 / a, a), np.array(2, dtype) / a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [True, 2, 0.5, 1 + 2j], ids=str)
def test_a_number_of_a_higher_kind_promotes(host, dtype, value):
    rank = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    kinds = rank[np.dtype(dtype).kind], rank[np.asarray(value).dtype.kind]
    want = dtype if kinds[0] >= kinds[1] else ["int64", "float64", "complex64" if dtype == "float32" else "complex128"][kinds[1] - 1]
    a = sample(dtype)
    check(of(host, lambda a: a + value, a), np.add(a.astype(want), np.array(value, want)))
    if value is not True:  # the client does not multiply by one
        check(of(host, lambda a: a * value, a), a.astype(want) * np.array(value, want))


def test_bools(host):
    l, r = np.array([True, True, False, False]), np.array([True, False, True, False])
    check(of(host, operator.add, l, r), l | r)
    check(of(host, operator.mul, l, r), l & r)
    check(of(host, operator.sub, l, r), l & ~r)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around(host, dtype):
    info = np.iinfo(dtype)
    a = np.array([info.min, info.max], dtype)
    check(of(host, lambda a: a + 3, a), a + np.array(3, dtype))
    check(of(host, lambda a: a - 3, a), a - np.array(3, dtype))
    check(of(host, lambda a: a * 3, a), a * np.array(3, dtype))
    check(of(host, lambda a: a**3, a), np.power(a, np.array(3, dtype)))


def test_integer_division(host):
    a, b = np.array([7, -7, 7, -7, 5], "int32"), np.array([2, 2, -2, -2, 0], "int32")
    check(of(host, operator.truediv, a, b), np.array([3, -3, -3, 3, 0], "int32"))
    check(of(host, lambda a: a**-1, np.array([1, 0, -1, 2], "int32")), np.array([1, 0, -1, 0], "int32"))


def test_what_is_no_finite_number(host):
    a = np.array([1.0, 0.0, -1.0, 2.0])
    check(of(host, operator.truediv, a, np.zeros(4)), np.array([math.inf, math.nan, -math.inf, math.inf]))
    check(of(host, lambda a: a**0.5, a), np.array([1, 0, math.nan, math.sqrt(2)]))
    check(of(host, lambda a: a**-1, a), np.array([1, math.inf, -1, 0.5]))
    check(of(host, lambda a: a.log(), a), np.array([0, -math.inf, math.nan, math.log(2)]))
    odd = np.array([math.nan, math.inf, -math.inf, 0.5], "float32")
    check(of(host, lambda a: a * 2, odd), odd * np.float32(2))


def test_a_chain_of_calls(host):
    a, b = sample("float64", (3, 4)), sample("float64", (4,), seed=1)
    check(of(host, lambda a, b: ((a + b) * a - b / 2).exp(), a / 8, b / 8), np.exp((a / 8 + b / 8) * (a / 8) - b / 16))


@pytest.mark.parametrize("fn", [operator.add, operator.mul, operator.eq, operator.gt, lambda a, b: a.logical_and(b)], ids=["add", "mul", "eq", "gt", "and"])
@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 2, 2)], ids=str)
def test_shapes_that_do_not_broadcast(host, fn, shape):
    with pytest.raises(tc.error.BadRequest):
        of(host, fn, A, sample("int32", shape))


def test_division_by_the_number_zero(host, url):
    with pytest.raises(ValueError):
        of(host, lambda a: a / 0, A)
    response = program(url, [["a", literal(A)], ["r", {"$a/div": {"r": 0}}]])
    assert response.status_code == 400, response.text


# --- comparison and logic ---------------------------------------------------------------------------------------


COMPARISONS = {name: getattr(operator, name) for name in ("eq", "ne", "gt", "ge", "lt", "le")}
LOGIC = {
    "and": (lambda a, b: a.logical_and(b), np.logical_and),
    "or": (lambda a, b: a.logical_or(b), np.logical_or),
    "xor": (lambda a, b: a.logical_xor(b), np.logical_xor),
}


@pytest.mark.parametrize("dtype", DTYPES[:10])
@pytest.mark.parametrize("fn", COMPARISONS.values(), ids=COMPARISONS)
def test_comparisons(host, fn, dtype):
    a, b = sample(dtype, (3, 4)), sample(dtype, (3, 4), seed=1)
    a[0] = b[0]
    check(of(host, fn, a, b), fn(a, b))
    check(of(host, fn, a, b[0]), fn(a, b[0]))
    check(of(host, lambda a: fn(a, 2), a), fn(a, 2))


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_numbers_are_equal_or_not(host, dtype):
    a, b = np.array([1 + 2j, 3, 2j], dtype), np.array([1 + 2j, 1, -2j], dtype)
    check(of(host, operator.eq, a, b), a == b)
    check(of(host, operator.ne, a, b), a != b)
    for fn in (operator.gt, operator.ge, operator.lt, operator.le):
        with pytest.raises(tc.error.BadRequest):
            of(host, fn, a, b)


@BY_DTYPE
@pytest.mark.parametrize("fn,want", LOGIC.values(), ids=LOGIC)
def test_logic(host, fn, want, dtype):
    a, b = nonzero(sample(dtype, (4,))), sample(dtype, (4,), seed=1)
    a[1] = b[2] = 0
    check(of(host, fn, a, b), want(a, b))
    check(of(host, lambda a: a.logical_not(), a), np.logical_not(a))


@BY_DTYPE
def test_all_and_any(host, dtype):
    for values in ([0, 0], [0, 1], [1, 1]):
        array = np.array(values, dtype)
        same(of(host, lambda a: a.all(), array), bool(array.all()))
        same(of(host, lambda a: a.any(), array), bool(array.any()))


# --- functions --------------------------------------------------------------------------------------------------


FUNCTIONS = {
    "exp": (lambda a: a.exp(), np.exp, [-1.5, 0.25, 2]),
    "log": (lambda a: a.log(), np.log, [0.25, 1, 3]),
    "sin": (lambda a: a.sin(), np.sin, [-2, 0.5, 3]),
    "cos": (lambda a: a.cos(), np.cos, [-2, 0.5, 3]),
    "tan": (lambda a: a.tan(), np.tan, [-1, 0.5, 1]),
    "sinh": (lambda a: a.sinh(), np.sinh, [-2, 0.5, 3]),
    "cosh": (lambda a: a.cosh(), np.cosh, [-2, 0.5, 3]),
    "tanh": (lambda a: a.tanh(), np.tanh, [-2, 0.5, 3]),
    "asin": (lambda a: a.asin(), np.arcsin, [-1, 0.5, 1]),
    "acos": (lambda a: a.acos(), np.arccos, [-1, 0.5, 1]),
    "atan": (lambda a: a.atan(), np.arctan, [-2, 0.5, 3]),
    "asinh": (lambda a: a.asinh(), np.arcsinh, [-2, 0.5, 3]),
    "acosh": (lambda a: a.acosh(), np.arccosh, [1, 1.5, 3]),
    "atanh": (lambda a: a.atanh(), np.arctanh, [-0.5, 0, 0.75]),
}


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("fn,want,values", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(host, fn, want, values, dtype):
    kind = np.dtype(dtype).kind
    if kind == "c":
        array = np.array([0.5 + 0.25j, -0.25 + 1.5j, 2 - 0.75j], dtype)
    elif kind == "f":
        array = np.array(values, dtype)
    else:
        array = np.array([value for value in map(int, values) if kind == "i" or value >= 0], dtype)
        if want is np.log:
            array = np.maximum(array, 1)
    dtype = float_of(dtype)
    wide = "complex128" if kind == "c" else "float64"
    check(of(host, fn, array), want(array.astype(wide)).astype(dtype), rounding=1e-5 if dtype in ("float32", "complex64") else 1e-10)


@pytest.mark.parametrize("dtype", REAL)
def test_rounding(host, dtype):
    array = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6], dtype) if dtype in FLOATS else sample(dtype)
    check(of(host, lambda a: a.round(), array), round_half_away(array) if dtype in FLOATS else array)


def test_rounding_to_digits(host):
    check(of(host, lambda a: a.round(2), np.array([1.234, -5.678])), np.array([1.23, -5.68]))


@pytest.mark.parametrize("dtype", COMPLEX)
def test_magnitudes(host, dtype):
    array = sample(dtype)
    check(of(host, abs, array), np.abs(array))


# --- reductions -------------------------------------------------------------------------------------------------


REDUCTIONS = {"sum": np.sum, "product": np.prod, "max": np.max, "min": np.min}


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(host, name, dtype):
    fn, array = REDUCTIONS[name], nonzero(sample(dtype, (2, 3, 2)))
    if dtype in COMPLEX and name in ("max", "min"):
        for axes in (None, 0):
            with pytest.raises(tc.error.BadRequest):
                of(host, lambda a: getattr(a, name)(axes), array)
        return
    wide = {"b": "int64", "u": "uint64", "i": "int64", "f": "float64", "c": "complex128"}[array.dtype.kind]
    total = fn(array.astype(wide))
    check(of(host, lambda a: getattr(a, name)(), array), total, rounding=1e-5 if dtype in ("float32", "complex64") else 1e-12)
    for axes in (0, 1, -1, [0, 1], [2, 0]):
        numpys = tuple(axes) if isinstance(axes, list) else axes
        kwargs = {"dtype": dtype} if name in ("sum", "product") else {}
        check(of(host, lambda a: getattr(a, name)(axes), array), fn(array, axis=numpys, **kwargs), rounding=1e-5)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("axes", [0, 1, -1, [0, 2], [0, 1, 2]], ids=str)
def test_sums_that_keep_their_axes(host, dtype, axes):
    array = sample(dtype, (2, 3, 2))
    want = np.sum(array, axis=tuple(axes) if isinstance(axes, list) else axes, keepdims=True, dtype=dtype)
    check(of(host, lambda a: a.sum(axes, keepdims=True), array), want)


def test_sums_of_bool_count(host):
    array = sample("bool", (3, 5))
    check(of(host, lambda a: a.sum(), array), int(array.sum()))
    check(of(host, lambda a: a.sum(1), array), array.sum(1).astype("int64"))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_only_a_full_sum_does_not_wrap(host, dtype):
    top = np.iinfo(dtype).max
    array = np.array([[top, 2]], dtype)
    if np.iinfo(dtype).bits < 64:
        check(of(host, lambda a: a.sum(), array), int(top) + 2)
    check(of(host, lambda a: a.sum(1), array), np.sum(array, axis=1, dtype=dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_statistics(host, dtype):
    array = sample(dtype, (4, 5))
    close = 1e-5 if dtype == "float32" else 1e-12
    check(of(host, lambda a: a.mean(), array), float(array.mean()), rounding=close)
    check(of(host, lambda a: a.mean(0), array), array.mean(0), rounding=close)
    check(of(host, lambda a: a.std(), array), float(array.std()), rounding=close)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_norms(host, dtype):
    array = sample(dtype, (2, 3, 4))
    real = real_of(float_of(dtype))
    wide = array.astype("complex128")
    check(of(host, lambda a: a.norm(), array), np.linalg.norm(wide, axis=(1, 2)).astype(real))
    check(of(host, lambda a: a.norm(-1), array), np.linalg.norm(wide, axis=-1).astype(real))
    check(of(host, lambda a: a.norm(0, keepdims=True), array), np.linalg.norm(wide, axis=0, keepdims=True).astype(real))
    check(of(host, lambda a: a.norm(), array[0]), float(np.linalg.norm(wide[0])), rounding=1e-5)


@pytest.mark.parametrize("axes", [3, -4, [0, 0], [0, 5]], ids=str)
def test_axes_that_are_not_there(host, axes):
    with pytest.raises(tc.error.BadRequest):
        of(host, lambda a: a.sum(axes), CUBE)


# --- products ---------------------------------------------------------------------------------------------------


@BY_DTYPE
def test_matmul(host, dtype):
    a, b = sample(dtype, (3, 4)), sample(dtype, (4, 2), seed=1)
    want = (a.astype(int) @ b.astype(int) > 0) if dtype == "bool" else a @ b
    check(of(host, operator.matmul, a, b), want)


SHAPES = [((1, 3), (3, 1)), ((3, 1), (1, 3)), ((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 3)), ((2, 3, 4), (2, 4, 3)), ((2, 1, 2, 2), (3, 2, 2))]


@pytest.mark.parametrize("l,r", SHAPES, ids=str)
def test_batches_of_matrices(host, l, r):
    a, b = sample("float64", l), sample("float64", r, seed=1)
    check(of(host, operator.matmul, a, b), a @ b)


def test_large_matrices(host):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((70, 130)), rng.standard_normal((130, 90))
    check(of(host, operator.matmul, a, b), a @ b, rounding=1e-10)
    a, b = a.astype("float32"), b.astype("float32")
    check(of(host, operator.matmul, a, b), (a.astype("float64") @ b.astype("float64")).astype("float32"), rounding=1e-4, zeros=1e-4)


@pytest.mark.parametrize("l,r", [((2, 3), (2, 3)), ((2, 3), (4, 2)), ((2, 2, 2), (3, 2, 2))], ids=str)
def test_matrices_that_do_not_fit(host, l, r):
    with pytest.raises(tc.error.BadRequest):
        of(host, operator.matmul, sample("float64", l), sample("float64", r, seed=1))


EINSUMS = ["ij->ji", "ij->i", "ij->j", "ij->", "ij,jk->ik", "ij,kj->ik", "ij,ij->ij", "ij,ij->", "i,j->ij", "ij,j->i", "ij,j->ij"]


@pytest.mark.parametrize("text", EINSUMS)
def test_einsum(host, text):
    """The client makes a program of it."""

    dims = {"i": 3, "j": 4, "k": 2}
    labels = text.split("->")[0].split(",")
    arrays = [sample("float64", tuple(dims[label] for label in part), seed=at) for at, part in enumerate(labels)]
    want = np.einsum(text, *arrays)
    check(of(host, lambda *tensors: tc.tensor.einsum(text, list(tensors)), *arrays), want if want.ndim else float(want))


def test_a_large_einsum_has_no_large_intermediate(host):
    """All products at once would be 128 MB."""

    cxt = tc.Context()
    cxt.a = Dense.constant([400, 100], 1.0)
    cxt.b = Dense.constant([100, 400], 2.0)
    cxt.c = tc.tensor.einsum("ij,jk->ik", [cxt.a, cxt.b])
    cxt.r = [cxt.c.max(), cxt.c.min()]
    largest, smallest = host.hypothetical(cxt)
    check(largest, 200.0)
    check(smallest, 200.0)


@BY_DTYPE
def test_diagonal(host, dtype):
    array = sample(dtype, (2, 3, 3))
    check(of(host, tc.math.linalg.diagonal, array), np.ascontiguousarray(np.diagonal(array, axis1=1, axis2=2)))


def test_with_diagonal(host):
    matrix, diagonal = sample("float64", (3, 3)), sample("float64", (3,), seed=1)
    want = matrix.copy()
    np.fill_diagonal(want, diagonal)
    check(of(host, tc.math.linalg.with_diagonal, matrix, diagonal), want)


# --- choices ----------------------------------------------------------------------------------------------------


CHOICES = [(l, r) for l in DTYPES for r in dict.fromkeys((l, "bool", "int32", "float64", "complex64"))]


@pytest.mark.parametrize("l,r", CHOICES, ids=lambda name: name)
def test_cond(host, l, r):
    condition, a, b = sample("bool", (2, 1)), sample(l, (3,)), sample(r, (2, 3), seed=1)
    condition[:, 0] = [True, False]
    want = np.where(condition, a, b).astype(larger(a, b))
    check(of(host, lambda c, a, b: c.cond(a, b), condition, a, b), want)


def test_where(host):
    a = sample("float64", (3, 4))
    check(of(host, lambda a: (a > 0).cond(a, 0), a), np.where(a > 0, a, 0))
    check(of(host, lambda a: (a > 0).cond(a, a * -1), a), np.abs(a))
    check(of(host, lambda a, b: a.cond(b, b * 2), A, CUBE[0, :2, :3] + 1), np.where(A != 0, CUBE[0, :2, :3] + 1, (CUBE[0, :2, :3] + 1) * 2))


# --- writing ----------------------------------------------------------------------------------------------------


WRITES = [
    *((0, 9), ((0, 1), 9), ((-1, -1, -1), 9), (slice(1, None), 9), ((slice(None), slice(1, 3)), 7), ((slice(None), -1), 0)),
    *((0, np.arange(12).reshape(3, 4)), ((slice(None), 1), np.array([1, 2, 3, 4])), ((slice(None), slice(None), slice(1, 3)), np.array([[5], [6], [7]]))),
    *(((1, slice(0, 2)), np.array([9])), ((slice(None), slice(None), 0), np.array([[1], [2]]))),
]


@pytest.mark.parametrize("index,value", WRITES, ids=lambda value: str(value).replace("\n", ""))
def test_writes(host, index, value):
    want = CUBE.copy()
    want[index] = value
    if isinstance(value, np.ndarray):
        check(written(host, CUBE, lambda a, b: a[index].write(b), value.astype("int32")), want)
    else:
        check(written(host, CUBE, lambda a: a[index].write(value)), want)


@BY_DTYPE
@pytest.mark.parametrize("other", ["bool", "int64", "float64", "complex128"])
def test_what_is_written_is_cast(host, dtype, other):
    array, value = sample(dtype, (3,)), sample(other, (3,), seed=1)
    want = value.real if value.dtype.kind == "c" and dtype not in COMPLEX + ["bool"] else value
    if want.dtype.kind == "f" and dtype in UNSIGNED:
        want = np.maximum(want, 0)
    check(written(host, array, lambda a, b: a.write(b), value), want.astype(dtype))


def test_all_elements_are_written(host):
    check(written(host, A, lambda a: a.write(5)), np.full((2, 3), 5, "int32"))


def test_what_is_written_is_read_first(host):
    check(written(host, A, lambda a: a.write(a + 1)), A + 1)
    check(written(host, CUBE, lambda a: a[0].write(a[1])), np.stack([CUBE[1], CUBE[1]]))
    array = np.arange(9, dtype="float64").reshape(3, 3)
    check(written(host, array, lambda a: a.write(a.transpose())), array.T.copy())


def test_constants_and_ranges_are_written_to(host):
    check(written(host, Dense.constant([2, 2], 1), lambda a: a[0].write(7)), np.array([[7, 7], [1, 1]]))
    check(written(host, Dense.arange([4], 0, 4), lambda a: a[1:3].write(9)), np.array([0, 9, 9, 3]))


@pytest.mark.parametrize("view", [lambda a: a[0], lambda a: a.transpose(), lambda a: a + 1, lambda a: a.reshape([6], copy=False), lambda a: a.cast(tc.F64)], ids=["slice", "transpose", "sum", "reshape", "cast"])
def test_views_are_not_written_to(host, view):
    cxt = tc.Context()
    cxt.a = dense(A)
    cxt.v = view(cxt.a)
    cxt.r = Tensor(cxt.v).write(1)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("index,value", [((2, 0), 1), ((0, -4), 1), ((slice(None), slice(0, 9)), 1), (0, "x"), (0, [1, 2, 3])], ids=str)
def test_faulty_writes(host, index, value):
    with pytest.raises(tc.error.BadRequest):
        written(host, A, lambda a: a[index].write(value))


@pytest.mark.parametrize("shape", [(2,), (3, 3), (4,), (2, 2, 3)], ids=str)
def test_writes_that_do_not_fit(host, shape):
    with pytest.raises(tc.error.BadRequest):
        written(host, A, lambda a, b: a.write(b), sample("int32", shape, seed=2))


# --- random -----------------------------------------------------------------------------------------------------


def draw(host, build):
    cxt = tc.Context()
    cxt.a = build()
    array = read(host.hypothetical(cxt))
    return array.ravel().astype("float64"), array


def test_uniform(host):
    values, array = draw(host, lambda: Dense.random_uniform([50, 60]))
    assert array.dtype == np.float32 and array.shape == (50, 60)
    assert 0 <= values.min() and values.max() < 1
    assert scipy.stats.kstest(values, "uniform").pvalue > 1e-6


def test_uniform_between(host):
    values, _ = draw(host, lambda: Dense.random_uniform([3000], -1, 3))
    assert -1 <= values.min() and values.max() <= 3
    assert scipy.stats.kstest(values, "uniform", args=(-1, 4)).pvalue > 1e-6


@pytest.mark.parametrize("mean,std", [(0.0, 1.0), (5.0, 0.5), (-3.0, 10.0)])
def test_normal(host, mean, std):
    values, array = draw(host, lambda: Dense.random_normal([3000], mean, std))
    assert array.dtype == np.float32
    assert scipy.stats.kstest(values, "norm", args=(mean, std)).pvalue > 1e-6


def test_truncated_normal(host):
    values, _ = draw(host, lambda: Dense.truncated_normal([1500], 0.0, 1.0))
    assert -2 <= values.min() and values.max() <= 2
    assert scipy.stats.kstest(values, scipy.stats.truncnorm(-2, 2).cdf).pvalue > 1e-6


def test_draws_are_independent(host):
    first, _ = draw(host, lambda: Dense.random_normal([1000]))
    second, _ = draw(host, lambda: Dense.random_normal([1000]))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    # one tensor stays the same, however often it is read
    cxt = tc.Context()
    cxt.a = Dense.random_uniform([1000])
    cxt.r = (cxt.a - cxt.a[:]).abs().sum()
    assert number(host.hypothetical(cxt)) == 0


# --- elements in large numbers ----------------------------------------------------------------------------------


def test_a_tensor_of_many_blocks(url):
    """What is asked of it crosses the blocks in which it is computed. The client would take seconds to send it."""

    array = np.random.default_rng(5).integers(-1000, 1000, (250, 401)).astype("int32")
    wants = {
        '{"$a": [[249]]}': array[249],
        '{"$a": [[null, 400]]}': array[:, 400],
        '{"$a": [[[["in", 17], ["ex", 19]], [["in", 200], ["ex", 210]]]]}': array[17:19, 200:210],
        '{"$a/sum": {"axes": [0]}}': array.sum(0, dtype="int32"),
        '{"$a/max": [[1]]}': array.max(1),
        '{"$b/sum": {}}': int((array.astype("int64") * 2).sum()),
        '{"$t": [[[["in", 399], null]]]}': np.ascontiguousarray(array.T[399:]),
        '{"$t/sum": {"axes": [1]}}': array.sum(0, dtype="int32"),
    }
    steps = [["a", literal(array)], ["b", {"$a/mul": {"r": 2}}], ["t", {"$a/transpose": [None]}]]
    response = program(url, [*steps, ["r", [json.loads(call) for call in wants]]])
    assert response.status_code == 200, response.text
    for got, want in zip(response.json(), wants.values(), strict=True):
        check(got, want)


@BY_DTYPE
def test_a_reply_can_be_sent_back(url, dtype):
    array = sample(dtype)
    reply = program(url, [["a", literal(array)]]).json()
    check(reply, array)
    check(program(url, [["a", reply]]).json(), array)


def test_positions_that_are_not_in_order_are_written(host):
    """The blocks of a tensor are then written more than once."""

    steps = [
        ["x", {"/state/collection/tensor/dense/constant": [[[20000], 1.0]]}],
        ["w", {"$x": [[[0, 10000, 1]], 7]}],
        ["v", {"/state/scalar/ref/after": [{"$w": []}, {"$x": [[[0, 1, 2, 10000, 10001]]]}]}],
    ]
    reply = host.post("/transact/hypothetical", {"op": steps})
    assert reply["/state/collection/tensor/dense"][1] == [7, 7, 1, 7, 1]


def test_copies_of_copies_do_not_nest(host):
    """A loop that copies what it made from the last copy is no expression that is too deep to be read."""

    copy = {"/state/collection/tensor/copy_from": {"tensor": {"$y": []}}}
    step = {"/state/scalar/op/post": [["y", {"$x/add": {"r": 1}}], ["_return", {"x": copy, "i": {"$i/add": {"r": 1}}}]]}
    cond = {"/state/scalar/op/post": [["_return", {"$i/lt": {"r": 3000}}]]}
    start = {"x": {"/state/collection/tensor/dense": [["/state/scalar/value/number/float/64", [2]], [0, 1]]}, "i": 0}
    steps = [["s", {"/state/scalar/ref/while": [cond, step, start]}], ["r", {"$s/x": [None]}]]
    reply = host.post("/transact/hypothetical", {"op": steps})
    assert reply["/state/collection/tensor/dense"][1] == [3000, 3001]


def test_a_tower_of_views_takes_little_time(host):
    """Each level names the one below twice, once as a view."""

    steps = [["x0", {"/state/collection/tensor/dense": [["/state/scalar/value/number/float/64", [2, 2]], [1, 2, 3, 4]]}]]
    for level in range(30):
        steps.append([f"t{level}", {f"$x{level}/transpose": [None]}])
        steps.append([f"x{level + 1}", {f"$x{level}/add": {"r": {f"$t{level}": []}}}])
    steps.append(["r", {"$x30": [[0, 0]]}])
    assert host.post("/transact/hypothetical", {"op": steps}) == 2**30


@pytest.mark.parametrize("steps", [
    [["r", {"/state/collection/tensor/sparse/eye": [4294967295]}]],
    [["s", {"/state/collection/tensor/sparse": [["/state/scalar/value/number/float/32", [4294967295, 1, 1]]]}],
     ["r", {"$s/matmul": {"r": {"$s": []}}}]],
], ids=["eye", "matmul"])
def test_what_is_too_large_is_refused_before_it_is_made(url, steps):
    response = program(url, steps)
    assert response.status_code == 413, response.text
