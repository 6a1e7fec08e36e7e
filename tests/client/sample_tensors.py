"""Tensors as numpy arrays: how they are sent, what is replied, and what numpy makes of the same."""

import os
import random

import numpy as np
import tinychain as tc

from support import V, evaluate

Dense = tc.tensor.Dense
Sparse = tc.tensor.Sparse
Tensor = tc.tensor.Tensor

DENSE = "/state/collection/tensor/dense"
SPARSE = "/state/collection/tensor/sparse"

# In the order in which the larger of two is the dtype of what is computed from both.
ORDER = {
    "bool": ("number/bool", tc.Bool),
    "uint8": ("number/uint/8", tc.U8),
    "uint16": ("number/uint/16", tc.U16),
    "uint32": ("number/uint/32", tc.U32),
    "uint64": ("number/uint/64", tc.U64),
    "int16": ("number/int/16", tc.I16),
    "int32": ("number/int/32", tc.I32),
    "int64": ("number/int/64", tc.I64),
    "float32": ("number/float/32", tc.F32),
    "float64": ("number/float/64", tc.F64),
    "complex64": ("number/complex/32", tc.C32),
    "complex128": ("number/complex/64", tc.C64),
}
DTYPES = list(ORDER)
UNSIGNED = DTYPES[1:5]
INTEGERS = DTYPES[1:8]
FLOATS = ["float32", "float64"]
COMPLEX = ["complex64", "complex128"]
REAL = DTYPES[1:10]
NUMERIC = DTYPES[1:]
NAMES = {V + path: name for name, (path, _) in ORDER.items()}

# How many cases the random tests try, and which.
CASES = int(os.environ.get("TINYCHAIN_TENSOR_CASES", "60"))
SEED = int(os.environ.get("TINYCHAIN_TENSOR_SEED", str(random.randrange(1 << 30))))

# What a machine may round differently. A device that is no CPU may use other functions.
ROUNDING = {"float32": 1e-5, "complex64": 1e-5, "float64": 1e-12, "complex128": 1e-12}
if os.environ.get("TINYCHAIN_DEVICE"):
    ROUNDING = {name: max(rounding, 1e-4 if name in ("float32", "complex64") else 1e-9) for name, rounding in ROUNDING.items()}


def larger(*arrays):
    """The dtype of what is computed from several arrays."""

    return max((array.dtype.name for array in arrays), key=DTYPES.index)


def float_of(dtype):
    """The dtype of a function like the sine."""

    if dtype in FLOATS + COMPLEX:
        return dtype
    return "float64" if dtype in ("int64", "uint64") else "float32"


def real_of(dtype):
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


# --- sending ----------------------------------------------------------------------------------------------------


def dense(array):
    """The array as a tensor that a program loads."""

    return Dense.load(list(array.shape), array.ravel().tolist(), ORDER[array.dtype.name][1])


def sparse(array):
    """The same, but sparse."""

    return Sparse.load(list(array.shape), entries(array), ORDER[array.dtype.name][1])


def entries(array):
    return [[coord.tolist(), array[tuple(coord)].item()] for coord in np.argwhere(array)]


def literal(array, is_sparse=False):
    """The JSON of an array as a dense tensor, which is also the reply for it, or as a sparse one."""

    header = [V + ORDER[array.dtype.name][0], list(array.shape)]
    if is_sparse:
        return {SPARSE: [header, [[coord, _parts(value)] for coord, value in entries(array)]]}
    if array.dtype.kind == "c":
        return {DENSE: [header, [part for value in array.ravel().tolist() for part in _parts(value)]]}
    return {DENSE: [header, array.ravel().tolist()]}


def _parts(value):
    return [value.real, value.imag] if isinstance(value, complex) else value


def of(host, fn, *operands):
    """Execute `fn` of the operands, which are arrays or tensors that are computed by the host."""

    names, states = [], {}
    for operand, name in zip(operands, "abcdefgh"):
        # Two steps of a Context cannot be equal.
        same = [known for known, (array, _) in states.items() if array is not None and _equal(array, operand)]
        if not same:
            is_array = isinstance(operand, np.ndarray)
            states[name] = (operand, dense(operand)) if is_array else (None, operand)
        names.append(same[0] if same else name)
    steps = {name: state for name, (_, state) in states.items()}
    return evaluate(host, steps, lambda cxt: fn(*(getattr(cxt, name) for name in names)))


def _equal(array, other):
    return isinstance(other, np.ndarray) and array.dtype == other.dtype and array.shape == other.shape and (array == other).all()


def written(host, operand, write, *others):
    """The reply with the tensor `a` after `write`, which is given it and the others."""

    cxt = tc.Context()
    cxt.a = operand if not isinstance(operand, np.ndarray) else dense(operand)
    for name, other in zip("bcd", others):
        setattr(cxt, name, other if not isinstance(other, np.ndarray) else dense(other))
    cxt.w = write(cxt.a, *(getattr(cxt, name) for name in "bcd"[: len(others)]))
    cxt.r = tc.after(cxt.w, cxt.a)
    return host.hypothetical(cxt)


