//! Compiles and runs requests.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use datafusion::common::ScalarValue;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout_at;

use super::cache::{Cache, Stats};
use super::call::Invocation;
use super::codegen;
use super::data::{Contents, Notes, OpenBlocks, Session, SqlReply, reduce_link};
use super::gateway::Gateway;
use super::machine::{Compile, Machine, Outcome, Outside};
use super::relation::Engine;
use super::sql;
use super::tensor::device::Devices;
use super::trace::Trace;
use super::unit::Unit;
use crate::cluster::Description;
use crate::compiler::methods::Shape;
use crate::compiler::{BuildContext, Op, OpGraph, Program, Target, build_op, build_program};
use crate::env::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::Limits;
use crate::planner::{Optimizer, PhysicalPlan, RuleContext};
use crate::storage::{Store, TableDiff};
use crate::txn::Txn;
use crate::value::{Authority, Doc, Link, OpDef, State, Verb};

/// Calls of other hosts that one request makes at once.
const CALLS_MAX: usize = 64;
/// Times that a transaction is tried which conflicts with others.
const ATTEMPTS_MAX: u32 = 400;
/// Rows of each table that the diff of what is hypothetical shows.
const DIFF_ROWS_MAX: usize = 1000;
/// How deep the items of streams may have streams in them.
const STREAMS_DEPTH_MAX: usize = 16;

/// Compiles and runs requests.
pub struct Kernel {
    limits: Limits,
    gateway: Arc<dyn Gateway>,
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    engine: Engine,
    plans: Arc<sql::Plans>,
    devices: Arc<Devices>,
    open_blocks: Arc<OpenBlocks>,
    pub(super) optimizer: Optimizer,
    cache: Cache,
    /// Whether what is compiled of an op that is installed is kept with it, where every request finds it.
    shares_compiled: bool,
    /// What collects a stream that is a result.
    collect: OnceLock<Arc<Unit>>,
}

/// A program that is ready to run.
pub struct Prepared {
    pub(super) program: Arc<Program>,
    pub(super) unit: Arc<Unit>,
}

impl Kernel {
    /// A kernel with all rules.
    pub fn new(
        limits: Limits,
        gateway: Arc<dyn Gateway>,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
        engine: Engine,
        devices: Arc<Devices>,
    ) -> Self {
        let plans = Arc::new(sql::Plans::new());
        let open_blocks = Arc::new(OpenBlocks::new(Arc::clone(&clock)));
        let (optimizer, cache, collect) = (Optimizer::default(), Cache::new(), OnceLock::new());
        let shares_compiled = true;
        Self {
            limits,
            gateway,
            clock,
            store,
            engine,
            plans,
            devices,
            open_blocks,
            optimizer,
            cache,
            shares_compiled,
            collect,
        }
    }

    /// The same kernel with other rules, and nothing cached.
    #[must_use]
    pub fn with_optimizer(self, optimizer: Optimizer) -> Self {
        Self { optimizer, cache: Cache::new(), ..self }
    }

    /// Another kernel like this, but without some rules. It is for one request: others find nothing of what it compiles.
    #[must_use]
    pub fn without_rules(&self, names: &[String]) -> Self {
        let (gateway, clock, store) = (Arc::clone(&self.gateway), Arc::clone(&self.clock), Arc::clone(&self.store));
        let (engine, devices) = (self.engine.clone(), Arc::clone(&self.devices));
        let kernel = Self::new(self.limits.clone(), gateway, clock, store, engine, devices);
        // What is known of chains holds for both.
        let open_blocks = Arc::clone(&self.open_blocks);
        Self { shares_compiled: false, open_blocks, ..kernel.with_optimizer(Optimizer::without(names)) }
    }

    /// What requests may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How well plans are reused.
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// What computes tensors.
    pub fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    /// Compiles a program, or finds what was compiled for one of the same shape.
    ///
    /// # Errors
    /// `TooLarge` if its graph has too many nodes, `Timeout` past the deadline.
    pub fn prepare(&self, program: Program, deadline: Instant) -> Result<Prepared> {
        let program = Arc::new(program);
        let unit = self.program_unit(&program, deadline)?;
        Ok(Prepared { program, unit })
    }

