"""Sparse tensors against scipy.sparse and numpy: what they hold, and which results stay sparse."""

import operator

import numpy as np
import pytest
import scipy.sparse
import tinychain as tc

from sample_tensors import (
    COMPLEX,
    DTYPES,
    NUMERIC,
    ORDER,
    REAL,
    SPARSE,
    Sparse,
    check,
    dense,
    div,
    entries,
    expand,
    few,
    float_of,
    larger,
    literal,
    number,
    real_of,
    sample,
    sparse,
)
from support import V, evaluate, program, same

BY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
HUGE = 2**31 - 1
STATES = {"sparse": sparse, "dense": dense}


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def of(host, fn, *operands):
    """Execute `fn` of sparse tensors; what comes as `(array, "dense")` is dense."""

    steps = {}
    for name, operand in zip("stu", operands):
        array, how = operand if isinstance(operand, tuple) else (operand, "sparse")
        steps[name] = STATES[how](array)
    return evaluate(host, steps, lambda cxt: fn(*(getattr(cxt, name) for name in steps)))


def written(host, array, write, other=None):
    cxt = tc.Context()
    cxt.s = sparse(array)
    if other is not None:
        cxt.t = other
    cxt.w = write(cxt.s, *([] if other is None else [cxt.t]))
    cxt.r = tc.after(cxt.w, cxt.s)
    return host.hypothetical(cxt)


# --- creation ---------------------------------------------------------------------------------------------------


@BY_DTYPE
@pytest.mark.parametrize("shape", [(1,), (9,), (4, 5), (2, 3, 4)], ids=str)
def test_load(host, dtype, shape):
    array = few(dtype, shape)
    cxt = tc.Context()
    cxt.s = sparse(array)
    check(host.hypothetical(cxt), array, sparse=True)


@BY_DTYPE
@pytest.mark.parametrize("create", [Sparse.create, Sparse.zeros], ids=["create", "zeros"])
def test_empty(host, create, dtype):
    cxt = tc.Context()
    cxt.s = create([3, 4], ORDER[dtype][1])
    check(host.hypothetical(cxt), np.zeros((3, 4), dtype), sparse=True)


def test_zeros_like(host):
    check(of(host, lambda s: Sparse.zeros_like(s), few("float64")), np.zeros((4, 5)), sparse=True)


def test_eye(host):
    cxt = tc.Context()
    cxt.s = Sparse.eye(4)
    check(host.hypothetical(cxt), np.eye(4, dtype=bool), sparse=True)


def test_in_any_order_and_without_zeros(host):
    data = [[[2, 1], 5], [[0, 3], 0], [[0, 1], 7], [[1, 0], -1]]
    cxt = tc.Context()
    cxt.s = Sparse.load([3, 4], data, tc.I32)
    want = scipy.sparse.coo_array(([5, 7, -1], ([2, 0, 1], [1, 1, 0])), shape=(3, 4)).toarray().astype("int32")
    check(host.hypothetical(cxt), want, sparse=True)


@pytest.mark.parametrize("data", [[[[3, 0], 1]], [[[0], 1]], [[[-1, 0], 1]], [[0, 1]], [1, 2], [[[0, 0], "x"]]], ids=str)
def test_faulty_elements(host, data):
    cxt = tc.Context()
    cxt.s = Sparse.load([3, 4], data, tc.I32)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@BY_DTYPE
def test_dense_and_sparse(host, dtype):
    array = few(dtype)
    check(of(host, lambda s: s.as_dense(), array), array, sparse=False)
    check(of(host, lambda s: s.as_sparse(), (array, "dense")), array, sparse=True)
    check(of(host, lambda s: s.copy(), array), array, sparse=True)


# --- slices and shapes ------------------------------------------------------------------------------------------


INDEXES = [0, -1, (0, 1), (slice(None), 1), (slice(None), slice(1, 3)), (slice(1, None), slice(None), -1), (1, slice(0, 2)), (slice(None), -2, slice(-3, None))]


@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_slices(host, index):
    array = few("int32", (3, 4, 5))
    check(of(host, lambda s: s[index], array), np.ascontiguousarray(array[index]), sparse=True)


@BY_DTYPE
def test_elements(host, dtype):
    array = few(dtype)
    present, absent = np.argwhere(array)[0].tolist(), np.argwhere(array == 0)[0].tolist()
    for coord in (present, absent):
        check(of(host, lambda s: s[tuple(coord)], array), array[tuple(coord)])


