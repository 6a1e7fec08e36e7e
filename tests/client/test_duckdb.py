"""Random queries, answered by this host and by DuckDB; and files of this host, read by DuckDB and by Arrow.

`TINYCHAIN_DUCKDB_QUERIES` says how many queries, `TINYCHAIN_DUCKDB_SEED` which. Thousands:
`TINYCHAIN_DUCKDB_QUERIES=5000 python -m pytest tests/client/test_duckdb.py -k random -s`. A failure prints both texts and the seed.
"""

import base64
import datetime
import decimal
import json
import math
import os
import random

import duckdb
import pyarrow.ipc
import pyarrow.parquet
import pytest

from sample_queries import Generator, Query
from sample_sql import ARROW, FLAGS, SERVICE, Sql, start

QUERIES = int(os.environ.get("TINYCHAIN_DUCKDB_QUERIES", "150"))
SEED = int(os.environ.get("TINYCHAIN_DUCKDB_SEED", str(random.randrange(1 << 30))))
# Queries of one set of tables, and how many of them come between two statements that write.
ROUND_QUERIES = 50
STATEMENT_EVERY = 4
D = decimal.Decimal


@pytest.fixture(scope="module")
def sql_host(request, tmp_path_factory):
    # Small memtables, so that rows are in memory and in segments of several ages.
    yield from start(request, tmp_path_factory, "duckdb", "--memtable_size=64K")


# --- comparison -------------------------------------------------------------------------------------------------


def cell(value, ty):
    """A cell of a reply in JSON as the Python value that DuckDB has for it."""

    if value is None:
        return None
    if ty.startswith("DECIMAL"):
        return D(value)
    if ty == "DATE":
        return datetime.date.fromisoformat(value)
    if ty == "TIMESTAMP":
        return datetime.datetime.fromisoformat(value)
    if ty == "BYTEA":
        return base64.b64decode(value)

    return value


def json_rows(reply):
    """The rows of a reply in JSON."""

    types = [column["type"] for column in reply["columns"]]
    return [tuple(map(cell, row, types)) for row in reply["rows"]]


def arrow_rows(table):
    """The rows of a reply in Arrow, in which several columns may have the same name."""

    names = [str(at) for at in range(table.num_columns)]
    return [tuple(row.values()) for row in table.rename_columns(names).to_pylist()]


def sort_key(row):
    """An order of rows of any values, in which floats that are nearly the same are the same."""

    def key(value):
        if value is None:
            return (0, 0)
        if isinstance(value, (bool, int, float, D)):
            return (1, float(f"{float(value):.6g}"))
        if isinstance(value, str):
            return (2, value.encode())
        if isinstance(value, bytes):
            return (3, value)

        return (4, value.isoformat())

    return [key(value) for value in row]


