//! What the planner may guess of the columns of a table, from the footers of its segments.
//!
//! It is told how many values a column has at most, and chooses the order of joins by that. It is not told the least and the
//! greatest value: rows in memory may lie beyond them and a plan outlives its snapshot, but DataFusion 55.2 takes bounds that
//! leave one value for exact, drops sorts by such a column, and answers counts without reading.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
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
    let name = Named::from_name(schema.columns[position].name.as_str());
    let groups = || footers.iter().map(|footer| RowGroups { footer, schema });
    let least = || best(groups().map(|groups| groups.min_values(&name)), Ordering::Less);
    let greatest = || best(groups().map(|groups| groups.max_values(&name)), Ordering::Greater);
    let values = match position == 0 && schema.key_len == 1 {
        true => Some(u64::MAX),
        false => least().zip(greatest()).and_then(|(least, greatest)| values_between(&least, &greatest)),
    };
    let mut statistics = ColumnStatistics::new_unknown();
    if let Some(values) = values {
        statistics.distinct_count = Precision::Inexact(usize::try_from(values.min(rows)).unwrap_or(usize::MAX));
    }
    statistics
}

/// How many values there are from one to another, if they are whole numbers.
fn values_between(least: &ScalarValue, greatest: &ScalarValue) -> Option<u64> {
    let number = |value: &ScalarValue| match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) if is_whole(&value.data_type()) => number,
        _ => None,
    };
    let (least, greatest) = (number(least)?, number(greatest)?);
    u64::try_from(i128::from(greatest) - i128::from(least) + 1).ok()
}

fn is_whole(ty: &DataType) -> bool {
    ty.is_integer() || matches!(ty, DataType::Date32)
}

/// The least or the greatest value of all row groups, if it is known of each.
fn best(groups: impl Iterator<Item = Option<ArrayRef>>, wanted: Ordering) -> Option<ScalarValue> {
    let mut best: Option<ScalarValue> = None;
    for values in groups {
        let values = values?;
        for row in 0..values.len() {
            let value = ScalarValue::try_from_array(&values, row).ok().filter(|value| !value.is_null())?;
            if best.as_ref().is_none_or(|best| value.partial_cmp(best) == Some(wanted)) {
                best = Some(value);
            }
        }
    }
    best
}
