"""SQL over HTTP: the forms of replies, parameters, errors, transactions, and the same rows seen by the client's methods."""

import base64
import datetime
import decimal
import json
import math
import random
import threading

import pyarrow as pa
import pytest
import requests
import tinychain as tc

from sample_collections import TABLE
from sample_sql import ARROW, FLAGS, SERVICE, Sql, start
from support import client_error, error_of, program, same

D = decimal.Decimal


@pytest.fixture(scope="module")
def sql_host(request, tmp_path_factory):
    yield from start(request, tmp_path_factory, "sql")


@pytest.fixture
def db(sql_host):
    db = Sql(sql_host.url)
    yield db
    db.drop_all()


TYPED = (
    "CREATE TABLE typed (id BIGINT PRIMARY KEY, b BOOLEAN, s SMALLINT, i INT, r REAL, d DOUBLE, n DECIMAL(20, 4), t VARCHAR(50), "
    "x BYTEA, da DATE, ts TIMESTAMP, u BIGINT UNSIGNED)"
)
TYPED_ROW = [
    7, True, -32768, 2147483647, 0.1, 1e300, "1234567890123456.7890", "zwölf €", base64.b64encode(b"\x00\xff").decode(), "2024-02-29",
    "2024-02-29T01:02:03.000004", 18446744073709551615,
]


@pytest.fixture
def typed(db):
    """A table with a column of each type, a row of values and a row of NULLs."""

    db.run(TYPED)
    db.run(
        "INSERT INTO typed VALUES (7, true, -32768, 2147483647, 0.1, 1e300, '1234567890123456.7890', 'zwölf €', X'00FF', '2024-02-29', "
        "'2024-02-29 01:02:03.000004', 18446744073709551615)"
    )
    db.run("INSERT INTO typed (id) VALUES (8)")
    return db


# --- replies ----------------------------------------------------------------------------------------------------


def test_the_reply_to_a_query(db):
    columns, rows = db.query("SELECT 1 AS one, 'two' AS two, 2.5 AS half, true AS yes, NULL AS nothing")
    assert columns == [
        {"name": "one", "type": "BIGINT"},
        {"name": "two", "type": "VARCHAR"},
        {"name": "half", "type": "DOUBLE"},
        {"name": "yes", "type": "BOOLEAN"},
        {"name": "nothing", "type": "NULL"},
    ]
    same(rows, [[1, "two", 2.5, True, None]])


def test_the_reply_to_a_query_without_rows(db):
    columns, rows = db.query("SELECT 1 AS one WHERE false")
    assert (columns, rows) == ([{"name": "one", "type": "BIGINT"}], [])


def test_the_reply_to_statements_that_write(db):
    assert db.reply("CREATE TABLE t (id INT PRIMARY KEY, n INT)") == {"rows_affected": 0}
    assert db.reply("CREATE INDEX by_n ON t (n)") == {"rows_affected": 0}
    assert db.reply("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)") == {"rows_affected": 3}
    assert db.reply("UPDATE t SET n = 0 WHERE id > 1") == {"rows_affected": 2}
    assert db.reply("UPDATE t SET n = 0 WHERE id > 9") == {"rows_affected": 0}
    assert db.reply("DELETE FROM t WHERE id = 1") == {"rows_affected": 1}
    assert db.reply("TRUNCATE TABLE t") == {"rows_affected": 0}
    assert db.reply("DROP TABLE t") == {"rows_affected": 0}


def test_a_reply_ends_with_a_line_end(db):
    response = db.post("SELECT 1 AS n")
    assert response.text.endswith("\n")
    assert response.headers["content-length"] == str(len(response.content))


def test_a_script_is_answered_with_its_last_statement(db):
    assert db.rows("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2); SELECT count(*) AS n FROM t") == [[2]]
    assert db.run("SELECT 1; INSERT INTO t VALUES (3)") == 1


TYPES = {
    "id": "BIGINT", "b": "BOOLEAN", "s": "SMALLINT", "i": "INTEGER", "r": "REAL", "d": "DOUBLE", "n": "DECIMAL(20, 4)", "t": "VARCHAR",
    "x": "BYTEA", "da": "DATE", "ts": "TIMESTAMP", "u": "BIGINT UNSIGNED",
}


def test_every_type_of_column(typed):
    columns, rows = typed.query("SELECT * FROM typed ORDER BY id")
    assert {column["name"]: column["type"] for column in columns} == TYPES
    same(rows, [TYPED_ROW, [8] + [None] * 11])


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
def test_integers_are_exact(db, number):
    same(db.value(f"SELECT {number} AS n"), number)
    same(db.value("SELECT $1 AS n", number), number)
    db.run("CREATE TABLE t (id BIGINT PRIMARY KEY)")
    db.run("INSERT INTO t VALUES ($1)", number)
    same(db.value("SELECT id FROM t WHERE id = $1", number), number)
    assert f"[[{number}]]" in db.post("SELECT id FROM t").text


@pytest.mark.parametrize("text", ["0.00", "-0.01", "123456789012345678901234567890123456.78", "-999999999999999999999999999999999999.99"])
def test_decimals_are_exact(db, text):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, n DECIMAL(38, 2))")
    db.run("INSERT INTO t VALUES (1, $1)", text)
    same(db.value("SELECT n FROM t"), text)
    same(db.value("SELECT sum(n) FROM t"), text)
    same(db.value("SELECT id FROM t WHERE n = $1", text), 1)


@pytest.mark.parametrize("number", [0.1, -2.5, 1e-300, 1.7976931348623157e308, 5e-324, 123456789.123456789, 3.0])
def test_floats_read_back_as_the_same(db, number):
    same(db.value("SELECT $1 AS d", number), number)
    db.run("CREATE TABLE t (id INT PRIMARY KEY, d DOUBLE)")
    db.run("INSERT INTO t VALUES (1, $1)", number)
    same(db.value("SELECT d FROM t"), number)


def test_floats_that_json_has_no_number_for(db):
    rows = db.rows("SELECT CAST('NaN' AS DOUBLE) AS a, CAST('Infinity' AS DOUBLE) AS b, CAST('-Infinity' AS DOUBLE) AS c")
    assert math.isnan(rows[0][0]) and rows[0][1:] == [math.inf, -math.inf]


