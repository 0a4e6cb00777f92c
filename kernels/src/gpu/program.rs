//! A program: four kernels in one arithmetic, compiled, with what it keeps on the device between batches.
//!
//! ```text
//! challenge   a claim each      k = SHA-512(R ‖ A ‖ M) mod L                 → scalars
//! decode      an encoding each  the points of new keys and of every R        → points
//! table       a new key each    multiples of −A                              → tables, kept
//! ladder      a claim each      8(sB − kA − R) = 0?                          → verdicts
//! ```

use super::upload::{Sizes, Upload};
use super::{Claim, Device, GpuError, clock::Clock, narrow, wide};

/// Invocations of a workgroup, as all kernels declare it.
pub(super) const WORKGROUP: u32 = 64;

/// What the ladder writes.
const REFUSED: u32 = 1;
/// What the ladder writes.
pub(super) const ACCEPTED: u32 = 2;

/// Which arithmetic verifies. The two share nothing but where their input lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Ten limbs of 26 and 25 bits, products of 64 bits, projective coordinates. It is the faster one, and needs a
    /// device with integers of 64 bits.
    Wide,
    /// Twenty limbs of 13 bits, nothing but 32-bit arithmetic, extended coordinates. It runs everywhere.
    Narrow,
}

impl Program {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wide, Self::Narrow];
    /// The kernels of each, in the order in which they run.
    pub const KERNELS: [&str; 4] = ["challenge", "decode", "table", "ladder"];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }

    /// The WGSL of its kernels, for tools that look at it.
    #[must_use]
    pub fn source(self) -> String {
        self.text().source
    }

    pub(super) fn text(self) -> Text {
        match self {
            Self::Wide => wide::text(),
            Self::Narrow => narrow::text(),
        }
    }
}

/// What a program is made of.
pub(super) struct Text {
    /// WGSL.
    pub(super) source: String,
    /// What its kernels find in `constants`.
    pub(super) constants: Vec<u32>,
    /// Words of a point.
    pub(super) point: u32,
    /// Words of what is kept for a key.
    pub(super) slot: u32,
}

/// Kernels to compile, and how much they keep on the device.
pub(super) struct Plan<'a> {
    pub(super) name: &'static str,
    pub(super) kernels: &'a [&'a str],
    pub(super) source: &'a str,
    pub(super) constants: &'a [u32],
    /// Words of `points`, `tables` and `scalars`.
    pub(super) words: [u64; 3],
}

/// Compiled kernels, with what they keep on the device between batches.
#[derive(Debug)]
pub(super) struct Kernels {
    pipelines: Vec<wgpu::ComputePipeline>,
    layout: wgpu::BindGroupLayout,
    constants: wgpu::Buffer,
    points: wgpu::Buffer,
    tables: wgpu::Buffer,
    scalars: wgpu::Buffer,
}

impl Kernels {
    pub(super) fn new(device: &Device, plan: &Plan<'_>) -> Result<Self, GpuError> {
        let Plan { name, kernels, source, constants, words } = plan;
        let [points, tables, scalars] = words.map(|words| 4 * words);
        for bytes in [points, tables, scalars] {
            device.check_binding(bytes)?;
        }
        let entries: Vec<_> = (0..=8).map(binding).collect();
        let (layout, whole) = device.layouts(&entries);
        let pipelines = device.compile(name, source, &whole, kernels)?;
        let storage = |label, bytes| device.buffer(label, bytes, wgpu::BufferUsages::STORAGE);
        Ok(Self {
            pipelines,
            layout,
            constants: device.constants("constants", constants),
            points: storage("points", points),
            tables: storage("tables", tables),
            scalars: storage("scalars", scalars),
        })
    }

    /// Binds the buffers of one batch.
    pub(super) fn bind(
        &self,
        device: &Device,
        batch: [&wgpu::Buffer; 4],
        verdicts: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        let [params, claims, messages, encodings] = batch;
        let Self { constants, points, tables, scalars, .. } = self;
        let buffers = [params, constants, claims, messages, encodings, points, tables, scalars, verdicts];
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = &self.layout;
        device.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
    }

