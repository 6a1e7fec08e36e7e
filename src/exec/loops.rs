//! Loops: `while`, the methods that call an op for each item of a tuple or a stream, and the reduction of a chain, which
//! calls one for each window.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::call::{Callee, OpArgs, OpCall};
use super::reduce::ReduceLoop;
use super::stream::StreamLoop;
use crate::compiler::methods::LoopKind;
use crate::error::{Error, Result};
use crate::value::{Id, Map, State, Tuple, cast};

/// A loop between two calls.
pub(super) enum Loop {
    While { cond: Callee, step: Callee, state: State, is_testing: bool },
    Each { kind: LoopKind, callee: Callee, items: Tuple, next: usize, results: Vec<Option<State>> },
    Fold { callee: Callee, items: Tuple, next: usize, state: Map, params: FoldParams },
    Stream(Box<StreamLoop>),
    Reduce(Box<ReduceLoop>),
}

/// The names of the parameters of a fold's op: those of the state's entries and the item's.
pub(super) struct FoldParams {
    item_name: Id,
    /// The names of the last state's entries: the next state most likely has the same.
    last: Option<Names>,
}

/// The names of a state's entries, and those with the item's.
struct Names {
    of_state: Arc<[Id]>,
    with_item: Arc<[Id]>,
}

impl FoldParams {
    /// The first state of a fold, and the parameters of its op.
    ///
    /// # Errors
    /// `BadRequest` if the state is no map, or the name no name.
    pub(super) fn begin(item_name: &State, value: &State) -> Result<(Map, Self)> {
        let not_a_map = || Error::bad_request(format!("the value of a fold is a map, not a {}", value.class()));
        let state = match value {
            State::Tuple(_) => return Err(not_a_map()),
            value => cast::to_map(value).ok_or_else(not_a_map)?,
        };
        Ok((state, Self { item_name: cast::to_id(item_name)?, last: None }))
    }

    /// The state that an op has returned.
    ///
    /// # Errors
    /// `BadRequest` if it is no map.
    pub(super) fn next(result: &State) -> Result<Map> {
        cast::to_map(result)
            .ok_or_else(|| Error::bad_request(format!("the op of a fold returns a map, not a {}", result.class())))
    }

    /// The entries of `state` and `item`, which hides an entry of its name.
    pub(super) fn with(&mut self, state: &Map, item: &State) -> OpArgs {
        let found = state.keys().binary_search(&self.item_name);
        let mut values = Vec::with_capacity(state.len() + 1);
        values.extend_from_slice(state.values());
        let position = match found {
            Ok(position) => {
                values[position] = item.clone();
                return OpArgs::Named(state.shared_keys(), values);
            }
            Err(position) => position,
        };
        values.insert(position, item.clone());
        let keys = state.shared_keys();
        let names = match &self.last {
            Some(last) if Arc::ptr_eq(&last.of_state, &keys) => Arc::clone(&last.with_item),
            _ => {
                let mut names = keys.to_vec();
                names.insert(position, self.item_name.clone());
                let names: Arc<[Id]> = names.into();
                self.last = Some(Names { of_state: keys, with_item: Arc::clone(&names) });
                names
            }
        };
        OpArgs::Named(names, values)
    }
}

/// What a loop does next.
pub(super) enum Next {
    /// Call an op and come back with the result.
    Call(OpCall),
    /// Wait for this and come back.
    Fetch(BoxFuture<'static, Result<State>>),
    Done(State),
}

impl Loop {
    /// A loop that was not begun.
    pub fn of_while(cond: &State, step: &State, state: State) -> Result<Self> {
        Ok(Loop::While { cond: Callee::of(cond)?, step: Callee::of(step)?, state, is_testing: false })
    }

    /// A loop over the items of `receiver`; `args` in the order of the method's parameters.
    pub fn over(kind: LoopKind, receiver: &State, args: &[State]) -> Result<Self> {
        let State::Tuple(items) = receiver else {
            return Err(Error::bad_request(format!("expected a tuple, found a {}", receiver.class())));
        };
        let (items, next) = (items.clone(), 0);
        Ok(match (kind, args) {
            (LoopKind::Fold, [item_name, value, op]) => {
                let (state, params) = FoldParams::begin(item_name, value)?;
                Loop::Fold { callee: Callee::of(op)?, items, next, state, params }
            }
            (_, [op]) => {
                let results = if kind == LoopKind::ForEach { vec![] } else { vec![None; items.items().len()] };
                Loop::Each { kind, callee: Callee::of(op)?, items, next, results }
            }
            _ => return Err(Error::internal("a loop with the wrong arguments")),
        })
    }

