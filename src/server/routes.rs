//! The fixed endpoints of a host, and what else a path can name.
//!
//! [`ROUTES`] is the only list of endpoints: dispatch, the 405 replies, the OpenAPI description and the documentation
//! all read it. Every other path is a [`Link`], which means what the compiler makes of it.

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::txn::TxnId;
use crate::value::{Class, Id, Link, Root, Verb};

/// What a fixed path stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    Tokens,
    Hypothetical,
    Explain,
    Sql,
    Metrics,
    Health,
    OpenApi,
    Docs,
    Devices,
}

/// A fixed path with what it offers.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) endpoint: Endpoint,
    pub(super) verbs: &'static [Verb],
    /// The media type of a successful reply.
    pub(super) content_type: &'static str,
    /// A few words.
    pub(super) summary: &'static str,
    /// A few sentences.
    pub(super) description: &'static str,
}

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// All fixed paths.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/",
        endpoint: Endpoint::Tokens,
        verbs: &[Verb::Get],
        content_type: JSON,
        summary: "Get a token for replication",
        description: "Exchanges the encrypted token of another host for one of this host. Not offered in this release.",
    },
    Route {
        path: "/transact/hypothetical",
        endpoint: Endpoint::Hypothetical,
        verbs: &[Verb::Post],
        content_type: JSON,
        summary: "Run a program without committing",
        description: "Runs a program and replies with the value of its last step. The body is {\"op\": <program>}, where \
                      a program is a list of steps [name, state], an op definition, or any other state. A step refers to \
                      an earlier one by {\"$name\": []}, and calls a method of it by {\"$name/method\": [argument]}. Steps \
                      that the last one does not need are not run. With diff=true the reply is {\"result\": <the value>, \
                      \"diff\": [{\"table\", \"change\", \"inserted\", \"updated\", \"deleted\", \"truncated\"}]}: what the \
                      program would change, also in the tables of services, and of those that it would install.",
    },
    Route {
        path: "/explain",
        endpoint: Endpoint::Explain,
        verbs: &[Verb::Post],
        content_type: TEXT,
        summary: "Show how a program would run",
        description: "Takes what /transact/hypothetical takes, and replies with the plan of the program: its graph, the \
                      rules that changed it, and what runs each part; also those of the methods that it calls, as far as \
                      that is known. With analyze=true the program also runs, and the plan says what each part cost. The \
                      parameter format is text, json, dot or svg. For any other request, the parameter explain=true does \
                      the same.",
    },
    Route {
        path: "/sql",
        endpoint: Endpoint::Sql,
        verbs: &[Verb::Post],
        content_type: JSON,
        summary: "Run SQL in one transaction",
        description: "Runs a script. The body is {\"sql\": <script>, \"params\": [<values of $1, $2, …>], \"hypothetical\": \
                      <true to show what would change and change nothing>}. A script is one transaction; BEGIN and COMMIT \
                      may stand around it. The reply is that of its last statement: {\"columns\": [{\"name\", \"type\"}], \
                      \"rows\": […]} for a query, {\"rows_affected\": n} otherwise. With the header \
                      accept: application/vnd.apache.arrow.stream, the rows of a query are streamed as Arrow batches. The \
                      schema of the tables of a service is its path with the version, without /service/; a table named \
                      <table>~records has what the chain of the table recorded, and can only be read. FOR SYSTEM_TIME AS OF \
                      '<transaction>' after such a table in FROM shows it as it was after that transaction.",
    },
    Route {
        path: "/metrics",
        endpoint: Endpoint::Metrics,
        verbs: &[Verb::Get],
        content_type: TEXT,
        summary: "Measurements of this host",
        description: "Counters and histograms in the text format of Prometheus.",
    },
    Route {
        path: "/healthz",
        endpoint: Endpoint::Health,
        verbs: &[Verb::Get],
        content_type: JSON,
        summary: "Whether this host is up",
        description: "Replies with the status and the version of this host, also while it refuses other requests because \
                      too many are in progress.",
    },
    Route {
        path: "/openapi.json",
        endpoint: Endpoint::OpenApi,
        verbs: &[Verb::Get],
        content_type: JSON,
        summary: "This interface, for tools",
        description: "An OpenAPI 3.1 description of this host.",
    },
    Route {
        path: "/docs",
        endpoint: Endpoint::Docs,
        verbs: &[Verb::Get],
        content_type: HTML,
        summary: "This interface, for people",
        description: "First commands, the fixed paths, and all methods of all classes.",
    },
    Route {
        path: "/docs/devices",
        endpoint: Endpoint::Devices,
        verbs: &[Verb::Get],
        content_type: TEXT,
        summary: "What computes tensors",
        description: "The device that computes tensors beside the CPU, if there is one, and a table: for each function and class \
                      of numbers, whether its results are exactly those of the CPU, within some ulp, or refused, and why. \
                      EXPLAIN with analyze=true says where a call was computed.",
    },
];