    /// Orders the kernels, each with so many invocations, and has the clock tell when each of them begins and ends.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        group: &wgpu::BindGroup,
        invocations: impl IntoIterator<Item = u32>,
        clock: Option<&Clock>,
    ) {
        for (kernel, invocations) in invocations.into_iter().enumerate() {
            let timestamp_writes = clock.map(|clock| clock.writes(kernel));
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
            if invocations > 0 {
                pass.set_pipeline(&self.pipelines[kernel]);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(invocations.div_ceil(WORKGROUP), 1, 1);
            }
        }
    }
}

/// A program on a device.
#[derive(Debug)]
pub(super) struct Compiled {
    program: Program,
    pub(super) kernels: Kernels,
}

impl Compiled {
    /// Compiles `program` for batches of `claims`, and makes room for the tables of as many keys.
    pub(super) fn new(device: &Device, program: Program, claims: u32) -> Result<Self, GpuError> {
        if program == Program::Wide && !device.info().has_int64 {
            let adapter = device.info().name.clone();
            return Err(GpuError::Feature { adapter, feature: "SHADER_INT64", program: program.name() });
        }
        let Text { source, constants, point, slot } = program.text();
        let [claims, point, slot] = [claims, point, slot].map(u64::from);
        let plan = Plan {
            name: program.name(),
            kernels: &Program::KERNELS,
            source: &source,
            constants: &constants,
            words: [2 * claims * point, claims * slot, claims * SCALAR_WORDS],
        };
        Ok(Self { program, kernels: Kernels::new(device, &plan)? })
    }

    pub(super) fn program(&self) -> Program {
        self.program
    }

    /// Orders the kernels for one batch.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        group: &wgpu::BindGroup,
        batch: &Upload,
        clock: Option<&Clock>,
    ) {
        let Sizes { claims, keys, encodings } = batch.sizes();
        self.kernels.record(encoder, group, [claims, encodings, keys, claims], clock);
    }

    /// The verdicts that these words are.
    pub(super) fn verdicts(&self, words: &[u32]) -> Result<Vec<bool>, GpuError> {
        let verdict = |(entry, word): (usize, &u32)| match *word {
            REFUSED => Ok(false),
            ACCEPTED => Ok(true),
            word => Err(GpuError::Output { program: self.program.name(), entry, word }),
        };
        words.iter().enumerate().map(verdict).collect()
    }
}

fn binding(binding: u32) -> wgpu::BindGroupLayoutEntry {
    let ty = match binding {
        0 => wgpu::BufferBindingType::Uniform,
        _ => wgpu::BufferBindingType::Storage { read_only: binding <= 4 },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

/// Limbs of a number, the lowest first, with these numbers of bits.
pub(super) fn limbs(number: &[u8; 32], bits: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let bit = |at: u32| number.get(at as usize / 8).map_or(0, |byte| u32::from(byte >> (at % 8) & 1));
    let mut low = 0;
    let limb = |bits: u32| {
        low += bits;
        (low - bits..low).rev().fold(0, |limb, at| limb << 1 | bit(at))
    };
    bits.into_iter().map(limb).collect()
}

/// Words of 64 bits as pairs, the low half first.
pub(super) fn halves(words: &[u64]) -> impl Iterator<Item = u32> {
    words.iter().flat_map(|word| [*word as u32, (word >> 32) as u32])
}

/// Words of the largest buffer for each claim of the capacity: the tables of narrow.
pub(super) const CLAIM_WORDS_MAX: usize = 1281;
/// What stands in `claims` on the device for one claim: see `bindings.wgsl` of the programs.
pub(super) const CLAIM_WORDS: usize = 11;
/// Words of a number modulo L in `scalars`.
pub(super) const SCALAR_WORDS: u64 = 8;
/// What stands in `encodings` for one.
pub(super) const ENCODING_WORDS: usize = 9;
/// Words of a block of SHA-512.
pub(super) const BLOCK_WORDS: usize = 32;

/// Blocks of SHA-512 that a claim's `R ‖ A ‖ M` fills with its padding.
pub(super) fn blocks(claim: &Claim) -> usize {
    // 64 bytes before it, one and sixteen behind it.
    (claim.message.len() + 64 + 17).div_ceil(4 * BLOCK_WORDS)
}
