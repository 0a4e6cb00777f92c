// Numbers modulo p = 2²⁵⁵ − 19 in twenty limbs of 13 bits, in nothing but 32-bit arithmetic. 2²⁶⁰ = 608 modulo p.
//
// An element is *tight* where no limb is above 8,340, and *loose* where none is above 24,722, which is a tight element
// plus 64p. What `carry`, `mul` and `sqr` return is tight. The README beside this file has the overflow
// argument.

alias Fe = array<u32, 20>;

const ZERO = Fe();
const ONE = Fe(1u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);

fn add(f: Fe, g: Fe) -> Fe {
    return Fe(f[0] + g[0], f[1] + g[1], f[2] + g[2], f[3] + g[3], f[4] + g[4],
              f[5] + g[5], f[6] + g[6], f[7] + g[7], f[8] + g[8], f[9] + g[9],
              f[10] + g[10], f[11] + g[11], f[12] + g[12], f[13] + g[13], f[14] + g[14],
              f[15] + g[15], f[16] + g[16], f[17] + g[17], f[18] + g[18], f[19] + g[19]);
}

// f − g for tight g: 64p is added limb by limb, 15,168 in the lowest and 16,382 in the others.
fn sub(f: Fe, g: Fe) -> Fe {
    return Fe(f[0] + 15168u - g[0], f[1] + 16382u - g[1], f[2] + 16382u - g[2], f[3] + 16382u - g[3],
              f[4] + 16382u - g[4], f[5] + 16382u - g[5], f[6] + 16382u - g[6], f[7] + 16382u - g[7],
              f[8] + 16382u - g[8], f[9] + 16382u - g[9], f[10] + 16382u - g[10], f[11] + 16382u - g[11],
              f[12] + 16382u - g[12], f[13] + 16382u - g[13], f[14] + 16382u - g[14], f[15] + 16382u - g[15],
              f[16] + 16382u - g[16], f[17] + 16382u - g[17], f[18] + 16382u - g[18], f[19] + 16382u - g[19]);
}

// Tight, for limbs below 2¹⁶: each hands what exceeds 13 bits (below 8) to the next, the topmost 608 times to the
// lowest, which hands on once more.
fn carry(f: Fe) -> Fe {
    let low = (f[0] & 8191u) + 608u * (f[19] >> 13u);
    return Fe(low & 8191u, (f[1] & 8191u) + (f[0] >> 13u) + (low >> 13u), (f[2] & 8191u) + (f[1] >> 13u),
              (f[3] & 8191u) + (f[2] >> 13u), (f[4] & 8191u) + (f[3] >> 13u), (f[5] & 8191u) + (f[4] >> 13u),
              (f[6] & 8191u) + (f[5] >> 13u), (f[7] & 8191u) + (f[6] >> 13u), (f[8] & 8191u) + (f[7] >> 13u),
              (f[9] & 8191u) + (f[8] >> 13u), (f[10] & 8191u) + (f[9] >> 13u), (f[11] & 8191u) + (f[10] >> 13u),
              (f[12] & 8191u) + (f[11] >> 13u), (f[13] & 8191u) + (f[12] >> 13u), (f[14] & 8191u) + (f[13] >> 13u),
              (f[15] & 8191u) + (f[14] >> 13u), (f[16] & 8191u) + (f[15] >> 13u), (f[17] & 8191u) + (f[16] >> 13u),
              (f[18] & 8191u) + (f[17] >> 13u), (f[19] & 8191u) + (f[18] >> 13u));
}

