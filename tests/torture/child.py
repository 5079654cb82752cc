"""Runs `capmat` commands one after the other for a parent that may have to kill it: a line of json each way."""

import contextlib
import io
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path

from flows.command.main import main

_ROOM = 2 << 30
"""Bytes that a command may take beyond what the loaded libraries do; the pictures here are a few kilobytes."""


def _warm() -> None:
    import av  # noqa: F401
    import cv2
    import OpenEXR  # noqa: F401
    import torch

    from flows.command import labels, matte, models, session, stage, validate  # noqa: F401
    from tasks.models import imported as model_import  # noqa: F401

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _run(folder: str, words: list[str]) -> dict[str, object]:
    out, err, trace, start = io.StringIO(), io.StringIO(), "", time.monotonic()
    os.chdir(folder)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            code, trace = 1, traceback.format_exc()
    seconds = round(time.monotonic() - start, 2)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "trace": trace, "seconds": seconds}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    _warm()
    for line in sys.stdin:
        folder, words = json.loads(line)
        print(json.dumps(_run(folder, words)), file=answers, flush=True)
