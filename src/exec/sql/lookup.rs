//! Rows of a table that are found by their keys, one by one.
//!
//! A join would read the whole table, and a transaction that has read a whole table conflicts with whoever changes any of
//! its rows. Where a condition says what the key of each row is, the row is looked up, and nothing else was read.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::{CastOptions, cast_with_options, filter, not, nullif};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, LogicalPlan, Operator, lit};

use super::computation::{Compiler, Computation};
use super::merge::NONE;
use crate::error::Result;
use crate::storage::Transaction;
use crate::storage::codec::{RowBuilder, cell, data_type};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::{NumberClass, State, Table};

/// Rows of a source that are looked up one by one; for more of them, a join reads less than that costs.
pub(super) const LOOKUP_ROWS_MAX: usize = 4096;

/// The number of what is done with a row, negative if that is nothing.
pub(super) const ACTION: &str = "__action";
/// Null where a row of the source has no row of the table.
pub(super) const TARGET: &str = "__target";
/// Null where a row of the table has no row of the source.
pub(super) const SOURCE: &str = "__source";

/// What a condition says about the key of a table.
pub(super) struct KeyCondition {
    /// What each column of the key is equal to.
    pub(super) keys: Vec<Expr>,
    /// Whether the condition says nothing else.
    pub(super) is_all: bool,
}

impl KeyCondition {
    /// What `condition` says about the key of `table`, whose columns are qualified with `name`, if it is about all of it.
    pub(super) fn of(table: &Table, name: &TableReference, condition: &Expr) -> Option<Self> {
        // What has another value each time is no key.
        if table.schema.key_len == 0 || condition.is_volatile() {
            return None;
        }
        let mut keys: Vec<Option<Expr>> = vec![None; table.schema.key_len];
        let mut is_all = true;
        for conjunct in split_conjunction(condition) {
            match equality(table, name, conjunct) {
                Some((at, expr)) if keys[at].is_none() => keys[at] = Some(expr.clone()),
                _ => is_all = false,
            }
        }
        let keys = keys.into_iter().collect::<Option<Vec<Expr>>>()?;
        Some(Self { keys, is_all })
    }
}

/// The position of a column of the key, and what a condition says that it is equal to.
fn equality<'a>(table: &Table, name: &TableReference, condition: &'a Expr) -> Option<(usize, &'a Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
    let position = |expr: &Expr| match expr {
        Expr::Column(column) if column.relation.as_ref() == Some(name) => {
            table.schema.key().iter().position(|key| key.name.as_str() == column.name)
        }
        _ => None,
    };
    match (position(left), position(right)) {
        (Some(at), _) => Some((at, right)),
        (None, Some(at)) => Some((at, left)),
        (None, None) => None,
    }
}

/// Makes the rows that a statement writes, or replies with, of rows of a source, each with the row of the table that has its
/// key.
pub(super) struct Lookup {
    table: Arc<Table>,
    /// The schema of the table with cells that may all be None, as they are where there is no row.
    padded: Arc<Schema>,
    /// The key of each row of the source, in the types in which a join would compare it.
    keys: Computation,
    /// Over columns of the source and of the table: the number of what is done, see [`ACTION`].
    action: Computation,
    /// What is written, over these columns and that number.
    outputs: Computation,
}

impl Lookup {
    /// A lookup in the table, whose columns are qualified with a name, for rows of `source`, whose `keys` these are; nothing
    /// if an expression cannot be computed here, or keys are compared otherwise than they are looked up.
    pub(super) fn new(
        compiler: &Compiler<'_>,
        (table, name): (&Arc<Table>, &TableReference),
        source: &DFSchema,
        keys: Vec<Expr>,
        action: Expr,
        outputs: Vec<Expr>,
    ) -> Option<Self> {
        let mut typed = Vec::with_capacity(keys.len());
        for (column, key) in table.schema.key().iter().zip(keys) {
            let ty = compared_as(column, &compiler.data_type(source, &key).ok()?)?;
            typed.push((key, Some(ty)));
        }
        let outputs = outputs.into_iter().map(|output| (output, None)).collect();
        Some(Self {
            table: Arc::clone(table),
            padded: Arc::new(padded(&table.schema)),
            keys: compiler.compile(source, typed).ok()?,
            action: compiler.compile(&joined(source, table, name, false)?, vec![(action, None)]).ok()?,
            outputs: compiler.compile(&joined(source, table, name, true)?, outputs).ok()?,
        })
    }

    /// A lookup of the one row of the table that a condition is about, if the condition says the key of the row. It is looked up
    /// for one row without columns.
    pub(super) fn of_condition(
        compiler: &Compiler<'_>,
        (table, name): (&Arc<Table>, &TableReference),
        condition: &Expr,
        outputs: Vec<Expr>,
    ) -> Option<Self> {
        let keys = KeyCondition::of(table, name, condition)?.keys;
        let choice = (Box::new(condition.clone()), Box::new(lit(0i64)));
        let action = Expr::Case(Case::new(None, vec![choice], Some(Box::new(lit(NONE)))));
        Self::new(compiler, (table, name), &DFSchema::empty(), keys, action, outputs)
    }

