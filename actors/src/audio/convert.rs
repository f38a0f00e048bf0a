//! Between the carrier's PCM and the engine's format, one converter per direction of a call.

use bytes::Bytes;

use super::g711;
use super::resample::Resampler;
use crate::ports::EngineAudio;

/// Carrier PCM to engine bytes.
pub struct ToEngine {
    format: EngineAudio,
    resampler: Option<Resampler>,
    scratch: Vec<u8>,
}

/// Engine bytes to carrier PCM.
pub struct FromEngine {
    format: EngineAudio,
    resampler: Option<Resampler>,
    scratch: Vec<u8>,
}

fn engine_rate(format: EngineAudio) -> u32 {
    match format {
        EngineAudio::Pcm24 => 24_000,
        EngineAudio::ALaw | EngineAudio::MuLaw => 8_000,
    }
}

impl ToEngine {
    /// For a carrier stream of `rate` samples a second.
    #[must_use]
    pub fn new(rate: u32, format: EngineAudio) -> Self {
        Self { format, resampler: Resampler::new(rate, engine_rate(format)), scratch: Vec::new() }
    }

    /// PCM16 little-endian in, engine bytes out.
    pub fn convert(&mut self, pcm: &Bytes) -> Bytes {
        let source: &[u8] = match &mut self.resampler {
            Some(resampler) => {
                self.scratch.clear();
                resampler.process(pcm, &mut self.scratch);
                &self.scratch
            }
            None if self.format == EngineAudio::Pcm24 => return pcm.clone(),
            None => pcm,
        };
        let mut out = Vec::with_capacity(source.len());
        match self.format {
            EngineAudio::Pcm24 => out.extend_from_slice(source),
            EngineAudio::ALaw => g711::a_law_encode(source, &mut out),
            EngineAudio::MuLaw => g711::mu_law_encode(source, &mut out),
        }
        out.into()
    }
}

impl FromEngine {
    /// For a carrier stream of `rate` samples a second.
    #[must_use]
    pub fn new(rate: u32, format: EngineAudio) -> Self {
        Self { format, resampler: Resampler::new(engine_rate(format), rate), scratch: Vec::new() }
    }

    /// Engine bytes in, PCM16 little-endian at the carrier's rate out. An odd last byte of PCM is dropped.
    pub fn convert(&mut self, bytes: &Bytes) -> Bytes {
        let mut linear = Vec::new();
        let source: &[u8] = match self.format {
            EngineAudio::Pcm24 => &bytes[..bytes.len() & !1],
            EngineAudio::ALaw => {
                g711::a_law_decode(bytes, &mut linear);
                &linear
            }
            EngineAudio::MuLaw => {
                g711::mu_law_decode(bytes, &mut linear);
                &linear
            }
        };
        match &mut self.resampler {
            Some(resampler) => {
                self.scratch.clear();
                resampler.process(source, &mut self.scratch);
                Bytes::copy_from_slice(&self.scratch)
            }
            None if self.format == EngineAudio::Pcm24 => bytes.slice(..bytes.len() & !1),
            None => linear.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_a_law_line_passes_through_unchanged() {
        let codes: Vec<u8> = (0..=255).collect();
        let mut pcm = Vec::new();
        g711::a_law_decode(&codes, &mut pcm);
        let to = ToEngine::new(8000, EngineAudio::ALaw).convert(&pcm.clone().into());
        assert_eq!(&to[..], &codes[..]);
        assert_eq!(&FromEngine::new(8000, EngineAudio::ALaw).convert(&to)[..], &pcm[..]);
    }

    #[test]
    fn every_pair_of_formats_keeps_the_duration() {
        for rate in [8000u32, 16000, 24000] {
            for format in [EngineAudio::Pcm24, EngineAudio::ALaw, EngineAudio::MuLaw] {
                let second = Bytes::from(vec![0u8; rate as usize * 2]);
                let engine = ToEngine::new(rate, format).convert(&second);
                assert_eq!(engine.len(), format.bytes_per_ms() * 1000, "{rate} Hz to {format:?}");
                let back = FromEngine::new(rate, format).convert(&engine);
                assert_eq!(back.len(), second.len(), "{format:?} to {rate} Hz");
            }
        }
    }
}
