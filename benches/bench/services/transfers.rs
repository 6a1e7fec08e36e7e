//! Transfers of money: a request that writes to two services in one transaction, by clients that are in each other's
//! way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::installed::{BANK, CENTS, install, open_accounts, read};
use crate::client::{Client, Request};
use crate::folder;
use crate::items::Random;
use crate::load;
use crate::record::{of_clients, record};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, millis};

/// Numbers of clients, the same as in benches/peers/common.py.
const CLIENTS: [usize; 2] = [8, 64];
/// The account that takes part in every other transfer.
const HOT: u64 = 0;

const COLUMNS: [&str; 8] =
    ["clients", "transfers/s", "ms p50", "ms p99", "status 200", "status 409", "conflicts a commit", "commits a sync"];

/// Measures transfers, and checks what has become of the money.
pub fn run(sizes: &Sizes) {
    let title = format!(
        "services: transfers between {} accounts, half of them with the same one, each durable when it is answered, \
         {} s each (peer: benches/compare)",
        sizes.keys, sizes.seconds
    );
    let mut table = Table::new(&title, &COLUMNS);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    let mut client = Client::connect(server.port);
    let bank = install(&mut client, BANK);
    let journal = install(&mut client, "/service/bench/journal");
    let teller = install(&mut client, "/service/bench/teller");
    open_accounts(&mut client, &bank, sizes.keys);

    let (ids, mut done) = (Arc::new(AtomicU64::new(0)), 0);
    for clients in CLIENTS {
        let metrics =
            || ["commits", "conflicts", "log_syncs"].map(|of| server.metric(&format!("tinychain_store_{of}_total")));
        let before = metrics();
        let (ids, keys, target) = (Arc::clone(&ids), sizes.keys, format!("{teller}/transfer"));
        let next = move |random: &mut Random| {
            Request::new("POST", target.clone(), transfer(random, keys, ids.fetch_add(1, Ordering::Relaxed))).to_bytes()
        };
        let (load, statuses) = load::contend(server.port, clients, sizes.seconds, next);
        let after = metrics();
        let [commits, conflicts, syncs] = [0, 1, 2].map(|of| after[of] - before[of]);
        done += statuses.done;
        // Idle connections are closed.
        check(&mut Client::connect(server.port), &bank, &journal, sizes.keys, done);

        let name = of_clients("transfer", clients);
        record("services", &name, "tinychain", load.per_second, "transfers/s");
        record("services", &format!("{name}: refused"), "tinychain", statuses.conflicts as f64, "replies");
        table.row([
            clients.to_string(),
            figure(load.per_second),
            millis(load.p50),
            millis(load.p99),
            statuses.done.to_string(),
            statuses.conflicts.to_string(),
            figure(conflicts / commits.max(1.0)),
            figure(commits / syncs.max(1.0)),
        ]);
    }
    table.print();
}

/// The parameters of a transfer between two accounts below `accounts`.
fn transfer(random: &mut Random, accounts: u64, id: u64) -> String {
    let first = if random.below(2) == 0 { HOT } else { 1 + random.below(accounts - 1) };
    // Another one, which is not the hot one either.
    let second = 1 + (first + random.below(accounts - 2)) % (accounts - 1);
    let (from, to) = if random.below(2) == 0 { (first, second) } else { (second, first) };
    let cents = 1 + random.below(100);
    format!(r#"{{"id":{id},"from":{from},"to":{to},"cents":{cents}}}"#)
}

/// Ends the run if money was made or lost, or if the journal has not exactly the transfers that were acknowledged.
fn check(client: &mut Client, bank: &str, journal: &str, accounts: u64, done: u64) {
    let total = read(client, format!("{bank}/total"));
    assert_eq!(total, (accounts * CENTS).to_string(), "the sum of all balances has changed");
    let entries = read(client, format!("{journal}/entries/count"));
    assert_eq!(entries, done.to_string(), "the journal does not have the transfers that were acknowledged");
}
