"""Libraries: methods, constants, what is refused, calls of other libraries and of services."""

import pytest
import tinychain as tc
from tinychain.service import Library, library_uri

from sample_services import attributes, crosses, fresh, install, path, raw, units
from support import O, c64, client_error, error_of, post_raw, same


def library(host, attributes):
    return raw(host, attributes, "/lib")


# --- methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n,want", [(21, 42), (-1, -2), (0.5, 1.0), (tc.Int(0), 0), (1 + 2j, c64(2.0, 4.0))], ids=str)
def test_get(host, n, want):
    lib = install(host, units(fresh()))
    same(host.get(path(lib, "double"), n), want)


def test_a_method_calls_another(host):
    lib = install(host, units(fresh()))
    same(host.get(path(lib, "quad"), 3), 12)


def test_post(host):
    lib = install(host, units(fresh()))
    same(host.post(path(lib, "area"), {"w": 2, "h": 1.5}), 3.0)


def test_surplus_parameters_are_ignored(host):
    lib = install(host, units(fresh()))
    same(host.post(path(lib, "area"), {"w": 2, "h": 3, "depth": 4}), 6)


@pytest.mark.parametrize("params", [{}, {"w": 2}, {"h": 2}], ids=str)
def test_a_missing_parameter(host, params):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.post(path(lib, "area"), params)


@pytest.mark.parametrize("params", [5, "x", True, [1, 2]], ids=str)
def test_parameters_that_are_no_map(host, params):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.BadRequest):
        host.post(path(lib, "area"), params)


def test_parameters_may_be_references(host):
    """The body of a POST is a state: what it refers to is resolved before the call."""

    lib = install(host, units(fresh()))
    same(host.post(path(lib, "area"), {"w": lib.double(5), "h": 2}), 20)


def test_methods_in_a_program(host):
    lib = install(host, units(fresh()))
    cxt = tc.Context()
    cxt.x = lib.double(4)
    cxt.y = lib.quad(cxt.x)
    cxt.r = lib.area(cxt.x, cxt.y)
    same(host.hypothetical(cxt), 256)


def test_a_method_as_the_op_of_a_map(host):
    ns = fresh()
    lib = install(host, units(ns))

    class Tools(Library):
        __uri__ = library_uri(None, ns, "tools", "1.0.0")

        def __init__(self):
            self.units = lib
            Library.__init__(self)

        @tc.post
        def each(self, cxt, numbers: tc.Tuple) -> tc.Tuple:
            @tc.get
            def twice(n: tc.Number):
                return lib.double(n)

            cxt.twice = twice
            return numbers.map(cxt.twice)

    same(host.post(path(install(host, Tools()), "each"), {"numbers": [1, 2, 3.5]}), [2, 4, 7.0])


def test_a_closure(host):
    ns = fresh()

    class Tools(Library):
        __uri__ = library_uri(None, ns, "tools", "1.0.0")

        @tc.get
        def times(self, cxt, n: tc.Number):
            cxt.k = n * 2

            @tc.closure(cxt.k)
            @tc.get
            def inner(x: tc.Number):
                return x * cxt.k

            return inner

    link = str(path(install(host, Tools()), "times"))
    reply = host.get(link, 3)
    assert list(reply) == ["/state/closure"]
    captured, op = reply["/state/closure"]
    same(captured, {"k": 6})
    assert list(op) == [O + "get"]
    # it means the same in another program
    same(host.hypothetical([["f", reply], ["r", {"$f": [5]}]]), 30)
    same(host.hypothetical([["f", {link: [4]}], ["r", {"$f": [5]}]]), 40)


def test_a_method_without_a_result(host):
    ns = fresh()

    class Tools(Library):
        __uri__ = library_uri(None, ns, "tools", "1.0.0")

        @tc.get
        def nothing(self):
            return None

    lib = install(host, Tools())
    assert host.get(path(lib, "nothing")) is None
    assert host.get(path(lib, "nothing"), 5) is None


# --- replies that are not results -------------------------------------------------------------------------------


def test_another_verb(host):
    lib = install(host, units(fresh()))
    for call in (
        lambda: host.get(path(lib, "area"), 1),
        lambda: host.get(path(lib, "area")),
        lambda: host.post(path(lib, "double"), {"n": 1}),
    ):
        with pytest.raises(tc.error.MethodNotAllowed) as raised:
            call()
        assert client_error(raised.value, "method_not_allowed")


@pytest.mark.parametrize("name", ["double", "area", "LIMITS", "NAME", None])
def test_a_library_has_neither_put_nor_delete(host, name):
    lib = install(host, units(fresh()))
    link = path(lib, name) if name else path(lib)
    for call, args in ((host.put, ["x", 1]), (host.put, []), (host.delete, ["x"]), (host.delete, [])):
        with pytest.raises(tc.error.MethodNotAllowed):
            call(link, *args)


@pytest.mark.parametrize("names", [["nope"], ["nope", "more"]], ids=str)
def test_an_unknown_attribute(host, names):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.get(path(lib, *names), 1)
    with pytest.raises(tc.error.NotFound):
        host.post(path(lib, *names))


