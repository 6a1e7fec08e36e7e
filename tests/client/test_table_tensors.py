"""Tables to tensors and back: columns as matrices, tensors as columns and rows, and tensors as tables of SQL."""

import io
import json

import numpy as np
import pytest
import requests

from sample_services import raw
from sample_sql import SERVICE, Sql, start
from sample_tensors import DENSE, ORDER, SPARSE, literal, read
from support import DEADLINE, R, V, error_of, post_raw, program, same

NPY = "application/x-npy"
POINTS = {
    "/state/collection/table": [
        [[[["id", {V + "number/uint/64": {}}]], [[name, {V + "number/float/64": {}}] for name in "xyz"]], [["by_z", ["z"]]]]
    ]
}


@pytest.fixture(scope="module")
def sql_host(request, tmp_path_factory):
    yield from start(request, tmp_path_factory, "table_tensors")


@pytest.fixture
def url(sql_host):
    return sql_host.url


@pytest.fixture
def host(sql_host):
    return sql_host.client()


@pytest.fixture
def db(sql_host):
    db = Sql(sql_host.url)
    yield db
    db.drop_all()


def run(url, *steps):
    """The reply to a program that is given as JSON, whose last step is the result."""

    response = program(url, [[f"s{n}", step] if type(step) is dict else step for n, step in enumerate(steps)])
    assert response.status_code == 200, response.text
    return response.json()


def after(step, then):
    return {R + "after": [{f"${step}": []}, then]}


