"""Chips priced without their inventions, beside what was published about them.

    python benchmarks/published_chips.py [FOLDER of a converted SmolLM2]

Everything is modelled from the numbers that `sangbo chips` lists, and no number is fitted to a
published figure. Activation statistics come from the converted network's ledger, where a folder is
given; Loihi's workload is the one that `tests/oracles/record_sanafe.py` recorded. Each gap is then
taken apart: one factor for each reason that is known, and what is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sangbo import chips, load
from sangbo.chips.nests import Nest
from sangbo.chips.networks import decoder, resnet50, total_macs, vgg16
from sangbo.chips.plain import PlainCost, plain_cost

Row = tuple[str, ...]
Range = tuple[float, float]

GPT2 = "GPT-2-medium shape (24 × 1024)", 24, 1024, 16, 50257
LARGE = "708 M shape (36 × 1280)", 36, 1280, 20, 0
CONTEXT = 1024
TOKEN: Range = (2.6, 18.1)
"""Published µJ a token."""
EXTERNAL: Range = (0.24, 0.41)
"""Published energy of external memory over its baseline's: 0.24–0.29 (ISSCC), 0.37–0.41 (JSSC)."""
COMPUTE: Range = (0.21, 0.33)
"""Published energy of computation over its baseline's."""
SUPPLY = (0.7 / 0.9) ** 2
"""Lowest published supply against that of the table, squared."""
POWER, SECONDS = 0.5, 0.477
"""Published: below 500 mW, and a task of GPT-2 (ISSCC)."""


def prompt(shape: tuple[str, int, int, int, int], tokens: int) -> PlainCost:
    """A prompt of ``tokens``, or one more token after 512."""
    _, layers, width, heads, vocabulary = shape
    nests = decoder(
        layers, width, heads, vocabulary=vocabulary, length=512 if tokens == 1 else tokens,
        batch=tokens, together=True,
    )  # fmt: skip
    return plain_cost(nests, chips.load("c-transformer-28nm"))


def c_transformer(folder: str | None) -> list[Row]:
    chip = chips.load("c-transformer-28nm")
    peak = 2 * chip.array.units * (chip.limit("clock") or 0.0) / 1e12
    rows: list[Row] = [("peak", f"{peak:.2f} TOPS", "3.41 TOPS", "8,192 units instead of 8,525")]
    for shape in (GPT2, LARGE):
        for tokens in (1, 32, 512):
            cost = prompt(shape, tokens)
            what = f"{shape[0]}, " + ("one token" if tokens == 1 else f"a prompt of {tokens}")
            rows += [
                (
                    f"{what}: external share of energy", f"{cost.external / cost.total:.0%}",
                    "68 % of power", "weights are read once for all tokens at hand",
                ),
                (
                    f"{what}: energy a token", f"{micro(cost.total / tokens)} µJ",
                    "2.6–18.1 µJ", "taken apart below",
                ),
                (
                    f"{what}: time at 500 mW", f"{cost.total / POWER * 1e-12:.3f} s",
                    "0.477–0.656 s a task", "the task's tokens are not published",
                ),
            ]  # fmt: skip
    if folder is not None:
        dense, _, both = chips.price(load(folder).ledger, chip)
        if dense.energy and both.energy:
            ratio = both.energy.compute / dense.energy.compute
            target = chip.energy("accumulate") or 0.0, chip.energy("mac") or 0.0
            alone = both.events.synaptic_operations * target[0] + both.events.macs * target[1]
            alone /= dense.events.macs * target[1]
            rows.append(
                (
                    "compute energy against dense", f"{ratio:.2f}×", "0.21–0.33×",
                    f"SmolLM2's levels in csd; products alone {alone:.2f}×, and {alone / 4:.2f}× "
                    "if 75 % of the time steps were skipped, the most that is said of its "
                    "speculation of output spikes",
                )
            )  # fmt: skip
    rows.append(
        ("external energy against dense", "1.00×", "0.24–0.29× (ISSCC), 0.37–0.41× (JSSC)",
         "no weight compression")
    )  # fmt: skip
    return rows


def c_transformer_gap() -> list[Row]:
    """Energy a token of the GPT-2-medium shape, from modelled to published."""
    alone, shared = prompt(GPT2, 1), prompt(GPT2, 512)
    inside, outside = ((shared.total - shared.external) / 512, shared.external / 512)
    squeezed = tuple(inside + outside * e for e in EXTERNAL)
    spiking = tuple(inside * c + outside * e for c, e in zip(COMPUTE, EXTERNAL, strict=True))
    low, high = (inside * c * SUPPLY + outside * e for c, e in zip(COMPUTE, EXTERNAL, strict=True))
    return chain(
        [
            ("one token at a time", (alone.total,) * 2, "modelled"),
            ("a prompt of 512 shares its weights", (shared.total / 512,) * 2, "modelled"),
            ("external memory × 0.24–0.41", squeezed, "published: weight compression"),
            ("arithmetic and on-chip memory × 0.21–0.33", spiking, "published: spikes, skipping"),
            (
                "0.7 V instead of 0.9 V on the chip, energy ∝ V²", (low, high),
                "published range of supply; that the lowest was used is assumed",
            ),
            (
                "left over", (TOKEN[0] * 1e6, TOKEN[1] * 1e6),
                "published. Not explained. Its little network instead of the whole one would be "
                "× 0.19 (76 of 402 M parameters, in no primary source)",
            ),
        ],
        lambda pj: f"{micro(pj)} µJ",
    )  # fmt: skip