    /// Runs a program and returns its result. What it writes is forgotten.
    ///
    /// # Errors
    /// What the program raises; `Timeout` past its deadline or its time to compute.
    pub async fn run(&self, txn: &Txn, prepared: &Prepared) -> Result<State> {
        loop {
            let session = self.begin(txn);
            let result = self.attempt(txn, prepared, &session).await;
            match result {
                Ok(state) => return Ok(state),
                Err(error) => self.await_erasure(txn, session, error).await?,
            }
        }
    }

    /// Runs a program, commits what it wrote, and returns its result. If that conflicts with what others committed
    /// meanwhile, and no other host was told of it, the program is run again.
    ///
    /// # Errors
    /// As [`Kernel::run`]; `Conflict` after some attempts.
    pub async fn execute(&self, txn: &Txn, prepared: &Prepared) -> Result<State> {
        let mut attempts = 0;
        loop {
            let (session, began) = (self.begin(txn), self.clock.now());
            session.will_commit();
            let result = match self.attempt(txn, prepared, &session).await {
                Ok(state) => state,
                Err(error) => {
                    self.await_erasure(txn, session, error).await?;
                    continue;
                }
            };
            attempts += 1;
            if self.commit(txn, &session, attempts, began).await? {
                return Ok(result);
            }
        }
    }

    /// Runs a program whose result is a collection or a tensor, which is read as it is asked for. If the program `commits`, it
    /// is in memory. Whatever else the result is, and what `accepts` refuses, is not committed.
    ///
    /// # Errors
    /// As [`Kernel::execute`]; `BadRequest` if the result is neither collection nor tensor; those of `accepts`.
    pub async fn contents(
        &self,
        txn: &Txn,
        prepared: &Prepared,
        commits: bool,
        accepts: fn(&State) -> Result<()>,
    ) -> Result<Contents> {
        let Prepared { program, unit } = prepared;
        let mut attempts = 0;
        loop {
            let (session, began) = (self.begin(txn), self.clock.now());
            if commits {
                session.will_commit();
            }
            let state = match self.drive(txn, &session, Arc::clone(unit), program.literals(), None).await {
                Ok((state, _)) => state,
                Err(error) => {
                    self.await_erasure(txn, session, error).await?;
                    continue;
                }
            };
            accepts(&state)?;
            let contents = session.contents(&state).await?;
            if !commits {
                return Ok(contents);
            }
            let contents = contents.collect(self.limits.reply_bytes).await?;
            attempts += 1;
            if self.commit(txn, &session, attempts, began).await? {
                return Ok(contents);
            }
        }
    }

    /// Runs a program and returns its result, and what it would have changed.
    ///
    /// # Errors
    /// As [`Kernel::run`].
    pub async fn run_with_diff(&self, txn: &Txn, prepared: &Prepared) -> Result<(State, Vec<TableDiff>)> {
        loop {
            let session = self.begin(txn);
            let result = self.attempt(txn, prepared, &session).await;
            match result {
                Ok(state) => return Ok((state, session.diff(DIFF_ROWS_MAX).await?)),
                Err(error) => self.await_erasure(txn, session, error).await?,
            }
        }
    }

    /// Waits until files are rid of what was purged from a chain, if that is why a transaction failed. Then it is to be run
    /// again. Meanwhile it is over, since it would keep files from being deleted.
    ///
    /// # Errors
    /// What it failed with, if there is nothing to wait for, if another host was told of it, or at its deadline.
    async fn await_erasure(&self, txn: &Txn, session: Arc<Session>, error: Error) -> Result<()> {
        let Some(chain) = session.unerased().filter(|_| !session.was_told()) else { return Err(error) };
        drop(session);
        let erased = timeout_at(txn.deadline.into(), self.open_blocks.erased(&chain)).await;
        erased.map_err(|_| error)
    }