TEXTS = ["", " ", "it's", '"quoted"', "back\\slash", "tab\tline\nend", "ünïcödé", "日本語", "😀", "\u0001", "a" * 5000, "%_", "NULL"]
TEXTS += ["$1", "--", ";"]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_texts(db, text):
    same(db.value("SELECT $1 AS t", text), text)
    db.run("CREATE TABLE t (id INT PRIMARY KEY, t TEXT)")
    db.run("CREATE INDEX by_t ON t (t)")
    db.run("INSERT INTO t VALUES (1, $1), (2, 'other')", text)
    same(db.rows("SELECT id, t FROM t WHERE t = $1", text), [[1, text]])
    quoted = text.replace("'", "''")
    same(db.value(f"SELECT id FROM t WHERE t = '{quoted}'"), 1)


def test_lists(db):
    columns, rows = db.query("SELECT [1, 2, NULL] AS n, ['a', 'b'] AS t, [] AS e")
    assert [column["type"] for column in columns][:2] == ["BIGINT[]", "VARCHAR[]"]
    same(rows, [[[1, 2, None], ["a", "b"], []]])


def test_names_of_columns(db):
    columns, _ = db.query('SELECT 1 AS lower, 2 AS UPPER, 3 AS "Quoted Name", 4 AS "é"')
    assert [column["name"] for column in columns] == ["lower", "upper", "Quoted Name", "é"]
    db.run('CREATE TABLE "Mixed" ("Key" INT PRIMARY KEY, plain INT)')
    db.run('INSERT INTO "Mixed" VALUES (1, 2)')
    assert db.rows('SELECT "Key", PLAIN FROM "Mixed"') == [[1, 2]]
    db.refused(404, "not_found", "SELECT * FROM Mixed")
    db.refused(400, "bad_request", 'SELECT Key FROM "Mixed"')


# --- parameters -------------------------------------------------------------------------------------------------

PARAMS = [
    ("b", "id", True, 7),
    ("s", "id", -32768, 7),
    ("i", "id", 2147483647, 7),
    ("u", "id", 18446744073709551615, 7),
    ("d", "id", 1e300, 7),
    ("n", "id", "1234567890123456.7890", 7),
    ("t", "id", "zwölf €", 7),
    ("da", "id", "2024-02-29", 7),
    ("ts", "id", "2024-02-29T01:02:03.000004", 7),
    ("id", "t", 7, "zwölf €"),
]


@pytest.mark.parametrize("column,other,value,expected", PARAMS, ids=lambda value: str(value)[:20])
def test_a_parameter_is_compared(typed, column, other, value, expected):
    same(typed.rows(f"SELECT {other} FROM typed WHERE {column} = $1", value), [[expected]])


@pytest.mark.parametrize("column", list(TYPES)[1:])
def test_null_as_a_parameter(typed, column):
    assert typed.rows(f"SELECT id FROM typed WHERE {column} = $1", None) == []
    assert typed.run(f"UPDATE typed SET {column} = $1 WHERE id = 7", None) == 1
    assert typed.rows(f"SELECT {column} FROM typed WHERE id = 7") == [[None]]


def test_parameters_of_every_type_are_inserted(db):
    db.run(TYPED)
    places = ", ".join(f"${at + 1}" for at in range(12))
    values = [9, False, 5, "6", 1.5, 2, 3, "text", None, "2001-02-03", "2001-02-03 04:05:06", 0]
    assert db.run(f"INSERT INTO typed VALUES ({places})", *values) == 1
    same(db.rows("SELECT * FROM typed"), [[9, False, 5, 6, 1.5, 2.0, "3.0000", "text", None, "2001-02-03", "2001-02-03T04:05:06", 0]])


def test_a_parameter_more_than_once_and_in_another_order(db):
    assert db.rows("SELECT $2 AS a, $1 AS b, $2 AS c", 1, "x") == [["x", 1, "x"]]


def test_parameters_in_a_script(db):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    script = "BEGIN; INSERT INTO t VALUES ($1, $2); UPDATE t SET n = n + $2 WHERE id = $1; SELECT n FROM t WHERE id = $1; COMMIT"
    assert db.rows(script, 5, 20) == [[40]]


def test_parameters_are_not_text(db):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, t TEXT)")
    attack = "'); DROP TABLE t; --"
    db.run("INSERT INTO t VALUES (1, $1)", attack)
    same(db.rows("SELECT t FROM t WHERE t = $1", attack), [[attack]])


def test_the_same_text_with_other_parameters(db):
    """Plans that are kept belong to the values of their parameters too."""

    db.run("CREATE TABLE t (id INT PRIMARY KEY, t TEXT)")
    db.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
    for _ in range(2):
        for value, expected in [(1, "a"), (2, "b"), (1, "a"), (3, None)]:
            assert db.rows("SELECT t FROM t WHERE id = $1", value) == [[expected]]


@pytest.mark.parametrize("params,place", [([[1]], "$1"), ([1, {"a": 1}], "$2")], ids=str)
def test_parameters_that_are_no_scalars(db, params, place):
    assert place in db.refused(400, "bad_request", "SELECT $1 AS a, $2 AS b", *params)


def test_a_parameter_that_is_missing(db):
    assert "$2" in db.refused(400, "bad_request", "SELECT $2 AS a", 1)
    assert "$1" in db.refused(400, "bad_request", "SELECT $1 AS a")


def test_a_parameter_that_does_not_fit(db):
    db.run("CREATE TABLE t (id SMALLINT PRIMARY KEY)")
    db.refused(400, "bad_request", "INSERT INTO t VALUES ($1)", 70000)
    db.refused(400, "bad_request", "INSERT INTO t VALUES ($1)", "x")
    db.refused(400, "bad_request", "INSERT INTO t VALUES ($1)", None)
    assert db.value("SELECT count(*) FROM t") == 0


# --- errors -----------------------------------------------------------------------------------------------------

BODIES = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b"[]", "sql"),
    (b"{}", "sql"),
    (b'{"sql": 1}', "sql"),
    (b'{"sql": null}', "sql"),
    (b'{"sql": "SELECT 1", "params": 1}', "params"),
    (b'{"sql": "SELECT 1", "params": {"a": 1}}', "params"),
    (b'{"sql": "SELECT 1", "hypothetical": 1}', "hypothetical"),
    (b'{"sql": "SELECT 1", "parms": []}', "parms"),
    (b'{"sql": ""}', "no statement"),
    (b'{"sql": "-- nothing"}', "no statement"),
    (b'\xff\xfe', "JSON"),
]


