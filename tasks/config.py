"""The one typed configuration: `capmat.toml`, then `CAPMAT_*` variables, then the command line.

The model is frozen and refuses unknown keys, so a typing error is found before work starts. The same model is
the parameter of every flow: the Prefect UI shows it as a form. Paths are relative to the folder of the file.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from capmat_errors import ConfigError

_WEIGHTS = Path(__file__).resolve().parent / "models" / "weights"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1]:
        raise ValueError("yellow must be above 0, and not above red")
    return limits


class Teacher(_Section):
    """Hybrid fine-tuning of the teacher (paper section 4.2 and 5.1). Defaults fit the demo size."""

    model: str = "bg_vitmatte_xs"
    """Architecture. `bg_vitmatte_s` is the paper's; take the paper's other settings with it."""
    iterations: int = Field(180, ge=1)
    """Fine-tuning steps. The paper: 2000."""
    batch: int = Field(10, ge=2)
    """Images per step. The paper: 16."""
    scribble_share: float = Field(0.2, ge=0.0, le=1.0)
    """Share of each batch that comes from scribbled frames. The paper's best: 0.2 (Fig. 6)."""
    scribble_weight: float = Field(5.0, gt=0)
    """How loud a scribbled crop is against a base crop. Raise it when painted errors survive."""
    crop: int = Field(128, ge=32)
    """Side of the square training window, in pixels. ViTMatte: 512."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor between the rates of neighbouring blocks. ViTMatte: 0.65; a small network wants 1."""
    lr: float = Field(1e-3, gt=0)
    """Learning rate at the start. The paper: 5e-5."""
    lr_late: float = Field(3e-4, gt=0)
    """Learning rate after `lr_late_from` of the steps. The paper: 2.5e-5."""
    lr_late_from: float = Field(0.5, ge=0, le=1)
    """When the late rate starts, as a share of the iterations. The paper: 600 of 2000."""
    noise: float = Field(0.1, ge=0)
    """Largest standard deviation of the gaussian noise on both inputs (paper Fig. 5)."""
    tile: int = Field(0, ge=0, multiple_of=64)
    """Side of the tiles (1024, say) when a whole frame does not fit into memory (6 megapixels take 3 GB, 24.5
    take 7). 0: whole frames. Tiles are an approximation, and the name of the run says so."""


class Student(_Section):
    """Distillation of the student (paper section 4.3 and 5.1). Defaults fit the demo size."""

    model: str = "bgmv2_mobilenetv2_xs"
    """Architecture. `bgmv2_mobilenetv2` is the published size."""
    base_iterations: int = Field(160, ge=0)
    """Steps on the base network alone. The paper: 5 epochs of 580 images, 365 steps."""
    joint_iterations: int = Field(240, ge=0)
    """Steps on base and refiner together. The paper: 10 epochs, 1450 steps."""
    batch: int = Field(8, ge=4)
    """Images per step of the first stage; the second takes half. The paper: 8, then 4."""
    crop: int = Field(160, ge=32)
    """Side of the square training window, in pixels; a multiple of 4."""
    lr_scale: float = Field(8.0, gt=0)
    """Multiplies the learning rates of the original recipe. 1 for the published size."""
    decay: bool = True
    """Let the rates fall to the end of each stage. The paper: constant, over far more steps."""
    base_share: float = Field(0.25, ge=0, le=1)
    """Share of crops that are base composites. The paper: none, but it has 20 scenes; with a few performers the
    student learns by heart what they wore."""
    recolour: float = Field(0.6, ge=0, le=1)
    """Share of stage crops whose subject gets other colours, for the same reason. 0 with many performers."""


class Supervisor(_Section):
    """The trimap model that makes the benchmark mattes (paper section 4.4)."""

    model: str = "diffmatte_xs"
    """Architecture. `diffmatte_vits` is the published size."""
    steps: int = Field(10, ge=1)
    """Sampling steps; 10 is what DiffMatte's own figures use."""


