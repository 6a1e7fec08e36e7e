//! The command line of a host.
//!
//! Names use underscores, since scripts for earlier hosts pass them so. Flags whose work comes in a later release are
//! accepted and checked, so that such scripts keep working; [`Config::later`] says so at the start.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::auth::command::administrator;
use super::auth::owner::owner;
use super::auth::{Owner, TokenArgs};
use super::offline::{RebuildArgs, VerifyArgs};
use crate::exec::{DeviceChoice, EngineConfig};
use crate::limits::Limits;
use crate::planner::Optimizer;
use crate::storage::{DataDir, StoreConfig};
use crate::value::Link;

/// The smallest cache that the protocol allows, in bytes.
const CACHE_BYTES_MIN: u64 = 5_000;
/// The cache of a host whose command line does not say.
const CACHE_BYTES: u64 = 1_000_000_000;
/// Threads need this much stack for the deepest request that is accepted.
const STACK_BYTES_MIN: u64 = 2 << 20;
/// More than this is a typing error.
const STACK_BYTES_MAX: u64 = 4_000_000_000;
/// A year; longer times are typing errors, and would overflow some clocks.
const SECONDS_MAX: f64 = 31_536_000.0;

/// The command line: a host, or something beside it.
#[derive(Clone, Debug, Parser)]
#[command(name = "tinychain", version, about, long_about = None, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(flatten)]
    pub config: Config,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the binary does beside running a host.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a token that a secured host accepts
    Token(TokenArgs),
    /// Check the history of chains, while no host runs
    Verify(VerifyArgs),
    /// Compare what a chain records with its history, and repair it, while no host runs
    Rebuild(RebuildArgs),
}

/// An all-in-one transactional database and application server
#[derive(Clone, Debug, Parser)]
#[command(name = "tinychain", version, about, long_about = None)]
pub struct Config {
    /// The address that this host announces to others; beyond loopback, also the one to listen on
    #[arg(long = "address", value_name = "IP")]
    pub address: Option<IpAddr>,

    /// The address to listen on [default: loopback, or all addresses with --owner]
    #[arg(long = "bind", value_name = "IP")]
    pub bind: Option<IpAddr>,

    /// The directory for persistent data; created if it is missing
    #[arg(long = "data_dir", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// A file with the key that encrypts both directories, and then older ones [default: the environment variable
    /// TC_AT_REST_KEY, or no encryption]
    #[arg(long = "at_rest_key", value_name = "FILE")]
    pub at_rest_key: Option<PathBuf>,

    /// What computes large tensors beside the CPU: auto (a GPU, if there is one), cpu (nothing), gpu, or software (a driver
    /// that does without a GPU, for tests)
    #[arg(long = "device", value_name = "DEVICE", default_value = "auto", value_parser = device)]
    pub device: DeviceChoice,

    /// The directory for temporary data; created if it is missing
    #[arg(long = "workspace", value_name = "DIR", default_value = "/tmp/tc/tmp")]
    pub workspace: PathBuf,

    /// The port to listen on; 0 means any free port, which is printed
    #[arg(long = "http_port", value_name = "PORT", default_value_t = 8702)]
    pub http_port: u16,

    /// The time that a request may take, in seconds
    #[arg(long = "request_ttl", value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub request_ttl: Duration,

