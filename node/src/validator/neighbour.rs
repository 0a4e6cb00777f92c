//! The gateway in the validator's own process: it calls the same rooms as clients behind the network do, and gets no
//! further.
//!
//! The gateway lives as long as the process; a validator that starts again in its process is a new one, so the host has
//! a way to the present one that does not keep it alive.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, Weak};

use client::Query;
use engine::types::PacketSlab;
use gateway::{Boxed, Gone, Host, Speak, Talk, events};

use super::caller::Neighbour;
use super::clients::Reception;

/// Numbers of connections from here on are the gateway's: the network counts its own from 0.
const NUMBERS_FROM: u64 = 1 << 63;

/// The way to the present validator of this process.
pub struct Here {
    reception: Mutex<Weak<Reception>>,
    next: AtomicU64,
}

impl Here {
    /// There is no validator yet.
    pub fn new() -> Self {
        Self { reception: Mutex::default(), next: AtomicU64::new(NUMBERS_FROM) }
    }

    /// This is the present one.
    pub fn attach(&self, reception: &Weak<Reception>) {
        *self.reception.lock().unwrap_or_else(PoisonError::into_inner) = reception.clone();
    }
}

fn gone() -> Gone {
    Gone("the validator is starting or stopping".to_owned())
}

impl Host for Here {
    fn open(&self) -> Boxed<'_, Result<Talk, Gone>> {
        let reception = self.reception.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let id = self.next.fetch_add(1, Relaxed);
        Box::pin(async move {
            let present = reception.upgrade().ok_or_else(gone)?;
            let (events, listen) = events();
            let neighbour = Neighbour { id, events };
            let welcome = present.greet_here(neighbour.clone());
            Ok(Talk { speak: Box::new(Mouth { reception, neighbour }), listen: Box::new(listen), welcome })
        })
    }
}

struct Mouth {
    reception: Weak<Reception>,
    neighbour: Neighbour,
}

impl Speak for Mouth {
    fn submit(&mut self, first: u64, packets: PacketSlab) -> Boxed<'_, Result<(), Gone>> {
        let submitted = self.reception.upgrade().ok_or_else(gone);
        Box::pin(std::future::ready(submitted.map(|of| of.submit_here(&self.neighbour, first, packets))))
    }

    fn ask(&mut self, questions: Vec<(u64, Query)>) -> Boxed<'_, Result<(), Gone>> {
        let asked = self.reception.upgrade().ok_or_else(gone).map(|of| {
            questions.into_iter().for_each(|(id, query)| of.ask_here(&self.neighbour, id, query));
        });
        Box::pin(std::future::ready(asked))
    }
}

impl Drop for Mouth {
    fn drop(&mut self) {
        if let Some(reception) = self.reception.upgrade() {
            reception.forget(&self.neighbour);
        }
    }
}
