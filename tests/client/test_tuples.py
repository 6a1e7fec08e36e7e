"""Tuples."""

import pytest
import tinychain as tc

from support import Table, apply, evaluate, run, same

TUPLES = Table()
T = tc.Tuple


@pytest.mark.parametrize("items", [[], [1], [1, 2.5, "x", None, True], [[1, [2]], {"a": [3]}], list(range(1000)), [1 + 2j]])
def test_literal(host, items):
    cxt = tc.Context()
    cxt.t = items
    want = [{"/state/scalar/value/number/complex/64": [1.0, 2.0]}] if items == [1 + 2j] else items
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize("items,want", [([], 0), ([1], 1), ([1, 2, 3], 3), ([[1, 2]], 1)])
def test_len(host, items, want):
    same(evaluate(host, {"t": items}, lambda cxt: cxt.t.len()), want)


@pytest.mark.parametrize("item,want", [(1, True), (3, True), (4, False), (2.0, True), ("2", True), ("x", False), (None, False)])
def test_contains(host, item, want):
    same(apply(host, lambda t, x: t.contains(x), (T, tc.Value), [1, 2, 3], item), want)


@pytest.mark.parametrize(
    "a,b,want",
    [([1, 2], [1, 2], True), ([1, 2], [1, 3], False), ([1, 2], [1, 2, 3], False), ([1, 2], [1], False), ([], [], True), ([1, 2], [1.0, 2], True),
     ([[1], {"a": 2}], [[1], {"a": 2}], True), ([[1], {"a": 2}], [[1], {"a": 3}], False)],
)
def test_equality(host, a, b, want):
    same(apply(host, lambda a, b: a == b, (T, T), a, b), want)
    same(apply(host, lambda a, b: a != b, (T, T), a, b), not want)


def test_zip(host):
    same(evaluate(host, {"t": [1, 2]}, lambda cxt: cxt.t.zip(["a", "b"])), [[1, "a"], [2, "b"]])


def test_zip_of_different_lengths(host):
    with pytest.raises(tc.error.BadRequest):
        evaluate(host, {"t": [1, 2]}, lambda cxt: cxt.t.zip(["a"]))


@pytest.mark.parametrize("a,b", [([1], [2, 3]), ([], [1]), ([1], []), ([1, "a"], [{"k": [2]}])])
def test_concatenate(host, a, b):
    same(apply(host, lambda a, b: a + b, (T, T), a, b), a + b)
    same(apply(host, lambda a, b: T.concatenate(b, a), (T, T), a, b), b + a)


def test_concatenate_steps(host):
    same(evaluate(host, {"t": [1, 2]}, lambda cxt: cxt.t + [3] + [4]), [1, 2, 3, 4])


@pytest.mark.parametrize(
    "given,want",
    [(0, []), (3, [0, 1, 2]), (-3, [-1, -2, -3]), ((1, 4), [1, 2, 3]), ((4, 1), [3, 2, 1]), ((0, 10, 3), [0, 3, 6, 9]), (1.5, [0])],
)
def test_range(host, given, want):
    cxt = tc.Context()
    cxt.r = T.range(given)
    same(host.hypothetical(cxt), want)
    same(apply(host, lambda n: T.range(n), (tc.Value,), given), want)


@pytest.mark.parametrize("given", [(0, 10, 0), (10, 0, -2), "x", (1, 2, 3, 4)])
def test_impossible_range(host, given):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda n: T.range(n), (tc.Value,), given)


@pytest.mark.parametrize("start,stop", [(1, 3), (0, 4), (2, 2), (4, 4), (1, -1), (-2, 4), (0, 0)])
def test_slice(host, start, stop):
    items = [1, 2, 3, 4]
    same(apply(host, lambda t, x, y: t[x:y], (T, tc.Int, tc.Int), items, start, stop), items[start:stop])


@pytest.mark.parametrize("start", [0, 1, 4, -1])
def test_slice_from(host, start):
    same(apply(host, lambda t, x: t[x:], (T, tc.Int), [1, 2, 3, 4], start), [1, 2, 3, 4][start:])


@pytest.mark.parametrize("stop", [0, 1, 4, -1])
def test_slice_to(host, stop):
    same(apply(host, lambda t, x: t[:x], (T, tc.Int), [1, 2, 3, 4], stop), [1, 2, 3, 4][:stop])


@pytest.mark.parametrize("start,stop", [(1, 30), (5, 6)])
def test_slice_out_of_range(host, start, stop):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda t, x, y: t[x:y], (T, tc.Int, tc.Int), [1, 2, 3, 4], start, stop)


