"""Chains of every kind over every kind of subject: reads, writes, deletes, and their history."""

import base64
import re

import numpy as np
import pytest
import tinychain as tc
from tinychain.chain import Block, Sync
from tinychain.service import Service, service_uri

from sample_chains import CHAINS, TENSORS, grids, keeper
from sample_services import attributes, fresh, install, items, notes, path, raw
from sample_tensors import Dense, Sparse, check, literal
from support import same

KINDS = list(CHAINS)
WITH_HISTORY = [kind for kind in KINDS if kind != "sync"]
TXN = re.compile(r"\d+-\d+")
ZEROS = base64.b64encode(bytes(32)).decode()


@pytest.fixture(params=KINDS)
def chains(request, host):
    """The paths of the chains of one kind, by subject, and of the methods that use them."""

    return Paths(host, install(host, keeper(fresh(), request.param)), request.param)


@pytest.fixture(params=WITH_HISTORY)
def recorded(request, host):
    return Paths(host, install(host, keeper(fresh(), request.param)), request.param)


class Paths:
    def __init__(self, host, service, kind):
        self.host = host
        self.service = service
        self.kind = kind
        self.table, self.btree, self.value = [path(service, name) for name in ("table", "btree", "value")]

    def method(self, name):
        return path(self.service, name)

    def info(self, chain):
        return self.host.get(chain.append("chain/info"))

    def write(self, sku, n):
        self.host.post(self.method("write"), {"sku": sku, "n": n})

    def holds(self, table, btree, value):
        same(self.host.get(self.table), items(*table))
        same(self.host.get(self.btree), notes(*btree))
        same(self.host.get(self.value), value)


def blocks(host, chain):
    """All blocks of a chain, oldest first."""

    count = host.get(chain.append("chain/info"))["blocks"]
    assert type(count) is int
    with pytest.raises(tc.error.NotFound):
        host.get(chain.append("chain/blocks"), count or tc.Int(0))
    return [host.get(chain.append("chain/blocks"), tc.Int(i)) for i in range(count)]


def mutations(blocks):
    """What each transaction wrote, in their order."""

    found = {txn: mutations for _, txns in blocks for txn, mutations in txns.items()}
    return [found[txn] for txn in sorted(found, key=lambda txn: [int(part) for part in txn.split("-")])]


# --- reads and writes -------------------------------------------------------------------------------------------


def test_what_the_client_sends(chains):
    """The declaration of a chain is a list with its subject; a value is its own constructor."""

    sent, link = attributes(chains.service), f"/state/chain/{chains.kind}"
    assert list(sent["table"]) == [link] and list(sent["table"][link][0]) == ["/state/collection/table"]
    assert list(sent["btree"]) == [link] and list(sent["btree"][link][0]) == ["/state/collection/btree"]
    same(sent["value"], {link: [0]})
    chains.holds([], [], 0)


def test_table(host, chains):
    for sku, qty in [("pen", 3), ("ink", 1), ("cap", 7)]:
        assert host.put(chains.table, [sku], [qty]) is None
    host.put(chains.table, ["pen"], [5])
    same(host.get(chains.table), items(["cap", 7], ["ink", 1], ["pen", 5]))
    same(host.get(chains.table, ["pen"]), ["pen", 5])
    same(host.get(chains.table, ["nib"]), None)
    same(host.get(chains.table, [["qty", [["in", 5], None]]]), items(["pen", 5], ["cap", 7]))
    same(host.post(chains.table, {"qty": 1}), items(["ink", 1]))
    same(host.get(chains.table.append("count")), 3)
    same(host.get(chains.table.append("contains"), ["ink"]), True)
    same(host.get(chains.table.append("limit"), 1), items(["cap", 7]))
    assert host.delete(chains.table, ["pen"]) is None
    same(host.get(chains.table, ["pen"]), None)
    same(host.get(chains.table, [["qty", 5]]), items())
    assert host.delete(chains.table) is None
    same(host.get(chains.table), items())
    same(host.get(chains.table.append("order"), [["qty"], False]), items())