@pytest.mark.parametrize("body,expected", BODIES, ids=repr)
def test_faulty_bodies(db, body, expected):
    assert expected in error_of(requests.post(db.url + "/sql", data=body), 400, "bad_request")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_other_verbs(db, method):
    response = getattr(requests, method)(db.url + "/sql")
    error_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


REFUSED = [
    (400, "bad_request", "SELEC 1", "SELEC"),
    (400, "bad_request", "SELECT 1 +", ""),
    (400, "bad_request", "SELECT 'open", "nterminated"),
    (400, "bad_request", "SELECT missing FROM t", "missing"),
    (400, "bad_request", "SELECT 1 / 0", "ivide by zero"),
    (400, "bad_request", "SELECT CAST('x' AS INT)", "x"),
    (400, "bad_request", "SELECT nosuch(1)", "nosuch"),
    (400, "bad_request", "INSERT INTO t VALUES (1, 1)", "1"),
    (400, "bad_request", "INSERT INTO t (n) VALUES (1)", "id"),
    (400, "bad_request", "CREATE TABLE t (id INT PRIMARY KEY)", "already a table t"),
    (400, "bad_request", "CREATE TABLE u (id INT)", "PRIMARY KEY"),
    (400, "bad_request", "BEGIN; SELECT 1", "COMMIT"),
    (404, "not_found", "SELECT * FROM nothing", "nothing"),
    (404, "not_found", "INSERT INTO nothing VALUES (1)", "nothing"),
    (404, "not_found", "DROP TABLE nothing", "nothing"),
    (404, "not_found", "DROP INDEX nothing", "nothing"),
    (501, "not_implemented", "CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
    (501, "not_implemented", "CREATE TABLE u (id INT PRIMARY KEY, v INTERVAL)", "INTERVAL"),
    (501, "not_implemented", "VACUUM", "VACUUM"),
]


@pytest.mark.parametrize("status,kind,text,expected", REFUSED, ids=[text for _, _, text, _ in REFUSED])
def test_errors(db, status, kind, text, expected):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 10)")
    assert expected in db.refused(status, kind, text)
    assert db.rows("SELECT * FROM t") == [[1, 10]]
    assert db.tables() == ["t"]


def test_a_syntax_error_says_where(db):
    message = db.refused(400, "bad_request", "SELECT 1;\nSELECT 2 FRM x y")
    assert "Line: 2" in message, message


def test_a_deep_expression(db):
    """It is answered or refused, but the host goes on."""

    response = db.post("SELECT " + "(" * 5000 + "1" + ")" * 5000)
    error_of(response, 400, "bad_request")
    response = db.post("SELECT " + " + ".join(["1"] * 2000) + " AS n")
    error_of(response, 413, "payload_too_large")
    assert db.value("SELECT 1 AS n") == 1


def slow_sum(db):
    """A query for one number that takes a while."""

    rows, seconds = 100_000, 0.0
    while seconds < 0.4:
        rows *= 2
        slow = f"SELECT sum(m % 7) AS n FROM generate_series(1, {rows}) AS t(m)"
        seconds = db.post(slow).elapsed.total_seconds()

    return slow


def test_a_conflict(db):
    """A transaction that takes longer than those that change what it reads is tried again for some time, and refused then."""

    db.run("CREATE TABLE counter (id INT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO counter VALUES (1, 0)")
    slow = slow_sum(db)
    stopping, increments = threading.Event(), []

    def increment():
        other, done = Sql(db.url), 0
        while not stopping.is_set():
            done += other.post("UPDATE counter SET n = n + 1 WHERE id = 1").status_code == 200

        increments.append(done)

    thread = threading.Thread(target=increment)
    thread.start()
    try:
        message = db.refused(409, "conflict", f"UPDATE counter SET n = ({slow}) WHERE id = 1")
    finally:
        stopping.set()
        thread.join()

    assert "counter" in message and "retry" in message, message
    assert db.value("SELECT n FROM counter") == increments[0]


def test_a_reply_that_is_too_large(spawn):
    db = Sql(spawn(*FLAGS, "--max_reply_size=20K").url)
    query = "SELECT n FROM generate_series(1, 20000) AS t(n)"
    assert ARROW in db.refused(413, "payload_too_large", query)
    assert db.arrow(query).num_rows == 20000


# --- hypothetical -----------------------------------------------------------------------------------------------


@pytest.fixture
def stock(db):
    db.run("CREATE TABLE stock (sku INT PRIMARY KEY, qty INT NOT NULL, price DECIMAL(6, 2), since DATE)")
    db.run("CREATE INDEX by_qty ON stock (qty)")
    db.run("INSERT INTO stock VALUES (1, 10, 1.5, '2020-01-01'), (2, 20, NULL, NULL), (3, 30, 2.5, '2021-01-01')")
    return db


STOCK = [[1, 10, "1.50", "2020-01-01"], [2, 20, None, None], [3, 30, "2.50", "2021-01-01"]]


def changes(diff, table):
    """What a diff says of a table: inserted, updated, deleted."""

    (found,) = [entry for entry in diff if entry["table"] == f"{SERVICE}/{table}"]
    assert found["truncated"] is False
    return [found["inserted"], [[change["before"], change["after"]] for change in found["updated"]], found["deleted"]]


def unchanged(db):
    same(db.rows("SELECT * FROM stock ORDER BY sku"), STOCK)
    assert db.rows("SELECT sku FROM stock WHERE qty = 10") == [[1]]
    assert db.rows("SELECT sku FROM stock WHERE qty = 11") == []
    assert db.tables() == ["stock"]


def test_a_hypothetical_statement(stock):
    reply = stock.reply("UPDATE stock SET qty = qty + 1 WHERE sku < 3", hypothetical=True)
    assert set(reply) == {"result", "diff"}
    assert reply["result"] == {"rows_affected": 2}
    inserted, updated, deleted = changes(reply["diff"], "stock")
    same([inserted, deleted], [[], []])
    same(updated, [(STOCK[0], [1, 11, "1.50", "2020-01-01"]), (STOCK[1], [2, 21, None, None])])
    unchanged(stock)


