"""Tokens and what they allow: a host with an owner, one with an owner on another host, and one without."""

import json
import subprocess
import time

import pytest
import requests
import tinychain as tc

from sample_sql import SERVICE
from sample_tokens import EXECUTE, READ, WRITE, Actor, Issuer, bearer, encode
from support import DEADLINE, HYPOTHETICAL, V, HostProcess, binary, error_of, program, same

OWNER, GROUP = "/user/admin", "/user/team"
FLAGS = ["--bind=127.0.0.1", "--log_level=warn", "--request_ttl=30"]
NOTE = f"{SERVICE}/note"


@pytest.fixture(scope="module", autouse=True)
def needs_the_binary(request):
    if request.config.getoption("--offline"):
        pytest.skip("no host")


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    host = HostProcess(tmp_path_factory.mktemp("secured"), *FLAGS, f"--owner={OWNER}", f"--group={GROUP}").start()
    try:
        create = sql(host.url, "CREATE TABLE note (id BIGINT PRIMARY KEY, t VARCHAR(20))", owner_of(host, "/service/sql"))
        assert create.status_code == 200, create.text
        yield host
        host.stop()
    finally:
        host.kill()


@pytest.fixture(scope="module")
def actor(secured):
    return Actor.of_host(secured)


def owner_of(host, path, mode=0o700):
    return Actor.of_host(host).token(OWNER, [path, mode])


def send(url, method, path, token=None, body=None, **query):
    query = {name: value if name == "txn_id" else json.dumps(value) for name, value in query.items()}
    data = None if body is None else json.dumps(body)
    return requests.request(method, url + path, params=query, data=data, headers=bearer(token), timeout=DEADLINE)


def sql(url, text, token=None):
    return requests.post(url + "/sql", json={"sql": text}, headers=bearer(token), timeout=DEADLINE)


def put_note(url, token=None, key=1, **query):
    return send(url, "PUT", NOTE, token, ["x"], key=[key], **query)


def ok(response):
    assert response.status_code == 200, response.text
    return response.json()


# --- who is asked for a token -----------------------------------------------------------------------------------


