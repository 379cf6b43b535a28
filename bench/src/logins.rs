//! Logins: the server is killed, and all its clients, each with a password of its own, come back for their sessions at
//! once.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    cases::{Cases, Column, Compare, Figures, rounds_of},
    descriptors,
    exchange::{Exchange, Talkers, Took, client_id},
    frames::{self, CONNACK_ACCEPTED, CONNACK_RESUMED},
    options::Options,
    process,
    subject::{Subject, User},
    table::{decimals, whole},
};

const ROUNDS: u32 = 3;
const CLIENTS: usize = 1_000;
/// Beside the clients' sockets.
const OTHER_DESCRIPTORS: u64 = 500;
/// A server is left alone so long before it is killed.
const SETTLE: Duration = Duration::from_secs(1);
/// How long the one with a wrong password waits for its answer when all others have theirs.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
const MOST_SECONDS: f64 = 30.0;
const MOST_MIB: f64 = 64e6 / (1 << 20) as f64;

/// Their places in `COLUMNS`.
const ALL_BACK: usize = 1;
const PEAK_MEMORY: usize = 3;
const COLUMNS: &[Column] = &[
    column("listens after, ms", decimals::<1>, Compare::Not),
    column("all back after, s", decimals::<2>, Compare::Ratio),
    column("slowest CONNECT, s", decimals::<2>, Compare::Ratio),
    column("peak memory, MiB", decimals::<1>, Compare::Ratio),
    column("broker CPU, s", decimals::<2>, Compare::Ratio),
    column("generator CPU, s", decimals::<2>, Compare::Not),
];

const fn column(title: &'static str, show: fn(f64) -> String, compare: Compare) -> Column {
    Column {
        title,
        show,
        compare,
    }
}

pub(crate) struct Report {
    cases: Cases,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    descriptors::allow(CLIENTS as u64 + OTHER_DESCRIPTORS)?;
    let rounds = options.rounds_or(ROUNDS);
    let case = (format!("{} logins", whole(CLIENTS as f64)), ());
    let cases = Cases::run(options, rounds, COLUMNS, [case], |subject, ()| {
        measure(subject, options)
    })?;
    Ok(Report { cases })
}

fn measure(subject: &Subject, options: &Options) -> Result<Figures> {
    let folder = TempDir::with_prefix_in("bench-", &options.folder)
        .context("cannot make a temporary folder")?;
    let users: Vec<_> = (0..CLIENTS).map(user).collect();
    subject.add_users(folder.path(), &users)?;
    let (mut server, address) = subject.start_for_users(folder.path())?;
    let (mut clients, _) =
        come(address, &users, CONNACK_ACCEPTED).with_context(|| server.last_lines())?;
    clients.hold(subscriptions()?).context("subscribing")?;
    thread::sleep(SETTLE);
    server.kill()?;
    drop(clients);

    let cpu_before = process::own_thread_cpu_time()?;
    let started = Instant::now();
    let (server, address) = subject.start_for_users(folder.path())?;
    let listens = started.elapsed();
    let stranger = knock(address, &users[0].name)?;
    let (clients, took) =
        come(address, &users, CONNACK_RESUMED).with_context(|| server.last_lines())?;
    let all_back = started.elapsed();
    let figures = vec![
        listens.as_secs_f64() * 1e3,
        all_back.as_secs_f64(),
        took.slowest.as_secs_f64(),
        process::peak_resident_kib(server.pid())? as f64 / 1024.0,
        process::cpu_time(server.pid())?.as_secs_f64(),
        (process::own_thread_cpu_time()? - cpu_before).as_secs_f64(),
    ];
    is_refused(stranger)?;
    clients.leave()?;
    server.stop()?;
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(figures)
}

/// All at once; each has to get `answer`.
fn come(address: SocketAddr, users: &[User], answer: [u8; 4]) -> Result<(Talkers, Took)> {
    let login = |User { name, password }: &User| {
        Ok(vec![Exchange {
            request: frames::log_in(name, name, password)?,
            answer: answer.to_vec(),
        }])
    };
    let logins = users.iter().map(login).collect::<Result<_>>()?;
    let mut clients = Talkers::begin(address, users.len())?;
    let took = clients.hold(logins).context("logging in")?;
    Ok((clients, took))
}