def test_a_hypothetical_script(stock):
    script = (
        "DELETE FROM stock WHERE sku = 1; INSERT INTO stock VALUES (4, 40, 4, '2024-01-01'); UPDATE stock SET price = 9 WHERE sku = 2; "
        "SELECT sum(qty) AS q FROM stock"
    )
    reply = stock.reply(script, hypothetical=True)
    assert reply["result"]["rows"] == [[90]]
    inserted, updated, deleted = changes(reply["diff"], "stock")
    same(inserted, [[4, 40, "4.00", "2024-01-01"]])
    same(updated, [(STOCK[1], [2, 20, "9.00", None])])
    same(deleted, [STOCK[0]])
    unchanged(stock)


def test_what_comes_to_nothing_is_no_difference(stock):
    script = "INSERT INTO stock VALUES (4, 1, NULL, NULL); DELETE FROM stock WHERE sku = 4; UPDATE stock SET qty = qty"
    reply = stock.reply(script, hypothetical=True)
    assert all(entry["inserted"] == entry["updated"] == entry["deleted"] == [] for entry in reply["diff"])
    unchanged(stock)


def test_hypothetical_tables(stock):
    reply = stock.reply("CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO other VALUES (1), (2); SELECT count(*) AS n FROM other", hypothetical=True)
    assert reply["result"]["rows"] == [[2]]
    assert changes(reply["diff"], "other") == [[[1], [2]], [], []]
    unchanged(stock)
    reply = stock.reply("DROP TABLE stock", hypothetical=True)
    same(changes(reply["diff"], "stock"), ([], [], STOCK))
    unchanged(stock)
    reply = stock.reply("TRUNCATE TABLE stock", hypothetical=True)
    same(changes(reply["diff"], "stock"), ([], [], STOCK))
    unchanged(stock)


def test_a_hypothetical_query(stock):
    reply = stock.reply("SELECT qty FROM stock ORDER BY sku", hypothetical=True)
    assert reply["result"]["rows"] == [[10], [20], [30]]
    assert reply["diff"] == []


def test_a_hypothetical_error(stock):
    stock.refused(400, "bad_request", "DELETE FROM stock; INSERT INTO stock VALUES (1, NULL, 1, NULL)", hypothetical=True)
    unchanged(stock)


def test_a_long_difference_is_cut_off(db):
    db.run("CREATE TABLE many (id INT PRIMARY KEY, n INT)")
    db.run("INSERT INTO many SELECT n, n AS m FROM generate_series(1, 1500) AS t(n)")
    (diff,) = db.reply("UPDATE many SET n = n + 1", hypothetical=True)["diff"]
    assert diff["truncated"] is True
    assert len(diff["updated"]) == 1000
    assert diff["updated"][0] == {"before": [1, 1], "after": [1, 2]}
    assert db.value("SELECT sum(n) FROM many") == 1500 * 1501 // 2


def test_hypothetical_scripts_disturb_nobody(stock):
    """Not even those who change the same rows at the same time."""

    failed = []

    def ask():
        other = Sql(stock.url)
        for _ in range(10):
            response = other.post("UPDATE stock SET qty = 0; SELECT count(*) AS n FROM stock", hypothetical=True)
            failed.extend([response.text] if response.status_code != 200 else [])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()

    for _ in range(20):
        assert stock.run("UPDATE stock SET qty = qty + 1 WHERE sku = 1") == 1

    for thread in threads:
        thread.join()

    assert failed == []
    assert stock.rows("SELECT qty FROM stock ORDER BY sku") == [[30], [20], [30]]


# --- Arrow ------------------------------------------------------------------------------------------------------


def test_rows_as_arrow(typed):
    table = typed.arrow("SELECT * FROM typed ORDER BY id")
    assert table.column_names == list(TYPES)
    expected = [
        7, True, -32768, 2147483647, pytest.approx(0.1, rel=1e-6), 1e300, D("1234567890123456.7890"), "zwölf €", b"\x00\xff",
        datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), 18446744073709551615,
    ]
    rows = table.to_pylist()
    assert list(rows[0].values()) == expected
    assert list(rows[1].values()) == [8] + [None] * 11


def test_types_as_arrow(typed):
    schema = typed.arrow("SELECT * FROM typed").schema
    expected = {
        "id": pa.int64(), "b": pa.bool_(), "s": pa.int16(), "i": pa.int32(), "r": pa.float32(), "d": pa.float64(), "n": pa.decimal128(20, 4),
        "da": pa.date32(), "ts": pa.timestamp("us"), "u": pa.uint64(),
    }
    assert {name: schema.field(name).type for name in expected} == expected
    assert pa.types.is_string_view(schema.field("t").type) or pa.types.is_string(schema.field("t").type)
    assert pa.types.is_binary_view(schema.field("x").type) or pa.types.is_binary(schema.field("x").type)


def test_no_rows_as_arrow(typed):
    table = typed.arrow("SELECT id, t FROM typed WHERE false")
    assert (table.num_rows, table.column_names) == (0, ["id", "t"])


def test_many_rows_as_arrow(db):
    table = db.arrow("SELECT n, n * n AS square, 'row ' || n AS t FROM generate_series(1, 100000) AS t(n) ORDER BY n")
    assert table.num_rows == 100_000
    assert table.column("n").combine_chunks().to_pylist() == list(range(1, 100_001))
    assert table.slice(99_999).to_pylist() == [{"n": 100_000, "square": 10_000_000_000, "t": "row 100000"}]


def test_arrow_among_other_media_types(db):
    response = db.post("SELECT 1 AS n", headers={"accept": f"text/html, {ARROW};q=0.9, */*;q=0.1"})
    assert response.headers["content-type"] == ARROW
    assert db.post("SELECT 1 AS n", headers={"accept": "*/*"}).headers["content-type"] == "application/json"


def test_what_is_no_query_is_json_all_the_same(db):
    headers = {"accept": ARROW}
    response = db.post("CREATE TABLE t (id INT PRIMARY KEY)", headers=headers)
    assert response.json() == {"rows_affected": 0}
    error_of(db.post("SELECT missing FROM t", headers=headers), 400, "bad_request")
    error_of(db.post("SELECT * FROM nothing", headers=headers), 404, "not_found")
    error_of(db.post("SELECT 1 / 0", headers=headers), 400, "bad_request")


# --- what there is ----------------------------------------------------------------------------------------------


