//! The journal on disk while the database is away: JSON lines in numbered segments, each line with a checksum. Lines
//! are only added to a segment made by this process and a segment is removed when all of it is in the database, so a
//! crash at any point loses nothing that was reported as kept; what was half-read is read again.
//!
//! Calls block on the disk: never from a call's thread.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::entry::Entry;

/// A segment is closed when it is this long, so that reading one back costs bounded memory.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Where lines go that the database refused for good; kept for a person to look at.
const REJECTED: &str = "rejected.jsonl";
/// `rejected.jsonl` is moved aside once at this size, so that two files of it exist at most.
const REJECTED_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
}

/// The segments of one directory. One writer at a time.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    bytes_max: u64,
    segments: VecDeque<Segment>,
    /// The newest segment, while lines may still be added to it.
    open: Option<File>,
    next_number: u64,
    /// Segments before this one are a former process's.
    first_own: u64,
}

/// Why lines were not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// The limit of bytes is reached.
    #[error("spool is full")]
    Full,
    /// The disk refused.
    #[error("spool: {0}")]
    Disk(#[from] io::Error),
}

/// The oldest segment as read back.
#[derive(Debug)]
pub(super) struct ReadBack {
    pub(super) entries: Vec<Entry>,
    /// Lines whose checksum or form is wrong: torn by a crash in mid-write.
    pub(super) torn: u64,
}

impl Spool {
    /// Opens a directory, making it if needed, and finds what an earlier process left.
    pub(super) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let segments = find_segments(directory)?;
        let next_number = segments.last().map_or(1, |segment| segment.number + 1);
        let directory = directory.to_owned();
        let first_own = next_number;
        Ok(Self { directory, bytes_max, segments: segments.into(), open: None, next_number, first_own })
    }

    /// Bytes a directory holds, without opening it for writing.
    pub(super) fn peek(directory: &Path) -> u64 {
        find_segments(directory).map_or(0, |segments| segments.iter().map(|segment| segment.bytes.max(1)).sum())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes that a former process left, as [`Spool::peek`] counts them.
    pub(super) fn former_bytes(&self) -> u64 {
        let former = self.segments.iter().take_while(|segment| segment.number < self.first_own);
        former.map(|segment| segment.bytes.max(1)).sum()
    }

    /// Three quarters of what it may take are taken.
    pub(super) fn is_scarce(&self) -> bool {
        self.bytes() >= self.bytes_max / 4 * 3
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Adds entries, on the disk when this returns. All or none: a line that was half written is cut off again.
    pub(super) fn append(&mut self, entries: &[&Entry]) -> Result<(), SpoolError> {
        let mut text = Vec::new();
        for entry in entries {
            write_line(&mut text, entry)?;
        }
        let length = text.len() as u64;
        if self.bytes() + length > self.bytes_max {
            return Err(SpoolError::Full);
        }
        if self.open.is_none() || self.segments.back().is_none_or(|segment| segment.bytes >= SEGMENT_BYTES) {
            self.start_segment()?;
        }
        let (Some(file), Some(segment)) = (self.open.as_mut(), self.segments.back_mut()) else {
            return Err(SpoolError::Full);
        };
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        match written {
            Ok(()) => {
                segment.bytes += length;
                Ok(())
            }
            Err(error) => {
                if file.set_len(segment.bytes).is_err() {
                    // The torn line is found by its checksum; nothing may follow it.
                    self.open = None;
                }
                Err(error.into())
            }
        }
    }

    /// The entries of the oldest segment, which takes no more lines from now on.
    pub(super) fn read_oldest(&mut self) -> io::Result<Option<ReadBack>> {
        if self.segments.len() == 1 {
            self.open = None;
        }
        let Some(oldest) = self.segments.front() else { return Ok(None) };
        let text = match std::fs::read(self.path(oldest.number)) {
            Ok(text) => text,
            // Somebody cleared the directory: nothing to read any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut back = ReadBack { entries: Vec::new(), torn: 0 };
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match read_line(line) {
                Some(entry) => back.entries.push(entry),
                None => {
                    back.torn += 1;
                    self.keep_aside(line)?;
                }
            }
        }
        Ok(Some(back))
    }

    /// Forgets the oldest segment: all of it is in the database.
    pub(super) fn remove_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        match std::fs::remove_file(self.path(oldest.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.segments.pop_front();
                Ok(())
            }
        }
    }

    /// Keeps an entry that the database refused for good.
    pub(super) fn reject(&self, entry: &Entry) -> io::Result<()> {
        let mut line = Vec::new();
        write_line(&mut line, entry)?;
        line.pop();
        self.keep_aside(&line)
    }

    fn keep_aside(&self, line: &[u8]) -> io::Result<()> {
        let path = self.directory.join(REJECTED);
        if std::fs::metadata(&path).is_ok_and(|file| file.len() >= REJECTED_BYTES) {
            std::fs::rename(&path, self.directory.join("rejected.old"))?;
        }
        let mut file = private().append(true).open(path)?;
        file.write_all(line)?;
        file.write_all(b"\n")?;
        file.sync_data()
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let number = self.next_number;
        let file = private().append(true).create_new(true).open(self.path(number))?;
        // The name must survive a crash as well.
        File::open(&self.directory)?.sync_all()?;
        self.next_number += 1;
        self.segments.push_back(Segment { number, bytes: 0 });
        self.open = Some(file);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.jsonl"))
    }
}

