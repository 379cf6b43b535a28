//! Packs the dashboard's files and the API's description, as they are checked in, into the binary: compressed, with what a client
//! has to be told of each. Tells the linker of static binaries, which are those for boards, how to lay out the code.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

/// Suffixes of files that browsers get, and their media types. All others stay where they are.
const SERVED: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
];

const DESCRIPTION: &str = "openapi.json";

/// Made by `docker/layout.py`.
const LAYOUT: &str = "layout.ld";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=dashboard");
    println!("cargo::rerun-if-changed={DESCRIPTION}");
    if env::var_os("CARGO_CFG_TARGET_ENV").is_some_and(|libc| libc == "musl") {
        println!("cargo::rerun-if-changed={LAYOUT}");
        let path = Path::new(LAYOUT).canonicalize()?;
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", path.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut table = File::create(out.join("packed.rs"))?;
    writeln!(table, "&[")?;
    let root = Path::new("dashboard");
    // Only if the feature `dashboard` is on.
    let dashboard = match env::var_os("CARGO_FEATURE_DASHBOARD") {
        Some(_) => files(root)?,
        None => Vec::new(),
    };
    let parts = dashboard.into_iter().map(|(path, media_type)| {
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        (name, path, media_type)
    });
    // With a slash: a part of the dashboard has none.
    let description = (
        format!("/{DESCRIPTION}"),
        DESCRIPTION.into(),
        "application/json",
    );
    for (number, (name, path, media_type)) in parts.chain([description]).enumerate() {
        let packed = out.join(format!("packed-{number}.gz"));
        // No name and no time: the same source is the same binary.
        let mut encoder = GzBuilder::new().write(File::create(&packed)?, Compression::best());
        encoder.write_all(&fs::read(&path)?)?;
        encoder.finish()?;
        writeln!(
            table,
            "File {{ path: {name:?}, media_type: {media_type:?}, packed: include_bytes!({packed:?}) }},"
        )?;
    }
    writeln!(table, "]")
}

/// The files that are served, sorted.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, &'static str)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            let suffix = path.extension().unwrap_or_default();
            let known = SERVED.iter().find(|(known, _)| suffix == *known);
            found.extend(known.map(|(_, media_type)| (path.clone(), *media_type)));
        }
    }
    found.sort();
    Ok(found)
}
