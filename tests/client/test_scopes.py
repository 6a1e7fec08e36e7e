"""What services let each other do: whom one trusts, what it grants, and whether something was granted to it."""

import json

import pytest
import requests

from sample_services import fresh, install, item, path, raw, units
from sample_tokens import EXECUTE, READ, WRITE, Actor
from stand_in import Scripted
from support import DEADLINE, O, HostProcess, error_of, program, same
from test_auth import FLAGS, GROUP, OWNER, ok, owner_of, send

BANK, TILL = "/service/bank/ledger", "/service/shop/till"
V1 = "/1.0.0"
AFTER = "/state/scalar/ref/after"


def debit(of):
    """An op that calls a ledger, for the names that it finds in its context."""

    return {O + "post": [["_return", {of + V1 + "/debit": {"cents": {"$cents": []}}}]]}


LEDGER = {
    "balance": {"/state/chain/sync": [100]},
    "hidden": {"/state/chain/sync": [7]},
    "modes": {"hidden": 0o770},
    # who may call this is up to the host
    "debit": {O + "post": [
        ["left", {"$self/balance/sub": {"r": {"$cents": []}}}],
        ["paid", {"$self/balance": [None, {"$left": []}]}],
        ["_return", {AFTER: [{"$paid": []}, {"$left": []}]}],
    ]},
    # who may get an answer is up to the service
    "asked": {O + "get": ["scope", [
        ["allowed", {"$self/authorize": [{"$scope": []}]}],
        ["_return", {AFTER: [{"$allowed": []}, "yes"]}],
    ]]},
    "believe": {O + "put": ["issuer", "scopes", [["_return", {"$self/install": [{"$issuer": []}, {"$scopes": []}]}]]]},
}


def shop(bank):
    """A shop front over a ledger, which may be on another host."""

    cents = {"cents": {"$cents": []}}
    grant = {"scope": "/debit", "op": debit(bank), "context": cents}
    call = {bank + V1 + "/debit": cents}
    return {
        "pay": {O + "post": [["_return", {"$self/grant": grant}]]},
        "rob": {O + "post": [["_return", call]]},
        "twice": {O + "post": [
            ["paid", {"$self/grant": grant}],
            ["_return", {AFTER: [{"$paid": []}, call]}],
        ]},
        "ask": {O + "get": ["scope", [
            ["op", {O + "get": ["key", [["_return", {bank + V1 + "/asked": ["/debit"]}]]]}],
            ["_return", {"$self/grant": {"scope": {"$scope": []}, "op": {"$op": []}}}],
        ]]},
        "peek": {O + "get": ["key", [
            ["op", {O + "get": ["key", [["_return", {bank + V1 + "/hidden": [None]}]]]}],
            ["_return", {"$self/grant": {"scope": "hidden", "op": {"$op": []}}}],
        ]]},
    }


def put_service(host, link, definition, token=None):
    """Install a version of a service, and the directory and the item that it is in."""

    _, root, directory, name = link.split("/")
    for there, key, value in (
        (f"/{root}", directory, True),
        (f"/{root}/{directory}", name, False),
        (link, "1.0.0", {link: definition}),
    ):
        ok(send(host.url, "PUT", there, token, value, key=key))


@pytest.fixture(scope="module")
def secured(request, tmp_path_factory):
    if request.config.getoption("--offline"):
        pytest.skip("no host")
    host = HostProcess(tmp_path_factory.mktemp("scopes"), *FLAGS, f"--owner={OWNER}", f"--group={GROUP}").start()
    try:
        token = owner_of(host, "/service")
        put_service(host, BANK, LEDGER, token)
        put_service(host, TILL, shop(BANK), token)
        yield host
        host.stop()
    finally:
        host.kill()


@pytest.fixture
def trusting(secured):
    """Says whom the ledger trusts, for one test."""

    def trust(issuer, scopes, route=BANK + "/install"):
        return send(secured.url, "PUT", route, owner_of(secured, BANK), scopes, key=issuer)

    yield trust
    for issuer in (TILL, BANK, {"http://127.0.0.1:1" + TILL: []}):
        ok(trust(issuer, []))


def user(host, service=TILL):
    """A token that lets somebody call the methods of the shop, and nothing else."""

    return Actor.of_host(host).token(GROUP, [service, EXECUTE])


