//! `tinychain verify` and `tinychain rebuild`: checks and repairs the chains in a data directory that no host uses.
//!
//! Both read what there is as it comes, with no limit of time: what does not fit in memory goes to files of the data
//! directory, which are deleted again. What they find is written for people and for scripts alike, a line each, with
//! tabs between what it says.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::key_list;
use crate::chain::block::Blocks;
use crate::chain::rebuild::{Report, Tally};
use crate::chain::{ChainDef, Kind, Subject, compliant};
use crate::cluster::{Chains, Placed};
use crate::env::{SystemClock, TxnClock};
use crate::error::{Error, Result};
use crate::storage::{DataDir, Store, StoreConfig, Transaction};
use crate::txn::TxnId;
use crate::value::encode::to_json;
use crate::value::{Link, State, Table, Tuple};

/// Bytes of what was read of segments.
const CACHE_BYTES: u64 = 64 << 20;
/// Bytes of rows in memory that are written to segments at once.
const MEMTABLE_BYTES: u64 = 64 << 20;
/// Bytes of memory for what is made of records.
const TXN_BYTES: u64 = 256 << 20;

/// Where the data of a host is that does not run.
#[derive(Clone, Debug, Args)]
pub struct Directory {
    /// The data directory of the host, which must not run
    #[arg(long = "data_dir", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// The file with the key that encrypts the data directory, if one does [default: the environment variable
    /// TC_AT_REST_KEY]
    #[arg(long = "at_rest_key", value_name = "FILE")]
    pub at_rest_key: Option<PathBuf>,
}

/// Check the history of chains, while no host runs
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub directory: Directory,

    /// Which chains: those of a directory, a service or a version of it, or one chain [default: all]
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: Option<Link>,
}

/// Compare what a chain records with its history, and repair it, while no host runs
#[derive(Clone, Debug, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub directory: Directory,

    /// Replace what the chain records by what its history says
    #[arg(long = "write")]
    pub write: bool,

    /// The chain, e.g. /service/shop/stock/1.0.0/items
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: Link,
}

fn path(text: &str) -> Result<Link, String> {
    text.parse().map_err(|error: Error| error.message().to_string())
}

/// A store that no host uses, and nobody else can meanwhile.
struct Offline {
    store: Arc<Store>,
    id: TxnId,
    _dir: DataDir,
}

impl Offline {
    async fn open(directory: &Directory) -> Result<Self> {
        let unusable = |error: std::io::Error| Error::internal(error.to_string());
        let keys = key_list(directory.at_rest_key.as_deref()).map_err(unusable)?;
        let dir = DataDir::open_existing(&directory.data_dir, keys.as_ref()).map_err(unusable)?;
        let config = StoreConfig::local(dir.path(), CACHE_BYTES, MEMTABLE_BYTES)?;
        let store = Store::open(StoreConfig { keys: dir.keys().cloned(), ..config }).await?;
        // Nothing remembers what this transaction was called.
        Ok(Self { store, id: TxnClock::new(0).mint(&SystemClock), _dir: dir })
    }

    fn begin(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.store), self.id, TXN_BYTES)
    }
}

/// Verifies chains, and writes a line about each: its path, its kind, how many blocks and records it has, and `ok` or what
/// is wrong. Returns whether all of them are as they should be.
///
/// # Errors
/// `Internal` if the data directory cannot be used, or `out` not be written; `NotFound` if there is nothing at the path.
pub async fn verify(args: &VerifyArgs, out: &mut (dyn Write + Send)) -> Result<bool> {
    let offline = Offline::open(&args.directory).await?;
    let verified = Box::pin(verify_all(&offline, args.path.as_ref(), out)).await;
    offline.store.close().await;
    verified
}

async fn verify_all(offline: &Offline, path: Option<&Link>, out: &mut (dyn Write + Send)) -> Result<bool> {
    let (txn, mut is_sound) = (offline.begin(), true);
    let mut chains = match path {
        Some(path) => Chains::at(&txn, path).await?,
        None => Chains::all(&txn),
    };
    while let Some(placed) = chains.next().await? {
        let checked = Box::pin(check(&offline.begin(), &placed)).await;
        let kind = placed.chain.kind.name();
        let (counts, verdict) = match &checked {
            Ok(Checked { blocks, records, fault: None }) => (format!("{blocks}\t{records}"), "ok"),
            Ok(Checked { blocks, records, fault: Some(fault) }) => (format!("{blocks}\t{records}"), fault.message()),
            Err(error) => ("-\t-".to_string(), error.message()),
        };
        is_sound &= verdict == "ok";
        line(out, format_args!("{}\t{kind}\t{counts}\t{verdict}", placed.path))?;
    }
    Ok(is_sound)
}

