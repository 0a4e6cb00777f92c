use super::*;

#[test]
fn a_chart_has_classes_and_no_colours_and_says_what_it_shows() {
    let points = (0..40).map(|at| (f64::from(at), f64::from(at % 7) * 1e3)).collect();
    let drawn = lines(
        "rates <&>",
        Axis::between(Unit::Seconds, 0.0, 40.0),
        Axis::up_to(Unit::Count, 6e3),
        &[Line { class: 2, points }, Line { class: 3, points: vec![(1.0, 5.0)] }],
    );
    let text = drawn.into_string();
    assert_eq!(text.matches("<svg").count(), 2, "wide and narrow");
    assert_eq!(text.matches("aria-label=\"rates &lt;&amp;&gt;\"").count(), 2);
    for class in ["f0", "s1", "s2", "f3"] {
        assert!(text.contains(&format!("class=\"{class}\"")), "{class}: {text}");
    }
    assert!(!text.contains('#') && !text.contains("http"), "{text}");
}

#[test]
fn bars_stand_in_the_order_in_which_they_came() {
    let of = [("first".to_owned(), vec![(2, 3.0), (3, 0.0), (4, 1.0)]), ("second".to_owned(), vec![])];
    let text = bars("bars", Unit::Cpu, &of).into_string();
    let height = |name: &str| {
        let at = text.find(name).unwrap();
        let start = text[..at].rfind(" y=\"").unwrap() + 4;
        text[start..].split('"').next().unwrap().parse::<u32>().unwrap()
    };
    assert!(height("first") < height("second"), "{text}");
    assert!(text.contains("class=\"f2\"") && text.contains("class=\"f4\"") && !text.contains("class=\"f3\""));
}

#[test]
fn axes_are_marked_at_round_values_and_never_endlessly() {
    assert_eq!(linear_ticks(5.0, 8, 1.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(linear_ticks(1_000.0, 5, 1.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]);
    assert_eq!(log_ticks(3.0, 4.0, 8).len(), 4);
    assert_eq!(log_ticks(0.0, 8.0, 8).len(), 9);
    for unit in [Unit::Count, Unit::Seconds, Unit::Duration, Unit::Cpu, Unit::LogDuration, Unit::Nines] {
        for most in [0.0, 1e-9, 1.0, 1e9, f64::INFINITY, f64::NAN] {
            let axis = Axis::up_to(unit, most);
            let ticks = unit.ticks(axis.range, 8);
            assert!(ticks.len() < 32, "{unit:?} {most}: {ticks:?}");
        }
    }
    let labels = [
        (Unit::Nines, 0.0, "0 %"),
        (Unit::Nines, 3.0, "99.9 %"),
        (Unit::LogDuration, 4.0, "10 ms"),
        (Unit::Duration, 2.5e6, "2.5 s"),
        (Unit::Count, 20_000.0, "20 k"),
    ];
    for (unit, value, says) in labels {
        assert_eq!(unit.label(value), says);
    }
}
