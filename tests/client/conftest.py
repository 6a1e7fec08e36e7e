"""Fixtures: a real host process and the official client, talking over a real socket."""

import os

import pytest
import requests.adapters
import tinychain as tc

from support import DEADLINE, HostProcess

# A safety net only: the client sets no time limit, so a host that never replies would stop the run for ever.
_send = requests.adapters.HTTPAdapter.send


def _send_with_timeout(self, request, stream=False, timeout=None, **kwargs):
    return _send(self, request, stream=stream, timeout=timeout or DEADLINE, **kwargs)


requests.adapters.HTTPAdapter.send = _send_with_timeout

# TINYCHAIN_DEVICE names the device on which every host computes; without it, a host chooses.
DEVICE = [f"--device={os.environ['TINYCHAIN_DEVICE']}"] if os.environ.get("TINYCHAIN_DEVICE") else []


def pytest_addoption(parser):
    parser.addoption(
        "--offline",
        action="store_true",
        help="only check that the client can build each program: no host is started, every request skips its test",
    )


class Offline(tc.host.Host):
    """Builds the request as usual, then skips the test in place of sending it."""

    def _handle(self, req):
        pytest.skip("built, not sent")


@pytest.fixture(scope="session")
def process(request, tmp_path_factory):
    if request.config.getoption("--offline"):
        pytest.skip("no host")

    flags = ["--address=127.0.0.1", "--log_level=debug", *DEVICE]
    host = HostProcess(tmp_path_factory.mktemp("host"), *flags).start()
    try:
        yield host
        host.stop()
    finally:
        host.kill()


@pytest.fixture(scope="session")
def url(process):
    return process.url


@pytest.fixture
def host(request):
    if request.config.getoption("--offline"):
        yield Offline("http://127.0.0.1:1")
    else:
        process = request.getfixturevalue("process")
        assert process.process.poll() is None, f"the host died:\n{process.log()}"
        yield process.client()
        assert process.process.poll() is None, f"this test killed the host:\n{process.log()}"


@pytest.fixture
def spawn(request, tmp_path):
    """Start further hosts, with their own flags. Whatever still runs is killed at the end."""

    if request.config.getoption("--offline"):
        pytest.skip("no host")

    started = []

    def start(*flags, root=tmp_path, **kwargs):
        host = HostProcess(root, *flags, *DEVICE, **kwargs)
        started.append(host)
        return host.start()

    yield start

    for host in started:
        host.kill()


@pytest.fixture(scope="module")
def patient(request, tmp_path_factory):
    """A host of its own for the tests of one file, whose requests may take as long as a debug build needs."""

    if request.config.getoption("--offline"):
        pytest.skip("no host")

    host = HostProcess(tmp_path_factory.mktemp("patient"), "--request_ttl=60", "--log_level=warn", *DEVICE).start()
    try:
        yield host
        host.stop()
    finally:
        host.kill()
