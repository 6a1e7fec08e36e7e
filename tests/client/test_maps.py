"""Maps."""

import pytest
import tinychain as tc

from support import Table, apply, evaluate, run, same

MAPS = Table()
M = tc.Map


@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, {"a": None}, {"a": {}}, {"a": [], "b": []}, {"a": {"b": {"c": [1, {"d": 2.5}]}}}, {"a.b_0": 1, "0": 2, "é": 3}, {f"k{i}": i for i in range(500)}],
    ids=lambda value: str(value)[:30],
)
def test_literal(host, value):
    cxt = tc.Context()
    cxt.m = value
    same(host.hypothetical(cxt), value)


def test_one_empty_tuple_is_an_id_and_a_map(host):
    cxt = tc.Context()
    cxt.m = M(x=[])
    same(host.hypothetical(cxt), {"x": []})
    same(evaluate(host, {"m": {"x": []}}, lambda cxt: cxt.m.len()), 1)


def test_replied_in_key_order(host):
    cxt = tc.Context()
    cxt.m = {"b": 1, "c": 2, "a": 3}
    assert list(host.hypothetical(cxt)) == ["a", "b", "c"]


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"a": 1, "b": {"c": 2}}])
def test_len(host, value):
    same(evaluate(host, {"m": value}, lambda cxt: cxt.m.len()), len(value))


@pytest.mark.parametrize(
    "a,b,want",
    [({"a": 1}, {"a": 1}, True), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ({"a": 1}, {"a": 2}, False), ({"a": 1}, {"b": 1}, False), ({"a": 1}, {"a": 1, "b": 2}, False),
     ({"a": {"b": [1]}}, {"a": {"b": [1]}}, True), ({"a": {"b": [1]}}, {"a": {"b": [2]}}, False), ({}, {}, True), ({"x": []}, {"x": []}, True), ({"a": 1}, {"a": 1.0}, True)],
)
def test_equality(host, a, b, want):
    same(apply(host, lambda a, b: a == b, (M, M), a, b), want)
    same(apply(host, lambda a, b: a != b, (M, M), a, b), not want)


def test_equality_of_steps(host):
    same(evaluate(host, {"m": M(a=1)}, lambda cxt: cxt.m == M(a=2)), False)
    same(evaluate(host, {"m": M(a=1)}, lambda cxt: cxt.m != M(a=2)), True)


@MAPS(4)
def item(cxt):
    cxt.x = 3
    cxt.m = {"a": cxt.x, "b": 2}
    cxt.r = cxt.m["a"] + 1


@MAPS(8)
def item_of_item(cxt):
    cxt.x = 7
    cxt.m = {"a": {"b": [0, {"c": cxt.x}]}}
    cxt.r = cxt.m["a"]["b"][1]["c"] + 1


@MAPS({"a": 6, "b": [5, {"c": 10}]})
def results_in_a_map(cxt):
    cxt.x = 5
    cxt.r = {"a": cxt.x + 1, "b": [cxt.x, {"c": cxt.x * 2}]}


@MAPS(12)
def item_of_a_result(cxt):
    @tc.post
    def f(n: tc.Int) -> tc.Map:
        return {"double": n * 2}

    cxt.f = f
    cxt.r = cxt.f(6)["double"]


@MAPS(12)
def item_of_a_named_result(cxt):
    @tc.post
    def f(n: tc.Int) -> tc.Map:
        return {"double": n * 2}

    cxt.f = f
    cxt.m = cxt.f(n=6)
    cxt.r = cxt.m["double"]


@MAPS(2)
def item_by_reference(cxt):
    @tc.post
    def f(n: tc.Int) -> tc.Map:
        return {"a": n, "b": n * 2}

    cxt.f = f
    cxt.k = "b"
    cxt.r = cxt.f(1)[cxt.k]


@MAPS(1)
def an_entry_hides_a_method(cxt):
    cxt.m = M(len=1, b=2)
    cxt.r = cxt.m.len()


@pytest.mark.parametrize("build,want", MAPS)
def test_program(host, build, want):
    same(run(host, build), want)


def test_missing_item(host):
    cxt = tc.Context()

    @tc.post
    def f(n: tc.Int) -> tc.Map:
        return {"a": n}

    cxt.f = f
    cxt.r = cxt.f(1)["nope"]
    with pytest.raises(tc.error.NotFound):
        host.hypothetical(cxt)
