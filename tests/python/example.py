#!/usr/bin/env python3
"""Checks example/: the structure is made anew to the same bytes, and run.sh computes what an independent calculation
does, to the last digit, under every awk that is installed.

    example.py [MORE.pdb ...]

Standard library only. Exit code 1 with the first difference.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "example"
AWKS = {"mawk": "mawk", "gawk": "gawk --posix", "original-awk": "original-awk", "busybox": "busybox awk"}
MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06, "SE": 78.971}


def parse(path):
    """The atoms of a file without models or alternate places: (name, residue, chain, number, element, position)."""
    for line in path.read_text().splitlines():
        if line.startswith("ATOM"):
            position = tuple(float(line[k : k + 8]) for k in (30, 38, 46))
            yield line[12:16].strip(), line[17:20].strip(), line[21], line[22:27].strip(), line[76:78].strip(), position


def gyration(weighted):
    """By the definition: the weighted root mean square distance from the centre of mass."""
    total = math.fsum(m for m, _ in weighted)
    centre = [math.fsum(m * p[k] for m, p in weighted) / total for k in range(3)]
    return math.sqrt(math.fsum(m * math.dist(p, centre) ** 2 for m, p in weighted) / total)


def expected(path):
    """Summary values and contacts of one chain."""
    atoms = list(parse(path))
    alphas = [a for a in atoms if a[0] == "CA"]
    assert len({a[2] for a in atoms}) == 1, f"{path}: this check is for one chain"
    contacts = [
        (i, j, math.dist(alphas[i][5], alphas[j][5]))
        for i in range(len(alphas))
        for j in range(i + 3, len(alphas))
        if math.dist(alphas[i][5], alphas[j][5]) <= 8.0
    ]
    order = sum(j - i for i, j, _ in contacts) / len(contacts) / len(alphas)
    summary = {
        "atoms": f"{len(atoms)}",
        "residues": f"{len(alphas)}",
        "Rg of all atoms": f"{gyration([(MASSES[a[4]], a[5]) for a in atoms]):.3f} A",
        "Rg of CA atoms": f"{gyration([(1.0, a[5]) for a in alphas]):.3f} A",
        "contacts": f"{len(contacts)}",
        "contacts between chains": "0",
        f"chain {alphas[0][2]}": f"{len(alphas)} residues, {len(contacts)} contacts, relative contact order {order:.4f}",
    }
    rows = ["\t".join((a[2], a[3], a[1], b[2], b[3], b[1], f"{d:.3f}")) for a, b, d in named(alphas, contacts)]
    pixels = {(i, j) for i, j, _ in contacts} | {(j, i) for i, j, _ in contacts}
    size = range(len(alphas))
    return summary, rows, ["".join("01"[(i, j) in pixels] for j in size) for i in size]


def named(alphas, contacts):
    return ((alphas[i], alphas[j], d) for i, j, d in contacts)


def run(work, awk):
    """Runs run.sh in `work` with `awk` as its awk; the finished process."""
    tools = Path(work).parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "awk").write_text(f'#!/bin/sh\nexec {awk} "$@"\n')
    (tools / "awk").chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "run.sh"], check=False, cwd=work, env=environment, capture_output=True, text=True, timeout=60
    )


def new_directory(root, name):
    work = Path(root) / name
    work.mkdir()
    shutil.copy(EXAMPLE / "run.sh", work)
    return work


def check_numbers(root, awk_name, awk, structures):
    work = new_directory(root, f"numbers {awk_name}")
    (work / "sub dir").mkdir()
    places = {}
    for index, structure in enumerate(structures):
        place = work / "sub dir" / f"a=b \\n it's {index}.pdb" if index else work / structure.name
        shutil.copy(structure, place)
        places[str(place.relative_to(work))] = structure
    done = run(work, awk)
    assert done.returncode == 0 and not done.stderr, f"{awk}: {done}"
    assert done.stdout == (work / "summary.txt").read_text(), "what is printed is the summary"
    blocks = [dict(split(line) for line in block.splitlines()) for block in done.stdout.strip().split("\n\n")]
    table = [line.split("\t", 1) for line in (work / "contacts.tsv").read_text().splitlines()[1:]]
    assert {b["structure"] for b in blocks} == set(places), f"{awk}: {blocks}"
    for block in blocks:
        name = block.pop("structure")
        summary, rows, image = expected(places[name])
        assert block == summary, f"{awk}: {name}:\n{block}\ninstead of\n{summary}"
        assert [row for n, row in table if n == name] == rows, f"{awk}: {name}: contacts.tsv"
        drawn = (work / f"{name.removesuffix('.pdb')}.contacts.pbm").read_text().splitlines()
        assert drawn[0] == "P1" and drawn[2] == f"{len(image)} {len(image)}", f"{awk}: {drawn[:3]}"
        assert drawn[3:] == image, f"{awk}: {name}: contact map"


def split(line):
    return line[:24].strip(), line[26:]


def check_refusals(root, awk_name, awk):
    good = (EXAMPLE / "helix.pdb").read_text()
    refusals = {
        "no ATOM record": ("REMARK nothing here\n", "bad.pdb: no ATOM record in it"),
        "empty": ("", "bad.pdb: no ATOM record in it"),
        "no CA": (good.replace(" CA ", " CX "), "bad.pdb: no CA atom in it"),
        "not a number": (good.replace("1.458", "1.4x8", 1), 'line 4: not a coordinate in column 31: "1.4x8"'),
        "no file": (None, "there is no *.pdb file here"),
    }
    for index, (case, (text, message)) in enumerate(refusals.items()):
        work = new_directory(root, f"refusal {awk_name} {index}")
        if text is not None:
            (work / "bad.pdb").write_text(text)
        done = run(work, awk)
        assert done.returncode == 1 and message in done.stderr, f"{awk}: {case}: {done}"


def check_dialects(root, awk_name, awk):
    """CRLF, no element columns, a second model and second places change nothing."""
    work = new_directory(root, f"dialects {awk_name}")
    good = (EXAMPLE / "helix.pdb").read_text().splitlines()
    odd = []
    for line in good[:-1]:
        odd.append(line[:66])
        if line[12:16] == " CA ":
            odd.append(line[:16] + "B" + line[17:30] + "   1.000   1.000   1.000")
    odd += ["ENDMDL", *(line[:21] + "B" + line[22:] for line in good)]
    (work / "odd.PDB").write_text("\r\n".join(odd) + "\r\n")
    done = run(work, awk)
    block = dict(split(line) for line in done.stdout.strip().splitlines())
    assert done.returncode == 0, done
    block.pop("structure")
    assert block == expected(EXAMPLE / "helix.pdb")[0], f"{awk}: {block}"


def main():
    made = subprocess.run([sys.executable, EXAMPLE / "make_structure.py"], capture_output=True, check=True).stdout
    assert made == (EXAMPLE / "helix.pdb").read_bytes(), "helix.pdb is not what make_structure.py makes"
    structures = [EXAMPLE / "helix.pdb", *map(Path, sys.argv[1:])]
    awks = {name: command for name, command in AWKS.items() if shutil.which(name)}
    assert awks, "no awk is installed"
    with tempfile.TemporaryDirectory() as root:
        for name, command in awks.items():
            check_numbers(root, name, command, structures)
            check_refusals(root, name, command)
            check_dialects(root, name, command)
    print(f"example: {len(structures)} structure(s), {', '.join(awks)}: all numbers agree")


if __name__ == "__main__":
    main()
