//! What a file system promises, and what it may make of a power cut.
//!
//! ```text
//! written ──▶ pending sectors, lengths, names ── fsync of the file: its sectors and length ──▶ durable
//!                          │                  └─ fsync of the directory: its names
//!                     power cut: each pending one is kept, lost, or (a sector) torn
//! ```
//!
//! A file system may promise more; nothing here relies on that. The name of a new file is not made durable by a sync
//! of the file. Of two pending names the later one may arrive without the earlier one. A file whose length was not
//! synced ends behind the last sector that arrived. A sector that is written twice without a sync is remembered as it
//! was last.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tape::{Act, File};

/// What a disk writes in one piece, or tears.
pub const SECTOR_BYTES: usize = 4096;
/// A torn sector has arrived up to a multiple of this.
pub const TORN_BYTES: usize = 512;

/// The bytes of a sector, and their digest.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    digest: u64,
    bytes: [u8; SECTOR_BYTES],
}

type Sector = Arc<Block>;

fn sector(bytes: [u8; SECTOR_BYTES]) -> Sector {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Arc::new(Block { digest: hasher.finish(), bytes })
}

const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];

/// What becomes of something pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It arrives.
    Kept,
    /// It does not.
    Lost,
    /// Of a sector the first bytes arrive, so many; names and lengths are lost.
    Torn(usize),
}

/// What one name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    File(u64),
    Directory,
}

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
struct Content {
    /// Sectors that were never written, or only with zeros, are zeros and not here.
    durable: Arc<BTreeMap<u64, Sector>>,
    durable_bytes: u64,
    pending: BTreeMap<u64, Sector>,
    bytes: u64,
}

/// Names that change together.
#[derive(Clone, Debug)]
struct Renaming {
    directory: PathBuf,
    names: Vec<(PathBuf, Option<Node>)>,
}

/// A disk: what it keeps whatever happens, and what was written since and may be lost.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, Node>,
    pending: Vec<Renaming>,
    /// The present content of each file number: numbers are used again.
    of: BTreeMap<File, u64>,
    next: u64,
}

/// Something pending, in the order in which fates are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Sector(u64, u64),
    Length(u64),
    Names(usize),
}

