"""The one typed configuration: every setting, with its range, its default, and when to change it.

The model is frozen and refuses unknown keys, so a typing error is found before work starts. It is also the parameter
of every flow: the Prefect UI shows it as a form. `tasks/runtime/settings.py` reads it and writes docs/settings.md.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_WEIGHTS = Path(__file__).resolve().parent / "models" / "weights"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1]:
        raise ValueError("yellow must be above 0, and not above red")
    return limits


class Teacher(_Section):
    """Fine-tuning of the teacher (paper, sections 4.2 and 5.1). The defaults fit the demo size."""

    model: str = "bg_vitmatte_xs"
    """Architecture. The paper uses `bg_vitmatte_s`; with it, use the paper's other values, too."""
    iterations: int = Field(340, ge=1)
    """Steps of the optimiser. The paper: 2000."""
    batch: int = Field(5, ge=2)
    """Crops per step. The paper: 16. Lower it when memory runs out."""
    scribble_share: float = Field(0.4, ge=0.0, le=1.0)
    """Share of each batch that is cut from scribbled frames. The paper's best: 0.2 (Fig. 6); the demo's: 0.4. With
    more, the teacher forgets the base data; with less, painted errors survive."""
    scribble_weight: float = Field(10.0, gt=0)
    """Weight of the loss of a scribbled crop against that of a base crop. Raise it when painted errors survive."""
    crop: int = Field(192, ge=32)
    """Side of the square training window, in pixels of what the network sees: small frames are enlarged for it
    (docs/models.md). At most the shorter side of a frame. ViTMatte: 512."""
    plate_share: float = Field(0.5, ge=0, le=1)
    """Share of the base crops that lie over plates of the stage, with its noise. The paper: 0."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor between the learning rates of neighbouring blocks. ViTMatte: 0.65. 1 for a small network."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at the start. The paper: 5e-5. Lower it when the loss is not a number."""
    lr_late: float = Field(5e-5, gt=0)
    """Learning rate from `lr_late_from` on. The paper: 2.5e-5."""
    lr_late_from: float = Field(0.5, ge=0, le=1)
    """When the late rate starts, as a share of the iterations. The paper: 0.3 (step 600 of 2000)."""
    noise: float = Field(0.05, ge=0)
    """Largest standard deviation of the Gaussian noise on frame and plate, in display units 0..1. The paper: 0.1
    (Fig. 5), which hides dark hair from a dark wall. Raise it when `stage check` says that cameras are noisier."""
    tile: int = Field(0, ge=0, multiple_of=64)
    """Side of the tiles in pixels, such as 1024, for frames that do not fit into memory (6 megapixels take 3 GB, 24.5
    take 7). 0: whole frames. Tiles are an approximation, and the name of the run says so."""


class Student(_Section):
    """Distillation of the student (paper, sections 4.3 and 5.1). The defaults fit the demo size."""

    model: str = "bgmv2_mobilenetv2_xs"
    """Architecture. `bgmv2_mobilenetv2` is the published size."""
    base_iterations: int = Field(60, ge=0)
    """Steps on the base network alone. The paper: 365 (5 epochs of 580 images)."""
    joint_iterations: int = Field(100, ge=0)
    """Steps on base network and refiner together. The paper: 1450 (10 epochs)."""
    batch: int = Field(6, ge=4)
    """Crops per step of the base network; base and refiner together take half. The paper: 8, then 4."""
    crop: int = Field(384, ge=32)
    """As `teacher.crop`, a multiple of 4. The full size uses 2048."""
    lr_scale: float = Field(1.5, gt=0)
    """Factor on the learning rates of BackgroundMattingV2. 1 for the published size."""
    decay: bool = True
    """Let the learning rates fall towards the end. The paper keeps them constant, over far more steps."""
    frozen_norms: bool = True
    """BatchNorm keeps the statistics that the student brings. The paper: false, with larger batches of one stage.
    Small batches with base composites in them have statistics that fit neither."""
    base_share: float = Field(0.25, ge=0, le=1)
    """Share of crops that are base composites. The paper: 0, with 20 scenes. With a few performers the student
    otherwise learns their clothes by heart."""
    plate_share: float = Field(0.5, ge=0, le=1)
    """Share of the base composites that lie over plates of the stage. The paper: 0."""
    recolour: float = Field(0.6, ge=0, le=1)
    """Share of stage crops whose subject gets other colours, for the same reason. 0 with many performers."""


