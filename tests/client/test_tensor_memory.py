"""A tensor that is larger than the memory which a host may take for it.

`TINYCHAIN_TENSOR_MB` says how large; with 1000, the cache is of 64 MB, and with less, of 16 MB.
"""

import os
import pathlib

import numpy as np

from sample_services import raw
from sample_tensors import DENSE, check, number
from support import O, V, program

MEGABYTES = int(os.environ.get("TINYCHAIN_TENSOR_MB", "384"))
CACHE = 64 if MEGABYTES >= 1000 else 16
COLUMNS = 4096
ROWS = MEGABYTES * 1_000_000 // (8 * COLUMNS)
PART = 128  # rows that are written together: 4 MB
ROWS -= ROWS % PART
# Beside the cache, a host has two memtables, and the request may take some memory.
FLAGS = [f"--cache_size={CACHE}M", "--memtable_size=8M", "--max_request_memory=48M", "--request_ttl=120", "--log_level=warn"]
# Merging files of rows that are large takes most.
GROWTH = (CACHE + 2 * 8 + 48 + 128) * 1_000_000
# The allocator gives memory back at once, so that what is measured is what is used.
ENV = {"MIMALLOC_PURGE_DELAY": "0"}
PEAK = 512_000_000


def peak(process):
    """The most bytes of memory that the process has had."""

    lines = pathlib.Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def service():
    """A tensor behind a chain, and a method that writes a range to some of its rows."""

    schema = [[{V + "number/float/64": {}}, [ROWS, COLUMNS]]]
    part = {DENSE + "/range": [[[PART, COLUMNS], {"$start": []}, {"$stop": []}]]}
    rows = [[["in", {"$row": []}], ["ex", {"$row/add": {"r": PART}}]]]
    return {
        "large": {"/state/chain/sync": [{DENSE: schema}]},
        "fill": {O + "post": [["part", part], ["_return", {"$self/large": [rows, {"$part": []}]}]]},
    }


def elements(rows, columns):
    """What is in these rows and columns: the number of each element."""

    return (np.arange(rows.start, rows.stop)[:, None] * COLUMNS + np.arange(columns.start, columns.stop)).astype("float64")


def check_parts(host, link):
    for rows, columns in ((slice(0, 2), slice(0, 5)), (slice(PART - 1, PART + 1), slice(4090, 4096)), (slice(ROWS - 1, ROWS), slice(10, 20))):
        key = [[["in", rows.start], ["ex", rows.stop]], [["in", columns.start], ["ex", columns.stop]]]
        check(host.get(link, key), elements(rows, columns))
    check(host.get(link, [ROWS // 2, 77]), (ROWS // 2) * COLUMNS + 77.0)


def test_a_tensor_larger_than_memory(spawn):
    process = spawn(*FLAGS, env=ENV)
    host = process.client()
    link = raw(host, service())
    host.post(link + "/fill", {"row": 0, "start": 0.0, "stop": float(PART * COLUMNS)})
    before = peak(process)

    for row in range(0, ROWS, PART):
        host.post(link + "/fill", {"row": row, "start": float(row * COLUMNS), "stop": float((row + PART) * COLUMNS)})
    link += "/large"
    check_parts(host, link)
    size = ROWS * COLUMNS
    check(host.post(link + "/sum", {}), size * (size - 1) / 2, rounding=1e-9)
    sums = ROWS * np.arange(COLUMNS, dtype="float64") + COLUMNS * (ROWS * (ROWS - 1) // 2)
    check(host.post(link + "/sum", {"axes": [0]}), sums, rounding=1e-9)
    check(host.get(link + "/max"), float(size - 1))
    # a chain of calls needs no more memory, however many there are
    steps = [["x", {link: [None]}], ["y", {"$x/mul": {"r": 2}}], ["z", {"$y/sub": {"r": {"$x": []}}}], ["r", {"$z/sum": {}}]]
    response = program(process.url, steps)
    assert response.status_code == 200, response.text
    assert abs(number(response.json()) / (size * (size - 1) / 2) - 1) < 1e-9

    after = peak(process)
    print(f"{8 * size / 1e6:.0f} MB with a cache of {CACHE} MB: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB at most")
    assert after - before < GROWTH and after < PEAK

    process.kill()
    process = spawn(*FLAGS, port=process.port)
    host = process.client()
    check_parts(host, link)
    check(host.post(link + "/sum", {}), size * (size - 1) / 2, rounding=1e-9)
    assert peak(process) < PEAK
