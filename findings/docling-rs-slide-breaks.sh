#!/usr/bin/env bash
# docling-rs 2.52.7 (the Rust port of docling, from PyPI) puts the page breaks of a presentation one slide late.
#
# `export_to_markdown(page_break_placeholder=…)` writes a mark between pages, and of a PPTX file between slides; who
# splits at it gets one part a slide, to cite the slide by its number. Of four slides one expects three marks, one
# before each slide but the first. The marks stand behind the second, third and fourth slide instead: the first two
# slides are one part, every later one has the number of the slide before it, and the last part is empty. (The crate
# docling 2.62.0 gives the same order of nodes: each slide's page break follows its content. Contexture counts slides by
# the names of their groups.)
#
# Needs python3 with venv. Exits with 1 when the behaviour is another than described here.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check docling-rs==2.52.7 docling-core==2.104.0 python-pptx==1.0.2
cat > slides.py <<'PYTHON'
import importlib.metadata
import sys

from docling_rs import DocumentConverter
from pptx import Presentation

presentation = Presentation()
titles = ["Harbour", "Lighthouse", "Anchor", "Compass"]
for title in titles:
    presentation.slides.add_slide(presentation.slide_layouts[5]).shapes.title.text = title
presentation.save("four-slides.pptx")

document = DocumentConverter().convert("four-slides.pptx").document
text = document.export_to_markdown(page_break_placeholder="<<break>>")
parts = [[title for title in titles if title in part] for part in text.split("<<break>>")]
print("docling-rs", importlib.metadata.version("docling-rs"))
print("expected: ", [[title] for title in titles])
print("seen:     ", parts)
sys.exit(parts != [["Harbour", "Lighthouse"], ["Anchor"], ["Compass"], []])
PYTHON
venv/bin/python slides.py
