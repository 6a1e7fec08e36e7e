"""The examples of the contract, as raw JSON: each is a program and its reply."""

import pytest

from support import O, R, V, c64, error_of, program, same

X = ["x", 5]
INC_I = {O + "post": [["_return", {"i": {"$i/add": {"r": 1}}}]]}
ID_GET = {O + "get": ["n", [["_return", {"$n": []}]]]}
TIMES_K = {O + "get": ["n", [["_return", {"$n/mul": [{"$k": []}]}]]]}
RECURSE = {O + "post": [["g", {"$n/sub": [1]}], ["_return", {R + "if": [{"$n/gt": [0]}, {"$f": {"n": {"$g": []}, "f": {"$f": []}}}, {"$n": []}]}]]}


def lt(n):
    return {O + "post": [["_return", {"$i/lt": [n]}]]}


VALUES = [
    # 2.1 classes
    ([["a", 1], ["r", {"$a/class": []}]], {V + "number/int/64": []}),
    ([["a", 1.0], ["r", {"$a/class": []}]], {V + "number/float/64": []}),
    ([["a", True], ["r", {"$a/class": []}]], {V + "number/bool": []}),
    ([["a", "x"], ["r", {"$a/class": []}]], {V + "string": []}),
    ([["a", None], ["r", {"$a/class": []}]], {V + "none": []}),
    ([["a", [1]], ["r", {"$a/class": []}]], {"/state/tuple": []}),
    ([["a", {"x": 1}], ["r", {"$a/class": []}]], {"/state/map": []}),
    ([["a", {"foo": []}], ["r", {"$a/class": []}]], {V + "id": []}),
    ([["a", {"/a/b": []}], ["r", {"$a/class": []}]], {V + "link": []}),
    ([["a", INC_I], ["r", {"$a/class": []}]], {O + "post": []}),
    ([["a", {V + "number/int/32": {}}]], {V + "number/int/32": []}),
    # 2.3, 2.4
    ([["a", 5], ["r", {"$a/hash": []}]], {"5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431": []}),
    ([["a", []], ["r", {"$a/hash": []}]], {"0" * 64: []}),
    ([["x", {}], ["r", {"$x/is_none": []}]], True),
    ([["x", ""], ["r", {"$x/is_none": []}]], False),
    # 2.9
    ([["a", {V + "bytes": "AQL/"}]], "AQL/"),
    ([["a", {V + "bytes": [1, 2, 255]}]], "AQL/"),
    ([["a", {V + "email": "a@b.co"}]], {V + "email": "a@b.co"}),
    ([["a", {V + "version": [1, 2, 3]}]], "1.2.3"),
    # 3.2
    ([["a", {"foo": []}]], {"foo": []}),
    ([["m", {"a": 1}], ["r", {"$m": [{"a": []}]}]], 1),
    ([["x", "foo"], ["r", {"$x/eq": [{"foo": []}]}]], True),
    ([["m", {"a": None}], ["r", {"$m/class": []}]], {"/state/map": []}),
    ([["a", {"foo": {}}]], {"foo": {}}),
    # 3.3
    ([["a", {V + "number/int/32": 5}]], 5),
    ([["a", {V + "number/int/32": [5]}]], 5),
    ([["a", {V + "number/int/32": 5.7}]], 5),
    ([["a", {V + "number/int/32": "5"}]], 5),
    ([["a", {V + "number/complex": [[1.0, 2.0]]}]], c64(1.0, 2.0)),
    ([["a", {V + "number/complex": [1.0, 2.0]}]], c64(1.0, 2.0)),
    ([["a", {V + "number": [[1, 2]]}]], c64(1.0, 2.0)),
    ([["a", {V + "number/complex/64": 3}]], c64(3.0, 0.0)),
    ([["x", 2], ["a", {V + "number/complex": [[{"$x": []}, 1]]}]], c64(2.0, 1.0)),
    ([["a", {V + "string": "x"}]], "x"),
    ([["a", {V + "string": ["x"]}]], "x"),
    ([["a", {V + "string": 5}]], "5"),
    ([["a", {V + "id": "foo"}]], {"foo": []}),
    ([["a", {V + "link": "/a/b"}]], {"/a/b": []}),
    ([["a", {V + "tuple": [1, 2]}]], [1, 2]),
    ([["a", {"/state/scalar/value": 5}]], 5),
    ([["a", {"/state/map": {"x": 1}}]], {"x": 1}),
    ([["x", [1, 2]], ["r", {"/state/tuple": [{"$x": []}]}]], [1, 2]),
    ([["x", {"a": 1}], ["r", {"/state/tuple": [{"$x": []}]}]], [["a", 1]]),
    ([["x", [["a", 1]]], ["r", {"/state/map": [{"$x": []}]}]], {"a": 1}),
    # 4.2
    ([["a", 1], ["b", {"$a": []}]], 1),
    ([["a", 1], ["b", {"$a": None}]], 1),
    ([["a", 1], ["b", {"$a": {}}]], 1),
    ([["a", 1], ["b", {"$a": [None]}]], 1),
    ([X, ["r", {"$x/add": [1]}]], 6),
    ([X, ["r", {"$x/add": {"r": 1}}]], 6),
    ([["m", {"a": {"b": [1, 2, {"c": 5}]}}], ["r", {"$m/a/b/2/c/add": {"r": 1}}]], 6),
    ([["m", {"len": 1}], ["r", {"$m/len": []}]], 1),
    ([["m", {"f": {O + "get": ["n", [["_return", {"$n/mul": [2]}]]]}}], ["r", {"$m/f": [5]}]], 10),
    # 4.3
    ([X, ["r", {R + "op/get": ["$x/add", 1]}]], 6),
    ([X, ["r", {R + "op/get": [{"$x/add": []}, 1]}]], 6),
    ([X, ["r", {R + "op/post": ["$x/add", {"r": 1}]}]], 6),
    ([X, ["r", {R + "id": "$x"}]], 5),
    ([X, ["r", {R + "id": "x"}]], 5),
    # 4.4
    ([["a", 1], ["b", {"$a/add": [1]}], ["r", {R + "after": [{"$b": []}, {"$a/mul": [3]}]}]], 3),
    ([["a", 1], ["r", {R + "after": [[{"$a/add": [1]}, {"$a/add": [2]}], {"$a": []}]}]], 1),
    # 4.5
    ([["b", 0], ["r", {R + "if": [{"$b": []}, 1, 2]}]], 2),
    ([X, ["y", {"$x/add": [1]}], ["z", {"$y/add": [1]}], ["r", {"$x/add": [{R + "if": [{"$x/gt": [3]}, {"$z/mul": [2]}, 20]}]}]], 19),
    ([X, ["r", [1, {R + "if": [{"$x/gt": [3]}, 10, 20]}]]], [1, 10]),
    ([X, ["r", {"a": {R + "if": [{"$x/gt": [3]}, 10, 20]}}]], {"a": 10}),
    ([["b", True], ["f", {R + "if": [{"$b": []}, {O + "get": ["n", [["_return", 1]]]}, None]}], ["r", {"$f": [1]}]], 1),
    ([X, ["r", {R + "if": [{"$x/gt": [3]}, "ok", {"$nope": []}]}]], "ok"),
    # 4.6
    ([["x", 1], ["r", {R + "case": [{"$x": []}, [1, 2], ["one", {"/error/bad_request": ["x"]}, {"$nope": []}]]}]], "one"),
    ([["r", {R + "case": [2, [1, 2], ["one", "two", "other"]]}]], "two"),
    # 4.7
    ([["r", {R + "while": [lt(10), INC_I, {"i": 0}]}]], {"i": 10}),
    ([["n", 4], ["r", {R + "while": [{R + "with": [[{"$n": []}], {O + "post": [["_return", {"$i/lt": [{"$n": []}]}]]}]}, INC_I, {"i": 0}]}]], {"i": 4}),
    ([["r", {R + "while": [lt(3), {O + "post": [["_return", {R + "if": [{"$i/gt": [1]}, {"i": 10}, {"i": {"$i/add": {"r": 1}}}]}]]}, {"i": 0}]}]], {"i": 10}),
    # 4.8
    ([["k", 3], ["f", {R + "with": [[{"$k": []}], TIMES_K]}], ["r", {"$f": [5]}]], 15),
    ([["k", 3], ["f", {R + "with": [["k"], TIMES_K]}], ["r", {"$f": [5]}]], 15),
    ([["z", 4], ["k", {"$z/add": [1]}], ["f", {R + "with": [[{"$k": []}], TIMES_K]}], ["r", {"$f": [5]}]], 25),
    ([["f", {"/state/closure": [{"k": 3}, TIMES_K]}], ["r", {"$f": [5]}]], 15),
    # 5
    ([["f", ID_GET], ["r", {"$f": []}]], ID_GET),
    ([["f", {O + "get": ["n", []]}], ["r", {"$f": [5]}]], None),
    ([["f", ID_GET], ["r", {"$f": [[1, 2]]}]], [1, 2]),
    ([["f", {O + "post": [["_return", 7]]}], ["r", {"$f": {}}]], 7),
    ([["f", {O + "put": ["k", "v", [["_return", {"$k/add": [{"$v": []}]}]]]}], ["r", {"$f": [1, 2]}]], None),
    ([["f", {O + "post": [["a", 5], ["_return", {"$a": []}]]}], ["r", {"$f": {"a": 1}}]], 5),
    ([["f", RECURSE], ["r", {"$f": {"n": 50, "f": {"$f": []}}}]], 0),
    ([["f", {O + "post": [["_return", {R + "with": [[{"$x": []}], {O + "get": ["y", [["_return", {"$y/mul": [{"$x": []}]}]]]}]}]]}], ["g", {"$f": {"x": 4}}], ["r", {"$g": [5]}]], 20),
    # 6
    ([["l", 8], ["x", {"$l/log": {"r": 2}}]], 3.0),
    ([["l", 5], ["x", {"$l/gt": ["3"]}]], True),
    ([["t", "{{this}}"], ["r", {"$t/render": ["x"]}]], "x"),
    ([["t", "{{a}}-{{b}}"], ["r", {"$t/render": [[["a", 1.0], ["b", True]]]}]], "1.0-true"),
    ([["c", {V + "number/int/32": {}}], ["r", {"$c": [5.7]}]], 5),
    ([["t", [1, 2, 3, 4]], ["r", {"$t": [[["in", 1], ["ex", 3]]]}]], [2, 3]),
    ([["t", [1, 2, 3, 4]], ["r", {"$t": [[["ex", 0], ["in", 2]]]}]], [2, 3]),
    ([["t", [1, 2, 3, 4]], ["r", {"$t": [[None, None]]}]], [1, 2, 3, 4]),
    ([["t", [1, 2, 3]], ["r", {"$t/fold": {"item_name": "n", "value": {"s": 0}, "op": {O + "post": [["_return", {"s": {"$s/add": {"r": {"$n": []}}}}]]}}}]], {"s": 6}),
    ([["t", [1, 2]], ["r", {"$t/eq": [[1, 2]]}]], True),
    ([["t", [1, 2]], ["r", {"$t/ne": {"ne": [1, 2]}}]], False),
    ([["m", {"a": 1}], ["r", {"$m/ne": {"ne": {"a": 2}}}]], True),
    # 7
    ([["bad", {"$nope/add": [1]}], ["c", 1]], 1),
    ([["bad", {"/error/bad_request": ["x"]}], ["c", 1]], 1),
    ([["b", {"$a/add": [1]}], ["a", 1], ["c", {"$b": []}]], 2),
    ([["a", {"$a/add": [1]}], ["c", 1]], 1),
    # 9.1: what the client makes of repeated literals
    ([["x", 1], ["r", {"$x/add": {"r": {"$x": []}}}]], 2),
    ([["x", None], ["r", {"$x/is_none": [{"$x": []}]}]], True),
]


