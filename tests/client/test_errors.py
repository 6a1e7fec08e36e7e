"""Errors which programs raise, and the exceptions of the client."""

import pytest
import tinychain as tc

from support import client_error, error_of, program, run

KINDS = [
    (tc.error.BadRequest, "bad_request"),
    (tc.error.Unauthorized, "unauthorized"),
    (tc.error.Forbidden, "forbidden"),
    (tc.error.NotFound, "not_found"),
    (tc.error.MethodNotAllowed, "method_not_allowed"),
    (tc.error.Timeout, "request_timeout"),
    (tc.error.Conflict, "conflict"),
    (tc.error.NotImplemented, "not_implemented"),
]
MESSAGES = ["oops", "", "é \"quoted\"\nnext line", "{{no template}}"]


@pytest.mark.parametrize("cls,kind", KINDS)
@pytest.mark.parametrize("message", MESSAGES)
def test_raise(host, cls, kind, message):
    cxt = tc.Context()
    cxt.r = cls(message)
    with pytest.raises(cls) as raised:
        host.hypothetical(cxt)

    assert type(raised.value) is cls
    assert client_error(raised.value, kind) == message


@pytest.mark.parametrize("cls,kind", KINDS)
@pytest.mark.parametrize("where", ["cond", "case", "op", "message step"])
def test_raise_inside(host, cls, kind, where):
    cxt = tc.Context()
    cxt.x = -1
    if where == "cond":
        cxt.r = tc.cond(cxt.x >= 0, cxt.x * 2, cls("negative"))
    elif where == "case":
        cxt.r = tc.switch_case(cxt.x, [1, -1], ["one", cls("negative"), "other"])
    elif where == "op":
        cxt.f = tc.get(lambda key: cls("negative"))
        cxt.r = cxt.f(cxt.x)
    else:
        cxt.msg = "negative"
        cxt.r = cls(cxt.msg)

    with pytest.raises(cls) as raised:
        host.hypothetical(cxt)

    assert client_error(raised.value, kind) == "negative"


def test_unknown_error(host):
    cxt = tc.Context()
    cxt.r = tc.error.UnknownError("oops")
    with pytest.raises(tc.error.UnknownError) as raised:
        host.hypothetical(cxt)

    # the client makes a text of the whole reply
    assert raised.value.message.startswith("HTTP error code 500: {'internal_error': ")
    assert "oops" in raised.value.message


def test_the_stack_names_the_steps(host):
    cxt = tc.Context()

    @tc.get
    def f(n: tc.Int):
        return tc.cond(n >= 0, tc.error.BadRequest("oops"), n)

    cxt.f = f
    cxt.r = cxt.f(0)
    with pytest.raises(tc.error.BadRequest) as raised:
        host.hypothetical(cxt)

    body = raised.value.message["bad_request"]
    assert [entry for entry in body["stack"] if "_return" in entry], body
    assert [entry for entry in body["stack"] if entry.rstrip('"').endswith(" r")], body


@pytest.mark.parametrize("cls,kind", KINDS)
def test_message_from_a_rendered_step(host, cls, kind):
    cxt = tc.Context()
    cxt.x = -1
    cxt.msg = tc.String("bad {{x}}").render(x=cxt.x)
    cxt.r = cls(cxt.msg)
    with pytest.raises(cls) as raised:
        host.hypothetical(cxt)

    assert client_error(raised.value, kind) == "bad -1"


@pytest.mark.parametrize("cls,kind", KINDS)
@pytest.mark.parametrize("where", ["step", "then", "else", "op"])
def test_message_template(host, cls, kind, where):
    # the client refers to a template that it does not send along; the kind of the error must survive
    cxt = tc.Context()
    cxt.x = -1
    if where == "step":
        cxt.r = cls("bad {{x}}", x=cxt.x)
    elif where == "then":
        cxt.r = tc.cond(cxt.x < 0, cls("bad {{x}}", x=cxt.x), cxt.x * 2)
    elif where == "else":
        cxt.r = tc.cond(cxt.x >= 0, cxt.x * 2, cls("bad {{x}}", x=cxt.x))
    else:

        @tc.get
        def f(x: tc.Int):
            return cls("bad {{x}}", x=x)

        cxt.f = f
        cxt.r = cxt.f(cxt.x)

    with pytest.raises(cls) as raised:
        host.hypothetical(cxt)

    assert client_error(raised.value, kind)


