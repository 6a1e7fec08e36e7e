//! The walk over an op that makes guesses.

use super::{Guess, Guesses, Ops, Trust, methods};
use crate::compiler::methods::{Receiver, find, find_static};
use crate::value::schema::Kind;
use crate::value::{Args, Class, Expr, Flow, Id, NumberClass, Schema, State, Subject, Value};

pub(super) struct Walk<'a, 'b> {
    around: &'b Ops<'a>,
    /// Of all names, also of steps.
    pub names: Guesses,
    members: &'b mut Guesses,
}

impl<'a, 'b> Walk<'a, 'b> {
    pub fn new(around: &'b Ops<'a>, members: &'b mut Guesses) -> Self {
        Self { around, names: Guesses::default(), members }
    }

    /// Reads an expression that seems to be `expected`.
    pub fn visit(&mut self, expr: &Expr, expected: Option<Guess>) {
        match expr {
            // It knows the names that it captures as its own, and `$self` in any case.
            Expr::Literal(State::Op(op)) => op.steps.iter().for_each(|step| self.visit(&step.expr, None)),
            Expr::Literal(_) => {}
            Expr::Name(name) => self.names.note(name, expected),
            Expr::Tuple(items) | Expr::Map(_, items) => items.iter().for_each(|item| self.visit(item, None)),
            Expr::Call(subject, args) => {
                self.subject(subject, args, expected);
                self.call(subject, args);
            }
            Expr::Flow(flow) => self.flow(flow, expected),
        }
    }

    /// What is called, and so must be able to do that.
    fn subject(&mut self, subject: &Subject, args: &Args, expected: Option<Guess>) {
        let (name, path) = match subject {
            Subject::Name(name, path) => (name, path),
            Subject::Value(expr) => return self.visit(expr, None),
            Subject::Link(_) => return,
        };
        match &**path {
            [only] if name.as_str() == Id::SELF => {
                self.members.note(only, expected);
                self.names.note(name, methods::receiver(only, args));
            }
            [member, method] if name.as_str() == Id::SELF => self.members.note(member, methods::receiver(method, args)),
            [method] => self.names.note(name, methods::receiver(method, args)),
            _ => {}
        }
    }

    fn call(&mut self, subject: &Subject, args: &Args) {
        let around = self.around;
        match around.own(subject) {
            Some([name, rest @ ..]) if let Some(schema) = around.schema(name) => self.collection(schema, rest, args),
            Some([name]) if let Some(initial) = around.initial(name) => {
                let class = Some(initial.class()).filter(|class| *class != Class::None);
                self.arguments(args, |_| class.map(Guess::declared));
            }
            Some([name]) if let Some(op) = around.ops.get(name) => {
                let (params, known): (Vec<&Id>, _) = (op.kind.params().collect(), around.params.get(name));
                let of = |param: Option<&Id>| known?.get(param?);
                match args {
                    Args::Put(key, value) => {
                        self.visit(key, of(params.first().copied()));
                        self.visit(value, of(params.get(1).copied()));
                    }
                    args => self.arguments(args, |param| of(param.or_else(|| params.first().copied()))),
                }
            }
            _ => self.method(subject, args),
        }
    }

    /// Arguments, each of which seems to be what `expected` says for its name; the key has none.
    fn arguments(&mut self, args: &Args, expected: impl Fn(Option<&Id>) -> Option<Guess>) {
        match args {
            Args::Get(key) | Args::Delete(key) => self.visit(key, expected(None)),
            Args::Put(key, value) => {
                self.visit(key, expected(None));
                self.visit(value, expected(None));
            }
            Args::Post(names, values) => {
                names.iter().zip(values).for_each(|(name, value)| self.visit(value, expected(Some(name))));
            }
        }
    }

