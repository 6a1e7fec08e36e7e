//! Fibers and their frames: what is on a stack, what it is charged for, who waits for whom, and where a result goes.

use std::sync::Arc;

use super::{Machine, Turn};
use crate::error::{Error, Kind, Result};
use crate::exec::fiber::{Activation, ActivationId, Fiber, FiberId, Frame, FrameKind, Join, Target, is_detachable};
use crate::exec::step::{Slot, read};
use crate::exec::unit::{Register, Unit};
use crate::txn::Ended;
use crate::value::State;

/// Frames that a fiber remembers of the one that it was a part of.
const OUTER_MAX: usize = 64;
/// Frames of all fibers of one request.
const FRAMES_MAX: usize = 1 << 20;
/// Vectors of registers that are kept for the next call, and how long they may be.
const POOL_MAX: usize = 64;
const POOLED_SLOTS_MAX: usize = 1024;

impl Machine<'_> {
    pub(super) fn activate(&mut self, unit: Arc<Unit>, slots: Vec<Slot>) -> ActivationId {
        let bytes = (slots.len() * size_of::<Slot>()) as u64;
        self.bytes += bytes;
        self.activations.insert(Activation { unit, slots, frames: 0, bytes })
    }

    /// Charges an activation for the results that it has kept since this was last done.
    pub(super) fn charge(&mut self, activation: ActivationId) -> Result<()> {
        let bytes = std::mem::take(&mut self.budget.bytes);
        if bytes == 0 {
            return Ok(());
        }
        self.activations[activation].bytes += bytes;
        self.bytes += bytes;
        self.check_memory()
    }

    pub(super) fn check_memory(&self) -> Result<()> {
        match self.bytes > self.limits.request_bytes {
            true => Err(Error::too_large(format!(
                "the request takes more than {} bytes of memory",
                self.limits.request_bytes
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn push(
        &mut self,
        fiber: FiberId,
        kind: FrameKind,
        activation: ActivationId,
        region: u32,
    ) -> Result<()> {
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

    pub(super) fn pop(&mut self, fiber: FiberId) {
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

    /// Computes a region unless it was, or waits for whoever does.
    pub(super) fn force(
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

    /// A frame has run to its end.
    pub(super) fn end(&mut self, fiber: FiberId) -> Result<Turn> {
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

    /// Removes a fiber that has nothing left to do.
    fn unless_finished(&mut self, fiber: FiberId) -> Turn {
        if !self.fibers[fiber].stack.is_empty() {
            return Turn::Again;
        }
        self.fibers.remove(fiber);
        Turn::Over
    }

    /// Gives a result to the last frame of a fiber, or to whom the fiber works for.
    pub(super) fn deliver(&mut self, fiber: FiberId, result: State) -> Result<Turn> {
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

    /// A fiber has to wait. The part of it that can be left behind becomes a fiber of its own, and the rest goes on.
    /// Returns the fiber that waits.
    pub(super) fn detach(&mut self, fiber: FiberId) -> FiberId {
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