def call(host, method, link, token, body=None, **query):
    return send(host.url, method, link, token, body, **query)


def balance(host):
    return ok(send(host.url, "GET", BANK + V1 + "/balance"))


# --- whom a service trusts --------------------------------------------------------------------------------------


def test_a_trusted_service_grants_what_its_user_may_not_do(secured, trusting):
    before = balance(secured)
    token = user(secured)
    assert f'["{BANK}{V1}/debit",64]' in error_of(
        call(secured, "POST", TILL + V1 + "/pay", token, {"cents": 3}), 403, "forbidden"
    )
    assert trusting(TILL, ["debit"]).json() is None
    same(ok(call(secured, "POST", TILL + V1 + "/pay", token, {"cents": 3})), before - 3)
    same(balance(secured), before - 3)
    # not without a grant, and not after it
    for name in ("rob", "twice"):
        error_of(call(secured, "POST", TILL + V1 + f"/{name}", token, {"cents": 3}), 403, "forbidden")
    # nor by the user
    error_of(call(secured, "POST", BANK + V1 + "/debit", token, {"cents": 3}), 403, "forbidden")
    same(balance(secured), before - 3)


@pytest.mark.parametrize(
    "key",
    [TILL, TILL + V1, {TILL: []}, {TILL + V1: []}, "own address"],
    ids=["path", "version", "link", "link to a version", "url"],
)
def test_forms_of_the_key(secured, trusting, key):
    key = secured.url + TILL if key == "own address" else key
    before = balance(secured)
    ok(trusting(key, ["/debit"]))
    same(ok(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1})), before - 1)
    ok(trusting(key, []))
    error_of(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1}), 403, "forbidden")


@pytest.mark.parametrize("route", [BANK + "/install", BANK + V1 + "/install"], ids=["item", "version"])
@pytest.mark.parametrize("scope", ["debit", "/debit", {"/debit": []}, BANK + "/debit"], ids=str)
def test_forms_of_a_scope(secured, trusting, route, scope):
    before = balance(secured)
    assert trusting(TILL, ["other", scope], route=route).json() is None
    same(ok(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1})), before - 1)


@pytest.mark.parametrize(
    "issuer,scopes",
    [
        (None, ["debit"]),
        (5, ["debit"]),
        ("/lib/shop/till", ["debit"]),
        ("/service", ["debit"]),
        ("no link", ["debit"]),
        (TILL, "debit"),
        (TILL, None),
        (TILL, [""]),
        (TILL, ["/"]),
        (TILL, [5]),
        (TILL, ["a b"]),
        (TILL, [BANK]),
        (TILL, ["/txn/1-2"]),
        (TILL, ["debit", "http://127.0.0.1:1/debit"]),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(secured, trusting, issuer, scopes):
    assert len(error_of(trusting(issuer, scopes), 400, "bad_request")) > 10, "the reason"


def test_only_who_is_trusted_and_only_with_that(secured, trusting):
    before = balance(secured)
    for issuer, scopes in ((TILL, ["credit"]), (BANK, ["debit"]), ({"http://127.0.0.1:1" + TILL: []}, ["debit"])):
        ok(trusting(issuer, scopes))
        error_of(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1}), 403, "forbidden")
    same(balance(secured), before)


def test_who_says_whom_a_service_trusts(secured, trusting):
    """The owner of the host, and the service itself."""

    group = Actor.of_host(secured).token(GROUP, [BANK, 0o700])
    for route in (BANK + "/install", BANK + V1 + "/install"):
        error_of(call(secured, "PUT", route, None, ["debit"], key=TILL), 401, "unauthorized")
        error_of(call(secured, "PUT", route, group, ["debit"], key=TILL), 403, "forbidden")
        error_of(call(secured, "PUT", route, owner_of(secured, TILL), ["debit"], key=TILL), 403, "forbidden")
    # by a method, which whoever may call it calls
    ok(call(secured, "PUT", BANK + V1 + "/believe", group, ["debit"], key=TILL))
    ok(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1}))


def test_a_hypothetical_trust_is_forgotten(secured, trusting):
    install = {BANK + "/install": [TILL, ["debit"]]}
    pay = {TILL + V1 + "/pay": {"cents": 1}}
    steps = {"op": [["i", install], ["_return", {AFTER: [{"$i": []}, pay]}]]}
    token = Actor.of_host(secured)
    token = token.token(OWNER, [BANK + "/install", WRITE], [TILL, EXECUTE])
    before = balance(secured)
    same(ok(send(secured.url, "POST", "/transact/hypothetical", token, steps)), before - 1)
    error_of(call(secured, "POST", TILL + V1 + "/pay", user(secured), {"cents": 1}), 403, "forbidden")
    same(balance(secured), before)