def test_the_information_schema(db):
    db.run("CREATE TABLE city (name VARCHAR(20) PRIMARY KEY, zone INT NOT NULL, since DATE, UNIQUE (since))")
    db.run("CREATE INDEX by_zone ON city (zone, since)")
    tables = db.rows("SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public'")
    assert tables == [["public", "city", "BASE TABLE"]]
    columns = db.rows("SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = 'city' ORDER BY ordinal_position")
    assert columns == [["name", "NO"], ["zone", "NO"], ["since", "YES"]]
    keys = db.rows("SELECT constraint_type FROM information_schema.table_constraints WHERE table_name = 'city' ORDER BY constraint_type")
    assert keys == [["PRIMARY KEY"], ["UNIQUE"]]
    indexes = db.rows("SELECT column_name FROM information_schema.statistics WHERE index_name = 'by_zone' ORDER BY seq_in_index")
    assert indexes == [["zone"], ["since"]]


# --- transactions -----------------------------------------------------------------------------------------------


def test_a_script_is_one_transaction(db):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL); INSERT INTO t VALUES (1, 1)")
    for script in [
        "UPDATE t SET n = 2; INSERT INTO t VALUES (1, 1)",
        "UPDATE t SET n = 2; SELECT * FROM nothing",
        "UPDATE t SET n = 2; SELECT 1 / 0",
        "BEGIN; UPDATE t SET n = 2; INSERT INTO t VALUES (2, NULL); COMMIT",
        "CREATE TABLE u (id INT PRIMARY KEY); UPDATE t SET n = 2; DROP TABLE nothing",
    ]:
        assert db.post(script).status_code in (400, 404), script
        assert db.rows("SELECT * FROM t") == [[1, 1]]
        assert db.tables() == ["t"]

    db.run("BEGIN; UPDATE t SET n = 2; ROLLBACK")
    assert db.rows("SELECT * FROM t") == [[1, 1]]
    db.run("BEGIN; UPDATE t SET n = 2; INSERT INTO t VALUES (2, 2); COMMIT")
    assert db.rows("SELECT * FROM t ORDER BY id") == [[1, 2], [2, 2]]


def test_statements_see_those_before_them(db):
    script = (
        "CREATE TABLE t (id INT PRIMARY KEY, n INT); CREATE INDEX by_n ON t (n); INSERT INTO t VALUES (1, 10), (2, 20); "
        "UPDATE t SET n = n + 1; DELETE FROM t WHERE n = 11; INSERT INTO t SELECT id + 10, n FROM t; SELECT * FROM t WHERE n = 21 ORDER BY id"
    )
    assert db.rows(script) == [[2, 21], [12, 21]]
    assert db.rows("SELECT id FROM t WHERE n = 21 ORDER BY id") == [[2], [12]]


def test_transfers_preserve_the_sum(db):
    """Concurrent transfers, tried again on 409, lose and invent nothing, and no reader sees half of one."""

    accounts, threads, transfers = 6, 6, 15
    db.run("CREATE TABLE account (id INT PRIMARY KEY, amount BIGINT NOT NULL)")
    db.run("CREATE TABLE ledger (id INT PRIMARY KEY, source INT NOT NULL, target INT NOT NULL, amount BIGINT NOT NULL)")
    db.run("CREATE INDEX by_source ON ledger (source)")
    db.run("INSERT INTO account VALUES " + ", ".join(f"({n}, 1000)" for n in range(accounts)))
    script = (
        "BEGIN; UPDATE account SET amount = amount - $1 WHERE id = $2; UPDATE account SET amount = amount + $1 WHERE id = $3; "
        "INSERT INTO ledger VALUES ($4, $2, $3, $1); COMMIT"
    )
    faults, stopping = [], threading.Event()

    def transfer(thread):
        other, rng = Sql(db.url), random.Random(thread)
        for n in range(transfers):
            source, target = rng.sample(range(accounts), 2)
            while True:
                response = other.post(script, rng.randrange(1, 50), source, target, thread * transfers + n)
                if response.status_code != 409:
                    break

            if response.status_code != 200:
                faults.append(response.text)
                return

    def watch():
        other = Sql(db.url)
        while not stopping.is_set():
            ((total, moved, booked),) = other.rows(
                "SELECT sum(a.amount), sum(abs(a.amount - 1000 - coalesce(l.amount, 0))), count(*) FROM account AS a LEFT JOIN "
                "(SELECT id, sum(amount) AS amount FROM (SELECT target AS id, amount FROM ledger UNION ALL SELECT source, -amount FROM ledger) AS m "
                "GROUP BY id) AS l ON l.id = a.id"
            )
            if (total, moved, booked) != (1000 * accounts, 0, accounts):
                faults.append(f"a reader saw {total} in all, {moved} of it without an entry")
                return

    watcher = threading.Thread(target=watch)
    workers = [threading.Thread(target=transfer, args=(n,)) for n in range(threads)]
    for thread in [watcher, *workers]:
        thread.start()

    for thread in workers:
        thread.join()

    stopping.set()
    watcher.join()
    assert faults == []
    assert db.value("SELECT sum(amount) FROM account") == 1000 * accounts
    assert db.value("SELECT count(*) FROM ledger") == threads * transfers
    for account in range(accounts):
        out = db.value("SELECT coalesce(sum(amount), 0) FROM ledger WHERE source = $1", account)
        into = db.value("SELECT coalesce(sum(amount), 0) FROM ledger WHERE target = $1", account)
        assert db.value("SELECT amount FROM account WHERE id = $1", account) == 1000 + into - out


def test_concurrent_increments_are_all_there(db):
    db.run("CREATE TABLE counter (id INT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO counter VALUES (1, 0)")
    done = []

    def increment():
        other, count = Sql(db.url), 0
        while count < 20:
            count += other.post("UPDATE counter SET n = n + 1 WHERE id = 1").status_code == 200

        done.append(count)

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert db.value("SELECT n FROM counter") == sum(done) == 80


def test_upserts_of_different_keys_do_not_conflict(db):
    """Each reads the row of its key, not the table."""

    threads, rounds = 8, 25
    db.run("CREATE TABLE tally (id INT PRIMARY KEY, n BIGINT NOT NULL, note TEXT)")
    upsert = "INSERT INTO tally VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = tally.n + excluded.n, note = excluded.note"
    statuses = []

    def work(thread):
        other = Sql(db.url)
        for n in range(rounds):
            statuses.append(other.post(upsert, thread, n, f"round {n}").status_code)
            statuses.append(other.post(upsert, 100 + thread * rounds + n, 1, None).status_code)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()

    for worker in workers:
        worker.join()

    assert statuses == [200] * (2 * threads * rounds)
    expected = [[thread, sum(range(rounds)), f"round {rounds - 1}"] for thread in range(threads)]
    same(db.rows("SELECT * FROM tally WHERE id < 100 ORDER BY id"), expected)
    assert db.rows("SELECT count(*), sum(n), count(note) FROM tally WHERE id >= 100") == [[threads * rounds, threads * rounds, 0]]


