use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn is_displaced(place: &mut Place) -> bool {
    place.displaced.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

#[test]
fn the_address_that_holds_most_loses_its_oldest() {
    let places = Places::new(4);
    let mut honest = places.take(ip(1), Duration::ZERO).unwrap();
    let mut greedy: Vec<Place> = (0..3).map(|_| places.take(ip(2), Duration::ZERO).unwrap()).collect();
    let _newcomer = places.take(ip(3), SAFE_FOR).unwrap();
    assert!(is_displaced(&mut greedy[0]));
    assert!(![&mut greedy[1], &mut honest].into_iter().any(is_displaced));
    // Its own crowd gives way to its own newcomer, too.
    let _own = places.take(ip(2), SAFE_FOR).unwrap();
    assert!(is_displaced(&mut greedy[1]));
    assert!(!is_displaced(&mut honest));
    assert_eq!(places.used(), 4);
    drop(greedy);
    assert_eq!(places.used(), 3, "what was taken away is not given back again");
}

#[test]
fn a_young_place_is_safe() {
    let places = Places::new(1);
    let mut first = places.take(ip(1), Duration::ZERO).unwrap();
    assert!(places.take(ip(2), SAFE_FOR - Duration::from_nanos(1)).is_none());
    assert!(!is_displaced(&mut first));
    let _second = places.take(ip(2), SAFE_FOR).unwrap();
    assert!(is_displaced(&mut first));
}

#[test]
fn among_equals_the_oldest_goes() {
    let places = Places::new(3);
    let mut held: Vec<Place> =
        (0..3).map(|number| places.take(ip(9 - number), Duration::ZERO).unwrap()).collect();
    let _newcomer = places.take(ip(20), SAFE_FOR).unwrap();
    let gone: Vec<bool> = held.iter_mut().map(is_displaced).collect();
    assert_eq!(gone, [true, false, false]);
}

#[test]
fn one_host_is_one_address() {
    let a: IpAddr = "2001:db8::1".parse().unwrap();
    let b: IpAddr = "2001:db8::ffff:2".parse().unwrap();
    let c: IpAddr = "2001:db8:0:1::1".parse().unwrap();
    assert_eq!(source(a), source(b));
    assert_ne!(source(a), source(c));
    assert_eq!(source("::ffff:10.0.0.1".parse().unwrap()), ip(1));
}
