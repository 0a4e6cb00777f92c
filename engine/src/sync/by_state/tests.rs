use super::*;
use crate::replica::chunk_frame;

const NETWORK: Digest = Digest([5; 32]);
const NEEDED: Height = Height(7);
const PEERS: [ValidatorIndex; 3] = [ValidatorIndex(1), ValidatorIndex(2), ValidatorIndex(3)];
const A: ValidatorIndex = PEERS[0];
const B: ValidatorIndex = PEERS[1];
const C: ValidatorIndex = PEERS[2];

/// What all honest ones have at a height, in so many chunks.
fn state(height: u64, chunks: u32) -> (ChunkList, Vec<Bytes>) {
    let bytes: Vec<Bytes> = (0..chunks).map(|chunk| vec![height as u8 ^ chunk as u8; 9].into()).collect();
    let digest = |(number, bytes): (u32, &Bytes)| {
        let frame = chunk_frame(number, bytes);
        Digest(frame[frame.len() - 32..].try_into().unwrap())
    };
    (ChunkList { height: Height(height), digests: (0..).zip(&bytes).map(digest).collect() }, bytes)
}

fn offer(height: u64, chunks: u32) -> StateOffer {
    state(height, chunks).0.offer(&NETWORK)
}

/// Evidence that every peer has.
const EVIDENCE: Bytes = Bytes::from_static(b"final");

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Run {
    sync: StateSync,
    now: Duration,
    asked: Vec<(ValidatorIndex, PeerMessage)>,
    work: Vec<StateWork>,
}

impl Run {
    /// One of four, connected to three, who has asked them all.
    fn new() -> Self {
        let mut sync = StateSync::new(NETWORK, 1);
        PEERS.into_iter().for_each(|peer| sync.connected(peer));
        let mut run = Self { sync, now: ms(1_000), asked: Vec::new(), work: Vec::new() };
        run.poll(0);
        assert_eq!(run.asked, PEERS.map(|peer| (peer, PeerMessage::FetchStates)));
        run.asked.clear();
        run
    }

    /// All three have offered this, and the list is here.
    fn fetching(height: u64, chunks: u32) -> Self {
        let mut run = Self::new();
        PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(height, chunks)]));
        run.poll(0);
        let peer = run.list_asked();
        run.sync.chunk_list(peer, (state(height, chunks).0, EVIDENCE), |_| true, run.now).unwrap();
        run
    }

    fn poll(&mut self, after_ms: u64) {
        self.now += ms(after_ms);
        let (asked, work) = self.sync.poll(Some(NEEDED), self.now);
        self.asked.extend(asked);
        self.work.extend(work);
    }

    fn list_asked(&mut self) -> ValidatorIndex {
        let asked = std::mem::take(&mut self.asked);
        let [(peer, PeerMessage::FetchChunkList { .. })] = asked[..] else { panic!("{asked:?}") };
        peer
    }

    /// Polls, and takes the chunks that are asked for.
    fn chunks_asked(&mut self, after_ms: u64) -> Vec<(ValidatorIndex, u32)> {
        self.poll(after_ms);
        let number = |(peer, message)| match message {
            PeerMessage::FetchChunk { number, .. } => (peer, number),
            other => panic!("{other:?}"),
        };
        std::mem::take(&mut self.asked).into_iter().map(number).collect()
    }

    fn arrives(
        &mut self,
        from: ValidatorIndex,
        height: u64,
        number: u32,
        bytes: Bytes,
    ) -> Result<(), FalseState> {
        let work = self.sync.chunk(from, (Height(height), number), bytes, self.now)?;
        if let Some(work) = work {
            let StateWork::Write { height, number, .. } = &work else { panic!("{work:?}") };
            let done = self.sync.stored(*height, *number);
            self.work.push(work);
            self.work.extend(done);
        }
        Ok(())
    }

    fn written(&self) -> Vec<u32> {
        let number = |work: &StateWork| match work {
            StateWork::Write { number, .. } => Some(*number),
            _ => None,
        };
        let mut numbers: Vec<u32> = self.work.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn is_complete(&self) -> bool {
        matches!(self.work.last(), Some(StateWork::Complete { .. }))
    }
}

#[test]
fn a_state_comes_from_several_peers_at_once_and_each_chunk_once() {
    let mut run = Run::fetching(20, 10);
    assert_eq!(run.work, [StateWork::Begin(offer(20, 10))]);
    let (_, bytes) = state(20, 10);
    let mut by_peer: BTreeMap<ValidatorIndex, usize> = BTreeMap::new();
    for _ in 0..40 {
        for (peer, number) in run.chunks_asked(50) {
            *by_peer.entry(peer).or_default() += 1;
            run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
            // Said twice, it counts once.
            run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
        }
    }
    assert_eq!(run.written(), (0..10).collect::<Vec<_>>());
    let complete = StateWork::Complete { offer: offer(20, 10), evidence: EVIDENCE };
    assert_eq!(run.work.last(), Some(&complete));
    assert_eq!(by_peer.len(), 3, "{by_peer:?}");
    assert_eq!(run.sync.progress(), Some((Height(20), 10, 10)));
}

