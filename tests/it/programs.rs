//! Programs at random, of which many have a value.
//!
//! A [`Writer`] takes its decisions from a list of words; past its end, it takes the simplest. So a shorter list, and
//! smaller words, make a smaller program, and `proptest` shrinks a program by shrinking the list. Names are chosen by
//! what they stand for, so that most programs make sense. Now and then a name or an argument is chosen badly.

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;
use tinychain::compiler::Program;
use tinychain::error::Result;
use tinychain::value::doc::json;
use tinychain::value::{Doc, Number};

use crate::docs::{call, entry, float, flow, int, list, map, named, nothing, op, step, text, to_json, truth, typed};

mod calls;

/// Words of a program: enough for a handful of steps.
const WORDS_MAX: usize = 400;
/// Expressions within expressions.
const DEPTH_MAX: usize = 6;
/// String literals. None of them is the name of anything.
const TEXTS: [&str; 8] =
    ["", "foo", "bar baz", "5", "<é\n\"\\>", "{{name}}!", "{{#if other}}yes{{else}}{{name}}{{/if}}", "1.5e3"];

/// The body of a request, shown as its JSON.
#[derive(Clone)]
pub struct Source(pub Doc);

impl Source {
    /// The document that the JSON text of `doc` stands for, so that what is shown is what is run.
    pub fn new(doc: &Doc) -> Self {
        let text = to_json(doc);
        Self(json::decode(text.as_bytes(), usize::MAX).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// Decodes the program. Each time it is another, as ops remember what they were compiled to.
    pub fn program(&self) -> Result<Program> {
        Program::hypothetical(&self.0)
    }

    /// The same program with other literals of the same classes.
    pub fn varied(&self) -> Self {
        Self(vary(&self.0))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_json(&self.0))
    }
}

fn vary(doc: &Doc) -> Doc {
    match doc {
        Doc::Number(Number::I64(n)) if n.unsigned_abs() < 1000 => int(n + 1),
        Doc::Number(Number::F64(n)) => float(n + 1.0),
        Doc::String(given) => match TEXTS.iter().position(|known| *known == &**given) {
            Some(index) => text(TEXTS[(index + 1) % TEXTS.len()]),
            None => doc.clone(),
        },
        Doc::List(items) => Doc::List(items.iter().map(vary).collect()),
        Doc::Map(entries) => Doc::Map(entries.iter().map(|(key, value)| (Arc::clone(key), vary(value))).collect()),
        other => other.clone(),
    }
}

/// Programs, as bodies of hypothetical requests.
pub fn sources() -> impl Strategy<Value = Source> {
    prop::collection::vec(any::<u16>(), 0..WORDS_MAX).prop_map(|words| Source::new(&program(&words)))
}

/// Programs whose value is an op definition.
pub fn op_sources() -> impl Strategy<Value = Source> {
    prop::collection::vec(any::<u16>(), 0..WORDS_MAX).prop_map(|words| {
        let mut writer = Writer::new(&words);
        let kind = writer.pick(&[Kind::GetOp, Kind::PostOp, Kind::TestOp, Kind::PutOp, Kind::DeleteOp]);
        Source::new(&entry("op", list([step("f", writer.definition(kind, &[]))])))
    })
}

/// The body of a hypothetical request, decided by `words`.
pub fn program(words: &[u16]) -> Doc {
    let mut writer = Writer::new(words);
    let count = writer.below(7);
    let mut steps: Vec<Doc> = (0..count).map(|_| writer.step(KINDS)).collect();
    for _ in 0..writer.below(3).min(count) {
        let (l, r) = (writer.below(count), writer.below(count));
        steps.swap(l, r);
    }
    steps.push(writer.step(RESULTS));
    match writer.below(8) {
        7 => list(steps),
        _ => entry("op", list(steps)),
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Number,
    Bool,
    Text,
    /// A tuple of three numbers or more.
    Numbers,
    /// A map of the numbers `a` and `b` and the tuple `t`.
    Record,
    /// Anything else.
    Value,
    /// From a number to a number.
    GetOp,
    /// From numbers `a` and `b` to a number.
    PostOp,
    /// From a number to a Bool.
    TestOp,
    PutOp,
    DeleteOp,
    /// A map of a [`Kind::GetOp`] `f` and a [`Kind::PostOp`] `g`.
    Ops,
}

const KINDS: &[Kind] = &[
    Kind::Number,
    Kind::Number,
    Kind::Number,
    Kind::Number,
    Kind::Numbers,
    Kind::Numbers,
    Kind::Numbers,
    Kind::Record,
    Kind::Record,
    Kind::Bool,
    Kind::Text,
    Kind::Value,
    Kind::GetOp,
    Kind::GetOp,
    Kind::PostOp,
    Kind::PostOp,
    Kind::TestOp,
    Kind::Ops,
    Kind::PutOp,
    Kind::DeleteOp,
];
const RESULTS: &[Kind] =
    &[Kind::Number, Kind::Number, Kind::Numbers, Kind::Numbers, Kind::Record, Kind::Bool, Kind::Text, Kind::Value];

/// The parameters of ops.
const KEY: &[(&str, Kind)] = &[("n", Kind::Number)];
const PAIR: &[(&str, Kind)] = &[("a", Kind::Number), ("b", Kind::Number)];
const ENTRY: &[(&str, Kind)] = &[("k", Kind::Number), ("v", Kind::Number)];

type Scope = Vec<(String, Kind)>;

struct Writer<'a> {
    words: &'a [u16],
    /// The index of the next word.
    at: usize,
    /// The names that can be referred to.
    scope: Scope,
    depth: usize,
    /// Op definitions around this place.
    ops: usize,
}

impl<'a> Writer<'a> {
    fn new(words: &'a [u16]) -> Self {
        Self { words, at: 0, scope: Vec::new(), depth: 0, ops: 0 }
    }

