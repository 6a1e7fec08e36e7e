//! Reductions: what is asked of a ReduceChain, and what its loop ([`ReduceLoop`]) reads and writes.
//!
//! An op runs on the machine of a request, so the host makes one too for what it reduces by itself.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::Worker;
use super::chain::CHAIN;
use super::upkeep::Job;
use crate::chain::block::Blocks;
use crate::chain::policy::Reduce;
use crate::chain::reduce::{Levels, Summary, Taken};
use crate::chain::{ChainDef, Kind};
use crate::cluster::definition::{Definition, Member};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::exec::call::{Callee, Endpoint, Invocation, OpArgs, OpCall};
use crate::exec::loops::Loop;
use crate::exec::reduce::ReduceLoop;
use crate::storage::Transaction;
use crate::value::object::{Attribute, Object};
use crate::value::{Id, Map, State, Table, Verb};

/// Takes from the levels of a chain, and adds to them. The states of its futures mean nothing.
pub(in crate::exec) struct Reducer {
    txn: Arc<Transaction>,
    subject: Arc<Table>,
    chain: Arc<ChainDef>,
    /// What was taken last.
    taken: Mutex<Taken>,
}

impl Reducer {
    /// Takes what is due of a level, which [`Reducer::taken`] then has.
    pub(in crate::exec) fn take(self: &Arc<Self>, level: usize) -> BoxFuture<'static, Result<State>> {
        let reducer = Arc::clone(self);
        async move {
            let blocks = Blocks::open(&reducer.txn, &reducer.chain, &reducer.subject).await?;
            let taken = Box::pin(levels(&blocks).await?.take(level)).await?;
            *reducer.taken.lock() = taken;
            Ok(State::NONE)
        }
        .boxed()
    }

    /// What was taken last.
    pub(in crate::exec) fn taken(&self) -> Taken {
        std::mem::take(&mut *self.taken.lock())
    }

    /// Adds to a level what was taken from the one before.
    pub(in crate::exec) fn add(
        self: &Arc<Self>,
        level: usize,
        summaries: Vec<Summary>,
    ) -> BoxFuture<'static, Result<State>> {
        let reducer = Arc::clone(self);
        async move {
            let blocks = Blocks::open(&reducer.txn, &reducer.chain, &reducer.subject).await?;
            Box::pin(levels(&blocks).await?.add(level, summaries)).await?;
            Ok(State::NONE)
        }
        .boxed()
    }
}

pub(super) async fn levels<'a>(blocks: &'a Blocks<'a>) -> Result<Levels<'a>> {
    Levels::open(blocks).await?.ok_or_else(|| Error::internal("a chain without levels"))
}

impl Worker<'_> {
    /// The loop that reduces a chain of a service, if a call asks for that. It needs the definition of the service,
    /// which has the op that reduces.
    ///
    /// # Errors
    /// `BadRequest` if there are parameters, or if it changes what the transaction has written to.
    pub(super) fn reduction(
        &self,
        definition: &Definition,
        (chain, subject): (&Arc<ChainDef>, &Arc<Table>),
        rest: &[Id],
        shape: &Shape,
    ) -> Result<Option<Invocation>> {
        let Some(policy) = reduces(chain, rest, shape) else { return Ok(None) };
        self.check_lasting()?;
        if !matches!(shape, Shape::Post(params) if params.is_empty()) {
            return Err(Error::bad_request("a reduction has no parameters"));
        }
        let (op, endpoint) = reducing_op(definition, policy)?;
        if policy.apply {
            self.session.chains.reduce(subject)?;
        }
        let reducer = Reducer {
            txn: Arc::clone(self.txn()),
            subject: Arc::clone(subject),
            chain: Arc::clone(chain),
            taken: Mutex::default(),
        };
        self.session.upkeep_after(Job::new(self.txn(), subject, chain));
        let reduction = ReduceLoop::new(Arc::new(reducer), policy, op, endpoint);
        Ok(Some(Invocation::Begin(Loop::Reduce(Box::new(reduction)))))
    }
}

/// How a chain is reduced, if a call of what is at `rest` below it asks for that.
pub(super) fn reduces<'a>(chain: &'a ChainDef, rest: &[Id], shape: &Shape) -> Option<&'a Reduce> {
    match (&chain.kind, shape) {
        (Kind::Reduce(policy), Shape::Post(_)) if rest.iter().map(Id::as_str).eq([CHAIN, "reduce"]) => Some(policy),
        _ => None,
    }
}

/// The op that reduces a chain of a service, and what it is called in the stack of errors.
fn reducing_op(definition: &Definition, policy: &Reduce) -> Result<(Callee, Endpoint)> {
    let Some(Member::Attribute(Attribute::State(State::Op(op)))) = definition.members.get(&policy.op) else {
        return Err(Error::internal(format!("the op {} that reduces is lost", policy.op)));
    };
    let object = Object::Cluster(definition.link.clone());
    let context = Map::try_new([(Id::from(Id::SELF), object.into())])?;
    let link = definition.link.join(std::slice::from_ref(&policy.op));
    Ok((Callee { op: Arc::clone(op), context: Some(context) }, Endpoint { verb: Verb::Post, link }))
}

/// A call of the op that reduces a chain, before it is known with what.
pub(super) fn reducing_call(definition: &Definition, policy: &Reduce) -> Result<OpCall> {
    let (op, endpoint) = reducing_op(definition, policy)?;
    let call = op.with_params(OpArgs::Named(Arc::new([]), vec![]))?;
    Ok(OpCall { callee: Some(Arc::new(endpoint)), ..call })
}
