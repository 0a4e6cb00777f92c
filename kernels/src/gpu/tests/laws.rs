//! The laws that the CPU's fields pass, for the fields of the shaders: agreement with schoolbook arithmetic at random
//! values and at the bounds that the operations accept, and the bounds that they promise.

use super::super::{Device, narrow, wide};
use super::open;
use crate::ed25519::laws::{Wide, next, product, reduce, total};

/// Elements tried, of each kind.
const CASES: usize = 4096;

/// A field and its bounds.
struct Shape {
    name: &'static str,
    source: String,
    /// Bits of each limb.
    bits: Vec<u32>,
    /// The most that a tight limb can be.
    tight: Vec<u32>,
    /// The most that a limb of the first factor of a product can be, and of the second.
    factors: [Vec<u32>; 2],
    /// The most that a limb of a factor that is squared can be.
    squared: Vec<u32>,
    /// The most that a limb can be that is carried or compared.
    carried: Vec<u32>,
}

/// Each invocation takes five elements and gives seven, and whether the fifth is zero.
const KERNEL: &str = "
@group(0) @binding(0) var<storage, read> operands: array<u32>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;

fn operand(at: u32) -> Fe {
    var r: Fe;
    for (var i = 0u; i < LIMBS; i++) {
        r[i] = operands[LIMBS * at + i];
    }
    return r;
}

@compute @workgroup_size(64)
fn laws(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = 5u * id.x;
    let factor = operand(first);
    let other = operand(first + 1u);
    let root = operand(first + 2u);
    let tight = operand(first + 3u);
    let big = operand(first + 4u);
    var elements = array<Fe, 7>(mul(factor, other), sqr(root), carry(big), canonical(big), negate(tight),
                                carry(sub(tight, tight)), sqr_times(root, 3u));
    let at = id.x * (7u * LIMBS + 1u);
    for (var e = 0u; e < 7u; e++) {
        for (var i = 0u; i < LIMBS; i++) {
            results[at + LIMBS * e + i] = elements[e][i];
        }
    }
    results[at + 7u * LIMBS] = select(0u, 1u, is_zero(big));
}
";

fn shapes(device: &Device) -> Vec<Shape> {
    let narrow = Shape {
        name: "narrow",
        source: narrow::field() + "const LIMBS = 20u;" + KERNEL,
        bits: vec![13; 20],
        tight: vec![8340; 20],
        factors: [vec![24_722; 20], vec![8340; 20]],
        squared: vec![8340; 20],
        carried: vec![(1 << 16) - 1; 20],
    };
    let loose =
        |times: u32| (0..10).map(|limb| times * ((1 << (26 - limb % 2)) + (1 << 17))).collect::<Vec<u32>>();
    let wide = Shape {
        name: "wide",
        source: wide::field() + "const LIMBS = 10u;" + KERNEL,
        bits: (0..10).map(|limb| 26 - limb % 2).collect(),
        tight: loose(1),
        factors: [loose(9), loose(3)],
        squared: loose(3),
        carried: loose(16),
    };
    if device.info().has_int64 { vec![narrow, wide] } else { vec![narrow] }
}

impl Shape {
    fn number(&self, limbs: &[u32]) -> Wide {
        let mut out = [0; 9];
        let mut bit = 0;
        for (limb, bits) in limbs.iter().zip(&self.bits) {
            let mut carry = u128::from(*limb) << (bit % 64);
            for word in &mut out[bit / 64..] {
                carry += u128::from(*word);
                *word = carry as u64;
                carry >>= 64;
            }
            bit += *bits as usize;
        }
        out
    }

    /// Limbs that are random, zero or at an edge of what is allowed; now and then a multiple of p.
    fn element(&self, state: &mut u64, most: &[u32]) -> Vec<u32> {
        let kind = next(state) % 8;
        let place = |limb: usize| (1 << self.bits[limb]) - 1;
        let limb = |limb: usize| match kind {
            0 => most[limb],
            1 => 0,
            // p, whose lowest limb is 19 short; above bit 255 there is nothing in p.
            2 => self.p()[limb],
            // 2p, and p + 18, where they are in bounds.
            3 => (2 * self.p()[limb]).min(most[limb]),
            4 if limb == 0 => place(0),
            4 => self.p()[limb],
            _ => match next(state) % 4 {
                0 => most[limb],
                1 => place(limb),
                _ => (next(state) % (u64::from(most[limb]) + 1)) as u32,
            },
        };
        (0..most.len()).map(limb).collect()
    }

