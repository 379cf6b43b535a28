//! Secrets in files: what a message repeats is the name of the key, never the text.

use std::fs;
use std::path::Path;

/// A secret is not longer.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The text of a file without the white space around it. `what` names it.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("{what} cannot be read: {error}");
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if MAX_SECRET_BYTES < length {
        return Err(format!("{what} is too long for a secret"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    match text.trim() {
        "" => Err(format!("{what} is empty")),
        text => Ok(text.to_owned()),
    }
}

/// The same for what stands in a header or a URL.
pub(super) fn read_secret(path: &Path, what: &str) -> Result<String, String> {
    let text = read_text(path, what)?;
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(format!(
            "{what} holds no token: it has more than printable ASCII"
        ));
    }
    Ok(text)
}
