"""Options of chains, and what they are for: old blocks are deleted, purged or reduced. Hand-written definitions."""

import base64
import hashlib
import json
import threading

import pytest
import requests
import tinychain as tc

from sample_services import fresh, items, items_table, notes_btree
from sample_tokens import Actor, bearer
from support import DEADLINE, O, error_of, poll, same
from test_mesh import metric

TABLE, BTREE = [tc.to_json({link: [tc.form_of(subject)]}) for link, subject in (
    ("/state/collection/table", items_table()),
    ("/state/collection/btree", notes_btree()),
)]
USERS = {"/state/collection/table": [[[
    [["id", {"/state/scalar/value/number/uint/64": {}}]],
    [["user", {"/state/scalar/value/string": {}}, 20], ["text", {"/state/scalar/value/string": {}}, 100]],
], []]]}
PASS = {O + "post": [["_return", {"$items": []}]]}
WRITE = {O + "post": [["w", {"$self/t": [["pen"], [1]]}], ["_return", {"/state/scalar/ref/after": [{"$w": []}, []]}]]}

# Sums the values of a chain over a number.
ADD = {O + "post": [["_return", {"sum": {"$sum/add": {"r": {"$item/2": []}}}}]]}
SUM = {O + "post": [
    ["add", ADD],
    ["folded", {"$items/fold": {"item_name": "item", "value": {"sum": 0}, "op": {"$add": []}}}],
    ["_return", [[None, {"$folded/sum": []}]]],
]}


def chain(kind, subject, *options):
    return {f"/state/chain/{kind}": [subject, *options]}


def service(host, attributes):
    """Install a service that is given as JSON, and return the path of its version."""

    link = f"/service{fresh()}/policies"
    host.create_namespace(tc.URI(link))
    assert host.put(link, "1.0.0", {link: attributes}) is None
    return link + "/1.0.0"


LEVELS = [[1, 3600], [60, None]]
ACCEPTED = {
    "backup": ("backup", {"max_age": 3600}),
    "backup with fractions": ("backup", {"max_age": 0.5, "block_age": 0.25}),
    "compliant by a column": ("compliant", {"owner": "sku"}),
    "compliant by the token": ("compliant", {"owner": "token", "purge_subject": False}),
    "reduce": ("reduce", {"reduce": "pass", "levels": LEVELS}),
    "reduce, with the subject": ("reduce", {"reduce": "pass", "levels": LEVELS, "apply": True}),
}


@pytest.mark.parametrize("kind,options", ACCEPTED.values(), ids=ACCEPTED)
def test_options(host, kind, options):
    """As a constant of the service, or beside the subject."""

    apart = service(host, {"t": chain(kind, TABLE), "chain_policy": {"t": options}, "pass": PASS})
    beside = service(host, {"t": chain(kind, TABLE, options), "pass": PASS})
    for link in (apart, beside):
        policy = host.get(link + "/t/chain/info")["policy"]
        assert {name: policy[name] for name in options} == options
        host.put(link + "/t", ["pen"], [3])
        same(host.get(link + "/t"), items(["pen", 3]))


