#!/usr/bin/env bash
# Regenerates the sandbox's clips (sandbox/audio, A-law) from sandbox/lines.toml; the product's own phrases have
# assets/phrases/make.sh. Needs espeak-ng, sox and python3 (3.11 or later).
# usage: sandbox/make-audio.sh [name …]      only these clips
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in espeak-ng sox python3; do
  command -v "$tool" >/dev/null || { echo "missing $tool: apt-get install espeak-ng sox python3" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# say VOICE PITCH SPEED WORDS OUT: one 8 kHz mono WAV, telephone band, even loudness, silence trimmed.
say() {
  espeak-ng -v "$1" -p "$2" -s "$3" -g 1 -w "$scratch/raw.wav" -- "$4"
  sox -q -G "$scratch/raw.wav" -r 8000 -c 1 "$scratch/band.wav" sinc 200-3400 gain -n -3
  sox -q "$scratch/band.wav" "$scratch/trim.wav" silence 1 0.02 1% reverse silence 1 0.02 1% reverse pad 0.02 0.06
  sox -q -R "$scratch/trim.wav" -e a-law -b 8 "$5"
}

mkdir -p sandbox/audio
python3 - "$@" >"$scratch/plan" <<'PLAN'
import sys, tomllib
wanted = set(sys.argv[1:])
VOICES = {("agent", "hi"): ("hi+f3", 62, 195), ("agent", "en"): ("en+f3", 60, 175),
          ("caller", "hi"): ("hi+m3", 35, 185), ("caller", "en"): ("en+m3", 35, 165)}
def row(who, line, out):
    voice, pitch, speed = VOICES[(who, "en" if line["language"] == "en" else "hi")]
    print(line.get("voice", voice), line.get("pitch", pitch), line.get("speed", speed),
          line.get("spoken", line["text"]), out, sep="\x1f")
for line in tomllib.load(open("sandbox/lines.toml", "rb"))["line"]:
    if not wanted or line["name"] in wanted:
        row(line["who"], line, f"sandbox/audio/{line['name']}.wav")
PLAN
while IFS=$'\x1f' read -r voice pitch speed words out; do
  mkdir -p "$(dirname "$out")"
  say "$voice" "$pitch" "$speed" "$words" "$out"
done <"$scratch/plan"
du -ch sandbox/audio | tail -1
