//! Rows as a stream of Arrow batches, for whoever asks for that with the header `accept`.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderMap};

use super::body::{BodyError, ReplyBody};
use crate::error::{Error, Result};
use crate::exec::sql::{Outcome, stream_error, write_error};
use crate::exec::{Kernel, Prepared};
use crate::txn::Txn;
use crate::value::{Id, Link, Root};

/// The media type of a stream of Arrow batches.
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Whether a request asks for a stream of Arrow batches.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(ARROW)))
}

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

/// Runs a program whose result is a collection; returns the reply with its media type.
pub(super) async fn answer(
    kernel: &Kernel,
    txn: &Txn,
    prepared: &Prepared,
    commits: bool,
) -> Result<(&'static str, ReplyBody)> {
    match kernel.rows(txn, prepared, commits).await? {
        Outcome::Rows(schema, rows) => stream(schema, rows).await,
        Outcome::Affected(_) => Err(Error::internal("a collection without rows")),
    }
}

/// The rows as an Arrow IPC stream. The first batch is computed before the reply begins, so that most errors still have a
/// status; a later one ends the connection.
pub(super) async fn stream(schema: SchemaRef, rows: SendableRecordBatchStream) -> Result<(&'static str, ReplyBody)> {
    // It is asked again after it has ended, if it has no rows.
    let mut rows = rows.fuse();
    let first = rows.next().await.transpose().map_err(stream_error)?;
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
                Some(Err(error)) => return Some((Err(BodyError::from(stream_error(error))), None)),
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
    Ok((ARROW, ReplyBody::Stream(chunks)))
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
