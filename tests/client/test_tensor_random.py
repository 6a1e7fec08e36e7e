"""Random shapes, slices, dtypes and chains of calls against numpy.

`TINYCHAIN_TENSOR_CASES` says how many cases each test tries, `TINYCHAIN_TENSOR_SEED` which. A failure prints both, and the
smallest case that fails.
"""

import json
import operator

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from sample_tensors import CASES, DTYPES, NUMERIC, REAL, SEED, check, div, expand, larger, literal, nonzero, of, sample
from support import program

SETTINGS = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def random_cases(test):
    return seed(SEED)(SETTINGS(test))


@pytest.fixture(autouse=True)
def quiet():
    print(f"TINYCHAIN_TENSOR_SEED={SEED} TINYCHAIN_TENSOR_CASES={CASES}")
    with np.errstate(all="ignore"):
        yield


# --- slices -----------------------------------------------------------------------------------------------------


@st.composite
def ranges(draw, dim):
    """A part of an axis that is not empty, spelt in one of the ways there are."""

    start = draw(st.integers(0, dim - 1))
    stop = draw(st.integers(start + 1, dim))
    starts = [start, start - dim] + ([None] if start == 0 else [])
    stops = [stop] + ([None] if stop == dim else [stop - dim])
    return slice(draw(st.sampled_from(starts)), draw(st.sampled_from(stops)))


@st.composite
def indexes(draw, shape):
    """A position or a range for each axis, or only for the first ones."""

    parts = [draw(st.one_of(st.integers(-dim, dim - 1), ranges(dim))) for dim in shape]
    return tuple(parts[: draw(st.integers(1, len(parts)))])


@random_cases
@given(st.data())
def test_slices(host, data):
    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(DTYPES))
    array, index = sample(dtype, shape), data.draw(indexes(shape))
    check(of(host, lambda a: a[index], array), np.ascontiguousarray(array[index]) if np.ndim(array[index]) else array[index])


def bounds(index):
    """An index as it is sent."""

    return [range_of(part) if isinstance(part, slice) else part for part in index]


def range_of(part):
    if part == slice(None):
        return None
    return [None if part.start is None else ["in", part.start], None if part.stop is None else ["ex", part.stop]]


@random_cases
@given(st.data())
def test_writes(url, data):
    """A number, or a tensor of any shape that broadcasts into that of the part."""

    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(DTYPES))
    want, index = sample(dtype, shape), data.draw(indexes(shape))
    part = want[index].shape
    steps = [["a", literal(want)]]
    if part and data.draw(st.booleans()):
        kept = data.draw(st.integers(0, len(part) - 1))
        value = sample(dtype, tuple(1 if data.draw(st.booleans()) else dim for dim in part[kept:]), seed=1)
        steps.append(["b", literal(value)])
        steps.append(["w", {"$a": [bounds(index), {"$b": []}]}])
    else:
        value = 7
        steps.append(["w", {"$a": [bounds(index), 7]}])
    want[index] = value
    response = program(url, [*steps, ["r", {"/state/scalar/ref/after": [{"$w": []}, {"$a": []}]}]])
    assert response.status_code == 200, response.text
    check(response.json(), want)


@random_cases
@given(st.data())
def test_sparse_slices(url, data):
    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(DTYPES))
    array, index = sample(dtype, shape), data.draw(indexes(shape))
    response = program(url, [["s", literal(array, True)], ["r", {"$s": [bounds(index)]}]])
    assert response.status_code == 200, response.text
    want = array[index]
    check(response.json(), np.ascontiguousarray(want) if np.ndim(want) else want, sparse=True if np.ndim(want) else None)


# --- two operands -----------------------------------------------------------------------------------------------


OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": div,
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}
ORDERED = ("gt", "ge", "lt", "le")
PAIRS = arrays.mutually_broadcastable_shapes(num_shapes=2, min_dims=1, max_dims=4, min_side=1, max_side=4)


@random_cases
@given(st.data())
def test_operators(url, data):
    name = data.draw(st.sampled_from(list(OPERATORS)))
    known = REAL if name in ORDERED else NUMERIC
    l, r = data.draw(st.sampled_from(known)), data.draw(st.sampled_from(known))
    shapes = data.draw(PAIRS).input_shapes
    a, b = sample(l, shapes[0]), sample(r, shapes[1], seed=1)
    if name == "div":
        b = nonzero(b)
    dtype = larger(a, b)
    want = np.asarray(OPERATORS[name](a.astype(dtype), b.astype(dtype)))
    response = program(url, [["a", literal(a)], ["b", literal(b)], ["r", {f"$a/{name}": {"r": {"$b": []}}}]])
    assert response.status_code == 200, response.text
    check(response.json(), want)


@random_cases
@given(st.data())
def test_shapes_that_do_not_broadcast(url, data):
    l, r = data.draw(SHAPES), data.draw(SHAPES)
    name = data.draw(st.sampled_from(list(OPERATORS)))
    try:
        shape = np.broadcast_shapes(l, r)
    except ValueError:
        shape = None
    steps = [["a", literal(sample("int32", l))], ["b", literal(nonzero(sample("int32", r, seed=1)))]]
    response = program(url, [*steps, ["v", {f"$a/{name}": {"r": {"$b": []}}}], ["r", {"$v/shape": [None]}]])
    if shape is None:
        assert response.status_code == 400 and list(response.json()) == ["bad_request"], response.text
    else:
        assert response.status_code == 200 and response.json() == list(shape), response.text


