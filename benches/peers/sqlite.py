#!/usr/bin/env python3
"""SQLite, in the process of its clients, with synchronous=FULL: every commit waits for the disk.

Clients are processes with a connection each. Those that write wait for each other at a lock of ours, because SQLite's
own way to wait is to sleep and try again, which costs it most of its speed.
"""

import multiprocessing
import random
import sqlite3
import subprocess

from common import (
    CACHE_MB,
    CLIENTS,
    KEYS,
    ROWS,
    bytes_below,
    bytes_written,
    clients,
    drive_processes,
    facts_csv,
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

JOURNALS = {"WAL": "sqlite, WAL", "DELETE": "sqlite, rollback journal"}
UPSERT = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)"


def connect(path, journal="WAL"):
    # Autocommit: a statement is a transaction.
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_MB * 1000 // max(CLIENTS)}")
    return connection


def fill(path, journal):
    connection = connect(path, journal)
    connection.execute(queries("tables")["item"])
    connection.execute("BEGIN")
    connection.executemany(UPSERT, map(item, range(KEYS)))
    connection.execute("COMMIT")
    connection.close()


def commits():
    for journal, system in JOURNALS.items():
        with folder("sqlite") as path:
            fill(path / "db", journal)
            for count in CLIENTS:
                one_at_a_time = multiprocessing.Lock()

                def client(_):
                    connection = connect(path / "db", journal)

                    def work():
                        with one_at_a_time:
                            connection.execute(UPSERT, item(random.randrange(KEYS)))

                    return work

                per_second = drive_processes(count, client)
                record("commits", f"upsert, {clients(count)}", system, per_second, "commits/s")


def reads():
    with folder("sqlite") as path:
        fill(path / "db", "WAL")
        for count in CLIENTS:

            def client(_):
                connection = connect(path / "db")

                def work():
                    key = random.randrange(KEYS)
                    row = connection.execute("SELECT * FROM item WHERE id = ?", (key,)).fetchone()
                    assert row[0] == key

                return work

            per_second = drive_processes(count, client)
            record("reads", f"get, {clients(count)}", "sqlite, WAL", per_second, "reads/s")


def import_facts(path):
    """Loads the table facts in one transaction with the program sqlite3, which needs no Python for each row."""
    script = (
        "PRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\n"
        f"{queries('tables')['facts']};\n.mode csv\n.import {facts_csv()} facts\n"
    )
    subprocess.run(["sqlite3", path], input=script, text=True, check=True, stdout=subprocess.DEVNULL)


def load():
    facts_csv()
    with folder("sqlite") as path:
        seconds, _ = timed(lambda: import_facts(path / "db"))
        record("load", "load 10 columns", "sqlite, WAL", ROWS / seconds, "rows/s")


def scan():
    with folder("sqlite") as path:
        import_facts(path / "db")
        connection = sqlite3.connect(path / "db")
        connection.execute(f"PRAGMA cache_size = -{CACHE_MB * 1000}")
        # The file says true and false, which are texts to SQLite.
        connection.execute("UPDATE facts SET is_paid = is_paid = 'true'")
        connection.commit()
        run_queries("scan", "sqlite", lambda sql: connection.execute(sql).fetchall(), queries("scan"))


def amplification():
    for journal, system in JOURNALS.items():
        with folder("sqlite") as path:
            fill(path / "db", journal)
            batches, user_bytes = upsert_batches()
            connection = connect(path / "db", journal)
            before = bytes_written()
            for batch in batches:
                connection.execute("BEGIN")
                connection.executemany(UPSERT, batch)
                connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            written = bytes_written() - before
            record("amplification", "written for each byte", system, written / user_bytes, "bytes")
            record("amplification", "size of each byte", system, bytes_below(path) / live_bytes(), "bytes")
            connection.close()


if __name__ == "__main__":
    main({"commits": commits, "reads": reads, "load": load, "scan": scan, "amplification": amplification})
