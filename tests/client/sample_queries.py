"""Random tables, statements and queries, in the SQL of this host and in that of DuckDB.

Both understand the same text nearly everywhere. Where they don't, an expression has two texts; and where they mean different things by
the same text, or one of them has several right answers, it is not generated. Those places are marked with `Differs:`.
"""

import collections
import datetime
import decimal

# An expression as the host and as DuckDB have it, and what it yields: int, dec, float, text, bool, date, time or bytes; or inexact, if it
# is a float whose last digits depend on the order of the rows.
Expr = collections.namedtuple("Expr", "host duck kind")

# A column: how it is declared for either, and what it holds.
Column = collections.namedtuple("Column", "name host duck kind key")

Table = collections.namedtuple("Table", "name columns indexes")

# A query, and whether its rows have an order.
Query = collections.namedtuple("Query", "host duck is_ordered")

TYPES = {
    "b": ("BOOLEAN", "BOOLEAN", "bool"),
    "s": ("SMALLINT", "SMALLINT", "int"),
    "i": ("INT", "INTEGER", "int"),
    "l": ("BIGINT", "BIGINT", "int"),
    "u": ("INT UNSIGNED", "UINTEGER", "int"),
    "ul": ("BIGINT UNSIGNED", "UBIGINT", "int"),
    "r": ("REAL", "FLOAT", "float"),
    "d": ("DOUBLE", "DOUBLE", "float"),
    "n": ("DECIMAL(12, 3)", "DECIMAL(12, 3)", "dec"),
    "t": ("VARCHAR(30)", "VARCHAR", "text"),
    "x": ("BYTEA", "BLOB", "bytes"),
    "da": ("DATE", "DATE", "date"),
    "ts": ("TIMESTAMP", "TIMESTAMP", "time"),
}
NUMERIC = ("int", "dec", "float")
WORDS = ["", "a", "ab", "abc", "b", "ba", "Bob", "zeta", "élan", "日本", "x y", "it's", "100%", "a_b", "nine nine nine"]


def both(template, kind, *exprs):
    """An expression made of others, with the same text for either."""

    return Expr(template.format(*[e.host for e in exprs]), template.format(*[e.duck for e in exprs]), kind)


def two(host, duck, kind, *exprs):
    """An expression with different texts."""

    return Expr(host.format(*[e.host for e in exprs]), duck.format(*[e.duck for e in exprs]), kind)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def has(columns, kind):
    return any(column.kind == kind for column in columns)


