//! How fast this machine is, measured once and kept beside the data.
//!
//! ```text
//! DATA/calibration.json   this processor's crossovers and its time for a signature; the device's times
//! ```
//!
//! What is kept counts for the same processor, arithmetic and release. A device is measured at every start: another
//! driver, or another device, would not be noticed otherwise.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use kernels::ed25519::{Backend, Crossovers, DecodedEntry, DecodedKey, SigningKey, verify_batch_decoded_on};
use loadgen::report::Machine;
use serde::{Deserialize, Serialize};

use crate::disk::replace_file;

/// The name of the file in the data directory.
const FILE: &str = "calibration.json";
const FORMAT: &str = "millrace/calibration/1";
/// Signatures of the batch that is timed.
const BATCH: usize = 1024;
/// The shortest of so many runs counts.
const RUNS: usize = 3;

/// What was measured on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    format: String,
    release: String,
    /// The processor.
    pub cpu: Cpu,
    /// The device, where one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceTimes>,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its name.
    pub name: String,
    /// The arithmetic that it was measured with.
    pub backend: String,
    /// From so many signatures on eight lanes beat one by one; none where they never do.
    pub lanes_from: Option<u64>,
    /// From so many on a combination beats verdicts one by one.
    pub combination_from: u64,
    /// Nanoseconds of a signature in a batch of 1,024, on one thread.
    pub signature_ns: u64,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTimes {
    /// What it is, with its driver.
    pub device: String,
    /// Microseconds of a batch, whatever is in it.
    pub batch_us: u64,
    /// Nanoseconds of each signature in it.
    pub signature_ns: u64,
    /// From how many signatures on it gets some of them; none where the CPU is always sooner.
    pub batch_from: Option<u64>,
}

impl Calibration {
    /// What is kept in a data directory for this processor, or else what is measured now, in a fraction of a second,
    /// and kept. `now` is the time since some fixed point. What cannot be kept is measured again at the next start.
    pub fn of(data: &Path, now: impl Fn() -> Duration) -> (Self, io::Result<()>) {
        let (backend, name) = (Backend::best(), Machine::here().cpu);
        match Self::read(data).filter(|kept| kept.is_of(backend, &name)) {
            Some(kept) => (kept, Ok(())),
            None => {
                let measured = Self::measure(backend, name, now);
                let kept = measured.keep(data);
                (measured, kept)
            }
        }
    }

    fn read(data: &Path) -> Option<Self> {
        // A file that is damaged is measured anew: nothing depends on it but speed.
        serde_json::from_slice(&fs::read(data.join(FILE)).ok()?).ok()
    }

    fn is_of(&self, backend: Backend, name: &str) -> bool {
        let is_ours = self.format == FORMAT && self.release == env!("CARGO_PKG_VERSION");
        is_ours && self.cpu.backend == backend.name() && self.cpu.name == name
    }

    fn measure(backend: Backend, name: String, now: impl Fn() -> Duration) -> Self {
        let Crossovers { lanes, combination } = Crossovers::measure(backend, &now);
        // As many keys as signatures, and all of them known: what one key has signed is cheaper together.
        let signers: Vec<SigningKey> = (0..BATCH).map(|number| SigningKey::from_seed(seed(number))).collect();
        let keys: Vec<_> = signers.iter().map(SigningKey::public_key).collect();
        let keys = DecodedKey::many(&keys);
        let messages: Vec<[u8; 96]> = (0..BATCH).map(|number| [number as u8; 96]).collect();
        let signed = signers.iter().zip(&messages);
        let signatures: Vec<_> = signed.map(|(signer, message)| signer.sign(message)).collect();
        let entry = |((key, message), signature)| DecodedEntry { key, message: message as &[u8], signature };
        let entries: Vec<DecodedEntry<'_>> = keys.iter().zip(&messages).zip(&signatures).map(entry).collect();
        let mut verdicts = vec![false; BATCH];
        let backend = backend.with(Crossovers { lanes, combination });
        let run = |_| {
            let begun = now();
            verify_batch_decoded_on(backend, &entries, [7; 32], &mut verdicts);
            now().saturating_sub(begun)
        };
        let took = (0..RUNS).map(run).min().unwrap_or_default();
        let cpu = Cpu {
            name,
            backend: backend.name().to_owned(),
            lanes_from: u64::try_from(lanes).ok().filter(|_| lanes != usize::MAX),
            combination_from: combination as u64,
            signature_ns: (took.as_nanos() / BATCH as u128).max(1) as u64,
        };
        Self { format: FORMAT.to_owned(), release: env!("CARGO_PKG_VERSION").to_owned(), cpu, device: None }
    }

    /// The same, with a device.
    #[must_use]
    pub fn with_device(&self, times: DeviceTimes) -> Self {
        Self { device: Some(times), ..self.clone() }
    }

    /// Keeps it in a data directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, data: &Path) -> io::Result<()> {
        replace_file(&data.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// The CPU's arithmetic, with the crossovers that were measured.
    #[must_use]
    pub fn backend(&self) -> Backend {
        let lanes = self.cpu.lanes_from.map_or(usize::MAX, |lanes| lanes as usize);
        Backend::best().with(Crossovers { lanes, combination: self.cpu.combination_from as usize })
    }

    /// What a signature takes on one thread of the CPU.
    #[must_use]
    pub fn signature(&self) -> Duration {
        Duration::from_nanos(self.cpu.signature_ns)
    }
}

/// A seed for each of the keys that sign what is timed.
fn seed(number: usize) -> [u8; 32] {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    seed
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn clock() -> impl Fn() -> Duration {
        let looks = Cell::new(0);
        move || {
            looks.set(looks.get() + 1);
            Duration::from_micros(10 * looks.get())
        }
    }

    #[test]
    fn what_was_measured_is_kept_for_this_processor_and_release_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let (measured, kept) = Calibration::of(data, clock());
        kept.unwrap();
        let marked =
            Calibration { cpu: Cpu { signature_ns: 77, ..measured.cpu.clone() }, ..measured.clone() };
        marked.keep(data).unwrap();
        assert_eq!(Calibration::of(data, clock()).0, marked, "not measured again");
        let others = [
            Calibration { release: "0.0.0".into(), ..marked.clone() },
            Calibration { format: "millrace/calibration/0".into(), ..marked.clone() },
            Calibration { cpu: Cpu { name: "another".into(), ..marked.cpu.clone() }, ..marked.clone() },
            Calibration { cpu: Cpu { backend: "abacus".into(), ..marked.cpu.clone() }, ..marked.clone() },
        ];
        for other in others {
            other.keep(data).unwrap();
            assert_ne!(Calibration::of(data, clock()).0.cpu.signature_ns, 77, "{other:?}");
        }
    }

    #[test]
    fn a_damaged_file_costs_a_measurement_and_no_start() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        let (measured, kept) = Calibration::of(directory.path(), clock());
        kept.unwrap();
        assert_eq!(Calibration::read(directory.path()), Some(measured));
        let gone = directory.path().join("gone");
        let (measured, kept) = Calibration::of(&gone, clock());
        assert!(kept.is_err() && measured.cpu.signature_ns > 0);
        assert!(measured.backend().crossovers().combination >= Crossovers::LEAST.combination);
    }
}
