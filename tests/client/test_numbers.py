"""Real numbers: literals, arithmetic, comparison."""

import math

import pytest
import tinychain as tc

from support import Near, apply, evaluate, same

N = (tc.Number, tc.Number)


@pytest.mark.parametrize(
    "value",
    [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, 1.0, -2.0, 0.1, 1e16, 1e-7, 1e300, 5e-324, 1.7976931348623157e308,
     float("inf"), float("-inf"), True, False],
)
def test_literal(host, value):
    cxt = tc.Context()
    cxt.x = value
    same(host.hypothetical(cxt), value)


@pytest.mark.parametrize(
    "state,want",
    [(tc.U64(2**63), 2**63), (tc.U64(2**64 - 1), 2**64 - 1), (tc.U64(7), 7), (tc.U8(200), 200), (tc.I16(-3), -3),
     (tc.UInt(2**40), 2**40), (tc.F32(1.5), 1.5), (tc.F64(2.0), 2.0), (tc.Bool(True), True)],
    ids=repr,
)
def test_typed_literal(host, state, want):
    cxt = tc.Context()
    cxt.x = state
    same(host.hypothetical(cxt), want)


ARITHMETIC = [
    ("x + 1", dict(x=5), 6),
    ("1 + x", dict(x=5), 6),
    ("x + y", dict(x=5, y=7), 12),
    ("x + 0.5", dict(x=5), 5.5),
    ("x + 1", dict(x=1.5), 2.5),
    ("x + y", dict(x=0.1, y=0.2), 0.1 + 0.2),
    ("(x + 0) * (y / 1) - 0", dict(x=5, y=7), 35),
    ("x - 2", dict(x=5), 3),
    ("x - y", dict(x=5, y=7), -2),
    ("1 - x", dict(x=5), -4),
    ("2.5 - x", dict(x=5), -2.5),
    ("x - 0.5", dict(x=5), 4.5),
    ("x * 2", dict(x=5), 10),
    ("3 * x", dict(x=5), 15),
    ("x * y", dict(x=5, y=7), 35),
    ("x * 0.5", dict(x=5), 2.5),
    ("x * x", dict(x=-5), 25),
    ("x / 2", dict(x=5), 2),
    ("x / 2", dict(x=-5), -2),
    ("x / 2.0", dict(x=5), 2.5),
    ("x / 2", dict(x=5.0), 2.5),
    ("x / y", dict(x=7, y=2), 3),
    ("x / y", dict(x=7, y=0.5), 14.0),
    ("2 / x", dict(x=4), 0.5),
    ("1 / x", dict(x=8.0), 0.125),
    ("x % 3", dict(x=7), 1),
    ("x % 3", dict(x=-7), -1),
    ("x % -3", dict(x=7), 1),
    ("x % 2", dict(x=-7.5), -1.5),
    ("x % y", dict(x=7, y=4), 3),
    ("x ** 2", dict(x=5), 25),
    ("x ** y", dict(x=2, y=10), 1024),
    ("x ** -1", dict(x=2), 0.5),
    ("x ** 0.5", dict(x=2), Near(2**0.5)),
    ("x ** 2", dict(x=1.5), 2.25),
    ("x ** 62", dict(x=2), 2**62),
    ("-x", dict(x=5), -5),
    ("-x", dict(x=-1.5), 1.5),
    ("abs(x)", dict(x=-5), 5),
    ("abs(x)", dict(x=-5.5), 5.5),
    ("abs(x)", dict(x=3), 3),
    ("(x + y) * (x - y)", dict(x=5, y=7), -24),
    ("((x + 1) * 2 - y) / 3", dict(x=5, y=3), 3),
    ("x.add(1)", dict(x=5), 6),
    ("x.sub(1)", dict(x=5), 4),
    ("x.mul(2)", dict(x=5), 10),
    ("x.div(2)", dict(x=5), 2),
    ("x.pow(3)", dict(x=5), 125),
    ("x.modulo(3)", dict(x=5), 2),
    ("x.exp()", dict(x=2), Near(math.exp(2))),
    ("x.exp()", dict(x=-1.5), Near(math.exp(-1.5))),
    ("x.exp()", dict(x=1000), float("inf")),
    ("x.log()", dict(x=10), Near(math.log(10))),
    ("x.log()", dict(x=0.5), Near(math.log(0.5))),
    ("x.log(2)", dict(x=8), Near(3.0)),
    ("x.log(10)", dict(x=1000.0), Near(3.0)),
    ("x.log(y)", dict(x=81, y=3), Near(4.0)),
    ("x.log()", dict(x=-1), float("nan")),
    ("x.round()", dict(x=2.5), 3.0),
    ("x.round()", dict(x=-2.5), -3.0),
    ("x.round()", dict(x=2.4), 2.0),
    ("x.round()", dict(x=7), 7),
    ("x.round(2)", dict(x=5.12345), 5.12),
    ("x.round(0)", dict(x=5.6), 6.0),
    ("x.round(3)", dict(x=-1.23456), -1.235),
    ("x.round(-1)", dict(x=1234), Near(1230.0)),
    ("tc.Number.max(x, y)", dict(x=5, y=7), 7),
    ("tc.Number.min(x, y)", dict(x=5, y=7), 5),
    ("tc.Number.max(x, y) + 1", dict(x=9, y=7), 10),
]


@pytest.mark.parametrize("source,states,want", ARITHMETIC)
def test_arithmetic(host, source, states, want):
    fn = lambda cxt: eval(source, {"tc": tc}, {name: getattr(cxt, name) for name in states})
    same(evaluate(host, states, fn), want)


