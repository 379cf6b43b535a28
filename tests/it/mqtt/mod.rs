//! The broker keeps to MQTT 3.1.1 and 5, whatever a client sends: raw frames, one topic a file.

mod arrival;
mod bounds;
mod conformance_answers;
mod conformance_connect;
mod conformance_flow;
mod conformance_packets;
mod conformance_text;
mod connecting;
mod limits;
mod properties;
mod publish_rate;
mod quality;
mod readings;
mod retained;
mod shared;
mod subscriptions;
mod sys;
mod wills;

use crate::support::{Gateway, Site};

/// Runs `test` against a fresh gateway, which has to stop cleanly with nothing unexpected in its log.
fn serve(test: impl FnOnce(&Gateway<'_>)) {
    serve_at(&Site::new(), test);
}

fn serve_at(site: &Site, test: impl FnOnce(&Gateway<'_>)) {
    let gateway = site.start();
    test(&gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}
