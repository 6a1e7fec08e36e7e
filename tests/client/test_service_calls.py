"""Calls between services: one transaction, all or nothing; failures, which roll back at once; several clients."""

import threading

import pytest
import tinychain as tc
from tinychain.chain import Sync
from tinychain.service import Library, Service, library_uri, service_uri

from sample_services import attributes, crosses, fresh, install, item, items, ledger, path, stock, till, units
from support import DEADLINE, client_error, same


def shop(host, **kwargs):
    """A stock with ten pens and a till; ann has 100 cents."""

    ns = fresh()
    goods, bank = stock(ns, **kwargs), ledger(ns, **kwargs)
    front = install(host, goods, bank, till(goods, bank, ns, **kwargs))
    host.put(path(goods, "restock"), "pen", 10)
    host.put(path(bank, "open"), "ann", 100)
    return goods, bank, front


def holds(host, goods, bank, front, pens, cents, sold, sales):
    """Require the state of every chain that a purchase writes to."""

    same(host.get(path(goods, "items"), ["pen"]), ["pen", pens])
    same(host.get(path(goods, "sold")), sold)
    same(host.get(path(bank, "balance"), "ann"), cents)
    same(host.get(path(front, "sales")), sales)


# --- calls between services -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method,reply", [("buy", 7), ("order", 40)])
def test_several_services_commit_together(host, method, reply):
    services = shop(host)
    same(host.post(path(services[-1], method), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60}), reply)
    holds(host, *services, pens=7, cents=40, sold=3, sales=1 if method == "buy" else 0)


@pytest.mark.parametrize("method", ["buy", "order"])
@pytest.mark.parametrize("qty,cents,message", [(11, 60, "out of stock"), (3, 101, "insufficient funds")])
def test_several_services_roll_back_together(host, method, qty, cents, message):
    services = shop(host)
    with pytest.raises(tc.error.BadRequest) as raised:
        host.post(path(services[-1], method), {"user": "ann", "sku": "pen", "qty": qty, "cents": cents})
    assert client_error(raised.value, "bad_request") == message
    holds(host, *services, pens=10, cents=100, sold=0, sales=0)
    # nothing is locked: the next purchase goes through
    host.post(path(services[-1], method), {"user": "ann", "sku": "pen", "qty": 1, "cents": 1})
    holds(host, *services, pens=9, cents=99, sold=1, sales=1 if method == "buy" else 0)


def test_the_stack_of_an_error_names_every_hop(host):
    goods, bank, front = shop(host)
    with pytest.raises(tc.error.BadRequest) as raised:
        host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 11, "cents": 1})
    crosses(raised.value, "bad_request", f"POST {path(goods, 'take')}", f"POST {path(front, 'buy')}")
    with pytest.raises(tc.error.BadRequest) as raised:
        host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 1, "cents": 101})
    hops = f"POST {path(bank, 'debit')}", "while resolving paid", f"POST {path(front, 'buy')}"
    crosses(raised.value, "bad_request", *hops)
    with pytest.raises(tc.error.NotFound) as raised:
        host.get(path(front, "quote"), "eve")
    crosses(raised.value, "not_found", f"GET {path(bank, 'balance')}", f"GET {path(front, 'quote')}")


def test_a_read_of_another_service(host):
    _, _, front = shop(host)
    same(host.get(path(front, "quote"), "ann"), 100)


def test_a_lead_that_is_this_host(host):
    lead = str(tc.URI(host))
    services = shop(host, lead=lead)
    goods, bank, front = services
    assert list(tc.to_json(front)) == [f"{lead}{item(front)}"]
    assert lead in str(attributes(front)["buy"]), "the client calls its dependencies by their lead host"
    same(host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60}), 7)
    with pytest.raises(tc.error.BadRequest):
        host.post(path(front, "buy"), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60})
    # a call of the own host takes part in the transaction, so it was rolled back
    holds(host, *services, pens=7, cents=40, sold=3, sales=1)


def test_a_callee_that_is_not_there(host):
    ns = fresh()
    goods, bank = stock(ns), ledger(ns)
    front = install(host, goods, till(goods, bank, ns))
    host.put(path(goods, "restock"), "pen", 10)
    with pytest.raises(tc.error.NotFound):
        host.post(path(front, "order"), {"user": "ann", "sku": "pen", "qty": 3, "cents": 60})
    same(host.get(path(goods, "items"), ["pen"]), ["pen", 10])


