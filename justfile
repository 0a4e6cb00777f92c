# The five verbs of the workshop. `just` alone lists them.

_list:
    @just --list --unsorted

# Formatting and lints
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Everything that must hold before a change lands; the same as CI
test:
    ./test

# The laws of the state machines under drawn schedules, seeds and faults
simulate *ARGS:
    cargo test --release -p engine --lib availability {{ARGS}}

# Four validators, one command, audited from disk
bench *ARGS:
    cargo run --release -- bench {{ARGS}}

# The named scenarios; results go to perf/results
perf *ARGS:
    cargo run --release -p perf -- {{ARGS}}

# Undefined behaviour in the portable paths of the kernels (rustup component add --toolchain nightly miri)
miri *ARGS:
    PROPTEST_CASES=2 cargo +nightly miri test -p kernels --lib {{ARGS}}

# Bad reads and writes of the kernels' vector paths (a developer's build: the sanitizer is not stable yet)
sanitize *ARGS:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address PROPTEST_CASES=20 cargo test -p kernels --lib --target x86_64-unknown-linux-gnu {{ARGS}}
