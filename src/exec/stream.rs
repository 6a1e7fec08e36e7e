//! Goes through a stream: item by item through its stages, and on to what is done with all of them.
//!
//! The first stages may have been done on columns already ([`super::vector`]); what is left is done here, one call of an op
//! after the other.

use std::sync::Arc;

use super::call::{Callee, OpArgs, OpCall};
use super::data::{Reader, Received};
use super::loops::{FoldParams, Next};
use super::vector::reduce::{Reduced, Reduction};
use crate::compiler::methods::LoopKind;
use crate::error::{Error, Result};
use crate::value::stream::Stage;
use crate::value::{Id, Map, Schema, State, Stream, Tuple, cast};

/// A stream that is being read.
pub(super) struct StreamLoop {
    reader: Arc<Reader>,
    stages: Vec<Runner>,
    sink: Sink,
    names: RowNames,
    /// Items that were read and not looked at yet, and the stage that comes first for them.
    items: std::vec::IntoIter<State>,
    first: usize,
    /// An item whose op is running, and the stage of that op.
    called: Option<(State, usize)>,
    /// Whether the reader was asked for something.
    is_fetching: bool,
    /// Whether the reader may be able to do everything.
    may_reduce: bool,
    /// Bytes of items that were kept since that was last asked.
    kept: u64,
}

/// What a stage does.
enum Runner {
    Map(Callee),
    Filter(Callee),
    /// With the last item that went on.
    Distinct(Option<State>),
}

/// What is done with all items.
enum Sink {
    Collect(Vec<State>),
    First,
    ForEach(Callee, State),
    Fold { callee: Callee, state: Map, params: FoldParams },
    Reduce(Reduction, Reduced),
}

/// How a row is given to a POST op.
struct RowNames {
    /// The names of the columns, sorted.
    names: Arc<[Id]>,
    /// The position of each in the row.
    positions: Vec<usize>,
    /// Up to this stage, items are rows.
    until: usize,
}

impl RowNames {
    fn new(schema: &Schema, stages: &[Stage]) -> Self {
        let mut positions: Vec<usize> = (0..schema.columns.len()).collect();
        positions.sort_by(|l, r| schema.columns[*l].name.cmp(&schema.columns[*r].name));
        let names = positions.iter().map(|position| schema.columns[*position].name.clone()).collect();
        let until = stages.iter().position(|stage| matches!(stage, Stage::Map(_))).unwrap_or(stages.len());
        Self { names, positions, until }
    }

    /// A call of an op with an item that has come to `stage`.
    fn call(&self, callee: &Callee, item: &State, stage: usize) -> Result<OpCall> {
        match item {
            State::Tuple(row) if callee.takes_names() && stage <= self.until => {
                let cells = self.positions.iter().map(|position| row.items()[*position].clone());
                callee.with_params(OpArgs::Named(Arc::clone(&self.names), cells.collect()))
            }
            item => callee.with_item(item),
        }
    }
}

impl Sink {
    /// # Errors
    /// `BadRequest` if an argument is not what the method takes.
    fn new(kind: LoopKind, args: &[State]) -> Result<Self> {
        let reduce = |by| Ok(Sink::Reduce(by, Reduced::new(by)));
        match (kind, args) {
            (LoopKind::Fold, [item_name, value, op]) => {
                let (state, params) = FoldParams::begin(item_name, value)?;
                Ok(Sink::Fold { callee: Callee::of(op)?, state, params })
            }
            (LoopKind::ForEach, [op]) => Ok(Sink::ForEach(Callee::of(op)?, State::NONE)),
            (_, [key]) if !key.is_none() => {
                Err(Error::bad_request(format!("this method takes no argument, found a {}", key.class())))
            }
            (LoopKind::Collect, _) => Ok(Sink::Collect(vec![])),
            (LoopKind::First, _) => Ok(Sink::First),
            (LoopKind::Count, _) => reduce(Reduction::Count),
            (LoopKind::Max, _) => reduce(Reduction::Max),
            (LoopKind::Min, _) => reduce(Reduction::Min),
            (LoopKind::Sum, _) => reduce(Reduction::Sum),
            (LoopKind::Map | LoopKind::Filter | LoopKind::ForEach | LoopKind::Fold, _) => {
                Err(Error::internal("a method of streams with the wrong arguments"))
            }
        }
    }
}

