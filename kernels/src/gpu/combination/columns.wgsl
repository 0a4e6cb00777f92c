// What one column of digits of a group sums to: the digit of the group's check value times B, and for each entry that
// the first program accepts the digits of z times R, and of both halves of zk times A and 2¹²⁸A.
//
// The 32 columns of a group are neighbours, so they read rows of the same three points at the same time, and none of
// them waits for another.

@compute @workgroup_size(64)
fn columns(@builtin(global_invocation_id) id: vec3<u32>) {
    let group = id.x / COLUMNS;
    let column = id.x % COLUMNS;
    if group >= groups() {
        return;
    }
    let word = column >> 3u;
    let shift = 4u * (column & 7u);
    let check = (claims[coefficients() + 4u * (params.claims + group) + word] >> shift) & 15u;
    let x = fe_constant(MULTIPLES + 40u * check);
    let y = fe_constant(MULTIPLES + 40u * check + 20u);
    var p = Point(x, y, ONE, mul(x, y));
    let end = min(params.claims, (group + 1u) * params.group);
    for (var at = group * params.group; at < end; at++) {
        // A loop instead of a branch: see the ladder of narrow.
        for (var part = 0u; part < select(0u, 3u, verdicts[at] == ACCEPTED); part++) {
            var digits = claims[coefficients() + 4u * at + word];
            var place = rows_of(at);
            if part > 0u {
                digits = scalars[8u * at + 4u * (part - 1u) + word];
                place = ROWS * (2u * claims[at * CLAIM_WORDS] + part - 1u);
            }
            let digit = (digits >> shift) & 15u;
            let negative = digit < 8u;
            let row = place + ROW * select(digit - 8u, 8u - digit, negative);
            let t2d = fe_row(row + 30u);
            p = add_row(p, Row(fe_row(row + select(0u, 10u, negative)), fe_row(row + select(10u, 0u, negative)),
                               fe_row(row + 20u), choose(t2d, negate(t2d), negative)));
        }
    }
    let place = COLUMN * id.x;
    for (var i = 0u; i < 20u; i++) {
        points[place + i] = p.x[i];
        points[place + 20u + i] = p.y[i];
        points[place + 40u + i] = p.z[i];
        points[place + 60u + i] = p.t[i];
    }
}
