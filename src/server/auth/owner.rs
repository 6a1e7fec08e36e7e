//! Who a host belongs to.

use super::command::administrator;
use super::issuer::{Signer, is_same_issuer};
use crate::compiler::decode_state;
use crate::value::doc::json;
use crate::value::{Link, State};

/// Levels of nesting of an actor that is given as JSON.
const DEPTH_MAX: usize = 16;

/// Who administers a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Who says that somebody is the owner, by saying their key.
    pub issuer: Link,
    /// Which of those whom the issuer knows is the owner; all of them if it is not said.
    pub actor: Option<State>,
}

impl Owner {
    /// Whether this is who has signed something.
    pub fn is(&self, signer: &Signer) -> bool {
        is_same_issuer(&self.issuer, &signer.issuer) && self.actor.as_ref().is_none_or(|actor| *actor == signer.actor)
    }
}

/// The owner, on a command line: `<link>` or `<link>#<actor>`.
///
/// # Errors
/// What is wrong with the link, or with the actor: it is no value, or cannot sign for a path of the host itself.
pub fn owner(text: &str) -> Result<Owner, String> {
    let Some((issuer, actor)) = text.split_once('#') else {
        return Ok(Owner { issuer: administrator(text)?, actor: None });
    };
    let issuer = administrator(issuer)?;
    match issuer.is_local() {
        // Nobody else has a key at a path of this host.
        true => Err("only the host itself signs for a path of its own, so it needs no actor".into()),
        false => Ok(Owner { issuer, actor: Some(read_actor(actor)?) }),
    }
}

/// An actor: a value as JSON, or a name without quotes.
fn read_actor(text: &str) -> Result<State, String> {
    let expected = || format!("expected an actor after #, a name or a value as JSON, not {text:?}");
    let is_json = text.starts_with(['"', '[', '{']);
    let actor = match json::decode(text.as_bytes(), DEPTH_MAX) {
        Ok(doc) => decode_state(&doc).map_err(|error| error.message().to_string())?,
        Err(_) if is_json || text.is_empty() => return Err(expected()),
        Err(_) => State::from(text),
    };
    if actor.is_value() && !actor.is_none() { Ok(actor) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::sample::actor;

    fn signer(issuer: &str, actor: State) -> Signer {
        Signer { issuer: issuer.parse().unwrap(), actor }
    }

    #[test]
    fn an_owner_without_an_actor_is_anybody_whom_the_issuer_knows() {
        for text in ["/user/admin", "http://h:1/user"] {
            let owner = owner(text).unwrap();
            assert!(owner.is(&signer(text, "alice".into())));
            assert!(owner.is(&signer(text, actor(1).id())));
            assert!(!owner.is(&signer("http://h:2/user", "alice".into())));
        }
    }

    #[test]
    fn an_owner_with_an_actor_is_nobody_else() {
        let key = crate::value::encode::expr_to_json(&crate::value::Expr::Literal(actor(1).id()));
        for (text, named) in [
            ("alice", State::from("alice")),
            ("\"alice\"", State::from("alice")),
            ("a#b", State::from("a#b")),
            ("5", State::from(5_i64)),
            (key.as_str(), actor(1).id()),
        ] {
            let owner = owner(&format!("http://h:1/user#{text}")).unwrap();
            assert_eq!(owner.actor.as_ref(), Some(&named), "{text}");
            assert!(owner.is(&signer("http://h:1/user", named.clone())), "{text}");
            assert!(!owner.is(&signer("http://h:1/user", "mallory".into())), "{text}");
            assert!(!owner.is(&signer("http://h:1/other", named)), "{text}");
        }
    }

    #[test]
    fn owners_that_cannot_be_are_refused() {
        for text in ["/user/admin#alice", "/", "http://h:1#alice", "https://h/user#alice", "#alice"] {
            assert!(owner(text).is_err(), "{text}");
        }
        for actor in ["", "null", "\"alice", "{\"a\": 1}", "[]", "{\"$a\": []}"] {
            assert!(owner(&format!("http://h:1/user#{actor}")).is_err(), "{actor}");
        }
    }
}
