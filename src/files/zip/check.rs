//! Whether a file is a whole zip, told from its central directory, with flat memory however many entries it claims.
//!
//! The contents are not unpacked: a reader checks them against their sums anyway. What is caught here is what a cut
//! transfer or a strange sender leaves: no zip at all, the end missing, a directory that is not where, or not as long
//! as, it says.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

const LOCAL_HEADER: u32 = 0x0403_4b50;
const ENTRY: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const ENTRY_BYTES: u64 = 46;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const END_64_BYTES: usize = 56;
/// The longest comment that may follow the end record.
const COMMENT: usize = 65_535;
/// In a field of two or four bytes: the number is in the 64-bit record.
const IN_64: (u64, u64) = (0xffff, 0xffff_ffff);

/// Where the central directory is.
struct Directory {
    entries: u64,
    offset: u64,
    bytes: u64,
}

/// The number of entries of a whole zip. Reads from anywhere in the file; where it is left does not matter.
///
/// # Errors
/// `InvalidData` with what is wrong, or the disk's own.
pub fn check(file: &File) -> io::Result<u64> {
    let mut file = BufReader::new(file);
    let directory = find(&mut file)?;
    if directory.entries > 0 {
        file.seek(SeekFrom::Start(0))?;
        if u32::from_le_bytes(read(&mut file)?) != LOCAL_HEADER {
            return Err(wrong("it does not begin with a file"));
        }
    }
    walk(&mut file, &directory)?;
    Ok(directory.entries)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no whole zip: {what}"))
}

fn read<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("it ends too early"),
        _ => error,
    })?;
    Ok(bytes)
}

/// The number of `size` bytes at `at`, which the caller has made sure are there.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn find(file: &mut BufReader<&File>) -> io::Result<Directory> {
    let length = file.seek(SeekFrom::End(0))?;
    // At most 64 KiB, so it fits any usize.
    let tail_bytes = length.min((END_BYTES + COMMENT) as u64) as usize;
    let tail_start = length - tail_bytes as u64;
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = vec![0; tail_bytes];
    file.read_exact(&mut tail)?;
    let end = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|at| is_end(&tail, *at));
    let Some(end) = end else { return Err(wrong("its end is missing")) };
    let record = &tail[end..];
    let directory =
        Directory { entries: number(record, 10, 2), bytes: number(record, 12, 4), offset: number(record, 16, 4) };
    let end = tail_start + end as u64;
    let (short, long) = IN_64;
    let in_64 = directory.entries == short || directory.bytes == long || directory.offset == long;
    let (directory, end) = if in_64 { find_64(file, directory, end)? } else { (directory, end) };
    if directory.offset.checked_add(directory.bytes).is_none_or(|past| past > end) {
        return Err(wrong("its directory is not where it says"));
    }
    Ok(directory)
}

/// Whether an end record is at `at`, with a comment that reaches exactly to the end of the file.
fn is_end(tail: &[u8], at: usize) -> bool {
    tail.len() >= at + END_BYTES
        && number(tail, at, 4) == u64::from(END)
        && number(tail, at + 20, 2) == (tail.len() - at - END_BYTES) as u64
}

/// The directory from the 64-bit record, and where that record begins. A short record whose numbers happen to be the
/// largest ones has none.
fn find_64(file: &mut BufReader<&File>, short: Directory, end: u64) -> io::Result<(Directory, u64)> {
    let Some(locator) = end.checked_sub(LOCATOR_BYTES as u64) else { return Ok((short, end)) };
    file.seek(SeekFrom::Start(locator))?;
    let found: [u8; LOCATOR_BYTES] = read(file)?;
    if number(&found, 0, 4) != u64::from(LOCATOR_64) {
        return Ok((short, end));
    }
    let at = number(&found, 8, 8);
    if at > locator {
        return Err(wrong("its 64-bit end is not where it says"));
    }
    file.seek(SeekFrom::Start(at))?;
    let record: [u8; END_64_BYTES] = read(file)?;
    if number(&record, 0, 4) != u64::from(END_64) {
        return Err(wrong("its 64-bit end is not where it says"));
    }
    let directory =
        Directory { entries: number(&record, 32, 8), bytes: number(&record, 40, 8), offset: number(&record, 48, 8) };
    Ok((directory, at))
}

fn walk(file: &mut BufReader<&File>, directory: &Directory) -> io::Result<()> {
    file.seek(SeekFrom::Start(directory.offset))?;
    let (mut entries, mut left) = (0_u64, directory.bytes);
    while left > 0 {
        let header: [u8; ENTRY_BYTES as usize] = read(file)?;
        let names = [28, 30, 32].into_iter().map(|at| number(&header, at, 2)).sum::<u64>();
        let offset = number(&header, 42, 4);
        if number(&header, 0, 4) != u64::from(ENTRY) || (offset != IN_64.1 && offset >= directory.offset) {
            return Err(wrong("its directory cannot be read"));
        }
        left = left.checked_sub(ENTRY_BYTES + names).ok_or_else(|| wrong("its directory is longer than it says"))?;
        file.seek_relative(names.cast_signed())?;
        entries += 1;
    }
    if entries != directory.entries {
        return Err(wrong("its directory has another number of entries than it says"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn zipped(files: usize, large: bool) -> Vec<u8> {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        for number in 0..files {
            let options = SimpleFileOptions::default().large_file(large);
            writer.start_file(format!("directory/file-{number}"), options).unwrap();
            writer.write_all(format!("content of {number}").as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn checked(bytes: &[u8]) -> io::Result<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check(&file)
    }

    #[test]
    fn whole_zips_pass_with_any_number_of_entries() {
        for files in [0, 1, 7, 300] {
            assert_eq!(checked(&zipped(files, false)).unwrap(), files as u64);
            assert_eq!(checked(&zipped(files, true)).unwrap(), files as u64);
        }
        // More than the short record can count.
        assert_eq!(checked(&zipped(70_000, false)).unwrap(), 70_000);
    }

    #[test]
    fn what_is_no_zip_is_refused() {
        for bytes in [&b""[..], b"PK", b"<html>502 Bad Gateway</html>", &vec![0; 100_000]] {
            assert_eq!(checked(bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_zip_cut_anywhere_is_refused() {
        let whole = zipped(20, false);
        for length in 0..whole.len() {
            assert!(checked(&whole[..length]).is_err(), "cut to {length} of {}", whole.len());
        }
    }

    #[test]
    fn a_zip_without_its_beginning_is_refused() {
        let whole = zipped(20, false);
        for from in 1..whole.len() {
            assert!(checked(&whole[from..]).is_err(), "from {from} of {}", whole.len());
        }
    }

    #[test]
    fn an_end_that_claims_four_thousand_million_entries_costs_nothing() {
        let mut whole = zipped(3, true);
        let end = whole.len() - END_BYTES;
        whole[end + 8..end + 20].fill(0xff);
        whole[end + 16..end + 20].fill(0);
        assert!(checked(&whole).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..2_000, byte: u8, cut in 0_usize..2_000) {
            let mut whole = zipped(8, false);
            let at = at % whole.len();
            whole[at] = byte;
            let _ = checked(&whole[cut % whole.len()..]);
            let _ = checked(&whole);
        }
    }
}
