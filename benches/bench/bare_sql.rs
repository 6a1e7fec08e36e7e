//! The peer for queries: DataFusion as it comes, on Parquet files that `ArrowWriter` wrote as it comes.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::inside::{Inside, threads};

/// Rows of a batch that is read to be loaded.
const READ_ROWS: usize = 8192;

/// A context with tables in files, which uses as many threads as the host.
pub struct BareSql<'a> {
    context: SessionContext,
    /// For its runtime, so that neither has other threads than the other.
    inside: &'a Inside,
}

impl<'a> BareSql<'a> {
    /// A context that knows the file of each table in `dir`.
    pub fn new(inside: &'a Inside, dir: &Path, tables: &[&str]) -> Self {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads()));
        for table in tables {
            let path = dir.join(format!("{table}.parquet")).display().to_string();
            let registered = inside.block_on(context.register_parquet(*table, path, ParquetReadOptions::default()));
            registered.unwrap_or_else(|error| panic!("{error}"));
        }
        Self { context, inside }
    }

    /// Runs a query; returns its rows.
    pub fn sql(&self, text: &str) -> Vec<RecordBatch> {
        let rows = self.inside.block_on(async {
            let plan = Box::pin(self.context.sql(text)).await?;
            Box::pin(plan.collect()).await
        });
        rows.unwrap_or_else(|error| panic!("{error}, in {text}"))
    }
}

/// Writes a file, and waits until it is durable.
pub fn write_parquet(path: &Path, schema: SchemaRef, batches: impl IntoIterator<Item = RecordBatch>) {
    let file = File::create(path).expect("there is room for a file");
    let mut writer = ArrowWriter::try_new(file, schema, None).expect("the types can be written");
    for batch in batches {
        writer.write(&batch).expect("there is room for a file");
    }
    let file = writer.into_inner().expect("there is room for a file");
    file.sync_all().expect("there is room for a file");
}

/// The rows of a file.
pub fn read_parquet(path: &Path) -> impl Iterator<Item = RecordBatch> {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.with_batch_size(READ_ROWS).build());
    reader.expect("the file is whole").map(|batch| batch.expect("the file is whole"))
}