    /// Whether the columns of the rows have the types of these: they must not depend on whether the value of a parameter is
    /// known.
    pub(super) fn yields<'a>(&self, fields: impl IntoIterator<Item = &'a Arc<Field>>) -> bool {
        let types = fields.into_iter().map(|field| field.data_type());
        types.eq(self.output().fields().iter().map(|field| field.data_type()))
    }

    /// The columns of the rows that are written.
    pub(super) fn output(&self) -> &SchemaRef {
        self.outputs.output()
    }

    /// Whether a row is found and computed in some microseconds.
    pub(super) fn is_quick(&self) -> bool {
        [&self.keys, &self.action, &self.outputs].into_iter().all(Computation::is_quick)
    }

    /// What is written for rows of the source; nothing if that cannot be computed here, for whichever reason.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub(super) async fn rows(
        &self,
        txn: &Transaction,
        source: &RecordBatch,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        let Some(keys) = self.keys(source, params) else { return Ok(None) };
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            found.push(match key {
                Some(key) => txn.get(&self.table, key).await?,
                None => None,
            });
        }
        Ok(self.written(source, &found, params))
    }

    /// The key that belongs to each row of the source, if it can be that of a row of the table.
    fn keys(&self, source: &RecordBatch, params: &[ScalarValue]) -> Option<Vec<Option<Vec<State>>>> {
        let compared = self.keys.arrays(source.columns(), source.num_rows(), params).ok()?;
        let columns = self.table.schema.key();
        let keys = columns.iter().zip(&compared).map(|(column, array)| narrowed(array, &data_type(column)));
        let keys = keys.collect::<Result<Vec<ArrayRef>, ArrowError>>().ok()?;
        let key = |row: usize| {
            if keys.iter().any(|array| array.is_null(row)) {
                return Some(None);
            }
            let cells = columns.iter().zip(&keys).map(|(column, array)| cell(column, array.as_ref(), row).ok());
            cells.collect::<Option<Vec<State>>>().map(Some)
        };
        (0..source.num_rows()).map(key).collect()
    }

    /// What is written for rows of the source and those of the table that were found for them.
    fn written(
        &self,
        source: &RecordBatch,
        found: &[Option<Vec<State>>],
        params: &[ScalarValue],
    ) -> Option<RecordBatch> {
        let mut columns = self.joined(source, found)?;
        let actions = self.action.arrays(&columns, found.len(), params).ok()?.pop()?;
        let numbers = actions.as_primitive_opt::<Int64Type>()?;
        let is_chosen: BooleanArray = numbers.iter().map(|number| Some(number.is_some_and(|it| it >= 0))).collect();
        let rows = is_chosen.true_count();
        if rows == 0 {
            self.outputs.check(params).ok()?;
            return Some(RecordBatch::new_empty(Arc::clone(self.output())));
        }
        columns.push(actions);
        if rows < found.len() {
            let chosen = columns.iter().map(|column| filter(column.as_ref(), &is_chosen));
            columns = chosen.collect::<Result<Vec<ArrayRef>, ArrowError>>().ok()?;
        }
        self.outputs.batch(&columns, rows, params).ok()
    }

    /// The columns of [`joined`].
    fn joined(&self, source: &RecordBatch, found: &[Option<Vec<State>>]) -> Option<Vec<ArrayRef>> {
        let none = vec![State::NONE; self.padded.columns.len()];
        let mut builder = RowBuilder::new(&self.padded, &self.padded.primary_columns(), found.len());
        for row in found {
            builder.append_row(row.as_deref().unwrap_or(&none)).ok()?;
        }
        let is_source: BooleanArray = found.iter().map(|_| Some(true)).collect();
        let is_target: BooleanArray = found.iter().map(|row| row.as_ref().map(|_| true)).collect();
        let mut columns = source.columns().to_vec();
        columns.push(Arc::new(is_source));
        columns.extend_from_slice(builder.finish().ok()?.columns());
        columns.push(Arc::new(is_target));
        Some(columns)
    }
}

/// The condition of a plan that reads all rows of one table that meet it, the table, and what qualifies its columns there.
pub(super) fn condition_on(plan: &LogicalPlan) -> Option<(&Expr, &TableReference, TableReference)> {
    let LogicalPlan::Filter(filter) = plan else { return None };
    let scan = match filter.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        scan => scan,
    };
    let LogicalPlan::TableScan(scan) = scan else { return None };
    let is_plain = scan.filters.is_empty() && scan.fetch.is_none();
    let (qualifier, _) = filter.input.schema().iter().next()?;
    is_plain.then_some((&filter.predicate, &scan.table_name, qualifier?.clone()))
}