def alike(left, right):
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        return isinstance(right, (int, float, D)) and math.isclose(float(left), float(right), rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(left, (int, D)) and isinstance(right, (int, D)):
        return left == right

    return type(left) is type(right) and left == right


def same_rows(got, want, is_ordered):
    if len(got) != len(want):
        return False
    if not is_ordered:
        got, want = sorted(got, key=sort_key), sorted(want, key=sort_key)

    return all(len(l) == len(r) and all(alike(a, b) for a, b in zip(l, r)) for l, r in zip(got, want))


def test_the_comparison_sees_differences():
    same = [(1, D("1.50"), 0.1, None, True, "x")]
    assert same_rows(same, [(1, D("1.5"), 0.1 + 1e-12, None, True, "x")], True)
    for other in [(2, D("1.5"), 0.1, None, True, "x"), (1, D("1.51"), 0.1, None, True, "x"), (1, D("1.5"), 0.2, None, True, "x")]:
        assert not same_rows(same, [other], True)
    for other in [(1, D("1.5"), 0.1, 0, True, "x"), (1, D("1.5"), 0.1, None, 1, "x"), (1, D("1.5"), 0.1, None, True, "X")]:
        assert not same_rows(same, [other], False)

    assert same_rows([(1,), (2,)], [(2,), (1,)], False) and not same_rows([(1,), (2,)], [(2,), (1,)], True)
    assert not same_rows([(1,)], [(1,), (1,)], False)


# --- random tables, statements and queries ----------------------------------------------------------------------


class Pair:
    """A host and DuckDB with the same tables."""

    def __init__(self, db, seed):
        self.db, self.seed = db, seed
        self.duck = duckdb.connect()
        self.generator = Generator(random.Random(seed))
        self.tables = []

    def explain(self, host, duck):
        return f"TINYCHAIN_DUCKDB_SEED={self.seed}\nhost: {host}\nduck: {duck}"

    def run(self, host, duck):
        """A statement that writes, in both; both may refuse it."""

        response = self.db.post(host)
        try:
            self.duck.execute(duck)
        except duckdb.Error as error:
            assert response.status_code == 400, f"DuckDB refused: {error}\n{response.text[:500]}\n{self.explain(host, duck)}"
            return

        assert response.status_code == 200, f"{response.text[:1000]}\n{self.explain(host, duck)}"

    def host_rows(self, text, as_arrow=False):
        response = self.db.post(text, headers={"accept": ARROW} if as_arrow else None)
        assert response.status_code == 200, response.text[:1000]
        return arrow_rows(pyarrow.ipc.open_stream(response.content).read_all()) if as_arrow else json_rows(response.json())

    def check(self, query):
        try:
            want = self.duck.execute(query.duck).fetchall()
            got = self.host_rows(query.host, self.generator.chance(0.3))
        except (duckdb.Error, AssertionError) as error:
            pytest.fail(f"{error}\n{self.explain(query.host, query.duck)}")

        if not same_rows(got, want, query.is_ordered):
            pytest.fail(f"{self.explain(query.host, query.duck)}\nhost: {got[:20]}\nduck: {want[:20]}")

    def check_tables(self):
        for table in self.tables:
            names = ", ".join(column.name for column in table.columns)
            query = f"SELECT {names} FROM {table.name}"
            self.check(Query(query, query, False))

    def create(self, name, rows):
        table = self.generator.table(name)
        self.tables.append(table)
        host, duck = self.generator.create(table)
        self.run(host, duck)
        filled = self.generator.fill(table, rows)
        if filled:
            self.run(*filled)


def test_random_queries(sql_host):
    print(f"TINYCHAIN_DUCKDB_SEED={SEED} TINYCHAIN_DUCKDB_QUERIES={QUERIES}")
    db, left = Sql(sql_host.url), QUERIES
    round_number = 0
    while left > 0:
        db.drop_all()
        pair = Pair(db, SEED + round_number)
        round_number += 1
        for name, rows in (("t0", pair.seed % 3 * 5), ("t1", 40), ("t2", 150)):
            pair.create(name, rows)

        for number in range(min(left, ROUND_QUERIES)):
            if number % STATEMENT_EVERY == STATEMENT_EVERY - 1:
                table = pair.generator.rng.choice(pair.tables)
                pair.run(*pair.generator.statement(table, pair.tables))
                pair.check_tables()

            pair.check(pair.generator.query(pair.tables))

        left -= ROUND_QUERIES

    db.drop_all()


# --- files ------------------------------------------------------------------------------------------------------

FILED = (
    "CREATE TABLE filed (id INT PRIMARY KEY, b BOOLEAN, l BIGINT, u BIGINT UNSIGNED, r REAL, d DOUBLE, n DECIMAL(12, 3), t VARCHAR(30), x BYTEA, "
    "da DATE, ts TIMESTAMP)"
)
FILED_COLUMNS = ["id", "b", "l", "u", "r", "d", "n", "t", "x", "da", "ts"]


def filed_row(n):
    """A row as Python has it; every seventh cell is NULL."""

    row = [
        n, n % 2 == 0, n * 10**12, 2**63 + n, n / 4, -n / 8, D(n).scaleb(-3), f"text {n} é", n.to_bytes(2, "big"),
        datetime.date(2020, 1, 1) + datetime.timedelta(days=n), datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=n, microseconds=n),
    ]
    return [None if at and (n + at) % 7 == 0 else value for at, value in enumerate(row)]


def filed_literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, (int, float)):
        return repr(value)

    return "'" + str(value) + "'"


