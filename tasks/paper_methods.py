"""The rows of the paper's Table 1: what they are called, what they scored there, and which model here takes part."""

from typing import NamedTuple

from storage.registry import Registry
from storage.store.root import Root
from tasks.models.networks import Ref
from tasks.report.figures import PAPER
from tasks.runtime.step import retryable


class Method(NamedTuple):
    """One row of Table 1.

    Attributes:
        title: its name in the paper.
        figures: MSE, SAD and Grad in the paper's units; None for a row of ours alone.
        group: `none` (no background), `plate` or `ours`.
        played: name of the score here.
        network: what to import where it is not there; "" for what is always there.
    """

    title: str
    figures: tuple[float, float, float] | None
    group: str
    played: str
    network: str = ""


def _printed(row: str) -> tuple[float, float, float]:
    _, mse, sad, grad = PAPER[row]
    return mse, sad, grad


METHODS = (
    Method("MODNet", (258.070, 28.185, 11.236), "none", "modnet", "modnet"),
    Method("VideoMatte", (124.566, 19.31, 9.955), "none", "videomatte", "videomatte"),
    Method("BiMatting", (688.757, 79.614, 15.941), "none", "bimatting", "bimatting"),
    Method("RVM (not in the paper)", None, "none", "rvm_mobilenetv3", "rvm_mobilenetv3"),
    Method("short training, no plate", None, "none", "no_plate"),
    Method("short training, plate", None, "plate", "plain"),
    Method("BGMV2 (Base)", _printed("student_base"), "plate", "student base"),
    Method("BGM", (83.970, 11.806, 12.548), "plate", "bgm", "bgm"),
    Method("Bg-DAMNet", (63.419, 18.122, 23.057), "plate", "bg_damnet", "bg_damnet"),
    Method("Bg-DAMNet (da)", (52.025, 16.560, 21.079), "plate", "bg_damnet_da", "bg_damnet_da"),
    Method("Bg-ViTMatte", _printed("teacher_base"), "plate", "teacher base"),
    Method("Bg-ViTMatte (Ours)", _printed("teacher_refined"), "ours", "refined"),
    Method("BGMV2 (D.)", _printed("student_refined"), "ours", "distilled 0"),
)


def why_absent(network: str) -> str:
    """Why a method of Table 1 has no figures here, and how it gets some."""
    from capmat_models.networks.configs import ARCHITECTURES, UNAVAILABLE

    if network in UNAVAILABLE:
        reason, fix = UNAVAILABLE[network]
        return f"{reason}. {fix}"
    if network in ARCHITECTURES:
        return f"No published weights were imported: capmat models import FILE --as {network}."
    return (
        "capmat cannot build this network. Import an exported one: "
        f"capmat models import FILE --as {network} --contract rgb (or rgb+plate, recurrent)."
    )


def imported(store: str, known: list[Ref]) -> dict[str, Ref]:
    """The newest version of every model that was brought from outside and can matte a take, by its name.

    Args:
        store: URL of the store.
        known: models that have a row anyway.
    """
    from capmat_models.networks.configs import ARCHITECTURES

    found: dict[str, Ref] = {}
    for entry in Registry(Root(store)).entries():
        model, card = Ref(name=entry["name"], version=entry["version"]), entry["card"]
        network = ARCHITECTURES.get(card.get("architecture", ""))
        wants_trimap = network is not None and "trimap" in network.inputs
        if card.get("kind") in ("published", "adapted", "exported") and model not in known and not wants_trimap:
            found[model["name"]] = model
    return found


imported_task = retryable("imported models")(imported)
