"""Views: where, order, select, limit, slices of slices; updates and deletes of what a where selects."""

import pytest
import tinychain as tc
from tinychain.scalar.bound import Ex, In, Range

from sample_collections import (
    ASH,
    BOLT,
    CAM,
    Column,
    ELM,
    FIR,
    GEAR,
    NUT,
    OAK,
    PLACES,
    PLACE_ROWS,
    Table,
    load_parts,
    load_places,
    parts,
    places,
    selection,
    table,
)
from support import Table as Programs, ident, run, same

CHAINS = Programs()
LAZY = Programs()
SELECTED = Programs()


# --- where ------------------------------------------------------------------------------------------------------


WHERE = [
    ({"city": "elm"}, [ELM]),
    ({"city": slice("b", "g")}, [ELM, FIR]),
    ({"zone": 3}, [ASH]),
    ({"zone": "3"}, [ASH]),
    ({"zone": 3.9}, [ASH]),
    ({"zone": 99}, []),
    ({"zone": slice(2, 6)}, [FIR, ASH, OAK]),
    ({"zone": slice(2, None)}, [FIR, ASH, OAK]),
    ({"zone": slice(None, 3)}, [ELM, FIR]),
    ({"zone": slice("2", 3.5)}, [FIR]),
    ({"zone": slice(5, 2)}, []),
    ({"zone": Range(Ex(2), In(5))}, [ASH, OAK]),
    ({"zone": Range(In(3), In(3))}, [ASH]),
    ({"zone": slice(None, None)}, PLACE_ROWS),
    ({"zone": None}, PLACE_ROWS),
    ({"since": 2000}, [FIR, ASH]),
    ({"since": slice(2000, None)}, [FIR, ASH, ELM]),
    ({"since": 2000, "zone": slice(1, 3)}, [FIR]),
    ({"zone": slice(1, 3), "since": 2000}, [FIR]),
    ({"since": 2000, "zone": 3}, [ASH]),
    ({"city": "ash", "zone": 3, "since": 2000}, [ASH]),
    ({"city": "ash", "zone": 3, "since": 2001}, []),
    ({"city": None, "zone": 3}, [ASH]),
    # no index serves these: the rows come in the order of the key
    ({"city": "ash", "since": 2000}, [ASH]),
    ({"city": slice("a", "g"), "since": 2000}, [ASH, FIR]),
    ({"since": slice(2000, None), "zone": slice(1, 4)}, [ASH, ELM, FIR]),
    ({"since": slice(2000, None), "zone": 3}, [ASH]),
]


@pytest.mark.parametrize("conditions,want", WHERE, ids=str)
def test_where(host, conditions, want):
    cxt = tc.Context()
    cxt.r = load_places(cxt).where(**conditions)
    same(host.hypothetical(cxt), places(*want))


@pytest.mark.parametrize("conditions,want", WHERE, ids=str)
def test_count_of_a_where(host, conditions, want):
    cxt = tc.Context()
    v = load_places(cxt).where(**conditions)
    cxt.r = (v.count(), v.is_empty())
    same(host.hypothetical(cxt), [len(want), not want])


def test_where_without_conditions(host):
    cxt = tc.Context()
    cxt.r = load_places(cxt).where().count()
    same(host.hypothetical(cxt), 4)


@pytest.mark.parametrize("conditions", [{"girth": 1}, {"zone": 3, "girth": 1}, {"zone": "x"}, {"zone": slice("x", None)}, {"zone": [1, 2, 3]}, {"Zone": 3}], ids=str)
def test_faulty_where(host, conditions):
    cxt = tc.Context()
    cxt.r = load_places(cxt).where(**conditions)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("conditions,want", WHERE, ids=str)
def test_truncate_a_where(host, conditions, want):
    cxt = tc.Context()
    t = load_places(cxt)
    cxt.r = tc.after(t.where(**conditions).truncate(), t)
    same(host.hypothetical(cxt), places(*[row for row in PLACE_ROWS if row not in want]))


