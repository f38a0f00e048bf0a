//! G.711 A-law and µ-law (ITU-T G.711), by table. One byte is one sample at 8 kHz.

const A_LAW: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = a_law_value(code as u8);
        code += 1;
    }
    table
};

const MU_LAW: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = mu_law_value(code as u8);
        code += 1;
    }
    table
};

const fn a_law_value(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code & 0x70) >> 4;
    let mantissa = ((code & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

const fn mu_law_value(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((((code & 0x0f) as i16) << 3) + 0x84) << ((code & 0x70) >> 4);
    if code & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

const fn a_law_code(sample: i16) -> u8 {
    let (value, mask) = if sample >= 0 { (sample >> 3, 0xd5u8) } else { (!(sample) >> 3, 0x55u8) };
    // The segment is the position of the highest bit above the fifth.
    let segment = (16 - (value as u16 | 0x1f).leading_zeros()).saturating_sub(5) as i16;
    if segment >= 8 {
        return 0x7f ^ mask;
    }
    let shift = if segment < 2 { 1 } else { segment };
    (((segment << 4) | ((value >> shift) & 0x0f)) as u8) ^ mask
}

const fn mu_law_code(sample: i16) -> u8 {
    let (magnitude, mask) = if sample >= 0 { (sample as i32, 0xffu8) } else { (-(sample as i32), 0x7fu8) };
    let clipped = if magnitude >> 2 > 8159 { 8159 } else { magnitude >> 2 };
    let value = clipped + 33;
    let segment = (32 - (value as u32 | 0x3f).leading_zeros()).saturating_sub(6) as i32;
    if segment >= 8 {
        return 0x7f ^ mask;
    }
    (((segment << 4) | ((value >> (segment + 1)) & 0x0f)) as u8) ^ mask
}

fn samples(pcm: &[u8]) -> impl Iterator<Item = i16> + '_ {
    pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
}

/// Encodes PCM16 little-endian bytes to A-law, appended to `out`.
pub fn a_law_encode(pcm: &[u8], out: &mut Vec<u8>) {
    out.extend(samples(pcm).map(a_law_code));
}

/// Decodes A-law to PCM16 little-endian bytes, appended to `out`.
pub fn a_law_decode(codes: &[u8], out: &mut Vec<u8>) {
    out.extend(codes.iter().flat_map(|&code| A_LAW[usize::from(code)].to_le_bytes()));
}

/// Encodes PCM16 little-endian bytes to µ-law, appended to `out`.
pub fn mu_law_encode(pcm: &[u8], out: &mut Vec<u8>) {
    out.extend(samples(pcm).map(mu_law_code));
}

/// Decodes µ-law to PCM16 little-endian bytes, appended to `out`.
pub fn mu_law_decode(codes: &[u8], out: &mut Vec<u8>) {
    out.extend(codes.iter().flat_map(|&code| MU_LAW[usize::from(code)].to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_that_was_a_law_goes_back_to_a_law_without_loss() {
        for code in 0..=255u8 {
            assert_eq!(a_law_code(a_law_value(code)), code, "code {code:#x}");
        }
    }

    #[test]
    fn audio_that_was_mu_law_goes_back_but_for_the_second_zero() {
        for code in 0..=255u8 {
            let back = mu_law_code(mu_law_value(code));
            assert!(back == code || (code == 0x7f && back == 0xff), "code {code:#x} became {back:#x}");
        }
    }

    #[test]
    fn the_error_is_that_of_the_segment() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs();
            let a = i32::from(a_law_value(a_law_code(sample)));
            let mu = i32::from(mu_law_value(mu_law_code(sample)));
            assert!((a - i32::from(sample)).abs() <= 16.max(magnitude / 16), "A-law of {sample}: {a}");
            assert!((mu - i32::from(sample)).abs() <= 16.max(magnitude / 16), "mu-law of {sample}: {mu}");
        }
    }

    #[test]
    fn known_codes_of_the_recommendation() {
        assert_eq!(a_law_code(0), 0xd5);
        assert_eq!(a_law_code(i16::MAX), 0xaa);
        assert_eq!(a_law_code(i16::MIN), 0x2a);
        assert_eq!(mu_law_code(0), 0xff);
        assert_eq!(mu_law_code(i16::MAX), 0x80);
        assert_eq!(mu_law_code(i16::MIN), 0x00);
    }
}
