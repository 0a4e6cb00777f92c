//! Options that several commands have.

use clap::ValueEnum;

use crate::device::Policy;

/// How journals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// io_uring where the kernel offers it, else portable.
    Auto,
    /// io_uring, or refuse to start.
    Uring,
    /// Plain file calls.
    Portable,
}

impl Storage {
    /// The word in a configuration file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Portable => "portable",
        }
    }
}

/// Who checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// The CPU alone.
    Cpu,
    /// A GPU or a software device, as many as it can check in a tenth of a second; the CPU the rest.
    Gpu,
    /// A hardware GPU, if there is one, and the CPU: each round is split so that both end together.
    Auto,
}

impl Verify {
    /// The policy that a configuration file names by the same word.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Self::Cpu => Policy::Cpu,
            Self::Gpu => Policy::Gpu,
            Self::Auto => Policy::Auto,
        }
    }
}
