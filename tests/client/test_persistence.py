"""Restarts: what was committed is there after SIGTERM and after `kill -9`, for every kind of chain and subject."""

import json
import random
import threading

import numpy as np
import pytest
import requests
import tinychain as tc
from tinychain.chain import Block
from tinychain.service import Service, service_uri

from sample_chains import CHAINS, grids, keeper
from sample_services import (
    attributes,
    catalog,
    fresh,
    install,
    item,
    items,
    ledger,
    normal,
    notes,
    path,
    raw,
    stock,
    till,
    units,
)
from sample_tensors import DENSE, SPARSE, check, literal, read
from support import DEADLINE, O, V, poll, same
from test_duckdb import Files, by_arrow

ENDS = ["stop", "kill"]
CACHES = {"cache": (), "small cache": ("--cache_size=5K",)}


def end_and_start(spawn, process, end, *flags):
    """End a host and start it again on the same directories and port; returns the process and its client."""

    getattr(process, end)()
    return start(spawn, *flags, port=process.port)


def start(spawn, *flags, **kwargs):
    process = spawn(*flags, **kwargs)
    return process, process.client()


def holds(host, service, table, btree, value):
    same(host.get(path(service, "table")), items(*table))
    same(host.get(path(service, "btree")), notes(*btree))
    same(host.get(path(service, "value")), value)


@pytest.mark.parametrize("flags", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", CHAINS)
def test_chains(spawn, kind, end, flags):
    process, host = start(spawn, *flags)
    service = install(host, keeper(fresh(), kind))
    for sku, n in [("pen", 3), ("ink", 1), ("cap", 3), ("nib", 8)]:
        host.post(path(service, "write"), {"sku": sku, "n": n})
    host.post(path(service, "recount"), {"qty": 3, "to": 4})
    host.delete(path(service, "table"), ["nib"])
    host.delete(path(service, "clear"), 8)
    with pytest.raises(tc.error.Conflict):
        host.post(path(service, "fail"), {"sku": "odd", "n": 9})
    table, btree = [["cap", 4], ["ink", 1], ["pen", 4]], [[1, "ink"], [3, "cap"], [3, "pen"]]
    holds(host, service, table, btree, 8)

    process, host = end_and_start(spawn, process, end, *flags)
    holds(host, service, table, btree, 8)
    same(host.get(path(service, "table"), [["qty", 4]]), items(["cap", 4], ["pen", 4]))
    host.post(path(service, "write"), {"sku": "pen", "n": 5})
    table[-1], btree[len(btree):] = ["pen", 5], [[5, "pen"]]

    # a second recovery changes nothing
    for _ in range(2):
        process, host = end_and_start(spawn, process, end, *flags)
        holds(host, service, table, btree, 5)


def grid_holds(host, link, dense, sparse):
    check(host.get(link + "/dense"), np.array(dense, "int32"), sparse=False)
    check(host.get(link + "/sparse"), np.array(sparse, "int32"), sparse=True)


@pytest.mark.parametrize("flags", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", CHAINS)
def test_tensors(spawn, kind, end, flags):
    process, host = start(spawn, *flags)
    link = raw(host, grids(kind))
    host.post(link + "/write", {"row": 1, "n": 4})
    host.put(link + "/dense", [0], literal(np.array([7, 8, 9], "int32")))
    host.put(link + "/dense", [-1, -1], 3)
    host.put(link + "/sparse", [0], literal(np.array([0, 8, 6], "int32"), True))
    host.put(link + "/sparse", [0, 1], 0)
    with pytest.raises(tc.error.Conflict):
        host.post(link + "/fail", {"row": 0, "n": 9})
    dense, sparse = [[7, 8, 9], [4, 4, 3]], [[0, 0, 6], [4, 0, 0]]
    grid_holds(host, link, dense, sparse)

    process, host = end_and_start(spawn, process, end, *flags)
    grid_holds(host, link, dense, sparse)
    same(host.get(link + "/dense", [0, 1]), 8)
    same(host.post(link + "/sparse/sum", {}), 10)
    host.post(link + "/write", {"row": 0, "n": 5})
    dense[0], sparse[0] = [5, 5, 5], [5, 0, 6]

    # a second recovery changes nothing
    for _ in range(2):
        process, host = end_and_start(spawn, process, end, *flags)
        grid_holds(host, link, dense, sparse)
        if kind != "sync":
            same([host.get(f"{link}/{name}/chain/verify") for name in ("dense", "sparse")], [True, True])


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["block", "backup", "compliant"])
def test_the_history_of_tensors(spawn, kind, end):
    process, host = start(spawn)
    link = raw(host, grids(kind))
    ids = []
    for n in range(1, 4):
        host.post(link + "/write", {"row": n % 2, "n": n})
        ids.append(host.get(link + "/dense/chain/info")["last"])
    infos = [host.get(f"{link}/{name}/chain/info") for name in ("dense", "sparse")]

    process, host = end_and_start(spawn, process, end)
    assert [host.get(f"{link}/{name}/chain/info") for name in ("dense", "sparse")] == infos
    for txn, (first, second) in zip(ids, [(0, 1), (2, 1), (2, 3)], strict=True):
        check(host.get(link + "/dense/chain/at", txn), np.array([[first] * 3, [second] * 3], "int32"))
        check(host.get(link + "/sparse/chain/at", txn), np.array([[first, 0, 0], [second, 0, 0]], "int32"))


@pytest.mark.parametrize("end", ENDS)
def test_tensors_larger_than_the_cache(spawn, end):
    """One of 480 KB, which is written in parts, and a sparse one, with a cache of 5 KB."""

    process, host = start(spawn, "--cache_size=5K", "--request_ttl=30")
    rows, columns = 200, 300
    schema = [[{V + "number/float/64": {}}, [rows, columns]]]
    part = {"/state/collection/tensor/dense/range": [[[10, columns], {"$start": []}, {"$stop": []}]]}
    target = [[["in", {"$row": []}], ["ex", {"$row/add": {"r": 10}}]]]
    link = raw(host, {
        "dense": {"/state/chain/sync": [{DENSE: schema}]},
        "sparse": {"/state/chain/sync": [{SPARSE: schema}]},
        "fill": {O + "post": [["part", part], ["_return", {"$self/dense": [target, {"$part": []}]}]]},
    })
    for row in range(0, rows, 10):
        host.post(link + "/fill", {"row": row, "start": float(row * columns), "stop": float((row + 10) * columns)})
    few = np.zeros((rows, columns))
    for row in range(0, rows, 7):
        few[row, row] = row + 0.5
    host.put(link + "/sparse", None, literal(few, True))

    _, host = end_and_start(spawn, process, end, "--cache_size=5K", "--request_ttl=30")
    want = np.arange(rows * columns, dtype="float64").reshape(rows, columns)
    check(host.get(link + "/dense", [[["in", 95], ["ex", 105]], [["in", 290], None]]), want[95:105, 290:])
    check(host.get(link + "/dense", [None, 299]), want[:, 299])
    check(host.post(link + "/dense/sum", {}), want.sum())
    check(host.post(link + "/dense/sum", {"axes": [0]}), want.sum(0))
    check(host.get(link + "/sparse"), few, sparse=True)
    check(host.get(link + "/sparse", [[["in", 14], ["ex", 22]]]), few[14:22], sparse=True)
    check(host.post(link + "/sparse/sum", {}), few.sum())


@pytest.mark.parametrize("end", ENDS)
def test_a_value_that_was_deleted(spawn, end):
    process, host = start(spawn)
    service = install(host, keeper(fresh(), "sync"))
    host.put(path(service, "value"), None, 5)
    host.delete(path(service, "value"))
    _, host = end_and_start(spawn, process, end)
    same(host.get(path(service, "value")), None)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["block", "backup", "compliant"])
