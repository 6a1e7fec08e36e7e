//! Directories and items as pages for people.

use std::fmt::Write as _;

use super::curl;
use super::frame::{self, attribute, escape};
use crate::value::Link;

/// The page of a directory, whose entries are directories or items.
pub(super) fn directory(link: &Link, entries: &[(String, bool)]) -> String {
    let rows = entries.iter().map(|(name, is_directory)| (name, if *is_directory { "directory" } else { "item" }));
    page(link, "Nothing is installed here yet.", rows)
}

/// The page of an item, with its versions.
pub(super) fn item(link: &Link, versions: &[String]) -> String {
    page(link, "It has no versions yet.", versions.iter().map(|version| (version, "version")))
}

fn page<'a>(link: &Link, empty: &str, rows: impl Iterator<Item = (&'a String, &'a str)>) -> String {
    let mut page = frame::begin(&link.path_text());
    // Writing to a string cannot fail.
    let _ = writeln!(page, "<h1>{}</h1>\n<p>{}</p>", escape(&link.path_text()), trail(link));
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        let _ = writeln!(page, "<p>{empty}</p>");
    } else {
        page.push_str("<table>\n<tr><th>Name</th><th>What it is</th></tr>\n");
        for (name, kind) in rows {
            let _ = writeln!(page, "<tr><td>{}</td><td>{kind}</td></tr>", below(link, name));
        }
        page.push_str("</table>\n");
    }
    page.push_str("<p>What every host offers is in <a href=\"/docs\">/docs</a>.</p>");
    page.push_str(frame::END);
    page
}

/// A link to what is below `link` under this name.
fn below(link: &Link, name: &str) -> String {
    match name.parse() {
        Ok(id) => anchor(&link.join(&[id]), name),
        Err(_) => escape(name),
    }
}

fn anchor(link: &Link, label: &str) -> String {
    format!("<a href=\"{}\">{}</a>", attribute(&curl::path(link)), escape(label))
}

/// The path of `link`, each segment of which leads to what is there.
pub(super) fn trail(link: &Link) -> String {
    let segments = link.path().iter().enumerate();
    let anchors = segments.map(|(at, name)| format!("/{}", anchor(&Link::local(&link.path()[..=at]), name.as_str())));
    anchors.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    #[test]
    fn entries_lead_to_what_is_there() {
        let page = directory(&link("/lib/a"), &[("units".into(), false), ("é".into(), true)]);
        assert!(page.contains("<td><a href=\"/lib/a/units\">units</a></td><td>item</td>"));
        assert!(page.contains("<td><a href=\"/lib/a/%C3%A9\">é</a></td><td>directory</td>"));
        let page = item(&link("/lib/a/units"), &["1.0.0".into()]);
        assert!(page.contains("<td><a href=\"/lib/a/units/1.0.0\">1.0.0</a></td><td>version</td>"));
        assert!(item(&link("/lib/a/units"), &[]).contains("no versions"));
    }

    #[test]
    fn a_trail_leads_to_every_directory_above() {
        let found = trail(&link("/lib/a"));
        assert_eq!(found, "/<a href=\"/lib\">lib</a>/<a href=\"/lib/a\">a</a>");
    }
}