def test_a_service_calls_a_library(host):
    ns = fresh()
    lib = units(ns)

    class Meter(Service):
        __uri__ = service_uri(None, ns, "meter", "1.0.0")

        def __init__(self):
            self.units = lib
            self.n = Sync(tc.U64(1))
            Service.__init__(self)

        @tc.post
        def grow(self, cxt) -> tc.U64:
            cxt.next = self.units.quad(self.n)
            return tc.after(self.n.set(cxt.next), cxt.next)

    meter = install(host, lib, Meter())
    same([host.post(path(meter, "grow")) for _ in range(3)], [4, 16, 64])
    same(host.get(path(meter, "n")), 64)


# --- libraries that call services -------------------------------------------------------------------------------


def teller(ns, bank):
    class Teller(Library):
        __uri__ = library_uri(None, ns, "teller", "1.0.0")

        def __init__(self):
            self.bank = bank
            Library.__init__(self)

        @tc.post
        def pay(self, source: tc.String, target: tc.String, cents: tc.I64) -> tc.I64:
            return self.bank.move(source, target, cents)

        @tc.get
        def tip(self, user: tc.String) -> tc.I64:
            return self.bank.move(user, "bob", 1)

    return Teller()


def test_a_post_of_a_library_commits_what_services_write(host):
    ns = fresh()
    bank = ledger(ns)
    lib = install(host, bank, teller(ns, bank))
    host.put(path(bank, "open"), "ann", 100)
    host.put(path(bank, "open"), "bob", 5)
    same(host.post(path(lib, "pay"), {"source": "ann", "target": "bob", "cents": 30}), 35)
    same([host.get(path(bank, "balance"), user) for user in ("ann", "bob")], [70, 35])


def test_a_get_of_a_library_commits_nothing(host):
    ns = fresh()
    bank = ledger(ns)
    lib = install(host, bank, teller(ns, bank))
    host.put(path(bank, "open"), "ann", 100)
    host.put(path(bank, "open"), "bob", 5)
    same(host.get(path(lib, "tip"), "ann"), 6)
    same([host.get(path(bank, "balance"), user) for user in ("ann", "bob")], [100, 5])


# --- failures ---------------------------------------------------------------------------------------------------


def test_a_failure_inside_a_method_rolls_back_at_once(host):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 2)
    for _ in range(3):
        with pytest.raises(tc.error.BadRequest):
            host.post(path(goods, "take"), {"sku": "pen", "qty": 5})
        same(host.get(path(goods, "items")), items(["pen", 2]))
        same(host.get(path(goods, "log", "count")), 0)
        same(host.get(path(goods, "sold")), 0)
    same(host.post(path(goods, "take"), {"sku": "pen", "qty": 2}), 0)
    same(host.get(path(goods, "items")), items(["pen", 0]))


@pytest.mark.parametrize("key,value", [("x" * 21, 1), ("pen", "many"), ("pen", None)], ids=str)
def test_a_faulty_row(host, key, value):
    goods = install(host, stock(fresh()))
    with pytest.raises(tc.error.BadRequest):
        host.put(path(goods, "restock"), key, value)
    same(host.get(path(goods, "size")), 0)
    host.put(path(goods, "restock"), "pen", 1)
    same(host.get(path(goods, "size")), 1)


def test_what_a_get_writes_is_dropped(host):
    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 2)
    for _ in range(2):
        same(host.get(path(goods, "tried"), "ink"), 2)
        same(host.get(path(goods, "size")), 1)
        same(host.get(path(goods, "has"), "ink"), False)
    # nothing is locked
    host.put(path(goods, "restock"), "ink", 3)
    same(host.get(path(goods, "items"), ["ink"]), ["ink", 3])


# --- several clients --------------------------------------------------------------------------------------------


def test_transfers_keep_the_total(host, url):
    """Clients move cents between accounts, and repeat what conflicts; every read of all rows has the same sum."""

    bank = install(host, ledger(fresh()))
    users = [f"user{n}" for n in range(8)]
    for user in users:
        host.put(path(bank, "open"), user, 100)
    link, failures = path(bank, "move"), []

    def work(n):
        client = tc.host.Host(url)
        try:
            for i in range(10):
                target = users[(n + i % 7 + 1) % 8]
                while True:
                    try:
                        client.post(link, {"source": users[n], "target": target, "cents": i})
                        break
                    except tc.error.Conflict:
                        continue
                ((_, (_, rows)),) = client.get(path(bank, "accounts")).items()
                assert sum(cents for _, cents in rows) == 800, rows
        except BaseException as cause:
            failures.append(cause)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)
    # each was moved exactly once
    want = {user: 100 for user in users}
    for n in range(8):
        for i in range(10):
            want[users[n]] -= i
            want[users[(n + i % 7 + 1) % 8]] += i
    same({user: host.get(path(bank, "balance"), user) for user in users}, want)
