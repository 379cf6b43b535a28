//! What the cloud answers, as HTTP.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::cloud::{script::Step, submission::BodyError};

/// An answer to `/api/sync`.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Problem(String),
    Accepted { accepted: u64, duplicates: u64 },
    Scripted(String),
}

impl Answer {
    /// A refusal that says why.
    pub(super) fn problem(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            retry_after: None,
            body: Body::Problem(detail.into()),
        }
    }

    /// What `step` says; with the body `otherwise` if it names none.
    pub(super) fn scripted(step: Step, otherwise: Option<Body>) -> Self {
        let body = match step.body {
            Some(body) => Body::Scripted(body),
            None => otherwise.unwrap_or_else(|| Body::Problem("as the script says".to_owned())),
        };
        Self {
            status: step.status,
            retry_after: step.retry_after,
            body,
        }
    }
}

impl From<BodyError> for Answer {
    fn from(error: BodyError) -> Self {
        Self::problem(error.status(), error.to_string())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("invariant: a script's is checked");
        let mut response = match self.body {
            _ if status == StatusCode::NO_CONTENT => status.into_response(),
            Body::Problem(detail) => (
                status,
                Json(json!({"status": self.status, "detail": detail})),
            )
                .into_response(),
            Body::Accepted {
                accepted,
                duplicates,
            } => {
                let body = json!({"ok": true, "accepted": accepted, "duplicates": duplicates});
                (status, Json(body)).into_response()
            }
            Body::Scripted(body) => (status, body).into_response(),
        };
        if let Some(value) = self.retry_after {
            let value = HeaderValue::try_from(value).expect("invariant: a script's is checked");
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
