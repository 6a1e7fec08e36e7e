"""B-trees: every method of the client's class, writes in every kind of flow."""

import pytest
import tinychain as tc
from tinychain.scalar.bound import Ex, In, Range
from tinychain.scalar.op import Get

from sample_collections import (
    BOLT,
    BTREE,
    BTree,
    CAM,
    Column,
    GEAR,
    NUT,
    PARTS,
    PART_ROWS,
    PLACES,
    PLACE_ROWS,
    Table,
    btree,
    load_parts,
    parts,
)
from support import Table as Programs, V, c32, c64, client_error, ident, run, same

READS = Programs()
WRITES = Programs()
FLOW = Programs()


# --- create, load, copy -----------------------------------------------------------------------------------------


def test_load(host):
    same(run(host, load_parts), parts(*PART_ROWS))


def test_load_sorts_casts_and_removes_duplicates(host):
    same(run(host, lambda cxt: load_parts(cxt, [8, "gear"], ["3", 4], [3, "4"], [7.9, "x"])), parts([3, "4"], [7, "x"], GEAR))


def test_create(host):
    cxt = tc.Context()
    cxt.t = BTree(PARTS)
    same(host.hypothetical(cxt), parts())


def test_a_tree_without_a_context(host):
    same(host.hypothetical(BTree.load(PARTS, [NUT])), parts(NUT))


@pytest.mark.parametrize("row", [[], [3], [3, "bolt", 1], ["x", "bolt"], [None, "bolt"], [3, None], [3, "x" * 41], [3, "é" * 20 + "x"]], ids=str)
def test_load_faulty_rows(host, row):
    cxt = tc.Context()
    cxt.t = BTree.load(PARTS, [BOLT, row])
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [Column("w", tc.String)],
        [Column("n", tc.Int, 8)],
        [Column("n", tc.Int), Column("n", tc.Int)],
        [Column("a b", tc.Int)],
        [Column("", tc.Int)],
        [Column("m", tc.Map, 8)],
        [Column("t", BTree, 8)],
        [Column("w", tc.String, -1)],
    ],
    ids=str,
)
def test_faulty_schema(host, columns):
    cxt = tc.Context()
    cxt.t = BTree(tc.btree.Schema(columns))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


CLASSES = [
    (tc.Bool, "number/bool", [0, 2, "true"], [False, True]),
    (tc.I16, "number/int/16", [70000, -1, 7.9], [-1, 7, 4464]),
    (tc.I32, "number/int/32", [2**31, "-5", True], [-(2**31), -5, 1]),
    (tc.I64, "number/int/64", [2**63 - 1, -(2**63), 0], [-(2**63), 0, 2**63 - 1]),
    (tc.U8, "number/uint/8", [300, -1, 256], [0, 44, 255]),
    (tc.U16, "number/uint/16", [65536, -1], [0, 65535]),
    (tc.U32, "number/uint/32", [2**32, -1], [0, 2**32 - 1]),
    (tc.U64, "number/uint/64", [tc.U64(2**64 - 1), 0], [0, 2**64 - 1]),
    (tc.F32, "number/float/32", [0.1, 2**24 + 1], [0.1, 16777216.0]),
    (tc.F64, "number/float/64", [0.1, 3, "1e3", -0.5], [-0.5, 0.1, 3.0, 1000.0]),
    (tc.C32, "number/complex/32", [3 + 4j, 1], [c32(1.0, 0.0), c32(3.0, 4.0)]),
    (tc.C64, "number/complex/64", [3 + 4j, tc.C64(1 + 2j)], [c64(1.0, 2.0), c64(3.0, 4.0)]),
    (tc.Int, "number/int", [2**31, 5], [-(2**31), 5]),
    (tc.UInt, "number/uint", [-1, 5], [5, 2**32 - 1]),
    (tc.Float, "number/float", [0.1], [0.1]),
    (tc.Complex, "number/complex", [1 + 2j], [c32(1.0, 2.0)]),
    (tc.Number, "number", [2.5, 2, -1], [-1, 2, 2.5]),
]


