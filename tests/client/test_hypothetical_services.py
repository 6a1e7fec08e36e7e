"""Hypothetical queries over services: what they write is seen inside, and then was never there."""

import threading

import pytest
import tinychain as tc
from tinychain.scalar.ref import Delete, Get, Post, Put

from sample_chains import CHAINS, keeper
from sample_services import attributes, catalog, fresh, install, installing, item, items, ledger, notes, path, stock, till, units
from stand_in import StandIn
from support import client_error, error_of, program, same


def shop(host):
    """A stock with one pen."""

    goods = install(host, stock(fresh()))
    host.put(path(goods, "restock"), "pen", 3)
    return goods


def unchanged(host, goods):
    same(host.get(path(goods, "items")), items(["pen", 3]))
    same(host.get(path(goods, "size")), 1)
    same(host.get(path(goods, "log", "count")), 0)
    same(host.get(path(goods, "sold")), 0)


# --- writes -----------------------------------------------------------------------------------------------------


def test_put(host):
    goods = shop(host)
    cxt = tc.Context()
    cxt.w = goods.restock("ink", 1)
    cxt.r = tc.after(cxt.w, goods.size())
    for _ in range(2):
        same(host.hypothetical(cxt), 2)
        unchanged(host, goods)


def test_delete(host):
    goods = shop(host)
    cxt = tc.Context()
    cxt.w = goods.drop("pen")
    cxt.r = tc.after(cxt.w, [goods.size(), goods.has("pen")])
    same(host.hypothetical(cxt), [0, False])
    unchanged(host, goods)


def test_post(host):
    goods = shop(host)
    cxt = tc.Context()
    cxt.w = goods.take("pen", 2)
    cxt.size = tc.after(cxt.w, Get(path(goods, "sold")))
    cxt.r = [cxt.w, cxt.size]
    same(host.hypothetical(cxt), [1, 2])
    unchanged(host, goods)


@pytest.mark.parametrize("kind", CHAINS)
def test_chains_of_every_kind(host, kind):
    """The chains themselves are written to, and nothing of it is recorded."""

    service = install(host, keeper(fresh(), kind))
    host.post(path(service, "write"), {"sku": "pen", "n": 3})
    names = ("table", "btree", "value")
    before = [host.get(path(service, name, "chain", "info")) for name in names]
    table, btree, value = [path(service, name) for name in names]
    cxt = tc.Context()
    cxt.w = [
        Put(table, ["ink"], [1]),
        Put(btree, None, [1, "ink"]),
        Put(value, None, 9),
        Post(path(service, "recount"), {"qty": 3, "to": 4}),
    ]
    cxt.r = tc.after(cxt.w, [Get(link) for link in (table, btree, value)])
    same(host.hypothetical(cxt), [items(["ink", 1], ["pen", 4]), notes([1, "ink"], [3, "pen"]), 9])
    cxt = tc.Context()
    cxt.w = [Delete(table, ["pen"]), Delete(btree, None), Delete(value, None)]
    cxt.r = tc.after(cxt.w, [Get(link) for link in (table, btree, value)])
    same(host.hypothetical(cxt), [items(), notes(), None])
    same([host.get(link) for link in (table, btree, value)], [items(["pen", 3]), notes([3, "pen"]), 3])
    same([host.get(path(service, name, "chain", "info")) for name in names], before)


def test_several_services(host):
    ns = fresh()
    goods, bank = stock(ns), ledger(ns)
    front = install(host, goods, bank, till(goods, bank, ns))
    host.put(path(goods, "restock"), "pen", 3)
    host.put(path(bank, "open"), "ann", 100)
    cxt = tc.Context()
    cxt.w = front.buy("ann", "pen", 2, 60)
    cxt.r = tc.after(cxt.w, [bank.balance("ann"), goods.size(), Get(path(front, "sales"))])
    same(host.hypothetical(cxt), [40, 1, 1])
    unchanged(host, goods)
    same(host.get(path(bank, "balance"), "ann"), 100)
    same(host.get(path(front, "sales")), 0)


def test_what_was_written_is_gone_when_a_step_fails(host):
    goods = shop(host)
    cxt = tc.Context()
    cxt.w = goods.restock("ink", 1)
    cxt.r = tc.after(cxt.w, goods.take("ink", 5))
    with pytest.raises(tc.error.BadRequest) as raised:
        host.hypothetical(cxt)
    assert client_error(raised.value, "bad_request") == "out of stock"
    unchanged(host, goods)
    # nothing is locked
    host.put(path(goods, "restock"), "ink", 1)
    same(host.get(path(goods, "size")), 2)


def test_a_write_that_is_not_needed_is_not_made(host, url):
    goods = shop(host)
    steps = [["w", {str(path(goods, "restock")): ["ink", 1]}], ["r", {str(path(goods, "size")): [None]}]]
    assert program(url, steps).json() == 1
    unchanged(host, goods)