    fn p(&self) -> Vec<u32> {
        let mut left = 255u32;
        let mut p: Vec<u32> = Vec::new();
        for bits in &self.bits {
            let here = left.min(*bits);
            p.push((1 << here) - 1);
            left -= here;
        }
        p[0] -= 18;
        p
    }

    /// Says which law the results break, if any.
    fn broken(&self, operands: &[Vec<u32>], results: &[u32]) -> Result<(), &'static str> {
        let limbs = self.bits.len();
        let law = |name: &'static str, holds: bool| if holds { Ok(()) } else { Err(name) };
        let [factor, other, root, tight, big] = [0, 1, 2, 3, 4].map(|i| self.number(&operands[i]));
        let result = |at: usize| &results[limbs * at..limbs * (at + 1)];
        let value = |at: usize| reduce(self.number(result(at)));
        law("mul", value(0) == reduce(product(&low(factor), &low(other))))?;
        law("sqr", value(1) == reduce(product(&low(root), &low(root))))?;
        law("carry", value(2) == reduce(big))?;
        let exact = self.number(result(3));
        law("canonical", exact[..4] == reduce(big) && exact[4..] == [0; 5])?;
        law("negate", total(&[self.number(result(4)), tight]) == [0; 4])?;
        law("sub", value(5) == [0; 4])?;
        let squared = (0..3).fold(low(root), |power, _| low(product(&power, &power)));
        law("sqr_times", value(6) == reduce(squared))?;
        law("is_zero", (results[7 * limbs] == 1) == (reduce(big) == [0; 4]))?;
        for at in [0, 1, 2, 4, 5, 6] {
            law("tight", result(at).iter().zip(&self.tight).all(|(limb, most)| limb <= most))?;
        }
        Ok(())
    }
}

/// The same number modulo p in four words, so that products have room.
fn low(number: Wide) -> Wide {
    let mut out = [0; 9];
    out[..4].copy_from_slice(&reduce(number));
    out
}

/// The results of the operands' laws.
fn run(device: &Device, source: &str, operands: &[u32], bytes: u64) -> Vec<u32> {
    let pipeline = {
        let entry = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, true), entry(1, false)],
        });
        let layout = device.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        device.compile("field", source, &layout, &["laws"]).unwrap().remove(0)
    };
    let input = device.constants("operands", operands);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let output = device.buffer("results", bytes, usage);
    let back = device.buffer("back", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: output.as_entire_binding() },
        ],
    });
    let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(CASES as u32 / 64, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&output, 0, &back, 0, bytes);
    device.queue.submit([encoder.finish()]);
    back.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    device.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    bytemuck::pod_collect_to_vec(&back.get_mapped_range(..).unwrap()[..])
}

#[test]
fn the_shaders_fields_pass_the_laws_of_the_cpu() {
    let Some(device) = open() else { return };
    for shape in shapes(&device) {
        let mut state = 11;
        let bounds = [&shape.factors[0], &shape.factors[1], &shape.squared, &shape.tight, &shape.carried];
        let cases: Vec<Vec<Vec<u32>>> =
            (0..CASES).map(|_| bounds.iter().map(|most| shape.element(&mut state, most)).collect()).collect();
        let operands: Vec<u32> = cases.iter().flatten().flatten().copied().collect();
        let each = 7 * shape.bits.len() + 1;
        let results = run(&device, &shape.source, &operands, (4 * CASES * each) as u64);
        for (operands, results) in cases.iter().zip(results.chunks(each)) {
            assert_eq!(shape.broken(operands, results), Ok(()), "{}: {operands:?}", shape.name);
        }
        // The laws notice one wrong bit.
        for at in [0, 2, 3, 5, 7].map(|element| element * shape.bits.len()) {
            let mut spoiled = results[..each].to_vec();
            spoiled[at] ^= 1;
            assert!(shape.broken(&cases[0], &spoiled).is_err(), "{}: word {at}", shape.name);
        }
    }
}
