#!/usr/bin/env python3
"""PostgreSQL 15, as a server of its own with fsync and synchronous_commit on, reached over TCP like the host.

Commits, keyed reads and transfers are made by pgbench, with prepared statements; the rest by psycopg.
"""

import os
import pwd
import random
import re
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import psycopg

from common import (
    CACHE_MB,
    CENTS,
    CLIENTS,
    KEYS,
    ROWS,
    SECONDS,
    STATEMENT_ROWS,
    THREADS,
    TRANSFER_CLIENTS,
    bytes_written,
    clients,
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

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
SYSTEM = "postgresql"

# What makes it safe stays as it is by default, and is only said here; the rest is what it needs not to be held back.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": f"{CACHE_MB}MB",
    "max_wal_size": "4GB",
    "work_mem": "256MB",
    "max_connections": max(CLIENTS + TRANSFER_CLIENTS) + 20,
    "max_parallel_workers_per_gather": THREADS,
    "listen_addresses": "'127.0.0.1'",
}

UPSERT = """
    INSERT INTO item VALUES ({}) ON CONFLICT (id)
    DO UPDATE SET name = excluded.name, quantity = excluded.quantity, price = excluded.price
"""
UPSERT_SCRIPT = (
    r"\set id random(0, :keys - 1)"
    + "\n"
    + r"\set quantity random(0, 999)"
    + "\n"
    + " ".join(
        UPSERT.format("CAST(:id AS BIGINT), 'item ' || CAST(:id AS BIGINT), CAST(:quantity AS INTEGER), 2.5").split()
    )
)
GET_SCRIPT = r"\set id random(0, :keys - 1)" + "\nSELECT * FROM item WHERE id = :id"

# What the services bank, journal and teller of benches/services.json have, and do in one request.
BANK = f"""
    CREATE TABLE account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL CHECK (cents >= 0));
    INSERT INTO account SELECT id, {CENTS} FROM generate_series(0, {KEYS} - 1) AS ids (id);
    CREATE TABLE journal (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payer BIGINT NOT NULL,
        payee BIGINT NOT NULL,
        cents BIGINT NOT NULL
    );
    CREATE FUNCTION transfer(source BIGINT, target BIGINT, amount BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
    BEGIN
        -- In the order of their ids, so that no two transfers wait for each other.
        UPDATE account SET cents = cents + CASE id WHEN source THEN -amount ELSE amount END
        WHERE id = least(source, target);
        UPDATE account SET cents = cents + CASE id WHEN source THEN -amount ELSE amount END
        WHERE id = greatest(source, target);
        INSERT INTO journal (payer, payee, cents) VALUES (source, target, amount);
    END $$
"""
# The account 0 takes part in every other transfer.
TRANSFER_SCRIPT = r"""
\set hot random(0, 1)
\set first CASE WHEN :hot = 0 THEN 0 ELSE random(1, :keys - 1) END
\set second 1 + (:first + random(0, :keys - 3)) % (:keys - 1)
\set way random(0, 1)
\set source CASE WHEN :way = 0 THEN :first ELSE :second END
\set target CASE WHEN :way = 0 THEN :second ELSE :first END
\set cents random(1, 100)
SELECT transfer(:source, :target, :cents)"""


def as_server(*command):
    """A command as the user that may run a server, which root may not."""
    return ["runuser", "-u", "postgres", "--", *map(str, command)] if os.getuid() == 0 else list(map(str, command))


class Server:
    """A running server with its own data."""

    def __init__(self, path, port):
        self.path, self.port = path, port

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname="postgres", autocommit=True)

    def bench(self, script, count):
        """Transactions a second of a script, by so many clients, and how many there were."""
        file = self.path.parent / "script.sql"
        file.write_text(script + "\n")
        command = [PROGRAMS / "pgbench", "-n", "-M", "prepared", "-f", file, "-c", count, "-j", min(count, THREADS)]
        command += ["-T", SECONDS, "-D", f"keys={KEYS}", "-h", "127.0.0.1", "-p", self.port, "-U", "bench", "postgres"]
        output = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
        failed = re.search(r"number of failed transactions: (\d+)", output)
        if failed is None or failed[1] != "0":
            raise RuntimeError(output)
        rate = re.search(r"tps = ([0-9.]+) \(without initial connection time\)", output)
        return float(rate[1]), int(re.search(r"number of transactions actually processed: (\d+)", output)[1])


