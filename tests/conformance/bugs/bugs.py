#!/usr/bin/env python3
"""bugs.py SUITE TOOL PLUGINS SOURCE [--write] [--all] [BUG ..]: the suite judged by plugins with known bugs.

SUITE is forge-conformance, TOOL is forge (for `forge lint`), PLUGINS the folder of planted bugs, SOURCE the tree. Each bug of
bugs.csv has to be caught by the tests its row names, and by no others of the chapters tried; the sound plugins have to pass.
docs/planted-bugs.md shows what caught what: --write writes it, otherwise it is compared. --all tries every chapter on every
bug and prints which other tests fail too.
"""
import concurrent.futures
import csv
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HEAD = """\
# Planted bugs

The conformance suite and the lint judged: plugins that are sound but for one defect (`tests/conformance/bugs`), and the test that
catches each. Written by `bugs.py --write`; the test `conformance_bugs` runs them and compares bugs and tests. Messages are shortened.

| bug | planted | caught by | verdict | what the vendor reads |
|---|---|---|---|---|
"""


def run_suite(suite, plugin, globs, hurry):
    """|hurry|: a bug is expected, and a hang need not be waited for."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        how = ["--jobs", "1", "--timeout", "15"] if hurry else []
        command = [suite, "--quiet", "--json", out] + how + [w for g in globs for w in ("--filter", g)] + [plugin]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not os.path.exists(out):
            sys.exit(f"{' '.join(command)}: exit {done.returncode}, no results\n{done.stdout}")
        with open(out) as f:
            return json.load(f)["tests"]


def run_lint(tool, plugin):
    done = subprocess.run([tool, "lint", "--json", plugin], stdout=subprocess.PIPE, text=True)
    verdicts = {"ok": "pass", "fail": "fail"}
    return [{"id": "lint." + f["rule"], "verdict": verdicts.get(f["level"], "skip"), "reason": f["text"]}
            for f in json.loads(done.stdout)["findings"]]


def is_bad(test):
    return test["verdict"] in ("fail", "crash", "timeout", "xpass")


def find(row, suite, tool, plugins, everything):
    plugin = os.path.join(plugins, row["bug"] + ".so")
    globs = [g for g in row["tried"].split() if g != "lint.*"]
    tests = run_lint(tool, plugin) if "lint.*" in row["tried"] or everything else []
    if everything or globs:
        tests += run_suite(suite, plugin, [] if everything else globs, bool(row["caught_by"]))
    return tests


def judge(row, tests):
    """What is wrong with the verdicts, as lines."""
    bad = [t for t in tests if is_bad(t)]
    wanted = row["caught_by"].split()
    wrong = [f"{t['id']} fails too: {t['reason']}" for t in bad if not any(fnmatch.fnmatchcase(t["id"], w) for w in wanted)]
    for glob in wanted:
        caught = [t for t in bad if fnmatch.fnmatchcase(t["id"], glob)]
        if not caught:
            there = [t["id"] + ": " + t["verdict"] for t in tests if fnmatch.fnmatchcase(t["id"], glob)]
            wrong.append(f"not caught by {glob} ({', '.join(there) or 'no such test'})")
    said = [t["reason"] for t in bad]
    if wanted and bad and not any(row["says"] in text for text in said):
        wrong.append(f"nobody says \"{row['says']}\" but \"{said[0]}\"")
    if not wanted and not any(t["verdict"] == "pass" for t in tests):
        wrong.append("no test passes")
    return wrong


def shorten(text):
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 160 else text[:157] + ".."


def page_line(row, tests):
    bad = sorted((t for t in tests if is_bad(t)), key=lambda t: t["id"])
    shown = bad[:1] if bad else []
    ids = ", ".join(f"`{t['id']}`" for t in bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
    verdicts = ", ".join(sorted({t["verdict"] for t in bad})) or "pass"
    return f"| {row['bug']} | {row['planted']} | {ids} | {verdicts} | {shorten(shown[0]['reason']) if shown else ''} |"


def without_message(line):
    """Nor the verdict: on a busy machine a hang is a timeout, on another a wait that failed."""
    return line.rsplit(" | ", 2)[0]


def by_bug(path):
    return {line.split(" | ")[0]: line for line in path.read_text().splitlines()} if path.exists() else {}


def write_page(path, every_bug, lines):
    have = by_bug(path)
    have.update((line.split(" | ")[0], line) for line in lines)
    path.write_text(HEAD + "".join(have[f"| {bug}"] + "\n" for bug in every_bug if f"| {bug}" in have))


def compare_page(path, lines):
    have = by_bug(path)
    return [f"docs/planted-bugs.md is behind: {line}" for line in lines
            if without_message(have.get(line.split(" | ")[0], "")) != without_message(line)]


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("--")]
    suite, tool, plugins, source = words[0], words[1], words[2], pathlib.Path(words[3])
    write, everything = "--write" in sys.argv, "--all" in sys.argv
    with open(source / "tests/conformance/bugs/bugs.csv", newline="") as f:
        table = list(csv.DictReader(f))
    rows = [r for r in table if not words[4:] or r["bug"] in words[4:]]
    wrong, lines = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        verdicts = list(pool.map(lambda row: find(row, suite, tool, plugins, everything), rows))
    for row, tests in zip(rows, verdicts):
        found = judge(row, tests) if not everything else []
        lines.append(page_line(row, tests))
        wrong += [f"{row['bug']}: {w}" for w in found]
        print(f"{row['bug']}: {'ok' if not found else 'NOT AS PLANNED'}", flush=True)
        if everything:
            print("".join(f"  {t['verdict']} {t['id']}: {shorten(t['reason'])}\n" for t in tests if is_bad(t)), end="")
    path = source / "docs" / "planted-bugs.md"
    if write:
        write_page(path, [r["bug"] for r in table], lines)
    elif not everything:
        wrong += compare_page(path, lines)
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
