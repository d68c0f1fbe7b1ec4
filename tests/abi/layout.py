#!/usr/bin/env python3
"""layout.py ABI-FOLDER: prints SIZE(struct, bytes) and AT(struct, member, offset) for every struct of abi/forge/*.h.

record.sh stores the answer as abi/recorded/MAJOR.MINOR/layout.def; test_layout.c holds each compiler to it.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def members(body):
    body = re.sub(r"union \{.*?\} (\w+);", r"int \1;", body, flags=re.S)
    for declaration in filter(None, (d.strip() for d in body.split(";"))):
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        if pointer:
            yield pointer.group(1)
            continue
        for name in declaration.split(","):
            yield re.split(r"[\s*]+", re.sub(r"\[.*?\]", "", name).strip())[-1]


def main():
    abi = pathlib.Path(sys.argv[1])
    headers = sorted((abi / "forge").glob("*.h"))
    text = re.sub(r"/\*.*?\*/", "", "".join(h.read_text() for h in headers), flags=re.S)
    lines = []
    for name, body in re.findall(r"typedef struct (forge_\w+) \{(.*?)\n\} \1;", text, flags=re.S):
        lines.append(f'printf("SIZE({name}, %zu)\\n", sizeof({name}));')
        lines += [f'printf("AT({name}, {m}, %zu)\\n", offsetof({name}, {m}));' for m in members(body)]
    lines.append('printf("#define FORGE_RECORDED_LAYOUT_ID %llu\\n", (unsigned long long)FORGE_LAYOUT_ID);')
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        includes = "".join(f"#include <forge/{h.name}>\n" for h in headers)
        pathlib.Path(source).write_text(
            "#include <stddef.h>\n#include <stdio.h>\n" + includes + "int main(void) {\n" + "\n".join(lines) + "\n}\n")
        subprocess.check_call([os.environ.get("CC", "cc"), "-I", abi, source, "-o", program])
        sys.stdout.write(subprocess.check_output([program], text=True))


if __name__ == "__main__":
    main()
