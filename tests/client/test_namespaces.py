"""Directories and items: create, list, install versions, read definitions."""

import base64
import json

import pytest
import requests
import tinychain as tc

from sample_services import attributes, catalog, fresh, install, item, normal, path, stock, units
from support import DEADLINE, O, error_of, post_raw, same

ROOTS = ["/lib", "/service", "/class"]
DOUBLE = {O + "get": ["n", [["_return", {"$n/mul": {"r": 2}}]]]}


def ids(*names):
    return [{name: []} for name in names]


def directory(host, root="/lib"):
    """A directory of its own for a test, below `root`."""

    ns = fresh()
    host.put(root, ns[1:], True)
    return root + ns


# --- directories ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ROOTS)
def test_create_namespace(host, root):
    ns = root + fresh()
    host.create_namespace(tc.URI(ns + "/tools/units"))
    same(host.get(ns), {"tools": True})
    same(host.get(ns + "/tools"), {"units": False})
    same(host.get(ns + "/tools/units"), [])


def test_create_namespace_again(host):
    ns = "/lib" + fresh()
    host.create_namespace(tc.URI(ns + "/tools/units"))
    host.create_namespace(tc.URI(ns + "/tools/units"))
    host.create_namespace(tc.URI(ns + "/tools/dates"))
    same(host.get(ns + "/tools"), {"units": False, "dates": False})


@pytest.mark.parametrize("root", ROOTS)
def test_the_roots_are_directories(host, root):
    name = fresh()[1:]
    assert host.put(root, name, True) is None
    assert host.get(root)[name] is True
    assert host.get(root, name) is True


@pytest.mark.parametrize("kind", [True, False])
def test_an_entry(host, kind):
    there = directory(host)
    same(host.get(there), {})
    assert host.put(there, "tools", kind) is None
    same(host.get(there), {"tools": kind})
    same(host.get(there, "tools"), kind)
    same(host.get(there + "/tools"), {} if kind else [])


@pytest.mark.parametrize("kind", [True, False])
def test_the_same_entry_again(host, kind):
    there = directory(host)
    host.put(there, "tools", kind)
    assert host.put(there, "tools", kind) is None
    same(host.get(there), {"tools": kind})


@pytest.mark.parametrize("kind", [True, False])
def test_an_entry_of_the_other_kind(host, kind):
    there = directory(host)
    host.put(there, "tools", kind)
    with pytest.raises(tc.error.BadRequest):
        host.put(there, "tools", not kind)

    # nothing stays locked
    same(host.get(there, "tools"), kind)
    assert host.put(there, "tools", kind) is None


def test_an_entry_that_is_not_there(host):
    there = directory(host)
    with pytest.raises(tc.error.NotFound):
        host.get(there, "tools")
    with pytest.raises(tc.error.NotFound):
        host.get(there + "/tools")
    with pytest.raises(tc.error.NotFound):
        host.get(there + "/tools/units/1.0.0/double")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("kind", [True, False])
def test_a_parent_that_is_not_there(host, root, kind):
    ns = root + fresh()
    with pytest.raises(tc.error.NotFound):
        host.put(ns, "tools", kind)
    with pytest.raises(tc.error.NotFound):
        host.put(ns + "/tools", "units", kind)
    with pytest.raises(tc.error.NotFound):
        host.get(ns)


@pytest.mark.parametrize("name", ["1.0.0", "0.0.1", "12.34.56"])
@pytest.mark.parametrize("kind", [True, False])
def test_a_name_like_a_version(host, name, kind):
    there = directory(host)
    with pytest.raises(tc.error.BadRequest):
        host.put(there, name, kind)
    same(host.get(there), {})


NAMES = ["a b", "a\tb", "a..b", *(f"a{character}b" for character in "/~$`&|=^{}<>'\"?:@#()")]


@pytest.mark.parametrize("name", [*NAMES, [1], {"a": 1}], ids=str)
def test_a_name_that_is_no_id(host, name):
    there = directory(host)
    with pytest.raises(tc.error.BadRequest):
        host.put(there, name, True)
    same(host.get(there), {})


def test_an_entry_without_a_name(host):
    with pytest.raises(tc.error.BadRequest):
        host.put(directory(host), None, True)


@pytest.mark.parametrize("body", [None, 1, "true", [], {}, {"a": 1}], ids=str)
def test_an_entry_that_is_no_boolean(host, body):
    there = directory(host)
    with pytest.raises(tc.error.BadRequest):
        host.put(there, "tools", body)
    same(host.get(there), {})


@pytest.mark.parametrize("root", ROOTS)
def test_a_directory_has_no_post(host, root):
    there = directory(host, root)
    host.put(there, "tools", True)
    for argument in ({}, {"tools": True}):
        with pytest.raises(tc.error.MethodNotAllowed):
            host.post(there, argument)
    same(host.get(there), {"tools": True})


