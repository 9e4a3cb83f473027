//! Compiled code is kept for the next start, and believed only where it can be.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use policy_host::{Budget, PolicyHost};

use crate::guest::DECENT;

fn files(directory: &std::path::Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_second_start_takes_what_the_first_compiled() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("code");
    let load = || DECENT.load(&PolicyHost::new(Budget::default(), Some(&directory)).unwrap()).unwrap();
    load();
    let kept = files(&directory);
    assert_eq!(kept.len(), 1);
    let written = std::fs::metadata(&kept[0]).unwrap().modified().unwrap();
    load();
    assert_eq!(std::fs::metadata(&kept[0]).unwrap().modified().unwrap(), written, "it was not compiled again");
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn damaged_code_is_compiled_again() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("code");
    let load = || DECENT.load(&PolicyHost::new(Budget::default(), Some(&directory)).unwrap()).unwrap();
    load();
    let file = files(&directory).remove(0);
    let whole = std::fs::read(&file).unwrap();
    for damage in [whole[..whole.len() / 2].to_vec(), Vec::new(), {
        let mut flipped = whole.clone();
        flipped[whole.len() - 100] ^= 1;
        flipped
    }] {
        std::fs::write(&file, damage).unwrap();
        load();
        assert_eq!(std::fs::read(&file).unwrap().len(), whole.len(), "it is whole again");
    }
}

#[test]
fn a_directory_that_others_may_write_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    DECENT.load(&PolicyHost::new(Budget::default(), Some(place.path())).unwrap()).unwrap();
    assert_eq!(files(place.path()), Vec::<PathBuf>::new());
}
