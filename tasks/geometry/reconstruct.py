"""The reconstruction as steps of a flow: one frame exported and learnt per alpha run, then both judged together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.benchmark import Benchmark
from storage.export.frame import Cut, Source
from storage.export.scene import export_frame
from storage.pictures.colour import encode_srgb
from storage.pictures.png import decode_png
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.box import box_of
from tasks.geometry.field import LOG, learn_field, work_folder
from tasks.geometry.nerfstudio.call import alone
from tasks.geometry.nerfstudio.run import Render
from tasks.geometry.score import Reference, evaluate
from tasks.runtime.progress import say
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.show.artifact import show
from tasks.show.sheet import Row, contact_sheet, error_picture, to_jpeg

_HOW = ("backend", "preset", "iterations", "resolution", "background", "comparable")


def held_out(cameras: list[str], settings: Reconstruction) -> tuple[list[str], list[str]]:
    """Cameras to learn from, and cameras to be judged by."""
    test = list(settings.held_out) or cameras[min(2, settings.hold_out_every - 1) :: settings.hold_out_every]
    return [camera for camera in cameras if camera not in test], test


def reconstruct(store: str, take: Record, frame: int, run: str, settings: Reconstruction, seed: int) -> Record:
    """Learn the radiance field of one frame from the mattes of one run.

    Args:
        store: URL of the store.
        take: record of the ingested take.
        frame: which frame.
        run: which mattes.
        settings: backend, held-out cameras, box.
        seed: of the training.

    Returns:
        Record with the `folder` in the store (`input/` in Nerfstudio's format, `rgb/`, `accumulation/`), the
        `backend` and what `tasks.geometry.field` says.
    """
    root = Root(store)
    recording = Take.open(root, take["take"])
    train, test = held_out(list(recording.cameras), settings)
    inputs = {
        "take": take["digest"],
        "frame": frame,
        "run": run,
        "made": recording.alpha_runs().get(run, {}),
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
    }
    box_centre, box_size = box_of(recording.cameras.values(), settings)
    folder = f"reconstruction/{recording.name}-{frame:04d}-{run}-{digest(inputs)[:8]}"

    def work() -> dict[str, Any]:
        say(f"reconstruct {recording.name} frame {frame} from {len(train)} cameras with {run}")
        with work_folder(kept) as folder_out:
            export_frame(
                folder_out / "input",
                recording,
                frame,
                run,
                train=train,
                test=test,
                box_centre=box_centre.tolist(),
                box_size=box_size,
            )
            try:
                how = learn_field(folder_out / "input", folder_out, settings, seed)
            finally:
                if (folder_out / LOG).is_file():
                    root.write(f"{folder}/{LOG}", (folder_out / LOG).read_bytes())
            for part in ("input", "rgb", "accumulation"):
                for file in sorted((folder_out / part).rglob("*")):
                    if file.is_file():
                        root.write(f"{folder}/{file.relative_to(folder_out)}", file.read_bytes())
        return {"folder": folder, "run": run, **how}

    kept = Path(".capmat", folder).absolute()
    # if the same is asked for twice, the second waits and reads the record of the first
    with alone(kept.with_name(f"{kept.name}.lock"), patience=None):
        return run_once(store, "reconstruct", f"{recording.name} {frame:04d} {run}", inputs, work)


def _render(root: Root, folder: str, camera: str) -> Render:
    keys = [f"{folder}/{part}/{camera}.png" for part in ("rgb", "accumulation")]
    rgb, accumulation = (decode_png(root.read(key), key).astype(np.float32) for key in keys)
    return rgb.transpose(2, 0, 1) / np.float32(255), accumulation / np.float32(65535)


def judge(store: str, take: str, frame: int, fields: Mapping[str, Record], benchmark: Record | None) -> Record:
    """Compare two reconstructions on the held-out cameras against one reference.

    The reference is the camera's picture, cut out by one matte that is the same for both: judged by its own mattes, a
    run with holes would be praised for them. It is the supervisor's matte or, without a benchmark that holds this
    frame of all held-out cameras, that of `refined`.

    Args:
        store: URL of the store.
        take: which take.
        frame: which frame.
        fields: `base` and `refined` -> record of `reconstruct`.
        benchmark: record of the benchmark with the reference mattes, or None.

    Returns:
        Record with the scores of `base` and `refined`, `black` (what an empty picture scores), `backend`,
        `held_out`, `reference` in words, and `sheet`, the key of a picture.
    """

    def work() -> dict[str, Any]:
        root = Root(store)
        recording = Take.open(root, take)
        cameras = fields["base"]["test"]

        def coloured(camera: str, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
            source = Source(recording, camera, "", {})
            return encode_srgb(Cut(source, frame, alpha, source.plates()).light)

        frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"]) if benchmark else None
        if frozen and {(take, camera, frame) for camera in cameras} <= set(frozen.keys):
            reference = "mattes of the supervisor"
            mattes = {c: frozen.alpha(take, c, frame) for c in cameras}
        else:
            run = fields["refined"]["run"]
            reference = f"mattes of {run}"
            mattes = {c: recording.read_alpha(run, c, frame) for c in cameras}
        true = {c: (coloured(c, alpha), alpha) for c, alpha in mattes.items()}
        scores, pictures = {}, {}
        for name, field in fields.items():
            pictures[name] = {camera: _render(root, field["folder"], camera) for camera in cameras}
            own = {c: recording.read_alpha(field["run"], c, frame) for c in cameras}
            references = {c: Reference(*true[c], coloured(c, own[c]) * own[c]) for c in cameras}
            scores[name] = evaluate(pictures[name], references)
        rows = []
        for camera, (rgb, alpha) in true.items():
            seen = rgb * alpha
            views = [pictures[name][camera][0] for name in ("base", "refined")]
            errors = [error_picture(view.mean(0), seen.mean(0)) for view in views]
            dB = tuple(f"{scores[name]['cameras'][camera]['psnr']:.1f} dB" for name in ("base", "refined"))
            rows.append(Row(f"{camera} (held out)", [seen, *views, *errors], ("", *dB)))
        columns = ["image x reference matte", "base mattes", "refined mattes", "base error", "refined error"]
        jpeg = to_jpeg(contact_sheet(rows, columns))
        sheet = f"{fields['refined']['folder']}/sheet.jpg"
        root.write(sheet, jpeg)
        show("reconstruction", "held-out cameras", jpeg, fields["base"]["backend"])
        keep = ("psnr", "psnr_own", "psnr_foreground", "ssim", "ssim_foreground", "collapsed", "cameras")
        return {
            **{name: {key: score[key] for key in keep} for name, score in scores.items()},
            "black": scores["base"]["black"],
            "held_out": cameras,
            "reference": reference,
            "sheet": sheet,
            **{key: fields["base"][key] for key in _HOW},
            "fit_s": [field["wall_s"] for field in fields.values()],
            "fit_cpu_s": [field.get("cpu_s", 0.0) for field in fields.values()],
        }

    frozen_by = benchmark["digest"] if benchmark else ""
    inputs = {"fields": {n: f["digest"] for n, f in fields.items()}, "benchmark": frozen_by}
    return run_once(store, "judge", f"{take} {frame:04d}", inputs, work)


def _name() -> str:
    from prefect import runtime

    given = runtime.task_run.parameters
    return f"reconstruct {given['take']['take']} frame {given['frame']} with {given['run']}"


reconstruct_task = retryable("reconstruct", _name, gpu=True)(reconstruct)
judge_task = retryable("judge", "judge {take} frame {frame}")(judge)
