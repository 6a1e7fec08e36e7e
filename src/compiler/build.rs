//! Programs become graphs.
//!
//! Only what the result may need is built: the steps are visited from the last one, each after the steps that it names.
//! Names that are not steps are parameters of an op; in a program there are none, so they are errors, raised when they
//! are reached and not before.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::graph::{NodeId, Op, OpGraph, Target, Trail};
use super::methods::{self, Params, Shape};
use super::ml;
use super::program::{Program, is_parameter};
use super::tensor;
use crate::error::{Error, Kind, Result};
use crate::value::{Args, Authority, Class, Expr, Flow, Id, Link, OpDef, State, Step, Subject};

/// What a graph is built for.
pub struct BuildContext<'a> {
    /// Nodes of one graph.
    nodes_max: usize,
    /// Whether a URL names this host.
    is_local: Box<dyn Fn(&Authority) -> bool + 'a>,
    /// Fails when there is no more time.
    check_time: Box<dyn Fn() -> Result<()> + 'a>,
    /// Steps of work since the last look at the time.
    ticks: Cell<u32>,
}

/// Steps of work between two looks at the time.
const TICKS: u32 = 256;

impl<'a> BuildContext<'a> {
    /// A context for graphs of at most `nodes_max` nodes; `is_local` says whether a URL names this host, `check_time`
    /// fails when there is no more time.
    pub fn new(
        nodes_max: usize,
        is_local: impl Fn(&Authority) -> bool + 'a,
        check_time: impl Fn() -> Result<()> + 'a,
    ) -> Self {
        Self { nodes_max, is_local: Box::new(is_local), check_time: Box::new(check_time), ticks: Cell::new(0) }
    }

    /// Notes one step of work: a node that is built or visited.
    ///
    /// # Errors
    /// `Timeout` if there is no more time.
    pub fn tick(&self) -> Result<()> {
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks % TICKS);
        if ticks == TICKS { (self.check_time)() } else { Ok(()) }
    }
}

/// Builds the graph of a program, whose literals become [`Op::Param`]s.
///
/// # Errors
/// `TooLarge` past the bound on nodes.
pub fn build_program(program: &Program, cx: &BuildContext<'_>) -> Result<OpGraph> {
    let mut params = HashMap::new();
    program.for_each_literal(|state| {
        let index = params.len() as u32;
        params.insert(std::ptr::from_ref(state), index);
    });
    let mut builder = Builder::new(&program.steps, cx);
    builder.params = params;
    builder.is_named = program.is_named;
    builder.build()
}

/// Builds the graph of an op, whose parameters become [`Op::Input`]s and whose literals are constants.
///
/// # Errors
/// As [`build_program`].
pub fn build_op(op: &OpDef, cx: &BuildContext<'_>) -> Result<OpGraph> {
    let mut builder = Builder::new(&op.steps, cx);
    builder.is_op = true;
    builder.is_named = true;
    for param in op.kind.params() {
        builder.graph.input(param);
    }
    builder.build()
}

struct Builder<'a> {
    graph: OpGraph,
    cx: &'a BuildContext<'a>,
    last: Option<&'a Step>,
    /// Of steps with one name, the last.
    steps: HashMap<&'a Id, &'a Expr>,
    built: HashMap<&'a Id, NodeId>,
    /// Stand-ins for steps that were named before they were built: there, a circle closes.
    recalled: HashMap<&'a Id, NodeId>,
    inputs: HashMap<Id, NodeId>,
    params: HashMap<*const State, u32>,
    is_op: bool,
    is_named: bool,
}

/// Where an expression stands.
#[derive(Clone)]
struct Place<'a> {
    step: &'a Id,
    /// `_then` or `_or_else` in a branch of an `if`.
    branch: &'static str,
    trail: Option<Arc<Trail>>,
    /// Whether it is given by name to a link, which may make an instance of it.
    is_member: bool,
}

static SELF: LazyLock<Id> = LazyLock::new(|| Id::from(Id::SELF));

/// The error that a name has no state.
pub fn unknown(name: &Id) -> Error {
    match name.as_str() {
        Id::SELF => Error::bad_request("$self is only known in a method"),
        name => Error::not_found(format!("state with ID {name}")),
    }
}

impl<'a> Builder<'a> {
    fn new(steps: &'a [Step], cx: &'a BuildContext<'a>) -> Self {
        Self {
            graph: OpGraph::new(),
            cx,
            last: steps.last(),
            steps: steps.iter().map(|step| (&step.name, &step.expr)).collect(),
            built: HashMap::new(),
            recalled: HashMap::new(),
            inputs: HashMap::new(),
            params: HashMap::new(),
            is_op: false,
            is_named: false,
        }
    }