impl Disk {
    /// What stands below a directory now, all of it durable.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            disk.names.insert(directory.clone(), Node::Directory);
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                let metadata = fs::metadata(&path)?;
                if metadata.is_dir() {
                    directories.push(path);
                    continue;
                }
                let file = std::os::unix::fs::MetadataExt::ino(&metadata);
                let number = disk.content(file);
                disk.names.insert(path.clone(), Node::File(number));
                let bytes = fs::read(&path)?;
                disk.write(number, 0, &bytes);
                disk.sync(number);
            }
        }
        Ok(disk)
    }

    fn content(&mut self, file: File) -> u64 {
        self.next += 1;
        self.of.insert(file, self.next);
        self.contents.insert(self.next, Content::default());
        self.next
    }

    fn number(&self, file: File) -> u64 {
        *self.of.get(&file).expect("a recording names only files that were there, or that it has made")
    }

    /// Does what was recorded.
    pub fn apply(&mut self, act: &Act) {
        match act {
            Act::Create { path, file } => {
                let number = self.content(*file);
                self.rename(path, vec![(path.clone(), Some(Node::File(number)))]);
            }
            Act::Length { file, bytes } => {
                let number = self.number(*file);
                let content = self.contents.entry(number).or_default();
                content.bytes = *bytes;
                // What was cut off is gone at once: nobody relies on it.
                let kept = bytes.div_ceil(SECTOR_BYTES as u64);
                Arc::make_mut(&mut content.durable).split_off(&kept);
                content.pending.split_off(&kept);
                content.durable_bytes = content.durable_bytes.min(*bytes);
            }
            Act::Write { file, offset, bytes } => self.write(self.number(*file), *offset, bytes),
            Act::Sync { file } => self.sync(self.number(*file)),
            Act::SyncDirectory { path } => {
                let is_here = |renaming: &mut Renaming| renaming.directory == *path;
                for renaming in self.pending.extract_if(.., is_here) {
                    set(&mut self.names, &renaming.names);
                }
            }
            Act::Rename { from, to } => {
                let node = self.seen().get(from).copied();
                self.rename(to, vec![(from.clone(), None), (to.clone(), node)]);
            }
            Act::Remove { path } => self.rename(path, vec![(path.clone(), None)]),
            Act::MakeDirectory { path } => self.rename(path, vec![(path.clone(), Some(Node::Directory))]),
            Act::Told { .. } => {}
        }
    }

    fn rename(&mut self, at: &Path, names: Vec<(PathBuf, Option<Node>)>) {
        self.pending.push(Renaming { directory: at.parent().unwrap_or(at).to_owned(), names });
    }

    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) {
        let content = self.contents.entry(number).or_default();
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (place, within) = (at / SECTOR_BYTES as u64, (at % SECTOR_BYTES as u64) as usize);
            let (now, later) = rest.split_at(rest.len().min(SECTOR_BYTES - within));
            let before = content.seen(place);
            let mut whole = before.map_or(ZEROS, |sector| sector.bytes);
            whole[within..within + now.len()].copy_from_slice(now);
            if before.is_some() || whole != ZEROS {
                content.pending.insert(place, sector(whole));
            }
            (at, rest) = (at + now.len() as u64, later);
        }
        content.bytes = content.bytes.max(at);
    }

    fn sync(&mut self, number: u64) {
        let content = self.contents.entry(number).or_default();
        if !content.pending.is_empty() {
            Arc::make_mut(&mut content.durable).append(&mut content.pending);
        }
        content.durable_bytes = content.bytes;
    }

    /// The names that a running process sees.
    fn seen(&self) -> BTreeMap<PathBuf, Node> {
        let mut names = self.names.clone();
        self.pending.iter().for_each(|renaming| set(&mut names, &renaming.names));
        names
    }

    /// What is pending and can be reached by a name, now or after a power cut.
    fn items(&self) -> Vec<Item> {
        let renamed = self.pending.iter().flat_map(|renaming| &renaming.names).filter_map(|(_, node)| *node);
        let nodes: Vec<Node> = self.names.values().copied().chain(renamed).collect();
        let files: BTreeSet<u64> = nodes
            .into_iter()
            .filter_map(|node| match node {
                Node::File(number) => Some(number),
                Node::Directory => None,
            })
            .collect();
        let mut items: Vec<Item> = (0..self.pending.len()).map(Item::Names).collect();
        for number in files {
            let content = &self.contents[&number];
            items.extend(content.pending.keys().map(|sector| Item::Sector(number, *sector)));
            if content.bytes != content.durable_bytes {
                items.push(Item::Length(number));
            }
        }
        items
    }

    /// The name of a file, as a process sees it.
    #[must_use]
    pub fn name(&self, file: File) -> Option<PathBuf> {
        let node = Node::File(self.number(file));
        self.seen().into_iter().find(|(_, found)| *found == node).map(|(path, _)| path)
    }

    /// How many things are pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.items().len()
    }

    /// The disk after a power cut. The fates are given out in an order that depends on the disk alone.
    #[must_use]
    pub fn cut(&self, mut fate: impl FnMut() -> Fate) -> Self {
        let mut disk = self.clone();
        let mut lengths = BTreeMap::new();
        let mut names = Vec::new();
        for item in self.items() {
            let fate = fate();
            match item {
                Item::Names(at) => names.extend((fate == Fate::Kept).then_some(at)),
                Item::Length(number) => {
                    lengths.insert(number, fate == Fate::Kept);
                }
                Item::Sector(number, place) => {
                    let content = disk.contents.entry(number).or_default();
                    let pending = content.pending[&place].clone();
                    let arrived = match fate {
                        Fate::Lost => continue,
                        Fate::Kept => pending,
                        Fate::Torn(bytes) => {
                            let mut torn = content.durable.get(&place).map_or(ZEROS, |sector| sector.bytes);
                            torn[..bytes].copy_from_slice(&pending.bytes[..bytes]);
                            sector(torn)
                        }
                    };
                    Arc::make_mut(&mut content.durable).insert(place, arrived);
                    let end = ((place + 1) * SECTOR_BYTES as u64).min(content.bytes);
                    content.durable_bytes = content.durable_bytes.max(end);
                }
            }
        }
        for at in names {
            set(&mut disk.names, &self.pending[at].names);
        }
        disk.pending.clear();
        for (number, content) in &mut disk.contents {
            content.pending.clear();
            if lengths.get(number) == Some(&true) {
                content.durable_bytes = content.bytes;
            }
            content.bytes = content.durable_bytes;
        }
        disk
    }

    /// The sum of what a process sees that opens this disk: equal disks have equal ones.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, node) in self.reachable() {
            path.hash(&mut hasher);
            let Node::File(number) = node else { continue };
            let content = &self.contents[&number];
            content.bytes.hash(&mut hasher);
            for (place, sector) in content.all() {
                (place, sector.digest).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// The names that can be reached: those below a directory that was lost cannot.
    fn reachable(&self) -> BTreeMap<PathBuf, Node> {
        let mut names = self.seen();
        let lost: Vec<PathBuf> = names
            .keys()
            .filter(|path| {
                let is_there = |above: &Path| names.get(above) == Some(&Node::Directory);
                let first = names.keys().next().expect("the root");
                *path != first
                    && !path.ancestors().skip(1).take_while(|at| at.starts_with(first)).all(is_there)
            })
            .cloned()
            .collect();
        names.retain(|path, _| !lost.contains(path));
        names
    }

    /// Makes what a process would see, in another place. `root` is where this disk was recorded.
    ///
    /// # Errors
    /// The place cannot be written.
    pub fn lay_out(&self, root: &Path, at: &Path) -> io::Result<()> {
        for (path, node) in self.reachable() {
            let place = at.join(path.strip_prefix(root).map_err(io::Error::other)?);
            match node {
                Node::Directory => fs::create_dir_all(&place)?,
                Node::File(number) => self.contents[&number].lay_out(&place)?,
            }
        }
        Ok(())
    }

    /// The same disk, as it stands laid out at another place, where its files have other numbers.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn moved(&self, root: &Path, at: &Path) -> io::Result<Self> {
        let there = |path: &Path| path.strip_prefix(root).map(|path| at.join(path)).map_err(io::Error::other);
        let mut disk =
            Self { of: BTreeMap::new(), names: BTreeMap::new(), pending: Vec::new(), ..self.clone() };
        for (path, node) in &self.names {
            disk.names.insert(there(path)?, *node);
        }
        for renaming in &self.pending {
            let mut names = Vec::new();
            for (path, node) in &renaming.names {
                names.push((there(path)?, *node));
            }
            disk.pending.push(Renaming { directory: there(&renaming.directory)?, names });
        }
        for (path, node) in self.reachable() {
            if let Node::File(number) = node {
                let file = std::os::unix::fs::MetadataExt::ino(&fs::metadata(there(&path)?)?);
                disk.of.insert(file, number);
            }
        }
        Ok(disk)
    }

    /// Whether a directory holds exactly what a process sees of this disk, so that nothing was missed.
    ///
    /// # Errors
    /// What differs.
    pub fn is_seen_at(&self, root: &Path) -> Result<(), String> {
        let real = Self::read(root).map_err(|error| error.to_string())?;
        let (expected, found) = (self.reachable(), real.reachable());
        let names = |names: &BTreeMap<PathBuf, Node>| names.keys().cloned().collect::<BTreeSet<_>>();
        if let Some(path) = names(&expected).symmetric_difference(&names(&found)).next() {
            return Err(format!("{}: recorded and real names differ", path.display()));
        }
        for (path, node) in expected {
            let (Node::File(number), Some(Node::File(other))) = (node, found.get(&path)) else { continue };
            let (expected, found) = (&self.contents[&number], &real.contents[other]);
            let sectors = expected.bytes.div_ceil(SECTOR_BYTES as u64);
            let zeros = sector(ZEROS);
            let same = |at| expected.seen(at).unwrap_or(&zeros) == found.seen(at).unwrap_or(&zeros);
            if expected.bytes != found.bytes || !(0..sectors).all(same) {
                return Err(format!("{}: recorded and real bytes differ", path.display()));
            }
        }
        Ok(())
    }
}

