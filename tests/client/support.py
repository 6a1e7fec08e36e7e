"""Helpers for the tests: the host process, requests to it, exact comparison of replies."""

import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import time

import requests
import tinychain as tc

DEADLINE = 30.0  # seconds that anything may take before a test gives up
V = "/state/scalar/value/"
R = "/state/scalar/ref/"
O = "/state/scalar/op/"
HYPOTHETICAL = "/transact/hypothetical"


def binary():
    """The host under test: TC_PATH, else the release build, else the debug build."""

    if os.environ.get("TC_PATH"):
        return os.environ["TC_PATH"]

    target = pathlib.Path(__file__).resolve().parents[2] / "target"
    for profile in ("release", "debug"):
        if (target / profile / "tinychain").is_file():
            return str(target / profile / "tinychain")

    raise FileNotFoundError(f"no tinychain binary below {target}; build it or set TC_PATH")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def poll(condition, what, deadline=DEADLINE):
    """Return the first true result of `condition`, or fail at the deadline."""

    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result

        assert time.monotonic() < end, f"gave up after {deadline} s: {what}"
        time.sleep(0.01)


class HostProcess:
    """One run of the binary."""

    def __init__(self, root, *flags, port=None, defaults=True, env=None):
        root = pathlib.Path(root)
        self.env = {**os.environ, **(env or {})}
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = root / "data"
        self.workspace = root / "workspace"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_path = root / "host.log"
        self.flags = list(flags)
        if defaults:
            self.flags = [
                f"--http_port={self.port}",
                f"--data_dir={self.data_dir}",
                f"--workspace={self.workspace}",
            ] + self.flags

        self.process = None

    def log(self):
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""

    def answers(self):
        assert self.process.poll() is None, f"the host exited with {self.process.returncode}:\n{self.log()}"
        try:
            requests.get(self.url + "/healthz", timeout=5)
            return True
        except requests.RequestException:
            return False

    def start(self):
        with open(self.log_path, "ab") as log:
            command = [binary()] + self.flags
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)

        try:
            poll(self.answers, f"no answer from {self.url}/healthz")
        except BaseException:
            self.kill()
            raise

        return self

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline=DEADLINE):
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the host did not exit within {deadline} s:\n{self.log()}")

    def stop(self):
        """Stop the host as the harness does and require a clean exit."""

        assert self.process.poll() is None, f"the host died with {self.process.returncode}:\n{self.log()}"
        self.terminate()
        code = self.wait()
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.log()}"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)

    def client(self):
        return tc.host.Host(self.url)


# --- programs ---------------------------------------------------------------------------------------------------


def run(host, build):
    """Fill a Context by `build` and execute it."""

    cxt = tc.Context()
    build(cxt)
    return host.hypothetical(cxt)


def evaluate(host, states, expression):
    """Execute the steps `states`, then `expression` of them."""

    cxt = tc.Context()
    for name, state in states.items():
        setattr(cxt, name, state)

    cxt.r = expression(cxt)
    return host.hypothetical(cxt)


def params(fn, types):
    """A POST op made of the Python function `fn`, whose parameters have the given Python types."""

    fn.__annotations__ = dict(zip(fn.__code__.co_varnames, types))
    return tc.post(fn)


def apply(host, fn, types, *args):
    """Call the POST op `fn`: the arguments are known only to the host, so that the client cannot fold them."""

    cxt = tc.Context()
    cxt.f = params(fn, types)
    cxt.r = cxt.f(*args)
    return host.hypothetical(cxt)


class Table(list):
    """A table of programs: `@table(expected)` registers a function which fills a Context."""

    def __call__(self, expected):
        def register(build):
            import pytest

            self.append(pytest.param(build, expected, id=build.__name__))
            return build

        return register


# --- raw requests -----------------------------------------------------------------------------------------------


def post_raw(url, body, path=HYPOTHETICAL, **kwargs):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(url + path, data=data, timeout=DEADLINE, **kwargs)


def program(url, steps):
    """Run a program which is given as JSON."""

    return post_raw(url, {"op": steps})


def error_of(response, status, kind=None):
    """Require a well-formed error reply, and return its message."""

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert isinstance(body, dict) and len(body) == 1, body
    ((got, message),) = body.items()
    if kind is not None:
        assert got == kind

    return text_of(message)


def text_of(message):
    """The text of the message of an error reply, which is a string or has a stack."""

    if isinstance(message, dict):
        assert set(message) == {"message", "stack"}
        assert all(isinstance(entry, str) for entry in message["stack"])
        return message["message"]

    assert isinstance(message, str)
    return message


def client_error(exception, kind):
    """The text of the error reply which an exception of the client carries."""

    body = exception.message
    assert isinstance(body, dict) and list(body) == [kind], body
    return text_of(body[kind])


# --- comparison -------------------------------------------------------------------------------------------------


class Near:
    """A float, up to rounding."""

    def __init__(self, value, rel=1e-12):
        self.value = value
        self.rel = rel

    def __repr__(self):
        return f"Near({self.value!r})"


def c64(real, imag):
    return {V + "number/complex/64": [real, imag]}


def c32(real, imag):
    return {V + "number/complex/32": [real, imag]}


def ident(name):
    return {name: []}


def same(got, want):
    """Require the very value, with the very Python type, at every depth."""

    if isinstance(want, Near):
        assert type(got) is float, repr(got)
        assert math.isclose(got, want.value, rel_tol=want.rel, abs_tol=want.rel), (got, want)
    elif isinstance(want, float) and math.isnan(want):
        assert type(got) is float and math.isnan(got), repr(got)
    elif isinstance(want, (list, tuple)):
        assert type(got) is list and len(got) == len(want), (got, want)
        for g, w in zip(got, want):
            same(g, w)
    elif isinstance(want, dict):
        assert type(got) is dict and set(got) == set(want), (got, want)
        for key in want:
            same(got[key], want[key])
    else:
        assert type(got) is type(want) and got == want, (got, want)
