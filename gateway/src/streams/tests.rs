use kernels::sha2::sha256;

use super::*;
use crate::Doors;
use crate::gateway::tests::alone;
use crate::operations::Caller;
use crate::tokens::TokenFile;

/// A stream on which nothing happens.
struct Silent;

impl Course for Silent {
    async fn step(&mut self, _: &Gateway) -> Result<Step, Failure> {
        std::future::pending().await
    }
}

#[test]
fn a_stream_ends_with_the_token_that_opened_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.toml");
    let token =
        TokenFile::change(&file, |tokens| tokens.add(&file, "till", &[Scope::Read], 1 << 40)).unwrap();
    crate::testing::run_paused(async {
        let doors = Doors {
            listen: vec!["127.0.0.1:7480".parse().unwrap()],
            tokens: Some(file.clone()),
            ..Doors::default()
        };
        let gateway = alone(doors);
        let scopes = [Scope::Read].into_iter().collect();
        let visitor = Visitor {
            caller: Caller(7),
            scopes,
            token: Some(sha256(token.as_bytes())),
            certificate: None,
            session: None,
        };
        let mut stream = Allowed { course: Silent, visitor, asked: Instant::now() };
        let goes_on = timeout(10 * ALLOWED_EVERY, stream.step(&gateway)).await;
        assert!(goes_on.is_err(), "its token is good");
        TokenFile::change(&file, |tokens| tokens.revoke(&file, "till")).unwrap();
        let ended = timeout(3 * ALLOWED_EVERY, stream.step(&gateway)).await.expect("it ends");
        assert!(ended.is_err_and(|failure| failure.kind == failure::UNAUTHORIZED));
    });
}

#[test]
fn a_caller_has_only_so_many_streams_and_takes_nobody_elses() {
    crate::testing::run(async {
        let gateway = Arc::new(alone(Doors { streams_of_caller: 3, ..Doors::default() }));
        let mut open: Vec<_> = (0..3).map(|_| Open::of(&gateway, Caller(7)).unwrap()).collect();
        let refused = Open::of(&gateway, Caller(7)).err().expect("a fourth one is refused");
        assert_eq!(
            (refused.kind, refused.kind.status, refused.retry_after),
            (failure::TOO_MANY, 429, Some(10))
        );
        assert!(refused.message.contains("3 streams"), "{}", refused.message);
        assert_eq!((gateway.meters.streams.get(), gateway.meters.streams_refused.get()), (3, 1));
        let other = Open::of(&gateway, Caller(8)).expect("another caller has its own");
        open.pop();
        open.push(Open::of(&gateway, Caller(7)).expect("one has ended"));
        drop((open, other));
        assert_eq!(gateway.meters.streams.get(), 0);
        assert!(gateway.streams.of_callers.lock().unwrap().is_empty(), "nobody is remembered");
    });
}
