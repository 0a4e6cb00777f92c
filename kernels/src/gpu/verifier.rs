//! Submit and take: batches in flight, each with buffers of its own.
//!
//! ```text
//! submit(claims) ──▶ pack ──▶ upload, kernels, copy back ──▶ take(ticket) ──▶ settled: claims, verdicts by program
//!     │                          │ (queued by the driver)        ├──▶ pending: the ticket again
//!     └──▶ full, too large       └── up to `flights` at once     └──▶ failed: the claims, and why
//! ```
//!
//! Invariants:
//!
//! - A ticket is a value that cannot be copied: a batch is settled, failed or given up at most once.
//! - Claims come back with every answer, so the CPU can always decide.
//! - Buffers of a batch that was given up are not used again before the device is done with them, and what it wrote is
//!   dropped: each flight has a generation.

use super::clock::{CLOCK_WORDS, Clock, times};
use super::combination::{self, Combination, SUM_WORDS};
use super::program::{BLOCK_WORDS, CLAIM_WORDS, CLAIM_WORDS_MAX, Compiled, ENCODING_WORDS, blocks};
use super::upload::{COEFFICIENT_WORDS, Keys, PARAM_WORDS, Upload};
use super::{Claim, Device, DeviceInfo, GpuError, Program};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use wgpu::BufferUsages as Usage;

/// How much a verifier takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Claims of one batch at most; also, for how many keys tables are kept on the device.
    pub claims: usize,
    /// Blocks of 128 bytes that `R ‖ A ‖ M` of a batch fill at most. A message of up to 47 bytes fills one, up to 175
    /// two.
    pub blocks: usize,
    /// Batches that can be in flight.
    pub flights: usize,
}

impl Default for Capacity {
    /// 16,384 claims with messages of up to 303 bytes on average, three batches at once: with both programs about
    /// 140 MiB of the device's memory, with a double check about 125, two thirds of it tables.
    fn default() -> Self {
        Self { claims: 1 << 14, blocks: 3 << 14, flights: 3 }
    }
}

impl Capacity {
    /// As much of it as fits the bindings of a device.
    #[must_use]
    pub fn within(self, info: &DeviceInfo) -> Self {
        let fit = |words: usize| (info.binding_bytes_max / (4 * words as u64)) as usize;
        let Self { claims, blocks, flights } = self;
        Self { claims: claims.min(fit(CLAIM_WORDS_MAX)), blocks: blocks.min(fit(BLOCK_WORDS)), flights }
    }

    /// Cuts `claims` into batches of that capacity, in their order. A claim that is too large for any batch is alone in
    /// one.
    #[must_use]
    pub fn split(self, claims: Vec<Claim>) -> Vec<Vec<Claim>> {
        let mut batches: Vec<Vec<Claim>> = Vec::new();
        let mut room = 0;
        for claim in claims {
            let needs = blocks(&claim);
            match batches.last_mut().filter(|batch| batch.len() < self.claims && needs <= room) {
                Some(batch) => batch.push(claim),
                None => {
                    batches.push(vec![claim]);
                    room = self.blocks;
                }
            }
            room = room.saturating_sub(needs);
        }
        batches
    }
}

/// A claim on the answer to one batch. Dropping it gives the batch up.
#[derive(Debug)]
#[must_use = "a batch whose ticket is dropped is given up"]
pub struct Ticket {
    flight: usize,
    generation: u64,
    /// The flight knows by it whether anybody still waits.
    waits: Arc<()>,
}

/// Why a batch was not taken, and the batch.
#[derive(Debug)]
pub struct Rejection {
    /// The reason.
    pub reason: Refused,
    /// The claims, as they came.
    pub claims: Vec<Claim>,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many batches are in flight as may be. Take one first, or ask the CPU.
    #[error("{0} batches are in flight, and no more are taken")]
    Full(usize),
    /// The batch is above the capacity.
    #[error(
        "a batch of {claims} claims in {blocks} blocks is more than {claims_max} claims or {blocks_max} blocks: \
         split it"
    )]
    TooLarge {
        /// Claims of the batch.
        claims: usize,
        /// Its blocks of 128 bytes.
        blocks: usize,
        /// Claims that are taken at most.
        claims_max: usize,
        /// Blocks that are taken at most.
        blocks_max: usize,
    },
    /// The device cannot be used any more.
    #[error(transparent)]
    Device(#[from] GpuError),
}

