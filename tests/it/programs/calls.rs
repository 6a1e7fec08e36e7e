//! Calls of methods and ops, by the kind of what they yield.

use tinychain::value::Doc;

use super::{KINDS, Kind, RESULTS, Scope, Writer};
use crate::docs::{call, entry, flow, get_op, int, list, map, named, nothing, post_op, text, typed};

const UNARY: &[&str] = &["abs", "round", "real", "imag", "sin", "exp", "ln", "copy"];
const COMPARISONS: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le", "gte", "lte"];
const NUMBER_CLASSES: &[&str] = &[
    "number/int/64",
    "number/float/64",
    "number/int/32",
    "number/float/32",
    "number/uint/16",
    "number/complex",
    "number/int",
    "number",
];

/// A call of a method, in one of the forms that clients have used.
fn method(name: &str, path: &str, arg: Option<Doc>, form: usize) -> Doc {
    let args = match (arg, form) {
        (None, 3) => nothing(),
        (None, _) => list([Doc::Null]),
        (Some(arg), 3) if !matches!(arg, Doc::List(_) | Doc::Null) => arg,
        (Some(arg), 2) => list([arg]),
        (Some(arg), _) => entry("r", arg),
    };
    call(name, path, args)
}

impl Writer<'_> {
    /// A call of one of `methods` on something of `kind` with an argument of that kind.
    fn binary(&mut self, kind: Kind, otherwise: Kind, methods: &[&str]) -> Doc {
        self.on(kind, otherwise, |writer, name| {
            let (path, arg) = (format!("/{}", writer.pick(methods)), writer.expr(kind));
            method(name, &path, Some(arg), writer.below(4))
        })
    }

    fn arithmetic(&mut self) -> Doc {
        match self.below(4) {
            0 => self.binary(Kind::Number, Kind::Number, &["add", "sub", "mul"]),
            1 => self.binary(Kind::Number, Kind::Number, &["add", "mul"]),
            2 => self.on(Kind::Number, Kind::Number, |writer, name| {
                let path = format!("/{}", writer.pick(&["div", "mod", "pow", "log"]));
                let arg = int(1 + writer.small(4));
                method(name, &path, Some(arg), writer.below(4))
            }),
            _ => self.on(Kind::Number, Kind::Number, |writer, name| {
                let path = format!("/{}", writer.pick(UNARY));
                method(name, &path, None, writer.below(4))
            }),
        }
    }

    pub(super) fn number_call(&mut self) -> Doc {
        match self.below(14) {
            0..=4 => self.arithmetic(),
            5 => self.on(Kind::Record, Kind::Number, |writer, name| match writer.below(4) {
                0 => call(name, "/a", nothing()),
                1 => call(name, "", list([text("b")])),
                2 => call(name, "/t/0", nothing()),
                _ => call(name, "/a/add", entry("r", writer.expr(Kind::Number))),
            }),
            6 => self.on(Kind::Numbers, Kind::Number, |writer, name| match writer.below(3) {
                0 => call(name, "", list([int(writer.small(3))])),
                1 => call(name, "/1", nothing()),
                _ => call(name, "/len", list([Doc::Null])),
            }),
            7 => self.on(Kind::GetOp, Kind::Number, |writer, name| call(name, "", list([writer.expr(Kind::Number)]))),
            8 => self.on(Kind::PostOp, Kind::Number, |writer, name| call(name, "", writer.pair())),
            9 => self.on(Kind::Ops, Kind::Number, |writer, name| match writer.below(2) {
                0 => call(name, "/f", list([writer.expr(Kind::Number)])),
                _ => call(name, "/g", writer.pair()),
            }),
            10 => {
                let class = self.pick(NUMBER_CLASSES);
                typed(class, list([self.expr(Kind::Number)]))
            }
            11 => self.count(),
            12 => self.fold(),
            _ => match self.below(3) {
                0 => self.recursion(),
                1 => self.on(Kind::Number, Kind::Number, |writer, name| {
                    let path = format!("${name}/add");
                    flow("op/get", list([text(&path), writer.expr(Kind::Number)]))
                }),
                _ => self.on(Kind::Numbers, Kind::Number, |writer, name| {
                    call(name, "/for_each", entry("op", writer.expr(Kind::GetOp)))
                }),
            },
        }
    }

    /// The parameters of a POST op.
    fn pair(&mut self) -> Doc {
        map([("a", self.expr(Kind::Number)), ("b", self.expr(Kind::Number))])
    }

    /// A loop that counts, and computes something beside.
    fn count(&mut self) -> Doc {
        let (limit, by) = (self.small(6), 1 + self.small(3));
        let next = self.within(&[("i", Kind::Number)], &Scope::new(), |writer| {
            let next = call("i", "/add", list([int(by)]));
            if writer.rarely(3) { flow("after", list([writer.expr(Kind::Number), next])) } else { next }
        });
        let cond = get_op("i", call("i", "/lt", list([int(limit)])));
        flow("while", list([cond, get_op("i", next), int(0)]))
    }

    fn fold(&mut self) -> Doc {
        self.on(Kind::Numbers, Kind::Number, |writer, name| {
            let params = [("s", Kind::Number), ("i", Kind::Number)];
            let sum = writer.within(&params, &Scope::new(), |writer| writer.expr(Kind::Number));
            let op = post_op(entry("s", sum));
            let start = entry("s", int(0));
            let fold = call(name, "/fold", map([("item_name", text("i")), ("value", start), ("op", op)]));
            flow("op/get", list([fold, text("s")]))
        })
    }

    /// An op that calls itself, which it gets as a parameter.
    fn recursion(&mut self) -> Doc {
        let less = call("n", "/sub", list([int(1)]));
        let again = call("f", "", map([("n", less), ("f", named("f"))]));
        let cond = call("n", "/gt", list([int(0)]));
        let op = post_op(flow("if", list([cond, again, named("n")])));
        let outer = post_op(call("f", "", map([("n", named("n")), ("f", named("f"))])));
        flow("op/post", list([outer, map([("n", int(self.small(20))), ("f", op)])]))
    }

    pub(super) fn bool_call(&mut self) -> Doc {
        match self.below(9) {
            0..=3 => self.binary(Kind::Number, Kind::Bool, COMPARISONS),
            4 => self.binary(Kind::Bool, Kind::Bool, &["and", "or", "xor", "eq"]),
            5 => self.on(Kind::Bool, Kind::Bool, |_, name| call(name, "/not", list([Doc::Null]))),
            6 => self.on(Kind::Numbers, Kind::Bool, |writer, name| match writer.below(2) {
                0 => call(name, "/contains", list([writer.expr(Kind::Number)])),
                _ => call(name, "/eq", entry("eq", writer.expr(Kind::Numbers))),
            }),
            7 => self.on(Kind::TestOp, Kind::Bool, |writer, name| call(name, "", list([writer.expr(Kind::Number)]))),
            _ => match self.below(3) {
                0 => self.binary(Kind::Text, Kind::Bool, &["eq", "ne", "gt", "le"]),
                1 => self.on(Kind::Record, Kind::Bool, |writer, name| {
                    call(name, "/eq", entry("eq", writer.expr(Kind::Record)))
                }),
                _ => self.on(Kind::Value, Kind::Bool, |_, name| call(name, "/is_none", list([Doc::Null]))),
            },
        }
    }

    pub(super) fn text_call(&mut self) -> Doc {
        match self.below(3) {
            0 => typed("string", list([self.expr(Kind::Number)])),
            _ => self.on(Kind::Text, Kind::Text, |writer, name| {
                let (kind, other) = (writer.pick(RESULTS), writer.pick(RESULTS));
                call(name, "/render", map([("name", writer.expr(kind)), ("other", writer.expr(other))]))
            }),
        }
    }

    pub(super) fn numbers_call(&mut self) -> Doc {
        match self.below(10) {
            0 | 1 => list([self.expr(Kind::Number), self.expr(Kind::Number), self.expr(Kind::Number)]),
            2 => match self.below(3) {
                0 => entry("/state/tuple/range", list([int(3 + self.small(5))])),
                1 => entry("/state/tuple/range", int(3)),
                _ => entry("/state/tuple/range", list([list([int(self.small(3)), int(5 + self.small(3))])])),
            },
            3 | 4 => self.on(Kind::Numbers, Kind::Numbers, |writer, name| {
                call(name, "/map", entry("op", writer.expr(Kind::GetOp)))
            }),
            5 => self.on(Kind::Numbers, Kind::Numbers, |writer, name| {
                call(name, "/filter", entry("op", writer.expr(Kind::TestOp)))
            }),
            6 => self.on(Kind::Numbers, Kind::Numbers, |writer, name| {
                let path = writer.pick(&["/append", "/extend"]);
                call(name, path, list([writer.expr(Kind::Numbers)]))
            }),
            7 => self.on(Kind::Numbers, Kind::Numbers, |writer, name| {
                let stop = list([text("ex"), int(2 + writer.small(2))]);
                call(name, "", list([list([list([text("in"), int(0)]), stop])]))
            }),
            8 => {
                let (l, r) = (self.expr(Kind::Numbers), self.expr(Kind::Numbers));
                entry("/state/tuple/concatenate", map([("l", l), ("r", r)]))
            }
            _ => match self.below(2) {
                0 => self.on(Kind::Record, Kind::Numbers, |_, name| call(name, "/t", nothing())),
                _ => self.on(Kind::Numbers, Kind::Numbers, |_, name| entry("/state/tuple", list([named(name)]))),
            },
        }
    }

    pub(super) fn record_call(&mut self) -> Doc {
        match self.below(4) {
            0 | 1 => {
                let (a, b) = (self.expr(Kind::Number), self.expr(Kind::Number));
                map([("a", a), ("b", b), ("t", self.expr(Kind::Numbers))])
            }
            2 => {
                let params = [("a", Kind::Number), ("b", Kind::Number), ("t", Kind::Numbers)];
                let b = self.within(&params, &Scope::new(), |writer| writer.expr(Kind::Number));
                let next = map([("a", call("a", "/add", entry("r", int(1)))), ("b", b), ("t", named("t"))]);
                let cond = post_op(call("a", "/lt", list([int(self.small(5))])));
                let start = map([("a", int(0)), ("b", self.expr(Kind::Number)), ("t", self.expr(Kind::Numbers))]);
                flow("while", list([cond, post_op(next), start]))
            }
            _ => self.on(Kind::Record, Kind::Record, |_, name| entry("/state/map", list([named(name)]))),
        }
    }

    pub(super) fn value_call(&mut self) -> Doc {
        match self.below(9) {
            0 | 1 => {
                let (l, r) = (self.pick(KINDS), self.pick(KINDS));
                list([self.expr(l), self.expr(r)])
            }
            2 => {
                let (p, q) = (self.pick(KINDS), self.pick(RESULTS));
                map([("p", self.expr(p)), ("q", self.expr(q))])
            }
            3 | 4 => {
                let kind = self.pick(KINDS);
                let path = self.pick(&["/class", "/hash", "/is_none", "/copy"]);
                self.on(kind, Kind::Value, |_, name| call(name, path, list([Doc::Null])))
            }
            5 => self.on(Kind::PutOp, Kind::Value, |writer, name| {
                call(name, "", list([writer.expr(Kind::Number), writer.expr(Kind::Number)]))
            }),
            6 => self.on(Kind::DeleteOp, Kind::Value, |writer, name| {
                flow("op/delete", list([named(name), writer.expr(Kind::Number)]))
            }),
            7 => self.on(Kind::Numbers, Kind::Value, |_, name| call(name, "/zip", list([named(name)]))),
            _ => self.on(Kind::Numbers, Kind::Value, |writer, name| {
                let pairs = call(name, "/zip", list([named(name)]));
                let op = writer.definition(Kind::PutOp, &[]);
                flow("op/get", list([get_op("t", call("t", "/map", entry("op", op))), pairs]))
            }),
        }
    }
}
