"""Reads the files of a folder with another reader:

    extract.py [--each] READER FOLDER TEXTS

READER is kreuzberg, markitdown or docling. The text of NAME.EXT goes to TEXTS/NAME.EXT.txt; a file that the reader
refuses gets none. Prints files, files with text, processor seconds, and the most resident memory in MiB.

All files are read in one process, and its seconds are those of all its threads, without the start of Python and the
imports. With --each every file has a process of its own, from its start to its end, so that no file can end another.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path


def kreuzberg():
    from kreuzberg import ExtractionConfig, extract_file_sync

    # What it keeps from an earlier run would be no work.
    config = ExtractionConfig(use_cache=False)
    return lambda path: extract_file_sync(str(path), config=config).content


def markitdown():
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda path: converter.convert(str(path)).text_content


def docling():
    from docling.backend.email_backend import EmailDocumentBackend
    from docling.backend.epub_backend import EpubDocumentBackend
    from docling.backend.html_backend import HTMLDocumentBackend
    from docling.backend.msexcel_backend import MsExcelDocumentBackend
    from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
    from docling.backend.msword_backend import MsWordDocumentBackend
    from docling.backend.opendocument_backend import OdtDocumentBackend
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.document import InputDocument

    backends = {
        ".docx": (InputFormat.DOCX, MsWordDocumentBackend),
        ".eml": (InputFormat.EMAIL, EmailDocumentBackend),
        ".epub": (InputFormat.EPUB, EpubDocumentBackend),
        ".html": (InputFormat.HTML, HTMLDocumentBackend),
        ".odt": (InputFormat.ODT, OdtDocumentBackend),
        ".pptx": (InputFormat.PPTX, MsPowerpointDocumentBackend),
        ".xlsx": (InputFormat.XLSX, MsExcelDocumentBackend),
    }

    def read(path):
        # What its DocumentConverter calls for these, which does not start without PyTorch.
        kind, backend = backends[path.suffix]
        document = InputDocument(path_or_stream=path, format=kind, backend=backend, filename=path.name)
        if not document.valid:
            raise ValueError("not valid")
        return document._backend.convert().export_to_markdown()

    return read


def processor_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_resident_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def read_all(reader, files, texts):
    read = READERS[reader]()
    before = processor_seconds()
    for path in files:
        try:
            text = read(path)
        except Exception as error:  # Whatever it raises, it has not read the file.
            print(f"{reader}: {path.name}: {type(error).__name__}", file=sys.stderr)
            continue
        (texts / f"{path.name}.txt").write_text(text, encoding="utf-8", errors="replace")
    return processor_seconds() - before, peak_resident_mib()


def read_each(reader, files, texts):
    before = processor_seconds()
    peak = 0
    for path in files:
        command = [sys.executable, __file__, "--one", reader, path, texts]
        ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        peak = max(peak, int(ended.stdout.split()[-1])) if ended.stdout else peak
    return processor_seconds() - before, peak


def main():
    arguments = sys.argv[1:]
    mode = arguments.pop(0) if arguments[0].startswith("--") else "--all"
    reader, source, texts = arguments[0], Path(arguments[1]), Path(arguments[2])
    texts.mkdir(parents=True, exist_ok=True)
    if mode == "--one":
        files = [source]
    else:
        names = {path.name for path in source.iterdir()}
        known_text = lambda path: path.suffix in (".txt", ".md") and path.name.rsplit(".", 1)[0] in names
        files = sorted(path for path in source.iterdir() if path.is_file() and not known_text(path))
    if reader == "docling":
        # It reads no RTF, and PDFs with models that are downloaded.
        files = [path for path in files if path.suffix not in (".pdf", ".rtf")]
    spent, peak = (read_each if mode == "--each" else read_all)(reader, files, texts)
    written = [texts / f"{path.name}.txt" for path in files]
    with_text = sum(path.exists() and bool(path.read_text(encoding="utf-8").strip()) for path in written)
    print(len(files), with_text, f"{spent:.3f}", peak)
    sys.stdout.flush()
    # Some readers' threads crash while the interpreter ends.
    os._exit(0)


READERS = {"kreuzberg": kreuzberg, "markitdown": markitdown, "docling": docling}
main()
