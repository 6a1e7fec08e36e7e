"""The B-tree and the table that the tests of collections use, and what replies about them look like."""

import tinychain as tc

from support import V

BTree = tc.btree.BTree
Table = tc.table.Table
Column = tc.Column

BTREE = "/state/collection/btree"
TABLE = "/state/collection/table"

# Parts: a number and a label.
PARTS = tc.btree.Schema([Column("sku", tc.Int), Column("label", tc.String, 40)])
BOLT, NUT, GEAR, CAM = PART_ROWS = [[3, "bolt"], [5, "nut"], [8, "gear"], [13, "cam"]]

# Places: a key of one column, two values, and two indexes.
PLACES = tc.table.Schema([Column("city", tc.String, 60)], [Column("zone", tc.UInt), Column("since", tc.I32)])
PLACES.create_index("by_zone", ["zone"]).create_index("by_since", ["since", "zone"])
ASH, ELM, FIR, OAK = PLACE_ROWS = [["ash", 3, 2000], ["elm", 1, 2001], ["fir", 2, 2000], ["oak", 5, 1999]]


def parts(*rows):
    """The reply for a B-tree of parts: the literal that creates it."""

    schema = [["sku", {V + "number/int": {}}], ["label", {V + "string": {}}, 40]]
    return {BTREE: [schema, [list(row) for row in rows]]}


def places(*rows):
    """The reply for a table of places: the literal that creates it."""

    key = [["city", {V + "string": {}}, 60]]
    values = [["zone", {V + "number/uint": {}}], ["since", {V + "number/int/32": {}}]]
    indices = [["by_zone", ["zone"]], ["by_since", ["since", "zone"]]]
    return {TABLE: [[[key, values], indices], [list(row) for row in rows]]}


def selection(columns, *rows):
    """The reply for columns of the table of places: a table without a key and indexes."""

    classes = {"city": [{V + "string": {}}, 60], "zone": [{V + "number/uint": {}}], "since": [{V + "number/int/32": {}}]}
    return {TABLE: [[[[], [[name, *classes[name]] for name in columns]], []], [list(row) for row in rows]]}


def btree(columns, rows):
    """The reply for a B-tree; `columns` are `(name, class path, length or nothing)`."""

    return {BTREE: [[_column(*column) for column in columns], rows]}


def table(key, values, rows, indices=()):
    """The reply for a table; columns are as in `btree`."""

    schema = [[[_column(*column) for column in key], [_column(*column) for column in values]], list(indices)]
    return {TABLE: [schema, rows]}


def _column(name, path, *max_len):
    return [name, {V + path: {}}, *max_len]


def load_parts(cxt, *rows):
    """Put the B-tree of parts into a Context, as `t`."""

    cxt.t = BTree.load(PARTS, [list(row) for row in rows or PART_ROWS])
    return cxt.t


def load_places(cxt, *rows):
    """Put the table of places into a Context, as `t`."""

    cxt.t = Table.load(PLACES, [list(row) for row in rows or PLACE_ROWS])
    return cxt.t
