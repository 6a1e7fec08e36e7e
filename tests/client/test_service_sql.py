"""The tables of services by SQL, rows as streams of Arrow batches, and what a hypothetical program would change."""

import io
import json
import threading

import pyarrow.ipc
import pytest
import requests
import tinychain as tc
from tinychain.chain import Block
from tinychain.scalar.ref import Delete, Get, Put

from sample_chains import CHAINS, keeper
from sample_services import fresh, install, installing, item, items, path, stock, units
from sample_sql import ARROW, TIMEOUT, Sql, start
from support import HYPOTHETICAL, error_of, same

WITH_HISTORY = [kind for kind in CHAINS if kind != "sync"]


@pytest.fixture(scope="module")
def sql_host(request, tmp_path_factory):
    yield from start(request, tmp_path_factory, "service_sql")


@pytest.fixture
def host(sql_host):
    return sql_host.client()


@pytest.fixture
def db(sql_host):
    db = Sql(sql_host.url)
    yield db
    db.drop_all()


class Keeper:
    """A service with one kind of chain, its paths, and the names that SQL has for its tables."""

    def __init__(self, host, kind):
        self.host = host
        self.service = install(host, keeper(fresh(), kind))
        self.schema = str(path(self.service)).removeprefix("/service/")
        self.table, self.btree, self.value = [self.name(name) for name in ("table", "btree", "value")]
        self.records = self.name("table~records")

    def name(self, table):
        return f'"{self.schema}"."{table}"'

    def path(self, *names):
        return path(self.service, *names)

    def write(self, sku, n):
        self.host.post(self.path("write"), {"sku": sku, "n": n})

    def info(self, name="table"):
        return self.host.get(self.path(name, "chain", "info"))

    def recorded(self, name="table"):
        """How many records a chain has, after it was verified."""

        same(self.host.get(self.path(name, "chain", "verify")), True)
        return self.host.get(self.path(name, "chain", "records", "count"))


@pytest.fixture(params=CHAINS)
def kept(request, host):
    return Keeper(host, request.param)


@pytest.fixture(params=WITH_HISTORY)
def recorded(request, host):
    return Keeper(host, request.param)


@pytest.fixture
def block(host):
    return Keeper(host, "block")


# --- queries ----------------------------------------------------------------------------------------------------


def test_the_tables_of_a_service(kept, db):
    kept.write("pen", 3)
    kept.write("ink", 1)
    columns, rows = db.query(f"SELECT * FROM {kept.table} ORDER BY sku")
    assert columns == [{"name": "sku", "type": "VARCHAR"}, {"name": "qty", "type": "BIGINT UNSIGNED"}]
    same(rows, [["ink", 1], ["pen", 3]])
    same(db.rows(f"SELECT note FROM {kept.btree} WHERE n > 1"), [["pen"]])
    same(db.rows(f"SELECT * FROM {kept.value}"), [[0, "1"]])
    same(db.rows(f"SELECT qty FROM {kept.table} WHERE sku = $1", "pen"), [[3]])


def test_tables_of_services_and_of_sql_in_one_query(host, block, db):
    other = Keeper(host, "sync")
    block.write("pen", 3)
    other.write("pen", 10)
    db.run("CREATE TABLE price (sku VARCHAR(20) PRIMARY KEY, cents INT)")
    db.run("INSERT INTO price VALUES ('pen', 120)")
    query = f"SELECT p.cents, a.qty + b.qty FROM price AS p JOIN {block.table} AS a USING (sku) JOIN {other.table} AS b USING (sku)"
    for _ in range(2):
        same(db.rows(query), [[120, 13]])
    other.write("pen", 20)
    same(db.rows(query), [[120, 23]])
    qualified = f"SELECT {block.table}.sku, max({block.table}.qty) FROM {block.table} GROUP BY {block.table}.sku"
    same(db.rows(qualified), [["pen", 3]])


def test_a_table_is_made_of_one_of_a_service(block, db):
    block.write("pen", 3)
    db.run(f"CREATE TABLE copy (PRIMARY KEY (sku)) AS SELECT sku, qty FROM {block.table}")
    same(db.rows("SELECT * FROM copy"), [["pen", 3]])


