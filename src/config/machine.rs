//! What an instance tells of its machine by itself, so that nobody has to declare it for each type.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use domain::Labels;

/// As `uname -m` says it, such as `x86_64` or `aarch64`.
const ARCHITECTURE: &str = "arch";
/// Those that this process may use.
const CPUS: &str = "cpus";
/// All of the machine's, in MiB.
const MEMORY: &str = "memory_mb";

/// `given`, and what the machine has beside it. What was given counts: an operator may know better.
pub(super) fn with_its_labels(given: &Labels) -> Labels {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let found = [
        (ARCHITECTURE, Some(std::env::consts::ARCH.to_owned())),
        (CPUS, thread::available_parallelism().ok().map(|count| NonZero::get(count).to_string())),
        (MEMORY, memory_mib(&meminfo).map(|mib| mib.to_string())),
    ];
    let mut labels: BTreeMap<String, String> =
        found.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    labels.extend(given.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    // What we add is a label as any other.
    Labels::try_from(labels).unwrap_or_else(|_| given.clone())
}

/// The kernel says KiB: `MemTotal:       16384000 kB`.
fn memory_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_tells_what_it_is_and_an_operator_knows_better() {
        let given = Labels::from_pairs(["gpu", "cpus=1"]).unwrap();
        let labels = with_its_labels(&given);
        assert_eq!((labels.get("gpu"), labels.get("cpus")), (Some("true"), Some("1")));
        assert_eq!(labels.get("arch"), Some(std::env::consts::ARCH));
        assert!(labels.get("memory_mb").unwrap().parse::<u64>().unwrap() > 0);
        assert_ne!(with_its_labels(&Labels::default()).get("cpus"), None);
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(memory_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_000));
        assert_eq!(memory_mib("MemFree: 1 kB\n"), None);
    }
}
