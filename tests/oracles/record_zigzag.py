"""Records what ZigZag counts for AlexNet's convolutions on its Eyeriss-like core.

Run it in an environment of its own, with ``zigzag-dse==3.9.1`` and ``six``:

    python tests/oracles/record_zigzag.py

The mapping is the one that ZigZag finds; the test counts the accesses of that same mapping.
"""

from __future__ import annotations

import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

TABLE = (
    ("conv1", 96, 3, 55, 11, 4, {"OX": 11, "K": 12}),
    ("conv2", 128, 48, 27, 5, 1, {"OX": 9, "K": 8}),
    ("conv3", 384, 256, 13, 3, 1, {"OX": 13, "K": 12}),
    ("conv4", 192, 192, 13, 3, 1, {"OX": 13, "K": 12}),
    ("conv5", 128, 192, 13, 3, 1, {"OX": 13, "K": 8}),
)
"""Name, outputs and inputs of one group, output size, kernel, stride, what the units unroll."""


def main() -> None:
    """Run ZigZag and write ``zigzag-alexnet.json`` beside this file."""
    import yaml
    from zigzag.api import get_hardware_performance_zigzag
    from zigzag.mapping.data_movement import DataMoveAttr

    core = resources.files("zigzag").joinpath("inputs", "hardware", "eyeriss_like.yaml")
    records = []
    for name, outputs, inputs, size, kernel, stride, space in TABLE:
        reach = (size - 1) * stride + kernel
        layer = {
            "id": 0, "name": name, "operator_type": "Conv",
            "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
            "dimension_relations": [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"],
            "loop_dims": ["B", "G", "K", "C", "OY", "OX", "FY", "FX"],
            "loop_sizes": [1, 1, outputs, inputs, size, size, kernel, kernel],
            "pr_loop_dims": ["IX", "IY"], "pr_loop_sizes": [reach, reach],
            "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
            "operand_source": {"I": 0, "W": 0}, "padding": [[0, 0], [0, 0]],
        }  # fmt: skip
        axes = zip(("D1", "D2"), space.items(), strict=True)
        mapping = {
            "name": "default",
            "spatial_mapping": {axis: [f"{d}, {n}"] for axis, (d, n) in axes},
            "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
        }
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / file for file in ("layer.yaml", "mapping.yaml")]
            for path, document in zip(paths, ([layer], [mapping]), strict=True):
                path.write_text(yaml.safe_dump(document))
            found = get_hardware_performance_zigzag(
                str(paths[0]), str(core), str(paths[1]), opt="energy",
                nb_spatial_mappings_generated=1, dump_folder=folder,
            )  # fmt: skip
        result: Any = found[2][0][1][0][0]
        operands = {}
        for operand, loops in result.temporal_mapping.mapping_dic_origin.items():
            moves = [
                {str(k): int(v) for k, v in m.get_attribute(
                    DataMoveAttr.DATA_ELEM_MOVE_COUNT).data.items()}
                for m in result.mapping.unit_mem_data_movement[operand]
            ]  # fmt: skip
            levels = [[[str(d), int(n)] for d, n in level] for level in loops]
            operands[str(operand)] = {"loops": levels, "moves": moves}
        records.append(
            {"name": name, "outputs": outputs, "inputs": inputs, "size": size, "kernel": kernel,
             "stride": stride, "space": space, "operands": operands}
        )  # fmt: skip
    target = Path(__file__).with_name("zigzag-alexnet.json")
    target.write_text(json.dumps(records, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
