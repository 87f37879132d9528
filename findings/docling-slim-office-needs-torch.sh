#!/usr/bin/env bash
# docling-slim 2.143.0, installed for Office files alone (`docling-slim[format-office]`), cannot be imported.
#
# The package exists to leave out models: its extras name the formats that are wanted, and `format-office` brings what
# Word, PowerPoint and Excel need. The class that every example begins with is then not there: importing it imports, for
# whatever format, the pipeline for speech, whose module imports `torch` at its top. So who wants the slim install for
# Office files has to install a model runtime of gigabytes, or import the backends one by one.
#
# Needs Python 3.11 or newer with venv. Exits with 1 when the behaviour is another than described here.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'docling-slim[format-office]==2.143.0' \
    >"$place/pip.log" 2>&1 || { cat "$place/pip.log" >&2; exit 1; }
"$place/venv/bin/python" - >"$place/seen" 2>&1 <<'PY' || true
import importlib.metadata

print("docling-slim", importlib.metadata.version("docling-slim"))
try:
    from docling.document_converter import DocumentConverter
    print("imported", DocumentConverter.__name__)
except ImportError as error:
    print(type(error).__name__, error)
PY
echo "expected: imported DocumentConverter"
cat "$place/seen"
described="docling-slim 2.143.0
ModuleNotFoundError No module named 'torch'"
if [ "$(cat "$place/seen")" != "$described" ]; then
    echo "this is not what is described"
    exit 1
fi
echo "as described: the converter cannot be imported without torch"