def test_a_long_upsert_beside_others(db):
    """Nobody changes what it reads, so it does not have to be tried again until there is no time left: see test_a_conflict."""

    db.run("CREATE TABLE counter (id INT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO counter VALUES (2, 0)")
    slow, stopping, statuses = slow_sum(db), threading.Event(), []

    def increment():
        other = Sql(db.url)
        while not stopping.is_set():
            response = other.post("INSERT INTO counter VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1", 1)
            statuses.append(response.status_code)

    thread = threading.Thread(target=increment)
    thread.start()
    try:
        assert db.run(f"INSERT INTO counter SELECT 2 AS id, s.n FROM ({slow}) AS s ON CONFLICT (id) DO UPDATE SET n = excluded.n") == 1
    finally:
        stopping.set()
        thread.join()

    assert set(statuses) == {200}
    assert db.rows("SELECT id, n FROM counter ORDER BY id") == [[1, len(statuses)], [2, db.value(slow)]]


# --- statements that are run again -------------------------------------------------------------------------------


def write_again(db, first):
    """Runs the same statements as ever, which leave one row with the key after `first`."""

    insert = "INSERT INTO t (id, n) VALUES ($1, $2)"
    upsert = insert + " ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n"
    delete = "DELETE FROM t WHERE id = $1"
    assert db.run(insert, first, 1) == 1
    assert str(first) in db.refused(400, "bad_request", insert, first, 2)
    assert db.run(upsert, first, 10) == 1
    assert db.rows("SELECT n FROM t WHERE id = $1", first) == [[11]]
    assert db.run(upsert, first + 1, 10) == 1
    assert db.run("UPDATE t SET n = n + $2 WHERE id = $1", first + 1, 100) == 1
    assert db.run("UPDATE t SET n = n + $2 WHERE n = $1", 11, 1) == 1
    assert db.run("MERGE INTO t USING (SELECT $1 AS k) AS s ON t.id = s.k WHEN MATCHED AND t.n > $2 THEN DELETE", first, 12) == 0
    assert [db.run(delete, first), db.run(delete, first)] == [1, 0]


def test_statements_that_are_run_again_after_their_table_changed(db):
    """What is kept of a statement belongs to the table that there was."""

    db.run("CREATE TABLE t (id INT PRIMARY KEY, n BIGINT)")
    for first in (1, 3):
        write_again(db, first)

    assert db.rows("SELECT * FROM t ORDER BY id") == [[2, 110], [4, 110]]
    db.run("ALTER TABLE t ADD COLUMN m INT DEFAULT 7")
    write_again(db, 5)
    assert db.rows("SELECT * FROM t ORDER BY id") == [[2, 110, 7], [4, 110, 7], [6, 110, 7]]
    db.run("CREATE INDEX by_n ON t (n)")
    write_again(db, 7)
    assert db.rows("SELECT id FROM t WHERE n = 110 ORDER BY id") == [[2], [4], [6], [8]]
    db.run("ALTER TABLE t DROP COLUMN m")
    write_again(db, 9)
    assert db.rows("SELECT * FROM t WHERE id > 8") == [[10, 110]]
    db.run("DROP TABLE t")
    db.refused(404, "not_found", "INSERT INTO t (id, n) VALUES ($1, $2)", 1, 1)
    db.run("CREATE TABLE t (n SMALLINT, id BIGINT PRIMARY KEY, late TEXT DEFAULT 'late')")
    for first in (1, 3):
        write_again(db, first)

    assert db.rows("SELECT * FROM t ORDER BY id") == [[110, 2, "late"], [110, 4, "late"]]
    db.refused(400, "bad_request", "INSERT INTO t (id, n) VALUES ($1, $2)", 5, 70000)
    assert db.value("SELECT count(*) FROM t") == 2


def test_the_same_insert_with_values_of_every_type(db):
    db.run(TYPED)
    insert = f"INSERT INTO typed VALUES ({', '.join(f'${at + 1}' for at in range(12))})"
    upsert = insert + " ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in list(TYPES)[1:])
    other_row = [False, 5, 6, 1.5, 2.0, "3.0000", "text", None, "2001-02-03", "2001-02-03T04:05:06", 0]
    row = TYPED_ROW[1:8] + [None] + TYPED_ROW[9:]
    for key in (1, 2):
        assert db.run(insert, key, *row) == 1
        assert db.run(insert, key + 10, *other_row) == 1

    same(db.rows("SELECT * FROM typed ORDER BY id"), [[1, *row], [2, *row], [11, *other_row], [12, *other_row]])
    nothing = [None] * 11
    for values in (row, other_row, nothing, row):
        assert db.run(upsert, 1, *values) == 1
        same(db.rows("SELECT * FROM typed WHERE id = 1"), [[1, *values]])

    for key in ("3", "4"):
        assert db.run(upsert, key, *other_row) == 1
        same(db.rows("SELECT * FROM typed WHERE id = $1", int(key)), [[int(key), *other_row]])

    for column, value in zip(list(TYPES)[1:], other_row):
        for key in (1, 2):
            assert db.run(f"UPDATE typed SET {column} = $2 WHERE id = $1", key, value) == 1
            same(db.rows(f"SELECT {column} FROM typed WHERE id = $1", key), [[value]])


def test_parameters_that_do_not_fit_a_statement_that_was_run(db):
    db.run("CREATE TABLE t (id SMALLINT PRIMARY KEY, n INT NOT NULL)")
    insert = "INSERT INTO t VALUES ($1, $2)"
    upsert = insert + " ON CONFLICT (id) DO UPDATE SET n = CAST($3 AS INT)"
    assert db.run(insert, 1, 1) == db.run(insert, "2", "2") == db.run(upsert, 3, 3, "4") == db.run(upsert, 3, 3, "5") == 1
    for params in [(70000, 1), (4, 2**40), ("x", "1"), ("4", "x"), (None, 1), (4, None)]:
        db.refused(400, "bad_request", insert, *params)

    # A cast without a result is a mistake, whether or not a row needs it.
    for key in (3, 4):
        db.refused(400, "bad_request", upsert, key, 1, "x")

    assert db.run("UPDATE t SET n = $1 WHERE id = $2", 7, 1) == 1
    for params, count in [((7, 70000), 0), ((7, None), 0), ((7, 1), 1), (("8", "1"), 1)]:
        assert db.run("UPDATE t SET n = $1 WHERE id = $2", *params) == count

    db.refused(400, "bad_request", "UPDATE t SET n = $1 WHERE id = $2", None, 1)
    db.refused(400, "bad_request", "UPDATE t SET n = $1 WHERE id = $2", 2**40, 1)
    assert db.run("DELETE FROM t WHERE id = $1", 70000) == 0
    assert db.rows("SELECT * FROM t ORDER BY id") == [[1, 8], [2, 2], [3, 5]]