impl Content {
    fn seen(&self, sector: u64) -> Option<&Sector> {
        self.pending.get(&sector).or_else(|| self.durable.get(&sector))
    }

    /// Every sector that was written, as a process sees it.
    fn all(&self) -> BTreeMap<u64, &Sector> {
        self.durable.iter().chain(&self.pending).map(|(place, sector)| (*place, sector)).collect()
    }

    fn lay_out(&self, path: &Path) -> io::Result<()> {
        let file = fs::File::create(path)?;
        file.set_len(self.bytes)?;
        for (place, sector) in self.all() {
            let start = place * SECTOR_BYTES as u64;
            let bytes = self.bytes.saturating_sub(start).min(SECTOR_BYTES as u64) as usize;
            file.write_all_at(&sector.bytes[..bytes], start)?;
        }
        Ok(())
    }
}

fn set(names: &mut BTreeMap<PathBuf, Node>, changes: &[(PathBuf, Option<Node>)]) {
    for (path, node) in changes {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/data";

    fn path(name: &str) -> PathBuf {
        Path::new(ROOT).join(name)
    }

    fn after(acts: &[Act]) -> Disk {
        let mut disk = Disk::default();
        disk.names.insert(ROOT.into(), Node::Directory);
        acts.iter().for_each(|act| disk.apply(act));
        disk
    }

    fn bytes(disk: &Disk, name: &str) -> Option<Vec<u8>> {
        let Some(Node::File(number)) = disk.reachable().get(&path(name)).copied() else { return None };
        let content = &disk.contents[&number];
        let mut bytes = vec![0; content.bytes.next_multiple_of(SECTOR_BYTES as u64) as usize];
        for (place, sector) in content.all() {
            bytes[place as usize * SECTOR_BYTES..][..SECTOR_BYTES].copy_from_slice(&sector.bytes);
        }
        bytes.truncate(content.bytes as usize);
        Some(bytes)
    }

    fn written() -> Vec<Act> {
        let create = Act::Create { path: path("a.new"), file: 7 };
        vec![create, Act::Write { file: 7, offset: 0, bytes: vec![1; SECTOR_BYTES + 10] }]
    }

    fn renamed() -> Act {
        Act::Rename { from: path("a.new"), to: path("a") }
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_be_lost() {
        let sync = Act::Sync { file: 7 };
        let names = Act::SyncDirectory { path: ROOT.into() };
        let synced = after(&[written(), vec![sync.clone(), renamed(), names.clone()]].concat());
        assert_eq!(
            (synced.pending(), bytes(&synced.cut(|| Fate::Lost), "a")),
            (0, Some(vec![1; SECTOR_BYTES + 10]))
        );
        let nameless = after(&[written(), vec![sync, renamed()]].concat());
        assert_eq!(bytes(&nameless.cut(|| Fate::Lost), "a"), None);
        assert_eq!(bytes(&nameless.cut(|| Fate::Kept), "a"), Some(vec![1; SECTOR_BYTES + 10]));
        // The rename before the sync: the name of nothing.
        let empty = after(&[written(), vec![renamed(), names]].concat());
        assert_eq!(bytes(&empty.cut(|| Fate::Lost), "a"), Some(Vec::new()));
    }

    #[test]
    fn sectors_are_torn_and_files_end_behind_the_last_that_arrived() {
        let names = Act::SyncDirectory { path: ROOT.into() };
        let disk = after(&[written(), vec![names]].concat());
        assert_eq!(disk.pending(), 3, "two sectors and a length");
        let mut fates = [Fate::Torn(512), Fate::Lost, Fate::Lost].into_iter();
        let torn = bytes(&disk.cut(|| fates.next().unwrap()), "a.new").unwrap();
        assert_eq!(torn, [vec![1; 512], vec![0; SECTOR_BYTES - 512]].concat());
        let mut fates = [Fate::Lost, Fate::Kept, Fate::Lost].into_iter();
        let second = bytes(&disk.cut(|| fates.next().unwrap()), "a.new").unwrap();
        assert_eq!(second, [vec![0; SECTOR_BYTES], vec![1; 10]].concat());
        assert_ne!(disk.cut(|| Fate::Kept).digest(), disk.cut(|| Fate::Lost).digest());
    }

    #[test]
    fn a_file_in_a_directory_that_was_lost_is_lost() {
        let inside = path("below/a");
        let below = path("below");
        let disk = after(&[
            Act::MakeDirectory { path: below.clone() },
            Act::Create { path: inside.clone(), file: 3 },
            Act::Sync { file: 3 },
            Act::SyncDirectory { path: below },
        ]);
        assert!(!disk.cut(|| Fate::Lost).reachable().contains_key(&inside));
        assert!(disk.cut(|| Fate::Kept).reachable().contains_key(&inside));
    }
}