@pytest.mark.parametrize("dtype,path,given,want", CLASSES, ids=lambda value: value.__name__ if isinstance(value, type) else "")
def test_number_columns(host, dtype, path, given, want):
    cxt = tc.Context()
    cxt.t = BTree.load(tc.btree.Schema([Column("x", dtype)]), [[value] for value in given])
    same(host.hypothetical(cxt), btree([("x", path)], [[value] for value in want]))


VALUES = [
    (tc.String, "string", ["b", 7.5, "", "a", 5.0, True], ["", "5", "7.5", "a", "b", "true"]),
    (tc.String, "string", ["é", "z", "\U0001f600", "\uffff", "line\n\"quoted\""], ["line\n\"quoted\"", "z", "é", "\uffff", "\U0001f600"]),
    (tc.Id, "id", [tc.Id("foo"), "bar"], [ident("bar"), ident("foo")]),
    (tc.Version, "version", ["1.10.0", tc.Version("1.2.3")], ["1.2.3", "1.10.0"]),
    (tc.EmailAddress, "email", ["b@b.co", "a@b.co"], [{V + "email": "a@b.co"}, {V + "email": "b@b.co"}]),
    (tc.Value, "", ["a", 1, [1, "x"], tc.Id("i"), 0.5], [0.5, 1, ident("i"), "a", [1, "x"]]),
]


@pytest.mark.parametrize("dtype,path,given,want", VALUES, ids=lambda value: value.__name__ if isinstance(value, type) else "")
def test_other_columns(host, dtype, path, given, want):
    cxt = tc.Context()
    cxt.t = BTree.load(tc.btree.Schema([Column("x", dtype, 99)]), [[value] for value in given])
    got = host.hypothetical(cxt)
    assert set(got) == {BTREE}
    assert got[BTREE][0] == [["x", {(V + path).rstrip("/"): {}}, 99]]
    same(got[BTREE][1], [[value] for value in want])


def test_not_a_number_and_infinities(host):
    nan, infinity = float("nan"), float("inf")
    cxt = tc.Context()
    cxt.t = BTree.load(tc.btree.Schema([Column("x", tc.F64)]), [[nan], [infinity], [-infinity], [0.5], [nan]])
    same(host.hypothetical(cxt), btree([("x", "number/float/64")], [[-infinity], [0.5], [infinity], [nan]]))


@READS(parts(NUT, GEAR, CAM))
def copy_of_a_slice(cxt):
    cxt.r = BTree.copy_from(PARTS, load_parts(cxt)[5:])


@READS(parts(*PART_ROWS))
def copy_with_the_schema_of_another_tree(cxt):
    load_parts(cxt)
    cxt.s = cxt.t.schema
    cxt.r = BTree.copy_from(cxt.s, cxt.t)


@READS(btree([("a", "number/float/64"), ("b", "string", 9)], [[3.0, "bolt"], [5.0, "nut"], [8.0, "gear"], [13.0, "cam"]]))
def copy_casts(cxt):
    cxt.r = BTree.copy_from(tc.btree.Schema([Column("a", tc.F64), Column("b", tc.String, 9)]), load_parts(cxt))


@READS(parts([1, "a"], [2, "b"]))
def copy_of_rows(cxt):
    cxt.r = BTree.copy_from(PARTS, [["2", "b"], [1, "a"]])


@READS(btree([("a", "string", 60), ("b", "number/int"), ("c", "number/int")], PLACE_ROWS))
def copy_of_a_table(cxt):
    cxt.t = Table.load(PLACES, PLACE_ROWS)
    cxt.r = BTree.copy_from(tc.btree.Schema([Column("a", tc.String, 60), Column("b", tc.Int), Column("c", tc.Int)]), cxt.t)


@READS([4, 5])
def a_copy_is_apart_from_its_source(cxt):
    load_parts(cxt)
    cxt.c = BTree.copy_from(PARTS, cxt.t)
    cxt.w = tc.after(cxt.c, cxt.t.insert([6, "pin"]))
    cxt.r = tc.after(cxt.w, (cxt.c.count(), cxt.t.count()))


@pytest.mark.parametrize("columns", [[Column("a", tc.Int)], [Column("a", tc.Int), Column("b", tc.Int)], [Column("a", tc.Int), Column("b", tc.String, 3)]], ids=str)
def test_a_copy_that_cannot_be_cast(host, columns):
    cxt = tc.Context()
    cxt.r = BTree.copy_from(tc.btree.Schema(columns), load_parts(cxt))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


