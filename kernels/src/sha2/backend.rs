//! Which instructions hash many messages, chosen at run time by what the CPU has.

#[cfg(target_arch = "x86_64")]
use super::{
    group::Group,
    lanes::{self, Lanes},
    shani,
};
use super::{group::Shape, word::Word};
#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512, ShaNi};
use std::fmt;

/// A way to hash that this CPU can run: the only way to one is to ask for what there is.
#[derive(Clone, Copy, Debug)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The `sha2` crate, message by message. On x86 it finds SHA-NI (for SHA-256) and AVX2 (for SHA-512) by itself.
    Portable,
    #[cfg(target_arch = "x86_64")]
    ShaNi(ShaNi),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Backend {
    /// All that this CPU can run SHA-256 on, the plainest first.
    #[must_use]
    pub fn all_sha256() -> Vec<Self> {
        let mut all = Self::all_sha512();
        #[cfg(target_arch = "x86_64")]
        all.extend(ShaNi::detect().map(|token| Self(Kind::ShaNi(token))));
        all.sort_by_key(|backend| backend.0.rank());
        all
    }

    /// All that this CPU can run SHA-512 on, the plainest first. (The CPUs at hand have no instructions for SHA-512.)
    #[must_use]
    pub fn all_sha512() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [
            Avx2::detect().map(|token| Self(Kind::Avx2(token))),
            Avx512::detect().map(|token| Self(Kind::Avx512(token))),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [None];
        [Some(Self(Kind::Portable))].into_iter().chain(vectors).flatten().collect()
    }

    /// The fastest for many SHA-256: on Zen 4 a node takes 42 ns with AVX-512, 92 with AVX2, 120 with SHA-NI.
    pub(super) fn best_sha256() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = Avx512::detect() {
            return Self(Kind::Avx512(token));
        } else if let Some(token) = Avx2::detect() {
            return Self(Kind::Avx2(token));
        } else if let Some(token) = ShaNi::detect() {
            return Self(Kind::ShaNi(token));
        }
        Self(Kind::Portable)
    }

    /// The fastest for many SHA-512.
    pub(super) fn best_sha512() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = Avx512::detect() {
            return Self(Kind::Avx512(token));
        } else if let Some(token) = Avx2::detect() {
            return Self(Kind::Avx2(token));
        }
        Self(Kind::Portable)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::ShaNi(_) => "sha-ni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// SHA-256 of messages of one shape.
    pub(super) fn sha256<const PARTS: usize>(
        self,
        shape: &Shape<PARTS>,
        messages: &[[&[u8]; PARTS]],
        out: &mut [[u8; 32]],
    ) {
        match self.0 {
            Kind::Portable => plain::<u32, PARTS>(shape, messages, out),
            #[cfg(target_arch = "x86_64")]
            Kind::ShaNi(token) => pairs(token, shape, messages, out),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(token) => wide::<u32, _, PARTS>(token, shape, messages, out, few),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(token) => wide::<u32, _, PARTS>(token, shape, messages, out, few),
        }
    }

    /// SHA-512 of messages of one shape.
    pub(super) fn sha512<const PARTS: usize>(
        self,
        shape: &Shape<PARTS>,
        messages: &[[&[u8]; PARTS]],
        out: &mut [[u8; 64]],
    ) {
        match self.0 {
            Kind::Portable => plain::<u64, PARTS>(shape, messages, out),
            #[cfg(target_arch = "x86_64")]
            Kind::ShaNi(_) => plain::<u64, PARTS>(shape, messages, out),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(token) => wide::<u64, _, PARTS>(token, shape, messages, out, plain::<u64, PARTS>),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(token) => wide::<u64, _, PARTS>(token, shape, messages, out, plain::<u64, PARTS>),
        }
    }
}

impl Kind {
    fn rank(self) -> usize {
        match self {
            Self::Portable => 0,
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi(_) => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => 3,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One by one.
fn plain<W: Word, const PARTS: usize>(
    shape: &Shape<PARTS>,
    messages: &[[&[u8]; PARTS]],
    out: &mut [W::Digest],
) {
    for (message, digest) in messages.iter().zip(out) {
        *digest = W::plain(shape.prefix(), message);
    }
}

/// Two by two.
#[cfg(target_arch = "x86_64")]
fn pairs<const PARTS: usize>(
    token: ShaNi,
    shape: &Shape<PARTS>,
    messages: &[[&[u8]; PARTS]],
    out: &mut [[u8; 32]],
) {
    for (messages, out) in messages.chunks(shani::STREAMS).zip(out.chunks_mut(shani::STREAMS)) {
        shani::digest(token, &Group::new(shape, messages), out);
    }
}

/// Too few for lanes.
#[cfg(target_arch = "x86_64")]
fn few<const PARTS: usize>(shape: &Shape<PARTS>, messages: &[[&[u8]; PARTS]], out: &mut [[u8; 32]]) {
    match ShaNi::detect() {
        Some(token) => pairs(token, shape, messages, out),
        None => plain::<u32, PARTS>(shape, messages, out),
    }
}

/// Lanes of a CPU, in one chain or two.
#[cfg(target_arch = "x86_64")]
trait Wide<W: Word>: Lanes<W> {
    /// As many messages as this in one chain go faster through lanes than one by one.
    const CROSSOVER: usize;

    /// At most `COUNT` messages in each chain.
    fn digest<const CHAINS: usize, const PARTS: usize>(self, group: &Group<'_, PARTS>, out: &mut [W::Digest]);
}

/// Where the compiler may use the token's instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! wide {
    ($token:ident, $word:ty, $features:literal, $crossover:expr) => {
        impl Wide<$word> for $token {
            const CROSSOVER: usize = $crossover;

            fn digest<const CHAINS: usize, const PARTS: usize>(
                self,
                group: &Group<'_, PARTS>,
                out: &mut [<$word as Word>::Digest],
            ) {
                #[target_feature(enable = $features)]
                fn run<const CHAINS: usize, const PARTS: usize>(
                    token: $token,
                    group: &Group<'_, PARTS>,
                    out: &mut [<$word as Word>::Digest],
                ) {
                    lanes::digest::<$word, _, CHAINS, PARTS>(token, group, out);
                }
                // SAFETY: `self` proves the features.
                unsafe { run::<CHAINS, PARTS>(self, group, out) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
wide!(Avx512, u32, "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma", 9);
#[cfg(target_arch = "x86_64")]
wide!(Avx512, u64, "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma", 2);
#[cfg(target_arch = "x86_64")]
wide!(Avx2, u32, "avx2,fma", 4);
#[cfg(target_arch = "x86_64")]
wide!(Avx2, u64, "avx2,fma", 3);

/// Side by side, as many as there are lanes; `few` takes what is left over if that is not worth a vector.
#[cfg(target_arch = "x86_64")]
fn wide<W: Word, L: Wide<W>, const PARTS: usize>(
    lanes: L,
    shape: &Shape<PARTS>,
    messages: &[[&[u8]; PARTS]],
    out: &mut [W::Digest],
    few: impl Fn(&Shape<PARTS>, &[[&[u8]; PARTS]], &mut [W::Digest]),
) {
    for (messages, out) in messages.chunks(2 * L::COUNT).zip(out.chunks_mut(2 * L::COUNT)) {
        if messages.len() < L::CROSSOVER {
            few(shape, messages, out);
        } else if messages.len() <= L::COUNT {
            lanes.digest::<1, PARTS>(&Group::new(shape, messages), out);
        } else {
            lanes.digest::<2, PARTS>(&Group::new(shape, messages), out);
        }
    }
}
