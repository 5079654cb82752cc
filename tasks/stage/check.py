"""Is the stage fit to be matted? A few frames per camera answer it before any model is needed (paper, Sec. 3, 4.1).

`check` measures and judges, `write_report` makes the page. `stage_check` is the step of an ingest: it warns, or
refuses a take whose cameras no longer fit their plates, and leaves its report in the store for the morning.

A report's JSON holds

    session, stage, take    text; `take` is "" if only the empty stage was checked
    light                   that of the worst camera
    notes                   [text]
    cameras                 {camera: {"light", "findings": [as `tasks.stage.findings.Finding`],
                            "missing": {kind: why}, "figures": {name: number},
                            "noise": [[linear light, standard deviation of one frame there]]}}
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from capmat_errors import PlateMismatch
from storage.calibration.camera import Camera
from storage.descriptor import read_session
from storage.session.plan import check_session
from storage.store.root import Root
from tasks.config import Config, Reconstruction, StageLimits
from tasks.runtime.progress import Progress, say
from tasks.runtime.step import Record, retryable, run_once
from tasks.show.artifact import show
from tasks.stage.changes import find_changes
from tasks.stage.findings import DRIFT, Finding, judge, light_of, noisiest
from tasks.stage.measure import Measured, measure, surroundings
from tasks.stage.page import stage_page, stage_sheet
from tasks.stage.source import Source, open_session

_AT_A_TIME = 2  # cameras; each holds some frames at full size
_WORST = ("green", "yellow", "red")


@dataclass(frozen=True)
class StageCheck:
    """What a check of a stage found.

    Attributes:
        source: what was checked.
        measured: figures, by camera.
        findings: what they mean, by camera.
        notes: what a reader must know.
    """

    source: Source
    measured: dict[str, Measured]
    findings: dict[str, list[Finding]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The report as data, see the module."""
        cameras = {
            camera: {
                "light": light_of(self.findings[camera]),
                "findings": [finding.to_json() for finding in self.findings[camera]],
                "missing": one.missing,
                "figures": _figures(one),
                "noise": [] if one.noise is None else np.stack([one.noise.levels, one.noise.spread], 1).tolist(),
            }
            for camera, one in self.measured.items()
        }
        light = max((camera["light"] for camera in cameras.values()), key=_WORST.index)
        names = {"session": self.source.session, "stage": self.source.stage, "take": self.source.take}
        return {**names, "light": light, "notes": self.notes, "cameras": cameras}


def check(
    source: Source,
    limits: StageLimits,
    box: Reconstruction,
    training: float,
    progress: Progress | None = None,
) -> StageCheck:
    """Measure and judge every camera of a stage; writes nothing.

    Args:
        source: from `open_session` or `open_stored`.
        limits: from which figure on a finding is yellow or red.
        box: where the subject stands; without one, where all cameras look.
        training: `teacher.noise`.
        progress: counts the cameras.

    Raises:
        CapmatError: a picture cannot be read.
    """
    views: dict[str, Camera] = {}

    def one(camera: str) -> Measured:
        pictures = source.pictures(camera)
        views[camera] = pictures.camera
        around = surroundings(pictures.camera, {**source.cameras, camera: pictures.camera}, box)
        return measure(pictures, limits, around)

    measured: dict[str, Measured] = {}
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for camera, figures in zip(source.cameras, threads.map(one, source.cameras), strict=True):
            measured[camera] = figures
            if progress:
                progress.step(f"camera {camera}")
    how = find_changes(views, measured, box) if any(one.shot is not None for one in measured.values()) else ""
    notes = [note for note in (source.note, how) if note]
    return StageCheck(source, measured, judge(measured, limits, training), notes)


