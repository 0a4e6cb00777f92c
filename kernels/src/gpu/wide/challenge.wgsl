// k = SHA-512(R ‖ A ‖ M) mod L, as k + 888…8 in hexadecimal, whose digits less 8 are those of the ladder.
//
// FIPS 180-4 in 64-bit words; the host has put the padding behind each message.

fn rotate(x: u64, n: u32) -> u64 {
    return (x >> n) | (x << (64u - n));
}

fn big_endian(word: u32) -> u32 {
    return (word >> 24u) | ((word >> 8u) & 0xff00u) | ((word << 8u) & 0xff0000u) | (word << 24u);
}

@compute @workgroup_size(64)
fn challenge(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.claims {
        return;
    }
    let first = claims[at * CLAIM_WORDS + CLAIM_BLOCK];
    let blocks = claims[at * CLAIM_WORDS + CLAIM_BLOCKS];
    var state: array<u64, 8>;
    for (var i = 0u; i < 8u; i++) {
        state[i] = constant_word(INITIAL + 2u * i);
    }
    for (var block = 0u; block < blocks; block++) {
        var w: array<u64, 16>;
        for (var i = 0u; i < 16u; i++) {
            let word = 32u * (first + block) + 2u * i;
            w[i] = (u64(big_endian(messages[word])) << 32u) | u64(big_endian(messages[word + 1u]));
        }
        var s = state;
        for (var t = 0u; t < 80u; t++) {
            let word = w[t & 15u];
            let t1 = s[7] + (rotate(s[4], 14u) ^ rotate(s[4], 18u) ^ rotate(s[4], 41u))
                + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constant_word(ROUNDS + 2u * t) + word;
            let t2 = (rotate(s[0], 28u) ^ rotate(s[0], 34u) ^ rotate(s[0], 39u))
                + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s = array<u64, 8>(t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]);
            let a = w[(t + 1u) & 15u];
            let b = w[(t + 14u) & 15u];
            w[t & 15u] = word + w[(t + 9u) & 15u] + (rotate(a, 1u) ^ rotate(a, 8u) ^ (a >> 7u))
                + (rotate(b, 19u) ^ rotate(b, 61u) ^ (b >> 6u));
        }
        for (var i = 0u; i < 8u; i++) {
            state[i] += s[i];
        }
    }
    // Half words from the top: r becomes r·2¹⁶ + half, less a multiple of L = 2²⁵² + c that its top bits name.
    var r: array<u32, 9>;
    for (var half = 0u; half < 32u; half++) {
        let at_byte = 62u - 2u * half;
        let word = state[at_byte >> 3u];
        let shift = 56u - 8u * (at_byte & 7u);
        let low = u32(word >> shift) & 255u;
        let high = u32(word >> (shift - 8u)) & 255u;
        // Upwards: Mesa's software driver (22.3) unrolls a loop that counts down wrongly where nothing checks its bounds.
        var next = low | (high << 8u);
        for (var i = 0u; i < 9u; i++) {
            let digits = r[i];
            r[i] = (digits << 16u) | next;
            next = digits >> 16u;
        }
        let q = u64((r[7] >> 28u) | (r[8] << 4u));
        r[7] &= 0xfffffffu;
        r[8] = 0u;
        // Less q·c: what is above 2⁶³ is below zero.
        var borrow = 0lu;
        for (var i = 0u; i < 8u; i++) {
            let c = select(0lu, q * u64(constants[ORDER + i]), i < 4u);
            let difference = u64(r[i]) - c - borrow;
            r[i] = u32(difference);
            // What is missing, as a positive number: below 2⁵⁰.
            borrow = (0lu - (difference >> 32u)) & 0xfffffffflu;
        }
        if (r[7] >> 31u) == 1u {
            var over = 0lu;
            for (var i = 0u; i < 8u; i++) {
                over += u64(r[i]) + u64(constants[ORDER + i]);
                r[i] = u32(over);
                over >>= 32u;
            }
        }
    }
    var over = 0lu;
    for (var i = 0u; i < 8u; i++) {
        over += u64(r[i]) + 0x88888888lu;
        scalars[8u * at + i] = u32(over);
        over >>= 32u;
    }
}
