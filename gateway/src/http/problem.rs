//! What went wrong, as RFC 9457 has it. Only this file says which status an error has.

use std::fmt;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::task::JoinError;

use crate::access::Role;
use crate::config::{self, listed};
use crate::domain::place::Part;
use crate::ingest::decode::{Fault, RequestFault};
use crate::ingest::{NotReplaced, Refused};
use crate::store::StoreError;

use super::body;

/// The status of a gateway that lives but does not get its work done.
pub(super) const NOT_READY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// Why a request is not answered as it wishes. The text is for the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("the body is no JSON: {0}")]
    NotJson(String),
    #[error("the body broke off: {0}")]
    BrokenBody(String),
    #[error("parameter `{name}`: {expected}")]
    BadParameter { name: String, expected: String },
    #[error("there is nothing without a token for a client from there")]
    Unauthorized,
    #[error("there is no such token")]
    WrongToken,
    #[error("this is for the role {}, and you have {}", needed.as_str(), has.as_str())]
    NotAllowed { has: Role, needed: Role },
    #[error("a web page from elsewhere may not ask the gateway")]
    ForeignPage,
    #[error(
        "`Host` has to be an IP address, `localhost` or the machine's host name: other names could lead anywhere"
    )]
    ForeignHost,
    #[error("there is nothing at {0}")]
    NoSuchPath(String),
    #[error("somebody else was quicker: it is there no more")]
    Gone,
    #[error("the path does not know this method; `Allow` has those it knows")]
    WrongMethod,
    #[error("here is MQTT over WebSocket only, version 13")]
    NoUpgrade,
    #[error("{0}")]
    BadHandshake(&'static str),
    #[error("too many clients come at once: try again in a moment")]
    Busy,
    #[error("the body did not come in time")]
    TooSlow,
    #[error("the body is larger than {} bytes", body::MAX_BYTES)]
    TooLarge,
    #[error("expected `application/json` (or, for readings, `application/x-ndjson`), found {0:?}")]
    WrongType(String),
    #[error("reading {index}: {fault}")]
    BadReading { index: usize, fault: Fault },
    #[error("{0}")]
    BadStatus(String),
    #[error("it still cannot be read: {0}")]
    StillUnreadable(String),
    #[error("{0}")]
    NoLogFilter(String),
    #[error("{0}")]
    NoRules(String),
    #[error("{}", listed(.0))]
    BadRules(Vec<config::Fault>),
    #[error(
        "there is no uplink {0:?} any more: configure one of that name, or drop the dead letter"
    )]
    NoUplink(String),
    #[error("there is nowhere to keep rules: set `rules_file` in the configuration")]
    NoRulesFile,
    #[error("the gateway is stopping; nothing says whether this is on disk: send it again")]
    Stopping,
    #[error("{0}: nothing of the request was stored")]
    NoRoom(Refused),
    #[error("{0}")]
    Unwell(String),
    /// The cause went to the log.
    #[error("the gateway could not do it; its log says why")]
    Internal,
}

impl Problem {
    /// A parameter of the query that is not as it should be.
    pub(super) fn bad_parameter(name: &str, expected: &str) -> Self {
        Self::BadParameter {
            name: name.to_owned(),
            expected: expected.to_owned(),
        }
    }

    /// There is nothing there, or no more.
    pub(super) fn no_such_path(uri: &Uri) -> Self {
        Self::NoSuchPath(uri.path().to_owned())
    }

    /// Something that the gateway needs does not work.
    pub(super) fn unwell(trouble: impl Into<String>) -> Self {
        Self::Unwell(trouble.into())
    }

    /// Logs the cause, which is not for the caller.
    pub(super) fn internal(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "an HTTP request failed");
        Self::Internal
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotJson(_)
            | Self::BrokenBody(_)
            | Self::BadParameter { .. }
            | Self::BadHandshake(_) => StatusCode::BAD_REQUEST,
            Self::NoUpgrade => StatusCode::UPGRADE_REQUIRED,
            Self::Unauthorized | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::NotAllowed { .. } | Self::ForeignPage | Self::ForeignHost => {
                StatusCode::FORBIDDEN
            }
            Self::NoSuchPath(_) | Self::Gone => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadReading { .. }
            | Self::BadStatus(_)
            | Self::StillUnreadable(_)
            | Self::NoLogFilter(_)
            | Self::NoRules(_)
            | Self::BadRules(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoRulesFile | Self::NoUplink(_) => StatusCode::CONFLICT,
            Self::Stopping | Self::Unwell(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Stopped => Self::Stopping,
            Refused::NoReject => Self::Gone,
            Refused::TooManySensors | Refused::TooManyDevices | Refused::Full => {
                Self::NoRoom(refused)
            }
        }
    }
}

/// The problem document.
#[derive(Serialize)]
struct Document<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// The place of the bad reading in the array.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<BadRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<RuleError<'p>>,
}

/// One thing that is wrong with the rules of a request, in a sentence.
#[derive(Debug, Serialize)]
struct BadRule {
    /// Of the text as it came, if it was TOML.
    line: Option<usize>,
    detail: String,
}

impl From<&config::Fault> for BadRule {
    fn from(fault: &config::Fault) -> Self {
        Self {
            line: fault.place.line(),
            detail: fault.headline(),
        }
    }
}

/// The same in its parts.
#[derive(Debug, Serialize)]
struct RuleError<'p> {
    /// Of the text as it came, if it was TOML; both count from 1.
    line: Option<usize>,
    column: Option<usize>,
    rule: Option<&'p str>,
    /// Within the rule, if that is known.
    key: &'p str,
    message: &'p str,
    /// The line, or else the expression, with a mark below.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
}

impl<'p> From<&'p config::Fault> for RuleError<'p> {
    fn from(fault: &'p config::Fault) -> Self {
        Self {
            line: fault.place.line(),
            column: fault.place.part().map(Part::column),
            rule: fault.rule.as_deref(),
            key: &fault.key,
            message: &fault.message,
            excerpt: fault.excerpt.as_ref().map(ToString::to_string),
        }
    }
}

impl From<NotReplaced> for Problem {
    fn from(reason: NotReplaced) -> Self {
        match reason {
            NotReplaced::Faulty(faults) => Self::BadRules(faults),
            NotReplaced::NoFile => Self::NoRulesFile,
            NotReplaced::NotWritten(error) => Self::internal(error),
            NotReplaced::Stopped => Self::Stopping,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let bad_rules: &[config::Fault] = match &self {
            Self::BadRules(faults) => faults,
            _ => &[],
        };
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.to_string(),
            index: match &self {
                Self::BadReading { index, .. } => Some(*index),
                _ => None,
            },
            faults: bad_rules.iter().map(BadRule::from).collect(),
            errors: bad_rules.iter().map(RuleError::from).collect(),
        };
        let mut response = (status, Json(document)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        let further = match self {
            // RFC 6750, section 3.
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Self::WrongToken => Some((header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")),
            // RFC 9110, section 15.5.22.
            Self::NoUpgrade => Some((header::UPGRADE, "websocket")),
            _ => None,
        };
        if let Some((name, value)) = further {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Answers for all paths that do not exist.
pub(super) async fn no_such_path(uri: Uri) -> Problem {
    Problem::no_such_path(&uri)
}

/// Answers for the methods that a path does not know; the router adds `Allow`.
pub(super) async fn wrong_method() -> Problem {
    Problem::WrongMethod
}

impl From<RequestFault> for Problem {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::NotJson(error) => Self::NotJson(error),
            RequestFault::Bad { index, fault } => Self::BadReading { index, fault },
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        Self::internal(error)
    }
}
