"""HTTP as such: connections, headers, bodies, limits."""

import http.client
import json
import socket
import struct
import threading
import urllib.parse

import pytest
import requests
import tinychain as tc

from support import DEADLINE, HYPOTHETICAL, V, error_of, post_raw, program, same

PROGRAM = json.dumps({"op": [["x", 5], ["r", {"$x/add": [1]}]]}).encode()


def connect(url):
    where = urllib.parse.urlparse(url)
    return socket.create_connection((where.hostname, where.port), timeout=DEADLINE)


def receive(sock, method="GET"):
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    return response, response.read()


# --- replies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [None, "gzip, deflate", "identity", "*", "gzip;q=0.5", "br;q=1.0, gzip;q=0.8, *;q=0.1"])
def test_form_of_a_reply(url, encoding):
    response = post_raw(url, PROGRAM, headers={"Accept-Encoding": encoding})
    assert response.status_code == 200
    assert response.content == b"6\n"
    assert response.headers["content-type"] == "application/json"
    assert "content-encoding" not in response.headers


def test_form_of_an_error(url):
    response = requests.get(url + "/foo", timeout=DEADLINE)
    assert response.status_code == 404
    assert response.content == b'{"not_found":"/foo"}\n'
    assert response.headers["content-type"] == "application/json"


def test_a_missing_result_is_null(url):
    response = requests.get(url + "/state", timeout=DEADLINE)
    assert (response.status_code, response.content) == (200, b"null\n")


def test_whole_floats_keep_their_point(url):
    assert program(url, [["x", 5.0]]).content == b"5.0\n"


@pytest.mark.parametrize("accept", [{"Accept-Encoding": "application/tbon"}, {"Accept": "application/tbon"}])
def test_tbon_reply(url, accept):
    response = post_raw(url, PROGRAM, headers=accept)
    assert response.headers["content-type"] == "application/tbon"
    assert response.content == b"\x08" + struct.pack(">q", 6)


def test_tbon_error(url):
    response = requests.get(url + "/foo", headers={"Accept-Encoding": "application/tbon"}, timeout=DEADLINE)
    assert response.status_code == 404
    assert response.content == b'{"not_found""/foo"}'


def test_tbon_request(url):
    body = b'{"op"[["a"\x09\x05]["c"{"$a/class"[]}]]}'
    response = post_raw(url, body, headers={"Content-Type": "application/tbon"})
    assert response.json() == {V + "number/uint/8": []}


# --- methods, targets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "FOO", "TRACE"])
@pytest.mark.parametrize("path", ["/state", HYPOTHETICAL, V + "string"])
def test_other_methods(url, method, path):
    error_of(requests.request(method, url + path, timeout=DEADLINE), 405, "method_not_allowed")


def test_head(url):
    assert requests.head(url + "/state", timeout=DEADLINE).status_code == 405


def test_root(url):
    error_of(requests.get(url + "/", timeout=DEADLINE), 400, "bad_request")
    for method in ["PUT", "POST"]:
        error_of(requests.request(method, url + "/", data="{}", timeout=DEADLINE), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "target,status",
    [
        (V + 'string?key="x"', 200),
        (V + 'str%69ng?key="x"', 200),
        (V + 'string/?key="x"', 400),
        ("/" + V + 'string?key="x"', 400),
        (V + 'string?key=foo', 400),
        (V + 'string?key="y"&key="x"', 200),
        (V + 'string?key="x"&nope=1', 200),
        (V + 'string?key="x"&txn_id=1700000000000000000-5', 200),
        (V + 'string?key="x"&txn_id=abc', 400),
        (V + 'string?key="x"&txn_id=99999999999999999999999-5', 400),
        ('/state?key={"$a":[]}', 400),
        ('/state?key={"a":1}', 400),
        ('/state?key="x"', 200),
        ("/state?key=%22x%22", 200),
        ("/st%00ate?key=1", 400),
    ],
)
def test_target(url, target, status):
    where = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=DEADLINE)
    connection.putrequest("GET", target.replace('"', "%22").replace("{", "%7B").replace("}", "%7D").replace("$", "%24"))
    connection.endheaders()
    response = connection.getresponse()
    body = json.loads(response.read())
    assert response.status == status, body
    if status == 200:
        assert body == "x"