#[test]
fn what_f_or_fewer_name_is_not_fetched_and_the_highest_of_the_others_is() {
    let mut run = Run::new();
    let lie = StateOffer { digest: Digest([9; 32]), ..offer(30, 4) };
    // Said by one many times, it is said by one.
    run.sync.offers(A, vec![lie; 16]);
    run.sync.offers(B, vec![offer(20, 4), offer(24, 4), offer(6, 1)]);
    run.poll(2_000);
    assert_eq!((run.work.len(), run.asked.len()), (0, 0), "no state is named by two");
    run.sync.offers(C, vec![offer(6, 1), offer(24, 4), offer(20, 4)]);
    run.poll(0);
    assert_eq!(run.work, [StateWork::Begin(offer(24, 4))], "6 is below what is needed");
}

#[test]
fn others_are_waited_for_a_while_because_they_may_have_a_newer_one() {
    let mut run = Run::new();
    run.sync.offers(A, vec![offer(20, 4)]);
    run.sync.offers(B, vec![offer(20, 4), offer(24, 4)]);
    run.poll(10);
    assert_eq!(run.work, []);
    run.poll(1_000);
    assert_eq!(run.work, [StateWork::Begin(offer(20, 4))]);
    // A digest with too many chunks, or with none, cannot be fetched.
    let mut run = Run::new();
    for chunks in [0, u32::MAX] {
        let none = StateOffer { chunks, ..offer(20, 4) };
        PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![none]));
        run.poll(2_000);
        assert_eq!(run.work, []);
    }
}

/// What a liar says of epochs that are not known here is seen only when the state is whole.
#[test]
fn who_sends_false_evidence_is_left_and_another_one_is_asked_for_it_alone() {
    let mut run = Run::new();
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 2)]));
    run.poll(0);
    let liar = run.list_asked();
    assert_eq!(run.sync.chunk_list(liar, (state(20, 2).0, EVIDENCE), |_| true, run.now), Ok(None));
    let (_, bytes) = state(20, 2);
    for _ in 0..40 {
        for (peer, number) in run.chunks_asked(50) {
            run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
        }
    }
    assert!(run.is_complete());
    assert_eq!(run.sync.evidence_refused(Height(21), run.now), None, "of another state");
    assert_eq!(run.sync.evidence_refused(Height(20), run.now), Some(liar));
    assert_eq!(run.sync.evidence_refused(Height(20), run.now), None, "it was refused before");
    run.asked.clear();
    run.poll(50);
    let second = run.list_asked();
    assert_ne!(second, liar);
    let other = Bytes::from_static(b"other");
    let complete = StateWork::Complete { offer: offer(20, 2), evidence: other.clone() };
    let done = run.sync.chunk_list(second, (state(20, 2).0, other), |_| true, run.now);
    assert_eq!(done, Ok(Some(complete)), "no chunk is fetched again");
}

#[test]
fn a_peer_that_sends_a_false_list_or_chunk_is_left_and_another_is_asked() {
    let mut run = Run::new();
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 6)]));
    run.poll(0);
    let liar = run.list_asked();
    let other = ChunkList { height: Height(20), ..state(21, 6).0 };
    assert_eq!(
        run.sync.chunk_list(liar, (other, EVIDENCE), |_| true, run.now),
        Err(FalseState::List(Height(20)))
    );
    run.poll(0);
    let second = run.list_asked();
    assert_ne!(second, liar);
    let list = state(20, 6).0;
    let none = run.sync.chunk_list(second, (list.clone(), EVIDENCE), |_| false, run.now);
    assert_eq!(none, Err(FalseState::Evidence(Height(20))));
    run.poll(0);
    let third = run.list_asked();
    assert!(third != liar && third != second);
    // One that was not asked is not heard, right or wrong.
    run.sync.chunk_list(liar, (list.clone(), EVIDENCE), |_| unreachable!(), run.now).unwrap();
    run.sync.chunk_list(third, (list, EVIDENCE), |_| true, run.now).unwrap();
    assert!(run.chunks_asked(50).iter().all(|(peer, _)| *peer == third));

    let mut run = Run::fetching(20, 6);
    let (_, bytes) = state(20, 6);
    let asked = run.chunks_asked(50);
    let (liar, number) = asked[0];
    let wrong = run.arrives(liar, 20, number, Bytes::from_static(b"wrong"));
    assert_eq!(wrong, Err(FalseState::Chunk(number)));
    let mut again = Vec::new();
    for _ in 0..20 {
        for (peer, number) in run.chunks_asked(50) {
            assert_ne!(peer, liar);
            again.push(number);
            run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
        }
        for (peer, number) in &asked[1..] {
            run.arrives(*peer, 20, *number, bytes[*number as usize].clone()).unwrap();
        }
    }
    assert!(again.contains(&number) && run.is_complete(), "{again:?}");
}

