use super::*;
use engine::types::{Epoch, Height, Verdict};
use engine::wire::{Role, version_for};

const NETWORK: Digest = Digest([5; 32]);
const AS_OF: AsOf = AsOf { height: Height(7), behind: Some(2) };
const STANDING: Standing = Standing { epoch: Epoch(2), role: Role::Follower { since_epoch: Epoch(1) } };

fn welcome(version: u32, network: Digest) -> ServerFrame {
    ServerFrame::Welcome { version, network, validator: ValidatorIndex(3), as_of: AS_OF, standing: STANDING }
}

fn first(frame: ServerFrame) -> Result<Welcome, ClientError> {
    read_welcome(&frame.encode(), &NETWORK)
}

#[test]
fn only_a_welcome_of_this_network_and_version_is_taken() {
    let taken = first(welcome(PROTOCOL_VERSION, NETWORK)).unwrap();
    let version = PROTOCOL_VERSION;
    assert_eq!(taken, Welcome { validator: ValidatorIndex(3), as_of: AS_OF, standing: STANDING, version });
    let before = Welcome { standing: Standing::UNSAID, version: PROTOCOL_VERSION_FIRST, ..taken };
    assert!(before.standing.is_member(), "it is sent transactions");
    assert_eq!(first(welcome(PROTOCOL_VERSION_FIRST, NETWORK)).unwrap(), before, "one of the last release");
    // A client of the next release offers more, and both speak what this one has.
    assert_eq!(version_for(PROTOCOL_VERSION + 1), Some(PROTOCOL_VERSION));
    assert_eq!(version_for(PROTOCOL_VERSION_FIRST), Some(PROTOCOL_VERSION_FIRST));
    assert_eq!(version_for(PROTOCOL_VERSION_FIRST - 1), None);
    for unknown in [PROTOCOL_VERSION_FIRST - 1, PROTOCOL_VERSION + 1] {
        let error = first(welcome(unknown, NETWORK)).unwrap_err();
        assert!(matches!(error, ClientError::Version(version) if version == unknown), "{error}");
        let says = format!("speaks versions {PROTOCOL_VERSION_FIRST} to {PROTOCOL_VERSION}");
        assert!(error.to_string().contains(&says), "{error}");
    }
    let other = Digest([6; 32]);
    let error = first(welcome(PROTOCOL_VERSION, other)).unwrap_err();
    assert!(matches!(error, ClientError::Network { wanted: NETWORK, found } if found == other), "{error}");
    let error = first(ServerFrame::Rejected { reason: "full".into() }).unwrap_err();
    assert!(matches!(error, ClientError::Rejected(reason) if reason == "full"));
    let early = ServerFrame::Answer { id: 1, as_of: AS_OF, body: Bytes::new() };
    for frame in [ServerFrame::Notices(Vec::new()), ServerFrame::Accepted(Vec::new()), early] {
        assert!(matches!(first(frame), Err(ClientError::Unexpected(_))));
    }
    assert!(matches!(read_welcome(&Bytes::from_static(&[9]), &NETWORK), Err(ClientError::Frame(_))));
}

#[test]
fn after_the_welcome_come_notices_and_answers_or_the_end() {
    let notices = vec![Notice { tag: 4, verdict: Verdict::Committed }];
    let event = read_event(&ServerFrame::Notices(notices.clone()).encode()).unwrap();
    assert_eq!(event, Event::Notices(notices));
    let event = read_event(&ServerFrame::Accepted(vec![4, 7]).encode()).unwrap();
    assert_eq!(event, Event::Accepted(vec![4, 7]));
    let body = Bytes::from_static(b"{}");
    let event =
        read_event(&ServerFrame::Answer { id: 9, as_of: AS_OF, body: body.clone() }.encode()).unwrap();
    assert_eq!(event, Event::Answer(RawAnswer { id: 9, as_of: AS_OF, body }));
    let error = read_event(&ServerFrame::Rejected { reason: "too slow".into() }.encode()).unwrap_err();
    assert!(matches!(error, ClientError::Rejected(reason) if reason == "too slow"));
    let again = read_event(&welcome(PROTOCOL_VERSION, NETWORK).encode());
    assert!(matches!(again, Err(ClientError::Unexpected(_))));
}
