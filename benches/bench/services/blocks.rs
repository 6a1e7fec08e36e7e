//! A BlockChain: how fast it grows, is verified, and makes its subject again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::installed::{install, read};
use crate::client::{Client, Request};
use crate::folder;
use crate::items::{Random, STATEMENT_ROWS};
use crate::record::record;
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, Until, figure, measure};

/// Random numbers in the text of a line, and the hexadecimal digits of each.
const NUMBERS: u64 = 6;
const DIGITS: u64 = 15;
/// Bytes of the cells of a line: its number and its text.
const LINE_BYTES: u64 = 8 + NUMBERS * DIGITS;

/// Measures appends of many rows a transaction, one after the other, and then reads of all records.
pub fn run(sizes: &Sizes) {
    let transactions = sizes.keys.div_ceil(STATEMENT_ROWS);
    let lines = transactions * STATEMENT_ROWS;
    let title = format!(
        "services: {lines} records of {LINE_BYTES} bytes in a BlockChain, {STATEMENT_ROWS} a transaction, one client"
    );
    let mut table = Table::new(&title, &["work", "MB/s", "s", "records/s", "blocks"]);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    let mut client = Client::connect(server.port);
    let log = install(&mut client, "/service/bench/log");
    let mut random = Random::new(1);
    // Made before, so that only the host is measured.
    let requests: Vec<_> = (0..transactions).map(|at| append(&log, at * STATEMENT_ROWS, &mut random)).collect();
    let begin = Instant::now();
    for request in &requests {
        client.send(request);
    }
    let appended = begin.elapsed().as_secs_f64();
    let info: Value = serde_json::from_str(&read(&mut client, format!("{log}/lines/chain/info"))).expect("JSON");
    let blocks = info["blocks"].to_string();

    let until = Until { at_least: sizes.runs, time: Duration::ZERO };
    let mut ask = |request: Request, reply: String| {
        let samples = measure(until, || request.to_bytes(), |request: Vec<u8>| client.send(&request));
        assert_eq!(client.body().trim(), reply);
        samples.p50() / 1e9
    };
    let verified = ask(Request::new("GET", format!("{log}/lines/chain/verify"), ""), "true".into());
    // In a program that counts the rows, so that they are not sent.
    let at = format!("{log}/lines/chain/at");
    let program = json!({"op": [
        ["was", {at: [info["last"]]}],
        ["count", {"$was/count": [null]}]
    ]});
    let rebuilt = ask(Request::post(program.to_string()), lines.to_string());

    for (work, seconds) in [("append", appended), ("verify", verified), ("rebuild", rebuilt)] {
        let rate = (lines * LINE_BYTES) as f64 / 1e6 / seconds;
        record("services", &format!("{work}, BlockChain"), "tinychain", rate, "MB/s");
        let cells = [figure(rate), figure(seconds), figure(lines as f64 / seconds), blocks.clone()];
        table.row([work.to_owned()].into_iter().chain(cells));
    }
    table.print();
}

/// The request that appends lines from the number `first` on.
fn append(log: &str, first: u64, random: &mut Random) -> Vec<u8> {
    let digits = DIGITS as usize;
    let mut text =
        || (0..NUMBERS).map(|_| format!("{:0digits$x}", random.below(1 << (4 * DIGITS)))).collect::<String>();
    let lines: Vec<_> = (first..first + STATEMENT_ROWS).map(|number| json!([number, text()])).collect();
    Request::new("POST", format!("{log}/append"), json!({"lines": lines}).to_string()).to_bytes()
}
