"""Tables: every method of the client's class, writes in every kind of flow."""

import pytest
import tinychain as tc
from tinychain.scalar.op import Get

from sample_collections import (
    ASH,
    BTree,
    Column,
    ELM,
    FIR,
    OAK,
    PARTS,
    PART_ROWS,
    PLACES,
    PLACE_ROWS,
    TABLE,
    Table,
    load_places,
    places,
    table,
)
from support import Table as Programs, V, c32, c64, client_error, ident, run, same

READS = Programs()
WRITES = Programs()
FLOW = Programs()
YEW = ["yew", 9, 1990]
PAIRS = tc.table.Schema([Column("a", tc.I32), Column("b", tc.I32)], [Column("v", tc.I32)]).create_index("by_v", ["v"])
PAIR_ROWS = [[1, 1, 10], [1, 2, 20], [2, 1, 5]]


def pairs(*rows):
    """The reply for a table with a key of two columns."""

    i32 = "number/int/32"
    return table([("a", i32), ("b", i32)], [("v", i32)], [list(row) for row in rows], [["by_v", ["v"]]])


def load_pairs(cxt):
    cxt.t = Table.load(PAIRS, PAIR_ROWS)
    return cxt.t


# --- create, load, copy -----------------------------------------------------------------------------------------


def test_load(host):
    same(run(host, load_places), places(*PLACE_ROWS))


def test_load_sorts_casts_and_keeps_the_last_row_of_a_key(host):
    same(run(host, lambda cxt: load_places(cxt, OAK, ["ash", 9, 9], [7, 1, 1], ["ash", "3", 2000.7])), places(["7", 1, 1], ASH, OAK))


def test_create(host):
    cxt = tc.Context()
    cxt.t = Table(PLACES)
    same(host.hypothetical(cxt), places())


def test_a_table_without_a_context(host):
    same(host.hypothetical(Table.load(PLACES, [ASH])), places(ASH))


def test_a_table_of_keys(host):
    cxt = tc.Context()
    cxt.t = Table.load(tc.table.Schema([Column("k", tc.U64)]), [[2], [tc.U64(2**64 - 1)], [0]])
    same(host.hypothetical(cxt), table([("k", "number/uint/64")], [], [[0], [2], [2**64 - 1]]))


@pytest.mark.parametrize("row", [[], ["ash"], ["ash", 3], ["ash", 3, 2000, 1], [None, 3, 2000], ["ash", None, 2000], ["ash", "x", 2000], ["x" * 61, 1, 1], ["é" * 30 + "x", 1, 1]], ids=str)
def test_load_faulty_rows(host, row):
    cxt = tc.Context()
    cxt.t = Table.load(PLACES, [ASH, row])
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


K, Z = Column("k", tc.U64), Column("z", tc.UInt)
FAULTY = [
    tc.table.Schema([], []),
    tc.table.Schema([], [Z]),
    tc.table.Schema([K, K], []),
    tc.table.Schema([K], [K]),
    tc.table.Schema([K], [Z, Z]),
    tc.table.Schema([Column("k", tc.String)], []),
    tc.table.Schema([Column("k", tc.U64, 8)], []),
    tc.table.Schema([Column("k", tc.Map)], []),
    tc.table.Schema([Column("a b", tc.U64)], []),
    tc.table.Schema([K], [Z]).create_index("i", ["y"]),
    tc.table.Schema([K], [Z]).create_index("a b", ["z"]),
    tc.btree.Schema([K]),
]


@pytest.mark.parametrize("schema", FAULTY, ids=lambda schema: str(tc.to_json(schema)).replace("/state/scalar/value/", ""))
def test_faulty_schema(host, schema):
    cxt = tc.Context()
    cxt.t = Table(schema)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


