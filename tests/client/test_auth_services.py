"""What a secured host lets the code of services do, and what it lets people do through that code."""

import pytest

from sample_tokens import EXECUTE, READ, WRITE, Actor
from support import O, HostProcess, same
from test_auth import FLAGS, GROUP, OWNER, ok, owner_of, send, sql

VERSION = "/service/vault/box/1.0.0"
LIBRARY = "/lib/vault/key/1.0.0"
COUNT = {"$self/secret": []}
USERS = [[[["id", {"/state/scalar/value/number/uint/64": {}}]], [["user", {"/state/scalar/value/string": {}}, 20]]], []]
BOX = {
    "secret": {"/state/chain/sync": [7]},
    "open": {"/state/chain/sync": [0]},
    "people": {"/state/chain/compliant": [{"/state/collection/table": [USERS]}, {"owner": "user"}]},
    "modes": {"secret": 0o770, "hidden": 0o770},
    "hidden": {O + "get": ["key", [["_return", 1]]]},
    "peek": {O + "get": ["key", [["_return", COUNT]]]},
    "spoil": {O + "get": ["key", [["_return", {"$self/open": [None, 9]}]]]},
    "detour": {O + "get": ["key", [["_return", {"$self/set": {"n": 9}}]]]},
    "set": {O + "post": [["_return", {"$self/open": [None, {"$n": []}]}]]},
    "apply": {O + "post": [["_return", {"$op": [None]}]]},
    "forget": {O + "post": [["_return", {"$self/people/chain/purge": {"owner": {"$who": []}}}]]},
}
KEY = {
    "spoil": {O + "post": [["_return", {VERSION + "/spoil": [None]}]]},
    "detour": {O + "post": [["_return", {VERSION + "/detour": [None]}]]},
    "turn": {O + "post": [["_return", {VERSION + "/set": {"n": 9}}]]},
}


@pytest.fixture(scope="module")
def vault(request, tmp_path_factory):
    if request.config.getoption("--offline"):
        pytest.skip("no host")
    host = HostProcess(tmp_path_factory.mktemp("vault"), *FLAGS, f"--owner={OWNER}", f"--group={GROUP}").start()
    try:
        for path, definition in ((VERSION, BOX), (LIBRARY, KEY)):
            _, root, directory, item, version = path.split("/")
            token = owner_of(host, f"/{root}")
            ok(send(host.url, "PUT", f"/{root}", token, True, key=directory))
            ok(send(host.url, "PUT", f"/{root}/{directory}", token, False, key=item))
            path = f"/{root}/{directory}/{item}"
            ok(send(host.url, "PUT", path, token, {path: definition}, key=version))
        yield host
        host.stop()
    finally:
        host.kill()


def status(vault, method, path, token=None, body=None, **query):
    return send(vault.url, method, path, token, body, **query).status_code


def test_a_member_that_others_may_not_read(vault):
    """Its service reads it, and whoever has a scope."""

    assert status(vault, "GET", VERSION + "/secret") == 401
    assert status(vault, "GET", VERSION + "/secret", owner_of(vault, "/service/other")) == 403
    same(ok(send(vault.url, "GET", VERSION + "/secret", owner_of(vault, VERSION))), 7)
    same(ok(send(vault.url, "GET", VERSION + "/peek")), 7)
    same(ok(send(vault.url, "GET", VERSION + "/open")), 0)


@pytest.mark.parametrize("name", ["secret", "hidden", "people"])
def test_a_member_that_is_named_by_a_key_is_as_private(vault, name):
    """With a chain come all its records."""

    assert status(vault, "GET", VERSION, key=name) == 401
    assert status(vault, "GET", VERSION, owner_of(vault, VERSION), key=name) == 200
    assert [status(vault, "GET", VERSION, key=other) for other in ("open", "peek")] == [200, 200]


def test_the_plan_of_a_method_is_for_who_may_read_it(vault):
    for method, others in (("peek", True), ("hidden", False)):
        program = {"op": [["r", {f"{VERSION}/{method}": [None]}]]}
        for token, is_shown in ((None, others), (owner_of(vault, VERSION), True)):
            plan = send(vault.url, "POST", "/explain", token, program)
            assert plan.status_code == 200, plan.text
            assert f" = get {VERSION}/{method} (" in plan.text
            assert (f"# GET {VERSION}/{method}\n" in plan.text) is is_shown


@pytest.mark.parametrize("path", ["records", "owner", "purges", "blocks"])
def test_what_a_chain_keeps_of_people_is_private(vault, path):
    query = {"key": "ann"} if path == "owner" else {}
    assert status(vault, "GET", f"{VERSION}/people/chain/{path}", **query) == 401
    assert status(vault, "GET", f"{VERSION}/people/chain/{path}", owner_of(vault, VERSION), **query) == 200