/// What is known of a chain.
struct Checked {
    blocks: u64,
    records: u64,
    /// What is wrong.
    fault: Option<Error>,
}

async fn check(txn: &Transaction, placed: &Placed) -> Result<Checked> {
    let subject = subject(txn, placed).await?;
    if !placed.chain.kind.has_records() {
        return Ok(Checked { blocks: 0, records: 0, fault: None });
    }
    let blocks = Blocks::open(txn, &placed.chain, &subject).await?;
    let (count, records) = (blocks.count().await?, blocks.records_len().await?);
    Ok(Checked { blocks: count, records, fault: blocks.verify().await.err() })
}

/// Compares what a chain records with its history, and writes a line about each way in which it differs: how many rows do,
/// and the keys of the first of them. Returns whether it is as it should be in the end.
///
/// # Errors
/// `Internal` that names what is wrong with the history, from which nothing can be made then, or if the data directory
/// cannot be used; `NotFound` if there is no such chain, or it keeps no history.
pub async fn rebuild(args: &RebuildArgs, out: &mut (dyn Write + Send)) -> Result<bool> {
    let offline = Offline::open(&args.directory).await?;
    let rebuilt = Box::pin(rebuild_one(&offline, args, out)).await;
    offline.store.close().await;
    rebuilt
}

async fn rebuild_one(offline: &Offline, args: &RebuildArgs, out: &mut (dyn Write + Send)) -> Result<bool> {
    let txn = offline.begin();
    let placed = one(&txn, &args.path).await?;
    let subject = subject(&txn, &placed).await?;
    let blocks = Blocks::open(&txn, &placed.chain, &subject).await?;
    let rebuilt = Box::pin(blocks.rebuild()).await?;
    show(&rebuilt.report, &placed, out)?;
    if rebuilt.report.is_clean() || !args.write {
        return Ok(rebuilt.report.is_clean());
    }
    let rows = Box::pin(rebuilt.write()).await?;
    txn.commit().await?;
    line(out, format_args!("{}\trepaired\t{rows}", placed.path))?;
    Ok(true)
}

/// The chain at a path.
async fn one(txn: &Transaction, path: &Link) -> Result<Placed> {
    let placed = Chains::at(txn, path).await?.next().await?.filter(|placed| placed.path == path.path_text());
    placed.ok_or_else(|| Error::bad_request(format!("{path} is not the path of a chain")))
}

/// What a chain records. If an earlier release made the chain, it gets what that did not make, as when a host starts.
async fn subject(txn: &Transaction, placed: &Placed) -> Result<Arc<Table>> {
    let lost = || Error::internal(format!("what {} records is lost", placed.path));
    let subject = txn.table(&placed.path).await?.ok_or_else(lost)?;
    if let Kind::Compliant(policy) = &placed.chain.kind {
        Box::pin(compliant::complete(txn, &subject, policy)).await?;
    }
    Ok(subject)
}

fn show(report: &Report, Placed { path, chain }: &Placed, out: &mut (dyn Write + Send)) -> Result<()> {
    let differs = [("missing", &report.missing), ("changed", &report.changed), ("extra", &report.extra)];
    let tallies = differs.into_iter().chain([("owner", &report.owner)]);
    for (what, tally) in tallies.filter(|(_, tally)| tally.count > 0) {
        line(out, format_args!("{path}\t{what}\t{}\t{}", tally.count, keys(tally, chain)?))?;
    }
    match &report.unreadable {
        Some(error) => line(out, format_args!("{path}\tunreadable\t-\t{}", error.message())),
        None if report.is_clean() => line(out, format_args!("{path}\tok")),
        None => Ok(()),
    }
}

/// The keys of some rows. The only row of a value has none that means anything.
fn keys(tally: &Tally, chain: &ChainDef) -> Result<String> {
    if let Subject::Value(_) = chain.subject {
        return Ok("-".into());
    }
    let key = |key: &Vec<State>| Ok(to_json(&Tuple::try_new(key.clone())?.into()));
    Ok(tally.keys.iter().map(key).collect::<Result<Vec<String>>>()?.join(" "))
}

fn line(out: &mut (dyn Write + Send), text: fmt::Arguments<'_>) -> Result<()> {
    writeln!(out, "{text}").map_err(|error| Error::internal(format!("cannot write what was found: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_no_host_has_used_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = Directory { data_dir: root.path().to_path_buf(), at_rest_key: None };
        let args = VerifyArgs { directory, path: None };
        let error = runtime.block_on(verify(&args, &mut std::io::sink())).unwrap_err();
        assert!(error.message().contains("no host has used it"), "{error}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_chain_is_named_by_its_path() {
        assert_eq!(path("/service/a/1.0.0/t").unwrap().to_string(), "/service/a/1.0.0/t");
        assert!(path("service/a").is_err());
    }
}
