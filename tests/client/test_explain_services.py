"""EXPLAIN of calls of libraries, services and classes: the plans of the methods that run, and what each node costs."""

import json

import pytest
import requests

from sample_services import fresh, install, ledger, path, stock, till
from support import DEADLINE, O, R, same


def put(url, version, definition):
    """Install a version by hand."""

    item, name = version.rsplit("/", 1)
    directory, last = item.rsplit("/", 1)
    root, namespace = directory.rsplit("/", 1)
    body = definition if root == "/class" else {item: definition}
    for parent, key, value in [(root, namespace, True), (directory, last, False), (item, name, body)]:
        reply = requests.put(url + parent, params={"key": json.dumps(key)}, json=value, timeout=DEADLINE)
        assert reply.status_code == 200, reply.text


def double(name):
    """A call of the method `double` of the same library."""

    return {"$self/double": [{f"${name}": []}]}


def shown(response):
    assert response.status_code == 200, response.text
    return response


def of_get(url, link, key=None, **query):
    """The plan of a GET."""

    params = {"key": json.dumps(key), "explain": "true", **query}
    return shown(requests.get(url + link, params=params, timeout=DEADLINE))


def of_program(url, steps, **query):
    """The plan of a program."""

    return shown(requests.post(url + "/explain", params=query, json={"op": steps}, timeout=DEADLINE))


def titles(document):
    return [part["title"] for part in document["parts"]]


def callees(document):
    """What is called in each part that calls something, by title."""

    found = {}
    for part in document["parts"]:
        called = [titles(document)[call["part"]] for call in part.get("calls", [])]
        if called:
            found[part["title"]] = called
    return found


def costs(part):
    """What was computed in a part: each node with how often, and how many rows."""

    names = {node["id"]: node["op"] for node in part["stages"][-1]["nodes"]}
    return [(names[entry["node"]], entry["runs"], entry["rows"]) for entry in part["analysis"]]


@pytest.fixture(scope="module")
def units(url):
    """A library with a method that calls another, and one that calls itself."""

    link = f"/lib{fresh()}/units/1.0.0"
    one = {O + "get": ["i", [["_return", double("i")]]]}
    down = {R + "if": [{"$n/lte": [0]}, 0, {"$self/down": [{"$n/sub": [1]}]}]}
    put(
        url,
        link,
        {
            "double": {O + "get": ["n", [["_return", {"$n/mul": [2]}]]]},
            "quad": {O + "get": ["n", [["once", double("n")], ["_return", double("once")]]]},
            "down": {O + "get": ["n", [["_return", down]]]},
            "each": {O + "get": ["n", [["f", one], ["_return", {"$n/map": {"op": {"$f": []}}}]]]},
            "sum": {O + "get": ["n", [["_return", {"$n/add": [{"$n/mul": [3]}]}]]]},
        },
    )
    return link


# --- what is shown ----------------------------------------------------------------------------------------------


def test_the_plan_of_a_method_is_below_its_call(url, units):
    assert of_get(url, f"{units}/quad", 3).text == "\n".join(
        [
            "# request",
            "initial",
            f"  {'%0 = literal 0':56} : int/64",
            f"  {f'%1 = get {units}/quad (%0)':56} : state",
            "plan",
            "  region 0 (data), the result",
            f"    {f'%1 = get {units}/quad (%0)':54} : state",
            f"      → GET {units}/quad",
            "",
            f"# GET {units}/quad",
            "initial",
            f"  {'%0 = parameter self':56} : state",
            f"  {'%1 = parameter n':56} : state",
            f"  {'%2 = double (%0, %1)':56} : state",
            f"  {'%3 = double (%0, %2)':56} : state",
            "plan",
            "  region 1 (call)",
            f"    {'%2 = double (%0, %1)':54} : state",
            f"      → GET {units}/double",
            "  region 0 (call), the result",
            f"    {'%3 = double (%0, %2)':54} : state",
            f"      → GET {units}/double",
            "",
            f"# GET {units}/double",
            "initial",
            f"  {'%0 = parameter n':56} : state",
            f"  {'%1 = 2':56} : int/64",
            f"  {'%2 = mul (%0, %1)':56} : state",
            "plan",
            "  region 0 (scalar), the result",
            f"    {'%2 = mul (%0, %1)':54} : state",
            "",
            "literals",
            "  0 = 3",
            "",
        ]
    )


def test_a_program_shows_what_a_request_shows(url, units):
    document = of_program(url, [["r", {f"{units}/quad": [3]}]], format="json").json()
    assert titles(document) == ["request", f"GET {units}/quad", f"GET {units}/double"]
    assert callees(document) == {
        "request": [f"GET {units}/quad"],
        f"GET {units}/quad": [f"GET {units}/double", f"GET {units}/double"],
    }


def test_all_forms_show_methods(url, units):
    dot = of_get(url, f"{units}/quad", 3, format="dot").text
    for name in ("quad", "double"):
        assert f'label="GET {units}/{name}"' in dot
    # from the result of the first method to the request, and from that of the second to two nodes of the first
    edges = [line.split(" [")[0].split(" -> ") for line in dot.splitlines() if "style=bold" in line]
    assert sorted(source.strip()[:2] + target[:2] for source, target in edges) == ["p1p0", "p2p1", "p2p1"]
    svg = of_get(url, f"{units}/quad", 3, format="svg").text
    assert svg.count(f">GET {units}/quad</text>") == 1 and svg.count(f">GET {units}/double</text>") == 1
    assert svg.count(f"calls GET {units}/double</title>") == 2