def test_an_error_inside(host):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.BadRequest) as raised:
        host.get(path(lib, "to_feet"), -1)
    assert client_error(raised.value, "bad_request") == "negative distance is not supported"


def test_the_stack_of_an_error(host):
    ns = fresh()
    lib = install(host, units(ns))

    class Tools(Library):
        __uri__ = library_uri(None, ns, "tools", "1.0.0")

        def __init__(self):
            self.units = lib
            Library.__init__(self)

        @tc.get
        def far(self, cxt, meters: tc.Number) -> tc.Number:
            cxt.feet = self.units.to_feet(meters)
            return cxt.feet * 2

    far = path(install(host, Tools()), "far")
    same(host.get(far, 10), 65.6)
    with pytest.raises(tc.error.BadRequest) as raised:
        host.get(far, -10)
    crosses(raised.value, "bad_request", f"GET {path(lib, 'to_feet')}", "while resolving feet", f"GET {far}")


# --- constants --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names,want",
    [
        (["NAME"], "units"),
        (["NOTHING"], None),
        (["LIMITS"], {"x": 1, "far": [10, 20, {"unit": "m"}]}),
        (["LIMITS", "x"], 1),
        (["LIMITS", "far"], [10, 20, {"unit": "m"}]),
        (["LIMITS", "far", "1"], 20),
        (["LIMITS", "far", "2", "unit"], "m"),
    ],
    ids=str,
)
def test_constant(host, names, want):
    lib = install(host, units(fresh()))
    same(host.get(path(lib, *names)), want)
    same(host.hypothetical([["r", {str(path(lib, *names)): [None]}]]), want)


@pytest.mark.parametrize("names", [["LIMITS", "y"], ["LIMITS", "far", "3"], ["LIMITS", "x", "y"]], ids=str)
def test_no_such_item_of_a_constant(host, names):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.get(path(lib, *names))


VALUES = [True, 1.5, "x", [], [1, "a", None], {"a": {"b": [1]}}, {"/state/scalar/value/email": "a@b.co"}]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_constants_of_every_kind(host, value):
    link = library(host, {"C": value})
    same(host.get(link + "/C"), value)


def test_a_map_that_resembles_a_class_is_a_constant(host):
    """Only a class definition is dropped from the attributes of a library."""

    value = {"/no/class": {"a": 1}}
    link = library(host, {"C": value})
    same(host.get(link, "C"), value)
    assert set(host.get(link)) == {"C"}


def test_an_error_as_a_constant_is_not_raised_by_the_install(host):
    error = {"/error/not_implemented": ["later"]}
    link = library(host, {"later": error, "now": 1})
    same(host.get(link, "later"), error)
    same(host.get(link + "/now"), 1)


def test_an_op_that_is_passed_on(host):
    op = {O + "get": ["n", [["_return", {"$n/add": {"r": 1}}]]]}
    link = library(host, {"inc": op})
    same(host.hypothetical([["f", op], ["t", [1, 2]], ["r", {"$t/map": {"op": {"$f": []}}}]]), [2, 3])
    same(host.get(link + "/inc", 1), 2)


# --- install ----------------------------------------------------------------------------------------------------


WRITES = {
    "put": {O + "put": ["k", "v", [["_return", None]]]},
    "delete": {O + "delete": ["k", [["_return", None]]]},
}


@pytest.mark.parametrize("op", WRITES.values(), ids=WRITES)
def test_a_library_defines_no_writes(host, op):
    with pytest.raises(tc.error.BadRequest):
        library(host, {"write": op})


@pytest.mark.parametrize("op", [{O + "get": ["n", [["_return", 1, 2]]]}, {O + "post": [["a b", 1]]}], ids=str)
def test_a_faulty_op(host, op):
    with pytest.raises(tc.error.BadRequest):
        library(host, {"f": op})


# --- links ------------------------------------------------------------------------------------------------------


def test_a_lead_that_is_this_host(host):
    lead = str(tc.URI(host))
    lib = install(host, units(fresh(), lead=lead))
    assert lead + "/lib" in str(attributes(lib)["quad"])
    same(host.get(path(lib, "quad"), 3), 12)
    cxt = tc.Context()
    cxt.r = lib.quad(3)
    same(host.hypothetical(cxt), 12)


def test_a_link_that_is_resolved_late(host):
    """A link to a library that is installed after the one that calls it."""

    ns = fresh()
    late = units(ns)
    link = library(host, {"f": {O + "get": ["n", [["_return", {str(path(late, "double")): [{"$n": []}]}]]]}})
    with pytest.raises(tc.error.NotFound):
        host.get(link + "/f", 2)
    install(host, late)
    same(host.get(link + "/f", 2), 4)


def test_a_library_in_raw_json(host, url):
    link = library(host, {"f": {O + "post": [["_return", {"$a/add": {"r": {"$b": []}}}]]}})
    assert post_raw(url, {"a": 1, "b": 2}, path=link + "/f").content == b"3\n"
    error_of(post_raw(url, [1], path=link + "/f"), 400, "bad_request")
