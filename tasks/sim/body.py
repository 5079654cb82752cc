"""Bodies: where the joints of a performer are at a frame, and the shapes that are rendered.

The pose is a function of the frame number, so a take can be rendered in any order and resumed anywhere.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from tasks.sim.hair import Hair, knot, strands
from tasks.sim.performer import Details, Look
from tasks.sim.solid import VERTEX_COLOUR, Array, Cloth, Part, Surface, mesh, surface

_LIMB = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist", "palm")


def shapes(look: Look, frame: int, seed: int = 0, *, voxel: float = 0.013) -> dict[str, Any]:
    """The performer at one frame as entries of a Mitsuba scene, standing on the floor at the stage axis.

    Args:
        look: from `performer`.
        frame: decides the pose.
        seed: decides the single strands.
        voxel: grid step of the body in metres; things held have 9 mm at most.
    """
    joints = skeleton(look, frame)
    skin, held = _surfaces(look, frame, voxel)
    head, radii = joints["head"], _head_radii(look)
    made = {
        "performer": mesh("performer", skin, _cloth(0.35)),
        "hair": strands(look.hair, head, radii, joints["face"], seed),
    }
    if held:
        made["prop"] = mesh("prop", held, _cloth(0.15))
    if look.prop == "plush":
        fur = Hair("afro", look.prop_cloth.colour, 3000, 0.5)
        ball = _prop(look, joints)[0]
        made["fur"] = strands(fur, ball.a, ball.b, np.zeros(3), seed + 1)
    if look.details and look.details.beard:
        beard = replace(look.hair, style="beard", count=look.hair.count // 2)
        made["beard"] = strands(beard, head, radii, joints["face"], seed + 2)
    if look.details and look.details.hat == "beanie":
        pompom = Hair("crop", look.details.hat_cloth.second, 2500, 0.5)
        made["pompom"] = strands(pompom, head + [0, 0, 1.3 * radii[2]], radii[[0, 0, 0]] * 0.4, np.zeros(3), seed + 3)
    return made


@functools.lru_cache(maxsize=1)  # the same frame goes into several scenes
def _surfaces(look: Look, frame: int, voxel: float) -> tuple[Surface, Surface | None]:
    """The body, and what is held."""
    joints = skeleton(look, frame)
    held = _prop(look, joints)
    body = surface(_body(look, joints), voxel=voxel)
    return body, surface(held, voxel=min(0.009, voxel)) if held else None


def skeleton(look: Look, frame: int) -> dict[str, Array]:
    """Joint positions in metres, (3,) each; "face" is the unit vector that the head faces.

    The lower of the two feet touches the floor whatever the pose.
    """
    angle = np.array(look.pose) + np.array(look.swing) * math.sin(look.phase + 0.55 * frame)
    size, wide = look.height, look.girth
    forward = np.array([-math.sin(look.yaw), math.cos(look.yaw), 0.0])
    side = np.array([math.cos(look.yaw), math.sin(look.yaw), 0.0])
    up = np.array([0.0, 0.0, 1.0])

    def limb(swing: float, raise_: float, hand: int) -> Array:
        out = math.sin(raise_) * hand * side
        return out + math.cos(raise_) * (math.sin(swing) * forward - math.cos(swing) * up)

    at: dict[str, Array] = {"pelvis": 0.53 * size * up}
    spine = math.cos(angle[12]) * up + math.sin(angle[12]) * forward
    at["chest"] = at["pelvis"] + 0.20 * size * spine
    at["neck"] = at["pelvis"] + 0.30 * size * spine
    at["head"] = at["pelvis"] + (0.395 + 0.05 * (_head(look) - 1)) * size * spine
    turn = angle[13]
    at["face"] = math.cos(turn) * forward + math.sin(turn) * side
    for k, (name, hand) in enumerate((("l", -1), ("r", 1))):
        leg, arm = angle[3 * k : 3 * k + 3], angle[6 + 3 * k : 9 + 3 * k]
        hip = at["pelvis"] + 0.052 * size * wide * hand * side
        knee = hip + 0.245 * size * limb(leg[0] + 0.5 * leg[2], leg[1], hand)
        ankle = knee + 0.235 * size * limb(leg[0] - 0.5 * leg[2], leg[1], hand)
        toe = ankle + 0.105 * size * (forward + 0.2 * hand * side) - 0.012 * size * up
        shoulder = at["neck"] - 0.025 * size * spine + 0.105 * size * wide**0.5 * hand * side
        elbow = shoulder + 0.165 * size * limb(arm[0], arm[1], hand)
        wrist = elbow + 0.145 * size * limb(arm[0] + arm[2], 0.8 * arm[1], hand)
        palm = wrist + 0.045 * size * limb(arm[0] + arm[2], 0.7 * arm[1], hand)
        at |= {
            f"{name}_{n}": v
            for n, v in zip(_LIMB, (hip, knee, ankle, toe, shoulder, elbow, wrist, palm), strict=True)
        }
    drop = min(at["l_ankle"][2], at["r_ankle"][2]) - 0.042 * size
    return {name: p if name == "face" else p - drop * up for name, p in at.items()}


def _body(look: Look, at: dict[str, Array]) -> list[Part]:
    s, w = look.height, look.girth
    skin = Cloth(look.skin)
    lower = skin if look.skirt else look.bottom

    def round_(middle: Array, radii: Array, cloth: Cloth, blend: float = 0.025) -> Part:
        return Part("ellipsoid", middle, radii, cloth, turn=look.yaw, blend=blend)

    torso = (
        (at["chest"] + [0, 0, 0.015 * s], (0.098 * w, 0.065 * w, 0.105), look.top, 0.05),
        (at["pelvis"] + [0, 0, 0.07 * s], (0.082 * w, 0.062 * w, 0.10), look.top, 0.05),
        (at["pelvis"] - [0, 0, 0.005 * s], (0.092 * w, 0.068 * w, 0.07), look.bottom, 0.04),
    )
    parts = [
        round_(at["head"], _head_radii(look), skin),
        Part("bone", at["neck"] - [0, 0, 0.02 * s], at["head"], skin, 0.034 * s, 0.032 * s),
        *(round_(middle, s * np.array(radii), cloth, blend) for middle, radii, cloth, blend in torso),
    ]
    for n in "lr":
        get = {name: at[f"{n}_{name}"] for name in _LIMB}
        upper = look.top if look.sleeves >= 1 else skin
        fore = look.top if look.sleeves >= 2 else skin
        thick = 0.008 * s if look.sleeves == 2 else 0.0
        sole = get["ankle"] - [0, 0, 0.016 * s], get["toe"] - [0, 0, 0.008 * s]
        parts += [
            Part("bone", get["hip"], get["knee"], lower, 0.055 * s * w, 0.037 * s * w**0.5),
            Part("bone", get["knee"], get["ankle"], lower, 0.037 * s * w**0.5, 0.026 * s),
            Part("bone", sole[0], sole[1], look.shoes, 0.027 * s, 0.022 * s, blend=0.01),
            Part("bone", get["shoulder"], get["elbow"], upper, 0.034 * s * w**0.5, 0.026 * s + thick),
            Part("bone", get["elbow"], get["wrist"], fore, 0.025 * s + thick, 0.018 * s + thick),
            Part("bone", get["wrist"], get["palm"], skin, 0.018 * s, 0.024 * s),
            *_fingers(get["wrist"], get["palm"], skin, s, bent=look.details is not None),
        ]
    if look.skirt:
        hem = at["pelvis"] - [0, 0, 0.24 * s]
        waist, wide = (0.06, 0.09) if look.details else (0.03, 0.075)
        top = at["pelvis"] + [0, 0, waist * s]
        parts.append(Part("skirt", top, hem, look.bottom, wide * s * w, look.skirt, blend=0.01))
    return parts + (_worn(look, look.details, at) if look.details else [])


def _worn(look: Look, details: Details, at: dict[str, Array]) -> list[Part]:
    """Face, belly, and the clothes that change the outline."""
    s, w, cloth, radii = look.height, look.girth, details.hat_cloth, _head_radii(look)
    k, up, face = s * details.head, np.array([0.0, 0.0, 1.0]), at["face"]
    axes = np.stack([np.cross(face, up), face, up]) * radii[:, None]
    skin, brow, lips = Cloth(look.skin), Cloth(look.hair.colour), Cloth(details.lips)

    def on(x: float, y: float, z: float) -> Array:
        """A point of the head, where (x, y, z) has length 1 on its surface: to the right, forward, up."""
        return at["head"] + np.array([x, y, z]) @ axes

    def blob(middle: Array, sizes: Any, cloth: Cloth, blend: float = 0.003) -> Part:
        return Part("ellipsoid", middle, np.array(sizes), cloth, turn=look.yaw, blend=blend)

    parts = [
        Part("bone", on(0, 0.98, 0.05), on(0, 1.1, -0.2), skin, 0.005 * k, 0.009 * k, blend=0.012),
        Part("bone", on(-0.27, 0.85, -0.5), on(0.27, 0.85, -0.5), lips, 0.005 * k, 0.005 * k, blend=0.003),
        blob(on(0, -0.16, 0.14), radii, brow),  # dark below the strands, as a scalp full of hair is
    ]
    for x in (-1.0, 1.0):
        parts += [
            blob(on(0.4 * x, 0.88, 0.05), k * np.array([0.0085, 0.006, 0.0055]), Cloth((0.7, 0.7, 0.68))),
            blob(on(0.39 * x, 0.96, 0.05), k * np.full(3, 0.0042), Cloth(details.eyes)),
            Part("bone", on(0.2 * x, 0.93, 0.3), on(0.6 * x, 0.76, 0.3), brow, 0.003 * k, 0.003 * k, blend=0.002),
            blob(on(x, -0.05, -0.05), k * np.array([0.006, 0.012, 0.018]), skin),
        ]
    if look.hair.style == "bun":
        parts.append(blob(knot(at["head"], radii, face), np.full(3, 0.026 * k), brow))
    if details.belly:
        middle = at["pelvis"] + 0.08 * s * up + details.belly * s * face
        parts.append(blob(middle, s * w * np.full(3, 0.075), look.top, 0.05))
    if details.coat:
        hem = at["pelvis"] - details.coat * s * up
        parts.append(Part("skirt", at["chest"], hem, look.top, 0.09 * s * w, (0.11 + 0.2 * details.coat) * s * w))
    if details.scarf:
        end = at["chest"] + 0.09 * s * w * face
        parts += [
            Part("bone", at["neck"] - 0.012 * s * up, at["neck"] + 0.02 * s * up, cloth, 0.05 * s, 0.045 * s),
            Part("bone", at["neck"] + 0.05 * s * face, end, cloth, 0.02 * s, 0.025 * s, blend=0.01),
        ]
    if details.hat:
        parts.append(blob(on(0, -0.05, 0.4), radii * [1.14, 1.14, 0.85 if details.hat == "beanie" else 0.75], cloth))
    if details.hat == "brim":
        parts.append(blob(on(0, 0, 0.4), [2.1 * radii[0], 1.9 * radii[1], 0.01], cloth))
    if details.hat == "cap":
        parts.append(blob(on(0, 1.3, 0.4), [0.75 * radii[0], 0.6 * radii[1], 0.01], cloth))
    return parts


def _fingers(wrist: Array, palm: Array, skin: Cloth, size: float, *, bent: bool) -> list[Part]:
    """Four straight fingers; or four bent ones and a thumb."""
    along = (palm - wrist) / np.linalg.norm(palm - wrist)
    across = np.cross(along, [0.0, 0.0, 1.0]) + 1e-3
    across /= np.linalg.norm(across)
    if not bent:
        tips = [palm + size * (0.045 * along + k * 0.03 * across) for k in (-1.0, -0.33, 0.33, 1.0)]
        return [Part("bone", palm, tip, skin, 0.009 * size, 0.006 * size, blend=0.008) for tip in tips]
    inward = np.cross(across, along)

    def finger(root: Array, way: Array, long: float) -> list[Part]:
        middle = root + 0.5 * long * size * way
        tip = middle + 0.5 * long * size * (0.85 * way + 0.5 * inward)
        sizes = np.array([0.0062, 0.0055, 0.0045]) * size
        ends = pairwise(((root, sizes[0]), (middle, sizes[1]), (tip, sizes[2])))
        return [Part("bone", a, b, skin, float(ra), float(rb), blend=0.004) for (a, ra), (b, rb) in ends]

    parts = finger(0.5 * (wrist + palm) + 0.014 * size * across, 0.6 * along + 0.6 * across, 0.045)
    for k in (-1.0, -0.33, 0.33, 1.0):
        root = palm + size * (0.008 * along + 0.017 * k * across)
        parts += finger(root, along + 0.12 * k * across, 0.052 - 0.008 * abs(k))
    return parts


def _head_radii(look: Look) -> Array:
    return look.height * _head(look) * np.array([0.047, 0.056, 0.067])


def _head(look: Look) -> float:
    return look.details.head if look.details else 1.0


def _prop(look: Look, at: dict[str, Array]) -> list[Part]:
    where = at["r_palm"] - np.array(
        [0, 0, {"box": 0.10, "ball": 0.13, "plush": 0.13, "bag": 0.3}.get(look.prop, 0.0)]
    )
    side = np.array([math.cos(look.yaw), math.sin(look.yaw), 0.0])
    lean = np.array([0.25 * side[0], 0.25 * side[1], 1.0])
    if look.prop == "stick":
        low = where - lean * min(0.55, (where[2] - 0.03) / lean[2])
        return [Part("bone", low, where + 0.6 * lean, look.prop_cloth, 0.013, 0.011, blend=0)]
    if look.prop in ("ball", "plush"):
        return [Part("ellipsoid", where, np.full(3, 0.12), look.prop_cloth, blend=0)]
    if look.prop == "box":
        return [Part("box", where, np.array([0.14, 0.09, 0.1]), look.prop_cloth, turn=look.yaw, blend=0)]

    def rods(radius: float, *points: Array) -> list[Part]:
        return [Part("bone", a, b, look.prop_cloth, radius, radius, blend=0) for a, b in pairwise(points)]

    def ring(wide: float, high: float, radius: float) -> list[Part]:
        turn = np.linspace(0, 2 * math.pi, 21)
        return rods(radius, *(where + wide * (math.cos(t) * side + [0, 0, math.sin(t) + high]) for t in turn))

    if look.prop == "hoop":
        return ring(0.26, 0.9, 0.012)
    if look.prop == "bag":
        sack = Part("box", where, np.array([0.16, 0.05, 0.12]), look.prop_cloth, turn=look.yaw, blend=0)
        return [sack, *ring(0.1, 1.9, 0.009)]
    up = np.array([0.0, 0.0, 1.0])
    if look.prop == "racket":
        strings = [0.05 * k for k in (-2, -1, 0, 1, 2)]
        level = [rods(0.004, *(where + e * side + (0.42 + d) * up for e in (-0.13, 0.13))) for d in strings]
        upright = [rods(0.004, *(where + d * side + e * up for e in (0.29, 0.55))) for d in strings]
        return ring(0.15, 2.8, 0.01) + rods(0.014, where - 0.1 * up, where + 0.27 * up) + sum(level + upright, [])
    if look.prop == "umbrella":
        top = where + 0.6 * up
        return [*rods(0.01, where, top), Part("skirt", top, top - 0.22 * up, look.prop_cloth, 0.01, 0.5, blend=0)]
    if look.prop == "stool":
        seat = at["pelvis"] - 0.1 * look.height * up
        legs = [seat + 0.15 * x * side + 0.15 * y * np.cross(up, side) for x in (-1, 1) for y in (-1, 1)]
        plate = Part("box", seat, np.array([0.19, 0.19, 0.02]), look.prop_cloth, turn=look.yaw, blend=0)
        return [plate, *(rods(0.015, leg, leg * [1, 1, 0])[0] for leg in legs)]
    return []


def _cloth(gloss: float) -> dict[str, Any]:
    return {
        "type": "principled",
        "base_color": VERTEX_COLOUR,
        "roughness": 0.75 if gloss > 0.2 else 0.45,
        "specular": gloss,
    }
