"""Encryption at rest: what is written through any chain is found in no file, and only its key opens a data directory."""

import os
import subprocess

import pytest

from sample_services import notes
from support import DEADLINE, binary, poll, same
from test_chain_policies import BTREE, LEVELS, PASS, USERS, chain, service

MARKER = "this marker has just 32 letters!"
OLD, NEW = "11" * 32, "22" * 32
# Small enough that there are segments, merges and large log files beside small ones.
SMALL = ("--memtable_size=4K", "--cache_size=5K")
ROWS = 60
OPTIONS = {
    "sync": {},
    "block": {},
    "backup": {name: {"max_age": 3600} for name in ("table", "btree", "value")},
    "compliant": {"table": {"owner": "user"}, "btree": {"owner": "note"}, "value": {"owner": "token"}},
    "reduce": {name: {"reduce": "pass", "levels": LEVELS} for name in ("table", "btree", "value")},
}


def key_flag(tmp_path, *keys, name="key"):
    """The flag for a file with these keys."""

    path = tmp_path / name
    path.write_text("\n".join(keys) + "\n")
    return f"--at_rest_key={path}"


def keeper(host, kind):
    """A service with one kind of chain over each kind of subject."""

    subjects = {"table": USERS, "btree": BTREE, "value": ""}
    chains = {}
    for name, subject in subjects.items():
        options = OPTIONS[kind].get(name)
        chains[name] = chain(kind, subject, *([options] if options else []))
    return service(host, {**chains, "pass": PASS})


def write(host, link, first=0):
    """Write rows with the marker, and some that are replaced or deleted."""

    for n in range(first, first + ROWS):
        host.put(link + "/table", [n], ["ann", f"{MARKER} in row {n}"])
        host.put(link + "/btree", None, [n, MARKER])
    host.put(link + "/table", [first], ["ann", MARKER])
    host.delete(link + "/table", [first + 1])
    host.put(link + "/value", None, MARKER)


def holds(host, link, first=0):
    same(host.get(link + "/table", [first]), [first, "ann", MARKER])
    last = first + ROWS - 1
    same(host.get(link + "/table", [last]), [last, "ann", f"{MARKER} in row {last}"])
    same(host.get(link + "/btree", [last]), notes([last, MARKER]))
    same(host.get(link + "/value"), MARKER)


def files(process):
    """All files of a host by their paths: what is in them."""

    found = {}
    for root in (process.data_dir, process.workspace):
        for path in root.rglob("*"):
            try:
                if path.is_file():
                    found[str(path)] = path.read_bytes()
            except FileNotFoundError:
                pass  # merged away meanwhile
    return found


def with_marker(process):
    """The files that have the marker in them."""

    found = files(process)
    assert str(process.data_dir / "tinychain.json") in found, list(found)
    return [path for path, content in found.items() if MARKER.encode() in content]


def refused(process, *flags, env=None):
    """Require that the host does not start on the same directories, and return what it says."""

    command = [binary(), f"--data_dir={process.data_dir}", f"--workspace={process.workspace}", "--http_port=0", *flags]
    env = {**os.environ, **(env or {})}
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, env=env)
    assert result.returncode == 1, result
    return result.stderr


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("kind", OPTIONS)
def test_chains(spawn, tmp_path, kind, end):
    flags = (key_flag(tmp_path, OLD), *SMALL)
    process = spawn(*flags)
    link = keeper(process.client(), kind)
    write(process.client(), link)
    assert with_marker(process) == []

    getattr(process, end)()
    assert with_marker(process) == []
    process = spawn(*flags, port=process.port)
    holds(process.client(), link)
    write(process.client(), link, first=1000)
    holds(process.client(), link, first=1000)
    process.kill()
    process = spawn(*flags, port=process.port)
    holds(process.client(), link, first=1000)
    if kind in ("block", "backup", "compliant"):
        same(process.client().get(link + "/table/chain/verify"), True)
    process.stop()
    assert with_marker(process) == []
    assert any(path.endswith(".parquet") for path in files(process))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_a_key_the_marker_is_found(spawn, end):
    """What the other tests look for would be there."""

    process = spawn(*SMALL)
    link = keeper(process.client(), "block")
    write(process.client(), link)
    getattr(process, end)()
    assert with_marker(process) != []