def c_transformer_published() -> list[Row]:
    """What the published figures of C-Transformer say of each other, without our model."""
    budget = POWER * SECONDS
    products = total_macs(decoder(*GPT2[1:4], vocabulary=GPT2[4], length=1))
    bits = products * 64e-12 * EXTERNAL[0]
    return [
        (
            "tokens a task would need for 18.1 µJ a token at 500 mW and 0.477 s",
            f"{budget / 18.1e-6:,.0f}", f"GPT-2 reads {CONTEXT:,}",
        ),
        (
            "energy a token at that power and time, with all of GPT-2's context",
            f"{budget / CONTEXT * 1e6:.0f} µJ at least", "2.6–18.1 µJ",
        ),
        (
            "tokens in 0.477 s at 3.41 TOPS, GPT-2-medium, every product done",
            f"{3.41e12 * SECONDS / (2 * products):,.0f}", "–",
        ),
        (
            "tokens that must share a reading of its int8 weights, compressed to 0.24, from LPDDR4 "
            "at 8 pJ a bit, for 18.1 µJ of external memory alone",
            f"{bits / 18.1e-6:.0f}", "text is written one token at a time",
        ),
    ]  # fmt: skip


NETWORKS: tuple[tuple[str, Callable[[int], list[Nest]], float], ...] = (
    ("VGG-16, CIFAR-10", lambda batch: vgg16(32, 10, batch), 85.8),
    ("ResNet-50, ImageNet", lambda batch: resnet50(batch=batch), 24.5),
)


def c_dnn() -> list[Row]:
    chip = chips.load("c-dnn-28nm")
    accumulate = chip.energy("accumulate") or 1.0
    rows: list[Row] = []
    for name, make, published in NETWORKS:
        claim = f"{published} TOPS/W"
        for batch in (1, 16):
            cost = plain_cost(make(batch), chip)
            what = f"{name}, {batch} image{'s' * (batch > 1)}"
            rows += [
                (f"{what}: dense, all memory", f"{cost.tops_per_watt():.1f} TOPS/W", claim,
                 "external memory counted, no zero skipped, nominal voltage"),
                (f"{what}: dense, without external memory",
                 f"{cost.tops_per_watt(cost.arithmetic + cost.on_chip):.1f} TOPS/W", claim,
                 "no zero skipped, nominal voltage"),
            ]  # fmt: skip
        for supply, share in (("0.9 V", 1.0), ("0.7 V", SUPPLY)):
            spikes = 2 / published / accumulate / share
            rows.append(
                (f"{name}: spikes a value that the claim allows, {supply}", f"{spikes:.2f}",
                 "–", "arithmetic alone, all memory free")
            )  # fmt: skip
    return rows


def c_dnn_gap(name: str, make: Callable[[int], list[Nest]], published: float) -> list[Row]:
    """TOPS/W of one network, from modelled to published."""
    cost = plain_cost(make(1), chips.load("c-dnn-28nm"))
    cached = tuple(cost.arithmetic + cost.on_chip * (1 - s) for s in (0.491, 0.422))
    claim = 2 * cost.macs / published
    return chain(
        [
            (f"{name}, one image, all memory", (cost.total,) * 2, "modelled"),
            (
                "external memory left out", (cost.arithmetic + cost.on_chip,) * 2,
                "assumed: TOPS/W of a chip are those of its own supply",
            ),
            (
                "on-chip memory − 42.2…49.1 %", cached,
                "published for its spiking core: distributed L1 caches",
            ),
            ("0.7 V instead of 0.9 V", tuple(c * SUPPLY for c in cached),
             "assumed: its supply is not published, C-Transformer's is 0.7–1.1 V"),
            (
                "what is left of on-chip memory", (cost.arithmetic * SUPPLY,) * 2,
                "not explained: its memories are not published, ours are Horowitz's three",
            ),
            (
                "left over", (claim, claim),
                "published. Spikes and skipped zeros: products that it need not do count as done",
            ),
        ],
        lambda pj: f"{2 * cost.macs / pj:.1f} TOPS/W",
    )  # fmt: skip


