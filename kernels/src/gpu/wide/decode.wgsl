// From encodings to affine points, by ZIP-215: y at or above p is reduced, a sign beside x = 0 is accepted.
//
// x = ±√(u/v) with u = y² − 1 and v = dy² + 1. With z = (uv)^((p−5)/8), v·(uz)² = u·(uv)^((p−1)/4), which is u, −u, or
// no square; √−1 times the root helps in the second case.

// w^((p−5)/8) = w^(2²⁵² − 3): runs of ones in the exponent, which grow from 1 to 250.
fn power(w: Fe) -> Fe {
    var squarings = array<u32, 11>(1u, 2u, 1u, 5u, 10u, 20u, 10u, 50u, 100u, 50u, 2u);
    // What is multiplied in: 0 is w, 1 the run so far, 2 that of 10 ones, 3 that of 50.
    var factors = array<u32, 11>(1u, 1u, 0u, 1u, 1u, 1u, 2u, 1u, 1u, 3u, 0u);
    var r = w;
    var ten = w;
    var fifty = w;
    for (var i = 0u; i < 11u; i++) {
        var factor = w;
        switch factors[i] {
            case 1u: { factor = r; }
            case 2u: { factor = ten; }
            case 3u: { factor = fifty; }
            default: {}
        }
        r = mul(sqr_times(r, squarings[i]), factor);
        if i == 3u {
            ten = r;
        }
        if i == 6u {
            fifty = r;
        }
    }
    return r;
}

@compute @workgroup_size(64)
fn decode(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.encodings {
        return;
    }
    var words: array<u32, 8>;
    for (var i = 0u; i < 8u; i++) {
        words[i] = encodings[9u * at + 1u + i];
    }
    let y = from_words(words);
    let yy = sqr(y);
    let u = carry(sub(yy, ONE));
    let v = carry(add(mul(yy, fe_constant(D)), ONE));
    let w = mul(u, v);

    let z = power(w);

    let x = mul(u, z);
    let vxx = mul(v, sqr(x));
    let plus = is_zero(sub(vxx, u));
    let minus = is_zero(add(vxx, u));
    let root = choose(mul(x, fe_constant(SQRT_M1)), x, plus);
    let flip = (canonical(root)[0] & 1u) != (words[7] >> 31u);
    let signed = choose(root, negate(root), flip);
    for (var i = 0u; i < 10u; i++) {
        points[POINT * at + i] = signed[i];
        points[POINT * at + 10u + i] = y[i];
    }
    points[POINT * at + 20u] = select(0u, 1u, plus || minus);
}
