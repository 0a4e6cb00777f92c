//! Random linear combinations of entries, in groups that share their doublings. `combination/README.md` has layout and
//! bounds, and what the CPU keeps to itself.
//!
//! ```text
//! terms    a claim each           zk mod L                                             → scalars
//! decode   an encoding each       the points of new keys and of every R                → points
//! rows     an encoding each       multiples of A, 2¹²⁸A and R                          → tables, those of keys kept
//! columns  32 to a group          c·B and the digits of z times R, of zk times A        → points
//! fold     a group each           cB + Σ zR + Σ (zk)A, over what the program accepts    → sums
//! ```

use super::narrow::{self, LIMBS};
use super::program::{Kernels, Plan, SCALAR_WORDS, Text};
use super::upload::{Sizes, Upload};
use super::{Device, GpuError};
use crate::ed25519::{groups, numbers};

#[cfg(test)]
mod tests;

/// Claims of a group, unless a test wants fewer.
pub(super) const GROUP: usize = 32;
/// Words of a group's sum.
pub(super) const SUM_WORDS: usize = 8;
/// Its kernels, in the order in which they run.
pub const KERNELS: [&str; 5] = ["terms", "decode", "rows", "columns", "fold"];
/// Hexadecimal digits of a coefficient.
const COLUMNS: u64 = 32;
/// Words of the rows of a point: its multiples by 0 to 8, four elements each, two limbs to a word.
const ROWS: u64 = 9 * 4 * LIMBS as u64 / 2;
/// Words of a point in extended coordinates.
const EXTENDED: u64 = 4 * LIMBS as u64;

/// The kernels on a device.
#[derive(Debug)]
pub(super) struct Combination {
    pub(super) kernels: Kernels,
    /// Claims of a group.
    pub(super) group: usize,
}

impl Combination {
    /// Compiles it for batches of `claims`, and makes room for the tables of as many keys.
    pub(super) fn new(device: &Device, claims: u32, group: usize) -> Result<Self, GpuError> {
        let text = text();
        let claims = u64::from(claims);
        let columns = COLUMNS * claims.div_ceil(group as u64);
        let plan = Plan {
            name: "combination",
            kernels: &KERNELS,
            source: &text.source,
            constants: &text.constants,
            words: [
                (2 * claims * u64::from(text.point)).max(columns * EXTENDED),
                claims * slot_words(),
                claims * SCALAR_WORDS,
            ],
        };
        Ok(Self { kernels: Kernels::new(device, &plan)?, group })
    }

    /// The number of groups of so many claims.
    pub(super) fn groups(&self, claims: usize) -> usize {
        claims.div_ceil(self.group)
    }

    /// Records the kernels for one batch.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        bindings: &wgpu::BindGroup,
        batch: &Upload,
    ) {
        let Sizes { claims, encodings, .. } = batch.sizes();
        let claims = if batch.is_weighted() { claims } else { 0 };
        let groups = self.groups(claims as usize) as u32;
        let invocations = [claims, encodings, encodings, COLUMNS as u32 * groups, groups];
        self.kernels.record(encoder, bindings, invocations, None);
    }
}

/// Words of `tables` for each claim of the capacity: two points of a key, and R.
pub(super) fn slot_words() -> u64 {
    3 * ROWS
}

/// The encodings of the groups' sums in these words.
pub(super) fn sums(words: &[u32]) -> Vec<[u8; 32]> {
    let encoding = |words: &[u32; SUM_WORDS]| {
        let mut encoding = [0; 32];
        let places = encoding.as_chunks_mut().0.iter_mut();
        places.zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        encoding
    };
    words.as_chunks().0.iter().map(encoding).collect()
}

/// The WGSL of its kernels, for tools that look at it.
#[must_use]
pub fn source() -> String {
    text().source
}

/// Source and constants: narrow's numbers, points and hashing, with other tables, digits and order of work.
fn text() -> Text {
    let source = [
        &narrow::common(),
        include_str!("combination/layout.wgsl"),
        include_str!("combination/terms.wgsl"),
        include_str!("combination/rows.wgsl"),
        include_str!("combination/columns.wgsl"),
        include_str!("combination/fold.wgsl"),
    ]
    .concat();
    let Text { mut constants, point, .. } = narrow::text();
    constants.extend(narrow::element(&groups::unbias()));
    for multiple in numbers::base_multiples(narrow::MULTIPLES) {
        constants.extend([&multiple.x, &multiple.y].into_iter().flat_map(narrow::element));
    }
    Text { source, constants, point, slot: 2 * ROWS as u32 }
}