    /// What to log; the environment variable RUST_LOG has precedence
    #[arg(long = "log_level", value_name = "LEVEL", default_value = "info",
          value_parser = ["trace", "debug", "info", "warn", "error"])]
    pub log_level: String,

    /// The size of the cache of stored rows: bytes, or with suffix K, M or G (powers of 1000) [default: 1G]
    #[arg(long = "cache_size", value_name = "SIZE", value_parser = cache_size)]
    pub cache_size: Option<u64>,

    /// An AES-256 key for replication, in hexadecimal; repeatable
    #[arg(long = "symmetric_key", value_name = "HEX", value_parser = symmetric_key)]
    pub symmetric_key: Vec<SymmetricKey>,

    /// The URL of a host to replicate from, which is believed and sent tokens; repeatable
    #[arg(long = "peer", value_name = "URL", value_parser = peer)]
    pub peer: Vec<Link>,

    /// The stack of each worker thread
    #[arg(long = "stack_size", value_name = "SIZE", default_value = "96M", value_parser = stack_size)]
    pub stack_size: u64,

    /// Skip security checks, which is the default without --owner
    #[arg(long = "insecure", conflicts_with = "owner")]
    pub insecure: bool,

    /// Who administers this host: the link to who issues their tokens, or LINK#ACTOR for only one of those whom that
    /// issuer knows; the host is secured if this is given
    #[arg(long = "owner", value_name = "LINK[#ACTOR]", value_parser = owner)]
    pub owner: Option<Owner>,

    /// The group whose members use the services of this host, and replicate them
    #[arg(long = "group", value_name = "LINK", value_parser = administrator)]
    pub group: Option<Link>,

    /// The URL of another host whose tokens are believed, beside those of peers, owner and group; repeatable
    #[arg(long = "issuer", value_name = "URL", value_parser = peer)]
    pub issuer: Vec<Link>,

    /// The URL of another host that is sent the tokens of requests which call it, beside peers; repeatable
    #[arg(long = "trust", value_name = "URL", value_parser = peer)]
    pub trust: Vec<Link>,

    /// The time without an answer after which a replica is removed, in seconds
    #[arg(long = "removal_timeout", value_name = "SECONDS", value_parser = seconds)]
    pub removal_timeout: Option<Duration>,

    /// Don't look for other hosts on the local network
    #[arg(long = "no_mdns")]
    pub no_mdns: bool,

    /// Let GET requests write
    #[arg(long = "allow_get_writes")]
    pub allow_get_writes: bool,

    /// The largest request body
    #[arg(long = "max_body_size", value_name = "SIZE", default_value = "16M", value_parser = size)]
    pub max_body_size: u64,

    /// The deepest nesting of a request
    #[arg(long = "max_depth", value_name = "LEVELS", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub max_depth: u32,

    /// The largest graph of one program or op
    #[arg(long = "max_graph_nodes", value_name = "NODES", default_value_t = 131_072,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_graph_nodes: u32,

    /// The deepest nesting of calls of ops
    #[arg(long = "max_call_depth", value_name = "CALLS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_call_depth: u32,

    /// The time that a request may spend computing, in seconds [default: as --request_ttl]
    #[arg(long = "max_compute_time", value_name = "SECONDS", value_parser = seconds)]
    pub max_compute_time: Option<Duration>,

    /// The number of requests in progress at once
    #[arg(long = "max_requests", value_name = "REQUESTS", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_requests: u32,

    /// The largest reply
    #[arg(long = "max_reply_size", value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub max_reply_size: u64,

    /// The memory that the states of one request may take
    #[arg(long = "max_request_memory", value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub max_request_memory: u64,

    /// The memory that sorts, joins and aggregates of all queries may take before they use the workspace
    #[arg(long = "query_memory", value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub query_memory: u64,

    /// The size of the rows in memory that are written to a segment together
    #[arg(long = "memtable_size", value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub memtable_size: u64,

    /// A rule of the optimizer to leave out; can be repeated
    #[arg(long = "without_rule", value_name = "NAME", value_parser = rule)]
    pub without_rules: Vec<String>,
}

fn rule(name: &str) -> Result<String, String> {
    let names = [name.to_string()];
    Optimizer::check_names(&names).map(|()| name.to_string()).map_err(|error| error.message().to_string())
}

impl Config {
    /// What one request may cost.
    pub fn limits(&self) -> Limits {
        Limits {
            body_bytes: to_usize(self.max_body_size),
            json_depth: to_usize(self.max_depth.into()),
            graph_nodes: to_usize(self.max_graph_nodes.into()),
            call_depth: to_usize(self.max_call_depth.into()),
            request_bytes: self.max_request_memory,
            compute_time: self.max_compute_time.unwrap_or(self.request_ttl),
            request_ttl: self.request_ttl,
            requests: to_usize(self.max_requests.into()),
            reply_bytes: to_usize(self.max_reply_size),
        }
    }

    /// The stack of each worker thread, in bytes.
    pub fn stack_bytes(&self) -> usize {
        to_usize(self.stack_size.max(STACK_BYTES_MIN))
    }

