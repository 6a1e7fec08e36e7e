//! The machine: runs one request.
//!
//! A *fiber* is a stack of frames. A frame computes a region of an activation, or stands for a loop between two calls. Code
//! runs in one fiber, inline, until it has to wait for another host. Then the part of the stack above the last frame that
//! may be left behind ([`Frame::is_detachable`]: a region that was started rather than forced, an item of a `map`)
//! becomes a fiber of its own, and the rest goes on. So independent calls overlap, and what never waits pays nothing.
//!
//! The machine itself waits for nothing: [`Machine::run`] returns when there is nothing to run but what waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use slab::Slab;

use super::call::{Caller, Invocation, OpArgs, OpCall, invoke, remote_args};
use super::data::{DataCall, Notes, Reader, Session};
use super::fiber::{Activation, ActivationId, Fiber, FiberId, Frame, FrameKind, Join, Target, is_detachable};
use super::gateway::RemoteArgs;
use super::loops::{Loop, Next};
use super::step::{self, Budget, Control, Slot, copy_all, read};
use super::stream::StreamLoop;
use super::trace::Trace;
use super::unit::{Instr, Register, Unit};
use super::vector;
use crate::compiler::methods::LoopKind;
use crate::env::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::Limits;
use crate::txn::{Ended, Granted};
use crate::value::stream::Stage;
use crate::value::{Id, Link, OpDef, State, Stream};

/// Units of work between two looks at the clock: an instruction on small states is one.
const FUEL: u32 = 1024;
/// Units of work of a call for rows.
const DATA_FUEL: u32 = 32;
/// Time after which a request lets others run.
const SLICE: Duration = Duration::from_micros(500);
/// Items of one `map` whose calls wait at once.
const ITEMS_WAITING_MAX: usize = 64;
/// Frames that a fiber remembers of the one that it was a part of.
const OUTER_MAX: usize = 64;
/// Frames of all fibers of one request.
const FRAMES_MAX: usize = 1 << 20;
/// Vectors of registers that are kept for the next call, and how long they may be.
const POOL_MAX: usize = 64;
const POOLED_SLOTS_MAX: usize = 1024;

/// Compiles ops when they are first called.
pub(super) trait Compile: Sync {
    /// Whether ops are run on columns where that can be done.
    fn vectorizes(&self) -> bool;

    fn unit(&self, op: &Arc<OpDef>, deadline: Instant) -> Result<Arc<Unit>>;
}

/// What a fiber waits for.
pub(super) struct Waiting {
    pub fiber: FiberId,
    pub call: Outside,
}

/// A call that leaves the machine.
pub(super) enum Outside {
    /// Of another host.
    Remote(Link, RemoteArgs),
    /// For rows that were not there at once.
    Data(BoxFuture<'static, Result<Invocation>>),
}

/// Why the machine stopped.
pub(super) enum Outcome {
    Done(State),
    /// It ran for a while and others should too.
    Yield,
    /// Everything waits for calls of other hosts.
    Wait,
}

/// Runs one request.
pub(super) struct Machine<'a> {
    compile: &'a dyn Compile,
    pub(super) session: &'a Arc<Session>,
    clock: &'a dyn Clock,
    limits: &'a Limits,
    deadline: Instant,
    computed: Duration,
    pub(super) fibers: Slab<Fiber>,
    pub(super) activations: Slab<Activation>,
    joins: Slab<Join>,
    /// Fibers that can go on; the last goes first.
    ready: VecDeque<FiberId>,
    /// Fibers that wait for a region that another computes.
    parked: Vec<(ActivationId, Register, FiberId)>,
    /// Calls that were made in this turn.
    calls: Vec<Waiting>,
    waiting_calls: usize,
    /// Registers of activations that ended, to be used again.
    pool: Vec<Vec<Slot>>,
    /// Frames of all fibers.
    frames: usize,
    /// Bytes that all activations count for.
    bytes: u64,
    budget: Budget,
    result: Option<State>,
    /// Whether a method of something that is installed was called, or anything was granted.
    pub(super) has_endpoints: bool,
    pub trace: Option<Trace>,
}

/// How a turn of a fiber ended.
enum Turn {
    /// The fiber is done, or waits.
    Over,
    /// The fiber goes on.
    Again,
}

