"""Instances: members and methods, as results and parameters, of dynamic models, between services."""

import pytest
import tinychain as tc
from tinychain.chain import Sync
from tinychain.service import Dynamic, Library, Model, Service, library_uri, model_uri, service_uri

from sample_services import attributes, catalog, class_links, fresh, install, notes_btree, path
from support import post_raw, program, same


# --- instances --------------------------------------------------------------------------------------------------


def test_members_and_methods(host):
    lib = install(host, catalog(fresh()))
    cxt = tc.Context()
    cxt.pen = lib.Item("pen", 3)
    cxt.r = [cxt.pen.label(), cxt.pen.total(4), cxt.pen.total(qty=0.5)]
    same(host.hypothetical(cxt), ["pen costs 3", 12, 1.5])


@pytest.mark.parametrize("name,want", [("title", "pen"), ("price", 3), ("label", "pen costs 3")])
def test_an_attribute_of_an_instance(host, url, name, want):
    lib = install(host, catalog(fresh()))
    steps = [["i", {class_links(lib)[0]: {"title": "pen", "price": 3}}], ["r", {f"$i/{name}": [None]}]]
    same(program(url, steps).json(), want)


def test_an_unknown_attribute_of_an_instance(host):
    lib = install(host, catalog(fresh()))
    steps = [["i", {class_links(lib)[0]: {"title": "pen", "price": 3}}], ["r", {"$i/nope": []}]]
    with pytest.raises(tc.error.NotFound):
        host.hypothetical(steps)


def test_a_member_is_found_before_a_method(host):
    lib = install(host, catalog(fresh()))
    steps = [["i", {class_links(lib)[0]: {"title": "pen", "NAME": "mine"}}], ["r", {"$i/NAME": []}]]
    same(host.hypothetical(steps), "mine")
    same(host.hypothetical([["i", {class_links(lib)[0]: {"title": "pen"}}], ["r", {"$i/NAME": []}]]), "Item")


def test_members_are_resolved(host):
    lib = install(host, catalog(fresh()))
    cxt = tc.Context()
    cxt.price = tc.Number(2)
    cxt.twice = cxt.price * 2
    cxt.pen = lib.Item("pen", cxt.twice)
    cxt.r = cxt.pen.total(10)
    same(host.hypothetical(cxt), 40)


def test_an_instance_as_a_result(host):
    """It has the form that constructs it."""

    lib = install(host, catalog(fresh()))
    want = {class_links(lib)[0]: {"title": "pen", "price": 3}}
    same(host.post(path(lib, "item"), {"title": "pen", "price": 3}), want)
    cxt = tc.Context()
    cxt.r = lib.Item("pen", 3)
    same(host.hypothetical(cxt), want)
    same(host.hypothetical([["i", want], ["r", {"$i/total": {"qty": 2}}]]), 6)
    same(host.hypothetical([["r", [1, want]]]), [1, want])


def test_an_instance_over_http(host, url):
    lib = install(host, catalog(fresh()))
    item_link, sale_link = class_links(lib)
    for link in (item_link, sale_link):
        same(host.post(link, {"title": "pen", "price": 3}), {link: {"title": "pen", "price": 3}})
    assert post_raw(url, {"title": "pen"}, path=item_link).json() == {item_link: {"title": "pen"}}


def test_an_instance_as_a_parameter(host):
    lib = install(host, catalog(fresh()))
    same(host.post(path(lib, "dozen"), {"item": lib.Item("pen", 3)}), 36)
    cxt = tc.Context()
    cxt.r = lib.dozen(lib.Item("pen", 5))
    same(host.hypothetical(cxt), 60)


def test_the_result_of_one_call_is_the_parameter_of_another(host):
    lib = install(host, catalog(fresh()))
    cxt = tc.Context()
    cxt.item = lib.half("pen", 8)
    cxt.r = [lib.dozen(cxt.item), cxt.item.label(), cxt.item.total(2)]
    same(host.hypothetical(cxt), [48, "pen was 8", 8])


def test_an_instance_that_was_replied_is_sent_back(host):
    lib = install(host, catalog(fresh()))
    reply = host.post(path(lib, "half"), {"title": "pen", "price": 8})
    same(reply, {class_links(lib)[1]: {"title": "pen", "price": 4, "was": 8}})
    same(host.post(path(lib, "dozen"), {"item": reply}), 48)


