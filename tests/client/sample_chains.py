"""Services with every kind of chain. The client has classes for two kinds; the others are subclasses of `Chain`."""

import tinychain as tc
from tinychain.chain import Block, Chain, Sync
from tinychain.service import Service, service_uri

from sample_services import items_table, notes_btree
from support import O, R, V


class Backup(Chain):
    __uri__ = tc.URI(Chain) + "/backup"


class Compliant(Chain):
    __uri__ = tc.URI(Chain) + "/compliant"


class Reduce(Chain):
    __uri__ = tc.URI(Chain) + "/reduce"


CHAINS = {"sync": Sync, "block": Block, "backup": Backup, "compliant": Compliant, "reduce": Reduce}
POLICIES = {
    "backup": {"table": {"max_age": 3600}},
    "compliant": {"table": {"owner": "sku"}, "btree": {"owner": "note"}, "value": {"owner": "token"}},
    "reduce": {name: {"reduce": "rollup", "levels": [[1, 3600], [60, None]]} for name in ("table", "btree", "value")},
}


def keeper(ns, kind, version="1.0.0"):
    """A service with one kind of chain over each kind of subject."""

    chain = CHAINS[kind]

    class Keeper(Service):
        NAME = "keeper"

        __uri__ = service_uri(None, ns, NAME, version)

        def __init__(self):
            self.table = chain(items_table())
            self.btree = chain(notes_btree())
            self.value = chain(tc.U64(0))
            if kind in POLICIES:
                self.chain_policy = POLICIES[kind]
            Service.__init__(self)

        @tc.post
        def rollup(self, items: tc.Tuple) -> tc.Tuple:
            return items

        @tc.post
        def write(self, sku: tc.String, n: tc.U64):
            return self.table.upsert([sku], [n]), self.btree.insert([n, sku]), self.value.set(n)

        @tc.post
        def fail(self, cxt, sku: tc.String, n: tc.U64):
            cxt.written = self.table.upsert([sku], [n]), self.btree.insert([n, sku]), self.value.set(n)
            return tc.after(cxt.written, tc.error.Conflict("on purpose"))

        @tc.get
        def next(self) -> tc.U64:
            return self.value + 1

        @tc.delete
        def clear(self, key: tc.U64):
            return self.btree.delete((key,))

        @tc.post
        def recount(self, qty: tc.U64, to: tc.U64):
            return self.table.where(qty=qty).update(qty=to)

    return Keeper()


TENSORS = ("dense", "sparse")
TENSOR_POLICIES = {
    "backup": {"max_age": 3600},
    "compliant": {"owner": "token"},
    "reduce": {"reduce": "rollup", "levels": [[1, 3600], [60, None]]},
}


def grids(kind):
    """The attributes of a service with one kind of chain over a dense and over a sparse tensor of Int32, of shape [2, 3].

    It is written by hand: to the client, a chain over a tensor has none of the methods of tensors.
    """

    row = [{"$row": []}]
    writes = [
        ["dense_written", {"$self/dense": [row, {"$n": []}]}],
        ["sparse_written", {"$self/sparse": [[*row, 0], {"$n": []}]}],
    ]
    written = [{"$dense_written": []}, {"$sparse_written": []}]
    attributes = {
        name: {f"/state/chain/{kind}": [{f"/state/collection/tensor/{name}": [[{V + "number/int/32": {}}, [2, 3]]]}]}
        for name in TENSORS
    }
    if kind in TENSOR_POLICIES:
        attributes["chain_policy"] = {name: TENSOR_POLICIES[kind] for name in TENSORS}
    return {
        **attributes,
        "rollup": {O + "post": [["_return", {"$items": []}]]},
        "write": {O + "post": [*writes, ["_return", {R + "after": [written, {"$n": []}]}]]},
        "fail": {O + "post": [*writes, ["_return", {R + "after": [written, {"/error/conflict": ["on purpose"]}]}]]},
        "total": {O + "get": ["key", [["sum", {"$self/dense/sum": {}}], ["_return", {"$sum/add": {"r": {"$key": []}}}]]]},
        "same": {O + "get": ["key", [["_return", {"$self/dense/eq": {"r": {"$self/sparse": []}}}]]]},
    }
