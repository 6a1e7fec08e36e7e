//! The hash of a state: SHA-256, so that hosts agree on it and a program can use it as a name.
//!
//! It is defined by the protocol and must not change. Parts are hashed first and the hash of the whole is that of the
//! hashes, so states that differ only in how they nest have different hashes. What counts as none hashes to zeros.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::encode::{expr_to_json, to_json};
use super::hash_collection::hash_read;
use super::hash_tensor::hash_tensor;
use super::stream::Stage;
use super::{Closure, Collection, Expr, Id, Map, Number, OpDef, OpKind, State, Step, Stream, Value, Version};

/// The hash of `state`.
pub fn hash(state: &State) -> [u8; 32] {
    if state.is_none() {
        return [0; 32];
    }
    match state {
        State::Value(value) => hash_value(value),
        State::Tuple(tuple) => hash_all(tuple.items().iter().map(hash)),
        State::Map(map) => hash_map(map),
        State::Op(op) => hash_op(op),
        State::Closure(closure) => hash_closure(closure),
        // Those of its rows that were read; the method of a collection reads them first.
        State::Collection(collection) => hash_read(collection),
        State::Tensor(tensor) => hash_tensor(tensor),
        State::Stream(stream) => hash_stream(stream),
        State::Object(_) => digest(to_json(state)),
    }
}

/// The hash of `state` as a name of 64 hexadecimal digits.
pub fn hash_id(state: &State) -> Id {
    hex::encode(hash(state)).parse().expect("hexadecimal digits are a valid name")
}

