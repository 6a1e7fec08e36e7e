//! Requests at random from somebody who means harm: malformed, endless, huge, or merely absurd.

use std::fmt;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use tinychain::server::codec::Encoding;
use tinychain::value::{Doc, Link, Number, Verb};

use crate::docs::{
    call, entry, float, flow, get_op, int, list, map, named, nothing, post_op, step, text, to_bytes, to_json, truth,
    typed,
};
use crate::programs;
use words::{FRAGMENTS, METHODS, NAMES, NESTS, PARAMS, SEGMENTS, STATICS};

mod words;

/// A request, as far as this process sees it.
pub struct Request {
    /// What is called, with its key; a hypothetical program if there is nothing.
    pub target: Option<(Verb, Link, Doc)>,
    pub encoding: Encoding,
    pub body: Vec<u8>,
}

impl Request {
    pub fn hypothetical(encoding: Encoding, body: Vec<u8>) -> Self {
        Self { target: None, encoding, body }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((verb, link, key)) = &self.target {
            writeln!(f, "{} {link}?key={}", verb.http(), to_json(key))?;
        }
        match self.encoding {
            Encoding::Json => f.write_str(&String::from_utf8_lossy(&self.body)),
            Encoding::Tbon => write!(f, "TBON {}", hex::encode(&self.body)),
        }
    }
}

