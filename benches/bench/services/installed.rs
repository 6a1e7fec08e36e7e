//! Installs what is measured.

use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::items::STATEMENT_ROWS;

/// Accounts, their sum, and methods that change one of them.
pub const BANK: &str = "/service/bench/bank";
/// What each account of the bank has at first.
pub const CENTS: u64 = 1_000_000;

const DEFINITIONS: &str = include_str!("../../services.json");

/// Installs what services.json has at `path`; returns the path of the version.
pub fn install(client: &mut Client, path: &str) -> String {
    install_as(client, path, path, "sync")
}

/// Installs what services.json has at `source` at another path, where its SyncChains are of another kind.
pub fn install_as(client: &mut Client, path: &str, source: &str, chain: &str) -> String {
    let all: Value = serde_json::from_str(DEFINITIONS).expect("services.json is JSON");
    let definition = all.get(source).unwrap_or_else(|| panic!("services.json has no {source}"));
    let body = json!({path: definition}).to_string().replace("/state/chain/sync", &format!("/state/chain/{chain}"));
    let (directory, name) = path.rsplit_once('/').expect("a path has segments");
    let (root, namespace) = directory.rsplit_once('/').expect("an item is in a directory below its root");
    put(client, root, namespace, "true");
    put(client, directory, name, "false");
    put(client, path, "1.0.0", &body);
    format!("{path}/1.0.0")
}

fn put(client: &mut Client, path: &str, key: &str, body: &str) {
    client.send(&Request::new("PUT", format!("{path}?key=%22{key}%22"), body).to_bytes());
}

/// Opens the accounts with the ids below `accounts`, many in a transaction.
pub fn open_accounts(client: &mut Client, bank: &str, accounts: u64) {
    for first in (0..accounts).step_by(STATEMENT_ROWS as usize) {
        let ids: Vec<u64> = (first..(first + STATEMENT_ROWS).min(accounts)).collect();
        let body = json!({"ids": ids, "cents": CENTS});
        client.send(&Request::new("POST", format!("{bank}/open"), body.to_string()).to_bytes());
    }
}

/// What a GET replies.
pub fn read(client: &mut Client, target: String) -> String {
    client.send(&Request::new("GET", target, "").to_bytes());
    client.body().trim().to_owned()
}