    /// What queries may use; they spill to `workspace`, encrypted if `seals_spills`.
    pub fn engine(&self, workspace: &Path, seals_spills: bool) -> EngineConfig {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig {
            memory_bytes: to_usize(self.query_memory),
            spill_dir: Some(workspace.join("spill")),
            seals_spills,
            threads,
            is_apart: true,
        }
    }

    /// The store in a data directory.
    ///
    /// # Errors
    /// `Internal` if the directory cannot be used.
    pub fn store(&self, data: &DataDir) -> crate::error::Result<StoreConfig> {
        let store = StoreConfig::local(data.path(), self.cache_size.unwrap_or(CACHE_BYTES), self.memtable_size)?;
        Ok(StoreConfig { keys: data.keys().cloned(), ..store })
    }

    /// The address to listen on. A host that checks nobody's credentials is only reachable from its own machine,
    /// unless the command line says otherwise.
    pub fn listen_ip(&self) -> IpAddr {
        match (self.bind, self.address, &self.owner) {
            (Some(ip), _, _) | (None, Some(ip), None) => ip,
            (None, Some(IpAddr::V6(_)), Some(_)) => Ipv6Addr::UNSPECIFIED.into(),
            (None, _, Some(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (None, None, None) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// A sentence for each flag that was given but does nothing in this release.
    pub fn later(&self) -> Vec<&'static str> {
        let flags = [
            (
                !self.peer.is_empty(),
                "--peer only says which host is believed and sent tokens yet: replication comes in a later release",
            ),
            (!self.symmetric_key.is_empty(), "--symmetric_key has no effect yet: replication comes in a later release"),
            (
                self.removal_timeout.is_some(),
                "--removal_timeout has no effect yet: replication comes in a later release",
            ),
            (self.no_mdns, "--no_mdns has no effect yet: this release never looks for other hosts"),
            (self.allow_get_writes, "--allow_get_writes has no effect yet: what a GET writes is never committed"),
        ];
        flags.into_iter().filter(|(given, _)| *given).map(|(_, sentence)| sentence).collect()
    }
}

/// An AES-256 key. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct SymmetricKey([u8; 32]);

impl SymmetricKey {
    /// The bytes of this key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(…)")
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn device(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|error: crate::error::Error| error.message().to_string())
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
        Some(_) => (text, 1),
        None => return Ok(0),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("expected a whole number of bytes, or one with the suffix K, M or G".into());
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "the size is too large".into())
}

fn cache_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < CACHE_BYTES_MIN => Err(format!("the cache needs at least {CACHE_BYTES_MIN} bytes")),
        bytes => Ok(bytes),
    }
}

fn stack_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes > STACK_BYTES_MAX => Err("a stack can have at most 4G".into()),
        bytes => Ok(bytes),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_string())?;
    if seconds > 0.0 && seconds <= SECONDS_MAX {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("the time must be longer than 0 seconds and at most a year".into())
    }
}

fn symmetric_key(text: &str) -> Result<SymmetricKey, String> {
    let mut key = [0; 32];
    // The text is secret, so the message doesn't repeat any of it.
    hex::decode_to_slice(text, &mut key).map_err(|_| "a key has exactly 64 hexadecimal digits".to_string())?;
    Ok(SymmetricKey(key))
}

