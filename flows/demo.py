"""The whole chain once, on the sample session: `make demo`.

The nightly flow with the base models, then strokes, then the redistil flow, the reconstruction and the report.
The strokes come from a simulated annotator who, like a person, knows what is subject and what is stage: it
alone reads the ground truth, paints PNG overlays into the inbox, and the pipeline imports them like anybody's.
"""

from collections.abc import Sequence
from typing import Any

from prefect import flow

from flows.cluster.runner import default_runner
from flows.nightly import nightly
from flows.reconstruct import reconstruct
from flows.redistill import redistill
from tasks.models.networks import Run
from tasks.report.round import report_task
from tasks.runtime.form import asked
from tasks.runtime.progress import say
from tasks.runtime.step import Record
from tasks.sim.hand import annotate_task


@flow(name="demo", flow_run_name="demo", task_runner=default_runner())
def demo(overrides: Sequence[str] = (), config: str = "") -> Record:
    """Run every part of capmat on one session that comes with ground truth.

    Args:
        overrides: settings as KEY=VALUE; see `tasks.runtime.form.asked`.
        config: file with the settings, in which `truth` and `scribble_takes` must be set.

    Returns:
        Record of the report: `report` (the numbers), `html` and `json` (their paths).
    """
    settings = asked(config, overrides)
    same: dict[str, Any] = {"overrides": overrides, "config": config}
    say("1/5  nightly: ingest, base mattes, benchmark")
    night: dict[str, Any] = nightly(models="base", **same)
    say("2/5  a simulated person scribbles where the base teacher failed")
    run = Run("teacher", night["models"]["teacher"]).name
    for name in settings.scribble_takes:
        annotate_task(settings.store, settings.scribbles, settings.truth, name, run, settings.seed)
    say("3/5  redistil: fine-tune, pseudo-label, distil, validate, gate")
    round_ = redistill(**same)
    say("4/5  reconstruct with base and with refined mattes")
    rebuilt = reconstruct(round_["runs"]["student_base"], round_["runs"]["student_refined"], **same)
    say("5/5  report")
    return report_task(settings, night, round_, rebuilt)