@contextmanager
def server():
    with folder("postgresql") as path:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
        # Run there, since the server must be able to enter the directory that it is started in.
        here = {"check": True, "stdout": subprocess.DEVNULL, "cwd": path}
        data = path / "data"
        initdb = [PROGRAMS / "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(as_server(*initdb, "--no-sync"), **here)
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
        port = free_port()
        control = as_server(PROGRAMS / "pg_ctl", "-D", data, "-l", path / "log", "-w")
        subprocess.run([*control, "-o", f"-p {port} -k ''", "start"], **here)
        try:
            yield Server(data, port)
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], **here)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fill(connection):
    connection.execute(queries("tables")["item"])
    with connection.cursor() as cursor, cursor.copy("COPY item FROM STDIN") as copy:
        for key in range(KEYS):
            copy.write_row(item(key))
    connection.execute("VACUUM ANALYZE item")
    connection.execute("CHECKPOINT")


def commits():
    with server() as host:
        with host.connect() as connection:
            fill(connection)
        for count in CLIENTS:
            rate, _ = host.bench(UPSERT_SCRIPT, count)
            record("commits", f"upsert, {clients(count)}", SYSTEM, rate, "commits/s")


def reads():
    with server() as host:
        with host.connect() as connection:
            fill(connection)
        for count in CLIENTS:
            rate, _ = host.bench(GET_SCRIPT, count)
            record("reads", f"get, {clients(count)}", SYSTEM, rate, "reads/s")


def copy_facts(connection):
    """Loads the table facts; returns the seconds that it took to become durable."""
    connection.execute(queries("tables")["facts"])
    return timed(lambda: connection.execute(f"COPY facts FROM '{facts_csv()}' (FORMAT csv)"))[0]


def load():
    facts_csv()
    with server() as host, host.connect() as connection:
        record("load", "load 10 columns", SYSTEM, ROWS / copy_facts(connection), "rows/s")
        connection.execute(queries("tables")["item"])
        statements = [insert_statement(first) for first in range(0, KEYS, STATEMENT_ROWS)]
        seconds, _ = timed(lambda: [connection.execute(statement) for statement in statements])
        rows = len(statements) * STATEMENT_ROWS
        record("load", f"insert {STATEMENT_ROWS} rows a statement", SYSTEM, rows / seconds, "rows/s")


def insert_statement(first):
    rows = (item(key) for key in range(first, first + STATEMENT_ROWS))
    values = ", ".join(f"({key}, '{name}', {quantity}, {price})" for key, name, quantity, price in rows)
    return f"INSERT INTO item VALUES {values}"


def scan():
    with server() as host, host.connect() as connection:
        copy_facts(connection)
        connection.execute("VACUUM ANALYZE facts")
        run_queries("scan", SYSTEM, lambda sql: connection.execute(sql).fetchall(), queries("scan"))


def amplification():
    with server() as host, host.connect() as connection:
        fill(connection)
        batches, user_bytes = upsert_batches()
        statement = UPSERT.format("%s, %s, %s, %s").replace(
            "VALUES (%s, %s, %s, %s)", "SELECT * FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::float8[])"
        )
        pids = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()]
        # Autovacuum may start more; what it writes is left out, which is in its favour.
        before = sum(map(bytes_written, pids))
        for batch in batches:
            connection.execute(statement, list(map(list, zip(*batch, strict=True))))
        connection.execute("CHECKPOINT")
        written = sum(map(bytes_written, pids)) - before
        record("amplification", "written for each byte", SYSTEM, written / user_bytes, "bytes")
        # Without the log, which other systems have cut off now.
        (size,) = connection.execute("SELECT pg_total_relation_size('item')").fetchone()
        record("amplification", "size of each byte", SYSTEM, size / live_bytes(), "bytes")


def services():
    """Transfers by one stored procedure each."""
    with server() as host, host.connect() as connection:
        connection.execute(BANK)
        connection.execute("VACUUM ANALYZE account")
        connection.execute("CHECKPOINT")
        done = 0
        for count in TRANSFER_CLIENTS:
            rate, transfers = host.bench(TRANSFER_SCRIPT, count)
            done += transfers
            (total,) = connection.execute("SELECT sum(cents) FROM account").fetchone()
            (entries,) = connection.execute("SELECT count(*) FROM journal").fetchone()
            if total != KEYS * CENTS or entries != done:
                raise RuntimeError(f"{total} cents in {KEYS} accounts, {entries} entries of {done} transfers")
            record("services", f"transfer, {clients(count)}", SYSTEM, rate, "transfers/s")


if __name__ == "__main__":
    random.seed(1)
    groups = {"commits": commits, "reads": reads, "load": load, "scan": scan, "amplification": amplification}
    main(groups | {"services": services})
