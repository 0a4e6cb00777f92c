// The sum of a group from its columns, by Horner's rule, and its encoding: y with the lowest bit of x on top. Where Z
// is zero, which no sum of points has, that is zero, a point of order four.

@compute @workgroup_size(64)
fn fold(@builtin(global_invocation_id) id: vec3<u32>) {
    let group = id.x;
    if group >= groups() {
        return;
    }
    var p = IDENTITY;
    for (var round = 0u; round < COLUMNS; round++) {
        for (var i = 0u; i < 4u; i++) {
            p = double(p);
        }
        let at = COLUMN * (group * COLUMNS + COLUMNS - 1u - round);
        p = add_row(p, prepare(Point(fe_point(at), fe_point(at + 20u), fe_point(at + 40u), fe_point(at + 60u))));
    }
    // 1/Z = Z^(p − 2), and p − 2 = 8·(2²⁵² − 3) + 3.
    let inverse = mul(sqr_times(power(p.z), 3u), mul(sqr(p.z), p.z));
    var words = packed(canonical(mul(p.y, inverse)));
    words[7] |= (canonical(mul(p.x, inverse))[0] & 1u) << 31u;
    for (var i = 0u; i < 8u; i++) {
        verdicts[params.slots + 8u * group + i] = words[i];
    }
}