impl StreamLoop {
    /// A loop that was not begun, which does what the method `kind` does with the arguments `args`. The reader does the
    /// first stages, so many as `done` says.
    ///
    /// # Errors
    /// `BadRequest` if an argument is not what the method takes.
    pub(super) fn new(
        kind: LoopKind,
        stream: &Stream,
        args: &[State],
        reader: Arc<Reader>,
        done: usize,
    ) -> Result<Self> {
        let runner = |stage: &Stage| {
            Ok(match stage {
                Stage::Map(op) => Runner::Map(Callee::of(op)?),
                Stage::Filter(op) => Runner::Filter(Callee::of(op)?),
                Stage::Distinct => Runner::Distinct(None),
            })
        };
        Ok(Self {
            reader,
            stages: stream.stages.iter().map(runner).collect::<Result<_>>()?,
            sink: Sink::new(kind, args)?,
            names: RowNames::new(&stream.source.schema(), &stream.stages),
            items: vec![].into_iter(),
            first: 0,
            called: None,
            is_fetching: false,
            may_reduce: done == stream.stages.len(),
            kept: 0,
        })
    }

    /// Bytes of items that were kept since this was last asked.
    pub(super) fn take_kept(&mut self) -> u64 {
        std::mem::take(&mut self.kept)
    }

    /// Takes the result of the op that was called last, or of what was fetched, and says what to do next.
    pub(super) fn advance(&mut self, result: Option<State>) -> Result<Next> {
        let mut current = match (result, self.called.take()) {
            (Some(result), Some((item, stage))) => self.returned(item, stage, result)?,
            _ => None,
        };
        if std::mem::take(&mut self.is_fetching)
            && let Some(done) = self.received()?
        {
            return Ok(Next::Done(done));
        }
        loop {
            let (item, stage) = match current.take() {
                Some(current) => current,
                None => match self.items.next() {
                    Some(item) => (item, self.first),
                    None => return Ok(self.fetch()),
                },
            };
            match self.stages.get_mut(stage) {
                Some(Runner::Map(callee) | Runner::Filter(callee)) => {
                    let call = self.names.call(callee, &item, stage)?;
                    self.called = Some((item, stage));
                    return Ok(Next::Call(call));
                }
                Some(Runner::Distinct(last)) => {
                    if last.as_ref() != Some(&item) {
                        *last = Some(item.clone());
                        current = Some((item, stage + 1));
                    }
                }
                None => {
                    if let Some(next) = self.accept(item)? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    fn fetch(&mut self) -> Next {
        self.is_fetching = true;
        Next::Fetch(match &self.sink {
            Sink::Reduce(by, _) if self.may_reduce => self.reader.reduce(*by),
            _ => self.reader.fetch(),
        })
    }

    /// Takes what was fetched; returns the result if that was all.
    fn received(&mut self) -> Result<Option<State>> {
        match self.reader.take() {
            Received::Items(items, first) => (self.items, self.first) = (items.into_iter(), first),
            Received::Reduced(state) => return Ok(Some(state)),
            Received::Unreduced => self.may_reduce = false,
            Received::End => return self.finish().map(Some),
        }
        Ok(None)
    }

    /// Where an item goes on whose op at `stage` has returned.
    fn returned(&mut self, item: State, stage: usize, result: State) -> Result<Option<(State, usize)>> {
        match (self.stages.get(stage), &mut self.sink) {
            (Some(Runner::Map(_)), _) => Ok(Some((result, stage + 1))),
            (Some(Runner::Filter(_)), _) => Ok(cast::to_bool(&result)?.then_some((item, stage + 1))),
            (_, Sink::ForEach(_, last)) => {
                *last = result;
                Ok(None)
            }
            (_, Sink::Fold { state, .. }) => {
                *state = FoldParams::next(&result)?;
                Ok(None)
            }
            _ => Err(Error::internal("a stream was given a result that it did not ask for")),
        }
    }

    /// Does with an item what is done with all of them.
    fn accept(&mut self, item: State) -> Result<Option<Next>> {
        let stage = self.stages.len();
        match &mut self.sink {
            Sink::Collect(items) => {
                self.kept += item.weight();
                items.push(item);
            }
            Sink::First => return Ok(Some(Next::Done(item))),
            Sink::Reduce(_, reduced) => reduced.add(&item)?,
            Sink::ForEach(callee, _) => {
                let call = self.names.call(callee, &item, stage)?;
                self.called = Some((State::NONE, stage));
                return Ok(Some(Next::Call(call)));
            }
            Sink::Fold { callee, state, params } => {
                let call = callee.with_params(params.with(state, &item))?;
                self.called = Some((State::NONE, stage));
                return Ok(Some(Next::Call(call)));
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<State> {
        Ok(match &mut self.sink {
            Sink::Collect(items) => Tuple::try_new(std::mem::take(items))?.into(),
            Sink::First => State::NONE,
            Sink::ForEach(_, last) => last.clone(),
            Sink::Fold { state, .. } => state.clone().into(),
            Sink::Reduce(by, reduced) => std::mem::replace(reduced, Reduced::new(*by)).finish()?,
        })
    }
}
