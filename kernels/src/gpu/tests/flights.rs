//! What may go wrong between submitting and taking.

use super::super::device::check_limits;
use super::super::program::CLAIM_WORDS_MAX;
use super::super::{
    Capacity, Claim, Device, GpuError, Program, Refused, Rejection, Taken, Ticket, Verifier, combination,
};
use super::{CAPACITY, PATIENCE, good, open, programs, shared};
use std::time::Duration;

/// A verifier of its own, for tests that spoil it: small, with the program that compiles faster.
fn own() -> Option<Verifier> {
    let device = open()?;
    let program = programs(&device)[0];
    let capacity = Capacity { claims: 64, blocks: 128, flights: 2 };
    Some(Verifier::new(device, &[program], capacity).unwrap())
}

fn batch(first: u64) -> Vec<Claim> {
    (first..first + 8).map(|n| good(n, 100)).collect()
}

fn settle(taken: Taken) -> Vec<bool> {
    let Taken::Settled(mut settled) = taken else { panic!("not settled: {taken:?}") };
    settled.verdicts.remove(0).1
}

pub(super) fn several_are_taken_in_any_order_and_no_more_than_that() {
    let Some(mut verifier) = shared() else { return };
    let tickets: Vec<_> = (0..CAPACITY.flights as u64).map(|n| verifier.submit(batch(n)).unwrap()).collect();
    let Err(Rejection { reason, claims }) = verifier.submit(batch(9)) else { panic!("it is full") };
    assert_eq!((reason, claims), (Refused::Full(CAPACITY.flights), batch(9)));
    // In any order, each with its own claims.
    for (n, ticket) in tickets.into_iter().enumerate().rev() {
        let Taken::Settled(settled) = verifier.take(ticket, PATIENCE) else { panic!("it is settled") };
        assert_eq!(settled.claims, batch(n as u64));
        assert!(settled.verdicts.iter().all(|(_, verdicts)| *verdicts == [true; 8]));
    }
    let ticket = verifier.submit(batch(9)).unwrap();
    assert_eq!(settle(verifier.take(ticket, PATIENCE)), [true; 8]);
}

pub(super) fn a_batch_above_the_capacity_is_refused_and_split() {
    let Some(mut verifier) = shared() else { return };
    let many = vec![good(1, 10); CAPACITY.claims + 1];
    let Err(Rejection { reason, claims }) = verifier.submit(many) else { panic!("it is too large") };
    assert!(matches!(reason, Refused::TooLarge { claims: 1025, .. }), "{reason}");
    assert_eq!(CAPACITY.split(claims).iter().map(Vec::len).collect::<Vec<_>>(), [CAPACITY.claims, 1]);
    let long = good(2, 128 * CAPACITY.blocks);
    let Err(Refused::TooLarge { .. }) = verifier.verify(vec![good(1, 1), long], PATIENCE) else {
        panic!("no batch holds that message")
    };
    // By blocks: two of half the capacity and a little do not go together.
    let half = vec![good(3, 64 * CAPACITY.blocks); 3];
    assert_eq!(CAPACITY.split(half).len(), 3);
}

#[test]
fn who_does_not_wait_gets_the_ticket_again_or_gives_the_batch_up() {
    // Its own, since batches that were given up stay in flight for a while.
    let Some(mut verifier) = own() else { return };
    let mut ticket = verifier.submit(batch(20)).unwrap();
    let verdicts = loop {
        match verifier.take(ticket, Duration::ZERO) {
            Taken::Pending(again) => ticket = again,
            taken => break settle(taken),
        }
    };
    assert_eq!(verdicts, [true; 8]);
    // Given up or dropped, a batch is never settled, and its buffers are free once the device is done.
    for round in 0..3 {
        let given_up = submit_when_free(&mut verifier, batch(30 + round));
        assert_eq!(verifier.give_up(given_up), batch(30 + round));
        drop(submit_when_free(&mut verifier, batch(40)));
    }
    let ticket = submit_when_free(&mut verifier, batch(50));
    assert_eq!(settle(verifier.take(ticket, PATIENCE)), [true; 8]);
}

