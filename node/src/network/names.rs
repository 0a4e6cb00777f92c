//! Names for the validators of a local network: trees are easier to tell apart in a log than numbers.

const TREES: [&str; 16] = [
    "alder", "birch", "cedar", "damson", "elm", "fir", "ginkgo", "hazel", "ilex", "juniper", "katsura",
    "larch", "maple", "nyssa", "oak", "pine",
];

/// The name of validator `index`: a tree, and a number from the seventeenth on.
pub(super) fn name(index: usize) -> String {
    let tree = TREES[index % TREES.len()];
    match index / TREES.len() {
        0 => tree.to_owned(),
        round => format!("{tree}-{}", round + 1),
    }
}