    /// Whether calls may run while earlier ones wait.
    pub fn is_concurrent(&self) -> bool {
        matches!(self, Loop::Each { kind: LoopKind::Map | LoopKind::Filter, .. })
    }

    /// The index of the item whose call is in progress.
    pub fn index(&self) -> usize {
        match self {
            Loop::Each { next, .. } | Loop::Fold { next, .. } => next.saturating_sub(1),
            Loop::While { .. } | Loop::Stream(_) | Loop::Reduce(_) => 0,
        }
    }

    /// Takes the result of the call for the item at `index`.
    pub fn set_result(&mut self, index: usize, result: State) {
        if let Loop::Each { results, .. } = self {
            results[index] = Some(result);
        }
    }

    /// Takes the result of the last call, if there was one, and says what to do next.
    pub fn advance(&mut self, result: Option<State>) -> Result<Next> {
        match self {
            Loop::While { cond, step, state, is_testing } => {
                match result {
                    Some(result) if *is_testing => {
                        *is_testing = false;
                        return match cast::to_bool(&result)? {
                            true => step.with_item(&as_params(step, state)).map(Next::Call),
                            false => Ok(Next::Done(std::mem::replace(state, State::NONE))),
                        };
                    }
                    Some(result) => *state = result,
                    None => {}
                }
                *is_testing = true;
                cond.with_item(&as_params(cond, state)).map(Next::Call)
            }
            Loop::Each { kind, callee, items, next, results } => {
                match (result, &kind) {
                    (Some(result), LoopKind::ForEach) => *results = vec![Some(result)],
                    (Some(result), _) => results[*next - 1] = Some(result),
                    (None, _) => {}
                }
                let Some(item) = items.items().get(*next) else {
                    return finish(*kind, items, std::mem::take(results)).map(Next::Done);
                };
                *next += 1;
                callee.with_item(item).map(Next::Call)
            }
            Loop::Fold { callee, items, next, state, params } => {
                if let Some(result) = result {
                    *state = FoldParams::next(&result)?;
                }
                let Some(item) = items.items().get(*next) else { return Ok(Next::Done(state.clone().into())) };
                *next += 1;
                callee.with_params(params.with(state, item)).map(Next::Call)
            }
            Loop::Stream(stream) => stream.advance(result),
            Loop::Reduce(reduce) => reduce.advance(result),
        }
    }

    /// Bytes of items that were kept since this was last asked, beside the results of calls.
    pub fn take_kept(&mut self) -> u64 {
        match self {
            Loop::Stream(stream) => stream.take_kept(),
            Loop::Reduce(reduce) => reduce.take_kept(),
            Loop::While { .. } | Loop::Each { .. } | Loop::Fold { .. } => 0,
        }
    }

    /// Whether the results of all calls are kept until the end.
    pub fn keeps_results(&self) -> bool {
        self.is_concurrent()
    }

    /// Whether every item has been begun.
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Loop::Each { items, next, .. } if *next >= items.items().len())
    }
}

/// `{"x": []}` reads as an Id; as the state of a loop over a POST op it is a map.
fn as_params(callee: &Callee, state: &State) -> State {
    match (callee.op.kind.verb(), state) {
        (crate::value::Verb::Post, State::Value(_)) => cast::to_map(state).map_or_else(|| state.clone(), State::from),
        _ => state.clone(),
    }
}

fn finish(kind: LoopKind, items: &Tuple, mut results: Vec<Option<State>>) -> Result<State> {
    match kind {
        LoopKind::ForEach => Ok(results.pop().flatten().unwrap_or(State::NONE)),
        LoopKind::Filter => {
            let mut kept = Vec::new();
            for (item, result) in items.items().iter().zip(results) {
                if cast::to_bool(&result.unwrap_or(State::NONE))? {
                    kept.push(item.clone());
                }
            }
            Ok(Tuple::try_new(kept)?.into())
        }
        _ => {
            let missing = || Error::internal("a loop ended before its calls");
            let results = results.into_iter().map(|result| result.ok_or_else(missing));
            Ok(Tuple::try_new(results.collect::<Result<Vec<_>>>()?)?.into())
        }
    }
}
