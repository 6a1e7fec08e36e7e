"""What a chain recorded as it was after a transaction, by path and by SQL, and the commands for a host that is stopped."""

import io
import json
import random
import subprocess

import pyarrow.ipc
import pytest
import requests
import tinychain as tc

from sample_chains import CHAINS, keeper
from sample_services import attributes, fresh, install, items, notes, path
from sample_sql import ARROW, SERVICE, Sql
from sample_tokens import EXECUTE, WRITE, Actor
from support import DEADLINE, binary, error_of, program, same
from test_auth import ok, send, txn_id
from test_duckdb import Files, by_arrow
from test_persistence import archive

WITH_HISTORY = [kind for kind in CHAINS if kind != "sync"]
WRITES = [("pen", 3), ("ink", 1), ("pen", 5), ("cap", 7)]
TABLES = [[["pen", 3]], [["ink", 1], ["pen", 3]], [["ink", 1], ["pen", 5]], [["cap", 7], ["ink", 1], ["pen", 5]]]


class Keeper:
    """A service with one kind of chain, whose values have changed over several transactions."""

    def __init__(self, host, url, kind):
        self.host, self.url = host, url
        self.service = install(host, keeper(fresh(), kind))
        self.schema = str(self.path()).removeprefix("/service/")
        self.txns = []

    def path(self, *names):
        return path(self.service, *names)

    def name(self, table):
        return f'"{self.schema}"."{table}"'

    def write(self):
        for sku, n in WRITES:
            self.host.post(self.path("write"), {"sku": sku, "n": n})
            self.txns.append(self.host.get(self.path("value", "chain", "info"))["last"])
        self.host.delete(self.path("table"))
        return self

    def request(self, *names, key=None, as_of=None, method="GET", **kwargs):
        params = {} if key is None else {"key": json.dumps(key)}
        params |= {} if as_of is None else {"as_of": as_of}
        return requests.request(method, self.url + str(self.path(*names)), params=params, timeout=DEADLINE, **kwargs)

    def was(self, txn, *names, key=None):
        return ok(self.request(*names, key=key, as_of=txn))


@pytest.fixture
def kept(host, url):
    return Keeper(host, url, "block").write()


@pytest.fixture
def db(url):
    return Sql(url)


# --- by path ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WITH_HISTORY)
def test_what_was(host, url, kind):
    kept = Keeper(host, url, kind).write()
    for at, (txn, rows) in enumerate(zip(kept.txns, TABLES, strict=True)):
        same(kept.was(txn, "table"), items(*rows))
        same(kept.was(txn, "btree"), notes(*sorted([n, sku] for sku, n in WRITES[: at + 1])))
        same(kept.was(txn, "value"), WRITES[at][1])
    same(host.get(kept.path("table")), items())


def test_parts_of_what_was(kept):
    for txn, rows in zip(kept.txns, TABLES, strict=True):
        for sku in ("pen", "ink", "nib"):
            same(kept.was(txn, "table", key=[sku]), next((row for row in rows if row[0] == sku), None))
        same(kept.was(txn, "table", "count"), len(rows))
        same(kept.was(txn, "table", key=[["qty", [["in", 3], None]]]), items(*sorted(
            (row for row in rows if row[1] >= 3), key=lambda row: row[1]
        )))
        same(kept.was(txn, "table", "limit", key=1), items(rows[0]))


def test_what_was_as_a_path_of_a_program(kept):
    table, txn = kept.path("table"), kept.txns[1]
    steps = [
        ["was", {f"{table}/chain/at": [txn]}],
        ["n", {f"{table}/chain/at/{txn}/count": [None]}],
        ["_return", [{"$was/count": [None]}, {"$n": []}, {f"{table}/count": [None]}]],
    ]
    same(ok(program(kept.url, steps)), [2, 2, 0])
    same(ok(kept.request("table", "chain", "at", txn, key=["ink"])), ["ink", 1])


def test_what_was_as_arrow(kept):
    response = kept.request("table", as_of=kept.txns[2], headers={"accept": ARROW})
    assert response.status_code == 200, response.text
    with pyarrow.ipc.open_stream(io.BytesIO(response.content)) as stream:
        same([list(row.values()) for row in stream.read_all().to_pylist()], TABLES[2])


