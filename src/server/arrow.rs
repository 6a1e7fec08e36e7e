//! Rows, and tensors, as a stream of Arrow batches, for whoever asks for that with the header `accept`.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::writer::StreamWriter;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use hyper::body::Bytes;

use super::body::{BodyError, ReplyBody};
use super::tensor::ipc;
use crate::error::{Error, Result};
use crate::exec::sql::{Outcome, stream_error, write_error};
use crate::exec::{Contents, Kernel, Prepared};
use crate::txn::Txn;
use crate::value::{Id, Link, Root, State};

/// The media type of a stream of Arrow batches.
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// The link to the rows that stand for what is at `link`: the blocks of a chain are documents, and their records are rows.
pub(super) fn rows_of(link: Link) -> Link {
    match link.path() {
        [version @ .., _, chain, blocks]
            if link.root() == Some(Root::Service)
                && link.version_at().is_some_and(|at| at + 1 == version.len())
                && (chain.as_str(), blocks.as_str()) == ("chain", "blocks") =>
        {
            let above = Link::local(&link.path()[..version.len() + 2]);
            above.join(&[Id::from("records")])
        }
        _ => link,
    }
}

/// Runs a program whose result is a collection or a tensor, and replies that.
///
/// # Errors
/// As [`Kernel::contents`]; `TooLarge` for a dense tensor whose rows are.
pub(super) async fn answer(kernel: &Kernel, txn: &Txn, prepared: &Prepared, commits: bool) -> Result<ReplyBody> {
    match kernel.contents(txn, prepared, commits, accepts).await? {
        Contents::Rows(Outcome::Rows(schema, rows)) => stream(schema, rows.map_err(stream_error).boxed()).await,
        Contents::Rows(Outcome::Affected(_)) => Err(Error::internal("a collection without rows")),
        Contents::Tensor(reader) => {
            let (schema, batches) = ipc::batches(reader, kernel.limits().reply_bytes).await?;
            stream(schema, batches).await
        }
    }
}

/// Refuses a result that has no such form.
fn accepts(state: &State) -> Result<()> {
    match state {
        State::Tensor(tensor) => ipc::check(&tensor.schema),
        _ => Ok(()),
    }
}

/// Batches as an Arrow IPC stream. The first batch is computed before the reply begins, so that most errors still have a
/// status; a later one ends the connection.
pub(super) async fn stream(schema: SchemaRef, rows: BoxStream<'static, Result<RecordBatch>>) -> Result<ReplyBody> {
    // It is asked again after it has ended, if it has no rows.
    let mut rows = rows.fuse();
    let first = rows.next().await.transpose()?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(write_error)?;
    if let Some(batch) = first {
        writer.write(&batch).map_err(write_error)?;
    }
    let state = Some((writer, rows));
    let chunks = futures::stream::unfold(state, |state| async move {
        let (mut writer, mut rows) = state?;
        if writer.get_ref().is_empty() {
            match rows.next().await {
                Some(Ok(batch)) => {
                    if let Err(error) = writer.write(&batch) {
                        return Some((Err(BodyError::from(write_error(error))), None));
                    }
                }
                Some(Err(error)) => return Some((Err(BodyError::from(error)), None)),
                None => {
                    return match writer.into_inner() {
                        Ok(rest) => Some((Ok(Bytes::from(rest)), None)),
                        Err(error) => Some((Err(BodyError::from(write_error(error))), None)),
                    };
                }
            }
        }
        let chunk = Bytes::from(std::mem::take(writer.get_mut()));
        Some((Ok(chunk), Some((writer, rows))))
    });
    let chunks: BoxStream<'static, Result<Bytes, BodyError>> = Box::pin(chunks);
    Ok(ReplyBody::Stream { chunks, bytes: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_for_blocks() {
        let rows = |path: &str| rows_of(path.parse().unwrap()).to_string();
        assert_eq!(rows("/service/a/shop/1.0.0/items/chain/blocks"), "/service/a/shop/1.0.0/items/chain/records");
        for path in [
            "/service/a/shop/1.0.0/items/chain/verify",
            "/service/a/shop/1.0.0/items",
            "/service/a/shop/1.0.0/chain/blocks",
            "/service/a/shop/1.0.0/x/y/chain/blocks",
            "/lib/a/shop/1.0.0/items/chain/blocks",
            "/chain/blocks",
        ] {
            assert_eq!(rows(path), path);
        }
    }
}
