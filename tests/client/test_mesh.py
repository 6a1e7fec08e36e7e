"""The mesh of services: measurements of their methods, traces through several hosts, and calls that are made again."""

import json
import re
import time

import pytest
import requests
import tinychain as tc

from sample_services import fresh, install, ledger, path, stock, till
from stand_in import Scripted
from support import DEADLINE, error_of, free_port, poll, program, same

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SENDER}-01"
INTERNAL, SERVER, CLIENT = 1, 2, 3
FAR = "/lib/far/away/1.0.0/one"


# --- measurements -----------------------------------------------------------------------------------------------


def metric(url, name, **labels):
    """The value of a measurement, or 0 if there is none."""

    text = requests.get(url + "/metrics", timeout=DEADLINE).text
    for line in text.splitlines():
        found = re.fullmatch(rf"tinychain_{name}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    return 0


def calls(url, service, method, verb, outcome):
    name, version = str(path(service)).rsplit("/", 1)
    return metric(url, "service_calls_total", service=name, version=version, method=method, verb=verb, outcome=outcome)


def took(url, service, method, verb):
    name, version = str(path(service)).rsplit("/", 1)
    return metric(url, "service_call_duration_seconds_count", service=name, version=version, method=method, verb=verb)


def test_calls_of_services_are_counted(spawn):
    process = spawn()
    url, host, ns = process.url, process.client(), fresh()
    goods, bank = stock(ns), ledger(ns)
    front = install(host, goods, bank, till(goods, bank, ns))
    host.put(path(goods, "restock"), "pen", 10)
    host.put(path(bank, "open"), "ann", 100)
    assert calls(url, goods, "restock", "PUT", "ok") == 1
    assert calls(url, front, "buy", "POST", "ok") == 0

    host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60})
    with pytest.raises(tc.error.BadRequest):
        host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 11, "cents": 1})
    with pytest.raises(tc.error.NotFound):
        host.get(path(front, "quote"), "eve")
    for service, method, verb, ok, failed in [
        (front, "buy", "POST", 1, "bad_request"),
        (goods, "take", "POST", 1, "bad_request"),
        (bank, "debit", "POST", 2, None),
        (front, "quote", "GET", 0, "not_found"),
        (bank, "balance", "GET", 0, "not_found"),
    ]:
        assert calls(url, service, method, verb, "ok") == ok, method
        assert failed is None or calls(url, service, method, verb, failed) == 1, method
        assert took(url, service, method, verb) == ok + (failed is not None), method


def test_a_call_that_runs_out_of_time_is_counted(spawn):
    process = spawn("--request_ttl=0.5")
    name = fresh().strip("/")
    link = f"/lib/{name}/loop"
    again = {"/state/scalar/op/post": [["_return", {"n": 0}]]}
    always = {"/state/scalar/op/post": [["_return", True]]}
    loop = {"/state/scalar/ref/while": [{"$always": []}, {"$again": []}, {"n": 0}]}
    spin = {"/state/scalar/op/get": ["key", [["always", always], ["again", again], ["_return", loop]]]}
    for parent, key, value in [("/lib", name, True), (f"/lib/{name}", "loop", False), (link, "1.0.0", {link: {"spin": spin}})]:
        params, body = {"key": json.dumps(key)}, json.dumps(value)
        assert requests.put(process.url + parent, params=params, data=body, timeout=DEADLINE).ok, parent
    assert requests.get(f"{process.url}{link}/1.0.0/spin", timeout=DEADLINE).status_code == 408
    labels = {"service": link, "version": "1.0.0", "method": "spin", "verb": "GET", "outcome": "request_timeout"}
    assert metric(process.url, "service_calls_total", **labels) == 1


# --- traces -----------------------------------------------------------------------------------------------------


def exporting(collector, name, delay=100):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_BSP_SCHEDULE_DELAY": str(delay),
        "OTEL_SERVICE_NAME": name,
    }


