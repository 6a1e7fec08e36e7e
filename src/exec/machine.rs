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

use slab::Slab;

use super::call::{Invocation, OpArgs, OpCall, invoke, remote_args};
use super::gateway::RemoteArgs;
use super::loops::{Loop, Next};
use super::step::{self, Control, Slot, copy_all, read};
use super::trace::Trace;
use super::unit::{Instr, Register, Unit};
use crate::env::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::Limits;
use crate::value::{Link, OpDef, State};

/// Instructions between two looks at the clock.
const FUEL: u32 = 1024;
/// Time after which a request lets others run.
const SLICE: Duration = Duration::from_micros(500);
/// Calls of one `map` that wait at once.
const CALLS_MAX: usize = 64;
/// Contexts of one error.
const CONTEXTS_MAX: usize = 64;

/// Compiles ops when they are first called.
pub(super) trait Compile: Sync {
    fn unit(&self, op: &Arc<OpDef>) -> Result<Arc<Unit>>;
}

type FiberId = usize;
type ActivationId = usize;

/// A unit that is being run.
struct Activation {
    unit: Arc<Unit>,
    slots: Vec<Slot>,
    /// Frames that refer to this.
    frames: u32,
}

enum FrameKind {
    /// Computes the result of the activation.
    Call { keeps_result: bool },
    /// Computes a region of an activation that is further down the stack.
    Region { head: Register, rescue: Option<Kind>, was_started: bool },
    /// Stands for a loop; has no code.
    Loop(Box<Loop>),
}

struct Frame {
    kind: FrameKind,
    activation: ActivationId,
    region: u32,
    pc: u32,
    /// Where the result of the call that this frame waits for goes.
    dst: Register,
    /// When that call began, if the request is traced.
    began: Option<Instant>,
}

/// Where the result of a fiber goes.
enum Target {
    /// It is the result of the request.
    Request,
    /// Into the register of a region; the code itself puts it there.
    Region,
    /// It is that of an item of a loop.
    Item { join: usize, index: usize },
}

struct Fiber {
    stack: Vec<Frame>,
    target: Target,
    /// What the error of this fiber becomes, as it left such a frame behind.
    rescue: Option<Kind>,
}

/// Calls of a loop that outlive the turn of the fiber that made them.
struct Join {
    results: Vec<(usize, State)>,
    outstanding: usize,
    /// The fiber that waits for them.
    waiter: Option<FiberId>,
}

