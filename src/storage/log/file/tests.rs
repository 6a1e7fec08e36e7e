use arrow::ipc::reader::StreamReader;
use proptest::prelude::*;

use super::super::block::{Encoder, Place};
use super::super::disk::MemoryDisk;
use super::super::entry::Entry;
use super::*;
use crate::txn::TxnId;

/// A file with a block for each commit from 3 on, and zeros.
fn file(count: u64) -> Vec<u8> {
    let mut file = header(3, false).unwrap();
    let mut encoder = Encoder::new().unwrap();
    for seq in 3..3 + count {
        let entry = Entry { seq, txn: TxnId { timestamp: seq, nonce: 1 }, writes: vec![] };
        let place = Place { file: 3, offset: file.len() as u64 };
        file.extend(encoder.encode(&[entry]).unwrap().seal(place));
    }
    file.resize(file.len() + 4096, 0);
    file
}

#[test]
fn names_sort_by_the_first_commit() {
    assert_eq!(name(3), "00000000000000000003.arrow");
    assert!(name(9) < name(10) && name(u64::MAX - 1) < name(u64::MAX));
    for seq in [0, 1, 3, u64::MAX] {
        assert_eq!(first_seq(&name(seq)), Some(seq));
    }
    for other in [SPARE, LARGE, "3.arrow", "00000000000000000003", "+0000000000000000003.arrow", "", ".arrow"] {
        assert_eq!(first_seq(other), None, "{other}");
    }
    assert_eq!(first_seq("99999999999999999999.arrow"), None);
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let bytes = header(3, false).unwrap();
    assert!(bytes.len().is_multiple_of(block::ALIGNMENT));
    let read = read_header(&bytes).unwrap();
    assert_eq!((read.first_seq, read.bytes, read.is_sealed), (3, bytes.len(), false));
    let sealed = header(3, true).unwrap();
    assert!(sealed.len().is_multiple_of(block::ALIGNMENT) && read_header(&sealed).unwrap().is_sealed);
    assert_eq!(read_blocks(sealed).unwrap_err().message(), "cannot read a log file: it is encrypted");
    for len in 0..bytes.len() {
        assert!(matches!(read_header(&bytes[..len]), Err(HeaderFault::Broken(_))), "{len}");
    }
}

#[test]
fn another_format_is_named() {
    let metadata = HashMap::from([(FORMAT_KEY.to_string(), "3".to_string())]);
    let mut writer = StreamWriter::try_new(Vec::new(), &block::schema(metadata)).unwrap();
    let error = read_blocks(std::mem::take(writer.get_mut())).unwrap_err();
    let expected = r#"cannot read a log file: it has format "3", but this release reads formats "1" and "2""#;
    assert_eq!(error.message(), expected);
}

#[test]
fn any_reader_of_arrow_streams_reads_a_file() {
    let file = file(3);
    let theirs: Vec<RecordBatch> = StreamReader::try_new(&file[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(theirs.len(), 3);
    let ours: Vec<RecordBatch> = read_blocks(file).unwrap().map(Result::unwrap).collect();
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs.columns(), ours.columns());
    }
    assert_eq!(ours.len(), 3);
}

#[test]
fn reading_ends_at_what_is_not_whole() {
    let whole = file(2);
    let mut blocks = read_blocks(whole.as_slice()).unwrap();
    assert!(blocks.next().is_some_and(|block| block.is_ok()));
    let second = blocks.offset();
    let mut file = whole.clone();
    file[second + 100] ^= 1;
    let mut blocks = read_blocks(file).unwrap();
    assert!(blocks.next().is_some_and(|block| block.is_ok()));
    let error = blocks.next().unwrap().unwrap_err();
    assert!(error.message().starts_with(&format!("there is no block at byte {second} of a log file: ")), "{error}");
    assert!(blocks.next().is_none());
    assert!(read_blocks(&b"ARROW1"[..]).is_err());
}

#[test]
fn a_spare_file_is_made_ahead_or_when_it_is_needed() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let mut spare = Spare::new(Arc::clone(&disk), 128);
    for is_ahead in [true, false] {
        if is_ahead {
            spare.prepare_ahead();
            spare.prepare_ahead();
        }
        spare.take().unwrap();
        assert_eq!(disk.read(SPARE).unwrap(), [0; 128]);
        disk.rename(SPARE, "used").unwrap();
    }
    spare.prepare_ahead();
    drop(spare);
    assert_eq!(disk.read(SPARE).unwrap(), [0; 128]);
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_fail(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = header(3, false).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read_header(&bytes);
    }
}
