// Points of −x² + y² = 1 + dx²y² as x = X/Z, y = Y/Z, by the formulas of Bernstein, Birkner, Joye, Lange and Peters
// (Twisted Edwards Curves, 2008). They are complete on this curve, so Z is never zero. Coordinates are tight.

struct Point {
    x: Fe,
    y: Fe,
    z: Fe,
}

const IDENTITY = Point(ZERO, ONE, ONE);

// 3M + 4S. All coordinates have the opposite of their usual sign.
fn double(p: Point) -> Point {
    let b = sqr(add(p.x, p.y));
    let c = sqr(p.x);
    let d = sqr(p.y);
    let h = sqr(p.z);
    let sum = add(c, d);
    let f = sub(d, c);                              // 3-loose
    let j = carry(add(add(h, h), sub(c, d)));       // 2H − F, 5-loose before the carry
    let xy = sub(sub(b, c), d);                     // 5-loose
    return Point(mul(xy, j), mul(f, sum), mul(f, j));
}

// 11M + 1S, one of them by d.
fn add_points(p: Point, q: Point) -> Point {
    let a = mul(p.z, q.z);
    let b = sqr(a);
    let c = mul(p.x, q.x);
    let d = mul(p.y, q.y);
    let e = mul(mul(c, d), fe_constant(D));
    let f = sub(b, e);                              // 3-loose
    let g = add(b, e);                              // 2-loose
    let cross = mul(add(p.x, p.y), add(q.x, q.y));
    let xy = sub(sub(cross, c), d);                 // 5-loose
    return Point(mul(xy, mul(a, f)), mul(mul(a, g), add(c, d)), mul(f, g));
}
