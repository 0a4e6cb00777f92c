//! Which backend of the journal is in use, and why not the faster one: said once, and in the status.

use std::io;

use engine::store::{Log, Replay};

/// Says that the journal is written the slower way, if that was not wanted.
pub fn tell_fallback(journal: &Log) {
    if let Some(why) = why_portable(journal) {
        tracing::warn!(
            "io_uring cannot be used ({why}): the journal is written by plain file calls, which is slower and as safe"
        );
    }
}

/// Says which repairs count for nothing.
pub fn tell_spoiled(journal: &Replay) {
    for (file, wrong) in journal.spoiled_repairs() {
        tracing::warn!(
            "{} cannot be used ({wrong}): what it repaired counts as rotten until it is repaired again. Look at the disk",
            file.display()
        );
    }
}

/// Why the journal is written the slower way; `None` where it is not, or where that was asked for.
pub fn why_portable(journal: &Log) -> Option<String> {
    journal.fallback().map(|error| format!("{}: {error}", cause(error)))
}

/// What an operator can look at.
fn cause(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "the system forbids it, by the seccomp filter of a container or kernel.io_uring_disabled"
        }
        Some(libc::ENOSYS) => "this kernel has no io_uring",
        Some(libc::ENOMEM) => "too little memory may be locked, see `ulimit -l`",
        Some(libc::EINVAL | libc::EOPNOTSUPP) => {
            "this file system or kernel cannot do direct writes through it"
        }
        _ if error.kind() == io::ErrorKind::Unsupported => "this kernel is too old",
        _ => "a trial write failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_says_what_to_look_at() {
        let says = |code| cause(&io::Error::from_raw_os_error(code));
        assert!(says(libc::EPERM).contains("seccomp"));
        assert!(says(libc::ENOSYS).contains("kernel"));
        assert!(says(libc::ENOMEM).contains("ulimit"));
        assert!(says(libc::EINVAL).contains("file system"));
        assert!(says(libc::EIO).contains("trial"));
        assert!(cause(&io::Error::from(io::ErrorKind::Unsupported)).contains("old"));
    }
}
