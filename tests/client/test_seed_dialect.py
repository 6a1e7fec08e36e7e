"""The program of the mission text, the older clients' spelling, and the host's own forms, as raw JSON."""

import pytest
import tinychain as tc

from support import O, R, V, c64, error_of, post_raw, program, same

SAMPLE = {
    "/state/scalar/op/get": ["meters", [
        {"/state/scalar/ref/if": [
            {"$meters/gte": 0},
            {"$meters/mul": 3.28},
            {"/error/bad_request": "Negative distance is not supported"},
        ]}
    ]]
}
CLIENT_0_4_1 = {
    "/state/scalar/op/get": ["meters", [["_return", {"/state/scalar/ref/if": [
        {"$meters/gte": [0]},
        {"$meters/mul": [3.28]},
        {"/error/bad_request": ["Negative distance is not supported"]},
    ]}]]]
}


@pytest.mark.parametrize("definition", [SAMPLE, CLIENT_0_4_1], ids=["sample", "client-0.4.1"])
@pytest.mark.parametrize("meters,feet", [(1, 3.28), (0, 0.0), (100, 328.0), (0.5, 1.64)])
def test_to_feet(url, definition, meters, feet):
    response = program(url, [["to_feet", definition], ["r", {"$to_feet": [meters]}]])
    assert response.status_code == 200, response.text
    same(response.json(), feet)


@pytest.mark.parametrize("definition", [SAMPLE, CLIENT_0_4_1], ids=["sample", "client-0.4.1"])
@pytest.mark.parametrize("call", [[-1], -1])
def test_to_feet_of_a_negative_distance(url, definition, call):
    response = program(url, [["to_feet", definition], ["r", {"$to_feet": call}]])
    assert error_of(response, 400, "bad_request") == "Negative distance is not supported"


def test_the_definition_is_a_value(url):
    reply = program(url, [["r", SAMPLE]]).json()
    assert list(reply) == ["/state/scalar/op/get"]
    key_name, steps = reply["/state/scalar/op/get"]
    assert key_name == "meters" and len(steps) == 1
    # a normalised form is allowed, but it must mean the same
    again = program(url, [["f", reply], ["r", {"$f": [1]}]])
    same(again.json(), 3.28)


def test_to_feet_in_the_spelling_of_the_client(host):
    cxt = tc.Context()

    @tc.get
    def to_feet(txn, meters: tc.Number) -> tc.Number:
        return tc.cond(meters >= 0, meters * 3.28, tc.error.BadRequest("Negative distance is not supported"))

    cxt.to_feet = to_feet
    cxt.r = cxt.to_feet(1)
    same(host.hypothetical(cxt), 3.28)


def test_to_feet_in_the_spelling_of_the_client_refuses(host):
    cxt = tc.Context()

    @tc.get
    def to_feet(txn, meters: tc.Number) -> tc.Number:
        return tc.cond(meters >= 0, meters * 3.28, tc.error.BadRequest("Negative distance is not supported"))

    cxt.to_feet = to_feet
    cxt.r = cxt.to_feet(-1)
    with pytest.raises(tc.error.BadRequest, match="Negative distance is not supported"):
        host.hypothetical(cxt)


INC = {O + "get": ["n", [["_return", {"$n/add": [1]}]]]}
X = ["x", 5]