impl<'a> Machine<'a> {
    /// A machine that will run `unit` with the given literals.
    pub fn new(
        unit: Arc<Unit>,
        literals: Vec<State>,
        compile: &'a dyn Compile,
        session: &'a Arc<Session>,
        clock: &'a dyn Clock,
        limits: &'a Limits,
        deadline: Instant,
    ) -> Result<Self> {
        let mut machine = Self {
            compile,
            session,
            clock,
            limits,
            deadline,
            computed: Duration::ZERO,
            fibers: Slab::new(),
            activations: Slab::new(),
            joins: Slab::new(),
            ready: VecDeque::new(),
            parked: Vec::new(),
            calls: Vec::new(),
            waiting_calls: 0,
            pool: Vec::new(),
            frames: 0,
            bytes: 0,
            budget: Budget { fuel: FUEL, bytes: 0 },
            result: None,
            has_endpoints: false,
            trace: None,
        };
        let mut slots: Vec<Slot> = Vec::with_capacity(unit.registers);
        slots.extend(literals.into_iter().map(Slot::Done));
        slots.resize(unit.registers, Slot::Empty);
        let activation = machine.activate(unit, slots);
        let fiber = machine.fibers.insert(Fiber::of_request());
        let kind = FrameKind::Call { keeps_result: true, callee: None, home: None, watch: None, granted: None };
        machine.push(fiber, kind, activation, 0)?;
        machine.ready.push_back(fiber);
        Ok(machine)
    }

    fn activate(&mut self, unit: Arc<Unit>, slots: Vec<Slot>) -> ActivationId {
        let bytes = (slots.len() * size_of::<Slot>()) as u64;
        self.bytes += bytes;
        self.activations.insert(Activation { unit, slots, frames: 0, bytes })
    }

    /// Charges an activation for the results that it has kept since this was last done.
    fn charge(&mut self, activation: ActivationId) -> Result<()> {
        let bytes = std::mem::take(&mut self.budget.bytes);
        if bytes == 0 {
            return Ok(());
        }
        self.activations[activation].bytes += bytes;
        self.bytes += bytes;
        self.check_memory()
    }

    fn check_memory(&self) -> Result<()> {
        match self.bytes > self.limits.request_bytes {
            true => Err(Error::too_large(format!(
                "the request takes more than {} bytes of memory",
                self.limits.request_bytes
            ))),
            false => Ok(()),
        }
    }

    /// Calls of other hosts that were made since this was last asked.
    pub fn take_calls(&mut self) -> Vec<Waiting> {
        self.waiting_calls += self.calls.len();
        std::mem::take(&mut self.calls)
    }

    /// Gives a fiber the reply that it waits for.
    pub fn reply(&mut self, fiber: FiberId, reply: Result<Invocation>) -> Result<()> {
        self.waiting_calls -= 1;
        let turn = match reply {
            Ok(invocation) => self.perform(fiber, invocation),
            Err(error) => Err(error),
        };
        match turn {
            Ok(Turn::Again) => self.ready.push_back(fiber),
            Ok(Turn::Over) => {}
            Err(error) => return Err(self.fail(fiber, error)),
        }
        Ok(())
    }

    /// Runs until the request is done, everything waits, or it is time for others.
    pub fn run(&mut self) -> Result<Outcome> {
        let begin = self.clock.now();
        let mut now = begin;
        loop {
            self.budget.fuel = FUEL;
            while self.budget.fuel > 0 {
                if let Some(result) = self.result.take() {
                    return Ok(Outcome::Done(result));
                }
                let Some(fiber) = self.ready.pop_back() else {
                    return self.idle();
                };
                if let Turn::Again = self.turn(fiber)? {
                    self.ready.push_back(fiber);
                }
            }
            let before = now;
            now = self.clock.now();
            self.computed += now - before;
            if now >= self.deadline {
                return Err(Error::timeout("request timed out"));
            }
            if self.computed > self.limits.compute_time {
                let limit = self.limits.compute_time.as_secs_f64();
                return Err(Error::timeout(format!("the request computed for longer than {limit} s")));
            }
            if now - begin > SLICE {
                return Ok(Outcome::Yield);
            }
        }
    }

    /// Nothing can run now.
    fn idle(&self) -> Result<Outcome> {
        if self.waiting_calls > 0 || !self.calls.is_empty() {
            return Ok(Outcome::Wait);
        }
        // Everybody waits for somebody here.
        let error = Error::bad_request("circular reference");
        Err(match self.parked.first() {
            Some((_, _, fiber)) => self.fail(*fiber, error),
            None => error,
        })
    }

