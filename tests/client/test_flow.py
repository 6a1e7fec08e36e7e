"""cond, switch_case, while_loop, after."""

import pytest
import tinychain as tc

from support import Table, apply, run, same

FLOW = Table()


@pytest.mark.parametrize("x,want", [(5, "big"), (1, "small"), (3, "small"), (3.5, "big")])
def test_cond(host, x, want):
    cxt = tc.Context()
    cxt.x = x
    cxt.r = tc.cond(cxt.x > 3, "big", "small")
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize("value,want", [(True, 1), (False, 2), (5, 1), (0, 2), (0.0, 2), (0.5, 1), (0j, 2), (1j, 1), ("true", 1), ("false", 2)])
def test_accepted_conditions(host, value, want):
    same(apply(host, lambda b: tc.cond(b, 1, 2), (tc.Value,), value), want)


@pytest.mark.parametrize("value", [None, "x", [], [True], {"a": 1}])
def test_faulty_conditions(host, value):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda b: tc.cond(b, 1, 2), (tc.State,), value)


@pytest.mark.parametrize("n,want", [(-5, "negative"), (0, "zero"), (5, "positive")])
def test_nested_branches(host, n, want):
    fn = lambda n: tc.cond(n < 0, "negative", tc.cond(n == 0, "zero", "positive"))
    same(apply(host, fn, (tc.Int,), n), want)


@pytest.mark.parametrize("x,want", [(5, 16), (1, 21)])
def test_as_an_operand(host, x, want):
    fn = lambda x: tc.cond(x > 3, x * 3, tc.Int(20)) + 1
    same(apply(host, fn, (tc.Int,), x), want)


@pytest.mark.parametrize("x,want", [(2, ["two", 2]), (1, ["one", 1]), (9, ["other", 9]), (2.0, ["two", 2.0])])
def test_switch_case(host, x, want):
    fn = lambda x: (tc.switch_case(x, [1, 2], ["one", "two", "other"]), x)
    same(apply(host, fn, (tc.Value,), x), want)


@pytest.mark.parametrize("s,want", [("a", 6), ("b", 25), ("zzz", -5)])
def test_switch_on_strings(host, s, want):
    fn = lambda s, n: tc.switch_case(s, ["a", "b"], [n + 1, n * n, -n])
    same(apply(host, fn, (tc.String, tc.Int), s, 5), want)


@pytest.mark.parametrize("n,want", [(3, "low"), (7, "high"), (100, "none")])
def test_switch_entries_are_resolved(host, n, want):
    fn = lambda n, a, b: tc.switch_case(n, [a + 1, b + 2], ["low", "high", "none"])
    same(apply(host, fn, (tc.Int, tc.Int, tc.Int), n, 2, 5), want)


@FLOW(None)
def without_else(cxt):
    cxt.x = 1
    cxt.r = tc.cond(cxt.x > 3, "big")


@FLOW("yes")
def literal_condition_is_folded_by_the_client(cxt):
    cxt.r = tc.cond(True, "yes", "no")


@FLOW("ok")
def branch_not_taken_may_fail(cxt):
    cxt.x = 5
    cxt.r = tc.cond(cxt.x > 3, "ok", tc.error.BadRequest("small"))


@FLOW("ok")
def named_branch_not_taken_may_fail(cxt):
    cxt.x = 5
    cxt.e = tc.error.BadRequest("small")
    cxt.r = tc.cond(cxt.x > 3, "ok", cxt.e)


@FLOW("one")
def cases_not_taken_may_fail(cxt):
    cxt.x = 1
    cxt.e = tc.error.NotFound("three")
    cxt.r = tc.switch_case(cxt.x, [1, 2], ["one", tc.error.BadRequest("two"), cxt.e])


@FLOW(2)
def branch_divides_by_zero(cxt):
    # the client itself refuses to divide by a zero that it knows
    @tc.get
    def f(cxt, n: tc.Int):
        cxt.q = 10 / n
        return tc.cond(n == 0, 2, cxt.q)

    cxt.f = f
    cxt.r = cxt.f(0)


@FLOW(1)
def steps_not_needed_never_run(cxt):
    cxt.e = tc.error.BadRequest("never")
    cxt.f = tc.get(lambda n: tc.error.Conflict("never"))
    cxt.q = cxt.f(5)
    cxt.c = 1


@FLOW([10, {"a": 10}])
def inside_a_tuple_and_a_map(cxt):
    cxt.x = 5
    cxt.c = tc.cond(cxt.x > 3, 10, 20)
    cxt.r = [cxt.c, {"a": cxt.c}]


@FLOW(14)
def chosen_branch_with_its_own_steps(cxt):
    cxt.x = 5
    cxt.y = cxt.x + 1
    cxt.z = cxt.y + 1
    cxt.r = tc.cond(cxt.x > 3, cxt.z * 2, 20)


@FLOW("b")
def condition_on_logic(cxt):
    cxt.x = 5
    cxt.y = 7
    cxt.r = tc.cond((cxt.x > cxt.y).logical_or(cxt.y < 0), "a", "b")


