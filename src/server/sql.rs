//! `POST /sql`: scripts of SQL, and what they result in as JSON or as a stream of Arrow batches.

use futures::{StreamExt as _, TryStreamExt as _};
use hyper::header::HeaderMap;

use super::arrow::{self, ARROW};
use super::body::ReplyBody;
use super::codec::rows::{encode_batch, encode_columns};
use super::diff::encode_diff;
use super::form::Form;
use crate::error::{Error, Result};
use crate::exec::sql::{Outcome, parameters, stream_error};
use crate::exec::{Kernel, SqlReply};
use crate::limits::Limits;
use crate::txn::Txn;
use crate::value::Number;
use crate::value::encode::{Encoder as _, Json};

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
        SqlReply::Done(Outcome::Rows(schema, rows)) if Form::wanted(headers) == Some(Form::Arrow) => {
            let rows = rows.map_err(stream_error).boxed();
            Ok((ARROW, arrow::stream(schema, rows).await?))
        }
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
