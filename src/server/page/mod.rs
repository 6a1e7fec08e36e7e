//! Pages of what is installed: of directories, of items, and of each version of a library, a service or a set of
//! classes, for people in HTML and for tools as OpenAPI.
//!
//! 1. [`Asked`] says whether a request wants one of these;
//! 2. [`contents`] lists what a version has, as calls with their parameters ([`call`](mod@call)), whose classes are
//!    guessed ([`guess`]), and [`curl`] writes a call as a command;
//! 3. [`html`], [`listing`] and [`openapi`] write that down, within the [`frame`] of all pages.
//!
//! All of it is pure: the same definition and host give the same text.

mod call;
mod contents;
mod curl;
pub(super) mod frame;
mod guess;
mod html;
mod listing;
mod openapi;
#[cfg(test)]
mod sample;

use hyper::HeaderMap;
use hyper::header::{ACCEPT, HOST};
use hyper::http::request::Parts;

use super::codec::{Encoding, media_range};
use super::query::Query;
use super::routes::{self, Target};
use crate::cluster::Description;
use crate::error::{Error, Result};
use crate::value::{Doc, Link, Verb};

/// Where examples find the host if the request does not say how it found it.
const HOST_DEFAULT: &str = "127.0.0.1:8702";
const HTML: &str = "text/html";

/// A page that a request asks for.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Asked {
    form: Form,
    /// The URL of this host, as the client knows it.
    host: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Html,
    OpenApi,
}

impl Asked {
    /// The page that a request asks for, if it is one for a page.
    pub(super) fn of(parts: &Parts, verb: Verb, target: &Target, query: &Query) -> Option<Self> {
        let Target::Link(link) = target else { return None };
        if verb != Verb::Get || link.root().is_none() {
            return None;
        }
        let form = if query.openapi {
            Form::OpenApi
        } else if has_page(link) && query.key == Doc::Null && prefers_html(&parts.headers) {
            Form::Html
        } else {
            return None;
        };
        Some(Self { form, host: url(parts) })
    }

    /// The content type and the text of the page of what is at `link`.
    ///
    /// # Errors
    /// `BadRequest` if there is no such page, `TooLarge` past `bytes_max`.
    pub(super) fn show(
        &self,
        link: &Link,
        description: &Description,
        bytes_max: usize,
    ) -> Result<(&'static str, String)> {
        let (content_type, text) = tokio::task::block_in_place(|| self.write(link, description))?;
        match text.len() > bytes_max {
            true => Err(Error::too_large(format!("the page is larger than {bytes_max} bytes"))),
            false => Ok((content_type, text)),
        }
    }

    fn write(&self, link: &Link, description: &Description) -> Result<(&'static str, String)> {
        match (self.form, description) {
            (Form::Html, Description::Version(definition)) => Ok((routes::HTML, html::version(definition, &self.host))),
            (Form::Html, Description::Directory(entries)) => Ok((routes::HTML, listing::directory(link, entries))),
            (Form::Html, Description::Item(versions)) => Ok((routes::HTML, listing::item(link, versions))),
            (Form::OpenApi, Description::Version(definition)) => {
                Ok((routes::JSON, format!("{}\n", openapi::version(definition, &self.host))))
            }
            (Form::OpenApi, _) => Err(Error::bad_request(format!("only a version is described: {link} is none"))),
        }
    }
}

/// Whether the path is that of a directory, an item or a version, and not of something in a version.
fn has_page(link: &Link) -> bool {
    link.version_at().is_none_or(|at| at + 1 == link.path().len())
}

/// Whether a client would rather read HTML than any encoding of a state: it names HTML with a higher quality, or first.
/// What accepts anything gets JSON, as tools do.
fn prefers_html(headers: &HeaderMap) -> bool {
    let is_encoding = |name: &str| {
        [Encoding::Json, Encoding::Tbon].into_iter().any(|other| name.eq_ignore_ascii_case(other.content_type()))
    };
    let mut best = (0.0, false);
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        for (name, quality) in text.split(',').filter_map(media_range) {
            let is_html = name.eq_ignore_ascii_case(HTML);
            if quality > best.0 && (is_html || is_encoding(name)) {
                best = (quality, is_html);
            }
        }
    }
    best.1
}