def columns(url, table, key):
    """Columns of a table as an array, by way of a program and by way of a file of NumPy, which are the same."""

    response = requests.get(
        f"{url}{table}/tensor", params={"key": json.dumps(key)}, headers={"accept": NPY}, timeout=DEADLINE
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NPY
    array = np.load(io.BytesIO(response.content))
    replied = read(run(url, {f"{table}/tensor": [key]}))
    assert replied.dtype == array.dtype
    np.testing.assert_array_equal(replied, array)
    return array


def put(url, table, key, array):
    """The response to a PUT of an array to columns."""

    file = io.BytesIO()
    np.save(file, array)
    return requests.put(
        f"{url}{table}/tensor",
        params={"key": json.dumps(key)},
        headers={"content-type": NPY},
        data=file.getvalue(),
        timeout=DEADLINE,
    )


def made(db, name, rows):
    """A table of random numbers by a key, and its columns."""

    random = np.random.default_rng(7)
    x, n = random.normal(size=rows), random.integers(-1000, 1000, rows)
    db.run(f"CREATE TABLE {name} (id INT PRIMARY KEY, x DOUBLE NOT NULL, n SMALLINT NOT NULL, y DOUBLE)")
    cells = [f"({id}, {float(x[id])!r}, {n[id]}, NULL)" for id in range(rows)]
    for start in range(0, rows, 500):
        db.run(f"INSERT INTO {name} VALUES {', '.join(cells[start:start + 500])}")
    return f"{SERVICE}/{name}", x, n


# --- columns as tensors -----------------------------------------------------------------------------------------


def test_columns_are_a_matrix(url, db):
    table, x, n = made(db, "t", 3000)
    both = columns(url, table, ["n", "x"])
    assert both.dtype == np.float64
    np.testing.assert_array_equal(both, np.stack([n, x], axis=1))
    np.testing.assert_array_equal(columns(url, table, ["n"]), n.astype("int16")[:, None])
    vector = columns(url, table, "x")
    assert vector.shape == (3000,)
    np.testing.assert_array_equal(vector, x)


@pytest.mark.parametrize("dtype", ORDER)
def test_columns_of_every_class(url, dtype):
    array = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
    path = V + ORDER[dtype][0]
    schema = [[[["k", {V + "number/int/32": {}}]], [["a", {path: {}}], ["b", {path: {}}]]], []]
    rows = [[k, *(bool(cell) if dtype == "bool" else cell.real.item() for cell in row)] for k, row in enumerate(array)]
    table = ["t", {"/state/collection/table": [schema, rows]}]
    reply = run(url, table, {"$t/tensor": [["a", "b"]]})
    assert read(reply).dtype == array.dtype
    np.testing.assert_array_equal(read(reply), array)
    flipped = literal(np.ascontiguousarray(array[::-1]))
    written = run(url, table, ["w", {"$t/tensor": [["a", "b"], flipped]}], after("w", {"$t/tensor": [["a", "b"]]}))
    np.testing.assert_array_equal(read(written), array[::-1])


def test_the_rows_of_a_view_come_in_its_order(url, db):
    table, x, n = made(db, "t", 3000)
    steps = [
        ["v", {table: [[["n", [["in", 0], None]]]]}],
        ["o", {"$v/order": [[["x"], True]]}],
        ["l", {"$o/limit": [100]}],
    ]
    chosen = sorted((id for id in range(3000) if n[id] >= 0), key=lambda id: -x[id])[:100]
    np.testing.assert_array_equal(read(run(url, *steps, {"$l/tensor": ["id"]})), np.array(chosen, "int32"))
    # Written through the same view, the rank is in the rows that it is of.
    rank = literal(np.arange(100.0))
    reply = run(url, *steps, ["w", {"$l/tensor": ["y", rank]}], after("w", {"$l/tensor": [["id", "y"]]}))
    np.testing.assert_array_equal(read(reply), np.stack([chosen, np.arange(100.0)], axis=1))


def test_what_is_null_is_no_element(url, db):
    table, _, _ = made(db, "t", 3)
    response = program(url, [["r", {f"{table}/tensor": [["x", "y"]]}]])
    assert error_of(response, 400, "bad_request") == "column y has a null, which is no element of a tensor"
    db.run("UPDATE t SET y = 0.5 WHERE id > 0")
    view = ["v", {table: [[["id", [["in", 1], None]]]]}]
    np.testing.assert_array_equal(read(run(url, view, {"$v/tensor": ["y"]})), [0.5, 0.5])


def test_columns_that_do_not_fit_in_memory(url, db):
    rows = 760_000
    db.run(
        "CREATE TABLE big (PRIMARY KEY (id)) AS SELECT value AS id, value * 0.5 AS x, value % 7 AS m "
        f"FROM generate_series(1, {rows})"
    )
    table = f"{SERVICE}/big"
    matrix = ["m", {f"{table}/tensor": [["id", "x", "m"]]}]
    ids = np.arange(1, rows + 1, dtype="float64")
    want = np.stack([ids, ids * 0.5, ids % 7], axis=1)
    np.testing.assert_array_equal(read(run(url, matrix, {"$m/sum": {"axes": [0]}})), want.sum(axis=0))
    part = {"$m": [[[["in", 400_000], ["ex", 400_003]]]]}
    np.testing.assert_array_equal(read(run(url, matrix, part)), want[400_000:400_003])
    same(run(url, matrix, {"$m/shape": [None]}), [rows, 3])
    response = put(url, table, "x", ids * 2)
    assert response.status_code == 200, response.text
    same(db.rows("SELECT count(*), min(x / id), max(x / id) FROM big"), [[rows, 2.0, 2.0]])


# --- tensors as columns -----------------------------------------------------------------------------------------


def test_a_line_is_fitted_to_columns(url, db):
    table, x, n = made(db, "t", 1000)
    steps = [
        ["x", {f"{table}/tensor": [["x"]]}],
        ["n", {f"{table}/tensor": [["n"]]}],
        ["t", {"$x/transpose": [None]}],
        ["xn", {"$t/matmul": {"r": {"$n": []}}}],
        ["xx", {"$t/matmul": {"r": {"$x": []}}}],
        ["slope", {"$xn/div": {"r": {"$xx": []}}}],
        ["y", {"$x/matmul": {"r": {"$slope": []}}}],
        ["w", {f"{table}/tensor": ["y", {"$y": []}]}],
    ]
    reply = read(run(url, *steps, after("w", {f"{table}/tensor": [["y"]]})))
    slope, _, _, _ = np.linalg.lstsq(x[:, None], n.astype(float), rcond=None)
    np.testing.assert_allclose(reply[:, 0], x * slope, rtol=1e-9)
    # That was a hypothetical request.
    same(db.value("SELECT count(y) FROM t"), 0)


def test_a_column_is_written_for_good(url, db):
    table, x, n = made(db, "t", 1000)
    assert put(url, table, "y", np.sin(x)).json() is None
    np.testing.assert_array_equal(columns(url, table, "y"), np.sin(x))
    assert put(url, table, ["n", "y"], np.stack([n + 1, x], axis=1)).json() is None
    np.testing.assert_array_equal(columns(url, table, ["n", "y"]), np.stack([n + 1, x], axis=1))
    same(db.value("SELECT count(*) FROM t WHERE y = x"), 1000)


def test_a_write_that_does_not_fit_writes_nothing(url, db):
    table, x, _ = made(db, "t", 10)

    def message(key, array):
        return error_of(put(url, table, key, array), 400, "bad_request")

    assert message("y", np.zeros(9)) == "a tensor of shape [9] has too few rows: there are more to write to"
    assert message("y", np.zeros(11)) == "a tensor of shape [11] has too many rows: there are only 10 to write to"
    assert message("y", np.zeros((10, 2))) == "expected a tensor of shape [rows] or [rows, 1], not of shape [10, 2]"
    assert message("id", np.arange(10)) == "column id belongs to the key, which cannot be updated"
    assert "column n" in message("n", np.full(10, 40_000))
    assert "column n" in message("n", np.full(10, np.nan))
    same(db.rows("SELECT count(y), count(DISTINCT n) > 1 FROM t"), [[0, True]])
    np.testing.assert_array_equal(columns(url, table, "x"), x)


def test_a_service_computes_a_column_and_its_chain_records_it(url, host, db):
    path = raw(
        host,
        {
            "points": {"/state/chain/block": [POINTS]},
            "score": {
                "/state/scalar/op/post": [
                    ["features", {"$self/points/tensor": [["x", "y"]]}],
                    ["z", {"$features/matmul": {"r": {"$weights": []}}}],
                    ["_return", {"$self/points/tensor": ["z", {"$z": []}]}],
                ]
            },
        },
    )
    name = f'"{path.removeprefix("/service/")}".points'
    db.run(f"INSERT INTO {name} VALUES (1, 1, 10, 0), (2, 2, 20, 0), (3, 3, 30, 0)")
    same(host.get(f"{path}/points/chain/records/count"), 3)
    response = post_raw(url, {"weights": literal(np.array([[2.0], [0.25]]))}, path=f"{path}/score")
    assert response.status_code == 200 and response.json() is None, response.text
    same(db.rows(f"SELECT id, z FROM {name} WHERE z > 5 ORDER BY z DESC"), [[3, 13.5], [2, 9.0]])
    same(host.get(f"{path}/points/chain/records/count"), 6)
    same(host.get(f"{path}/points/chain/verify"), True)


# --- tensors as rows --------------------------------------------------------------------------------------------


def test_a_table_is_made_of_a_matrix(url):
    matrix = np.array([[3, 0.5], [1, 1.5], [2, 2.5]])
    schema = [[[["k", {V + "number/uint/64": {}}]], [["x", {V + "number/float/64": {}}]]], []]
    for t in [
        {"/state/collection/table": [schema, {"$m": []}]},
        {"/state/collection/table/copy_from": {"schema": schema, "source": {"$m": []}}},
    ]:
        reply = run(url, ["m", literal(matrix)], t)
        same(reply, {"/state/collection/table": [schema, [[1, 1.5], [2, 2.5], [3, 0.5]]]})


# --- SQL --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(host):
    """A service with tensors, and its path."""

    def tensor(kind, dtype, shape):
        return {"/state/chain/sync": [{kind: [[{V + dtype: {}}, shape]]}]}

    return raw(
        host,
        {
            "days": tensor(DENSE, "number/float/64", [2, 3]),
            "wide": tensor(SPARSE, "number/int/32", [1 << 30, 1 << 30]),
            "waves": tensor(DENSE, "number/complex/64", [2]),
            "flags": tensor(DENSE, "number/bool", [3]),
            "many": tensor(DENSE, "number/int/64", [1000, 1000]),
            "points": {"/state/chain/sync": [POINTS]},
        },
    )


def test_the_elements_of_a_dense_tensor_are_rows(kept, host, db):
    tensor = f"tensor('{kept}/days')"
    same(db.rows(f"SELECT count(*), sum(value) FROM {tensor}"), [[6, 0.0]])
    host.put(f"{kept}/days", None, literal(np.array([[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]])))
    columns, rows = db.query(f"SELECT * FROM {tensor} ORDER BY axis_0, axis_1")
    assert [column["name"] for column in columns] == ["axis_0", "axis_1", "value"]
    assert [column["type"] for column in columns] == ["BIGINT", "BIGINT", "DOUBLE"]
    same(rows, [[0, 0, 1.5], [0, 1, 2.5], [0, 2, 3.5], [1, 0, 4.5], [1, 1, 5.5], [1, 2, 6.5]])
    same(db.rows(f"SELECT axis_0, sum(value) FROM {tensor} GROUP BY axis_0 ORDER BY axis_0"), [[0, 7.5], [1, 16.5]])
    same(db.rows(f"SELECT value FROM {tensor} WHERE axis_1 = 2 AND axis_0 > 0"), [[6.5]])
    same(db.rows(f"SELECT value FROM {tensor} WHERE axis_1 BETWEEN 0 AND 1 AND value > 2 ORDER BY value"), [[2.5], [4.5], [5.5]])
    same(db.rows(f"SELECT count(*) FROM {tensor} WHERE axis_0 >= 2"), [[0]])
    same(db.rows("SELECT d.v FROM tensor($1) AS d (i, j, v) WHERE i = $2 AND j = 0", f"{kept}/days", 1), [[4.5]])
    # A plan does not outlive what it was made for.
    host.put(f"{kept}/days", [0, 0], 7.5)
    same(db.rows(f"SELECT value FROM {tensor} WHERE axis_1 = 0 ORDER BY axis_0"), [[7.5], [4.5]])


def test_a_sparse_tensor_has_rows_for_what_is_not_zero(kept, host, db):
    tensor = f"tensor('{kept}/wide')"
    same(db.rows(f"SELECT count(*) FROM {tensor}"), [[0]])
    for place, value in [([5, 7], 3), ([1, 1 << 29], -2), ([(1 << 30) - 1, 0], 9)]:
        host.put(f"{kept}/wide", place, value)
    rows = [[1, 1 << 29, -2], [5, 7, 3], [(1 << 30) - 1, 0, 9]]
    same(db.rows(f"SELECT * FROM {tensor} ORDER BY axis_0"), rows)
    same(db.rows(f"SELECT * FROM {tensor} WHERE axis_0 < 10 AND axis_1 < 10"), [rows[1]])
    same(db.rows(f"SELECT value FROM {tensor} WHERE axis_0 = 1073741823"), [[9]])


def test_elements_of_other_classes(kept, host, db):
    host.put(f"{kept}/waves", None, literal(np.array([1 - 2j, 0.5j])))
    same(db.rows(f"SELECT * FROM tensor('{kept}/waves') ORDER BY axis_0"), [[0, [1.0, -2.0]], [1, [0.0, 0.5]]])
    host.put(f"{kept}/flags", [1], True)
    same(db.rows(f"SELECT axis_0 FROM tensor('{kept}/flags') WHERE value"), [[1]])


def test_tensors_and_tables_in_one_query(kept, host, db):
    array = np.arange(1_000_000).reshape(1000, 1000)
    file = io.BytesIO()
    np.save(file, array)
    response = requests.put(
        f"{db.url}{kept}/many", headers={"content-type": NPY}, data=file.getvalue(), timeout=DEADLINE
    )
    assert response.status_code == 200, response.text
    total = f"SELECT count(*), sum(value), max(axis_0) FROM tensor('{kept}/many')"
    same(db.rows(total), [[1_000_000, int(array.sum()), 999]])
    db.run("CREATE TABLE wanted (line BIGINT PRIMARY KEY)")
    db.run("INSERT INTO wanted VALUES (3), (500)")
    query = f"SELECT sum(m.value) FROM tensor('{kept}/many') AS m JOIN wanted AS w ON w.line = m.axis_0"
    same(db.value(query), int(array[[3, 500]].sum()))
    last = f"SELECT axis_1, value FROM tensor('{kept}/many') WHERE axis_0 = 999"
    db.run(f"CREATE TABLE copied (PRIMARY KEY (axis_1)) AS {last}")
    same(db.rows("SELECT count(*), min(value), max(value) FROM copied"), [[1000, 999_000, 999_999]])


def test_what_is_no_tensor_is_refused(kept, db):
    assert db.refused(404, "not_found", f"SELECT * FROM tensor('{kept}/none')") == f"{kept}/none"
    for other in [f"{kept}/points", kept, "days", "/host/entries", ""]:
        message = db.refused(400 if other != kept else 404, None, f"SELECT * FROM tensor('{other}')")
        assert other == kept or message == f"{other} is not the path of a tensor"
    one = "tensor takes one argument, the path of a tensor"
    assert db.refused(400, "bad_request", "SELECT * FROM tensor()") == one
    assert db.refused(400, "bad_request", "SELECT * FROM tensor('/a', '/b')") == one
    assert db.refused(400, "bad_request", "SELECT * FROM tensor(5)") == "expected the path of a tensor, not 5"
    schema = kept.removeprefix("/service/")
    hint = f"{kept}/days is a tensor, which is read as tensor('{kept}/days')"
    assert db.refused(400, "bad_request", f'SELECT * FROM "{schema}".days') == hint
