//! What becomes of an error: the steps that were being resolved, and the frames that make another error of it.

use std::sync::Arc;

use super::call::Endpoint;
use super::fiber::{FiberId, FrameKind, Outer};
use super::machine::Machine;
use crate::compiler::graph::join_contexts;
use crate::error::{Error, Kind};

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
            callee: match &frame.kind {
                FrameKind::Call { callee, .. } => callee.clone(),
                _ => None,
            },
            is_region: matches!(frame.kind, FrameKind::Region { .. }),
        });
        own.chain(fiber.outer.iter().cloned())
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
            contexts.extend(frame.callee.as_deref().map(Endpoint::context));
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