def loihi() -> list[Row]:
    """SANA-FE's DVS gesture network, and a full chip."""
    path = Path(__file__).parents[1] / "tests" / "oracles" / "sanafe-gesture.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    steps, events = record["steps"], record["events"]
    neurons = sum(record["layers"])
    theirs = record["joules"]["total"] / steps
    rows: list[Row] = []
    for name in ("loihi-1-silicon", "loihi-1"):
        energy = per_step(name, neurons * steps, events) / steps * 1e-12
        rows.append(
            (
                f"{name}: DVS gestures, {neurons:,} neurons, a step", f"{energy * 1e6:.2f} µJ",
                f"{theirs * 1e6:.2f} µJ (SANA-FE); 1–4 µJ measured",
                f"{energy / theirs:.2f}×: all synapses dense, one axon a spike, no hops",
            )
        )  # fmt: skip
    keras = (events["synaptic_operations"] * 27.1 + neurons * steps * 81) / steps * 1e-6
    rows.append(
        (
            "loihi-1: the same workload by KerasSpiking's two figures",
            f"{per_step('loihi-1', neurons * steps, events) / steps * 1e-6:.2f} µJ",
            f"{keras:.2f} µJ", "it charges an active update in every step, and 27.1 pJ a synapse",
        )
    )  # fmt: skip
    full, rate = 131072, 5
    busy = {"fired": full * rate, "synaptic_operations": full * rate * 1000, "updated": full * rate}
    watts = per_step("loihi-1-silicon", full * 1000, busy) * 1e-12
    rows.append(
        (
            "loihi-1-silicon: full chip, 5 Hz, 1,000 synapses a neuron", f"{watts * 1e3:.0f} mW",
            "391 mW: Pohoiki Springs, 300 W / 768",
            "events alone. A system's watts are static power, boards and hosts too",
        )
    )  # fmt: skip
    return rows


def loihi_gap() -> list[Row]:
    """The gesture network, from what is priced to what SANA-FE charges."""
    path = Path(__file__).parents[1] / "tests" / "oracles" / "sanafe-gesture.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    chip, steps, events = chips.load("loihi-1-silicon"), record["steps"], record["events"]
    start = per_step("loihi-1-silicon", sum(record["layers"]) * steps, events)
    dense = (chip.energy("accumulate") or 0.0) * events["synaptic_operations"]
    synapses = start - dense + record["joules"]["synapse"] * 1e12
    axons = events["packets"] - events["fired"]
    sent = synapses + axons * (chip.energy("transport") or 0.0)
    total = record["joules"]["total"] * 1e12
    return chain(
        [
            ("as priced", (start / steps,) * 2, "modelled"),
            ("convolutions at 24.0 instead of 35.5 pJ a synapse", (synapses / steps,) * 2,
             "SANA-FE; a chip states one figure"),
            (f"an axon for each of {events['packets'] / events['fired']:.1f} cores a spike goes to",
             (sent / steps,) * 2, "counted by SANA-FE for its mapping; one is priced"),
            ("hops", (total / steps,) * 2, "counted by SANA-FE; none is priced. Nothing is left"),
        ],
        lambda pj: f"{micro(pj, 3)} µJ",
    )  # fmt: skip


def per_step(name: str, present: int, events: dict[str, int]) -> float:
    """Energy in pJ of ``events`` on a Loihi, ``present`` neurons and steps in all."""
    chip = chips.load(name)

    def of(key: str) -> float:
        return chip.energy(key) or 0.0

    return (
        events["synaptic_operations"] * of("accumulate")
        + events["fired"] * (of("spike") + of("transport"))
        + events["updated"] * of("neuron_update")
        + (present - events["updated"]) * of("neuron_update_idle")
    )


def chain(
    steps: Iterable[tuple[str, Sequence[float], str]], show: Callable[[float], str]
) -> list[Row]:
    """Rows of step, factor, what it leaves, and basis; the values are pJ, lowest and highest."""
    rows: list[Row] = []
    before: Sequence[float] | None = None
    for name, values, basis in steps:
        factors = [] if before is None else [v / b for v, b in zip(values, before, strict=True)]
        rows.append(
            (name, between([f"{f:.2g}×" for f in factors]), between(map(show, values)), basis)
        )
        before = values
    return rows


def between(texts: Iterable[str]) -> str:
    """One text, or the two ends of a range."""
    return "–".join(dict.fromkeys(texts)) or "–"


def micro(picojoules: float, digits: int = 3) -> str:
    return f"{float(f'{picojoules / 1e6:.{digits}g}'):,g}"


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    beside = ("line", "modelled", "published", "assumption")
    gap = ("step", "factor", "leaves", "basis")
    tables: list[tuple[str, Row, list[Row]]] = [
        ("C-Transformer", beside, c_transformer(folder)),
        ("C-Transformer: energy a token, factor by factor", gap, c_transformer_gap()),
        ("C-Transformer: the published figures beside each other",
         ("question", "answer", "beside"), c_transformer_published()),
        ("C-DNN", beside, c_dnn()),
        *((f"C-DNN: {case[0]}, factor by factor", gap, c_dnn_gap(*case)) for case in NETWORKS),
        ("Loihi 1", beside, loihi()),
        ("Loihi 1: gestures, factor by factor", gap, loihi_gap()),
    ]  # fmt: skip
    for title, header, rows in tables:
        print(f"\n### {title}\n\n| {' | '.join(header)} |")
        print(f"|---|{'---:|' * (len(header) - 2)}---|")
        for row in rows:
            print(f"| {' | '.join(row)} |")
    products = total_macs(vgg16(32, 10)) / 1e6, total_macs(resnet50()) / 1e9
    print("\nProducts: VGG-16 {:.0f} M, ResNet-50 {:.2f} G".format(*products))


if __name__ == "__main__":
    main()