fn pick<T: Copy>(rng: &mut StdRng, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

/// One of `words`, which blanks separate.
fn word(rng: &mut StdRng, words: &'static str) -> &'static str {
    let count = words.split(' ').count();
    words.split(' ').nth(rng.random_range(0..count)).unwrap_or_default()
}

/// A request. Those that take long are rare.
pub fn request(rng: &mut StdRng) -> Request {
    let doc = match rng.random_range(0..4000) {
        0 => program(endless(rng)),
        1..20 => return Request::hypothetical(Encoding::Json, nested(rng)),
        20..40 => program(tower(rng)),
        40..100 => program(doubled(rng)),
        100..160 => program(large(rng)),
        160..500 => program(circle(rng)),
        500..700 => program(template(rng)),
        700..1000 => odd_names(rng),
        1000..1500 => program(class(rng)),
        1500..2500 => program(method(rng)),
        2500..3200 => edited(rng),
        _ => programs::program(&words(rng)),
    };
    let encoding = if rng.random_bool(0.2) { Encoding::Tbon } else { Encoding::Json };
    let mut request = Request::hypothetical(encoding, to_bytes(&doc, encoding));
    if rng.random_bool(0.1) {
        damage(rng, &mut request.body);
    }
    if rng.random_bool(0.1) {
        let verb = pick(rng, &[Verb::Get, Verb::Put, Verb::Post, Verb::Delete]);
        let link = word(rng, STATICS).parse::<Link>().unwrap();
        request.target = Some((verb, link, atom(rng)));
    }
    request
}

fn program(steps: Vec<Doc>) -> Doc {
    entry("op", Doc::List(steps))
}

fn words(rng: &mut StdRng) -> Vec<u16> {
    let count = rng.random_range(0..200);
    (0..count).map(|_| rng.random()).collect()
}

/// Something that nobody expects in its place.
fn atom(rng: &mut StdRng) -> Doc {
    match rng.random_range(0..24) {
        0 => Doc::Null,
        1 => truth(rng.random()),
        2 => int(pick(rng, &[0, 1, -1, 255, 256, i64::MAX, i64::MIN, i64::MIN + 1, 1 << 53])),
        3 => Doc::Number(Number::U64(pick(rng, &[1 << 63, u64::MAX]))),
        4 => float(pick(rng, &[0.0, -0.0, 0.5, 1e300, -1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        5 => float(f64::from_bits(rng.random())),
        6 => int(rng.random()),
        7 | 8 => text(pick(rng, NAMES)),
        9 => text(pick(rng, FRAGMENTS)),
        10 => {
            text(pick(rng, &["NaN", "1e999", "-9223372036854775809", "3+4i", " 5 ", "0x10", "true", "1.2.3", "a@b.co"]))
        }
        11 => nothing(),
        12 => Doc::Map(vec![]),
        13 => list([atom(rng)]),
        14 => list([atom(rng), atom(rng)]),
        15 => list([atom(rng), atom(rng), atom(rng)]),
        16 => entry(pick(rng, NAMES), atom(rng)),
        17 => map([("a", atom(rng)), ("b", atom(rng))]),
        18 => named(pick(rng, &["x", "y", "nope", "self", "n"])),
        19 => get_op("n", atom(rng)),
        20 => post_op(atom(rng)),
        21 => {
            let class =
                pick(rng, &["number/uint/8", "number/int/16", "number/float/32", "number/complex/32", "number"]);
            typed(class, atom(rng))
        }
        22 => typed(pick(rng, &["bytes", "email", "version", "id", "link", "string", "none"]), atom(rng)),
        _ => entry(word(rng, STATICS), nothing()),
    }
}

/// Arguments in any form, which need not fit what is called.
fn args(rng: &mut StdRng) -> Doc {
    match rng.random_range(0..10) {
        0 => nothing(),
        1 => Doc::Null,
        2 | 3 => list([atom(rng)]),
        4 => list([atom(rng), atom(rng)]),
        5 => list([atom(rng), atom(rng), atom(rng)]),
        6 => map([("item_name", atom(rng)), ("value", atom(rng)), ("op", atom(rng))]),
        7 => entry(word(rng, PARAMS), atom(rng)),
        8 => list([list([list([text("in"), atom(rng)]), list([text("ex"), atom(rng)])])]),
        _ => atom(rng),
    }
}

/// Any method on anything.
fn method(rng: &mut StdRng) -> Vec<Doc> {
    let mut path = String::new();
    for _ in 0..rng.random_range(1..3) {
        match word(rng, METHODS) {
            "" => {}
            name => path = format!("{path}/{name}"),
        }
    }
    let verb = pick(rng, &["get", "put", "post", "delete"]);
    let result = match rng.random_range(0..6) {
        0 => flow(&format!("op/{verb}"), list([call("x", &path, nothing()), atom(rng), atom(rng)])),
        1 => flow(&format!("op/{verb}"), list([atom(rng), args(rng)])),
        2 => get_op("k", call("k", &path, args(rng))),
        _ => call("x", &path, args(rng)),
    };
    vec![step("x", atom(rng)), step("y", atom(rng)), step("r", result)]
}

/// Any path of a class, a flow or a method of its own.
fn class(rng: &mut StdRng) -> Vec<Doc> {
    let path = match rng.random_range(0..3) {
        0 => word(rng, STATICS).to_string(),
        1 => format!("/state/scalar/ref/{}", word(rng, SEGMENTS)),
        _ => {
            let mut path = String::from(pick(rng, &["/state", "/state/scalar", "/state/scalar/value", ""]));
            for _ in 0..rng.random_range(1..4) {
                path = format!("{path}/{}", word(rng, SEGMENTS));
            }
            path
        }
    };
    vec![step("x", atom(rng)), step("y", atom(rng)), step("r", entry(&path, args(rng)))]
}

/// Steps that need each other, in a circle.
fn circle(rng: &mut StdRng) -> Vec<Doc> {
    let count = rng.random_range(1..7);
    let steps = (0..count).map(|index| {
        let next = || named(&format!("s{}", (index + 1) % count));
        let doc = match rng.random_range(0..9) {
            0 => list([next(), next()]),
            1 => entry("a", next()),
            2 => call(&format!("s{}", (index + 1) % count), "/add", list([next()])),
            3 => flow("if", list([truth(rng.random()), next(), int(1)])),
            4 => flow("after", list([int(1), next()])),
            5 => flow("before", list([next(), next()])),
            6 => flow("with", list([list([next()]), get_op("n", named("n"))])),
            7 => flow("case", list([int(1), list([next()]), list([next(), int(2)])])),
            _ => next(),
        };
        step(&format!("s{index}"), doc)
    });
    let mut steps: Vec<Doc> = steps.collect();
    steps.push(step("r", list([named("s0"), atom(rng)])));
    steps
}

fn template(rng: &mut StdRng) -> Vec<Doc> {
    let template: String = (0..rng.random_range(1..10)).map(|_| pick(rng, FRAGMENTS)).collect();
    let data = if rng.random_bool(0.2) { args(rng) } else { map([("a", atom(rng)), ("b", atom(rng))]) };
    vec![step("x", atom(rng)), step("y", text(&template)), step("r", call("y", "/render", data))]
}

/// Names that are none, that occur twice, or that somebody else might choke on.
fn odd_names(rng: &mut StdRng) -> Doc {
    let mut steps = Vec::new();
    for _ in 0..rng.random_range(0..4) {
        let entries: Vec<(Arc<str>, Doc)> =
            (0..rng.random_range(0..5)).map(|_| (pick(rng, NAMES).into(), atom(rng))).collect();
        let doc = if rng.random_bool(0.5) { Doc::Map(entries) } else { call(pick(rng, NAMES), "", args(rng)) };
        steps.push(match rng.random_range(0..8) {
            0 => doc,
            1 => list([doc]),
            2 => list([text(pick(rng, NAMES)), doc, atom(rng)]),
            3 => list([atom(rng), doc]),
            _ => step(pick(rng, NAMES), doc),
        });
    }
    match rng.random_range(0..6) {
        0 => Doc::List(steps),
        1 => entry(pick(rng, NAMES), Doc::List(steps)),
        2 => atom(rng),
        3 => Doc::Map(vec![("op".into(), Doc::List(steps)), ("op".into(), atom(rng))]),
        _ => program(steps),
    }
}

/// A program that made sense until a part of it was replaced.
fn edited(rng: &mut StdRng) -> Doc {
    let mut doc = programs::program(&words(rng));
    let size = count(&doc);
    for _ in 0..rng.random_range(1..4) {
        let mut at = rng.random_range(0..size);
        let other = atom(rng);
        let Some(node) = node_at(&mut doc, &mut at) else { continue };
        let old = std::mem::replace(node, Doc::Null);
        *node = match (rng.random_range(0..4), old) {
            (0, old) => list([old]),
            (1, old) => list([old.clone(), old]),
            (2, Doc::Map(mut entries)) if !entries.is_empty() => {
                entries[0].0 = word(rng, STATICS).into();
                Doc::Map(entries)
            }
            _ => other,
        };
    }
    doc
}

fn count(doc: &Doc) -> usize {
    1 + match doc {
        Doc::List(items) => items.iter().map(count).sum::<usize>(),
        Doc::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum::<usize>(),
        _ => 0,
    }
}

/// The part with the number `at`, counted from the outside in.
fn node_at<'a>(doc: &'a mut Doc, at: &mut usize) -> Option<&'a mut Doc> {
    if *at == 0 {
        return Some(doc);
    }
    *at -= 1;
    match doc {
        Doc::List(items) => items.iter_mut().find_map(|item| node_at(item, at)),
        Doc::Map(entries) => entries.iter_mut().find_map(|(_, value)| node_at(value, at)),
        _ => None,
    }
}

/// A body that nests about as deep as is allowed, or much deeper.
fn nested(rng: &mut StdRng) -> Vec<u8> {
    let (open, close) = pick(rng, NESTS);
    let levels = open.matches(['[', '{']).count();
    let depth = match rng.random_range(0..10) {
        0 => 50_000,
        _ => rng.random_range(495..520) / levels,
    };
    let (open, close) = (open.repeat(depth), close.repeat(depth));
    format!("{{\"op\":[[\"x\",1],[\"r\",{open}1{close}]]}}").into_bytes()
}

/// Steps that nest a tuple about as deep as is allowed.
fn tower(rng: &mut StdRng) -> Vec<Doc> {
    let mut steps = vec![step("s0", atom(rng))];
    let height = rng.random_range(1015..1030);
    for index in 1..=height {
        let below = named(&format!("s{}", index - 1));
        steps.push(step(&format!("s{index}"), if rng.random() { list([below]) } else { entry("a", below) }));
    }
    steps.push(step("r", call(&format!("s{height}"), pick(rng, &["", "/hash", "/copy", "/eq"]), args(rng))));
    steps
}

/// Steps that double something, mostly far beyond what is allowed.
fn doubled(rng: &mut StdRng) -> Vec<Doc> {
    let rounds = match rng.random_range(0..200) {
        0 => rng.random_range(15..23),
        1..40 => rng.random_range(1..13),
        _ => rng.random_range(40..64),
    };
    let mut steps = vec![step("s0", list([atom(rng), int(1)]))];
    let how = rng.random_range(0..4);
    for index in 1..=rounds {
        let below = || named(&format!("s{}", index - 1));
        let doc = match how {
            0 => list([below(), below()]),
            1 => map([("a", below()), ("b", below())]),
            2 => entry("/state/tuple/concatenate", map([("l", below()), ("r", below())])),
            _ => call(&format!("s{}", index - 1), "/append", list([below()])),
        };
        steps.push(step(&format!("s{index}"), doc));
    }
    let path = pick(rng, &["", "/hash", "/len", "/eq", "/copy", "/class", "/zip", "/contains"]);
    steps.push(step("r", call(&format!("s{rounds}"), path, list([named(&format!("s{rounds}"))]))));
    steps
}

/// Long texts, ranges and lists.
fn large(rng: &mut StdRng) -> Vec<Doc> {
    let long = match rng.random_range(0..3) {
        0 => text(&pick(rng, FRAGMENTS).repeat(rng.random_range(1..2000))),
        1 => list((0..rng.random_range(0..2000)).map(|_| int(1)).collect::<Vec<_>>()),
        _ => {
            let stop = pick(rng, &[1000, 3000, 1_000_000_000, i64::MAX, i64::MIN, -1000]);
            let step = pick(rng, &[1, 7, 0, -1, i64::MAX]);
            entry("/state/tuple/range", list([list([int(pick(rng, &[0, -5, i64::MIN])), int(stop), int(step)])]))
        }
    };
    let op = get_op("n", call("n", &format!("/{}", word(rng, METHODS).replace('/', "")), list([named("n")])));
    let r = match rng.random_range(0..4) {
        0 => call("x", "/map", entry("op", op)),
        1 => call("x", "/filter", entry("op", op)),
        2 => call("x", "/render", map([("a", named("x")), ("b", named("x"))])),
        _ => call("x", &format!("/{}", word(rng, METHODS)), list([named("x")])),
    };
    vec![step("x", long), step("r", r)]
}

/// Programs that do not end by themselves in the time that they have.
fn endless(rng: &mut StdRng) -> Vec<Doc> {
    let again = get_op("i", call("i", "/add", list([int(0)])));
    match rng.random_range(0..6) {
        0 => vec![step("r", flow("while", list([get_op("i", truth(true)), again, int(0)])))],
        1 => {
            let double = entry("/state/tuple/concatenate", map([("l", named("i")), ("r", named("i"))]));
            let start = list([int(1)]);
            vec![step("r", flow("while", list([get_op("i", truth(true)), get_op("i", double), start])))]
        }
        2 => {
            let itself = call("f", "", map([("f", named("f"))]));
            let branch = pick(rng, &["after", "before"]);
            let op = post_op(flow(branch, list([int(1), list([itself.clone(), itself.clone()])])));
            vec![step("f", op), step("r", itself)]
        }
        3 => {
            let range = entry("/state/tuple/range", list([int(1000)]));
            let inner = call("t", "/map", entry("op", get_op("n", named("n"))));
            let middle = flow("with", list([list([named("t")]), get_op("n", inner)]));
            let outer = get_op("n", call("t", "/map", entry("op", named("g"))));
            let outer = flow("with", list([list([named("t"), named("g")]), outer]));
            vec![step("t", range), step("g", middle), step("r", call("t", "/map", entry("op", outer)))]
        }
        4 => {
            // Each call copies what is large, and forgets it.
            let range = entry("/state/tuple/range", list([int(1_000_000)]));
            let (copy, length) = (call("t", "/append", list([list([int(1)])])), call("c", "/len", nothing()));
            let steps = list([step("c", copy), step("_return", length)]);
            let op = entry("/state/scalar/op/get", list([text("n"), steps]));
            let closure = flow("with", list([list([named("t")]), op]));
            let counts = entry("/state/tuple/range", list([int(10_000)]));
            vec![step("t", range), step("n", counts), step("r", call("n", "/map", entry("op", closure)))]
        }
        _ => {
            let mut steps = vec![step("f0", again)];
            for index in 1..40 {
                let below = format!("f{}", index - 1);
                let twice = call(&below, "", list([call(&below, "", list([named("i")]))]));
                steps.push(step(&format!("f{index}"), flow("with", list([list([named(&below)]), get_op("i", twice)]))));
            }
            steps.push(step("r", call("f39", "", list([int(1)]))));
            steps
        }
    }
}

/// Changes a few bytes.
fn damage(rng: &mut StdRng, body: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        if body.is_empty() {
            return;
        }
        let at = rng.random_range(0..body.len());
        match rng.random_range(0..4) {
            0 => body[at] = rng.random(),
            1 => body.insert(at, pick(rng, b"[]{}\",:0123456789.eE+-$/\\ntf ")),
            2 => {
                body.remove(at);
            }
            _ => body.truncate(at + 1),
        }
    }
}
