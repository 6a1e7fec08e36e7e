//! The machine: runs one request.
//!
//! A *fiber* is a stack of frames. A frame computes a region of an activation, or stands for a loop between two calls. Code
//! runs in one fiber, inline, until it has to wait for another host. Then the part of the stack above the last frame that
//! may be left behind (`is_detachable`: a region that was started rather than forced, an item of a `map`) becomes a fiber of its own, and the rest goes on. So independent calls overlap, and what never waits pays nothing.
//!
//! The machine itself waits for nothing: [`Machine::run`] returns when there is nothing to run but what waits. It takes
//! turns with the fibers here; [`frames`] keeps their stacks, and [`perform`] does what an instruction asks for beyond its
//! registers.

mod frames;
mod perform;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use slab::Slab;

use super::call::Invocation;
use super::data::Session;
use super::fiber::{Activation, ActivationId, Fiber, FiberId, Frame, FrameKind, Join};
use super::gateway::RemoteArgs;
use super::step::{self, Budget, Control, Slot};
use super::trace::Trace;
use super::unit::{Register, Unit};
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::value::{Link, OpDef, State};

/// Units of work between two looks at the clock: an instruction on small states is one.
const FUEL: u32 = 1024;
/// Time after which a request lets others run.
const SLICE: Duration = Duration::from_micros(500);

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
}
