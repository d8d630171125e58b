//! Calls into a port, whose panics become errors like any other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::port::PortError;

/// Why a call into a port came to nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    Error(PortError),
    /// The panic's message. What panicked may be half changed.
    Panic(String),
}

impl From<Fault> for PortError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Error(error) => error,
            Fault::Panic(message) => format!("panicked: {message}").into(),
        }
    }
}

/// Calls `body`. After a panic the caller drops whatever `body` had in hand.
pub(crate) fn guarded<R>(body: impl FnOnce() -> Result<R, PortError>) -> Result<R, Fault> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.map_err(Fault::Error),
        Err(payload) => Err(Fault::Panic(message(&*payload))),
    }
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}