/// What a left join of a source with a table yields, with marks of either side, and with the number of what is done or not.
fn joined(source: &DFSchema, table: &Table, name: &TableReference, is_numbered: bool) -> Option<DFSchema> {
    let field = |name: &str, ty: DataType| Arc::new(Field::new(name, ty, true));
    let mut fields: Vec<_> = source.iter().map(|(name, field)| (name.cloned(), Arc::clone(field))).collect();
    fields.push((None, field(SOURCE, DataType::Boolean)));
    for column in &table.schema.columns {
        fields.push((Some(name.clone()), field(column.name.as_str(), data_type(column))));
    }
    fields.push((None, field(TARGET, DataType::Boolean)));
    if is_numbered {
        fields.push((None, field(ACTION, DataType::Int64)));
    }
    DFSchema::new_with_metadata(fields, HashMap::new()).ok()
}

fn padded(schema: &Schema) -> Schema {
    let columns = schema.columns.iter().map(|column| Column { nullable: true, ..column.clone() });
    Schema { columns: columns.collect(), ..schema.clone() }
}

/// The type in which a column of the key is compared with values of the type `other`, if a value that is equal can be told
/// from that.
fn compared_as(column: &Column, other: &DataType) -> Option<DataType> {
    let is_plain = match column.ty {
        // Minus zero is another float than zero, but not another key.
        ColumnType::Number(class) => {
            !matches!(class, NumberClass::F32 | NumberClass::F64 | NumberClass::C32 | NumberClass::C64)
        }
        ColumnType::String
        | ColumnType::Bytes
        | ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Timestamp => true,
        // Their texts are not their keys.
        ColumnType::Id | ColumnType::Link | ColumnType::Email | ColumnType::Version | ColumnType::Any => false,
    };
    let own = data_type(column);
    let compared = comparison_coercion(&own, other)?;
    (is_plain && is_embedded(&own, &compared)).then_some(compared)
}

/// Whether each value of a type is a value of the type that it is compared in, and none becomes equal to another one there.
fn is_embedded(own: &DataType, compared: &DataType) -> bool {
    use DataType::{Decimal128, Timestamp};
    match (own, compared) {
        (own, compared) if own == compared => true,
        // Integers are compared in a type that has the values of both sides.
        (own, compared) if own.is_integer() && compared.is_integer() => true,
        (own, Decimal128(20, 0)) => own.is_integer(),
        (Timestamp(TimeUnit::Microsecond, None), Timestamp(TimeUnit::Nanosecond, None)) => true,
        _ => false,
    }
}

/// Values as those of a type that they were compared with; null where that has no such value.
fn narrowed(array: &ArrayRef, ty: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == ty {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let cast = cast_with_options(array, ty, &options)?;
    let back = cast_with_options(&cast, array.data_type(), &options)?;
    nullif(cast.as_ref(), &not(&eq(&back, array)?)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Int32Array, Int64Array, TimestampNanosecondArray};

    use super::*;

    #[track_caller]
    fn check(compared: ArrayRef, ty: &DataType, expected: &[Option<i64>]) {
        let keys = narrowed(&compared, ty).unwrap();
        assert_eq!(keys.data_type(), ty);
        let keys = cast_with_options(&keys, &DataType::Int64, &CastOptions::default()).unwrap();
        assert_eq!(keys.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_value_that_a_column_cannot_have_is_no_key() {
        let wide = Int64Array::from(vec![Some(5), None, Some(1 << 40), Some(-5)]);
        check(Arc::new(wide), &DataType::Int32, &[Some(5), None, None, Some(-5)]);
        check(Arc::new(Int32Array::from(vec![5])), &DataType::Int32, &[Some(5)]);
        let decimals = Decimal128Array::from(vec![7_i128, -7, 1 << 70]).with_precision_and_scale(20, 0);
        check(Arc::new(decimals.unwrap()), &DataType::UInt64, &[Some(7), None, None]);
        let nanos = TimestampNanosecondArray::from(vec![3_000, 3_001, -3_001, -4_000]);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        check(Arc::new(nanos), &micros, &[Some(3), None, None, Some(-4)]);
    }

    #[test]
    fn types_that_lose_values_are_not_looked_up_in() {
        use DataType::{Date32, Decimal128, Float64, Int32, Int64, UInt64, Utf8View};
        for (own, compared) in [(Int32, Int32), (Int32, Int64), (UInt64, Decimal128(20, 0)), (Utf8View, Utf8View)] {
            assert!(is_embedded(&own, &compared), "{own} in {compared}");
        }
        for (own, compared) in [(Int64, Float64), (Utf8View, Int64), (Date32, Utf8View), (Decimal128(5, 2), Float64)] {
            assert!(!is_embedded(&own, &compared), "{own} in {compared}");
        }
    }
}
