"""The libraries, services and models that several tests install, each below a namespace of its own."""

import itertools

import tinychain as tc
from tinychain.chain import Block, Sync
from tinychain.service import Library, Model, Service, library_uri, model_uri, service_uri

from sample_collections import btree, table

NAMESPACES = itertools.count()
ITEMS = [[tc.Column("sku", tc.String, 20)], [tc.Column("qty", tc.U64)]]
NOTES = [tc.Column("n", tc.U64), tc.Column("note", tc.String, 300)]


def fresh():
    """A namespace that no other test uses."""

    return f"/n{next(NAMESPACES)}"


def path(item, *names):
    """The path of a library or service, or of an attribute of it, without a host."""

    return tc.URI(item).path().extend(*names)


def item(library):
    """The path under which a library or service has its versions."""

    return path(library)[:-1]


def attributes(library):
    """What the client sends as the attributes of a library or service."""

    ((_, attributes),) = tc.to_json(library).items()
    return attributes


def normal(definition):
    """A definition with one spelling of a call without a key: a host may show `[]` as `[null]`."""

    if isinstance(definition, list):
        return [normal(part) for part in definition]
    if isinstance(definition, dict):
        calls = {key: value == [] and key.startswith("$") and "/" in key for key, value in definition.items()}
        return {key: [None] if calls[key] else normal(value) for key, value in definition.items()}
    return definition


def install(host, *libraries):
    for library in libraries:
        host.install(library)
    return libraries[-1]


def declared(host, attributes, root="/service"):
    """An item of its own for a library or service that is given as JSON, and what installs that there."""

    link = f"{root}{fresh()}/raw"
    host.create_namespace(tc.URI(link))
    return link, lambda: host.put(link, "1.0.0", {link: attributes})


def raw(host, attributes, root="/service"):
    """Install a library or service that is given as JSON, and return the path of its version."""

    link, put = declared(host, attributes, root)
    assert put() is None
    return link + "/1.0.0"


def installing(service, version, *results):
    """A program that installs a version and then resolves `results`: a Context cannot hold a definition."""

    link = str(item(service))
    steps = [["i", {link: [version, tc.to_json(service)]}]]
    for n, result in enumerate(results):
        before = {"$i": []} if n == 0 else {f"$r{n - 1}": []}
        steps.append([f"r{n}", {"/state/scalar/ref/after": [before, tc.to_json(result)]}])
    return steps


def crosses(exception, kind, *hops):
    """Require that the stack of an error names `hops`, from the inside out: calls as `POST /path`, steps in words."""

    stack = exception.message[kind]["stack"]
    entries = iter(stack)
    for hop in hops:
        hop = hop if hop.startswith("while") else f"in call to {hop}"
        assert any(hop in entry for entry in entries), (hop, stack)


def items_table():
    return tc.table.Table(tc.table.Schema(*ITEMS).create_index("by_qty", ["qty"]))


def items(*rows):
    """The reply for the table of items."""

    columns = [("sku", "string", 20)], [("qty", "number/uint/64")]
    return table(*columns, [list(row) for row in rows], [["by_qty", ["qty"]]])


def notes(*rows):
    """The reply for the B-tree of notes."""

    return btree([("n", "number/uint/64"), ("note", "string", 300)], [list(row) for row in rows])


def notes_btree():
    return tc.btree.BTree(tc.btree.Schema(NOTES))


# --- libraries --------------------------------------------------------------------------------------------------


def units(ns, version="1.0.0", lead=None, factor=2):
    class Units(Library):
        NAME = "units"
        VERSION = version
        LIMITS = {"x": 1, "far": [10, 20, {"unit": "m"}]}
        NOTHING = None

        __uri__ = library_uri(lead, ns, NAME, version)

        @tc.get
        def double(self, n: tc.Number) -> tc.Number:
            return n * factor

        @tc.get
        def quad(self, n: tc.Number) -> tc.Number:
            return self.double(self.double(n))

        @tc.get
        def to_feet(self, meters: tc.Number) -> tc.Number:
            return tc.cond(meters >= 0, meters * 3.28, tc.error.BadRequest("negative distance is not supported"))

        @tc.post
        def area(self, w: tc.Number, h: tc.Number) -> tc.Number:
            return w * h

    return Units()


def catalog(ns, version="1.0.0"):
    """A library with two classes, the second a subclass of the first."""

    class Item(Model):
        NAME = "Item"

        __uri__ = model_uri(ns, "catalog", version, "Item")

        title = tc.String
        price = tc.Number

        def __init__(self, title, price):
            self.title = title
            self.price = price

        @tc.get
        def label(self) -> tc.String:
            return tc.String("{{title}} costs {{price}}").render(title=self.title, price=self.price)

        @tc.post
        def total(self, qty: tc.Number) -> tc.Number:
            return self.price * qty

    class Sale(Item):
        NAME = "Sale"

        __uri__ = model_uri(ns, "catalog", version, "Sale")

        was = tc.Number

        def __init__(self, title, price, was):
            self.title = title
            self.price = price
            self.was = was

        @tc.get
        def label(self) -> tc.String:
            return tc.String("{{title}} was {{was}}").render(title=self.title, was=self.was)

    class Catalog(Library):
        NAME = "catalog"
        VERSION = version

        __uri__ = library_uri(None, ns, NAME, version)

        @tc.post
        def item(self, title: tc.String, price: tc.Number) -> Item:
            return self.Item(title, price)

        @tc.post
        def half(self, title: tc.String, price: tc.Number) -> Sale:
            return self.Sale(title, price / 2, price)

        @tc.post
        def dozen(self, item: Item) -> tc.Number:
            return item.total(12)

    Catalog.Item, Catalog.Sale = Item, Sale
    return Catalog()