fn digest(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The hash of what a stream is, not of its items: the view whose rows it reads, and what happens to them.
fn hash_stream(stream: &Stream) -> [u8; 32] {
    let Collection { table, view, .. } = &stream.source;
    let source = digest(format!("{} {} {view:?}", table.name, table.rows));
    let stage = |stage: &Stage| match stage {
        Stage::Map(op) => hash_all([digest("map"), hash(op)]),
        Stage::Filter(op) => hash_all([digest("filter"), hash(op)]),
        Stage::Distinct => digest("distinct"),
    };
    hash_all(std::iter::once(source).chain(stream.stages.iter().map(stage)))
}

/// The hash of a sequence of hashes.
fn hash_all(hashes: impl IntoIterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for hash in hashes {
        hasher.update(hash);
    }
    hasher.finalize().into()
}

fn hash_value(value: &Value) -> [u8; 32] {
    match value {
        Value::None => [0; 32],
        Value::Number(number) => hash_number(*number),
        Value::String(text) => digest(text.as_bytes()),
        Value::Id(id) => hash_name(id),
        Value::Link(link) => digest(link.to_string()),
        Value::Bytes(bytes) => digest(bytes),
        Value::Email(email) => digest(email.as_str()),
        Value::Version(Version { major, minor, patch }) => {
            hash_all([major, minor, patch].map(|part| digest(part.to_be_bytes())))
        }
    }
}

fn hash_number(number: Number) -> [u8; 32] {
    match number {
        Number::Bool(n) => digest([u8::from(n)]),
        Number::U8(n) => digest(n.to_be_bytes()),
        Number::U16(n) => digest(n.to_be_bytes()),
        Number::U32(n) => digest(n.to_be_bytes()),
        Number::U64(n) => digest(n.to_be_bytes()),
        Number::I16(n) => digest(n.to_be_bytes()),
        Number::I32(n) => digest(n.to_be_bytes()),
        Number::I64(n) => digest(n.to_be_bytes()),
        Number::F32(n) => digest(n.to_be_bytes()),
        Number::F64(n) => digest(n.to_be_bytes()),
        Number::C32(n) => hash_all([n.re, n.im].map(|part| digest(part.to_be_bytes()))),
        Number::C64(n) => hash_all([n.re, n.im].map(|part| digest(part.to_be_bytes()))),
    }
}

fn hash_name(name: &Id) -> [u8; 32] {
    digest(name.as_str())
}

fn hash_map(map: &Map) -> [u8; 32] {
    hash_all(map.iter().map(|(name, value)| hash_all([hash_name(name), hash(value)])))
}

/// The names that an op fixes, then its steps; a POST op fixes none and is the hash of its steps.
fn hash_op(op: &OpDef) -> [u8; 32] {
    let steps = hash_all(op.steps.iter().map(hash_step));
    match &op.kind {
        OpKind::Post => steps,
        OpKind::Get { key } | OpKind::Delete { key } => hash_all([hash_name(key), steps]),
        OpKind::Put { key, value } => hash_all([hash_name(key), hash_name(value), steps]),
    }
}

fn hash_step(step: &Step) -> [u8; 32] {
    hash_all([hash_name(&step.name), hash_expr(&step.expr)])
}

/// The hash of the state of a literal, or of the JSON text of any other expression, as the protocol defines none.
fn hash_expr(expr: &Expr) -> [u8; 32] {
    match expr {
        Expr::Literal(state) => hash(state),
        _ => digest(expr_to_json(expr)),
    }
}

fn hash_closure(closure: &Closure) -> [u8; 32] {
    let context = hash(&State::Map(closure.context.clone()));
    let op = hash(&State::Op(Arc::clone(&closure.op)));
    hash_all([context, op])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Link;
    use crate::value::number::Complex64;
    use crate::value::sample::tuple;

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn map(entries: impl IntoIterator<Item = (&'static str, State)>) -> Map {
        Map::try_new(entries.into_iter().map(|(name, value)| (Id::from(name), value))).unwrap()
    }

    fn op(kind: OpKind, expr: Expr) -> Arc<OpDef> {
        Arc::new(OpDef::new(kind, vec![Step { name: "a".into(), expr }]))
    }

    fn five() -> Expr {
        Expr::Literal(5i64.into())
    }

    #[track_caller]
    fn check(state: impl Into<State>, expected: &str) {
        let state = state.into();
        assert_eq!(hash_id(&state).as_str(), expected, "{state:?}");
    }

    #[test]
    fn what_counts_as_none_hashes_to_zeros() {
        check(State::NONE, ZEROS);
        check(tuple([]), ZEROS);
        check(map([]), ZEROS);
        check("/".parse::<Link>().unwrap(), ZEROS);
    }

    #[test]
    fn numbers_hash_as_their_bytes() {
        check(5i64, "5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431");
        check(true, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a");
        check(Number::I16(-1), "ca2fd00fa001190744c15c317643ab092e7048ce086a243e2be9437c898de1bb");
        check(1.5, "430d595dc1ef65e95d4ebdc1c16a5b1dd745685e5b14bab114354489bd878b00");
        check(Number::F32(1.5), "314ed632b7fb5d384c2dde92e5f3acc0ab1bd767266747bc2f8a89aba31099ad");
        let complex = Number::C64(Complex64::new(1.0, 2.0));
        check(complex, "b1c5f02ee53a9354151c59a0c1062cc2e30d4ba7686c7d00bea37ed80bf0c249");
    }

    #[test]
    fn texts_hash_as_their_characters_whatever_their_class() {
        const FOO: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        check("foo", FOO);
        check(Id::from("foo"), FOO);
        check(Value::Bytes(b"foo".as_slice().into()), FOO);
        let bytes = Value::Bytes([1u8, 2, 255].as_slice().into());
        check(bytes, "0526d0e18ea19dfaad9d79166bec1e18d6221ef6b1830385fe9bf67022ed5f96");
        let link = "/a/b".parse::<Link>().unwrap();
        assert_eq!(hash(&link.into()), hash(&"/a/b".into()));
        let email = Value::Email("a@b.co".parse().unwrap());
        assert_eq!(hash(&email.into()), hash(&"a@b.co".into()));
    }

    #[test]
    fn what_has_parts_hashes_as_their_hashes() {
        let version = Value::Version(Version { major: 1, minor: 2, patch: 3 });
        check(version, "a5b16f1a2c4f76c687fa322a71325c9f499521738334a66dd0403002e80b66d2");
        let items = tuple([5i64.into(), "foo".into()]);
        check(items, "3f6ce165c16ee1460243aba292fd31f6ac6f7210644daeb52898f24dba0fb1f2");
        check(map([("a", 5i64.into())]), "b48f596eda469e67dd112fcc07d62072252fdae8bdbea5d75cf1cb46a813624a");
        let entries = map([("b", "foo".into()), ("a", 5i64.into())]);
        check(entries, "621cd972513eee5ed47223d934551f3727ab4f400d3c56a3e4872464583b4ed4");
    }

    #[test]
    fn ops_hash_as_their_parameters_and_steps() {
        // A POST op hashes as the map of its steps.
        let post = State::Op(op(OpKind::Post, five()));
        check(post, "b48f596eda469e67dd112fcc07d62072252fdae8bdbea5d75cf1cb46a813624a");
        const GET: &str = "28c9d2f7cd04ced942aa1384e59e4afb2c8dcaac3e0b972bd507b2e24155a0e6";
        check(State::Op(op(OpKind::Get { key: "k".into() }, five())), GET);
        check(State::Op(op(OpKind::Delete { key: "k".into() }, five())), GET);
        let put = State::Op(op(OpKind::Put { key: "k".into(), value: "v".into() }, five()));
        check(put, "b0b97a8ddf4eafee60c7897f4396c42c8458804e803b5567bc28078c928646b1");
    }

    #[test]
    fn references_in_ops_hash_as_their_json_text() {
        let expr = Expr::Name("x".into());
        let text = State::from(expr_to_json(&expr));
        let (by_name, by_text) = (op(OpKind::Post, expr), op(OpKind::Post, Expr::Literal(text)));
        assert_eq!(hash(&State::Op(by_name)), hash(&State::Op(by_text)));
    }

    #[test]
    fn closures_hash_as_context_and_op() {
        let closure = Closure { context: map([]), op: op(OpKind::Post, five()) };
        let expected = "f38cb003d40160af8ac0cebb3acad568350f8f8d5b850837d7c239a19a1d606c";
        check(State::Closure(Arc::new(closure)), expected);
    }
}