@pytest.mark.parametrize("root", ROOTS)
def test_removal_of_what_is_empty(host, root):
    there = directory(host, root)
    host.put(there, "tools", True)
    host.put(f"{there}/tools", "saw", False)
    with pytest.raises(tc.error.BadRequest):
        host.delete(there, "tools")
    for name in ("nope", None):
        with pytest.raises((tc.error.NotFound, tc.error.BadRequest)):
            host.delete(there, name)
    same(host.get(f"{there}/tools"), {"saw": False})

    assert host.delete(f"{there}/tools", "saw") is None
    same(host.get(f"{there}/tools"), {})
    assert host.delete(there, "tools") is None
    same(host.get(there), {})
    with pytest.raises(tc.error.NotFound):
        host.get(f"{there}/tools")
    host.put(there, "tools", False)
    same(host.get(there), {"tools": False})


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS"])
def test_other_methods(host, url, method):
    """Neither a directory nor what is installed knows them."""

    lib, goods = units(fresh()), stock(fresh())
    install(host, lib, goods)
    for link in (directory(host), path(lib), path(lib, "double"), path(goods, "size")):
        error_of(requests.request(method, f"{url}{link}", timeout=DEADLINE), 405, "method_not_allowed")


# --- versions ---------------------------------------------------------------------------------------------------


def test_install_creates_the_namespace(host):
    ns = fresh()
    install(host, units(ns))
    assert host.get("/lib")[ns[1:]] is True
    same(host.get("/lib" + ns), {"units": False})
    same(host.get("/lib" + ns + "/units"), ids("1.0.0"))


def test_versions_are_listed_in_the_order_of_numbers(host):
    ns = fresh()
    for version in ["1.10.0", "1.9.0", "0.2.0", "10.0.0", "1.9.11"]:
        install(host, units(ns, version))
    same(host.get("/lib" + ns + "/units"), ids("0.2.0", "1.9.0", "1.9.11", "1.10.0", "10.0.0"))


def test_versions_have_their_own_code(host):
    ns = fresh()
    old, new = units(ns, "1.0.0", factor=2), units(ns, "1.1.0", factor=3)
    host.install(old)
    host.update(new)
    same(host.get(path(old, "double"), 7), 14)
    same(host.get(path(new, "double"), 7), 21)
    same(host.get(path(new, "quad"), 7), 63)


def test_update_needs_the_item(host):
    with pytest.raises(tc.error.NotFound):
        host.update(units(fresh()))


@pytest.mark.parametrize("version", ["1.0.1", "1.1.0", "0.0.0"])
def test_versions_resolve_exactly(host, version):
    lib = install(host, units(fresh()))
    for call in (lambda: host.get(item(lib).append(version)), lambda: host.get(item(lib), version)):
        with pytest.raises(tc.error.NotFound):
            call()
    with pytest.raises(tc.error.NotFound):
        host.get(item(lib).extend(version, "double"), 1)


@pytest.mark.parametrize("version", ["latest", "1", "1.0", "v1.0.0"])
def test_a_path_that_has_no_version(host, version):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.BadRequest):
        host.get(item(lib).extend(version, "double"), 1)


PACKAGES = {"library": units, "service": stock, "library with classes": catalog}


@pytest.mark.parametrize("make", PACKAGES.values(), ids=PACKAGES)
def test_install_again(host, make):
    ns = fresh()
    install(host, make(ns))
    assert host.install(make(ns)) is None
    assert host.update(make(ns)) is None
    same(host.get(item(make(ns))), ids("1.0.0"))


def test_another_body_for_a_version(host):
    ns = fresh()
    lib = install(host, units(ns, factor=2))
    with pytest.raises(tc.error.BadRequest):
        host.install(units(ns, factor=3))
    # the first stays, and nothing is locked
    same(host.get(path(lib, "double"), 7), 14)
    install(host, units(ns, "1.0.1", factor=3))
    same(host.get(item(lib)), ids("1.0.0", "1.0.1"))


def test_another_body_for_a_version_of_a_service(host):
    service = install(host, stock(fresh()))
    host.put(path(service, "restock"), "pen", 3)
    link = str(item(service))
    with pytest.raises(tc.error.BadRequest):
        host.put(link, "1.0.0", {link: {**attributes(service), "VERSION": "other"}})
    same(host.get(path(service, "size")), 1)
    same(host.get(path(service, "VERSION")), "1.0.0")


def test_another_body_for_a_class_set(host):
    ns = fresh()
    install(host, catalog(ns))
    with pytest.raises(tc.error.BadRequest):
        host.put(f"/class{ns}/catalog", "1.0.0", {"Item": {"/class": {"NAME": "Other"}}})
    same(host.get(f"/class{ns}/catalog/1.0.0/Item", "NAME"), "Item")


