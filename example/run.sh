#!/usr/bin/env bash
# Contact map and radius of gyration of every *.pdb file in this directory and below it, with bash and awk only (gawk,
# mawk and busybox agree to the last byte).
#
# Definitions
#   contact    two residues whose CA atoms are at most 8 A apart, and that are at least 3 places apart in their chain;
#              residues of different chains always count. Places are counted along the file, so gaps are not counted.
#   Rg         sqrt(sum m |r - centre of mass|^2 / sum m), over all atoms and over the CA atoms alone.
#   RCO        relative contact order of a chain: the mean |i-j| of its inner contacts, divided by its residues (after
#              Plaxco, Simons and Baker 1998, with CA distances in place of heavy-atom ones).
# Read are the ATOM records, and HETATM of selenomethionine (MSE), of the first model; of alternate places the first.
#
# Writes summary.txt, contacts.tsv, and beside each structure NAME.contacts.pbm: one row and column per residue, 1 is a
# contact; any image viewer opens it, and so does a text editor.
set -euo pipefail
shopt -s globstar nullglob nocaseglob
export LC_ALL=C

readonly cutoff=8.0 min_separation=3

fail() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}

# The structure comes on stdin. Names come by the environment: awk would read an `=` in an argument as an assignment
# and a backslash in -v as an escape.
analyse() {
    STRUCTURE=$1 MAP=$2 CUTOFF=$cutoff MIN_SEPARATION=$min_separation awk '
    BEGIN {
        split("H D C N O S P SE", symbol, " ")
        split("1.008 2.014 12.011 14.007 15.999 32.06 30.974 78.971", weight, " ")
        for (k = 1; k <= 8; k++) mass_of[symbol[k]] = weight[k]
        cutoff = ENVIRON["CUTOFF"] + 0
        min_separation = ENVIRON["MIN_SEPARATION"] + 0
        name = ENVIRON["STRUCTURE"]; map = ENVIRON["MAP"]
    }
    function trim(s) { gsub(/[ \t]/, "", s); return s }
    function refuse(text) {
        printf "run.sh: %s: %s\n", name, text > "/dev/stderr"
        refused = 1
        exit 1
    }
    # Files from before 1996 have no element in columns 77 and 78: the letters of the atom name tell it then. A one in
    # column 13 (" CA " against "CA  ") is what keeps a carbon alpha from calcium.
    function mass(line,   element) {
        element = toupper(trim(substr(line, 77, 2)))
        if (!(element in mass_of)) {
            element = substr(line, 13, 2)
            gsub(/[ 0-9]/, "", element)
            element = toupper(element)
            if (!(element in mass_of)) element = substr(element, 1, 1)
        }
        if (!(element in mass_of)) refuse("line " NR ": no element that proteins have: " substr(line, 13, 4))
        return mass_of[element]
    }
    function coordinate(column,   text) {
        text = trim(substr($0, column, 8))
        if (text !~ /^[-+]?[0-9]+\.?[0-9]*$/ && text !~ /^[-+]?\.[0-9]+$/)
            refuse("line " NR ": not a coordinate in column " column ": \"" text "\"")
        return text + 0
    }
    /^ENDMDL/ { exit }
    /^ATOM  / || (/^HETATM/ && substr($0, 18, 3) == "MSE") {
        residue = substr($0, 22, 6)
        atom = trim(substr($0, 13, 4))
        if ((residue, atom) in seen) next
        seen[residue, atom] = 1
        x = coordinate(31); y = coordinate(39); z = coordinate(47); m = mass($0)
        atoms++
        sum_m += m; sum_x += m * x; sum_y += m * y; sum_z += m * z
        sum_r += m * (x * x + y * y + z * z)
        if (atom != "CA") next
        n++
        id = substr($0, 22, 1)
        if (id == " ") id = "-"
        chain[n] = id
        number[n] = trim(substr($0, 23, 5))
        kind[n] = trim(substr($0, 18, 3))
        if (!(id in residues)) order[++chains] = id
        place[n] = ++residues[id]
        ca_x[n] = x; ca_y[n] = y; ca_z[n] = z
        ca_sx += x; ca_sy += y; ca_sz += z; ca_sr += x * x + y * y + z * z
    }
    # Newton: an awk from busybox may be built without sqrt().
    function root(square,   guess, better) {
        if (square <= 0) return 0
        better = square > 1 ? square : 1
        do { guess = better; better = (guess + square / guess) / 2 } while (better < guess)
        return guess
    }
    function gyration(r, x, y, z, m) {
        return root(r / m - (x * x + y * y + z * z) / (m * m))
    }
    function contacts_of(i,   j, dx, dy, dz, square, apart) {
        for (j = i + 1; j <= n; j++) {
            apart = place[j] - place[i]
            if (chain[i] == chain[j] && apart < min_separation) continue
            dx = ca_x[i] - ca_x[j]; dy = ca_y[i] - ca_y[j]; dz = ca_z[i] - ca_z[j]
            square = dx * dx + dy * dy + dz * dz
            if (square > cutoff * cutoff) continue
            contact[i, j] = contact[j, i] = 1
            contacts++
            if (chain[i] == chain[j]) { inner[chain[i]]++; reach[chain[i]] += apart } else between++
            printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.3f\n", name, chain[i], number[i], kind[i],
                chain[j], number[j], kind[j], root(square) >> "contacts.tsv"
        }
    }
    function draw(   i, j, row) {
        printf "P1\n# CA contact map, cut-off %.1f A\n%d %d\n", cutoff, n, n > map
        for (i = 1; i <= n; i++) {
            row = ""
            for (j = 1; j <= n; j++) row = row (((i, j) in contact) ? "1" : "0")
            print row > map
        }
    }
    function summary(   k, id) {
        printf "structure                 %s\n", name
        printf "atoms                     %d\n", atoms
        printf "residues                  %d\n", n
        printf "Rg of all atoms           %.3f A\n", gyration(sum_r, sum_x, sum_y, sum_z, sum_m)
        printf "Rg of CA atoms            %.3f A\n", gyration(ca_sr, ca_sx, ca_sy, ca_sz, n)
        printf "contacts                  %d\n", contacts
        printf "contacts between chains   %d\n", between
        for (k = 1; k <= chains; k++) {
            id = order[k]
            printf "chain %s                   %d residues, %d contacts, relative contact order %s\n", id, residues[id],
                inner[id], inner[id] ? sprintf("%.4f", reach[id] / inner[id] / residues[id]) : "-"
        }
        print ""
    }
    END {
        if (refused) exit 1
        if (!atoms) refuse("no ATOM record in it: is this a PDB file?")
        if (!n) refuse("no CA atom in it: is this a protein?")
        for (i = 1; i <= n; i++) contacts_of(i)
        draw()
        summary()
    }'
}

structures=(**/*.pdb)
((${#structures[@]})) || fail 'there is no *.pdb file here'

printf 'structure\tchain_i\tresidue_i\tname_i\tchain_j\tresidue_j\tname_j\tdistance\n' >contacts.tsv
: >summary.txt
for structure in "${structures[@]}"; do
    # shellcheck disable=SC2094 # the name goes along, the file is only read
    analyse "$structure" "${structure%.*}.contacts.pbm" <"$structure" | tee -a summary.txt
done
