//! `tinychain token`: makes a token for whoever administers a host.
//!
//! Whoever can read the key in the data directory of a host can speak for the host, and so for its owner, if that is a
//! path on this host. No host needs to run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::actor::{Draft, HostActor};
use super::claim::Claim;
use crate::error::{Error, Result};
use crate::value::Link;

/// The longest life of a token, in seconds: a year. Nothing revokes a token before its time.
const SECONDS_MAX: u64 = 31_536_000;

/// Make a token that a secured host accepts
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// The data directory of the host, which has its key
    #[arg(long = "data_dir", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// The file with the key that encrypts the data directory, if one does [default: the environment variable
    /// TC_AT_REST_KEY]
    #[arg(long = "at_rest_key", value_name = "FILE")]
    pub at_rest_key: Option<PathBuf>,

    /// Who the token speaks for: what the host has for its --owner or --group
    #[arg(long = "owner", value_name = "LINK", value_parser = administrator)]
    pub owner: Link,

    /// What the token allows, e.g. /service/shop:rwx, at this path and below; repeatable
    #[arg(long = "claim", value_name = "PATH:RIGHTS", required = true, value_parser = claim)]
    pub claims: Vec<Claim>,

    /// How long the token is valid: a number of seconds, or one with the suffix s, m, h or d
    #[arg(long = "expires", value_name = "TIME", default_value = "1h", value_parser = life)]
    pub expires: Duration,
}

impl TokenArgs {
    /// The token that is asked for, signed with `secret`, from the time `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// `Internal` if the secret is damaged.
    pub fn token(&self, secret: &str, now: u64) -> Result<String> {
        let draft = Draft {
            issuer: self.owner.clone(),
            claims: self.claims.clone(),
            issued: now,
            expires: now.saturating_add(self.expires.as_secs()),
        };
        HostActor::from_secret(secret)?.sign(&draft, None)
    }
}

/// The link of an owner or a group, on a command line.
///
/// # Errors
/// What is wrong with it: it is no link, has no path, since such an issuer may claim nothing, or cannot be asked for
/// keys.
pub fn administrator(text: &str) -> Result<Link, String> {
    let link: Link = text.parse().map_err(|error: Error| error.message().to_string())?;
    if link.path().is_empty() {
        return Err("expected a link with a path, e.g. /user/admin or http://<host>:<port>/user".into());
    }
    match link.authority().is_some_and(|authority| authority.secure) {
        true => Err("https is not offered by this host".into()),
        false => Ok(link),
    }
}

fn claim(text: &str) -> Result<Claim, String> {
    text.parse().map_err(|error: Error| error.message().to_string())
}

fn life(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let seconds = digits.parse::<u64>().ok().filter(|_| is_number).and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a time of at most a year, e.g. 90s, 15m, 1h or 7d".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use futures::executor::block_on;

    use super::*;
    use crate::server::auth::sample::{KnownKeys, NOW, actor, txn};
    use crate::server::auth::token::Chain;
    use crate::server::auth::verify::verify;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: TokenArgs,
    }

    fn parse(flags: &[&str]) -> Result<TokenArgs, clap::Error> {
        Command::try_parse_from([&["token"][..], flags].concat()).map(|command| command.args)
    }

    #[test]
    fn a_token_is_made_for_the_host_that_has_the_key() {
        let flags = ["--owner=/user/admin", "--claim=/service:rwx", "--claim", "/lib:w", "--expires=15m"];
        let text = parse(&flags).unwrap().token(&hex::encode([1_u8; 32]), NOW).unwrap();
        let chain = Chain::decode(&text).unwrap();
        assert_eq!(chain.expires(), NOW + 900);
        let verified = block_on(verify(&chain, &KnownKeys::default(), NOW, &txn())).unwrap();
        assert_eq!(verified.grants()[0].signer.issuer.to_string(), "/user/admin");
        assert_eq!(verified.grants()[0].signer.actor, actor(1).id());
        assert_eq!(verified.grants()[0].claims.len(), 2);
    }

    #[test]
    fn wrong_flags_are_refused() {
        assert!(parse(&["--owner=/user/admin", "--claim=/service:r"]).is_ok());
        for wrong in [
            &["--claim=/service:r"][..],
            &["--owner=/user/admin"],
            &["--owner=/", "--claim=/service:r"],
            &["--owner=https://a/b", "--claim=/service:r"],
            &["--owner=/user/admin", "--claim=/service"],
            &["--owner=/user/admin", "--claim=/service:r", "--expires=0"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn lives_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("365d", SECONDS_MAX)] {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "0", "366d", "-1", "+1", "1.5h", "1w", "99999999999999999999d"] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
