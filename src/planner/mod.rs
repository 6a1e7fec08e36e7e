//! From a graph to a plan.
//!
//! 1. The [`Optimizer`] applies the [`rules`], one file each, until none changes anything;
//! 2. [`physical`] cuts the graph into regions and gives each region an engine;
//! 3. [`explain`] shows all of that.
//!
//! Everything here is pure: no I/O, no clock, the same graph gives the same plan.

pub mod explain;
pub mod optimizer;
pub mod physical;
pub mod rule;
pub mod rules;

pub use explain::{Analysis, Explanation, NodeStats, Part};
pub use optimizer::{Optimizer, Stage};
pub use physical::{Engine, PhysicalPlan, Region, RegionId};
pub use rule::{Changed, Pass, Rule, RuleContext};