class Reconstruction(_Section):
    """One frame of one take as a radiance field (paper section 5.4)."""

    backend: Literal["auto", "nerfstudio", "voxel-grid"] = "auto"
    """`auto` takes Nerfstudio where its environment and a GPU are there, else the CPU voxel grid."""
    preset: Literal["paper", "carve", "quick"] = "carve"
    """`paper`: the paper's settings. `carve`: the same before random backgrounds, so that holes and haloes of mattes
    cost. `quick`: short and coarse. docs/reconstruct.md has the numbers."""
    nerfstudio: str = ""
    """Python of the environment that has Nerfstudio. Empty: what `capmat reconstruct --install` made."""
    held_out: tuple[str, ...] = ()
    """Cameras that are only looked at for the score. Empty: by `hold_out_every`."""
    hold_out_every: int = Field(6, ge=2)
    """Every so many cameras one is only looked at for the score, in the order of their names, from the third on."""
    iterations: int = Field(300, ge=1)
    """Optimisation steps of the voxel grid (Nerfstudio's come with the preset)."""
    resolution: int = Field(160, ge=16, multiple_of=16)
    """Voxels along each side of the box."""
    box_centre: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Middle of the reconstructed cube, in metres; z is up. Counts only with `box_size`."""
    box_size: float = Field(0, ge=0)
    """Side of the reconstructed cube, in metres. 0: middle and side are those of the place that all cameras look at,
    with the side their distance from it."""


class Mine(_Section):
    """Where a scribble would help most; see docs/mine.md."""

    frames: int = Field(8, ge=1)
    """Frames of a take that are looked at, evenly spread. More where performers do many different things."""
    pictures: int = Field(48, ge=1)
    """Pictures of them, all frames together, that go through the student again, three times each: what costs most."""
    top: int = Field(20, ge=1)
    """Boxes in a queue: as many as somebody will look at."""
    night_pictures: int = Field(0, ge=0)
    """As `pictures`, for every take that a night over an inbox has matted; 0: the night mines nothing. A few dozen
    where somebody scribbles every day."""


class Gate(_Section):
    """When a challenger becomes the champion."""

    margin: float = Field(0.95, gt=0)
    """A challenger is promoted when its benchmark MSE is at most this share of the champion's."""
    worst: float = Field(2.0, gt=1)
    """... and no single benchmark image is worse than the champion's by more than this factor."""
    latency: float = Field(1.5, gt=0)
    """... and a frame takes at most so many times as long as with the champion. Raise it where quality is worth the
    time; lower it to 1 where the time is short already. Networks of one structure are equally fast and not timed."""
    hull: float = Field(0.005, ge=0)
    """... and at most so much more of its silhouettes, as a share of 1, does not fit together with the other cameras'
    mattes. Raise it where few cameras or a rough calibration make that figure jump."""


class Paper(_Section):
    """What `capmat paper` runs beyond the sections above; the defaults are its small setting (docs/paper.md)."""

    base_iterations: int = Field(300, ge=1)
    """Steps of each of the three teachers that start from nothing: as always, without plate, without noise. Enough
    of them when the last picture of Fig. 5 shows a whole subject. ViTMatte trains 134,687."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
    """Shares of scribbled frames in a batch (Fig. 6). Each has to make a whole number of crops, at least one."""
    share_iterations: int = Field(100, ge=1)
    """Fine-tuning steps of each share. The paper: as many as the teacher's."""
    noise: tuple[Annotated[float, Field(ge=0)], ...] = (0, 0.03, 0.06, 0.1)
    """Standard deviations of the noise on the frames that Fig. 5 is judged on, in display units."""
    seeds: int = Field(2, ge=1)
    """How often each student of Table 2 is trained, each time from another seed; the table has the means."""


class Redistill(_Section):
    """When new labels start a training by themselves; see docs/operate.md."""

    quiet_s: int = Field(60, ge=10)
    """Seconds without another new label set before `redistill` starts; ten sets in a row make one run.
    Prefect wants at least 10."""


class Notify(_Section):
    """Who is told when a run fails or needs a human; see docs/operate.md."""

    blocks: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")], ...] = ()
    """Prefect blocks, each as TYPE/NAME: `slack-webhook/stage`. Addresses and passwords stay in the block."""


