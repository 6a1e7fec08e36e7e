//! The documentation page of a host: one self-contained HTML text, made from [`ROUTES`] and the registry of methods.

use std::fmt::Write as _;
use std::sync::LazyLock;

use hyper::body::Bytes;

use super::page::frame::{self, escape};
use super::routes::ROUTES;
use crate::compiler;
use crate::planner::Optimizer;

/// The page.
pub(super) static PAGE: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(page()));

const INTRODUCTION: &str = r##"<p>This host runs programs: you post one as JSON, and the host compiles it to a graph, runs
what the result needs, and replies with the result. The same interface is described for tools in
<a href="/openapi.json">/openapi.json</a>. Measurements are in <a href="/metrics">/metrics</a>, and what computes tensors in
<a href="/docs/devices">/docs/devices</a>. What is installed has
pages of its own below <a href="/lib">/lib</a>, <a href="/service">/service</a> and <a href="/class">/class</a>.</p>

<h2 id="first">First commands</h2>
<p>Run a program. Each step has a name; later steps refer to it by <code>$name</code>, and call its methods:</p>
<pre>curl http://127.0.0.1:8702/transact/hypothetical -d '{"op": [
  ["price", 20],
  ["quantity", 3],
  ["total", {"$price/mul": [{"$quantity": []}]}]
]}'</pre>
<p>Read one value. The key is JSON, so a string is quoted:</p>
<pre>curl -G http://127.0.0.1:8702/state/scalar/value/string --data-urlencode 'key="Hello"'</pre>
<p>Results have other forms, by the header <code>accept</code>: rows and tensors are streamed as Arrow batches for
<code>application/vnd.apache.arrow.stream</code>, and dense tensors as a file of NumPy for <code>application/x-npy</code>. A
tensor in either form can be the body of a PUT, with that content type:</p>
<pre>curl -so ones.npy -H 'accept: application/x-npy' -G http://127.0.0.1:8702/state/collection/tensor/dense/constant \
  --data-urlencode 'key=[[2, 3], 1.0]'</pre>
<p>See how a program would run, and what each part costs:</p>
<pre>curl 'http://127.0.0.1:8702/explain?analyze=true' -d '{"op": [["x", 5], ["y", {"$x/add": [1]}]]}'</pre>
<p>An error says what to do next by its status and kind, and where the error is:</p>
<pre>{"bad_request": {"message": "cannot divide by zero", "stack": ["while resolving x"]}}</pre>
"##;

fn page() -> String {
    let mut page = frame::begin("TinyChain");
    // Writing to a string cannot fail.
    let _ = writeln!(page, "<h1>TinyChain {}</h1>", env!("CARGO_PKG_VERSION"));
    page.push_str(INTRODUCTION);
    page.push_str(
        "<h2 id=\"paths\">Fixed paths</h2>\n<table>\n<tr><th>Path</th><th>Methods</th><th>Meaning</th></tr>\n",
    );
    for route in ROUTES {
        let (path, verbs) = (escape(route.path), route.allow());
        let (summary, description) = (escape(route.summary), escape(route.description));
        let meaning = format!("<strong>{summary}.</strong> {description}");
        let _ = writeln!(page, "<tr><td><code>{path}</code></td><td>{verbs}</td><td>{meaning}</td></tr>");
    }
    page.push_str(
        "</table>\n<p>Every other path is a link to a class, a method, or something that was installed.</p>\n",
    );
    page.push_str("<h2 id=\"rules\">Rules of the optimizer</h2>\n");
    page.push_str("<p>Each can be left out of an explanation with <code>without=name</code>.</p>\n<table>\n");
    for (name, description) in Optimizer::reference() {
        let _ = writeln!(page, "<tr><td><code>{name}</code></td><td>{}</td></tr>", escape(description));
    }
    page.push_str("</table>\n<h2 id=\"methods\">Methods</h2>\n");
    page.push_str(&compiler::reference_html());
    page.push_str(frame::END);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_route() {
        let page = page();
        for route in ROUTES {
            assert!(page.contains(&format!("<code>{}</code>", route.path)), "{}", route.path);
        }
        assert!(page.ends_with("</html>\n"));
    }
}