def class_links(lib):
    """The links of the two classes of the catalog."""

    return [str(tc.URI(cls)) for cls in (lib.Item, lib.Sale)]


# --- services ---------------------------------------------------------------------------------------------------


def stock(ns, version="1.0.0", lead=None, chain=Sync):
    """Items of which there are some, a log of what happened, and how many were sold."""

    class Stock(Service):
        NAME = "stock"
        VERSION = version

        __uri__ = service_uri(lead, ns, NAME, version)

        def __init__(self):
            self.items = chain(items_table())
            self.log = Block(notes_btree())
            self.sold = chain(tc.U64(0))
            Service.__init__(self)

        @tc.put
        def restock(self, key: tc.String, value: tc.U64):
            return self.items.upsert([key], [value])

        @tc.delete
        def drop(self, key: tc.String):
            return self.items.delete((key,))

        @tc.get
        def size(self) -> tc.U64:
            return self.items.count()

        @tc.get
        def has(self, key: tc.String) -> tc.Bool:
            return self.items.contains((key,))

        @tc.get
        def scarce(self, limit: tc.U64) -> tc.table.Table:
            return self.items.where(qty=slice(None, limit)).order_by(["qty"])

        @tc.post
        def take(self, cxt, sku: tc.String, qty: tc.U64) -> tc.U64:
            """Writes to three chains, and then refuses if there was too little."""

            cxt.row = self.items[(sku,)]
            cxt.had = tc.U64(cxt.row[1])
            cxt.enough = cxt.had >= qty
            cxt.left = tc.U64(tc.cond(cxt.enough, cxt.had - qty, 0))
            cxt.sum = self.sold + qty
            cxt.kept = self.items.upsert([sku], [cxt.left])
            cxt.logged = self.log.insert([qty, sku])
            cxt.counted = self.sold.set(cxt.sum)
            cxt.done = tc.after([cxt.kept, cxt.logged, cxt.counted], self.items.count())
            cxt.checked = tc.after(cxt.done, cxt.enough)
            return tc.cond(cxt.checked, cxt.left, tc.error.BadRequest("out of stock"))

        @tc.get
        def tried(self, key: tc.String) -> tc.U64:
            """A GET that writes: its write is seen by its own later steps only."""

            return tc.after(self.items.upsert([key], [1]), self.items.count())

    return Stock()


def ledger(ns, version="1.0.0", lead=None):
    """Accounts, which refuse to be overdrawn."""

    class Ledger(Service):
        NAME = "ledger"
        VERSION = version

        __uri__ = service_uri(lead, ns, NAME, version)

        def __init__(self):
            schema = tc.table.Schema([tc.Column("user", tc.String, 20)], [tc.Column("cents", tc.I64)])
            self.accounts = Sync(tc.table.Table(schema))
            Service.__init__(self)

        @tc.put
        def open(self, key: tc.String, value: tc.I64):
            return self.accounts.upsert([key], [value])

        @tc.get
        def balance(self, key: tc.String) -> tc.I64:
            return self.accounts[(key,)][1]

        @tc.post
        def debit(self, cxt, user: tc.String, cents: tc.I64) -> tc.I64:
            cxt.row = self.accounts[(user,)]
            cxt.left = tc.I64(cxt.row[1]) - cents
            write = self.accounts.upsert([user], [cxt.left])
            cxt.paid = tc.cond(cxt.left >= 0, write, tc.error.BadRequest("insufficient funds"))
            return tc.after(cxt.paid, cxt.left)

        @tc.post
        def move(self, cxt, source: tc.String, target: tc.String, cents: tc.I64) -> tc.I64:
            cxt.a = self.accounts[(source,)]
            cxt.b = self.accounts[(target,)]
            cxt.less = tc.I64(cxt.a[1]) - cents
            cxt.more = tc.I64(cxt.b[1]) + cents
            cxt.taken = self.accounts.upsert([source], [cxt.less])
            cxt.given = self.accounts.upsert([target], [cxt.more])
            return tc.after([cxt.taken, cxt.given], cxt.more)

    return Ledger()


def till(stock, ledger, ns, lead=None):
    """A shop front over the two services."""

    class Till(Service):
        NAME = "till"
        VERSION = "1.0.0"

        __uri__ = service_uri(lead, ns, NAME, VERSION)

        def __init__(self):
            self.stock = stock
            self.ledger = ledger
            self.sales = Sync(tc.U64(0))
            Service.__init__(self)

        @tc.post
        def buy(self, cxt, user: tc.String, sku: tc.String, qty: tc.U64, cents: tc.I64):
            """Pays first, so that goods which are not there undo a payment."""

            cxt.number = self.sales + 1
            cxt.counted = self.sales.set(cxt.number)
            cxt.paid = tc.after(cxt.counted, self.ledger.debit(user, cents))
            return tc.after(cxt.paid, self.stock.take(sku, qty))

        @tc.post
        def order(self, cxt, user: tc.String, sku: tc.String, qty: tc.U64, cents: tc.I64):
            """Takes first, so that a payment which is refused undoes the taking."""

            cxt.taken = self.stock.take(sku, qty)
            return tc.after(cxt.taken, self.ledger.debit(user, cents))

        @tc.get
        def quote(self, user: tc.String) -> tc.I64:
            return self.ledger.balance(user)

    return Till()
