"""Bodies: where the joints of a performer are at a frame, and the shapes that are rendered.

The pose is a function of the frame number, so a take can be rendered in any order and resumed anywhere.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from tasks.sim.hair import strands
from tasks.sim.performer import Look
from tasks.sim.solid import VERTEX_COLOUR, Array, Cloth, Part, mesh, surface

_LIMB = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist", "palm")


def shapes(look: Look, frame: int, seed: int = 0) -> dict[str, Any]:
    """The performer at one frame as entries of a Mitsuba scene, standing on the floor at the stage axis.

    Args:
        look: from `performer`.
        frame: decides the pose.
        seed: decides the single strands.
    """
    joints = skeleton(look, frame)
    skin = surface(_body(look, joints))
    made = {
        "performer": mesh("performer", skin, _cloth(0.35)),
        "hair": strands(look.hair, joints["head"], _head_radii(look), joints["face"], seed),
    }
    held = _prop(look, joints)
    if held:
        made["prop"] = mesh("prop", surface(held, voxel=0.009), _cloth(0.15))
    return made


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
    at["head"] = at["pelvis"] + 0.395 * size * spine
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
            *_fingers(get["wrist"], get["palm"], skin, s),
        ]
    if look.skirt:
        hem = at["pelvis"] - [0, 0, 0.24 * s]
        parts.append(
            Part("skirt", at["pelvis"] + [0, 0, 0.03 * s], hem, look.bottom, 0.075 * s * w, look.skirt, blend=0.01)
        )
    return parts


def _fingers(wrist: Array, palm: Array, skin: Cloth, size: float) -> list[Part]:
    along = (palm - wrist) / np.linalg.norm(palm - wrist)
    across = np.cross(along, [0.0, 0.0, 1.0]) + 1e-3
    across /= np.linalg.norm(across)
    tips = [palm + size * (0.045 * along + k * 0.03 * across) for k in (-1.0, -0.33, 0.33, 1.0)]
    return [Part("bone", palm, tip, skin, 0.009 * size, 0.006 * size, blend=0.008) for tip in tips]


def _head_radii(look: Look) -> Array:
    return look.height * np.array([0.047, 0.056, 0.067])


def _prop(look: Look, at: dict[str, Array]) -> list[Part]:
    where = at["r_palm"] - np.array([0, 0, {"box": 0.10, "ball": 0.13}.get(look.prop, 0.0)])
    side = np.array([math.cos(look.yaw), math.sin(look.yaw), 0.0])
    lean = np.array([0.25 * side[0], 0.25 * side[1], 1.0])
    if look.prop == "stick":
        low = where - lean * min(0.55, (where[2] - 0.03) / lean[2])
        return [Part("bone", low, where + 0.6 * lean, look.prop_cloth, 0.013, 0.011, blend=0)]
    if look.prop == "ball":
        return [Part("ellipsoid", where, np.full(3, 0.12), look.prop_cloth, blend=0)]
    if look.prop == "box":
        return [Part("box", where, np.array([0.14, 0.09, 0.1]), look.prop_cloth, turn=look.yaw, blend=0)]
    if look.prop == "hoop":
        turn = np.linspace(0, 2 * math.pi, 21)
        ring = [where + 0.26 * (math.cos(t) * side + [0, 0, math.sin(t) + 0.9]) for t in turn]
        return [Part("bone", a, b, look.prop_cloth, 0.012, 0.012, blend=0) for a, b in pairwise(ring)]
    return []


def _cloth(gloss: float) -> dict[str, Any]:
    return {
        "type": "principled",
        "base_color": VERTEX_COLOUR,
        "roughness": 0.75 if gloss > 0.2 else 0.45,
        "specular": gloss,
    }
