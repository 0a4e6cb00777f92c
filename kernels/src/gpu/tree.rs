//! Trees of SHA-256 on a device: whole levels of leaves and nodes. `tree/README.md` has the layout.
//!
//! A root that is not as expected says nothing yet: the CPU computes it again before anything is reported.

use super::{Device, DeviceInfo, GpuError};
use crate::merkle::{self, Hash};
use crate::sha2::constants::{ROUND_256, START_256};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wgpu::BufferUsages as Usage;

#[cfg(test)]
mod tests;

/// Invocations of a workgroup, as the kernels declare it.
const WORKGROUP: u32 = 64;
/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;
/// Bytes of a hash.
const HASH_BYTES: u64 = 32;
/// What stands before a leaf in the message that is hashed.
const LEAF: u8 = 0;
/// Bytes between the parameters of two dispatches, as every device can bind them.
const PARAMS_BYTES: u64 = 256;

/// What became of an expected root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootCheck {
    /// The device computes it.
    Holds,
    /// The device computes another one, and the CPU the expected one: the device is not to be used any more.
    DeviceWrong {
        /// What the device computed.
        device: Hash,
    },
    /// The CPU computes another one too.
    Differs {
        /// What the CPU computed.
        root: Hash,
    },
}

/// Hashes trees on a device.
#[derive(Debug)]
pub struct TreeHasher {
    device: Device,
    leaves: wgpu::ComputePipeline,
    nodes: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    constants: wgpu::Buffer,
    params: wgpu::Buffer,
    /// Leaves with their padding.
    input: wgpu::Buffer,
    /// Two levels in turn.
    levels: [wgpu::Buffer; 2],
    back: wgpu::Buffer,
    chunk: usize,
    #[cfg(test)]
    tamper: bool,
}

impl TreeHasher {
    /// Compiles the kernels, and makes room for `chunk` leaves at once, rounded down to a power of two.
    ///
    /// # Errors
    ///
    /// If the device is too small for that, or refuses a kernel.
    pub fn new(device: Device, chunk: usize) -> Result<Self, GpuError> {
        let chunk: usize = 1 << chunk.max(1).ilog2();
        let level_bytes = (chunk as u64).saturating_mul(HASH_BYTES);
        // Leaves are hashed in as many turns as it takes.
        let input_bytes = 2 * level_bytes;
        device.check_binding(input_bytes)?;
        let entries: Vec<_> = (0..=3).map(binding).collect();
        let (layout, whole) = device.layouts(&entries);
        let mut kernels =
            device.compile("tree", include_str!("tree/tree.wgsl"), &whole, &["leaves", "nodes"])?;
        let (nodes, leaves) = (kernels.remove(1), kernels.remove(0));
        let constants = device.constants("constants", &[&START_256[..], &ROUND_256[..]].concat());
        let level = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let params_bytes = PARAMS_BYTES * (u64::from(chunk.ilog2()) + 1);
        let hasher = Self {
            params: device.buffer("params", params_bytes, Usage::UNIFORM | Usage::COPY_DST),
            input: device.buffer("leaves", input_bytes, Usage::STORAGE | Usage::COPY_DST),
            levels: ["even", "odd"].map(|label| device.buffer(label, level_bytes, level)),
            back: device.buffer("back", level_bytes, Usage::MAP_READ | Usage::COPY_DST),
            device,
            leaves,
            nodes,
            layout,
            constants,
            chunk,
            #[cfg(test)]
            tamper: false,
        };
        hasher.device.check()?;
        Ok(hasher)
    }

    /// The device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// The hashes of many leaves of `len` bytes each, lying back to back in `data`: [`merkle::leaf_hashes`].
    ///
    /// # Errors
    ///
    /// If a leaf is larger than the device's buffer, or the device does not answer within `patience` for each chunk.
    ///
    /// # Panics
    ///
    /// If `len` is zero or `data` is not a whole number of leaves.
    pub fn leaf_hashes(&self, data: &[u8], len: usize, patience: Duration) -> Result<Vec<Hash>, GpuError> {
        assert!(len > 0 && data.len().is_multiple_of(len), "whole leaves of at least a byte");
        // The prefix before it; a one and the number of bits behind it.
        let blocks = (1 + len + 9).div_ceil(BLOCK_BYTES);
        let each = blocks * BLOCK_BYTES;
        self.device.check_binding(each as u64)?;
        let most = (self.input.size() as usize / each).min(self.chunk);
        if most == 0 {
            let (adapter, has) = (self.info().name.clone(), self.input.size());
            return Err(GpuError::Limit {
                adapter,
                limit: "chunk of leaves in bytes",
                needed: each as u64,
                has,
            });
        }
        let mut hashes = Vec::with_capacity(data.len() / len);
        for data in data.chunks(most * len) {
            let count = data.len() / len;
            let mut input = vec![0; count * each];
            for (message, leaf) in input.chunks_mut(each).zip(data.chunks(len)) {
                message[0] = LEAF;
                message[1..=len].copy_from_slice(leaf);
                message[1 + len] = 0x80;
                message[each - 8..].copy_from_slice(&(8 * (1 + len as u64)).to_be_bytes());
            }
            self.device.queue.write_buffer(&self.input, 0, &input);
            self.write_params([(count, blocks)]);
            let group = self.bind(&self.input, &self.levels[0]);
            let mut encoder = self.encoder();
            dispatch(&mut encoder, &self.leaves, &group, 0, count);
            hashes.extend(self.read(encoder, &self.levels[0], count, patience)?);
        }
        Ok(hashes)
    }