@pytest.mark.parametrize("conditions,want", WHERE, ids=str)
def test_update_a_where(host, conditions, want):
    cxt = tc.Context()
    t = load_places(cxt)
    cxt.r = tc.after(t.where(**conditions).update(zone=4), t)
    same(host.hypothetical(cxt), places(*[[row[0], 4, row[2]] if row in want else row for row in PLACE_ROWS]))


@pytest.mark.parametrize("zone", [0, 2, 4, 9])
@pytest.mark.parametrize("bounds", [slice(None, 3), slice(2, None), slice(1, 4), slice(None, None)], ids=str)
def test_update_the_range_that_selects(host, bounds, zone):
    cxt = tc.Context()
    t = load_places(cxt)
    selected = [row for row in PLACE_ROWS if (bounds.start or 0) <= row[1] < (bounds.stop or 99)]
    want = [[row[0], zone, row[2]] if row in selected else row for row in PLACE_ROWS]
    by_zone = sorted(want, key=lambda row: (row[1], row[0]))
    cxt.r = tc.after(t.where(zone=bounds).update(zone=zone), (t, t.order_by(["zone"])))
    same(host.hypothetical(cxt), [places(*want), places(*by_zone)])


@SELECTED([places(["ash", 4, 7], ELM, ["fir", 4, 7], ["oak", 4, 7]), None])
def update_a_named_where(cxt):
    load_places(cxt)
    cxt.v = cxt.t.where(zone=slice(2, None))
    cxt.w = cxt.v.update(zone=4, since="7")
    cxt.r = tc.after(cxt.w, (cxt.t, cxt.w))


@SELECTED([places(ELM), 1])
def truncate_a_named_where(cxt):
    load_places(cxt)
    cxt.v = cxt.t.where(zone=slice(2, None))
    cxt.w = cxt.v.truncate()
    cxt.r = tc.after(cxt.w, (cxt.t, cxt.t.count()))


@SELECTED(places(ELM, OAK))
def truncate_by_a_step(cxt):
    load_places(cxt)
    cxt.year = 2000
    cxt.r = tc.after(cxt.t.where(since=cxt.year).truncate(), cxt.t)


@SELECTED([places(["ash", 8, 2000], ["fir", 8, 2000]), places(), places(ELM, OAK, ["ash", 8, 2000], ["fir", 8, 2000])])
def an_update_moves_the_index_entries(cxt):
    t = load_places(cxt)
    cxt.w = t.where(since=2000).update(zone=8)
    cxt.r = tc.after(cxt.w, (t.where(zone=8), t.where(zone=3), t.order_by(["zone"])))


@pytest.mark.parametrize("build,want", SELECTED)
def test_selected_writes(host, build, want):
    same(run(host, build), want)


# --- order, select, limit ---------------------------------------------------------------------------------------


ORDERS = [
    (["city"], [ASH, ELM, FIR, OAK]),
    (["zone"], [ELM, FIR, ASH, OAK]),
    (["since"], [OAK, FIR, ASH, ELM]),
    (["since", "zone"], [OAK, FIR, ASH, ELM]),
    (["since", "zone", "city"], [OAK, FIR, ASH, ELM]),
    (["city", "zone", "since"], [ASH, ELM, FIR, OAK]),
    ([], [ASH, ELM, FIR, OAK]),
    # no index serves these: a sort does
    (["zone", "since"], [ELM, FIR, ASH, OAK]),
    (["since", "city"], [OAK, ASH, FIR, ELM]),
]


@pytest.mark.parametrize("columns,want", ORDERS, ids=str)
def test_order(host, columns, want):
    for reverse in (False, True):
        cxt = tc.Context()
        cxt.r = load_places(cxt).order_by(columns, reverse)
        same(host.hypothetical(cxt), places(*(reversed(want) if reverse else want)))


@pytest.mark.parametrize("columns", [["girth"], ["zone", "girth"], "zone", 5, None, [1]], ids=str)
def test_faulty_order(host, columns):
    cxt = tc.Context()
    cxt.r = load_places(cxt).order_by(columns)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("columns", [["city"], ["zone", "city"], ["since", "zone", "city"], ["since"]], ids=str)