KEYS = [
    (tc.Bool, "number/bool", [True, 0], [False, True]),
    (tc.I16, "number/int/16", [70000, -1], [-1, 4464]),
    (tc.I64, "number/int/64", [2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1]),
    (tc.U8, "number/uint/8", [300, 44, 255], [44, 255]),
    (tc.F64, "number/float/64", [0.5, -0.5, 1e300], [-0.5, 0.5, 1e300]),
    (tc.F32, "number/float/32", [0.1, -0.1], [-0.1, 0.1]),
    (tc.C32, "number/complex/32", [3 + 4j, 1], [c32(1.0, 0.0), c32(3.0, 4.0)]),
    (tc.C64, "number/complex/64", [4 + 3j, 3 + 4j, 1 + 2j], [c64(1.0, 2.0), c64(3.0, 4.0), c64(4.0, 3.0)]),
    (tc.Number, "number", [2.5, 2, 1], [1, 2, 2.5]),
]


@pytest.mark.parametrize("dtype,path,given,want", KEYS, ids=lambda value: value.__name__ if isinstance(value, type) else "")
def test_keys_of_every_kind_of_number(host, dtype, path, given, want):
    cxt = tc.Context()
    cxt.t = Table.load(tc.table.Schema([Column("k", dtype)], [Column("v", dtype)]).create_index("i", ["v"]), [[value, value] for value in given])
    cxt.r = cxt.t.order_by(["v"], True)
    rows = [[value, value] for value in reversed(want)]
    same(host.hypothetical(cxt), table([("k", path)], [("v", path)], rows, [["i", ["v"]]]))


def test_values_of_any_class(host):
    cxt = tc.Context()
    schema = tc.table.Schema([Column("k", tc.I32)], [Column("v", tc.Value, 99)]).create_index("i", ["v"])
    cxt.t = Table.load(schema, [[1, "b"], [2, [1, "x"]], [3, 2.5], [4, tc.Id("z")], [5, True]])
    cxt.r = cxt.t.order_by(["v"]).select(["v"])
    got = host.hypothetical(cxt)
    same(got[TABLE][1], [[True], [2.5], [ident("z")], ["b"], [[1, "x"]]])


@READS(places(ASH, FIR, OAK))
def copy_of_a_where(cxt):
    cxt.r = Table.copy_from(PLACES, load_places(cxt).where(zone=slice(2, None)))


@READS(places(*PLACE_ROWS))
def copy_with_the_schema_of_another_table(cxt):
    load_places(cxt)
    cxt.s = cxt.t.schema
    cxt.r = Table.copy_from(cxt.s, cxt.t)


@READS(table([("k", "number/int")], [("w", "string", 9)], PART_ROWS))
def copy_of_a_btree(cxt):
    cxt.b = BTree.load(PARTS, PART_ROWS)
    cxt.r = Table.copy_from(tc.table.Schema([Column("k", tc.Int)], [Column("w", tc.String, 9)]), cxt.b)


@READS(table([("s", "number/int/32")], [("c", "string", 9)], [[1999, "oak"], [2000, "fir"], [2001, "elm"]]))
def copy_of_a_select_keeps_the_last_row_of_a_key(cxt):
    load_places(cxt)
    cxt.r = Table.copy_from(tc.table.Schema([Column("s", tc.I32)], [Column("c", tc.String, 9)]), cxt.t.select(["since", "city"]))


@READS(places(ASH, OAK))
def copy_of_rows(cxt):
    cxt.r = Table.copy_from(PLACES, [OAK, ["ash", "3", 2000]])


@READS([4, 0])
def a_copy_is_apart_from_its_source(cxt):
    load_places(cxt)
    cxt.c = Table.copy_from(PLACES, cxt.t)
    cxt.w = tc.after(cxt.c, cxt.t.truncate())
    cxt.r = tc.after(cxt.w, (cxt.c.count(), cxt.t.count()))


# --- read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key,want", [(("ash",), ASH), (["oak"], OAK), (("yew",), None), ((5,), None)], ids=str)
def test_row(host, key, want):
    cxt = tc.Context()
    cxt.r = load_places(cxt)[key]
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize("key,want", [((1, 2), [1, 2, 20]), (("1", 2.9), [1, 2, 20]), ((True, 1), [1, 1, 10]), ((9, 9), None)], ids=str)
def test_row_by_a_key_of_two(host, key, want):
    cxt = tc.Context()
    cxt.r = load_pairs(cxt)[key]
    same(host.hypothetical(cxt), want)


