"""Host.get, put, post and delete, with the quirks of the client's keys."""

import pytest
import tinychain as tc

from support import V, c32, c64, client_error, ident, same

Nil = tc.scalar.value.Nil


@pytest.mark.parametrize("path", ["/state", "/state/scalar", "/state/scalar/value"])
@pytest.mark.parametrize(
    "key", [1, -7, 2**53 + 1, 1.5, -0.25, 1e16, 1e300, True, "x", "two words, é&=+", "😀\n\"\\", [1, "a", [None, True]]]
)
def test_echo(host, path, key):
    same(host.get(path, key), key)


@pytest.mark.parametrize("key", [None, 0, 0.0, "", False, [], (), {}, Nil()])
def test_a_falsy_key_is_not_sent(host, key):
    assert host.get("/state", key) is None


@pytest.mark.parametrize("key,want", [(tc.Int(0), 0), (tc.String(""), ""), (tc.Bool(False), False), (tc.Float(0.0), 0.0)])
def test_a_wrapped_falsy_key_is_sent(host, key, want):
    same(host.get("/state", key), want)


@pytest.mark.parametrize(
    "key,want",
    [
        (tc.Id("foo"), ident("foo")),
        (tc.URI("/a/b"), ident("/a/b")),
        (tc.URI("http://127.0.0.1:8702/a"), ident("http://127.0.0.1:8702/a")),
        (tc.I32, ident(V + "number/int/32")),
        (tc.Map, ident("/state/map")),
        (1 + 2j, c64(1.0, 2.0)),
        (tc.Complex(1.5 - 2j), c64(1.5, -2.0)),
        (tc.C32(1 + 2j), c32(1.0, 2.0)),
        (tc.U64(2**64 - 1), 2**64 - 1),
        (tc.Version("1.2.3"), "1.2.3"),
        (tc.Tuple([1, tc.String("a")]), [1, "a"]),
    ],
    ids=str,
)
def test_typed_keys(host, key, want):
    same(host.get("/state", key), want)


@pytest.mark.parametrize(
    "cls,key,want",
    [
        ("string", "foo", "foo"),
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", True, "true"),
        ("string", tc.Id("foo"), "foo"),
        ("string", 1 + 2j, "1+2i"),
        ("id", "foo", ident("foo")),
        ("id", 5, ident("5")),
        ("link", "/a/b", ident("/a/b")),
        ("version", "1.2.3", "1.2.3"),
        ("version", [1, 2, 3], "1.2.3"),
        ("email", "a@b.co", {V + "email": "a@b.co"}),
        ("tuple", [1, "a"], [1, "a"]),
        ("none", 5, None),
        ("number", "5", 5),
        ("number", "5.5", 5.5),
        ("number", "1e3", 1000.0),
        ("number/bool", 5, True),
        ("number/bool", "false", False),
        ("number/int", 5.7, 5),
        ("number/int/16", 70000, 4464),
        ("number/int/32", "12", 12),
        ("number/int/64", [5], 5),
        ("number/uint/8", 300, 44),
        ("number/uint/8", -1, 255),
        ("number/uint/64", -5, 2**64 - 5),
        ("number/float", 3, 3.0),
        ("number/float/32", 0.1, 0.1),
        ("number/float/64", "0.1", 0.1),
        ("number/complex", 1 + 2j, c64(1.0, 2.0)),
        ("number/complex/64", 3, c64(3.0, 0.0)),
        ("number/complex/32", [1, 2], c32(1.0, 2.0)),
    ],
)
def test_cast_by_get(host, cls, key, want):
    same(host.get(V + cls, key), want)


@pytest.mark.parametrize(
    "cls,key",
    [("number", "x"), ("number/int", "abc"), ("id", "a b"), ("id", 5.5), ("link", "not a link"), ("version", "1.2"), ("email", "nope"), ("string", [1, 2])],
)
def test_impossible_cast(host, cls, key):
    with pytest.raises(tc.error.BadRequest) as raised:
        host.get(V + cls, key)

    assert client_error(raised.value, "bad_request")


UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize("cls,want", [("string", UUID), ("id", ident(UUID))])
def test_uuid(host, cls, want):
    same(host.get(V + cls + "/uuid", UUID), want)


@pytest.mark.parametrize(
    "path,key,want",
    [
        ("/state/tuple", [1, "x"], [1, "x"]),
        ("/state/tuple/range", 3, [0, 1, 2]),
        ("/state/tuple/range", -3, [-1, -2, -3]),
        ("/state/tuple/range", (1, 4), [1, 2, 3]),
        ("/state/tuple/range", (0, 10, 3), [0, 3, 6, 9]),
        ("/state/map", [["a", 1], ["b", [2]]], {"a": 1, "b": [2]}),
    ],
)
def test_static_get(host, path, key, want):
    same(host.get(path, key), want)


def test_static_post(host):
    same(host.post("/state/tuple/concatenate", {"l": [1], "r": [2, {"a": 1}]}), [1, 2, {"a": 1}])


@pytest.mark.parametrize("given", [{}, {"l": [1]}, {"r": [1]}])
def test_missing_parameter(host, given):
    with pytest.raises(tc.error.NotFound):
        host.post("/state/tuple/concatenate", given)


@pytest.mark.parametrize("path", ["/foo", "/transact/execute", V + "number/int/8", V + "nope", "/state/nope", "/state/tuple/nope"])
def test_unknown_path(host, path):
    with pytest.raises(tc.error.NotFound) as raised:
        host.get(path)

    assert client_error(raised.value, "not_found")


@pytest.mark.parametrize("path", ["/state", "/state/scalar", "/state/scalar/value", V + "string", V + "number/int/32"])
@pytest.mark.parametrize(
    "call",
    [
        lambda host, path: host.put(path, "k", 1),
        lambda host, path: host.put(path),
        lambda host, path: host.post(path),
        lambda host, path: host.post(path, {"a": 1}),
        lambda host, path: host.delete(path, "k"),
        lambda host, path: host.delete(path),
    ],
    ids=["put", "put-default", "post", "post-params", "delete", "delete-default"],
)
def test_classes_are_not_writable(host, path, call):
    with pytest.raises(tc.error.MethodNotAllowed) as raised:
        call(host, path)

    assert client_error(raised.value, "method_not_allowed")


def test_an_unreadable_token_is_refused(host):
    with pytest.raises(tc.error.Unauthorized):
        host.get("/state", 1, auth="not-a-token")


@pytest.mark.parametrize("method", ["put", "delete"])
def test_hypothetical_is_post_only(host, method):
    with pytest.raises(tc.error.MethodNotAllowed):
        getattr(host, method)("/transact/hypothetical", "k")
