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
use crate::chain::reduce::{Levels, Summary, Taken};
use crate::chain::{ChainDef, Kind};
use crate::cluster::definition::{Definition, Member};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::exec::call::{Callee, Endpoint, Invocation};
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
        let (Kind::Reduce(policy), Shape::Post(params)) = (&chain.kind, shape) else { return Ok(None) };
        if !rest.iter().map(Id::as_str).eq([CHAIN, "reduce"]) {
            return Ok(None);
        }
        self.check_lasting()?;
        if !params.is_empty() {
            return Err(Error::bad_request("a reduction has no parameters"));
        }
        let Some(Member::Attribute(Attribute::State(State::Op(op)))) = definition.members.get(&policy.op) else {
            return Err(Error::internal(format!("the op {} that reduces is lost", policy.op)));
        };
        if policy.apply {
            self.session.chains.reduce(subject)?;
        }
        let object = Object::Cluster(definition.link.clone());
        let context = Map::try_new([(Id::from(Id::SELF), object.into())])?;
        let op = Callee { op: Arc::clone(op), context: Some(context) };
        let link = definition.link.join(std::slice::from_ref(&policy.op));
        let reducer = Reducer {
            txn: Arc::clone(self.txn()),
            subject: Arc::clone(subject),
            chain: Arc::clone(chain),
            taken: Mutex::default(),
        };
        self.session.upkeep_after(Job::new(self.txn(), subject, chain));
        let reduction = ReduceLoop::new(Arc::new(reducer), policy, op, Endpoint { verb: Verb::Post, link });
        Ok(Some(Invocation::Begin(Loop::Reduce(Box::new(reduction)))))
    }
}
