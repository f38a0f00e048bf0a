//! What a response costs: token prices per model, and the arithmetic; and how much a session of a model holds. Knows no JSON.

use caly_actors::domain::Usage;
use caly_actors::ports::WINDOW_LEAST;

/// Prices in hundredths of a millionth of a US dollar per token, which are US cents per million tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Price {
    text_in: u64,
    text_cached: u64,
    text_out: u64,
    audio_in: u64,
    audio_cached: u64,
    audio_out: u64,
}

const fn price(text: [u64; 3], audio: [u64; 3]) -> Price {
    let [text_in, text_cached, text_out] = text;
    let [audio_in, audio_cached, audio_out] = audio;
    Price { text_in, text_cached, text_out, audio_in, audio_cached, audio_out }
}

const LARGE_2: Price = price([400, 40, 2400], [3200, 40, 6400]);
const LARGE_1: Price = price([400, 40, 1600], [3200, 40, 6400]);
const MINI: Price = price([60, 6, 240], [1000, 30, 2000]);
const OLD_MINI: Price = price([60, 30, 240], [1000, 30, 2000]);

/// The vendor's published model pages.
const PRICES: [(&str, Price); 7] = [
    ("gpt-realtime-2.1", LARGE_2),
    ("gpt-realtime-2", LARGE_2),
    ("gpt-realtime-1.5", LARGE_1),
    ("gpt-realtime", LARGE_1),
    ("gpt-realtime-2.1-mini", MINI),
    ("gpt-realtime-mini", MINI),
    ("gpt-4o-mini-realtime-preview", OLD_MINI),
];

/// The price of a model or of one of its dated snapshots (`gpt-realtime-2025-08-28`); `None` if it is not known.
pub(super) fn price_of(model: &str) -> Option<&'static Price> {
    let name = without_date(model);
    PRICES.iter().find(|(known, _)| *known == name).map(|(_, price)| price)
}

/// Tokens that a session of a model can hold: its window less its longest answer (openai-realtime: limits).
pub(super) fn window_of(model: &str) -> u64 {
    if without_date(model).starts_with("gpt-realtime-2") { 96_000 } else { WINDOW_LEAST }
}

/// A plain prefix would take `gpt-realtime-2025-08-28` for a `gpt-realtime-2`.
fn without_date(model: &str) -> &str {
    let Some((name, date)) = model.len().checked_sub(11).and_then(|at| model.split_at_checked(at)) else {
        return model;
    };
    let dated =
        date.bytes().enumerate().all(|(at, b)| if matches!(at, 0 | 5 | 8) { b == b'-' } else { b.is_ascii_digit() });
    if dated { name } else { model }
}

/// Cost in millionths of a US dollar, rounded. `usage` counts the cached tokens among the others.
pub(super) fn cost_micro_usd(usage: &Usage, price: &Price) -> u64 {
    let fresh = |all: u64, cached: u64| all.saturating_sub(cached);
    let lines = [
        (fresh(usage.text_in, usage.text_cached), price.text_in),
        (usage.text_cached.min(usage.text_in), price.text_cached),
        (fresh(usage.audio_in, usage.audio_cached), price.audio_in),
        (usage.audio_cached.min(usage.audio_in), price.audio_cached),
        (usage.text_out, price.text_out),
        (usage.audio_out, price.audio_out),
    ];
    let cents_of_micro =
        lines.iter().fold(0_u64, |sum, (tokens, each)| sum.saturating_add(tokens.saturating_mul(*each)));
    cents_of_micro.saturating_add(50) / 100
}

/// Transcription that is billed by the minute: US dollars a minute, for the models whose price is published so.
pub(super) fn transcription_micro_usd(model: Option<&str>, seconds: f64) -> u64 {
    const MICRO_USD_A_MINUTE: f64 = 17_000.0;
    match model {
        Some("gpt-realtime-whisper") if seconds.is_finite() => {
            (seconds.clamp(0.0, 86_400.0) * MICRO_USD_A_MINUTE / 60.0).round() as u64
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_costs_what_the_published_formula_says() {
        let usage = Usage {
            text_in: 1000,
            text_cached: 600,
            audio_in: 500,
            audio_cached: 100,
            text_out: 50,
            audio_out: 200,
            cost_micro_usd: 0,
        };
        // 400*4 + 600*0.4 + 400*32 + 100*0.4 + 50*16 + 200*64 = 28280 millionths of a dollar
        assert_eq!(price_of("gpt-realtime").map(|price| cost_micro_usd(&usage, price)), Some(28_280));
        // 400*0.6 + 600*0.06 + 400*10 + 100*0.3 + 50*2.4 + 200*20 = 8426
        assert_eq!(price_of("gpt-realtime-mini").map(|price| cost_micro_usd(&usage, price)), Some(8_426));
    }

    #[test]
    fn a_dated_snapshot_costs_as_its_model_and_is_not_taken_for_another() {
        assert_eq!(price_of("gpt-realtime-2025-08-28"), Some(&LARGE_1));
        assert_eq!(price_of("gpt-realtime-2.1-mini-2026-05-01"), Some(&MINI));
        assert_eq!(price_of("gpt-realtime-2"), Some(&LARGE_2));
        assert_eq!(price_of("gpt-realtime-whisper"), None);
        assert_eq!(price_of("some-gateway-model"), None);
        assert_eq!(price_of("é"), None);
    }

    #[test]
    fn a_session_holds_what_its_model_does() {
        for (model, holds) in [
            ("gpt-realtime", 28_672),
            ("gpt-realtime-2025-08-28", 28_672),
            ("gpt-realtime-mini", 28_672),
            ("gpt-realtime-2", 96_000),
            ("gpt-realtime-2.1-mini-2026-05-01", 96_000),
            ("some-gateway-model", 28_672),
        ] {
            assert_eq!(window_of(model), holds, "{model}");
        }
    }

    #[test]
    fn more_cached_than_counted_tokens_never_cost_less_than_nothing() {
        let usage = Usage { text_in: 10, text_cached: 99, ..Usage::default() };
        assert_eq!(cost_micro_usd(&usage, &LARGE_1), 4);
    }

    #[test]
    fn minute_priced_transcription_is_charged_by_the_second() {
        assert_eq!(transcription_micro_usd(Some("gpt-realtime-whisper"), 30.0), 8_500);
        assert_eq!(transcription_micro_usd(Some("gpt-realtime-whisper"), f64::NAN), 0);
        assert_eq!(transcription_micro_usd(None, 30.0), 0);
    }
}