@pytest.mark.parametrize("query", ["", "key=null", "key="])
def test_no_key(url, query):
    response = requests.get(f"{url}/state?{query}", timeout=DEADLINE)
    assert response.status_code == 200 if query != "key=" else response.status_code in (200, 400)
    if response.status_code == 200:
        assert response.json() is None


def test_the_key_of_a_post_is_ignored(url):
    assert requests.post(url + HYPOTHETICAL, params={"key": '"x"'}, data=PROGRAM, timeout=DEADLINE).json() == 6


def test_a_plus_is_a_blank(url):
    assert requests.get(url + "/state?key=%22a+b%22", timeout=DEADLINE).json() == "a b"


@pytest.mark.parametrize("value", ["Basic YTpi", "nonsense", "Bearer", "Bearer x"])
def test_authorization(url, value):
    error_of(requests.get(url + "/state", headers={"Authorization": value}, timeout=DEADLINE), 401, "unauthorized")


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"]
)
def test_content_type(url, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert post_raw(url, PROGRAM, headers=headers).json() == 6


def literal(text):
    return ('{"op": [["a", ' + text + "]]}").encode()


@pytest.mark.parametrize(
    "text,want",
    [
        ("1e+16", 1e16), ("1E16", 1e16), ("1e-7", 1e-7), ("-0.5", -0.5), ("1.0", 1.0), ("NaN", float("nan")), ("Infinity", float("inf")), ("-Infinity", float("-inf")),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("9223372036854775808", 2**63), ("18446744073709551615", 2**64 - 1),
        (r'"\u00e9\n\"\\\/\ud83d\ude00"', "é\n\"\\/😀"), ('"é"', "é"), (r'"\u0000"', "\x00"),
        ('{"a": 1, "a": 2}', {"a": 2}), (" [ 1 ,\n2\t] ", [1, 2]), ("null", None), ("true", True),
    ],
)
def test_json(url, text, want):
    response = post_raw(url, literal(text))
    assert response.status_code == 200, response.text
    same(response.json(), want)


@pytest.mark.parametrize(
    "body",
    [
        literal("18446744073709551616"), literal("-9223372036854775809"), literal("1" * 400), literal("-" + "9" * 5000),
        b"", b"{", b'{"op": [["a", 1]]} x', b'{"op": [["a", 1]]}{}', b"{'op': []}", literal("01"), literal("1."), literal("+1"), literal(".5"), literal("tru"),
        literal('"\n"'), literal(r'"\x"'), literal(r'"\ud800"'), literal('"\xff"').replace("\xff".encode(), b"\xff"), literal("[1,]"), b"\xef\xbb\xbf1x", b"\x00",
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_faulty_json(url, body):
    response = post_raw(url, body)
    if body == b"":
        assert response.status_code in (200, 400, 404)  # an empty Map of parameters: "op" is missing
        response.json()
    else:
        error_of(response, 400, "bad_request")


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1e-999", "0." + "1" * 5000, "1" + "0" * 300 + ".0"])
def test_extreme_numbers_do_no_harm(url, text):
    response = post_raw(url, literal(text))
    assert response.status_code in (200, 400), response.text
    response.json()


@pytest.mark.parametrize("body", ["x", 5, [1, 2]])
def test_parameters_are_a_map(url, body):
    error_of(post_raw(url, body, path="/state/tuple/concatenate"), 400, "bad_request")


def test_parameters_as_pairs(url):
    assert post_raw(url, [["l", [1]], ["r", [2]]], path="/state/tuple/concatenate").json() == [1, 2]


def test_an_empty_post_body_is_an_empty_map(url):
    error_of(post_raw(url, b"", path="/state/tuple/concatenate"), 404, "not_found")


def test_the_body_of_a_get_is_ignored(url):
    assert requests.get(url + "/state?key=5", data=b"{nonsense", timeout=DEADLINE).json() == 5


def test_chunked_body(url):
    parts = [PROGRAM[i : i + 5] for i in range(0, len(PROGRAM), 5)]
    assert requests.post(url + HYPOTHETICAL, data=iter(parts), timeout=DEADLINE).json() == 6


def nest(depth, opening, core, closing):
    return literal(opening * depth + core + closing * depth)


@pytest.mark.parametrize("opening,core,closing", [("[", "1", "]"), ('{"a":', "1", "}"), ('[{"a":', "1", "}]")], ids=["list", "map", "both"])
@pytest.mark.parametrize("depth", [100, 200])
def test_nesting(url, depth, opening, core, closing):
    if "[{" in opening:
        depth //= 2

    body = nest(depth, opening, core, closing)
    response = post_raw(url, body)
    assert response.status_code == 200, response.text[:200]
    assert response.json() == json.loads(body)["op"][0][1]


@pytest.mark.parametrize(
    "opening,core,closing",
    [("[", "1", "]"), ('{"a":', "1", "}"), ("[", "", ""), ('{"a":', "", ""), ('{"$a":[', "1", "]}"), ('{"/state/scalar/ref/after":[1,', "1", "]}"), ('{"/state/scalar/op/post":[["a",', "1", "]]}")],
    ids=["list", "map", "open list", "open map", "references", "after", "ops"],
)
@pytest.mark.parametrize("depth", [20_000, 200_000])
def test_too_deep_nesting(url, depth, opening, core, closing):
    response = post_raw(url, nest(depth, opening, core, closing))
    if response.status_code == 413:
        pytest.skip("over the limit on bodies")

    error_of(response, 400, "bad_request")
    assert requests.get(url + "/state?key=1", timeout=DEADLINE).json() == 1


def test_deep_key(url):
    response = requests.get(url + "/state?key=" + "[" * 3000 + "]" * 3000, timeout=DEADLINE)
    assert response.status_code in (200, 400, 414, 431)


def test_large_body(url):
    text = "x" * 1_000_000
    response = program(url, [["a", text]])
    assert response.status_code == 200
    assert response.json() == text


@pytest.mark.parametrize("length", [10**13, 2**63 - 1])
def test_oversize_body(url, length):
    with connect(url) as sock:
        sock.sendall(f"POST {HYPOTHETICAL} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + PROGRAM)
        response, body = receive(sock, "POST")

    assert response.status == 413
    assert response.getheader("content-type") == "application/json"
    message = json.loads(body)
    assert isinstance(message, dict) and len(message) == 1


# --- connections ------------------------------------------------------------------------------------------------


def test_keep_alive(url):
    with connect(url) as sock:
        for i in range(20):
            body = json.dumps({"op": [["x", i], ["r", {"$x/add": [1]}]]}).encode()
            sock.sendall(f"POST {HYPOTHETICAL} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            response, reply = receive(sock, "POST")
            assert (response.status, reply) == (200, b"%d\n" % (i + 1))


def test_keep_alive_after_an_error(url):
    with connect(url) as sock:
        for target, status in [("/foo", 404), ("/state", 200), ("/state?key=x", 400), ("/state?key=1", 200)]:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            response, _ = receive(sock)
            assert response.status == status


def test_connection_close(url):
    with connect(url) as sock:
        sock.sendall(b"GET /state?key=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        response, reply = receive(sock)
        assert (response.status, reply) == (200, b"1\n")
        assert sock.recv(1) == b""


def test_a_slow_request(url):
    with connect(url) as sock:
        head = f"POST {HYPOTHETICAL} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PROGRAM)}\r\n\r\n".encode()
        for byte in head + PROGRAM:
            sock.sendall(bytes([byte]))

        response, reply = receive(sock, "POST")
        assert (response.status, reply) == (200, b"6\n")


def test_broken_connections_do_no_harm(url):
    for data in [b"", b"GARBAGE\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", b"\x16\x03\x01\x02\x00\x01", b"GET /state"]:
        with connect(url) as sock:
            sock.sendall(data)

    assert requests.get(url + "/state?key=1", timeout=DEADLINE).json() == 1


def test_many_clients_at_once(url):
    client = tc.host.Host(url)
    failures = []

    def work(n):
        try:
            for i in range(10):
                cxt = tc.Context()
                cxt.x = n * 1000 + i + 2
                cxt.r = cxt.x * 3
                same(client.hypothetical(cxt), (n * 1000 + i + 2) * 3)
        except BaseException as cause:
            failures.append(cause)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert not failures
    assert not any(thread.is_alive() for thread in threads)