    /// The next decision: a number below `count`.
    fn below(&mut self, count: usize) -> usize {
        let word = self.words.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(word) % count
    }

    fn small(&mut self, count: usize) -> i64 {
        self.below(count) as i64
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// True once in `times`.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// A name for the next step.
    fn fresh(&self) -> String {
        let letter = char::from(b'a' + (self.scope.len() % 26) as u8);
        if self.ops == 0 { letter.to_string() } else { format!("{letter}{}", self.ops) }
    }

    /// A step, now and then with the name of another.
    fn step(&mut self, kinds: &[Kind]) -> Doc {
        let kind = self.pick(kinds);
        let doc = self.expr(kind);
        let (is_reused, index) = (self.rarely(30), self.below(self.scope.len() + 1));
        let name = match self.scope.get(index) {
            Some((name, _)) if is_reused => name.clone(),
            _ => self.fresh(),
        };
        self.scope.push((name.clone(), kind));
        step(&name, doc)
    }

    /// A name that stands for something of `kind`; now and then one that closes a circle, or does not exist.
    fn name(&mut self, kind: Kind) -> Option<String> {
        if self.rarely(120) {
            return Some(self.fresh());
        }
        let is_kind = |(_, known): &&(String, Kind)| *known == kind;
        let known: Vec<String> = self.scope.iter().filter(is_kind).map(|(name, _)| name.clone()).collect();
        match known.len() {
            0 => None,
            count => Some(known[count - 1 - self.below(count)].clone()),
        }
    }

    /// What `make` makes of a name of `kind`, or a literal of the kind `otherwise` where there is none.
    fn on(&mut self, kind: Kind, otherwise: Kind, make: impl FnOnce(&mut Self, &str) -> Doc) -> Doc {
        match self.name(kind) {
            Some(name) => make(self, &name),
            None => self.literal(otherwise),
        }
    }

    /// An expression of `kind`; now and then of another.
    fn expr(&mut self, kind: Kind) -> Doc {
        self.depth += 1;
        let kind = if self.rarely(100) { self.pick(KINDS) } else { kind };
        let choice = if self.depth > DEPTH_MAX { 0 } else { self.below(12) };
        let doc = match choice {
            0..=2 => self.literal(kind),
            3..=5 => match self.name(kind) {
                Some(name) if self.rarely(8) => call(&name, "", Doc::Null),
                Some(name) => named(&name),
                None => self.literal(kind),
            },
            11 => self.control(kind),
            _ => self.computed(kind),
        };
        self.depth -= 1;
        doc
    }

    fn literal(&mut self, kind: Kind) -> Doc {
        match kind {
            Kind::Number => self.number(),
            Kind::Bool => truth(self.below(2) == 1),
            Kind::Text => text(self.pick(&TEXTS)),
            Kind::Numbers => {
                let count = 3 + self.below(3);
                list((0..count).map(|_| self.number()).collect::<Vec<_>>())
            }
            Kind::Record => map([("a", self.number()), ("b", self.number()), ("t", self.literal(Kind::Numbers))]),
            Kind::Value => self.value(),
            Kind::Ops => map([("f", self.definition(Kind::GetOp, &[])), ("g", self.definition(Kind::PostOp, &[]))]),
            kind => self.definition(kind, &[]),
        }
    }

    fn number(&mut self) -> Doc {
        let small = self.small(12);
        let half = float(small as f64 * 0.5);
        match self.below(16) {
            0..=8 => int(small),
            9 => int(-small),
            10 | 11 => half,
            12 => {
                let class = self.pick(&["number/uint/8", "number/uint/16", "number/uint/32", "number/uint/64"]);
                typed(class, int(small))
            }
            13 => {
                let class = self.pick(&["number/int/16", "number/int/32", "number/float/32", "number/bool"]);
                typed(class, list([int(small)]))
            }
            14 => {
                let class = self.pick(&["number/complex", "number/complex/32", "number/complex/64"]);
                typed(class, list([half, float(1.5)]))
            }
            _ => match self.below(8) {
                0 => int(i64::MAX),
                1 => int(i64::MIN),
                2 => Doc::Number(Number::U64(u64::MAX)),
                3 => float(f64::NAN),
                4 => float(f64::INFINITY),
                5 => float(-0.0),
                6 => float(1e300),
                _ => truth(true),
            },
        }
    }

    fn value(&mut self) -> Doc {
        match self.below(10) {
            0 => Doc::Null,
            1 => entry("foo", nothing()),
            2 => entry("/a/b", nothing()),
            3 => typed("bytes", text("AQL/")),
            4 => typed("email", text("a@b.co")),
            // A version is replied as a string, so an op with one does not read back as the same.
            5 if self.ops == 0 => typed("version", text("1.2.3")),
            6 => typed("number/int/32", nothing()),
            7 => entry("http://127.0.0.1:9/a", nothing()),
            8 => list([text("y"), int(1), Doc::Null]),
            _ => map([("p", int(1)), ("q", list([truth(true)]))]),
        }
    }

    /// What `write` makes in the scope of an op.
    fn within(&mut self, params: &[(&str, Kind)], captured: &Scope, write: impl FnOnce(&mut Self) -> Doc) -> Doc {
        let mut scope = captured.clone();
        scope.extend(params.iter().map(|(name, kind)| ((*name).to_string(), *kind)));
        let outer = std::mem::replace(&mut self.scope, scope);
        self.depth += 1;
        self.ops += 1;
        let doc = write(self);
        self.ops -= 1;
        self.depth -= 1;
        self.scope = outer;
        doc
    }

    /// An op definition of `kind`, which may use what it captures.
    fn definition(&mut self, kind: Kind, captured: &[(String, Kind)]) -> Doc {
        let (verb, params, result) = match kind {
            Kind::PostOp => ("post", PAIR, Kind::Number),
            Kind::TestOp => ("get", KEY, Kind::Bool),
            Kind::PutOp => ("put", ENTRY, Kind::Number),
            Kind::DeleteOp => ("delete", KEY, Kind::Number),
            _ => ("get", KEY, Kind::Number),
        };
        self.op(verb, params, captured, result)
    }

    fn op(&mut self, verb: &str, params: &[(&str, Kind)], captured: &[(String, Kind)], result: Kind) -> Doc {
        let steps = self.within(params, &captured.to_vec(), |writer| {
            let count = if writer.depth < DEPTH_MAX { writer.below(3) } else { 0 };
            let mut steps: Vec<Doc> = (0..count).map(|_| writer.step(KINDS)).collect();
            let last = writer.expr(result);
            let (is_object, is_alone) = (matches!(last, Doc::Map(_)), steps.is_empty());
            // The forms of the seed era: a state in place of the steps, and a last step without a name.
            match writer.below(8) {
                7 if is_object && is_alone => return last,
                6 if is_object => steps.push(last),
                _ => steps.push(step("_return", last)),
            }
            list(steps)
        });
        if verb == "post" {
            return op(verb, steps);
        }
        let mut items: Vec<Doc> = params.iter().map(|(name, _)| text(name)).collect();
        items.push(steps);
        op(verb, list(items))
    }

    /// An op definition or a closure.
    fn callable(&mut self, kind: Kind) -> Doc {
        match self.below(6) {
            4 => {
                let context = entry("k", self.number());
                let op = self.definition(kind, &[("k".to_string(), Kind::Number)]);
                entry("/state/closure", list([context, op]))
            }
            5 => {
                let mut captured: Scope = Vec::new();
                for _ in 0..self.below(3).min(self.scope.len()) {
                    let index = self.below(self.scope.len());
                    captured.push(self.scope[index].clone());
                }
                let names: Vec<Doc> = captured.iter().map(|(name, _)| named(name)).collect();
                let op = self.definition(kind, &captured);
                flow("with", list([list(names), op]))
            }
            _ => self.definition(kind, &[]),
        }
    }

    /// Something that yields a state of `kind` in the end.
    fn control(&mut self, kind: Kind) -> Doc {
        match self.below(8) {
            0..=2 => {
                let cond = self.expr(Kind::Bool);
                let mut branches = [self.expr(kind), if self.rarely(5) { self.failure() } else { self.expr(kind) }];
                if self.rarely(4) {
                    branches.swap(0, 1);
                }
                let [then, or_else] = branches;
                flow("if", list([cond, then, or_else]))
            }
            3 => {
                let (cond, first) = (self.expr(Kind::Number), self.number());
                let values = list([first, int(3)]);
                let cases = list([self.expr(kind), self.expr(kind), self.expr(kind)]);
                flow("case", list([cond, values, cases]))
            }
            4 | 5 => {
                let order = self.pick(&["after", "before"]);
                let other = self.pick(RESULTS);
                flow(order, list([self.expr(other), self.expr(kind)]))
            }
            6 => {
                let inner = self.op("get", KEY, &[], kind);
                flow("op/get", list([inner, self.expr(Kind::Number)]))
            }
            _ => flow("if", list([self.expr(Kind::Bool), self.expr(kind)])),
        }
    }

    fn failure(&mut self) -> Doc {
        match self.below(5) {
            0 => entry("/error/bad_request", list([text("no")])),
            1 => entry("/error/not_found", text("no")),
            2 => entry("/error/conflict", map([("message", text("no")), ("stack", list([text("p")]))])),
            3 => call("nope", "/add", list([int(1)])),
            _ => entry("http://127.0.0.1:9/a", list([int(1)])),
        }
    }

    fn computed(&mut self, kind: Kind) -> Doc {
        match kind {
            Kind::Number => self.number_call(),
            Kind::Bool => self.bool_call(),
            Kind::Text => self.text_call(),
            Kind::Numbers => self.numbers_call(),
            Kind::Record => self.record_call(),
            Kind::Value => self.value_call(),
            Kind::GetOp | Kind::PostOp | Kind::TestOp => self.callable(kind),
            Kind::PutOp | Kind::DeleteOp => self.definition(kind, &[]),
            Kind::Ops => map([("f", self.expr(Kind::GetOp)), ("g", self.expr(Kind::PostOp))]),
        }
    }
}
