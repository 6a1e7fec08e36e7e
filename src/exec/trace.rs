//! Measures what each node costs, for EXPLAIN ANALYZE.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::data::Notes;
use super::step::{self, Budget, Control, Slot};
use super::unit::Unit;
use crate::compiler::NodeId;
use crate::env::Clock;
use crate::error::Result;
use crate::planner::Analysis;
use crate::value::State;

/// What the nodes of each unit have cost so far.
#[derive(Default)]
pub(super) struct Trace {
    /// By the address of the unit, which the request keeps alive.
    units: HashMap<usize, Analysis>,
    /// What was noted about the rows that a node reads, by unit and node.
    notes: HashMap<(usize, NodeId), Arc<Notes>>,
}

impl Trace {
    /// What the nodes of `unit` cost.
    pub fn of(&self, unit: &Arc<Unit>) -> Analysis {
        let unit = Arc::as_ptr(unit) as usize;
        let mut analysis = self.units.get(&unit).cloned().unwrap_or_default();
        for ((_, node), notes) in self.notes.iter().filter(|((of, _), _)| *of == unit) {
            analysis.entry(*node).or_default().notes.clone_from(&notes.lock());
        }
        analysis
    }

    /// The notes about the rows that the instruction `pc` reads.
    pub fn notes(&mut self, unit: &Arc<Unit>, pc: u32) -> Arc<Notes> {
        let key = (Arc::as_ptr(unit) as usize, unit.nodes[pc as usize]);
        Arc::clone(self.notes.entry(key).or_default())
    }

    /// Runs one instruction and notes what it cost.
    pub fn step(
        &mut self,
        unit: &Arc<Unit>,
        slots: &mut [Slot],
        pc: &mut u32,
        budget: &mut Budget,
        clock: &dyn Clock,
    ) -> Result<Control> {
        let (at, began) = (*pc, clock.now());
        let mut one = Budget { fuel: 1, bytes: 0 };
        let control = step::run(unit, slots, pc, &mut one)?;
        budget.fuel = budget.fuel.saturating_sub(1);
        budget.bytes += one.bytes;
        if let (Control::Fuel, Some(dst)) = (&control, unit.code[at as usize].dst())
            && let Slot::Done(state) = &slots[dst as usize]
        {
            self.note(unit, at, state, clock.now() - began);
        }
        Ok(control)
    }

    /// Notes the result of the instruction `pc`.
    pub fn note(&mut self, unit: &Arc<Unit>, pc: u32, result: &State, time: Duration) {
        let stats = self.units.entry(Arc::as_ptr(unit) as usize).or_default();
        let stats = stats.entry(unit.nodes[pc as usize]).or_default();
        stats.runs += 1;
        stats.rows += match result {
            State::Tuple(tuple) => tuple.items().len() as u64,
            State::Map(map) => map.len() as u64,
            _ => 1,
        };
        stats.nanos += u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        stats.bytes += result.weight();
    }
}