impl Route {
    /// Whether this path supports `verb`.
    pub(super) fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// The value of the header `allow`.
    pub(super) fn allow(&self) -> String {
        let names: Vec<_> = self.verbs.iter().map(|verb| verb.http()).collect();
        names.join(", ")
    }
}

/// The fixed endpoint at `path`, if there is one.
pub(super) fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

/// What the path of a request names.
#[derive(Debug)]
pub(super) enum Target {
    Route(&'static Route),
    Link(Link),
}

impl Target {
    /// Reads a path, whose segments may be percent-encoded.
    ///
    /// # Errors
    /// `BadRequest` if a segment is empty, not UTF-8 or not a valid name.
    pub(super) fn parse(path: &str) -> Result<Self> {
        // Most requests are for a class, whose link exists already.
        if let Some(class) = Class::at(path) {
            return Ok(Target::Link(class.link()));
        }
        if let Some(route) = find(path) {
            return Ok(Target::Route(route));
        }
        let segments = path.strip_prefix('/').ok_or_else(|| Error::bad_request("a path begins with /"))?;
        let segments = segments.split('/').map(|text| segment(path, text)).collect::<Result<Vec<_>>>()?;
        let link = Link::local(segments);
        if path.contains('%')
            && let Some(route) = find(&link.path_text())
        {
            return Ok(Target::Route(route));
        }
        Ok(Target::Link(link))
    }
}

/// The link to what was at `link`, which a chain of a service records, after a transaction.
///
/// # Errors
/// `BadRequest` if it is the path of something that no chain can record.
pub(super) fn past_of(link: &Link, txn: TxnId) -> Result<Link> {
    let refused =
        |why: &str| Error::bad_request(format!("as_of shows what a chain of a service recorded, and {link} {why}"));
    let at = link.version_at().filter(|_| link.root() == Some(Root::Service));
    let Some((member, rest)) = at.and_then(|at| link.path().split_at_checked(at + 2)) else {
        return Err(refused("is no path of that"));
    };
    if rest.first().is_some_and(|first| first.as_str() == "chain") {
        return Err(refused("is the chain itself"));
    }
    let past = [Id::from("chain"), Id::from("at"), txn.to_string().parse()?];
    Ok(Link::local(member).join(&past).join(rest))
}

fn segment(path: &str, text: &str) -> Result<Id> {
    if text.is_empty() {
        return Err(Error::bad_request(format!("the path {path} has an empty segment")));
    }
    let text = percent_decode_str(text).decode_utf8();
    text.map_err(|_| Error::bad_request(format!("the path {path} is not UTF-8")))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(path: &str) -> String {
        match Target::parse(path) {
            Ok(Target::Link(link)) => link.to_string(),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn each_route_is_found_and_listed_once() {
        for route in ROUTES {
            assert!(matches!(Target::parse(route.path), Ok(Target::Route(found)) if found.endpoint == route.endpoint));
            assert_eq!(ROUTES.iter().filter(|other| other.path == route.path).count(), 1);
            assert!(!route.verbs.is_empty());
        }
    }

    #[test]
    fn segments_are_decoded() {
        assert_eq!(link("/state/scalar/value/str%69ng"), "/state/scalar/value/string");
        assert_eq!(link("/state/scalar/value/string"), "/state/scalar/value/string");
        assert_eq!(link("/lib/%C3%A9"), "/lib/é");
        assert!(matches!(Target::parse("/heal%74hz"), Ok(Target::Route(_))));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in ["", "*", "//", "//a", "/a/", "/a//b", "/a%20b", "/%ff", "/a%2Fb", "/$a", "/a%00"] {
            assert!(Target::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_past_is_below_the_chain() {
        let txn = TxnId { timestamp: 12, nonce: 5 };
        let past = |path: &str| past_of(&path.parse().unwrap(), txn).map(|link| link.to_string()).ok();
        let at = |path: &str| Some(path.to_string());
        let items = "/service/a/shop/1.0.0/items";
        assert_eq!(past(items), at("/service/a/shop/1.0.0/items/chain/at/12-5"));
        assert_eq!(past("/service/a/shop/1.0.0/items/count"), at("/service/a/shop/1.0.0/items/chain/at/12-5/count"));
        for path in ["chain", "chain/info", "chain/at/12-5"] {
            assert_eq!(past(&format!("{items}/{path}")), None);
        }
        for path in ["/state", "/lib/a/shop/1.0.0/items", "/service", "/service/a/shop", "/service/a/shop/1.0.0"] {
            assert_eq!(past(path), None);
        }
    }

    #[test]
    fn the_allow_header_lists_the_verbs() {
        assert_eq!(find("/explain").unwrap().allow(), "POST");
    }
}