def insert_filed(db, numbers):
    rows = ", ".join("(" + ", ".join(filed_literal(value) for value in filed_row(n)) + ")" for n in numbers)
    db.run(f"INSERT INTO filed VALUES {rows}")


class Files:
    """The files of a host, found as a person would: by the manifest, the catalog in it, and the numbers of trees."""

    def __init__(self, data_dir):
        self.objects = data_dir / "objects"
        self.log = data_dir / "log"
        (*_, newest) = sorted((self.objects / "manifest").glob("*.json"))
        self.manifest = json.loads(newest.read_text())["manifest"]

    def segments(self, tree):
        """The files of a tree, oldest first, with the newest commit in each."""

        metas = [meta for meta in self.manifest["segments"] if meta["tree"] == tree]
        metas.sort(key=lambda meta: (meta["seq"], meta["ordinal"], meta["id"]))
        return [(self.objects / "segments" / f"{meta['id']:020}.parquet", meta["seq"]) for meta in metas]

    def rows(self, tree, read, key):
        """The rows of a tree: of each key the newest row in any file, unless that says that it was deleted."""

        newest = {}
        for path, seq in self.segments(tree):
            for row in read(path):
                written = seq if row["_seq"] is None else row["_seq"]
                if newest.get(row[key], (0, None))[0] <= written:
                    newest[row[key]] = (written, row)

        return {key: row for key, (_, row) in newest.items() if not row.get("_deleted")}

    def definition(self, name):
        catalog = self.rows(0, by_arrow, "path")
        return json.loads(catalog[f"{SERVICE}/{name}"]["definition"])