BY_PARAMETER = [
    (lambda a, b: a * b, float("nan"), 1, float("nan")),  # the client cannot name a step with the value NaN
    (lambda a, b: a + b, 5, 7, 12),
    (lambda a, b: a + b, 5, "3", 8),
    (lambda a, b: a + b, 5, [3], 8),
    (lambda a, b: a + b, True, True, True),
    (lambda a, b: a + b, True, 1, 2),
    (lambda a, b: a + b, 5, False, 5),
    (lambda a, b: a - b, True, True, False),
    (lambda a, b: a - b, 3, 4.5, -1.5),
    (lambda a, b: a * b, True, False, False),
    (lambda a, b: a * b, True, True, True),
    (lambda a, b: a * b, 2.0, 3, 6.0),
    (lambda a, b: a / b, -5, 2, -2),
    (lambda a, b: a / b, 1, 3.0, 1 / 3),
    (lambda a, b: a % b, 7, -3, 1),
    (lambda a, b: a % b, -7.5, 2, -1.5),
    (lambda a, b: a**b, 0, 0, 1),
    (lambda a, b: a**b, 2, -1, 0.5),
    (lambda a, b: a**b, 2, 3, 8),
    (lambda a, b: a**b, False, 0, True),
    (lambda a, b: a**b, -8.0, 0.333, float("nan")),
    (lambda a, b: a.log(b), 8, 2, Near(3.0)),
    (lambda a, b: (a + b).round(1), 1.11, 2.22, 3.3),
    (lambda a, b: -(a - b), 5, 7, 2),
    (lambda a, b: abs(a - b), 5, 7, 2),
    (lambda a, b: 1 - a * b, 5, 7, -34),
    (lambda a, b: 1 / a + b, 4, 0.5, 0.75),
]


@pytest.mark.parametrize("fn,a,b,want", BY_PARAMETER)
def test_arithmetic_of_parameters(host, fn, a, b, want):
    same(apply(host, fn, N, a, b), want)


IMPOSSIBLE = [
    (lambda a, b: a / b, 5, 0),
    (lambda a, b: a / b, 5.0, 0.0),
    (lambda a, b: a % b, 5, 0),
    (lambda a, b: a % b, 5.5, 0),
    (lambda a, b: a + b, 2**63 - 1, 1),
    (lambda a, b: a - b, -(2**63), 1),
    (lambda a, b: a * b, 2**62, 2),
    (lambda a, b: a**b, 2, 100),
    (lambda a, b: a / b, -(2**63), -1),
    (lambda a, b: abs(a), -(2**63), None),
    (lambda a, b: a.log(), 0, None),
    (lambda a, b: a + b, tc.U64(2**64 - 1), 1),
    (lambda a, b: a + b, 5, "x"),
    (lambda a, b: a + b, 5, None),
    (lambda a, b: a > b, 5, "x"),
    (lambda a, b: a.log(b), 5, 1 + 1j),
]


@pytest.mark.parametrize("fn,a,b", IMPOSSIBLE)
def test_bad_request(host, fn, a, b):
    with pytest.raises(tc.error.BadRequest):
        apply(host, fn, N, a, b)


COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
PAIRS = [(5, 5), (5, 7), (7, 5), (-1, 1), (5, 5.0), (5, 5.7), (5.7, 5), (0.1, 0.2), (1.5, 1.5), (True, 1), (2, True), (False, 0),
         (2**53 + 1, 2**53), (float("inf"), 1), (float("nan"), 1.0)]


@pytest.mark.parametrize("a,b", PAIRS)
@pytest.mark.parametrize("op", COMPARE)
def test_compare(host, op, a, b):
    same(apply(host, COMPARE[op], N, a, b), COMPARE[op](a, b))


@pytest.mark.parametrize("op", COMPARE)
@pytest.mark.parametrize("a,b", [(5, 7), (5, 5.5), (2.0, -3)])
def test_compare_steps(host, op, a, b):
    same(evaluate(host, {"x": a, "y": b}, lambda cxt: COMPARE[op](cxt.x, cxt.y)), COMPARE[op](a, b))


@pytest.mark.parametrize("op", COMPARE)
def test_compare_a_literal(host, op):
    # a method of a literal needs a step of its own, which the client makes
    cxt = tc.Context()
    cxt.y = 3
    cxt.r = COMPARE[op](cxt.y, tc.Int(5))
    same(host.hypothetical(cxt), COMPARE[op](3, 5))


@pytest.mark.parametrize("a,b,want", [(5, "5", True), (5, "5.0", True), (5, "6", False), (5, None, False), (5, "x", False)])
def test_equality_with_other_classes(host, a, b, want):
    same(apply(host, lambda a, b: a == b, N, a, b), want)
    same(apply(host, lambda a, b: a != b, N, a, b), not want)


def test_unsigned_is_compared_exactly(host):
    same(apply(host, lambda a, b: a == b, N, tc.U64(2**64 - 1), -1), False)
    same(apply(host, lambda a, b: a > b, N, tc.U64(2**64 - 1), -1), True)


@pytest.mark.parametrize(
    "fn,want",
    [
        (lambda: tc.Int(5) / tc.Int(2), 2.5),
        (lambda: tc.Int(5) * tc.Int(2), 10),
        (lambda: tc.Int(5) - tc.Int(7), -2),
        (lambda: tc.Int(-7) % tc.Int(3), 2),
        (lambda: tc.Int(2) ** tc.Int(3), 8),
        (lambda: tc.Int(5) + tc.Int(2), 7),
        (lambda: tc.Int(5) > 3, True),
        (lambda: tc.Int(5) == 5, True),
        (lambda: tc.Float(2.6).round(), 3.0),
    ],
)
def test_operations_on_literals(host, fn, want):
    # some are computed in Python, with the meaning that they have there
    cxt = tc.Context()
    cxt.r = fn()
    same(host.hypothetical(cxt), want)