# --- read -------------------------------------------------------------------------------------------------------


SLICES = [
    (5, [NUT]),
    ((5,), [NUT]),
    ([5], [NUT]),
    ("5", [NUT]),
    ((5, "nut"), [NUT]),
    ((5, "cog"), []),
    (slice(5, 13), [NUT, GEAR]),
    (slice(5, None), [NUT, GEAR, CAM]),
    (slice(None, 8), [BOLT, NUT]),
    (slice(None, None), PART_ROWS),
    (None, PART_ROWS),
    ((), PART_ROWS),
    (slice(6, 8), []),
    (slice(13, 5), []),
    (Range(Ex(5), In(13)), [GEAR, CAM]),
    (Range(In(5), In(8)), [NUT, GEAR]),
    (Range(5, 8), [NUT]),
    ((5, slice("a", "o")), [NUT]),
    ((5, slice("o", None)), []),
    (99, []),
]


@pytest.mark.parametrize("key,want", SLICES, ids=str)
def test_slice(host, key, want):
    cxt = tc.Context()
    cxt.r = load_parts(cxt)[key]
    same(host.hypothetical(cxt), parts(*want))


@pytest.mark.parametrize("key", ["x", (5, "nut", 1), (slice(1, 9), "nut"), slice("x", None), {"a": 1, "b": 2}], ids=str)
def test_faulty_slice(host, key):
    cxt = tc.Context()
    cxt.r = load_parts(cxt)[key]
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


COUNTS = [(None, 4), ((5,), 1), ([5], 1), ((5, "nut"), 1), ((5, "cog"), 0), ([slice(5, 13)], 2), ([Range(Ex(5), None)], 2), ([], 4), ((99,), 0)]


@pytest.mark.parametrize("key,want", COUNTS, ids=str)
def test_count(host, key, want):
    cxt = tc.Context()
    cxt.r = load_parts(cxt).count(key)
    same(host.hypothetical(cxt), want)


@READS(11)
def arithmetic_with_counts(cxt):
    t = load_parts(cxt)
    cxt.r = t.count() * 2 + t[5:].count()


@READS(True)
def a_count_is_unsigned(cxt):
    cxt.n = load_parts(cxt).count()
    cxt.r = cxt.n > -1


@READS({"sku": 3, "label": "bolt"})
def first(cxt):
    cxt.r = load_parts(cxt).first()


@READS("bolt")
def a_column_of_the_first_row(cxt):
    cxt.r = load_parts(cxt).first()["label"]


@READS(["bolt", 3, 2])
def columns_of_the_first_row_by_name(cxt):
    cxt.x = load_parts(cxt).first()
    cxt.r = (cxt.x["label"], cxt.x["sku"], cxt.x.len())


@READS(parts(CAM, GEAR, NUT, BOLT))
def reverse(cxt):
    cxt.r = load_parts(cxt).reverse()


@READS(parts(*PART_ROWS))
def reverse_twice(cxt):
    cxt.r = load_parts(cxt).reverse().reverse()


@READS({"sku": 13, "label": "cam"})
def first_of_a_reverse(cxt):
    cxt.r = load_parts(cxt).reverse().first()


@READS([["sku", ident(V + "number/int")], ["label", ident(V + "string"), 40]])
def schema_of_a_reference(cxt):
    load_parts(cxt)
    cxt.r = cxt.t.schema


@READS([False, True])
def none_and_some(cxt):
    t = load_parts(cxt)
    cxt.r = (t.is_none(), t.is_some())


@READS([True, False])
def hashes(cxt):
    load_parts(cxt)
    cxt.u = BTree.load(PARTS, list(reversed(PART_ROWS)))
    cxt.v = BTree.load(PARTS, PART_ROWS[:2])
    cxt.a, cxt.b, cxt.c = cxt.t.hash(), cxt.u.hash(), cxt.v.hash()
    cxt.r = (cxt.a == cxt.b, cxt.a == cxt.c)


def test_a_hash_has_64_digits(host):
    cxt = tc.Context()
    cxt.r = load_parts(cxt).hash()
    ((digest, empty),) = host.hypothetical(cxt).items()
    assert empty == [] and len(digest) == 64
    int(digest, 16)


