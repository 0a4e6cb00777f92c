use super::*;

fn started(bytes: usize) -> Option<(tempfile::TempDir, UringWriter)> {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::new(directory.path(), true, true);
    // A machine without io_uring has nothing to test here.
    let mut writer = UringWriter::new(files).ok()?;
    let file = Arc::new(File::create(directory.path().join("file")).unwrap());
    let buffer = Buffer::new(bytes / 4096);
    // Queued but never handed to the kernel: the test plays the kernel's part.
    writer.start(file, Write { ticket: 3, segment: 0, offset: 0, buffer, bytes });
    Some((directory, writer))
}

fn outcome(writer: &mut UringWriter) -> Result<(), Option<i32>> {
    assert_eq!((writer.outstanding.len(), writer.done.len()), (0, 1));
    let done = writer.done.pop().unwrap();
    assert_eq!(done.ticket, 3);
    done.result.map_err(|error| error.raw_os_error())
}

#[test]
fn a_short_write_is_continued_and_counts_only_with_its_own_sync() {
    let Some((_directory, mut writer)) = started(3 * 4096) else { return };
    writer.completed(6, 4096);
    writer.completed(7, -libc::ECANCELED);
    assert!(writer.done.is_empty());
    let rest = &writer.outstanding[0];
    assert_eq!((rest.written, rest.expected), (4096, 2));
    writer.completed(6, 8192);
    assert!(writer.done.is_empty(), "written is not durable");
    writer.completed(7, 0);
    assert_eq!(outcome(&mut writer), Ok(()));
}

#[test]
fn a_complete_write_is_durable_only_if_its_sync_succeeded() {
    // A cancelled sync did nothing, whatever cancelled it; a result that fdatasync does not have proves nothing either.
    for (result, expected) in
        [(-libc::EIO, Some(libc::EIO)), (-libc::ECANCELED, Some(libc::ECANCELED)), (1, None)]
    {
        let Some((_directory, mut writer)) = started(4096) else { return };
        writer.completed(6, 4096);
        writer.completed(7, result);
        assert_eq!(outcome(&mut writer), Err(expected), "fdatasync returned {result}");
    }
}

#[test]
fn a_continued_write_whose_second_sync_is_cancelled_has_failed() {
    let Some((_directory, mut writer)) = started(2 * 4096) else { return };
    writer.completed(6, 4096);
    writer.completed(7, -libc::ECANCELED);
    writer.completed(6, 4096);
    writer.completed(7, -libc::ECANCELED);
    assert_eq!(outcome(&mut writer), Err(Some(libc::ECANCELED)));
}

#[test]
fn a_failed_sync_behind_a_short_write_ends_it() {
    let Some((_directory, mut writer)) = started(2 * 4096) else { return };
    writer.completed(6, 4096);
    writer.completed(7, -libc::EIO);
    assert_eq!(outcome(&mut writer), Err(Some(libc::EIO)));
}

#[test]
fn a_failed_write_is_told_by_its_own_error() {
    for (result, expected) in [(-libc::ENOSPC, Some(libc::ENOSPC)), (-libc::EIO, Some(libc::EIO)), (0, None)]
    {
        let Some((_directory, mut writer)) = started(4096) else { return };
        writer.completed(6, result);
        writer.completed(7, -libc::ECANCELED);
        assert_eq!(outcome(&mut writer), Err(expected));
    }
}