def test_what_was_is_not_written(kept):
    error_of(kept.request("table", key=["nib"], as_of=kept.txns[0], method="PUT", data="[1]"), 400, "bad_request")
    at = ("table", "chain", "at", kept.txns[0])
    for method in ("PUT", "POST", "DELETE"):
        error_of(kept.request(*at, method=method, data="{}"), 405, "method_not_allowed")
    same(kept.was(kept.txns[0], "table"), items(*TABLES[0]))


def test_a_transaction_that_is_not_known(kept):
    assert "no record of a transaction 1-1" in error_of(kept.request("table", as_of="1-1"), 400, "bad_request")
    for txn in ("", "x", "1", '"1-1"'):
        assert "not a transaction id" in error_of(kept.request("table", as_of=txn), 400, "bad_request")


def test_what_has_no_history(host, url, kept, db):
    sync = Keeper(host, url, "sync")
    assert "keeps no history" in error_of(sync.request("table", as_of="1-1"), 404, "not_found")
    # a method, a version, and the chain itself
    assert "not recorded by a chain" in error_of(kept.request("next", as_of=kept.txns[0]), 400, "bad_request")
    for names in ((), ("table", "chain", "info"), ("table", "chain", "at", kept.txns[0])):
        assert "as_of shows" in error_of(kept.request(*names, as_of=kept.txns[0]), 400, "bad_request")
    for link in ("/state/scalar/value/string", "/lib", "/healthz"):
        error_of(requests.get(url + link, params={"as_of": "1-1"}, timeout=DEADLINE), 400, "bad_request")
    db.run("CREATE TABLE plain (id INT PRIMARY KEY)")
    try:
        response = requests.get(f"{url}{SERVICE}/plain", params={"as_of": "1-1"}, timeout=DEADLINE)
        assert "not recorded by a chain" in error_of(response, 400, "bad_request")
        query = "SELECT * FROM plain FOR SYSTEM_TIME AS OF '1-1'"
        assert "not recorded by a chain" in db.refused(400, "bad_request", query)
    finally:
        db.run("DROP TABLE plain")


# --- by SQL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WITH_HISTORY)
def test_tables_as_they_were(host, url, db, kind):
    kept = Keeper(host, url, kind).write()
    for txn, rows, (_, n) in zip(kept.txns, TABLES, WRITES, strict=True):
        same(db.rows(f"SELECT * FROM {kept.name('table')} FOR SYSTEM_TIME AS OF '{txn}' ORDER BY sku"), rows)
        same(db.rows(f"SELECT * FROM {kept.name('value')} FOR SYSTEM_TIME AS OF '{txn}'"), [[0, str(n)]])
    assert db.rows(f"SELECT * FROM {kept.name('table')}") == []


def test_tables_as_they_were_in_one_query(kept, db):
    table = kept.name("table")
    query = (
        f"SELECT b.sku, a.qty, b.qty FROM {table} FOR SYSTEM_TIME AS OF $1 AS a "
        f"RIGHT JOIN {table} for system_time as of $2 b ON a.sku = b.sku WHERE b.qty > $3 ORDER BY b.sku"
    )
    for _ in range(2):
        same(db.rows(query, kept.txns[1], kept.txns[3], 1), [["cap", None, 7], ["pen", 3, 5]])
    same(db.rows(query, kept.txns[0], kept.txns[1], 0), [["ink", None, 1], ["pen", 3, 3]])
    changed = (
        f"SELECT sku FROM {table} FOR SYSTEM_TIME AS OF '{kept.txns[2]}' "
        f"EXCEPT SELECT sku FROM {table} FOR SYSTEM_TIME AS OF '{kept.txns[0]}'"
    )
    same(db.rows(changed), [["ink"]])
    # without another name, its own is that of its columns
    named = f"SELECT \"table\".qty FROM {table} FOR SYSTEM_TIME AS OF '{kept.txns[2]}' WHERE \"table\".sku = 'pen'"
    same(db.rows(named), [[5]])
    same(db.rows(f"SELECT count(*) FROM {table} FOR SYSTEM_TIME AS OF '{kept.txns[3]}' WHERE qty = 7"), [[1]])


