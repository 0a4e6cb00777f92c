//! What the operating system says of this machine and of this process.

use std::fs;

/// Fresh bytes that nobody can predict.
///
/// # Errors
/// The operating system gives none.
pub(crate) fn random() -> anyhow::Result<[u8; 32]> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(random)
}

/// The memory of the machine, or of the container that bounds it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What could still be taken.
    pub(crate) available: u64,
    /// All of it.
    pub(crate) of: u64,
}

/// The memory of the machine; within a container with a limit that is lower, that.
pub(crate) fn memory() -> Option<Memory> {
    let machine = of_machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    Some(match limit.zip(used) {
        Some((limit, used)) if limit < machine.of => {
            Memory { available: limit.saturating_sub(used).min(machine.available), of: limit }
        }
        _ => machine,
    })
}

fn of_machine(meminfo: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some(Memory { available: field("MemAvailable:")?, of: field("MemTotal:")? })
}

/// Bytes of this process in memory, and its threads.
pub(crate) fn process() -> Option<(u64, u64)> {
    of_process(&fs::read_to_string("/proc/self/status").ok()?)
}

fn of_process(status: &str) -> Option<(u64, u64)> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let resident = field("VmRSS:")?.strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    Some((resident, field("Threads:")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let memory_now = memory().expect("Linux says it");
        assert!(memory_now.available <= memory_now.of && memory_now.of > 1 << 20, "{memory_now:?}");
        let (resident, threads) = process().expect("Linux says it");
        assert!(resident > 1 << 20 && threads >= 1, "{resident} {threads}");
        let meminfo = "MemTotal:       16 kB\nMemFree:  1 kB\nMemAvailable:   8 kB\n";
        assert_eq!(of_machine(meminfo), Some(Memory { available: 8 << 10, of: 16 << 10 }));
        assert_eq!((of_machine("MemTotal: much"), of_process("Threads:\t3")), (None, None));
    }
}
