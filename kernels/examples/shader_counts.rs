//! Counts the instructions of the shaders, for each function and for a whole verification:
//!
//! ```text
//! cargo run --release -p kernels --features gpu --example shader_counts
//! ```
//!
//! What is counted is the SPIR-V that wgpu hands to a driver, with naga's checks and without. A driver makes other
//! instructions of it, but multiplications stay multiplications. A wide one gives 64 bits: on hardware it is one
//! instruction with its addition, at half the rate or less; other 64-bit instructions are two.

use kernels::gpu::{Program, combination};
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeMap;
use std::error::Error;

/// What is told apart.
const KINDS: [&str; 5] = ["mul32", "mul64", "alu32", "alu64", "memory"];
type Counts = [u64; KINDS.len()];

/// Shaders, and what a number of verifications calls in them.
struct Subject {
    name: &'static str,
    source: String,
    kernels: &'static [&'static str],
    /// For so many verifications.
    entries: u64,
    /// Part, function and how often, without what it calls. What is made of a key is apart, since it is kept.
    calls: &'static [(&'static str, &'static str, u64)],
}

/// The programs and the combination. How often the functions that matter are called follows from the loops:
///
/// | | wide | narrow |
/// |---|---|---|
/// | doublings of the ladder | 64·4 + 3 | 64·4 + 2·3 |
/// | additions of the ladder | 64 + 32 + 1 | 2·64 |
/// | decoding, squarings beside those of `power` | y², x² | y², v², v⁴, x² |
/// | decoding, products beside those of `power` | dy², uv, uz, vx², x√−1 | dy², v³, uv³, uv⁷, x, vx², x√−1 |
/// | `power`: squarings, products | 252, 11 | 1 + 2 + 1 + 49·5 + 2, 3 + 49 + 1 |
/// | table: additions (narrow: rows beside them) | 9 | 16, 17 |
///
/// The combination decodes like narrow. For each of 32 entries it adds 3·32 rows, half of them negated, and makes eight
/// rows of R with seven additions; for all of them it doubles 4·32 times, adds 32 columns and inverts once.
fn subjects() -> [Subject; 3] {
    let program = |program: Program, calls| Subject {
        name: program.name(),
        source: program.source(),
        kernels: &Program::KERNELS,
        entries: 1,
        calls,
    };
    [
        program(
            Program::Wide,
            &[
                ("ladder", "double", 259),
                ("ladder", "add_points", 97),
                ("decode R", "sqr", 2 + 252),
                ("decode R", "mul", 5 + 11),
                ("decode A", "sqr", 2 + 252),
                ("decode A", "mul", 5 + 11),
                ("table of A", "add_points", 9),
                ("table of A", "negate", 1),
            ],
        ),
        program(
            Program::Narrow,
            &[
                ("ladder", "double", 262),
                ("ladder", "add_row", 128),
                ("decode R", "sqr", 4 + 251),
                ("decode R", "mul", 7 + 53),
                ("decode A", "sqr", 4 + 251),
                ("decode A", "mul", 7 + 53),
                ("table of A", "add_row", 16),
                ("table of A", "prepare", 17),
            ],
        ),
        Subject {
            name: "combination",
            source: combination::source(),
            kernels: &combination::KERNELS,
            entries: 32,
            calls: &[
                ("columns", "add_row", 32 * 96),
                ("columns", "negate", 32 * 96),
                ("columns", "mul", 32),
                ("fold", "double", 4 * 32),
                ("fold", "add_row", 32),
                ("fold", "prepare", 32),
                ("fold", "sqr", 251 + 3 + 1),
                ("fold", "mul", 53 + 4),
                ("decode R", "sqr", 32 * (4 + 251)),
                ("decode R", "mul", 32 * (7 + 53)),
                ("rows of R", "add_row", 32 * 7),
                ("rows of R", "prepare", 32 * 8),
                ("rows of R", "mul", 32),
                ("decode A", "sqr", 32 * (4 + 251)),
                ("decode A", "mul", 32 * (7 + 53)),
                ("table of A", "double", 32 * 128),
                ("table of A", "add_row", 32 * 14),
                ("table of A", "prepare", 32 * 16),
            ],
        },
    ]
}

/// What a function does itself, and whom it calls.
#[derive(Default)]
struct Function {
    own: Counts,
    calls: Vec<u32>,
}

/// The functions of a module by their ids, and the ids of names.
struct Counted {
    functions: BTreeMap<u32, Function>,
    names: BTreeMap<String, u32>,
}