@FLOW({"i": 10})
def while_loop(cxt):
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 10

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=i + 1)

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0))


@FLOW({"i": 20})
def while_never(cxt):
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 10

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=i + 1)

    cxt.r = tc.while_loop(cond, step, tc.Map(i=20))


@FLOW(4)
def while_closure_by_name(cxt):
    cxt.n = 4

    @tc.closure(cxt.n)
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < cxt.n

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=i + 1)

    cxt.cond = cond
    cxt.step = step
    cxt.r = tc.while_loop(cxt.cond, cxt.step, tc.Map(i=0))["i"]


@FLOW({"i": 4})
def while_closure_inline(cxt):
    cxt.n = 4

    @tc.closure(cxt.n)
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < cxt.n

    @tc.closure(cxt.n)
    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=tc.Int.min(i + 3, cxt.n))

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0))


@FLOW({"i": 3})
def step_replaces_the_state(cxt):
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 3

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=i + 1)

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0, j=5))


@FLOW({"a": 12, "b": 0})
def while_two_states(cxt):
    # the greatest common divisor, by Euclid
    @tc.post
    def cond(a: tc.Int, b: tc.Int) -> tc.Bool:
        return b > 0

    @tc.post
    def step(a: tc.Int, b: tc.Int):
        return tc.Map(a=b, b=a % b)

    cxt.r = tc.while_loop(cond, step, tc.Map(a=60, b=48))


@FLOW({"n": 1, "steps": 111})
def while_with_branches(cxt):
    # the Collatz sequence of 27
    @tc.post
    def cond(n: tc.Int, steps: tc.Int) -> tc.Bool:
        return n != 1

    @tc.post
    def step(n: tc.Int, steps: tc.Int):
        return tc.Map(n=tc.cond(n % 2 == 0, n / 2, n * 3 + 1), steps=steps + 1)

    cxt.r = tc.while_loop(cond, step, tc.Map(n=27, steps=0))


@FLOW(10)
def while_get_ops(cxt):
    @tc.get
    def cond(i: tc.Int) -> tc.Bool:
        return i < 10

    @tc.get
    def step(i: tc.Int) -> tc.Int:
        return i + 1

    cxt.r = tc.while_loop(cond, step, 0)


@FLOW({"i": 1000, "s": 499500})
def while_a_thousand_times(cxt):
    @tc.post
    def cond(i: tc.Int, s: tc.Int) -> tc.Bool:
        return i < 1000

    @tc.post
    def step(i: tc.Int, s: tc.Int):
        return tc.Map(i=i + 1, s=s + i)

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0, s=0))


@FLOW({"i": 5})
def while_from_a_computed_state(cxt):
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 5

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=i + 1)

    cxt.x = 2
    cxt.r = tc.while_loop(cond, step, {"i": cxt.x + 1})


@FLOW({"n": 0})
def while_a_number(cxt):
    @tc.post
    def cond(n: tc.Int):
        return tc.cond(n > 0, n, 0)

    @tc.post
    def step(n: tc.Int):
        return tc.Map(n=n - 1)

    cxt.r = tc.while_loop(cond, step, tc.Map(n=5))


@FLOW(4)
def after(cxt):
    cxt.a = 1
    cxt.b = cxt.a + 2
    cxt.r = tc.after(cxt.b, cxt.a * 3 + 1)


@FLOW(2)
def after_literals(cxt):
    cxt.r = tc.after(1, 2)


@FLOW(1)
def after_several(cxt):
    cxt.a = 1
    cxt.r = tc.after([cxt.a + 4, cxt.a + 5], 1)


@FLOW(7)
def after_after(cxt):
    cxt.a = 1
    cxt.b = tc.after(cxt.a + 1, cxt.a + 2)
    cxt.r = tc.after(cxt.b, cxt.b + 4)


@FLOW(5)
def after_a_conditional(cxt):
    cxt.a = 1
    cxt.r = tc.after(tc.cond(cxt.a > 3, 1, 2), cxt.a + 4)


@pytest.mark.parametrize("build,want", FLOW)
def test_program(host, build, want):
    same(run(host, build), want)


def test_an_error_in_when_is_the_error_of_after(host):
    cxt = tc.Context()
    cxt.a = 1
    cxt.e = tc.error.Forbidden("first")
    cxt.r = tc.after(cxt.e, cxt.a + 1)
    with pytest.raises(tc.error.Forbidden):
        host.hypothetical(cxt)


@pytest.mark.parametrize("cases", [["one", "two"], ["one"], ["one", "two", "other", "more"]])
def test_wrong_number_of_cases(host, cases):
    with pytest.raises(tc.error.BadRequest):
        apply(host, lambda x: tc.switch_case(x, [1, 2], cases), (tc.Int,), 1)


def test_an_error_in_a_loop(host):
    cxt = tc.Context()

    @tc.post
    def cond(i: tc.Int):
        return i < 10

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=tc.cond(i < 5, i + 1, tc.error.Conflict("five")))

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0))
    with pytest.raises(tc.error.Conflict):
        host.hypothetical(cxt)
