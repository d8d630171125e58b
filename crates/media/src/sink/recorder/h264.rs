//! The H.264 encoder: planes in, one coded picture in MP4's form out.

use std::time::Duration;

use laterna_pipeline::Size;
use openh264::encoder::{
    BitRate, Encoder as OpenH264, EncoderConfig, FrameRate, FrameType, QpRange, RateControlMode,
    TransferCharacteristics, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};

use super::Rate;
use super::boxes::ParameterSets;
use crate::sink::yuv::Planes;

/// What the encoder's rate control reckons with before it has seen times, and
/// what it chooses a level for: pictures come when they come.
const FRAMES_A_SECOND: f32 = 30.0;

/// The encoder's bounds of a quantizer in its own rate control.
pub(super) const QUANTIZERS: std::ops::RangeInclusive<u8> = 12..=51;

/// Bounds of bits a second that the encoder takes.
const BITS: std::ops::RangeInclusive<u32> = 10_000..=100_000_000;

pub(super) struct Encoder {
    encoder: OpenH264,
    began: bool,
    /// Of the newest picture that can be decoded alone.
    sets: ParameterSets,
}

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coded {
    /// It can be decoded without those before.
    Alone,
    /// It says what changed since the one before.
    Change,
    /// It did not fit into the bits that are allowed.
    LeftOut,
}

/// Whether the encoder takes pictures of this size.
pub(super) fn takes(size: Size) -> bool {
    let (longer, shorter) = (size.width.max(size.height), size.width.min(size.height));
    shorter >= 16 && longer <= 3840 && shorter <= 2160
}

impl Encoder {
    pub(super) fn new(rate: Rate) -> Result<Self, openh264::Error> {
        let encoder = OpenH264::with_api_config(OpenH264API::from_source(), config(rate))?;
        Ok(Self { encoder, began: false, sets: ParameterSets::default() })
    }

    /// Replaces what is in `out` with one coded picture, its parts preceded by
    /// their lengths, and says what it is. `alone` asks for one that can be decoded
    /// alone. The planes have even sides.
    pub(super) fn encode(
        &mut self,
        planes: &Planes,
        time: Duration,
        alone: bool,
        out: &mut Vec<u8>,
    ) -> Result<Coded, openh264::Error> {
        if alone && self.began {
            self.encoder.force_intra_frame();
        }
        let Size { width, height } = planes.size();
        let [y, u, v] = planes.planes();
        let source = YUVSlices::new((y, u, v), (width, height), (width, width / 2, width / 2));
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i64::MAX as u64);
        let coded = self.encoder.encode_at(&source, Timestamp::from_millis(ms))?;
        self.began = true;
        out.clear();
        for layer in (0..coded.num_layers()).filter_map(|i| coded.layer(i)) {
            let units = (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i));
            units.for_each(|unit| take(unit, &mut self.sets, out));
        }
        Ok(match coded.frame_type() {
            _ if out.is_empty() => Coded::LeftOut,
            FrameType::IDR => Coded::Alone,
            _ => Coded::Change,
        })
    }

    /// What the pictures so far need to be decoded.
    pub(super) fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }
}

fn config(rate: Rate) -> EncoderConfig {
    let config = EncoderConfig::new()
        .vui(VuiConfig::bt709().transfer_characteristics(TransferCharacteristics::Srgb))
        .max_frame_rate(FrameRate::from_hz(FRAMES_A_SECOND))
        .usage_type(UsageType::CameraVideoRealTime)
        // The same pictures give the same bytes.
        .num_threads(1)
        // They change pixels that did not change before.
        .background_detection(false)
        .adaptive_quantization(false);
    match rate {
        Rate::Quality { quantizer } => {
            let quantizer = quantizer.clamp(*QUANTIZERS.start(), *QUANTIZERS.end());
            config
                // Of the modes that leave no picture out the only one that
                // keeps to a quantizer.
                .rate_control_mode(RateControlMode::Bufferbased)
                .skip_frames(false)
                .qp(QpRange::new(quantizer, quantizer))
                .bitrate(BitRate::from_bps(*BITS.end()))
        }
        Rate::Bits { per_second } => config
            .rate_control_mode(RateControlMode::Timestamp)
            .skip_frames(true)
            .bitrate(BitRate::from_bps(per_second.clamp(*BITS.start(), *BITS.end()))),
    }
}

/// Sorts one unit of the bytestream: parameter sets are kept, the rest goes into
/// the sample with its length.
fn take(unit: &[u8], sets: &mut ParameterSets, out: &mut Vec<u8>) {
    let body = without_start_code(unit);
    // The unit's type; 7 and 8 are the sequence's and the picture's parameters.
    match body.first().map(|header| header & 0x1f) {
        None => {}
        Some(7) => body.clone_into(&mut sets.sequence),
        Some(8) => body.clone_into(&mut sets.picture),
        Some(_) => {
            out.extend_from_slice(&(body.len() as u32).to_be_bytes());
            out.extend_from_slice(body);
        }
    }
}

fn without_start_code(unit: &[u8]) -> &[u8] {
    let codes: [&[u8]; 2] = [&[0, 0, 0, 1], &[0, 0, 1]];
    codes.iter().find_map(|code| unit.strip_prefix(*code)).unwrap_or(unit)
}