def test_history(spawn, kind, end):
    process, host = start(spawn)
    service = install(host, keeper(fresh(), kind))
    ids = []
    for n in range(3):
        host.post(path(service, "write"), {"sku": "pen", "n": n})
        ids.append(host.get(path(service, "value", "chain", "info"))["last"])
    before = [host.get(path(service, name)) for name in ("table", "btree", "value")]
    infos = [host.get(path(service, name, "chain", "info")) for name in ("table", "btree", "value")]

    process, host = end_and_start(spawn, process, end)
    assert [host.get(path(service, name)) for name in ("table", "btree", "value")] == before
    assert [host.get(path(service, name, "chain", "info")) for name in ("table", "btree", "value")] == infos
    for name in ("table", "btree", "value"):
        same(host.get(path(service, name, "chain", "verify")), True)
    for n, txn in enumerate(ids):
        same(host.get(path(service, "table", "chain", "at"), txn), items(["pen", n]))
        same(host.get(path(service, "value", "chain", "at"), txn), n)
    host.post(path(service, "write"), {"sku": "pen", "n": 9})
    same(host.get(path(service, "value", "chain", "at"), ids[-1]), 2)
    same(host.get(path(service, "value", "chain", "verify")), True)


@pytest.mark.parametrize("flags", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize("end", ENDS)
def test_libraries_classes_and_services(spawn, end, flags):
    process, host = start(spawn, *flags)
    ns = fresh()
    goods, bank = stock(ns, lead=process.url), ledger(ns)
    old, new, models = units(ns), units(ns, "1.1.0", factor=3), catalog(ns)
    front = install(host, old, new, models, goods, bank, till(goods, bank, ns))
    host.put(path(goods, "restock"), "pen", 10)
    host.put(path(bank, "open"), "ann", 100)
    host.put(f"/lib{ns}", "empty", True)

    process, host = end_and_start(spawn, process, end, *flags)
    same(host.get(f"/lib{ns}"), {"units": False, "catalog": False, "empty": True})
    same(host.get(f"/service{ns}"), {"stock": False, "ledger": False, "till": False})
    same(host.get(item(old)), [{"1.0.0": []}, {"1.1.0": []}])
    same(normal(host.get(path(old))), normal(attributes(old)))
    same([host.get(path(version, "double"), 7) for version in (old, new)], [14, 21])
    same(host.get(f"/class{ns}/catalog/1.0.0/Sale", "NAME"), "Sale")
    cxt = tc.Context()
    cxt.sale = models.Sale("pen", 3, 5)
    cxt.r = [cxt.sale.label(), models.dozen(cxt.sale)]
    same(host.hypothetical(cxt), ["pen was 5", 36])
    same(host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60}), 7)
    # what was installed is still known to be the same
    install(host, old, models, bank)
    with pytest.raises(tc.error.BadRequest):
        host.install(units(ns, factor=5))