# --- reading ----------------------------------------------------------------------------------------------------


def is_sparse(reply):
    return isinstance(reply, dict) and list(reply) == [SPARSE]


def read(reply):
    """The array that a reply is. What is stored of a sparse one must be in order, and no zero."""

    assert isinstance(reply, dict) and list(reply) in ([DENSE], [SPARSE]), reply
    ((path, ((dtype, shape), elements)),) = reply.items()
    dtype = np.dtype(NAMES[dtype])
    if path == SPARSE:
        array = np.zeros(shape, dtype)
        coords = [coord for coord, _ in elements]
        assert coords == sorted(coords) and len(set(map(tuple, coords))) == len(coords), "the coordinates are not in order"
        for coord, value in elements:
            array[tuple(coord)] = complex(*value) if dtype.kind == "c" else value
            assert array[tuple(coord)] != 0, f"a zero is stored at {coord}"
        return array
    if dtype.kind == "c":
        parts = np.array(elements, np.float64).reshape(-1, 2)
        return (parts[:, 0] + 1j * parts[:, 1]).astype(dtype).reshape(shape)
    if dtype.kind == "b":
        assert all(type(element) is bool for element in elements), elements
    return np.array(elements, dtype).reshape(shape)


def number(reply):
    """The number that a reply is."""

    if isinstance(reply, dict):
        ((path, (real, imag)),) = reply.items()
        assert path in (V + "number/complex/32", V + "number/complex/64"), path
        return complex(real, imag)
    assert type(reply) in (bool, int, float), reply
    return reply


def check(reply, want, rounding=None, zeros=None, sparse=None):
    """Require an array with the dtype and the shape of `want`, or a number, and equal elements.

    Floats may differ by `rounding` relative to what is wanted; what is close to zero, by `zeros`.
    """

    if np.ndim(want) == 0:
        got, dtype = number(reply), np.asarray(want).dtype.name
    else:
        got, dtype = read(reply), want.dtype.name
        assert got.dtype == want.dtype, f"{got.dtype}, not {want.dtype}"
        assert got.shape == want.shape, f"{got.shape}, not {want.shape}"
    if sparse is not None:
        assert is_sparse(reply) == sparse, "sparse" if is_sparse(reply) else "dense"
    rounding = ROUNDING.get(dtype, 0) if rounding is None else rounding
    if np.asarray(want).dtype.kind in "fc":
        np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding if zeros is None else zeros, equal_nan=True)
    else:
        np.testing.assert_array_equal(got, want)


# --- samples ----------------------------------------------------------------------------------------------------


def sample(dtype, shape=(2, 3), seed=0):
    """Small numbers, which are the same in each run, and of which none is lost in any dtype."""

    rng = np.random.default_rng([DTYPES.index(dtype), seed, *shape])
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if kind == "u":
        return rng.integers(0, 10, shape).astype(dtype)
    if kind == "i":
        return rng.integers(-9, 10, shape).astype(dtype)
    if kind == "f":
        return (rng.integers(-40, 41, shape) / 8).astype(dtype)
    return ((rng.integers(-40, 41, shape) + 1j * rng.integers(-40, 41, shape)) / 8).astype(dtype)


def nonzero(array):
    """The array with a one in place of each zero."""

    return np.where(array == 0, np.ones((), array.dtype), array)


def few(dtype, shape=(4, 5), seed=0, share=0.4):
    """An array of which few elements are not zero."""

    rng = np.random.default_rng([99, DTYPES.index(dtype), seed, *shape])
    return np.where(rng.random(shape) < share, nonzero(sample(dtype, shape, seed)), np.zeros((), dtype)).astype(dtype)


# --- where this is not numpy ------------------------------------------------------------------------------------


def div(l, r):
    """Integers are divided without a remainder, toward zero; by zero, that is zero."""

    l, r = np.broadcast_arrays(l, r)
    if l.dtype.kind not in "iu":
        with np.errstate(all="ignore"):
            return l / r
    pairs = zip(l.ravel().tolist(), r.ravel().tolist())
    quotients = [0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) for a, b in pairs]
    return np.array(quotients, l.dtype).reshape(l.shape)


def round_half_away(array):
    """The nearest whole number; of two, the one farther from zero."""

    whole = np.trunc(np.abs(array))
    return np.copysign(whole + (np.abs(array) - whole >= 0.5), array).astype(array.dtype)


def expand(array, axes=None):
    """New axes before the positions that are given in the old shape; at the end if there are none."""

    axes = [array.ndim] if axes is None else axes if isinstance(axes, list) else [axes]
    shape = list(array.shape)
    for axis in sorted((axis + array.ndim if axis < 0 else axis for axis in axes), reverse=True):
        shape.insert(axis, 1)
    return array.reshape(shape)
