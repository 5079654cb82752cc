"""Everything that the demo needs, rendered by one command: `capmat sim --out samples`."""

from pathlib import Path

from sim.base_data import render_base
from sim.session import render_session


def _tell(what: str) -> None:
    print(what, flush=True)


def render_sample(out: Path, *, seed: int = 0, tiny: bool = False) -> None:
    """Render the session, its truth and the base data; pictures that exist are skipped.

    Args:
        out: folder for `session/`, `truth/` and `base/`.
        seed: decides everything; 0 is what the project ships.
        tiny: four cameras and a few small, grainy pictures, for tests.

    Raises:
        StoreError: the folder cannot be written to.
    """
    if tiny:
        takes = {"amber": 1, "birch": 1, "cedar": 1}
        small = {"size": (64, 80), "spp": 4, "seed": seed, "progress": _tell}
        render_session(out / "session", cameras=4, takes=takes, truth=out / "truth", **small)
        render_base(out / "base", foregrounds=4, backgrounds=3, **small)
        return
    render_base(out / "base", seed=seed, progress=_tell)
    render_session(out / "session", seed=seed, truth=out / "truth", progress=_tell)