@pytest.mark.parametrize("key", ["ash", 5, ("ash", "elm"), (None,), [["ash"]]], ids=str)
def test_faulty_key(host, key):
    for call in (lambda t: t[key], lambda t: t.contains(key)):
        cxt = tc.Context()
        cxt.r = call(load_places(cxt))
        with pytest.raises(tc.error.BadRequest):
            host.hypothetical(cxt)


@pytest.mark.parametrize("key", [(1,), (1, 2, 3), ("x", 1), 1], ids=str)
def test_faulty_key_of_two(host, key):
    cxt = tc.Context()
    cxt.r = load_pairs(cxt)[key]
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@READS(3)
def a_field_of_a_row(cxt):
    cxt.r = load_places(cxt)[("ash",)][1]


@READS([2000, ASH])
def a_field_of_a_named_row(cxt):
    cxt.x = load_places(cxt)[("ash",)]
    cxt.r = (cxt.x[2], cxt.x)


@READS([False, True])
def a_row_is_none_if_it_is_not_there(cxt):
    t = load_places(cxt)
    cxt.a, cxt.b = t[("ash",)], t[("yew",)]
    cxt.r = (cxt.a.is_none(), cxt.b.is_none())


@READS(ELM)
def the_key_is_a_step(cxt):
    load_places(cxt)
    cxt.k = "elm"
    cxt.r = cxt.t[(cxt.k,)]


@READS([True, False])
def contains(cxt):
    t = load_places(cxt)
    cxt.r = (t.contains(("ash",)), t.contains(("yew",)))


@READS([ident("city"), ident("zone"), ident("since")])
def columns(cxt):
    cxt.r = load_places(cxt).columns()


@READS([[ident("a"), ident("b")], [ident("a"), ident("b")]])
def key_columns_and_names(cxt):
    t = load_pairs(cxt)
    cxt.r = (t.key_columns(), t.key_names())


@READS([4, False])
def count_and_is_empty(cxt):
    t = load_places(cxt)
    cxt.r = (t.count(), t.is_empty())


@READS([0, True])
def count_and_is_empty_of_no_rows(cxt):
    cxt.t = Table(PLACES)
    cxt.r = (cxt.t.count(), cxt.t.is_empty())


@READS([
    [[["city", ident(V + "string"), 60]], [["zone", ident(V + "number/uint")], ["since", ident(V + "number/int/32")]]],
    [["by_zone", [ident("zone")]], ["by_since", [ident("since"), ident("zone")]]],
])
def schema_of_a_reference(cxt):
    load_places(cxt)
    cxt.r = cxt.t.schema


@READS([False, True])
def none_and_some(cxt):
    t = load_places(cxt)
    cxt.r = (t.is_none(), t.is_some())


@READS([True, False])
def hashes(cxt):
    load_places(cxt)
    cxt.u = Table.load(PLACES, list(reversed(PLACE_ROWS)))
    cxt.v = Table.load(PLACES, PLACE_ROWS[:3])
    cxt.a, cxt.b, cxt.c = cxt.t.hash(), cxt.u.hash(), cxt.v.hash()
    cxt.r = (cxt.a == cxt.b, cxt.a == cxt.c)


@READS({"t": places(*PLACE_ROWS), "rows": [ASH, None], "x": [[places(ELM)]]})
def in_maps_and_tuples(cxt):
    t = load_places(cxt)
    cxt.r = {"t": t, "rows": (t[("ash",)], t[("yew",)]), "x": [[t.where(zone=1)]]}


@READS(4)
def a_method_of_an_entry_of_a_map(cxt):
    load_places(cxt)
    cxt.m = {"x": cxt.t}
    cxt.r = cxt.m["x"].count()


@pytest.mark.parametrize("build,want", READS)
def test_read(host, build, want):
    same(run(host, build), want)