def test_what_was_changed_in_which_transaction(block, db):
    ids = []
    for sku, n in [("pen", 3), ("ink", 1), ("pen", 5)]:
        block.write(sku, n)
        ids.append(block.info()["last"])
    block.host.delete(block.path("table"), ["ink"])
    ids.append(block.info()["last"])
    query = (
        f"SELECT r._txn, r._put, r.sku, r.qty, t.qty AS now FROM {block.records} AS r LEFT JOIN {block.table} AS t ON t.sku = r.sku "
        "ORDER BY r._commit, r._position"
    )
    same(
        db.rows(query),
        [[ids[0], True, "pen", 3, 5], [ids[1], True, "ink", 1, None], [ids[2], True, "pen", 5, 5], [ids[3], False, "ink", None, None]],
    )


def test_names_that_are_not_there(block, db):
    for name in ('"no/such/1.0.0"."items"', block.name("nothing"), block.name("table~blocks"), block.name("table/x")):
        db.refused(404, "not_found", f"SELECT * FROM {name}")
        db.refused(404, "not_found", f"DELETE FROM {name}")
    for name in ('"host"."entries"', '"/host"."entries"', '"sql/public/0.0.0"."t"', f'"/service/{block.schema}"."table"'):
        db.refused(400, "bad_request", f"SELECT * FROM {name}")
    db.refused(404, "not_found", "SELECT * FROM items")


def test_a_version_that_is_removed(host, block, db):
    query = f"SELECT * FROM {block.table}"
    assert db.rows(query) == []
    host.delete(item(block.service), "1.0.0")
    db.refused(404, "not_found", query)
    assert schemas(db).count(block.schema) == 0


# --- what there is ----------------------------------------------------------------------------------------------


def schemas(db):
    return [name for (name,) in db.rows("SELECT schema_name FROM information_schema.schemata")]


