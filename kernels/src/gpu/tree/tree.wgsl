// SHA-256 (FIPS 180-4) over the leaves and the inner nodes of RFC 9162 trees. A hash is eight words as the algorithm
// has them.

struct Params {
    // Leaves to hash, or nodes of the level below.
    count: u32,
    // Blocks that a leaf fills with its prefix and its padding.
    blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// Eight words of the initial state, 64 of the rounds.
@group(0) @binding(1) var<storage, read> constants: array<u32>;
// Blocks of 16 words as memory has them, or hashes.
@group(0) @binding(2) var<storage, read> below: array<u32>;
@group(0) @binding(3) var<storage, read_write> above: array<u32>;

alias State = array<u32, 8>;

fn rotate(x: u32, n: u32) -> u32 {
    return (x >> n) | (x << (32u - n));
}

fn initial() -> State {
    var s: State;
    for (var i = 0u; i < 8u; i++) {
        s[i] = constants[i];
    }
    return s;
}

fn compress(state: State, block: array<u32, 16>) -> State {
    var w = block;
    var s = state;
    for (var t = 0u; t < 64u; t++) {
        let word = w[t & 15u];
        let t1 = s[7] + (rotate(s[4], 6u) ^ rotate(s[4], 11u) ^ rotate(s[4], 25u))
            + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[8u + t] + word;
        let t2 = (rotate(s[0], 2u) ^ rotate(s[0], 13u) ^ rotate(s[0], 22u))
            + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        s = State(t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]);
        let a = w[(t + 1u) & 15u];
        let b = w[(t + 14u) & 15u];
        w[t & 15u] = word + w[(t + 9u) & 15u] + (rotate(a, 7u) ^ rotate(a, 18u) ^ (a >> 3u))
            + (rotate(b, 17u) ^ rotate(b, 19u) ^ (b >> 10u));
    }
    for (var i = 0u; i < 8u; i++) {
        s[i] += state[i];
    }
    return s;
}

fn store(at: u32, s: State) {
    for (var i = 0u; i < 8u; i++) {
        above[8u * at + i] = s[i];
    }
}

// A leaf each: the host has put prefix and padding round its bytes.
@compute @workgroup_size(64)
fn leaves(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.count {
        return;
    }
    var s = initial();
    for (var i = 0u; i < params.blocks; i++) {
        var block: array<u32, 16>;
        for (var j = 0u; j < 16u; j++) {
            let word = below[16u * (at * params.blocks + i) + j];
            block[j] = (word >> 24u) | ((word >> 8u) & 0xff00u) | ((word << 8u) & 0xff0000u) | (word << 24u);
        }
        s = compress(s, block);
    }
    store(at, s);
}

// A node of the level above each: of one byte and both children, 65 bytes; a lone right child is promoted.
@compute @workgroup_size(64)
fn nodes(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= (params.count + 1u) / 2u {
        return;
    }
    let first = 16u * at;
    var block: array<u32, 16>;
    var before = 1u;
    if 2u * at + 1u < params.count {
        for (var j = 0u; j < 16u; j++) {
            let word = below[first + j];
            block[j] = (before << 24u) | (word >> 8u);
            before = word;
        }
        var last: array<u32, 16>;
        last[0] = (before << 24u) | 0x800000u;
        last[15] = 8u * 65u;
        var s = initial();
        for (var i = 0u; i < 2u; i++) {
            s = compress(s, block);
            block = last;
        }
        store(at, s);
    } else {
        for (var j = 0u; j < 8u; j++) {
            above[8u * at + j] = below[first + j];
        }
    }
}
