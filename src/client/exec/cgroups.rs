//! Control groups that hold what a job uses: memory, processes, and its share of the processor.
//!
//! Owns one directory for each controller, below the group that the client was started in, and in it one group for each
//! job that has such a limit. Version 1 only, where each controller has a tree of its own: in the one tree of version 2 a
//! job's group would have to be below that of its doors. A controller that is not there is left out, and what it would
//! hold is watched, or held by rlimits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::AssignmentId;
use serde::{Deserialize, Serialize};

use crate::protocol::JobLimits;

/// Joined by writing here.
const PROCESSES: &str = "cgroup.procs";
/// What a share of the processor is a share of, in microseconds, and the least that the kernel takes.
const PERIOD_US: u64 = 100_000;
const QUOTA_MIN_US: u64 = 1_000;
/// The most processes that a group of the kernel's can be given.
const PROCESSES_MAX: u64 = 4_194_304;

/// What a tree of groups holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    Memory,
    Pids,
    Cpu,
}

const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

/// One controller's directory for the groups of a client's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tree {
    controller: Controller,
    jobs: PathBuf,
}

/// Where groups of jobs are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    trees: Vec<Tree>,
}

/// The groups of one job, removed with this.
#[derive(Debug, Default)]
pub struct Group {
    parts: Vec<(Controller, PathBuf)>,
}

impl Groups {
    /// Makes the directories `name` beside this process, or takes them up again; groups in them that nothing runs in any
    /// more are removed.
    ///
    /// # Errors
    /// No controller is there, or none is ours to use: why the first was not.
    pub fn make_ready(name: &str) -> io::Result<Self> {
        let mut trees = Vec::new();
        let mut first_error = None;
        for controller in ALL {
            match Tree::make_ready(controller, name) {
                Ok(tree) => trees.push(tree),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            Some(error) if trees.is_empty() => Err(error),
            _ => Ok(Self { trees }),
        }
    }

    /// Makes the groups that a job's limits need; none where no limit is held by a group.
    ///
    /// # Errors
    /// The kernel's: they cannot be made, or do not take a limit.
    pub fn make(&self, job: AssignmentId, limits: &JobLimits) -> io::Result<Group> {
        let mut group = Group { parts: Vec::new() };
        for tree in &self.trees {
            let wanted = tree.controller.settings(limits);
            if wanted.is_empty() {
                continue;
            }
            let dir = tree.jobs.join(job.to_string());
            fs::create_dir(&dir)?;
            group.parts.push((tree.controller, dir.clone()));
            for (file, value) in wanted {
                let file = dir.join(file);
                // Kernels without accounting of swap do not have the limit of it.
                if file.exists() {
                    fs::write(file, value.to_string())?;
                }
            }
        }
        Ok(group)
    }

    /// Removes the directories; where jobs still run in them, they stay.
    pub fn close(&self) {
        for tree in &self.trees {
            let _ = fs::remove_dir(&tree.jobs);
        }
    }
}

impl Tree {
    fn make_ready(controller: Controller, name: &str) -> io::Result<Self> {
        let jobs = controller.own_group()?.join(name);
        match fs::create_dir(&jobs) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for left in fs::read_dir(&jobs)?.flatten().filter(|entry| entry.path().is_dir()) {
            // What still has processes does not go away by this.
            let _ = fs::remove_dir(left.path());
        }
        Ok(Self { controller, jobs })
    }
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }

    /// The group of this process, as a directory.
    fn own_group(self) -> io::Result<PathBuf> {
        let none = || {
            let text = format!("no control groups of version 1 for {} are mounted", self.name());
            io::Error::new(io::ErrorKind::Unsupported, text)
        };
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (at, kind, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
            let is_it = kind == "cgroup" && options.split(',').any(|option| option == self.name());
            is_it.then(|| PathBuf::from(at))
        });
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|controller| controller == self.name()).then_some(path)
        });
        let own = own.ok_or_else(none)?;
        Ok(mount.ok_or_else(none)?.join(own.trim_start_matches('/')))
    }

    /// The files of a group and what is written into them.
    fn settings(self, limits: &JobLimits) -> Vec<(&'static str, u64)> {
        match self {
            Self::Memory => limits.memory_bytes.map_or_else(Vec::new, |most| {
                // In this order: memory alone must never be more than memory and swap.
                vec![("memory.limit_in_bytes", most), ("memory.memsw.limit_in_bytes", most)]
            }),
            Self::Pids => limits.processes.map_or_else(Vec::new, |most| {
                // The first process of the box is one of them.
                vec![("pids.max", most.saturating_add(1).min(PROCESSES_MAX))]
            }),
            Self::Cpu => limits.cpu_percent.map_or_else(Vec::new, |percent| {
                let quota = (PERIOD_US.saturating_mul(percent) / 100).max(QUOTA_MIN_US);
                vec![("cpu.cfs_period_us", PERIOD_US), ("cpu.cfs_quota_us", quota)]
            }),
        }
    }
}

impl Group {
    /// Puts this process, and all that it starts, into the groups.
    ///
    /// # Errors
    /// They are gone.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.parts.iter().try_for_each(|(_, dir)| fs::write(dir.join(PROCESSES), "0"))
    }

    /// Whether the kernel holds the job's memory.
    #[must_use]
    pub fn holds_memory(&self) -> bool {
        self.memory().is_some()
    }

    /// Whether the kernel has ended a process of the job because its memory was used up.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        let Some(dir) = self.memory() else { return false };
        let told = fs::read_to_string(dir.join("memory.oom_control")).unwrap_or_default();
        told.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    fn memory(&self) -> Option<&Path> {
        self.parts.iter().find(|(controller, _)| *controller == Controller::Memory).map(|(_, dir)| dir.as_path())
    }
}

/// Nothing of the job runs any more. A group that does not go away now goes when the client is started again.
impl Drop for Group {
    fn drop(&mut self) {
        for (_, dir) in &self.parts {
            let _ = fs::remove_dir(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_in_the_kernels_units() {
        let limits = JobLimits {
            memory_bytes: Some(2_000_000_000),
            processes: Some(20),
            cpu_percent: Some(150),
            ..JobLimits::default()
        };
        let memory = [("memory.limit_in_bytes", 2_000_000_000), ("memory.memsw.limit_in_bytes", 2_000_000_000)];
        assert_eq!(Controller::Memory.settings(&limits), memory);
        assert_eq!(Controller::Pids.settings(&limits), [("pids.max", 21)]);
        assert_eq!(Controller::Cpu.settings(&limits), [("cpu.cfs_period_us", 100_000), ("cpu.cfs_quota_us", 150_000)]);
        for controller in ALL {
            assert!(controller.settings(&JobLimits::default()).is_empty());
        }
    }
}