    fn build(mut self) -> Result<OpGraph> {
        let Some(last) = self.last else { return Ok(self.graph) };
        for name in self.order(&last.name) {
            let trail = self.is_named.then(|| Arc::new(Trail { step: name.clone(), caller: None }));
            let place = Place { step: name, branch: "", trail, is_member: false };
            let node = self.expr(self.steps[name], &place)?;
            self.built.insert(name, node);
            if let Some(stand_in) = self.recalled.remove(name) {
                self.graph.replace(stand_in, node);
                self.graph.remove(stand_in);
            }
        }
        let default_root = self.graph.root();
        self.graph.set_root(self.built[&last.name]);
        if default_root != self.graph.root() && self.graph.users(default_root).next().is_none() {
            self.graph.remove(default_root);
        }
        Ok(self.graph)
    }

    /// The steps that `last` may need, each after those that it names, but for circles.
    fn order(&self, last: &'a Id) -> Vec<&'a Id> {
        let mut seen = std::collections::HashSet::new();
        let mut order = Vec::new();
        let mut stack = vec![(last, false)];
        while let Some((name, expanded)) = stack.pop() {
            if expanded {
                order.push(name);
            } else if seen.insert(name) {
                stack.push((name, true));
                let mut names = Vec::new();
                self.names_in(self.steps[name], name, "", &mut names);
                stack.extend(names.into_iter().rev().map(|name| (name, false)));
            }
        }
        order
    }

    /// The steps that an expression names, outside op definitions.
    fn names_in(&self, expr: &'a Expr, step: &'a Id, branch: &'static str, names: &mut Vec<&'a Id>) {
        let mut note = |name: &Id| names.extend(self.steps.get_key_value(name).map(|(name, _)| *name));
        match expr {
            Expr::Literal(_) => {}
            Expr::Name(name) => note(name),
            Expr::Tuple(items) | Expr::Map(_, items) => items.iter().for_each(|e| self.names_in(e, step, "", names)),
            Expr::Call(subject, args) => {
                if let Some(message) = self.rendered_message(subject, args, step, branch) {
                    note(&message);
                }
                match subject.as_ref() {
                    Subject::Name(name, _) => note(name),
                    Subject::Link(_) => {}
                    Subject::Value(expr) => self.names_in(expr, step, "", names),
                }
                args.exprs().into_iter().for_each(|e| self.names_in(e, step, "", names));
            }
            Expr::Flow(flow) => match flow.as_ref() {
                Flow::After { when, then } | Flow::Before { when, then } => {
                    [when, then].into_iter().for_each(|e| self.names_in(e, step, "", names));
                }
                Flow::If { cond, then, or_else } => {
                    self.names_in(cond, step, "", names);
                    self.names_in(then, step, "_then", names);
                    self.names_in(or_else, step, "_or_else", names);
                }
                Flow::Case { cond, switch, cases } => {
                    [cond].into_iter().chain(switch).chain(cases).for_each(|e| self.names_in(e, step, "", names));
                }
                Flow::While { cond, step: body, state } => {
                    [cond, body, state].into_iter().for_each(|e| self.names_in(e, step, "", names));
                }
                Flow::With { names: captured, op } => {
                    captured.iter().for_each(&mut note);
                    self.names_in(op, step, "", names);
                }
            },
        }
    }

    /// The step that holds the message of an error, where client 0.17 refers to a template by a path that has none.
    ///
    /// It emits the rendered message as the step `<place>_message`, and in the error itself a POST to the class path of
    /// String, with the parameters but without the template.
    fn rendered_message(&self, subject: &Subject, args: &Args, step: &Id, branch: &str) -> Option<Id> {
        let (Subject::Link(link), Args::Get(Expr::Call(message, _))) = (subject, args) else { return None };
        let Subject::Link(message) = message.as_ref() else { return None };
        if raised_by(link).is_none() || message.path_text() != "/state/scalar/value/string/render" {
            return None;
        }
        let name: Id = format!("{step}{branch}_message").parse().ok()?;
        self.steps.contains_key(&name).then_some(name)
    }

    fn add(&mut self, op: Op, operands: &[NodeId], place: &Place<'a>) -> Result<NodeId> {
        self.cx.tick()?;
        if self.graph.node_count() >= self.cx.nodes_max {
            return Err(Error::too_large(format!("the program has more than {} nodes", self.cx.nodes_max)));
        }
        Ok(self.graph.add(op, operands, place.trail.clone()))
    }

    fn fail(&mut self, error: Error, place: &Place<'a>) -> Result<NodeId> {
        self.add(Op::Fail(error), &[], place)
    }

    fn exprs(&mut self, exprs: impl IntoIterator<Item = &'a Expr>, place: &Place<'a>) -> Result<Vec<NodeId>> {
        let place = Place { branch: "", is_member: false, ..place.clone() };
        exprs.into_iter().map(|expr| self.expr(expr, &place)).collect()
    }

    fn expr(&mut self, expr: &'a Expr, place: &Place<'a>) -> Result<NodeId> {
        match expr {
            Expr::Literal(state) => self.literal(state, place),
            Expr::Name(name) => self.name(name, place),
            Expr::Tuple(items) => {
                let items = self.exprs(items, place)?;
                self.add(Op::Tuple, &items, place)
            }
            Expr::Map(keys, values) => {
                let values = self.exprs(values, place)?;
                self.add(Op::Map(Arc::clone(keys)), &values, place)
            }
            Expr::Call(subject, args) => self.call(subject, args, place),
            Expr::Flow(flow) => self.flow(flow, place),
        }
    }

    fn literal(&mut self, state: &'a State, place: &Place<'a>) -> Result<NodeId> {
        match self.params.get(&std::ptr::from_ref(state)).copied() {
            Some(index) => {
                debug_assert!(is_parameter(state));
                let node = self.add(Op::Param(index), &[], place)?;
                self.graph.set_class(node, state.class());
                Ok(node)
            }
            None => self.constant(state, place),
        }
    }

    /// A literal of an op. An op within a method knows the method's `$self`, unless it will be a method itself.
    fn constant(&mut self, state: &'a State, place: &Place<'a>) -> Result<NodeId> {
        let node = self.add(Op::Const(state.clone()), &[], place)?;
        match state {
            State::Op(op) if self.is_op && op.uses_self && !place.is_member => {
                let object = self.name(&SELF, place)?;
                self.add(Op::With(Arc::new([SELF.clone()])), &[object, node], place)
            }
            _ => Ok(node),
        }
    }

    fn name(&mut self, name: &'a Id, place: &Place<'a>) -> Result<NodeId> {
        if let Some(node) = self.built.get(name) {
            return Ok(*node);
        }
        if let Some((step, _)) = self.steps.get_key_value(name) {
            let step = *step;
            let stand_in = match self.recalled.get(step) {
                Some(stand_in) => *stand_in,
                None => {
                    let node = self.fail(Error::internal("a stand-in was left"), place)?;
                    self.recalled.insert(step, node);
                    node
                }
            };
            return self.add(Op::Recall(stand_in), &[], place);
        }
        if !self.is_op {
            return self.fail(unknown(name), place);
        }
        if let Some(node) = self.inputs.get(name) {
            return Ok(*node);
        }
        let index = self.graph.input(name);
        let node = self.add(Op::Input(index), &[], place)?;
        self.inputs.insert(name.clone(), node);
        Ok(node)
    }

    fn call(&mut self, subject: &'a Subject, args: &'a Args, place: &Place<'a>) -> Result<NodeId> {
        let shape = match args {
            Args::Get(_) => Shape::Get,
            Args::Put(..) => Shape::Put,
            Args::Post(names, _) => Shape::Post(Arc::clone(names)),
            Args::Delete(_) => Shape::Delete,
        };
        let mut operands = Vec::with_capacity(3);
        let target = match subject {
            Subject::Name(name, path) => {
                operands.push(self.name(name, place)?);
                Target::Value(Arc::clone(path))
            }
            Subject::Value(expr) => {
                operands.push(self.expr(expr, place)?);
                Target::Value(Arc::new([]))
            }
            Subject::Link(link) => {
                let is_local = link.authority().is_none_or(|authority| (self.cx.is_local)(authority));
                if !is_local {
                    Target::Remote(link.clone())
                } else if let Some(kind) = raised_by(link) {
                    return self.raise(kind, link, subject, args, place);
                } else {
                    match local_target(link, &shape) {
                        Ok(target) => target,
                        Err(error) => return self.fail(error, place),
                    }
                }
            }
        };
        let makes_instance = matches!((subject, args), (Subject::Link(_), Args::Post(..)));
        let inner = Place { branch: "", is_member: makes_instance, ..place.clone() };
        for arg in args.exprs() {
            operands.push(self.expr(arg, &inner)?);
        }
        self.add(Op::Call(target, shape), &operands, place)
    }

    /// `/error/<name>`.
    fn raise(
        &mut self,
        kind: Kind,
        link: &Link,
        subject: &'a Subject,
        args: &'a Args,
        place: &Place<'a>,
    ) -> Result<NodeId> {
        let named = |names: &[Id], name: &str| names.iter().position(|id| id.as_str() == name);
        let operands = match args {
            Args::Get(message) => match self.rendered_message(subject, args, place.step, place.branch) {
                Some(name) => {
                    let (name, _) = self.steps.get_key_value(&name).ok_or_else(|| Error::internal("a lost step"))?;
                    vec![self.name(name, place)?]
                }
                None => self.exprs([message], place)?,
            },
            Args::Post(names, values) => match (named(names, "message"), named(names, "stack")) {
                (None, _) => vec![self.add(Op::Const(State::NONE), &[], place)?],
                (Some(message), None) => self.exprs([&values[message]], place)?,
                (Some(message), Some(stack)) => self.exprs([&values[message], &values[stack]], place)?,
            },
            Args::Put(..) | Args::Delete(_) => return self.fail(not_allowed(link, args.verb().http()), place),
        };
        self.add(Op::Raise(kind, operands.len() as u32), &operands, place)
    }

    fn flow(&mut self, flow: &'a Flow, place: &Place<'a>) -> Result<NodeId> {
        match flow {
            Flow::After { when, then } => {
                let operands = self.exprs([when, then], place)?;
                self.add(Op::After, &operands, place)
            }
            Flow::Before { when, then } => {
                let operands = self.exprs([when, then], place)?;
                let inner = self.add(Op::After, &operands, place)?;
                self.add(Op::After, &[operands[1], inner], place)
            }
            Flow::If { cond, then, or_else } => {
                let cond = self.exprs([cond], place)?[0];
                let then = self.expr(then, &Place { branch: "_then", ..place.clone() })?;
                let or_else = self.expr(or_else, &Place { branch: "_or_else", ..place.clone() })?;
                self.add(Op::If, &[cond, then, or_else], place)
            }
            Flow::Case { cond, switch, cases } => {
                let operands = self.exprs([cond].into_iter().chain(switch).chain(cases), place)?;
                self.add(Op::Case(switch.len() as u32), &operands, place)
            }
            Flow::While { cond, step, state } => {
                let operands = self.exprs([cond, step, state], place)?;
                self.add(Op::While, &operands, place)
            }
            Flow::With { names, op } => {
                let mut sorted: Vec<&Id> = names.iter().collect();
                sorted.sort();
                sorted.dedup();
                let mut operands = Vec::with_capacity(sorted.len() + 1);
                for name in &sorted {
                    operands.push(self.name(name, place)?);
                }
                operands.push(self.expr(op, place)?);
                self.add(Op::With(sorted.into_iter().cloned().collect()), &operands, place)
            }
        }
    }
}

/// The kind of error that a link on this host raises.
fn raised_by(link: &Link) -> Option<Kind> {
    match link.path() {
        [error, name] if error.as_str() == "error" => Kind::raised_by(name.as_str()),
        _ => None,
    }
}

fn not_allowed(link: &Link, verb: &str) -> Error {
    Error::method_not_allowed(format!("endpoint {} does not support {verb}", link.path_text()))
}

/// Where collections are copied.
const COPIES: [&str; 2] = ["/state/collection/btree/copy_from", "/state/collection/table/copy_from"];

/// What a path of this host does when it is called like this.
fn local_target(link: &Link, shape: &Shape) -> Result<Target> {
    let path = link.path_text();
    if let Some(method) = methods::find_static(&path) {
        let is_allowed = match shape {
            Shape::Get => !matches!(method.params, Params::Named(_)),
            Shape::Post(_) => matches!(method.params, Params::Named(_)),
            Shape::Put | Shape::Delete => false,
        };
        return match is_allowed {
            true => methods::bind(method, shape).map(|_| Target::Static(method.name)),
            false => Err(not_allowed(link, shape.verb().http())),
        };
    }
    if link.root().is_some() {
        return Ok(Target::Data(link.to_local()));
    }
    if COPIES.contains(&path.as_str()) || ml::is_function(&path) {
        return match shape {
            Shape::Post(_) => Ok(Target::Data(link.clone())),
            shape => Err(not_allowed(link, shape.verb().http())),
        };
    }
    if tensor::is_constructor(&path) {
        return match shape {
            Shape::Delete => Err(not_allowed(link, shape.verb().http())),
            _ => Ok(Target::Data(link.clone())),
        };
    }
    let class = match Class::at(&path) {
        Some(Class::Other(_)) if path.starts_with("/state/scalar/") => {
            return Err(Error::bad_request(format!("a {path} cannot be made from a value")));
        }
        Some(Class::BTree | Class::Table) => {
            return match shape {
                Shape::Get | Shape::Put => Ok(Target::Data(link.clone())),
                _ => Err(not_allowed(link, shape.verb().http())),
            };
        }
        None | Some(Class::Ref(_) | Class::Op(_) | Class::Closure | Class::Stream | Class::Other(_)) => {
            return Err(Error::not_found(path));
        }
        Some(class) => class,
    };
    match shape {
        Shape::Get => Ok(Target::Cast(class)),
        _ => Err(not_allowed(link, shape.verb().http())),
    }
}