DIFFERENCES = [
    # 1: bare arguments
    ([X, ["r", {"$x/gte": 5}]], True),
    ([X, ["r", {"$x/add": "3"}]], 8),
    ([X, ["r", {"$x/add": {"$x": []}}]], 10),
    ([X, ["r", {"$x/add": {V + "number/int/32": 1}}]], 6),
    ([["f", INC], ["r", {"$f": 5}]], 6),
    ([["r", {"/state/tuple/range": 3}]], [0, 1, 2]),
    # 2: unnamed steps
    ([["f", {O + "get": ["n", [{"$n/add": [1]}]]}], ["r", {"$f": [5]}]], 6),
    ([["f", {O + "get": ["n", [["a", {"$n/add": [1]}], {"$a/mul": [2]}]]}], ["r", {"$f": [5]}]], 12),
    ([["f", {O + "post": [{"$a/mul": {"$b": []}}]}], ["r", {"$f": {"a": 2, "b": 3}}]], 6),
    ([["f", {O + "get": ["n", {"$n/add": [1]}]}], ["r", {"$f": [5]}]], 6),
    ([X, {"$x/add": [1]}], 6),
    # 3, 4: names of methods, GET or POST
    ([X, ["r", {"$x/gte": [6]}]], False),
    ([X, ["r", {"$x/lte": [6]}]], True),
    ([X, ["r", {"$x/lte": {"r": 4}}]], False),
    ([X, ["r", [{"$x/add": [1]}, {"$x/sub": [1]}, {"$x/mul": [2]}, {"$x/div": [2]}, {"$x/pow": [2]}]]], [6, 4, 10, 2, 25]),
    ([X, ["r", [{"$x/add": {"r": 1}}, {"$x/sub": {"r": 1}}, {"$x/mul": {"r": 2}}, {"$x/div": {"r": 2}}, {"$x/pow": {"r": 2}}]]], [6, 4, 10, 2, 25]),
    # 6, 7: conditionals
    ([["r", {R + "if": [True, 1, 2]}]], 1),
    ([["r", {R + "if": [False, 1]}]], None),
    ([X, ["r", {R + "if": [{"$x/gt": [3]}, 1, None]}]], 1),
    # 9, 10, 11: casts, items, extend
    ([["x", 5.7], ["r", {V + "number/int/32": {"$x": []}}]], 5),
    ([["m", {"a": 1}], ["r", {"$m": ["a"]}]], 1),
    ([["t", [10, 20]], ["r", {"$t": [0]}]], 10),
    ([["t", [1, 2]], ["r", {"$t/extend": [[3]]}]], [1, 2, 3]),
    ([["t", [1, 2]], ["r", {"$t/append": [[3]]}]], [1, 2, 3]),
    # 12: op inline
    ([["t", [1, 2]], ["r", {"$t/map": {"op": INC}}]], [2, 3]),
    # 14: a pair as a complex number
    ([X, ["r", {"$x/add": [[1, 2]]}]], c64(6.0, 2.0)),
    # 15: class
    ([X, ["r", {"/state/object/class": {"$x/class": [None]}}]], {V + "number/int/64": []}),
    # 16: before
    ([X, ["r", {R + "before": [{"$x/add": [1]}, {"$x/mul": [3]}]}]], 15),
    # 25, 26: calls of POST and DELETE ops
    ([["p", {O + "post": [["_return", {"$a/add": [1]}]]}], ["r", {"$p": {"a": 1}}]], 2),
    ([["d", {O + "delete": ["k", [["_return", None]]]}], ["r", {R + "op/delete": [{"$d": []}, 1]}]], None),
]


@pytest.mark.parametrize("steps,want", DIFFERENCES)
def test_both_spellings(url, steps, want):
    response = program(url, steps)
    assert response.status_code == 200, response.text
    same(response.json(), want)


def test_unnamed_steps_run_before_the_last(url):
    assert program(url, [{"/error/conflict": "first"}, ["x", 5], {"$x/add": [1]}]).status_code == 409


@pytest.mark.parametrize("steps", [[["a b", 5]], [["a", 1, 2]], [["", 1]], [["a"]], [["$a", 1]], [["/a", 1]]])
def test_a_misspelt_pair_is_no_unnamed_step(url, steps):
    error_of(program(url, steps), 400, "bad_request")


BODIES = [
    ({"op": [["a", 1]]}, 1),
    ({"op": [["a", 1], ["b", {"$a/add": [1]}]]}, 2),
    ({"op": []}, None),
    ({"op": {O + "post": [["_return", 1]]}}, 1),
    ({"op": {O + "get": ["k", [["_return", {"$k": []}]]]}}, None),
    ({"op": {O + "put": ["k", "v", [["_return", 5]]]}}, None),
    ({"op": {O + "delete": ["k", [["_return", 5]]]}}, None),
    ({"op": "x"}, "x"),
    ({"op": 5}, 5),
    ({"op": {"/state/tuple/range": [3]}}, [0, 1, 2]),
    ([["a", 1], ["b", {"$a/add": [1]}]], 2),
    ("x", "x"),
    (5, 5),
    (True, True),
    ([1, 2], [1, 2]),
    ({"/state/tuple/range": [3]}, [0, 1, 2]),
    ({V + "number/int/32": 5.7}, 5),
    ({R + "if": [True, 1, 2]}, 1),
]


@pytest.mark.parametrize("body,want", BODIES)
def test_forms_of_a_hypothetical_request(url, body, want):
    response = post_raw(url, body)
    assert response.status_code == 200, response.text
    same(response.json(), want)


def test_op_is_required(url):
    assert error_of(post_raw(url, {"b": 2}), 404, "not_found") == "op"


def test_op_is_the_only_parameter(url):
    error_of(post_raw(url, {"op": [["a", 1]], "b": 2}), 400, "bad_request")
