//! A small disk of a test's own, which can fill up and become read-only.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs; unmounted on drop.
pub struct Mount(PathBuf);

impl Mount {
    /// `None`, told loudly, where this process may not mount: the test then shows nothing.
    pub fn new(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let output = mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"], at);
        if output.status.success() {
            return Some(Self(at.to_owned()));
        }
        eprintln!("SKIPPED: no disk of its own, mount says: {}", String::from_utf8_lossy(&output.stderr));
        None
    }

    pub fn read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let output = mount(&["-o", how], &self.0);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        let mut chunk = 64 * 1024;
        while chunk > 0 {
            match file.write(&vec![0; chunk]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => chunk /= 2,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Makes room again.
    pub fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left may still have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(arguments: &[&str], at: &Path) -> std::process::Output {
    Command::new("mount").args(arguments).arg(at).output().expect("mount is part of every Debian")
}
