"""Services with every kind of chain. The client has classes for two kinds; the others are subclasses of `Chain`."""

import tinychain as tc
from tinychain.chain import Block, Chain, Sync
from tinychain.service import Service, service_uri

from sample_services import items_table, notes_btree


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
