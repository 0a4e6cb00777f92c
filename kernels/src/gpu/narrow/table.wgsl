// For each decoded key A the multiples 0, −A … −15A, prepared for addition, into its slot: sixteen rows, and whether
// the key is a point.

// Words of a row (an element each of Y − X, Y + X, 2Z, 2dT) and of a slot.
const ROW = 80u;
const SLOT = 1281u;

fn fe_table(at: u32) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 20u; i++) {
        r[i] = tables[at + i];
    }
    return r;
}

@compute @workgroup_size(64)
fn table(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.keys {
        return;
    }
    let slot = SLOT * encodings[9u * at];
    let x = negate(fe_point(POINT * at));
    let y = fe_point(POINT * at + 20u);
    let first = prepare(Point(x, y, ONE, mul(x, y)));
    var multiple = IDENTITY;
    for (var n = 0u; n < 16u; n++) {
        let row = prepare(multiple);
        for (var i = 0u; i < 20u; i++) {
            tables[slot + ROW * n + i] = row.minus[i];
            tables[slot + ROW * n + 20u + i] = row.plus[i];
            tables[slot + ROW * n + 40u + i] = row.z2[i];
            tables[slot + ROW * n + 60u + i] = row.t2d[i];
        }
        multiple = add_row(multiple, first);
    }
    tables[slot + 16u * ROW] = points[POINT * at + 40u];
}
