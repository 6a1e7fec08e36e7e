//! Which row groups of a segment cannot have a row that a query wants, by their statistics.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::predicate::is_ordered_alike;
use crate::storage::codec::arrow_schema;
use crate::storage::segment::{Footer, Prune};
use crate::value::{Schema, Table};

/// A filter of row groups that keeps those in which `predicates` may all hold; nothing if there are none.
pub(super) fn row_group_filter(table: &Table, predicates: &[Arc<dyn PhysicalExpr>]) -> Option<Prune> {
    if predicates.is_empty() {
        return None;
    }
    let (schema, stored) = (arrow_schema(&table.schema), Arc::clone(&table.schema));
    let predicates = predicates.to_vec();
    Some(Arc::new(move |footer: &Footer| {
        let all = || vec![true; footer.blocks().len()];
        // What a filter has learned by now, e.g. the keys of the other side of a join, is asked for at each segment.
        let known = predicates.iter().filter_map(|predicate| snapshot_physical_expr(Arc::clone(predicate)).ok());
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&schema));
        let Some(predicate) = builder.build(conjunction(known)) else { return all() };
        predicate.prune(&RowGroups { footer, schema: &stored }).unwrap_or_else(|_| all())
    }))
}

/// The statistics of the row groups of one segment.
pub(super) struct RowGroups<'a> {
    pub(super) footer: &'a Footer,
    pub(super) schema: &'a Schema,
}

impl RowGroups<'_> {
    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        let position = self.schema.position(&column.name)?;
        if !is_ordered_alike(self.schema.columns[position].ty) {
            return None;
        }
        // The column may have had another name, and another column this one.
        let file = self.footer.arrow_schema();
        let name = file.field(self.footer.position(self.schema, position)?).name();
        StatisticsConverter::try_new(name, file, self.footer.metadata().file_metadata().schema_descr()).ok()
    }
}

impl PruningStatistics for RowGroups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.converter(column)?.row_group_mins(self.footer.metadata().row_groups()).ok()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.converter(column)?.row_group_maxes(self.footer.metadata().row_groups()).ok()
    }

    fn num_containers(&self) -> usize {
        self.footer.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.converter(column)?.row_group_null_counts(self.footer.metadata().row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.footer.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
