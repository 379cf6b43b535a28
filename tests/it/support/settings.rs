//! Further settings of a site, in the sections that it has already.

use std::path::PathBuf;

use super::Site;

impl Site {
    /// Adds a key to a section, or to the top of the file (`""`).
    pub(crate) fn set(mut self, section: &str, line: &str) -> Self {
        if section.is_empty() {
            self.settings.insert_str(0, &format!("{line}\n"));
            return self;
        }
        let header = format!("[{section}]\n");
        assert!(self.settings.contains(&header), "no section {section}");
        let with_line = format!("{header}{line}\n");
        self.settings = self.settings.replacen(&header, &with_line, 1);
        self
    }

    /// Writes the configuration, for runs that do not go through [`Site::start`].
    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path("gateway.toml");
        std::fs::write(&path, &self.settings).unwrap();
        path
    }
}
