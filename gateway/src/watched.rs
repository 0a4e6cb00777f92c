//! A connection that is watched: one on which nothing moves is ended, and so is one that takes nothing of what is
//! written.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection on which nothing is read or written for this time is ended.
const IDLE: Duration = Duration::from_secs(60);
/// A connection that takes nothing of what is written for this time is ended.
const STALL: Duration = Duration::from_secs(20);

/// A stream of bytes with its two deadlines.
pub struct Watched<S> {
    stream: S,
    idle: Pin<Box<Sleep>>,
    stall: Pin<Box<Sleep>>,
    stalls: bool,
    ended: Counter,
}

impl<S> Watched<S> {
    /// Watches a stream; those that are ended are counted.
    pub fn new(stream: S, ended: Counter) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE)), stall: Box::pin(sleep(STALL)), stalls: false, ended }
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE);
        self.stalls = false;
    }

    /// What a write that moves nothing comes to.
    fn stuck<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !self.stalls {
            self.stalls = true;
            self.stall.as_mut().reset(Instant::now() + STALL);
        }
        match self.stall.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(self.end("nothing of what was written is taken"))),
        }
    }

    fn end(&self, why: &str) -> io::Error {
        self.ended.inc();
        io::Error::new(io::ErrorKind::TimedOut, why)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => match this.idle.as_mut().poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Err(this.end("nothing moves"))),
            },
            ready => {
                this.moved();
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Pending => this.stuck(context),
            ready => {
                this.moved();
                ready
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Pending => this.stuck(context),
            ready => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_shutdown(context) {
            Poll::Pending => this.stuck(context),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::testing::run_paused;

    #[test]
    fn who_says_nothing_is_ended_and_who_says_little_is_not() {
        run_paused(async {
            let (mut other, mine) = duplex(64);
            let ended = Counter::default();
            let mut mine = Watched::new(mine, ended.clone());
            for _ in 0..10 {
                sleep(IDLE / 2).await;
                other.write_all(b"x").await.unwrap();
                assert_eq!(mine.read_u8().await.unwrap(), b'x');
            }
            let error = mine.read_u8().await.unwrap_err();
            assert_eq!((error.kind(), ended.get()), (io::ErrorKind::TimedOut, 1));
        });
    }

    #[test]
    fn who_never_reads_is_ended() {
        run_paused(async {
            let (_other, mine) = duplex(64);
            let ended = Counter::default();
            let mut mine = Watched::new(mine, ended.clone());
            let begun = Instant::now();
            let error = mine.write_all(&[7; 1_000]).await.unwrap_err();
            assert_eq!((error.kind(), ended.get()), (io::ErrorKind::TimedOut, 1));
            assert!((STALL..STALL * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        });
    }
}
