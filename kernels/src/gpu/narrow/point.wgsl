// Points of −x² + y² = 1 + dx²y² as x = X/Z, y = Y/Z, xy = T/Z: the extended coordinates of Hisil, Wong, Carter and
// Dawson (2008), whose addition is complete on this curve. Coordinates are tight.

struct Point {
    x: Fe,
    y: Fe,
    z: Fe,
    t: Fe,
}

// A point prepared for addition, tight.
struct Row {
    minus: Fe,
    plus: Fe,
    z2: Fe,
    t2d: Fe,
}

const IDENTITY = Point(ZERO, ONE, ONE, ZERO);

fn double(p: Point) -> Point {
    let a = sqr(p.x);
    let b = sqr(p.y);
    let zz = sqr(p.z);
    let k = sqr(carry(add(p.x, p.y)));
    // All four with the opposite of their usual sign, which leaves their products.
    let h = carry(add(a, b));
    let e = carry(sub(h, k));
    let g = sub(a, b);                              // loose
    let f = carry(add(add(zz, zz), g));
    return Point(mul(e, f), mul(g, h), mul(g, f), mul(e, h));
}

fn add_row(p: Point, q: Row) -> Point {
    let a = mul(sub(p.y, p.x), q.minus);
    let b = mul(add(p.y, p.x), q.plus);
    let c = mul(p.t, q.t2d);
    let d = mul(p.z, q.z2);
    let e = sub(b, a);                              // loose
    let f = carry(sub(d, c));
    let g = add(d, c);                              // loose
    let h = carry(add(b, a));
    return Point(mul(e, f), mul(g, h), mul(g, f), mul(e, h));
}

fn prepare(p: Point) -> Row {
    return Row(carry(sub(p.y, p.x)), carry(add(p.y, p.x)), carry(add(p.z, p.z)), mul(p.t, fe_constant(D2)));
}
