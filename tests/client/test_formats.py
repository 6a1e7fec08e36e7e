"""Data directories that earlier releases wrote: they open, and have the rows that they had when their host was killed.

For each version of the format there is an archive in `tests/fixtures`, and what its tables were asked before the kill. An
archive is never written anew; a release that changes the format adds one.
"""

import json
import pathlib
import tarfile

import pytest
import requests

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
FORMATS = sorted(path.name.removesuffix(".tar.xz") for path in FIXTURES.glob("*.tar.xz"))


def ask(host, text):
    return requests.post(f"{host.url}/sql", json={"sql": text}, timeout=10)


@pytest.mark.parametrize("name", FORMATS)
def test_a_store_of_an_earlier_format(name, spawn, tmp_path):
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    host = spawn()
    known = json.loads((FIXTURES / f"{name}.json").read_text())
    for case in known:
        assert ask(host, case["sql"]).json() == case["reply"], case["sql"]
    # It takes new rows, which are there beside the old ones when it is opened again.
    assert ask(host, "INSERT INTO other VALUES ('c', 3)").json() == {"rows_affected": 1}
    host.stop()
    host = spawn()
    assert ask(host, "SELECT * FROM other ORDER BY k").json()["rows"] == [["a", 1], ["b", 2], ["c", 3]]
    assert ask(host, known[0]["sql"]).json() == known[0]["reply"]
    host.stop()


def test_there_is_a_store_of_each_format():
    assert "format_1" in FORMATS