    /// Runs a fiber until it is done, waits, or the fuel is used up.
    fn turn(&mut self, fiber: FiberId) -> Result<Turn> {
        while self.budget.fuel > 0 {
            let turn = match self.fibers[fiber].stack.last() {
                None => return Ok(Turn::Over),
                Some(Frame { kind: FrameKind::Loop { .. }, .. }) => {
                    self.budget.fuel -= 1;
                    self.advance(fiber, None)
                }
                Some(_) => self.straight(fiber),
            };
            match turn {
                Ok(Turn::Again) => {}
                Ok(Turn::Over) => return Ok(Turn::Over),
                Err(error) => return Err(self.fail(fiber, error)),
            }
        }
        Ok(Turn::Again)
    }

    /// Runs the code of the last frame of a fiber.
    fn straight(&mut self, fiber: FiberId) -> Result<Turn> {
        let Some(frame) = self.fibers[fiber].stack.last_mut() else { return Ok(Turn::Over) };
        let activation = frame.activation;
        let Activation { unit, slots, .. } = &mut self.activations[activation];
        let control = match &mut self.trace {
            None => step::run(unit, slots, &mut frame.pc, &mut self.budget)?,
            Some(trace) => trace.step(unit, slots, &mut frame.pc, &mut self.budget, self.clock)?,
        };
        self.charge(activation)?;
        match control {
            Control::Fuel => Ok(Turn::Again),
            Control::End => self.end(fiber),
            Control::Slow => self.slow(fiber),
        }
    }

    /// A frame has run to its end.
    fn end(&mut self, fiber: FiberId) -> Result<Turn> {
        let Some(frame) = self.fibers[fiber].stack.last() else { return Ok(Turn::Over) };
        let activation = frame.activation;
        match frame.kind {
            FrameKind::Call { keeps_result, .. } => {
                let Activation { unit, slots, .. } = &self.activations[activation];
                let result = read(unit, slots, unit.result)?;
                let result = if keeps_result { result.clone() } else { State::NONE };
                self.pop(fiber);
                self.deliver(fiber, result)
            }
            FrameKind::Region { head, .. } => {
                self.pop(fiber);
                self.wake(activation, head);
                Ok(self.unless_finished(fiber))
            }
            FrameKind::Loop { .. } => Err(Error::internal("a loop has no code to end")),
        }
    }

    /// Removes a fiber that has nothing left to do.
    fn unless_finished(&mut self, fiber: FiberId) -> Turn {
        if !self.fibers[fiber].stack.is_empty() {
            return Turn::Again;
        }
        self.fibers.remove(fiber);
        Turn::Over
    }

    /// Lets the fibers go on that wait for a region.
    fn wake(&mut self, activation: ActivationId, head: Register) {
        let ready = &mut self.ready;
        self.parked.retain(|(waits_in, register, fiber)| {
            let is_awaited = *waits_in == activation && *register == head;
            if is_awaited {
                ready.push_back(*fiber);
            }
            !is_awaited
        });
    }

    /// Gives a result to the last frame of a fiber, or to whom the fiber works for.
    fn deliver(&mut self, fiber: FiberId, result: State) -> Result<Turn> {
        let Some(frame) = self.fibers[fiber].stack.last_mut() else {
            match self.fibers[fiber].target {
                Target::Request => self.result = Some(result),
                Target::Region => {}
                Target::Item { join, index } => self.join(join, index, result),
            }
            return Ok(self.unless_finished(fiber));
        };
        if let FrameKind::Loop { .. } = frame.kind {
            return self.advance(fiber, Some(result));
        }
        let Activation { unit, slots, .. } = &mut self.activations[frame.activation];
        if let (Some(trace), Some(began)) = (&mut self.trace, frame.began.take()) {
            trace.note(unit, frame.pc - 1, &result, self.clock.now() - began);
        }
        self.budget.keep(&result);
        slots[frame.dst as usize] = Slot::Done(result);
        let activation = frame.activation;
        self.charge(activation)?;
        Ok(Turn::Again)
    }

    /// Takes the result of an item of a loop whose fiber went on without it.
    fn join(&mut self, join: usize, index: usize, result: State) {
        let Join { results, outstanding, waiter } = &mut self.joins[join];
        results.push((index, result));
        *outstanding -= 1;
        if let Some(fiber) = waiter.take() {
            self.ready.push_back(fiber);
        }
    }

