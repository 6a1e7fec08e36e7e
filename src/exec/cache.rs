//! Compiled programs and ops, kept for the next request.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::unit::Unit;
use crate::compiler::ProgramShape;
use crate::value::OpDef;

/// Programs, and as many ops, that are kept.
const UNITS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Nodes of a unit that is kept: larger ones are rare, and would push out many others.
const UNIT_NODES_MAX: usize = 1 << 14;

/// How well the cache works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Requests and ops whose plan was there.
    pub plan_hits: u64,
    /// Requests and ops that were compiled.
    pub plan_misses: u64,
    /// Plans that are kept.
    pub plans: usize,
}

/// Compiled programs by their shape, and compiled ops by their definition.
pub(super) struct Cache {
    programs: Mutex<LruCache<ProgramShape, Arc<Unit>>>,
    ops: Mutex<LruCache<Arc<OpDef>, Arc<Unit>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    pub fn new() -> Self {
        Self {
            programs: Mutex::new(LruCache::new(UNITS_MAX)),
            ops: Mutex::new(LruCache::new(UNITS_MAX)),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub fn program(&self, shape: &ProgramShape) -> Option<Arc<Unit>> {
        let unit = self.programs.lock().get(shape).cloned();
        self.count(unit.is_some());
        unit
    }

    pub fn keep_program(&self, shape: ProgramShape, unit: &Arc<Unit>) {
        if unit.graph().len() <= UNIT_NODES_MAX {
            self.programs.lock().put(shape, Arc::clone(unit));
        }
    }

    pub fn op(&self, op: &Arc<OpDef>) -> Option<Arc<Unit>> {
        let unit = self.ops.lock().get(op).cloned();
        self.count(unit.is_some());
        unit
    }

    pub fn keep_op(&self, op: &Arc<OpDef>, unit: &Arc<Unit>) {
        if unit.graph().len() <= UNIT_NODES_MAX {
            self.ops.lock().put(Arc::clone(op), Arc::clone(unit));
        }
    }

    fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn stats(&self) -> Stats {
        Stats {
            plan_hits: self.hits.load(Ordering::Relaxed),
            plan_misses: self.misses.load(Ordering::Relaxed),
            plans: self.programs.lock().len() + self.ops.lock().len(),
        }
    }
}
