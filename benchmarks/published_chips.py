"""Chips priced without their inventions, beside what was published about them.

    python benchmarks/published_chips.py [FOLDER of a converted SmolLM2]

Everything is modelled from the numbers that `sangbo chips` lists; nothing is fitted to a published
figure. Activation statistics come from the converted network's ledger, where a folder is given.
"""

from __future__ import annotations

import sys

from sangbo import chips, load
from sangbo.chips.networks import decoder, resnet50, total_macs, vgg16
from sangbo.chips.plain import plain_cost

Row = tuple[str, str, str, str]
CASES = ((1, False), (16, False), (64, False), (512, True))
"""Tokens at once, and whether they are one prompt."""


def c_transformer(folder: str | None) -> list[Row]:
    chip = chips.load("c-transformer-28nm")
    rows: list[Row] = []
    array, clock = chip.array, chip.limit("clock") or 0.0
    peak = 2 * array.units * clock / 1e12
    rows.append(("peak", f"{peak:.2f} TOPS", "3.41 TOPS", "8,192 units instead of 8,525"))
    for name, layers, width, heads, vocabulary in (
        ("GPT-2-medium shape", 24, 1024, 16, 50257),
        ("708 M shape (36 × 1280)", 36, 1280, 20, 0),
    ):
        for batch, together in CASES:
            nests = decoder(
                layers, width, heads, vocabulary=vocabulary, length=512, batch=batch,
                together=together,
            )  # fmt: skip
            cost = plain_cost(nests, chip)
            of = f"a prompt of {batch}" if together else f"decoding, batch {batch}"
            what = f"{name}, {of}"
            rows.append(
                (f"{what}: external share", f"{cost.external / cost.total:.0%}",
                 "68 % of power", "int8 weights, LPDDR4 at 8 pJ a bit")
            )  # fmt: skip
            rows.append(
                (f"{what}: energy a token", f"{cost.total / batch / 1e6:.0f} µJ",
                 "2.6–18.1 µJ", "no weight compression")
            )  # fmt: skip
            rows.append(
                (f"{what}: time at 500 mW", f"{cost.total / 0.5 * 1e-12:.3f} s",
                 "0.477–0.656 s a task", "the task's tokens are not published")
            )  # fmt: skip
    if folder is not None:
        dense, _, both = chips.price(load(folder).ledger, chip)
        if dense.energy and both.energy:
            ratio = both.energy.compute / dense.energy.compute
            rows.append(
                ("compute energy against dense", f"{ratio:.2f}×", "0.21–0.33×",
                 "SmolLM2's levels in csd; no speculation of output spikes")
            )  # fmt: skip
    rows.append(
        ("external energy against dense", "1.00×", "0.24–0.29× (ISSCC), 0.37–0.41× (JSSC)",
         "no weight compression")
    )  # fmt: skip
    return rows


def c_dnn() -> list[Row]:
    chip = chips.load("c-dnn-28nm")
    accumulate = chip.energy("accumulate") or 1.0
    rows: list[Row] = []
    for name, make, published in (
        ("VGG-16, CIFAR-10", lambda batch: vgg16(32, 10, batch), 85.8),
        ("ResNet-50, ImageNet", lambda batch: resnet50(batch=batch), 24.5),
    ):
        claim = f"{published} TOPS/W"
        for batch in (1, 16):
            cost = plain_cost(make(batch), chip)
            within = cost.arithmetic + cost.on_chip
            what = f"{name}, {batch} images"
            rows.append(
                (f"{what}: dense, all memory", f"{cost.tops_per_watt():.1f} TOPS/W", claim, "")
            )
            rows.append(
                (f"{what}: dense, without external memory",
                 f"{cost.tops_per_watt(within):.1f} TOPS/W", claim, "")
            )  # fmt: skip
        alone = cost.tops_per_watt(cost.arithmetic)
        rows.append((f"{name}: dense, arithmetic alone", f"{alone:.1f} TOPS/W", claim, ""))
        spikes = 2 / published / accumulate
        rows.append(
            (f"{name}: spikes per value that the claim needs", f"{spikes:.2f} at most", "–",
             "arithmetic alone, all memory free, nominal voltage")
        )  # fmt: skip
    return rows


def loihi() -> list[Row]:
    """A full chip at 1 ms steps, every neuron firing at 5 Hz, 1,000 synapses each."""
    neurons, fan_out, rate, steps = 131072, 1000, 5, 1000
    spikes = neurons * rate
    rows: list[Row] = []
    power = {}
    for name in ("loihi-1", "loihi-1-silicon"):
        chip = chips.load(name)

        def of(key: str, chip: chips.Chip = chip) -> float:
            return chip.energy(key) or 0.0

        idle = neurons * steps - spikes
        total = spikes * fan_out * of("accumulate") + spikes * (of("spike") + of("transport"))
        total += idle * of("neuron_update_idle") + spikes * of("neuron_update")
        power[name] = total * 1e-12
        rows.append(
            (f"{name}: full chip, 5 Hz, 1,000 synapses a neuron", f"{power[name] * 1e3:.0f} mW",
             "300 W / 768 chips = 391 mW (Pohoiki Springs)",
             "no static power, board, host or routing between cores")
        )  # fmt: skip
    keras = (spikes * fan_out * 27.1 + neurons * steps * 81) * 1e-9
    rows.append(
        ("the same by KerasSpiking's two figures", f"{power['loihi-1'] * 1e3:.0f} mW",
         f"{keras:.0f} mW", "it charges an active update in every step, and 27.1 pJ a synapse")
    )  # fmt: skip
    hot = power["loihi-1-silicon"] * 1e3
    rows.append(
        ("pre-silicon against the profile fitted to boards", f"{power['loihi-1'] * 1e3:.0f} mW",
         f"{hot:.0f} mW (SANA-FE)", "dense synapses at 35.5 instead of 23.6 pJ")
    )  # fmt: skip
    return rows


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    for title, rows in (
        ("C-Transformer", c_transformer(folder)),
        ("C-DNN", c_dnn()),
        ("Loihi 1", loihi()),
    ):
        print(f"\n### {title}\n\n| line | modelled | published | assumption |\n|---|---:|---:|---|")
        for row in rows:
            print(f"| {' | '.join(row)} |")
    products = total_macs(vgg16(32, 10)) / 1e6, total_macs(resnet50()) / 1e9
    print("\nProducts: VGG-16 {:.0f} M, ResNet-50 {:.2f} G".format(*products))


if __name__ == "__main__":
    main()
