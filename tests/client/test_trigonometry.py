"""Trigonometric functions of real and complex numbers."""

import cmath
import math

import pytest
import tinychain as tc

from support import V, Near, apply, evaluate, same

NAMES = ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", [0.5, -0.25, 0.99, 1.5, -2.5, 3, -1])
def test_real(host, name, x):
    try:
        want = Near(getattr(math, name)(x))
    except ValueError:
        if name == "atanh" and x == -1:
            want = float("-inf")
        else:
            want = float("nan")

    same(evaluate(host, {"x": x}, lambda cxt: getattr(cxt.x, name)()), want)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("z", [1 + 2j, 0.5 - 0.25j])
def test_complex(host, name, z):
    want = getattr(cmath, name)(z)
    got = evaluate(host, {"z": z}, lambda cxt: getattr(cxt.z, name)())
    same(got, {V + "number/complex/64": [Near(want.real, 1e-9), Near(want.imag, 1e-9)]})


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "atan", "sinh"])
def test_32_bit(host, name):
    fn = lambda x: getattr(x, name)()
    got = apply(host, lambda x: fn(x.cast(tc.F32)), (tc.Number,), 0.5)
    same(got, Near(getattr(math, name)(0.5), 1e-6))
    assert got != getattr(math, name)(0.5), "the result has 32 bits"


def test_sin_of_32_bit_one(host):
    same(apply(host, lambda x: x.cast(tc.F32).sin(), (tc.Number,), 1), 0.84147096)


def test_identity(host):
    fn = lambda x: x.sin() ** 2 + x.cos() ** 2
    same(apply(host, fn, (tc.Float,), 1.2345), Near(1.0))


def test_true_counts_as_one(host):
    got = apply(host, lambda b: b.sin(), (tc.Bool,), True)
    same(got, Near(math.sin(1.0), 1e-6))
