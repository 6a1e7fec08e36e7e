"""Sentences of the acceptance list that no other file shows: see docs/acceptance.md."""

import time

import pytest
import tinychain as tc
from tinychain.chain import Sync
from tinychain.scalar.ref import Get
from tinychain.service import Library, Model, Service, library_uri, model_uri, service_uri

from sample_services import attributes, fresh, install, item, path, stock, units
from stand_in import StandIn
from support import DEADLINE, O, R, client_error, error_of, free_port, post_raw, same
from test_seed_dialect import CLIENT_0_4_1, SAMPLE

CLIENT_0_17 = units("/any").to_feet
SPELLINGS = {"seed": SAMPLE, "client 0.4.1": CLIENT_0_4_1, "client 0.17.0": tc.to_json(CLIENT_0_17)}


# --- the service of the mission text ----------------------------------------------------------------------------


@pytest.fixture(params=SPELLINGS.values(), ids=SPELLINGS)
def to_feet(request, host):
    """The path of a method, which is installed as a library or a service in one of the spellings."""

    def install(root):
        link = f"{root}{fresh()}/units"
        host.create_namespace(tc.URI(link))
        host.put(link, "1.0.0", {link: {"to_feet": request.param}})
        return link + "/1.0.0/to_feet"

    return install


@pytest.mark.parametrize("root", ["/lib", "/service"])
@pytest.mark.parametrize("meters,feet", [(1, 3.28), (100, 328.0), (0.5, 1.64), (tc.Int(0), 0.0)], ids=str)
def test_to_feet(host, to_feet, root, meters, feet):
    same(host.get(to_feet(root), meters), feet)


@pytest.mark.parametrize("root", ["/lib", "/service"])
def test_to_feet_of_a_negative_distance(host, to_feet, root):
    with pytest.raises(tc.error.BadRequest) as raised:
        host.get(to_feet(root), -1)
    assert client_error(raised.value, "bad_request").lower() == "negative distance is not supported"


@pytest.mark.parametrize("root", ["/lib", "/service"])
def test_to_feet_in_a_program_of_either_era(host, url, to_feet, root):
    link = to_feet(root)
    same(host.hypothetical([["r", {link: [2]}]]), 6.56)
    # the older client sends a bare list, and bare arguments
    same(post_raw(url, [["m", 2], ["r", {link: {"$m": []}}]]).json(), 6.56)
    steps = [["m", [1, 2]], ["f", {O + "get": ["n", {link: {"$n": []}}]}], ["r", {"$m/map": {"op": {"$f": []}}}]]
    same(post_raw(url, steps).json(), [3.28, 6.56])
    error_of(post_raw(url, {"op": [["r", {link: -1}]]}), 400, "bad_request")


# --- data structures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/lib", "/service"])
def test_scalars_as_attributes(host, root):
    """A value, a reference and an op; what is shown is what was sent."""

    link = f"{root}{fresh()}/scalars"
    host.create_namespace(tc.URI(link))
    scalars = {
        "value": 5,
        "reference": {R + "if": [{"/lib/nobody/0.0.0/x": [None]}, 1, 2]},
        "op": {O + "get": ["n", [["_return", {"$n/add": {"r": 1}}]]]},
    }
    host.put(link, "1.0.0", {link: scalars})
    same({name: host.get(link + "/1.0.0", name) for name in scalars}, scalars)
    same(host.get(link + "/1.0.0/op", 1), 2)


# --- the feature table ------------------------------------------------------------------------------------------


def test_independent_calls_run_at_the_same_time(host):
    """Four calls of 200 ms each take less than 500 ms."""

    link = f"/lib{fresh()}/calls"
    host.create_namespace(tc.URI(link))
    with StandIn(delay=0.2) as other:
        call = {f"{other.url}/lib/far/away/1.0.0/one": [None]}
        host.put(link, "1.0.0", {link: {"four": {O + "get": ["key", [["_return", [call] * 4]]]}}})
        host.get(link + "/1.0.0/four")
        begin = time.monotonic()
        same(host.get(link + "/1.0.0/four"), [1, 1, 1, 1])
        assert 0.2 <= time.monotonic() - begin < 0.5


def test_after_orders_two_writes(host):
    ns = fresh()

    class Order(Service):
        __uri__ = service_uri(None, ns, "order", "1.0.0")

        def __init__(self):
            self.n = Sync(tc.U64(0))
            Service.__init__(self)

        @tc.post
        def ordered(self, cxt) -> tc.U64:
            cxt.first = self.n.set(1)
            cxt.second = tc.after(cxt.first, self.n.set(2))
            return tc.after(cxt.second, self.n)

        @tc.post
        def reversed(self, cxt) -> tc.U64:
            cxt.second = self.n.set(2)
            cxt.first = tc.after(cxt.second, self.n.set(1))
            return tc.after(cxt.first, self.n)

    order = install(host, Order())
    for _ in range(10):
        same(host.post(path(order, "ordered")), 2)
        same(host.get(path(order, "n")), 2)
        same(host.post(path(order, "reversed")), 1)
        same(host.get(path(order, "n")), 1)


