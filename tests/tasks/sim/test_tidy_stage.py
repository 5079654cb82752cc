"""A defect is in one camera alone, and is what it says."""

import numpy as np
import pytest

from flows.command.session import DEFECTS as OFFERED
from tasks.sim.cameras import ring
from tasks.sim.sensor import expose, noise_of
from tasks.sim.tidy_stage import DEFECTS, EXPOSURE, NOISE, SHIFT, Defect


def test_the_command_line_offers_the_defects_that_there_are() -> None:
    assert tuple(DEFECTS) == OFFERED
    with pytest.raises(ValueError, match="glossy-floor"):
        Defect("broken")


def test_a_camera_moves_in_takes_only_and_alone() -> None:
    rig = ring(3, (64, 80))
    moved = [Defect("moved-camera").in_take(camera).K - camera.K for camera in rig]
    assert [float(change[0, 2]) for change in moved] == [0, SHIFT, 0]
    assert all(Defect("noise").in_take(camera) is camera for camera in rig)


def test_a_longer_exposure_is_brighter_and_a_noisier_sensor_is_as_bright() -> None:
    light = np.full((200, 200, 3), 0.2, np.float32)

    def counts(defect: str, camera: str, take: bool) -> np.ndarray:
        how = Defect(defect).sensor(camera, take=take)
        return expose(light, noise_of(0, "flat"), **how).astype(float) - 64

    plain = counts("none", "C02", True)
    assert counts("exposure", "C02", True).mean() == pytest.approx(EXPOSURE * plain.mean(), rel=1e-3)
    noisy = counts("noise", "C02", False)
    assert noisy.mean() == pytest.approx(plain.mean(), rel=2e-3)
    assert noisy.std() == pytest.approx(NOISE * plain.std(), rel=0.02)
    for camera, defect, take in (("C01", "exposure", True), ("C02", "exposure", False), ("C03", "noise", True)):
        np.testing.assert_array_equal(counts(defect, camera, take), plain)
