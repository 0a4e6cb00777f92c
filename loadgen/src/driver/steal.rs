//! How much of the machine's time its hypervisor gave to others, as the kernel counts it.

/// CPU time of all cores since the machine started, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuTimes {
    stolen: u64,
    all: u64,
}

/// Columns of the line `cpu` of `/proc/stat` that add up to all time: user, nice, system, idle, iowait, irq, softirq
/// and steal. The time of guests, which follows, is counted in user and nice already (proc_stat(5)).
const COLUMNS: usize = 8;

impl CpuTimes {
    /// As it is now; `None` where the kernel does not tell.
    pub fn now() -> Option<CpuTimes> {
        CpuTimes::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn read(stat: &str) -> Option<CpuTimes> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let columns: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let columns = columns.get(..COLUMNS)?;
        Some(CpuTimes { stolen: columns[COLUMNS - 1], all: columns.iter().sum() })
    }

    /// The share of the time since an earlier look that was stolen; `None` if by the kernel's count none has passed, as
    /// in some containers.
    pub fn stolen_since(&self, earlier: &CpuTimes) -> Option<f64> {
        let all = self.all.checked_sub(earlier.all).filter(|all| *all > 0)?;
        Some(self.stolen.saturating_sub(earlier.stolen) as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::CpuTimes;

    #[test]
    fn stolen_time_is_a_share_of_all_time_and_guests_are_not_counted_twice() {
        let before = CpuTimes::read("cpu  100 0 50 800 10 0 5 35 60 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n").unwrap();
        assert_eq!(before, CpuTimes { stolen: 35, all: 1_000 });
        let after = CpuTimes::read("cpu  160 0 70 810 10 0 5 45 90 0\n").unwrap();
        assert!((after.stolen_since(&before).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(before.stolen_since(&before), None, "a count that stands still says nothing");
    }

    #[test]
    fn a_kernel_that_does_not_count_it_is_not_taken_for_one_that_counts_nothing() {
        assert_eq!(CpuTimes::read("cpu  100 0 50 800 10 0 5\n"), None);
        assert_eq!(CpuTimes::read("intr 5\n"), None);
    }
}
