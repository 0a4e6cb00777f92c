// The multiples 0 … 8 of each point that was decoded, prepared for addition: of new keys A and 2¹²⁸A, which stay, and
// of every R. Where an encoding is no point all words are zero: a sum that adds such a row is (0, 0, 0, 0) from there on.

fn store(at: u32, element: Fe, keep: u32) {
    var f = element;
    for (var i = 0u; i < 10u; i++) {
        tables[at + i] = (f[2u * i] | (f[2u * i + 1u] << 16u)) * keep;
    }
}

fn store_row(at: u32, row: Row, keep: u32) {
    store(at, row.minus, keep);
    store(at + 10u, row.plus, keep);
    store(at + 20u, row.z2, keep);
    store(at + 30u, row.t2d, keep);
}

@compute @workgroup_size(64)
fn rows(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.encodings {
        return;
    }
    let is_key = at < params.keys;
    var place = rows_of(at - params.keys);
    if is_key {
        place = 2u * ROWS * encodings[9u * at];
    }
    let keep = points[POINT * at + 40u];
    let x = fe_point(POINT * at);
    let y = fe_point(POINT * at + 20u);
    var p = Point(x, y, ONE, mul(x, y));
    for (var part = 0u; part < select(1u, 2u, is_key); part++) {
        for (var i = 0u; i < 128u * part; i++) {
            p = double(p);
        }
        let first = prepare(p);
        store_row(place, Row(ONE, ONE, add(ONE, ONE), ZERO), keep);
        store_row(place + ROW, first, keep);
        var multiple = p;
        for (var n = 2u; n <= 8u; n++) {
            multiple = add_row(multiple, first);
            store_row(place + ROW * n, prepare(multiple), keep);
        }
        place += ROWS;
    }
}