def test_an_unknown_method(host):
    for name in ("weigh", "first", "reverse", "keys"):
        cxt = tc.Context()
        cxt.r = load_places(cxt)._get(name)
        with pytest.raises(tc.error.NotFound):
            host.hypothetical(cxt)


def test_an_unsupported_verb(host):
    for ref in (lambda t: t._put("count", None, 5), lambda t: t._delete("columns"), lambda t: t._post("limit", {"limit": 1}, Table)):
        cxt = tc.Context()
        cxt.r = ref(load_places(cxt))
        with pytest.raises(tc.error.MethodNotAllowed):
            host.hypothetical(cxt)


def test_what_the_client_does_not_send():
    cxt = tc.Context()
    load_places(cxt)
    with pytest.raises(NotImplementedError):
        cxt.t.aggregate(["zone"], Table.count)

    assert isinstance(cxt.t.where(zone=3).delete(("ash",)), RuntimeError)
    assert isinstance(cxt.t.where(zone=3).upsert(("ash",), [1, 1]), RuntimeError)


# --- write ------------------------------------------------------------------------------------------------------


@WRITES([None, None, None])
def writes_reply_nothing(cxt):
    t = load_places(cxt)
    cxt.r = (t.upsert(("yew",), [9, 1990]), t.delete(("ash",)), t.update(since=0))


@WRITES(places(*PLACE_ROWS, YEW))
def upsert_a_new_row(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.upsert(("yew",), [9, 1990]), t)


@WRITES(places(["ash", 9, 1990], ELM, FIR, OAK))
def upsert_a_row_that_is_there(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.upsert(("ash",), [9, 1990]), t)


@WRITES([places(), places(["ash", 9, 1990])])
def upsert_moves_the_index_entries(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.upsert(("ash",), [9, 1990]), (t.where(zone=3), t.where(zone=9)))


@WRITES(["7", 7, 8])
def upsert_casts(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.upsert((7,), ["7", 8.5]), t[("7",)])


@WRITES([6, ["yew", 2, 2]])
def upserts_one_after_the_other(cxt):
    t = load_places(cxt)
    cxt.a = t.upsert(("yew",), [1, 1])
    cxt.b = tc.after(cxt.a, t.upsert(("bay",), [1, 1]))
    cxt.c = tc.after(cxt.b, t.upsert(("yew",), [2, 2]))
    cxt.r = tc.after(cxt.c, (t.count(), t[("yew",)]))


@WRITES(["ash", 4, 2000])
def increment_a_field(cxt):
    load_places(cxt)
    cxt.x = cxt.t[("ash",)]
    cxt.zone = cxt.t.where(city="ash").count()
    cxt.w = cxt.t.upsert(("ash",), [cxt.zone + 3, cxt.x[2]])
    cxt.r = tc.after(cxt.w, cxt.t[("ash",)])


@WRITES(5)
def insert_a_new_row(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.insert(("yew",), [9, 1990]), t.count())


@WRITES(None)
def insert_replies_nothing(cxt):
    cxt.r = load_places(cxt).insert(("yew",), [9, 1990])


@WRITES([True, 6])
def insert_two_rows(cxt):
    t = load_places(cxt)
    cxt.a, cxt.b = t.insert(("yew",), [9, 1990]), t.insert(("bay",), [9, 1990])
    cxt.r = tc.after((cxt.a, cxt.b), (t.contains(("bay",)), t.count()))


@WRITES([1])
def insert_into_a_table_of_keys(cxt):
    cxt.t = Table(tc.table.Schema([Column("k", tc.I32)]))
    cxt.r = tc.after(cxt.t.insert((1,)), cxt.t[(1,)])


@pytest.mark.parametrize("key", [("ash",), ("oak",)])
def test_insert_a_row_that_is_there(host, key):
    cxt = tc.Context()
    t = load_places(cxt)
    cxt.r = t.insert(key, [9, 1990])
    with pytest.raises(tc.error.BadRequest) as raised:
        host.hypothetical(cxt)

    assert client_error(raised.value, "bad_request") == "cannot insert: key already exists"


