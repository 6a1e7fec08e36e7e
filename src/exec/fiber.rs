//! What the machine keeps of a request that is being run: fibers, their frames, and the activations that these refer to.

use std::sync::Arc;
use std::time::Instant;

use super::call::{Caller, Endpoint};
use super::loops::Loop;
use super::step::Slot;
use super::unit::{Register, Unit};
use crate::error::Kind;
use crate::txn::{Granted, Watch};
use crate::value::{Link, State};

pub(super) type FiberId = usize;
pub(super) type ActivationId = usize;

/// A unit that is being run.
pub(super) struct Activation {
    pub unit: Arc<Unit>,
    pub slots: Vec<Slot>,
    /// Frames that refer to this.
    pub frames: u32,
    /// Bytes that this counts for.
    pub bytes: u64,
}

pub(super) enum FrameKind {
    /// Computes the result of the activation. The call of a method may be watched. What is granted counts until the call
    /// ends.
    Call {
        keeps_result: bool,
        callee: Option<Arc<Endpoint>>,
        home: Option<Link>,
        watch: Option<Arc<dyn Watch>>,
        granted: Option<Arc<Granted>>,
    },
    /// Computes a region of an activation that is further down the stack.
    Region { head: Register, rescue: Option<Kind>, was_started: bool },
    /// Stands for a loop; has no code. Calls of the loop that wait are gathered in a join.
    Loop { state: Box<Loop>, join: Option<usize> },
}

pub(super) struct Frame {
    pub kind: FrameKind,
    pub activation: ActivationId,
    pub region: u32,
    pub pc: u32,
    /// Where the result of the call that this frame waits for goes.
    pub dst: Register,
    /// When that call began, if the request is traced.
    pub began: Option<Instant>,
}

/// Where the result of a fiber goes.
pub(super) enum Target {
    /// It is the result of the request.
    Request,
    /// Into the register of a region; the code itself puts it there.
    Region,
    /// It is that of an item of a loop.
    Item { join: usize, index: usize },
}

pub(super) struct Fiber {
    pub stack: Vec<Frame>,
    pub target: Target,
    /// Calls within calls, counting those of the fibers that this one was a part of.
    pub calls: usize,
    /// The innermost frames of the fiber that this one was a part of, innermost first: the context of its errors.
    pub outer: Vec<Outer>,
    /// What was granted to the fiber that this one was a part of.
    pub granted: Option<Arc<Granted>>,
}

impl Fiber {
    /// The fiber of a request, which has nothing to do yet.
    pub fn of_request() -> Self {
        Self { stack: vec![], target: Target::Request, calls: 0, outer: vec![], granted: None }
    }
}

/// A frame that a fiber left behind when it began to wait.
#[derive(Clone)]
pub(super) struct Outer {
    pub unit: Arc<Unit>,
    pub region: u32,
    pub pc: u32,
    pub rescue: Option<Kind>,
    /// Whose code it is and what was called, if this is the frame of a call.
    pub call: Option<Caller>,
    pub is_region: bool,
}

/// Calls of a loop that outlive the turn of the fiber that made them.
pub(super) struct Join {
    pub results: Vec<(usize, State)>,
    pub outstanding: usize,
    /// The fiber that waits for them.
    pub waiter: Option<FiberId>,
}

/// Whether the stack from `at` on may be left behind while what is below goes on.
pub(super) fn is_detachable(stack: &[Frame], at: usize) -> bool {
    match (&stack[at].kind, &stack[at - 1].kind) {
        (FrameKind::Region { was_started, .. }, _) => *was_started,
        (FrameKind::Call { .. }, FrameKind::Loop { state, .. }) => state.is_concurrent(),
        _ => false,
    }
}
