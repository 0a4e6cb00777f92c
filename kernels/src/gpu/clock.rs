//! How long each kernel of a batch takes, by the device's own clock, where it has one.

use super::{Device, Program};
use std::time::Duration;

/// Instants for each batch: the begin and the end of each kernel.
const INSTANTS: u32 = 2 * Program::KERNELS.len() as u32;
/// Bytes of an instant.
const INSTANT_BYTES: u64 = 8;
/// Words of all instants of a batch.
pub(super) const CLOCK_WORDS: usize = INSTANTS as usize * 2;

/// The instants of one program in one batch.
#[derive(Debug)]
pub(super) struct Clock {
    instants: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Clock {
    /// One, if the device has a clock.
    pub(super) fn new(device: &Device) -> Option<Self> {
        device.has_clock().then(|| Self {
            instants: device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: INSTANTS,
            }),
            resolved: device.buffer(
                "instants",
                u64::from(INSTANTS) * INSTANT_BYTES,
                wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            ),
        })
    }

    /// The instants of that kernel.
    pub(super) fn writes(&self, kernel: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * kernel as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.instants,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Has all of them copied to where the host reads.
    pub(super) fn copy(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Buffer, at: u64) {
        encoder.resolve_query_set(&self.instants, 0..INSTANTS, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, to, at, self.resolved.size());
    }
}

/// How long each kernel took, from the words of its instants.
pub(super) fn times(words: &[u32], nanoseconds_each: f32) -> [Duration; Program::KERNELS.len()] {
    let instant = |at: usize| {
        words.get(2 * at..2 * at + 2).map_or(0, |half| u64::from(half[0]) | u64::from(half[1]) << 32)
    };
    std::array::from_fn(|kernel| {
        let ticks = instant(2 * kernel + 1).saturating_sub(instant(2 * kernel));
        Duration::from_nanos((ticks as f64 * f64::from(nanoseconds_each)) as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_pairs_of_halves() {
        let mut words = vec![0; CLOCK_WORDS];
        words[..4].copy_from_slice(&[5, 1, 9, 1]);
        // A clock that runs backwards.
        words[4..8].copy_from_slice(&[9, 0, 5, 0]);
        words[12..].copy_from_slice(&[0, 0, 0, 2]);
        let expected = [8, 0, 0, 2 << 33].map(Duration::from_nanos);
        assert_eq!(times(&words, 2.0), expected);
        assert_eq!(times(&[], 2.0), [Duration::ZERO; 4]);
    }
}