@pytest.mark.parametrize("version", ["1.1", "x", "1.0.0.0", "1.0.-1", "1.0.4294967296", "1.0.x", None, [1, 2]], ids=str)
@pytest.mark.parametrize("root", ROOTS)
def test_a_faulty_version(host, root, version):
    link = directory(host, root) + "/units"
    host.create_namespace(tc.URI(link))
    body = {"Item": {"/class": {"NAME": "Item"}}} if root == "/class" else {link: {"double": DOUBLE}}
    with pytest.raises(tc.error.BadRequest):
        host.put(link, version, body)
    # the next install does not wait
    assert host.put(link, "1.0.0", body) is None
    same(host.get(link), ids("1.0.0"))


@pytest.mark.parametrize("body", [None, True, 5, "x", [], [1], {}], ids=str)
@pytest.mark.parametrize("root", ROOTS)
def test_a_body_that_is_no_definition(host, root, body):
    link = directory(host, root) + "/units"
    host.create_namespace(tc.URI(link))
    with pytest.raises(tc.error.BadRequest):
        host.put(link, "1.0.0", body)
    same(host.get(link), [])


@pytest.mark.parametrize("root", ["/lib", "/service"])
def test_a_version_without_attributes(host, root):
    link = directory(host, root) + "/units"
    host.create_namespace(tc.URI(link))
    assert host.put(link, "1.0.0", {link: {}}) is None
    same(host.get(link), ids("1.0.0"))


def test_a_directory_has_no_versions(host):
    there = directory(host)
    with pytest.raises(tc.error.BadRequest):
        host.put(there, "1.0.0", {there: {"double": DOUBLE}})
    same(host.get(there), {})


# --- definitions ------------------------------------------------------------------------------------------------


def test_the_definition_of_a_library(host):
    lib = install(host, units(fresh()))
    same(normal(host.get(path(lib))), normal(attributes(lib)))
    same(normal(host.get(item(lib), "1.0.0")), normal(attributes(lib)))


@pytest.mark.parametrize("name", ["NAME", "LIMITS", "NOTHING", "double", "area", "to_feet"])
def test_the_definition_of_an_attribute(host, name):
    lib = install(host, units(fresh()))
    same(normal(host.get(path(lib), name)), normal(attributes(lib)[name]))


def test_the_definition_of_an_unknown_attribute(host):
    lib = install(host, units(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.get(path(lib), "nope")


def test_the_definition_of_a_service(host):
    service = install(host, stock(fresh()))
    for reply in (host.get(path(service)), host.get(item(service), "1.0.0")):
        got = reply["/state/object/class"][str(item(service))]
        assert set(got) == set(attributes(service))
        assert got["NAME"] == "stock"
        assert list(got["take"]) == [O + "post"] and list(got["restock"]) == [O + "put"]
    same(host.get(path(service), "NAME"), "stock")
    assert list(host.get(path(service), "size")) == [O + "get"]


def test_definitions_with_a_lead_host(host):
    lib = install(host, units(fresh(), lead=str(tc.URI(host))))
    same(normal(host.get(path(lib))), normal(attributes(lib)))


def test_a_definition_as_raw_json(host, url):
    link = directory(host) + "/units"
    host.create_namespace(tc.URI(link))
    body = {url + link: {"double": DOUBLE}}
    response = requests.put(url + link, params={"key": '"1.0.0"'}, json=body, timeout=DEADLINE)
    assert (response.status_code, response.content) == (200, b"null\n")
    assert requests.get(f"{url}{link}/1.0.0/double?key=21", timeout=DEADLINE).json() == 42
    assert post_raw(url, {"op": [["r", {f"{link}/1.0.0/double": [21]}]]}).json() == 42


# --- members ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ROOTS)
def test_members_and_their_keys(host, url, root):
    """A host alone is the only member of everything that it has."""

    there = directory(host, root)
    host.put(there, "tool", False)
    [[link, key]] = requests.get(f"{url}{root}/replicas", timeout=DEADLINE).json()
    assert list(link) == [url] and len(base64.b64decode(key, validate=True)) == 32
    for path in (there, f"{there}/tool"):
        same(requests.get(f"{url}{path}/replicas", timeout=DEADLINE).json(), [[link, key]])
        for written in (key, key.rstrip("=")):
            params = {"key": json.dumps({"/state/scalar/value/bytes": written})}
            same(requests.get(url + path, params=params, timeout=DEADLINE).json(), key)
            same(requests.get(f"{url}{path}/replicas", params=params, timeout=DEADLINE).json(), link)

    other = {"key": json.dumps({"/state/scalar/value/bytes": base64.b64encode(bytes(32)).decode()})}
    error_of(requests.get(url + there, params=other, timeout=DEADLINE), 404, "not_found")
    same(requests.get(f"{url}{there}/replicas", params=other, timeout=DEADLINE).json(), None)
    error_of(requests.get(f"{url}{there}/nothing/replicas", timeout=DEADLINE), 404, "not_found")
    # only members change members
    error_of(requests.delete(f"{url}{there}/replicas", timeout=DEADLINE), 401, "unauthorized")
