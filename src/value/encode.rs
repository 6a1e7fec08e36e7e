//! Writing states, in whichever encoding.
//!
//! [`encode`] walks a state once and tells an [`Encoder`] what it sees. [`Json`] is the encoder for JSON text; the one
//! for TBON is in `server::codec`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::class::Ref;
use super::encode_collection::encode_collection;
use super::encode_tensor::encode_tensor;
use super::{Args, Class, Closure, Expr, Flow, Id, Number, Object, OpDef, OpKind, State, Step, Subject, Value};

/// Receives the parts of a document in order.
pub trait Encoder {
    fn null(&mut self);
    fn bool(&mut self, value: bool);
    fn number(&mut self, number: Number);
    fn string(&mut self, text: &str);
    fn bytes(&mut self, bytes: &[u8]);
    fn begin_list(&mut self);
    /// Before each item of a list.
    fn item(&mut self);
    fn end_list(&mut self);
    fn begin_map(&mut self);
    /// Before each value of a map.
    fn key(&mut self, key: &str);
    fn end_map(&mut self);
}

/// Writes `state` as it is replied to a client.
pub fn encode(state: &State, out: &mut impl Encoder) {
    match state {
        State::Value(value) => encode_value(value, out),
        State::Tuple(tuple) => list(out, tuple.items(), encode),
        State::Map(map) => {
            out.begin_map();
            for (key, value) in map.iter() {
                out.key(key.as_str());
                encode(value, out);
            }
            out.end_map();
        }
        State::Op(op) => encode_op(op, out),
        State::Closure(closure) => encode_closure(closure, out),
        State::Collection(collection) => encode_collection(collection, out),
        State::Tensor(tensor) => encode_tensor(tensor, out),
        // Whoever replies reads it first; here it can only be named.
        State::Stream(stream) => {
            out.begin_map();
            out.key(Class::Stream.path());
            encode_collection(&stream.source, out);
            out.end_map();
        }
        State::Object(object) => encode_object(object, out),
    }
}

fn encode_object(object: &Object, out: &mut impl Encoder) {
    match object {
        Object::Cluster(link) => entry(out, &link.to_string(), empty_list),
        Object::Class(class) => entry(out, object.class().path(), |out| {
            entry(out, &class.parent.to_string(), |out| class.definition.doc().encode(out));
        }),
        Object::Instance(instance) => entry(out, &instance.class.link.to_string(), |out| {
            match instance.members.is_empty() && instance.value != State::NONE {
                true => list(out, std::slice::from_ref(&instance.value), encode),
                false => encode(&State::Map(instance.members.clone()), out),
            }
        }),
        Object::Definition(definition) => definition.doc().encode(out),
        Object::Typed(class, state) => entry(out, &class.to_string(), |out| encode(state, out)),
    }
}

/// The JSON text of `state`, without a newline.
pub fn to_json(state: &State) -> String {
    let mut json = Json::default();
    encode(state, &mut json);
    json.into_string()
}

/// The beginning of the JSON text of `state`: all of it, if that has at most about `bytes_max` bytes.
pub fn to_json_within(state: &State, bytes_max: usize) -> String {
    let mut json = Json::with_bytes_max(bytes_max);
    encode(state, &mut json);
    json.into_string()
}

/// The JSON text of an expression.
pub fn expr_to_json(expr: &Expr) -> String {
    let mut json = Json::default();
    encode_expr(expr, &mut json);
    json.into_string()
}

fn list<T, E: Encoder>(out: &mut E, items: &[T], mut each: impl FnMut(&T, &mut E)) {
    out.begin_list();
    for item in items {
        out.item();
        each(item, out);
    }
    out.end_list();
}

/// Writes `{key: <value>}`.
fn entry<E: Encoder>(out: &mut E, key: &str, value: impl FnOnce(&mut E)) {
    out.begin_map();
    out.key(key);
    value(out);
    out.end_map();
}

fn empty_list(out: &mut impl Encoder) {
    out.begin_list();
    out.end_list();
}

fn encode_value(value: &Value, out: &mut impl Encoder) {
    match value {
        Value::None => out.null(),
        Value::Number(Number::Bool(value)) => out.bool(*value),
        Value::Number(number @ (Number::C32(_) | Number::C64(_))) => {
            let (re, im) = match *number {
                Number::C32(n) => (Number::F32(n.re), Number::F32(n.im)),
                Number::C64(n) => (Number::F64(n.re), Number::F64(n.im)),
                _ => return,
            };
            let path = Class::from(number.class()).path();
            entry(out, path, |out| list(out, &[re, im], |part, out| out.number(*part)));
        }
        Value::Number(number) => out.number(*number),
        Value::String(text) => out.string(text),
        Value::Id(id) => entry(out, id.as_str(), empty_list),
        Value::Link(link) => entry(out, &link.to_string(), empty_list),
        Value::Bytes(bytes) => out.bytes(bytes),
        Value::Email(email) => entry(out, Class::Email.path(), |out| out.string(email.as_str())),
        Value::Version(version) => out.string(&version.to_string()),
    }
}