def by_arrow(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def by_duckdb(path):
    result = duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


READERS = pytest.mark.parametrize("read", [by_arrow, by_duckdb], ids=["pyarrow", "duckdb"])


@READERS
def test_segments_are_parquet_files_with_the_rows(spawn, read):
    host = spawn(*FLAGS)
    db = Sql(host.url)
    db.run(FILED + "; CREATE INDEX by_day ON filed (da, b)")
    insert_filed(db, range(300))
    db.run("DELETE FROM filed WHERE id % 10 = 0")
    host.stop()
    files = Files(host.data_dir)
    definition = files.definition("filed")
    found = files.rows(definition["rows"], read, "id")
    want = {n: filed_row(n) for n in range(300) if n % 10}
    assert sorted(found) == sorted(want)
    for n, row in want.items():
        assert same_rows([tuple(found[n][name] for name in FILED_COLUMNS)], [tuple(row)], True), (found[n], row)

    # The index has the columns that were declared, then the key, sorted by them.
    (index,) = definition["indexes"]
    for path, _ in files.segments(index["tree"]):
        entries = [(row["da"], row["b"], row["id"]) for row in read(path)]
        assert entries == sorted(entries, key=lambda entry: [(value is not None, value) for value in entry])
        assert sorted(entry[2] for entry in entries) == sorted(want)


@READERS
def test_segments_of_several_ages(spawn, read):
    """What was changed or deleted since is told by the numbers of commits, and by tombstones."""

    want = {}
    for step in range(3):
        host = spawn(*FLAGS)
        db = Sql(host.url)
        if step == 0:
            db.run(FILED)

        insert_filed(db, range(100 * step, 100 * step + 100))
        want.update({n: filed_row(n) for n in range(100 * step, 100 * step + 100)})
        if step:
            db.run(f"UPDATE filed SET t = 'changed {step}' WHERE id % 5 = {step}")
            db.run(f"DELETE FROM filed WHERE id % 7 = {step}")
            for n, row in want.items():
                if n % 5 == step:
                    row[7] = f"changed {step}"

            want = {n: row for n, row in want.items() if n % 7 != step}

        assert db.value("SELECT count(*) FROM filed") == len(want)
        host.stop()

    files = Files(host.data_dir)
    found = files.rows(files.definition("filed")["rows"], read, "id")
    assert sorted(found) == sorted(want)
    for n, row in want.items():
        assert same_rows([tuple(found[n][name] for name in FILED_COLUMNS)], [tuple(row)], True), (found[n], row)


def test_segments_describe_themselves(spawn):
    host = spawn(*FLAGS)
    db = Sql(host.url)
    db.run(FILED)
    insert_filed(db, range(50))
    host.stop()
    files = Files(host.data_dir)
    tree = files.definition("filed")["rows"]
    ((path, _),) = files.segments(tree)
    file = pyarrow.parquet.ParquetFile(path)
    metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    assert metadata["tinychain:format"] == "1" and metadata["tinychain:tree"] == str(tree)
    assert file.metadata.created_by.startswith("tinychain ")
    assert file.metadata.num_rows == 50
    assert file.schema_arrow.names[:11] == FILED_COLUMNS
    types = {name: str(file.schema_arrow.field(name).type) for name in ("id", "l", "u", "d", "n", "da", "ts")}
    assert types == {"id": "int32", "l": "int64", "u": "uint64", "d": "double", "n": "decimal128(12, 3)", "da": "date32[day]", "ts": "timestamp[us]"}
    classes = {name: file.schema_arrow.field(name).metadata[b"tinychain:class"].decode() for name in ("id", "t", "n")}
    assert classes == {"id": "/state/scalar/value/number/int/32", "t": "/state/scalar/value/string", "n": "/state/scalar/value/string"}


PUT, DELETE = 1, 2


def read_log(data_dir):
    """The rows of all files of the log, as any reader of Arrow streams reads them."""

    rows = []
    for path in sorted((data_dir / "log").glob("[0-9]*.arrow")):
        with pyarrow.ipc.open_stream(path) as stream:
            metadata = {key.decode(): value.decode() for key, value in stream.schema.metadata.items()}
            assert metadata["tinychain:format"] == "1"
            assert int(metadata["tinychain:first_seq"]) == int(path.stem)
            rows += stream.read_all().to_pylist()

    return rows


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "killed"])
def test_log_files_are_arrow_streams_with_the_rows(spawn, is_running):
    host = spawn(*FLAGS)
    db = Sql(host.url)
    db.run("CREATE TABLE note (id INT PRIMARY KEY, t VARCHAR(30))")
    for n in range(20):
        db.run("INSERT INTO note VALUES ($1, $2)", n * 7 % 20, f"note {n * 7 % 20}")

    db.run("UPDATE note SET t = 'changed' WHERE id = 5")
    db.run("DELETE FROM note WHERE id = 6")
    if not is_running:
        host.kill()

    rows = read_log(host.data_dir)
    assert set(rows[0]) == {"crc", "seq", "time", "nonce", "tree", "op", "key", "value"}
    # Commits are there in order, without gaps: the table, 20 rows, and two changes.
    seqs = sorted({row["seq"] for row in rows})
    assert seqs == list(range(1, 24))
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    (created,) = [row for row in rows if row["seq"] == 1 and row["tree"] == 0]
    assert created["op"] == PUT and f"{SERVICE}/note".encode() in created["key"] + created["value"]

    (tree,) = {row["tree"] for row in rows if row["tree"]}
    written = [row for row in rows if row["tree"] == tree]
    assert [row["op"] for row in written] == [PUT] * 21 + [DELETE]
    for n, row in enumerate(written[:20]):
        assert f"note {n * 7 % 20}".encode() in row["value"]

    assert b"changed" in written[20]["value"]
    # Keys are bytes in the order of what they stand for.
    keys = {n * 7 % 20: row["key"] for n, row in enumerate(written[:20])}
    assert [keys[n] for n in range(20)] == sorted(keys.values())
    assert (written[20]["key"], written[21]["key"]) == (keys[5], keys[6])
    if is_running:
        host.stop()


def test_what_is_in_the_log_is_in_the_segments_later(spawn):
    host = spawn(*FLAGS)
    db = Sql(host.url)
    db.run(FILED)
    insert_filed(db, range(10))
    tree = max(row["tree"] for row in read_log(host.data_dir))
    host.stop()
    files = Files(host.data_dir)
    assert files.definition("filed")["rows"] == tree
    assert sorted(files.rows(tree, by_duckdb, "id")) == list(range(10))
    assert files.manifest["floor_seq"] == 2
