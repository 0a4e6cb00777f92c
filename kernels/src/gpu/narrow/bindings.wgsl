// What all kernels of this program and of the combination see. Sizes are in words of 32 bits; every index is below
// what `params` says.

struct Params {
    claims: u32,
    // How many encodings are keys; they come first.
    keys: u32,
    encodings: u32,
    // For how many keys there is room; also for how many claims.
    slots: u32,
    // How many claims are summed up together.
    group: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> constants: array<u32>;
// For each claim: slot of its key, first block, blocks, eight words of s.
@group(0) @binding(2) var<storage, read> claims: array<u32>;
// R ‖ A ‖ M and the padding of SHA-512, in blocks of 32 words.
@group(0) @binding(3) var<storage, read> messages: array<u32>;
// For each encoding: the slot (of a key) and eight words; first keys, then the claims' R.
@group(0) @binding(4) var<storage, read> encodings: array<u32>;
// For each encoding: x and y of its point, and whether there is one.
@group(0) @binding(5) var<storage, read_write> points: array<u32>;
// Multiples of points.
@group(0) @binding(6) var<storage, read_write> tables: array<u32>;
@group(0) @binding(7) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(8) var<storage, read_write> verdicts: array<u32>;

const CLAIM_WORDS = 11u;
const CLAIM_BLOCK = 1u;
const CLAIM_BLOCKS = 2u;
const CLAIM_S = 3u;

// Where things are in `constants`.
const D = 0u;
const D2 = 20u;
const SQRT_M1 = 40u;
const ORDER = 60u;
const POWERS = 80u;
const INITIAL = 880u;
const ROUNDS = 896u;
const BASE = 1056u;

// Words of a point.
const POINT = 41u;

fn fe_constant(at: u32) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 20u; i++) {
        r[i] = constants[at + i];
    }
    return r;
}

fn fe_point(at: u32) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 20u; i++) {
        r[i] = points[at + i];
    }
    return r;
}
