//! The example that people meet first, and a real structure, through the whole system.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::harness::{Bed, Form, unzip};

/// Runs the example's script on one structure.
async fn analysed(name: &str, structure: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let script = std::fs::read(root().join("example/run.sh")).unwrap();
    let id = server.submit(Form::new(7).file("run.sh", script).file(name, structure)).await;
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let files = unzip(&server.download(id).await.body);
    assert_eq!(files[name], structure);
    assert_eq!(files[".orchestrator.log"], files["summary.txt"]);
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn residues(files: &BTreeMap<String, Vec<u8>>) -> usize {
    let summary = String::from_utf8_lossy(&files["summary.txt"]);
    let line = summary.lines().find_map(|line| line.strip_prefix("residues")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn the_example_gives_a_contact_map() {
    let structure = std::fs::read(root().join("example/helix.pdb")).unwrap();
    let files = analysed("helix.pdb", &structure).await;
    let map = String::from_utf8(files["helix.contacts.pbm"].clone()).unwrap();
    let size = residues(&files);
    assert!(size > 0);
    assert!(map.starts_with("P1\n") && map.contains(&format!("\n{size} {size}\n")), "{map}");
    assert!(files["contacts.tsv"].starts_with(b"structure\tchain_i"));
}

/// The structure is not part of the repository; where it lies beside it, it is analysed.
#[tokio::test]
async fn a_real_structure_below_a_directory_with_a_space_comes_back_analysed() {
    let beside = ["../shared/cases/2oob_A.pdb", "../../shared/cases/2oob_A.pdb"];
    let Some(structure) = beside.iter().find_map(|path| std::fs::read(root().join(path)).ok()) else { return };
    let name = "my structures/2oob_A.pdb";
    let atoms = String::from_utf8_lossy(&structure)
        .lines()
        .filter(|line| line.starts_with("ATOM") && &line[12..16] == " CA ")
        .count();
    let files = analysed(name, &structure).await;
    assert_eq!(residues(&files), atoms);
    assert!(files["my structures/2oob_A.contacts.pbm"].starts_with(b"P1\n"));
    let contacts = String::from_utf8(files["contacts.tsv"].clone()).unwrap();
    assert!(
        contacts.lines().skip(1).all(|line| line.starts_with(name)) && contacts.lines().count() > atoms,
        "{contacts}"
    );
}
