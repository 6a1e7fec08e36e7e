"""State.cast to every class."""

import pytest
import tinychain as tc
from tinychain.scalar.value import Bytes, Nil

from support import Near, V, apply, c32, c64, evaluate, ident, same

CASTS = [
    # numbers to numbers
    (5, tc.Bool, True), (0, tc.Bool, False), (0.5, tc.Bool, True), ("true", tc.Bool, True), ("false", tc.Bool, False), ("0", tc.Bool, False),
    (5, tc.Number, 5), (5.5, tc.Number, 5.5), ("12", tc.Number, 12), ("-1.5", tc.Number, -1.5), (" 7 ", tc.Number, 7), ("1e3", tc.Number, 1000.0),
    (5.7, tc.Int, 5), (-5.7, tc.Int, -5), (True, tc.Int, 1), ("12", tc.Int, 12), ([1, 2], tc.Int, 1), ([5], tc.Int, 5), (2**40, tc.Int, 2**40),
    (5.7, tc.I16, 5), (70000, tc.I16, 4464), (-1, tc.I16, -1), (5.7, tc.I32, 5), (1e20, tc.I32, 2**31 - 1), (-1e20, tc.I32, -(2**31)),
    (2**32 + 5, tc.I32, 5), (5.7, tc.I64, 5), (1e20, tc.I64, 2**63 - 1),
    (5, tc.UInt, 5), (-5.7, tc.UInt, 0), (2**40, tc.UInt, 2**40), (300, tc.U8, 44), (-1, tc.U8, 255), (True, tc.U8, 1), (1e9, tc.U8, 255),
    (70000, tc.U16, 4464), (2**32 + 1, tc.U32, 1), (-5, tc.U64, 2**64 - 5),
    (5, tc.Float, 5.0), (True, tc.Float, 1.0), ("0.5", tc.Float, 0.5), (5, tc.F32, 5.0), (0.1, tc.F32, 0.1), (1 / 3, tc.F32, 0.33333334),
    (16777217, tc.F32, 16777216.0), (5, tc.F64, 5.0), (False, tc.F64, 0.0),
    (3, tc.Complex, c64(3.0, 0.0)), (3.5, tc.Complex, c64(3.5, 0.0)), (3, tc.C64, c64(3.0, 0.0)), (3, tc.C32, c32(3.0, 0.0)),
    ([1, 2], tc.Complex, c64(1.0, 2.0)), ("3+4i", tc.Complex, c64(3.0, 4.0)),
    # text
    (5, tc.String, "5"), (-5, tc.String, "-5"), (5.0, tc.String, "5"), (0.1, tc.String, "0.1"), (1e20, tc.String, "100000000000000000000"),
    (True, tc.String, "true"), (False, tc.String, "false"), ("x", tc.String, "x"), (1 + 2j, tc.String, "1+2i"),
    ("foo", tc.Id, ident("foo")), (5, tc.Id, ident("5")), (True, tc.Id, ident("true")),
    ("1.2.3", tc.Version, "1.2.3"), ([1, 2, 3], tc.Version, "1.2.3"),
    ("a@b.co", tc.EmailAddress, {V + "email": "a@b.co"}),
    ("00ff", Bytes, "AP8="), ("AQL/", Bytes, "AQL/"),
    # the rest
    (5, tc.Value, 5), ("x", tc.Value, "x"), ([1, 2], tc.Value, [1, 2]), (5, Nil, None), ("x", Nil, None), ([1, "a"], tc.Tuple, [1, "a"]),
]


@pytest.mark.parametrize("value,cls,want", CASTS, ids=lambda x: x.__name__ if isinstance(x, type) else repr(x))
def test_step(host, value, cls, want):
    same(evaluate(host, {"x": value}, lambda cxt: cxt.x.cast(cls)), want)


@pytest.mark.parametrize("value,cls,want", CASTS, ids=lambda x: x.__name__ if isinstance(x, type) else repr(x))
def test_parameter(host, value, cls, want):
    same(apply(host, lambda x: x.cast(cls), (tc.State,), value), want)


@pytest.mark.parametrize(
    "state,cls,want",
    [(tc.Int(5), tc.F32, 5.0), (tc.Float(5.7), tc.I32, 5), (tc.Int(300), tc.U8, 44), (tc.String("12"), tc.Int, 12), (tc.Int(5), tc.String, "5"),
     (tc.String("1.2.3"), tc.Version, "1.2.3"), (tc.String("a@b.co"), tc.EmailAddress, {V + "email": "a@b.co"}), (tc.String("foo"), tc.Id, ident("foo")),
     (tc.Int(3), tc.Complex, c64(3.0, 0.0)), (tc.Complex(1 + 2j), tc.C32, c32(1.0, 2.0)), (tc.Bool(True), tc.Int, 1)],
)
def test_literal(host, state, cls, want):
    cxt = tc.Context()
    cxt.r = state.cast(cls)
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize(
    "value,cls",
    [("x", tc.Number), ("", tc.Number), ("x", tc.Int), (None, tc.Int), ([1, 2, 3], tc.Int), ("x", tc.Complex), ("x", tc.Bool), (None, tc.String), ("a b", tc.Id),
     (5.5, tc.Id), ("1.2", tc.Version), ("1.2.3.4", tc.Version), (5, tc.Version), ("nope", tc.EmailAddress), (5, tc.EmailAddress), (True, Bytes)],
)
def test_impossible(host, value, cls):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda x: x.cast(cls), (tc.State,), value)


@pytest.mark.parametrize(
    "fn,want",
    [
        (lambda x: x.cast(tc.F32) + x.cast(tc.F32), 0.2),
        (lambda x: x.cast(tc.F32) == x, True),
        (lambda x: x.cast(tc.F32) + 1, Near(1.1, 1e-7)),
        (lambda x: (x * 10).cast(tc.U8) + (x * 20).cast(tc.I16), 3),
        (lambda x: x.cast(tc.Int).cast(tc.String), "0"),
        (lambda x: (x * 100).round().cast(tc.Int), 10),
    ],
)
def test_computing_with_the_result(host, fn, want):
    same(apply(host, lambda x: fn(x), (tc.Number,), 0.1), want)


@pytest.mark.parametrize("fn", [lambda a, b: a.cast(tc.U8) + b.cast(tc.U8), lambda a, b: (b - a).cast(tc.U8) - a.cast(tc.U8), lambda a, b: a.cast(tc.I16) * a.cast(tc.I16)])
def test_overflow_of_narrow_integers(host, fn):
    with pytest.raises(tc.error.BadRequest):
        apply(host, fn, (tc.Number, tc.Number), 200, 201)


def test_nan_is_no_integer(host):
    same(apply(host, lambda x: x.cast(tc.I64), (tc.State,), float("nan")), 0)
