// zk mod L of each claim, as zk + 888…8 (64 digits), whose digits less 8 are those of the sum.
//
// The coefficient is z = Z − 888…8 (32 digits) with Z in `claims`: its digits are those of Z less 8, so all 2¹²⁸ Z give
// different z. Modulo L it is Z + (L − 888…8), below 2²⁵³.

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.claims {
        return;
    }
    var k = hashed(at);
    let first = coefficients() + 4u * at;
    var z: Scalar;
    var over = 0u;
    for (var i = 0u; i < 20u; i++) {
        over += constants[UNBIAS + i];
        let word = (13u * i) >> 5u;
        let low = (13u * i) & 31u;
        if word < 4u {
            var bits = claims[first + word] >> low;
            if low > 19u && word < 3u {
                bits |= claims[first + word + 1u] << (32u - low);
            }
            over += bits & 8191u;
        }
        z[i] = over & 8191u;
        over >>= 13u;
    }
    // Twenty products below 2²⁶ in a column.
    var product: array<u32, 40>;
    for (var i = 0u; i < 20u; i++) {
        for (var j = 0u; j < 20u; j++) {
            product[i + j] += k[i] * z[j];
        }
    }
    over = 0u;
    for (var i = 0u; i < 40u; i++) {
        over += product[i];
        product[i] = over & 8191u;
        over >>= 13u;
    }
    var words = packed(reduce(product));
    over = 0u;
    for (var i = 0u; i < 8u; i++) {
        let bias = 0x88888888u + over;
        let word = words[i] + bias;
        over = select(0u, 1u, word < bias);
        scalars[8u * at + i] = word;
    }
}