    /// Goes on with a loop.
    fn advance(&mut self, fiber: FiberId, result: Option<State>) -> Result<Turn> {
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

    fn push(&mut self, fiber: FiberId, kind: FrameKind, activation: ActivationId, region: u32) -> Result<()> {
        if self.frames > FRAMES_MAX {
            return Err(Error::too_large(format!("more than {FRAMES_MAX} computations are unfinished at once")));
        }
        let data = &mut self.activations[activation];
        data.frames += 1;
        let pc = data.unit.entries[region as usize];
        let fiber = &mut self.fibers[fiber];
        if let FrameKind::Call { .. } = kind {
            fiber.calls += 1;
            if fiber.calls > self.limits.call_depth {
                return Err(Error::bad_request(format!("calls nest deeper than {}", self.limits.call_depth)));
            }
        }
        fiber.stack.push(Frame { kind, activation, region, pc, dst: 0, began: None });
        self.frames += 1;
        Ok(())
    }

    fn pop(&mut self, fiber: FiberId) {
        let fiber = &mut self.fibers[fiber];
        let Some(frame) = fiber.stack.pop() else { return };
        if let FrameKind::Call { watch, .. } = &frame.kind {
            fiber.calls -= 1;
            // Calls that fail are not taken off the stack.
            watch.iter().for_each(|watch| watch.end(Ended::default()));
        }
        self.frames -= 1;
        let activation = &mut self.activations[frame.activation];
        activation.frames -= 1;
        if activation.frames == 0 {
            let Activation { mut slots, bytes, .. } = self.activations.remove(frame.activation);
            self.bytes -= bytes;
            slots.clear();
            if self.pool.len() < POOL_MAX && slots.capacity() <= POOLED_SLOTS_MAX {
                self.pool.push(slots);
            }
        }
    }

    /// Does what an instruction needs the machine for.
    fn slow(&mut self, fiber: FiberId) -> Result<Turn> {
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

    fn perform(&mut self, fiber: FiberId, invocation: Invocation) -> Result<Turn> {
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

    /// Computes a region unless it was, or waits for whoever does.
    fn force(
        &mut self,
        fiber: FiberId,
        activation: ActivationId,
        region: u32,
        head: Register,
        rescue: Option<Kind>,
        was_started: bool,
    ) -> Result<Turn> {
        let slot = &mut self.activations[activation].slots[head as usize];
        match slot {
            Slot::Done(_) => Ok(Turn::Again),
            Slot::Running if was_started => Ok(Turn::Again),
            Slot::Running => {
                // Come back to this instruction.
                if let Some(frame) = self.fibers[fiber].stack.last_mut() {
                    frame.pc -= 1;
                }
                let fiber = self.detach(fiber);
                self.parked.push((activation, head, fiber));
                Ok(Turn::Over)
            }
            Slot::Empty => {
                *slot = Slot::Running;
                self.push(fiber, FrameKind::Region { head, rescue, was_started }, activation, region)?;
                Ok(Turn::Again)
            }
        }
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

    /// A fiber has to wait. The part of it that can be left behind becomes a fiber of its own, and the rest goes on.
    /// Returns the fiber that waits.
    fn detach(&mut self, fiber: FiberId) -> FiberId {
        let stack = &self.fibers[fiber].stack;
        let Some(at) = (1..stack.len()).rev().find(|at| is_detachable(stack, *at)) else { return fiber };
        let above = self.fibers[fiber].stack.split_off(at);
        let (outer, granted) = (self.outer(fiber).take(OUTER_MAX).collect(), self.granted(fiber).cloned());
        let rest = &mut self.fibers[fiber];
        let calls = rest.calls;
        rest.calls -= above.iter().filter(|frame| matches!(frame.kind, FrameKind::Call { .. })).count();
        let target = match rest.stack.last_mut() {
            Some(Frame { kind: FrameKind::Loop { state, join }, .. }) => {
                let new = || Join { results: vec![], outstanding: 0, waiter: None };
                let join = *join.get_or_insert_with(|| self.joins.insert(new()));
                self.joins[join].outstanding += 1;
                Target::Item { join, index: state.index() }
            }
            _ => Target::Region,
        };
        let waits = self.fibers.insert(Fiber { stack: above, target, calls, outer, granted });
        self.ready.push_back(fiber);
        waits
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