def test_select(host, columns):
    cxt = tc.Context()
    cxt.r = load_places(cxt).select(columns)
    rows = [[row[["city", "zone", "since"].index(name)] for name in columns] for row in PLACE_ROWS]
    same(host.hypothetical(cxt), selection(columns, *rows))


@pytest.mark.parametrize("columns", [[], ["girth"], ["zone", "zone"], "city", 5, None], ids=str)
def test_faulty_select(host, columns):
    cxt = tc.Context()
    cxt.r = load_places(cxt).select(columns)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("limit,want", [(0, []), (1, [ASH]), (3, [ASH, ELM, FIR]), (99, PLACE_ROWS), (2**63 - 1, PLACE_ROWS)])
def test_limit(host, limit, want):
    cxt = tc.Context()
    cxt.r = load_places(cxt).limit(limit)
    same(host.hypothetical(cxt), places(*want))


@pytest.mark.parametrize("limit", [-1, "x", None, []], ids=str)
def test_faulty_limit(host, limit):
    cxt = tc.Context()
    cxt.r = load_places(cxt).limit(limit)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@CHAINS(selection(["city", "zone"], ["oak", 5], ["ash", 3]))
def where_order_limit_select(cxt):
    cxt.r = load_places(cxt).where(zone=slice(2, 6)).order_by(["zone"], True).limit(2).select(["city", "zone"])


@CHAINS(2)
def where_order_limit_select_count(cxt):
    cxt.r = load_places(cxt).where(zone=slice(2, 6)).order_by(["zone"], True).limit(2).select(["city"]).count()


@CHAINS(places(FIR))
def where_of_a_where(cxt):
    cxt.r = load_places(cxt).where(since=2000).where(zone=slice(1, 3))


@CHAINS(places(FIR, ASH))
def narrower_where(cxt):
    cxt.r = load_places(cxt).where(zone=slice(1, 5)).where(zone=slice(2, 4))


@CHAINS(places(ASH))
def equality_in_a_range(cxt):
    cxt.r = load_places(cxt).where(zone=slice(1, 5)).where(zone=3)


@CHAINS(places(OAK, ASH, FIR))
def order_then_where(cxt):
    cxt.r = load_places(cxt).order_by(["zone"], True).where(zone=slice(2, 6))


@CHAINS(places(FIR, ASH))
def order_by_the_key_then_where_by_an_index(cxt):
    cxt.r = load_places(cxt).order_by(["city"], True).where(since=2000)


@CHAINS(places(ASH, FIR))
def where_by_an_index_then_order_by_the_key(cxt):
    cxt.r = load_places(cxt).where(since=2000).order_by(["city"])


@CHAINS(places(OAK, ASH, FIR))
def where_then_reverse(cxt):
    cxt.r = load_places(cxt).where(zone=slice(2, 6)).order_by([], True)


@CHAINS(places(*PLACE_ROWS))
def reverse_twice(cxt):
    cxt.r = load_places(cxt).order_by([], True).order_by([], True)


@CHAINS(selection(["city"], ["ash"], ["elm"], ["fir"], ["oak"]))
def select_of_a_select(cxt):
    cxt.r = load_places(cxt).select(["zone", "city"]).select(["city"])


@CHAINS([[[], [["zone", ident("/state/scalar/value/number/uint")]]], []])
def schema_of_a_select(cxt):
    load_places(cxt)
    cxt.v = cxt.t.select(["zone"])
    cxt.r = cxt.v.schema


@CHAINS([ident("zone"), ident("city")])
def columns_of_a_select(cxt):
    cxt.r = load_places(cxt).select(["zone", "city"]).columns()


@CHAINS(places(ASH, ELM))
def limit_of_a_limit(cxt):
    cxt.r = load_places(cxt).limit(3).limit(2)


@CHAINS(places(ASH, ELM))
def limit_by_a_count(cxt):
    t = load_places(cxt)
    cxt.n = t.where(since=2000).count()
    cxt.r = t.limit(cxt.n)


@CHAINS([ASH, ASH, None])
def rows_of_views(cxt):
    t = load_places(cxt)
    cxt.r = (t.where(city=slice("a", "c"))[("ash",)], t.order_by(["zone"])[("ash",)], t.where(city=slice("a", "c"))[("bay",)])


