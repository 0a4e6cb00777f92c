//! The machine that a figure belongs to, as the operating system describes it.

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Threads of execution that may be used.
    pub cores: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub system: String,
    /// Vector extensions that matter here.
    pub extensions: Vec<String>,
}

/// What the kernels can make use of.
const EXTENSIONS: [&str; 6] = ["sha_ni", "avx2", "avx512f", "avx512_ifma", "avx512ifma", "gfni"];

impl Machine {
    /// This machine. What the system does not tell stays empty.
    pub fn here() -> Machine {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let system = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
        Machine::describe(&cpu, &memory, cores, system)
    }

    fn describe(cpu: &str, memory: &str, cores: u64, system: String) -> Machine {
        let flags = field(cpu, "flags").unwrap_or_default();
        let has = |name: &&str| flags.split_whitespace().any(|flag| flag == *name);
        let kibibytes = field(memory, "MemTotal")
            .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        Machine {
            cpu: field(cpu, "model name").unwrap_or("unknown processor").to_string(),
            cores,
            memory_bytes: kibibytes * 1024,
            system,
            extensions: EXTENSIONS.iter().filter(|name| has(name)).map(|name| name.to_string()).collect(),
        }
    }
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn a_description_is_read_out_of_the_systems_words() {
        let cpu = "processor\t: 0\nmodel name\t: Wheel 9000\nflags\t\t: fpu avx2 sha_ni xavx512f\n\nmodel name\t: other\n";
        let machine = Machine::describe(cpu, "MemFree: 1 kB\nMemTotal:  2048 kB\n", 3, "linux 7".into());
        assert_eq!(machine.cpu, "Wheel 9000");
        assert_eq!(machine.memory_bytes, 2 << 20);
        assert_eq!(machine.extensions, ["sha_ni", "avx2"]);
    }

    #[test]
    fn a_silent_system_leaves_gaps_and_no_error() {
        let machine = Machine::describe("", "", 1, String::new());
        assert_eq!((machine.cpu.as_str(), machine.memory_bytes), ("unknown processor", 0));
    }
}
