//! `simulator cloud`: its URL and CA file, then a line of counts each second in which they change.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use simulator::cloud::{Cloud, RunningCloud, Stats};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;

const REPORT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where to write the CA certificate that gateways are to trust (`ca_file`)
    #[arg(long, conflicts_with = "plain")]
    ca_out: Option<PathBuf>,
    /// Plain HTTP instead of HTTPS
    #[arg(long)]
    plain: bool,
    /// A file with the bearer token that requests must bear
    #[arg(long)]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments, stop: &CancellationToken) -> Result<(), Failure> {
    let expect_token = arguments.token_file.as_ref().map(std::fs::read_to_string);
    let expect_token = expect_token
        .transpose()
        .context("cannot read --token-file")
        .map_err(Failure::Usage)?;
    let cloud = Cloud {
        listen: arguments.listen,
        plain: arguments.plain,
        ca_file: arguments.ca_out,
        expect_token: expect_token.map(|token| token.trim().to_owned()),
        remember_values: false,
        ..Cloud::default()
    };
    let cloud = cloud.start().await?;
    println!("url     {}", cloud.url());
    if let Some(ca_file) = cloud.ca_file() {
        println!("ca_file {}", ca_file.display());
    }
    report(&cloud, stop).await;
    println!("{}", line(&cloud.shutdown().await));
    Ok(())
}

/// Tells the counts when they have changed, at most each second, until `stop`.
async fn report(cloud: &RunningCloud, stop: &CancellationToken) {
    let mut ticks = time::interval(REPORT_EVERY);
    let mut told = Stats::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let stats = cloud.stats();
        if stats != told {
            eprintln!("{}", line(&stats));
            told = stats;
        }
    }
}

fn line(stats: &Stats) -> String {
    let answers: Vec<String> = stats
        .by_status
        .iter()
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    format!(
        "readings {}, duplicates {}; requests {} [{}], dropped {}, key conflicts {}, {} bytes",
        stats.distinct,
        stats.duplicates,
        stats.requests,
        answers.join(", "),
        stats.dropped,
        stats.key_conflicts,
        stats.bytes
    )
}
