//! Whether a client may stay: its password, its client id, its will.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};

use super::rights::Rights;
use super::{Caller, Connection, Counted};
use crate::access::{Access, Denied, Identity, failed_login_delay};
use crate::broker::Shared;
use crate::broker::connect::{Admitted, Connect, Refusal};
use crate::broker::intake::Intake;
use crate::broker::rate::Rate;
use crate::broker::session::Session;
use crate::broker::wire::Wire;
use crate::clock;
use crate::domain::message::Message;
use crate::domain::topic::TopicName;

/// Who takes over a client id waits so long for the last word of the former connection.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Greets a client that may stay, with its will, and sends away one that may not.
pub(super) async fn admit<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut wire: Wire<R, W>,
    connect: Connect,
    caller: Caller,
    shared: Arc<Shared>,
) -> Option<(Connection<R, W>, Option<Message>)> {
    let (peer, keep_alive) = (caller.address, connect.keep_alive);
    let (admitted, rights) = match judge(connect, caller, &shared).await {
        Ok(judged) => judged,
        Err(refusal) => {
            if let Some(limit) = refusal.limit() {
                shared.metrics.limited(limit);
            }
            tracing::info!(%peer, ?refusal, "client refused");
            wire.protocol.refuse(refusal);
            wire.flush_and_close().await;
            return None;
        }
    };
    let client_id = Arc::clone(&admitted.client_id.text);
    let (member, former) = shared.hub.join(Arc::clone(&client_id));
    if let Some(former) = former {
        // Its will is about the past: it must not come after what the newcomer says. A former connection that is stuck
        // is not waited for longer.
        time::timeout(TAKEOVER_TIMEOUT, former.gone()).await.ok();
    }
    wire.protocol.accept(&admitted);
    if wire.protocol.out.is_empty() {
        tracing::info!(%peer, "client refused: its Maximum Packet Size leaves no room for CONNACK");
        return None;
    }
    tracing::debug!(%peer, %client_id, "client connected");
    let publish_rate = shared.limits.publish_rate;
    let rate = publish_rate.map(|rate| Rate::new(rate, Instant::now()));
    let connection = Connection {
        _counted: Counted::new(&shared),
        member,
        rights,
        wire,
        session: Session::new(shared.limits.in_flight),
        shared,
        owed: VecDeque::new(),
        unsent: None,
        rate,
        held_until: None,
        // MQTT 5.0, section 3.1.2.10: one and a half times the keep alive.
        keep_alive: Duration::from_millis(u64::from(keep_alive) * 1500),
        last_packet: Instant::now(),
        warned_of: HashSet::new(),
    };
    Some((connection, admitted.will))
}

/// The password is checked first, so that nobody without one learns what else would be wrong.
async fn judge(
    connect: Connect,
    caller: Caller,
    shared: &Shared,
) -> Result<(Admitted, Rights), Refusal> {
    if caller.is_one_too_many {
        return Err(Refusal::TooManyConnections);
    }
    let client_id = connect.client_id(shared.limits.client_id_bytes)?;
    let identity = match caller.certified {
        Some(identity) => identity,
        None => log_in(&connect, caller.address, &shared.access).await?,
    };
    let rights = Rights::of(identity, &client_id.text, &shared.access);
    let rights = rights.ok_or(Refusal::Credentials)?;
    let check_topic = |topic: &TopicName| {
        if shared.is_beyond(Ok(topic.as_str())) {
            Err(Refusal::WillTopic)
        } else if Intake::may_publish(topic) && rights.grants().may_publish(topic) {
            Ok(())
        } else {
            Err(Refusal::NotAuthorized)
        }
    };
    let max_will = shared.limits.will_bytes;
    let admitted = connect.admit(client_id, clock::now(), max_will, check_topic)?;
    Ok((admitted, rights))
}

async fn log_in(connect: &Connect, peer: IpAddr, access: &Access) -> Result<Identity, Refusal> {
    let asked_at = Instant::now();
    let (name, password) = (connect.user_name.as_deref(), connect.password.as_deref());
    match access.admit(peer, name, password).await {
        Ok(identity) => Ok(identity),
        Err(Denied::Anonymous) => Err(Refusal::NotAuthorized),
        Err(Denied::Credentials) => {
            // From the CONNECT on, so that the answer does not tell how long the check took.
            time::sleep_until(asked_at + failed_login_delay()).await;
            Err(Refusal::Credentials)
        }
    }
}
