//! The peer over HTTP: a hyper server that parses JSON and writes it back, and no more.

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::server::WORKERS;

/// The argument that makes this program the bare server.
pub const FLAG: &str = "--serve-bare";

/// Serves until it is killed.
pub fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(WORKERS).build();
    match runtime.and_then(|runtime| runtime.block_on(accept())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: the bare server failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn accept() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://127.0.0.1:{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve_connection(stream));
    }
}

async fn serve_connection(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.pipeline_flush(true);
    // A client that goes away is no matter.
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = if *request.method() == Method::GET {
        key(request.uri().query())
    } else {
        let body = request.into_body().collect().await;
        body.ok().and_then(|body| rewritten(&body.to_bytes()))
    };
    let status = if reply.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let mut response = Response::new(Full::new(Bytes::from(reply.unwrap_or_default())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The JSON text in the parameter `key`.
fn key(query: Option<&str>) -> Option<Vec<u8>> {
    let (_, key) = form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "key")?;
    rewritten(key.as_bytes())
}

/// A JSON text, parsed and written again.
fn rewritten(text: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    serde_json::to_vec(&value).ok()
}
