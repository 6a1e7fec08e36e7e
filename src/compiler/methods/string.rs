//! Methods of strings, beside those of every value.

use super::{Body, Method, Params, ResultClass};
use crate::error::{Error, Result};
use crate::value::{Class, State, Value, cast, template};

pub(super) static METHODS: &[Method] = &[Method {
    name: "render",
    aliases: &[],
    params: Params::Any,
    result: ResultClass::Exactly(Class::String),
    doc: "Renders this Handlebars template with the parameters, or with the key, as its data. `{{name}}` is escaped \
          for HTML, `{{{name}}}` is not; a name without a value inserts nothing.",
    example: (r#"[["t","to: {{name}};"],["r",{"$t/render":{"name":"Ann"}}]]"#, r#""to: Ann;""#),
    body: Body::Binary(render),
}];

fn render(text: &State, data: &State) -> Result<State> {
    let State::Value(Value::String(text)) = text else { return Err(Error::internal("a template is a String")) };
    // Parameters come as a map. A key is a value: a list of pairs stands for a map, as in every place that needs one.
    match data {
        State::Map(params) => template::render(text, &params.clone().into(), true),
        State::Tuple(_) => template::render(text, &cast::to_map(data).map_or_else(|| data.clone(), State::from), false),
        data => template::render(text, data, false),
    }
    .map(State::from)
}
