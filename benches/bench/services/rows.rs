//! Rows of a service, read and written by one client: through methods, and by the path of the chain.

use super::installed::{BANK, CENTS, install_as, open_accounts};
use crate::client::{Client, Request};
use crate::folder;
use crate::items::Random;
use crate::load;
use crate::record::record;
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, millis};

/// How a row is asked for, and the request for the row of a bank that has some key.
type Way = (&'static str, fn(&str, u64, &mut Random) -> Request);

const WAYS: [Way; 3] = [("get by a method", get), ("get by its path", get_by_path), ("put by a method", put)];

/// Measures them for a table in each of two kinds of chains.
pub fn run(sizes: &Sizes) {
    let title = format!(
        "services: one of {} rows, one client, {} s each (bar: GET ≤ 2 ms, durable PUT ≤ 15 ms)",
        sizes.keys, sizes.seconds
    );
    let mut table = Table::new(&title, &["chain, way", "ms p50", "ms p99", "requests/s"]);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    for (name, chain) in [("SyncChain", "sync"), ("BlockChain", "block")] {
        // Another for each, since idle connections are closed.
        let mut client = Client::connect(server.port);
        let bank = install_as(&mut client, &format!("/service/bench/{chain}"), BANK, chain);
        open_accounts(&mut client, &bank, sizes.keys);
        for request in [get, get_by_path] {
            client.send(&request(&bank, 7, &mut Random::new(1)).to_bytes());
            assert_eq!(client.body().trim(), format!("[7,{CENTS}]"));
        }
        for (way, request) in WAYS {
            let (keys, bank) = (sizes.keys, bank.clone());
            let next = move |random: &mut Random| request(&bank, random.below(keys), random).to_bytes();
            let load = load::drive(server.port, 1, sizes.seconds, next);
            record("services", &format!("{way}, {name}"), "tinychain", load.p50 / 1e6, "ms");
            let cells = [millis(load.p50), millis(load.p99), figure(load.per_second)];
            table.row([format!("{name}, {way}")].into_iter().chain(cells));
        }
    }
    table.print();
}

fn get(bank: &str, key: u64, _: &mut Random) -> Request {
    Request::new("GET", format!("{bank}/account?key={key}"), "")
}

fn get_by_path(bank: &str, key: u64, _: &mut Random) -> Request {
    Request::new("GET", format!("{bank}/accounts?key=%5B{key}%5D"), "")
}

fn put(bank: &str, key: u64, random: &mut Random) -> Request {
    Request::new("PUT", format!("{bank}/set?key={key}"), random.below(CENTS).to_string())
}
