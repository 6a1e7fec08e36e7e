"""Complex numbers."""

import cmath

import pytest
import tinychain as tc

from support import Near, V, apply, c32, c64, evaluate, same

Z = (tc.Complex, tc.Complex)


def near(z, rel=1e-9):
    return {V + "number/complex/64": [Near(z.real, rel), Near(z.imag, rel)]}


@pytest.mark.parametrize(
    "state,want",
    [(3 + 4j, c64(3.0, 4.0)), (tc.Complex(1.5 - 2j), c64(1.5, -2.0)), (tc.Complex(1.0, 2.0), c64(1.0, 2.0)),
     (tc.C64(-1j), c64(0.0, -1.0)), (tc.C32(1 + 2j), c32(1.0, 2.0))],
    ids=repr,
)
def test_literal(host, state, want):
    cxt = tc.Context()
    cxt.z = state
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize(
    "fn,want",
    [
        (lambda z: z + 1, c64(4.0, 4.0)),
        (lambda z: 1 + z, c64(4.0, 4.0)),
        (lambda z: z + 0.5, c64(3.5, 4.0)),
        (lambda z: z - 1, c64(2.0, 4.0)),
        (lambda z: 1 - z, c64(-2.0, -4.0)),
        (lambda z: z * 2, c64(6.0, 8.0)),
        (lambda z: z * z, c64(-7.0, 24.0)),
        (lambda z: z / 2, c64(1.5, 2.0)),
        (lambda z: -z, c64(-3.0, -4.0)),
        (lambda z: abs(z), 5.0),
        (lambda z: z.real, 3.0),
        (lambda z: z.imag, 4.0),
        (lambda z: z.real + 1, 4.0),
        (lambda z: z.real + z.imag, 7.0),
        (lambda z: z.conj(), c64(3.0, -4.0)),
        (lambda z: z.norm(), c64(9.0, 16.0)),
        (lambda z: z.angle(), Near(0.9272952180016122)),
        (lambda z: z**2, near(-7 + 24j)),
        (lambda z: z**0.5, near(2 + 1j)),
        (lambda z: z.exp(), near(cmath.exp(3 + 4j))),
        (lambda z: z.log(), near(cmath.log(3 + 4j))),
        (lambda z: z.round(), c64(3.0, 4.0)),
        (lambda z: 1 / z, near(1 / (3 + 4j))),
        (lambda z: z == 3, False),
        (lambda z: z != 3, True),
        (lambda z: z > 1, False),
        (lambda z: z <= 1, False),
        (lambda z: z.cast(tc.C32), c32(3.0, 4.0)),
        (lambda z: z.cast(tc.C64), c64(3.0, 4.0)),
        (lambda z: z.cast(tc.Complex), c64(3.0, 4.0)),
        (lambda z: z.cast(tc.Float), 3.0),
        (lambda z: z.cast(tc.Int), 3),
        (lambda z: z.cast(tc.Bool), True),
        (lambda z: z.cast(tc.String), "3+4i"),
    ],
)
@pytest.mark.parametrize("how", ["step", "parameter"])
def test_method(host, how, fn, want):
    if how == "step":
        same(evaluate(host, {"z": 3 + 4j}, lambda cxt: fn(cxt.z)), want)
    else:
        same(apply(host, lambda z: fn(z), (tc.Complex,), 3 + 4j), want)


@pytest.mark.parametrize(
    "fn,a,b,want",
    [
        (lambda a, b: a + b, 1 + 2j, 3 - 1j, c64(4.0, 1.0)),
        (lambda a, b: a - b, 1 + 2j, 3 - 1j, c64(-2.0, 3.0)),
        (lambda a, b: a * b, 1 + 2j, 3 - 1j, c64(5.0, 5.0)),
        (lambda a, b: a / b, 1 + 2j, 3 - 1j, near((1 + 2j) / (3 - 1j))),
        (lambda a, b: a % b, 5 + 5j, 2 + 2j, c64(1.0, 1.0)),
        (lambda a, b: a + b, 5, 1 + 2j, c64(6.0, 2.0)),
        (lambda a, b: a + b, 5, [1, 2], c64(6.0, 2.0)),
        (lambda a, b: a + b, False, 1 + 2j, c64(1.0, 2.0)),
        (lambda a, b: a == b, 1 + 2j, 1 + 2j, True),
        (lambda a, b: a == b, 1 + 2j, 2 + 1j, False),
        (lambda a, b: a == b, 3 + 0j, 3, True),
        (lambda a, b: a == b, False, 0j, True),
        (lambda a, b: a != b, 1 + 2j, 1 + 3j, True),
        (lambda a, b: a**b, 2.0, 1 + 1j, near(2 ** (1 + 1j))),
        (lambda a, b: a**b, 1 + 2j, 2, near((1 + 2j) ** 2)),
        (lambda a, b: a.round(), 2.5 - 1.4j, None, c64(3.0, -1.0)),
        (lambda a, b: a.log(b), 1 + 1j, None, near(cmath.log(1 + 1j))),
        (lambda a, b: a.real, 5, None, 5),
        (lambda a, b: a.imag, 5, None, 0.0),
    ],
)
def test_parameters(host, fn, a, b, want):
    same(apply(host, fn, Z, a, b), want)


def test_division_by_zero(host):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda a, b: a / b, Z, 1 + 2j, 0)


def test_32_bit_conjugate(host):
    same(apply(host, lambda z: z.conj(), (tc.C32,), tc.C32(1 + 2j)), c32(1.0, -2.0))