fn peer(text: &str) -> Result<Link, String> {
    let link = text.parse::<Link>().ok().filter(|link| link.path().is_empty());
    link.filter(|link| link.authority().is_some_and(|authority| !authority.secure))
        .ok_or_else(|| "expected http://<host> or http://<host>:<port>".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from([&["tinychain"][..], flags].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_documents() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.http_port, 8702);
        assert_eq!(config.workspace, PathBuf::from("/tmp/tc/tmp"));
        assert_eq!(config.data_dir, PathBuf::from("./data"));
        assert_eq!(config.limits().request_ttl, Duration::from_secs(3));
        assert_eq!(config.limits().compute_time, Duration::from_secs(3));
        assert_eq!(config.limits().body_bytes, 16_000_000);
        assert_eq!(config.stack_bytes(), 96_000_000);
        assert!(config.later().is_empty());
    }

    #[test]
    fn both_forms_of_a_flag_are_read() {
        let config = parse(&["--http_port", "0", "--request_ttl=0.5", "--data_dir=/x"]).unwrap();
        assert_eq!(config.http_port, 0);
        assert_eq!(config.limits().compute_time, Duration::from_millis(500));
    }

    #[test]
    fn what_a_harness_passes_is_accepted() {
        let key = format!("--symmetric_key={}", "00".repeat(32));
        let flags = ["--workspace=/w", "--address=127.0.0.1", "--data_dir=/d", "--http_port=1", "--log_level=debug"];
        let more = ["--cache_size=5K", "--request_ttl=30", key.as_str(), "--insecure"];
        let config = parse(&[&flags[..], &more[..]].concat()).unwrap();
        assert_eq!(config.later().len(), 1);
        assert_eq!(config.listen_ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn wrong_flags_exit_with_status_2() {
        let wrong = [
            "--nope",
            "--http_port=99999",
            "--cache_size=4999",
            "--cache_size=0",
            "--cache_size=5T",
            "--request_ttl=0",
            "--request_ttl=x",
            "--request_ttl=nan",
            "--symmetric_key=00",
            "--peer=localhost:1",
            "--peer=https://a",
            "--peer=http://a/b",
            "--log_level=loud",
            "--max_depth=0",
            "--address=host",
            "--owner=/",
            "--owner=https://a/b",
            "--owner=/user#alice",
            "--owner=http://a/b#",
            "--group=http://a",
            "--group=http://a/b#alice",
            "--issuer=/user",
            "--trust=/user",
            "--trust=http://a/b",
        ];
        for flag in wrong {
            assert_eq!(parse(&[flag]).unwrap_err().exit_code(), 2, "{flag}");
        }
        assert_eq!(parse(&["--insecure", "--owner=/user"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn sizes_have_decimal_suffixes() {
        for (text, bytes) in [("5K", 5_000), ("2M", 2_000_000), ("1G", 1_000_000_000), ("7000", 7_000), ("", 0)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["K", "1.5G", "-1", "1k", "99999999999G", "+1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unsecured_host_listens_on_loopback_unless_told_otherwise() {
        let ip = |flags: &[&str]| parse(flags).unwrap().listen_ip().to_string();
        assert_eq!(ip(&[]), "127.0.0.1");
        assert_eq!(ip(&["--address=10.0.0.1"]), "10.0.0.1");
        assert_eq!(ip(&["--address=10.0.0.1", "--bind=127.0.0.1"]), "127.0.0.1");
    }

    #[test]
    fn a_secured_host_listens_everywhere_unless_told_otherwise() {
        let ip = |flags: &[&str]| parse(&[&["--owner=/user"][..], flags].concat()).unwrap().listen_ip().to_string();
        assert_eq!(ip(&[]), "0.0.0.0");
        assert_eq!(ip(&["--address=10.0.0.1"]), "0.0.0.0");
        assert_eq!(ip(&["--address=::1"]), "::");
        assert_eq!(ip(&["--bind=127.0.0.1"]), "127.0.0.1");
    }

    #[test]
    fn a_token_is_made_without_the_flags_of_a_host() {
        let parse = |flags: &[&str]| CommandLine::try_parse_from([&["tinychain"][..], flags].concat());
        let line = parse(&["token", "--data_dir=/d", "--owner=/user", "--claim=/lib:r"]).unwrap();
        assert!(matches!(line.command, Some(Command::Token(args)) if args.data_dir == Path::new("/d")));
        assert!(parse(&["--data_dir=/d", "--owner=/user"]).unwrap().command.is_none());
        for wrong in [&["stray"][..], &["--http_port=1", "token", "--owner=/user", "--claim=/lib:r"]] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn peers_may_be_names() {
        let config = parse(&["--peer=http://localhost:1", "--peer", "http://10.0.0.1/"]).unwrap();
        assert_eq!(config.peer.len(), 2);
    }

    #[test]
    fn a_key_is_never_printed() {
        let config = parse(&[&format!("--symmetric_key={}", "ab".repeat(32))]).unwrap();
        assert!(!format!("{config:?}").contains("171"));
        assert_eq!(config.symmetric_key[0].as_bytes(), &[0xab; 32]);
    }
}