/// What became of a batch.
#[derive(Debug)]
pub enum Taken {
    /// The device is not done.
    Pending(Ticket),
    /// It is done.
    Settled(Settled),
    /// It will not be done; the CPU decides on the claims.
    Failed {
        /// What went wrong.
        error: GpuError,
        /// The claims, as they came.
        claims: Vec<Claim>,
    },
}

/// What the programs say on a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The claims, as they came.
    pub claims: Vec<Claim>,
    /// For each program, in the order in which the verifier was given them, a verdict on each claim.
    pub verdicts: Vec<(Program, Vec<bool>)>,
    /// For each group of the combination, if there is one, the encoding of its sum.
    pub(super) sums: Vec<[u8; 32]>,
    /// How long each program's kernels took by the device's clock, in the order of [`Program::KERNELS`]. Empty where it
    /// has none.
    pub times: Vec<(Program, [Duration; Program::KERNELS.len()])>,
}

/// What is read of a batch: as in [`Settled`].
struct Read {
    verdicts: Vec<(Program, Vec<bool>)>,
    sums: Vec<[u8; 32]>,
    times: Vec<(Program, [Duration; Program::KERNELS.len()])>,
}

/// Checks signatures on a device, by one program or by several. Its verdicts are opinions: [`super::DoubleCheck`] says
/// what may be made of them.
#[derive(Debug)]
pub struct Verifier {
    device: Device,
    programs: Vec<Compiled>,
    /// Of what the first program accepts.
    combination: Option<Combination>,
    flights: Vec<Flight>,
    keys: Keys,
    capacity: Capacity,
    generation: u64,
    /// What tests do to the words that come back.
    #[cfg(test)]
    pub(super) tamper: Option<fn(&mut Vec<u32>)>,
    /// Whether a test has all entries summed up, also those that the first program refuses.
    #[cfg(test)]
    pub(super) all_summed: bool,
}

/// The buffers of one batch.
#[derive(Debug)]
struct Flight {
    params: wgpu::Buffer,
    claims: wgpu::Buffer,
    messages: wgpu::Buffer,
    encodings: wgpu::Buffer,
    /// For each program.
    verdicts: Vec<wgpu::Buffer>,
    bindings: Vec<wgpu::BindGroup>,
    /// What the combination reads and writes in place of verdicts.
    sums: Option<(wgpu::Buffer, wgpu::BindGroup)>,
    /// For each program, where the device has one.
    clocks: Vec<Clock>,
    /// The verdicts of all programs, the sums of all groups and the instants of the programs' clocks, where the host
    /// can read them.
    back: wgpu::Buffer,
    batch: Option<Batch>,
}

/// Set when what a device wrote for a batch can be read, or cannot.
type Landed = Arc<OnceLock<Result<(), wgpu::BufferAsyncError>>>;

/// A batch in flight.
#[derive(Debug)]
struct Batch {
    generation: u64,
    claims: Vec<Claim>,
    submission: wgpu::SubmissionIndex,
    landed: Landed,
    waits: Weak<()>,
}

impl Verifier {
    /// Compiles the programs, and makes room for batches.
    ///
    /// # Errors
    ///
    /// If the device is too small for that capacity, lacks what a program needs, or refuses a kernel.
    pub fn new(device: Device, programs: &[Program], capacity: Capacity) -> Result<Self, GpuError> {
        Self::build(device, programs, None, capacity)
    }

    /// One program, and a combination of so many entries in a group over what it accepts.
    pub(super) fn combined(
        device: Device,
        program: Program,
        group: usize,
        capacity: Capacity,
    ) -> Result<Self, GpuError> {
        Self::build(device, &[program], Some(group), capacity)
    }

    pub(super) fn build(
        device: Device,
        programs: &[Program],
        group: Option<usize>,
        capacity: Capacity,
    ) -> Result<Self, GpuError> {
        let claims = u32::try_from(capacity.claims).unwrap_or(u32::MAX);
        // Before anything is multiplied: the largest of the buffers that hold claims and messages.
        device.check_binding(u64::from(claims).saturating_mul(2 * 4 * ENCODING_WORDS as u64))?;
        device.check_binding((capacity.blocks as u64).saturating_mul(4 * BLOCK_WORDS as u64))?;
        let programs = programs
            .iter()
            .map(|program| Compiled::new(&device, *program, claims))
            .collect::<Result<Vec<_>, _>>()?;
        let combination = group.map(|group| Combination::new(&device, claims, group)).transpose()?;
        let flight = |_| Flight::new(&device, &programs, combination.as_ref(), capacity);
        let flights = (0..capacity.flights).map(flight).collect();
        device.check()?;
        let keys = Keys::new(capacity.claims);
        Ok(Self {
            device,
            programs,
            combination,
            flights,
            keys,
            capacity,
            generation: 0,
            #[cfg(test)]
            tamper: None,
            #[cfg(test)]
            all_summed: false,
        })
    }

