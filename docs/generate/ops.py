#!/usr/bin/env python3
"""ops.py OP_FORMULAS SOURCE [--check]: writes SOURCE/docs/ops.md; --check only compares.

Facts come from abi/registry, definitions from abi/forge/ops.h word for word, decompositions and gradients from the program
OP_FORMULAS, which runs the core's own expansion and reverse step. Where two of them disagree nothing is written.
"""
import csv
import json
import pathlib
import re
import subprocess
import sys

HEAD = """\
# Op reference

Made from the registry, `abi/forge/ops.h` and the core itself (`docs/generate`); `cmake --build BUILD --target docs` writes it,
the test `docs.ops` says when it is behind. Do not edit it.

**Reading a definition.** It is the header's own text, and it is what counts. Dimensions in capitals are extents, `..` is any number of
leading ones.

**Reading a decomposition.** It is the list of primitives the core sends in place of a composite, and with it the composite's
meaning: a kernel of your own has to agree with it within the bounds of the conformance suite. The shapes are examples, small and
mostly different from each other, so that you see where each extent comes from.

- `t1 = UNARY.EXP(x) -> [3, 7]` makes an F32 tensor of that shape; another type is named before the shape.
- `x[21]`, one list of numbers: the same elements under other dims. `x[3, 7; 1, 0]`: dims, then strides in elements of x's memory;
  `; 0` where all strides are 0, so that one element is repeated; `; +3` starts three elements later.
- An operand on the left with brackets is written in part. The name of an input on the left is written in place. `-` is an input left out.
- `scalar lr` is read at submit; `c1 = constant` is memory the core fills once.

**Reading a gradient.** The lines the core appends for one op when a builder is differentiated: `dy` flows in, `dx` flows out. They may hold
composites, which are expanded in turn where a device lacks them. All gradients are F32.

**Reading a bound.** It is how far the conformance suite lets a result be from the exact one (`sdk/conformance/bounds.def`): `(fixed +
growth * sqrt(terms)) * 2^-24` of the size named, plus half a unit of the output's type; terms are the products or summands that meet
in one element.

**Common to all ops.** Sums are accumulated in f32 or wider. Tensors may be strided. An extent of zero does nothing. Rounding and order are what the
op's section says; where it says nothing, the result is within the bounds of the conformance suite, and `DETERMINISTIC` asks for the same
bits each time.
"""


