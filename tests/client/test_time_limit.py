"""Endless programs end with a Timeout, and leave the host usable."""

import threading
import time

import pytest
import requests
import tinychain as tc

from support import DEADLINE, O, R, error_of, post_raw, program, same


@pytest.fixture(scope="module")
def limited(request, tmp_path_factory):
    if request.config.getoption("--offline"):
        yield None
        return

    from support import HostProcess

    host = HostProcess(tmp_path_factory.mktemp("limited"), "--request_ttl=1").start()
    try:
        yield host
        host.stop()
    finally:
        host.kill()


def endless():
    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i >= 0

    @tc.post
    def step(i: tc.Int):
        return tc.Map(i=(i + 1) % 1000)

    cxt = tc.Context()
    cxt.r = tc.while_loop(cond, step, tc.Map(i=0))
    return cxt


class Run(threading.Thread):
    """A request in the background."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host = host
        self.outcome = None

    def run(self):
        try:
            self.outcome = self.host.hypothetical(endless())
        except BaseException as cause:
            self.outcome = cause


def test_the_program_can_be_built():
    ((name, loop),) = tc.to_json(endless())
    assert name == "r" and list(loop) == ["/state/scalar/ref/while"]


@pytest.mark.parametrize("count", [1, 8])
def test_endless_loop(limited, count):
    if limited is None:
        pytest.skip("no host")

    client = limited.client()
    begin = time.monotonic()
    threads = [Run(client) for _ in range(count)]
    for thread in threads:
        thread.start()

    served = 0
    while any(thread.is_alive() for thread in threads):
        assert time.monotonic() - begin < DEADLINE, "an endless loop did not end"
        same(client.get("/state", 5), 5)
        served += any(thread.is_alive() for thread in threads)

    assert served, "no other request was served meanwhile"
    for thread in threads:
        thread.join()
        assert type(thread.outcome) is tc.error.Timeout, thread.outcome
        assert list(thread.outcome.message) == ["request_timeout"]

    assert time.monotonic() - begin >= 1.0


FOREVER = {O + "post": [["_return", {"$f": {"f": {"$f": []}}}]]}
TRUE = {O + "get": ["i", [["_return", True]]]}
SAME = {O + "get": ["i", [["_return", {"$i": []}]]]}
LOOP = {R + "while": [TRUE, SAME, 0]}
GROW = {O + "post": [["_return", {"s": {"/state/tuple/concatenate": {"l": {"$s": []}, "r": {"$s": []}}}}]]}

ENDLESS = [
    pytest.param([["r", LOOP]], {408}, id="get loop"),
    pytest.param([["t", [1, 2, 3]], ["r", {"$t/map": {"op": {O + "get": ["n", [["_return", LOOP]]]}}}]], {408}, id="loops in map"),
    pytest.param([["f", FOREVER], ["r", {"$f": {"f": {"$f": []}}}]], {400, 408}, id="endless recursion"),
    pytest.param([["r", {R + "while": [{O + "post": [["_return", True]]}, GROW, {"s": [1]}]}]], {400, 408}, id="growing state"),
    pytest.param([["a", LOOP], ["r", {R + "after": [{"$a": []}, 1]}]], {408}, id="loop before"),
]


@pytest.mark.parametrize("steps,statuses", ENDLESS)
def test_endless_programs(limited, steps, statuses):
    if limited is None:
        pytest.skip("no host")

    response = program(limited.url, steps)
    assert response.status_code in statuses, response.text[:200]
    error_of(response, response.status_code)
    assert requests.get(limited.url + "/state?key=1", timeout=DEADLINE).json() == 1


def test_loop_that_is_never_needed(limited):
    if limited is None:
        pytest.skip("no host")

    assert post_raw(limited.url, {"op": [["a", LOOP], ["r", 1]]}).json() == 1


def test_circular_program_of_the_client(host):
    # a reference to a step which does not exist yet
    cxt = tc.Context()
    cxt.a = tc.Int(form=tc.URI("b")) + 1
    cxt.b = cxt.a + 1
    cxt.c = cxt.a + 2
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)
