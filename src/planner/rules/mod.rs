//! The rules, one a file.

mod common_subexpressions;
mod constant_folding;
mod dead_nodes;
mod inline_ops;
mod write_coalescing;

use std::sync::Arc;

use super::Rule;

/// All rules, in the order in which they are applied.
pub fn default_rules() -> Vec<Arc<dyn Rule>> {
    vec![
        // First, because the body of an op gives the other rules more to see.
        Arc::new(inline_ops::InlineOps),
        // Before the merging of equal nodes, because constants that are folded are equal more often.
        Arc::new(constant_folding::ConstantFolding),
        Arc::new(common_subexpressions::CommonSubexpressions),
        // After the merging of equal nodes, which makes the subjects of writes one.
        Arc::new(write_coalescing::WriteCoalescing),
        // Last, because each of the others leaves nodes behind.
        Arc::new(dead_nodes::DeadNodes),
    ]
}
