"""Where tensors are computed: the table of devices, what is counted of them, and what EXPLAIN says."""

import math
import os
import re

import pytest
import requests

from support import DEADLINE, HostProcess, error_of, poll, post_raw, program

DENSE = "/state/collection/tensor/dense/"
# So many elements are computed in two pieces.
MANY = 200_000


def get(url, path):
    response = requests.get(url + path, timeout=DEADLINE)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return response.text


def explained(url, steps):
    """The lines of EXPLAIN with `analyze`."""

    response = post_raw(url, {"op": steps}, path="/explain?analyze=true")
    assert response.status_code == 200, response.text
    return [line.strip() for line in response.text.splitlines()]


def pieces(url):
    """How many pieces each device has computed, and in how many seconds."""

    text = get(url, "/metrics")

    def of(name):
        return dict(re.findall(rf'^tinychain_{name}_total{{device="(\w+)"}} (\S+)$', text, flags=re.MULTILINE))

    counts, seconds = of("tensor_pieces"), of("tensor_compute_seconds")
    assert set(counts) == set(seconds) == {"cpu", "accelerator"}
    return sum(map(int, counts.values())), sum(map(float, seconds.values()))


def tried(url):
    """The page about the devices, once these were found and tried, which takes a while where code has to be made for them."""

    def page():
        text = get(url, "/docs/devices")
        return "still being" not in text and text

    return poll(page, "the devices are tried", deadline=600)


def test_the_table_of_devices_is_a_page(url):
    text = tried(url)
    assert text.startswith("Tensors are computed by the CPU")
    refused = re.search(r'^tinychain_tensor_functions{verdict="refused"} (\d+)$', get(url, "/metrics"), flags=re.MULTILINE)
    assert text.count("  refused: ") == int(refused[1])
    error_of(requests.post(url + "/docs/devices", json={}, timeout=DEADLINE), 405, "method_not_allowed")


def test_what_is_computed_is_counted(url):
    before, time = pieces(url)
    steps = [["a", {DENSE + "range": [[[MANY], 0.0, 1.0]]}], ["b", {"$a/exp": []}], ["r", {"$b/sum": [None]}]]
    assert program(url, steps).status_code == 200
    after, longer = pieces(url)
    # Both functions, in two pieces each.
    assert after - before >= 4
    assert longer > time


def places(lines, what):
    """How many pieces were computed of what a line says, and whether that was by the CPU alone."""

    found = [line for line in lines if line.startswith(f"{what}: ")]
    assert len(found) == 1, lines
    pieces = re.findall(r"(\d+) pieces? on (the CPU)?", found[0])
    return sum(int(count) for count, _ in pieces), all(device for _, device in pieces)


def test_explain_says_where_small_tensors_were_computed(url):
    steps = [["a", {DENSE + "range": [[[2, 3], 0, 6]]}], ["b", {"$a/add": [1]}], ["r", {"$b/sum": [None]}]]
    lines = explained(url, steps)
    assert "waits until its 6 elements are needed" in lines
    # The sum of two tensors, and that of their elements. These are not worth another device.
    assert places(lines, "reduces 6 elements") == (2, True)


def test_explain_says_what_waits_and_where_it_is_computed_then(url):
    steps = [["a", {DENSE + "constant": [[[MANY], 0.5]]}], ["b", {"$a/exp": []}]]
    waits = f"waits until its {MANY} elements are needed"
    lines = explained(url, [*steps, ["r", {"$b/sum": [None]}]])
    assert waits in lines
    assert places(lines, f"reduces {MANY} elements")[0] == 4

    lines = explained(url, steps)
    assert waits in lines
    assert places(lines, f"reads {MANY} elements for the reply")[0] == 2


@pytest.mark.skipif(not os.environ.get("TINYCHAIN_DEVICE"), reason="TINYCHAIN_DEVICE names no device to compare with the CPU")
def test_another_device_computes_what_the_cpu_does(url, tmp_path):
    matrix = {DENSE + "range": [[[256, 256], 0.0, 1.0]]}
    narrow = {"$a/cast": ["/state/scalar/value/number/float/32"]}
    programs = [
        [["a", matrix], ["b", narrow], ["c", {"$b/matmul": [{"$b": []}]}], ["r", {"$c/sum": [None]}]],
        [["a", {DENSE + "range": [[[MANY], 0.0, 1.0]]}], ["b", narrow], ["c", {"$b/mul": [{"$b": []}]}], ["r", {"$c/sum": [None]}]],
        [["a", {DENSE + "range": [[[MANY], 0.0, 1.0]]}], ["b", narrow], ["c", {"$b/exp": []}], ["r", {"$c/max": [None]}]],
    ]
    assert "and by" in tried(url), "the device was not found"
    cpu = HostProcess(tmp_path, "--device=cpu").start()
    try:
        for steps in programs:
            found, expected = (program(host, steps) for host in (url, cpu.url))
            assert found.status_code == expected.status_code == 200, (found.text, expected.text)
            assert math.isclose(found.json(), expected.json(), rel_tol=1e-4), steps
    finally:
        cpu.kill()
