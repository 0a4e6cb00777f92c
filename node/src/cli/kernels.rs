//! The command lines of `millrace kernels`.

use std::path::PathBuf;

use clap::Subcommand;

use super::EXIT_CODES;
use crate::kernels::KernelBackend;

/// Check and measure the cryptographic kernels on this machine.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum KernelsCommand {
    /// Run signature vectors through every backend of this machine.
    ///
    /// One JSON object a line: {"key": hex, "msg": hex, "sig": hex, "expect": true
    /// | false | null}. With null there is no expectation, but all backends must
    /// still agree. Exit code 1 if any backend answers otherwise.
    ///
    /// A GPU with a Vulkan driver is one more backend. A software device, such as
    /// Mesa's lavapipe, is used only with --backend gpu.
    #[command(verbatim_doc_comment)]
    Check {
        /// The vectors.
        #[arg(value_name = "FILE.jsonl")]
        file: PathBuf,
        /// Only this backend: portable, avx2, avx512 or gpu.
        #[arg(long, value_name = "NAME", value_parser = KernelBackend::named)]
        backend: Option<KernelBackend>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Nanoseconds per operation of every backend of this machine.
    ///
    /// Takes about half a minute. "-": this backend does not implement the operation.
    /// The hashes have columns of their own backends as well, such as sha-ni. A GPU
    /// with a Vulkan driver takes another half minute; a software device is measured
    /// only with --backend gpu.
    ///
    /// With --crossover it measures signatures alone, from 64 a batch up to
    /// --batch-max, on the CPU and on the GPU (also a software one), from bytes in
    /// memory to verdicts in memory. It prints the curve, says from which size on the
    /// GPU is faster, and writes crossover.csv and crossover.svg into the directory.
    #[command(verbatim_doc_comment)]
    Bench {
        /// Only this backend: portable, avx2, avx512 or gpu.
        #[arg(long, value_name = "NAME", value_parser = KernelBackend::named)]
        backend: Option<KernelBackend>,
        /// Print JSON, when all is measured.
        #[arg(long)]
        json: bool,
        /// Measure where the GPU overtakes the CPU; write the curve into this directory.
        #[arg(long, value_name = "DIR", conflicts_with = "backend")]
        crossover: Option<PathBuf>,
        /// The largest batch of the curve.
        #[arg(long, value_name = "N", default_value_t = 65_536, requires = "crossover",
              value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
        batch_max: u32,
    },
}
