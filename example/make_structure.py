#!/usr/bin/env python3
"""Writes helix.pdb to standard output: two ideal alpha helices that pack side by side, joined by a short turn.

The structure is made and not measured, so that the repository may carry it. Backbone and CB atoms are placed one after
another by bond length, bond angle and torsion (natural extension reference frame). Lengths and angles are those of
Engh and Huber (1991), but for N-CA-C: at its tetrahedral 109.5 degrees the helix torsions below give 1.50 A and 99.9
degrees per residue with CA 2.29 A from the axis, the textbook's alpha helix. The turn's torsions were searched for
helices that run antiparallel, 9.2 A apart, without a clash.

Usage: make_structure.py > helix.pdb
"""

import math

N_CA, CA_C, C_N, C_O, CA_CB = 1.458, 1.525, 1.329, 1.231, 1.530  # A
N_CA_C, CA_C_N, C_N_CA, CA_C_O, C_CA_CB = 109.5, 117.2, 121.7, 120.1, 110.5  # degrees
CB_TORSION = 122.6  # of N-C-CA-CB: an L amino acid
TRANS = 180.0

HELIX = ("ALA", -63.0, -42.0)  # residue, phi, psi
TURN = [("GLY", -64.0, 124.0), ("GLY", -74.0, -44.0), ("GLY", -65.0, 123.0)]
RESIDUES = [HELIX] * 15 + TURN + [HELIX] * 15


def place(a, b, c, length, angle, torsion):
    """The point d at `length` from c, with the angle b-c-d and the torsion a-b-c-d, in degrees."""
    angle, torsion = math.radians(angle), math.radians(torsion)
    forward = unit(minus(c, b))
    normal = unit(cross(minus(b, a), forward))
    sideways = cross(normal, forward)
    along = -length * math.cos(angle)
    aside = length * math.sin(angle) * math.cos(torsion)
    up = length * math.sin(angle) * math.sin(torsion)
    return tuple(c[k] + along * forward[k] + aside * sideways[k] + up * normal[k] for k in range(3))


def minus(a, b):
    return tuple(x - y for x, y in zip(a, b))


def cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def unit(a):
    length = math.sqrt(sum(x * x for x in a))
    return tuple(x / length for x in a)


def backbone(residues):
    """Yields for each residue its name and its atoms as (name, element, position)."""
    n, ca = (0.0, 0.0, 0.0), (N_CA, 0.0, 0.0)
    c = place((0.0, 1.0, 0.0), n, ca, CA_C, N_CA_C, 0.0)  # any direction will do for the first
    for index, (name, phi, psi) in enumerate(residues):
        if index:
            last_psi = residues[index - 1][2]
            next_n = place(n, ca, c, C_N, CA_C_N, last_psi)
            next_ca = place(ca, c, next_n, N_CA, C_N_CA, TRANS)
            c = place(c, next_n, next_ca, CA_C, N_CA_C, phi)
            n, ca = next_n, next_ca
        o = place(n, ca, c, C_O, CA_C_O, psi + 180.0)
        atoms = [("N", "N", n), ("CA", "C", ca), ("C", "C", c), ("O", "O", o)]
        if name != "GLY":
            atoms.append(("CB", "C", place(n, c, ca, CA_CB, C_CA_CB, CB_TORSION)))
        yield name, atoms


def pdb(residues):
    """The lines of the file, in the fixed columns of PDB format 3.3."""
    yield "REMARK   1 MADE BY EXAMPLE/MAKE_STRUCTURE.PY FROM STANDARD GEOMETRY, NOT MEASURED"
    yield "REMARK   1 TWO IDEAL ALPHA HELICES OF 15 ALANINES AND A TURN OF 3 GLYCINES"
    serial = 0
    for number, (name, atoms) in enumerate(backbone(residues), start=1):
        for atom, element, position in atoms:
            serial += 1
            x, y, z = (round(value, 3) + 0.0 for value in position)  # + 0.0 makes -0.0 a plain 0.0
            yield (
                f"ATOM  {serial:5d}  {atom:<3s} {name} A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
                f"{1.0:6.2f}{0.0:6.2f}          {element:>2s}  "
            )
    yield f"TER   {serial + 1:5d}      {name} A{number:4d}"
    yield "END"


if __name__ == "__main__":
    print("\n".join(pdb(RESIDUES)))
