//! What instructions need the machine for: calls of ops, of rows and of other hosts, and loops.

use std::sync::Arc;

use futures::{FutureExt as _, TryFutureExt as _};

use super::{Machine, Outside, Turn, Waiting};
use crate::compiler::methods::LoopKind;
use crate::error::{Error, Result};
use crate::exec::call::{Caller, Invocation, OpArgs, OpCall, invoke, remote_args};
use crate::exec::data::{DataCall, Notes, Reader};
use crate::exec::fiber::{Activation, FiberId, Frame, FrameKind, Join};
use crate::exec::loops::{Loop, Next};
use crate::exec::step::{Slot, copy_all, read};
use crate::exec::stream::StreamLoop;
use crate::exec::unit::Instr;
use crate::exec::vector;
use crate::txn::Granted;
use crate::value::stream::Stage;
use crate::value::{Id, OpDef, State, Stream};

/// Units of work of a call for rows.
const DATA_FUEL: u32 = 32;
/// Items of one `map` whose calls wait at once.
const ITEMS_WAITING_MAX: usize = 64;

impl Machine<'_> {
    /// Does what an instruction needs the machine for.
    pub(super) fn slow(&mut self, fiber: FiberId) -> Result<Turn> {
        let now = self.trace.is_some().then(|| self.clock.now());
        let Some(frame) = self.fibers[fiber].stack.last_mut() else { return Ok(Turn::Over) };
        let id = frame.activation;
        let Activation { unit, slots, .. } = &mut self.activations[id];
        let unit = Arc::clone(unit);
        let instr = &unit.code[frame.pc as usize - 1];
        (frame.dst, frame.began) = (instr.dst().unwrap_or_default(), now);
        match instr {
            Instr::Force { region, head, rescue } => self.force(fiber, id, *region, *head, *rescue, false),
            Instr::Start { region, head } => self.force(fiber, id, *region, *head, None, true),
            Instr::Call { site, subject, args, .. } => {
                let args = copy_all(&unit, slots, args)?;
                let subject = read(&unit, slots, *subject)?;
                self.budget.spend(subject);
                let invocation = invoke(subject, site, args)?;
                self.perform(fiber, invocation)
            }
            Instr::Loop { kind, receiver, args, .. } => {
                let args = copy_all(&unit, slots, args)?;
                let receiver = read(&unit, slots, *receiver)?.clone();
                self.begin_loop_over(fiber, *kind, &receiver, &args)
            }
            Instr::While { cond, step, state, .. } => {
                let (cond, step) = (read(&unit, slots, *cond)?, read(&unit, slots, *step)?);
                let state = Loop::of_while(cond, step, read(&unit, slots, *state)?.clone())?;
                self.begin_loop(fiber, state)
            }
            Instr::Remote { link, shape, args, .. } => {
                let args = remote_args(shape, copy_all(&unit, slots, args)?)?;
                Ok(self.leave(fiber, Outside::Remote(link.clone(), args)))
            }
            Instr::Data { link, shape, args, .. } => {
                let args = copy_all(&unit, slots, args)?;
                let call = DataCall::Path { link: link.clone(), shape: shape.clone(), args };
                self.data(fiber, call)
            }
            Instr::WriteAll { subject, args, .. } => {
                let State::Collection(collection) = read(&unit, slots, *subject)? else {
                    return Err(Error::internal("rows are written together only to a collection"));
                };
                let collection = Arc::clone(collection);
                let args = copy_all(&unit, slots, args)?;
                self.data(fiber, DataCall::WriteAll { collection, args })
            }
            _ => Err(Error::internal("an instruction that the machine does not know")),
        }
    }

    pub(super) fn perform(&mut self, fiber: FiberId, invocation: Invocation) -> Result<Turn> {
        match invocation {
            Invocation::Done(state) => self.deliver(fiber, state),
            Invocation::Op(call) => self.call_op(fiber, call, None).map(|()| Turn::Again),
            Invocation::Granted(call, granted) => self.call_op(fiber, call, Some(granted)).map(|()| Turn::Again),
            Invocation::Loop(kind, receiver, args) => self.begin_loop_over(fiber, kind, &receiver, &args),
            Invocation::Begin(state) => self.begin_loop(fiber, state),
            Invocation::Data(call) => self.data(fiber, call),
        }
    }

    /// The notes about the instruction that a fiber has just begun, if this is traced.
    fn notes_of(&mut self, fiber: FiberId) -> Option<Arc<Notes>> {
        let trace = self.trace.as_mut()?;
        let frame = self.fibers[fiber].stack.last()?;
        Some(trace.notes(&self.activations[frame.activation].unit, frame.pc - 1))
    }

    /// Asks for rows. Most are in memory, and there at once.
    fn data(&mut self, fiber: FiberId, call: DataCall) -> Result<Turn> {
        self.budget.fuel = self.budget.fuel.saturating_sub(DATA_FUEL);
        let notes = self.notes_of(fiber);
        // Where nothing was installed, nobody makes calls but the request.
        let caller = if self.has_endpoints { self.caller(fiber) } else { Caller::default() };
        let mut reply = self.session.call(call, caller, notes);
        match reply.as_mut().now_or_never() {
            Some(reply) => self.perform(fiber, reply?),
            None => Ok(self.leave(fiber, Outside::Data(reply))),
        }
    }

    /// A fiber waits for what is not here.
    fn leave(&mut self, fiber: FiberId, call: Outside) -> Turn {
        let fiber = self.detach(fiber);
        self.calls.push(Waiting { fiber, call });
        Turn::Over
    }

    /// Begins a loop over the items of a tuple or a stream.
    fn begin_loop_over(&mut self, fiber: FiberId, kind: LoopKind, receiver: &State, args: &[State]) -> Result<Turn> {
        let state = match receiver {
            State::Stream(stream) => self.read_stream(fiber, kind, stream, args)?,
            receiver => Loop::over(kind, receiver, args)?,
        };
        self.begin_loop(fiber, state)
    }

    /// A loop over a stream, of which as many stages as possible are done on columns.
    fn read_stream(&mut self, fiber: FiberId, kind: LoopKind, stream: &Stream, args: &[State]) -> Result<Loop> {
        let (compile, deadline) = (self.compile, self.deadline);
        let mut unit = |op: &Arc<OpDef>| compile.unit(op, deadline);
        let (schema, only_counts) = (stream.source.schema(), kind == LoopKind::Count);
        let program = match compile.vectorizes() {
            true => vector::compile(&schema, &stream.stages, only_counts, &mut unit),
            false => None,
        };
        let (columns, done) = match &program {
            Some(program) => (program.inputs.clone(), program.stages),
            None => {
                let mut stages = stream.stages.clone();
                stages.extend(args.first().filter(|_| kind == LoopKind::ForEach).cloned().map(Stage::Map));
                (vector::needed_columns(&schema, &stages, &mut unit), 0)
            }
        };
        let reader = Reader::new(self.session, &stream.source, columns, program, self.notes_of(fiber));
        Ok(Loop::Stream(Box::new(StreamLoop::new(kind, stream, args, reader, done)?)))
    }

    fn begin_loop(&mut self, fiber: FiberId, state: Loop) -> Result<Turn> {
        let Some(frame) = self.fibers[fiber].stack.last() else { return Ok(Turn::Over) };
        let (activation, region) = (frame.activation, frame.region);
        self.push(fiber, FrameKind::Loop { state: Box::new(state), join: None }, activation, region)?;
        Ok(Turn::Again)
    }

    /// Goes on with a loop.
    pub(super) fn advance(&mut self, fiber: FiberId, result: Option<State>) -> Result<Turn> {
        let Some(Frame { kind: FrameKind::Loop { state, join }, activation, .. }) = self.fibers[fiber].stack.last_mut()
        else {
            return Err(Error::internal("a loop without a frame"));
        };
        let activation = *activation;
        if let Some(result) = result.as_ref().filter(|_| state.keeps_results()) {
            self.budget.keep(result);
        }
        if let Some(join) = *join {
            let Join { results, outstanding, waiter } = &mut self.joins[join];
            for (index, result) in results.drain(..) {
                state.set_result(index, result);
            }
            if *outstanding >= ITEMS_WAITING_MAX || *outstanding > 0 && state.is_exhausted() {
                if let Some(result) = result {
                    state.set_result(state.index(), result);
                }
                *waiter = Some(fiber);
                self.charge(activation)?;
                return Ok(Turn::Over);
            }
        }
        let next = state.advance(result)?;
        self.budget.bytes += state.take_kept();
        match next {
            Next::Call(call) => {
                self.charge(activation)?;
                self.call_op(fiber, call, None).map(|()| Turn::Again)
            }
            Next::Fetch(mut reply) => {
                self.budget.fuel = self.budget.fuel.saturating_sub(DATA_FUEL);
                self.charge(activation)?;
                match reply.as_mut().now_or_never() {
                    Some(reply) => reply.map(|_| Turn::Again),
                    None => Ok(self.leave(fiber, Outside::Data(reply.map_ok(Invocation::Done).boxed()))),
                }
            }
            Next::Done(state) => {
                if let Some(join) = *join {
                    self.joins.remove(join);
                }
                self.pop(fiber);
                self.deliver(fiber, state)
            }
        }
    }

    fn call_op(&mut self, fiber: FiberId, call: OpCall, granted: Option<Arc<Granted>>) -> Result<()> {
        let OpCall { op, context, args, keeps_result, callee } = call;
        let unit = self.compile.unit(&op, self.deadline)?;
        let mut slots = self.pool.pop().unwrap_or_default();
        slots.resize(unit.registers, Slot::Empty);
        let inputs = unit.inputs();
        if let Some(context) = &context {
            for (slot, name) in slots.iter_mut().zip(inputs) {
                if let Some(state) = context.get(name.as_str()) {
                    *slot = Slot::Done(state.clone());
                }
            }
        }
        match args {
            // The parameters of the op are its first inputs.
            OpArgs::Positional(args) => {
                for (slot, arg) in slots.iter_mut().zip(args) {
                    *slot = Slot::Done(arg);
                }
            }
            OpArgs::Named(names, args) => {
                self.budget.spend_bytes((args.len() * size_of::<State>()) as u64);
                bind_named(&mut slots, inputs, &names, args);
            }
        }
        let activation = self.activate(unit, slots);
        self.has_endpoints |= callee.is_some() || granted.is_some();
        let watch = callee.as_ref().and_then(|endpoint| self.begin_watch(fiber, endpoint));
        let kind = FrameKind::Call { keeps_result, callee, home: op.home().cloned(), watch, granted };
        self.push(fiber, kind, activation, 0)?;
        self.check_memory()
    }
}

/// Puts arguments where the op looks for them; those that it does not know are ignored.
fn bind_named(slots: &mut [Slot], inputs: &[Id], names: &[Id], args: Vec<State>) {
    if names.len() * inputs.len() <= 64 {
        for (name, arg) in names.iter().zip(args) {
            if let Some(index) = inputs.iter().position(|input| input == name) {
                slots[index] = Slot::Done(arg);
            }
        }
        return;
    }
    for (slot, input) in slots.iter_mut().zip(inputs) {
        if let Ok(index) = names.binary_search(input) {
            *slot = Slot::Done(args[index].clone());
        }
    }
}