#[test]
fn what_is_lost_is_asked_of_another_one_and_a_late_answer_still_counts() {
    let mut run = Run::fetching(20, 2);
    let (_, bytes) = state(20, 2);
    let first = run.chunks_asked(50);
    assert_eq!(first.len(), 2);
    assert_eq!(run.chunks_asked(4_000), [], "there is time");
    let again = run.chunks_asked(1_100);
    assert!(
        !again.is_empty() && again.iter().all(|(peer, _)| first.iter().all(|(before, _)| before != peer))
    );
    for (peer, number) in first {
        run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
    }
    assert!(run.is_complete());
    for (peer, number) in again {
        run.arrives(peer, 20, number, bytes[number as usize].clone()).unwrap();
    }
    assert_eq!(run.written(), [0, 1], "what comes afterwards is not written again");
}

#[test]
fn where_nobody_has_it_any_more_another_one_is_looked_for() {
    let mut run = Run::fetching(20, 6);
    for (peer, number) in run.chunks_asked(50) {
        run.arrives(peer, 20, number, Bytes::new()).unwrap();
    }
    for _ in 0..200 {
        for (peer, number) in run.chunks_asked(50) {
            run.arrives(peer, 20, number, Bytes::new()).unwrap();
        }
        if run.sync.progress().is_none() {
            break;
        }
    }
    assert_eq!(run.sync.progress(), None);
    run.poll(5_000);
    assert_eq!(run.asked.len(), 3, "all are asked again");
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(28, 6)]));
    run.poll(0);
    assert_eq!(run.work.last(), Some(&StateWork::Begin(offer(28, 6))));
}

#[test]
fn a_fetch_ends_where_it_does_not_go_on_or_is_not_needed_and_a_refused_one_is_left_alone() {
    let mut run = Run::fetching(20, 6);
    run.poll(31_000);
    assert_eq!(run.sync.progress(), None);
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 6)]));
    run.poll(0);
    assert_eq!(run.work.last(), Some(&StateWork::Begin(offer(20, 6))), "anew, from the start");
    assert_eq!(run.work.len(), 2);
    assert_eq!(run.sync.progress(), Some((Height(20), 0, 6)));
    assert_eq!(run.sync.poll(None, run.now).1, None);
    assert_eq!(run.sync.progress(), None, "the blocks can be had again");

    let mut run = Run::fetching(20, 6);
    run.sync.refused(Height(19), run.now);
    assert!(run.sync.progress().is_some(), "that was another one");
    run.sync.refused(Height(20), run.now);
    assert_eq!(run.sync.progress(), None);
    run.poll(5_000);
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 6)]));
    run.poll(0);
    assert_eq!(run.sync.progress(), None);
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 6), offer(24, 6)]));
    run.poll(0);
    assert_eq!(run.sync.progress(), Some((Height(24), 0, 6)));
}

#[test]
fn peers_that_come_and_go_are_asked_again() {
    let mut run = Run::fetching(20, 6);
    let asked = run.chunks_asked(50);
    let gone = asked[0].0;
    run.sync.disconnected(gone);
    let others = run.chunks_asked(50);
    assert!(others.iter().all(|(peer, _)| *peer != gone));
    PEERS.into_iter().for_each(|peer| run.sync.disconnected(peer));
    assert_eq!(run.chunks_asked(50), []);
    assert_eq!(run.sync.progress(), Some((Height(20), 0, 6)), "they may come back");
    run.sync.connected(gone);
    run.poll(50);
    let asked = std::mem::take(&mut run.asked);
    assert_eq!(asked[0], (gone, PeerMessage::FetchStates), "it may have others by now");
    assert!(matches!(asked[1], (peer, PeerMessage::FetchChunk { .. }) if peer == gone), "{asked:?}");
}

/// Two liars, of whom one says nothing and one comes and goes, keep nobody waiting.
#[test]
fn connections_that_come_and_go_do_not_begin_the_waiting_anew() {
    let mut run = Run::new();
    run.sync.offers(A, vec![offer(20, 4)]);
    run.sync.offers(B, vec![offer(20, 4)]);
    for _ in 0..3 {
        run.sync.disconnected(C);
        run.sync.connected(C);
        run.poll(400);
    }
    assert_eq!(run.work, [StateWork::Begin(offer(20, 4))]);
}

#[test]
fn what_nobody_asked_for_is_taken_only_as_fast_as_the_disk_takes_it() {
    let mut run = Run::fetching(20, 40);
    let (_, bytes) = state(20, 40);
    let (mut handed_on, now) = (0, run.now);
    for number in 0..40 {
        let chunk = run.sync.chunk(A, (Height(20), number), bytes[number as usize].clone(), now).unwrap();
        handed_on += usize::from(chunk.is_some());
    }
    assert_eq!(handed_on, CHUNKS_ON_THE_WAY);
}

#[test]
fn a_list_without_a_finalization_is_no_offence_and_of_no_use() {
    let mut run = Run::new();
    PEERS.into_iter().for_each(|peer| run.sync.offers(peer, vec![offer(20, 6)]));
    run.poll(0);
    let first = run.list_asked();
    run.sync.chunk_list(first, (state(20, 6).0, Bytes::new()), |_| unreachable!(), run.now).unwrap();
    run.poll(0);
    assert_ne!(run.list_asked(), first);
}
