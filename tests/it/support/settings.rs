//! A site's configuration, for runs that do not go through [`Site::start`].

use std::path::PathBuf;

use super::Site;

impl Site {
    /// Writes the configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path("gateway.toml");
        std::fs::write(&path, &self.settings).unwrap();
        path
    }
}