def test_insert_twice(host):
    cxt = tc.Context()
    t = load_places(cxt)
    cxt.a = t.insert(("yew",), [9, 1990])
    cxt.there = tc.after(cxt.a, t.contains(("yew",)))
    cxt.r = tc.cond(cxt.there, tc.error.BadRequest("cannot insert: key already exists"), t.upsert(("yew",), [1, 1]))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@WRITES(pairs([1, 1, 10], [1, 2, 21], [2, 1, 5], [2, 2, 7]))
def upserts_by_a_key_of_two(cxt):
    t = load_pairs(cxt)
    cxt.r = tc.after([t.upsert((1, 2), [21]), t.upsert((2, 2), [7])], t)


@WRITES(places(ELM, FIR, OAK))
def delete_a_row(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.delete(("ash",)), t)


@WRITES([4, places(ASH)])
def delete_a_row_that_is_not_there(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.delete(("yew",)), (t.count(), t.where(zone=3)))


@WRITES(pairs([1, 1, 10], [2, 1, 5]))
def delete_by_a_key_of_two(cxt):
    t = load_pairs(cxt)
    cxt.r = tc.after(t.delete((1, 2)), t)


@WRITES([places(), places(), True])
def truncate(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.truncate(), (t, t.order_by(["zone"]), t.is_empty()))


@WRITES(places(YEW))
def upsert_after_truncate(cxt):
    t = load_places(cxt)
    cxt.a = t.truncate()
    cxt.b = tc.after(cxt.a, t.upsert(("yew",), [9, 1990]))
    cxt.r = tc.after(cxt.b, t.where(zone=slice(0, None)))


@WRITES(places(["ash", 0, 2000], ["elm", 0, 2001], ["fir", 0, 2000], ["oak", 0, 1999]))
def update_all(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.update(zone=0), t)


@WRITES(places(["ash", 0, 7], ["elm", 0, 7], ["fir", 0, 7], ["oak", 0, 7]))
def update_two_columns_of_all(cxt):
    t = load_places(cxt)
    cxt.r = tc.after(t.update(zone="0", since=7.9), t.order_by(["city"]))


@WRITES(4)
def an_upsert_that_nothing_needs(cxt):
    t = load_places(cxt)
    cxt.w = t.upsert(("yew",), [9, 1990])
    cxt.r = t.count()


@pytest.mark.parametrize("build,want", WRITES)
def test_write(host, build, want):
    same(run(host, build), want)


UPSERTS = [
    (("yew",), []),
    (("yew",), [9]),
    (("yew",), [9, 1990, 1]),
    (("yew",), 9),
    (("yew",), None),
    (("yew",), [None, 1]),
    (("yew",), ["x", 1]),
    (("yew", "x"), [9, 1990]),
    ((), [9, 1990]),
    (None, [9, 1990]),
    ("yew", [9, 1990]),
    ((None,), [9, 1990]),
    (("x" * 61,), [9, 1990]),
    (("yew",), {"city": "x"}),
    (("yew",), {"girth": 1}),
]


@pytest.mark.parametrize("key,values", UPSERTS, ids=str)
def test_faulty_upsert(host, key, values):
    cxt = tc.Context()
    cxt.r = load_places(cxt).upsert(key, values)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("values", [{"city": "x"}, {"girth": 1}, {"zone": None}, {"zone": "x"}, {"zone": 1, "girth": 1}], ids=str)
def test_faulty_update(host, values):
    for call in (lambda t: t.update(**values), lambda t: t.where(zone=3).update(**values)):
        cxt = tc.Context()
        cxt.r = call(load_places(cxt))
        with pytest.raises(tc.error.BadRequest):
            host.hypothetical(cxt)


@pytest.mark.parametrize("key", ["ash", 5, ("ash", "x"), (None,)], ids=str)
def test_faulty_delete(host, key):
    cxt = tc.Context()
    cxt.r = load_places(cxt).delete(key)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


