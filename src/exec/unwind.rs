//! What becomes of an error: the steps that were being resolved, and the frames that make another error of it.

use std::sync::Arc;

use super::call::{Caller, Endpoint};
use super::fiber::{FiberId, Frame, FrameKind, Outer};
use super::machine::Machine;
use crate::compiler::graph::join_contexts;
use crate::error::{Error, Kind};
use crate::txn::{Ended, Granted, Watch, Watched};
use crate::value::Verb;

/// Contexts of one error.
const CONTEXTS_MAX: usize = 64;

impl Machine<'_> {
    /// The frames of a fiber, innermost first, and those that it left behind itself.
    pub(super) fn outer(&self, fiber: FiberId) -> impl Iterator<Item = Outer> + '_ {
        let fiber = &self.fibers[fiber];
        let own = fiber.stack.iter().rev().filter(|frame| !matches!(frame.kind, FrameKind::Loop { .. }));
        let own = own.map(|frame| Outer {
            unit: Arc::clone(&self.activations[frame.activation].unit),
            region: frame.region,
            pc: frame.pc,
            rescue: match frame.kind {
                FrameKind::Region { rescue, .. } => rescue,
                _ => None,
            },
            call: match &frame.kind {
                FrameKind::Call { callee, home, watch, granted, .. } => Some(Caller {
                    home: home.clone(),
                    endpoint: callee.clone(),
                    reads: None,
                    watch: watch.clone(),
                    granted: granted.clone(),
                }),
                _ => None,
            },
            is_region: matches!(frame.kind, FrameKind::Region { .. }),
        });
        own.chain(fiber.outer.iter().cloned())
    }

    /// Who makes a call in a fiber.
    pub(super) fn caller(&self, fiber: FiberId) -> Caller {
        let granted = self.granted(fiber).cloned();
        let calls: Vec<Caller> = self.outer(fiber).filter_map(|frame| frame.call).collect();
        let endpoints = || calls.iter().filter_map(|call| call.endpoint.as_ref());
        let (endpoint, reads) = (endpoints().next().cloned(), endpoints().find(|by| by.verb == Verb::Get).cloned());
        let innermost = calls.into_iter().next().unwrap_or_default();
        Caller { endpoint, reads, granted, ..innermost }
    }

    /// What was granted to that which a fiber does, by the innermost call that grants anything: it includes what those
    /// around it grant.
    pub(super) fn granted(&self, fiber: FiberId) -> Option<&Arc<Granted>> {
        let fiber = &self.fibers[fiber];
        fiber.stack.iter().rev().find_map(granted_of).or(fiber.granted.as_ref())
    }

    /// What watches that which a fiber does: the innermost call of a method, else the request.
    pub(super) fn watch(&self, fiber: FiberId) -> Option<Arc<dyn Watch>> {
        let request = self.session.watch()?;
        if !self.has_endpoints {
            return Some(Arc::clone(request));
        }
        let fiber = &self.fibers[fiber];
        let own = fiber.stack.iter().rev().find_map(watch_of);
        let outer = || fiber.outer.iter().find_map(|frame| frame.call.as_ref()?.watch.as_ref());
        Some(Arc::clone(own.or_else(outer).unwrap_or(request)))
    }

    /// Begins to watch a call of a method.
    pub(super) fn begin_watch(&self, fiber: FiberId, endpoint: &Endpoint) -> Option<Arc<dyn Watch>> {
        Some(self.watch(fiber)?.begin(Watched::Method { verb: endpoint.verb, link: &endpoint.link }))
    }

    /// Ends the calls that were open when the time was up. Those that another error goes through have ended with it.
    pub(super) fn end_calls(&self, error: &Error) {
        if error.kind() != Kind::Timeout {
            return;
        }
        let ended = Ended { error: Some(Kind::Timeout), status: None };
        let frames = self.fibers.iter().flat_map(|(_, fiber)| fiber.stack.iter().rev());
        frames.filter_map(watch_of).for_each(|watch| watch.end(ended));
    }

    /// What an error becomes that ends the request: with the steps that were being resolved, unless a frame makes another
    /// error of this one.
    pub(super) fn fail(&self, fiber: FiberId, mut error: Error) -> Error {
        let mut contexts: Vec<String> = error.stack().to_vec();
        let mut is_same_activation = false;
        for frame in self.outer(fiber) {
            if contexts.len() < CONTEXTS_MAX {
                let more = frame.unit.contexts(frame.pc.saturating_sub(1), frame.region);
                // Within an activation, a region is a part of the step that needs it more often than not.
                if is_same_activation { join_contexts(&mut contexts, more) } else { contexts.extend(more) }
            }
            let call = frame.call.unwrap_or_default();
            call.watch.iter().for_each(|watch| watch.end(Ended { error: Some(error.kind()), status: None }));
            contexts.extend(call.endpoint.as_deref().map(Endpoint::context));
            is_same_activation = frame.is_region;
            if let Some(kind) = frame.rescue.filter(|_| !matches!(error.kind(), Kind::Timeout | Kind::TooLarge)) {
                error = Error::new(kind, error.message());
                contexts.clear();
            }
        }
        contexts.truncate(CONTEXTS_MAX);
        error.with_stack(contexts)
    }
}

fn granted_of(frame: &Frame) -> Option<&Arc<Granted>> {
    match &frame.kind {
        FrameKind::Call { granted, .. } => granted.as_ref(),
        _ => None,
    }
}

fn watch_of(frame: &Frame) -> Option<&Arc<dyn Watch>> {
    match &frame.kind {
        FrameKind::Call { watch, .. } => watch.as_ref(),
        _ => None,
    }
}
