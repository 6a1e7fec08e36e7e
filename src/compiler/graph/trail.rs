//! The steps that led to a node.

use std::sync::Arc;

use crate::value::Id;

/// The steps that led to a node, for the stack of an error: its own first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trail {
    pub step: Id,
    /// The step that called the op that this step belongs to, once that op was inlined.
    pub caller: Option<Arc<Trail>>,
}

/// Appends to a chain of contexts, innermost first, those that follow: the two may overlap at their outer ends.
pub fn join_contexts<T: PartialEq>(inner: &mut Vec<T>, outer: Vec<T>) {
    let shared = inner.iter().rev().zip(outer.iter().rev()).take_while(|(l, r)| l == r).count();
    inner.truncate(inner.len() - shared);
    inner.extend(outer);
}

impl Trail {
    /// The steps of this trail, its own first.
    fn steps(self: &Arc<Self>) -> Vec<Id> {
        std::iter::successors(Some(self), |trail| trail.caller.as_ref()).map(|trail| trail.step.clone()).collect()
    }

    /// The trail of a node that takes the place of another: its own steps, then those of the other.
    pub(super) fn joined(inner: Option<&Arc<Self>>, outer: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let mut steps = inner.map(Trail::steps).unwrap_or_default();
        join_contexts(&mut steps, outer.map(Trail::steps).unwrap_or_default());
        steps.into_iter().rev().fold(None, |caller, step| Some(Arc::new(Trail { step, caller })))
    }

    /// The contexts of an error that happened here, innermost first.
    pub fn contexts(self: &Arc<Self>) -> impl Iterator<Item = String> {
        self.steps().into_iter().map(|step| format!("while resolving {step}"))
    }
}
