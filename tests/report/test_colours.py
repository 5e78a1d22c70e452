"""The phases' colours, as people see them who see fewer colours, and on a grey printer."""

from __future__ import annotations

import itertools
import re

import pytest

from lib.session.rules import PHASES
from tests.conftest import ROOT

STYLE = (ROOT / "report" / "src" / "style.css").read_text()

# Linear RGB -> linear RGB as a dichromat has it (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def colours(theme: str) -> dict[str, str]:
    """The custom properties of a theme, "--paper" -> "#ffffff"."""
    found = re.findall(r"(--[\w-]+): light-dark\((#\w+), (#\w+)\);", STYLE)
    return {name: light if theme == "light" else dark for name, light, dark in found}


def linear(colour: str) -> list[float]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def lightness(rgb: list[float]) -> float:
    """Relative luminance, 0 to 1."""
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    """CIE L*a*b* of linear sRGB under D65."""
    r, g, b = (min(1.0, max(0.0, part)) for part in rgb)
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (c ** (1 / 3) if c > 0.008856 else 7.787 * c + 16 / 116 for c in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG, 1 to 21."""
    dark, light = sorted(lightness(linear(each)) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_phases_differ_for_every_eye(theme, sight):
    given = colours(theme)
    seen = {}
    for number, phase in enumerate(PHASES):
        rgb = linear(given[f"--ph-{number}"])
        seen[phase] = lab([sum(m * c for m, c in zip(row, rgb)) for row in SIGHT[sight]])
    for one, other in itertools.combinations(seen, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other])) ** 0.5
        assert distance > 18, (one, other, distance)  # 2.3 is just noticeable


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_can_be_read_on_their_bands(theme):
    given = colours(theme)
    for number in range(10):
        assert contrast(given[f"--ph-{number}"], given[f"--ph-{number}-ink"]) >= 4.5, number


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_can_be_seen_on_the_ground(theme):
    given = colours(theme)
    for name in ("--ink", "--soft", "--bad", "--warn", "--accent", "--strong"):
        for ground in ("--paper", "--ground"):
            assert contrast(given[name], given[ground]) >= 3, (name, ground)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heat_grows_with_every_step(theme):
    given = colours(theme)
    steps = [lightness(linear(given[f"--heat-{number}"])) for number in range(6)]
    assert steps == sorted(steps, reverse=theme == "light")