fn encode_op(op: &OpDef, out: &mut impl Encoder) {
    entry(out, Class::Op(op.kind.verb()).path(), |out| {
        if op.kind == OpKind::Post {
            return encode_steps(&op.steps, out);
        }
        out.begin_list();
        for param in op.kind.params() {
            out.item();
            out.string(param.as_str());
        }
        out.item();
        encode_steps(&op.steps, out);
        out.end_list();
    });
}

fn encode_steps(steps: &[Step], out: &mut impl Encoder) {
    list(out, steps, |step, out| {
        out.begin_list();
        out.item();
        out.string(step.name.as_str());
        out.item();
        encode_expr(&step.expr, out);
        out.end_list();
    });
}

fn encode_closure(closure: &Closure, out: &mut impl Encoder) {
    entry(out, Class::Closure.path(), |out| {
        out.begin_list();
        out.item();
        encode(&State::Map(closure.context.clone()), out);
        out.item();
        encode_op(&closure.op, out);
        out.end_list();
    });
}

/// Writes a literal of a program so that it reads back as the same state: with its class, where the text alone would be read
/// as another.
fn encode_literal(state: &State, out: &mut impl Encoder) {
    match state {
        State::Tuple(tuple) => list(out, tuple.items(), encode_literal),
        State::Map(map) => {
            out.begin_map();
            for (key, value) in map.iter() {
                out.key(key.as_str());
                encode_literal(value, out);
            }
            out.end_map();
        }
        State::Value(value) if !is_plain(value) => entry(out, value.class().path(), |out| encode_value(value, out)),
        state => encode(state, out),
    }
}

/// Whether the reply form of a value is read as that value.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number(Number::U64(n)) => i64::try_from(*n).is_err(),
        Value::Number(number) => {
            matches!(number, Number::Bool(_) | Number::I64(_) | Number::F64(_) | Number::C32(_) | Number::C64(_))
        }
        Value::Bytes(_) | Value::Version(_) => false,
        _ => true,
    }
}

/// Writes an expression in the form that client 0.17 gives it.
pub fn encode_expr(expr: &Expr, out: &mut impl Encoder) {
    match expr {
        Expr::Literal(state) => encode_literal(state, out),
        Expr::Name(name) => entry(out, &format!("${name}"), empty_list),
        Expr::Tuple(items) => list(out, items, encode_expr),
        Expr::Map(keys, values) => encode_params(keys, values, out),
        Expr::Call(subject, args) => encode_call(subject, args, out),
        Expr::Flow(flow) => encode_flow(flow, out),
    }
}

fn encode_params(keys: &[Id], values: &[Expr], out: &mut impl Encoder) {
    out.begin_map();
    for (key, value) in keys.iter().zip(values) {
        out.key(key.as_str());
        encode_expr(value, out);
    }
    out.end_map();
}

fn encode_call(subject: &Subject, args: &Args, out: &mut impl Encoder) {
    let key = match subject {
        Subject::Name(name, path) => path.iter().fold(format!("${name}"), |text, segment| format!("{text}/{segment}")),
        Subject::Link(link) => link.to_string(),
        Subject::Value(_) => return encode_call_in_full(subject, args, out),
    };
    match args {
        Args::Get(key_expr) => entry(out, &key, |out| list(out, &[key_expr], |expr, out| encode_expr(expr, out))),
        Args::Put(key_expr, value) => {
            entry(out, &key, |out| list(out, &[key_expr, value], |expr, out| encode_expr(expr, out)));
        }
        Args::Post(keys, values) => entry(out, &key, |out| encode_params(keys, values, out)),
        Args::Delete(_) => encode_call_in_full(subject, args, out),
    }
}

/// Writes `{"/state/scalar/ref/op/<verb>": [subject, …]}`.
fn encode_call_in_full(subject: &Subject, args: &Args, out: &mut impl Encoder) {
    entry(out, Class::Ref(Ref::Op(args.verb())).path(), |out| {
        out.begin_list();
        out.item();
        match subject {
            Subject::Name(name, path) => {
                let key = path.iter().fold(format!("${name}"), |text, segment| format!("{text}/{segment}"));
                entry(out, &key, empty_list);
            }
            Subject::Link(link) => entry(out, &link.to_string(), empty_list),
            Subject::Value(expr) => encode_expr(expr, out),
        }
        if let Args::Post(keys, values) = args {
            out.item();
            encode_params(keys, values, out);
        } else {
            for expr in args.exprs() {
                out.item();
                encode_expr(expr, out);
            }
        }
        out.end_list();
    });
}