class Supervisor(_Section):
    """The trimap model that makes the mattes of benchmarks (paper, section 4.4)."""

    model: str = "closed_form"
    """`closed_form` (closed-form matting, without weights), or an architecture. The paper uses `diffmatte_vits`, of
    which you import weights."""
    second: str = "diffmatte_xs"
    """Another one, for a second opinion on every benchmark. Empty: none, which saves its time."""
    doubt: float = Field(0.0032, gt=0)
    """Mean squared difference of the two mattes from which on the supervisor may be wrong on a picture. Lower it to
    look at more pictures."""
    steps: int = Field(10, ge=1)
    """Sampling steps of DiffMatte. Its published figures use 10."""


class Reconstruction(_Section):
    """One frame of one take as a radiance field (paper, section 5.4)."""

    backend: Literal["auto", "nerfstudio", "voxel-grid"] = "auto"
    """`auto` uses Nerfstudio if its environment and a GPU exist, and the voxel grid on the CPU if not."""
    preset: Literal["paper", "carve", "quick"] = "carve"
    """`paper`: the paper's settings. `carve`: the same before random backgrounds, so that holes and haloes of mattes
    cost. `quick`: short and coarse. docs/reconstruct.md has the figures."""
    nerfstudio: str = ""
    """Python of the environment that has Nerfstudio. Empty: the one that `capmat reconstruct --install` made."""
    held_out: tuple[str, ...] = ()
    """Cameras that are held out of the training and used for the score. Empty: see `hold_out_every`."""
    hold_out_every: int = Field(6, ge=2)
    """Every n-th camera by name (the third, the ninth, ... for 6) is held out and used for the score."""
    iterations: int = Field(300, ge=1)
    """Optimisation steps of the voxel grid. Those of Nerfstudio come with the preset."""
    resolution: int = Field(160, ge=16, multiple_of=16)
    """Voxels along each side of the cube."""
    box_centre: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Middle of the reconstructed cube, in metres; z points up. It counts only with `box_size`."""
    box_size: float = Field(0, ge=0)
    """Side of the cube, in metres. 0: the cameras' distance from the point at which all look, in its middle."""


class Mine(_Section):
    """Where a scribble would help most; see docs/mine.md."""

    frames: int = Field(8, ge=1)
    """Frames of a take that are searched, evenly spread. Raise it when performers do many different things."""
    pictures: int = Field(48, ge=1)
    """Pictures of these frames that go through the student again, three times each. This takes most of the time."""
    top: int = Field(20, ge=1)
    """Boxes in a queue: as many as a person will look at."""
    night_pictures: int = Field(0, ge=0)
    """Like `pictures`, for every take that a night has matted. 0: none. Use dozens if people scribble every day."""


class Gate(_Section):
    """When a challenger takes the place of the model in use. It must meet all four conditions."""

    margin: float = Field(0.95, gt=0)
    """Largest MSE of the challenger on the benchmark, as a share of the champion's."""
    worst: float = Field(2.0, gt=1)
    """Largest MSE on any single benchmark image, as a multiple of the champion's."""
    latency: float = Field(1.5, gt=0)
    """Longest time of a frame, as a multiple of the champion's. Raise it if quality is worth the time; lower it to 1
    if nights are short. Networks of one structure are equally fast and not timed."""
    hull: float = Field(0.005, ge=0)
    """Largest increase of the share of silhouettes (0..1) that does not fit the other cameras' mattes. Raise it if
    few cameras or a rough calibration make that figure jump."""


