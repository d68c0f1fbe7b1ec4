#!/usr/bin/env python3
"""Writes the generated tables of abi/forge/*.h from the registries; --check only compares.

A number is assigned once: a row may be added, never changed or removed (tests/abi checks that too).
"""
import csv
import pathlib
import re
import sys

ROOM = pathlib.Path(__file__).resolve().parent
HEADERS = ROOM.parent / "forge"


def rows(name):
    with open(ROOM / f"{name}.csv", newline="") as f:
        found = list(csv.DictReader(f))
    for column in ("name", "number"):
        values = [r[column] for r in found]
        if len(set(values)) != len(values):
            sys.exit(f"{name}.csv: a {column} is used twice")
    return found


def text(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


def x_map(entries):
    """Continuation lines of an X macro."""
    return "".join("  " + e + " \\\n" for e in entries[:-1]) + "  " + entries[-1] + "\n"


def enum(prefix, name, extra=lambda r: ""):
    body = "".join(f"  FORGE_{prefix}_{r['name']} = {r['number']},{extra(r)}\n" for r in rows(name))
    return "enum {\n" + body + "};\n"


def comment(r):
    return f" /* {r['text']} */"


def check_inplace(r):
    """Pairs output:input. The core gives output k the storage of input k, so only k:k can be."""
    for pair in r["inplace"].split():
        output, _, source = pair.partition(":")
        if output != source or not int(output) < int(r["outputs"]):
            sys.exit(f"op.csv: {r['name']}: inplace {pair}: only k:k with k below the outputs is known to the core")


def op_entry(r):
    check_inplace(r)
    inputs = "-1" if r["inputs"] == "*" else r["inputs"]
    kind = "FORGE_CLASS_" + r["class"].upper()
    return f"X({r['name']}, {r['number']}, {kind}, {inputs}, {r['outputs']}, {text(r['text'])})"


def generated():
    """Header -> list of generated texts, in the order of its marked places."""
    return {
        "types.h": [
            "#define FORGE_DTYPE_MAP(X) \\\n"
            + x_map([f"X({r['name']}, {r['number']}, {r['block_elems']}, {r['block_bytes']}, {text(r['text'])})"
                     for r in rows("dtype")]),
            enum("LAYOUT", "layout", comment),
        ],
        "status.h": ["#define FORGE_STATUS_MAP(X) \\\n"
                     + x_map([f"X({r['name']}, {r['number']}, {text(r['text'])})" for r in rows("status")])],
        "ops.h": ["enum { FORGE_CLASS_PRIMITIVE = 1, FORGE_CLASS_COMPOSITE = 2 };\n"
                  "/* X(name, number, class, inputs (-1: one or more), outputs, text) */\n"
                  "#define FORGE_OP_MAP(X) \\\n" + x_map([op_entry(r) for r in rows("op")])],
        "backend.h": [enum("QUERY", "query", comment) + enum("BLOCK", "block", comment)],
    }


def main():
    stale = []
    for header, texts in generated().items():
        path = HEADERS / header
        old = path.read_text()
        queue = list(texts)
        new = re.sub(r"(/\* generated from [^\n]*\n)(.*?)(/\* end of generated text \*/)",
                     lambda m: m.group(1) + queue.pop(0) + m.group(3), old, flags=re.S)
        if queue:
            sys.exit(f"{header}: {len(queue)} generated place(s) missing")
        if new != old:
            stale.append(header)
            if "--check" not in sys.argv:
                path.write_text(new)
    if "--check" in sys.argv and stale:
        sys.exit(f"not as the registries say: {', '.join(stale)}; run abi/registry/generate.py")


if __name__ == "__main__":
    main()