def test_what_a_function_yields_is_not_kept(db):
    db.run("CREATE TABLE log (id INT PRIMARY KEY, t TIMESTAMP, x DOUBLE)")
    for n in range(3):
        assert db.run("INSERT INTO log VALUES ($1, now(), random())", n) == 1

    times = [time for (time,) in db.rows("SELECT t FROM log ORDER BY id")]
    assert times == sorted(set(times))
    numbers = []
    for _ in range(3):
        assert db.run("UPDATE log SET x = random() WHERE id = 1") == 1
        numbers.append(db.value("SELECT x FROM log WHERE id = 1"))

    assert len(set(numbers)) == 3


def test_scripts_that_commit_nothing_are_run_again(db):
    db.run("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    upsert = "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n"
    for _ in range(3):
        assert db.run(f"BEGIN; {upsert}; ROLLBACK", 1, 1) == 1
        assert db.rows("SELECT * FROM t") == []

    for n in range(1, 4):
        reply = db.reply(upsert, 1, 1, hypothetical=True)
        assert reply["result"] == {"rows_affected": 1}
        before = [] if n == 1 else [[[1, n - 1], [1, n]]]
        assert changes(reply["diff"], "t")[:2] == [[[1, 1]] if n == 1 else [], before]
        assert db.run(f"BEGIN; {upsert}; COMMIT", 1, 1) == 1
        assert db.rows("SELECT * FROM t") == [[1, n]]


def test_rows_survive_a_restart(spawn):
    host = spawn(*FLAGS)
    db = Sql(host.url)
    db.run(TYPED + "; CREATE INDEX by_day ON typed (da, i)")
    places = ", ".join(f"${at + 1}" for at in range(12))
    db.run(f"INSERT INTO typed VALUES ({places})", *TYPED_ROW[:8], None, *TYPED_ROW[9:])
    db.run("CREATE TABLE gone (id INT PRIMARY KEY); DROP TABLE gone")
    expected = db.rows("SELECT * FROM typed")
    for stop in ("stop", "kill", "stop"):
        getattr(host, stop)()
        host = spawn(*FLAGS)
        db = Sql(host.url)
        same(db.rows("SELECT * FROM typed"), expected)
        assert db.rows("SELECT id FROM typed WHERE da = '2024-02-29'") == [[7]]
        assert db.tables() == ["typed"]

    host.stop()


# --- the same rows by the client's methods ----------------------------------------------------------------------

CITY = f"{SERVICE}/city"
CITIES = [["ash", 3, "2000-01-02", "1.50"], ["elm", 1, None, None], ["fir", 2, "1999-12-31", "0.25"]]


@pytest.fixture
def city(db):
    db.run("CREATE TABLE city (name VARCHAR(15) PRIMARY KEY, zone INT NOT NULL, since DATE, tax DECIMAL(6, 2))")
    db.run("CREATE INDEX by_zone ON city (zone)")
    db.run("INSERT INTO city VALUES ('ash', 3, '2000-01-02', 1.5), ('elm', 1, NULL, NULL), ('fir', 2, '1999-12-31', 0.25)")
    return db


@pytest.fixture
def client(sql_host):
    return sql_host.client()


def rows_of(reply):
    """The rows of a table that is replied as a literal."""

    assert list(reply) == [TABLE], reply
    return reply[TABLE][1]


def all_rows(db):
    return db.rows("SELECT * FROM city ORDER BY name")


def test_get_a_row(city, client):
    for row in CITIES:
        same(client.get(CITY, (row[0],)), row)

    same(client.get(CITY, ("oak",)), None)


def test_get_all_rows(city, client):
    reply = client.get(CITY)
    same(rows_of(reply), CITIES)
    (key, values), indexes = reply[TABLE][0]
    assert [column[0] for column in key] == ["name"]
    assert [column[0] for column in values] == ["zone", "since", "tax"]
    assert indexes == [["by_zone", ["zone"]]]


def test_get_some_rows(city, client):
    same(rows_of(client.get(CITY, [["zone", [["in", 2], None]]])), [CITIES[2], CITIES[0]])
    same(rows_of(client.get(CITY, [["since", "2000-01-02"]])), [CITIES[0]])
    same(rows_of(client.get(CITY, [["tax", "0.25"]])), [CITIES[2]])


def test_methods_of_a_table(city, client):
    same(client.get(f"{CITY}/count"), 3)
    same(client.get(f"{CITY}/count", [["zone", [["in", 2], None]]]), 2)
    same(client.get(f"{CITY}/contains", ("ash",)), True)
    same(client.get(f"{CITY}/contains", ("oak",)), False)
    same(client.get(f"{CITY}/is_empty"), False)
    same(client.get(f"{CITY}/columns"), [{"name": []}, {"zone": []}, {"since": []}, {"tax": []}])


def test_put_a_row(city, client):
    same(client.put(CITY, ("oak",), [5, "2024-02-29", "7.5"]), None)
    same(city.rows("SELECT * FROM city WHERE name = 'oak'"), [["oak", 5, "2024-02-29", "7.50"]])
    same(client.put(CITY, ("oak",), [6, None, None]), None)
    same(city.rows("SELECT * FROM city WHERE zone > 4"), [["oak", 6, None, None]])
    assert city.value("SELECT count(*) FROM city") == 4


def test_update_rows(city, client):
    same(client.put(CITY, [["zone", [["in", 2], None]]], {"zone": 9}), None)
    assert city.rows("SELECT name FROM city WHERE zone = 9 ORDER BY name") == [["ash"], ["fir"]]


def test_delete_rows(city, client):
    same(client.delete(CITY, ("ash",)), None)
    same(all_rows(city), CITIES[1:])
    same(client.delete(CITY, [["zone", 1]]), None)
    same(all_rows(city), CITIES[2:])
    same(client.delete(CITY), None)
    assert all_rows(city) == []


def test_sql_writes_what_the_client_reads(city, client):
    city.run("UPDATE city SET tax = tax * 2, since = DATE '2001-01-01' WHERE name = 'ash'")
    same(client.get(CITY, ("ash",)), ["ash", 3, "2001-01-01", "3.00"])
    city.run("DELETE FROM city WHERE name = 'elm'")
    same(client.get(f"{CITY}/count"), 2)
    city.run("ALTER TABLE city ADD COLUMN mayor VARCHAR(10) DEFAULT 'nobody'")
    same(client.get(CITY, ("fir",)), ["fir", 2, "1999-12-31", "0.25", "nobody"])
    city.run("DROP TABLE city")
    with pytest.raises(tc.error.NotFound):
        client.get(CITY)


def test_the_tables_of_the_service(city, client):
    city.run("CREATE TABLE other (id INT PRIMARY KEY)")
    reply = client.get(SERVICE)
    assert sorted(reply) == ["city", "other"]
    same(client.get(f"{SERVICE}/city/schema"), reply["city"]["schema"])


def test_a_key_that_is_not_first(db, client):
    """Here, rows have their key first; SQL shows the columns as they were declared."""

    db.run("CREATE TABLE late (v INT, w INT, b INT, a INT, PRIMARY KEY (a, b))")
    client.put(f"{SERVICE}/late", (1, 2), [3, 4])
    same(db.rows("SELECT * FROM late"), [[3, 4, 2, 1]])
    same(client.get(f"{SERVICE}/late", (1, 2)), [1, 2, 3, 4])


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.put(CITY, ("oak",), [5]),
        lambda client: client.put(CITY, ("oak",), [None, None, None]),
        lambda client: client.put(CITY, ("oak",), ["x", None, None]),
        lambda client: client.put(CITY, ("oak",), [1, "2023-02-29", None]),
        lambda client: client.put(CITY, ("oak",), [1, None, "100000"]),
        lambda client: client.put(CITY, ("x" * 61,), [1, None, None]),
        lambda client: client.put(CITY, "oak", [1, None, None]),
        lambda client: client.get(CITY, "ash"),
        lambda client: client.get(CITY, [["girth", 1]]),
        lambda client: client.delete(CITY, ("ash", "elm")),
    ],
)
def test_faulty_calls(city, client, call):
    with pytest.raises(tc.error.BadRequest):
        call(client)

    same(all_rows(city), CITIES)


