use super::*;

fn filled(frames: &[&'static [u8]], queue_bytes: usize) -> (Outbox, Drain) {
    let (outbox, drain) = Outbox::new(queue_bytes, 1 << 20);
    for frame in frames {
        outbox.push(Bytes::from_static(frame)).unwrap();
    }
    (outbox, drain)
}

fn packed(drain: &mut Drain) -> Vec<Bytes> {
    let (mut taken, mut chunks) = (Vec::new(), Vec::new());
    while let Ok(queued) = drain.0.try_recv() {
        taken.push(queued);
    }
    pack(&mut taken, &mut chunks);
    chunks
}

#[test]
fn frames_are_laid_out_one_after_the_other() {
    static LARGE: [u8; COPY_MAX + 1] = [7; COPY_MAX + 1];
    let frames: [&[u8]; 5] = [b"one", b"", &LARGE, b"two", b"three"];
    let (_outbox, mut drain) = filled(&frames, 1 << 20);
    let chunks = packed(&mut drain);
    assert_eq!(chunks.len(), 3, "small frames share a piece with the next length");
    let mut expected = Vec::new();
    for frame in frames {
        expected.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        expected.extend_from_slice(frame);
    }
    assert_eq!(chunks.concat(), expected);
}

#[test]
fn the_queue_is_full_until_the_written_bytes_are_dropped() {
    let one = cost(1000);
    let (outbox, mut drain) = Outbox::new(3 * one, 1 << 20);
    let frame = Bytes::from(vec![1; 1000]);
    for _ in 0..3 {
        outbox.push(frame.clone()).unwrap();
    }
    assert_eq!(outbox.push(frame.clone()), Err(SendError::Full));
    let chunks = packed(&mut drain);
    assert_eq!(outbox.room().used(), 3 * one, "written is not yet acknowledged");
    assert_eq!(outbox.push(frame.clone()), Err(SendError::Full));
    drop(chunks);
    assert_eq!(outbox.room().used(), 0);
    outbox.push(frame).unwrap();
}

#[tokio::test]
async fn room_is_awaited_until_half_of_the_queue_is_free() {
    let one = cost(1000);
    let (outbox, mut drain) = Outbox::new(4 * one, 1 << 20);
    let frame = Bytes::from(vec![1; 1000]);
    for _ in 0..2 {
        outbox.push(frame.clone()).unwrap();
    }
    outbox.room().half_free().await;
    for _ in 0..2 {
        outbox.push(frame.clone()).unwrap();
    }
    let room = outbox.room().clone();
    let waiting = tokio::spawn(async move { room.half_free().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "the queue is full");
    drop(packed(&mut drain));
    waiting.await.unwrap();
}

#[test]
fn empty_frames_are_not_free() {
    let (outbox, _drain) = Outbox::new(10 * cost(0), 1 << 20);
    let taken = (0..100).take_while(|_| outbox.push(Bytes::new()).is_ok()).count();
    assert_eq!(taken, 10);
}

#[test]
fn refuses_what_is_too_long_or_has_nowhere_to_go() {
    let (outbox, drain) = Outbox::new(1 << 20, 10);
    let long = outbox.push(Bytes::from_static(b"eleven byte"));
    assert_eq!(long, Err(SendError::TooLarge { length: 11, max: 10 }));
    drop(drain);
    assert_eq!(outbox.push(Bytes::new()), Err(SendError::NotConnected));
    assert_eq!(outbox.room().used(), 0);
}