@random_cases
@given(st.data())
def test_matmul(host, data):
    m, k, n = (data.draw(st.integers(1, 6)) for _ in range(3))
    batches = data.draw(arrays.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=2, min_side=1, max_side=3)).input_shapes
    dtype = data.draw(st.sampled_from(NUMERIC))
    a, b = sample(dtype, (*batches[0], m, k)), sample(dtype, (*batches[1], k, n), seed=1)
    check(of(host, operator.matmul, a, b), a @ b)


@random_cases
@given(st.data())
def test_reductions(url, data):
    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(REAL))
    name, fn = data.draw(st.sampled_from([("sum", np.sum), ("max", np.max), ("min", np.min), ("product", np.prod)]))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    signed = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    keepdims = len(axes) == len(shape) or data.draw(st.booleans())
    array = sample(dtype, shape)
    kwargs = {"dtype": dtype} if name in ("sum", "product") else {}
    want = fn(array, axis=tuple(axes), keepdims=keepdims, **kwargs)
    response = program(url, [["a", literal(array)], ["r", {f"$a/{name}": {"axes": signed, "keepdims": keepdims}}]])
    assert response.status_code == 200, response.text
    check(response.json(), want, rounding=1e-4 if dtype == "float32" else 1e-9)


# --- chains of calls --------------------------------------------------------------------------------------------


@st.composite
def chains(draw):
    """A program of views of one tensor, and the array that numpy makes of the same."""

    dtype = draw(st.sampled_from(["int32", "float64", "bool", "complex64"]))
    array = sample(dtype, draw(SHAPES))
    is_sparse = draw(st.booleans())
    steps = [["v0", literal(array, is_sparse)]]
    for at in range(draw(st.integers(1, 6))):
        call, array = draw(calls(array))
        steps.append([f"v{at + 1}", json.loads(json.dumps(call).replace("$v", f"$v{at}"))])
        if array.size > 2000:
            break
    return steps, array, is_sparse


@st.composite
def calls(draw, array):
    kinds = ["transpose", "reshape", "expand_dims", "broadcast", "copy", "mul", "add", "cast"]
    if array.size > 1:
        kinds.append("slice")
    kind = draw(st.sampled_from(kinds))
    if kind == "transpose":
        axes = draw(st.permutations(range(array.ndim)))
        return {"$v/transpose": [list(axes)]}, array.transpose(axes)
    if kind == "reshape":
        shape = draw(shapes_of(array.size))
        return {"$v/reshape": [list(shape)]}, array.reshape(shape)
    if kind == "expand_dims":
        axis = draw(st.integers(-array.ndim, array.ndim))
        return {"$v/expand_dims": [axis]}, expand(array, axis)
    if kind == "broadcast":
        shape = (*draw(st.sampled_from([(), (2,), (1, 3)])), *(3 if dim == 1 and draw(st.booleans()) else dim for dim in array.shape))
        return {"$v/broadcast": [list(shape)]}, np.broadcast_to(array, shape)
    if kind == "slice":
        index = tuple(draw(ranges(dim)) for dim in array.shape)
        return {"$v": [bounds(index)]}, array[index]
    if kind == "mul":
        if array.dtype.kind == "b":
            return {"$v/mul": {"r": True}}, array
        return {"$v/mul": {"r": -1}}, array * np.array(-1, array.dtype)
    if kind == "add":
        return {"$v/add": {"r": {"$v": []}}}, array + array
    if kind == "cast":
        return {"$v/cast": ["/state/scalar/value/number/float/64"]}, array.real.astype("float64")
    return {"/state/collection/tensor/copy_from": {"tensor": {"$v": []}}}, array


@st.composite
def shapes_of(draw, size):
    """A shape of as many elements."""

    shape = []
    while size > 1 and len(shape) < 4:
        dim = draw(st.sampled_from([dim for dim in range(2, size + 1) if size % dim == 0]))
        shape.append(dim)
        size //= dim
    return tuple([*shape, size] if size > 1 or not shape else shape)


@random_cases
@given(chains())
def test_chains_of_calls(url, case):
    steps, want, is_sparse = case
    note(json.dumps(steps))
    response = program(url, steps)
    assert response.status_code == 200, response.text
    check(response.json(), np.ascontiguousarray(want), rounding=1e-4 if want.dtype == np.complex64 else None, sparse=is_sparse)


@random_cases
@given(chains())
def test_what_is_asked_of_a_chain(url, case):
    """Numbers about the whole, and one element."""

    steps, want, _ = case
    last = f"${steps[-1][0]}"
    coord = [dim - 1 for dim in want.shape]
    calls = [{f"{last}/shape": [None]}, {f"{last}/size": [None]}, {f"{last}/any": [None]}, {f"{last}/all": [None]}, {last: [coord]}]
    note(json.dumps(steps))
    response = program(url, [*steps, ["r", calls]])
    assert response.status_code == 200, response.text
    shape, size, is_any, is_all, element = response.json()
    assert shape == list(want.shape) and size == want.size
    assert (is_any, is_all) == (bool(want.any()), bool(want.all()))
    check(element, want[tuple(coord)], rounding=1e-4 if want.dtype == np.complex64 else None)