def test_others_cannot_write_by_way_of_a_get_or_a_library(vault):
    assert status(vault, "GET", VERSION + "/spoil") == 200
    for name in ("spoil", "detour", "turn"):
        assert status(vault, "POST", f"{LIBRARY}/{name}", body={}) in (401, 405)
    same(ok(send(vault.url, "GET", VERSION + "/open")), 0)


@pytest.mark.parametrize(
    "op",
    [
        {O + "get": ["key", [["_return", {VERSION + "/open": [None, 5]}]]]},
        {O + "get": ["key", [["_return", {VERSION + "/people/chain/purge": {"owner": "ann"}}]]]},
        {O + "get": ["key", [["_return", {VERSION + "/set": {"n": 5}}]]]},
        {O + "get": ["key", [["t", {VERSION + "/people": [None]}], ["_return", {"$t": [[7], ["eve"]]}]]]},
        {O + "get": ["key", [["t", {VERSION + "/people": [None]}], ["_return", {O.replace("op", "ref/op") + "delete": [{"$t": []}, [7]]}]]]},
    ],
    ids=["write", "purge", "call", "write to what was read", "delete from what was read"],
)
def test_a_service_does_not_lend_its_name_to_code_of_others(vault, op):
    """What is given to it as a parameter does what its sender may do."""

    token = owner_of(vault, VERSION + "/apply", EXECUTE)
    assert status(vault, "POST", VERSION + "/apply", token, {"op": op}) == 403
    same(ok(send(vault.url, "GET", VERSION + "/open")), 0)


def test_a_purge_takes_a_scope_of_its_own(vault):
    for path in ("/forget", "/people/chain/purge"):
        body = {"who": "ann"} if path == "/forget" else {"owner": "ann"}
        token = owner_of(vault, VERSION + "/forget", EXECUTE)
        assert status(vault, "POST", VERSION + path, token, body) == 403
        assert status(vault, "POST", VERSION + path, owner_of(vault, VERSION), body) == 200


# --- SQL, which is open to all who may execute it -------------------------------------------------------------------


def query(vault, text, *scopes):
    token = Actor.of_host(vault).token(OWNER, ["/service/sql", EXECUTE], *scopes)
    return sql(vault.url, text, token)


def table(name):
    return '"vault/box/1.0.0"."' + name + '"'


@pytest.mark.parametrize("name,path", [("secret", "secret"), ("people~records", "people/chain/records")])
def test_sql_reads_no_member_that_the_token_may_not_read(vault, name, path):
    text = f"SELECT count(*) FROM {table(name)}"
    scope = [f"{VERSION}/{path}", READ]
    # A plan that is kept is not for everybody.
    assert [query(vault, text).status_code, query(vault, text, scope).status_code, query(vault, text).status_code] == [
        403,
        200,
        403,
    ]
    within = f"SELECT (SELECT count(*) FROM {table(name)}) + 1"
    assert query(vault, within).status_code == 403
    assert query(vault, f"CREATE TABLE taken AS SELECT * FROM {table(name)}").status_code == 403


def test_sql_reads_what_everybody_reads(vault):
    same(ok(query(vault, f"SELECT count(*) FROM {table('people')}"))["rows"], [[0]])


def test_sql_lists_what_the_token_may_read(vault):
    text = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'vault/box/1.0.0' ORDER BY table_name"
    assert ok(query(vault, text))["rows"] == [["open"], ["people"]]
    assert ["secret"] in ok(query(vault, text, [VERSION, READ]))["rows"]


def test_sql_shows_nothing_as_it_was_to_who_may_not_read_the_chain(vault):
    text = f"SELECT * FROM {table('people')} FOR SYSTEM_TIME AS OF '1-0'"
    assert query(vault, text).status_code == 403
    assert query(vault, text, [f"{VERSION}/people/chain", READ]).status_code != 403


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO {people} VALUES (1, 'ann')",
        "UPDATE {people} SET \"user\" = 'bob'",
        "DELETE FROM {people}",
        "TRUNCATE {people}",
    ],
)
def test_sql_writes_where_the_token_may_write(vault, text):
    text = text.format(people=table("people"))
    for _ in range(2):
        assert query(vault, text).status_code == 403
        assert query(vault, text, [f"{VERSION}/people", READ]).status_code == 403
        ok(query(vault, text, [f"{VERSION}/people", WRITE]))
        ok(query(vault, f"DELETE FROM {table('people')}", [f"{VERSION}/people", WRITE]))
