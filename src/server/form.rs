//! The forms beside JSON and TBON: those in which results are sent as they are read, and tensors come.

use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::arrow;
use super::body::ReplyBody;
use super::codec::{Encoding, media_range};
use super::tensor::{ipc, npy};
use crate::error::Result;
use crate::exec::{Kernel, Prepared};
use crate::txn::Txn;
use crate::value::State;

/// A form beside JSON and TBON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// A stream of Arrow batches: the rows of a collection, or a tensor.
    Arrow,
    /// A dense tensor in the format of NumPy's files, under one of its names.
    Npy(&'static str),
}

impl Form {
    /// All forms under all their names.
    const ALL: [Form; 3] = [Form::Arrow, Form::Npy(npy::NAMES[0]), Form::Npy(npy::NAMES[1])];

    /// All media types.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::name)
    }

    /// The media type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Arrow => arrow::ARROW,
            Form::Npy(name) => name,
        }
    }

    /// The form that a client asks for, if it likes a document no better: that with the highest quality, or the first.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let (mut best, mut of_document) = ((0.0, None), 0.0);
        for value in headers.get_all(ACCEPT) {
            let Ok(text) = value.to_str() else { continue };
            for (name, quality) in text.split(',').filter_map(media_range) {
                match Self::named(name) {
                    Some(form) if quality > best.0 => best = (quality, Some(form)),
                    None if Encoding::named(name).is_some() && quality > of_document => of_document = quality,
                    _ => {}
                }
            }
        }
        best.1.filter(|_| best.0 >= of_document)
    }

    /// The form of the body of a request.
    pub(super) fn of_body(headers: &HeaderMap) -> Option<Self> {
        let (name, _) = media_range(headers.get(CONTENT_TYPE)?.to_str().ok()?)?;
        Self::named(name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name().eq_ignore_ascii_case(name))
    }

    /// Runs a program and replies its result in this form, with the media type.
    ///
    /// # Errors
    /// As [`Kernel::contents`]; `BadRequest` if the result has no such form.
    pub(super) async fn answer(
        self,
        kernel: &Kernel,
        txn: &Txn,
        prepared: &Prepared,
        commits: bool,
    ) -> Result<(&'static str, ReplyBody)> {
        let body = match self {
            Form::Arrow => arrow::answer(kernel, txn, prepared, commits).await?,
            Form::Npy(_) => npy::answer(kernel, txn, prepared, commits).await?,
        };
        Ok((self.name(), body))
    }

    /// Reads a body: a tensor, or one element of a tensor.
    ///
    /// # Errors
    /// `BadRequest` if it is malformed, or is no tensor.
    pub(super) fn decode(self, body: &Bytes) -> Result<State> {
        match self {
            Form::Arrow => ipc::decode(body),
            Form::Npy(_) => npy::decode(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn wanted(accept: &'static str) -> Option<Form> {
        Form::wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn a_form_is_sent_to_who_asks_for_it() {
        for name in ["application/x-npy", "application/vnd.numpy.npy"] {
            assert_eq!(wanted(name), Some(Form::Npy(name)));
        }
        assert_eq!(wanted("application/vnd.apache.arrow.stream"), Some(Form::Arrow));
        assert_eq!(wanted("Application/X-NPY; q=0.5, */*"), Some(Form::Npy("application/x-npy")));
        for accept in ["*/*", "application/json", "application/octet-stream", "application/x-npy;q=0", ""] {
            assert_eq!(wanted(accept), None, "{accept}");
        }
        assert_eq!(Form::wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn the_higher_quality_wins_and_then_the_form() {
        assert_eq!(wanted("application/json, application/x-npy"), Some(Form::Npy("application/x-npy")));
        assert_eq!(wanted("application/json, application/x-npy;q=0.9"), None);
        assert_eq!(wanted("application/x-npy;q=0.5, application/vnd.apache.arrow.stream"), Some(Form::Arrow));
        assert_eq!(wanted("application/vnd.apache.arrow.stream, application/x-npy"), Some(Form::Arrow));
    }

    #[test]
    fn bodies_are_told_by_their_content_type() {
        let of = |text| Form::of_body(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]));
        assert_eq!(of("application/x-npy; charset=binary"), Some(Form::Npy("application/x-npy")));
        assert_eq!(of("application/vnd.apache.arrow.stream"), Some(Form::Arrow));
        assert_eq!(of("application/json"), None);
        assert_eq!(Form::of_body(&HeaderMap::new()), None);
    }
}