class Generator:
    """Draws everything from one source of random numbers."""

    def __init__(self, rng):
        self.rng = rng
        self.tables = []
        self.rows = {}  # the rows of each table as they were inserted, for keys that are there

    def chance(self, share):
        return self.rng.random() < share

    # --- values -------------------------------------------------------------------------------------------------

    def value(self, kind, small=False):
        rng = self.rng
        if kind == "bool":
            return rng.choice([True, False])
        if kind == "int":
            return rng.randrange(0, 6 if small else 1000)
        if kind == "float":
            # Differs: sums of floats depend on the order of the rows. Quarters are exact in any order.
            return rng.randrange(-400, 400) / 4
        if kind == "dec":
            return decimal.Decimal(rng.randrange(-5000, 5000) * (1000 if small else 1)).scaleb(-3)
        if kind == "text":
            return rng.choice(WORDS[:6] if small else WORDS)
        if kind == "bytes":
            return bytes(rng.randrange(256) for _ in range(rng.randrange(4)))
        day = datetime.date(2023, 12, 1) + datetime.timedelta(days=rng.randrange(10 if small else 400))
        if kind == "date":
            return day
        return datetime.datetime.combine(day, datetime.time(rng.randrange(24), 30, 0, rng.choice([0, 0, 5, 250000])))

    def literal(self, value, kind):
        if value is None:
            return Expr("NULL", "NULL", kind)
        if kind == "bool":
            return Expr(str(value).lower(), str(value).lower(), kind)
        if kind == "int":
            return Expr(str(value), str(value), kind)
        if kind == "float":
            # Differs: 1.5 is a DOUBLE here and a DECIMAL there.
            return both(f"CAST('{value!r}' AS DOUBLE)", kind)
        if kind == "dec":
            return both(f"CAST('{value}' AS DECIMAL(12, 3))", kind)
        if kind == "text":
            text = quoted(value).replace("{", "{{").replace("}", "}}")
            return both(text, kind)
        if kind == "bytes":
            return Expr(f"X'{value.hex()}'", f"unhex('{value.hex()}')", kind)
        if kind == "date":
            return both(f"DATE '{value}'", kind)
        return both(f"TIMESTAMP '{value.isoformat(sep=' ')}'", kind)

    def constant(self, kind, small=False):
        return self.literal(self.value(kind, small), kind)

    # --- tables -------------------------------------------------------------------------------------------------

    def table(self, name):
        """A table with some columns of every kind; what is in them are few values, so that rows meet in joins and groups."""

        rng = self.rng
        keys = rng.choice([["i"], ["l"], ["t"], ["da"], ["i", "t"], ["da", "s"], ["b", "l"], ["ts", "u"], ["n"], ["x", "i"]])
        values = [name for name in TYPES if self.chance(0.8)]
        columns = [Column(f"k{at}", *TYPES[ty], True) for at, ty in enumerate(keys)]
        columns += [Column(f"c_{ty}", *TYPES[ty], False) for ty in values]
        for kind in ("int", "text"):
            if not has([column for column in columns if not column.key], kind):
                columns.append(Column(f"c_{kind}", *TYPES["i" if kind == "int" else "t"], False))

        rng.shuffle(columns)
        names = [column.name for column in columns]
        indexes = [rng.sample(names, rng.randrange(1, 3)) for _ in range(rng.randrange(4))]
        return Table(name, columns, indexes)

    def create(self, table):
        """The statements that create a table: for the host, and for DuckDB."""

        key = ", ".join(column.name for column in table.columns if column.key)
        columns = {side: ", ".join(f"{c.name} {getattr(c, side)}" for c in table.columns) for side in ("host", "duck")}
        host = [f"CREATE TABLE {table.name} ({columns['host']}, PRIMARY KEY ({key}))"]
        host += [f"CREATE INDEX {table.name}_{at} ON {table.name} ({', '.join(index)})" for at, index in enumerate(table.indexes)]
        return "; ".join(host), f"CREATE TABLE {table.name} ({columns['duck']}, PRIMARY KEY ({key}))"

    def fill(self, table, count):
        """An INSERT of new rows, which have keys that are not there."""

        known = self.rows.setdefault(table.name, {})
        rows = {}
        for _ in range(count):
            row = [self.cell(column) for column in table.columns]
            key = tuple(value for value, column in zip(row, table.columns) if column.key)
            if key not in known:
                rows[key] = row

        known.update(rows)
        return self.insert(table, list(rows.values())) if rows else None

    def insert(self, table, rows):
        cells = [[self.literal(value, column.kind) for value, column in zip(row, table.columns)] for row in rows]
        host = ", ".join("(" + ", ".join(cell.host for cell in row) + ")" for row in cells)
        duck = ", ".join("(" + ", ".join(cell.duck for cell in row) + ")" for row in cells)
        return f"INSERT INTO {table.name} VALUES {host}", f"INSERT INTO {table.name} VALUES {duck}"

    def cell(self, column):
        if not column.key and self.chance(0.15):
            return None

        return self.value(column.kind, small=not column.key or column.kind != "int")

    # --- expressions --------------------------------------------------------------------------------------------

    def column(self, scope, kind):
        found = [Expr(f"{alias}.{column.name}", f"{alias}.{column.name}", kind) for alias, column in scope if column.kind == kind]
        return self.rng.choice(found) if found else self.constant(kind, small=True)

    def expr(self, scope, kind, depth=2):
        if depth == 0 or self.chance(0.3):
            return self.column(scope, kind) if self.chance(0.85) else self.constant(kind, small=True)

        return getattr(self, f"{kind}_expr")(scope, depth - 1)

    def common(self, scope, kind, depth):
        """What there is for every kind."""

        pick = self.rng.randrange(4)
        if pick == 0:
            return both("coalesce({}, {})", kind, self.expr(scope, kind, depth), self.constant(kind, small=True))
        if pick == 1:
            return both("nullif({}, {})", kind, self.expr(scope, kind, depth), self.constant(kind, small=True))

        parts = [self.condition(scope, depth), self.expr(scope, kind, depth), self.expr(scope, kind, depth)]
        if pick == 2:
            return both("CASE WHEN {} THEN {} ELSE {} END", kind, *parts)

        return both("CASE WHEN {} THEN {} WHEN {} THEN {} END", kind, *parts[:2], self.condition(scope, depth), parts[2])

    def int_expr(self, scope, depth):
        # Differs: on overflow, DuckDB fails and the host wraps around. So integers are wide, factors small, and sums short.
        wide = lambda: both("CAST({} AS BIGINT)", "int", self.column(scope, "int"))
        pick = self.rng.randrange(12)
        if pick < 3:
            return self.common(scope, "int", depth)
        if pick < 6:
            return both(self.rng.choice(["({} + {})", "({} - {})"]), "int", self.narrow(scope, depth), wide())
        if pick == 6:
            return both("({} * {})", "int", wide(), self.constant("int", small=True))
        if pick == 7:
            # Differs: / is a division of integers here, and of floats there; both cut off towards zero. Division by zero is an
            # error here, and NULL there.
            return two("({} / {})", "({} // {})", "int", wide(), self.literal(self.rng.randrange(1, 9), "int"))
        if pick == 8:
            return both("({} % {})", "int", wide(), self.literal(self.rng.randrange(1, 9), "int"))
        if pick == 9:
            return both("length({})", "int", self.expr(scope, "text", depth))
        if pick == 10:
            part = self.rng.choice(["year", "month", "day", "quarter", "dow", "doy"])
            return both(f"CAST(extract({part} FROM {{}}) AS BIGINT)", "int", self.expr(scope, "date", depth))

        return both("abs({})", "int", wide())

    def narrow(self, scope, depth):
        return both("CAST({} AS BIGINT)", "int", self.expr(scope, "int", min(depth, 1)))

    def dec_expr(self, scope, depth):
        pick = self.rng.randrange(5)
        if pick < 2:
            return self.common(scope, "dec", depth)

        # Differs: the types of products and quotients of decimals. What is computed is cut to the digits of a column.
        left, right = self.column(scope, "dec"), self.constant("dec", small=True)
        sign = self.rng.choice(["+", "-"])
        return both(f"CAST(({{}} {sign} {{}}) AS DECIMAL(12, 3))", "dec", left, right)

    def float_expr(self, scope, depth):
        pick = self.rng.randrange(8)
        if pick < 2:
            return self.common(scope, "float", depth)
        if pick < 5:
            sign = self.rng.choice(["+", "-", "*"])
            left, right = self.column(scope, "float"), self.expr(scope, "float", max(depth - 1, 0))
            return both(f"(CAST({{}} AS DOUBLE) {sign} {{}})", "float", left, right)
        if pick == 5:
            return both("(CAST({} AS DOUBLE) / CAST('4.0' AS DOUBLE))", "float", self.expr(scope, self.rng.choice(NUMERIC), 0))
        if pick == 6:
            function = self.rng.choice(["abs", "floor", "ceil", "round", "trunc"])
            return both(f"{function}(CAST({{}} AS DOUBLE))", "float", self.column(scope, "float"))

        return both("sqrt(abs(CAST({} AS DOUBLE)))", "float", self.column(scope, "float"))

    def text_expr(self, scope, depth):
        rng = self.rng
        pick = rng.randrange(10)
        text = self.expr(scope, "text", depth)
        if pick < 3:
            return self.common(scope, "text", depth)
        if pick == 3:
            # Differs: what upper and lower make of letters beyond ASCII may differ in rare cases, none of which is in WORDS.
            return both(f"{rng.choice(['upper', 'lower', 'reverse', 'trim'])}({{}})", "text", text)
        if pick == 4:
            # Differs: a start before the first character.
            return both(f"substr({{}}, {rng.randrange(1, 4)}, {rng.randrange(0, 4)})", "text", text)
        if pick == 5:
            return both("({} || {})", "text", text, self.column(scope, "text"))
        if pick < 8:
            # Differs: concat, which can't be planned here in some conditions on an outer join.
            return both(f"replace({{}}, {quoted(rng.choice(['a', 'b', 'nine']))}, {quoted(rng.choice(['', 'X', 'yy']))})", "text", text)
        if pick == 8:
            return both(f"{rng.choice(['left', 'right'])}({{}}, {rng.randrange(0, 4)})", "text", text)

        # Differs: the text of a float.
        return both("CAST({} AS VARCHAR)", "text", self.column(scope, rng.choice(["int", "dec", "bool", "date"])))

    def date_expr(self, scope, depth):
        rng = self.rng
        pick = rng.randrange(5)
        if pick < 2:
            return self.common(scope, "date", depth)
        date = self.expr(scope, "date", 0)
        if pick == 2:
            # Differs: a date plus an interval is a date here, and a timestamp there.
            unit, sign = rng.choice(["days", "months", "years"]), rng.choice(["+", "-"])
            return both(f"CAST({{}} {sign} INTERVAL '{rng.randrange(1, 14)} {unit}' AS DATE)", "date", date)
        if pick == 3:
            # Differs: the type of what date_trunc makes of a date.
            return both(f"CAST(date_trunc('{rng.choice(['week', 'month', 'quarter', 'year'])}', {{}}) AS DATE)", "date", date)

        return both("CAST({} AS DATE)", "date", self.column(scope, "time"))

    def time_expr(self, scope, depth):
        rng = self.rng
        pick = rng.randrange(4)
        if pick < 2:
            return self.common(scope, "time", depth)
        time = self.column(scope, "time")
        if pick == 2:
            return both(f"({{}} + INTERVAL '{rng.randrange(1, 100)} {rng.choice(['minutes', 'hours', 'days'])}')", "time", time)

        return both(f"date_trunc('{rng.choice(['minute', 'hour', 'day', 'month'])}', {{}})", "time", time)

    def bytes_expr(self, scope, depth):
        return self.column(scope, "bytes")

    def bool_expr(self, scope, depth):
        return self.condition(scope, depth)

    def condition(self, scope, depth=2):
        rng = self.rng
        pick = rng.randrange(14)
        if depth and pick < 3:
            return both(f"({{}} {rng.choice(['AND', 'OR'])} {{}})", "bool", self.condition(scope, depth - 1), self.condition(scope, depth - 1))
        if depth and pick == 3:
            return both("(NOT {})", "bool", self.condition(scope, depth - 1))

        kind = rng.choice(["int", "int", "dec", "float", "text", "text", "date", "time", "bool", "bytes"])
        left = self.expr(scope, kind, min(depth, 1))
        if pick == 4:
            return both(f"({{}} IS {rng.choice(['', 'NOT '])}NULL)", "bool", left)
        if pick == 5:
            options = [self.constant(kind, small=True) for _ in range(rng.randrange(1, 4))]
            host, duck = ", ".join(o.host for o in options), ", ".join(o.duck for o in options)
            sign = rng.choice(["IN", "NOT IN"])
            return Expr(f"({left.host} {sign} ({host}))", f"({left.duck} {sign} ({duck}))", "bool")
        if pick == 6 and kind != "bool":
            return both("({} BETWEEN {} AND {})", "bool", left, self.constant(kind, small=True), self.constant(kind))
        if pick == 7:
            # Differs: a backslash escapes here, and does not there.
            pattern = rng.choice(["a%", "%a", "%b%", "_", "a_", "%", "b__", "%é%", "1%"])
            return both(f"({{}} {rng.choice(['LIKE', 'NOT LIKE'])} {quoted(pattern)})", "bool", self.expr(scope, "text", min(depth, 1)))
        if pick == 8:
            right = self.expr(scope, kind, 0)
            return both(f"({{}} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {{}})", "bool", left, right)
        if kind == "bool":
            return both("({} = {})", "bool", left, self.expr(scope, "bool", 0))

        sign = rng.choice(["=", "=", "<>", "<", "<=", ">", ">="])
        right = self.constant(kind, small=True) if self.chance(0.7) else self.expr(scope, kind, 0)
        if self.chance(0.1):
            left, right = right, left

        return both(f"({{}} {sign} {{}})", "bool", left, right)

    def aggregate(self, scope):
        """An aggregate whose value does not depend on the order of the rows."""

        rng = self.rng
        pick = rng.randrange(12)
        if pick == 0:
            return both("count(*)", "int")
        if pick == 1:
            return both("count({})", "int", self.expr(scope, rng.choice(["int", "text", "date", "bool"]), 1))
        if pick == 2:
            return both("count(DISTINCT {})", "int", self.expr(scope, rng.choice(["int", "text", "date", "dec"]), 1))
        if pick == 3:
            return both("sum({})", "int", self.narrow(scope, 1))
        if pick == 4:
            return both("sum(DISTINCT {})", "int", self.narrow(scope, 0))
        if pick == 5:
            return both("sum({})", "dec", self.column(scope, "dec"))
        if pick == 6:
            # Differs: the type of an average of decimals.
            return both("avg(CAST({} AS DOUBLE))", "inexact", self.expr(scope, rng.choice(NUMERIC), 0))
        if pick == 7:
            return both(f"bool_{rng.choice(['and', 'or'])}({{}})", "bool", self.condition(scope, 1))
        if pick == 8:
            return both("sum(CAST({} AS DOUBLE))", "float", self.column(scope, "float"))
        if pick == 9:
            return both("count(*) FILTER (WHERE {})", "int", self.condition(scope, 1))
        if pick == 10:
            function = rng.choice(["var_pop", "stddev_pop", "var_samp"])
            return both(f"{function}(CAST({{}} AS DOUBLE))", "inexact", self.column(scope, rng.choice(NUMERIC)))

        kind = rng.choice(["int", "dec", "float", "text", "date", "time"])
        return both(f"{rng.choice(['min', 'max'])}({{}})", kind, self.expr(scope, kind, 1))

    # --- queries ------------------------------------------------------------------------------------------------

    def source(self, tables):
        """A FROM clause with one to three tables, and what can be named after it."""

        rng = self.rng
        table = rng.choice(tables)
        scope = [("a", column) for column in table.columns]
        text = both(f"{table.name} AS a", "")
        for alias in "bc"[: rng.choice([0, 0, 1, 1, 2])]:
            other = rng.choice(tables)
            mine = [(alias, column) for column in other.columns]
            kind = rng.choice(["int", "int", "text", "date", "dec"])
            pairs = [both("{} = {}", "bool", self.column(scope, kind), self.column(mine, kind))]
            if self.chance(0.3):
                # In addition to an equality, without which there is no full join.
                pairs.append(self.condition(scope + mine, 1))

            how = rng.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
            on = both(" AND ".join(["{}"] * len(pairs)), "bool", *pairs)
            text = both(f"{{}} {how} {other.name} AS {alias} ON {{}}", "", text, on)
            scope = scope + mine

        return text, scope

    def where(self, scope, share=0.5):
        if self.chance(share):
            return both(" WHERE {}", "", self.condition(scope))

        return both("", "")

    def outputs(self, exprs):
        return both(", ".join(f"{{}} AS o{at}" for at in range(len(exprs))), "", *exprs)

    def tail(self, query, outputs):
        """Adds an order by everything that is put out, and possibly a part of the rows, to a query."""

        # Differs: where NULLs are in a descending order; and inexact floats, which belong to groups that have other columns.
        exact = [at + 1 for at, expr in enumerate(outputs) if expr.kind != "inexact"]
        keys = [f"{at} {self.rng.choice(['ASC', 'DESC'])} NULLS {self.rng.choice(['FIRST', 'LAST'])}" for at in exact]
        self.rng.shuffle(keys)
        if not keys or self.chance(0.3):
            return Query(query.host, query.duck, False)

        order = " ORDER BY " + ", ".join(keys)
        if self.chance(0.4):
            order += f" LIMIT {self.rng.randrange(0, 20)}"
            if self.chance(0.4):
                order += f" OFFSET {self.rng.randrange(0, 6)}"

        return Query(query.host + order, query.duck + order, True)

    def select(self, tables):
        source, scope = self.source(tables)
        kinds = [self.rng.choice(["int", "int", "dec", "float", "text", "bool", "date", "time", "bytes"]) for _ in range(self.rng.randrange(1, 5))]
        exprs = [self.expr(scope, kind) for kind in kinds]
        distinct = "DISTINCT " if self.chance(0.2) else ""
        query = both(f"SELECT {distinct}{{}} FROM {{}}{{}}", "", self.outputs(exprs), source, self.where(scope))
        return self.tail(query, exprs)

    def lookup(self, tables):
        """Rows by their key or by an index: what a host finds in other ways than by reading everything."""

        rng = self.rng
        table = rng.choice(tables)
        scope = [("a", column) for column in table.columns]
        known = list(self.rows.get(table.name, {}).values())
        named = {column.name: column for column in table.columns}
        key = [column.name for column in table.columns if column.key]
        names = rng.choice([key] + table.indexes)
        row = dict(zip(named, rng.choice(known))) if known else {}
        conditions = []
        for at, name in enumerate(names):
            column = Expr(f"a.{name}", f"a.{name}", named[name].kind)
            value = row.get(name)
            if value is None:
                conditions.append(both("{} IS NULL", "bool", column))
            elif at + 1 == len(names) and self.chance(0.5) and column.kind != "bool":
                sign = rng.choice(["<", "<=", ">", ">="])
                conditions.append(both(f"{{}} {sign} {{}}", "bool", column, self.literal(value, column.kind)))
                if self.chance(0.3):
                    conditions.append(both("{} <> {}", "bool", column, self.constant(column.kind, small=True)))
            else:
                conditions.append(both("{} = {}", "bool", column, self.literal(value, column.kind)))

        where = both(" AND ".join(["{}"] * len(conditions)), "bool", *conditions)
        exprs = [Expr(f"a.{name}", f"a.{name}", column.kind) for name, column in named.items()]
        if self.chance(0.3):
            exprs = [self.aggregate(scope) for _ in range(2)]

        return self.tail(both(f"SELECT {{}} FROM {table.name} AS a WHERE {{}}", "", self.outputs(exprs), where), exprs)

    def group(self, tables):
        rng = self.rng
        source, scope = self.source(tables)
        groups = [self.expr(scope, rng.choice(["int", "text", "bool", "date", "dec"]), 1) for _ in range(rng.randrange(0, 3))]
        # Differs: a constant to group by is the number of a column.
        groups = [both("({} + 0)", "int", group) if group.host.isdigit() else group for group in groups]
        # Differs: a cast and what is cast have the same name here, which DISTINCT doesn't expect.
        groups = [both("({} || '')", "text", group) if group.host.startswith("CAST") and group.kind == "text" else group for group in groups]
        exprs = groups + [self.aggregate(scope) for _ in range(rng.randrange(1, 4))]
        query = both("SELECT {} FROM {}{}", "", self.outputs(exprs), source, self.where(scope, 0.5))
        if groups:
            query = both("{} GROUP BY " + ", ".join(["{}"] * len(groups)), "", query, *groups)
            if self.chance(0.3):
                query = both("{} HAVING count(*) >= {}", "", query, self.constant("int", small=True))

        return self.tail(query, exprs)

    def window(self, tables):
        """Windows over the rows of one table, in orders that the key makes unique."""

        rng = self.rng
        table = rng.choice(tables)
        scope = [("a", column) for column in table.columns]
        key = [Expr(f"a.{column.name}", f"a.{column.name}", column.kind) for column in table.columns if column.key]
        # Differs: a window can't be ordered by bytes here.
        key = [two("encode({}, 'hex')", "lower(hex({}))", "text", expr) if expr.kind == "bytes" else expr for expr in key]
        exprs = list(key)
        for _ in range(rng.randrange(1, 4)):
            by = self.expr(scope, rng.choice(["int", "text", "date", "bool"]), 1)
            order = [self.expr(scope, rng.choice(["int", "text", "dec", "date"]), 1)] if self.chance(0.6) else []
            directions = [f"{rng.choice(['ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}" for _ in order + key]
            over = both("ORDER BY " + ", ".join(f"{{}} {direction}" for direction in directions), "", *order, *key)
            if self.chance(0.6):
                over = both("PARTITION BY {} {}", "", by, over)

            argument = self.column(scope, rng.choice(["int", "text", "date"]))
            pick = rng.randrange(10)
            frame = ""
            if pick == 0:
                function = both(f"{rng.choice(['row_number', 'rank', 'dense_rank', 'percent_rank', 'cume_dist'])}()", "int")
            elif pick == 1:
                function = both(f"ntile({rng.randrange(1, 5)})", "int")
            elif pick < 4:
                function = both(f"{rng.choice(['lag', 'lead'])}({{}}, {rng.randrange(1, 3)})", argument.kind, argument)
            else:
                frame = " ROWS BETWEEN {} AND {}".format(
                    rng.choice(["UNBOUNDED PRECEDING", "2 PRECEDING", "CURRENT ROW"]),
                    rng.choice(["CURRENT ROW", "1 FOLLOWING", "UNBOUNDED FOLLOWING"]),
                )
                if pick < 6:
                    function = both(f"{rng.choice(['first_value', 'last_value', 'min', 'max', 'count'])}({{}})", argument.kind, argument)
                elif pick == 6:
                    function = both(f"nth_value({{}}, {rng.randrange(1, 4)})", argument.kind, argument)
                else:
                    function = both("sum({})", "int", self.narrow(scope, 0))

            exprs.append(both(f"{{}} OVER ({{}}{frame})", function.kind, function, over))

        # Differs: some windows over columns that a condition says to be equal can't be planned here. It doesn't look into IS TRUE.
        where = both(" WHERE {} IS TRUE", "", self.condition(scope)) if self.chance(0.4) else both("", "")
        query = both(f"SELECT {{}} FROM {table.name} AS a{{}}", "", self.outputs(exprs), where)
        return self.tail(query, exprs)

    def subquery(self, tables):
        rng = self.rng
        table, other = rng.choice(tables), rng.choice(tables)
        scope, inner = [("a", column) for column in table.columns], [("z", column) for column in other.columns]
        # Differs: which correlated subqueries can be resolved; those by equalities of columns always can.
        kind = rng.choice([kind for kind in ("int", "text", "date") if has(table.columns, kind) and has(other.columns, kind)])
        exprs = [self.expr(scope, rng.choice(["int", "text", "dec"]), 1) for _ in range(2)]
        outer, found = self.column(scope, kind), self.column(inner, kind)
        limited = self.condition(inner, 1)
        pick = rng.randrange(5)
        if pick == 0:
            sign = rng.choice(["IN", "NOT IN"])
            test = both(f"{{}} {sign} (SELECT {{}} FROM {other.name} AS z WHERE {{}})", "bool", outer, found, limited)
        elif pick == 1:
            sign = rng.choice(["EXISTS", "NOT EXISTS"])
            test = both(f"{sign} (SELECT 1 FROM {other.name} AS z WHERE {{}} = {{}} AND {{}})", "bool", found, outer, limited)
        elif pick == 2:
            number, inner_number = self.column(scope, "int"), self.column(inner, "int")
            function = rng.choice(["min", "max", "count"])
            found = both(f"(SELECT {function}({{}}) FROM {other.name} AS z WHERE {{}})", "int", inner_number, limited)
            test = both("{} >= {}", "bool", number, found)
        elif pick == 3:
            function = rng.choice(["count(*)", "max(z.{0})", "min(z.{0})"])
            names = [column.name for column in other.columns if column.kind == "int"]
            value = function.format(rng.choice(names)) if names else "count(*)"
            exprs.append(both(f"(SELECT {value} FROM {other.name} AS z WHERE {{}} = {{}})", "int", found, outer))
            test = self.condition(scope, 1)
        else:
            largest = both("max({})", "dec", self.column(inner, "dec"))
            groups = f"SELECT {{}} AS g, count(*) AS n, {{}} AS m FROM {other.name} AS z GROUP BY {{}}"
            groups = both(groups, "", found, largest, found)
            exprs += [both("g.n", "int"), both("g.m", "dec")]
            source = both(f"{table.name} AS a {rng.choice(['JOIN', 'LEFT JOIN'])} ({{}}) AS g ON g.g = {{}}", "", groups, outer)
            return self.tail(both("SELECT {} FROM {}{}", "", self.outputs(exprs), source, self.where(scope, 0.5)), exprs)

        return self.tail(both(f"SELECT {{}} FROM {table.name} AS a WHERE {{}}", "", self.outputs(exprs), test), exprs)

    def set_operation(self, tables):
        rng = self.rng
        # Differs: the common type of columns of different types.
        kinds = [rng.choice(["text", "bool", "date"]) for _ in range(rng.randrange(1, 3))] + ["int"]
        sides = []
        for _ in range(rng.choice([2, 2, 3])):
            table = rng.choice(tables)
            scope = [("a", column) for column in table.columns]
            exprs = [self.narrow(scope, 1) if kind == "int" else self.expr(scope, kind, 1) for kind in kinds]
            sides.append(both(f"SELECT {{}} FROM {table.name} AS a{{}}", "", self.outputs(exprs), self.where(scope)))

        query = sides[0]
        for side in sides[1:]:
            query = both(f"({{}} {rng.choice(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'])} {{}})", "", query, side)

        names = ", ".join(f"o{at}" for at in range(len(kinds)))
        query = both(f"SELECT {names} FROM {{}} AS s", "", query)
        # Differs: some orders of a UNION ALL of which one side is constant can't be planned here.
        return Query(query.host, query.duck, False) if "UNION ALL" in query.host else self.tail(query, exprs)

    def nested(self, tables):
        """A query of the result of another, by a name or in place."""

        rng = self.rng
        source, scope = self.source(tables)
        kinds = [rng.choice(["int", "text", "date", "dec", "bool"]) for _ in range(3)]
        exprs = [self.narrow(scope, 1) if kind == "int" else self.expr(scope, kind, 1) for kind in kinds]
        inner = both("SELECT {} FROM {}{}", "", self.outputs(exprs), source, self.where(scope))
        columns = [Column(f"o{at}", "", "", kind, False) for at, kind in enumerate(kinds)]
        outer = [("s", column) for column in columns]
        exprs = [self.expr(outer, kind, 1) for kind in kinds]
        outputs, where = self.outputs(exprs), self.where(outer)
        if self.chance(0.5):
            query = both("SELECT {} FROM ({}) AS s{}", "", outputs, inner, where)
        else:
            query = both("WITH s AS ({}) SELECT {} FROM s{}", "", inner, outputs, where)

        return self.tail(query, exprs)

    def query(self, tables):
        often = [self.select, self.lookup, self.group]
        shapes = often + often + [self.window, self.subquery, self.set_operation, self.nested]
        return self.rng.choice(shapes)(tables)

    # --- statements that write ----------------------------------------------------------------------------------

    def update(self, table, others):
        rng = self.rng
        scope = [(table.name, column) for column in table.columns]
        targets = [column for column in table.columns if not column.key]
        targets = rng.sample(targets, min(len(targets), rng.randrange(1, 3)))
        assignments = both(", ".join(f"{column.name} = {{}}" for column in targets), "", *[self.fitting(scope, column) for column in targets])
        query = both(f"UPDATE {table.name} SET {{}}", "", assignments)
        if self.chance(0.8):
            query = both("{} WHERE {}", "", query, self.condition(scope, 1))

        return query.host, query.duck

    def fitting(self, scope, column):
        """A value that every row of a column can take."""

        if column.kind == "int":
            # Differs: a number that does not fit is an error for both, but other rows may have been changed by then.
            return both("CAST(abs({} % 1000) AS BIGINT)", "int", both("CAST({} AS BIGINT)", "int", self.column(scope, "int")))
        if column.kind == "text":
            return both("left({}, 20)", "text", self.expr(scope, "text", 1))
        if column.kind in ("float", "dec", "bytes"):
            return self.column(scope, column.kind) if self.chance(0.5) else self.constant(column.kind)

        return self.expr(scope, column.kind, 1)

    def delete(self, table, others):
        scope = [(table.name, column) for column in table.columns]
        if self.chance(0.3):
            other = self.rng.choice(others)
            mine, theirs = self.column(scope, "int"), self.column([("z", column) for column in other.columns], "int")
            test = both(f"{{}} IN (SELECT {{}} + 1 FROM {other.name} AS z)", "bool", mine, theirs)
        else:
            test = both("({} AND {})", "bool", self.condition(scope, 1), self.condition(scope, 1))

        query = both(f"DELETE FROM {table.name} WHERE {{}}", "", test)
        return query.host, query.duck

    def upsert(self, table, others):
        """An INSERT of rows of which some are there."""

        rng = self.rng
        known = self.rows.setdefault(table.name, {})
        rows = {}
        for _ in range(rng.randrange(1, 6)):
            row = [self.cell(column) for column in table.columns]
            if known and self.chance(0.5):
                old = rng.choice(list(known.values()))
                row = [value if not column.key else there for value, there, column in zip(row, old, table.columns)]

            rows[tuple(value for value, column in zip(row, table.columns) if column.key)] = row

        known.update(rows)
        host, duck = self.insert(table, list(rows.values()))
        key = ", ".join(column.name for column in table.columns if column.key)
        if self.chance(0.4):
            return f"{host} ON CONFLICT DO NOTHING", f"{duck} ON CONFLICT DO NOTHING"

        targets = [column.name for column in table.columns if not column.key]
        targets = rng.sample(targets, rng.randrange(1, len(targets) + 1))
        action = f" ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in targets)
        return host + action, duck + action

    def merge(self, table, others):
        rng = self.rng
        key = [column for column in table.columns if column.key]
        rows = {}
        known = self.rows.setdefault(table.name, {})
        for _ in range(rng.randrange(1, 8)):
            row = [self.cell(column) for column in table.columns]
            if known and self.chance(0.6):
                old = rng.choice(list(known.values()))
                row = [value if not column.key else there for value, there, column in zip(row, old, table.columns)]

            rows[tuple(value for value, column in zip(row, table.columns) if column.key)] = row

        known.update(rows)
        # Every cell of the source has the type of its column, which neither would infer from NULLs alone.
        selects = []
        for row in rows.values():
            cells = [self.literal(value, column.kind) for value, column in zip(row, table.columns)]
            host = ", ".join(f"CAST({cell.host} AS {column.host}) AS {column.name}" for cell, column in zip(cells, table.columns))
            duck = ", ".join(f"CAST({cell.duck} AS {column.duck}) AS {column.name}" for cell, column in zip(cells, table.columns))
            selects.append(Expr(f"SELECT {host}", f"SELECT {duck}", ""))

        source = both(" UNION ALL ".join(["{}"] * len(selects)), "", *selects)
        on = " AND ".join(f"m.{column.name} = n.{column.name}" for column in key)
        names = [column.name for column in table.columns]
        target = rng.choice([column for column in table.columns if not column.key])
        scope = [("n", column) for column in table.columns]
        clauses = both("", "")
        if self.chance(0.4):
            clauses = both("{} WHEN MATCHED AND {} THEN DELETE", "", clauses, self.condition(scope, 1))
        if self.chance(0.8):
            clauses = both(f"{{}} WHEN MATCHED THEN UPDATE SET {target.name} = n.{target.name}", "", clauses)
        if self.chance(0.8) or clauses.host == "":
            inserted = f"({', '.join(names)}) VALUES ({', '.join('n.' + name for name in names)})"
            clauses = both(f"{{}} WHEN NOT MATCHED THEN INSERT {inserted}", "", clauses)

        query = both(f"MERGE INTO {table.name} AS m USING ({{}}) AS n ON {on}{{}}", "", source, clauses)
        return query.host, query.duck

    def statement(self, table, others):
        """A statement that writes to a table, for the host and for DuckDB."""

        pick = self.rng.randrange(6)
        if pick == 0:
            filled = self.fill(table, self.rng.randrange(1, 30))
            if filled:
                return filled

        return [self.update, self.update, self.delete, self.upsert, self.merge, self.merge][pick](table, others)
