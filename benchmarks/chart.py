"""The chart of docs/performance.md: what a call costs by what was recorded before it."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from .rivals import NAIVE, OURS, USUAL, Curve

GREY = "#848d97"
COLOURS = {OURS: "#2f81f7", USUAL: "#d29922", NAIVE: "#e5534b"}
"""All of them are told from white and from a dark page's ground; so nothing is drawn behind."""

STYLE = {
    "svg.hashsalt": "performance",  # names inside the file are the same at every run
    "svg.fonttype": "none",  # text stays text, which is small and takes the reader's font
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(curves: dict[str, Curve], path: Path) -> None:
    """Write the chart as SVG, the same bytes for the same figures."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
        axes.set_xscale("symlog", linthresh=1000)
        axes.set_yscale("log")
        for name, curve in curves.items():
            sizes = list(curve)
            axes.plot(
                sizes,
                [curve[size].processor.median for size in sizes],
                color=COLOURS[name],
                marker="o",
                markersize=4,
                label=name,
            )
        ticks = sorted({size for curve in curves.values() for size in curve})
        axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
        axes.minorticks_off()
        heights = [1, 10, 100, 1000]
        axes.set_yticks(heights, [f"{height}x" for height in heights])
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
        axes.set_xlabel("records already there")
        axes.set_ylabel("a call, over the bare interpreter")
        axes.legend(frameon=False, labelcolor="linecolor", loc="upper left")
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
