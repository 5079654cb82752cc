"""The acceptance test: a site that works by itself, on S3, with real servers, Dask clusters and rendered files.

A night, strokes that somebody paints, a training that starts alone and is killed together with everything else, the
promoted student, the next night. Beside it the same chain as `make demo` runs it, on a local store and undisturbed:
what both make must be the same, to the last bit of the weights. The tests tell one story, in their order.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.marker import begin_store
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.models.networks import Ref, Run
from tasks.sim.hand import annotate_take
from tests.flows.conftest import tiny_settings
from tests.flows.site import PASSWORD, Site, eventually

pytestmark = pytest.mark.chain

KEY, SECRET = "CAPMATLIVEKEY0001", "live/Secret+key.of.the.store.0002"
SECRETS = (PASSWORD, KEY, SECRET)
"""What must be written nowhere. Whatever else a site is given as a secret belongs here, and into `site`."""

BUCKET = "live"
LIMIT_S = 900
FIGURES = ("benchmark", "supervisor", "reconstruction", "promotion", "labels", "per_image")


@pytest.fixture(scope="module")
def store(s3_server: str) -> Root:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    store = Root(f"s3://{BUCKET}/site")
    begin_store(store)  # as `capmat --new-store` does
    return store


@pytest.fixture(scope="module")
def site(tiny_samples: Path, store: Root, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = [*tiny_settings(tiny_samples), f"store={store.url}"]
    pairs = (setting.split("=", 1) for setting in settings)
    env = {f"CAPMAT_{key.upper().replace('.', '__')}": value for key, value in pairs}
    site = Site(tmp_path_factory.mktemp("live"), env | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})
    try:
        site.capmat("up")
        yield site
    finally:
        site.capmat("down")
    assert not site.processes()


def in_use(store: Root, role: str) -> Ref:
    name, version = Registry(store).champion(role) or ("", "")
    return Ref(name=name, version=version)


def missing(store: Root, run: str) -> list[tuple[str, str]]:
    """Takes and cameras of the store that lack a matte of this run."""
    takes = [Take.open(store, name) for name in list_takes(store)]
    return [
        (take.name, camera)
        for take in takes
        for camera in take.cameras
        if run not in take.alpha_runs() or take.matted(run, camera) != list(take.frames)
    ]


def only(store: Root, start: str) -> dict[str, Any]:
    """The one record in the ledger whose key starts so."""
    (entry,) = Ledger(store).entries(start).values()
    assert entry
    return entry


def test_a_night_mattes_every_take_and_nothing_listens_beyond_this_machine(site: Site, store: Root) -> None:
    run, listening = site.begin("nightly"), set()

    def ended() -> Any:
        listening.update(site.listening())
        return site.ended(run)

    assert eventually(ended, LIMIT_S)["state_name"] == "Completed"
    assert len({pid for pid, _ in listening}) >= 4  # the server, the scheduler in the run, two workers
    assert {ip for _, ip in listening} == {"127.0.0.1"}
    assert sorted(list_takes(store)) == ["amber", "birch", "cedar"]
    assert in_use(store, "student")["version"] == "v0001"
    assert missing(store, Run("student", in_use(store, "student")).name) == []
    assert only(store, "benchmark/")["take"] == "cedar"


def test_strokes_become_the_student_in_use_by_themselves_although_all_is_killed(
    site: Site, store: Root, tiny_samples: Path
) -> None:
    before, painted = in_use(store, "student"), str(site.path / "painted")
    run = Run("teacher", in_use(store, "teacher")).name
    assert annotate_take(store.url, painted, f"{tiny_samples}/truth", "amber", run, seed=0)["overlays"]
    assert site.runs("redistill") == []
    site.capmat("scribbles", "import", painted)
    (started,) = eventually(lambda: site.runs("redistill"), LIMIT_S)
    assert started["created_by"]["type"] == "AUTOMATION"

    def training() -> Any:
        tasks = site.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [started["id"]]}}})
        return [task for task in tasks if task["name"].startswith("fine-tune") and task["state_type"] == "RUNNING"]

    eventually(training, LIMIT_S)
    site.kill()
    assert in_use(store, "student") == before
    site.env["CAPMAT_CLUSTER__WORKERS"] = "1"  # how many workers there are changes no weight
    site.capmat("up")

    eventually(lambda: [run for run in site.runs("redistill") if run["state_name"] == "Completed"], LIMIT_S)
    assert site.ask(f"/flow_runs/{started['id']}")["state_type"] in (
        "CRASHED",
        "COMPLETED",
    )  # and not for ever running
    verdict = Registry(store).history("student")[-1]["record"]
    assert verdict["decision"] == "PROMOTE"
    assert verdict["champion"] == before
    assert in_use(store, "student") == verdict["challenger"] != before
    assert only(store, "redistill/")["gate"]["student"] == "PROMOTE"  # these labels wait no more


def test_the_next_night_mattes_with_the_promoted_student(site: Site, store: Root) -> None:
    run = Run("student", in_use(store, "student")).name
    assert ("amber", "C01") in missing(store, run)
    night = site.begin("nightly")
    assert eventually(lambda: site.ended(night), LIMIT_S)["state_name"] == "Completed"
    assert missing(store, run) == []


def test_the_sunday_run_puts_beside_the_verdict_what_both_students_mattes_are_worth(site: Site, store: Root) -> None:
    sunday = site.begin("reconstruct")
    assert eventually(lambda: site.ended(sunday), LIMIT_S)["state_name"] == "Completed"
    verdict = Registry(store).verdicts("student")[-1]
    worth = json.loads(store.read(f"promotions/student/verdicts/{verdict['number']}.reconstruction.json"))
    assert worth["backend"].startswith("voxel-grid")
    assert len(worth["held_out"]) >= 1
    assert worth["champion"]["psnr"] != worth["challenger"]["psnr"]
    assert min(worth[row]["psnr"] for row in ("champion", "challenger")) > 0


@pytest.fixture(scope="module")
def local(site: Site) -> tuple[str, dict[str, Any]]:
    """The chain on a local store, by one command and undisturbed: what it printed, and the report."""
    return demo(site)


def demo(site: Site) -> tuple[str, dict[str, Any]]:
    out = site.capmat("--set", "store=local", "--set", "scribbles=strokes", "demo")
    (file,) = (site.path / "local/reports").glob("*/report.json")
    return out, json.loads(file.read_text())


def test_killed_and_on_s3_everything_is_as_without_to_the_last_bit(
    site: Site, store: Root, local: tuple[str, dict[str, Any]]
) -> None:
    undisturbed = Root(site.path / "local")
    names = Registry(undisturbed).names()
    assert names == Registry(store).names()
    for name in names:
        here, there = (Registry(root).entries(name) for root in (undisturbed, store))
        assert [entry["weights"] for entry in here] == [entry["weights"] for entry in there]
    for start, what in (("validate/", "per_image"), ("promote/student/", "reasons"), ("promote/teacher/", "reasons")):
        assert only(undisturbed, start)[what] == only(store, start)[what]


def test_the_chain_ends_with_figures_and_a_report(site: Site, local: tuple[str, dict[str, Any]]) -> None:
    out, report = local
    rows = {"teacher_base", "teacher_refined", "student_base", "student_refined"}
    assert set(report["benchmark"]) == set(report["supervisor"]) == rows
    assert all(0 < report["benchmark"][row]["mse"] < 1 for row in rows)
    assert report["reconstruction"]["base"]["psnr"] > 0
    assert {v["decision"] for v in report["promotion"].values()} <= {"PROMOTE", "HOLD", "REJECT"}
    assert report["wall_s"]["fine-tune teacher"] > 0
    assert "report.html" in out.splitlines()[-2]
    assert "kB travel as" not in out  # addresses and records only
    page = next((site.path / "local/reports").glob("*/report.html")).read_text()
    assert page.count("data:image/jpeg;base64,") >= 5


def test_any_model_is_measured_on_any_benchmark_and_shown_beside_the_run(
    site: Site, local: tuple[str, dict[str, Any]]
) -> None:
    words = ("validate", "bgmv2_mobilenetv2_xs@v0001", "--benchmark", "sample-cedar")
    out = site.capmat("--set", "store=local", *words)
    assert "sample-cedar@b0001 against the supervisor" in out
    (file,) = (site.path / "local/reports").glob("validation-*/validation.json")
    (row,) = json.loads(file.read_text())["scores"]["sample-cedar@b0001"]["supervisor"].values()
    assert row["mse"]["mean"] == pytest.approx(local[1]["supervisor"]["student_base"]["mse"])  # as the chain had it
    keys = {artifact["key"] for artifact in site.ask("/artifacts/filter", {"limit": 200})}
    assert "validation-sample-cedar-b0001-student-base" in keys


def test_a_second_run_reuses_everything(site: Site, local: tuple[str, dict[str, Any]]) -> None:
    _, before = local
    out, after = demo(site)
    assert "iteration" not in out  # nothing was trained again
    assert {name: after[name] for name in FIGURES} == {name: before[name] for name in FIGURES}
    assert after["wall_s"] == before["wall_s"]  # the times of the run that did the work


def written_forms(secret: str) -> list[bytes]:
    """A secret as it is, and as it looks inside of base64, which depends on what stands before it."""
    forms = [secret.encode()]
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret.encode())
        forms.append(whole[(0, 2, 3)[shift] : len(whole) - (0, 3, 2)[(shift + len(secret)) % 3]])
    return forms


def places_with(site: Site, store: Root, *texts: str) -> dict[str, list[str]]:
    """Where each text is written: files of the site (database, logs, results, local store), S3, the terminal."""
    forms = {text: written_forms(text) for text in texts}
    places: dict[str, list[str]] = {text: [out for out in site.said if text in out] for text in texts}

    def search(name: str, data: bytes) -> None:
        for text in texts:
            if any(form in data for form in forms[text]):
                places[text].append(name)

    for file in (file for file in site.path.rglob("*") if file.is_file()):
        search(str(file), file.read_bytes())
    for key in store.list():
        search(key, store.read(key))
    return places


def test_no_secret_is_written_anywhere(site: Site, store: Root) -> None:
    encoded = [
        base64.b64encode(bytes(before) + SECRET.encode() + bytes(after)) for before in range(4) for after in range(4)
    ]
    assert all(any(form in text for form in written_forms(SECRET)) for text in encoded)
    places = places_with(site, store, "redistill-after-labels", "PROMOTE", *SECRETS)
    assert str(site.path / ".capmat/prefect/prefect.db") in places["redistill-after-labels"]  # what is there is found
    assert [key for key in places["PROMOTE"] if key.startswith("ledger/")]
    assert {secret: places[secret] for secret in SECRETS} == dict.fromkeys(SECRETS, [])
