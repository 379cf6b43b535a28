//! What a client may do, also after users and ACL were read anew.

use std::sync::Arc;

use tokio::sync::watch;

use crate::access::{Access, Grants, Identity};

/// A client's grants, and word of when they have to be asked for again.
pub(super) struct Rights {
    identity: Identity,
    client_id: Arc<str>,
    grants: Grants,
    changes: watch::Receiver<u64>,
}

impl Rights {
    /// `None` if the client may not stay after all.
    pub(super) fn of(identity: Identity, client_id: &Arc<str>, access: &Access) -> Option<Self> {
        // Before the grants are asked for, so that no change falls between.
        let changes = access.changes();
        let grants = access.grants(&identity, client_id)?;
        Some(Self {
            identity,
            client_id: Arc::clone(client_id),
            grants,
            changes,
        })
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Whose session it is.
    pub(super) fn user(&self) -> Option<Arc<str>> {
        self.identity.name().map(Into::into)
    }

    /// Whether users or ACL were read anew.
    pub(super) fn have_changed(&self) -> bool {
        self.changes.has_changed().unwrap_or(false)
    }

    /// Waits until users or ACL were read anew. Cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks for the grants again; false if the client may not stay.
    pub(super) fn renew(&mut self, access: &Access) -> bool {
        self.changes.mark_unchanged();
        match access.grants(&self.identity, &self.client_id) {
            Some(grants) => {
                self.grants = grants;
                true
            }
            None => false,
        }
    }
}
