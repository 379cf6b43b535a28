//! Whether a client may stay: its password, its client id, its will.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};

use super::close::publish_will;
use super::rights::Rights;
use super::{Caller, Connection};
use crate::access::{Access, Denied, Identity, failed_login_delay};
use crate::broker::Shared;
use crate::broker::acknowledge::Leave;
use crate::broker::connect::{Accepted, Admitted, Connect, Refusal};
use crate::broker::hub::{Arrival, Joined, Newcomer};
use crate::broker::intake::Intake;
use crate::broker::wire::{End, Wire};
use crate::clock;
use crate::domain::topic::TopicName;
use crate::ingest::Submission;

/// Who takes over a client id waits so long for the last word of the former connection, and so long if there is a
/// session to be taken up.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(2);
const SESSION_TAKEOVER_TIMEOUT: Duration = Duration::from_secs(15);

/// Greets a client that may stay, with its will, and sends away one that may not.
pub(super) async fn admit<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut wire: Wire<R, W>,
    connect: Connect,
    caller: Caller,
    shared: Arc<Shared>,
) -> Option<Box<Connection<R, W>>> {
    let (peer, keep_alive) = (caller.address, connect.keep_alive);
    let refusal = match judge(connect, caller, &shared).await {
        Ok((admitted, rights)) => match take_place(&admitted, &rights, &shared).await {
            Ok((arrival, leave)) => {
                let keep_alive = shared.keep_alive(keep_alive);
                greet(&mut wire, &admitted, &arrival, keep_alive, &shared, leave);
                let is_told = !wire.protocol.out.is_empty();
                let will = admitted.will.filter(|_| is_told);
                let client_id = Arc::clone(&arrival.member.client_id);
                let connection = Connection::new(
                    wire,
                    shared,
                    (arrival.member, peer),
                    rights,
                    will,
                    keep_alive,
                );
                if !is_told {
                    tracing::info!(%peer, "client refused: its Maximum Packet Size leaves no room for CONNACK");
                    Box::new(connection).close(End::Lost).await;
                    return None;
                }
                tracing::debug!(%peer, %client_id, "client connected");
                return Some(Box::new(connection));
            }
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    let refused = &shared.metrics.mqtt_refused;
    refused.with_label_values(&[refusal.label()]).inc();
    if let Some(limit) = refusal.limit() {
        shared.metrics.limited(limit);
    }
    tracing::info!(%peer, ?refusal, "client refused");
    wire.protocol.refuse(refusal);
    wire.flush_and_close().await;
    None
}

fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    wire: &mut Wire<R, W>,
    admitted: &Admitted,
    arrival: &Arrival,
    keep_alive: u16,
    shared: &Shared,
    leave: Leave,
) {
    let expiry = arrival.member.expiry;
    let accepted = Accepted {
        client_id: &admitted.client_id,
        is_session_present: arrival.is_present,
        session_expiry: (expiry != admitted.session_expiry).then_some(expiry),
        keep_alive: (keep_alive != admitted.keep_alive).then_some(keep_alive),
        max_packet: shared.max_packet,
    };
    wire.protocol.accept(&accepted, leave);
}

/// Takes the client's place in the hub, and has what is to be stored of that on disk.
async fn take_place(
    admitted: &Admitted,
    rights: &Rights,
    shared: &Shared,
) -> Result<(Arrival, Leave), Refusal> {
    let newcomer = Newcomer {
        client_id: Arc::clone(&admitted.client_id.text),
        user: rights.user(),
        is_clean: admitted.is_clean,
        expiry: shared.session_expiry(admitted.session_expiry),
        will: admitted.will.clone(),
    };
    let mut arrival = join(&newcomer, shared).await?;
    if let Some(will) = arrival.last_will.take() {
        publish_will(shared, &newcomer.client_id, will).await;
    }
    if arrival.changes.is_empty() {
        return Ok((arrival, Leave::NothingStored));
    }
    let mut submission = Submission::of_changes(std::mem::take(&mut arrival.changes));
    let mut receipt = submission.receipt();
    let handed_over = shared.submissions.submit(submission).await;
    handed_over.map_err(|_| Refusal::Busy)?;
    let committed = receipt.committed().await.map_err(|_| Refusal::Busy)?;
    Ok((arrival, committed.into()))
}

/// A connection that has the client id is told to go, and its last word waited for: its will is about the past, and must
/// not come after what the newcomer says. One that is stuck loses its place, unless its session is to be taken up.
async fn join(newcomer: &Newcomer, shared: &Shared) -> Result<Arrival, Refusal> {
    let started = Instant::now();
    let mut forced = None;
    loop {
        let (session, former) = match shared.hub.join(newcomer, forced) {
            Joined::In(arrival) => return Ok(*arrival),
            Joined::TooMany => return Err(Refusal::TooManySessions),
            Joined::Occupied(session, former) => (session, former),
        };
        let gone = former.gone();
        former.take_over();
        let patience = if former.is_stored() {
            SESSION_TAKEOVER_TIMEOUT
        } else {
            TAKEOVER_TIMEOUT
        };
        if time::timeout_at(started + patience, gone.cancelled())
            .await
            .is_err()
        {
            if former.is_stored() || SESSION_TAKEOVER_TIMEOUT < started.elapsed() {
                return Err(Refusal::Busy);
            }
            forced = Some(session);
        }
        // Others may want the place, too: they get their turn.
        tokio::task::yield_now().await;
    }
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
    let says_who = connect.user_name.is_some() || connect.password.is_some();
    let known = caller.certified.or(caller.guest.filter(|_| !says_who));
    let identity = match known {
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