    /// Commits. Returns whether that is done; otherwise others were faster, and the transaction is to be tried again.
    async fn commit(&self, txn: &Txn, session: &Session, attempts: u32, began: Instant) -> Result<bool> {
        match session.commit().await {
            Ok(()) => Ok(true),
            Err(error) if self.may_retry(txn, session, &error, attempts, began) => {
                tokio::task::yield_now().await;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a transaction that could not be committed, and was begun at `began`, can be tried again without anybody
    /// noticing, and in time: what would time out is better refused as the conflict that it is.
    fn may_retry(&self, txn: &Txn, session: &Session, error: &Error, attempts: u32, began: Instant) -> bool {
        let now = self.clock.now();
        error.kind() == Kind::Conflict
            && attempts < ATTEMPTS_MAX
            && !session.was_told()
            && now + 2 * now.saturating_duration_since(began) < txn.deadline
    }

    /// Begins to do what chains had not finished when the host stopped. Requests that come later wait for a chain that is
    /// not yet rid of what was purged.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub async fn resume(&self, txn: &Txn) -> Result<()> {
        self.begin(txn).resume().await
    }

    /// Looks at all chains when the host starts, and logs which of them have a history that is broken.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub async fn check_histories(&self, txn: &Txn) -> Result<()> {
        self.begin(txn).check_histories().await
    }

    /// Reduces chains when something of them is due, each in a transaction that `own_txn` makes. This never ends.
    pub async fn reduce_chains(&self, own_txn: impl Fn() -> Txn) {
        let reductions = self.open_blocks.reductions();
        loop {
            let chain = reductions.next().await;
            let outcome = Box::pin(self.reduce(&own_txn(), &chain)).await;
            reductions.note(&chain, outcome);
        }
    }

    /// Reduces a chain, given by the path of what it records.
    async fn reduce(&self, txn: &Txn, chain: &str) -> Result<State> {
        let program = Program::call(reduce_link(chain)?, Verb::Post, &Doc::Null, &Doc::Null)?;
        self.execute(txn, &self.prepare(program, txn.deadline)?).await
    }

    /// Begins a transaction.
    pub fn begin(&self, txn: &Txn) -> Arc<Session> {
        let Self { store, engine, plans, devices, open_blocks, limits, .. } = self;
        Session::new(store, engine, plans, devices, open_blocks, txn, limits)
    }

    /// Runs a script of SQL, and commits what it wrote unless it is hypothetical or says otherwise.
    ///
    /// # Errors
    /// What the script is refused for; `Conflict` after some attempts.
    pub async fn sql(&self, txn: &Txn, text: &str, params: &[ScalarValue], hypothetical: bool) -> Result<SqlReply> {
        let mut attempts = 0;
        loop {
            let (session, began) = (self.begin(txn), self.clock.now());
            let (outcome, commits) = match self.script(&session, text, params).await {
                Ok(done) => done,
                Err(error) => {
                    self.await_erasure(txn, session, error).await?;
                    continue;
                }
            };
            if hypothetical {
                return Ok(SqlReply::Hypothetical(outcome, session.diff(DIFF_ROWS_MAX).await?));
            }
            attempts += 1;
            let writes = commits && session.txn().has_writes();
            // Once it is committed, nothing is read in a transaction.
            let outcome = if writes { outcome.collect(self.limits.reply_bytes).await? } else { outcome };
            if !writes || self.commit(txn, &session, attempts, began).await? {
                return Ok(SqlReply::Done(outcome));
            }
        }
    }

    /// Runs a script. Returns what it results in, and whether it is to be committed.
    async fn script(&self, session: &Arc<Session>, text: &str, params: &[ScalarValue]) -> Result<(sql::Outcome, bool)> {
        // What is done at once is not worth waking another thread for.
        if self.plans.is_quick(text, params)
            && let Some(outcome) = Box::pin(sql::again(session, text, params)).await?
        {
            return Ok((outcome, true));
        }
        let (script, of, values) = (text.to_string(), Arc::clone(session), params.to_vec());
        let work = async move { sql::run(&of, &script, &values).await };
        self.engine.apart(Box::pin(work)).await
    }

    async fn attempt(&self, txn: &Txn, prepared: &Prepared, session: &Arc<Session>) -> Result<State> {
        let Prepared { program, unit } = prepared;
        let (state, _) = self.drive(txn, session, Arc::clone(unit), program.literals(), None).await?;
        self.read(txn, session, state, None).await
    }

    /// A result with the items of streams and the rows of collections in it. If `notes` are given, it is added to them how the
    /// elements of tensors were computed.
    pub(super) async fn read(
        &self,
        txn: &Txn,
        session: &Arc<Session>,
        state: State,
        notes: Option<&Notes>,
    ) -> Result<State> {
        let mut left = self.limits.reply_bytes as u64;
        let state = self.collected(txn, session, state, STREAMS_DEPTH_MAX, &mut left).await?;
        session.read_all(state, self.limits.reply_bytes, notes).await
    }

    /// `state` with tuples in place of the streams in it, and in their items. They may take `left` bytes together.
    fn collected<'a>(
        &'a self,
        txn: &'a Txn,
        session: &'a Arc<Session>,
        state: State,
        depth: usize,
        left: &'a mut u64,
    ) -> BoxFuture<'a, Result<State>> {
        if !state.contains(is_stream) {
            return Box::pin(std::future::ready(Ok(state)));
        }
        Box::pin(async move {
            if depth == 0 {
                return Err(Error::bad_request(format!("streams nest deeper than {STREAMS_DEPTH_MAX}")));
            }
            let mut collected = Vec::new();
            for stream in state.find(is_stream) {
                let unit = Arc::clone(self.collect.get_or_init(collect_unit));
                let (items, _) = self.drive(txn, session, unit, vec![stream.clone()], None).await?;
                *left = left.checked_sub(items.weight()).ok_or_else(|| {
                    Error::too_large(format!("the items of streams take more than {} bytes", self.limits.reply_bytes))
                })?;
                collected.push(self.collected(txn, session, items, depth - 1, left).await?);
            }
            state.replace(is_stream, &mut collected.into_iter())
        })
    }

    /// Says what is at the path of a directory, an item or a version.
    ///
    /// # Errors
    /// `NotFound` if there is nothing, `BadRequest` below a version.
    pub async fn describe(&self, txn: &Txn, link: &Link) -> Result<Description> {
        self.begin(txn).describe(link).await
    }

    /// Whether a service trusts somebody who has granted a call of it to whoever makes the request, in the scopes that
    /// their token has.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub async fn trusts(&self, txn: &Txn, verb: Verb, link: &Link) -> Result<bool> {
        self.begin(txn).trusts(verb, link).await
    }

    pub(super) fn build_context(&self, deadline: Instant) -> BuildContext<'_> {
        let check_time = move || match self.clock.now() > deadline {
            true => Err(Error::timeout("request timed out")),
            false => Ok(()),
        };
        BuildContext::new(self.limits.graph_nodes, |authority: &Authority| self.gateway.is_local(authority), check_time)
    }

    fn program_unit(&self, program: &Arc<Program>, deadline: Instant) -> Result<Arc<Unit>> {
        let shape = program.shape();
        if let Some(unit) = self.cache.program(&shape) {
            return Ok(unit);
        }
        let mut params = 0;
        program.for_each_literal(|_| params += 1);
        let build = self.build_context(deadline);
        let plan = self.plan(build_program(program, &build)?, &build)?;
        let unit = Arc::new(codegen::compile(plan, params));
        self.cache.keep_program(program.kept_shape(), &unit);
        Ok(unit)
    }

    fn plan(&self, mut graph: OpGraph, build: &BuildContext<'_>) -> Result<PhysicalPlan> {
        self.optimizer.optimize(&mut graph, &RuleContext { build })?;
        Ok(PhysicalPlan::new(graph, self.optimizer.merges_regions()))
    }

    /// Runs a unit until it is done, with the calls of other hosts that it makes.
    pub(super) async fn drive(
        &self,
        txn: &Txn,
        session: &Arc<Session>,
        unit: Arc<Unit>,
        literals: Vec<State>,
        trace: Option<Trace>,
    ) -> Result<(State, Option<Trace>)> {
        let clock = self.clock.as_ref();
        let mut machine = Machine::new(unit, literals, self, session, clock, &self.limits, txn.deadline)?;
        machine.trace = trace;
        let mut waiting = VecDeque::new();
        let mut calls: FuturesUnordered<BoxFuture<'_, _>> = FuturesUnordered::new();
        loop {
            let outcome = machine.run().inspect_err(|error| machine.end_calls(error))?;
            if let Outcome::Done(state) = outcome {
                return Ok((state, machine.trace));
            }
            waiting.extend(machine.take_calls());
            while calls.len() < CALLS_MAX
                && let Some(call) = waiting.pop_front()
            {
                let (gateway, fiber) = (&self.gateway, call.fiber);
                calls.push(match call.call {
                    Outside::Data(reply) => Box::pin(async move { (fiber, reply.await) }),
                    Outside::Remote(link, args) => {
                        session.tell();
                        // What is done there is a part of the method that calls it.
                        let granted = machine.granted(fiber).map(|granted| Arc::clone(&granted.token));
                        let token = granted.or_else(|| txn.token.clone());
                        let txn = Txn { watch: machine.watch(fiber), token, ..txn.clone() };
                        Box::pin(async move { (fiber, gateway.call(&txn, &link, args).await.map(Invocation::Done)) })
                    }
                });
            }
            if let Outcome::Yield = outcome {
                tokio::task::yield_now().await;
            } else if let Some((fiber, reply)) = calls.next().await {
                machine.reply(fiber, reply)?;
            }
            while let Some(Some((fiber, reply))) = calls.next().now_or_never() {
                machine.reply(fiber, reply)?;
            }
        }
    }
}

