//! The order of writes and syncs, broken one rule at a time: the recording without them. Each must be found, or the
//! checks could not fail.

use std::path::Path;

use crate::tape::Act;

/// A broken rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What the command line calls it.
    pub name: &'static str,
    /// Whether something is left out: an act, and the name of its file or directory below the data directory.
    breaks: fn(&Act, &Path) -> bool,
}

fn is_sync(act: &Act) -> bool {
    matches!(act, Act::Sync { .. })
}

fn is_sync_of_names(act: &Act) -> bool {
    matches!(act, Act::SyncDirectory { .. })
}

fn segment(path: &Path, log: &str) -> bool {
    path.starts_with(log) && path.extension().is_some_and(|ending| ending == "segment")
}

/// All of them.
pub const RULES: [Rule; 9] = [
    Rule { name: "journal_is_synced", breaks: |act, path| is_sync(act) && segment(path, "journal") },
    Rule { name: "votes_are_synced", breaks: |act, path| is_sync(act) && segment(path, "consensus") },
    Rule {
        name: "identity_is_synced_before_its_name",
        breaks: |act, path| is_sync(act) && path.ends_with("identity.new"),
    },
    Rule {
        name: "segment_is_synced_before_its_name",
        breaks: |act, path| is_sync(act) && path.ends_with("segment.new"),
    },
    Rule {
        name: "checkpoint_is_synced_before_its_name",
        breaks: |act, path| is_sync(act) && path.ends_with("checkpoint.new"),
    },
    Rule {
        name: "names_in_the_journal_are_synced",
        breaks: |act, path| is_sync_of_names(act) && path == Path::new("journal"),
    },
    Rule {
        name: "names_of_checkpoints_are_synced",
        breaks: |act, path| is_sync_of_names(act) && path == Path::new("checkpoints"),
    },
    Rule {
        name: "names_in_the_data_directory_are_synced",
        breaks: |act, path| is_sync_of_names(act) && path == Path::new(""),
    },
    Rule { name: "syncs_do_not_lie", breaks: |act, _| is_sync(act) || is_sync_of_names(act) },
];

impl Rule {
    /// The rule of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        RULES.into_iter().find(|rule| rule.name == name)
    }

    /// Whether an act is left out, of a file or directory with this name below the data directory.
    #[must_use]
    pub fn leaves_out(self, act: &Act, path: &Path) -> bool {
        (self.breaks)(act, path)
    }
}