// From 39 columns to a tight element.
fn carry_columns(c: array<u32, 39>) -> Fe {
    // Each column is cut at 13 bits; what is above goes to the next. Then the upper twenty come back 608-fold.
    var t = (c[0] & 8191u) + 608u * ((c[20] & 8191u) + (c[19] >> 13u));
    let r0 = t & 8191u;
    t = (t >> 13u) + (c[1] & 8191u) + (c[0] >> 13u) + 608u * ((c[21] & 8191u) + (c[20] >> 13u));
    let r1 = t & 8191u;
    t = (t >> 13u) + (c[2] & 8191u) + (c[1] >> 13u) + 608u * ((c[22] & 8191u) + (c[21] >> 13u));
    let r2 = t & 8191u;
    t = (t >> 13u) + (c[3] & 8191u) + (c[2] >> 13u) + 608u * ((c[23] & 8191u) + (c[22] >> 13u));
    let r3 = t & 8191u;
    t = (t >> 13u) + (c[4] & 8191u) + (c[3] >> 13u) + 608u * ((c[24] & 8191u) + (c[23] >> 13u));
    let r4 = t & 8191u;
    t = (t >> 13u) + (c[5] & 8191u) + (c[4] >> 13u) + 608u * ((c[25] & 8191u) + (c[24] >> 13u));
    let r5 = t & 8191u;
    t = (t >> 13u) + (c[6] & 8191u) + (c[5] >> 13u) + 608u * ((c[26] & 8191u) + (c[25] >> 13u));
    let r6 = t & 8191u;
    t = (t >> 13u) + (c[7] & 8191u) + (c[6] >> 13u) + 608u * ((c[27] & 8191u) + (c[26] >> 13u));
    let r7 = t & 8191u;
    t = (t >> 13u) + (c[8] & 8191u) + (c[7] >> 13u) + 608u * ((c[28] & 8191u) + (c[27] >> 13u));
    let r8 = t & 8191u;
    t = (t >> 13u) + (c[9] & 8191u) + (c[8] >> 13u) + 608u * ((c[29] & 8191u) + (c[28] >> 13u));
    let r9 = t & 8191u;
    t = (t >> 13u) + (c[10] & 8191u) + (c[9] >> 13u) + 608u * ((c[30] & 8191u) + (c[29] >> 13u));
    let r10 = t & 8191u;
    t = (t >> 13u) + (c[11] & 8191u) + (c[10] >> 13u) + 608u * ((c[31] & 8191u) + (c[30] >> 13u));
    let r11 = t & 8191u;
    t = (t >> 13u) + (c[12] & 8191u) + (c[11] >> 13u) + 608u * ((c[32] & 8191u) + (c[31] >> 13u));
    let r12 = t & 8191u;
    t = (t >> 13u) + (c[13] & 8191u) + (c[12] >> 13u) + 608u * ((c[33] & 8191u) + (c[32] >> 13u));
    let r13 = t & 8191u;
    t = (t >> 13u) + (c[14] & 8191u) + (c[13] >> 13u) + 608u * ((c[34] & 8191u) + (c[33] >> 13u));
    let r14 = t & 8191u;
    t = (t >> 13u) + (c[15] & 8191u) + (c[14] >> 13u) + 608u * ((c[35] & 8191u) + (c[34] >> 13u));
    let r15 = t & 8191u;
    t = (t >> 13u) + (c[16] & 8191u) + (c[15] >> 13u) + 608u * ((c[36] & 8191u) + (c[35] >> 13u));
    let r16 = t & 8191u;
    t = (t >> 13u) + (c[17] & 8191u) + (c[16] >> 13u) + 608u * ((c[37] & 8191u) + (c[36] >> 13u));
    let r17 = t & 8191u;
    t = (t >> 13u) + (c[18] & 8191u) + (c[17] >> 13u) + 608u * ((c[38] & 8191u) + (c[37] >> 13u));
    let r18 = t & 8191u;
    t = (t >> 13u) + (c[19] & 8191u) + (c[18] >> 13u) + 608u * (c[38] >> 13u);
    let r19 = t & 8191u;
    t = r0 + 608u * (t >> 13u);
    return Fe(t & 8191u, r1 + (t >> 13u), r2, r3, r4, r5, r6, r7, r8, r9,
              r10, r11, r12, r13, r14, r15, r16, r17, r18, r19);
}

// f·g for loose f and tight g.
fn mul(f: Fe, g: Fe) -> Fe {
    return carry_columns(array<u32, 39>(
//@products
    ));
}

// f² for tight f.
fn sqr(f: Fe) -> Fe {
    let f2 = add(f, f);
    return carry_columns(array<u32, 39>(
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

// The representative below p, of f with limbs below 2¹⁶.
fn canonical(f: Fe) -> Fe {
    var t = carry(f);
    // Twice: bits from 255 on come back 19-fold. After the first turn the value is below 2²⁵⁵ + 2¹⁰, after the second
    // below 2²⁵⁵, or 2²⁵⁵ + a little, which is below 2p.
    for (var turn = 0u; turn < 2u; turn++) {
        var over = 19u * (t[19] >> 8u);
        t[19] &= 255u;
        for (var i = 0u; i < 20u; i++) {
            over += t[i];
            t[i] = over & 8191u;
            over >>= 13u;
        }
    }
    // q is one exactly where the value is at least p: 19 more then carries into bit 255.
    var q = 19u;
    for (var i = 0u; i < 19u; i++) {
        q = (t[i] + q) >> 13u;
    }
    q = 19u * ((t[19] + q) >> 8u);
    for (var i = 0u; i < 20u; i++) {
        q += t[i];
        t[i] = q & 8191u;
        q >>= 13u;
    }
    t[19] &= 255u;
    return t;
}

fn is_zero(f: Fe) -> bool {
    let t = canonical(f);
    var any = 0u;
    for (var i = 0u; i < 20u; i++) {
        any |= t[i];
    }
    return any == 0u;
}

fn equal(f: Fe, g: Fe) -> bool {
    let s = canonical(f);
    let t = canonical(g);
    var difference = 0u;
    for (var i = 0u; i < 20u; i++) {
        difference |= s[i] ^ t[i];
    }
    return difference == 0u;
}

fn negate(f: Fe) -> Fe {
    return carry(sub(ZERO, f));
}

fn choose(no: Fe, yes: Fe, which: bool) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 20u; i++) {
        r[i] = select(no[i], yes[i], which);
    }
    return r;
}
