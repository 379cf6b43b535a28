//! Why a subcommand that looks after a file did nothing, and with which exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_INTERNAL, EXIT_STORE, EXIT_USAGE};
use crate::store::care::CareError;

/// Why nothing was done, and with which exit code.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u8,
    message: String,
}

impl Refusal {
    /// Says it.
    pub(super) fn told(self) -> ExitCode {
        eprintln!("{}", self.message);
        ExitCode::from(self.code)
    }
}

/// Something was asked for wrongly.
pub(super) fn usage(message: impl Into<String>) -> Refusal {
    Refusal {
        code: EXIT_USAGE,
        message: message.into(),
    }
}

/// It could not be done.
pub(super) fn internal(message: String) -> Refusal {
    Refusal {
        code: EXIT_INTERNAL,
        message,
    }
}

/// A file cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    usage(format!("{} cannot be read: {error}", path.display()))
}

/// The store cannot be read or written, or was asked for wrongly.
pub(super) fn of_store(error: &CareError) -> Refusal {
    let code = match error {
        CareError::Exists { .. } | CareError::Itself { .. } => EXIT_USAGE,
        _ => EXIT_STORE,
    };
    Refusal {
        code,
        message: error.to_string(),
    }
}