@pytest.mark.parametrize("i,want", [(0, 10), (2, 30), (-1, 30), (-3, 10), (1.7, 20), ("1", 20)])
def test_item(host, i, want):
    same(apply(host, lambda t, i: t[i], (T, tc.Value), [10, 20, 30], i), want)


@pytest.mark.parametrize("i", [3, -4, 100])
def test_item_out_of_range(host, i):
    with pytest.raises(tc.error.NotFound):
        apply(host, lambda t, i: t[i], (T, tc.Int), [10, 20, 30], i)


@pytest.mark.parametrize("i", ["x", True and "foo"])
def test_faulty_index(host, i):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda t, i: t[i], (T, tc.Value), [10, 20, 30], i)


@TUPLES(21)
def item_of_a_step(cxt):
    cxt.t = [10, 20, 30]
    cxt.r = cxt.t[1] + 1


@TUPLES(30)
def unpack(cxt):
    cxt.t = [10, 20]
    a, b = cxt.t.unpack(2)
    cxt.r = a + b


@TUPLES([20, 30])
def literal_slice_of_a_step(cxt):
    cxt.t = [10, 20, 30]
    cxt.r = cxt.t[1:]


@TUPLES([5, 6, {"a": 10}, [[7]]])
def results_in_a_tuple(cxt):
    cxt.x = 5
    cxt.r = (cxt.x, cxt.x + 1, {"a": cxt.x * 2}, [[cxt.x + 2]])


@TUPLES([1, 3, 9])
def references_inside_a_step(cxt):
    cxt.x = 3
    cxt.t = [1, cxt.x, cxt.x**2]
    cxt.r = cxt.t + []


@TUPLES([2, 4, 6])
def map_get(cxt):
    @tc.get
    def double(n: tc.Int) -> tc.Int:
        return n * 2

    cxt.t = [1, 2, 3]
    cxt.r = cxt.t.map(double)


@TUPLES([2, 4, 6])
def map_by_name(cxt):
    @tc.get
    def double(n: tc.Int) -> tc.Int:
        return n * 2

    cxt.double = double
    cxt.t = [1, 2, 3]
    cxt.r = cxt.t.map(cxt.double)


@TUPLES([3, 30])
def map_post(cxt):
    @tc.post
    def add(a: tc.Int, b: tc.Int) -> tc.Int:
        return a + b

    cxt.t = [{"a": 1, "b": 2}, {"a": 10, "b": 20}]
    cxt.r = cxt.t.map(add)


@TUPLES([2, 12])
def map_put(cxt):
    @tc.put
    def product(a: tc.Int, b: tc.Int):
        return a * b

    cxt.t = [[1, 2], [3, 4]]
    cxt.r = cxt.t.map(product)


@TUPLES([])
def map_nothing(cxt):
    cxt.t = []
    cxt.r = cxt.t.map(tc.get(lambda n: n))


@TUPLES([n * n for n in range(500)])
def map_many_in_order(cxt):
    @tc.get
    def square(n: tc.Int) -> tc.Int:
        return n * n

    cxt.r = tc.Tuple.range(500).map(square)


@TUPLES([2, 0])
def map_tuples(cxt):
    @tc.get
    def count(pair: tc.Tuple):
        return pair.len()

    cxt.t = [[1, 2], []]
    cxt.r = cxt.t.map(count)


@TUPLES([[], [0], [0, 10], [0, 10, 20]])
def map_in_map(cxt):
    @tc.get
    def row(cxt, n: tc.Int):
        @tc.get
        def cell(i: tc.Int) -> tc.Int:
            return i * 10

        cxt.cell = cell
        return tc.Tuple.range(n).map(cxt.cell)

    cxt.r = tc.Tuple.range(4).map(row)


@TUPLES([3, 6, 9])
def map_closure(cxt):
    cxt.k = 3

    @tc.closure(cxt.k)
    @tc.get
    def times(n: tc.Int) -> tc.Int:
        return n * cxt.k

    cxt.t = [1, 2, 3]
    cxt.r = cxt.t.map(times)


@TUPLES([3, 6])
def map_closure_by_name(cxt):
    cxt.k = 3

    @tc.closure(cxt.k)
    @tc.get
    def times(n: tc.Int) -> tc.Int:
        return n * cxt.k

    cxt.f = times
    cxt.t = [1, 2]
    cxt.r = cxt.t.map(cxt.f)