Limits = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Where yellow begins, and where red does."""


class StageLimits(_Section):
    """When `capmat stage check` raises what, and what follows from it; docs/stage.md. Pairs are yellow, red."""

    drift: Literal["warn", "block"] = "warn"
    """`block` refuses to ingest a take that a camera's plate does not fit (moved, refocused, exposed otherwise: red).
    `warn` ingests it and tells the morning. `block` where somebody is there to record the plate again."""
    empty_frames: int = Field(4, ge=1)
    """Frames of the empty stage that are looked at, per camera. More for a finer measure of noise and flicker."""
    take_frames: int = Field(2, ge=1)
    """Frames of the take that are looked at, spread over it (over the first 100 of a video)."""
    shift: Limits = (0.5, 1.5)
    """Pixels by which a camera moved since its plate, at the corner that moved most. Raise it with the resolution."""
    focus: Limits = (0.25, 0.5)
    """Share of the finest detail that the take lacks against the plate, or the plate against the take."""
    exposure: Limits = (0.03, 0.1)
    """How much brighter or darker than its plate a camera is, against the other cameras. What all have in common
    counts from twice as much on, since a subject takes light from everybody."""
    colour: Limits = (0.02, 0.06)
    """How far red, green and blue drifted apart between plate and take."""
    noise: Limits = (1.4, 3.0)
    """How many times noisier a camera is than the others, or than in its own plate."""
    training: Limits = (1.0, 2.0)
    """Noise at the noisiest level, in `teacher.noise`: the models have not learned more."""
    flicker: Limits = (0.01, 0.05)
    """How far the brightness of the empty frames is apart."""
    lamps: Limits = (0.001, 0.3)
    """Share of the picture that is clipped. Lower it where people with loose hair are recorded."""
    glossy: Limits = (0.002, 0.05)
    """Share of the picture that changes with structure where the subject is not: reflections, moved things."""
    dark: Limits = (0.1, 0.75)
    """Share of the surroundings of the subject that is dark and flat. Raise it where nobody wears dark clothes."""
    dark_level: float = Field(0.22, gt=0, lt=1)
    """Display-referred value (sRGB, 0..1) below which a place is dark: about that of the darkest clothes."""
    dark_contrast: float = Field(0.02, gt=0, lt=1)
    """Display-referred standard deviation in the neighbourhood below which a dark place is flat."""


class Night(_Section):
    """What `nightly` does with the sessions of an inbox."""

    still_minutes: float = Field(10, ge=0)
    """A take is left alone until none of its files was written for so long. Longer where copies pause."""
    teacher_every: int = Field(0, ge=0)
    """The teacher mattes every so many frames of each take; 0: only `scribble_takes` and benchmarks, all frames."""
    formats: tuple[Literal["exr", "png", "tiff", "mp4", "prores"], ...] = ("exr",)
    """Kinds of files that are written into `exports`."""
    until: str = Field("", pattern=r"^(([01]?\d|2[0-3]):[0-5]\d)?$")
    """When the night should be over, `07:00` by the clock of this machine: the teacher then leaves out what is too
    much. Empty: no limit."""


class Cluster(_Section):
    """Where the tasks run. docs/operate.md has a table of the kinds."""

    kind: Literal["local", "local-cuda", "slurm", "kubernetes", "address"] = "local"
    """`local`: processes on this machine. `local-cuda`: one more for each of its GPUs. `slurm`: a job per worker.
    `kubernetes`: a pod per worker. `address`: a Dask scheduler that is already there."""
    address: str = ""
    """A running Dask scheduler, `tcp://host:8786`. Where it is set, no other kind is started."""
    workers: int = Field(2, ge=1)
    """CPU worker processes on this machine (one per core that is free), SLURM jobs, or pods."""
    maximum: int = Field(0, ge=0)
    """Lets the cluster grow from `workers` to this many while tasks wait. 0: always `workers`."""
    memory: str = "3.5GiB"
    """Memory limit of one worker. A task that needs more ends as an error; the machine stays alive."""
    silent_minutes: float = Field(180, gt=0)
    """A task that shows no progress (a frame, an iteration) for so long hangs: its worker is ended, and another one
    tries again. Longer where one export or one Nerfstudio training takes longer."""
    train_threads: int = Field(1, ge=1)
    """Torch threads of a training step. More pay off for the full sizes; small networks wait for each other."""
    gpu: bool = False
    """Every SLURM job or pod asks for one GPU. (`local-cuda` counts the GPUs itself.)"""
    queue: str = ""
    """SLURM partition. Empty: the site's default."""
    account: str = ""
    """SLURM account that the jobs are charged to."""
    walltime: str = "12:00:00"
    """Longest time of one SLURM job. Longer than a night."""
    directives: tuple[str, ...] = ()
    """More `#SBATCH` lines, e.g. `--constraint=h100`."""
    image: str = ""
    """Container image of the pods; capmat is installed in it, in this version."""
    namespace: str = "default"
    """Kubernetes namespace of the pods."""
    extra: dict[str, Any] = {}
    """Passed on as it is to LocalCluster, SpecCluster, SLURMCluster or KubeCluster, whichever the kind starts."""

    @model_validator(mode="after")
    def _fits(self) -> "Cluster":
        if self.kind == "address" and not self.address:
            raise ValueError("kind address needs the address of a scheduler")
        if self.kind == "kubernetes" and not self.image and not self.address:
            raise ValueError("kind kubernetes needs an image")
        if self.maximum and self.kind == "local-cuda":
            raise ValueError("a machine's GPUs do not grow: leave maximum away")
        if 0 < self.maximum < self.workers:
            raise ValueError("maximum is below workers")
        return self


