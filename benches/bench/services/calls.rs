//! Calls of an op that is installed, beside those of the same op in a program that its request brings along.

use super::installed::{install, read};
use crate::client::{Client, Request};
use crate::folder;
use crate::load::{self, CONNECTIONS};
use crate::record::{of_clients, record};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, micros, nothing};

/// The program with the same op, and the same result.
const ANONYMOUS: &str = r#"{"op":[["double",{"/state/scalar/op/get":["n",[["_return",{"$n/mul":{"r":2}}]]]}],
    ["result",{"$double":[21]}]]}"#;

/// Measures both, on one connection and on many.
pub fn run(sizes: &Sizes) {
    let title = format!(
        "services: calls of an op that doubles a number, {} s each, load by {}",
        sizes.seconds,
        load::generator()
    );
    let mut table = Table::new(&title, &["clients, way", "calls/s", "µs p50", "µs p99", "installed ÷ anonymous"]);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    let mut client = Client::connect(server.port);
    let math = install(&mut client, "/lib/bench/math");
    let installed = Request::new("GET", format!("{math}/double?key=21"), "");
    let anonymous = Request::post(ANONYMOUS.into());
    assert_eq!(read(&mut client, installed.target.to_string()), "42");
    client.send(&anonymous.to_bytes());
    assert_eq!(client.body().trim(), "42");
    for clients in [1, CONNECTIONS] {
        let load = load::put(server.port, &installed, clients, sizes.seconds);
        let other = load::put(server.port, &anonymous, clients, sizes.seconds);
        let ratio = figure(load.per_second / other.per_second);
        let ways = [("installed", "tinychain", &load, ratio), ("anonymous", "tinychain, anonymous", &other, nothing())];
        for (way, system, load, ratio) in ways {
            record("services", &of_clients("call an op", clients), system, load.per_second, "calls/s");
            let cells = [figure(load.per_second), micros(load.p50), micros(load.p99), ratio];
            table.row([format!("{clients:>4} {way}")].into_iter().chain(cells));
        }
    }
    table.print();
}
