"""What the programs for the peers share: sizes, records, threads, tables and data.

They do what the groups of the same names in benches/bench do, with the same sizes, and print one record a line.
"""

import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT.parent / "target"))

# The same variables, with the same defaults, as in benches/bench/sizes.rs.
ROWS = int(os.environ.get("TINYCHAIN_BENCH_ROWS", "1000000"))
KEYS = int(os.environ.get("TINYCHAIN_BENCH_KEYS", "100000"))
SECONDS = int(os.environ.get("TINYCHAIN_BENCH_SECONDS", "3"))
RUNS = int(os.environ.get("TINYCHAIN_BENCH_RUNS", "3"))
SF = os.environ.get("TINYCHAIN_BENCH_SF", "0.1")
CLIENTS = [int(count) for count in os.environ.get("TINYCHAIN_BENCH_CLIENTS", "1,8,64,256").split(",")]
MATRICES = [int(side) for side in os.environ.get("TINYCHAIN_BENCH_MATRICES", "256,1024,4096").split(",")]
ELEMENTS = int(os.environ.get("TINYCHAIN_BENCH_ELEMENTS", "100000000"))
SPARSE_SIDE = int(os.environ.get("TINYCHAIN_BENCH_SPARSE_SIDE", "4096"))
EXAMPLES = int(os.environ.get("TINYCHAIN_BENCH_EXAMPLES", "10000"))
# The same as in benches/bench/services/transfers.rs and installed.rs: clients, and what an account has at first.
TRANSFER_CLIENTS = [8, 64]
CENTS = 1_000_000
DIR = Path(os.environ.get("TINYCHAIN_BENCH_DIR", TARGET / "tmp" / "bench"))
THREADS = len(os.sched_getaffinity(0))

# Memory for what each system keeps of its tables, as that of the host (--cache_size).
CACHE_MB = 1000
# Rows of one statement that inserts several.
STATEMENT_ROWS = 1000

TPCH_TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]


def queries(name):
    """The statements of a file in benches/queries, by name."""
    parts = re.split(r"^-- name: (.*)$", (ROOT / "queries" / f"{name}.sql").read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


def record(group, name, system, value, unit, check=None):
    """Prints what was measured; `check` is the beginning of an answer, by which systems are compared."""
    line = {"group": group, "name": name, "system": system, "value": value, "unit": unit}
    if check is not None:
        line["check"] = check
    print(json.dumps(line), flush=True)


def say(text):
    """Tells the person who watches."""
    print(text, file=sys.stderr, flush=True)


def answer(rows):
    """The number of rows, and the first two cells of the first."""
    return [str(len(rows)), *(text_of(cell) for cell in (rows[0][:2] if rows else []))]


def text_of(cell):
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


@contextmanager
def folder(name):
    """A new folder beside those of the other systems, so on the same disk."""
    DIR.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=DIR))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def bytes_below(path):
    """The bytes of all files below a path."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def bytes_written(pid="self"):
    """Bytes that a process had the disk write."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def clients(count):
    return f"{count} client" if count == 1 else f"{count} clients"


def repeat(connect, number, ready):
    """Runs what `connect` returns again and again for some seconds, from the moment when all are ready.

    Returns how often, and when it began and ended.
    """
    work = connect(number)
    ready.wait(60)
    begin = now = time.monotonic()
    runs = 0
    while now < begin + SECONDS:
        work()
        runs += 1
        now = time.monotonic()
    return runs, begin, now


def rate(clients):
    """How often a second clients did something. The clock is the same for all processes."""
    runs, begins, ends = zip(*clients, strict=True)
    return sum(runs) / (max(ends) - min(begins))


def drive(count, connect):
    """How often a second so many threads do what `connect` returns."""
    ready = threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        clients = [pool.submit(repeat, connect, number, ready) for number in range(count)]
        return rate([client.result() for client in clients])


def drive_processes(count, connect):
    """How often a second so many processes do what `connect` returns: for clients whose work is mostly Python's."""
    fork = multiprocessing.get_context("fork")
    ready, results = fork.Barrier(count), fork.SimpleQueue()

    def client(number):
        results.put(repeat(connect, number, ready))

    processes = [fork.Process(target=client, args=(number,), daemon=True) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode != 0 for process in processes):
        raise RuntimeError("a client failed")
    return rate([results.get() for _ in processes])


def timed(work):
    """The time that some work takes in seconds, and its result."""
    begin = time.monotonic()
    result = work()
    return time.monotonic() - begin, result


def run_queries(group, system, execute, statements):
    """Runs each statement several times; records the median, and the sum of all medians."""
    total = 0
    for name, sql in statements.items():
        execute(sql)
        times, rows = zip(*(timed(lambda sql=sql: execute(sql)) for _ in range(RUNS)), strict=True)
        milliseconds = statistics.median(times) * 1000
        total += milliseconds
        record(group, name, system, milliseconds, "ms", answer(rows[0]))
    record(group, "all", system, total, "ms")


def item(key):
    """A row of the table item."""
    return (key, f"item {key}", random.randrange(1000), 2.5)


def item_bytes(key):
    """The bytes of the cells of a row of the table item."""
    return 8 + len(f"item {key}") + 4 + 8


def live_bytes():
    """The bytes of the cells of all rows of the table item."""
    return sum(map(item_bytes, range(KEYS)))


def upsert_batches():
    """Rows to write in transactions of STATEMENT_ROWS, and the bytes of all their cells."""
    rng = random.Random(1)
    batches = [rng.sample(range(KEYS), STATEMENT_ROWS) for _ in range(ROWS // STATEMENT_ROWS)]
    return [[item(key) for key in keys] for keys in batches], sum(item_bytes(key) for keys in batches for key in keys)


def facts(rows):
    """A query of DuckDB for the rows of the table facts, the same as in benches/bench/facts.rs."""
    return f"""
        SELECT id,
            CAST((h >> 8) % 100000 AS INTEGER) AS account,
            'region-' || CAST((h >> 13) % 16 AS VARCHAR) AS region,
            CAST(DATE '2020-01-01' + CAST((h >> 11) % 2000 AS INTEGER) AS DATE) AS day,
            TIMESTAMP '2020-01-01' + to_seconds(id) AS created,
            CAST((h >> 16) % 50 + 1 AS INTEGER) AS quantity,
            CAST(CAST((h >> 5) % 1000000 AS DOUBLE) / 100 AS DECIMAL(12, 2)) AS price,
            CAST(h AS DOUBLE) / 4294967296 AS score,
            (h >> 17) % 3 = 0 AS is_paid,
            'order ' || CAST(id AS VARCHAR) || ' of ' || CAST((h >> 8) % 100000 AS VARCHAR) AS note
        FROM (SELECT range AS id, (range * 2654435761) & 4294967295 AS h FROM range({rows}))
    """


def facts_csv():
    """The rows of the table facts as a file, which is made once."""
    import duckdb

    path = DIR / f"facts-{ROWS}.csv"
    if not path.exists():
        DIR.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({facts(ROWS)}) TO '{unfinished}' (FORMAT csv, HEADER false)")
        unfinished.rename(path)
    return path


def main(groups):
    """Runs the groups that the command line names, or all."""
    chosen = sys.argv[1:] or list(groups)
    for name in chosen:
        if name not in groups:
            sys.exit(f"there is no group {name}, only {', '.join(groups)}")
    for name in chosen:
        groups[name]()