# --- many writes, branches, loops, ops --------------------------------------------------------------------------


NUMBERS = tc.table.Schema([Column("n", tc.I32)], [Column("square", tc.I64), Column("rest", tc.U8)]).create_index("by_rest", ["rest"])


def test_1000_upserts_in_steps(host):
    cxt = tc.Context()
    cxt.t = Table(NUMBERS)
    for n in range(1000):
        setattr(cxt, f"w{n}", cxt.t.upsert((n,), [n * n, n % 7]))

    cxt.w = [getattr(cxt, f"w{n}") for n in range(1000)]
    cxt.r = tc.after(cxt.w, (cxt.t.count(), cxt.t[(999,)], cxt.t.where(rest=3).count(), cxt.t.where(n=slice(100, 200)).count()))
    same(host.hypothetical(cxt), [1000, [999, 998001, 5], 143, 100])


def test_1000_upserts_in_a_list(host):
    cxt = tc.Context()
    cxt.t = Table(NUMBERS)
    upserts = [cxt.t.upsert((n * 7919 % 1000,), [n, n % 7]) for n in range(1000)]
    cxt.r = tc.after(upserts, (cxt.t.count(), cxt.t.order_by(["n"], True).limit(2).select(["n"])))
    n = {V + "number/int/32": {}}
    same(host.hypothetical(cxt), [1000, {TABLE: [[[[], [["n", n]]], []], [[999], [998]]]}])


def test_1000_upserts_in_a_loop(host):
    cxt = tc.Context()
    cxt.t = Table(NUMBERS)

    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 1000

    @tc.closure(cxt.t)
    @tc.post
    def step(i: tc.Int):
        return tc.after(cxt.t.upsert((i % 100,), [i, i % 7]), tc.Map(i=i + 1))

    cxt.loop = tc.while_loop(cond, step, tc.Map(i=0))
    cxt.r = tc.after(cxt.loop, (cxt.t.count(), cxt.t[(0,)], cxt.t[(99,)]))
    same(host.hypothetical(cxt), [100, [0, 900, 4], [99, 999, 5]])


def test_1000_upserts_by_map(host):
    cxt = tc.Context()
    cxt.t = Table(NUMBERS)
    cxt.i = tc.Tuple.range(1000)

    @tc.closure(cxt.t)
    @tc.get
    def upsert(n: tc.Int):
        return cxt.t.upsert((n,), [n * n, n % 7])

    cxt.m = cxt.i.map(upsert)
    cxt.r = tc.after(cxt.m, (cxt.t.count(), cxt.t.where(rest=0).count(), cxt.t.where(rest=slice(0, 3), n=5).count()))
    same(host.hypothetical(cxt), [1000, 143, 0])


def test_1000_rows_by_load(host):
    cxt = tc.Context()
    cxt.t = Table.load(NUMBERS, [[n, n * n, n % 7] for n in range(1000)])
    cxt.w = cxt.t.where(rest=6).truncate()
    cxt.r = tc.after(cxt.w, (cxt.t.count(), cxt.t.where(rest=6).is_empty(), cxt.t.where(rest=5).count()))
    same(host.hypothetical(cxt), [858, True, 143])


@FLOW(5)
def the_chosen_branch(cxt):
    t = load_places(cxt)
    cxt.w = tc.cond(t.contains(("ash",)), t.upsert(("yew",), [9, 1990]), t.truncate())
    cxt.r = tc.after(cxt.w, t.count())


@FLOW(0)
def the_other_branch(cxt):
    t = load_places(cxt)
    cxt.w = tc.cond(t.contains(("yew",)), t.upsert(("yew",), [9, 1990]), t.truncate())
    cxt.r = tc.after(cxt.w, t.count())


@FLOW(places(ASH, ELM, FIR, OAK, YEW))
def a_case(cxt):
    t = load_places(cxt)
    cxt.n = t.count()
    cxt.w = tc.switch_case(cxt.n, [3, 4], [t.truncate(), t.upsert(("yew",), [9, 1990]), t.delete(("ash",))])
    cxt.r = tc.after(cxt.w, t)


