use kernels::sha2::sha256;

use super::*;
use crate::gateway::tests::alone;
use crate::operations::Caller;
use crate::tokens::TokenFile;
use crate::{Doors, Scopes};

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
    let mut tokens = TokenFile::load(&file).unwrap();
    let token = tokens.add(&file, "till", &[Scope::Read], 1 << 40).unwrap();
    tokens.save(&file).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let doors = Doors {
            listen: vec!["127.0.0.1:7480".parse().unwrap()],
            anonymous: Scopes::default(),
            tokens: Some(file.clone()),
            tls: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            webhooks: Vec::new(),
        };
        let gateway = alone(doors);
        let scopes = [Scope::Read].into_iter().collect();
        let visitor =
            Visitor { caller: Caller(7), scopes, token: Some(sha256(token.as_bytes())), session: None };
        let mut stream = Allowed { course: Silent, visitor, asked: Instant::now() };
        let goes_on = timeout(10 * ALLOWED_EVERY, stream.step(&gateway)).await;
        assert!(goes_on.is_err(), "its token is good");
        tokens.revoke(&file, "till").unwrap();
        tokens.save(&file).unwrap();
        let ended = timeout(3 * ALLOWED_EVERY, stream.step(&gateway)).await.expect("it ends");
        assert!(ended.is_err_and(|failure| failure.kind == failure::UNAUTHORIZED));
    });
}
