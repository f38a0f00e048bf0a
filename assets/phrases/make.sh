#!/usr/bin/env bash
# Speaks phrases.toml into {en,hi,hi-Latn}/{phrase}.wav: 8 kHz mono 16-bit PCM, trimmed, -3 dBFS, under 4 s.
# Run it after a change of the words and commit the audio: the build takes the files as they are.
# usage: make.sh [phrase …]      only these
set -euo pipefail
cd "$(dirname "$0")"
for tool in espeak-ng sox soxi; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install espeak-ng sox" >&2; exit 1; }
done

# words SECTION PHRASE: the text between the quotes
words() {
  awk -v section="[$1]" -v phrase="$2" -F'"' '$0 ~ /^\[/ {inside = ($0 == section)} inside && $1 ~ "^" phrase " " {print $2}' phrases.toml
}

speech=$(mktemp --suffix=.wav)
trap 'rm -f "$speech"' EXIT
for language in en hi hi-Latn; do
  mkdir -p "$language"
  case $language in
    en) voice=en-gb section=en ;;
    hi) voice=hi section=hi ;;
    hi-Latn) voice=hi section=spoken.hi-Latn ;;
  esac
  for phrase in ${*:-bridge apology hand_off goodbye time_up still_there checking still_checking minute_left time_short wrong_number enough say_again}; do
    text=$(words "$section" "$phrase")
    [ -n "$text" ] || { echo "no words for $section.$phrase" >&2; exit 1; }
    # Faster for the long ones, so that each stays under four seconds.
    for speed in 160 175 190 205 220; do
      espeak-ng -v "$voice+f3" -s "$speed" -w "$speech" -- "$text"
      # The dither is switched off: the same words make the same bytes.
      sox -D "$speech" -r 8000 -c 1 -b 16 -e signed-integer "$language/$phrase.wav" \
        silence 1 0.02 0.3% fade t 0.01 reverse silence 1 0.02 0.3% fade t 0.02 reverse \
        highpass 200 lowpass 3400 norm -3 pad 0.05 0.1
      [ "$(soxi -s "$language/$phrase.wav")" -lt 32000 ] && break
    done
    printf '%-8s %-12s %s s at %s words a minute\n' "$language" "$phrase" "$(soxi -D "$language/$phrase.wav")" "$speed"
  done
done
