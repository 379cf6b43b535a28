//! `edge-gateway user`: adds, removes and lists the users of the users file. A password is never an argument, where
//! everybody on the machine could read it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::refusal::{Refusal, internal, unreadable, usage};
use crate::access::{self, HashFile};
use crate::config::{Config, Faults};

/// The longest password that MQTT can carry, and an end of line.
const MAX_PASSWORD_BYTES: u64 = 65_535 + 2;

/// What is done to which users file.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// The users file [default: that of the configuration]
    #[arg(long, global = true, value_name = "FILE")]
    users_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Add a user, or give one another password; asks for it if no file is named
    Add {
        /// At most 64 bytes, without `:` and control characters
        name: String,
        /// A file whose first line is the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user
    Remove { name: String },
    /// List the users
    List,
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let done = users_file(options, config).and_then(|path| match &options.command {
        Command::Add {
            name,
            password_file,
        } => add(&path, name, password_file.as_deref()),
        Command::Remove { name } => remove(&path, name),
        Command::List => list(&path),
    });
    match done {
        Ok(answer) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(answer.as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.told(),
    }
}

fn users_file(
    options: &Options,
    config: impl FnOnce() -> Result<Config, Faults>,
) -> Result<PathBuf, Refusal> {
    if let Some(named) = &options.users_file {
        return Ok(named.clone());
    }
    let config = config().map_err(|faults| usage(faults.to_string()))?;
    config.mqtt.access_files.users.ok_or_else(|| {
        usage("the configuration has no mqtt.users_file: set it, or name a file with --users-file")
    })
}

fn add(path: &Path, name: &str, password_file: Option<&Path>) -> Result<String, Refusal> {
    access::check_name(name)
        .map_err(|error| usage(format!("{name:?} cannot be a user's name: {error}")))?;
    let password = match password_file {
        Some(path) => read_password(path)?,
        None => ask_password(name)?,
    };
    let hash = access::hash(&password).map_err(|error| match error {
        access::PasswordError::Empty => usage(error.to_string()),
        _ => internal(error.to_string()),
    })?;
    let mut file = edit(path)?;
    let had_it = file.put(name, &hash);
    save(&file, path)?;
    let path = path.display();
    Ok(if had_it {
        format!(
            "{name:?} has another password now in {path}; a running gateway reads it on SIGHUP\n"
        )
    } else {
        format!("{name:?} is added to {path}; a running gateway reads it on SIGHUP\n")
    })
}

fn remove(path: &Path, name: &str) -> Result<String, Refusal> {
    let mut file = edit(path)?;
    if !file.remove(name) {
        return Err(usage(format!(
            "there is no user {name:?} in {}",
            path.display()
        )));
    }
    save(&file, path)?;
    let path = path.display();
    Ok(format!(
        "{name:?} is removed from {path}; a running gateway reads it on SIGHUP\n"
    ))
}

fn list(path: &Path) -> Result<String, Refusal> {
    let file = HashFile::read(path).map_err(|error| unreadable(path, &error))?;
    if file.is_new() {
        return Err(usage(format!(
            "there is no {}: `edge-gateway user add NAME` makes it",
            path.display()
        )));
    }
    Ok(file
        .entries()
        .map(|(name, _)| format!("{name}\n"))
        .collect())
}

fn edit(path: &Path) -> Result<HashFile, Refusal> {
    HashFile::edit(path).map_err(|error| unreadable(path, &error))
}

fn save(file: &HashFile, path: &Path) -> Result<(), Refusal> {
    let saved = file.save();
    saved.map_err(|error| internal(format!("{} cannot be written: {error}", path.display())))
}

/// The first line, without its end.
fn read_password(path: &Path) -> Result<Vec<u8>, Refusal> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut password = Vec::new();
    BufReader::new(file.take(MAX_PASSWORD_BYTES + 1))
        .read_until(b'\n', &mut password)
        .map_err(|error| unreadable(path, &error))?;
    if MAX_PASSWORD_BYTES < password.len() as u64 {
        return Err(usage(
            "the password is longer than MQTT can carry: at most 65535 bytes",
        ));
    }
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    Ok(password)
}

fn ask_password(name: &str) -> Result<Vec<u8>, Refusal> {
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt).map_err(|error| {
            usage(format!(
                "there is no terminal to ask for the password on ({error}): give it with --password-file"
            ))
        })
    };
    let password = ask(format!("password of {name:?}: "))?;
    if password.is_empty() {
        return Err(usage("the password is empty"));
    }
    if ask("the same again: ".to_owned())? != password {
        return Err(usage(
            "these were two different passwords: nothing was changed",
        ));
    }
    Ok(password.into_bytes())
}