class Paper(_Section):
    """What `capmat paper` runs beyond the sections above. The defaults are its small setting; see docs/paper.md."""

    base_iterations: int = Field(300, ge=1)
    """Steps of each of the three teachers that start from fresh weights: with plate and noise, without plate, without
    noise. Raise it until the last picture of Fig. 5 shows a whole subject. ViTMatte: 134,687."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0, 0.2, 0.4, 0.6, 0.8, 1)
    """Shares of scribbled crops in a batch (Fig. 6). Each must make at least one whole crop, or be 0; for the paper's
    0.1, set `teacher.batch` to 10."""
    share_iterations: int = Field(100, ge=1)
    """Fine-tuning steps for each share. The paper uses as many as for the teacher."""
    noise: tuple[Annotated[float, Field(ge=0)], ...] = (0, 0.03, 0.06, 0.1)
    """Standard deviations of the noise on the frames on which Fig. 5 is judged, in display units 0..1."""
    seeds: int = Field(2, ge=1)
    """Trainings of each student of Table 2, each from another seed. The table shows their means."""


class Redistill(_Section):
    """When new labels start a training by themselves; see docs/automation.md."""

    quiet_s: int = Field(60, ge=10)
    """Seconds without another new label set before `redistill` starts, so that ten sets in a row make one run."""


class Notify(_Section):
    """Who is told when a run fails or needs a person; see docs/automation.md."""

    blocks: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")], ...] = ()
    """Prefect blocks, each as TYPE/NAME: `slack-webhook/stage`. Addresses and passwords stay in the block."""


Limits = Annotated[tuple[float, float], AfterValidator(_rising)]
"""The figures from which on a finding is yellow, and red."""


class StageLimits(_Section):
    """What `capmat stage check` reports (docs/stage.md). A pair says where yellow begins, and where red does."""

    drift: Literal["warn", "block"] = "warn"
    """`block` refuses to ingest a take whose plate does not fit (red: the camera moved, or its focus or exposure
    changed). `warn` ingests it and reports it in the morning. Use `block` if a person can record the plate again."""
    mend: Literal["off", "warn", "auto"] = "auto"
    """What happens to a plate that a camera has moved away from, or whose exposure has changed. `auto` lays it under
    the take if the stage then fits clearly better, and says so; the stage's own plate stays. `warn` only says so."""
    empty_frames: int = Field(4, ge=1)
    """Frames of the empty stage that are measured, per camera. More measure noise and flicker better."""
    take_frames: int = Field(2, ge=1)
    """Frames of the take that are measured, spread over it (over the first 100 of a video)."""
    shift: Limits = (0.5, 1.5)
    """Movement of a camera since its plate, in pixels at the corner that moved most. Raise it with the resolution."""
    focus: Limits = (0.25, 0.5)
    """Share (0..1) of the finest detail that the take lacks against the plate, or the plate against the take."""
    exposure: Limits = (0.03, 0.1)
    """Relative change of a camera's brightness since its plate, beyond that of the other cameras. A change that all
    cameras share counts from twice this on, since a subject takes light from all."""
    colour: Limits = (0.02, 0.06)
    """Relative change between red, green and blue from plate to take."""
    noise: Limits = (1.4, 3.0)
    """Noise of a camera, as a multiple of the other cameras' or of its own plate's."""
    training: Limits = (1.0, 2.0)
    """Noise at the noisiest brightness, as a multiple of `teacher.noise`, up to which the models have learned it."""
    flicker: Limits = (0.01, 0.05)
    """Relative difference in brightness between the empty frames."""
    lamps: Limits = (0.001, 0.3)
    """Share (0..1) of the picture that is clipped. Lower it if people with loose hair are recorded."""
    glossy: Limits = (0.002, 0.05)
    """Share (0..1) of the picture that changes with structure away from the subject: reflections, moved things."""
    dark: Limits = (0.1, 0.75)
    """Share (0..1) of the subject's surroundings that is dark and flat. Raise it if nobody wears dark clothes."""


class Night(_Section):
    """What `nightly` does with the sessions of an inbox."""

    still_minutes: float = Field(10, ge=0)
    """Minutes for which no file of a take may have changed before the take is ingested. Raise it if copies pause."""
    teacher_every: int = Field(0, ge=0)
    """The teacher mattes every n-th frame of each take. 0: all frames of `scribble_takes` and benchmarks alone."""
    formats: tuple[Literal["exr", "png", "tiff", "mp4", "prores"], ...] = ("exr",)
    """Kinds of files that are written into `exports`."""
    until: str = Field("", pattern=r"^(([01]?\d|2[0-3]):[0-5]\d)?$")
    """When the night should end, by the clock of this machine: `07:00`. The teacher then skips frames to keep it.
    Empty: no limit."""
    keep_days: int = Field(90, ge=0)
    """Days for which the history of nights stays: runs with their logs, morning reports, plans. 0: for ever."""