def test_another_key_is_refused(spawn, tmp_path):
    key, other = key_flag(tmp_path, OLD), key_flag(tmp_path, NEW, name="other")
    process = spawn(key)
    link = keeper(process.client(), "sync")
    write(process.client(), link)
    process.kill()

    before = files(process)
    assert "encrypted with another key" in refused(process, other)
    assert "encrypted with another key" in refused(process, env={"TC_AT_REST_KEY": NEW})
    assert "it is encrypted: give its key by --at_rest_key or TC_AT_REST_KEY" in refused(process)
    assert {path: before[path] for path in files(process)} == before, "nothing was changed by that"

    process = spawn(env={"TC_AT_REST_KEY": OLD})
    holds(process.client(), link)
    process.stop()


def test_a_directory_that_is_not_encrypted_takes_no_key(spawn, tmp_path):
    process = spawn()
    link = keeper(process.client(), "sync")
    write(process.client(), link)
    process.stop()
    assert "it is not encrypted, and --at_rest_key" in refused(process, key_flag(tmp_path, OLD))
    process = spawn()
    holds(process.client(), link)
    process.stop()


@pytest.mark.parametrize("text", ["", "secret", OLD[1:], OLD + "," + "zz" * 32], ids=["none", "short", "odd", "second"])
def test_what_is_no_key(spawn, tmp_path, text):
    process = spawn()
    process.stop()
    for said in (refused(process, key_flag(tmp_path, text)), refused(process, env={"TC_AT_REST_KEY": text})):
        assert "a key is 32 bytes" in said and "secret" not in said and OLD[1:] not in said, said
    assert "cannot read the file" in refused(process, f"--at_rest_key={tmp_path}/missing")


def test_a_key_is_replaced(spawn, tmp_path):
    process = spawn(key_flag(tmp_path, OLD), *SMALL)
    link = keeper(process.client(), "block")
    write(process.client(), link)
    process.kill()

    both = key_flag(tmp_path, NEW, OLD)
    process = spawn(both, *SMALL, port=process.port)
    holds(process.client(), link)
    write(process.client(), link, first=1000)
    said = "older keys of --at_rest_key are not needed any more"
    poll(lambda: said in process.log_path.read_text(errors="replace"), "the host needs its older key")
    process.kill()
    assert with_marker(process) == []

    assert "encrypted with another key" in refused(process, key_flag(tmp_path, OLD, name="old"))
    process = spawn(key_flag(tmp_path, NEW, name="new"), *SMALL, port=process.port)
    for first in (0, 1000):
        holds(process.client(), link, first)
    same(process.client().get(link + "/table/chain/verify"), True)
    process.stop()


def test_a_token_is_made_with_the_key(spawn, tmp_path):
    """The secret key of the host is encrypted too."""

    key = key_flag(tmp_path, OLD)
    process = spawn(key, "--owner=/user/admin")
    process.stop()
    secret = (process.data_dir / "tinychain.key").read_bytes()
    assert secret.startswith(b"TCsealed")
    command = [binary(), "token", f"--data_dir={process.data_dir}", "--owner=/user/admin", "--claim=/service:rwx"]
    result = subprocess.run([*command, key], capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stdout.count(".")) == (0, 2), result
    for wrong in ([], [key_flag(tmp_path, NEW, name="other")]):
        result = subprocess.run([*command, *wrong], capture_output=True, text=True, timeout=DEADLINE)
        assert (result.returncode, result.stdout) == (1, ""), result
        assert "encrypted" in result.stderr
