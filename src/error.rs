//! The one error type of the crate.
//!
//! A [`Kind`] says what the caller should do next; `server` maps it to an HTTP status in one place
//! ([`Kind::status`]). The message names the thing that was wrong, `at` names its place in the request.

use std::fmt;

/// What went wrong, by what the caller does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Kind {
    /// The request is malformed or makes no sense: change it.
    BadRequest,
    /// Credentials are missing or bad: authenticate.
    Unauthorized,
    /// Authenticated, but not allowed: ask for access.
    Forbidden,
    /// No such path, key, attribute, method, parameter or name.
    NotFound,
    /// The resource exists but does not support the verb.
    MethodNotAllowed,
    /// The request ran out of its time: simplify it or raise the limit.
    Timeout,
    /// Another transaction won: retry the whole transaction.
    Conflict,
    /// The request or its result is larger than a limit of this host.
    TooLarge,
    /// A fault of this host: report it.
    Internal,
    /// Defined by the protocol, but not offered by this host.
    NotImplemented,
    /// Another host failed: look there.
    BadGateway,
    /// Overloaded or shutting down: retry later.
    Unavailable,
}

impl Kind {
    /// The name of this kind on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad_request",
            Kind::Unauthorized => "unauthorized",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::Timeout => "request_timeout",
            Kind::Conflict => "conflict",
            Kind::TooLarge => "payload_too_large",
            Kind::Internal => "internal_error",
            Kind::NotImplemented => "not_implemented",
            Kind::BadGateway => "bad_gateway",
            Kind::Unavailable => "temporarily_unavailable",
        }
    }

    /// The HTTP status of this kind.
    pub fn status(self) -> u16 {
        match self {
            Kind::BadRequest => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::Timeout => 408,
            Kind::Conflict => 409,
            Kind::TooLarge => 413,
            Kind::Internal => 500,
            Kind::NotImplemented => 501,
            Kind::BadGateway => 502,
            Kind::Unavailable => 503,
        }
    }

    /// The kind with the given HTTP status, for replies of other hosts.
    pub fn from_status(status: u16) -> Self {
        match status {
            400 => Kind::BadRequest,
            401 => Kind::Unauthorized,
            403 => Kind::Forbidden,
            404 => Kind::NotFound,
            405 => Kind::MethodNotAllowed,
            408 => Kind::Timeout,
            409 => Kind::Conflict,
            413 => Kind::TooLarge,
            501 => Kind::NotImplemented,
            503 => Kind::Unavailable,
            _ => Kind::BadGateway,
        }
    }

    /// The kind that `/error/<name>` raises, if there is one.
    pub fn raised_by(name: &str) -> Option<Self> {
        Some(match name {
            "bad_request" => Kind::BadRequest,
            "unauthorized" => Kind::Unauthorized,
            "forbidden" => Kind::Forbidden,
            "not_found" => Kind::NotFound,
            "method_not_allowed" => Kind::MethodNotAllowed,
            "timeout" | "request_timeout" => Kind::Timeout,
            "conflict" => Kind::Conflict,
            "internal" | "internal_error" | "unknown" => Kind::Internal,
            "not_implemented" => Kind::NotImplemented,
            "bad_gateway" => Kind::BadGateway,
            "unavailable" | "temporarily_unavailable" => Kind::Unavailable,
            _ => return None,
        })
    }
}

/// A failure, with its place in the request and the steps that were being resolved.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, Eq, PartialEq, Hash)]
struct Inner {
    kind: Kind,
    message: String,
    /// Innermost first.
    stack: Vec<String>,
    /// Segments of the place in the request, innermost first.
    at: Vec<String>,
}

/// The result type of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("An error of kind [`Kind::", stringify!($kind), "`].")]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self::new(Kind::$kind, message)
                }
            )*
        }
    };
}

constructors! {
    bad_request => BadRequest,
    unauthorized => Unauthorized,
    forbidden => Forbidden,
    not_found => NotFound,
    method_not_allowed => MethodNotAllowed,
    timeout => Timeout,
    conflict => Conflict,
    too_large => TooLarge,
    internal => Internal,
    not_implemented => NotImplemented,
    bad_gateway => BadGateway,
    unavailable => Unavailable,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), stack: vec![], at: vec![] }))
    }

    /// What the caller should do next.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The steps that were being resolved, innermost first.
    pub fn stack(&self) -> &[String] {
        &self.0.stack
    }

    /// The place in the request, e.g. `/op/3/if/1`, if it is known.
    pub fn at(&self) -> Option<String> {
        if self.0.at.is_empty() {
            return None;
        }
        let mut place = String::new();
        for segment in self.0.at.iter().rev() {
            place.push('/');
            place.push_str(segment);
        }
        Some(place)
    }

    /// Adds an enclosing context, e.g. `while resolving x`.
    #[must_use]
    pub fn while_doing(mut self, context: impl Into<String>) -> Self {
        self.0.stack.push(context.into());
        self
    }

    /// Replaces the stack.
    #[must_use]
    pub fn with_stack(mut self, stack: Vec<String>) -> Self {
        self.0.stack = stack;
        self
    }

    /// Replaces the message, keeping kind, stack and place.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Adds the enclosing segment of the place in the request. A `/` in it is written `~1`, as in a JSON Pointer (RFC 6901).
    #[must_use]
    pub fn within(mut self, segment: impl fmt::Display) -> Self {
        self.0.at.push(segment.to_string().replace('/', "~1"));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.message)?;
        if let Some(at) = self.at() {
            write!(f, " (at {at})")?;
        }
        for context in &self.0.stack {
            write!(f, ", {context}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_from_the_outside_in() {
        let error = Error::bad_request("no").within(1).within("if").within("int/32").within(3).within("op");
        assert_eq!(error.at().as_deref(), Some("/op/3/int~132/if/1"));
    }

    #[test]
    fn every_wire_name_is_raisable_except_the_ones_of_the_transport() {
        for kind in [Kind::BadRequest, Kind::Timeout, Kind::Internal, Kind::Unavailable, Kind::BadGateway] {
            assert_eq!(Kind::raised_by(kind.name()), Some(kind));
        }
        assert_eq!(Kind::raised_by("nope"), None);
    }
}