def test_what_others_may_not_read(secured, trusting):
    for token in (None, user(secured)):
        error_of(call(secured, "GET", TILL + V1 + "/peek", token), 403, "forbidden")
    ok(trusting(TILL, ["hidden"]))
    for token in (None, user(secured)):
        same(ok(call(secured, "GET", TILL + V1 + "/peek", token)), 7)
    error_of(call(secured, "GET", BANK + V1 + "/hidden", None), 401, "unauthorized")
    error_of(call(secured, "GET", BANK + V1 + "/hidden", user(secured)), 403, "forbidden")


def test_trust_ends_with_the_service(secured):
    token = owner_of(secured, "/service")
    branch = "/service/bank/branch"
    ok(call(secured, "PUT", "/service/bank", token, False, key="branch"))
    for definition in (LEDGER, LEDGER):
        ok(call(secured, "PUT", branch, token, {branch: definition}, key="1.0.0"))
        grant = {"scope": "debit", "op": {O + "get": ["key", [["_return", {branch + V1 + "/asked": ["debit"]}]]]}}
        error_of(call(secured, "POST", TILL + "/grant", token, grant), 403, "forbidden")
        ok(call(secured, "PUT", branch + "/install", token, ["debit"], key=TILL))
        same(ok(call(secured, "POST", TILL + "/grant", token, grant)), "yes")
        ok(call(secured, "DELETE", branch, token, key="1.0.0"))
        ok(call(secured, "DELETE", "/service/bank", token, key="branch"))
        ok(call(secured, "PUT", "/service/bank", token, False, key="branch"))
    ok(call(secured, "DELETE", "/service/bank", token, key="branch"))


# --- what a service grants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [TILL + "/grant", TILL + V1 + "/grant"], ids=["item", "version"])
def test_who_lets_a_service_grant(secured, trusting, route):
    ok(trusting(TILL, ["debit"]))
    before = balance(secured)
    body = {"scope": "/debit", "op": debit(BANK), "context": {"cents": 2}}
    assert f'["{route}",64]' in error_of(call(secured, "POST", route, None, body), 401, "unauthorized")
    assert f'["{route}",64]' in error_of(call(secured, "POST", route, user(secured, BANK), body), 403, "forbidden")
    same(balance(secured), before)
    same(ok(call(secured, "POST", route, user(secured), body)), before - 2)
    same(balance(secured), before - 2)


NOTHING = {O + "get": ["key", [["_return", 1]]]}


@pytest.mark.parametrize(
    "body,why",
    [
        ({"op": NOTHING}, "scope"),
        ({"scope": "debit"}, "op"),
        ({"scope": "debit", "op": NOTHING, "more": 1}, "more"),
        ({"scope": "debit", "op": 5}, "op"),
        ({"scope": "debit", "op": {O + "delete": ["key", [["_return", 1]]]}}, "DELETE"),
        ({"scope": "debit", "op": NOTHING, "context": 5}, "map"),
        ({"scope": "", "op": NOTHING}, "scope"),
        ({"scope": "/txn/1-2", "op": NOTHING}, "txn"),
        ({"scope": [], "op": NOTHING}, "scope"),
    ],
    ids=str,
)
def test_a_grant_that_makes_no_sense(secured, body, why):
    assert why in error_of(call(secured, "POST", TILL + "/grant", user(secured), body), 400, "bad_request")


def test_an_op_has_its_context(secured):
    def granted(op, **context):
        body = {"scope": "debit", "op": op, "context": context}
        return ok(call(secured, "POST", TILL + "/grant", user(secured), body))

    same(granted(NOTHING), 1)
    same(granted({O + "get": ["key", [["_return", [{"$a": []}, {"$key": []}]]]]}, a="x"), ["x", None])
    same(granted({O + "post": [["_return", {"$a/add": {"r": {"$b": []}}}]]}, a=1, b=2), 3)
    closure = {"/state/closure": [{"a": 1, "b": 1}, {O + "post": [["_return", {"$a/add": {"r": {"$b": []}}}]]}]}
    same(granted(closure), 2)
    same(granted(closure, b=5), 6)


