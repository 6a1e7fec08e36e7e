"""Services: methods of all verbs, `$self`, constants, what is refused."""

import pytest
import tinychain as tc
from tinychain.chain import Sync
from tinychain.service import Service, service_uri

from sample_services import declared, fresh, install, item, items, items_table, path, raw, stock
from support import O, client_error, same


# --- methods of all verbs ---------------------------------------------------------------------------------------


def test_put_and_get(host):
    goods = install(host, stock(fresh()))
    assert host.put(path(goods, "restock"), "pen", 3) is None
    same(host.get(path(goods, "size")), 1)
    same(host.get(path(goods, "has"), "pen"), True)
    same(host.get(path(goods, "items"), ["pen"]), ["pen", 3])


def test_delete(host):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    assert host.delete(path(goods, "drop"), "pen") is None
    same(host.get(path(goods, "has"), "pen"), False)
    same(host.get(path(goods, "items"), ["pen"]), None)
    assert host.delete(path(goods, "drop"), "pen") is None


def test_post_writes_to_every_chain(host):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 10)
    same(host.post(path(goods, "take"), {"sku": "pen", "qty": 4}), 6)
    same(host.get(path(goods, "items")), items(["pen", 6]))
    same(host.get(path(goods, "log", "count")), 1)
    same(host.get(path(goods, "log", "first")), {"n": 4, "note": "pen"})
    same(host.get(path(goods, "sold")), 4)


def test_a_method_that_queries(host):
    goods = install(host, stock(fresh()))
    for sku, qty in [("pen", 9), ("ink", 2), ("nib", 5), ("cap", 1)]:
        host.put(path(goods, "restock"), sku, qty)
    same(host.get(path(goods, "scarce"), 9), items(["cap", 1], ["ink", 2], ["nib", 5]))


def test_self(host):
    ns = fresh()

    class Counter(Service):
        __uri__ = service_uri(None, ns, "counter", "1.0.0")

        def __init__(self):
            self.n = Sync(tc.U64(0))
            Service.__init__(self)

        @tc.post
        def add(self, k: tc.U64):
            return self.n.set(self.n + k)

        @tc.get
        def read(self) -> tc.U64:
            return self.n

        @tc.get
        def plus(self, k: tc.U64) -> tc.U64:
            return self.read() + k

        @tc.put
        def become(self, value: tc.U64):
            return self.n.set(value)

        @tc.delete
        def reset(self):
            return self.n.set(0)

        @tc.post
        def twice(self, cxt, k: tc.U64) -> tc.U64:
            cxt.once = self.add(k)
            # Not the same call again: the client may write that as a reference to the first.
            cxt.again = tc.after(cxt.once, self.add(1))
            return tc.after(cxt.again, self.read())

        @tc.post
        def start(self, cxt, k: tc.U64) -> tc.U64:
            cxt.zero = self.reset(None)
            cxt.set = tc.after(cxt.zero, self.become(None, k))
            return tc.after(cxt.set, self.plus(1))

    counter = install(host, Counter())
    host.post(path(counter, "add"), {"k": 5})
    same(host.get(path(counter, "read")), 5)
    same(host.get(path(counter, "plus"), 2), 7)
    same(host.post(path(counter, "twice"), {"k": 10}), 16)
    same(host.get(path(counter, "n")), 16)
    same(host.post(path(counter, "start"), {"k": 3}), 4)
    same(host.get(path(counter, "n")), 3)
    assert host.put(path(counter, "become"), None, 8) is None
    assert host.delete(path(counter, "reset")) is None
    same(host.get(path(counter, "n")), 0)


def test_constants(host):
    ns = fresh()

    class Settings(Service):
        __uri__ = service_uri(None, ns, "settings", "1.0.0")
        cfg = {"x": 1, "hosts": ["a", {"port": 80}]}
        rate = 0.5
        nothing = None

    settings = install(host, Settings())
    same(host.get(path(settings, "cfg")), {"x": 1, "hosts": ["a", {"port": 80}]})
    same(host.get(path(settings, "cfg", "x")), 1)
    same(host.get(path(settings, "cfg", "hosts", "1", "port")), 80)
    same(host.get(path(settings, "rate")), 0.5)
    same(host.get(path(settings, "nothing")), None)
    with pytest.raises(tc.error.NotFound):
        host.get(path(settings, "cfg", "y"))


def test_versions_have_their_own_data(host):
    ns = fresh()
    old, new = install(host, stock(ns)), stock(ns, "1.1.0")
    host.put(path(old, "restock"), "pen", 3)
    host.update(new)
    same(host.get(path(new, "size")), 0)
    host.put(path(new, "restock"), "ink", 1)
    same([host.get(path(version, "items")) for version in (old, new)], [items(["pen", 3]), items(["ink", 1])])


def test_install_again_keeps_the_data(host):
    ns = fresh()
    goods = install(host, stock(ns))
    host.put(path(goods, "restock"), "pen", 3)
    install(host, stock(ns))
    same(host.get(path(goods, "items")), items(["pen", 3]))


# --- replies that are not results -------------------------------------------------------------------------------


def test_another_verb(host):
    goods = install(host, stock(fresh()))
    for name, verbs in {"restock": "gpd", "drop": "guo", "size": "upd", "take": "gud", "VERSION": "ud"}.items():
        calls = {
            "g": lambda: host.get(path(goods, name), "pen"),
            "u": lambda: host.put(path(goods, name), "pen", 1),
            "p": lambda: host.post(path(goods, name), {"sku": "pen", "qty": 1}),
            "o": lambda: host.post(path(goods, name)),
            "d": lambda: host.delete(path(goods, name), "pen"),
        }
        for verb in verbs:
            with pytest.raises(tc.error.MethodNotAllowed) as raised:
                calls[verb]()
            assert client_error(raised.value, "method_not_allowed")
    same(host.get(path(goods, "size")), 0)


