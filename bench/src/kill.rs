//! What an ack is worth: the server is killed under full load, and acked readings are looked for in its file.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tempfile::TempDir;

use crate::{
    flood::in_turn,
    load::{Load, Shape},
    options::Options,
    subject::{self, Subject},
    table::{self, whole},
};

const ROUNDS: u32 = 5;

pub(crate) struct Killed {
    kill_after: usize,
    acked: u64,
    stored: u64,
    /// Acked and not stored.
    pub(crate) lost: u64,
}

pub(crate) struct Report {
    shape: Shape,
    seed: u64,
    servers: Vec<(Subject, Vec<Killed>)>,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let shape = options.shape();
    let mut servers: Vec<_> = subject::find_that_store(options)?
        .into_iter()
        .map(|subject| (subject, Vec::new()))
        .collect();
    let rounds = options.rounds_or(ROUNDS);
    in_turn(&mut servers, rounds, |number, (subject, rounds)| {
        // The same moment for each server of a round.
        let mut moments = Rng::with_seed(options.seed.wrapping_add(number.into()));
        let kill_after = moments.u64(shape.readings / 10..=shape.readings * 9 / 10);
        let killed = measure(subject, shape, kill_after.try_into()?, &options.folder)?;
        eprintln!(
            "round {number}: {} acked {} and lost {}",
            subject.name(),
            killed.acked,
            killed.lost
        );
        rounds.push(killed);
        Ok(())
    })?;
    Ok(Report {
        shape,
        seed: options.seed,
        servers,
    })
}

fn measure(subject: &Subject, shape: Shape, kill_after: usize, parent: &Path) -> Result<Killed> {
    let folder =
        TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
    let (mut server, address) = subject.start(folder.path())?;
    let (stored, _) = subject
        .keeps(folder.path())
        .context("this server stores nothing")?;
    let acked = Load::prepare(address, shape)?.run_and_kill(kill_after, || server.kill())?;
    let found = stored.open()?.seqs()?;
    let lost = acked.iter().filter(|seq| !found.contains(seq)).count();
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(Killed {
        kill_after,
        acked: acked.len() as u64,
        stored: found.len() as u64,
        lost: lost as u64,
    })
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let Shape {
            clients, in_flight, ..
        } = self.shape;
        let mut rows = Vec::new();
        let rounds = self.servers.iter().map(|(_, rounds)| rounds.len()).max();
        for number in 0..rounds.unwrap_or(0) {
            for (subject, rounds) in &self.servers {
                if let Some(killed) = rounds.get(number) {
                    rows.push(row(&(number + 1).to_string(), subject, killed));
                }
            }
        }
        for (subject, rounds) in &self.servers {
            rows.push(row("all", subject, &sum(rounds)));
        }
        let titles = [
            "killed after acks",
            "acked",
            "stored",
            "acked but lost",
            "part of acked",
        ];
        format!(
            "## Acked but lost\n\n{clients} clients publish at full speed with QoS 1, {in_flight} in flight each; after \
             a number of acks drawn from seed {} the server is killed by SIGKILL, and each acked reading is looked for \
             in its SQLite file. Readings may be stored and not yet acked. A kill leaves the system's page cache, so \
             this says nothing of a power cut.\n\n{}",
            self.seed,
            table::lines(&titles, &rows)
        )
    }

    /// Fails if the gateway lost what it had acked.
    pub(crate) fn check(&self) -> Result<()> {
        for (subject, rounds) in &self.servers {
            let lost = sum(rounds).lost;
            ensure!(
                lost == 0 || !matches!(subject, Subject::Gateway { .. }),
                "the gateway lost {lost} readings that it had acked"
            );
        }
        Ok(())
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        let subjects = self.servers.iter().map(|(subject, _)| subject);
        subjects.map(Subject::version).collect()
    }
}

fn row(label: &str, subject: &Subject, killed: &Killed) -> Vec<String> {
    let part = 100.0 * killed.lost as f64 / killed.acked as f64;
    let mut cells = vec![label.to_owned(), subject.name().to_owned()];
    let counts = [
        killed.kill_after as u64,
        killed.acked,
        killed.stored,
        killed.lost,
    ];
    cells.extend(counts.map(|count| whole(count as f64)));
    cells.push(format!("{part:.1} %"));
    cells
}

fn sum(rounds: &[Killed]) -> Killed {
    Killed {
        kill_after: rounds.iter().map(|one| one.kill_after).sum(),
        acked: rounds.iter().map(|one| one.acked).sum(),
        stored: rounds.iter().map(|one| one.stored).sum(),
        lost: rounds.iter().map(|one| one.lost).sum(),
    }
}