def test_everybody_reads_a_secured_host(secured):
    same(secured.client().get("/state", 5), 5)
    same(ok(program(secured.url, [["x", 20], ["y", {"$x/add": [22]}]])), 42)
    ok(send(secured.url, "GET", f"{NOTE}/count"))
    assert requests.get(secured.url + "/healthz", timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize(
    "method,path,needed",
    [
        ("PUT", NOTE, WRITE),
        ("DELETE", NOTE, WRITE),
        ("POST", f"{NOTE}/truncate", EXECUTE),
        ("PUT", "/lib", WRITE),
        ("PUT", "/class/shop", WRITE),
        ("PUT", "/service/shop/stock", WRITE),
        ("POST", f"{NOTE}/chain/purge", EXECUTE),
    ],
)
def test_what_takes_a_claim(secured, actor, method, path, needed):
    """401 without a token, 403 with one that does not suffice; both name the scope that would."""

    scope = f'["{path}",{needed}]'
    assert scope in error_of(send(secured.url, method, path, key="k"), 401, "unauthorized")
    insufficient = [
        actor.token(OWNER, [path, 0o700 & ~needed]),
        actor.token(OWNER, [path, needed >> 6]),
        actor.token(OWNER, [path + "/below", 0o700]),
        actor.token(OWNER, ["/", 0o700]),
        actor.token("/user/somebody", [path, 0o700]),
        actor.token(OWNER),
    ]
    for token in insufficient:
        assert scope in error_of(send(secured.url, method, path, token, key="k"), 403, "forbidden"), token
    assert send(secured.url, method, path, actor.token(OWNER, [path, needed]), key="k").status_code not in (401, 403)


def test_the_reply_to_a_missing_token_says_what_to_send(secured):
    assert put_note(secured.url).headers["www-authenticate"] == "Bearer"


def test_a_claim_allows_what_it_says_and_is_committed(secured, actor):
    assert ok(put_note(secured.url, actor.token(OWNER, [NOTE, WRITE]), key=7)) is None
    same(ok(send(secured.url, "GET", NOTE, key=[7])), [7, "x"])
    assert ok(put_note(secured.url, actor.token(GROUP, ["/service", 0o700]), key=8)) is None
    same(ok(send(secured.url, "GET", NOTE, key=[8])), [8, "x"])


def test_the_client_sends_a_token(secured, actor):
    client = secured.client()
    with pytest.raises(tc.error.Unauthorized):
        client.put(NOTE, (9,), ["y"])
    with pytest.raises(tc.error.Forbidden):
        client.put(NOTE, (9,), ["y"], auth=actor.token(OWNER, ["/lib", WRITE]))
    client.put(NOTE, (9,), ["y"], auth=actor.token(OWNER, [NOTE, WRITE]))
    same(client.get(NOTE, (9,)), [9, "y"])


def test_sql_takes_a_claim_to_execute(secured, actor):
    query = "SELECT count(*) FROM note"
    assert '["/service/sql",64]' in error_of(sql(secured.url, query), 401, "unauthorized")
    error_of(sql(secured.url, query, actor.token(OWNER, ["/service/sql", READ])), 403, "forbidden")
    ok(sql(secured.url, query, actor.token(OWNER, ["/service/sql", EXECUTE])))


def test_only_the_owner_installs(secured, actor):
    assert "the owner of this host" in error_of(
        send(secured.url, "PUT", "/lib", actor.token(GROUP, ["/lib", 0o700]), True, key="shop"), 403, "forbidden"
    )


# --- tokens ------------------------------------------------------------------------------------------------------


def test_a_token_in_each_of_its_forms(secured, actor):
    write = ["/service", WRITE]
    parent = actor.token(OWNER, write)
    for token in [
        actor.token(OWNER, write),
        actor.token(OWNER, write, padding=False),
        actor.token(OWNER, write, ["/lib", READ]),
        actor.token(OWNER, custom=[write]),
        actor.token(f"{secured.url}{OWNER}", write),
        actor.token("/service/other", ["/", EXECUTE], inherit=parent, life=50),
        actor.token(OWNER, write, begin=3),
        actor.token(OWNER, write, actor_id={V + "bytes": encode(actor.public)}),
    ]:
        assert ok(put_note(secured.url, token)) is None, token


def broken(actor):
    good = actor.token(OWNER, ["/service", WRITE])
    header, claims, signature = good.split(".")
    other = actor.token(OWNER, ["/service", READ]).split(".")
    short = actor.token(OWNER, ["/service", WRITE], life=20)
    return {
        "malformed": "x",
        "two parts": f"{header}.{claims}",
        "four parts": f"{good}.{signature}",
        "url-safe": good.replace("e", "-", 1),
        "another algorithm": actor.token(OWNER, ["/service", WRITE], header={"alg": "none", "typ": "JWT"}),
        "another signature": f"{header}.{claims}.{other[2]}",
        "other claims": f"{header}.{other[1]}.{signature}",
        "no signature": f"{header}.{claims}.",
        "expired": actor.token(OWNER, ["/service", WRITE], begin=-60, life=30),
        "not issued yet": actor.token(OWNER, ["/service", WRITE], begin=30),
        "another actor": Actor().token(OWNER, ["/service", WRITE]),
        "a name that nobody has": Actor(name="alice").token(OWNER, ["/service", WRITE]),
        "an issuer that is not trusted": actor.token("http://127.0.0.1:1/user", ["/service", WRITE]),
        "no issuer": actor.token("/", ["/service", WRITE]),
        "outlives its parent": actor.token(OWNER, ["/service", WRITE], inherit=short),
        "a broken parent": actor.token(OWNER, ["/service", WRITE], life=20, inherit=f"{header}.{claims}.{other[2]}"),
        "not a claim": actor.token(OWNER, custom={"/service": WRITE}),
        "a mode of ten bits": actor.token(OWNER, ["/service", 1024]),
        "too long": actor.token(OWNER, ["/service", WRITE], padded="x" * 70_000),
        "another transaction": actor.token(OWNER, ["/txn/5-6", EXECUTE]),
    }


BROKEN = list(broken(Actor()))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_token_is_refused_everywhere(secured, actor, name):
    token = broken(actor)[name]
    for call in [lambda: put_note(secured.url, token), lambda: send(secured.url, "GET", "/state", token, key=1)]:
        assert len(error_of(call(), 401, "unauthorized")) > 10, "the reason"


def test_an_unsecured_host_verifies_tokens_too(process, url):
    actor = Actor.of_host(process)
    same(ok(send(url, "GET", "/state", actor.token("/user", ["/lib", READ]), key=1)), 1)
    for name in ["expired", "another signature", "another actor", "malformed"]:
        error_of(send(url, "GET", "/state", broken(actor)[name], key=1), 401, "unauthorized")


def test_messages_name_the_reason(secured, actor):
    def message(name):
        return error_of(put_note(secured.url, broken(actor)[name]), 401, "unauthorized")

    assert message("expired") == "token is expired"
    assert message("another signature").startswith("invalid bearer token: ")
    assert "does not trust" in message("an issuer that is not trusted")


def test_a_token_of_the_package_rjwt(secured, actor):
    """The one that authors of clients use."""

    import rjwt

    signer = rjwt.Actor(actor.id, actor.public, actor.key.private_bytes_raw())
    first = signer.sign_token(rjwt.Token.issue(OWNER, actor.id, ["/service", WRITE], ttl=30))
    second = signer.sign_token(rjwt.Token.consume(first, "/service/other", actor.id, ["/", EXECUTE], ttl=20))
    for token in [first, second]:
        assert ok(put_note(secured.url, token)) is None


# --- issuers on other hosts -------------------------------------------------------------------------------------


def test_a_key_is_asked_for_at_its_issuer_once(spawn):
    owner, named = Actor(), Actor(name="alice")
    with Issuer(owner, named) as issuer:
        host = spawn(*FLAGS, f"--owner={issuer.url}{OWNER}")
        iss = issuer.url + OWNER
        for _ in range(3):
            assert put_lib(host, owner.token(iss, ["/lib", WRITE])) not in (401, 403)
        assert len(issuer.asked) == 1
        ((path, key),) = issuer.asked
        assert path == OWNER and key[V + "bytes"].rstrip("=") == owner.id[V + "bytes"]
        assert "authorization" not in issuer.requests[0][2]

        assert put_lib(host, named.token(iss, ["/lib", WRITE])) not in (401, 403)
        assert issuer.asked[1:] == [(OWNER, "alice")]
        assert put_lib(host, Actor().token(iss, ["/lib", WRITE])) == 401
        assert put_lib(host, Actor(name="bob").token(iss, ["/lib", WRITE])) == 401
        # The key of another path of the same host is another matter.
        assert put_lib(host, owner.token(issuer.url + "/user/other", ["/lib", WRITE])) == 403
        host.stop()


def test_the_owner_is_the_actor_that_is_named(spawn):
    """Of all whom an issuer knows; without a name, everybody whom it knows."""

    key, alice, mallory = Actor(), Actor(name="alice"), Actor(name="mallory")
    with Issuer(key, alice, mallory) as issuer:
        iss = issuer.url + OWNER
        for of, owners in [("", [key, alice, mallory]), ("#alice", [alice]), ('#"alice"', [alice]), ("#" + json.dumps(key.id), [key])]:
            host = spawn(*FLAGS, f"--owner={iss}{of}")
            for actor in (key, alice, mallory):
                reply = send(host.url, "PUT", "/lib", actor.token(iss, ["/lib", WRITE]), True, key="shop")
                if actor in owners:
                    assert ok(reply) is None
                else:
                    assert "the owner of this host" in error_of(reply, 403, "forbidden")
            assert put_lib(host, Actor(name="alice").token(iss, ["/lib", WRITE])) == 401
            host.stop()


def put_lib(host, token):
    return send(host.url, "PUT", "/lib", token, True, key="shop").status_code


def test_nobody_else_is_asked(spawn):
    actor = Actor()
    with Issuer(actor) as stranger, Issuer(actor) as friend:
        host = spawn(*FLAGS, f"--owner={OWNER}", f"--issuer={friend.url}")
        assert put_lib(host, actor.token(stranger.url + OWNER, ["/lib", WRITE])) == 401
        assert stranger.asked == []
        # A friend is believed, but is not the owner.
        assert put_lib(host, actor.token(friend.url + OWNER, ["/lib", WRITE])) == 403
        assert len(friend.asked) == 1
        host.stop()


def test_a_silent_issuer_is_not_waited_for(spawn):
    actor = Actor()
    with Issuer(actor, delay=5) as issuer:
        host = spawn(*FLAGS, f"--owner={issuer.url}{OWNER}")
        begin = time.monotonic()
        assert put_lib(host, actor.token(issuer.url + OWNER, ["/lib", WRITE])) == 502
        assert time.monotonic() - begin < 4
        host.stop()


# --- transactions -----------------------------------------------------------------------------------------------


def txn_id():
    return f"{time.time_ns()}-5"


def test_only_the_owner_of_a_transaction_writes_in_it(secured, actor):
    write = ["/service", WRITE]
    txn = txn_id()
    error_of(put_note(secured.url, actor.token(OWNER, write), txn_id=txn), 401, "unauthorized")
    assert ok(put_note(secured.url, actor.token(OWNER, write, [f"/txn/{txn}", EXECUTE]), txn_id=txn)) is None
    ok(send(secured.url, "GET", "/state", key=1, txn_id=txn_id()))
    other = actor.token(OWNER, write, ["/txn/5-6", EXECUTE])
    assert "5-6" in error_of(put_note(secured.url, other, txn_id=txn_id()), 401, "unauthorized")


def test_an_unsecured_host_lets_nobody_write_in_the_transaction_of_another(url):
    error_of(send(url, "PUT", f"{SERVICE}/none", None, ["x"], key=[1], txn_id=txn_id()), 401, "unauthorized")
    same(ok(send(url, "GET", "/state", key=1, txn_id=txn_id())), 1)
    same(ok(send(url, "POST", HYPOTHETICAL, None, {"op": [["x", 1]]}, txn_id=txn_id())), 1)


def test_a_transaction_is_locked_by_its_owner(secured, actor):
    txn = txn_id()
    owner, lock = [f"/txn/{txn}", EXECUTE], [f"/txn/{txn}", WRITE]
    parent = actor.token(OWNER, owner)
    for token in [
        actor.token(OWNER, lock),
        actor.token("/service/other", lock, inherit=parent, life=30),
        actor.token("/service/other", owner, inherit=parent, life=30),
    ]:
        error_of(send(secured.url, "GET", "/state", token, key=1, txn_id=txn), 401, "unauthorized")


# --- the host itself --------------------------------------------------------------------------------------------


def test_the_key_of_a_host_outlives_it(spawn):
    host = spawn(*FLAGS, f"--owner={OWNER}")
    token = owner_of(host, "/lib", WRITE)
    host.stop()
    host = spawn(*FLAGS, f"--owner={OWNER}")
    assert put_lib(host, token) not in (401, 403)
    host.stop()


def test_a_damaged_key_is_not_replaced(spawn):
    host = spawn(*FLAGS)
    host.stop()
    path = host.data_dir / "tinychain.key"
    path.write_text("nonsense")
    result = command(*host.flags)
    assert result.returncode == 1 and "key" in result.stderr and "nonsense" not in result.stderr
    assert path.read_text() == "nonsense"


def command(*args):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)


