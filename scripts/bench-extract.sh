#!/usr/bin/env bash
# Reads the project's own set of documents beside other readers, five rounds in turn, and prints documents a second of
# processor and how well each has read them:
#   scripts/bench-extract.sh [FOLDER]
# FOLDER has other files, with the known text of NAME.EXT in NAME.EXT.txt or NAME.EXT.md. The Python packages go to
# target/extract.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}/extract"
place="$(realpath "${CARGO_TARGET_DIR:-target}/extract")"
rounds=5

say() { printf 'extract: %s\n' "$*" >&2; }

cargo bench --locked --no-run --bench extract
ours="${CARGO_TARGET_DIR:-target}/release/contexture"
folder="${1:-$place/set}"
[ $# -gt 0 ] || { rm -rf "$folder"; cargo bench --locked --bench extract -- --write "$folder"; }

# An environment for each: what one needs must not change another.
install() {
    local name=$1
    shift
    [ -x "$place/$name/bin/python" ] || python3 -m venv "$place/$name"
    "$place/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
}
install kreuzberg "kreuzberg==4.10.4"
install markitdown "markitdown[all]==0.1.9"
install docling "docling-slim[format-office,format-opendocument,format-web,format-email,convert-core]==2.143.0"
peers=(kreuzberg markitdown docling)

figures="$place/figures"
rm -rf "$figures" "$place/texts"
mkdir -p "$figures"
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    cargo bench --locked --quiet --bench extract -- --rate "$folder" >>"$figures/contexture"
    for peer in "${peers[@]}"; do
        "$place/$peer/bin/python" benches/peers/extract.py "$peer" "$folder" "$place/texts/$peer" \
            2>"$figures/$peer.log" >>"$figures/$peer"
    done
done
say "a process for each file"
for peer in kreuzberg markitdown; do
    "$place/$peer/bin/python" benches/peers/extract.py --each "$peer" "$folder" "$place/texts/$peer" \
        2>"$figures/$peer.log" >"$figures/$peer-each"
done

# The files of a round are the same, so the middle rate is that of the middle round.
middle() { sort -g | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }'; }
own="$(middle <"$figures/contexture")"
row() { printf '%-12s %-22s %6s %6s %20s %10s %6s\n' "$@"; }
row reader "" files text "files a CPU second" "ours is" MiB
row contexture "a process for each" - - "$own" "" -
for peer in "${peers[@]}"; do
    for kind in "" -each; do
        [ -f "$figures/$peer$kind" ] || continue
        rate="$(awk '{ printf "%.2f\n", $1 / $3 }' "$figures/$peer$kind" | middle)"
        read -r files text _ peak < <(tail -n 1 "$figures/$peer$kind")
        times="$(awk -v own="$own" -v rate="$rate" 'BEGIN { printf "%.2f x", own / rate }')"
        how="one process for all"
        [ -z "$kind" ] || how="a process for each"
        row "$peer" "$how" "$files" "$text" "$rate" "$times" "$peak"
    done
done

printf '\ncontexture\n'
"$ours" lab extract --dataset "$folder"
for peer in "${peers[@]}"; do
    printf '\n%s\n' "$peer"
    "$ours" lab extract --dataset "$folder" --texts "$place/texts/$peer"
done
