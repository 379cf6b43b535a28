//! The end of a WebSocket: both sides say Close, whoever begins.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::Site;
use crate::support::frames::{self, BOTH, Connect, DISCONNECT, Publish, V5};
use crate::support::raw::Raw;
use crate::support::signal;
use crate::support::websocket::{closed, open_plain, receive, send};

#[test]
fn the_end_of_mqtt_is_a_close_frame() {
    let site = Site::new();
    let gateway = site.start();
    for version in BOTH {
        let mut socket = open_plain(&gateway);
        send(&mut socket, &Connect::new(version, "c").bytes());
        receive(&mut socket);
        send(&mut socket, &[DISCONNECT << 4, 0]);
        assert_eq!(closed(&mut socket).unwrap().code, CloseCode::Normal);
    }
    // Also where the gateway ends it: a second CONNECT, then a takeover.
    let mut socket = open_plain(&gateway);
    let connect = Connect::new(V5, "c").bytes();
    send(&mut socket, &connect.repeat(2));
    assert_eq!(closed(&mut socket).unwrap().code, CloseCode::Normal);
    let mut former = open_plain(&gateway);
    send(&mut former, &connect);
    receive(&mut former);
    let _newcomer = Raw::connect(&gateway, V5, "c");
    assert_eq!(receive(&mut former)[0] >> 4, DISCONNECT);
    assert_eq!(closed(&mut former).unwrap().code, CloseCode::Normal);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_client_that_closes_is_answered_and_its_will_is_published() {
    let site = Site::new();
    let gateway = site.start();
    let mut witness = Raw::connect(&gateway, V5, "witness");
    witness.subscribe("wills/#", 0);
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "the tab is closed".into(),
    };
    for version in BOTH {
        for frame in [None, Some(frame.clone())] {
            let mut socket = open_plain(&gateway);
            let mut connect = Connect::new(version, "c");
            connect.will = Some(Publish::new("wills/c", "gone"));
            send(&mut socket, &connect.bytes());
            receive(&mut socket);
            socket.close(frame.clone()).unwrap();
            assert_eq!(closed(&mut socket), frame);
            assert_eq!(witness.text(), "gone");
        }
    }
    // Before a CONNECT it is nobody's end.
    let mut socket = open_plain(&gateway);
    socket.close(None).unwrap();
    closed(&mut socket);
    // Who says DISCONNECT and Close in one breath has said goodbye.
    let mut socket = open_plain(&gateway);
    let mut connect = Connect::new(V5, "c");
    connect.will = Some(Publish::new("wills/c", "not due"));
    send(&mut socket, &connect.bytes());
    receive(&mut socket);
    send(&mut socket, &[DISCONNECT << 4, 0]);
    socket.close(None).unwrap();
    closed(&mut socket);
    assert!(witness.messages().is_empty());
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn at_a_stop_clients_are_told_that_the_gateway_goes_away() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = open_plain(&gateway);
    send(&mut socket, &Connect::new(V5, "c").bytes());
    receive(&mut socket);
    send(&mut socket, &frames::ping());
    receive(&mut socket);
    // Neither of these may keep the gateway from its end.
    let _no_connect = open_plain(&gateway);
    let _never_answers = {
        let mut socket = open_plain(&gateway);
        send(&mut socket, &Connect::new(V5, "mute").bytes());
        receive(&mut socket);
        socket
    };
    signal(gateway.pid(), "TERM");
    assert_eq!(receive(&mut socket)[..], [DISCONNECT << 4, 1, 0x8B]);
    assert_eq!(closed(&mut socket).unwrap().code, CloseCode::Away);
    assert_eq!(gateway.stop().code(), Some(0));
}