def read(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def stop(message):
    sys.exit("docs/ops.md: " + message)


class Header:
    """Definitions and attribute structs of ops.h."""

    def __init__(self, path, names):
        text = path.read_text()
        text = text[text.index("FORGE_OP_FIRST_COMPOSITE"):]
        self.structs = {}
        for match in re.finditer(r"((?:enum \{[^}]*\};\n)*)typedef struct forge_attr_(\w+) \{(.*?)\} forge_attr_\2;", text, re.S):
            self.structs[match.group(2)] = (match.group(1), match.group(0)[len(match.group(1)):])
        self.enums = re.findall(r"enum \{[^}]*\};", text)
        self.definitions = {}
        label = r"((?:" + "|".join(names) + r")(?: and (?:" + "|".join(names) + r"))*)(?: \([^)]*\))?: "
        for comment in re.findall(r"/\*(.*?)\*/", text, re.S):
            flat = re.sub(r"\n \*? ?", "\n", comment).strip()
            marks = [m for m in re.finditer(r"(?<![\w_])" + label, flat)]
            for at, mark in enumerate(marks):
                end = marks[at + 1].start() if at + 1 < len(marks) else len(flat)
                for op in mark.group(1).split(" and "):
                    self.definitions[op] = flat[mark.start():end].strip()

    def enum_of(self, op):
        """The constants an op's attributes use, by the op's name in them."""
        prefix = {"UNARY_BWD": "UNARY", "RNG_PHILOX": "RNG", "SCATTER_ROWS": "SCATTER", "ATTENTION_BWD": "ATTENTION",
                  "MOE_ROUTE": "MOE", "MOE_ROUTE_BWD": "MOE", "GROUPED_MATMUL": "MATMUL", "GROUPED_MATMUL_DW": "MATMUL"}.get(op, op)
        for enum in self.enums:
            if re.match(r"enum \{\s*FORGE_" + prefix + "_", enum):
                return re.findall(r"(FORGE_\w+ = \d+)", enum)
        return []


def fields(struct):
    body = re.sub(r"/\*.*?\*/", "", struct[struct.index("{") + 1:struct.rindex("}")], flags=re.S)
    found = []
    for line in body.split(";"):
        words = line.split()
        if words:
            found += [(words[0], name.strip()) for name in line.strip()[len(words[0]):].split(",")]
    return [(kind, name) for kind, name in found if name != "rsv"]


def check(op, ref, tensors, facts, attributes, header):
    name = op["name"]
    ins = [t for t in tensors if t["place"].startswith("in")]
    outs = [t for t in tensors if t["place"].startswith("out")]
    if [t["name"] for t in ins] != facts["inputs"].split():
        stop(f"{name}: the core calls its inputs {facts['inputs']}, op_tensor.csv {[t['name'] for t in ins]}")
    if op["inputs"] != "*" and len(ins) != int(op["inputs"]) or len(outs) != int(op["outputs"]):
        stop(f"{name}: op.csv and op_tensor.csv count inputs or outputs otherwise")
    for kind, list_ in (("optional_in", ins), ("optional_out", outs)):
        mask = sum(1 << k for k, t in enumerate(list_) if t["optional"])
        if mask != facts[kind]:
            stop(f"{name}: {kind} is {facts[kind]} in the core, {mask} in op_tensor.csv")
    if ref["attributes"] != facts["attributes"]:
        stop(f"{name}: attributes are {facts['attributes']} in the core, {ref['attributes']} in op_reference.csv")
    if facts["has_gradient"] == (ref["gradient"].startswith("none") and not facts["gradients"]):
        stop(f"{name}: op_reference.csv and the core disagree on a gradient")
    if facts["composite"] != (op["class"] == "composite") or facts["composite"] != bool(facts["expansions"]):
        stop(f"{name}: no decomposition shown, or one of a primitive")
    if sum(1 << int(p.split(":")[0]) for p in op["inplace"].split()) != facts["inplace"]:
        stop(f"{name}: the core writes other outputs in place than op.csv says")
    if ref["attributes"]:
        if ref["attributes"] not in header.structs:
            stop(f"{name}: ops.h has no forge_attr_{ref['attributes']}")
        have = [f for _, f in fields(header.structs[ref["attributes"]][1])]
        if have != [a["field"] for a in attributes]:
            stop(f"{name}: forge_attr_{ref['attributes']} has {have}, op_attribute.csv says otherwise")


SIZES = {"WANT": "the exact value", "ONE": "1 + the exact value", "PEAK": "1 + the output's largest value",
         "SUM": "the op over the absolute values of its inputs", "OWN": "a size of its own (`bounds.c`)"}


def bound_line(row):
    fixed, growth, size, why = row
    if fixed == growth == "0":
        return f"**Bound.** One rounding ({why})."
    factor = fixed if growth == "0" else f"({fixed} + {growth} * sqrt(terms))"
    return f"**Bound.** `{factor} * 2^-24` of {SIZES[size]} ({why})."


def read_bounds(path):
    text = path.read_text()
    return {m[0]: m[1:] for m in re.findall(r'^BOUND\((\w+), (\d+), (\d+), (\w+),\s*"([^"]*)"\)', text, re.M)}


def cell(text):
    return text.replace("|", "\\|")


def tensor_table(tensors):
    lines = ["| | name | types | shape |", "|---|---|---|---|"]
    for t in tensors:
        extra = {"": "", "yes": " (optional)"}.get(t["optional"], f" (optional {t['optional']})")
        lines.append(f"| {t['place']} | `{t['name']}`{extra} | {cell(t['types'])} | {cell(t['shape'])} |")
    return lines


def attribute_table(op, ref, attributes, header):
    if not ref["attributes"]:
        return ["No attributes."]
    kinds = dict((name, kind) for kind, name in fields(header.structs[ref["attributes"]][1]))
    lines = [f"Attributes: `forge_attr_{ref['attributes']}`", "", "| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{a['field']}` | `{kinds[a['field']]}` | {cell(a['meaning'])} |" for a in attributes]
    enum = header.enum_of(op["name"])
    if enum:
        lines += ["", "Constants: " + ", ".join(f"`{e}`" for e in enum)]
    return lines


def listing(cases):
    lines = []
    for case in cases:
        title = "; ".join(x for x in (case["title"], case["inputs"]) if x)
        lines += ["", title + ":" if title else "", "```"] + case["lines"] + ["```"]
    return lines


def section(op, ref, tensors, attributes, facts, header, bound):
    name = op["name"]
    lines = [f"## {name}", "", f"{op['class']}, number {op['number']}: {op['text']}", ""]
    lines += tensor_table(tensors)
    if op["inplace"]:
        lines += ["", "In place: " + ", ".join("output {0} is input {1}".format(*p.split(":")) for p in op["inplace"].split()) + "."]
    lines += [""] + attribute_table(op, ref, attributes, header)
    if name in header.definitions:
        lines += ["", "Definition:", "", "```text"] + header.definitions[name].split("\n") + ["```"]
    for title, column in (("Special cases", "special"), ("Rounding and order", "order")):
        if ref[column]:
            lines += ["", f"**{title}.** {ref[column]}"]
    lines += ["", bound_line(bound)]
    if facts["composite"]:
        lines += ["", "**Decomposition.**"] + listing(facts["expansions"])
    lines += ["", "**Gradient.** " + ref["gradient"]] if ref["gradient"] else ["", "**Gradient.**"]
    if facts["gradients"]:
        lines += listing(facts["gradients"])
    return lines + [""]


def contents(ops):
    lines = ["| number | op | class | |", "|---|---|---|---|"]
    for op in ops:
        lines.append(f"| {op['number']} | [{op['name']}](#{op['name'].lower()}) | {op['class']} | {cell(op['text'])} |")
    return lines + [""]


def write(program, source):
    registry = source / "abi" / "registry"
    ops = read(registry / "op.csv")
    names = [op["name"] for op in ops]
    reference = {r["name"]: r for r in read(registry / "op_reference.csv")}
    tensors, attributes = read(registry / "op_tensor.csv"), read(registry / "op_attribute.csv")
    facts = json.loads(subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout)
    bounds = read_bounds(source / "sdk" / "conformance" / "bounds.def")
    header = Header(source / "abi" / "forge" / "ops.h", sorted(names, key=len, reverse=True))
    out = HEAD.split("\n") + contents(ops)
    for op in ops:
        name = op["name"]
        if name not in reference or reference[name]["number"] != op["number"] or name not in facts:
            stop(f"{name}: missing in op_reference.csv or docs/generate/cases.c, or its number differs")
        if name not in bounds:
            stop(f"{name}: no bound in sdk/conformance/bounds.def")
        mine = [t for t in tensors if t["op"] == name]
        own = [a for a in attributes if a["struct"] == reference[name]["attributes"]]
        check(op, reference[name], mine, facts[name], own, header)
        out += section(op, reference[name], mine, own, facts[name], header, bounds[name])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in out)).rstrip() + "\n"


def main():
    program, source = sys.argv[1], pathlib.Path(sys.argv[2])
    text, path = write(program, source), source / "docs" / "ops.md"
    if "--check" not in sys.argv:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        stop("not as the registry, the header and the core say; build the target docs")


if __name__ == "__main__":
    main()