REFUSED = {
    "an unknown option": {"t": chain("backup", TABLE), "chain_policy": {"t": {"colour": "red"}}},
    "an option of another kind": {"t": chain("backup", TABLE), "chain_policy": {"t": {"owner": "sku"}}},
    "an option for a chain that has none": {"t": chain("sync", TABLE), "chain_policy": {"t": {"max_age": 1}}},
    "a policy that names no chain": {"t": chain("backup", TABLE), "chain_policy": {"u": {"max_age": 1}}},
    "a policy that is no map": {"t": chain("backup", TABLE), "chain_policy": [["t", {"max_age": 1}]]},
    "options in both places": {"t": chain("backup", TABLE, {"max_age": 1}), "chain_policy": {"t": {"max_age": 1}}},
    "an age that is not positive": {"t": chain("backup", TABLE, {"max_age": 0})},
    "an age that is no number": {"t": chain("backup", TABLE, {"max_age": "old"})},
    "no owner": {"t": chain("compliant", TABLE)},
    "an owner that is no column": {"t": chain("compliant", TABLE, {"owner": "nobody"})},
    "no levels": {"t": chain("reduce", TABLE, {"reduce": "pass"}), "pass": PASS},
    "no method": {"t": chain("reduce", TABLE, {"levels": LEVELS})},
    "a method that is not there": {"t": chain("reduce", TABLE, {"reduce": "pass", "levels": LEVELS})},
    "a method that writes": {"t": chain("reduce", TABLE, {"reduce": "f", "levels": LEVELS}), "f": WRITE},
    "odd windows": {"t": chain("reduce", TABLE, {"reduce": "p", "levels": [[2, 9], [3, None]]}), "p": PASS},
    "for ever, not last": {"t": chain("reduce", TABLE, {"reduce": "p", "levels": [[1, None], [2, 9]]}), "p": PASS},
    "not for ever": {"t": chain("reduce", TABLE, {"reduce": "p", "levels": [[1, 9], [2, 9]]}), "p": PASS},
}


@pytest.mark.parametrize("attributes", REFUSED.values(), ids=REFUSED)
def test_faulty_options(host, attributes):
    with pytest.raises(tc.error.BadRequest):
        service(host, attributes)


# --- backup -----------------------------------------------------------------------------------------------------


def test_blocks_that_are_not_old_stay(host):
    link = service(host, {"t": chain("backup", BTREE, {"max_age": 3600})}) + "/t"
    host.put(link, None, [1, "one"])
    info = host.get(link + "/chain/info")
    assert host.post(link + "/chain/compact")["deleted"] == 0
    with pytest.raises(tc.error.BadRequest):
        host.post(link + "/chain/compact", {"before": info["last"]})
    same(host.get(link + "/chain/info"), info)


def test_old_blocks_are_deleted(host):
    link = service(host, {"n": chain("backup", 0, {"max_age": 0.5, "block_age": 0.1})}) + "/n"
    for n in range(1, 4):
        host.put(link, None, n)
    first = host.get(link + "/chain/info")["first"]

    def gone():
        host.post(link + "/chain/compact")
        return host.get(link + "/chain/info")["first"] != first

    poll(gone, "no block is old")
    with pytest.raises(tc.error.NotFound):
        host.get(link + "/chain/blocks", tc.Int(0))
    with pytest.raises(tc.error.BadRequest):
        host.get(link + "/chain/at", first)

    def is_linked():
        """The first block that is left names the hash of the last one that was deleted and of what they led to."""

        blocks = host.get(link + "/chain")["/state/chain/backup"][1]
        base = host.get(link + "/chain/info")["base"]
        parts = bytes.fromhex(base["block"]) + bytes.fromhex(base["hash"])
        return blocks[0][0] == base64.b64encode(hashlib.sha256(parts).digest()).decode()

    poll(is_linked, "unless another block is deleted in between, they are linked")
    # what they led to is kept, and the rest of the history goes on from there
    same(host.get(link), 3)
    same(host.get(link + "/chain/verify"), True)
    host.put(link, None, 4)
    last = host.get(link + "/chain/info")["last"]
    same(host.get(link + "/chain/at", last), 4)
    same(host.get(link + "/chain/verify"), True)


def test_old_blocks_are_deleted_though_nobody_asks_or_writes(host):
    link = service(host, {"n": chain("backup", 0, {"max_age": 0.5, "block_age": 0.1})}) + "/n"
    host.put(link, None, 1)
    poll(lambda: host.get(link + "/chain/records/count") == 0, "the records stay")
    same(host.get(link), 1)
    same(host.get(link + "/chain/verify"), True)


# --- compliant --------------------------------------------------------------------------------------------------


def files_with(process, marker):
    """The files of a host that contain `marker`."""

    def has_marker(place):
        try:
            return place.is_file() and marker.encode() in place.read_bytes()
        except FileNotFoundError:  # it was deleted since it was listed
            return False

    places = [place for root in (process.data_dir, process.workspace) if root.is_dir() for place in root.rglob("*")]
    return [place for place in places if has_marker(place)]