def test_update_of_a_table(host, chains):
    for sku, qty in [("pen", 3), ("ink", 1), ("cap", 3)]:
        host.put(chains.table, [sku], [qty])
    host.post(chains.method("recount"), {"qty": 3, "to": 4})
    same(host.get(chains.table), items(["cap", 4], ["ink", 1], ["pen", 4]))
    same(host.get(chains.table, [["qty", 3]]), items())


def test_btree(host, chains):
    for row in [[5, "nut"], [8, "gear"], [3, "bolt"], [5, "cam"]]:
        assert host.put(chains.btree, None, row) is None
    host.put(chains.btree, None, [8, "gear"])
    same(host.get(chains.btree), notes([3, "bolt"], [5, "cam"], [5, "nut"], [8, "gear"]))
    same(host.get(chains.btree, [5]), notes([5, "cam"], [5, "nut"]))
    same(host.post(chains.btree, {"range": [[["in", 6], None]]}), notes([8, "gear"]))
    same(host.get(chains.btree.append("count")), 4)
    same(host.get(chains.btree.append("count"), [5]), 2)
    same(host.get(chains.btree.append("first")), {"n": 3, "note": "bolt"})
    same(host.get(chains.btree.append("reverse")), notes([8, "gear"], [5, "nut"], [5, "cam"], [3, "bolt"]))
    assert host.delete(chains.btree, [5]) is None
    same(host.get(chains.btree), notes([3, "bolt"], [8, "gear"]))
    assert host.delete(chains.method("clear"), 8) is None
    same(host.get(chains.btree), notes([3, "bolt"]))
    assert host.delete(chains.btree) is None
    same(host.get(chains.btree), notes())


def test_value(host, chains):
    same(host.get(chains.value), 0)
    assert host.put(chains.value, None, 6) is None
    same(host.get(chains.value), 6)
    same(host.get(chains.method("next")), 7)
    assert host.delete(chains.value) is None
    same(host.get(chains.value), None)
    host.put(chains.value, None, 8)
    same(host.get(chains.value), 8)


@pytest.mark.parametrize("value", ["x", ["a", "b"], {"a": 1}], ids=str)
def test_a_value_of_another_type(host, chains, value):
    host.put(chains.value, None, 6)
    with pytest.raises(tc.error.BadRequest):
        host.put(chains.value, None, value)
    same(host.get(chains.value), 6)


def test_a_method_writes_to_three_chains(chains):
    chains.write("pen", 3)
    chains.write("ink", 1)
    chains.holds([["ink", 1], ["pen", 3]], [[1, "ink"], [3, "pen"]], 1)


def test_a_failed_method_writes_to_none(host, chains):
    chains.write("pen", 3)
    for _ in range(2):
        with pytest.raises(tc.error.Conflict):
            host.post(chains.method("fail"), {"sku": "ink", "n": 9})
        chains.holds([["pen", 3]], [[3, "pen"]], 3)
    chains.write("ink", 9)
    chains.holds([["ink", 9], ["pen", 3]], [[3, "pen"], [9, "ink"]], 9)


FAULTY_ROWS = [
    ("table", ["pen"], []),
    ("table", ["pen"], ["x"]),
    ("table", ["pen", "ink"], [1]),
    ("btree", None, [1]),
    ("btree", None, ["x", "y"]),
]


@pytest.mark.parametrize("name,key,row", FAULTY_ROWS, ids=str)
def test_a_faulty_row(host, chains, name, key, row):
    with pytest.raises(tc.error.BadRequest):
        host.put(getattr(chains, name), key, row)
    chains.holds([], [], 0)
    chains.write("pen", 3)
    chains.holds([["pen", 3]], [[3, "pen"]], 3)


