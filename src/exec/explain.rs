//! EXPLAIN: the plans of a program, of the ops that it defines, and of the methods that are known to be called before
//! anything runs.
//!
//! To find the methods, nothing is done but to read what is installed. What becomes of a call is asked of the code that
//! performs it ([`invoke`], [`Session::find`]), with None in place of each argument that is not known yet; so a plan shows the
//! very op that would run. It is shown only to who may read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::call::{Invocation, OpCall, invoke};
use super::data::{DataCall, Notes, Session};
use super::kernel::{Kernel, Prepared};
use super::machine::Compile;
use super::trace::Trace;
use super::unit::{Site, Unit};
use crate::compiler::display::label;
use crate::compiler::methods::Shape;
use crate::compiler::{NodeId, Op, OpGraph, Target, build_op, build_program};
use crate::error::Result;
use crate::planner::{Explanation, Part, RuleContext};
use crate::txn::Txn;
use crate::value::{Id, Link, OpDef, State};

/// Ops whose plans an explanation shows.
const OPS_MAX: usize = 32;
/// Nodes that are looked at before others get a turn.
const TURN_NODES: usize = 64;

impl Kernel {
    /// Says how a program is run; with `analyze`, runs it and says what that cost.
    ///
    /// # Errors
    /// With `analyze`, as [`Kernel::run`]; `Internal` if what is installed cannot be read.
    pub async fn explain(&self, txn: &Txn, prepared: &Prepared, analyze: bool) -> Result<Explanation> {
        let (Prepared { program, unit }, session) = (prepared, self.begin(txn));
        let (literals, notes) = (program.literals(), Notes::default());
        let (result, trace) = match analyze {
            true => {
                let trace = Some(Trace::default());
                let (state, trace) = self.drive(txn, &session, Arc::clone(unit), literals.clone(), trace).await?;
                (Some(self.read(txn, &session, state, Some(&notes)).await?), trace)
            }
            false => (None, None),
        };
        let (deadline, trace) = (txn.deadline, trace.as_ref());
        let graph = build_program(program, &self.build_context(deadline))?;
        let mut explainer =
            Explainer { kernel: self, session: &session, trace, deadline, literals, parts: vec![], codes: vec![] };
        let code = Code { unit: Arc::clone(unit), home: None, objects: Objects::new() };
        explainer.add("request".into(), graph, code)?;
        explainer.note_result(notes.into_inner());
        let mut at = 0;
        while at < explainer.parts.len() {
            let found = Box::pin(explainer.find(at)).await?;
            for found in found {
                explainer.show(at, found)?;
            }
            at += 1;
        }
        let Explainer { parts, literals, .. } = explainer;
        Ok(Explanation { parts, literals, result })
    }
}

/// Objects by the names that an op knows them by, such as `$self`. The members of an instance may be None in place of what
/// is not known yet.
type Objects = HashMap<Id, State>;

/// Collects the parts of an explanation.
struct Explainer<'a> {
    kernel: &'a Kernel,
    session: &'a Arc<Session>,
    trace: Option<&'a Trace>,
    deadline: Instant,
    literals: Vec<State>,
    parts: Vec<Part>,
    /// What each of the parts shows.
    codes: Vec<Code>,
}

/// What a part shows, and what is known of it beside its plan.
struct Code {
    unit: Arc<Unit>,
    /// The version whose code it is.
    home: Option<Link>,
    objects: Objects,
}

/// An op that a part leads to.
struct Found {
    /// The node that calls it, if it is a method; otherwise the part defines it.
    caller: Option<NodeId>,
    title: String,
    op: Arc<OpDef>,
    objects: Objects,
}