def test_the_information_schema(block, db):
    assert schemas(db).count(block.schema) == schemas(db).count("public") == 1
    tables = db.rows(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{block.schema}' ORDER BY table_name")
    assert tables == [["btree"], ["btree~records"], ["table"], ["table~records"], ["value"], ["value~records"]]
    others = "table_schema LIKE '%host%' OR table_name LIKE '%~blocks' OR table_name IN ('entries', 'definitions')"
    assert db.value(f"SELECT count(*) FROM information_schema.tables WHERE {others}") == 0
    columns = (
        f"SELECT column_name, is_nullable FROM information_schema.columns WHERE table_schema = '{block.schema}' "
        "AND table_name = '{}' ORDER BY ordinal_position"
    )
    assert db.rows(columns.format("table")) == [["sku", "NO"], ["qty", "NO"]]
    own = [["_commit", "NO"], ["_position", "NO"], ["_txn", "NO"], ["_put", "NO"]]
    assert db.rows(columns.format("table~records")) == own + [["sku", "YES"], ["qty", "YES"]]
    indexes = f"SELECT table_name, index_name, column_name FROM information_schema.statistics WHERE table_schema = '{block.schema}'"
    assert db.rows(indexes) == [["table", "by_qty", "qty"]]


def test_a_sync_chain_has_no_records(host, db):
    kept = Keeper(host, "sync")
    db.refused(404, "not_found", f"SELECT * FROM {kept.records}")
    query = f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{kept.schema}'"
    assert db.value(query) == 3


# --- writes -----------------------------------------------------------------------------------------------------


WRITES = [
    ("INSERT INTO {t} VALUES ('nib', 7), ('cap', 2)", 2, [["cap", 2], ["ink", 1], ["nib", 7], ["pen", 3]]),
    ("INSERT INTO {t} SELECT 'more ' || sku, qty + 1 FROM {t}", 2, [["ink", 1], ["more ink", 2], ["more pen", 4], ["pen", 3]]),
    ("INSERT INTO {t} VALUES ('pen', 8), ('cap', 2) ON CONFLICT DO NOTHING", 1, [["cap", 2], ["ink", 1], ["pen", 3]]),
    (
        "INSERT INTO {t} VALUES ('pen', 8) ON CONFLICT (sku) DO UPDATE SET qty = {t}.qty + excluded.qty",
        1,
        [["ink", 1], ["pen", 11]],
    ),
    ("UPDATE {t} SET qty = qty + 1 WHERE sku = 'pen'", 1, [["ink", 1], ["pen", 4]]),
    ("UPDATE {t} SET qty = 0", 2, [["ink", 0], ["pen", 0]]),
    ("DELETE FROM {t} WHERE sku = 'pen'", 1, [["ink", 1]]),
    ("DELETE FROM {t} WHERE qty > 0", 2, []),
    (
        "MERGE INTO {t} AS t USING (VALUES ('pen'), ('cap')) AS s(sku) ON t.sku = s.sku WHEN MATCHED THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT (sku, qty) VALUES (s.sku, 9)",
        2,
        [["cap", 9], ["ink", 1]],
    ),
    ("TRUNCATE TABLE {t}", 2, []),
]


@pytest.mark.parametrize("text,changes,rows", WRITES, ids=[text for text, _, _ in WRITES])
def test_what_is_written_is_recorded(block, db, text, changes, rows):
    block.write("pen", 3)
    block.write("ink", 1)
    before = block.info()
    db.run(text.format(t=block.table))
    same(block.host.get(block.path("table")), items(*rows))
    assert block.recorded() == 2 + changes
    after = block.info()
    assert after["last"] != before["last"] and after["hash"] != before["hash"]
    same(block.host.get(block.path("table", "chain", "at"), before["last"]), items(["ink", 1], ["pen", 3]))
    same(block.host.get(block.path("table", "chain", "at"), after["last"]), items(*rows))


def test_chains_of_every_kind(recorded, db):
    insert, delete = f"INSERT INTO {recorded.table} VALUES ($1, $2)", f"DELETE FROM {recorded.table} WHERE sku = $1"
    for sku in ("pen", "ink"):
        assert db.run(insert, sku, 1) == 1
    assert db.run(delete, "pen") == 1
    assert db.run(f"INSERT INTO {recorded.btree} VALUES (5, 'nut')") == 1
    assert (recorded.recorded(), recorded.recorded("btree")) == (3, 1)
    same(recorded.host.get(recorded.path("table")), items(["ink", 1]))


def test_a_statement_that_is_kept_is_recorded_each_time(block, db):
    upsert = f"INSERT INTO {block.table} VALUES ($1, $2) ON CONFLICT (sku) DO UPDATE SET qty = excluded.qty"
    update, insert = f"UPDATE {block.table} SET qty = $2 WHERE sku = $1", f"INSERT INTO {block.table} SELECT $1 || 's', 1"
    for n in range(4):
        for statement, qty in ((upsert, n), (update, n + 100)):
            assert db.run(statement, "pen", qty) == 1
            assert block.info()["last"] == db.value(f"SELECT _txn FROM {block.records} ORDER BY _commit DESC LIMIT 1")
        assert db.run(insert, f"pen {n}") == 1
    assert block.recorded() == 12


def test_a_script_is_one_transaction_of_several_chains(block, db):
    db.run(
        f"BEGIN; INSERT INTO {block.table} VALUES ('pen', 1); UPDATE {block.table} SET qty = 2; "
        f"INSERT INTO {block.btree} VALUES (1, 'a'), (2, 'b'); COMMIT"
    )
    assert (block.recorded(), block.recorded("btree"), block.recorded("value")) == (1, 2, 0)
    assert block.info()["last"] == block.info("btree")["last"]
    same(db.rows(f"SELECT sku, qty FROM {block.records}"), [["pen", 2]])


def test_what_is_not_committed_is_not_recorded(block, db):
    block.write("pen", 3)
    before = block.info()
    db.run(f"BEGIN; DELETE FROM {block.table}; ROLLBACK")
    db.refused(400, "bad_request", f"BEGIN; DELETE FROM {block.table}; SELECT 1 / 0; COMMIT")
    reply = db.reply(f"DELETE FROM {block.table}", hypothetical=True)
    assert reply == {"result": {"rows_affected": 1}, "diff": [entry(block.path("table"), deleted=[["pen", 3]])]}
    assert (block.info(), block.recorded()) == (before, 1)
    same(db.rows(f"SELECT * FROM {block.table}"), [["pen", 3]])
    assert block.info() == before


def test_writes_by_sql_and_by_clients_at_the_same_time(block, db):
    def by_sql():
        other = Sql(db.url)
        for n in range(0, 30, 2):
            other.run(f"INSERT INTO {block.table} VALUES ($1, $2)", f"item {n}", n)

    def by_client():
        for n in range(1, 30, 2):
            block.host.put(block.path("table"), [f"item {n}"], [n])

    threads = [threading.Thread(target=work) for work in (by_sql, by_client)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert block.recorded() == 30
    same(db.rows(f"SELECT count(*), sum(qty) FROM {block.table}"), [[30, sum(range(30))]])


def test_rows_that_do_not_fit(block, db):
    for values in ("'pen', -1", "'pen', NULL", "'" + "x" * 21 + "', 1", "NULL, 1"):
        db.refused(400, "bad_request", f"INSERT INTO {block.table} VALUES ({values})")
    assert (db.rows(f"SELECT * FROM {block.table}"), block.recorded()) == ([], 0)


READ_ONLY = [
    "INSERT INTO {r} VALUES (9, 0, '1-1', true, 'x', 1)",
    "UPDATE {r} SET qty = 0",
    "UPDATE {r} SET qty = 0 WHERE _commit = 1 AND _position = 0",
    "DELETE FROM {r}",
    "MERGE INTO {r} AS r USING (VALUES ('pen')) AS s(sku) ON r.sku = s.sku WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE {r}",
    "INSERT INTO {v} VALUES (1, '5')",
    "UPDATE {v} SET value = '\"text\"' WHERE id = 0",
    "DELETE FROM {v}",
    "TRUNCATE TABLE {v}",
]


@pytest.mark.parametrize("text", READ_ONLY)
def test_records_and_values_are_read_only(block, db, text):
    block.write("pen", 3)
    script = text.format(r=block.records, v=block.value)
    for _ in range(2):
        db.refused(405, "method_not_allowed", script)
        db.refused(405, "method_not_allowed", f"DELETE FROM {block.table}; {script}")
    assert (block.recorded(), block.recorded("value")) == (1, 1)
    same(db.rows(f"SELECT count(*) FROM {block.table}"), [[1]])


DDL = [
    "CREATE TABLE {other} (id INT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS {t} (id INT PRIMARY KEY)",
    "CREATE TABLE {other} (PRIMARY KEY (sku)) AS SELECT * FROM {t}",
    "ALTER TABLE {t} ADD COLUMN more INT",
    "CREATE INDEX by_more ON {t} (qty)",
    "DROP TABLE {t}",
    "DROP TABLE IF EXISTS {r}",
]


@pytest.mark.parametrize("text", DDL)
def test_what_belongs_to_a_service_is_not_changed(block, db, text):
    script = text.format(t=block.table, r=block.records, other=block.name("other"))
    assert "belongs to a service" in db.refused(400, "bad_request", script)
    assert db.rows(f"SELECT * FROM {block.table}") == []


# --- Arrow ------------------------------------------------------------------------------------------------------


def arrow(url, path, key=None, **kwargs):
    """The response to a request for rows as Arrow batches."""

    kwargs.setdefault("method", "GET")
    params = {} if key is None else {"key": json.dumps(key)}
    return requests.request(url=url + str(path), params=params, headers={"accept": ARROW}, timeout=TIMEOUT, **kwargs)


def read(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    with pyarrow.ipc.open_stream(io.BytesIO(response.content)) as stream:
        return stream.read_all()


def rows(table):
    return [list(row.values()) for row in table.to_pylist()]


def json_rows(host, path, key=None):
    """The rows that the same request has in JSON."""

    ((_, (_, rows)),) = host.get(path, key).items()
    return rows


def test_a_table_as_arrow(kept, db):
    for n in range(5):
        kept.write(f"item {n}", n * n)
    table = read(arrow(db.url, kept.path("table")))
    assert table.column_names == ["sku", "qty"]
    assert table.schema.field("qty").type == pyarrow.uint64()
    assert table.schema.field("sku").metadata == {b"tinychain:class": b"/state/scalar/value/string"}
    assert table.schema.metadata == {b"tinychain:table": str(kept.path("table")).encode()}
    same(rows(table), json_rows(kept.host, kept.path("table")))
    same(rows(table), db.rows(f"SELECT * FROM {kept.table} ORDER BY sku"))
    same(rows(read(arrow(db.url, kept.path("btree")))), json_rows(kept.host, kept.path("btree")))


VIEWS = [
    (("table",), [["qty", [["in", 2], ["ex", 10]]]]),
    (("table",), [["qty", 4]]),
    (("table", "limit"), 2),
    (("table", "order"), [["qty"], True]),
    (("table", "select"), ["qty"]),
    (("btree",), [4]),
    (("btree", "reverse"), None),
    (("table",), [["qty", 1000]]),
]


@pytest.mark.parametrize("names,key", VIEWS, ids=str)
def test_views_as_arrow(block, db, names, key):
    for n in range(5):
        block.write(f"item {n}", n * n)
    same(rows(read(arrow(db.url, block.path(*names), key))), json_rows(block.host, block.path(*names), key))


def test_no_rows_as_arrow(block, db):
    for name in ("table", "btree"):
        table = read(arrow(db.url, block.path(name)))
        assert (table.num_rows, len(table.column_names)) == (0, 2)


def test_the_records_of_blocks_as_arrow(block, db):
    for n in range(3):
        block.write("pen", n)
    records = block.path("table", "chain", "records")
    expected = db.rows(f"SELECT * FROM {block.records} ORDER BY _commit, _position")
    assert len(expected) == 3
    for key in (None, 0, [0, 0]):
        table = read(arrow(db.url, records, key))
        assert table.column_names == ["_commit", "_position", "_txn", "_put", "sku", "qty"]
        same(rows(table), expected)
        same(rows(read(arrow(db.url, block.path("table", "chain", "blocks"), key))), expected)
    # the same transactions as in the block itself
    _, transactions = block.host.get(block.path("table", "chain", "blocks"), tc.Int(0))
    assert {row[2] for row in expected} == set(transactions)
    error_of(arrow(db.url, block.path("table", "chain", "blocks"), 7), 404, "not_found")


def test_many_rows_as_arrow(host, db):
    db.run("CREATE TABLE late (v BIGINT, w BIGINT, k BIGINT PRIMARY KEY)")
    db.run("INSERT INTO late SELECT n % 7, n * 2, n FROM generate_series(1, 50000) AS t(n)")
    link = "/service/sql/public/0.0.0/late"
    table = read(arrow(db.url, link))
    assert table.column_names == ["k", "v", "w"]
    assert table.column("w").to_pylist() == list(range(2, 100_002, 2))
    # neither the condition nor the order has an index
    for key in ([["w", [["in", 99_000], None]]], [["v", 3], ["w", [["in", None], ["ex", 100]]]]):
        same(rows(read(arrow(db.url, link, key))), json_rows(host, link, key))
        assert all(w == 2 * k and v == k % 7 for k, v, w in json_rows(host, link, key))


def test_the_result_of_a_program_as_arrow(block, db):
    block.write("pen", 3)
    cxt = tc.Context()
    cxt.w = Put(block.path("table"), ["ink"], [1])
    cxt.r = tc.after(cxt.w, Get(block.path("table"), [["qty", [["in", 1], None]]]))
    response = arrow(db.url, HYPOTHETICAL, method="POST", json=tc.to_json({"op": cxt}))
    same(rows(read(response)), [["ink", 1], ["pen", 3]])
    same(block.host.get(block.path("table", "count")), 1)


def test_a_post_as_arrow(block, db):
    block.write("pen", 3)
    block.write("ink", 1)
    same(rows(read(arrow(db.url, block.path("table"), method="POST", json={"qty": 3}))), [["pen", 3]])


def test_what_has_no_rows_is_refused_as_arrow(block, db):
    block.write("pen", 3)
    for names, key in [(("table",), ["pen"]), (("table", "count"), None), (("table", "chain", "info"), None), (("value",), None)]:
        assert "only collections and tensors" in error_of(arrow(db.url, block.path(*names), key), 400, "bad_request")
    # nothing is written if the reply cannot be as it was asked for
    error_of(arrow(db.url, block.path("write"), method="POST", json={"sku": "ink", "n": 1}), 400, "bad_request")
    assert block.recorded() == 1
    error_of(arrow(db.url, block.path("nothing")), 404, "not_found")
    # what only writes has a reply that is no rows
    response = arrow(db.url, block.path("table"), ["ink"], method="PUT", json=[1])
    assert (response.status_code, response.json()) == (200, None)


# --- differences ------------------------------------------------------------------------------------------------


def entry(table, change="kept", inserted=(), updated=(), deleted=()):
    """What becomes of a table."""

    updated = [{"before": before, "after": after} for before, after in updated]
    rows = {"inserted": list(inserted), "updated": updated, "deleted": list(deleted)}
    return {"table": str(table), "change": change, **rows, "truncated": False}


def changes(url, op, path=HYPOTHETICAL, query="?diff=true"):
    return requests.post(url + path + query, json=tc.to_json({"op": op}), timeout=TIMEOUT)


def test_the_diff_of_a_destructive_program(host, db):
    goods = install(host, stock(fresh(), chain=Block))
    host.put(path(goods, "restock"), "pen", 3)
    host.put(path(goods, "restock"), "ink", 1)
    cxt = tc.Context()
    cxt.w = [goods.drop("pen"), goods.take("ink", 1)]
    cxt.r = tc.after(cxt.w, goods.size())
    expected = [
        entry(path(goods, "items"), updated=[(["ink", 1], ["ink", 0])], deleted=[["pen", 3]]),
        entry(path(goods, "log"), inserted=[[1, "ink"]]),
        entry(path(goods, "sold"), updated=[([0, 0], [0, 1])]),
    ]
    for _ in range(2):
        same(changes(db.url, cxt).json(), {"result": 1, "diff": expected})
    same(host.hypothetical(cxt), 1)
    same(changes(db.url, cxt, query="?diff=false").json(), 1)
    same(host.get(path(goods, "items")), items(["ink", 1], ["pen", 3]))
    same(host.get(path(goods, "items", "chain", "records", "count")), 2)
    same(host.get(path(goods, "sold")), 0)


def test_the_diff_of_a_clearing(block, db):
    block.write("pen", 3)
    block.write("ink", 1)
    cxt = tc.Context()
    cxt.r = Delete(block.path("table"), None)
    diff = [entry(block.path("table"), deleted=[["ink", 1], ["pen", 3]])]
    same(changes(db.url, cxt).json(), {"result": None, "diff": diff})
    assert block.recorded() == 2


def test_the_diff_of_a_new_version(host, db):
    ns = fresh()
    old, new = install(host, stock(ns)), stock(ns, "2.0.0")
    host.put(path(old, "restock"), "pen", 3)
    steps = installing(new, "2.0.0", [new.restock("ink", 1), old.restock("cap", 2)], [new.size(), old.size()])
    expected = [
        entry(path(old, "items"), inserted=[["cap", 2]]),
        entry(path(new, "items"), "created", inserted=[["ink", 1]]),
        entry(path(new, "log"), "created"),
        entry(path(new, "sold"), "created", inserted=[[0, 0]]),
    ]
    same(changes(db.url, steps).json(), {"result": [1, 2], "diff": expected})
    # nothing is left
    same(host.get(item(new)), [{"1.0.0": []}])
    same(host.get(path(old, "items")), items(["pen", 3]))
    with pytest.raises(tc.error.NotFound):
        host.get(path(new, "size"))
    assert str(path(new)).removeprefix("/service/") not in schemas(db)


def test_the_diff_of_a_removal(host, db):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    cxt = tc.Context()
    cxt.r = Delete(item(goods), "1.0.0")
    expected = [
        entry(path(goods, "items"), "dropped", deleted=[["pen", 3]]),
        entry(path(goods, "log"), "dropped"),
        entry(path(goods, "sold"), "dropped", deleted=[[0, 0]]),
    ]
    same(changes(db.url, cxt).json(), {"result": None, "diff": expected})
    same(host.get(path(goods, "size")), 1)


def test_the_diff_of_what_changes_nothing(host, db):
    goods = install(host, stock(fresh()))
    same(changes(db.url, [["r", 5]]).json(), {"result": 5, "diff": []})
    cxt = tc.Context()
    cxt.w = goods.restock("ink", 1)
    cxt.r = tc.after(cxt.w, goods.drop("ink"))
    same(changes(db.url, cxt).json(), {"result": None, "diff": []})
    lib = units(fresh())
    host.install(lib)
    cxt = tc.Context()
    cxt.r = [lib.double(3), Get(path(goods, "size"))]
    same(changes(db.url, cxt).json(), {"result": [6, 0], "diff": []})


def test_the_diff_is_asked_for_where_nothing_is_committed(block, db):
    link = db.url + str(block.path("table"))
    for response in (
        requests.put(link, params={"key": '["pen"]', "diff": "true"}, json=[1]),
        requests.delete(link, params={"diff": "true"}),
        requests.get(link, params={"diff": "true"}),
        changes(db.url, [["r", 5]], path="/explain"),
        changes(db.url, [["r", 5]], query="?diff=maybe"),
        arrow(db.url, HYPOTHETICAL + "?diff=true", method="POST", json={"op": [["r", 5]]}),
    ):
        assert "diff" in error_of(response, 400, "bad_request")
    assert block.recorded() == 0


def test_a_program_that_fails_has_no_diff(host, db):
    goods = install(host, stock(fresh()))
    cxt = tc.Context()
    cxt.w = goods.restock("ink", 1)
    cxt.r = tc.after(cxt.w, goods.take("ink", 5))
    assert error_of(changes(db.url, cxt), 400, "bad_request") == "out of stock"
    same(host.get(path(goods, "size")), 0)
