// k = SHA-512(R ‖ A ‖ M) mod L: FIPS 180-4 with each 64-bit word as a pair of high and low halves; the host has put the
// padding behind each message.

alias Word = vec2<u32>;

fn sum(a: Word, b: Word) -> Word {
    let low = a.y + b.y;
    return Word(a.x + b.x + select(0u, 1u, low < a.y), low);
}

// To the right by n, from 1 to 31.
fn rotate(a: Word, n: u32) -> Word {
    return Word((a.x >> n) | (a.y << (32u - n)), (a.y >> n) | (a.x << (32u - n)));
}

fn shift(a: Word, n: u32) -> Word {
    return Word(a.x >> n, (a.y >> n) | (a.x << (32u - n)));
}

fn constant_word(at: u32) -> Word {
    return Word(constants[at + 1u], constants[at]);
}

fn big_endian(word: u32) -> u32 {
    let odd = ((word & 0xff00ffu) << 8u) | ((word >> 8u) & 0xff00ffu);
    return (odd << 16u) | (odd >> 16u);
}

@compute @workgroup_size(64)
fn challenge(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.claims {
        return;
    }
    let first = claims[at * CLAIM_WORDS + CLAIM_BLOCK];
    let blocks = claims[at * CLAIM_WORDS + CLAIM_BLOCKS];
    var state: array<Word, 8>;
    for (var i = 0u; i < 8u; i++) {
        state[i] = constant_word(INITIAL + 2u * i);
    }
    for (var block = 0u; block < blocks; block++) {
        var w: array<Word, 16>;
        for (var i = 0u; i < 16u; i++) {
            let word = 32u * (first + block) + 2u * i;
            w[i] = Word(big_endian(messages[word]), big_endian(messages[word + 1u]));
        }
        var s = state;
        for (var t = 0u; t < 80u; t++) {
            if t >= 16u {
                let a = w[(t + 1u) & 15u];
                let b = w[(t + 14u) & 15u];
                let s0 = rotate(a, 1u) ^ rotate(a, 8u) ^ shift(a, 7u);
                let s1 = rotate(b, 19u) ^ rotate(b.yx, 29u) ^ shift(b, 6u);
                w[t & 15u] = sum(sum(w[t & 15u], w[(t + 9u) & 15u]), sum(s0, s1));
            }
            let s1 = rotate(s[4], 14u) ^ rotate(s[4], 18u) ^ rotate(s[4].yx, 9u);
            let choice = s[6] ^ (s[4] & (s[5] ^ s[6]));
            let t1 = sum(sum(sum(s[7], s1), sum(choice, constant_word(ROUNDS + 2u * t))), w[t & 15u]);
            let s0 = rotate(s[0], 28u) ^ rotate(s[0].yx, 2u) ^ rotate(s[0].yx, 7u);
            let majority = (s[0] & s[1]) | (s[2] & (s[0] | s[1]));
            s = array<Word, 8>(sum(t1, sum(s0, majority)), s[0], s[1], s[2], sum(s[3], t1), s[4], s[5], s[6]);
        }
        for (var i = 0u; i < 8u; i++) {
            state[i] = sum(state[i], s[i]);
        }
    }
    // The digest is a number of 64 little-endian bytes. Its 13-bit digits are multiplied by 2^(13j) mod L and added up:
    // forty products below 2²⁶ in a column.
    var digest: array<u32, 17>;
    for (var i = 0u; i < 8u; i++) {
        digest[2u * i] = big_endian(state[i].x);
        digest[2u * i + 1u] = big_endian(state[i].y);
    }
    var column: array<u32, 20>;
    for (var j = 0u; j < 40u; j++) {
        let word = (13u * j) >> 5u;
        let low = (13u * j) & 31u;
        var digit = digest[word] >> low;
        if low > 19u {
            digit |= digest[word + 1u] << (32u - low);
        }
        digit &= 8191u;
        for (var i = 0u; i < 20u; i++) {
            column[i] += digit * constants[POWERS + 20u * j + i];
        }
    }
    // Carried, the sum is below 40·2¹³·L: q is what lies above bit 252 (bit 5 of the topmost limb), below 2¹⁹.
    var over = 0u;
    for (var i = 0u; i < 19u; i++) {
        over += column[i];
        column[i] = over & 8191u;
        over >>= 13u;
    }
    over += column[19];
    let q = over >> 5u;
    column[19] = over & 31u;
    // Less q·(L − 2²⁵²): limbs below 2¹³ of which ten are not zero. What is below zero is lent by the next limb.
    var lent = 0u;
    for (var i = 0u; i < 20u; i++) {
        let c = select(0u, constants[ORDER + i], i < 10u);
        let less = q * c + lent;
        let digit = (column[i] - less) & 8191u;
        lent = (less + digit - column[i]) >> 13u;
        column[i] = digit;
    }
    // Below zero, at least −2¹⁴⁴: one L more.
    over = 0u;
    for (var i = 0u; i < 20u; i++) {
        over += column[i] + lent * constants[ORDER + i];
        column[i] = over & 8191u;
        over >>= 13u;
    }
    // From 13 to 32 bits; what is above 2⁸·³² is zero.
    var words: array<u32, 8>;
    for (var i = 0u; i < 20u; i++) {
        let word = (13u * i) >> 5u;
        let low = (13u * i) & 31u;
        words[word] |= column[i] << low;
        if low > 19u && word < 7u {
            words[word + 1u] |= column[i] >> (32u - low);
        }
    }
    for (var i = 0u; i < 8u; i++) {
        scalars[8u * at + i] = words[i];
    }
}
