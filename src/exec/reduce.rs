//! The loop that reduces a chain: level by level, it takes what is due, calls the op with each window, and adds what
//! that returns to the next level.

use std::sync::Arc;

use super::call::{Callee, Endpoint, OpArgs, OpCall};
use super::data::Reducer;
use super::loops::Next;
use crate::chain::policy::Reduce;
use crate::chain::reduce::{Due, Summary, Taken};
use crate::error::{Error, Result};
use crate::value::{Id, Map, State, Tuple};

/// The parameters of the op, in the order of [`Due::args`], which is that of their names.
const PARAMS: [&str; 3] = ["items", "start", "window"];

/// A chain that is being reduced.
pub(super) struct ReduceLoop {
    reducer: Arc<Reducer>,
    op: Callee,
    /// What is called, for the stack of errors.
    endpoint: Arc<Endpoint>,
    params: Arc<[Id]>,
    /// The lengths of the windows of all levels, in seconds.
    windows: Vec<f64>,
    /// The level that is being reduced.
    level: usize,
    step: Step,
    /// What the op was not called with yet.
    due: std::vec::IntoIter<Due>,
    /// What the op has returned.
    summaries: Vec<Summary>,
    /// How many items of each level were reduced.
    counts: Vec<State>,
    /// Bytes of items that were kept since that was last asked.
    kept: u64,
}

/// What the loop waits for.
enum Step {
    Begin,
    /// What is due is taken from a level.
    Take,
    /// The op is called.
    Call(Due),
    /// What the op has returned is added to the next level.
    Add,
}

impl ReduceLoop {
    /// A loop that was not begun.
    pub(super) fn new(reducer: Arc<Reducer>, policy: &Reduce, op: Callee, endpoint: Endpoint) -> Self {
        Self {
            reducer,
            op,
            endpoint: Arc::new(endpoint),
            params: PARAMS.map(Id::from).into(),
            windows: policy.levels.iter().map(|level| level.window).collect(),
            level: 0,
            step: Step::Begin,
            due: vec![].into_iter(),
            summaries: vec![],
            counts: vec![],
            kept: 0,
        }
    }

    /// Bytes of items that were kept since this was last asked.
    pub(super) fn take_kept(&mut self) -> u64 {
        std::mem::take(&mut self.kept)
    }

    /// Takes the result of the op that was called last, or of what was taken or added, and says what to do next.
    pub(super) fn advance(&mut self, result: Option<State>) -> Result<Next> {
        match std::mem::replace(&mut self.step, Step::Begin) {
            Step::Begin => self.take(),
            Step::Take => {
                let Taken { count, windows } = self.reducer.taken();
                self.counts.push(count.into());
                self.kept += windows.iter().map(Due::weight).sum::<u64>();
                self.due = windows.into_iter();
                self.call()
            }
            Step::Call(due) => {
                let result = result.ok_or_else(|| Error::internal("an op that reduces has no result"))?;
                self.summaries.push(due.summary(&self.endpoint.link, &result)?);
                self.kept += result.weight();
                self.call()
            }
            Step::Add => {
                self.level += 1;
                self.take()
            }
        }
    }

    /// Goes on with a level, unless it is the last, which is not reduced.
    fn take(&mut self) -> Result<Next> {
        if self.level + 1 >= self.windows.len() {
            let counts = Tuple::try_new(std::mem::take(&mut self.counts))?;
            return Ok(Next::Done(Map::try_new([(Id::from("reduced"), counts.into())])?.into()));
        }
        self.step = Step::Take;
        Ok(Next::Fetch(self.reducer.take(self.level)))
    }

    /// Calls the op with the next window, or adds what it has returned.
    fn call(&mut self) -> Result<Next> {
        let Some(due) = self.due.next() else {
            self.step = Step::Add;
            let summaries = std::mem::take(&mut self.summaries);
            return Ok(Next::Fetch(self.reducer.add(self.level + 1, summaries)));
        };
        let window = self.windows.get(self.level + 1).copied().unwrap_or_default();
        let call = self.op.with_params(OpArgs::Named(Arc::clone(&self.params), due.args(window)))?;
        self.step = Step::Call(due);
        Ok(Next::Call(OpCall { callee: Some(Arc::clone(&self.endpoint)), ..call }))
    }
}
