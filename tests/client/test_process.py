"""The binary: flags, start, stop, restart."""

import os
import re
import socket
import subprocess
import threading
import time

import pytest
import requests
import tinychain as tc

from support import DEADLINE, HYPOTHETICAL, binary, free_port, poll, same
from test_time_limit import Run

KEY = "00112233445566778899aabbccddeeff" * 2


@pytest.fixture(autouse=True)
def needs_the_binary(request):
    if request.config.getoption("--offline"):
        pytest.skip("no host")


def call(*flags):
    return subprocess.run([binary(), *flags], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)


FLAGS = ["address", "cache_size", "data_dir", "http_port", "insecure", "log_level", "peer", "request_ttl", "stack_size", "symmetric_key", "workspace"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(flag):
    result = call(flag)
    assert result.returncode == 0
    for name in FLAGS:
        assert re.search(rf"--{name}\b", result.stdout), name


@pytest.mark.parametrize(
    "flags",
    [
        ["--nope"], ["--nope=1"], ["--http-port=8702"], ["--http_port=x"], ["--http_port=70000"], ["--http_port"], ["--log_level=loud"],
        ["--address=nonsense"], ["--peer=localhost:1"], ["--request_ttl=x"], ["--cache_size=5Q"], ["stray"],
        ["--symmetric_key=00"], ["--symmetric_key=" + "zz" * 32], ["--symmetric_key=" + KEY + "00"], ["--symmetric_key="],
        ["--symmetric_key=" + KEY, "--symmetric_key=00"],
    ],
    ids=lambda flags: " ".join(flags)[:40],
)
def test_faulty_flags(tmp_path, flags):
    (tmp_path / "data").mkdir()
    result = call(f"--data_dir={tmp_path}/data", f"--workspace={tmp_path}/ws", *flags)
    assert result.returncode == 2, result
    assert result.stderr.strip()


@pytest.mark.parametrize("size", ["100", "0", "4K"])
def test_too_small_a_cache(tmp_path, size):
    (tmp_path / "data").mkdir()
    result = call(f"--data_dir={tmp_path}/data", f"--workspace={tmp_path}/ws", f"--http_port={free_port()}", f"--cache_size={size}")
    assert result.returncode not in (0, None), result
    assert result.returncode > 0, "refused, not crashed"


@pytest.mark.parametrize("flag", ["--cache_size=5K", "--cache_size=10M", "--stack_size=16M", "--insecure", "--request_ttl=30", "--log_level=trace", "--log_level=error"])
def test_flag_is_accepted(spawn, flag):
    host = spawn(flag)
    same(host.client().get("/state", 5), 5)
    host.stop()


def test_flags_of_the_harness(spawn, tmp_path):
    port = free_port()
    (tmp_path / "data").mkdir()
    begin = time.monotonic()
    host = spawn(
        f"--workspace={tmp_path}/absent/workspace",
        "--address=127.0.0.1",
        f"--data_dir={tmp_path}/data",
        f"--http_port={port}",
        "--log_level=debug",
        f"--symmetric_key={KEY}",
        port=port,
        defaults=False,
    )
    # the harness does not poll: it waits this long
    assert time.monotonic() - begin < (10 if "debug" in binary() else 3)
    cxt = tc.Context()
    cxt.x = 6
    cxt.y = 7
    cxt.z = cxt.x * cxt.y
    same(host.client().hypothetical(cxt), 42)
    host.stop()


def test_values_as_separate_arguments(spawn, tmp_path):
    port = free_port()
    (tmp_path / "data").mkdir()
    host = spawn("--data_dir", f"{tmp_path}/data", "--workspace", f"{tmp_path}/ws", "--http_port", str(port), "--symmetric_key", KEY, "--symmetric_key", "ff" * 32, port=port, defaults=False)
    same(host.client().get("/state", 5), 5)
    host.stop()


def test_several_hosts(spawn, tmp_path):
    hosts = [spawn("--address=127.0.0.1", root=tmp_path / name) for name in "ab"]
    for i, host in enumerate(hosts):
        same(host.client().get("/state", i + 1), i + 1)
    for host in hosts:
        host.stop()


def test_an_occupied_port(spawn, tmp_path):
    host = spawn("--address=127.0.0.1")
    result = call(f"--data_dir={tmp_path}/other", f"--workspace={tmp_path}/other_ws", "--address=127.0.0.1", f"--http_port={host.port}")
    assert result.returncode > 0, result
    same(host.client().get("/state", 5), 5)
    host.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restart_on_the_same_directories_and_port(spawn, end):
    port = free_port()
    for i in range(3):
        host = spawn("--address=127.0.0.1", port=port)
        # a connection that the host closes first leaves its port in TIME_WAIT
        with requests.Session() as session:
            assert session.get(host.url + f"/state?key={i}", timeout=DEADLINE).json() == i
            getattr(host, end)()

    assert host.data_dir.is_dir()


def test_the_port_is_free_after_exit(spawn):
    host = spawn("--address=127.0.0.1")
    same(host.client().get("/state", 5), 5)
    host.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", host.port), timeout=DEADLINE)

    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", host.port))
        sock.listen()


def test_stop_with_an_idle_connection(spawn):
    host = spawn("--address=127.0.0.1")
    with socket.create_connection(("127.0.0.1", host.port), timeout=DEADLINE) as silent, requests.Session() as session:
        assert session.get(host.url + "/state?key=1", timeout=DEADLINE).json() == 1
        begin = time.monotonic()
        host.stop()
        assert time.monotonic() - begin < 10
        silent.settimeout(DEADLINE)
        try:
            assert silent.recv(1) == b""
        except ConnectionResetError:
            pass


def test_stop_with_half_a_request(spawn):
    host = spawn("--address=127.0.0.1", "--request_ttl=60")
    with socket.create_connection(("127.0.0.1", host.port), timeout=DEADLINE) as sock:
        sock.sendall(f"POST {HYPOTHETICAL} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        same(host.client().get("/state", 1), 1)
        begin = time.monotonic()
        host.stop()
        assert time.monotonic() - begin < 10


def test_stop_with_an_endless_program(spawn):
    host = spawn("--address=127.0.0.1", "--request_ttl=60")
    thread = Run(host.client())
    thread.start()
    poll(lambda: cpu_time(host.process.pid) > 0.2 or not thread.is_alive(), "the program is not running")
    assert thread.is_alive(), thread.outcome
    begin = time.monotonic()
    host.stop()
    assert time.monotonic() - begin < 10
    thread.join(DEADLINE)
    assert not thread.is_alive()
    # an error reply in time, or a closed connection; not a result
    assert isinstance(thread.outcome, (tc.error.TinyChainError, requests.RequestException)), thread.outcome


def cpu_time(pid):
    """Seconds of processor time that a process has used."""

    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()

    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_stop_replies_to_what_it_has_accepted(spawn):
    host = spawn("--address=127.0.0.1")
    outcomes = []
    ready = threading.Event()

    def work():
        while True:
            try:
                response = requests.get(host.url + "/state?key=5", timeout=DEADLINE)
            except requests.RequestException:
                return
            outcomes.append((response.status_code, response.content))
            ready.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()

    assert ready.wait(DEADLINE)
    host.stop()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()

    # while it stops, the host may refuse, but every reply is complete
    for status, body in outcomes:
        assert (status, body) == (200, b"5\n") or status in (500, 503), (status, body)
