//! The head of a recording's file.

pub(super) const HEADER_BYTES: u64 = 44;
/// Two channels of 16 bits.
pub(super) const FRAME_BYTES: u64 = 4;

/// The RIFF header of a canonical PCM WAV file (Microsoft/IBM "Multimedia Programming Interface", 1991).
pub(super) fn header(rate: u32, frames: u64) -> [u8; HEADER_BYTES as usize] {
    // The format counts in 32 bits: beyond 12 hours at 24 kHz a file's tail is there, but not announced.
    let data = u32::try_from(frames * FRAME_BYTES).unwrap_or(u32::MAX - 36 - 3);
    let mut header = [0_u8; HEADER_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RIFF");
    put(4, &(36 + data).to_le_bytes());
    put(8, b"WAVEfmt ");
    put(16, &16_u32.to_le_bytes());
    put(20, &1_u16.to_le_bytes());
    put(22, &2_u16.to_le_bytes());
    put(24, &rate.to_le_bytes());
    put(28, &(rate * 4).to_le_bytes());
    put(32, &4_u16.to_le_bytes());
    put(34, &16_u16.to_le_bytes());
    put(36, b"data");
    put(40, &data.to_le_bytes());
    header
}
