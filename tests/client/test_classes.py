"""Classes: models that are installed with a library, inheritance, native parents."""

import pytest
import requests
import tinychain as tc
from tinychain.scalar.ref import Get
from tinychain.service import Library, library_uri, model_uri

from sample_services import attributes, catalog, class_links, fresh, install, normal, path
from support import DEADLINE, O, V, same

LABEL = {O + "get": ["key", [["_return", "a label"]]]}
TOTAL = {O + "post": [["_return", {"$self/price/mul": {"r": {"$qty": []}}}]]}
CLASS = "/state/object/class"


def class_set(host, classes, version="1.0.0"):
    """Install classes that are given as JSON, and return the path of their version. `{}` in a link is that path."""

    link = f"/class{fresh()}/things"
    host.create_namespace(tc.URI(link))
    here = f"{link}/{version}"
    body = {name: {parent.format(here): members} for name, (parent, members) in classes.items()}
    return here, lambda: host.put(link, version, body)


def installed(host, classes):
    here, put = class_set(host, classes)
    assert put() is None
    return here


# --- definitions ------------------------------------------------------------------------------------------------


def test_a_class_set(host):
    lib = install(host, catalog(fresh()))
    item_link, sale_link = class_links(lib)
    sent = attributes(lib)
    same(normal(host.get(item_link.removesuffix("/Item"))), normal({"Item": sent["Item"], "Sale": sent["Sale"]}))
    assert list(sent["Item"]) == ["/class"] and list(sent["Sale"]) == [item_link]


@pytest.mark.parametrize("name", ["Item", "Sale"])
def test_a_class(host, name):
    lib = install(host, catalog(fresh()))
    sent = attributes(lib)[name]
    link = str(tc.URI(getattr(lib, name)))
    same(normal(host.get(link)), normal({CLASS: sent}))
    same(normal(host.get(link.rpartition("/")[0], name)), normal({CLASS: sent}))
    same(host.get(link, "NAME"), name)


def test_versions_of_a_class_set_are_listed(host):
    ns = fresh()
    install(host, catalog(ns), catalog(ns, "1.1.0"))
    same(host.get(f"/class{ns}/catalog"), [{"1.0.0": []}, {"1.1.0": []}])


@pytest.mark.parametrize("name", ["Item/nope", "Nope"])
def test_an_unknown_class_or_attribute(host, name):
    lib = install(host, catalog(fresh()))
    where = str(tc.URI(lib.Item)).removesuffix("/Item")
    for link, key in ((f"{where}/{name}", None), (where, "Nope"), (f"{where}/Item", "nope")):
        with pytest.raises(tc.error.NotFound):
            host.get(link, key)


def test_models_are_no_attributes_of_the_library(host):
    """They are in the class set instead."""

    lib = install(host, catalog(fresh()))
    assert set(host.get(path(lib))) == set(attributes(lib)) - {"Item", "Sale"}
    with pytest.raises(tc.error.NotFound):
        host.get(path(lib, "Item"))


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_class_is_not_writable(host, method):
    lib = install(host, catalog(fresh()))
    with pytest.raises(tc.error.MethodNotAllowed):
        getattr(host, method)(class_links(lib)[0], "title")


def test_other_methods(host, url):
    lib = install(host, catalog(fresh()))
    assert requests.request("PATCH", url + class_links(lib)[0], timeout=DEADLINE).status_code == 405


# --- inheritance ------------------------------------------------------------------------------------------------


def test_overridden_and_inherited_methods(host):
    lib = install(host, catalog(fresh()))
    cxt = tc.Context()
    cxt.pen = lib.Sale("pen", 3, 5)
    cxt.r = [cxt.pen.label(), cxt.pen.total(4)]
    same(host.hypothetical(cxt), ["pen was 5", 12])


