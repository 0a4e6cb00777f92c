//! Signature vectors through every path of this machine: they must all say the same.
//!
//! ```text
//! {"key": hex, "msg": hex, "sig": hex, "expect": true | false | null}   one a line
//!        │
//!        ├─▶ the plainest backend, one by one ──▶ the verdict that counts
//!        ├─▶ each backend, one by one ──▶ must equal it
//!        ├─▶ each backend, eight at a time ──▶ must equal it
//!        ├─▶ each backend, all vectors in one batch ──▶ must equal it
//!        └─▶ each backend, the random linear combination of each vector alone ──▶ must equal it
//! ```
//!
//! [`run_gpu`] does the same with the programs of a device, all vectors in one batch.
//!
//! A key or signature of a wrong length is refused by every path alike: no bytes of that length are one.

use crate::ed25519::{Backend, Entry, combination_holds_on, verify_batch_on, verify_lanes_on, verify_on};
use serde::Deserialize;

#[cfg(test)]
pub(crate) mod tests;

/// One vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    expect: Option<bool>,
}

/// A line that is no vector.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// Not JSON, or fields are missing, unknown or of another type.
    #[error("line {line}: {source}")]
    Json {
        /// Counted from one.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A field is not hexadecimal.
    #[error("line {line}: {field:?} is not hexadecimal: {source}")]
    Hex {
        /// Counted from one.
        line: usize,
        /// Its name.
        field: &'static str,
        /// What the parser says.
        source: hex::FromHexError,
    },
}

/// The line as it is written.
#[derive(Deserialize)]
struct Line {
    key: String,
    msg: String,
    sig: String,
    #[serde(default)]
    expect: Option<bool>,
}

/// Reads vectors, one a line; empty lines are passed over.
///
/// # Errors
///
/// For the first line that is no vector.
pub fn parse(text: &str) -> Result<Vec<Vector>, VectorError> {
    let mut vectors = Vec::new();
    for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line = number + 1;
        let raw: Line = serde_json::from_str(text).map_err(|source| VectorError::Json { line, source })?;
        let bytes = |field: &'static str, text: &str| {
            hex::decode(text).map_err(|source| VectorError::Hex { line, field, source })
        };
        vectors.push(Vector {
            key: bytes("key", &raw.key)?,
            message: bytes("msg", &raw.msg)?,
            signature: bytes("sig", &raw.sig)?,
            expect: raw.expect,
        });
    }
    Ok(vectors)
}

/// What one path said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// `portable`, `avx512`, … or `gpu`.
    pub backend: &'static str,
    /// `single`, `lanes` (eight at a time), `batch` (all in one), `combination` (each alone), or a program of the GPU.
    pub path: &'static str,
    /// How many it accepted.
    pub accepted: usize,
    /// How many it refused.
    pub rejected: usize,
    /// Line order (from zero) of the vectors on which it differs from single verification.
    pub disagreements: Vec<usize>,
    /// Line order (from zero) of the vectors whose expectation it does not meet.
    pub unmet: Vec<usize>,
}

/// What every path said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each backend and path.
    pub paths: Vec<PathReport>,
}

impl Report {
    /// Whether all agree and every expectation is met.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.paths.iter().all(|path| path.disagreements.is_empty() && path.unmet.is_empty())
    }
}

/// Runs `vectors` through every path of the backends, beside portable single verification. `seed` feeds the batches'
/// coefficients.
#[must_use]
pub fn run(vectors: &[Vector], backends: &[Backend], seed: [u8; 32]) -> Report {
    let entries = Entries::new(vectors);
    let sized = &entries.sized;
    let single = entries.single_on(Backend::all()[0]);
    let mut paths = Vec::new();
    for &backend in backends {
        paths.push(report(backend.name(), "single", &entries.single_on(backend), &single, vectors));
        let mut lanes = vec![false; sized.len()];
        verify_lanes_on(backend, sized, &mut lanes);
        paths.push(report(backend.name(), "lanes", &entries.all(lanes), &single, vectors));
        let mut batch = vec![false; sized.len()];
        verify_batch_on(backend, sized, seed, &mut batch);
        paths.push(report(backend.name(), "batch", &entries.all(batch), &single, vectors));
        let alone = sized.iter().map(|entry| combination_holds_on(backend, &[*entry], seed));
        paths.push(report(backend.name(), "combination", &entries.all(alone.collect()), &single, vectors));
    }
    Report { paths }
}

/// Runs `vectors` through every program of a device, beside portable single verification.
///
/// # Errors
///
/// If a message is too long for the device, or the device does not answer within `patience`.
#[cfg(feature = "gpu")]
pub fn run_gpu(
    vectors: &[Vector],
    verifier: &mut crate::gpu::Verifier,
    patience: std::time::Duration,
) -> Result<Report, crate::gpu::Refused> {
    let entries = Entries::new(vectors);
    let single = entries.single_on(Backend::all()[0]);
    let claims = entries.sized.iter().map(crate::gpu::Claim::from).collect();
    let verdicts = verifier.verify(claims, patience)?.into_iter();
    let paths = verdicts
        .map(|(program, verdicts)| report("gpu", program.name(), &entries.all(verdicts), &single, vectors));
    Ok(Report { paths: paths.collect() })
}

/// The vectors, and those of right sizes.
struct Entries<'a> {
    all: Vec<Option<Entry<'a>>>,
    sized: Vec<Entry<'a>>,
}

impl<'a> Entries<'a> {
    fn new(vectors: &'a [Vector]) -> Self {
        let all: Vec<_> = vectors.iter().map(entry).collect();
        Self { sized: all.iter().filter_map(|entry| *entry).collect(), all }
    }

    /// Puts verdicts on the vectors of right sizes back among the others, which are refused.
    fn all(&self, verdicts: Vec<bool>) -> Vec<bool> {
        let mut verdicts = verdicts.into_iter();
        self.all.iter().map(|entry| entry.is_some() && verdicts.next() == Some(true)).collect()
    }

    fn single_on(&self, backend: Backend) -> Vec<bool> {
        self.all(self.sized.iter().map(|entry| verify_on(backend, entry)).collect())
    }
}

fn entry(vector: &Vector) -> Option<Entry<'_>> {
    Some(Entry {
        key: vector.key.as_slice().try_into().ok()?,
        message: &vector.message,
        signature: vector.signature.as_slice().try_into().ok()?,
    })
}

fn report(
    backend: &'static str,
    path: &'static str,
    verdicts: &[bool],
    single: &[bool],
    vectors: &[Vector],
) -> PathReport {
    let places = |wrong: &dyn Fn(usize) -> bool| (0..verdicts.len()).filter(|i| wrong(*i)).collect();
    let accepted = verdicts.iter().filter(|verdict| **verdict).count();
    PathReport {
        backend,
        path,
        accepted,
        rejected: verdicts.len() - accepted,
        disagreements: places(&|i| verdicts[i] != single[i]),
        unmet: places(&|i| vectors[i].expect.is_some_and(|expected| expected != verdicts[i])),
    }
}