/// The URL by which a client has reached this host.
fn url(parts: &Parts) -> String {
    let header = || parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str()).or_else(header);
    // Examples are for pasting, so that nothing gets into them which only looks like a host.
    let is_host =
        |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    format!("http://{}", authority.filter(is_host).unwrap_or(HOST_DEFAULT))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().uri(path), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn asked(verb: Verb, path: &str, accept: &str) -> Option<Form> {
        let parts = parts(path, &[("accept", accept), ("host", "h:1")]);
        let query = Query::parse(parts.uri.query().unwrap_or_default(), verb, false, 8).unwrap();
        let asked = Asked::of(&parts, verb, &Target::parse(parts.uri.path()).unwrap(), &query)?;
        assert_eq!(asked.host, "http://h:1");
        Some(asked.form)
    }

    #[test]
    fn html_is_for_those_who_prefer_it() {
        let of_browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for accept in [
            of_browser,
            "text/html",
            "Text/HTML;q=0.5",
            "text/html, application/json",
            "application/json;q=0.5,text/html",
        ] {
            assert_eq!(asked(Verb::Get, "/lib/a", accept), Some(Form::Html), "{accept}");
        }
        for accept in [
            "*/*",
            "application/json",
            "application/tbon,text/html;q=0.5",
            "application/json,text/html",
            "text/html;q=0",
            "text/html;q=0.5,application/json",
            "text/*",
            "",
        ] {
            assert_eq!(asked(Verb::Get, "/lib/a", accept), None, "{accept}");
        }
    }

    #[test]
    fn pages_are_of_what_is_installed() {
        for path in ["/lib", "/service/a/b", "/class/a/b/1.0.0"] {
            assert_eq!(asked(Verb::Get, path, "text/html"), Some(Form::Html), "{path}");
        }
        for path in ["/state", "/docs", "/lib/a/1.0.0/x", "/lib?key=%22a%22", "/a"] {
            assert_eq!(asked(Verb::Get, path, "text/html"), None, "{path}");
        }
        assert_eq!(asked(Verb::Put, "/lib/a", "text/html"), None);
    }

    #[test]
    fn openapi_is_asked_for_in_the_query() {
        assert_eq!(asked(Verb::Get, "/lib/a/1.0.0?openapi=true", "*/*"), Some(Form::OpenApi));
        assert_eq!(asked(Verb::Get, "/lib/a/1.0.0?openapi=true", "text/html"), Some(Form::OpenApi));
        assert_eq!(asked(Verb::Get, "/lib/a/1.0.0?openapi=false", "*/*"), None);
        assert_eq!(asked(Verb::Post, "/lib/a/1.0.0/x?openapi=true", "*/*"), None);
        assert_eq!(asked(Verb::Get, "/state?openapi=true", "*/*"), None);
    }

    #[test]
    fn only_a_host_is_believed_to_be_one() {
        let of = |headers: &[(&str, &str)]| url(&parts("/lib", headers));
        assert_eq!(of(&[("host", "example.com:80")]), "http://example.com:80");
        assert_eq!(of(&[("host", "[::1]:80")]), "http://[::1]:80");
        for bad in ["a b", "a';id;'", "a/b", "a$(id)", "a<b"] {
            assert_eq!(of(&[("host", bad)]), "http://127.0.0.1:8702", "{bad}");
        }
        assert_eq!(of(&[]), "http://127.0.0.1:8702");
        assert_eq!(url(&parts("http://h2.example/lib", &[])), "http://h2.example");
    }

    #[test]
    fn only_a_version_has_a_description_for_tools() {
        let asked = Asked { form: Form::OpenApi, host: "http://h".into() };
        let link: Link = "/lib/a".parse().unwrap();
        let error = asked.write(&link, &Description::Directory(vec![])).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::BadRequest);
        let (content_type, text) = asked.write(&link, &Description::Version(sample::library().into())).unwrap();
        assert_eq!(content_type, "application/json");
        assert!(text.starts_with('{') && text.ends_with("}\n"));
    }
}