/// Somebody who does not know the password of `user`.
fn knock(address: SocketAddr, user: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(&frames::log_in("bench-stranger", user, "guessed")?)?;
    Ok(socket)
}

fn is_refused(mut stranger: TcpStream) -> Result<()> {
    stranger.set_read_timeout(Some(REFUSAL_LIMIT))?;
    let mut answer = [0; 4];
    stranger
        .read_exact(&mut answer)
        .context("a wrong password is not answered")?;
    // Bad user name or password, or not authorized.
    ensure!(
        matches!(answer, [0x20, 2, 0, 4 | 5]),
        "a wrong password was answered by {answer:02x?}"
    );
    Ok(())
}

fn user(number: usize) -> User {
    User {
        name: client_id(number),
        password: format!("its password {number}"),
    }
}

/// One for each client.
fn subscriptions() -> Result<Vec<Vec<Exchange>>> {
    let of_client = |number| {
        Ok(vec![Exchange {
            request: frames::subscribe(&[format!("logins/{number}/#")], 1, 1)?,
            answer: frames::suback(1, 1, 1)?,
        }])
    };
    (0..CLIENTS).map(of_client).collect()
}

/// Says of each round's times and memories whether they are within the goal.
fn verdict(seconds: &[f64], mib: &[f64]) -> String {
    let rounds = seconds.iter().zip(mib);
    let is_met = |(seconds, mib): &(&f64, &f64)| **seconds <= MOST_SECONDS && **mib <= MOST_MIB;
    let met = rounds.filter(is_met).count();
    format!(
        "Goal of the gateway: all back within {MOST_SECONDS:.0} s and inside 64 MB ({MOST_MIB:.1} MiB). Met in {met} of {} \
         rounds.",
        seconds.len()
    )
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "## Logins\n\n{} clients, each with a user name and a password of its own and a session with one subscription, are \
             there when the server is killed by SIGKILL. It is started again, and as soon as it listens all of them come \
             at once and ask for their sessions. Times but that of the slowest CONNECT go from the start of the process; \
             the last is the CONNACK of the last client, each of which has to find its session. A wrong password comes \
             just before them and has to be refused. Memory and CPU are those of the process up to the last CONNACK. The \
             gateway checks argon2id (7 MiB, five passes), two at once; Mosquitto checks PBKDF2 with its own 101 rounds, \
             which is no protection of the same kind, and saves its sessions at each change. The generator runs on the \
             same machine. Medians:\n\n{}",
            whole(CLIENTS as f64),
            self.cases.render()
        );
        for (subject, all) in self.cases.servers() {
            if let (Subject::Gateway { .. }, [rounds]) = (subject, all) {
                let (seconds, mib) = (rounds_of(rounds, ALL_BACK), rounds_of(rounds, PEAK_MEMORY));
                text += &format!("\n{}\n", verdict(&seconds, &mib));
            }
        }
        text
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        self.cases.versions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_met_by_a_round_that_is_within_both_bounds() {
        assert_eq!(COLUMNS[ALL_BACK].title, "all back after, s");
        assert_eq!(COLUMNS[PEAK_MEMORY].title, "peak memory, MiB");
        let check = |seconds: &[f64], mib: &[f64], expected: &str| {
            let said = verdict(seconds, mib);
            assert!(said.ends_with(expected), "{said}");
        };
        check(&[30.0, 1.0], &[61.0, 1.0], "Met in 2 of 2 rounds.");
        check(&[30.1, 1.0], &[1.0, 61.1], "Met in 0 of 2 rounds.");
    }

    #[test]
    fn every_client_has_a_name_a_password_and_a_subscription_of_its_own() -> Result<()> {
        let mut logins = Vec::new();
        for number in 0..CLIENTS {
            let User { name, password } = user(number);
            logins.push(frames::log_in(&name, &name, &password)?);
        }
        let subscribed = subscriptions()?;
        let mut requests: Vec<_> = subscribed.iter().map(|one| &one[0].request).collect();
        requests.extend(&logins);
        requests.sort();
        requests.dedup();
        assert_eq!(requests.len(), 2 * CLIENTS);
        Ok(())
    }
}