def is_erased(host, link):
    return all(all(members.values()) for _, _, members in host.get(link + "/chain/purges"))


def rows_of(host, link):
    return host.get(link)["/state/collection/table"][1]


def test_purge(spawn):
    process = spawn()
    host = process.client()
    link = service(host, {"t": chain("compliant", USERS, {"owner": "user"})}) + "/t"
    markers = {"ann": "5a1c93e07bd24f6688aa01d7e2c4bb90", "bob": "c07e44d18a9b4be2a6f1359d0e7788fe"}
    for n, (user, marker) in enumerate(markers.items()):
        host.put(link, [n], [user, marker])
        host.put(link, [n + 10], [user, marker + "again"])
    host.delete(link, [10])
    same(host.get(link + "/chain/owner", "ann"), {"records": 3, "rows": 1})
    last = host.get(link + "/chain/info")["last"]

    purged = host.post(link + "/chain/purge", {"owner": "ann"})
    assert set(purged) == {"purged", "txn"} and purged["purged"] == 3
    same(host.post(link + "/chain/purge", {"owner": "ann"})["purged"], 0)
    same(host.get(link + "/chain/owner", "ann"), {"records": 0, "rows": 0})
    same(host.get(link + "/chain/owner", "bob"), {"records": 2, "rows": 2})
    bobs = [[1, "bob", markers["bob"]], [11, "bob", markers["bob"] + "again"]]
    same(host.get(link)["/state/collection/table"][1], bobs)
    same(host.get(link + "/chain/at", last)["/state/collection/table"][1], bobs)
    same(host.get(link + "/chain/verify"), True)
    poll(lambda: is_erased(host, link), "not erased")
    assert files_with(process, markers["ann"]) == []

    process.stop()
    host = spawn(port=process.port).client()
    same(host.get(link)["/state/collection/table"][1], bobs)
    same(host.get(link + "/chain/verify"), True)
    assert files_with(process, markers["ann"]) == []


def test_purge_of_a_user_of_a_token(spawn):
    """What was written with a token is its oldest actor's until another writes it; without a token, nobody's."""

    process = spawn()
    host = process.client()
    version = service(host, {
        "t": chain("compliant", USERS, {"owner": "token"}),
        "n": chain("compliant", 0, {"owner": "token"}),
        "set": {O + "post": [["_return", {"$self/n": [None, {"$n": []}]}]]},
    })
    actor = Actor.of_host(process)
    ann, bob = ([f"/user/{name}", actor.id] for name in ("ann", "bob"))
    tokens = {name: actor.token(f"/user/{name}") for name in ("ann", "bob")}
    # a service that acts for Ann: what it writes is hers
    tokens["service"] = actor.token("/service/x", life=30, inherit=tokens["ann"])

    def send(method, path, token=None, body=None, **query):
        query = {name: json.dumps(value) for name, value in query.items()}
        headers = bearer(tokens.get(token))
        body = None if body is None else json.dumps(body)
        return requests.request(method, process.url + version + path, params=query, data=body, headers=headers,
                                timeout=DEADLINE)

    def ok(*args, **kwargs):
        reply = send(*args, **kwargs)
        assert reply.status_code == 200, reply.text
        return reply.json()

    marker = "d41f0b6a97c84e25b3e8125c7fa06b9d"
    for key, token, text in [(1, "ann", marker), (2, "bob", "b"), (3, None, "c"), (4, "service", marker + "4"),
                             (5, "ann", marker + "5"), (5, "bob", "e"), (6, "bob", "f"), (6, "ann", marker + "6")]:
        ok("PUT", "/t", token, ["", text], key=[key])
    ok("PUT", "/n", "ann", 5)
    ok("POST", "/set", "bob", {"n": 6})
    # four puts, and that one of these rows went to Bob
    same(ok("GET", "/t/chain/owner", key=ann), {"records": 5, "rows": 3})
    same(ok("GET", "/t/chain/owner", key=bob), {"records": 4, "rows": 2})
    same(ok("GET", "/n/chain/owner", key=ann), {"records": 2, "rows": 0})
    for owner in ("ann", "/user/ann", ["/user/ann"], ["/user/ann", None], None):
        error_of(send("POST", "/t/chain/purge", body={"owner": owner}), 400, "bad_request")

    same(ok("POST", "/t/chain/purge", body={"owner": ["/user/cid", actor.id]})["purged"], 0)
    same(ok("POST", "/t/chain/purge", body={"owner": ann})["purged"], 5)
    same(ok("GET", "/t/chain/owner", key=ann), {"records": 0, "rows": 0})
    same(ok("GET", "/t/chain/owner", key=bob), {"records": 4, "rows": 2})
    same(rows_of(host, version + "/t"), [[2, "", "b"], [3, "", "c"], [5, "", "e"]])
    same(ok("POST", "/n/chain/purge", body={"owner": ann})["purged"], 2)
    same(ok("GET", "/n"), 6)
    same(ok("POST", "/n/chain/purge", body={"owner": bob})["purged"], 1)
    same(ok("GET", "/n"), None)
    for name in ("/t", "/n"):
        same(ok("GET", name + "/chain/verify"), True)
        poll(lambda: is_erased(host, version + name), "not erased")
    assert files_with(process, marker) == []


