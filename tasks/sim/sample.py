"""Everything that the demo needs, rendered by one command: `capmat sim --out samples`."""

from pathlib import Path

from tasks.sim.base_data import render_base, render_pairs, render_photo
from tasks.sim.session import render_session
from tasks.sim.tidy_stage import Defect


def _tell(what: str) -> None:
    print(what, flush=True)


def render_sample(out: Path, *, seed: int = 0, tiny: bool = False, defect: str = "") -> None:
    """Render the session, its truth and the base data; pictures that exist are skipped.

    Args:
        out: folder for `session/`, `truth/`, `base/` and `photo/`.
        seed: decides everything; 0 is what the project ships.
        tiny: four cameras and a few small, grainy pictures, for tests.
        defect: one of `tasks.sim.tidy_stage.DEFECTS`: a session of a tidy stage with it, without base data.

    Raises:
        StoreError: the folder cannot be written to.
    """
    session, truth, base = out / "session", out / "truth", out / "base"
    if defect:
        cameras, size, spp = (4, (96, 120), 4) if tiny else (12, (224, 288), 32)
        render_session(session, cameras=cameras, takes={"amber": 1}, truth=truth, size=size, spp=spp, seed=seed,
                       defect=Defect(defect), progress=_tell)  # fmt: skip
        return
    if tiny:
        size, takes = (64, 80), {"amber": 1, "birch": 1, "cedar": 1}
        render_session(session, cameras=4, takes=takes, truth=truth, size=size, spp=4, seed=seed, progress=_tell)
        render_base(base, foregrounds=4, backgrounds=3, size=size, spp=4, seed=seed, progress=_tell)
        return
    render_base(base, seed=seed, progress=_tell)
    render_pairs(base, seed=seed, progress=_tell)
    render_photo(out / "photo", seed=seed, progress=_tell)
    render_session(session, seed=seed, truth=truth, progress=_tell)
