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

// The digest of a claim: a number of 64 little-endian bytes, with a word of zero behind it.
fn digest(at: u32) -> array<u32, 17> {
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
    var words: array<u32, 17>;
    for (var i = 0u; i < 8u; i++) {
        words[2u * i] = big_endian(state[i].x);
        words[2u * i + 1u] = big_endian(state[i].y);
    }
    return words;
}

// k of a claim.
fn hashed(at: u32) -> Scalar {
    var words = digest(at);
    var digits: array<u32, 40>;
    for (var j = 0u; j < 40u; j++) {
        let word = (13u * j) >> 5u;
        let low = (13u * j) & 31u;
        digits[j] = words[word] >> low;
        if low > 19u {
            digits[j] |= words[word + 1u] << (32u - low);
        }
        digits[j] &= 8191u;
    }
    return reduce(digits);
}