STATUS = [(cls.CODE, name, kind, cls) for (cls, kind), name in zip(KINDS, ["bad_request", "unauthorized", "forbidden", "not_found", "method_not_allowed", "timeout", "conflict", "not_implemented"])]
STATUS += [
    (408, "request_timeout", "request_timeout", tc.error.Timeout),
    (500, "internal", "internal_error", tc.error.UnknownError),
    (500, "unknown", "internal_error", tc.error.UnknownError),
    (500, "internal_error", "internal_error", tc.error.UnknownError),
    (502, "bad_gateway", "bad_gateway", tc.error.UnknownError),
    (503, "unavailable", "temporarily_unavailable", tc.error.UnknownError),
    (503, "temporarily_unavailable", "temporarily_unavailable", tc.error.UnknownError),
    (404, "no_such_error", "not_found", tc.error.NotFound),
]


@pytest.mark.parametrize("status,name,kind,cls", STATUS)
def test_route(host, status, name, kind, cls):
    with pytest.raises(cls) as raised:
        host.get("/error/" + name, "oops")

    assert type(raised.value) is cls
    if cls is tc.error.UnknownError:
        assert raised.value.message.startswith(f"HTTP error code {status}: {{'{kind}': ")
    elif name != "no_such_error":
        assert client_error(raised.value, kind) == "oops"


@pytest.mark.parametrize("status,name,kind,cls", STATUS)
def test_reply(url, status, name, kind, cls):
    response = program(url, [["c", {"/error/" + name: ["oops"]}]])
    message = error_of(response, status, kind)
    assert message == "oops" or name == "no_such_error"
    assert response.content.endswith(b"}\n")


@pytest.mark.parametrize("key,want", [(5, "5"), (1.5, "1.5"), (True, "true"), (tc.Id("foo"), "foo"), (None, "")])
def test_message_of_another_class(host, key, want):
    with pytest.raises(tc.error.Conflict) as raised:
        host.get("/error/conflict", key)

    assert client_error(raised.value, "conflict") == want


def test_route_by_post(host):
    with pytest.raises(tc.error.NotFound) as raised:
        host.post("/error/not_found", {"message": "m", "stack": ["a", "b"]})

    body = raised.value.message["not_found"]
    assert body["message"] == "m" and body["stack"][:2] == ["a", "b"]


def test_route_by_post_without_stack(host):
    with pytest.raises(tc.error.Conflict) as raised:
        host.post("/error/conflict", {"message": "m"})

    assert client_error(raised.value, "conflict") == "m"


@pytest.mark.parametrize(
    "build,cls",
    [
        (lambda cxt: setattr(cxt, "r", tc.State(form=tc.scalar.ref.Get(tc.URI("nope", "add"), 1))), tc.error.NotFound),
        (lambda cxt: setattr(cxt, "r", tc.State(form=tc.URI("nope"))), tc.error.NotFound),
        (lambda cxt: (setattr(cxt, "x", 5), setattr(cxt, "r", tc.State(form=tc.scalar.ref.Get(tc.URI("x", "nope"), 1)))), tc.error.NotFound),
        (lambda cxt: setattr(cxt, "r", tc.State(form=tc.scalar.ref.Get(tc.URI("/nope"), 1))), tc.error.NotFound),
        (lambda cxt: (setattr(cxt, "x", 5), setattr(cxt, "r", tc.State(form=tc.scalar.ref.Put(tc.URI("x", "add"), 1, 2)))), tc.error.MethodNotAllowed),
        (lambda cxt: setattr(cxt, "r", tc.State(form=tc.scalar.ref.Delete(tc.URI("/state/scalar/value/string"), 1))), tc.error.MethodNotAllowed),
    ],
    ids=["unknown-step-method", "unknown-step", "unknown-method", "unknown-path", "wrong-verb", "delete-class"],
)
def test_other_errors(host, build, cls):
    with pytest.raises(cls):
        run(host, build)
