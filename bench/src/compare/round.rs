//! One peer, fresh, under one workload.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::generator::{Generator, Outcome};
use super::peers::{Peer, Running};
use super::workloads::{Pace, Workload};
use crate::process;
use crate::sink::Sink;

/// What listens is left alone so long before it counts as idle.
const SETTLE: Duration = Duration::from_millis(500);
const SAMPLE: Duration = Duration::from_millis(20);
/// How long is waited for what was acknowledged to be stored.
const STORED_LIMIT: Duration = Duration::from_secs(120);
const STORED_POLL: Duration = Duration::from_millis(20);

pub(crate) struct Round {
    pub(crate) outcome: Outcome,
    pub(crate) idle_kib: u64,
    pub(crate) peak_kib: u64,
    /// Seconds since the first publish, and KiB of all processes.
    pub(crate) memory: Vec<(f64, u64)>,
    /// Up to the last acknowledgement.
    pub(crate) server_cpu: Duration,
    pub(crate) kept: Option<Kept>,
}

/// Of a peer that stores.
pub(crate) struct Kept {
    /// Readings when the last acknowledgement came.
    pub(crate) at_last_ack: u64,
    pub(crate) at_end: u64,
    /// From the last acknowledgement on, if all came.
    pub(crate) lag: Option<Duration>,
}

pub(crate) fn measure(
    peer: &Peer,
    workload: &Workload,
    sink: &Sink,
    parent: &Path,
) -> Result<Round> {
    let folder =
        TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
    let running = peer.start(workload.transport, folder.path(), sink)?;
    let round = load(peer, workload, &running).with_context(|| running.last_lines())?;
    running.stop()?;
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(round)
}

fn load(peer: &Peer, workload: &Workload, running: &Running) -> Result<Round> {
    thread::sleep(SETTLE);
    let mut pids = Vec::new();
    for server in &running.servers {
        pids.extend(process::with_children(server.pid())?);
    }
    let idle_kib = sum(&pids, process::resident_kib)?;
    // In a flood the generator has no time to read them.
    let has_alerts = peer.does_the_job() && matches!(workload.pace, Pace::Steady { .. });
    let generator = Generator::prepare(running.address, workload, has_alerts)?;
    let file = running
        .stored
        .as_ref()
        .map(|stored| stored.open())
        .transpose()?;
    let count = || file.as_ref().map(|file| file.count()).transpose();
    let cpu = || {
        pids.iter()
            .map(|&pid| process::cpu_time(pid))
            .sum::<Result<Duration>>()
    };
    let cpu_before = cpu()?;
    let sampler = Sampler::start(pids.clone());
    let (outcome, (last_ack, cpu_after, at_last_ack)) =
        generator.run(|| Ok((Instant::now(), cpu()?, count()?)))?;
    let readings = outcome.publishes * workload.payload.readings();
    let kept = at_last_ack.map(|at_last_ack| -> Result<Kept> {
        let mut at_end = at_last_ack;
        let mut lag = (at_end == readings).then_some(Duration::ZERO);
        while lag.is_none() && last_ack.elapsed() < STORED_LIMIT {
            thread::sleep(STORED_POLL);
            let (before, after) = (at_end, last_ack.elapsed());
            at_end = count()?.unwrap_or_default();
            lag = (at_end == readings).then_some(after);
            // What is of QoS 0 may be dropped: nothing more comes then.
            if workload.qos == 0 && before == at_end && SETTLE < after {
                break;
            }
        }
        Ok(Kept {
            at_last_ack,
            at_end,
            lag,
        })
    });
    Ok(Round {
        outcome,
        idle_kib,
        memory: sampler.stop()?,
        peak_kib: sum(&pids, process::peak_resident_kib)?,
        server_cpu: cpu_after - cpu_before,
        kept: kept.transpose()?,
    })
}

fn sum(pids: &[u32], figure: impl Fn(u32) -> Result<u64>) -> Result<u64> {
    pids.iter().map(|&pid| figure(pid)).sum()
}

/// Looks at the memory of processes until it is told to stop.
struct Sampler {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<(f64, u64)>>>,
}

impl Sampler {
    fn start(pids: Vec<u32>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (started, mut samples) = (Instant::now(), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let kib = sum(&pids, process::resident_kib)?;
                samples.push((started.elapsed().as_secs_f64(), kib));
                thread::sleep(SAMPLE);
            }
            Ok(samples)
        });
        Self { is_over, thread }
    }

    fn stop(self) -> Result<Vec<(f64, u64)>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the sampler panicked")?
    }
}