class Cluster(_Section):
    """Where the tasks run. docs/clusters.md has a table of the kinds."""

    kind: Literal["local", "local-cuda", "slurm", "kubernetes", "address"] = "local"
    """`local`: processes on this machine. `local-cuda`: the same, and one more process for each GPU. `slurm`: a job
    for each worker. `kubernetes`: a pod for each worker. `address`: a Dask scheduler that runs already."""
    address: str = ""
    """A Dask scheduler that runs already, `tls://host:8786`. If it is set, no other kind is started."""
    tls: str = ""
    """Folder with `ca.pem`, `cert.pem`, `key.pem` of this cluster. Empty: a new key for each cluster that starts."""
    insecure: bool = False
    """Use a scheduler without TLS. Everyone who reaches its port runs commands as you: see docs/security.md."""
    workers: int = Field(2, ge=1)
    """CPU processes on this machine (one for each free core), SLURM jobs, or pods."""
    maximum: int = Field(0, ge=0)
    """Number of workers up to which the cluster grows while tasks wait. 0: always `workers`."""
    memory: str = "3.5GiB"
    """Memory limit of one worker. A task that needs more ends as an error, and the machine stays alive."""
    silent_minutes: float = Field(180, gt=0)
    """Minutes without progress after which a task is hung and another worker tries it. Raise it for Nerfstudio."""
    train_threads: int = Field(2, ge=1)
    """Torch threads of a training; its figures differ a little with them. Raise it for full sizes without a GPU."""
    gpu: bool = False
    """Every SLURM job or pod asks for one GPU. (`local-cuda` counts the GPUs itself.)"""
    queue: str = ""
    """SLURM partition. Empty: the site's default."""
    account: str = ""
    """SLURM account that the jobs are charged to."""
    walltime: str = "12:00:00"
    """Longest time of one SLURM job, as H:MM:SS; longer than a night."""
    directives: tuple[str, ...] = ()
    """More `#SBATCH` lines, such as `--constraint=h100`."""
    image: str = ""
    """Container image of the pods, with the same version of capmat in it."""
    namespace: str = "default"
    """Kubernetes namespace of the pods."""
    extra: dict[str, Any] = {}
    """Arguments that go unchanged to LocalCluster, SpecCluster, SLURMCluster or KubeCluster, whichever is started."""

    @model_validator(mode="after")
    def _fits(self) -> "Cluster":
        if self.kind == "address" and not self.address:
            raise ValueError("kind address needs the address of a scheduler")
        if self.kind == "kubernetes" and not self.image and not self.address:
            raise ValueError("kind kubernetes needs an image")
        if self.maximum and self.kind == "local-cuda":
            raise ValueError("the number of GPUs does not grow; remove maximum")
        if 0 < self.maximum < self.workers:
            raise ValueError("maximum is below workers")
        return self


class Config(_Section):
    """Everything that a run can be told. See `capmat.toml` for a filled-in example."""

    store: str = ".capmat/store"
    """Where takes, mattes, models and reports are kept: a folder, or `s3://bucket/prefix`."""
    session: str = "samples/session/session.toml"
    """The recorded day to work on: its `session.toml`."""
    base_data: str = "samples/base"
    """Folder of foregrounds and backgrounds that are composited while training runs (the paper: Adobe DIM)."""
    weights: str = str(_WEIGHTS)
    """Folder of the base weights: `<model>/model.safetensors` and `card.json`."""
    scribbles: str = ".capmat/scribbles"
    """Inbox of painted overlays: `<take>/<camera>/<frame>.png`."""
    truth: str = ""
    """Folder of the true mattes of a rendered session, which only reports read. Empty: the truth is not known."""
    scribble_takes: tuple[str, ...] = ()
    """Takes that the teacher mattes every night, so that people can scribble where it fails."""
    validation_takes: tuple[str, ...] = ()
    """Takes whose labels no training sees, because models are measured on them. Names or patterns (`*-val`). Hold one
    take back once several are labelled. Empty: training uses all labels."""
    pseudo_takes: tuple[str, ...] = ()
    """Takes that the refined teacher labels for the student. Empty: those of the session that no earlier round used
    here, and that serve neither scribbles, validation nor the benchmark."""
    seed: int = 0
    """Start of every random number of the run."""
    cameras_per_task: int = Field(6, ge=1)
    """Cameras of one inference task. With fewer, less work is repeated after a crash."""
    teacher: Teacher = Teacher()
    student: Student = Student()
    supervisor: Supervisor = Supervisor()
    reconstruction: Reconstruction = Reconstruction()
    mine: Mine = Mine()
    gate: Gate = Gate()
    paper: Paper = Paper()
    cluster: Cluster = Cluster()
    inbox: str = ""
    """Folder whose session folders `nightly` takes in as they arrive. Empty: it works on `session` alone."""
    exports: str = ""
    """Folder or `s3://bucket/prefix` for the student's mattes of an inbox's night. Empty: none are written."""
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
