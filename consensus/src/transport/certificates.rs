//! Certificates on their way out: most need not be sent, because everybody can make them.
//!
//! Each validator broadcasts every certificate that it completes. But votes go to everybody, so in the normal course
//! all validators complete the same certificates at about the same time, and n² messages say what is known already.
//! So a notarization or finalization waits for a while ([`crate::Timing::certificate_delay`]) and goes out only if no
//! later finalization has come before: that one says everything that the earlier ones say. A nullification goes out
//! at once: it ends a view in which something went wrong.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use commonware_codec::{Copying, Decode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{scheme::ed25519::Scheme, types},
};
use commonware_utils::channel::mpsc;

use super::{Channel, Recipients, Transport};
use crate::{committee::Digest, context::Runtime};

type Certificate = types::Certificate<Scheme, Digest>;

/// A transport that puts certificates for everybody into a queue; all else passes.
pub(crate) struct Delaying {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) queue: mpsc::UnboundedSender<Bytes>,
}

impl Transport for Delaying {
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        match (&to, channel) {
            (Recipients::All, Channel::Certificate) => {
                // The forwarder goes only with the engine.
                let _stopping = self.queue.send(message);
            }
            _ => self.transport.send(to, channel, message),
        }
    }
}

/// Takes certificates from the queue and sends those that are still of use after `delay`. Never ends.
pub(crate) async fn forward<R: Runtime>(
    runtime: R,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    transport: Arc<dyn Transport>,
    committee: usize,
    delay: Duration,
) {
    let mut waiting = Waiting::default();
    let send = |message| transport.send(Recipients::All, Channel::Certificate, message);
    loop {
        let message = match waiting.due() {
            None => queue.recv().await,
            Some(due) => tokio::select! {
                biased;
                message = queue.recv() => message,
                () = runtime.sleep_until(due) => {
                    waiting.take_due(runtime.current()).into_iter().for_each(&send);
                    continue;
                }
            },
        };
        let Some(message) = message else { return std::future::pending().await };
        match Certificate::decode_cfg(Copying(&message), &committee) {
            Ok(certificate) if !delay.is_zero() => {
                if let Some(message) = waiting.take_in(&certificate, message, runtime.current() + delay) {
                    send(message);
                }
            }
            _ => send(message),
        }
    }
}

/// What waits, and until when.
#[derive(Debug, Default)]
struct Waiting {
    notarizations: BTreeMap<u64, (SystemTime, Bytes)>,
    finalization: Option<(u64, SystemTime, Bytes)>,
}

impl Waiting {
    /// Takes in a certificate; gives back what is to be sent at once.
    fn take_in(&mut self, certificate: &Certificate, message: Bytes, due: SystemTime) -> Option<Bytes> {
        let view = certificate.view().get();
        let finalized = self.finalization.as_ref().map(|(view, ..)| *view);
        match certificate {
            Certificate::Nullification(_) => return Some(message),
            Certificate::Notarization(_) if finalized.is_none_or(|finalized| finalized < view) => {
                self.notarizations.entry(view).or_insert((due, message));
            }
            Certificate::Finalization(_) if finalized.is_none_or(|finalized| finalized < view) => {
                self.notarizations.retain(|notarized, _| *notarized > view);
                // The time runs from the first: a later one takes its place, and does not put it off.
                let due = self.finalization.take().map_or(due, |(_, first, _)| first);
                self.finalization = Some((view, due, message));
            }
            Certificate::Notarization(_) | Certificate::Finalization(_) => {}
        }
        None
    }

    /// When the next one is due.
    fn due(&self) -> Option<SystemTime> {
        let notarizations = self.notarizations.values().map(|(due, _)| *due);
        notarizations.chain(self.finalization.as_ref().map(|(_, due, _)| *due)).min()
    }

    fn take_due(&mut self, now: SystemTime) -> Vec<Bytes> {
        let due = |due: &SystemTime| *due <= now;
        let notarizations = self.notarizations.extract_if(.., |_, (at, _)| due(at));
        let mut messages: Vec<Bytes> = notarizations.map(|(_, (_, message))| message).collect();
        messages.extend(self.finalization.take_if(|(_, at, _)| due(at)).map(|(_, _, message)| message));
        messages
    }
}
