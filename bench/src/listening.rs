//! Where a server listens, from its JSON log: our gateway and the stock one say it alike.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::server::Server;

const START_LIMIT: Duration = Duration::from_secs(10);
const START_POLL: Duration = Duration::from_millis(10);

/// Waits until `server` has named its MQTT address.
pub(crate) fn wait_for_mqtt(
    server: &Server,
    listening: &Receiver<(Transport, SocketAddr)>,
) -> Result<SocketAddr> {
    wait_for(Transport::Mqtt, server, listening)
}

/// Waits until `server` has named its address for `transport`; those that it names before are passed over.
pub(crate) fn wait_for(
    transport: Transport,
    server: &Server,
    listening: &Receiver<(Transport, SocketAddr)>,
) -> Result<SocketAddr> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match listening.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((found, address)) if found == transport => return Ok(address),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => bail!(
                "it did not say within {START_LIMIT:?} where it listens; {}",
                server.last_lines()
            ),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("it ended by itself; {}", server.last_lines())
            }
        }
    }
}

/// Waits until a server that does not say so serves.
pub(crate) fn wait_until(mut server: Server, serves: impl Fn() -> bool) -> Result<Server> {
    let deadline = Instant::now() + START_LIMIT;
    while !serves() {
        if server.has_ended()? {
            bail!("it ended by itself; {}", server.last_lines());
        }
        if deadline < Instant::now() {
            bail!(
                "it does not serve after {START_LIMIT:?}; {}",
                server.last_lines()
            );
        }
        thread::sleep(START_POLL);
    }
    Ok(server)
}

/// How readings come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Mqtt,
    Http,
}

/// What a line of the JSON log says of an address, if it is such a line.
pub(crate) fn listening_address(line: &str) -> Option<(Transport, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name| {
        line.get(name)
            .or_else(|| line.get("fields")?.get(name))?
            .as_str()
    };
    if field("message") != Some("listening") {
        return None;
    }
    let transport = match field("transport")? {
        "mqtt" => Transport::Mqtt,
        "http" => Transport::Http,
        _ => return None,
    };
    Some((transport, field("address")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_log_with_fields_at_either_level() -> Result<()> {
        let check = |line: &str, expected: Option<(Transport, &str)>| {
            let found = listening_address(line)
                .map(|(transport, address)| (transport, address.to_string()));
            let expected = expected.map(|(transport, address)| (transport, address.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        check(
            r#"{"level":"INFO","message":"listening","transport":"mqtt","address":"127.0.0.1:1883"}"#,
            Some((Transport::Mqtt, "127.0.0.1:1883")),
        );
        check(
            r#"{"fields":{"message":"listening","transport":"http","address":"[::1]:80"},"target":"x"}"#,
            Some((Transport::Http, "[::1]:80")),
        );
        check(
            r#"{"message":"listening","transport":"ws","address":"127.0.0.1:8083"}"#,
            None,
        );
        check(
            r#"{"message":"stopped","transport":"mqtt","address":"127.0.0.1:1883"}"#,
            None,
        );
        check("listening transport=mqtt", None);
        Ok(())
    }
}