def test_only_these_verbs(secured):
    for method, route in [
        ("GET", "/install"),
        ("POST", "/install"),
        ("DELETE", "/install"),
        ("GET", "/grant"),
        ("PUT", "/grant"),
        ("POST", "/authorize"),
        ("PUT", "/authorize"),
    ]:
        for at in (BANK, BANK + V1):
            error_of(call(secured, method, at + route, owner_of(secured, BANK)), 405, "method_not_allowed")


def test_a_library_has_no_such_routes(host, url):
    lib = install(host, units(fresh()))
    for there in (item(lib), path(lib)):
        response = requests.get(f"{url}{there}/authorize", params={"key": '"x"'}, timeout=DEADLINE)
        assert response.status_code in (400, 404), response.text


def test_a_member_of_that_name_comes_first(host):
    version = raw(host, {name: {O + "get": ["key", [["_return", name]]]} for name in ("install", "grant", "authorize")})
    for name in ("install", "grant", "authorize"):
        same(host.get(f"{version}/{name}"), name)


# --- whether something was granted ------------------------------------------------------------------------------


def test_a_service_asks_for_a_scope(secured, trusting):
    asked = TILL + V1 + "/ask"
    assert "/debit" in error_of(call(secured, "GET", BANK + V1 + "/asked", None, key="/debit"), 401, "unauthorized")
    for at in (BANK, BANK + V1):
        error_of(call(secured, "GET", at + "/authorize", None, key="/debit"), 401, "unauthorized")
        error_of(call(secured, "GET", at + "/authorize", user(secured), key="/debit"), 403, "forbidden")
        error_of(call(secured, "GET", at + "/authorize", user(secured), key="/"), 400, "bad_request")
    ok(trusting(TILL, ["debit"]))
    # the owner is no service that the ledger trusts
    error_of(call(secured, "GET", BANK + "/authorize", owner_of(secured, BANK), key="/debit"), 403, "forbidden")
    same(ok(call(secured, "GET", asked, user(secured), key="/debit")), "yes")
    error_of(call(secured, "GET", asked, user(secured), key="/debit/small"), 403, "forbidden")
    error_of(call(secured, "GET", asked, user(secured), key="/credit"), 403, "forbidden")


def test_a_token_of_a_service_is_one_of_its_host(secured, trusting):
    """What a service has granted counts anywhere in the chain, whoever sends it."""

    actor = Actor.of_host(secured)
    ok(trusting(TILL, ["debit"]))
    authorize = BANK + "/authorize"

    def answer(token, key="/debit"):
        return call(secured, "GET", authorize, token, key=key)

    for mode in (READ, WRITE, EXECUTE):
        assert ok(answer(actor.token(TILL, ["/debit", mode]))) is None
    assert ok(answer(actor.token(secured.url + TILL, [BANK + "/debit", EXECUTE]))) is None
    inner = actor.token(TILL, ["/debit", EXECUTE])
    assert ok(answer(actor.token("/service/other", ["/", EXECUTE], inherit=inner, life=50))) is None
    for token in (
        actor.token(TILL, ["/", EXECUTE]),
        actor.token(TILL, [TILL + "/debit", EXECUTE]),
        actor.token("/service/other", ["/debit", EXECUTE]),
        actor.token(BANK, ["/debit", EXECUTE]),
    ):
        error_of(answer(token), 403, "forbidden")


def test_a_host_without_an_owner(spawn):
    """Everybody may do anything there, but not every question of a service has the answer yes."""

    host = spawn("--request_ttl=30")
    put_service(host, BANK, LEDGER)
    put_service(host, TILL, shop(BANK))
    same(ok(send(host.url, "POST", TILL + V1 + "/rob", None, {"cents": 1})), 99)
    error_of(send(host.url, "GET", TILL + V1 + "/ask", None, key="/debit"), 403, "forbidden")
    error_of(send(host.url, "GET", BANK + V1 + "/asked", None, key="/debit"), 401, "unauthorized")
    ok(send(host.url, "PUT", BANK + "/install", None, ["debit"], key=TILL))
    same(ok(send(host.url, "GET", TILL + V1 + "/ask", None, key="/debit")), "yes")
    error_of(send(host.url, "GET", BANK + V1 + "/asked", None, key="/debit"), 401, "unauthorized")
    host.stop()
    # it is kept
    host = spawn("--request_ttl=30", port=host.port)
    same(ok(send(host.url, "GET", TILL + V1 + "/ask", None, key="/debit")), "yes")
    host.stop()