def test_what_a_chain_refuses(host, chains):
    for call in (
        lambda: host.put(chains.table.append("count"), None, 1),
        lambda: host.delete(chains.btree.append("count")),
    ):
        with pytest.raises(tc.error.MethodNotAllowed):
            call()
    with pytest.raises(tc.error.NotFound):
        host.get(chains.table.append("weigh"))


# --- tensors ----------------------------------------------------------------------------------------------------


ROW = np.array([7, 8, 9], "int32")
HOLE = np.array([0, 8, 0], "int32")


class Grids:
    """The paths of two chains over tensors, and of the methods that use them."""

    def __init__(self, host, kind):
        self.host, self.kind = host, kind
        self.link = tc.URI(raw(host, grids(kind)))
        self.dense, self.sparse = (self.link.append(name) for name in TENSORS)

    def write(self, row, n):
        same(self.host.post(self.link.append("write"), {"row": row, "n": n}), n)

    def info(self, chain):
        return self.host.get(chain.append("chain/info"))

    def holds(self, dense, sparse):
        check(self.host.get(self.dense), np.array(dense, "int32"), sparse=False)
        check(self.host.get(self.sparse), np.array(sparse, "int32"), sparse=True)


@pytest.fixture(params=KINDS)
def tensors(request, host):
    return Grids(host, request.param)


def test_a_chain_over_a_tensor_as_the_client_declares_it(host):
    ns = fresh()

    class Grid(Service):
        __uri__ = service_uri(None, ns, "grid", "1.0.0")

        def __init__(self):
            self.dense = Block(Dense.create([2, 3], tc.F64))
            self.sparse = Sync(Sparse.create([4], tc.U8))
            Service.__init__(self)

    grid = install(host, Grid())
    check(host.get(path(grid, "dense")), np.zeros((2, 3)), sparse=False)
    check(host.get(path(grid, "sparse")), np.zeros(4, "uint8"), sparse=True)
    host.put(path(grid, "dense"), [1, 2], 0.5)
    host.put(path(grid, "sparse"), [3], 300)
    check(host.get(path(grid, "dense"), [1]), np.array([0, 0, 0.5]))
    check(host.get(path(grid, "sparse")), np.array([0, 0, 0, 44], "uint8"))


def test_dense(host, tensors):
    tensors.holds(np.zeros((2, 3)), np.zeros((2, 3)))
    assert host.put(tensors.dense, [0, 1], 5) is None
    assert host.put(tensors.dense, [1], literal(ROW)) is None
    assert host.put(tensors.dense, [-1, -1], 3.9) is None
    tensors.holds([[0, 5, 0], [7, 8, 3]], np.zeros((2, 3)))
    same(host.get(tensors.dense, [0, 1]), 5)
    check(host.get(tensors.dense, [1]), np.array([7, 8, 3], "int32"))
    check(host.get(tensors.dense, [None, [["in", 1], None]]), np.array([[5, 0], [8, 3]], "int32"))
    same(host.get(tensors.dense.append("shape")), [2, 3])
    same(host.get(tensors.dense.append("schema")), [{"/state/scalar/value/number/int/32": []}, [2, 3]])
    same(host.post(tensors.dense.append("sum"), {}), 23)
    check(host.get(tensors.dense.append("max"), [1]), np.array([5, 8], "int32"))
    check(host.post(tensors.dense.append("add"), {"r": 1}), np.array([[1, 6, 1], [8, 9, 4]], "int32"))
    assert host.put(tensors.dense, [None, 0], 1) is None
    assert host.put(tensors.dense, None, literal(ROW)) is None
    tensors.holds([ROW, ROW], np.zeros((2, 3)))
    assert host.put(tensors.dense, None, 0) is None
    tensors.holds(np.zeros((2, 3)), np.zeros((2, 3)))


