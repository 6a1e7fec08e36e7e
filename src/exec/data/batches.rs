//! Rows as Arrow batches, for replies that are streamed, and for tensors that are made of columns.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::read::Rows;
use super::{Session, Worker};
use crate::error::Result;
use crate::exec::relation::error::{external, internal};
use crate::exec::sql::Outcome;
use crate::storage::codec::arrow::SLOT;
use crate::storage::codec::{RowBuilder, arrow_schema};
use crate::value::{Collection, Schema, State};

/// The metadata of a schema that says which table the rows are of.
const TABLE: &str = "tinychain:table";

impl Worker<'_> {
    /// The rows of a view as batches of its columns.
    ///
    /// # Errors
    /// As reading the rows.
    pub(super) async fn batches(&self, collection: &Collection) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        Ok(match self.rows(collection).await? {
            Rows::Batches(batches) => batches,
            Rows::Few(rows) => stream::once(ready(batch(&collection.schema(), &rows))).boxed(),
        })
    }
}

impl Session {
    /// The rows of a view, which are read as they are asked for.
    ///
    /// # Errors
    /// As reading the rows.
    pub(crate) async fn batches(self: &Arc<Self>, collection: &Collection) -> Result<Outcome> {
        let rows = Worker::of(self).batches(collection).await?;
        let schema = shown(collection);
        let (session, expected) = (Arc::clone(self), Arc::clone(&schema));
        let rows = rows.map(move |batch| {
            // The transaction lasts as long as anything is read in it.
            let _kept = &session;
            batch.and_then(|batch| labelled(&expected, &batch)).map_err(external)
        });
        Ok(Outcome::Rows(Arc::clone(&schema), Box::pin(RecordBatchStreamAdapter::new(schema, rows))))
    }
}

/// The columns of a view, in the types that SQL has for them. Of what is stored with them, the classes are told, and what the
/// table is called, unless it belongs to the transaction.
fn shown(collection: &Collection) -> SchemaRef {
    let stored = arrow_schema(&collection.schema());
    let fields: Vec<Field> = stored.fields().iter().map(|field| told(field)).collect();
    let name = &collection.table.name;
    let metadata = (!name.is_empty()).then(|| (TABLE.to_string(), name.to_string()));
    Arc::new(ArrowSchema::new_with_metadata(fields, metadata.into_iter().collect::<HashMap<_, _>>()))
}

fn told(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.remove(SLOT);
    field.clone().with_metadata(metadata)
}

fn batch(schema: &Arc<Schema>, rows: &[Vec<State>]) -> Result<RecordBatch> {
    let mut builder = RowBuilder::new(schema, &schema.primary_columns(), rows.len());
    for row in rows {
        builder.append_row(row)?;
    }
    builder.finish()
}

/// The columns of a batch, under what is told of them.
fn labelled(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let labelled = RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options);
    labelled.map_err(|error| internal(error.into()))
}