/// Submits as often as it takes until a batch that was given up has left its buffers.
fn submit_when_free(verifier: &mut Verifier, claims: Vec<Claim>) -> Ticket {
    let mut claims = claims;
    loop {
        match verifier.submit(claims) {
            Ok(ticket) => return ticket,
            Err(rejection) => {
                assert_eq!(rejection.reason, Refused::Full(2));
                claims = rejection.claims;
            }
        }
    }
}

#[test]
#[should_panic(expected = "a ticket is for a batch of the verifier that gave it")]
fn a_ticket_is_no_good_elsewhere() {
    let (Some(mut one), Some(mut other)) = (own(), own()) else {
        panic!("a ticket is for a batch of the verifier that gave it (skipped)")
    };
    let ticket = one.submit(batch(1)).unwrap();
    let _own = other.submit(batch(1)).unwrap();
    let _ = other.take(ticket, PATIENCE);
}

#[test]
fn what_no_kernel_writes_is_no_verdict() {
    let Some(mut verifier) = own() else { return };
    let name = verifier.programs()[0].name();
    let mut failed = |tamper: fn(&mut Vec<u32>)| {
        verifier.tamper = Some(tamper);
        let ticket = verifier.submit(batch(1)).unwrap();
        let Taken::Failed { error, claims } = verifier.take(ticket, PATIENCE) else { panic!("it fails") };
        assert_eq!(claims, batch(1));
        error
    };
    let output = |entry, word| GpuError::Output { program: name, entry, word };
    assert_eq!(failed(|words| words[3] = 0), output(3, 0));
    assert_eq!(failed(|words| words[7] = 0xffff_ffff), output(7, u32::MAX));
    assert_eq!(failed(|words| words.truncate(9)), GpuError::Length { expected: 256, has: 36 });
    assert_eq!(failed(|words| words.push(1)), GpuError::Length { expected: 256, has: 260 });
    // The next batch is judged as if nothing had been.
    verifier.tamper = None;
    let ticket = verifier.submit(batch(1)).unwrap();
    assert_eq!(settle(verifier.take(ticket, PATIENCE)), [true; 8]);
}

#[test]
fn a_lost_device_gives_the_claims_back() {
    let Some(mut verifier) = own() else { return };
    let ticket = verifier.submit(batch(1)).unwrap();
    verifier.lose();
    let Taken::Failed { claims, error } = verifier.take(ticket, PATIENCE) else { panic!("it fails") };
    assert_eq!(claims, batch(1));
    assert!(matches!(error, GpuError::Lost(_)), "{error}");
    let Err(Rejection { reason, claims }) = verifier.submit(batch(2)) else { panic!("it is lost") };
    assert_eq!(claims, batch(2));
    assert!(matches!(reason, Refused::Device(GpuError::Lost(_))), "{reason}");
    assert!(verifier.verify(batch(3), PATIENCE).is_err());
}

#[test]
fn a_device_without_memory_gives_the_claims_back() {
    let Some(mut verifier) = own() else { return };
    let [landed, given] = [0, 1].map(|_| verifier.submit(batch(1)).unwrap());
    assert_eq!(settle(verifier.take(landed, PATIENCE)), [true; 8]);
    verifier.fail(wgpu::Error::OutOfMemory { source: "a buffer of 9 TiB".into() });
    let lacking = GpuError::OutOfMemory("a buffer of 9 TiB".into());
    let Taken::Failed { claims, error } = verifier.take(given, PATIENCE) else { panic!("it fails") };
    assert_eq!((claims, error), (batch(1), lacking.clone()));
    let Err(Rejection { reason, claims }) = verifier.submit(batch(2)) else { panic!("it is refused") };
    assert_eq!((reason, claims), (Refused::Device(lacking), batch(2)));
}