/// A call of another host that a fiber waits for.
pub(super) struct RemoteCall {
    pub fiber: FiberId,
    pub link: Link,
    pub args: RemoteArgs,
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
    clock: &'a dyn Clock,
    limits: &'a Limits,
    deadline: Instant,
    computed: Duration,
    fibers: Slab<Fiber>,
    activations: Slab<Activation>,
    joins: Slab<Join>,
    /// Fibers that can go on; the last goes first.
    ready: VecDeque<FiberId>,
    /// Fibers that wait for a region that another computes.
    parked: Vec<(ActivationId, Register, FiberId)>,
    /// Calls that were made in this turn.
    calls: Vec<RemoteCall>,
    waiting_calls: usize,
    /// Registers of activations that ended, to be used again.
    pool: Vec<Vec<Slot>>,
    depth: usize,
    result: Option<State>,
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
        clock: &'a dyn Clock,
        limits: &'a Limits,
        deadline: Instant,
    ) -> Self {
        let mut machine = Self {
            compile,
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
            depth: 0,
            result: None,
            trace: None,
        };
        let mut slots: Vec<Slot> = Vec::with_capacity(unit.registers);
        slots.extend(literals.into_iter().map(Slot::Done));
        slots.resize(unit.registers, Slot::Empty);
        let activation = machine.activations.insert(Activation { unit, slots, frames: 0 });
        let fiber = machine.fibers.insert(Fiber { stack: Vec::new(), target: Target::Request, rescue: None });
        machine.push(fiber, FrameKind::Call { keeps_result: true }, activation, 0);
        machine.ready.push_back(fiber);
        machine
    }

    /// Calls of other hosts that were made since this was last asked.
    pub fn take_calls(&mut self) -> Vec<RemoteCall> {
        self.waiting_calls += self.calls.len();
        std::mem::take(&mut self.calls)
    }

    /// Gives a fiber the reply that it waits for.
    pub fn reply(&mut self, fiber: FiberId, reply: Result<State>) -> Result<()> {
        self.waiting_calls -= 1;
        match reply {
            Ok(state) => {
                self.deliver(fiber, state)?;
                self.ready.push_back(fiber);
                Ok(())
            }
            Err(error) => self.fail(fiber, error),
        }
    }

    /// Runs until the request is done, everything waits, or it is time for others.
    pub fn run(&mut self) -> Result<Outcome> {
        let begin = self.clock.now();
        let mut now = begin;
        loop {
            let mut fuel = FUEL;
            while fuel > 0 {
                if let Some(result) = self.result.take() {
                    return Ok(Outcome::Done(result));
                }
                let Some(fiber) = self.ready.pop_back() else {
                    return self.idle();
                };
                if let Turn::Again = self.turn(fiber, &mut fuel)? {
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
        let names: Vec<String> = self.parked.iter().flat_map(|(_, _, fiber)| self.contexts(*fiber)).collect();
        Err(Error::bad_request("circular reference").with_stack(names))
    }

    /// Runs a fiber until it is done, waits, or the fuel is used up.
    fn turn(&mut self, fiber: FiberId, fuel: &mut u32) -> Result<Turn> {
        while *fuel > 0 {
            let step = match self.fibers[fiber].stack.last() {
                None => return Ok(Turn::Over),
                Some(Frame { kind: FrameKind::Loop(_), .. }) => {
                    *fuel = fuel.saturating_sub(1);
                    self.advance(fiber, None)
                }
                Some(_) => self.straight(fiber, fuel),
            };
            match step {
                Ok(Turn::Again) => {}
                Ok(Turn::Over) => return Ok(Turn::Over),
                Err(error) => {
                    self.fail(fiber, error)?;
                    return Ok(Turn::Over);
                }
            }
        }
        Ok(Turn::Again)
    }

    /// Runs the code of the last frame of a fiber.
    fn straight(&mut self, fiber: FiberId, fuel: &mut u32) -> Result<Turn> {
        let Some(frame) = self.fibers[fiber].stack.last_mut() else { return Ok(Turn::Over) };
        let Activation { unit, slots, .. } = &mut self.activations[frame.activation];
        let control = match &mut self.trace {
            None => step::run(unit, slots, &mut frame.pc, fuel)?,
            Some(trace) => trace.step(unit, slots, &mut frame.pc, fuel, self.clock)?,
        };
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
            FrameKind::Call { keeps_result } => {
                let Activation { unit, slots, .. } = &self.activations[activation];
                let result = read(unit, slots, unit.result)?;
                let result = if keeps_result { result.clone() } else { State::NONE };
                self.pop(fiber);
                self.deliver(fiber, result)?;
            }
            FrameKind::Region { head, .. } => {
                self.pop(fiber);
                self.wake(activation, head);
            }
            FrameKind::Loop(_) => {}
        }
        match self.fibers[fiber].stack.is_empty() {
            true => self.finish(fiber),
            false => Ok(Turn::Again),
        }
    }

    fn finish(&mut self, fiber: FiberId) -> Result<Turn> {
        self.fibers.remove(fiber);
        Ok(Turn::Over)
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
    fn deliver(&mut self, fiber: FiberId, result: State) -> Result<()> {
        let Some(frame) = self.fibers[fiber].stack.last_mut() else {
            match self.fibers[fiber].target {
                Target::Request => self.result = Some(result),
                Target::Region => {}
                Target::Item { join, index } => self.join(join, index, result),
            }
            return Ok(());
        };
        if let FrameKind::Loop(_) = frame.kind {
            return self.advance(fiber, Some(result)).map(|_| ());
        }
        let Activation { unit, slots, .. } = &mut self.activations[frame.activation];
        if let (Some(trace), Some(began)) = (&mut self.trace, frame.began.take()) {
            trace.note(unit, frame.pc - 1, &result, self.clock.now() - began);
        }
        slots[frame.dst as usize] = Slot::Done(result);
        Ok(())
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
        let Some(Frame { kind: FrameKind::Loop(state), dst: join, .. }) = self.fibers[fiber].stack.last_mut() else {
            return Err(Error::internal("a loop without a frame"));
        };
        let join = (*join != NO_JOIN).then_some(*join as usize);
        if let Some(join) = join {
            for (index, result) in self.joins[join].results.drain(..) {
                state.set_result(index, result);
            }
            let outstanding = self.joins[join].outstanding;
            if outstanding >= CALLS_MAX || outstanding > 0 && state.is_exhausted() {
                if let Some(result) = result {
                    state.set_result(state.index(), result);
                }
                self.joins[join].waiter = Some(fiber);
                return Ok(Turn::Over);
            }
        }
        match state.advance(result)? {
            Next::Call(call) => self.call_op(fiber, call).map(|()| Turn::Again),
            Next::Done(state) => {
                if let Some(join) = join {
                    self.joins.remove(join);
                }
                self.pop(fiber);
                self.deliver(fiber, state)?;
                match self.fibers[fiber].stack.is_empty() {
                    true => self.finish(fiber),
                    false => Ok(Turn::Again),
                }
            }
        }
    }

    fn push(&mut self, fiber: FiberId, kind: FrameKind, activation: ActivationId, region: u32) {
        let data = &mut self.activations[activation];
        data.frames += 1;
        let pc = data.unit.entries[region as usize];
        let dst = if matches!(kind, FrameKind::Loop(_)) { NO_JOIN } else { 0 };
        self.fibers[fiber].stack.push(Frame { kind, activation, region, pc, dst, began: None });
        self.depth += 1;
    }

    fn pop(&mut self, fiber: FiberId) {
        let Some(frame) = self.fibers[fiber].stack.pop() else { return };
        self.depth -= 1;
        let activation = &mut self.activations[frame.activation];
        activation.frames -= 1;
        if activation.frames == 0 {
            let mut slots = self.activations.remove(frame.activation).slots;
            slots.clear();
            self.pool.push(slots);
        }
    }

    /// Does what an instruction needs the machine for.
    fn slow(&mut self, fiber: FiberId) -> Result<Turn> {
        let now = self.trace.is_some().then(|| self.clock.now());
        let Some(frame) = self.fibers[fiber].stack.last_mut() else { return Ok(Turn::Over) };
        let id = frame.activation;
        let Activation { unit, slots, .. } = &mut self.activations[id];
        let unit = Arc::clone(unit);
        match &unit.code[frame.pc as usize - 1] {
            Instr::Force { region, head, rescue } => self.force(fiber, id, *region, *head, *rescue, false),
            Instr::Start { region, head } => self.force(fiber, id, *region, *head, None, true),
            Instr::Call { dst, site, subject, args } => {
                let args = copy_all(&unit, slots, args)?;
                let invocation = invoke(read(&unit, slots, *subject)?, site, args)?;
                (frame.dst, frame.began) = (*dst, now);
                match invocation {
                    Invocation::Done(state) => self.deliver(fiber, state)?,
                    Invocation::Op(call) => self.call_op(fiber, call)?,
                    Invocation::Loop(kind, receiver, args) => self.begin_loop(fiber, Loop::over(kind, &receiver, &args)?)?,
                }
                Ok(Turn::Again)
            }
            Instr::Loop { dst, kind, receiver, args } => {
                let args = copy_all(&unit, slots, args)?;
                let state = Loop::over(*kind, read(&unit, slots, *receiver)?, &args)?;
                (frame.dst, frame.began) = (*dst, now);
                self.begin_loop(fiber, state)?;
                Ok(Turn::Again)
            }
            Instr::While { dst, cond, step, state } => {
                let (cond, step) = (read(&unit, slots, *cond)?, read(&unit, slots, *step)?);
                let state = Loop::of_while(cond, step, read(&unit, slots, *state)?.clone())?;
                (frame.dst, frame.began) = (*dst, now);
                self.begin_loop(fiber, state)?;
                Ok(Turn::Again)
            }
            Instr::Remote { dst, link, shape, args } => {
                let args = remote_args(shape, copy_all(&unit, slots, args)?)?;
                (frame.dst, frame.began) = (*dst, now);
                let fiber = self.detach(fiber);
                self.calls.push(RemoteCall { fiber, link: link.clone(), args });
                Ok(Turn::Over)
            }
            _ => Err(Error::internal("an instruction that the machine does not know")),
        }
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
                self.check_depth()?;
                self.push(fiber, FrameKind::Region { head, rescue, was_started }, activation, region);
                Ok(Turn::Again)
            }
        }
    }

    fn check_depth(&self) -> Result<()> {
        match self.depth > self.limits.call_depth {
            true => Err(Error::bad_request(format!("calls nest deeper than {}", self.limits.call_depth))),
            false => Ok(()),
        }
    }

    fn begin_loop(&mut self, fiber: FiberId, state: Loop) -> Result<()> {
        self.check_depth()?;
        let Some(frame) = self.fibers[fiber].stack.last() else { return Ok(()) };
        let (activation, region) = (frame.activation, frame.region);
        self.push(fiber, FrameKind::Loop(Box::new(state)), activation, region);
        Ok(())
    }

    fn call_op(&mut self, fiber: FiberId, call: OpCall) -> Result<()> {
        self.check_depth()?;
        let OpCall { op, context, args, keeps_result } = call;
        let unit = self.compile.unit(&op)?;
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
                for (name, arg) in names.iter().zip(args) {
                    if let Some(index) = inputs.iter().position(|input| input == name) {
                        slots[index] = Slot::Done(arg);
                    }
                }
            }
        }
        let activation = self.activations.insert(Activation { unit, slots, frames: 0 });
        self.push(fiber, FrameKind::Call { keeps_result }, activation, 0);
        Ok(())
    }

    /// A fiber has to wait. The part of it that can be left behind becomes a fiber of its own, and the rest goes on.
    /// Returns the fiber that waits.
    fn detach(&mut self, fiber: FiberId) -> FiberId {
        let stack = &self.fibers[fiber].stack;
        let Some(at) = (1..stack.len()).rev().find(|at| is_detachable(stack, *at)) else { return fiber };
        let above = self.fibers[fiber].stack.split_off(at);
        let rest = &mut self.fibers[fiber];
        let rescue = rest.stack.iter().rev().find_map(|frame| match frame.kind {
            FrameKind::Region { rescue, .. } => rescue,
            _ => None,
        });
        let rescue = rescue.or(rest.rescue);
        let target = match rest.stack.last_mut() {
            Some(Frame { kind: FrameKind::Loop(state), dst, .. }) => {
                if *dst == NO_JOIN {
                    let join = Join { results: vec![], outstanding: 0, waiter: None };
                    *dst = self.joins.insert(join) as Register;
                }
                let join = *dst as usize;
                self.joins[join].outstanding += 1;
                Target::Item { join, index: state.index() }
            }
            _ => Target::Region,
        };
        let waits = self.fibers.insert(Fiber { stack: above, target, rescue });
        self.ready.push_back(fiber);
        waits
    }

    /// Unwinds a fiber. Ends the request, unless a frame makes another error of this one.
    fn fail(&mut self, fiber: FiberId, error: Error) -> Result<()> {
        let fiber = &self.fibers[fiber];
        let mut error = error;
        let mut contexts: Vec<String> = error.stack().to_vec();
        let rescued = |error: Error, rescue: Option<Kind>| match rescue {
            Some(kind) if !matches!(error.kind(), Kind::Timeout | Kind::TooLarge) => {
                (Error::new(kind, error.message()), true)
            }
            _ => (error, false),
        };
        let mut is_same_activation = false;
        for frame in fiber.stack.iter().rev() {
            if let FrameKind::Loop(_) = frame.kind {
                continue;
            }
            if contexts.len() < CONTEXTS_MAX {
                extend(&mut contexts, self.frame_contexts(frame), is_same_activation);
            }
            is_same_activation = matches!(frame.kind, FrameKind::Region { .. });
            if let FrameKind::Region { rescue: Some(kind), .. } = frame.kind {
                let was_rescued;
                (error, was_rescued) = rescued(error, Some(kind));
                if was_rescued {
                    contexts.clear();
                }
            }
        }
        (error, _) = rescued(error, fiber.rescue);
        contexts.truncate(CONTEXTS_MAX);
        Err(error.with_stack(contexts))
    }

    fn frame_contexts(&self, frame: &Frame) -> Vec<String> {
        let unit = &self.activations[frame.activation].unit;
        unit.contexts(frame.pc.saturating_sub(1), frame.region)
    }

    fn contexts(&self, fiber: FiberId) -> Vec<String> {
        let mut contexts = Vec::new();
        for frame in self.fibers[fiber].stack.iter().rev().take(CONTEXTS_MAX) {
            extend(&mut contexts, self.frame_contexts(frame), true);
        }
        contexts
    }
}

/// What the register `dst` of a loop's frame holds until calls of the loop wait: then it is the index of their join.
const NO_JOIN: Register = Register::MAX;

/// Appends contexts. Within an activation, a region belongs to the same step as its user more often than not, and that
/// step is named once.
fn extend(contexts: &mut Vec<String>, more: Vec<String>, is_same_activation: bool) {
    if !is_same_activation || !contexts.ends_with(&more) {
        contexts.extend(more);
    }
}

/// Whether the stack from `at` on may be left behind while what is below goes on.
fn is_detachable(stack: &[Frame], at: usize) -> bool {
    match (&stack[at].kind, &stack[at - 1].kind) {
        (FrameKind::Region { was_started, .. }, _) => *was_started,
        (FrameKind::Call { .. }, FrameKind::Loop(state)) => state.is_concurrent(),
        _ => false,
    }
}
