//! What the planner may guess of the columns of a table, from the footers of its segments.
//!
//! Rows in memory may lie beyond these bounds, and a plan outlives its snapshot, so nothing here is exact: the planner
//! chooses the order of joins by it, and never an answer.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::pruning::PruningStatistics as _;
use datafusion::common::stats::Precision;
use datafusion::common::{Column as Named, ColumnStatistics, ScalarValue};

use super::pruning::RowGroups;
use crate::storage::segment::Footer;
use crate::value::Table;

/// What is known of `columns` of a table with about so many rows.
pub(super) fn column_statistics(
    table: &Table,
    columns: &[usize],
    footers: &[Arc<Footer>],
    rows: u64,
) -> Vec<ColumnStatistics> {
    columns.iter().map(|position| of_column(table, *position, footers, rows)).collect()
}

fn of_column(table: &Table, position: usize, footers: &[Arc<Footer>], rows: u64) -> ColumnStatistics {
    let schema = &table.schema;
    let column = &schema.columns[position];
    let name = Named::from_name(column.name.as_str());
    let groups = || footers.iter().map(|footer| RowGroups { footer, schema });
    let mut statistics = ColumnStatistics::new_unknown();
    statistics.min_value = best(groups().map(|groups| groups.min_values(&name)), Ordering::Less);
    statistics.max_value = best(groups().map(|groups| groups.max_values(&name)), Ordering::Greater);
    if !column.nullable {
        statistics.null_count = Precision::Inexact(0);
    }
    if position == 0 && schema.key_len == 1 {
        statistics.distinct_count = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
    }
    statistics
}

/// The least or the greatest value of all row groups, if it is known of each.
fn best(groups: impl Iterator<Item = Option<ArrayRef>>, wanted: Ordering) -> Precision<ScalarValue> {
    let mut best: Option<ScalarValue> = None;
    for values in groups {
        let Some(values) = values else { return Precision::Absent };
        for row in 0..values.len() {
            let Ok(value) = ScalarValue::try_from_array(&values, row) else { return Precision::Absent };
            if value.is_null() {
                return Precision::Absent;
            }
            if best.as_ref().is_none_or(|best| value.partial_cmp(best) == Some(wanted)) {
                best = Some(value);
            }
        }
    }
    best.map_or(Precision::Absent, Precision::Inexact)
}