@pytest.mark.parametrize("names", [["nope"], ["nope", "more"], ["items", "nope"], ["log", "nope"]], ids=str)
def test_an_unknown_attribute(host, names):
    goods = install(host, stock(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.get(path(goods, *names))


def test_an_unknown_version(host):
    goods = install(host, stock(fresh()))
    with pytest.raises(tc.error.NotFound):
        host.get(item(goods).extend("9.0.0", "size"))
    with pytest.raises(tc.error.NotFound):
        host.put(item(goods).extend("9.0.0", "restock"), "pen", 1)


@pytest.mark.parametrize("params", [{}, {"sku": "pen"}], ids=str)
def test_a_missing_parameter(host, params):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    with pytest.raises(tc.error.NotFound):
        host.post(path(goods, "take"), params)


# --- what is refused at install ---------------------------------------------------------------------------------


SYNC, COLLECTION, NUMBER = "/state/chain/sync", "/state/collection/", {"/state/scalar/value/number": {}}
TABLE = tc.to_json({COLLECTION + "table": [tc.form_of(items_table())]})
FAULTY = {
    "no such chain": {"t": {"/state/chain/nope": [TABLE]}},
    "no chain": {"t": TABLE},
    "no schema": {"t": {SYNC: [{COLLECTION + "table": [[]]}]}},
    "no such collection": {"t": {SYNC: [{COLLECTION + "nope": []}]}},
    "no subject": {"t": {SYNC: []}},
    "no class of a column": {"t": {SYNC: [{COLLECTION + "btree": [[["n", {"/state/map": {}}]]]}]}},
    "no column of an index": {"t": {SYNC: [{COLLECTION + "table": [[[[["k", NUMBER]], []], [["i", ["z"]]]]]}]}},
    "a misspelt step": {"f": {O + "get": ["n", [["_return", 1, 2]]]}},
}


@pytest.mark.parametrize("faulty", FAULTY.values(), ids=FAULTY)
def test_a_faulty_definition(host, faulty):
    link, put = declared(host, faulty)
    with pytest.raises(tc.error.BadRequest):
        put()
    # nothing is half installed or locked
    same(host.get(link), [])
    assert host.put(link, "1.0.0", {link: {"n": {"/state/chain/sync": [0]}}}) is None
    same(host.get(link + "/1.0.0/n"), 0)


@pytest.mark.parametrize("verb", ["put", "delete"])
@pytest.mark.parametrize("write", ["put", "delete"])
def test_a_replicated_op_does_not_write_to_another_service(host, verb, write):
    other = "/service/other/odd/1.0.0/n"
    step = {other: [None, 1]} if write == "put" else {"/state/scalar/ref/op/delete": [{other: []}, None]}
    body = [["_return", step]]
    _, put = declared(host, {"f": {O + verb: ["k", "v", body] if verb == "put" else ["k", body]}})
    with pytest.raises(tc.error.BadRequest):
        put()


def test_removal_of_a_version(host):
    """With its data: what is installed again under its number is another one, and empty."""

    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    same(host.get(path(goods, "size")), 1)
    with pytest.raises(tc.error.NotFound):
        host.delete(item(goods), "9.9.9")

    assert host.delete(item(goods), "1.0.0") is None
    same(host.get(item(goods)), [])
    for call in (lambda: host.get(path(goods, "size")), lambda: host.put(path(goods, "restock"), "pen", 3)):
        with pytest.raises(tc.error.NotFound):
            call()

    host.install(goods)
    same(host.get(path(goods, "size")), 0)


def test_a_get_that_writes_is_forgotten_and_never_committed(host):
    """Also where a POST calls it, whose own writes last."""

    write = {"$self/n": [None, 9]}
    version = raw(host, {
        "n": {"/state/chain/block": [0]},
        "peek": {O + "get": ["key", [["w", write], ["_return", {"/state/scalar/ref/after": [{"$w": []}, {"$self/n": []}]}]]]},
        "poke": {O + "post": [["_return", {"$self/peek": [None]}]]},
    })
    same(host.get(version + "/peek"), 9)
    same(host.get(version + "/n"), 0)
    with pytest.raises(tc.error.MethodNotAllowed):
        host.post(version + "/poke")
    same(host.get(version + "/n"), 0)
    same(host.hypothetical([["r", {version + "/poke": {}}]]), 9)
    same(host.get(version + "/n"), 0)


def test_a_chain_of_nothing(host):
    version = raw(host, {"n": {"/state/chain/block": [None]}})
    same(host.get(version + "/n"), None)
    host.put(version + "/n", None, "x")
    same(host.get(version + "/n"), "x")
    with pytest.raises(tc.error.BadRequest):
        host.delete(version + "/n", "foo")
    same(host.get(version + "/n"), "x")
    host.delete(version + "/n")
    same(host.get(version + "/n"), None)
    same(host.get(version + "/n/chain/verify"), True)


def test_names_that_belong_to_the_host(host):
    for parent, name in (("/service", "sql"), ("/lib", "replicas")):
        with pytest.raises(tc.error.BadRequest):
            host.put(parent, name, False)


@pytest.mark.parametrize("modes", [{"n": 512}, {"n": "x"}, {"nope": 504}, [["n", 504]], 5], ids=str)
def test_faulty_modes(host, modes):
    with pytest.raises(tc.error.BadRequest):
        raw(host, {"n": {"/state/chain/sync": [0]}, "modes": modes})
