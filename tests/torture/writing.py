"""The writers of the torture, processes that may be killed at any moment, and what must be there in the end.

Mattes are made by a function of the picture in place of a network, and stored by the steps of `tasks.matte.take`.
"""

import os
import sys
import traceback
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capmat_errors import StoreError
from storage.pictures.files import read_image
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.store.writers import is_gone
from storage.takes.take import Take
from storage.upkeep.verify import verify
from tasks.ingest.session import ingest, plates
from tasks.matte.take import snap
from tasks.runtime.step import Step
from tests.storage.raw_pictures import read_raw
from tests.storage.tiny_session import write_session

TAKES = ("walk", "run", "still")
RUN = "r1"
REFUSED = 3
"""Exit code of a writer that found another one at work."""
Job = tuple[str, str]
"""What a writer does ("ingest" or "matte"), and to which take."""


def write_takes(folder: Path, frames: int) -> Path:
    """A session of three takes, which are the same recording; returns session.toml."""
    file = write_session(folder, frames=frames) / "session.toml"
    text = file.read_text()
    head, section = text.split("[takes.walk]")
    file.write_text(head + "".join(f"[takes.{take}]{section}" for take in TAKES))
    return file


def work(job: Job, store: str, session: str) -> None:
    """Do a job, as far as it is not done."""
    kind, take = job
    if kind == "ingest":
        ingest(store, session, take, plates(store, session)["digest"])
    else:
        write_mattes(store, take)


def write_mattes(store: str, take: str) -> None:
    """All mattes of a take, block by block; what is in the ledger is kept."""
    root = Root(store)
    recording, said = Take.open(root, take), {"role": RUN, "name": RUN, "version": "v0001"}
    recording.start_run(RUN, said)
    Ledger(root).record(f"run/{take}/{RUN}", {**said, "files": recording.run_files(RUN)})
    for camera in recording.cameras:
        for block in recording.blocks:
            step = Step(store, "matte", f"{take} {camera} {RUN}", {"frames": list(block)})
            if step.record() is None:
                mattes = {frame: matte_of(recording.read(camera, frame)) for frame in block}
                files = recording.write_alphas(RUN, camera, mattes)
                about = {"run": RUN, "camera": camera, "frames": len(block), "numbers": list(block), "files": files}
                step.keep(about, 0.0)


def matte_of(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) 0..1 of a picture (3, H, W), the same whenever it is asked for."""
    return np.asarray(snap(np.clip(picture.mean(0) * 1.5 - 0.2, 0, 1)))


def writer(job: Job, store: str, session: str, log: str, environ: dict[str, str]) -> None:
    """One process of the torture; exits with `REFUSED` when another one is at its work."""
    os.setsid()
    os.environ.update(environ)
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        work(job, store, session)
    except StoreError as error:
        print(error, flush=True)
        sys.exit(REFUSED if "is ingesting it" in str(error) else 4)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        sys.exit(1)


def faults(store: str, session: Path, jobs: set[Job]) -> tuple[list[str], int]:
    """What is not as it should be after the last run of these jobs, and how many frames and mattes were compared."""
    root, out, compared = Root(store), [], 0
    for kind, name in sorted(jobs):
        take = Take.open(root, name)
        for camera in take.cameras:
            for frame in take.frames:
                if kind == "ingest":
                    source = read_image(session.parent / f"takes/walk/{camera}/{frame:04d}.png")
                    same = np.array_equal(read_raw(take, camera, frame), source)
                else:
                    whole = np.rint(matte_of(take.read(camera, frame)) * np.float32(65535))
                    same = np.array_equal(np.rint(take.read_alpha(RUN, camera, frame) * 65535), whole)
                compared += 1
                out += [] if same else [f"{kind} {name} {camera} {frame} differs"]
    out += [str(finding) for finding in verify(root, deep=True).found]
    if not root.remote:
        partial = [path.relative_to(root.url).parts for path in Path(root.url).rglob("*.partial")]
        out += ["/".join(parts) for parts in partial if parts[0] != "claims"]
    # Claims of the dead hold nobody up; who claims next takes them away.
    claims = [key.rpartition("/")[2].lstrip(".").partition(".")[0] for key in root.list("claims")]
    out += [f"{mark} still claims" for mark in claims if not is_gone(mark)]
    return out, compared