@FLOW(places(["ash", 0, 2000], ["elm", 0, 2001], FIR, OAK))
def updates_of_rows_by_for_each(cxt):
    load_places(cxt)
    cxt.names = ["ash", "elm"]

    @tc.closure(cxt.t)
    @tc.get
    def clear(name: tc.String):
        return cxt.t.upsert((name,), {"zone": 0})

    cxt.m = cxt.names.for_each(clear)
    cxt.r = tc.after(cxt.m, cxt.t)


@FLOW([ASH, None, OAK])
def rows_by_map(cxt):
    load_places(cxt)
    cxt.names = ["ash", "yew", "oak"]

    @tc.closure(cxt.t)
    @tc.get
    def row(name: tc.String):
        return cxt.t[(name,)]

    cxt.r = cxt.names.map(row)


@FLOW(["ash", "oak"])
def filter_by_what_is_in_the_table(cxt):
    load_places(cxt)
    cxt.names = ["ash", "yew", "oak"]

    @tc.closure(cxt.t)
    @tc.get
    def there(name: tc.String) -> tc.Bool:
        return cxt.t.contains((name,))

    cxt.r = cxt.names.filter(there)


@FLOW([places(["ash", 1, 1]), places(["ash", 2, 1])])
def each_call_of_an_op_creates_a_table(cxt):
    @tc.get
    def f(cxt, n: tc.Int):
        cxt.t = Table(PLACES)
        cxt.w = cxt.t.upsert(("ash",), [n, 1])
        return tc.after(cxt.w, cxt.t)

    cxt.f = f
    cxt.r = (cxt.f(1), cxt.f(2))


@FLOW(places(OAK, ASH))
def a_table_as_a_parameter(cxt):
    @tc.post
    def top(x: Table, n: tc.Int):
        return x.where(zone=slice(2, None)).order_by(["zone"], True).limit(n)

    load_places(cxt)
    cxt.top = top
    cxt.r = cxt.top(x=cxt.t, n=2)


@FLOW([5, YEW])
def an_op_writes_to_its_parameter(cxt):
    @tc.post
    def f(x: Table, name: tc.String):
        return x.upsert((name,), [9, 1990])

    load_places(cxt)
    cxt.f = f
    cxt.w = cxt.f(x=cxt.t, name="yew")
    cxt.r = tc.after(cxt.w, (cxt.t.count(), cxt.t[("yew",)]))


@FLOW(2)
def a_closure_over_a_table_is_a_parameter(cxt):
    load_places(cxt)

    @tc.closure(cxt.t)
    @tc.get
    def count(year: tc.Int) -> tc.UInt:
        return cxt.t.where(since=year).count()

    @tc.post
    def call(op: Get, n: tc.Int):
        return op(n)

    cxt.call = call
    cxt.r = cxt.call(op=count, n=2000)


@pytest.mark.parametrize("build,want", FLOW)
def test_flow(host, build, want):
    same(run(host, build), want)


def test_nothing_is_left_of_a_hypothetical_write(host):
    def build(cxt):
        t = load_places(cxt)
        cxt.r = tc.after(t.upsert(("yew",), [9, 1990]), t.count())

    assert [run(host, build) for _ in range(3)] == [5, 5, 5]


# --- without a program ------------------------------------------------------------------------------------------


def test_create_by_get(host):
    same(host.get(TABLE, PLACES), places())


def test_copy_by_post(host):
    same(host.post(TABLE + "/copy_from", {"schema": PLACES, "source": [OAK, ASH]}), places(ASH, OAK))


def test_a_reply_can_be_sent_back(host):
    cxt = tc.Context()
    cxt.r = load_places(cxt).where(since=2000)
    reply = host.hypothetical(cxt)
    same(host.post("/transact/hypothetical", {"op": [["t", reply], ["r", {"$t": [[["zone", 3]]]}]]}), places(ASH))