impl Counted {
    /// Counts the instructions of a module.
    fn of(words: &[u32]) -> Self {
        let mut counted = Self { functions: BTreeMap::new(), names: BTreeMap::new() };
        let mut wide_types = Vec::new();
        let mut here = 0;
        // Behind the five words of the header each instruction begins with its length and its code.
        let mut rest = &words[5..];
        while let Some((first, _)) = rest.split_first() {
            let (instruction, later) = rest.split_at((first >> 16) as usize);
            rest = later;
            let operand = |at: usize| instruction.get(at).copied().unwrap_or_default();
            let is_wide = wide_types.contains(&operand(1));
            let kind = match first & 0xffff {
                // OpName
                5 => {
                    let bytes: Vec<u8> =
                        instruction[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
                    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                    counted.names.insert(String::from_utf8_lossy(&bytes[..end]).into_owned(), operand(1));
                    continue;
                }
                // OpTypeInt
                21 if operand(2) == 64 => {
                    wide_types.push(operand(1));
                    continue;
                }
                // OpFunction, OpFunctionCall
                54 => {
                    here = operand(2);
                    counted.functions.insert(here, Function::default());
                    continue;
                }
                57 => {
                    counted.functions.entry(here).or_default().calls.push(operand(3));
                    continue;
                }
                // OpIMul
                132 => usize::from(is_wide),
                // Additions, subtractions, divisions, shifts, bits, comparisons, selections
                128 | 130 | 134 | 137 | 168 | 169 | 170..=179 | 194..=200 => 2 + usize::from(is_wide),
                // OpLoad, OpStore
                61 | 62 => 4,
                _ => continue,
            };
            counted.functions.entry(here).or_default().own[kind] += 1;
        }
        counted
    }

    /// One call of a function, with all that it calls.
    fn call(&self, name: &str) -> Counts {
        self.names.get(name).map_or([0; KINDS.len()], |id| self.whole(*id))
    }

    fn whole(&self, id: u32) -> Counts {
        let Some(function) = self.functions.get(&id) else { return [0; KINDS.len()] };
        function.calls.iter().fold(function.own, |sum, callee| plus(sum, self.whole(*callee), 1))
    }
}

fn plus(sum: Counts, more: Counts, times: u64) -> Counts {
    std::array::from_fn(|kind| sum[kind] + times * more[kind])
}

/// The SPIR-V of shaders, with naga's checks or without.
fn compile(source: &str, checked: bool) -> Result<Counted, Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_INT64).validate(&module)?;
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let options = spv::Options {
        flags: spv::WriterFlags::DEBUG,
        bounds_check_policies: BoundsCheckPolicies {
            index: policy,
            buffer: policy,
            image_load: policy,
            binding_array: policy,
        },
        force_loop_bounding: checked,
        ..spv::Options::default()
    };
    Ok(Counted::of(&spv::write_vec(&module, &info, &options, None)?))
}

fn row(name: &str, counts: Counts) {
    print!("{name:<28}");
    counts.iter().for_each(|count| print!("{count:>10}"));
    println!();
}

fn main() -> Result<(), Box<dyn Error>> {
    for Subject { name, source, kernels, entries, calls } in subjects() {
        let (checked, unchecked) = (compile(&source, true)?, compile(&source, false)?);
        print!("{:<28}", format!("{name}, a call"));
        KINDS.iter().for_each(|kind| print!("{kind:>10}"));
        println!();
        for name in ["add", "sub", "carry", "mul", "sqr", "double", "add_points", "add_row", "prepare"] {
            if checked.names.contains_key(name) {
                row(&format!("  {name}"), checked.call(name));
            }
        }
        // An entry point is its text: what its loops repeat is counted once.
        for kernel in kernels {
            row(&format!("  {kernel}, its text"), checked.call(kernel));
            row(&format!("  {kernel}, without checks"), unchecked.call(kernel));
        }
        let mut parts: BTreeMap<&str, Counts> = BTreeMap::new();
        for (part, function, times) in calls {
            let sum = parts.entry(part).or_default();
            *sum = plus(*sum, checked.call(function), *times);
        }
        let each = |counts: Counts| counts.map(|count| count / entries);
        let sum = |of_keys: bool| {
            let parts = parts.iter().filter(|(part, _)| of_keys || !part.ends_with('A'));
            parts.fold([0; KINDS.len()], |sum, (_, counts)| plus(sum, *counts, 1))
        };
        for (part, counts) in &parts {
            row(&format!("  {part}"), each(*counts));
        }
        for (keys, counts) in [("known", sum(false)), ("fresh", sum(true))] {
            row(&format!("a verification, {keys} key"), each(counts));
        }
    }
    Ok(())
}
