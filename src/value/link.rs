//! Links: paths on this host, and URLs of others.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::{Id, Version};
use crate::error::{Error, Result};

/// A path `/a/b`, or a URL `http://host:port/a/b`.
///
/// Cloning is cheap.
#[derive(Clone, Eq, PartialEq, Hash)]
pub struct Link {
    authority: Option<Arc<Authority>>,
    path: Arc<[Id]>,
}

/// The scheme, host and port of an absolute [`Link`].
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Authority {
    /// Whether the scheme is `https`.
    pub secure: bool,
    /// An IP address (without brackets) or a DNS name.
    pub host: Arc<str>,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl Authority {
    /// The IP address of the host, unless it is a DNS name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    fn rank(&self) -> (u8, Option<IpAddr>) {
        match self.ip() {
            Some(ip @ IpAddr::V4(_)) => (0, Some(ip)),
            Some(ip @ IpAddr::V6(_)) => (1, Some(ip)),
            None => (2, None),
        }
    }
}

impl Ord for Authority {
    /// IPv4 before IPv6 before names, then address, port and scheme.
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank()
            .cmp(&other.rank())
            .then_with(|| self.host.cmp(&other.host))
            .then_with(|| self.port.cmp(&other.port))
            .then_with(|| self.secure.cmp(&other.secure))
    }
}

impl PartialOrd for Authority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The trees of names beside `/state`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Root {
    Library,
    Service,
    Class,
}

impl Root {
    /// The first segment of paths in this tree.
    pub fn name(self) -> &'static str {
        match self {
            Root::Library => "lib",
            Root::Service => "service",
            Root::Class => "class",
        }
    }
}

impl Link {
    /// A link to a path on this host.
    pub fn local(path: impl Into<Arc<[Id]>>) -> Self {
        Self { authority: None, path: path.into() }
    }

    /// Scheme, host and port, if this link is absolute.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_deref()
    }

    /// The segments of the path.
    pub fn path(&self) -> &[Id] {
        &self.path
    }

    /// The tree that the path is in; none for `/state` and for what is no tree.
    pub fn root(&self) -> Option<Root> {
        let first = self.path.first()?.as_str();
        [Root::Library, Root::Service, Root::Class].into_iter().find(|root| root.name() == first)
    }

    /// The index of the first segment that is a version: what is before it names an item, what is after it something of that
    /// version.
    pub fn version_at(&self) -> Option<usize> {
        self.root()?;
        self.path.iter().position(|segment| segment.as_str().parse::<Version>().is_ok())
    }

    /// Whether the path is that of a directory, or of an item with all its versions.
    pub fn is_unversioned(&self) -> bool {
        self.root().is_some() && self.version_at().is_none()
    }

    /// The link to the item that the version, or what is below one, belongs to; this very link where there is no version.
    #[must_use]
    pub fn item(&self) -> Self {
        match self.version_at() {
            Some(at) => Self { authority: self.authority.clone(), path: self.path[..at].into() },
            None => self.clone(),
        }
    }

    /// The link to what is at `path` below this one.
    #[must_use]
    pub fn join(&self, path: &[Id]) -> Self {
        let path = self.path.iter().chain(path).cloned().collect();
        Self { authority: self.authority.clone(), path }
    }

    /// The same path on this host.
    #[must_use]
    pub fn to_local(&self) -> Self {
        Self { authority: None, path: Arc::clone(&self.path) }
    }

    /// Whether this is a link to this host.
    pub fn is_local(&self) -> bool {
        self.authority.is_none()
    }

    /// Whether this is the link `/`, which counts as none.
    pub fn is_root(&self) -> bool {
        self.authority.is_none() && self.path.is_empty()
    }

    /// The path as text, e.g. `/a/b`.
    pub fn path_text(&self) -> String {
        let mut text = String::new();
        for segment in self.path.iter() {
            text.push('/');
            text.push_str(segment.as_str());
        }
        if text.is_empty() {
            text.push('/');
        }
        text
    }
}

impl Ord for Link {
    /// Absolute links before paths; then by host, then by segments.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.authority, &other.authority) {
            (Some(l), Some(r)) => l.cmp(r),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
        .then_with(|| self.path.cmp(&other.path))
    }
}

impl PartialOrd for Link {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Link {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::bad_request(format!("{text:?} is not a valid link: {why}"));
        let (authority, path) = if let Some((scheme, rest)) = text.split_once("://") {
            let secure = match scheme {
                "http" => false,
                "https" => true,
                _ => return Err(invalid("the scheme must be http or https")),
            };
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let authority = parse_authority(secure, host).ok_or_else(|| invalid("no such host or port"))?;
            (Some(Arc::new(authority)), path.strip_suffix('/').unwrap_or(path))
        } else {
            (None, text)
        };
        if path.is_empty() && authority.is_some() || path == "/" {
            return Ok(Self { authority, path: Arc::new([]) });
        }
        let path = path.strip_prefix('/').ok_or_else(|| invalid("a path starts with /"))?;
        let path = path.split('/').map(Id::from_str).collect::<Result<Vec<_>>>();
        let path = path.map_err(|_| invalid("each segment must be a name"))?;
        Ok(Self { authority, path: path.into() })
    }
}

fn parse_authority(secure: bool, text: &str) -> Option<Authority> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (host, port)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    let is_name = host.split('.').all(|label| {
        !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    });
    let is_host = host.parse::<IpAddr>().is_ok() || (is_name && host.len() <= 253);
    is_host.then(|| Authority { secure, host: host.into(), port })
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(authority) = &self.authority {
            f.write_str(if authority.secure { "https://" } else { "http://" })?;
            if authority.host.contains(':') {
                write!(f, "[{}]", authority.host)?;
            } else {
                f.write_str(&authority.host)?;
            }
            if let Some(port) = authority.port {
                write!(f, ":{port}")?;
            }
            if self.path.is_empty() {
                return Ok(());
            }
        } else if self.path.is_empty() {
            return f.write_str("/");
        }
        for segment in self.path.iter() {
            write!(f, "/{segment}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_read_back_as_they_were_written() {
        for text in
            ["/", "/a/b", "http://127.0.0.1:8702/a", "http://example.com", "https://a.b/c.d", "http://[::1]:80/x"]
        {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
        assert_eq!("http://h:1/a/".parse::<Link>().unwrap().to_string(), "http://h:1/a");
    }

    #[test]
    fn a_version_belongs_to_an_item() {
        for (text, item) in [
            ("/service/a/b/1.0.0/x", "/service/a/b"),
            ("http://h:1/lib/a/1.0.0", "http://h:1/lib/a"),
            ("/service/a", "/service/a"),
            ("/a/1.0.0/b", "/a/1.0.0/b"),
        ] {
            assert_eq!(text.parse::<Link>().unwrap().item().to_string(), item);
        }
    }

    #[test]
    fn malformed_links_are_refused() {
        for text in ["", "a", "/a/", "//a", "/a b", "ftp://a", "http://", "http://a b", "http://h:x", "http://h:99999"]
        {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
    }

    #[test]
    fn absolute_links_come_before_paths() {
        let sorted = ["http://9.0.0.0/a", "http://10.0.0.0", "http://[::1]/", "/a", "/a/b", "/b"];
        for pair in sorted.windows(2) {
            assert!(pair[0].parse::<Link>().unwrap() < pair[1].parse::<Link>().unwrap(), "{pair:?}");
        }
    }
}
