//! `edge-gateway token`: adds, removes and lists the tokens of the API. A token is shown once, on the standard output alone, so
//! that it can be piped to where it is needed; the file keeps its hash.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::refusal::{Refusal, internal, unreadable, usage};
use crate::access::{self, HashFile, NewToken, Role};
use crate::config::{Config, Faults};

/// What is done to which token file.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// The file of the tokens' hashes [default: that of the configuration]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Make a token and print it, or replace the one of this name
    Add {
        /// At most 64 bytes, without `:` and control characters
        name: String,
        /// What it may do: read; write brings readings and statuses and acknowledges alerts; admin changes things
        #[arg(long, value_parser = ["read", "write", "admin"])]
        role: String,
    },
    /// Remove a token
    Remove { name: String },
    /// List the tokens: name and role
    List,
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let done = token_file(options, config).and_then(|path| match &options.command {
        Command::Add { name, role } => add(&path, name, role),
        Command::Remove { name } => remove(&path, name),
        Command::List => list(&path),
    });
    match done {
        Ok((answer, remark)) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(answer.as_bytes()).ok();
            eprint!("{remark}");
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.told(),
    }
}

/// What goes to the standard output, and what to the error output.
type Said = (String, String);

fn token_file(
    options: &Options,
    config: impl FnOnce() -> Result<Config, Faults>,
) -> Result<PathBuf, Refusal> {
    if let Some(named) = &options.token_file {
        return Ok(named.clone());
    }
    let config = config().map_err(|faults| usage(faults.to_string()))?;
    config.http.token_file.ok_or_else(|| {
        usage("the configuration has no http.token_file: set it, or name a file with --token-file")
    })
}

fn add(path: &Path, name: &str, role: &str) -> Result<Said, Refusal> {
    access::check_name(name)
        .map_err(|error| usage(format!("{name:?} cannot be a token's name: {error}")))?;
    let role: Role = role.parse().map_err(usage)?;
    let token = NewToken::make(role)
        .map_err(|_| internal("the system has no random numbers for a token".to_owned()))?;
    let mut file = edit(path)?;
    let done = if file.put(name, &token.entry) {
        "is another now"
    } else {
        "is added"
    };
    save(&file, path)?;
    let path = path.display();
    let remark = format!(
        "{name:?} {done} in {path}, which keeps its hash only; a running gateway reads it on SIGHUP\n"
    );
    Ok((token.text + "\n", remark))
}

fn remove(path: &Path, name: &str) -> Result<Said, Refusal> {
    let mut file = edit(path)?;
    if !file.remove(name) {
        let path = path.display();
        return Err(usage(format!("there is no token {name:?} in {path}")));
    }
    save(&file, path)?;
    let path = path.display();
    let remark = format!("{name:?} is removed from {path}; a running gateway reads it on SIGHUP\n");
    Ok((String::new(), remark))
}

fn list(path: &Path) -> Result<Said, Refusal> {
    let file = HashFile::read(path).map_err(|error| unreadable(path, &error))?;
    if file.is_new() {
        let path = path.display();
        return Err(usage(format!(
            "there is no {path}: `edge-gateway token add NAME` makes it"
        )));
    }
    let lines = file.entries().map(|(name, rest)| {
        let role = rest.split(':').next().unwrap_or_default();
        format!("{name}\t{role}\n")
    });
    Ok((lines.collect(), String::new()))
}

fn edit(path: &Path) -> Result<HashFile, Refusal> {
    HashFile::edit(path).map_err(|error| unreadable(path, &error))
}

fn save(file: &HashFile, path: &Path) -> Result<(), Refusal> {
    let saved = file.save();
    saved.map_err(|error| internal(format!("{} cannot be written: {error}", path.display())))
}