@CHAINS([True, 1])
def contains_of_a_view(cxt):
    v = load_places(cxt).where(city=slice("ash", "c"))
    cxt.r = (v.contains(("ash",)), v.count())


@CHAINS([True, False])
def hashes_of_views(cxt):
    t = load_places(cxt)
    cxt.u = Table.load(PLACES, [ASH])
    cxt.a, cxt.b, cxt.c = t.where(zone=3).hash(), cxt.u.hash(), t.where(zone=2).hash()
    cxt.r = (cxt.a == cxt.b, cxt.c == cxt.b)


@CHAINS(parts(GEAR, NUT))
def slice_of_a_slice_of_a_reverse(cxt):
    cxt.r = load_parts(cxt).reverse()[3:9][4:9]


@CHAINS(parts(CAM, GEAR, NUT))
def reverse_of_a_slice(cxt):
    cxt.r = load_parts(cxt)[4:].reverse()


@CHAINS([1, {"sku": 8, "label": "gear"}])
def methods_of_a_slice_of_a_slice(cxt):
    v = load_parts(cxt)[4:][8]
    cxt.r = (v.count(), v.first())


@pytest.mark.parametrize("build,want", CHAINS)
def test_chain(host, build, want):
    same(run(host, build), want)


REFUSED = {
    "a wider where": lambda t: t.where(zone=slice(2, 3)).where(zone=slice(1, 5)),
    "an open where": lambda t: t.where(zone=slice(2, 3)).where(zone=slice(2, None)),
    "another equality": lambda t: t.where(zone=3).where(zone=2),
    "order of a limit": lambda t: t.limit(2).order_by(["zone"]),
    "where of a limit": lambda t: t.limit(2).where(zone=3),
    "row of a select": lambda t: t.select(["zone"])[("ash",)],
    "row outside of a slice": lambda t: t.where(city=slice("a", "c"))[("oak",)],
    "select of what is not selected": lambda t: t.select(["zone"]).select(["city"]),
    "upsert into an order": lambda t: t.order_by(["zone"]).upsert(("yew",), [1, 1]),
    "upsert into a select": lambda t: t.select(["city", "zone", "since"]).upsert(("yew",), [1, 1]),
    "upsert into a limit": lambda t: t.limit(99).upsert(("yew",), [1, 1]),
    "update of an order": lambda t: t.order_by(["zone"]).update(zone=1),
    "truncate of a limit": lambda t: t.limit(99).truncate(),
    "delete from a reverse": lambda t: t.order_by([], True).delete(("ash",)),
}


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_refused(host, build):
    cxt = tc.Context()
    cxt.r = build(load_places(cxt))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


REFUSED_PARTS = {
    "a wider slice": lambda t: t[5:9][4:9],
    "an open slice": lambda t: t[5:9][5:],
    "a row outside": lambda t: t[5:9][13],
    "another prefix": lambda t: t[5][8],
    "insert into a slice": lambda t: t[5].insert([5, "cog"]),
    "insert into a reverse": lambda t: t.reverse().insert([5, "cog"]),
    "delete from a slice": lambda t: t[5:].delete(5),
    "delete of a slice": lambda t: t[5:].delete(),
}


@pytest.mark.parametrize("build", REFUSED_PARTS.values(), ids=REFUSED_PARTS)
def test_refused_by_a_btree(host, build):
    cxt = tc.Context()
    cxt.r = build(load_parts(cxt))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


# --- lazy -------------------------------------------------------------------------------------------------------


@LAZY([3, 4, places(FIR, ASH, ["yew", 4, 1990], OAK)])
def a_where_sees_later_rows(cxt):
    load_places(cxt)
    cxt.v = cxt.t.where(zone=slice(2, None))
    cxt.before = cxt.v.count()
    cxt.w = tc.after(cxt.before, cxt.t.upsert(("yew",), [4, 1990]))
    cxt.r = tc.after(cxt.w, (cxt.before, cxt.v.where(zone=slice(2, 9)).count(), cxt.v))


