"""Ids, links, versions, e-mail addresses, None; hash, is_none, is_some."""

import hashlib
import struct

import pytest
import tinychain as tc
from tinychain.scalar.value import Bytes, Nil

from support import apply, evaluate, ident, same

ANY = (tc.Value, tc.Value)


@pytest.mark.parametrize("name", ["foo", "a.b_0", "0", "é", "-5", "1.2.3", "3+4i", "日本"])
def test_id(host, name):
    cxt = tc.Context()
    cxt.r = tc.Id(name)
    same(host.hypothetical(cxt), ident(name))


@pytest.mark.parametrize("name", ["a.b_0", "é", "x-1", "_x"])
def test_step_names(host, name):
    cxt = tc.Context()
    setattr(cxt, name, 5)
    cxt.r = getattr(cxt, name) + 1
    same(host.hypothetical(cxt), 6)


@pytest.mark.parametrize(
    "link", ["/", "/a", "/a/b.c/1.0.0", "http://127.0.0.1", "http://127.0.0.1:8702", "http://127.0.0.1:8702/a/b", "http://example.com/a", "https://example.com:8443/a", "/state/scalar/value/string/x"]
)
def test_link(host, link):
    cxt = tc.Context()
    cxt.r = tc.URI(link)
    same(host.hypothetical(cxt), ident(link))


@pytest.mark.parametrize("cls", [tc.State, tc.Value, tc.Number, tc.Int, tc.I16, tc.U8, tc.F32, tc.Complex, tc.C32, tc.Bool, tc.String, tc.Id, tc.Version, tc.Tuple, tc.Map, Nil])
def test_class(host, cls):
    cxt = tc.Context()
    cxt.r = cls
    same(host.hypothetical(cxt), ident(str(cls.__uri__)))


@pytest.mark.parametrize(
    "a,b,want",
    [
        (tc.Id("a"), tc.Id("a"), True), (tc.Id("a"), tc.Id("b"), False), (tc.Id("foo"), "foo", True), (tc.Id("foo"), 5, False),
        (tc.URI("/a/b"), tc.URI("/a/b"), True), (tc.URI("/a/b"), tc.URI("/a/c"), False), (tc.URI("/a/b"), "/a/b", True),
        (None, None, True), (None, 0, False), (None, "", False), (0, None, False), ("x", None, False),
        ([1, 2], [1.0, "2"], True),
    ],
)
def test_equality(host, a, b, want):
    same(apply(host, lambda a, b: a == b, ANY, a, b), want)
    same(apply(host, lambda a, b: a != b, ANY, a, b), not want)


@pytest.mark.parametrize("a,b", [("a", "b"), ("a", "a"), ("b", "a"), ("a", "aa")])
def test_order_of_ids(host, a, b):
    same(apply(host, lambda a, b: a > b, ANY, tc.Id(a), tc.Id(b)), a > b)
    same(apply(host, lambda a, b: a >= b, ANY, tc.Id(a), tc.Id(b)), a >= b)
    same(apply(host, lambda a, b: a < b, ANY, tc.Id(a), tc.Id(b)), a < b)
    same(apply(host, lambda a, b: a <= b, ANY, tc.Id(a), tc.Id(b)), a <= b)


@pytest.mark.parametrize("a,b", [("1.2.3", "1.2.3"), ("1.10.0", "1.9.0"), ("0.9.9", "1.0.0"), ("1.2.3", "1.2.4")])
def test_versions(host, a, b):
    left, right = ([int(n) for n in v.split(".")] for v in (a, b))
    make = lambda op: lambda a, b: op(a.cast(tc.Version), b.cast(tc.Version))
    same(apply(host, make(lambda a, b: a > b), ANY, a, b), left > right)
    same(apply(host, make(lambda a, b: a >= b), ANY, a, b), left >= right)
    same(apply(host, make(lambda a, b: a < b), ANY, a, b), left < right)
    same(apply(host, make(lambda a, b: a <= b), ANY, a, b), left <= right)
    same(apply(host, make(lambda a, b: a == b), ANY, a, b), left == right)
    same(apply(host, make(lambda a, b: a != b), ANY, a, b), left != right)