WRITERS, WRITES = 8, 150


class Writer(threading.Thread):
    """Puts rows of its own, one after the other. `refused` has what was not accepted."""

    def __init__(self, url, number):
        super().__init__(daemon=True)
        self.url, self.number = url, number
        self.done = 0
        self.refused = []

    def run(self):
        for n in range(WRITES):
            key = json.dumps([1000 * (self.number + 1) + n])
            row = json.dumps([f"user{self.number}", f"text {n}"])
            reply = requests.put(self.url, params={"key": key}, data=row, timeout=DEADLINE)
            if reply.status_code != 200:
                self.refused.append(reply.text)
                return
            self.done += 1


def test_a_purge_while_others_write(spawn):
    """It conflicts with nobody, and nobody with it."""

    process = spawn()
    host = process.client()
    link = service(host, {"t": chain("compliant", USERS, {"owner": "user"})}) + "/t"
    for n in range(20):
        host.put(link, [n], ["ann", f"text {n}"])
    conflicts = metric(process.url, "store_conflicts_total")
    writers = [Writer(process.url + link, number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    poll(lambda: all(writer.done for writer in writers), "nobody writes")
    same(host.post(link + "/chain/purge", {"owner": "ann"})["purged"], 20)
    while any(writer.is_alive() for writer in writers):
        host.put(link, [0], ["ann", "again"])
        same(host.post(link + "/chain/purge", {"owner": "ann"})["purged"], 1)
    for writer in writers:
        writer.join(DEADLINE)
        assert writer.refused == [] and writer.done == WRITES
    assert metric(process.url, "store_conflicts_total") == conflicts
    same(host.get(link + "/count"), WRITERS * WRITES)
    same(host.get(link + "/chain/owner", "user0"), {"records": WRITES, "rows": WRITES})
    same(host.get(link + "/chain/verify"), True)
    poll(lambda: is_erased(host, link), "not erased")


# --- reduce -----------------------------------------------------------------------------------------------------


def test_old_values_are_reduced(host):
    """What is in the levels together has the same sum at any time, and the raw values go when they are old."""

    options = {"reduce": "total", "levels": [[1, 1], [2, None]]}
    version = service(host, {"n": chain("reduce", 0), "chain_policy": {"n": options}, "total": SUM})
    link = version + "/n"
    same(host.post(version + "/total", {"items": [[0, None, 5], [1, None, 6]], "start": 0, "window": 2}), [[None, 11]])
    values = [1, 2, 4, 8, 16]
    for value in values:
        host.put(link, None, value)

    def level(i):
        return [value for _, pairs in host.get(link + "/chain/level", tc.Int(i)) for _, value in pairs]

    def reduced():
        assert type(host.post(link + "/chain/reduce")["reduced"]) is list
        raw, sums = level(0), level(1)
        # unless the host reduced in between
        assert sum(raw) + sum(sums) == sum(values) or level(0) != raw
        return not raw

    poll(reduced, "the raw values stay")
    assert sum(level(1)) == sum(values)
    same(host.get(link), 16)
    same(host.get(link + "/chain/verify"), True)


def test_levels_above_each_other(spawn):
    """What was reduced is reduced again, also by another run of the host, and no window is counted twice."""

    process = spawn()
    host = process.client()
    options = {"reduce": "total", "levels": [[0.25, 0.25], [0.5, 0.5], [1, None]]}
    link = service(host, {"n": chain("reduce", 0, options), "total": SUM}) + "/n"
    for value in (1, 2, 4):
        host.put(link, None, value)
    process.stop()
    host = spawn(port=process.port).client()
    host.put(link, None, 8)

    def read():
        return [host.get(link + "/chain/level", tc.Int(i)) for i in range(3)]

    def unchanged():
        """All levels, if the host has reduced none of them while they were read."""

        levels = read()
        return levels if levels == read() else None

    def reduced():
        counts = host.post(link + "/chain/reduce")["reduced"]
        assert len(counts) == 2
        levels = poll(unchanged, "the host reduces all the time")
        starts = [start for start, _ in levels[2]]
        assert starts == sorted(set(starts)) and all(start % 1 == 0 for start in starts)
        sums = [sum(value for _, pairs in level for _, value in pairs) for level in levels]
        assert sum(sums) == 15
        return sums == [0, 0, 15]

    poll(reduced, "not all is reduced")
    same(host.get(link), 8)
    same(host.get(link + "/chain/verify"), True)
    with pytest.raises(tc.error.NotFound):
        host.get(link + "/chain/level", tc.Int(3))
    with pytest.raises(tc.error.BadRequest):
        host.post(link + "/chain/reduce", {"level": 1})


def test_old_values_are_reduced_though_nobody_asks(spawn):
    """By the host that has written them, and by the next one."""

    process = spawn()
    host = process.client()
    options = {"reduce": "total", "levels": [[0.25, 0.25], [0.5, None]]}
    link = service(host, {"n": chain("reduce", 0, options), "total": SUM}) + "/n"

    def total(value):
        host.put(link, None, value)
        poll(lambda: host.get(link + "/chain/level", tc.Int(0)) == [], "the values stay")
        return sum(value for _, pairs in host.get(link + "/chain/level", tc.Int(1)) for _, value in pairs)

    assert total(1) == 1
    process.stop()
    host = spawn(port=process.port).client()
    assert total(2) == 3
    same(host.get(link + "/chain/verify"), True)
    assert "error" not in host.get(link + "/chain/info")


def test_a_reduction_that_fails_changes_nothing(host):
    options = {"reduce": "five", "levels": [[0.25, 0.25], [0.5, None]]}
    five = {O + "post": [["_return", 5]]}
    link = service(host, {"t": chain("reduce", TABLE, options), "five": five}) + "/t"
    host.put(link, ["pen"], [3])
    host.delete(link, ["pen"])
    recorded = host.get(link + "/chain/level", tc.Int(0))
    same([pair for _, pairs in recorded for pair in pairs], [[["pen"], [3]], [["pen"], None]])

    def fails():
        try:
            assert host.post(link + "/chain/reduce")["reduced"] == [0]
        except tc.error.BadRequest as error:
            return error

    assert "/five" in str(poll(fails, "nothing is due"))
    # the host tries that too, and says why it cannot
    poll(lambda: "/five" in host.get(link + "/chain/info").get("error", ""), "the host does not say so")
    same(host.get(link + "/chain/level", tc.Int(0)), recorded)
    same(host.get(link + "/chain/level", tc.Int(1)), [])
    same(host.get(link + "/chain/verify"), True)