TRANSFORMS = {
    "transpose": (lambda s: s.transpose(), lambda a: a.T),
    "transpose, axes": (lambda s: s.transpose([2, 0, 1]), lambda a: a.transpose(2, 0, 1)),
    "reshape": (lambda s: s.reshape([6, 4]), lambda a: a.reshape(6, 4)),
    "expand_dims": (lambda s: s.expand_dims(), lambda a: a[..., None]),
    "expand_dims, first": (lambda s: s.expand_dims(0), lambda a: expand(a, 0)),
    "broadcast": (lambda s: s.broadcast([2, 2, 3, 4]), lambda a: np.broadcast_to(a, (2, 2, 3, 4))),
    "tile": (lambda s: tc.tensor.tile(s, [1, 2, 2]), lambda a: np.tile(a, [1, 2, 2])),
    "a slice of a transpose": (lambda s: s.transpose()[1], lambda a: a.T[1]),
}


@pytest.mark.parametrize("fn,want", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms(host, fn, want):
    array = few("int32", (2, 3, 4))
    check(of(host, fn, array), np.ascontiguousarray(want(array)), sparse=True)


@pytest.mark.parametrize("to", DTYPES)
def test_cast(host, to):
    array = np.array([[0, 1, 0.5], [2.25, 0, 3]])
    check(of(host, lambda s: s.cast(ORDER[to][1]), array), array.astype(to), sparse=True)


# --- two tensors ------------------------------------------------------------------------------------------------


# What is computed, and whether it is sparse: of two sparse tensors, of a sparse and a dense one, of a dense and a sparse one.
OPERATIONS = {
    "add": (operator.add, np.add, (True, False, False)),
    "sub": (operator.sub, np.subtract, (True, False, False)),
    "mul": (operator.mul, np.multiply, (True, True, True)),
    "and": (lambda a, b: a.logical_and(b), np.logical_and, (True, True, True)),
    "or": (lambda a, b: a.logical_or(b), np.logical_or, (True, False, False)),
    "xor": (lambda a, b: a.logical_xor(b), np.logical_xor, (True, False, False)),
    "eq": (operator.eq, np.equal, (None, False, False)),
    "ne": (operator.ne, np.not_equal, (True, False, False)),
    "gt": (operator.gt, np.greater, (True, False, False)),
    "lt": (operator.lt, np.less, (True, False, False)),
    "ge": (operator.ge, np.greater_equal, (None, False, False)),
    "le": (operator.le, np.less_equal, (None, False, False)),
}
CASES = [("sparse", "sparse"), ("sparse", "dense"), ("dense", "sparse")]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("at", range(3), ids=[f"{l}-{r}" for l, r in CASES])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(host, name, at, dtype):
    fn, want, layouts = OPERATIONS[name]
    a, b = few(dtype), few(dtype, seed=1)
    operands = (a, CASES[at][0]), (b, CASES[at][1])
    if layouts[at] is None:
        with pytest.raises(tc.error.BadRequest):
            of(host, fn, *operands)
        return
    result = a & ~b if name == "sub" and dtype == "bool" else want(a, b)
    check(of(host, fn, *operands), result, sparse=layouts[at])


@pytest.mark.parametrize("shapes", [((4, 1), (5,)), ((1,), (3, 4)), ((2, 3), (1, 3)), ((3,), (2, 1, 1))], ids=str)
@pytest.mark.parametrize("name", ["add", "mul", "ne"])
def test_broadcasting(host, name, shapes):
    fn, want, _ = OPERATIONS[name]
    a, b = few("int32", shapes[0], share=0.6), few("int32", shapes[1], seed=1, share=0.6)
    check(of(host, fn, a, b), want(a, b), sparse=True)
    check(of(host, fn, a, (b, "dense")), want(a, b), sparse=name == "mul")


@pytest.mark.parametrize("l,r", [("bool", "int32"), ("uint8", "int16"), ("int64", "float32"), ("float32", "float64"), ("float64", "complex64")])
def test_dtypes(host, l, r):
    a, b = few(l), few(r, seed=1)
    dtype = larger(a, b)
    check(of(host, operator.add, a, b), a.astype(dtype) + b.astype(dtype), sparse=True)
    check(of(host, operator.mul, b, a), a.astype(dtype) * b.astype(dtype), sparse=True)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_division(host, dtype):
    """Zero by zero stays zero."""

    a, b = few(dtype), sample(dtype, (4, 5), seed=2)
    b[a != 0] = 2
    want = np.where(a == 0, 0, div(a, b)).astype(dtype)
    check(of(host, operator.truediv, a, (b, "dense")), want, sparse=True)
    for operands in ((a, few(dtype, seed=1)), ((b, "dense"), a)):
        with pytest.raises(tc.error.BadRequest):
            of(host, operator.truediv, *operands)


@pytest.mark.parametrize("dtype", ["int32", "float64"])
def test_powers(host, dtype):
    a, b = np.abs(few(dtype)), np.full((5,), 3, dtype)
    check(of(host, operator.pow, a, (b, "dense")), np.power(a, b), sparse=True, zeros=1e-9)
    check(of(host, lambda s: s**2, a), np.power(a, np.array(2, dtype)), sparse=True)
    check(of(host, operator.pow, (nonzero_like(a), "dense"), a), np.power(nonzero_like(a), a), sparse=False, rounding=1e-9)
    for exponent in (0, -1):
        with pytest.raises(tc.error.BadRequest):
            of(host, lambda s: s**exponent, a)


def nonzero_like(a):
    return np.full(a.shape, 2, a.dtype)


# --- a number ---------------------------------------------------------------------------------------------------


# For 2, for 0 and for -2: whether the result is sparse. Nothing is refused but what would be dense.
WITH_NUMBERS = {
    "add": (False, None, False),
    "sub": (False, None, False),
    "mul": (True, True, True),
    "eq": (True, False, True),
    "ne": (False, True, False),
    "gt": (True, True, False),
    "lt": (False, True, True),
    "ge": (True, False, False),
    "le": (False, False, True),
    "or": (False, False, False),
    "xor": (False, False, False),
    "and": (True, True, True),
}


@pytest.mark.parametrize("at,value", list(enumerate((2, 0, -2))), ids=str)
@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers(host, name, at, value):
    fn, want, _ = OPERATIONS[name]
    array = few("int32")
    expected = WITH_NUMBERS[name][at]
    if expected is None:
        pytest.skip("the client leaves this out")
    if not expected:
        with pytest.raises(tc.error.BadRequest):
            of(host, lambda s: fn(s, value), array)
        return
    check(of(host, lambda s: fn(s, value), array), want(array, np.int32(value)), sparse=True)


def test_a_number_of_a_higher_kind(host):
    array = few("int32")
    check(of(host, lambda s: s * 0.5, array), array * 0.5, sparse=True)
    check(of(host, lambda s: s / 2, array), div(array, np.array(2, "int32")), sparse=True)
    check(of(host, lambda s: s * (1 + 2j), array), array * (1 + 2j), sparse=True)
    check(of(host, lambda s: -s, array), -array, sparse=True)


# --- functions and reductions -----------------------------------------------------------------------------------


KEPT = {"abs": np.abs, "sin": np.sin, "tan": np.tan, "asin": np.arcsin, "atan": np.arctan, "sinh": np.sinh, "tanh": np.tanh, "asinh": np.arcsinh, "atanh": np.arctanh}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int32", "bool"])
@pytest.mark.parametrize("name", KEPT)
def test_functions(host, name, dtype):
    array = few(dtype) / np.array(16, dtype) if dtype in ("float32", "float64", "complex128") else few("bool").astype(dtype)
    if name == "atanh" and dtype in ("int32", "bool"):
        array = array * np.array(0, dtype)
    to = (real_of(dtype) if name == "abs" else float_of(dtype))
    wide = array.astype("complex128" if dtype in COMPLEX else "float64")
    want = array if name == "abs" and dtype == "bool" else KEPT[name](wide).astype(to)
    check(of(host, lambda s: getattr(s, name)(), array), want, sparse=True, rounding=1e-5 if to == "float32" else 1e-10)


@pytest.mark.parametrize("name", ["cos", "cosh", "acos", "acosh", "exp", "log", "logical_not"])
def test_functions_whose_results_are_dense(host, name):
    with pytest.raises(tc.error.BadRequest):
        of(host, lambda s: getattr(s, name)(), few("float64"))


REDUCTIONS = {"sum": "sum", "product": "prod", "max": "max", "min": "min"}


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(host, name, dtype):
    array = few(dtype, (3, 4, 2), share=0.7)
    fn = getattr(np, REDUCTIONS[name])
    wide = {"u": "uint64", "i": "int64", "f": "float64"}[array.dtype.kind]
    check(of(host, lambda s: getattr(s, name)(), array), fn(array.astype(wide)), rounding=1e-5)
    for axes in (0, -1, [0, 2]):
        kwargs = {"dtype": dtype} if name in ("sum", "product") else {}
        want = fn(array, axis=tuple(axes) if isinstance(axes, list) else axes, **kwargs)
        check(of(host, lambda s: getattr(s, name)(axes), array), want, sparse=True, rounding=1e-5)


def test_reductions_where_nothing_is_zero(host):
    array = -np.arange(1, 7, dtype="int32").reshape(2, 3)
    check(of(host, lambda s: s.max(), array), -1)
    check(of(host, lambda s: s.max(0), array), array.max(0), sparse=True)
    check(of(host, lambda s: s.product(), array), 720)
    same(of(host, lambda s: s.all(), array), True)


def test_sums_that_keep_their_axes(host):
    array = few("float64")
    check(of(host, lambda s: s.sum(0, keepdims=True), array), array.sum(0, keepdims=True), sparse=True)
    check(of(host, lambda s: s.sum([0, 1], keepdims=True), array), array.sum((0, 1), keepdims=True), sparse=True)


@BY_DTYPE
def test_all_any_and_norm(host, dtype):
    array = few(dtype)
    same(of(host, lambda s: s.all(), array), False)
    same(of(host, lambda s: s.any(), array), True)
    same(of(host, lambda s: s.any(), np.zeros((2, 2), dtype)), False)
    if dtype != "bool":
        want = float(np.linalg.norm(array.astype("complex128")))
        check(of(host, lambda s: s.norm(), array), want, rounding=1e-5)


# --- products ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32", "float64", "complex128"])
@pytest.mark.parametrize("l,r", CASES)
def test_matmul(host, l, r, dtype):
    a, b = few(dtype, (6, 7)), few(dtype, (7, 5), seed=1)
    want = (scipy.sparse.csr_array(a.astype("int64")) @ scipy.sparse.csc_array(b.astype("int64"))).toarray() if a.dtype.kind in "bi" else a @ b
    want = (want != 0).astype(bool) if dtype == "bool" else want.astype(dtype)
    check(of(host, operator.matmul, (a, l), (b, r)), want, sparse=True)


def test_batches_of_matrices(host):
    a, b = few("float64", (2, 3, 4)), few("float64", (4, 2), seed=1)
    check(of(host, operator.matmul, a, b), a @ b, sparse=True)
    check(of(host, operator.matmul, a, (b, "dense")), a @ b, sparse=True)


def test_a_product_against_scipy(host):
    rng = np.random.default_rng(6)
    a = scipy.sparse.random_array((60, 80), density=0.05, rng=rng)
    b = scipy.sparse.random_array((80, 50), density=0.05, rng=rng)
    check(of(host, operator.matmul, a.toarray(), b.toarray()), (a.tocsr() @ b.tocsc()).toarray(), sparse=True)
    check(of(host, lambda s, t: (s @ t).sum(0), a.toarray(), b.toarray()), (a.tocsr() @ b.tocsc()).toarray().sum(0), sparse=True)
    check(of(host, lambda s: (s * 2).transpose(), a.toarray()), (a * 2).toarray().T.copy(), sparse=True)


def test_diagonal(host):
    array = few("int32", (4, 4), share=0.7)
    check(of(host, tc.math.linalg.diagonal, array), np.diagonal(array).copy(), sparse=True)


# --- choices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [("sparse", "dense", "dense"), ("sparse", "sparse", "sparse"), ("dense", "sparse", "sparse"), ("dense", "dense", "sparse")], ids="-".join)
def test_cond(host, how):
    arrays = few("bool", (3, 4), share=0.5), few("int32", (3, 4)), few("int32", (3, 4), seed=1)
    reply = of(host, lambda c, a, b: c.cond(a, b), *zip(arrays, how))
    check(reply, np.where(*arrays), sparse=how == ("sparse", "sparse", "sparse"))


# --- writing ----------------------------------------------------------------------------------------------------


WRITES = [((0, 0), 7), ((-1, -1), 7), ((1, 2), 0), (0, 0), ((slice(None), 1), 0), ((slice(None), slice(1, 3)), 0), (slice(None), 0)]


@pytest.mark.parametrize("index,value", WRITES, ids=str)
def test_writes_of_numbers(host, index, value):
    array = few("int32", share=0.7)
    want = array.copy()
    want[index] = value
    check(written(host, array, lambda s: s[index].write(value)), want, sparse=True)


@pytest.mark.parametrize("index,shape", [(0, (5,)), (slice(None), (4, 5)), (slice(None), (5,)), ((slice(None), 2), (4,)), ((slice(1, 3), slice(0, 2)), (2, 2)), ((slice(None), slice(0, 2)), (4, 1))], ids=str)
def test_writes_of_tensors(host, index, shape):
    """What is not in the value is removed."""

    array, value = few("int32", share=0.7), few("float32", shape, seed=1, share=0.5)
    want = array.copy()
    want[index] = value.astype("int32")
    check(written(host, array, lambda s, t: s[index].write(t), sparse(value)), want, sparse=True)


def test_a_sparse_tensor_is_written_to_a_dense_one(host):
    value = few("int32", (5,))
    cxt = tc.Context()
    cxt.a = dense(sample("int32", (4, 5)))
    cxt.t = sparse(value)
    cxt.w = cxt.a[1].write(cxt.t)
    cxt.r = tc.after(cxt.w, cxt.a)
    want = sample("int32", (4, 5))
    want[1] = value
    check(host.hypothetical(cxt), want, sparse=False)


@pytest.mark.parametrize("index,value", [(0, 7), ((slice(None), 1), 1), ((4, 0), 1), ((0, -6), 1), ((0, 0), "x")], ids=str)
def test_faulty_writes(host, index, value):
    with pytest.raises(tc.error.BadRequest):
        written(host, few("int32"), lambda s: s[index].write(value))


def test_a_dense_tensor_is_not_written_to_a_sparse_one(host):
    with pytest.raises(tc.error.BadRequest):
        written(host, few("int32"), lambda s, t: s[0].write(t), dense(sample("int32", (5,))))


# --- a shape that is never stored -------------------------------------------------------------------------------


def test_a_huge_shape(host):
    cxt = tc.Context()
    cxt.s = Sparse.create([HUGE, HUGE], tc.I64)
    cxt.w = [cxt.s[5, HUGE - 1].write(7), cxt.s[-1, 0].write(2)]
    cxt.t = tc.after(cxt.w, cxt.s)
    cxt.r = [cxt.t.sum(), cxt.t[5, HUGE - 1], cxt.t[0, 0], cxt.t[5], (cxt.t * 3).transpose(), cxt.t.sum(0)]
    total, there, absent, row, product, sums = host.hypothetical(cxt)
    same([number(reply) for reply in (total, there, absent)], [9, 7, 0])
    # an array of that shape would not fit in memory
    i64 = V + "number/int/64"
    same(row, {SPARSE: [[i64, [HUGE]], [[[HUGE - 1], 7]]]})
    same(product, {SPARSE: [[i64, [HUGE, HUGE]], [[[0, HUGE - 1], 6], [[HUGE - 1, 5], 21]]]})
    same(sums, {SPARSE: [[i64, [HUGE]], [[[0], 2], [[HUGE - 1], 7]]]})


def test_many_elements(url):
    """More than fit in one block, against scipy."""

    rng = np.random.default_rng(7)
    a, b = (scipy.sparse.random_array((3000, 2000), density=0.001, rng=rng, data_sampler=lambda size: rng.integers(1, 9, size)).astype("int64") for _ in "ab")
    steps = [["a", literal(a.toarray(), True)], ["b", literal(b.toarray(), True)], ["m", {"$a/mul": {"r": {"$b": []}}}], ["p", {"$a/add": {"r": {"$b": []}}}]]
    calls = [{"$p/sum": {}}, {"$m/sum": {}}, {"$p/max": [None]}, {"$p": [[17]]}, {"$p/sum": {"axes": [0]}}, {"$p/transpose": [None]}]
    response = program(url, [*steps, ["r", calls]])
    assert response.status_code == 200, response.text
    total, common, top, row, sums, turned = response.json()
    plus = (a + b).toarray()
    same([total, common, top], [int(plus.sum()), int(a.multiply(b).sum()), int(plus.max())])
    check(row, plus[17], sparse=True)
    check(sums, plus.sum(0), sparse=True)
    check(turned, np.ascontiguousarray(plus.T), sparse=True)
    assert len(entries(plus)) == (a + b).count_nonzero()
