//! What peers in other languages need, installed where it is not yet: into the user's cache, by the languages' own tools.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::forwarding::cache;

/// The folder of programs of a Python environment that has `modules`; one that is not there is made of `packages`.
pub(super) fn python(name: &str, packages: &[&str], modules: &str) -> Result<PathBuf> {
    let venv = cache()?.join(name);
    let bin = venv.join("bin");
    let has_all = || {
        let mut check = Command::new(bin.join("python"));
        let output = check.args(["-c", &format!("import {modules}")]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !has_all() {
        run(Command::new("python3").arg("-m").arg("venv").arg(&venv))?;
        run(Command::new(bin.join("pip"))
            .args(["install", "--quiet"])
            .args(packages))?;
    }
    ensure!(has_all(), "no Python with {modules} in {}", venv.display());
    Ok(bin)
}

/// What Python says of itself and of `packages`.
pub(super) fn python_versions(bin: &Path, packages: &[&str]) -> io::Result<Output> {
    let code = "import sys, platform, sqlite3, importlib.metadata as m\n\
        print('Python', platform.python_version(), 'SQLite', sqlite3.sqlite_version, *(f'{p} {m.version(p)}' for p in sys.argv[1:]))";
    Command::new(bin.join("python"))
        .args(["-c", code])
        .args(packages)
        .output()
}

/// The `node_modules` with what `package` asks for.
pub(super) fn node(name: &str, package: &str) -> Result<PathBuf> {
    let folder = cache()?.join(name);
    let modules = folder.join("node_modules");
    // npm writes it last.
    let is_whole = || modules.join(".package-lock.json").is_file();
    if !is_whole() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), package)?;
        let mut install = Command::new("npm");
        run(install.args(["install", "--silent"]).current_dir(&folder))?;
    }
    ensure!(is_whole(), "nothing in {}", modules.display());
    Ok(modules)
}

/// What Node.js says of itself and of `packages`.
pub(super) fn node_versions(modules: &Path, packages: &[&str]) -> io::Result<Output> {
    let code = "['Node.js ' + process.versions.node].concat(process.argv.slice(1).map((name) => \
        `${name} ${JSON.parse(fs.readFileSync(`${name}/package.json`)).version}`)).join(' ')";
    Command::new("node")
        .args(["-p", code])
        .args(packages)
        .current_dir(modules)
        .output()
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {said}");
    Ok(())
}