    /// The device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    /// How much it takes.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Which programs it runs.
    #[must_use]
    pub fn programs(&self) -> Vec<Program> {
        self.programs.iter().map(Compiled::program).collect()
    }

    /// Hands a batch to the device.
    ///
    /// # Errors
    ///
    /// If it is above the capacity, if as many batches are in flight as may be, or if the device is lost. The claims
    /// come back.
    pub fn submit(&mut self, claims: Vec<Claim>) -> Result<Ticket, Rejection> {
        self.submit_weighted(claims, &[])
    }

    /// Into how many groups the combination cuts a batch of so many claims.
    pub(super) fn groups(&self, claims: usize) -> usize {
        self.combination.as_ref().map_or(0, |combination| combination.groups(claims))
    }

    /// Hands a batch to the device with a coefficient for each claim and then for each group of the combination.
    /// Without any there are no sums, but new keys get their tables.
    pub(super) fn submit_weighted(
        &mut self,
        claims: Vec<Claim>,
        coefficients: &[u128],
    ) -> Result<Ticket, Rejection> {
        let reject = |reason: Refused, claims| Err(Rejection { reason, claims });
        let needs = claims.iter().map(blocks).sum();
        let Capacity { claims: claims_max, blocks: blocks_max, flights } = self.capacity;
        if claims.len() > claims_max || needs > blocks_max {
            return reject(
                Refused::TooLarge { claims: claims.len(), blocks: needs, claims_max, blocks_max },
                claims,
            );
        }
        if let Err(error) = self.device.check() {
            return reject(error.into(), claims);
        }
        self.reclaim();
        let Some(flight) = self.flights.iter().position(|flight| flight.batch.is_none()) else {
            return reject(Refused::Full(flights), claims);
        };
        let upload = Upload::pack(&claims, coefficients, &mut self.keys);
        self.generation += 1;
        let waits = Arc::new(());
        let (submission, landed) = self.launch(flight, &upload);
        self.flights[flight].batch = Some(Batch {
            generation: self.generation,
            claims,
            submission,
            landed,
            waits: Arc::downgrade(&waits),
        });
        let ticket = Ticket { flight, generation: self.generation, waits };
        match self.device.check() {
            Ok(()) => Ok(ticket),
            Err(error) => reject(error.into(), self.give_up(ticket)),
        }
    }

