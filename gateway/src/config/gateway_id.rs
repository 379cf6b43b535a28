//! The gateway's name: what the operator chose, else the name of the machine.

use std::{fs, sync::Arc};

use crate::config::kinds::{name, to_name};
use crate::config::section::Section;

/// Where Linux keeps the host name: as it is now, then as it is set at boot.
const HOST_NAME_FILES: &[&str] = &["/proc/sys/kernel/hostname", "/etc/hostname"];
const NAMELESS: &str = "edge-gateway";

/// Reads `gateway_id`.
pub(super) fn read(root: &mut Section<'_>) -> Arc<str> {
    root.setting("gateway_id", host_name(), name).value
}

/// The machine's host name as it is.
pub(super) fn machine_name() -> Option<Box<str>> {
    let mut names = HOST_NAME_FILES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    names
        .find(|name| !name.trim().is_empty())
        .map(|name| name.trim().into())
}

fn host_name() -> Arc<str> {
    let names = HOST_NAME_FILES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    first_name(names).into()
}

/// The first of `names` of which anything is left when it is made a valid id.
fn first_name(names: impl Iterator<Item = String>) -> String {
    let valid = names
        .map(|name| to_name(&name))
        .find(|name| !name.is_empty());
    valid.unwrap_or_else(|| NAMELESS.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_makes_a_valid_id() {
        let check = |names: &[&str], expected: &str| {
            let names = names.iter().map(|name| (*name).to_owned());
            assert_eq!(first_name(names), expected);
        };
        check(&["pi-4.local\n"], "pi-4.local");
        check(&["Küche 1\n"], "K-che-1");
        check(&["\n", "second\n"], "second");
        check(&["---\n"], "edge-gateway");
        check(&[], "edge-gateway");
        check(&[&"x".repeat(70)], &"x".repeat(64));
    }
}