@TUPLES([3, 4])
def filter_get(cxt):
    @tc.get
    def big(n: tc.Int) -> tc.Bool:
        return n > 2

    cxt.t = [1, 2, 3, 4]
    cxt.r = cxt.t.filter(big)


@TUPLES([])
def filter_all_out(cxt):
    @tc.get
    def big(n: tc.Int) -> tc.Bool:
        return n > 20

    cxt.t = [1, 2, 3, 4]
    cxt.r = cxt.t.filter(big)


@TUPLES([{"a": 5}])
def filter_post(cxt):
    @tc.post
    def big(a: tc.Int) -> tc.Bool:
        return a >= 5

    cxt.t = [{"a": 1}, {"a": 5}]
    cxt.r = cxt.t.filter(big)


@TUPLES([20, 40])
def filter_then_map(cxt):
    @tc.get
    def even(n: tc.Int) -> tc.Bool:
        return n % 2 == 0

    @tc.get
    def times(n: tc.Int) -> tc.Int:
        return n * 10

    cxt.t = [1, 2, 3, 4]
    cxt.r = cxt.t.filter(even).map(times)


@TUPLES(8)
def for_each_replies_the_last_result(cxt):
    @tc.get
    def double(n: tc.Int) -> tc.Int:
        return n * 2

    cxt.t = [2, 3, 4]
    cxt.r = cxt.t.for_each(double)


@TUPLES({"s": 9})
def fold(cxt):
    @tc.post
    def add(n: tc.Int, s: tc.Int):
        return {"s": s + n}

    cxt.t = [2, 3, 4]
    cxt.r = cxt.t.fold("n", tc.Map(s=0), add)


@TUPLES({"s": 0})
def fold_nothing(cxt):
    @tc.post
    def add(n: tc.Int, s: tc.Int):
        return {"s": s + n}

    cxt.t = []
    cxt.r = cxt.t.fold("n", tc.Map(s=0), add)


@TUPLES({"a": 34, "b": 55})
def fold_two_states(cxt):
    @tc.post
    def fibonacci(n: tc.Int, a: tc.Int, b: tc.Int):
        return {"a": b, "b": a + b}

    cxt.r = tc.Tuple.range(9).fold("n", tc.Map(a=0, b=1), fibonacci)


@TUPLES({"acc": [3, 2, 1]})
def fold_a_tuple(cxt):
    # on the wire, the Map {"acc": []} is the same as the Id "acc"
    @tc.post
    def prepend(n: tc.Int, acc: tc.Tuple):
        return {"acc": tc.Tuple.concatenate([n], acc)}

    cxt.t = [1, 2, 3]
    cxt.r = cxt.t.fold("n", tc.Map(acc=[]), prepend)


@TUPLES({"s": 18})
def fold_closure(cxt):
    cxt.k = 3

    @tc.closure(cxt.k)
    @tc.post
    def add(n: tc.Int, s: tc.Int):
        return {"s": s + n * cxt.k}

    cxt.t = [1, 2, 0, 3]
    cxt.r = cxt.t.fold("n", tc.Map(s=0), add)


@TUPLES(6)
def sum_of_a_tuple(cxt):
    cxt.t = [1, 2, 3]
    cxt.r = tc.math.sum(cxt.t)


@TUPLES(24)
def product_of_a_tuple(cxt):
    cxt.t = [2, 3, 4]
    cxt.r = tc.math.product(cxt.t)


@TUPLES(4950)
def sum_of_a_range(cxt):
    cxt.r = tc.math.sum(tc.Tuple.range(100))


@TUPLES(2.5)
def sum_of_floats(cxt):
    cxt.t = [0.5, 2]
    cxt.r = tc.math.sum(cxt.t)


@TUPLES([1, 2])
def cast_from(cxt):
    cxt.x = [1, 2]
    cxt.r = tc.Tuple.cast_from(cxt.x)


@TUPLES([["a", 1], ["b", 2]])
def cast_from_a_map(cxt):
    cxt.x = tc.Map(a=1, b=2)
    cxt.r = tc.Tuple.cast_from(cxt.x)


@pytest.mark.parametrize("build,want", TUPLES)
def test_program(host, build, want):
    same(run(host, build), want)


def test_an_error_in_one_call_is_the_error_of_map(host):
    cxt = tc.Context()

    @tc.get
    def check(n: tc.Int):
        return tc.cond(n < 3, n, tc.error.Conflict("three"))

    cxt.t = [1, 2, 3]
    cxt.r = cxt.t.map(check)
    with pytest.raises(tc.error.Conflict):
        host.hypothetical(cxt)
