// Numbers modulo p = 2²⁵⁵ − 19 in ten limbs of 26 and 25 bits in turn, as Bernstein's ref10 has them, unsigned. A
// product of two limbs is added up in 64 bits, so nothing is carried inside a multiplication.
//
// An element is *k-loose* where even limbs are at most k·(2²⁶ + 2¹⁷) and odd ones at most k·(2²⁵ + 2¹⁷). What `carry`,
// `mul` and `sqr` return is 1-loose (*tight*). The README beside this file has the overflow argument.

alias Fe = array<u32, 10>;

const ZERO = Fe();
const ONE = Fe(1u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);

// Loose by the sum of both.
fn add(f: Fe, g: Fe) -> Fe {
    return Fe(f[0] + g[0], f[1] + g[1], f[2] + g[2], f[3] + g[3], f[4] + g[4],
              f[5] + g[5], f[6] + g[6], f[7] + g[7], f[8] + g[8], f[9] + g[9]);
}

// f − g for tight g; 2p is added limb by limb. Looser than f by 2.
fn sub(f: Fe, g: Fe) -> Fe {
    return Fe(f[0] + 0x7ffffdau - g[0], f[1] + 0x3fffffeu - g[1], f[2] + 0x7fffffeu - g[2],
              f[3] + 0x3fffffeu - g[3], f[4] + 0x7fffffeu - g[4], f[5] + 0x3fffffeu - g[5],
              f[6] + 0x7fffffeu - g[6], f[7] + 0x3fffffeu - g[7], f[8] + 0x7fffffeu - g[8],
              f[9] + 0x3fffffeu - g[9]);
}

// Tight, for f up to 16-loose: every limb hands what exceeds its bits to the next, the last one 19 times to the first.
fn carry(f: Fe) -> Fe {
    return Fe((f[0] & 0x3ffffffu) + 19u * (f[9] >> 25u), (f[1] & 0x1ffffffu) + (f[0] >> 26u),
              (f[2] & 0x3ffffffu) + (f[1] >> 25u), (f[3] & 0x1ffffffu) + (f[2] >> 26u),
              (f[4] & 0x3ffffffu) + (f[3] >> 25u), (f[5] & 0x1ffffffu) + (f[4] >> 26u),
              (f[6] & 0x3ffffffu) + (f[5] >> 25u), (f[7] & 0x1ffffffu) + (f[6] >> 26u),
              (f[8] & 0x3ffffffu) + (f[7] >> 25u), (f[9] & 0x1ffffffu) + (f[8] >> 26u));
}

// From 64-bit columns below 2⁶³ to a tight element.
fn carry_columns(c: array<u64, 10>) -> Fe {
    var t = c[0];
    let r0 = u32(t) & 0x3ffffffu;
    t = c[1] + (t >> 26u);
    let r1 = u32(t) & 0x1ffffffu;
    t = c[2] + (t >> 25u);
    let r2 = u32(t) & 0x3ffffffu;
    t = c[3] + (t >> 26u);
    let r3 = u32(t) & 0x1ffffffu;
    t = c[4] + (t >> 25u);
    let r4 = u32(t) & 0x3ffffffu;
    t = c[5] + (t >> 26u);
    let r5 = u32(t) & 0x1ffffffu;
    t = c[6] + (t >> 25u);
    let r6 = u32(t) & 0x3ffffffu;
    t = c[7] + (t >> 26u);
    let r7 = u32(t) & 0x1ffffffu;
    t = c[8] + (t >> 25u);
    let r8 = u32(t) & 0x3ffffffu;
    t = c[9] + (t >> 26u);
    let r9 = u32(t) & 0x1ffffffu;
    t = u64(r0) + 19lu * (t >> 25u);
    return Fe(u32(t) & 0x3ffffffu, r1 + u32(t >> 26u), r2, r3, r4, r5, r6, r7, r8, r9);
}

// Every limb 19-fold, for what wraps. The lowest one does not.
fn times_19(f: Fe) -> Fe {
    return Fe(0u, 19u * f[1], 19u * f[2], 19u * f[3], 19u * f[4],
              19u * f[5], 19u * f[6], 19u * f[7], 19u * f[8], 19u * f[9]);
}

// f·g for g up to 3-loose and f up to 9-loose.
fn mul(f: Fe, g: Fe) -> Fe {
    let f2 = add(f, f);
    let g19 = times_19(g);
    return carry_columns(array<u64, 10>(
//@products
    ));
}

// f² for f up to 3-loose.
fn sqr(f: Fe) -> Fe {
    let f2 = add(f, f);
    let f4 = add(f2, f2);
    let f19 = times_19(f);
    return carry_columns(array<u64, 10>(
//@squares
    ));
}

// f^(2^n).
fn sqr_times(f: Fe, n: u32) -> Fe {
    var r = f;
    for (var i = 0u; i < n; i++) {
        r = sqr(r);
    }
    return r;
}

// The representative below p, of f up to 16-loose.
fn canonical(f: Fe) -> Fe {
    var t = carry(f);
    // Below 2p, so q is one exactly where t is at least p: 19 more then carries out of bit 255.
    var q = 19u;
    for (var i = 0u; i < 10u; i++) {
        q = (t[i] + q) >> (26u - (i & 1u));
    }
    q *= 19u;
    for (var i = 0u; i < 10u; i++) {
        let bits = 26u - (i & 1u);
        q += t[i];
        t[i] = q & ((1u << bits) - 1u);
        q >>= bits;
    }
    return t;
}

fn is_zero(f: Fe) -> bool {
    let t = canonical(f);
    return (t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7] | t[8] | t[9]) == 0u;
}

// Bit `at` and the next `bits` of eight words; `at` is below 256.
fn bits_at(words: array<u32, 8>, at: u32, bits: u32) -> u32 {
    var w = words;
    let low = w[at >> 5u] >> (at & 31u);
    let next = w[min((at >> 5u) + 1u, 7u)];
    let high = select(0u, next << (32u - (at & 31u)), (at & 31u) != 0u && at < 224u);
    return (low | high) & ((1u << bits) - 1u);
}

// The low 255 bits of an encoding.
fn from_words(words: array<u32, 8>) -> Fe {
    var f: Fe;
    var at = 0u;
    for (var i = 0u; i < 10u; i++) {
        let bits = 26u - (i & 1u);
        f[i] = bits_at(words, at, bits);
        at += bits;
    }
    return f;
}

fn negate(f: Fe) -> Fe {
    return carry(sub(ZERO, f));
}

fn choose(no: Fe, yes: Fe, which: bool) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 10u; i++) {
        r[i] = select(no[i], yes[i], which);
    }
    return r;
}