@pytest.mark.parametrize(
    "value,cls,want",
    [
        ("1.2.3", tc.Version, True), ("a@b.co", tc.EmailAddress, True),
    ],
)
def test_typed_text_equals_its_text(host, value, cls, want):
    same(apply(host, lambda a, b: a.cast(cls) == b, ANY, value, value), want)
    same(apply(host, lambda a, b: a == b.cast(cls), ANY, value, value), want)
    same(apply(host, lambda a, b: a.cast(cls) == b, ANY, value, "other"), not want)


@pytest.mark.parametrize(
    "value,cls,want", [("1.2.3", tc.Version, "1.2.3"), ("a@b.co", tc.EmailAddress, "a@b.co"), ("foo", tc.Id, "foo"), ("00ff", Bytes, "AP8=")]
)
def test_text_of_typed_text(host, value, cls, want):
    same(apply(host, lambda a: a.cast(cls).cast(tc.String), (tc.Value,), value), want)


NONE = [(None, True), ([], True), ({}, True), (tc.URI("/"), True), (0, False), ("", False), (False, False), (0.0, False), ([None], False), ({"a": None}, False), (tc.Id("x"), False), (tc.URI("/a"), False)]


@pytest.mark.parametrize("value,want", NONE)
def test_is_none(host, value, want):
    same(apply(host, lambda x: x.is_none(), (tc.State,), value), want)
    same(apply(host, lambda x: x.is_some(), (tc.State,), value), not want)


def test_nil(host):
    cxt = tc.Context()
    cxt.x = Nil()
    assert host.hypothetical(cxt) is None
    # the client replaces the argument "null" of the call by the step of the same value
    cxt.r = cxt.x.is_none()
    same(host.hypothetical(cxt), True)


def test_none_step(host):
    cxt = tc.Context()
    cxt.x = None
    assert host.hypothetical(cxt) is None


def h(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def text(s):
    return h(s.encode())


def i64(n):
    return h(struct.pack(">q", n))


HASHES = [
    (None, bytes(32)),
    ([], bytes(32)),
    ({}, bytes(32)),
    (True, h(b"\x01")),
    (False, h(b"\x00")),
    (5, i64(5)),
    (-1, i64(-1)),
    (1.5, h(struct.pack(">d", 1.5))),
    (1 + 2j, h(h(struct.pack(">d", 1.0)), h(struct.pack(">d", 2.0)))),
    ("", text("")),
    ("foo", text("foo")),
    ("é", text("é")),
    (tc.Id("foo"), text("foo")),
    (tc.URI("/a/b"), text("/a/b")),
    ([1, "a"], h(i64(1), text("a"))),
    ([[1]], h(h(i64(1)))),
    ({"b": 2, "a": 1}, h(h(text("a"), i64(1)), h(text("b"), i64(2)))),
]


@pytest.mark.parametrize("value,digest", HASHES)
def test_hash(host, value, digest):
    same(apply(host, lambda x: x.hash(), (tc.State,), value), ident(digest.hex()))


def test_hash_of_narrow_numbers(host):
    same(apply(host, lambda x: x.cast(tc.U8).hash(), (tc.State,), 5), ident(h(b"\x05").hex()))
    same(apply(host, lambda x: x.cast(tc.F32).hash(), (tc.State,), 1.5), ident(h(struct.pack(">f", 1.5)).hex()))


def test_hash_of_a_version(host):
    digest = h(*(h(struct.pack(">I", n)) for n in (1, 2, 3)))
    same(apply(host, lambda x: x.cast(tc.Version).hash(), (tc.State,), "1.2.3"), ident(digest.hex()))


def test_equal_states_have_equal_hashes(host):
    states = {"s": [1, "a", {"k": 2.5}], "u": [1, "a", {"k": 2.5}, None]}
    same(evaluate(host, states, lambda cxt: cxt.s.hash() == cxt.u.hash()), False)