@LAZY([4, places(["elm", 9, 2001], OAK)])
def a_limited_order_sees_later_rows(cxt):
    load_places(cxt)
    cxt.v = cxt.t.order_by(["zone"], True)
    cxt.before = cxt.v.count()
    cxt.w = tc.after(cxt.before, cxt.t.upsert(("elm",), [9, 2001]))
    cxt.r = tc.after(cxt.w, (cxt.before, cxt.v.limit(2)))


@LAZY([4, selection(["zone"], [1], [2], [5])])
def a_select_sees_later_deletes(cxt):
    load_places(cxt)
    cxt.v = cxt.t.select(["zone"])
    cxt.before = cxt.v.count()
    cxt.w = tc.after(cxt.before, cxt.t.delete(("ash",)))
    cxt.r = tc.after(cxt.w, (cxt.before, cxt.v))


@LAZY([3, parts(NUT, [6, "pin"], GEAR, CAM)])
def a_slice_sees_later_rows(cxt):
    load_parts(cxt)
    cxt.v = cxt.t[5:]
    cxt.before = cxt.v.count()
    cxt.w = tc.after(cxt.before, cxt.t.insert([6, "pin"]))
    cxt.r = tc.after(cxt.w, (cxt.before, cxt.v))


@LAZY([{"sku": 13, "label": "cam"}, {"sku": 99, "label": "rod"}])
def a_reverse_sees_later_rows(cxt):
    load_parts(cxt)
    cxt.v = cxt.t.reverse()
    cxt.before = cxt.v.first()
    cxt.w = tc.after(cxt.before, cxt.t.insert([99, "rod"]))
    cxt.r = tc.after(cxt.w, (cxt.before, cxt.v[13:].first()))


@LAZY([BOLT[0], NUT[0]])
def a_field_that_was_read_stays(cxt):
    load_parts(cxt)
    cxt.x = cxt.t.first()
    cxt.w = tc.after(cxt.x, cxt.t.delete(3))
    cxt.v = cxt.t[5:]
    cxt.r = tc.after(cxt.w, (cxt.x["sku"], cxt.v.first()["sku"]))


@LAZY([2, 13])
def a_captured_view_sees_later_rows(cxt):
    load_places(cxt)
    cxt.v = cxt.t.where(since=2000)

    @tc.closure(cxt.v)
    @tc.get
    def count(n: tc.Int) -> tc.Int:
        return cxt.v.count() + n

    cxt.i, cxt.j = [0], [10]
    cxt.a = cxt.i.map(count)
    cxt.w = tc.after(cxt.a, cxt.t.upsert(("yew",), [9, 2000]))
    cxt.b = tc.after(cxt.w, cxt.j.map(count))
    cxt.r = tc.Tuple.concatenate(cxt.a, cxt.b)


@pytest.mark.parametrize("build,want", LAZY)
def test_lazy(host, build, want):
    same(run(host, build), want)


# --- a larger table ---------------------------------------------------------------------------------------------


def test_pages_of_a_larger_table(host):
    schema = tc.table.Schema([Column("id", tc.U32)], [Column("group", tc.U8), Column("score", tc.F64)])
    schema.create_index("by_group", ["group", "score"])
    rows = [[n, n % 5, n * 37 % 101 / 2] for n in range(500)]
    cxt = tc.Context()
    cxt.t = Table.load(schema, rows)
    cxt.v = cxt.t.where(group=3).order_by(["score"], True)
    cxt.top = cxt.v.limit(10)
    cxt.all = cxt.v.select(["id"])
    cxt.r = (cxt.top, cxt.all.limit(3), cxt.v.count(), cxt.t.where(group=3, score=slice(10, 20)).count())
    group = sorted((row for row in rows if row[1] == 3), key=lambda row: (row[2], row[0]), reverse=True)
    top = table([("id", "number/uint/32")], [("group", "number/uint/8"), ("score", "number/float/64")], group[:10], [["by_group", ["group", "score"]]])
    ids = {"/state/collection/table": [[[[], [["id", {"/state/scalar/value/number/uint/32": {}}]]], []], [[row[0]] for row in group[:3]]]}
    same(host.hypothetical(cxt), [top, ids, 100, sum(10 <= row[2] < 20 for row in group)])
