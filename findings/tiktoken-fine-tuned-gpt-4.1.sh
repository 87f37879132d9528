#!/usr/bin/env bash
# tiktoken (Python) gives fine-tuned models of the GPT-4.1 family the vocabulary of GPT-4.
#
# A fine-tuned model is named after its base, as in ft:gpt-4.1-mini-2025-04-14:acme::A1b2C3. Its tokens are
# those of the base, o200k_base. tiktoken's table of prefixes has "ft:gpt-4", which also matches "ft:gpt-4.1",
# so it answers cl100k_base, without an error or a warning. Counts are then wrong, and for text that is not
# English by a lot. Contexture asks tiktoken-rs, which looks at the base alone.
#
# Needs python3 with venv. Exits with 1 when the behaviour is another than described here.
set -euo pipefail

version=0.14.0
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check "tiktoken==$version"

"$place/venv/bin/python" - <<'PYTHON'
import sys

import tiktoken
from tiktoken.model import encoding_name_for_model

print("tiktoken", tiktoken.__version__)
print("expected: a fine-tuned model has the vocabulary of its base")
families = {
    "gpt-4.1-2025-04-14": "o200k_base",
    "gpt-4.1-mini-2025-04-14": "o200k_base",
    "gpt-4.1-nano-2025-04-14": "o200k_base",
    "gpt-4o-2024-08-06": "o200k_base",
    "gpt-4-0613": "cl100k_base",
}
wrong = []
for base, expected in families.items():
    tuned = f"ft:{base}:acme:notes:A1b2C3d4"
    of_base, of_tuned = encoding_name_for_model(base), encoding_name_for_model(tuned)
    print(f"seen: {base} {of_base}; {tuned} {of_tuned}")
    if of_base != expected:
        sys.exit(f"changed: {base} is {of_base}")
    if of_tuned != of_base:
        wrong.append(base)
if wrong != [base for base in families if base.startswith("gpt-4.1")]:
    sys.exit(f"changed: another vocabulary than the base's now for {wrong}")
print("as described: the fine-tuned models of", ", ".join(wrong), "count with cl100k_base")
PYTHON