def value(entry):
    ((_, text),) = entry["value"].items()
    return str(text)


def spans_of(collector):
    """The spans that a collector has received: each with the name of its host, and with its attributes as a dict."""

    spans = []
    for method, target, _, body in list(collector.requests):
        assert (method, target) == ("POST", "/v1/traces")
        for group in json.loads(body)["resourceSpans"]:
            resource = {entry["key"]: value(entry) for entry in group["resource"]["attributes"]}
            for scope in group["scopeSpans"]:
                for span in scope["spans"]:
                    attributes = {entry["key"]: value(entry) for entry in span["attributes"]}
                    spans.append({**span, "host": resource["service.name"], "attributes": attributes})
    return spans


def trace(collector, count):
    """The spans of the trace that the tests begin, by host and kind."""

    def found():
        spans = [span for span in spans_of(collector) if span["traceId"] == TRACE]
        return spans if len(spans) >= count else None

    spans = poll(found, f"no {count} spans")
    assert len(spans) == count, spans
    return {(span["host"], span["kind"]): span for span in spans}


def mesh(spawn, tmp_path, collector):
    """Two hosts: a till on the first reads balances of a ledger on the second."""

    front = spawn(root=tmp_path / "front", env=exporting(collector.url, "front"))
    back = spawn(root=tmp_path / "back", env=exporting(collector.url, "back"))
    ns = fresh()
    bank = install(back.client(), ledger(ns, lead=back.url))
    back.client().put(path(bank, "open"), "ann", 100)
    shop = install(front.client(), till(stock(ns), bank, ns))
    return front, path(shop, "quote"), path(bank, "balance")


def quote(front, link, user):
    headers = {"traceparent": TRACEPARENT, "tracestate": "sender=1"}
    return requests.get(front.url + str(link), params={"key": json.dumps(user)}, headers=headers, timeout=DEADLINE)


def linked(spans, front_method, back_method):
    """Require that each span is below the one that it was called by."""

    chain = [("front", SERVER), ("front", INTERNAL), ("front", CLIENT), ("back", SERVER), ("back", INTERNAL)]
    assert set(spans) == set(chain)
    parent = SENDER
    for key in chain:
        assert spans[key]["parentSpanId"] == parent, key
        assert int(spans[key]["startTimeUnixNano"]) <= int(spans[key]["endTimeUnixNano"])
        parent = spans[key]["spanId"]
    assert spans["front", INTERNAL]["name"] == f"GET {front_method}"
    assert spans["back", INTERNAL]["attributes"]["rpc.method"] == str(back_method)
    # both hosts name the transaction
    assert len({span["attributes"]["tinychain.txn_id"] for span in spans.values()}) == 1


def test_a_trace_follows_a_transaction_through_hosts(spawn, tmp_path):
    with Scripted((200, {})) as collector:
        front, link, balance = mesh(spawn, tmp_path, collector)
        reply = quote(front, link, "ann")
        assert (reply.status_code, reply.json()) == (200, 100)
        spans = trace(collector, 5)
        linked(spans, link, balance)
        client = spans["front", CLIENT]["attributes"]
        assert (client["http.request.method"], client["http.response.status_code"]) == ("GET", "200")
        assert client["server.address"] == "127.0.0.1" and client["url.full"].endswith(str(balance))
        server = spans["front", SERVER]
        assert server["attributes"]["url.path"] == str(link)
        assert server["traceState"] == "sender=1"
        assert not any("error.type" in span["attributes"] for span in spans.values())
        poll(lambda: metric(front.url, "trace_spans_sent_total") >= 3, "no spans were counted")


