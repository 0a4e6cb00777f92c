// 8(sB − kA) and 8R, whose coordinates are multiplied crosswise to be compared.
//
// A round of four bits is four doublings, an entry of A's table and one of B's. Rounds 64 and 65 double three times;
// between them the sum is put aside for R. Loops instead of branches: a device that masks lanes would do both sides.

const ROUNDS_OF_DIGITS = 64u;

@compute @workgroup_size(64)
fn challenge(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.claims {
        return;
    }
    var words = packed(hashed(at));
    for (var i = 0u; i < 8u; i++) {
        scalars[8u * at + i] = words[i];
    }
}

@compute @workgroup_size(64)
fn ladder(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.claims {
        return;
    }
    let claim = at * CLAIM_WORDS;
    let slot = SLOT * claims[claim];
    let r = POINT * (params.keys + at);
    var p = IDENTITY;
    var sum = IDENTITY;
    for (var round = 0u; round < ROUNDS_OF_DIGITS + 2u; round++) {
        let digits = round < ROUNDS_OF_DIGITS;
        if round == ROUNDS_OF_DIGITS + 1u {
            sum = p;
            p = Point(fe_point(r), fe_point(r + 20u), ONE, ZERO);
        }
        for (var i = 0u; i < select(3u, 4u, digits); i++) {
            p = double(p);
        }
        for (var i = 0u; i < select(0u, 2u, digits); i++) {
            let nibble = 63u - round;
            let word = nibble >> 3u;
            let shift = 4u * (nibble & 7u);
            var q: Row;
            if i == 0u {
                let row = slot + ROW * ((scalars[8u * at + word] >> shift) & 15u);
                q = Row(fe_table(row), fe_table(row + 20u), fe_table(row + 40u), fe_table(row + 60u));
            } else {
                let row = BASE + ROW * ((claims[claim + CLAIM_S + word] >> shift) & 15u);
                q = Row(fe_constant(row), fe_constant(row + 20u), fe_constant(row + 40u), fe_constant(row + 60u));
            }
            p = add_row(p, q);
        }
    }
    let same = equal(mul(sum.x, p.z), mul(p.x, sum.z)) && equal(mul(sum.y, p.z), mul(p.y, sum.z));
    let finite = !is_zero(sum.z) && !is_zero(p.z);
    let acceptable = tables[slot + 16u * ROW] == 1u && points[r + 40u] == 1u && below_order(claim + CLAIM_S);
    // Zero stays where no kernel came by.
    verdicts[at] = select(1u, 2u, same && finite && acceptable);
}

// Whether the number in eight words of the claims is below L: the last borrow of the difference.
fn below_order(at: u32) -> bool {
    var borrow = 0u;
    for (var i = 0u; i < 20u; i++) {
        let bit = 13u * i;
        let word = bit >> 5u;
        let shift = bit & 31u;
        var bits = claims[at + word] >> shift;
        if shift > 19u && word < 7u {
            bits |= claims[at + word + 1u] << (32u - shift);
        }
        borrow = (((bits & 8191u) - constants[ORDER + i]) - borrow) >> 31u;
    }
    return borrow == 1u;
}
