"""Score every shipped network on benchmark sets: python benchmarks/scores.py SETS [--record]

SETS is a folder with one folder per set, each with HR/ and, where it is canonical, LR/x2, LR/x3, LR/x4. Prints the
README's table (PSNR/SSIM, protocol `picture`); --record also writes the scores into the checkpoints' metadata, and
those on examples/cat.png, by which the tests know the weights again.
Weights are never chosen by these scores: that is what the validation pictures are for.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from espcn_cli.engines.torch_engine import TorchEngine
from espcn_cli.network import checkpoint, espcn, named, weights
from espcn_cli.scoring import evaluation
from espcn_cli.scoring.benchmark import benchmark
from espcn_cli.scoring.table import Row
from espcn_cli.settings import SCALES

EXAMPLE = Path(__file__).parent.parent / "examples" / "cat.png"
ORDER = ["Set5", "Set14", "BSD100", "Urban100"]


def score(folder: Path, scale: int, methods: dict[str, evaluation.Method]) -> dict[str, tuple[list[Row], str]]:
    """Set -> its rows and the protocol they were made by."""
    found = sorted((path for path in folder.iterdir() if (path / "HR").is_dir()), key=lambda path: path.name)
    found.sort(key=lambda path: ORDER.index(path.name) if path.name in ORDER else len(ORDER))
    result: dict[str, tuple[list[Row], str]] = {}
    for path in found:
        table = benchmark([path], methods, scale)
        result[path.name] = (table.rows, table.protocol)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--record", action="store_true", help="write the scores into the checkpoints")
    arguments = parser.parse_args()
    header = ""
    for scale in SCALES:
        shipped = [(path, card) for path, card in named.list_shipped() if card.settings.scale == scale]
        methods = {card.name: evaluation.network(TorchEngine(espcn.load(path)[0])) for path, card in shipped}
        scored = score(arguments.sets, scale, methods)
        if not header:
            header = "| scale | method |" + "".join(f" {name} |" for name in scored)
            print(header, "|---|---|" + "---|" * len(scored), sep="\n")
        names = [row.method for row in next(iter(scored.values()))[0]]
        for index, name in enumerate(names):
            means = [evaluation.mean(rows[index].images) for rows, _ in scored.values()]
            print(f"| ×{scale} | {name} |" + "".join(f" {psnr:.2f} / {ssim:.4f} |" for psnr, ssim in means), flush=True)
        if arguments.record:
            example = benchmark([EXAMPLE], methods, scale)
            scored["example"] = (example.rows, example.protocol)
            for path, card in shipped:
                record(path, card, scored)


def record(path: Path, card: checkpoint.ModelCard, scored: dict[str, tuple[list[Row], str]]) -> None:
    metrics = dict(card.metrics)
    for name, (rows, protocol) in scored.items():
        [row] = [row for row in rows if row.method == card.name]
        psnr, ssim = evaluation.mean(row.images)
        metrics[name] = {"psnr": round(psnr, 4), "ssim": round(ssim, 5), "protocol": protocol}
    network, _ = espcn.load(path)
    weights.save(path, network, replace(card, metrics=metrics))


if __name__ == "__main__":
    main()
