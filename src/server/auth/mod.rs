//! Who a request speaks for, and what it may do.
//!
//! 1. [`token`] reads the header `authorization`: a token may inherit another, so what comes out is a [`Chain`], the
//!    outermost token first. Nothing is believed yet.
//! 2. [`verify`] checks times, and asks [`keys`] for the key of each signer: this host's own ([`actor`]), or one that
//!    is fetched from an issuer that this host was told to trust.
//! 3. [`roles`] reads the claims about the transaction: who owns it, and whether it is locked.
//! 4. [`access`] compares the verified [`claim`]s with what the operation needs, and whoever made them with the
//!    [`owner`] of the host.
//!
//! [`Auth`] ([`guard`]) does that for a request; its [`Permit`] answers the same question about what the request calls
//! (`calls`). There, services may grant [`scope`]s while they call each other. [`command`] makes tokens for people.
//!
//! # What comes from `rjwt`
//!
//! The format of tokens is that of `rjwt` 0.6: standard base64 with padding, the header `{"alg":"ES256","typ":"JWT"}`,
//! an Ed25519 signature of the first two parts as they were received, the parent as text in `inherit`. Keys, signatures
//! and signing are its [`Actor`](rjwt::Actor), [`Token`](rjwt::Token), [`SigningKey`](rjwt::SigningKey),
//! [`VerifyingKey`](rjwt::VerifyingKey) and [`Signature`](rjwt::Signature). Reading and verifying are ours, because
//! `rjwt::Resolve::verify`, the only function that verifies, cannot do what the protocol asks for:
//!
//! - A token that is not issued yet is refused to the second. There is one time for both comparisons, so one that
//!   forgives clocks which are 5 seconds ahead would end every token 5 seconds early.
//! - `rjwt::Claims::consume` keeps the expiry of the innermost token, so a token is compared with that instead of its
//!   parent: in a chain of three, the outermost can outlive the second. For the same reason `Actor::consume_and_sign`
//!   can make a token that outlives its parent. So tokens that inherit are made of their JSON and signed with
//!   `Actor::sign_token`.
//! - Base64 without padding is refused, and cannot be added beforehand, because the text as received is what is signed.
//! - Signatures are checked by the lenient rule of `Verifier::verify`, which accepts keys of small order, with which
//!   one signature fits many texts. [`verify`] uses `verify_strict`.
//! - Each token resolves its signer again, and nothing bounds the depth of a chain or the number of look-ups.
//!
//! Several claims in one token, and any value as an actor, would have been possible: both are types that the caller
//! chooses.
//!
//! Invariants: nothing of a token is used for a decision before its signature and those of all that it inherits are
//! verified; no connection is opened to an address that the command line does not name; a host that is not secured
//! never asks for a token, except for operations between hosts, and where a service asks for a scope.

pub mod access;
pub mod actor;
mod calls;
pub mod claim;
pub mod command;
pub mod guard;
pub mod issuer;
pub mod keys;
pub mod owner;
pub mod roles;
#[cfg(test)]
mod sample;
pub mod scope;
pub mod token;
pub mod verify;

pub use access::{Asked, Operation, Policy};
pub use actor::{Draft, HostActor};
pub use claim::{Claim, Mode, Right};
pub use command::TokenArgs;
pub use guard::{Auth, Permit};
pub use issuer::Signer;
pub use keys::{KeyRing, Keys};
pub use owner::Owner;
pub use roles::Roles;
pub use token::{Chain, Token};
pub use verify::{Grant, Verified, verify};
