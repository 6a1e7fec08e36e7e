#!/usr/bin/env python3
"""DuckDB, in the process of its clients, on tables in its own file."""

import random

import duckdb
import pyarrow

from common import (
    CACHE_MB,
    CLIENTS,
    DIR,
    KEYS,
    ROWS,
    SF,
    THREADS,
    TPCH_TABLES,
    bytes_below,
    bytes_written,
    clients,
    drive,
    facts,
    folder,
    item,
    live_bytes,
    main,
    queries,
    record,
    run_queries,
    timed,
    upsert_batches,
)

UPSERT = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)"


def connect(path):
    config = {"threads": THREADS, "memory_limit": f"{4 * CACHE_MB}MB"}
    return duckdb.connect(str(path / "db"), config=config)


def items(rows):
    ids, names, quantities, prices = zip(*rows, strict=True)
    quantities = pyarrow.array(quantities, pyarrow.int32())
    return pyarrow.table({"id": ids, "name": names, "quantity": quantities, "price": prices})


def fill(connection):
    connection.execute(queries("tables")["item"])
    rows = items(map(item, range(KEYS)))
    connection.from_arrow(rows).insert_into("item")
    connection.execute("CHECKPOINT")


def commits():
    with folder("duckdb") as path, connect(path) as database:
        fill(database)
        for count in CLIENTS:

            def client(_):
                connection = database.cursor()

                def work():
                    row = item(random.randrange(KEYS))
                    while True:
                        try:
                            connection.execute(UPSERT, row)
                            return
                        except (duckdb.TransactionException, duckdb.ConstraintException):
                            # Another client wrote the same row meanwhile.
                            continue

                return work

            record("commits", f"upsert, {clients(count)}", "duckdb", drive(count, client), "commits/s")


def reads():
    with folder("duckdb") as path, connect(path) as database:
        fill(database)
        for count in CLIENTS:

            def client(_):
                connection = database.cursor()

                def work():
                    key = random.randrange(KEYS)
                    assert connection.execute("SELECT * FROM item WHERE id = ?", (key,)).fetchone()[0] == key

                return work

            record("reads", f"get, {clients(count)}", "duckdb", drive(count, client), "reads/s")


def fill_facts(connection, has_key):
    """Loads the table facts from memory; returns the seconds that it took to become durable."""
    declared = queries("tables")["facts"]
    connection.execute(declared if has_key else declared.replace("PRIMARY KEY", "NOT NULL"))
    rows = connection.sql(facts(ROWS)).to_arrow_table()

    def insert():
        connection.from_arrow(rows).insert_into("facts")
        connection.execute("CHECKPOINT")

    return timed(insert)[0]


def load():
    for has_key, system in [(True, "duckdb"), (False, "duckdb, no key")]:
        with folder("duckdb") as path, connect(path) as connection:
            record("load", "load 10 columns", system, ROWS / fill_facts(connection, has_key), "rows/s")


def scan():
    with folder("duckdb") as path:
        with connect(path) as connection:
            fill_facts(connection, False)
        with connect(path) as connection:
            run_queries("scan", "duckdb", lambda sql: connection.execute(sql).fetchall(), queries("scan"))


def tpch():
    parquet = DIR / f"tpch-sf{SF}"
    if not parquet.is_dir():
        raise SystemExit(f"there is no {parquet}: run the group tpch of the host first, which writes it")
    with folder("duckdb") as path:
        with connect(path) as connection:
            for table in TPCH_TABLES:
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM '{parquet}/{table}.parquet'")
        with connect(path) as connection:
            run_queries("tpch", "duckdb", lambda sql: connection.execute(sql).fetchall(), queries("tpch"))


def amplification():
    with folder("duckdb") as path:
        with connect(path) as connection:
            fill(connection)
            batches, user_bytes = upsert_batches()
            before = bytes_written()
            for batch in batches:
                connection.register("batch", items(batch))
                connection.execute("INSERT OR REPLACE INTO item SELECT * FROM batch")
            connection.execute("CHECKPOINT")
            written = bytes_written() - before
        record("amplification", "written for each byte", "duckdb", written / user_bytes, "bytes")
        record("amplification", "size of each byte", "duckdb", bytes_below(path) / live_bytes(), "bytes")


if __name__ == "__main__":
    groups = {"commits": commits, "reads": reads, "load": load, "scan": scan, "tpch": tpch}
    main(groups | {"amplification": amplification})