def test_a_trace_shows_which_call_failed(spawn, tmp_path):
    with Scripted((200, {})) as collector:
        front, link, balance = mesh(spawn, tmp_path, collector)
        assert quote(front, link, "eve").status_code == 404
        spans = trace(collector, 5)
        linked(spans, link, balance)
        assert {span["attributes"]["error.type"] for span in spans.values()} == {"not_found"}
        failed = {key for key, span in spans.items() if (span.get("status") or {}).get("code") == 2}
        # a host that has not what it is asked for has not failed itself
        assert failed == {("front", INTERNAL), ("front", CLIENT), ("back", INTERNAL)}
        assert spans["back", SERVER]["attributes"]["http.response.status_code"] == "404"


def test_what_is_left_is_exported_when_a_host_stops(spawn):
    with Scripted((200, {})) as collector:
        host = spawn(env=exporting(collector.url, "host", delay=600_000))
        same(program(host.url, [["r", 1]]).json(), 1)
        host.stop()
        assert "POST /transact/hypothetical" in [span["name"] for span in spans_of(collector)]


def test_a_host_does_without_its_collector(spawn):
    host = spawn(env=exporting(f"http://127.0.0.1:{free_port()}", "host"))
    same(program(host.url, [["r", 1]]).json(), 1)
    begin = time.monotonic()
    host.stop()
    assert time.monotonic() - begin < 5


def test_a_trace_is_passed_on_where_none_is_exported(url):
    with Scripted((200, 1)) as other:
        steps = {"op": [["r", {other.url + FAR: [None]}]]}
        headers = {"traceparent": TRACEPARENT, "tracestate": "sender=1"}
        reply = requests.post(url + "/transact/hypothetical", json=steps, headers=headers, timeout=DEADLINE)
        same(reply.json(), 1)
        assert program(url, steps["op"]).ok
        passed, other_passed = [request[2] for request in other.requests]
        assert (passed["traceparent"], passed["tracestate"]) == (TRACEPARENT, "sender=1")
        assert "traceparent" not in other_passed


# --- calls that are made again ----------------------------------------------------------------------------------

BUSY = {"temporarily_unavailable": "busy"}


def get(url, other):
    return program(url, [["r", {other.url + FAR: [None]}]])


@pytest.mark.parametrize("status", [502, 503])
def test_a_read_is_made_again(url, status):
    with Scripted((status, BUSY), (status, BUSY), (200, 7)) as other:
        before = metric(url, "remote_retries_total")
        same(get(url, other).json(), 7)
        assert [request[0] for request in other.requests] == ["GET"] * 3
        assert metric(url, "remote_retries_total") == before + 2


def test_a_read_is_not_made_for_ever(url):
    with Scripted((503, BUSY)) as other:
        assert error_of(get(url, other), 503, "temporarily_unavailable") == "busy"
        assert len(other.requests) == 4


@pytest.mark.parametrize("args", [["k", 1], {"a": 1}], ids=["put", "post"])
def test_a_write_is_made_once(url, args):
    with Scripted((503, BUSY), (200, 7)) as other:
        reply = program(url, [["r", {other.url + FAR: args}]])
        assert error_of(reply, 503, "temporarily_unavailable") == "busy"
        assert len(other.requests) == 1


def test_a_host_says_how_long_to_wait(url):
    begin = time.monotonic()
    with Scripted((503, BUSY, {"Retry-After": "1"}), (200, 7)) as other:
        same(get(url, other).json(), 7)
        assert time.monotonic() - begin >= 1
    # longer than the request may take
    with Scripted((503, BUSY, {"Retry-After": "60"}), (200, 7)) as other:
        assert error_of(get(url, other), 503) == "busy"
        assert len(other.requests) == 1


@pytest.mark.parametrize(
    "status,reply",
    [
        (404, {"not_found": "/x"}),
        (409, {"conflict": "c"}),
        (500, {"internal_error": "fault"}),
        # that host has called the one that failed as often as makes sense
        (502, {"bad_gateway": {"message": "gone", "stack": ["while calling http://127.0.0.1:1/x"]}}),
    ],
)
def test_other_errors_are_final(url, status, reply):
    with Scripted((status, reply), (200, 7)) as other:
        assert not get(url, other).ok
        assert len(other.requests) == 1