impl Compile for Kernel {
    fn vectorizes(&self) -> bool {
        self.optimizer.vectorizes()
    }

    fn unit(&self, op: &Arc<OpDef>, deadline: Instant) -> Result<Arc<Unit>> {
        // The ops of the program itself are those of one request anyway.
        let is_kept = self.shares_compiled || op.home().is_none();
        if is_kept && let Some(unit) = op.compiled.get() {
            let unit = Arc::clone(unit).downcast::<Unit>();
            return unit.map_err(|_| Error::internal("an op was compiled to something else"));
        }
        let unit = match self.cache.op(op) {
            Some(unit) => unit,
            None => {
                let build = self.build_context(deadline);
                let plan = self.plan(build_op(op, &build)?, &build)?;
                let unit = Arc::new(codegen::compile(plan, 0));
                self.cache.keep_op(op, &unit);
                unit
            }
        };
        if is_kept {
            // Somebody else may have been faster; then both units do the same.
            let _ = op.compiled.set(Arc::clone(&unit) as Arc<dyn std::any::Any + Send + Sync>);
        }
        Ok(unit)
    }
}

fn is_stream(state: &State) -> bool {
    matches!(state, State::Stream(_))
}

/// The program that collects the stream which is its only literal.
fn collect_unit() -> Arc<Unit> {
    let mut graph = OpGraph::new();
    let (stream, key) = (graph.add(Op::Param(0), &[], None), graph.add(Op::Const(State::NONE), &[], None));
    let target = Target::Value(Arc::new(["collect".into()]));
    let root = graph.add(Op::Call(target, Shape::Get), &[stream, key], None);
    graph.set_root(root);
    Arc::new(codegen::compile(PhysicalPlan::new(graph, true), 1))
}