def test_sparse(host, tensors):
    assert host.put(tensors.sparse, [0, 1], 5) is None
    assert host.put(tensors.sparse, [1], literal(HOLE, True)) is None
    tensors.holds(np.zeros((2, 3)), [[0, 5, 0], [0, 8, 0]])
    same([host.get(tensors.sparse, key) for key in ([0, 1], [0, 0], [-1, -2])], [5, 0, 8])
    check(host.get(tensors.sparse, [1]), HOLE, sparse=True)
    same(host.post(tensors.sparse.append("sum"), {}), 13)
    check(host.get(tensors.sparse.append("dense")), np.array([[0, 5, 0], [0, 8, 0]], "int32"), sparse=False)
    assert host.put(tensors.sparse, [0, 1], 0) is None
    assert host.put(tensors.sparse, [1, 0], -2) is None
    tensors.holds(np.zeros((2, 3)), [[0, 0, 0], [-2, 8, 0]])
    assert host.put(tensors.sparse, None, 0) is None
    tensors.holds(np.zeros((2, 3)), np.zeros((2, 3)))


FAULTY_WRITES = [
    *(("dense", key, 1) for key in ([9, 9], [2], [0, -4], [0, 0, 0], ["x"], [0.5])),
    *(("dense", [0], value) for value in ("x", None, [1, 2, 3], literal(np.zeros(2, "int32")))),
    *(("sparse", key, value) for key, value in (([9, 9], 1), ([0], 7), ([0], literal(ROW)), ([0, 0], "x"))),
]


@pytest.mark.parametrize("name,key,value", FAULTY_WRITES, ids=str)
def test_faulty_writes_to_tensors(host, tensors, name, key, value):
    with pytest.raises(tc.error.BadRequest):
        host.put(getattr(tensors, name), key, value)
    tensors.holds(np.zeros((2, 3)), np.zeros((2, 3)))
    if tensors.kind != "sync":
        assert tensors.info(getattr(tensors, name))["last"] is None


def test_what_a_chain_over_a_tensor_refuses(host, tensors):
    for name in TENSORS:
        chain = getattr(tensors, name)
        for call in (lambda: host.delete(chain), lambda: host.delete(chain, [0]), lambda: host.put(chain.append("sum"), None, 1)):
            with pytest.raises(tc.error.MethodNotAllowed):
                call()
        with pytest.raises(tc.error.NotFound):
            host.get(chain.append("weigh"))


def test_a_method_writes_to_two_tensors(host, tensors):
    tensors.write(0, 5)
    tensors.write(1, -2)
    tensors.holds([[5, 5, 5], [-2, -2, -2]], [[5, 0, 0], [-2, 0, 0]])
    same(host.get(tensors.link.append("total"), 1), 10)
    check(host.get(tensors.link.append("same")), np.array([[True, False, False], [True, False, False]]))


def test_a_failed_method_writes_to_no_tensor(host, tensors):
    tensors.write(0, 5)
    before = [tensors.info(chain) for chain in (tensors.dense, tensors.sparse)]
    for _ in range(2):
        with pytest.raises(tc.error.Conflict):
            host.post(tensors.link.append("fail"), {"row": 1, "n": 9})
        tensors.holds([[5, 5, 5], [0, 0, 0]], [[5, 0, 0], [0, 0, 0]])
    assert [tensors.info(chain) for chain in (tensors.dense, tensors.sparse)] == before


@pytest.mark.parametrize("kind", ["block", "backup", "reduce"])
def test_blocks_of_tensors(host, kind):
    """A record of a dense tensor has a block of its elements as it was after the write, one of a sparse tensor an element."""

    tensors = Grids(host, kind)
    host.put(tensors.dense, [0, 1], 5)
    host.put(tensors.dense, [1], literal(ROW))
    host.put(tensors.dense, None, 1)
    host.put(tensors.sparse, [1], literal(HOLE, True))
    host.put(tensors.sparse, [1, 1], 0)

    def block(*elements):
        return [[[0], [base64.b64encode(np.array(elements, "<i4").tobytes()).decode()]]]

    written = [block(0, 5, 0, 0, 0, 0), block(0, 5, 0, *ROW), block(1, 1, 1, 1, 1, 1)]
    same(mutations(blocks(host, tensors.dense)), written)
    same(mutations(blocks(host, tensors.sparse)), [[[[4], [8]]], [[[4]]]])