    /// What became of a batch, after waiting for it at most `patience`.
    ///
    /// # Panics
    ///
    /// If the ticket is another verifier's.
    pub fn take(&mut self, ticket: Ticket, patience: Duration) -> Taken {
        let batch = self.batch(&ticket);
        let (submission, landed) = (batch.submission.clone(), Arc::clone(&batch.landed));
        if landed.get().is_none() {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(patience) };
            // Whether it was long enough is seen below.
            let _ = self.device.device.poll(wait);
        }
        match landed.get() {
            None => match self.device.fault() {
                None => Taken::Pending(ticket),
                Some(error) => Taken::Failed { error, claims: self.give_up(ticket) },
            },
            Some(landed) => {
                let landed = landed.clone();
                match self.read(&ticket, landed) {
                    Ok(Read { verdicts, sums, times }) => {
                        Taken::Settled(Settled { claims: self.give_up(ticket), verdicts, sums, times })
                    }
                    Err(error) => {
                        // Tables that came from such a device are not kept.
                        self.keys.forget();
                        Taken::Failed { error, claims: self.give_up(ticket) }
                    }
                }
            }
        }
    }

    /// Gives a batch up and returns its claims: the CPU decides. What the device still writes is dropped.
    ///
    /// # Panics
    ///
    /// If the ticket is another verifier's.
    pub fn give_up(&mut self, ticket: Ticket) -> Vec<Claim> {
        let flight = ticket.flight;
        self.batch(&ticket);
        drop(ticket);
        let claims = self.flights[flight].batch.as_mut().map(|batch| std::mem::take(&mut batch.claims));
        self.flights[flight].reclaim();
        claims.unwrap_or_default()
    }

    /// Something goes wrong with the device.
    #[cfg(test)]
    pub(super) fn fail(&self, error: wgpu::Error) {
        self.device.fail(error);
    }

    /// The device is gone, as if its driver had crashed.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        self.device.device.destroy();
    }

    /// The batch that a ticket is for.
    fn batch(&self, ticket: &Ticket) -> &Batch {
        let batch = self.flights.get(ticket.flight).and_then(|flight| flight.batch.as_ref());
        let batch = batch.filter(|batch| batch.generation == ticket.generation);
        let batch = batch.filter(|batch| Weak::as_ptr(&batch.waits) == Arc::as_ptr(&ticket.waits));
        batch.expect("a ticket is for a batch of the verifier that gave it")
    }

    /// Queues everything that the device does for a batch.
    fn launch(&self, flight: usize, upload: &Upload) -> (wgpu::SubmissionIndex, Landed) {
        let Self { device, programs, combination, flights, .. } = self;
        let flight = &flights[flight];
        let write = |buffer: &wgpu::Buffer, words: &[u32]| {
            device.queue.write_buffer(buffer, 0, bytemuck::cast_slice(words));
        };
        let group = combination.as_ref().map_or(1, |combination| combination.group as u32);
        write(&flight.params, &upload.params(group));
        write(&flight.claims, &upload.claims);
        write(&flight.messages, &upload.messages);
        write(&flight.encodings, &upload.encodings);
        let encoder = || device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut commands = Vec::with_capacity(programs.len() + 1);
        let mut back_at = 0;
        for (i, (program, verdicts)) in programs.iter().zip(&flight.verdicts).enumerate() {
            let mut encoder = encoder();
            // What no kernel writes must not be the verdict of an earlier batch.
            encoder.clear_buffer(verdicts, 0, None);
            program.record(&mut encoder, &flight.bindings[i], upload, flight.clocks.get(i));
            encoder.copy_buffer_to_buffer(verdicts, 0, &flight.back, back_at, verdicts.size());
            back_at += verdicts.size();
            commands.push(encoder.finish());
        }
        let mut encoder = encoder();
        if let (Some(combination), Some((sums, bindings))) = (combination, &flight.sums) {
            encoder.clear_buffer(sums, 0, None);
            let opinions = &flight.verdicts[0];
            encoder.copy_buffer_to_buffer(opinions, 0, sums, 0, opinions.size());
            #[cfg(test)]
            if self.all_summed {
                let all = vec![super::program::ACCEPTED; self.capacity.claims];
                let accepted = device.buffer("all", opinions.size(), Usage::COPY_SRC | Usage::COPY_DST);
                write(&accepted, &all);
                encoder.copy_buffer_to_buffer(&accepted, 0, sums, 0, opinions.size());
            }
            combination.record(&mut encoder, bindings, upload);
            let bytes = sums.size() - opinions.size();
            encoder.copy_buffer_to_buffer(sums, opinions.size(), &flight.back, back_at, bytes);
            back_at += bytes;
        }
        for clock in &flight.clocks {
            clock.copy(&mut encoder, &flight.back, back_at);
            back_at += 4 * CLOCK_WORDS as u64;
        }
        commands.push(encoder.finish());
        let submission = device.queue.submit(commands);
        let landed = Arc::new(OnceLock::new());
        let here = Arc::clone(&landed);
        flight.back.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = here.set(result);
        });
        (submission, landed)
    }

    /// The verdicts of a batch that has landed.
    fn read(&self, ticket: &Ticket, landed: Result<(), wgpu::BufferAsyncError>) -> Result<Read, GpuError> {
        self.device.check()?;
        landed.map_err(|error| GpuError::Lost(error.to_string()))?;
        let (flight, count) = (&self.flights[ticket.flight], self.batch(ticket).claims.len());
        let view = flight.back.get_mapped_range(..).map_err(|error| GpuError::Lost(error.to_string()))?;
        let mut words: Vec<u32> = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        let verdict_words = self.programs.len() * self.capacity.claims;
        let expected = verdict_words + SUM_WORDS * self.groups(self.capacity.claims);
        let instants = words.split_off(expected.min(words.len()));
        #[cfg(test)]
        if let Some(tamper) = self.tamper {
            tamper(&mut words);
        }
        if words.len() != expected {
            return Err(GpuError::Length { expected: 4 * expected, has: 4 * words.len() });
        }
        let (verdicts, sums) = words.split_at(verdict_words);
        let sums = combination::sums(&sums[..SUM_WORDS * self.groups(count)]);
        let each = self.programs.iter().zip(verdicts.chunks(self.capacity.claims));
        let verdicts =
            each.map(|(program, words)| Ok((program.program(), program.verdicts(&words[..count])?)));
        let tick = self.device.queue.get_timestamp_period();
        let each = self.programs.iter().zip(instants.chunks(CLOCK_WORDS));
        let times = each.map(|(program, words)| (program.program(), times(words, tick)));
        Ok(Read { verdicts: verdicts.collect::<Result<_, _>>()?, sums, times: times.collect() })
    }

    /// Frees the buffers of batches that were given up and are done.
    fn reclaim(&mut self) {
        let _ = self.device.device.poll(wgpu::PollType::Poll);
        self.flights.iter_mut().for_each(Flight::reclaim);
    }

    /// Forgets the tables of keys, so that the next batch makes those that it needs.
    pub fn forget_keys(&mut self) {
        self.keys.forget();
    }

    /// Verdicts of every program on any number of claims, in their order: they are cut into batches, several in flight.
    ///
    /// # Errors
    ///
    /// If a claim is too large for any batch, the device is lost, or a batch takes longer than `patience`.
    pub fn verify(
        &mut self,
        claims: Vec<Claim>,
        patience: Duration,
    ) -> Result<Vec<(Program, Vec<bool>)>, Refused> {
        let mut all: Vec<(Program, Vec<bool>)> =
            self.programs().into_iter().map(|program| (program, Vec::with_capacity(claims.len()))).collect();
        let mut tickets = std::collections::VecDeque::new();
        let mut batches = self.capacity.split(claims).into_iter();
        let mut next = batches.next();
        loop {
            if let Some(batch) = next.take() {
                match self.submit(batch) {
                    Ok(ticket) => {
                        tickets.push_back(ticket);
                        next = batches.next();
                        continue;
                    }
                    Err(Rejection { reason: Refused::Full(_), claims }) if !tickets.is_empty() => {
                        next = Some(claims)
                    }
                    Err(Rejection { reason, .. }) => return Err(reason),
                }
            }
            let Some(ticket) = tickets.pop_front() else { return Ok(all) };
            match self.take(ticket, patience) {
                Taken::Settled(settled) => {
                    for ((_, all), (_, verdicts)) in all.iter_mut().zip(settled.verdicts) {
                        all.extend(verdicts);
                    }
                }
                Taken::Failed { error, .. } => return Err(error.into()),
                Taken::Pending(_) => {
                    return Err(GpuError::Lost(format!("no answer within {patience:?}")).into());
                }
            }
        }
    }
}