# --- other hosts ------------------------------------------------------------------------------------------------


def test_a_grant_reaches_another_host(spawn, tmp_path):
    """The ledger is on a secured host, which believes the host of the shop and is sent its tokens."""

    bank = HostProcess(tmp_path / "bank", "--request_ttl=30")
    front = spawn("--request_ttl=30", f"--trust={bank.url}", root=tmp_path / "front")
    flags = [*FLAGS, f"--owner={OWNER}", f"--issuer={front.url}"]
    bank = spawn(*flags, root=tmp_path / "bank", port=bank.port)
    token = owner_of(bank, "/service")
    put_service(bank, BANK, LEDGER, token)
    put_service(front, TILL, shop(bank.url + BANK))
    pay = TILL + V1 + "/pay"
    error_of(send(front.url, "POST", pay, None, {"cents": 4}), 403, "forbidden")
    ok(send(bank.url, "PUT", BANK + "/install", token, ["debit"], key={front.url + TILL: []}))
    same(ok(send(front.url, "POST", pay, None, {"cents": 4})), 96)
    same(ok(send(front.url, "GET", TILL + V1 + "/ask", None, key="/debit")), "yes")
    error_of(send(front.url, "POST", TILL + V1 + "/rob", None, {"cents": 4}), 401, "unauthorized")
    same(balance(bank), 96)
    for host in (front, bank):
        host.stop()


FAR = "/lib/far/away/1.0.0/one"


@pytest.mark.parametrize("flag", ["--trust", "--peer"])
def test_a_token_is_sent_to_hosts_that_are_named(spawn, flag):
    with Scripted((200, 1)) as named, Scripted((200, 1)) as other:
        host = spawn(*FLAGS, f"{flag}={named.url}")
        token = Actor.of_host(host).token(OWNER, ["/lib", READ])
        for there, has_token in ((named, True), (other, False)):
            for args in ([None], ["k", 1], {"a": 1}):
                steps = {"op": [["r", {there.url + FAR: args}]]}
                same(ok(send(host.url, "POST", "/transact/hypothetical", token, steps)), 1)
            assert len(there.requests) == 3
            for _, _, headers, _ in there.requests:
                assert headers.get("authorization") == (f"Bearer {token}" if has_token else None)
        # there is nothing to send for who has none
        same(program(host.url, [["r", {named.url + FAR: [None]}]]).json(), 1)
        assert "authorization" not in named.requests[-1][2]
        host.stop()


def test_a_host_that_is_believed_is_not_sent_tokens(spawn):
    with Scripted((200, 1)) as other:
        host = spawn(*FLAGS, f"--owner={OWNER}", f"--issuer={other.url}", f"--group={other.url}/group")
        token = owner_of(host, "/lib", READ)
        steps = {"op": [["r", {other.url + FAR: [None]}]]}
        same(ok(send(host.url, "POST", "/transact/hypothetical", token, steps)), 1)
        assert "authorization" not in other.requests[0][2]
        host.stop()


def test_an_error_says_that_the_token_was_not_sent(spawn):
    with Scripted((401, {"unauthorized": "who are you"})) as other:
        host = spawn(*FLAGS)
        steps = {"op": [["r", {other.url + FAR: [None]}]]}
        for token, is_said in ((Actor.of_host(host).token(OWNER), True), (None, False)):
            reply = send(host.url, "POST", "/transact/hypothetical", token, steps)
            assert error_of(reply, 401, "unauthorized") == "who are you"
            assert ("--trust" in json.dumps(reply.json()["unauthorized"]["stack"])) is is_said
        host.stop()


def test_a_write_to_another_host_names_no_transaction(spawn):
    """It is committed there at once, and so is no part of the transaction here; a read names the snapshot."""

    with Scripted((200, 1)) as other:
        host = spawn("--request_ttl=30")
        for args, names in (([None], True), (["k", 1], False), ({"a": 1}, False)):
            same(program(host.url, [["r", {other.url + FAR: args}]]).json(), 1)
            assert ("txn_id=" in other.requests[-1][1]) is names
        host.stop()