def test_first_of_an_empty_tree(host):
    cxt = tc.Context()
    cxt.t = BTree(PARTS)
    cxt.r = cxt.t.first()
    with pytest.raises(tc.error.NotFound) as raised:
        host.hypothetical(cxt)

    assert client_error(raised.value, "not_found")


def test_an_unknown_method(host):
    cxt = tc.Context()
    cxt.r = load_parts(cxt)._get("weigh")
    with pytest.raises(tc.error.NotFound):
        host.hypothetical(cxt)


def test_an_unsupported_verb(host):
    for ref in (lambda t: t._put("count", None, 5), lambda t: t._delete("first"), lambda t: t._post("reverse", {"a": 1}, BTree)):
        cxt = tc.Context()
        cxt.r = ref(load_parts(cxt))
        with pytest.raises(tc.error.MethodNotAllowed):
            host.hypothetical(cxt)


@READS({"q": parts(*PART_ROWS), "x": [parts(NUT), 4, [[parts()]]]})
def in_maps_and_tuples(cxt):
    t = load_parts(cxt)
    cxt.r = {"q": t, "x": [t[5], t.count(), [[t[99]]]]}


@READS(4)
def a_method_of_an_entry_of_a_map(cxt):
    load_parts(cxt)
    cxt.m = {"x": cxt.t}
    cxt.r = cxt.m["x"].count()


@READS({"sku": 5, "label": "nut"})
def a_method_of_an_item_of_a_tuple(cxt):
    load_parts(cxt)
    cxt.x = [1, cxt.t[5]]
    cxt.r = cxt.x[1].first()


@pytest.mark.parametrize("build,want", READS)
def test_read(host, build, want):
    same(run(host, build), want)


# --- write ------------------------------------------------------------------------------------------------------


@WRITES(None)
def insert_replies_nothing(cxt):
    cxt.r = load_parts(cxt).insert([6, "pin"])


