//! What is owed, as it was read.

use std::sync::Arc;

use crate::domain::{
    message::{Delivery, Message, Will},
    subscription::{Interest, SubscriptionOptions},
    timestamp::Timestamp,
    topic::TopicName,
};

/// A session as it was stored.
#[derive(Debug)]
pub struct StoredSession {
    pub session: i64,
    pub client_id: Arc<str>,
    pub user: Option<Arc<str>>,
    pub expiry: u32,
    /// `None`: it was connected when the gateway ended.
    pub left_at: Option<Timestamp>,
    pub sent_upto: u64,
    pub will: Option<Will>,
    pub subscriptions: Vec<StoredSubscription>,
    /// In their order; the flag: the client has it, PUBREL is to go out.
    pub queued: Vec<(u64, bool, Delivery)>,
    pub exchanges: Vec<u16>,
}

/// A subscription as it was stored.
#[derive(Debug)]
pub struct StoredSubscription {
    pub interest: Interest,
    pub options: SubscriptionOptions,
    pub retained: StoredRetained,
}

/// Which retained messages of a subscription are still to be sent.
#[derive(Debug)]
pub enum StoredRetained {
    None,
    All,
    After(TopicName),
}

/// All that is owed to clients that are away.
#[derive(Debug, Default)]
pub struct BrokerState {
    pub sessions: Vec<StoredSession>,
    pub retained: Vec<Message>,
}
