//! A version as a page for people.

use std::fmt::Write as _;

use super::call::{Body, Call, Param};
use super::contents::{Entry, Section, sections};
use super::frame::{self, attribute, escape};
use super::{curl, listing};
use crate::cluster::Definition;
use crate::value::{Class, Id, Link, Root, Schema};

/// The page of a version, whose examples are for the host at `host`.
pub(super) fn version(definition: &Definition, host: &str) -> String {
    let path = definition.link.path_text();
    let mut page = frame::begin(&path);
    let (name, version) = title(&definition.link);
    // Writing to a string cannot fail.
    let _ = writeln!(page, "<h1>{} {}</h1>", escape(&name), escape(&version));
    let _ = writeln!(page, "<p>{} at {}.", kind(definition), listing::trail(&definition.link));
    let url = curl::path(&definition.link);
    let _ = writeln!(page, "For tools there is the same in <a href=\"{url}?openapi=true\">OpenAPI</a>.");
    let _ = writeln!(page, "The definition is what <code>{}</code> replies.</p>", escape(&format!("curl {host}{url}")));
    page.push_str(
        "<p>Keys and bodies are JSON. Classes of parameters and results are guessed from what the methods do.</p>\n",
    );
    for section in sections(definition) {
        write_section(&mut page, &section, host);
    }
    page.push_str(frame::END);
    page
}

/// The name and the version.
fn title(link: &Link) -> (String, String) {
    let from_end = |at: usize| link.path().iter().rev().nth(at).map(Id::to_string).unwrap_or_default();
    (from_end(1), from_end(0))
}

fn kind(definition: &Definition) -> &'static str {
    match definition.root {
        Root::Library => "A library",
        Root::Service => "A service",
        Root::Class => "A set of classes",
    }
}

fn write_section(page: &mut String, section: &Section<'_>, host: &str) {
    let (title, id) = (section.title, section.title.to_lowercase());
    let _ = writeln!(page, "<h2 id=\"section.{id}\">{title}</h2>");
    for entry in &section.entries {
        write_entry(page, entry, host, 3);
    }
}

/// An entry, with headings of this level.
fn write_entry(page: &mut String, entry: &Entry<'_>, host: &str, level: usize) {
    let name = escape(&entry.name);
    let _ = writeln!(page, "<h{level} id=\"{}\">{name}</h{level}>", attribute(&entry.name));
    if !entry.about.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", escape(&entry.about));
    }
    if let Some((label, path)) = &entry.link {
        let _ = writeln!(page, "<p><a href=\"{}\">{}</a></p>", attribute(path), escape(label));
    }
    if let Some(schema) = entry.schema {
        write_schema(page, schema);
    }
    if let Some(json) = &entry.json {
        let _ = writeln!(page, "<pre>{}</pre>", escape(json));
    }
    for call in &entry.calls {
        write_call(page, call, host);
    }
    for part in &entry.parts {
        write_entry(page, part, host, level + 1);
    }
}

fn write_schema(page: &mut String, schema: &Schema) {
    page.push_str("<table>\n<tr><th>Column</th><th>Class</th><th>Part of the key</th></tr>\n");
    for (at, column) in schema.columns.iter().enumerate() {
        let (name, class) = (escape(column.name.as_str()), column.class);
        let length = column.max_len.map(|bytes| format!(", at most {bytes} bytes")).unwrap_or_default();
        let is_key = if at < schema.key_len { "yes" } else { "no" };
        let _ = writeln!(page, "<tr><td><code>{name}</code></td><td>{class}{length}</td><td>{is_key}</td></tr>");
    }
    page.push_str("</table>\n");
    for index in &schema.indexes {
        let columns: Vec<&str> = index.columns.iter().map(|at| schema.columns[*at].name.as_str()).collect();
        let (name, columns) = (escape(index.name.as_str()), escape(&columns.join(", ")));
        let _ = writeln!(page, "<p>Index <code>{name}</code> on <code>{columns}</code>.</p>");
    }
}

fn write_call(page: &mut String, call: &Call, host: &str) {
    let result = match call.result {
        None => String::new(),
        Some(Class::None) => " → nothing".to_string(),
        Some(class) => format!(" → {class}"),
    };
    // Of a method the name is in the heading already.
    let summary = if call.summary.contains(' ') { format!("{}. ", call.summary) } else { String::new() };
    let (verb, path) = (call.verb.http(), escape(&call.path));
    let _ = writeln!(page, "<p>{}<code>{verb} {path}</code>{result}</p>", escape(&summary));
    write_params(page, call);
    let _ = writeln!(page, "<pre class=\"example\">{}</pre>", escape(&curl::command(host, call)));
}

fn write_params(page: &mut String, call: &Call) {
    let place = match &call.body {
        Body::None | Body::Value(_) => "body",
        Body::Named { .. } => "entry of the body",
        Body::Program { .. } => "argument",
    };
    let key = call.key.iter().map(|param| (param, "key"));
    let params: Vec<(&Param, &str)> = key.chain(call.body.params().iter().map(|param| (param, place))).collect();
    if params.is_empty() {
        return;
    }
    page.push_str("<table>\n<tr><th>Parameter</th><th>Where</th><th>Class</th></tr>\n");
    for (param, place) in params {
        let (name, class) = (escape(&param.name), escape(&param.class));
        let _ = writeln!(page, "<tr><td><code>{name}</code></td><td>{place}</td><td>{class}</td></tr>");
    }
    page.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::page::sample;

    const HOST: &str = "http://127.0.0.1:8702";

    #[test]
    fn a_page_shows_every_member_with_an_example() {
        for definition in [sample::library(), sample::service(), sample::classes()] {
            let page = version(&definition, HOST);
            for name in definition.members.keys() {
                assert!(page.contains(&format!("<h3 id=\"{name}\">{name}</h3>")), "{name}");
            }
            assert!(page.matches("<pre class=\"example\">curl ").count() >= definition.members.len());
            assert!(page.ends_with("</html>\n"));
            for tag in ["p", "pre", "table", "tr", "td", "th", "code", "h1", "h2", "h3", "h4", "a"] {
                let begun = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
                assert_eq!(begun, page.matches(&format!("</{tag}>")).count(), "{tag}");
            }
        }
    }

    #[test]
    fn what_was_installed_cannot_become_markup() {
        let page = version(&sample::library(), HOST);
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;"));
    }

    #[test]
    fn a_method_is_shown_with_its_parameters_and_its_result() {
        let page = version(&sample::library(), HOST);
        assert!(page.contains("<h1>units 1.0.0</h1>"));
        assert!(page.contains("<code>GET /lib/a/units/1.0.0/double</code> → number"));
        assert!(page.contains("<tr><td><code>n</code></td><td>key</td><td>number</td></tr>"));
        assert!(page.contains(&format!("curl -G {HOST}/lib/a/units/1.0.0/double --data-urlencode key=1</pre>")));
        assert!(page.contains(&format!("curl {HOST}/lib/a/units/1.0.0/area -d '{{\"h\":1,\"w\":1}}'</pre>")));
    }

    #[test]
    fn the_columns_of_a_table_are_shown() {
        let page = version(&sample::service(), HOST);
        assert!(page.contains("<td><code>sku</code></td><td>string, at most 20 bytes</td><td>yes</td>"));
        assert!(page.contains("<td><code>qty</code></td><td>uint/64</td><td>no</td>"));
        assert!(page.contains("Index <code>by_qty</code> on <code>qty</code>"));
    }
}