def test_a_class_that_is_not_installed(host):
    lib = catalog(fresh())
    cxt = tc.Context()
    cxt.r = lib.Item("pen", 3)
    with pytest.raises(tc.error.NotFound):
        host.hypothetical(cxt)
    with pytest.raises(tc.error.NotFound):
        host.post(class_links(lib)[0], {"title": "pen"})


# --- dynamic models ---------------------------------------------------------------------------------------------


def geometry(ns):
    """A class without code, and a model that has it, whose methods are sent as members."""

    class Shape(Model):
        NAME = "Shape"

        __uri__ = model_uri(ns, "geometry", "1.0.0", "Shape")

        @tc.post
        def area(self, scale: tc.Number) -> tc.Number:
            return tc.error.NotImplemented("Shape.area")

    class Rect(Shape, Dynamic):
        def __init__(self, w, h):
            self.w = w
            self.h = h
            Dynamic.__init__(self)

        @tc.post
        def area(self, scale: tc.Number) -> tc.Number:
            return self.w * self.h * scale

    class Geometry(Library):
        __uri__ = library_uri(None, ns, "geometry", "1.0.0")

        @tc.post
        def measure(self, shape: Shape) -> tc.Number:
            return shape.area(2)

        @tc.post
        def rect(self, cxt, w: tc.Number, h: tc.Number) -> tc.Number:
            cxt.rect = Rect(w, h)
            return cxt.rect.area(10)

    Geometry.Shape, Geometry.Rect = Shape, Rect
    return Geometry()


def test_a_dynamic_model(host):
    lib = install(host, geometry(fresh()))
    assert "Rect" not in attributes(lib), "the client omits dynamic models"
    same(host.post(path(lib, "rect"), {"w": 2, "h": 3}), 60)
    same(host.post(path(lib, "measure"), {"shape": lib.Rect(2, 3)}), 12)
    cxt = tc.Context()
    cxt.w = tc.Number(5)
    cxt.rect = lib.Rect(cxt.w, 3)
    cxt.r = [cxt.rect.area(2), lib.measure(cxt.rect)]
    same(host.hypothetical(cxt), [30, 30])


def test_a_method_that_only_the_class_has(host):
    lib = install(host, geometry(fresh()))
    with pytest.raises(tc.error.NotImplemented):
        host.hypothetical([["i", {str(tc.URI(lib.Shape)): {}}], ["r", {"$i/area": {"scale": 2}}]])


# --- classes and services ---------------------------------------------------------------------------------------


def test_an_instance_crosses_two_services(host):
    ns = fresh()
    lib = catalog(ns)

    class Prices(Service):
        __uri__ = service_uri(None, ns, "prices", "1.0.0")

        def __init__(self):
            self.sum = Sync(tc.U64(0))
            Service.__init__(self)

        @tc.post
        def add(self, cxt, item: lib.Item) -> tc.Number:
            cxt.sum = self.sum + item.total(2)
            return tc.after(self.sum.set(cxt.sum), cxt.sum)

        @tc.post
        def label(self, item: lib.Item) -> tc.String:
            return item.label()

    prices = Prices()

    class Desk(Service):
        __uri__ = service_uri(None, ns, "desk", "1.0.0")

        def __init__(self):
            self.prices = prices
            self.catalog = lib
            self.log = Sync(notes_btree())
            Service.__init__(self)

        @tc.post
        def sell(self, cxt, title: tc.String, price: tc.Number) -> tc.String:
            cxt.item = self.catalog.half(title, price)
            cxt.sum = self.prices.add(cxt.item)
            cxt.logged = self.log.insert([cxt.sum, title])
            return tc.after(cxt.logged, self.prices.label(cxt.item))

    desk = install(host, lib, prices, Desk())
    same(host.post(path(desk, "sell"), {"title": "pen", "price": 8}), "pen was 8")
    same(host.post(path(desk, "sell"), {"title": "cap", "price": 4}), "cap was 4")
    same(host.get(path(prices, "sum")), 12)
    same(host.get(path(desk, "log", "count")), 2)


def test_a_class_set_that_comes_with_a_service(host):
    ns = fresh()
    lib = catalog(ns)

    class Desk(Service):
        Item = lib.Item

        __uri__ = service_uri(None, ns, "catalog", "1.0.0")

        @tc.post
        def price(self, cxt, title: tc.String) -> tc.Number:
            cxt.item = self.Item(title, 3)
            return cxt.item.total(2)

    desk = install(host, Desk())
    same(host.get(class_links(lib)[0], "NAME"), "Item")
    same(host.post(path(desk, "price"), {"title": "pen"}), 6)