def test_a_method_that_calls_itself_is_shown_once(url, units):
    document = of_get(url, f"{units}/down", 3, format="json").json()
    assert titles(document) == ["request", f"GET {units}/down"]
    assert callees(document) == {"request": [f"GET {units}/down"], f"GET {units}/down": [f"GET {units}/down"]}


def test_an_op_within_a_method_knows_its_service(url, units):
    document = of_get(url, f"{units}/each", [1, 2], format="json").json()
    op = f"op in step f of GET {units}/each"
    assert titles(document) == ["request", f"GET {units}/each", op, f"GET {units}/double"]
    assert callees(document) == {"request": [f"GET {units}/each"], op: [f"GET {units}/double"]}


def test_calls_cross_services(host, url):
    ns = fresh()
    goods, bank = stock(ns), ledger(ns)
    front = install(host, goods, bank, till(goods, bank, ns))
    body = {"user": "ann", "sku": "pen", "qty": 3, "cents": 60}
    query = {"explain": "true", "format": "json"}
    document = shown(requests.post(url + str(path(front, "buy")), params=query, json=body, timeout=DEADLINE)).json()
    buy, debit, take = [f"POST {path(s, m)}" for s, m in ((front, "buy"), (bank, "debit"), (goods, "take"))]
    assert titles(document) == ["request", buy, debit, take]
    assert callees(document) == {"request": [buy], buy: [debit, take]}


def test_methods_of_an_instance_that_is_made(url):
    version = f"/class{fresh()}/goods/1.0.0"
    item, sale = f"{version}/Item", f"{version}/Sale"
    total = {O + "post": [["_return", {"$self/price/mul": [{"$qty": []}]}]]}
    label = {O + "get": ["key", [["_return", "an item"]]]}
    dozen = {O + "get": ["key", [["_return", {"$self/total": {"qty": 12}}]]]}
    classes = {"Item": {"/class": {"total": total, "label": label}}, "Sale": {item: {"label": label, "dozen": dozen}}}
    put(url, version, classes)
    program = [["i", {sale: {"price": 3}}], ["r", {"$i/dozen": [None]}]]
    document = of_program(url, program, format="json", analyze="true").json()
    assert titles(document) == ["request", f"GET {sale}/dozen", f"POST {sale}/total"]
    assert document["result"] == 36
    # a member hides an attribute
    program = [["i", {sale: {"dozen": 5}}], ["r", {"$i/dozen": [None]}]]
    document = of_program(url, program, format="json", analyze="true").json()
    assert (titles(document), document["result"]) == (["request"], 5)


def test_what_is_not_there_is_not_shown(url, units):
    for call in (f"{units}/none", f"{units}/double/more", "/lib/none/none/1.0.0/none"):
        assert titles(of_program(url, [["r", {call: [1]}]], format="json").json()) == ["request"]
    # nor is a method that is called by another verb
    assert titles(of_program(url, [["r", {f"{units}/double": {"n": 1}}]], format="json").json()) == ["request"]


# --- what it costs ----------------------------------------------------------------------------------------------


def test_costs_are_counted_in_each_method(url, units):
    document = of_get(url, f"{units}/quad", 3, format="json", analyze="true").json()
    assert document["result"] == 12
    request, quad, double = document["parts"]
    assert costs(request) == [(f"get {units}/quad", 1, 1)]
    assert costs(quad) == [("double", 1, 1), ("double", 1, 1)]
    assert costs(double) == [("mul", 2, 2)]
    # what a method takes is a part of what its call takes
    times = [sum(entry["nanos"] for entry in part["analysis"]) for part in document["parts"]]
    assert times == sorted(times, reverse=True)


def test_the_depth_of_a_recursion_is_counted(url, units):
    document = of_get(url, f"{units}/down", 3, format="json", analyze="true").json()
    request, down = document["parts"]
    assert document["result"] == 0
    assert dict((name, runs) for name, runs, _ in costs(down)) == {"lte": 4, "sub": 3, "down": 3, "if": 4}


def test_nothing_is_changed(host, url):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    query = {"key": json.dumps("ink"), "explain": "true", "format": "json"}
    for analyze in ("false", "true"):
        link = url + str(path(goods, "restock"))
        reply = requests.put(link, params={**query, "analyze": analyze}, json=5, timeout=DEADLINE)
        assert titles(shown(reply).json()) == ["request", f"PUT {path(goods, 'restock')}"]
        same([host.get(path(goods, "size")), host.get(path(goods, "has"), "ink")], [1, False])


def test_a_plan_without_a_rule_does_not_stay(url, units):
    """What is left out of one plan is not left out when the method runs for others."""

    plain = f"# GET {units}/sum\n"
    without = of_get(url, f"{units}/sum", 3, without="merge_regions").text
    assert "  region 1 (scalar)\n" in without.split(plain)[1]
    assert "  region 1 (scalar)\n" not in of_get(url, f"{units}/sum", 3).text.split(plain)[1]