/// Oldest first.
fn find_segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|n| n.parse().ok());
        if let Some(number) = number {
            segments.push(Segment { number, bytes: file.metadata()?.len() });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

/// Speech and numbers are in these files: for the owner only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    options.mode(0o600);
    options
}

fn write_line(text: &mut Vec<u8>, entry: &Entry) -> io::Result<()> {
    let json = serde_json::to_vec(entry)?;
    text.extend_from_slice(checksum(&json).as_bytes());
    text.push(b' ');
    text.extend_from_slice(&json);
    text.push(b'\n');
    Ok(())
}

fn read_line(line: &[u8]) -> Option<Entry> {
    let (sum, json) = (line.get(..16)?, line.get(17..)?);
    if line.get(16) != Some(&b' ') || checksum(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// The first 64 bits of SHA-256, in hex.
fn checksum(json: &[u8]) -> String {
    digest(&SHA256, json).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::super::entry::Body;
    use super::*;
    use uuid::Uuid;

    fn entry(name: &str) -> Entry {
        Entry::now(Body::Event { call: Uuid::now_v7(), name: name.to_owned(), detail: serde_json::json!({}), at_ms: 0 })
    }

    fn names(back: &ReadBack) -> Vec<&str> {
        back.entries
            .iter()
            .map(|entry| match &entry.body {
                Body::Event { name, .. } => name.as_str(),
                _ => "",
            })
            .collect()
    }

    #[test]
    fn what_was_appended_is_read_back_in_order_by_the_next_process() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.append(&[&entry("a"), &entry("b")]).unwrap();
        spool.append(&[&entry("c")]).unwrap();
        drop(spool);
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.append(&[&entry("d")]).unwrap();
        let back = spool.read_oldest().unwrap().unwrap();
        assert_eq!((names(&back), back.torn), (vec!["a", "b", "c"], 0));
        spool.remove_oldest().unwrap();
        assert_eq!(names(&spool.read_oldest().unwrap().unwrap()), ["d"]);
        spool.remove_oldest().unwrap();
        assert!(spool.is_empty() && spool.bytes() == 0);
    }

    #[test]
    fn a_segment_being_read_takes_no_more_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.append(&[&entry("a")]).unwrap();
        assert_eq!(names(&spool.read_oldest().unwrap().unwrap()), ["a"]);
        spool.append(&[&entry("b")]).unwrap();
        spool.remove_oldest().unwrap();
        assert_eq!(names(&spool.read_oldest().unwrap().unwrap()), ["b"]);
    }

    #[test]
    fn a_torn_line_is_set_aside_and_the_others_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.append(&[&entry("a"), &entry("b")]).unwrap();
        let path = spool.path(1);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        let back = spool.read_oldest().unwrap().unwrap();
        assert_eq!((names(&back), back.torn), (vec!["a"], 1));
        assert!(directory.path().join(REJECTED).exists());
    }

    #[test]
    fn a_full_spool_refuses_the_whole_batch() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 300).unwrap();
        spool.append(&[&entry("a")]).unwrap();
        let before = spool.bytes();
        assert!(matches!(spool.append(&[&entry("b"), &entry("c")]), Err(SpoolError::Full)));
        assert_eq!(spool.bytes(), before);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_not_read_the_spool() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.append(&[&entry("a")]).unwrap();
        assert_eq!(std::fs::metadata(spool.path(1)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
