// From encodings to affine points, by ZIP-215: y at or above p is reduced, a sign beside x = 0 is accepted.
//
// RFC 8032, 5.1.3: x = u·v³·(u·v⁷)^((p−5)/8), times √−1 where v·x² = −u, with u = y² − 1 and v = dy² + 1.

// f^(2²⁵² − 3): from the highest bit down all bits are ones, but the second.
fn power(f: Fe) -> Fe {
    // Five bits at a time: f³¹ first.
    let two = mul(sqr(f), f);
    let four = mul(sqr_times(two, 2u), two);
    let five = mul(sqr(four), f);
    var r = five;
    for (var i = 0u; i < 49u; i++) {
        r = mul(sqr_times(r, 5u), five);
    }
    return mul(sqr_times(r, 2u), f);
}

@compute @workgroup_size(64)
fn decode(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.encodings {
        return;
    }
    var y: Fe;
    for (var i = 0u; i < 20u; i++) {
        let bit = 13u * i;
        let word = 9u * at + 1u + (bit >> 5u);
        let shift = bit & 31u;
        var bits = encodings[word] >> shift;
        if shift > 19u && i < 19u {
            bits |= encodings[word + 1u] << (32u - shift);
        }
        // 247 bits lie below the topmost limb, which has the last eight of the 255.
        y[i] = bits & select(8191u, 255u, i == 19u);
    }
    let sign = encodings[9u * at + 8u] >> 31u;
    let yy = sqr(y);
    let u = carry(sub(yy, ONE));
    let v = carry(add(mul(yy, fe_constant(D)), ONE));
    let v3 = mul(sqr(v), v);
    let uv3 = mul(u, v3);
    let x = mul(uv3, power(mul(uv3, sqr(sqr(v)))));
    let vxx = mul(v, sqr(x));
    let plus = equal(vxx, u);
    let minus = equal(vxx, negate(u));
    let root = choose(mul(x, fe_constant(SQRT_M1)), x, plus);
    let flip = (canonical(root)[0] & 1u) != sign;
    let signed = choose(root, negate(root), flip);
    for (var i = 0u; i < 20u; i++) {
        points[POINT * at + i] = signed[i];
        points[POINT * at + 20u + i] = y[i];
    }
    points[POINT * at + 40u] = select(0u, 1u, plus || minus);
}
