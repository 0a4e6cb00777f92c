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

# The packages for applications, by their own tests and against a network of this build (needs python3, node and npm)
doors:
    cargo build --release -p node
    python3 -m venv target/doors
    target/doors/bin/pip install --quiet --editable 'sdk/python[test]'
    cd sdk/python && ../../target/doors/bin/ruff check . && ../../target/doors/bin/mypy
    cd sdk/python && MILLRACE=../../target/release/millrace ../../target/doors/bin/pytest
    cd sdk/typescript && npm ci --no-fund --no-audit && MILLRACE=../../target/release/millrace npm test

# Whole networks in virtual time: --seeds N explores, --seed S replays, --rules names what --break takes
simulate *ARGS:
    cargo run --release -p sim -- {{ARGS}}

# Each rule broken on purpose: which are found within 400 seeds. Fails at the end if one is not
simulate-controls:
    cargo build --release -p sim
    missed=0; for rule in $(target/release/sim --rules); do \
        if target/release/sim --seeds 400 --once --break $rule > /dev/null; \
        then echo "$rule: NOT FOUND"; missed=1; else echo "$rule: found"; fi; \
    done; exit $missed

# Four validators, one command, audited from disk
bench *ARGS:
    cargo run --release -- bench {{ARGS}}

# The named scenarios; results go to perf/results
perf *ARGS:
    cargo run --release -p perf -- {{ARGS}}

# Spoiled bytes for every decoder, so many seconds
fuzz SECONDS="60" *ARGS:
    cargo run --release -p fuzz -- --seconds {{SECONDS}} {{ARGS}}

# A validator's files, crashed at every boundary between two calls: 100,000 points, each recovered and audited
crashes *ARGS:
    cargo run --release -p crashes -- {{ARGS}}

# Each rule of writing broken on purpose. Fails at the end if the crashes do not show one
crashes-controls:
    cargo build --release -p crashes
    missed=0; for rule in $(target/release/crashes --rules); do \
        if target/release/crashes --points 60000 --seed 1 --break $rule > /dev/null; \
        then echo "$rule: NOT FOUND"; missed=1; else echo "$rule: found"; fi; \
    done; exit $missed

# Full load and a power cut of all four validators, so many times; then everything that clients were told is audited
crash-rounds N="10":
    MILLRACE_CRASH_ROUNDS={{N}} cargo test --release -p node --test processes -- --nocapture recovery::rounds

# Validators killed and stopped at random under full load, so many times; then everything that clients were told is audited
storm N="300":
    MILLRACE_STORM_CYCLES={{N}} cargo test --release -p node --test processes -- --nocapture storms

# The checker of proofs for the console: rebuilt, to be committed (rustup target add wasm32-unknown-unknown)
wasm *ARGS:
    proof/wasm/build {{ARGS}}

# The console in a real browser (Debian's chromium and chromium-driver); screenshots in target/console
browser:
    cargo build --release
    gateway/browser/run target/release/millrace target/console

# The directory of this release, for the tests of the next ones: once, when it is tagged
store-release:
    cargo test --release -p node --test processes -- --ignored --nocapture releases::store

# What clients wait while somebody attacks, measured for so many seconds each
attacks SECONDS="10":
    MILLRACE_ATTACK_SECONDS={{SECONDS}} cargo test --release -p node --test processes -- --nocapture attacks

# Undefined behaviour in the portable paths of the kernels (rustup component add --toolchain nightly miri)
miri *ARGS:
    PROPTEST_CASES=2 cargo +nightly miri test -p kernels --lib {{ARGS}}

# Bad reads and writes of the kernels' vector paths (a developer's build: the sanitizer is not stable yet)
sanitize *ARGS:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address PROPTEST_CASES=20 cargo test -p kernels --lib --target x86_64-unknown-linux-gnu {{ARGS}}