@WRITES(parts(BOLT, NUT, [6, "pin"], GEAR, CAM))
def insert(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after(t.insert([6, "pin"]), t)


@WRITES(parts(BOLT, NUT, [6, "7.5"], GEAR, CAM))
def insert_casts(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after(t.insert(("6", 7.5)), t)


@WRITES(4)
def insert_of_a_present_row(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after(t.insert([5, "nut"]), t.count())


@WRITES(parts([1, "a"], [2, "b"], BOLT, NUT, GEAR, CAM))
def inserts_in_a_list(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after([t.insert([2, "b"]), t.insert([1, "a"])], t)


@WRITES(6)
def inserts_one_after_the_other(cxt):
    t = load_parts(cxt)
    cxt.a = t.insert([2, "b"])
    cxt.b = tc.after(cxt.a, t.insert([1, "a"]))
    cxt.r = tc.after(cxt.b, t.count())


@WRITES(4)
def an_insert_that_nothing_needs(cxt):
    t = load_parts(cxt)
    cxt.w = t.insert([6, "pin"])
    cxt.r = t.count()


@WRITES(parts([3, "4"], NUT, GEAR, CAM))
def insert_what_was_read(cxt):
    load_parts(cxt, NUT, GEAR, CAM)
    cxt.x = cxt.t.first()
    cxt.n = cxt.t.count()
    cxt.w = cxt.t.insert([cxt.n, "4"])
    cxt.r = tc.after(cxt.w, cxt.t)


@WRITES(parts([1, "a"], NUT, GEAR))
def insert_the_rows_of_a_slice(cxt):
    t = load_parts(cxt)
    cxt.n = BTree.load(PARTS, [[1, "a"]])
    cxt.w = cxt.n.insert(t[5:13])
    cxt.r = tc.after(cxt.w, cxt.n)


@WRITES(4)
def insert_a_tree_into_itself(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after(t.insert(t.reverse()), t.count())


DELETES = [
    (5, [BOLT, GEAR, CAM]),
    ((5,), [BOLT, GEAR, CAM]),
    ([5], [BOLT, GEAR, CAM]),
    ((5, "nut"), [BOLT, GEAR, CAM]),
    ((5, "cog"), PART_ROWS),
    (slice(5, 13), [BOLT, CAM]),
    (slice(5, None), [BOLT]),
    (slice(None, 8), [GEAR, CAM]),
    (slice(None, None), []),
    (Range(Ex(5), In(13)), [BOLT, NUT]),
    (99, PART_ROWS),
    ("5", [BOLT, GEAR, CAM]),
]


@pytest.mark.parametrize("key,want", DELETES, ids=str)
def test_delete(host, key, want):
    cxt = tc.Context()
    t = load_parts(cxt)
    cxt.r = tc.after(t.delete(key), t)
    same(host.hypothetical(cxt), parts(*want))


@WRITES(parts())
def delete_everything(cxt):
    t = load_parts(cxt)
    cxt.r = tc.after(t.delete(), t)


@WRITES(None)
def delete_replies_nothing(cxt):
    cxt.r = load_parts(cxt).delete(5)


@WRITES(parts([6, "pin"]))
def insert_after_delete(cxt):
    t = load_parts(cxt)
    cxt.a = t.delete()
    cxt.b = tc.after(cxt.a, t.insert([6, "pin"]))
    cxt.r = tc.after(cxt.b, t)


@pytest.mark.parametrize("row", [[], [5], [5, "nut", 1], 5, "nut", None, {"sku": 5, "label": "nut"}, ["x", "nut"], [None, "nut"], [5, [1]], [5, "x" * 41]], ids=str)
def test_insert_faulty_rows(host, row):
    cxt = tc.Context()
    cxt.r = load_parts(cxt).insert(row)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("key", ["x", (5, "nut", 1), (slice(1, 9), "nut")], ids=str)
def test_delete_faulty_range(host, key):
    cxt = tc.Context()
    cxt.r = load_parts(cxt).delete(key)
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


@pytest.mark.parametrize("build,want", WRITES)
def test_write(host, build, want):
    same(run(host, build), want)


# --- branches, loops, ops ---------------------------------------------------------------------------------------


@FLOW(parts(BOLT, NUT, [6, "pin"], GEAR, CAM))
def the_chosen_branch(cxt):
    t = load_parts(cxt)
    cxt.w = tc.cond(t.count() > 3, t.insert([6, "pin"]), t.delete())
    cxt.r = tc.after(cxt.w, t)


@FLOW(parts())
def the_other_branch(cxt):
    t = load_parts(cxt)
    cxt.w = tc.cond(t.count() > 4, t.insert([6, "pin"]), t.delete())
    cxt.r = tc.after(cxt.w, t)


@FLOW(parts(BOLT, GEAR, CAM))
def a_case(cxt):
    t = load_parts(cxt)
    cxt.n = t.first()["sku"]
    cxt.w = tc.switch_case(cxt.n, [1, 3], [t.delete(3), t.delete(5), t.delete()])
    cxt.r = tc.after(cxt.w, t)


def _insert_until(cxt, limit):
    cxt.t = BTree(PARTS)

    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < limit

    @tc.closure(cxt.t)
    @tc.post
    def step(i: tc.Int):
        return tc.after(cxt.t.insert([i, "x"]), tc.Map(i=i + 1))

    cxt.loop = tc.while_loop(cond, step, tc.Map(i=0))


@FLOW(parts(*[[i, "x"] for i in range(10)]))
def a_loop_of_inserts(cxt):
    _insert_until(cxt, 10)
    cxt.r = tc.after(cxt.loop, cxt.t)


@FLOW([500, 100, {"sku": 499, "label": "x"}])
def a_loop_of_500_inserts(cxt):
    _insert_until(cxt, 500)
    cxt.r = tc.after(cxt.loop, (cxt.t.count(), cxt.t[100:200].count(), cxt.t.reverse().first()))


@FLOW([1000, 0])
def a_map_of_1000_inserts(cxt):
    cxt.t = BTree(PARTS)
    cxt.i = tc.Tuple.range(1000)

    @tc.closure(cxt.t)
    @tc.get
    def insert(n: tc.Int):
        return cxt.t.insert([n * 7 % 1000, "x"])

    cxt.m = cxt.i.map(insert)
    cxt.r = tc.after(cxt.m, (cxt.t.count(), cxt.t.first()["sku"]))


@FLOW(parts([1, "x"], [2, "x"], BOLT, NUT, GEAR, CAM))
def for_each_inserts(cxt):
    load_parts(cxt)
    cxt.i = [2, 1, 2]

    @tc.closure(cxt.t)
    @tc.get
    def insert(n: tc.Int):
        return cxt.t.insert([n, "x"])

    cxt.m = cxt.i.for_each(insert)
    cxt.r = tc.after(cxt.m, cxt.t)


@FLOW([[3, 5], [True, False]])
def filter_and_map_by_what_is_in_the_tree(cxt):
    load_parts(cxt)
    cxt.i = [3, 4, 5]
    cxt.j = [8, 9]

    @tc.closure(cxt.t)
    @tc.get
    def has(n: tc.Int) -> tc.Bool:
        return cxt.t.count((n,)) > 0

    cxt.r = (cxt.i.filter(has), cxt.j.map(has))


@FLOW(parts([7, "x"]))
def a_tree_in_an_op(cxt):
    @tc.get
    def f(cxt, n: tc.Int):
        cxt.t = BTree(PARTS)
        cxt.w = cxt.t.insert([n, "x"])
        return tc.after(cxt.w, cxt.t)

    cxt.f = f
    cxt.r = cxt.f(7)


@FLOW([parts([0, "y"], [1, "x"]), parts([0, "y"], [2, "x"])])
def each_call_of_an_op_creates_a_tree(cxt):
    @tc.get
    def f(cxt, n: tc.Int):
        cxt.t = BTree.load(PARTS, [[0, "y"]])
        cxt.w = cxt.t.insert([n, "x"])
        return tc.after(cxt.w, cxt.t)

    cxt.f = f
    cxt.r = (cxt.f(1), cxt.f(2))


@FLOW([1, 4])
def a_tree_as_a_parameter(cxt):
    @tc.post
    def f(x: BTree, n: tc.Int):
        return x[n].count(), x.count()

    load_parts(cxt)
    cxt.f = f
    cxt.r = cxt.f(x=cxt.t, n=5)


@FLOW(5)
def an_op_writes_to_its_parameter(cxt):
    @tc.post
    def f(x: BTree, n: tc.Int):
        return x.insert([n, "x"])

    load_parts(cxt)
    cxt.f = f
    cxt.w = cxt.f(x=cxt.t, n=6)
    cxt.r = tc.after(cxt.w, cxt.t.count())


@FLOW(4)
def a_closure_over_a_tree_is_a_parameter(cxt):
    load_parts(cxt)

    @tc.closure(cxt.t)
    @tc.get
    def count(n: tc.Int) -> tc.Int:
        return cxt.t[n:].count()

    @tc.post
    def call(op: Get, n: tc.Int):
        return op(n)

    cxt.call = call
    cxt.r = cxt.call(op=count, n=0)


@pytest.mark.parametrize("build,want", FLOW)
def test_flow(host, build, want):
    same(run(host, build), want)


def test_an_error_in_a_loop_of_inserts(host):
    cxt = tc.Context()
    cxt.t = BTree(tc.btree.Schema([Column("w", tc.String, 2)]))

    @tc.post
    def cond(i: tc.Int) -> tc.Bool:
        return i < 200

    @tc.closure(cxt.t)
    @tc.post
    def step(i: tc.Int):
        return tc.after(cxt.t.insert([i]), tc.Map(i=i + 1))

    cxt.r = tc.while_loop(cond, step, tc.Map(i=0))
    with pytest.raises(tc.error.BadRequest):
        host.hypothetical(cxt)


def test_nothing_is_left_of_a_hypothetical_write(host):
    def build(cxt):
        t = load_parts(cxt)
        cxt.r = tc.after(t.insert([6, "pin"]), t.count())

    assert [run(host, build) for _ in range(3)] == [5, 5, 5]


# --- without a program ------------------------------------------------------------------------------------------


def test_create_by_get(host):
    same(host.get(BTREE, PARTS), parts())


def test_copy_by_post(host):
    same(host.post(BTREE + "/copy_from", {"schema": PARTS, "source": [NUT, BOLT]}), parts(BOLT, NUT))


def test_a_reply_can_be_sent_back(host):
    cxt = tc.Context()
    cxt.r = load_parts(cxt)[5:]
    reply = host.hypothetical(cxt)
    same(host.post("/transact/hypothetical", {"op": [["t", reply], ["r", {"$t": {"range": [8]}}]]}), parts(GEAR))