def test_a_model_with_columns_in_a_graph(host):
    """A node is created, and read back by its key. A graph without edges needs no tensors."""

    ns = fresh()

    class Member(Model):
        __uri__ = model_uri(ns, "club", "1.0.0", "Member")

        name = tc.Column("name", tc.String, 100)
        age = tc.Column("age", tc.U32)

        def __init__(self, name, age):
            self.name = name
            self.age = age

    class Club(tc.Graph):
        __uri__ = service_uri(None, ns, "club", "1.0.0")

        @tc.put
        def join(self, key: tc.U32, value: tc.Tuple):
            return self.member.upsert([key], value)

        @tc.get
        def read(self, key: tc.U32) -> tc.Tuple:
            return self.member[(key,)]

    Club.Member = Member
    club = install(host, Club())
    # the client orders the columns as it likes
    (table,) = attributes(club)["member"]["/state/chain/sync"]
    ((_, columns), _), = table["/state/collection/table"]
    names = [column[0] for column in columns]
    row = {"name": "ann", "age": 30}
    host.put(path(club, "join"), 7, [row[name] for name in names])
    same(host.get(path(club, "read"), 7), [7, *(row[name] for name in names)])
    same(host.get(path(club, "member"), [7]), [7, *(row[name] for name in names)])
    same(host.get(path(club, "read"), 8), None)
    same(host.get(f"/class{ns}/club/1.0.0/Member", "age"), ["age", {"/state/scalar/value/number/uint/32": []}])


def test_edges_of_a_graph(host):
    """Nodes are created and linked, and an edge is followed both ways, though its tensor has 2^31-1 rows and columns."""

    ns = fresh()

    class Product(Model):
        __uri__ = model_uri(ns, "shop", "1.0.0", "Product")

        name = tc.Column("name", tc.String, 100)

        def __init__(self, name):
            self.name = name

    class Order(Model):
        __uri__ = model_uri(ns, "shop", "1.0.0", "Order")

        product = Product

        def __init__(self, product):
            self.product = product

    class Shop(tc.Graph):
        __uri__ = service_uri(None, ns, "shop", "1.0.0")

    Shop.Product = Product
    Shop.Order = Order
    shop = install(host, Shop())
    sparse, boolean = "/state/collection/tensor/sparse", "/state/scalar/value/number/bool"
    size = 2**31 - 1
    host.put(path(shop, "product"), [1], ["pen"])
    host.put(path(shop, "product"), [3], ["ink"])
    for order, product in [(7, 1), (8, 3), (9, 3)]:
        host.put(path(shop, "order"), [order], [product])
        host.put(path(shop, "order_product"), [product, order], True)
    same(host.get(path(shop, "order"), [8]), [8, 3])

    def follow(ids, axis):
        """What the client sends for the product of the edge with a vector of ids."""

        edge = path(shop, "order_product")
        steps = [
            ["e", {edge: [None]}],
            ["v", {sparse + "/load": [[[boolean, [size]], [[[at], True] for at in ids]]]}],
            ["w", {"$v/expand_dims": [[1 - axis]]}],
            ["p", {"$e/mul": {"r": {"$w": []}}}],
            ["r", {"$p/sum": {"axes": [axis]}}],
        ]
        reply = host.post("/transact/hypothetical", {"op": steps})
        _, entries = reply[sparse]
        return [at for (at,), _ in entries]

    same(follow([3], 0), [8, 9])
    same(follow([7, 8], 1), [1, 3])
    host.put(path(shop, "order_product"), [3, 9], False)
    same(follow([3], 0), [8])


def test_a_service_that_imports_another(host):
    """The class of a service is an attribute of another, which calls it and knows the types of the replies."""

    ns = fresh()
    goods = stock(ns)

    class Report(Service):
        __uri__ = service_uri(None, ns, "report", "1.0.0")

        def __init__(self):
            self.stock = goods
            Service.__init__(self)

        @tc.post
        def doubled(self, cxt) -> tc.U64:
            cxt.size = self.stock.size()
            return cxt.size * 2

        @tc.get
        def missing(self, sku: tc.String) -> tc.Bool:
            return self.stock.has(sku).logical_not()

    report = Report()
    assert tc.service.dependencies(report) == [goods, report]
    install(host, *tc.service.dependencies(report))
    host.put(path(goods, "restock"), "pen", 3)
    same(host.post(path(report, "doubled")), 2)
    same([host.get(path(report, "missing"), sku) for sku in ("pen", "ink")], [False, True])


def test_a_fresh_host_with_a_data_dir_is_all_it_takes(spawn, tmp_path):
    """Define, install, call. The port is given because another host may have the default one."""

    process = spawn(f"--data_dir={tmp_path}/new", f"--http_port={(port := free_port())}", port=port, defaults=False)
    host = process.client()

    class Greeter(Library):
        __uri__ = library_uri(None, "/hello", "greeter", "1.0.0")

        @tc.get
        def greet(self, name: tc.String) -> tc.String:
            return tc.String("Hello, {{name}}!").render(name=name)

    host.install(Greeter())
    assert host.get("/lib/hello/greeter/1.0.0/greet", "world") == "Hello, world!"
    process.stop()


# --- no state is left behind ------------------------------------------------------------------------------------


FUZZ = [
    *(b"", b"{", b"[[", b'{"sku"', b"\x00\xff", b"[]", b"5", b'"x"', b"null"),
    *(b'{"sku": "pen"}', b'{"sku": {"$nope": []}, "qty": 1}', b'{"sku": "pen", "qty": {"/error/conflict": "x"}}'),
]


def test_malformed_requests_leave_no_lock(host, url):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 10)
    begin = time.monotonic()
    for body in FUZZ:
        response = post_raw(url, body, path=str(path(goods, "take")))
        assert 400 <= response.status_code < 500, response.text
        assert len(response.json()) == 1
    assert time.monotonic() - begin < DEADLINE
    same(host.post(path(goods, "take"), {"sku": "pen", "qty": 1}), 9)
    same(host.hypothetical(tc.to_json([["r", Get(path(goods, "size"))]])), 1)
    same(host.get(item(goods)), [{"1.0.0": []}])