def test_paths_that_are_not_there(city, client):
    for call in (
        lambda: client.get(f"{SERVICE}/oak"),
        lambda: client.put(f"{SERVICE}/oak", (1,), [1]),
        lambda: client.get(f"{CITY}/girth"),
        lambda: client.get("/service/sql/other/0.0.0/city"),
    ):
        with pytest.raises(tc.error.NotFound):
            call()


def test_a_hypothetical_program_commits_nothing(city):
    count = {f"{CITY}/count": [None]}
    steps = [["w", {CITY: [["oak"], [1, None, None]]}], ["r", {"/state/scalar/ref/after": [{"$w": []}, count]}]]
    same(program(city.url, steps).json(), 4)
    same(all_rows(city), CITIES)


def test_programs_that_call_the_path(city, client):
    table = tc.table.Table(tc.URI(CITY))

    def run(build):
        cxt = tc.Context()
        cxt.r = build(cxt, table)
        return client.hypothetical(cxt)

    same(run(lambda cxt, t: t[("ash",)]), CITIES[0])
    same(run(lambda cxt, t: t.count()), 3)
    same(run(lambda cxt, t: (t.contains(("ash",)), t.contains(("oak",)), t.is_empty())), [True, False, False])
    same(rows_of(run(lambda cxt, t: t.where(zone=slice(1, 3)).order_by(["zone"], True))), [CITIES[2], CITIES[1]])
    same(rows_of(run(lambda cxt, t: t.where(zone=slice(1, None)).order_by(["name"]).limit(2).select(["zone"]))), [[3], [1]])
    same(run(lambda cxt, t: t.where(since="2000-01-02").count()), 1)


def test_programs_that_write_to_the_path(city, client):
    table = tc.table.Table(tc.URI(CITY))
    cxt = tc.Context()
    cxt.a = table.upsert(("oak",), [7, None, "2.5"])
    cxt.b = tc.after(cxt.a, table.delete(("ash",)))
    cxt.r = tc.after(cxt.b, (table.count(), table[("oak",)], table[("ash",)], table.where(zone=7).count()))
    same(client.hypothetical(cxt), [3, ["oak", 7, None, "2.50"], None, 1])
    same(all_rows(city), CITIES)


def test_an_insert_by_the_client(city, client):
    table = tc.table.Table(tc.URI(CITY))
    cxt = tc.Context()
    cxt.r = table.insert(("ash",), [1, None, None])
    with pytest.raises(tc.error.BadRequest) as raised:
        client.hypothetical(cxt)

    assert client_error(raised.value, "bad_request") == "cannot insert: key already exists"
    same(all_rows(city), CITIES)


def test_the_client_and_sql_at_the_same_time(city, client):
    """Both write through the same transactions, so nothing is lost between them."""

    city.run("CREATE TABLE tally (id INT PRIMARY KEY, n BIGINT NOT NULL)")
    path = f"{SERVICE}/tally"

    def by_sql():
        other = Sql(city.url)
        for n in range(0, 40, 2):
            assert other.run("INSERT INTO tally VALUES ($1, $2)", n, n * n) == 1

    def by_client():
        for n in range(1, 40, 2):
            client.put(path, (n,), [n * n])

    threads = [threading.Thread(target=work) for work in (by_sql, by_client)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert city.rows("SELECT id, n FROM tally ORDER BY id") == [[n, n * n] for n in range(40)]
    same(client.get(f"{path}/count"), 40)


def test_bodies_of_requests_are_json_with_any_content_type(db):
    body = json.dumps({"sql": "SELECT 1 AS n"})
    for content_type in (None, "application/json", "text/plain"):
        headers = {} if content_type is None else {"content-type": content_type}
        assert requests.post(db.url + "/sql", data=body, headers=headers).json()["rows"] == [[1]]