impl Flight {
    fn new(
        device: &Device,
        programs: &[Compiled],
        combination: Option<&Combination>,
        capacity: Capacity,
    ) -> Self {
        let words = |count: usize| 4 * count as u64;
        let input = |label, count| device.buffer(label, words(count), Usage::STORAGE | Usage::COPY_DST);
        let params = device.buffer("params", words(PARAM_WORDS), Usage::UNIFORM | Usage::COPY_DST);
        let groups = combination.map_or(0, |combination| combination.groups(capacity.claims));
        let coefficients = combination.map_or(0, |_| (capacity.claims + groups) * COEFFICIENT_WORDS);
        let claims = input("claims", capacity.claims * CLAIM_WORDS + coefficients);
        let messages = input("messages", capacity.blocks * BLOCK_WORDS);
        let encodings = input("encodings", 2 * capacity.claims * ENCODING_WORDS);
        let output = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let verdicts: Vec<_> =
            programs.iter().map(|_| device.buffer("verdicts", words(capacity.claims), output)).collect();
        let input = [&params, &claims, &messages, &encodings];
        let bindings = programs
            .iter()
            .zip(&verdicts)
            .map(|(program, verdicts)| program.kernels.bind(device, input, verdicts))
            .collect();
        let sums = combination.map(|combination| {
            let sums = device.buffer("sums", words(capacity.claims + SUM_WORDS * groups), output);
            let bindings = combination.kernels.bind(device, input, &sums);
            (sums, bindings)
        });
        let clocks: Vec<_> = programs.iter().filter_map(|_| Clock::new(device)).collect();
        let back_words = programs.len() * capacity.claims + SUM_WORDS * groups + clocks.len() * CLOCK_WORDS;
        let back = device.buffer("back", words(back_words), Usage::MAP_READ | Usage::COPY_DST);
        Self { params, claims, messages, encodings, verdicts, bindings, sums, clocks, back, batch: None }
    }

    /// Frees the buffers if the device is done and nobody waits.
    fn reclaim(&mut self) {
        let done = |batch: &Batch| batch.waits.strong_count() == 0 && batch.landed.get().is_some();
        if self.batch.as_ref().is_some_and(done) {
            self.back.unmap();
            self.batch = None;
        }
    }
}