def test_what_was_is_brought_back(kept, db):
    table, txn = kept.name("table"), kept.txns[3]
    assert db.run(f"INSERT INTO {table} SELECT * FROM {table} FOR SYSTEM_TIME AS OF '{txn}'") == 3
    same(kept.host.get(kept.path("table")), items(*TABLES[3]))
    same(kept.host.get(kept.path("table", "chain", "verify")), True)


def test_what_sql_refuses_of_the_past(kept, db):
    table, past = kept.name("table"), f"FOR SYSTEM_TIME AS OF '{kept.txns[0]}'"
    for text in (
        f"UPDATE {table} {past} SET qty = 0",
        f"DELETE FROM {table} {past}",
        f"INSERT INTO {table} {past} VALUES ('nib', 1)",
        f"SELECT * FROM {table} FOR SYSTEM_TIME AS OF now()",
        f"SELECT * FROM {table} FOR SYSTEM_TIME AS OF",
        f"SELECT * FROM {table} FOR SYSTEM_TIME AS OF $1",
        f"SELECT * FROM {table} FOR SYSTEM_TIME AS OF '1-1'",
        f"SELECT * FROM {table} FOR SYSTEM_TIME AS OF 'yesterday'",
        f"SELECT * FROM {kept.name('table~records')} {past}",
    ):
        db.refused(400, "bad_request", text)
    db.refused(404, "not_found", f"SELECT * FROM {kept.name('nothing')} {past}")
    same(kept.was(kept.txns[0], "table"), items(*TABLES[0]))


# --- commits under one id ---------------------------------------------------------------------------------------


def test_two_commits_under_one_id(spawn):
    """Each is shown, and what was after the transaction is what was after the last of them."""

    owner = "/user/admin"
    host = spawn("--bind=127.0.0.1", "--request_ttl=30", f"--owner={owner}")
    actor = Actor.of_host(host)
    everything, txn = actor.token(owner, ["/service", 0o700]), txn_id()
    in_txn = actor.token(owner, ["/service", WRITE], [f"/txn/{txn}", EXECUTE])
    definition = keeper("/shop", "block")
    link = "/service/shop/keeper"
    for parent, key, body in (
        ("/service", "shop", True),
        ("/service/shop", "keeper", False),
        (link, "1.0.0", {link: attributes(definition)}),
    ):
        assert ok(send(host.url, "PUT", parent, everything, body, key=key)) is None
    table = f"{link}/1.0.0/table"
    for token, qty, query in ((in_txn, 1, {"txn_id": txn}), (everything, 2, {}), (in_txn, 3, {"txn_id": txn})):
        assert ok(send(host.url, "PUT", table, token, [qty], key=["pen"], **query)) is None

    def get(*names, **params):
        return ok(requests.get("/".join([host.url + table, *names]), params=params, timeout=DEADLINE))

    info = get("chain", "info")
    assert info["first"] == info["last"] == txn
    _, commits = get("chain", "blocks", key=0)
    (again,) = [name for name in commits if name.startswith(txn + ".")]
    (other,) = set(commits) - {txn, again}
    same(commits, {txn: [[["pen"], [1]]], other: [[["pen"], [2]]], again: [[["pen"], [3]]]})
    same(get(as_of=txn), items(["pen", 3]))
    same(get(as_of=other), items(["pen", 2]))
    same(get("chain", "verify"), True)


# --- commands for a host that is stopped ------------------------------------------------------------------------


def command(process, name, *args):
    """The exit status of a command, the cells of the lines that it wrote, and what it said is wrong."""

    line = [binary(), name, f"--data_dir={process.data_dir}", *map(str, args)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=2 * DEADLINE)
    return done.returncode, [text.split("\t") for text in done.stdout.splitlines()], done.stderr


