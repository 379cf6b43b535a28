//! What a client is owed while it is away is kept: over a broken connection, and over the end of the gateway.

mod ended;
mod killed;
mod resumed;
mod retained;
mod shared;
mod wills;

use crate::support::frames::{Connect, V5, disconnect};
use crate::support::properties::{Property, SESSION_EXPIRY};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site};

/// A client that wants its session kept: `clean_session = 0`, or an hour of MQTT 5.
fn keeper(version: u8, client_id: &str) -> Connect<'_> {
    let connect = Connect {
        is_clean: false,
        ..Connect::new(version, client_id)
    };
    match version {
        V5 => connect.with(expiry(3600)),
        _ => connect,
    }
}

fn expiry(seconds: u32) -> Property {
    Property::Four(SESSION_EXPIRY, seconds)
}

/// Says goodbye and waits until the gateway has taken note of it.
fn leave(mut client: Raw) {
    client.send(&disconnect());
    assert_eq!(client.rest(), []);
}

/// Runs `test` against a fresh gateway, which has to stop cleanly.
fn serve(test: impl FnOnce(&Gateway<'_>)) {
    let site = Site::new();
    let gateway = site.start();
    test(&gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}
