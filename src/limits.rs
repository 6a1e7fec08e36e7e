//! Bounds on what one request may cost. Each is a flag of the host.

use std::time::Duration;

/// What one request may cost before it is refused or stopped.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Levels of nesting of a request document.
    pub json_depth: usize,
    /// Nodes of the graph of one program or op.
    pub graph_nodes: usize,
    /// Calls of ops within calls of ops.
    pub call_depth: usize,
    /// Bytes that the states of one request may take while it runs, roughly.
    pub request_bytes: u64,
    /// Time that one request may spend computing, as opposed to waiting.
    pub compute_time: Duration,
    /// Time that one request may take in all.
    pub request_ttl: Duration,
    /// Requests in progress at once.
    pub requests: usize,
    /// Bytes of a reply.
    pub reply_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            json_depth: 512,
            graph_nodes: 1 << 17,
            call_depth: 10_000,
            request_bytes: 1 << 30,
            compute_time: Duration::from_secs(3),
            request_ttl: Duration::from_secs(3),
            requests: 4096,
            reply_bytes: 256 << 20,
        }
    }
}