@pytest.mark.parametrize("end", ENDS)
def test_a_table_larger_than_the_cache(spawn, end):
    process, host = start(spawn, "--cache_size=5K")
    service = install(host, keeper(fresh(), "sync"))
    rows = [[n, f"{n:03}" * 90] for n in range(120)]
    for n, note in rows:
        host.put(path(service, "btree"), None, [n, note])
        host.put(path(service, "table"), [f"sku{n:03}"], [n % 7])

    _, host = end_and_start(spawn, process, end, "--cache_size=5K")
    same(host.get(path(service, "btree")), notes(*rows))
    same(host.get(path(service, "btree"), [77]), notes(rows[77]))
    want = [[f"sku{n:03}", n % 7] for n in range(120)]
    same(host.get(path(service, "table")), items(*want))
    same(host.get(path(service, "table"), [["qty", 3]]), items(*[row for row in want if row[1] == 3]))
    same(host.get(path(service, "table"), ["sku077"]), want[77])
    same(host.get(path(service, "table"), [["sku", [["in", "sku010"], ["ex", "sku013"]]]]), items(*want[10:13]))
    same(host.get(path(service, "table", "count")), 120)


def archive(ns):
    """Pages of text in a BlockChain."""

    class Archive(Service):
        __uri__ = service_uri(None, ns, "archive", "1.0.0")

        def __init__(self):
            schema = tc.table.Schema([tc.Column("n", tc.U64)], [tc.Column("text", tc.String, 60000)])
            self.pages = Block(tc.table.Table(schema))
            Service.__init__(self)

    return Archive()


def test_five_megabytes_of_history(spawn):
    """Blocks roll over; after a restart they verify, and the subject can be rebuilt from them."""

    process, host = start(spawn)
    pages = path(install(host, archive(fresh())), "pages")
    rng = random.Random(5)
    for n in range(105):
        host.put(pages, [n % 70], [rng.randbytes(25000).hex()])
    for n in range(60, 70):
        host.delete(pages, [n])

    process, host = end_and_start(spawn, process, "kill")
    same(host.get(pages.append("chain/verify")), True)
    count = host.get(pages.append("chain/info"))["blocks"]
    assert count > 1
    rebuilt = {}
    for i in range(count):
        _, txns = host.get(pages.append("chain/blocks"), tc.Int(i))
        for txn in sorted(txns, key=lambda txn: [int(part) for part in txn.split("-")]):
            for key, *values in txns[txn]:
                if values:
                    rebuilt[key[0]] = values[0][0]
                else:
                    del rebuilt[key[0]]
    ((_, (_, rows)),) = host.get(pages).items()
    assert len(rows) == 60 and dict(rows) == rebuilt


# --- kills while a client writes --------------------------------------------------------------------------------


class Writer(threading.Thread):
    """Posts `body(n)` for n = 1, 2, … until the host is gone; notes the last number that was acknowledged."""

    def __init__(self, url, body, acknowledged=0):
        super().__init__(daemon=True)
        self.url, self.body, self.acknowledged = url, body, acknowledged
        self.refused = None

    def run(self):
        while True:
            try:
                reply = requests.post(self.url, json=self.body(self.acknowledged + 1), timeout=DEADLINE)
            except requests.RequestException:
                return
            if reply.status_code != 200:
                self.refused = reply.text
                return
            self.acknowledged += 1


