// Where the combination's things are; the bindings are those of the program narrow, and only `claims`, `tables`,
// `scalars`, `points` and `verdicts` hold something else:
//
// - `claims`: behind the claims four words for each claim and then for each group, their coefficients.
// - `tables`: for each slot the rows of A and of 2¹²⁸A, then for each claim those of R.
// - `scalars`: for each claim zk, biased.
// - `points`: once the tables are made, for each group 32 columns in extended coordinates.
// - `verdicts`: for each slot what the first program says, then for each group the encoding of its sum.

// Behind the constants of narrow: L − 888…8 (32 digits), then x and y of 0 … 15 times the base point.
const UNBIAS = 2336u;
const MULTIPLES = 2356u;

// Words of a row (an element each of Y − X, Y + X, 2Z, 2dT, two limbs to a word), and of the rows of a point: zero to
// eight times.
const ROW = 40u;
const ROWS = 360u;
// Columns of hexadecimal digits, and words of what a column sums to.
const COLUMNS = 32u;
const COLUMN = 80u;
// What the first program writes for an entry that it accepts.
const ACCEPTED = 2u;

// Words from the beginning of `claims` to the coefficients.
fn coefficients() -> u32 {
    return params.claims * CLAIM_WORDS;
}

// Where the rows of a claim's R are.
fn rows_of(claim: u32) -> u32 {
    return 2u * ROWS * params.slots + ROWS * claim;
}

fn groups() -> u32 {
    return (params.claims + params.group - 1u) / params.group;
}

fn fe_row(at: u32) -> Fe {
    var r: Fe;
    for (var i = 0u; i < 10u; i++) {
        r[2u * i] = tables[at + i] & 0xffffu;
        r[2u * i + 1u] = tables[at + i] >> 16u;
    }
    return r;
}
