//! OSC 1.0 packets (opensoundcontrol.org): messages, and bundles of them, whose
//! times are passed over as everything here happens at once.

use thiserror::Error;

/// Bundles in bundles.
const MOST_DEPTH: usize = 4;

/// Messages of one packet.
const MOST_MESSAGES: usize = 256;

/// Arguments of one message.
const MOST_ARGUMENTS: usize = 32;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message<'a> {
    pub(super) address: &'a str,
    pub(super) arguments: Vec<Argument<'a>>,
}

/// A value of a kind that something here takes, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Argument<'a> {
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bool(bool),
    Other,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum PacketError {
    #[error("it ends too early")]
    Short,
    #[error("a text is no UTF-8")]
    Text,
    #[error("it is neither a message nor a bundle")]
    Kind,
    #[error("an argument is of the unknown type {0:#04x}")]
    Type(u8),
    #[error("it holds too much")]
    TooMuch,
}

/// The messages of a packet in their order.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Message<'_>>, PacketError> {
    let mut messages = Vec::new();
    element(bytes, 0, &mut messages)?;
    Ok(messages)
}

fn element<'a>(
    bytes: &'a [u8],
    depth: usize,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), PacketError> {
    if depth > MOST_DEPTH || messages.len() >= MOST_MESSAGES {
        return Err(PacketError::TooMuch);
    }
    let mut rest = Rest(bytes);
    match bytes.first() {
        Some(b'/') => {
            messages.push(message(&mut rest)?);
            Ok(())
        }
        Some(b'#') => bundle(&mut rest, depth, messages),
        _ => Err(PacketError::Kind),
    }
}

fn bundle<'a>(
    rest: &mut Rest<'a>,
    depth: usize,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), PacketError> {
    if rest.text()? != "#bundle" {
        return Err(PacketError::Kind);
    }
    rest.bytes(8)?;
    while !rest.0.is_empty() {
        let length = u32::from_be_bytes(rest.array()?);
        let length = usize::try_from(length).map_err(|_| PacketError::Short)?;
        element(rest.bytes(length)?, depth + 1, messages)?;
    }
    Ok(())
}

fn message<'a>(rest: &mut Rest<'a>) -> Result<Message<'a>, PacketError> {
    let address = rest.text()?;
    // Some old senders leave the types out where there are no arguments.
    let types = if rest.0.is_empty() { "," } else { rest.text()? };
    let types = types.strip_prefix(',').ok_or(PacketError::Kind)?;
    if types.len() > MOST_ARGUMENTS {
        return Err(PacketError::TooMuch);
    }
    let arguments = types.bytes().map(|kind| argument(kind, rest)).collect::<Result<_, _>>()?;
    Ok(Message { address, arguments })
}

fn argument<'a>(kind: u8, rest: &mut Rest<'a>) -> Result<Argument<'a>, PacketError> {
    Ok(match kind {
        b'i' => Argument::Int(i32::from_be_bytes(rest.array()?).into()),
        b'h' => Argument::Int(i64::from_be_bytes(rest.array()?)),
        b'f' => Argument::Float(f32::from_be_bytes(rest.array()?).into()),
        b'd' => Argument::Float(f64::from_be_bytes(rest.array()?)),
        b's' | b'S' => Argument::Text(rest.text()?),
        b'T' => Argument::Bool(true),
        b'F' => Argument::Bool(false),
        b'N' | b'I' | b'[' | b']' => Argument::Other,
        b'c' | b'r' | b'm' => rest.bytes(4).map(|_| Argument::Other)?,
        b't' => rest.bytes(8).map(|_| Argument::Other)?,
        b'b' => {
            let length = u32::from_be_bytes(rest.array()?);
            let length = usize::try_from(length).map_err(|_| PacketError::Short)?;
            rest.padded(length).map(|_| Argument::Other)?
        }
        other => return Err(PacketError::Type(other)),
    })
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], PacketError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(PacketError::Short)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(PacketError::Short)?;
        self.0 = tail;
        Ok(*head)
    }

    /// `length` bytes, after which everything goes on at a multiple of four.
    fn padded(&mut self, length: usize) -> Result<&'a [u8], PacketError> {
        let padded = length.checked_next_multiple_of(4).ok_or(PacketError::Short)?;
        self.bytes(padded).map(|bytes| &bytes[..length])
    }

    /// A text with at least one zero byte after it.
    fn text(&mut self) -> Result<&'a str, PacketError> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or(PacketError::Short)?;
        let bytes = self.padded(end + 1)?;
        str::from_utf8(&bytes[..end]).map_err(|_| PacketError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes with zeros after each text up to a multiple of four.
    fn text(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((text.len() + 1).next_multiple_of(4), 0);
        bytes
    }

    fn strength() -> Vec<u8> {
        [text("/laterna/strength"), text(",f"), 0.5f32.to_be_bytes().to_vec()].concat()
    }

    fn bundle(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = [text("#bundle"), vec![0; 8]].concat();
        for element in elements {
            bytes.extend((element.len() as u32).to_be_bytes());
            bytes.extend(element);
        }
        bytes
    }

    #[test]
    fn a_message_is_read() {
        let arguments = vec![Argument::Float(0.5)];
        let expected = Message { address: "/laterna/strength", arguments };
        assert_eq!(parse(&strength()), Ok(vec![expected]));
        let bytes = [
            text("/a"),
            text(",ishTFb"),
            7i32.to_be_bytes().to_vec(),
            text("four"),
            (-1i64).to_be_bytes().to_vec(),
            vec![0, 0, 0, 2, 9, 9, 0, 0],
        ]
        .concat();
        assert_eq!(
            parse(&bytes).unwrap()[0].arguments,
            [
                Argument::Int(7),
                Argument::Text("four"),
                Argument::Int(-1),
                Argument::Bool(true),
                Argument::Bool(false),
                Argument::Other,
            ]
        );
        assert_eq!(parse(b"/a\0\0").unwrap()[0].arguments, []);
    }

    #[test]
    fn bundles_are_opened_so_deep_and_no_deeper() {
        let twice = bundle(&[strength(), bundle(&[strength()])]);
        assert_eq!(parse(&twice).unwrap().len(), 2);
        let deep = (0..9).fold(strength(), |inner, _| bundle(&[inner]));
        assert_eq!(parse(&deep), Err(PacketError::TooMuch));
        let many = bundle(&vec![strength(); MOST_MESSAGES + 1]);
        assert_eq!(parse(&many), Err(PacketError::TooMuch));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = bundle(&[strength()]);
        // A bundle of nothing is whole too.
        for length in (0..whole.len()).filter(|&length| length != 16) {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        let huge = [text("#bundle"), vec![0; 8], vec![0xFF; 4]].concat();
        assert_eq!(parse(&huge), Err(PacketError::Short));
        let blob = [text("/a"), text(",b"), vec![0xFF; 4]].concat();
        assert_eq!(parse(&blob), Err(PacketError::Short));
        assert_eq!(parse(b"/\xFF\0\0,\0\0\0"), Err(PacketError::Text));
        assert_eq!(parse(b"/a\0\0,x\0\0"), Err(PacketError::Type(b'x')));
    }
}
