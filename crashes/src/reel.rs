//! A recording as bytes, to come from one process to another: each act a tag, its numbers, and its texts with their
//! lengths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::tape::Act;

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn name(out: &mut Vec<u8>, path: &Path) {
    text(out, path.as_os_str().as_bytes());
}

/// The bytes of a recording.
#[must_use]
pub fn encode(acts: &[Act]) -> Vec<u8> {
    let mut out = Vec::new();
    for act in acts {
        out.push(match act {
            Act::Create { .. } => 1,
            Act::Length { .. } => 2,
            Act::Write { .. } => 3,
            Act::Sync { .. } => 4,
            Act::SyncDirectory { .. } => 5,
            Act::Rename { .. } => 6,
            Act::Remove { .. } => 7,
            Act::MakeDirectory { .. } => 8,
            Act::Told { .. } => 9,
        });
        match act {
            Act::Create { path, file } => {
                name(&mut out, path);
                number(&mut out, *file);
            }
            Act::Length { file, bytes } => [*file, *bytes].into_iter().for_each(|it| number(&mut out, it)),
            Act::Write { file, offset, bytes } => {
                [*file, *offset].into_iter().for_each(|it| number(&mut out, it));
                text(&mut out, bytes);
            }
            Act::Sync { file } => number(&mut out, *file),
            Act::SyncDirectory { path } | Act::Remove { path } | Act::MakeDirectory { path } => {
                name(&mut out, path);
            }
            Act::Rename { from, to } => [from, to].into_iter().for_each(|path| name(&mut out, path)),
            Act::Told { number: told } => number(&mut out, *told),
        }
    }
    out
}

/// The recording of these bytes; `None` where they are not one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Act>> {
    let mut reader = Reader(bytes);
    let mut acts = Vec::new();
    while let Some((tag, rest)) = reader.0.split_first() {
        reader.0 = rest;
        acts.push(match tag {
            1 => Act::Create { path: reader.name()?, file: reader.number()? },
            2 => Act::Length { file: reader.number()?, bytes: reader.number()? },
            3 => Act::Write {
                file: reader.number()?,
                offset: reader.number()?,
                bytes: reader.text()?.to_vec(),
            },
            4 => Act::Sync { file: reader.number()? },
            5 => Act::SyncDirectory { path: reader.name()? },
            6 => Act::Rename { from: reader.name()?, to: reader.name()? },
            7 => Act::Remove { path: reader.name()? },
            8 => Act::MakeDirectory { path: reader.name()? },
            9 => Act::Told { number: reader.number()? },
            _ => return None,
        });
    }
    Some(acts)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn name(&mut self) -> Option<PathBuf> {
        self.text().map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_comes_back_as_it_was() {
        let path = PathBuf::from("/a/b");
        let acts = vec![
            Act::Create { path: path.clone(), file: 9 },
            Act::Length { file: 9, bytes: 1 << 40 },
            Act::Write { file: 9, offset: 4096, bytes: vec![1, 2, 3] },
            Act::Sync { file: 9 },
            Act::SyncDirectory { path: path.clone() },
            Act::Rename { from: path.clone(), to: path.join("c") },
            Act::Remove { path: path.clone() },
            Act::MakeDirectory { path },
            Act::Told { number: 3 },
        ];
        let bytes = encode(&acts);
        assert_eq!(decode(&bytes), Some(acts));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