def _figures(one: Measured) -> dict[str, float]:
    """The numbers of a camera, whether or not they make a finding."""
    figures: dict[str, float] = {"clipped": float(one.white.mean()), "empty_frames": one.empty}
    if one.noise:
        level, worst = noisiest(one.noise)
        figures |= {"noise_worst": worst, "noise_worst_at": level}
        if not one.coarse:
            figures["read_noise"] = one.noise.read
            figures |= {"full_well": 1 / one.noise.photon} if one.noise.photon > 0 else {}
    if one.noise_map:
        figures["noise_map_worst"] = noisiest(one.noise_map)[1]
    if one.bright is not None:
        figures["flicker"] = float(np.ptp(one.bright))
    if one.moved:
        first = next(iter(one.moved.values()))
        figures |= {"shift": first.farthest, "shift_error": first.error}
    if one.gains is not None:
        figures |= dict(zip(("gain_red", "gain_green", "gain_blue"), one.gains.tolist(), strict=True))
    if one.detail is not None:
        figures["detail"] = one.detail
    figures["dark"] = float(one.dark.sum() / max(1, one.around.sum()))
    if one.outside is not None:
        figures["glossy"] = float(one.outside.mean())
    return {name: round(value, 6) for name, value in figures.items()}


def write_report(out: Root, name: str, checked: StageCheck) -> Record:
    """Write `<name>.html` and `<name>.json`.

    Returns:
        The report's data, with the addresses `html` and `json`.

    Raises:
        StoreError: they cannot be written.
    """
    report = checked.to_json()
    out.write(f"{name}.html", stage_page(report, checked.measured).encode())
    out.write(f"{name}.json", json.dumps(report, indent=1).encode())
    return {**report, "html": out.at(f"{name}.html"), "json": out.at(f"{name}.json")}


def report_name(source: Source) -> str:
    """Key of a report in the store, without its suffix."""
    return "reports/stage-" + "-".join(filter(None, (source.stage, source.session, source.take)))


def stage_check(config: Config, session: str, take: str, plates_digest: str) -> Record:
    """The check as a step of an ingest, done once for the files of a take and its plates.

    Args:
        config: the settings; `stage.drift` says whether a plate that does not fit refuses the take.
        session: session.toml or its folder.
        take: which take.
        plates_digest: of the record of the plates.

    Returns:
        `session`, `take`, `light`, `html`, `json`, `red` and `yellow`: [{"camera", "kind", "what", "advice"}].

    Raises:
        PlateMismatch: `stage.drift` is block, and a camera is red because its plate does not fit.
        CapmatError: what `check_session` raises.
    """
    described = read_session(session)
    if described.plates is None:
        return {
            "session": described.name,
            "take": take,
            "light": "green",
            "html": "",
            "json": "",
            "red": [],
            "yellow": [],
        }
    recordings = check_session(described, only=take, decode=False).takes[take].recordings
    inputs = {
        "manifests": {camera: recording.manifest() for camera, recording in recordings.items()},
        "plates": plates_digest,
        "settings": config.stage.model_dump(exclude={"drift", "mend"}),
        "box": [config.reconstruction.box_centre, config.reconstruction.box_size],
        "training": config.teacher.noise,
    }

    def work() -> Record:
        limits = config.stage
        source = open_session(config.store, session, take, limits.empty_frames, limits.take_frames)
        bar = Progress(f"stage check of {take}", len(source.cameras), "cameras")
        checked = check(source, limits, config.reconstruction, config.teacher.noise, bar)
        report = write_report(Root(config.store), report_name(source), checked)
        sheet = stage_sheet(report, checked.measured)
        show(f"stage {take}", f"stage check of take {take}", sheet, of_task=True)
        said: dict[str, list[dict[str, str]]] = {"red": [], "yellow": []}
        for camera, one in report["cameras"].items():
            for finding in one["findings"]:
                said[finding["light"]].append(
                    {"camera": camera, **{k: finding[k] for k in ("kind", "what", "advice")}}
                )
        return {key: report[key] for key in ("session", "take", "light", "html", "json")} | said

    record = run_once(config.store, "stage", f"{described.name} {take}", inputs, work)
    for item in record["red"]:
        say(f"take {take} camera {item['camera']}: {item['what']}. {item['advice']}")
    drifted = [item for item in record["red"] if item["kind"] in DRIFT]
    if drifted and config.stage.drift == "block":
        first = drifted[0]
        more = f", and {len(drifted) - 1} more" if len(drifted) > 1 else ""
        raise PlateMismatch(
            f"{first['what']}{more}",
            where=f"take {take} camera {first['camera']}",
            fix=f'{first["advice"]} See {record["html"]}; stage.drift = "warn" ingests it anyway.',
        )
    return record


stage_check_task = retryable("stage check", "stage check of {take}")(stage_check)