@pytest.mark.parametrize("steps,want", VALUES)
def test_value(url, steps, want):
    response = program(url, steps)
    assert response.status_code == 200, response.text
    same(response.json(), want)


def test_a_link_to_this_host(url):
    response = program(url, [["r", {url + V + "string": ["foo"]}]])
    assert response.status_code == 200, response.text
    assert response.json() == "foo"


ERRORS = [
    ([["x", {"$nope/add": [1]}]], 404, "not_found"),
    ([["a", 5], ["x", {"$a/div": [0]}]], 400, "bad_request"),
    ([["a", {V + "number/int/32": "x"}]], 400, "bad_request"),
    ([["a", {"$x": [], "b": 1}]], 400, "bad_request"),
    ([["a", {"/state/map": 1, "b": 1}]], 400, "bad_request"),
    ([["a", {"a b": 1}]], 400, "bad_request"),
    ([["a", {"a@b.co": []}]], 400, "bad_request"),
    ([X, ["r", {"$x/add": [1, 2]}]], 405, "method_not_allowed"),
    ([X, ["r", {"$x/add": [1, 2, 3]}]], 400, "bad_request"),
    ([X, ["r", {"$x/foo": [1]}]], 404, "not_found"),
    ([X, ["r", {"$x": [1]}]], 404, "not_found"),
    ([["m", {"a": 1}], ["r", {"$m/b": []}]], 404, "not_found"),
    ([["t", [1, 2, 3]], ["r", {"$t/3": []}]], 404, "not_found"),
    ([["t", [1, 2, 3]], ["r", {"$t/-1": []}]], 404, "not_found"),
    ([["r", {R + "nope": [1]}]], 400, "bad_request"),
    ([["r", {R + "op/delete": [{V + "string": []}, "b"]}]], 405, "method_not_allowed"),
    ([["b", None], ["r", {R + "if": [{"$b": []}, 1, 2]}]], 400, "bad_request"),
    ([["r", {R + "after": [{"/error/conflict": "x"}, 1]}]], 409, "conflict"),
    ([["r", {R + "case": [2, [1, 2], ["one", "two"]]}]], 400, "bad_request"),
    ([["r", {R + "with": [[{"$nope": []}], ID_GET]}]], 404, "not_found"),
    ([["k", 3], ["f", TIMES_K], ["r", {"$f": [5]}]], 404, "not_found"),
    ([["f", {O + "get": ["n", [["_return", {"$f": [1]}]]]}], ["r", {"$f": [5]}]], 404, "not_found"),
    ([["f", ID_GET], ["r", {"$f": [{"a": 1}]}]], 400, "bad_request"),
    ([["f", ID_GET], ["r", {"$f": {"a": 1}}]], 405, "method_not_allowed"),
    ([["f", ID_GET], ["r", {R + "op/delete": [{"$f": []}, 1]}]], 405, "method_not_allowed"),
    ([["f", {O + "post": [["_return", {"$a/add": [{"$b": []}]}]]}], ["r", {"$f": {"a": 1}}]], 404, "not_found"),
    ([["l", 5], ["x", {"$l/sin": [1]}]], 400, "bad_request"),
    ([["l", 5], ["x", {"$l/add": {"x": 1}}]], 404, "not_found"),
    ([["t", [1]], ["r", {"$t/append": [5]}]], 400, "bad_request"),
    ([["t", [1]], ["r", {"$t/fold": {"item_name": "n", "value": 0, "op": INC_I}}]], 400, "bad_request"),
    ([["s", "x"], ["r", {"$s/len": []}]], 404, "not_found"),
    ([["r", {"$self": []}]], 400, "bad_request"),
    ([["r", {"/state/tuple/concatenate": {"l": [1]}}]], 404, "not_found"),
    # circular programs
    ([["a", {"$a/add": [1]}]], 400, "bad_request"),
    ([["a", {"$b/add": [1]}], ["b", {"$a/add": [1]}]], 400, "bad_request"),
    ([["a", {"$b/add": [1]}], ["b", {"$a/add": [1]}], ["c", {"$a/add": [1]}]], 400, "bad_request"),
    ([["a", [{"$b": []}, {"$c": []}]], ["b", {"$c": []}], ["c", {"$a": []}], ["d", {"$a": []}]], 400, "bad_request"),
    ([["a", {R + "if": [{"$a": []}, 1, 2]}]], 400, "bad_request"),
    ([["a", {R + "after": [{"$b": []}, 1]}], ["b", {"$a": []}], ["r", {"$b": []}]], 400, "bad_request"),
    ([[f"s{i}", {f"$s{(i + 1) % 50}": []}] for i in range(50)], 400, "bad_request"),
]


@pytest.mark.parametrize("steps,status,kind", ERRORS)
def test_error(url, steps, status, kind):
    error_of(program(url, steps), status, kind)


def test_a_range_value_does_no_harm(url):
    response = program(url, [["a", {"/state/scalar/range": [["in", 1], ["ex", 2]]}]])
    assert response.status_code in (200, 400), response.text
    response.json()
