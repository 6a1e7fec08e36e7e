//! `POST /sql`: scripts of SQL, and what they result in as JSON or as a stream of Arrow batches.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderMap};

use super::body::{BodyError, ReplyBody};
use super::codec::rows::{encode_batch, encode_cells, encode_columns};
use crate::error::{Error, Result};
use crate::exec::sql::{Outcome, parameters, stream_error, write_error};
use crate::exec::{Kernel, SqlReply};
use crate::limits::Limits;
use crate::storage::{TableChange, TableDiff};
use crate::txn::Txn;
use crate::value::encode::{Encoder as _, Json};
use crate::value::{Number, State};

/// The media type of a stream of Arrow batches.
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// The body of a request.
struct Request {
    sql: String,
    params: Vec<datafusion::common::ScalarValue>,
    is_hypothetical: bool,
}

impl Request {
    fn read(body: &[u8]) -> Result<Self> {
        let doc: serde_json::Value = serde_json::from_slice(body)
            .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
        let serde_json::Value::Object(mut fields) = doc else {
            return Err(Error::bad_request("the body must be {\"sql\": …}"));
        };
        let sql = match fields.remove("sql") {
            Some(serde_json::Value::String(sql)) => sql,
            Some(_) => return Err(Error::bad_request("the field sql must be a string").within("sql")),
            None => return Err(Error::bad_request("the body has no field sql")),
        };
        let params = match fields.remove("params") {
            None | Some(serde_json::Value::Null) => vec![],
            Some(serde_json::Value::Array(params)) => parameters(&params).map_err(|error| error.within("params"))?,
            Some(_) => return Err(Error::bad_request("the field params must be a list").within("params")),
        };
        let is_hypothetical = match fields.remove("hypothetical") {
            None | Some(serde_json::Value::Null) => false,
            Some(serde_json::Value::Bool(value)) => value,
            Some(_) => {
                return Err(Error::bad_request("the field hypothetical must be true or false").within("hypothetical"));
            }
        };
        match fields.keys().next() {
            Some(other) => Err(Error::bad_request(format!("the body has an unknown field {other}"))),
            None => Ok(Self { sql, params, is_hypothetical }),
        }
    }
}

/// Runs the script in `body`; returns the reply with its media type.
pub(super) async fn answer(
    kernel: &Kernel,
    txn: &Txn,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(&'static str, ReplyBody)> {
    let request = Request::read(body)?;
    let reply = kernel.sql(txn, &request.sql, &request.params, request.is_hypothetical).await?;
    let limits = kernel.limits();
    match reply {
        SqlReply::Done(Outcome::Rows(schema, rows)) if wants_arrow(headers) => stream(schema, rows).await,
        SqlReply::Done(outcome) => {
            let mut out = Json::with_bytes_max(limits.reply_bytes);
            encode_outcome(outcome, &mut out).await?;
            finish(out, limits)
        }
        SqlReply::Hypothetical(outcome, diff) => {
            let mut out = Json::with_bytes_max(limits.reply_bytes);
            out.begin_map();
            out.key("result");
            encode_outcome(outcome, &mut out).await?;
            out.key("diff");
            encode_diff(&diff, &mut out);
            out.end_map();
            finish(out, limits)
        }
    }
}

fn wants_arrow(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(ARROW)))
}

fn finish(out: Json, limits: &Limits) -> Result<(&'static str, ReplyBody)> {
    if out.is_full() {
        return Err(too_large(limits));
    }
    let mut bytes = out.into_bytes();
    bytes.push(b'\n');
    Ok((super::routes::JSON, ReplyBody::Full(bytes.into())))
}

fn too_large(limits: &Limits) -> Error {
    Error::too_large(format!(
        "the reply is larger than {} bytes; ask for {ARROW} to have it streamed",
        limits.reply_bytes
    ))
}

async fn encode_outcome(outcome: Outcome, out: &mut Json) -> Result<()> {
    out.begin_map();
    match outcome {
        Outcome::Affected(rows) => {
            out.key("rows_affected");
            out.number(Number::U64(rows));
        }
        Outcome::Rows(schema, mut rows) => {
            out.key("columns");
            encode_columns(&schema, out);
            out.key("rows");
            out.begin_list();
            while let Some(batch) = rows.next().await {
                encode_batch(&batch.map_err(stream_error)?, out)?;
                if out.is_full() {
                    break;
                }
            }
            out.end_list();
        }
    }
    out.end_map();
    Ok(())
}

fn encode_rows<'a>(rows: impl Iterator<Item = &'a Vec<State>>, out: &mut Json) {
    out.begin_list();
    for row in rows {
        out.item();
        encode_cells(row, out);
    }
    out.end_list();
}

fn encode_diff(diff: &[TableDiff], out: &mut Json) {
    out.begin_list();
    for table in diff {
        out.item();
        out.begin_map();
        out.key("table");
        out.string(&table.name);
        out.key("change");
        out.string(match table.change {
            TableChange::Kept => "kept",
            TableChange::Created => "created",
            TableChange::Dropped => "dropped",
            TableChange::Altered => "altered",
        });
        out.key("inserted");
        encode_rows(table.inserted.iter(), out);
        out.key("updated");
        out.begin_list();
        for (before, after) in &table.updated {
            out.item();
            out.begin_map();
            out.key("before");
            encode_cells(before, out);
            out.key("after");
            encode_cells(after, out);
            out.end_map();
        }
        out.end_list();
        out.key("deleted");
        encode_rows(table.deleted.iter(), out);
        out.key("truncated");
        out.bool(table.truncated);
        out.end_map();
    }
    out.end_list();
}

/// The rows as an Arrow IPC stream. The first batch is computed before the reply begins, so that most errors still have a
/// status; a later one ends the connection.
async fn stream(schema: SchemaRef, mut rows: SendableRecordBatchStream) -> Result<(&'static str, ReplyBody)> {
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
