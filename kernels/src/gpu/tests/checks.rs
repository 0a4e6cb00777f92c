//! What naga's checks cost: `cargo test --release -p kernels --features gpu -- --ignored --nocapture naga`.

use super::super::{Capacity, Claim, Program, Verifier, combination};
use super::{PATIENCE, good, open, programs};
use std::time::{Duration, Instant};

/// Claims of a batch.
const CLAIMS: usize = 1024;
/// Batches by each variant, in turns.
const ROUNDS: usize = 7;

#[test]
#[ignore = "it measures, which takes half a minute and says nothing on a machine that does something else"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn what_nagas_checks_cost() {
    let Some(device) = open() else { return };
    let claims: Vec<Claim> = (0..CLAIMS as u64).map(|n| good(n, 200)).collect();
    let checked = wgpu::ShaderRuntimeChecks::checked();
    let variants = [
        ("all checks", checked),
        ("no bounds checks", wgpu::ShaderRuntimeChecks { bounds_checks: false, ..checked }),
        ("no bounds on loops", wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..checked }),
        ("no checks", wgpu::ShaderRuntimeChecks::unchecked()),
    ];
    for program in programs(&device) {
        let capacity = Capacity { claims: CLAIMS, blocks: 4 * CLAIMS, flights: 1 };
        let mut verifiers = variants.map(|(name, checks)| {
            let mut device = open().unwrap();
            device.checks = Some(checks);
            (name, Verifier::new(device, &[program], capacity).unwrap(), Vec::new())
        });
        for _ in 0..=ROUNDS {
            for (name, verifier, times) in &mut verifiers {
                verifier.forget_keys();
                let claims = claims.clone();
                let start = Instant::now();
                let verdicts = verifier.verify(claims, PATIENCE).unwrap();
                times.push(start.elapsed());
                let accepted = verdicts[0].1.iter().filter(|accepted| **accepted).count();
                assert_eq!(accepted, CLAIMS, "{}, {name}", program.name());
            }
        }
        let mut all = Duration::ZERO;
        for (name, _, mut times) in verifiers {
            // The first one has made the driver compile.
            times.remove(0);
            times.sort_unstable();
            let median = times[ROUNDS / 2];
            all = if name == "all checks" { median } else { all };
            let share = median.as_secs_f64() / all.as_secs_f64();
            println!("{}, {name}: {median:?}, {share:.3} of all checks; {times:?}", program.name());
        }
    }
}

/// No kernel has memory of its workgroup, so zeroing that costs nothing.
#[test]
fn no_kernel_has_workgroup_memory() {
    let sources = Program::ALL.map(Program::source).into_iter().chain([combination::source()]);
    assert!(sources.into_iter().all(|source| !source.contains("var<workgroup>")));
}
