#!/usr/bin/env bash
# Everything that the project wants to know of a machine's GPU, unattended: that the kernels are right on it, and how
# fast they are beside the CPU. It needs a Vulkan driver (Mesa's lavapipe will do) and what ./test needs.
#
#   perf/gpu.sh [DIRECTORY]      default: perf/results/gpu/YYYY-MM-DD
#
# Optional: BATCH_MAX=65536, the largest batch of the crossover.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-perf/results/gpu/$(date -u +%Y-%m-%d)}
mkdir -p "$out"
export MILLRACE_REQUIRE_GPU=1

say() { printf '\n== %s\n' "$*"; }
# Runs a command, shows what it prints and keeps it. Errors, and what drivers say of displays, are only shown.
keep() {
    local file=$1
    shift
    "$@" | tee "$out/$file"
}

say "the machine"
{
    echo "date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "commit: $(git rev-parse HEAD 2>/dev/null || echo unknown)"
    echo "kernel: $(uname -sr)"
    grep -m1 '^model name' /proc/cpuinfo || true
    echo "cores: $(nproc)"
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,memory.total,power.limit --format=csv
    fi
} | tee "$out/machine.txt"

say "build"
cargo build --release --locked -p node --bin millrace
cargo build --release --locked -p kernels --features gpu --example shader_counts
binaries="${CARGO_TARGET_DIR:-target}/release"

say "the tests of the GPU backend"
keep tests.txt cargo test --release --locked -p kernels --features gpu --lib -- gpu:: ed25519:: check::

say "what naga's checks cost"
keep checks.txt cargo test --release --locked -p kernels --features gpu --lib -- --ignored --nocapture naga

say "instructions of the shaders"
keep counts.txt "$binaries/examples/shader_counts"

say "every operation"
keep bench.json "$binaries/millrace" kernels bench --backend gpu --json

say "the crossover"
keep crossover.txt "$binaries/millrace" kernels bench --crossover "$out" --batch-max "${BATCH_MAX:-65536}"

say "done: $out"
