// 8(sB − kA − R), from the highest digits down; the verdict is whether it is the identity and everything was
// acceptable.
//
// A round of four bits is four doublings and an entry of A's table; every second one adds an entry of B's as well.
// Round 64 adds −R, and round 65 doubles three times. Loops instead of branches: a device that masks lanes would do
// both sides.

const ROUNDS_OF_DIGITS = 64u;

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
    for (var round = 0u; round < ROUNDS_OF_DIGITS + 2u; round++) {
        let digits = round < ROUNDS_OF_DIGITS;
        let doublings = select(select(0u, 3u, round > ROUNDS_OF_DIGITS), 4u, digits);
        for (var i = 0u; i < doublings; i++) {
            p = double(p);
        }
        let additions = select(select(1u, 0u, round > ROUNDS_OF_DIGITS), 1u + (round & 1u), digits);
        for (var i = 0u; i < additions; i++) {
            var q: Point;
            if i == 1u {
                q = base_entry(claim, (63u - round) >> 1u);
            } else if digits {
                q = key_entry(slot, at, 63u - round);
            } else {
                q = Point(negate(fe_point(r)), fe_point(r + 10u), ONE);
            }
            p = add_points(p, q);
        }
    }
    let holds = is_zero(p.x) && is_zero(sub(p.y, p.z)) && !is_zero(p.z);
    let acceptable = tables[slot + SLOT - 1u] == 1u && points[r + POINT - 1u] == 1u && below_order(claim + CLAIM_S);
    // Zero stays where no kernel came by.
    verdicts[at] = select(1u, 2u, holds && acceptable);
}

// Whether the number in eight words of the claims is below L.
fn below_order(at: u32) -> bool {
    for (var i = 8u; i > 0u; i--) {
        let word = claims[at + i - 1u];
        let limit = constants[ORDER + i - 1u];
        if word != limit {
            return word < limit;
        }
    }
    return false;
}

// The multiple of B that byte `at` of s names.
fn base_entry(claim: u32, at: u32) -> Point {
    let digit = (claims[claim + CLAIM_S + (at >> 2u)] >> (8u * (at & 3u))) & 255u;
    let row = BASE + 20u * digit;
    return Point(fe_constant(row), fe_constant(row + 10u), ONE);
}

// The multiple of −A that hexadecimal digit `place` of k + 888…8, less 8, names: from −8 to 7.
fn key_entry(slot: u32, at: u32, place: u32) -> Point {
    let digit = (scalars[8u * at + (place >> 3u)] >> (4u * (place & 7u))) & 15u;
    let negative = digit < 8u;
    let row = slot + ROW * select(digit - 8u, 8u - digit, negative);
    let x = fe_table(row);
    return Point(choose(x, negate(x), negative), fe_table(row + 10u), fe_table(row + 20u));
}
