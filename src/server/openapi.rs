//! The interface of a host as an OpenAPI 3.1 description, made from [`ROUTES`].

use std::sync::LazyLock;

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::routes::{Endpoint, ROUTES, Route};
use crate::value::Verb;

/// The description as JSON text.
pub(super) static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(format!("{}\n", describe())));

fn describe() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operations = route.verbs.iter().map(|verb| (verb.name().to_string(), fixed(route, *verb)));
        paths.insert(route.path.to_string(), Value::Object(operations.collect()));
    }
    paths.insert("/{path}".to_string(), any_path());
    let info = json!({
        "title": "TinyChain",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "A transactional database and application server. Programs are JSON: see /docs. What is installed \
                        below /lib, /service and /class describes itself: see the parameter openapi.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document(info, paths)
}

/// A description of `paths`, with what all descriptions have.
pub(super) fn document(info: Value, paths: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": {
            "schemas": {"Error": error_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{}, {"token": []}],
    })
}

fn fixed(route: &Route, verb: Verb) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "description": route.description,
        "operationId": format!("{:?}", route.endpoint).to_lowercase(),
        "responses": responses(route.content_type),
    });
    if verb == Verb::Post {
        operation["requestBody"] = program_body();
    }
    let parameters = match route.endpoint {
        Endpoint::Hypothetical => vec![parameter("txn_id"), parameter("explain"), parameter("diff")],
        Endpoint::Explain => vec![parameter("format"), parameter("analyze"), parameter("without")],
        Endpoint::Tokens => vec![parameter("key")],
        _ => vec![],
    };
    operation["parameters"] = Value::Array(parameters);
    operation
}

/// The operations of all paths that are not fixed.
fn any_path() -> Value {
    let about = [
        (
            Verb::Get,
            "Read, cast or call",
            "The state at the path, for the key. With the header accept: application/vnd.apache.arrow.stream, the rows of a \
             collection are streamed as Arrow batches, those of chain/blocks are its records, and a tensor is one column of \
             tensors, or, if it is sparse, coordinates and elements. With accept: application/x-npy, a dense tensor is a \
             file of NumPy.",
        ),
        (
            Verb::Put,
            "Write",
            "Sets the value of the key. The value is the body: a document, or a tensor as a stream of Arrow batches or as a \
             file of NumPy, which the content type says.",
        ),
        (Verb::Post, "Call with named parameters", "The result of the method or op at the path."),
        (Verb::Delete, "Delete", "Deletes the value of the key."),
    ];
    let mut item: Map<String, Value> = Map::new();
    for (verb, summary, description) in about {
        let mut operation = json!({
            "summary": summary,
            "description": description,
            "operationId": verb.name(),
            "responses": responses("application/json"),
        });
        let mut parameters = vec![
            parameter("txn_id"),
            parameter("explain"),
            parameter("format"),
            parameter("analyze"),
            parameter("without"),
        ];
        if verb != Verb::Post {
            parameters.push(parameter("key"));
        }
        if verb == Verb::Get {
            parameters.extend([parameter("as_of"), parameter("openapi")]);
        }
        operation["parameters"] = Value::Array(parameters);
        if matches!(verb, Verb::Put | Verb::Post) {
            operation["requestBody"] = json!({"content": {"application/json": {}}});
        }
        // Results and values have other forms, too.
        let content = match verb {
            Verb::Get | Verb::Post => operation.pointer_mut("/responses/200/content"),
            Verb::Put => operation.pointer_mut("/requestBody/content"),
            Verb::Delete => None,
        };
        if let Some(Value::Object(content)) = content {
            content.extend(Form::names().map(|name| (name.to_string(), json!({}))));
        }
        item.insert(verb.name().to_string(), operation);
    }
    let path = json!({
        "name": "path",
        "in": "path",
        "required": true,
        "description": "Segments separated by /, e.g. state/scalar/value/string",
        "schema": {"type": "string"},
    });
    item.insert("parameters".to_string(), json!([path]));
    Value::Object(item)
}

/// A parameter that means the same to all paths.
pub(super) fn parameter(name: &str) -> Value {
    let (description, schema) = match name {
        "key" => ("A value as JSON text, so that strings are quoted.", json!({"type": "string"})),
        "txn_id" => ("<nanoseconds>-<nonce>: the transaction to run in.", json!({"type": "string"})),
        "as_of" => (
            "<nanoseconds>-<nonce>: a transaction. The reply shows what a chain of a service recorded as it was then.",
            json!({"type": "string"}),
        ),
        "format" => ("How to write the plan.", json!({"enum": ["text", "json", "dot", "svg"], "default": "text"})),
        "analyze" => ("Whether to run the program as well.", json!({"type": "boolean", "default": false})),
        "without" => ("The names of rules to leave out, with commas between them.", json!({"type": "string"})),
        "openapi" => (
            "Whether to reply with an OpenAPI description of the version at the path.",
            json!({"type": "boolean", "default": false}),
        ),
        "diff" => (
            "Whether to reply with {\"result\", \"diff\"}: the result, and what the program would change.",
            json!({"type": "boolean", "default": false}),
        ),
        _ => ("Whether to reply with the plan instead.", json!({"type": "boolean", "default": false})),
    };
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn program_body() -> Value {
    json!({
        "required": true,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["op"], "properties": {"op": {"description": "A program."}}},
                "example": {"op": [["x", 5], ["y", {"$x/add": [1]}]]},
            },
        },
    })
}

/// The result, and an error.
pub(super) fn responses(content_type: &str) -> Value {
    let mut content: Map<String, Value> = Map::new();
    content.insert(content_type.to_string(), json!({}));
    json!({
        "200": {"description": "The result, or null.", "content": content},
        "default": {
            "description": "What went wrong: the status and the kind say what to do next.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    })
}

fn error_schema() -> Value {
    let detail = json!({
        "type": "object",
        "required": ["message", "stack"],
        "properties": {
            "message": {"type": "string"},
            "stack": {"type": "array", "items": {"type": "string"}, "description": "Innermost first."},
            "at": {"type": "string", "description": "The place in the request, e.g. /op/3/if/1."},
        },
    });
    json!({
        "type": "object",
        "description": "One entry, named by the kind of the error.",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": {"anyOf": [{"type": "string"}, detail]},
        "example": {"not_found": "/foo"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let description: Value = serde_json::from_slice(&DESCRIPTION).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        for route in ROUTES {
            for verb in route.verbs {
                assert_eq!(description["paths"][route.path][verb.name()]["summary"], route.summary);
            }
        }
        let path = &description["paths"]["/{path}"];
        assert!(path["get"]["parameters"].is_array());
        for name in ["application/json", "application/vnd.apache.arrow.stream", "application/x-npy"] {
            assert!(path["get"]["responses"]["200"]["content"][name].is_object(), "{name}");
            assert!(path["put"]["requestBody"]["content"][name].is_object(), "{name}");
            assert!(path["delete"]["requestBody"].is_null());
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let description: Value = serde_json::from_slice(&DESCRIPTION).unwrap();
        let mut ids = std::collections::HashSet::new();
        for item in description["paths"].as_object().unwrap().values() {
            for id in item.as_object().unwrap().values().filter_map(|operation| operation["operationId"].as_str()) {
                assert!(ids.insert(id.to_string()), "{id}");
            }
        }
    }
}