    /// A call of something that the version does not have: of a class, or of a method of some state.
    fn method(&mut self, subject: &Subject, args: &Args) {
        let of_link = match subject {
            Subject::Link(link) => Class::of_link(link).filter(|class| class.is_atom()).map(Guess::declared),
            _ => None,
        };
        let method = match subject {
            Subject::Name(_, path) => path.last(),
            _ => None,
        };
        let static_method = match subject {
            Subject::Link(link) => find_static(&link.path_text()),
            _ => None,
        };
        self.arguments(args, |param| {
            let of_static = || methods::param_class(static_method?, param).map(Guess::declared);
            of_link.or_else(of_static).or_else(|| methods::argument(method?, param))
        });
    }

    /// A call of a collection, whose columns are declared.
    fn collection(&mut self, schema: &Schema, rest: &[Id], args: &Args) {
        let receiver = Receiver::of_kind(&schema.kind);
        if receiver == Receiver::Tensor {
            return self.arguments(args, |_| None);
        }
        let param = rest.first().and_then(|name| methods::param_class(find(receiver, name.as_str())?, None));
        if param == Some(Class::Number) {
            return self.arguments(args, |_| param.map(Guess::declared));
        }
        match args {
            Args::Get(key) | Args::Delete(key) => self.selector(schema, key),
            Args::Put(key, value) => {
                self.selector(schema, key);
                self.row(schema, value);
            }
            Args::Post(names, values) => self.cells(schema, names, values),
        }
    }

    /// A key, or a list of pairs of a column and what its cells have to be.
    fn selector(&mut self, schema: &Schema, expr: &Expr) {
        let Expr::Tuple(items) = expr else { return self.visit(expr, None) };
        for (at, item) in items.iter().enumerate() {
            match item {
                Expr::Tuple(pair) if let [Expr::Literal(name), bound] = pair.as_slice() => {
                    self.all(bound, named(schema, name));
                }
                item => self.all(item, schema.columns.get(at).map(|column| column.class)),
            }
        }
    }

    /// What is put: a whole row of a B-tree, the values of a row of a table, or cells by name.
    fn row(&mut self, schema: &Schema, expr: &Expr) {
        let columns = if schema.kind == Kind::Table { schema.values() } else { &schema.columns[..] };
        match expr {
            Expr::Tuple(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.all(item, columns.get(at).map(|column| column.class));
                }
            }
            Expr::Map(names, values) => self.cells(schema, names, values),
            expr => self.visit(expr, None),
        }
    }

    fn cells(&mut self, schema: &Schema, names: &[Id], values: &[Expr]) {
        for (name, value) in names.iter().zip(values) {
            let column = schema.position(name.as_str()).map(|at| schema.columns[at].class);
            self.all(value, column);
        }
    }

    /// An expression whose parts all seem to be of one class: bounds of a range.
    fn all(&mut self, expr: &Expr, class: Option<Class>) {
        match expr {
            Expr::Tuple(items) => items.iter().for_each(|item| self.all(item, class)),
            expr => self.visit(expr, class.map(Guess::declared)),
        }
    }

    fn flow(&mut self, flow: &Flow, expected: Option<Guess>) {
        match flow {
            Flow::After { when, then } | Flow::Before { when, then } => {
                self.visit(when, None);
                self.visit(then, expected);
            }
            Flow::If { cond, then, or_else } => {
                self.visit(cond, Some(Guess { class: Class::Exactly(NumberClass::Bool), trust: Trust::Own }));
                [then, or_else].into_iter().for_each(|branch| self.visit(branch, expected));
            }
            Flow::Case { cond, switch, cases } => {
                [cond].into_iter().chain(switch).for_each(|value| self.visit(value, None));
                cases.iter().for_each(|case| self.visit(case, expected));
            }
            Flow::While { cond, step, state } => {
                [cond, step, state].into_iter().for_each(|part| self.visit(part, None));
            }
            Flow::With { op, .. } => self.visit(op, None),
        }
    }
}

/// The class of the column that a literal names.
fn named(schema: &Schema, name: &State) -> Option<Class> {
    let name = match name {
        State::Value(Value::String(name)) => name,
        State::Value(Value::Id(name)) => name.shared(),
        _ => return None,
    };
    schema.position(name).map(|at| schema.columns[at].class)
}
