//! Answers that are no pictures: JSON, and errors that say what would help.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::Refused;

/// A request that is not answered as it was meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

#[derive(Serialize)]
struct Words<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The viewers or connections are as many as there may be.
    pub(crate) fn full(what: &str, most: usize) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are {most} {what} already"))
            .hint("close another page or stream")
    }

    /// There is no picture yet.
    pub(crate) fn no_picture() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "there is no picture yet")
            .hint("the model is loading or no source gives pictures; /api/v1/state says which")
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::NotNow { .. } => StatusCode::CONFLICT,
            Refused::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = refused.hint().map(str::to_owned);
        Self { status, error: refused.to_string(), hint }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let words = Words { error: &self.error, hint: self.hint.as_deref() };
        let mut response = json(&words);
        *response.status_mut() = self.status;
        let extra = match self.status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => typed("application/json", text),
        // Our own types are all plain data; a value that is not is a bug that
        // the client can only be told of.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A body and what it is.
pub(crate) fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