@pytest.mark.parametrize("kind", ["block", "backup", "compliant", "reduce"])
def test_tensors_as_they_were(host, kind):
    tensors = Grids(host, kind)
    ids = []
    for row, n in [(0, 5), (1, 6), (0, 0)]:
        tensors.write(row, n)
        ids.append(tensors.info(tensors.dense)["last"])
        assert tensors.info(tensors.sparse)["last"] == ids[-1]
        for chain in (tensors.dense, tensors.sparse):
            same(host.get(chain.append("chain/verify")), True)
    for txn, (first, second) in zip(ids, [(5, 0), (5, 6), (0, 6)], strict=True):
        check(host.get(tensors.dense.append("chain/at"), txn), np.array([[first] * 3, [second] * 3], "int32"), sparse=False)
        check(host.get(tensors.sparse.append("chain/at"), txn), np.array([[first, 0, 0], [second, 0, 0]], "int32"), sparse=True)


def test_the_hash_follows_a_tensor(tensors):
    before = [tensors.info(chain)["hash"] for chain in (tensors.dense, tensors.sparse)]
    tensors.write(0, 5)
    after = [tensors.info(chain)["hash"] for chain in (tensors.dense, tensors.sparse)]
    assert all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["sync", "block"])
def test_the_serialized_form_of_a_chain_over_a_tensor(host, kind):
    tensors = Grids(host, kind)
    tensors.write(1, 5)
    subjects = literal(np.array([[0, 0, 0], [5, 5, 5]], "int32")), literal(np.array([[0, 0, 0], [5, 0, 0]], "int32"), True)
    for name, subject in zip(TENSORS, subjects, strict=True):
        chain = getattr(tensors, name)
        want = subject if kind == "sync" else [subject, blocks(host, chain)]
        same(host.get(tensors.link, name), {f"/state/chain/{kind}": want})


# --- history ----------------------------------------------------------------------------------------------------


def test_info(chains):
    chains.write("pen", 3)
    for chain in (chains.table, chains.btree, chains.value):
        info = chains.info(chain)
        assert set(info) == {"type", "hash", "blocks", "first", "last", "policy"}
        assert info["type"] == f"/state/chain/{chains.kind}"
        assert re.fullmatch("[0-9a-f]{64}", info["hash"]) and type(info["policy"]) is dict


def test_the_hash_follows_the_subject(chains):
    before = [chains.info(chain)["hash"] for chain in (chains.table, chains.btree, chains.value)]
    chains.write("pen", 3)
    after = [chains.info(chain)["hash"] for chain in (chains.table, chains.btree, chains.value)]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert [chains.info(chain)["hash"] for chain in (chains.table, chains.btree, chains.value)] == after


def test_first_and_last(recorded):
    for chain in (recorded.table, recorded.btree, recorded.value):
        info = recorded.info(chain)
        assert info["first"] is None and info["last"] is None
    recorded.write("pen", 3)
    first = recorded.info(recorded.table)["last"]
    assert TXN.fullmatch(first)
    recorded.write("ink", 1)
    for chain in (recorded.table, recorded.btree, recorded.value):
        info = recorded.info(chain)
        # one transaction has one id in all of its chains
        assert info["first"] == first and TXN.fullmatch(info["last"]) and info["last"] != first
        assert info["last"] == recorded.info(recorded.value)["last"]


