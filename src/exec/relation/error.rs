//! Errors of DataFusion become ours, and ours pass through DataFusion unchanged.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use tracing::error;

use crate::error::Error;

/// An error of ours, on its way through DataFusion.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What a caller is told of an error of DataFusion.
pub(crate) fn internal(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => foreign(&other.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => internal(*inner),
        DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
            Ok(error) => internal(error),
            Err(shared) => shared_error(&shared),
        },
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => internal(first),
            None => unknown("no error was given"),
        },
        DataFusionError::SQL(error, _) => Error::bad_request(error.to_string()),
        DataFusionError::Plan(message) => Error::bad_request(message),
        DataFusionError::SchemaError(error, _) => schema_error(&error),
        DataFusionError::Execution(message) | DataFusionError::Configuration(message) => Error::bad_request(message),
        DataFusionError::NotImplemented(message) => Error::new(crate::error::Kind::NotImplemented, message),
        DataFusionError::ResourcesExhausted(message) => Error::too_large(message),
        DataFusionError::ArrowError(error, _) => arrow_error(*error),
        other => unknown(&other.to_string()),
    }
}

/// An error that several parts of a plan were told of.
fn shared_error(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(error) => error.clone(),
            None => foreign(&inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => shared_error(inner),
        DataFusionError::Shared(inner) => shared_error(inner),
        DataFusionError::ResourcesExhausted(message) => Error::too_large(message.clone()),
        DataFusionError::NotImplemented(message) => Error::new(crate::error::Kind::NotImplemented, message.clone()),
        DataFusionError::Plan(_) | DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => {
            Error::bad_request(error.strip_backtrace())
        }
        other => unknown(&other.to_string()),
    }
}

fn schema_error(error: &SchemaError) -> Error {
    Error::bad_request(error.to_string())
}

/// Computations that have no result, such as an overflow, are mistakes of the query.
fn arrow_error(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
            Ok(error) => internal(*error),
            Err(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => foreign(&other.to_string()),
            },
        },
        ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::NotYetImplemented(_) => Error::bad_request(error.to_string()),
        other => unknown(&other.to_string()),
    }
}

/// An error of another library. That of a pattern is a mistake of the query.
fn foreign(message: &str) -> Error {
    match message.starts_with("regex parse error") {
        true => Error::bad_request(message),
        false => unknown(message),
    }
}

fn unknown(message: &str) -> Error {
    error!(message, "a plan failed");
    Error::internal("this host has a fault; its log says more")
}