class Config(_Section):
    """Everything that a run can be told. See `capmat.toml` for a filled-in example."""

    store: str = ".capmat/store"
    """Where takes, mattes, models and reports are kept: a folder, or `s3://bucket/prefix`."""
    session: str = "samples/session/session.toml"
    """The recorded day to work on."""
    base_data: str = "samples/base"
    """Foregrounds and backgrounds that are composited on the fly (the paper: Adobe DIM)."""
    weights: str = str(_WEIGHTS)
    """Folder of the base weights: `<model>/model.safetensors` and `card.json`."""
    scribbles: str = ".capmat/scribbles"
    """Inbox of painted overlays: `<take>/<camera>/<frame>.png`."""
    truth: str = ""
    """Ground truth of a rendered session, read by the report alone. Empty: there is none."""
    scribble_takes: tuple[str, ...] = ()
    """Takes on whose frames the teacher runs every night so that people can scribble where it failed."""
    validation_takes: tuple[str, ...] = ()
    """Takes whose labels no training sees: models are measured on them afterwards. Names or patterns (`*-val`). Worth
    a take once several are labelled; empty: all labels are trained on."""
    pseudo_takes: tuple[str, ...] = ()
    """Takes that the refined teacher labels for the student."""
    seed: int = 0
    """Start of every random number of the run."""
    cameras_per_task: int = Field(6, ge=1)
    """Cameras that one inference task handles; fewer make smaller tasks to repeat after a crash."""
    teacher: Teacher = Teacher()
    student: Student = Student()
    supervisor: Supervisor = Supervisor()
    reconstruction: Reconstruction = Reconstruction()
    mine: Mine = Mine()
    gate: Gate = Gate()
    paper: Paper = Paper()
    cluster: Cluster = Cluster()
    inbox: str = ""
    """Folder whose session folders `nightly` takes in, as they come. Empty: it works on `session` alone."""
    exports: str = ""
    """Folder or `s3://bucket/prefix` into which the night of an inbox writes the student's mattes. Empty: nowhere."""
    night: Night = Night()
    stage: StageLimits = StageLimits()
    redistill: Redistill = Redistill()
    notify: Notify = Notify()

    @property
    def architectures(self) -> dict[str, str]:
        """Role -> architecture."""
        return {
            "teacher": self.teacher.model,
            "student": self.student.model,
            "supervisor": self.supervisor.model,
        }

    def tile(self, role: str) -> int:
        """Side of the tiles in which a role's network sees frames; 0 for whole frames."""
        return self.teacher.tile if role == "teacher" else 0


_PATHS = ("store", "session", "base_data", "weights", "scribbles", "truth", "inbox", "exports")


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Read the configuration.

    Args:
        path: the file; None reads `capmat.toml` of the working folder if it is there.
        overrides: `key=value` pairs of the command line, nested keys with dots (`teacher.iterations=50`).
        environ: where `CAPMAT_<KEY>` variables are read; nested keys with two underscores.

    Raises:
        ConfigError: unreadable file, unknown key, value of the wrong type or out of range.
    """
    file = path or Path("capmat.toml")
    values: dict[str, Any] = {}
    if path is not None or file.exists():
        try:
            values = tomllib.loads(file.read_text())
        except OSError as e:
            raise ConfigError(f"cannot be read ({e.strerror})", where=str(file)) from e
        except tomllib.TOMLDecodeError as e:
            raise ConfigError(f"is no TOML ({e})", where=str(file)) from e
    base = file.resolve().parent
    for key in _PATHS:
        if values.get(key) and "://" not in values[key]:
            values[key] = str((base / values[key]).resolve())
    for name, text in sorted(environ.items()):
        if name.startswith("CAPMAT_"):
            _put(values, name.removeprefix("CAPMAT_").lower().split("__"), text, name)
    for pair in overrides:
        key, found, text = pair.partition("=")
        if not found:
            raise ConfigError("is not of the form key=value", where=f"--set {pair}")
        _put(values, key.split("."), text, f"--set {pair}")
    try:
        return Config.model_validate(values)
    except ValidationError as e:
        first = e.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{place}: {first['msg'].lower()}", where=str(file), fix="See the fields in tasks/config.py"
        ) from e


def _put(values: dict[str, Any], keys: Sequence[str], text: str, where: str) -> None:
    """Store one textual setting at its nested place; lists are written with commas."""
    node: Any = values
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{key} has no settings below it", where=where)
    fields = Config.model_fields
    for key in keys[:-1]:
        if key in fields and isinstance(sub := fields[key].annotation, type) and issubclass(sub, BaseModel):
            fields = sub.model_fields
    is_list = keys[-1] in fields and str(fields[keys[-1]].annotation).startswith("tuple")
    node[keys[-1]] = [part for part in text.split(",") if part] if is_list else text
