//! The encoding of protocol buffers, as far as Core ML's messages need it: a
//! message is its fields one after another, each behind a tag
//! (protobuf.dev/programming-guides/encoding).

/// A message being written. Default values are written by those who need them:
/// a repeated or optional field differs from an absent one.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

const VARINT: u64 = 0;
const LENGTH: u64 = 2;

impl Message {
    /// A message with these fields.
    pub fn of(fields: impl FnOnce(&mut Self)) -> Self {
        let mut message = Self::default();
        fields(&mut message);
        message
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn uint(&mut self, field: u64, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    pub fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub fn bytes(&mut self, field: u64, value: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub fn message(&mut self, field: u64, fields: impl FnOnce(&mut Self)) {
        self.bytes(field, &Self::of(fields).bytes);
    }

    /// An entry of a map with text keys.
    pub fn entry(&mut self, field: u64, key: &str, value: impl FnOnce(&mut Self)) {
        self.message(field, |entry| {
            entry.text(1, key);
            entry.message(2, value);
        });
    }

    /// An entry of a map from text to text.
    pub fn entry_text(&mut self, field: u64, key: &str, value: &str) {
        self.message(field, |entry| {
            entry.text(1, key);
            entry.text(2, value);
        });
    }

    /// Repeated integers; negative ones take ten bytes, as the encoding wants.
    pub fn packed_ints(&mut self, field: u64, values: impl IntoIterator<Item = i64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value as u64));
        self.bytes(field, &packed.bytes);
    }

    pub fn packed_floats(&mut self, field: u64, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &bytes);
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding's own page.
    #[test]
    fn the_published_examples() {
        let bytes = |fields: fn(&mut Message)| Message::of(fields).into_bytes();
        assert_eq!(bytes(|m| m.uint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(|m| m.text(2, "testing")), b"\x12\x07testing");
        assert_eq!(bytes(|m| m.message(3, |m| m.uint(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let packed = bytes(|m| m.packed_ints(6, [3, 270, 86942]));
        assert_eq!(packed, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        let minus_two = bytes(|m| m.packed_ints(1, [-2]));
        assert_eq!(minus_two[2..], [0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
