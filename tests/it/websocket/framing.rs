//! MQTT packets in WebSocket frames (MQTT 5.0, section 6.0).

use std::io::Write;

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::support::Site;
use crate::support::frames::{self, BOTH, Connect, PINGRESP, Publish, V5, V311};
use crate::support::raw::Raw;
use crate::support::websocket::{closed, mqtt, open_plain, receive, send};

const PINGED: [u8; 2] = [PINGRESP << 4, 0];

#[test]
fn packets_may_span_frames_and_share_them() {
    let site = Site::new();
    let gateway = site.start();
    for version in BOTH {
        let mut one_by_one = open_plain(&gateway);
        for byte in Connect::new(version, "bytes").bytes() {
            send(&mut one_by_one, &[byte]);
            send(&mut one_by_one, &[]);
        }
        assert_eq!(receive(&mut one_by_one)[0] >> 4, frames::CONNACK);

        let mut packets = Connect::new(version, "together").bytes();
        for number in 1..=100 {
            let reading = Publish::new("sensors/s1", "1").qos(1, number);
            packets.extend(reading.bytes(version));
        }
        packets.extend(frames::ping());
        // The last packet ends in the next frame.
        let (first, second) = packets.split_at(packets.len() - 1);
        let mut together = mqtt(&gateway, version);
        together.send(first);
        together.send(second);
        assert_eq!(together.connack().0, 0);
        let answers = (0..=100).map(|_| together.receive().unwrap());
        let (pings, acks): (Vec<_>, Vec<_>) = answers.partition(|it| it.kind() == PINGRESP);
        let ids = acks.iter().map(|ack| ack.acknowledged(version).0);
        assert!(ids.eq(1..=100), "{acks:?}");
        assert_eq!(pings.len(), 1);
    }
    let stored: i64 = site.sql("SELECT count(*) FROM readings WHERE sensor_id = 's1'");
    assert_eq!(stored, 200);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_message_may_come_in_fragments_with_a_ping_between_them() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = open_plain(&gateway);
    let connect = Connect::new(V5, "fragments").bytes();
    let mut fragment = |bytes: &[u8], opcode, is_final| {
        let frame = Frame::message(bytes.to_vec(), OpCode::Data(opcode), is_final);
        socket.send(Message::Frame(frame)).unwrap();
    };
    fragment(&connect[..5], Data::Binary, false);
    fragment(&connect[5..], Data::Continue, false);
    socket.send(Message::Ping("still here?".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("still here?".into()));
    let last = Frame::message(frames::ping(), OpCode::Data(Data::Continue), true);
    socket.send(Message::Frame(last)).unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(&PINGED) {
        answers.extend(receive(&mut socket));
    }
    assert_eq!(answers[0] >> 4, frames::CONNACK);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn what_one_turn_answers_is_one_frame() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = open_plain(&gateway);
    send(&mut socket, &Connect::new(V311, "c").bytes());
    receive(&mut socket);
    send(
        &mut socket,
        &[frames::ping(), frames::ping(), frames::ping()].concat(),
    );
    assert_eq!(receive(&mut socket), PINGED.repeat(3));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn pings_are_answered_before_and_after_the_connect() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = open_plain(&gateway);
    for text in ["before", "after"] {
        socket.send(Message::Ping(text.into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(text.into()));
        // One that nobody asked for means nothing.
        socket.send(Message::Pong(text.into())).unwrap();
        if text == "before" {
            send(&mut socket, &Connect::new(V5, "c").bytes());
            receive(&mut socket);
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn frames_that_are_not_binary_or_not_right_end_the_connection_with_their_code() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_PACKET", "1KiB");
    let gateway = site.start();
    let mut witness = Raw::connect(&gateway, V5, "witness");
    witness.subscribe("wills/#", 0);
    let too_long = vec![0; 100_000];
    let masked = |opcode, is_final, bytes: &[u8]| {
        let mut frame = Frame::message(bytes.to_vec(), opcode, is_final);
        frame.header_mut().mask = Some([1, 2, 3, 4]);
        let mut written = Vec::new();
        // Masks the payload as well.
        frame.format(&mut written).unwrap();
        written
    };
    let (text, binary) = (OpCode::Data(Data::Text), OpCode::Data(Data::Binary));
    let announced = {
        let mut written = Vec::new();
        let header = FrameHeader {
            opcode: binary,
            mask: Some([1, 2, 3, 4]),
            ..FrameHeader::default()
        };
        header.format(1 << 62, &mut written).unwrap();
        written
    };
    for (bytes, code) in [
        (masked(text, true, b"hello"), CloseCode::Unsupported),
        (masked(text, true, b"\xff"), CloseCode::Invalid),
        (masked(binary, true, &too_long), CloseCode::Size),
        (announced, CloseCode::Size),
        (
            masked(OpCode::Data(Data::Reserved(3)), true, b""),
            CloseCode::Protocol,
        ),
        (
            masked(OpCode::Data(Data::Continue), true, b"x"),
            CloseCode::Protocol,
        ),
        // Without a mask.
        (vec![0x82, 1, 0], CloseCode::Protocol),
    ] {
        for is_connected in [false, true] {
            let mut socket = open_plain(&gateway);
            if is_connected {
                let mut connect = Connect::new(V5, "c");
                connect.will = Some(Publish::new("wills/c", "gone"));
                send(&mut socket, &connect.bytes());
                receive(&mut socket);
            }
            socket.get_mut().write_all(&bytes).unwrap();
            let frame = closed(&mut socket).expect("a code");
            assert_eq!(frame.code, code, "{:?}", &bytes[..2]);
            if is_connected {
                assert_eq!(witness.text(), "gone");
            }
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_packet_that_is_too_long_is_refused_by_mqtt() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_PACKET", "1KiB");
    let gateway = site.start();
    for version in BOTH {
        let mut client = mqtt(&gateway, version).let_in(&Connect::new(version, "c"));
        client.send(&Publish::new("a", vec![0; 2000]).bytes(version));
        client.is_dismissed(0x95);
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_client_that_reads_late_gets_everything_and_asking_meanwhile_costs_nothing() {
    let site = Site::new();
    let gateway = site.start();
    let payload = |number: u8| vec![b'a' + number; 100_000];
    let mut reader = open_plain(&gateway);
    send(&mut reader, &Connect::new(V311, "reader").bytes());
    receive(&mut reader);
    send(
        &mut reader,
        &frames::subscribe(V311, 1, &[("pictures/#", 0)], &[]),
    );
    receive(&mut reader);
    let mut writer = Raw::connect(&gateway, V5, "writer");
    for number in 0..20 {
        let picture = Publish::new("pictures/1", payload(number)).qos(1, 1);
        assert_eq!(writer.publish(picture), 0);
        for _ in 0..100 {
            reader.write(Message::Ping("?".into())).unwrap();
        }
        reader.flush().unwrap();
    }
    let expected: Vec<u8> = (0..20)
        .flat_map(|number| Publish::new("pictures/1", payload(number)).bytes(V311))
        .collect();
    let (mut got, mut pongs) = (Vec::new(), 0);
    while got.len() < expected.len() || pongs == 0 {
        match reader.read().unwrap() {
            Message::Binary(bytes) => {
                assert!(bytes.len() <= 64 << 10, "{}", bytes.len());
                got.extend(bytes);
            }
            Message::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(got == expected);
    assert_eq!(gateway.stop().code(), Some(0));
}