impl Explainer<'_> {
    /// Adds a part, and returns its index.
    fn add(&mut self, title: String, mut graph: OpGraph, code: Code) -> Result<usize> {
        let build = self.kernel.build_context(self.deadline);
        let stages = self.kernel.optimizer.trace(&mut graph, &RuleContext { build: &build })?;
        let analysis = self.trace.map(|trace| trace.of(&code.unit));
        self.parts.push(Part { title, stages, plan: code.unit.plan.clone(), calls: BTreeMap::new(), analysis });
        self.codes.push(code);
        Ok(self.parts.len() - 1)
    }

    /// Adds how the result was read to what is known of the node that is the result of the request.
    fn note_result(&mut self, mut notes: Vec<String>) {
        if let Some(Part { plan, analysis: Some(analysis), .. }) = self.parts.first_mut()
            && !notes.is_empty()
        {
            analysis.entry(plan.graph.root()).or_default().notes.append(&mut notes);
        }
    }

    /// Shows an op that the part `at` leads to, unless it is shown already: so recursion ends.
    fn show(&mut self, at: usize, found: Found) -> Result<()> {
        let Found { caller, title, op, objects } = found;
        let unit = self.kernel.unit(&op, self.deadline)?;
        let index = match self.codes.iter().position(|code| Arc::ptr_eq(&code.unit, &unit)) {
            Some(index) => index,
            None if self.parts.len() > OPS_MAX => return Ok(()),
            None => {
                let graph = build_op(&op, &self.kernel.build_context(self.deadline))?;
                self.add(title, graph, Code { unit, home: op.home().cloned(), objects })?
            }
        };
        if let Some(node) = caller {
            self.parts[at].calls.insert(node, index);
        }
        Ok(())
    }

    /// The ops that a part leads to: those that it defines, then the methods that it calls.
    async fn find(&self, at: usize) -> Result<Vec<Found>> {
        let graph = &self.parts[at].plan.graph;
        let mut objects: HashMap<NodeId, State> = HashMap::new();
        let mut methods = Vec::new();
        // Operands come before what they are used by, so that an object is known before it is called.
        for (turn, id) in graph.topological().into_iter().enumerate() {
            if turn % TURN_NODES == TURN_NODES - 1 {
                tokio::task::yield_now().await;
            }
            match graph.op(id) {
                Op::Input(index) => {
                    let object = self.codes[at].objects.get(&graph.inputs[*index as usize]);
                    objects.extend(object.map(|object| (id, object.clone())));
                }
                Op::Call(target, shape) => match self.resolve(at, (id, target, shape), &objects).await? {
                    Some(Invocation::Op(call)) => methods.push(Found::method(graph, id, call)),
                    Some(Invocation::Done(object @ State::Object(_))) => drop(objects.insert(id, object)),
                    _ => {}
                },
                _ => {}
            }
        }
        let mut found = self.definitions(at, &objects);
        found.extend(methods);
        Ok(found)
    }

    /// What becomes of a call, if that is known: an op that runs, or an object that is there or is made.
    async fn resolve(
        &self,
        at: usize,
        (id, target, shape): (NodeId, &Target, &Shape),
        objects: &HashMap<NodeId, State>,
    ) -> Result<Option<Invocation>> {
        let operands = self.parts[at].plan.graph.operands(id);
        let (subject, args) = match target {
            Target::Value(_) => (objects.get(&operands[0]), &operands[1..]),
            _ => (None, &operands[..]),
        };
        let args: Vec<Option<State>> = args.iter().map(|arg| self.known(at, *arg, objects)).collect();
        // What is given by name makes no difference to what is called; a key may.
        let is_known = matches!(shape, Shape::Post(_)) || args.iter().all(Option::is_some);
        let args: Vec<State> = args.into_iter().map(|arg| arg.unwrap_or(State::NONE)).collect();
        let is_certain = |invocation: &Invocation| is_known || matches!(invocation, Invocation::Op(_));
        let call = match (target, subject) {
            (Target::Data(link), _) => DataCall::Path { link: link.clone(), shape: shape.clone(), args },
            (Target::Value(path), Some(object)) => {
                match invoke(object, &Site::new(Arc::clone(path), shape.clone()), args) {
                    Ok(Invocation::Data(call)) => call,
                    // A call that fails runs nothing.
                    invocation => return Ok(invocation.ok().filter(is_certain)),
                }
            }
            _ => return Ok(None),
        };
        let DataCall::Path { link, shape, args } = call else { return Ok(None) };
        let invocation = self.session.find(&link, &shape, args, self.codes[at].home.clone()).await?;
        Ok(invocation.filter(is_certain))
    }

    /// The value of a node, if it is a literal or an object that is known.
    fn known(&self, at: usize, id: NodeId, objects: &HashMap<NodeId, State>) -> Option<State> {
        self.literal(at, id).or_else(|| objects.get(&id)).cloned()
    }

    fn literal(&self, at: usize, id: NodeId) -> Option<&State> {
        match self.parts[at].plan.graph.op(id) {
            Op::Const(state) => Some(state),
            Op::Param(index) => self.literals.get(*index as usize),
            _ => None,
        }
    }

    /// The ops that a part defines, with titles that say where.
    fn definitions(&self, at: usize, objects: &HashMap<NodeId, State>) -> Vec<Found> {
        let part = &self.parts[at];
        let graph = &part.plan.graph;
        let mut found = Vec::new();
        for id in graph.topological() {
            let Some(state) = self.literal(at, id) else { continue };
            let mut ops = Vec::new();
            collect_ops(state, &mut ops);
            let title = match &graph.node(id).trail {
                Some(trail) => format!("op in step {} of {}", trail.step, part.title),
                None => format!("op in {}", part.title),
            };
            found.extend(ops.into_iter().map(|op| Found {
                caller: None,
                title: title.clone(),
                op,
                objects: captured(graph, id, objects),
            }));
        }
        found
    }
}

impl Found {
    /// The method that a node calls.
    fn method(graph: &OpGraph, caller: NodeId, call: OpCall) -> Self {
        let title = match &call.callee {
            Some(endpoint) => format!("{} {}", endpoint.verb.http(), endpoint.link),
            None => label(graph, graph.op(caller)),
        };
        let context = call.context.iter().flat_map(|context| context.iter());
        let objects = context.filter(|(_, state)| matches!(state, State::Object(_)));
        let objects = objects.map(|(name, object)| (name.clone(), object.clone())).collect();
        Self { caller: Some(caller), title, op: call.op, objects }
    }
}

/// The objects that are captured by the op which a node is.
fn captured(graph: &OpGraph, op: NodeId, objects: &HashMap<NodeId, State>) -> Objects {
    let mut captured = Objects::new();
    for (user, _) in graph.users(op) {
        let (Op::With(names), operands) = (graph.op(user), graph.operands(user)) else { continue };
        // The op itself is the last operand.
        if operands.last() == Some(&op) {
            let known = names.iter().zip(&operands).filter_map(|(name, operand)| Some((name, objects.get(operand)?)));
            captured.extend(known.map(|(name, object)| (name.clone(), object.clone())));
        }
    }
    captured
}

fn collect_ops(state: &State, ops: &mut Vec<Arc<OpDef>>) {
    match state {
        State::Op(op) => ops.push(Arc::clone(op)),
        State::Closure(closure) => ops.push(Arc::clone(&closure.op)),
        State::Map(map) => map.values().iter().for_each(|state| collect_ops(state, ops)),
        State::Tuple(tuple) => tuple.items().iter().for_each(|state| collect_ops(state, ops)),
        _ => {}
    }
}
