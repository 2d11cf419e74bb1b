"""The results of run.sh as a table: ours beside PyTorch's on the same card. python3 cuda/check/table.py FOLDER"""

import json
import os
import sys

folder = sys.argv[1]


def lines(name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [json.loads(line) for line in file]


def milliseconds(row):
    return f"{1000 * row['seconds']:.3f}" if row and "seconds" in row else "-"


def ratio(a, b):
    return f"{a['seconds'] / b['seconds']:.2f}" if a and b and "seconds" in a and "seconds" in b else "-"


checks = lines("pack.jsonl")
failed = [row for row in checks if not row["ok"]]
print(f"{len(checks) - len(failed)} of {len(checks)} rows of the pack as they have to be\n")
for row in failed:
    print(f"- {row['row']}: {row['why']}")

ours = {row["row"]: row for row in lines("timings.jsonl")}
peer = {row["row"]: row for row in lines("peer.jsonl")}
print("\nMilliseconds, medians; ratios to PyTorch's deterministic one in the same arithmetic.\n")
print("| workload | arithmetic | ours | PyTorch, deterministic | ratio | as a graph | ratio | PyTorch, Bayesian | ratio |")
print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
for title, row in ours.items():
    name, *rest = title.split(", ")
    kind, precision = rest[0], rest[1] if len(rest) > 1 else "fp32"
    eager = peer.get(f"{name}, frequentist, {precision}, eager")
    graph = peer.get(f"{name}, frequentist, {precision}, graph")
    bayesian = peer.get(f"{name}, Bayesian, {precision}, eager") if kind == "Bayesian" else None
    print(
        f"| {name}, {kind} | {precision} | {milliseconds(row)} | {milliseconds(eager)} | {ratio(row, eager)} | "
        f"{milliseconds(graph)} | {ratio(row, graph)} | {milliseconds(bayesian)} | {ratio(row, bayesian)} |"
    )
for row in ours.values():
    if not row["ok"]:
        print(f"\n{row['row']}: {row['why']}")