def test_the_command_that_makes_a_token(secured):
    flags = [f"--data_dir={secured.data_dir}", f"--owner={OWNER}", "--claim=/service:w", "--expires=1m"]
    result = command("token", *flags)
    assert result.returncode == 0, result.stderr
    assert ok(put_note(secured.url, result.stdout.strip())) is None


@pytest.mark.parametrize("missing", ["--owner", "--claim"])
def test_the_command_names_what_is_missing(tmp_path, missing):
    flags = {"--owner": OWNER, "--claim": "/service:w"}
    result = command("token", f"--data_dir={tmp_path}", *(f"{name}={value}" for name, value in flags.items() if name != missing))
    assert result.returncode == 2 and missing in result.stderr


def test_there_is_no_token_without_a_host(tmp_path):
    result = command("token", f"--data_dir={tmp_path}", f"--owner={OWNER}", "--claim=/service:w")
    assert result.returncode == 1 and str(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [["--insecure", "--owner=/user"], ["--owner=/"], ["--owner=https://a/b"], ["--owner=/user#alice"], ["--issuer=a"], ["--trust=a"]])
def test_flags_that_make_no_sense(flags, tmp_path):
    result = command(f"--data_dir={tmp_path}/data", f"--workspace={tmp_path}/workspace", *flags)
    assert result.returncode == 2, result.stderr
