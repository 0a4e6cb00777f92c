use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn what_an_operator_writes_is_read_and_written_back() {
    for (text, written) in [
        ("127.0.0.1:7000", "127.0.0.1:7000"),
        ("[::1]:7000", "[::1]:7000"),
        ("[2001:DB8:0::7]:1", "[2001:db8::7]:1"),
        ("[::ffff:192.0.2.7]:65535", "192.0.2.7:65535"),
        ("localhost:7000", "localhost:7000"),
        ("node-3.example.org.:7000", "node-3.example.org.:7000"),
        ("validator_2:7000", "validator_2:7000"),
        ("4th.example:7000", "4th.example:7000"),
    ] {
        let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), written);
        assert_eq!(written.parse::<Address>().unwrap(), address);
    }
    let host: Host = "::1".parse().unwrap();
    assert_eq!(host.at(5).to_string(), "[::1]:5");
    assert_eq!("[::1]".parse::<Host>().unwrap(), host);
}

#[test]
fn what_nobody_can_call_is_refused_with_the_reason() {
    for (text, words) in [
        ("0.0.0.0:7000", "only an address to listen on"),
        ("[::]:7000", "only an address to listen on"),
        ("[::ffff:0.0.0.0]:7000", "only an address to listen on"),
        ("224.0.0.1:7000", "multicast"),
        ("[ff02::1]:7000", "multicast"),
        ("255.255.255.255:7000", "broadcast"),
        ("localhost", "has no port"),
        ("localhost:", "has no port"),
        ("localhost:0", "has no port"),
        ("localhost:65536", "has no port"),
        ("localhost:+80", "has no port"),
        ("::1:7000", "has no port"),
        ("", "has no port"),
        (":7000", "is no host"),
        ("[]:7000", "is no host"),
        ("[127.0.0.1]:7000", "is no host"),
        ("[::1:7000", "is no host"),
        ("192.0.2:7000", "is no host"),
        ("192.0.2.256:7000", "is no host"),
        ("a b:7000", "is no host"),
        ("a\n:7000", "is no host"),
        ("-a.example:7000", "is no host"),
        ("a..b:7000", "is no host"),
        ("bücher.example:7000", "xn--"),
        ("http://a.example:7000", "has no port"),
    ] {
        let error = text.parse::<Address>().map(|address| address.to_string()).unwrap_err().to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    }
    let long = format!("{}:1", vec!["a"; 128].join("."));
    assert!(long.parse::<Address>().is_err());
}

fn resolver(names: Names) -> Resolver {
    Resolver::new("somewhere.example:7000".parse().unwrap(), names)
}

#[test]
fn a_name_is_looked_up_at_every_attempt() {
    let answers = Mutex::new(vec![
        Ok(vec![
            "192.0.2.2:7000",
            "192.0.2.3:7000",
            "192.0.2.2:7000",
            "0.0.0.0:7000",
            "[::ffff:192.0.2.4]:7000",
        ]),
        Err(io::Error::other("no such name")),
        Ok(vec!["[2001:db8::1]:7000"]),
        Ok(vec!["0.0.0.0:7000"]),
    ]);
    let names = Names::of(move |name, port| {
        assert_eq!((name, port), ("somewhere.example", 7000));
        let answer = answers.lock().unwrap().remove(0)?;
        Ok(answer.into_iter().map(|text| text.parse().unwrap()).collect())
    });
    let mut resolver = resolver(names);
    let answers = crate::testing::runtime().block_on(async {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(resolver.resolve(LIMIT).await);
        }
        answers
    });
    let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    assert_eq!(answers[0], Ok(parsed(&["192.0.2.2:7000", "192.0.2.3:7000", "192.0.2.4:7000"])));
    assert!(
        answers[1].as_ref().unwrap_err().contains("\"somewhere.example\" cannot be looked up: no such name")
    );
    assert_eq!(answers[2], Ok(parsed(&["[2001:db8::1]:7000"])));
    assert!(answers[3].as_ref().unwrap_err().contains("no address that can be called"));
}

#[test]
fn a_lookup_that_hangs_holds_one_thread_and_nobody_up() {
    let (answer, waiting) = mpsc::channel::<()>();
    let (asked, questions) = mpsc::channel();
    let waiting = Mutex::new(waiting);
    let names = Names::of(move |_, _| {
        asked.send(()).unwrap();
        waiting.lock().unwrap().recv().unwrap();
        Ok(vec!["192.0.2.2:7000".parse().unwrap()])
    });
    let mut resolver = resolver(names);
    let runtime = crate::testing::runtime();
    runtime.block_on(async {
        for _ in 0..3 {
            let error = resolver.resolve(Duration::from_millis(5)).await.unwrap_err();
            assert!(error.contains("no answer within 5ms"), "{error}");
        }
        answer.send(()).unwrap();
        assert_eq!(resolver.resolve(LIMIT).await.unwrap().len(), 1);
    });
    assert_eq!(questions.try_iter().count(), 1, "asked once while no answer had come");
}