def test_verify(spawn):
    process = spawn()
    kept = {kind: Keeper(process.client(), process.url, kind).write() for kind in CHAINS}
    code, lines, error = command(process, "verify")
    assert (code, lines) == (1, []) and "another tinychain host" in error
    process.stop()

    # the table was cleared, too
    records = {"table": len(WRITES) + 3, "btree": len(WRITES), "value": len(WRITES)}

    def expected(kind, name):
        counts = ["0", "0"] if kind == "sync" else ["1", str(records[name])]
        return [str(kept[kind].path(name)), kind, *counts, "ok"]

    code, lines, _ = command(process, "verify")
    assert code == 0
    assert sorted(lines) == sorted(expected(kind, name) for kind in CHAINS for name in records)
    block = kept["block"]
    code, lines, _ = command(process, "verify", block.path())
    assert (code, lines) == (0, [expected("block", name) for name in sorted(records)])
    assert command(process, "verify", block.path("btree"))[:2] == (0, [expected("block", "btree")])
    for wrong in (block.path("nothing"), block.path("table", "chain"), block.path("write"), "/service/none", "/lib"):
        code, lines, error = command(process, "verify", wrong)
        assert (code, lines) == (1, []) and str(wrong) in error

    code, lines, _ = command(process, "rebuild", block.path("table"))
    assert (code, lines) == (0, [[str(block.path("table")), "ok"]])
    for wrong in (block.path(), kept["sync"].path("table"), "/service"):
        code, lines, error = command(process, "rebuild", "--write", wrong)
        assert (code, lines) == (1, []) and "tinychain: " in error

    process = spawn(port=process.port)
    same(process.client().get(block.path("btree", "count")), len(WRITES))


def test_a_directory_that_is_none(tmp_path, request):
    if request.config.getoption("--offline"):
        pytest.skip("no host")
    done = subprocess.run([binary(), "verify", f"--data_dir={tmp_path / 'none'}"], capture_output=True, text=True)
    assert done.returncode == 1 and "no host has used it" in done.stderr
    assert not (tmp_path / "none").exists()
    assert subprocess.run([binary(), "rebuild"], capture_output=True).returncode == 2


def flip(process, table):
    """Change a byte in the middle of a file that has rows of a table."""

    files = Files(process.data_dir)
    tree = json.loads(files.rows(0, by_arrow, "path")[str(table)]["definition"])["rows"]
    segments = [file for file, _ in files.segments(tree)]
    assert segments
    middle = segments[len(segments) // 2]
    content = bytearray(middle.read_bytes())
    content[len(content) // 2] ^= 1
    middle.write_bytes(content)


@pytest.fixture
def damaged(spawn):
    """A host with a history of several blocks, after it was stopped."""

    process = spawn("--memtable_size=256K")
    host = process.client()
    pages = path(install(host, archive(fresh())), "pages")
    rng = random.Random(8)
    texts = [rng.randbytes(25000).hex() for _ in range(60)]
    for n, text in enumerate(texts):
        host.put(pages, [n], [text])
    process.stop()
    return process, pages, texts


def test_a_history_that_is_damaged(damaged):
    process, pages, _ = damaged
    flip(process, f"{pages}~records")
    code, ((name, kind, *_, verdict),), _ = command(process, "verify")
    assert code == 1 and (name, kind) == (str(pages), "block") and verdict != "ok"
    # Nothing is made of it.
    code, lines, error = command(process, "rebuild", "--write", pages)
    assert (code, lines) == (1, []) and "tinychain: " in error


def test_a_subject_that_is_damaged(damaged, spawn):
    """It is made again from the blocks, and nothing else changes."""

    process, pages, texts = damaged
    flip(process, pages)
    assert command(process, "verify", pages)[0] == 1
    code, lines, _ = command(process, "rebuild", pages)
    assert code == 1 and [str(pages), "unreadable"] in [line[:2] for line in lines]
    code, lines, _ = command(process, "rebuild", "--write", pages)
    assert code == 0 and lines[-1] == [str(pages), "repaired", str(len(texts))]
    code, ((_, _, _, records, verdict),), _ = command(process, "verify", pages)
    assert (code, records, verdict) == (0, str(len(texts)), "ok")

    process = spawn("--memtable_size=256K", port=process.port)
    host = process.client()
    same(dict(host.get(pages)["/state/collection/table"][1]), dict(enumerate(texts)))
    same(host.get(pages.append("chain/records/count")), len(texts))
    host.put(pages, [len(texts)], ["more"])
    same(host.get(pages.append("chain/verify")), True)
