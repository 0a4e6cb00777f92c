use super::*;

#[test]
fn every_good_encoding_is_accepted() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            assert_eq!(check(target, &seed), Ok("accepted".into()), "{}", target.name);
        }
    }
}

#[test]
fn a_broken_law_would_be_found() {
    let greedy =
        Target { name: "none", decode: |_| Ok(format!("{:?}", vec![0_u8; 1 << 20].len())), seeds: Vec::new };
    let lax = Target { name: "none", decode: |_| Err("it is lax".into()), seeds: Vec::new };
    let panics = Target { name: "none", decode: |bytes| Ok(bytes[0].to_string()), seeds: Vec::new };
    for (target, words) in [(greedy, "allocated"), (lax, "lax"), (panics, "panics")] {
        let fault = check(&target, &[]).unwrap_err();
        assert!(fault.contains(words), "{fault}");
    }
    fs::remove_dir_all(directory(&TARGETS[0]).with_file_name("none")).unwrap();
}

#[test]
fn the_same_seed_spoils_in_the_same_way() {
    let inputs = (TARGETS[0].seeds)();
    let drawn = |seed| {
        let mut random = Random::new(seed);
        (0..50).map(|_| random.spoiled(&inputs)).collect::<Vec<_>>()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn the_command_line_is_read() {
    let parse = |words: &[&str]| Arguments::parse(words.iter().map(ToString::to_string));
    let arguments = parse(&["--seconds", "3", "block", "--save", "--seed", "9"]).unwrap();
    assert_eq!((arguments.seconds, arguments.seed, arguments.save), (3, 9, true));
    assert!(arguments.targets.contains("block"));
    for wrong in [&["--seconds"][..], &["--seconds", "x"], &["clock"]] {
        parse(wrong).unwrap_err();
    }
}