@pytest.mark.parametrize("kind", ["block", "backup", "reduce"])
def test_blocks(host, kind):
    """Each records what was put as a pair, and what was deleted as a key."""

    chains = Paths(host, install(host, keeper(fresh(), kind)), kind)
    host.put(chains.table, ["pen"], [3])
    host.put(chains.table, ["pen"], [4])
    host.delete(chains.table, ["pen"])
    host.put(chains.btree, None, [5, "nut"])
    host.delete(chains.btree, [5, "nut"])
    host.put(chains.value, None, 6)
    host.delete(chains.value)
    same(mutations(blocks(host, chains.table)), [[[["pen"], [3]]], [[["pen"], [4]]], [[["pen"]]]])
    same(mutations(blocks(host, chains.btree)), [[[None, [5, "nut"]]], [[[5, "nut"]]]])
    same(mutations(blocks(host, chains.value)), [[[None, 6]], [[None]]])
    assert blocks(host, chains.table)[0][0] == ZEROS


def test_a_failed_write_is_not_recorded(host, recorded):
    recorded.write("pen", 3)
    last = recorded.info(recorded.table)["last"]
    with pytest.raises(tc.error.Conflict):
        host.post(recorded.method("fail"), {"sku": "ink", "n": 9})
    with pytest.raises(tc.error.BadRequest):
        host.put(recorded.table, ["pen"], ["x"])
    assert recorded.info(recorded.table)["last"] == last
    assert recorded.info(recorded.value)["last"] == last


def test_the_serialized_form_of_a_sync_chain(host):
    chains = Paths(host, install(host, keeper(fresh(), "sync")), "sync")
    chains.write("pen", 3)
    for name, subject in [("table", items(["pen", 3])), ("btree", notes([3, "pen"])), ("value", 3)]:
        same(host.get(path(chains.service), name), {"/state/chain/sync": subject})
        same(host.get(path(chains.service, name, "chain")), {"/state/chain/sync": subject})


def test_the_serialized_form_of_a_block_chain(host):
    chains = Paths(host, install(host, keeper(fresh(), "block")), "block")
    chains.write("pen", 3)
    for name, subject in [("table", items(["pen", 3])), ("btree", notes([3, "pen"])), ("value", 3)]:
        want = {"/state/chain/block": [subject, blocks(host, getattr(chains, name))]}
        same(host.get(path(chains.service), name), want)
        same(host.get(path(chains.service, name, "chain")), want)


def test_verify(host, recorded):
    for n in range(3):
        recorded.write("pen", n)
        for chain in (recorded.table, recorded.btree, recorded.value):
            same(host.get(chain.append("chain/verify")), True)


@pytest.mark.parametrize("kind", ["block", "backup", "compliant", "reduce"])
def test_at(host, kind):
    chains = Paths(host, install(host, keeper(fresh(), kind)), kind)
    ids = []
    for sku, n in [("pen", 3), ("ink", 1), ("pen", 5)]:
        chains.write(sku, n)
        ids.append(chains.info(chains.value)["last"])
    host.delete(chains.table)
    for txn, table, btree, value in zip(
        ids,
        [[["pen", 3]], [["ink", 1], ["pen", 3]], [["ink", 1], ["pen", 5]]],
        [[[3, "pen"]], [[1, "ink"], [3, "pen"]], [[1, "ink"], [3, "pen"], [5, "pen"]]],
        [3, 1, 5],
    ):
        same(host.get(chains.table.append("chain/at"), txn), items(*table))
        same(host.get(chains.btree.append("chain/at"), txn), notes(*btree))
        same(host.get(chains.value.append("chain/at"), txn), value)
    same(host.get(chains.table.append("chain/at"), chains.info(chains.table)["last"]), items())
    same(host.get(chains.table), items())


def test_at_a_faulty_id(host, recorded):
    for txn in ("x", "1", "1-x", "-", None, 5):
        with pytest.raises(tc.error.BadRequest):
            host.get(recorded.table.append("chain/at"), txn)


def test_the_history_is_read_only(host, chains):
    chains.write("pen", 3)
    for name in ("chain", "chain/info"):
        for call in (host.put, host.delete):
            with pytest.raises(tc.error.MethodNotAllowed):
                call(chains.table.append(name), ["pen"])
    with pytest.raises(tc.error.NotFound):
        host.get(chains.table.append("chain/nope"))
    chains.holds([["pen", 3]], [[3, "pen"]], 3)