fn encode_flow(flow: &Flow, out: &mut impl Encoder) {
    let path = |name: Ref| Class::Ref(name).path();
    match flow {
        Flow::After { when, then } => {
            entry(out, path(Ref::After), |out| list(out, &[when, then], |e, out| encode_expr(e, out)));
        }
        Flow::Before { when, then } => {
            entry(out, path(Ref::Before), |out| list(out, &[when, then], |e, out| encode_expr(e, out)));
        }
        Flow::If { cond, then, or_else } => {
            entry(out, path(Ref::If), |out| list(out, &[cond, then, or_else], |e, out| encode_expr(e, out)));
        }
        Flow::Case { cond, switch, cases } => entry(out, path(Ref::Case), |out| {
            out.begin_list();
            out.item();
            encode_expr(cond, out);
            out.item();
            list(out, switch, encode_expr);
            out.item();
            list(out, cases, encode_expr);
            out.end_list();
        }),
        Flow::While { cond, step, state } => {
            entry(out, path(Ref::While), |out| list(out, &[cond, step, state], |e, out| encode_expr(e, out)));
        }
        Flow::With { names, op } => entry(out, path(Ref::With), |out| {
            out.begin_list();
            out.item();
            list(out, names, |name, out| entry(out, &format!("${name}"), empty_list));
            out.item();
            encode_expr(op, out);
            out.end_list();
        }),
    }
}

/// Writes JSON text: floats in the shortest form that reads back (whole ones with `.0`), and the tokens `NaN`,
/// `Infinity` and `-Infinity`, which the client reads although the standard has no such numbers.
pub struct Json {
    out: Vec<u8>,
    bytes_max: usize,
}

impl Default for Json {
    fn default() -> Self {
        Self::with_bytes_max(usize::MAX)
    }
}

impl Json {
    /// An encoder that writes no more once its text is longer than `bytes_max`.
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self { out: Vec::new(), bytes_max }
    }

    /// Whether the text is longer than it may be, and so not all of it is there.
    pub fn is_full(&self) -> bool {
        self.out.len() > self.bytes_max
    }

    /// The text so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The text so far.
    pub fn into_string(self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    fn mark(&mut self, byte: u8) {
        if !self.is_full() {
            self.out.push(byte);
        }
    }

    /// Writes a separator unless this is the first part of its list or map.
    fn separate(&mut self, open: u8) {
        if !self.is_full() && self.out.last() != Some(&open) {
            self.out.push(b',');
        }
    }

    fn float(&mut self, is_nan: bool, infinite: Option<bool>, text: impl FnOnce(&mut ryu::Buffer) -> &str) {
        match infinite {
            _ if is_nan => self.out.extend_from_slice(b"NaN"),
            Some(true) => self.out.extend_from_slice(b"Infinity"),
            Some(false) => self.out.extend_from_slice(b"-Infinity"),
            None => self.out.extend_from_slice(text(&mut ryu::Buffer::new()).as_bytes()),
        }
    }
}

impl Encoder for Json {
    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn bool(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn number(&mut self, number: Number) {
        if self.is_full() {
            return;
        }
        let mut digits = itoa::Buffer::new();
        let text = match number {
            Number::Bool(n) => return self.bool(n),
            Number::U8(n) => digits.format(n),
            Number::U16(n) => digits.format(n),
            Number::U32(n) => digits.format(n),
            Number::U64(n) => digits.format(n),
            Number::I16(n) => digits.format(n),
            Number::I32(n) => digits.format(n),
            Number::I64(n) => digits.format(n),
            Number::F32(n) => {
                let infinite = n.is_infinite().then_some(n > 0.0);
                return self.float(n.is_nan(), infinite, |buffer| buffer.format_finite(n));
            }
            Number::F64(n) => {
                let infinite = n.is_infinite().then_some(n > 0.0);
                return self.float(n.is_nan(), infinite, |buffer| buffer.format_finite(n));
            }
            Number::C32(_) | Number::C64(_) => return encode_value(&Value::Number(number), self),
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        if self.is_full() {
            return;
        }
        // Writing to a vector cannot fail, and a string has no way to be unserialisable.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.is_full() {
            return;
        }
        self.string(&BASE64.encode(bytes));
    }

    fn begin_list(&mut self) {
        self.mark(b'[');
    }

    fn item(&mut self) {
        self.separate(b'[');
    }

    fn end_list(&mut self) {
        self.mark(b']');
    }

    fn begin_map(&mut self) {
        self.mark(b'{');
    }

    fn key(&mut self, key: &str) {
        self.separate(b'{');
        self.string(key);
        self.mark(b':');
    }

    fn end_map(&mut self) {
        self.mark(b'}');
    }
}
