//! Compiled programs and ops, kept for the next request.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::unit::Unit;
use crate::compiler::ProgramShape;
use crate::value::{Link, OpDef};

/// Bytes of programs, and as many of ops, that are kept.
const KEPT_BYTES_MAX: u64 = 128 << 20;
/// Bytes of one that is kept: larger ones are rare, and would push out many others.
const UNIT_BYTES_MAX: u64 = 8 << 20;
/// Bytes that a node takes in graph, regions and code, as measured.
const NODE_BYTES: u64 = 700;

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

/// Compiled programs by their shape, and compiled ops by their definition and the version that they were installed with:
/// the ops within them act in its name, so equal code of others is not the same.
pub(super) struct Cache {
    programs: Mutex<Kept<ProgramShape>>,
    ops: Mutex<Kept<OpKey>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

type OpKey = (Option<Link>, Arc<OpDef>);

fn op_key(op: &Arc<OpDef>) -> OpKey {
    (op.home().cloned(), Arc::clone(op))
}

/// Units by their keys, the least recently used to be forgotten first.
struct Kept<K> {
    units: LruCache<K, (Arc<Unit>, u64)>,
    bytes: u64,
}

impl<K: Eq + Hash> Kept<K> {
    fn new() -> Self {
        Self { units: LruCache::unbounded(), bytes: 0 }
    }

    fn put(&mut self, key: K, key_bytes: u64, unit: &Arc<Unit>) {
        let bytes = key_bytes + unit.graph().node_count() as u64 * NODE_BYTES;
        if bytes > UNIT_BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        if let Some((_, (_, old))) = self.units.push(key, (Arc::clone(unit), bytes)) {
            self.bytes -= old;
        }
        while self.bytes > KEPT_BYTES_MAX
            && let Some((_, (_, old))) = self.units.pop_lru()
        {
            self.bytes -= old;
        }
    }
}

impl Cache {
    pub fn new() -> Self {
        Self {
            programs: Mutex::new(Kept::new()),
            ops: Mutex::new(Kept::new()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub fn program(&self, shape: &ProgramShape) -> Option<Arc<Unit>> {
        let unit = self.programs.lock().units.get(shape).map(|(unit, _)| Arc::clone(unit));
        self.count(unit.is_some());
        unit
    }

    pub fn keep_program(&self, shape: ProgramShape, unit: &Arc<Unit>) {
        let bytes = shape.weight();
        self.programs.lock().put(shape, bytes, unit);
    }

    pub fn op(&self, op: &Arc<OpDef>) -> Option<Arc<Unit>> {
        let unit = self.ops.lock().units.get(&op_key(op)).map(|(unit, _)| Arc::clone(unit));
        self.count(unit.is_some());
        unit
    }

    pub fn keep_op(&self, op: &Arc<OpDef>, unit: &Arc<Unit>) {
        self.ops.lock().put(op_key(op), 2 * op.weight, unit);
    }

    fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn stats(&self) -> Stats {
        Stats {
            plan_hits: self.hits.load(Ordering::Relaxed),
            plan_misses: self.misses.load(Ordering::Relaxed),
            plans: self.programs.lock().units.len() + self.ops.lock().units.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::OpGraph;
    use crate::exec::codegen;
    use crate::planner::PhysicalPlan;
    use crate::value::OpKind;

    fn op(home: Option<&str>) -> Arc<OpDef> {
        let op = OpDef::new(OpKind::Post, vec![]);
        home.iter().for_each(|home| op.set_home(&home.parse().unwrap()));
        Arc::new(op)
    }

    #[test]
    fn equal_code_of_others_is_compiled_for_them() {
        let cache = Cache::new();
        let unit = Arc::new(codegen::compile(PhysicalPlan::new(OpGraph::new(), true), 0));
        cache.keep_op(&op(Some("/lib/a/b/1.0.0")), &unit);
        assert!(cache.op(&op(Some("/lib/a/b/1.0.0"))).is_some());
        assert!(cache.op(&op(Some("/lib/a/c/1.0.0"))).is_none());
        assert!(cache.op(&op(None)).is_none());
    }
}
