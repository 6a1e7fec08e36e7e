//! The method reference, written from the declarations.

use std::fmt::Write as _;

use super::{Method, Param, Params, Receiver, ResultClass, STATIC_METHODS, lists};

/// The reference as Markdown: `docs/methods.md`.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Methods\n\nWritten from the declarations in `src/compiler/methods`; a test keeps the two equal. An example is a \
         program as `POST /transact/hypothetical` takes it in `{\"op\": …}`, and its reply.\n",
    );
    for (title, methods) in sections() {
        let _ = write!(text, "\n## {title}\n");
        for method in methods {
            let (program, reply) = method.example;
            let _ = write!(
                text,
                "\n### {}\n\n`{}`\n\n{}\n\n```json\n{program}\n```\n\n→ `{reply}`\n",
                method.name,
                signature(method),
                method.doc
            );
        }
    }
    text
}

/// The reference as the body of an HTML page.
pub fn reference_html() -> String {
    let mut text = String::new();
    for (title, methods) in sections() {
        let _ = writeln!(text, "<h2>{title}</h2>");
        for method in methods {
            let (program, reply) = method.example;
            let _ = write!(
                text,
                "<h3 id=\"{title}.{0}\">{0}</h3>\n<p><code>{1}</code></p>\n<p>{2}</p>\n<pre>{3}\n→ {4}</pre>\n",
                method.name,
                escape(&signature(method)),
                escape(method.doc),
                escape(program),
                escape(reply)
            );
        }
    }
    text
}

fn escape(text: &str) -> String {
    handlebars::html_escape(text)
}

/// Each list of methods once, under the names of those who have it.
fn sections() -> Vec<(String, Vec<&'static Method>)> {
    let mut seen: Vec<(*const Method, Vec<Receiver>, &'static [Method])> = Vec::new();
    for receiver in Receiver::ALL {
        for list in lists(receiver) {
            match seen.iter_mut().find(|(pointer, _, _)| std::ptr::eq(*pointer, list.as_ptr())) {
                Some((_, receivers, _)) => receivers.push(receiver),
                None => seen.push((list.as_ptr(), vec![receiver], list)),
            }
        }
    }
    let mut sections: Vec<(String, Vec<&'static Method>)> = seen
        .into_iter()
        .map(|(_, receivers, list)| {
            let title = match receivers.len() {
                count if count == Receiver::ALL.len() => "Every state".to_string(),
                _ => receivers.iter().map(|receiver| receiver.name()).collect::<Vec<_>>().join(", "),
            };
            (title, list.iter().collect())
        })
        .collect();
    sections.push(("Paths".into(), STATIC_METHODS.iter().collect()));
    sections.push(("Learning".into(), crate::compiler::ml::METHODS.iter().collect()));
    sections
}

/// Verb, parameters and result, e.g. `GET key: Tuple, or POST {r: Number} → bool`.
fn signature(method: &Method) -> String {
    let named = |params: &[Param]| {
        let params: Vec<String> = params.iter().map(|param| format!("{}: {}", param.name, param.class)).collect();
        format!("POST {{{}}}", params.join(", "))
    };
    let call = match method.params {
        Params::None => "GET".into(),
        Params::Ignored => "GET key".into(),
        Params::Key(param) => format!("GET {}: {}", param.name, param.class),
        Params::OptionalKey(param) => format!("GET [{}: {}]", param.name, param.class),
        Params::One(param) => format!("GET {}: {}, or {}", param.name, param.class, named(&[param])),
        Params::Optional(param) => format!("GET [{}: {}], or {}", param.name, param.class, named(&[param])),
        Params::Named(params) => named(params),
        Params::Any => "GET data, or POST {…data}".into(),
    };
    let result = match method.result {
        ResultClass::Exactly(class) => class.to_string(),
        ResultClass::Promoted => "promoted Number".into(),
        ResultClass::Receiver => "same class".into(),
    };
    let aliases = match method.aliases {
        [] => String::new(),
        aliases => format!(" (also {})", aliases.join(", ")),
    };
    format!("{call} → {result}{aliases}")
}