def test_a_method_that_the_definition_does_not_have_is_inherited(host):
    here = installed(host, {
        "Base": ("/class", {"label": LABEL, "total": TOTAL, "UNIT": "cent"}),
        "Middle": ("{}/Base", {"label": {O + "get": ["key", [["_return", "middle"]]]}}),
        "Leaf": ("{}/Middle", {"NAME": "Leaf"}),
    })
    calls = [{"$i/label": [None]}, {"$i/total": {"qty": 2}}, {"$i/UNIT": []}]
    steps = [["i", {f"{here}/Leaf": {"price": 3}}], ["r", calls]]
    same(host.hypothetical(steps), ["middle", 6, "cent"])
    # what is shown is what was defined
    same(host.get(f"{here}/Leaf"), {CLASS: {f"{here}/Middle": {"NAME": "Leaf"}}})


def test_a_parent_in_another_class_set(host):
    base = installed(host, {"Base": ("/class", {"total": TOTAL})}) + "/Base"
    here = installed(host, {"Leaf": (base, {"label": LABEL})})
    steps = [["i", {f"{here}/Leaf": {"price": 3}}], ["r", [{"$i/label": [None]}, {"$i/total": {"qty": 2}}]]]
    same(host.hypothetical(steps), ["a label", 6])


BROKEN = {
    "a parent that is not there": {"Leaf": ("{}/Base", {"label": LABEL})},
    "a parent in a version that is not there": {"Leaf": ("/class/nobody/things/1.0.0/Base", {"label": LABEL})},
    "a class that extends itself": {"Leaf": ("{}/Leaf", {"label": LABEL})},
    "a cycle": {"A": ("{}/C", {"label": LABEL}), "B": ("{}/A", {"label": LABEL}), "C": ("{}/B", {"label": LABEL})},
}


@pytest.mark.parametrize("classes", BROKEN.values(), ids=BROKEN)
def test_a_broken_chain_of_parents(host, classes):
    here, put = class_set(host, classes)
    with pytest.raises(tc.error.BadRequest):
        put()
    same(host.get(here.removesuffix("/1.0.0")), [])


# --- native parents ---------------------------------------------------------------------------------------------


FEET = {O + "get": ["key", [["_return", {"$self/mul": {"r": 3.25}}]]]}


@pytest.mark.parametrize("key,want", [(4, 13.0), (0.5, 1.625), ("4", 13.0)], ids=str)
def test_a_native_parent(host, key, want):
    link = installed(host, {"Meters": (V + "number", {"NAME": "Meters", "feet": FEET})}) + "/Meters"
    same(host.hypothetical([["m", {link: [key]}], ["r", {"$m/feet": [None]}]]), want)


def test_methods_of_the_native_parent(host):
    link = installed(host, {"Meters": (V + "number", {"NAME": "Meters", "feet": FEET})}) + "/Meters"
    steps = [["m", {link: [4]}], ["r", [{"$m/add": {"r": 1}}, {"$m/gt": [3]}, {"$m/NAME": []}]]]
    same(host.hypothetical(steps), [5, True, "Meters"])


def test_a_key_that_names_an_attribute_is_no_value(host):
    link = installed(host, {"Name": (V + "string", {"NAME": "Name", "label": LABEL})}) + "/Name"
    same(host.get(link, "NAME"), "Name")
    same(host.hypothetical([["r", {link: ["NAME"]}]]), "Name")


def test_a_key_that_the_native_parent_refuses(host):
    link = installed(host, {"Meters": (V + "number", {"feet": FEET})}) + "/Meters"
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical([["m", {link: [[1, "x"]]}], ["r", {"$m/feet": [None]}]])


def test_a_native_class_of_the_client(host):
    """The client sends `/state/object/class` as the parent, whatever class it extends."""

    ns = fresh()

    class Meters(tc.Number, metaclass=tc.Meta):
        __uri__ = model_uri(ns, "units", "1.0.0", "Meters")

        @tc.get
        def feet(self) -> tc.Number:
            return self * 3.25

    class Units(Library):
        __uri__ = library_uri(None, ns, "units", "1.0.0")

    Units.Meters = Meters
    install(host, Units())
    assert list(attributes(Units())["Meters"]) == [CLASS]
    link = str(tc.URI(Meters))
    same(host.hypothetical([["m", tc.to_json(Get(tc.URI(link), 4))], ["r", {"$m/feet": [None]}]]), 13.0)
