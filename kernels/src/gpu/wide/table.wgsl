// For each decoded key A the multiples 0, −A … −8A, in three elements each, into its slot.

@compute @workgroup_size(64)
fn table(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x;
    if at >= params.keys {
        return;
    }
    let slot = SLOT * encodings[9u * at];
    let first = Point(negate(fe_point(POINT * at)), fe_point(POINT * at + 10u), ONE);
    var multiple = IDENTITY;
    for (var n = 0u; n <= 8u; n++) {
        for (var i = 0u; i < 10u; i++) {
            tables[slot + ROW * n + i] = multiple.x[i];
            tables[slot + ROW * n + 10u + i] = multiple.y[i];
            tables[slot + ROW * n + 20u + i] = multiple.z[i];
        }
        multiple = add_points(multiple, first);
    }
    tables[slot + SLOT - 1u] = points[POINT * at + POINT - 1u];
}