    /// The root of the tree over `leaves` (leaf hashes): [`merkle::root`].
    ///
    /// # Errors
    ///
    /// If the device does not answer within `patience` for each chunk, or is lost.
    pub fn root(&self, leaves: &[Hash], patience: Duration) -> Result<Hash, GpuError> {
        let roots = leaves.chunks(self.chunk).map(|chunk| self.chunk_root(chunk, patience));
        Ok(merkle::root(&roots.collect::<Result<Vec<_>, _>>()?))
    }

    /// Whether `expected` is the root of the tree over `leaves` (leaf hashes). Where the device computes another one,
    /// the CPU computes it again.
    ///
    /// # Errors
    ///
    /// As for [`TreeHasher::root`].
    pub fn check(&self, leaves: &[Hash], expected: &Hash, patience: Duration) -> Result<RootCheck, GpuError> {
        let device = self.root(leaves, patience)?;
        if device == *expected {
            return Ok(RootCheck::Holds);
        }
        let root = merkle::root(leaves);
        Ok(if root == *expected { RootCheck::DeviceWrong { device } } else { RootCheck::Differs { root } })
    }

    fn chunk_root(&self, leaves: &[Hash], patience: Duration) -> Result<Hash, GpuError> {
        let words: Vec<u32> =
            leaves.as_flattened().as_chunks().0.iter().map(|b| u32::from_be_bytes(*b)).collect();
        self.device.queue.write_buffer(&self.levels[0], 0, bytemuck::cast_slice(&words));
        let mut sizes = vec![leaves.len()];
        while let Some(size) = sizes.last().filter(|size| **size > 1) {
            sizes.push(size.div_ceil(2));
        }
        self.write_params(sizes.iter().map(|size| (*size, 0)));
        let [even, odd] = &self.levels;
        let groups = [self.bind(even, odd), self.bind(odd, even)];
        let mut encoder = self.encoder();
        for (level, nodes) in sizes.iter().skip(1).enumerate() {
            dispatch(&mut encoder, &self.nodes, &groups[level % 2], level, *nodes);
        }
        let top = &self.levels[(sizes.len() - 1) % 2];
        Ok(self.read(encoder, top, 1, patience)?[0])
    }

    /// Parameters of the dispatches to come.
    fn write_params(&self, of: impl IntoIterator<Item = (usize, usize)>) {
        let mut words = Vec::new();
        for (count, blocks) in of {
            words.extend([count as u32, blocks as u32]);
            words.resize(words.len().next_multiple_of(PARAMS_BYTES as usize / 4), 0);
        }
        self.device.queue.write_buffer(&self.params, 0, bytemuck::cast_slice(&words));
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn bind(&self, below: &wgpu::Buffer, above: &wgpu::Buffer) -> wgpu::BindGroup {
        let params =
            wgpu::BufferBinding { buffer: &self.params, offset: 0, size: std::num::NonZeroU64::new(16) };
        let resources = [
            wgpu::BindingResource::Buffer(params),
            self.constants.as_entire_binding(),
            below.as_entire_binding(),
            above.as_entire_binding(),
        ];
        let entries: Vec<_> = (0..)
            .zip(resources)
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let layout = &self.layout;
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        self.device.device.create_bind_group(&descriptor)
    }

    /// The first `count` hashes of a level, once everything that the encoder orders is done.
    fn read(
        &self,
        mut encoder: wgpu::CommandEncoder,
        level: &wgpu::Buffer,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<Hash>, GpuError> {
        let bytes = HASH_BYTES * count as u64;
        encoder.copy_buffer_to_buffer(level, 0, &self.back, 0, bytes);
        let submission = self.device.queue.submit([encoder.finish()]);
        let landed = Arc::new(OnceLock::new());
        let here = Arc::clone(&landed);
        self.back.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            let _ = here.set(result);
        });
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(patience) };
        let waited = self.device.device.poll(wait);
        self.device.check()?;
        let Some(Ok(())) = landed.get() else {
            // Unmapping a buffer gives up waiting for it.
            self.back.unmap();
            return Err(GpuError::Lost(format!("no hashes within {patience:?}: {waited:?}")));
        };
        let view = self.back.get_mapped_range(..bytes).map_err(|error| GpuError::Lost(error.to_string()))?;
        #[allow(unused_mut, reason = "tests change it")]
        let mut words: Vec<u32> = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        self.back.unmap();
        #[cfg(test)]
        if self.tamper {
            words[0] ^= 1;
        }
        let hash = |words: &[u32; 8]| {
            let mut hash = [0; 32];
            let places = hash.as_chunks_mut().0.iter_mut();
            places.zip(words).for_each(|(place, word)| *place = word.to_be_bytes());
            hash
        };
        Ok(words.as_chunks().0.iter().map(hash).collect())
    }
}

fn dispatch(
    encoder: &mut wgpu::CommandEncoder,
    pipeline: &wgpu::ComputePipeline,
    group: &wgpu::BindGroup,
    params: usize,
    invocations: usize,
) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, group, &[params as u32 * PARAMS_BYTES as u32]);
    pass.dispatch_workgroups((invocations as u32).div_ceil(WORKGROUP), 1, 1);
}

fn binding(binding: u32) -> wgpu::BindGroupLayoutEntry {
    let is_params = binding == 0;
    let ty = match binding {
        0 => wgpu::BufferBindingType::Uniform,
        _ => wgpu::BufferBindingType::Storage { read_only: binding < 3 },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: is_params, min_binding_size: None },
        count: None,
    }
}