# --- beside other requests --------------------------------------------------------------------------------------


def test_others_neither_see_it_nor_wait_for_it(spawn):
    """The hypothetical has written, and waits for another host; meanwhile others read and write the same rows."""

    process = spawn("--request_ttl=30")
    host = process.client()
    goods = shop(host)
    replies = []
    with StandIn() as other:
        cxt = tc.Context()
        cxt.w = [goods.restock("ink", 1), goods.take("pen", 2)]
        cxt.hold = tc.after(cxt.w, Get(tc.URI(other.url + "/lib/far/away/1.0.0/one")))
        cxt.r = tc.after(cxt.hold, [goods.size(), Get(path(goods, "sold"))])
        thread = threading.Thread(target=lambda: replies.append(process.client().hypothetical(cxt)), daemon=True)
        thread.start()
        assert other.arrived.wait(10), "the hypothetical does not get to its last step"
        unchanged(host, goods)
        # a write to a row that the hypothetical wrote to, too
        assert host.put(path(goods, "restock"), "ink", 7) is None
        same(host.get(path(goods, "items"), ["ink"]), ["ink", 7])
        assert thread.is_alive() and not replies
        other.release.set()
        thread.join(10)
    same(replies, [[2, 2]])
    same(host.get(path(goods, "items")), items(["ink", 7], ["pen", 3]))
    same(host.get(path(goods, "sold")), 0)


# --- new versions -----------------------------------------------------------------------------------------------


def test_a_new_version_of_a_service(host):
    ns = fresh()
    old, new = install(host, stock(ns)), stock(ns, "2.0.0")
    host.put(path(old, "restock"), "pen", 3)
    writes = [new.restock("ink", 1), new.restock("cap", 2)]
    steps = installing(new, "2.0.0", writes, [new.size(), old.size(), Get(path(new, "VERSION"))])
    for _ in range(2):
        same(host.hypothetical(steps), [2, 1, "2.0.0"])
        same(host.get(item(new)), [{"1.0.0": []}])
        with pytest.raises(tc.error.NotFound):
            host.get(path(new, "size"))
    unchanged(host, old)
    # the real install is not in the way of it, nor the other way round
    host.update(new)
    same(host.get(path(new, "size")), 0)


def test_a_new_version_that_reads_the_old(host):
    """What the author wants to try: does the new code get along with the old data?"""

    ns = fresh()
    old = install(host, stock(ns))
    host.put(path(old, "restock"), "pen", 3)
    body = {"/state/scalar/op/get": ["key", [["_return", {str(path(old, "items", "count")): [None]}]]]}
    definition = {str(item(old)): {**attributes(old), "size": body, "VERSION": "2.0.0"}}
    link = str(item(old))
    steps = [
        ["i", {link: ["2.0.0", definition]}],
        ["r", {"/state/scalar/ref/after": [{"$i": []}, {f"{link}/2.0.0/size": [None]}]}],
    ]
    same(host.hypothetical(steps), 1)
    same(host.get(link), [{"1.0.0": []}])


FAULTY = [{"t": {"/state/chain/nope": [0]}}, {"t": {"/state/collection/btree": [[]]}}]


@pytest.mark.parametrize("attributes", FAULTY, ids=str)
def test_a_new_version_that_is_refused(host, url, attributes):
    old = shop(host)
    link = str(item(old))
    error_of(program(url, [["i", {link: ["2.0.0", {link: attributes}]}]]), 400, "bad_request")
    same(host.get(link), [{"1.0.0": []}])
    unchanged(host, old)


def test_a_new_version_of_a_library(host):
    ns = fresh()
    old, new = install(host, units(ns)), units(ns, "1.1.0", factor=5)
    steps = installing(new, "1.1.0", [old.double(3), new.double(3), new.quad(3)])
    same(host.hypothetical(steps), [6, 15, 75])
    same(host.get(item(new)), [{"1.0.0": []}])
    with pytest.raises(tc.error.NotFound):
        host.get(path(new, "double"), 3)


def test_a_new_version_of_a_class(host):
    ns = fresh()
    install(host, catalog(ns))
    link = f"/class{ns}/catalog"
    classes = {"Item": {"/class": {"NAME": "New"}}}
    steps = [
        ["i", {link: ["2.0.0", classes]}],
        ["made", {"/state/scalar/ref/after": [{"$i": []}, {f"{link}/2.0.0/Item": {"title": "pen"}}]}],
        ["r", [{"$made/NAME": []}, {"$made/title": []}]],
    ]
    same(host.hypothetical(steps), ["New", "pen"])
    same(host.get(link), [{"1.0.0": []}])
