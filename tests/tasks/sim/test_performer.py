"""A performer is one person through a take: same bones, feet on the floor, hair outside the head."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sim.body import skeleton
from tasks.sim.hair import Hair, grow, spline
from tasks.sim.performer import Look, cast, guest, performer
from tasks.sim.solid import Cloth, Part, surface

BONES = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([performer, guest]), st.integers(0, 10_000), st.integers(0, 200))
def test_bones_keep_their_length_and_the_lower_foot_stands_on_the_floor(
    person: Callable[[int], Look], seed: int, frame: int
) -> None:
    look = person(seed)
    still, moved = skeleton(look, 0), skeleton(look, frame)
    for side in "lr":
        for a, b in BONES:
            lengths = [np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"]) for at in (still, moved)]
            np.testing.assert_allclose(*lengths)
    sole = min(moved["l_ankle"][2], moved["r_ankle"][2]) - 0.042 * look.height
    np.testing.assert_allclose(sole, 0, atol=1e-9)


def test_a_seed_is_one_person_and_another_seed_another() -> None:
    assert performer(3) == performer(3)
    assert performer(3) != performer(4)
    assert performer(3, height=1.5).height == 1.5


def test_guests_are_of_all_kinds_and_none_performs_in_a_session() -> None:
    guests = [guest(seed) for seed in range(60)]
    assert guests[3] == guest(3)
    assert min(look.height for look in guests) < 1.2
    assert max(look.height for look in guests) > 1.9
    assert {look.details.hat for look in guests if look.details} == {"", "cap", "brim", "beanie"}
    assert {"bag", "racket", "plush", "stool", "umbrella"} <= {look.prop for look in guests}
    assert not any(cast(name).details for name in ("amber", "birch", "cedar"))


def test_a_beard_grows_on_the_chin() -> None:
    head, radii, face = np.array([0.0, 0.0, 1.6]), np.array([0.08, 0.095, 0.115]), np.array([0.0, 1.0, 0.0])
    roots = grow(Hair("beard", (0.1, 0.1, 0.1), 300), head, radii, face)[:, 0, :3] - head
    assert (roots[:, 1] > 0).all()
    assert (roots[:, 2] < 0).all()


def test_a_performer_moves_between_frames() -> None:
    look = performer(5)
    assert np.abs(skeleton(look, 1)["r_palm"] - skeleton(look, 3)["r_palm"]).max() > 0.005


def test_a_surface_is_where_the_distance_is_zero_and_its_normals_point_outwards() -> None:
    ball = surface([Part("ellipsoid", np.array([0.1, 0.2, 0.3]), np.full(3, 0.2), Cloth((0.2, 0.4, 0.6)))])
    out = ball.vertices - [0.1, 0.2, 0.3]
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 0.2, atol=1e-3)
    assert ((out * ball.normals).sum(axis=1) > 0.19).all()
    a, b, c = (ball.vertices[ball.faces[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * (a - [0.1, 0.2, 0.3])).sum(axis=1) > -1e-9).mean() > 0.99
    np.testing.assert_allclose(ball.colours, np.tile([0.2, 0.4, 0.6], (len(out), 1)))


def test_hair_grows_from_the_scalp_and_falls() -> None:
    head, radii, face = np.array([0.0, 0.0, 1.6]), np.array([0.08, 0.095, 0.115]), np.array([0.0, 1.0, 0.0])
    strands = spline(grow(Hair("long", (0.1, 0.1, 0.1), 300), head, radii, face))
    assert len(strands) == 300
    assert np.median(strands[:, -1, 2]) < 1.45
    assert (strands[..., 3] > 0).all()


def test_a_straight_row_of_controls_gives_a_straight_spline() -> None:
    controls = np.linspace([0, 0, 0, 1], [8, 4, 0, 1], 9)[None]
    points = spline(controls)[0]
    np.testing.assert_allclose(points[:, 0], 2 * points[:, 1], atol=1e-12)
    np.testing.assert_allclose(points[[0, -1], 0], [1, 7])
