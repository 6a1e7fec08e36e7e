"""Boolean logic."""

import itertools

import pytest
import tinychain as tc

from support import apply, evaluate, same

B = (tc.Bool, tc.Bool)
LOGIC = {
    "and": (lambda a, b: a.logical_and(b), lambda a, b: a and b),
    "or": (lambda a, b: a.logical_or(b), lambda a, b: a or b),
    "xor": (lambda a, b: a.logical_xor(b), lambda a, b: a != b),
}


@pytest.mark.parametrize("a,b", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("name", LOGIC)
def test_parameters(host, name, a, b):
    op, model = LOGIC[name]
    same(apply(host, op, B, a, b), model(a, b))


@pytest.mark.parametrize("a,b", [(True, False), (False, True)])
@pytest.mark.parametrize("name", ["and", "or", "xor"])
def test_computed_steps(host, name, a, b):
    op, model = LOGIC[name]
    states = {"x": 5, "y": 7}
    left = lambda cxt: (cxt.x < cxt.y) if a else (cxt.x > cxt.y)
    right = lambda cxt: (cxt.y >= cxt.x) if b else (cxt.y <= cxt.x)
    same(evaluate(host, states, lambda cxt: op(left(cxt), right(cxt))), model(a, b))


@pytest.mark.parametrize("name", LOGIC)
@pytest.mark.parametrize("a,b", [(5, 0), (5, 7), (0, 0), (0.0, 0.5), (1 + 0j, 0)])
def test_any_number_has_a_truth(host, name, a, b):
    op, model = LOGIC[name]
    same(apply(host, op, B, a, b), model(bool(a), bool(b)))


@pytest.mark.parametrize("a,want", [(True, False), (False, True), (5, False), (0, True), (0.0, True), (1j, False)])
def test_not(host, a, want):
    same(apply(host, lambda a: a.logical_not(), (tc.Bool,), a), want)


def test_de_morgan(host):
    fn = lambda a, b: a.logical_and(b).logical_not() == a.logical_not().logical_or(b.logical_not())
    for a, b in itertools.product([True, False], repeat=2):
        same(apply(host, fn, B, a, b), True)


def test_literals_are_folded_by_the_client(host):
    cxt = tc.Context()
    cxt.r = tc.Bool(True).logical_and(tc.Bool(False)).logical_not()
    same(host.hypothetical(cxt), True)


def test_not_a_number(host):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda a, b: a.logical_and(b), B, True, "x")