def write_and_kill(spawn, process, link, body, check, rounds=4, writes=40):
    """Kill the host several times while it writes. `check` says how many writes it finds after each restart."""

    rng = random.Random(7)
    done = 0
    for _ in range(rounds):
        writer = Writer(process.url + str(link), body, done)
        writer.start()
        goal = done + rng.randrange(1, writes)
        poll(lambda: writer.acknowledged >= goal or not writer.is_alive(), "the writer makes no progress")
        process.kill()
        writer.join(DEADLINE)
        assert writer.refused is None and not writer.is_alive(), writer.refused
        process, host = start(spawn, port=process.port)
        done = check(host)
        assert done in (writer.acknowledged, writer.acknowledged + 1), f"{done} writes, not {writer.acknowledged}"


@pytest.mark.parametrize("kind", CHAINS)
def test_a_kill_loses_nothing_that_was_acknowledged(spawn, kind):
    """Three chains of one service hold the same writes: those that were acknowledged, and at most the one in flight."""

    process, host = start(spawn)
    service = install(host, keeper(fresh(), kind))

    def check(host):
        n = host.get(path(service, "value"))
        rows = [[f"{i:05}", i] for i in range(1, n + 1)]
        holds(host, service, rows, [[i, sku] for sku, i in rows], n)
        if kind != "sync":
            same(host.get(path(service, "table", "chain", "verify")), True)
        return n

    write_and_kill(spawn, process, path(service, "write"), lambda n: {"sku": f"{n:05}", "n": n}, check)


@pytest.mark.parametrize("kind", CHAINS)
def test_a_kill_leaves_two_tensors_alike(spawn, kind):
    """Each write fills a row of the dense tensor, and writes the first element of that of the sparse one."""

    process, host = start(spawn)
    link = raw(host, grids(kind))

    def check_both(host):
        dense = read(host.get(link + "/dense"))
        n = int(dense.max())
        rows = {n % 2: n, (n + 1) % 2: max(n - 1, 0)}
        grid_holds(host, link, [[rows[row]] * 3 for row in (0, 1)], [[rows[row], 0, 0] for row in (0, 1)])
        if kind != "sync":
            same(host.get(link + "/dense/chain/verify"), True)
        return n

    write_and_kill(spawn, process, link + "/write", lambda n: {"row": n % 2, "n": n}, check_both)


def test_a_kill_leaves_no_half_of_a_purchase(spawn):
    """One purchase writes to four chains of three services."""

    process, host = start(spawn)
    ns = fresh()
    goods, bank = stock(ns), ledger(ns)
    front = install(host, goods, bank, till(goods, bank, ns))
    host.put(path(goods, "restock"), "pen", 1000)
    host.put(path(bank, "open"), "ann", 5000)

    def check(host):
        n = host.get(path(front, "sales"))
        same(host.get(path(goods, "sold")), n)
        same(host.get(path(goods, "items"), ["pen"]), ["pen", 1000 - n])
        same(host.get(path(bank, "balance"), "ann"), 5000 - 5 * n)
        return n

    purchase = {"user": "ann", "sku": "pen", "qty": 1, "cents": 5}
    write_and_kill(spawn, process, path(front, "buy"), lambda n: purchase, check)


def test_a_byte_that_is_flipped_in_a_block(spawn):
    """What somebody changes in the file of a middle block is found when the chain is verified."""

    process, host = start(spawn, "--memtable_size=256K")
    pages = path(install(host, archive(fresh())), "pages")
    rng = random.Random(6)
    texts = [rng.randbytes(25000).hex() for _ in range(90)]
    for n, text in enumerate(texts):
        host.put(pages, [n], [text])
    same(host.get(pages.append("chain/verify")), True)
    process.stop()

    files = Files(process.data_dir)
    catalog = files.rows(0, by_arrow, "path")
    tree = json.loads(catalog[f"{pages}~records"]["definition"])["rows"]
    segments = [file for file, _ in files.segments(tree)]
    assert segments
    middle = segments[len(segments) // 2]
    content = bytearray(middle.read_bytes())
    content[len(content) // 2] ^= 1
    middle.write_bytes(content)

    process, host = start(spawn, "--memtable_size=256K", port=process.port)
    reply = requests.get(f"{process.url}{pages}/chain/verify", timeout=DEADLINE)
    assert reply.status_code == 500 and "internal_error" in reply.json(), reply.text
    same(requests.get(f"{process.url}{pages}/count", timeout=DEADLINE).json(), 90)
