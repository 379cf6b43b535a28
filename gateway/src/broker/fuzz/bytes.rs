//! The fields that MQTT packets are made of: how a client writes them.

/// A packet with its fixed header.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    varying(body.len(), &mut out);
    out.extend_from_slice(body);
    out
}

/// A variable byte integer (MQTT 5.0, section 1.5.5).
pub(super) fn varying(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Text or binary data with its length before it.
pub(super) fn data(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Properties of MQTT 5, as they are gathered.
#[derive(Default)]
pub(super) struct Properties(Vec<u8>);

impl Properties {
    pub(super) fn byte(&mut self, id: u8, value: u8) {
        self.0.extend([id, value]);
    }

    pub(super) fn two(&mut self, id: u8, value: u16) {
        self.0.push(id);
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn four(&mut self, id: u8, value: u32) {
        self.0.push(id);
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn varying(&mut self, id: u8, value: usize) {
        self.0.push(id);
        varying(value, &mut self.0);
    }

    pub(super) fn data(&mut self, id: u8, value: &[u8]) {
        self.0.push(id);
        data(value, &mut self.0);
    }

    pub(super) fn pair(&mut self, name: &str, value: &str) {
        self.data(0x26, name.as_bytes());
        data(value.as_bytes(), &mut self.0);
    }

    /// With their length before them; version 3.1.1 has none.
    pub(super) fn write(&self, is_v5: bool, out: &mut Vec<u8>) {
        if is_v5 {
            varying(self.0.len(), out);
            out.extend_from_slice(&self.0);
        }
    }
}