#[test]
fn without_a_driver_there_is_no_device_and_the_error_says_what_to_install() {
    const NAME: &str =
        "gpu::tests::flights::without_a_driver_there_is_no_device_and_the_error_says_what_to_install";
    // The loader reads its variables when it is loaded, so this test runs itself again as a process of its own.
    if std::env::var_os("MILLRACE_TEST_CHILD").is_some() {
        let error = Device::open().unwrap_err();
        assert!(matches!(error, GpuError::NoAdapter(_)), "{error}");
        assert!(error.to_string().contains("mesa-vulkan-drivers"), "{error}");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact"])
        .env("MILLRACE_TEST_CHILD", "1")
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_device_that_is_too_small_says_what_is_missing() {
    let Some(device) = open() else { return };
    let huge = Capacity { claims: 1 << 20, blocks: 1 << 10, flights: 1 };
    let error = Verifier::new(device, &[Program::Narrow], huge).unwrap_err();
    assert!(matches!(error, GpuError::Limit { needed, has, .. } if needed > has), "{error}");
    assert!(error.to_string().contains("max_storage_buffer_binding_size"), "{error}");
    let Some(device) = open() else { return };
    let endless = Capacity { claims: usize::MAX, blocks: usize::MAX, flights: 1 };
    assert!(matches!(Verifier::new(device, &[Program::Narrow], endless), Err(GpuError::Limit { .. })));
}

#[test]
fn a_capacity_fits_the_bindings_of_a_device() {
    let Some(device) = open() else { return };
    // What is there is enough for the default; of less there are smaller batches, and more of them.
    let mut info = device.info().clone();
    assert_eq!(Capacity::default().within(&info), Capacity::default());
    info.binding_bytes_max = 1 << 20;
    let capacity = Capacity::default().within(&info);
    assert_eq!(capacity, Capacity { claims: 204, blocks: 8192, flights: 3 });
    let cut = capacity.split((0..500).map(|n| good(n, 9)).collect());
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [204, 204, 92]);
    for program in Program::ALL {
        assert!(program.text().slot as usize <= CLAIM_WORDS_MAX);
    }
    assert!(combination::slot_words() <= CLAIM_WORDS_MAX as u64);
}

#[test]
fn an_adapter_below_the_limits_is_refused() {
    let enough =
        wgpu::Limits { max_storage_buffers_per_shader_stage: 8, ..wgpu::Limits::downlevel_defaults() };
    assert_eq!(check_limits("one", &enough), Ok(()));
    let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..enough.clone() };
    let small = wgpu::Limits { max_compute_invocations_per_workgroup: 32, ..enough };
    for (limits, limit, needed, has) in [
        (few, "max_storage_buffers_per_shader_stage", 8, 4),
        (small, "max_compute_invocations_per_workgroup", 64, 32),
    ] {
        let error = check_limits("one", &limits).unwrap_err();
        assert_eq!(error, GpuError::Limit { adapter: "one".into(), limit, needed, has });
    }
}

#[test]
fn a_kernel_that_does_not_compile_is_an_error() {
    let Some(device) = open() else { return };
    let layout = device.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor::default());
    let compile = |device: &Device, source: &str, kernel| device.compile("test", source, &layout, &[kernel]);
    let error = compile(&device, "fn broken(", "broken").unwrap_err();
    assert!(matches!(&error, GpuError::Shader { kernel, .. } if kernel == "test"), "{error}");
    let good = "@compute @workgroup_size(1) fn empty() {}";
    let error = compile(&device, good, "other").unwrap_err();
    assert!(matches!(&error, GpuError::Shader { kernel, .. } if kernel == "test::other"), "{error}");
    assert!(compile(&device, good, "empty").is_ok());
    assert_eq!(device.fault(), None);
}
